//! The journal file: appending changes, replaying them, and beginning a new generation.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::format::NUMBER_MAX;
use crate::format::entries::Production;
use crate::format::file_name::File as FileName;
use crate::format::groups::GroupChange;
use crate::format::header::{HEADER_LEN, Header, Kind};
use crate::format::journal::{Change, DEAD_RUNS_MAX, State, runs_in_parts};
use crate::format::record::{self, FRAME_LEN_MIN, FRONT_LEN, Flaw, Frame, Head, Salt};
use crate::format::search::Search;
use crate::group::producers::{DURATION_S_MAX, LEN_MAX, Producers};
use crate::group::{Groups, check_key};
use crate::io::place::Place;
use crate::io::{Access, File};
use crate::log::append::undo_write;
use crate::log::segment::read_header;
use crate::log::tombstones::Tombstones;
use crate::{Corruption, Error, Result, StreamId};

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

/// Everything of a stream that is not in its log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aside {
    pub state: State,
    pub tombstones: Tombstones,
    pub groups: Groups,
    pub producers: Producers,
}

impl Aside {
    /// Takes in a change that was made when the next entry had the ordinal `next_ordinal`.
    pub fn apply(&mut self, change: &Change, next_ordinal: u64) {
        for part in change.parts() {
            self.state.apply(part, next_ordinal);
            match part {
                Change::Delete { ordinals, .. } | Change::Dead { ordinals } => self.tombstones.insert_runs(ordinals),
                Change::Group(change) => {
                    self.groups.apply(change);
                    self.producers.apply(change);
                }
                _ => {}
            }
        }
    }

    /// Takes in a production that was found in the log, unless the journal has it.
    pub fn take_in(&mut self, production: Production) {
        if production.ordinal >= self.producers.journaled {
            self.producers.produced(production);
        }
    }
}

/// What a checkpoint is made of.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    pub state: &'a State,
    pub tombstones: &'a Tombstones,
    pub groups: &'a Groups,
    pub producers: &'a Producers,
}

/// A new generation, ready to be written.
#[derive(Debug)]
pub struct Checkpoint {
    header: Header,
    bytes: Vec<u8>,
    dead: u64,
}

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

/// What identifies a new generation.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    pub store: [u8; 16],
    pub incarnation: [u8; 16],
    pub file: [u8; 16],
    pub generation: u64,
    pub predecessor: [u8; 16],
    pub changes: u64,
    pub next_ordinal: u64,
}

impl Checkpoint {
    /// Encodes what a generation begins with. Fails if that is more than can be read again.
    pub fn encode(birth: Birth, content: Content<'_>) -> Result<Self> {
        let header = Header {
            kind: Kind::Journal,
            store: birth.store,
            incarnation: birth.incarnation,
            file: birth.file,
            base: birth.changes,
            peer: birth.next_ordinal,
            entries_added: 0,
            previous_id: StreamId::MIN,
            floor: 0,
            base_ms: birth.generation,
            predecessor: birth.predecessor,
        };
        let mut bytes = Vec::from(header.encode());
        let mut payload = Vec::new();
        let mut longest = 0;
        let mut put = |change: Change| {
            payload.clear();
            change.put(&mut payload);
            longest = payload.len().max(longest);
            let head = Head { kind: change.kind(), position: header.base as u16, ..Head::default() };
            let offset = bytes.len() as u64;
            // What is too long already is not made longer.
            if offset <= JOURNAL_LEN_MAX {
                record::encode(&mut bytes, Salt::of(&header.file), offset, &head, &[&payload]);
            }
        };
        put(Change::State(content.state.clone()));
        runs_in_parts(content.tombstones.set(), DEAD_RUNS_MAX, |ordinals| put(Change::Dead { ordinals }));
        content.groups.checkpoint(|change| put(Change::Group(change)));
        if !content.producers.is_default() {
            put(Change::Group(GroupChange::Memory(content.producers.memory(birth.next_ordinal))));
        }
        put(Change::Checkpoint);
        check_len(longest)?;
        check_journal_len(bytes.len() as u64)?;
        Ok(Self { header, bytes, dead: content.tombstones.set().len() })
    }
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

/// A change that was found in a journal.
#[derive(Clone, Debug)]
pub struct Found {
    pub change: Change,
    /// The ordinal the next entry had.
    pub next_ordinal: u64,
    /// Where its frame begins.
    pub offset: u64,
}

/// What a journal holds.
#[derive(Debug)]
pub struct Replay {
    pub header: Header,
    pub file: Arc<dyn File>,
    pub path: PathBuf,
    /// The state it begins with.
    pub checkpoint: Aside,
    /// The changes since, all that are intact.
    pub changes: Vec<Found>,
    /// How many entries all of these delete.
    dead: u64,
    /// Where the changes begin, and the offset after the last intact one.
    pub checkpoint_end: u64,
    pub end: u64,
    /// What stands there, if it is not nothing.
    pub flaw: Option<Corruption>,
    /// The highest watermark that an intact frame carried, also behind the flaw.
    pub synced: u64,
    /// The highest ID that was named behind the flaw.
    pub highest_id: StreamId,
}

/// Damage in what a journal begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointDamage {
    pub offset: u64,
    pub what: Corruption,
    /// It may have been of groups.
    pub hit_groups: bool,
}

/// Reads a journal, which begins with a complete checkpoint or is damaged.
pub fn replay(place: &Place, generation: u64, incarnation: &[u8; 16]) -> Result<Replay> {
    let (replay, damage) = replay_rest(place, generation, incarnation)?;
    match damage {
        Some(CheckpointDamage { offset, what, .. }) => Err(Error::corrupt(&replay.path, offset, what)),
        None => Ok(replay),
    }
}

/// As [`replay`], with what can be read of a damaged checkpoint.
pub fn replay_rest(
    place: &Place,
    generation: u64,
    incarnation: &[u8; 16],
) -> Result<(Replay, Option<CheckpointDamage>)> {
    let name = FileName::Journal(generation).name();
    replay_file(place.open(&name, Access::Write)?, place.full(&name), generation, incarnation)
}

/// As [`replay_rest`], of a file that is open.
pub fn replay_file(
    file: Arc<dyn File>,
    path: PathBuf,
    generation: u64,
    incarnation: &[u8; 16],
) -> Result<(Replay, Option<CheckpointDamage>)> {
    let header = read_header(&*file, &path, Kind::Journal)?;
    if header.incarnation != *incarnation || header.base_ms != generation {
        return Err(Error::corrupt(&path, 0, Corruption::Foreign("the journal is another stream's or out of place")));
    }
    let bytes = read_all(&*file, &path)?;
    let mut reading = Reading {
        salt: Salt::of(&header.file),
        bytes: &bytes,
        start: 0,
        at: HEADER_LEN,
        first_ordinal: header.peer,
        next_ordinal: header.peer,
        position: header.base as u16,
        synced: 0,
        dead: 0,
    };
    let (checkpoint, damage) = reading.checkpoint(&header);
    let checkpoint_end = reading.at as u64;
    let mut changes = Vec::new();
    let flaw = loop {
        match reading.next() {
            Ok(Some(found)) if found.change.is_checkpoint_part() => {
                break Some(Corruption::Malformed("a second checkpoint"));
            }
            Ok(Some(found)) => changes.push(found),
            Ok(None) => break None,
            Err(what) => break Some(what),
        }
    };
    let end = reading.at as u64;
    let blank = bytes.get(reading.at..).unwrap_or_default().iter().all(|&byte| byte == 0);
    let flaw = flaw.or_else(|| (!blank).then_some(Corruption::Malformed("zeros where a record should be")));
    let (mut synced, mut highest_id) = (reading.synced, StreamId::MIN);
    if flaw.is_some() {
        look_beyond(&header, &reading, &mut synced, &mut highest_id);
    }
    let dead = reading.dead;
    let replay =
        Replay { header, file, path, checkpoint, changes, dead, checkpoint_end, end, flaw, synced, highest_id };
    Ok((replay, damage))
}

fn read_all(file: &dyn File, path: &Path) -> Result<Vec<u8>> {
    let wrap = |error| Error::io("read", path, error);
    let len = file.len().map_err(wrap)?;
    if len > JOURNAL_LEN_MAX {
        return Err(Error::corrupt(
            path,
            JOURNAL_LEN_MAX,
            Corruption::Malformed("the journal is over the length limit"),
        ));
    }
    let mut bytes = Vec::new();
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(len).map_err(|_| wrap(std::io::ErrorKind::OutOfMemory.into()))?;
    bytes.resize(len, 0);
    file.read_at(0, &mut bytes).map_err(wrap)?;
    Ok(bytes)
}

struct Reading<'a> {
    salt: Salt,
    bytes: &'a [u8],
    /// Where the bytes begin in the file.
    start: u64,
    at: usize,
    first_ordinal: u64,
    next_ordinal: u64,
    position: u16,
    synced: u64,
    /// How many entries were deleted.
    dead: u64,
}

impl<'a> Reading<'a> {
    /// The next change; `None` at zeros or the end.
    fn next(&mut self) -> Result<Option<Found>, Corruption> {
        match self.frame() {
            Ok(frame) => self.take(&frame).map(Some),
            Err(Flaw::Blank) => Ok(None),
            Err(flaw) => Err(flaw.into()),
        }
    }

    fn frame(&self) -> Result<Frame<'a>, Flaw> {
        let bytes: &'a [u8] = self.bytes;
        record::decode(bytes.get(self.at..).unwrap_or_default(), self.salt, self.offset())
    }

    /// Where the next frame begins in the file.
    fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    fn take(&mut self, frame: &Frame<'_>) -> Result<Found, Corruption> {
        if frame.head.position != self.position {
            return Err(Corruption::Malformed("a change out of sequence"));
        }
        if let Some(peer) = frame.head.peer {
            self.next_ordinal = self.first_ordinal.saturating_add(peer);
        }
        let change = Change::decode(frame.head.kind, frame.payload)
            .filter(|change| self.is_possible(change))
            .ok_or(Corruption::Malformed("a change that cannot be decoded"))?;
        let offset = self.offset();
        self.synced = self.synced.max(frame.head.synced.map_or(0, |before| offset.saturating_sub(before)));
        self.position = self.position.wrapping_add(u16::from(!change.is_checkpoint_part()));
        self.at += frame.len;
        Ok(Found { change, next_ordinal: self.next_ordinal, offset })
    }
}

impl Reading<'_> {
    /// What the journal begins with, as far as it can be read, and the first thing that is wrong with it.
    fn checkpoint(&mut self, header: &Header) -> (Aside, Option<CheckpointDamage>) {
        let mut checkpoint = Aside::default();
        let mut damage: Option<CheckpointDamage> = None;
        let mut search = Search::new(header, self.bytes, 0);
        let no_end = || Corruption::Malformed("the journal does not begin with a checkpoint");
        loop {
            let (at, position) = (self.at, self.position);
            let what = match self.next() {
                Ok(Some(Found { change: Change::Checkpoint, .. })) => return (checkpoint, damage),
                Ok(Some(Found { change, .. })) if change.is_checkpoint_part() => {
                    if let (Some(damage), Change::State(_) | Change::Dead { .. }) = (&mut damage, &change) {
                        damage.hit_groups = false;
                    }
                    checkpoint.apply(&change, header.peer);
                    continue;
                }
                Ok(Some(_)) => {
                    // What marks the end is lost.
                    (self.at, self.position, self.next_ordinal) = (at, position, self.first_ordinal);
                    None
                }
                Ok(None) => None,
                Err(what) => Some(what),
            };
            let offset = at as u64;
            let is_end = what.is_none();
            let what = what.unwrap_or_else(no_end);
            // It may have been of groups, unless something follows that comes before them.
            damage.get_or_insert(CheckpointDamage { offset, what, hit_groups: true }).hit_groups = true;
            match search.next(at + 1).filter(|_| !is_end) {
                Some((next, _)) => self.at = next,
                None => return (checkpoint, damage),
            }
        }
    }

    /// Whether the numbers in a change are such as a stream can have that has had the entries before `next_ordinal`.
    fn is_possible(&mut self, change: &Change) -> bool {
        change.parts().iter().all(|part| match part {
            Change::Delete { ordinals, .. } | Change::Dead { ordinals } => {
                self.dead = self.dead.saturating_add(part.dead());
                self.dead <= DEAD_MAX && ordinals.last().is_none_or(|run| run.last < self.next_ordinal.min(NUMBER_MAX))
            }
            Change::Trim { floor } => *floor < NUMBER_MAX,
            Change::State(state) => {
                state.floor < NUMBER_MAX && state.id_set.is_none_or(|set| set.next_ordinal < NUMBER_MAX)
            }
            Change::Group(change) => is_possible_in_groups(change),
            Change::SetId { .. } | Change::Several(_) | Change::Checkpoint => true,
        })
    }
}

fn is_possible_in_groups(change: &GroupChange) -> bool {
    match change {
        GroupChange::CreateGroup(group) | GroupChange::Group(group) => group.group < NUMBER_MAX,
        GroupChange::Pending { runs, .. } => {
            runs.iter().all(|run| run.order < NUMBER_MAX && (run.ids.len() as u64) < NUMBER_MAX)
        }
        GroupChange::Configure { duration_s, max_len } => is_possible_limit(*duration_s, *max_len),
        GroupChange::Producers(memory) | GroupChange::Memory(memory) => {
            let fits = |list: &Vec<_>| list.len() as u64 <= memory.max_len;
            memory.next_ordinal < NUMBER_MAX
                && is_possible_limit(memory.duration_s, memory.max_len)
                && memory.producers.iter().all(|(_, list)| fits(list))
        }
        _ => true,
    }
}

fn is_possible_limit(duration_s: u64, max_len: u64) -> bool {
    duration_s <= DURATION_S_MAX && max_len <= LEN_MAX
}

fn look_beyond(header: &Header, reading: &Reading<'_>, synced: &mut u64, highest_id: &mut StreamId) {
    let mut search = Search::new(header, reading.bytes, 0);
    let mut at = reading.at + 1;
    while let Some((found, frame)) = search.next(at) {
        *synced = (*synced).max(frame.head.synced.map_or(0, |before| (found as u64).saturating_sub(before)));
        if let Some(change) = Change::decode(frame.head.kind, frame.payload) {
            *highest_id = (*highest_id).max(change.highest_id());
        }
        at = found + frame.len;
    }
}

/// Where reading a journal goes on that somebody else writes.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    pub offset: u64,
    /// How many changes there are before.
    pub changes: u64,
    next_ordinal: u64,
    dead: u64,
}

/// Reads the changes from there to the end of a file, as far as they are whole; says whether something else stands there.
pub fn go_on(header: &Header, file: &dyn File, path: &Path, reached: &mut Reached) -> Result<(Vec<Found>, bool)> {
    /// How many bytes are read first; each further time twice as many.
    const CHUNK_LEN: usize = 4096;
    let wrap = |error| Error::io("read", path, error);
    let len = file.len().map_err(wrap)?.min(JOURNAL_LEN_MAX);
    let (mut found, mut wanted) = (Vec::new(), CHUNK_LEN);
    loop {
        let there = usize::try_from(len.saturating_sub(reached.offset)).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(there.min(wanted)).map_err(|_| wrap(std::io::ErrorKind::OutOfMemory.into()))?;
        bytes.resize(there.min(wanted), 0);
        file.read_at(reached.offset, &mut bytes).map_err(wrap)?;
        let mut reading = Reading {
            salt: Salt::of(&header.file),
            bytes: &bytes,
            start: reached.offset,
            at: 0,
            first_ordinal: header.peer,
            next_ordinal: reached.next_ordinal,
            position: reached.changes as u16,
            synced: 0,
            dead: reached.dead,
        };
        let flaw = loop {
            match reading.frame() {
                Ok(frame) => match reading.take(&frame) {
                    Ok(change) if !change.change.is_checkpoint_part() => found.push(change),
                    _ => break Flaw::Malformed("not a change"),
                },
                Err(flaw) => break flaw,
            }
            reached.offset = reading.offset();
            (reached.next_ordinal, reached.dead) = (reading.next_ordinal, reading.dead);
            reached.changes += 1;
        };
        let left = bytes.len().saturating_sub(reading.at);
        let needed = match flaw {
            Flaw::Short(needed) => needed,
            Flaw::Blank => FRAME_LEN_MIN,
            _ => 0,
        };
        if needed <= left || bytes.len() == there {
            return Ok((found, flaw != Flaw::Blank && left > 0));
        }
        wanted = (wanted * 2).max(needed);
    }
}

impl Replay {
    /// Where reading goes on.
    pub fn reached(&self) -> Reached {
        let next_ordinal = self.changes.last().map_or(self.header.peer, |found| found.next_ordinal);
        Reached { offset: self.end, changes: self.count(), next_ordinal, dead: self.dead }
    }

    /// Drops all changes since the checkpoint.
    pub fn keep_checkpoint(&mut self) {
        self.changes.clear();
        self.end = self.checkpoint_end;
        self.dead = self.checkpoint.tombstones.set().len();
    }

    /// The number of changes there are, also those before this generation.
    pub fn count(&self) -> u64 {
        self.header.base + self.changes.len() as u64
    }

    /// The ordinal after the entries that were there when the last change was made of which it is known that it was synced: so
    /// were they, before.
    pub fn proven(&self) -> u64 {
        let synced = self.changes.iter().take_while(|found| found.offset < self.synced);
        synced.last().map_or(self.header.peer, |found| found.next_ordinal)
    }

    /// Drops the changes that depend on entries from `next_ordinal` on, of which the log has none; returns whether there
    /// were any.
    pub fn cut(&mut self, next_ordinal: u64) -> bool {
        let keep = self.changes.partition_point(|found| found.next_ordinal <= next_ordinal);
        let Some(first) = self.changes.get(keep) else { return false };
        self.end = first.offset;
        for found in self.changes.drain(keep..) {
            self.highest_id = self.highest_id.max(found.change.highest_id());
        }
        true
    }

    /// The state after all changes, and after the productions that are in the log; taken out of the replay, as the changes
    /// are: the memory of each is there for what comes of the next ones.
    pub fn take_aside(&mut self, productions: Vec<Production>) -> Aside {
        let mut aside = std::mem::take(&mut self.checkpoint);
        let mut productions = productions.into_iter().peekable();
        for found in &mut self.changes {
            while let Some(production) = productions.next_if(|production| production.ordinal < found.next_ordinal) {
                aside.take_in(production);
            }
            let change = std::mem::replace(&mut found.change, Change::Checkpoint);
            aside.apply(&change, found.next_ordinal);
        }
        productions.for_each(|production| aside.take_in(production));
        aside
    }

    /// Goes on appending where the changes end.
    pub fn into_journal(self, synced: u64) -> Result<Journal> {
        let capacity = self.file.len().map_err(|error| Error::io("look at", &self.path, error))?;
        let peer = self.changes.last().map_or(self.header.peer, |found| found.next_ordinal);
        let synced = synced.max(self.checkpoint_end);
        Ok(Journal {
            salt: Salt::of(&self.header.file),
            changes: self.count(),
            offset: self.end,
            synced: Arc::new(AtomicU64::new(synced)),
            unproven_end: self.end,
            capacity,
            checkpoint_end: self.checkpoint_end,
            watermark: self.synced.max(self.checkpoint_end),
            peer,
            dead: self.dead,
            header: self.header,
            file: self.file,
            path: self.path,
            payload: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
