//! The journal file: appending changes, replaying them, and beginning a new generation.

mod checkpoint;
mod reading;
mod replaying;
mod tailing;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use checkpoint::{Birth, Checkpoint, Content};
pub use replaying::{CheckpointDamage, Found, Replay, replay, replay_file, replay_rest};
pub use tailing::{Reached, go_on};

use crate::format::file_name::File as FileName;
use crate::format::groups::GroupChange;
use crate::format::header::Header;
use crate::format::journal::Change;
use crate::format::record::{self, FRONT_LEN, Head, Salt};
use crate::group::check_key;
use crate::io::File;
use crate::io::place::Place;
use crate::log::append::undo_write;
use crate::{Error, Result};

/// The room a journal has ahead of its end at least, in bytes, so that changes succeed on a full disk.
const RESERVE: u64 = 2048;
/// The room a generation begins with, and the most it grows by at once.
const CAPACITY_FIRST: u64 = 4096;
const GROWTH_MAX: u64 = 1 << 20;
/// A new generation pays when the old one has this many times the bytes of its checkpoint.
const CHECKPOINT_FACTOR: u64 = 4;
/// The most entries that may be deleted behind one that lives: runs of them are small on disk, but a set of so many takes
/// some 100 MB of memory.
const DEAD_MAX: u64 = 1 << 36;
/// The longest journal that is read, and so the longest that is written, in bytes.
const JOURNAL_LEN_MAX: u64 = 4 << 30;

/// The longest change, in bytes: what a frame can hold.
const CHANGE_LEN_MAX: usize = record::BODY_LEN_MAX - 64;

/// The journal of a stream, open for appending.
#[derive(Debug)]
pub struct Journal {
    pub header: Header,
    pub file: Arc<dyn File>,
    pub path: PathBuf,
    /// Where the next change goes.
    pub offset: u64,
    /// How many changes were ever made.
    pub changes: u64,
    /// How far it is known to be synced.
    pub synced: Arc<AtomicU64>,
    /// As for the log: see `Appender::unproven_end`.
    pub unproven_end: u64,
    salt: Salt,
    capacity: u64,
    checkpoint_end: u64,
    watermark: u64,
    peer: u64,
    /// How many entries its changes delete, so that it can be read again.
    dead: u64,
    /// A change, behind room for the front of its frame.
    payload: Vec<u8>,
}

impl Journal {
    /// Writes a generation that begins with this checkpoint, syncs it and gives it its name. The one before is left alone.
    pub fn create(place: &Place, checkpoint: &Checkpoint) -> Result<Self> {
        let Checkpoint { header, bytes: content, dead } = checkpoint;
        let header = header.clone();
        let name = FileName::Journal(header.base_ms);
        let path = place.full(name.name());
        let capacity = capacity_for(content.len() as u64, 0);
        let file = place.create(name.new_name(), capacity)?;
        file.write_at(0, content).map_err(|error| Error::io("write to", &path, error))?;
        file.sync().map_err(|error| Error::io("sync", &path, error))?;
        place.publish(&name.new_name(), &name.name())?;
        let end = content.len() as u64;
        Ok(Self {
            salt: Salt::of(&header.file),
            peer: header.peer,
            changes: header.base,
            header,
            file,
            path,
            offset: end,
            synced: Arc::new(AtomicU64::new(end)),
            unproven_end: 0,
            capacity,
            checkpoint_end: end,
            watermark: end,
            dead: *dead,
            payload: Vec::new(),
        })
    }

    /// Whether a new generation would be much smaller than this one, which is worth it from `bytes_min` bytes on, or this one
    /// nears its greatest length.
    pub fn wants_checkpoint(&self, bytes_min: u64) -> bool {
        self.offset > len_for(self.checkpoint_end, bytes_min)
    }

    /// Appends a change that was made when the next entry had the ordinal `next_ordinal`.
    ///
    /// After an error nothing has been appended.
    pub fn append(&mut self, change: &Change, next_ordinal: u64) -> Result<()> {
        self.encode(change)?;
        let synced = self.synced.load(Ordering::Acquire);
        let head = Head {
            kind: change.kind(),
            position: self.changes as u16,
            synced: (synced > self.watermark).then(|| self.offset - synced),
            peer: (next_ordinal > self.peer).then(|| next_ordinal - self.header.peer),
            floor: None,
        };
        let start = record::encode_in_place(&mut self.payload, self.salt, self.offset, &head, |_| ());
        let len = self.payload.len() - start;
        self.make_room(len as u64)?;
        if let Err(error) = self.file.write_at(self.offset, self.payload.get(start..).unwrap_or_default()) {
            return Err(undo_write(&*self.file, &self.path, self.offset, len, error));
        }
        self.watermark = synced;
        self.peer = next_ordinal;
        self.offset += len as u64;
        self.changes += 1;
        self.dead = self.dead.saturating_add(change.dead());
        Ok(())
    }

    /// Makes sure that a change can be appended, if not even the room set aside for it is used up.
    pub fn reserve(&mut self, change: &Change) -> Result<()> {
        /// The most bytes a frame takes around its payload.
        const OVERHEAD: u64 = 64;
        self.encode(change)?;
        self.make_room((self.payload.len() - FRONT_LEN) as u64 + OVERHEAD)
    }

    /// Puts a change into `payload`, behind [`FRONT_LEN`] bytes of room, if it can be read again.
    fn encode(&mut self, change: &Change) -> Result<()> {
        for part in change.parts() {
            match part {
                Change::Group(GroupChange::CreateGroup(group)) => check_key(&group.name)?,
                Change::Group(GroupChange::CreateConsumer(consumer)) => check_key(&consumer.name)?,
                Change::Group(GroupChange::Remember { producer, key, .. }) => {
                    check_key(producer)?;
                    check_key(key)?;
                }
                _ => {}
            }
        }
        if self.dead.saturating_add(change.dead()) > DEAD_MAX {
            return Err(Error::TooManyDeleted { max: DEAD_MAX });
        }
        self.payload.clear();
        self.payload.extend_from_slice(&[0; FRONT_LEN]);
        change.put(&mut self.payload);
        check_len(self.payload.len() - FRONT_LEN)
    }

    /// Sees to room for `len` bytes, and tries to keep a reserve beyond.
    fn make_room(&mut self, len: u64) -> Result<()> {
        let needed = self.offset + len;
        check_journal_len(needed)?;
        if (needed + RESERVE).min(JOURNAL_LEN_MAX) <= self.capacity {
            return Ok(());
        }
        let wanted = capacity_for(needed, self.capacity.min(GROWTH_MAX));
        match self.file.grow(wanted) {
            Ok(file) => {
                self.file = file;
                self.capacity = wanted;
                Ok(())
            }
            // The reserve is there for just this.
            Err(_) if needed <= self.capacity => Ok(()),
            Err(error) => Err(Error::io("extend", &self.path, error)),
        }
    }

    /// What a sync needs to know, so that it can be done without a lock.
    pub fn unsynced(&mut self) -> Result<Unsynced> {
        self.prove()?;
        let (file, synced) = (Arc::clone(&self.file), Arc::clone(&self.synced));
        Ok(Unsynced { file, path: self.path.clone(), end: self.offset, synced })
    }

    /// Writes again what may be in the page cache only.
    fn prove(&mut self) -> Result<()> {
        let from = self.synced.load(Ordering::Acquire);
        let end = self.unproven_end;
        if from < end {
            let mut bytes = vec![0; usize::try_from(end - from).unwrap_or(usize::MAX)];
            self.file.read_at(from, &mut bytes).map_err(|error| Error::io("read", &self.path, error))?;
            self.file.write_at(from, &bytes).map_err(|error| Error::io("write to", &self.path, error))?;
        }
        // Not before: who found no room for it comes again.
        self.unproven_end = 0;
        Ok(())
    }
}

/// How long a generation with such a checkpoint gets. Where several times the checkpoint is too long, it is half of the room
/// that is left.
fn len_for(checkpoint_end: u64, bytes_min: u64) -> u64 {
    let worth_it = bytes_min.max(checkpoint_end.saturating_mul(CHECKPOINT_FACTOR));
    worth_it.min(checkpoint_end.midpoint(JOURNAL_LEN_MAX))
}

/// The room for a journal of `len` bytes, with a reserve and about `growth` bytes beyond, if it can be that long.
fn capacity_for(len: u64, growth: u64) -> u64 {
    (len + RESERVE + growth).next_multiple_of(CAPACITY_FIRST).min(JOURNAL_LEN_MAX)
}

/// Whether a change was refused for lack of room in the journal, on the disk or below its greatest length: a new generation may
/// have it.
pub fn lacks_room(error: &Error) -> bool {
    error.lacks_room() || matches!(error, Error::ChangeTooLarge { max: JOURNAL_LEN_MAX, .. })
}

fn check_journal_len(len: u64) -> Result<()> {
    if len <= JOURNAL_LEN_MAX { Ok(()) } else { Err(Error::ChangeTooLarge { len, max: JOURNAL_LEN_MAX }) }
}

fn check_len(len: usize) -> Result<()> {
    match len {
        len if len > CHANGE_LEN_MAX => Err(Error::ChangeTooLarge { len: len as u64, max: CHANGE_LEN_MAX as u64 }),
        _ => Ok(()),
    }
}

/// A journal as far as it went at some moment.
#[derive(Debug)]
pub struct Unsynced {
    file: Arc<dyn File>,
    path: PathBuf,
    end: u64,
    synced: Arc<AtomicU64>,
}

impl Unsynced {
    /// Makes it durable, if it is not yet.
    pub fn sync(self) -> Result<()> {
        if self.synced.load(Ordering::Acquire) < self.end {
            self.file.sync().map_err(|error| Error::unsynced(&self.path, error))?;
            self.synced.fetch_max(self.end, Ordering::AcqRel);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
