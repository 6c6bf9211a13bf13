//! Redis: a stream, each command synced to the append-only file before it is answered.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::events::{BYTES, Event};
use crate::failure::Failure;
use crate::load::{Client, drive};
use crate::process::{Process, free_port, program, version};
use crate::system::{Load, Missing, Running, System};

const BATCHES: usize = 8;
const STREAM: &str = "events";

pub struct Redis {
    program: Option<PathBuf>,
}

impl Redis {
    pub fn new() -> Redis {
        Redis { program: program(&["redis-server".into()]) }
    }

    fn program(&self) -> Result<&Path, Missing> {
        self.program.as_deref().ok_or_else(|| Missing {
            what: "Redis (redis-server) is not on this machine".to_owned(),
            install: "apt-get install redis-server".to_owned(),
        })
    }
}

impl System for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn title(&self) -> &'static str {
        "Redis stream"
    }

    fn checks(&self) -> &'static str {
        "nothing: no rules, no duplicates, no chain, no balances"
    }

    fn setting(&self, load: Load) -> String {
        let way = match load {
            Load::Batch => "8 clients, MULTI of 1,000 XADD",
            Load::Single => "64 clients, XADD",
        };
        format!("{way}, appendfsync always")
    }

    fn find(&self) -> Result<String, Missing> {
        let said = version(self.program()?).unwrap_or_default();
        Ok(said.split(' ').find_map(|word| word.strip_prefix("v=")).unwrap_or(&said).to_owned())
    }

    fn run<'a>(&'a self, load: Load, folder: &'a Path, time: Duration) -> Running<'a> {
        Box::pin(async move {
            let program =
                self.program().map_err(|missing| Failure::Refused(missing.to_string()))?;
            let port = free_port()?;
            let mut command = Command::new(program);
            command
                .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--daemonize", "no"])
                .args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""])
                // Rewriting the file beside the load would only cost it something.
                .args(["--auto-aof-rewrite-percentage", "0", "--dir"])
                .arg(folder);
            let mut process = Process::start("redis-server", &mut command, folder, None)?;
            process.listening(port).await?;
            let mut clients = Vec::new();
            for _ in 0..load.clients(BATCHES) {
                clients.push(Connection::open(port).await?);
            }
            let measured = drive(clients, load.events(), time).await?;
            let mut connection = Connection::open(port).await?;
            write_command(&mut connection.request, &[b"XLEN", STREAM.as_bytes()]);
            measured.stored(connection.call(1).await?)
        })
    }
}

/// A connection that speaks RESP 2.
struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    async fn open(port: u16) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, request: Vec::new(), answer: Vec::new() })
    }

    /// Sends what was written and reads so many answers. Gives the last number among them.
    async fn call(&mut self, answers: usize) -> Result<u64, Failure> {
        self.stream.write_all(&self.request).await?;
        self.request.clear();
        self.answer.clear();
        let mut expected = Answers { left: answers, at: 0, number: 0 };
        while !expected.complete(&self.answer)? {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(Failure::Refused("the connection was closed".to_owned()));
            }
        }
        Ok(expected.number)
    }
}

impl Client for Connection {
    async fn send(&mut self, events: &[Event]) -> Result<(), Failure> {
        let is_batch = events.len() > 1;
        if is_batch {
            write_command(&mut self.request, &[b"MULTI"]);
        }
        for event in events {
            let bytes: [u8; BYTES] = event.bytes();
            write_command(&mut self.request, &[b"XADD", STREAM.as_bytes(), b"*", b"e", &bytes]);
        }
        if is_batch {
            write_command(&mut self.request, &[b"EXEC"]);
        }
        // Of a batch: one for MULTI, one for each that is queued, one for EXEC.
        self.call(if is_batch { events.len() + 2 } else { 1 }).await?;
        Ok(())
    }
}

fn write_command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    write_length(out, b'*', parts.len());
    for part in parts {
        write_length(out, b'$', part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_length(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut left = length;
    loop {
        first -= 1;
        digits[first] = b"0123456789"[left % 10];
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
    out.extend_from_slice(b"\r\n");
}

/// How many answers are still to come, and how far those that came were read.
struct Answers {
    left: usize,
    at: usize,
    number: u64,
}

impl Answers {
    /// Reads on. `true` once all are there; an error is that of the server.
    fn complete(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        while self.left > 0 {
            let rest = &bytes[self.at..];
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return Ok(false);
            };
            let line = rest[..end].trim_ascii_end();
            let words = || String::from_utf8_lossy(line).into_owned();
            let (kind, value) = line.split_first().ok_or_else(|| Failure::Refused(words()))?;
            let number = || str::from_utf8(value).ok().and_then(|value| value.parse::<u64>().ok());
            let mut next = self.at + end + 1;
            match kind {
                b'+' => {}
                b':' => self.number = number().ok_or_else(|| Failure::Refused(words()))?,
                b'$' => {
                    let length = number().ok_or_else(|| Failure::Refused(words()))?;
                    next += usize::try_from(length).unwrap_or(usize::MAX - next - 2) + 2;
                    if next > bytes.len() {
                        return Ok(false);
                    }
                }
                b'*' => {
                    let count = number().ok_or_else(|| Failure::Refused(words()))?;
                    self.left += usize::try_from(count).unwrap_or(usize::MAX - self.left);
                }
                _ => return Err(Failure::Refused(words())),
            }
            self.at = next;
            self.left -= 1;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_complete_with_their_last_byte() {
        let bytes = b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$3\r\n1-0\r\n$3\r\n1-1\r\n";
        for cut in 0..=bytes.len() {
            let mut answers = Answers { left: 4, at: 0, number: 0 };
            assert_eq!(answers.complete(&bytes[..cut]).unwrap(), cut == bytes.len(), "{cut}");
            // What came later is read on.
            assert!(answers.complete(bytes).unwrap());
        }
    }

    #[test]
    fn a_number_and_an_error_are_told() {
        let mut answers = Answers { left: 1, at: 0, number: 0 };
        assert!(answers.complete(b":1234\r\n").unwrap());
        assert_eq!(answers.number, 1_234);
        let mut answers = Answers { left: 1, at: 0, number: 0 };
        assert!(answers.complete(b"-MISCONF no disk\r\n").is_err());
    }

    #[test]
    fn a_command_is_written_as_resp() {
        let mut out = Vec::new();
        write_command(&mut out, &[b"XADD", b"0123456789"]);
        assert_eq!(out, b"*2\r\n$4\r\nXADD\r\n$10\r\n0123456789\r\n");
    }
}
