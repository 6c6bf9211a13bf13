//! The end of a ledger, as those see it who wait for others: they wait a little longer, and no more.

use crate::witness::Patience;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use std::convert::Infallible;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a stop waits for witnesses, so that they see the last checkpoint.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(2);

/// How long what was asked before the stop may still take: the rest is for the last checkpoint.
const IN_FLIGHT_LIMIT: Duration = Duration::from_secs(1);

/// Whether a ledger stops.
#[derive(Debug)]
pub(crate) struct Stop {
    began: OnceLock<Instant>,
    /// Dropped when the stop begins, which all who wait learn of at once.
    running: Mutex<Option<Sender<Infallible>>>,
    stopped: Receiver<Infallible>,
}

impl Default for Stop {
    fn default() -> Stop {
        let (running, stopped) = bounded(0);
        Stop { began: OnceLock::new(), running: Mutex::new(Some(running)), stopped }
    }
}

impl Stop {
    /// The ledger stops: the time that is left for others runs from now.
    pub(crate) fn begin(&self) {
        self.began.get_or_init(Instant::now);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits so long, less if the ledger stops.
    pub(crate) fn within(&self, limit: Duration) -> Within<'_> {
        Within { stop: self, until: Instant::now() + limit }
    }
}

/// See [`Stop::within`].
pub(crate) struct Within<'a> {
    stop: &'a Stop,
    until: Instant,
}

impl Patience for Within<'_> {
    fn wait<T>(&self, answer: &Receiver<T>) -> Option<T> {
        if let Some(began) = self.stop.began.get() {
            return answer.recv_deadline(self.until.min(*began + STOP_LIMIT)).ok();
        }
        let left = self.until.saturating_duration_since(Instant::now());
        select! {
            recv(answer) -> answer => return answer.ok(),
            // Nothing is ever sent: its sender is gone.
            recv(self.stop.stopped) -> _ => {}
            default(left) => return None,
        }
        let began = *self.stop.began.get()?;
        answer.recv_deadline(self.until.min(began + IN_FLIGHT_LIMIT)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon(began: Instant, expected: Duration) -> bool {
        // A machine may be busy; without the stop it would be a minute.
        let slack = Duration::from_secs(20);
        (expected..expected + slack).contains(&began.elapsed())
    }

    #[test]
    fn a_stop_ends_what_is_waited_for_and_leaves_some_time_for_more() {
        let stop = Stop::default();
        let (_sender, never) = bounded::<()>(1);
        let began = Instant::now();
        assert_eq!(stop.within(Duration::from_millis(10)).wait(&never), None);
        assert!(soon(began, Duration::from_millis(10)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let waited = stop.within(Duration::from_secs(60)).wait(&never);
                (waited, Instant::now())
            });
            std::thread::sleep(Duration::from_millis(50));
            let began = Instant::now();
            stop.begin();
            assert_eq!(waiting.join().unwrap().0, None);
            assert!(soon(began, IN_FLIGHT_LIMIT));
            assert_eq!(stop.within(Duration::from_secs(60)).wait(&never), None);
            assert!(soon(began, STOP_LIMIT));
        });
        let (sender, here) = bounded(1);
        sender.send(7).unwrap();
        assert_eq!(stop.within(Duration::from_secs(60)).wait(&here), Some(7));
    }
}
