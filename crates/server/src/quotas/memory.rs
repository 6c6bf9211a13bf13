//! How many bytes of messages may be held at a time.

use super::exceeded::{Exceeded, Limit, Whose};
use crate::limits::RETRY_AFTER_MEMORY;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be held: by the calls of a connection, out of those of the server.
#[derive(Debug)]
pub(crate) struct Memory {
    most: usize,
    held: AtomicUsize,
    /// Of whom this is a part; `None`: it is the server's.
    server: Option<Arc<Memory>>,
}

impl Memory {
    pub(super) fn of_server(most: usize) -> Memory {
        Memory { most, held: AtomicUsize::new(0), server: None }
    }

    /// The part of a connection.
    pub(crate) fn of_connection(server: &Arc<Memory>, most: usize) -> Memory {
        Memory { most, held: AtomicUsize::new(0), server: Some(Arc::clone(server)) }
    }

    /// Takes so many, if they are there.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Exceeded> {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.checked_add(bytes).is_some_and(|held| held <= self.most);
        let taken = match (&self.server, fits) {
            (Some(server), true) => server.take(bytes),
            (None, true) => Ok(()),
            (server, false) => Err(self.exceeded(server.is_some())),
        };
        taken.inspect_err(|_| {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
        })
    }

    /// Holds so many, whether they are there or not: what is done already is answered.
    pub(crate) fn hold(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        if let Some(server) = &self.server {
            server.hold(bytes);
        }
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(server) = &self.server {
            server.give_back(bytes);
        }
    }

    /// How many are held.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn exceeded(&self, of_connection: bool) -> Exceeded {
        let (limit, of) = if of_connection {
            (Limit::ConnectionMemory, Whose::Connection)
        } else {
            (Limit::Memory, Whose::All)
        };
        Exceeded { limit, most: self.most as u64, of, retry_after: RETRY_AFTER_MEMORY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_takes_its_part_of_what_the_server_has() {
        let server = Arc::new(Memory::of_server(100));
        let connections = [60, 60].map(|most| Memory::of_connection(&server, most));
        assert_eq!(connections[0].take(60), Ok(()));
        assert_eq!(connections[0].take(1).unwrap_err().limit, Limit::ConnectionMemory);
        assert_eq!(connections[1].take(41).unwrap_err().limit, Limit::Memory);
        assert_eq!(connections[1].take(40), Ok(()));
        // Who is refused holds nothing.
        assert_eq!([server.held(), connections[0].held(), connections[1].held()], [100, 60, 40]);
        connections[0].give_back(60);
        assert_eq!(connections[1].take(20), Ok(()));
        assert_eq!(server.held(), 60);
    }

    #[test]
    fn what_is_held_anyhow_leaves_less_to_others() {
        let server = Arc::new(Memory::of_server(100));
        server.hold(150);
        assert!(server.take(1).is_err());
        server.give_back(60);
        assert_eq!(server.take(10), Ok(()));
    }
}
