//! The command `bergulir`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A server's records are made by one thread and let go of by another; the system's allocator keeps
/// much of that for itself: see `docs/adr/0020-what-a-server-keeps-in-memory.md`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    bergulir_cli::run()
}
