//! Those who hold the ledger to its word: who follows its records, who keeps its checkpoints, and who
//! asks for the balances that a seal binds. What they have seen stays, whatever fails.

use super::machine::{KEYS, key};
use super::model::FundSums;
use super::model::compare::account_sums_of;
use super::run::Run;
use crate::reads::ReadRefusal;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::{Hash, Position, Record};
use bergulir_domain::Event;
use bergulir_proto::balances::{BalanceAnswer, BalanceKey, Leaf};
use bergulir_proto::decode_event;
use bergulir_store::{ReadError, ReadLimit};
use std::sync::Arc;

/// What they have seen.
#[derive(Default)]
pub(super) struct Watchers {
    /// The hash of each record that a subscriber got, in order.
    pub(super) followed: Vec<Hash>,
    /// The size and root of each checkpoint that was signed.
    pub(super) checkpoints: Vec<(usize, Hash)>,
    /// So many records are covered by what the anchor has.
    pub(super) anchored: usize,
}

impl Watchers {
    /// A log with these record hashes goes on from all that was seen.
    pub(super) fn check(&self, hashes: &[Hash]) {
        assert!(hashes.starts_with(&self.followed), "a record that somebody got is gone");
        for (size, signed) in &self.checkpoints {
            assert!(
                *size <= hashes.len(),
                "{size} records were signed, {} are there",
                hashes.len()
            );
            assert_eq!(root(&hashes[..*size]), *signed, "another history was signed at {size}");
        }
    }
}

/// The root of RFC 6962, as it is written there.
fn root(leaves: &[Hash]) -> Hash {
    if let [leaf] = leaves {
        return *leaf;
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    Hash::of_pair(1, root(left), root(right))
}

impl Run {
    /// A subscriber gets some more records: those that were published.
    pub(super) fn follow(&mut self) {
        let most = 1 + self.among(4);
        let from = self.watchers.followed.len();
        let ledger = &self.machine.as_ref().unwrap().ledger;
        if !ledger.head().size.holds(Position::new(from as u64)) {
            return;
        }
        let ledger = Arc::clone(ledger);
        self.unreadable(6, 3);
        let records = ledger.records(Position::new(from as u64), ReadLimit::records(most));
        let unread = self.readable();
        let records = match records {
            Err(ReadRefusal::Log(ReadError::Io { .. })) if unread => {
                return self.counts.one("a subscriber was not given records");
            }
            records => records.unwrap(),
        };
        for (position, bytes) in &records {
            assert_eq!(position.get(), self.watchers.followed.len() as u64);
            assert!(position.get() < self.durable as u64, "{position} is not durable");
            let record = Record::parse(bytes).unwrap();
            let expected = &self.oracle.records[self.watchers.followed.len()];
            assert_eq!(record.request_id, expected.request.request_id);
            self.watchers.followed.push(bergulir_chain::record::hash(bytes));
        }
        self.counts.one("followed");
    }

    /// The newest head is signed, if it was not.
    pub(super) fn sign(&mut self) {
        self.unreadable(8, 3);
        self.machine().checkpointer.keep_up();
        self.readable();
        let machine = self.machine.as_mut().unwrap();
        let Some(signed) = machine.ledger.watch_checkpoint().borrow().clone() else { return };
        let size = usize::try_from(signed.checkpoint.size.get()).unwrap();
        assert!(size <= self.durable, "signed {size} of {}", self.durable);
        let origin = &signed.checkpoint.origin;
        let keys: Vec<_> = (0..KEYS).map(|number| key(number).verifier().clone()).collect();
        assert_eq!(Checkpoint::open(&signed.note, origin, &keys).unwrap(), signed.checkpoint);
        self.watchers.checkpoints.push((size, signed.checkpoint.root));
        self.watchers.checkpoints.dedup();
        if machine.checkpointer.anchors.iter().all(|anchor| !anchor.is_behind()) {
            self.watchers.anchored = size;
        }
        self.counts.one("signed");
    }

    /// The balances that the newest seal binds are those right after the record that it speaks of.
    pub(super) fn look_at_seal(&mut self) {
        let machine = self.machine.as_ref().unwrap();
        let (log, index) = (machine.log.as_ref(), &machine.writer.index);
        let Some(sealed) = machine.ledger.sealed.get_or_make(log, index) else { return };
        let records = log.read(sealed.sealed_at, ReadLimit::ONE).unwrap();
        let (_, bytes) = records.iter().next().unwrap();
        let event = decode_event(Record::parse(bytes).unwrap().event).unwrap();
        let Event::Sealed(seal) = event else { panic!("no seal at {}", sealed.sealed_at) };
        assert_eq!(sealed.tree.root(), Hash::from_bytes(seal.balance_root));
        let through = usize::try_from(seal.through.get()).unwrap();
        let model = &self.oracle.records[through].after;
        let leaf = |key| match sealed.tree.prove(&key) {
            BalanceAnswer::Present(member) => Leaf::parse(&member.leaf).unwrap(),
            BalanceAnswer::Absent(_) => panic!("no balances of {key:?}"),
        };
        for fund in model.funds.keys() {
            let Leaf::Fund { balances, .. } = leaf(BalanceKey::Fund(*fund)) else { unreachable!() };
            assert_eq!(FundSums::of(&balances), model.fund_sums(*fund), "sealed, {fund}");
        }
        for (fund, account) in model.accounts.keys() {
            let of = leaf(BalanceKey::Account(*fund, *account));
            let Leaf::Account { balances, .. } = of else { unreachable!() };
            assert_eq!(account_sums_of(&balances), model.account_sums((*fund, *account)));
        }
        let leaves = model.funds.len() + model.accounts.len();
        assert_eq!(sealed.tree.leaves().count(), leaves);
        self.counts.one("sealed balances");
    }
}
