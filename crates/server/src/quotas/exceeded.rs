//! That somebody asks for more than there is for it: which limit, and when to come again.

use bergulir_domain::PrincipalId;
use bergulir_proto::Described;
use std::fmt;
use std::time::Duration;
use tonic::{Code, Status};

/// The limits that a caller can run into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    PrincipalRate,
    PrincipalCalls,
    PrincipalStreams,
    Rate,
    Calls,
    Streams,
    CommandStreams,
    Memory,
    ConnectionMemory,
    MessageSeconds,
}

impl Limit {
    /// The setting.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Limit::PrincipalRate => "limits.principal_rate",
            Limit::PrincipalCalls => "limits.principal_calls",
            Limit::PrincipalStreams => "limits.principal_streams",
            Limit::Rate => "limits.rate",
            Limit::Calls => "limits.calls",
            Limit::Streams => "limits.streams",
            Limit::CommandStreams => "limits.command_streams",
            Limit::Memory => "limits.memory_bytes",
            Limit::ConnectionMemory => "limits.connection_memory_bytes",
            Limit::MessageSeconds => "limits.message_seconds",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Limit::PrincipalRate | Limit::Rate => "RATE_LIMITED",
            Limit::PrincipalCalls | Limit::Calls => "TOO_MANY_CALLS",
            Limit::PrincipalStreams | Limit::Streams | Limit::CommandStreams => "TOO_MANY_STREAMS",
            Limit::Memory | Limit::ConnectionMemory => "MEMORY_LIMITED",
            Limit::MessageSeconds => "MESSAGE_TOO_SLOW",
        }
    }
}

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    All,
    One(PrincipalId),
    Connection,
    /// Of those together who said no name, or who came when there were too many names.
    Nobody,
}

/// A limit was reached. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) limit: Limit,
    /// What it is.
    pub(crate) most: u64,
    pub(crate) of: Whose,
    pub(crate) retry_after: Duration,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Whose::All => f.write_str("all callers together")?,
            Whose::Connection => f.write_str("the calls of one connection together")?,
            Whose::One(principal) => write!(f, "{principal}")?,
            Whose::Nobody => f.write_str("callers without a name of their own, together,")?,
        }
        let most = self.most;
        match self.limit {
            Limit::PrincipalRate | Limit::Rate => write!(
                f,
                " may ask for {most} commands a second, and more came: wait as long as the answer \
                 says, and send more slowly"
            ),
            Limit::PrincipalCalls | Limit::Calls => write!(
                f,
                " may have {most} calls under way at a time, and have them: wait for answers, or put \
                 commands into batches"
            ),
            Limit::PrincipalStreams | Limit::Streams => write!(
                f,
                " may have {most} streams open at a time, and have them: end one, or try again later"
            ),
            Limit::CommandStreams => write!(
                f,
                " may have {most} streams of commands open at a time, and have them: end one, or try \
                 again later"
            ),
            Limit::Memory | Limit::ConnectionMemory => write!(
                f,
                " may have messages of {most} bytes under way at a time, and this one is too much: \
                 wait for answers, and send less at a time"
            ),
            Limit::MessageSeconds => write!(
                f,
                " may take {most} seconds to send a message, and this one took longer: send it again, \
                 or less in one message"
            ),
        }
    }
}

impl Exceeded {
    pub(crate) fn status(&self) -> Status {
        let (limit, most) = (self.limit.setting(), self.most);
        let described =
            Described::new(Code::ResourceExhausted, self.limit.reason(), self.to_string())
                .with("limit", limit)
                .with("most", most);
        let described = match self.of {
            Whose::One(principal) => described.with("principal", principal),
            Whose::All | Whose::Connection | Whose::Nobody => described,
        };
        described.status_with_retry(self.retry_after)
    }
}
