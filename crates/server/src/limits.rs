//! What one caller may ask of the server, all in one place. The most commands of a batch is a rule
//! of the API: `bergulir_proto::wire::MAX_BATCH_ITEMS`.

use std::time::Duration;

/// The longest message that is taken. What is longer is refused with `MESSAGE_TOO_LARGE`.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Calls of one connection at a time; HTTP/2 makes a client wait with more.
pub const MAX_CALLS_PER_CONNECTION: u32 = 1_024;
/// Streams of records (`ReadRecords` and `Subscribe`) of the whole server at a time. What is more
/// is refused with `TOO_MANY_STREAMS`.
pub const MAX_STREAMS: usize = 256;
/// Streams of commands (`SubmitStream`) of the whole server at a time. What is more is refused with
/// `TOO_MANY_STREAMS`.
pub const MAX_COMMAND_STREAMS: usize = 256;
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
/// How often a connection that says nothing is asked whether it is still there, and how long it may
/// take to answer: else a dead peer would hold its streams for ever.
pub const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
/// See [`KEEPALIVE_EVERY`].
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long no connection is taken after one could not be, as when there are no file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Tiles and bundles that are read at a time for callers over HTTP; more wait. A bundle has up to
/// 16 MiB.
pub const MAX_FILES_READ: usize = 16;
