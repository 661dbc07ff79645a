//! Opening a store: whose directory it is, what a crash left in it, and what runs beside it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use super::{Catalog, sync_all};
use crate::env::{Env, new_identity};
use crate::follow::Watch;
use crate::format::file_name::{IMPORT, INTENT, LOCK, STREAMS, TMP};
use crate::format::store::{LOCK_LEN, decode_lock, encode_lock};
use crate::io::board::Board;
use crate::io::budget::Budgeted;
use crate::io::place::Place;
use crate::io::{Disk, File, FileKind, MemDisk, OsDisk, create_root, descriptors_max};
use crate::log::segment::bad_header;
use crate::metrics::Operation;
use crate::options::Durability;
use crate::store::Shared;
use crate::store::background::Background;
use crate::store::budget::Budget;
use crate::store::reserve::Reserve;
use crate::stream::quarantine::Quarantine;
use crate::stream::superblock::Superblock;
use crate::{Corruption, Error, OnDamage, Options, Result, trace};

/// Of so many descriptors that the process may have, one open stream is kept. It holds two at the most; the rest is for others.
const DESCRIPTORS_PER_STREAM: u64 = 4;
/// As many where they are only read: it holds two, and some for segments that were read last.
const DESCRIPTORS_PER_STREAM_READ: u64 = 16;

/// Opens the store in a directory of the operating system's.
pub fn open(options: &Options, path: &Path) -> Result<Shared> {
    open_on(options, path, |disk| disk)
}

/// As [`open`], on what `wrap_disk` makes of the disk.
pub fn open_on(
    options: &Options,
    path: &Path,
    wrap_disk: impl FnOnce(Arc<dyn Disk>) -> Arc<dyn Disk>,
) -> Result<Shared> {
    let (options, disk) = disk_at(options, path)?;
    mount(&options, wrap_disk(disk), path)
}

/// As [`open`], by whoever has locked the store already, if anybody has.
pub fn open_locked(options: &Options, path: &Path, locked: Option<Arc<dyn File>>) -> Result<Shared> {
    let (options, disk) = disk_at(options, path)?;
    mount_locked(&options, disk, path, locked)
}

/// A directory of the operating system's as a disk, and the options as far as the process can have what they ask for.
fn disk_at(options: &Options, path: &Path) -> Result<(Options, Arc<dyn Disk>)> {
    let wrap = |action, error| Error::io(action, path, error);
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            return Err(Error::NotAStore { path: path.to_owned(), reason: "it is not a directory".to_owned() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && options.create => {
            create_root(path).map_err(|error| wrap("create", error))?;
        }
        Err(error) => return Err(wrap("open", error)),
    }
    let disk = OsDisk::open(path, options.write_mode).map_err(|error| wrap("open", error))?;
    disk.sync_name().map_err(|error| wrap("sync the name of", error))?;
    let mut options = options.clone();
    keep_within_descriptors(&mut options, DESCRIPTORS_PER_STREAM);
    Ok((options, disk))
}

/// Opens the store in a directory for reading, whether or not another process writes to it, and keeps so many streams at hand.
pub fn open_to_read(path: &Path, open_streams_max: usize) -> Result<Shared> {
    let watch = Watch::open(path)?;
    let mut options = Options::new().open_streams_max(open_streams_max);
    keep_within_descriptors(&mut options, DESCRIPTORS_PER_STREAM_READ);
    let root = watch.root.within("");
    let env = Env::to_read(&options, watch.store.unwrap_or_default(), Reserve::none(root.within("")));
    Ok(Shared::new(Arc::new_cyclic(|this| Catalog::new(this, env, root, None, Some(Arc::new(watch))))))
}

/// Has no more streams kept open than the process may have descriptors for.
fn keep_within_descriptors(options: &mut Options, per_stream: u64) {
    if let Some(descriptors) = descriptors_max() {
        let streams = usize::try_from(descriptors / per_stream).unwrap_or(usize::MAX);
        options.open_streams_max = options.open_streams_max.min(streams.max(1));
    }
}

/// A store in memory.
pub fn in_memory(options: &Options) -> Shared {
    let disk = MemDisk::new();
    let path = Path::new("memory");
    mount(options, disk, path).unwrap_or_else(|error| unreachable!("an empty store in memory does not open: {error}"))
}

/// Opens the store on a disk, whose root is called `path` in messages.
pub fn mount(options: &Options, disk: Arc<dyn Disk>, path: &Path) -> Result<Shared> {
    mount_locked(options, disk, path, None)
}

fn mount_locked(options: &Options, disk: Arc<dyn Disk>, path: &Path, locked: Option<Arc<dyn File>>) -> Result<Shared> {
    let begun = Instant::now();
    let _span = trace::enter(Operation::OpenStore, path.to_string_lossy().as_bytes());
    let shared = mount_in_span(options, disk, path, locked)?;
    shared.env.operations.note(Operation::OpenStore, begun.elapsed());
    Ok(shared)
}

fn mount_in_span(options: &Options, disk: Arc<dyn Disk>, path: &Path, locked: Option<Arc<dyn File>>) -> Result<Shared> {
    let (disk, budget) = limit(options, disk, path)?;
    let root = Place::new(disk, Arc::from(path), PathBuf::new());
    let is_new = check_root(options, &root, path)?;
    let locked = locked.map_or_else(|| lock(&root, path), Ok)?;
    // Who had the lock before may have made it meanwhile.
    let is_new = is_new && root.kind(STREAMS)?.is_none();
    let store = establish(options, &root, &*locked, is_new)?;
    let reserve = Reserve::new(root.within(""));
    let board = Board::open(&**root.disk(), &store);
    let shared = Shared::new(Arc::new_cyclic(|this| {
        if let Some(budget) = &budget {
            budget.begin(Weak::clone(this));
        }
        Catalog::new(this, Env::new(options, store, reserve, budget, board), root, Some(locked), None)
    }));
    shared.finish_or_set_aside(options.on_damage)?;
    shared.remove_leftovers()?;
    shared.start_threads(options.durability)?;
    Ok(shared)
}

/// Keeps every other process from opening the store.
fn lock(root: &Place, path: &Path) -> Result<Arc<dyn File>> {
    root.disk().lock(Path::new(LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Locked { path: path.to_owned() },
        io::ErrorKind::InvalidInput => Error::corrupt(&root.full(LOCK), 0, Corruption::NotAFile),
        _ => Error::io("lock", &root.full(LOCK), error),
    })
}

/// The disk of a store that is to keep within limits, with what sees to the budget if it has one.
fn limit(options: &Options, disk: Arc<dyn Disk>, path: &Path) -> Result<(Arc<dyn Disk>, Option<Budget>)> {
    if options.bytes_max.is_none() && options.bytes_budget.is_none() {
        return Ok((disk, None));
    }
    let disk = Budgeted::new(disk, options.bytes_max.unwrap_or(u64::MAX));
    let disk = disk.map_err(|error| Error::io("look at", path, error))?;
    let budget = options.bytes_budget.map(|budget| Budget::new(budget, Arc::clone(&disk)));
    Ok((disk, budget))
}

/// Sees to it that all is there that every store has, and that a crash leaves it there; returns the identity of the store.
fn establish(options: &Options, root: &Place, locked: &dyn File, is_new: bool) -> Result<[u8; 16]> {
    let streams = root.within(STREAMS);
    let is_empty = check_directories(root, &streams)?;
    let (store, is_lost) = identify_or_rescue(options, root, locked, is_new, is_empty)?;
    // Also what is there already: whoever made or renamed it may have been killed before it could sync that.
    root.sync()?;
    for name in [TMP, STREAMS] {
        if root.kind(name)?.is_none() {
            root.create_dir(name)?;
        }
    }
    root.sync()?;
    streams.sync()?;
    if is_empty || is_lost {
        // Last: a store that knows its identity is complete. Also if it is there: it may be in the page cache only.
        write_identity(root, locked, &store)?;
    }
    Ok(store)
}

/// Refuses what is no directory where one belongs; returns whether there are no streams yet.
fn check_directories(root: &Place, streams: &Place) -> Result<bool> {
    let is_empty = match root.kind(STREAMS)? {
        None => true,
        Some(FileKind::Directory) => streams.is_empty()?,
        Some(_) => return Err(Error::corrupt(&root.full(STREAMS), 0, Corruption::NotADirectory)),
    };
    // What is in there is removed: it had better not be a link to somewhere else.
    if root.kind(TMP)?.is_some_and(|kind| kind != FileKind::Directory) {
        return Err(Error::corrupt(&root.full(TMP), 0, Corruption::NotADirectory));
    }
    Ok(is_empty)
}

fn write_identity(root: &Place, locked: &dyn File, store: &[u8; 16]) -> Result<()> {
    let path = root.full(LOCK);
    // The size, too: a sync that failed may have left it out.
    locked.truncate(0).map_err(|error| Error::io("truncate", &path, error))?;
    locked.write_at(0, &encode_lock(store)).map_err(|error| Error::io("write to", &path, error))?;
    locked.sync().map_err(|error| Error::io("sync", &path, error))
}

/// Refuses a directory that holds something else; returns whether the store is yet to be made.
fn check_root(options: &Options, root: &Place, path: &Path) -> Result<bool> {
    let names: Vec<String> = root.list()?.into_iter().map(|(name, _)| name).collect();
    let not_a_store = |reason: &str| Err(Error::NotAStore { path: path.to_owned(), reason: reason.to_owned() });
    let has = |name: &str| names.iter().any(|found| found == name);
    if has(IMPORT) && has(LOCK) && !options.imports {
        return Err(Error::ImportUnfinished { path: path.to_owned() });
    }
    match (has(LOCK), has(STREAMS)) {
        (true, streams) => Ok(!streams),
        (false, true) => not_a_store("there are streams, but the file LOCK is missing"),
        // The root of a file system is as good as empty.
        (false, false) if names.iter().all(|name| name == "lost+found") => match options.create {
            true => Ok(true),
            false => not_a_store("it is empty"),
        },
        (false, false) => not_a_store("it holds other files, and the file LOCK is missing"),
    }
}

/// The identity of the store, and whether it is lost from the lock file. What is damaged there is set aside, if that is to be no
/// obstacle and the streams know which store they belong to.
fn identify_or_rescue(
    options: &Options,
    root: &Place,
    locked: &dyn File,
    is_new: bool,
    is_empty: bool,
) -> Result<([u8; 16], bool)> {
    match identify(options, root, locked, is_new, is_empty) {
        Err(error @ Error::Corrupt { .. }) if options.on_damage == OnDamage::Quarantine && !is_new => {
            let store = identity_of_streams(&root.within(STREAMS)).ok_or(error)?;
            Quarantine { root, directory: "store" }.keep(root, Path::new(LOCK))?;
            Ok((store, true))
        }
        store => Ok((store?, false)),
    }
}

/// The identity of the store, from its lock file; a new one if the store was being made when a crash came.
fn identify(options: &Options, root: &Place, lock: &dyn File, is_new: bool, is_empty: bool) -> Result<[u8; 16]> {
    let path = root.full(LOCK);
    let len = lock.len().map_err(|error| Error::io("look at", &path, error))?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(LOCK_LEN + 1)];
    lock.read_at(0, &mut bytes).map_err(|error| Error::io("read", &path, error))?;
    match decode_lock(&bytes) {
        Ok(_) if is_new => Err(Error::corrupt(&root.full(STREAMS), 0, Corruption::Missing)),
        Ok(store) => Ok(store),
        Err(_) if is_empty && is_unfinished(&bytes) => Ok(new_identity(options.identities.as_deref())),
        Err(bad) => Err(bad_header(&path, bad)),
    }
}

/// What the streams say which store they belong to, if they agree.
fn identity_of_streams(streams: &Place) -> Option<[u8; 16]> {
    let names = streams.list().ok()?;
    let ids = names.iter().filter(|(_, kind)| *kind == FileKind::Directory).filter_map(|(directory, _)| {
        // One that is damaged says nothing.
        Some(Superblock::open(&streams.within(directory)).ok()?.current().store)
    });
    let mut found = None;
    for id in ids {
        if found.replace(id).is_some_and(|before| before != id) {
            return None;
        }
    }
    found
}

/// Whether the bytes may be a part of what we were writing.
fn is_unfinished(bytes: &[u8]) -> bool {
    let magic = encode_lock(&[0; 16]);
    bytes.len() <= LOCK_LEN && bytes.iter().zip(&magic).take(8).all(|(found, ours)| found == ours || *found == 0)
}

impl Catalog {
    fn new(this: &Weak<Self>, env: Env, root: Place, lock: Option<Arc<dyn File>>, watch: Option<Arc<Watch>>) -> Self {
        Self {
            env: Arc::new(env),
            streams: root.within(STREAMS),
            tmp: root.within(TMP),
            root,
            catalog: Mutex::new(()),
            open: Arc::default(),
            syncer: Mutex::new(None),
            keeper: Mutex::new(None),
            this: Weak::clone(this),
            #[cfg(feature = "async")]
            tasks: crate::tasks::Tasks::default(),
            lock: Mutex::new(lock),
            watch,
        }
    }

    /// Finishes a change that a crash interrupted; if it is damaged and that is to be no obstacle, sets it aside.
    fn finish_or_set_aside(&self, policy: OnDamage) -> Result<()> {
        match self.finish_intent() {
            // What is left to do cannot be told; nothing was acknowledged of it.
            Err(Error::Corrupt { .. }) if policy == OnDamage::Quarantine => {
                let quarantine = Quarantine { root: &self.root, directory: "store" };
                quarantine.keep_if_there(&self.root, Path::new(INTENT))?;
                self.root.remove(INTENT)?;
                self.root.sync()
            }
            finished => finished,
        }
    }

    /// Starts what is to be done in the background from the first moment on.
    fn start_threads(&self, durability: Durability) -> Result<()> {
        if let Durability::Interval(interval) = durability {
            let (env, open) = (Arc::clone(&self.env), Arc::clone(&self.open));
            // A failure poisons the store, and so reaches whoever writes next. What finds no room comes again.
            let sync = move || sync_all(&open).is_ok() || env.latch.check().is_ok();
            let syncer = Background::start("streamlog-sync", interval, sync);
            let failed = |error| Error::io("start the thread that syncs", &self.path(), error);
            // Without it nothing would become durable.
            *self.syncer.lock() = Some(syncer.map_err(failed)?);
        }
        if self.env.budget.is_some() {
            self.start_keeping()?;
        }
        Ok(())
    }

    /// Removes streams that were being created or removed.
    fn remove_leftovers(&self) -> Result<()> {
        for (directory, kind) in self.tmp.list()? {
            if kind == FileKind::Directory {
                // It is in nobody's way if it cannot be removed.
                let _ = self.tmp.within(directory).remove_all();
            }
        }
        Ok(())
    }
}
