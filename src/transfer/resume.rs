//! An import that can be stopped at any point, by a kill or a power loss as well, and goes on where it was.
//!
//! # How
//!
//! Most commands cannot be repeated without doing more than once what they do, and how far each stream came when the process
//! died is not known. So from time to time the import takes a *checkpoint*: the streams as they are then, in
//! `import/NUMBER/streams` of the store, by the same means as a backup, and how far it is, in `import/position`, which names that
//! directory and is replaced in one step. When it goes on, the streams are made those of the checkpoint again.
//!
//! Sealed segments are linked, so that a checkpoint takes the room and the time of what is still being written to; and the more
//! time one takes, the later the next one comes.
//!
//! As long as there is a directory `import`, the store cannot be opened otherwise: whatever was done to it would be undone, and
//! half of a log is not for anybody to act upon.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use super::backup::{Sharing, copy_streams};
use super::import::{Import, ImportError, Reader};
use super::position::Position;
use super::report::{Imported, Progress};
use crate::follow::root;
use crate::format::file_name::{IMPORT, INTENT, INTENT_NEW, LOCK, STREAMS, TMP};
use crate::inspect::Inspection;
use crate::io::place::Place;
use crate::io::{FileKind, OsDisk};
use crate::store::catalog;
use crate::{Error, Options, Result, Store};

const POSITION: &str = "position";
const POSITION_NEW: &str = "position.new";
const POSITION_LEN_MAX: u64 = 1 << 20;
/// So many bytes of an input tell it from others.
const HEAD: usize = 4096;
/// A checkpoint is due when so many times the time went by that the last one took.
const PART: u32 = 20;
/// So much of a file is read at a time.
const PIECE: usize = 256 << 10;

/// An [`Import`] into a store of its own that goes on where it was stopped, by whatever.
///
/// What was taken in is as of the last checkpoint then, and the rest is read again; nothing is taken in twice, and nothing left
/// out. Until the import is [finished](Self::finish) the store cannot be opened otherwise: [`Error::ImportUnfinished`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::transfer::ResumableImport;
/// use streamlog::{Durability, Options, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # let (path, log) = (dir.path().join("data"), dir.path().join("log"));
/// std::fs::write(&log, "XADD orders 1-1 total 49.99\r\n")?;
/// // What is not synced one by one is synced at each checkpoint.
/// let options = Options::new().durability(Durability::Os);
/// let mut import = ResumableImport::open(&path, options, 0, Duration::from_secs(10))?;
/// import.read_file(0, &log, |_| {})?;
/// assert_eq!(import.finish()?.entries, 1);
/// assert_eq!(Store::open(&path)?.stream("orders")?.len()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ResumableImport {
    import: Import,
    /// The directory of the store.
    root: Place,
    checkpoints: Checkpoints,
    is_resumed: bool,
}

impl ResumableImport {
    /// Begins an import of one database of a server into the store at `path`, which is created if it is missing; or goes on with
    /// the one that was stopped there. A checkpoint is taken about so often; with zero, after each command.
    ///
    /// Each checkpoint costs what a backup on the same file system costs: about a segment and a journal of each stream.
    ///
    /// # Errors
    ///
    /// As [`Options::open`]; [`ImportError::Resumption`] if the one that was stopped took in another database, if its position
    /// cannot be read, or if what is called `import` in the store is not of an import. Nothing was changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::transfer::{ImportError, ResumableImport};
    /// use streamlog::Options;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    ///
    /// let begun = ResumableImport::open(path, Options::new(), 0, Duration::from_secs(10))?;
    /// assert_eq!(begun.resumed_at(), None);
    /// drop(begun);
    /// let other = ResumableImport::open(path, Options::new(), 1, Duration::from_secs(10));
    /// assert!(matches!(other, Err(ImportError::Resumption { .. })), "it was of database 0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>, options: Options, database: u64, every: Duration) -> Result<Self, ImportError> {
        let path = path.as_ref();
        let options = options.importing();
        let (stopped, locked) = match Stopped::find(path)? {
            Some(stopped) if stopped.position.as_ref().is_some_and(|position| position.wanted != database) => {
                return Err(ImportError::Resumption { reason: "it was of another database" });
            }
            Some(stopped) => {
                stopped.restore()?;
                if stopped.position.is_none() {
                    give_up(&stopped.root)?;
                }
                (stopped.position, Some(stopped.lock))
            }
            None => (None, None),
        };
        let is_resumed = stopped.is_some();
        // The lock is kept: another import that went on in between would be further than the position says.
        let store = Store::of_shared(catalog::open_locked(&options, path, locked)?);
        let root = place_at(path)?;
        let place = root.within(IMPORT);
        let mut import = Import::new(&store)?.database(database);
        let position = match stopped {
            Some(position) => {
                import.applier.may_flush = position.may_flush;
                import.applier.imported = position.imported.clone();
                position
            }
            None => Position { wanted: database, may_flush: import.applier.may_flush, ..Position::default() },
        };
        let mut checkpoints =
            Checkpoints { store, place, position, every, taken: Instant::now(), took: Duration::ZERO };
        if !is_resumed {
            root.create_dir(IMPORT)?;
            root.sync()?;
            checkpoints.take(checkpoints.position.clone())?;
        }
        Ok(Self { import, root, checkpoints, is_resumed })
    }

    /// Where an import goes on that was stopped: the number of the input, and the offset in it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::Options;
    /// use streamlog::transfer::ResumableImport;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    ///
    /// let log = &b"XADD orders 1-1 order o1\r\nXADD orders 2-1 order o2\r\n"[..];
    /// let open = || ResumableImport::open(path, Options::new(), 0, Duration::ZERO);
    /// let mut import = open()?;
    /// import.read(0, &log[..30], |_| {})?;
    /// drop(import); // or its process is killed
    ///
    /// let mut import = open()?;
    /// assert_eq!(import.resumed_at(), Some((0, 26)));
    /// import.read(0, log, |_| {})?;
    /// assert_eq!(import.imported().entries, 2);
    /// import.finish()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn resumed_at(&self) -> Option<(u64, u64)> {
        let position = &self.checkpoints.position;
        self.is_resumed.then_some((position.input, position.offset))
    }

    /// As [`Import::read`]; `number` counts the inputs from 0 on. Those that are done with are not read again, and of the one
    /// that the import was stopped in, the first part is passed over.
    ///
    /// # Errors
    ///
    /// As [`Import::read`]; [`ImportError::Resumption`] if it is not the input that was read before.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::Options;
    /// use streamlog::transfer::ResumableImport;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let mut import = ResumableImport::open(dir.path(), Options::new(), 0, Duration::from_secs(10))?;
    /// for (number, log) in ["XADD orders 1-1 order o1\r\n", "XADD orders 2-1 order o2\r\n"].iter().enumerate() {
    ///     import.read(number as u64, log.as_bytes(), |_| {})?;
    /// }
    /// assert_eq!(import.finish()?.entries, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(
        &mut self,
        number: u64,
        input: impl BufRead,
        progress: impl FnMut(Progress),
    ) -> Result<(), ImportError> {
        self.read_on(number, input, |input, count| io::copy(&mut input.take(count), &mut io::sink()), progress)
    }

    /// As [`read`](Self::read), of a file, of which the first part need not be read again.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::Options;
    /// use streamlog::transfer::ResumableImport;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let (path, log) = (dir.path().join("data"), dir.path().join("appendonly.aof"));
    /// # std::fs::write(&log, "XADD orders 1-1 order o1\r\n")?;
    /// let mut import = ResumableImport::open(&path, Options::new(), 0, Duration::from_secs(10))?;
    /// let len = std::fs::metadata(&log)?.len();
    /// import.read_file(0, &log, |progress| println!("{} of {len} bytes", progress.offset))?;
    /// assert_eq!(import.finish()?.bytes, len);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_file(
        &mut self,
        number: u64,
        path: impl AsRef<Path>,
        progress: impl FnMut(Progress),
    ) -> Result<(), ImportError> {
        let file = File::open(path).map_err(|source| ImportError::Read { offset: 0, source })?;
        let skip = |input: &mut BufReader<File>, count: u64| {
            let len = input.get_ref().metadata()?.len();
            let here = input.stream_position()?;
            input.seek(SeekFrom::Start(here.saturating_add(count)))?;
            Ok(len.saturating_sub(here).min(count))
        };
        self.read_on(number, BufReader::with_capacity(PIECE, file), skip, progress)
    }

    fn read_on<R: BufRead>(
        &mut self,
        number: u64,
        mut input: R,
        skip: impl FnOnce(&mut R, u64) -> io::Result<u64>,
        progress: impl FnMut(Progress),
    ) -> Result<(), ImportError> {
        let Self { import: Import { applier }, checkpoints, .. } = self;
        let position = &checkpoints.position;
        if number < position.input {
            return Ok(());
        }
        let offset = if number == position.input { position.offset } else { 0 };
        applier.begin_log()?;
        let mut head = Vec::new();
        let failed = |source| ImportError::Read { offset: 0, source };
        input.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(failed)?;
        if offset > 0 {
            let (hash, len) = position.head;
            let before = head.get(..usize::try_from(len).unwrap_or(usize::MAX));
            let other = ImportError::Resumption { reason: "the input is not the one that it was stopped in" };
            if before.is_none_or(|before| xxh3_64(before) != hash) {
                return Err(other);
            }
            let rest = offset.saturating_sub(head.len() as u64);
            if skip(&mut input, rest).map_err(failed)? < rest {
                return Err(other);
            }
            applier.database = position.database;
            // Counted from the start of the input again.
            applier.imported.bytes = applier.imported.bytes.saturating_sub(offset);
        }
        let behind_head = head.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default().to_vec();
        let reader = Reader::at(io::Cursor::new(behind_head).chain(input), offset);
        reader.run(applier, progress, |applier, offset| {
            if !checkpoints.is_due() {
                return Ok(());
            }
            let first = head.get(..usize::try_from(offset).unwrap_or(usize::MAX)).unwrap_or(&head);
            let position = Position {
                tree: checkpoints.position.tree,
                input: number,
                offset,
                head: (xxh3_64(first), first.len() as u64),
                wanted: applier.wanted,
                database: applier.database,
                may_flush: applier.may_flush,
                imported: applier.imported.clone(),
            };
            Ok(checkpoints.take(position)?)
        })
    }

    /// What it has come to so far.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::Options;
    /// use streamlog::transfer::ResumableImport;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let mut import = ResumableImport::open(dir.path(), Options::new(), 0, Duration::from_secs(10))?;
    /// import.read(0, &b"XADD orders 1-1 order o1\r\nSET greeting hello\r\n"[..], |_| {})?;
    /// assert_eq!((import.imported().entries, import.imported().skipped_count()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn imported(&self) -> &Imported {
        self.import.imported()
    }

    /// Syncs everything, and lets the store be opened again; says what the import came to. Also where it cannot go on: what was
    /// taken in stays. To go on with it later, drop it instead.
    ///
    /// # Errors
    ///
    /// As [`Store::close`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::transfer::ResumableImport;
    /// use streamlog::{Options, Store};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    ///
    /// let mut import = ResumableImport::open(path, Options::new(), 0, Duration::from_secs(10))?;
    /// import.read(0, &b"XADD orders 1-1 order o1\r\n"[..], |_| {})?;
    /// assert_eq!(import.finish()?.entries, 1);
    /// assert_eq!(Store::open(path)?.names()?, [b"orders"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(self) -> Result<Imported> {
        self.checkpoints.store.sync()?;
        give_up(&self.root)?;
        self.checkpoints.store.close()?;
        Ok(self.import.finish())
    }
}

/// Where it would go on, and when that changes.
#[derive(Debug)]
struct Checkpoints {
    store: Store,
    /// The directory `import` of the store.
    place: Place,
    /// As of the last checkpoint.
    position: Position,
    every: Duration,
    taken: Instant,
    took: Duration,
}

impl Checkpoints {
    fn is_due(&self) -> bool {
        self.every.is_zero() || self.taken.elapsed() >= self.every.max(self.took * PART)
    }

    /// Puts the streams aside as they are, and then where that is.
    fn take(&mut self, position: Position) -> Result<()> {
        let begun = Instant::now();
        let (old, new) = (self.position.tree, self.position.tree + 1);
        let directory = self.place.within(new.to_string());
        remove_tree(&directory)?;
        self.place.create_dir(new.to_string())?;
        let earlier = self.place.within(old.to_string());
        copy_streams(&Inspection::of(&self.store)?, &directory, Some(&earlier), Sharing::Link, &mut |_| {})?;
        directory.sync()?;
        self.place.sync()?;
        let position = Position { tree: new, ..position };
        self.place.write_whole(Path::new(POSITION_NEW), Path::new(POSITION), &position.encode())?;
        self.position = position;
        remove_tree(&earlier)?;
        (self.taken, self.took) = (Instant::now(), begun.elapsed());
        Ok(())
    }
}

/// Ends an import that was stopped, without going on with it: the store has what was taken in up to the last checkpoint. Returns
/// whether there was one.
///
/// Costs what a backup on the same file system costs: about a segment and a journal of each stream.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Locked`], and [`ImportError::Resumption`] if its position cannot be read. [`Error::NotAStore`] and
/// [`Error::Corrupt`] if there is something called `import`, but no store; [`ImportError::Resumption`] also if it is not of an
/// import. Nothing was changed then.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::transfer::{ResumableImport, abandon};
/// use streamlog::{Error, Options, Store};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
///
/// let mut import = ResumableImport::open(path, Options::new(), 0, Duration::ZERO)?;
/// import.read(0, &b"XADD orders 1-1 order o1\r\n"[..], |_| {})?;
/// drop(import); // or its process is killed
/// assert!(matches!(Store::open(path), Err(Error::ImportUnfinished { .. })));
/// assert!(abandon(path)?);
/// assert_eq!(Store::open(path)?.stream("orders")?.len()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn abandon(path: impl AsRef<Path>) -> Result<bool, ImportError> {
    let Some(stopped) = Stopped::find(path.as_ref())? else { return Ok(false) };
    stopped.restore()?;
    give_up(&stopped.root)?;
    Ok(true)
}

/// An import that was stopped; the store is locked.
struct Stopped {
    root: Place,
    /// That of the last checkpoint; `None` if there was none yet, and nothing was taken in.
    position: Option<Position>,
    lock: Arc<dyn crate::io::File>,
}

impl Stopped {
    /// Looks for it and changes nothing: a directory may be called `import` for other reasons.
    fn find(path: &Path) -> Result<Option<Self>, ImportError> {
        if path.join(IMPORT).symlink_metadata().is_err() {
            return Ok(None);
        }
        let (read_only, _) = root::open(path)?;
        // Only a store has this; and the lock would make the file.
        root::identity(&read_only)?;
        let root = place_at(path)?;
        let lock = root.disk().lock(Path::new(LOCK)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Locked { path: path.to_owned() },
            _ => Error::io("lock", &root.full(LOCK), error),
        })?;
        let place = root.within(IMPORT);
        let is_directory = root.kind(IMPORT)? == Some(FileKind::Directory);
        let bytes = if is_directory { place.read(POSITION, POSITION_LEN_MAX)? } else { None };
        let position = match bytes {
            Some(bytes) => {
                let position = Position::decode(&bytes);
                Some(position.ok_or(ImportError::Resumption { reason: "the file import/position is damaged" })?)
            }
            // The streams are there until they are made those of a checkpoint.
            None if is_directory && root.kind(STREAMS)?.is_some() && is_begun(&place)? => None,
            None => {
                return Err(ImportError::Resumption {
                    reason: "what is called import in the store is not of an import",
                });
            }
        };
        Ok(Some(Self { root, position, lock }))
    }

    /// Makes the streams those of the last checkpoint.
    fn restore(&self) -> Result<()> {
        let Self { root, position, .. } = self;
        let Some(position) = position else { return Ok(()) };
        let tree = root.within(IMPORT).full(position.tree.to_string());
        let disk = OsDisk::open_unmapped(&tree).map_err(|error| Error::io("open", &tree, error))?;
        let checkpoint = Inspection::on(disk, &tree)?;
        for unfinished in [INTENT, INTENT_NEW] {
            root.remove(unfinished)?;
        }
        remove_tree(&root.within(STREAMS))?;
        copy_streams(&checkpoint, root, None, Sharing::Link, &mut |_| {})?;
        root.sync()
    }
}

/// Whether there is nothing but what an import makes before its first checkpoint is there.
fn is_begun(place: &Place) -> Result<bool> {
    let found = place.disk().list(&place.at("")).map_err(|error| Error::io("list", &place.full(""), error))?;
    Ok(found.iter().all(|(name, kind)| match kind {
        FileKind::Directory => name.to_str().is_some_and(|name| name.parse::<u64>().is_ok()),
        _ => name == POSITION_NEW,
    }))
}

/// Lets the store be opened again.
fn give_up(root: &Place) -> Result<()> {
    let aside = Path::new(TMP).join(IMPORT);
    remove_tree(&root.within(&aside))?;
    if root.kind(TMP)?.is_none() {
        root.create_dir(TMP)?;
    }
    root.rename(IMPORT, &aside)?;
    root.sync()?;
    // What cannot be removed now is when the store is opened.
    let _ = remove_tree(&root.within(&aside));
    Ok(())
}

fn place_at(path: &Path) -> Result<Place> {
    let disk = OsDisk::open_unmapped(path).map_err(|error| Error::io("open", path, error))?;
    Ok(Place::new(disk, Arc::from(path), PathBuf::new()))
}

fn remove_tree(place: &Place) -> Result<()> {
    let path = place.full("");
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path, error)),
        _ => Ok(()),
    }
}
