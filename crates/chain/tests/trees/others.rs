//! Roots and proofs equal those of `ct-merkle` and `tlog_tiles`, and each side takes the other's.

use std::cell::RefCell;

use bergulir_chain::Hash;
use bergulir_chain::merkle::{
    ProofError, Subtree, Tree, TreeHead, older_root, prove_consistency, prove_inclusion, read_root,
    verify_consistency, verify_inclusion,
};
use ct_merkle::digest::Output;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;
use tlog_tiles::{HashReader, tlog};

use crate::{RFC, Sparse, any_size, leaf, levels};

/// Every size up to this one.
const SIZES: u64 = 300;

fn bytes(path: &[Hash]) -> Vec<u8> {
    path.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

fn theirs(hash: Hash) -> tlog::Hash {
    tlog::Hash(*hash.as_bytes())
}

fn all_theirs(path: &[Hash]) -> Vec<tlog::Hash> {
    path.iter().copied().map(theirs).collect()
}

#[test]
fn every_small_size_agrees_with_ct_merkle() {
    let mut other = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut ours = levels(SIZES);
    let mut tree = Tree::new(RFC);
    let mut heads = vec![tree.head()];
    assert_eq!(heads[0].root.as_bytes()[..], other.root().as_bytes()[..], "empty");
    for size in 1..=SIZES {
        other.push(leaf(size - 1));
        tree.push(&leaf(size - 1));
        let head = tree.head();
        assert_eq!(head.root.as_bytes()[..], other.root().as_bytes()[..], "{size}");
        assert_eq!(read_root(RFC, size, &mut ours), Ok(head));
        heads.push(head);
        let their_root = other.root();

        for index in 0..size {
            let path = prove_inclusion(RFC, size, index, &mut ours).unwrap();
            let their_path = other.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(bytes(&path), their_path.as_bytes(), "{index} in {size}");
            let hash = RFC.leaf_hash(&leaf(index));
            verify_inclusion(RFC, head, index, hash, &path).unwrap();
            let mine = InclusionProof::<Sha256>::try_from_bytes(bytes(&path)).unwrap();
            their_root.verify_inclusion(&leaf(index), index, &mine).unwrap();
        }
        for old in 1..size {
            let path = prove_consistency(RFC, old, size, &mut ours).unwrap();
            let their_path = other.prove_consistency(usize::try_from(size - old).unwrap());
            assert_eq!(bytes(&path), their_path.as_bytes(), "{old} in {size}");
            let old = heads[usize::try_from(old).unwrap()];
            verify_consistency(RFC, old, head, &path).unwrap();
            let stated = (!old.size.is_power_of_two()).then_some(old.root);
            assert_eq!(older_root(RFC, old.size, head, &path), Ok(stated));
            let longer = [&path[..], &[Hash::ZERO]].concat();
            assert!(older_root(RFC, old.size, head, &longer).is_err());
            if let (Some(_), [.., last]) = (stated, &path[..]) {
                let wrong = TreeHead { root: *last, ..head };
                assert!(older_root(RFC, old.size, wrong, &path).is_err());
            }
            let mine = ConsistencyProof::<Sha256>::try_from_bytes(bytes(&path)).unwrap();
            let old_root =
                RootHash::<Sha256>::new(Output::<Sha256>::from(*old.root.as_bytes()), old.size);
            their_root.verify_consistency(&old_root, &mine).unwrap();
        }
        assert_eq!(older_root(RFC, size, head, &[]), Ok(Some(head.root)));
        assert!(older_root(RFC, size, head, &[Hash::ZERO]).is_err());
        let shrank = ProofError::Shrank { old: size + 1, new: size };
        assert_eq!(older_root(RFC, size + 1, head, &[]), Err(shrank));
    }
}

/// The stored hashes of `tlog_tiles`, from our source.
struct Reader(RefCell<Sparse>);

impl HashReader for Reader {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog_tiles::Error> {
        let hashes = indexes.iter().map(|&stored| {
            let (level, index) = tlog::split_stored_hash_index(stored);
            theirs(self.0.borrow().get(Subtree { level, index }))
        });
        Ok(hashes.collect())
    }
}

fn agrees_with_tlog_tiles(size: u64, index: u64, old: u64) {
    let ours = || Sparse::new([0, index, old - 1, old, size - 1].map(|place| place % size));
    let reader = Reader(RefCell::new(ours()));
    let mut source = ours();
    let head = read_root(RFC, size, &mut source).unwrap();
    assert!(source.reads <= 64);
    assert_eq!(theirs(head.root), tlog_tiles::tree_hash(size, &reader).unwrap());

    source.reads = 0;
    let path = prove_inclusion(RFC, size, index, &mut source).unwrap();
    assert!(source.reads <= 2 * 64, "{} reads", source.reads);
    let hash = source.get(Subtree { level: 0, index });
    verify_inclusion(RFC, head, index, hash, &path).unwrap();
    let their_path = tlog_tiles::prove_record(size, index, &reader).unwrap();
    assert_eq!(all_theirs(&path), their_path, "{index} in {size}");
    tlog_tiles::check_record(&their_path, size, theirs(head.root), index, theirs(hash)).unwrap();

    source.reads = 0;
    let path = prove_consistency(RFC, old, size, &mut source).unwrap();
    assert!(source.reads <= 2 * 64, "{} reads", source.reads);
    let old = read_root(RFC, old, &mut source).unwrap();
    verify_consistency(RFC, old, head, &path).unwrap();
    let their_path = tlog_tiles::prove_tree(size, old.size, &reader).unwrap();
    assert_eq!(all_theirs(&path), their_path, "{} in {size}", old.size);
    let (new_root, old_root) = (theirs(head.root), theirs(old.root));
    tlog_tiles::check_tree(&their_path, size, new_root, old.size, old_root).unwrap();
}

#[test]
fn every_small_size_agrees_with_tlog_tiles() {
    for size in 1..=SIZES {
        for index in (0..size).step_by(7) {
            agrees_with_tlog_tiles(size, index, index + 1);
        }
        agrees_with_tlog_tiles(size, size - 1, size);
    }
}

proptest! {
    /// The crate counts stored hashes, of which there are twice as many as leaves.
    #[test]
    fn large_sizes_agree_with_tlog_tiles(
        size in any_size().prop_map(|size| size.min(1 << 62)),
        index in any::<u64>(),
        old in any::<u64>(),
    ) {
        agrees_with_tlog_tiles(size, index % size, old % size + 1);
    }

    #[test]
    fn a_tree_goes_on_where_it_was(old in 0..600_u64, new in 0..600_u64) {
        let mut whole = Tree::new(RFC);
        (0..old).for_each(|index| whole.push(&leaf(index)));
        let stored = Tree::read(RFC, old, &mut levels(old)).unwrap();
        let resumed = Tree::resume(RFC, old, whole.subtrees().to_vec()).unwrap();
        prop_assert_eq!(&stored, &whole);
        prop_assert_eq!(&resumed, &whole);
        let mut resumed = resumed;
        (old..new.max(old)).for_each(|index| resumed.push(&leaf(index)));
        prop_assert_eq!(resumed.head(), levels(new.max(old)).head());
        let mut more = whole.subtrees().to_vec();
        more.push(Hash::ZERO);
        prop_assert!(Tree::resume(RFC, old, more).is_err());
    }
}

#[test]
fn anything_continues_an_empty_tree() {
    let empty = TreeHead { size: 0, root: Tree::new(RFC).root() };
    let new = levels(9).head();
    assert_eq!(prove_consistency(RFC, 0, 9, &mut levels(9)), Ok(vec![]));
    assert_eq!(verify_consistency(RFC, empty, new, &[]), Ok(()));
    assert_eq!(verify_consistency(RFC, empty, empty, &[]), Ok(()));
    assert!(verify_consistency(RFC, empty, new, &[Hash::ZERO]).is_err());
    assert!(verify_consistency(RFC, TreeHead { root: Hash::ZERO, ..empty }, new, &[]).is_err());
}
