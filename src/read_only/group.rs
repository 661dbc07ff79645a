//! A consumer group of a stream that another process writes.

use crate::read_only::ReadOnlyStream;
use crate::{ConsumerInfo, Group, GroupInfo, Pending, PendingSummary, Result};

/// A handle to the consumer group of a name in a [`ReadOnlyStore`](crate::ReadOnlyStore), whether or not there is such a group.
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
///
/// let workers = Store::open_read_only(dir.path())?.stream("orders")?.group("workers");
/// assert_eq!(workers.pending()?.consumers, [(b"alice".to_vec(), 1)]);
/// assert_eq!(workers.pending_entries()?.run()?[0].id, id);
/// assert_eq!(workers.consumers()?[0].name, b"alice");
/// assert_eq!((workers.exists()?, workers.info()?.lag), (true, Some(0)));
/// assert_eq!((workers.stream().name(), workers.name()), (&b"orders"[..], &b"workers"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReadOnlyGroup {
    stream: ReadOnlyStream,
    group: Group,
}

impl ReadOnlyGroup {
    pub(crate) fn new(stream: ReadOnlyStream, group: Group) -> Self {
        Self { stream, group }
    }

    /// The group, as it is now.
    fn now(&self) -> Result<&Group> {
        self.stream.now()?;
        Ok(&self.group)
    }

    /// The name of the group.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let _store = streamlog::Store::open(dir.path())?;
    /// let workers = streamlog::Store::open_read_only(dir.path())?.stream("orders")?.group("workers");
    /// assert_eq!(workers.name(), b"workers");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.group.name()
    }

    /// The stream whose entries it reads.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let _store = streamlog::Store::open(dir.path())?;
    /// let workers = streamlog::Store::open_read_only(dir.path())?.stream("orders")?.group("workers");
    /// assert_eq!(workers.stream().name(), b"orders");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stream(&self) -> &ReadOnlyStream {
        &self.stream
    }

    /// Whether there is such a group.
    ///
    /// # Errors
    ///
    /// As [`Group::exists`].
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
    pub fn exists(&self) -> Result<bool> {
        self.now()?.exists()
    }

    /// The state of the group.
    ///
    /// # Errors
    ///
    /// As [`Group::info`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{GroupOptions, Position, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// # let orders = store.stream("orders")?;
    /// # orders.group("workers").create_with(GroupOptions::new(Position::Start).create_stream())?;
    /// let workers = Store::open_read_only(dir.path())?.stream("orders")?.group("workers");
    /// for order in ["o1", "o2"] {
    ///     orders.add([("order", order)])?;
    /// }
    /// assert_eq!(workers.info()?.lag, Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn info(&self) -> Result<GroupInfo> {
        self.stream.steadily(|_| self.group.info())
    }

    /// The consumers, in ascending order of their names.
    ///
    /// # Errors
    ///
    /// As [`Group::consumers`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// # let orders = store.stream("orders")?;
    /// # orders.add([("order", "o1")])?;
    /// # orders.group("workers").create(Position::Start)?;
    /// let workers = Store::open_read_only(dir.path())?.stream("orders")?.group("workers");
    /// assert!(workers.consumers()?.is_empty());
    /// orders.group("workers").consumer("alice").read().new_entries()?;
    /// let alice = workers.consumers()?.remove(0);
    /// assert_eq!((alice.name.as_slice(), alice.pending), (&b"alice"[..], 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn consumers(&self) -> Result<Vec<ConsumerInfo>> {
        self.now()?.consumers()
    }

    /// What is pending, in short.
    ///
    /// # Errors
    ///
    /// As [`Group::pending`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # orders.group("workers").create(Position::Start)?;
    /// let workers = Store::open_read_only(dir.path())?.stream("orders")?.group("workers");
    /// let alice = orders.group("workers").consumer("alice");
    /// alice.read().new_entries()?;
    /// assert_eq!(workers.pending()?.first_id, Some(id));
    /// alice.ack([id])?;
    /// assert_eq!(workers.pending()?.count, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pending(&self) -> Result<PendingSummary> {
        self.now()?.pending()
    }

    /// Starts a look at the pending entries one by one, as they are now; see [`Pending`].
    ///
    /// # Errors
    ///
    /// As [`Group::pending`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # orders.group("workers").create(Position::Start)?;
    /// orders.group("workers").consumer("alice").read().new_entries()?;
    /// let workers = Store::open_read_only(dir.path())?.stream("orders")?.group("workers");
    /// assert_eq!(workers.pending_entries()?.consumer("alice").run()?[0].id, id);
    /// let stuck = workers.pending_entries()?.min_idle(Duration::from_secs(60)).run()?;
    /// assert!(stuck.is_empty(), "she has just begun");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pending_entries(&self) -> Result<Pending> {
        Ok(self.now()?.pending_entries())
    }
}
