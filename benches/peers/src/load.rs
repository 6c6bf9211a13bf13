//! Loads a store: so many clients, each of which sends the next events once the last were
//! acknowledged.

use std::time::{Duration, Instant};

use futures::future::try_join_all;

use crate::events::{Event, Source};
use crate::failure::Failure;

/// One that sends events and waits until they are durable.
pub trait Client {
    fn send(&mut self, events: &[Event]) -> impl Future<Output = Result<(), Failure>>;
}

/// What one turn came to.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Measured {
    pub events: u64,
    pub seconds: f64,
    /// Of a request: a batch, or a single command.
    pub p50_us: u64,
    pub p99_us: u64,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "no load has 2^53 events")]
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// That all that was acknowledged is there.
    pub fn stored(self, stored: u64) -> Result<Measured, Failure> {
        if stored == self.events {
            Ok(self)
        } else {
            Err(Failure::Lost { acknowledged: self.events, stored })
        }
    }
}

/// Sends for so long, each client requests of so many events.
pub async fn drive<C: Client>(
    clients: Vec<C>,
    batch: usize,
    time: Duration,
) -> Result<Measured, Failure> {
    let count = u32::try_from(clients.len()).unwrap_or(u32::MAX);
    let began = Instant::now();
    let all = (0..count)
        .zip(clients)
        .map(|(number, client)| one(client, Source::new(number, count), batch, began + time));
    let mut took: Vec<u64> = try_join_all(all).await?.into_iter().flatten().collect();
    let seconds = began.elapsed().as_secs_f64();
    took.sort_unstable();
    Ok(Measured {
        events: (took.len() * batch) as u64,
        seconds,
        p50_us: per_mille(&took, 500),
        p99_us: per_mille(&took, 990),
    })
}

/// How long each request of one client took, in microseconds.
async fn one<C: Client>(
    mut client: C,
    mut source: Source,
    batch: usize,
    until: Instant,
) -> Result<Vec<u64>, Failure> {
    let mut events = Vec::with_capacity(batch);
    let mut took = Vec::new();
    while Instant::now() < until {
        source.fill(&mut events, batch);
        let sent = Instant::now();
        client.send(&events).await?;
        took.push(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    Ok(took)
}

fn per_mille(sorted: &[u64], share: usize) -> u64 {
    let rank = (sorted.len() * share).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_is_the_nearest() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((per_mille(&hundred, 500), per_mille(&hundred, 990)), (50, 99));
        assert_eq!((per_mille(&[7], 990), per_mille(&[], 500)), (7, 0));
    }

    #[test]
    fn an_event_that_is_not_there_is_found() {
        let measured = Measured { events: 5, seconds: 1.0, p50_us: 0, p99_us: 0 };
        assert!(measured.stored(5).is_ok());
        assert!(measured.stored(4).is_err());
    }
}
