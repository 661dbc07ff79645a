//! What has become of a stream that another process writes.
//!
//! # What may be seen
//!
//! | the writer | others see |
//! |---|---|
//! | has the stream open at [`Always`](crate::Durability::Always) | what was synced, as it has told |
//! | has it open at another level | every change and entry as soon as all of its bytes are in the file |
//! | does not have it open | all there is |
//! | was killed | what it had published; when another one has opened the stream, what recovery has kept, which is at least that |
//!
//! # In which order it is looked at
//!
//! First whether it is still the same stream, then what is told of it, then the journal, then the log. So an entry is found
//! with all changes it depends on, unless they came in between: then it waits until the next look. A change that names an
//! entry which was not found waits likewise. What is taken in is one moment in the life of the stream, and a later one than
//! the time before.
//!
//! A look costs some fifteen system calls, and reading what is new. Where more has happened than can be followed (the stream is
//! another one now, or it was repaired), this one is over, and the stream is attached to again.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::env::Env;
use crate::follow::Watch;
use crate::follow::attach::attach;
use crate::follow::journal_end::{Due, JournalEnd};
use crate::follow::log_end::{LogEnd, Progress};
use crate::format::board::Notice;
use crate::format::file_name::{self, File as FileName};
use crate::format::journal::Change;
use crate::format::meta::{META_LEN, Meta};
use crate::io::place::Place;
use crate::log::{Log, Source, Tail};
use crate::stream::inner::Inner;
use crate::stream::open;
use crate::stream::superblock::Superblock;
use crate::{Error, Result};

/// For so long something that is no whole frame may stand at an end, as it is just being written.
const WRITING_MAX: Duration = Duration::from_millis(100);
/// And for so long what stood there already when the stream was attached to, which told that it is torn: nobody may be writing.
const TORN_MAX: Duration = Duration::from_secs(10);

/// A stream that is kept up to date.
#[derive(Debug)]
pub struct Following {
    inner: Weak<Inner>,
    watch: Arc<Watch>,
    env: Arc<Env>,
    name: Box<[u8]>,
    follower: Mutex<Follower>,
}

impl Following {
    pub fn new(inner: &Arc<Inner>, follower: Follower) -> Self {
        let (watch, env) = (Arc::clone(&follower.watch), Arc::clone(&inner.env));
        let name = inner.name.clone();
        Self { inner: Arc::downgrade(inner), watch, env, name, follower: Mutex::new(follower) }
    }
}

impl Source for Following {
    fn catch_up(&self, log: &Log) -> Result<()> {
        let Some(inner) = self.inner.upgrade() else {
            // Nobody has the stream any more, only entries are read that were there when somebody had.
            log.retired.store(true, Ordering::Release);
            return Ok(());
        };
        let mut follower = self.follower.lock();
        if inner.is_retired() {
            return Ok(());
        }
        let looked = follower.look(&inner);
        if !matches!(looked, Ok(Fate::Same)) {
            let _append = inner.append.lock();
            let _journal = inner.journal.lock();
            inner.log.retired.store(true, Ordering::Release);
        }
        match looked {
            // What is wrong with it is told by whoever attaches to it again.
            Ok(_) | Err(Error::Corrupt { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn has_any(&self, log: &Log, ordinals: Range<u64>) -> bool {
        match attach(&self.watch, &self.env, &self.name) {
            Ok(None) => false,
            Ok(Some(now)) => {
                let from = ordinals.start.max(now.log.tail().floor);
                now.log.incarnation == log.incarnation && now.log.live(from, ordinals.end) > 0
            }
            // Rather an error than an entry that is passed over.
            Err(_) => true,
        }
    }
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The same stream, with what is new taken in.
    Same,
    /// Another stream, or one that cannot be followed any further.
    Over,
}

/// What is known of a stream.
#[derive(Debug)]
pub struct Follower {
    watch: Arc<Watch>,
    place: Arc<Place>,
    meta: Meta,
    bytes_of_meta: Vec<u8>,
    log: LogEnd,
    journal: Option<JournalEnd>,
    /// Where the last notice was found.
    hint: u32,
    /// The number of the last tail.
    version: u64,
    /// The ends of log and journal behind one of which is no whole frame, and since when.
    unfinished: Option<((u64, u64), Instant)>,
    /// The same when the stream was attached to.
    torn: Option<(u64, u64)>,
    /// The ordinal after the last entry that came of a production.
    produced: u64,
}

impl Follower {
    /// Follows a stream from the ends of its log and journal on. `produced` is the ordinal after the last entry that came
    /// of a production.
    pub fn new(
        watch: &Arc<Watch>,
        place: Arc<Place>,
        meta: Meta,
        (log, journal): (LogEnd, Option<JournalEnd>),
        produced: u64,
    ) -> Self {
        let mut follower = Self {
            watch: Arc::clone(watch),
            place,
            meta,
            bytes_of_meta: Vec::new(),
            log,
            journal,
            hint: 0,
            version: 0,
            unfinished: None,
            torn: None,
            produced,
        };
        follower.torn = follower.flawed_ends();
        follower
    }

    fn look(&mut self, inner: &Inner) -> Result<Fate> {
        // Where there was damage, other files may be there now.
        if inner.log.is_doubted() || !self.is_same()? {
            return Ok(Fate::Over);
        }
        let reached = self.journal_reached();
        self.change_journal()?;
        let notice = self.notice();
        if let Some(journal) = &mut self.journal {
            journal.read(notice.as_ref())?;
        }
        let progress = self.log.read(&self.place, &self.meta, notice.as_ref(), &mut self.journal)?;
        let is_news = progress.is_more || !progress.newer.is_empty() || self.journal_reached() != reached;
        // Who has begun to write meanwhile may not have published what was found.
        if notice.is_none() && is_news && self.notice().is_some() {
            return Ok(Fate::Over);
        }
        if !progress.is_more && progress.newer.is_empty() && !self.log.is_there(&self.place)? {
            return Ok(Fate::Over);
        }
        if self.is_stuck() {
            return Ok(Fate::Over);
        }
        let due = self.journal.as_mut().map_or_else(Due::default, |journal| journal.take(self.log.found.next_ordinal));
        // It has those in it that were made before it, and the others were taken into what it replaces.
        if due.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.producers.journaled < self.produced) {
            return Ok(Fate::Over);
        }
        self.take_in(inner, notice.as_ref(), progress, due);
        Ok(Fate::Same)
    }

    /// Which journal is read, and how far.
    fn journal_reached(&self) -> Option<(u64, u64)> {
        self.journal.as_ref().map(|journal| (journal.generation(), journal.offset()))
    }

    fn notice(&mut self) -> Option<Notice> {
        self.watch.board.find(&self.meta.incarnation, &mut self.hint)
    }

    /// Whether the directory is still that of this stream.
    fn is_same(&mut self) -> Result<bool> {
        let bytes = match self.place.read(file_name::META, META_LEN as u64) {
            Ok(Some(bytes)) => bytes,
            Ok(None) | Err(Error::Corrupt { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        if bytes == self.bytes_of_meta {
            return Ok(true);
        }
        // One slot is whole at any time, but the two may have been read at different ones.
        let Ok(meta) = Superblock::decode(&bytes) else { return Ok(true) };
        let meta = meta.current();
        let is_same = meta.incarnation == self.meta.incarnation;
        (self.meta, self.bytes_of_meta) = (meta, bytes);
        Ok(is_same)
    }

    /// Goes on in a new generation of the journal, if there is one.
    fn change_journal(&mut self) -> Result<()> {
        let generation = self.journal.as_ref().map_or(0, JournalEnd::generation);
        // Of several at once, the ones between are gone: an older one goes when this one is noted.
        let is_noted = self.meta.journal.number > generation;
        if !is_noted && self.place.kind(FileName::Journal(generation + 1).name())?.is_none() {
            return Ok(());
        }
        let Some(&newest) = open::list(&self.place)?.journals.last() else { return Ok(()) };
        if newest > generation {
            let (incarnation, watch) = (self.meta.incarnation, Arc::clone(&self.watch));
            let told = || watch.board.find(&incarnation, &mut self.hint);
            self.journal = Some(JournalEnd::begin(&self.place, newest, &incarnation, told)?);
        }
        Ok(())
    }

    /// Whether what is no whole frame has been standing at an end for too long. It is damage, or what a process had begun that
    /// was killed: whoever attaches to the stream can tell.
    fn is_stuck(&mut self) -> bool {
        let ends = self.flawed_ends();
        match (ends, self.unfinished) {
            (None, _) => self.unfinished = None,
            (Some(ends), Some((before, since))) if ends == before => {
                let most = if self.torn == Some(ends) { TORN_MAX } else { WRITING_MAX };
                return since.elapsed() > most;
            }
            (Some(ends), _) => self.unfinished = Some((ends, Instant::now())),
        }
        false
    }

    /// The ends of log and journal, if there is no whole frame behind one of them.
    fn flawed_ends(&self) -> Option<(u64, u64)> {
        let log_is_flawed = matches!(self.log.found.ending, crate::log::scan::Ending::Flawed(_));
        let journal_is_flawed = self.journal.as_ref().is_some_and(|journal| journal.is_flawed);
        let ends = (self.log.found.tail, self.journal.as_ref().map_or(0, JournalEnd::offset));
        (log_is_flawed || journal_is_flawed).then_some(ends)
    }

    /// Takes in what was found, all at once.
    fn take_in(&mut self, inner: &Inner, notice: Option<&Notice>, progress: Progress, due: Due) {
        let Progress { is_more, productions, newer, is_known } = progress;
        if let Some(last) = productions.last() {
            self.produced = last.ordinal + 1;
        }
        let has_moved = !newer.is_empty();
        if has_moved {
            inner.log.extend(is_known, newer);
        }
        let has_changed = due.checkpoint.is_some() || !due.changes.is_empty();
        let tail = {
            let _append = inner.append.lock();
            let mut journaling = inner.journal.lock();
            if let Some(checkpoint) = due.checkpoint {
                // It has none below a floor that is not published yet.
                inner.log.tombstones.write().extend(&checkpoint.tombstones);
                journaling.state = checkpoint.state;
                journaling.groups = checkpoint.groups;
                journaling.producers = checkpoint.producers;
            }
            let mut productions = productions.into_iter().peekable();
            for found in &due.changes {
                while let Some(made) = productions.next_if(|made| made.ordinal < found.next_ordinal) {
                    journaling.producers.take_in(made);
                }
                journaling.apply(&found.change, found.next_ordinal);
                for part in found.change.parts() {
                    if let Change::Delete { ordinals, .. } = part {
                        inner.log.tombstones.write().insert_runs(ordinals);
                    }
                }
            }
            productions.for_each(|made| journaling.producers.take_in(made));
            let tail = self.tail(&journaling.state, notice);
            if is_more || has_moved || has_changed || tail != inner.log.tail() {
                self.version = inner.log.tail().version + 1;
                inner.log.publish(Tail { version: self.version, ..tail });
            }
            tail
        };
        if has_changed || has_moved {
            inner.log.forget_trimmed();
            let dead = inner.log.dead_segments(tail.segment, tail.floor);
            if !dead.is_empty() {
                inner.log.remove(&dead);
            }
        }
    }

    /// The end of the log, as the files tell.
    fn tail(&self, state: &crate::format::journal::State, notice: Option<&Notice>) -> Tail {
        let (found, header) = (&self.log.found, &self.log.segment.header);
        Tail {
            version: self.version,
            segment: header.base,
            offset: found.tail,
            next_ordinal: found.next_ordinal,
            floor: found.floor.max(state.floor).clamp(1, found.next_ordinal.max(1)),
            last_id: last_id(&self.meta, found, state, notice),
            entries_added: open::entries_added(header, found.next_ordinal, state.id_set),
        }
    }
}

/// The last ID of a stream.
pub fn last_id(
    meta: &Meta,
    found: &crate::log::scan::Scan,
    state: &crate::format::journal::State,
    notice: Option<&Notice>,
) -> crate::StreamId {
    let told = open::last_id(found, state.id_set);
    match notice {
        // Recovery may have raised it.
        Some(notice) if notice.next_ordinal == found.next_ordinal => notice.last_id,
        Some(_) => told,
        // As opening the stream finds it.
        None => told.max(meta.ceiling),
    }
}
