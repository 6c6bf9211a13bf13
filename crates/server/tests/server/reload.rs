//! Grants that change while the server runs, and what is under way then.

use crate::guard::*;
use crate::support::*;
use bergulir_proto::pb;
use bergulir_server::config::{Layers, load};
use bergulir_server::{ConfigFile, Limits, ServerOptions};
use futures::StreamExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};

fn config(grants: &[(&str, &str)]) -> String {
    let grants = grants.iter().map(|(who, text)| {
        let (roles, place) = text.split_once(" @ ").unwrap();
        let (ledger, funds) = place.split_once(" : ").unwrap_or((place, ""));
        let list = |text: &str| {
            let quoted: Vec<String> = text.split(' ').map(|one| format!("\"{one}\"")).collect();
            quoted.join(", ")
        };
        let funds =
            if funds.is_empty() { String::new() } else { format!("funds = [{}]\n", list(funds)) };
        let roles = list(roles);
        format!(
            "[[grant]]\nprincipal = \"{who}\"\nledger = \"{ledger}\"\nroles = [{roles}]\n{funds}"
        )
    });
    "data = \"elsewhere\"\n".to_owned() + &grants.collect::<String>()
}

fn file(path: PathBuf) -> ConfigFile {
    let from = path.clone();
    let read = move |text: &str| load(Layers { file: Some((&from, text)), ..Layers::default() });
    ConfigFile { path, read: Arc::new(read) }
}

/// A server whose grants are in a file.
struct Granting {
    guarded: Guarded,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Granting {
    async fn start(all: &[(&str, &str)], change: impl FnOnce(&mut ServerOptions)) -> Granting {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bergulir.toml");
        std::fs::write(&path, config(all)).unwrap();
        let guarded = Guarded::with(&[], |options| {
            options.auth.grants = None;
            options.config_file = Some(file(path.clone()));
            change(options);
        })
        .await;
        Granting { guarded, path, _folder: folder }
    }

    fn grant(&self, all: &[(&str, &str)]) {
        std::fs::write(&self.path, config(all)).unwrap();
    }

    async fn refusal(&self, who: &str) -> String {
        self.guarded.who(who).refusal().await.0
    }
}

const BEFORE: &[(&str, &str)] =
    &[("operator", "operator @ *"), ("maker", "maker auditor @ kab"), ("old", "auditor @ *")];

#[tokio::test]
async fn grants_come_and_go_without_a_restart_and_a_wrong_file_changes_nothing() {
    let granting = Granting::start(BEFORE, |_| {}).await;
    assert_eq!(granting.refusal("old").await, "");
    assert_eq!(granting.refusal("new").await, "ROLE_MISSING");
    for wrong in [
        "[[grant",
        "[[grant]]\nprincipal = \"new\"\nledger = \"*\"\nroles = [\"king\"]\n",
        "lisen = \"x\"\n",
        // Right by itself, and not as a whole.
        &config(&[("new", "auditor @ *"), ("New", "maker @ *")]),
    ] {
        std::fs::write(&granting.path, wrong).unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(granting.refusal("old").await, "", "{wrong}");
        assert_eq!(granting.refusal("new").await, "ROLE_MISSING", "{wrong}");
    }
    granting.grant(&[("operator", "operator @ *"), ("new", "auditor @ *")]);
    eventually(async || granting.refusal("new").await.is_empty()).await;
    assert_eq!(granting.refusal("old").await, "ROLE_MISSING");
    // Without any grant, nobody may do anything.
    granting.grant(&[]);
    eventually(async || granting.refusal("new").await == "ROLE_MISSING").await;
    assert_eq!(granting.refusal("operator").await, "ROLE_MISSING");
    granting.guarded.server.stop().await;
}

#[tokio::test]
async fn a_file_that_is_asked_for_is_looked_at_at_once() {
    let granting =
        Granting::start(BEFORE, |options| options.limits.files_every = Duration::from_secs(3_600))
            .await;
    granting.grant(&[("new", "auditor @ *")]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(granting.refusal("new").await, "ROLE_MISSING");
    granting.guarded.server.reloader.reload();
    eventually(async || granting.refusal("new").await.is_empty()).await;
    granting.guarded.server.stop().await;
}

async fn end<T>(mut stream: tonic::Streaming<T>) -> (Code, String) {
    let ended = async {
        loop {
            match stream.next().await {
                Some(Ok(_)) => {}
                Some(Err(status)) => return reason::<()>(Err(status)),
                None => return (Code::Ok, String::new()),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap()
}

#[tokio::test]
async fn what_is_under_way_ends_when_its_caller_may_something_else() {
    let granting = Granting::start(BEFORE, |_| {}).await;
    let operator = granting.guarded.who("operator");
    operator.post(open_ledger("kab")).await.unwrap();
    let request = || pb::SubscribeRequest { ledger: KAB.to_owned(), ..Default::default() };
    let subscribe = async |who: &str| {
        granting.guarded.who(who).logs().subscribe(request()).await.unwrap().into_inner()
    };
    let (kept, lost) = (subscribe("maker").await, subscribe("old").await);
    // Commands on a stream: the first is taken, and those after the change are not.
    let (send, messages) = tokio::sync::mpsc::channel(1);
    let commands = |kind| {
        let pb::SubmitBatchRequest { ledger, mode, items, .. } =
            batch(pb::BatchMode::Independent, vec![item(kind)]);
        pb::SubmitStreamRequest { ledger, mode, items, ..Default::default() }
    };
    let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
    let mut maker = granting.guarded.who("maker").commands();
    send.send(commands(open_fund())).await.unwrap();
    let mut answers = maker.submit_stream(messages).await.unwrap().into_inner();
    assert!(answers.next().await.unwrap().unwrap().error.is_none());

    granting.grant(&[
        ("operator", "operator @ *"),
        ("maker", "maker auditor @ kab"),
        ("third", "auditor @ *"),
    ]);
    // Others' rights changed, and so nothing for who keeps what she has.
    assert_eq!(end(lost).await, (Code::PermissionDenied, "ROLE_MISSING".to_owned()));
    send.send(commands(allocate(1_000, "a-1"))).await.unwrap();
    assert!(answers.next().await.unwrap().unwrap().error.is_none());

    granting.grant(&[("operator", "operator @ *"), ("maker", "maker auditor @ kab : dana")]);
    eventually(async || {
        let head = pb::GetRecordRequest { ledger: KAB.to_owned(), position: 0 };
        granting.guarded.who("maker").logs().get_record(head).await.is_err()
    })
    .await;
    send.send(commands(allocate(1_000, "a-2"))).await.unwrap();
    assert_eq!(end(answers).await, (Code::Aborted, "GRANTS_CHANGED".to_owned()));
    let ended = end(kept).await;
    assert_eq!(ended, (Code::Aborted, "GRANTS_CHANGED".to_owned()));
    let head = pb::GetHeadRequest { ledger: KAB.to_owned() };
    let head = operator.logs().get_head(head).await.unwrap().into_inner();
    assert_eq!(head.log_size, 3, "nothing was recorded after the change");
    granting.guarded.server.stop().await;
}

/// A stream of commands, whose caller has sent one that was answered, and what it would send more with.
async fn resting(
    who: &Who,
    first: pb::command::Kind,
) -> (tokio::sync::mpsc::Sender<pb::SubmitStreamRequest>, tonic::Streaming<pb::SubmitStreamResponse>)
{
    let (send, messages) = tokio::sync::mpsc::channel(1);
    let pb::SubmitBatchRequest { ledger, mode, items, .. } =
        batch(pb::BatchMode::Independent, vec![item(first)]);
    let message = pb::SubmitStreamRequest { ledger, mode, items, ..Default::default() };
    send.send(message).await.unwrap();
    let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
    let mut answers = who.commands().submit_stream(messages).await.unwrap().into_inner();
    assert!(answers.next().await.unwrap().unwrap().error.is_none());
    (send, answers)
}

#[tokio::test]
async fn a_stream_that_rests_ends_by_itself_when_its_caller_may_not_go_on() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    let granting = Granting::start(BEFORE, |_| {}).await;
    granting.guarded.who("operator").post(open_ledger("kab")).await.unwrap();
    let maker = granting.guarded.who("maker");
    let (_kept, commands) = resting(&maker, open_fund()).await;
    let request = pb::SubscribeRequest { ledger: KAB.to_owned(), ..Default::default() };
    let records = maker.logs().subscribe(request).await.unwrap().into_inner();
    let (channel, sends) = maker.parts();
    let mut health = HealthClient::with_interceptor(channel.clone(), sends.clone());
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert!(watch.next().await.unwrap().is_ok());
    let (ask, asked) = tokio::sync::mpsc::channel(1);
    let listing = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { message_request: Some(listing), ..Default::default() };
    ask.send(request).await.unwrap();
    let asked = tokio_stream::wrappers::ReceiverStream::new(asked);
    let mut reflection = ServerReflectionClient::with_interceptor(channel, sends);
    let mut schema = reflection.server_reflection_info(asked).await.unwrap().into_inner();
    assert!(schema.next().await.unwrap().is_ok());

    granting.grant(&BEFORE[..1]);
    let gone = (Code::PermissionDenied, "ROLE_MISSING".to_owned());
    assert_eq!(end(commands).await, gone);
    assert_eq!(end(records).await, gone);
    assert_eq!(end(watch).await, gone);
    assert_eq!(end(schema).await, gone);
    // Who may do something else now begins again.
    granting.grant(BEFORE);
    eventually(async || granting.refusal("maker").await.is_empty()).await;
    let (_kept, commands) = resting(&maker, allocate(1, "a-1")).await;
    granting.grant(&[("maker", "maker @ kab : dana")]);
    assert_eq!(end(commands).await, (Code::Aborted, "GRANTS_CHANGED".to_owned()));
    granting.guarded.server.stop().await;
}

#[tokio::test]
async fn what_waits_for_its_rate_when_its_grant_goes_is_not_recorded() {
    let granting = Granting::start(BEFORE, |options| {
        (options.limits.principal_rate, options.limits.principal_burst) = (Some(1), Some(1));
    })
    .await;
    granting.guarded.who("operator").post(open_ledger("kab")).await.unwrap();
    let maker = granting.guarded.who("maker");
    let (send, commands) = resting(&maker, open_fund()).await;
    // Twenty commands are taken from a full bucket, and the next waits for twenty seconds.
    let message = |items: Vec<pb::BatchItem>| pb::SubmitStreamRequest {
        ledger: KAB.to_owned(),
        mode: pb::BatchMode::Independent as i32,
        items,
        ..Default::default()
    };
    send.send(message((1..=20).map(|n| item(register(n))).collect())).await.unwrap();
    send.send(message(vec![item(register(21))])).await.unwrap();
    let mut commands = commands;
    assert!(commands.next().await.unwrap().unwrap().error.is_none());
    granting.grant(&BEFORE[..1]);
    assert_eq!(end(commands).await, (Code::PermissionDenied, "ROLE_MISSING".to_owned()));
    granting.grant(BEFORE);
    let old = granting.guarded.who("old");
    let size = std::cell::Cell::new(0);
    // It has a rate, too.
    eventually(async || {
        let head = old.logs().get_head(pb::GetHeadRequest { ledger: KAB.to_owned() }).await;
        size.set(head.map_or(0, |head| head.into_inner().log_size));
        size.get() > 0
    })
    .await;
    assert_eq!(size.get(), 22, "the one that waited is not among them");
    granting.guarded.server.stop().await;
}

#[tokio::test]
async fn a_stream_of_health_ends_with_its_token() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    let guarded = Guarded::start(BEFORE).await;
    // Only the leeway is left of it.
    let exp = now() - 26;
    let short = format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"old","exp":{exp}}}"#);
    let short = guarded.bearing(&guarded.signer.sign(r#"{"alg":"EdDSA","kid":"k"}"#, &short));
    let (channel, sends) = short.parts();
    let mut health = HealthClient::with_interceptor(channel, sends);
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(end(watch).await, (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_key_that_is_taken_out_ends_the_streams_of_its_tokens() {
    let granting = Granting::start(BEFORE, |_| {}).await;
    granting.guarded.who("operator").post(open_ledger("kab")).await.unwrap();
    let request = pb::SubscribeRequest { ledger: KAB.to_owned(), ..Default::default() };
    let stream = granting.guarded.who("old").logs().subscribe(request).await.unwrap();
    let (_kept, commands) = resting(&granting.guarded.who("maker"), open_fund()).await;
    granting.guarded.files.put_keys(&[Signer::ed().jwk("k")]);
    let refused = (Code::Unauthenticated, "TOKEN_REFUSED".to_owned());
    assert_eq!(end(stream.into_inner()).await, refused);
    assert_eq!(end(commands).await, refused);
    granting.guarded.server.stop().await;
}

#[tokio::test]
async fn the_first_grant_closes_a_server_that_is_open_to_all_and_nothing_opens_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bergulir.toml");
    std::fs::write(&path, config(&[])).unwrap();
    let mut options = options(folder.path());
    options.config_file = Some(file(path.clone()));
    let server = Server::run(options).await;
    server.post("anybody", open_ledger("kab")).await.unwrap();
    server.post("anybody", open_fund()).await.unwrap();
    let asks = async |who: &'static str| -> Result<(), Status> {
        server.post(who, allocate(1, &fresh())).await.map(|_| ())
    };
    std::fs::write(&path, config(&[("maker", "maker @ kab")])).unwrap();
    eventually(async || asks("anybody").await.is_err()).await;
    assert_eq!(reason(asks("anybody").await).1, "ROLE_MISSING");
    asks("maker").await.unwrap();
    std::fs::write(&path, config(&[])).unwrap();
    eventually(async || asks("maker").await.is_err()).await;
    assert_eq!(reason(asks("anybody").await).1, "ROLE_MISSING");
    server.stop().await;
}

#[tokio::test]
async fn limits_come_and_go_without_a_restart_and_one_principal_may_have_its_own() {
    use crate::limits::{ask, limit, said, subscribe};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bergulir.toml");
    let file = file(path.clone());
    let with = |limits: &str| {
        let text = format!("data = \"elsewhere\"\n[limits]\n{limits}");
        std::fs::write(&path, &text).unwrap();
        (file.read)(&text).config.limits
    };
    let mut options = options(folder.path());
    let first = with("principal_streams = 1\n[limits.principals.wide]\nstreams = 3\n");
    options.limits = Limits { files_every: options.limits.files_every, ..first };
    options.config_file = Some(file.clone());
    let server = Server::run(options).await;
    server.prepare(0).await;
    let mut open = Vec::new();
    let mut may_open = async |who: &'static str| {
        let before = open.len();
        loop {
            match subscribe(&server, who).await {
                Ok(stream) => open.push(stream),
                Err(status) => {
                    let expected = said("TOO_MANY_STREAMS", "limits.principal_streams", who);
                    assert_eq!(limit(&status), expected);
                    return open.len() - before;
                }
            }
        }
    };
    assert_eq!([may_open("narrow").await, may_open("wide").await], [1, 3]);
    // What is wrong changes nothing.
    with("principal_streams = 9\n[limits.principals.wide]\nstream = 9\n");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!([may_open("narrow").await, may_open("wide").await], [0, 0]);
    // What is under way counts on.
    with("principal_streams = 2\n[limits.principals.wide]\nstreams = 5\n");
    eventually(async || may_open("narrow").await == 1).await;
    assert_eq!([may_open("narrow").await, may_open("wide").await], [0, 2]);

    assert!(ask(&server, "hasty").await.is_ok());
    with("rate = 1000000\n[limits.principals.hasty]\nrate = 1\nburst = 1\n");
    eventually(async || ask(&server, "hasty").await.is_err()).await;
    assert!(ask(&server, "other").await.is_ok() && ask(&server, "other").await.is_ok());
    with("rate = 1000000\n");
    let one_after_the_other = async || {
        for _ in 0..5 {
            if ask(&server, "hasty").await.is_err() {
                return false;
            }
        }
        true
    };
    eventually(one_after_the_other).await;
    server.stop().await;
}
