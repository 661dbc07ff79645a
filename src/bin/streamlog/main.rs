//! The command line of streamlog: one Redis command as arguments, a shell, or a pipe that speaks RESP.
//!
//! Each way of being used has a file: [`once`], [`shell`], [`pipe`]. This one picks it, opens the store, closes it,
//! and turns what happened into an exit status: 0 done, 1 an error reply or a failing store, 2 wrong usage.

mod args;
mod once;
mod pipe;
mod print;
mod shell;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use args::{Action, Arguments};
use streamlog::Store;

/// What a run came to, when nothing stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Every command was answered without an error.
    Done,
    /// At least one answer was an error, which has been printed.
    ErrorReply,
}

/// What stopped a run.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let arguments = Arguments::from_command_line();
    let ran = arguments.open().map_err(Failure::from).and_then(|store| run_and_close(&arguments, store));
    match ran {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::ErrorReply) => ExitCode::FAILURE,
        Err(failure) => {
            complain(failure.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for. The store is closed whatever comes of it, because only closing reports a failing sync.
fn run_and_close(arguments: &Arguments, store: Store) -> Result<Outcome, Failure> {
    let ran = match &arguments.action {
        Action::Once(command) => once::run(&store, command, arguments.format()),
        Action::Shell => shell::run(&store, arguments.format()),
        Action::Pipe => pipe::run(&store),
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
