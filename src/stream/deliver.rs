//! Giving entries to consumers: new ones, idle ones, and those they have.

use std::time::Duration;

use crate::format::groups::{Counting, GroupChange};
use crate::format::journal::Change;
use crate::group::Group;
use crate::group::pending::{ConsumerNumber, Pending};
use crate::log::View;
use crate::log::cursor::Cursor;
use crate::stream::change::{Made, Planned};
use crate::stream::fetch::Fetcher;
use crate::stream::group_options::{GroupEntry, GroupReadFrom};
use crate::stream::groups::{Entering, InGroup};
use crate::stream::inner::{Inner, Journaling, Outcome};
use crate::{Entry, Error, Result, StreamId};

/// How many bytes an entry counts for, or one that is gone.
pub type Measure = fn(StreamId, Option<&Entry>) -> u64;

/// How much a read may return, of one stream and in all.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// How many entries of the stream.
    pub count: u64,
    /// How many entries of all streams together, and how many bytes.
    pub max_count: u64,
    pub max_size: u64,
    /// What an entry takes of the bytes; there may be no more of it than its ID.
    pub measure: Measure,
    /// Nothing was taken of any stream yet: the first entry is returned whatever its size.
    pub is_first: bool,
}

impl Budget {
    /// Whether there is room for nothing of any stream.
    pub fn is_full(&self) -> bool {
        self.max_count == 0
    }

    fn is_used_up(&self) -> bool {
        self.count == 0 || self.max_count == 0
    }

    /// Takes an entry, if there is room for it.
    fn admit(&mut self, id: StreamId, entry: Option<&Entry>) -> bool {
        if self.is_used_up() {
            return false;
        }
        let size = (self.measure)(id, entry);
        match self.max_size.checked_sub(size) {
            Some(left) => self.max_size = left,
            None if self.is_first => self.max_size = 0,
            None => {
                // What comes after it does not overtake it.
                self.max_count = 0;
                return false;
            }
        }
        self.is_first = false;
        self.count -= 1;
        self.max_count -= 1;
        true
    }
}

/// A read of one stream by a consumer.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub group: &'a [u8],
    pub consumer: &'a [u8],
    pub from: GroupReadFrom,
    pub no_ack: bool,
}

/// What a read came to.
#[derive(Debug)]
pub struct Delivered {
    pub entries: Vec<GroupEntry>,
    pub budget: Budget,
    /// There may be more that the budget has no room for.
    pub more: bool,
    /// Nothing was read, as this was in the way; the next read goes on behind it.
    pub damage: Option<Error>,
}

impl Inner {
    /// Looks up what is pending. Where a stream goes on with its damage, what is lost is as if it had been deleted.
    pub fn fetcher(&self) -> Fetcher {
        Fetcher::new(self.view(), self.passes_damage())
    }

    /// Reads for a consumer, which is created if it is new; `None` if there is no such group. What is read may be handed
    /// over when the change is durable.
    pub fn deliver(&self, request: &Request<'_>, budget: Budget) -> Result<Outcome<Made<InGroup<Delivered>>>> {
        self.make_aside(|journaling| {
            let now = self.env.now_ms();
            let Some(group) = journaling.groups.get_mut(request.group) else { return Ok(Planned::nothing(None)) };
            let consumer = Entering::new(group, request.consumer, now);
            let delivered = Delivered { entries: Vec::new(), budget, more: false, damage: None };
            let mut reading = Reading { inner: self, now, consumer: consumer.number, delivered, changes: Vec::new() };
            let number = group.number;
            match request.from {
                GroupReadFrom::History(after) => reading.take_history(group, after)?,
                GroupReadFrom::New => reading.take_new(journaling, request)?,
                GroupReadFrom::NewOrIdle(min_idle) => {
                    reading.take_idle(group, min_idle)?;
                    reading.take_new(journaling, request)?;
                }
            }
            let Reading { delivered, changes, .. } = reading;
            Ok(consumer.plan(number, now, changes, Some(delivered)))
        })
    }

    /// How long it takes until a pending entry of which there is a message has been idle for so long, in milliseconds;
    /// all of that if none is pending. `None` if there is no such group.
    pub fn idle_in(&self, group: &[u8], min_idle: u64) -> Result<Option<u64>> {
        let now = self.env.now_ms();
        let mut journaling = self.journal.lock();
        let Some(group) = journaling.groups.get_mut(group) else { return Ok(None) };
        let mut fetcher = self.fetcher();
        for entry in group.pending.by_time() {
            if fetcher.exists(entry.id)? {
                return Ok(Some(min_idle.saturating_sub(idle_ms(&entry, now))));
            }
        }
        Ok(Some(min_idle))
    }
}

/// For how long an entry has been pending with its owner; of a released one, the time since 1970.
fn idle_ms(entry: &Pending, now: u64) -> u64 {
    now.saturating_sub(entry.delivery_time)
}

/// Whether an entry has been idle for long enough. A released one always has.
pub fn is_idle(entry: &Pending, now: u64, min_idle: u64) -> bool {
    entry.owner.is_none() || idle_ms(entry, now) >= min_idle
}

pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A read that is being put together.
struct Reading<'a> {
    inner: &'a Inner,
    now: u64,
    consumer: ConsumerNumber,
    delivered: Delivered,
    changes: Vec<Change>,
}

impl Reading<'_> {
    fn take_history(&mut self, group: &Group, after: StreamId) -> Result<()> {
        let Some(from) = after.next() else { return Ok(()) };
        let mut fetcher = self.inner.fetcher();
        let mut ids = Vec::new();
        for pending in group.pending.iter_owner_from(self.consumer, from) {
            if self.delivered.budget.is_used_up() {
                self.delivered.more = true;
                break;
            }
            let entry = fetcher.get(pending.id)?;
            if !self.delivered.budget.admit(pending.id, entry.as_ref()) {
                self.delivered.more = true;
                break;
            }
            if entry.is_some() {
                ids.push(pending.id);
            }
            self.delivered.entries.push(GroupEntry { id: pending.id, entry, idle: Duration::ZERO, delivery_count: 0 });
        }
        self.claim(group, ids, false);
        Ok(())
    }

    /// Takes pending entries over that were delivered long ago.
    fn take_idle(&mut self, group: &mut Group, min_idle: Duration) -> Result<()> {
        let min_idle = millis(min_idle);
        let mut fetcher = self.inner.fetcher();
        let mut ids = Vec::new();
        for pending in group.pending.by_time() {
            if self.delivered.budget.is_used_up() || !is_idle(&pending, self.now, min_idle) {
                break;
            }
            // One whose message is gone stays as it is (CLM-4).
            let Some(entry) = fetcher.get(pending.id)? else { continue };
            if !self.delivered.budget.admit(pending.id, Some(&entry)) {
                break;
            }
            ids.push(pending.id);
            self.delivered.entries.push(GroupEntry {
                id: pending.id,
                entry: Some(entry),
                idle: Duration::from_millis(idle_ms(&pending, self.now)),
                delivery_count: pending.delivery_count,
            });
        }
        self.delivered.more = self.delivered.budget.is_used_up();
        self.claim(group, ids, true);
        Ok(())
    }

    fn claim(&mut self, group: &Group, ids: Vec<StreamId>, active: bool) {
        if ids.is_empty() {
            return;
        }
        self.changes.push(Change::Group(GroupChange::Claim {
            group: group.number,
            consumer: self.consumer,
            time: self.now,
            delivery_time: self.now,
            active,
            counting: Counting::Increment,
            ids,
        }));
    }

    fn take_new(&mut self, journaling: &mut Journaling, request: &Request<'_>) -> Result<()> {
        let Some(group) = journaling.groups.get(request.group) else { return Ok(()) };
        let (number, position, entries_read) = (group.number, group.position, group.entries_read);
        let Some(from) = position.next() else { return Ok(()) };
        let view = self.inner.view();
        let tail = view.tail;
        if from > tail.last_id {
            return Ok(());
        }
        let (mut ids, error) = self.take_from(journaling.cursors.go_on(number, view, from));
        journaling.cursors.keep_small(number, error.is_none());
        // What is before the damage is given out first.
        if let Some(error) = error
            && self.delivered.entries.is_empty()
        {
            return self.stop_at(error, number, tail.last_id);
        }
        let Some(&last) = ids.last() else {
            self.delivered.more |= self.delivered.budget.is_used_up();
            return Ok(());
        };
        self.delivered.more |= last < tail.last_id;
        // Of the moment at which it was read: what has come since was not there to be read.
        let facts = self.inner.facts_at(tail, journaling)?;
        let entries_read = facts.advance(position, entries_read, &ids);
        if request.no_ack {
            ids.clear();
        }
        self.changes.push(Change::Group(GroupChange::Deliver {
            group: number,
            consumer: self.consumer,
            time: self.now,
            position: last,
            entries_read,
            ids,
        }));
        Ok(())
    }

    /// Takes entries as long as there is room for them; returns their IDs, and the error that it ended with, if it did.
    fn take_from(&mut self, cursor: &mut Cursor) -> (Vec<StreamId>, Option<Error>) {
        let budget = &self.delivered.budget;
        cursor.want(budget.count.min(budget.max_count));
        let mut ids = Vec::new();
        while !self.delivered.budget.is_used_up() {
            let entry = match cursor.next_entry() {
                None => break,
                Some(Err(error)) => return (ids, Some(error)),
                Some(Ok(entry)) => entry,
            };
            if !self.delivered.budget.admit(entry.id(), Some(&entry)) {
                break;
            }
            ids.push(entry.id());
            self.delivered.entries.push(GroupEntry {
                id: entry.id(),
                entry: Some(entry),
                idle: Duration::ZERO,
                delivery_count: 0,
            });
        }
        (ids, None)
    }

    /// Ends the read at an error. A group goes on behind damage, if the stream does, once somebody was told of it: by a read
    /// that gives out nothing else. How many entries are lost there is not known.
    fn stop_at(&mut self, error: Error, group: u64, last_id: StreamId) -> Result<()> {
        if let Error::Corrupt { ids: Some(lost), .. } = &error
            && self.inner.passes_damage()
            && self.delivered.budget.is_first
        {
            let position = lost.through.unwrap_or(last_id);
            self.changes.push(Change::Group(GroupChange::SetPosition { group, position, entries_read: None }));
            self.delivered.damage = Some(error);
            return Ok(());
        }
        Err(error)
    }
}

/// Where groups go on reading, so that a read of one entry costs little more than a part of a read of many. Forgetting any
/// of it costs a search.
#[derive(Debug, Default)]
pub struct Cursors {
    /// By the numbers of groups.
    kept: Vec<(u64, Cursor)>,
}

impl Cursors {
    /// The most that are kept, and the bytes that each may hold.
    const MAX: usize = 8;
    const BYTES_MAX: usize = 32 << 10;

    /// The cursor of a group, at this ID. It stays where it is from one read to the next: it is large.
    fn go_on(&mut self, group: u64, view: View, from: StreamId) -> &mut Cursor {
        let Some(at) = self.kept.iter().position(|(number, _)| *number == group) else {
            if self.kept.len() == Self::MAX {
                self.kept.remove(0);
            }
            return &mut self.kept.push_mut((group, Cursor::new(view, from, StreamId::MAX))).1;
        };
        let cursor = &mut self.kept[at].1;
        if let Err(view) = cursor.resume(view, from) {
            *cursor = Cursor::new(view, from, StreamId::MAX);
        }
        cursor
    }

    /// Keeps the cursor of a group only if it `may` be kept and does not hold much.
    fn keep_small(&mut self, group: u64, may: bool) {
        self.kept.retain(|(number, cursor)| *number != group || may && cursor.memory() <= Self::BYTES_MAX);
    }

    /// Lets go of segments that are to be removed: as long as one is open, its room on the disk is not free.
    pub fn clear(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use crate::{AddOptions, Entry, GroupOptions, NewId, Options, Position, SetId, Store, StreamId, Trim};

    /// An empty segment is replaced by one with the same number when the last ID is set back.
    #[test]
    fn a_group_does_not_go_on_in_a_segment_that_was_replaced() {
        let stream = Store::in_memory().stream("s").unwrap();
        let id = |ms| StreamId::new(ms, 0);
        (1..=7).for_each(|ms| _ = stream.add_with(AddOptions::new().id(id(ms)), [("n", "1")]).unwrap());
        stream.trim(Trim::to_len(0)).unwrap();
        stream.group("g").create(Position::Start).unwrap();
        let read = || stream.group("g").consumer("c").read().new_entries().unwrap();
        stream.set_id(SetId::new(id(5))).unwrap();
        assert_eq!(read(), []);
        stream.set_id(SetId::new(id(3))).unwrap();
        stream.add_with(AddOptions::new().id(id(4)), [("n", "2")]).unwrap();
        assert_eq!(read().iter().map(Entry::id).collect::<Vec<_>>(), [id(4)]);
    }

    /// What a group goes on with is a matter of speed: it gets what is there, whatever happened meanwhile.
    #[test]
    fn a_group_that_goes_on_reading_gets_every_living_entry() {
        let mut state = 7u64;
        let mut random = |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        let (rounds, steps) = if cfg!(miri) { (1, 25) } else { (30, 300) };
        for round in 0..rounds {
            let store = Options::new().segment_bytes_max(8 << 10).in_memory();
            let stream = store.stream("s").unwrap();
            let groups = ["g", "h"].map(|name| stream.group(name));
            groups
                .iter()
                .for_each(|group| group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap());
            let mut positions = [StreamId::MIN; 2];
            let mut last = 0;
            for _ in 0..steps {
                match random(10) {
                    0..=2 => {
                        last += 1;
                        let value = "x".repeat(random(90) as usize);
                        stream.add_with(AddOptions::new().id(StreamId::new(last, 0)), [("v", value)]).unwrap();
                    }
                    3 => {
                        let count = random(80) + 1;
                        let batch = (1..=count).map(|n| (NewId::Exact(StreamId::new(last + n, 0)), [("v", "batch")]));
                        stream.add_batch(batch).unwrap();
                        last += count;
                    }
                    4 => {
                        stream.delete((0..random(40)).map(|_| StreamId::new(random(last + 1), 0))).unwrap();
                    }
                    5 if random(4) == 0 => {
                        stream.trim(Trim::to_len(random(150))).unwrap();
                    }
                    _ => {
                        let which = random(2) as usize;
                        let most = if random(3) == 0 { 60 } else { 3 };
                        let count = 1 + random(most);
                        let expected: Vec<Entry> = stream
                            .range((std::ops::Bound::Excluded(positions[which]), std::ops::Bound::Unbounded))
                            .take(count as usize)
                            .collect::<crate::Result<_>>()
                            .unwrap();
                        let got = groups[which].consumer("c").read().count(count).new_entries().unwrap();
                        assert_eq!(got, expected, "round {round}");
                        positions[which] = got.last().map_or(positions[which], Entry::id);
                    }
                }
            }
        }
    }
}
