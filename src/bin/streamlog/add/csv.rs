//! Rows of comma-separated values.

use std::cell::RefCell;
use std::ops::ControlFlow;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::batch::Batch;
use super::source::Source;
use super::{Records, Wrong};

/// The rows behind the header. Values are any bytes.
pub struct Rows {
    reader: Reader<Source>,
    names: Vec<Vec<u8>>,
    row: ByteRecord,
}

impl Rows {
    /// The names of the fields are `fields`, or in the first row.
    pub fn new(source: Source, delimiter: u8, fields: &[String]) -> Result<Self, Wrong> {
        // Rows of another length are for us to tell of, with what they should have.
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(source);
        let mut rows = Self { reader, names: Vec::new(), row: ByteRecord::new() };
        if !fields.is_empty() {
            rows.names = fields.iter().map(|name| name.as_bytes().to_vec()).collect();
        } else if rows.read()? {
            rows.names = rows.row.iter().map(<[u8]>::to_vec).collect();
            if let Some(first) = rows.names.first_mut().filter(|name| name.starts_with(BYTE_ORDER_MARK)) {
                first.drain(..BYTE_ORDER_MARK.len());
            }
        }
        Ok(rows)
    }

    fn read(&mut self) -> Result<bool, Wrong> {
        let line = self.reader.position().line();
        self.reader.read_byte_record(&mut self.row).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => Wrong::unreadable(line, &error),
            other => Wrong { line, what: format!("{other:?}") },
        })
    }
}

/// Some programs begin a file with it, where it is no part of the first name.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl Records for Rows {
    fn next(&mut self, batch: &RefCell<Batch>) -> Result<ControlFlow<()>, Wrong> {
        if !self.read()? {
            return Ok(ControlFlow::Break(()));
        }
        let line = self.row.position().map_or(0, csv::Position::line);
        if !batch.borrow_mut().wants(line) {
            return Ok(ControlFlow::Continue(()));
        }
        let (values, names) = (self.row.len(), self.names.len());
        let taken = match values == names {
            true => batch.borrow_mut().take(self.names.iter().map(Vec::as_slice).zip(&self.row)),
            false => Err(format!("{values} values for {names} fields")),
        };
        taken.map(ControlFlow::Continue).map_err(|what| Wrong { line, what })
    }
}
