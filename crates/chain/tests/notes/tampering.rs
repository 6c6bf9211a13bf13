//! Whatever is touched in a note or a proof, it fails.

use bergulir_chain::checkpoint::{Checkpoint, CheckpointError};
use bergulir_chain::note::{CosignerKey, Note, PosixSeconds, SignerKey, VerifierKey, VerifyError};
use bergulir_chain::proof::{InclusionError, LogProof};
use bergulir_chain::{LogSize, Timestamp};
use proptest::prelude::*;

use crate::golden::{self, LOG_KEY, NOTE, ORIGIN, PROOF, WITNESS_KEY, leaf};
use crate::{log_key, name, time, witness_key};

fn keys() -> [VerifierKey; 2] {
    [LOG_KEY, WITNESS_KEY].map(|key| key.parse().unwrap())
}

/// Both signatures, or it is not what it was.
fn holds(bytes: &[u8]) -> bool {
    let Ok(note) = Note::parse(bytes) else { return false };
    let keys = keys();
    let both = note.verify(&keys).is_ok_and(|signed| signed.len() == 2);
    both && Checkpoint::open(&note, &name(ORIGIN), &keys).is_ok()
}

#[test]
fn no_bit_of_a_note_can_be_touched() {
    assert!(holds(NOTE.as_bytes()));
    for bit in 0..NOTE.len() * 8 {
        let mut touched = NOTE.as_bytes().to_vec();
        touched[bit / 8] ^= 1 << (bit % 8);
        assert!(!holds(&touched), "bit {bit}");
    }
    for end in 0..NOTE.len() {
        assert!(!holds(&NOTE.as_bytes()[..end]), "cut at {end}");
    }
}

#[test]
fn no_bit_of_a_proof_can_be_touched() {
    let extra = PROOF.find("cmVj").unwrap()..PROOF.find("\nindex").unwrap();
    let check = |bytes: &[u8]| {
        let keys = keys();
        let Ok(proof) = LogProof::parse(bytes) else { return false };
        let signed = proof.checkpoint.verify(&keys).is_ok_and(|signed| signed.len() == 2);
        signed && proof.verify(leaf(5), &name(ORIGIN), &keys).is_ok()
    };
    assert!(check(PROOF.as_bytes()));
    for bit in 0..PROOF.len() * 8 {
        let mut touched = PROOF.as_bytes().to_vec();
        touched[bit / 8] ^= 1 << (bit % 8);
        // The extra bytes are beside the proof.
        assert!(!check(&touched) || extra.contains(&(bit / 8)), "bit {bit}");
    }
    for end in 0..PROOF.len() {
        assert!(!check(&PROOF.as_bytes()[..end]), "cut at {end}");
    }
    let proof = LogProof::parse(PROOF.as_bytes()).unwrap();
    let other = proof.verify(leaf(4), &name(ORIGIN), &keys());
    assert!(matches!(other, Err(InclusionError::Proof(_))));
}

#[test]
fn a_cosignature_counts_for_its_checkpoint_and_time_only() {
    let key = witness_key();
    let signature = key.cosign(&golden::checkpoint(), time(1_000));
    let with = |checkpoint: &Checkpoint, bytes: Vec<u8>| {
        let mut note = checkpoint.sign(&log_key()).unwrap();
        note.add(bergulir_chain::note::Signature { bytes, ..signature.clone() }).unwrap();
        note.verify([key.verifier()]).map(|signed| signed[0].time)
    };
    let (name, key_id) = (signature.name.clone(), signature.key_id);
    let forged = Err(VerifyError::Forged { name, key_id });
    let bytes = signature.bytes.clone();
    assert_eq!(with(&golden::checkpoint(), bytes.clone()), Ok(Some(time(1_000))));
    let larger = Checkpoint { size: LogSize::new(8), ..golden::checkpoint() };
    assert_eq!(with(&larger, bytes.clone()), forged);
    let mut later = bytes.clone();
    later[7] ^= 1;
    assert_eq!(with(&golden::checkpoint(), later), forged);
    let mut past_2_63 = bytes.clone();
    past_2_63[0] |= 0x80;
    assert_eq!(with(&golden::checkpoint(), past_2_63), forged);
    assert_eq!(with(&golden::checkpoint(), bytes[..71].to_vec()), forged);
    assert_eq!(with(&golden::checkpoint(), bytes[8..].to_vec()), forged);
}

#[test]
fn no_checkpoint_of_another_log_is_taken() {
    let origin = name("other.example/log");
    let note = Note::parse(NOTE.as_bytes()).unwrap();
    let (expected, given) = (origin.clone(), name(ORIGIN));
    let refused = Err(CheckpointError::Origin { expected, given });
    assert_eq!(Checkpoint::open(&note, &origin, &keys()), refused);
    let of_other = Checkpoint { origin: origin.clone(), ..golden::checkpoint() };
    let (key, unsigned) = (name(ORIGIN), of_other.sign(&log_key()));
    assert_eq!(unsigned, Err(CheckpointError::Key { origin, key }));
}

#[test]
fn only_a_key_of_the_log_stands_for_it() {
    let text = golden::checkpoint().text();
    let stranger = SignerKey::from_seed(name("other.example/log"), &[3; 32]).unwrap();
    let namesake = CosignerKey::from_seed(name(ORIGIN), &[4; 32]).unwrap();
    let cosignature = namesake.cosign(&golden::checkpoint(), time(1));
    let unknown = Err(CheckpointError::Signature(VerifyError::NoKnownKey));
    for (signature, key) in
        [(stranger.sign(&text), stranger.verifier()), (cosignature, namesake.verifier())]
    {
        let note = Note::new(text.clone(), signature).unwrap();
        assert_eq!(note.verify([key]).unwrap().len(), 1, "the signature itself is right");
        assert_eq!(Checkpoint::open(&note, &name(ORIGIN), [key]), unknown);
    }
}

#[test]
fn times_of_cosignatures() {
    assert_eq!(PosixSeconds::of(Timestamp::from_micros(1_999_999)), Some(time(1)));
    assert_eq!(PosixSeconds::of(Timestamp::from_micros(-1)), None);
    assert_eq!(PosixSeconds::new(1 << 63), None);
    assert!(PosixSeconds::new((1 << 63) - 1).is_some());
}

proptest! {
    #[test]
    fn any_bytes_are_a_note_or_not(bytes in any::<Vec<u8>>()) {
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes);
        }
    }

    /// A place of the note is replaced by something else.
    #[test]
    fn a_patched_note_fails(place in 0..NOTE.len(), length in 0..40_usize, patch in "[ -~\n—]{0,40}") {
        let end = (place + length).min(NOTE.len());
        let bytes = [&NOTE.as_bytes()[..place], patch.as_bytes(), &NOTE.as_bytes()[end..]].concat();
        if bytes != NOTE.as_bytes() && holds(&bytes) {
            // Only what is not checked at all may be new: lines of unknown keys.
            let note = Note::parse(&bytes).unwrap();
            prop_assert_eq!(note.text(), golden::checkpoint().text());
            prop_assert!(note.signatures().len() > 2);
        }
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn a_patched_proof_is_read_as_it_is_or_not(place in 0..PROOF.len(), patch in "[ -~\n—]{0,40}") {
        let bytes = [&PROOF.as_bytes()[..place], patch.as_bytes(), &PROOF.as_bytes()[place..]].concat();
        if let Ok(proof) = LogProof::parse(&bytes) {
            prop_assert_eq!(proof.to_string().into_bytes(), bytes);
        }
    }
}
