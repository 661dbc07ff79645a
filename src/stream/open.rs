//! From a directory to a stream, and the other way round for a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::damage::Finding;
use crate::env::Env;
use crate::format::entries::Production;
use crate::format::file_name::{self, File as FileName};
use crate::format::header::{HEADER_LEN, Header, Kind};
use crate::format::journal::IdSet;
use crate::format::meta::{Mark, Meta};
use crate::format::new_entries::NewEntries;
use crate::group::aside::Aside;
use crate::group::journal::{Replay, replay};
use crate::io::place::Place;
use crate::io::{Access, File};
use crate::log::append::{Appender, Start, begin_segment, capacity_for};
use crate::log::cursor::Cursor;
use crate::log::recovery::{Evidence, Verdict, judge};
use crate::log::scan::{self, Beyond, Ending, Scan};
use crate::log::segment::{OUT_OF_PLACE, Segment, Slot, Table, read_header};
use crate::log::{self, Log};
use crate::stream::commit::{Committer, Progress};
use crate::stream::deliver::Cursors;
use crate::stream::inner::{Appending, Inner, Journaling};
use crate::stream::quarantine::{self, Quarantine};
use crate::stream::recovery::{RecoveryReport, Uncut};
use crate::stream::retain::Retaining;
use crate::stream::superblock::{self, Superblock};
use crate::{Corruption, Error, Result, Retention, StreamId, trace};

/// Creates a stream in an empty directory, in whose first segment `entries` will fit. Not synced as a whole.
pub fn create(env: &Arc<Env>, place: Place, name: &[u8], entries: &NewEntries, base_ms: u64) -> Result<Arc<Inner>> {
    let incarnation = env.new_identity();
    let meta = Meta {
        store: env.store,
        incarnation,
        generation: 1,
        ceiling: StreamId::MIN,
        log: Mark::default(),
        journal: Mark::default(),
        name: name.to_vec(),
        retention: Retention::new(),
    };
    let superblock = Superblock::create(&place, meta)?;
    let header = Header {
        kind: Kind::Segment,
        store: env.store,
        incarnation,
        file: env.new_identity(),
        base: 1,
        peer: 0,
        entries_added: 0,
        previous_id: StreamId::MIN,
        floor: 1,
        base_ms,
        predecessor: [0; 16],
    };
    let name_of_first = FileName::Segment(1).name();
    let path = place.full(&name_of_first);
    let file = place.create(&name_of_first, capacity_for(entries, env.segment_bytes_first))?;
    begin_segment(&file, &path, &header)?;
    let segment = Arc::new(Segment::new(header, file, path, Table::default()));
    let start = Start {
        offset: HEADER_LEN as u64,
        next_ordinal: 1,
        last_id: StreamId::MIN,
        written_id: StreamId::MIN,
        entries_added: 0,
        floor: 1,
        watermark: HEADER_LEN as u64,
        peer: 0,
    };
    let appender = Appender::new(Arc::clone(&segment), start)?;
    let slots = vec![Arc::new(Slot::opened(segment))];
    let recovery = RecoveryReport::new_stream();
    let durable = NOTHING;
    let aside = Aside::default();
    let opening = Opening { superblock, appender, slots, aside, generation: 0, changes: 0, durable, recovery };
    let inner = share(opening.into_inner(env, place, name, incarnation));
    inner.touched.store(true, Ordering::Relaxed);
    Ok(inner)
}

/// Where a stream begins.
const NOTHING: Progress = Progress { next_ordinal: 1, changes: 0 };

/// What a stream is made of.
pub struct Opening {
    pub superblock: Superblock,
    pub appender: Appender,
    pub slots: Vec<Arc<Slot>>,
    pub aside: Aside,
    pub generation: u64,
    pub changes: u64,
    /// How much of it is durable.
    pub durable: Progress,
    pub recovery: RecoveryReport,
}

impl Opening {
    pub fn into_inner(self, env: &Arc<Env>, place: Place, name: &[u8], incarnation: [u8; 16]) -> Inner {
        let place = Arc::new(place);
        let tail = self.appender.tail();
        let mut log = Log::new(Arc::clone(&place), incarnation, self.slots, tail);
        *log.tombstones.get_mut() = self.aside.tombstones;
        let Meta { ceiling, retention, .. } = self.superblock.current();
        let retaining = Retaining::of(retention);
        Inner {
            #[cfg(feature = "async")]
            me: std::sync::Weak::new(),
            env: Arc::clone(env),
            name: Box::from(name),
            place,
            log: Arc::new(log),
            superblock: self.superblock,
            next_ordinal: AtomicU64::new(tail.next_ordinal),
            append: Mutex::new(Appending { appender: self.appender, ceiling, retaining }),
            touched: AtomicBool::new(false),
            journal: Mutex::new(Journaling {
                journal: None,
                state: self.aside.state,
                groups: self.aside.groups,
                producers: self.aside.producers,
                first: None,
                cursors: Cursors::default(),
                generation: self.generation,
                frozen: false,
                checkpoint_bytes_min: env.checkpoint_bytes_min,
            }),
            changes: AtomicU64::new(self.changes),
            committer: Committer::new(self.durable),
            turn: Mutex::new(()),
            rotation: Mutex::new(()),
            is_listed: AtomicBool::new(false),
            recovery: self.recovery,
        }
    }
}

/// Lets a stream know itself.
fn share(inner: Inner) -> Arc<Inner> {
    Arc::new_cyclic(|_me| Inner {
        #[cfg(feature = "async")]
        me: std::sync::Weak::clone(_me),
        ..inner
    })
}

/// What is in the directory of a stream.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub segments: Vec<u64>,
    pub journals: Vec<u64>,
    pub leftovers: Vec<String>,
}

pub fn list(place: &Place) -> Result<Files> {
    let mut files = Files::default();
    for (name, _) in place.list()? {
        match FileName::parse(&name) {
            Some(FileName::Segment(base)) => files.segments.push(base),
            Some(FileName::Journal(generation)) => files.journals.push(generation),
            None if file_name::is_new(&name) => files.leftovers.push(name),
            // An index is looked for when it is needed; what is not ours is left alone.
            Some(FileName::Index(_)) | None => {}
        }
    }
    files.segments.sort_unstable();
    files.journals.sort_unstable();
    Ok(files)
}

/// Opens the stream in a directory, finishing what a crash interrupted. What is damaged is refused, or kept out of the way if
/// there is a `quarantine`.
pub fn open(
    env: &Arc<Env>,
    place: impl Fn() -> Place,
    name: &[u8],
    quarantine: Option<&Quarantine<'_>>,
) -> Result<Arc<Inner>> {
    let inner = match (open_sound(env, place(), name, Vec::new()), quarantine) {
        (Err(Error::Corrupt { .. }), Some(quarantine)) => {
            let damage = quarantine::set_aside(env, &place(), name, quarantine)?;
            open_sound(env, place(), name, damage)
        }
        (opened, _) => opened,
    }?;
    trace::opened(name, &inner.recovery);
    Ok(inner)
}

fn open_sound(env: &Arc<Env>, place: Place, name: &[u8], damage: Vec<Finding>) -> Result<Arc<Inner>> {
    let superblock = checked_superblock(env, &place, name)?;
    let meta = superblock.current();
    let files = list(&place)?;
    let mut replay = open_journal(&place, &files, &meta)?;
    let uncut = Uncut::of(replay.as_ref())?;
    let mut active = open_active(&place, &files, &meta, &mut replay)?;
    let mut aside = take_aside(replay.as_mut(), std::mem::take(&mut active.found.productions));
    aside.producers.forget_due(env.now_ms());
    if let Some(replay) = &replay {
        check_dead(&aside, active.found.next_ordinal, &replay.path)?;
    }
    let torn_journal = replay.as_ref().is_some_and(|replay| replay.flaw.is_some()) || active.journal_cut;
    let changes = replay.as_ref().map_or(0, Replay::count);
    let clean = active.is_clean(&meta, replay.as_ref());
    let tail_offset = active.found.tail;
    let (mut appender, slots) = begin(&active, &files, &aside, &meta, replay.as_ref())?;
    let last_ids = (last_id(&active.found, aside.state.id_set), appender.last_id);
    let mut recovery = RecoveryReport::of(&files, uncut, &active, replay.as_ref(), clean, last_ids)?;
    recovery.is_clean &= damage.is_empty();
    recovery.damage = damage;
    if clean {
        appender.segment.synced.store(tail_offset, Ordering::Release);
        appender.unproven_end = 0;
    }
    let generation = files.journals.last().copied().unwrap_or(0);
    let floor = appender.floor;
    // Nothing is to be synced before what is there can be read, also not by a store that refuses to.
    let durable = if clean { Progress { next_ordinal: appender.next_ordinal, changes } } else { NOTHING };
    let opening = Opening { superblock, appender, slots, aside, generation, changes, durable, recovery };
    let inner = share(opening.into_inner(env, place, name, meta.incarnation));
    inner.log.tombstones.write().forget_below(floor);
    if let Some(replay) = replay.filter(|_| !torn_journal) {
        let synced = if clean { replay.end } else { replay.synced };
        inner.journal.lock().journal = Some(replay.into_journal(synced)?);
    }
    check_first(&inner.log, floor, &files)?;
    if last_ids.1 < active.found.last_id {
        check_last(&inner.log, &inner.place, generation)?;
    }
    let rotates = active.sealed || active.torn;
    make_good(&inner, &Aftermath { clean, torn_journal, rotates, last_ids, ceiling: meta.ceiling })?;
    if env.is_durable_first() {
        inner.sync()?;
    }
    clean_up(&inner, &files)?;
    // Whether or not anything is added: the end that was found here is to be noted when the stream is closed.
    let noted = clean && inner.superblock.is_doubled();
    inner.touched.fetch_or(!noted, Ordering::Relaxed);
    Ok(inner)
}

/// The superblock of the stream that is called so in this store.
fn checked_superblock(env: &Env, place: &Place, name: &[u8]) -> Result<Superblock> {
    let superblock = Superblock::open(place)?;
    let meta = superblock.current();
    if meta.store != env.store {
        return Err(superblock::of_another_store(place));
    }
    if meta.name != name {
        return Err(superblock::misnamed(place));
    }
    Ok(superblock)
}

/// What an earlier life has left to be made good.
#[derive(Clone, Copy, Debug)]
struct Aftermath {
    /// Log and journal end where a clean end was noted.
    clean: bool,
    torn_journal: bool,
    /// The stream goes on in a new segment: the last one is sealed, or torn.
    rotates: bool,
    /// What entries and changes give, and what it has become.
    last_ids: (StreamId, StreamId),
    ceiling: StreamId,
}

/// Makes durable what was found, and goes on behind what is torn or full.
fn make_good(inner: &Inner, aftermath: &Aftermath) -> Result<()> {
    let &Aftermath { clean, torn_journal, rotates, last_ids, ceiling } = aftermath;
    // What an earlier life left in the page cache is synced when this one ends, if not before.
    inner.touched.store(!clean, Ordering::Relaxed);
    if !clean {
        // Whoever gave the files their names may have been killed before it could sync that.
        inner.env.poisoning(inner.place.sync())?;
    }
    if last_ids.1 > last_ids.0.max(ceiling) {
        // What is about to be dropped was all that told of this ID.
        inner.env.poisoning(inner.superblock.update(&inner.place, |meta| meta.ceiling = last_ids.1))?;
    }
    if torn_journal {
        inner.replace_journal_in_turn()?;
    }
    if rotates {
        inner.rotate_in_turn(&NewEntries::default(), true)?;
    }
    Ok(())
}

/// The state that is not in the log, but for what the log says of productions.
pub fn take_aside(replay: Option<&mut Replay>, productions: Vec<Production>) -> Aside {
    match replay {
        Some(replay) => replay.take_aside(productions),
        None => {
            let mut aside = Aside::default();
            productions.into_iter().for_each(|production| aside.take_in(production));
            aside
        }
    }
}

pub fn open_journal(place: &Place, files: &Files, meta: &Meta) -> Result<Option<Replay>> {
    let newest = files.journals.last().copied();
    if newest.unwrap_or(0) < meta.journal.number {
        let path = place.full(FileName::Journal(meta.journal.number).name());
        return Err(Error::corrupt(&path, 0, Corruption::Missing));
    }
    let Some(generation) = newest else { return Ok(None) };
    let replay = replay(place, generation, &meta.incarnation)?;
    let mark = if meta.journal.file == replay.header.file { meta.journal.end } else { 0 };
    let evidence = Evidence {
        end: replay.end,
        remains: replay.flaw.is_some(),
        watermark: replay.synced,
        mark,
        ..Evidence::default()
    };
    match judge(&evidence) {
        Verdict::Damaged { synced } => {
            let what = replay.flaw.clone().unwrap_or(Corruption::Truncated { expected: synced });
            Err(Error::corrupt(&replay.path, replay.end, what))
        }
        Verdict::Torn | Verdict::Whole => Ok(Some(replay)),
    }
}

/// The last segment of a stream, and what a scan found in it.
#[derive(Debug)]
pub struct Active {
    pub header: Header,
    pub file: Arc<dyn File>,
    pub path: std::path::PathBuf,
    pub found: Scan,
    pub beyond: Beyond,
    pub sealed: bool,
    pub torn: bool,
    /// Changes that depend on lost entries were dropped.
    pub journal_cut: bool,
}

pub fn open_active(place: &Place, files: &Files, meta: &Meta, journal: &mut Option<Replay>) -> Result<Active> {
    let base = files.segments.last().copied().unwrap_or(0);
    if base < meta.log.number.max(1) {
        let path = place.full(FileName::Segment(meta.log.number.max(1)).name());
        return Err(Error::corrupt(&path, 0, Corruption::Missing));
    }
    let name = FileName::Segment(base).name();
    let path = place.full(&name);
    let file = place.open(&name, Access::Write)?;
    let header = read_header(&*file, &path, Kind::Segment)?;
    check_header(&header, &path, base, meta)?;
    check_changes(place, &header, meta, journal.as_ref())?;
    let proven = journal.as_ref().map_or(0, Replay::proven);
    let (found, journal_cut) = scan_consistently(&header, &*file, &path, journal)?;
    let sealed = matches!(found.ending, Ending::Sealed(_));
    let blank = !sealed && scan::is_blank_from(&*file, &path, found.tail)?;
    let beyond = match sealed || blank {
        true => Beyond::default(),
        false => scan::look_beyond(&header, &*file, &path, found.tail)?,
    };
    let evidence = Evidence {
        end: found.tail,
        remains: !blank,
        sealed,
        watermark: found.synced.max(beyond.synced),
        mark: if meta.log.file == header.file { meta.log.end } else { 0 },
        built_upon: proven > found.next_ordinal,
    };
    let torn = match judge(&evidence) {
        Verdict::Damaged { synced } => {
            let what = match &found.ending {
                Ending::Flawed(what) => what.clone(),
                Ending::AheadOfJournal => Corruption::Malformed("entries that build on changes the journal has lost"),
                _ => Corruption::Truncated { expected: synced },
            };
            return Err(Error::corrupt(&path, found.tail, what));
        }
        Verdict::Torn => true,
        Verdict::Whole => false,
    };
    Ok(Active { header, file, path, found, beyond, sealed, torn, journal_cut })
}

/// Whether the last segment is where it belongs.
pub fn check_header(header: &Header, path: &std::path::Path, base: u64, meta: &Meta) -> Result<()> {
    let what = match () {
        () if header.incarnation != meta.incarnation || header.base != base => OUT_OF_PLACE,
        () if header.floor > base => Corruption::Malformed("a trim floor behind the entries there were"),
        () => return Ok(()),
    };
    Err(Error::corrupt(path, 0, what))
}

/// Whether entries are trimmed or deleted that the log never had. Those that come would be dead as well.
pub fn check_dead(aside: &Aside, next_ordinal: u64, path: &std::path::Path) -> Result<()> {
    let deleted = aside.tombstones.set().max().is_some_and(|last| last >= next_ordinal);
    match deleted || aside.state.floor > next_ordinal {
        true => Err(Error::corrupt(path, 0, Corruption::Malformed("entries are deleted that the log never had"))),
        false => Ok(()),
    }
}

/// A segment gets its name when all changes are synced that there were when it was begun: see `Inner::finish_rotation`.
pub fn check_changes(place: &Place, header: &Header, meta: &Meta, journal: Option<&Replay>) -> Result<()> {
    match journal {
        Some(journal) if journal.count() < header.peer => {
            let missing = Corruption::Malformed("changes that a segment builds on are missing");
            Err(Error::corrupt(&journal.path, journal.end, journal.flaw.clone().unwrap_or(missing)))
        }
        None if header.peer > 0 => {
            let name = FileName::Journal(meta.journal.number.max(1)).name();
            Err(Error::corrupt(&place.full(name), 0, Corruption::Missing))
        }
        _ => Ok(()),
    }
}

/// Scans the segment and cuts the journal until neither depends on what the other has lost.
fn scan_consistently(
    header: &Header,
    file: &dyn File,
    path: &std::path::Path,
    journal: &mut Option<Replay>,
) -> Result<(Scan, bool)> {
    let mut journal_cut = false;
    loop {
        let changes = journal.as_ref().map_or(0, Replay::count);
        let found = scan::scan(header, file, path, changes)?;
        if !journal.as_mut().is_some_and(|journal| journal.cut(found.next_ordinal)) {
            return Ok((found, journal_cut));
        }
        journal_cut = true;
    }
}

impl Active {
    /// Whether log and journal end just where a clean end was noted.
    pub fn is_clean(&self, meta: &Meta, journal: Option<&Replay>) -> bool {
        let journal_end = journal.map_or(Mark::default(), |journal| mark(&journal.header, journal.end));
        !self.torn
            && !self.journal_cut
            && meta.log == mark(&self.header, self.found.tail)
            && meta.journal == journal_end
    }
}

/// That a file is there, and synced so far.
pub fn mark(header: &Header, end: u64) -> Mark {
    let number = match header.kind {
        Kind::Segment => header.base,
        Kind::Journal => header.base_ms,
    };
    Mark { file: header.file, end, number }
}

/// The appender and the list of segments.
pub fn begin(
    active: &Active,
    files: &Files,
    aside: &Aside,
    meta: &Meta,
    journal: Option<&Replay>,
) -> Result<(Appender, Vec<Arc<Slot>>)> {
    let found = &active.found;
    let header = active.header.clone();
    let table = Table { blocks: scan::Blocks::of(found.blocks.list.clone()), shapes: found.shapes.clone() };
    let mut segment = Segment::new(header, Arc::clone(&active.file), active.path.clone(), table);
    *segment.synced.get_mut() = found.synced;
    if active.sealed {
        segment.sealed_end.store(found.tail, Ordering::Release);
        // The last block is complete, too.
        let finished = segment.table.get_mut().blocks.finish(&*active.file, found.tail, &mut Vec::new());
        finished.map_err(|error| Error::io("read", &active.path, error))?;
    }
    let segment = Arc::new(segment);
    let lost_id = active.beyond.highest_id.max(journal.map_or(StreamId::MIN, |journal| journal.highest_id));
    let start = Start {
        offset: found.tail,
        next_ordinal: found.next_ordinal,
        last_id: last_id(found, aside.state.id_set).max(meta.ceiling).max(lost_id),
        written_id: found.last_id,
        entries_added: entries_added(&active.header, found.next_ordinal, aside.state.id_set),
        floor: found.floor.max(aside.state.floor).clamp(1, found.next_ordinal.max(1)),
        watermark: found.synced,
        peer: found.peer,
    };
    let mut appender = Appender::new(Arc::clone(&segment), start)?;
    // The seal, too.
    appender.unproven_end = if active.sealed { appender.capacity } else { found.tail };
    let sealed_bases = files.segments.iter().take(files.segments.len() - 1);
    let mut slots: Vec<_> = sealed_bases.map(|&base| Arc::new(Slot::closed(base))).collect();
    slots.push(Arc::new(Slot::opened(segment)));
    Ok((appender, slots))
}

/// The last ID that was generated: that of the last entry, unless it was set after that.
pub fn last_id(found: &Scan, id_set: Option<IdSet>) -> StreamId {
    match id_set {
        Some(set) if set.next_ordinal >= found.next_ordinal => set.last_id,
        _ => found.last_id,
    }
}

/// How many entries were ever added, as a fold over the additions since it was set, or since the segment began.
pub fn entries_added(header: &Header, next_ordinal: u64, id_set: Option<IdSet>) -> u64 {
    let (before, since) = match id_set {
        Some(set) => (set.entries_added, set.next_ordinal),
        None => (header.entries_added, header.base),
    };
    log::entries_added(before, next_ordinal.saturating_sub(since))
}

/// The segments below the first one must be dead: trimmed, or deleted to the last entry.
pub fn check_first(log: &Log, floor: u64, files: &Files) -> Result<()> {
    match files.segments.first() {
        Some(&first) if first > floor && log.live(floor, first) > 0 => {
            let path = log.place.full(FileName::Segment(floor).name());
            Err(Error::corrupt(&path, 0, Corruption::Missing))
        }
        _ => Ok(()),
    }
}

/// The last ID may have been set below that of the last entry, but of none that lives: there would be two of an ID.
fn check_last(log: &Arc<Log>, place: &Place, generation: u64) -> Result<()> {
    let view = log.view();
    let last_id = view.tail.last_id;
    match last_id.next().and_then(|next| Cursor::new(view, next, StreamId::MAX).next_position()) {
        Some(Ok(_)) => {
            let path = place.full(FileName::Journal(generation).name());
            Err(Error::corrupt(&path, 0, Corruption::Malformed("the last ID is below that of an entry")))
        }
        // What cannot be read may be dead.
        Some(Err(_)) | None => Ok(()),
    }
}

/// Removes what a crash has left behind, and segments in which nothing is alive.
fn clean_up(inner: &Inner, files: &Files) -> Result<()> {
    for name in &files.leftovers {
        inner.place.remove(name)?;
    }
    let current = inner.journal.lock().generation;
    for &generation in files.journals.iter().filter(|&&generation| generation < current) {
        inner.place.remove(FileName::Journal(generation).name())?;
    }
    inner.reclaim()
}

/// Makes a new stream durable, all but the name of its directory.
pub fn finish_creation(inner: &Inner) -> Result<()> {
    inner.sync()?;
    inner.place.sync()
}
