//! Ranges of entries.

use std::ops::{Bound, RangeBounds};

use crate::io::process::Process;
use crate::log::View;
use crate::log::cursor::Cursor;
use crate::{Entry, Error, Result, StreamId};

/// The entries between two IDs, oldest first, or newest first from the other end; see [`Stream::range`].
///
/// [`Stream::range`]: crate::Stream::range
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

    /// Reads at one end.
    #[inline]
    fn read(&mut self, read: impl FnOnce(&mut Cursor) -> Option<Result<Entry>>) -> Option<Result<Entry>> {
        if self.cursor.is_some() && !self.process.is_current() {
            self.cursor = None;
            self.error = Some(Error::Forked);
        }
        match &self.error {
            Some(_) => self.error.take().map(Err),
            None => read(self.cursor.as_mut()?),
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
        self.read(Cursor::next_entry)
    }
}

impl DoubleEndedIterator for Range {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.read(Cursor::next_entry_back)
    }
}

impl std::iter::FusedIterator for Range {}
