use bergulir_chain::LogSize;
use bergulir_chain::merkle::{Levels, Prefixes};
use bergulir_chain::note::SignerKey;

use super::*;
use crate::balances::BalanceTree;
use crate::sample_ledger::SampleLedger;

const ORIGIN: &str = "ledger.example.go.id/kab";

fn origin() -> KeyName {
    KeyName::new(ORIGIN).unwrap()
}

fn signer() -> SignerKey {
    SignerKey::from_seed(origin(), &[9; 32]).unwrap()
}

/// A sealed ledger with its balances, of which proofs are made.
struct Sealed {
    ledger: SampleLedger,
    tree: BalanceTree,
    /// Where the seal stands.
    place: usize,
}

impl Sealed {
    fn new(mut ledger: SampleLedger) -> Sealed {
        let tree = BalanceTree::of(&ledger.replica);
        let place = ledger.records.len();
        ledger.seal();
        ledger.register(9);
        Sealed { ledger, tree, place }
    }

    /// The proof that the record at `position` is in the log.
    fn record(&self, position: usize) -> LogProof {
        let mut levels = Levels::new(Prefixes::RFC_6962);
        self.ledger.records.iter().for_each(|bytes| levels.push(bytes));
        let head = levels.head();
        let checkpoint =
            Checkpoint { origin: origin(), size: LogSize::new(head.size), root: head.root };
        LogProof {
            extra: Some(self.ledger.records[position].clone()),
            position: Position::new(position as u64),
            path: levels.inclusion(position as u64).unwrap(),
            checkpoint: checkpoint.sign(&signer()).unwrap(),
        }
    }

    fn proof(&self, key: &str) -> BalanceProof {
        let key = key.parse().unwrap();
        let (leaves, answer) = (self.tree.head().size, self.tree.prove(&key));
        BalanceProof::new(key, leaves, answer, self.record(self.place))
    }
}

fn with_grants() -> Sealed {
    Sealed::new(SampleLedger::with_grants())
}

/// Proofs as texts: of keys that are there, and that would stand before, between and behind those.
pub(crate) fn sample_texts() -> Vec<String> {
    let sealed = with_grants();
    let keys = ["fund dana", "account dana a2", "account dana a1", "account dana b0", "fund zz"];
    keys.map(|key| sealed.proof(key).to_string()).to_vec()
}

fn verify(proof: &BalanceProof) -> Result<Proved, BalanceProofError> {
    proof.verify(&origin(), [signer().verifier()])
}

/// What a text proves, if it proves anything.
fn proved(text: &str) -> Option<(BalanceKey, Proved)> {
    let proof = BalanceProof::parse(text.as_bytes()).ok()?;
    assert_eq!(proof.to_string(), text, "one text for each proof");
    Some((proof.key, verify(&proof).ok()?))
}

#[test]
fn balances_are_proved_with_the_key_of_the_log_alone() {
    let sealed = with_grants();
    for key in ["fund dana", "account dana a2", "fund mandiri", "account mandiri a3"] {
        let (whose, proved) = proved(&sealed.proof(key).to_string()).unwrap();
        assert_eq!(whose.to_string(), key);
        assert_eq!(proved.leaf.unwrap().key(), whose);
        assert_eq!(proved.sealed_at.get(), sealed.place as u64);
        assert_eq!(proved.seal.through.get() + 1, sealed.place as u64);
        assert_eq!(proved.checkpoint.size, sealed.ledger.replica.size());
    }
}

#[test]
fn that_there_are_none_is_proved_at_every_place() {
    let sealed = with_grants();
    for key in ["fund a", "account dana a1", "fund dana-2", "account mandiri a4", "fund z"] {
        let (whose, proved) = proved(&sealed.proof(key).to_string()).unwrap();
        assert_eq!((whose.to_string(), proved.leaf), (key.to_owned(), None));
    }
    let empty = Sealed::new(SampleLedger::open());
    assert_eq!(proved(&empty.proof("fund dana").to_string()).unwrap().1.leaf, None);
}

/// Whatever still verifies is true: `leaves` is not proved by itself, and the line of the key may
/// name another that the same leaves prove the absence of.
fn is_true(sealed: &Sealed, key: &BalanceKey, proved: &Proved) -> bool {
    match sealed.tree.prove(key) {
        BalanceAnswer::Present(member) => proved.leaf == Leaf::parse(&member.leaf).ok(),
        BalanceAnswer::Absent(_) => proved.leaf.is_none(),
    }
}

#[test]
fn every_changed_character_is_found() {
    let sealed = with_grants();
    for key in ["account dana a2", "account dana a3", "fund z"] {
        let text = sealed.proof(key).to_string();
        for (place, character) in text.char_indices() {
            for other in ["1", "A", "\n", ""] {
                let mut changed = text.clone();
                changed.replace_range(place..place + character.len_utf8(), other);
                let Some((whose, proved)) = (changed != text).then(|| proved(&changed)).flatten()
                else {
                    continue;
                };
                let line = text[..place].matches('\n').count();
                assert!(line == 1 || line == 2, "line {line} of the proof of {key}: {changed}");
                assert!(is_true(&sealed, &whose, &proved), "{changed}");
            }
        }
    }
}

#[test]
fn every_line_left_out_or_said_twice_or_swapped_is_found() {
    let sealed = with_grants();
    for key in ["account dana a2", "account dana a3", "fund z"] {
        let text = sealed.proof(key).to_string();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for place in 0..lines.len() {
            let mut left_out = lines.clone();
            left_out.remove(place);
            assert_eq!(proved(&left_out.concat()), None, "{}", left_out.concat());
            let mut twice = lines.clone();
            twice.insert(place, lines[place]);
            // The note of the checkpoint may have two signatures of one key.
            if place + 1 < lines.len() {
                assert_eq!(proved(&twice.concat()), None, "{}", twice.concat());
            }
            let mut swapped = lines.clone();
            swapped.swap(place, (place + 1) % lines.len());
            assert_eq!(proved(&swapped.concat()), None, "{}", swapped.concat());
        }
    }
}

#[test]
fn a_proof_is_refused_for_what_is_wrong_with_it() {
    let sealed = with_grants();
    let with = |key: &str, change: &dyn Fn(&mut BalanceProof)| {
        let mut proof = sealed.proof(key);
        change(&mut proof);
        verify(&proof).unwrap_err()
    };
    let a2 = "account dana a2";
    assert_eq!(with(a2, &|proof| proof.seal.extra = None), BalanceProofError::NoRecord);
    assert!(matches!(
        with(a2, &|proof| proof.seal = sealed.record(0)),
        BalanceProofError::NotASeal(position) if position.get() == 0
    ));
    assert!(matches!(
        with(a2, &|proof| proof.seal.position = Position::new(1)),
        BalanceProofError::Position { .. }
    ));
    assert!(matches!(
        with(a2, &|proof| proof.seal.path[0] = Hash::ZERO),
        BalanceProofError::Inclusion(InclusionError::Proof(_))
    ));
    assert!(matches!(
        with(a2, &|proof| proof.shown[0].path[0] = Hash::ZERO),
        BalanceProofError::NotInTree(_)
    ));
    assert!(matches!(
        with(a2, &|proof| proof.shown[0].leaf.clear()),
        BalanceProofError::Leaf(LeafError::Short)
    ));
    // More money than there is.
    assert!(matches!(
        with(a2, &|proof| proof.shown[0].leaf[12] ^= 1),
        BalanceProofError::NotInTree(_)
    ));
    // Neighbours that are none; a leaf that is there; nothing at all.
    let lies = [
        ("account dana a3", sealed.proof("account dana zz").shown),
        ("account dana a2", sealed.proof("account dana a1").shown),
        ("account dana a3", sealed.proof("fund dana").shown),
        ("account dana a3", Vec::new()),
    ];
    for (key, shown) in lies {
        let refused = with(key, &|proof| proof.shown.clone_from(&shown));
        assert!(matches!(refused, BalanceProofError::Absence(_)), "{refused:?}");
    }
    let three = vec![sealed.proof(a2).shown[0].clone(); 3];
    assert_eq!(
        with(a2, &|proof| proof.shown.clone_from(&three)),
        BalanceProofError::TooManyLeaves(3)
    );
}

#[test]
fn another_log_and_another_key_prove_nothing() {
    let proof = with_grants().proof("fund dana");
    let stranger = SignerKey::from_seed(origin(), &[8; 32]).unwrap();
    assert!(proof.verify(&origin(), [stranger.verifier()]).is_err());
    let other = KeyName::new("ledger.example.go.id/kota").unwrap();
    assert!(proof.verify(&other, [signer().verifier()]).is_err());
}

#[test]
fn no_text_makes_the_reader_stumble() {
    let text = with_grants().proof("account dana a3").to_string();
    for end in 0..text.len() {
        assert!(BalanceProof::parse(&text.as_bytes()[..end]).is_err(), "{end}");
    }
    let long = format!("{HEADER}\nfund dana\nleaves 1\nleaf 0 AQ==\n{}", "AA==\n".repeat(3));
    assert_eq!(BalanceProof::parse(long.as_bytes()), Err(BalanceProofTextError::Shown));
    assert!(BalanceProof::parse(&[0xff; 9]).is_err());
}
