//! `Subscribe`: everything from a position on, then each new record when it is durable.
//!
//! A subscription holds a position and nothing else. It reads from the log when the caller has
//! room for the next message: a slow caller costs the writer nothing, and a live one is fed from
//! what the system still has in memory.

use super::filter::Filter;
use super::read::{chunk, deadline_passed, still_wanted};
use crate::access::Pass;
use crate::limits::{PROGRESS_EVERY, PROGRESS_RECORDS};
use crate::records::parse;
use crate::refusal::{reopening, stopping};
use crate::services::{Services, parse_ledger};
use bergulir_chain::record;
use bergulir_engine::{Head, Ledger};
use bergulir_proto::{pb, record_to_wire};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use tonic::Status;

struct Subscription {
    services: Services,
    ledger: Arc<Ledger>,
    head: watch::Receiver<Head>,
    filter: Filter,
    verbatim_only: bool,
    /// Where to read on.
    next: u64,
    /// How many records from `next` on belong to an atomic batch that has begun: they must still
    /// come, because half of one is nothing.
    rest_of_batch: u32,
    /// What was last said to the caller.
    told: u64,
    /// Whether the caller has been told once that it has caught up.
    told_caught_up: bool,
    /// When to say again how far it has come, whatever is recorded.
    progress: Interval,
    deadline: Option<Instant>,
    pass: Pass,
}

pub(super) fn records(
    services: &Services,
    pass: &Pass,
    request: pb::SubscribeRequest,
    deadline: Option<Instant>,
) -> Result<BoxStream<'static, Result<pb::SubscribeResponse, Status>>, Status> {
    let id = parse_ledger("ledger", &request.ledger)?;
    let (ledger, _) = services.ledger(pass, id)?;
    let head = ledger.watch_head();
    let next = match request.from_position {
        Some(position) => position,
        None => head.borrow().size.get(),
    };
    let subscription = Subscription {
        filter: Filter::read(id, request.filter)?,
        verbatim_only: request.verbatim_only,
        next,
        rest_of_batch: 0,
        told: next,
        told_caught_up: false,
        progress: progress(),
        deadline: pass.deadline(deadline),
        pass: pass.clone(),
        services: services.clone(),
        ledger,
        head,
    };
    Ok(stream::try_unfold(subscription, Subscription::step).boxed())
}

impl Subscription {
    async fn step(mut self) -> Result<Option<(pb::SubscribeResponse, Subscription)>, Status> {
        loop {
            // A stop waits for the end of a batch.
            if self.rest_of_batch == 0 {
                still_wanted(self.deadline, &self.services.stopping)?;
                self.pass.still_holds()?;
                let log_size = self.head.borrow().size.get();
                if self.next == log_size && !self.told_caught_up {
                    return Ok(Some(self.tell(Vec::new())));
                }
            }
            let Reached::Records(log_size) = self.reached().await? else {
                return Ok(Some(self.tell(Vec::new())));
            };
            let stops = *self.services.stopping.borrow();
            let left = match (stops, self.rest_of_batch) {
                // To the end of the batch, and no further.
                (true, 1..) => u64::from(self.rest_of_batch),
                (true, 0) | (false, _) => log_size - self.next,
            };
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            let records = chunk(&self.ledger, self.next, left).await?;
            let pass = self.filter.pass(&self.services, &self.ledger, &records).await?;
            let mut passed = Vec::new();
            for ((position, bytes), pass) in records.iter().zip(pass) {
                let parsed = parse(position, bytes)?;
                self.rest_of_batch = parsed.following;
                if pass {
                    let hash = record::hash(bytes);
                    passed.push(record_to_wire(bytes, &parsed, hash, self.verbatim_only));
                }
            }
            self.next = records.next().get();
            if !passed.is_empty() || self.next - self.told >= PROGRESS_RECORDS {
                return Ok(Some(self.tell(passed)));
            }
        }
    }

    /// The next message, and the subscription after it.
    fn tell(mut self, records: Vec<pb::Record>) -> (pb::SubscribeResponse, Subscription) {
        let log_size = self.head.borrow().size.get();
        self.told = self.next;
        self.told_caught_up |= self.next == log_size;
        self.progress.reset();
        (pb::SubscribeResponse { records, next_position: self.next, log_size }, self)
    }

    /// Waits until the log holds the next record, or it is time to tell the caller how far it has
    /// come.
    async fn reached(&mut self) -> Result<Reached, Status> {
        let next = self.next;
        let mut stop = self.services.stopping.clone();
        let deadline = self.deadline;
        let passed = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Records that are there come before a stop and a deadline: the rest of a batch is there,
            // and neither cuts it off.
            biased;
            _ = self.progress.tick(), if self.rest_of_batch == 0 => Ok(Reached::Time),
            reached = self.head.wait_for(|head| head.size.get() > next) => match reached {
                Ok(head) => Ok(Reached::Records(head.size.get())),
                Err(_) if *self.services.stopping.borrow() => Err(stopping()),
                // Another opening of the ledger has taken its place.
                Err(_) => Err(reopening()),
            },
            _ = stop.wait_for(|stop| *stop) => Err(stopping()),
            () = passed => Err(deadline_passed()),
        }
    }
}

/// What a subscription waited for.
enum Reached {
    /// The next record is there; the log holds so many.
    Records(u64),
    /// Nothing was said for long.
    Time,
}

/// Ticks for the first time after the period.
fn progress() -> Interval {
    let mut interval = interval_at((Instant::now() + PROGRESS_EVERY).into(), PROGRESS_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
