//! given / when / then: a ledger without a log, on which every step is checked on its way.

use crate::commands::{TODAY, approve_reversal, day, id, propose_reversal};
use crate::invariants::check_invariants;
use bergulir_domain::command::{self as c, BankReference, Command};
use bergulir_domain::decide::LookupFailed;
use bergulir_domain::moment::{MICROS_PER_DAY, UNIX_EPOCH_JULIAN_DAY};
use bergulir_domain::state::{Account, FundBalances, Loan, LoanBalances, advance};
use bergulir_domain::{
    Amount, Context, Event, Header, Lookups, Position, PrincipalId, Rejection, State, Timestamp,
    decide, evolve,
};
use std::collections::BTreeMap;

/// A ledger in memory: its state, its records, the clock, and who acts.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) state: State,
    pub(crate) records: Records,
    pub(crate) clock: Timestamp,
    pub(crate) principal: PrincipalId,
    labels: BTreeMap<String, Position>,
}

/// All records; looked up by going through them one by one.
#[derive(Clone, Default)]
pub(crate) struct Records(pub(crate) Vec<(Header, Event)>);

impl Lookups for Records {
    fn bank_reference(&self, reference: &BankReference) -> Result<Vec<Position>, LookupFailed> {
        let key = |r: &BankReference| (r.bank.clone(), r.reference.clone(), r.line.unwrap_or(0));
        let used = |event: &Event| event.bank_reference().map(key) == Some(key(reference));
        let users = self.0.iter().filter(|(_, event)| used(event));
        Ok(users.map(|(header, _)| header.position).collect())
    }
    fn record(&self, position: Position) -> Result<Option<Event>, LookupFailed> {
        let found = self.0.iter().find(|(h, _)| h.position == position);
        Ok(found.map(|(_, event)| event.clone()))
    }
}

/// 10:00 in Jakarta on that day.
pub(crate) fn ten_o_clock(date: &str) -> Timestamp {
    let days = day(date).to_julian_day() - UNIX_EPOCH_JULIAN_DAY;
    Timestamp::from_micros(i64::from(days) * MICROS_PER_DAY + 3 * 3_600_000_000)
}

/// Where a story begins.
pub(crate) fn given(ledger: Ledger) -> Ledger {
    ledger
}

/// Something that can be asked of a ledger.
pub(crate) trait Ask {
    fn command(self, ledger: &Ledger) -> Command;
}

/// A command about the record with that label.
pub(crate) fn on<F>(label: &'static str, command: F) -> On<F> {
    On { label, command }
}

pub(crate) struct On<F> {
    label: &'static str,
    command: F,
}

impl<C: Ask, F: Fn(Position) -> C> Ask for On<F> {
    fn command(self, ledger: &Ledger) -> Command {
        (self.command)(ledger.at(self.label)).command(ledger)
    }
}

impl Ask for Command {
    fn command(self, _: &Ledger) -> Command {
        self
    }
}

macro_rules! commands_can_be_asked {
    ($($name:ident)*) => {
        $(impl Ask for c::$name {
            fn command(self, _: &Ledger) -> Command {
                Command::$name(self)
            }
        })*
    };
}
commands_can_be_asked! {
    OpenLedger AdoptRules RotateKey OpenFund ChangeTerms AllocateFund
    ProposeAllocationWithdrawal ApproveAllocationWithdrawal ProposePeriodClose ApprovePeriodClose RegisterCooperative AppointOfficer
    ConfirmReadiness OpenAccount SuspendAccount ResumeAccount CloseAccount ProposeBankAccountChange ApproveBankAccountChange ProposeLoan ApproveLoan RefuseLoan WithdrawLoan
    Disburse DisburseGrant ProposeDisbursement ApproveDisbursement ReturnDisbursement Repay ProposeReversal ApproveReversal RefuseProposal
    WithdrawProposal Seal ContinueLedger ProposeWriteOff ApproveWriteOff RecordRecovery ProposeRestructuring ApproveRestructuring
}

/// The canonical bytes of a state: equal exactly if the states are.
pub(crate) fn encoded(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}

/// Everything in a state, what is derived too. Lines are sorted because a table's map of keys has
/// no order.
pub(crate) fn every_field(state: &State) -> Vec<String> {
    let mut lines: Vec<String> = format!("{state:#?}").lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

impl Ledger {
    /// A ledger that is not open yet.
    pub(crate) fn empty() -> Ledger {
        Ledger {
            state: State::default(),
            records: Records::default(),
            clock: ten_o_clock(TODAY),
            principal: id("maker"),
            labels: BTreeMap::new(),
        }
    }

    /// From here on that principal acts.
    pub(crate) fn by(mut self, principal: &str) -> Ledger {
        self.principal = id(principal);
        self
    }
    /// It is that day now, 10 o'clock.
    pub(crate) fn today(self, date: &str) -> Ledger {
        self.now(ten_o_clock(date))
    }
    /// It is that instant now.
    pub(crate) fn now(mut self, instant: Timestamp) -> Ledger {
        assert!(instant >= self.clock, "time goes forward");
        self.clock = instant;
        self
    }

    #[track_caller]
    pub(crate) fn when(mut self, ask: impl Ask) -> Answer {
        let command = ask.command(&self);
        let result = self.submit(&command);
        Answer { ledger: self, command, result }
    }

    /// Decides a command and, if it is accepted, applies its event; checks what must hold anyway.
    pub(crate) fn submit(&mut self, command: &Command) -> Result<Position, Rejection> {
        let not_advanced = self.state.clone();
        advance(&mut self.state, self.clock);
        let before = encoded(&self.state);
        let event = self.decide(command)?;

        assert_eq!(event.command(), *command, "the command can be rebuilt");
        let again = self.decide(&event.command());
        assert_eq!(again.as_ref(), Ok(&event), "decided again from its bytes");
        assert_eq!(encoded(&self.state), before, "deciding changes nothing");

        let header = Header {
            position: Position::new(self.state.size()),
            recorded_at: self.clock,
            principal: self.principal,
        };
        evolve(&mut self.state, &header, &event);
        let mut replayed = not_advanced;
        evolve(&mut replayed, &header, &event);
        assert_eq!(encoded(&replayed), encoded(&self.state), "replay is live");

        check_invariants(&self.state, self.clock);
        self.records.0.push((header, event));
        self.clock = Timestamp::from_micros(self.clock.as_micros() + 1_000_000);
        Ok(header.position)
    }

    pub(crate) fn decide(&self, command: &Command) -> Result<Event, Rejection> {
        let context = Context {
            time: self.clock,
            principal: self.principal,
            lookups: &self.records,
            near: None,
        };
        decide(&self.state, command, &context)
    }

    /// The state that the records lead to from nothing.
    pub(crate) fn replay(&self) -> State {
        let mut state = State::default();
        for (header, event) in &self.records.0 {
            evolve(&mut state, header, event);
        }
        state
    }

    /// Gives the last record a name.
    pub(crate) fn named(mut self, label: &str) -> Ledger {
        let last = Position::new(self.state.size() - 1);
        self.labels.insert(label.to_owned(), last);
        self
    }
    /// Where the record of that name stands.
    pub(crate) fn at(&self, label: &str) -> Position {
        self.labels[label]
    }
    /// Looks at the ledger on the way.
    pub(crate) fn see(self, look: impl FnOnce(&Ledger)) -> Ledger {
        look(&self);
        self
    }

    /// Proposed by one, as `proposal`, and approved by another; the maker goes on.
    #[track_caller]
    pub(crate) fn by_two<C: Ask>(
        self,
        proposal: impl Ask,
        approve: impl Fn(Position) -> C,
    ) -> Ledger {
        self.by("maker").when(proposal).then_ok().named("proposal").approved("proposal", approve)
    }

    /// What was proposed under that name is approved by another; the maker goes on.
    #[track_caller]
    pub(crate) fn approved<C: Ask>(
        self,
        proposal: &'static str,
        approve: impl Fn(Position) -> C,
    ) -> Ledger {
        self.by("checker").when(on(proposal, approve)).then_ok().by("maker")
    }

    /// The record of that name is reversed, by two people.
    #[track_caller]
    pub(crate) fn reversed(self, label: &'static str) -> Ledger {
        self.by_two(on(label, propose_reversal), approve_reversal)
    }

    pub(crate) fn fund_of(&self, fund: &str) -> FundBalances {
        let index = self.state.funds().find(&id(fund)).expect("a fund");
        self.state.funds().get(index).balances
    }
    /// The balances of the pilot's fund.
    pub(crate) fn fund(&self) -> FundBalances {
        self.fund_of("pilot")
    }
    pub(crate) fn account(&self, account: &str) -> &Account {
        let mut accounts = self.state.accounts().iter().map(|(_, row)| row);
        accounts.find(|a| a.id == id(account)).expect("an account")
    }
    pub(crate) fn loan(&self, loan: &str) -> &Loan {
        let index = self.state.loans().find(&id(loan)).expect("a loan");
        self.state.loans().get(index)
    }
    pub(crate) fn loan_balances(&self, loan: &str) -> LoanBalances {
        self.loan(loan).active().expect("an approved loan").balances()
    }
    #[track_caller]
    pub(crate) fn available(self, rupiah: Amount) -> Ledger {
        assert_eq!(self.fund().available(), rupiah.minor(), "available");
        self
    }
    #[track_caller]
    pub(crate) fn committable(self, minor: i64) -> Ledger {
        assert_eq!(self.fund().committable(), minor, "committable");
        self
    }
}

/// What the ledger said to a command.
pub(crate) struct Answer {
    ledger: Ledger,
    command: Command,
    result: Result<Position, Rejection>,
}

/// A shape of a rejection, as [`is!`](crate::is) writes it.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) matches: fn(&Rejection) -> bool,
    pub(crate) pattern: &'static str,
}

/// A shape of a rejection: `is!(LoanLimitExceeded { .. })`.
#[macro_export]
macro_rules! is {
    ($variant:ident $($facts:tt)*) => {
        $crate::given::Shape {
            matches: |rejection| {
                matches!(rejection, bergulir_domain::Rejection::$variant $($facts)*)
            },
            pattern: stringify!($variant $($facts)*),
        }
    };
}

impl Answer {
    /// It was accepted; one record more.
    #[track_caller]
    pub(crate) fn then_ok(self) -> Ledger {
        if let Err(rejection) = &self.result {
            panic!("refused: {rejection}\n{:#?}", self.command);
        }
        self.ledger
    }
    /// It was refused in that way; no record more.
    #[track_caller]
    pub(crate) fn then_refused(self, shape: Shape) -> Ledger {
        match &self.result {
            Ok(at) => panic!("accepted as record {at}: {:#?}", self.command),
            Err(rejection) => assert!(
                (shape.matches)(rejection),
                "refused by {rejection:?}, not by {}",
                shape.pattern
            ),
        }
        let records = self.ledger.records.0.len();
        assert_eq!(usize::try_from(self.ledger.state.size()), Ok(records));
        self.ledger
    }
}
