//! The directory of a stream, as it was at one moment, at another place.
//!
//! All segments but the last are sealed: their bytes never change, and trimming, deleting and repairing remove or replace the
//! file under the name. So another name for the same file (a hard link) is as good as a copy, and takes no room.
//!
//! The rest is copied as far as it was valid at that moment, with zeros behind it, and a superblock that says so: a stream that
//! ends where its end is noted was closed, as far as opening can tell. Damage to its last bytes would be noticed, then, and
//! not taken for what a crash has left.

use std::path::Path;
use std::sync::Arc;

use super::backup::Sharing;
use crate::follow::picture::Picture;
use crate::format::file_name::{self, File as FileName};
use crate::format::header::{Header, Kind};
use crate::format::meta::{META_LEN, Meta};
use crate::io::place::Place;
use crate::io::{Access, File};
use crate::log::segment::read_header;
use crate::stream::open::mark;
use crate::{Corruption, Error, Result};

/// So much is copied at a time.
const PIECE: usize = 1 << 20;

/// A stream that is being copied.
pub struct Copying<'a> {
    /// Its directory, as it was at one moment.
    pub from: &'a Place,
    pub picture: &'a Picture,
    pub meta: &'a Meta,
    /// The directory of the copy, which is new and empty.
    pub to: &'a Place,
    /// That of an earlier copy, of which sealed segments are taken.
    pub earlier: Option<&'a Place>,
    pub sharing: Sharing,
}

/// How many bytes are shared with other files, and how many were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    pub shared: u64,
    pub copied: u64,
}

impl Copying<'_> {
    /// Copies everything and syncs it, but for the name of the directory. `progress` is told how many bytes there are more.
    pub fn run(&self, progress: &mut dyn FnMut(u64)) -> Result<Bytes> {
        let mut bytes = Bytes::default();
        let Some((&last, sealed)) = self.picture.files.segments.split_last() else { return Ok(bytes) };
        for &base in sealed {
            let name = FileName::Segment(base).name();
            let len = self.sealed(&name, base, &mut bytes)?;
            progress(len);
            // A cache, which comes and goes.
            let _ = self.copy(&FileName::Index(base).name(), None);
        }
        let log = FileName::Segment(last).name();
        let mut marks = [self.growing(&log, Kind::Segment, self.picture.tail.offset, &mut bytes, progress)?; 2];
        marks[1] = match &self.picture.journal {
            None => crate::format::meta::Mark::default(),
            Some(journal) => {
                let name = FileName::Journal(journal.generation).name();
                self.growing(&name, Kind::Journal, journal.end, &mut bytes, progress)?
            }
        };
        self.superblock(marks)?;
        self.to.sync()?;
        Ok(bytes)
    }

    /// A segment that does not change any more; returns its length.
    fn sealed(&self, name: &Path, base: u64, bytes: &mut Bytes) -> Result<u64> {
        let from = self.from.open(name, Access::Read)?;
        let len = self.told(self.from, name, from.len())?;
        let here = self.to.full(name);
        let linked = match self.sharing {
            Sharing::Link => self.from.disk().link_out(&self.from.at(name), &here).is_ok(),
            Sharing::Copy => false,
        };
        let linked = linked || self.earlier.is_some_and(|earlier| self.link_earlier(earlier, name, &*from, &here));
        if !linked {
            self.copy(name, None)?;
        }
        // The name may have come to be another stream's meanwhile.
        let copy = self.to.open(name, Access::Read)?;
        let header = read_header(&*copy, &here, Kind::Segment)?;
        if header.incarnation != self.meta.incarnation || header.base != base {
            return Err(Error::corrupt(&self.from.full(name), 0, Corruption::Missing));
        }
        *if linked { &mut bytes.shared } else { &mut bytes.copied } += len;
        Ok(len)
    }

    /// Takes the segment of an earlier copy, if it is the same one, to the last byte.
    fn link_earlier(&self, earlier: &Place, name: &Path, from: &dyn File, here: &Path) -> bool {
        let Ok(there) = earlier.open(name, Access::Read) else { return false };
        // A copy that is asked for must not be another name of what it is a copy of.
        let is_shared = self.sharing == Sharing::Copy
            && self.from.disk().is_same_file(&self.from.at(name), &earlier.full(name)).unwrap_or(true);
        !is_shared
            && are_same(from, &*there).unwrap_or(false)
            && earlier.disk().link_out(&earlier.at(name), here).is_ok()
    }

    /// A file that grows: its bytes before `end`, and what it has room for besides.
    fn growing(
        &self,
        name: &Path,
        kind: Kind,
        end: u64,
        bytes: &mut Bytes,
        progress: &mut dyn FnMut(u64),
    ) -> Result<crate::format::meta::Mark> {
        let copy = self.copy(name, Some(end))?;
        bytes.copied += end;
        progress(end);
        let header: Header = read_header(&*copy, &self.to.full(name), kind)?;
        Ok(mark(&header, end))
    }

    /// Copies a file, or what is before `end`, and syncs it.
    fn copy(&self, name: &Path, end: Option<u64>) -> Result<Arc<dyn File>> {
        let from = self.from.open(name, Access::Read)?;
        let len = self.told(self.from, name, from.len())?;
        let end = end.unwrap_or(len).min(len);
        let to = self.to.create(name, len)?;
        let mut piece = vec![0; PIECE.min(usize::try_from(end).unwrap_or(PIECE))];
        let mut offset = 0;
        while offset < end {
            let count = usize::try_from(end - offset).unwrap_or(PIECE).min(PIECE);
            let piece = piece.get_mut(..count).unwrap_or_default();
            self.told(self.from, name, from.read_at(offset, piece))?;
            self.told(self.to, name, to.write_at(offset, piece))?;
            offset += count as u64;
        }
        to.sync().map_err(|error| Error::unsynced(&self.to.full(name), error))?;
        Ok(to)
    }

    /// The same superblock in both slots, which says where log and journal end.
    fn superblock(&self, [log, journal]: [crate::format::meta::Mark; 2]) -> Result<()> {
        let file = self.to.create(file_name::META, META_LEN as u64)?;
        let path = Path::new(file_name::META);
        for ahead in 1..=2 {
            let generation = self.meta.generation + ahead;
            let meta = Meta { generation, ceiling: self.picture.tail.last_id, log, journal, ..self.meta.clone() };
            let offset = meta.slot() * (META_LEN / 2);
            self.told(self.to, path, file.write_at(offset as u64, &meta.encode()))?;
        }
        file.sync().map_err(|error| Error::unsynced(&self.to.full(path), error))
    }

    fn told<T>(&self, place: &Place, name: &Path, result: std::io::Result<T>) -> Result<T> {
        result.map_err(|error| Error::io("copy", &place.full(name), error))
    }
}

/// Whether two files have the same bytes. That two sealed segments are called the same does not say so: a repair leaves the
/// identity, and a disk that loses a bit leaves everything else.
fn are_same(a: &dyn File, b: &dyn File) -> std::io::Result<bool> {
    let len = a.len()?;
    if len != b.len()? {
        return Ok(false);
    }
    let size = PIECE.min(usize::try_from(len).unwrap_or(PIECE));
    let mut pieces = [vec![0; size], vec![0; size]];
    let [left, right] = &mut pieces;
    let mut offset = 0;
    while offset < len {
        let count = usize::try_from(len - offset).unwrap_or(PIECE).min(PIECE);
        let (left, right) = (left.get_mut(..count).unwrap_or_default(), right.get_mut(..count).unwrap_or_default());
        a.read_at(offset, left)?;
        b.read_at(offset, right)?;
        if left != right {
            return Ok(false);
        }
        offset += count as u64;
    }
    Ok(true)
}
