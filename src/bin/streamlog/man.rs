//! Pages of the manual, from the same options and help texts.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::args::{CommandLine, wrong_usage};
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
        for command in program.get_subcommands().chain([&program]) {
            let page = Page::of(command);
            std::fs::write(dir.join(page.file_name), page.text)?;
        }
        return Ok(Outcome::Done);
    }
    let command = match &args.word {
        None => &program,
        Some(word) => program
            .find_subcommand(word)
            .ok_or_else(|| wrong_usage("man", format!("there is no first word {word:?}")))?,
    };
    io::stdout().write_all(Page::of(command).text.as_bytes())?;
    Ok(Outcome::Done)
}

struct Page {
    file_name: String,
    /// For `man`: roff.
    text: String,
}

impl Page {
    fn of(command: &Command) -> Self {
        let man = Man::new(command.clone()).source(concat!("streamlog ", env!("CARGO_PKG_VERSION")));
        let mut text = Vec::new();
        man.render(&mut text).expect("a Vec takes everything");
        Self { file_name: man.get_filename(), text: with_sections(&String::from_utf8_lossy(&text)) }
    }
}

/// What stands behind the options is one section for the generator. It is told apart here as pages of the manual do, and
/// examples keep their lines.
fn with_sections(page: &str) -> String {
    let mut text = String::new();
    for line in page.lines() {
        text += &match line.strip_prefix("Exit status: ") {
            _ if line == ".SH EXTRA" => ".SH NOTES".to_owned(),
            _ if line == "Examples:" => ".SH EXAMPLES\n.nf".to_owned(),
            Some(status) => format!(".fi\n.SH EXIT STATUS\n{status}"),
            None => line.to_owned(),
        };
        text.push('\n');
    }
    // Not every page tells of its status.
    text.push_str(".fi\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_the_sections_one_looks_for() {
        let mut program = CommandLine::command();
        program.build();
        let page = Page::of(program.find_subcommand("verify").unwrap());
        assert_eq!(page.file_name, "streamlog-verify.1");
        let sections: Vec<_> = page.text.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        let expected = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "NOTES", "EXAMPLES", "EXIT STATUS"];
        assert_eq!(sections, expected);
        assert!(page.text.contains("\n.nf\n  streamlog \\-\\-store data verify\n"), "{}", page.text);
    }
}
