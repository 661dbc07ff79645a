//! One command, given as arguments.

use std::io::{self, Write};

use streamlog::Store;
use streamlog::command::Session;

use crate::print::Format;
use crate::{Failure, Outcome};

/// Runs `command`; its reply goes to standard output, an error reply to standard error.
pub fn run(store: &Store, command: &[Vec<u8>], format: Format) -> Result<Outcome, Failure> {
    let mut session = Session::new(store);
    let reply = session.execute(command);
    let text = format.print(&reply, session.protocol());
    if reply.is_error() {
        io::stderr().write_all(&text)?;
        return Ok(Outcome::ErrorReply);
    }
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()?;
    Ok(Outcome::Done)
}
