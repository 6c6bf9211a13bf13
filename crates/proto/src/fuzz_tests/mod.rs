//! What comes over the wire and out of records, nearly right and wrong: see docs/adr/0036-fuzzing.md.

mod messages;
mod proofs;
mod records;

use bergulir_fuzz::Target;
use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;

fn target(name: &'static str) -> Target {
    Target::new(name, env!("CARGO_MANIFEST_DIR"))
}

/// So many values of a strategy, the same each time.
fn drawn<T>(strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}
