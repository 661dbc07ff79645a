//! Consumer groups: what is decided without looking at entries.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::Ordering;

use crate::format::groups::{Counting, GroupChange, NewConsumer, NewGroup};
use crate::format::journal::Change;
use crate::group::Group;
use crate::group::aside::Aside;
use crate::group::pending::ConsumerNumber;
use crate::log::Tail;
use crate::stream::change::Planned;
use crate::stream::group_options::{Position, Release, ReleaseOptions};
use crate::stream::inner::{Inner, Journaling, Outcome};
use crate::{Error, Result, StreamId};

/// What an operation on a group comes to when there is no such group.
pub type InGroup<T> = Option<T>;

impl Inner {
    fn resolve_position(&self, position: Position) -> StreamId {
        match position {
            Position::Start => StreamId::MIN,
            Position::After(id) => id,
            Position::End => self.log.tail().last_id,
        }
    }

    pub fn create_group(&self, name: &[u8], position: Position, entries_read: Option<u64>) -> Result<Outcome<()>> {
        self.change_aside(|journaling| {
            if journaling.groups.get(name).is_some() {
                return Err(Error::GroupExists { stream: lossy(&self.name), group: lossy(name) });
            }
            let group = NewGroup {
                group: journaling.groups.next_number(),
                name: name.into(),
                position: self.resolve_position(position),
                entries_read: self.clamp(entries_read),
            };
            Ok(Planned::change(Change::Group(GroupChange::CreateGroup(group)), ()))
        })
    }

    /// LAG-5: no more can have been read than was ever added.
    fn clamp(&self, entries_read: Option<u64>) -> Option<u64> {
        entries_read.map(|read| read.min(self.log.tail().entries_added))
    }

    pub fn set_position(
        &self,
        name: &[u8],
        position: Position,
        entries_read: Option<u64>,
    ) -> Result<Outcome<InGroup<()>>> {
        let done = self.change_group(name, |group| {
            let (position, entries_read) = (self.resolve_position(position), self.clamp(entries_read));
            Ok(Planned::change(
                Change::Group(GroupChange::SetPosition { group: group.number, position, entries_read }),
                (),
            ))
        })?;
        self.env.waiters.keep_quiet();
        Ok(done)
    }

    /// Returns whether there was such a group.
    pub fn destroy_group(&self, name: &[u8]) -> Result<Outcome<bool>> {
        let done = self.change_group(name, |group| {
            Ok(Planned::change(Change::Group(GroupChange::DestroyGroup { group: group.number }), ()))
        })?;
        let done = done.map(|found| found.is_some());
        if matches!(done, Outcome::Done(true)) {
            self.env.waiters.group_gone(&self.name, name);
        }
        Ok(done)
    }

    /// Returns whether it is new.
    pub fn create_consumer(&self, group: &[u8], consumer: &[u8]) -> Result<Outcome<InGroup<bool>>> {
        self.change_group(group, |group| {
            let Entering { change, .. } = Entering::new(group, consumer, self.env.now_ms());
            Ok(change.map_or_else(|| Planned::nothing(false), |change| Planned::change(change, true)))
        })
    }

    /// Returns how many entries were pending for it.
    pub fn delete_consumer(&self, group: &[u8], consumer: &[u8]) -> Result<Outcome<InGroup<u64>>> {
        self.change_group(group, |group| {
            let Some(consumer) = group.consumer(consumer) else { return Ok(Planned::nothing(0)) };
            let count = group.pending.count_of(consumer.number) as u64;
            let change = GroupChange::DeleteConsumer { group: group.number, consumer: consumer.number };
            Ok(Planned::change(Change::Group(change), count))
        })
    }

    /// Returns how many were pending.
    pub fn acknowledge(&self, group: &[u8], ids: &[StreamId]) -> Result<Outcome<InGroup<u64>>> {
        let mut ids = Cow::Borrowed(ids);
        if !ids.is_sorted_by(|a, b| a < b) {
            let ids = ids.to_mut();
            ids.sort_unstable();
            ids.dedup();
        }
        self.change_group(group, |group| {
            let ids: Vec<_> = ids.iter().copied().filter(|&id| group.pending.get(id).is_some()).collect();
            let count = ids.len() as u64;
            let change = Change::Group(GroupChange::Acknowledge { group: group.number, ids });
            Ok(if count == 0 { Planned::nothing(0) } else { Planned::change(change, count) })
        })
    }

    /// Takes entries from their owners; returns how many of the IDs were pending or became so.
    pub fn release(&self, group: &[u8], ids: &[StreamId], options: &ReleaseOptions) -> Result<Outcome<InGroup<u64>>> {
        let counting = match (options.delivery_count, options.release) {
            (Some(count), _) => Counting::Set(count.min(i64::MAX as u64)),
            (None, Release::Silent) => Counting::Decrement,
            (None, Release::Failed) => Counting::Keep,
            (None, Release::Fatal) => Counting::Set(i64::MAX as u64),
        };
        let done = self.change_group(group, |group| {
            let mut fetcher = self.fetcher();
            let mut created = HashSet::new();
            let mut released = Vec::new();
            for &id in ids {
                let pending = group.pending.get(id).is_some() || created.contains(&id);
                if pending || (options.force && fetcher.exists(id)?) {
                    released.push(id);
                    created.insert(id);
                }
            }
            let count = released.len() as u64;
            let change = GroupChange::Release { group: group.number, counting, ids: released };
            Ok(if count == 0 { Planned::nothing(0) } else { Planned::change(Change::Group(change), count) })
        })?;
        if matches!(done, Outcome::Done(Some(1..))) {
            self.env.waiters.released(&self.name, group);
        }
        Ok(done)
    }

    /// Makes a change to a group; `None` if there is none of that name.
    pub fn change_group<T>(
        &self,
        name: &[u8],
        mut plan: impl FnMut(&mut Group) -> Result<Planned<T>>,
    ) -> Result<Outcome<InGroup<T>>> {
        self.change_aside(|journaling| {
            let Some(group) = journaling.groups.get_mut(name) else { return Ok(Planned::nothing(None)) };
            let Planned { change, durable, answer } = plan(group)?;
            Ok(Planned { change, durable, answer: Some(answer) })
        })
    }

    /// Looks at the groups.
    pub fn with_groups<T>(&self, look: impl FnOnce(&mut Journaling) -> T) -> T {
        look(&mut self.journal.lock())
    }

    pub fn has_group(&self, name: &[u8]) -> bool {
        self.journal.lock().groups.get(name).is_some()
    }

    /// The end of the log and what is not in it, of one moment, and durable.
    pub fn snapshot(&self) -> Result<(Tail, Aside)> {
        let (tail, aside) = {
            let append = self.append.lock();
            let journaling = self.journal.lock();
            let aside = Aside {
                state: journaling.state.clone(),
                groups: journaling.groups.clone(),
                producers: journaling.producers.clone(),
                ..Aside::default()
            };
            (append.appender.tail(), aside)
        };
        if self.env.is_durable_first() {
            self.sync()?;
        }
        Ok((tail, aside))
    }

    /// Takes the groups, and what is remembered of producers, of a stream that this one is a copy of. Nobody else has it
    /// yet.
    pub fn take_groups(&self, aside: Aside) -> Result<()> {
        if aside.groups.is_empty() && aside.producers.is_default() {
            return Ok(());
        }
        self.with_groups(|journaling| {
            journaling.groups = aside.groups;
            journaling.producers = aside.producers;
            journaling.producers.journaled = self.next_ordinal.load(Ordering::SeqCst);
        });
        self.replace_journal_in_turn()
    }
}

/// A consumer that is named by a read or a claim, and created if it is new.
pub struct Entering {
    pub number: ConsumerNumber,
    /// What creates it, if it is to be.
    pub change: Option<Change>,
}

impl Entering {
    pub fn new(group: &Group, name: &[u8], now: u64) -> Self {
        if let Some(consumer) = group.consumer(name) {
            return Self { number: consumer.number, change: None };
        }
        let number = group.next_consumer();
        let consumer = NewConsumer { group: group.number, consumer: number, name: name.into(), time: now };
        Self { number, change: Some(Change::Group(GroupChange::CreateConsumer(consumer))) }
    }

    /// What is planned when these changes follow. If none of them says so, the consumer was seen, too.
    pub fn plan<T>(self, group: u64, now: u64, mut changes: Vec<Change>, answer: T) -> Planned<T> {
        let sees =
            |change: &Change| matches!(change, Change::Group(GroupChange::Claim { .. } | GroupChange::Deliver { .. }));
        if self.change.is_none() && !changes.iter().any(sees) {
            let seen = Change::Group(GroupChange::Seen { group, consumer: self.number, time: now });
            if changes.is_empty() {
                return Planned::note(Some(seen), answer);
            }
            changes.push(seen);
        }
        if let Some(change) = self.change {
            changes.insert(0, change);
        }
        Planned::several(changes, answer)
    }
}

pub fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
