//! Going on in a new segment, and removing those in which nothing is alive.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::format::file_name::File as FileName;
use crate::format::groups::GroupChange;
use crate::format::header::{HEADER_LEN, Header};
use crate::format::journal::Change;
use crate::format::new_entries::NewEntries;
use crate::group::journal::{self, Journal};
use crate::io::File;
use crate::log::append::{Appender, begin_segment, capacity_for, check_fits};
use crate::log::segment::{Segment, Table, write_index};
use crate::metrics::Operation;
use crate::store::budget::Promise;
use crate::stream::inner::Inner;
use crate::stream::open::mark;
use crate::{Error, Result};

/// An active segment of which nothing is alive is replaced when it is larger than this.
const DEAD_ACTIVE_MAX: u64 = 64 << 10;

impl Inner {
    /// Counts entries that were deleted from the front as trimmed: it is the same, and takes no memory.
    pub fn pass_deleted(&self, appender: &mut Appender) {
        let first_live = self.log.first_live(&appender.tail());
        if first_live > appender.floor {
            appender.trim(first_live);
        }
        self.log.forget_trimmed();
    }

    /// Goes on in a new segment, in which `entries` fit, having made the room that is to be kept free.
    pub fn rotate(&self, entries: &NewEntries) -> Result<()> {
        check_fits(entries)?;
        // Whoever comes meanwhile needs no room of its own: it finds what this makes.
        let _rotation = self.rotation.lock();
        let room = self.make_room(entries);
        let _turn = self.turn.lock();
        self.rotate_into(room, entries, false)
    }

    /// As [`rotate`](Self::rotate), for whoever has the turn; `always` if there is a need that cannot be seen from the
    /// appender.
    pub fn rotate_in_turn(&self, entries: &NewEntries, always: bool) -> Result<()> {
        self.rotate_into(None, entries, always)
    }

    /// As [`rotate_in_turn`](Self::rotate_in_turn), into room that was made for it.
    fn rotate_into(&self, room: Option<Promise<'_>>, entries: &NewEntries, always: bool) -> Result<()> {
        self.env.check_writable()?;
        let header = {
            let mut append = self.append.lock();
            if self.is_retired() || (append.appender.has_room(entries) && !always) {
                return Ok(());
            }
            append.appender.stopped = true;
            self.pass_deleted(&mut append.appender);
            let base_ms = entries.list.first().map_or_else(|| self.env.now_ms(), |entry| entry.id.ms());
            append.appender.successor(self.env.new_identity(), base_ms, self.changes.load(Ordering::SeqCst))
        };
        let _watch = self.env.operations.watch(Operation::Rotate, &self.name);
        let rotated = self
            .journal_productions_in_turn()
            .and_then(|()| self.allocate_segment(&header, entries, always))
            .and_then(|file| {
                // From here on it counts as what the file takes.
                drop(room);
                self.replace_segment(header, file)
            });
        if rotated.is_err() {
            let appender = &mut self.append.lock().appender;
            // Behind a seal nothing can follow: whoever comes next goes on with the rotation.
            appender.stopped = appender.segment.sealed_end.load(Ordering::Acquire) != u64::MAX;
        }
        rotated
    }

    /// Puts into the journal what is remembered of productions: only the frames of the last segment are read when a stream
    /// is opened. Nothing is added meanwhile.
    fn journal_productions_in_turn(&self) -> Result<()> {
        {
            let mut journaling = self.journal.lock();
            if !journaling.producers.unjournaled {
                return Ok(());
            }
            // One that has grown long, or is not there, is replaced.
            if journaling.is_ready(true) {
                let next_ordinal = self.next_ordinal.load(Ordering::SeqCst);
                let memory = journaling.producers.memory(next_ordinal);
                match self.write(&mut journaling, &Change::Group(GroupChange::Producers(memory))) {
                    // A new generation has them, too, and can have what the store has set aside.
                    Err(error) if journal::lacks_room(&error) => {}
                    written => return written.map(|_| ()),
                }
            }
        }
        self.replace_journal_in_turn()
    }

    /// Allocates the file of a new segment: as large as it should be or, on a disk that is almost full, as large as it can.
    fn allocate_segment(&self, header: &Header, entries: &NewEntries, always: bool) -> Result<Arc<dyn File>> {
        let name = FileName::Segment(header.base).new_name();
        let least = capacity_for(entries, self.env.segment_bytes_first);
        // Where there is nothing to add, the segment is to replace one that is dead or torn, and its size is open.
        let mut capacity = match entries.list.is_empty() {
            true => least,
            false => self.next_capacity(&self.append.lock(), entries),
        };
        while capacity > least {
            match self.place.create(&name, capacity) {
                Err(error) if error.lacks_room() => capacity = (capacity / 4).next_multiple_of(4096).max(least),
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
        // Once it has its name, there is no way back: nobody finds what is added to a segment that it replaces.
        let note = |()| self.superblock.update(&self.place, |meta| meta.log = mark).map_err(Error::unfinished);
        self.env.poisoning(self.finish_rotation(&sealed, replaces, name).and_then(note))?;
        let base = sealed.header.base;
        // Nothing is added meanwhile. What dies meanwhile is removed the next time.
        let floor = self.append.lock().appender.floor;
        let mut dead = self.log.dead_segments(segment.header.base, floor);
        if replaces {
            dead.push(base);
        }
        self.log.prepare_removal(&dead);
        let mut append = self.append.lock();
        let index = (!replaces).then(|| append.appender.index());
        append.appender.go_on_in(Arc::clone(&segment))?;
        self.touched.store(true, Ordering::Relaxed);
        let removed = self.log.replace(&dead, segment);
        let tail = append.appender.tail();
        // Whoever waits until entries are durable is not told here: other processes see them from the next notice on, which is
        // posted by the commit that they wait for.
        let is_more = self.log.publish(tail);
        drop(append);
        self.log.close_removed(&removed);
        if is_more {
            self.env.waiters.published(&self.name, tail.last_id);
        }
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
            let _watch = self.env.operations.watch(Operation::Sync, &self.name);
            sealed.file.sync().map_err(|error| Error::unsynced(&sealed.path, error))?;
        }
        let journal = self.journal.lock().journal.as_mut().map(Journal::unsynced).transpose()?;
        journal.map_or(Ok(()), |journal| journal.sync())?;
        self.place.publish(&name.new_name(), &name.name())
    }

    /// The sealed segments in which no entry is alive.
    fn dead_segments(&self, appender: &Appender) -> Vec<u64> {
        self.log.dead_segments(appender.segment.header.base, appender.floor)
    }

    /// Removes what a change has left without a living entry. The change is made, whatever comes of this: what is dead is
    /// dead, and its room comes back with a later change or when the stream is opened. A failure that leaves the disk in
    /// doubt poisons the store, and is told to whoever writes next.
    pub fn reclaim_if_possible(&self) {
        let _ = self.reclaim();
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
        let dead = self.dead_segments(&self.append.lock().appender);
        self.log.remove(&dead);
        self.remove_files(&dead)
    }

    /// Removes the files of segments, the oldest first.
    fn remove_files(&self, bases: &[u64]) -> Result<()> {
        if bases.is_empty() {
            return Ok(());
        }
        self.journal.lock().cursors.clear();
        // What was removed is to stay removed before its bytes go (rule 9 of the design).
        self.sync()?;
        for &base in bases {
            self.place.remove(FileName::Segment(base).name())?;
            self.place.remove(FileName::Index(base).name())?;
        }
        self.env.reserve.refill();
        Ok(())
    }
}
