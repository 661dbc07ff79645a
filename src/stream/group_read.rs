//! Reading as a consumer of a group.

mod looking;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use looking::{Looked, Unsettled};

#[cfg(feature = "async")]
use crate::futures::Operation;
use crate::store::Shared;
use crate::stream::consumer::Consumer;
use crate::stream::deliver::{Budget, Measure, Request};
use crate::stream::group_options::{GroupEntry, GroupReadFrom};
use crate::stream::groups::lossy;
use crate::stream::options::Block;
use crate::{Entry, Error, Result, Stream, StreamId};

/// A read of one or more streams as a consumer of a group (`XREADGROUP`).
///
/// The group has the same name in all of the streams. The consumer is created where it is new, and counts as seen, also
/// if nothing is returned.
///
/// # Examples
///
/// ```
/// use streamlog::{GroupOptions, GroupReadFrom, Position, Store};
///
/// let store = Store::in_memory();
/// let (orders, returns) = (store.stream("orders")?, store.stream("returns")?);
/// for stream in [&orders, &returns] {
///     stream.group("workers").create_with(GroupOptions::new(Position::Start).create_stream())?;
/// }
/// returns.add([("order", "o1")])?;
/// let read = store.read_group("workers", "alice");
/// let found = read.stream(&orders, GroupReadFrom::New).stream(&returns, GroupReadFrom::New).count(10).run()?;
/// assert_eq!(found.len(), 1);
/// let (position, entries) = &found[0];
/// assert_eq!((*position, entries.len()), (1, 1));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is read before it is run"]
pub struct GroupRead {
    shared: Arc<Shared>,
    group: Arc<[u8]>,
    consumer: Arc<[u8]>,
    streams: Vec<(Stream, GroupReadFrom)>,
    /// The stream of the consumer that the read was started with.
    own: Option<Stream>,
    claim: Option<Duration>,
    count: u64,
    max_count: u64,
    max_size: u64,
    measure: Measure,
    no_ack: bool,
    block: Block,
}

/// For each stream that has something, its position among the streams, and what it has.
type Found = Vec<(usize, Vec<GroupEntry>)>;

/// The bytes of names and values.
fn size(_: StreamId, entry: Option<&Entry>) -> u64 {
    entry.map_or(0, |entry| entry.fields().map(|(name, value)| (name.len() + value.len()) as u64).sum())
}

/// A limit of 0 is none.
fn limit(limit: u64) -> u64 {
    if limit == 0 { u64::MAX } else { limit }
}

/// What the streams have, one after the other.
fn all(found: Found) -> Vec<GroupEntry> {
    let join = |mut all: Vec<_>, mut more| {
        all.append(&mut more);
        all
    };
    found.into_iter().map(|(_, entries)| entries).reduce(join).unwrap_or_default()
}

impl GroupRead {
    pub(crate) fn new(shared: Arc<Shared>, group: Arc<[u8]>, consumer: Arc<[u8]>) -> Self {
        Self {
            shared,
            group,
            consumer,
            streams: Vec::new(),
            own: None,
            claim: None,
            count: 0,
            max_count: 0,
            max_size: 0,
            measure: size,
            no_ack: false,
            block: Block::No,
        }
    }

    pub(crate) fn of(consumer: &Consumer) -> Self {
        let stream = consumer.group().stream();
        let read = Self::new(stream.shared(), consumer.group().shared_name(), consumer.shared_name());
        Self { own: Some(stream.clone()), ..read }
    }

    /// Also read this stream. A stream may be named several times: then each sees what the one before did.
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
    /// let read = store.read_group("workers", "alice").stream(&orders, GroupReadFrom::New);
    /// assert_eq!(read.run()?[0].1[0].id, id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn stream(mut self, stream: &Stream, from: GroupReadFrom) -> Self {
        self.streams.push((stream.clone(), from));
        self
    }

    /// At most this many entries of each stream; 0 for no limit.
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
    /// assert_eq!(workers.consumer("alice").read().count(1).new_entries()?.len(), 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn count(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    #[cfg(feature = "async")]
    pub(crate) fn count_unless_told(self, count: u64) -> Self {
        if self.count == 0 { self.count(count) } else { self }
    }

    /// At most this many entries of all streams together; 0 for no limit.
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
    /// assert_eq!(workers.consumer("alice").read().max_count(1).new_entries()?.len(), 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn max_count(mut self, count: u64) -> Self {
        self.max_count = count;
        self
    }

    /// Stop before the names and values of all entries exceed this many bytes; one entry is always returned. What is
    /// left out is not delivered. 0 for no limit.
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
    /// let found = workers.consumer("alice").read().max_size(1).new_entries()?;
    /// assert_eq!(found.len(), 1, "one is always returned");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    pub(crate) fn measure(mut self, measure: Measure) -> Self {
        self.measure = measure;
        self
    }

    /// Deliver new entries without making them pending: they are acknowledged with that.
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
    /// workers.consumer("alice").read().no_ack().new_entries()?;
    /// assert_eq!(workers.pending()?.count, 0);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn no_ack(mut self) -> Self {
        self.no_ack = true;
        self
    }

    /// For [`new_entries`](Self::new_entries) and [`deliveries`](Self::deliveries): first take over entries that have been
    /// pending for so long, as [`GroupReadFrom::NewOrIdle`] says. A blocked read also ends when there is one.
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
    /// let found = workers.consumer("bob").read().claim(Duration::ZERO).deliveries()?;
    /// assert_eq!(found[0].id, id, "it was pending for alice");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn claim(mut self, min_idle: Duration) -> Self {
        self.claim = Some(min_idle);
        self
    }

    /// Wait when there is nothing to return.
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
    /// let found = alice.read().block(Duration::from_millis(1)).new_entries()?;
    /// assert!(found.is_empty(), "nothing came in time");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn block(mut self, block: impl Into<Block>) -> Self {
        self.block = block.into();
        self
    }

    /// New entries of the stream with whose consumer the read was started, and after them what others have that were
    /// [named](Self::stream): [`run`](Self::run) tells which entries are of which.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
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
    /// let alice = workers.consumer("alice");
    /// for entry in alice.read().count(10).new_entries()? {
    ///     alice.ack([entry.id()])?;
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn new_entries(self) -> Result<Vec<Entry>> {
        Ok(self.deliveries()?.into_iter().filter_map(|delivery| delivery.entry).collect())
    }

    /// As [`new_entries`](Self::new_entries), with what is known of those that were claimed.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
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
    /// for delivery in workers.consumer("alice").read().count(10).deliveries()? {
    ///     println!("{} for the {}th time", delivery.id, delivery.delivery_count + 1);
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn deliveries(self) -> Result<Vec<GroupEntry>> {
        let from = self.from();
        self.read_own(from)
    }

    /// Puts the stream with whose consumer the read was started before those that were named.
    fn include_own(&mut self, from: GroupReadFrom) {
        if let Some(own) = self.own.take() {
            self.streams.insert(0, (own, from));
        }
    }

    /// What is read of the consumer's own stream.
    fn from(&self) -> GroupReadFrom {
        self.claim.map_or(GroupReadFrom::New, GroupReadFrom::NewOrIdle)
    }

    /// The entries above `after` that are pending for the consumer, in the order of their IDs. Each counts as delivered
    /// again, now. Never waits. What other streams have that were [named](Self::stream) comes after them.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// What a consumer was at when it stopped:
    ///
    /// ```
    /// use streamlog::{Position, Store, StreamId};
    ///
    /// let store = Store::in_memory();
    /// let orders = store.stream("orders")?;
    /// orders.add([("order", "o1")])?;
    /// let workers = orders.group("workers");
    /// workers.create(Position::Start)?;
    /// let alice = workers.consumer("alice");
    /// alice.read().new_entries()?;
    /// for unfinished in alice.read().history(StreamId::MIN)? {
    ///     assert!(unfinished.entry.is_some(), "it was not deleted");
    ///     alice.ack([unfinished.id])?;
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn history(self, after: StreamId) -> Result<Vec<GroupEntry>> {
        self.read_own(GroupReadFrom::History(after))
    }

    fn read_own(mut self, from: GroupReadFrom) -> Result<Vec<GroupEntry>> {
        if self.streams.is_empty()
            && let Some(own) = self.own.take()
        {
            return self.read_alone(own, from);
        }
        self.include_own(from);
        Ok(all(self.run()?))
    }

    /// What [`run`](Self::run) does, for one stream: nearly every read is of one, and there is nothing to keep count of.
    fn read_alone(mut self, stream: Stream, from: GroupReadFrom) -> Result<Vec<GroupEntry>> {
        self.block = self.block.here();
        if !self.goes_first() {
            self.streams.push((stream, from));
            return Ok(all(self.run()?));
        }
        let deadline = self.block.deadline();
        let inner = stream.inner()?.ok_or_else(|| self.not_found(&stream))?;
        let mut unsettled = Unsettled::new(inner);
        let budget = Budget { count: limit(self.count), ..self.budget() };
        let delivered = self.deliver(&stream, &mut unsettled, &self.request(from), budget)?;
        if let Some(damage) = delivered.damage {
            return Err(damage);
        }
        unsettled.settle()?;
        let never_waits = self.block == Block::No || matches!(from, GroupReadFrom::History(_));
        if never_waits || !delivered.entries.is_empty() {
            return Ok(delivered.entries);
        }
        self.streams.push((stream, from));
        Ok(all(self.wait(deadline)?.hand_over()?))
    }

    /// Reads the stream with whose consumer the read was started, if it was, for new entries, and then those that were named;
    /// for each that has something, in this order, its position in it and what it has. Those of which the history was asked
    /// for are always there, unless a limit of the whole read left them out.
    ///
    /// Costs what reading the entries costs, and a record in the journal of each stream. A blocked read costs nothing until
    /// there is something for it, unless it [claims](Self::claim): then it looks again, with a record, whenever an entry may
    /// have been pending for long enough, or could be by now. Those of one group and stream are served in the order in which
    /// they began to wait. What is done to several streams is one change in each.
    ///
    /// # Errors
    ///
    /// [`Error::GroupNotFound`] if one of the streams does not have the group, also if that, or the stream, goes while the
    /// read is blocked. [`Error::Corrupt`] if the first entry to be delivered is damaged; those before damage are delivered,
    /// and [`Group::set_position`](crate::Group::set_position) gets the group past it, or the next read, with
    /// [`OnDamage::Quarantine`](crate::OnDamage::Quarantine). [`Error::Closed`] if the store is
    /// closed meanwhile; [`Error::NameTooLong`] for a new consumer; and as [`Group::acknowledge`](crate::Group::acknowledge).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{GroupReadFrom, Position, Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// let read = store.read_group("workers", "alice").stream(&orders, GroupReadFrom::History(StreamId::MIN));
    /// for (_, pending) in read.run()? {
    ///     assert_eq!(pending[0].id, id);
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn run(mut self) -> Result<Found> {
        self.shared.env().check_process()?;
        self.include_own(self.from());
        self.block = self.block.here();
        let deadline = self.block.deadline();
        let looked = self.look_first()?;
        let is_answer = self.block == Block::No || looked.is_answer();
        // That the consumer was created, too, is durable before anything is answered.
        let found = looked.hand_over()?;
        if is_answer {
            return Ok(found);
        }
        // Whoever is next in the queue does not wait until this is durable.
        self.wait(deadline)?.hand_over()
    }

    /// The look before it waits, or instead of that.
    fn look_first(&self) -> Result<Looked> {
        if self.goes_first() {
            return self.look(|_| true);
        }
        // Looks at nothing: all streams are to have the group before anything is done.
        self.look(|_| false)?;
        // It may have to stand back: from now on it is there, all the same.
        for (stream, _) in &self.streams {
            stream.group(&self.group).consumer(&self.consumer).create()?;
        }
        Ok(Looked::default())
    }

    /// Whether it need not stand back for anybody who waits already.
    fn goes_first(&self) -> bool {
        self.block == Block::No || self.shared.env().waiters.is_empty()
    }

    fn request(&self, from: GroupReadFrom) -> Request<'_> {
        Request { group: &self.group, consumer: &self.consumer, from, no_ack: self.no_ack }
    }

    /// What all streams together may give.
    fn budget(&self) -> Budget {
        Budget {
            count: 0,
            max_count: limit(self.max_count),
            max_size: limit(self.max_size),
            measure: self.measure,
            is_first: true,
        }
    }

    /// As [`run`](Self::run), without holding up a thread.
    ///
    /// Waits in the same queue as threads do. It is the store that looks when its turn comes, not whoever polls the future,
    /// so one that nobody polls keeps nobody else waiting. Dropped while it waits, it leaves the queue with nothing delivered;
    /// dropped when something was just being delivered to it, that is pending for its consumer, to be read again with
    /// [`history`](Self::history) or claimed.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Block, GroupReadFrom, Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # orders.group("workers").create(Position::Start)?;
    ///
    /// let read = store.read_group("workers", "alice").stream(&orders, GroupReadFrom::New).block(Block::Forever);
    /// let found = pollster::block_on(read.run_async())?;
    /// let (position, entries) = &found[0];
    /// assert_eq!((*position, entries[0].id), (0, id));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[cfg(feature = "async")]
    pub fn run_async(self) -> Operation<Found> {
        let mut read = self;
        read.include_own(read.from());
        Operation::new(Arc::clone(&read.shared), read.run_as_task())
    }

    /// As [`new_entries`](Self::new_entries), without holding up a thread; see [`run_async`](Self::run_async).
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Block, Consumer, Position, Store};
    ///
    /// async fn work(alice: Consumer) -> streamlog::Result<u64> {
    ///     let mut done = 0;
    ///     for order in alice.read().count(10).block(Block::Forever).new_entries_async().await? {
    ///         done += alice.ack_async([order.id()]).await?;
    ///     }
    ///     Ok(done)
    /// }
    ///
    /// let orders = Store::in_memory().stream("orders")?;
    /// orders.add([("order", "o1")])?;
    /// let workers = orders.group("workers");
    /// workers.create(Position::Start)?;
    /// assert_eq!(pollster::block_on(work(workers.consumer("alice")))?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[cfg(feature = "async")]
    pub fn new_entries_async(self) -> Operation<Vec<Entry>> {
        let from = self.from();
        self.own_async(from, |found| found.into_iter().filter_map(|delivery| delivery.entry).collect())
    }

    /// As [`deliveries`](Self::deliveries), without holding up a thread; see [`run_async`](Self::run_async).
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
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
    /// # workers.consumer("alice").read().new_entries()?;
    ///
    /// let read = workers.consumer("bob").read().claim(Duration::ZERO);
    /// let taken = pollster::block_on(read.deliveries_async())?;
    /// assert_eq!((taken[0].id, taken[0].delivery_count), (id, 1), "alice had it before");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[cfg(feature = "async")]
    pub fn deliveries_async(self) -> Operation<Vec<GroupEntry>> {
        let from = self.from();
        self.own_async(from, |found| found)
    }

    /// As [`history`](Self::history), without holding up a thread.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// let unfinished = pollster::block_on(alice.read().history_async(StreamId::MIN))?;
    /// assert_eq!(unfinished[0].id, id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[cfg(feature = "async")]
    pub fn history_async(self, after: StreamId) -> Operation<Vec<GroupEntry>> {
        self.own_async(GroupReadFrom::History(after), |found| found)
    }

    #[cfg(feature = "async")]
    fn own_async<T: Send + 'static>(
        self,
        from: GroupReadFrom,
        choose: impl FnOnce(Vec<GroupEntry>) -> T + Send + 'static,
    ) -> Operation<T> {
        let mut read = self;
        read.include_own(from);
        Operation::new(Arc::clone(&read.shared), async move { Ok(choose(all(read.run_as_task().await?))) })
    }

    fn not_found(&self, stream: &Stream) -> Error {
        Error::GroupNotFound { stream: lossy(stream.name()), group: lossy(&self.group) }
    }
}
