//! Proofs that a key is not in a sorted tree.

use bergulir_chain::merkle::{
    Absence, AbsenceError, Levels, Member, Neighbour, Prefixes, TreeHead, verify_absence,
};
use proptest::collection::btree_set;
use proptest::prelude::*;

/// Those of the balance tree.
const BALANCES: Prefixes = Prefixes { leaf: &[0x02], node: &[0x03] };

fn key_of(leaf: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*leaf.first_chunk()?))
}

fn leaf_of(key: u16) -> Vec<u8> {
    [&key.to_be_bytes()[..], b" and its balances"].concat()
}

fn tree(keys: &[u16]) -> Levels {
    let mut tree = Levels::new(BALANCES);
    for &key in keys {
        tree.push(&leaf_of(key));
    }
    tree
}

fn prove(keys: &[u16], place: usize) -> Absence {
    let leaf = |index| keys.get(usize::try_from(index).unwrap()).copied().map(leaf_of);
    Absence::between(&tree(keys), u64::try_from(place).unwrap(), leaf).unwrap()
}

fn check(head: TreeHead, key: u16, absence: &Absence) -> Result<(), AbsenceError> {
    verify_absence(BALANCES, head, &key, key_of, absence)
}

fn member(keys: &[u16], place: usize) -> Member {
    let index = u64::try_from(place).unwrap();
    let path = tree(keys).inclusion(index).unwrap();
    Member { index, leaf: leaf_of(keys[place]), path }
}

proptest! {
    #[test]
    fn what_is_not_there_is_proved_absent_and_what_is_there_is_not(
        keys in btree_set(any::<u16>(), 0..12),
        asked in any::<u16>(),
        claimed in 0..16_u64,
    ) {
        let keys: Vec<u16> = keys.into_iter().collect();
        let head = tree(&keys).head();
        let members: Vec<Member> = (0..keys.len()).map(|place| member(&keys, place)).collect();
        for key in keys.iter().copied().chain([asked]) {
            match keys.binary_search(&key) {
                Err(place) => check(head, key, &prove(&keys, place)).unwrap(),
                // Whatever two leaves are shown, and whatever size is claimed.
                Ok(_) => for before in 0..=keys.len() {
                    for after in 0..=keys.len() {
                        let shown = |place: usize| members.get(place).cloned();
                        let absence = Absence { before: shown(before), after: shown(after) };
                        prop_assert!(check(head, key, &absence).is_err());
                        let head = TreeHead { size: claimed, ..head };
                        prop_assert!(check(head, key, &absence).is_err());
                    }
                },
            }
        }
    }
}

#[test]
fn a_gap_is_found() {
    let keys = [10, 20, 30, 40];
    let head = tree(&keys).head();
    let shown = |before: Option<usize>, after: Option<usize>| Absence {
        before: before.map(|place| member(&keys, place)),
        after: after.map(|place| member(&keys, place)),
    };
    check(head, 25, &shown(Some(1), Some(2))).unwrap();
    check(head, 5, &shown(None, Some(0))).unwrap();
    check(head, 45, &shown(Some(3), None)).unwrap();
    for (key, before, after) in
        [(20, Some(0), Some(2)), (10, None, Some(1)), (40, Some(2), None), (20, None, None)]
    {
        assert_eq!(check(head, key, &shown(before, after)), Err(AbsenceError::Gap));
    }
    let order = |which| Err(AbsenceError::Order(which));
    assert_eq!(check(head, 20, &shown(Some(1), Some(2))), order(Neighbour::Before));
    assert_eq!(check(head, 30, &shown(Some(1), Some(2))), order(Neighbour::After));
    let mut touched = shown(Some(1), Some(2));
    touched.after.as_mut().unwrap().leaf[2] ^= 1;
    assert!(matches!(
        check(head, 25, &touched),
        Err(AbsenceError::NotInTree { which: Neighbour::After, .. })
    ));
    check(tree(&[]).head(), 1, &shown(None, None)).unwrap();
}
