//! Finding one entry by its ID.
//!
//! Looks into the one block that can hold the entry, and decodes no more than it has to. Whatever is out of the
//! ordinary is left to the [`Cursor`], which says what is wrong and where.

use std::cell::Cell;
use std::sync::Arc;

use crate::entry::Chunk;
use crate::format::entries::{ENTRY, Entries, EntryAt, SHAPE, Shapes, peek_id};
use crate::format::record::{self, Frame};
use crate::log::cursor::Cursor;
use crate::log::segment::{Part, Segment};
use crate::log::{self, Direction, Opened, View};
use crate::{Entry, Result, StreamId};

/// A block that is longer than this is not kept for the next one on the same thread, in bytes.
const SCRATCH_MAX: usize = 64 << 10;

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
            Found::Unclear => Cursor::new(self.clone(), id, id).next_entry().transpose(),
        }
    }

    fn look(&self, opened: &Opened, id: StreamId) -> Found {
        thread_local! {
            static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        let Opened { segment, end } = opened;
        let Some((part, shapes)) = segment.part_of(id, *end) else { return Found::Unclear };
        let mut bytes = SCRATCH.take();
        let Ok(len) = usize::try_from(part.end - part.start) else { return Found::Unclear };
        bytes.resize(len, 0);
        let found = match segment.read_at(part.start, &mut bytes) {
            Ok(()) => self.search(segment, &part, &shapes, &bytes, id),
            Err(_) => Found::Unclear,
        };
        if bytes.capacity() <= SCRATCH_MAX {
            SCRATCH.set(bytes);
        }
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
            let Ok(frame) = record::parse(rest) else { return Found::Unclear };
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
    let Some(body) = frame.payload.get(place.start..place.end) else { return Found::Unclear };
    let Ok(end) = u32::try_from(body.len()) else { return Found::Unclear };
    let chunk = Chunk { bytes: body.to_vec(), shapes: shapes.clone() };
    Found::Entry(Entry::new(place.id, Arc::new(chunk), place.shape, 0, end))
}

#[cfg(test)]
mod tests {
    use crate::{AddOptions, NewId, Options, StreamId, Trim};

    #[test]
    fn a_look_up_finds_what_a_range_of_one_id_finds() {
        let store = Options::new().segment_bytes_max(16 << 10).in_memory();
        let stream = store.stream("s").unwrap();
        let value = "v".repeat(100);
        // Singly and in batches, with gaps between IDs, over several segments, the last one not sealed.
        for ms in 1..=150 {
            let id = |seq| StreamId::new(ms * 2, seq);
            stream.add_with(AddOptions::new().id(id(1)), [("a", &value)]).unwrap();
            let batch = (2..=9).map(|n| (NewId::Exact(id(n * 2)), [("b", &value)]));
            stream.add_batch(batch).unwrap();
        }
        assert!(stream.info().unwrap().segments > 3);
        stream.trim(Trim::to_len(1200)).unwrap();
        stream.delete((1..=150).step_by(3).map(|ms| StreamId::new(ms * 2, 8))).unwrap();
        let mut found = 0;
        for ms in 0..=302 {
            for seq in 0..20 {
                let id = StreamId::new(ms, seq);
                let entry = stream.get(id).unwrap();
                found += u64::from(entry.is_some());
                assert_eq!(entry, stream.range(id..=id).next().transpose().unwrap(), "{id}");
            }
        }
        assert_eq!(found, stream.len().unwrap());
    }
}
