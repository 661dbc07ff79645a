//! Completion for shells, from the same options that are parsed, and of the names of Redis commands.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::args::CommandLine;
use crate::shell::reference;
use crate::{Failure, Outcome};

const HELP: &str = "\
For bash, put it into ~/.local/share/bash-completion/completions/streamlog, or source it; for zsh, into a directory of \
$fpath; for fish, into ~/.config/fish/completions.

Examples:
  streamlog completions bash > streamlog.bash
  streamlog completions zsh > _streamlog
  streamlog completions fish > streamlog.fish";

/// Write a script that has a shell complete options, first words and Redis commands
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// For which shell
    shell: Shell,
}

pub fn run(args: &Args) -> Result<Outcome, Failure> {
    let mut program = redis_commands().into_iter().fold(CommandLine::command(), Command::subcommand);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "streamlog", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Outcome::Done)
}

/// The Redis commands as first words, those of two words as subcommands of the first.
fn redis_commands() -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for entry in reference::all() {
        let (first, second) =
            entry.name.split_once(' ').map_or((entry.name, None), |(first, rest)| (first, Some(rest)));
        let at = commands.iter().position(|command| command.get_name() == first).unwrap_or_else(|| {
            commands.push(plain(first));
            commands.len() - 1
        });
        if let Some(command) = commands.get_mut(at) {
            let taken = std::mem::take(command);
            *command = match second {
                None => taken.about(entry.summary),
                Some(name) => taken.subcommand(plain(name).about(entry.summary)),
            };
        }
    }
    commands
}

/// A command without options: all that follows it is its own.
fn plain(name: &'static str) -> Command {
    Command::new(name).disable_help_flag(true).disable_help_subcommand(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_two_words_are_below_their_first_and_each_is_explained() {
        let commands = redis_commands();
        let find = |name: &str| commands.iter().find(|command| command.get_name() == name).unwrap();
        assert_eq!(find("XADD").get_subcommands().count(), 0);
        assert!(find("XADD").get_about().is_some());
        let group: Vec<_> = find("XGROUP").get_subcommands().map(Command::get_name).collect();
        assert!(group.contains(&"CREATE") && group.contains(&"SETID"), "{group:?}");
        assert!(find("XGROUP").get_subcommands().all(|command| command.get_about().is_some()));
        let names = streamlog::command::names();
        let firsts = names.iter().map(|name| name.split(' ').next().unwrap());
        assert_eq!(firsts.filter(|name| !commands.iter().any(|command| command.get_name() == *name)).count(), 0);
    }
}
