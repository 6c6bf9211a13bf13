//! The file of the configuration is followed like those of keys: what can change while a server runs
//! holds at once, and what cannot is named.

use crate::access::{Grants, Rights};
use crate::config::{Config, Loaded, PRINCIPALS, SETTINGS};
use crate::files::{FileError, Followed, Source};
use crate::quotas::Quotas;
use bergulir_domain::PrincipalId;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// So many names are told in the log when grants change.
const NAMES_TOLD: usize = 20;

/// Where the configuration lies, and how it is read: flags and variables go before it, which only
/// whoever started the server knows.
#[derive(Clone)]
pub struct ConfigFile {
    /// The file.
    pub path: PathBuf,
    /// Puts the layers together, given the text of the file.
    pub read: Arc<dyn Fn(&str) -> Loaded + Send + Sync>,
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Has a running server look at its files at once, and not only the next time.
#[derive(Debug, Clone)]
pub struct Reloader(pub(crate) watch::Sender<()>);

impl Reloader {
    /// Asks for that. What comes of it is in the log, and in the metrics.
    pub fn reload(&self) {
        self.0.send_replace(());
    }
}

/// The settings that a running server takes over, beside grants and the limits of single principals.
const TAKEN_OVER: &[&str] = &[
    "limits.principal_rate",
    "limits.principal_burst",
    "limits.principal_calls",
    "limits.principal_streams",
    "limits.rate",
    "limits.burst",
    "limits.calls",
    "limits.streams",
    "limits.command_streams",
];

/// Follows the file. The grants of it are in force from here on, and its limits when it changes: those
/// of the start are in force already.
pub(crate) fn follow(
    file: ConfigFile,
    rights: Arc<Rights>,
    quotas: Arc<Quotas>,
) -> Result<Followed<()>, FileError> {
    let ConfigFile { path, read } = file;
    let sources = vec![Source::public(&path)];
    let seen: Mutex<Option<Seen>> = Mutex::new(None);
    Followed::new("configuration", sources, move |contents| {
        let text = std::str::from_utf8(&contents[0])
            .map_err(|_| FileError::wrong(&path, "must be UTF-8"))?;
        let loaded = read(text);
        if !loaded.problems.is_empty() {
            return Err(FileError::wrong(&path, &loaded.all_problems()));
        }
        let now = loaded.config;
        let grants = now.grants.clone().map(Grants::new).transpose();
        let changed = rights.set(grants.map_err(|error| FileError::wrong(&path, &error))?);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.as_mut() {
            None => *seen = Some(Seen { started: now.clone(), last: now }),
            Some(Seen { started, last }) => {
                quotas.set(&now.limits);
                let taken = |name: &&'static str| TAKEN_OVER.contains(name);
                let mut limits: Vec<_> = differing(last, &now).filter(taken).collect();
                if last.limits.principals != now.limits.principals {
                    limits.push(PRINCIPALS);
                }
                let rest: Vec<_> = differing(started, &now).filter(|name| !taken(name)).collect();
                tell(&changed, &limits, &rest);
                *last = now;
            }
        }
        Ok(())
    })
}

/// The configuration at the start, and as it was read last.
struct Seen {
    started: Config,
    last: Config,
}

/// The settings that differ. Lists of tables are none of them.
fn differing(one: &Config, other: &Config) -> impl Iterator<Item = &'static str> {
    let differing = SETTINGS.iter().filter(|setting| setting.shown(one) != setting.shown(other));
    differing.map(|setting| setting.name)
}

fn tell(changed: &[PrincipalId], limits: &[&str], need_restart: &[&str]) {
    if !changed.is_empty() {
        let names: Vec<&str> = changed.iter().take(NAMES_TOLD).map(PrincipalId::as_str).collect();
        tracing::info!(count = changed.len(), who = names.join(" "), "grants changed");
    }
    if !limits.is_empty() {
        tracing::info!(settings = limits.join(" "), "limits changed");
    }
    if !need_restart.is_empty() {
        tracing::warn!(
            settings = need_restart.join(" "),
            "the configuration has settings that are not those of the start: they hold from the next \
             start on"
        );
    }
}
