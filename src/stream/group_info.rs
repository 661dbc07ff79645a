//! Groups and consumers as they are told to users.

use std::time::Duration;

use crate::group::lag::Facts;
use crate::group::pending::Pending;
use crate::group::{Consumer, Group};
use crate::stream::group_options::{ConsumerInfo, GroupDetail, GroupInfo, PendingEntry};
use crate::stream::inner::Inner;
use crate::{Result, StreamId};

pub(super) fn describe(group: &Group, entry: &Pending, now: u64) -> PendingEntry {
    PendingEntry {
        id: entry.id,
        consumer: group.owner_name(entry).map(<[u8]>::to_vec),
        delivery_time_ms: entry.delivery_time,
        idle: Duration::from_millis(now.saturating_sub(entry.delivery_time)),
        delivery_count: entry.delivery_count,
    }
}

pub(super) fn consumer_info(group: &Group, consumer: &Consumer, now: u64) -> ConsumerInfo {
    let since = |time: u64| Duration::from_millis(now.saturating_sub(time));
    ConsumerInfo {
        name: consumer.name.to_vec(),
        pending: group.pending.count_of(consumer.number) as u64,
        seen_time_ms: consumer.seen_time,
        idle: since(consumer.seen_time),
        active_time_ms: consumer.active_time,
        inactive: consumer.active_time.map(since),
    }
}

fn group_info(group: &Group, facts: &Facts) -> GroupInfo {
    GroupInfo {
        name: group.name.to_vec(),
        consumers: group.consumer_count() as u64,
        pending: group.pending.len() as u64,
        released: group.pending.released() as u64,
        last_delivered_id: group.position,
        entries_read: group.entries_read,
        lag: facts.lag(group.position, group.entries_read),
    }
}

impl Inner {
    pub fn group_infos(&self) -> Result<Vec<GroupInfo>> {
        self.with_groups(|journaling| {
            if journaling.groups.is_empty() {
                return Ok(Vec::new());
            }
            let facts = self.facts(journaling)?;
            Ok(journaling.groups.iter().map(|group| group_info(group, &facts)).collect())
        })
    }

    /// All groups, with at most `count` pending entries in each list.
    pub fn group_details(&self, count: usize) -> Result<Vec<GroupDetail>> {
        let now = self.env.now_ms();
        self.with_groups(|journaling| {
            if journaling.groups.is_empty() {
                return Ok(Vec::new());
            }
            let facts = self.facts(journaling)?;
            let detail = |group: &Group| {
                let pending = group.pending.iter_from(StreamId::MIN).take(count);
                let owned = |consumer: &Consumer| {
                    let entries = group.pending.iter_owner_from(consumer.number, StreamId::MIN).take(count);
                    let entries = entries.map(|entry| describe(group, &entry, now)).collect();
                    (consumer_info(group, consumer, now), entries)
                };
                GroupDetail {
                    info: group_info(group, &facts),
                    pending: pending.map(|entry| describe(group, &entry, now)).collect(),
                    consumers: group.consumers().map(owned).collect(),
                }
            };
            Ok(journaling.groups.iter().map(detail).collect())
        })
    }
}
