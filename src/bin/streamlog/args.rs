//! The arguments of the program: options first, then a word that says what to do.
//!
//! What follows a word of ours is declared in the file that does it, beside its help text and its `run`. To add one, add
//! a variant to [`FirstWord`] and its line to [`CommandLine::run`].

use std::ffi::{OsStr, OsString};
use std::fmt::Display;

use clap::builder::{OsStringValueParser, Resettable, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Command, CommandFactory, Parser, Subcommand};

use crate::global::Global;
use crate::{
    Failure, Outcome, add, backup, completions, dump, export, groups, help, import, man, once, pending, pipe, repair,
    retention, shell, stat, tail, top, verify,
};

const EXAMPLES: &str = "\
Any other first word is a Redis command, and everything after it goes to that command as it is; `help XADD` tells of one.
Without a first word the shell starts.

Examples:
  streamlog --store data XADD orders '*' type order.created total 49.99
  streamlog --store data XRANGE orders - + COUNT 10
  streamlog --store data shell
  streamlog --in-memory shell
  export STREAMLOG_STORE=data
  streamlog --read-only XREAD BLOCK 0 STREAMS orders '$'
  streamlog XREADGROUP GROUP workers alice COUNT 10 STREAMS orders '>'
  streamlog --raw XRANGE orders - + | wc -l
  streamlog --durability interval:1s add flights --file flights.csv.gz
  streamlog --read-only XINFO STREAM orders
  streamlog top
  streamlog --color always groups | cat

Exit status: 0 done, 1 an error reply, also of a damaged stream, or a failing store, 2 wrong usage, 3 what looks at a store or \
opens it found damage.";

/// Redis Streams in a directory: run stream commands without a server.
#[derive(Parser)]
#[command(name = "streamlog", version, after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(override_usage = "streamlog [OPTIONS] [COMMAND]\n       streamlog [OPTIONS] REDIS-COMMAND [ARGUMENT]...")]
pub struct CommandLine {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    first: Option<FirstWord>,
}

#[derive(Subcommand)]
enum FirstWord {
    /// Type commands: line editing, history, completion, hints, `help` (the default)
    #[command(after_help = shell::HELP)]
    Shell,
    /// Read commands from standard input as RESP or plain lines, write RESP replies to standard output
    #[command(after_help = pipe::HELP)]
    Pipe,
    Add(add::Args),
    Top(top::Args),
    Groups(groups::Args),
    Pending(pending::Args),
    Verify(verify::Args),
    Repair(repair::Args),
    Dump(dump::Args),
    Stat(stat::Args),
    Export(export::Args),
    Import(import::Args),
    Backup(backup::Args),
    Restore(backup::RestoreArgs),
    Retention(retention::Args),
    Tail(tail::Args),
    Completions(completions::Args),
    Man(man::Args),
    Help(help::Args),
    #[command(external_subcommand)]
    Command(Vec<OsString>),
}

impl CommandLine {
    /// Reads the arguments of this process; ends it for `--help`, `--version` and wrong usage.
    pub fn of_this_process() -> Self {
        Self::parse()
    }

    /// Does what was asked for.
    pub fn run(self) -> Result<Outcome, Failure> {
        let global = self.global;
        global.color.apply();
        match self.first.unwrap_or(FirstWord::Shell) {
            FirstWord::Command(words) => {
                check_command(words.first())?;
                once::run(&global, words.into_iter().map(bytes_of).collect())
            }
            FirstWord::Shell => shell::run(&global),
            FirstWord::Pipe => pipe::run(&global),
            FirstWord::Add(args) => add::run(&global, &args),
            FirstWord::Top(args) => top::run(&global, &args),
            FirstWord::Groups(args) => groups::run(&global, &args),
            FirstWord::Pending(args) => pending::run(&global, &args),
            FirstWord::Verify(args) => verify::run(&global, &args),
            FirstWord::Repair(args) => repair::run(&global, &args),
            FirstWord::Dump(args) => dump::run(&global, &args),
            FirstWord::Stat(args) => stat::run(&global, &args),
            FirstWord::Export(args) => export::run(&global, &args),
            FirstWord::Import(args) => import::run(&global, &args),
            FirstWord::Backup(args) => backup::run(&global, &args),
            FirstWord::Restore(args) => backup::restore(&global, &args),
            FirstWord::Retention(args) => retention::run(&global, &args),
            FirstWord::Tail(args) => tail::run(&global, &args),
            FirstWord::Completions(args) => completions::run(&args),
            FirstWord::Man(args) => man::run(&args),
            FirstWord::Help(args) => help::run(&args),
        }
    }
}

/// Refuses a first word that is no command of Redis, before a store is made for a slip of the finger.
fn check_command(word: Option<&OsString>) -> Result<(), Failure> {
    let Some(word) = word else { return Ok(()) };
    let names = streamlog::command::names();
    let names = names.iter().filter_map(|name| name.split(' ').next());
    if names.clone().any(|name| word.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    // The parser says what is similar, if it knows all there is, written as the word is. It keeps names for ever.
    let is_lower = word.to_string_lossy().chars().any(char::is_lowercase);
    let mut commands: Vec<_> = names.map(|name| if is_lower { name.to_lowercase() } else { name.to_owned() }).collect();
    commands.dedup();
    let commands = commands.into_iter().map(|name| Command::new(&*name.leak()));
    let program = CommandLine::command().subcommands(commands).allow_external_subcommands(false);
    let program = program.external_subcommand_value_parser(Resettable::Reset);
    match program.try_get_matches_from([OsStr::new("streamlog"), word]) {
        Err(unknown) => Err(unknown.into()),
        Ok(_) => Ok(()),
    }
}

/// The failure of what is asked for in the wrong way, behind a first word, where only more than one option together tells.
pub fn wrong_usage(word: &str, message: impl Display) -> Failure {
    let mut program = CommandLine::command();
    program.build();
    let command = program.find_subcommand_mut(word);
    command.map_or_else(
        || message.to_string().into(),
        |command| command.error(ErrorKind::ArgumentConflict, &message).into(),
    )
}

/// A name, which is any bytes. Not spelled out where it is an argument, because clap takes a `Vec` for a list.
pub type Bytes = Vec<u8>;

/// Takes any argument as it is.
pub fn bytes() -> impl TypedValueParser<Value = Bytes> {
    OsStringValueParser::new().map(bytes_of)
}

fn bytes_of(argument: OsString) -> Bytes {
    argument.into_encoded_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn everything_after_the_command_is_left_alone() {
        let line = CommandLine::parse_from(["streamlog", "--in-memory", "XADD", "s", "--", "-1", "--store", "--help"]);
        let Some(FirstWord::Command(words)) = line.first else { panic!("not a command") };
        assert_eq!(words, ["XADD", "s", "--", "-1", "--store", "--help"]);
    }
}
