//! Bundles that lie and are summed, chained and signed right: an insider with the log's key made
//! them. Both verifiers find each.

use std::fs;
use std::path::Path;

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Levels, Prefixes, prove_consistency};
use bergulir_chain::note::{KeyName, Note, SignerKey};
use bergulir_chain::proof::LogProof;
use bergulir_chain::witness::AddCheckpoint;
use bergulir_chain::{
    Authentication, Hash, LogSize, Position, Record, SegmentHeader, Timestamp, record,
    segment::HEADER_BYTES,
};
use bergulir_domain::Event;
use bergulir_proto::balance_proof::BalanceProof;
use bergulir_proto::balances::Leaf;
use bergulir_proto::decode_event;

use crate::continuation_forged::{SEGMENT, segment_of, signed};
use crate::second_verifier::{both, copy, golden, python, second};
use crate::support::{last_json, run};

const ORIGIN: &str = "ledger.example.go.id/tangerang";

/// The seeds of the keys of the golden log: the first one, and the one in force at its end.
const GIVEN_UP: u8 = 7;
const IN_FORCE: u8 = 8;

fn key(seed: u8) -> SignerKey {
    SignerKey::from_seed(KeyName::new(ORIGIN).unwrap(), &[seed; 32]).unwrap()
}

/// The records of the golden log.
fn records() -> Vec<Vec<u8>> {
    crate::continuation_forged::records(&fs::read(golden("log").join(SEGMENT)).unwrap())
}

/// The golden log with a change to one of its records, and all that follows chained anew.
fn with(at: usize, change: impl FnOnce(&mut Record<'_>)) -> Vec<Vec<u8>> {
    let mut records = records();
    let mut change = Some(change);
    for n in at..records.len() {
        let previous = record::hash(&records[n - 1]);
        let mut next = Record { previous, ..Record::parse(&records[n]).unwrap() };
        if let Some(change) = change.take() {
            change(&mut next);
        }
        let mut bytes = Vec::new();
        next.encode(&mut bytes).unwrap();
        records[n] = bytes;
    }
    records
}

fn sign(records: &[Vec<u8>]) -> Note {
    signed(records, &key(IN_FORCE))
}

/// A bundle as it was written, or made anew.
struct Bundle(tempfile::TempDir);

impl Bundle {
    fn golden(kind: &str) -> Bundle {
        let bundle = Bundle(tempfile::tempdir().unwrap());
        copy(&golden(kind), bundle.path());
        bundle
    }

    /// Of the kind `log`, of these records under this checkpoint.
    fn of(records: &[Vec<u8>], note: &Note) -> Bundle {
        let bundle = Bundle::golden("log");
        fs::write(bundle.path().join(SEGMENT), segment_of(records)).unwrap();
        let size = Checkpoint::parse_unverified(note.text()).unwrap().size;
        bundle.edit("bundle", |text| text.replace("size 66", &format!("size {size}")));
        fs::write(bundle.path().join("checkpoint"), note.to_string()).unwrap();
        bundle
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn edit(&self, file: &str, change: impl FnOnce(&str) -> String) {
        let file = self.path().join(file);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, change(&text)).unwrap();
    }

    #[track_caller]
    fn is(&self, verdict: i32, what: &str) {
        assert_eq!(both(self.path(), &[]), [Some(verdict); 2], "{what}");
    }

    #[track_caller]
    fn is_since(&self, older: &Note, verdict: i32, what: &str) {
        let folder = tempfile::tempdir().unwrap();
        let since = folder.path().join("since");
        fs::write(&since, older.to_string()).unwrap();
        let verdicts = both(self.path(), &["--since", since.to_str().unwrap()]);
        assert_eq!(verdicts, [Some(verdict); 2], "{what}");
    }
}

#[test]
fn checkpoints_that_are_not_of_the_records() {
    if !python() {
        return;
    }
    let records = records();
    Bundle::of(&records, &sign(&records)).is(0, "nothing is forged");
    let by = |seed| Bundle::of(&records, &signed(&records, &key(seed)));
    by(9).is(1, "signed by another key of the name");
    by(GIVEN_UP).is(1, "signed by the key given up");
    let note = sign(&records);
    let older = sign(&records[..65]);
    let stolen = Note::new(note.text().to_owned(), older.signatures()[0].clone()).unwrap();
    Bundle::of(&records, &stolen).is(1, "the signature of an older one");
    let right = Checkpoint::parse_unverified(note.text()).unwrap();
    let wrong = Checkpoint { root: Hash::from_bytes([7; 32]), ..right };
    Bundle::of(&records, &wrong.sign(&key(IN_FORCE)).unwrap()).is(1, "another root");
    Bundle::of(&records, &older).is(1, "of fewer records");
    Bundle::of(&records[..65], &note).is(1, "of more records");
}

#[test]
fn records_that_do_not_follow_each_other() {
    if !python() {
        return;
    }
    let forged = |at, change: fn(&mut Record<'_>)| {
        let records = with(at, change);
        Bundle::of(&records, &sign(&records))
    };
    forged(30, |record| record.previous = Hash::from_bytes([7; 32])).is(1, "a broken link");
    forged(30, |record| record.position = Position::new(31)).is(1, "another position");
    forged(30, |record| record.recorded_at = Timestamp::from_micros(0)).is(1, "time goes back");
    forged(65, |record| record.following = 1).is(1, "a batch that does not end");
    forged(30, |record| record.following = 2).is(1, "a batch that ends too early");
    forged(30, |record| record.authentication = Authentication::System).is(1, "not the server's");
    forged(30, |record| record.principal = "system").is(1, "not the server");
    for (first, previous) in [(0, [7; 32]), (1, [0; 32])] {
        let bundle = Bundle::golden("log");
        let previous = Hash::from_bytes(previous);
        let header = SegmentHeader { first: Position::new(first), previous }.encode();
        let mut bytes = fs::read(bundle.path().join(SEGMENT)).unwrap();
        bytes[..HEADER_BYTES].copy_from_slice(&header);
        fs::write(bundle.path().join(SEGMENT), bytes).unwrap();
        bundle.is(1, "a segment that follows something else");
    }
}

#[test]
fn what_follows_the_last_frame_of_a_bundle() {
    if !python() {
        return;
    }
    for (kind, segment) in [("log", SEGMENT), ("range", "log/00000000000000000019.seg")] {
        let whole = fs::read(golden(kind).join(segment)).unwrap();
        let begun = &whole[HEADER_BYTES..HEADER_BYTES + 40];
        for (tail, verdict, what) in [
            (&[0; 5000][..], 0, "zeros"),
            (&[1], 1, "a byte"),
            (b"BGFR", 1, "the magic of a frame"),
            (begun, 1, "the beginning of a frame"),
            (&[0, 0, 1], 1, "a byte behind zeros"),
            (&[1; 5000], 1, "many bytes"),
        ] {
            let longer = Bundle::golden(kind);
            fs::write(longer.path().join(segment), [&whole[..], tail].concat()).unwrap();
            longer.is(verdict, &format!("{kind}: {what}"));
            let (_, said) = second(longer.path(), &[]);
            let position = if verdict == 0 { serde_json::Value::Null } else { 66.into() };
            assert_eq!(said["position"], position, "{kind}: {what}: {said}");
        }
    }
}

#[test]
fn history_that_the_auditor_saw_otherwise() {
    if !python() {
        return;
    }
    let (records, other) = (records(), with(5, |record| record.request_id[0] ^= 1));
    let (log, range) = (Bundle::golden("log"), Bundle::golden("range"));
    for (bundle, size, seed) in [(&log, 30, GIVEN_UP), (&log, 66, IN_FORCE), (&range, 66, IN_FORCE)]
    {
        bundle.is_since(&signed(&records[..size], &key(seed)), 0, "as it was");
        bundle.is_since(&signed(&other[..size], &key(seed)), 1, "rewritten");
    }
    let longer = [&records[..], &records[..1]].concat();
    for bundle in [&log, &range] {
        bundle.is_since(&sign(&longer), 1, "records are gone");
    }
    let seen = signed(&records[..12], &key(GIVEN_UP));
    range.is_since(&seen, 2, "nothing leads from there");
    // Where the records are not there, a proof leads from the checkpoint that was seen.
    let mut levels = levels(&records);
    let proof = prove_consistency(Prefixes::RFC_6962, 12, 66, &mut levels).unwrap();
    for kind in ["range", "cooperative"] {
        let bundle = Bundle::golden(kind);
        let text = fs::read(bundle.path().join("checkpoint")).unwrap();
        let checkpoint = Note::parse(&text).unwrap();
        let extension = AddCheckpoint { old: LogSize::new(12), proof: proof.clone(), checkpoint };
        fs::write(bundle.path().join("extension"), extension.to_string()).unwrap();
        bundle.is_since(&seen, 0, kind);
        bundle.is_since(&signed(&other[..12], &key(GIVEN_UP)), 1, kind);
    }
}

fn levels(records: &[Vec<u8>]) -> Levels {
    let mut levels = Levels::new(Prefixes::RFC_6962);
    for bytes in records {
        levels.push_hash(record::hash(bytes));
    }
    levels
}

/// A bundle with one more record, which is proved.
fn with_record(kind: &str, position: u64) -> Bundle {
    let (bundle, records) = (Bundle::golden(kind), records());
    let file = bundle.path().join(format!("records/{position:020}.tlog-proof"));
    assert!(!file.exists(), "{position} is in it");
    let checkpoint = Note::parse(&fs::read(bundle.path().join("checkpoint")).unwrap()).unwrap();
    let proof = LogProof {
        extra: Some(records[usize::try_from(position).unwrap()].clone()),
        position: Position::new(position),
        path: levels(&records).inclusion(position).unwrap(),
        checkpoint,
    };
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, proof.to_string()).unwrap();
    bundle
}

/// The golden view, of a log with one record changed and none after it chained anew: each record is
/// proved to be in the tree that was signed.
fn unchained(at: usize, change: impl FnOnce(&mut Record<'_>)) -> Bundle {
    let (view, mut records) = (Bundle::golden("cooperative"), records());
    let bytes = records[at].clone();
    let mut record = Record::parse(&bytes).unwrap();
    change(&mut record);
    records[at].clear();
    record.encode(&mut records[at]).unwrap();
    let (levels, checkpoint) = (levels(&records), sign(&records));
    fs::write(view.path().join("checkpoint"), checkpoint.to_string()).unwrap();
    let prove = |position: Position| LogProof {
        extra: Some(records[usize::try_from(position.get()).unwrap()].clone()),
        position,
        path: levels.inclusion(position.get()).unwrap(),
        checkpoint: checkpoint.clone(),
    };
    for folder in ["records", "balances"] {
        for file in fs::read_dir(view.path().join(folder)).unwrap() {
            let file = file.unwrap().path();
            let text = fs::read(&file).unwrap();
            if let Ok(old) = LogProof::parse(&text) {
                fs::write(&file, prove(old.position).to_string()).unwrap();
            } else if let Ok(old) = BalanceProof::parse(&text) {
                let seal = prove(old.seal.position);
                fs::write(&file, BalanceProof { seal, ..old }.to_string()).unwrap();
            }
        }
    }
    view
}

#[test]
fn proved_records_that_do_not_follow_each_other() {
    if !python() {
        return;
    }
    unchained(8, |_| {}).is(0, "nothing is forged");
    // Of the registration the next record is in the view too; of the new key, the one before.
    let (registered, rotated) = (8, 41);
    unchained(registered, |record| record.request_id[0] ^= 1).is(1, "the next names another hash");
    unchained(rotated, |record| record.request_id[0] ^= 1).is(0, "the next is not there");
    let earlier = |record: &mut Record<'_>| record.recorded_at = Timestamp::from_micros(0);
    unchained(rotated, earlier).is(1, "recorded before the one before it");
    unchained(rotated, |record| record.principal = "system").is(1, "not the server");
}

#[test]
fn what_has_no_place_in_a_view_though_it_is_proved() {
    if !python() {
        return;
    }
    let seal = records().iter().position(|bytes| {
        let event = decode_event(Record::parse(bytes).unwrap().event).unwrap();
        matches!(event, Event::Sealed(_))
    });
    with_record("cooperative", seal.unwrap() as u64).is(1, "a second seal");
    with_record("cooperative", 3).is(1, "a record of others");
}

#[test]
fn what_nothing_in_a_range_names_though_it_is_proved() {
    if !python() {
        return;
    }
    for position in [0, 5, 18] {
        let range = with_record("range", position);
        range.is(1, "a record that nothing in the range needs");
        let (_, said) = second(range.path(), &[]);
        assert_eq!(said["position"], position, "{said}");
        let first = run(["audit", "verify", range.path().to_str().unwrap(), "--json"]);
        let first = last_json(&first);
        assert_eq!(first["position"], position, "{first}");
    }
}

#[test]
fn balances_that_are_not_those_of_the_seal() {
    if !python() {
        return;
    }
    let view = Bundle::golden("cooperative");
    let file = |number| view.path().join(format!("balances/000{number}.balance-proof"));
    let [other, own] = [0, 1].map(|n| BalanceProof::parse(&fs::read(file(n)).unwrap()).unwrap());
    let mut richer = own.clone();
    let Leaf::Account { fund, account, mut balances, statement } =
        Leaf::parse(&own.shown[0].leaf).unwrap()
    else {
        panic!("no account");
    };
    balances.principal_repaid += 100;
    richer.shown[0].leaf.clear();
    Leaf::Account { fund, account, balances, statement }.encode(&mut richer.shown[0].leaf);
    let denied = BalanceProof { shown: other.shown.clone(), ..own.clone() };
    let mut edited = own.clone();
    *edited.seal.extra.as_mut().unwrap().last_mut().unwrap() ^= 1;
    let key = key(IN_FORCE).verifier().to_string();
    for (proof, verdict, what) in [
        (&own, 0, "nothing is forged"),
        (&richer, 1, "more was paid back"),
        (&denied, 1, "denied by a leaf that is no neighbour"),
        (&edited, 1, "another seal"),
    ] {
        fs::write(file(1), proof.to_string()).unwrap();
        view.is(verdict, what);
        let path = file(1);
        let alone = run(["proof", "verify", path.to_str().unwrap(), "--key", &key]);
        let verdicts = [second(&path, &["--key", &key]).0, alone.status.code()];
        assert_eq!(verdicts, [Some(verdict); 2], "{what}, alone");
    }
}

#[test]
fn parts_of_a_bundle_that_were_exchanged() {
    if !python() {
        return;
    }
    let lines =
        |text: &str| -> Vec<String> { text.split_inclusive('\n').map(str::to_owned).collect() };
    let statement = "balances/0001.statement";
    let view = || Bundle::golden("cooperative");
    let swapped = view();
    swapped.edit(statement, |text| {
        let mut lines = lines(text);
        lines.swap(0, 1);
        lines.concat()
    });
    swapped.is(1, "a statement out of order");
    let shorter = view();
    shorter.edit(statement, |text| lines(text)[1..].concat());
    shorter.is(1, "a statement without its first record");
    let twice = view();
    for end in ["balance-proof", "statement"] {
        let file = |number| twice.path().join(format!("balances/000{number}.{end}"));
        fs::copy(file(1), file(2)).unwrap();
    }
    twice.is(1, "an account twice");
    let renamed = view();
    let file = |at| renamed.path().join(format!("records/{at:020}.tlog-proof"));
    fs::copy(file(8), file(0)).unwrap();
    renamed.is(1, "a record under the name of another");
    let later = Bundle::golden("range");
    later.edit("bundle", |text| {
        let (rest, from) = text.trim_end().rsplit_once(' ').unwrap();
        format!("{rest} {}\n", from.parse::<u64>().unwrap() + 1)
    });
    later.is(1, "a range that begins later than its state");
}
