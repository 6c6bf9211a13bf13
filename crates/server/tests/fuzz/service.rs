//! Every request message, one by one: made from its descriptor, or changed in its bytes.

use crate::call::Call;
use crate::requests;
use crate::support::*;
use bergulir_audit::Options;
use bergulir_fuzz::{Target, fuzz};
use bergulir_proto::pb;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// After so many calls there is a new server: ledgers that callers open stay.
const CALLS: u32 = 1_000;

/// So often somebody asks for something ordinary in between.
const ORDINARY_EVERY: u32 = 50;

/// How long an answer may take, on whatever machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server, its data, and what has been asked of it.
struct World {
    runtime: Runtime,
    server: Option<Server>,
    folder: TempDir,
    calls: u32,
    registered: u32,
    methods: BTreeSet<String>,
}

impl World {
    fn new() -> World {
        let runtime = Runtime::new().unwrap();
        let (folder, server) = runtime.block_on(served());
        let (calls, registered, methods) = (0, 0, BTreeSet::new());
        World { runtime, server: Some(server), folder, calls, registered, methods }
    }

    /// Calls a method, and says what came of it.
    fn take(&mut self, input: &[u8]) -> String {
        let Some(call) = Call::read(input) else { return "no call".to_owned() };
        if self.calls == CALLS {
            self.renew();
        }
        self.calls += 1;
        let server = self.server.as_ref().unwrap();
        let answered = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, call.send(server.channel.clone())).await
        });
        let answered = answered.unwrap_or_else(|_| panic!("{} is not answered", call.method));
        if self.calls.is_multiple_of(ORDINARY_EVERY) {
            self.something_ordinary();
        }
        let came = match &answered {
            Ok(answers) if answers.is_empty() => "Ended".to_owned(),
            Ok(_) => "Answered".to_owned(),
            Err(status) => refusal(&call, status),
        };
        let short = call.method.rsplit('/').next().unwrap_or_default().to_owned();
        if requests::method(&call.method).is_some() {
            self.methods.insert(call.method);
            format!("{short} {came}")
        } else {
            came
        }
    }

    /// What anybody may ask at any time, whatever came before.
    fn something_ordinary(&mut self) {
        let server = self.server.as_ref().unwrap();
        self.registered += 1;
        let ordinary = pb::RegisterCooperative {
            cooperative: format!("ordinary-{}", self.registered),
            village_code: format!("36.03.29.2{:03}", self.registered % 1_000),
            kind: pb::CooperativeKind::Kdmp.into(),
            registered_name: "Koperasi".to_owned(),
            cooperative_number: None,
        };
        let kind = pb::command::Kind::RegisterCooperative(ordinary);
        let (size, answered) = self
            .runtime
            .block_on(async { (server.size().await, server.post("ordinary", kind).await) });
        let receipt = answered.expect("an ordinary call succeeds").receipt.unwrap();
        assert!(receipt.position >= size);
    }

    /// Holds what this server wrote against the books and the auditor.
    fn close(&mut self) {
        self.something_ordinary();
        let server = self.server.take().unwrap();
        self.runtime.block_on(async {
            let request = pb::GetTrialBalanceRequest { name: KAB.to_owned(), ..Default::default() };
            let trial = server.queries().get_trial_balance(request).await.unwrap().into_inner();
            assert!(!trial.funds.is_empty());
            for fund in trial.funds {
                assert_eq!(fund.total_debit, fund.total_credit, "the books balance");
            }
            server.stop().await;
        });
        let options = Options { patience: Duration::ZERO, ..Options::default() };
        let verified = bergulir_audit::verify(self.folder.path(), &options, &mut |_| ()).unwrap();
        assert!(!verified.ledgers.is_empty());
        for ledger in verified.ledgers {
            assert_eq!(ledger.finding, bergulir_audit::Finding::Valid, "{:?}", ledger.ledger);
        }
    }

    fn renew(&mut self) {
        self.close();
        let (folder, server) = self.runtime.block_on(served());
        (self.folder, self.server, self.calls, self.registered) = (folder, Some(server), 0, 0);
    }
}

/// A server with a ledger in which there is something of everything.
async fn served() -> (TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(4).await;
    server.lend(1, 100_000_000).await;
    server.post("maker", propose_loan(2, 50_000_000)).await.unwrap();
    let pb::command::Kind::OpenFund(loans) = open_fund() else { unreachable!() };
    let terms =
        pb::Terms { kind: pb::FundKind::Grant.into(), loan: None, ..loans.terms.clone().unwrap() };
    let grants = pb::OpenFund { fund: "hibah".to_owned(), terms: Some(terms), ..loans };
    server.post("maker", pb::command::Kind::OpenFund(grants)).await.unwrap();
    (folder, server)
}

/// A refusal says why, in our form, and is none of those that mean a fault of ours.
pub(crate) fn refusal(call: &Call, status: &Status) -> String {
    let info = status.get_details_error_info();
    let reason = info.as_ref().map_or("", |info| info.reason.as_str());
    assert!(
        match status.code() {
            Code::Unimplemented => requests::method(&call.method).is_none(),
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::ResourceExhausted => !reason.is_empty(),
            // A seal that another one comes before, or a checkpoint that is not there yet.
            Code::Unavailable => !reason.is_empty() && reason != "LEDGER_READ_ONLY",
            _ => false,
        },
        "{}: {status:?}",
        call.method
    );
    format!("{:?} {reason}", status.code())
}

#[test]
fn whatever_is_asked_is_answered_and_the_books_balance() {
    let world = Mutex::new(World::new());
    let samples = requests::samples();
    let target = Target::new("service", env!("CARGO_MANIFEST_DIR"))
        .samples(samples)
        .protobuf()
        .made(requests::made)
        .words(requests::WORDS)
        .memory(16 << 20, 1_000)
        .of_the_whole_process()
        .time(Duration::from_secs(2));
    {
        let world = AssertUnwindSafe(&world);
        fuzz!(target, move |input| {
            let world = &world;
            world.lock().unwrap_or_else(PoisonError::into_inner).take(input)
        });
    }
    let mut world = world.into_inner().unwrap_or_else(PoisonError::into_inner);
    world.close();
    let all: BTreeSet<String> = requests::methods().map(|method| requests::path(&method)).collect();
    let asked = &world.methods;
    assert!(all.len() > 50 && *asked == all, "never asked: {:?}", all.difference(asked));
}
