//! The file of the configuration is followed like those of keys: what can change while a server runs
//! holds at once, and what cannot is named.

use crate::access::{Grants, Rights};
use crate::config::{Config, Loaded, SETTINGS};
use crate::files::{FileError, Followed, Source};
use bergulir_domain::PrincipalId;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
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

/// Follows the file. The grants of it are in force from here on.
pub(crate) fn follow(file: ConfigFile, rights: Arc<Rights>) -> Result<Followed<()>, FileError> {
    let ConfigFile { path, read } = file;
    let sources = vec![Source::public(&path)];
    let started = OnceLock::new();
    Followed::new("configuration", sources, move |contents| {
        let text = std::str::from_utf8(&contents[0])
            .map_err(|_| FileError::wrong(&path, "must be UTF-8"))?;
        let loaded = read(text);
        if !loaded.problems.is_empty() {
            return Err(FileError::wrong(&path, &loaded.all_problems()));
        }
        let grants = loaded.config.grants.clone().map(Grants::new).transpose();
        let changed = rights.set(grants.map_err(|error| FileError::wrong(&path, &error))?);
        if let Err(now) = started.set(loaded.config) {
            let started = started.get().unwrap_or(&now);
            tell(&changed, &need_restart(started, &now));
        }
        Ok(())
    })
}

/// The settings that are not as they were at the start. Lists of tables are none of them.
fn need_restart(started: &Config, now: &Config) -> Vec<&'static str> {
    let changed = SETTINGS.iter().filter(|setting| setting.shown(started) != setting.shown(now));
    changed.map(|setting| setting.name).collect()
}

fn tell(changed: &[PrincipalId], need_restart: &[&str]) {
    if !changed.is_empty() {
        let names: Vec<&str> = changed.iter().take(NAMES_TOLD).map(PrincipalId::as_str).collect();
        tracing::info!(count = changed.len(), who = names.join(" "), "grants changed");
    }
    if !need_restart.is_empty() {
        tracing::warn!(
            settings = need_restart.join(" "),
            "the configuration has settings that are not those of the start: they hold from the next \
             start on"
        );
    }
}
