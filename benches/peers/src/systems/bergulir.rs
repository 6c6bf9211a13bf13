//! Bergulir itself: `bergulir bench`, which starts a server of its own and checks what it did.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::failure::Failure;
use crate::load::Measured;
use crate::process::{Process, program, version};
use crate::system::{Load, Missing, Running, System};

const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/release/bergulir");

pub struct Bergulir {
    program: Option<PathBuf>,
}

impl Bergulir {
    pub fn new(named: Option<PathBuf>) -> Bergulir {
        let candidates =
            named.map_or_else(|| vec![CHECKOUT.into(), "bergulir".into()], |at| vec![at]);
        Bergulir { program: program(&candidates) }
    }

    fn program(&self) -> Result<&Path, Missing> {
        self.program.as_deref().ok_or_else(|| Missing {
            what: "Bergulir is not built".to_owned(),
            install: "cargo build --release, or name it with --bergulir".to_owned(),
        })
    }
}

/// What the bench says, as far as it is compared.
#[derive(Debug, Deserialize)]
struct Said {
    events: u64,
    seconds: f64,
    p50_us: u64,
    p99_us: u64,
    verified: Option<bool>,
}

impl System for Bergulir {
    fn name(&self) -> &'static str {
        "bergulir"
    }

    fn title(&self) -> &'static str {
        "Bergulir"
    }

    fn checks(&self) -> &'static str {
        "all rules of the trade, duplicates of id and bank reference for ever, hash chain, Merkle \
         tree, balances now and as of any past point"
    }

    fn setting(&self, load: Load) -> String {
        match load {
            Load::Batch => "gRPC, 4 batches in flight on 1 connection",
            Load::Single => "gRPC, 64 calls in flight on 4 connections",
        }
        .to_owned()
    }

    fn find(&self) -> Result<String, Missing> {
        version(self.program()?).ok_or_else(|| Missing {
            what: "what was named as Bergulir cannot be run".to_owned(),
            install: "cargo build --release, or name it with --bergulir".to_owned(),
        })
    }

    fn run<'a>(&'a self, load: Load, folder: &'a Path, time: Duration) -> Running<'a> {
        Box::pin(async move {
            let program =
                self.program().map_err(|missing| Failure::Refused(missing.to_string()))?;
            let mode: &[&str] = match load {
                Load::Batch => &["--mode", "batch", "--batch", "1000", "--in-flight", "4"],
                Load::Single => &["--mode", "unary", "--in-flight", "64", "--connections", "4"],
            };
            let output = folder.join("said");
            let mut command = Command::new(program);
            command
                .args(["bench", "--json"])
                .args(mode)
                // The peers get no retries and nothing to refuse.
                .args(["--retries-per-mille", "0", "--refusals-per-mille", "0"])
                .args(["--seconds", &time.as_secs().to_string()])
                .env("TMPDIR", folder);
            let mut process =
                Process::start("bergulir", &mut command, folder, Some(File::create(&output)?))?;
            process.finished().await?;
            let said: Said = serde_json::from_str(&std::fs::read_to_string(&output)?)?;
            if said.verified != Some(true) {
                return Err(Failure::Refused("its log was not verified".to_owned()));
            }
            let Said { events, seconds, p50_us, p99_us, .. } = said;
            Ok(Measured { events, seconds, p50_us, p99_us })
        })
    }
}
