//! The arguments of the program: options first, then a word that says what to do.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use streamlog::{Durability, OnDamage, Options, Result, Store};

use crate::look::Wanted;
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
  streamlog verify

Exit status: 0 done, 1 an error reply or a failing store, 2 wrong usage; of verify, repair, dump and stat also damage.";

const VERIFY: &str = "\
Nothing is written or locked: the store may be in use, or on read-only media. Damage is told with file, offset and the
IDs that may be affected; a line that begins with `note` is of something that opening the stream mends at no loss.

Examples:
  streamlog --store data verify
  streamlog --store data verify --json orders | jq '.streams[].findings'

Exit status: 0 sound, 2 damaged, 1 could not tell.";

const REPAIR: &str = "\
Without --apply nothing is written: it is told what is damaged and what a repair would do. With it, what can be read is
kept as it is, and the rest counts as deleted. Files that are replaced are copied to the store's folder `quarantine`
first. The store must not be in use then, and needs room for the copies.

Examples:
  streamlog --store data repair
  streamlog --store data repair --apply orders

Exit status: 0 nothing is damaged, or all of it was repaired; 2 damaged; 1 could not tell, or not repair.";

const DUMP: &str = "\
Nothing is written or locked. The same state gives the same text: dumps can be compared with diff. With --json, each
line is an object. Bytes that are not printable are written as \\xHH, and a backslash as \\\\, in both.

Examples:
  streamlog --store data dump > before.txt
  streamlog --store copy dump orders | diff - before.txt
  streamlog --store data dump --json | jq -r 'select(.type == \"pending\") | .id'

Exit status: 0 done, 2 something is damaged and told in its place, 1 something could not be read.";

const STAT: &str = "\
Nothing is written or locked. Sizes are in bytes.

Examples:
  streamlog --store data stat
  streamlog --store data stat --json | jq '.streams[] | {name, entries, bytes_per_entry}'

Exit status: 0 done, 2 a stream cannot be opened for damage, 1 something could not be read.";

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
    /// Check everything.
    Verify(Wanted),
    /// End damage for good, or tell what that would take.
    Repair { wanted: Wanted, apply: bool },
    /// Write everything down.
    Dump(Wanted),
    /// Tell sizes and counts.
    Stat(Wanted),
}

/// Redis Streams in a directory: run stream commands without a server.
#[derive(Parser)]
#[command(name = "streamlog", version, after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(
    override_usage = "streamlog [OPTIONS] COMMAND [ARGUMENT]...\n       streamlog [OPTIONS] [shell | pipe]\n       streamlog [OPTIONS] {verify | repair | dump | stat} [--json] [STREAM]..."
)]
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
    /// Check everything in the store, or in some streams, without opening it
    #[command(after_help = VERIFY)]
    Verify(Selection),
    /// End damage for good; tells what it would do unless told to do it
    #[command(after_help = REPAIR)]
    Repair {
        /// Do it
        #[arg(long)]
        apply: bool,

        #[command(flatten)]
        selection: Selection,
    },
    /// Write the whole state as text, without opening the store
    #[command(after_help = DUMP)]
    Dump(Selection),
    /// Tell sizes and counts, without opening the store
    #[command(after_help = STAT)]
    Stat(Selection),
    #[command(external_subcommand)]
    Command(Vec<OsString>),
}

#[derive(clap::Args)]
struct Selection {
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,

    /// The names of streams; all if there is none
    #[arg(value_name = "STREAM")]
    streams: Vec<OsString>,
}

impl From<Selection> for Wanted {
    fn from(selection: Selection) -> Self {
        let streams = selection.streams.into_iter().map(OsString::into_vec).collect();
        Self { streams, json: selection.json }
    }
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
                Some(FirstWord::Verify(selection)) => Action::Verify(selection.into()),
                Some(FirstWord::Repair { apply, selection }) => Action::Repair { wanted: selection.into(), apply },
                Some(FirstWord::Dump(selection)) => Action::Dump(selection.into()),
                Some(FirstWord::Stat(selection)) => Action::Stat(selection.into()),
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

    /// How a store is opened for a repair.
    pub fn options_for_repair(&self) -> Options {
        Options::new().create(false).on_damage(OnDamage::Quarantine)
    }

    /// The directory of the store, unless it is in memory.
    pub fn directory(&self) -> Option<&Path> {
        match &self.store {
            Place::Directory(path) => Some(path),
            Place::Memory => None,
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
