//! Those that are compared, a file for each.

mod bergulir;
mod postgres;
mod redis;
mod sqlite;
mod umadb;

use std::path::PathBuf;

use crate::system::System;

/// Their names for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    Bergulir,
    Redis,
    Sqlite,
    Postgres,
    PostgresPlain,
    Umadb,
}

/// Where programs are, as far as it was said.
#[derive(Debug, Clone)]
pub struct Programs {
    pub bergulir: Option<PathBuf>,
    pub umadb: Option<PathBuf>,
}

/// Those of these names, or all, in the order of their turns.
pub fn all(only: &[Name], programs: &Programs) -> Vec<Box<dyn System>> {
    let names = [
        Name::Bergulir,
        Name::Redis,
        Name::Sqlite,
        Name::Postgres,
        Name::PostgresPlain,
        Name::Umadb,
    ];
    let chosen = names.into_iter().filter(|name| only.is_empty() || only.contains(name));
    chosen.map(|name| one(name, programs)).collect()
}

fn one(name: Name, programs: &Programs) -> Box<dyn System> {
    match name {
        Name::Bergulir => Box::new(bergulir::Bergulir::new(programs.bergulir.clone())),
        Name::Redis => Box::new(redis::Redis::new()),
        Name::Sqlite => Box::new(sqlite::Sqlite),
        Name::Postgres => Box::new(postgres::Postgres::chained()),
        Name::PostgresPlain => Box::new(postgres::Postgres::plain()),
        Name::Umadb => Box::new(umadb::Umadb::new(programs.umadb.clone())),
    }
}
