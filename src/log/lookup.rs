//! Finding one entry by its ID.
//!
//! There are three ways, each for what the one before cannot tell:
//!
//! - [`Log::get`] finds the frame that the entry would be in, in the one block that can hold it, and looks at little else:
//!   what takes the time is to get the bytes from memory. A frame of one entry is looked for by the bytes of its ID, around
//!   the place where it should be; otherwise frames are passed over one by one. The frame that is found proves itself: its
//!   checksum covers the file and the offset, too. What is around it, or was passed over, need not be sound for that.
//! - [`View::get`] checks that block, decodes no more of it than it has to, and so tells also that there is no such entry.
//! - The [`Cursor`] is for whatever is out of the ordinary, and says what is wrong and where.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::entry::Chunk;
use crate::format::entries::{BATCH, ENTRY, Entries, EntryAt, SHAPE, Shapes, peek_id, put_first_id};
use crate::format::record::{self, Frame};
use crate::log::cursor::Cursor;
use crate::log::interpolate::Guess;
use crate::log::scan::try_resize;
use crate::log::segment::{Part, Segment, State};
use crate::log::{self, Direction, Log, Opened, Slots, Tail, View};
use crate::{Entry, Error, IdRange, Result, StreamId};

/// A block that is longer than this is not kept for the next one on the same thread, in bytes.
const SCRATCH_MAX: usize = 64 << 10;

/// Where a block is copied to, where in it frames begin, and the ID as a frame has it. Each thread has one.
#[derive(Debug, Default)]
struct Scratch {
    bytes: Vec<u8>,
    frames: Vec<u32>,
    id: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch { bytes: Vec::new(), frames: Vec::new(), id: Vec::new() }) };
}

impl Log {
    /// The live entry with this ID.
    pub fn get(self: &Arc<Self>, id: StreamId) -> Result<Option<Entry>> {
        // The tail first: see `view`.
        let tail = self.tail();
        let slots = self.slots();
        match self.glance(&slots, &tail, id) {
            Some(entry) => Ok(Some(entry)),
            None => View { log: Arc::clone(self), slots, tail }.get(id),
        }
    }

    /// The live entry with this ID, if it is there, nothing has to be opened to find it, and nothing is odd.
    fn glance(&self, slots: &Slots, tail: &Tail, id: StreamId) -> Option<Entry> {
        let end = slots.partition_point(|slot| slot.base <= tail.segment);
        let is_below = |previous_id: Option<StreamId>| previous_id.is_some_and(|previous| previous < id);
        let at = slots.get(..end)?.partition_point(|slot| is_below(slot.known_previous_id())).checked_sub(1)?;
        let slot = slots.get(at)?;
        let (segment, (part, guess, shapes)) = match slot.state() {
            State::Open(segment) => {
                let end = segment.end(if slot.base == tail.segment { tail.offset } else { u64::MAX });
                let part = segment.part_of(id, end)?;
                (segment, part)
            }
            State::Cold(cold) => {
                let (part, guess) = cold.part_of(id)?;
                (Arc::clone(&cold.segment), (part, guess, cold.segment.shapes()))
            }
            State::Closed => return None,
        };
        let mut scratch = SCRATCH.take();
        let block = Block { segment: &segment, part, shapes };
        let found = block.find(id, guess, &mut scratch).filter(|(_, ordinal)| {
            *ordinal >= tail.floor && *ordinal < tail.next_ordinal && !self.tombstones.read().contains(*ordinal)
        });
        keep(scratch);
        found.map(|(entry, _)| entry)
    }
}

/// Keeps memory for the next one on the same thread, unless it is much.
fn keep(scratch: Scratch) {
    if scratch.bytes.capacity() <= SCRATCH_MAX {
        SCRATCH.set(scratch);
    }
}

/// The block that holds an entry, if there is one.
struct Block<'a> {
    segment: &'a Segment,
    part: Part,
    shapes: Shapes,
}

impl Block<'_> {
    /// The entry and its ordinal, if it is found at once.
    fn find(&self, id: StreamId, guess: Option<Guess>, scratch: &mut Scratch) -> Option<(Entry, u64)> {
        let len = usize::try_from(self.part.end - self.part.start).ok().filter(|&len| len <= SCRATCH_MAX)?;
        if scratch.bytes.len() < len {
            scratch.bytes.resize(len, 0);
        }
        let guess = guess.filter(|guess| guess.at <= len);
        match guess.filter(|_| !self.segment.is_batched.load(Relaxed)) {
            Some(guess) => {
                self.find_alone(id, guess, len, scratch).or_else(|| self.walk(id, Some(guess), len, scratch))
            }
            None => self.walk(id, guess, len, scratch),
        }
    }

    /// The entry, if it is alone in its frame and not far from where it is expected.
    fn find_alone(&self, id: StreamId, guess: Guess, len: usize, scratch: &mut Scratch) -> Option<(Entry, u64)> {
        let start = guess.at.saturating_sub(AROUND);
        let end = guess.at.saturating_add(guess.len).saturating_add(AROUND).min(len);
        self.read(start..end, &mut scratch.bytes)?;
        let bytes = scratch.bytes.get(start..end)?;
        scratch.id.clear();
        put_first_id(&mut scratch.id, id, self.segment.header.base_ms);
        // Its first bytes, which are at least two, at once.
        let word = |bytes: &[u8]| bytes.first_chunk().map(|chunk| u32::from_le_bytes(*chunk));
        let mask = u32::MAX >> (32 - 8 * scratch.id.len().min(4));
        scratch.id.extend_from_slice(&[0; 4]);
        let wanted = word(&scratch.id)? & mask;
        let is_there = |at: usize| bytes.get(at..).and_then(word).is_some_and(|found| found & mask == wanted);
        // From the place where it should be, further and further away.
        let middle = guess.at - start + ID_AT;
        for away in 0..bytes.len() {
            for at in [middle + away, middle.wrapping_sub(away)] {
                if is_there(at)
                    && let Some(found) = self.entry_with_id_at(at, id, start, bytes)
                {
                    return Some(found);
                }
            }
        }
        None
    }

    /// The entry whose ID is at a place of `bytes`, which begin at `start` of the block.
    fn entry_with_id_at(&self, at: usize, id: StreamId, start: usize, bytes: &[u8]) -> Option<(Entry, u64)> {
        (ID_AT..ID_AT + ID_AT_MORE).find_map(|before| {
            let from = at.checked_sub(before)?;
            let bytes = bytes.get(from..)?;
            let frame = record::outline(bytes).filter(|frame| frame.kind == ENTRY)?;
            if frame.len - frame.payload.len() != before {
                return None;
            }
            let frame = record::decode(bytes, self.segment.salt, self.part.start + (start + from) as u64).ok()?;
            self.entry_in(&frame, id)
        })
    }

    /// The entry, wherever it is in the block: from frame to frame.
    fn walk(&self, id: StreamId, guess: Option<Guess>, len: usize, scratch: &mut Scratch) -> Option<(Entry, u64)> {
        let Scratch { bytes, frames, .. } = scratch;
        frames.clear();
        let bytes = bytes.get_mut(..len)?;
        let read = guess.map_or(len, |guess| guess.at.saturating_add(guess.len).saturating_add(AROUND).min(len));
        self.read(0..read, bytes)?;
        let mut next = 0;
        note_frames(bytes.get(..read)?, &mut next, frames);
        let mut read = read;
        let mut at = self.last_up_to(id, frames, bytes.get(..read)?);
        if next < len && at.is_none_or(|(at, first_id)| at + 1 == frames.len() && first_id != id) {
            // It may be behind what was read.
            self.read(read..len, bytes)?;
            read = len;
            note_frames(bytes, &mut next, frames);
            at = self.last_up_to(id, frames, bytes);
        }
        let offset = *frames.get(at?.0)? as usize;
        let frame_end = offset.checked_add(record::opening(bytes.get(offset..read)?)?.len)?;
        if frame_end > read {
            self.read(read..frame_end, bytes)?;
        }
        let frame = record::decode(bytes.get(offset..frame_end)?, self.segment.salt, self.part.start + offset as u64);
        let frame = frame.ok()?;
        let is_batched = frame.head.kind == BATCH;
        if self.segment.is_batched.load(Relaxed) != is_batched {
            self.segment.is_batched.store(is_batched, Relaxed);
        }
        self.entry_in(&frame, id)
    }

    fn read(&self, range: std::ops::Range<usize>, bytes: &mut [u8]) -> Option<()> {
        let start = range.start as u64;
        self.segment.file.read_at(self.part.start + start, bytes.get_mut(range)?).ok()
    }

    /// The last of these frames that begins with an ID at or below `id`, by its place in the list, and that ID. IDs ascend.
    #[inline]
    fn last_up_to(&self, id: StreamId, frames: &[u32], bytes: &[u8]) -> Option<(usize, StreamId)> {
        let first_id = |&offset: &u32| {
            let frame = record::opening(bytes.get(offset as usize..)?)?;
            peek_id(frame.kind, frame.payload, self.segment.header.base_ms)
        };
        let at =
            frames.partition_point(|frame| first_id(frame).is_some_and(|first_id| first_id <= id)).checked_sub(1)?;
        Some((at, first_id(frames.get(at)?)?))
    }

    /// The entry with this ID in a frame that was verified, and its ordinal.
    fn entry_in(&self, frame: &Frame<'_>, id: StreamId) -> Option<(Entry, u64)> {
        // How far it is behind the first one of the block: at most so many entries are in a block, but for its last frame.
        let before = frame.head.position.wrapping_sub(self.part.ordinal as u16);
        let mut ordinal = self.part.ordinal + u64::from(before);
        match find_in(frame, self.segment.header.base_ms, &self.shapes, id, &mut ordinal)? {
            Place::At(place) => match copy(frame, place, &self.shapes) {
                Found::Entry(entry) => Some((entry, ordinal)),
                Found::Nothing | Found::Unclear => None,
            },
            Place::Before | Place::Beyond => None,
        }
    }
}

/// So many bytes around those where an entry should be are looked at.
const AROUND: usize = 192;
/// Where the ID is in a short frame of one entry without what only recovery looks at, and by how much later at the most.
const ID_AT: usize = 8;
const ID_AT_MORE: usize = 6;

/// Goes from one frame to the next as far as there are bytes, and notes where those with entries begin.
#[inline]
fn note_frames(bytes: &[u8], next: &mut usize, frames: &mut Vec<u32>) {
    while let Some(frame) = bytes.get(*next..).and_then(record::opening) {
        if frame.kind != SHAPE {
            frames.push(*next as u32);
        }
        *next = next.saturating_add(frame.len);
    }
}

/// What came of a look at one block.
enum Found {
    Entry(Entry),
    Nothing,
    /// The block is damaged, or cannot be read, or does not answer the question alone.
    Unclear,
}

impl View {
    /// The live entry with this ID.
    pub fn get(&self, id: StreamId) -> Result<Option<Entry>> {
        let at = self.segment_of(id, Direction::Forward)?.max(self.first_segment());
        let found = match self.open(at) {
            Ok(log::Found::Segment(opened)) => self.look(&opened, id),
            _ => Found::Unclear,
        };
        match found {
            Found::Entry(entry) => Ok(Some(entry)),
            Found::Nothing => Ok(None),
            Found::Unclear => self.walk_to(id),
        }
    }

    /// The entry with this ID, past damage in which it cannot have been.
    fn walk_to(&self, id: StreamId) -> Result<Option<Entry>> {
        let mut entries = Cursor::new(self.clone(), id, id);
        let is_elsewhere = |lost: &IdRange| id <= lost.after || lost.through.is_some_and(|last| id > last);
        loop {
            match entries.next_entry().transpose() {
                Err(Error::Corrupt { ids: Some(lost), .. }) if is_elsewhere(&lost) => {}
                found => return found,
            }
        }
    }

    fn look(&self, opened: &Opened, id: StreamId) -> Found {
        let Opened { segment, end } = opened;
        let Some((part, _, shapes)) = segment.part_of(id, *end) else {
            return Found::Unclear;
        };
        let Ok(len) = usize::try_from(part.end - part.start) else {
            return Found::Unclear;
        };
        let mut scratch = SCRATCH.take();
        let bytes = &mut scratch.bytes;
        let found = match try_resize(bytes, len).is_ok() && segment.read_at(part.start, bytes).is_ok() {
            true => self.search(segment, &part, &shapes, bytes, id),
            false => Found::Unclear,
        };
        keep(scratch);
        found
    }

    fn search(&self, segment: &Segment, part: &Part, shapes: &Shapes, block: &[u8], id: StreamId) -> Found {
        let verified = part.crc.is_some_and(|crc| crc == crc32fast::hash(block));
        if part.crc.is_some() && !verified {
            return Found::Unclear;
        }
        let (mut at, mut ordinal) = (0, part.ordinal);
        while at < block.len() {
            let rest = block.get(at..).unwrap_or_default();
            let Ok(frame) = record::parse(rest) else {
                return Found::Unclear;
            };
            if frame.head.position != ordinal as u16 {
                return Found::Unclear;
            }
            match find_in(&frame, segment.header.base_ms, shapes, id, &mut ordinal) {
                None => return Found::Unclear,
                Some(Place::Before) => at += frame.len,
                // Only what is alive shows that there is nothing: behind deleted entries lower IDs may follow, as the
                // last ID may have been set back. And of bytes that were not verified, some may have been the entry.
                Some(Place::Beyond) if verified && self.is_live(ordinal) => return Found::Nothing,
                Some(Place::Beyond) => return Found::Unclear,
                Some(Place::At(place)) => {
                    if !verified && record::decode(rest, segment.salt, part.start + at as u64).is_err() {
                        return Found::Unclear;
                    }
                    return match ordinal < self.tail.next_ordinal && self.is_live(ordinal) {
                        true => copy(&frame, place, shapes),
                        false => Found::Unclear,
                    };
                }
            }
        }
        Found::Unclear
    }
}

/// Where the entry is, as seen from a frame.
enum Place {
    At(EntryAt),
    /// Behind this frame, if there is one.
    Before,
    /// It would be before the end of this frame, and is not there.
    Beyond,
}

/// Looks for an entry in a frame; `ordinal` goes on to it, or to the end of the frame. `None` if it is malformed.
fn find_in(frame: &Frame<'_>, base_ms: u64, shapes: &Shapes, id: StreamId, ordinal: &mut u64) -> Option<Place> {
    match frame.head.kind {
        SHAPE => return Some(Place::Before),
        ENTRY if peek_id(ENTRY, frame.payload, base_ms)? < id => {
            *ordinal += 1;
            return Some(Place::Before);
        }
        _ => {}
    }
    let mut entries = Entries::new(frame.head.kind, frame.payload, base_ms)?;
    while let Some(entry) = entries.next(shapes)? {
        match entry.id.cmp(&id) {
            std::cmp::Ordering::Less => *ordinal += 1,
            std::cmp::Ordering::Equal => return Some(Place::At(entry)),
            std::cmp::Ordering::Greater => return Some(Place::Beyond),
        }
    }
    Some(Place::Before)
}

/// The entry with its own bytes and no others.
fn copy(frame: &Frame<'_>, place: EntryAt, shapes: &Shapes) -> Found {
    let Some(body) = frame.payload.get(place.start..place.end) else {
        return Found::Unclear;
    };
    let Ok(end) = u32::try_from(body.len()) else {
        return Found::Unclear;
    };
    let chunk = Chunk { bytes: body.to_vec(), shapes: shapes.clone() };
    Found::Entry(Entry::new(place.id, Arc::new(chunk), place.shape, 0, end))
}

#[cfg(test)]
mod tests {
    use crate::{AddOptions, NewId, Options, StreamId, Trim};

    #[test]
    fn a_look_up_finds_what_a_range_of_one_id_finds() {
        // Of 16 KiB each, but where an entry takes as long as a segment elsewhere.
        let (segment_bytes, rounds, step) = if cfg!(miri) { (4 << 10, 12, 5) } else { (16 << 10, 150, 1) };
        let store = Options::new().segment_bytes_max(segment_bytes).in_memory();
        let stream = store.stream("s").unwrap();
        let value = "v".repeat(100);
        // Singly and in batches, with gaps between IDs, over several segments, the last one not sealed.
        for ms in 1..=rounds {
            let id = |seq| StreamId::new(ms * 2, seq);
            stream.add_with(AddOptions::new().id(id(1)), [("a", &value)]).unwrap();
            let batch = (2..=9).map(|n| (NewId::Exact(id(n * 2)), [("b", &value)]));
            stream.add_batch(batch).unwrap();
        }
        assert!(stream.info().unwrap().segments > if cfg!(miri) { 2 } else { 3 });
        stream.trim(Trim::to_len(rounds * 8)).unwrap();
        stream.delete((1..=rounds).step_by(3).map(|ms| StreamId::new(ms * 2, 8))).unwrap();
        let mut found = 0;
        for ms in (0..=rounds * 2 + 2).step_by(step) {
            for seq in (0..20).step_by(step) {
                let id = StreamId::new(ms, seq);
                let entry = stream.get(id).unwrap();
                found += u64::from(entry.is_some());
                assert_eq!(entry, stream.range(id..=id).next().transpose().unwrap(), "{id}");
            }
        }
        assert!(step > 1 || found == stream.len().unwrap(), "{found} were found");
    }
}
