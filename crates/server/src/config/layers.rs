//! Flags over environment over file over defaults.

use super::Config;
use super::file::{self, SECTIONS, Section, nearest};
use super::given::Given;
use super::settings::{SETTINGS, Setting, Shape};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Variables that begin like those of the settings and are something else: where a client sends what
/// as whom, where the file is, and what tests use.
const OTHER_VARIABLES: &[&str] = &[
    "BERGULIR_CONFIG",
    "BERGULIR_ADDRESS",
    "BERGULIR_CLIENT_CA",
    "BERGULIR_CLIENT_CERT",
    "BERGULIR_CLIENT_KEY",
    "BERGULIR_TOKEN_FILE",
    "BERGULIR_LEDGER",
    "BERGULIR_PRINCIPAL",
    "BERGULIR_KILL_ROUNDS",
    "BERGULIR_SEED",
];
/// Whatever begins so is for tests alone.
const TESTS: &str = "BERGULIR_TEST_";
const PREFIX: &str = "BERGULIR_";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag, without the dashes.
    Flag(&'static str),
    /// An environment variable.
    Variable(String),
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(flag) => write!(f, "--{flag}"),
            Origin::Variable(name) => f.write_str(name),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where; `None` if it is nowhere, since it is missing.
    pub origin: Option<Origin>,
    /// What, and what is allowed.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

/// What was set, and where.
#[derive(Debug, Default)]
pub struct Layers<'a> {
    /// The flags that were given, each with all its values.
    pub flags: Vec<(&'static Setting, Vec<OsString>)>,
    /// The whole environment; what is none of ours is passed over, and what is empty is not set.
    pub environment: Vec<(OsString, OsString)>,
    /// The file: where it is, and its text.
    pub file: Option<(&'a Path, &'a str)>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The settings. Only to be used if nothing is wrong.
    pub config: Config,
    /// Where each that was set came from, by its name.
    origins: BTreeMap<&'static str, Origin>,
    /// All that is wrong, also with what a higher layer replaces: it would hold again as soon as that
    /// is gone.
    pub problems: Vec<Problem>,
    /// What is probably not meant: variables that look like ours and are none.
    pub warnings: Vec<Problem>,
}

impl Loaded {
    /// Where the value of a setting came from.
    pub fn origin(&self, name: &str) -> Origin {
        self.origins.get(name).cloned().unwrap_or(Origin::Default)
    }

    /// All that is wrong, for one message.
    pub fn all_problems(&self) -> String {
        let many = match self.problems.as_slice() {
            [one] => return one.to_string(),
            many => many,
        };
        let mut said = format!("{} things are wrong with the configuration:", many.len());
        for problem in many {
            said.push_str("\n  ");
            said.push_str(&problem.to_string());
        }
        said
    }

    /// Adds what is wrong with the value of a setting.
    pub fn blame(&mut self, name: &str, why: String) {
        let origin = self.origins.get(name).cloned();
        self.problems.push(Problem { origin, why });
    }

    /// Says where a part of the file that is no setting begins.
    pub(super) fn found(&mut self, name: &'static str, origin: Origin) {
        self.origins.insert(name, origin);
    }

    pub(super) fn set(&mut self, setting: &'static Setting, given: &Given<'_>, origin: Origin) {
        match (setting.read)(&mut self.config, given) {
            Ok(()) => {
                self.origins.insert(setting.name, origin);
            }
            Err(why) => self.wrong(origin, format!("`{}`: {why}", setting.name)),
        }
    }

    pub(super) fn wrong(&mut self, origin: Origin, why: String) {
        self.problems.push(Problem { origin: Some(origin), why });
    }
}

/// Puts the layers together, and says all that is wrong.
pub fn load(layers: Layers<'_>) -> Loaded {
    load_with(layers, SECTIONS)
}

pub(super) fn load_with(layers: Layers<'_>, sections: &[Section]) -> Loaded {
    let mut loaded = Loaded::default();
    if let Some((path, text)) = layers.file {
        file::read(path, text, sections, &mut loaded);
    }
    for (name, value) in &layers.environment {
        variable(&mut loaded, name, value);
    }
    for (setting, values) in layers.flags {
        loaded.set(setting, &Given { values, base: None }, Origin::Flag(setting.flag));
    }
    for (name, why) in loaded.config.problems() {
        loaded.blame(name, why);
    }
    loaded
}

fn variable(loaded: &mut Loaded, name: &OsStr, value: &OsStr) {
    let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
        return;
    };
    let origin = Origin::Variable(name.to_owned());
    if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable == name) {
        if value.is_empty() {
            return;
        }
        let values = match setting.shape {
            Shape::Text | Shape::Number | Shape::Share | Shape::Switch => vec![value.to_owned()],
            Shape::List => {
                let parts = value.as_bytes().split(|byte| *byte == b',');
                parts.map(|part| OsStr::from_bytes(part).to_owned()).collect()
            }
        };
        loaded.set(setting, &Given { values, base: None }, origin);
    } else if !OTHER_VARIABLES.contains(&name) && !name.starts_with(TESTS) {
        let near = nearest(name, SETTINGS.iter().map(|setting| setting.variable));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let why = format!("no setting has this variable, so it does nothing{hint}");
        loaded.warnings.push(Problem { origin: Some(origin), why });
    }
}
