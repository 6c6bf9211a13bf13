//! What a cut of the power leaves of sled when it alone holds records: why the log is in files of ours
//! (docs/adr/0001, docs/adr/0022). Nothing of this is in the product.
//!
//! A program of its own inserts one record after the other, and says of each that it is kept when sled has
//! said so. `BERGULIR_SLED_SEEDS` says how many times that is tried in each way, `BERGULIR_SEED` with
//! which seed it begins.

use crate::disk::dice::Dice;
use crate::disk::{Disk, Mounted};
use crate::support::{ended, files_below, number};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const DEFAULT_SEEDS: u64 = 1;
/// The power goes within so many operations of the disk after the first record.
const OPERATIONS: u64 = 10_000;
/// What tells the program where its records are, how they are kept, and to look what is left of them.
const FOLDER: &str = "BERGULIR_TEST_SLED_FOLDER";
const WAY: &str = "BERGULIR_TEST_SLED_WAY";
const CHECK: &str = "BERGULIR_TEST_SLED_CHECK";

/// What makes a record durable.
#[derive(Debug, Clone, Copy)]
enum Keep {
    Flush,
    FlushAsync,
    /// `flush`, and `fdatasync` of sled's file by the program itself.
    FlushAndSync,
}

/// What is tried.
#[derive(Debug, Clone, Copy)]
struct Way {
    name: &'static str,
    keep: Keep,
    record_bytes: u64,
}

const WAYS: [Way; 5] = [
    Way { name: "flush, 200 bytes", keep: Keep::Flush, record_bytes: 200 },
    Way { name: "flush_async, 200 bytes", keep: Keep::FlushAsync, record_bytes: 200 },
    Way { name: "flush, 7,600 bytes", keep: Keep::Flush, record_bytes: 7_600 },
    Way { name: "flush and fdatasync, 200 bytes", keep: Keep::FlushAndSync, record_bytes: 200 },
    Way { name: "flush and fdatasync, 7,600 bytes", keep: Keep::FlushAndSync, record_bytes: 7_600 },
];

impl Way {
    fn keep(self, db: &sled::Db, folder: &Path) {
        match self.keep {
            Keep::Flush => _ = db.flush().unwrap(),
            Keep::FlushAsync => {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(db.flush_async()).unwrap();
            }
            Keep::FlushAndSync => {
                db.flush().unwrap();
                File::open(folder.join("db")).unwrap().sync_data().unwrap();
            }
        }
    }
}

impl Way {
    /// A record of about that length, which follows from its number.
    fn record(self, number: u64) -> Vec<u8> {
        let mut dice = Dice::new(number);
        let bytes = self.record_bytes * 3 / 4 + dice.below(self.record_bytes / 2);
        (0..bytes).map(|_| u8::try_from(dice.below(256)).unwrap()).collect()
    }
}

/// Syncs every file in a folder, and all names.
fn sync(folder: &Path) {
    for path in files_below(folder) {
        let path = folder.join(&path[1..]);
        File::open(&path).unwrap().sync_data().unwrap();
        File::open(path.parent().unwrap()).unwrap().sync_all().unwrap();
    }
    File::open(folder.parent().unwrap()).unwrap().sync_all().unwrap();
}

/// The program, which the test below starts; by itself it does nothing.
#[test]
fn the_program() {
    let (Ok(folder), Ok(way)) = (std::env::var(FOLDER), std::env::var(WAY)) else { return };
    let way = WAYS.into_iter().find(|known| known.name == way).unwrap();
    let folder = Path::new(&folder);
    // What the tests' own frame printed may stand on the line.
    println!();
    let db = match sled::open(folder) {
        Ok(db) => db,
        Err(error) => return println!("refused {error}"),
    };
    if std::env::var_os(CHECK).is_some() {
        for found in db.iter() {
            match found {
                Ok((key, value)) => {
                    let number = u64::from_be_bytes(key.as_ref().try_into().unwrap());
                    let is_right = value.as_ref() == way.record(number);
                    println!("{} {number}", if is_right { "found" } else { "wrong" });
                }
                Err(error) => println!("unreadable {error}"),
            }
        }
        return println!("end");
    }
    // A store that has been there for long: what it began with is on the disk, its names too.
    db.flush().unwrap();
    sync(folder);
    for number in 0_u64.. {
        db.insert(number.to_be_bytes(), way.record(number)).unwrap();
        way.keep(&db, folder);
        println!("kept {number}");
    }
}

fn program(mounted: &Mounted, way: Way) -> Command {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "sled_alone::the_program", "--nocapture"]);
    program.env(FOLDER, mounted.path().join("sled")).env(WAY, way.name).stderr(Stdio::null());
    program
}

/// What became of the records of one program.
struct Left {
    acknowledged: u64,
    /// Of these.
    lost: u64,
    what: &'static str,
}

/// Writes until the power is cut; `None`: no such disk can be had here.
fn cut(seed: u64, way: Way) -> Option<Left> {
    let mut dice = Dice::new(seed);
    let mounted = Mounted::new(Disk::default())?;
    let mut writing = program(&mounted, way).stdout(Stdio::piped()).spawn().unwrap();
    let mut acknowledged = 0;
    for line in BufReader::new(writing.stdout.take().unwrap()).lines() {
        if !line.unwrap().starts_with("kept ") {
            continue;
        }
        if acknowledged == 0 {
            mounted.disk().until_cut = Some(1 + dice.below(OPERATIONS));
        }
        acknowledged += 1;
    }
    writing.wait().unwrap();
    assert!(mounted.disk().dead && acknowledged > 0, "it ended before the cut");
    let survivor = mounted.disk().survivor(&mut dice);
    drop(mounted);

    let mounted = Mounted::new(survivor)?;
    let mut looking = program(&mounted, way);
    looking.env(CHECK, "1");
    let checked = ended(looking, Duration::from_secs(60));
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    let says = |word: &str| said.lines().any(|line| line.starts_with(word));
    let found = said.lines().filter_map(|line| line.strip_prefix("found ")?.parse().ok());
    let found: BTreeSet<u64> = found.collect();
    let lost = (0..acknowledged).filter(|number| !found.contains(number)).count() as u64;
    let what = if says("refused") {
        "does not open"
    } else if !says("end") {
        "panics"
    } else if says("unreadable") {
        "cannot be read"
    } else if says("wrong") {
        "other bytes"
    } else if lost > 0 {
        "lost records that it said were kept"
    } else {
        "whole"
    };
    Some(Left { acknowledged, lost, what })
}

#[test]
fn records_that_sled_alone_keeps_are_lost_when_the_power_is_cut() {
    let seeds = number("BERGULIR_SLED_SEEDS", DEFAULT_SEEDS);
    let first = number("BERGULIR_SEED", 1);
    for way in WAYS {
        let (mut outcomes, mut acknowledged, mut lost) = (BTreeMap::new(), 0, 0);
        for seed in first..first + seeds {
            let Some(left) = cut(seed, way) else { return };
            *outcomes.entry(left.what).or_insert(0) += 1;
            acknowledged += left.acknowledged;
            lost += left.lost;
        }
        eprintln!(
            "sled alone, {}, {seeds} cuts: {outcomes:?}; {lost} of {acknowledged} records that were \
             said to be kept are gone",
            way.name
        );
        if let Keep::Flush = way.keep {
            assert!(lost > 0, "sled keeps what it says it keeps: docs/adr/0001 rests on less");
        }
    }
}
