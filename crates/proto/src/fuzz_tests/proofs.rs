//! Balance leaves, proofs of balances, and snapshots.

use bergulir_chain::note::{KeyName, SignerKey};
use bergulir_fuzz::{fuzz, outcome};

use super::target;
use crate::balance_proof::BalanceProof;
use crate::balances::{BalanceTree, Leaf};
use crate::replay::Replica;
use crate::sample_ledger::SampleLedger;

#[test]
fn a_balance_leaf_has_one_byte_string() {
    let ledger = SampleLedger::with_grants();
    let leaves: Vec<_> = BalanceTree::of(&ledger.replica).leaves().map(<[u8]>::to_vec).collect();
    fuzz!(target("balance-leaf").samples(leaves), |input| {
        let read = Leaf::parse(input);
        if let Ok(leaf) = &read {
            let mut again = Vec::new();
            leaf.encode(&mut again);
            assert_eq!(again, input);
            assert_eq!(Leaf::key_of(input), Some(leaf.key()));
        }
        outcome(&read.map(|leaf| leaf.key()))
    });
}

#[test]
fn a_balance_proof_has_one_text() {
    const WORDS: &[&str] =
        &["leaves ", "leaf 0 ", "fund dana", "account dana a2", "\n\n", "0", "index "];
    let texts = crate::balance_proof::tests::sample_texts();
    let origin = KeyName::new("ledger.example.go.id/kab").unwrap();
    let key = SignerKey::from_seed(origin.clone(), &[9; 32]).unwrap().verifier().clone();
    let honest = texts.clone();
    let target = target("balance-proof").samples(texts.into_iter().map(String::into_bytes));
    fuzz!(target.words(WORDS), |input| {
        let proof = match BalanceProof::parse(input) {
            Ok(proof) => proof,
            Err(error) => return outcome(&error),
        };
        assert_eq!(proof.to_string().as_bytes(), input);
        let verified = proof.verify(&origin, [&key]);
        if let Ok(proved) = &verified {
            // Nothing but what is true of the one ledger can be proved, in whatever words.
            let same = |text: &String| {
                let honest = BalanceProof::parse(text.as_bytes()).unwrap();
                honest.key == proof.key
                    && honest.verify(&origin, [&key]).as_ref().ok() == Some(proved)
            };
            assert!(proved.leaf.is_none() || honest.iter().any(same), "{proved:?}");
        }
        outcome(&verified.map(|proved| proved.leaf.is_some()))
    });
}

#[test]
fn a_snapshot_has_one_byte_string() {
    let mut ledger = SampleLedger::with_grants();
    let first = SampleLedger::open().replica.snapshot();
    ledger.seal();
    let mut samples = vec![Replica::default().snapshot(), first, ledger.replica.snapshot()];
    samples.extend(
        super::records::golden().iter().map(|log| super::records::replayed(log).0.snapshot()),
    );
    fuzz!(target("snapshot").samples(samples).memory(256 << 10, 256), |input| {
        let restored = Replica::restore(input);
        if let Ok(restored) = &restored {
            assert!(restored.snapshot() == input, "another snapshot is written than was read");
            let _ = (restored.seal(), restored.balance_root());
        }
        outcome(&restored.map(|_| ()))
    });
}
