//! All kinds of file in a data directory, and in an anchor of it.

use std::path::Path;

/// Whether the name of a file ends with that after its last dot.
pub fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// A kind of file.
pub struct Kind {
    pub name: &'static str,
    pub is: fn(&str) -> bool,
    pub of: Of,
    /// What else than its name says that it is meant.
    pub called: &'static [&'static str],
    /// It is there for a while only.
    pub passes: bool,
}

/// What may come of its damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Nothing: what it holds can be made from the log, or is not needed. Only if the disk does not
    /// give it, or it is not a file, its ledger may be refused.
    Nobody,
    /// Its ledger may be refused.
    Ledger,
    /// The node may not start.
    Node,
}

pub const KINDS: [Kind; 18] = [
    Kind {
        name: "segment",
        is: |path| path.contains("/log/") && has_extension(path, "seg"),
        of: Of::Ledger,
        called: &["the log", "its log"],
        passes: false,
    },
    Kind {
        name: "torn frame",
        is: |path| path.contains("/log/cut-") && has_extension(path, "bin"),
        of: Of::Nobody,
        called: &[],
        passes: false,
    },
    Kind {
        name: "marks",
        is: |path| path.contains("/index/marks/"),
        of: Of::Nobody,
        called: &[],
        passes: false,
    },
    Kind {
        name: "index",
        is: |path| path.ends_with("/index/sled/db"),
        of: Of::Nobody,
        called: &["the index"],
        passes: false,
    },
    Kind {
        name: "configuration of the index",
        is: |path| path.ends_with("/index/sled/conf"),
        of: Of::Nobody,
        called: &["the index"],
        passes: false,
    },
    Kind {
        name: "table of the index",
        is: |path| path.contains("/index/sled/snap."),
        of: Of::Nobody,
        called: &["the index"],
        passes: false,
    },
    Kind {
        name: "lock of the index",
        is: |path| path.ends_with("/index/LOCK"),
        of: Of::Nobody,
        called: &["the index"],
        passes: false,
    },
    Kind {
        name: "snapshot",
        is: |path| path.contains("/index/snapshots/"),
        of: Of::Nobody,
        called: &["the index"],
        passes: false,
    },
    Kind {
        name: "checkpoint",
        is: |path| path.starts_with("/data/") && path.ends_with("/checkpoint"),
        of: Of::Ledger,
        called: &[],
        passes: false,
    },
    Kind {
        name: "witnessed checkpoint",
        is: |path| path.ends_with("/checkpoint.witnessed"),
        of: Of::Ledger,
        called: &[],
        passes: false,
    },
    Kind {
        name: "horizon",
        is: |path| path.ends_with("/horizon"),
        of: Of::Ledger,
        called: &[],
        passes: false,
    },
    Kind {
        name: "mark of going on",
        is: |path| path.ends_with("/continued"),
        of: Of::Ledger,
        called: &[],
        passes: false,
    },
    Kind {
        name: "private key",
        is: |path| path.starts_with("/data/keys/"),
        of: Of::Ledger,
        called: &[],
        passes: false,
    },
    Kind {
        name: "lock of the data",
        is: |path| path == "/data/LOCK",
        of: Of::Node,
        called: &[],
        passes: false,
    },
    Kind {
        name: "anchor",
        is: |path| path.starts_with("/anchor/"),
        of: Of::Ledger,
        called: &["anchor 1"],
        passes: false,
    },
    // What is only there for a while.
    Kind {
        name: "word on the clock",
        is: |path| path == "/data/clock-accepted",
        of: Of::Nobody,
        called: &[],
        passes: true,
    },
    Kind {
        name: "word that the index is damaged",
        is: |path| path.ends_with("/index-condemned"),
        of: Of::Nobody,
        called: &[],
        passes: true,
    },
    Kind {
        name: "what was being written",
        is: |path| has_extension(path, "new") || path.ends_with("/room.probe"),
        of: Of::Nobody,
        called: &[],
        passes: true,
    },
];
