//! Notes that others signed, and others reading ours.

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::{Note, SignerKey, VerifierKey, VerifyError};
use bergulir_chain::policy::Policy;
use proptest::prelude::*;
use signed_note::{StandardSigner, StandardVerifier, VerifierList};

use crate::golden;

/// The example of the specification's first implementation.
const NEUMANN: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NEUMANN_SECRET: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const NEUMANN_NOTE: &str = "If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
";

/// The head of a public log, signed twice and cosigned by four public witnesses.
const PUBLIC: &str = "arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
";
const PUBLIC_POLICY: &str = "
log arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f
witness garden transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM
witness smart witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO
witness remora remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2
witness other rgdd.se/poc-witness+db03732e+BCjJKlo6BU0xfIb8LutqerIFTWIXEA0L5n3tW3QyPFgG
group three 3 garden smart remora other
quorum three
";

/// The head of the checksum database of Go. Its origin has spaces: a note, but no checkpoint here.
const SUMDB: &str = "go.sum database tree
65209736
5+uGFjx6xBZG8ip1+wi77v+grwbhhukIrxEUS8PXvRo=

— sum.golang.org Az3grnbssgK7ubgFX36gVETtNv0U23qxyAhAMai2QUfeGa3nB/akvkMdlUErfcZz7l/R3cVtYspg3dxXABkGZZKdsQ8=
";

/// The examples of the specifications, whose keys are not known.
const EXAMPLES: [&str; 2] = [
    "Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
",
    "example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
",
];

fn note(text: &str) -> Note {
    Note::parse(text.as_bytes()).unwrap()
}

fn theirs(key: &str) -> VerifierList {
    VerifierList::new(vec![Box::new(StandardVerifier::new(key).unwrap())])
}

#[test]
fn the_first_implementation_s_example() {
    let key: VerifierKey = NEUMANN.parse().unwrap();
    assert_eq!(key.to_string(), NEUMANN);
    let read = note(NEUMANN_NOTE);
    assert_eq!(read.verify([&key]).unwrap().len(), 1);
    let secret = SignerKey::parse(NEUMANN_SECRET).unwrap();
    assert_eq!(*secret.to_text(), NEUMANN_SECRET);
    let signed = Note::new(read.text().to_owned(), secret.sign(read.text())).unwrap();
    assert_eq!(signed.to_string(), NEUMANN_NOTE);
}

#[test]
fn public_logs_and_witnesses() {
    let policy = Policy::parse(PUBLIC_POLICY.as_bytes()).unwrap();
    let read = note(PUBLIC);
    assert_eq!(read.to_string(), PUBLIC);
    let accepted = policy.accept(&read).unwrap();
    assert_eq!(accepted.checkpoint.size.get(), 1_432_088_532);
    let names: Vec<&str> = accepted.cosigned.iter().map(|by| by.witness.name.as_str()).collect();
    assert_eq!(names, ["garden", "smart", "remora"]);
    assert!(accepted.cosigned.iter().all(|by| by.time.get() == 1_779_573_024));
    // One size less, and nobody's signature holds.
    let forged = note(&PUBLIC.replace("1432088532", "1432088531"));
    assert!(policy.accept(&forged).is_err());

    let key: VerifierKey =
        "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8".parse().unwrap();
    assert_eq!(note(SUMDB).verify([&key]).unwrap().len(), 1);
    assert!(Checkpoint::parse_unverified(note(SUMDB).text()).is_err());
}

#[test]
fn the_specifications_examples_are_read_as_they_are() {
    for example in EXAMPLES {
        assert_eq!(note(example).to_string(), example);
    }
    let text = note(EXAMPLES[0]).text().to_owned();
    assert!(
        text.ends_with("sole:\n\ned è subito sera.\n"),
        "blank lines are text but for the last"
    );
    let checkpoint = Checkpoint::parse_unverified(note(EXAMPLES[1]).text()).unwrap();
    assert_eq!(checkpoint.origin.as_str(), "example.com/behind-the-sofa");
    assert_eq!(checkpoint.size.get(), 20_852_163);
    assert_eq!(checkpoint.text(), note(EXAMPLES[1]).text());
}

#[test]
fn our_checkpoint_is_one_to_others() {
    let note = signed_note::Note::from_bytes(golden::NOTE.as_bytes()).unwrap();
    let (known, unknown) = note.verify(&theirs(golden::LOG_KEY)).unwrap();
    assert_eq!((known.len(), unknown.len()), (1, 1));
    let read = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((read.origin(), read.size(), read.extension()), (golden::ORIGIN, 7, ""));
    assert_eq!(read.hash().0, *golden::checkpoint().root.as_bytes());
    assert_eq!(read.to_bytes(), golden::checkpoint().text().as_bytes());
}

proptest! {
    #[test]
    fn what_one_signs_the_other_verifies(
        seed in any::<[u8; 32]>(),
        name in "[a-zA-Z0-9./:é_-]{1,40}",
        text in "([^\\x00-\\x1f]{0,40}\n){1,6}",
    ) {
        let key = SignerKey::from_seed(name.parse().unwrap(), &seed).unwrap();
        let public = key.verifier().to_string();
        let other = StandardSigner::new(&key.to_text()).unwrap();
        let mut others = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
        others.add_sigs(&[&other]).unwrap();
        let ours = Note::new(text.clone(), key.sign(&text)).unwrap();
        prop_assert_eq!(ours.to_string().into_bytes(), others.to_bytes());
        let read = Note::parse(&others.to_bytes()).unwrap();
        prop_assert_eq!(&read, &ours);
        prop_assert_eq!(read.verify([key.verifier()]).unwrap().len(), 1);
        others.verify(&theirs(&public)).unwrap();
        let stranger = golden::LOG_KEY.parse().unwrap();
        prop_assert_eq!(read.verify([&stranger]), Err(VerifyError::NoKnownKey));
    }
}
