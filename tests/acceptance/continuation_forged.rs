//! Bundles of which the record that continues the log was changed, by somebody who has all its keys:
//! everything is chained, summed and signed anew.

use std::fs;
use std::path::{Path, PathBuf};

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::frame::FrameHeader;
use bergulir_chain::merkle::{Prefixes, Tree};
use bergulir_chain::note::{KeyName, Note, SignerKey};
use bergulir_chain::{
    Frame, FrameBuilder, Hash, LogSize, Position, Record, SegmentHeader, body, record, segment,
};
use bergulir_domain::Event;
use bergulir_domain::command::{ContinueLedger, LastKnown};
use bergulir_domain::ledger::Origin;
use bergulir_domain::text::SignedNote;
use bergulir_proto::{decode_event, encode_event};
use bergulir_store::key_file::read_signer;

use crate::bundle::foreign_key;
use crate::second_verifier::copy;

pub const SEGMENT: &str = "log/00000000000000000000.seg";

/// Each forgery with its name and its bundle; `nothing` is none.
pub fn all(bundle: &Path, keys: &Path, continued_at: u64) -> Vec<(&'static str, PathBuf)> {
    let records = records(&fs::read(bundle.join(SEGMENT)).unwrap());
    let at = usize::try_from(continued_at).unwrap();
    let [old, new] = ["pilot", "pilot-2"]
        .map(|ledger| read_signer(&keys.join(format!("{ledger}.key"))).unwrap());
    let mut tree = Tree::new(Prefixes::RFC_6962);
    for bytes in &records[..5] {
        tree.push_hash(record::hash(bytes));
    }
    let checkpoint = |size: u64, root: Hash, key: &SignerKey| {
        let origin = old.verifier().name().clone();
        let note = Checkpoint { origin, size: LogSize::new(size), root }.sign(key).unwrap();
        SignedNote::new(&note.to_string()).unwrap()
    };
    let of_other = || {
        let origin = KeyName::new("example.com/foo").unwrap();
        let text = Checkpoint { origin, size: LogSize::new(5), root: tree.root() }.text();
        let note = Note::new(text.clone(), old.sign(&text)).unwrap();
        SignedNote::new(&note.to_string()).unwrap()
    };
    let known = |checkpoint: SignedNote, forked| Some(LastKnown { checkpoint, forked });
    let unknown = SignerKey::from_seed(old.verifier().name().clone(), &[9; 32]).unwrap();
    let (root, wrong) = (tree.root(), Hash::from_bytes([7; 32]));
    let origin = |text: &str| Origin::new(text).unwrap();
    let forge = |forge: &dyn Fn(&mut ContinueLedger)| {
        let mut drafts = records.clone();
        drafts[at] = with_event(&records[at], forge);
        rechained(&drafts)
    };
    let forged = [
        ("nothing", forge(&|_| {})),
        ("another old origin", forge(&|c| c.from_origin = origin("example.com/foo"))),
        (
            "another old origin, and no checkpoint",
            forge(&|c| {
                c.from_origin = origin("example.com/foo");
                c.last_known = None;
            }),
        ),
        ("a checkpoint of another origin", forge(&|c| c.last_known = known(of_other(), false))),
        (
            "the old origin",
            forge(&|c| {
                c.origin = c.from_origin.clone();
                c.verifier_key = unknown.verifier().to_string().parse().unwrap();
            }),
        ),
        ("a key of another name", forge(&|c| c.verifier_key = foreign_key().parse().unwrap())),
        ("not signed", forge(&|c| c.last_known = known(checkpoint(10, wrong, &unknown), false))),
        ("of another history", forge(&|c| c.last_known = known(checkpoint(5, wrong, &old), false))),
        (
            "not of another history",
            forge(&|c| {
                c.last_known = known(checkpoint(5, root, &old), true);
            }),
        ),
        ("beyond all records", forge(&|c| c.last_known = known(checkpoint(10, wrong, &old), true))),
    ];
    let write = |(what, records): (&'static str, Vec<Vec<u8>>)| {
        let path = bundle.with_file_name(format!("forged {what}"));
        copy(bundle, &path);
        fs::write(path.join(SEGMENT), segment_of(&records)).unwrap();
        fs::write(path.join("checkpoint"), signed(&records, &new).to_string()).unwrap();
        (what, path)
    };
    forged.into_iter().map(write).collect()
}

pub fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut offset = segment::HEADER_BYTES;
    let mut records = Vec::new();
    while offset < bytes.len() && bytes[offset] != 0 {
        let frame = Frame::parse(&bytes[offset..], offset as u64).unwrap();
        records.extend(frame.records().map(<[u8]>::to_vec));
        offset += FrameHeader::parse(&bytes[offset..]).unwrap().frame_length();
    }
    records
}

fn with_event(bytes: &[u8], change: &dyn Fn(&mut ContinueLedger)) -> Vec<u8> {
    let record = Record::parse(bytes).unwrap();
    let Event::LedgerContinued(mut continued) = decode_event(record.event).unwrap() else {
        panic!("the record does not continue the log");
    };
    change(&mut continued);
    let (mut event, mut out) = (Vec::new(), Vec::new());
    encode_event(&Event::LedgerContinued(continued), &mut event);
    Record { event: &event, ..record }.encode(&mut out).unwrap();
    out
}

fn rechained(records: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut previous = Hash::ZERO;
    let chain = |bytes: &Vec<u8>| {
        let mut out = Vec::new();
        let record = Record { previous, ..Record::parse(bytes).unwrap() };
        previous = record.encode(&mut out).unwrap();
        out
    };
    records.iter().map(chain).collect()
}

pub fn segment_of(records: &[Vec<u8>]) -> Vec<u8> {
    let first = SegmentHeader { first: Position::ZERO, previous: Hash::ZERO };
    let mut bytes = first.encode().to_vec();
    let mut body = Vec::new();
    for record in records {
        body::push_record(&mut body, &Record::parse(record).unwrap()).unwrap();
    }
    let count = u32::try_from(records.len()).unwrap();
    let mut frame = FrameBuilder::new();
    let offset = bytes.len() as u64;
    bytes.extend_from_slice(frame.build(Position::ZERO, count, &body, offset).unwrap());
    bytes
}

pub fn signed(records: &[Vec<u8>], key: &SignerKey) -> Note {
    let mut tree = Tree::new(Prefixes::RFC_6962);
    for bytes in records {
        tree.push_hash(record::hash(bytes));
    }
    let origin: KeyName = key.verifier().name().clone();
    Checkpoint { origin, size: LogSize::new(tree.size()), root: tree.root() }.sign(key).unwrap()
}
