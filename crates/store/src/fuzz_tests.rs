//! Files of a log, keys and manifests, nearly right and wrong: see docs/adr/0036-fuzzing.md.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use bergulir_chain::note::{CosignerKey, KeyName, SignerKey};
use bergulir_chain::{ChainCursor, Timestamp, segment};
use bergulir_fuzz::{Target, fuzz, outcome, repair_frames};

use crate::conformance::read_all;
use crate::key_file::{read_cosigner, read_signer};
use crate::log::{EventLog as _, ReadLimit};
use crate::sample::group;
use crate::{FileLog, FileLogOptions};

fn target(name: &'static str) -> Target {
    Target::new(name, env!("CARGO_MANIFEST_DIR"))
}

/// That of `sample::record`.
const SAMPLE_TIME: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

const ONE_SEGMENT: FileLogOptions = FileLogOptions { segment_bytes: 1 << 20 };

/// Makes the sums of a segment right again, as far as the lengths of its frames lead.
fn repair(bytes: &mut [u8]) {
    if let Some(header) = bytes.get_mut(..segment::HEADER_BYTES) {
        let sum = crc32fast::hash(&header[..60]).to_le_bytes();
        header[60..].copy_from_slice(&sum);
    }
    repair_frames(bytes);
}

#[test]
fn a_log_with_any_file_opens_and_goes_on_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = FileLog::open(&folder.path().join("made"), ONE_SEGMENT).unwrap();
    for events in [&["first"][..], &["second", "third"], &["fourth"]] {
        log.append(log.head(), &group(log.head(), events)).unwrap();
    }
    drop(log);
    let path = folder.path().join("made").join(segment::file_name(bergulir_chain::Position::ZERO));
    let mut written = fs::read(path).unwrap();
    let end = written.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    written.truncate(end + 600.min(written.len() - end));
    let short = written[..end].to_vec();
    let name = segment::file_name(bergulir_chain::Position::ZERO);
    let target = target("log-folder").sample(written).sample(short).memory(4 << 20, 64);
    let folder = folder.path().join("log");
    fuzz!(target.repair(|bytes| repair(bytes)), |input| {
        // Records that the disk shows may be forged; whether the rules allow them is looked at elsewhere.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&name), input).unwrap();
        let (log, recovery) = match FileLog::open(&folder, ONE_SEGMENT) {
            Ok(opened) => opened,
            Err(error) => {
                assert_eq!(
                    fs::read(folder.join(&name)).unwrap(),
                    input,
                    "what is refused stays as it is"
                );
                return outcome(&error);
            }
        };
        let records = read_all(&log, ReadLimit::STEP);
        assert_eq!(records.len() as u64, recovery.head.size.get());
        let mut cursor = ChainCursor::origin();
        for record in &records {
            cursor.check(record).unwrap();
        }
        assert_eq!(cursor.previous(), recovery.head.hash);
        // Records of a later time, or of a batch that is not over, cannot be gone on from by this one.
        if cursor.last_recorded_at() > SAMPLE_TIME || cursor.following() > 0 {
            return format!("{} records", records.len());
        }
        let next = group(log.head(), ["goes on"]);
        log.append(log.head(), &next).unwrap();
        let head = log.head();
        drop(log);
        let (again, second) = FileLog::open(&folder, ONE_SEGMENT).unwrap();
        assert_eq!((again.head(), second.cut), (head, None));
        format!("{} records, {}", records.len(), outcome(&recovery.cut.is_some()))
    });
}

#[test]
fn a_key_file_holds_one_key_or_is_refused_without_showing_it() {
    const WORDS: &[&str] = &["PRIVATE+KEY+", "\n", "+", "AQ", "BA"];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let name = || KeyName::new("ledger.example.go.id/kab").unwrap();
    let signer = SignerKey::from_seed(name(), &[7; 32]).unwrap();
    let cosigner = CosignerKey::from_seed(name(), &[7; 32]).unwrap();
    let samples = [format!("{}\n", *signer.to_text()), format!("{}\n", *cosigner.to_text())];
    let target = target("key-file").samples(samples.map(String::into_bytes)).words(WORDS);
    fuzz!(target, |input| {
        fs::write(&path, input).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let signer = read_signer(&path);
        if let Ok(key) = &signer {
            assert_eq!(
                str::from_utf8(input).unwrap().trim_end_matches('\n'),
                key.to_text().as_str()
            );
        }
        let cosigner = read_cosigner(&path);
        for shown in [signer.as_ref().err(), cosigner.as_ref().err()].into_iter().flatten() {
            assert!(!shown.to_string().contains("BwcHBwcH"), "a secret stays where it is");
        }
        outcome(&(signer.map(|_| ()), cosigner.map(|_| ())))
    });
}
