//! What callers may ask of the server, all in one place: what is fixed, and in [`Limits`] what an
//! operator sets.

use bergulir_domain::PrincipalId;
use bergulir_proto::wire::MAX_BATCH_ITEMS;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest message that is taken if nothing else is set. What is longer is refused with
/// `MESSAGE_TOO_LARGE`.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// The longest header of a call, token included. What is longer ends the call, or the connection.
pub const MAX_HEADER_BYTES: u32 = 16 << 10;
/// What a client may send of one call before it is read.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What a client may send of all calls of a connection before it is read.
pub const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// The longest frame that a client may send. A batch comes in few of them; what has come of one is
/// kept until it is whole, before it is known whose it is.
pub const MAX_FRAME_BYTES: u32 = 64 << 10;
/// What is kept of the answer to one call while its caller does not read.
pub const MAX_UNREAD_ANSWER_BYTES: usize = 512 << 10;
/// Calls of a connection that its client gave up, or began wrongly, and that are still to be cleared
/// away. With more the connection ends: a client that begins calls only to drop them costs nothing.
pub const MAX_RESET_CALLS: usize = 32;
/// The longest bearer token.
pub const MAX_TOKEN_BYTES: usize = 8 << 10;
/// By how much the clocks of those who issue tokens and of this server may differ.
pub const TOKEN_LEEWAY: Duration = Duration::from_secs(30);
/// The longest file of certificates or keys.
pub const MAX_ACCESS_FILE_BYTES: u64 = 1 << 20;
/// Calls of one connection at a time; HTTP/2 makes a client wait with more.
pub const MAX_CALLS_PER_CONNECTION: u32 = 1_024;
/// So many principals are kept apart, those who called of late. With more those who come last share
/// what one of them may ask for: whoever makes up names takes no more memory than this.
pub const MAX_PRINCIPALS: usize = 16_384;
/// How often it is looked who of them asks for nothing any more, when there are so many.
pub const PRINCIPALS_SWEPT_EVERY: Duration = Duration::from_secs(1);
/// When a caller that has as many calls under way as it may should try again.
pub const RETRY_AFTER_CALLS: Duration = Duration::from_millis(100);
/// When one that has as many streams open as it may should.
pub const RETRY_AFTER_STREAMS: Duration = Duration::from_secs(1);
/// When one for whose message there is no memory should.
pub const RETRY_AFTER_MEMORY: Duration = Duration::from_millis(250);
/// A message of a call that is no longer is not counted as memory: how many calls may be under way
/// bounds that, and most commands are such messages.
pub const SMALL_MESSAGE_BYTES: usize = 4 << 10;
/// Answers are given to HTTP/2 in pieces of this length; a caller who takes none in
/// [`Limits::answer_seconds`] does not read.
pub const ANSWER_PIECE_BYTES: usize = 32 << 10;
/// The last piece of a longer answer is no longer. It is what may lie in HTTP/2 for a call that is over.
pub const ANSWER_TAIL_BYTES: usize = 4 << 10;
/// How often it is looked whether the caller of a stream that rests may still have it.
pub const STILL_HOLDS_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked how long calls wait.
pub const TICK: Duration = Duration::from_secs(1);
/// Pieces of work of one stream of commands that are decided at a time: a message each, or short
/// ones together, see [`STREAM_JOINED_COMMANDS`]. With more the server reads no further.
pub const MAX_STREAM_IN_FLIGHT: usize = 8;
/// Messages of a stream that have arrived and take each command by itself become one piece of work
/// until that has so many commands.
pub const STREAM_JOINED_COMMANDS: usize = 1_000;
/// How long a stop waits, without reading on, before it ends a stream of commands. What the caller
/// was sending comes to rest in that time: a connection that is closed against it would break on
/// the caller's side before the caller has read its last answers.
pub const STREAM_STOP_PAUSE: Duration = Duration::from_millis(500);
/// Rows of a page if the caller does not say.
pub const DEFAULT_PAGE: usize = 100;
/// The most rows of a page; more is taken as this.
pub const MAX_PAGE: usize = 1_000;
/// The most names of one `BatchGetBalances`, and of each part of a `RecordFilter`.
pub const MAX_NAMES: usize = 1_000;
/// The bytes of records that one message of a stream holds at most, a single longer record aside.
/// With the decoded events a message stays well below the 4 MiB that clients take by default.
pub const STREAM_MESSAGE_BYTES: usize = 512 << 10;
/// The most records of one message of a stream.
pub const STREAM_MESSAGE_RECORDS: usize = 2_000;
/// A subscriber whose filter lets nothing pass is told how far it has come after so many records.
pub const PROGRESS_RECORDS: u64 = 20_000;
/// And after so long, whether anything was recorded or not.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// What the server takes off a caller's deadline, or a tenth of it if that is less, so that the
/// answer still arrives.
pub const DEADLINE_MARGIN: Duration = Duration::from_millis(10);
/// How long a stop waits for connections to end. Commands take far less; this is for callers who
/// do not read what they are sent.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long no connection is taken after one could not be, as when there are no file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Tiles and bundles that are read at a time for callers over HTTP; more wait. A bundle has up to
/// 16 MiB.
pub const MAX_FILES_READ: usize = 16;

/// What an operator may set. Its defaults are the limits that hold if nothing is said; `None` is no
/// limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Commands a second that one principal may ask for. Every call that is no stream counts as one,
    /// and each further command of a batch and each command of a stream does.
    pub principal_rate: Option<u64>,
    /// So many of them may come at once after a rest; `None`: as many as in a second.
    pub principal_burst: Option<u64>,
    /// Calls of one principal under way, streams aside.
    pub principal_calls: Option<usize>,
    /// Streams of one principal, of all kinds.
    pub principal_streams: Option<usize>,
    /// What single principals may ask for instead of that.
    pub principals: BTreeMap<PrincipalId, PrincipalLimits>,
    /// Commands a second, of all principals together.
    pub rate: Option<u64>,
    /// So many of them may come at once after a rest; `None`: as many as in a second.
    pub burst: Option<u64>,
    /// Calls under way, streams aside.
    pub calls: Option<usize>,
    /// Streams of records: `ReadRecords`, `Subscribe`, `ReadBackup`.
    pub streams: Option<usize>,
    /// Streams of commands: `SubmitStream`.
    pub command_streams: Option<usize>,
    /// Connections of the whole server at a time. What is more is closed at once.
    pub connections: usize,
    /// The longest message that is taken.
    pub message_bytes: usize,
    /// The most commands of a batch, or of a message of a stream.
    pub batch_commands: usize,
    /// Bytes of messages that the server holds: those that are on their way in or are worked on, and
    /// answers that are not taken yet.
    pub memory_bytes: usize,
    /// The same of the calls of one connection.
    pub connection_memory_bytes: usize,
    /// The longest that a call may take, in seconds, streams aside.
    pub call_seconds: Option<u32>,
    /// The longest that a message may be on its way in, in seconds.
    pub message_seconds: Option<u32>,
    /// The longest that a caller may not read its answer, in seconds.
    pub answer_seconds: Option<u32>,
    /// TLS handshakes under way at a time. What is more is closed at once.
    pub handshakes: usize,
    /// TLS handshakes under way from one address, so that nobody can take the room of all.
    pub handshakes_per_address: usize,
    /// How long a TLS handshake may take, and then the first words of HTTP/2.
    pub handshake_timeout: Duration,
    /// How often a connection that says nothing is asked whether it is still there, and how long it
    /// may take to answer: else a dead peer would hold its streams for ever.
    pub keepalive_every: Duration,
    /// See [`keepalive_every`](Limits::keepalive_every).
    pub keepalive_timeout: Duration,
    /// How often the files of certificates and keys are looked at.
    pub files_every: Duration,
}

/// What one principal may ask for instead of what each may. What is not there is as for all; 0 is no
/// limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalLimits {
    /// Instead of [`principal_rate`](Limits::principal_rate).
    pub rate: Option<u32>,
    /// Instead of [`principal_burst`](Limits::principal_burst); with a `rate` of its own and without
    /// this, as many as in a second.
    pub burst: Option<u32>,
    /// Instead of [`principal_calls`](Limits::principal_calls).
    pub calls: Option<u32>,
    /// Instead of [`principal_streams`](Limits::principal_streams).
    pub streams: Option<u32>,
}

/// What one principal may ask for; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Most {
    /// Commands a second, and how many at once.
    pub(crate) rate: u64,
    pub(crate) burst: Option<u64>,
    pub(crate) calls: usize,
    pub(crate) streams: usize,
}

impl Limits {
    /// What a principal may ask for, or who has no name.
    pub(crate) fn of(&self, principal: Option<&PrincipalId>) -> Most {
        let own = principal.and_then(|principal| self.principals.get(principal));
        let PrincipalLimits { rate, burst, calls, streams } = own.copied().unwrap_or_default();
        let number = |own: u32| usize::try_from(own).unwrap_or(usize::MAX);
        let burst = match (rate, burst) {
            (_, Some(burst)) => Some(burst.into()),
            (Some(_), None) => None,
            (None, None) => self.principal_burst,
        };
        Most {
            rate: rate.map_or(self.principal_rate.unwrap_or(0), u64::from),
            burst,
            calls: calls.map_or(self.principal_calls.unwrap_or(0), number),
            streams: streams.map_or(self.principal_streams.unwrap_or(0), number),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            principal_rate: None,
            principal_burst: None,
            principal_calls: Some(8_192),
            principal_streams: Some(128),
            principals: BTreeMap::new(),
            rate: None,
            burst: None,
            calls: Some(16_384),
            streams: Some(256),
            command_streams: Some(256),
            connections: 4_096,
            message_bytes: MAX_MESSAGE_BYTES,
            batch_commands: MAX_BATCH_ITEMS,
            memory_bytes: 128 << 20,
            connection_memory_bytes: 32 << 20,
            call_seconds: Some(120),
            message_seconds: Some(60),
            answer_seconds: Some(30),
            handshakes: 1_024,
            handshakes_per_address: 128,
            handshake_timeout: Duration::from_secs(10),
            keepalive_every: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            files_every: Duration::from_secs(5),
        }
    }
}
