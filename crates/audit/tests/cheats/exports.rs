//! Exports: of logs that are not what their checkpoint says, or that are larger than it; to a place
//! that is none; stopped.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bergulir_audit::{ExportError, Finding, Part, Progress, Stage, Trust};
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::frame::{FrameHeader, HEADER_BYTES};
use bergulir_chain::note::KeyName;
use bergulir_chain::{LogSize, segment};

use crate::commands::{id, key, origin};
use crate::files::{Layout, Log, SMALL};
use crate::ledger::Draft;
use crate::programme::{programme, small};
use crate::scene::{Scene, chain_report, checkpoint, export, other_key, report, statement};

/// Everything in one frame.
const ONE_FRAME: Layout = Layout { records_in_frame: 10_000, frames_in_segment: 1 };

fn parts() -> [Part; 4] {
    let cooperative = Part::Cooperative { cooperative: id("c2") };
    [Part::Log, Part::Tiles, Part::Range { through: None }, cooperative]
}

#[test]
fn records_that_are_not_those_of_the_checkpoint_are_not_exported() {
    let drafts = small().drafts;
    let mut other = drafts.clone();
    other[5].request_id = [0xee; 16];
    let scene = Scene::signed(&drafts);
    scene.sign(&checkpoint(&other));
    for part in parts() {
        let refused = export(scene.path(), part, None, &scene.beside("out"));
        assert!(matches!(refused, Err(ExportError::Disagree { .. })), "{part:?}: {refused:?}");
        assert_eq!(scene.count_beside(), 0, "nothing is left over");
    }
}

#[test]
fn a_checkpoint_inside_a_frame_is_exported_and_one_inside_a_batch_is_not() {
    let drafts = small().drafts;
    let scene = Scene::of(&drafts);
    scene.write(&Log::of(&drafts, ONE_FRAME));
    let size = drafts.len() - 1;
    scene.sign(&checkpoint(&drafts[..size]));
    for part in parts() {
        let out = scene.beside("out");
        let exported = export(scene.path(), part, None, &out).unwrap();
        assert_eq!(exported.size, LogSize::new(size as u64));
        if part != Part::Tiles {
            assert_eq!(report(&out, Trust::default()).finding, Finding::Valid, "{part:?}");
        }
        fs::remove_dir_all(&out).unwrap();
    }
    let batch = drafts.iter().position(|draft| draft.following == 3).unwrap();
    scene.sign(&checkpoint(&drafts[..=batch]));
    let refused = export(scene.path(), Part::Log, None, &scene.beside("out"));
    assert!(matches!(refused, Err(ExportError::Chain(_))), "{refused:?}");
}

#[test]
fn many_records_are_many_frames_and_no_batch_is_in_two() {
    let mut drafts: Vec<Draft> = programme(2).drafts;
    let last = drafts.last().unwrap().clone();
    // Only the chain counts here: batches of three.
    for number in 0..3000 {
        let following = 2 - number % 3;
        drafts.push(Draft { following, ..last.clone() });
    }
    let scene = Scene::signed(&drafts);
    let out = scene.beside("out");
    export(scene.path(), Part::Log, None, &out).unwrap();
    assert_eq!(chain_report(&out, Trust::default()).finding, Finding::Valid);
    let bodies = bodies(&out.join("log/00000000000000000000.seg"));
    assert!(bodies.len() > 1, "{bodies:?}");
    let (rest, full) = bodies.split_last().unwrap();
    assert!(full.iter().all(|bytes| (256 << 10..257 << 10).contains(bytes)), "{bodies:?}");
    assert!(*rest < 257 << 10);
}

/// How many bytes of records each frame of a segment has.
fn bodies(file: &Path) -> Vec<usize> {
    let bytes = fs::read(file).unwrap();
    let mut rest = &bytes[segment::HEADER_BYTES..];
    let mut bodies = Vec::new();
    while !rest.is_empty() {
        let length = FrameHeader::parse(rest).unwrap().frame_length();
        bodies.push(length - HEADER_BYTES);
        rest = &rest[length..];
    }
    bodies
}

#[test]
fn a_log_that_is_not_right_is_not_exported() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let mut log = Log::of(&drafts, SMALL);
    log.remove(20);
    scene.write(&log);
    let out = scene.beside("all");
    for part in [Part::Log, Part::Tiles, Part::Range { through: None }] {
        assert!(export(scene.path(), part, None, &out).is_err());
        assert_eq!(scene.count_beside(), 0, "nothing is left over");
    }
}

#[test]
fn a_proof_from_a_checkpoint_that_is_not_the_logs_is_not_exported() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let mut other = drafts[..11].to_vec();
    other[5].request_id = [0xee; 16];
    let name = KeyName::new(&origin("other")).unwrap();
    let of_other = Checkpoint { origin: name, ..statement(&drafts[..11]) };
    let cooperative = Part::Cooperative { cooperative: id("c2") };
    for part in [Part::Log, Part::Range { through: None }, cooperative] {
        for (why, since) in [
            ("rewritten", checkpoint(&other)),
            ("not signed", statement(&drafts[..11]).sign(&other_key()).unwrap()),
            ("not signed", checkpoint(&[])),
            ("of the log", of_other.sign(&key("other")).unwrap()),
            ("records are missing", checkpoint(&programme(70).drafts)),
        ] {
            let out = scene.beside("none");
            let refused = export(scene.path(), part, Some(&since), &out);
            let message = refused.unwrap_err().to_string();
            assert!(message.contains(why), "{part:?}, {why}: {message}");
            assert_eq!(scene.count_beside(), 0, "nothing is left over");
        }
        let out = scene.beside("right");
        export(scene.path(), part, Some(&checkpoint(&drafts[..11])), &out).unwrap();
        fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn nothing_is_written_into_what_is_exported() {
    let scene = Scene::signed(&small().drafts);
    for inside in ["out", "log/out", "../ledger/log/out"] {
        let out = scene.within(inside);
        let refused = export(scene.path(), Part::Log, None, &out);
        assert!(matches!(refused, Err(ExportError::Inside { .. })), "{refused:?}");
    }
    // One ledger of a data directory is not the place for another's bundle either.
    let data = scene.beside("data");
    fs::create_dir_all(data.join("ledgers")).unwrap();
    fs::write(data.join("LOCK"), "").unwrap();
    let ledger = data.join("ledgers/tangerang");
    fs::rename(scene.path(), &ledger).unwrap();
    for path in [&data, &ledger, &ledger.join("log")] {
        for inside in ["out", "ledgers/out", "ledgers/tangerang/out"] {
            let out = data.join(inside);
            let refused = export(path, Part::Log, None, &out);
            assert!(matches!(refused, Err(ExportError::Inside { .. })), "{refused:?}");
        }
    }
    export(&data, Part::Log, None, &scene.beside("out")).unwrap();
}

#[test]
fn a_stopped_export_leaves_nothing() {
    let scene = Scene::signed(&small().drafts);
    let out = scene.beside("out");
    for part in parts() {
        let stop = AtomicBool::new(false);
        let mut tell = |told: Progress<'_>| {
            // Somebody stops it in its first pass over the records.
            stop.store(told.stage != Stage::Survey, Ordering::Relaxed);
        };
        let last = Part::Tiles == part || Part::Log == part;
        let stopped =
            bergulir_audit::export(scene.path(), None, part, None, &out, &mut tell, &stop);
        assert_eq!(stopped.is_ok(), last, "{stopped:?}");
        if last {
            fs::remove_dir_all(&out).unwrap();
            let stop = AtomicBool::new(true);
            let stopped =
                bergulir_audit::export(scene.path(), None, part, None, &out, &mut |_| {}, &stop);
            assert!(matches!(stopped, Err(ExportError::Stopped)), "{stopped:?}");
        }
        assert_eq!(scene.count_beside(), 0, "{part:?}");
    }
}
