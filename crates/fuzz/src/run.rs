//! Running a target: each input within its limits, and what is worth keeping kept.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use bolero::{DefaultEngine, TestTarget};

use crate::memory::{Of, measured};
use crate::mutate::{Input, Inputs};
use crate::{KEEP, SECONDS, Target};

/// After so long a check counts as hanging, on whatever machine.
const HANGS: Duration = Duration::from_secs(60);

/// Held by a target that counts the memory of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// An input that is kept is made shorter for so long at most.
const SHORTENING: Duration = Duration::from_secs(2);

/// What [`bolero::check!`] gives.
type BytesTarget = TestTarget<bolero::ByteSliceGenerator, DefaultEngine, bolero::BorrowedInput>;

/// What a run has seen.
struct Seen {
    began: Instant,
    outcomes: BTreeMap<String, Came>,
    cases: u64,
    slowest: Duration,
    most_bytes: u64,
    /// The length of the shortest input that failed.
    failed: Option<usize>,
}

/// How often an outcome came, and the shortest input that led to it.
struct Came {
    times: u64,
    input: Vec<u8>,
}

impl Seen {
    fn nothing() -> Seen {
        Seen {
            began: Instant::now(),
            outcomes: BTreeMap::new(),
            cases: 0,
            slowest: Duration::ZERO,
            most_bytes: 0,
            failed: None,
        }
    }
}

impl Target {
    /// Runs the corpus and the samples, and says what came of each.
    pub fn replay<C: Fn(&[u8]) -> String>(&self, check: &C) -> Vec<String> {
        let _alone = self.alone();
        let seen = Mutex::new(Seen::nothing());
        let inputs = self.corpus().into_values();
        let inputs = inputs.chain(self.samples.iter().cloned());
        inputs.map(|input| self.case(&seen, check, &input)).collect()
    }

    /// Runs the corpus, the samples, and inputs made from them for as long as is asked.
    ///
    /// # Panics
    /// If the check does, takes more memory than it may, or if there is neither sample nor corpus.
    pub fn run<C: Fn(&[u8]) -> String + RefUnwindSafe>(&self, bolero: BytesTarget, check: C) {
        let _alone = self.alone();
        let seen = Arc::new(Mutex::new(Seen::nothing()));
        let corpus = self.corpus();
        for (path, input) in &corpus {
            let run = catch_unwind(AssertUnwindSafe(|| self.case(&seen, &check, input)));
            if let Err(panic) = run {
                eprintln!("this input of the corpus failed: {}", path.display());
                resume_unwind(panic);
            }
        }
        for sample in &self.samples {
            self.case(&seen, &check, sample);
        }
        let from = self.samples.iter().chain(corpus.values()).cloned();
        let pool: Vec<Vec<u8>> = from.collect();
        assert!(!pool.is_empty(), "{} has neither a sample nor a corpus", self.name);
        let pool = Arc::new(Mutex::new(pool));
        let inputs = Inputs {
            pool: pool.clone(),
            words: self.words,
            is_protobuf: self.is_protobuf,
            repair: self.repair,
            made: self.made,
        };
        let in_case = AssertUnwindSafe((&seen, &pool));
        bolero.with_generator(inputs).with_test_time(self.asked_time()).for_each(
            |Input(input): &Input| {
                let (seen, pool) = *in_case;
                let known = locked(seen).outcomes.len();
                self.case(seen, &check, input);
                let seen = locked(seen);
                // What led to something new is gone on from; not while a failure is made shorter.
                if seen.outcomes.len() > known && seen.failed.is_none() {
                    locked(pool).push(input.clone());
                }
            },
        );
        let seen = locked(&seen);
        eprintln!(
            "fuzz {}: {} inputs ({} of the corpus), {} outcomes, the slowest took {:?}, {} bytes held at most",
            self.name,
            seen.cases,
            corpus.len(),
            seen.outcomes.len(),
            seen.slowest,
            seen.most_bytes,
        );
        if let Ok(keep) = env::var(KEEP) {
            let keep = keep.parse().unwrap_or_else(|_| panic!("{KEEP} is a number of files"));
            self.keep(&check, &seen, keep);
        }
    }

    fn alone(&self) -> Option<MutexGuard<'static, ()>> {
        (self.memory.of == Of::Process).then(|| locked(&ALONE))
    }

    fn asked_time(&self) -> Duration {
        match env::var(SECONDS) {
            Err(_) => self.time,
            Ok(asked) => Duration::from_secs(
                asked.parse().unwrap_or_else(|_| panic!("{SECONDS} is a number of seconds")),
            ),
        }
    }

    /// The corpus, in the order of its names.
    fn corpus(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let Ok(folder) = fs::read_dir(&self.corpus) else { return BTreeMap::new() };
        let files = folder.map(|file| file.expect("the corpus can be listed").path());
        let files = files.filter(|path| path.is_file());
        files.map(|path| (path.clone(), fs::read(path).expect("the corpus can be read"))).collect()
    }

    /// Runs the check on one input, within its limits. An input that fails is put aside.
    fn case<C: Fn(&[u8]) -> String>(&self, seen: &Mutex<Seen>, check: &C, input: &[u8]) -> String {
        let watch = Watch::over(self.name, input);
        let began = Instant::now();
        let mut outcome = Ok(String::new());
        // Inside, since what is measured must be left again.
        let held = measured(self.memory.of, || {
            outcome = catch_unwind(AssertUnwindSafe(|| check(input)));
        });
        let took = began.elapsed();
        drop(watch);

        let limit = self.memory.base + self.memory.per_byte * input.len() as u64;
        let came = match outcome {
            Ok(came) if held <= limit => came,
            Ok(_) => {
                self.set_aside(seen, input);
                panic!("{} bytes of input took {} of memory", input.len(), held);
            }
            Err(panic) => {
                self.set_aside(seen, input);
                resume_unwind(panic);
            }
        };
        let mut seen = locked(seen);
        seen.cases += 1;
        seen.slowest = seen.slowest.max(took);
        seen.most_bytes = seen.most_bytes.max(held);
        match seen.outcomes.get_mut(&came) {
            None => {
                let new = Came { times: 1, input: input.to_vec() };
                seen.outcomes.insert(came.clone(), new);
            }
            Some(before) => {
                before.times += 1;
                if input.len() < before.input.len() {
                    before.input = input.to_vec();
                }
            }
        }
        came
    }

    /// Writes down an input that failed, the shortest of a run.
    fn set_aside(&self, seen: &Mutex<Seen>, input: &[u8]) {
        let mut seen = locked(seen);
        if seen.failed.is_none() {
            let (cases, after) = (seen.cases, seen.began.elapsed());
            eprintln!("fuzz {}: failed after {after:.1?}, at input {cases}", self.name);
        }
        if seen.failed.is_none_or(|shortest| input.len() < shortest) {
            seen.failed = Some(input.len());
            put_aside(self.name, "failed", input);
        }
    }

    /// Adds inputs to the corpus, as short as each can be made soon: those whose outcomes were rarest.
    fn keep<C: Fn(&[u8]) -> String>(&self, check: &C, seen: &Seen, most: usize) {
        let mut rarest: Vec<(&String, &Came)> = seen.outcomes.iter().collect();
        rarest.sort_by_key(|(_, came)| came.times);
        for (outcome, came) in rarest.iter().take(most) {
            let path = self.corpus.join(file_name(outcome));
            if !path.exists() {
                let kept = shortened(check, &came.input, outcome);
                fs::create_dir_all(&self.corpus).expect("the folder of the corpus can be made");
                fs::write(path, kept).expect("the corpus can be added to");
            }
        }
        for (outcome, came) in rarest {
            eprintln!("  {:>9} {outcome}", came.times);
        }
    }
}

/// A name for a file that tells what came of it.
fn file_name(outcome: &str) -> String {
    let words = outcome.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let mut name = words.join("-").to_ascii_lowercase();
    name.truncate(60);
    if name.is_empty() { "nothing".to_owned() } else { name }
}

/// The same outcome from fewer bytes: pieces are taken away as long as it stays.
fn shortened<C: Fn(&[u8]) -> String>(check: &C, input: &[u8], outcome: &str) -> Vec<u8> {
    let until = Instant::now() + SHORTENING;
    let mut kept = input.to_vec();
    let mut piece = kept.len() / 2;
    while piece > 0 {
        let mut start = 0;
        while start + piece <= kept.len() && Instant::now() < until {
            let mut shorter = kept.clone();
            shorter.drain(start..start + piece);
            let same = catch_unwind(AssertUnwindSafe(|| check(&shorter) == outcome));
            if same.unwrap_or(false) {
                kept = shorter;
            } else {
                start += piece;
            }
        }
        piece /= 2;
    }
    kept
}

/// Writes an input down where whoever runs the test finds it.
fn put_aside(target: &str, why: &str, input: &[u8]) {
    let folder = env::temp_dir().join("bergulir-fuzz");
    let path = folder.join(format!("{target}.{why}"));
    match fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input)) {
        Ok(()) => eprintln!("fuzz {target}: the input is in {}", path.display()),
        Err(error) => eprintln!("fuzz {target}: {} cannot be written: {error}", path.display()),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What runs now, for the thread that looks whether anything hangs.
static RUNNING: Mutex<BTreeMap<u64, Running>> = Mutex::new(BTreeMap::new());

struct Running {
    target: &'static str,
    input: Vec<u8>,
    began: Instant,
}

/// Ends the whole process if a check does not come back, which nothing else can.
struct Watch(u64);

impl Watch {
    fn over(target: &'static str, input: &[u8]) -> Watch {
        let mut running = locked(&RUNNING);
        let number = running.last_key_value().map_or(0, |(last, _)| last + 1);
        if number == 0 && running.is_empty() {
            static WATCHER: std::sync::Once = std::sync::Once::new();
            WATCHER.call_once(|| {
                thread::spawn(watch);
            });
        }
        let began = Instant::now();
        running.insert(number, Running { target, input: input.to_vec(), began });
        Watch(number)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        locked(&RUNNING).remove(&self.0);
    }
}

fn watch() {
    loop {
        thread::sleep(Duration::from_secs(1));
        for running in locked(&RUNNING).values() {
            if running.began.elapsed() > HANGS {
                put_aside(running.target, "hangs", &running.input);
                let input = Input(running.input.clone());
                eprintln!("fuzz {}: a check hangs: {input:?}", running.target);
                process::abort();
            }
        }
    }
}
