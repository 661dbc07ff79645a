//! The end of a journal that another process writes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use crate::format::Identity;
use crate::format::board::Notice;
use crate::format::file_name::File as FileName;
use crate::format::header::{HEADER_LEN, Header, Kind};
use crate::group::aside::Aside;
use crate::group::journal::{self, Found, Reached, Replay};
use crate::io::File;
use crate::io::place::Place;
use crate::io::reading::UpTo;
use crate::log::segment::read_header;
use crate::{Error, Result};

/// A journal, and how far it was read.
#[derive(Debug)]
pub struct JournalEnd {
    pub header: Header,
    file: Arc<dyn File>,
    path: PathBuf,
    reached: Reached,
    /// What it begins with, until that is taken in.
    checkpoint: Option<Aside>,
    /// Changes that were read but name entries that were not.
    ahead: VecDeque<Found>,
    /// Something that is no whole change stands behind them.
    pub is_flawed: bool,
}

/// What is to be taken in of a journal.
#[derive(Debug, Default)]
pub struct Due {
    /// The state to begin from.
    pub checkpoint: Option<Aside>,
    pub changes: Vec<Found>,
}

impl JournalEnd {
    /// Goes on behind what was found when the stream was attached to.
    pub fn behind(place: &Place, replay: &Replay) -> Result<Self> {
        let name = FileName::Journal(replay.header.base_ms).name();
        let file = place.watch(&name)?;
        Ok(Self {
            header: replay.header.clone(),
            file,
            path: replay.path.clone(),
            reached: replay.reached(),
            checkpoint: None,
            ahead: VecDeque::new(),
            is_flawed: replay.flaw.is_some(),
        })
    }

    /// Begins a generation that has taken the place of an older one. `told` says how far others may see, and is asked when
    /// the file is open: what is told then covers what the checkpoint speaks of.
    pub fn begin(
        place: &Place,
        generation: u64,
        incarnation: &Identity,
        told: impl FnOnce() -> Option<Notice>,
    ) -> Result<Self> {
        let name = FileName::Journal(generation).name();
        let (file, path) = (place.watch(&name)?, place.full(&name));
        let header = read_header(&*file, &path, Kind::Journal)?;
        let limit = limit(&header, told().as_ref());
        let there =
            Arc::new(UpTo::new(&file, limit.unwrap_or(u64::MAX)).map_err(|error| Error::io("read", &path, error))?);
        let (mut replay, damage) = journal::replay_file(there, path.clone(), generation, incarnation)?;
        if let Some(damage) = damage {
            return Err(Error::corrupt(&path, damage.offset, damage.what));
        }
        if limit.is_none() {
            replay.keep_checkpoint();
        }
        Ok(Self {
            reached: replay.reached(),
            checkpoint: Some(std::mem::take(&mut replay.checkpoint)),
            ahead: replay.changes.into(),
            header,
            file,
            path,
            is_flawed: replay.flaw.is_some(),
        })
    }

    pub fn generation(&self) -> u64 {
        self.header.base_ms
    }

    /// How many changes were read.
    pub fn count(&self) -> u64 {
        self.reached.changes
    }

    /// How far it was read, in bytes.
    pub fn offset(&self) -> u64 {
        self.reached.offset
    }

    /// Reads what there is, as far as others may see.
    pub fn read(&mut self, notice: Option<&Notice>) -> Result<()> {
        let Some(limit) = limit(&self.header, notice) else { return Ok(()) };
        let there = UpTo::new(&self.file, limit).map_err(|error| Error::io("read", &self.path, error))?;
        let (found, is_flawed) = journal::go_on(&self.header, &there, &self.path, &mut self.reached)?;
        self.ahead.extend(found);
        self.is_flawed = is_flawed;
        Ok(())
    }

    /// Takes out what depends on no entry from `next_ordinal` on.
    pub fn take(&mut self, next_ordinal: u64) -> Due {
        let mut due = Due::default();
        if self.checkpoint.is_some() && self.header.peer > next_ordinal {
            return due;
        }
        due.checkpoint = self.checkpoint.take();
        while let Some(found) = self.ahead.pop_front_if(|found| found.next_ordinal <= next_ordinal) {
            due.changes.push(found);
        }
        due
    }
}

/// How far a journal may be read; `None` if no further than the checkpoint that it begins with.
fn limit(header: &Header, notice: Option<&Notice>) -> Option<u64> {
    match notice {
        Some(notice) if notice.limits => {
            (notice.journal == header.file).then_some(notice.journal_end.max(HEADER_LEN as u64))
        }
        _ => Some(u64::MAX),
    }
}
