//! A payment that is taken back: the writer keeps the days of payments alone, and has to know which
//! day goes, wherever the payment is by then: in the same batch, in a group that is not durable yet,
//! in the log, or in a snapshot.

use super::commands::{
    approve_reversal, bring_back, day, disburse, id, propose_reversal, repay, rp,
};
use super::machine::{Machine, Site};
use super::simulated::Chance;
use super::steps::beginning;
use crate::inbox::Patience;
use crate::ledger::LedgerOptions;
use crate::submission::{Answer, Caller, Refusal, Request, Terms, Work};
use crate::writer::Waiter;
use bergulir_chain::Authentication;
use bergulir_domain::{Command, Date, Position, Rejection, command as c};

const PLAIN: Terms = Terms::PLAIN;
const TRIAL: Terms = Terms { validate_only: true, ..Terms::PLAIN };

/// A ledger that takes each step when it is told to.
struct Desk {
    site: Site,
    machine: Option<Machine>,
    requests: u64,
}

impl Desk {
    /// The loan `l1` is approved, and nothing of it paid.
    fn new() -> Desk {
        let mut site = Site::new(&mut Chance::seeded(1));
        let (queue, seal_every) = (64, 1 << 20);
        site.ledger = LedgerOptions { queue, seal_every, ..LedgerOptions::default() };
        site.create([0; 16], 3);
        let machine = Some(site.open().unwrap());
        let mut desk = Desk { site, machine, requests: 0 };
        for (by, command) in beginning() {
            desk.asks(by, command).unwrap();
            desk.settle();
        }
        desk
    }

    fn machine(&mut self) -> &mut Machine {
        self.machine.as_mut().unwrap()
    }

    fn request(&mut self, command: Command) -> Request {
        self.requests += 1;
        Request { request_id: u128::from(self.requests).to_be_bytes(), command }
    }

    /// What the writer decides, who is told nothing before it is durable.
    fn answer(&mut self, by: &str, work: Work, terms: Terms) -> Answer {
        self.site.clock.pass(1_000_000);
        let caller = Caller { principal: id(by), authentication: Authentication::Stated };
        let machine = self.machine();
        let reply = machine.ledger.inbox.submit(caller, work, terms, Patience::Limited).unwrap();
        machine.write();
        match machine.writer.bundle.waiters.last() {
            Some(Waiter::Answer(_, answer, _)) => answer.clone(),
            _ => panic!("{reply:?}"),
        }
    }

    /// Where the next record comes to lie, if this is accepted.
    fn asks(&mut self, by: &str, command: Command) -> Result<Position, Rejection> {
        let at = Position::new(self.machine().writer.state.size());
        let work = Work::Single(self.request(command));
        decided(self.answer(by, work, PLAIN)).map(|()| at)
    }

    fn batch<const N: usize>(&mut self, commands: [Command; N]) -> Result<(), Rejection> {
        let work = Work::Atomic(commands.map(|command| self.request(command)).into());
        decided(self.answer("ani", work, PLAIN))
    }

    fn pays(&mut self, date: &str) -> Position {
        self.asks("ani", paid(date)).unwrap()
    }

    fn comes_back(&mut self, payment: Position) -> Position {
        self.asks("ani", came_back(payment)).unwrap()
    }

    fn reverses(&mut self, record: Position, between: fn(&mut Desk)) {
        let proposal = Command::ProposeReversal(propose_reversal(record));
        let proposal = self.asks("ani", proposal).unwrap();
        between(self);
        let approval = Command::ApproveReversal(approve_reversal(proposal));
        self.asks("budi", approval).unwrap();
    }

    /// The day of the earliest payment that stands: on none before it the borrower can have repaid.
    fn earliest(&mut self) -> Option<Date> {
        let work = Work::Single(self.request(repaid("2026-01-02")));
        match decided(self.answer("ani", work, TRIAL)) {
            Err(Rejection::ValueDateOutOfRange { earliest, .. }) => Some(earliest),
            Err(Rejection::NothingDisbursed { .. }) => None,
            other => panic!("{other:?}"),
        }
    }

    /// All that was decided is durable and indexed.
    fn settle(&mut self) {
        let machine = self.machine();
        let spare = machine.spare.take().unwrap();
        let mut bundle = machine.writer.close(spare);
        machine.persister.append(&bundle);
        machine.persister.answer(&mut bundle);
        machine.spare = Some(bundle);
        while !machine.published.is_empty() {
            machine.project(&mut || ());
        }
        // Forgets what the index has.
        assert!(!machine.writer.must_wait_for_the_index());
        assert_eq!(machine.writer.recent.first(), machine.writer.state.size());
    }

    fn opened_again(&mut self) {
        self.settle();
        self.machine = None;
        self.machine = Some(self.site.open().unwrap());
    }
}

fn decided(answer: Answer) -> Result<(), Rejection> {
    match answer {
        Answer::Items(items) => items.into_iter().try_for_each(|item| match item {
            Ok(_) => Ok(()),
            Err(refusal) => Err(rule(refusal)),
        }),
        Answer::Refused { refusal, .. } => Err(rule(refusal)),
    }
}

fn rule(refusal: Refusal) -> Rejection {
    match refusal {
        Refusal::Rule(rejection) => rejection,
        other => panic!("{other}"),
    }
}

fn paid(date: &str) -> Command {
    Command::Disburse(c::Disburse { value_date: day(date), ..disburse("l1", rp(10)) })
}

fn came_back(payment: Position) -> Command {
    Command::ReturnDisbursement(bring_back(payment))
}

fn repaid(date: &str) -> Command {
    Command::Repay(c::Repay { value_date: day(date), ..repay("l1", [0, 1, 0]) })
}

/// Everything that takes a payment back or has it stand again, `between` after each step.
fn the_earliest_is_known(between: fn(&mut Desk)) {
    let mut desk = Desk::new();
    let [second, first, first_again, last] =
        ["2026-02-20", "2026-02-10", "2026-02-10", "2026-02-27"].map(|date| desk.pays(date));
    let then = |desk: &mut Desk, date: Option<&str>| {
        between(desk);
        assert_eq!(desk.earliest(), date.map(day));
    };
    then(&mut desk, Some("2026-02-10"));
    let came_back_at = desk.comes_back(first);
    then(&mut desk, Some("2026-02-10"));
    desk.reverses(first_again, between);
    then(&mut desk, Some("2026-02-20"));

    let work = Work::Single(desk.request(came_back(second)));
    decided(desk.answer("ani", work, TRIAL)).unwrap();
    then(&mut desk, Some("2026-02-20"));

    desk.reverses(came_back_at, between);
    then(&mut desk, Some("2026-02-10"));
    desk.comes_back(first);
    then(&mut desk, Some("2026-02-20"));
    desk.reverses(second, between);
    then(&mut desk, Some("2026-02-27"));
    desk.comes_back(last);
    then(&mut desk, None);
}

#[test]
fn the_earliest_payment_is_known_while_nothing_is_durable() {
    the_earliest_is_known(|_| ());
}

#[test]
fn the_earliest_payment_is_known_when_the_others_are_in_the_log_alone() {
    the_earliest_is_known(Desk::settle);
}

#[test]
fn the_earliest_payment_is_known_when_the_ledger_is_opened_again() {
    the_earliest_is_known(Desk::opened_again);
}

#[test]
fn a_payment_of_the_same_batch_is_taken_back() {
    for settled in [false, true] {
        let mut desk = Desk::new();
        let next = Position::new(desk.machine().writer.state.size());
        let both = || [paid("2026-02-10"), paid("2026-02-20"), came_back(next)];
        let [first, second, back] = both();
        let refused = desk.batch([first, second, back, repaid("2026-02-19")]);
        let Err(Rejection::ValueDateOutOfRange { earliest, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(earliest, day("2026-02-20"));
        assert_eq!(desk.earliest(), None, "all of it is gone");
        desk.batch(both()).unwrap();
        assert_eq!(desk.earliest(), Some(day("2026-02-20")));
        if settled {
            desk.settle();
        }

        // What was there before the batch stands if it is refused.
        let second = Position::new(next.get() + 1);
        let refused = desk.batch([paid("2026-02-25"), came_back(second), repaid("2026-02-24")]);
        let Err(Rejection::ValueDateOutOfRange { earliest, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(earliest, day("2026-02-25"));
        assert_eq!(desk.earliest(), Some(day("2026-02-20")));
    }
}

#[test]
fn a_payment_that_the_disk_does_not_give_is_not_taken_back() {
    let mut desk = Desk::new();
    // Each in a frame of its own: of others the log keeps what was read in part.
    let [first, second] = ["2026-02-10", "2026-02-20"].map(|date| {
        let payment = desk.pays(date);
        desk.settle();
        payment
    });
    let proposal = Command::ProposeReversal(propose_reversal(first));
    let proposal = desk.asks("ani", proposal).unwrap();
    desk.settle();
    let approval = || Command::ApproveReversal(approve_reversal(proposal));
    for (by, taken_back) in [("budi", approval()), ("ani", came_back(first))] {
        let size = desk.machine().writer.state.size();
        desk.site.disk.plan_read(0);
        assert_eq!(desk.asks(by, taken_back), Err(Rejection::LookupFailed));
        assert!(desk.site.disk.reads_again());
        assert_eq!(desk.machine().writer.state.size(), size);
        desk.opened_again();
        assert_eq!(desk.earliest(), Some(day("2026-02-10")));
    }
    desk.asks("budi", approval()).unwrap();
    assert_eq!(desk.earliest(), Some(day("2026-02-20")));
    desk.comes_back(second);
    assert_eq!(desk.earliest(), None);
}
