//! Frames of a journal, one after the other, and whether a change can be one of this stream.

use super::{CheckpointDamage, DEAD_MAX, Found};
use crate::format::NUMBER_MAX;
use crate::format::groups::GroupChange;
use crate::format::header::Header;
use crate::format::journal::Change;
use crate::format::record::{self, Flaw, Frame, Salt};
use crate::format::search::Search;
use crate::group::aside::Aside;
use crate::group::producers::{DURATION_S_MAX, LEN_MAX};
use crate::{Corruption, Result};

/// Frames that are read one after the other.
pub(super) struct Reading<'a> {
    pub(super) salt: Salt,
    pub(super) bytes: &'a [u8],
    /// Where the bytes begin in the file.
    pub(super) start: u64,
    pub(super) at: usize,
    pub(super) first_ordinal: u64,
    pub(super) next_ordinal: u64,
    pub(super) position: u16,
    pub(super) synced: u64,
    /// How many entries were deleted.
    pub(super) dead: u64,
}

impl<'a> Reading<'a> {
    /// The next change; `None` at zeros or the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Found>, Corruption> {
        match self.frame() {
            Ok(frame) => self.take(&frame).map(Some),
            Err(Flaw::Blank) => Ok(None),
            Err(flaw) => Err(flaw.into()),
        }
    }

    #[inline]
    pub(super) fn frame(&self) -> Result<Frame<'a>, Flaw> {
        let bytes: &'a [u8] = self.bytes;
        record::decode(bytes.get(self.at..).unwrap_or_default(), self.salt, self.offset())
    }

    /// Where the next frame begins in the file.
    #[inline]
    pub(super) fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    pub(super) fn take(&mut self, frame: &Frame<'_>) -> Result<Found, Corruption> {
        if frame.head.position != self.position {
            return Err(Corruption::Malformed("a change out of sequence"));
        }
        if let Some(peer) = frame.head.peer {
            self.next_ordinal = self.first_ordinal.saturating_add(peer);
        }
        let change = Change::decode(frame.head.kind, frame.payload)
            .filter(|change| self.is_possible(change))
            .ok_or(Corruption::Malformed("a change that cannot be decoded"))?;
        let offset = self.offset();
        self.synced = self.synced.max(frame.head.synced.map_or(0, |before| offset.saturating_sub(before)));
        self.position = self.position.wrapping_add(u16::from(!change.is_checkpoint_part()));
        self.at += frame.len;
        Ok(Found { change, next_ordinal: self.next_ordinal, offset })
    }
}

impl Reading<'_> {
    /// What the journal begins with, as far as it can be read, and the first thing that is wrong with it.
    pub(super) fn checkpoint(&mut self, header: &Header) -> (Aside, Option<CheckpointDamage>) {
        let mut checkpoint = Aside::default();
        let mut damage: Option<CheckpointDamage> = None;
        let mut search = Search::new(header, self.bytes, 0);
        let no_end = || Corruption::Malformed("the journal does not begin with a checkpoint");
        loop {
            let (at, position) = (self.at, self.position);
            let what = match self.next() {
                Ok(Some(Found { change: Change::Checkpoint, .. })) => return (checkpoint, damage),
                Ok(Some(Found { change, .. })) if change.is_checkpoint_part() => {
                    if let (Some(damage), Change::State(_) | Change::Dead { .. }) = (&mut damage, &change) {
                        damage.hit_groups = false;
                    }
                    checkpoint.apply(&change, header.peer);
                    continue;
                }
                Ok(Some(_)) => {
                    // What marks the end is lost.
                    (self.at, self.position, self.next_ordinal) = (at, position, self.first_ordinal);
                    None
                }
                Ok(None) => None,
                Err(what) => Some(what),
            };
            let offset = at as u64;
            let is_end = what.is_none();
            let what = what.unwrap_or_else(no_end);
            // It may have been of groups, unless something follows that comes before them.
            damage.get_or_insert(CheckpointDamage { offset, what, hit_groups: true }).hit_groups = true;
            match search.next(at + 1).filter(|_| !is_end) {
                Some((next, _)) => self.at = next,
                None => return (checkpoint, damage),
            }
        }
    }

    /// Whether the numbers in a change are such as a stream can have that has had the entries before `next_ordinal`.
    fn is_possible(&mut self, change: &Change) -> bool {
        change.parts().iter().all(|part| match part {
            Change::Delete { ordinals, .. } | Change::Dead { ordinals } => {
                self.dead = self.dead.saturating_add(part.dead());
                self.dead <= DEAD_MAX && ordinals.last().is_none_or(|run| run.last < self.next_ordinal.min(NUMBER_MAX))
            }
            Change::Trim { floor } => *floor < NUMBER_MAX,
            Change::State(state) => {
                state.floor < NUMBER_MAX && state.id_set.is_none_or(|set| set.next_ordinal < NUMBER_MAX)
            }
            Change::Group(change) => is_possible_in_groups(change),
            Change::SetId { .. } | Change::Several(_) | Change::Checkpoint => true,
        })
    }
}

fn is_possible_in_groups(change: &GroupChange) -> bool {
    match change {
        GroupChange::CreateGroup(group) | GroupChange::Group(group) => group.group < NUMBER_MAX,
        GroupChange::Pending { runs, .. } => {
            runs.iter().all(|run| run.order < NUMBER_MAX && (run.ids.len() as u64) < NUMBER_MAX)
        }
        GroupChange::Configure { duration_s, max_len } => is_possible_limit(*duration_s, *max_len),
        GroupChange::Producers(memory) | GroupChange::Memory(memory) => {
            let fits = |list: &Vec<_>| list.len() as u64 <= memory.max_len;
            memory.next_ordinal < NUMBER_MAX
                && is_possible_limit(memory.duration_s, memory.max_len)
                && memory.producers.iter().all(|(_, list)| fits(list))
        }
        _ => true,
    }
}

fn is_possible_limit(duration_s: u64, max_len: u64) -> bool {
    duration_s <= DURATION_S_MAX && max_len <= LEN_MAX
}
