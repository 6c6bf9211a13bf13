//! Policies: who is asked, and how many.

use std::fmt::Write;

use bergulir_chain::checkpoint::CheckpointError;
use bergulir_chain::note::{Algorithm, CosignerKey, KeyError, Note, SignerKey, VerifyError};
use bergulir_chain::policy::{Fault, MAX_DEFINITIONS, MAX_POLICY_BYTES, Policy, Refusal};
use proptest::prelude::*;

use crate::golden::{self, LOG_KEY, WITNESS_KEY};
use crate::{log_key, name, time};

const WITNESSES: [&str; 6] = ["X1", "X2", "X3", "Y1", "Y2", "Y3"];

fn key(number: usize) -> CosignerKey {
    let seed = [u8::try_from(number).unwrap() + 1; 32];
    CosignerKey::from_seed(name(&format!("w{number}.example")), &seed).unwrap()
}

/// The example of the specification, with its keys.
fn example() -> String {
    let mut text = format!("# who is asked\nlog {LOG_KEY} https://bergulir.example/\n\n");
    for (number, name) in WITNESSES.iter().enumerate() {
        writeln!(text, "witness {name} {}", key(number).verifier()).unwrap();
    }
    text + "group X-witnesses 2 X1 X2 X3
group\tY-witnesses  any Y1 Y2 Y3 \t

   # both
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"
}

fn cosigned(by: &[bool]) -> Note {
    let mut note = golden::checkpoint().sign(&log_key()).unwrap();
    for (number, _) in by.iter().enumerate().filter(|(_, signs)| **signs) {
        let at = time(1_000 + u64::try_from(number).unwrap());
        note.add(key(number).cosign(&golden::checkpoint(), at)).unwrap();
    }
    note
}

fn fault(text: &str) -> (usize, Fault) {
    let error = Policy::parse(text.as_bytes()).unwrap_err();
    (error.line, error.fault)
}

#[test]
fn the_specification_s_example_asks_for_two_and_one() {
    let policy = Policy::parse(example().as_bytes()).unwrap();
    assert_eq!(policy.logs()[0].url.as_deref(), Some("https://bergulir.example/"));
    assert_eq!(policy.witnesses().len(), 6);
    assert!(policy.wants_witnesses());
    for signers in 0..1 << 6 {
        let by: [bool; 6] = std::array::from_fn(|number| signers >> number & 1 == 1);
        let count = |part: &[bool]| part.iter().filter(|signs| **signs).count();
        let enough = count(&by[..3]) >= 2 && count(&by[3..]) >= 1;
        let note = cosigned(&by);
        match policy.accept(&note) {
            Ok(accepted) => {
                assert!(enough, "{by:?}");
                assert_eq!(accepted.checkpoint, golden::checkpoint());
                assert_eq!(accepted.log.key.to_string(), LOG_KEY);
                let names: Vec<&str> =
                    accepted.cosigned.iter().map(|by| by.witness.name.as_str()).collect();
                let expected: Vec<&str> = WITNESSES
                    .iter()
                    .zip(by)
                    .filter(|(_, signs)| *signs)
                    .map(|(name, _)| *name)
                    .collect();
                assert_eq!(names, expected);
            }
            Err(refusal) => {
                assert!(!enough, "{by:?}");
                assert_eq!(refusal, Refusal::NoQuorum { cosigned: count(&by), witnesses: 6 });
            }
        }
    }
}

#[test]
fn a_forged_cosignature_is_named() {
    let policy = Policy::parse(example().as_bytes()).unwrap();
    let mut note = cosigned(&[true, true, false, true, false, false]);
    let mut forged = key(5).cosign(&golden::checkpoint(), time(5));
    forged.bytes[20] ^= 1;
    let (name, key_id) = (forged.name.clone(), forged.key_id);
    note.add(forged).unwrap();
    assert_eq!(policy.accept(&note), Err(Refusal::Forged(VerifyError::Forged { name, key_id })));
}

#[test]
fn a_witness_that_cosigned_twice_counts_once() {
    let two = format!(
        "witness a {}\nwitness b {}\ngroup g 2 a b\nquorum g\n",
        key(0).verifier(),
        key(1).verifier()
    );
    let mut note = cosigned(&[true]);
    note.add(key(0).cosign(&golden::checkpoint(), time(2_000))).unwrap();
    assert_eq!(note.signatures().len(), 3);
    let policy = Policy::parse(two.as_bytes()).unwrap();
    assert_eq!(policy.witnessed(&note), Err(Refusal::NoQuorum { cosigned: 1, witnesses: 2 }));
}

#[test]
fn of_several_logs_the_one_that_signed_is_told() {
    let other = |of: &str| SignerKey::from_seed(name(of), &[9; 32]).unwrap();
    let (same_name, elsewhere) = (other(golden::ORIGIN), other("other.example/log"));
    let policy = format!("log {}\nlog {LOG_KEY}\nquorum none\n", same_name.verifier());
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let signed = cosigned(&[]);
    assert_eq!(policy.accept(&signed).unwrap().log.key.to_string(), LOG_KEY);
    // A log does not speak for another.
    let policy = format!("log {}\nquorum none\n", elsewhere.verifier());
    let mut signed = signed;
    signed.add(elsewhere.sign(signed.text())).unwrap();
    let refused = Policy::parse(policy.as_bytes()).unwrap().accept(&signed).unwrap_err();
    assert_eq!(refused, Refusal::UnknownLog(golden::ORIGIN.to_owned()));
}

#[test]
fn quorums_without_groups() {
    let one = format!("witness w {WITNESS_KEY}\nquorum w\n");
    let policy = Policy::parse(one.as_bytes()).unwrap();
    assert_eq!(policy.witnessed(&golden::signed()).unwrap()[0].time, time(golden::COSIGNED_AT));
    let alone = cosigned(&[]);
    assert_eq!(policy.witnessed(&alone), Err(Refusal::NoQuorum { cosigned: 0, witnesses: 1 }));
    let origin = golden::ORIGIN.to_owned();
    assert_eq!(policy.accept(&golden::signed()), Err(Refusal::UnknownLog(origin)));

    let none = Policy::parse(b"quorum none").unwrap();
    assert!(!none.wants_witnesses());
    assert_eq!(none.witnessed(&alone), Ok(vec![]));

    // Another key of the same name: the log's signature is of no known key.
    let other = SignerKey::from_seed(name(golden::ORIGIN), &[9; 32]).unwrap();
    let other = format!("log {}\nquorum none\n", other.verifier());
    let refused = Policy::parse(other.as_bytes()).unwrap().accept(&alone).unwrap_err();
    let unknown = CheckpointError::Signature(VerifyError::NoKnownKey);
    assert_eq!(refused, Refusal::Checkpoint(unknown));
}

#[test]
fn a_policy_that_is_not_one_says_where() {
    let witness = format!("witness w {WITNESS_KEY}\n");
    let with = |more: &str| fault(&format!("{witness}{more}"));
    assert_eq!(fault(""), (1, Fault::NoQuorum));
    assert_eq!(fault("# nothing\n\n"), (3, Fault::NoQuorum));
    assert_eq!(fault("quorum none\r\n"), (1, Fault::Character));
    assert_eq!(fault("quorum none\nwitness\n"), (2, Fault::Words));
    assert_eq!(fault("quorum none none\n"), (1, Fault::Words));
    assert_eq!(fault("quorums none\n"), (1, Fault::Keyword));
    assert_eq!(fault("quorum none\nquorum none\n"), (2, Fault::SecondQuorum));
    assert_eq!(fault("quorum w\n"), (1, Fault::NameUnknown("w".into())));
    assert_eq!(with("group w any w\n"), (2, Fault::NameTaken("w".into())));
    assert_eq!(with("group none any w\n"), (2, Fault::NameTaken("none".into())));
    assert_eq!(with("group g any none\n"), (2, Fault::NameUnknown("none".into())));
    assert_eq!(with("group g any g\n"), (2, Fault::NameUnknown("g".into())));
    assert_eq!(with("group g any\n"), (2, Fault::Words));
    for threshold in ["0", "2", "01", "-1", "some"] {
        assert_eq!(with(&format!("group g {threshold} w\n")), (2, Fault::Threshold));
    }
    assert_eq!(with("group g any w w\n"), (2, Fault::MemberTwice("w".into())));
    let twice = with("group g any w\ngroup h any w\n");
    assert_eq!(twice, (3, Fault::MemberTwice("w".into())));
    assert_eq!(with(&witness.replace("w ", "v ")), (2, Fault::SameKey));
    assert_eq!(fault(&format!("log {LOG_KEY}\nlog {LOG_KEY}\n")), (2, Fault::SameKey));
    let (log, cosigner) = (Algorithm::Ed25519, Algorithm::CosignatureV1);
    let swapped = KeyError::Algorithm { expected: log, given: cosigner };
    assert_eq!(fault(&format!("log {WITNESS_KEY}\n")), (1, Fault::Key(swapped)));
    let swapped = KeyError::Algorithm { expected: cosigner, given: log };
    assert_eq!(fault(&format!("witness w {LOG_KEY}\n")), (1, Fault::Key(swapped)));
    let mut many = String::new();
    for number in 0..=MAX_DEFINITIONS {
        let key = CosignerKey::from_seed(name("w"), &seed(number)).unwrap();
        writeln!(many, "witness w{number} {}", key.verifier()).unwrap();
    }
    assert_eq!(fault(&many), (MAX_DEFINITIONS + 1, Fault::TooMany));
    let logs = (0..=MAX_DEFINITIONS).map(|number| {
        let key = SignerKey::from_seed(name(&format!("log{number}")), &seed(number)).unwrap();
        format!("log {}\n", key.verifier())
    });
    assert_eq!(fault(&logs.collect::<String>()), (MAX_DEFINITIONS + 1, Fault::TooMany));
    let group = |number: usize| format!("group g{} any g{number}\n", number + 1);
    let groups = (0..MAX_DEFINITIONS).map(group).collect::<String>();
    assert_eq!(with(&format!("group g0 any w\n{groups}")), (MAX_DEFINITIONS + 2, Fault::TooMany));
    let mut large = b"quorum none\n".to_vec();
    large.resize(MAX_POLICY_BYTES, b'#');
    Policy::parse(&large).unwrap();
    large.push(b'#');
    let error = Policy::parse(&large).unwrap_err();
    assert_eq!((error.line, error.fault), (1, Fault::TooLarge));
}

/// A seed for each number.
fn seed(number: usize) -> [u8; 32] {
    let digits = number.to_le_bytes();
    std::array::from_fn(|place| *digits.get(place).unwrap_or(&7))
}

proptest! {
    #[test]
    fn any_text_is_a_policy_or_not(
        lines in proptest::collection::vec("(log|witness|group|quorum|#)?( |\t)*([a-z0-9+#]{0,4}( |\t)*){0,5}", 0..6),
        bytes in any::<Vec<u8>>(),
    ) {
        let _ = Policy::parse(lines.join("\n").as_bytes());
        let _ = Policy::parse(&bytes);
    }
}
