//! What was given for one setting, and how it is read.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What was given for one setting: one value, or those of a list.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    pub(super) values: Vec<OsString>,
    /// What relative paths are relative to; `None`: the working directory.
    pub(super) base: Option<&'a Path>,
}

impl Given<'_> {
    /// The text of a setting that takes one value. Of several the last counts, as on every command
    /// line; for most settings there cannot be several.
    pub fn text(&self) -> Result<&str, String> {
        let value = self.values.last().map_or(OsStr::new(""), OsString::as_os_str);
        let text = value.to_str().ok_or_else(|| "must be UTF-8".to_owned())?;
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text) }
    }

    /// Something that is written as one word: `what` says what, with an example.
    pub fn parsed<T: FromStr>(&self, what: &str) -> Result<T, String> {
        let text = self.text()?;
        text.parse().map_err(|_| format!("`{text}` is not {what}"))
    }

    /// An address and a port.
    pub fn address(&self) -> Result<SocketAddr, String> {
        self.parsed("an address with a port, such as 127.0.0.1:7447 or [::1]:7447")
    }

    /// A number within a range.
    pub fn number<T>(&self, range: RangeInclusive<T>) -> Result<T, String>
    where
        T: FromStr + PartialOrd + Display,
    {
        let text = self.text()?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            format!("`{text}` is not a whole number from {} to {}", range.start(), range.end())
        })
    }

    /// A file or folder.
    pub fn path(&self) -> Result<PathBuf, String> {
        self.paths()?.pop().ok_or_else(|| "must not be empty".to_owned())
    }

    /// Files or folders.
    pub fn paths(&self) -> Result<Vec<PathBuf>, String> {
        let whole = |value: &OsString| {
            if value.is_empty() {
                return Err("a path must not be empty".to_owned());
            }
            // `join` keeps a path that is absolute as it is.
            Ok(self.base.map_or_else(|| PathBuf::from(value), |base| base.join(value)))
        };
        self.values.iter().map(whole).collect()
    }
}
