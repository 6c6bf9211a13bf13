//! Keys, notes, checkpoints, cosignatures, requests to witnesses, policies and proofs.

use std::fmt::Write as _;

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Levels, Prefixes, TreeHead};
use bergulir_chain::note::{CosignerKey, KeyName, Note, PosixSeconds, SignerKey, VerifierKey};
use bergulir_chain::policy::Policy;
use bergulir_chain::proof::LogProof;
use bergulir_chain::witness::{AddCheckpoint, Submitted, parse_cosignatures};
use bergulir_chain::{Hash, LogSize, Position};
use bergulir_fuzz::{Target, fuzz, outcome};

const ORIGIN: &str = "bergulir.example/ledgers/nasional";

/// Signatures are of a fixed length; a proof's text is read as numbers, hashes and a note.
const WORDS: &[&str] = &[
    "\n\n",
    "\n",
    "\u{2014} ",
    "old ",
    "index ",
    "extra ",
    "extra AA==\n",
    "0",
    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "bergulir.example/ledgers/nasional",
    "PRIVATE+KEY+",
    "log",
    "witness",
    "group",
    "quorum",
    "none",
    "all",
    "any",
    "a",
    "#",
];

fn target(name: &'static str) -> Target {
    Target::new(name, env!("CARGO_MANIFEST_DIR")).words(WORDS)
}

fn log_key() -> SignerKey {
    SignerKey::from_seed(KeyName::new(ORIGIN).unwrap(), &[1; 32]).unwrap()
}

fn witness_key() -> CosignerKey {
    CosignerKey::from_seed(KeyName::new("auditor.example/w1").unwrap(), &[2; 32]).unwrap()
}

fn leaf(index: u64) -> Hash {
    Prefixes::RFC_6962.leaf_hash(&index.to_be_bytes())
}

fn tree(size: u64) -> Levels {
    let mut tree = Levels::new(Prefixes::RFC_6962);
    (0..size).for_each(|index| tree.push_hash(leaf(index)));
    tree
}

fn checkpoint(size: u64) -> Checkpoint {
    let root = tree(size).head().root;
    Checkpoint { origin: KeyName::new(ORIGIN).unwrap(), size: LogSize::new(size), root }
}

fn note(size: u64) -> Note {
    let checkpoint = checkpoint(size);
    let mut note = checkpoint.sign(&log_key()).unwrap();
    note.add(witness_key().cosign(&checkpoint, PosixSeconds::new(1_767_225_600).unwrap())).unwrap();
    note
}

/// Signs again what stands before the last blank line, so that more than the signatures is looked at.
fn sign(bytes: &mut Vec<u8>, from: usize) {
    let Some(blank) = bytes.windows(2).rposition(|pair| pair == b"\n\n") else { return };
    let Some(Ok(text)) = bytes.get(from..=blank).map(str::from_utf8) else { return };
    let mut lines = format!("{}\n", log_key().sign(text));
    if let Ok(checkpoint) = Checkpoint::parse_unverified(text) {
        let time = PosixSeconds::new(1_767_225_600).unwrap();
        writeln!(lines, "{}", witness_key().cosign(&checkpoint, time)).unwrap();
    }
    bytes.truncate(blank + 2);
    bytes.extend_from_slice(lines.as_bytes());
}

fn sign_note(bytes: &mut Vec<u8>) {
    sign(bytes, 0);
}

/// The same where the note stands behind a first blank line.
fn sign_after_blank(bytes: &mut Vec<u8>) {
    if let Some(blank) = bytes.windows(2).position(|pair| pair == b"\n\n") {
        sign(bytes, blank + 2);
    }
}

#[test]
fn notes_and_checkpoints_are_read_strictly() {
    let target = target("note").sample(note(7).to_string()).sample(note(0).to_string());
    let origin = KeyName::new(ORIGIN).unwrap();
    let keys = [log_key().verifier().clone(), witness_key().verifier().clone()];
    fuzz!(target.repair(sign_note), |input| {
        let note = match Note::parse(input) {
            Ok(note) => note,
            Err(error) => return outcome(&error),
        };
        assert_eq!(note.to_string().as_bytes(), input);
        let unverified = Checkpoint::parse_unverified(note.text());
        let opened = Checkpoint::open(&note, &origin, &keys);
        if let Ok(opened) = &opened {
            assert_eq!(opened.text(), note.text());
            assert_eq!(unverified.as_ref(), Ok(opened));
        }
        let policy = format!("log {}\nwitness a {}\nquorum a\n", keys[0], keys[1]);
        let accepted = Policy::parse(policy.as_bytes()).unwrap().accept(&note).map(|_| ());
        format!("{} {}", outcome(&opened.map(|_| ())), outcome(&accepted))
    });
}

#[test]
fn keys_have_one_text() {
    let secret = log_key().to_text();
    let target = target("key")
        .sample(log_key().verifier().to_string())
        .sample(witness_key().verifier().to_string())
        .sample(secret.as_bytes())
        .sample(witness_key().to_text().as_bytes());
    fuzz!(target, |input| {
        let Ok(text) = str::from_utf8(input) else { return "no text".to_owned() };
        let key = text.parse::<VerifierKey>();
        if let Ok(key) = &key {
            assert_eq!(key.to_string(), text);
        }
        let signer = SignerKey::parse(text);
        if let Ok(signer) = &signer {
            assert_eq!(signer.to_text().as_str(), text);
        }
        let cosigner = CosignerKey::parse(text);
        if let Ok(cosigner) = &cosigner {
            assert_eq!(cosigner.to_text().as_str(), text);
        }
        let name = KeyName::new(text).is_ok();
        let (signer, cosigner) = (signer.map(|_| ()), cosigner.map(|_| ()));
        let key = key.map(|key| key.algorithm());
        assert!(key.is_err() || signer.is_err(), "a public key is no private one");
        match (key, signer) {
            (Ok(key), _) => outcome(&key),
            (_, Ok(())) => "Private".to_owned(),
            (Err(error), Err(private)) => {
                format!("{} {} {} {name}", outcome(&error), outcome(&private), cosigner.is_ok())
            }
        }
    });
}

#[test]
fn a_witness_takes_any_request() {
    let request = AddCheckpoint {
        old: LogSize::new(4),
        proof: vec![leaf(1), leaf(2), leaf(3)],
        checkpoint: note(7),
    };
    let first = AddCheckpoint { old: LogSize::new(0), proof: Vec::new(), checkpoint: note(7) };
    let target = target("add-checkpoint").sample(request.to_string()).sample(first.to_string());
    let known = |size| TreeHead { size, root: tree(size).head().root };
    let (four, eight) = (known(4), known(8));
    let key = log_key().verifier().clone();
    fuzz!(target.repair(sign_after_blank), |input| {
        let request = match AddCheckpoint::parse(input) {
            Ok(request) => request,
            Err(error) => return outcome(&error),
        };
        assert_eq!(request.to_string().as_bytes(), input);
        let mut came = String::new();
        for known in [None, Some(four), Some(eight)] {
            let continued = Submitted::open(&request, [&key]).and_then(|it| it.continuing(known));
            if let Err(refusal) = &continued {
                assert!((400..500).contains(&refusal.status()));
            }
            if let (Ok(checkpoint), Some(known)) = (&continued, known) {
                assert!(checkpoint.size.get() >= known.size);
            }
            came += &outcome(&continued.map(|_| ()));
            came += " ";
        }
        came
    });
}

#[test]
fn cosignatures_are_read_strictly() {
    let note = note(7);
    let lines = || note.signatures().iter().map(|line| format!("{line}\n"));
    let target = target("cosignatures")
        .sample(lines().next_back().unwrap())
        .sample(lines().collect::<String>());
    fuzz!(target, |input| {
        let read = parse_cosignatures(input);
        if let Ok(signatures) = &read {
            let again: Vec<String> = signatures.iter().map(ToString::to_string).collect();
            assert_eq!((again.join("\n") + "\n").as_bytes(), input);
            let mut noted = note.clone();
            let added = signatures.iter().try_for_each(|line| noted.add(line.clone()));
            let verified = noted.verify([witness_key().verifier()]).map(|_| ());
            return format!("{} {}", outcome(&added), outcome(&verified));
        }
        outcome(&read.map(|_| ()))
    });
}

#[test]
fn policies_name_the_line_that_is_wrong() {
    let mut text = format!("# who\nlog {} https://bergulir.example/\n", log_key().verifier());
    for number in 0..4_u8 {
        let name = KeyName::new(&format!("w{number}.example")).unwrap();
        let key = CosignerKey::from_seed(name, &[number + 3; 32]).unwrap();
        writeln!(text, "witness X{number} {}", key.verifier()).unwrap();
    }
    text += "group a 2 X0 X1 X2\ngroup\tb any a X3\nquorum b\n";
    let signed = note(7);
    fuzz!(target("policy").sample(text).sample("quorum none\n"), |input| {
        match Policy::parse(input) {
            Ok(policy) => {
                let accepted = policy.accept(&signed).map(|_| ());
                format!("{} {}", policy.wants_witnesses(), outcome(&accepted))
            }
            Err(error) => {
                let lines = input.split(|byte| *byte == b'\n').count();
                assert!((1..=lines).contains(&error.line), "line {} of {lines}", error.line);
                outcome(&error.fault)
            }
        }
    });
}

#[test]
fn proofs_are_read_strictly() {
    let proof = |extra, index| LogProof {
        extra,
        position: Position::new(index),
        path: tree(7).inclusion(index).unwrap(),
        checkpoint: note(7),
    };
    let target = target("log-proof")
        .sample(proof(Some(b"record 5".to_vec()), 5).to_string())
        .sample(proof(None, 0).to_string());
    let origin = KeyName::new(ORIGIN).unwrap();
    let key = log_key().verifier().clone();
    fuzz!(target.repair(sign_after_blank), |input| {
        let proof = match LogProof::parse(input) {
            Ok(proof) => proof,
            Err(error) => return outcome(&error),
        };
        assert_eq!(proof.to_string().as_bytes(), input);
        let verified = proof.verify(leaf(5), &origin, [&key]);
        if let Ok(checkpoint) = &verified
            && *checkpoint == self::checkpoint(7)
        {
            assert_eq!(proof.position.get(), 5);
        }
        outcome(&verified.map(|_| ()))
    });
}
