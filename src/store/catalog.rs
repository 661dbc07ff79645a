//! Which streams there are, and which of them are open: finding, creating, closing and repairing one.
//!
//! # Locks
//!
//! `catalog` is a turn: it is held, also across I/O, by whoever opens, creates, deletes, renames or copies a stream, before
//! any lock of a stream. `open` is a leaf lock.

mod intent;
mod mount;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::damage::Finding;
use crate::env::Env;
use crate::follow::Watch;
use crate::follow::attach::attach;
use crate::format::file_name::{self, Directory};
use crate::format::new_entries::NewEntries;
use crate::io::place::Place;
use crate::io::{Disk, File, FileKind, MOVES_OPEN_DIRECTORIES};
use crate::metrics::Operation;
use crate::store::background::Background;
use crate::store::open_streams::OpenStreams;
use crate::stream::inner::{Inner, Outcome};
use crate::stream::open;
use crate::stream::options::Trim;
use crate::stream::quarantine::Quarantine;
use crate::stream::superblock::{self, Superblock};
use crate::{Corruption, Error, NewId, OnDamage, Repaired, Result};

pub use mount::{in_memory, mount, open, open_locked, open_on, open_to_read};

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
        self.names_but(Err)
    }

    /// As [`names`](Self::names), without long ones that are damaged: nobody can ask for these, and they are to keep nothing from
    /// being done to the others.
    pub fn sound_names(&self) -> Result<Vec<Vec<u8>>> {
        self.names_but(|error| match error {
            Error::Corrupt { .. } | Error::Unsupported { .. } => Ok(None),
            error => Err(error),
        })
    }

    /// The names of all streams, with what `instead` makes of those that cannot be told.
    fn names_but(&self, instead: impl Fn(Error) -> Result<Option<Vec<u8>>>) -> Result<Vec<Vec<u8>>> {
        self.env.check_open()?;
        let mut names = Vec::new();
        for (directory, kind) in self.streams.list()? {
            if kind != FileKind::Directory {
                continue;
            }
            match file_name::parse_directory(&directory) {
                Directory::Stream(name) => names.push(name),
                // One that goes meanwhile is not there.
                Directory::LongName => names.extend(self.long_name(&directory).or_else(&instead)?),
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
                    return Err(superblock::misnamed(&self.streams.within(directory)));
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
        let last_id = inner.log.tail().last_id;
        self.put_in_place(inner, name, |built| self.env.poisoning(self.reveal(built, name)))?;
        self.env.waiters.published(name, last_id);
        Ok(true)
    }

    /// Has a stream that was built open under its name, which `reveal` gives it; or closed, where it cannot be moved while it is
    /// open. After an error that leaves the store as it was there is nothing left of it.
    fn put_in_place(&self, inner: Arc<Inner>, name: &[u8], reveal: impl FnOnce(&OsStr) -> Result<()>) -> Result<()> {
        let built = inner.place.at("").file_name().unwrap_or_default().to_owned();
        let revealed = if MOVES_OPEN_DIRECTORIES {
            reveal(&built).map(|()| {
                inner.place.moved_to(self.streams.at(file_name::escape(name)));
                self.insert(&inner);
            })
        } else {
            let retired = inner.retire();
            drop(inner);
            retired.and_then(|()| reveal(&built))
        };
        revealed.inspect_err(|_| {
            // Where it poisoned the store, what was begun is finished when the store is opened.
            if self.env.check_writable().is_ok() {
                self.discard(&built);
            }
        })
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
        built.inspect_err(|_| self.discard(directory.as_ref()))
    }

    /// Removes what was built of a stream, and does not get a name.
    fn discard(&self, built: &OsStr) {
        // What cannot be removed now is removed when the store is opened.
        let _ = self.tmp.within(built).remove_all();
    }

    /// Gives a stream that was built its name.
    fn reveal(&self, built: &OsStr, name: &[u8]) -> Result<()> {
        self.tmp.within(built).move_to(self.streams.at(file_name::escape(name)))?;
        self.streams.sync()
    }

    /// Ends the life of an open stream, of which the directory is about to change.
    fn let_go(&self, name: &[u8]) -> Result<()> {
        let inner = self.open.lock().take(name);
        inner.map_or(Ok(()), |inner| inner.retire())
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
