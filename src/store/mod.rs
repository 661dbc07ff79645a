//! Named streams in a directory.

mod background;
pub(crate) mod budget;
pub(crate) mod catalog;
mod keep;
mod open_streams;
pub(crate) mod reserve;
mod shared;
#[cfg(test)]
mod whole;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::{Error, GroupRead, Options, Read, Repaired, Result, Stream};

pub(crate) use catalog::open_to_read;
pub(crate) use shared::Shared;

/// The longest name a stream can have, in bytes.
///
/// # Examples
///
/// ```
/// use streamlog::{Error, NAME_LEN_MAX, Store};
///
/// let store = Store::in_memory();
/// assert!(store.stream([b'x'; NAME_LEN_MAX]).is_ok());
/// assert!(matches!(store.stream([b'x'; NAME_LEN_MAX + 1]), Err(Error::NameTooLong { .. })));
/// ```
pub const NAME_LEN_MAX: usize = 3072;

/// A directory of streams. Cheap to clone; all clones are the same store, and any number of threads may use them.
///
/// The store is closed when [`close`](Self::close) is called, or when the last clone and the last [`Stream`] of it are
/// gone; only `close` tells whether that went well.
///
/// A store belongs to the process that opened it. In a child of `fork` every call on what it has inherited fails with
/// [`Error::Forked`], and dropping it there does its parent's no harm; a child can open other stores. If the parent dies
/// without closing the store, its lock lasts as long as such a child.
///
/// The directory must not be moved away, nor its file `LOCK` removed or replaced, while the store is open: after a move,
/// whatever creates, renames or removes a file fails; without the file, nothing keeps another process out.
///
/// # Examples
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let store = streamlog::Store::open(dir.path())?;
/// store.stream("orders")?.add([("type", "order.created")])?;
/// assert_eq!(store.names()?, [b"orders"]);
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.shared.path()).finish()
    }
}

impl Store {
    /// Opens the store in the directory `path` with the default [`Options`], creating it if it is missing.
    ///
    /// # Errors
    ///
    /// As [`Options::open`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    ///
    /// let store = Store::open(path)?;
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// store.close()?;
    /// assert_eq!(Store::open(path)?.stream("orders")?.len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Options::new().open(path)
    }

    pub(crate) fn of_shared(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn open_with(options: Options, path: &Path) -> Result<Self> {
        Ok(Self { shared: Arc::new(catalog::open(&options, path)?) })
    }

    /// An empty store in memory, which is gone when its last handle is.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    ///
    /// let store = Store::in_memory();
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// assert_eq!(store.names()?, [b"orders"]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn in_memory() -> Self {
        Options::new().in_memory()
    }

    pub(crate) fn in_memory_with(options: Options) -> Self {
        Self { shared: Arc::new(catalog::in_memory(&options)) }
    }

    /// Opens the store on a simulated disk.
    #[doc(hidden)]
    pub fn open_simulated(options: Options, disk: &Arc<crate::sim::SimDisk>) -> Result<Self> {
        let disk = Arc::clone(disk) as Arc<dyn crate::io::Disk>;
        Ok(Self { shared: Arc::new(catalog::mount(&options, disk, Path::new("simulated"))?) })
    }

    /// Opens the store in a directory, telling of every call to the disk before it is made. It fails if the answer is how.
    #[doc(hidden)]
    pub fn open_observed(
        options: Options,
        path: impl AsRef<Path>,
        tell: impl Fn(&crate::sim::Call) -> Option<crate::sim::Failure> + Send + Sync + 'static,
    ) -> Result<Self> {
        let shared = catalog::open_on(&options, path.as_ref(), |disk| crate::io::observed::Observed::new(disk, tell))?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A handle to the stream `name`, which need not exist: the first add creates it. Costs nothing on disk.
    ///
    /// # Errors
    ///
    /// [`Error::NameTooLong`]. Names are otherwise arbitrary bytes, also none at all.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    ///
    /// let orders = store.stream("orders")?;
    /// assert!(!orders.exists()?, "a handle creates nothing");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn stream(&self, name: impl AsRef<[u8]>) -> Result<Stream> {
        let name = name.as_ref();
        check_name(name)?;
        Ok(Stream::new(Arc::clone(&self.shared), name))
    }

    /// Creates an empty stream.
    ///
    /// Costs making a directory and its first files, and their syncs, at every level of durability.
    ///
    /// # Errors
    ///
    /// [`Error::StreamExists`] if there is one; [`Error::NoSpace`] and [`Error::Io`]: there is none then.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Error, Store};
    /// # let store = Store::in_memory();
    ///
    /// let orders = store.create("orders")?;
    /// assert!(orders.is_empty()?);
    /// assert!(matches!(store.create("orders"), Err(Error::StreamExists { .. })));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn create(&self, name: impl AsRef<[u8]>) -> Result<Stream> {
        let stream = self.stream(name)?;
        match self.shared.create_with(stream.name(), &mut crate::format::new_entries::NewEntries::default(), None)? {
            true => Ok(stream),
            false => Err(Error::StreamExists { name: String::from_utf8_lossy(stream.name()).into_owned() }),
        }
    }

    /// The names of all streams, in ascending order of their bytes. Costs reading one directory.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory cannot be read, [`Error::Closed`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    ///
    /// store.create("b")?;
    /// store.create("a")?;
    /// assert_eq!(store.names()?, [b"a", b"b"]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn names(&self) -> Result<Vec<Vec<u8>>> {
        self.shared.names()
    }

    /// Whether there is a stream of that name.
    ///
    /// Costs a look at the directory if the stream is not open.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory cannot be looked at, [`Error::Closed`], [`Error::NameTooLong`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// assert!(store.exists("orders")?);
    /// assert!(!store.exists("payments")?);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn exists(&self, name: impl AsRef<[u8]>) -> Result<bool> {
        check_name(name.as_ref())?;
        self.shared.exists(name.as_ref())
    }

    /// Deletes streams, all of them at once also if a crash comes; returns how many there were.
    ///
    /// Costs a few syncs, those of closing the streams that are open, and removing their files; at every level of durability.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::NoSpace`]; what has begun then is finished when the store is opened again.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// assert_eq!(store.delete(["orders", "payments"])?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn delete<N: AsRef<[u8]>>(&self, names: impl IntoIterator<Item = N>) -> Result<u64> {
        let names: Vec<Vec<u8>> = names.into_iter().map(|name| name.as_ref().to_vec()).collect();
        self.shared.delete(&names)
    }

    /// Deletes all streams, at once also if a crash comes.
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// store.delete_all()?;
    /// assert!(store.names()?.is_empty());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn delete_all(&self) -> Result<()> {
        self.delete(self.names()?).map(|_| ())
    }

    /// Renames a stream, replacing one that has the new name.
    ///
    /// Costs a few syncs, at every level of durability, however much is in the stream.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`], [`Error::NameTooLong`], and as [`delete`](Self::delete). [`Error::Corrupt`] and
    /// [`Error::Unsupported`] of the file `meta`, in which the name is: the stream keeps its name.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// store.rename("orders", "orders-2025")?;
    /// assert_eq!(store.names()?, [b"orders-2025"]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<()> {
        check_name(to.as_ref())?;
        self.shared.rename(from.as_ref(), to.as_ref(), true).map(|_| ())
    }

    /// Renames a stream unless the new name is taken; returns whether it did.
    ///
    /// # Errors
    ///
    /// As [`rename`](Self::rename).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// store.create("archive")?;
    /// assert!(!store.rename_new("orders", "archive")?, "there is one of that name");
    /// assert!(store.rename_new("orders", "orders-2025")?);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn rename_new(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<bool> {
        check_name(to.as_ref())?;
        self.shared.rename(from.as_ref(), to.as_ref(), false)
    }

    /// Copies a stream; `false` if there is no such stream, or if there is one of the other name.
    ///
    /// Costs reading and writing all entries; the copy appears when it is complete.
    ///
    /// # Errors
    ///
    /// [`Error::NameTooLong`], [`Error::Corrupt`] if an entry is damaged, [`Error::NoSpace`] and [`Error::Io`]; there is
    /// no copy then.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// assert!(store.copy("orders", "a copy")?);
    /// assert_eq!(store.stream("a copy")?.len()?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn copy(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<bool> {
        check_name(to.as_ref())?;
        self.shared.copy(from.as_ref(), to.as_ref(), false)
    }

    /// As [`copy`](Self::copy), and deletes what has the other name; `false` if there is no such stream.
    ///
    /// # Errors
    ///
    /// As [`copy`](Self::copy); what had the name keeps it then.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// store.create("a copy")?;
    /// assert!(store.copy_over("orders", "a copy")?);
    /// assert_eq!(store.stream("a copy")?.len()?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn copy_over(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<bool> {
        check_name(to.as_ref())?;
        self.shared.copy(from.as_ref(), to.as_ref(), true)
    }

    /// Ends the damage of a stream for good: what can be read is kept, the rest counts as deleted. `None` if there is no such
    /// stream.
    ///
    /// Reads all of the stream, and rewrites the segments that are damaged; the files that are replaced are copied to the store's
    /// folder `quarantine` first. Entries and their IDs stay as they are. A damaged journal or superblock is replaced as
    /// [`OnDamage::Quarantine`](crate::OnDamage::Quarantine) says. Handles to the stream go on working; a stream that is sound
    /// stays as it is. [`inspect`](crate::inspect) tells beforehand what is damaged.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if nothing of it tells which stream it is, [`Error::NoSpace`] and [`Error::Io`]: it can be repeated
    /// then, and nothing is lost by it that could be read before.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = streamlog::Store::open(dir.path())?;
    /// # store.create("orders")?;
    /// let repaired = store.repair("orders")?.expect("there is such a stream");
    /// for finding in &repaired.damage {
    ///     eprintln!("{finding}");
    /// }
    /// assert_eq!(repaired.entries_lost, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn repair(&self, name: impl AsRef<[u8]>) -> Result<Option<Repaired>> {
        check_name(name.as_ref())?;
        self.shared.repair(name.as_ref())
    }

    /// Keeps to the [`Retention`](crate::Retention) of all streams now, to the millisecond, and to
    /// [`Options::bytes_budget`].
    ///
    /// There is no need to call it, except for age in streams that nobody uses, and where
    /// [`Options::retention_interval`] is zero. Costs reading the superblock of each stream, and opens those that have a
    /// retention.
    ///
    /// # Errors
    ///
    /// The first of [`Error::Corrupt`], if what there is to be known is damaged, [`Error::NoSpace`] and [`Error::Io`]; other
    /// streams have been seen to then, unless the store is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{AddOptions, Options, Retention, StreamId};
    ///
    /// let store = Options::new().retention_interval(Duration::ZERO).in_memory();
    /// let readings = store.stream("temperature")?;
    /// readings.set_retention(Retention::new().max_age(Duration::from_secs(60)))?;
    /// readings.add_with(AddOptions::new().id(StreamId::new(5, 0)), [("celsius", "20.5")])?;
    /// store.enforce_retention()?;
    /// assert!(readings.is_empty()?, "it was from 1970");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn enforce_retention(&self) -> Result<()> {
        self.shared.keep_all()
    }

    /// Starts a read of several streams; see [`Read`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{ReadFrom, Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let payments = store.stream("payments")?;
    /// let from = ReadFrom::After(StreamId::MIN);
    /// let found = store.read().stream(&payments, from).stream(&orders, from).run()?;
    /// assert_eq!((found.len(), found[0].0), (1, 1), "the second of the two has something");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn read(&self) -> Read {
        Read::new(Arc::clone(&self.shared))
    }

    /// Starts a read of several streams as a consumer of a group that has this name in all of them; see
    /// [`GroupRead`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{GroupReadFrom, Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    ///
    /// let found = store.read_group("workers", "alice").stream(&orders, GroupReadFrom::New).count(10).run()?;
    /// assert_eq!(found[0].1[0].id, id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn read_group(&self, group: impl AsRef<[u8]>, consumer: impl AsRef<[u8]>) -> GroupRead {
        GroupRead::new(Arc::clone(&self.shared), group.as_ref().into(), consumer.as_ref().into())
    }

    pub(crate) fn disk(&self) -> &Arc<dyn crate::io::Disk> {
        self.shared.disk()
    }

    #[cfg(feature = "async")]
    pub(crate) fn handle(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// The time by the store's clock, in milliseconds since the Unix epoch.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    ///
    /// assert!(store.now_ms() > 1_700_000_000_000);
    /// ```
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.shared.env().now_ms()
    }

    /// The store in numbers: its streams, its groups with what is pending and how far they lag behind, how long its syncs take.
    ///
    /// Costs reading one directory, and for each stream that is open a look at its groups and at its files. Streams that are not
    /// open are only counted, and stay so. Nobody waits for it, but for the moment in which it looks at the groups of a stream;
    /// see [`metrics`](crate::metrics), also for how to give them to a collector.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory cannot be read, [`Error::Closed`].
    ///
    /// # Examples
    ///
    /// ```
    /// let store = streamlog::Store::in_memory();
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// let metrics = store.metrics()?;
    /// assert_eq!(metrics.open_streams[0].entries_added, 1);
    /// println!("{}", metrics.open_metrics());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn metrics(&self) -> Result<crate::metrics::Metrics> {
        self.shared.metrics()
    }

    /// Makes everything that was acknowledged so far survive power loss.
    ///
    /// Costs a look at each stream that is open, and syncs of those that were written to since they were synced last.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: it is not known what survives, and the store is poisoned. [`Error::Poisoned`], [`Error::Closed`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Durability, Options};
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    ///
    /// let store = Options::new().durability(Durability::Os).open(path)?;
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// store.sync()?; // now it survives a power cut
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sync(&self) -> Result<()> {
        self.shared.sync()
    }

    /// Syncs everything and closes the store; blocked reads end, and later calls on any handle fail, with
    /// [`Error::Closed`]. The lock is given up when it returns.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Poisoned`]: the store is closed, but not everything that was acknowledged at
    /// [`Durability::Interval`](crate::Durability::Interval) or [`Durability::Os`](crate::Durability::Os) may survive power
    /// loss.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Error, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// store.close()?;
    /// assert!(matches!(orders.len(), Err(Error::Closed)));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn close(self) -> Result<()> {
        self.shared.close()
    }
}

pub(crate) fn check_name(name: &[u8]) -> Result<()> {
    match name.len() {
        len if len > NAME_LEN_MAX => Err(Error::NameTooLong { len, max: NAME_LEN_MAX }),
        _ => Ok(()),
    }
}
