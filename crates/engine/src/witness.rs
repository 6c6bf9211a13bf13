//! One witness, over HTTP (C2SP `tlog-witness`): it is sent a checkpoint with the proof that this
//! one continues what the witness saw last, and answers with its cosignature.

use bergulir_chain::LogSize;
use bergulir_chain::note::{Note, Signature, VerifierKey};
use bergulir_chain::policy::Witness;
use bergulir_chain::witness::{ADD_CHECKPOINT_PATH, AddCheckpoint, parse_cosignatures};
use std::time::Duration;

/// How long a witness may take to be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a witness may take from being asked to having answered.
const TIMEOUT: Duration = Duration::from_secs(8);

/// The most bytes of an answer: some signatures, or a sentence.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// The longest part of a witness's own words that is told on.
const MAX_WORDS: usize = 200;

/// How to reach a witness of a policy.
#[derive(Debug)]
pub(crate) struct Client {
    name: String,
    key: VerifierKey,
    url: String,
    agent: ureq::Agent,
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
    pub(crate) fn of(witness: &Witness) -> Option<Client> {
        let prefix = witness.url.as_ref()?.trim_end_matches('/');
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent("bergulir")
            .build();
        Some(Client {
            name: witness.name.clone(),
            key: witness.key.clone(),
            url: format!("{prefix}/{ADD_CHECKPOINT_PATH}"),
            agent: config.new_agent(),
        })
    }

    /// What the policy calls it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it cosigned a note.
    pub(crate) fn cosigned(&self, note: &Note) -> bool {
        note.verify([&self.key]).is_ok()
    }

    /// Has the witness look at a checkpoint.
    ///
    /// # Errors
    /// In words, if it cannot be reached or its answer cannot be read.
    pub(crate) fn ask(&self, request: &AddCheckpoint) -> Result<Verdict, String> {
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

/// A size on a line of its own.
fn size(body: &[u8]) -> Option<LogSize> {
    let text = std::str::from_utf8(body).ok()?;
    let digits = text.strip_suffix('\n').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(LogSize::new))?
}
