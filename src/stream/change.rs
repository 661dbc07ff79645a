//! Changes that are not entries: deciding on them, writing them to the journal, and taking them in.

use std::sync::atomic::Ordering;

use crate::Result;
use crate::format::file_name::File as FileName;
use crate::format::journal::{Change, State};
use crate::group::journal::{self, Birth, Checkpoint, Content, Journal};
use crate::metrics::Operation;
use crate::stream::commit::Progress;
use crate::stream::inner::{Appending, Inner, Journaling, Outcome};
use crate::stream::open::mark;

/// What is to be changed, and what then is the answer.
#[derive(Debug)]
pub struct Planned<T> {
    pub change: Option<Change>,
    /// The answer waits until the change is durable.
    pub durable: bool,
    pub answer: T,
}

/// A change that was made but may not be durable.
#[derive(Debug)]
pub struct Made<T> {
    pub answer: T,
    /// What is to be durable before the answer is given.
    pub progress: Option<Progress>,
}

impl<T> Planned<T> {
    pub fn change(change: Change, answer: T) -> Self {
        Self { change: Some(change), durable: true, answer }
    }

    pub fn nothing(answer: T) -> Self {
        Self { change: None, durable: false, answer }
    }

    /// A change that nobody waits for, and that is left out of the journal if there is no room.
    pub fn note(change: Option<Change>, answer: T) -> Self {
        Self { change, durable: false, answer }
    }

    /// The change that several changes are, if there are any.
    pub fn several(mut changes: Vec<Change>, answer: T) -> Self {
        let change = if changes.len() > 1 { Some(Change::Several(changes)) } else { changes.pop() };
        Self { durable: change.is_some(), change, answer }
    }
}

impl Journaling {
    /// Whether a change can be written now. A generation that has grown long is replaced first if it `may_begin` a new one.
    pub fn is_ready(&self, may_begin: bool) -> bool {
        let sound = |journal: &Journal| !(may_begin && journal.wants_checkpoint(self.checkpoint_bytes_min));
        !self.frozen && self.journal.as_ref().is_some_and(sound)
    }

    /// Takes in what of a change is not in the log.
    pub fn apply(&mut self, change: &Change, next_ordinal: u64) {
        self.state.apply(change, next_ordinal);
        for part in change.parts() {
            if let Change::Group(change) = part {
                self.groups.apply(change);
                self.producers.apply(change);
            }
        }
    }

    /// Makes sure that there is room for this change.
    pub fn reserve(&mut self, change: &Change) -> Result<()> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.reserve(change))
    }
}

impl Inner {
    /// Makes a change of what is in the log or depends on its end. `plan` decides on it with both locks held, and may be
    /// called again.
    pub fn change<T>(
        &self,
        mut plan: impl FnMut(&Appending, &mut Journaling) -> Result<Planned<T>>,
    ) -> Result<Outcome<T>> {
        // On a full disk, or if a new one would be too long, the journal goes on as it is, as long as it has room.
        let mut may_begin = true;
        let mut compacted = false;
        loop {
            let mut append = self.append.lock();
            let mut journaling = self.journal.lock();
            self.env.check_writable()?;
            let _guard = self.env.guard();
            if self.is_retired() {
                return Ok(Outcome::Gone);
            }
            let planned = plan(&append, &mut journaling)?;
            let Some(change) = &planned.change else { return Ok(Outcome::Done(planned.answer)) };
            if !journaling.is_ready(may_begin) {
                drop((append, journaling));
                may_begin = self.make_ready()?;
                continue;
            }
            let changes = match self.write(&mut journaling, change) {
                Err(error) if journal::lacks_room(&error) && !compacted => {
                    let generation = journaling.generation;
                    drop((append, journaling));
                    compacted = true;
                    self.compact(generation)?;
                    continue;
                }
                written => written?,
            };
            self.take_in(&mut append, change);
            self.publish_unless_durable_first(&append);
            let next_ordinal = append.appender.next_ordinal;
            drop((append, journaling));
            if planned.durable {
                self.settle_aside(Progress { next_ordinal, changes })?;
            }
            return Ok(Outcome::Done(planned.answer));
        }
    }

    /// Makes a change of groups or producers. `plan` decides on it with the journal locked, and may be called again; entries
    /// may be added meanwhile.
    pub fn change_aside<T>(&self, plan: impl FnMut(&mut Journaling) -> Result<Planned<T>>) -> Result<Outcome<T>> {
        match self.make_aside(plan)? {
            Outcome::Done(made) => {
                made.progress.map_or(Ok(()), |progress| self.settle_aside(progress))?;
                Ok(Outcome::Done(made.answer))
            }
            Outcome::Gone => Ok(Outcome::Gone),
        }
    }

    /// As [`change_aside`](Self::change_aside), but does not wait until the change is durable.
    pub fn make_aside<T>(
        &self,
        mut plan: impl FnMut(&mut Journaling) -> Result<Planned<T>>,
    ) -> Result<Outcome<Made<T>>> {
        let (mut may_begin, mut compacted, mut has_room) = (true, false, true);
        loop {
            let mut journaling = self.journal.lock();
            self.env.check_writable()?;
            let _guard = self.env.guard();
            if self.is_retired() {
                return Ok(Outcome::Gone);
            }
            let Planned { change, durable, answer } = plan(&mut journaling)?;
            let Some(change) = &change else { return Ok(Outcome::Done(Made { answer, progress: None })) };
            if !has_room && !journaling.frozen {
                journaling.apply(change, self.next_ordinal.load(Ordering::SeqCst));
                return Ok(Outcome::Done(Made { answer, progress: None }));
            }
            if !journaling.is_ready(may_begin) {
                drop(journaling);
                may_begin = match self.make_ready() {
                    // What nobody waits for is not worth a failure.
                    Err(error) if journal::lacks_room(&error) && !durable => {
                        has_room = false;
                        false
                    }
                    ready => ready?,
                };
                continue;
            }
            let changes = match self.write(&mut journaling, change) {
                Err(error) if journal::lacks_room(&error) && !durable => {
                    has_room = false;
                    continue;
                }
                Err(error) if journal::lacks_room(&error) && !compacted => {
                    let generation = journaling.generation;
                    drop(journaling);
                    compacted = true;
                    self.compact(generation)?;
                    continue;
                }
                written => written?,
            };
            let next_ordinal = self.next_ordinal.load(Ordering::SeqCst);
            let progress = durable.then_some(Progress { next_ordinal, changes });
            return Ok(Outcome::Done(Made { answer, progress }));
        }
    }

    /// Returns when a change is as durable as it is to be.
    pub fn settle_aside(&self, progress: Progress) -> Result<()> {
        if self.env.is_durable_first() { self.acknowledge_at(progress) } else { Ok(()) }
    }

    /// Writes a change to the journal, which is ready, and takes in what of it concerns groups and producers. Returns how
    /// many changes there are then.
    pub fn write(&self, journaling: &mut Journaling, change: &Change) -> Result<u64> {
        let next_ordinal = self.next_ordinal.load(Ordering::SeqCst);
        let Some(journal) = &mut journaling.journal else { return Ok(0) };
        self.env.poisoning(journal.append(change, next_ordinal))?;
        let changes = journal.changes;
        journaling.apply(change, next_ordinal);
        self.changes.store(changes, Ordering::SeqCst);
        self.touched.store(true, Ordering::Relaxed);
        Ok(changes)
    }

    /// Takes in what of a change concerns the log.
    pub fn take_in(&self, append: &mut Appending, change: &Change) {
        for part in change.parts() {
            match part {
                Change::Delete { ordinals, .. } => self.log.tombstones.write().insert_runs(ordinals),
                Change::Trim { floor } => append.appender.trim(*floor),
                Change::SetId { last_id, entries_added, .. } => append.appender.set_id(*last_id, *entries_added),
                _ => {}
            }
        }
    }

    pub fn publish_unless_durable_first(&self, append: &Appending) {
        if !self.env.is_durable_first() {
            self.log.publish_in_turn(append.appender.tail());
        }
    }

    /// Sees to a journal that can be written to; returns whether a new generation may be begun the next time, too.
    pub fn make_ready(&self) -> Result<bool> {
        let _turn = self.turn.lock();
        let exists = self.journal.lock().journal.is_some();
        match self.begin_generation_in_turn() {
            Err(error) if exists && journal::lacks_room(&error) => Ok(false),
            begun => begun.map(|()| true),
        }
    }

    /// Makes room in the journal of this generation, which has none left on a full disk, with what the store has set aside.
    pub fn compact(&self, generation: u64) -> Result<()> {
        let _turn = self.turn.lock();
        let replaced = self.journal.lock().generation != generation;
        if replaced || self.is_retired() { Ok(()) } else { self.replace_journal_in_turn() }
    }

    /// Starts the journal, or a new generation of it, if that is still needed.
    fn begin_generation_in_turn(&self) -> Result<()> {
        let sound = {
            let journaling = self.journal.lock();
            journaling.is_ready(true)
        };
        if sound || self.is_retired() { Ok(()) } else { self.replace_journal_in_turn() }
    }

    /// Writes the state into a new generation of the journal, which takes the place of the one before. The caller has
    /// the turn, or nobody else has the stream yet.
    pub fn replace_journal_in_turn(&self) -> Result<()> {
        let _watch = self.env.operations.watch(Operation::Checkpoint, &self.name);
        // The log first: the checkpoint speaks of entries (rule 6 of the design).
        self.sync()?;
        let (checkpoint, generation) = self.freeze_and_encode();
        // Entries that were added since the sync above may be named by their number only.
        let created = self
            .sync()
            .and(checkpoint)
            .and_then(|checkpoint| self.env.with_reserve(|| Journal::create(&self.place, &checkpoint)));
        let marked = created.as_ref().map_or(Ok(()), |journal| {
            let mark = mark(&journal.header, journal.offset);
            self.superblock.update(&self.place, |meta| meta.journal = mark)
        });
        let mut journaling = self.journal.lock();
        journaling.frozen = false;
        journaling.producers.unjournaled |= created.is_err();
        // Once it has its name it is the journal, whatever came of the mark: the next process takes the newest one.
        journaling.journal = Some(self.env.poisoning(created)?);
        journaling.generation = generation;
        drop(journaling);
        self.touched.store(true, Ordering::Relaxed);
        self.env.poisoning(marked)?;
        if generation > 1 {
            self.place.remove(FileName::Journal(generation - 1).name())?;
        }
        self.env.reserve.refill();
        Ok(())
    }

    /// Keeps changes waiting, and encodes the state as it is.
    fn freeze_and_encode(&self) -> (Result<Checkpoint>, u64) {
        let mut append = self.append.lock();
        let mut journaling = self.journal.lock();
        journaling.frozen = true;
        self.pass_deleted(&mut append.appender);
        let floor = append.appender.floor;
        let next_ordinal = append.appender.next_ordinal;
        // From here on nothing changes but what is added.
        drop(append);
        let generation = journaling.generation + 1;
        let state = State { floor, ..journaling.state.clone() };
        let mut tombstones = self.log.tombstones.read().clone();
        tombstones.forget_below(floor);
        let birth = Birth {
            store: self.env.store,
            incarnation: self.log.incarnation,
            file: self.env.new_identity(),
            generation,
            predecessor: journaling.journal.as_ref().map_or([0; 16], |journal| journal.header.file),
            changes: self.changes.load(Ordering::SeqCst),
            next_ordinal,
        };
        let content = Content {
            state: &state,
            tombstones: &tombstones,
            groups: &journaling.groups,
            producers: &journaling.producers,
        };
        let checkpoint = Checkpoint::encode(birth, content);
        journaling.producers.unjournaled = false;
        (checkpoint, generation)
    }
}
