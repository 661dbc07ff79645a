//! A stream that another process writes.

use std::fmt;
use std::ops::RangeBounds;

use crate::read_only::{Follow, ReadOnlyGroup, ReadOnlyStore};
use crate::{Entry, GroupDetail, GroupInfo, Range, Read, ReadFrom, Result, Retention, Stream, StreamId, StreamInfo};

/// How often a look is repeated that may have come upon a trim.
const TRIES: usize = 5;

/// A handle to the stream of a name in a [`ReadOnlyStore`], whether or not there is such a stream yet. It always means the stream
/// that has the name at the time.
///
/// # Examples
///
/// ```
/// use streamlog::{Retention, Store};
///
/// # let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path())?;
/// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
/// assert!(orders.is_empty()? && !orders.exists()?);
///
/// // The writer goes on, and every call sees how far it is.
/// let writing = store.stream("orders")?;
/// let ids = [writing.add([("order", "o1")])?, writing.add([("order", "o2")])?];
/// assert_eq!(orders.get(ids[0])?.expect("it was added").get("order"), Some(&b"o1"[..]));
/// assert_eq!(orders.range(ids[1]..).count(), 1);
/// writing.set_retention(Retention::new().max_len(1))?;
/// assert_eq!((orders.len()?, orders.first()?), (1, orders.last()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ReadOnlyStream {
    store: ReadOnlyStore,
    stream: Stream,
}

impl fmt::Debug for ReadOnlyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadOnlyStream({:?})", String::from_utf8_lossy(self.name()))
    }
}

impl ReadOnlyStream {
    pub(crate) fn new(store: ReadOnlyStore, stream: Stream) -> Self {
        Self { store, stream }
    }

    /// The stream, which may not be up to date.
    pub(crate) fn as_stream(&self) -> &Stream {
        &self.stream
    }

    /// The stream, as it is now.
    pub(crate) fn now(&self) -> Result<&Stream> {
        self.store.shared().catch_up(self.name())?;
        Ok(&self.stream)
    }

    /// What is seen with the groups locked, while nothing can be caught up with. If a segment seems to be lost, it may have been
    /// trimmed meanwhile: it is looked again.
    pub(crate) fn steadily<T>(&self, look: impl Fn(&Stream) -> Result<T>) -> Result<T> {
        for _ in 0..TRIES {
            let stream = self.now()?;
            let Some(inner) = stream.inner()? else { break };
            let found = look(stream);
            if !inner.log.is_doubted() {
                return found;
            }
        }
        look(self.now()?)
    }

    /// The name of the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let _store = streamlog::Store::open(dir.path())?;
    /// let orders = streamlog::Store::open_read_only(dir.path())?.stream("orders")?;
    /// assert_eq!(orders.name(), b"orders");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.stream.name()
    }

    /// Whether the stream exists; it may be empty.
    ///
    /// # Errors
    ///
    /// As [`Stream::exists`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
    /// assert!(!orders.exists()?);
    /// store.create("orders")?;
    /// assert!(orders.exists()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exists(&self) -> Result<bool> {
        self.now()?.exists()
    }

    /// The number of entries; 0 if the stream does not exist.
    ///
    /// # Errors
    ///
    /// As [`Stream::len`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
    /// for len in 1..=3 {
    ///     store.stream("orders")?.add([("order", "o1")])?;
    ///     assert_eq!(orders.len()?, len);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> Result<u64> {
        self.now()?.len()
    }

    /// Whether there are no entries, or no such stream.
    ///
    /// # Errors
    ///
    /// As [`Stream::len`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, Trim};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
    /// assert!(!orders.is_empty()?);
    /// store.stream("orders")?.trim(Trim::to_len(0))?;
    /// assert!(orders.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> Result<bool> {
        self.now()?.is_empty()
    }

    /// The entry with this ID.
    ///
    /// # Errors
    ///
    /// As [`Stream::get`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, StreamId};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// let id = store.stream("orders")?.add([("order", "o1")])?;
    /// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
    /// let order = orders.get(id)?.expect("it was added");
    /// assert_eq!(order.get("order"), Some(&b"o1"[..]));
    /// assert!(orders.get(StreamId::new(1, 1))?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get(&self, id: StreamId) -> Result<Option<Entry>> {
        self.now()?.get(id)
    }

    /// The entries between two IDs, as they are at the time of the call; from either end. See [`Stream::range`].
    ///
    /// What is trimmed or deleted while it is read may or may not be seen.
    ///
    /// # Errors
    ///
    /// As [`Stream::range`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// # let writing = store.stream("orders")?;
    /// let ids = [writing.add([("order", "o1")])?, writing.add([("order", "o2")])?];
    /// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
    /// let backwards = orders.range(ids[0]..).rev().map(|order| Ok(order?.id()));
    /// assert_eq!(backwards.collect::<streamlog::Result<Vec<_>>>()?, [ids[1], ids[0]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range(&self, ids: impl RangeBounds<StreamId>) -> Range {
        match self.now() {
            Ok(stream) => stream.range(ids),
            Err(error) => Range::new(Err(error), &ids),
        }
    }

    /// The oldest entry.
    ///
    /// # Errors
    ///
    /// As [`Stream::get`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, Trim};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// # let writing = store.stream("orders")?;
    /// let ids = [writing.add([("order", "o1")])?, writing.add([("order", "o2")])?];
    /// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
    /// assert_eq!(orders.first()?.map(|order| order.id()), Some(ids[0]));
    /// writing.trim(Trim::to_len(1))?;
    /// assert_eq!(orders.first()?.map(|order| order.id()), Some(ids[1]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn first(&self) -> Result<Option<Entry>> {
        self.now()?.first()
    }

    /// The newest entry.
    ///
    /// # Errors
    ///
    /// As [`Stream::get`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
    /// assert!(orders.last()?.is_none());
    /// let id = store.stream("orders")?.add([("order", "o1")])?;
    /// assert_eq!(orders.last()?.map(|order| order.id()), Some(id));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn last(&self) -> Result<Option<Entry>> {
        self.now()?.last()
    }

    /// Starts a read of this stream, which may wait for what comes; see [`Read`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{ReadFrom, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
    /// let writer = std::thread::spawn(move || store.stream("orders")?.add([("order", "o1")]));
    /// let news = orders.read(ReadFrom::After("0".parse()?)).block(Duration::from_secs(9)).run()?;
    /// assert_eq!(news[0].1.len(), 1);
    /// # writer.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(&self, from: ReadFrom) -> Read {
        self.store.read([(self, from)])
    }

    /// Follows the stream: an iterator over the entries behind `from`, and then those that come, without end. See [`Follow`].
    ///
    /// # Errors
    ///
    /// As [`Stream::get`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{ReadFrom, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
    /// let mut follow = orders.follow(ReadFrom::End)?;
    /// let id = store.stream("orders")?.add([("order", "o2")])?;
    /// assert_eq!(follow.next().expect("it never ends")?.id(), id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn follow(&self, from: ReadFrom) -> Result<Follow> {
        Follow::new(self.clone(), from)
    }

    /// The state of the stream, all of one moment.
    ///
    /// # Errors
    ///
    /// As [`Stream::info`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// let id = store.stream("orders")?.add([("order", "o1")])?;
    /// let info = Store::open_read_only(dir.path())?.stream("orders")?.info()?;
    /// assert_eq!((info.len, info.last_generated_id), (1, id));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn info(&self) -> Result<StreamInfo> {
        self.now()?.info()
    }

    /// How much of the stream is kept by whoever writes it; everything if it does not exist.
    ///
    /// # Errors
    ///
    /// As [`Stream::retention`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Retention, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// store.stream("orders")?.set_retention(Retention::new().max_len(1_000))?;
    /// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
    /// assert_eq!(orders.retention()?.len_max(), Some(1_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retention(&self) -> Result<Retention> {
        self.now()?.retention()
    }

    /// The consumer groups, in ascending order of their names.
    ///
    /// # Errors
    ///
    /// As [`Stream::groups`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// let orders = store.stream("orders")?;
    /// orders.add([("order", "o1")])?;
    /// orders.group("workers").create(Position::Start)?;
    /// let groups = Store::open_read_only(dir.path())?.stream("orders")?.groups()?;
    /// assert_eq!((groups[0].name.as_slice(), groups[0].lag), (&b"workers"[..], Some(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn groups(&self) -> Result<Vec<GroupInfo>> {
        self.steadily(Stream::groups)
    }

    /// The consumer groups with their consumers and, in each list, at most `count` pending entries.
    ///
    /// # Errors
    ///
    /// As [`Stream::groups`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// let orders = store.stream("orders")?;
    /// let id = orders.add([("order", "o1")])?;
    /// orders.group("workers").create(Position::Start)?;
    /// orders.group("workers").consumer("alice").read().new_entries()?;
    /// let details = Store::open_read_only(dir.path())?.stream("orders")?.group_details(10)?;
    /// assert_eq!(details[0].pending[0].id, id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn group_details(&self, count: usize) -> Result<Vec<GroupDetail>> {
        self.steadily(|stream| stream.group_details(count))
    }

    /// A handle to one of the stream's consumer groups, which need not exist yet.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{GroupOptions, Position, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// let workers = Store::open_read_only(dir.path())?.stream("orders")?.group("workers");
    /// assert!(!workers.exists()?);
    /// store.stream("orders")?.group("workers").create_with(GroupOptions::new(Position::Start).create_stream())?;
    /// assert!(workers.exists()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn group(&self, name: impl AsRef<[u8]>) -> ReadOnlyGroup {
        ReadOnlyGroup::new(self.clone(), self.stream.group(name))
    }
}
