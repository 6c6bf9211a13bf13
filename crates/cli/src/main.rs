//! The command `bergulir`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bergulir_cli::run()
}
