//! What is delivered to a consumer, as it comes.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::futures::Operation;
use crate::{Block, Consumer, GroupEntry, GroupRead, Result};

/// So many entries are delivered at a time, unless the read says how many.
const COUNT: u64 = 16;

/// The entries that are delivered to a consumer, one after the other, as a [`Stream`](futures_core::Stream); see
/// [`GroupRead::into_stream`].
///
/// # Examples
///
/// ```
/// use std::future::poll_fn;
/// use std::pin::Pin;
/// use futures_core::Stream;
/// use streamlog::{GroupOptions, Position, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let workers = orders.group("workers");
/// # workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
/// # for order in ["o1", "o2"] {
/// #     orders.add([("order", order)])?;
/// # }
///
/// let mut deliveries = workers.consumer("alice").deliveries();
/// let mut next = || pollster::block_on(poll_fn(|cx| Pin::new(&mut deliveries).poll_next(cx)));
/// next().expect("there are two")?;
/// assert_eq!(workers.pending()?.count, 2, "they are delivered together, and handed over one by one");
/// next().expect("there are two")?;
/// store.close()?;
/// assert!(matches!(next(), Some(Err(streamlog::Error::Closed))));
/// assert!(next().is_none(), "an error is the last item");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[must_use = "nothing is read before it is polled"]
pub struct Deliveries {
    read: GroupRead,
    /// Delivered and not yet handed over.
    ahead: VecDeque<GroupEntry>,
    reading: Option<Operation<Vec<GroupEntry>>>,
    is_over: bool,
}

impl futures_core::Stream for Deliveries {
    type Item = Result<GroupEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(entry) = this.ahead.pop_front() {
                return Poll::Ready(Some(Ok(entry)));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            let reading = this.reading.get_or_insert_with(|| this.read.clone().deliveries_async());
            let Poll::Ready(read) = Pin::new(reading).poll(cx) else { return Poll::Pending };
            this.reading = None;
            match read {
                Ok(entries) => this.ahead = entries.into(),
                Err(error) => {
                    this.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("read", &self.read).field("ahead", &self.ahead.len()).finish_non_exhaustive()
    }
}

impl GroupRead {
    /// What is delivered to the consumer with which the read was started, one entry after the other, as a
    /// [`Stream`](futures_core::Stream) that goes on until there is an error.
    ///
    /// Reads as [`deliveries_async`](Self::deliveries_async) does, waiting as long as it takes, with the limits that were set; as
    /// many entries as [`count`](Self::count) says, 16 unless told otherwise, are delivered at a time and then handed over one by
    /// one. So as many may be pending that the consumer has not seen: count 1 for work that takes long. The next ones are
    /// delivered when the first of them is asked for.
    ///
    /// # Errors
    ///
    /// An error is the last item: those of [`run`](Self::run). When it is dropped, what it has not handed over is pending for
    /// its consumer.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use std::pin::pin;
    /// use futures_core::Stream;
    /// use streamlog::{Position, Store};
    ///
    /// let orders = Store::in_memory().stream("orders")?;
    /// orders.add([("order", "o1")])?;
    /// let workers = orders.group("workers");
    /// workers.create(Position::Start)?;
    /// let alice = workers.consumer("alice");
    /// let mut deliveries = pin!(alice.read().count(1).into_stream());
    /// let order = pollster::block_on(poll_fn(|cx| deliveries.as_mut().poll_next(cx))).expect("it does not end")?;
    /// assert_eq!(alice.ack([order.id])?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn into_stream(self) -> Deliveries {
        let read = self.count_unless_told(COUNT).block(Block::Forever);
        Deliveries { read, ahead: VecDeque::new(), reading: None, is_over: false }
    }
}

impl Consumer {
    /// What is delivered to the consumer from now on: [`into_stream`](GroupRead::into_stream) of its [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// As [`into_stream`](GroupRead::into_stream).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use std::pin::pin;
    /// use futures_core::Stream;
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    ///
    /// let alice = workers.consumer("alice");
    /// let mut deliveries = pin!(alice.deliveries());
    /// let order = pollster::block_on(poll_fn(|cx| deliveries.as_mut().poll_next(cx))).expect("it does not end")?;
    /// assert_eq!(order.id, id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn deliveries(&self) -> Deliveries {
        self.read().into_stream()
    }
}
