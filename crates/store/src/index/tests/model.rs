//! The index against maps that are too simple to be wrong.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What one record adds.
#[derive(Clone, Debug)]
struct Added {
    request_id: Option<u8>,
    bank_references: Vec<u8>,
    trail: BTreeMap<u32, Line>,
}

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<Added>),
    Flush,
    Merge,
    MergeAll,
    /// Close without a flush, and open again: what was only in memory is replayed.
    Reopen,
    /// Throw everything away, and replay from the first record.
    Rebuild,
}

fn added() -> impl Strategy<Value = Added> {
    let number = prop_oneof![4 => -5..5_i64, 1 => any::<i64>()];
    let line = prop_oneof![
        8 => (Just(1), prop::collection::vec(number.clone(), 12)),
        1 => (any::<u8>(), prop::collection::vec(number, 0..=super::super::MAX_LINE_NUMBERS)),
    ]
    .prop_map(|(tag, numbers)| Line { tag, numbers });
    (
        prop::option::weighted(0.9, any::<u8>()),
        prop::collection::vec(0_u8..30, 0..3),
        prop::collection::btree_map(prop_oneof![Just(0), 0..9_u32, Just(u32::MAX)], line, 0..3),
    )
        .prop_map(|(request_id, bank_references, trail)| Added {
            request_id,
            bank_references,
            trail,
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop::collection::vec(added(), 1..50).prop_map(Step::Apply),
        2 => Just(Step::Flush),
        4 => Just(Step::Merge),
        1 => Just(Step::MergeAll),
        2 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
    ]
}

/// Ids close to each other and far apart.
fn key(number: u8) -> [u8; 16] {
    let mut key = [0; 16];
    key[usize::from(number % 16)] = number;
    key
}

/// The log, and what it says when it is read from its beginning.
#[derive(Default)]
struct Model {
    log: Vec<Added>,
}

impl Model {
    fn records(&self) -> impl Iterator<Item = (Position, &Added)> {
        (0..).map(Position::new).zip(&self.log)
    }

    /// Where a request id is, of the records that are written out.
    fn request_id(&self, number: u8, written: LogSize) -> Vec<Position> {
        let found = self.records().filter(|(_, added)| added.request_id == Some(number));
        found.map(|(position, _)| position).filter(|at| written.holds(*at)).collect()
    }

    fn bank_reference(&self, number: u8, written: LogSize) -> Vec<Position> {
        let found = self.records().filter(|(_, added)| added.bank_references.contains(&number));
        found.map(|(position, _)| position).filter(|at| written.holds(*at)).collect()
    }

    fn trail(&self, owner: u32) -> Vec<(Position, Line)> {
        let of_owner =
            |(position, added): (_, &Added)| Some((position, added.trail.get(&owner)?.clone()));
        self.records().filter_map(of_owner).collect()
    }

    /// Indexes the log from where the index stands.
    fn replay(&self, index: &Index) {
        let mut batch = IndexBatch::new(index.applied());
        let skipped = usize::try_from(index.applied().get()).unwrap();
        for (position, added) in self.records().skip(skipped) {
            if let Some(number) = added.request_id {
                batch.request_id(position, &key(number));
            }
            for number in &added.bank_references {
                batch.bank_reference(position, &key(*number));
            }
            for (owner, line) in &added.trail {
                batch.trail(position, *owner, line.tag, &line.numbers).unwrap();
            }
            cover(&mut batch, position.get());
        }
        index.apply(&batch).unwrap();
    }

    fn check(&self, index: &Index, range: std::ops::Range<u64>, limit: usize) {
        let size = self.log.len() as u64;
        assert_eq!(index.applied_head(), (LogSize::new(size), made_up_hash(size)));
        tiles::check_root(index, size);
        let written = index.written();
        assert_eq!(written, index.stats().unwrap().written);
        let ids: Vec<u64> = (0..=u8::MAX).map(|number| index.key(&key(number))).collect();
        let mut at_once = vec![Vec::new(); ids.len()];
        index.request_ids(&ids, |number, positions| at_once[number] = positions.to_vec()).unwrap();
        for (number, at_once) in (0..=u8::MAX).zip(at_once) {
            let found = index.request_id(&key(number)).unwrap();
            assert_eq!(found, self.request_id(number, written));
            assert_eq!(found, at_once.into_iter().map(Position::new).collect::<Vec<_>>());
        }
        for number in 0..40 {
            let found = index.bank_reference(&key(number)).unwrap();
            assert_eq!(found, self.bank_reference(number, written));
            let below = Position::new(range.start);
            let mut found_below = Vec::new();
            let show = |_, positions: &[u64]| found_below.extend_from_slice(positions);
            index.bank_references_below(below, &[key(number)], show).unwrap();
            let expected = found.iter().filter(|position| **position < below);
            assert_eq!(found_below, expected.map(|position| position.get()).collect::<Vec<_>>());
        }
        for owner in (0..10).chain([u32::MAX]) {
            let trail = self.trail(owner);
            let wanted = Position::new(range.start)..Position::new(range.end);
            let within = trail.iter().filter(|(position, _)| wanted.contains(position));
            let oldest: Vec<_> = within.clone().take(limit).cloned().collect();
            let newest: Vec<_> = within.rev().take(limit).cloned().collect();
            let found = |direction| index.trail(owner, wanted.clone(), limit, direction).unwrap();
            assert_eq!(found(Direction::OldestFirst), oldest);
            assert_eq!(found(Direction::NewestFirst), newest);
            let last = trail.iter().rfind(|(position, _)| *position <= wanted.start).cloned();
            assert_eq!(index.trail_at(owner, wanted.start).unwrap(), last);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_the_index_answers_like_the_log(
        steps in prop::collection::vec(step(), 1..40),
        inline: bool,
        start in 0_u64..400,
        length in 0_u64..400,
        limit in 0_usize..100,
    ) {
        let folder = TempDir::new().unwrap();
        let options = IndexOptions { inline, ..options() };
        let mut index = open(&folder, &options);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Apply(added) => {
                    model.log.extend(added);
                    model.replay(&index);
                }
                Step::Flush => index.flush().unwrap(),
                Step::Merge => _ = index.work_once().unwrap(),
                Step::MergeAll => merge_all(&index),
                Step::Reopen => {
                    let before = index.stats().unwrap().written;
                    drop(index);
                    let opened = Index::open(folder.path(), &options).unwrap();
                    prop_assert_eq!(opened.fresh_because, None);
                    index = opened.index;
                    prop_assert_eq!(index.applied_head(), (before, made_up_hash(before.get())));
                    model.replay(&index);
                }
                Step::Rebuild => {
                    let digest = index.content_digest().unwrap();
                    drop(index);
                    Index::discard(folder.path()).unwrap();
                    index = open(&folder, &options);
                    model.replay(&index);
                    prop_assert_eq!(index.content_digest().unwrap(), digest);
                }
            }
            model.check(&index, start..start + length, limit);
        }
    }
}
