//! `bergulir completions`: what a shell needs to complete commands.

use clap::Args;
use clap_complete::Shell;

use crate::failure::Failure;

/// Print completions for a shell
///
/// Example:
///   bergulir completions bash > ~/.local/share/bash-completion/completions/bergulir
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    let mut command = crate::command();
    clap_complete::generate(args.shell, &mut command, "bergulir", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)?;
    Ok(())
}
