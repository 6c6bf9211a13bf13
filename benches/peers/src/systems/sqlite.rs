//! `SQLite`, in this process: a write-ahead log, synced at each commit.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use crate::events::{ACCOUNTS, Event, OPENING};
use crate::failure::Failure;
use crate::load::{Client, drive};
use crate::system::{Load, Missing, Running, System};

/// It has one writer at a time: a second batch would wait for the first.
const BATCHES: usize = 1;
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -262144;
    PRAGMA temp_store = MEMORY;
    CREATE TABLE account (
        account INTEGER PRIMARY KEY,
        balance INTEGER NOT NULL CHECK (balance >= 0)
    );
    CREATE TABLE event (
        position INTEGER PRIMARY KEY,
        request_id BLOB NOT NULL UNIQUE,
        bank_reference TEXT NOT NULL UNIQUE,
        account INTEGER NOT NULL,
        amount INTEGER NOT NULL,
        note TEXT NOT NULL
    );";
const INSERT: &str = "INSERT INTO event (request_id, bank_reference, account, amount, note)
    VALUES (?1, ?2, ?3, ?4, ?5)";
const UPDATE: &str = "UPDATE account SET balance = balance + ?2 WHERE account = ?1";

pub struct Sqlite;

impl System for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn title(&self) -> &'static str {
        "SQLite, in process"
    }

    fn checks(&self) -> &'static str {
        "duplicates of id and bank reference, balances not below zero; no chain, no server"
    }

    fn setting(&self, load: Load) -> String {
        let way = match load {
            Load::Batch => "1 batch at a time, a transaction each",
            Load::Single => "64 clients behind one connection, a transaction each",
        };
        format!("{way}, WAL, synchronous FULL")
    }

    fn find(&self) -> Result<String, Missing> {
        Ok(rusqlite::version().to_owned())
    }

    fn run<'a>(&'a self, load: Load, folder: &'a Path, time: Duration) -> Running<'a> {
        Box::pin(async move {
            let file = folder.join("ledger.sqlite");
            let mut writer = Writer::start(&file)?;
            let clients = (0..load.clients(BATCHES)).map(|_| writer.client()).collect();
            let measured = drive(clients, load.events(), time).await?;
            writer.stop();
            let count = "SELECT count(*) FROM event";
            let stored: i64 = Connection::open(&file)?.query_row(count, [], |row| row.get(0))?;
            measured.stored(stored.unsigned_abs())
        })
    }
}

struct Request {
    events: Vec<Event>,
    answer: oneshot::Sender<Result<(), rusqlite::Error>>,
}

/// The one thread that has the connection. It ends once nobody can send it anything.
struct Writer {
    inbox: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(file: &Path) -> Result<Writer, Failure> {
        let mut connection = Connection::open(file)?;
        connection.execute_batch(SCHEMA)?;
        let transaction = connection.transaction()?;
        for account in 0..ACCOUNTS {
            transaction
                .execute("INSERT INTO account VALUES (?1, ?2)", params![account, OPENING])?;
        }
        transaction.commit()?;
        let (inbox, requests) = mpsc::channel::<Request>();
        let thread = std::thread::spawn(move || {
            for request in requests {
                let outcome = post(&mut connection, &request.events);
                // One that was stopped waits for no answer.
                let _ = request.answer.send(outcome);
            }
        });
        Ok(Writer { inbox: Some(inbox), thread: Some(thread) })
    }

    fn client(&self) -> Caller {
        Caller(self.inbox.clone())
    }

    fn stop(&mut self) {
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            // It panicked if this fails; what it acknowledged is counted then.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn post(connection: &mut Connection, events: &[Event]) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached(INSERT)?;
        let mut update = transaction.prepare_cached(UPDATE)?;
        for event in events {
            let Event { id, account, amount, .. } = event;
            insert.execute(params![id, event.reference(), account, amount, event.note()])?;
            update.execute(params![account, amount])?;
        }
    }
    transaction.commit()
}

struct Caller(Option<mpsc::Sender<Request>>);

impl Client for Caller {
    async fn send(&mut self, events: &[Event]) -> Result<(), Failure> {
        let gone = || Failure::Refused("its thread has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        let request = Request { events: events.to_vec(), answer };
        self.0.as_ref().ok_or_else(gone)?.send(request).map_err(|_| gone())?;
        Ok(answered.await.map_err(|_| gone())??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Source;

    #[test]
    fn it_refuses_duplicates_and_what_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.sqlite");
        drop(Writer::start(&file).unwrap());
        let mut connection = Connection::open(&file).unwrap();
        let mut events = Vec::new();
        Source::new(0, 1).fill(&mut events, 10);
        post(&mut connection, &events).unwrap();
        assert!(post(&mut connection, &events[..1]).is_err());
        Source::new(1, 2).fill(&mut events, 1);
        events[0].amount = -OPENING - 1;
        assert!(post(&mut connection, &events).is_err());
    }
}
