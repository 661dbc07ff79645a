//! The entries of a stream as they come.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::ops::Bound;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::futures::Operation;
use crate::waiters::Interest;
use crate::{Entry, Error, ReadFrom, Result, Stream, StreamId};

/// So many entries are read at a time at the most, and about so many bytes of names and values.
const CHUNK_MAX: usize = 256;
const CHUNK_BYTES: usize = 256 << 10;

/// The entries of a stream from some ID on, and those that are added later, as a [`Stream`](futures_core::Stream); see
/// [`Stream::follow`](crate::Stream::follow).
///
/// # Examples
///
/// ```
/// use std::future::poll_fn;
/// use std::pin::Pin;
/// use futures_core::Stream;
/// use streamlog::{ReadFrom, Store};
///
/// let store = Store::in_memory();
/// let orders = store.stream("orders")?;
/// let mut follow = orders.follow(ReadFrom::End);
/// let mut next = || pollster::block_on(poll_fn(|cx| Pin::new(&mut follow).poll_next(cx)));
/// let id = orders.add([("order", "o1")])?;
/// assert_eq!(next().expect("it was added")?.id(), id);
/// store.close()?;
/// assert!(matches!(next(), Some(Err(streamlog::Error::Closed))));
/// assert!(next().is_none());
/// # Ok::<(), streamlog::Error>(())
/// ```
#[must_use = "nothing is read before it is polled"]
pub struct Follow {
    stream: Stream,
    /// The ID after which the next chunk begins.
    after: StreamId,
    /// Read and not yet handed over.
    ahead: VecDeque<Result<Entry>>,
    reading: Option<Operation<Chunk>>,
    /// The last ID that was handed over.
    position: StreamId,
    is_over: bool,
}

/// What was read, in part or wholly in place of it errors, and where to go on.
struct Chunk {
    items: VecDeque<Result<Entry>>,
    after: StreamId,
}

impl Follow {
    fn new(stream: Stream, from: ReadFrom) -> Self {
        let start = start(&stream, from);
        let after = *start.as_ref().unwrap_or(&StreamId::MIN);
        let ahead: VecDeque<_> = start.err().map(Err).into_iter().collect();
        Self { stream, after, is_over: !ahead.is_empty(), ahead, reading: None, position: after }
    }

    /// The ID of the last entry that was handed over, or else the one after which it began: to be followed from again.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use std::pin::pin;
    /// use futures_core::Stream;
    /// use streamlog::{ReadFrom, Store, StreamId};
    /// # let orders = Store::in_memory().stream("orders")?;
    /// # let ids = [orders.add([("order", "o1")])?, orders.add([("order", "o2")])?];
    ///
    /// let mut follow = pin!(orders.follow(ReadFrom::After(StreamId::MIN)));
    /// pollster::block_on(poll_fn(|cx| follow.as_mut().poll_next(cx))).expect("it does not end")?;
    /// assert_eq!(follow.position(), ids[0]);
    /// // Later, perhaps in another process.
    /// let mut again = pin!(orders.follow(ReadFrom::After(follow.position())));
    /// let next = pollster::block_on(poll_fn(|cx| again.as_mut().poll_next(cx))).expect("it does not end")?;
    /// assert_eq!(next.id(), ids[1]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn position(&self) -> StreamId {
        self.position
    }
}

/// The ID after which to begin.
fn start(stream: &Stream, from: ReadFrom) -> Result<StreamId> {
    Ok(match from {
        ReadFrom::After(id) => id,
        ReadFrom::End => stream.last_id()?,
        ReadFrom::Last => stream.last()?.and_then(|entry| entry.id().previous()).unwrap_or(StreamId::MIN),
    })
}

impl futures_core::Stream for Follow {
    type Item = Result<Entry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.ahead.pop_front() {
                if let Ok(entry) = &item {
                    this.position = entry.id();
                }
                return Poll::Ready(Some(item));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            let reading = this.reading.get_or_insert_with(|| {
                Operation::new(this.stream.shared(), next_chunk(this.stream.clone(), this.after))
            });
            let Poll::Ready(read) = Pin::new(reading).poll(cx) else { return Poll::Pending };
            this.reading = None;
            match read {
                Ok(chunk) => (this.ahead, this.after) = (chunk.items, chunk.after),
                Err(error) => {
                    this.is_over = true;
                    this.ahead.push_back(Err(error));
                }
            }
        }
    }
}

/// Waits until there is something.
async fn next_chunk(stream: Stream, after: StreamId) -> Result<Chunk> {
    let chunk = read_chunk(&stream, after)?;
    if !chunk.items.is_empty() {
        return Ok(chunk);
    }
    let shared = stream.shared();
    let registration = shared.env().waiters.register([(stream.name(), Interest::Entries { after })]);
    loop {
        shared.env().check_waiting()?;
        let chunk = read_chunk(&stream, after)?;
        if !chunk.items.is_empty() {
            return Ok(chunk);
        }
        registration.wait_async(shared.tasks().queue().sleep_until(None)).await;
    }
}

fn read_chunk(stream: &Stream, mut after: StreamId) -> Result<Chunk> {
    let (mut items, mut bytes) = (VecDeque::new(), 0);
    for entry in stream.range((Bound::Excluded(after), Bound::Unbounded)) {
        match entry {
            Ok(entry) => {
                after = entry.id();
                bytes += entry.fields().map(|(name, value)| name.len() + value.len()).sum::<usize>();
                items.push_back(Ok(entry));
            }
            Err(Error::Corrupt { path, offset, what, ids: Some(lost) }) => {
                // Where it is not known how far the damage goes, it ends where the stream does.
                after = after.max(lost.through.map_or_else(|| stream.last_id(), Ok)?);
                items.push_back(Err(Error::Corrupt { path, offset, what, ids: Some(lost) }));
            }
            Err(error) => return Err(error),
        }
        if items.len() >= CHUNK_MAX || bytes >= CHUNK_BYTES {
            break;
        }
    }
    Ok(Chunk { items, after })
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("stream", &self.stream).field("position", &self.position).finish_non_exhaustive()
    }
}

impl Stream {
    /// The entries from there on, oldest first, and then those that are added, as a [`Stream`](futures_core::Stream) that goes
    /// on until the store is closed.
    ///
    /// Reads up to 256 entries at a time, when they are asked for; costs nothing while there are none. The stream need not exist.
    /// What is deleted or trimmed before it is reached is not seen. Where [`ReadFrom::End`] is, is looked up when this is called,
    /// for which a stream that is not open is opened.
    ///
    /// # Errors
    ///
    /// Where entries are damaged there is an error in their place, and the next item is behind it. Any other error is the last
    /// item: [`Error::Closed`] when the store is closed, those of opening the stream, [`Error::Io`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::future::poll_fn;
    /// use futures_core::Stream;
    /// use streamlog::{ReadFrom, Store, StreamId};
    ///
    /// let orders = Store::in_memory().stream("orders")?;
    /// let id = orders.add([("order", "o1")])?;
    /// let mut entries = pin!(orders.follow(ReadFrom::After(StreamId::MIN)));
    /// let entry = pollster::block_on(poll_fn(|cx| entries.as_mut().poll_next(cx))).expect("it does not end")?;
    /// assert_eq!((entry.id(), entries.position()), (id, id));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn follow(&self, from: ReadFrom) -> Follow {
        Follow::new(self.clone(), from)
    }
}
