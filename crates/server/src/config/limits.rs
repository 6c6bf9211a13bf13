//! How much callers may ask for, as it is configured.

use super::Config;
use super::settings::{Names, Setting, Shape, text};
use crate::limits::{Limits, PrincipalLimits};
use bergulir_domain::PrincipalId;
use bergulir_proto::wire::MAX_BATCH_ITEMS;
use serde::Deserialize as _;
use serde::de::Error as _;
use std::ffi::OsString;
use std::fmt::Display;
use toml::Spanned;
use toml::de::{DeValue, Error, ValueDeserializer};

/// A limit that there may be none of, which is written as 0.
fn zero_is_none<T: Display>(limit: Option<T>) -> Vec<OsString> {
    limit.map_or_else(|| text(&0), |limit| text(&limit))
}

/// A limit: its names, what it counts, what it means, and its field, in which 0 is none, or which is a
/// number within a range.
macro_rules! limit {
    ($name:literal, $flag:literal, $variable:literal, $unit:literal, $help:literal, 0 is none, $field:ident) => {
        limit!(@ $name, $flag, $variable, $unit, $help,
            |config, given| given
                .number(0..=1_000_000_000)
                .map(|n| config.limits.$field = (n > 0).then_some(n)),
            |config| zero_is_none(config.limits.$field), "")
    };
    ($name:literal, $flag:literal, $variable:literal, $unit:literal, $help:literal, $range:expr, $field:ident) => {
        limit!(@ $name, $flag, $variable, $unit, $help,
            |config, given| given.number($range).map(|n| config.limits.$field = n),
            |config| text(&config.limits.$field), "")
    };
    (@ $name:literal, $flag:literal, $variable:literal, $unit:literal, $help:literal, $read:expr, $shown:expr, $absent:literal) => {
        Setting {
            name: $name,
            flag: $flag,
            variable: $variable,
            shape: Shape::Number,
            names: Names::Nothing,
            placeholder: $unit,
            help: $help,
            absent: $absent,
            read: $read,
            shown: $shown,
        }
    };
}

pub(super) const PRINCIPAL_RATE: Setting = limit!(
    "limits.principal_rate",
    "limits-principal-rate",
    "BERGULIR_LIMITS_PRINCIPAL_RATE",
    "COMMANDS",
    "How many commands a second one principal may ask for; each call counts as one, each command of \
     a batch or a stream too; 0: any number",
    0 is none,
    principal_rate
);

pub(super) const PRINCIPAL_BURST: Setting = limit!(
    @ "limits.principal_burst",
    "limits-principal-burst",
    "BERGULIR_LIMITS_PRINCIPAL_BURST",
    "COMMANDS",
    "How many of them may come at once after a rest",
    |config, given| given.number(1..=1_000_000_000).map(|n| config.limits.principal_burst = Some(n)),
    |config| config.limits.principal_burst.iter().flat_map(text).collect(),
    "those of a second"
);

pub(super) const PRINCIPAL_CALLS: Setting = limit!(
    "limits.principal_calls",
    "limits-principal-calls",
    "BERGULIR_LIMITS_PRINCIPAL_CALLS",
    "N",
    "How many calls of one principal may be under way, streams aside; 0: any number",
    0 is none,
    principal_calls
);

pub(super) const PRINCIPAL_STREAMS: Setting = limit!(
    "limits.principal_streams",
    "limits-principal-streams",
    "BERGULIR_LIMITS_PRINCIPAL_STREAMS",
    "N",
    "How many streams of any kind one principal may have open; 0: any number",
    0 is none,
    principal_streams
);

pub(super) const RATE: Setting = limit!(
    "limits.rate",
    "limits-rate",
    "BERGULIR_LIMITS_RATE",
    "COMMANDS",
    "How many commands a second all callers together may ask for, counted in the same way; 0: any \
     number",
    0 is none,
    rate
);

pub(super) const BURST: Setting = limit!(
    @ "limits.burst",
    "limits-burst",
    "BERGULIR_LIMITS_BURST",
    "COMMANDS",
    "How many of them may come at once after a rest",
    |config, given| given.number(1..=1_000_000_000).map(|n| config.limits.burst = Some(n)),
    |config| config.limits.burst.iter().flat_map(text).collect(),
    "those of a second"
);

pub(super) const CALLS: Setting = limit!(
    "limits.calls",
    "limits-calls",
    "BERGULIR_LIMITS_CALLS",
    "N",
    "How many calls of all callers may be under way, streams aside; 0: any number",
    0 is none,
    calls
);

pub(super) const STREAMS: Setting = limit!(
    "limits.streams",
    "limits-streams",
    "BERGULIR_LIMITS_STREAMS",
    "N",
    "How many streams of records (ReadRecords, Subscribe, ReadBackup) all callers may have open; 0: \
     any number",
    0 is none,
    streams
);

pub(super) const COMMAND_STREAMS: Setting = limit!(
    "limits.command_streams",
    "limits-command-streams",
    "BERGULIR_LIMITS_COMMAND_STREAMS",
    "N",
    "How many streams of commands (SubmitStream) all callers may have open; 0: any number",
    0 is none,
    command_streams
);

pub(super) const CONNECTIONS: Setting = limit!(
    "limits.connections",
    "limits-connections",
    "BERGULIR_LIMITS_CONNECTIONS",
    "N",
    "How many connections may be open; what is more is closed at once",
    1..=1_000_000,
    connections
);

pub(super) const MESSAGE_BYTES: Setting = limit!(
    "limits.message_bytes",
    "limits-message-bytes",
    "BERGULIR_LIMITS_MESSAGE_BYTES",
    "BYTES",
    "The longest message that is taken",
    65_536..=67_108_864,
    message_bytes
);

pub(super) const BATCH_COMMANDS: Setting = limit!(
    "limits.batch_commands",
    "limits-batch-commands",
    "BERGULIR_LIMITS_BATCH_COMMANDS",
    "COMMANDS",
    "The most commands of a batch, or of a message of a stream; 10000 at most",
    1..=MAX_BATCH_ITEMS,
    batch_commands
);

pub(super) const MEMORY_BYTES: Setting = limit!(
    "limits.memory_bytes",
    "limits-memory-bytes",
    "BERGULIR_LIMITS_MEMORY_BYTES",
    "BYTES",
    "How many bytes of messages may be on their way in or worked on, and of answers not be taken yet, of \
     all callers",
    1_048_576..=1_099_511_627_776,
    memory_bytes
);

pub(super) const CONNECTION_MEMORY_BYTES: Setting = limit!(
    "limits.connection_memory_bytes",
    "limits-connection-memory-bytes",
    "BERGULIR_LIMITS_CONNECTION_MEMORY_BYTES",
    "BYTES",
    "The same of the calls of one connection",
    65_536..=1_099_511_627_776,
    connection_memory_bytes
);

pub(super) const CALL_SECONDS: Setting = limit!(
    "limits.call_seconds",
    "limits-call-seconds",
    "BERGULIR_LIMITS_CALL_SECONDS",
    "SECONDS",
    "The longest that a call may take, streams aside, whatever deadline its caller sets; 0: for ever",
    0 is none,
    call_seconds
);

pub(super) const MESSAGE_SECONDS: Setting = limit!(
    "limits.message_seconds",
    "limits-message-seconds",
    "BERGULIR_LIMITS_MESSAGE_SECONDS",
    "SECONDS",
    "The longest that a message may be on its way in; 0: for ever",
    0 is none,
    message_seconds
);

pub(super) const ANSWER_SECONDS: Setting = limit!(
    "limits.answer_seconds",
    "limits-answer-seconds",
    "BERGULIR_LIMITS_ANSWER_SECONDS",
    "SECONDS",
    "After how long a call ends whose caller takes nothing of its answer; 0: never",
    0 is none,
    answer_seconds
);

/// The part of the file that has the limits of single principals.
pub const PRINCIPALS: &str = "limits.principals";

/// The most of a limit.
const MOST: u32 = 1_000_000_000;

/// Reads the limits of single principals: a table of each, under its name.
pub(super) fn principals(config: &mut Config, value: Spanned<DeValue<'_>>) -> Vec<Error> {
    let DeValue::Table(table) = value.into_inner() else {
        let why = "takes a table of each principal: write [limits.principals.\"NAME\"]";
        return vec![Error::custom(why)];
    };
    let mut errors = Vec::new();
    for (name, value) in table {
        let name = name.get_ref();
        let principal = PrincipalId::new(name)
            .map_err(|error| Error::custom(format!("{name:?} cannot be a principal: it {error}")));
        let own = PrincipalLimits::deserialize(ValueDeserializer::from(value));
        let read = principal.and_then(|principal| {
            let own = own?;
            let PrincipalLimits { rate, burst, calls, streams } = own;
            let numbers =
                [("rate", rate), ("burst", burst), ("calls", calls), ("streams", streams)];
            for (key, number) in numbers {
                let least = u32::from(key == "burst");
                if number.is_some_and(|number| !(least..=MOST).contains(&number)) {
                    let why = format!("{name}: {key} is a whole number from {least} to {MOST}");
                    return Err(Error::custom(why));
                }
            }
            Ok((principal, own))
        });
        match read {
            Ok((principal, own)) => {
                config.limits.principals.insert(principal, own);
            }
            Err(error) => errors.push(error),
        }
    }
    errors
}

impl Limits {
    /// What is wrong with them together.
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        for (name, burst, rate, of) in [
            ("limits.principal_burst", self.principal_burst, self.principal_rate, "principal_rate"),
            ("limits.burst", self.burst, self.rate, "rate"),
        ] {
            if burst.is_some() && rate.is_none() {
                let why =
                    format!("there is no limits.{of} that it would be a burst of: set that too");
                problems.push((name, why));
            }
        }
        for (principal, own) in &self.principals {
            if own.burst.is_some() && self.of(Some(principal)).rate == 0 {
                let why =
                    format!("{principal} has a burst and no rate that it would be a burst of");
                problems.push((PRINCIPALS, why));
            }
        }
        for (name, least, part, of) in [
            (
                "limits.connection_memory_bytes",
                self.message_bytes,
                self.connection_memory_bytes,
                "message_bytes",
            ),
            (
                "limits.memory_bytes",
                self.connection_memory_bytes,
                self.memory_bytes,
                "connection_memory_bytes",
            ),
        ] {
            if part < least {
                problems.push((name, format!("must be {least} at least, which is limits.{of}")));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Layers, PRINCIPALS, load};
    use crate::limits::Most;
    use bergulir_domain::PrincipalId;
    use std::ffi::OsString;
    use std::path::Path;

    #[test]
    fn zero_is_no_limit_where_there_may_be_none() {
        let text =
            "data = \"/d\"\n[limits]\nprincipal_rate = 100\nprincipal_calls = 0\nstreams = 7\n";
        let file = Some((Path::new("/etc/b.toml"), text));
        let loaded = load(Layers { file, ..Layers::default() });
        assert_eq!(loaded.problems, []);
        let limits = &loaded.config.limits;
        assert_eq!(limits.principal_rate, Some(100));
        assert_eq!((limits.principal_calls, limits.streams), (None, Some(7)));
        let shown = |name| super::super::Setting::find(name).unwrap().shown(&loaded.config);
        assert_eq!(shown("limits.principal_calls"), [OsString::from("0")]);
        assert_eq!(shown("limits.streams"), [OsString::from("7")]);
    }

    #[test]
    fn one_principal_may_have_limits_of_its_own() {
        let text = "data = \"/d\"\n[limits]\nprincipal_rate = 100\nprincipal_burst = 7\n\
                    principal_calls = 5\n[limits.principals.\"sipd.go.id\"]\nrate = 9000\n\
                    [limits.principals.a]\ncalls = 0\nstreams = 2\n";
        let file = Some((Path::new("/etc/b.toml"), text));
        let loaded = load(Layers { file, ..Layers::default() });
        assert_eq!(loaded.problems, []);
        let of = |name: Option<&str>| {
            let name = name.map(|name| PrincipalId::new(name).unwrap());
            let Most { rate, burst, calls, streams } = loaded.config.limits.of(name.as_ref());
            (rate, burst, calls, streams)
        };
        assert_eq!(of(Some("sipd.go.id")), (9_000, None, 5, 128));
        assert_eq!(of(Some("a")), (100, Some(7), 0, 2));
        assert_eq!(of(Some("b")), (100, Some(7), 5, 128));
        assert_eq!(of(None), of(Some("b")));
        assert_eq!(loaded.origin(PRINCIPALS).to_string(), "/etc/b.toml:6");
        for (text, expected) in [
            (
                "[limits.principals.a]\nrat = 1\n",
                "/etc/b.toml:3: [limits.principals]: unknown field",
            ),
            ("[limits.principals.a]\nrate = -1\n", "/etc/b.toml:3: [limits.principals]: invalid"),
            ("[limits.principals.a]\nrate = 1.5\n", "/etc/b.toml:3: [limits.principals]: invalid"),
            ("[limits.principals.a]\nrate = 1000000001\n", "a: rate is a whole number from 0 to"),
            ("[limits.principals.a]\nrate = 1\nburst = 0\n", "a: burst is a whole number from 1"),
            ("[limits.principals.a]\nburst = 5\n", "a has a burst and no rate"),
            ("[limits.principals.\"a b\"]\nrate = 1\n", "\"a b\" cannot be a principal"),
            ("[limits]\nprincipals = 5\n", "a table of each principal"),
            ("[[limits.principals]]\nrate = 5\n", "a table of each principal"),
            ("[limits.principal.a]\nrate = 5\n", "did you mean `limits.principals`?"),
        ] {
            let text = format!("data = \"/d\"\n{text}");
            let file = Some((Path::new("/etc/b.toml"), &*text));
            let loaded = load(Layers { file, ..Layers::default() });
            let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
            assert!(problems.len() == 1 && problems[0].contains(expected), "{text}: {problems:?}");
        }
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for (line, expected) in [
            ("connections = 0", "from 1 to"),
            ("batch_commands = 10001", "from 1 to 10000"),
            ("message_bytes = 1000", "from 65536 to"),
            ("principal_rate = -1", "from 0 to"),
            ("principal_burst = 5", "limits.principal_rate"),
            ("burst = 5", "limits.rate"),
            ("connection_memory_bytes = 70000", "limits.message_bytes"),
            ("memory_bytes = 2000000", "limits.connection_memory_bytes"),
        ] {
            let text = format!("data = \"/d\"\n[limits]\n{line}\n");
            let file = Some((Path::new("/etc/b.toml"), &*text));
            let loaded = load(Layers { file, ..Layers::default() });
            let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
            assert!(problems.len() == 1 && problems[0].contains(expected), "{line}: {problems:?}");
        }
    }
}
