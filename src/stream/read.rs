//! Reading what comes after an ID, from one stream or several, now or when it comes.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use crate::follow::pace::Pace;
use crate::store::Shared;
use crate::stream::options::{Block, ReadFrom};
use crate::waiters::{Interest, Registration};
use crate::{Entry, NAME_LEN_MAX, Result, Stream, StreamId};

/// A read of one or several streams; see [`Stream::read`](crate::Stream::read) and [`Store::read`](crate::Store::read).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{ReadFrom, Store, StreamId};
///
/// let store = Store::in_memory();
/// let (orders, payments) = (store.stream("orders")?, store.stream("payments")?);
/// payments.add([("payment", "p1")])?;
/// let found = store
///     .read()
///     .stream(&orders, ReadFrom::After(StreamId::MIN))
///     .stream(&payments, ReadFrom::After(StreamId::MIN))
///     .count(10)
///     .block(Duration::from_secs(1))
///     .run()?;
/// let (position, entries) = &found[0];
/// assert_eq!((*position, entries.len()), (1, 1));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `run`"]
pub struct Read {
    shared: Arc<Shared>,
    streams: Vec<(Stream, ReadFrom)>,
    count: u64,
    max_count: u64,
    max_size: u64,
    block: Block,
}

/// No stream can have this name.
const NO_STREAM: &[u8] = &[0; NAME_LEN_MAX + 1];

impl Read {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, streams: Vec::new(), count: 0, max_count: 0, max_size: 0, block: Block::No }
    }

    /// Also read `stream`, which need not exist. A stream that is named twice is read twice.
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
    /// let read = orders.read(ReadFrom::After(StreamId::MIN)).stream(&payments, ReadFrom::End);
    /// assert_eq!(read.run()?.len(), 1, "only the first has something");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn stream(mut self, stream: &Stream, from: ReadFrom) -> Self {
        self.streams.push((stream.clone(), from));
        self
    }

    /// At most this many entries of each stream; 0 for no limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{ReadFrom, Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// orders.add([("order", "o2")])?;
    /// let found = orders.read(ReadFrom::After(StreamId::MIN)).count(1).run()?;
    /// assert_eq!(found[0].1.len(), 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn count(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// At most this many entries of all streams together; 0 for no limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{ReadFrom, Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let from = ReadFrom::After(StreamId::MIN);
    /// let found = orders.read(from).stream(&orders, from).max_count(1).run()?;
    /// assert_eq!(found.len(), 1, "nothing is left for the second");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn max_count(mut self, count: u64) -> Self {
        self.max_count = count;
        self
    }

    /// Stop before the names and values of all entries exceed this many bytes; one entry is always returned. 0 for no
    /// limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{ReadFrom, Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// orders.add([("order", "o2")])?;
    /// let found = orders.read(ReadFrom::After(StreamId::MIN)).max_size(1).run()?;
    /// assert_eq!(found[0].1.len(), 1, "one is always returned");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// Wait when there is nothing to return.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{ReadFrom, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let found = orders.read(ReadFrom::End).block(Duration::from_millis(1)).run()?;
    /// assert!(found.is_empty(), "nothing came in time");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn block(mut self, block: impl Into<Block>) -> Self {
        self.block = block.into();
        self
    }

    /// For each stream that has something, in the order in which they were named, its position in that order and its
    /// entries. Empty if there is nothing, or nothing came in time.
    ///
    /// A blocked read costs nothing until an entry arrives that is for it.
    ///
    /// # Errors
    ///
    /// Those of opening a stream, [`Error::Corrupt`](crate::Error::Corrupt) where entries are damaged, and
    /// [`Error::Closed`](crate::Error::Closed) if the store is closed meanwhile. Where it would have to wait,
    /// [`Error::Poisoned`](crate::Error::Poisoned) after a failed write or sync: nothing more will come.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{ReadFrom, Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// for (stream, entries) in orders.read(ReadFrom::After(StreamId::MIN)).count(100).run()? {
    ///     assert_eq!((stream, entries[0].id()), (0, id));
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn run(self) -> Result<Vec<(usize, Vec<Entry>)>> {
        self.shared.env().check_process()?;
        let from = self.resolve()?;
        let found = self.look(&from)?;
        if !found.is_empty() || self.block.here() == Block::No {
            return Ok(found);
        }
        let deadline = self.block.deadline();
        if self.shared.watch().is_some() {
            return self.poll(&from, deadline);
        }
        let registration = self.register(&from);
        loop {
            // Between the first look and the registration something may have come.
            self.shared.env().check_waiting()?;
            let found = self.look(&from)?;
            if !found.is_empty() || !registration.wait(deadline) {
                return Ok(found);
            }
        }
    }

    /// Where to begin in each stream, as it is now.
    fn resolve(&self) -> Result<Vec<From>> {
        self.catch_up()?;
        self.streams.iter().map(|(stream, from)| resolve(stream, *from)).collect()
    }

    /// Takes in what another process has done, where the streams are those of one.
    fn catch_up(&self) -> Result<()> {
        match self.shared.watch() {
            Some(_) => self.streams.iter().try_for_each(|(stream, _)| self.shared.catch_up(stream.name())),
            None => Ok(()),
        }
    }

    /// As [`run`](Self::run), without holding up a thread.
    ///
    /// Where [`ReadFrom::End`] is, is looked up when this is called, for which a stream that is not open is opened. A future
    /// that is dropped leaves nothing behind; the same entries can be read again.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Block, ReadFrom, Store};
    ///
    /// async fn newest(orders: &streamlog::Stream) -> streamlog::Result<usize> {
    ///     let read = orders.read(ReadFrom::End).block(Block::Forever).run_async();
    ///     orders.add_async([("order", "o1")]).await?;
    ///     Ok(read.await?.len())
    /// }
    ///
    /// let orders = Store::in_memory().stream("orders")?;
    /// assert_eq!(pollster::block_on(newest(&orders))?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[cfg(feature = "async")]
    pub fn run_async(self) -> crate::futures::Operation<Vec<(usize, Vec<Entry>)>> {
        let from = self.resolve();
        crate::futures::Operation::new(Arc::clone(&self.shared), async move { self.run_from(from?).await })
    }

    #[cfg(feature = "async")]
    async fn run_from(self, from: Vec<From>) -> Result<Vec<(usize, Vec<Entry>)>> {
        let deadline = self.block.deadline();
        self.catch_up()?;
        let found = self.look(&from)?;
        if !found.is_empty() || self.block == Block::No {
            return Ok(found);
        }
        let queue = self.shared.tasks().queue();
        if self.shared.watch().is_some() {
            return self.poll_async(&from, deadline).await;
        }
        let registration = self.register(&from);
        loop {
            self.shared.env().check_waiting()?;
            let found = self.look(&from)?;
            if !found.is_empty() || !registration.wait_async(queue.sleep_until(deadline)).await {
                return Ok(found);
            }
        }
    }

    /// As [`poll`](Self::poll), without holding up a thread.
    #[cfg(feature = "async")]
    async fn poll_async(&self, from: &[From], deadline: Option<Instant>) -> Result<Vec<(usize, Vec<Entry>)>> {
        let mut pace = Pace::default();
        loop {
            let until = pace.next(deadline);
            if let Some(until) = until {
                self.shared.tasks().queue().sleep_until(Some(until)).await;
            }
            self.shared.env().check_open()?;
            self.catch_up()?;
            let found = self.look(from)?;
            if !found.is_empty() || until.is_none() {
                return Ok(found);
            }
        }
    }

    fn register(&self, from: &[From]) -> Registration<'_> {
        let names = self.streams.iter().map(|(stream, _)| stream.name());
        let interests = from.iter().map(|from| match from {
            From::After(id) => Interest::Entries { after: *id },
            From::Last => Interest::Entries { after: StreamId::MIN },
        });
        // Who waits for nothing is woken when the store is closed, too.
        let nothing = self.streams.is_empty().then_some((NO_STREAM, Interest::Entries { after: StreamId::MAX }));
        self.shared.env().waiters.register(names.zip(interests).chain(nothing))
    }

    /// Looks again and again: another process does not say when there is something.
    fn poll(&self, from: &[From], deadline: Option<Instant>) -> Result<Vec<(usize, Vec<Entry>)>> {
        let mut pace = Pace::default();
        loop {
            let goes_on = pace.wait(deadline);
            self.shared.env().check_open()?;
            self.catch_up()?;
            let found = self.look(from)?;
            if !found.is_empty() || !goes_on {
                return Ok(found);
            }
        }
    }

    fn look(&self, from: &[From]) -> Result<Vec<(usize, Vec<Entry>)>> {
        let limit = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        let (mut count, mut size) = (limit(self.max_count), limit(self.max_size));
        let mut found = Vec::new();
        for (position, ((stream, _), from)) in self.streams.iter().zip(from).enumerate() {
            let mut entries = Vec::new();
            let each = limit(self.count).min(count);
            let mut range = match from {
                From::After(id) => stream.range((Bound::Excluded(*id), Bound::Unbounded)),
                From::Last => stream.range(last_only(stream)?),
            };
            while (entries.len() as u64) < each
                && let Some(entry) = range.next()
            {
                let entry = entry?;
                let len = entry.fields().map(|(name, value)| (name.len() + value.len()) as u64).sum();
                let is_first = found.is_empty() && entries.is_empty();
                let Some(left) = size.checked_sub(len).or(is_first.then_some(0)) else { break };
                size = left;
                entries.push(entry);
            }
            count -= entries.len() as u64;
            if !entries.is_empty() {
                found.push((position, entries));
            }
        }
        Ok(found)
    }
}

/// Where a read begins, with the end of the stream as it was when the read began.
#[derive(Clone, Copy, Debug)]
enum From {
    After(StreamId),
    Last,
}

fn resolve(stream: &Stream, from: ReadFrom) -> Result<From> {
    Ok(match from {
        ReadFrom::After(id) => From::After(id),
        ReadFrom::End => From::After(stream.last_id()?),
        ReadFrom::Last => From::Last,
    })
}

/// The bounds that hold just the newest entry; if there is none, everything.
fn last_only(stream: &Stream) -> Result<(Bound<StreamId>, Bound<StreamId>)> {
    let last = stream.last()?;
    let bound = last.map_or(Bound::Unbounded, |entry| Bound::Included(entry.id()));
    Ok((bound, bound))
}
