//! What the frames of a journal hold: changes to a stream that are not entries.
//!
//! | kind | name       | payload                                                                                      |
//! |------|------------|----------------------------------------------------------------------------------------------|
//! | 1    | DELETE     | ID, the highest of those deleted (0-0 if they were trimmed); ordinals                        |
//! | 2    | TRIM       | varint floor: the lowest ordinal that is not trimmed                                         |
//! | 3    | SET ID     | last ID, varint entries added, maximum deleted ID                                            |
//! | 4    | SEVERAL    | changes that are one: for each a byte, its kind, and its payload as a string                   |
//! | 5–27 |            | changes to groups: see [`groups`](super::groups)                                               |
//! | 30   | STATE      | the effect of all changes before, without the deleted entries: see below                     |
//! | 29   | DEAD       | ordinals, as a part of those deleted before                                                  |
//! | 31   | CHECKPOINT | nothing: the STATE and DEAD frames before it are complete                                    |
//!
//! IDs are two varints each. *Ordinals* are a varint count, then for each run of consecutive ordinals in ascending order
//! two varints: how many ordinals lie between it and the run before (or 0), and its length less 1.
//!
//! STATE: varint floor; maximum deleted ID; the highest ID the changes named; a byte 1 if the ID was ever set, and then
//! the ordinal the next entry had at that time as a varint, the last ID, and varint entries added.
//!
//! A journal begins with STATE, DEAD frames and CHECKPOINT. Only after these is it given its name; they are not counted
//! as changes.

use roaring::RoaringTreemap;

use crate::StreamId;
use crate::format::codec::{Reader, put_id, put_string, put_varint};
use crate::format::groups::{CREATE_GROUP, DUPLICATES, GROUP, GroupChange, MEMORY};

const DELETE: u8 = 1;
const TRIM: u8 = 2;
const SET_ID: u8 = 3;
const SEVERAL: u8 = 4;
const DEAD: u8 = 29;
const STATE: u8 = 30;
const CHECKPOINT: u8 = 31;

/// The most runs of ordinals in one DEAD frame.
pub const DEAD_RUNS_MAX: usize = 64 << 10;

/// What a frame of the journal says.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Delete {
        max_deleted_id: StreamId,
        ordinals: Vec<Run>,
    },
    Trim {
        floor: u64,
    },
    SetId {
        last_id: StreamId,
        entries_added: u64,
        max_deleted_id: StreamId,
    },
    Group(GroupChange),
    /// Not within itself, and without parts of checkpoints.
    Several(Vec<Change>),
    Dead {
        ordinals: Vec<Run>,
    },
    State(State),
    Checkpoint,
}

/// The part of a stream's state that is not in its log, without the deleted entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub floor: u64,
    pub max_deleted_id: StreamId,
    pub highest_id: StreamId,
    pub id_set: Option<IdSet>,
}

/// The last time that the last ID was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdSet {
    /// The ordinal that the next entry had.
    pub next_ordinal: u64,
    pub last_id: StreamId,
    pub entries_added: u64,
}

/// Consecutive ordinals, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub first: u64,
    pub last: u64,
}

impl Change {
    /// Whether it is part of a checkpoint, and so not counted.
    pub fn is_checkpoint_part(&self) -> bool {
        match self {
            Self::State(_) | Self::Dead { .. } | Self::Checkpoint => true,
            Self::Group(change) => change.is_checkpoint_part(),
            _ => false,
        }
    }

    pub fn kind(&self) -> u8 {
        match self {
            Self::Delete { .. } => DELETE,
            Self::Trim { .. } => TRIM,
            Self::SetId { .. } => SET_ID,
            Self::Group(change) => change.kind(),
            Self::Several(_) => SEVERAL,
            Self::Dead { .. } => DEAD,
            Self::State(_) => STATE,
            Self::Checkpoint => CHECKPOINT,
        }
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Delete { max_deleted_id, ordinals } => {
                put_id(out, *max_deleted_id);
                put_runs(out, ordinals);
            }
            Self::Trim { floor } => put_varint(out, *floor),
            Self::SetId { last_id, entries_added, max_deleted_id } => {
                put_id(out, *last_id);
                put_varint(out, *entries_added);
                put_id(out, *max_deleted_id);
            }
            Self::Group(change) => change.put(out),
            Self::Several(changes) => {
                for change in changes {
                    let mut payload = Vec::new();
                    change.put(&mut payload);
                    out.push(change.kind());
                    put_string(out, &payload);
                }
            }
            Self::Dead { ordinals } => put_runs(out, ordinals),
            Self::State(state) => state.put(out),
            Self::Checkpoint => {}
        }
    }

    /// `None` if the kind is not known or the payload is malformed.
    pub fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let change = match kind {
            DELETE => Self::Delete { max_deleted_id: reader.short_id()?, ordinals: take_runs(&mut reader)? },
            TRIM => Self::Trim { floor: reader.varint()? },
            SET_ID => Self::SetId {
                last_id: reader.short_id()?,
                entries_added: reader.varint()?,
                max_deleted_id: reader.short_id()?,
            },
            SEVERAL => Self::Several(take_several(&mut reader)?),
            CREATE_GROUP..=DUPLICATES | GROUP..=MEMORY => return GroupChange::decode(kind, payload).map(Self::Group),
            DEAD => Self::Dead { ordinals: take_runs(&mut reader)? },
            STATE => Self::State(State::take(&mut reader)?),
            CHECKPOINT => Self::Checkpoint,
            _ => return None,
        };
        reader.is_empty().then_some(change)
    }

    /// This change, or the ones it consists of.
    pub fn parts(&self) -> &[Change] {
        match self {
            Self::Several(changes) => changes,
            single => std::slice::from_ref(single),
        }
    }

    /// How many entries it says are deleted.
    pub fn dead(&self) -> u64 {
        let runs = self.parts().iter().flat_map(|part| match part {
            Self::Delete { ordinals, .. } | Self::Dead { ordinals } => ordinals.as_slice(),
            _ => &[],
        });
        runs.fold(0, |dead: u64, run| dead.saturating_add(run.last - run.first + 1))
    }

    /// The highest ID it says there is or was.
    pub fn highest_id(&self) -> StreamId {
        let highest = self.parts().iter().map(|part| match part {
            Self::Delete { max_deleted_id, .. } => *max_deleted_id,
            Self::Group(change) => change.highest_id(),
            _ => StreamId::MIN,
        });
        highest.max().unwrap_or(StreamId::MIN)
    }
}

fn take_several(reader: &mut Reader<'_>) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    while !reader.is_empty() {
        let kind = reader.u8().filter(|&kind| kind != SEVERAL)?;
        changes.push(Change::decode(kind, reader.string()?).filter(|change| !change.is_checkpoint_part())?);
    }
    Some(changes)
}

impl State {
    /// The effect of a change that was made when the next entry had the ordinal `next_ordinal`.
    pub fn apply(&mut self, change: &Change, next_ordinal: u64) {
        match change {
            Change::Delete { max_deleted_id, .. } => {
                self.max_deleted_id = self.max_deleted_id.max(*max_deleted_id);
                self.highest_id = self.highest_id.max(*max_deleted_id);
            }
            Change::Trim { floor } => self.floor = self.floor.max(*floor),
            Change::SetId { last_id, entries_added, max_deleted_id } => {
                self.max_deleted_id = *max_deleted_id;
                // What was set back on purpose is not to be kept up.
                self.highest_id = *last_id;
                self.id_set = Some(IdSet { next_ordinal, last_id: *last_id, entries_added: *entries_added });
            }
            Change::State(state) => *self = state.clone(),
            Change::Several(changes) => changes.iter().for_each(|change| self.apply(change, next_ordinal)),
            Change::Group(_) | Change::Dead { .. } | Change::Checkpoint => {}
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.floor);
        put_id(out, self.max_deleted_id);
        put_id(out, self.highest_id);
        out.push(u8::from(self.id_set.is_some()));
        if let Some(set) = self.id_set {
            put_varint(out, set.next_ordinal);
            put_id(out, set.last_id);
            put_varint(out, set.entries_added);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let (floor, max_deleted_id, highest_id) = (reader.varint()?, reader.short_id()?, reader.short_id()?);
        let id_set = match reader.u8()? {
            0 => None,
            1 => Some(IdSet {
                next_ordinal: reader.varint()?,
                last_id: reader.short_id()?,
                entries_added: reader.varint()?,
            }),
            _ => return None,
        };
        Some(Self { floor, max_deleted_id, highest_id, id_set })
    }
}

fn put_runs(out: &mut Vec<u8>, runs: &[Run]) {
    put_varint(out, runs.len() as u64);
    let mut next = 0;
    for run in runs {
        put_varint(out, run.first - next);
        put_varint(out, run.last - run.first);
        next = run.last.saturating_add(1);
    }
}

fn take_runs(reader: &mut Reader<'_>) -> Option<Vec<Run>> {
    let count = reader.varint_usize()?;
    // A run takes two bytes at least: no count is trusted beyond the bytes that are there.
    let mut runs = Vec::with_capacity(count.min(reader.len() / 2));
    let mut next = 0u64;
    for _ in 0..count {
        let first = next.checked_add(reader.varint()?)?;
        let last = first.checked_add(reader.varint()?)?;
        // The number after the last one is one, too: so a run never holds 2^64 of them.
        next = last.checked_add(1)?;
        runs.push(Run { first, last });
    }
    Some(runs)
}

/// Gives out the runs of a set, in ascending order, so many at a time: a large set takes no memory to speak of.
pub fn runs_in_parts(ordinals: &RoaringTreemap, count_max: usize, mut give: impl FnMut(Vec<Run>)) {
    let mut runs: Vec<Run> = Vec::new();
    for (high, bitmap) in ordinals.bitmaps() {
        let ordinal = |low: u32| u64::from(high) << 32 | u64::from(low);
        let mut ordinals = bitmap.iter();
        while let Some(range) = ordinals.next_range() {
            let (first, last) = (ordinal(*range.start()), ordinal(*range.end()));
            match runs.last_mut() {
                Some(run) if run.last.checked_add(1) == Some(first) => run.last = last,
                _ => {
                    if runs.len() == count_max {
                        give(std::mem::take(&mut runs));
                    }
                    runs.push(Run { first, last });
                }
            }
        }
    }
    if !runs.is_empty() {
        give(runs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two at a time.
    fn all_runs(set: &RoaringTreemap) -> Vec<(u64, u64)> {
        let mut runs = Vec::new();
        runs_in_parts(set, 2, |part| {
            assert!(!part.is_empty() && part.len() <= 2);
            runs.extend(part.iter().map(|run| (run.first, run.last)));
        });
        runs
    }

    fn samples() -> Vec<(Change, Vec<u8>)> {
        let runs = vec![Run { first: 3, last: 5 }, Run { first: 9, last: 9 }];
        let id_set = Some(IdSet { next_ordinal: 7, last_id: StreamId::new(8, 9), entries_added: 10 });
        let state = State { floor: 1, max_deleted_id: StreamId::new(2, 3), highest_id: StreamId::new(4, 5), id_set };
        vec![
            (
                Change::Delete { max_deleted_id: StreamId::new(300, 1), ordinals: runs.clone() },
                vec![0xac, 2, 1, 2, 3, 2, 3, 0],
            ),
            (Change::Trim { floor: 128 }, vec![0x80, 1]),
            (
                Change::SetId { last_id: StreamId::new(1, 2), entries_added: 3, max_deleted_id: StreamId::new(0, 4) },
                vec![1, 2, 3, 0, 4],
            ),
            (
                Change::Several(vec![
                    Change::Trim { floor: 128 },
                    Change::Group(GroupChange::DestroyGroup { group: 7 }),
                ]),
                vec![2, 2, 0x80, 1, 7, 1, 7],
            ),
            (Change::Dead { ordinals: runs }, vec![2, 3, 2, 3, 0]),
            (Change::State(state), vec![1, 2, 3, 4, 5, 1, 7, 8, 9, 10]),
            (Change::State(State::default()), vec![0, 0, 0, 0, 0, 0]),
            (Change::Checkpoint, vec![]),
        ]
    }

    #[test]
    fn golden_bytes_of_every_change() {
        for (change, bytes) in samples() {
            let mut payload = Vec::new();
            change.put(&mut payload);
            assert_eq!(payload, bytes, "{change:?}");
            assert_eq!(Change::decode(change.kind(), &bytes), Some(change));
        }
    }

    #[test]
    fn truncated_and_surplus_bytes_are_malformed() {
        for (change, mut bytes) in samples() {
            for len in 0..bytes.len() {
                let cut = Change::decode(change.kind(), &bytes[..len]);
                assert_ne!(cut.as_ref(), Some(&change), "{change:?} cut to {len} bytes");
            }
            bytes.push(0);
            assert_eq!(Change::decode(change.kind(), &bytes), None, "{change:?} with a byte too many");
        }
        assert_eq!(Change::decode(28, &[]), None);
        assert_eq!(Change::decode(SEVERAL, &[SEVERAL, 0]), None, "within itself");
        assert_eq!(Change::decode(SEVERAL, &[CHECKPOINT, 0]), None, "a part of a checkpoint");
    }

    #[test]
    fn a_huge_count_allocates_nothing() {
        let payload = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(Change::decode(DEAD, &payload), None);
    }

    #[test]
    fn runs_are_those_of_the_set() {
        let set: RoaringTreemap = [1, 2, 3, 7, 9, 10].into_iter().collect();
        let runs = all_runs(&set);
        assert_eq!(runs, [(1, 3), (7, 7), (9, 10)]);
        let mut large = RoaringTreemap::new();
        let last = if cfg!(miri) { 1 << 18 } else { 1 << 36 };
        large.insert_range(5..=last);
        let runs = all_runs(&large);
        assert_eq!(runs, [(5, last)], "not one by one");
    }
}
