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
use principals::Principals;
use rate::Rate;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    pub(crate) limits: Limits,
    principals: Principals,
    rate: Option<Rate>,
    calls: AtomicUsize,
    records: AtomicUsize,
    commands: AtomicUsize,
    pub(crate) memory: Arc<Memory>,
}

impl Quotas {
    pub(crate) fn new(limits: Limits) -> Quotas {
        let now = Instant::now();
        Quotas {
            principals: Principals::new(&limits, now),
            rate: limits.rate.map(|rate| Rate::new(rate, limits.burst, now)),
            calls: AtomicUsize::new(0),
            records: AtomicUsize::new(0),
            commands: AtomicUsize::new(0),
            memory: Arc::new(Memory::of_server(limits.memory_bytes)),
            limits,
        }
    }

    /// The account of a principal.
    pub(crate) fn account(&self, principal: Option<PrincipalId>) -> Arc<Account> {
        match principal {
            Some(principal) => self.principals.of(principal, &self.limits, Instant::now()),
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
        let limits = &self.limits;
        let (own, all) = match kind {
            Kind::Call => {
                ((Limit::PrincipalCalls, limits.principal_calls), (Limit::Calls, limits.calls))
            }
            Kind::Records => (
                (Limit::PrincipalStreams, limits.principal_streams),
                (Limit::Streams, limits.streams),
            ),
            Kind::Commands => (
                (Limit::PrincipalStreams, limits.principal_streams),
                (Limit::CommandStreams, limits.command_streams),
            ),
        };
        let before = account.under_way(kind).fetch_add(1, Ordering::Relaxed);
        let before_all = self.under_way(kind).fetch_add(1, Ordering::Relaxed);
        // Dropped, and given back, if it goes no further.
        let place = Place { quotas: Arc::clone(self), account: Arc::clone(account), kind };
        let retry_after = match kind {
            Kind::Call => RETRY_AFTER_CALLS,
            Kind::Records | Kind::Commands => RETRY_AFTER_STREAMS,
        };
        for ((limit, most), before, of) in
            [(own, before, account.whose()), (all, before_all, Whose::All)]
        {
            if let Some(most) = most.filter(|most| before >= *most) {
                return Err(Exceeded { limit, most: most as u64, of, retry_after });
            }
        }
        take(self, account, commands, now)?;
        Ok(place)
    }

    /// How many streams of records and of commands are open.
    pub(crate) fn open_streams(&self) -> [usize; 2] {
        [&self.records, &self.commands].map(|streams| streams.load(Ordering::Relaxed))
    }

    fn under_way(&self, kind: Kind) -> &AtomicUsize {
        match kind {
            Kind::Call => &self.calls,
            Kind::Records => &self.records,
            Kind::Commands => &self.commands,
        }
    }
}

impl Account {
    fn under_way(&self, kind: Kind) -> &AtomicUsize {
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
    /// How fast its caller may send commands; `None`: there is no limit to it.
    pub(crate) fn pace(&self) -> Option<Pace> {
        if self.quotas.rate.is_none() && self.account.rate.is_none() {
            return None;
        }
        Some(Pace { quotas: Arc::clone(&self.quotas), account: Arc::clone(&self.account) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.account.under_way(self.kind).fetch_sub(1, Ordering::Relaxed);
        self.quotas.under_way(self.kind).fetch_sub(1, Ordering::Relaxed);
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
        take(&self.quotas, &self.account, commands as u64, Instant::now())
    }
}

fn take(quotas: &Quotas, account: &Account, commands: u64, now: Instant) -> Result<(), Exceeded> {
    let exceeded = |limit, rate: &Rate, of, retry_after| Exceeded {
        limit,
        most: rate.per_second,
        of,
        retry_after,
    };
    if let Some(rate) = &account.rate {
        let taken = rate.take(commands, now);
        let of = account.whose();
        taken.map_err(|after| exceeded(Limit::PrincipalRate, rate, of, after))?;
    }
    if let Some(rate) = &quotas.rate {
        rate.take(commands, now).map_err(|after| {
            if let Some(own) = &account.rate {
                own.give_back(commands);
            }
            exceeded(Limit::Rate, rate, Whose::All, after)
        })?;
    }
    Ok(())
}
