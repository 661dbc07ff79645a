//! Ranges of entries.

use std::ops::{Bound, RangeBounds};

use crate::io::process::Process;
use crate::log::View;
use crate::log::cursor::Cursor;
use crate::{Entry, EntryRef, Error, Result, StreamId};

/// The entries between two IDs, oldest first, or newest first from the other end; see [`Stream::range`].
///
/// [`Stream::range`]: crate::Stream::range
///
/// # Examples
///
/// ```
/// use streamlog::{NewId, Store, StreamId};
///
/// let readings = Store::in_memory().stream("temperature")?;
/// readings.add_batch((1..=9).map(|ms| (NewId::AutoSequence(ms), [("celsius", "20.5")])))?;
/// let mut range = readings.range(StreamId::new(2, 0)..);
/// let (first, last) = (range.next().expect("there is one")?, range.next_back().expect("there is another")?);
/// assert_eq!((first.id().ms(), last.id().ms()), (2, 9));
/// assert_eq!(range.count(), 6, "what is left between them");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is read before the first entry is asked for"]
pub struct Range {
    cursor: Option<Cursor>,
    /// What kept the stream from being opened.
    error: Option<Error>,
    process: Process,
}

impl Range {
    pub(crate) fn new(view: Result<Option<View>>, ids: &impl RangeBounds<StreamId>) -> Self {
        let process = Process::current();
        match view {
            Ok(view) => {
                let bounds = bounds(ids);
                let cursor = view.zip(bounds).map(|(view, (lower, upper))| Cursor::new(view, lower, upper));
                Self { cursor, error: None, process }
            }
            Err(error) => Self { cursor: None, error: Some(error), process },
        }
    }

    /// What to read with; an error comes once.
    #[inline(always)]
    fn cursor(&mut self) -> Option<Result<&mut Cursor>> {
        if self.cursor.is_some() && !self.process.is_current() {
            self.cursor = None;
            self.error = Some(Error::Forked);
        }
        match &self.error {
            Some(_) => self.error.take().map(Err),
            None => self.cursor.as_mut().map(Ok),
        }
    }

    /// The next entry from the front, borrowed until the next call: as [`next`](Iterator::next), at about three
    /// quarters of its cost.
    ///
    /// An [`Entry`] counts as one more user of the memory that it shares, with atomic operations, as other threads may be
    /// counting at the same time. Who only looks at entries, one after the other, can do without.
    ///
    /// # Errors
    ///
    /// As for the items of the iterator: see [`Stream::range`](crate::Stream::range).
    ///
    /// # Examples
    ///
    /// ```
    /// let store = streamlog::Store::in_memory();
    /// let readings = store.stream("temperature")?;
    /// for celsius in ["20.5", "21.0", "21.5"] {
    ///     readings.add([("celsius", celsius)])?;
    /// }
    /// let (mut range, mut bytes) = (readings.range(..), 0);
    /// while let Some(entry) = range.next_ref() {
    ///     bytes += entry?.fields().map(|(_, value)| value.len()).sum::<usize>();
    /// }
    /// assert_eq!(bytes, 12);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[inline(always)]
    pub fn next_ref(&mut self) -> Option<Result<EntryRef<'_>>> {
        match self.cursor()? {
            Ok(cursor) => cursor.next_ref(),
            Err(error) => Some(Err(error)),
        }
    }

    /// As [`next_ref`](Self::next_ref), from the back.
    ///
    /// # Errors
    ///
    /// As [`next_ref`](Self::next_ref).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let mut range = orders.range(..);
    /// assert_eq!(range.next_back_ref().expect("there is one")?.id(), id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[inline(always)]
    pub fn next_back_ref(&mut self) -> Option<Result<EntryRef<'_>>> {
        match self.cursor()? {
            Ok(cursor) => cursor.next_ref_back(),
            Err(error) => Some(Err(error)),
        }
    }
}

/// The lowest and the highest ID of a range; `None` if there is none in it.
pub fn bounds(ids: &impl RangeBounds<StreamId>) -> Option<(StreamId, StreamId)> {
    let lower = match ids.start_bound() {
        Bound::Included(id) => *id,
        Bound::Excluded(id) => id.next()?,
        Bound::Unbounded => StreamId::MIN,
    };
    let upper = match ids.end_bound() {
        Bound::Included(id) => *id,
        Bound::Excluded(id) => id.previous()?,
        Bound::Unbounded => StreamId::MAX,
    };
    (lower <= upper).then_some((lower, upper))
}

impl Iterator for Range {
    type Item = Result<Entry>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_ref().map(|entry| entry.map(EntryRef::to_entry))
    }
}

impl DoubleEndedIterator for Range {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.next_back_ref().map(|entry| entry.map(EntryRef::to_entry))
    }
}

impl std::iter::FusedIterator for Range {}
