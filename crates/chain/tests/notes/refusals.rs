//! Texts that are almost notes, keys, checkpoints or proofs.

use bergulir_chain::checkpoint::{Checkpoint, CheckpointError};
use bergulir_chain::note::{
    Algorithm, CosignerKey, KeyError, KeyName, MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteError,
    Signature, SignerKey, VerifierKey,
};
use bergulir_chain::proof::{LogProof, LogProofError};

use crate::golden::{LOG_KEY, NOTE, PROOF, WITNESS_KEY};
use crate::{log_key, name};

#[test]
fn notes() {
    let parse = |text: &str| Note::parse(text.as_bytes()).err();
    let line = NOTE.lines().nth(4).unwrap();
    let good = format!("text\n\n{line}\n");
    assert_eq!(parse(&good), None);
    assert_eq!(parse(""), Some(NoteError::Unsigned));
    assert_eq!(parse(&format!("text\n{line}\n")), Some(NoteError::Unsigned));
    assert_eq!(parse("text\n\n"), Some(NoteError::Unsigned));
    assert_eq!(parse(&format!("text\n\n{line}")), Some(NoteError::Signature));
    assert_eq!(parse(&format!("{good}\n")), Some(NoteError::Unsigned));
    assert_eq!(parse(&format!("{good}more\n")), Some(NoteError::Signature));
    assert_eq!(parse(&good.replace("text", "te\txt")), Some(NoteError::NotText));
    assert_eq!(parse(&good.replace('\n', "\r\n")), Some(NoteError::NotText));
    assert_eq!(Note::parse(b"text\xff\n\n").err(), Some(NoteError::NotText));
    for other in [
        line.replace('\u{2014}', "-"),
        line.replace("\u{2014} ", "\u{2014}"),
        line.replace("\u{2014} ", "\u{2014}  "),
        line.replace(" 3f4", "  3f4"),
        line.replace("wQ=", "wQ"),
        line.replace("wQ=", "wR="),
        line.replace("nasional", "nasi+onal"),
        line.replace("nasional", "nasi\u{a0}onal"),
        format!("{line} "),
        "\u{2014} name 3f4zew==".to_owned(),
        "\u{2014} name AAAA".to_owned(),
        "\u{2014} name".to_owned(),
        "\u{2014}  AAAAAAAA".to_owned(),
    ] {
        assert_eq!(parse(&format!("text\n\n{other}\n")), Some(NoteError::Signature), "{other}");
    }
}

#[test]
fn limits_of_notes() {
    let line = |number: usize| format!("\u{2014} key{number} AAAAAAAA\n");
    let many = |count: usize| -> String {
        "text\n\n".to_owned() + &(0..count).map(line).collect::<String>()
    };
    let mut most = Note::parse(many(MAX_SIGNATURES).as_bytes()).unwrap();
    let above = Note::parse(many(MAX_SIGNATURES + 1).as_bytes());
    assert_eq!(above, Err(NoteError::TooManySignatures));
    let signature: Signature = line(MAX_SIGNATURES).trim_end().parse().unwrap();
    assert_eq!(most.add(signature), Err(NoteError::TooManySignatures));
    assert_eq!(most.add(most.signatures()[0].clone()), Ok(()), "it is there already");
    assert_eq!(most.signatures().len(), MAX_SIGNATURES);

    let large = "x".repeat(MAX_NOTE_BYTES) + "\n";
    let signature = log_key().sign(&large);
    assert!(matches!(Note::new(large.clone(), signature), Err(NoteError::TooLarge(_))));
    assert!(matches!(Note::parse(large.as_bytes()), Err(NoteError::TooLarge(_))));
    let signature = log_key().sign("text");
    assert_eq!(Note::new("text".to_owned(), signature), Err(NoteError::Unterminated));
    let signature = log_key().sign("te\txt\n");
    assert_eq!(Note::new("te\txt\n".to_owned(), signature), Err(NoteError::NotText));
}

#[test]
fn keys() {
    let parse = |text: &str| text.parse::<VerifierKey>().unwrap_err();
    for other in [
        "",
        "name",
        "name+ddfe337b",
        &LOG_KEY.replace("+ddfe337b", "+DDFE337B"),
        &LOG_KEY.replace("+ddfe337b", "+0ddfe337b"),
        &LOG_KEY.replace("+ddfe337b", "+-dfe337b"),
        &format!("{LOG_KEY}AAAA"),
        &format!("{LOG_KEY}\n"),
        &LOG_KEY[..LOG_KEY.len() - 4],
    ] {
        assert_eq!(parse(other), KeyError::Form, "{other:?}");
    }
    assert!(matches!(parse(&LOG_KEY.replace("nasional", "nasionel")), KeyError::Id { .. }));
    assert!(matches!(parse(&LOG_KEY.replace("ddfe337b", "ddfe337c")), KeyError::Id { .. }));
    assert_eq!(parse(&LOG_KEY.replace("+AQ", "+Bg")), KeyError::UnknownAlgorithm(6));
    assert_eq!(parse(&LOG_KEY.replace("bergulir.", " ")), KeyError::Name);
    let longest = "n".repeat(255);
    assert!(KeyName::new(&longest).is_ok());
    for name in ["", "a b", "a+b", "a\u{2003}b", "a\nb", &(longest + "n")] {
        assert_eq!(KeyName::new(name), Err(KeyError::Name));
    }
    // The neutral point: everything is signed by it. And 2, which is no point.
    for bytes in
        [[1], [2]].map(|first| std::array::from_fn(|place| *first.get(place).unwrap_or(&0)))
    {
        let key = VerifierKey::new(name("a"), Algorithm::Ed25519, &bytes);
        assert_eq!(key, Err(KeyError::Unusable));
    }
}

#[test]
fn private_keys() {
    let secret = log_key().to_text();
    let parse = |text: &str| SignerKey::parse(text).unwrap_err();
    assert_eq!(parse(LOG_KEY), KeyError::PrivateForm);
    assert_eq!(parse(&secret[..secret.len() - 4]), KeyError::PrivateForm);
    assert_eq!(parse(&format!("{}\n", *secret)), KeyError::PrivateForm);
    assert!(matches!(parse(&secret.replace("ddfe337b", "ddfe337c")), KeyError::Id { .. }));
    let (expected, given) = (Algorithm::CosignatureV1, Algorithm::Ed25519);
    let refused = CosignerKey::parse(&secret).unwrap_err();
    assert_eq!(refused, KeyError::Algorithm { expected, given });
    for text in [LOG_KEY, WITNESS_KEY] {
        assert!(!refused.to_string().contains(text));
    }
}

#[test]
fn checkpoints() {
    let parse = |text: &str| Checkpoint::parse_unverified(text).unwrap_err();
    let good = "origin\n7\nZlCXn2yHiq2F84Dsicnip68Q0qZKqWqJGKp/UHsg+Y4=\n";
    assert_eq!(Checkpoint::parse_unverified(good).unwrap().text(), good);
    for (other, line) in [
        ("", 1),
        ("\n7\n", 1),
        ("ori gin\n7\n", 1),
        ("origin", 1),
        ("origin\n", 2),
        ("origin\n7", 2),
        ("origin\n07\n", 2),
        ("origin\n-7\n", 2),
        ("origin\n18446744073709551616\n", 2),
        ("origin\n7\n", 3),
        ("origin\n7\nZlCXn2yHiq2F84Dsicnip68Q0qZKqWqJGKp/UHsg+Y4=", 3),
        ("origin\n7\nZlCXn2yHiq2F84Dsicnip68Q0qZKqWqJGKp/UHsg+Y5=\n", 3),
        ("origin\n7\nZlCX\n", 3),
    ] {
        assert_eq!(parse(other), CheckpointError::Line(line), "{other:?}");
    }
    assert_eq!(parse(&format!("{good}more\n")), CheckpointError::Extension);
    assert_eq!(parse(&format!("{good}\n")), CheckpointError::Extension);
    assert_eq!(parse(&good.replace("\n7\n", "\n0\n")), CheckpointError::EmptyRoot);
    let empty = "origin\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    assert_eq!(Checkpoint::parse_unverified(empty).unwrap().size.get(), 0);
}

#[test]
fn proofs() {
    let parse = |from: &str, to: &str| {
        let text = PROOF.replacen(from, to, 1);
        assert_ne!(text, PROOF);
        LogProof::parse(text.as_bytes()).err()
    };
    assert_eq!(LogProof::parse(b"").err(), Some(LogProofError::Header));
    assert_eq!(parse("@v1", "@v2"), Some(LogProofError::Header));
    assert_eq!(parse("extra cmVjb3JkIDU=\n", ""), None);
    assert_eq!(parse("extra cmVjb3JkIDU=", "extra "), Some(LogProofError::Extra));
    assert_eq!(parse("extra cmVjb3JkIDU=", "extra cmVjb3JkIDU"), Some(LogProofError::Extra));
    assert_eq!(parse("index 5", "extra cmVj\nindex 5"), Some(LogProofError::Index));
    assert_eq!(parse("index 5\n", ""), Some(LogProofError::Index));
    assert_eq!(parse("index 5", "index 05"), Some(LogProofError::Index));
    assert_eq!(parse("index 5", "index  5"), Some(LogProofError::Index));
    assert_eq!(parse("4/xh", "4/x"), Some(LogProofError::Path));
    assert_eq!(parse("\n\nbergulir", "\nbergulir"), Some(LogProofError::Path));
    let hash = "VQcmZi2PEzD1dmUTPcWs3MBK3Q2V32plYgXiT33KphE=\n";
    assert_eq!(parse("\n\nbergulir", &format!("\n{}\nbergulir", hash.repeat(62))), None);
    let too_many = format!("\n{}\nbergulir", hash.repeat(63));
    assert_eq!(parse("\n\nbergulir", &too_many), Some(LogProofError::Path));
    assert_eq!(parse("\u{2014} auditor", "auditor"), Some(NoteError::Signature.into()));
}

#[test]
fn a_private_key_is_neither_printed_nor_repeated_in_an_error() {
    let (log, witness) = (log_key(), crate::witness_key());
    let shown = [
        format!("{log:?} {log:#?}"),
        format!("{witness:?} {witness:#?}"),
        format!("{:?}", SignerKey::parse(&format!("{}x", *log.to_text()))),
        format!("{:?}", SignerKey::parse(&witness.to_text())),
        format!("{:?}", CosignerKey::parse(&log.to_text())),
        format!("{:?}", SignerKey::parse(&log.to_text().replacen("PRIVATE", "PRIVAT", 1))),
    ];
    let texts = [log.to_text(), witness.to_text()];
    for shown in shown {
        for text in &texts {
            let coded = text.rsplit('+').next().unwrap();
            assert!(!shown.contains(&coded[..12]) && !shown.contains(&coded[12..]), "{shown}");
        }
        for first in [0, 32] {
            let bytes = format!("{:?}", crate::seed(first));
            assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
        }
    }
}
