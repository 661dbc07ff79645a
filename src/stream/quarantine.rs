//! Going on with a stream of which something that was synced is lost or changed.
//!
//! Nothing damaged is changed. What is behind the damage, or cannot be told because of it, is kept out of the way of what
//! comes: the stream goes on in a new segment, whose number leaves out those of lost entries, and in a new generation of
//! the journal, which holds what could be read of the one before. The damaged segment then has a successor, and is read
//! like any other that is damaged: with an error in the place of what is lost. A damaged journal or superblock, which is
//! replaced, is copied to the store's folder `quarantine` first.
//!
//! | damaged | what is kept | what is lost |
//! |---|---|---|
//! | the last segment | every whole record, before and behind the damage | the entries that were hit |
//! | a missing segment | | its entries |
//! | the journal behind its checkpoint | all changes before the damage | those behind it: deliveries are made again, deletions undone |
//! | the checkpoint of the journal | groups whose names can be read; they begin again at the oldest entry | who had what pending |
//! | the journal as a whole | | groups, deletions, limits of trims that were not in the log |
//! | the superblock | all; the last ID goes on above the clock | the rules of retention: everything is kept |

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::damage::{Finding, Problem};
use crate::env::Env;
use crate::format::entries::Production;
use crate::format::file_name::{self, File as FileName};
use crate::format::header::{HEADER_LEN, Header, Kind};
use crate::format::meta::{META_LEN, Mark, Meta, SLOT_LEN};
use crate::format::new_entries::NewEntries;
use crate::format::{Identity, NUMBER_MAX};
use crate::group::aside::Aside;
use crate::group::journal::{Birth, Checkpoint, Content, Journal, Replay, replay_rest};
use crate::io::place::Place;
use crate::io::{Access, File, FileKind};
use crate::log::append::{begin_segment, capacity_for};
use crate::log::holes::{Hole, walk};
use crate::log::recovery::{Evidence, Verdict, judge};
use crate::log::scan::{self, Beyond, Ending, Scan};
use crate::log::segment::read_header;
use crate::stream::open::{Files, check_changes, check_dead, check_header, entries_added, list, mark, take_aside};
use crate::stream::superblock::{CEILING_LEAD_MS, Superblock};
use crate::{Corruption, Error, Result, Retention, StreamId};

/// How much is copied at a time, in bytes.
const COPY_LEN: u64 = 1 << 20;

/// A folder for files that are going to be replaced.
#[derive(Debug)]
pub struct Quarantine<'a> {
    pub root: &'a Place,
    /// The directory of the stream.
    pub directory: &'a str,
}

impl Quarantine<'_> {
    /// As [`keep`](Self::keep); `None` if there is no such file, or none that can be opened.
    pub fn keep_if_there(&self, place: &Place, name: &Path) -> Result<Option<PathBuf>> {
        match place.open(name, Access::Read) {
            Err(Error::Corrupt { .. }) => Ok(None),
            opened => opened.and_then(|_| self.keep(place, name)).map(Some),
        }
    }

    /// Copies a file into the folder, durably, under a name that is not taken; returns where it is.
    pub fn keep(&self, place: &Place, name: &Path) -> Result<PathBuf> {
        let mut folder = self.root.within("");
        for step in [file_name::QUARANTINE, self.directory] {
            match folder.kind(step)? {
                Some(FileKind::Directory) => {}
                None => {
                    folder.create_dir(step)?;
                    folder.sync()?;
                }
                // A link, which may lead out of the store.
                Some(_) => return Err(Error::corrupt(&folder.full(step), 0, Corruption::NotADirectory)),
            }
            folder = folder.within(step);
        }
        let mut copy = name.to_owned();
        for number in 2.. {
            if folder.kind(&copy)?.is_none() {
                break;
            }
            copy = PathBuf::from(format!("{}.{number}", name.display()));
        }
        let from = place.open(name, Access::Read)?;
        let read = |error| Error::io("read", &place.full(name), error);
        let len = from.len().map_err(read)?;
        let unfinished = PathBuf::from(format!("{}.new", copy.display()));
        let to = folder.create(&unfinished, len)?;
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < len {
            bytes.resize((len - at).min(COPY_LEN) as usize, 0);
            from.read_at(at, &mut bytes).map_err(read)?;
            to.write_at(at, &bytes).map_err(|error| Error::io("write to", &folder.full(&copy), error))?;
            at += bytes.len() as u64;
        }
        to.sync().map_err(|error| Error::io("sync", &folder.full(&copy), error))?;
        folder.publish(&unfinished, &copy)?;
        Ok(folder.full(&copy))
    }
}

/// Makes it possible to open a stream that is damaged; returns what was found.
///
/// After an error, or a crash, it can be done again: nothing has been lost by it.
pub fn set_aside(env: &Env, place: &Place, name: &[u8], quarantine: &Quarantine<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let files = list(place)?;
    let superblock = rescued_superblock(env, place, name, &files, quarantine, &mut findings)?;
    let meta = superblock.current();
    let left = Left::read(env, place, &files, &meta)?;
    let generation = files.journals.last().copied().unwrap_or(0).max(meta.journal.number) + 1;
    check_number(place, left.next_ordinal, FileName::Segment(left.next_ordinal - 1))?;
    check_number(place, generation, FileName::Journal(generation - 1))?;
    let journal_mark = left.replace_journal(env, place, quarantine, generation, meta.incarnation)?;
    let successor = left.successor(env, meta.incarnation);
    findings.extend(left.stub_for_what_is_missing(env, place, &files, &successor)?);
    let log_mark = left.begin_segment_behind(env, place, &successor)?;
    superblock.update_both(place, |meta| {
        meta.ceiling = meta.ceiling.max(left.highest_id);
        meta.log = log_mark.unwrap_or(meta.log);
        meta.journal = journal_mark.unwrap_or(meta.journal);
    })?;
    findings.extend(left.journal.findings);
    findings.extend(left.log.findings);
    Ok(findings)
}

/// The superblock; in the place of one that is damaged, what the files beside it say, if they do.
fn rescued_superblock(
    env: &Env,
    place: &Place,
    name: &[u8],
    files: &Files,
    quarantine: &Quarantine<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Superblock> {
    match Superblock::open(place) {
        Err(error @ Error::Corrupt { .. }) => {
            let Some(meta) = found_meta(env, place, name, files) else { return Err(error) };
            if place.kind(file_name::META)?.is_some() {
                quarantine.keep(place, Path::new(file_name::META))?;
            }
            write_meta(place, &meta)?;
            findings.push(Finding::of(error)?);
            Superblock::open(place)
        }
        superblock => superblock,
    }
}

/// What is left of a stream, and where it goes on.
#[derive(Debug)]
struct Left {
    journal: JournalLeft,
    log: LogLeft,
    /// The state that goes on, with what the log says of productions where its end is damaged.
    aside: Aside,
    has_productions: bool,
    /// How many changes there were.
    changes: u64,
    /// The ordinal of the next entry. It leaves out those of lost ones.
    next_ordinal: u64,
    /// The highest ID that may have been handed out.
    highest_id: StreamId,
    floor: u64,
}

impl Left {
    fn read(env: &Env, place: &Place, files: &Files, meta: &Meta) -> Result<Self> {
        let mut journal = JournalLeft::read(place, files, meta)?;
        let log = LogLeft::read(place, files, meta, journal.proven())?;
        if let Some(header) = log.header.as_ref().filter(|_| journal.findings.is_empty())
            && let Err(error) = check_changes(place, header, meta, journal.replay.as_ref())
        {
            journal.findings.push(Finding::of(error)?);
        }
        let next_ordinal = log.next_ordinal.max(journal.proven());
        if let Some(replay) = &mut journal.replay {
            replay.cut(next_ordinal);
        }
        // The frames of the last segment are read when the stream is opened; this one is not the last one any more.
        let productions = if log.is_damaged() { log.productions.clone() } else { Vec::new() };
        let changes = journal.replay.as_ref().map_or(0, Replay::count).max(log.peer);
        let mut highest_id = log.highest_id.max(journal.highest_id()).max(meta.ceiling);
        if log.is_end_lost {
            // What was handed out is not known. Automatic IDs are not above the clock, or not far.
            highest_id = highest_id.max(StreamId::new(env.now_ms().saturating_add(CEILING_LEAD_MS), 0));
        }
        let has_productions = !productions.is_empty();
        let mut aside = journal.aside(productions);
        if let Some(path) = journal.replay.as_ref().map(|replay| replay.path.clone())
            && let Err(error) = check_dead(&aside, next_ordinal, &path)
        {
            aside.tombstones.forget_from(next_ordinal);
            journal.findings.push(Finding::of(error)?);
        }
        let floor = log.floor.max(aside.state.floor).clamp(1, next_ordinal.max(1));
        Ok(Self { journal, log, aside, has_productions, changes, next_ordinal, highest_id, floor })
    }

    /// Goes on in a new generation of the journal if the one there is damaged or something is to be added to it; says where
    /// the new one is.
    fn replace_journal(
        &self,
        env: &Env,
        place: &Place,
        quarantine: &Quarantine<'_>,
        generation: u64,
        incarnation: Identity,
    ) -> Result<Option<Mark>> {
        let birth = Birth {
            store: env.store,
            incarnation,
            file: env.new_identity(),
            generation,
            predecessor: self.journal.file,
            changes: self.changes,
            next_ordinal: self.next_ordinal,
        };
        let is_damaged = !self.journal.findings.is_empty();
        if !is_damaged && !self.has_productions {
            return Ok(None);
        }
        if let Some(name) = self.journal.name.as_ref().filter(|_| is_damaged) {
            quarantine.keep(place, name)?;
        }
        begin_journal(place, birth, self.aside.clone(), self.floor).map(Some)
    }

    /// The header of the segment that the stream goes on in where its end is damaged.
    fn successor(&self, env: &Env, incarnation: Identity) -> Header {
        Header {
            kind: Kind::Segment,
            store: env.store,
            incarnation,
            file: env.new_identity(),
            base: self.next_ordinal,
            peer: self.changes,
            entries_added: self.log.entries_added(&self.aside, self.next_ordinal),
            previous_id: self.highest_id.max(self.aside.state.highest_id),
            floor: self.floor,
            base_ms: env.now_ms(),
            predecessor: self.log.file,
        }
    }

    /// Where the first segment is missing, one without a record stands for what is not there, so that whoever reads there is
    /// told.
    fn stub_for_what_is_missing(
        &self,
        env: &Env,
        place: &Place,
        files: &Files,
        successor: &Header,
    ) -> Result<Option<Finding>> {
        let floor = self.floor;
        let first = files.segments.first().copied().unwrap_or(self.next_ordinal);
        let is_first_missing = first > floor && first - floor > self.aside.tombstones.count(floor..first);
        if !is_first_missing {
            return Ok(None);
        }
        let missing = place.full(FileName::Segment(floor).name());
        let ids = self.log.first_id.and_then(StreamId::previous);
        let finding = Finding::new(missing, 0, Problem::Damage(Corruption::Missing)).with_ids(StreamId::MIN, ids);
        let stub = Header {
            file: env.new_identity(),
            base: floor,
            peer: 0,
            entries_added: 0,
            previous_id: StreamId::MIN,
            predecessor: Identity::default(),
            ..successor.clone()
        };
        create_segment(place, &stub, HEADER_LEN as u64)?;
        Ok(Some(finding))
    }

    /// Goes on in a new segment if the last one is damaged; says where it is.
    fn begin_segment_behind(&self, env: &Env, place: &Place, successor: &Header) -> Result<Option<Mark>> {
        if !self.log.is_damaged() {
            return Ok(None);
        }
        self.log.prove()?;
        create_segment(place, successor, capacity_for(&NewEntries::default(), env.segment_bytes_first))?;
        Ok(Some(mark(successor, HEADER_LEN as u64)))
    }
}

/// What a superblock must have said, by the headers of the files beside it.
fn found_meta(env: &Env, place: &Place, name: &[u8], files: &Files) -> Option<Meta> {
    let segments = files.segments.iter().rev().map(|&base| (FileName::Segment(base).name(), Kind::Segment));
    let journals = files.journals.iter().rev().map(|&generation| (FileName::Journal(generation).name(), Kind::Journal));
    let header = segments.chain(journals).find_map(|(name, kind)| {
        let file = place.open(&name, Access::Read).ok()?;
        read_header(&*file, &place.full(&name), kind).ok().filter(|header| header.store == env.store)
    })?;
    Some(Meta {
        store: env.store,
        incarnation: header.incarnation,
        generation: 1,
        ceiling: StreamId::new(env.now_ms().saturating_add(CEILING_LEAD_MS), 0),
        log: Mark::default(),
        journal: Mark::default(),
        name: name.to_vec(),
        retention: Retention::new(),
    })
}

fn write_meta(place: &Place, meta: &Meta) -> Result<()> {
    let mut bytes = vec![0; META_LEN];
    for generation in [1, 2] {
        let meta = Meta { generation, ..meta.clone() };
        let start = meta.slot() * SLOT_LEN;
        if let Some(slot) = bytes.get_mut(start..start + SLOT_LEN) {
            slot.copy_from_slice(&meta.encode());
        }
    }
    place.write_whole(Path::new(file_name::META_NEW), Path::new(file_name::META), &bytes)
}

fn begin_journal(place: &Place, birth: Birth, aside: Aside, floor: u64) -> Result<Mark> {
    let Aside { mut state, mut tombstones, groups, producers } = aside;
    state.floor = floor;
    tombstones.forget_below(floor);
    let content = Content { state: &state, tombstones: &tombstones, groups: &groups, producers: &producers };
    let journal = Journal::create(place, &Checkpoint::encode(birth, content)?)?;
    Ok(mark(&journal.header, journal.offset))
}

/// Refuses to go on behind a file with the highest number there is: what follows it could not be read again.
fn check_number(place: &Place, number: u64, last: FileName) -> Result<()> {
    match number < NUMBER_MAX {
        true => Ok(()),
        false => {
            let what = Corruption::Malformed("a number that no stream gets to");
            Err(Error::corrupt(&place.full(last.name()), 0, what))
        }
    }
}

/// Creates a segment where there is none: one that is there is never replaced by it.
fn create_segment(place: &Place, header: &Header, capacity: u64) -> Result<()> {
    let name = FileName::Segment(header.base);
    if place.kind(name.name())?.is_some() {
        let what = Corruption::Foreign("a segment is in the place of the one to go on in");
        return Err(Error::corrupt(&place.full(name.name()), 0, what));
    }
    let file = place.create(name.new_name(), capacity)?;
    begin_segment(&file, &place.full(name.new_name()), header)?;
    place.publish(&name.new_name(), &name.name())
}

/// What is left of a journal.
#[derive(Debug, Default)]
struct JournalLeft {
    replay: Option<Replay>,
    /// What was pending is not known: groups begin again.
    begins_again: bool,
    /// The file, if there is one, and its identity.
    name: Option<PathBuf>,
    file: Identity,
    findings: Vec<Finding>,
}

impl JournalLeft {
    fn read(place: &Place, files: &Files, meta: &Meta) -> Result<Self> {
        let mut left = Self::default();
        let newest = files.journals.last().copied().unwrap_or(0);
        if newest < meta.journal.number {
            let path = place.full(FileName::Journal(meta.journal.number).name());
            left.findings.push(Finding::new(path, 0, Problem::Damage(Corruption::Missing)));
        }
        if newest == 0 {
            return Ok(left);
        }
        let name = FileName::Journal(newest).name();
        let (replay, damage) = match replay_rest(place, newest, &meta.incarnation) {
            Ok(rest) => rest,
            Err(error) => {
                left.findings.push(Finding::of(error)?);
                left.name = Some(name).filter(|name| place.open(name, Access::Read).is_ok());
                return Ok(left);
            }
        };
        left.name = Some(name);
        left.file = replay.header.file;
        if let Some(damage) = damage {
            left.findings.push(Finding::new(replay.path.clone(), damage.offset, Problem::Damage(damage.what)));
            left.begins_again = damage.hit_groups;
        }
        let evidence = Evidence {
            end: replay.end,
            remains: replay.flaw.is_some(),
            watermark: replay.synced,
            mark: if meta.journal.file == replay.header.file { meta.journal.end } else { 0 },
            ..Evidence::default()
        };
        if let Verdict::Damaged { synced } = judge(&evidence) {
            let what = replay.flaw.clone().unwrap_or(Corruption::Truncated { expected: synced });
            left.findings.push(Finding::new(replay.path.clone(), replay.end, Problem::Damage(what)));
        }
        left.replay = Some(replay);
        Ok(left)
    }

    /// The ordinal up to which entries were there when a change was synced.
    fn proven(&self) -> u64 {
        self.replay.as_ref().map_or(0, Replay::proven)
    }

    fn highest_id(&self) -> StreamId {
        self.replay.as_ref().map_or(StreamId::MIN, |replay| replay.highest_id)
    }

    fn aside(&mut self, productions: Vec<Production>) -> Aside {
        let mut aside = take_aside(self.replay.as_mut(), productions);
        if self.begins_again {
            aside.groups.begin_again();
        }
        aside
    }
}

/// What is left of the end of a log.
#[derive(Debug)]
struct LogLeft {
    header: Option<Header>,
    opened: Option<(Arc<dyn File>, PathBuf)>,
    /// The identity of the last segment.
    file: Identity,
    /// From where to where its records may be in the page cache only.
    unproven: std::ops::Range<u64>,
    next_ordinal: u64,
    highest_id: StreamId,
    floor: u64,
    peer: u64,
    productions: Vec<Production>,
    /// The ID before the first segment there is.
    first_id: Option<StreamId>,
    /// How many entries there were at the end, and their IDs, are not known.
    is_end_lost: bool,
    findings: Vec<Finding>,
}

impl LogLeft {
    fn read(place: &Place, files: &Files, meta: &Meta, proven: u64) -> Result<Self> {
        let expected = meta.log.number.max(1);
        let mut left = Self {
            header: None,
            opened: None,
            file: Identity::default(),
            unproven: 0..0,
            next_ordinal: expected,
            highest_id: StreamId::MIN,
            floor: 1,
            peer: 0,
            productions: Vec::new(),
            first_id: None,
            is_end_lost: false,
            findings: Vec::new(),
        };
        let mut damage = |path: PathBuf, what| left.findings.push(Finding::new(path, 0, Problem::Damage(what)));
        let base = files.segments.last().copied().unwrap_or(0);
        if base < expected {
            damage(place.full(FileName::Segment(expected).name()), Corruption::Missing);
            // One at least was in it, or may have been.
            left.next_ordinal = expected + 1;
            left.is_end_lost = true;
        }
        left.first_id = files.segments.first().and_then(|&first| {
            let name = FileName::Segment(first).name();
            let file = place.open(&name, Access::Read).ok()?;
            read_header(&*file, &place.full(&name), Kind::Segment).ok()?.previous_id.next()
        });
        if base == 0 {
            return Ok(left);
        }
        let name = FileName::Segment(base).name();
        let path = place.full(&name);
        let opened = place.open(&name, Access::Write).and_then(|file| {
            let header = read_header(&*file, &path, Kind::Segment)?;
            check_header(&header, &path, base, meta)?;
            let found = scan::scan(&header, &*file, &path, u64::MAX)?;
            Ok((header, file, found))
        });
        match opened {
            Ok((header, file, found)) => left.take(header, file, path, found, meta, proven)?,
            Err(error) => {
                left.findings.push(Finding::of(error)?);
                left.next_ordinal = left.next_ordinal.max(base + 1);
                left.is_end_lost = true;
            }
        }
        Ok(left)
    }

    fn take(
        &mut self,
        header: Header,
        file: Arc<dyn File>,
        path: PathBuf,
        mut found: Scan,
        meta: &Meta,
        proven: u64,
    ) -> Result<()> {
        let beyond = match found.ending {
            Ending::Sealed(_) => Beyond::default(),
            _ => scan::look_beyond(&header, &*file, &path, found.tail)?,
        };
        let evidence = Evidence {
            end: found.tail,
            watermark: found.synced.max(beyond.synced),
            mark: if meta.log.file == header.file { meta.log.end } else { 0 },
            built_upon: proven > found.next_ordinal,
            ..Evidence::default()
        };
        if let Verdict::Damaged { synced } = judge(&evidence) {
            self.findings.extend(found_holes(&header, &*file, &path)?);
            found = scan::salvage(&header, &*file, &path, None)?;
            let is_tail_lost = synced > found.tail;
            if is_tail_lost || self.findings.is_empty() {
                let what = Problem::Damage(Corruption::Truncated { expected: synced });
                self.findings.push(Finding::new(path.clone(), found.tail, what).with_ids(found.last_id, None));
            }
            // How many there were is not known: the number of one that is not there leaves room for an error.
            found.next_ordinal += u64::from(is_tail_lost);
            self.is_end_lost |= is_tail_lost || proven > found.next_ordinal;
        }
        self.highest_id = self.highest_id.max(beyond.highest_id);
        self.file = header.file;
        self.unproven = found.synced..found.tail;
        self.next_ordinal = self.next_ordinal.max(found.next_ordinal);
        self.highest_id = self.highest_id.max(found.last_id);
        self.floor = found.floor;
        self.peer = found.peer;
        self.productions = found.productions;
        self.header = Some(header);
        self.opened = Some((file, path));
        Ok(())
    }

    fn is_damaged(&self) -> bool {
        !self.findings.is_empty()
    }

    /// How many entries were ever added, with those that are lost.
    fn entries_added(&self, aside: &Aside, next_ordinal: u64) -> u64 {
        match &self.header {
            Some(header) => entries_added(header, next_ordinal, aside.state.id_set),
            None => aside.state.id_set.map_or(next_ordinal - 1, |set| {
                set.entries_added.saturating_add(next_ordinal.saturating_sub(set.next_ordinal))
            }),
        }
    }

    /// Writes again, and syncs, what a process that was killed may have left in the page cache only.
    fn prove(&self) -> Result<()> {
        let Some((file, path)) = &self.opened else { return Ok(()) };
        let mut at = self.unproven.start;
        let mut bytes = Vec::new();
        while at < self.unproven.end {
            bytes.resize((self.unproven.end - at).min(COPY_LEN) as usize, 0);
            file.read_at(at, &mut bytes).map_err(|error| Error::io("read", path, error))?;
            file.write_at(at, &bytes).map_err(|error| Error::io("write to", path, error))?;
            at += bytes.len() as u64;
        }
        file.sync().map_err(|error| Error::unsynced(path, error))
    }
}

/// What is damaged in the last segment.
fn found_holes(header: &Header, file: &dyn File, path: &Path) -> Result<Vec<Finding>> {
    let finding = |hole: Hole| Finding {
        entries_lost: hole.is_followed.then_some(hole.to - hole.from),
        ..Finding::new(path.to_owned(), hole.offset, Problem::Damage(hole.what)).with_ids(hole.after, hole.through)
    };
    Ok(walk(header, file, path, None)?.holes.into_iter().map(finding).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Disk;
    use crate::sim::SimDisk;

    #[test]
    fn a_segment_that_is_there_is_not_replaced() {
        let disk: Arc<dyn Disk> = SimDisk::new();
        let place = Place::new(disk, Arc::from(Path::new("simulated")), PathBuf::new());
        let header = Header { base: 7, ..Header::sample() };
        create_segment(&place, &header, 4096).unwrap();
        let other = Header { file: [4; 16], ..header.clone() };
        assert!(matches!(create_segment(&place, &other, 4096), Err(Error::Corrupt { .. })));
        let name = FileName::Segment(7).name();
        let file = place.open(&name, Access::Read).unwrap();
        assert_eq!(read_header(&*file, &place.full(&name), Kind::Segment).unwrap(), header);
    }
}
