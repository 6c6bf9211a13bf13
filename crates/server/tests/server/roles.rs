//! Who may do what: by role, by ledger and by fund.

use crate::guard::*;
use crate::support::*;
use bergulir_proto::pb;
use bergulir_proto::pb::command::Kind;
use std::collections::BTreeSet;
use tonic::{Code, Status};

const ALL: &[(&str, &str)] = &[
    ("operator", "operator @ *"),
    ("maker", "maker @ kab"),
    ("checker", "checker @ kab"),
    ("both", "maker checker @ kab"),
    ("auditor", "auditor @ kab"),
    ("dana-maker", "maker @ kab : dana"),
    ("dana-checker", "checker @ kab : dana"),
    ("other-maker", "maker @ kab : other"),
    ("other-checker", "checker @ kab : other"),
    ("far", "maker checker auditor @ kota"),
];

const PEOPLE: [&str; 10] = [
    "operator",
    "maker",
    "checker",
    "both",
    "auditor",
    "dana-maker",
    "dana-checker",
    "other-maker",
    "other-checker",
    "far",
];

/// Where the loan is paid out.
const PAID: u64 = 10;

/// A ledger with a fund, a cooperative and a loan that is paid out.
async fn programme() -> Guarded {
    let guarded = Guarded::start(ALL).await;
    guarded.who("operator").post(open_ledger("kab")).await.unwrap();
    let maker = guarded.who("maker");
    maker.post(open_fund()).await.unwrap();
    let Kind::OpenFund(mut other) = open_fund() else { unreachable!() };
    "other".clone_into(&mut other.fund);
    maker.post(Kind::OpenFund(other)).await.unwrap();
    maker.post(allocate(5_800_000_000, "alloc-1")).await.unwrap();
    for kind in cooperative(1) {
        maker.post(kind).await.unwrap();
    }
    maker.post(propose_loan(1, 100_000_000)).await.unwrap();
    guarded.who("checker").post(approve_loan(1)).await.unwrap();
    maker.post(disburse(1, 50_000_000, "out-1")).await.unwrap();
    guarded
}

fn role_missing<T: std::fmt::Debug>(answer: Result<T, Status>) -> bool {
    match answer {
        Err(status) if status.code() == Code::PermissionDenied => {
            assert_eq!(reason::<()>(Err(status)).1, "ROLE_MISSING");
            true
        }
        _ => false,
    }
}

/// Who of all may ask for something; with `validate_only`, so that each asks the same.
async fn may(guarded: &Guarded, kind: &Kind) -> BTreeSet<&'static str> {
    let mut may = BTreeSet::new();
    for who in PEOPLE {
        let parts =
            bergulir_proto::wire::RequestParts { validate_only: true, ..request(kind.clone()) };
        let answer = bergulir_proto::wire::send(&mut guarded.who(who).commands(), parts).await;
        if !role_missing(answer) {
            may.insert(who);
        }
    }
    may
}

#[tokio::test]
async fn each_command_takes_its_role_in_the_fund_that_it_concerns() {
    let guarded = programme().await;
    let maker = guarded.who("maker");
    let proposed = maker.post(propose_reversal(PAID)).await.unwrap();
    let proposal = proposed.receipt.unwrap().position;
    let set = |who: &[&'static str]| who.iter().copied().collect::<BTreeSet<_>>();
    let makers = set(&["maker", "both", "dana-maker"]);
    let checkers = set(&["checker", "both", "dana-checker"]);
    let refuse = Kind::RefuseProposal(pb::RefuseProposal { proposal, reason: "no".to_owned() });
    let withdraw =
        Kind::WithdrawProposal(pb::WithdrawProposal { proposal, reason: "no".to_owned() });
    let back = Kind::ReturnDisbursement(pb::ReturnDisbursement {
        disbursement: PAID,
        bank_reference: bank("back-1"),
        value_date: day(2024, 3, 2),
    });
    for (kind, expected) in [
        (open_ledger("kab"), set(&["operator"])),
        (Kind::AdoptRules(pb::AdoptRules { version: 2 }), set(&["operator"])),
        (open_fund(), set(&["maker", "both"])),
        (register(2), set(&["maker", "both"])),
        (allocate(1, "x"), makers.clone()),
        (propose_loan(1, 1), makers.clone()),
        (approve_loan(1), checkers.clone()),
        (disburse(1, 1, "x"), makers.clone()),
        (repay(1, 1, 1, "x"), makers.clone()),
        (back, makers.clone()),
        (propose_reversal(PAID), makers.clone()),
        (approve_reversal(proposal), checkers.clone()),
        (refuse, checkers),
        (withdraw, makers),
        // Who is limited to some funds does not learn what is not there.
        (approve_loan(99), set(&["checker", "both"])),
        (propose_reversal(9_999), set(&["maker", "both"])),
        (propose_reversal(4), set(&["maker", "both"])),
    ] {
        assert_eq!(may(&guarded, &kind).await, expected, "{kind:?}");
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_maker_is_never_the_checker_of_the_same_thing() {
    let guarded = programme().await;
    let both = guarded.who("both");
    let Kind::ProposeLoan(mut second) = propose_loan(1, 10_000_000) else { unreachable!() };
    "l-2".clone_into(&mut second.loan);
    both.post(Kind::ProposeLoan(second)).await.unwrap();
    let refused = both.post(approve_loan(2)).await;
    assert_eq!(reason(refused), (Code::FailedPrecondition, "SAME_PERSON".to_owned()));
    guarded.who("dana-checker").post(approve_loan(2)).await.unwrap();
    guarded.server.stop().await;
}

#[tokio::test]
async fn commands_of_a_batch_are_checked_one_by_one() {
    let guarded = programme().await;
    let size = size(&guarded).await;
    let items = || {
        vec![
            item(repay(1, 1_000, 0, "in-1")),
            item(register(2)),
            item(repay(1, 1_000, 0, "No Such\n")),
            item(approve_loan(1)),
            item(repay(1, 2_000, 0, "in-2")),
        ]
    };
    let dana = guarded.who("dana-maker");
    let whole =
        batch(pb::BatchMode::Atomic, vec![item(repay(1, 1_000, 0, "in-1")), item(register(2))]);
    let (code, info) = why(dana.commands().submit_batch(whole).await);
    assert_eq!((code, info.reason.as_str()), (Code::PermissionDenied, "ROLE_MISSING"));
    assert_eq!(info.metadata["item"], "1");
    assert_eq!(size_of(&guarded).await, size);

    let each = batch(pb::BatchMode::Independent, items());
    let answer = dana.commands().submit_batch(each).await.unwrap().into_inner();
    let reasons = |answer: &[pb::BatchItemResult]| {
        let reason = |result: &pb::BatchItemResult| match &result.outcome {
            Some(pb::batch_item_result::Outcome::Error(error)) => error.reason.clone(),
            _ => String::new(),
        };
        answer.iter().map(reason).collect::<Vec<_>>()
    };
    let expected = ["", "ROLE_MISSING", "INVALID_FIELD", "ROLE_MISSING", ""];
    assert_eq!(reasons(&answer.results), expected);
    // On a stream as well, and it goes on.
    let message = |mode, items| {
        let pb::SubmitBatchRequest { ledger, mode, items, .. } = batch(mode, items);
        pb::SubmitStreamRequest { ledger, mode, items, ..Default::default() }
    };
    let messages = vec![
        message(pb::BatchMode::Atomic, vec![item(register(2))]),
        message(
            pb::BatchMode::Independent,
            vec![item(repay(1, 3_000, 0, "in-3")), item(register(2))],
        ),
    ];
    let answers = dana.commands().submit_stream(futures::stream::iter(messages)).await.unwrap();
    let mut answers = answers.into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!(first.error.unwrap().reason, "ROLE_MISSING");
    let second = answers.message().await.unwrap().unwrap();
    assert_eq!(reasons(&second.results), ["", "ROLE_MISSING"]);
    assert!(answers.message().await.unwrap().is_none());
    assert_eq!(size_of(&guarded).await, size + 3);
    // Nothing of it for who has no role in the ledger, or only reads.
    for who in ["far", "auditor"] {
        let whole = batch(pb::BatchMode::Independent, items());
        assert!(role_missing(guarded.who(who).commands().submit_batch(whole).await), "{who}");
    }
    guarded.server.stop().await;
}

async fn size(guarded: &Guarded) -> u64 {
    let request = pb::GetHeadRequest { ledger: KAB.to_owned() };
    guarded.who("auditor").logs().get_head(request).await.unwrap().into_inner().log_size
}

use size as size_of;

#[tokio::test]
#[expect(
    clippy::needless_update,
    reason = "some requests have the fields that are said, and no more"
)]
async fn questions_are_answered_to_who_may_see_the_fund() {
    let guarded = programme().await;
    let mut seen: Vec<(&str, Vec<&str>)> = Vec::new();
    for who in PEOPLE {
        let (mut q, mut l) = (guarded.who(who).queries(), guarded.who(who).logs());
        let mut b = guarded.who(who).backups();
        let text = str::to_owned;
        let loan = "ledgers/kab/loans/l-1";
        let fund = || text(FUND);
        let kab = || text(KAB);
        macro_rules! ask {
            ($client:ident, $method:ident, $request:ident { $($field:ident: $value:expr),* }) => {
                !role_missing($client.$method(pb::$request { $($field: $value,)* ..Default::default() }).await)
            };
        }
        let may = [
            ("ledger", ask!(q, get_ledger, GetLedgerRequest { name: kab() })),
            ("fund", ask!(q, get_fund, GetFundRequest { name: fund() })),
            (
                "no such fund",
                ask!(q, get_fund, GetFundRequest { name: text("ledgers/kab/funds/none") }),
            ),
            (
                "coop",
                ask!(
                    q,
                    get_cooperative,
                    GetCooperativeRequest { name: text("ledgers/kab/cooperatives/c-1") }
                ),
            ),
            (
                "account",
                ask!(q, get_account, GetAccountRequest { name: format!("{FUND}/accounts/a-1") }),
            ),
            ("accounts", ask!(q, list_accounts, ListAccountsRequest { parent: fund() })),
            ("loan", ask!(q, get_loan, GetLoanRequest { name: text(loan) })),
            (
                "no such loan",
                ask!(q, get_loan, GetLoanRequest { name: text("ledgers/kab/loans/none") }),
            ),
            ("loans", ask!(q, list_loans, ListLoansRequest { parent: fund() })),
            ("balance", ask!(q, get_balance, GetBalanceRequest { name: text(loan) })),
            (
                "balances",
                ask!(
                    q,
                    batch_get_balances,
                    BatchGetBalancesRequest {
                        parent: kab(),
                        names: vec![text("ledgers/kab/funds/other"), fund()]
                    }
                ),
            ),
            ("trail", ask!(q, list_trail, ListTrailRequest { parent: fund() })),
            (
                "coop trail",
                ask!(
                    q,
                    list_trail,
                    ListTrailRequest { parent: text("ledgers/kab/cooperatives/c-1") }
                ),
            ),
            ("books", ask!(q, get_trial_balance, GetTrialBalanceRequest { name: fund() })),
            ("all books", ask!(q, get_trial_balance, GetTrialBalanceRequest { name: kab() })),
            ("head", ask!(l, get_head, GetHeadRequest { ledger: kab() })),
            ("record", ask!(l, get_record, GetRecordRequest { ledger: kab(), position: 1 })),
            ("records", ask!(l, read_records, ReadRecordsRequest { ledger: kab() })),
            ("subscribe", ask!(l, subscribe, SubscribeRequest { ledger: kab() })),
            (
                "inclusion",
                ask!(
                    l,
                    get_inclusion_proof,
                    GetInclusionProofRequest { ledger: kab(), position: 1 }
                ),
            ),
            (
                "fresh proof",
                ask!(l, get_balance_proof, GetBalanceProofRequest { name: fund(), fresh: true }),
            ),
            ("checkpoint", ask!(l, get_checkpoint, GetCheckpointRequest { ledger: kab() })),
            ("backup", ask!(b, read_backup, ReadBackupRequest { ledger: kab(), offset: 64 })),
            ("backups", ask!(b, list_backup_ledgers, ListBackupLedgersRequest {})),
        ];
        seen.push((who, may.into_iter().filter(|(_, may)| *may).map(|(what, _)| what).collect()));
    }
    let of_dana = vec![
        "ledger",
        "fund",
        "coop",
        "account",
        "accounts",
        "loan",
        "loans",
        "balance",
        "trail",
        "books",
        "head",
        "checkpoint",
    ];
    let of_all = vec![
        "ledger",
        "fund",
        "no such fund",
        "coop",
        "account",
        "accounts",
        "loan",
        "no such loan",
        "loans",
        "balance",
        "balances",
        "trail",
        "coop trail",
        "books",
        "all books",
        "head",
        "record",
        "inclusion",
        "checkpoint",
    ];
    let of_other = vec!["ledger", "coop", "head", "checkpoint"];
    let of_auditor = [
        "ledger",
        "fund",
        "no such fund",
        "coop",
        "account",
        "accounts",
        "loan",
        "no such loan",
        "loans",
        "balance",
        "balances",
        "trail",
        "coop trail",
        "books",
        "all books",
        "head",
        "record",
        "records",
        "subscribe",
        "inclusion",
        "checkpoint",
    ];
    let expected = [
        ("operator", vec!["ledger", "head", "records", "checkpoint", "backup", "backups"]),
        ("maker", of_all.clone()),
        ("checker", of_all.clone()),
        ("both", of_all),
        ("auditor", of_auditor.to_vec()),
        ("dana-maker", of_dana.clone()),
        ("dana-checker", of_dana),
        ("other-maker", of_other.clone()),
        ("other-checker", of_other),
        ("far", vec![]),
    ];
    for ((who, seen), (_, expected)) in seen.iter().zip(expected) {
        assert_eq!(*seen, expected, "{who}");
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn lists_show_what_may_be_seen_and_no_more() {
    let guarded = programme().await;
    guarded.who("maker").post(propose_reversal(PAID)).await.unwrap();
    for (who, ledgers, funds, proposals) in [
        ("auditor", 1, vec!["dana", "other"], 1),
        ("dana-maker", 1, vec!["dana"], 1),
        ("other-maker", 1, vec!["other"], 0),
        ("operator", 1, vec![], 0),
        ("far", 0, vec![], 0),
    ] {
        let mut queries = guarded.who(who).queries();
        let listed = queries.list_ledgers(pb::ListLedgersRequest::default()).await.unwrap();
        assert_eq!(listed.into_inner().ledgers.len(), ledgers, "{who}");
        let request = pb::ListFundsRequest { parent: KAB.to_owned(), ..Default::default() };
        let listed = queries.list_funds(request).await.map(|listed| listed.into_inner().funds);
        let names: Vec<String> = listed.unwrap_or_default().into_iter().map(|f| f.name).collect();
        let expected: Vec<String> = funds.iter().map(|f| format!("{KAB}/funds/{f}")).collect();
        assert_eq!(names, expected, "{who}");
        let request = pb::ListProposalsRequest { parent: KAB.to_owned(), ..Default::default() };
        let listed = queries.list_proposals(request).await.map(|l| l.into_inner().proposals);
        assert_eq!(listed.unwrap_or_default().len(), proposals, "{who}");
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn tiles_and_bundles_are_for_auditors_and_the_backup() {
    let guarded = Guarded::with(ALL, |options| options.http = Some(options.listen)).await;
    guarded.who("operator").post(open_ledger("kab")).await.unwrap();
    let http = guarded.server.http.unwrap();
    let get = async |who: Option<&str>, path: &str| {
        use hyper_util::client::legacy::Client;
        use hyper_util::rt::TokioExecutor;
        let url = format!("http://{http}/{path}");
        let mut request = tonic::codegen::http::Request::get(url);
        if let Some(who) = who {
            let token = guarded.signer.token(who);
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let client: Client<_, tonic::body::Body> =
            Client::builder(TokioExecutor::new()).build_http();
        let request = request.body(tonic::body::Body::empty()).unwrap();
        let answer = client.request(request).await.unwrap();
        if answer.status() == 200 {
            // No cache in between gives it to somebody else.
            let kept = answer.headers()["cache-control"].to_str().unwrap();
            assert!(["no-cache", "private, max-age=31536000, immutable"].contains(&kept), "{kept}");
        }
        answer.status().as_u16()
    };
    let origin = "ledger.example.go.id/kab";
    let bundle = format!("{origin}/tile/entries/000.p/1");
    let tile = format!("{origin}/tile/0/000.p/1");
    let checkpoint = format!("{origin}/checkpoint");
    for (who, list, checkpoint_status, money) in [
        (None, 401, 401, 401),
        (Some("auditor"), 200, 200, 200),
        (Some("operator"), 200, 200, 200),
        (Some("maker"), 200, 200, 403),
        (Some("dana-maker"), 200, 200, 403),
        (Some("far"), 200, 404, 404),
        (Some("nobody"), 403, 403, 403),
    ] {
        assert_eq!(get(who, "").await, list, "{who:?}");
        assert_eq!(get(who, &checkpoint).await, checkpoint_status, "{who:?}");
        assert_eq!(get(who, &bundle).await, money, "{who:?}");
        assert_eq!(get(who, &tile).await, money, "{who:?}");
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn health_is_for_everybody_and_the_schema_for_who_is_known() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    let guarded = Guarded::start(ALL).await;
    let mut health = HealthClient::new(guarded.server.channel.clone());
    assert!(health.check(HealthCheckRequest::default()).await.is_ok());
    let watch = health.watch(HealthCheckRequest::default()).await;
    assert_eq!(
        reason(watch.map(|_| ())),
        (Code::Unauthenticated, "CREDENTIALS_MISSING".to_owned())
    );
    // A ledger that is there is told apart from one that is not by those who may do something there.
    guarded.who("operator").post(open_ledger("kab")).await.unwrap();
    let named = |name: &str| HealthCheckRequest { service: name.to_owned() };
    let hears = async |who: Option<&str>, name: &str| {
        let token =
            who.map(|who| ("authorization", format!("Bearer {}", guarded.signer.token(who))));
        let who = Who::sending(&guarded.server.channel, token.into_iter().collect());
        let (channel, sends) = who.parts();
        let mut health = HealthClient::with_interceptor(channel, sends);
        let checked = health.check(named(name)).await;
        checked.map(|_| ()).map_err(|status| (status.code(), status.message().to_owned()))
    };
    let unknown = hears(Some("operator"), "ledgers/nowhere").await;
    assert_eq!(unknown.as_ref().unwrap_err().0, Code::NotFound);
    for (who, name, expected) in [
        (None, "bergulir.v1.LedgerService", Ok(())),
        (None, KAB, unknown.clone()),
        (None, "ledgers/nowhere", unknown.clone()),
        (Some("stranger"), KAB, unknown.clone()),
        (Some("stranger"), "", Ok(())),
        (Some("operator"), KAB, Ok(())),
        (Some("far"), KAB, unknown.clone()),
    ] {
        assert_eq!(hears(who, name).await, expected, "{who:?} {name}");
    }
    let far = guarded.who("far");
    let (channel, sends) = far.parts();
    let mut health = HealthClient::with_interceptor(channel, sends);
    for name in [KAB, "ledgers/nowhere"] {
        let refused = health.watch(named(name)).await.map(|_| ()).unwrap_err();
        let refused = Err((refused.code(), refused.message().to_owned()));
        assert_eq!(refused, unknown, "{name}");
    }
    // What does not exist is not told to strangers.
    let mut grpc = tonic::client::Grpc::new(guarded.server.channel.clone());
    grpc.ready().await.unwrap();
    let path = "/bergulir.v1.LedgerService/NoSuchMethod".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<pb::Posting, pb::Posting>::default();
    let refused = grpc.unary(tonic::Request::new(pb::Posting::default()), path, codec).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    guarded.server.stop().await;
}

#[tokio::test]
async fn on_loopback_grants_hold_for_who_is_stated() {
    let data = tempfile::tempdir().unwrap();
    let mut options = options(data.path());
    options.auth.grants = Some(grants(&[("operator", "operator @ kab"), ("maker", "maker @ kab")]));
    let server = Server::run(options).await;
    server.post("operator", open_ledger("kab")).await.unwrap();
    server.post("maker", open_fund()).await.unwrap();
    assert!(role_missing(server.post("operator", open_fund()).await));
    assert!(role_missing(server.post("checker", approve_loan(1)).await));
    let request = pb::GetRecordRequest { ledger: KAB.to_owned(), position: 1 };
    let maker = Who::sending(&server.channel, vec![("bergulir-principal", "maker".to_owned())]);
    let record = maker.logs().get_record(request).await.unwrap().into_inner().record.unwrap();
    assert_eq!(record.authentication(), pb::Authentication::Stated);
    server.stop().await;
}
