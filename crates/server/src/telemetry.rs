//! What a server says of itself: logs and traces, metrics, and over HTTP whether it lives and is ready.
//!
//! What is counted is counted in plain atomics, where the work is done; it is turned into text only
//! when somebody asks for it.

mod calls;
mod logs;
mod metrics;
mod process;
mod scrape;
mod traces;

pub(crate) use calls::{CallMeter, Method};
pub use logs::{LogFormat, TelemetryError, Traces, start};
pub(crate) use scrape::{Scrape, serve};
pub(crate) use traces::parent;
pub use traces::{Otlp, check_endpoint};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What a server counts of what it is asked.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) calls: CallMeter,
    pub(crate) refused: Refusals,
    /// Connections of callers of gRPC that are open.
    pub(crate) connections: Arc<AtomicUsize>,
    /// The files that are followed, and whether each is wrong now; set at the start.
    pub(crate) files: OnceLock<Vec<(&'static str, Arc<AtomicBool>)>>,
}

/// How often something was refused, by reason. Reasons are names in this program, so there are few.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<String, u64>>);

impl Refusals {
    /// Counts one. Only what is refused comes here, so that a lock is cheap enough.
    pub(crate) fn count(&self, reason: &str) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(reason) {
            Some(count) => *count += 1,
            None => {
                held.insert(reason.to_owned(), 1);
            }
        }
    }

    fn counted(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
