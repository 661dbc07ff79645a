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
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.group.name()
    }

    /// The stream whose entries it reads.
    #[must_use]
    pub fn stream(&self) -> &ReadOnlyStream {
        &self.stream
    }

    /// Whether there is such a group.
    ///
    /// # Errors
    ///
    /// As [`Group::exists`].
    pub fn exists(&self) -> Result<bool> {
        self.now()?.exists()
    }

    /// The state of the group.
    ///
    /// # Errors
    ///
    /// As [`Group::info`].
    pub fn info(&self) -> Result<GroupInfo> {
        self.stream.steadily(|_| self.group.info())
    }

    /// The consumers, in ascending order of their names.
    ///
    /// # Errors
    ///
    /// As [`Group::consumers`].
    pub fn consumers(&self) -> Result<Vec<ConsumerInfo>> {
        self.now()?.consumers()
    }

    /// What is pending, in short.
    ///
    /// # Errors
    ///
    /// As [`Group::pending`].
    pub fn pending(&self) -> Result<PendingSummary> {
        self.now()?.pending()
    }

    /// Starts a look at the pending entries one by one, as they are now; see [`Pending`].
    ///
    /// # Errors
    ///
    /// As [`Group::pending`].
    pub fn pending_entries(&self) -> Result<Pending> {
        Ok(self.now()?.pending_entries())
    }
}
