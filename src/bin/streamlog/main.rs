//! The command line of streamlog: one Redis command as arguments, a shell, or a pipe that speaks RESP; and tools that look
//! at a store without opening it.
//!
//! Each way of being used has a file: [`once`], [`shell`], [`pipe`]; [`verify`], [`dump`], [`stat`]. This one picks it, opens
//! the store if need be, closes it, and turns what happened into an exit status: 0 done, 1 an error reply or a failing store,
//! 2 wrong usage or damage.

mod args;
mod dump;
mod json;
mod look;
mod once;
mod pipe;
mod print;
mod repair;
mod shell;
mod stat;
mod verify;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use args::{Action, Arguments};
use streamlog::Store;

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

/// What stopped a run.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let arguments = Arguments::from_command_line();
    let ran = match look(&arguments) {
        Some(looked) => looked.or_else(ignore_broken_pipe),
        None => arguments.open().map_err(Failure::from).and_then(|store| run_and_close(&arguments, store)),
    };
    match ran {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::ErrorReply) => ExitCode::FAILURE,
        Ok(Outcome::Damaged) => ExitCode::from(2),
        Err(failure) => {
            complain(failure.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// Does what needs no open store; `None` if that is not what was asked for.
fn look(arguments: &Arguments) -> Option<Result<Outcome, Failure>> {
    let path = arguments.directory()?;
    Some(match &arguments.action {
        Action::Verify(wanted) => verify::run(path, wanted),
        Action::Repair { wanted, apply } => repair::run(path, wanted, apply.then(|| arguments.options_for_repair())),
        Action::Dump(wanted) => dump::run(path, wanted),
        Action::Stat(wanted) => stat::run(path, wanted),
        _ => return None,
    })
}

/// Runs what was asked for. The store is closed whatever comes of it, because only closing reports a failing sync.
fn run_and_close(arguments: &Arguments, store: Store) -> Result<Outcome, Failure> {
    let ran = match &arguments.action {
        Action::Once(command) => once::run(&store, command, arguments.format()),
        Action::Shell => shell::run(&store, arguments.format()),
        Action::Pipe => pipe::run(&store),
        // Of a store in memory, which holds nothing.
        Action::Verify(_) | Action::Repair { .. } | Action::Dump(_) | Action::Stat(_) => {
            Err("there are no files to look at".into())
        }
    };
    let ran = ran.or_else(ignore_broken_pipe);
    match (ran, store.close()) {
        (ran, Ok(())) => ran,
        (Ok(_), Err(closing)) => Err(closing.into()),
        (Err(running), Err(closing)) => {
            complain(running.as_ref());
            Err(closing.into())
        }
    }
}

/// A reader that has seen enough and closed our output (`… | head`) is no failure.
fn ignore_broken_pipe(failure: Failure) -> Result<Outcome, Failure> {
    match failure.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::Done),
        _ => Err(failure),
    }
}

/// Prints a failure and its causes as one line on standard error.
fn complain(failure: &dyn Error) {
    let mut line = format!("streamlog: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    eprintln!("{line}");
}
