//! The end of a log that another process writes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::follow::journal_end::JournalEnd;
use crate::format::board::Notice;
use crate::format::entries::Production;
use crate::format::file_name::File as FileName;
use crate::format::header::Kind;
use crate::format::meta::Meta;
use crate::io::File;
use crate::io::place::Place;
use crate::io::reading::UpTo;
use crate::log::scan::{self, Ending, Scan};
use crate::log::segment::{OUT_OF_PLACE, Segment, Slot, Table, read_header};
use crate::stream::open::check_header;
use crate::{Corruption, Error, Result};

/// The segment that is written to, and how far it was read.
#[derive(Debug)]
pub struct LogEnd {
    pub segment: Arc<Segment>,
    file: Arc<dyn File>,
    /// What was found in it; of its blocks, only the open one.
    pub found: Scan,
}

/// What the log has come to.
#[derive(Debug, Default)]
pub struct Progress {
    /// There are entries that were not there before.
    pub is_more: bool,
    pub productions: Vec<Production>,
    /// The segments that follow the one that was written to; the last one is now.
    pub newer: Vec<Arc<Slot>>,
    /// All of the one that was written to before is known.
    pub is_known: bool,
}

impl LogEnd {
    /// Goes on behind what was found when the stream was attached to. `file` is that of the segment.
    pub fn behind(segment: Arc<Segment>, file: Arc<dyn File>, mut found: Scan) -> Self {
        found.blocks.keep_open();
        Self { segment, file, found }
    }

    /// Whether the file that has the segment's name is still this one. An empty segment may be replaced by another one.
    pub fn is_there(&self, place: &Place) -> Result<bool> {
        let name = FileName::Segment(self.segment.header.base).name();
        let header = place.watch(&name).and_then(|file| read_header(&*file, &self.segment.path, Kind::Segment));
        match header {
            Ok(header) => Ok(header.file == self.segment.header.file),
            Err(Error::Corrupt { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads what there is, as far as others may see and as it depends on no change that was not read.
    pub fn read(
        &mut self,
        place: &Place,
        meta: &Meta,
        notice: Option<&Notice>,
        journal: &mut Option<JournalEnd>,
    ) -> Result<Progress> {
        let mut progress = Progress::default();
        let before = self.found.next_ordinal;
        let limit = self.limit(notice);
        if let Some(limit) = limit {
            self.scan(limit, count(journal), &mut progress)?;
        }
        if (limit.is_none() || matches!(self.found.ending, Ending::Sealed(_)))
            && let bases = self.bases_behind(place)?
            && let Some(&last) = bases.last()
        {
            // What it depends on had been written before it got its name.
            journal.as_mut().map_or(Ok(()), |journal| journal.read(notice))?;
            self.go_on_in(place, meta, last, count(journal), &bases, &mut progress)?;
            if !progress.newer.is_empty()
                && let Some(limit) = self.limit(notice)
            {
                self.scan(limit, count(journal), &mut progress)?;
            }
        }
        progress.is_more = self.found.next_ordinal > before;
        Ok(progress)
    }

    /// How far the segment may be read; `None` if nothing is told of it: no further than it was, unless it has a successor.
    fn limit(&self, notice: Option<&Notice>) -> Option<u64> {
        match notice {
            Some(notice) if notice.limits => (notice.segment == self.segment.header.file).then_some(notice.offset),
            _ => Some(u64::MAX),
        }
    }

    /// The segments behind this one, by their first ordinals.
    fn bases_behind(&self, place: &Place) -> Result<Vec<u64>> {
        let mut bases: Vec<u64> = place
            .list()?
            .into_iter()
            .filter_map(|(name, _)| match FileName::parse(&name) {
                Some(FileName::Segment(base)) if base > self.segment.header.base => Some(base),
                _ => None,
            })
            .collect();
        bases.sort_unstable();
        Ok(bases)
    }

    /// Takes in the frames that are there. A limit that was told has whole frames before it.
    fn scan(&mut self, limit: u64, changes: u64, progress: &mut Progress) -> Result<()> {
        let path = &self.segment.path;
        let header = &self.segment.header;
        let wrap = |error| Error::io("read", path, error);
        if limit <= self.found.tail {
            return Ok(());
        }
        let there = UpTo::new(&self.file, limit).map_err(wrap)?;
        let found = std::mem::replace(&mut self.found, Scan::new(header));
        let was_sealed = matches!(found.ending, Ending::Sealed(_));
        if was_sealed {
            self.found = found;
            return Ok(());
        }
        let mut found = scan::go_on(header, &there, path, changes, found)?;
        progress.productions.append(&mut found.productions);
        if let Ending::Sealed(seal) = &found.ending {
            found.blocks.finish(&there, found.tail, &mut Vec::new()).map_err(wrap)?;
            self.segment.sealed_entries.store(seal.entries, Ordering::Release);
        }
        self.segment.table.write().take_in(&found);
        if matches!(found.ending, Ending::Sealed(_)) {
            self.segment.sealed_end.store(found.tail, Ordering::Release);
        } else if limit != u64::MAX && found.tail < limit {
            return Err(Error::corrupt(path, found.tail, Corruption::Truncated { expected: limit }));
        }
        found.blocks.keep_open();
        self.found = found;
        Ok(())
    }

    /// Goes on in the last of the segments behind this one, if all changes that it builds on were read.
    fn go_on_in(
        &mut self,
        place: &Place,
        meta: &Meta,
        last: u64,
        changes: u64,
        bases: &[u64],
        progress: &mut Progress,
    ) -> Result<()> {
        let name = FileName::Segment(last).name();
        let path = place.full(&name);
        let file = place.watch(&name)?;
        let header = read_header(&*file, &path, Kind::Segment)?;
        check_header(&header, &path, last, meta)?;
        if header.peer > changes {
            return Ok(());
        }
        if let [_] = bases {
            // It has a successor, so all of it is published.
            self.scan(u64::MAX, changes, progress)?;
        }
        progress.is_known = matches!(self.found.ending, Ending::Sealed(_)) && bases.len() == 1;
        if progress.is_known && self.found.next_ordinal > header.base {
            return Err(Error::corrupt(&path, 0, OUT_OF_PLACE));
        }
        let found = Scan { floor: self.found.floor.max(header.floor), ..Scan::new(&header) };
        let segment = Arc::new(Segment::new(header, Arc::clone(&file), path, Table::default()));
        let sealed = bases.iter().filter(|&&base| base != last);
        progress.newer = sealed.map(|&base| Arc::new(Slot::closed(base))).collect();
        progress.newer.push(Arc::new(Slot::opened(Arc::clone(&segment))));
        (self.segment, self.file, self.found) = (segment, file, found);
        Ok(())
    }
}

fn count(journal: &Option<JournalEnd>) -> u64 {
    journal.as_ref().map_or(0, JournalEnd::count)
}
