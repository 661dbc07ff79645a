//! Reading a segment from front to back with every check there is.

use std::path::Path;

use crate::format::entries::{self, Entries, Production, Seal, Shapes, decode_production, decode_shape};
use crate::format::header::{HEADER_LEN, Header};
use crate::format::index::{BLOCK_LEN, Block, Index};
use crate::format::record::{self, FRAME_LEN_MIN, Flaw, Frame, Salt};
use crate::format::search::Search;
use crate::io::File;
use crate::{Corruption, Error, Result, StreamId};

/// The longest segment, in bytes: offsets in the index have 32 bits.
pub const SEGMENT_LEN_MAX: u64 = u32::MAX as u64;
/// How much is read at a time, in bytes.
const CHUNK_LEN: usize = 256 << 10;
/// And at first, where little is expected.
const CHUNK_LEN_FIRST: usize = 4 << 10;

/// The blocks of a segment, found as its frames go by. The last one is open: its checksum is not known yet.
#[derive(Debug, Default)]
pub struct Blocks {
    pub list: Vec<Block>,
    /// There is damage in the open block.
    damaged: bool,
}

impl Blocks {
    /// All blocks of a sealed segment.
    pub fn of(list: Vec<Block>) -> Self {
        Self { list, damaged: false }
    }

    /// To be called for each frame with entries; `ordinal` is that of its first one, from 0 within the segment.
    pub fn frame(
        &mut self,
        file: &dyn File,
        offset: u64,
        first_id: StreamId,
        ordinal: u64,
        scratch: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        if self.list.last().is_some_and(|open| offset < u64::from(open.offset) + BLOCK_LEN) {
            return Ok(());
        }
        let finished = self.finish(file, offset, scratch);
        // Segments are below 4 GiB: see `check_fits`.
        self.list.push(Block { first_id, offset: offset as u32, ordinal: ordinal as u32, crc: 0 });
        finished
    }

    /// Forgets all but the open block.
    pub fn keep_open(&mut self) {
        let complete = self.list.len().saturating_sub(1);
        self.list.drain(..complete);
    }

    /// Gives the open block its checksum; one that does not fit if there was damage in it, or if it cannot be read, so
    /// that its frames are checked one by one.
    pub fn finish(&mut self, file: &dyn File, end: u64, scratch: &mut Vec<u8>) -> std::io::Result<()> {
        let Some(open) = self.list.last_mut() else { return Ok(()) };
        open.crc = block_crc(file, open, end, scratch)?;
        if std::mem::take(&mut self.damaged) {
            open.crc = !open.crc;
        }
        Ok(())
    }
}

/// The checksum of the bytes of a block.
fn block_crc(file: &dyn File, block: &Block, end: u64, scratch: &mut Vec<u8>) -> std::io::Result<u32> {
    let start = u64::from(block.offset);
    let len = |end: u64| usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    try_resize(scratch, len(end))?;
    // Of a file that was cut, zeros for the rest.
    let there = len(file.len()?).min(scratch.len());
    let (read, rest) = scratch.split_at_mut(there);
    file.read_at(start, read)?;
    rest.fill(0);
    Ok(crc32fast::hash(scratch))
}

/// Why a scan ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// At the seal.
    Sealed(Seal),
    /// At zeros, or the end of the file.
    Blank,
    /// At a frame that depends on a change the journal does not have.
    AheadOfJournal,
    /// At bytes that are no valid frame.
    Flawed(Corruption),
}

/// What a scan found.
#[derive(Debug)]
pub struct Scan {
    pub blocks: Blocks,
    pub shapes: Shapes,
    /// The ordinal after the last entry.
    pub next_ordinal: u64,
    /// The last ID, or the header's previous one if there are no entries.
    pub last_id: StreamId,
    /// The offset after the last good frame.
    pub tail: u64,
    /// The highest trim floor a frame carried, or the header's.
    pub floor: u64,
    /// The highest watermark a frame carried.
    pub synced: u64,
    /// The change up to which the entries depend on the journal.
    pub peer: u64,
    /// Which entries come of idempotent productions.
    pub productions: Vec<Production>,
    pub ending: Ending,
}

impl Scan {
    /// Nothing yet of a segment.
    pub fn new(header: &Header) -> Self {
        Self {
            blocks: Blocks::default(),
            shapes: Shapes::default(),
            next_ordinal: header.base,
            last_id: header.previous_id,
            tail: HEADER_LEN as u64,
            floor: header.floor,
            synced: HEADER_LEN as u64,
            peer: header.peer,
            productions: Vec::new(),
            ending: Ending::Blank,
        }
    }
}

/// Reads frames until something ends it. `peer_max` is the number of changes the journal has.
pub fn scan(header: &Header, file: &dyn File, path: &Path, peer_max: u64) -> Result<Scan> {
    let len = file.len().map_err(|error| Error::io("look at", path, error))?;
    if len > SEGMENT_LEN_MAX {
        let what = Corruption::Malformed("the segment is over the length limit");
        return Err(Error::corrupt(path, SEGMENT_LEN_MAX, what));
    }
    let mut scanner = Scanner::new(header, file, peer_max);
    scanner.run(len).map_err(|error| Error::io("read", path, error))?;
    Ok(scanner.found)
}

/// Goes on where a scan ended, in a file that may have more frames now. What was found before has to be `found` again.
pub fn go_on(header: &Header, file: &dyn File, path: &Path, peer_max: u64, found: Scan) -> Result<Scan> {
    let len = file.len().map_err(|error| Error::io("look at", path, error))?.min(SEGMENT_LEN_MAX);
    let found = Scan { ending: Ending::Blank, ..found };
    let mut scanner = Scanner { chunk_len: CHUNK_LEN_FIRST, found, ..Scanner::new(header, file, peer_max) };
    scanner.run(len).map_err(|error| Error::io("read", path, error))?;
    Ok(scanner.found)
}

struct Scanner<'a> {
    header: &'a Header,
    file: &'a dyn File,
    peer_max: u64,
    chunk_len: usize,
    /// All shapes of the segment, where they are known beforehand.
    known_shapes: Option<Shapes>,
    scratch: Vec<u8>,
    found: Scan,
}

impl<'a> Scanner<'a> {
    fn new(header: &'a Header, file: &'a dyn File, peer_max: u64) -> Self {
        let found = Scan::new(header);
        Self { header, file, peer_max, chunk_len: CHUNK_LEN, known_shapes: None, scratch: Vec::new(), found }
    }

    fn run(&mut self, len: u64) -> std::io::Result<()> {
        let mut buffer = Vec::new();
        let salt = Salt::of(&self.header.file);
        // Where the buffer begins in the file, and how much of it has been taken.
        let (mut start, mut taken) = (self.found.tail, 0);
        loop {
            let rest = buffer.get(taken..).unwrap_or_default();
            match record::decode(rest, salt, self.found.tail) {
                Ok(frame) => {
                    let frame_len = frame.len;
                    if let Some(ending) = self.frame(&frame)? {
                        self.found.ending = ending;
                        return Ok(());
                    }
                    self.found.tail += frame_len as u64;
                    taken += frame_len;
                }
                Err(flaw) => {
                    let wanted = match flaw {
                        Flaw::Short(wanted) => wanted,
                        Flaw::Blank => FRAME_LEN_MIN,
                        _ => 0,
                    };
                    let there = len.saturating_sub(self.found.tail);
                    if wanted <= rest.len() || rest.len() as u64 >= there || wanted as u64 > there {
                        self.found.ending =
                            if flaw == Flaw::Blank { Ending::Blank } else { Ending::Flawed(flaw.into()) };
                        return Ok(());
                    }
                    start += taken as u64;
                    taken = 0;
                    read_chunk(self.file, start, there, wanted.max(self.chunk_len), &mut buffer)?;
                    self.chunk_len = (self.chunk_len * 2).min(CHUNK_LEN);
                }
            }
        }
    }

    /// Takes a frame in; says why the scan ends here if it does.
    fn frame(&mut self, frame: &Frame<'_>) -> std::io::Result<Option<Ending>> {
        let peer = frame.head.peer.map_or(self.found.peer, |peer| self.header.peer.saturating_add(peer));
        if peer > self.peer_max {
            return Ok(Some(Ending::AheadOfJournal));
        }
        if frame.head.position != self.found.next_ordinal as u16 {
            return Ok(Some(Ending::Flawed(Corruption::Malformed("a record out of sequence"))));
        }
        let ending = match frame.head.kind {
            entries::ENTRY | entries::BATCH | entries::MADE => self.entries(frame)?,
            entries::SHAPE if self.known_shapes.is_some() => None,
            entries::SHAPE => decode_shape(frame.payload)
                .and_then(|(number, names)| self.found.shapes.define(number, names))
                .map_or(Some("a list of names that is none"), |()| None),
            entries::SEAL => return Ok(Some(self.seal(frame.payload))),
            _ => Some("a record of a kind that is not known"),
        };
        if let Some(what) = ending {
            return Ok(Some(Ending::Flawed(Corruption::Malformed(what))));
        }
        let before = frame.head.synced.unwrap_or(u64::MAX);
        self.found.synced = self.found.synced.max(self.found.tail.saturating_sub(before));
        self.found.peer = peer;
        Ok(None)
    }

    fn entries(&mut self, frame: &Frame<'_>) -> std::io::Result<Option<&'static str>> {
        let Some(checked) = check_entries(frame, self.header.base_ms, &self.found.shapes, self.found.last_id) else {
            return Ok(Some("entries that cannot be decoded"));
        };
        let ordinal = self.found.next_ordinal - self.header.base;
        self.found.blocks.frame(self.file, self.found.tail, checked.first_id, ordinal, &mut self.scratch)?;
        if let Some((producer, key)) = decode_production(frame.payload).filter(|_| frame.head.kind == entries::MADE) {
            let (ordinal, id) = (self.found.next_ordinal, checked.first_id);
            self.found.productions.push(Production { ordinal, producer: producer.into(), key: key.into(), id });
        }
        self.found.next_ordinal += checked.count;
        self.found.last_id = checked.last_id;
        if let Some(before) = frame.head.floor {
            self.found.floor = self.found.floor.max(self.found.next_ordinal.saturating_sub(before));
        }
        Ok(None)
    }

    fn seal(&self, payload: &[u8]) -> Ending {
        match Seal::decode(payload) {
            Some(seal)
                if seal.entries == self.found.next_ordinal - self.header.base
                    && seal.last_id == self.found.last_id
                    && seal.shapes == self.found.shapes =>
            {
                Ending::Sealed(seal)
            }
            _ => Ending::Flawed(Corruption::Malformed("a seal that does not fit its segment")),
        }
    }
}

/// Fills `buffer` with `wanted` bytes from `start`, of which `there` are in the file.
fn read_chunk(file: &dyn File, start: u64, there: u64, wanted: usize, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    try_resize(buffer, usize::try_from(there).unwrap_or(usize::MAX).min(wanted))?;
    file.read_at(start, buffer)
}

/// The bytes of a file of this length from `from` on.
pub fn read_rest(file: &dyn File, from: u64, len: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_chunk(file, from, len.saturating_sub(from), usize::MAX, &mut bytes)?;
    Ok(bytes)
}

/// Makes a buffer as long as what is to be read into it, of which only the file says how long it is.
pub fn try_resize(buffer: &mut Vec<u8>, len: usize) -> std::io::Result<()> {
    // What is there is read over: it need not be zeroed first.
    let more = len.saturating_sub(buffer.len());
    buffer.try_reserve(more).map_err(|_| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
    buffer.resize(len, 0);
    Ok(())
}

/// What the entries of a frame are, when all of them are valid and in order.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    pub count: u64,
    pub first_id: StreamId,
    pub last_id: StreamId,
}

/// `None` if the entries of a frame are malformed or their IDs not above `previous` and each other.
pub fn check_entries(frame: &Frame<'_>, base_ms: u64, shapes: &Shapes, previous: StreamId) -> Option<Checked> {
    let mut entries = Entries::new(frame.head.kind, frame.payload, base_ms)?;
    let (mut count, mut first_id, mut last_id) = (0, None, previous);
    while let Some(entry) = entries.next(shapes)? {
        if entry.id <= last_id {
            return None;
        }
        count += 1;
        first_id.get_or_insert(entry.id);
        last_id = entry.id;
    }
    Some(Checked { count, first_id: first_id?, last_id })
}

/// What is left of a segment behind a flaw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Valid frames were found.
    pub frames: bool,
    /// The highest watermark that one of them carries.
    pub synced: u64,
    /// The highest ID that one of them begins with.
    pub highest_id: StreamId,
}

/// Looks for valid frames behind a flaw at `from`, at any offset: their lengths are not known.
pub fn look_beyond(header: &Header, file: &dyn File, path: &Path, from: u64) -> Result<Beyond> {
    let len = file.len().map_err(|error| Error::io("look at", path, error))?;
    let mut beyond = Beyond::default();
    let bytes = read_rest(file, from, len).map_err(|error| Error::io("read", path, error))?;
    let mut search = Search::new(header, &bytes, from);
    let mut at = 1;
    while let Some((found, frame)) = search.next(at) {
        beyond.note(&frame, from + found as u64, header);
        at = found + frame.len;
    }
    Ok(beyond)
}

impl Beyond {
    fn note(&mut self, frame: &Frame<'_>, offset: u64, header: &Header) {
        self.frames = true;
        self.synced = self.synced.max(frame.head.synced.map_or(0, |before| offset.saturating_sub(before)));
        let id = entries::peek_id(frame.head.kind, frame.payload, header.base_ms);
        self.highest_id = self.highest_id.max(id.unwrap_or(StreamId::MIN));
    }
}

/// The index of a sealed segment, made from its frames.
///
/// Damage is left to those who read there: the block that holds it gets a checksum that does not fit.
pub fn rebuild_index(header: &Header, file: &dyn File, path: &Path, next_base: Option<u64>) -> Result<Index> {
    let mut found = scan(header, file, path, u64::MAX)?;
    let intact =
        matches!(found.ending, Ending::Sealed(_)) && next_base.is_none_or(|next_base| found.next_ordinal <= next_base);
    if !intact {
        found = salvage(header, file, path, next_base)?;
    }
    found.blocks.finish(file, found.tail, &mut Vec::new()).map_err(|error| Error::io("read", path, error))?;
    let entries = (found.next_ordinal - header.base) as u32;
    Ok(Index { end: found.tail, entries, blocks: found.blocks.list, shapes: found.shapes })
}

/// Scans a damaged segment that ends at `next_base` or, as its seal says, before; goes on behind each flaw.
pub fn salvage(header: &Header, file: &dyn File, path: &Path, next_base: Option<u64>) -> Result<Scan> {
    let wrap = |error| Error::io("read", path, error);
    let len = file.len().map_err(wrap)?;
    let bytes = read_rest(file, 0, len).map_err(wrap)?;
    let mut scanner = Scanner::new(header, file, u64::MAX);
    // From the start, so that damage before the first good entry is in a block, too, and is found by those who read it.
    let first_id = header.previous_id.next().unwrap_or(StreamId::MAX);
    scanner.found.blocks.list.push(Block { first_id, offset: HEADER_LEN as u32, ordinal: 0, crc: 0 });
    let seal = last_seal(header, &bytes);
    let sealed_end = seal.as_ref().map(|seal| header.base.saturating_add(seal.entries));
    let next_base = [sealed_end, next_base].into_iter().flatten().min();
    if let Some(seal) = seal {
        scanner.found.shapes = seal.shapes.clone();
        scanner.known_shapes = Some(seal.shapes);
    }
    let mut search = Search::new(header, &bytes, 0);
    let mut at = HEADER_LEN;
    while next_base.is_none_or(|next_base| scanner.found.next_ordinal < next_base) {
        let Some((next, frame)) = search.next(at) else { break };
        scanner.found.blocks.damaged |= next > at;
        if frame.head.kind == entries::SEAL {
            break;
        }
        // What the damage took is known from where the next frame says it is.
        let missing = frame.head.position.wrapping_sub(scanner.found.next_ordinal as u16);
        scanner.found.next_ordinal += u64::from(missing);
        scanner.found.tail = next as u64;
        if scanner.frame(&frame).map_err(wrap)?.is_some() {
            scanner.found.blocks.damaged = true;
        }
        at = next + frame.len;
        scanner.found.tail = at as u64;
    }
    let mut found = scanner.found;
    if let Some(next_base) = next_base.filter(|&next_base| next_base != found.next_ordinal) {
        found.blocks.damaged = true;
        found.next_ordinal = next_base;
        // So far that those who read there find that something is missing, also if nothing is left.
        found.tail = len.max((HEADER_LEN + FRAME_LEN_MIN) as u64);
    }
    Ok(found)
}

/// The seal at the end of a segment, of which any part may be damaged.
pub fn last_seal(header: &Header, bytes: &[u8]) -> Option<Seal> {
    // A seal is SHAPES_LEN_MAX and some bytes at the most.
    let from = bytes.len().saturating_sub(128 << 10);
    let mut search = Search::new(header, bytes.get(from..)?, from as u64);
    let mut at = HEADER_LEN.saturating_sub(from);
    while let Some((found, frame)) = search.next(at) {
        if frame.head.kind == entries::SEAL {
            return Seal::decode(frame.payload);
        }
        at = found + frame.len;
    }
    None
}

/// Whether all bytes are zero. Looks at many of them at a time: a segment has up to 64 MiB of them.
fn is_blank(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<64>();
    let is_zero = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all | byte) == 0;
    chunks.iter().all(|chunk| is_zero(chunk)) && is_zero(rest)
}

/// Whether everything from `from` to the end of the file is zero.
pub fn is_blank_from(file: &dyn File, path: &Path, from: u64) -> Result<bool> {
    let len = file.len().map_err(|error| Error::io("look at", path, error))?;
    let mut buffer = Vec::new();
    let mut at = from;
    while at < len {
        read_chunk(file, at, len - at, CHUNK_LEN.min(usize::try_from(len - at).unwrap_or(CHUNK_LEN)), &mut buffer)
            .map_err(|error| Error::io("read", path, error))?;
        if !is_blank(&buffer) {
            return Ok(false);
        }
        at += buffer.len() as u64;
    }
    Ok(true)
}
