//! Reading entries in order, from either end.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::damage::IdRange;
use crate::entry::Chunk;
use crate::format::entries::{ENTRY, Entries, SHAPE, peek_id};
use crate::format::file_name::File as FileName;
use crate::format::record;
use crate::log::scan::find_frame;
use crate::log::segment::Part;
use crate::log::{Direction, Found, Opened, View};
use crate::{Corruption, Entry, Error, Result, StreamId};

/// The most blocks that are read at once: 64 KiB.
const BLOCKS_MAX: usize = 16;

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    pub id: StreamId,
    pub ordinal: u64,
    shape: u32,
    start: u32,
    end: u32,
}

#[derive(Debug)]
enum Item {
    Entry(Position),
    Damage(Box<Damage>),
    /// The segment with this first ordinal is not there.
    Missing(u64),
}

#[derive(Debug)]
struct Damage {
    offset: u64,
    what: Corruption,
}

/// Some consecutive blocks, decoded: their live entries in order, and what is damaged.
#[derive(Debug)]
struct Loaded {
    chunk: Arc<Chunk>,
    items: Vec<Item>,
    /// No entry was trimmed or deleted when the blocks were read.
    all_live: bool,
    /// As much was found as was wanted before the end of the last block.
    is_partial: bool,
    /// The ordinals of the entries.
    ordinals: Range<u64>,
    /// Where the next frame begins, and the ordinal of its first entry.
    next: (u64, u64),
}

/// What of some blocks is wanted.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// Entries with lower IDs are not.
    from: StreamId,
    /// Nothing before this offset is; there a frame begins whose first entry has this ordinal.
    at: (u64, u64),
    count: usize,
}

impl Wanted {
    /// Leaves out what is not wanted of a block.
    fn cut(&self, part: &mut Part) {
        let (offset, ordinal) = self.at;
        if offset > part.start && offset < part.end {
            // Its checksum is that of the whole: frames are checked one by one.
            *part = Part { start: offset, ordinal, crc: None, ..*part };
        }
    }

    const ALL: Self = Self { from: StreamId::MIN, at: (0, 0), count: usize::MAX };
}

/// The entries from `lower` to `upper` of a view, both included.
#[derive(Debug)]
pub struct Cursor {
    view: View,
    /// What was asked for, and what of it is left.
    asked: (StreamId, StreamId),
    lower: StreamId,
    upper: StreamId,
    /// How many more entries are wanted from the front, about.
    wanted: usize,
    front: Side,
    back: Side,
    done: bool,
}

/// At least so many entries are loaded at once, wherever there are.
const WANTED_MIN: usize = 16;

/// One end of a cursor.
#[derive(Debug, Default)]
struct Side {
    /// The segment that is being read, by its place in the view, and the first block not loaded (front) or the last one
    /// loaded (back).
    segment: usize,
    block: usize,
    opened: Option<Opened>,
    loaded: Option<Loaded>,
    /// How many items of `loaded` were taken.
    taken: usize,
    /// How many blocks to load the next time.
    span: usize,
    /// Where the next frame begins in the segment, if that is known, and the ordinal of its first entry.
    next: (u64, u64),
    started: bool,
}

impl Cursor {
    pub fn new(view: View, lower: StreamId, upper: StreamId) -> Self {
        let done = lower > upper;
        let (front, back) = (Side::default(), Side::default());
        Self { view, asked: (lower, upper), lower, upper, wanted: usize::MAX, front, back, done }
    }

    /// Not many more than so many entries are wanted from the front: no more than needed is read for them.
    pub fn wanting(mut self, count: u64) -> Self {
        self.wanted = usize::try_from(count).unwrap_or(usize::MAX);
        self
    }

    /// Goes on from the front in a later view, if nothing has become of the segment it is in. What it has read already is
    /// not read again.
    pub fn resumed(mut self, view: View, lower: StreamId) -> Option<Self> {
        let opened = self.front.opened.as_mut().filter(|_| self.lower == lower && !self.back.started)?;
        let base = opened.segment.header.base;
        self.front.segment = view.place_of(&self.view, self.front.segment)?;
        opened.end = opened.segment.end(if base == view.tail.segment { view.tail.offset } else { u64::MAX });
        // Where the block it was in has grown, it goes on within it.
        self.front.block = self.front.block.min(opened.segment.block_at(self.front.next.0));
        if let Some(loaded) = &mut self.front.loaded {
            loaded.all_live &= view.are_live(loaded.ordinals.clone());
        }
        (self.view, self.done, self.front.span) = (view, false, 1);
        Some(self)
    }

    /// The bytes it holds.
    pub fn memory(&self) -> usize {
        let side = |side: &Side| {
            side.loaded
                .as_ref()
                .map_or(0, |loaded| loaded.chunk.bytes.capacity() + loaded.items.capacity() * size_of::<Item>())
        };
        side(&self.front) + side(&self.back)
    }

    /// The next position from the front.
    pub fn next_position(&mut self) -> Option<Result<Position>> {
        while !self.done && self.lower <= self.upper {
            match self.front.take_first() {
                Some(Item::Entry(position)) if position.id > self.upper => {
                    let ordinal = position.ordinal;
                    let live = self.front.is_all_live() || self.view.is_live(ordinal);
                    match if live { Ok(false) } else { self.pass_dead_end() } {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => return Some(Err(self.skip_segment(error, true))),
                    }
                }
                Some(Item::Entry(position)) if position.id < self.lower => {}
                Some(Item::Entry(position)) => {
                    let position = *position;
                    if !self.front.is_all_live() && !self.view.is_live(position.ordinal) {
                        continue;
                    }
                    match position.id.next() {
                        Some(next) => self.lower = next,
                        None => self.done = true,
                    }
                    return Some(Ok(position));
                }
                Some(Item::Damage(damage)) => {
                    let (offset, what) = (damage.offset, damage.what.clone());
                    if !self.front_is_beyond() {
                        let ids = self.ids_around(&self.front, self.front.taken - 1);
                        return Some(Err(self.front.corrupt(offset, what).affecting(ids)));
                    }
                }
                Some(&Item::Missing(base)) => {
                    let ids = self.ids_around(&self.front, self.front.taken - 1);
                    return Some(Err(self.missing(base).affecting(ids)));
                }
                None => match self.load_front() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => return Some(Err(self.skip_segment(error, true))),
                },
            }
        }
        self.done = true;
        None
    }

    /// The next position from the back.
    pub fn next_position_back(&mut self) -> Option<Result<Position>> {
        while !self.done && self.lower <= self.upper {
            match self.back.take_last() {
                Some(Item::Entry(position)) if position.id < self.lower => break,
                Some(Item::Entry(position)) if position.id > self.upper => {}
                Some(Item::Entry(position)) => {
                    let position = *position;
                    if !self.back.is_all_live() && !self.view.is_live(position.ordinal) {
                        continue;
                    }
                    match position.id.previous() {
                        Some(previous) => self.upper = previous,
                        None => self.done = true,
                    }
                    return Some(Ok(position));
                }
                Some(Item::Damage(damage)) => {
                    let (offset, what) = (damage.offset, damage.what.clone());
                    if !self.back_is_beyond() {
                        let ids = self.ids_around(&self.back, self.back.last_taken());
                        return Some(Err(self.back.corrupt(offset, what).affecting(ids)));
                    }
                }
                Some(&Item::Missing(base)) => {
                    if !self.back_is_beyond() {
                        let ids = self.ids_around(&self.back, self.back.last_taken());
                        return Some(Err(self.missing(base).affecting(ids)));
                    }
                }
                None => match self.load_back() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => return Some(Err(self.skip_segment(error, false))),
                },
            }
        }
        self.done = true;
        None
    }

    #[inline]
    pub fn next_entry(&mut self) -> Option<Result<Entry>> {
        // Nearly all entries: loaded, alive and within the range.
        if let Some((loaded, position)) = self.front.sound(self.front.taken)
            && position.id >= self.lower
            && position.id <= self.upper
            && !self.done
        {
            match position.id.next() {
                Some(next) => self.lower = next,
                None => self.done = true,
            }
            let entry = loaded.entry(position);
            self.front.taken += 1;
            return Some(Ok(entry));
        }
        self.next_entry_slowly()
    }

    #[inline(never)]
    fn next_entry_slowly(&mut self) -> Option<Result<Entry>> {
        let position = self.next_position()?;
        Some(position.and_then(|position| self.front.entry(position)))
    }

    #[inline]
    pub fn next_entry_back(&mut self) -> Option<Result<Entry>> {
        let len = self.back.loaded.as_ref().map_or(0, |loaded| loaded.items.len());
        if let Some((loaded, position)) = self.back.sound(len.wrapping_sub(self.back.taken + 1))
            && position.id >= self.lower
            && position.id <= self.upper
            && !self.done
        {
            match position.id.previous() {
                Some(previous) => self.upper = previous,
                None => self.done = true,
            }
            let entry = loaded.entry(position);
            self.back.taken += 1;
            return Some(Ok(entry));
        }
        self.next_entry_back_slowly()
    }

    #[inline(never)]
    fn next_entry_back_slowly(&mut self) -> Option<Result<Entry>> {
        let position = self.next_position_back()?;
        Some(position.and_then(|position| self.back.entry(position)))
    }

    fn missing(&self, base: u64) -> Error {
        Error::corrupt(&self.view.log.place.full(FileName::Segment(base).name()), 0, Corruption::Missing)
    }

    /// The IDs that are not there between the neighbours of an item.
    fn ids_around(&self, side: &Side, item: usize) -> IdRange {
        let Some(loaded) = &side.loaded else { return IdRange { after: StreamId::MIN, through: None } };
        let id = |item: &Item| match item {
            Item::Entry(position) => Some(position.id),
            _ => None,
        };
        let before = loaded.items.iter().take(item).rev().find_map(id);
        let behind = loaded.items.iter().skip(item + 1).find_map(id);
        let whole = self.view.ids_of(side.segment);
        let next_block = || side.opened.as_ref()?.segment.first_id_behind(loaded.next.0);
        let after = before.unwrap_or(whole.after);
        let through = behind.or_else(next_block).and_then(StreamId::previous).or(whole.through);
        self.within(IdRange { after, through })
    }

    /// The part of a range that is not behind this cursor already.
    fn within(&self, ids: IdRange) -> IdRange {
        let after = ids.after.max(self.lower.previous().unwrap_or(StreamId::MIN));
        let through = ids.through.map_or(Some(self.upper), |through| Some(through.min(self.upper)));
        IdRange { after, through: through.filter(|&through| through < StreamId::MAX) }
    }

    /// Whether the entry behind the damage that was just taken shows that all it hit is below what was asked for.
    fn front_is_beyond(&self) -> bool {
        let next = self.front.loaded.as_ref().and_then(|loaded| loaded.items.get(self.front.taken));
        matches!(next, Some(Item::Entry(position)) if position.id <= self.asked.0)
    }

    /// As [`front_is_beyond`](Self::front_is_beyond), from the back.
    fn back_is_beyond(&self) -> bool {
        let items = self.back.loaded.as_ref().map_or(&[][..], |loaded| &loaded.items);
        let next = items.len().checked_sub(self.back.taken + 1).and_then(|at| items.get(at));
        matches!(next, Some(Item::Entry(position)) if position.id >= self.asked.1)
    }

    /// After an error that concerns a whole segment: goes on behind it if it is damage, and ends otherwise.
    fn skip_segment(&mut self, error: Error, forward: bool) -> Error {
        let at = if forward { self.front.segment } else { self.back.segment };
        let error = error.affecting(self.within(self.view.ids_of(at)));
        let side = if forward { &mut self.front } else { &mut self.back };
        side.opened = None;
        side.next = (0, 0);
        match (&error, forward) {
            (Error::Corrupt { .. }, true) if side.started => side.segment += 1,
            (Error::Corrupt { .. }, false) if side.started && side.segment > 0 => side.segment -= 1,
            _ => self.done = true,
        }
        side.block = if forward { 0 } else { usize::MAX };
        error
    }

    /// Goes on in the next segment if IDs of the range may follow in it: those at the end of this one are deleted, and
    /// the last ID may have been set back to before them. Returns whether it did.
    fn pass_dead_end(&mut self) -> Result<bool> {
        let follows = self.view.begins_below(self.front.segment + 1, self.upper)?;
        if follows {
            self.front = Side { segment: self.front.segment + 1, span: 1, started: true, ..Side::default() };
        }
        Ok(follows)
    }

    fn load_front(&mut self) -> Result<bool> {
        if !self.front.started {
            self.front.segment = self.view.segment_of(self.lower, Direction::Forward)?.max(self.view.first_segment());
            self.front.started = true;
            self.front.span = 1;
            if let Found::Segment(opened) = self.view.open(self.front.segment)? {
                self.front.block = opened.segment.block_of(self.lower);
                self.front.opened = Some(opened);
            }
        }
        loop {
            if self.front.opened.is_none() {
                match self.view.open(self.front.segment)? {
                    Found::Segment(opened) => self.front.opened = Some(opened),
                    Found::Removed => {
                        self.front.segment += 1;
                        continue;
                    }
                    Found::Nothing => return Ok(false),
                }
            }
            let Some(opened) = &self.front.opened else { return Ok(false) };
            let blocks = self.front.block..self.front.block.saturating_add(self.front.span);
            let count = self.wanted.max(WANTED_MIN);
            let wanted = Wanted { from: self.lower, at: self.front.next, count };
            match load(&self.view, self.front.segment, opened, blocks, wanted, &mut self.front.loaded)? {
                count if count > 0 => {
                    self.front.go_on(count, &mut self.wanted);
                    return Ok(true);
                }
                // There it may go on some time.
                _ if self.front.segment + 1 >= self.view.segments() => return Ok(false),
                _ => {
                    self.front.opened = None;
                    self.front.segment += 1;
                    self.front.block = 0;
                    self.front.next = (0, 0);
                }
            }
        }
    }

    fn load_back(&mut self) -> Result<bool> {
        if !self.back.started {
            self.back.segment = self.view.segment_of(self.upper, Direction::Backward)?;
            self.back.started = true;
            self.back.span = 1;
            self.back.block = usize::MAX;
            if let Found::Segment(opened) = self.view.open(self.back.segment)? {
                self.back.block = opened.segment.block_of(self.upper) + 1;
                self.back.opened = Some(opened);
            }
        }
        loop {
            if self.back.opened.is_none() {
                match self.view.open(self.back.segment)? {
                    Found::Segment(opened) => self.back.opened = Some(opened),
                    Found::Removed if self.back.segment > self.view.first_segment() => {
                        self.back.segment -= 1;
                        continue;
                    }
                    Found::Removed | Found::Nothing => return Ok(false),
                }
            }
            let Some(opened) = &self.back.opened else { return Ok(false) };
            let end = self.back.block.min(opened.segment.block_count(opened.end));
            let blocks = end.saturating_sub(self.back.span)..end;
            self.back.block = blocks.start;
            match load(&self.view, self.back.segment, opened, blocks, Wanted::ALL, &mut self.back.loaded)? {
                count if count > 0 => {
                    self.back.span = (self.back.span * 2).min(BLOCKS_MAX);
                    self.back.taken = 0;
                    return Ok(true);
                }
                _ if self.back.segment == 0 || self.back.segment <= self.view.first_segment() => return Ok(false),
                _ => {
                    self.back.opened = None;
                    self.back.segment -= 1;
                    self.back.block = usize::MAX;
                }
            }
        }
    }
}

impl Loaded {
    #[inline]
    fn entry(&self, position: &Position) -> Entry {
        let &Position { id, shape, start, end, .. } = position;
        Entry::new(id, Arc::clone(&self.chunk), shape, start, end)
    }
}

impl Side {
    /// After so many blocks were loaded: where to go on, and with how many of them.
    fn go_on(&mut self, blocks: usize, wanted: &mut usize) {
        let Some(loaded) = &self.loaded else { return };
        let found = loaded.items.len();
        *wanted = wanted.saturating_sub(found);
        // What is left of a block is taken from it when it is asked for.
        self.block += blocks - usize::from(loaded.is_partial);
        self.next = loaded.next;
        let needed = wanted.saturating_mul(blocks).div_ceil(found.max(1)).max(1);
        self.span = (self.span * 2).min(BLOCKS_MAX).min(needed);
        self.taken = 0;
    }

    /// The entry at a place among the items, if it is one and all of them are alive.
    #[inline]
    fn sound(&self, at: usize) -> Option<(&Loaded, &Position)> {
        let loaded = self.loaded.as_ref().filter(|loaded| loaded.all_live)?;
        match loaded.items.get(at)? {
            Item::Entry(position) => Some((loaded, position)),
            Item::Damage(_) | Item::Missing(_) => None,
        }
    }

    #[inline]
    fn is_all_live(&self) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.all_live)
    }

    #[inline]
    fn take_first(&mut self) -> Option<&Item> {
        let item = self.loaded.as_ref()?.items.get(self.taken)?;
        self.taken += 1;
        Some(item)
    }

    #[inline]
    fn take_last(&mut self) -> Option<&Item> {
        let items = &self.loaded.as_ref()?.items;
        let item = items.get(items.len().checked_sub(self.taken + 1)?)?;
        self.taken += 1;
        Some(item)
    }

    fn corrupt(&self, offset: u64, what: Corruption) -> Error {
        let path = self.opened.as_ref().map(|opened| opened.segment.path.clone()).unwrap_or_default();
        Error::Corrupt { path, offset, what, ids: None }
    }

    /// The place of the item that was taken last, from the back.
    fn last_taken(&self) -> usize {
        self.loaded.as_ref().map_or(0, |loaded| loaded.items.len().saturating_sub(self.taken))
    }

    #[inline]
    fn entry(&self, position: Position) -> Result<Entry> {
        match &self.loaded {
            Some(loaded) => Ok(loaded.entry(&position)),
            None => Err(self.corrupt(0, Corruption::Malformed("an entry of no block"))),
        }
    }
}

/// Reads and decodes blocks; returns how many there were. What was loaded before gives its memory for them, unless
/// somebody still holds an entry of it.
fn load(
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
    let (mut bytes, mut items) = match loaded.take() {
        Some(Loaded { chunk, items, .. }) => (Arc::into_inner(chunk).map_or_else(Vec::new, |chunk| chunk.bytes), items),
        None => (Vec::new(), Vec::new()),
    };
    bytes
        .try_reserve_exact(len.saturating_sub(bytes.len()))
        .map_err(|_| Error::io("read", &segment.path, std::io::Error::from(std::io::ErrorKind::OutOfMemory)))?;
    bytes.resize(len, 0);
    segment.read_there(first.start, &mut bytes)?;
    items.clear();
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
    let Decoder { mut items, is_partial, .. } = decoder;
    // At its end, if it was sealed already when the view was taken.
    let is_whole = *segment_end == segment.sealed_end.load(Ordering::Acquire);
    if is_whole && !is_partial && first_block + count == segment.block_count(*segment_end) {
        let entries_end = segment.header.base + segment.sealed_entries.load(Ordering::Acquire);
        if sound && end < entries_end {
            let what = Corruption::Truncated { expected: last.end + 1 };
            items.push(Item::Damage(Box::new(Damage { offset: last.end, what })));
        }
        items.extend(view.gap_after(place, segment).map(Item::Missing));
    }
    let ordinals = first.ordinal..end;
    let all_live = view.are_live(ordinals.clone());
    *loaded = Some(Loaded { chunk: Arc::new(chunk), items, all_live, is_partial, ordinals, next: (next, end) });
    Ok(count)
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
    items: Vec<Item>,
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
            // Damage is told of once: where there is any, the block is decoded as a whole.
            if self.items.len() >= self.wanted.count
                && matches!(self.items.last(), Some(Item::Entry(_)))
                && !self.is_damaged
            {
                self.is_partial = true;
                break;
            }
            match self.frame(at, to, ordinal, verified, sound) {
                Ok((len, next)) => {
                    at += len;
                    ordinal = next;
                    sound = true;
                }
                Err(what) => {
                    if sound {
                        self.items.push(Item::Damage(Box::new(Damage { offset: self.start + at as u64, what })));
                    }
                    sound = false;
                    self.is_damaged = true;
                    at = self.next_frame(at + 1, to);
                }
            }
        }
        (ordinal, sound, self.start + at as u64)
    }

    /// Decodes the frame at a place of the chunk; returns its length and the ordinal after it.
    #[inline]
    fn frame(
        &mut self,
        at: usize,
        to: usize,
        ordinal: u64,
        verified: bool,
        sound: bool,
    ) -> Result<(usize, u64), Corruption> {
        let segment = &self.opened.segment;
        let bytes = self.chunk.bytes.get(at..to).unwrap_or_default();
        let frame = match verified {
            true => record::parse(bytes)?,
            false => record::decode(bytes, segment.salt, self.start + at as u64)?,
        };
        // Behind damage, how many entries it took is known from where the frame says it is.
        let missing = frame.head.position.wrapping_sub(ordinal as u16);
        if missing != 0 && sound {
            return Err(Corruption::Malformed("a record out of sequence"));
        }
        let mut ordinal = ordinal + u64::from(missing);
        if frame.head.kind == SHAPE {
            return Ok((frame.len, ordinal));
        }
        if frame.head.kind == ENTRY
            && peek_id(ENTRY, frame.payload, segment.header.base_ms).is_some_and(|id| id < self.wanted.from)
        {
            // So is all that damage before it hit.
            self.items.pop_if(|item| matches!(item, Item::Damage(_)));
            return Ok((frame.len, ordinal + 1));
        }
        let malformed = Corruption::Malformed("entries that cannot be decoded");
        let payload_at = at + frame.len - frame.payload.len();
        let before = self.items.len();
        let Some(mut entries) = Entries::new(frame.head.kind, frame.payload, segment.header.base_ms) else {
            return Err(malformed);
        };
        loop {
            let Some(entry) = entries.next(&self.chunk.shapes) else {
                self.items.truncate(before);
                return Err(malformed);
            };
            let Some(entry) = entry else { return Ok((frame.len, ordinal)) };
            // Chunks are below 4 GiB, as segments are.
            let (start, end) = ((payload_at + entry.start) as u32, (payload_at + entry.end) as u32);
            if ordinal < self.next_ordinal {
                let position = Position { id: entry.id, ordinal, shape: entry.shape, start, end };
                self.items.push(Item::Entry(position));
            }
            ordinal += 1;
        }
    }

    fn next_frame(&self, at: usize, to: usize) -> usize {
        let bytes = self.chunk.bytes.get(..to).unwrap_or_default();
        let mut budget = (to as u64).saturating_mul(64);
        find_frame(bytes, at, self.opened.segment.salt, self.start, &mut budget).unwrap_or(to)
    }
}

impl View {
    /// The ordinal of the live entry with this ID.
    pub fn find(&self, id: StreamId) -> Result<Option<u64>> {
        Cursor::new(self.clone(), id, id)
            .next_position()
            .transpose()
            .map(|found| found.map(|position| position.ordinal))
    }

    /// The ordinal of the first live entry at or above `id`; that after the last entry if there is none.
    pub fn first_at_or_above(&self, id: StreamId) -> Result<u64> {
        let found = Cursor::new(self.clone(), id, StreamId::MAX).next_position().transpose()?;
        Ok(found.map_or(self.tail.next_ordinal, |position| position.ordinal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddOptions, Options, Trim};

    /// What is wanted is a hint: with it, the same entries come, in the same order.
    #[test]
    fn a_cursor_that_wants_little_gives_all_the_same() {
        let store = Options::new().segment_bytes_max(16 << 10).in_memory();
        let stream = store.stream("s").unwrap();
        let id = |ms| StreamId::new(ms, 0);
        for ms in 1..=1000 {
            stream.add_with(AddOptions::new().id(id(ms)), [("v", "x".repeat((ms % 70) as usize))]).unwrap();
        }
        stream.add_batch((1001..=1200).map(|ms| (crate::NewId::Exact(id(ms)), [("v", "batch")]))).unwrap();
        // Runs of dead entries longer than what is wanted, at the beginning of blocks and within.
        stream.delete((1..=1200).filter(|ms| ms % 90 < 30).map(id)).unwrap();
        stream.trim(Trim::before(id(40))).unwrap();
        let view = stream.inner().unwrap().unwrap().view();
        for from in [0, 1, 39, 40, 55, 500, 987, 1100, 1200, 1201] {
            let all =
                |cursor: &mut Cursor| std::iter::from_fn(|| cursor.next_entry()).collect::<Result<Vec<_>>>().unwrap();
            let expected = all(&mut Cursor::new(view.clone(), id(from), StreamId::MAX));
            for wanted in [0, 1, 3, 10, 100, 5000] {
                let found = all(&mut Cursor::new(view.clone(), id(from), StreamId::MAX).wanting(wanted));
                assert_eq!(found, expected, "{wanted} from {from}");
            }
        }
    }
}
