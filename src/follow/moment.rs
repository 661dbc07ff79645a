//! The directory of a stream at one moment, also while somebody writes to it.
//!
//! # What makes it one moment
//!
//! A writer appends to two files at a time: the active segment and the journal. Everything else either does not change or
//! is replaced under a name, which a second look at the names and at `meta` tells. So the files are opened between two looks
//! that find the same, and of the two that grow, the ends are taken down in this order: journal, log, journal. Then
//!
//! - every frame before the end that was taken down, but the last one, was complete at that time: what is no valid frame
//!   there is not one in the making;
//! - no change before the journal's first end names an entry behind the log's end, because entries are written before the
//!   changes that name them;
//! - entries before the log's end depend on no change behind the journal's second end. If the two ends of the journal
//!   differ, the log is cut before the first entry that depends on a change between them.
//!
//! What is left is a prefix of what happened, as a crash at that moment would have left it.
//!
//! Where the writer has told how far others may see ([`format::board`](crate::format::board)), the two files end there
//! instead. What it has told is of one moment, too. A segment or journal that it has not told of yet has no more in it than
//! what it began with: the one before is published as a whole then.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::format::Identity;
use crate::format::board::Notice;
use crate::format::file_name::{self, File as FileName, STREAMS};
use crate::format::header::{HEADER_LEN, Kind};
use crate::format::meta::Meta;
use crate::format::store::{INTENT_LEN_MAX, Intent};
use crate::group::journal::{Replay, replay};
use crate::io::frozen::{Bounded, Bytes, Frozen, extent};
use crate::io::place::Place;
use crate::io::reading::UpTo;
use crate::io::{Access, Disk, File, FileKind};
use crate::log::scan::{self, Ending};
use crate::log::segment::read_header;
use crate::stream::superblock::Superblock;
use crate::{Error, Result};

/// How often a stream that changes too fast is looked at again, and how long to wait between.
const TRIES: u32 = 200;
const WAIT: Duration = Duration::from_millis(2);
/// So many of the oldest segments are opened at once, as they go first when a stream is trimmed.
const OPENED_MAX: usize = 64;
/// Longer files are none of ours, and not looked through for their end.
const LEN_MAX: u64 = 4 << 30;

/// What is told of a stream by who writes it.
pub type Told<'a> = &'a dyn Fn(&Identity) -> Option<Notice>;

type Listing = Vec<(OsString, FileKind)>;

/// What a look at a directory found.
enum Look {
    Steady(Box<Frozen>),
    /// Somebody is just changing it.
    Changing,
    Gone,
}

/// Freezes the directory of a stream, with whatever is in it; `None` if there is no such directory.
pub fn freeze(root: &Place, directory: &str) -> Result<Option<Place>> {
    freeze_as_told(root, directory, &|_| None, OPENED_MAX)
}

/// As [`freeze`], as far as others may see. So many of the oldest segments are opened at once.
pub fn freeze_as_told(root: &Place, directory: &str, told: Told<'_>, opened_max: usize) -> Result<Option<Place>> {
    let path = Path::new(STREAMS).join(directory);
    for tries in 0..TRIES {
        match look(root.disk(), &path, told, opened_max).map_err(|error| Error::io("read", &root.full(&path), error))? {
            Look::Steady(frozen) => return Ok(Some(Place::new(Arc::new(*frozen), root.full("").into(), path))),
            Look::Gone => return Ok(None),
            Look::Changing => std::thread::sleep(WAIT * tries.min(5)),
        }
    }
    let error = std::io::Error::new(ErrorKind::ResourceBusy, "it changes faster than it can be looked at");
    Err(Error::io("read", &root.full(&path), error))
}

/// Whether the directory is still as it was when it was frozen, but for what was appended.
pub fn is_unchanged(root: &Place, frozen: &Place) -> bool {
    let names = |place: &Place| place.list().map(|list| ours(list.into_iter().map(|(name, _)| name)));
    let meta = |place: &Place| place.read(file_name::META, u64::from(u16::MAX));
    let now = Place::new(Arc::clone(root.disk()), root.full("").into(), frozen.at(""));
    let same_names = matches!((names(frozen), names(&now)), (Ok(then), Ok(now)) if then == now);
    same_names && matches!((meta(frozen), meta(&now)), (Ok(then), Ok(now)) if then == now)
}

/// The change of several streams that is being made, if there is one.
pub fn intent(root: &Place) -> Result<Option<Intent>> {
    let bytes = match root.read(file_name::INTENT, INTENT_LEN_MAX) {
        Err(Error::Corrupt { .. }) => return Ok(None),
        bytes => bytes?,
    };
    Ok(bytes.and_then(|bytes| Intent::decode(&bytes)))
}

/// Whether a directory is about to get the name that its stream has already.
pub fn is_being_renamed(root: &Place, directory: &str, meta: &Meta) -> bool {
    let rename = intent(root).ok().flatten().and_then(|intent| intent.rename);
    rename.is_some_and(|rename| rename.from == directory && rename.name == meta.name)
        || matches!(root.within(STREAMS).kind(directory), Ok(None))
}

/// The names that matter, in order.
fn ours(names: impl Iterator<Item = String>) -> Vec<FileName> {
    let mut ours: Vec<_> = names.filter_map(|name| FileName::parse(&name)).collect();
    // An index comes and goes as it likes.
    ours.retain(|name| !matches!(name, FileName::Index(_)));
    ours.sort_unstable();
    ours
}

fn look(disk: &Arc<dyn Disk>, directory: &Path, told: Told<'_>, opened_max: usize) -> std::io::Result<Look> {
    match attempt(disk, directory, told, opened_max) {
        // A file went, or was cut, between two steps; or it was the directory.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {
            Ok(if disk.kind(directory)?.is_none() { Look::Gone } else { Look::Changing })
        }
        looked => looked,
    }
}

fn attempt(disk: &Arc<dyn Disk>, directory: &Path, told: Told<'_>, opened_max: usize) -> std::io::Result<Look> {
    let listing = disk.list(directory)?;
    let names = names_of(&listing);
    let meta = read_meta(disk, directory, &listing)?;
    let mut frozen = Frozen::new(Arc::clone(disk), directory.to_path_buf(), listing.clone());
    if let Some(bytes) = &meta {
        frozen.hold(Path::new(file_name::META), Arc::new(Bytes(bytes.clone())));
    }
    let incarnation = meta.as_deref().and_then(|bytes| Some(Superblock::decode(bytes).ok()?.current().incarnation));
    let told = || incarnation.as_ref().and_then(told);
    let open = |name: FileName| open(disk, &directory.join(name.name()));
    let segments = names.iter().copied().filter(|name| matches!(name, FileName::Segment(_)));
    let active = segments.clone().next_back();
    for name in segments.take(opened_max).filter(|name| Some(*name) != active) {
        if let Some(file) = open(name)? {
            frozen.hold(&name.name(), file);
        }
    }
    let journal = names.iter().copied().rfind(|name| matches!(name, FileName::Journal(_)));
    // After the names: what was removed is published.
    let notice = told();
    match &notice {
        Some(notice) if notice.limits => hold_as_told(&mut frozen, disk, directory, (active, journal), notice)?,
        _ => hold_at_once(&mut frozen, disk, directory, (active, journal))?,
    }
    let again = disk.list(directory)?;
    let steady = names == names_of(&again)
        && meta == read_meta(disk, directory, &again)?
        // Who has begun to write meanwhile may not have published what was found.
        && (notice.is_some() || told().is_none());
    Ok(if steady { Look::Steady(Box::new(frozen)) } else { Look::Changing })
}

/// The file that is written to, and the journal.
type Growing = (Option<FileName>, Option<FileName>);

/// Holds the files that grow, as they are at one moment.
fn hold_at_once(
    frozen: &mut Frozen,
    disk: &Arc<dyn Disk>,
    directory: &Path,
    (active, journal): Growing,
) -> std::io::Result<()> {
    let open = |name: FileName| open(disk, &directory.join(name.name()));
    let first = journal.map(open).transpose()?.flatten();
    let first_end = first.as_deref().map_or(Ok(0), end_of)?;
    let log = active.map(open).transpose()?.flatten();
    let log_end = log.as_deref().map_or(Ok(0), end_of)?;
    // Opened again: it may have grown.
    let second = journal.map(open).transpose()?.flatten();
    let second_end = second.as_deref().map_or(Ok(0), end_of)?;
    if let (Some(name), Some(file)) = (journal, first) {
        frozen.hold(&name.name(), Arc::new(Bounded { file, limit: first_end }));
    }
    if let (Some(name), Some(file)) = (active, log) {
        frozen.hold(&name.name(), Arc::new(Bounded { file: Arc::clone(&file), limit: log_end }));
        if first_end != second_end
            && let Some(limit) = end_within_journal(disk, frozen, directory, name, journal)
        {
            frozen.hold(&name.name(), Arc::new(Bounded { file, limit }));
        }
    }
    Ok(())
}

/// Holds the files that grow, as far as the writer has told that others may see.
fn hold_as_told(
    frozen: &mut Frozen,
    disk: &Arc<dyn Disk>,
    directory: &Path,
    (active, journal): Growing,
    notice: &Notice,
) -> std::io::Result<()> {
    for (name, kind) in [(active, Kind::Segment), (journal, Kind::Journal)] {
        let Some(name) = name else { continue };
        let path = directory.join(name.name());
        let file = match disk.watch(&path) {
            Err(error) if error.kind() == ErrorKind::InvalidInput => continue,
            opened => opened?,
        };
        let limit = match read_header(&*file, &path, kind) {
            Ok(header) if header.file == notice.segment => notice.offset,
            Ok(header) if header.file == notice.journal => notice.journal_end,
            Ok(header) if kind == Kind::Journal => {
                let replay = replayed(disk, directory, name, Arc::clone(&file), &header.incarnation);
                replay.map_or(u64::MAX, |replay| replay.checkpoint_end)
            }
            Ok(_) => HEADER_LEN as u64,
            // Who needs it finds that it is damaged.
            Err(_) => u64::MAX,
        };
        frozen.hold(&name.name(), Arc::new(UpTo::new(&file, limit)?));
    }
    Ok(())
}

/// What a journal holds, which is in this file.
fn replayed(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    name: FileName,
    file: Arc<dyn File>,
    incarnation: &Identity,
) -> Option<Replay> {
    let FileName::Journal(generation) = name else { return None };
    let mut frozen = Frozen::new(Arc::clone(disk), directory.to_path_buf(), Vec::new());
    frozen.hold(&name.name(), file);
    let place = Place::new(Arc::new(frozen), Arc::from(Path::new("")), directory.to_path_buf());
    replay(&place, generation, incarnation).ok()
}

fn names_of(listing: &Listing) -> Vec<FileName> {
    ours(listing.iter().filter_map(|(name, _)| name.to_str().map(str::to_owned)))
}

fn read_meta(disk: &Arc<dyn Disk>, directory: &Path, listing: &Listing) -> std::io::Result<Option<Vec<u8>>> {
    let is_meta = |(name, kind): &(OsString, FileKind)| name == file_name::META && *kind == FileKind::File;
    if !listing.iter().any(is_meta) {
        return Ok(None);
    }
    let file = disk.open(&directory.join(file_name::META), Access::Read)?;
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(usize::from(u16::MAX));
    let mut bytes = vec![0; len];
    file.read_at(0, &mut bytes)?;
    Ok(Some(bytes))
}

/// `None` for what is no regular file: whoever needs it finds that out.
fn open(disk: &Arc<dyn Disk>, path: &Path) -> std::io::Result<Option<Arc<dyn File>>> {
    match disk.open(path, Access::Read) {
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(None),
        opened => opened.map(Some),
    }
}

fn end_of(file: &dyn File) -> std::io::Result<u64> {
    match file.len()? {
        len if len > LEN_MAX => Ok(len),
        _ => extent(file),
    }
}

/// Where the entries end that depend on no change behind the journal's end.
fn end_within_journal(
    disk: &Arc<dyn Disk>,
    frozen: &Frozen,
    directory: &Path,
    active: FileName,
    journal: Option<FileName>,
) -> Option<u64> {
    let path: PathBuf = directory.join(active.name());
    let file = frozen.open(&path, Access::Read).ok()?;
    let header = read_header(&*file, &path, Kind::Segment).ok()?;
    let held = frozen.open(&directory.join(journal?.name()), Access::Read).ok()?;
    let changes = replayed(disk, directory, journal?, held, &header.incarnation)?.count();
    let found = scan::scan(&header, &*file, &path, changes).ok()?;
    (found.ending == Ending::AheadOfJournal).then_some(found.tail)
}
