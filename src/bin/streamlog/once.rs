//! One command, given as arguments.

use std::io::{self, Write};

use streamlog::command::Session;

use crate::args::Bytes;
use crate::global::Global;
use crate::print::Format;
use crate::{Failure, Outcome};

/// Runs `command`; its reply goes to standard output, an error reply to standard error.
pub fn run(global: &Global, command: Vec<Bytes>) -> Result<Outcome, Failure> {
    global.with_commands(|opened| run_on(opened.session(), &command, global.format()))
}

fn run_on(mut session: Session, command: &[Bytes], format: Format) -> Result<Outcome, Failure> {
    let reply = session.execute(command);
    let text = format.print(&reply, session.protocol());
    if reply.is_error() {
        // If nobody is there to read it, the status says so.
        let _ = io::stderr().write_all(&text);
        return Ok(Outcome::ErrorReply);
    }
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()?;
    Ok(Outcome::Done)
}
