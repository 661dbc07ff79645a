//! Pages of the manual, from the same options and help texts.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::CommandLine;
use crate::{Failure, Outcome};

const HELP: &str = "\
Examples:
  streamlog man > streamlog.1
  streamlog man add > streamlog-add.1
  streamlog man --dir man1                        # all of them";

/// Write a page of the manual: of the program, or of what a first word does
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Write all pages into this directory, which is created if missing
    #[arg(long, conflicts_with = "word")]
    dir: Option<PathBuf>,

    /// A first word, such as `add`
    word: Option<String>,
}

pub fn run(args: &Args) -> Result<Outcome, Failure> {
    let mut program = CommandLine::command();
    program.build();
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir)?;
        clap_mangen::generate_to(program, dir)?;
        return Ok(Outcome::Done);
    }
    let page = match &args.word {
        None => program,
        Some(word) => program.find_subcommand(word).ok_or_else(|| format!("there is no first word {word:?}"))?.clone(),
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text)?;
    io::stdout().write_all(&text)?;
    Ok(Outcome::Done)
}
