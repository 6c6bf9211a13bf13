//! How often things happened: what never happens is not tested.

use super::groups::{Asked, What};
use super::oracle::{Expected, Item, No};
use super::run::Run;
use crate::submission::Work;
use bergulir_domain::Command;
use std::collections::BTreeMap;

/// How often things happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(super) fn one(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
    pub(super) fn add(&mut self, other: &Counts) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
    pub(super) fn check_all_happened(&self) {
        let never: Vec<_> = ALL.iter().filter(|what| !self.0.contains_key(*what)).collect();
        assert!(never.is_empty() || self.0["seeds"] < 100, "never happened: {never:?}");
    }
}

/// What has to happen in some hundred runs.
const ALL: [&str; 39] = [
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
];

impl Run {
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
            No::ReadOnly => "read-only",
        };
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
