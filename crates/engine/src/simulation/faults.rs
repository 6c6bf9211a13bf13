//! What fails: the clock, the power, the process, the index.

use super::run::Run;
use super::simulated::Fault;
use crate::open::OpenError;
use std::path::{Path, PathBuf};

impl Run {
    /// Sometimes right again, sometimes a little wrong, sometimes far off.
    pub(super) fn set_clock(&mut self) {
        if !self.left.is_empty() {
            return;
        }
        let far = i64::try_from(self.chance.below(1_200_000_000)).unwrap() - 600_000_000;
        let by = match self.chance.below(3) {
            0 => 0,
            1 => far / 4,
            _ => far,
        };
        self.site.clock.set_wrong(by);
        self.counts.one("clock set wrong");
        self.say(|| format!("the clock is wrong by {by} us"));
    }

    /// The index and the log as they are now, for a crash or an operator who brings them back.
    pub(super) fn keep_copies(&mut self) {
        if self.machine().persister.lost.is_none() {
            self.older = Some((self.site.copy_disk(), self.durable));
        }
        let copy = self.site.path("kept-index");
        let _ = std::fs::remove_dir_all(&copy);
        copy_folder(&self.site.index_folder(), &copy);
    }

    pub(super) fn crash(&mut self) {
        if !self.left.is_empty() {
            return;
        }
        if self.one_in(2) {
            self.look_once_more();
        }
        self.forget();
        if self.planned == Some(Fault::PowerGoes) || self.one_in(2) {
            self.counts.one("power cut");
            self.say(|| "the power goes".to_owned());
            self.cut();
        } else {
            self.counts.one("process died");
            self.say(|| "the process dies".to_owned());
        }
        if self.one_in(3) {
            self.restore_older();
        }
        self.harm_index();
        if self.one_in(3) {
            self.falsify_snapshot();
        }
        self.reopen();
    }

    /// An operator puts an older copy of the log in its place. It is not gone on from if anybody knows
    /// what is missing: the index beside it, or a checkpoint. Then the newest one is put back.
    fn restore_older(&mut self) {
        let Some((older, size)) = self.older.take() else { return };
        // With all that lay beside it then, only the anchor knows more.
        let beside = self.one_in(2);
        let newest = self.site.exchange(older, beside);
        let without_index = self.one_in(2);
        if without_index {
            let _ = std::fs::remove_dir_all(self.site.index_folder());
        }
        let signed = self.watchers.checkpoints.last().map_or(0, |(signed, _)| *signed);
        self.say(|| format!("an old copy of {size} records, and {signed} were signed"));
        match self.site.open_in(&self.site.path("ledger")) {
            Ok((log, opened)) => {
                assert_eq!(log.head().size.get(), size as u64);
                let trouble = opened.known.trouble;
                let known = if beside { signed } else { self.watchers.anchored };
                assert!(trouble.is_some() || known <= size, "{known} records are known of {size}");
                assert!(trouble.is_none() || signed > size, "{trouble:?}");
                self.counts.one(match trouble {
                    None => "an old copy",
                    Some(_) if beside => "rolled back",
                    Some(_) => "rolled back, the anchor knows",
                });
            }
            Err(OpenError::RecordsMissing { .. }) => assert!(!without_index),
            Err(error) => panic!("{error}"),
        }
        self.site.disk = newest;
    }

    pub(super) fn cut(&mut self) {
        self.site.disk.cut_power(&mut self.chance);
        self.planned = None;
    }

    fn harm_index(&mut self) {
        let (folder, copy) = (self.site.index_folder(), self.site.path("kept-index"));
        match self.chance.below(8) {
            0 => {
                let _ = std::fs::remove_dir_all(&folder);
                self.counts.one("index lost");
            }
            1 if copy.exists() => {
                std::fs::remove_dir_all(&folder).unwrap();
                copy_folder(&copy, &folder);
                self.counts.one("index behind");
            }
            2 => {
                let mut files = Vec::new();
                list_files(&folder, &mut files);
                let place = self.among(files.len());
                let mut bytes = std::fs::read(&files[place]).unwrap();
                let at = self.among(bytes.len().max(1));
                if self.one_in(2) {
                    bytes.truncate(at);
                } else {
                    bytes[at..].iter_mut().take(600).for_each(|byte| *byte = 0);
                }
                std::fs::write(&files[place], bytes).unwrap();
                self.counts.one("index torn");
            }
            _ => {}
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for found in std::fs::read_dir(from).unwrap() {
        let found = found.unwrap();
        let to = to.join(found.file_name());
        if found.path().is_dir() {
            copy_folder(&found.path(), &to);
        } else {
            std::fs::copy(found.path(), to).unwrap();
        }
    }
}

fn list_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    found.sort();
    for path in found {
        if path.is_dir() {
            list_files(&path, files);
        } else {
            files.push(path);
        }
    }
}
