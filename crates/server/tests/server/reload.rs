//! Grants that change while the server runs, and what is under way then.

use crate::guard::*;
use crate::support::*;
use bergulir_proto::pb;
use bergulir_server::config::{Layers, load};
use bergulir_server::{ConfigFile, ServerOptions};
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

#[tokio::test]
async fn a_key_that_is_taken_out_ends_the_streams_of_its_tokens() {
    let granting = Granting::start(BEFORE, |_| {}).await;
    granting.guarded.who("operator").post(open_ledger("kab")).await.unwrap();
    let request = pb::SubscribeRequest { ledger: KAB.to_owned(), ..Default::default() };
    let stream = granting.guarded.who("old").logs().subscribe(request).await.unwrap();
    granting.guarded.files.put_keys(&[Signer::ed().jwk("k")]);
    let ended = end(stream.into_inner()).await;
    assert_eq!(ended, (Code::Unauthenticated, "TOKEN_REFUSED".to_owned()));
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
