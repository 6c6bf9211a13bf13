//! How much may be under way at a time, and how fast: of one principal, and of all together.
//!
//! A call is let in, or refused, before anything of it is read. What it holds it gives back when its
//! answer is sent. All of it is counted in atomics; the one lock is taken when a connection begins to
//! speak for another principal.

mod exceeded;
mod memory;
mod principals;
mod rate;

pub(crate) use exceeded::{Exceeded, Limit, Whose};
pub(crate) use memory::Memory;
pub(crate) use principals::Account;

use crate::limits::{Limits, RETRY_AFTER_CALLS, RETRY_AFTER_STREAMS};
use bergulir_domain::PrincipalId;
use principals::{Principals, UnderWay};
use rate::Rate;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What a call holds while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The place of a call.
    Call,
    /// The place of a stream of records.
    Records,
    /// The place of a stream of commands.
    Commands,
}

/// What the limits leave.
#[derive(Debug)]
pub(crate) struct Quotas {
    /// As they were at the start; those that count calls, streams and rates may be others by now.
    pub(crate) limits: Limits,
    principals: Principals,
    rate: Rate,
    calls: UnderWay,
    records: UnderWay,
    commands: UnderWay,
    pub(crate) memory: Arc<Memory>,
}

impl Quotas {
    pub(crate) fn new(limits: Limits) -> Quotas {
        let now = Instant::now();
        let quotas = Quotas {
            principals: Principals::new(&limits, now),
            rate: Rate::new(0, None, now),
            calls: UnderWay::default(),
            records: UnderWay::default(),
            commands: UnderWay::default(),
            memory: Arc::new(Memory::of_server(limits.memory_bytes)),
            limits,
        };
        quotas.set(&quotas.limits);
        quotas
    }

    /// Puts other limits in force, as far as they count calls, streams and rates. What is under way
    /// stays, also if it is more than may be now.
    pub(crate) fn set(&self, limits: &Limits) {
        self.rate.set(limits.rate.unwrap_or(0), limits.burst);
        for (under_way, most) in [
            (&self.calls, limits.calls),
            (&self.records, limits.streams),
            (&self.commands, limits.command_streams),
        ] {
            under_way.most.store(most.unwrap_or(0), Ordering::Relaxed);
        }
        self.principals.set(limits);
    }

    /// The account of a principal.
    pub(crate) fn account(&self, principal: Option<PrincipalId>) -> Arc<Account> {
        match principal {
            Some(principal) => self.principals.of(principal, Instant::now()),
            None => self.principals.nobody(),
        }
    }

    /// Lets a call in, which counts as so many commands. If those are yet to be read, as none: then
    /// it is refused only if more came already than is there.
    pub(crate) fn begin(
        self: &Arc<Self>,
        account: &Arc<Account>,
        kind: Kind,
        commands: u64,
        now: Instant,
    ) -> Result<Place, Exceeded> {
        let (own, all) = match kind {
            Kind::Call => (Limit::PrincipalCalls, Limit::Calls),
            Kind::Records => (Limit::PrincipalStreams, Limit::Streams),
            Kind::Commands => (Limit::PrincipalStreams, Limit::CommandStreams),
        };
        let counts = [account.under_way(kind), self.under_way(kind)];
        let before = counts.map(|count| count.now.fetch_add(1, Ordering::Relaxed));
        // Dropped, and given back, if it goes no further.
        let place = Place { quotas: Arc::clone(self), account: Arc::clone(account), kind };
        let retry_after = match kind {
            Kind::Call => RETRY_AFTER_CALLS,
            Kind::Records | Kind::Commands => RETRY_AFTER_STREAMS,
        };
        let whose = [(own, account.whose()), (all, Whose::All)];
        for ((count, before), (limit, of)) in counts.into_iter().zip(before).zip(whose) {
            let most = count.most.load(Ordering::Relaxed);
            if most > 0 && before >= most {
                return Err(Exceeded { limit, most: most as u64, of, retry_after });
            }
        }
        take(self, account, commands, now)?;
        Ok(place)
    }

    /// How many streams of records and of commands are open.
    pub(crate) fn open_streams(&self) -> [usize; 2] {
        [&self.records, &self.commands].map(|streams| streams.now.load(Ordering::Relaxed))
    }

    fn under_way(&self, kind: Kind) -> &UnderWay {
        match kind {
            Kind::Call => &self.calls,
            Kind::Records => &self.records,
            Kind::Commands => &self.commands,
        }
    }
}

impl Account {
    fn under_way(&self, kind: Kind) -> &UnderWay {
        match kind {
            Kind::Call => &self.calls,
            Kind::Records | Kind::Commands => &self.streams,
        }
    }
}

/// The place of a call that is under way; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    quotas: Arc<Quotas>,
    account: Arc<Account>,
    kind: Kind,
}

impl Place {
    /// How fast its caller may send commands.
    pub(crate) fn pace(&self) -> Pace {
        Pace { quotas: Arc::clone(&self.quotas), account: Arc::clone(&self.account) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.account.under_way(self.kind).now.fetch_sub(1, Ordering::Relaxed);
        self.quotas.under_way(self.kind).now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How fast the caller of a call may send commands.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    quotas: Arc<Quotas>,
    account: Arc<Account>,
}

impl Pace {
    /// Takes so many commands out of what comes a second.
    pub(crate) fn take(&self, commands: usize) -> Result<(), Exceeded> {
        // The time is asked for only where it counts: this is done for every message of a stream.
        if self.account.rate.per_second() == 0 && self.quotas.rate.per_second() == 0 {
            return Ok(());
        }
        take(&self.quotas, &self.account, commands as u64, Instant::now())
    }
}

fn take(quotas: &Quotas, account: &Account, commands: u64, now: Instant) -> Result<(), Exceeded> {
    let exceeded = |limit, rate: &Rate, of, retry_after| Exceeded {
        limit,
        most: rate.per_second(),
        of,
        retry_after,
    };
    let (own, all) = (&account.rate, &quotas.rate);
    let taken = own.take(commands, now);
    taken.map_err(|after| exceeded(Limit::PrincipalRate, own, account.whose(), after))?;
    all.take(commands, now).map_err(|after| {
        own.give_back(commands);
        exceeded(Limit::Rate, all, Whose::All, after)
    })
}
