//! What a witness takes, and what it refuses.

use bergulir_chain::checkpoint::{Checkpoint, CheckpointError};
use bergulir_chain::merkle::{Levels, Prefixes, ProofError, TreeHead, prove_consistency};
use bergulir_chain::note::{MAX_NOTE_BYTES, Note, NoteError, SignerKey, VerifierKey};
use bergulir_chain::witness::{
    AddCheckpoint, AddCheckpointError, MAX_PROOF_HASHES, MAX_REQUEST_BYTES, Refusal, Submitted,
    parse_cosignatures,
};
use bergulir_chain::{Hash, LogSize};
use proptest::prelude::*;

use crate::golden::{self, LOG_KEY, NOTE, ORIGIN};
use crate::{log_key, name, time, witness_key};

/// The example of the specification.
const EXAMPLE: &str = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";

/// A tree over `size` leaves, of which those from `fork` on are others.
fn tree(size: u64, fork: u64) -> Levels {
    let mut tree = Levels::new(Prefixes::RFC_6962);
    for index in 0..size {
        let record =
            if index < fork { format!("record {index}") } else { format!("other {index}") };
        tree.push(record.as_bytes());
    }
    tree
}

fn head(size: u64) -> TreeHead {
    tree(size, u64::MAX).head()
}

fn signed(head: TreeHead) -> Note {
    let TreeHead { size, root } = head;
    let checkpoint = Checkpoint { origin: name(ORIGIN), size: LogSize::new(size), root };
    checkpoint.sign(&log_key()).unwrap()
}

/// The log asks for its state of `size`, proved from that of `old`.
fn request(old: u64, size: u64) -> AddCheckpoint {
    let mut tree = tree(size, u64::MAX);
    let proof = prove_consistency(Prefixes::RFC_6962, old, size, &mut tree).unwrap();
    AddCheckpoint { old: LogSize::new(old), proof, checkpoint: signed(tree.head()) }
}

fn ask(request: &AddCheckpoint, known: Option<TreeHead>) -> Result<Checkpoint, Refusal> {
    let keys: [VerifierKey; 1] = [LOG_KEY.parse().unwrap()];
    Submitted::open(request, &keys)?.continuing(known)
}

#[test]
fn the_specification_s_example_is_read_as_it_is() {
    let read = AddCheckpoint::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!((read.old.get(), read.proof.len()), (20_852_014, 4));
    assert_eq!(read.checkpoint.signatures().len(), 2);
    assert_eq!(read.to_string(), EXAMPLE);
}

#[test]
fn what_is_almost_a_request() {
    let parse = |text: &str| AddCheckpoint::parse(text.as_bytes()).err();
    for other in [
        "",
        "old 20852014",
        &EXAMPLE.replace("old ", "Old "),
        &EXAMPLE.replace("old ", "old  "),
        &EXAMPLE.replace("old 2", "old 02"),
        &EXAMPLE.replace("old 20852014", "old -1"),
        &EXAMPLE.replace("old 20852014\n", "old 20852014 \n"),
        &EXAMPLE.replace("old 20852014\n", "old 20852014\r\n"),
        &EXAMPLE.replace("old 20852014\n", ""),
    ] {
        assert_eq!(parse(other), Some(AddCheckpointError::Old), "{other}");
    }
    for other in [
        "old 0\n",
        &EXAMPLE.replace("pkaw=", "pkaw"),
        &EXAMPLE.replace("pkaw=", "pkax="),
        &EXAMPLE.replace("PlRN", " PlRN"),
        &EXAMPLE.replace("PlRN", "PlRNAAAA"),
        &EXAMPLE.replace("Kj/0=\n\n", "Kj/0=\n"),
    ] {
        assert_eq!(parse(other), Some(AddCheckpointError::Proof), "{other}");
    }
    let note = Some(AddCheckpointError::Note(NoteError::Unsigned));
    assert_eq!(parse("old 0\n\n"), note);
    assert_eq!(parse(&EXAMPLE.replace("xq2I=\n\n", "xq2I=\n")), note);
}

#[test]
fn limits_of_requests() {
    let with = |hashes: usize| {
        let (old, proof) = (LogSize::new(u64::MAX), vec![Hash::ZERO; hashes]);
        AddCheckpoint { old, proof, ..request(0, 7) }
    };
    let most = with(MAX_PROOF_HASHES).to_string();
    let note = most.find(ORIGIN).unwrap();
    assert!(note <= MAX_REQUEST_BYTES - MAX_NOTE_BYTES);
    assert!(AddCheckpoint::parse(most.as_bytes()).is_ok());
    let above = with(MAX_PROOF_HASHES + 1).to_string();
    assert_eq!(AddCheckpoint::parse(above.as_bytes()), Err(AddCheckpointError::Proof));
}

#[test]
fn a_log_that_grows_is_cosigned() {
    let mut known = None;
    for size in [0, 0, 1, 1, 2, 7, 8, 70, 70] {
        let old = known.map_or(0, |head: TreeHead| head.size);
        let checkpoint = ask(&request(old, size), known).unwrap();
        assert_eq!(checkpoint.head(), head(size));
        known = Some(checkpoint.head());
    }
}

#[test]
fn another_size_than_the_one_known_is_told() {
    let known = Refusal::Size { known: LogSize::new(5) };
    assert_eq!((known.status(), known.known_size()), (409, Some(LogSize::new(5))));
    // Behind, ahead, nothing known by the log, and rolled back.
    for (old, size) in [(4, 7), (6, 7), (0, 7), (3, 3)] {
        assert_eq!(ask(&request(old, size), Some(head(5))), Err(known.clone()));
    }
    let nothing = Err(Refusal::Size { known: LogSize::EMPTY });
    assert_eq!(ask(&request(3, 7), None), nothing);
}

#[test]
fn a_request_that_shrinks_the_log_is_none() {
    let shrinking = AddCheckpoint { old: LogSize::new(5), ..request(3, 3) };
    let refusal = ask(&shrinking, Some(head(5))).unwrap_err();
    assert_eq!(refusal, Refusal::OldIsLarger { old: LogSize::new(5), size: LogSize::new(3) });
    assert_eq!(refusal.status(), 400);
}

#[test]
fn a_fork_is_refused() {
    // Of the same size.
    let other = AddCheckpoint { checkpoint: signed(tree(7, 4).head()), ..request(7, 7) };
    let refusal = ask(&other, Some(head(7))).unwrap_err();
    assert_eq!(refusal, Refusal::Forked { size: LogSize::new(7), known: head(7).root });
    assert_eq!((refusal.status(), refusal.known_size()), (409, None));
    // Of a larger one, with the proof that fits the other history.
    let mut forked = tree(9, 4);
    let proof = prove_consistency(Prefixes::RFC_6962, 7, 9, &mut forked).unwrap();
    let other = AddCheckpoint { proof, checkpoint: signed(forked.head()), ..request(7, 9) };
    let refusal = ask(&other, Some(head(7))).unwrap_err();
    assert!(matches!(refusal, Refusal::Proof(ProofError::OldRoot { .. })), "{refusal}");
    assert_eq!(refusal.status(), 422);
}

#[test]
fn only_known_logs_are_witnessed() {
    let request = request(0, 7);
    let of = |keys: &[VerifierKey]| Submitted::open(&request, keys).map(|_| ()).unwrap_err();
    let other = SignerKey::from_seed(name("other.example/log"), &[3; 32]).unwrap();
    for keys in [vec![], vec![other.verifier().clone()]] {
        let refusal = of(&keys);
        assert_eq!(refusal, Refusal::UnknownLog(name(ORIGIN)));
        assert_eq!(refusal.status(), 404);
    }
    // A known name under another key.
    let stranger = SignerKey::from_seed(name(ORIGIN), &[3; 32]).unwrap();
    let refusal = of(&[stranger.verifier().clone()]);
    assert!(matches!(refusal, Refusal::Signature(CheckpointError::Signature(_))), "{refusal}");
    assert_eq!(refusal.status(), 403);
    // One of two is enough, while a key takes over.
    let keys = [stranger.verifier().clone(), LOG_KEY.parse().unwrap()];
    assert_eq!(Submitted::open(&request, &keys).unwrap().origin(), &name(ORIGIN));
}

#[test]
fn a_note_that_is_no_checkpoint_is_refused() {
    let text = "not a checkpoint\n";
    let checkpoint = Note::new(text.to_owned(), log_key().sign(text)).unwrap();
    let refusal = ask(&AddCheckpoint { checkpoint, ..request(0, 7) }, None).unwrap_err();
    assert_eq!(refusal, Refusal::Checkpoint(CheckpointError::Line(1)));
    assert_eq!(refusal.status(), 400);
}

#[test]
fn nothing_of_a_request_can_be_touched() {
    let body = request(5, 70).to_string();
    let accepted = |bytes: &[u8]| {
        AddCheckpoint::parse(bytes).is_ok_and(|request| ask(&request, Some(head(5))).is_ok())
    };
    assert!(accepted(body.as_bytes()));
    for bit in 0..body.len() * 8 {
        let mut touched = body.clone().into_bytes();
        touched[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepted(&touched), "bit {bit}");
    }
    for end in 0..body.len() {
        assert!(!accepted(&body.as_bytes()[..end]), "cut at {end}");
    }
}

#[test]
fn the_answer_is_signature_lines() {
    let cosignature = witness_key().cosign(&golden::checkpoint(), time(golden::COSIGNED_AT));
    let line = format!("{cosignature}\n");
    assert_eq!(parse_cosignatures(line.as_bytes()), Ok(vec![cosignature.clone()]));
    let two = parse_cosignatures(line.repeat(2).as_bytes()).unwrap();
    assert_eq!(two, [cosignature.clone(), cosignature.clone()]);
    let mut note = golden::checkpoint().sign(&log_key()).unwrap();
    note.add(cosignature).unwrap();
    assert_eq!(note.to_string(), NOTE, "the line goes under the checkpoint as it is");
    assert_eq!(parse_cosignatures(b""), Err(NoteError::Unsigned));
    let many = line.repeat(MAX_NOTE_BYTES / line.len() + 1);
    assert_eq!(parse_cosignatures(many.as_bytes()), Err(NoteError::TooLarge(many.len())));
    assert_eq!(parse_cosignatures(line.trim_end().as_bytes()), Err(NoteError::Unsigned));
    assert_eq!(parse_cosignatures(b"\n"), Err(NoteError::Signature));
    assert_eq!(parse_cosignatures(b"\xff\n"), Err(NoteError::NotText));
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_not(bytes in any::<Vec<u8>>()) {
        if let Ok(request) = AddCheckpoint::parse(&bytes) {
            prop_assert_eq!(request.to_string().into_bytes(), bytes);
        }
    }

    /// Whatever is asked in whatever order, what is cosigned continues all that was before.
    #[test]
    fn only_what_continues_is_cosigned(
        steps in prop::collection::vec((0..12_u64, 0..12_u64, 0..14_u64), 1..30),
    ) {
        let mut known: Option<(TreeHead, u64)> = None;
        for (old, grown, fork) in steps {
            let size = old + grown;
            let mut tree = tree(size, fork);
            let proof = prove_consistency(Prefixes::RFC_6962, old, size, &mut tree).unwrap();
            let old = LogSize::new(old);
            let request = AddCheckpoint { old, proof, checkpoint: signed(tree.head()) };
            let seen = known.map(|(head, _)| head);
            // It continues if the old size is that known, and no leaf before it is another.
            let (before, before_fork) = known.map_or((0, u64::MAX), |(head, fork)| (head.size, fork));
            let same = before_fork.min(before) == fork.min(before);
            let answer = ask(&request, seen);
            prop_assert_eq!(answer.is_ok(), old.get() == before && same, "{:?}", answer);
            if let Ok(checkpoint) = answer {
                known = Some((checkpoint.head(), fork));
            }
        }
    }
}
