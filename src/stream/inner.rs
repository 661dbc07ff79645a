//! A stream that is open: its log, its journal, and the order in which they change.
//!
//! # Locks
//!
//! In this order: `append` (the end of the log), `journal` (everything else that is written); then, each by itself, the
//! leaf locks inside [`Log`] and [`Committer`]. None of them is held across a sync, a wait or code of the user. Three
//! *turns*, which are taken before any lock and only by those who cannot go on without what their holder is doing, are:
//! `rotation` (making room for a segment and beginning it), before all others, also those of the catalog and the budget; `turn`
//! (a new segment or journal, removal of segments); and the one of the [`Superblock`].
//!
//! # What is published when
//!
//! At [`Always`](crate::Durability::Always) the tail is published after the sync that made it durable, by whoever synced;
//! otherwise at once, with `append` locked. Deletions are visible at once at every level; their caller returns when they are durable.

use std::sync::Arc;
#[cfg(feature = "async")]
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::env::Env;
use crate::format::board::Notice;
use crate::format::journal::State;
use crate::format::meta::Mark;
use crate::group::Groups;
use crate::group::journal::Journal;
use crate::group::lag::Facts;
use crate::group::producers::Producers;
use crate::io::place::Place;
use crate::log;
use crate::log::append::Appender;
use crate::log::cursor::Cursor;
use crate::log::segment::Segment;
use crate::log::{Log, Tail, View};
use crate::metrics::Operation;
use crate::stream::commit::{Committer, Progress};
use crate::stream::deliver::Cursors;
use crate::stream::open::mark;
#[cfg(feature = "async")]
use crate::stream::put_off::put_off;
use crate::stream::recovery::RecoveryReport;
use crate::stream::retain::Retaining;
use crate::stream::superblock::Superblock;
use crate::{Error, OnDamage, Result, StreamId};

/// A stream that is open.
#[derive(Debug)]
pub struct Inner {
    /// This very stream.
    #[cfg(feature = "async")]
    pub me: Weak<Inner>,
    pub env: Arc<Env>,
    pub name: Box<[u8]>,
    pub place: Arc<Place>,
    pub log: Arc<Log>,
    pub superblock: Superblock,
    pub append: Mutex<Appending>,
    pub journal: Mutex<Journaling>,
    /// How many changes the journal has; stored after the change was written, with `journal` locked.
    pub changes: AtomicU64,
    /// The ordinal after the last entry that was appended; stored with `append` locked, before the entry is published.
    pub next_ordinal: AtomicU64,
    /// Something was written since the stream was opened.
    pub touched: AtomicBool,
    pub committer: Committer,
    pub turn: Mutex<()>,
    /// Taken before all other locks by whoever makes room for a segment that is to follow, and begins it. Who makes the stream has
    /// the catalog already; nobody else has the stream then.
    pub rotation: Mutex<()>,
    /// It has its name: whoever makes it room may wait for the catalog.
    pub is_listed: AtomicBool,
    /// What was found when it was opened.
    pub recovery: RecoveryReport,
}

/// The appender, and what else its lock guards.
#[derive(Debug)]
pub struct Appending {
    pub appender: Appender,
    /// No automatic ID above this one may be handed out yet.
    pub ceiling: StreamId,
    pub retaining: Retaining,
}

/// The journal, which appears with the first change, and the state that is in it alone.
#[derive(Debug)]
pub struct Journaling {
    pub journal: Option<Journal>,
    pub state: State,
    pub groups: Groups,
    pub producers: Producers,
    /// The first living entry, by its ordinal, when it was last looked for.
    pub first: Option<(u64, StreamId)>,
    pub cursors: Cursors,
    /// The generation of the journal; 0 if there is none.
    pub generation: u64,
    /// A new generation is being written: changes wait for their turn.
    pub frozen: bool,
    /// The length from which on a generation may be replaced, in bytes.
    pub checkpoint_bytes_min: u64,
}

/// What became of an operation that changes a stream.
#[derive(Debug)]
pub enum Outcome<T> {
    Done(T),
    /// The stream is not this one any more: it is to be looked up again.
    Gone,
}

impl Inner {
    pub fn view(&self) -> View {
        self.log.view()
    }

    /// Whether the stream was deleted, renamed or closed, and is to be looked up again. Becomes so with `append` and
    /// `journal` locked.
    #[inline]
    pub fn is_retired(&self) -> bool {
        self.log.retired.load(Ordering::Acquire)
    }

    /// What remains to be done without locks after a change: waiting until it is durable, or telling who waits for it.
    #[inline]
    pub fn settle(&self, progress: Progress, last_id: StreamId) -> Result<()> {
        match self.env.is_durable_first() {
            true => self.acknowledge_at(progress),
            false => {
                self.env.waiters.published(&self.name, last_id);
                Ok(())
            }
        }
    }

    /// Returns when everything up to there is durable, or is to be so before the caller is told.
    pub fn acknowledge_at(&self, target: Progress) -> Result<()> {
        #[cfg(feature = "async")]
        if put_off(self, target) {
            return Ok(());
        }
        self.commit(target)
    }

    /// Returns when everything up to there is durable.
    pub fn commit(&self, target: Progress) -> Result<()> {
        if self.committer.come(target) { self.wait_for(target) } else { Ok(()) }
    }

    /// As [`commit`](Self::commit), for one whom the committer has counted.
    pub fn wait_for(&self, target: Progress) -> Result<()> {
        self.committer.commit(target, || self.env.latch.check(), || self.env.poisoning(self.sync_files()))
    }

    /// Makes everything that was appended so far durable.
    pub fn sync(&self) -> Result<()> {
        self.commit(self.progress())
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        Progress {
            changes: self.changes.load(Ordering::SeqCst),
            next_ordinal: self.next_ordinal.load(Ordering::Acquire),
        }
    }

    /// Syncs the log, then the journal (rule 6 of the design), and publishes what was synced.
    fn sync_files(&self) -> Result<Progress> {
        // Both of one moment. A later journal may name entries of a segment that is not synced here; a later tail may
        // depend on changes that are not.
        let (segment, tail, journal, changes, notice) = {
            let mut append = self.append.lock();
            let mut journaling = self.journal.lock();
            append.appender.prove()?;
            let journal = journaling.journal.as_mut().map(Journal::unsynced).transpose()?;
            let (segment, tail) = (Arc::clone(&append.appender.segment), append.appender.tail());
            let notice = self.notice(&segment, &tail, &journaling);
            (segment, tail, journal, self.changes.load(Ordering::SeqCst), notice)
        };
        let is_behind = segment.synced.load(Ordering::Acquire) < tail.offset;
        let needs_sync = is_behind || journal.is_some();
        let watch = needs_sync.then(|| self.env.operations.watch(Operation::Sync, &self.name));
        if is_behind {
            segment.file.sync().map_err(|error| Error::unsynced(&segment.path, error))?;
        }
        journal.map_or(Ok(()), |journal| journal.sync())?;
        drop(watch);
        // Only now: a watermark says that entries and the changes they depend on are durable.
        segment.synced.fetch_max(tail.offset, Ordering::AcqRel);
        // Otherwise it was, under the lock. Nobody is woken for changes alone.
        if self.env.is_durable_first() && self.log.publish(tail) {
            self.env.waiters.published(&self.name, tail.last_id);
        }
        if notice.limits {
            self.env.board.post(&notice);
        }
        Ok(Progress { next_ordinal: tail.next_ordinal, changes })
    }

    /// What other processes are told: at [`Always`](crate::Durability::Always) how far they may see, otherwise what cannot
    /// be told from the files alone.
    fn notice(&self, segment: &Segment, tail: &Tail, journaling: &Journaling) -> Notice {
        let (journal, journal_end) =
            journaling.journal.as_ref().map_or_else(Default::default, |journal| (journal.header.file, journal.offset));
        Notice {
            incarnation: self.log.incarnation,
            limits: self.env.is_durable_first(),
            segment: segment.header.file,
            offset: tail.offset,
            next_ordinal: tail.next_ordinal,
            last_id: tail.last_id,
            journal,
            journal_end,
        }
    }

    /// Tells other processes of a stream to which nothing was written yet that is not published.
    pub fn post(&self) {
        let append = self.append.lock();
        let notice = self.notice(&append.appender.segment, &append.appender.tail(), &self.journal.lock());
        self.env.board.post(&notice);
    }

    /// Ends the life of this object: nothing more is written through it. Everything is synced, and the clean end noted.
    pub fn retire(&self) -> Result<()> {
        {
            let _append = self.append.lock();
            let _journal = self.journal.lock();
            self.log.retired.store(true, Ordering::Release);
        }
        self.log.close_cold();
        // Whoever has the turn finishes first; those who get it later see that the stream is retired.
        let _turn = self.turn.lock();
        if self.env.latch.check().is_err() {
            return Ok(());
        }
        self.note_end()?;
        // From here on the files tell all.
        self.env.board.withdraw(&self.log.incarnation);
        Ok(())
    }

    /// Syncs everything and notes the clean end, if anything was written.
    fn note_end(&self) -> Result<()> {
        if !self.touched.load(Ordering::Relaxed) {
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

    /// Whether what is damaged counts as gone, and is no reason not to go on behind it.
    pub fn passes_damage(&self) -> bool {
        self.env.on_damage == OnDamage::Quarantine
    }

    /// The ordinal of the first entry that is not known to be below `id`; see [`passes_damage`](Self::passes_damage).
    pub fn first_from(&self, view: &View, id: StreamId) -> Result<u64> {
        if self.passes_damage() { view.first_not_known_below(id) } else { view.first_at_or_above(id) }
    }

    /// The ordinal of the living entry with this ID; see [`passes_damage`](Self::passes_damage).
    pub fn find(&self, view: &View, id: StreamId) -> Result<Option<u64>> {
        if self.passes_damage() { view.find_behind_damage(id) } else { view.find(id) }
    }

    /// The tail, and what is not in the log, of one moment.
    pub fn at_once<T>(&self, look: impl FnOnce(Tail, &mut Journaling) -> T) -> T {
        let append = self.append.lock();
        let mut journaling = self.journal.lock();
        let tail = if self.env.is_durable_first() { self.log.tail() } else { append.appender.tail() };
        look(tail, &mut journaling)
    }

    /// What groups count by, as readers may see it.
    pub fn facts(&self, journaling: &mut Journaling) -> Result<Facts> {
        self.facts_at(self.log.tail(), journaling)
    }

    /// What groups count by when the log ends there.
    pub fn facts_at(&self, tail: Tail, journaling: &mut Journaling) -> Result<Facts> {
        let first = self.log.first_live(&tail);
        let first_id = match journaling.first {
            _ if first >= tail.next_ordinal => StreamId::MIN,
            Some((ordinal, id)) if ordinal == first => id,
            _ => {
                let mut entries = Cursor::new(self.log.view_to(tail), StreamId::MIN, StreamId::MAX);
                match log::as_they_are(|| entries.next_position()).transpose() {
                    // As good as what is lost: groups count by what is before and behind it.
                    Err(Error::Corrupt { ids: Some(ids), .. }) => ids.after.next().unwrap_or(StreamId::MIN),
                    found => {
                        let found = found?;
                        journaling.first = found.map(|entry| (entry.ordinal, entry.id));
                        found.map_or(StreamId::MIN, |entry| entry.id)
                    }
                }
            }
        };
        Ok(Facts {
            first_id,
            last_id: tail.last_id,
            max_deleted_id: journaling.state.max_deleted_id,
            len: self.log.len(&tail),
            entries_added: tail.entries_added,
        })
    }
}

impl<T> Outcome<T> {
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Done(done) => Outcome::Done(change(done)),
            Self::Gone => Outcome::Gone,
        }
    }
}
