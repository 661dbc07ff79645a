//! Consumer groups as users hold them.

use std::fmt;
use std::sync::Arc;

use crate::stream::consumer::Consumer;
use crate::stream::deliver::is_idle;
use crate::stream::group_info::{consumer_info, describe};
use crate::stream::group_options::{
    ConsumerInfo, GroupInfo, GroupOptions, PendingEntry, PendingSummary, Position, Release, ReleaseOptions,
};
use crate::stream::groups::{InGroup, lossy};
use crate::stream::inner::{Inner, Outcome};
use crate::stream::options::{Deletion, References};
use crate::stream::pending::Pending;
use crate::{Error, Result, Stream, StreamId};

/// A handle to the consumer group of a name, whether or not there is such a group yet.
///
/// The consumers of a group share the entries of a stream: each entry is delivered to one of them, and is pending until it
/// is acknowledged. Groups know nothing of each other. What a group knows is as durable as entries are, and a crash cuts
/// both at the same point.
///
/// # Examples
///
/// ```
/// use streamlog::{Position, Store};
///
/// let store = Store::in_memory();
/// let orders = store.stream("orders")?;
/// orders.add([("order", "o1")])?;
///
/// let workers = orders.group("workers");
/// workers.create(Position::Start)?;
/// let alice = workers.consumer("alice");
/// for entry in alice.read().count(10).new_entries()? {
///     println!("{}", entry.get_str("order").unwrap_or("?"));
///     alice.ack([entry.id()])?;
/// }
/// assert_eq!(workers.pending()?.count, 0);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone)]
pub struct Group {
    stream: Stream,
    name: Arc<[u8]>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({:?} of {:?})", lossy(&self.name), self.stream)
    }
}

impl Group {
    pub(crate) fn new(stream: Stream, name: &[u8]) -> Self {
        Self { stream, name: Arc::from(name) }
    }

    /// The name of the group.
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
    /// assert_eq!(workers.name(), b"workers");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<[u8]> {
        Arc::clone(&self.name)
    }

    /// The stream whose entries it reads.
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
    /// assert_eq!(workers.stream().name(), b"orders");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// A handle to a consumer of the group. The consumer is created by its first read or claim.
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
    /// let alice = workers.consumer("alice"); // her first read makes her known
    /// assert_eq!(alice.read().new_entries()?.len(), 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn consumer(&self, name: impl AsRef<[u8]>) -> Consumer {
        Consumer::new(self.clone(), name.as_ref())
    }

    fn not_found(&self) -> Error {
        Error::GroupNotFound { stream: lossy(self.stream.name()), group: lossy(&self.name) }
    }

    pub(crate) fn on_group<T>(&self, operation: impl Fn(&Inner, &[u8]) -> Result<Outcome<InGroup<T>>>) -> Result<T> {
        let done = self.stream.on_current(|inner| operation(inner, &self.name))?;
        done.flatten().ok_or_else(|| self.not_found())
    }

    /// Looks at the group, without changing anything.
    fn look<T>(&self, look: impl FnOnce(&Inner, &mut crate::group::Group, u64) -> T) -> Result<T> {
        let inner = self.stream.inner()?.ok_or_else(|| self.not_found())?;
        let now = inner.env.now_ms();
        let found =
            inner.with_groups(|journaling| journaling.groups.get_mut(&self.name).map(|group| look(&inner, group, now)));
        found.ok_or_else(|| self.not_found())
    }

    /// Creates the group, which begins to read there.
    ///
    /// Costs a record in the journal; the journal itself, if it is the first group of the stream.
    ///
    /// # Errors
    ///
    /// [`Error::GroupExists`]; [`Error::StreamNotFound`]; [`Error::NameTooLong`]; and as [`acknowledge`](Self::acknowledge).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Error, Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let workers = orders.group("workers");
    /// workers.create(Position::End)?; // only what comes from now on
    /// assert!(matches!(workers.create(Position::End), Err(Error::GroupExists { .. })));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn create(&self, position: Position) -> Result<()> {
        self.create_with(GroupOptions::new(position))
    }

    /// As [`create`](Self::create), with more to say; it may create the stream as well.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); with [`create_stream`](GroupOptions::create_stream) as creating a stream, and not
    /// [`Error::StreamNotFound`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{GroupOptions, Position, Store};
    /// # let store = Store::in_memory();
    ///
    /// let workers = store.stream("orders")?.group("workers");
    /// workers.create_with(GroupOptions::new(Position::Start).entries_read(0).create_stream())?;
    /// assert!(store.exists("orders")?);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn create_with(&self, options: GroupOptions) -> Result<()> {
        let GroupOptions { position, entries_read, create_stream } = options;
        loop {
            let created = self.stream.on_current(|inner| inner.create_group(&self.name, position, entries_read))?;
            match created {
                Some(()) => return Ok(()),
                None if create_stream => {
                    if self.stream.create_with_group(&self.name, position, entries_read)? {
                        return Ok(());
                    }
                }
                None => return Err(Error::stream_not_found(self.stream.name())),
            }
        }
    }

    /// Whether there is such a group.
    ///
    /// # Errors
    ///
    /// As [`Stream::len`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let workers = orders.group("workers");
    /// if !workers.exists()? {
    ///     workers.create(Position::Start)?;
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn exists(&self) -> Result<bool> {
        Ok(self.stream.inner()?.is_some_and(|inner| inner.has_group(&self.name)))
    }

    /// Lets the group go on reading there, forwards or backwards; what is pending stays so.
    ///
    /// Costs one record in the journal; entries are not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::GroupNotFound`], and as [`acknowledge`](Self::acknowledge).
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
    /// workers.acknowledge([id])?;
    /// workers.set_position(Position::Start, None)?; // once more, from the beginning
    /// assert_eq!(alice.read().new_entries()?.len(), 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn set_position(&self, position: Position, entries_read: Option<u64>) -> Result<()> {
        self.on_group(|inner, group| inner.set_position(group, position, entries_read))
    }

    /// Removes the group with its consumers and pending entries; returns whether there was one. Reads of it that are
    /// blocked fail with [`Error::GroupNotFound`].
    ///
    /// Costs one record in the journal.
    ///
    /// # Errors
    ///
    /// As [`acknowledge`](Self::acknowledge).
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
    /// assert!(workers.destroy()?);
    /// assert!(!workers.destroy()?);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn destroy(&self) -> Result<bool> {
        Ok(self.stream.on_current(|inner| inner.destroy_group(&self.name))?.unwrap_or(false))
    }

    /// Acknowledges entries: they are not pending any more, whoever owns them. Returns how many were.
    ///
    /// Costs a step for each, and one record of a few bytes for each in the journal.
    ///
    /// # Errors
    ///
    /// [`Error::GroupNotFound`]; those of opening the stream. [`Error::NoSpace`] if the journal has no room left, and
    /// [`Error::ChangeTooLarge`]: nothing was changed. [`Error::Io`]: it is not known whether it was, and the store is poisoned.
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
    /// assert_eq!(workers.acknowledge([id])?, 1);
    /// assert_eq!(workers.acknowledge([id])?, 0, "it is not pending any more");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn acknowledge(&self, ids: impl IntoIterator<Item = StreamId>) -> Result<u64> {
        let ids: Vec<StreamId> = ids.into_iter().collect();
        self.on_group(|inner, group| inner.acknowledge(group, &ids))
    }

    /// Acknowledges entries and deletes them from the stream, as one change; returns for each what became of it
    /// (`XACKDEL`). Entries that are not pending in this group stay.
    ///
    /// Costs what [`acknowledge`](Self::acknowledge) and [`Stream::delete_with`] cost, in one record of the journal.
    ///
    /// # Errors
    ///
    /// As [`acknowledge`](Self::acknowledge); [`Error::Corrupt`] if what is to be deleted cannot be looked up for damage.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Deletion, Position, References, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// let became = workers.acknowledge_and_delete([id], References::Delete)?;
    /// assert_eq!(became, [Deletion::Deleted]);
    /// assert!(orders.is_empty()?);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn acknowledge_and_delete(
        &self,
        ids: impl IntoIterator<Item = StreamId>,
        references: References,
    ) -> Result<Vec<Deletion>> {
        let ids: Vec<StreamId> = ids.into_iter().collect();
        self.on_group(|inner, group| inner.acknowledge_and_delete(group, &ids, references))
    }

    /// Gives pending entries back, so that the next claim gets them, however short it is after their delivery; returns how
    /// many there were (`XNACK`).
    ///
    /// Costs as [`acknowledge`](Self::acknowledge).
    ///
    /// # Errors
    ///
    /// As [`acknowledge`](Self::acknowledge).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Release, Store};
    ///
    /// let store = Store::in_memory();
    /// let orders = store.stream("orders")?;
    /// let id = orders.add([("order", "o1")])?;
    /// let workers = orders.group("workers");
    /// workers.create(Position::Start)?;
    /// workers.consumer("alice").read().new_entries()?;
    /// workers.release([id], Release::Failed)?;
    /// let taken = workers.consumer("bob").auto_claim(Duration::from_secs(60)).run()?;
    /// assert_eq!(taken.ids, [id]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn release(&self, ids: impl IntoIterator<Item = StreamId>, release: Release) -> Result<u64> {
        self.release_with(ids, ReleaseOptions::new(release))
    }

    /// As [`release`](Self::release), with more to say.
    ///
    /// Costs as [`acknowledge`](Self::acknowledge), and with [`force`](ReleaseOptions::force) a look-up of each entry that is
    /// not pending.
    ///
    /// # Errors
    ///
    /// As [`acknowledge`](Self::acknowledge); with `force` [`Error::Corrupt`] if an entry cannot be looked up for damage.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Release, ReleaseOptions, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// workers.release_with([id], ReleaseOptions::new(Release::Failed).delivery_count(7))?;
    /// assert_eq!(workers.pending_entries().run()?[0].delivery_count, 7);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn release_with(&self, ids: impl IntoIterator<Item = StreamId>, options: ReleaseOptions) -> Result<u64> {
        let ids: Vec<StreamId> = ids.into_iter().collect();
        self.on_group(|inner, group| inner.release(group, &ids, &options))
    }

    /// What is pending, in short.
    ///
    /// Costs a step for each consumer.
    ///
    /// # Errors
    ///
    /// [`Error::GroupNotFound`], and those of opening the stream.
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
    /// let pending = workers.pending()?;
    /// assert_eq!((pending.count, pending.first_id), (1, Some(id)));
    /// assert_eq!(pending.consumers, [(b"alice".to_vec(), 1)]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn pending(&self) -> Result<PendingSummary> {
        self.look(|_, group, _| {
            let count = |consumer: &crate::group::Consumer| {
                let count = group.pending.count_of(consumer.number) as u64;
                (count > 0).then(|| (consumer.name.to_vec(), count))
            };
            PendingSummary {
                count: group.pending.len() as u64,
                first_id: group.pending.first().map(|entry| entry.id),
                last_id: group.pending.last().map(|entry| entry.id),
                consumers: group.consumers().filter_map(count).collect(),
            }
        })
    }

    /// How much memory the list of pending entries takes, in bytes.
    ///
    /// Costs a step for about a hundred entries.
    ///
    /// # Errors
    ///
    /// As [`pending`](Self::pending).
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
    /// assert!(workers.pending_bytes()? > 0);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn pending_bytes(&self) -> Result<u64> {
        self.look(|_, group, _| group.pending.memory() as u64)
    }

    /// Starts a look at the pending entries one by one; see [`Pending`].
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
    /// for pending in workers.pending_entries().consumer("alice").count(10).run()? {
    ///     println!("{} for {:?}, delivered {} times", pending.id, pending.idle, pending.delivery_count);
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn pending_entries(&self) -> Pending {
        Pending::new(self.clone())
    }

    pub(crate) fn list_pending(
        &self,
        ids: (StreamId, StreamId),
        count: usize,
        consumer: Option<&[u8]>,
        min_idle: u64,
    ) -> Result<Vec<PendingEntry>> {
        self.look(|_, group, now| {
            let (from, to) = ids;
            let describe = |entry| describe(group, &entry, now);
            let wanted = |entry: &crate::group::pending::Pending| is_idle(entry, now, min_idle);
            match consumer {
                None => {
                    let entries = group.pending.iter_from(from).take_while(|entry| entry.id <= to);
                    entries.filter(wanted).take(count).map(describe).collect()
                }
                Some(name) => {
                    let Some(consumer) = group.consumer(name) else { return Vec::new() };
                    let entries = group.pending.iter_owner_from(consumer.number, from);
                    let entries = entries.take_while(|entry| entry.id <= to);
                    entries.filter(wanted).take(count).map(describe).collect()
                }
            }
        })
    }

    /// The state of the group.
    ///
    /// Costs as [`Stream::groups`].
    ///
    /// # Errors
    ///
    /// As [`pending`](Self::pending); [`Error::Io`] if it cannot be read where the stream begins.
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
    /// let info = workers.info()?;
    /// assert_eq!((info.pending, info.lag), (1, Some(0)));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn info(&self) -> Result<GroupInfo> {
        let infos = self.stream.groups().map_err(|error| match error {
            Error::StreamNotFound { .. } => self.not_found(),
            error => error,
        })?;
        infos.into_iter().find(|info| *info.name == *self.name).ok_or_else(|| self.not_found())
    }

    /// The consumers, in ascending order of their names.
    ///
    /// Costs a step for each consumer.
    ///
    /// # Errors
    ///
    /// As [`pending`](Self::pending).
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
    /// let consumers = workers.consumers()?;
    /// assert_eq!((consumers[0].name.as_slice(), consumers[0].pending), (&b"alice"[..], 1));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn consumers(&self) -> Result<Vec<ConsumerInfo>> {
        self.look(|_, group, now| group.consumers().map(|consumer| consumer_info(group, consumer, now)).collect())
    }
}
