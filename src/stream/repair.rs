//! Ending damage for good: what cannot be read counts as deleted.

use std::path::PathBuf;
use std::slice;

use crate::damage::{Finding, Problem};
use crate::format::Identity;
use crate::format::file_name::File as FileName;
use crate::format::header::{Header, Kind};
use crate::format::journal::{Change, Run};
use crate::io::Access;
use crate::io::place::Place;
use crate::log::holes::{Hole, Walked, walk};
use crate::log::pieces::{Piece, pieces};
use crate::log::scan::{self, Ending};
use crate::log::segment::{OUT_OF_PLACE, follows_another, read_header};
use crate::stream::change::Planned;
use crate::stream::inner::{Inner, Outcome};
use crate::stream::quarantine::Quarantine;
use crate::{Corruption, Error, Result, StreamId};

/// What a repair found and did: see [`Store::repair`](crate::Store::repair).
///
/// # Examples
///
/// ```
/// use streamlog::Store;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// let store = Store::open(path)?;
/// store.stream("orders")?.add_batch(["o1", "o2"].map(|order| (Default::default(), [("order", order)])))?;
/// store.stream("orders")?.add([("order", "o3")])?;
/// store.close()?;
/// # let segment = path.join("streams/orders/00000000000000000001.log");
/// # let mut bytes = std::fs::read(&segment)?;
/// # let at = bytes.windows(2).position(|bytes| bytes == b"o2").expect("it is in there");
/// # bytes[at] ^= 1;
/// # std::fs::write(&segment, bytes)?;
/// // A bit of the batch changes on the disk.
/// let store = Store::open(path)?;
/// let repaired = store.repair("orders")?.expect("there is such a stream");
/// assert_eq!((repaired.entries_lost, repaired.damage.len(), repaired.copies.len()), (2, 1, 1));
/// assert_eq!(store.stream("orders")?.len()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// What was damaged.
    pub damage: Vec<Finding>,
    /// How many living entries count as deleted from now on, as they cannot be read.
    pub entries_lost: u64,
    /// Copies of the files that were replaced or removed, as they were.
    pub copies: Vec<PathBuf>,
}

/// What is left of a segment that has a successor.
enum Left {
    /// All of it; the ordinal after its last entry, and that entry's ID.
    Sound(u64, StreamId),
    /// It was removed meanwhile.
    Removed,
    /// Nothing, or not even a file.
    Nothing(Box<Error>),
    Parts(Box<(Header, Walked)>),
    /// All of it, but the next one follows another.
    Unfollowed(Box<(Header, Walked)>),
}

/// What the header of a segment says of what is before it.
#[derive(Clone, Copy)]
struct Next {
    base: u64,
    previous_id: StreamId,
    /// The identity of the segment before, if it is known.
    predecessor: Option<Identity>,
}

impl Inner {
    /// Replaces damaged segments by what can be read of them, and counts the rest as deleted. All but the last segment are
    /// read: that one was when the stream was opened.
    pub fn repair(&self, quarantine: &Quarantine<'_>) -> Result<Repaired> {
        let mut repaired = Repaired::default();
        let slots = self.log.slots();
        let floor = self.log.tail().floor;
        if let Some(first) = slots.first().filter(|first| first.base > floor) {
            let next = self.next(first.base);
            self.give_up(slice::from_ref(&(floor..first.base)), next.previous_id, &mut repaired)?;
        }
        for (slot, next) in slots.iter().zip(slots.iter().skip(1)) {
            self.repair_segment(slot.base, self.next(next.base), quarantine, &mut repaired)?;
        }
        Ok(repaired)
    }

    /// What a segment says of the one before it, as far as that can be told.
    fn next(&self, base: u64) -> Next {
        let name = FileName::Segment(base).name();
        let file = self.place.open(&name, Access::Read);
        let header = file.and_then(|file| read_header(&*file, &self.place.full(&name), Kind::Segment)).ok();
        let previous_id = header.as_ref().map_or(self.log.tail().last_id, |header| header.previous_id);
        let predecessor = header.map(|header| header.predecessor).filter(|file| *file != Identity::default());
        Next { base, previous_id, predecessor }
    }

    fn repair_segment(
        &self,
        base: u64,
        next: Next,
        quarantine: &Quarantine<'_>,
        repaired: &mut Repaired,
    ) -> Result<()> {
        let name = FileName::Segment(base).name();
        let path = self.place.full(&name);
        let (kept, pieces) = match self.left_of(base, next)? {
            Left::Removed => return Ok(()),
            Left::Sound(end, last_id) => {
                if self.log.live(end, next.base) > 0 {
                    let missing = self.place.full(FileName::Segment(end).name());
                    let finding = Finding::new(missing, 0, Problem::Damage(Corruption::Missing));
                    repaired.damage.push(finding.with_ids(last_id, Some(next.previous_id)));
                }
                return self.give_up(slice::from_ref(&(end..next.base)), next.previous_id, repaired);
            }
            Left::Nothing(error) => {
                let finding = Finding::of(*error)?;
                repaired.damage.push(finding.with_ids(StreamId::MIN, Some(next.previous_id)));
                (Vec::new(), Vec::new())
            }
            Left::Unfollowed(left) => {
                let (mut header, walked) = *left;
                repaired.damage.push(follows_another(self.place.full(FileName::Segment(next.base).name())));
                // All that is in it was read so far, and its neighbour says what it is to be.
                header.file = next.predecessor.unwrap_or(header.file);
                (std::iter::once(base..next.base).collect(), pieces(&self.env, &header, &walked, next.base))
            }
            Left::Parts(left) => {
                let (mut header, walked) = *left;
                header.file = next.predecessor.unwrap_or(header.file);
                for hole in &walked.holes {
                    let finding = Finding::new(path.clone(), hole.offset, Problem::Damage(hole.what.clone()));
                    repaired.damage.push(finding.with_ids(hole.after, hole.through));
                }
                let kept: Vec<_> =
                    walked.sound.iter().map(|sound| sound.ordinal..sound.ordinal + sound.count).collect();
                (kept, pieces(&self.env, &header, &walked, next.base))
            }
        };
        if let Some(copy) = quarantine.keep_if_there(&self.place, &name)? {
            repaired.copies.push(copy);
        }
        let mut lost = Vec::new();
        let mut at = base;
        for kept in kept.iter().filter(|kept| kept.end <= next.base) {
            lost.push(at..kept.start);
            at = kept.end;
        }
        lost.push(at..next.base);
        self.give_up(&lost, next.previous_id, repaired)?;
        self.replace_by(base, &pieces)
    }

    fn left_of(&self, base: u64, next: Next) -> Result<Left> {
        let name = FileName::Segment(base).name();
        let path = self.place.full(&name);
        let opened = self.place.open(&name, Access::Read).and_then(|file| {
            let header = read_header(&*file, &path, Kind::Segment)?;
            if header.incarnation != self.log.incarnation || header.base != base {
                return Err(Error::corrupt(&path, 0, OUT_OF_PLACE));
            }
            Ok((file, header))
        });
        let (file, header) = match opened {
            Err(error @ Error::Corrupt { .. }) => {
                let is_listed = self.log.slots().iter().any(|slot| slot.base == base);
                return Ok(if is_listed { Left::Nothing(Box::new(error)) } else { Left::Removed });
            }
            opened => opened?,
        };
        let found = match scan::scan(&header, &*file, &path, u64::MAX) {
            Err(error @ Error::Corrupt { .. }) => return Ok(Left::Nothing(Box::new(error))),
            found => found?,
        };
        let end = found.next_ordinal;
        let is_sound = matches!(found.ending, Ending::Sealed(_)) && end <= next.base;
        let is_followed = end != next.base || next.predecessor.is_none_or(|file| file == header.file);
        if is_sound && is_followed {
            return Ok(Left::Sound(end, found.last_id));
        }
        let mut walked = walk(&header, &*file, &path, Some((next.base, next.previous_id)))?;
        if is_sound {
            return Ok(Left::Unfollowed(Box::new((header, walked))));
        }
        if walked.holes.is_empty() {
            let what = match found.ending {
                Ending::Flawed(what) => what,
                _ => Corruption::Truncated { expected: found.tail + 1 },
            };
            walked.holes.push(Hole {
                offset: found.tail,
                what,
                after: found.last_id,
                through: Some(next.previous_id),
                from: end,
                to: next.base,
                is_followed: false,
            });
        }
        Ok(Left::Parts(Box::new((header, walked))))
    }

    /// Counts what lives among these ordinals as deleted, durably; `through` is an upper bound of their IDs.
    fn give_up(&self, lost: &[std::ops::Range<u64>], through: StreamId, repaired: &mut Repaired) -> Result<()> {
        let deleted = self.change(|append, _| {
            let floor = append.appender.floor;
            let lost = lost.iter().map(|lost| lost.start.max(floor)..lost.end).filter(|lost| !lost.is_empty());
            let lost: Vec<_> = lost.filter(|lost| self.log.live(lost.start, lost.end) > 0).collect();
            let count = lost.iter().map(|lost| self.log.live(lost.start, lost.end)).sum();
            if count == 0 {
                return Ok(Planned::nothing(0));
            }
            let ordinals = lost.iter().map(|lost| Run { first: lost.start, last: lost.end - 1 }).collect();
            let max_deleted_id = through.min(append.appender.last_id);
            Ok(Planned::change(Change::Delete { max_deleted_id, ordinals }, count))
        })?;
        if let Outcome::Done(count) = deleted {
            repaired.entries_lost += count;
        }
        // Before the files go, as with any deletion.
        self.sync()
    }

    /// Puts these in the place of a segment. Each has its name before what it replaces goes.
    fn replace_by(&self, base: u64, pieces: &[Piece]) -> Result<()> {
        let _turn = self.turn.lock();
        let place: &Place = &self.place;
        if !self.log.slots().iter().any(|slot| slot.base == base) {
            return Ok(());
        }
        // Made for what is replaced, and bound to no more than its identity, which the last part has.
        place.remove(FileName::Index(base).name())?;
        place.sync()?;
        for piece in pieces.iter().rev() {
            let name = FileName::Segment(piece.header.base);
            place.write_whole(&name.new_name(), &name.name(), &piece.bytes)?;
        }
        if pieces.first().is_none_or(|first| first.header.base != base) {
            place.remove(FileName::Segment(base).name())?;
            place.sync()?;
        }
        Ok(())
    }
}
