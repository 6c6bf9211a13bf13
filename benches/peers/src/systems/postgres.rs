//! PostgreSQL: rules as constraints, balances in the same transaction, and a hash chain in SQL;
//! once more without the chain, which makes all wait for each other.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio_postgres::{Client as Session, NoTls, Statement};
use uuid::Uuid;

use crate::events::{ACCOUNTS, Event, OPENING};
use crate::failure::Failure;
use crate::load::{Client, drive};
use crate::process::{Process, free_port, program, version};
use crate::system::{Load, Missing, Running, System};

const BATCHES: usize = 2;
const TABLES: &str = include_str!("postgres/tables.sql");
const CHAINED: &str = include_str!("postgres/chained.sql");
const PLAIN: &str = include_str!("postgres/plain.sql");
/// Debian has the server's programs outside of the PATH, by version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// It does not run as root: one of these does then.
const USERS: [&str; 2] = ["postgres", "nobody"];

pub struct Postgres {
    has_chain: bool,
    initdb: Option<PathBuf>,
    server: Option<PathBuf>,
}

impl Postgres {
    pub fn chained() -> Postgres {
        Postgres::new(true)
    }

    pub fn plain() -> Postgres {
        Postgres::new(false)
    }

    fn new(has_chain: bool) -> Postgres {
        Postgres {
            has_chain,
            initdb: program(&places("initdb")),
            server: program(&places("postgres")),
        }
    }

    fn programs(&self) -> Result<(&Path, &Path), Missing> {
        match (&self.initdb, &self.server) {
            (Some(initdb), Some(server)) => Ok((initdb, server)),
            _ => Err(Missing {
                what: "PostgreSQL (initdb, postgres) is not on this machine".to_owned(),
                install: "apt-get install postgresql".to_owned(),
            }),
        }
    }

    fn functions(&self) -> &'static str {
        if self.has_chain { CHAINED } else { PLAIN }
    }
}

/// Where a program of the server may be: the newest version first, then the PATH.
fn places(name: &str) -> Vec<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().filter_map(Result::ok);
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin").join(name)))
        })
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, place)| place).chain([name.into()]).collect()
}

impl System for Postgres {
    fn name(&self) -> &'static str {
        if self.has_chain { "postgres" } else { "postgres-plain" }
    }

    fn title(&self) -> &'static str {
        if self.has_chain { "PostgreSQL, chained" } else { "PostgreSQL, no chain" }
    }

    fn checks(&self) -> &'static str {
        if self.has_chain {
            "duplicates of id and bank reference, balances not below zero, hash chain"
        } else {
            "duplicates of id and bank reference, balances not below zero; no chain"
        }
    }

    fn setting(&self, load: Load) -> String {
        let way = match load {
            Load::Batch => "2 batches in flight, one call of a function and one transaction each",
            Load::Single => "64 connections, prepared, a transaction each",
        };
        format!("{way}, fsync and synchronous_commit on")
    }

    fn find(&self) -> Result<String, Missing> {
        let said = version(self.programs()?.1).unwrap_or_default();
        Ok(said.trim_start_matches("postgres (PostgreSQL) ").to_owned())
    }

    fn run<'a>(&'a self, load: Load, folder: &'a Path, time: Duration) -> Running<'a> {
        Box::pin(async move {
            let (initdb, server) =
                self.programs().map_err(|missing| Failure::Refused(missing.to_string()))?;
            let user = User::of_server()?;
            let data = folder.join("data");
            std::fs::create_dir(&data)?;
            user.own(&data)?;
            let mut command = user.command(initdb, &data);
            command.args(["--auth", "trust", "--username", "peers", "--no-sync"]);
            command.args(["--encoding", "UTF8", "--locale", "C", "--pgdata"]).arg(&data);
            Process::start("initdb", &mut command, folder, None)?.finished().await?;

            let port = free_port()?;
            let mut command = user.command(server, &data);
            command.arg("-D").arg(&data);
            let port_set = format!("port={port}");
            for setting in [
                port_set.as_str(),
                "listen_addresses=127.0.0.1",
                "unix_socket_directories=",
                "fsync=on",
                "synchronous_commit=on",
                "max_connections=100",
                "shared_buffers=512MB",
                // No checkpoint for its own sake within a turn.
                "max_wal_size=8GB",
                "checkpoint_timeout=30min",
            ] {
                command.args(["-c", setting]);
            }
            let mut process = Process::start("postgres", &mut command, folder, None)?;
            process.listening(port).await?;
            let session = connect(port).await?;
            session.batch_execute(TABLES).await?;
            session.batch_execute(self.functions()).await?;
            let accounts = format!(
                "INSERT INTO account SELECT n, {OPENING} FROM generate_series(0, {}) n;
                 VACUUM ANALYZE account",
                ACCOUNTS - 1,
            );
            for statement in accounts.split(';') {
                session.batch_execute(statement).await?;
            }
            let mut clients = Vec::new();
            for _ in 0..load.clients(BATCHES) {
                clients.push(Poster::new(connect(port).await?, load).await?);
            }
            let measured = drive(clients, load.events(), time).await?;
            let stored: i64 = session.query_one("SELECT count(*) FROM event", &[]).await?.get(0);
            measured.stored(stored.unsigned_abs())
        })
    }
}

/// Connects as soon as the server takes sessions: it takes connections before.
async fn connect(port: u16) -> Result<Session, Failure> {
    const TRIES: u32 = 200;
    let address = format!("host=127.0.0.1 port={port} user=peers dbname=postgres");
    let mut tries = 0;
    loop {
        match tokio_postgres::connect(&address, NoTls).await {
            Ok((session, connection)) => {
                // What goes wrong on it is what the session's next call says.
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                return Ok(session);
            }
            Err(error) if tries == TRIES => return Err(error.into()),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

struct Poster {
    session: Session,
    post: Statement,
}

impl Poster {
    async fn new(session: Session, load: Load) -> Result<Poster, Failure> {
        let post = session
            .prepare(match load {
                Load::Batch => "SELECT post_batch($1, $2, $3, $4, $5)",
                Load::Single => "SELECT post_one($1, $2, $3, $4, $5)",
            })
            .await?;
        Ok(Poster { session, post })
    }
}

#[expect(clippy::cast_possible_wrap, reason = "there are 1,000 accounts")]
fn account(event: &Event) -> i32 {
    event.account as i32
}

impl Client for Poster {
    async fn send(&mut self, events: &[Event]) -> Result<(), Failure> {
        if let [event] = events {
            let id = Uuid::from_bytes(event.id);
            let (reference, note) = (event.reference(), event.note());
            self.session
                .execute(&self.post, &[&id, &reference, &account(event), &event.amount, &note])
                .await?;
            return Ok(());
        }
        let ids: Vec<Uuid> = events.iter().map(|event| Uuid::from_bytes(event.id)).collect();
        let references: Vec<&str> = events.iter().map(Event::reference).collect();
        let accounts: Vec<i32> = events.iter().map(account).collect();
        let amounts: Vec<i64> = events.iter().map(|event| event.amount).collect();
        let notes: Vec<&str> = events.iter().map(Event::note).collect();
        self.session.execute(&self.post, &[&ids, &references, &accounts, &amounts, &notes]).await?;
        Ok(())
    }
}

/// Whom the server runs as, if not as whom this program runs as.
struct User(Option<(u32, u32)>);

impl User {
    fn of_server() -> Result<User, Failure> {
        if !rustix::process::getuid().is_root() {
            return Ok(User(None));
        }
        let users = std::fs::read_to_string("/etc/passwd")?;
        let found = USERS.iter().find_map(|name| ids(&users, name));
        found.map(|ids| User(Some(ids))).ok_or_else(|| {
            Failure::Refused(
                "PostgreSQL does not run as root, and there is no other user".to_owned(),
            )
        })
    }

    fn own(&self, folder: &Path) -> Result<(), Failure> {
        if let Some((user, group)) = self.0 {
            std::os::unix::fs::chown(folder, Some(user), Some(group))?;
        }
        Ok(())
    }

    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env_remove("PGDATA").env("LC_ALL", OsStr::new("C"));
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command
    }
}

/// User and group of a name in the text of `/etc/passwd`.
fn ids(users: &str, name: &str) -> Option<(u32, u32)> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgresx:x:1:1::/:\npostgres:x:101:104:a,b:/:\n";
        assert_eq!(ids(users, "postgres"), Some((101, 104)));
        assert_eq!(ids(users, "nobody"), None);
    }
}
