//! One file of the log: its header, its index, and its bytes.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use crate::damage::{Finding, Problem};
use crate::format::entries::Shapes;
use crate::format::file_name::File as FileName;
use crate::format::header::{BadHeader, HEADER_LEN, Header, Kind, PREDECESSOR_AT};
use crate::format::index::{Block, Index};
use crate::format::record::{FRAME_LEN_MIN, Salt};
use crate::io::place::Place;
use crate::io::{Access, File};
use crate::log::cold::Cold;
use crate::log::interpolate::{Guess, blocks_up_to, guess_in};
use crate::log::scan::{self, Blocks, Scan};
use crate::{Corruption, Error, Result, StreamId};

/// The most an index may take, in bytes: that of a segment of 4 GiB.
const INDEX_LEN_MAX: u64 = 64 << 20;

/// A segment that is open for reading, and for writing while it is the active one.
#[derive(Debug)]
pub struct Segment {
    pub header: Header,
    pub salt: Salt,
    pub file: Arc<dyn File>,
    /// For messages.
    pub path: PathBuf,
    pub table: RwLock<Table>,
    /// Where the entries end, once it is sealed.
    pub sealed_end: AtomicU64,
    /// How far it is known to be synced.
    pub synced: AtomicU64,
    /// How many entries it has, once it is sealed.
    pub sealed_entries: AtomicU64,
    /// The entry that was looked up last had been added together with others. A hint for where to look for the next one.
    pub is_batched: AtomicBool,
}

/// What is known of the frames of a segment. While it is active, only what has been published may be relied on.
#[derive(Debug, Default)]
pub struct Table {
    pub blocks: Blocks,
    pub shapes: Shapes,
}

impl Table {
    /// Takes in what a scan found that went on from the open block.
    pub fn take_in(&mut self, found: &Scan) {
        // It may be complete now.
        self.blocks.list.pop();
        self.blocks.list.extend_from_slice(&found.blocks.list);
        self.shapes = found.shapes.clone();
    }
}

/// The frames from the beginning of a block to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    pub start: u64,
    pub end: u64,
    /// The ordinal of its first entry.
    pub ordinal: u64,
    /// The checksum of its bytes, if that is known.
    pub crc: Option<u32>,
}

const NOT_SEALED: u64 = u64::MAX;

impl Segment {
    pub fn new(header: Header, file: Arc<dyn File>, path: PathBuf, table: Table) -> Self {
        let salt = Salt::of(&header.file);
        let (sealed_end, synced) = (AtomicU64::new(NOT_SEALED), AtomicU64::new(HEADER_LEN as u64));
        let (sealed_entries, is_batched) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { header, salt, file, path, table: RwLock::new(table), sealed_end, synced, sealed_entries, is_batched }
    }

    /// The same segment, which is sealed, with nothing in its table but the shapes.
    pub fn without_table(&self, shapes: Shapes) -> Self {
        let table = Table { blocks: Blocks::default(), shapes };
        let segment = Self::new(self.header.clone(), Arc::clone(&self.file), self.path.clone(), table);
        segment.sealed_entries.store(self.sealed_entries.load(Ordering::Acquire), Ordering::Release);
        segment.sealed_end.store(self.sealed_end.load(Ordering::Acquire), Ordering::Release);
        segment.is_batched.store(self.is_batched.load(Ordering::Relaxed), Ordering::Relaxed);
        segment
    }

    /// Where its entries end: at the seal, or at `tail` if it has none.
    pub fn end(&self, tail: u64) -> u64 {
        self.sealed_end.load(Ordering::Acquire).min(tail)
    }

    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.file.read_at(offset, buf).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                let expected = offset + buf.len() as u64;
                Error::corrupt(&self.path, offset, Corruption::Truncated { expected })
            }
            _ => Error::io("read", &self.path, error),
        })
    }

    /// As [`read_at`](Self::read_at), with zeros for what is not there because the file was cut.
    pub fn read_there(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        match self.read_at(offset, buf) {
            Err(Error::Corrupt { .. }) => {}
            result => return result,
        }
        let len = self.file.len().map_err(|error| Error::io("look at", &self.path, error))?;
        let there = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let (there, gone) = buf.split_at_mut(there);
        gone.fill(0);
        self.read_at(offset, there)
    }

    /// The place in the table of the last block that begins at or below `id`, or of the first one.
    pub fn block_of(&self, id: StreamId) -> usize {
        blocks_up_to(&*self.table.read().blocks.list, id).saturating_sub(1)
    }

    /// The place in the table of the block in which this offset is, or of the last one that begins before it.
    pub fn block_at(&self, offset: u64) -> usize {
        let list = &self.table.read().blocks.list;
        list.partition_point(|block| u64::from(block.offset) <= offset).saturating_sub(1)
    }

    /// The first ID of the first block that begins at or behind this offset.
    pub fn first_id_behind(&self, offset: u64) -> Option<StreamId> {
        let table = self.table.read();
        let at = table.blocks.list.partition_point(|block| u64::from(block.offset) < offset);
        table.blocks.list.get(at).map(|block| block.first_id)
    }

    /// The blocks at these places in the table, as far as they lie before `end`; returns how many there are.
    pub fn parts(&self, places: Range<usize>, end: u64, out: &mut [Part]) -> usize {
        let table = self.table.read();
        let mut parts = places.map_while(|at| self.part(&table.blocks.list, at, end));
        out.iter_mut().zip(&mut parts).map(|(out, part)| *out = part).count()
    }

    /// The only block that can hold the entry with this ID, as far as it lies before `end`; where in it the entry may be;
    /// and the shapes.
    pub fn part_of(&self, id: StreamId, end: u64) -> Option<(Part, Option<Guess>, Shapes)> {
        let table = self.table.read();
        let list = &*table.blocks.list;
        let at = blocks_up_to(list, id).checked_sub(1)?;
        let part = self.part(list, at, end)?;
        let guess = list.get(at).zip(list.get(at + 1)).and_then(|(block, next)| guess_in(block, next, id));
        Some((part, guess, table.shapes.clone()))
    }

    fn part(&self, list: &[Block], at: usize, end: u64) -> Option<Part> {
        let block = list.get(at)?;
        let next = list.get(at + 1).map(|next| u64::from(next.offset));
        let full_end = next.unwrap_or_else(|| self.sealed_end.load(Ordering::Acquire));
        let start = u64::from(block.offset);
        // The checksum is that of the whole block, and not known while the block is open.
        let crc = (full_end <= end).then_some(block.crc);
        let ordinal = self.header.base + u64::from(block.ordinal);
        (start < end).then_some(Part { start, end: full_end.min(end), ordinal, crc })
    }

    /// The number of blocks that begin before `end`.
    pub fn block_count(&self, end: u64) -> usize {
        self.table.read().blocks.list.partition_point(|block| u64::from(block.offset) < end)
    }

    pub fn shapes(&self) -> Shapes {
        self.table.read().shapes.clone()
    }
}

/// Reads and checks the header of a file.
pub fn read_header(file: &dyn File, path: &std::path::Path, kind: Kind) -> Result<Header> {
    let mut bytes = [0; HEADER_LEN];
    file.read_at(0, &mut bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::corrupt(path, 0, Corruption::Malformed("the file is shorter than a header"))
        }
        _ => Error::io("read", path, error),
    })?;
    Header::decode(&bytes, kind).map_err(|bad| bad_header(path, bad))
}

/// What is wrong with a segment that is of another stream, or has the name of another.
pub const OUT_OF_PLACE: Corruption = Corruption::Foreign("the segment is another stream's or out of place");

/// What is wrong with a segment that stands behind another one than it names.
pub fn follows_another(path: PathBuf) -> Finding {
    let what = Corruption::Foreign("the segment before is not the one that this one follows");
    Finding::new(path, PREDECESSOR_AT, Problem::Damage(what))
}

pub fn bad_header(path: &std::path::Path, bad: BadHeader) -> Error {
    match bad {
        BadHeader::Damaged(what) => Error::corrupt(path, 0, Corruption::Malformed(what)),
        BadHeader::Unsupported(what) => Error::Unsupported { path: path.to_owned(), what },
    }
}

/// What there is of a segment.
#[derive(Clone, Debug)]
pub enum State {
    Closed,
    /// Its files are open, and entries can be found in it that are there.
    Cold(Arc<Cold>),
    Open(Arc<Segment>),
}

/// A segment's place in the log. The file is opened when it is first needed, unless it is the active one.
#[derive(Debug)]
pub struct Slot {
    /// The ordinal of its first entry.
    pub base: u64,
    state: Mutex<State>,
    /// What the header says of the IDs before it; known once it was opened.
    previous_id: OnceLock<StreamId>,
    /// The length of the file; known once it was sealed and looked at.
    len: OnceLock<u64>,
}

impl Slot {
    pub fn closed(base: u64) -> Self {
        Self { base, state: Mutex::new(State::Closed), previous_id: OnceLock::new(), len: OnceLock::new() }
    }

    pub fn opened(segment: Arc<Segment>) -> Self {
        let previous_id = OnceLock::from(segment.header.previous_id);
        let (base, state) = (segment.header.base, Mutex::new(State::Open(segment)));
        Self { base, state, previous_id, len: OnceLock::new() }
    }

    /// What there is of it now.
    #[inline]
    pub fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// The segment, if it is open.
    #[inline]
    pub fn get(&self) -> Option<Arc<Segment>> {
        match &*self.state.lock() {
            State::Open(segment) => Some(Arc::clone(segment)),
            State::Closed | State::Cold(_) => None,
        }
    }

    /// Lets the files go; whoever reads them goes on.
    pub fn close(&self) {
        *self.state.lock() = State::Closed;
    }

    /// Lets the table go, and keeps the files if that costs next to nothing; returns whether it does.
    pub fn cool(&self, place: &Place) -> bool {
        let mut state = self.state.lock();
        if let State::Open(segment) = &*state {
            *state = Cold::of(segment, place).map_or(State::Closed, |cold| State::Cold(Arc::new(cold)));
        }
        matches!(*state, State::Cold(_))
    }

    /// Lets the files go if that is all there is.
    pub fn close_cold(&self) {
        let mut state = self.state.lock();
        if let State::Cold(_) = *state {
            *state = State::Closed;
        }
    }

    /// The ID before its first entry. IDs in the segment are above it.
    pub fn previous_id(&self, place: &Place) -> Result<StreamId> {
        if let Some(id) = self.known_previous_id() {
            return Ok(id);
        }
        let name = FileName::Segment(self.base).name();
        let file = place.open(&name, Access::Read)?;
        let id = read_header(&*file, &place.full(&name), Kind::Segment)?.previous_id;
        Ok(*self.previous_id.get_or_init(|| id))
    }

    /// As [`previous_id`](Self::previous_id), without looking at the file.
    #[inline]
    pub fn known_previous_id(&self) -> Option<StreamId> {
        self.previous_id.get().copied()
    }

    /// Looks at the length of the file, which is sealed, if that is not known yet.
    pub fn measure(&self, place: &Place) {
        if self.len.get().is_none()
            && let Ok(len) = place.size(FileName::Segment(self.base).name())
        {
            let _ = self.len.set(len);
        }
    }

    /// The length of the file; 0 if it has not been measured, or could not be.
    pub fn len(&self) -> u64 {
        self.len.get().copied().unwrap_or(0)
    }

    /// The segment; `next_base` is the first ordinal of the next one, if that is known.
    pub fn open(&self, place: &Place, incarnation: &[u8; 16], next_base: Option<u64>) -> Result<Arc<Segment>> {
        let mut state = self.state.lock();
        if let State::Open(segment) = &*state {
            return Ok(Arc::clone(segment));
        }
        let segment = Arc::new(open_sealed(place, self.base, incarnation, next_base)?);
        self.previous_id.get_or_init(|| segment.header.previous_id);
        *state = State::Open(Arc::clone(&segment));
        Ok(segment)
    }
}

/// Opens a segment that has a successor, and so is sealed and was synced to its end.
fn open_sealed(place: &Place, base: u64, incarnation: &[u8; 16], next_base: Option<u64>) -> Result<Segment> {
    let name = FileName::Segment(base).name();
    let path = place.full(&name);
    let file = place.open(&name, Access::Read)?;
    let header = read_header(&*file, &path, Kind::Segment)?;
    if header.incarnation != *incarnation || header.base != base {
        return Err(Error::corrupt(&path, 0, OUT_OF_PLACE));
    }
    // What is read at once is bounded by what is there.
    let len = file.len().map_err(|error| Error::io("look at", &path, error))?.max((HEADER_LEN + FRAME_LEN_MIN) as u64);
    let index = read_index(place, base, &header).filter(|index| index.end <= len && fits(base, index, next_base));
    let index = match index {
        Some(index) => index,
        None => {
            let index = scan::rebuild_index(&header, &*file, &path, next_base)?;
            // A cache that cannot be written is made again the next time.
            let _ = write_index(place, base, &index.encode(&header.file));
            index
        }
    };
    let segment = Segment::new(header, file, path, Table { blocks: Blocks::of(index.blocks), shapes: index.shapes });
    segment.sealed_entries.store(u64::from(index.entries), Ordering::Release);
    segment.sealed_end.store(index.end, Ordering::Release);
    Ok(segment)
}

fn fits(base: u64, index: &Index, next_base: Option<u64>) -> bool {
    next_base.is_none_or(|next_base| base.saturating_add(u64::from(index.entries)) <= next_base)
}

fn read_index(place: &Place, base: u64, header: &Header) -> Option<Index> {
    let bytes = place.read(FileName::Index(base).name(), INDEX_LEN_MAX).ok()??;
    Index::decode(&bytes, &header.file)
}

/// Writes the index of a sealed segment. Not synced: one that a power loss mangles does not validate.
pub fn write_index(place: &Place, base: u64, content: &[u8]) -> Result<()> {
    let name = FileName::Index(base);
    let file = place.create(name.new_name(), content.len() as u64)?;
    file.write_at(0, content).map_err(|error| Error::io("write to", &place.full(name.new_name()), error))?;
    place.rename(name.new_name(), name.name())
}
