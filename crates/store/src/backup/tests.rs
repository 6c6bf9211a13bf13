//! Backups of logs in many small segments: whole, one run after the other, cut short anywhere, of
//! another history, and damaged.

use std::fs;
use std::path::{Path, PathBuf};

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Prefixes, Tree};
use bergulir_chain::note::{KeyName, Note, SignerKey};
use bergulir_chain::{LogSize, Position, Timestamp, record};
use tempfile::TempDir;

use super::{BackupError, BackupFolder, Manifest, Offer, Run, copy_log};
use crate::file_log::{Piece, Pieces, end_of_frame};
use crate::layout::{CHECKPOINT_FILE, CONTINUED_FILE};
use crate::log::{EventLog, ReadLimit};
use crate::sample::group;
use crate::{FileLog, FileLogOptions};

const SMALL: FileLogOptions = FileLogOptions { segment_bytes: 1_500 };
const ORIGIN: &str = "ledger.example.go.id/pilot";

/// A log, and a folder for backups of it.
struct Logs {
    folder: TempDir,
    log: FileLog,
}

impl Logs {
    fn new() -> Logs {
        Logs::with("first")
    }

    /// A log whose first event is this one.
    fn with(event: &str) -> Logs {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = FileLog::open(&folder.path().join("log"), SMALL).unwrap();
        let logs = Logs { folder, log };
        logs.append(&[event]);
        logs
    }

    fn append(&self, events: &[&str]) {
        self.log.append(self.log.head(), &group(self.log.head(), events)).unwrap();
    }

    /// So many frames of three records.
    fn grow(&self, frames: u32) {
        for n in 0..frames {
            self.append(&["a", &format!("event {n}"), &"x".repeat(1 + n as usize % 90)]);
        }
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    fn open(&self) -> BackupFolder {
        BackupFolder::write_to(&self.backup()).unwrap()
    }

    fn size(&self) -> LogSize {
        self.log.head().size
    }

    fn tree(&self, size: LogSize) -> Tree {
        let mut tree = Tree::new(Prefixes::RFC_6962);
        let limit = ReadLimit::records(usize::try_from(size.get()).unwrap());
        let mut from = Position::ZERO;
        while size.holds(from) {
            let read = self.log.read(from, limit).unwrap();
            for (position, bytes) in &read {
                if size.holds(position) {
                    tree.push_hash(record::hash(bytes));
                }
            }
            from = read.next();
        }
        tree
    }

    fn note(&self, size: LogSize) -> Note {
        note(size, &self.tree(size))
    }

    fn offer(&self) -> Offer {
        let size = self.size();
        Offer { size, checkpoint: Some(self.note(size)), ..Offer::default() }
    }

    fn pieces(&self, run: &Run) -> Vec<Piece> {
        let mut pieces = Pieces::new(&self.files(), run.place(), self.size());
        std::iter::from_fn(|| pieces.next_piece().unwrap()).collect()
    }

    /// A whole run, and how many bytes were read.
    fn run_with(&self, offer: Offer) -> Result<(Manifest, usize), BackupError> {
        let mut run = self.open().begin("pilot")?;
        run.accept(offer)?;
        let pieces = self.pieces(&run);
        for piece in &pieces {
            run.write(piece.segment, piece.offset, &piece.bytes)?;
        }
        let read = pieces.iter().map(|piece| piece.bytes.len()).sum();
        Ok((run.finish(Timestamp::from_micros(1))?, read))
    }

    fn run(&self) -> (Manifest, usize) {
        self.run_with(self.offer()).unwrap()
    }

    fn kept(&self) -> super::KeptLedger {
        BackupFolder::read(&self.backup()).unwrap().ledger("pilot").unwrap()
    }

    /// Copies the backup elsewhere, as a restore does.
    fn restore(&self) -> Result<super::LogCopy, BackupError> {
        let kept = BackupFolder::read(&self.backup())?.ledger("pilot")?;
        let to = tempfile::tempdir().unwrap();
        copy_log(&kept.log(), &to.path().join("log"), &kept.manifest, &[], &mut |_| ())
    }
}

fn note(size: LogSize, tree: &Tree) -> Note {
    let origin = KeyName::new(ORIGIN).unwrap();
    let key = SignerKey::from_seed(origin.clone(), &[7; 32]).unwrap();
    Checkpoint { origin, size, root: tree.root() }.sign(&key).unwrap()
}

/// The segments of a folder, by name, with their bytes.
fn segments(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_backup_has_the_bytes_of_the_segments_and_later_runs_read_only_what_is_new() {
    let logs = Logs::new();
    logs.grow(40);
    let (manifest, read) = logs.run();
    assert_eq!(segments(&logs.kept().log()), segments(&logs.files()));
    assert!(manifest.segments.len() > 5, "{manifest}");
    assert_eq!((manifest.head, manifest.covered()), (logs.log.head(), logs.size()));
    let all = read;
    let mut newest = 0;
    for frames in [0, 1, 2, 17] {
        let before = segments(&logs.files()).iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        logs.grow(frames);
        let (manifest, read) = logs.run();
        let after: usize = segments(&logs.files()).iter().map(|(_, bytes)| bytes.len()).sum();
        // New segments have a header, which is not read.
        assert!(read <= after - before, "{read} bytes were read of {} new ones", after - before);
        assert_eq!(segments(&logs.kept().log()), segments(&logs.files()));
        assert_eq!(manifest.head, logs.log.head());
        newest = read;
    }
    assert!(newest < all / 2);
    // What was closed before is not even opened: it may be unreadable to us.
    let first = logs.files().join("00000000000000000000.seg");
    fs::remove_file(first).unwrap();
    logs.append(&["one more"]);
    let mut run = logs.open().begin("pilot").unwrap();
    assert_eq!(logs.pieces(&run).len(), 1);
    run.accept(Offer::default()).unwrap_err();
}

#[test]
fn a_run_that_was_cut_short_anywhere_is_gone_on_with_and_shows_as_what_was_before() {
    let logs = Logs::new();
    logs.grow(25);
    let bytes: Vec<(Position, u64, u8)> = {
        let run = logs.open().begin("pilot").unwrap();
        let pieces = logs.pieces(&run);
        let each = |piece: &Piece| {
            let (segment, offset) = (piece.segment, piece.offset);
            let bytes = piece.bytes.clone().into_iter().enumerate();
            bytes.map(move |(n, byte)| (segment, offset + n as u64, byte)).collect::<Vec<_>>()
        };
        pieces.iter().flat_map(each).collect()
    };
    for step in [1, 7, 100, 1_000, 3_000] {
        fs::remove_dir_all(logs.backup()).unwrap();
        let mut done = 0;
        while done < bytes.len() {
            let mut run = logs.open().begin("pilot").unwrap();
            run.accept(logs.offer()).unwrap();
            // It goes on at the last whole frame.
            let place = run.place();
            let at = bytes.iter().position(|(segment, offset, _)| {
                (*segment, *offset) == (place.segment, place.offset)
                    || (*segment, *offset) == (place.next, 64)
            });
            let at = at.unwrap_or(bytes.len());
            assert!(at <= done, "byte {done} of the log, and it goes on at {at}");
            done = (done + step * 37).min(bytes.len());
            for (segment, offset, byte) in &bytes[at..done] {
                run.write(*segment, *offset, &[*byte]).unwrap();
            }
            drop(run);
            let seen = BackupFolder::read(&logs.backup()).unwrap().ledger("pilot").unwrap_err();
            assert!(matches!(seen, BackupError::Unfinished { .. }), "{seen}");
            // Half of a frame more, as a crash leaves it.
            if let Some((name, _)) = segments(&logs.backup().join("ledgers/pilot/log")).last() {
                let path = logs.backup().join("ledgers/pilot/log").join(name);
                let mut torn = fs::read(&path).unwrap();
                torn.extend_from_slice(b"BGFR half of a frame");
                fs::write(&path, torn).unwrap();
            }
        }
        let (manifest, read) = logs.run();
        assert_eq!(read, 0, "everything was there");
        assert_eq!(manifest.head, logs.log.head());
        assert_eq!(segments(&logs.kept().log()), segments(&logs.files()));
    }
    // A later run that is cut short leaves what was whole as it was.
    let whole = logs.kept().manifest;
    logs.grow(9);
    let mut run = logs.open().begin("pilot").unwrap();
    run.accept(logs.offer()).unwrap();
    let pieces = logs.pieces(&run);
    run.write(pieces[0].segment, pieces[0].offset, &pieces[0].bytes).unwrap();
    let Err(BackupError::CutShort { .. }) = run.finish(Timestamp::from_micros(2)) else {
        panic!("not everything came");
    };
    assert_eq!(logs.kept().manifest, whole);
    assert!(logs.kept().has_rest().unwrap());
    assert_eq!(logs.restore().unwrap().head(), whole.head);
    let run = logs.open().begin("pilot").unwrap();
    assert!(run.has_rest() && run.records() > whole.head.size, "it goes on behind that");
    drop(run);
    logs.run();
    assert!(!logs.kept().has_rest().unwrap());
}

#[test]
fn a_log_that_does_not_lead_on_from_the_backup_does_not_touch_it() {
    let logs = Logs::new();
    logs.grow(10);
    logs.run();
    let whole = segments(&logs.kept().log());

    // Rolled back: shorter.
    let shorter = Logs::new();
    shorter.grow(9);
    let offer = Offer { size: shorter.size(), ..shorter.offer() };
    let refused = logs.open().begin("pilot").unwrap().accept(offer).unwrap_err();
    assert!(matches!(refused, BackupError::Behind { .. }), "{refused}");

    // As long, and another one: the checkpoint shows it.
    let other = Logs::with("other");
    other.grow(10);
    assert_eq!(other.size(), logs.size());
    let mut run = logs.open().begin("pilot").unwrap();
    run.accept(other.offer()).unwrap();
    let refused = run.finish(Timestamp::from_micros(2)).unwrap_err();
    assert!(matches!(refused, BackupError::Disagree { .. }), "{refused}");

    // Longer, and another one: its next record shows it, or the hash of the one before.
    other.grow(3);
    let mut run = logs.open().begin("pilot").unwrap();
    run.accept(other.offer()).unwrap();
    let piece = other.pieces(&run).remove(0);
    let refused = run.write(piece.segment, piece.offset, &piece.bytes).unwrap_err();
    assert!(matches!(refused, BackupError::OtherHistory { .. }), "{refused}");
    let before = Offer { previous: Some(bergulir_chain::Hash::ZERO), ..other.offer() };
    let refused = logs.open().begin("pilot").unwrap().accept(before).unwrap_err();
    assert!(matches!(refused, BackupError::OtherHistory { .. }), "{refused}");

    // Another ledger of the same name.
    let origin = KeyName::new("ledger.example.go.id/another").unwrap();
    let key = SignerKey::from_seed(origin.clone(), &[8; 32]).unwrap();
    let checkpoint = Checkpoint { origin, size: other.size(), root: bergulir_chain::Hash::ZERO };
    let foreign = Offer { checkpoint: Some(checkpoint.sign(&key).unwrap()), ..other.offer() };
    let refused = logs.open().begin("pilot").unwrap().accept(foreign).unwrap_err();
    assert!(matches!(refused, BackupError::OtherLedger { .. }), "{refused}");

    // The records are not those that were signed.
    logs.grow(2);
    let wrong = note(logs.size(), &Tree::new(Prefixes::RFC_6962));
    let refused = logs.run_with(Offer { checkpoint: Some(wrong), ..logs.offer() }).unwrap_err();
    assert!(matches!(refused, BackupError::Disagree { .. }), "{refused}");

    // In other files.
    let mut run = logs.open().begin("pilot").unwrap();
    run.accept(logs.offer()).unwrap();
    let refused = run.write(Position::ZERO, 64, b"BGFR").unwrap_err();
    assert!(matches!(refused, BackupError::OtherFiles { .. }), "{refused}");
    drop(run);

    assert_eq!(segments(&logs.kept().log()), whole);
    assert!(!logs.kept().has_rest().unwrap());
    logs.run();
    assert_eq!(segments(&logs.kept().log()), segments(&logs.files()));
}

#[test]
fn every_flipped_byte_of_what_is_copied_is_found_and_nothing_after_it_is_kept() {
    let logs = Logs::new();
    logs.grow(3);
    let run = logs.open().begin("pilot").unwrap();
    let sound = logs.pieces(&run).remove(0);
    drop(run);
    for place in 0..sound.bytes.len() {
        let mut bytes = sound.bytes.clone();
        bytes[place] ^= 4;
        let mut run = logs.open().begin("pilot").unwrap();
        run.accept(logs.offer()).unwrap();
        let taken = run.write(sound.segment, sound.offset, &bytes);
        // A length that is wrong is known by its header; one that only lacks bytes at the end.
        let refused = taken.and_then(|()| run.finish(Timestamp::from_micros(1)).map(drop));
        refused.expect_err(&format!("byte {place} was flipped"));
        logs.open().begin("pilot").unwrap().drop_rest().unwrap();
    }
    logs.run();
}

#[test]
fn a_backup_that_was_damaged_cut_or_mixed_is_refused() {
    let logs = Logs::new();
    logs.grow(20);
    logs.run();
    let kept = logs.kept();
    let files: Vec<PathBuf> =
        segments(&kept.log()).iter().map(|(name, _)| kept.log().join(name)).collect();
    let middle = &files[2];
    let sound = fs::read(middle).unwrap();
    for place in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[place] ^= 0x10;
        fs::write(middle, bytes).unwrap();
        assert!(logs.restore().is_err(), "byte {place} was flipped");
    }
    fs::write(middle, &sound[..sound.len() - 1]).unwrap();
    assert!(matches!(logs.restore(), Err(BackupError::File { .. })));
    let refused = logs.open().begin("pilot").unwrap_err();
    assert!(matches!(refused, BackupError::File { .. }), "{refused}");
    fs::remove_file(middle).unwrap();
    assert!(matches!(logs.restore(), Err(BackupError::File { .. })));
    // Another segment of as many bytes.
    let mut other = sound.clone();
    other[200..].fill(1);
    fs::write(middle, other).unwrap();
    assert!(logs.restore().is_err());
    fs::write(middle, &sound).unwrap();
    logs.restore().unwrap();
    // One that is not of this backup.
    let stranger = kept.log().join("00000000000000000002.seg");
    fs::write(&stranger, &sound).unwrap();
    assert!(matches!(logs.restore(), Err(BackupError::File { .. })));
    assert!(matches!(logs.open().begin("pilot"), Err(BackupError::File { .. })));
    fs::remove_file(&stranger).unwrap();
    logs.restore().unwrap();
}

#[test]
fn what_is_whole_of_a_backup_is_checked_also_if_more_lies_behind_it() {
    let logs = Logs::new();
    logs.grow(20);
    logs.run();
    let kept = logs.kept();
    let name = segments(&kept.log()).pop().unwrap().0;
    let last = kept.log().join(&name);
    let sound = fs::read(&last).unwrap();
    let mut longer = sound.clone();
    longer.extend(b"the rest of a run");
    fs::write(&last, &longer).unwrap();
    assert!(kept.has_rest().unwrap());
    kept.check_log().unwrap();
    let named = |name: &str, what: &str| {
        let refused = kept.check_log().unwrap_err();
        let said = refused.to_string();
        assert!(refused.is_refusal() && said.contains(name), "{what}: {said}");
    };
    let is_named = |what: &str| named(&name, what);
    for place in 0..sound.len() {
        longer[place] ^= 0x10;
        fs::write(&last, &longer).unwrap();
        is_named(&format!("byte {place} was flipped"));
        longer[place] ^= 0x10;
    }
    fs::write(&last, &longer).unwrap();
    // The same one of another log, which is as long, or longer.
    let other = Logs::with("other");
    other.grow(30);
    let (middle, whole) = &segments(&kept.log())[2];
    let same = fs::read(other.files().join(middle)).unwrap();
    assert_eq!(same.len(), whole.len());
    fs::write(kept.log().join(middle), same).unwrap();
    named(middle, "another log in the middle");
    fs::write(kept.log().join(middle), whole).unwrap();
    kept.check_log().unwrap();
    let mut foreign = fs::read(other.files().join(&name)).unwrap();
    foreign.resize(2 * sound.len(), 0);
    fs::write(&last, foreign).unwrap();
    assert!(kept.has_rest().unwrap());
    is_named("another log");
    fs::remove_file(&last).unwrap();
    fs::create_dir(&last).unwrap();
    is_named("a folder");
}

/// A log of one segment whose records all follow each other is not the one that the manifest names.
#[test]
fn another_whole_log_in_the_place_of_a_backup_is_named() {
    let logs = Logs::new();
    logs.grow(2);
    logs.run();
    let kept = logs.kept();
    let name = segments(&kept.log()).pop().unwrap().0;
    let other = Logs::with("other");
    other.grow(4);
    fs::copy(other.files().join(&name), kept.log().join(&name)).unwrap();
    assert!(kept.has_rest().unwrap());
    let said = kept.check_log().unwrap_err().to_string();
    assert!(said.contains(&name) && said.contains("not those that the manifest names"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_link_in_a_backup_is_refused_and_where_it_leads_nothing_changes() {
    use std::os::unix::fs::symlink;
    let logs = Logs::new();
    logs.grow(20);
    logs.run();
    let kept = logs.kept();
    let outside = logs.folder.path().join("outside");
    let files: Vec<PathBuf> =
        segments(&kept.log()).iter().map(|(name, _)| kept.log().join(name)).collect();
    let last = files.last().unwrap();
    let next = kept.log().join("00000000000000009999.seg");
    for path in [&files[1], last, &next] {
        let sound = fs::read(path).ok();
        // As long as it may be, and longer: what is behind is cut off in a backup.
        let bytes = [sound.as_deref().unwrap_or_default(), &[0; 100]].concat();
        fs::write(&outside, &bytes).unwrap();
        let _ = fs::remove_file(path);
        symlink(&outside, path).unwrap();
        for refused in [logs.restore().unwrap_err(), logs.open().begin("pilot").unwrap_err()] {
            assert!(refused.to_string().contains("it is a link"), "{}: {refused}", path.display());
        }
        assert_eq!(fs::read(&outside).unwrap(), bytes);
        fs::remove_file(path).unwrap();
        if let Some(sound) = sound {
            fs::write(path, sound).unwrap();
        }
    }
    logs.restore().unwrap();
    // Files that a run writes.
    logs.grow(1);
    fs::write(&outside, "of somebody else").unwrap();
    for name in ["backup.new", "checkpoint.new"] {
        symlink(&outside, kept.folder.join(name)).unwrap();
    }
    logs.run();
    assert_eq!(fs::read_to_string(&outside).unwrap(), "of somebody else");
    // And that it reads.
    for path in [kept.folder.join("backup"), logs.backup().join(super::BACKUP_FILE)] {
        let moved = path.with_extension("moved");
        fs::rename(&path, &moved).unwrap();
        symlink(&moved, &path).unwrap();
        let refused = logs.restore().unwrap_err();
        assert!(refused.to_string().contains("it is a link"), "{}: {refused}", path.display());
        fs::rename(&moved, &path).unwrap();
    }
    logs.restore().unwrap();
}

#[test]
fn a_backup_that_is_changed_while_it_is_copied_is_refused() {
    let logs = Logs::new();
    logs.grow(40);
    logs.run();
    let kept = logs.kept();
    let names = segments(&kept.log());
    assert!(names.len() > 5);
    for (at, (name, sound)) in names.iter().enumerate() {
        let to = tempfile::tempdir().unwrap();
        let to = to.path().join("log");
        let path = kept.log().join(name);
        let mut changed = sound.clone();
        *changed.last_mut().unwrap() ^= 1;
        let mut heard = 0;
        let mut told = |_| {
            heard += 1;
            if heard == 1 {
                fs::write(&path, &changed).unwrap();
            }
        };
        match copy_log(&kept.log(), &to, &kept.manifest, &[], &mut told) {
            // What was read before it changed is what the manifest says.
            Ok(_) => assert_eq!(segments(&to), names, "{name}"),
            Err(_) => assert_ne!(at, 0, "the first was read before it was told"),
        }
        fs::write(&path, sound).unwrap();
    }
    logs.restore().unwrap();
}

#[test]
fn every_flipped_byte_of_a_manifest_is_found_and_swapped_folders_are() {
    let logs = Logs::new();
    logs.grow(4);
    logs.run();
    let path = logs.kept().folder.join("backup");
    let sound = fs::read(&path).unwrap();
    for place in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[place] ^= 1;
        fs::write(&path, bytes).unwrap();
        let refused = logs.restore().unwrap_err();
        assert!(matches!(refused, BackupError::Manifest { .. }), "byte {place}: {refused}");
    }
    fs::write(&path, &sound).unwrap();
    // One that was written anew and says something else than the records.
    let manifest = logs.kept().manifest;
    let other = bergulir_chain::Hash::ZERO;
    let head = crate::log::Head { hash: other, ..manifest.head };
    let subtrees = vec![other; manifest.subtrees.len()];
    for forged in [Manifest { head, ..manifest.clone() }, Manifest { subtrees, ..manifest }] {
        fs::write(&path, forged.to_string()).unwrap();
        let refused = logs.restore().unwrap_err();
        assert!(matches!(refused, BackupError::File { .. }), "{refused}");
    }
    fs::write(&path, &sound).unwrap();
    fs::rename(logs.backup().join("ledgers/pilot"), logs.backup().join("ledgers/other")).unwrap();
    let refused = BackupFolder::read(&logs.backup()).unwrap().ledger("other").unwrap_err();
    assert!(refused.to_string().contains("swapped"), "{refused}");
}

#[test]
fn a_folder_with_other_things_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(BackupFolder::read(folder.path()), Err(BackupError::NoBackup { .. })));
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    let refused = BackupFolder::write_to(folder.path()).unwrap_err();
    assert!(matches!(refused, BackupError::InTheWay { .. }), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    // A run that was cut short before the mark had its name.
    let backup = folder.path().join("backup");
    fs::create_dir(&backup).unwrap();
    fs::write(backup.join("LOCK"), "").unwrap();
    fs::write(backup.join("bergulir-backup.new"), "bergulir").unwrap();
    let held = BackupFolder::write_to(&backup).unwrap();
    assert!(matches!(BackupFolder::write_to(&backup), Err(BackupError::Lock(_))));
    drop(held);
    fs::write(backup.join(super::BACKUP_FILE), "bergulir-backup 2\n").unwrap();
    assert!(matches!(BackupFolder::write_to(&backup), Err(BackupError::OtherVersion { .. })));
}

#[test]
fn without_a_checkpoint_nothing_is_taken_unless_the_ledger_goes_on_as_another_one() {
    let logs = Logs::new();
    logs.grow(2);
    let bare = Offer { size: logs.size(), ..Offer::default() };
    let refused = logs.run_with(bare.clone()).unwrap_err();
    assert!(matches!(refused, BackupError::NoCheckpoint), "{refused}");
    let mark = Some(b"bergulir-continued 1\n".to_vec());
    let (manifest, _) = logs.run_with(Offer { continued: mark.clone(), ..bare }).unwrap();
    assert_eq!((manifest.continued, manifest.checkpoint), (mark.clone(), None));
    assert_eq!(fs::read(logs.kept().folder.join(CONTINUED_FILE)).ok(), mark);
}

#[test]
fn a_checkpoint_inside_of_a_frame_is_compared_too_and_an_older_one_never_replaces_a_newer() {
    let logs = Logs::new();
    logs.grow(5);
    let inside = LogSize::new(logs.size().get() - 1);
    assert_eq!(end_of_frame(&logs.files(), inside).unwrap(), logs.size());
    assert_eq!(end_of_frame(&logs.files(), logs.size()).unwrap(), logs.size());
    let offer = Offer { checkpoint: Some(logs.note(inside)), ..logs.offer() };
    let (manifest, _) = logs.run_with(offer).unwrap();
    assert_eq!((manifest.head.size, manifest.covered()), (logs.size(), inside));
    let (whole, _) = logs.run();
    assert_eq!(whole.covered(), logs.size());
    let older = Offer { checkpoint: Some(logs.note(LogSize::new(4))), ..logs.offer() };
    let (manifest, _) = logs.run_with(older).unwrap();
    assert_eq!(manifest.checkpoint, whole.checkpoint);

    // The files beside the log are those of the manifest.
    let kept = logs.kept();
    kept.check_small_files().unwrap();
    fs::write(kept.folder.join(CHECKPOINT_FILE), "another").unwrap();
    assert!(matches!(kept.check_small_files(), Err(BackupError::SmallFile { .. })));
    logs.run();
    kept.check_small_files().unwrap();
}
