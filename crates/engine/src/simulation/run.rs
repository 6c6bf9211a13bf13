//! One run: a seeded scheduler that has one part after the other take a step, or something fail.

use super::callers::request_id;
use super::commands::{id, open_ledger};
use super::counts::Counts;
use super::groups::{Asked, Flying, Waiting};
use super::machine::{KEYS, Machine, Site, key};
use super::oracle::{Oracle, Recorded, Stamps};
use super::reads::{Question, last_at};
use super::simulated::{Chance, Fault, SimulatedDisk};
use super::steps::{Step, beginning, steps};
use super::watchers::Watchers;
use super::{Model, checks};
use crate::submission::{Accepted, Request, Work};
use bergulir_domain::{Command, Event, Header, PrincipalId, Timestamp};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

pub(super) struct Run {
    pub(super) chance: Chance,
    pub(super) loud: bool,
    pub(super) site: Site,
    pub(super) machine: Option<Machine>,
    pub(super) oracle: Oracle,
    pub(super) events: Vec<(Header, Event)>,
    pub(super) left: VecDeque<(&'static str, Command)>,
    pub(super) steps: VecDeque<Step>,
    pub(super) sent: Vec<(PrincipalId, Work)>,
    pub(super) queue: VecDeque<Asked>,
    pub(super) growing: Vec<Waiting>,
    pub(super) flying: Option<Flying>,
    pub(super) questions: Vec<Question>,
    /// So many records are durable; if an append failed, it may also be so many.
    pub(super) durable: usize,
    pub(super) unsure: Option<usize>,
    pub(super) acknowledged: BTreeMap<u64, Accepted>,
    /// What was answered as of an instant, which is final.
    pub(super) finals: Vec<(Timestamp, Option<u64>)>,
    /// The next start gives no later stamp than this one or the last record's.
    pub(super) horizon: i64,
    /// What those have seen who hold the ledger to its word.
    pub(super) watchers: Watchers,
    /// The disk as it was at so many records, for an operator who restores an old copy.
    pub(super) older: Option<(SimulatedDisk, usize)>,
    pub(super) fresh: u32,
    pub(super) next: u64,
    pub(super) faulty: bool,
    pub(super) planned: Option<Fault>,
    /// The disk did not give what was read last.
    pub(super) unread: bool,
    pub(super) counts: Counts,
}

impl Run {
    pub(super) fn new(seed: u64, loud: bool) -> Run {
        let mut chance = Chance::seeded(seed);
        let site = Site::new(&mut chance);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let at = site.clock.both();
        let first = Request { request_id: request_id(0), command: open(&site, &mut chance) };
        let by: PrincipalId = id("ani");
        let mut now = Model::default();
        now.pass_time(Timestamp::from_micros(at.0));
        now.apply(by, &first.command);
        now.keys.push((0, key(0).verifier().to_string()));
        let after = Rc::new(now.clone());
        let recorded = Recorded { by, request: first, following: 0, at: at.0, after };
        let held = (0..KEYS - 1).map(|n| key(n).verifier().to_string()).collect();
        let stamps = Stamps::new(at.0, at);
        let records = vec![recorded];
        let mut counts = Counts::default();
        counts.one("seeds");
        let faulty = chance.below(5) > 0;
        let mut run = Run {
            chance,
            loud,
            machine: None,
            oracle: Oracle { records, now, stamps, held, read_only: false },
            site,
            events: Vec::new(),
            left: beginning().into(),
            steps: steps.into(),
            sent: Vec::new(),
            queue: VecDeque::new(),
            growing: Vec::new(),
            flying: None,
            questions: Vec::new(),
            durable: 1,
            unsure: None,
            acknowledged: BTreeMap::new(),
            finals: Vec::new(),
            horizon: i64::MIN,
            watchers: Watchers::default(),
            older: None,
            fresh: 0,
            next: 1,
            faulty,
            planned: None,
            unread: false,
            counts,
        };
        run.reopen();
        run
    }

    pub(super) fn machine(&mut self) -> &mut Machine {
        self.machine.as_mut().unwrap()
    }

    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if self.loud {
            println!("{}", what());
        }
    }

    /// Now and then the disk does not give one of the next things that are read.
    pub(super) fn unreadable(&mut self, now_and_then: u64, next: u64) {
        if self.faulty && self.left.is_empty() && self.one_in(now_and_then) {
            self.site.disk.plan_read(self.chance.below(next));
        }
    }

    /// It gives all again; says whether it did not.
    pub(super) fn readable(&mut self) -> bool {
        self.unread = self.site.disk.reads_again();
        self.unread
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.chance.below(n) == 0
    }

    pub(super) fn among(&mut self, n: usize) -> usize {
        usize::try_from(self.chance.below(n as u64)).unwrap()
    }

    /// Does all of it, and checks what is left behind.
    pub(super) fn whole(mut self) -> Counts {
        while !self.left.is_empty() || !self.steps.is_empty() {
            self.step();
        }
        self.site.clock.set_wrong(0);
        self.rest();
        self.ask_about_all();
        self.walk_trails();
        self.look_at_seal();
        let machine = self.machine.take().unwrap();
        checks::log(machine.log.as_ref(), &self.oracle, &self.acknowledged, &self.watchers);
        for (instant, answered) in &self.finals {
            assert_eq!(last_at(&self.oracle, self.durable as u64, *instant), *answered, "final");
        }
        self.questions.clear();
        self.site.disk.cut_power(&mut self.chance);
        checks::end(&self.site, machine);
        self.counts
    }

    fn step(&mut self) {
        let lost = self.machine().persister.lost.is_some();
        if lost && self.one_in(4) {
            return self.crash();
        }
        match self.chance.below(200) {
            0..60 => self.ask(),
            60..100 => self.write(),
            100..130 => self.hand_over(),
            130..150 => self.answer(),
            150..172 => self.project(),
            172..180 => {
                self.machine().writer.index.work_once().unwrap();
            }
            180..187 => self.question(),
            187 => self.follow(),
            188 => self.sign(),
            189 => self.look_at_seal(),
            190..192 => self.give_up(),
            192 => self.keep_copies(),
            193 if self.faulty => self.set_clock(),
            194..197 if self.faulty => self.crash(),
            197 => self.stop(),
            198 => self.machine().writer.index.flush().unwrap(),
            _ => self.poll(),
        }
    }

    /// All that was begun is finished.
    pub(super) fn rest(&mut self) {
        for _ in 0..1_000 {
            self.write();
            self.hand_over();
            self.answer();
            self.project();
            self.poll();
            if self.machine().persister.lost.is_some() {
                self.crash();
            }
            let machine = self.machine();
            if machine.writer.bundle.waiters.is_empty()
                && machine.messages.is_empty()
                && machine.published.is_empty()
                && !machine.projector.is_sealing()
            {
                while machine.writer.index.work_once().unwrap() {}
                return;
            }
        }
        panic!("the ledger does not come to rest");
    }
}

/// The ledger begins under one of the versions of the rules.
fn open(site: &Site, chance: &mut Chance) -> Command {
    // Mostly the newest, which know most.
    let newest = open_ledger().rules_version;
    let rules_version = match chance.below(6) {
        0 => 1,
        1 => 2,
        _ => newest,
    };
    Command::OpenLedger(site.create(request_id(0), rules_version))
}
