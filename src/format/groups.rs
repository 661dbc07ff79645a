//! Changes to consumer groups and to remembered productions, as the frames of a journal hold them.
//!
//! | kind | name               | payload                                                                              |
//! |------|--------------------|--------------------------------------------------------------------------------------|
//! | 5    | CREATE GROUP       | group; name; position; entries read                                                  |
//! | 6    | SET POSITION       | group; position; entries read                                                        |
//! | 7    | DESTROY GROUP      | group                                                                                |
//! | 8    | CREATE CONSUMER    | group; consumer; name; time                                                          |
//! | 9    | DELETE CONSUMER    | group; consumer                                                                      |
//! | 10   | SEEN               | group; consumer; time                                                                |
//! | 11   | DELIVER            | group; consumer; time; position; entries read; IDs: now the consumer's, delivered once |
//! | 12   | ACKNOWLEDGE        | group; IDs                                                                           |
//! | 13   | CLAIM              | group; consumer; time; delivery time; 1 if the consumer was active, or 0; counting; IDs |
//! | 14   | RELEASE            | group; counting; IDs                                                                 |
//! | 15   | UNREFERENCE        | IDs: pending in no group any more                                                    |
//! | 16   | REMEMBER           | producer's ID; idempotent ID; ID                                                     |
//! | 17   | CONFIGURE          | how long productions are remembered, in seconds; how many of each producer           |
//! | 18   | PRODUCERS          | all remembered productions: see below                                                |
//! | 19   | DUPLICATES         | how many productions were recognised as duplicates                                   |
//!
//! *Group* and *consumer* are numbers that their creation gave them, as varints; *position*, the last delivered ID, is two
//! varints, as are other single IDs; *entries read* is a varint, 1 more than the number, or 0 if that is not known; times
//! are varints, Unix milliseconds. Names and producer's IDs are strings.
//!
//! *Counting* is what happens to the delivery counts, a varint: 0 nothing, 1 one more, 2 one less but not below 0, and
//! from 3 on: they become this number less 3.
//!
//! *IDs*: a varint count; then for each a varint, the zigzag of its milliseconds less those of the one before, and a varint:
//! its sequence, or if the milliseconds are the same the zigzag of its difference. Before the first one is 0-0.
//!
//! In CLAIM, an ID that is not pending becomes so with a count of 1, in RELEASE with a count of 0, before the counting.
//!
//! A checkpoint has these:
//!
//! | kind | name     | payload                                                                                            |
//! |------|----------|----------------------------------------------------------------------------------------------------|
//! | 24   | GROUP    | as CREATE GROUP                                                                                    |
//! | 25   | CONSUMER | as CREATE CONSUMER; then 1 more than the time at which it was last active, or 0                    |
//! | 26   | PENDING  | group; then to the end: owner, 1 more than the consumer or 0 if released; time; count; order; IDs  |
//! | 27   | MEMORY   | as PRODUCERS                                                                                       |
//!
//! The first ID of a run in a PENDING part has the *order* given, and each further one an order higher by 1: the order tells
//! which of two with the same delivery time was assigned it first. Time, order and IDs go on from the run before: time is
//! the zigzag of the difference, order that of the difference from the next one, and the first ID comes after the last.
//!
//! PRODUCERS: the ordinal up to which the entries' own productions are included; seconds and number as in CONFIGURE; how many
//! productions were remembered in all, and how many duplicates recognised; then to the end: producer's ID, a varint count,
//! and for each production its idempotent ID and ID, in the order in which they were remembered.

use crate::StreamId;
use crate::format::codec::{Reader, put_id, put_string, put_varint, unzigzag, zigzag};

pub const CREATE_GROUP: u8 = 5;
const SET_POSITION: u8 = 6;
const DESTROY_GROUP: u8 = 7;
const CREATE_CONSUMER: u8 = 8;
const DELETE_CONSUMER: u8 = 9;
const SEEN: u8 = 10;
const DELIVER: u8 = 11;
const ACKNOWLEDGE: u8 = 12;
const CLAIM: u8 = 13;
const RELEASE: u8 = 14;
const UNREFERENCE: u8 = 15;
const REMEMBER: u8 = 16;
const CONFIGURE: u8 = 17;
const PRODUCERS: u8 = 18;
pub const DUPLICATES: u8 = 19;
pub const GROUP: u8 = 24;
const CONSUMER: u8 = 25;
const PENDING: u8 = 26;
pub const MEMORY: u8 = 27;

/// The most pending entries in one part of a checkpoint.
pub const PENDING_PART_MAX: usize = 64 << 10;

/// A change to the groups of a stream, or to what it remembers of its producers.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupChange {
    CreateGroup(NewGroup),
    SetPosition {
        group: u64,
        position: StreamId,
        entries_read: Option<u64>,
    },
    DestroyGroup {
        group: u64,
    },
    CreateConsumer(NewConsumer),
    DeleteConsumer {
        group: u64,
        consumer: u32,
    },
    Seen {
        group: u64,
        consumer: u32,
        time: u64,
    },
    Deliver {
        group: u64,
        consumer: u32,
        time: u64,
        position: StreamId,
        entries_read: Option<u64>,
        ids: Vec<StreamId>,
    },
    Acknowledge {
        group: u64,
        ids: Vec<StreamId>,
    },
    Claim {
        group: u64,
        consumer: u32,
        time: u64,
        delivery_time: u64,
        active: bool,
        counting: Counting,
        ids: Vec<StreamId>,
    },
    Release {
        group: u64,
        counting: Counting,
        ids: Vec<StreamId>,
    },
    Unreference {
        ids: Vec<StreamId>,
    },
    Remember {
        producer: Box<[u8]>,
        key: Box<[u8]>,
        id: StreamId,
    },
    Configure {
        duration_s: u64,
        max_len: u64,
    },
    Producers(Memory),
    Duplicates {
        count: u64,
    },
    /// Parts of a checkpoint.
    Group(NewGroup),
    Consumer {
        consumer: NewConsumer,
        active_time: Option<u64>,
    },
    Pending {
        group: u64,
        runs: Vec<PendingRun>,
    },
    Memory(Memory),
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewGroup {
    pub group: u64,
    pub name: Box<[u8]>,
    pub position: StreamId,
    pub entries_read: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewConsumer {
    pub group: u64,
    pub consumer: u32,
    pub name: Box<[u8]>,
    pub time: u64,
}

/// What a claim or release does to delivery counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    Keep,
    Increment,
    Decrement,
    Set(u64),
}

/// Pending entries with the same owner, time and count, and consecutive orders.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingRun {
    pub owner: Option<u32>,
    pub time: u64,
    pub count: u64,
    pub order: u64,
    pub ids: Vec<StreamId>,
}

/// The idempotent ID of a production, and the entry that came of it.
pub type Remembered = (Box<[u8]>, StreamId);

/// What a stream remembers of its producers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// The productions of entries before this ordinal are in it.
    pub next_ordinal: u64,
    pub duration_s: u64,
    pub max_len: u64,
    pub added: u64,
    pub duplicates: u64,
    pub producers: Vec<(Box<[u8]>, Vec<Remembered>)>,
}

impl Counting {
    /// The count that comes of `count`.
    pub fn apply(self, count: u64) -> u64 {
        match self {
            Self::Keep => count,
            Self::Increment => count.saturating_add(1).min(i64::MAX as u64),
            Self::Decrement => count.saturating_sub(1),
            Self::Set(count) => count,
        }
    }

    fn number(self) -> u64 {
        match self {
            Self::Keep => 0,
            Self::Increment => 1,
            Self::Decrement => 2,
            Self::Set(count) => count.saturating_add(3),
        }
    }

    fn of(number: u64) -> Self {
        match number {
            0 => Self::Keep,
            1 => Self::Increment,
            2 => Self::Decrement,
            number => Self::Set(number - 3),
        }
    }
}

impl GroupChange {
    pub fn kind(&self) -> u8 {
        match self {
            Self::CreateGroup(_) => CREATE_GROUP,
            Self::SetPosition { .. } => SET_POSITION,
            Self::DestroyGroup { .. } => DESTROY_GROUP,
            Self::CreateConsumer(_) => CREATE_CONSUMER,
            Self::DeleteConsumer { .. } => DELETE_CONSUMER,
            Self::Seen { .. } => SEEN,
            Self::Deliver { .. } => DELIVER,
            Self::Acknowledge { .. } => ACKNOWLEDGE,
            Self::Claim { .. } => CLAIM,
            Self::Release { .. } => RELEASE,
            Self::Unreference { .. } => UNREFERENCE,
            Self::Remember { .. } => REMEMBER,
            Self::Configure { .. } => CONFIGURE,
            Self::Producers(_) => PRODUCERS,
            Self::Duplicates { .. } => DUPLICATES,
            Self::Group(_) => GROUP,
            Self::Consumer { .. } => CONSUMER,
            Self::Pending { .. } => PENDING,
            Self::Memory(_) => MEMORY,
        }
    }

    /// Whether it is part of a checkpoint.
    pub fn is_checkpoint_part(&self) -> bool {
        self.kind() >= GROUP
    }

    /// The highest ID that it names.
    pub fn highest_id(&self) -> StreamId {
        let highest = |ids: &[StreamId]| ids.iter().copied().max().unwrap_or(StreamId::MIN);
        match self {
            Self::Deliver { ids, position, .. } => highest(ids).max(*position),
            Self::Claim { ids, .. } | Self::Release { ids, .. } => highest(ids),
            _ => StreamId::MIN,
        }
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::CreateGroup(group) | Self::Group(group) => group.put(out),
            Self::SetPosition { group, position, entries_read } => {
                put_varint(out, *group);
                put_position(out, *position, *entries_read);
            }
            Self::DestroyGroup { group } => put_varint(out, *group),
            Self::CreateConsumer(consumer) => consumer.put(out),
            Self::DeleteConsumer { group, consumer } => put_all(out, [*group, u64::from(*consumer)]),
            Self::Seen { group, consumer, time } => put_all(out, [*group, u64::from(*consumer), *time]),
            Self::Deliver { group, consumer, time, position, entries_read, ids } => {
                put_all(out, [*group, u64::from(*consumer), *time]);
                put_position(out, *position, *entries_read);
                put_ids(out, ids);
            }
            Self::Acknowledge { group, ids } => {
                put_varint(out, *group);
                put_ids(out, ids);
            }
            Self::Claim { group, consumer, time, delivery_time, active, counting, ids } => {
                let numbers = [*group, u64::from(*consumer), *time, *delivery_time, u64::from(*active)];
                put_all(out, numbers);
                put_varint(out, counting.number());
                put_ids(out, ids);
            }
            Self::Release { group, counting, ids } => {
                put_all(out, [*group, counting.number()]);
                put_ids(out, ids);
            }
            Self::Unreference { ids } => put_ids(out, ids),
            Self::Remember { producer, key, id } => {
                put_string(out, producer);
                put_string(out, key);
                put_id(out, *id);
            }
            Self::Configure { duration_s, max_len } => put_all(out, [*duration_s, *max_len]),
            Self::Producers(memory) | Self::Memory(memory) => memory.put(out),
            Self::Duplicates { count } => put_varint(out, *count),
            Self::Consumer { consumer, active_time } => {
                consumer.put(out);
                put_option(out, *active_time);
            }
            Self::Pending { group, runs } => {
                put_varint(out, *group);
                let mut before = Before::default();
                runs.iter().for_each(|run| run.put(out, &mut before));
            }
        }
    }

    /// `None` if the kind is another or the payload is malformed.
    pub fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let change = Self::take(kind, &mut reader)?;
        reader.is_empty().then_some(change)
    }

    fn take(kind: u8, reader: &mut Reader<'_>) -> Option<Self> {
        Some(match kind {
            CREATE_GROUP => Self::CreateGroup(NewGroup::take(reader)?),
            SET_POSITION => Self::SetPosition {
                group: reader.varint()?,
                position: reader.short_id()?,
                entries_read: take_option(reader)?,
            },
            DESTROY_GROUP => Self::DestroyGroup { group: reader.varint()? },
            CREATE_CONSUMER => Self::CreateConsumer(NewConsumer::take(reader)?),
            DELETE_CONSUMER => Self::DeleteConsumer { group: reader.varint()?, consumer: take_u32(reader)? },
            SEEN => Self::Seen { group: reader.varint()?, consumer: take_u32(reader)?, time: reader.varint()? },
            DELIVER => Self::Deliver {
                group: reader.varint()?,
                consumer: take_u32(reader)?,
                time: reader.varint()?,
                position: reader.short_id()?,
                entries_read: take_option(reader)?,
                ids: take_ids(reader)?,
            },
            ACKNOWLEDGE => Self::Acknowledge { group: reader.varint()?, ids: take_ids(reader)? },
            CLAIM => Self::Claim {
                group: reader.varint()?,
                consumer: take_u32(reader)?,
                time: reader.varint()?,
                delivery_time: reader.varint()?,
                active: take_bool(reader)?,
                counting: Counting::of(reader.varint()?),
                ids: take_ids(reader)?,
            },
            RELEASE => Self::Release {
                group: reader.varint()?,
                counting: Counting::of(reader.varint()?),
                ids: take_ids(reader)?,
            },
            UNREFERENCE => Self::Unreference { ids: take_ids(reader)? },
            REMEMBER => Self::Remember {
                producer: reader.string()?.into(),
                key: reader.string()?.into(),
                id: reader.short_id()?,
            },
            CONFIGURE => Self::Configure { duration_s: reader.varint()?, max_len: reader.varint()? },
            PRODUCERS => Self::Producers(Memory::take(reader)?),
            DUPLICATES => Self::Duplicates { count: reader.varint()? },
            GROUP => Self::Group(NewGroup::take(reader)?),
            CONSUMER => Self::Consumer { consumer: NewConsumer::take(reader)?, active_time: take_option(reader)? },
            PENDING => Self::Pending { group: reader.varint()?, runs: take_runs(reader)? },
            MEMORY => Self::Memory(Memory::take(reader)?),
            _ => return None,
        })
    }
}

impl NewGroup {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.group);
        put_string(out, &self.name);
        put_position(out, self.position, self.entries_read);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            group: reader.varint()?,
            name: reader.string()?.into(),
            position: reader.short_id()?,
            entries_read: take_option(reader)?,
        })
    }
}

impl NewConsumer {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(out, [self.group, u64::from(self.consumer)]);
        put_string(out, &self.name);
        put_varint(out, self.time);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            group: reader.varint()?,
            consumer: take_u32(reader)?,
            name: reader.string()?.into(),
            time: reader.varint()?,
        })
    }
}

/// Where the run before has come to.
#[derive(Default)]
struct Before {
    time: u64,
    order: u64,
    id: StreamId,
}

impl PendingRun {
    fn put(&self, out: &mut Vec<u8>, before: &mut Before) {
        put_option(out, self.owner.map(u64::from));
        put_varint(out, zigzag(self.time.wrapping_sub(before.time) as i64));
        put_varint(out, self.count);
        put_varint(out, zigzag(self.order.wrapping_sub(before.order) as i64));
        put_ids_after(out, &self.ids, before.id);
        before.go_on(self);
    }

    fn take(reader: &mut Reader<'_>, before: &mut Before) -> Option<Self> {
        let owner = match take_option(reader)? {
            None => None,
            Some(owner) => Some(u32::try_from(owner).ok()?),
        };
        let time = before.time.wrapping_add(unzigzag(reader.varint()?) as u64);
        let count = reader.varint()?;
        let order = before.order.wrapping_add(unzigzag(reader.varint()?) as u64);
        let ids = take_ids_after(reader, before.id)?;
        order.checked_add(ids.len() as u64)?;
        let run = Self { owner, time, count, order, ids };
        before.go_on(&run);
        Some(run)
    }
}

impl Before {
    fn go_on(&mut self, run: &PendingRun) {
        self.time = run.time;
        self.order = run.order.wrapping_add(run.ids.len() as u64);
        self.id = run.ids.last().copied().unwrap_or(self.id);
    }
}

fn take_runs(reader: &mut Reader<'_>) -> Option<Vec<PendingRun>> {
    let mut runs = Vec::new();
    let mut before = Before::default();
    while !reader.is_empty() {
        runs.push(PendingRun::take(reader, &mut before)?);
    }
    Some(runs)
}

impl Memory {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(out, [self.next_ordinal, self.duration_s, self.max_len, self.added, self.duplicates]);
        for (producer, productions) in &self.producers {
            put_string(out, producer);
            put_varint(out, productions.len() as u64);
            for (key, id) in productions {
                put_string(out, key);
                put_id(out, *id);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let mut memory = Self {
            next_ordinal: reader.varint()?,
            duration_s: reader.varint()?,
            max_len: reader.varint()?,
            added: reader.varint()?,
            duplicates: reader.varint()?,
            producers: Vec::new(),
        };
        while !reader.is_empty() {
            let producer = reader.string()?.into();
            let count = reader.varint_usize()?;
            // A production takes three bytes at least.
            let mut productions = Vec::with_capacity(count.min(reader.len() / 3));
            for _ in 0..count {
                productions.push((reader.string()?.into(), reader.short_id()?));
            }
            memory.producers.push((producer, productions));
        }
        Some(memory)
    }
}

fn put_all<const N: usize>(out: &mut Vec<u8>, numbers: [u64; N]) {
    numbers.into_iter().for_each(|number| put_varint(out, number));
}

fn put_option(out: &mut Vec<u8>, number: Option<u64>) {
    put_varint(out, number.map_or(0, |number| number.saturating_add(1)));
}

fn take_option(reader: &mut Reader<'_>) -> Option<Option<u64>> {
    Some(reader.varint()?.checked_sub(1))
}

fn take_u32(reader: &mut Reader<'_>) -> Option<u32> {
    u32::try_from(reader.varint()?).ok()
}

fn take_bool(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.varint()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn put_position(out: &mut Vec<u8>, position: StreamId, entries_read: Option<u64>) {
    put_id(out, position);
    put_option(out, entries_read);
}

fn put_ids(out: &mut Vec<u8>, ids: &[StreamId]) {
    put_ids_after(out, ids, StreamId::MIN);
}

fn put_ids_after(out: &mut Vec<u8>, ids: &[StreamId], mut previous: StreamId) {
    put_varint(out, ids.len() as u64);
    for &id in ids {
        let ms = id.ms().wrapping_sub(previous.ms());
        put_varint(out, zigzag(ms as i64));
        let seq = id.seq().wrapping_sub(previous.seq());
        put_varint(out, if ms == 0 { zigzag(seq as i64) } else { id.seq() });
        previous = id;
    }
}

fn take_ids(reader: &mut Reader<'_>) -> Option<Vec<StreamId>> {
    take_ids_after(reader, StreamId::MIN)
}

fn take_ids_after(reader: &mut Reader<'_>, mut previous: StreamId) -> Option<Vec<StreamId>> {
    let count = reader.varint_usize()?;
    // An ID takes two bytes at least: no count is trusted beyond the bytes that are there.
    let mut ids = Vec::with_capacity(count.min(reader.len() / 2));
    for _ in 0..count {
        let (ms, seq) = (unzigzag(reader.varint()?) as u64, reader.varint()?);
        let seq = if ms == 0 { previous.seq().wrapping_add(unzigzag(seq) as u64) } else { seq };
        previous = StreamId::new(previous.ms().wrapping_add(ms), seq);
        ids.push(previous);
    }
    Some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Vec<StreamId> {
        vec![StreamId::new(300, 1), StreamId::new(300, 2), StreamId::new(302, 7), StreamId::new(1, 0)]
    }

    const IDS: [u8; 11] = [4, 0xd8, 4, 1, 0, 2, 4, 7, 0xd9, 4, 0];

    fn with_ids(head: &[u8]) -> Vec<u8> {
        [head, &IDS].concat()
    }

    fn samples() -> Vec<(GroupChange, Vec<u8>)> {
        let position = StreamId::new(2, 3);
        let group = NewGroup { group: 1, name: (*b"g").into(), position, entries_read: Some(4) };
        let consumer = NewConsumer { group: 1, consumer: 6, name: (*b"a").into(), time: 9 };
        let run = PendingRun { owner: Some(6), time: 9, count: 2, order: 5, ids: ids() };
        let released = PendingRun { owner: None, time: 0, count: 0, order: 1, ids: vec![StreamId::new(3, 4)] };
        let productions = vec![((*b"i").into(), StreamId::new(5, 6))];
        let producers = vec![((*b"p").into(), productions)];
        let memory = Memory { next_ordinal: 8, duration_s: 100, max_len: 99, added: 3, duplicates: 2, producers };
        let memory_bytes = vec![8, 100, 99, 3, 2, 1, b'p', 1, 1, b'i', 5, 6];
        let claim = GroupChange::Claim {
            group: 1,
            consumer: 6,
            time: 9,
            delivery_time: 7,
            active: true,
            counting: Counting::Set(5),
            ids: ids(),
        };
        let deliver = GroupChange::Deliver { group: 1, consumer: 6, time: 9, position, entries_read: None, ids: ids() };
        vec![
            (GroupChange::CreateGroup(group.clone()), vec![1, 1, b'g', 2, 3, 5]),
            (GroupChange::SetPosition { group: 1, position, entries_read: None }, vec![1, 2, 3, 0]),
            (GroupChange::DestroyGroup { group: 1 }, vec![1]),
            (GroupChange::CreateConsumer(consumer.clone()), vec![1, 6, 1, b'a', 9]),
            (GroupChange::DeleteConsumer { group: 1, consumer: 6 }, vec![1, 6]),
            (GroupChange::Seen { group: 1, consumer: 6, time: 9 }, vec![1, 6, 9]),
            (deliver, with_ids(&[1, 6, 9, 2, 3, 0])),
            (GroupChange::Acknowledge { group: 1, ids: ids() }, with_ids(&[1])),
            (claim, with_ids(&[1, 6, 9, 7, 1, 8])),
            (GroupChange::Release { group: 1, counting: Counting::Decrement, ids: ids() }, with_ids(&[1, 2])),
            (GroupChange::Unreference { ids: ids() }, with_ids(&[])),
            (
                GroupChange::Remember { producer: (*b"p").into(), key: (*b"i").into(), id: position },
                vec![1, b'p', 1, b'i', 2, 3],
            ),
            (GroupChange::Configure { duration_s: 100, max_len: 99 }, vec![100, 99]),
            (GroupChange::Producers(memory.clone()), memory_bytes.clone()),
            (GroupChange::Duplicates { count: 2 }, vec![2]),
            (GroupChange::Group(group), vec![1, 1, b'g', 2, 3, 5]),
            (GroupChange::Consumer { consumer: consumer.clone(), active_time: Some(8) }, vec![1, 6, 1, b'a', 9, 9]),
            (GroupChange::Consumer { consumer, active_time: None }, vec![1, 6, 1, b'a', 9, 0]),
            (
                GroupChange::Pending { group: 1, runs: vec![run, released] },
                [&with_ids(&[1, 7, 18, 2, 10])[..], &[0, 17, 0, 15, 1, 4, 4]].concat(),
            ),
            (GroupChange::Memory(memory), memory_bytes),
        ]
    }

    #[test]
    fn golden_bytes_of_every_change() {
        for (change, bytes) in samples() {
            let mut payload = Vec::new();
            change.put(&mut payload);
            assert_eq!(payload, bytes, "{change:?}");
            assert_eq!(GroupChange::decode(change.kind(), &bytes), Some(change));
        }
    }

    #[test]
    fn truncated_and_surplus_bytes_are_malformed_or_another_change() {
        for (change, mut bytes) in samples() {
            for len in 0..bytes.len() {
                let cut = GroupChange::decode(change.kind(), &bytes[..len]);
                assert_ne!(cut.as_ref(), Some(&change), "{change:?} cut to {len} bytes");
            }
            bytes.push(0);
            let longer = GroupChange::decode(change.kind(), &bytes);
            assert_eq!(longer, None, "{change:?} with a byte too many");
        }
        assert_eq!(GroupChange::decode(4, &[]), None);
        assert_eq!(GroupChange::decode(20, &[]), None);
    }

    #[test]
    fn every_counting_reads_back() {
        for counting in [Counting::Keep, Counting::Increment, Counting::Decrement, Counting::Set(0), Counting::Set(9)] {
            assert_eq!(Counting::of(counting.number()), counting);
        }
        assert_eq!(Counting::Increment.apply(i64::MAX as u64), i64::MAX as u64);
        assert_eq!(Counting::Decrement.apply(0), 0);
    }

    #[test]
    fn a_huge_count_allocates_nothing() {
        let payload = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(GroupChange::decode(UNREFERENCE, &payload), None);
    }
}
