//! What calls on groups take and return.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Entry, StreamId};

/// Where a consumer group begins to read.
///
/// # Examples
///
/// ```
/// use streamlog::{Position, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
///
/// orders.add([("order", "o2")])?;
/// let positions = [("all", Position::Start, 2), ("rest", Position::After(id), 1), ("news", Position::End, 0)];
/// for (name, position, lag) in positions {
///     orders.group(name).create(position)?;
///     assert_eq!(orders.group(name).consumer("alice").read().new_entries()?.len(), lag);
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// With the first entry of the stream.
    Start,
    /// With the first entry that is added from now on (`$`).
    End,
    /// With the first entry above this ID.
    After(StreamId),
}

/// How a group is created; see [`Group::create_with`](crate::Group::create_with).
///
/// # Examples
///
/// ```
/// use streamlog::{GroupOptions, Position, Store};
///
/// let store = Store::in_memory();
/// let workers = store.stream("orders")?.group("workers");
/// workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
/// assert!(store.exists("orders")?);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "they do nothing by themselves"]
pub struct GroupOptions {
    pub(crate) position: Position,
    pub(crate) entries_read: Option<u64>,
    pub(crate) create_stream: bool,
}

impl GroupOptions {
    /// A group that begins to read there.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{GroupOptions, Position};
    /// # let store = streamlog::Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # orders.add([("order", "o1")])?;
    ///
    /// orders.group("workers").create_with(GroupOptions::new(Position::End))?; // as `create` does
    /// assert!(orders.group("workers").exists()?);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub const fn new(position: Position) -> Self {
        Self { position, entries_read: None, create_stream: false }
    }

    /// So many entries of the stream were read up to there (`ENTRIESREAD`), which is what [`GroupInfo::lag`] is computed
    /// from; one above the number of entries ever added counts as that. Otherwise that is not known.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{GroupOptions, Position};
    /// # let store = streamlog::Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let workers = orders.group("workers");
    /// workers.create_with(GroupOptions::new(Position::After(id)).entries_read(1))?;
    /// assert_eq!(workers.info()?.entries_read, Some(1));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub const fn entries_read(self, count: u64) -> Self {
        Self { entries_read: Some(count), ..self }
    }

    /// Also create the stream, empty, if it is missing (`MKSTREAM`).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{GroupOptions, Position, Store};
    ///
    /// let orders = Store::in_memory().stream("orders")?;
    /// orders.group("workers").create_with(GroupOptions::new(Position::Start).create_stream())?;
    /// assert!(orders.exists()?);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub const fn create_stream(self) -> Self {
        Self { create_stream: true, ..self }
    }
}

/// What a group reads of a stream.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{GroupReadFrom, Position, Store, StreamId};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
/// # orders.group("workers").create(Position::Start)?;
///
/// let read = |consumer, from| store.read_group("workers", consumer).stream(&orders, from).run();
/// assert_eq!(read("alice", GroupReadFrom::New)?.len(), 1);
/// assert_eq!(read("alice", GroupReadFrom::History(StreamId::MIN))?[0].1[0].id, id, "it is hers");
/// assert!(read("bob", GroupReadFrom::New)?.is_empty());
/// assert_eq!(read("bob", GroupReadFrom::NewOrIdle(Duration::ZERO))?[0].1[0].id, id, "now it is his");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupReadFrom {
    /// Entries that were not delivered to the group yet (`>`).
    New,
    /// First, pending entries that were delivered at least so long ago, whoever owns them, the oldest delivery first;
    /// then new ones (`>` with `CLAIM`).
    NewOrIdle(Duration),
    /// The consumer's own pending entries above this ID.
    History(StreamId),
}

/// An entry that a group was given.
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
///
/// let new = workers.consumer("alice").read().deliveries()?;
/// assert_eq!((new[0].id, new[0].delivery_count), (id, 0));
/// let taken = workers.consumer("bob").read().claim(Duration::ZERO).deliveries()?;
/// assert_eq!((taken[0].id, taken[0].delivery_count), (id, 1));
/// assert!(taken[0].entry.as_ref().is_some_and(|order| order.get("order") == Some(b"o1")));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupEntry {
    /// Its ID.
    pub id: StreamId,
    /// The entry; `None` in a history if it was deleted meanwhile.
    pub entry: Option<Entry>,
    /// How long it had been pending with its last owner, if it was claimed; 0 otherwise. Of a released entry, the time
    /// since 1970.
    pub idle: Duration,
    /// How often it was delivered before, if it was claimed; 0 otherwise.
    pub delivery_count: u64,
}

/// How a consumer gives an entry back.
///
/// # Examples
///
/// ```
/// use streamlog::{GroupOptions, Position, Release, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let workers = orders.group("workers");
/// # workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
///
/// for (order, release, delivery_count) in
///     [("o1", Release::Silent, 0), ("o2", Release::Failed, 1), ("o3", Release::Fatal, i64::MAX as u64)]
/// {
///     let id = orders.add([("order", order)])?;
///     workers.consumer("alice").read().new_entries()?;
///     workers.release([id], release)?;
///     assert_eq!(workers.pending_entries().ids(id..).run()?[0].delivery_count, delivery_count);
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Release {
    /// It was not looked at: the delivery does not count.
    Silent,
    /// Processing it failed: the delivery counts.
    Failed,
    /// It cannot be processed: the delivery count goes to its maximum, by which consumers can tell.
    Fatal,
}

/// How pending entries are released; see [`Group::release_with`](crate::Group::release_with).
///
/// # Examples
///
/// ```
/// use streamlog::{Position, Release, ReleaseOptions, Store};
/// # let orders = Store::in_memory().stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
/// # let workers = orders.group("workers");
/// # workers.create(Position::Start)?;
///
/// // As if it had been delivered twice, in vain.
/// let released = workers.release_with([id], ReleaseOptions::new(Release::Failed).delivery_count(2).force())?;
/// assert_eq!((released, workers.pending()?.count), (1, 1));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "they do nothing by themselves"]
pub struct ReleaseOptions {
    pub(crate) release: Release,
    pub(crate) delivery_count: Option<u64>,
    pub(crate) force: bool,
}

impl ReleaseOptions {
    /// Entries that are given back for this reason.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Release, ReleaseOptions};
    ///
    /// assert_ne!(ReleaseOptions::new(Release::Silent), ReleaseOptions::new(Release::Fatal));
    /// ```
    pub const fn new(release: Release) -> Self {
        Self { release, delivery_count: None, force: false }
    }

    /// Sets the delivery count (`RETRYCOUNT`), whatever the reason does to it; one above `i64::MAX` counts as that.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Release, ReleaseOptions};
    ///
    /// assert_ne!(ReleaseOptions::new(Release::Failed).delivery_count(7), ReleaseOptions::new(Release::Failed));
    /// ```
    pub const fn delivery_count(self, count: u64) -> Self {
        Self { delivery_count: Some(count), ..self }
    }

    /// Entries that are not pending become so (`FORCE`).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Release, ReleaseOptions, Store};
    /// # let orders = Store::in_memory().stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    ///
    /// assert_eq!(workers.release([id], Release::Failed)?, 0);
    /// assert_eq!(workers.release_with([id], ReleaseOptions::new(Release::Failed).force())?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub const fn force(self) -> Self {
        Self { force: true, ..self }
    }
}

/// The pending entries of a group in short.
///
/// # Examples
///
/// ```
/// use streamlog::{GroupOptions, Position, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let workers = orders.group("workers");
/// # workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
///
/// let ids = [orders.add([("order", "o1")])?, orders.add([("order", "o2")])?];
/// workers.consumer("alice").read().new_entries()?;
/// let pending = workers.pending()?;
/// assert_eq!((pending.count, pending.first_id, pending.last_id), (2, Some(ids[0]), Some(ids[1])));
/// assert_eq!(pending.consumers, [(b"alice".to_vec(), 2)]);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingSummary {
    /// How many there are, released ones included.
    pub count: u64,
    /// The lowest ID.
    pub first_id: Option<StreamId>,
    /// The highest ID.
    pub last_id: Option<StreamId>,
    /// How many each consumer has, of those that have any, in ascending order of their names.
    pub consumers: Vec<(Vec<u8>, u64)>,
}

/// An entry that was delivered and is not acknowledged.
///
/// # Examples
///
/// ```
/// use streamlog::{Position, Release, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
/// # let workers = orders.group("workers");
/// # workers.create(Position::Start)?;
/// # let alice = workers.consumer("alice");
/// # alice.read().new_entries()?;
///
/// let pending = workers.pending_entries().run()?.remove(0);
/// assert_eq!((pending.id, pending.delivery_count), (id, 1));
/// assert_eq!(pending.consumer.as_deref(), Some(&b"alice"[..]));
/// workers.release([id], Release::Silent)?;
/// assert_eq!(workers.pending_entries().run()?[0].consumer, None);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingEntry {
    /// Its ID. The entry itself may have been deleted.
    pub id: StreamId,
    /// The consumer it was delivered to last; `None` if it was released.
    pub consumer: Option<Vec<u8>>,
    /// When it was delivered last, in Unix milliseconds; 0 if it was released.
    pub delivery_time_ms: u64,
    /// The time since then; 0 if the clock went back. Of a released entry, the time since 1970.
    pub idle: Duration,
    /// How often it was delivered.
    pub delivery_count: u64,
}

impl PendingEntry {
    /// When it was delivered last; `None` if it was released.
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
    /// let pending = workers.pending_entries().run()?;
    /// assert!(pending[0].delivery_time() <= Some(std::time::SystemTime::now()));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn delivery_time(&self) -> Option<SystemTime> {
        self.consumer.as_ref()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(self.delivery_time_ms))
    }
}

/// The state of a consumer group.
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
/// orders.add([("order", "o2")])?;
/// workers.consumer("alice").read().count(1).new_entries()?;
/// let info = workers.info()?;
/// assert_eq!((info.consumers, info.pending, info.released), (1, 1, 0));
/// assert_eq!((info.last_delivered_id, info.entries_read, info.lag), (id, Some(1), Some(1)));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupInfo {
    /// Its name.
    pub name: Vec<u8>,
    /// How many consumers it has.
    pub consumers: u64,
    /// How many entries are pending, released ones included.
    pub pending: u64,
    /// How many of them were released.
    pub released: u64,
    /// The ID of the entry that was delivered last.
    pub last_delivered_id: StreamId,
    /// How many entries of the stream were read up to there; `None` if that is not known.
    pub entries_read: Option<u64>,
    /// How many entries are yet to be delivered; `None` if that is not known. Negative where the counts were set to what
    /// contradicts the entries.
    pub lag: Option<i64>,
}

/// The state of a consumer.
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
/// workers.consumer("alice").read().new_entries()?;
/// workers.consumer("bob").read().new_entries()?;
/// let [alice, bob] = workers.consumers()?.try_into().expect("there are two");
/// assert_eq!((alice.pending, alice.active_time_ms), (1, Some(alice.seen_time_ms)));
/// assert_eq!((bob.pending, bob.active_time_ms), (0, None), "nothing was left for him");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// Its name.
    pub name: Vec<u8>,
    /// How many entries are pending for it.
    pub pending: u64,
    /// When it was last named by a read or a claim, in Unix milliseconds.
    pub seen_time_ms: u64,
    /// The time since then; 0 if the clock went back.
    pub idle: Duration,
    /// When it was last given an entry, in Unix milliseconds.
    pub active_time_ms: Option<u64>,
    /// The time since then; 0 if the clock went back.
    pub inactive: Option<Duration>,
}

/// All there is to know of a group, as of one moment.
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
/// for group in orders.group_details(10)? {
///     assert_eq!((group.info.name.as_slice(), group.info.pending), (&b"workers"[..], 1));
///     let (alice, hers) = &group.consumers[0];
///     assert_eq!((alice.name.as_slice(), hers), (&b"alice"[..], &group.pending));
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDetail {
    /// The state of the group.
    pub info: GroupInfo,
    /// Its pending entries in the order of their IDs, as many as were asked for.
    pub pending: Vec<PendingEntry>,
    /// Its consumers in ascending order of their names, each with its pending entries, as many as were asked for.
    pub consumers: Vec<(ConsumerInfo, Vec<PendingEntry>)>,
}

/// What an automatic claim did.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{GroupOptions, Position, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let workers = orders.group("workers");
/// # workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
///
/// let ids = [orders.add([("order", "o1")])?, orders.add([("order", "o2")])?];
/// workers.consumer("alice").read().new_entries()?;
/// orders.delete([ids[0]])?;
/// let claimed = workers.consumer("bob").auto_claim(Duration::ZERO).run()?;
/// assert_eq!((claimed.deleted, claimed.ids), (vec![ids[0]], vec![ids[1]]));
/// assert_eq!((claimed.entries[0].id(), claimed.next), (ids[1], None));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AutoClaimed {
    /// Where to go on; `None` if all pending entries were looked at.
    pub next: Option<StreamId>,
    /// The entries that were claimed. Empty if only their IDs were asked for.
    pub entries: Vec<Entry>,
    /// The IDs of the entries that were claimed.
    pub ids: Vec<StreamId>,
    /// Those that were pending and had been deleted: they are not pending any more.
    pub deleted: Vec<StreamId>,
}

/// What a stream remembers of idempotent productions.
///
/// # Examples
///
/// ```
/// use streamlog::{AddOptions, Production, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
///
/// for id in [b"o1", b"o2", b"o1"] {
///     let production = Production::Named { producer: b"shop", id };
///     orders.add_with(AddOptions::new().production(production), [("order", id)])?;
/// }
/// let known = orders.info()?.producers;
/// assert_eq!((known.producers, known.productions, known.duplicates), (1, 2, 1));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducersInfo {
    /// How long a production is remembered.
    pub duration: Duration,
    /// How many of each producer are.
    pub max_len: u64,
    /// How many producers are known.
    pub producers: u64,
    /// How many productions of all of them are remembered.
    pub productions: u64,
    /// How many were ever remembered.
    pub added: u64,
    /// How many duplicates were recognised.
    pub duplicates: u64,
}
