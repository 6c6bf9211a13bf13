//! Exports of logs that are not what their checkpoint says, or that are larger than it.

use std::fs;
use std::path::Path;

use bergulir_audit::{ExportError, Finding, Part, Trust};
use bergulir_chain::frame::{FrameHeader, HEADER_BYTES};
use bergulir_chain::{LogSize, segment};

use crate::commands::id;
use crate::files::{Layout, Log};
use crate::ledger::Draft;
use crate::programme::{programme, small};
use crate::scene::{Scene, chain_report, checkpoint, export, report};

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
