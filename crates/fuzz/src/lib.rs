//! What the fuzz tests of the other crates share: inputs that are nearly right, a corpus that is run
//! first, and limits on time and memory. For tests only.
//!
//! A target is a check that takes bytes and says in a few words what came of them; it panics if it
//! finds a fault. Its inputs are made from samples, from the corpus, and from whatever led to an outcome
//! that was new in this run. See `docs/adr/0036-fuzzing.md`.
//!
//! ```
//! fn number(input: &[u8]) -> String {
//!     match str::from_utf8(input).ok().and_then(|text| text.parse::<u8>().ok()) {
//!         Some(number) => {
//!             assert_eq!(number.to_string().parse(), Ok(number));
//!             "a number".to_owned()
//!         }
//!         None => "no number".to_owned(),
//!     }
//! }
//! let target = bergulir_fuzz::Target::new("number", env!("CARGO_MANIFEST_DIR")).sample("12");
//! assert!(target.replay(&number).iter().any(|outcome| outcome == "a number"));
//! ```
//!
//! In a test, [`fuzz!`] does the same and then goes on with inputs of its own.

mod frames;
mod memory;
mod mutate;
mod outcome;
mod run;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

#[doc(hidden)]
pub use bolero;

pub use frames::repair_frames;
pub use memory::held_by_all;
pub use mutate::Inputs;
pub use outcome::outcome;
pub use wire::{Field, Value, fields, write_fields};

/// How many seconds each target runs, instead of its own time.
pub const SECONDS: &str = "BERGULIR_FUZZ_SECONDS";

/// How many inputs of a run are added to the corpus of each target: those whose outcomes were rarest.
/// None if not set.
pub const KEEP: &str = "BERGULIR_FUZZ_KEEP";

/// How long a target runs in a plain `cargo test`.
const TIME: Duration = Duration::from_millis(400);

/// Makes an input. It is given what throws a number below another.
pub type Made = fn(throw: &mut dyn FnMut(usize) -> usize) -> Vec<u8>;

/// What is fuzzed, from what, and within which limits.
#[derive(Debug, Clone)]
pub struct Target {
    name: &'static str,
    corpus: PathBuf,
    samples: Vec<Vec<u8>>,
    words: &'static [&'static str],
    is_protobuf: bool,
    repair: Option<fn(&mut Vec<u8>)>,
    made: Option<Made>,
    time: Duration,
    memory: Memory,
}

/// The most memory that a check may hold at once.
#[derive(Debug, Clone, Copy)]
struct Memory {
    of: memory::Of,
    base: u64,
    per_byte: u64,
}

impl Target {
    /// A target whose corpus lies in the folder `tests/corpus/NAME` of a package.
    pub fn new(name: &'static str, manifest_dir: &str) -> Target {
        Target {
            name,
            corpus: [manifest_dir, "tests", "corpus", name].iter().collect(),
            samples: Vec::new(),
            words: &[],
            is_protobuf: false,
            repair: None,
            made: None,
            time: TIME,
            memory: Memory { of: memory::Of::Thread, base: 64 << 10, per_byte: 32 },
        }
    }

    /// Adds a right input, or one nearly right.
    #[must_use]
    pub fn sample(mut self, sample: impl Into<Vec<u8>>) -> Target {
        self.samples.push(sample.into());
        self
    }

    /// Adds many.
    #[must_use]
    pub fn samples(mut self, samples: impl IntoIterator<Item = Vec<u8>>) -> Target {
        self.samples.extend(samples);
        self
    }

    /// Words that mean something in this format; they are put in now and then.
    #[must_use]
    pub fn words(mut self, words: &'static [&'static str]) -> Target {
        self.words = words;
        self
    }

    /// The inputs are protobuf messages: fields are changed, not only bytes.
    #[must_use]
    pub fn protobuf(mut self) -> Target {
        self.is_protobuf = true;
        self
    }

    /// Makes most inputs whole again where a check of sums would refuse them before anything else is
    /// looked at.
    #[must_use]
    pub fn repair(mut self, repair: fn(&mut Vec<u8>)) -> Target {
        self.repair = Some(repair);
        self
    }

    /// Most inputs are made by this, and not from samples.
    #[must_use]
    pub fn made(mut self, made: Made) -> Target {
        self.made = Some(made);
        self
    }

    /// How long it runs, if nobody asks for another time.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Target {
        self.time = time;
        self
    }

    /// The most bytes that a check may hold at once on its thread: so many, and so many for each byte of its
    /// input.
    #[must_use]
    pub fn memory(mut self, base: u64, per_byte: u64) -> Target {
        self.memory = Memory { base, per_byte, ..self.memory };
        self
    }

    /// What all threads hold counts. Such targets run one after another; nothing else may run beside them in
    /// the same process.
    #[must_use]
    pub fn of_the_whole_process(mut self) -> Target {
        self.memory.of = memory::Of::Process;
        self
    }
}

/// Runs a [`Target`] in a test: the corpus, the samples, then what is made from them. A check is a
/// `Fn(&[u8]) -> String`.
#[macro_export]
macro_rules! fuzz {
    ($target:expr, $check:expr) => {{
        let target: $crate::Target = $target;
        target.run($crate::bolero::check!(), $check)
    }};
}
