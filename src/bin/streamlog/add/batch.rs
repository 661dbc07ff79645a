//! Entries that are collected, and added together.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use indicatif::{HumanCount, ProgressBar};
use streamlog::inspect::Escaped;
use streamlog::{ENTRY_LEN_MAX, NewId, Result, Stream, StreamId};

use super::Wrong;
use crate::explain;
use crate::time;

/// A batch is added when it has so many bytes, however few its entries are.
const LEN_MAX: usize = 4 << 20;

/// Entries in the order in which they were read. Their bytes lie behind one another, so that an entry of many small fields
/// costs no allocation.
pub struct Batch {
    bytes: Vec<u8>,
    fields: Vec<[Range<usize>; 2]>,
    entries: Vec<(NewId, Range<usize>)>,
    /// The field that holds the ID.
    id_field: Option<String>,
    /// Entries of lines before this one are not wanted.
    from_line: u64,
    /// The line that was asked about last, and that of the first entry.
    line: u64,
    first_line: u64,
    /// The last ID of the stream when all of this has been added.
    last_id: StreamId,
}

impl Batch {
    pub fn new(id_field: Option<String>, from_line: u64) -> Self {
        let (bytes, fields, entries) = (Vec::new(), Vec::new(), Vec::new());
        Self { bytes, fields, entries, id_field, from_line, line: 0, first_line: 0, last_id: StreamId::MIN }
    }

    pub fn is_full(&self, count_max: u64) -> bool {
        self.entries.len() as u64 >= count_max || self.bytes.len() >= LEN_MAX
    }

    /// Whether the entry of a line is to be added, whatever it is: it is the next one to be taken then.
    pub fn wants(&mut self, line: u64) -> bool {
        self.line = line;
        line >= self.from_line
    }

    /// Takes an entry; says what is wrong with it, and forgets it then.
    pub fn take<'a>(
        &mut self,
        fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> std::result::Result<(), String> {
        let (bytes, first) = (self.bytes.len(), self.fields.len());
        let taken = self.put(fields).and_then(|id| {
            check_len(self.bytes.len() - bytes)?;
            self.check(id, first)
        });
        match taken {
            Ok(id) => {
                if self.entries.is_empty() {
                    self.first_line = self.line;
                }
                self.entries.push((id, first..self.fields.len()));
            }
            Err(_) => {
                self.bytes.truncate(bytes);
                self.fields.truncate(first);
            }
        }
        taken.map(drop)
    }

    /// Puts the fields of an entry behind the others, and picks its ID from them.
    fn put<'a>(
        &mut self,
        fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> std::result::Result<NewId, String> {
        let mut id = None;
        for (name, value) in fields {
            if self.id_field.as_ref().is_some_and(|field| field.as_bytes() == name) {
                id = Some(parse_id(value)?);
                continue;
            }
            let mut put = |part: &[u8]| {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(part);
                start..self.bytes.len()
            };
            let field = [put(name), put(value)];
            self.fields.push(field);
        }
        match (&self.id_field, id) {
            (Some(field), None) => Err(format!("there is no field \"{field}\" to take the ID from")),
            (_, id) => Ok(id.unwrap_or(NewId::Auto)),
        }
    }

    /// Whether the entry, whose fields begin at `first`, could be added behind those before it.
    fn check(&mut self, id: NewId, first: usize) -> std::result::Result<NewId, String> {
        if first == self.fields.len() {
            return Err("an entry needs a field".to_owned());
        }
        let last = self.last_id;
        let given = match id {
            NewId::Exact(id) if id > last => Some(id),
            NewId::AutoSequence(ms) if ms > last.ms() => Some(StreamId::new(ms, 0)),
            NewId::AutoSequence(ms) if ms == last.ms() => last.next().filter(|next| next.ms() == ms),
            NewId::Exact(_) | NewId::AutoSequence(_) => None,
            _ => return Ok(id),
        };
        let shown = |id| match id {
            NewId::Exact(id) => id.to_string(),
            NewId::AutoSequence(ms) => ms.to_string(),
            _ => String::new(),
        };
        self.last_id = given.ok_or_else(|| format!("the ID {} is not above the one before it, {last}", shown(id)))?;
        Ok(id)
    }

    fn entries(&self) -> impl Iterator<Item = (NewId, impl Iterator<Item = (&[u8], &[u8])>)> {
        let of = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.entries.iter().map(move |(id, fields)| {
            let fields = self.fields.get(fields.clone()).unwrap_or_default();
            (*id, fields.iter().map(move |[name, value]| (of(name), of(value))))
        })
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.entries.clear();
    }
}

/// A batch may have as much before it, and all of it has to fit into what can be added in one step.
fn check_len(len: usize) -> std::result::Result<(), String> {
    let max = ENTRY_LEN_MAX - LEN_MAX as u64;
    if len as u64 <= max { Ok(()) } else { Err(format!("{len} bytes are more than an entry may have here, {max}")) }
}

/// A whole ID, or a time, of which the sequence number is yet to be chosen.
fn parse_id(value: &[u8]) -> std::result::Result<NewId, String> {
    let text = String::from_utf8_lossy(value);
    let ms = text.strip_suffix("-*").unwrap_or(&text);
    if ms.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(ms) = ms.parse()
    {
        return Ok(NewId::AutoSequence(ms));
    }
    let exact = text.parse().ok().map(NewId::Exact);
    exact.or_else(|| time::parse_rfc3339(&text).map(NewId::AutoSequence)).ok_or_else(|| {
        format!("expected an ID, milliseconds, or a time such as 2013-01-01T10:00:00Z, not \"{}\"", Escaped(value))
    })
}

/// Adds batches to a stream.
pub struct Adder {
    stream: Stream,
    batch: Rc<RefCell<Batch>>,
    bar: ProgressBar,
    /// How many entries have been added.
    pub count: u64,
    failure: Option<Wrong>,
}

impl Adder {
    pub fn new(stream: Stream, batch: Rc<RefCell<Batch>>, bar: &ProgressBar) -> Result<Self> {
        if stream.exists()? {
            batch.borrow_mut().last_id = stream.info()?.last_generated_id;
        }
        Ok(Self { stream, batch, bar: bar.clone(), count: 0, failure: None })
    }

    /// Adds what is in the batch, or nothing of it.
    pub fn flush(&mut self) -> std::result::Result<(), Wrong> {
        let mut batch = self.batch.borrow_mut();
        let added = self.stream.add_batch(batch.entries());
        let ids = added.map_err(|error| Wrong { line: batch.first_line, what: explain(&error) })?;
        if let Some(last) = ids.last() {
            batch.last_id = *last;
        }
        batch.clear();
        self.count += ids.len() as u64;
        let rate = self.count as f64 / self.bar.elapsed().as_secs_f64().max(1e-9);
        self.bar.set_message(format!("{} entries, {} a second", HumanCount(self.count), HumanCount(rate as u64)));
        Ok(())
    }

    /// Adds what is in the batch, unless an earlier one could not be added; [`failed`](Self::failed) tells of it.
    pub fn try_flush(&mut self) -> bool {
        if self.failure.is_none() && !self.batch.borrow().entries.is_empty() {
            self.failure = self.flush().err();
        }
        self.failure.is_none()
    }

    /// The failure of an earlier flush, once.
    pub fn failed(&mut self) -> std::result::Result<(), Wrong> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// The last ID, if there is one.
    pub fn last(&self) -> Option<StreamId> {
        Some(self.batch.borrow().last_id).filter(|_| self.count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(batch: &mut Batch, fields: &[(&str, &str)]) -> std::result::Result<(), String> {
        batch.take(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    #[test]
    fn ids_have_to_grow_and_what_is_wrong_leaves_nothing_behind() {
        let mut batch = Batch::new(Some("id".to_owned()), 1);
        for (id, expected) in [
            ("5", Ok(())),
            ("5", Ok(())),
            ("5-2", Ok(())),
            ("5-1", Err("the ID 5-1 is not above the one before it, 5-2")),
            ("4", Err("the ID 4 is not above the one before it, 5-2")),
            ("6-*", Ok(())),
            ("7-x", Err("expected an ID, milliseconds, or a time such as 2013-01-01T10:00:00Z, not \"7-x\"")),
            ("1970-01-01T00:00:00.006Z", Ok(())),
            ("7-18446744073709551615", Ok(())),
            ("7", Err("the ID 7 is not above the one before it, 7-18446744073709551615")),
        ] {
            let (bytes, fields) = (batch.bytes.len(), batch.fields.len());
            let taken = take(&mut batch, &[("a", "1"), ("id", id), ("b", "2")]);
            assert_eq!(taken, expected.map_err(str::to_owned), "{id}");
            if taken.is_err() {
                assert_eq!((batch.bytes.len(), batch.fields.len()), (bytes, fields), "{id}");
            }
        }
        assert_eq!(take(&mut batch, &[("a", "1")]).unwrap_err(), "there is no field \"id\" to take the ID from");
        assert_eq!(take(&mut batch, &[("id", "9")]).unwrap_err(), "an entry needs a field");
        let store = streamlog::Store::in_memory();
        let ids = store.stream("s").unwrap().add_batch(batch.entries()).unwrap();
        let shown: Vec<_> = ids.iter().map(StreamId::to_string).collect();
        assert_eq!(shown, ["5-0", "5-1", "5-2", "6-0", "6-1", "7-18446744073709551615"]);
    }
}
