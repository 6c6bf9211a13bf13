//! How often things happened: what never happens is not tested.

use super::callers::requests;
use super::groups::{Asked, What};
use super::oracle::{Expected, Item, No};
use super::run::Run;
use crate::submission::Work;
use bergulir_domain::Command;
use std::collections::BTreeMap;

/// How often things happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(BTreeMap<String, u64>);

impl Counts {
    pub(super) fn one(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }
    pub(super) fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }
    pub(super) fn add(&mut self, other: &Counts) {
        for (what, count) in &other.0 {
            *self.0.entry(what.clone()).or_default() += count;
        }
    }
    pub(super) fn check_all_happened(&self) {
        let of_runs = ALL.iter().filter(|what| self.of(what) == 0).map(ToString::to_string);
        let never: Vec<_> = of_runs.chain(self.unseen()).collect();
        assert!(never.is_empty() || self.of("seeds") < 200, "never happened: {never:?}");
    }
}

/// What has to happen in some hundred runs.
const ALL: [&str; 51] = [
    "acknowledged",
    "refused by a rule",
    "conflict",
    "repeated in one batch",
    "head moved",
    "deadline passed",
    "waited too long",
    "key not held",
    "key rotated",
    "read-only",
    "outcome unknown",
    "answered again",
    "answered again, atomic",
    "validated",
    "atomic batch",
    "independent batch",
    "queue full",
    "nobody waits",
    "pushed ahead of a sync",
    "sealed",
    "append failed",
    "power cut",
    "process died",
    "unknown group survived",
    "unknown group lost",
    "start failed",
    "clean stop",
    "index lost",
    "index behind",
    "index torn",
    "clock set wrong",
    "read",
    "read as of an instant",
    "read as of a position",
    "signed",
    "followed",
    "sealed balances",
    "rolled back",
    "rules adopted",
    "rolled back, the anchor knows",
    "look-up not read",
    "start could not read",
    "a subscriber was not given records",
    "horizon not written",
    "instant not read",
    "looked on",
    "looked once more",
    "part of a batch",
    "snapshot of an earlier moment",
    "snapshot of another ledger",
    "snapshot with another number",
];

impl Run {
    /// Of commands that were asked for the first time, and by themselves.
    fn count_kinds(&mut self, asked: &Asked, expected: &Expected) {
        let work = match &asked.what {
            What::Work(_, work, _) => requests(work),
            What::Seal(request) => vec![request.clone()],
            What::Fence(_) => return,
        };
        match expected {
            Expected::Items(items) => {
                for (request, item) in work.iter().zip(items) {
                    match item {
                        Item::At { duplicate: false, .. } => {
                            self.count_kind(&request.command, true);
                        }
                        Item::No(No::Rules(_)) => self.count_kind(&request.command, false),
                        _ => {}
                    }
                }
            }
            // Of a batch it is not said which was refused.
            Expected::Refused(No::Rules(_)) if work.len() == 1 => {
                self.count_kind(&work[0].command, false);
            }
            _ => {}
        }
    }

    pub(super) fn count(&mut self, asked: &Asked, expected: &Expected) {
        self.say(|| {
            let size = self.oracle.records.len();
            format!("  {} is decided, {size} records then: {expected:?}", asked.number)
        });
        let atomic = matches!(&asked.what, What::Work(_, Work::Atomic(_), _));
        let no = |no: &No| match no {
            No::Rules(_) => "refused by a rule",
            No::Conflict => "conflict",
            No::RepeatedId => "repeated in one batch",
            No::HeadMoved => "head moved",
            No::Late => "deadline passed",
            No::WaitedTooLong => "waited too long",
            No::KeyNotHeld => "key not held",
            No::Unread => "look-up not read",
            No::ReadOnly => "read-only",
        };
        self.count_kinds(asked, expected);
        match expected {
            Expected::Items(items) => {
                if let What::Work(_, Work::Independent(_), _) = asked.what {
                    self.counts.one("independent batch");
                }
                for item in items {
                    self.counts.one(match item {
                        Item::At { duplicate: true, .. } if atomic => "answered again, atomic",
                        Item::At { duplicate: true, .. } => "answered again",
                        Item::At { .. } if atomic => "atomic batch",
                        Item::At { position, .. } => {
                            let record = &self.oracle.records[usize::try_from(*position).unwrap()];
                            match record.request.command {
                                Command::RotateKey(_) => "key rotated",
                                Command::Seal(_) => "sealed",
                                Command::AdoptRules(_) => "rules adopted",
                                _ => "accepted",
                            }
                        }
                        Item::Would(_) => "validated",
                        Item::No(why) => no(why),
                    });
                }
            }
            Expected::Refused(why) => self.counts.one(no(why)),
            Expected::Nothing => self.counts.one("nobody waits"),
            Expected::Passed => {}
        }
    }
}
