//! `Subscribe`: everything from a position on, then each new record when it is durable.
//!
//! A subscription holds a position and nothing else. It reads from the log when the caller has
//! room for the next message: a slow caller costs the writer nothing, and a live one is fed from
//! what the system still has in memory.

use super::filter::Filter;
use super::read::{chunk, deadline_passed, still_wanted};
use crate::limits::{PROGRESS_EVERY, PROGRESS_RECORDS};
use crate::records::parse;
use crate::refusal::stopping;
use crate::services::{Services, parse_ledger};
use bergulir_chain::record;
use bergulir_engine::{Head, Ledger};
use bergulir_proto::{pb, record_to_wire};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::Status;

struct Subscription {
    services: Services,
    ledger: Arc<Ledger>,
    head: watch::Receiver<Head>,
    filter: Filter,
    verbatim_only: bool,
    /// Where to read on.
    next: u64,
    /// Whether `next` lies inside an atomic batch, of which the rest must still come.
    inside_batch: bool,
    /// What was last said to the caller, and when.
    told: (u64, Instant),
    deadline: Option<Instant>,
    _room: OwnedSemaphorePermit,
}

pub(super) fn records(
    services: &Services,
    request: pb::SubscribeRequest,
    deadline: Option<Instant>,
) -> Result<BoxStream<'static, Result<pb::SubscribeResponse, Status>>, Status> {
    let id = parse_ledger("ledger", &request.ledger)?;
    let ledger = services.ledger(id)?;
    let head = ledger.watch_head();
    let next = match request.from_position {
        Some(position) => position,
        None => head.borrow().size.get(),
    };
    let subscription = Subscription {
        filter: Filter::read(id, request.filter)?,
        verbatim_only: request.verbatim_only,
        next,
        inside_batch: false,
        told: (next, Instant::now()),
        deadline,
        _room: services.stream()?,
        services: services.clone(),
        ledger,
        head,
    };
    Ok(stream::try_unfold(subscription, Subscription::step).boxed())
}

impl Subscription {
    async fn step(mut self) -> Result<Option<(pb::SubscribeResponse, Subscription)>, Status> {
        loop {
            // A stop waits for the end of a batch: half of one is nothing.
            if !self.inside_batch {
                still_wanted(self.deadline, &self.services.stopping)?;
            }
            let log_size = self.reached().await?;
            let left = usize::try_from(log_size - self.next).unwrap_or(usize::MAX);
            let records = chunk(&self.ledger, self.next, left).await?;
            let pass = self.filter.pass(&self.services, &self.ledger, &records).await?;
            let mut passed = Vec::new();
            for ((position, bytes), pass) in records.iter().zip(pass) {
                let parsed = parse(position, bytes)?;
                self.inside_batch = parsed.following > 0;
                if pass {
                    let hash = record::hash(bytes);
                    passed.push(record_to_wire(bytes, &parsed, hash, self.verbatim_only));
                }
            }
            self.next = records.next().get();
            if passed.is_empty() && !self.should_tell() {
                continue;
            }
            self.told = (self.next, Instant::now());
            let message = pb::SubscribeResponse {
                records: passed,
                next_position: self.next,
                log_size: self.head.borrow().size.get(),
            };
            return Ok(Some((message, self)));
        }
    }

    /// Waits until the log holds the next record, and says how many it holds.
    async fn reached(&mut self) -> Result<u64, Status> {
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
            reached = self.head.wait_for(|head| head.size.get() > next) => match reached {
                Ok(head) => Ok(head.size.get()),
                // The ledger is gone: the server stops.
                Err(_) => Err(stopping()),
            },
            _ = stop.wait_for(|stop| *stop) => Err(stopping()),
            () = passed => Err(deadline_passed()),
        }
    }

    fn should_tell(&self) -> bool {
        let (position, at) = self.told;
        self.next - position >= PROGRESS_RECORDS || at.elapsed() >= PROGRESS_EVERY
    }
}
