use bergulir_chain::merkle::{self, verify_absence};
use bergulir_chain::record;
use bergulir_domain::Position;
use bergulir_domain::postings::Book;
use bergulir_domain::state::AccountBalances;

use super::*;
use crate::sample_ledger::SampleLedger;
use crate::statement::Statement;

fn key(text: &str) -> BalanceKey {
    text.parse().unwrap()
}

fn keys(tree: &BalanceTree) -> Vec<String> {
    tree.leaves().map(|leaf| Leaf::parse(leaf).unwrap().key().to_string()).collect()
}

fn leaf_of(tree: &BalanceTree, name: &str) -> Leaf {
    match tree.prove(&key(name)) {
        BalanceAnswer::Present(member) => {
            member.verify(BALANCE_TREE, tree.head()).unwrap();
            Leaf::parse(&member.leaf).unwrap()
        }
        BalanceAnswer::Absent(absence) => panic!("{absence:?}"),
    }
}

#[test]
fn the_tree_has_each_fund_and_after_it_its_accounts_by_name() {
    let ledger = SampleLedger::with_grants();
    let tree = BalanceTree::of(&ledger.replica);
    let sorted =
        ["fund dana", "account dana a2", "account dana b1", "fund mandiri", "account mandiri a3"];
    assert_eq!(keys(&tree), sorted);
    assert_eq!(tree.root(), ledger.replica.balance_root());
    assert_eq!(tree.root(), merkle::root(BALANCE_TREE, tree.leaves()));
    assert_eq!(tree.head().size, 5);
}

#[test]
fn a_leaf_has_the_balances_and_one_byte_string() {
    let ledger = SampleLedger::with_grants();
    let tree = BalanceTree::of(&ledger.replica);
    for bytes in tree.leaves() {
        let mut again = Vec::new();
        Leaf::parse(bytes).unwrap().encode(&mut again);
        assert_eq!(again, bytes);
        for short in 0..bytes.len() {
            assert!(matches!(Leaf::parse(&bytes[..short]), Err(LeafError::Short)), "{short}");
        }
        again.push(0);
        assert_eq!(Leaf::parse(&again), Err(LeafError::Trailing));
    }
    let Leaf::Account { balances, .. } = leaf_of(&tree, "account dana a2") else { panic!() };
    assert_eq!(balances, AccountBalances { granted: 125, ..AccountBalances::default() });
    let Leaf::Fund { balances, .. } = leaf_of(&tree, "fund dana") else { panic!() };
    assert_eq!(balances.books.amount(Book::Cash), 900 - 175);
    assert_eq!(balances.books.amount(Book::GrantExpense), 175);
}

/// Laid out by hand: the first byte, the ids, nine numbers, the statement.
#[test]
fn the_leaf_of_an_account_of_which_something_was_written_off_has_two_more_numbers() {
    let balances = |written_off, recovered| AccountBalances {
        disbursed: 9,
        written_off,
        recovered,
        ..AccountBalances::default()
    };
    let leaf = |balances| Leaf::Account {
        fund: "f".parse().unwrap(),
        account: "a".parse().unwrap(),
        balances,
        statement: crate::statement::Statement::default(),
    };
    let bytes = |balances| {
        let mut bytes = Vec::new();
        leaf(balances).encode(&mut bytes);
        assert_eq!(Leaf::parse(&bytes), Ok(leaf(balances)));
        bytes
    };
    let mut expected = vec![3, 1, b'f', 1, b'a'];
    for number in [0_i64, 0, 9, 0, 0, 0, 0, 5, 2] {
        expected.extend(number.to_le_bytes());
    }
    expected.extend([0; 40]);
    assert_eq!(bytes(balances(5, 2)), expected);
    // Without, it is the one that there was before.
    expected[0] = 2;
    expected.drain(5 + 7 * 8..5 + 9 * 8);
    assert_eq!(bytes(balances(0, 0)), expected);
    expected[0] = 3;
    expected.splice(5 + 7 * 8..5 + 7 * 8, [0; 16]);
    assert_eq!(Leaf::parse(&expected), Err(LeafError::NothingWrittenOff));
}

#[test]
fn bytes_that_are_not_a_leaf_are_refused() {
    let ledger = SampleLedger::with_grants();
    let tree = BalanceTree::of(&ledger.replica);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = tree.leaves().next().unwrap().to_vec();
        change(&mut bytes);
        Leaf::parse(&bytes)
    };
    assert_eq!(with(&|bytes| bytes[0] = 4), Err(LeafError::Kind(4)));
    assert_eq!(with(&|bytes| bytes[2] = b'D'), Err(LeafError::Id));
    assert_eq!(with(&|bytes| bytes[2] = 0xff), Err(LeafError::Id));
    assert_eq!(with(&|bytes| drop(bytes.splice(1..6, [0]))), Err(LeafError::Id));
    assert_eq!(with(&|bytes| bytes[6] ^= 1), Err(LeafError::Books));
}

#[test]
fn what_the_tree_has_is_proved() {
    let ledger = SampleLedger::with_grants();
    let tree = BalanceTree::of(&ledger.replica);
    for name in keys(&tree) {
        assert_eq!(leaf_of(&tree, &name).key(), key(&name));
    }
}

#[test]
fn what_the_tree_does_not_have_is_proved() {
    let ledger = SampleLedger::with_grants();
    let tree = BalanceTree::of(&ledger.replica);
    for (name, before, after) in [
        ("fund a", None, Some("fund dana")),
        ("account dana a1", Some("fund dana"), Some("account dana a2")),
        ("account dana a3", Some("account dana a2"), Some("account dana b1")),
        ("account dana zz", Some("account dana b1"), Some("fund mandiri")),
        ("fund dana-2", Some("account dana b1"), Some("fund mandiri")),
        ("account mandiri a4", Some("account mandiri a3"), None),
        ("fund z", Some("account mandiri a3"), None),
    ] {
        let BalanceAnswer::Absent(absence) = tree.prove(&key(name)) else { panic!("{name}") };
        let key_of = |member: &Option<Member>| {
            member.as_ref().map(|member| Leaf::parse(&member.leaf).unwrap().key())
        };
        assert_eq!(key_of(&absence.before), before.map(key), "{name}");
        assert_eq!(key_of(&absence.after), after.map(key), "{name}");
        verify_absence(BALANCE_TREE, tree.head(), &key(name), Leaf::key_of, &absence).unwrap();
    }
}

/// So many that paths need hashes that are kept and hashes that are made again.
#[test]
fn in_a_larger_tree_each_leaf_and_each_gap_is_proved() {
    let mut ledger = SampleLedger::open();
    for number in (0..77_u32).rev() {
        ledger.open_fund(&format!("f{number:02}"));
        let tree = BalanceTree::of(&ledger.replica);
        assert_eq!(tree.root(), merkle::root(BALANCE_TREE, tree.leaves()));
    }
    let tree = BalanceTree::of(&ledger.replica);
    for number in 0..77 {
        let fund = format!("fund f{number:02}");
        assert_eq!(leaf_of(&tree, &fund).key(), key(&fund));
        let none = key(&format!("{fund}-"));
        let BalanceAnswer::Absent(absence) = tree.prove(&none) else { panic!("{none}") };
        verify_absence(BALANCE_TREE, tree.head(), &none, Leaf::key_of, &absence).unwrap();
    }
}

#[test]
fn an_empty_tree_has_nothing() {
    let ledger = SampleLedger::open();
    let tree = BalanceTree::of(&ledger.replica);
    assert_eq!(tree.root(), merkle::empty_root());
    let answer = tree.prove(&key("fund dana"));
    assert_eq!(answer, BalanceAnswer::Absent(Absence { before: None, after: None }));
}

#[test]
fn a_statement_tells_that_nothing_was_left_out_added_or_changed() {
    let ledger = SampleLedger::with_grants();
    let tree = BalanceTree::of(&ledger.replica);
    let state = ledger.replica.state();
    let fund = state.funds().find(&"dana".parse().unwrap()).unwrap();
    let account = state.accounts().find(&(fund, "a2".parse().unwrap()));
    let concern = (0..).map(Position::new).zip(&ledger.touched);
    let concern: Vec<u64> = concern
        .filter(|(_, touched)| touched.account == account)
        .map(|(position, _)| position.get())
        .collect();
    assert_eq!(concern.len(), 3, "opened, and two grants");

    let stated = leaf_of(&tree, "account dana a2").statement();
    let over = |positions: &[u64]| {
        let bytes = positions.iter().map(|at| &ledger.records[usize::try_from(*at).unwrap()]);
        Statement::over(bytes.map(|bytes| record::hash(bytes)))
    };
    assert_eq!(over(&concern), stated);
    for place in 0..concern.len() {
        let mut left_out = concern.clone();
        left_out.remove(place);
        assert_ne!(over(&left_out), stated);
        let mut changed = concern.clone();
        changed[place] -= 1;
        assert_ne!(over(&changed), stated);
    }
    assert_ne!(over(&[concern[0], concern[2], concern[1]]), stated);
    assert_ne!(over(&[&[0][..], &concern].concat()), stated);
    assert_eq!(over(&[]), Statement::default());
}

#[test]
fn a_key_has_one_text() {
    for text in ["fund dana", "account dana a2"] {
        assert_eq!(key(text).to_string(), text);
    }
    for other in ["", "fund", "fund ", "fund dana a2", "account dana", "account dana a2 ", "loan l"]
    {
        assert_eq!(other.parse::<BalanceKey>(), Err(BalanceKeyError), "{other:?}");
    }
}
