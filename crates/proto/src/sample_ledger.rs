//! A small ledger for tests, which writes its records as the server would.

use bergulir_chain::{Authentication, Record};
use bergulir_domain::command::{self as c, BankAccount, BankReference, Command, Evidence};
use bergulir_domain::cooperative::{CooperativeKind, ReadinessItem, ReadinessSet};
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::ledger::Origin;
use bergulir_domain::money::Currency;
use bergulir_domain::state::advance;
use bergulir_domain::terms::{Purpose, Terms};
use bergulir_domain::text::Text;
use bergulir_domain::{
    Amount, Context, Date, Event, Position, PrincipalId, Timestamp, Touched, UtcOffset, decide,
};

use crate::encode_event;
use crate::replay::{Grown, Replica};

/// The day on which everything happens.
const DAY: i32 = 2_461_102;

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap()
}

/// Records in memory, and what they add up to.
#[derive(Clone, Default)]
pub(crate) struct SampleLedger {
    pub(crate) replica: Replica,
    pub(crate) records: Vec<Vec<u8>>,
    /// Whom each record concerned.
    pub(crate) touched: Vec<Touched>,
    past: Past,
}

#[derive(Clone, Default)]
struct Past(Vec<Event>);

impl Lookups for Past {
    fn bank_reference(&self, reference: &BankReference) -> Result<Vec<Position>, LookupFailed> {
        let events = (0..).map(Position::new).zip(&self.0);
        let used = events.filter(|(_, event)| event.bank_reference() == Some(reference));
        Ok(used.map(|(position, _)| position).collect())
    }
    fn record(&self, position: Position) -> Result<Option<Event>, LookupFailed> {
        let place = usize::try_from(position.get()).unwrap();
        Ok(self.0.get(place).cloned())
    }
}

impl SampleLedger {
    pub(crate) fn open() -> SampleLedger {
        let mut ledger = SampleLedger::default();
        ledger.submit(&Command::OpenLedger(c::OpenLedger {
            ledger: "kab".parse().unwrap(),
            origin: Origin::new("ledger.example.go.id/kab").unwrap(),
            verifier_key: None,
            region: "36.03".parse().unwrap(),
            currency: Currency::Idr,
            utc_offset: UtcOffset::JAKARTA,
            rules_version: 1,
        }));
        ledger
    }

    /// Two funds with money, and three accounts of which one has got some of it twice.
    pub(crate) fn with_grants() -> SampleLedger {
        let mut ledger = SampleLedger::open();
        for fund in ["mandiri", "dana"] {
            ledger.open_fund(fund);
            ledger.allocate(fund, 900);
        }
        for (number, fund, account) in [(3, "mandiri", "a3"), (1, "dana", "b1"), (2, "dana", "a2")]
        {
            ledger.register(number);
            ledger.open_account(fund, account, number);
        }
        ledger.grant("dana", "a2", 100);
        ledger.grant("dana", "b1", 50);
        ledger.grant("dana", "a2", 25);
        ledger
    }

    /// A grant fund.
    pub(crate) fn open_fund(&mut self, fund: &str) {
        self.submit(&Command::OpenFund(c::OpenFund {
            fund: fund.parse().unwrap(),
            name: text("Dana"),
            opening_date: Date::from_julian_day(DAY).unwrap(),
            terms: Terms {
                purpose: Purpose::Grant,
                ceiling: Amount::from_minor(1_000).unwrap(),
                required_readiness: ReadinessSet::EMPTY,
                proposal_validity_days: None,
                disbursement_approval_above: None,
            },
        }));
    }

    pub(crate) fn allocate(&mut self, fund: &str, minor: i64) {
        let bank_reference = self.bank_reference();
        self.submit(&Command::AllocateFund(c::AllocateFund {
            fund: fund.parse().unwrap(),
            amount: Amount::from_minor(minor).unwrap(),
            source: c::AllocationSource::Apbd,
            reference: text("DPA"),
            bank_reference,
            value_date: Date::from_julian_day(DAY).unwrap(),
        }));
    }

    /// Cooperative `c{number}`.
    pub(crate) fn register(&mut self, number: u32) {
        self.submit(&Command::RegisterCooperative(c::RegisterCooperative {
            cooperative: format!("c{number}").parse().unwrap(),
            village: format!("36.03.01.2{number:03}").parse().unwrap(),
            kind: CooperativeKind::Kdmp,
            name: text("Koperasi"),
            cooperative_number: None,
        }));
    }

    /// An account of cooperative `c{number}`.
    pub(crate) fn open_account(&mut self, fund: &str, account: &str, number: u32) {
        self.submit(&Command::OpenAccount(c::OpenAccount {
            fund: fund.parse().unwrap(),
            account: account.parse().unwrap(),
            cooperative: format!("c{number}").parse().unwrap(),
            bank_account: BankAccount { bank: text("BPD"), number: text(&format!("0{number}")) },
            holder: text("Koperasi"),
        }));
    }

    pub(crate) fn grant(&mut self, fund: &str, account: &str, minor: i64) {
        let bank_reference = self.bank_reference();
        self.submit(&Command::DisburseGrant(c::DisburseGrant {
            fund: fund.parse().unwrap(),
            account: account.parse().unwrap(),
            amount: Amount::from_minor(minor).unwrap(),
            reference: text("SK"),
            bank_reference,
            value_date: Date::from_julian_day(DAY).unwrap(),
        }));
    }

    /// A record that concerns no fund and no account; `c1` must be registered.
    pub(crate) fn confirm(&mut self) -> Grown {
        self.submit(&Command::ConfirmReadiness(c::ConfirmReadiness {
            cooperative: "c1".parse().unwrap(),
            item: ReadinessItem::BankAccount,
            number: None,
            evidence: Evidence { reference: text("doc"), salted_digest: [7; 32] },
        }))
    }

    /// Seals everything so far.
    pub(crate) fn seal(&mut self) {
        let seal = self.replica.seal().unwrap();
        self.submit(&Command::Seal(seal));
    }

    fn bank_reference(&self) -> BankReference {
        let reference = text(&format!("N-{}", self.records.len()));
        BankReference { bank: text("BPD"), reference, line: None }
    }

    pub(crate) fn submit(&mut self, command: &Command) -> Grown {
        let is_seal = matches!(command, Command::Seal(_));
        let principal = if is_seal { PrincipalId::SYSTEM } else { "maker" };
        let second = i64::try_from(self.records.len()).unwrap();
        let days = i64::from(DAY - 2_440_588);
        let time = Timestamp::from_micros((days * 86_400 + second) * 1_000_000);
        let mut state = self.replica.state().clone();
        advance(&mut state, time);
        let context = Context {
            time,
            principal: PrincipalId::new(principal).unwrap(),
            lookups: &self.past,
            near: None,
        };
        let mut event = Vec::new();
        encode_event(&decide(&state, command, &context).unwrap(), &mut event);
        let record = Record {
            position: bergulir_chain::Position::new(self.replica.size().get()),
            previous: self.replica.head_hash(),
            recorded_at: bergulir_chain::Timestamp::from_micros(time.as_micros()),
            principal,
            authentication: if is_seal { Authentication::System } else { Authentication::Stated },
            request_id: [1; 16],
            following: 0,
            event: &event,
            signature: None,
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        let replayed = self.replica.replay(&bytes, &self.past).unwrap();
        let (event, grown, touched) = (replayed.event, replayed.grown, replayed.touched);
        self.touched.push(touched);
        self.past.0.push(event);
        self.records.push(bytes);
        grown
    }
}
