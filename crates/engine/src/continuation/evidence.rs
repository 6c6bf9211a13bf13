//! What is known of the old log, and whether its surviving records lead there.

use super::{Continuation, ContinuationError};
use crate::anchor;
use crate::known::read;
use crate::tree::{Tree, TreeError};
use bergulir_chain::LogSize;
use bergulir_chain::note::{Note, Signature};
use bergulir_domain::command::LastKnown;
use bergulir_domain::ledger::Origin;
use bergulir_domain::text::SignedNote;
use bergulir_proto::continuation::checkpoint_of;
use bergulir_proto::replay::Replica;
use bergulir_store::file_log::{Disk, Medium};
use bergulir_store::layout::{CHECKPOINT_FILE, WITNESSED_FILE};
use std::path::Path;
use std::sync::Arc;

/// A checkpoint that is known of the old log.
#[derive(Debug, Clone)]
pub struct KnownCheckpoint {
    /// Where it comes from, for people.
    pub name: String,
    /// How many records it covers; absent if that could not be read.
    pub size: Option<LogSize>,
    /// Whether the surviving records lead to it.
    pub fit: Fit,
    note: Option<Note>,
}

/// Whether the surviving records lead to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// They do.
    Leads,
    /// There are fewer of them.
    Behind,
    /// There are as many, and they are others: two histories were recorded.
    Forks,
    /// It is not a checkpoint of this log, as far as its records tell.
    Foreign(String),
}

impl KnownCheckpoint {
    /// As the record names it.
    pub(super) fn for_the_record(&self, origin: &Origin) -> Option<LastKnown> {
        let note = self.note.as_ref()?;
        let whole = SignedNote::new(&note.to_string());
        let checkpoint = whole.or_else(|_| SignedNote::new(&of_the_log(note, origin))).ok()?;
        Some(LastKnown { checkpoint, forked: self.fit == Fit::Forks })
    }
}

/// A note with so many cosignatures that no record has room for it, with the log's own alone.
fn of_the_log(note: &Note, origin: &Origin) -> String {
    let own = |signature: &&Signature| signature.name.as_str() == origin.as_str();
    let lines = note.signatures().iter().filter(own).map(|signature| format!("{signature}\n"));
    format!("{}\n{}", note.text(), lines.collect::<String>())
}

/// Which of the known checkpoints to name: the newest of those to which the records do not lead; if
/// they lead to all, the newest.
pub(super) fn newest(known: &[KnownCheckpoint]) -> Option<usize> {
    let newest = |lost: bool| {
        let wanted = move |fit: &Fit| match fit {
            Fit::Behind | Fit::Forks => lost,
            Fit::Leads => !lost,
            Fit::Foreign(_) => false,
        };
        let of = known.iter().enumerate().filter(move |(_, known)| wanted(&known.fit));
        // Of several of one size the first.
        of.rev().max_by_key(|(_, known)| known.size).map(|(place, _)| place)
    };
    newest(true).or_else(|| newest(false))
}

/// Every checkpoint that is known of the old log: in its folder, in the anchors, and those given.
pub(super) fn known(
    folder: &Path,
    asked: &Continuation,
    replica: &Replica,
    tree: Tree<'_>,
) -> Result<Vec<KnownCheckpoint>, ContinuationError> {
    let mut known = Vec::new();
    let origin = replica.state().opened().map_or("", |opened| opened.origin.as_str());
    let own = [WITNESSED_FILE, CHECKPOINT_FILE].map(|file| (file.to_owned(), folder.join(file)));
    let medium: Arc<dyn Medium> = Arc::new(Disk);
    let anchors = anchor::files(&medium, &asked.anchors, origin);
    let anchors =
        anchors.iter().map(|file| (file.path().display().to_string(), file.path().to_owned()));
    for (name, path) in own.into_iter().chain(anchors) {
        match read(&Disk, &path) {
            Ok(None) => {}
            Ok(Some(note)) => known.push(judge(name, note, origin, replica, tree)?),
            Err(why) => {
                let fit = Fit::Foreign(why.to_string());
                known.push(KnownCheckpoint { name, size: None, fit, note: None });
            }
        }
    }
    for (name, note) in &asked.checkpoints {
        let judged = judge(name.clone(), note.clone(), origin, replica, tree)?;
        if let Fit::Foreign(why) = judged.fit {
            return Err(ContinuationError::ForeignCheckpoint { name: judged.name, why });
        }
        known.push(judged);
    }
    Ok(known)
}

fn judge(
    name: String,
    note: Note,
    origin: &str,
    replica: &Replica,
    tree: Tree<'_>,
) -> Result<KnownCheckpoint, TreeError> {
    let head = replica.tree().head();
    let keys = replica.state().keys().map(|(at, key)| (at.get(), key.as_str()));
    let (size, fit) = match checkpoint_of(&note, origin, keys, replica.size()) {
        Err(error) => (None, Fit::Foreign(error.to_string())),
        Ok(checkpoint) if checkpoint.size > replica.size() => (Some(checkpoint.size), Fit::Behind),
        Ok(checkpoint) => {
            let (own, _) = tree.extension(checkpoint.size.get(), head)?;
            let same = own == checkpoint.head();
            (Some(checkpoint.size), if same { Fit::Leads } else { Fit::Forks })
        }
    };
    Ok(KnownCheckpoint { name, size, fit, note: Some(note) })
}
