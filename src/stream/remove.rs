//! Trimming and deleting, with or without regard to groups.

use std::collections::HashSet;
use std::ops::Range;

use crate::damage::IdRange;
use crate::format::groups::GroupChange;
use crate::format::journal::{Change, Run};
use crate::format::new_entries::NewEntries;
use crate::log::View;
use crate::log::append::Appender;
use crate::log::cursor::Cursor;
use crate::stream::change::Planned;
use crate::stream::inner::{Appending, Inner, Journaling, Outcome};
use crate::stream::options::{Deletion, References, Trim, TrimTo};
use crate::stream::trim;
use crate::{Error, Result, StreamId};

impl Inner {
    /// Trims; returns how many entries went.
    pub fn trim(&self, trim: &Trim) -> Result<Outcome<u64>> {
        let trimmed = self.change(|append, journaling| {
            let none = NewEntries::default();
            if trim.references != References::Keep && !journaling.groups.is_empty() {
                let removal = self.plan_trim_of_references(append, journaling, trim, &none)?;
                return Ok(removal.map_or(Planned::nothing(0), |(change, count)| Planned::change(change, count)));
            }
            let Some(floor) = self.trim_floor(&append.appender, trim, &none)? else { return Ok(Planned::nothing(0)) };
            let removed = self.log.live(append.appender.floor, floor);
            Ok(Planned::change(Change::Trim { floor }, removed))
        })?;
        self.reclaim_after(trimmed)
    }

    /// What a trim removes that looks at references, with `entries` appended, and how many entries that are.
    pub fn plan_trim_of_references(
        &self,
        append: &Appending,
        journaling: &Journaling,
        trim: &Trim,
        entries: &NewEntries,
    ) -> Result<Option<(Change, u64)>> {
        match trim.references {
            References::Acknowledged => self.plan_trim_of_acknowledged(append, journaling, trim, entries),
            _ => self.plan_trim_with_references(append, journaling, trim, entries),
        }
    }

    /// Everything below a floor goes, and is pending nowhere any more.
    fn plan_trim_with_references(
        &self,
        append: &Appending,
        journaling: &Journaling,
        trim: &Trim,
        entries: &NewEntries,
    ) -> Result<Option<(Change, u64)>> {
        let appender = &append.appender;
        let Some(floor) = self.trim_floor(appender, trim, entries)? else { return Ok(None) };
        let mut changes = vec![Change::Trim { floor }];
        if journaling.groups.has_pending() {
            let mut ids = Vec::new();
            for met in self.walk(appender) {
                match met? {
                    Met::Entry { ordinal, .. } if ordinal >= floor => break,
                    Met::Entry { id, .. } if journaling.groups.is_pending(id) => ids.push(id),
                    Met::Entry { .. } => {}
                    // Which of the lost ones goes and which stays is not known; if all of them go, no ID of theirs stays.
                    Met::Lost { ordinals, .. }
                        if ordinals.start >= floor || self.log.live(floor, ordinals.end.max(floor)) > 0 =>
                    {
                        break;
                    }
                    Met::Lost { ids: lost, .. } => {
                        let through = lost.through.unwrap_or(appender.last_id);
                        ids.extend(journaling.groups.pending_between(lost.after, through));
                    }
                }
            }
            // A new one, too, if it has an ID that was given before the last ID was set back.
            let new = (appender.next_ordinal..floor).zip(&entries.list).map(|(_, entry)| entry.id);
            ids.extend(new.filter(|&id| journaling.groups.is_pending(id)));
            if !ids.is_empty() {
                changes.push(Change::Group(GroupChange::Unreference { ids }));
            }
        }
        let end = appender.next_ordinal + entries.list.len() as u64;
        let removed = self.log.live(appender.floor, floor.min(end));
        Ok(Planned::several(changes, ()).change.map(|change| (change, removed)))
    }

    /// Entries that some group has yet to read or acknowledge stay.
    fn plan_trim_of_acknowledged(
        &self,
        append: &Appending,
        journaling: &Journaling,
        trim: &Trim,
        entries: &NewEntries,
    ) -> Result<Option<(Change, u64)>> {
        let appender = &append.appender;
        let len = self.log.len(&appender.tail()) + entries.list.len() as u64;
        let (excess, below) = match trim.to {
            TrimTo::Len(max) => (len.saturating_sub(max), StreamId::MAX),
            TrimTo::Before(id) => (u64::MAX, id),
        };
        let end = appender.next_ordinal + entries.list.len() as u64;
        let mut quota = trim::Quota::new(trim, end, |from, to| self.log.live(from, to));
        let mut found = Vec::new();
        let new = (appender.next_ordinal..).zip(entries.list.iter().map(|entry| entry.id));
        let new = new.map(|(ordinal, id)| Ok(Met::Entry { ordinal, id }));
        let groups = &journaling.groups;
        'trimming: for met in self.walk(appender).chain(new) {
            // Lost entries go by the last ID that one of them may have. What is lost and pending is as good as deleted.
            let (ordinals, last, is_referenced, is_lost) = match met? {
                Met::Entry { ordinal, id } => (ordinal..ordinal + 1, id, groups.is_referenced(id, None), false),
                Met::Lost { ordinals, ids } => {
                    let last = ids.through.unwrap_or(appender.last_id);
                    (ordinals, last, groups.has_yet_to_reach(last), true)
                }
            };
            if is_lost && is_referenced {
                // They may be very many, and all of them stay.
                continue;
            }
            for ordinal in ordinals.filter(|&ordinal| !is_lost || self.log.live(ordinal, ordinal + 1) > 0) {
                let count = found.len() as u64;
                if count == excess || last >= below || !quota.allows(ordinal, count) {
                    break 'trimming;
                }
                if !is_referenced {
                    found.push((ordinal, last));
                }
            }
        }
        let count = found.len() as u64;
        let change = Change::Delete { max_deleted_id: StreamId::MIN, ordinals: runs(&found) };
        Ok((count > 0).then_some((change, count)))
    }

    /// Deletes entries; returns how many there were.
    pub fn delete(&self, ids: &[StreamId]) -> Result<Outcome<u64>> {
        let deleted = self.change(|append, _| {
            let mut removal = self.removal(append);
            for &id in ids {
                removal.delete(id)?;
            }
            let count = removal.found.len() as u64;
            Ok(Planned::several(removal.into_changes(), count))
        })?;
        self.reclaim_after(deleted)
    }

    /// Deletes entries with regard to groups; says for each what became of it.
    pub fn delete_with(&self, ids: &[StreamId], references: References) -> Result<Outcome<Vec<Deletion>>> {
        let deleted = self.change(|append, journaling| {
            let groups = &journaling.groups;
            let mut removal = self.removal(append);
            let mut each = Vec::with_capacity(ids.len());
            for &id in ids {
                // An entry that never was, too: see DEL-3.
                if references == References::Acknowledged && !groups.is_empty() && groups.is_referenced(id, None) {
                    each.push(Deletion::Referenced);
                    continue;
                }
                if references == References::Delete && groups.is_pending(id) {
                    removal.unreferenced.push(id);
                }
                each.push(if removal.delete(id)? { Deletion::Deleted } else { Deletion::NotFound });
            }
            Ok(Planned::several(removal.into_changes(), each))
        })?;
        self.reclaim_after(deleted)
    }

    /// Acknowledges entries and deletes them with regard to other groups; says for each what became of it. `None` if
    /// there is no such group.
    pub fn acknowledge_and_delete(
        &self,
        group: &[u8],
        ids: &[StreamId],
        references: References,
    ) -> Result<Outcome<Option<Vec<Deletion>>>> {
        let deleted = self.change(|append, journaling| {
            let groups = &journaling.groups;
            let Some(group) = groups.get(group) else { return Ok(Planned::nothing(None)) };
            let mut removal = self.removal(append);
            let mut acknowledged: Vec<StreamId> = Vec::new();
            let mut seen = HashSet::new();
            let mut each = Vec::with_capacity(ids.len());
            for &id in ids {
                if group.pending.get(id).is_none() || !seen.insert(id) {
                    each.push(Deletion::NotFound);
                    continue;
                }
                acknowledged.push(id);
                if references == References::Acknowledged && groups.is_referenced(id, Some(group.number)) {
                    each.push(Deletion::Referenced);
                    continue;
                }
                if references == References::Delete {
                    removal.unreferenced.push(id);
                }
                removal.delete(id)?;
                each.push(Deletion::Deleted);
            }
            let mut changes = removal.into_changes();
            if !acknowledged.is_empty() {
                let ids = acknowledged;
                changes.push(Change::Group(GroupChange::Acknowledge { group: group.number, ids }));
            }
            Ok(Planned::several(changes, Some(each)))
        })?;
        self.reclaim_after(deleted)
    }

    /// The living entries in order. Where a stream goes on with its damage, what is lost is in its place: its ordinals are those
    /// that are missing between its neighbours, some of which may have been removed.
    pub(super) fn walk(&self, appender: &Appender) -> impl Iterator<Item = Result<Met>> {
        let (floor, end) = (appender.floor, appender.next_ordinal);
        let mut cursor = Cursor::new(self.log.view_to(appender.tail()), StreamId::MIN, StreamId::MAX);
        let passes_damage = self.passes_damage();
        let (mut next, mut ahead, mut lost) = (floor, None, None::<IdRange>);
        std::iter::from_fn(move || {
            if let Some(entry) = ahead.take() {
                return Some(Ok(entry));
            }
            loop {
                let (ordinal, entry) = match cursor.next_position() {
                    Some(Err(Error::Corrupt { ids: Some(ids), .. })) if passes_damage => {
                        lost = Some(IdRange { after: lost.map_or(ids.after, |lost| lost.after), ..ids });
                        continue;
                    }
                    Some(Err(error)) => return Some(Err(error)),
                    Some(Ok(at)) => (at.ordinal, Some(Met::Entry { ordinal: at.ordinal, id: at.id })),
                    None => (end, None),
                };
                let ordinals = std::mem::replace(&mut next, ordinal.saturating_add(1))..ordinal;
                return match lost.take().filter(|_| !ordinals.is_empty()) {
                    Some(ids) => {
                        ahead = entry;
                        Some(Ok(Met::Lost { ordinals, ids }))
                    }
                    None => entry.map(Ok),
                };
            }
        })
    }

    fn removal(&self, append: &Appending) -> Removal<'_> {
        let view = self.log.view_to(append.appender.tail());
        Removal { inner: self, view, found: Vec::new(), ordinals: HashSet::new(), unreferenced: Vec::new() }
    }

    fn reclaim_after<T>(&self, done: Outcome<T>) -> Result<Outcome<T>> {
        if matches!(done, Outcome::Done(_)) {
            self.reclaim_if_possible();
        }
        Ok(done)
    }
}

/// What is met on the way through a log.
pub(super) enum Met {
    Entry { ordinal: u64, id: StreamId },
    Lost { ordinals: Range<u64>, ids: IdRange },
}

/// Entries that are to be deleted, and IDs that no group is to refer to any more.
struct Removal<'a> {
    inner: &'a Inner,
    view: View,
    found: Vec<(u64, StreamId)>,
    ordinals: HashSet<u64>,
    unreferenced: Vec<StreamId>,
}

impl Removal<'_> {
    /// Returns whether there is such an entry, and it was not named before.
    fn delete(&mut self, id: StreamId) -> Result<bool> {
        let Some(ordinal) = self.inner.find(&self.view, id)? else { return Ok(false) };
        let is_first = self.ordinals.insert(ordinal);
        if is_first {
            self.found.push((ordinal, id));
        }
        Ok(is_first)
    }

    fn into_changes(mut self) -> Vec<Change> {
        self.found.sort_unstable();
        let mut changes = Vec::new();
        if let Some(max_deleted_id) = self.found.iter().map(|&(_, id)| id).max() {
            changes.push(Change::Delete { max_deleted_id, ordinals: runs(&self.found) });
        }
        if !self.unreferenced.is_empty() {
            changes.push(Change::Group(GroupChange::Unreference { ids: self.unreferenced }));
        }
        changes
    }
}

/// The runs of ordinals that ascend.
fn runs(found: &[(u64, StreamId)]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for &(ordinal, _) in found {
        match runs.last_mut() {
            Some(run) if run.last + 1 == ordinal => run.last = ordinal,
            _ => runs.push(Run { first: ordinal, last: ordinal }),
        }
    }
    runs
}
