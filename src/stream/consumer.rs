//! A handle to a consumer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::stream::claim::{AutoClaim, Claim};
use crate::stream::group::Group;
use crate::stream::group_read::GroupRead;
use crate::stream::groups::{InGroup, lossy};
use crate::stream::inner::{Inner, Outcome};
use crate::{Result, StreamId};

/// A handle to a consumer of a group, which is created by its first read or claim.
///
/// # Examples
///
/// ```
/// use streamlog::{GroupOptions, Position, Store, StreamId};
///
/// let orders = Store::in_memory().stream("orders")?;
/// let workers = orders.group("workers");
/// workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
/// for order in ["o1", "o2"] {
///     orders.add([("order", order)])?;
/// }
/// let (alice, bob) = (workers.consumer("alice"), workers.consumer("bob"));
/// let first = alice.read().count(1).new_entries()?;
/// let second = bob.read().count(1).new_entries()?;
/// assert!(first[0].id() < second[0].id(), "each entry goes to one of them");
/// alice.ack([first[0].id()])?;
/// assert!(alice.read().history(StreamId::MIN)?.is_empty());
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone)]
pub struct Consumer {
    group: Group,
    name: Arc<[u8]>,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consumer({:?} of {:?})", lossy(&self.name), self.group)
    }
}

impl Consumer {
    pub(super) fn new(group: Group, name: &[u8]) -> Self {
        Self { group, name: Arc::from(name) }
    }

    /// The name of the consumer.
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
    /// assert_eq!(alice.name(), b"alice");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<[u8]> {
        Arc::clone(&self.name)
    }

    /// The group it belongs to.
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
    /// assert_eq!(alice.group().name(), b"workers");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.group
    }

    pub(crate) fn in_group<T>(
        &self,
        operation: impl Fn(&Inner, &[u8], &[u8]) -> Result<Outcome<InGroup<T>>>,
    ) -> Result<T> {
        self.group.on_group(|inner, group| operation(inner, group, &self.name))
    }

    /// Creates the consumer; returns whether it is new.
    ///
    /// Costs one record in the journal if it is.
    ///
    /// # Errors
    ///
    /// [`Error::NameTooLong`](crate::Error::NameTooLong), and as [`Group::acknowledge`].
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
    ///
    /// assert!(workers.consumer("alice").create()?);
    /// assert_eq!(workers.consumers()?.len(), 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn create(&self) -> Result<bool> {
        self.in_group(Inner::create_consumer)
    }

    /// Removes the consumer; returns how many entries were pending for it. They are not delivered again: claim them
    /// before, if they matter.
    ///
    /// Costs a step for each of these, and one record in the journal.
    ///
    /// # Errors
    ///
    /// As [`Group::acknowledge`].
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
    /// assert_eq!(alice.delete()?, 1, "so much was pending for her, and is not any more");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn delete(&self) -> Result<u64> {
        self.in_group(Inner::delete_consumer)
    }

    /// Starts a read; see [`GroupRead`].
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
    ///
    /// let found = workers.consumer("alice").read().count(10).new_entries()?;
    /// assert_eq!(found[0].id(), id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn read(&self) -> GroupRead {
        GroupRead::of(self)
    }

    /// Acknowledges entries; the same as [`Group::acknowledge`].
    ///
    /// # Errors
    ///
    /// As [`Group::acknowledge`].
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
    /// assert_eq!(alice.ack([id])?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn ack(&self, ids: impl IntoIterator<Item = StreamId>) -> Result<u64> {
        self.group.acknowledge(ids)
    }

    /// Starts taking over the entries with these IDs that have been pending with their owner for so long; see [`Claim`].
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
    /// let bob = workers.consumer("bob");
    /// let taken = bob.claim(Duration::ZERO, [id]).run()?;
    /// assert_eq!(taken[0].id(), id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn claim(&self, min_idle: Duration, ids: impl IntoIterator<Item = StreamId>) -> Claim {
        Claim::new(self.clone(), min_idle, ids.into_iter().collect())
    }

    /// Starts taking over whatever entries have been pending with their owner for so long; see [`AutoClaim`].
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
    /// let taken = workers.consumer("bob").auto_claim(Duration::from_secs(60)).count(10).run()?;
    /// assert!(taken.entries.is_empty(), "alice has just begun");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn auto_claim(&self, min_idle: Duration) -> AutoClaim {
        AutoClaim::new(self.clone(), min_idle)
    }
}
