//! Entries on their way into a frame: the names and values of all of them in two buffers.

use std::ops::Range;

use crate::format::codec::{Reader, put_string, put_varint};
use crate::format::record::FRONT_LEN;
use crate::{NewId, StreamId};

/// Entries to append as one change. Clearing keeps the buffers for the next ones.
#[derive(Debug, Default)]
pub struct NewEntries {
    pub list: Vec<NewEntry>,
    /// Of which production the only entry comes.
    pub production: Option<NewProduction>,
    /// For each list of names a count, then the names; entries in a row with the same names share it.
    shapes: Vec<u8>,
    /// The values as strings, behind room for the front of a frame: those of a single entry become one where they are.
    values: Vec<u8>,
    /// Of the entry that is being put together.
    count: u64,
    len: u64,
}

/// The producer's ID and the idempotent ID of a production, neither of them empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProduction {
    pub producer: Box<[u8]>,
    pub key: Box<[u8]>,
}

/// One entry to append.
#[derive(Clone, Debug)]
pub struct NewEntry {
    pub wanted: NewId,
    /// The ID it gets.
    pub id: StreamId,
    /// How many fields it has.
    pub count: u64,
    /// The bytes of names and values, without their lengths.
    pub len: u64,
    shape: Range<usize>,
    values: Range<usize>,
}

impl NewEntries {
    pub fn clear(&mut self) {
        self.list.clear();
        self.production = None;
        self.shapes.clear();
        self.values.clear();
        (self.count, self.len) = (0, 0);
    }

    /// How many bytes of memory are kept for the next entries.
    pub fn capacity(&self) -> usize {
        self.list.capacity() * size_of::<NewEntry>() + self.shapes.capacity() + self.values.capacity()
    }

    /// Adds a field to the entry that is being put together.
    #[inline]
    pub fn put_field(&mut self, name: &[u8], value: &[u8]) {
        if self.count == 0 {
            // For the count, which nearly always takes one byte.
            self.shapes.push(0);
            if self.values.is_empty() {
                self.values.extend_from_slice(&[0; FRONT_LEN]);
            }
        }
        self.count += 1;
        self.len = self.len.saturating_add(name.len() as u64).saturating_add(value.len() as u64);
        put_string(&mut self.shapes, name);
        put_string(&mut self.values, value);
    }

    /// Completes an entry with the fields that were put since the last one.
    #[inline]
    pub fn complete(&mut self, wanted: NewId) -> &NewEntry {
        let (last_shape, last_values) = match self.list.last() {
            Some(last) => (last.shape.clone(), last.values.end),
            None => (0..0, FRONT_LEN.min(self.values.len())),
        };
        let start = last_shape.end;
        self.put_count(start);
        let shape = match self.shapes.get(start..) == self.shapes.get(last_shape.clone()) {
            true => {
                self.shapes.truncate(start);
                last_shape
            }
            false => start..self.shapes.len(),
        };
        let (count, len) = (std::mem::take(&mut self.count), std::mem::take(&mut self.len));
        let values = last_values..self.values.len();
        self.list.push_mut(NewEntry { wanted, id: StreamId::MIN, count, len, shape, values })
    }

    #[inline]
    fn put_count(&mut self, at: usize) {
        match self.shapes.get_mut(at) {
            Some(first) if self.count < 0x80 => *first = self.count as u8,
            reserved => {
                let end = at + usize::from(reserved.is_some());
                let mut count = Vec::new();
                put_varint(&mut count, self.count);
                self.shapes.splice(at..end, count);
            }
        }
    }

    /// The count and names of an entry of this list.
    #[inline]
    pub fn shape(&self, entry: &NewEntry) -> &[u8] {
        self.shapes.get(entry.shape.clone()).unwrap_or_default()
    }

    /// The values of an entry of this list.
    #[inline]
    pub fn values(&self, entry: &NewEntry) -> &[u8] {
        self.values.get(entry.values.clone()).unwrap_or_default()
    }

    /// The values of the first entry, behind [`FRONT_LEN`] bytes of room: with others, those of the others follow.
    #[inline]
    pub fn values_with_front(&mut self) -> &mut [u8] {
        &mut self.values
    }

    /// The names and values of an entry of this list.
    pub fn fields(&self, entry: &NewEntry) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (mut names, mut values) = (Reader::new(self.shape(entry)), Reader::new(self.values(entry)));
        let _ = names.varint();
        std::iter::from_fn(move || Some((names.string()?, values.string()?)))
    }

    /// The most bytes that names and values can take in a segment: the names of each entry once in its body or in a
    /// frame of their own, and once more in the seal.
    #[inline]
    pub fn room(&self) -> u64 {
        let shapes: usize = self.list.iter().map(|entry| entry.shape.len()).sum();
        let production = self.production.as_ref().map_or(0, |made| made.producer.len() + made.key.len() + 20);
        (self.values.len().saturating_sub(FRONT_LEN) + 2 * shapes + production) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_in_a_row_with_the_same_names_share_them() {
        let mut entries = NewEntries::default();
        for value in ["1", "2"] {
            entries.put_field(b"a", value.as_bytes());
            entries.complete(NewId::Auto);
        }
        entries.put_field(b"b", b"3");
        entries.complete(NewId::Auto);
        let shapes: Vec<_> = entries.list.iter().map(|entry| entries.shape(entry)).collect();
        assert_eq!(shapes, [[1, 1, b'a'], [1, 1, b'a'], [1, 1, b'b']]);
        assert_eq!(entries.shapes.len(), 6);
        let values: Vec<_> = entries.list.iter().map(|entry| entries.values(entry)).collect();
        assert_eq!(values, [[1, b'1'], [1, b'2'], [1, b'3']]);
        assert_eq!((entries.list[2].count, entries.list[2].len), (1, 2));
    }

    #[test]
    fn a_count_may_take_several_bytes_or_be_zero() {
        let mut entries = NewEntries::default();
        (0..300).for_each(|_| entries.put_field(b"", b""));
        assert_eq!(entries.complete(NewId::Auto).count, 300);
        assert_eq!(entries.shape(&entries.list[0])[..3], [0xac, 2, 0]);
        assert_eq!(entries.shape(&entries.list[0]).len(), 302);
        entries.clear();
        assert_eq!(entries.complete(NewId::Auto).count, 0);
        assert_eq!(entries.shape(&entries.list[0]), [0]);
    }
}
