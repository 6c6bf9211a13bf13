//! Random sequences of commands over a few names, so that they get in each other's way: the ledger
//! and the naive model must agree at every step on what is accepted, why not, and every balance; and
//! so must a decider, which keeps less of the state.

mod picks;
mod steps;

use crate::commands::{self, id, open_ledger};
use crate::given::{Ledger, encoded, every_field};
use crate::model::{Model, Why};
use bergulir_domain::command::{self as c, Command};
use bergulir_domain::state::{Held, advance};
use bergulir_domain::{
    Context, Date, Decider, Decision, Position, PrincipalId, Rejection, State, Timestamp,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use steps::{Ask, HOUR, Step, Wait, beginning, steps};

/// A ledger and its model, side by side.
struct Pair {
    ledger: Ledger,
    model: Model,
    /// It has decided on every step so far, as a server does.
    decider: Decider,
    /// How often the earliest payment to a loan was taken back, and others stood.
    earliest_gone: u32,
    fresh: u32,
    telling: Option<Telling>,
}

/// A state that is held and told row by row, while commands go on.
struct Telling {
    held: Held,
    told: Vec<u8>,
    /// What it was when it was held.
    encoded: Vec<u8>,
}

impl Pair {
    fn new(rules_version: u32) -> Pair {
        let open = c::OpenLedger { rules_version, ..open_ledger() };
        let ledger = Ledger::empty().when(open.clone()).then_ok();
        let mut model = Model::default();
        model.apply(id("maker"), &Command::OpenLedger(open));
        let decider = Decider::new(&ledger.state);
        let (fresh, earliest_gone) = (0, 0);
        let mut pair = Pair { ledger, model, decider, earliest_gone, fresh, telling: None };
        for (by, command) in beginning() {
            pair.ask(by, &command).unwrap();
        }
        pair
    }

    /// All answer; their answers must be the same, and what they lead to.
    fn ask(&mut self, by: &str, command: &Command) -> Result<(), Why> {
        let by: PrincipalId = id(by);
        self.model.pass_time(self.ledger.clock);
        let broken = self.model.judge(by, command);
        self.ledger.principal = by;
        let decided = self.decide(command);
        let submitted = self.ledger.submit(command);
        self.evolve(decided, submitted.as_ref());
        let answer = match submitted {
            Ok(_) => {
                assert!(broken.is_empty(), "accepted against {broken:?}: {command:#?}");
                self.model.apply(by, command);
                Ok(())
            }
            Err(rejection) => {
                let why = Why::of(&rejection);
                assert!(
                    broken.contains(&why),
                    "refused by {rejection:?} ({why:?}), and the model finds {broken:?} broken: \
                     {command:#?}"
                );
                Err(why)
            }
        };
        self.model.compare(&self.ledger.state);
        self.tell_on();
        answer
    }

    fn decide(&mut self, command: &Command) -> Result<Decision, Rejection> {
        let Ledger { clock: time, principal, records: lookups, .. } = &self.ledger;
        self.decider.advance(*time);
        let context = Context { time: *time, principal: *principal, lookups, near: None };
        self.decider.decide(command, &context)
    }

    /// The decider goes on by what it decided, which is what the ledger did.
    fn evolve(
        &mut self,
        decided: Result<Decision, Rejection>,
        submitted: Result<&Position, &Rejection>,
    ) {
        let before = earliest_days(&self.decider);
        match (decided, submitted) {
            (Ok(decision), Ok(_)) => {
                let (header, event) = self.ledger.records.0.last().unwrap();
                assert_eq!(decision.event, *event);
                self.decider.evolve(header, &decision);
            }
            (decided, submitted) => assert_eq!(decided.as_ref().err(), submitted.err()),
        }
        let after = earliest_days(&self.decider);
        assert_eq!(after, earliest_days(&self.ledger.state), "the earliest days of loans");
        let mut both = before.iter().zip(&after);
        self.earliest_gone += u32::from(both.any(|(before, after)| {
            matches!((before, after), (Some(before), Some(after)) if before < after)
        }));
    }

    /// Tells one more row of the state that is held; all of them are as they were.
    fn tell_on(&mut self) {
        let state = &mut self.ledger.state;
        match &mut self.telling {
            None => {
                let (encoded, mut told) = (encoded(state), Vec::new());
                let held = state.hold(&mut told);
                self.telling = Some(Telling { held, told, encoded });
            }
            Some(Telling { held, told, encoded }) => {
                if !state.tell(held, 1, told, |_, _| ()) {
                    assert!(told == encoded, "what was held has changed");
                    self.telling = None;
                }
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Why> {
        let now = self.ledger.clock.as_micros();
        let wait = match step.wait {
            Wait::Nothing => 0,
            Wait::HalfADay => 12 * HOUR,
            Wait::Days(days) => i64::from(days) * 24 * HOUR,
        };
        self.ledger.clock = Timestamp::from_micros(now + wait);
        // Proposals may lapse meanwhile, and what is picked from must not.
        self.model.pass_time(self.ledger.clock);
        let command = self.command(step);
        let by = if step.ask == Ask::Seal && step.dated < 50 {
            "system"
        } else {
            self.actor(step, &command)
        };
        self.ask(by, &command)
    }
}

/// The day of the earliest payment to each loan.
fn earliest_days(state: &State) -> Vec<Option<Date>> {
    let loans = state.loans().iter();
    loans.map(|(_, loan)| loan.active().and_then(|active| active.tranches.earliest())).collect()
}

/// The rules that a story begins under: mostly the newest, which know most.
fn versions() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(1), 1 => Just(2), 3 => Just(3)]
}

// Each case is a whole story: fewer of them are enough. PROPTEST_CASES asks for more.
proptest! {
    #![proptest_config(Config { cases: Config::default().cases / 2, ..Config::default() })]

    #[test]
    fn the_ledger_and_the_naive_model_agree(rules in versions(), steps in steps()) {
        let mut pair = Pair::new(rules);
        for step in &steps {
            let _ = pair.step(step);
        }
        let mut replayed = pair.ledger.replay();
        advance(&mut replayed, pair.ledger.clock);
        advance(&mut pair.ledger.state, pair.ledger.clock);
        pair.decider.advance(pair.ledger.clock);
        let begun_here = Decider::new(&pair.ledger.state);
        prop_assert_eq!(every_field(&pair.decider), every_field(&begun_here));
        let live = every_field(&pair.ledger.state);
        prop_assert_eq!(every_field(&replayed), live.as_slice());
        let decoded = State::decode(&encoded(&pair.ledger.state));
        prop_assert_eq!(every_field(&decoded.unwrap()), live);
    }
}

proptest! {
    #![proptest_config(Config { cases: Config::default().cases / 8, ..Config::default() })]

    #[test]
    fn a_batch_of_anything_can_be_dropped(before in steps(), batch in steps()) {
        let mut pair = Pair::new(3);
        for step in &before {
            let _ = pair.step(step);
        }
        let as_it_was = [every_field(&pair.ledger.state), every_field(&pair.decider)];
        pair.ledger.state.mark();
        pair.decider.mark();
        for step in &batch {
            let _ = pair.step(step);
        }
        pair.ledger.state.roll_back();
        pair.decider.roll_back();
        prop_assert_eq!([every_field(&pair.ledger.state), every_field(&pair.decider)], as_it_was);
    }
}

/// A property that is never put to the test proves nothing.
#[test]
fn the_sequences_reach_every_command_and_every_rule() {
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let accepted = RefCell::new(BTreeMap::<Ask, u32>::new());
    let refused = RefCell::new(BTreeMap::<Why, u32>::new());
    let earliest_gone = Cell::new(0);
    let run =
        TestRunner::new_with_rng(config, seed).run(&(versions(), steps()), |(rules, steps)| {
            let mut pair = Pair::new(rules);
            for step in &steps {
                match pair.step(step) {
                    Ok(()) => *accepted.borrow_mut().entry(step.ask).or_default() += 1,
                    Err(why) => *refused.borrow_mut().entry(why).or_default() += 1,
                }
            }
            earliest_gone.set(earliest_gone.get() + pair.earliest_gone);
            Ok(())
        });
    run.unwrap();
    assert!(earliest_gone.get() > 0);
    let never = [Ask::OpenLedger];
    let kinds = Ask::Disburse as u8..=Ask::OpenLedger as u8;
    assert_eq!(accepted.borrow().len(), kinds.count() - never.len(), "{accepted:?}");
    let rules = Why::Ledger as u8..=Why::NotThatRecord as u8;
    assert_eq!(refused.borrow().len(), rules.count(), "{refused:?}");
}
