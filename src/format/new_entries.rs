//! Entries on their way into a frame: the names and values of all of them in two buffers.

use std::ops::Range;

use crate::format::codec::{Reader, put_string, varint};
use crate::format::record::FRONT_LEN;
use crate::{NewId, StreamId};

/// The first room for values, in bytes.
const VALUES_LEN_MIN: usize = 512;

/// Entries to append as one change. Clearing keeps the buffers for the next ones.
#[derive(Debug, Default)]
pub struct NewEntries {
    pub list: Vec<NewEntry>,
    /// Of which production the only entry comes.
    pub production: Option<NewProduction>,
    /// For each list of names a count, then the names; entries in a row with the same names share it.
    shapes: Vec<u8>,
    /// Where in `shapes` the one of the last entry is, unless it is very long: the next entry most likely has the same, also
    /// after clearing.
    last_shape: Range<usize>,
    /// The values as strings, behind room for the front of a frame: those of a single entry become one where they are.
    /// They end at `end`, and what follows is room.
    values: Vec<u8>,
    end: usize,
    building: Building,
}

/// An entry that is being put together.
#[derive(Debug, Default)]
struct Building {
    count: u64,
    len: u64,
    /// How many bytes of names it has in common with the last shape.
    same: usize,
    /// The next one was another: it has a shape of its own, which begins here.
    own_shape: Option<usize>,
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
        self.shapes.truncate(self.last_shape.end);
        self.shapes.drain(..self.last_shape.start);
        self.last_shape = 0..self.shapes.len();
        self.end = FRONT_LEN.min(self.values.len());
        self.building = Building::default();
    }

    /// How many bytes of memory are kept for the next entries.
    pub fn capacity(&self) -> usize {
        self.list.capacity() * size_of::<NewEntry>() + self.shapes.capacity() + self.values.capacity()
    }

    /// Adds a field to the entry that is being put together.
    #[inline]
    pub fn put_field(&mut self, name: &[u8], value: &[u8]) {
        let building = &mut self.building;
        building.count += 1;
        building.len = building.len.saturating_add(name.len() as u64).saturating_add(value.len() as u64);
        self.put_name(name);
        self.put_value(value);
    }

    #[inline]
    fn put_name(&mut self, name: &[u8]) {
        let at = self.last_shape.start + 1 + self.building.same;
        let expected = self.shapes.get(at..self.last_shape.end).and_then(<[u8]>::split_first);
        if self.building.own_shape.is_none()
            && let Some((&len @ ..0x80, rest)) = expected
            && usize::from(len) == name.len()
            && rest.starts_with(name)
        {
            self.building.same += 1 + name.len();
        } else {
            self.put_other_name(name);
        }
    }

    #[cold]
    fn put_other_name(&mut self, name: &[u8]) {
        self.own_shape();
        put_string(&mut self.shapes, name);
    }

    /// Where the shape begins that the entry has for itself, with the names that it has in common with the last one.
    fn own_shape(&mut self) -> usize {
        *self.building.own_shape.get_or_insert_with(|| {
            let start = self.shapes.len();
            // For the count, which nearly always takes one byte.
            self.shapes.push(0);
            let common = self.last_shape.start + 1;
            self.shapes.extend_from_within(common..common + self.building.same);
            start
        })
    }

    #[inline]
    fn put_value(&mut self, value: &[u8]) {
        let end = self.end + 1 + value.len();
        if value.len() < 0x80
            && let Some([len, room @ ..]) = self.values.get_mut(self.end..end)
        {
            *len = value.len() as u8;
            room.copy_from_slice(value);
            self.end = end;
        } else {
            self.put_long_value(value);
        }
    }

    /// Puts a value for which there may be no room, or whose length takes more than a byte.
    #[inline(never)]
    fn put_long_value(&mut self, value: &[u8]) {
        let (len, len_len) = varint(value.len() as u64);
        let start = self.end.max(FRONT_LEN) + len_len;
        let end = start + value.len();
        if end > self.values.len() {
            let doubled = self.values.len() * 2;
            self.values.resize(end.max(doubled).max(VALUES_LEN_MIN), 0);
        }
        if let (Some(head), Some(len)) = (self.values.get_mut(start - len_len..start), len.get(..len_len)) {
            head.copy_from_slice(len);
        }
        if let Some(room) = self.values.get_mut(start..end) {
            room.copy_from_slice(value);
        }
        self.end = end;
    }

    /// Completes an entry with the fields that were put since the last one.
    #[inline]
    pub fn complete(&mut self, wanted: NewId) -> &NewEntry {
        let is_same =
            self.building.own_shape.is_none() && self.last_shape.start + 1 + self.building.same == self.last_shape.end;
        let shape = if is_same { self.last_shape.clone() } else { self.complete_own_shape() };
        let Building { count, len, .. } = std::mem::take(&mut self.building);
        let start = self.list.last().map_or(FRONT_LEN.min(self.end), |last| last.values.end);
        let values = start..self.end;
        self.list.push_mut(NewEntry { wanted, id: StreamId::MIN, count, len, shape, values })
    }

    #[cold]
    fn complete_own_shape(&mut self) -> Range<usize> {
        let start = self.own_shape();
        let (count, len) = varint(self.building.count);
        self.shapes.splice(start..=start, count.into_iter().take(len));
        let shape = start..self.shapes.len();
        // Those that are not compared while they are put are now, so that they do not take the room of each entry.
        if let Some(last) = self.list.last().map(|last| last.shape.clone())
            && self.shapes.get(shape.clone()) == self.shapes.get(last.clone())
        {
            self.shapes.truncate(start);
            return last;
        }
        // The names are looked for behind a count of one byte.
        self.last_shape = if len == 1 { shape.clone() } else { 0..0 };
        shape
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
        self.values.get_mut(..self.end).unwrap_or_default()
    }

    /// The names and values of an entry of this list.
    pub fn fields(&self, entry: &NewEntry) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (mut names, mut values) = (Reader::new(self.shape(entry)), Reader::new(self.values(entry)));
        let _ = names.varint();
        std::iter::from_fn(move || Some((names.string()?, values.string()?)))
    }

    /// The bytes of all values, with their lengths.
    #[inline]
    pub fn values_len(&self) -> usize {
        self.end.saturating_sub(FRONT_LEN)
    }

    /// The most bytes that names and values can take in a segment: the names of each entry once in its body or in a
    /// frame of their own, and once more in the seal.
    #[inline]
    pub fn room(&self) -> u64 {
        // Entries in a row share their names, so that these may be more than fits into memory.
        let shapes: u64 = self.list.iter().map(|entry| entry.shape.len() as u64).sum();
        let production = self.production.as_ref().map_or(0, |made| made.producer.len() + made.key.len() + 20);
        (self.values_len() + production) as u64 + 2 * shapes
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
    fn long_names_and_many_of_them_are_shared_too() {
        for (count, len) in [(1, 128), (128, 1), (3, 300)] {
            let mut entries = NewEntries::default();
            for _ in 0..3 {
                (0..count).for_each(|_| entries.put_field(&vec![b'n'; len], b"value"));
                entries.complete(NewId::Auto);
            }
            let [first, .., last] = &*entries.list else { panic!("there are three") };
            assert_eq!(entries.shape(last), entries.shape(first));
            assert_eq!(entries.shapes.len(), entries.shape(first).len());
        }
    }

    #[test]
    fn the_last_names_are_kept_for_the_next_entries() {
        let mut entries = NewEntries::default();
        for names in ["ab", "abc", "abd", "ab", "a"] {
            for _ in 0..2 {
                entries.clear();
                names.chars().for_each(|name| entries.put_field(name.to_string().as_bytes(), b"value"));
                entries.complete(NewId::Auto);
                let found: Vec<_> = entries.fields(&entries.list[0]).map(|(name, _)| name[0] as char).collect();
                assert_eq!(String::from_iter(found), names);
                assert_eq!(entries.shape(&entries.list[0])[0], names.len() as u8);
            }
            // Of an entry that is not completed nothing is left.
            entries.put_field(b"x", b"value");
        }
    }

    /// The bytes of a long count are no name.
    #[test]
    fn a_long_count_is_not_taken_for_a_name() {
        let mut entries = NewEntries::default();
        // As one name of two bytes, the second byte of the count and the first name would look the same.
        (0..0x100).for_each(|_| entries.put_field(b"", b""));
        entries.complete(NewId::Auto);
        for list in 1..3 {
            entries.put_field(&[0, 0], b"");
            entries.complete(NewId::Auto);
            assert_eq!(entries.shape(&entries.list[list]), [1, 2, 0, 0]);
        }
        assert_eq!(entries.shape(&entries.list[0]).len(), 2 + 0x100);
    }

    #[test]
    fn values_of_every_length_follow_each_other() {
        let mut entries = NewEntries::default();
        let values: Vec<_> = [0, 1, 0x7f, 0x80, 400, 0x4000, 3].map(|len| vec![len as u8; len]).into();
        for _ in 0..2 {
            values.iter().for_each(|value| entries.put_field(b"", value));
            entries.complete(NewId::Auto);
            let found: Vec<_> = entries.fields(&entries.list[0]).map(|(_, value)| value).collect();
            assert_eq!(found, values);
            assert_eq!(entries.room(), entries.values(&entries.list[0]).len() as u64 + 2 * 8);
            entries.clear();
        }
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
