//! What of a stream is not its log: consumer groups, what it remembers of its producers, and the journal of both.
//!
//! Everything here is in memory and a fold over the changes of the journal: [`Groups::apply`] and [`Producers::apply`] are
//! what a change does, both when it is made and when it is replayed. Neither knows the log; what depends on it is decided
//! before a change is made.
//!
//! [`Producers::apply`]: producers::Producers::apply

pub mod aside;
pub mod journal;
pub mod lag;
pub mod pending;
pub mod producers;

use std::collections::BTreeMap;

use crate::format::groups::{Counting, GroupChange, NewConsumer, NewGroup, PENDING_PART_MAX, PendingRun};
use crate::group::pending::{ConsumerNumber, Pending, PendingList};
use crate::{Error, Result, StreamId};

/// The longest name that a group or a consumer can have, and the longest ID of a producer or a production, in bytes.
///
/// # Examples
///
/// ```
/// use streamlog::{Error, KEY_LEN_MAX, Position, Store};
/// # let store = Store::in_memory();
/// # let orders = store.create("orders")?;
///
/// let created = orders.group(vec![b'x'; KEY_LEN_MAX + 1]).create(Position::Start);
/// assert!(matches!(created, Err(Error::NameTooLong { max: KEY_LEN_MAX, .. })));
/// # Ok::<(), streamlog::Error>(())
/// ```
pub const KEY_LEN_MAX: usize = 1 << 20;

/// Refuses what is too long for the name of a group or consumer, or the ID of a producer or production.
pub fn check_key(key: &[u8]) -> Result<()> {
    match key.len() {
        len if len > KEY_LEN_MAX => Err(Error::NameTooLong { len, max: KEY_LEN_MAX }),
        _ => Ok(()),
    }
}

/// The consumer groups of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Groups {
    numbers: BTreeMap<Box<[u8]>, u64>,
    by_number: BTreeMap<u64, Group>,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What changes call it by.
    pub number: u64,
    pub name: Box<[u8]>,
    /// The last delivered ID.
    pub position: StreamId,
    /// How many entries of the stream were read up to there; `None` if that is not known.
    pub entries_read: Option<u64>,
    pub pending: PendingList,
    numbers: BTreeMap<Box<[u8]>, ConsumerNumber>,
    consumers: BTreeMap<ConsumerNumber, Consumer>,
}

/// A consumer of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumer {
    pub number: ConsumerNumber,
    pub name: Box<[u8]>,
    /// When it was last named by a read or claim, in Unix milliseconds.
    pub seen_time: u64,
    /// When it was last given an entry, if ever.
    pub active_time: Option<u64>,
}

impl Groups {
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    pub fn get(&self, name: &[u8]) -> Option<&Group> {
        self.by_number.get(self.numbers.get(name)?)
    }

    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.by_number.get_mut(self.numbers.get(name)?)
    }

    /// In ascending order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.numbers.values().filter_map(|number| self.by_number.get(number))
    }

    /// The number that the next group gets.
    pub fn next_number(&self) -> u64 {
        self.by_number.last_key_value().map_or(0, |(&number, _)| number + 1)
    }

    /// Whether any entry is pending anywhere.
    pub fn has_pending(&self) -> bool {
        self.by_number.values().any(|group| !group.pending.is_empty())
    }

    /// Whether an entry is pending in some group.
    pub fn is_pending(&self, id: StreamId) -> bool {
        self.by_number.values().any(|group| group.pending.get(id).is_some())
    }

    /// Whether some group has yet to read or acknowledge an entry; `but` leaves one out of those where it may be pending.
    pub fn is_referenced(&self, id: StreamId, but: Option<u64>) -> bool {
        let refers = |group: &Group| but != Some(group.number) && group.pending.get(id).is_some();
        self.by_number.values().any(|group| group.position < id || refers(group))
    }

    /// Whether some group has yet to come to some entry of a range that ends with this ID, or to be told that it is lost.
    pub fn has_yet_to_reach(&self, last: StreamId) -> bool {
        self.by_number.values().any(|group| group.position < last)
    }

    /// The IDs above one and up to another that are pending in some group, in ascending order.
    pub fn pending_between(&self, after: StreamId, through: StreamId) -> Vec<StreamId> {
        let mut ids: Vec<StreamId> = Vec::new();
        if let Some(from) = after.next() {
            for group in self.by_number.values() {
                let pending = group.pending.iter_from(from).map(|pending| pending.id);
                ids.extend(pending.take_while(|&id| id <= through));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Takes in a change. One that names what is not there does nothing.
    pub fn apply(&mut self, change: &GroupChange) {
        match change {
            GroupChange::CreateGroup(group) | GroupChange::Group(group) => self.create(group),
            GroupChange::DestroyGroup { group } => {
                if let Some(group) = self.by_number.remove(group) {
                    self.numbers.remove(&group.name);
                }
            }
            GroupChange::Unreference { ids } => {
                for group in self.by_number.values_mut() {
                    group.pending.remove_all(ids);
                }
            }
            GroupChange::Remember { .. }
            | GroupChange::Configure { .. }
            | GroupChange::Producers(_)
            | GroupChange::Memory(_)
            | GroupChange::Duplicates { .. } => {}
            change => {
                let number = group_of(change);
                if let Some(group) = number.and_then(|number| self.by_number.get_mut(&number)) {
                    group.apply(change);
                }
            }
        }
    }

    /// Lets all groups begin at the oldest entry again, with nothing pending.
    pub fn begin_again(&mut self) {
        for group in self.by_number.values_mut() {
            group.position = StreamId::MIN;
            group.entries_read = None;
            group.pending = PendingList::default();
        }
    }

    fn create(&mut self, group: &NewGroup) {
        self.numbers.insert(group.name.clone(), group.group);
        let group = Group {
            number: group.group,
            name: group.name.clone(),
            position: group.position,
            entries_read: group.entries_read,
            pending: PendingList::default(),
            numbers: BTreeMap::new(),
            consumers: BTreeMap::new(),
        };
        self.by_number.insert(group.number, group);
    }

    /// Gives the changes that make these groups out of none.
    pub fn checkpoint(&self, mut put: impl FnMut(GroupChange)) {
        for group in self.by_number.values() {
            group.checkpoint(&mut put);
        }
    }
}

/// The number of the group that a change concerns alone.
fn group_of(change: &GroupChange) -> Option<u64> {
    match change {
        GroupChange::SetPosition { group, .. }
        | GroupChange::DeleteConsumer { group, .. }
        | GroupChange::Seen { group, .. }
        | GroupChange::Deliver { group, .. }
        | GroupChange::Acknowledge { group, .. }
        | GroupChange::Claim { group, .. }
        | GroupChange::Release { group, .. }
        | GroupChange::Pending { group, .. } => Some(*group),
        GroupChange::CreateConsumer(consumer) | GroupChange::Consumer { consumer, .. } => Some(consumer.group),
        _ => None,
    }
}

impl Group {
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.get(self.numbers.get(name)?)
    }

    /// In ascending order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.numbers.values().filter_map(|number| self.consumers.get(number))
    }

    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// The name of an entry's owner; `None` if it was released.
    pub fn owner_name(&self, entry: &Pending) -> Option<&[u8]> {
        self.consumers.get(&entry.owner?).map(|consumer| &*consumer.name)
    }

    /// The number that the next consumer gets.
    pub fn next_consumer(&self) -> ConsumerNumber {
        let after_last = self.consumers.last_key_value().map_or(Some(0), |(&number, _)| number.checked_add(1));
        // After four thousand million of them, the first one that is free.
        after_last.unwrap_or_else(|| {
            let free = (0..).find(|number| !self.consumers.contains_key(number));
            free.unwrap_or(ConsumerNumber::MAX)
        })
    }

    fn apply(&mut self, change: &GroupChange) {
        match change {
            GroupChange::SetPosition { position, entries_read, .. } => {
                self.position = *position;
                self.entries_read = *entries_read;
            }
            GroupChange::CreateConsumer(consumer) => self.create_consumer(consumer, None),
            GroupChange::Consumer { consumer, active_time } => self.create_consumer(consumer, *active_time),
            GroupChange::DeleteConsumer { consumer, .. } => {
                self.pending.remove_owner(*consumer);
                if let Some(consumer) = self.consumers.remove(consumer) {
                    self.numbers.remove(&consumer.name);
                }
            }
            GroupChange::Seen { consumer, time, .. } => self.see(*consumer, *time, false),
            GroupChange::Deliver { consumer, time, position, entries_read, ids, .. } => {
                self.see(*consumer, *time, !ids.is_empty());
                self.position = *position;
                self.entries_read = *entries_read;
                self.pending.deliver(*consumer, *time, ids.iter().copied());
            }
            GroupChange::Acknowledge { ids, .. } => {
                self.pending.remove_all(ids);
            }
            GroupChange::Claim { consumer, time, delivery_time, active, counting, ids, .. } => {
                self.see(*consumer, *time, *active);
                for &id in ids {
                    self.reassign(id, Some(*consumer), *delivery_time, *counting, 1);
                }
            }
            GroupChange::Release { counting, ids, .. } => {
                for &id in ids {
                    self.reassign(id, None, 0, *counting, 0);
                }
            }
            GroupChange::Pending { runs, .. } => self.load(runs),
            _ => {}
        }
    }

    fn create_consumer(&mut self, consumer: &NewConsumer, active_time: Option<u64>) {
        let NewConsumer { consumer: number, name, time, .. } = consumer;
        self.numbers.insert(name.clone(), *number);
        let consumer = Consumer { number: *number, name: name.clone(), seen_time: *time, active_time };
        self.consumers.insert(*number, consumer);
    }

    fn see(&mut self, consumer: ConsumerNumber, time: u64, active: bool) {
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            consumer.seen_time = time;
            if active {
                consumer.active_time = Some(time);
            }
        }
    }

    /// Gives a pending entry another owner, or makes it pending with the count `first_count`, before the counting.
    fn reassign(
        &mut self,
        id: StreamId,
        owner: Option<ConsumerNumber>,
        delivery_time: u64,
        counting: Counting,
        first_count: u64,
    ) {
        let count = self.pending.get(id).map_or(first_count, |entry| entry.delivery_count);
        self.pending.assign(Pending { id, owner, delivery_time, delivery_count: counting.apply(count) });
    }

    fn load(&mut self, runs: &[PendingRun]) {
        for run in runs {
            for (&id, order) in run.ids.iter().zip(run.order..) {
                let entry = Pending { id, owner: run.owner, delivery_time: run.time, delivery_count: run.count };
                self.pending.load(entry, order);
            }
        }
    }

    fn checkpoint(&self, put: &mut impl FnMut(GroupChange)) {
        put(GroupChange::Group(NewGroup {
            group: self.number,
            name: self.name.clone(),
            position: self.position,
            entries_read: self.entries_read,
        }));
        for consumer in self.consumers.values() {
            let Consumer { number, name, seen_time, active_time } = consumer.clone();
            let consumer = NewConsumer { group: self.number, consumer: number, name, time: seen_time };
            put(GroupChange::Consumer { consumer, active_time });
        }
        let (mut runs, mut len) = (Vec::<PendingRun>::new(), 0);
        for (entry, order) in self.pending.iter_ordered() {
            if len == PENDING_PART_MAX {
                put(GroupChange::Pending { group: self.number, runs: std::mem::take(&mut runs) });
                len = 0;
            }
            len += 1;
            match runs.last_mut() {
                Some(run) if goes_on(run, &entry, order) => run.ids.push(entry.id),
                _ => runs.push(PendingRun {
                    owner: entry.owner,
                    time: entry.delivery_time,
                    count: entry.delivery_count,
                    order,
                    ids: vec![entry.id],
                }),
            }
        }
        if !runs.is_empty() {
            put(GroupChange::Pending { group: self.number, runs });
        }
    }
}

fn goes_on(run: &PendingRun, entry: &Pending, order: u64) -> bool {
    let same = (run.owner, run.time, run.count) == (entry.owner, entry.delivery_time, entry.delivery_count);
    same && run.order + run.ids.len() as u64 == order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    fn new_group(group: u64, name: &str) -> GroupChange {
        let name = name.as_bytes().into();
        GroupChange::CreateGroup(NewGroup { group, name, position: StreamId::MIN, entries_read: Some(0) })
    }

    fn new_consumer(group: u64, consumer: u32, name: &str) -> GroupChange {
        GroupChange::CreateConsumer(NewConsumer { group, consumer, name: name.as_bytes().into(), time: 5 })
    }

    fn deliver(consumer: u32, time: u64, ids: impl IntoIterator<Item = u64>) -> GroupChange {
        let ids: Vec<_> = ids.into_iter().map(id).collect();
        let position = ids.last().copied().unwrap_or_default();
        GroupChange::Deliver { group: 0, consumer, time, position, entries_read: Some(9), ids }
    }

    fn some_groups() -> Groups {
        let mut groups = Groups::default();
        let claim = GroupChange::Claim {
            group: 0,
            consumer: 1,
            time: 30,
            delivery_time: 3,
            active: true,
            counting: Counting::Increment,
            ids: vec![id(3), id(2), id(9)],
        };
        let release = GroupChange::Release { group: 0, counting: Counting::Decrement, ids: vec![id(5), id(1)] };
        for change in [
            new_group(0, "g"),
            new_group(1, "a"),
            new_consumer(0, 0, "alice"),
            new_consumer(0, 1, "bob"),
            deliver(0, 10, 1..=4),
            deliver(1, 10, 5..=6),
            claim,
            release,
        ] {
            groups.apply(&change);
        }
        groups
    }

    #[test]
    fn changes_do_what_they_say() {
        let mut groups = some_groups();
        assert_eq!(groups.iter().map(|group| &*group.name).collect::<Vec<_>>(), [b"a", b"g"]);
        let group = groups.get_mut(b"g").unwrap();
        assert_eq!((group.position, group.entries_read, group.pending.len()), (id(6), Some(9), 7));
        assert_eq!(group.consumer(b"bob").unwrap().active_time, Some(30));
        let by_time: Vec<_> = group.pending.by_time().map(|e| (e.id.ms(), e.owner, e.delivery_count)).collect();
        let released = [(5, None, 0), (1, None, 0)];
        let claimed = [(3, Some(1), 2), (2, Some(1), 2), (9, Some(1), 2)];
        assert_eq!(by_time, [&released[..], &claimed[..], &[(4, Some(0), 1), (6, Some(1), 1)]].concat());
        groups.apply(&GroupChange::DeleteConsumer { group: 0, consumer: 1 });
        groups.apply(&GroupChange::Unreference { ids: vec![id(4), id(7)] });
        let group = groups.get(b"g").unwrap();
        assert_eq!(group.pending.iter_from(id(0)).map(|entry| entry.id.ms()).collect::<Vec<_>>(), [1, 5]);
        assert_eq!(group.next_consumer(), 1);
        groups.apply(&GroupChange::DestroyGroup { group: 0 });
        assert!(groups.get(b"g").is_none());
        assert_eq!((groups.len(), groups.next_number()), (1, 2));
    }

    #[test]
    fn what_is_referenced() {
        let groups = some_groups();
        assert!(groups.is_referenced(id(7), None), "not read yet");
        let mut groups = groups;
        groups.apply(&GroupChange::DestroyGroup { group: 1 });
        assert!(groups.is_referenced(id(6), None), "pending");
        assert!(!groups.is_referenced(id(6), Some(0)));
        assert!(groups.is_referenced(id(7), Some(0)), "not read yet");
        groups.apply(&GroupChange::Acknowledge { group: 0, ids: vec![id(6)] });
        assert!(!groups.is_referenced(id(6), None));
    }

    #[test]
    fn a_checkpoint_gives_the_same_groups() {
        let groups = some_groups();
        let mut loaded = Groups::default();
        groups.checkpoint(|change| {
            let mut payload = Vec::new();
            change.put(&mut payload);
            loaded.apply(&GroupChange::decode(change.kind(), &payload).unwrap());
        });
        assert_eq!(loaded, groups);
        let order = |groups: &mut Groups| {
            groups.get_mut(b"g").unwrap().pending.by_time().map(|entry| entry.id).collect::<Vec<_>>()
        };
        assert_eq!(order(&mut loaded), order(&mut groups.clone()));
    }

    #[test]
    fn changes_to_what_is_not_there_do_nothing() {
        let mut groups = some_groups();
        groups.apply(&GroupChange::DestroyGroup { group: 7 });
        groups.apply(&GroupChange::Acknowledge { group: 7, ids: vec![id(1)] });
        groups.apply(&GroupChange::DeleteConsumer { group: 0, consumer: 7 });
        groups.apply(&GroupChange::Seen { group: 0, consumer: 7, time: 1 });
        assert_eq!(groups, some_groups());
    }
}
