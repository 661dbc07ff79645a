//! Adding entries.

use std::sync::atomic::Ordering;

use crate::format::entries::Production;
use crate::format::groups::GroupChange;
use crate::format::journal::Change;
use crate::format::new_entries::NewEntries;
use crate::log::append::Appender;
use crate::stream::change::Planned;
use crate::stream::commit::Progress;
use crate::stream::inner::{Appending, Inner, Journaling, Outcome};
use crate::stream::options::{References, Trim, TrimTo};
use crate::stream::trim;
use crate::{Error, NewId, Result, StreamId};

/// What became of entries that were to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    New,
    /// The production is remembered: this is the entry that came of it.
    Duplicate(StreamId),
}

/// What to do before an add can go on.
enum Obstacle {
    Ceiling(StreamId),
    Segment,
    Retention,
}

impl Inner {
    /// Adds entries, whose IDs it fills in, and trims, as one change.
    pub fn add(&self, entries: &mut NewEntries, trim: Option<&Trim>) -> Result<Outcome<Added>> {
        let references = trim.filter(|trim| trim.references != References::Keep);
        if entries.production.is_some() || references.is_some() {
            return self.add_with_journal(entries, trim, references);
        }
        loop {
            let mut append = self.append.lock();
            // With the lock: whoever held it before may have failed.
            self.env.check_writable()?;
            let _guard = self.env.guard();
            if self.is_retired() {
                return Ok(Outcome::Gone);
            }
            if let Some(obstacle) = self.resolve(&append, entries)? {
                drop(append);
                self.overcome(obstacle, entries)?;
                continue;
            }
            let (progress, last_id) = self.append_resolved(&mut append, entries, trim, false)?;
            drop(append);
            self.settle(progress, last_id)?;
            return Ok(Outcome::Done(Added::New));
        }
    }

    /// As [`add`](Self::add), where groups have a say in what is trimmed, or earlier productions in what is added.
    fn add_with_journal(
        &self,
        entries: &mut NewEntries,
        trim: Option<&Trim>,
        references: Option<&Trim>,
    ) -> Result<Outcome<Added>> {
        // On a full disk the journal goes on as it is, as long as it has room.
        let mut may_begin = true;
        loop {
            let mut append = self.append.lock();
            self.env.check_writable()?;
            let _guard = self.env.guard();
            if self.is_retired() {
                return Ok(Outcome::Gone);
            }
            let mut journaling = self.journal.lock();
            if let Some(id) = self.find_production(&mut journaling, entries) {
                drop((append, journaling));
                return self.duplicate(entries, id);
            }
            // First: what is trimmed depends on the IDs.
            if let Some(obstacle) = self.resolve(&append, entries)? {
                drop((append, journaling));
                self.overcome(obstacle, entries)?;
                continue;
            }
            // Without groups there are no references, and a trim moves the floor alone.
            let by_reference = references.filter(|_| !journaling.groups.is_empty());
            let floor_moves = if by_reference.is_some() { None } else { trim };
            let removal = match by_reference {
                Some(trim) => self.plan_trim_of_references(&append, &journaling, trim, entries)?,
                None => None,
            };
            if removal.is_some() && !journaling.is_ready(may_begin) {
                drop((append, journaling));
                may_begin = self.make_ready()?;
                continue;
            }
            let change = removal.map(|(change, _)| change);
            let (progress, last_id) =
                self.append_with(&mut append, &mut journaling, entries, floor_moves, change.as_ref())?;
            drop((append, journaling));
            self.settle(progress, last_id)?;
            if change.is_some() {
                self.reclaim_if_possible();
            }
            return Ok(Outcome::Done(Added::New));
        }
    }

    /// Removes what stands in the way of an add, without locks.
    #[cold]
    fn overcome(&self, obstacle: Obstacle, entries: &NewEntries) -> Result<()> {
        match obstacle {
            Obstacle::Ceiling(id) => self.raise_ceiling(id),
            Obstacle::Segment => self.rotate(entries),
            Obstacle::Retention => self.retain_at_add(),
        }
    }

    /// The entry that came of the same production before.
    pub fn find_production(&self, journaling: &mut Journaling, entries: &NewEntries) -> Option<StreamId> {
        let made = entries.production.as_ref()?;
        journaling.producers.sweep(self.env.now_ms());
        // With its ID a server has logged what it had added, and had forgotten by then what may be remembered here.
        if entries.list.first().is_some_and(|entry| matches!(entry.wanted, NewId::Exact(_))) {
            return None;
        }
        journaling.producers.find(&made.producer, &made.key)
    }

    /// Notes a duplicate, and sees to it that what it repeats is durable.
    pub fn duplicate(&self, entries: &NewEntries, id: StreamId) -> Result<Outcome<Added>> {
        let counted = self.change_aside(|journaling| {
            // It may have been forgotten since.
            let found = self.find_production(journaling, entries);
            let change = Change::Group(GroupChange::Duplicates { count: 1 });
            Ok(Planned::note(found.map(|_| change), found.unwrap_or(id)))
        })?;
        if self.env.is_durable_first() {
            self.acknowledge_at(self.progress())?;
        }
        Ok(counted.map(Added::Duplicate))
    }

    /// Appends entries with what else belongs to them: the productions they come of, and a change of the journal.
    fn append_with(
        &self,
        append: &mut Appending,
        journaling: &mut Journaling,
        entries: &mut NewEntries,
        trim: Option<&Trim>,
        change: Option<&Change>,
    ) -> Result<(Progress, StreamId)> {
        if let Some(change) = change {
            // So that nothing is added if there is no room to trim.
            journaling.reserve(change)?;
        }
        let ordinal = append.appender.next_ordinal;
        let (mut progress, last_id) = self.append_resolved(append, entries, trim, change.is_some())?;
        if let (Some(made), Some(entry)) = (&entries.production, entries.list.first()) {
            let (producer, key) = (made.producer.clone(), made.key.clone());
            journaling.producers.produced(Production { ordinal, producer, key, id: entry.id });
        }
        if let Some(change) = change {
            let written = self.write(journaling, change);
            if let Err(error) = &written {
                // Only recovery can take back the entry.
                self.env.poison(error);
                self.env.check_writable()?;
            }
            progress.changes = written?;
            self.take_in(append, change);
            self.publish_unless_durable_first(append);
        }
        Ok((progress, last_id))
    }

    /// Sees to a ceiling at or above `id`, unless the stream has been retired: its directory may be another stream's then,
    /// or gone.
    fn raise_ceiling(&self, id: StreamId) -> Result<()> {
        let _turn = self.turn.lock();
        if !self.is_retired() {
            // Also if nothing comes of the add: a ceiling that is left standing is the last ID of the next life.
            self.touched.store(true, Ordering::Relaxed);
            let ceiling = self.env.poisoning(self.superblock.raise_ceiling(&self.place, id))?;
            self.append.lock().ceiling = ceiling;
        }
        Ok(())
    }

    /// Lowers the ceiling to the last ID, after that was set back.
    pub fn lower_ceiling(&self) -> Result<()> {
        let _turn = self.turn.lock();
        let lowered = {
            let mut append = self.append.lock();
            // Nobody gets an ID above it while it is being written: who wants one waits for the turn.
            append.ceiling = append.ceiling.min(append.appender.last_id);
            append.appender.last_id
        };
        if self.is_retired() || self.superblock.current().ceiling <= lowered {
            return Ok(());
        }
        self.env.poisoning(self.superblock.update(&self.place, |meta| meta.ceiling = lowered))
    }

    /// Fills in the IDs; says what has to be done first if they cannot be appended now.
    #[inline]
    fn resolve(&self, append: &Appending, entries: &mut NewEntries) -> Result<Option<Obstacle>> {
        let last = append.appender.last_id;
        if let [only] = &mut *entries.list
            && only.wanted == NewId::Auto
        {
            only.id = next_id(last, NewId::Auto, self.env.now_ms())?;
            let id = only.id;
            return Ok(self.obstacle(append, entries, Some(id)));
        }
        let (mut now_ms, mut last, mut highest_automatic) = (None, last, None);
        for entry in &mut entries.list {
            last = match entry.wanted {
                NewId::Auto => next_id(last, NewId::Auto, *now_ms.get_or_insert_with(|| self.env.now_ms()))?,
                wanted => next_id(last, wanted, 0)?,
            };
            entry.id = last;
            if entry.wanted == NewId::Auto {
                highest_automatic = Some(last);
            }
        }
        Ok(self.obstacle(append, entries, highest_automatic))
    }

    /// What stands in the way of these entries, of whose automatic IDs this is the highest.
    #[inline]
    fn obstacle(&self, append: &Appending, entries: &NewEntries, automatic: Option<StreamId>) -> Option<Obstacle> {
        match automatic {
            // What is acknowledged only when it is durable needs no ceiling: IDs that were lost were never seen.
            Some(id) if id > append.ceiling && !self.env.is_durable_first() => Some(Obstacle::Ceiling(id)),
            _ if append.appender.next_ordinal >= append.retaining.check_at => Some(Obstacle::Retention),
            _ => (!append.appender.has_room(entries)).then_some(Obstacle::Segment),
        }
    }

    /// Appends entries with their IDs, and publishes them unless that has to wait for a sync. If a change of the journal
    /// `follows`, the entries depend on it as it does on them, so that a crash leaves both or neither, and publishing waits
    /// for it. Returns how far that came.
    #[inline]
    fn append_resolved(
        &self,
        append: &mut Appending,
        entries: &mut NewEntries,
        trim: Option<&Trim>,
        follows: bool,
    ) -> Result<(Progress, StreamId)> {
        let floor = match (trim, &append.retaining.trim) {
            (None, None) => None,
            (trim, also) => self.trim_floor_of([trim, also.as_ref()], &append.appender, entries)?,
        };
        let changes = self.changes.load(Ordering::SeqCst);
        self.env.poisoning(append.appender.append(entries, floor, changes + u64::from(follows)))?;
        self.touched.store(true, Ordering::Relaxed);
        let tail = append.appender.tail();
        // Who sees the entry sees this: publishing comes after it, with release.
        self.next_ordinal.store(tail.next_ordinal, Ordering::Release);
        if !follows && !self.env.is_durable_first() {
            self.log.publish_in_turn(tail);
        }
        Ok((Progress { next_ordinal: tail.next_ordinal, changes }, tail.last_id))
    }

    /// The floor that trims lead to together; `None` if they remove nothing.
    fn trim_floor_of(
        &self,
        trims: [Option<&Trim>; 2],
        appender: &Appender,
        entries: &NewEntries,
    ) -> Result<Option<u64>> {
        let mut floor = None;
        for trim in trims.into_iter().flatten() {
            floor = floor.max(self.trim_floor(appender, trim, entries)?);
        }
        Ok(floor)
    }

    /// The floor that a trim leads to, with `entries` appended; `None` if it removes nothing.
    pub fn trim_floor(&self, appender: &Appender, trim: &Trim, entries: &NewEntries) -> Result<Option<u64>> {
        let (floor, end) = (appender.floor, appender.next_ordinal + entries.list.len() as u64);
        let live = |from, to| self.log.live(from, to);
        let exact = match trim.to {
            TrimTo::Len(len) => trim::exact_by_len(floor, end, len, live),
            TrimTo::Before(id) => {
                let found = self.first_from(&self.log.view_to(appender.tail()), id)?;
                let below = entries.list.iter().take_while(|entry| entry.id < id).count() as u64;
                if found == appender.next_ordinal { found + below } else { found }
            }
        };
        let floor = trim::floor(trim, floor, exact, end, live);
        Ok((floor > appender.floor).then_some(floor))
    }
}

/// The ID of an entry after `last`.
#[inline]
fn next_id(last: StreamId, wanted: NewId, now_ms: u64) -> Result<StreamId> {
    if wanted == NewId::Exact(StreamId::MIN) {
        return Err(Error::IdZero);
    }
    if last == StreamId::MAX {
        return Err(Error::IdsExhausted);
    }
    let id = match wanted {
        NewId::Auto if now_ms > last.ms() => StreamId::new(now_ms, 0),
        NewId::Auto => match last.next() {
            Some(next) => next,
            None => return Err(Error::IdsExhausted),
        },
        NewId::AutoSequence(ms) if ms == last.ms() => match last.seq().checked_add(1) {
            Some(seq) => StreamId::new(ms, seq),
            None => return Err(Error::IdTooSmall { id: last, last }),
        },
        NewId::AutoSequence(ms) => StreamId::new(ms, 0),
        NewId::Exact(id) => id,
    };
    if id > last { Ok(id) } else { Err(Error::IdTooSmall { id, last }) }
}
