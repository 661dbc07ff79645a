//! Copies of whole stores.
//!
//! # Files
//!
//! A backup is a store, with a file `BACKUP` that says so. It is built beside its place, under the name `.NAME.new`, and takes
//! its place when it is complete and synced: before that the earlier one is there, after that the new one. (Where a file system
//! cannot exchange two directories it is `.NAME.old` for a moment, from where the next backup brings it back.) While it is built its
//! file `LOCK` is locked, as is that of the earlier one, so that two never work on the same place, and nobody has a backup open
//! that is about to go.
//!
//! What is found under these names is removed only if it has a file `BACKUP` that says so, or `BACKUP.new`, which is the first file
//! of one that is built, or if it is empty. When it is removed, `LOCK` goes first, so that it is no store any more, and that file
//! last. The earlier one goes when the new name is synced, and not before.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::copy::{Bytes, Copying};
use crate::follow::{moment, picture, root};
use crate::format::Identity;
use crate::format::file_name::{BACKUP, BACKUP_NEW, LOCK, STREAMS, TMP, escape};
use crate::format::store::encode_lock;
use crate::inspect::Inspection;
use crate::io::place::Place;
use crate::io::{File, FileKind, OsDisk, create_root, exchange};
use crate::stream::superblock::{self, Superblock};
use crate::{Corruption, Error, Result, Store};

/// How often a stream is copied again because it changed underneath, and the list of streams.
const TRIES: u32 = 20;
const WAIT: Duration = Duration::from_millis(5);
/// The content of `BACKUP`.
const ABOUT: &[u8] = b"A backup of a store of streamlog: it is replaced by the next one.\n";

/// What to do with files that never change again.
///
/// # Examples
///
/// ```
/// use streamlog::{Store, inspect::Inspection, transfer::Sharing};
///
/// # let dir = tempfile::tempdir()?;
/// # let store = Store::open(dir.path().join("data"))?;
/// # for order in ["small", &"large".repeat(2_000)] {
/// #     store.stream("orders")?.add([("order", order)])?;
/// # }
/// let back_up = |sharing, name| Inspection::of(&store)?.backup().sharing(sharing).to(dir.path().join(name), |_| {});
/// let linked = back_up(Sharing::Link, "links")?;
/// let copied = back_up(Sharing::Copy, "copies")?;
/// assert_eq!(copied.bytes_shared, 0);
/// assert_eq!(linked.bytes_shared + linked.bytes_copied, copied.bytes_copied);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sharing {
    /// Give them another name (a hard link) where that is possible, on the same file system: it takes no room and no time, and
    /// is no second copy on the disk.
    #[default]
    Link,
    /// Copy them, unless an earlier backup has a copy.
    Copy,
}

/// What a backup came to.
///
/// # Examples
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let (path, copy) = (dir.path().join("data"), dir.path().join("copy"));
/// let store = streamlog::Store::open(path)?;
/// store.create("orders")?;
/// store.create("payments")?;
/// let done = store.backup(copy)?;
/// assert_eq!(done.streams, 2);
/// println!("{} bytes written, {} shared", done.bytes_copied, done.bytes_shared);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackedUp {
    /// How many streams there are.
    pub streams: u64,
    /// Bytes of files that are those of the store, or of the earlier backup.
    pub bytes_shared: u64,
    /// Bytes that were written.
    pub bytes_copied: u64,
}

/// A copy of a store that is to be made: see [`Store::backup`] and [`Inspection::backup`].
///
/// # Examples
///
/// ```
/// use streamlog::{Store, inspect::Inspection, transfer::Sharing};
///
/// # let dir = tempfile::tempdir()?;
/// # let (path, copy) = (dir.path().join("data"), dir.path().join("copy"));
/// # let store = Store::open(&path)?;
/// # store.stream("orders")?.add([("order", "o1")])?;
/// // While another process writes to the store.
/// let mut bytes = 0;
/// let done = Inspection::open(&path)?.backup().sharing(Sharing::Copy).to(&copy, |more| bytes += more)?;
/// assert!(done.streams == 1 && bytes > 0);
/// assert_eq!(Store::open(&copy)?.stream("orders")?.len()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Backup {
    inspection: Inspection,
    sharing: Sharing,
}

impl Inspection {
    /// Looks at a store that is open in this process, or in memory. Costs what [`open`](Self::open) costs.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if its directory is not there any more.
    ///
    /// # Examples
    ///
    /// ```
    /// let store = streamlog::Store::in_memory();
    /// store.create("orders")?;
    /// let inspection = streamlog::inspect::Inspection::of(&store)?;
    /// assert_eq!(inspection.names()?, [b"orders"]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn of(store: &Store) -> Result<Self> {
        let disk = store.disk();
        match disk.root() {
            Some(path) => Self::open(path),
            None => Self::on(Arc::clone(disk), Path::new("memory")),
        }
    }

    /// A copy of the store that is to be made, while it is used by this process or another.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, inspect::Inspection};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let (path, copy) = (dir.path().join("data"), dir.path().join("copy"));
    /// # let store = Store::open(&path)?;
    /// # store.create("orders")?;
    /// // Without opening the store, which may be in use.
    /// Inspection::open(&path)?.backup().to(&copy, |_| {})?;
    /// assert_eq!(Inspection::open(&copy)?.names()?, [b"orders"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(self) -> Backup {
        Backup { inspection: self, sharing: Sharing::default() }
    }
}

impl Store {
    /// Makes a copy of the store, which is used meanwhile, in the directory `path`; or brings the copy that is there up to date.
    /// For more choice: [`Inspection::of`] and [`Inspection::backup`].
    ///
    /// A backup is a store, which opens and verifies. Each stream in it is as it was at one moment of the call: log and groups
    /// together, a prefix of what happened, with everything that was acknowledged before the call. The moments of different
    /// streams differ. It is durable when the call returns; if that is cut short, what was there before is there.
    ///
    /// Files that never change again, which are all but the last segment of each stream, are not copied on the same file system,
    /// but get another name there (hard links): what is read and written again is about a segment and a journal of each stream.
    /// On another file system they are taken from the earlier backup where it has the same bytes: everything is read, in both
    /// places, and only what is new or damaged there is written. Opening or trimming either store leaves the other alone;
    /// what is written to a backup is lost with the next one.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if a stream cannot be opened for damage: the earlier backup stays, rather than be replaced by less.
    /// [`Error::Locked`] if somebody has the earlier backup open, or is making one. [`Error::NoSpace`] and [`Error::Io`], also if
    /// there is something else than an earlier backup of this store, or beside it, under the names `.NAME.new` and `.NAME.old`,
    /// something that no backup has left there.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let (path, copy) = (dir.path().join("data"), dir.path().join("copy"));
    /// let store = streamlog::Store::open(&path)?;
    /// let orders = store.stream("orders")?;
    /// for day in 1..=2 {
    ///     orders.add([("order", "o1")])?;
    ///     assert_eq!(store.backup(&copy)?.streams, 1);
    /// }
    /// let yesterday = streamlog::Store::open(&copy)?;
    /// assert_eq!(yesterday.stream("orders")?.len()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<BackedUp> {
        Inspection::of(self)?.backup().to(path, |_| {})
    }
}

impl Backup {
    /// What to do with files that never change again; they are linked unless this says otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, inspect::Inspection, transfer::Sharing};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let (path, copy) = (dir.path().join("data"), dir.path().join("copy"));
    /// # let store = Store::open(&path)?;
    /// # store.stream("orders")?.add([("order", "o1")])?;
    /// // A second copy of every byte, in case the disk forgets one.
    /// let done = Inspection::of(&store)?.backup().sharing(Sharing::Copy).to(&copy, |_| {})?;
    /// assert_eq!(done.bytes_shared, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// Makes the copy, or brings an earlier one up to date: see [`Store::backup`]. `progress` is told how many bytes of segments
    /// and journals are done, from file to file.
    ///
    /// # Errors
    ///
    /// As [`Store::backup`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, inspect::Inspection};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let (path, copy) = (dir.path().join("data"), dir.path().join("copy"));
    /// # let store = Store::open(&path)?;
    /// # store.stream("orders")?.add([("order", "o1")])?;
    /// let mut bytes = 0;
    /// let done = Inspection::of(&store)?.backup().to(&copy, |more| bytes += more)?;
    /// assert_eq!(done.streams, 1);
    /// assert!(bytes > 0 && Store::open(&copy)?.exists("orders")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to(self, path: impl AsRef<Path>, progress: impl FnMut(u64)) -> Result<BackedUp> {
        let target = Target::new(path.as_ref())?;
        target.check_outside(&self.inspection)?;
        let earlier = target.earlier(self.store()?)?;
        let build = target.begin()?;
        let done = self.build(&build, earlier.as_ref().map(|earlier| &earlier.place), progress, true);
        target.finish(build, earlier, done)
    }

    /// Makes a store of a backup, in a directory that is not there or empty. The backup stays as it is, and can be restored
    /// again; so can any other store.
    ///
    /// The store has the identity of the one that the backup is of, and begins where the backup ends: IDs that were handed out
    /// since are handed out again.
    ///
    /// Costs what a first backup costs: files that never change again are linked or copied, as [`sharing`](Self::sharing) says.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is something in the directory; and as [`Store::backup`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, inspect::Inspection};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let [path, copy, restored] = ["data", "copy", "restored"].map(|name| dir.path().join(name));
    /// let store = Store::open(&path)?;
    /// store.create("orders")?;
    /// store.backup(&copy)?;
    /// Inspection::open(&copy)?.backup().restore_to(&restored, |_| {})?;
    /// assert_eq!(Store::open(&restored)?.names()?, [b"orders"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore_to(self, path: impl AsRef<Path>, progress: impl FnMut(u64)) -> Result<BackedUp> {
        let target = Target::new(path.as_ref())?;
        target.check_outside(&self.inspection)?;
        target.check_empty()?;
        let build = target.begin()?;
        let done = self.build(&build, None, progress, false);
        target.finish(build, None, done)
    }

    fn store(&self) -> Result<Identity> {
        let missing = || Error::corrupt(&self.inspection.root.full(LOCK), 0, Corruption::Missing);
        self.inspection.store.ok_or_else(missing)
    }

    /// Copies everything into a new directory, and syncs it.
    fn build(
        &self,
        build: &Build,
        earlier: Option<&Place>,
        mut progress: impl FnMut(u64),
        is_backup: bool,
    ) -> Result<BackedUp> {
        let place = &build.place;
        let path = place.full(LOCK);
        build.lock.write_at(0, &encode_lock(&self.store()?)).map_err(|error| Error::io("write to", &path, error))?;
        build.lock.sync().map_err(|error| Error::unsynced(&path, error))?;
        place.create_dir(TMP)?;
        let mut done = copy_streams(&self.inspection, place, earlier, self.sharing, &mut progress)?;
        done.streams = place.within(STREAMS).list()?.len() as u64;
        if is_backup {
            place.rename(BACKUP_NEW, BACKUP)?;
        }
        place.sync()?;
        Ok(done)
    }
}

/// Copies all streams to a directory `streams`, which it makes, and syncs it.
pub(super) fn copy_streams(
    from: &Inspection,
    to: &Place,
    earlier: Option<&Place>,
    sharing: Sharing,
    progress: &mut dyn FnMut(u64),
) -> Result<BackedUp> {
    to.create_dir(STREAMS)?;
    let streams = to.within(STREAMS);
    let mut done = BackedUp::default();
    // The directories that were copied, and the streams they were.
    let mut copied: BTreeMap<String, Identity> = BTreeMap::new();
    for tries in 0.. {
        let listed: BTreeSet<String> = from.directories()?.into_iter().map(|(_, directory)| directory).collect();
        let mut is_same = !from.has_intent()?;
        copied.retain(|directory, _| {
            listed.contains(directory) || {
                is_same = false;
                let _ = fs::remove_dir_all(streams.full(directory));
                false
            }
        });
        for directory in &listed {
            let is_there = copied.get(directory).is_some_and(|known| from.is_still(directory, known));
            if is_there {
                continue;
            }
            is_same = false;
            if let Some((stream, bytes)) = copy_stream(from, &streams, directory, earlier, sharing, progress)? {
                copied.insert(directory.clone(), stream);
                done.bytes_shared += bytes.shared;
                done.bytes_copied += bytes.copied;
            }
        }
        if is_same {
            break;
        }
        if tries == TRIES {
            let reason = match from.has_intent()? {
                true => "a change of several streams was broken off: opening the store finishes it",
                false => "streams come, go and are renamed faster than they are copied",
            };
            return Err(Error::io("copy", &from.root.full(STREAMS), io::Error::other(reason)));
        }
        if tries > 0 {
            std::thread::sleep(WAIT);
        }
    }
    streams.sync()?;
    Ok(done)
}

/// Copies one stream; `None` if it went meanwhile, or is being renamed.
fn copy_stream(
    from: &Inspection,
    streams: &Place,
    directory: &str,
    earlier: Option<&Place>,
    sharing: Sharing,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<(Identity, Bytes)>> {
    let mut tries = 0;
    loop {
        let to = streams.within(directory);
        if streams.kind(directory)?.is_some() {
            fs::remove_dir_all(streams.full(directory))
                .map_err(|error| Error::io("remove", &streams.full(directory), error))?;
        }
        let Some(frozen) = moment::freeze(&from.root, directory)? else { return Ok(None) };
        let copy = || {
            let meta = picture::meta_of(&frozen, from.store)?;
            // While a stream is renamed, its superblock has the new name before its directory does.
            if escape(&meta.name) != directory {
                return match moment::is_being_renamed(&from.root, directory, &meta) {
                    true => Ok(None),
                    false => Err(superblock::misnamed(&frozen)),
                };
            }
            streams.create_dir(directory)?;
            let taken = picture::Picture::take(&frozen, meta.clone())?;
            let earlier = earlier.map(|earlier| earlier.within(STREAMS).within(directory));
            let copying =
                Copying { from: &frozen, picture: &taken, meta: &meta, to: &to, earlier: earlier.as_ref(), sharing };
            Ok(Some((meta.incarnation, copying.run(progress)?)))
        };
        let copied = copy_once(copy);
        tries += 1;
        match copied {
            Err(_) if tries < TRIES && !moment::is_unchanged(&from.root, &frozen) => {}
            copied => return copied,
        }
    }
}

/// So that `?` ends one attempt.
fn copy_once<T>(copy: impl FnOnce() -> Result<T>) -> Result<T> {
    copy()
}

impl Inspection {
    /// Whether a change of several streams is being made.
    fn has_intent(&self) -> Result<bool> {
        Ok(self.root.kind(crate::format::file_name::INTENT)?.is_some())
    }

    /// Whether a directory is that of the same stream.
    fn is_still(&self, directory: &str, stream: &Identity) -> bool {
        let place = self.root.within(STREAMS).within(directory);
        // While it is being written to it may not be readable, but then it is there.
        Superblock::open(&place).map_or(true, |found| found.current().incarnation == *stream)
    }
}

/// Where a copy is to be.
struct Target {
    path: PathBuf,
    /// Where it is built.
    new: PathBuf,
    /// Where the earlier one is for a moment, where two directories cannot be exchanged.
    old: PathBuf,
    parent: PathBuf,
}

/// A copy that is being built; its lock is held.
struct Build {
    place: Place,
    lock: Arc<dyn File>,
}

/// An earlier copy; its lock is held.
struct Earlier {
    place: Place,
    lock: Arc<dyn File>,
}

impl Target {
    fn new(path: &Path) -> Result<Self> {
        let no_name = || Error::io("create", path, io::Error::new(io::ErrorKind::InvalidInput, "it has no name"));
        let name = path.file_name().ok_or_else(no_name)?.to_owned();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = fs::canonicalize(parent).map_err(|error| Error::io("look at", parent, error))?;
        let beside = |ending: &str| {
            let mut beside = OsString::from(".");
            beside.push(&name);
            beside.push(ending);
            parent.join(beside)
        };
        let (new, old) = (beside(".new"), beside(".old"));
        Ok(Self { path: parent.join(name), new, old, parent })
    }

    fn refuse(&self, reason: &'static str) -> Error {
        Error::io("replace", &self.path, io::Error::new(io::ErrorKind::AlreadyExists, reason))
    }

    fn check_outside(&self, store: &Inspection) -> Result<()> {
        match store.root.disk().root().is_some_and(|root| self.path.starts_with(root)) {
            true => Err(self.refuse("it is in the store")),
            false => Ok(()),
        }
    }

    fn is_missing_or_empty(&self) -> Result<bool> {
        match fs::read_dir(&self.path) {
            Ok(mut entries) => Ok(entries.next().is_none()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(Error::io("look at", &self.path, error)),
        }
    }

    fn check_empty(&self) -> Result<()> {
        self.bring_back()?;
        if self.is_missing_or_empty()? { Ok(()) } else { Err(self.refuse("there is something in it already")) }
    }

    /// Gives the earlier backup its name again, if whoever was about to replace it in two steps was killed between them.
    fn bring_back(&self) -> Result<()> {
        if self.is_missing_or_empty()? && is_ours(&self.old)? && root::identity(&open(&self.old)?).is_ok() {
            // Or is between them.
            drop(lock(&open(&self.old)?)?);
            fs::rename(&self.old, &self.path).map_err(|error| Error::io("rename", &self.old, error))?;
        }
        Ok(())
    }

    /// The backup of the same store that is there.
    fn earlier(&self, store: Identity) -> Result<Option<Earlier>> {
        self.bring_back()?;
        if self.is_missing_or_empty()? {
            return Ok(None);
        }
        let found = Inspection::open(&self.path);
        let found = found.ok().filter(|found| found.store == Some(store));
        let found = found.ok_or_else(|| self.refuse("it is not a backup of this store"))?;
        if found.root.kind(BACKUP)? != Some(FileKind::File) {
            return Err(self.refuse("it is a store, and not a backup"));
        }
        let place = open(&self.path)?;
        Ok(Some(Earlier { lock: lock(&place)?, place }))
    }

    /// An empty directory beside the place, without what an earlier attempt has left there.
    fn begin(&self) -> Result<Build> {
        for left in [&self.new, &self.old] {
            if left.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                continue;
            }
            if !is_ours(left)? {
                let reason = "it was not made by a backup, which needs the name";
                return Err(Error::io("remove", left, io::Error::new(io::ErrorKind::AlreadyExists, reason)));
            }
            // Whoever is at it has it locked.
            drop(lock(&open(left)?)?);
            // It may be the earlier one still, if that could not be synced.
            open(&self.parent)?.sync()?;
            remove(left).map_err(|error| Error::io("remove", left, error))?;
        }
        create_root(&self.new).map_err(|error| Error::io("create", &self.new, error))?;
        let place = open(&self.new)?;
        let path = place.full(BACKUP_NEW);
        let file = place.create(BACKUP_NEW, ABOUT.len() as u64)?;
        file.write_at(0, ABOUT).map_err(|error| Error::io("write to", &path, error))?;
        file.sync().map_err(|error| Error::unsynced(&path, error))?;
        Ok(Build { lock: lock(&place)?, place })
    }

    /// Gives what was built its place, if it is complete; else there is nothing left of it.
    fn finish(&self, build: Build, earlier: Option<Earlier>, built: Result<BackedUp>) -> Result<BackedUp> {
        let is_replacing = earlier.is_some();
        let mut locks = vec![build.lock];
        locks.extend(earlier.map(|earlier| earlier.lock));
        if cfg!(windows) {
            // What is open cannot be renamed there.
            locks.clear();
        }
        let named = built.and_then(|done| {
            let named = if is_replacing { self.replace(exchange) } else { fs::rename(&self.new, &self.path) };
            named.map(|()| done).map_err(|error| Error::io("replace", &self.path, error))
        });
        // What cannot be removed goes with the next one.
        let Ok(done) = named else {
            let _ = remove(&self.new);
            return named;
        };
        // The earlier one is needed as long as the disk may have it under the name.
        open(&self.parent)?.sync()?;
        let _ = remove(&self.new);
        let _ = remove(&self.old);
        // A store that was restored is none that a backup replaces.
        let _ = fs::remove_file(self.path.join(BACKUP_NEW));
        drop(locks);
        Ok(done)
    }

    /// Has what was built and the earlier one change places, or the latter go aside where that is not possible.
    fn replace(&self, exchange: impl FnOnce(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        match exchange(&self.new, &self.path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => {
                fs::rename(&self.path, &self.old)?;
                fs::rename(&self.new, &self.path).inspect_err(|_| {
                    // If that fails, too, the next backup does it.
                    let _ = fs::rename(&self.old, &self.path);
                })
            }
            exchanged => exchanged,
        }
    }
}

/// Whether there is a directory that is a backup, one that is not complete, or empty. Nothing is changed.
fn is_ours(path: &Path) -> Result<bool> {
    if !path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return Ok(false);
    }
    let place = open(path)?;
    let about = |name| place.read(name, ABOUT.len() as u64).ok().flatten();
    let is_complete = about(BACKUP).is_some_and(|bytes| bytes == ABOUT);
    // Whoever was about to write it may have been killed.
    let is_begun = |bytes: Vec<u8>| bytes.iter().zip(ABOUT).all(|(found, ours)| found == ours || *found == 0);
    Ok(is_complete || about(BACKUP_NEW).is_some_and(is_begun) || place.is_empty()?)
}

/// Removes a copy; what tells that it is one goes last, as this may be cut short.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path.join(LOCK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for item in fs::read_dir(path)? {
        let item = item?;
        match item.file_type()?.is_dir() {
            true => fs::remove_dir_all(item.path())?,
            false if item.file_name() == BACKUP || item.file_name() == BACKUP_NEW => {}
            false => fs::remove_file(item.path())?,
        }
    }
    fs::remove_dir_all(path)
}

fn open(path: &Path) -> Result<Place> {
    let disk = OsDisk::open_unmapped(path).map_err(|error| Error::io("open", path, error))?;
    Ok(Place::new(disk, Arc::from(path), PathBuf::new()))
}

fn lock(place: &Place) -> Result<Arc<dyn File>> {
    place.disk().lock(Path::new(LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Locked { path: place.full("") },
        _ => Error::io("lock", &place.full(LOCK), error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As on Windows, and on file systems that cannot do it.
    fn cannot(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn scene() -> (tempfile::TempDir, Target) {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::new(&dir.path().join("copy")).unwrap();
        fs::create_dir(&target.path).unwrap();
        fs::write(target.path.join("earlier"), "").unwrap();
        (dir, target)
    }

    #[test]
    fn directories_that_cannot_be_exchanged_are_replaced_in_two_steps() {
        let (_dir, target) = scene();
        fs::create_dir(&target.new).unwrap();
        target.replace(cannot).unwrap();
        assert!(target.old.join("earlier").exists() && target.path.exists() && !target.new.exists());
    }

    #[test]
    fn an_earlier_backup_gets_its_name_again_if_it_cannot_be_replaced() {
        let (_dir, target) = scene();
        // There is nothing that could take its place.
        assert_eq!(target.replace(cannot).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(target.path.join("earlier").exists() && !target.old.exists());
    }
}
