//! Consecutive blocks of a segment, read at once and decoded.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::entry::{Chunk, EntryRef};
use crate::format::entries::{ENTRY, Entries, SHAPE, peek_id};
use crate::format::record;
use crate::format::search::Search;
use crate::log::segment::{Part, Segment};
use crate::log::{Opened, View};
use crate::{Corruption, Error, Result, StreamId};

/// The most blocks that are read at once: 64 KiB.
pub const BLOCKS_MAX: usize = 16;

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    pub id: StreamId,
    pub ordinal: u64,
    shape: u32,
    start: u32,
    end: u32,
}

/// What is at a place among those of some blocks.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    Entry(Position),
    Damage(&'a Damage),
    /// The segment with this first ordinal is not there.
    Missing(u64),
}

#[derive(Debug)]
pub struct Damage {
    pub offset: u64,
    pub what: Corruption,
}

/// What is in some blocks, in order. Nearly always entries only: half a cache line each.
#[derive(Debug, Default)]
pub struct Items {
    places: Vec<Place>,
    odd: Vec<Odd>,
    /// The ordinal that those of the places count from.
    base: u64,
}

/// An entry; or, with [`ODD`] as its shape and a place among the odd items as its start, none.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: StreamId,
    ordinal: i32,
    shape: u32,
    start: u32,
    end: u32,
}

/// There are fewer shapes than this in a segment, as each takes some bytes of it.
const ODD: u32 = u32::MAX;

#[derive(Debug)]
enum Odd {
    Damage(Damage),
    Missing(u64),
}

impl Items {
    #[inline]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    #[inline]
    pub fn get(&self, at: usize) -> Option<Item<'_>> {
        let &Place { id, ordinal, shape, start, end } = self.places.get(at)?;
        if shape != ODD {
            let ordinal = self.base.wrapping_add_signed(i64::from(ordinal));
            return Some(Item::Entry(Position { id, ordinal, shape, start, end }));
        }
        self.odd.get(start as usize).map(|odd| match odd {
            Odd::Damage(damage) => Item::Damage(damage),
            Odd::Missing(base) => Item::Missing(*base),
        })
    }

    /// The ID of the entry at this place, if it is one.
    pub fn id(&self, at: usize) -> Option<StreamId> {
        self.places.get(at).filter(|place| place.shape != ODD).map(|place| place.id)
    }

    /// The places of the entries from one ID to another, both included; the IDs ascend.
    fn between(&self, lower: StreamId, upper: StreamId) -> Range<usize> {
        let from = self.places.partition_point(|place| place.id < lower);
        from..self.places.partition_point(|place| place.id <= upper).max(from)
    }

    fn clear(&mut self, base: u64) {
        self.places.clear();
        self.odd.clear();
        self.base = base;
    }

    fn truncate(&mut self, len: usize) {
        self.places.truncate(len);
    }

    fn push_odd(&mut self, odd: Odd) {
        let start = self.odd.len() as u32;
        self.places.push(Place { id: StreamId::MIN, ordinal: 0, shape: ODD, start, end: start });
        self.odd.push(odd);
    }

    /// Takes the last item away if it is damage.
    fn pop_damage(&mut self) {
        if self.places.pop_if(|place| place.shape == ODD).is_some() {
            self.odd.pop();
        }
    }
}

/// Some consecutive blocks, decoded: their entries in order, and what is damaged.
#[derive(Debug)]
pub struct Loaded {
    chunk: Arc<Chunk>,
    pub items: Items,
    /// No entry was trimmed or deleted when the blocks were read.
    pub all_live: bool,
    /// There is nothing but entries, and their IDs ascend.
    is_plain: bool,
    /// As much was found as was wanted before the end of the last block.
    pub is_partial: bool,
    /// The ordinals of the entries.
    pub ordinals: Range<u64>,
    /// Where the next frame begins, and the ordinal of its first entry.
    pub next: (u64, u64),
}

/// What of some blocks is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Entries with lower IDs are not.
    pub from: StreamId,
    /// Nothing before this offset is; there a frame begins whose first entry has this ordinal.
    pub at: (u64, u64),
    pub count: usize,
}

impl Wanted {
    pub const ALL: Self = Self { from: StreamId::MIN, at: (0, 0), count: usize::MAX };

    /// Leaves out what is not wanted of a block.
    fn cut(&self, part: &mut Part) {
        let (offset, ordinal) = self.at;
        if offset > part.start && offset < part.end {
            // Its checksum is that of the whole: frames are checked one by one.
            *part = Part { start: offset, ordinal, crc: None, ..*part };
        }
    }
}

impl Loaded {
    #[inline]
    pub fn entry(&self, position: &Position) -> EntryRef<'_> {
        let &Position { id, shape, start, end, .. } = position;
        EntryRef::new(id, &self.chunk, shape, start, end)
    }

    /// The entry at this place, where [`sound`](Self::sound) says that there is one.
    #[inline(always)]
    pub fn entry_at(&self, at: usize) -> Option<EntryRef<'_>> {
        let &Place { id, shape, start, end, .. } = self.items.places.get(at)?;
        Some(EntryRef::new(id, &self.chunk, shape, start, end))
    }

    /// The places of entries from one ID to another that can be given out one after the other without a further look; none
    /// if there is anything else among them.
    pub fn sound(&self, lower: StreamId, upper: StreamId) -> Range<usize> {
        if self.all_live && self.is_plain { self.items.between(lower, upper) } else { 0..0 }
    }

    /// The bytes of memory it takes.
    pub fn memory(&self) -> usize {
        self.chunk.bytes.capacity() + self.items.places.capacity() * size_of::<Place>()
    }
}

/// Reads and decodes blocks; returns how many there were. What was loaded before gives its memory for them, unless
/// somebody still holds an entry of it.
pub fn load(
    view: &View,
    place: usize,
    opened: &Opened,
    blocks: Range<usize>,
    wanted: Wanted,
    loaded: &mut Option<Loaded>,
) -> Result<usize> {
    let Opened { segment, end: segment_end } = opened;
    let first_block = blocks.start;
    let mut parts = [Part::default(); BLOCKS_MAX];
    let count = segment.parts(blocks, *segment_end, &mut parts);
    let parts = parts.get_mut(..count).unwrap_or_default();
    if let Some(first) = parts.first_mut() {
        wanted.cut(first);
    }
    let parts = &*parts;
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(0) };
    let len = usize::try_from(last.end - first.start).unwrap_or(usize::MAX);
    let (mut bytes, mut items) = memory_of(loaded.take());
    bytes
        .try_reserve_exact(len.saturating_sub(bytes.len()))
        .map_err(|_| Error::io("read", &segment.path, std::io::Error::from(std::io::ErrorKind::OutOfMemory)))?;
    bytes.resize(len, 0);
    segment.read_there(first.start, &mut bytes)?;
    items.clear(first.ordinal);
    let chunk = Chunk { bytes, shapes: segment.shapes() };
    let next_ordinal = view.tail.next_ordinal;
    let mut decoder = Decoder {
        opened,
        chunk: &chunk,
        start: first.start,
        next_ordinal,
        wanted,
        is_partial: false,
        is_damaged: false,
        last_id: StreamId::MIN,
        ascends: true,
        items,
    };
    let (mut end, mut sound, mut count) = (0, true, 0);
    let mut next = 0;
    for part in parts {
        (end, sound, next) = decoder.part(part);
        count += 1;
        if decoder.is_partial {
            break;
        }
    }
    let Decoder { mut items, is_partial, is_damaged, ascends, .. } = decoder;
    if is_damaged {
        view.log.doubt();
    }
    // At its end, if it was sealed already when the view was taken.
    let is_whole = *segment_end == segment.sealed_end.load(Ordering::Acquire);
    if is_whole && !is_partial && first_block + count == segment.block_count(*segment_end) {
        note_what_is_missing(view, place, segment, last.end, sound.then_some(end), &mut items);
    }
    let ordinals = first.ordinal..end;
    let all_live = view.are_live(ordinals.clone());
    let is_plain = ascends && items.odd.is_empty();
    let chunk = Arc::new(chunk);
    *loaded = Some(Loaded { chunk, items, all_live, is_plain, is_partial, ordinals, next: (next, end) });
    Ok(count)
}

/// The memory of what was loaded before.
#[inline]
fn memory_of(loaded: Option<Loaded>) -> (Vec<u8>, Items) {
    match loaded {
        Some(Loaded { chunk, items, .. }) => (Arc::into_inner(chunk).map_or_else(Vec::new, |chunk| chunk.bytes), items),
        None => (Vec::new(), Items::default()),
    }
}

/// At the end of a sealed segment, which is at `offset`: whether entries are missing before it, and whether the next segment
/// is. `next_ordinal` is that behind the last entry, unless damage hides it.
#[inline]
fn note_what_is_missing(
    view: &View,
    place: usize,
    segment: &Segment,
    offset: u64,
    next_ordinal: Option<u64>,
    items: &mut Items,
) {
    let entries_end = segment.header.base + segment.sealed_entries.load(Ordering::Acquire);
    if next_ordinal.is_some_and(|next_ordinal| next_ordinal < entries_end) {
        let what = Corruption::Truncated { expected: offset + 1 };
        items.push_odd(Odd::Damage(Damage { offset, what }));
    }
    if let Some(missing) = view.gap_after(place, segment) {
        items.push_odd(Odd::Missing(missing));
    }
}

struct Decoder<'a> {
    opened: &'a Opened,
    chunk: &'a Chunk,
    /// The offset of the chunk in the file.
    start: u64,
    next_ordinal: u64,
    wanted: Wanted,
    is_partial: bool,
    is_damaged: bool,
    /// The last ID that was found.
    last_id: StreamId,
    /// The IDs ascend.
    ascends: bool,
    items: Items,
}

impl Decoder<'_> {
    /// Decodes a block; returns the ordinal after its last entry, whether the end of the block is sound, and the offset it
    /// came to.
    fn part(&mut self, part: &Part) -> (u64, bool, u64) {
        let (from, to) = ((part.start - self.start) as usize, (part.end - self.start) as usize);
        let bytes = self.chunk.bytes.get(from..to).unwrap_or_default();
        let verified = part.crc.is_some_and(|crc| crc == crc32fast::hash(bytes));
        let mut ordinal = part.ordinal;
        let mut at = from;
        let mut sound = true;
        while at < to {
            if self.items.len() >= self.wanted.count && self.has_enough() {
                self.is_partial = true;
                break;
            }
            if verified
                && sound
                && let Some((len, next)) = self.sound_frame(at, to, ordinal)
            {
                at += len;
                ordinal = next;
                continue;
            }
            match self.frame(at, to, ordinal, verified, sound) {
                Ok((len, next)) => {
                    at += len;
                    ordinal = next;
                    sound = true;
                }
                Err(what) => {
                    if sound {
                        self.items.push_odd(Odd::Damage(Damage { offset: self.start + at as u64, what }));
                    }
                    sound = false;
                    self.is_damaged = true;
                    at = self.next_frame(at + 1, to);
                }
            }
        }
        (ordinal, sound, self.start + at as u64)
    }

    /// Damage is told of once: where there is any, the block is decoded as a whole.
    fn has_enough(&self) -> bool {
        !self.is_damaged && self.items.len().checked_sub(1).is_some_and(|last| self.items.id(last).is_some())
    }

    /// As [`frame`](Self::frame), for the next one of a verified block. `None` if it is anything but as it should be.
    #[inline(always)]
    fn sound_frame(&mut self, at: usize, to: usize, ordinal: u64) -> Option<(usize, u64)> {
        let chunk = self.chunk;
        let frame = record::outline(chunk.bytes.get(at..to)?)?;
        if frame.position != ordinal as u16 {
            return None;
        }
        if frame.kind == SHAPE {
            return Some((frame.len, ordinal));
        }
        if self.is_before(frame.kind, frame.payload) {
            self.items.pop_damage();
            return Some((frame.len, ordinal + 1));
        }
        let payload_at = at + frame.len - frame.payload.len();
        Some((frame.len, self.entries(frame.kind, frame.payload, payload_at, ordinal)?))
    }

    /// Decodes the frame at a place of the chunk; returns its length and the ordinal after it.
    #[inline(never)]
    fn frame(
        &mut self,
        at: usize,
        to: usize,
        ordinal: u64,
        verified: bool,
        sound: bool,
    ) -> Result<(usize, u64), Corruption> {
        let segment = &self.opened.segment;
        let chunk = self.chunk;
        let bytes = chunk.bytes.get(at..to).unwrap_or_default();
        let frame = match verified {
            true => record::parse(bytes)?,
            false => record::decode(bytes, segment.salt, self.start + at as u64)?,
        };
        // Behind damage, how many entries it took is known from where the frame says it is.
        let missing = frame.head.position.wrapping_sub(ordinal as u16);
        if missing != 0 && sound {
            return Err(Corruption::Malformed("a record out of sequence"));
        }
        let ordinal = ordinal + u64::from(missing);
        if frame.head.kind == SHAPE {
            return Ok((frame.len, ordinal));
        }
        if self.is_before(frame.head.kind, frame.payload) {
            // So is all that damage before it hit.
            self.items.pop_damage();
            return Ok((frame.len, ordinal + 1));
        }
        let payload_at = at + frame.len - frame.payload.len();
        match self.entries(frame.head.kind, frame.payload, payload_at, ordinal) {
            Some(next) => Ok((frame.len, next)),
            None => Err(Corruption::Malformed("entries that cannot be decoded")),
        }
    }

    /// Whether the frame is that of one entry which is before what is wanted.
    #[inline(always)]
    fn is_before(&self, kind: u8, payload: &[u8]) -> bool {
        // Behind the first one that is wanted there is none.
        self.last_id < self.wanted.from
            && kind == ENTRY
            && peek_id(ENTRY, payload, self.opened.segment.header.base_ms).is_some_and(|id| id < self.wanted.from)
    }

    /// Takes in the entries of a frame; returns the ordinal after them, `None` if they are malformed.
    #[inline(always)]
    fn entries(&mut self, kind: u8, payload: &[u8], payload_at: usize, ordinal: u64) -> Option<u64> {
        let chunk = self.chunk;
        let before = self.items.len();
        let mut entries = Entries::new(kind, payload, self.opened.segment.header.base_ms)?;
        let (mut ordinal, mut last_id) = (ordinal, self.last_id);
        loop {
            let Some(entry) = entries.next(&chunk.shapes) else {
                self.items.truncate(before);
                return None;
            };
            let Some(entry) = entry else { break };
            self.ascends &= entry.id > last_id;
            last_id = entry.id;
            if ordinal < self.next_ordinal {
                // Chunks are below 4 GiB, as segments are, and have fewer entries.
                let (start, end) = ((payload_at + entry.start) as u32, (payload_at + entry.end) as u32);
                let ordinal = ordinal.wrapping_sub(self.items.base) as i32;
                self.items.places.push(Place { id: entry.id, ordinal, shape: entry.shape, start, end });
            }
            ordinal += 1;
        }
        self.last_id = last_id;
        Some(ordinal)
    }

    fn next_frame(&self, at: usize, to: usize) -> usize {
        let bytes = self.chunk.bytes.get(..to).unwrap_or_default();
        Search::new(&self.opened.segment.header, bytes, self.start).next(at).map_or(to, |(found, _)| found)
    }
}
