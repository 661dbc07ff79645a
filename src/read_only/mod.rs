//! Stores that are read while another process writes them.

mod follow;
mod group;
mod stream;

use std::fmt;
use std::path::Path;

use crate::inspect::Inspection;
use crate::store::Shared;
use crate::{Error, Options, Read, ReadFrom, Result, Store};

pub use follow::Follow;
pub use group::ReadOnlyGroup;
pub use stream::ReadOnlyStream;

/// A store that is read only, while another process may be writing to it; see [`Store::open_read_only`]. Cheap to clone.
///
/// # What is seen
///
/// Each call sees a stream as it was at one moment, not before that of the call before: of an entry or a change there is all or
/// nothing, and log and groups are of the same moment. Only what the writer has published is seen:
///
/// | the writer | is seen |
/// |---|---|
/// | has the stream open at [`Always`](crate::Durability::Always) | what is synced: nothing of it can be lost any more |
/// | has it open at another level | an entry or change as soon as it is written |
/// | does not have it open | all there is |
/// | was killed | what it had published; and when the store is open again, what recovery has kept, which is at least that |
///
/// A call of the writer that returned is seen by every call that begins after it. Where there is no room on the disk for the
/// file `published` of the store, by which the writer tells what is synced, entries are seen before they are. The same is so for
/// what the machine had not synced when it lost power, until a writer has the stream open.
///
/// It goes on through everything the writer does: new segments, trimming, new generations of the journal, deleting, renaming
/// and creating streams, its death and its return. The writer is not held up by it, and does not know of it (but on Windows, a
/// stream of which somebody has files open cannot be deleted or renamed). It may be on media that cannot be written to.
///
/// # What it costs
///
/// The first call on a stream reads what opening it would read, and each further one makes some fifteen system calls, and reads
/// what is new. Waiting reads look again after 1 to 20 milliseconds, the longer the more of these looks were in vain. A stream
/// takes the memory of what is pending, and two to seven descriptors while it is among the last hundred that were used (fewer,
/// where there are few descriptors; more with [`Options::open_read_only`]). Nothing is mapped.
///
/// # Examples
///
/// ```
/// use streamlog::Store;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// let store = Store::open(path)?;
/// store.stream("orders")?.add([("type", "order.created")])?;
///
/// // In another process, or in this one.
/// let reader = Store::open_read_only(path)?;
/// let orders = reader.stream("orders")?;
/// assert_eq!(orders.len()?, 1);
/// store.stream("orders")?.add([("type", "order.paid")])?;
/// assert_eq!(orders.range(..).count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ReadOnlyStore {
    store: Store,
}

impl fmt::Debug for ReadOnlyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadOnlyStore").field(&self.shared().path()).finish()
    }
}

impl Store {
    /// Opens the store in a directory for reading only, also while another process has it open and writes to it. Takes no
    /// lock and writes nothing; see [`ReadOnlyStore`].
    ///
    /// Costs reading two names and 44 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStore`] if there is none, [`Error::Unsupported`] if a newer version wrote it, [`Error::Io`] if it cannot
    /// be read.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Error, Store};
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    ///
    /// assert!(matches!(Store::open_read_only(path), Err(Error::NotAStore { .. })));
    /// let store = Store::open(path)?;
    /// store.create("orders")?;
    /// let reader = Store::open_read_only(path)?; // in another process, say
    /// assert_eq!(reader.names()?, [b"orders"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<ReadOnlyStore> {
        Options::new().open_read_only(path)
    }
}

impl Options {
    /// Opens the store in a directory for reading only, as [`Store::open_read_only`]. Of these options, the
    /// [number of streams](Self::open_streams_max) that are kept at hand counts: who looks at more of them again and again reads
    /// anew each time what opening them would read. All others are for who writes.
    ///
    /// # Errors
    ///
    /// As [`Store::open_read_only`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Options, Store};
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// # let _store = Store::open(path)?;
    ///
    /// let reader = Options::new().open_streams_max(1000).open_read_only(path)?;
    /// assert!(reader.names()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_read_only(self, path: impl AsRef<Path>) -> Result<ReadOnlyStore> {
        let shared = crate::store::open_to_read(path.as_ref(), self.open_streams_max)?;
        Ok(ReadOnlyStore { store: Store::of_shared(shared) })
    }
}

impl ReadOnlyStore {
    pub(crate) fn shared(&self) -> &Shared {
        self.store.shared()
    }

    /// The store, whose streams are to be caught up with before they are read, and to which nothing can be written.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// A handle to the stream `name`, which need not exist.
    ///
    /// # Errors
    ///
    /// [`Error::NameTooLong`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// # let store = Store::open(path)?;
    ///
    /// let orders = Store::open_read_only(path)?.stream("orders")?;
    /// assert_eq!(orders.len()?, 0, "there is none yet");
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// assert_eq!(orders.len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stream(&self, name: impl AsRef<[u8]>) -> Result<ReadOnlyStream> {
        Ok(ReadOnlyStream::new(self.clone(), self.store.stream(name)?))
    }

    /// The names of all streams, in ascending order of their bytes. Costs reading one directory.
    ///
    /// # Errors
    ///
    /// As [`Store::names`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// # let store = Store::open(path)?;
    ///
    /// let reader = Store::open_read_only(path)?;
    /// store.create("orders")?;
    /// store.create("payments")?;
    /// assert_eq!(reader.names()?, [&b"orders"[..], b"payments"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn names(&self) -> Result<Vec<Vec<u8>>> {
        match self.store.names() {
            // A store that is just being made has no directory for them yet.
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names,
        }
    }

    /// Whether there is a stream of that name.
    ///
    /// # Errors
    ///
    /// As [`Store::exists`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// # let store = Store::open(path)?;
    ///
    /// let reader = Store::open_read_only(path)?;
    /// store.create("orders")?;
    /// assert!(reader.exists("orders")?);
    /// store.delete(["orders"])?;
    /// assert!(!reader.exists("orders")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exists(&self, name: impl AsRef<[u8]>) -> Result<bool> {
        self.shared().catch_up(name.as_ref())?;
        self.store.exists(name)
    }

    /// Starts a read of several streams; see [`Read`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{ReadFrom, Store, StreamId};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// # let store = Store::open(path)?;
    /// # store.stream("payments")?.add([("payment", "p1")])?;
    /// let reader = Store::open_read_only(path)?;
    /// let (orders, payments) = (reader.stream("orders")?, reader.stream("payments")?);
    /// let all = ReadFrom::After(StreamId::MIN);
    /// let found = reader.read([(&orders, all), (&payments, all)]).count(10).run()?;
    /// let (position, entries) = &found[0];
    /// assert_eq!((*position, entries.len()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read<'a>(&self, streams: impl IntoIterator<Item = (&'a ReadOnlyStream, ReadFrom)>) -> Read {
        streams.into_iter().fold(self.store.read(), |read, (stream, from)| read.stream(stream.as_stream(), from))
    }

    /// A look at the files of the store: verifying, dumping, counting.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// # let store = Store::open(path)?;
    /// # store.stream("orders")?.add([("order", "o1")])?;
    ///
    /// let inspection = Store::open_read_only(path)?.inspect();
    /// assert!(!inspection.verify_stream("orders", |_| {})?.is_damaged());
    /// assert_eq!(inspection.stat_stream("orders")?.entries, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn inspect(&self) -> Inspection {
        let watch = self.shared().watch();
        let root = watch.map_or_else(|| unreachable!("it is read only"), |watch| (&watch.root, watch.store));
        Inspection::of_root(root.0, root.1)
    }
}
