//! What each of those that are compared answers for.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use crate::failure::Failure;
use crate::load::Measured;

/// How it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// 1,000 events a request
    Batch,
    /// One event a request, 64 clients
    Single,
}

impl Load {
    pub const ALL: [Load; 2] = [Load::Batch, Load::Single];

    pub fn title(self) -> &'static str {
        match self {
            Load::Batch => "Batches of 1,000",
            Load::Single => "Single commands, 64 clients",
        }
    }

    /// Events a request.
    pub fn events(self) -> usize {
        match self {
            Load::Batch => 1_000,
            Load::Single => 1,
        }
    }

    /// How many clients: as many batches as are best for it, or 64 single commands.
    pub fn clients(self, batches: usize) -> usize {
        match self {
            Load::Batch => batches,
            Load::Single => 64,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Load::Batch => "batch",
            Load::Single => "single",
        })
    }
}

/// What is not on this machine, and how it comes there.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Missing {
    pub what: String,
    pub install: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; to have it: {}", self.what, self.install)
    }
}

pub type Running<'a> = Pin<Box<dyn Future<Output = Result<Measured, Failure>> + 'a>>;

/// One of those that are compared.
pub trait System {
    /// The name for programs.
    fn name(&self) -> &'static str;
    /// The name for people.
    fn title(&self) -> &'static str;
    /// What it checks, and what it keeps beside the event.
    fn checks(&self) -> &'static str;
    /// How it is set and loaded.
    fn setting(&self, load: Load) -> String;
    /// Which version is on this machine.
    fn find(&self) -> Result<String, Missing>;
    /// Starts it in an empty folder, loads it for so long, and stops it. Whoever drops this stops
    /// it too.
    fn run<'a>(&'a self, load: Load, folder: &'a Path, time: Duration) -> Running<'a>;
}
