//! A ledger that writes its records as the server would, and can also be made to lie.

use std::collections::BTreeMap;

use bergulir_chain::{Authentication, Hash, Record};
use bergulir_domain::command::{BankReference, Command, Seal};
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::state::advance;
use bergulir_domain::{
    Context, Event, Header, Position, PrincipalId, State, Timestamp, decide, evolve,
};
use bergulir_proto::encode_event;
use bergulir_proto::replay::Replica;

use crate::commands::{day, id};

/// A record before it has bytes.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) recorded_at: i64,
    pub(crate) principal: String,
    pub(crate) authentication: Authentication,
    pub(crate) request_id: [u8; 16],
    pub(crate) following: u32,
    pub(crate) event: Vec<u8>,
}

impl Draft {
    /// The record at a position after a record of that hash.
    pub(crate) fn encode(&self, position: u64, previous: Hash) -> (Vec<u8>, Hash) {
        let record = Record {
            position: bergulir_chain::Position::new(position),
            previous,
            recorded_at: bergulir_chain::Timestamp::from_micros(self.recorded_at),
            principal: &self.principal,
            authentication: self.authentication,
            request_id: self.request_id,
            following: self.following,
            event: &self.event,
            signature: None,
        };
        let mut bytes = Vec::new();
        let hash = record.encode(&mut bytes).unwrap();
        (bytes, hash)
    }

    pub(crate) fn set_event(&mut self, event: &Event) {
        self.event.clear();
        encode_event(event, &mut self.event);
    }
}

/// Chains drafts: each as its bytes.
pub(crate) fn chained(drafts: &[Draft]) -> Vec<Vec<u8>> {
    let mut previous = Hash::ZERO;
    let mut records = Vec::new();
    for (position, draft) in (0..).zip(drafts) {
        let (bytes, hash) = draft.encode(position, previous);
        previous = hash;
        records.push(bytes);
    }
    records
}

/// A ledger in memory, and its records.
#[derive(Clone)]
pub(crate) struct Ledger {
    state: State,
    replica: Replica,
    past: Past,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) clock: Timestamp,
}

#[derive(Clone, Default)]
struct Past {
    events: Vec<Event>,
    references: BTreeMap<BankReference, Vec<Position>>,
}

impl Past {
    fn push(&mut self, event: Event) {
        if let Some(reference) = event.bank_reference() {
            let position = Position::new(self.events.len() as u64);
            let used = self.references.entry(with_line(reference)).or_default();
            used.push(position);
        }
        self.events.push(event);
    }
}

/// An absent line is line 0.
fn with_line(reference: &BankReference) -> BankReference {
    BankReference { line: Some(reference.line.unwrap_or(0)), ..reference.clone() }
}

impl Lookups for Past {
    fn bank_reference(&self, reference: &BankReference) -> Result<Vec<Position>, LookupFailed> {
        let used = self.references.get(&with_line(reference));
        Ok(used.cloned().unwrap_or_default())
    }
    fn record(&self, position: Position) -> Result<Option<Event>, LookupFailed> {
        let place = usize::try_from(position.get()).ok();
        Ok(place.and_then(|n| self.events.get(n)).cloned())
    }
}

impl Ledger {
    pub(crate) fn empty() -> Ledger {
        let midnight = i64::from(day(0).to_julian_day() - 2_440_588) * 86_400_000_000;
        Ledger {
            state: State::default(),
            replica: Replica::default(),
            past: Past::default(),
            drafts: Vec::new(),
            clock: Timestamp::from_micros(midnight),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.drafts.len() as u64
    }

    /// One command, accepted.
    #[track_caller]
    pub(crate) fn submit(&mut self, principal: &str, command: &Command) -> Position {
        self.append(principal, Authentication::Stated, command, 0)
    }

    /// An atomic batch, accepted.
    #[track_caller]
    pub(crate) fn batch(&mut self, principal: &str, commands: &[Command]) {
        let following = (0..u32::try_from(commands.len()).unwrap()).rev();
        for (command, following) in commands.iter().zip(following) {
            self.append(principal, Authentication::Stated, command, following);
        }
    }

    /// What a seal of everything so far says.
    pub(crate) fn seal(&self) -> Seal {
        self.replica.seal().unwrap()
    }

    /// Appends a seal as the server does.
    #[track_caller]
    pub(crate) fn append_seal(&mut self, seal: Seal) -> Position {
        let command = Command::Seal(seal);
        self.append(PrincipalId::SYSTEM, Authentication::System, &command, 0)
    }

    /// A record that nothing decided on; what comes after it is not decided either.
    pub(crate) fn forge(&mut self, principal: &str, event: &Event) -> u64 {
        let draft = self.draft(principal, Authentication::Stated, event, 0);
        self.drafts.push(draft);
        self.size() - 1
    }

    fn draft(
        &mut self,
        principal: &str,
        authentication: Authentication,
        event: &Event,
        following: u32,
    ) -> Draft {
        let micros = self.clock.as_micros() + 1_000_000;
        self.clock = Timestamp::from_micros(micros);
        let mut request_id = [0x40; 16];
        request_id[..8].copy_from_slice(&self.size().wrapping_mul(0x9e37_79b9).to_be_bytes());
        let mut draft = Draft {
            recorded_at: micros,
            principal: principal.to_owned(),
            authentication,
            request_id,
            following,
            event: Vec::new(),
        };
        draft.set_event(event);
        draft
    }

    #[track_caller]
    fn append(
        &mut self,
        principal: &str,
        authentication: Authentication,
        command: &Command,
        following: u32,
    ) -> Position {
        let time = Timestamp::from_micros(self.clock.as_micros() + 1_000_000);
        advance(&mut self.state, time);
        let context = Context { time, principal: id(principal), lookups: &self.past, near: None };
        let event = match decide(&self.state, command, &context) {
            Ok(event) => event,
            Err(rejection) => panic!("refused: {rejection}\n{command:#?}"),
        };
        let draft = self.draft(principal, authentication, &event, following);
        let position = Position::new(self.size());
        let header = Header { position, recorded_at: time, principal: id(principal) };
        evolve(&mut self.state, &header, &event);
        let (bytes, hash) = draft.encode(position.get(), self.replica.head_hash());
        let record = Record::parse(&bytes).unwrap();
        self.replica.follow(&record, hash, &header, &event, None);
        self.past.push(event);
        self.drafts.push(draft);
        position
    }
}
