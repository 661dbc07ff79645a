//! Lines, each of which is an entry of one field.

use std::cell::RefCell;
use std::io::{self, BufRead};
use std::ops::ControlFlow;

use super::batch::Batch;
use super::source::Source;
use super::{Records, Wrong};

pub struct Lines {
    lines: Numbered,
    name: String,
}

impl Lines {
    pub fn new(source: Source, name: &str) -> Self {
        Self { lines: Numbered::new(source), name: name.to_owned() }
    }
}

impl Records for Lines {
    fn next(&mut self, batch: &RefCell<Batch>) -> Result<ControlFlow<()>, Wrong> {
        let Some((number, line)) = self.lines.next()? else { return Ok(ControlFlow::Break(())) };
        if !batch.borrow_mut().wants(number) {
            return Ok(ControlFlow::Continue(()));
        }
        let taken = batch.borrow_mut().take([(self.name.as_bytes(), line)]);
        taken.map(ControlFlow::Continue).map_err(|what| Wrong { line: number, what })
    }
}

/// Lines with their numbers, which begin with 1, and without their ends.
pub struct Numbered {
    source: Source,
    line: Vec<u8>,
    number: u64,
}

impl Numbered {
    pub fn new(source: Source) -> Self {
        Self { source, line: Vec::new(), number: 0 }
    }

    pub fn next(&mut self) -> Result<Option<(u64, &[u8])>, Wrong> {
        self.line.clear();
        self.number += 1;
        let read = self.source.read_until(b'\n', &mut self.line);
        if read.map_err(|error| Wrong::unreadable(self.number, &error))? == 0 {
            return Ok(None);
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Some((self.number, line.strip_suffix(b"\r").unwrap_or(line))))
    }
}

impl Wrong {
    pub fn unreadable(line: u64, error: &io::Error) -> Self {
        Self { line, what: format!("it cannot be read: {error}") }
    }
}
