//! What the exit code of the program means.

use std::process::ExitCode;

/// Done; for a verification: valid.
pub(crate) const DONE: u8 = 0;
/// Refused by a rule, or because the input is wrong, and nothing was recorded; for a verification:
/// invalid; for a look at a configuration or a server: something is wrong.
pub(crate) const REFUSED: u8 = 1;
/// The command line is wrong, or it could not be told: no server, no such file, a key or a policy that
/// cannot be used, a torn last frame.
pub(crate) const COULD_NOT_TELL: u8 = 2;
/// The server may or may not have recorded the command.
pub(crate) const OUTCOME_UNKNOWN: u8 = 3;

/// The same for people, at the end of `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done; for a verification: valid
  1  refused by a rule or because the input is wrong: nothing was recorded; for a verification:
     invalid; for `config check` and `status`: something is wrong
  2  the command line is wrong, or it could not be told (no server, no such file, a key or policy
     that cannot be used, a torn frame)
  3  the outcome is unknown: send the same command again with the same --request-id

Examples:
  bergulir demo
  bergulir serve --data ./data
  bergulir audit verify ./data
  bergulir help fund allocate";

/// The code as the operating system takes it.
pub(crate) fn code(code: u8) -> ExitCode {
    ExitCode::from(code)
}
