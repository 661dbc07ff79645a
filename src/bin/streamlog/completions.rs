//! Completion for shells, from the same options that are parsed.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::CommandLine;
use crate::{Failure, Outcome};

const HELP: &str = "\
For bash, put it into ~/.local/share/bash-completion/completions/streamlog, or source it; for zsh, into a directory of \
$fpath; for fish, into ~/.config/fish/completions.

Examples:
  streamlog completions bash > streamlog.bash
  streamlog completions zsh > _streamlog
  streamlog completions fish > streamlog.fish";

/// Write a script that has a shell complete the options of this program
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// For which shell
    shell: Shell,
}

pub fn run(args: &Args) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut CommandLine::command(), "streamlog", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Outcome::Done)
}
