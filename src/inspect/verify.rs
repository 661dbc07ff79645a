//! Reading everything of a stream and checking it against everything else.

use crate::damage::{Finding, Problem};
use crate::follow::picture::{self, Picture};
use crate::format::Identity;
use crate::format::file_name::{self, File as FileName};
use crate::format::header::{BadHeader, Kind};
use crate::format::meta::{META_LEN, Meta, SLOT_LEN};
use crate::group::journal::Replay;
use crate::inspect::report::StreamReport;
use crate::inspect::segment::{self, Checked};
use crate::io::Access;
use crate::io::frozen::extent;
use crate::io::place::Place;
use crate::log::Log;
use crate::log::holes::{Hole, walk};
use crate::log::segment::{follows_another, read_header};
use crate::stream::open::{self, Files};
use crate::stream::superblock;
use crate::{Corruption, Error, Result, StreamId};

/// A stream that is being verified.
pub struct Verifier<'a> {
    pub place: &'a Place,
    pub store: Option<Identity>,
    /// The directory may have a name that is not that of its stream: a rename is being made.
    pub is_being_renamed: &'a dyn Fn(&Meta) -> bool,
    /// Is told of the bytes that were checked, as that goes on.
    pub progress: &'a mut dyn FnMut(u64),
    pub report: StreamReport,
}

/// Where the segment that is being written to begins, and what came of it.
struct End {
    base: u64,
    previous_id: StreamId,
    predecessor: Option<Identity>,
}

impl Verifier<'_> {
    /// Fails only for what is no damage: something cannot be read, or is of a later version.
    pub fn run(&mut self) -> Result<()> {
        let files = open::list(self.place)?;
        self.names()?;
        let meta = self.meta()?;
        let replay = self.journal(&files, meta.as_ref())?;
        self.log(files, meta, replay)
    }

    fn note(&mut self, finding: Finding) {
        self.report.findings.push(finding);
    }

    /// Counts a file as checked.
    fn passed(&mut self, name: impl AsRef<std::path::Path>) {
        let len = self
            .place
            .open(name, Access::Read)
            .and_then(|file| file.len().map_err(|error| Error::io("look at", &self.place.full(""), error)));
        let len = len.unwrap_or(0);
        self.report.bytes += len;
        (self.progress)(len);
    }

    /// What there is besides the files that are in use.
    fn names(&mut self) -> Result<()> {
        let mut names = self.place.list()?;
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let newest = names.iter().filter_map(|(name, _)| match FileName::parse(name) {
            Some(FileName::Journal(generation)) => Some(generation),
            _ => None,
        });
        let newest = newest.max();
        for (name, _) in &names {
            let problem = match FileName::parse(name) {
                Some(FileName::Journal(generation)) if Some(generation) != newest => Problem::Leftover,
                Some(_) => continue,
                None if name == file_name::META => continue,
                None if file_name::is_new(name) => Problem::Leftover,
                None => Problem::Unknown,
            };
            self.note(Finding::new(self.place.full(name), 0, problem));
        }
        Ok(())
    }

    /// Checks both slots; `None` if neither can be used.
    fn meta(&mut self) -> Result<Option<Meta>> {
        let meta = match picture::meta_of(self.place, self.store) {
            Err(error) => {
                let finding = Finding::of(error)?;
                self.note(finding);
                return Ok(None);
            }
            Ok(meta) => meta,
        };
        let path = self.place.full(file_name::META);
        let bytes = self.place.read(file_name::META, META_LEN as u64)?.unwrap_or_default();
        for slot in 0..2 {
            let start = (slot * SLOT_LEN).min(bytes.len());
            let content = bytes.get(start..(start + SLOT_LEN).min(bytes.len())).unwrap_or_default();
            // The slot of a new stream that has not been written yet.
            let is_blank = meta.generation == 1 && content.len() == SLOT_LEN && content.iter().all(|&byte| byte == 0);
            if let Err(BadHeader::Damaged(what)) = Meta::decode(content, slot)
                && !is_blank
            {
                let problem = Problem::Slot(Corruption::Malformed(what));
                self.note(Finding::new(path.clone(), (slot * SLOT_LEN) as u64, problem));
            }
        }
        self.passed(file_name::META);
        let directory = self.place.at("");
        let directory = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if file_name::escape(&meta.name) != directory && !(self.is_being_renamed)(&meta) {
            let finding = Finding::of(superblock::misnamed(self.place))?;
            self.note(finding);
        }
        Ok(Some(meta))
    }

    /// Replays the journal; `None` if there is none, or none that can be used.
    fn journal(&mut self, files: &Files, meta: Option<&Meta>) -> Result<Option<Replay>> {
        let Some(meta) = meta else { return Ok(None) };
        let replay = match open::open_journal(self.place, files, meta) {
            Err(error) => {
                let finding = Finding::of(error)?;
                self.note(finding);
                return Ok(None);
            }
            Ok(replay) => replay,
        };
        if let Some(replay) = &replay {
            if replay.flaw.is_some() {
                let finding = cut_short(&replay.path, &*replay.file, replay.end)?;
                self.note(finding);
            }
            self.passed(FileName::Journal(replay.header.base_ms).name());
        }
        Ok(replay)
    }

    /// Checks all segments, the last one as opening the stream does; then what log and journal say of each other.
    fn log(&mut self, files: Files, meta: Option<Meta>, mut replay: Option<Replay>) -> Result<()> {
        let journal_lost = meta.is_none() || (replay.is_none() && self.report.is_damaged());
        let changes = replay.as_ref().map_or(0, Replay::count);
        let opened = match (&meta, journal_lost) {
            (Some(meta), false) => Some(open::open_active(self.place, &files, meta, &mut replay)),
            _ => None,
        };
        let incarnation = meta.as_ref().map(|meta| meta.incarnation);
        let mut found = Vec::new();
        let end = self.active(&files, incarnation.as_ref(), opened.as_ref().is_some_and(Result::is_ok), &mut found)?;
        let picture = match (opened, meta) {
            (Some(Err(error)), _) => {
                self.damaged_active(error, &mut found)?;
                None
            }
            (Some(Ok(active)), Some(meta)) => {
                if active.torn {
                    found.push((cut_short(&active.path, &*active.file, active.found.tail)?, None));
                }
                if let Some(replay) = replay.as_ref().filter(|_| active.journal_cut) {
                    let problem = Problem::Ahead { changes: changes - replay.count() };
                    found.push((Finding::new(replay.path.clone(), replay.end, problem), None));
                }
                Some(Picture::compose(self.place, files.clone(), meta, replay, active)?)
            }
            _ => None,
        };
        let living = picture.as_ref().map(|picture| Living { floor: picture.tail.floor, log: &picture.log });
        self.sealed(&files, incarnation.as_ref(), end, living.as_ref(), &mut found)?;
        for (finding, hole) in found {
            self.note(match hole {
                Some(hole) => {
                    let entries_lost = living.as_ref().map(|living| living.count(hole.from, hole.to));
                    let finding = Finding { entries_lost, ..finding };
                    if hole.from < hole.to { finding.with_ids(hole.after, hole.through) } else { finding }
                }
                None => finding,
            });
        }
        if let Some(picture) = &picture {
            self.cross_check(picture);
        }
        self.report.findings.sort_by(|a, b| (&a.path, a.offset).cmp(&(&b.path, b.offset)));
        Ok(())
    }

    /// Looks at the header of the last segment, and at its records where opening the stream would not come to it.
    fn active(
        &mut self,
        files: &Files,
        incarnation: Option<&Identity>,
        is_checked: bool,
        found: &mut Vec<(Finding, Option<Hole>)>,
    ) -> Result<Option<End>> {
        let Some(&base) = files.segments.last() else { return Ok(None) };
        let name = FileName::Segment(base).name();
        let path = self.place.full(&name);
        let file = self.place.open(&name, Access::Read);
        let header = file.and_then(|file| Ok((read_header(&*file, &path, Kind::Segment)?, file)));
        let (header, file) = match header {
            Ok(header) => header,
            Err(error) => {
                let finding = Finding::of(error)?.with_ids(StreamId::MIN, None);
                found.push((finding, None));
                return Ok(None);
            }
        };
        let is_own = incarnation.is_none_or(|incarnation| *incarnation == header.incarnation);
        if !is_checked && is_own {
            // Without the journal and the superblock, what is followed by whole records is damage at least.
            for hole in walk(&header, &*file, &path, None)?.holes.into_iter().filter(|hole| hole.is_followed) {
                let finding = Finding::new(path.clone(), hole.offset, Problem::Damage(hole.what.clone()));
                found.push((finding, Some(hole)));
            }
        }
        self.passed(&name);
        let predecessor = (header.predecessor != Identity::default()).then_some(header.predecessor);
        Ok(Some(End { base, previous_id: header.previous_id, predecessor }))
    }

    /// Adds what opening said of the last segment, with the IDs that are affected, unless it is known already.
    fn damaged_active(&self, error: Error, found: &mut Vec<(Finding, Option<Hole>)>) -> Result<()> {
        let finding = Finding::of(error)?;
        if found.iter().any(|(known, _)| known.path == finding.path && known.offset == finding.offset) {
            return Ok(());
        }
        let after = || -> Result<StreamId> {
            let name = finding.path.file_name().unwrap_or_default();
            let file = self.place.open(name, Access::Read)?;
            let header = read_header(&*file, &finding.path, Kind::Segment)?;
            Ok(crate::log::scan::scan(&header, &*file, &finding.path, u64::MAX)?.last_id)
        };
        let after = after().unwrap_or(StreamId::MIN);
        found.push((finding.with_ids(after, None), None));
        Ok(())
    }

    /// Checks the segments that have a successor, and that nothing is missing between them.
    fn sealed(
        &mut self,
        files: &Files,
        incarnation: Option<&Identity>,
        end: Option<End>,
        living: Option<&Living<'_>>,
        found: &mut Vec<(Finding, Option<Hole>)>,
    ) -> Result<()> {
        self.report.segments = files.segments.len() as u64;
        let Some((_, sealed)) = files.segments.split_last() else { return Ok(()) };
        let mut before: Option<Checked> = None;
        for (at, &base) in sealed.iter().enumerate() {
            let next = files.segments.get(at + 1).copied().unwrap_or(base);
            let next_id = match &end {
                Some(end) if end.base == next => end.previous_id,
                _ => self.previous_id(next).unwrap_or(StreamId::MAX),
            };
            let after = before.as_ref().map_or(StreamId::MIN, |before| before.last_id);
            let checked = segment::check(self.place, base, incarnation, after, (next, next_id), found)?;
            self.passed(FileName::Segment(base).name());
            self.follows(before.as_ref(), base, checked.predecessor, living, found);
            before = Some(checked);
        }
        if let Some(end) = end {
            self.follows(before.as_ref(), end.base, end.predecessor, living, found);
        }
        Ok(())
    }

    fn previous_id(&self, base: u64) -> Option<StreamId> {
        let name = FileName::Segment(base).name();
        let file = self.place.open(&name, Access::Read).ok()?;
        Some(read_header(&*file, &self.place.full(&name), Kind::Segment).ok()?.previous_id)
    }

    /// Whether a segment follows the one before it, or all entries between them are dead.
    fn follows(
        &self,
        before: Option<&Checked>,
        base: u64,
        predecessor: Option<Identity>,
        living: Option<&Living<'_>>,
        found: &mut Vec<(Finding, Option<Hole>)>,
    ) {
        let (from, after) = match before {
            Some(before) => (before.next_ordinal, before.last_id),
            None if living.is_some() => (1, StreamId::MIN),
            None => return,
        };
        let path = |base| self.place.full(FileName::Segment(base).name());
        if let Some(before) = before
            && before.next_ordinal == base
            && predecessor.zip(before.file).is_some_and(|(predecessor, file)| predecessor != file)
        {
            found.push((follows_another(path(base)), None));
        }
        if let Some(living) = living.filter(|living| living.count(from, base) > 0) {
            let from = from.max(living.floor);
            let hole = Hole {
                offset: 0,
                what: Corruption::Missing,
                after,
                through: self.previous_id(base),
                from,
                to: base,
                is_followed: true,
            };
            found.push((Finding::new(path(from), 0, Problem::Damage(Corruption::Missing)), Some(hole)));
        }
    }

    /// What log and journal say of each other.
    fn cross_check(&mut self, picture: &Picture) {
        self.report.entries = picture.len();
        let Some(journal) = picture.journal else { return };
        let path = self.place.full(FileName::Journal(journal.generation).name());
        let mut contradict = |what| {
            self.report.findings.push(Finding::new(path.clone(), 0, Problem::Damage(Corruption::Malformed(what))));
        };
        let next_ordinal = picture.tail.next_ordinal;
        if open::check_dead(&picture.aside, next_ordinal, &path).is_err() {
            contradict("entries are deleted that the log never had");
        }
        // Once the last ID was set, it may be below IDs that there were.
        if picture.aside.state.id_set.is_none()
            && picture
                .aside
                .groups
                .iter()
                .filter_map(|group| group.pending.last())
                .any(|last| last.id > picture.tail.last_id)
        {
            contradict("entries are pending that the log never had");
        }
    }
}

/// Which entries are neither trimmed nor deleted.
struct Living<'a> {
    floor: u64,
    log: &'a Log,
}

impl Living<'_> {
    fn count(&self, from: u64, to: u64) -> u64 {
        let from = from.max(self.floor);
        self.log.live(from.min(to), to)
    }
}

fn cut_short(path: &std::path::Path, file: &dyn crate::io::File, end: u64) -> Result<Finding> {
    let extent = extent(file).map_err(|error| Error::io("read", path, error))?;
    let problem = Problem::CutShort { bytes: extent.saturating_sub(end) };
    Ok(Finding::new(path.to_owned(), end, problem))
}
