//! The arguments of the program: options first, then a word that says what to do.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use streamlog::{Durability, Options, Result, Store};

use crate::print::Format;

const STORE_VARIABLE: &str = "STREAMLOG_STORE";

const EXAMPLES: &str = "\
Any other first word is a Redis command, and everything after it goes to that command as it is.
Without a first word the shell starts.

Examples:
  streamlog --store data XADD orders '*' type order.created total 49.99
  streamlog --store data XRANGE orders - + COUNT 10
  streamlog --store data shell
  export STREAMLOG_STORE=data
  streamlog XREAD BLOCK 0 STREAMS orders '$'
  streamlog XREADGROUP GROUP workers alice COUNT 10 STREAMS orders '>'
  printf 'XADD t * c 20.5\\r\\nXLEN t\\r\\n' | streamlog pipe

Exit status: 0 done, 1 an error reply or a failing store, 2 wrong usage.";

/// What was asked for on the command line.
#[derive(Debug)]
pub struct Arguments {
    store: Place,
    durability: Durability,
    format: Format,
    /// What to do with the store.
    pub action: Action,
}

#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    Memory,
}

/// What to do with the store.
#[derive(Debug)]
pub enum Action {
    /// Run one command.
    Once(Vec<Vec<u8>>),
    /// Read commands from a person.
    Shell,
    /// Read commands from a program.
    Pipe,
}

/// Redis Streams in a directory: run stream commands without a server.
#[derive(Parser)]
#[command(name = "streamlog", version, after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(override_usage = "streamlog [OPTIONS] COMMAND [ARGUMENT]...\n       streamlog [OPTIONS] [shell | pipe]")]
struct CommandLine {
    /// The directory of the store, created if missing [env: STREAMLOG_STORE]
    #[arg(short, long, value_name = "DIR", conflicts_with = "in_memory")]
    store: Option<PathBuf>,

    /// Use an empty store in memory, which is gone afterwards
    #[arg(long)]
    in_memory: bool,

    /// What has to happen before a command is answered: `always` syncs it to the disk, `interval:SECONDS` syncs that
    /// often in the background, `os` leaves it to the operating system
    #[arg(long, value_name = "LEVEL", default_value = "always", value_parser = parse_durability)]
    durability: Durability,

    /// Print replies as plain text, one line each (the default if standard output is not a terminal)
    #[arg(long, overrides_with = "no_raw")]
    raw: bool,

    /// Print replies with types and numbers, for people (the default on a terminal)
    #[arg(long, overrides_with = "raw")]
    no_raw: bool,

    #[command(subcommand)]
    action: Option<FirstWord>,
}

#[derive(Subcommand)]
enum FirstWord {
    /// Type commands: line editing, history, completion, `help` (the default)
    Shell,
    /// Read commands from standard input as RESP or plain lines, write RESP replies to standard output
    Pipe,
    #[command(external_subcommand)]
    Command(Vec<OsString>),
}

impl Arguments {
    /// Reads the arguments of this process; ends it for `--help`, `--version` and wrong usage.
    pub fn from_command_line() -> Self {
        let line = CommandLine::parse();
        Self {
            store: line.place().unwrap_or_else(|| {
                let message = format!("no store: give --store DIR or --in-memory, or set {STORE_VARIABLE}");
                CommandLine::command().error(ErrorKind::MissingRequiredArgument, message).exit()
            }),
            durability: line.durability,
            format: line.format(),
            action: match line.action {
                Some(FirstWord::Command(words)) => Action::Once(words.into_iter().map(OsString::into_vec).collect()),
                Some(FirstWord::Pipe) => Action::Pipe,
                Some(FirstWord::Shell) | None => Action::Shell,
            },
        }
    }

    /// Opens the store.
    pub fn open(&self) -> Result<Store> {
        let options = Options::new().durability(self.durability);
        match &self.store {
            Place::Directory(path) => options.open(path),
            Place::Memory => Ok(options.in_memory()),
        }
    }

    /// How to print replies.
    pub fn format(&self) -> Format {
        self.format
    }
}

impl CommandLine {
    /// The options decide; the environment is for when they say nothing.
    fn place(&self) -> Option<Place> {
        match &self.store {
            _ if self.in_memory => Some(Place::Memory),
            Some(path) => Some(Place::Directory(path.clone())),
            None => {
                let path = std::env::var_os(STORE_VARIABLE).filter(|path| !path.is_empty())?;
                Some(Place::Directory(path.into()))
            }
        }
    }

    fn format(&self) -> Format {
        let for_people = self.no_raw || (!self.raw && std::io::stdout().is_terminal());
        if for_people { Format::Numbered } else { Format::Raw }
    }
}

fn parse_durability(text: &str) -> Result<Durability, String> {
    match text {
        "always" => Ok(Durability::Always),
        "os" => Ok(Durability::Os),
        _ => text
            .strip_prefix("interval:")
            .and_then(|seconds| Duration::try_from_secs_f64(seconds.parse().ok()?).ok())
            .filter(|interval| !interval.is_zero())
            .map(Durability::Interval)
            .ok_or_else(|| "expected always, os or interval:SECONDS, with more than 0 seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn durability_levels() {
        assert_eq!(parse_durability("always"), Ok(Durability::Always));
        assert_eq!(parse_durability("os"), Ok(Durability::Os));
        assert_eq!(parse_durability("interval:0.5"), Ok(Durability::Interval(Duration::from_millis(500))));
        for wrong in ["", "Always", "interval", "interval:", "interval:0", "interval:-1", "interval:nan", "interval:x"]
        {
            assert!(parse_durability(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn everything_after_the_command_is_left_alone() {
        let line = CommandLine::parse_from(["streamlog", "--in-memory", "XADD", "s", "--", "-1", "--store", "--help"]);
        let Some(FirstWord::Command(words)) = line.action else { panic!("not a command") };
        assert_eq!(words, ["XADD", "s", "--", "-1", "--store", "--help"]);
        assert!(line.store.is_none());
    }
}
