//! The proof that a log goes on from an older checkpoint.

use std::fs;

use bergulir_audit::{Checked, ExportError, Finding, Part, Trust, Unproven, Verdict};
use bergulir_chain::{LogSize, Position};

use super::{bundle, trusting, valid};
use crate::programme::{programme, small};
use crate::scene::{Scene, chain_report, checkpoint, export, found, report};

#[test]
fn a_bundle_shows_that_the_log_goes_on_from_last_months_checkpoint() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let part = Part::Range { through: Some(Position::new(18)) };
    let old = checkpoint(&drafts[..11]);
    let path = bundle(&scene, "since", part, Some(&old));
    let report = valid(&path, trusting(Some(old.clone())));
    assert!(report.checked.contains(&Checked::Extension { from: LogSize::new(11) }));
    // A checkpoint that lies in the range needs no proof.
    let later = checkpoint(&drafts[..25]);
    let report = valid(&path, trusting(Some(later)));
    assert!(report.checked.contains(&Checked::Extension { from: LogSize::new(25) }));
    // Nor does one of just what comes before the range: the state has its root.
    let report = valid(&path, trusting(Some(checkpoint(&drafts[..19]))));
    assert!(report.checked.contains(&Checked::Extension { from: LogSize::new(19) }));
    // From elsewhere there is none.
    let report = crate::scene::report(&path, trusting(Some(checkpoint(&drafts[..12]))));
    let old_size = LogSize::new(12);
    assert_eq!(report.finding, Finding::Unproven(Unproven::NoExtension { old: old_size }));
    // History that was rewritten since.
    let mut other = drafts.clone();
    other[5].request_id = [0xee; 16];
    let report = crate::scene::report(&path, trusting(Some(checkpoint(&other[..11]))));
    let (position, code, _) = found(&report);
    assert_eq!((position, code), (10, "NOT_EXTENDED"));
    let refused =
        export(scene.path(), part, Some(&checkpoint(&programme(10).drafts)), &scene.beside("none"));
    assert!(matches!(refused, Err(ExportError::Shrank { .. })), "{refused:?}");
}

#[test]
fn an_extension_with_a_byte_flipped() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let range = Part::Range { through: Some(Position::new(18)) };
    let cooperative = Part::Cooperative { cooperative: crate::commands::id("c2") };
    let parts = [
        ("eleven", Part::Log, 11),
        ("eight", Part::Log, 8),
        ("all", Part::Log, drafts.len()),
        ("range", range, 25),
        ("begin", range, 19),
        ("before", range, 11),
        ("view", cooperative, 11),
    ];
    for (name, part, old) in parts {
        let path = bundle(&scene, name, part, Some(&checkpoint(&drafts[..old])));
        valid(&path, trusting(None));
        let file = path.join("extension");
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&file, flipped).unwrap();
            let verdict = chain_report(&path, Trust::default()).finding.verdict();
            assert_eq!(verdict, Verdict::Invalid, "{name}: byte {at}");
        }
        // From a size that the log never had.
        let text = String::from_utf8(whole).unwrap();
        let beyond = text.replacen(&format!("old {old}\n"), "old 1000000\n", 1);
        fs::write(&file, beyond).unwrap();
        assert_eq!(found(&report(&path, Trust::default())).1, "BUNDLE_DAMAGED");
        fs::remove_dir_all(&path).unwrap();
    }
}
