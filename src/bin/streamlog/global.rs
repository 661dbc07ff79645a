//! The options that go before the first word: which store, how safe, how to print.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;
use streamlog::{Durability, Options, Store};

use crate::args::CommandLine;
use crate::opened::Opened;
use crate::print::Format;
use crate::style::When;
use crate::{Failure, Outcome, complain, ignore_broken_pipe, time};

const STORE_VARIABLE: &str = "STREAMLOG_STORE";

#[derive(Debug, clap::Args)]
pub struct Global {
    /// The directory of the store, created by what writes if it is missing [env: STREAMLOG_STORE]
    #[arg(short, long, value_name = "DIR", conflicts_with = "in_memory")]
    store: Option<PathBuf>,

    /// Use an empty store in memory, which is gone afterwards
    #[arg(long)]
    in_memory: bool,

    /// Only read: works while another process writes, and does not hold it up
    #[arg(long, conflicts_with = "in_memory")]
    read_only: bool,

    /// What has to happen before a command is answered: `always` syncs it to the disk, `interval:TIME`,
    /// such as interval:200ms, syncs that often in the background, `os` leaves it to the operating system
    #[arg(long, value_name = "LEVEL", default_value = "always", value_parser = parse_durability)]
    durability: Durability,

    /// Print replies as plain text, one line each (the default if standard output is not a terminal)
    #[arg(long, overrides_with = "no_raw")]
    raw: bool,

    /// Print replies with types and numbers, for people (the default on a terminal)
    #[arg(long, overrides_with = "raw")]
    no_raw: bool,

    /// Use colours: by default where a terminal shows them, and NO_COLOR is not set
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub color: When,
}

impl Global {
    /// How a store is opened.
    pub fn options(&self) -> Options {
        Options::new().durability(self.durability)
    }

    /// The directory of the store, for what works on its files.
    pub fn directory(&self) -> Result<PathBuf, Failure> {
        self.place()?.ok_or_else(|| wrong_use("there are no files: the store is in memory"))
    }

    /// The directory of the store, for what changes its files by itself.
    pub fn directory_to_write(&self) -> Result<PathBuf, Failure> {
        self.check_writable()?;
        self.directory()
    }

    fn check_writable(&self) -> Result<(), Failure> {
        if self.read_only { Err(wrong_use("with --read-only nothing can be written")) } else { Ok(()) }
    }

    /// Opens the store for commands, as [`with_store`](Self::with_store) does, or for reading only.
    pub fn with_commands(&self, run: impl FnOnce(&Opened) -> Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        match self.read_only {
            true => run(&Opened::ReadOnly(Store::open_read_only(self.directory()?)?)),
            false => self.with_store(|store| run(&Opened::Writable(store.clone()))),
        }
    }

    /// Opens the store, and closes it whatever comes of `run`, because only closing reports a failing sync.
    pub fn with_store(&self, run: impl FnOnce(&Store) -> Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        self.check_writable()?;
        let store = match self.place()? {
            Some(path) => self.options().open(path)?,
            None => self.options().in_memory(),
        };
        let ran = run(&store).or_else(ignore_broken_pipe);
        match (ran, store.close()) {
            (ran, Ok(())) => ran,
            (Ok(_), Err(closing)) => Err(closing.into()),
            (Err(running), Err(closing)) => {
                complain(running.as_ref());
                Err(closing.into())
            }
        }
    }

    /// How to print replies.
    pub fn format(&self) -> Format {
        let for_people = self.no_raw || (!self.raw && std::io::stdout().is_terminal());
        if for_people { Format::Numbered } else { Format::Raw }
    }

    /// The directory of the store; `None` if it is in memory. The options decide; the environment is for when they say
    /// nothing.
    fn place(&self) -> Result<Option<PathBuf>, Failure> {
        if self.in_memory {
            return Ok(None);
        }
        let variable = || std::env::var_os(STORE_VARIABLE).filter(|path| !path.is_empty());
        match self.store.as_deref().map(Path::to_owned).or_else(|| variable().map(PathBuf::from)) {
            Some(path) => Ok(Some(path)),
            None => {
                let message =
                    format!("no store: give --store DIR or --in-memory before the command, or set {STORE_VARIABLE}");
                Err(CommandLine::command().error(ErrorKind::MissingRequiredArgument, message).into())
            }
        }
    }
}

/// The failure of options that do not go with what is to be done.
fn wrong_use(message: &str) -> Failure {
    CommandLine::command().error(ErrorKind::ArgumentConflict, message).into()
}

fn parse_durability(text: &str) -> Result<Durability, String> {
    match text {
        "always" => Ok(Durability::Always),
        "os" => Ok(Durability::Os),
        _ => text
            .strip_prefix("interval:")
            .and_then(|interval| time::parse(interval).ok())
            .filter(|interval| !interval.is_zero())
            .map(Durability::Interval)
            .ok_or_else(|| "expected always, os, or interval:TIME such as interval:1s or interval:200ms".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn durability_levels() {
        assert_eq!(parse_durability("always"), Ok(Durability::Always));
        assert_eq!(parse_durability("os"), Ok(Durability::Os));
        for half in ["interval:0.5", "interval:500ms"] {
            assert_eq!(parse_durability(half), Ok(Durability::Interval(Duration::from_millis(500))));
        }
        for wrong in ["", "Always", "interval", "interval:", "interval:0", "interval:-1", "interval:nan", "interval:x"]
        {
            assert!(parse_durability(wrong).is_err(), "{wrong:?}");
        }
    }
}
