//! Reading a journal as opening does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::reading::Reading;
use super::{JOURNAL_LEN_MAX, Journal, Reached};
use crate::format::entries::Production;
use crate::format::file_name::File as FileName;
use crate::format::header::{HEADER_LEN, Header, Kind};
use crate::format::journal::Change;
use crate::format::record::Salt;
use crate::format::search::Search;
use crate::group::aside::Aside;
use crate::io::place::Place;
use crate::io::{Access, File};
use crate::log::segment::read_header;
use crate::{Corruption, Error, Result, StreamId};

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
