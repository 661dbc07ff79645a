//! Commands from a program: RESP or inline commands on standard input, RESP replies on standard output, in order.
//!
//! A reply exists once its command has returned, which is when its durability level holds. So replies can be
//! collected and written together, as long as nothing waits while some are held back: they are written before more
//! input is waited for, before a command that may block, and when there are many.

use std::io::{self, BufRead, ErrorKind, Write};

use streamlog::command::{Decoder, Reply, Session};

use crate::global::Global;
use crate::{Failure, Outcome};

pub const HELP: &str = "\
For programs: what is written to a Redis server can be written here, and the same comes back. A reply comes when its \
command is done at the level of --durability. QUIT, or the end of the input, ends it.

Examples:
  printf 'XADD t * c 20.5\\r\\nXLEN t\\r\\n' | streamlog --store data pipe
  printf '*2\\r\\n$4\\r\\nXLEN\\r\\n$6\\r\\norders\\r\\n' | streamlog --store data pipe

Exit status: 0 done, 1 what is read is no command, or a failing store, 3 one that cannot be opened for damage. Error replies \
are no failure.";

/// How many bytes of replies are collected before they are written.
const REPLIES_LEN_MAX: usize = 64 << 10;

/// Answers commands until the input ends. Error replies are for the program at the other end and no failure.
pub fn run(global: &Global) -> Result<Outcome, Failure> {
    global.with_commands(|opened| {
        let pipe = Pipe { session: opened.session(), out: io::stdout().lock(), replies: Vec::new() };
        pipe.run(io::stdin().lock())
    })
}

struct Pipe<W> {
    session: Session,
    out: W,
    replies: Vec<u8>,
}

/// What to do after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Command,
    End,
}

impl<W: Write> Pipe<W> {
    fn run(mut self, mut input: impl BufRead) -> Result<Outcome, Failure> {
        let mut decoder = Decoder::new();
        loop {
            while let Some(command) = self.decode(&mut decoder)? {
                if self.answer(&command)? == Next::End {
                    self.flush()?;
                    return Ok(Outcome::Done);
                }
            }
            self.flush()?;
            match input.fill_buf() {
                Ok([]) if !decoder.is_partial() => return Ok(Outcome::Done),
                Ok([]) => return Err("the input ends in the middle of a command".into()),
                Ok(bytes) => {
                    decoder.feed(bytes);
                    let len = bytes.len();
                    input.consume(len);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next command. After bytes that are none, nobody can say where the next one begins: the other end is told,
    /// and that is all.
    fn decode(&mut self, decoder: &mut Decoder) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        match decoder.next_command() {
            Ok(command) => Ok(command),
            Err(error) => {
                self.collect(&Reply::from(error.clone()))?;
                self.flush()?;
                Err(error.into())
            }
        }
    }

    fn answer(&mut self, command: &[Vec<u8>]) -> io::Result<Next> {
        let Some(name) = command.first() else { return Ok(Next::Command) };
        if name.eq_ignore_ascii_case(b"QUIT") {
            self.collect(&Reply::Simple("OK".into()))?;
            return Ok(Next::End);
        }
        if may_block(name) {
            self.flush()?;
        }
        let reply = self.session.execute(command);
        self.collect(&reply)?;
        Ok(Next::Command)
    }

    fn collect(&mut self, reply: &Reply) -> io::Result<()> {
        reply.encode(self.session.protocol(), &mut self.replies);
        if self.replies.len() >= REPLIES_LEN_MAX { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.replies)?;
        self.replies.clear();
        self.out.flush()
    }
}

fn may_block(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"XREAD") || name.eq_ignore_ascii_case(b"XREADGROUP")
}
