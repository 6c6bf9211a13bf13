//! One witness, over HTTP (C2SP `tlog-witness`): it is sent a checkpoint with the proof that this
//! one continues what the witness saw last, and answers with its cosignature.

use bergulir_chain::LogSize;
use bergulir_chain::note::{Note, Signature, VerifierKey};
use bergulir_chain::policy::Witness;
use bergulir_chain::witness::{ADD_CHECKPOINT_PATH, AddCheckpoint, parse_cosignatures};
use crossbeam_channel::{Receiver, bounded};
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;

/// How long a witness may take to be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a witness may take from being asked to having answered.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(8);

/// The most bytes of an answer: some signatures, or a sentence.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// What is said of a witness that takes longer than it is waited for.
const NO_ANSWER: &str = "it did not answer in time";

/// The longest part of a witness's own words that is told on.
const MAX_WORDS: usize = 200;

/// Why a witness of a policy cannot be asked.
#[derive(Debug, Error)]
#[error(
    "the witness {name} of the policy cannot be asked at {url:?}: {why}; give it an address such \
     as https://witness.example.org/, or none if others collect its cosignatures"
)]
pub struct UnusableWitness {
    name: String,
    url: String,
    why: String,
}

/// How to reach a witness of a policy.
#[derive(Debug)]
pub(crate) struct Client {
    name: String,
    key: VerifierKey,
    url: String,
    agent: ureq::Agent,
}

/// How long to wait for a witness, whatever the transport does: a request is left behind in a
/// thread of its own, which holds nothing of the ledger.
pub(crate) trait Patience: Sync {
    /// Waits for an answer; `None` if it takes too long.
    fn wait<T>(&self, answer: &Receiver<T>) -> Option<T>;
}

/// Until then, and no longer.
impl Patience for Instant {
    fn wait<T>(&self, answer: &Receiver<T>) -> Option<T> {
        answer.recv_deadline(*self).ok()
    }
}

/// What a witness says to a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its cosignature, checked.
    Cosigned(Signature),
    /// It saw a log of another size last than was stated.
    Knows(LogSize),
    /// The checkpoint does not continue what it saw.
    Forked,
    /// It does not cosign for another reason, in words.
    Refused(String),
}

impl Client {
    /// The client of a witness; `None` if the policy does not say where it is.
    ///
    /// # Errors
    /// If what the policy says is no address of HTTP.
    pub(crate) fn of(witness: &Witness) -> Result<Option<Client>, UnusableWitness> {
        let Some(prefix) = witness.url.as_deref() else { return Ok(None) };
        check_address(prefix).map_err(|why| UnusableWitness {
            name: witness.name.clone(),
            url: prefix.to_owned(),
            why,
        })?;
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent("bergulir")
            .build();
        Ok(Some(Client {
            name: witness.name.clone(),
            key: witness.key.clone(),
            url: format!("{}/{ADD_CHECKPOINT_PATH}", prefix.trim_end_matches('/')),
            agent: config.new_agent(),
        }))
    }

    /// What the policy calls it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it cosigned a note.
    pub(crate) fn cosigned(&self, note: &Note) -> bool {
        note.verify([&self.key]).is_ok()
    }

    /// Has the witness look at a checkpoint, and waits as long as `patience` says.
    ///
    /// # Errors
    /// In words, if it cannot be reached, does not answer in time, or its answer cannot be read.
    pub(crate) fn ask(
        self: &Arc<Self>,
        request: AddCheckpoint,
        patience: &impl Patience,
    ) -> Result<Verdict, String> {
        let (reply, answer) = bounded(1);
        let client = Arc::clone(self);
        let asking = move || {
            // Nobody waits any more if it took too long.
            let _ = reply.send(client.exchange(&request));
        };
        let asked = std::thread::Builder::new().name("witness".to_owned()).spawn(asking);
        asked.map_err(|error| format!("no thread could be started to ask it: {error}"))?;
        patience.wait(&answer).unwrap_or_else(|| Err(NO_ANSWER.to_owned()))
    }

    fn exchange(&self, request: &AddCheckpoint) -> Result<Verdict, String> {
        let sent = self.agent.post(&self.url).send(request.to_string());
        let mut response = sent.map_err(|error| error.to_string())?;
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
        let body = body.map_err(|error| error.to_string())?;
        let words = || {
            let words = String::from_utf8_lossy(&body);
            words.trim().chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect::<String>()
        };
        match response.status().as_u16() {
            200 => self.cosignature(&body, &request.checkpoint).map(Verdict::Cosigned),
            409 => match size(&body) {
                Some(known) if known != request.old => Ok(Verdict::Knows(known)),
                // It saw another tree of that very size.
                Some(_) | None => Ok(Verdict::Forked),
            },
            422 => Ok(Verdict::Forked),
            status => Ok(Verdict::Refused(format!("it answers with status {status}: {}", words()))),
        }
    }

    /// The witness's own signature among those that it answered with.
    fn cosignature(&self, body: &[u8], checkpoint: &Note) -> Result<Signature, String> {
        let given = parse_cosignatures(body).map_err(|error| error.to_string())?;
        let own = given.into_iter().find(|signature| self.key.is_of(signature));
        let own = own.ok_or("its answer has no signature of the key that the policy names")?;
        let mut note = checkpoint.clone();
        note.add(own.clone()).map_err(|error| error.to_string())?;
        note.verify([&self.key]).map_err(|error| error.to_string())?;
        Ok(own)
    }
}

/// Says in words why a witness cannot be asked at an address.
fn check_address(address: &str) -> Result<(), String> {
    let uri: ureq::http::Uri = address.parse().map_err(|error| format!("{error}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(other) => return Err(format!("{other} is neither http nor https")),
        None => return Err("it does not begin with http:// or https://".to_owned()),
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or("it names no host")?;
    let whole = match uri.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    if uri.authority().is_none_or(|authority| authority.as_str() != whole) {
        return Err(
            "it must have a host and perhaps a port up to 65535, and no name of a user".into()
        );
    }
    if address.contains(['?', '#']) {
        return Err("a path is appended to it, so that it can have no query".to_owned());
    }
    Ok(())
}

/// A size on a line of its own.
fn size(body: &[u8]) -> Option<LogSize> {
    let text = std::str::from_utf8(body).ok()?;
    let digits = text.strip_suffix('\n').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(LogSize::new))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_is_asked_over_http_only() {
        for address in [
            "http://w.example",
            "https://w.example/a/b/",
            "http://127.0.0.1:7449",
            "http://[::1]:1/",
        ] {
            assert_eq!(check_address(address), Ok(()), "{address}");
        }
        for address in [
            "ftp://w.example/",
            "file:///etc/passwd",
            "w.example",
            "w.example:80/a",
            "/add",
            "http://",
            "http:///a",
            "http://w.example:99999/",
            "http://w example/",
            "http://user:secret@w.example/",
            "http://w.example/?a",
            "http://w.example/#a",
            "",
        ] {
            assert!(check_address(address).is_err(), "{address}");
        }
    }

    #[test]
    fn a_size_is_digits_on_a_line() {
        assert_eq!([size(b"5\n"), size(b"5")], [Some(LogSize::new(5)); 2]);
        for other in ["", "\n", "+5\n", "-5\n", "5 \n", "5\n\n", "99999999999999999999\n"] {
            assert_eq!(size(other.as_bytes()), None, "{other:?}");
        }
    }
}
