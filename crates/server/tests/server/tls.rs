//! TLS: who gets in, who does not, and files that change.

use crate::guard::*;
use crate::support::*;
use bergulir_proto::pb;
use bergulir_server::{AuthOptions, FileError, ServerOptions, StartError, start};
use rcgen::SanType;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

const ALL: &[(&str, &str)] = &[("spiffe://go.id/a", "maker operator auditor @ *")];

/// A server under TLS.
struct Under {
    files: Files,
    server: Server,
    _data: tempfile::TempDir,
}

impl Under {
    async fn start(required: bool, change: impl FnOnce(&mut ServerOptions, &Files)) -> Under {
        let (files, data) = (Files::new(), tempfile::tempdir().unwrap());
        let mut options = options(data.path());
        options.tls = Some(files.tls(Some(required)));
        options.auth = AuthOptions { tokens: None, grants: Some(grants(ALL)) };
        change(&mut options, &files);
        Under { server: Server::run_unconnected(options).await, files, _data: data }
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Why somebody with these papers is refused; empty if not, "TLS" if not even let in.
    async fn refusal(&self, papers: Option<&Papers>) -> String {
        match dial(self.address(), &self.files.authority, papers).await {
            // Under TLS 1.3 a client learns only afterwards that its certificate was not taken.
            Ok(channel) => match Who::sending(&channel, vec![]).refusal_or_break().await {
                Some(reason) => reason,
                None => "TLS".to_owned(),
            },
            Err(_) => "TLS".to_owned(),
        }
    }
}

#[tokio::test]
async fn a_command_is_recorded_as_of_who_the_certificate_names() {
    let under =
        Under::start(true, |options, _| options.listen = "0.0.0.0:0".parse().unwrap()).await;
    let papers = under.files.authority.officer("spiffe://go.id/a");
    let channel = dial(under.address(), &under.files.authority, Some(&papers)).await.unwrap();
    let officer = Who::sending(&channel, vec![]);
    officer.post(open_ledger("kab")).await.unwrap();
    officer.post(open_fund()).await.unwrap();
    let request = pb::GetRecordRequest { ledger: KAB.to_owned(), position: 1 };
    let record = officer.logs().get_record(request).await.unwrap().into_inner().record.unwrap();
    assert_eq!(record.principal, "spiffe://go.id/a");
    assert_eq!(record.authentication(), pb::Authentication::MutualTls);
    under.server.stop().await;
}

#[tokio::test]
async fn who_has_no_good_certificate_does_not_get_in() {
    let under = Under::start(true, |_, _| {}).await;
    let ours = &under.files.authority;
    let stranger = Authority::new().officer("spiffe://go.id/a");
    let old = SystemTime::now() - Duration::from_secs(3_600);
    for (what, papers, expected) in [
        ("ours", Some(ours.officer("spiffe://go.id/a")), ""),
        ("no certificate", None, "TLS"),
        ("one of a stranger", Some(stranger), "TLS"),
        ("an old one", Some(ours.issue_until(vec![uri("spiffe://go.id/a")], old)), "TLS"),
        ("one without a name", Some(ours.issue(vec![])), "CERTIFICATE_REFUSED"),
        (
            "one with two names",
            Some(ours.issue(vec![uri("spiffe://go.id/a"), uri("spiffe://go.id/b")])),
            "CERTIFICATE_REFUSED",
        ),
        (
            "one that names the server itself",
            Some(ours.issue(vec![SanType::DnsName("system".try_into().unwrap())])),
            "RESERVED_PRINCIPAL",
        ),
        ("one without a grant", Some(ours.officer("spiffe://go.id/b")), "ROLE_MISSING"),
    ] {
        assert_eq!(under.refusal(papers.as_ref()).await, expected, "{what}");
    }
    let denied: u64 = under.server.denials.counts().map(|(_, _, count)| count).sum();
    assert_eq!(denied, 4);
    under.server.stop().await;
}

#[tokio::test]
async fn where_certificates_are_optional_a_token_does_and_both_must_agree() {
    let signer = Signer::ed();
    let under = Under::start(false, |options, files| {
        files.put_keys(&[signer.jwk("k")]);
        options.auth.tokens = Some(files.tokens());
    })
    .await;
    assert_eq!(under.refusal(None).await, "CREDENTIALS_MISSING");
    let ours = &under.files.authority;
    let plain = dial(under.address(), ours, None).await.unwrap();
    let token = signer.token("spiffe://go.id/a");
    assert_eq!(Who::bearing(&plain, &token).refusal().await.0, "");
    for (name, expected) in [("spiffe://go.id/a", ""), ("spiffe://go.id/b", "IDENTITIES_DIFFER")] {
        let papers = ours.officer(name);
        let channel = dial(under.address(), ours, Some(&papers)).await.unwrap();
        assert_eq!(Who::bearing(&channel, &token).refusal().await.0, expected);
        let bad = Who::bearing(&channel, "a.b.c").refusal().await.0;
        assert_eq!(bad, "TOKEN_REFUSED", "a good certificate does not make a bad token good");
    }
    under.server.stop().await;
}

#[tokio::test]
async fn whoever_comes_by_another_way_under_the_same_name_is_the_same_person() {
    let signer = Signer::ed();
    let under = Under::start(false, |options, files| {
        files.put_keys(&[signer.jwk("k")]);
        options.auth.tokens = Some(files.tokens());
        options.auth.grants = Some(grants(&[
            ("ani.go.id", "operator maker checker @ *"),
            ("budi.go.id", "checker @ *"),
        ]));
    })
    .await;
    let ours = &under.files.authority;
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let papers = ours.issue(vec![dns("ani.go.id")]);
    let channel = dial(under.address(), ours, Some(&papers)).await.unwrap();
    let ani = Who::sending(&channel, vec![]);
    ani.post(open_ledger("kab")).await.unwrap();
    ani.post(open_fund()).await.unwrap();
    ani.post(allocate(5_800_000_000, "alloc-1")).await.unwrap();
    for kind in cooperative(1) {
        ani.post(kind).await.unwrap();
    }
    ani.post(propose_loan(1, 1_000_000)).await.unwrap();
    let plain = dial(under.address(), ours, None).await.unwrap();
    let by_token = Who::bearing(&plain, &signer.token("ani.go.id"));
    assert_eq!(reason(by_token.post(approve_loan(1)).await).1, "SAME_PERSON");
    // A name of another form that reads the same is the same one, too.
    let papers = ours.issue(vec![uri("ani.go.id")]);
    let channel = dial(under.address(), ours, Some(&papers)).await.unwrap();
    let refused = Who::sending(&channel, vec![]).post(approve_loan(1)).await;
    assert_eq!(reason(refused).1, "SAME_PERSON");
    // And one that is written otherwise is nobody, since nobody was granted anything under it.
    for name in ["Ani.go.id", "ani.go.id.", "ANI.GO.ID"] {
        let token = Who::bearing(&plain, &signer.token(name));
        assert_eq!(reason(token.post(approve_loan(1)).await).1, "ROLE_MISSING", "{name}");
    }
    let budi = Who::bearing(&plain, &signer.token("budi.go.id"));
    budi.post(approve_loan(1)).await.unwrap();
    under.server.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_certificate_that_began_it() {
    use futures::StreamExt as _;
    let under = Under::start(true, |_, _| {}).await;
    let ours = &under.files.authority;
    let papers = ours.officer("spiffe://go.id/a");
    let channel = dial(under.address(), ours, Some(&papers)).await.unwrap();
    Who::sending(&channel, vec![]).post(open_ledger("kab")).await.unwrap();
    let soon = SystemTime::now() + Duration::from_secs(6);
    let short = ours.issue_until(vec![uri("spiffe://go.id/a")], soon);
    let channel = dial(under.address(), ours, Some(&short)).await.unwrap();
    let follow = async || {
        let request = pb::SubscribeRequest { ledger: KAB.to_owned(), ..Default::default() };
        Who::sending(&channel, vec![]).logs().subscribe(request).await.unwrap().into_inner()
    };
    let ended = async |mut stream: tonic::Streaming<pb::SubscribeResponse>| {
        let ended = async {
            loop {
                match stream.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(status)) => return status.code(),
                    None => return tonic::Code::Ok,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(40), ended).await.unwrap()
    };
    assert_eq!(ended(follow().await).await, tonic::Code::DeadlineExceeded);
    // And with its authority.
    let channel = dial(under.address(), ours, Some(&papers)).await.unwrap();
    let request = pb::SubscribeRequest { ledger: KAB.to_owned(), ..Default::default() };
    let stream = Who::sending(&channel, vec![]).logs().subscribe(request).await.unwrap();
    under.files.put_authorities(&Authority::new());
    assert_eq!(ended(stream.into_inner()).await, tonic::Code::Unauthenticated);
    under.server.stop().await;
}

#[tokio::test]
async fn files_change_without_a_restart_and_broken_ones_change_nothing() {
    let under = Under::start(true, |_, _| {}).await;
    let (first, second) = (&under.files.authority, Authority::new());
    let papers = first.officer("spiffe://go.id/a");
    let channel = dial(under.address(), first, Some(&papers)).await.unwrap();
    let old = Who::sending(&channel, vec![]);
    assert_eq!(old.refusal().await.0, "");
    under.files.put("server.pem", "broken");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(under.refusal(Some(&papers)).await, "");
    // A certificate with the key of another one is as broken.
    let other = second.officer("spiffe://go.id/x");
    under.files.put("server.pem", &other.certificate);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(under.refusal(Some(&papers)).await, "");

    under.files.put_server(&second);
    eventually(async || dial(under.address(), &second, Some(&papers)).await.is_ok()).await;
    assert_eq!(old.refusal().await.0, "", "who is connected stays");

    // Its authority is not ours any more: also for who is connected.
    under.files.put_authorities(&second);
    eventually(async || old.refusal().await.0 == "CERTIFICATE_REFUSED").await;
    let papers = second.officer("spiffe://go.id/a");
    let channel = dial(under.address(), &second, Some(&papers)).await.unwrap();
    assert_eq!(Who::sending(&channel, vec![]).refusal().await.0, "");
    under.server.stop().await;
}

#[tokio::test]
async fn a_certificate_that_runs_out_ends_what_its_connection_may() {
    let under = Under::start(true, |_, _| {}).await;
    let until = SystemTime::now() + Duration::from_secs(3);
    let papers = under.files.authority.issue_until(vec![uri("spiffe://go.id/a")], until);
    let channel = dial(under.address(), &under.files.authority, Some(&papers)).await.unwrap();
    let officer = Who::sending(&channel, vec![]);
    assert_eq!(officer.refusal().await.0, "");
    eventually(async || officer.refusal().await.0 == "CERTIFICATE_REFUSED").await;
    under.server.stop().await;
}

#[tokio::test]
async fn who_is_silent_or_speaks_something_else_is_sent_away_and_holds_up_nobody() {
    let under = Under::start(true, |options, _| {
        options.limits.handshake_timeout = Duration::from_millis(1_500);
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(under.address()).await.unwrap());
    }
    let papers = under.files.authority.officer("spiffe://go.id/a");
    assert_eq!(under.refusal(Some(&papers)).await, "");
    for stream in &mut silent {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_u8()).await;
        assert!(read.expect("it is closed in time").is_err());
    }
    let plain = tonic::transport::Endpoint::from_shared(format!("http://{}", under.address()));
    let plain = plain.unwrap().connect().await;
    if let Ok(channel) = plain {
        assert_eq!(Who::sending(&channel, vec![]).refusal_or_break().await, None);
    }
    assert_eq!(under.refusal(Some(&papers)).await, "");
    under.server.stop().await;
}

#[tokio::test]
async fn a_server_does_not_start_with_files_that_cannot_be_used() {
    let (files, data) = (Files::new(), tempfile::tempdir().unwrap());
    let refused = async |change: &dyn Fn(&mut ServerOptions)| {
        let mut options = options(data.path());
        options.tls = Some(files.tls(Some(true)));
        change(&mut options);
        start(options, |_, _, _| {}).await.map(|_| ()).unwrap_err()
    };
    let missing = |options: &mut ServerOptions| {
        options.tls.as_mut().unwrap().certificate = files.path("none.pem");
    };
    let refusal = refused(&missing).await;
    assert!(matches!(refusal, StartError::File(FileError::Unreadable { .. })), "{refusal}");
    files.put("empty.pem", "");
    let empty = |options: &mut ServerOptions| {
        options.tls.as_mut().unwrap().certificate = files.path("empty.pem");
    };
    let refusal = refused(&empty).await;
    assert!(refusal.to_string().contains("holds no certificate"), "{refusal}");
    // Without anybody to prove it to, TLS alone opens no other address than loopback.
    let half = |options: &mut ServerOptions| {
        options.listen = "0.0.0.0:0".parse().unwrap();
        options.tls.as_mut().unwrap().clients = None;
    };
    let refusal = refused(&half).await;
    assert!(refusal.to_string().contains("that takes authentication"), "{refusal}");
    // Certificates cannot be shown to plain HTTP.
    let http = |options: &mut ServerOptions| options.http = Some(options.listen);
    assert!(matches!(refused(&http).await, StartError::HttpWithoutTokens));
    let http = |options: &mut ServerOptions| options.http = Some("0.0.0.0:0".parse().unwrap());
    assert!(matches!(refused(&http).await, StartError::NotLoopback { .. }));
}
