//! Which streams there are, which of them are open, and the changes that concern a stream as a whole.
//!
//! # Locks
//!
//! `catalog` is a turn: it is held, also across I/O, by whoever opens, creates, deletes, renames or copies a stream, before
//! any lock of a stream. `open` is a leaf lock.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use crate::damage::Finding;
use crate::env::{Env, new_identity};
use crate::follow::Watch;
use crate::follow::attach::attach;
use crate::format::file_name::{self, Directory, IMPORT, INTENT, INTENT_NEW, LOCK, STREAMS, TMP};
use crate::format::meta::NAME_AT;
use crate::format::new_entries::NewEntries;
use crate::format::store::{Intent, LOCK_LEN, Rename, decode_lock, encode_lock};
use crate::io::board::Board;
use crate::io::budget::Budgeted;
use crate::io::place::Place;
use crate::io::{Disk, File, FileKind, MemDisk, OsDisk, create_root, descriptors_max};
use crate::log::segment::bad_header;
use crate::metrics::Operation;
use crate::options::Durability;
use crate::store::background::Background;
use crate::store::budget::Budget;
use crate::store::open_streams::OpenStreams;
use crate::store::reserve::Reserve;
use crate::store::{Shared, check_name};
use crate::stream::inner::{Inner, Outcome};
use crate::stream::open;
use crate::stream::options::Trim;
use crate::stream::quarantine::Quarantine;
use crate::stream::superblock::Superblock;
use crate::{Corruption, Error, NewId, OnDamage, Options, Repaired, Result, StreamId, trace};

/// The longest intent, in bytes.
const INTENT_LEN_MAX: u64 = 1 << 30;

/// Of so many descriptors that the process may have, one open stream is kept. It holds two; the rest is for others.
const DESCRIPTORS_PER_STREAM: u64 = 4;
/// As many where they are only read: it holds two, and some for segments that were read last.
const DESCRIPTORS_PER_STREAM_READ: u64 = 16;

/// A store.
pub struct Catalog {
    env: Arc<Env>,
    root: Place,
    pub(super) streams: Place,
    tmp: Place,
    catalog: Mutex<()>,
    open: Arc<Mutex<OpenStreams<Inner>>>,
    syncer: Mutex<Option<Background>>,
    /// Sees to the retention of streams, once one has any.
    pub(super) keeper: Mutex<Option<Background>>,
    /// What that thread looks at.
    pub(super) this: Weak<Self>,
    #[cfg(feature = "async")]
    tasks: crate::tasks::Tasks,
    /// The lock lasts as long as this does.
    lock: Mutex<Option<Arc<dyn File>>>,
    /// What the streams are taken from, if another process writes them.
    watch: Option<Arc<Watch>>,
}

/// Opens the store in a directory of the operating system's.
pub fn open(options: &Options, path: &Path) -> Result<Shared> {
    open_on(options, path, |disk| disk)
}

/// As [`mod@open`], on what `wrap_disk` makes of the disk.
pub fn open_on(
    options: &Options,
    path: &Path,
    wrap_disk: impl FnOnce(Arc<dyn Disk>) -> Arc<dyn Disk>,
) -> Result<Shared> {
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
    if let Some(descriptors) = descriptors_max() {
        let streams = usize::try_from(descriptors / DESCRIPTORS_PER_STREAM).unwrap_or(usize::MAX);
        options.open_streams_max = options.open_streams_max.min(streams.max(1));
    }
    mount(&options, wrap_disk(disk), path)
}

/// Opens the store in a directory for reading, whether or not another process writes to it, and keeps so many streams at hand.
pub fn open_to_read(path: &Path, open_streams_max: usize) -> Result<Shared> {
    let watch = Watch::open(path)?;
    let mut options = Options::new().open_streams_max(open_streams_max);
    if let Some(descriptors) = descriptors_max() {
        let streams = usize::try_from(descriptors / DESCRIPTORS_PER_STREAM_READ).unwrap_or(usize::MAX);
        options.open_streams_max = options.open_streams_max.min(streams.max(1));
    }
    let root = watch.root.within("");
    let env = Env::to_read(&options, watch.store.unwrap_or_default(), Reserve::none(root.within("")));
    Ok(Shared::new(Arc::new_cyclic(|this: &Weak<Catalog>| Catalog {
        env: Arc::new(env),
        streams: root.within(STREAMS),
        tmp: root.within(TMP),
        root,
        catalog: Mutex::new(()),
        open: Arc::default(),
        syncer: Mutex::new(None),
        #[cfg(feature = "async")]
        tasks: crate::tasks::Tasks::default(),
        keeper: Mutex::new(None),
        this: Weak::clone(this),
        lock: Mutex::new(None),
        watch: Some(Arc::new(watch)),
    })))
}

/// A store in memory.
pub fn in_memory(options: &Options) -> Shared {
    let disk = MemDisk::new();
    let path = Path::new("memory");
    mount(options, disk, path).unwrap_or_else(|error| unreachable!("an empty store in memory does not open: {error}"))
}

/// Opens the store on a disk, whose root is called `path` in messages.
pub fn mount(options: &Options, disk: Arc<dyn Disk>, path: &Path) -> Result<Shared> {
    let begun = Instant::now();
    let _span = trace::enter(Operation::OpenStore, path.to_string_lossy().as_bytes());
    let shared = mount_in_span(options, disk, path)?;
    shared.env.operations.note(Operation::OpenStore, begun.elapsed());
    Ok(shared)
}

fn mount_in_span(options: &Options, disk: Arc<dyn Disk>, path: &Path) -> Result<Shared> {
    let (disk, budget) = match (options.bytes_max, options.bytes_budget) {
        (None, None) => (disk, None),
        (limit, budget) => {
            let disk = Budgeted::new(disk, limit.unwrap_or(u64::MAX));
            let disk = disk.map_err(|error| Error::io("look at", path, error))?;
            let budget = budget.map(|budget| Budget::new(budget, Arc::clone(&disk)));
            (disk as Arc<dyn Disk>, budget)
        }
    };
    let root = Place::new(disk, Arc::from(path), PathBuf::new());
    let is_new = check_root(options, &root, path)?;
    let locked = root.disk().lock(Path::new(LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Locked { path: path.to_owned() },
        io::ErrorKind::InvalidInput => Error::corrupt(&root.full(LOCK), 0, Corruption::NotAFile),
        _ => Error::io("lock", &root.full(LOCK), error),
    })?;
    let streams = root.within(STREAMS);
    let is_empty = match root.kind(STREAMS)? {
        None => true,
        Some(FileKind::Directory) => streams.is_empty()?,
        Some(_) => return Err(Error::corrupt(&root.full(STREAMS), 0, Corruption::NotADirectory)),
    };
    // What is in there is removed: it had better not be a link to somewhere else.
    if root.kind(TMP)?.is_some_and(|kind| kind != FileKind::Directory) {
        return Err(Error::corrupt(&root.full(TMP), 0, Corruption::NotADirectory));
    }
    let quarantine = Quarantine { root: &root, directory: "store" };
    let (store, is_lost) = match identify(options, &root, &*locked, is_new, is_empty) {
        Err(error @ Error::Corrupt { .. }) if options.on_damage == OnDamage::Quarantine && !is_new => {
            let store = identity_of_streams(&streams).ok_or(error)?;
            quarantine.keep(&root, Path::new(LOCK))?;
            (store, true)
        }
        store => (store?, false),
    };
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
        let path = root.full(LOCK);
        // The size, too: a sync that failed may have left it out.
        locked.truncate(0).map_err(|error| Error::io("truncate", &path, error))?;
        locked.write_at(0, &encode_lock(&store)).map_err(|error| Error::io("write to", &path, error))?;
        locked.sync().map_err(|error| Error::io("sync", &path, error))?;
    }
    let reserve = Reserve::new(root.within(""));
    let board = Board::open(&**root.disk(), &store);
    let shared = Shared::new(Arc::new_cyclic(|this: &Weak<Catalog>| {
        if let Some(budget) = &budget {
            budget.begin(Weak::clone(this));
        }
        Catalog {
            env: Arc::new(Env::new(options, store, reserve, budget, board)),
            streams,
            tmp: root.within(TMP),
            root,
            catalog: Mutex::new(()),
            open: Arc::default(),
            syncer: Mutex::new(None),
            keeper: Mutex::new(None),
            this: Weak::clone(this),
            #[cfg(feature = "async")]
            tasks: crate::tasks::Tasks::default(),
            lock: Mutex::new(Some(locked)),
            watch: None,
        }
    }));
    match shared.finish_intent() {
        // What is left to do cannot be told; nothing was acknowledged of it.
        Err(Error::Corrupt { .. }) if options.on_damage == OnDamage::Quarantine => {
            let quarantine = Quarantine { root: &shared.root, directory: "store" };
            quarantine.keep_if_there(&shared.root, Path::new(INTENT))?;
            shared.root.remove(INTENT)?;
            shared.root.sync()?;
        }
        finished => finished?,
    }
    shared.remove_leftovers()?;
    if let Durability::Interval(interval) = options.durability {
        let (env, open) = (Arc::clone(&shared.env), Arc::clone(&shared.open));
        // A failure poisons the store, and so reaches whoever writes next. What finds no room comes again.
        let sync = move || sync_all(&open).is_ok() || env.latch.check().is_ok();
        let syncer = Background::start("streamlog-sync", interval, sync);
        // Without it nothing would become durable.
        *shared.syncer.lock() = Some(syncer.map_err(|error| Error::io("start the thread that syncs", path, error))?);
    }
    if shared.env.budget.is_some() {
        shared.start_keeping()?;
    }
    Ok(shared)
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
    pub fn disk(&self) -> &Arc<dyn Disk> {
        self.root.disk()
    }

    pub fn env(&self) -> &Arc<Env> {
        &self.env
    }

    #[cfg(feature = "async")]
    pub fn tasks(&self) -> &crate::tasks::Tasks {
        &self.tasks
    }

    /// Where the store is, for messages.
    pub fn path(&self) -> PathBuf {
        self.root.full("")
    }

    fn cached(&self, name: &[u8]) -> Option<Arc<Inner>> {
        self.open.lock().find(name)
    }

    pub fn is_open(&self, name: &[u8]) -> bool {
        self.open.lock().contains(name)
    }

    /// All streams that are open.
    pub fn all_open(&self) -> Vec<Weak<Inner>> {
        all_open(&self.open)
    }

    fn insert(&self, inner: &Arc<Inner>) {
        // Before anything can be written to it.
        inner.post();
        self.open.lock().insert(&inner.name, Arc::clone(inner));
        inner.is_listed.store(true, Ordering::Release);
        self.evict();
    }

    /// Closes the streams that were not used for longest, as long as there are too many and nobody is using them.
    fn evict(&self) {
        while (self.open.lock().count() > self.env.open_streams_max || self.root.disk().lacks_descriptors())
            && self.close_idle()
        {}
    }

    /// Closes the stream that was not used for longest; returns whether there was one that nobody is using.
    fn close_idle(&self) -> bool {
        let Some(idle) = self.open.lock().idle() else { return false };
        // A failure poisons the store, and is told to whoever writes next: it is not this call that failed. Where only the clean
        // end could not be noted, the stream begins its next life with its ceiling.
        let _ = idle.retire();
        self.open.lock().take(&idle.name);
        // Not before: nothing is kept of a stream that is open.
        self.note_oldest(&idle);
        true
    }

    /// Closes all streams that nobody is using, because descriptors are needed; returns whether there were any.
    pub fn close_all_idle(&self) -> bool {
        let _catalog = self.catalog.lock();
        self.close_all_idle_in_turn()
    }

    fn close_all_idle_in_turn(&self) -> bool {
        let found = self.close_idle();
        while self.close_idle() {}
        found
    }

    /// Does it again, having closed the streams that nobody is using, if there was no descriptor left for it.
    fn with_descriptors<T>(&self, open: impl Fn() -> Result<T>) -> Result<T> {
        match open() {
            Err(Error::NoDescriptors { .. }) if self.close_all_idle_in_turn() => open(),
            opened => opened,
        }
    }

    /// The stream of this name, opened if need be; `None` if there is none.
    pub fn find(&self, name: &[u8]) -> Result<Option<Arc<Inner>>> {
        self.env.check_open()?;
        if let Some(inner) = self.cached(name).filter(|inner| !inner.is_retired()) {
            return Ok(Some(inner));
        }
        let _catalog = self.catalog.lock();
        self.find_in_turn(name)
    }

    fn find_in_turn(&self, name: &[u8]) -> Result<Option<Arc<Inner>>> {
        self.env.check_open()?;
        if let Some(inner) = self.cached(name).filter(|inner| !inner.is_retired()) {
            return Ok(Some(inner));
        }
        if let Some(watch) = &self.watch {
            let attached = self.with_descriptors(|| attach(watch, &self.env, name))?;
            attached.iter().for_each(|inner| self.insert(inner));
            return Ok(attached);
        }
        if !self.is_there(name)? {
            return Ok(None);
        }
        let opened = self.with_descriptors(|| self.open_in_turn(name, self.env.on_damage));
        let inner = opened.map_err(|error| match (error, self.env.latch.check()) {
            // A change that was broken off, as a rename, looks like damage until it is finished.
            (Error::Corrupt { .. }, Err(poisoned)) => poisoned,
            (error, _) => error,
        })?;
        self.insert(&inner);
        self.keep_opened(&inner);
        Ok(Some(inner))
    }

    fn open_in_turn(&self, name: &[u8], policy: OnDamage) -> Result<Arc<Inner>> {
        let _watch = self.env.operations.watch(Operation::OpenStream, name);
        let directory = file_name::escape(name);
        let quarantine = Quarantine { root: &self.root, directory: &directory };
        // What looks like damage in a poisoned store may be a change that was broken off.
        let goes_on = policy == OnDamage::Quarantine && self.env.check_writable().is_ok();
        let quarantine = goes_on.then_some(&quarantine);
        open::open(&self.env, || self.streams.within(&directory), name, quarantine)
    }

    /// Repairs a stream, which is closed then; `None` if there is none.
    pub fn repair(&self, name: &[u8]) -> Result<Option<Repaired>> {
        let _catalog = self.catalog.lock();
        self.env.check_writable()?;
        if !self.is_there(name)? {
            return Ok(None);
        }
        let _watch = self.env.operations.watch(Operation::RepairStream, name);
        self.let_go(name)?;
        let inner = self.open_in_turn(name, OnDamage::Quarantine)?;
        let directory = file_name::escape(name);
        let repaired = inner.repair(&Quarantine { root: &self.root, directory: &directory });
        self.note_oldest(&inner);
        let closed = inner.retire();
        let mut repaired = repaired?;
        closed?;
        // What opening it came to is found again, and without what it was then: it had no successor.
        let known = |finding: &Finding| inner.recovery.damage.iter().any(|known| known.path == finding.path);
        repaired.damage.retain(|finding| !known(finding));
        repaired.damage.splice(0..0, inner.recovery.damage.iter().cloned());
        Ok(Some(repaired))
    }

    /// What is read of a store that another process writes, if it is one.
    pub fn watch(&self) -> Option<&Arc<Watch>> {
        self.watch.as_ref()
    }

    /// Takes in what another process has done to a stream that is followed.
    pub fn catch_up(&self, name: &[u8]) -> Result<()> {
        self.env.check_process()?;
        match self.cached(name) {
            Some(inner) => inner.log.source.get().map_or(Ok(()), |source| source.catch_up(&inner.log)),
            None => Ok(()),
        }
    }

    /// As [`catch_up`](Self::catch_up), for all streams that are followed.
    pub fn catch_up_all(&self) -> Result<()> {
        if self.watch.is_none() {
            return Ok(());
        }
        let names: Vec<_> = self.open.lock().iter().map(|(name, _)| name.to_vec()).collect();
        names.iter().try_for_each(|name| self.catch_up(name))
    }

    fn is_there(&self, name: &[u8]) -> Result<bool> {
        let directory = file_name::escape(name);
        match self.streams.kind(&directory)? {
            None => Ok(false),
            Some(FileKind::Directory) => Ok(true),
            Some(_) => Err(Error::corrupt(&self.streams.full(&directory), 0, Corruption::NotADirectory)),
        }
    }

    pub fn exists(&self, name: &[u8]) -> Result<bool> {
        self.env.check_open()?;
        if self.cached(name).is_some_and(|inner| !inner.is_retired()) {
            return Ok(true);
        }
        self.is_there(name)
    }

    /// How many streams there are. Costs reading one directory.
    pub fn count(&self) -> Result<u64> {
        self.env.check_open()?;
        let is_stream = |(directory, kind): &(String, FileKind)| {
            *kind == FileKind::Directory && !matches!(file_name::parse_directory(directory), Directory::Foreign)
        };
        Ok(self.streams.list()?.iter().filter(|found| is_stream(found)).count() as u64)
    }

    /// The names of all streams, in ascending order.
    pub fn names(&self) -> Result<Vec<Vec<u8>>> {
        self.env.check_open()?;
        let mut names = Vec::new();
        for (directory, kind) in self.streams.list()? {
            if kind != FileKind::Directory {
                continue;
            }
            match file_name::parse_directory(&directory) {
                Directory::Stream(name) => names.push(name),
                // One that goes meanwhile is not there.
                Directory::LongName => names.extend(self.long_name(&directory)?),
                Directory::Foreign => {}
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn long_name(&self, directory: &str) -> Result<Option<Vec<u8>>> {
        match Superblock::open(&self.streams.within(directory)) {
            Ok(superblock) => {
                let name = superblock.current().name;
                if file_name::escape(&name) != directory {
                    let path = self.streams.full(directory).join(file_name::META);
                    return Err(Error::corrupt(&path, NAME_AT, Corruption::Foreign("the stream has another name")));
                }
                Ok(Some(name))
            }
            Err(_) if self.streams.kind(directory)?.is_none() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a stream that begins with these entries, whose IDs are filled in; `false` if there is one already.
    ///
    /// The stream appears with its entries in it, or not at all.
    pub fn create_with(&self, name: &[u8], entries: &mut NewEntries, trim: Option<&Trim>) -> Result<bool> {
        let base_ms = base_ms(entries, &self.env);
        self.create_filled(name, base_ms, |inner| inner.add(entries, trim))
    }

    /// Creates a stream that `fill` has made what it is to be; `false` if there is one already.
    ///
    /// The stream appears like that, or not at all.
    pub fn create_filled<T>(
        &self,
        name: &[u8],
        base_ms: u64,
        fill: impl FnOnce(&Inner) -> Result<Outcome<T>>,
    ) -> Result<bool> {
        self.env.check_process()?;
        let _catalog = self.catalog.lock();
        self.env.check_writable()?;
        if self.is_there(name)? {
            return Ok(false);
        }
        let _watch = self.env.operations.watch(Operation::CreateStream, name);
        let fill = |inner: &Inner| match fill(inner)? {
            Outcome::Done(_) => Ok(()),
            Outcome::Gone => Err(Error::Closed),
        };
        let inner = self.build(name, fill, base_ms)?;
        self.env.poisoning(self.reveal(&inner, name))?;
        self.insert(&inner);
        self.env.waiters.published(name, inner.log.tail().last_id);
        Ok(true)
    }

    /// Makes a stream in a directory that has no name yet, filled and synced; there is nothing left of it after an error.
    fn build(&self, name: &[u8], fill: impl FnOnce(&Inner) -> Result<()>, base_ms: u64) -> Result<Arc<Inner>> {
        let directory = hex(&self.env.new_identity());
        self.tmp.create_dir(&directory)?;
        let create = || {
            let place = self.tmp.within(&directory);
            open::create(&self.env, place, name, &NewEntries::default(), base_ms)
        };
        let built = self.with_descriptors(create).and_then(|inner| {
            fill(&inner)?;
            open::finish_creation(&inner)?;
            Ok(inner)
        });
        if built.is_err() {
            // What cannot be removed now is removed when the store is opened.
            let _ = self.tmp.within(&directory).remove_all();
        }
        built
    }

    /// Gives a stream that was built its name.
    fn reveal(&self, inner: &Inner, name: &[u8]) -> Result<()> {
        inner.place.move_to(self.streams.at(file_name::escape(name)))?;
        self.streams.sync()
    }

    /// Deletes streams; returns how many there were.
    pub fn delete(&self, names: &[Vec<u8>]) -> Result<u64> {
        self.env.check_process()?;
        let _catalog = self.catalog.lock();
        self.env.check_writable()?;
        let mut there = Vec::new();
        for name in names {
            if name.len() <= super::NAME_LEN_MAX && !there.contains(name) && self.is_there(name)? {
                there.push(name.clone());
            }
        }
        let Some(first) = there.first() else { return Ok(0) };
        let _watch = self.env.operations.watch(Operation::DeleteStreams, first);
        for name in &there {
            self.let_go(name)?;
        }
        let remove: Vec<_> = there.iter().map(|name| file_name::escape(name).into()).collect();
        self.env.poisoning(self.carry_out(&Intent { remove, rename: None }))?;
        there.iter().for_each(|name| self.env.waiters.gone(name));
        Ok(there.len() as u64)
    }

    /// Ends the life of an open stream, of which the directory is about to change.
    fn let_go(&self, name: &[u8]) -> Result<()> {
        let inner = self.open.lock().take(name);
        inner.map_or(Ok(()), |inner| inner.retire())
    }

    /// Renames a stream; `false` if the new name is taken and is not to be replaced.
    pub fn rename(&self, from: &[u8], to: &[u8], replace: bool) -> Result<bool> {
        self.env.check_process()?;
        let _catalog = self.catalog.lock();
        self.env.check_writable()?;
        if check_name(from).is_err() || !self.is_there(from)? {
            return Err(Error::StreamNotFound { name: String::from_utf8_lossy(from).into_owned() });
        }
        let taken = self.is_there(to)?;
        if taken && !replace {
            return Ok(false);
        }
        if from == to {
            return Ok(true);
        }
        let _watch = self.env.operations.watch(Operation::RenameStream, from);
        let (source, directory) = (file_name::escape(from), file_name::escape(to));
        self.let_go(from)?;
        // One that is damaged keeps its name. Nothing has been written yet that would have to be finished.
        Superblock::open(&self.streams.within(&source))?;
        self.let_go(to)?;
        let remove = if taken { vec![directory.clone().into()] } else { Vec::new() };
        let rename = Rename { is_new: false, from: source.into(), to: directory.into(), name: to.to_vec() };
        let intent = Intent { remove, rename: Some(rename) };
        self.env.poisoning(self.carry_out(&intent))?;
        if let Some(budget) = &self.env.budget {
            budget.note(to, 0);
        }
        self.env.waiters.gone(from);
        self.env.waiters.appeared(to);
        Ok(true)
    }

    /// Copies a stream; `false` if there is none, or if the target exists and is not to be replaced.
    pub fn copy(&self, from: &[u8], to: &[u8], replace: bool) -> Result<bool> {
        self.env.check_process()?;
        let _catalog = self.catalog.lock();
        self.env.check_writable()?;
        if check_name(from).is_err() {
            return Ok(false);
        }
        let Some(source) = self.find_in_turn(from)? else { return Ok(false) };
        let taken = self.is_there(to)?;
        if taken && !replace {
            return Ok(false);
        }
        if from == to {
            return Ok(true);
        }
        let _watch = self.env.operations.watch(Operation::CopyStream, from);
        let inner = self.build(to, |copy| source.copy_into(copy), self.env.now_ms())?;
        // The intent removes what the copy replaces: the copy has to be there by then.
        self.env.poisoning(self.tmp.sync())?;
        self.let_go(to)?;
        let directory = file_name::escape(to);
        let built = inner.place.at("");
        let built = built.file_name().unwrap_or_default().to_owned();
        let remove = if taken { vec![directory.clone().into()] } else { Vec::new() };
        let rename = Rename { is_new: true, from: built, to: directory.clone().into(), name: to.to_vec() };
        let intent = Intent { remove, rename: Some(rename) };
        self.env.poisoning(self.carry_out(&intent))?;
        inner.place.moved_to(self.streams.at(&directory));
        self.insert(&inner);
        self.env.waiters.appeared(to);
        Ok(true)
    }

    /// Makes a change of several directories, so that it is finished at the next opening if a crash comes.
    fn carry_out(&self, intent: &Intent) -> Result<()> {
        match (intent.remove.as_slice(), &intent.rename) {
            ([], None) => return Ok(()),
            // A single rename is atomic by itself.
            ([_], None) => return self.finish(intent),
            _ => {}
        }
        let bytes = intent.encode();
        // What deletes makes room.
        self.env.with_reserve(|| self.root.write_whole(Path::new(INTENT_NEW), Path::new(INTENT), &bytes))?;
        // From here on it is as good as done. What cannot be done now is done when the store is opened again, and until then
        // nothing may be built upon what there is: also for lack of room this is no change that was not made.
        let finished = self.finish(intent).and_then(|()| self.root.remove(INTENT)).and_then(|()| self.root.sync());
        finished.map_err(Error::unfinished)?;
        self.env.reserve.refill();
        Ok(())
    }

    /// Does what is left to do of an intent.
    fn finish(&self, intent: &Intent) -> Result<()> {
        let source = intent.rename.as_ref().map(|rename| if rename.is_new { &self.tmp } else { &self.streams });
        let rename = source.zip(intent.rename.as_ref());
        // Once the source of the rename is gone, the rename is done, and its target is not what was to be removed.
        let renamed = match &rename {
            Some((source, rename)) => source.kind(&rename.from)?.is_none(),
            None => false,
        };
        let mut gone = Vec::new();
        for directory in intent.remove.iter().filter(|_| !renamed) {
            if self.streams.kind(directory)?.is_some() {
                let aside = hex(&self.env.new_identity());
                self.streams.within(directory).move_to(self.tmp.at(&aside))?;
                gone.push(aside);
            }
        }
        if let Some((source, rename)) = rename.filter(|_| !renamed) {
            let place = source.within(&rename.from);
            // A copy has it from the start, and is open already: nobody else may write its superblock.
            if !rename.is_new {
                match Superblock::open(&place) {
                    Ok(superblock) => superblock.update_both(&place, |meta| meta.name.clone_from(&rename.name))?,
                    // Damaged since this was begun. Opening the stream will say so; the others are to open whatever it is.
                    Err(Error::Corrupt { .. } | Error::Unsupported { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            place.move_to(self.streams.at(&rename.to))?;
        }
        self.streams.sync()?;
        for aside in gone {
            // The streams are gone; their bytes go now, or when the store is opened.
            let _ = self.tmp.within(aside).remove_all();
        }
        Ok(())
    }

    /// Finishes a change that a crash interrupted.
    fn finish_intent(&self) -> Result<()> {
        if let Some(bytes) = self.root.read(INTENT, INTENT_LEN_MAX)? {
            let damaged =
                || Error::corrupt(&self.root.full(INTENT), 0, Corruption::Malformed("an intent that is none"));
            self.finish(&Intent::decode(&bytes).ok_or_else(damaged)?)?;
            self.root.remove(INTENT)?;
            self.root.sync()?;
        }
        self.root.remove(INTENT_NEW)
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

    pub fn sync(&self) -> Result<()> {
        self.env.check_writable()?;
        sync_all(&self.open)
    }

    /// As [`sync`](Self::sync), without holding up a thread.
    #[cfg(feature = "async")]
    pub async fn sync_async(&self) -> Result<()> {
        self.env.check_writable()?;
        let (sender, synced) = futures_channel::oneshot::channel();
        let open = Arc::clone(&self.open);
        let lane = Arc::as_ptr(&self.env).addr();
        let job = Box::new(move || _ = sender.send(sync_all(&open)));
        match self.tasks.lanes().push(lane, job) {
            Ok(()) => synced.await.unwrap_or_else(|_| self.sync()),
            // Better late than never.
            Err(_) => self.sync(),
        }
    }

    pub fn close(&self) -> Result<()> {
        self.env.check_process()?;
        if !self.env.close() {
            return Err(Error::Closed);
        }
        self.finish_closing()
    }

    /// Nobody uses the store any more.
    pub fn abandon(&self) {
        if self.env.check_process().is_err() {
            // The store is its parent's, who goes on with it. There is no thread here that could be waited for, nor one that
            // would give back a lock.
            for thread in [&self.syncer, &self.keeper] {
                match thread.try_lock() {
                    Some(mut thread) => std::mem::forget(thread.take()),
                    None => std::mem::forget(self.this.upgrade()),
                }
            }
        } else if self.env.close() {
            // Whoever wants to know calls `close`.
            let _ = self.finish_closing();
        }
    }

    fn finish_closing(&self) -> Result<()> {
        let _watch = self.env.operations.watch(Operation::CloseStore, self.path().to_string_lossy().as_bytes());
        let threads = (self.syncer.lock().take(), self.keeper.lock().take());
        drop(threads);
        #[cfg(feature = "async")]
        self.tasks.stop();
        let _catalog = self.catalog.lock();
        let all = self.open.lock().take_all();
        let mut result = self.env.latch.check();
        for inner in all {
            let retired = inner.retire();
            result = result.and(retired);
        }
        *self.lock.lock() = None;
        result
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).finish_non_exhaustive()
    }
}

fn all_open(open: &Mutex<OpenStreams<Inner>>) -> Vec<Weak<Inner>> {
    open.lock().iter().map(|(_, inner)| Arc::downgrade(inner)).collect()
}

fn sync_all(open: &Mutex<OpenStreams<Inner>>) -> Result<()> {
    // Held one by one: a stream that somebody holds is not closed when another one needs its descriptors. One that is
    // closed meanwhile has been synced.
    let synced = all_open(open).into_iter().filter_map(|inner| Some(inner.upgrade()?.sync()));
    // One that finds no room keeps no other from being synced.
    synced.fold(Ok(()), Result::and)
}

/// The milliseconds that the IDs of a new stream are near to.
fn base_ms(entries: &NewEntries, env: &Env) -> u64 {
    match entries.list.first().map(|first| first.wanted) {
        Some(NewId::Exact(id)) => id.ms(),
        Some(NewId::AutoSequence(ms)) => ms,
        _ => env.now_ms(),
    }
}

fn hex(identity: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*identity))
}

impl Inner {
    /// Adds all entries of this stream, with what else makes it up, to one that has none.
    fn copy_into(&self, copy: &Inner) -> Result<()> {
        /// So many bytes go into one frame, about.
        const BATCH_LEN: u64 = 64 << 10;
        let (tail, aside) = self.snapshot()?;
        let mut batch = NewEntries::default();
        let mut len = 0;
        let mut cursor = crate::log::cursor::Cursor::new(self.log.view_to(tail), StreamId::MIN, StreamId::MAX);
        loop {
            let entry = cursor.next_entry().transpose()?;
            if entry.is_none() || len >= BATCH_LEN {
                if !batch.list.is_empty() {
                    copy.add(&mut batch, None)?;
                }
                batch.clear();
                len = 0;
            }
            let Some(entry) = entry else { break };
            entry.fields().for_each(|(name, value)| batch.put_field(name, value));
            len += batch.complete(NewId::Exact(entry.id())).len;
        }
        let set = crate::SetId::new(tail.last_id).entries_added(tail.entries_added);
        copy.set_id(&set.max_deleted_id(aside.state.max_deleted_id))?;
        copy.take_groups(aside)?;
        copy.store_retention(self.retention()).map(|_| ())
    }
}
