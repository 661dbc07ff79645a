//! A stream that is open: its log, its journal, and the order in which they change.
//!
//! # Locks
//!
//! In this order: `append` (the end of the log), `journal` (everything else that is written); then, each by itself, the
//! leaf locks inside [`Log`] and [`Committer`]. None of them is held across a sync, a wait or code of the user. Two
//! *turns*, which are taken before any lock and only by those who cannot go on without what their holder is doing, are:
//! `turn` (a new segment or journal, removal of segments) and the one of the [`Superblock`].
//!
//! # What is published when
//!
//! At [`Always`](crate::Durability::Always) the tail is published after the sync that made it durable, otherwise at
//! once. Deletions are visible at once at every level; their caller returns when they are durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::env::{Env, new_identity};
use crate::format::file_name::File as FileName;
use crate::format::header::{HEADER_LEN, Header};
use crate::format::journal::{Change, Run, State};
use crate::format::meta::Mark;
use crate::format::new_entries::NewEntries;
use crate::group::journal::{Aside, Birth, Journal};
use crate::io::File;
use crate::io::place::Place;
use crate::log::append::{Appender, begin_segment, capacity_for};
use crate::log::cursor::Cursor;
use crate::log::segment::{Segment, Table, write_index};
use crate::log::{Log, Tail, View};
use crate::stream::commit::{Committer, Progress};
use crate::stream::open::mark;
use crate::stream::options::{SetId, Trim, TrimTo};
use crate::stream::superblock::Superblock;
use crate::stream::trim;
use crate::{Error, NewId, Result, SetIdConflict, StreamId};

/// An active segment of which nothing is alive is replaced when it is larger than this.
const DEAD_ACTIVE_MAX: u64 = 64 << 10;

/// A stream that is open.
#[derive(Debug)]
pub struct Inner {
    pub env: Arc<Env>,
    pub name: Box<[u8]>,
    pub place: Arc<Place>,
    pub log: Arc<Log>,
    pub superblock: Superblock,
    pub append: Mutex<Appending>,
    pub journal: Mutex<Journaling>,
    /// How many changes the journal has; stored after the change was written, with `journal` locked.
    pub changes: AtomicU64,
    /// The ordinal after the last entry that was appended; stored with `append` locked.
    pub next_ordinal: AtomicU64,
    pub committer: Committer,
    pub turn: Mutex<()>,
}

/// The appender, and what else its lock guards.
#[derive(Debug)]
pub struct Appending {
    pub appender: Appender,
    /// No automatic ID above this one may be handed out yet.
    pub ceiling: StreamId,
    /// Something was written since the stream was opened.
    pub touched: bool,
}

/// The journal, which appears with the first change, and the state that is in it alone.
#[derive(Debug)]
pub struct Journaling {
    pub journal: Option<Journal>,
    pub state: State,
    /// The generation of the journal; 0 if there is none.
    pub generation: u64,
    /// A new generation is being written: changes wait for their turn.
    pub frozen: bool,
}

/// What became of an operation that changes a stream.
#[derive(Debug)]
pub enum Outcome<T> {
    Done(T),
    /// The stream is not this one any more: it is to be looked up again.
    Gone,
}

/// What to do before an add can go on.
enum Obstacle {
    Ceiling(StreamId),
    Segment,
}

impl Inner {
    pub fn view(&self) -> View {
        self.log.view()
    }

    /// Whether the stream was deleted, renamed or closed, and is to be looked up again. Becomes so with `append` locked.
    #[inline]
    pub fn is_retired(&self) -> bool {
        self.log.retired.load(Ordering::Acquire)
    }

    /// Adds entries, whose IDs it fills in, and trims, as one change.
    pub fn add(&self, entries: &mut NewEntries, trim: Option<&Trim>) -> Result<Outcome<()>> {
        loop {
            let mut append = self.append.lock();
            // With the lock: whoever held it before may have failed.
            self.env.check_writable()?;
            let _guard = self.env.latch.guard();
            if self.is_retired() {
                return Ok(Outcome::Gone);
            }
            if let Some(obstacle) = self.resolve(&append, entries)? {
                drop(append);
                match obstacle {
                    Obstacle::Ceiling(id) => self.raise_ceiling(id)?,
                    Obstacle::Segment => self.rotate(entries)?,
                }
                continue;
            }
            let (progress, last_id) = self.append_resolved(&mut append, entries, trim)?;
            drop(append);
            self.settle(progress, last_id)?;
            return Ok(Outcome::Done(()));
        }
    }

    /// Sees to a ceiling at or above `id`, unless the stream has been retired: its directory may be another stream's then,
    /// or gone.
    fn raise_ceiling(&self, id: StreamId) -> Result<()> {
        let _turn = self.turn.lock();
        if !self.is_retired() {
            let ceiling = self.env.poisoning(self.superblock.raise_ceiling(&self.place, id))?;
            self.append.lock().ceiling = ceiling;
        }
        Ok(())
    }

    /// Lowers the ceiling to the last ID, after that was set back.
    fn lower_ceiling(&self) -> Result<()> {
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
        let exact = entries.list.iter().all(|entry| matches!(entry.wanted, NewId::Exact(_)));
        let now_ms = if exact { 0 } else { self.env.now_ms() };
        let mut last = append.appender.last_id;
        let mut highest_automatic = None;
        for entry in &mut entries.list {
            last = next_id(last, entry.wanted, now_ms)?;
            entry.id = last;
            if entry.wanted == NewId::Auto {
                highest_automatic = Some(last);
            }
        }
        // What is acknowledged only when it is durable needs no ceiling: IDs that were lost were never seen.
        match highest_automatic {
            Some(id) if id > append.ceiling && !self.env.is_durable_first() => return Ok(Some(Obstacle::Ceiling(id))),
            _ => {}
        }
        Ok((!append.appender.has_room(entries)).then_some(Obstacle::Segment))
    }

    /// Appends entries with their IDs, and publishes them unless that has to wait for a sync. Returns how far that came.
    #[inline]
    fn append_resolved(
        &self,
        append: &mut Appending,
        entries: &NewEntries,
        trim: Option<&Trim>,
    ) -> Result<(Progress, StreamId)> {
        let floor = match trim {
            Some(trim) => self.trim_floor(&append.appender, trim, entries)?,
            None => None,
        };
        let changes = self.changes.load(Ordering::SeqCst);
        self.env.poisoning(append.appender.append(entries, floor, changes))?;
        append.touched = true;
        let tail = append.appender.tail();
        self.next_ordinal.store(tail.next_ordinal, Ordering::Release);
        if !self.env.is_durable_first() {
            self.log.publish(tail);
        }
        Ok((Progress { next_ordinal: tail.next_ordinal, changes }, tail.last_id))
    }

    /// What remains to be done without locks after a change: waiting until it is durable, or telling who waits for it.
    #[inline]
    fn settle(&self, progress: Progress, last_id: StreamId) -> Result<()> {
        match self.env.is_durable_first() {
            true => self.commit(progress),
            false => {
                self.env.waiters.published(&self.name, last_id);
                Ok(())
            }
        }
    }

    /// Returns when everything up to there is durable.
    pub fn commit(&self, target: Progress) -> Result<()> {
        self.committer.commit(target, || self.env.latch.check(), || self.env.poisoning(self.sync_files()))
    }

    /// Makes everything that was appended so far durable.
    pub fn sync(&self) -> Result<()> {
        let target = Progress {
            changes: self.changes.load(Ordering::SeqCst),
            next_ordinal: self.next_ordinal.load(Ordering::Acquire),
        };
        self.commit(target)
    }

    /// Syncs the log, then the journal (rule 6 of the design), and publishes what was synced.
    fn sync_files(&self) -> Result<Progress> {
        // Both of one moment. A later journal may name entries of a segment that is not synced here; a later tail may
        // depend on changes that are not.
        let (segment, tail, journal, changes) = {
            let mut append = self.append.lock();
            let mut journaling = self.journal.lock();
            append.appender.prove()?;
            let journal = journaling.journal.as_mut().map(Journal::unsynced).transpose()?;
            let appender = &append.appender;
            (Arc::clone(&appender.segment), appender.tail(), journal, self.changes.load(Ordering::SeqCst))
        };
        if segment.synced.load(Ordering::Acquire) < tail.offset {
            segment.file.sync().map_err(|error| Error::unsynced(&segment.path, error))?;
        }
        journal.map_or(Ok(()), |journal| journal.sync())?;
        // Only now: a watermark says that entries and the changes they depend on are durable.
        segment.synced.fetch_max(tail.offset, Ordering::AcqRel);
        self.log.publish(tail);
        self.env.waiters.published(&self.name, tail.last_id);
        Ok(Progress { next_ordinal: tail.next_ordinal, changes })
    }

    /// The floor that a trim leads to, with `entries` appended; `None` if it removes nothing.
    fn trim_floor(&self, appender: &Appender, trim: &Trim, entries: &NewEntries) -> Result<Option<u64>> {
        let (floor, end) = (appender.floor, appender.next_ordinal + entries.list.len() as u64);
        let live = |from, to| self.log.live(from, to);
        let exact = match trim.to {
            TrimTo::Len(len) => trim::exact_by_len(floor, end, len, live),
            TrimTo::Before(id) => {
                let found = self.log.view_to(appender.tail()).first_at_or_above(id)?;
                let below = entries.list.iter().take_while(|entry| entry.id < id).count() as u64;
                if found == appender.next_ordinal { found + below } else { found }
            }
        };
        let floor = trim::floor(trim, floor, exact, live);
        Ok((floor > appender.floor).then_some(floor))
    }

    /// Trims; returns how many entries went.
    pub fn trim(&self, trim: &Trim) -> Result<Outcome<u64>> {
        let made = self.change(|append, _| {
            let Some(floor) = self.trim_floor(&append.appender, trim, &NewEntries::default())? else { return Ok(None) };
            let removed = self.log.live(append.appender.floor, floor);
            Ok(Some((Change::Trim { floor }, removed)))
        })?;
        self.reclaim_after(&made)?;
        Ok(made.map_or_zero())
    }

    /// Deletes entries; returns how many there were.
    pub fn delete(&self, ids: &[StreamId]) -> Result<Outcome<u64>> {
        let made = self.change(|append, _| {
            let view = self.log.view_to(append.appender.tail());
            let mut found: Vec<(u64, StreamId)> = Vec::with_capacity(ids.len());
            for &id in ids {
                found.extend(view.find(id)?.map(|ordinal| (ordinal, id)));
            }
            found.sort_unstable();
            found.dedup();
            let Some(max_deleted_id) = found.iter().map(|&(_, id)| id).max() else { return Ok(None) };
            let count = found.len() as u64;
            Ok(Some((Change::Delete { max_deleted_id, ordinals: runs(&found) }, count)))
        })?;
        self.reclaim_after(&made)?;
        Ok(made.map_or_zero())
    }

    /// Sets the last ID.
    pub fn set_id(&self, set: &SetId) -> Result<Outcome<()>> {
        let made = self.change(|append, journaling| {
            let appender = &append.appender;
            let conflict = |reason| Err(Error::SetId { id: set.last_id, reason });
            if set.max_deleted_id.is_some_and(|id| id > set.last_id) {
                return conflict(SetIdConflict::BelowGivenMaxDeleted);
            }
            if set.last_id < journaling.state.max_deleted_id {
                return conflict(SetIdConflict::BelowMaxDeleted);
            }
            let view = self.log.view_to(appender.tail());
            let newest = Cursor::new(view, StreamId::MIN, StreamId::MAX).next_position_back();
            if let Some(newest) = newest.transpose()? {
                if set.last_id < newest.id {
                    return conflict(SetIdConflict::BelowNewestEntry);
                }
                if set.entries_added.is_some_and(|added| added < self.log.len(&appender.tail())) {
                    return conflict(SetIdConflict::AddedBelowLength);
                }
            }
            let given = set.max_deleted_id.filter(|&id| id != StreamId::MIN);
            let change = Change::SetId {
                last_id: set.last_id,
                entries_added: set.entries_added.unwrap_or(appender.entries_added),
                max_deleted_id: given.unwrap_or(journaling.state.max_deleted_id),
            };
            Ok(Some((change, 0)))
        })?;
        if matches!(made, Made::Nothing | Made::Gone) {
            return Ok(if matches!(made, Made::Gone) { Outcome::Gone } else { Outcome::Done(()) });
        }
        self.lower_ceiling()?;
        // After it was set back, what is above it has to go before anything is added.
        if self.set_back() {
            self.rotate(&NewEntries::default())?;
        }
        Ok(Outcome::Done(()))
    }

    fn set_back(&self) -> bool {
        let append = self.append.lock();
        append.appender.last_id < append.appender.written_id
    }

    /// Makes a change that is not an entry. `plan` decides on it with both locks held, and may find nothing to do.
    fn change(&self, plan: impl Fn(&Appending, &Journaling) -> Result<Option<(Change, u64)>>) -> Result<Made> {
        // On a full disk the journal goes on as it is, as long as it has room.
        let mut checkpoint = true;
        let (progress, count) = loop {
            let mut append = self.append.lock();
            let mut journaling = self.journal.lock();
            self.env.check_writable()?;
            let _guard = self.env.latch.guard();
            if self.is_retired() {
                return Ok(Made::Gone);
            }
            let Some((change, count)) = plan(&append, &journaling)? else { return Ok(Made::Nothing) };
            let frozen = journaling.frozen;
            let exists = journaling.journal.is_some();
            let waits = |journal: &Journal| frozen || (checkpoint && journal.wants_checkpoint());
            let Some(journal) = journaling.journal.as_mut().filter(|journal| !waits(journal)) else {
                drop((append, journaling));
                let _turn = self.turn.lock();
                match self.begin_generation_in_turn() {
                    Err(Error::NoSpace { .. }) if exists => checkpoint = false,
                    begun => begun?,
                }
                continue;
            };
            let next_ordinal = append.appender.next_ordinal;
            self.env.poisoning(journal.append(&change, next_ordinal))?;
            let changes = journal.changes;
            self.apply(&mut append, &mut journaling, &change);
            self.changes.store(changes, Ordering::SeqCst);
            append.touched = true;
            if !self.env.is_durable_first() {
                self.log.publish(append.appender.tail());
            }
            break (Progress { next_ordinal, changes }, count);
        };
        if self.env.is_durable_first() {
            self.commit(progress)?;
        }
        Ok(Made::Change(count))
    }

    fn apply(&self, append: &mut Appending, journaling: &mut Journaling, change: &Change) {
        journaling.state.apply(change, append.appender.next_ordinal);
        match change {
            Change::Delete { ordinals, .. } => self.log.tombstones.write().insert_runs(ordinals),
            Change::Trim { floor } => append.appender.trim(*floor),
            Change::SetId { last_id, entries_added, .. } => append.appender.set_id(*last_id, *entries_added),
            _ => {}
        }
    }

    /// Starts the journal, or a new generation of it, if that is still needed.
    fn begin_generation_in_turn(&self) -> Result<()> {
        let sound = {
            let journaling = self.journal.lock();
            journaling.journal.as_ref().is_some_and(|journal| !journal.wants_checkpoint())
        };
        if sound || self.is_retired() { Ok(()) } else { self.replace_journal_in_turn() }
    }

    /// Writes the state into a new generation of the journal, which takes the place of the one before. The caller has
    /// the turn, or nobody else has the stream yet.
    pub fn replace_journal_in_turn(&self) -> Result<()> {
        // The log first: the checkpoint speaks of entries (rule 6 of the design).
        self.sync()?;
        let (birth, aside) = {
            let mut append = self.append.lock();
            let mut journaling = self.journal.lock();
            journaling.frozen = true;
            self.pass_deleted(&mut append.appender);
            let floor = append.appender.floor;
            let state = State { floor, ..journaling.state.clone() };
            let mut tombstones = self.log.tombstones.read().clone();
            tombstones.forget_below(floor);
            let aside = Aside { state, tombstones };
            let birth = Birth {
                store: self.env.store,
                incarnation: self.log.incarnation,
                file: new_identity(),
                generation: journaling.generation + 1,
                predecessor: journaling.journal.as_ref().map_or([0; 16], |journal| journal.header.file),
                changes: self.changes.load(Ordering::SeqCst),
                next_ordinal: append.appender.next_ordinal,
            };
            (birth, aside)
        };
        // Entries that were added since the sync above may be named by their number only.
        let created = self.sync().and_then(|()| self.env.with_reserve(|| Journal::create(&self.place, birth, &aside)));
        let created = created.and_then(|journal| {
            let mark = mark(&journal.header, journal.offset);
            self.superblock.update(&self.place, |meta| meta.journal = mark)?;
            Ok(journal)
        });
        let mut journaling = self.journal.lock();
        journaling.frozen = false;
        journaling.journal = Some(self.env.poisoning(created)?);
        journaling.generation = birth.generation;
        drop(journaling);
        self.append.lock().touched = true;
        match birth.generation - 1 {
            0 => Ok(()),
            before => self.place.remove(FileName::Journal(before).name()),
        }
    }

    /// Counts entries that were deleted from the front as trimmed: it is the same, and takes no memory.
    fn pass_deleted(&self, appender: &mut Appender) {
        let first_live = self.log.first_live(&appender.tail());
        if first_live > appender.floor {
            appender.trim(first_live);
        }
        self.log.forget_trimmed();
    }

    /// Goes on in a new segment, in which `entries` fit.
    pub fn rotate(&self, entries: &NewEntries) -> Result<()> {
        let _turn = self.turn.lock();
        self.rotate_in_turn(entries, false)
    }

    /// As [`rotate`](Self::rotate), for whoever has the turn; `always` if there is a need that cannot be seen from the
    /// appender.
    pub fn rotate_in_turn(&self, entries: &NewEntries, always: bool) -> Result<()> {
        self.env.check_writable()?;
        let header = {
            let mut append = self.append.lock();
            if self.is_retired() || (append.appender.has_room(entries) && !always) {
                return Ok(());
            }
            append.appender.stopped = true;
            self.pass_deleted(&mut append.appender);
            let base_ms = entries.list.first().map_or_else(|| self.env.now_ms(), |entry| entry.id.ms());
            append.appender.successor(new_identity(), base_ms, self.changes.load(Ordering::SeqCst))
        };
        let rotated =
            self.allocate_segment(&header, entries, always).and_then(|file| self.replace_segment(header, file));
        if rotated.is_err() {
            let appender = &mut self.append.lock().appender;
            // Behind a seal nothing can follow: whoever comes next goes on with the rotation.
            appender.stopped = appender.segment.sealed_end.load(Ordering::Acquire) != u64::MAX;
        }
        rotated
    }

    /// Allocates the file of a new segment: as large as it should be or, on a disk that is almost full, as large as it can.
    fn allocate_segment(&self, header: &Header, entries: &NewEntries, always: bool) -> Result<Arc<dyn File>> {
        let name = FileName::Segment(header.base).new_name();
        let least = capacity_for(entries, self.env.segment_bytes_first);
        // Where there is nothing to add, the segment is to replace one that is dead or torn, and its size is open.
        let mut capacity = match entries.list.is_empty() {
            true => least,
            false => self.append.lock().appender.next_capacity(entries, self.env.segment_bytes_max),
        };
        while capacity > least {
            match self.place.create(&name, capacity) {
                Err(Error::NoSpace { .. }) => capacity = (capacity / 4).next_multiple_of(4096).max(least),
                result => return result,
            }
        }
        let create = || self.place.create(&name, least);
        if always { self.env.with_reserve(create) } else { create() }
    }

    fn replace_segment(&self, header: Header, file: Arc<dyn File>) -> Result<()> {
        let name = FileName::Segment(header.base);
        let path = self.place.full(name.name());
        self.env.poisoning(begin_segment(&file, &path, &header))?;
        let segment = Arc::new(Segment::new(header, file, path, Table::default()));
        let (sealed, replaces) = {
            let mut append = self.append.lock();
            let replaces = append.appender.is_empty_segment();
            if !replaces {
                self.env.poisoning(append.appender.prove())?;
                if append.appender.segment.sealed_end.load(Ordering::Acquire) == u64::MAX {
                    self.env.poisoning(append.appender.seal())?;
                }
            }
            (Arc::clone(&append.appender.segment), replaces)
        };
        let mark = mark(&segment.header, HEADER_LEN as u64);
        let finished = self.finish_rotation(&sealed, replaces, name);
        self.env.poisoning(finished.and_then(|()| self.superblock.update(&self.place, |meta| meta.log = mark)))?;
        let mut append = self.append.lock();
        let base = append.appender.segment.header.base;
        let index = (!replaces).then(|| append.appender.index());
        append.appender.go_on_in(Arc::clone(&segment))?;
        append.touched = true;
        let mut dead = self.dead_segments(&append.appender);
        if replaces {
            dead.push(base);
        }
        self.log.replace(&dead, segment);
        let tail = append.appender.tail();
        self.log.publish(tail);
        drop(append);
        self.env.waiters.published(&self.name, tail.last_id);
        self.committer.advance(Progress { next_ordinal: tail.next_ordinal, changes: 0 });
        if let Some(index) = index {
            // A cache: it is made again where it is missing.
            let _ = write_index(&self.place, base, &index.encode(&sealed.header.file));
        }
        dead.retain(|&dead| dead != tail.segment);
        self.remove_files(&dead)
    }

    /// Syncs the sealed segment and what it depends on; then its successor gets its name.
    fn finish_rotation(&self, sealed: &Segment, replaces: bool, name: FileName) -> Result<()> {
        if !replaces {
            sealed.file.sync().map_err(|error| Error::unsynced(&sealed.path, error))?;
        }
        let journal = self.journal.lock().journal.as_mut().map(Journal::unsynced).transpose()?;
        journal.map_or(Ok(()), |journal| journal.sync())?;
        self.place.publish(&name.new_name(), &name.name())
    }

    /// The sealed segments in which no entry is alive.
    fn dead_segments(&self, appender: &Appender) -> Vec<u64> {
        let slots = self.log.slots();
        let ends = slots.iter().skip(1).map(|slot| slot.base).chain([appender.segment.header.base]);
        let dead = slots
            .iter()
            .zip(ends)
            .filter(|(slot, end)| slot.base < *end && self.log.live(slot.base.max(appender.floor), *end) == 0);
        dead.map(|(slot, _)| slot.base).collect()
    }

    /// Removes what a change has left without a living entry.
    fn reclaim_after(&self, made: &Made) -> Result<()> {
        match made {
            Made::Change(count) if *count > 0 => match self.reclaim() {
                // What is dead is dead; its room comes back with a later change.
                Err(Error::NoSpace { .. }) => Ok(()),
                result => result,
            },
            _ => Ok(()),
        }
    }

    /// Removes segments without a living entry.
    pub fn reclaim(&self) -> Result<()> {
        let (worth, dead_active) = {
            let append = self.append.lock();
            let appender = &append.appender;
            let base = appender.segment.header.base;
            let dead_active = appender.offset > DEAD_ACTIVE_MAX
                && self.log.live(base.max(appender.floor), appender.next_ordinal) == 0;
            (dead_active || !self.dead_segments(appender).is_empty(), dead_active)
        };
        if !worth {
            return Ok(());
        }
        let _turn = self.turn.lock();
        if self.is_retired() {
            return Ok(());
        }
        if dead_active {
            return self.rotate_in_turn(&NewEntries::default(), true);
        }
        let dead = {
            let append = self.append.lock();
            let dead = self.dead_segments(&append.appender);
            self.log.remove(&dead);
            dead
        };
        self.remove_files(&dead)
    }

    /// Removes the files of segments, the oldest first.
    fn remove_files(&self, bases: &[u64]) -> Result<()> {
        if bases.is_empty() {
            return Ok(());
        }
        // What was removed is to stay removed before its bytes go (rule 9 of the design).
        self.sync()?;
        for &base in bases {
            self.place.remove(FileName::Segment(base).name())?;
            self.place.remove(FileName::Index(base).name())?;
        }
        self.env.reserve.refill();
        Ok(())
    }

    /// Ends the life of this object: nothing more is written through it. Everything is synced, and the clean end noted.
    pub fn retire(&self) -> Result<()> {
        let append = self.append.lock();
        self.log.retired.store(true, Ordering::Release);
        drop(append);
        // Whoever has the turn finishes first; those who get it later see that the stream is retired.
        let _turn = self.turn.lock();
        if !self.append.lock().touched || self.env.latch.check().is_err() {
            return Ok(());
        }
        self.sync()?;
        let (log, last_id) = {
            let append = self.append.lock();
            let appender = &append.appender;
            (mark(&appender.segment.header, appender.offset), appender.last_id)
        };
        let journal = self
            .journal
            .lock()
            .journal
            .as_ref()
            .map_or(Mark::default(), |journal| mark(&journal.header, journal.offset));
        self.env.poisoning(self.superblock.note_end(&self.place, log, journal, last_id))
    }

    /// The state and the tail of one moment.
    pub fn state(&self) -> (Tail, State) {
        let append = self.append.lock();
        let journaling = self.journal.lock();
        let tail = if self.env.is_durable_first() { self.log.tail() } else { append.appender.tail() };
        (tail, journaling.state.clone())
    }
}

/// What [`Inner::change`] did.
#[derive(Debug)]
enum Made {
    Change(u64),
    Nothing,
    Gone,
}

impl Made {
    fn map_or_zero(self) -> Outcome<u64> {
        match self {
            Self::Change(count) => Outcome::Done(count),
            Self::Nothing => Outcome::Done(0),
            Self::Gone => Outcome::Gone,
        }
    }
}

/// The ID of an entry after `last`.
fn next_id(last: StreamId, wanted: NewId, now_ms: u64) -> Result<StreamId> {
    if wanted == NewId::Exact(StreamId::MIN) {
        return Err(Error::IdZero);
    }
    if last == StreamId::MAX {
        return Err(Error::IdsExhausted);
    }
    let id = match wanted {
        NewId::Auto if now_ms > last.ms() => StreamId::new(now_ms, 0),
        NewId::Auto => last.next().ok_or(Error::IdsExhausted)?,
        NewId::AutoSequence(ms) if ms == last.ms() => match last.seq().checked_add(1) {
            Some(seq) => StreamId::new(ms, seq),
            None => return Err(Error::IdTooSmall { id: last, last }),
        },
        NewId::AutoSequence(ms) => StreamId::new(ms, 0),
        NewId::Exact(id) => id,
    };
    if id > last { Ok(id) } else { Err(Error::IdTooSmall { id, last }) }
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
