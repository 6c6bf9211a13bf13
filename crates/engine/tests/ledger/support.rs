//! A node on a folder of its own, and the pilot's commands.

use bergulir_chain::note::VerifierKey;
use bergulir_chain::{Authentication, Position, Record};
use bergulir_domain::command::*;
use bergulir_domain::cooperative::{CooperativeKind, Office, ReadinessSet};
use bergulir_domain::ledger::{Origin, Region};
use bergulir_domain::money::{Currency, Rate};
use bergulir_domain::terms::{InterestMethod, LoanTerms, Purpose, Terms as FundTerms};
use bergulir_domain::text::Text;
use bergulir_domain::{
    Amount, Command, Date, Event, LedgerId, Money, PrincipalId, Timestamp, UtcOffset,
};
use bergulir_engine::clock::Clock;
use bergulir_engine::{
    Accepted, Answer, Caller, Ledger, LedgerOptions, Node, NodeOptions, ReadLimit, Refusal,
    Request, Slot, Terms, Work,
};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// 2026-03-20T02:00:00Z, nine in the morning in Jakarta.
pub const NINE: i64 = 1_773_972_000_000_000;

/// A clock that the test sets; the monotonic clock goes with it, but for steps.
pub struct TestClock {
    passed: AtomicI64,
    stepped: AtomicI64,
}

impl TestClock {
    pub fn at(micros: i64) -> TestClock {
        TestClock { passed: AtomicI64::new(micros), stepped: AtomicI64::new(0) }
    }
    pub fn pass(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap();
        self.passed.fetch_add(micros, Ordering::SeqCst);
    }
    /// Sets it forward or back.
    pub fn step(&self, seconds: i64) {
        self.stepped.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
    pub fn micros(&self) -> i64 {
        self.passed.load(Ordering::SeqCst) + self.stepped.load(Ordering::SeqCst)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros())
    }
    fn monotonic(&self) -> Duration {
        let passed = self.passed.load(Ordering::SeqCst);
        Duration::from_micros(u64::try_from(passed - NINE / 2).unwrap())
    }
}

pub fn id(n: u64) -> [u8; 16] {
    let mut id = [0xA5; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    id
}

pub fn caller(name: &str) -> Caller {
    Caller { principal: PrincipalId::new(name).unwrap(), authentication: Authentication::Stated }
}

pub fn text<const MAX: usize>(s: &str) -> Text<MAX> {
    Text::new(s).unwrap()
}

pub fn rp(rupiah: i64) -> Amount {
    Amount::from_minor(rupiah * 100).unwrap()
}

pub fn day(s: &str) -> Date {
    let mut parts = s.split('-').map(|p| p.parse::<u16>().unwrap());
    let mut next = || parts.next().unwrap();
    let (year, month, day) = (next(), next(), next());
    let month = time::Month::try_from(u8::try_from(month).unwrap()).unwrap();
    Date::from_calendar_date(i32::from(year), month, u8::try_from(day).unwrap()).unwrap()
}

pub fn bank(reference: &str) -> BankReference {
    BankReference { bank: text("BANK"), reference: text(reference), line: None }
}

pub fn open_ledger(ledger: &str) -> Command {
    Command::OpenLedger(OpenLedger {
        ledger: LedgerId::new(ledger).unwrap(),
        origin: Origin::new(&format!("ledger.example.go.id/{ledger}")).unwrap(),
        verifier_key: None,
        region: "36.03".parse::<Region>().unwrap(),
        currency: Currency::Idr,
        utc_offset: UtcOffset::JAKARTA,
        rules_version: 1,
    })
}

pub fn open_fund() -> Command {
    let loan = LoanTerms {
        rate: Rate::from_units(50_000).unwrap(),
        method: InterestMethod::Flat,
        tenor_months: 36,
        grace_months: 3,
        grace_bears_interest: false,
        repayment_order: None,
        relend_income: false,
    };
    Command::OpenFund(OpenFund {
        fund: "f".parse().unwrap(),
        name: text("Dana Bergulir"),
        opening_date: day("2026-01-02"),
        terms: FundTerms {
            purpose: Purpose::Loan(loan),
            ceiling: rp(3_000_000_000),
            required_readiness: ReadinessSet::EMPTY,
            proposal_validity_days: None,
            disbursement_approval_above: None,
        },
    })
}

pub fn allocate(rupiah: i64, reference: &str) -> Command {
    Command::AllocateFund(AllocateFund {
        fund: "f".parse().unwrap(),
        amount: rp(rupiah),
        source: AllocationSource::Apbd,
        reference: text("SK-1"),
        bank_reference: bank(reference),
        value_date: day("2026-01-05"),
    })
}

/// Everything that makes cooperative `n` able to borrow.
pub fn cooperative(n: u32) -> Vec<Command> {
    let cooperative = format!("c{n}").parse().unwrap();
    let name = format!("KDMP {n}");
    vec![
        Command::RegisterCooperative(RegisterCooperative {
            cooperative,
            village: format!("36.03.01.2{n:03}").parse().unwrap(),
            kind: CooperativeKind::Kdmp,
            name: text(&name),
            cooperative_number: None,
        }),
        appoint(n, Office::Chair, "ketua"),
        appoint(n, Office::Treasurer, "bendahara"),
        Command::OpenAccount(OpenAccount {
            fund: "f".parse().unwrap(),
            account: format!("a{n}").parse().unwrap(),
            cooperative,
            bank_account: BankAccount { bank: text("BANK"), number: text(&format!("00{n}")) },
            holder: text(&name),
        }),
    ]
}

pub fn appoint(n: u32, office: Office, who: &str) -> Command {
    Command::AppointOfficer(AppointOfficer {
        cooperative: format!("c{n}").parse().unwrap(),
        office,
        officer: format!("{who}-{n}").parse().unwrap(),
        evidence: None,
    })
}

pub fn propose_loan(loan: &str, n: u32, rupiah: i64) -> Command {
    Command::ProposeLoan(ProposeLoan {
        fund: "f".parse().unwrap(),
        account: format!("a{n}").parse().unwrap(),
        loan: loan.parse().unwrap(),
        principal: rp(rupiah),
        contract_reference: text("PK-1"),
        chair: format!("ketua-{n}").parse().unwrap(),
        treasurer: format!("bendahara-{n}").parse().unwrap(),
        expires_at: None,
    })
}

pub fn approve_loan(loan: &str) -> Command {
    Command::ApproveLoan(ApproveLoan { loan: loan.parse().unwrap() })
}

pub fn disburse(loan: &str, rupiah: i64, reference: &str) -> Command {
    Command::Disburse(Disburse {
        loan: loan.parse().unwrap(),
        amount: rp(rupiah),
        bank_reference: bank(reference),
        value_date: day("2026-02-02"),
    })
}

pub fn repay(loan: &str, principal: i64, interest: i64, reference: &str) -> Command {
    let part = |rupiah: i64| (rupiah > 0).then(|| Money::from_minor(rupiah * 100).unwrap());
    Command::Repay(Repay {
        loan: loan.parse().unwrap(),
        amount: rp(principal + interest),
        principal: part(principal),
        interest: part(interest),
        late_fee: None,
        bank_reference: bank(reference),
        value_date: day("2026-03-02"),
    })
}

pub fn propose_reversal(reverses: u64) -> Command {
    Command::ProposeReversal(ProposeReversal {
        reverses: bergulir_domain::Position::new(reverses),
        reason: text("salah rekening"),
        evidence: None,
        expires_at: None,
    })
}

pub fn approve_reversal(proposal: u64) -> Command {
    let proposal = bergulir_domain::Position::new(proposal);
    Command::ApproveReversal(ApproveReversal { proposal })
}

/// A node with one ledger `pilot`, and the next request id to give.
pub struct Desk {
    pub folder: std::path::PathBuf,
    pub node: Arc<Node>,
    pub clock: Arc<TestClock>,
    next_id: Mutex<u64>,
}

impl Desk {
    /// Opens the node on a folder, with whatever lies there.
    pub fn at(folder: &Path, options: impl Into<NodeOptions>) -> Desk {
        Desk::at_time(folder, options, NINE)
    }

    pub fn at_time(folder: &Path, options: impl Into<NodeOptions>, micros: i64) -> Desk {
        let clock = Arc::new(TestClock::at(micros));
        let node = Node::open(folder, Arc::clone(&clock) as _, options, &|_, _, _| {}).unwrap();
        let folder = folder.to_owned();
        Desk { folder, node: Arc::new(node), clock, next_id: Mutex::new(1) }
    }

    /// A fresh ledger with a fund of Rp5,800,000,000 and one cooperative.
    pub async fn pilot(folder: &Path, options: impl Into<NodeOptions>) -> Desk {
        let desk = Desk::at(folder, options);
        desk.create("pilot").await;
        desk.post("maker", open_fund()).await.unwrap();
        desk.post("maker", allocate(5_800_000_000, "ALLOC")).await.unwrap();
        for command in cooperative(1) {
            desk.post("maker", command).await.unwrap();
        }
        desk
    }

    /// Opens a ledger with a key of the node's.
    pub async fn create(&self, ledger: &str) {
        let id = LedgerId::new(ledger).unwrap();
        let Command::OpenLedger(mut open) = open_ledger(ledger) else { unreachable!() };
        let key = self.node.verifier_key(&open.origin, id).unwrap();
        open.verifier_key = Some(Text::new(&key.to_string()).unwrap());
        self.create_as(Command::OpenLedger(open)).await;
    }

    pub async fn create_as(&self, command: Command) {
        let Command::OpenLedger(open) = &command else { panic!("opens no ledger: {command:?}") };
        let id = open.ledger;
        let request = Request { request_id: self.fresh(), command };
        let answer = self.node.create(id, caller("operator"), request, Terms::PLAIN).await;
        assert!(matches!(answer, Answer::Items(_)), "{answer:?}");
    }

    pub fn ledger(&self) -> Arc<Ledger> {
        self.named("pilot")
    }

    pub fn named(&self, ledger: &str) -> Arc<Ledger> {
        match self.node.ledger(LedgerId::new(ledger).unwrap()) {
            Some(Slot::Open(ledger)) => ledger,
            Some(Slot::Broken(error)) => panic!("{error}"),
            None => panic!("there is no ledger {ledger}"),
        }
    }

    pub fn fresh(&self) -> [u8; 16] {
        let mut next = self.next_id.lock().unwrap();
        *next += 1;
        id(*next)
    }

    /// Leaves out so many request ids: those of an earlier desk on the same folder.
    pub fn skip_ids(&self, count: u64) {
        *self.next_id.lock().unwrap() += count;
    }

    /// Posts one command under a fresh request id.
    pub async fn post(&self, who: &str, command: Command) -> Result<Accepted, Refusal> {
        let request_id = self.fresh();
        self.send(who, request_id, command, Terms::PLAIN).await
    }

    pub async fn send(
        &self,
        who: &str,
        request_id: [u8; 16],
        command: Command,
        terms: Terms,
    ) -> Result<Accepted, Refusal> {
        let work = Work::Single(Request { request_id, command });
        match self.ledger().submit(caller(who), work, terms).await {
            Answer::Items(mut items) => items.pop().unwrap(),
            Answer::Refused { refusal, .. } => Err(refusal),
        }
    }

    /// A loan that is approved and may be disbursed.
    pub async fn lend(&self, loan: &str, rupiah: i64) {
        self.post("maker", propose_loan(loan, 1, rupiah)).await.unwrap();
        self.post("checker", approve_loan(loan)).await.unwrap();
    }

    pub fn size(&self) -> u64 {
        self.ledger().head().size.get()
    }

    /// Stops the node as a clean shutdown does.
    pub async fn stop(self) {
        let node = Arc::clone(&self.node);
        tokio::task::spawn_blocking(move || node.stop()).await.unwrap();
    }
}

/// No seal comes between, so that an index is all that a start goes on from.
pub fn never() -> LedgerOptions {
    LedgerOptions { seal_at_stop: u64::MAX, ..LedgerOptions::default() }
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for found in std::fs::read_dir(from).unwrap() {
        let (path, name) = found.map(|f| (f.path(), f.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// The keys that a ledger's log names, in order.
pub async fn named_keys(ledger: &Ledger) -> Vec<VerifierKey> {
    let named = |state: &bergulir_domain::State, _| {
        state.keys().map(|(_, key)| key.as_str().parse().unwrap()).collect()
    };
    ledger.read(None, named).await.unwrap()
}

/// Every event of a ledger, with its request id and whether its batch goes on.
pub fn events(ledger: &Ledger) -> Vec<(Event, [u8; 16], u32)> {
    let mut events = Vec::new();
    while (events.len() as u64) < ledger.head().size.get() {
        let from = Position::new(events.len() as u64);
        for (_, bytes) in &ledger.records(from, ReadLimit::STEP).unwrap() {
            let record = Record::parse(bytes).unwrap();
            let event = bergulir_proto::decode_event(record.event).unwrap();
            events.push((event, record.request_id, record.following));
        }
    }
    events
}
