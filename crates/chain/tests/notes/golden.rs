//! Bytes that never change: keys, a checkpoint, a cosignature and a proof.
//!
//! They were made from the specifications by another program (Python's `hashlib` and
//! `cryptography`), not by this code.

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Levels, Prefixes, prove_inclusion};
use bergulir_chain::note::{CosignerKey, Note, SignerKey, VerifierKey};
use bergulir_chain::proof::LogProof;
use bergulir_chain::{Hash, LogSize, Position};

use crate::{log_key, name, time, witness_key};

pub const ORIGIN: &str = "bergulir.example/ledgers/nasional";
pub const LOG_KEY: &str =
    "bergulir.example/ledgers/nasional+ddfe337b+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
const LOG_SECRET: &str = "PRIVATE+KEY+bergulir.example/ledgers/nasional+ddfe337b+\
    AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
pub const WITNESS_KEY: &str =
    "auditor.example/w1+15cfbe2c+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X";
const WITNESS_SECRET: &str =
    "PRIVATE+KEY+auditor.example/w1+15cfbe2c+BCAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/";
pub const NOTE: &str = "bergulir.example/ledgers/nasional
7
ZlCXn2yHiq2F84Dsicnip68Q0qZKqWqJGKp/UHsg+Y4=

— bergulir.example/ledgers/nasional 3f4ze/PLgq6lONUCgJXRQGGj2S8CPrywKSMKMXg2YHlHR0KxBItlW9O0ilvspFkcHtwjh2tzcu5yNQaY+yHB1IeB8wQ=
— auditor.example/w1 Fc++LAAAAABpVbkACS1vwILGFY5H2RJ+VNZeDzfSwp7N6y8tddinmwlfkYUpHGnmBwupmxEMfwch1a6l47NS3oCptS01Q2J1m7mDBQ==
";
pub const PROOF: &str = "c2sp.org/tlog-proof@v1
extra cmVjb3JkIDU=
index 5
4/xhsimX2iSB/tWu1E/YKdvUyNH5pt75w0DiEhlhg+k=
dDMOxo77ghQfn3KW3M5XO3vuF+iZPoboIaT7hyVvgaA=
VQcmZi2PEzD1dmUTPcWs3MBK3Q2V32plYgXiT33KphE=

bergulir.example/ledgers/nasional
7
ZlCXn2yHiq2F84Dsicnip68Q0qZKqWqJGKp/UHsg+Y4=

— bergulir.example/ledgers/nasional 3f4ze/PLgq6lONUCgJXRQGGj2S8CPrywKSMKMXg2YHlHR0KxBItlW9O0ilvspFkcHtwjh2tzcu5yNQaY+yHB1IeB8wQ=
— auditor.example/w1 Fc++LAAAAABpVbkACS1vwILGFY5H2RJ+VNZeDzfSwp7N6y8tddinmwlfkYUpHGnmBwupmxEMfwch1a6l47NS3oCptS01Q2J1m7mDBQ==
";
/// 2026-01-01T00:00:00 UTC.
pub const COSIGNED_AT: u64 = 1_767_225_600;

pub fn leaf(index: u64) -> Hash {
    Prefixes::RFC_6962.leaf_hash(format!("record {index}").as_bytes())
}

pub fn tree() -> Levels {
    let mut tree = Levels::new(Prefixes::RFC_6962);
    for index in 0..7 {
        tree.push_hash(leaf(index));
    }
    tree
}

pub fn checkpoint() -> Checkpoint {
    Checkpoint { origin: name(ORIGIN), size: LogSize::new(7), root: tree().head().root }
}

pub fn signed() -> Note {
    let mut note = checkpoint().sign(&log_key()).unwrap();
    note.add(witness_key().cosign(&checkpoint(), time(COSIGNED_AT))).unwrap();
    note
}

#[test]
fn keys() {
    let (log, witness) = (log_key(), witness_key());
    assert_eq!(log.verifier().to_string(), LOG_KEY);
    assert_eq!(LOG_KEY.parse().as_ref(), Ok(log.verifier()));
    assert_eq!(*log.to_text(), LOG_SECRET);
    assert_eq!(SignerKey::parse(LOG_SECRET).unwrap().verifier(), log.verifier());
    assert_eq!(witness.verifier().to_string(), WITNESS_KEY);
    assert_eq!(WITNESS_KEY.parse().as_ref(), Ok(witness.verifier()));
    assert_eq!(*witness.to_text(), WITNESS_SECRET);
    assert_eq!(CosignerKey::parse(WITNESS_SECRET).unwrap().verifier(), witness.verifier());
}

#[test]
fn checkpoint_and_cosignature() {
    assert_eq!(signed().to_string(), NOTE);
    let note = Note::parse(NOTE.as_bytes()).unwrap();
    assert_eq!(note, signed());
    let keys: [VerifierKey; 2] = [LOG_KEY, WITNESS_KEY].map(|key| key.parse().unwrap());
    assert_eq!(Checkpoint::open(&note, &name(ORIGIN), &keys), Ok(checkpoint()));
    let by: Vec<_> = note.verify(&keys).unwrap();
    let times: Vec<_> = by.iter().map(|signed| signed.time).collect();
    assert_eq!(times, [None, Some(time(COSIGNED_AT))]);
}

#[test]
fn proof() {
    let path = prove_inclusion(Prefixes::RFC_6962, 7, 5, &mut tree()).unwrap();
    let extra = Some(b"record 5".to_vec());
    let proof = LogProof { extra, position: Position::new(5), path, checkpoint: signed() };
    assert_eq!(proof.to_string(), PROOF);
    let read = LogProof::parse(PROOF.as_bytes()).unwrap();
    assert_eq!(read, proof);
    let keys = [LOG_KEY.parse().unwrap()];
    assert_eq!(read.verify(leaf(5), &name(ORIGIN), &keys), Ok(checkpoint()));
}

#[test]
fn a_private_key_is_not_printed() {
    let printed = format!("{:?} {:?}", log_key(), witness_key());
    assert_eq!(
        printed,
        "SignerKey(bergulir.example/ledgers/nasional+ddfe337b+...) \
         CosignerKey(auditor.example/w1+15cfbe2c+...)"
    );
}
