//! The shell: commands from a person at a terminal, or line by line from a script.

mod assist;
pub mod help;
mod history;
pub mod reference;
mod syntax;
mod terminal;

use std::io::{self, BufRead, IsTerminal, Write};

use streamlog::command::{Session, split_line};

use crate::global::Global;
use crate::print::Format;
use crate::style::{BAD, paint};
use crate::{Failure, Outcome};

pub const HELP: &str = "\
Tab completes commands, options, and the names of streams, groups and consumers; the arguments that are yet to come are \
shown faintly, but not without colours (--color, NO_COLOR), where they would look as if they had been typed; `help` tells of \
all commands, `help XADD` of one. The history is kept in $XDG_STATE_HOME/streamlog or ~/.local/state/streamlog.

Where standard input is no terminal, each line of it is a command.

Examples:
  streamlog --store data shell
  printf 'XADD orders * type order.created\\nXLEN orders\\n' | streamlog --store data shell

Exit status: 0 done, 1 an error reply, unless on a terminal, or a failing store, 3 one that cannot be opened for damage.";

/// Reads and runs commands until there are no more.
///
/// For a person, errors are part of the conversation. For a script they are counted: one makes the outcome an error.
pub fn run(global: &Global) -> Result<Outcome, Failure> {
    global.with_commands(|opened| {
        let shell = Shell { session: opened.session(), format: global.format(), outcome: Outcome::Done };
        if io::stdin().is_terminal() { terminal::run(shell, opened) } else { shell.run_script(io::stdin().lock()) }
    })
}

struct Shell {
    session: Session,
    format: Format,
    outcome: Outcome,
}

/// What to do after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Line,
    Leave,
}

impl Shell {
    fn run_script(mut self, mut input: impl BufRead) -> Result<Outcome, Failure> {
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line)? > 0 {
            if self.run_line(&line)? == Next::Leave {
                break;
            }
            line.clear();
        }
        Ok(self.outcome)
    }

    fn run_line(&mut self, line: &[u8]) -> io::Result<Next> {
        match split_line(line) {
            Some(arguments) => self.run_arguments(&arguments),
            None => {
                self.outcome = Outcome::ErrorReply;
                show(b"Invalid argument(s)\n")
            }
        }
    }

    fn run_arguments(&mut self, arguments: &[Vec<u8>]) -> io::Result<Next> {
        let Some((name, rest)) = arguments.split_first() else { return Ok(Next::Line) };
        match name.to_ascii_lowercase().as_slice() {
            b"exit" | b"quit" if rest.is_empty() => Ok(Next::Leave),
            b"help" | b"?" => {
                let (Ok(text) | Err(text)) = help::text(rest, help::width());
                show_styled(&text)
            }
            _ => {
                let reply = self.session.execute(arguments);
                let text = self.format.print(&reply, self.session.protocol());
                if !reply.is_error() {
                    return show(&text);
                }
                self.outcome = Outcome::ErrorReply;
                match self.format {
                    Format::Numbered => show_styled(&paint(BAD, String::from_utf8_lossy(&text).trim_end())),
                    Format::Raw => show(&text),
                }
            }
        }
    }
}

/// Shows text that has colours, where these are wanted.
fn show_styled(text: &str) -> io::Result<Next> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(Next::Line)
}

fn show(text: &[u8]) -> io::Result<Next> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()?;
    Ok(Next::Line)
}
