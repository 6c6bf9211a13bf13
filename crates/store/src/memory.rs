//! A log in memory, for tests: durable as long as the process lives.

use std::sync::{PoisonError, RwLock};

use bergulir_chain::Position;

use crate::group::Group;
use crate::log::{AppendError, EventLog, Head, ReadError, ReadLimit};
use crate::records::Records;

/// A log that keeps its records in memory.
#[derive(Debug, Default)]
pub struct MemoryLog {
    held: RwLock<Held>,
}

#[derive(Debug, Default)]
struct Held {
    head: Head,
    records: Vec<Box<[u8]>>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }
}

impl EventLog for MemoryLog {
    fn head(&self) -> Head {
        self.held.read().unwrap_or_else(PoisonError::into_inner).head
    }

    fn read(&self, from: Position, limit: ReadLimit) -> Result<Records, ReadError> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = usize::try_from(from.get())
            .ok()
            .and_then(|from| held.records.get(from..))
            .ok_or(ReadError::BeyondHead { from, size: held.head.size })?;
        let mut records = Records::starting_at(from);
        for record in wanted {
            if !records.take_in(record, limit) {
                break;
            }
        }
        Ok(records)
    }

    fn append(&self, expected: Head, group: &Group) -> Result<Head, AppendError> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.head != expected {
            return Err(AppendError::HeadMoved { expected, actual: held.head });
        }
        group.acceptable_on(expected)?;
        held.records.extend(group.iter().map(Box::from));
        held.head = group.head();
        Ok(held.head)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::MemoryLog;
    use crate::EventLog;
    use crate::conformance::{Store, conforms};

    #[derive(Default)]
    struct Memory(Arc<MemoryLog>);

    impl Store for Memory {
        fn open(&self) -> Arc<dyn EventLog> {
            self.0.clone()
        }
    }

    conforms!(Memory);
}
