//! The whole engine over a simulated disk and clock, run step by step in one thread: a seed chooses
//! what callers ask, what is decided together, when a group is written and answered, how far the
//! projections lag, what fails and where the power goes. A naive model decides the same commands in
//! the order of the log, and every answer, read and record must be what it says.
//!
//! See docs/adr/0024-simulation.md. `BERGULIR_SIM_SEEDS` says how many seeds are run, `BERGULIR_SEED`
//! with which to begin; `replay_one_seed` prints every step of one.

mod callers;
mod checks;
mod counts;
mod due;
mod faults;
mod groups;
mod machine;
mod oracle;
mod reads;
mod reasons;
mod run;
mod snapshots;
mod starts;
mod taken_back;
mod watchers;

/// The file operations that the simulated disk stands for.
mod medium {
    pub(super) use bergulir_store::file_log::{Medium, MediumFile};
}
#[path = "../../../store/src/file_log/simulated.rs"]
#[expect(dead_code, reason = "the store's own tests use the rest")]
mod simulated;

// The naive model and the random steps are those of the rules.
#[path = "../../../domain/tests/rules/commands.rs"]
#[expect(dead_code, reason = "the tests of rules use the rest")]
mod commands;
#[path = "../../../domain/tests/rules/model/mod.rs"]
mod model;
#[path = "../../../domain/tests/rules/sequences/picks.rs"]
mod picks;
#[path = "../../../domain/tests/rules/sequences/steps.rs"]
mod steps;

use bergulir_domain::{Event, Header, State, Timestamp};
use model::Model;
use run::Run;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What the steps pick names and amounts from: the ledger as the writer sees it, and the model.
struct Pair {
    ledger: Seen,
    model: Model,
    fresh: u32,
}

struct Seen {
    state: State,
    records: Records,
    clock: Timestamp,
}

struct Records(Vec<(Header, Event)>);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| {
        value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}"))
    })
}

fn survives(seed: u64, loud: bool) -> counts::Counts {
    let run = catch_unwind(AssertUnwindSafe(|| Run::new(seed, loud).whole()));
    run.unwrap_or_else(|panic| {
        eprintln!(
            "seed {seed} failed. See each of its steps with\n  BERGULIR_SEED={seed} cargo test -p \
             bergulir-engine --lib simulation::replay_one_seed -- --nocapture"
        );
        resume_unwind(panic)
    })
}

#[test]
fn whatever_fails_the_ledger_is_what_the_naive_model_says() {
    let first = setting("BERGULIR_SEED", 1);
    let mut counts = counts::Counts::default();
    for seed in first..first + setting("BERGULIR_SIM_SEEDS", 200) {
        counts.add(&survives(seed, false));
    }
    println!("{counts:#?}\n{}", counts.table());
    // What never happens is not tested.
    counts.check_all_happened();
}

/// To look at one seed that failed, name it in `BERGULIR_SEED`.
#[test]
fn replay_one_seed() {
    survives(setting("BERGULIR_SEED", 1), true);
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in [3, 17] {
        let (once, again) = (survives(seed, false), survives(seed, false));
        assert_eq!(once, again, "seed {seed}");
    }
}
