//! What consumer groups are, as the reference has it: sorted maps, and loops over all that is pending.

use std::collections::BTreeMap;

use streamlog::{Deletion, References, Release, StreamId};

use crate::model::{Entry, Fields, Stream};

/// A delivery count does not go beyond this.
const COUNT_MAX: u64 = i64::MAX as u64;

pub type Name = Vec<u8>;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    pub position: StreamId,
    pub entries_read: Option<u64>,
    pub consumers: BTreeMap<Name, Consumer>,
    pub pending: BTreeMap<StreamId, Pending>,
    /// How many times were assigned so far.
    turns: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Consumer {
    pub seen: u64,
    pub active: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    pub owner: Option<Name>,
    pub time: u64,
    pub count: u64,
    turn: u64,
}

/// What can be seen of a group at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub name: Name,
    pub position: StreamId,
    pub entries_read: Option<u64>,
    pub lag: Option<i64>,
    pub released: u64,
    /// ID, owner, delivery time and count.
    pub pending: Vec<(StreamId, Option<Name>, u64, u64)>,
    /// Name, when it was seen and active, and what is pending for it.
    pub consumers: Vec<(Name, u64, Option<u64>, Vec<StreamId>)>,
}

/// What is given to a consumer: ID, the entry if there is one, for how long it was idle, and its count before.
pub type Given = (StreamId, Option<Entry>, u64, u64);

#[derive(Clone, Copy, Debug)]
pub enum From {
    New,
    NewOrIdle(u64),
    History(StreamId),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeliveredAt {
    Now,
    Ago(u64),
    Time(u64),
}

#[derive(Clone, Debug)]
pub struct Claiming {
    pub min_idle: u64,
    pub ids: Vec<StreamId>,
    pub delivered: DeliveredAt,
    pub count: Option<u64>,
    pub force: bool,
    pub keep_count: bool,
    pub last_id: Option<StreamId>,
}

/// How much a read may still give.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    pub count: u64,
    pub max_count: u64,
    pub max_size: u64,
    pub is_first: bool,
}

impl Budget {
    fn admits(&mut self, fields: Option<&Fields>) -> bool {
        if self.count == 0 || self.max_count == 0 {
            return false;
        }
        let size = fields.map_or(0, |fields| fields.iter().map(|(n, v)| (n.len() + v.len()) as u64).sum());
        if size > self.max_size && !self.is_first {
            self.max_count = 0;
            return false;
        }
        self.max_size = self.max_size.saturating_sub(size);
        (self.count, self.max_count, self.is_first) = (self.count - 1, self.max_count - 1, false);
        true
    }
}

impl Group {
    pub fn new(position: StreamId, entries_read: Option<u64>) -> Self {
        Self { position, entries_read, ..Self::default() }
    }

    fn enter(&mut self, consumer: &[u8], now: u64) {
        let new = Consumer { seen: now, active: None };
        self.consumers.entry(consumer.to_vec()).or_insert(new).seen = now;
    }

    fn activate(&mut self, consumer: &[u8], now: u64) {
        if let Some(consumer) = self.consumers.get_mut(consumer) {
            consumer.active = Some(now);
        }
    }

    fn assign(&mut self, id: StreamId, owner: Option<&[u8]>, time: u64, count: u64) {
        self.turns += 1;
        let entry = Pending { owner: owner.map(<[u8]>::to_vec), time, count: count.min(COUNT_MAX), turn: self.turns };
        self.pending.insert(id, entry);
    }

    /// By delivery time, those that were released first; ties in the order of assignment (PEL-3, NCK-2).
    fn in_time_order(&self) -> Vec<(StreamId, Pending)> {
        let mut all: Vec<_> = self.pending.iter().map(|(id, entry)| (*id, entry.clone())).collect();
        all.sort_by_key(|(_, entry)| match &entry.owner {
            None => (false, 0, entry.turn),
            Some(_) => (true, entry.time, entry.turn),
        });
        all
    }

    pub fn acknowledge(&mut self, ids: &[StreamId]) -> u64 {
        ids.iter().filter(|id| self.pending.remove(id).is_some()).count() as u64
    }
}

fn is_idle(entry: &Pending, now: u64, min_idle: u64) -> bool {
    entry.owner.is_none() || now.saturating_sub(entry.time) >= min_idle
}

impl Stream {
    fn first_id(&self) -> StreamId {
        self.entries.first_key_value().map_or(StreamId::MIN, |(id, _)| *id)
    }

    fn tombstone_ahead(&self, from: StreamId) -> bool {
        !self.entries.is_empty() && self.max_deleted_id != StreamId::MIN && from <= self.max_deleted_id
    }

    /// How many entries had ever been added up to this one; the lines of the reference.
    fn estimate(&self, id: StreamId) -> Option<u64> {
        let (len, max_deleted, first) = (self.entries.len() as u64, self.max_deleted_id, self.first_id());
        match () {
            () if self.entries_added == 0 => Some(0),
            () if len == 0 && id <= self.last_id => Some(self.entries_added),
            () if id != StreamId::MIN && id < max_deleted => None,
            () if id == self.last_id => Some(self.entries_added),
            () if id > self.last_id => None,
            () if max_deleted != StreamId::MIN && max_deleted >= first => None,
            () if id < first => Some(self.entries_added - len),
            () if id == first => Some(self.entries_added - len + 1),
            () => None,
        }
    }

    pub fn lag(&self, group: &Group) -> Option<i64> {
        let first = self.first_id();
        let lag = |read: u64| self.entries_added as i64 - read as i64;
        if self.entries_added == 0 || self.entries.is_empty() {
            return Some(0);
        }
        if group.position < first && self.max_deleted_id < first {
            return Some(self.entries.len() as i64);
        }
        match group.entries_read {
            Some(read) if !self.tombstone_ahead(group.position) => Some(lag(read)),
            _ => self.estimate(group.position).map(lag),
        }
    }

    /// What can be seen of all groups.
    pub fn seen(&self) -> Vec<Seen> {
        let owned = |group: &Group, name: &Name| {
            let own = group.pending.iter().filter(|(_, entry)| entry.owner.as_ref() == Some(name));
            own.map(|(id, _)| *id).collect()
        };
        let seen = |(name, group): (&Name, &Group)| Seen {
            name: name.clone(),
            position: group.position,
            entries_read: group.entries_read,
            lag: self.lag(group),
            released: group.pending.values().filter(|entry| entry.owner.is_none()).count() as u64,
            pending: group.pending.iter().map(|(id, e)| (*id, e.owner.clone(), e.time, e.count)).collect(),
            consumers: group.consumers.iter().map(|(n, c)| (n.clone(), c.seen, c.active, owned(group, n))).collect(),
        };
        self.groups.iter().map(seen).collect()
    }

    /// Some group has yet to read it, or has not acknowledged it; whether it exists or not.
    fn is_referenced(&self, id: StreamId) -> bool {
        self.groups.values().any(|group| group.position < id || group.pending.contains_key(&id))
    }

    fn unreference(&mut self, id: StreamId) {
        self.groups.values_mut().for_each(|group| drop(group.pending.remove(&id)));
    }

    /// Removes the oldest of these entries that may go, as many as `count`; returns how many did.
    pub fn remove_unreferenced(&mut self, candidates: &[StreamId], references: References, count: usize) -> u64 {
        let mut removed = 0;
        for id in candidates {
            if removed == count {
                break;
            }
            if references == References::Acknowledged && self.is_referenced(*id) {
                continue;
            }
            if references == References::Delete {
                self.unreference(*id);
            }
            self.entries.remove(id);
            removed += 1;
        }
        removed as u64
    }

    pub fn delete_with(&mut self, ids: &[StreamId], references: References) -> Vec<Deletion> {
        let mut each = Vec::new();
        for id in ids {
            if references == References::Acknowledged && self.is_referenced(*id) {
                each.push(Deletion::Referenced);
                continue;
            }
            if references == References::Delete {
                self.unreference(*id);
            }
            each.push(if self.delete(&[*id]) == 1 { Deletion::Deleted } else { Deletion::NotFound });
        }
        each
    }

    pub fn acknowledge_and_delete(
        &mut self,
        group: &[u8],
        ids: &[StreamId],
        references: References,
    ) -> Option<Vec<Deletion>> {
        self.groups.get(group)?;
        let mut each = Vec::new();
        for id in ids {
            if self.groups.get_mut(group)?.pending.remove(id).is_none() {
                each.push(Deletion::NotFound);
                continue;
            }
            if references == References::Acknowledged && self.is_referenced(*id) {
                each.push(Deletion::Referenced);
                continue;
            }
            if references == References::Delete {
                self.unreference(*id);
            }
            self.delete(&[*id]);
            each.push(Deletion::Deleted);
        }
        Some(each)
    }

    /// Reads for a consumer. The group is there.
    /// Whether anything above `after` is pending for a consumer.
    pub fn has_history(&self, group: &[u8], consumer: &[u8], after: StreamId) -> bool {
        let mut above = self.groups[group].pending.iter().filter(|(id, _)| **id > after);
        above.any(|(_, entry)| entry.owner.as_deref() == Some(consumer))
    }

    pub fn read_group(
        &mut self,
        group: &[u8],
        consumer: &[u8],
        from: From,
        no_ack: bool,
        now: u64,
        budget: &mut Budget,
    ) -> Vec<Given> {
        let mut group_now = self.groups[group].clone();
        group_now.enter(consumer, now);
        let mut given = Vec::new();
        if let From::History(after) = from {
            for (id, entry) in self.groups[group].pending.iter().filter(|(id, _)| **id > after) {
                if entry.owner.as_deref() != Some(consumer) {
                    continue;
                }
                let fields = self.entries.get(id).map(|(_, fields)| fields.clone());
                if !budget.admits(fields.as_ref()) {
                    break;
                }
                if fields.is_some() {
                    group_now.assign(*id, Some(consumer), now, entry.count + 1);
                }
                given.push((*id, fields.map(|fields| (*id, fields)), 0, 0));
            }
        }
        if let From::NewOrIdle(min_idle) = from {
            for (id, entry) in self.groups[group].in_time_order() {
                if !is_idle(&entry, now, min_idle) {
                    break;
                }
                let Some((_, fields)) = self.entries.get(&id) else { continue };
                if !budget.admits(Some(fields)) {
                    break;
                }
                group_now.assign(id, Some(consumer), now, entry.count + 1);
                group_now.activate(consumer, now);
                given.push((id, Some((id, fields.clone())), now.saturating_sub(entry.time), entry.count));
            }
        }
        if !matches!(from, From::History(_)) {
            let position = group_now.position;
            for (id, (_, fields)) in self.entries.iter().filter(|(id, _)| **id > position) {
                if !budget.admits(Some(fields)) {
                    break;
                }
                // LAG-1, before the position moves.
                let certain = group_now.position >= self.first_id() && !self.tombstone_ahead(group_now.position);
                match group_now.entries_read {
                    Some(read) if certain => group_now.entries_read = Some(read + 1),
                    _ if self.entries_added > 0 => group_now.entries_read = self.estimate(*id),
                    _ => {}
                }
                group_now.position = *id;
                if !no_ack {
                    group_now.assign(*id, Some(consumer), now, 1);
                    group_now.activate(consumer, now);
                }
                given.push((*id, Some((*id, fields.clone())), 0, 0));
            }
        }
        self.groups.insert(group.to_vec(), group_now);
        given
    }

    pub fn claim(&mut self, group: &[u8], consumer: &[u8], claiming: &Claiming, now: u64) -> Option<Vec<Entry>> {
        let mut group_now = self.groups.get(group)?.clone();
        group_now.enter(consumer, now);
        if let Some(id) = claiming.last_id {
            group_now.position = group_now.position.max(id);
        }
        let time = match claiming.delivered {
            DeliveredAt::Now => Some(now),
            DeliveredAt::Ago(idle) => now.checked_sub(idle),
            DeliveredAt::Time(time) => Some(time),
        };
        let time = time.filter(|time| *time <= now).unwrap_or(now);
        let mut claimed = Vec::new();
        for id in &claiming.ids {
            let Some((_, fields)) = self.entries.get(id) else {
                group_now.pending.remove(id);
                continue;
            };
            let count = match group_now.pending.get(id) {
                None if claiming.force => 1,
                Some(entry) if is_idle(entry, now, claiming.min_idle) => entry.count,
                _ => continue,
            };
            let count = match claiming.count {
                Some(count) => count,
                None if claiming.keep_count => count,
                None => count + 1,
            };
            group_now.assign(*id, Some(consumer), time, count);
            group_now.activate(consumer, now);
            claimed.push((*id, fields.clone()));
        }
        self.groups.insert(group.to_vec(), group_now);
        Some(claimed)
    }

    /// Returns where to go on, what was claimed, and what was gone.
    pub fn auto_claim(
        &mut self,
        group: &[u8],
        consumer: &[u8],
        (min_idle, start, count, ids_only): (u64, StreamId, u64, bool),
        now: u64,
    ) -> Option<(Option<StreamId>, Vec<Entry>, Vec<StreamId>)> {
        let mut group_now = self.groups.get(group)?.clone();
        group_now.enter(consumer, now);
        let (mut left, mut attempts, mut next) = (count, count * 10, None);
        let (mut claimed, mut gone) = (Vec::new(), Vec::new());
        for (id, entry) in self.groups[group].pending.range(start..) {
            if left == 0 || attempts == 0 {
                next = Some(*id);
                break;
            }
            attempts -= 1;
            let Some((_, fields)) = self.entries.get(id) else {
                group_now.pending.remove(id);
                gone.push(*id);
                left -= 1;
                continue;
            };
            if is_idle(entry, now, min_idle) {
                group_now.assign(*id, Some(consumer), now, entry.count + u64::from(!ids_only));
                group_now.activate(consumer, now);
                claimed.push((*id, fields.clone()));
                left -= 1;
            }
        }
        self.groups.insert(group.to_vec(), group_now);
        Some((next, claimed, gone))
    }

    pub fn release(
        &mut self,
        group: &[u8],
        ids: &[StreamId],
        how: Release,
        count: Option<u64>,
        force: bool,
    ) -> Option<u64> {
        let mut group_now = self.groups.get(group)?.clone();
        let mut released = 0;
        for id in ids {
            let before = match group_now.pending.get(id) {
                Some(entry) => entry.count,
                None if force && self.entries.contains_key(id) => 0,
                None => continue,
            };
            let count = count.unwrap_or(match how {
                Release::Silent => before.saturating_sub(1),
                Release::Failed => before,
                _ => COUNT_MAX,
            });
            group_now.assign(*id, None, 0, count);
            released += 1;
        }
        self.groups.insert(group.to_vec(), group_now);
        Some(released)
    }
}

/// What names a production.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    Named(Vec<u8>),
    /// The fields in order (IDM-11).
    Content(Fields),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    pub key: Key,
    pub id: StreamId,
    /// When that was remembered.
    at: u64,
}

/// What a stream remembers of its producers.
#[derive(Clone, Debug, PartialEq)]
pub struct Producers {
    pub duration_s: u64,
    pub max_len: u64,
    pub added: u64,
    pub duplicates: u64,
    by_id: BTreeMap<Name, Vec<Made>>,
    /// When something was forgotten for its age last.
    forgot_at: Option<u64>,
    /// Something was remembered of an older entry than what was before.
    mixed: bool,
}

/// How long a production may be remembered too long, in milliseconds: they are looked through about once a second.
const LATE_MS: u64 = 1000;

impl Default for Producers {
    fn default() -> Self {
        Self {
            duration_s: 100,
            max_len: 100,
            added: 0,
            duplicates: 0,
            by_id: BTreeMap::new(),
            forgot_at: None,
            mixed: false,
        }
    }
}

impl Producers {
    /// Duration, greatest number, producers, productions, how many there ever were, and duplicates.
    pub fn seen(&self) -> [u64; 6] {
        let count = self.by_id.values().map(Vec::len).sum::<usize>() as u64;
        [self.duration_s, self.max_len, self.by_id.len() as u64, count, self.added, self.duplicates]
    }

    pub fn find(&self, producer: &[u8], key: &Key) -> Option<StreamId> {
        self.by_id.get(producer)?.iter().find(|made| made.key == *key).map(|made| made.id)
    }

    pub fn remember(&mut self, producer: &[u8], key: Key, id: StreamId, now: u64) {
        self.mixed |= self.by_id.values().flatten().any(|made| made.id > id);
        let list = self.by_id.entry(producer.to_vec()).or_default();
        list.push(Made { key, id, at: now });
        let surplus = list.len().saturating_sub(self.max_len as usize);
        list.drain(..surplus);
        self.added += 1;
    }

    pub fn configure(&mut self, duration_s: Option<u64>, max_len: Option<u64>) {
        let new = (duration_s.unwrap_or(self.duration_s), max_len.unwrap_or(self.max_len));
        if new != (self.duration_s, self.max_len) {
            (self.duration_s, self.max_len) = new;
            self.by_id.clear();
            (self.forgot_at, self.mixed) = (None, false);
        }
    }

    fn is_due(&self, made: &Made, now: u64) -> bool {
        now.checked_sub(self.duration_s * 1000).is_some_and(|due| made.id.ms() <= due)
    }

    /// Without what is due.
    pub fn swept(&self, now: u64) -> Self {
        let mut swept = self.clone();
        swept.by_id.values_mut().for_each(|list| list.retain(|made| !self.is_due(made, now)));
        swept.by_id.retain(|_, list| !list.is_empty());
        if swept.by_id != self.by_id {
            swept.forgot_at = self.forgot_at.max(Some(now));
        }
        swept
    }

    /// Whether something should have been forgotten long ago.
    pub fn is_overdue(&self, now: u64) -> bool {
        let due_at = |made: &Made| (made.id.ms() + self.duration_s * 1000).max(made.at);
        self.by_id.values().flatten().any(|made| now >= due_at(made).saturating_add(LATE_MS))
    }

    /// Whether something that was forgotten may be there again after the stream is opened: that it was forgotten is
    /// not written down. It is due then, unless the clock was set back; and it may be in the way of what was remembered
    /// of older entries.
    pub fn may_come_back(&self, now: u64) -> bool {
        self.forgot_at.is_some_and(|at| now < at || self.mixed)
    }

    /// A copy is made of what is remembered now.
    pub fn copied(&self) -> Self {
        Self { forgot_at: None, ..self.clone() }
    }
}
