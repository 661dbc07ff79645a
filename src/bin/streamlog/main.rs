//! The command line of streamlog: one Redis command as arguments, a shell, or a pipe that speaks RESP; and tools that look
//! at a store without opening it.
//!
//! Each first word has a file with its arguments, its help and what it does: [`shell`], [`pipe`], [`verify`] and so on;
//! [`args`] lists them, [`once`] runs what is none of them. This one turns what happened into an exit status: 0 done, 1 an
//! error reply or a failing store, 2 wrong usage, 3 damage.

mod add;
mod args;
mod backup;
mod bar;
mod completions;
mod count;
mod dump;
mod export;
mod global;
mod groups;
mod help;
mod import;
mod json;
mod look;
mod man;
mod once;
mod opened;
mod output;
mod pending;
mod pipe;
mod print;
mod repair;
mod retention;
mod shell;
mod stat;
mod style;
mod table;
mod tail;
mod time;
mod top;
mod verify;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use args::CommandLine;
use streamlog::transfer::ImportError;

/// What a run came to, when nothing stopped it; the worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Every command was answered without an error.
    Done,
    /// At least one answer was an error, or something could not be told, which has been printed.
    ErrorReply,
    /// The store is damaged.
    Damaged,
}

/// The exit status of damage. Wrong usage is 2, as everywhere.
const DAMAGED: u8 = 3;

/// What stopped a run.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    match CommandLine::of_this_process().run().or_else(ignore_broken_pipe) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::ErrorReply) => ExitCode::FAILURE,
        Ok(Outcome::Damaged) => ExitCode::from(DAMAGED),
        Err(failure) => match failure.downcast_ref::<clap::Error>() {
            Some(usage) => usage.exit(),
            None => {
                complain(failure.as_ref());
                if let Some(streamlog::Error::Locked { .. }) = failure.downcast_ref() {
                    tell(format_args!("with --read-only, commands that only read work meanwhile"));
                }
                if is_damage(failure.as_ref()) { ExitCode::from(DAMAGED) } else { ExitCode::FAILURE }
            }
        },
    }
}

/// A reader that has seen enough and closed our output (`… | head`) is no failure.
fn ignore_broken_pipe(failure: Failure) -> Result<Outcome, Failure> {
    match failure.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::Done),
        _ => Err(failure),
    }
}

/// Whether it is a damaged store that stopped a run.
fn is_damage(failure: &(dyn Error + 'static)) -> bool {
    match failure.downcast_ref() {
        Some(ImportError::Store(error)) => is_damage(error),
        _ => matches!(failure.downcast_ref(), Some(streamlog::Error::Corrupt { .. })),
    }
}

/// Prints a failure and its causes as one line on standard error.
fn complain(failure: &dyn Error) {
    tell(format_args!("{}", explain(failure)));
}

/// A failure and its causes as one line.
pub fn explain(failure: &dyn Error) -> String {
    let mut line = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    line
}

/// Writes a line to standard error. If nobody is there to read it, there is nobody to tell of that either.
pub fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "streamlog: {line}");
}
