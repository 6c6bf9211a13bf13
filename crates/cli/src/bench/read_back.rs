//! After a load: reads all records back through `ReadRecords`, and follows their chain.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bergulir_chain::{Hash, Record};

use super::connection::{Answers, Connection};
use super::encode;
use super::skim::{self, Unreadable};
use crate::desk::{Desk, refused};
use crate::failure::Failure;

/// What reading came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadBack {
    pub(crate) records: u64,
    pub(crate) took: Duration,
    /// Whether every record of every log came, each leading to the next.
    pub(crate) is_whole: bool,
}

/// Reads the logs of these ledgers, one after the other.
pub(crate) async fn run(address: SocketAddr, desks: &[Desk]) -> Result<ReadBack, Failure> {
    let connection = Connection::open(address).await?;
    let method = connection.method("LogService/ReadRecords")?;
    let (mut records, mut is_whole) = (0, true);
    let began = Instant::now();
    for desk in desks {
        let mut request = Vec::new();
        encode::grpc(&mut request, |out| encode::read_records(out, &desk.ledger()));
        let answers = connection.ask(&method, request).await.map_err(|status| refused(&status))?;
        let (chain, log_size) = follow(answers).await?;
        is_whole &= chain.size == log_size && !chain.is_broken;
        records += chain.size;
    }
    Ok(ReadBack { records, took: began.elapsed(), is_whole })
}

/// How far a chain was followed.
#[derive(Debug, Clone, Copy)]
struct Chain {
    size: u64,
    last: Hash,
    is_broken: bool,
}

impl Chain {
    /// Takes on the next record, with the hash that the server says it has: the next one must say
    /// the same.
    fn step(&mut self, bytes: &[u8], hash: &[u8]) {
        let hash = <[u8; 32]>::try_from(hash).map(Hash::from_bytes);
        match (Record::parse(bytes), hash) {
            (Ok(record), Ok(hash))
                if record.position.get() == self.size && record.previous == self.last =>
            {
                self.last = hash;
            }
            _ => self.is_broken = true,
        }
        self.size += 1;
    }
}

/// The chain of all records, and how many the server said there were.
async fn follow(mut answers: Answers) -> Result<(Chain, u64), Failure> {
    let mut log_size = 0;
    let mut chain = Chain { size: 0, last: Hash::ZERO, is_broken: false };
    while let Some(message) = answers.next().await.map_err(|status| refused(&status))? {
        let read = skim::records(message, |bytes, hash| chain.step(bytes, hash));
        log_size = read.map_err(|Unreadable| {
            Failure::CouldNotTell("the server's records cannot be read".to_owned())
        })?;
    }
    Ok((chain, log_size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_chain::{Authentication, Position, Timestamp};

    #[test]
    fn a_record_that_does_not_lead_to_the_next_is_found() {
        let encode = |position, previous| {
            let record = Record {
                position: Position::new(position),
                previous,
                recorded_at: Timestamp::from_micros(0),
                principal: "maker",
                authentication: Authentication::Stated,
                request_id: [1; 16],
                following: 0,
                event: &[1],
                signature: None,
            };
            let mut bytes = Vec::new();
            let hash = record.encode(&mut bytes).unwrap();
            (bytes, hash)
        };
        let follow = |records: &[&(Vec<u8>, Hash)]| {
            let mut chain = Chain { size: 0, last: Hash::ZERO, is_broken: false };
            for (bytes, hash) in records {
                chain.step(bytes, hash.as_bytes());
            }
            !chain.is_broken
        };
        let first = encode(0, Hash::ZERO);
        let second = encode(1, first.1);
        assert!(follow(&[&first, &second]));
        assert!(!follow(&[&second]));
        assert!(!follow(&[&first, &first]));
        assert!(!follow(&[&first, &encode(1, Hash::ZERO)]));
        assert!(!follow(&[&(first.0.clone(), second.1), &second]));
    }
}
