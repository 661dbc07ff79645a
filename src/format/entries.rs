//! What the frames of a segment hold: entries, the shapes they refer to, and the seal.
//!
//! | kind | name  | payload                                                                                          |
//! |------|-------|--------------------------------------------------------------------------------------------------|
//! | 1    | ENTRY | ID, then body                                                                                    |
//! | 2    | BATCH | varint count, at least 1; then for each entry its ID and body                                     |
//! | 3    | SHAPE | varint number, then names                                                                        |
//! | 4    | SEAL  | varint entries in the segment; last ID as two `u64`; varint count of shapes; then names for each |
//! | 5    | MADE  | producer's ID and idempotent ID, two strings, not empty; then as ENTRY                            |
//!
//! *ID*: a varint, the zigzag of its milliseconds less the header's `base ms` (wrapping); then a varint, its sequence.
//! From the second entry of a batch on: a varint, its milliseconds less those of the entry before; then a varint, its
//! sequence, less that of the entry before and 1 if the milliseconds are the same.
//!
//! *Names*: a varint count, at least 1, then as many strings.
//!
//! *Body*: a varint, 0 or the number of a shape; after 0, names; then a string for each name, its value. A *shape* is a
//! list of names that is written once in a segment and referred to by its number, from 1 up in the order of writing. The
//! seal repeats them, so that the loss of one SHAPE frame is not the loss of all entries of that shape.

use std::sync::Arc;

use crate::StreamId;
use crate::format::codec::{Front, Reader, put_varint, unzigzag, zigzag};
use crate::format::record::FRONT_LEN;

pub const ENTRY: u8 = 1;
pub const BATCH: u8 = 2;
pub const SHAPE: u8 = 3;
pub const SEAL: u8 = 4;
pub const MADE: u8 = 5;

/// The lists of names that entries of a segment refer to. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shapes(Arc<Vec<Shape>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    /// The count, then the names.
    names: Arc<[u8]>,
    count: u64,
}

impl Shapes {
    /// The names of the shape with this number.
    #[inline]
    pub fn get(&self, number: u64) -> Option<&Arc<[u8]>> {
        self.find(number).map(|shape| &shape.names)
    }

    /// The bytes that all names take, about.
    pub fn names_len(&self) -> usize {
        self.0.iter().map(|shape| shape.names.len() + size_of::<Shape>()).sum()
    }

    /// How many names a shape has.
    #[inline]
    fn names_of(&self, number: u64) -> Option<u64> {
        self.find(number).map(|shape| shape.count)
    }

    #[inline]
    fn find(&self, number: u64) -> Option<&Shape> {
        self.0.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Adds the shape with the next number.
    pub fn push(&mut self, names: &[u8]) {
        let count = Reader::new(names).varint().unwrap_or(0);
        Arc::make_mut(&mut self.0).push(Shape { names: Arc::from(names), count });
    }

    /// Adds a shape that a frame defines; `None` if its number is not the next one.
    pub fn define(&mut self, number: u64, names: &[u8]) -> Option<()> {
        (number == self.count() as u64 + 1).then(|| self.push(names))
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|shape| &*shape.names)
    }
}

/// Appends the ID of the first entry of a frame.
#[inline]
pub fn put_first_id(out: &mut Vec<u8>, id: StreamId, base_ms: u64) {
    put_varint(out, zigzag(id.ms().wrapping_sub(base_ms) as i64));
    put_varint(out, id.seq());
}

/// Puts the ID of the only entry of a frame, and the number of its shape, in front of its values.
#[inline]
pub fn put_in_front(front: &mut Front<'_, FRONT_LEN>, id: StreamId, shape: u64, base_ms: u64) {
    front.put_varint(shape);
    front.put_varint(id.seq());
    front.put_varint(zigzag(id.ms().wrapping_sub(base_ms) as i64));
}

/// Appends the ID of a further entry of a batch; `id` is above `previous`.
#[inline]
pub fn put_next_id(out: &mut Vec<u8>, id: StreamId, previous: StreamId) {
    let ms = id.ms() - previous.ms();
    put_varint(out, ms);
    put_varint(out, if ms == 0 { id.seq() - previous.seq() - 1 } else { id.seq() });
}

#[inline]
fn first_id(reader: &mut Reader<'_>, base_ms: u64) -> Option<StreamId> {
    let ms = base_ms.wrapping_add(unzigzag(reader.varint()?) as u64);
    Some(StreamId::new(ms, reader.varint()?))
}

#[inline]
fn next_id(reader: &mut Reader<'_>, previous: StreamId) -> Option<StreamId> {
    let (ms, seq) = (reader.varint()?, reader.varint()?);
    match ms {
        0 => Some(StreamId::new(previous.ms(), previous.seq().checked_add(seq)?.checked_add(1)?)),
        _ => Some(StreamId::new(previous.ms().checked_add(ms)?, seq)),
    }
}

/// Where an entry of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryAt {
    pub id: StreamId,
    /// The number of its shape; 0 if its names are in its body.
    pub shape: u32,
    /// Where in the payload the names (shape 0) or values begin, and where the entry ends.
    pub start: usize,
    pub end: usize,
}

/// Takes the entries of an ENTRY or BATCH payload one by one.
#[derive(Debug)]
pub struct Entries<'a> {
    payload_len: usize,
    reader: Reader<'a>,
    left: u64,
    base_ms: u64,
    previous: Option<StreamId>,
}

impl<'a> Entries<'a> {
    /// `None` if the frame is of another kind or its payload is malformed.
    #[inline(always)]
    pub fn new(kind: u8, payload: &'a [u8], base_ms: u64) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let left = match kind {
            ENTRY => 1,
            BATCH => reader.varint().filter(|&count| count > 0)?,
            MADE => {
                take_production(&mut reader)?;
                1
            }
            _ => return None,
        };
        Some(Self { payload_len: payload.len(), reader, left, base_ms, previous: None })
    }

    /// The next entry; `Some(None)` after the last one, `None` if the bytes are malformed.
    // Out of line, the result goes through memory, which takes longer than finding it.
    #[inline(always)]
    pub fn next(&mut self, shapes: &Shapes) -> Option<Option<EntryAt>> {
        if self.left == 0 {
            return self.reader.is_empty().then_some(None);
        }
        let id = match self.previous {
            None => first_id(&mut self.reader, self.base_ms)?,
            Some(previous) => next_id(&mut self.reader, previous)?,
        };
        let shape = self.reader.varint()?;
        let start = self.payload_len - self.reader.len();
        let count = match shape {
            0 => skip_names(&mut self.reader)?,
            number => shapes.names_of(number)?,
        };
        for _ in 0..count {
            self.reader.string()?;
        }
        self.left -= 1;
        self.previous = Some(id);
        let shape = u32::try_from(shape).ok()?;
        Some(Some(EntryAt { id, shape, start, end: self.payload_len - self.reader.len() }))
    }
}

#[inline]
fn take_production<'a>(reader: &mut Reader<'a>) -> Option<(&'a [u8], &'a [u8])> {
    let mut name = || reader.string().filter(|name| !name.is_empty());
    Some((name()?, name()?))
}

/// An idempotent production, as the frame of its entry names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Production {
    pub ordinal: u64,
    pub producer: Box<[u8]>,
    /// The idempotent ID, which tells it from others of the producer.
    pub key: Box<[u8]>,
    pub id: StreamId,
}

/// The producer's ID and the idempotent ID of a MADE payload.
pub fn decode_production(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    take_production(&mut Reader::new(payload))
}

/// The ID of the first entry of a frame, without looking at the rest.
#[inline]
pub fn peek_id(kind: u8, payload: &[u8], base_ms: u64) -> Option<StreamId> {
    first_id(&mut Entries::new(kind, payload, base_ms)?.reader, base_ms)
}

#[inline]
fn skip_names(reader: &mut Reader<'_>) -> Option<u64> {
    let count = reader.varint().filter(|&count| count > 0)?;
    for _ in 0..count {
        reader.string()?;
    }
    Some(count)
}

/// Whether `names` is a count and exactly that many strings.
fn are_names(names: &[u8]) -> bool {
    let mut reader = Reader::new(names);
    skip_names(&mut reader).is_some() && reader.is_empty()
}

/// The number and names of a SHAPE payload.
pub fn decode_shape(payload: &[u8]) -> Option<(u64, &[u8])> {
    let mut reader = Reader::new(payload);
    let number = reader.varint()?;
    are_names(reader.rest()).then_some((number, reader.rest()))
}

/// Appends the payload of a SHAPE frame.
pub fn put_shape(out: &mut Vec<u8>, number: u64, names: &[u8]) {
    put_varint(out, number);
    out.extend_from_slice(names);
}

/// What a SEAL frame says of its segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seal {
    pub entries: u64,
    /// The last ID in the segment, or the header's previous ID if it has no entries.
    pub last_id: StreamId,
    pub shapes: Shapes,
}

impl Seal {
    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.entries);
        out.extend_from_slice(&self.last_id.ms().to_le_bytes());
        out.extend_from_slice(&self.last_id.seq().to_le_bytes());
        put_shapes(out, &self.shapes);
    }

    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let (entries, last_id) = (reader.varint()?, reader.id()?);
        let shapes = take_shapes(&mut reader)?;
        reader.is_empty().then_some(Self { entries, last_id, shapes })
    }
}

/// Appends a varint count, then the names of each shape.
pub fn put_shapes(out: &mut Vec<u8>, shapes: &Shapes) {
    put_varint(out, shapes.count() as u64);
    for names in shapes.iter() {
        out.extend_from_slice(names);
    }
}

/// The inverse of [`put_shapes`].
pub fn take_shapes(reader: &mut Reader<'_>) -> Option<Shapes> {
    let mut shapes = Shapes::default();
    for _ in 0..reader.varint()? {
        let before = reader.rest();
        skip_names(reader)?;
        shapes.push(before.get(..before.len() - reader.len())?);
    }
    Some(shapes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewId;
    use crate::format::new_entries::NewEntries;

    /// The shape and the values.
    struct Encoded {
        shape: Vec<u8>,
        values: Vec<u8>,
        len: u64,
    }

    fn fields(pairs: &[(&str, &str)]) -> Encoded {
        let mut new = NewEntries::default();
        for (name, value) in pairs {
            new.put_field(name.as_bytes(), value.as_bytes());
        }
        let entry = new.complete(NewId::Auto).clone();
        Encoded { shape: new.shape(&entry).to_vec(), values: new.values(&entry).to_vec(), len: entry.len }
    }

    fn all(kind: u8, payload: &[u8], base_ms: u64, shapes: &Shapes) -> Option<Vec<EntryAt>> {
        let mut entries = Entries::new(kind, payload, base_ms)?;
        let mut found = Vec::new();
        while let Some(entry) = entries.next(shapes)? {
            found.push(entry);
        }
        Some(found)
    }

    #[test]
    fn golden_bytes_of_an_entry_with_its_own_names() {
        let fields = fields(&[("a", "1"), ("bc", "")]);
        let mut payload = Vec::new();
        put_first_id(&mut payload, StreamId::new(998, 5), 1000);
        payload.push(0);
        payload.extend_from_slice(&fields.shape);
        payload.extend_from_slice(&fields.values);
        assert_eq!(payload, [3, 5, 0, 2, 1, b'a', 2, b'b', b'c', 1, b'1', 0]);
        let entry = EntryAt { id: StreamId::new(998, 5), shape: 0, start: 3, end: 12 };
        assert_eq!(all(ENTRY, &payload, 1000, &Shapes::default()), Some(vec![entry]));
        assert_eq!(fields.len, 4);
    }

    #[test]
    fn golden_bytes_of_a_batch_with_a_shape() {
        let mut shapes = Shapes::default();
        let fields = fields(&[("a", "x")]);
        shapes.push(&fields.shape);
        let ids = [StreamId::new(7, 1), StreamId::new(7, 4), StreamId::new(9, 2)];
        let mut payload = vec![3];
        put_first_id(&mut payload, ids[0], 0);
        payload.extend_from_slice(&[1, 1, b'x']);
        for pair in ids.windows(2) {
            put_next_id(&mut payload, pair[1], pair[0]);
            payload.extend_from_slice(&[1, 1, b'x']);
        }
        assert_eq!(payload, [3, 14, 1, 1, 1, b'x', 0, 2, 1, 1, b'x', 2, 2, 1, 1, b'x']);
        let found = all(BATCH, &payload, 0, &shapes).unwrap();
        assert_eq!(found.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids);
        assert_eq!(peek_id(BATCH, &payload, 0), Some(ids[0]));
        assert_eq!(all(BATCH, &payload, 0, &Shapes::default()), None, "the shape is not known");
    }

    #[test]
    fn golden_bytes_of_a_shape_and_a_seal() {
        let mut shapes = Shapes::default();
        shapes.push(&fields(&[("a", ""), ("b", "")]).shape);
        let mut shape = Vec::new();
        put_shape(&mut shape, 1, shapes.get(1).unwrap());
        assert_eq!(shape, [1, 2, 1, b'a', 1, b'b']);
        assert_eq!(decode_shape(&shape), Some((1, &shape[1..])));
        let seal = Seal { entries: 300, last_id: StreamId::new(1, 2), shapes };
        let mut payload = Vec::new();
        seal.put(&mut payload);
        assert_eq!(payload, [&[0xac, 2, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1][..], &shape[1..]].concat());
        assert_eq!(Seal::decode(&payload), Some(seal));
    }

    #[test]
    fn ids_at_both_ends_of_the_range_read_back() {
        for (id, base_ms) in [(StreamId::MAX, 0), (StreamId::new(0, 1), u64::MAX), (StreamId::MIN, 1 << 63)] {
            let mut payload = Vec::new();
            put_first_id(&mut payload, id, base_ms);
            assert_eq!(first_id(&mut Reader::new(&payload), base_ms), Some(id));
        }
        let mut payload = Vec::new();
        put_next_id(&mut payload, StreamId::MAX, StreamId::MIN);
        assert_eq!(next_id(&mut Reader::new(&payload), StreamId::MIN), Some(StreamId::MAX));
        assert_eq!(next_id(&mut Reader::new(&payload), StreamId::new(1, 0)), None, "past the last ID");
    }

    #[test]
    fn any_truncation_is_malformed() {
        let fields = fields(&[("name", "value"), ("n", "v")]);
        let mut payload = Vec::new();
        put_first_id(&mut payload, StreamId::new(1, 1), 0);
        payload.push(0);
        payload.extend_from_slice(&fields.shape);
        payload.extend_from_slice(&fields.values);
        for len in 0..payload.len() {
            assert_eq!(all(ENTRY, &payload[..len], 0, &Shapes::default()), None, "cut to {len} bytes");
        }
        payload.push(0);
        assert_eq!(all(ENTRY, &payload, 0, &Shapes::default()), None, "a byte too many");
    }
}
