//! Telling how the program, one of its first words, or a Redis command is used.

use std::ffi::OsString;
use std::io::Write;

use clap::{Command, CommandFactory};

use crate::args::{Bytes, CommandLine, bytes, wrong_usage};
use crate::shell::help;
use crate::{Failure, Outcome};

const HELP: &str = "\
Examples:
  streamlog help
  streamlog help add
  streamlog help XREADGROUP
  streamlog help XGROUP CREATE";

/// Tell how the program, a first word or a Redis command is used
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A first word, such as `add`, or a Redis command
    #[arg(value_name = "WORD", value_parser = bytes())]
    words: Vec<Bytes>,
}

pub fn run(args: &Args) -> Result<Outcome, Failure> {
    let program = CommandLine::command();
    let first = match &*args.words {
        [] => return overview(program),
        [word] if program.get_subcommands().any(|known| known.get_name().as_bytes() == word) => word,
        words => {
            let text = help::text(words, help::width()).map_err(|wrong| wrong_usage("help", wrong.trim_end()))?;
            anstream::stdout().lock().write_all(text.as_bytes())?;
            return Ok(Outcome::Done);
        }
    };
    // What `--help` comes to, which is an error for the parser.
    let word = OsString::from(String::from_utf8_lossy(first).into_owned());
    let line = ["streamlog".into(), word, "--help".into()];
    match program.try_get_matches_from(line) {
        Err(help) => Err(help.into()),
        Ok(_) => Ok(Outcome::Done),
    }
}

/// What `--help` tells, and the names of the Redis commands.
fn overview(mut program: Command) -> Result<Outcome, Failure> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", program.render_help().ansi())?;
    writeln!(out, "Redis commands:")?;
    out.write_all(help::commands(help::width()).as_bytes())?;
    Ok(Outcome::Done)
}
