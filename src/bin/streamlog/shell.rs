//! The shell: commands from a person at a terminal, or line by line from a script.

mod history;
mod terminal;

use std::io::{self, BufRead, IsTerminal, Write};

use streamlog::command::{Session, split_line};

use crate::global::Global;
use crate::print::Format;
use crate::{Failure, Outcome};

const HELP: &str = r#"Type a Redis command, for example:
  XADD orders * type order.created total 49.99
  XRANGE orders - + COUNT 10
  XGROUP CREATE orders workers 0
  XREADGROUP GROUP workers alice BLOCK 5000 STREAMS orders >
Arguments are separated by blanks. "a b" and 'a b' are one argument; in double
quotes, \n \r \t \b \a, \xHH (a byte in hexadecimal), \\ and \" are understood.
Tab completes command names, up and down walk through the history.
help shows this; exit, quit or Ctrl-D leaves; Ctrl-C gives up a line.
"#;

/// Reads and runs commands until there are no more.
///
/// For a person, errors are part of the conversation. For a script they are counted: one makes the outcome an error.
pub fn run(global: &Global) -> Result<Outcome, Failure> {
    global.with_store(|store| {
        let shell = Shell { session: Session::new(store), format: global.format(), outcome: Outcome::Done };
        if io::stdin().is_terminal() { terminal::run(shell) } else { shell.run_script(io::stdin().lock()) }
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
            b"help" | b"?" => show(HELP.as_bytes()),
            _ => {
                let reply = self.session.execute(arguments);
                if reply.is_error() {
                    self.outcome = Outcome::ErrorReply;
                }
                show(&self.format.print(&reply, self.session.protocol()))
            }
        }
    }
}

fn show(text: &[u8]) -> io::Result<Next> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()?;
    Ok(Next::Line)
}
