//! The end of a log: the one place that writes entries.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::format::Identity;
use crate::format::codec::{Front, put_string, put_varint};
use crate::format::entries::{self, Seal, put_first_id, put_in_front, put_next_id, put_shape};
use crate::format::header::{HEADER_LEN, Header, Kind};
use crate::format::index::{BLOCK_LEN, Index};
use crate::format::new_entries::NewEntries;
use crate::format::record::{self, BODY_LEN_MAX, FRONT_LEN, Head};
use crate::hash::HashMap;
use crate::io::File;
use crate::log::scan::SEGMENT_LEN_MAX;
use crate::log::segment::Segment;
use crate::log::{self, Tail};
use crate::{Error, Result, StreamId};

/// The most distinct lists of names that a segment refers to; entries with further ones carry their own.
const SHAPES_MAX: usize = 4096;
/// The most bytes all of these may take, and the part of a segment.
const SHAPES_LEN_MAX: u64 = 64 << 10;
const SHAPES_PART: u64 = 8;
/// The most bytes a frame takes around the names and values of its entries, and each entry around its own.
const FRAME_OVERHEAD: u64 = 64;
const ENTRY_OVERHEAD: u64 = 40;
/// The most bytes the seal takes around the shapes.
const SEAL_OVERHEAD: u64 = 80;
/// Segments are allocated in pages.
const PAGE: u64 = 4096;
/// How many times larger than the last one the next segment may get.
const GROWTH: u64 = 4;

/// The active segment, and what the next entry needs to know.
#[derive(Debug)]
pub struct Appender {
    pub segment: Arc<Segment>,
    /// Where the next frame goes.
    pub offset: u64,
    pub capacity: u64,
    /// Counts the changes to what a [`Tail`] holds.
    version: u64,
    pub next_ordinal: u64,
    /// The last ID that was generated: what Redis calls by that name.
    pub last_id: StreamId,
    /// The last ID of the log, whatever was set since.
    pub written_id: StreamId,
    pub entries_added: u64,
    /// The lowest ordinal that is not trimmed.
    pub floor: u64,
    /// A frame follows only when the segment has a successor.
    pub stopped: bool,
    /// The bytes before this offset may be in the page cache only, from an earlier life of the store, and are to be
    /// written again before a sync says anything about them.
    pub unproven_end: u64,
    watermark: u64,
    peer: u64,
    /// Where the next block may begin.
    next_block: u64,
    /// The numbers of the shapes, and of the one used last.
    numbers: HashMap<Box<[u8]>, u64>,
    last_shape: (Vec<u8>, u64),
    shapes_len: u64,
    frames: Vec<u8>,
    /// Where in `frames` the one with the entries begins; SHAPE frames come before it.
    entry_frame: usize,
    payload: Vec<u8>,
    /// A block that was completed is read back into this; it keeps its length, so as not to be zeroed each time.
    block: Vec<u8>,
}

/// Where an appender begins; all of it from a scan, or from a new segment.
#[derive(Debug)]
pub struct Start {
    pub offset: u64,
    pub next_ordinal: u64,
    pub last_id: StreamId,
    pub written_id: StreamId,
    pub entries_added: u64,
    pub floor: u64,
    pub watermark: u64,
    pub peer: u64,
}

impl Appender {
    pub fn new(segment: Arc<Segment>, start: Start) -> Result<Self> {
        let capacity = segment.file.len().map_err(|error| Error::io("look at", &segment.path, error))?;
        let shapes = segment.shapes();
        let open_block = segment.table.read().blocks.list.last().map(|open| u64::from(open.offset));
        let numbers = shapes.iter().zip(1..).map(|(names, number)| (Box::from(names), number)).collect();
        Ok(Self {
            offset: start.offset,
            capacity,
            version: 0,
            next_ordinal: start.next_ordinal,
            last_id: start.last_id,
            written_id: start.written_id,
            entries_added: start.entries_added,
            floor: start.floor,
            stopped: false,
            unproven_end: 0,
            watermark: start.watermark,
            peer: start.peer,
            next_block: open_block.map_or(0, |offset| offset + BLOCK_LEN),
            numbers,
            last_shape: (Vec::new(), 0),
            shapes_len: shapes.iter().map(|names| names.len() as u64).sum(),
            frames: Vec::new(),
            entry_frame: 0,
            payload: Vec::new(),
            block: Vec::new(),
            segment,
        })
    }

    /// The most bytes that these entries and what has to follow them can take.
    #[inline]
    fn room_for(&self, entries: &NewEntries) -> u64 {
        FRAME_OVERHEAD + fields_room(entries) + SEAL_OVERHEAD + self.shapes_len
    }

    /// Whether these entries can go into the active segment.
    #[inline]
    pub fn has_room(&self, entries: &NewEntries) -> bool {
        // After the last ID was set back, what follows must not stand behind higher IDs.
        !self.stopped && self.last_id >= self.written_id && self.offset + self.room_for(entries) <= self.capacity
    }

    /// The end of the log with everything that was appended.
    #[inline]
    pub fn tail(&self) -> Tail {
        Tail {
            version: self.version,
            segment: self.segment.header.base,
            offset: self.offset,
            next_ordinal: self.next_ordinal,
            floor: self.floor,
            last_id: self.last_id,
            entries_added: self.entries_added,
        }
    }

    /// The most bytes the segment has once it is sealed, if nothing more is appended.
    pub fn sealed_len(&self) -> u64 {
        self.offset + SEAL_OVERHEAD + self.shapes_len
    }

    /// Takes in that entries were trimmed.
    pub fn trim(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        self.version += 1;
    }

    /// Takes in that the last ID was set.
    pub fn set_id(&mut self, last_id: StreamId, entries_added: u64) {
        self.last_id = last_id;
        self.entries_added = entries_added;
        self.version += 1;
    }

    /// Whether the active segment holds nothing; its successor takes its place then.
    pub fn is_empty_segment(&self) -> bool {
        self.next_ordinal == self.segment.header.base
    }

    /// Writes again what may be in the page cache only: see `unproven_end`.
    pub fn prove(&mut self) -> Result<()> {
        let mut at = self.segment.synced.load(Ordering::Acquire);
        let end = self.unproven_end;
        while at < end {
            let len = (end - at).min(1 << 20);
            self.payload.resize(len as usize, 0);
            self.segment.read_at(at, &mut self.payload)?;
            let written = self.segment.file.write_at(at, &self.payload);
            written.map_err(|error| Error::io("write to", &self.segment.path, error))?;
            at += len;
        }
        // Not before: who found no room for it comes again.
        self.unproven_end = 0;
        Ok(())
    }

    /// The capacity of a segment that begins with these entries and is otherwise at most `max` bytes.
    pub fn next_capacity(&self, entries: &NewEntries, max: u64) -> u64 {
        capacity_for(entries, self.capacity.saturating_mul(GROWTH).min(max))
    }

    /// Writes the entries, whose IDs increase and are above `written_id`, as one frame, with the trim floor if the same
    /// change moves it. `peer` is the number of changes the journal has. The caller has seen that there is room.
    ///
    /// After an error nothing has been appended.
    #[inline]
    pub fn append(&mut self, entries: &mut NewEntries, floor: Option<u64>, peer: u64) -> Result<()> {
        let Some(last_id) = entries.list.last().map(|last| last.id) else { return Ok(()) };
        let count = entries.list.len() as u64;
        let shapes_before = self.numbers.len();
        self.frames.clear();
        let bytes = match self.encode_in_place(entries, floor, peer)? {
            Some(start) => entries.values_with_front().get(start..).unwrap_or_default(),
            None => {
                self.encode(entries, floor, peer, shapes_before)?;
                &self.frames
            }
        };
        let len = bytes.len();
        if let Err(error) = self.segment.file.write_at(self.offset, bytes) {
            self.forget_shapes(shapes_before);
            return Err(self.undo_write(len, error));
        }
        self.account(entries, shapes_before);
        self.offset += len as u64;
        self.next_ordinal += count;
        self.last_id = last_id;
        self.written_id = last_id;
        self.entries_added = log::entries_added(self.entries_added, count);
        self.floor = floor.unwrap_or(self.floor);
        self.version += 1;
        self.peer = peer;
        Ok(())
    }

    /// Makes the frame of a single entry where its values are, without copying them once more; returns where it begins
    /// there. `None` if more than that has to be written: another kind of frame, or one that says what the names are.
    #[inline]
    fn encode_in_place(&mut self, entries: &mut NewEntries, floor: Option<u64>, peer: u64) -> Result<Option<usize>> {
        let ([only], None) = (&*entries.list, &entries.production) else { return Ok(None) };
        let Some(shape) = self.known_shape(entries.shape(only)) else { return Ok(None) };
        let id = only.id;
        check_body_len(entries.values(only).len() + FRONT_LEN)?;
        let head = self.head(entries::ENTRY, 1, self.offset, floor, peer);
        let (salt, base_ms) = (self.segment.salt, self.segment.header.base_ms);
        self.entry_frame = 0;
        let begin = |front: &mut Front<'_, FRONT_LEN>| put_in_front(front, id, shape, base_ms);
        Ok(Some(record::encode_in_place(entries.values_with_front(), salt, self.offset, &head, begin)))
    }

    /// The head of the frame of `count` entries that is to stand at `offset`.
    #[inline]
    fn head(&mut self, kind: u8, count: usize, offset: u64, floor: Option<u64>, peer: u64) -> Head {
        let end = self.next_ordinal + count as u64;
        let synced = self.segment.synced.load(Ordering::Acquire);
        let head = Head {
            kind,
            position: self.next_ordinal as u16,
            synced: (synced > self.watermark).then(|| offset - synced),
            peer: (peer > self.peer).then(|| peer - self.segment.header.peer),
            floor: floor.map(|floor| end - floor),
        };
        self.watermark = synced;
        head
    }

    /// Puts the SHAPE frames that are needed, then the frame of the entries, into `frames`.
    fn encode(&mut self, entries: &NewEntries, floor: Option<u64>, peer: u64, shapes_before: usize) -> Result<()> {
        self.payload.clear();
        let kind = match (&*entries.list, &entries.production) {
            ([_], None) => entries::ENTRY,
            ([_], Some(made)) => {
                put_string(&mut self.payload, &made.producer);
                put_string(&mut self.payload, &made.key);
                entries::MADE
            }
            _ => {
                put_varint(&mut self.payload, entries.list.len() as u64);
                entries::BATCH
            }
        };
        let mut previous = None;
        // The values of a single entry go into the frame from where they are.
        let values = match &*entries.list {
            [only] => entries.values(only),
            _ => &[],
        };
        for entry in &entries.list {
            match previous.replace(entry.id) {
                None => put_first_id(&mut self.payload, entry.id, self.segment.header.base_ms),
                Some(previous) => put_next_id(&mut self.payload, entry.id, previous),
            }
            let names = entries.shape(entry);
            let shape = self.shape_of(names);
            put_varint(&mut self.payload, shape);
            if shape == 0 {
                self.payload.extend_from_slice(names);
            }
            if kind == entries::BATCH {
                self.payload.extend_from_slice(entries.values(entry));
            }
        }
        if let Err(error) = check_body_len(self.payload.len() + values.len()) {
            self.forget_shapes(shapes_before);
            return Err(error);
        }
        let offset = self.offset + self.frames.len() as u64;
        let head = self.head(kind, entries.list.len(), offset, floor, peer);
        self.entry_frame = self.frames.len();
        record::encode(&mut self.frames, self.segment.salt, offset, &head, &[&self.payload, values]);
        Ok(())
    }

    /// The number of the shape with this count and names, if it was the last one or is in the table.
    #[inline]
    fn known_shape(&mut self, names: &[u8]) -> Option<u64> {
        if self.last_shape.0 == names {
            return Some(self.last_shape.1);
        }
        let number = *self.numbers.get(names)?;
        self.last_shape.0.clear();
        self.last_shape.0.extend_from_slice(names);
        self.last_shape.1 = number;
        Some(number)
    }

    /// The number of the shape with this count and names; 0 if the entry is to carry them. Defines it if it is new.
    #[inline]
    fn shape_of(&mut self, names: &[u8]) -> u64 {
        self.known_shape(names).unwrap_or_else(|| self.define(names))
    }

    fn define(&mut self, names: &[u8]) -> u64 {
        let len = self.shapes_len + names.len() as u64;
        let fits = len <= SHAPES_LEN_MAX && len <= self.capacity / SHAPES_PART;
        if self.numbers.len() >= SHAPES_MAX || !fits {
            return 0;
        }
        let number = self.numbers.len() as u64 + 1;
        self.numbers.insert(Box::from(names), number);
        self.shapes_len = len;
        let mut payload = Vec::with_capacity(names.len() + 4);
        put_shape(&mut payload, number, names);
        let head = Head { kind: entries::SHAPE, position: self.next_ordinal as u16, ..Head::default() };
        let offset = self.offset + self.frames.len() as u64;
        record::encode(&mut self.frames, self.segment.salt, offset, &head, &[&payload]);
        number
    }

    /// Takes back the shapes that a failed append defined.
    fn forget_shapes(&mut self, count: usize) {
        self.numbers.retain(|_, number| *number <= count as u64);
        self.shapes_len = self.numbers.keys().map(|names| names.len() as u64).sum();
        self.last_shape = (Vec::new(), 0);
    }

    /// Makes readers able to find what was written, before it is published.
    fn account(&mut self, entries: &NewEntries, shapes_before: usize) {
        if self.numbers.len() > shapes_before {
            let mut fresh: Vec<_> = self.numbers.iter().filter(|&(_, &n)| n > shapes_before as u64).collect();
            fresh.sort_unstable_by_key(|&(_, &number)| number);
            let mut table = self.segment.table.write();
            for (names, _) in fresh {
                table.shapes.push(names);
            }
        }
        let Some(first_id) = entries.list.first().map(|first| first.id) else { return };
        // A block begins at the frame with the entries; shapes before it belong to the block before.
        let offset = self.offset + self.entry_frame as u64;
        if offset < self.next_block {
            return;
        }
        let ordinal = self.next_ordinal - self.segment.header.base;
        let file = &*self.segment.file;
        // A block that cannot be read now has no checksum that fits: its frames are checked one by one.
        let _ = self.segment.table.write().blocks.frame(file, offset, first_id, ordinal, &mut self.block);
        self.next_block = offset + BLOCK_LEN;
    }

    /// After a failed write: zeros where it may have written a part.
    fn undo_write(&self, len: usize, error: std::io::Error) -> Error {
        undo_write(&*self.segment.file, &self.segment.path, self.offset, len, error)
    }

    /// Writes the seal, after which nothing follows in this segment, and gives back the room that is left over.
    /// Not synced.
    pub fn seal(&mut self) -> Result<()> {
        let seal = Seal {
            entries: self.next_ordinal - self.segment.header.base,
            last_id: self.written_id,
            shapes: self.segment.shapes(),
        };
        self.payload.clear();
        seal.put(&mut self.payload);
        self.frames.clear();
        let synced = self.segment.synced.load(Ordering::Acquire);
        let head = Head {
            kind: entries::SEAL,
            position: self.next_ordinal as u16,
            synced: (synced > self.watermark).then(|| self.offset - synced),
            ..Head::default()
        };
        record::encode(&mut self.frames, self.segment.salt, self.offset, &head, &[&self.payload]);
        let (file, path) = (&self.segment.file, &self.segment.path);
        file.write_at(self.offset, &self.frames).map_err(|error| self.undo_write(self.frames.len(), error))?;
        file.truncate(self.offset + self.frames.len() as u64).map_err(|error| Error::io("truncate", path, error))?;
        let _ = self.segment.table.write().blocks.finish(&**file, self.offset, &mut self.payload);
        self.segment.sealed_end.store(self.offset, Ordering::Release);
        Ok(())
    }

    /// The index of the segment, once it is sealed.
    pub fn index(&self) -> Index {
        let table = self.segment.table.read();
        Index {
            end: self.offset,
            entries: (self.next_ordinal - self.segment.header.base) as u32,
            blocks: table.blocks.list.clone(),
            shapes: table.shapes.clone(),
        }
    }

    /// The header of the segment that follows this one.
    pub fn successor(&self, file: Identity, base_ms: u64, peer: u64) -> Header {
        Header {
            kind: Kind::Segment,
            file,
            base: self.next_ordinal,
            peer,
            entries_added: self.entries_added,
            previous_id: self.last_id,
            floor: self.floor,
            base_ms,
            predecessor: match self.is_empty_segment() {
                true => self.segment.header.predecessor,
                false => self.segment.header.file,
            },
            ..self.segment.header
        }
    }

    /// Goes on in a new, empty segment.
    ///
    /// After an error it has not moved.
    pub fn go_on_in(&mut self, segment: Arc<Segment>) -> Result<()> {
        let len = segment.file.len();
        self.capacity = len.map_err(|error| Error::io("look at", &segment.path, error))?;
        self.peer = segment.header.peer;
        self.segment = segment;
        self.offset = HEADER_LEN as u64;
        self.written_id = self.segment.header.previous_id;
        self.stopped = false;
        self.version += 1;
        self.unproven_end = 0;
        self.watermark = HEADER_LEN as u64;
        self.next_block = 0;
        self.numbers.clear();
        self.last_shape = (Vec::new(), 0);
        self.shapes_len = 0;
        Ok(())
    }
}

/// After a failed write of so many bytes at the tail: zeros where it may have written a part. Returns the error of the
/// whole.
pub fn undo_write(file: &dyn File, path: &std::path::Path, offset: u64, len: usize, error: std::io::Error) -> Error {
    let error = Error::io("write to", path, error);
    let undone = file.write_at(offset, &vec![0; len]).map_err(|error| Error::io("write to", path, error));
    match (&error, undone) {
        (_, Ok(())) => error,
        // A file system that moves blocks has no room for the zeros either. A part of a frame is no frame: the next one
        // stands in its place, and what it does not cover is found torn.
        (Error::NoSpace { .. }, Err(Error::NoSpace { .. })) => error,
        (_, Err(undoing)) => undoing.unfinished(),
    }
}

/// The error of a frame whose body would be too long.
#[inline]
fn check_body_len(len: usize) -> Result<()> {
    check_len(len as u64, BODY_LEN_MAX as u64 - 64)
}

#[inline]
fn check_len(len: u64, max: u64) -> Result<()> {
    if len <= max { Ok(()) } else { Err(Error::EntryTooLarge { len, max }) }
}

/// The error of entries for which no segment can be long enough, so that it is noticed before room is made for them. Whether
/// what else stands in their frame fits as well is seen when it is there.
pub fn check_fits(entries: &NewEntries) -> Result<()> {
    check_body_len(entries.values_len())?;
    check_len(capacity_for(entries, 0), SEGMENT_LEN_MAX)
}

#[inline]
fn fields_room(entries: &NewEntries) -> u64 {
    entries.room() + (ENTRY_OVERHEAD + FRAME_OVERHEAD) * entries.list.len() as u64
}

/// The capacity of a segment of about `wanted` bytes in which these entries, which have been [checked](check_fits), fit.
pub fn capacity_for(entries: &NewEntries, wanted: u64) -> u64 {
    let needed = HEADER_LEN as u64 + FRAME_OVERHEAD + fields_room(entries) + SEAL_OVERHEAD;
    needed.max(wanted).next_multiple_of(PAGE)
}

/// Writes the header into a new file, and syncs it.
pub fn begin_segment(file: &Arc<dyn File>, path: &std::path::Path, header: &Header) -> Result<()> {
    file.write_at(0, &header.encode()).map_err(|error| Error::io("write to", path, error))?;
    file.sync().map_err(|error| Error::io("sync", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewId, Store};

    /// So many entries with the same name, of a MiB: each of them counts twice, in its frame and in the seal.
    fn with_a_long_name(count: usize) -> NewEntries {
        let mut entries = NewEntries::default();
        entries.put_field(&vec![b'n'; 1 << 20], b"");
        let entry = entries.complete(NewId::Auto).clone();
        entries.list = vec![entry; count];
        entries
    }

    #[test]
    fn entries_for_which_no_segment_can_be_long_enough_are_refused_before_one_is_made() {
        assert!(check_fits(&with_a_long_name(2047)).is_ok());
        let store = Store::in_memory();
        let stream = store.stream("s").unwrap();
        stream.add([("n", "first")]).unwrap();
        let inner = store.shared().find(b"s").unwrap().unwrap();
        let error = inner.add(&mut with_a_long_name(2048), None).unwrap_err();
        assert!(
            matches!(error, Error::EntryTooLarge { len, max: SEGMENT_LEN_MAX } if len > SEGMENT_LEN_MAX),
            "{error}"
        );
        stream.add([("n", "second")]).unwrap();
        assert_eq!((stream.len().unwrap(), stream.info().unwrap().segments), (2, 1));
    }
}
