//! Listing pending entries.

use std::ops::RangeBounds;
use std::time::Duration;

use crate::stream::deliver::millis;
use crate::stream::group::Group;
use crate::stream::group_options::PendingEntry;
use crate::stream::range::bounds;
use crate::{Result, StreamId};

/// A look at the pending entries of a group (`XPENDING` with a range); see [`Group::pending_entries`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{Position, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
/// # let workers = orders.group("workers");
/// # workers.create(Position::Start)?;
/// # let alice = workers.consumer("alice");
/// # alice.read().new_entries()?;
///
/// let hers = workers.pending_entries().ids(id..).consumer("alice").count(10);
/// assert_eq!(hers.clone().run()?[0].id, id);
/// assert!(hers.min_idle(Duration::from_secs(60)).run()?.is_empty(), "she has just begun");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is looked at before it is run"]
pub struct Pending {
    group: Group,
    ids: Option<(StreamId, StreamId)>,
    count: u64,
    consumer: Option<Vec<u8>>,
    min_idle: u64,
}

impl Pending {
    pub(crate) fn new(group: Group) -> Self {
        Self { group, ids: Some((StreamId::MIN, StreamId::MAX)), count: u64::MAX, consumer: None, min_idle: 0 }
    }

    /// Only those with IDs in this range.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// assert!(workers.pending_entries().ids(..id).run()?.is_empty());
    /// assert_eq!(workers.pending_entries().ids(id..).run()?.len(), 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn ids(mut self, ids: impl RangeBounds<StreamId>) -> Self {
        self.ids = bounds(&ids);
        self
    }

    /// At most this many.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// assert_eq!(workers.pending_entries().count(10).run()?.len(), 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn count(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// Only those of this consumer.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// assert!(workers.pending_entries().consumer("bob").run()?.is_empty());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn consumer(mut self, name: impl AsRef<[u8]>) -> Self {
        self.consumer = Some(name.as_ref().to_vec());
        self
    }

    /// Only those that have been pending with their owner for at least this long, and those that were released.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// assert!(workers.pending_entries().min_idle(Duration::from_secs(60)).run()?.is_empty());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn min_idle(mut self, idle: Duration) -> Self {
        self.min_idle = millis(idle);
        self
    }

    /// The pending entries, in the order of their IDs.
    ///
    /// Costs a step for each entry in the range that belongs to the consumer, whether or not it has been idle for so long.
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
    /// let store = Store::in_memory();
    /// let orders = store.stream("orders")?;
    /// let id = orders.add([("order", "o1")])?;
    /// let workers = orders.group("workers");
    /// workers.create(Position::Start)?;
    /// workers.consumer("alice").read().new_entries()?;
    /// let pending = workers.pending_entries().consumer("alice").run()?;
    /// assert_eq!((pending[0].id, pending[0].delivery_count), (id, 1));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn run(self) -> Result<Vec<PendingEntry>> {
        // Nothing is in an empty range, but the group has to be there.
        let (ids, count) = self.ids.map_or(((StreamId::MAX, StreamId::MIN), 0), |ids| (ids, self.count));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.group.list_pending(ids, count, self.consumer.as_deref(), self.min_idle)
    }
}
