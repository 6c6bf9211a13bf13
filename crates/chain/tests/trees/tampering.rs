//! Whatever is touched in a proof, it fails.

use bergulir_chain::Hash;
use bergulir_chain::merkle::{
    ProofError, ProveError, Subtree, TreeHead, prove_consistency, prove_inclusion, read_root,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::{RFC, Sparse, any_size, levels};

fn flipped(hash: Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

fn flipped_in(path: &[Hash], place: usize, bit: usize) -> Vec<Hash> {
    let mut path = path.to_vec();
    path[place] = flipped(path[place], bit);
    path
}

proptest! {
    #[test]
    fn a_touched_inclusion_proof_fails(
        size in any_size(),
        index in any::<u64>(),
        other in any::<u64>(),
        bit in 0..256_usize,
        place in any::<Index>(),
    ) {
        let (index, other) = (index % size, other % size);
        let mut source = Sparse::new([index, other]);
        let head = read_root(RFC, size, &mut source).unwrap();
        let path = prove_inclusion(RFC, size, index, &mut source).unwrap();
        let leaf = source.get(Subtree { level: 0, index });
        let check = |head, index, leaf, path: &[Hash]| verify_inclusion(RFC, head, index, leaf, path);
        check(head, index, leaf, &path).unwrap();

        let root = TreeHead { root: flipped(head.root, bit), ..head };
        prop_assert!(check(root, index, leaf, &path).is_err());
        prop_assert!(check(head, index, flipped(leaf, bit), &path).is_err());
        let mut longer = path.clone();
        longer.push(Hash::ZERO);
        prop_assert!(check(head, index, leaf, &longer).is_err());
        if !path.is_empty() {
            let touched = flipped_in(&path, place.index(path.len()), bit);
            prop_assert!(check(head, index, leaf, &touched).is_err());
            let (mut first, mut last) = (path.clone(), path.clone());
            first.remove(0);
            last.pop();
            prop_assert!(check(head, index, leaf, &first).is_err());
            prop_assert!(check(head, index, leaf, &last).is_err());
        }
        // Both leaves are unlike all others, so no other place has this leaf.
        if other != index {
            prop_assert!(check(head, other, leaf, &path).is_err());
            let of_other = source.get(Subtree { level: 0, index: other });
            prop_assert!(check(head, index, of_other, &path).is_err());
        }
        let beyond = ProofError::NotInTree { index: size, size };
        prop_assert_eq!(check(head, size, leaf, &path), Err(beyond));
    }

    #[test]
    fn a_touched_consistency_proof_fails(
        size in any_size(),
        old in any::<u64>(),
        bit in 0..256_usize,
        place in any::<Index>(),
    ) {
        let old = old % size + 1;
        let mut source = Sparse::new([0, old - 1, size - 1]);
        let new = read_root(RFC, size, &mut source).unwrap();
        let path = prove_consistency(RFC, old, size, &mut source).unwrap();
        let old = read_root(RFC, old, &mut source).unwrap();
        let check = |old, new, path: &[Hash]| verify_consistency(RFC, old, new, path);
        check(old, new, &path).unwrap();

        let forged = |head: TreeHead| TreeHead { root: flipped(head.root, bit), ..head };
        prop_assert!(check(forged(old), new, &path).is_err());
        prop_assert!(check(old, forged(new), &path).is_err());
        let mut longer = path.clone();
        longer.push(Hash::ZERO);
        prop_assert!(check(old, new, &longer).is_err());
        if !path.is_empty() {
            let touched = flipped_in(&path, place.index(path.len()), bit);
            prop_assert!(check(old, new, &touched).is_err());
            let (mut first, mut last) = (path.clone(), path.clone());
            first.remove(0);
            last.pop();
            prop_assert!(check(old, new, &first).is_err());
            prop_assert!(check(old, new, &last).is_err());
        }
        if old.size < new.size {
            let shrank = ProofError::Shrank { old: new.size, new: old.size };
            prop_assert_eq!(check(new, old, &path), Err(shrank));
        }
    }

    /// A tree in which one old leaf was altered does not continue the old one.
    #[test]
    fn an_altered_leaf_is_found(size in any_size(), old in any::<u64>(), altered in any::<u64>()) {
        let old = old % size + 1;
        let altered = altered % old;
        let (mut honest, mut forged) = (Sparse::new([]), Sparse::new([altered]));
        let before = read_root(RFC, old, &mut honest).unwrap();
        let after = read_root(RFC, size, &mut forged).unwrap();
        for source in [&mut honest, &mut forged] {
            let path = prove_consistency(RFC, old, size, source).unwrap();
            prop_assert!(verify_consistency(RFC, before, after, &path).is_err());
        }
    }
}

#[test]
fn no_byte_of_a_proof_can_be_touched() {
    for (size, index) in [(1_u64, 0), (2, 1), (3, 2), (7, 4), (8, 5), (70, 65)] {
        let mut source = levels(size);
        let head = source.head();
        let leaf = source.leaf(index).unwrap();
        let path = prove_inclusion(RFC, size, index, &mut source).unwrap();
        let steps = prove_consistency(RFC, index + 1, size, &mut source).unwrap();
        let old = read_root(RFC, index + 1, &mut source).unwrap();
        for bit in 0..256 {
            for place in 0..path.len() {
                let touched = flipped_in(&path, place, bit);
                verify_inclusion(RFC, head, index, leaf, &touched).unwrap_err();
            }
            for place in 0..steps.len() {
                let touched = flipped_in(&steps, place, bit);
                verify_consistency(RFC, old, head, &touched).unwrap_err();
            }
        }
    }
}

#[test]
fn no_proof_is_made_of_what_is_not_there() {
    let mut source = levels(5);
    let missing = ProveError::NotInTree { index: 5, size: 5 };
    assert_eq!(prove_inclusion(RFC, 5, 5, &mut source), Err(missing));
    assert_eq!(
        prove_inclusion(RFC, 0, 0, &mut source),
        Err(ProveError::NotInTree { index: 0, size: 0 })
    );
    let shrinks = ProveError::Shrinks { old: 5, new: 4 };
    assert_eq!(prove_consistency(RFC, 5, 4, &mut source), Err(shrinks));
}
