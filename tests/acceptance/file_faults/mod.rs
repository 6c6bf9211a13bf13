//! Damage of every kind to a file of every kind: the answers stay what they were, or what the file is of
//! is refused, and it is said which file it is and what to do. Never another answer, never a panic, never
//! another ledger.
//!
//! `BERGULIR_DAMAGE_ROUNDS` says how many times each kind of file is damaged, each time in another way;
//! `BERGULIR_SEED` with which way, and at which place, that begins.

mod answers;
mod damage;
mod kinds;
mod outside;
mod reading;
mod reloading;
mod site;

use crate::disk::Mounted;
use crate::disk::dice::Dice;
use crate::support::{Client, Server, files_below, number};
use answers::{Answer, Answers, lasting, refusals, untrue};
use damage::{Damage, Others, Struck};
use kinds::{KINDS, Kind, Of};
use site::{Copy, LEDGERS, Site};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const DEFAULT_ROUNDS: u64 = 1;
/// How long a ledger may take to be there again.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long a server may take to start, to answer everything, and to stop, on a busy machine.
const LONGEST: Duration = Duration::from_secs(120);

/// What a message has that says what to do.
const ADVICE: [&str; 8] = [
    "restore",
    "Restore",
    "chmod 600",
    "see to the disk",
    "check the disk",
    "made anew",
    "move",
    "remove",
];

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Same,
    Refused,
    /// The server did not start.
    NotStarted,
}

async fn ask(site: &Site, client: &mut Client) -> Vec<Answers> {
    let mut answers = Vec::new();
    for ledger in &site.ledgers {
        answers.push(ledger.ask(client).await);
    }
    answers
}

/// What is true: what a server answers on files that are whole.
async fn truth(site: &Site) -> Vec<Answers> {
    let mut told = Vec::new();
    for n in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let copy = site.copied_to(&folder.path().join("site"));
        let server = copy.serve(&folder.path().join("told")).unwrap();
        told.push(ask(site, &mut server.client("maker").await).await);
        assert!(n == 0 || told[0] == told[1], "the questions have no fixed answers");
    }
    let [pilot, other, past, present] = &told[0][..] else { unreachable!() };
    for of in [pilot, other, present] {
        let refused: Vec<_> =
            of.iter().filter(|(_, answer)| matches!(answer, Answer::Refused(_))).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
    assert!(matches!(past.last(), Some((_, Answer::Refused(_)))), "{past:?}");
    told.pop().unwrap()
}

/// One file that is damaged in one way.
struct Case<'a> {
    site: &'a Site,
    truth: &'a [Answers],
    kind: &'a Kind,
    path: &'a str,
    damage: Damage,
}

impl Case<'_> {
    /// Damages the file and looks what a server makes of it; `None` if it was not damaged.
    async fn run(&self, others: &Others, dice: &mut Dice) -> Result<Option<Outcome>, String> {
        let now = self.site.now();
        let Some(struck) = Struck::new(&now, self.path, self.damage, others, dice) else {
            return Ok(None);
        };
        let copy = Copy(struck.place.clone());
        let told = struck.folder.path().join("told");
        let looked = async {
            let outcome = self.look(&copy, &told, struck.mounted.as_ref()).await?;
            if outcome != Outcome::Same && struck.mounted.is_none() {
                damage::restore(&struck.place.join(&self.path[1..]), &struck.whole);
                self.recovers(&copy, &struck.folder.path().join("told again")).await?;
            }
            Ok(outcome)
        };
        let looked = tokio::time::timeout(LONGEST, looked).await;
        looked.unwrap_or_else(|_| Err("it hangs".to_owned())).map(Some).map_err(|why: String| {
            let told = fs::read_to_string(&told).unwrap_or_default();
            let (kind, path, what) = (self.kind.name, self.path, &struck.what);
            format!("{kind}: {path}, {what}: {why}\nthe server said:\n{told}")
        })
    }

    /// Whether the file is named, and it is said what to do.
    fn is_explained(&self, said: &str) -> bool {
        let name = self.path.rsplit('/').next().unwrap();
        let called = self.kind.called.iter().any(|called| said.contains(called));
        (called || said.contains(name)) && ADVICE.iter().any(|advice| said.contains(advice))
    }

    async fn look(
        &self,
        copy: &Copy,
        told: &Path,
        mounted: Option<&Mounted>,
    ) -> Result<Outcome, String> {
        let is_no_file = matches!(self.damage, Damage::Folder | Damage::Unreadable);
        let server = match copy.serve(told) {
            Ok(server) => server,
            Err(why) => {
                let said = fs::read_to_string(told).unwrap();
                let is_right = self.kind.of == Of::Node && self.is_explained(&said);
                no_panic(&said)?;
                return if is_right { Ok(Outcome::NotStarted) } else { Err(why) };
            }
        };
        let mut client = server.client("maker").await;
        let mut outcome = Outcome::Same;
        for (ledger, true_ones) in self.site.ledgers.iter().zip(self.truth) {
            let answers = ledger.ask(&mut client).await;
            if let Some(why) = untrue(true_ones, &answers) {
                return Err(format!("{}: {why}", ledger.id));
            }
            let refused = refusals(true_ones, &answers);
            if refused.is_empty() {
                continue;
            }
            if !self.is_of(ledger.id) {
                return Err(format!("{} is refused: {refused:?}", ledger.id));
            }
            if self.kind.of == Of::Nobody && !is_no_file {
                return Err(format!("it is not needed: {refused:?}"));
            }
            let said = refused.join("\n") + &fs::read_to_string(told).unwrap();
            if !self.is_explained(&said) {
                return Err(format!("it is not named, or not said what to do: {refused:?}"));
            }
            outcome = Outcome::Refused;
        }
        if let Some(mounted) = mounted.filter(|_| outcome == Outcome::Refused) {
            mounted.disk().rules.clear();
            self.healed(&mut client).await?;
        }
        if !server.stop().success() {
            return Err("the server did not stop well".to_owned());
        }
        no_panic(&fs::read_to_string(told).unwrap())?;
        Ok(outcome)
    }

    /// Whether the file is of that ledger.
    fn is_of(&self, ledger: &str) -> bool {
        let (folder, name) = self.path.rsplit_once('/').unwrap();
        folder.contains(&format!("/ledgers/{ledger}"))
            || name == format!("{ledger}.key")
            || name == format!("ledger.example.go.id%2F{ledger}.checkpoint")
    }

    /// Waits until a ledger that was refused answers everything again.
    async fn healed(&self, client: &mut Client) -> Result<(), String> {
        let began = Instant::now();
        let all = self.site.ledgers.iter().zip(self.truth);
        for (ledger, true_ones) in all.filter(|(ledger, _)| self.is_of(ledger.id)) {
            loop {
                let answers = ledger.ask(client).await;
                let (true_ones, answers) = (lasting(true_ones), lasting(&answers));
                if let Some(why) = untrue(&true_ones, &answers) {
                    return Err(format!("{}, afterwards: {why}", ledger.id));
                }
                let left = refusals(&true_ones, &answers);
                if left.is_empty() {
                    break;
                }
                if began.elapsed() > PATIENCE {
                    return Err(format!("{} does not come back: {left:?}", ledger.id));
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// With the file put back, a server answers everything: what went on meanwhile made nothing worse.
    async fn recovers(&self, copy: &Copy, told: &Path) -> Result<(), String> {
        let server = copy.serve(told)?;
        let mut client = server.client("maker").await;
        for (ledger, true_ones) in self.site.ledgers.iter().zip(self.truth) {
            let answers = ledger.ask(&mut client).await;
            let left = refusals(&lasting(true_ones), &lasting(&answers));
            if !left.is_empty() {
                let told = fs::read_to_string(told).unwrap();
                return Err(format!("put back, {}: {left:?}; {told}", ledger.id));
            }
        }
        if server.stop().success() {
            Ok(())
        } else {
            Err("the server did not stop well".to_owned())
        }
    }
}

/// sled panics on files that are damaged, in its own code, which is made an error of.
fn no_panic(said: &str) -> Result<(), String> {
    let mut panics = said.lines().filter(|line| line.contains("panicked at"));
    match panics.find(|line| !line.contains("/sled-0.34")) {
        Some(line) => Err(format!("a thread panicked: {line}")),
        None => Ok(()),
    }
}

/// The files of each kind.
fn by_kind(files: &[String]) -> Vec<(&'static Kind, Vec<&String>)> {
    for file in files {
        let of: Vec<&str> = KINDS.iter().filter(|kind| (kind.is)(file)).map(|it| it.name).collect();
        assert_eq!(of.len(), 1, "{file} is of these kinds: {of:?}; say what its damage may do");
    }
    let of_kind = |kind: &'static Kind| {
        (kind, files.iter().filter(|file| (kind.is)(file)).collect::<Vec<_>>())
    };
    KINDS.iter().map(of_kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_a_file_the_answers_are_true_or_its_ledger_is_refused() {
    let site = Site::new().await;
    let files = files_below(&site.now());
    let kinds = by_kind(&files);
    let kinds: Vec<_> = kinds.into_iter().filter(|(_, files)| !files.is_empty()).collect();
    let found: Vec<&str> = kinds.iter().map(|(kind, _)| kind.name).collect();
    let lasting = KINDS.iter().filter(|kind| !kind.passes).map(|kind| kind.name);
    assert_eq!(found, lasting.collect::<Vec<_>>(), "a node at rest has files of each kind");
    let truth = truth(&site).await;
    let rounds = number("BERGULIR_DAMAGE_ROUNDS", DEFAULT_ROUNDS);
    let first = number("BERGULIR_SEED", 1);
    let mut outcomes = BTreeMap::<_, BTreeMap<Outcome, u32>>::new();
    let mut wrong = Vec::new();
    for seed in first..first + rounds {
        for (number, (kind, of_kind)) in (0..).zip(&kinds) {
            let mut dice = Dice::new(seed << 8 | number);
            let folders = (&*site.now(), &*site.older());
            let (path, others) = damage::pick(folders, of_kind, of_kind, &LEDGERS, &mut dice);
            // What cannot be done to this file gives way to the next.
            for damage in damage::from(seed + number) {
                let case = Case { site: &site, truth: &truth, kind, path, damage };
                match case.run(&others, &mut dice).await {
                    Ok(None) => continue,
                    Ok(Some(outcome)) => {
                        let of_it = outcomes.entry((kind.name, damage)).or_default();
                        *of_it.entry(outcome).or_default() += 1;
                    }
                    Err(why) => wrong.push(format!("BERGULIR_SEED={seed}, {damage:?}: {why}")),
                }
                break;
            }
        }
    }
    let cases: u32 = outcomes.values().flat_map(BTreeMap::values).sum();
    eprintln!("{cases} cases of {} kinds of file", found.len());
    for ((kind, damage), outcomes) in outcomes {
        eprintln!("{kind}, {damage:?}: {outcomes:?}");
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// What a crash, or a person, leaves lying beside the files changes nothing, and is no ledger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_beside_the_files_changes_nothing() {
    let site = Site::new().await;
    let truth = truth(&site).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = site.copied_to(&folder.path().join("site"));
    for file in [
        "data/clock-accepted",
        "data/clock-accepted.new",
        "data/continuing/present/log/x",
        "data/restoring/pilot/log/x",
        "data/keys/pilot.key.17.new",
        "data/keys/README",
        "data/ledgers/README",
        "data/ledgers/Not A Ledger/log/00000000000000000000.seg",
        "data/ledgers/pilot/checkpoint.new",
        "data/ledgers/pilot/horizon.new",
        "data/ledgers/pilot/index-condemned",
        "data/ledgers/pilot/room.probe",
        "data/ledgers/pilot/index/discarded/x",
        "data/ledgers/pilot/index/snapshots/7.new",
        "data/ledgers/pilot/log/00000000000000000099.seg.new",
        "data/ledgers/pilot/log/cut-00000000000000000003-0.bin",
        "anchor/README",
        "anchor/ledger.example.go.id%2Fpilot.checkpoint.new",
    ] {
        let path = copy.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "left behind\n").unwrap();
    }
    let server: Server = copy.serve(&folder.path().join("told")).unwrap();
    let answers = ask(&site, &mut server.client("maker").await).await;
    for (number, ledger) in LEDGERS.iter().enumerate() {
        // An index that is made anew has the server seal what it holds.
        let refused = refusals(&lasting(&truth[number]), &lasting(&answers[number]));
        assert!(refused.is_empty(), "{ledger}: {refused:?}");
        let last = answers[number].last();
        let is_past = *ledger == "past";
        assert!(is_past || matches!(last, Some((_, Answer::Given(_)))), "{ledger}: {last:?}");
    }
    assert!(server.stop().success());
}
