//! Entries as they come.

use std::ops::Bound;

use crate::follow::pace::Pace;
use crate::format::Identity;
use crate::{Entry, Error, Range, ReadFrom, ReadOnlyStream, Result, StreamId};

/// The entries of a stream and then those that come, each once and in order; see [`ReadOnlyStream::follow`].
///
/// As an iterator it waits for the next entry, and never ends. [`ready`](Self::ready) does not wait.
///
/// Entries that are trimmed or deleted before it has come to them are left out. A stream that is deleted and created again is
/// followed from its beginning; so is one that did not exist yet.
///
/// Items are errors where entries are damaged: then the next item is behind the damage. Another error may pass: the next item
/// is tried anew.
///
/// # Examples
///
/// ```
/// use streamlog::{ReadFrom, Store, StreamId};
///
/// # let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path())?;
/// let (orders, reader) = (store.stream("orders")?, Store::open_read_only(dir.path())?);
/// let mut follow = reader.stream("orders")?.follow(ReadFrom::After(StreamId::MIN))?;
/// let id = orders.add([("order", "o1")])?;
/// assert_eq!(follow.next().expect("it never ends")?.id(), id);
/// assert!(follow.ready().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Follow {
    stream: ReadOnlyStream,
    after: StreamId,
    /// Which stream that is an ID of, and the ordinal up to which there is nothing new.
    seen: Option<(Identity, u64)>,
    range: Option<Range>,
    pace: Pace,
}

impl Follow {
    pub(crate) fn new(stream: ReadOnlyStream, from: ReadFrom) -> Result<Self> {
        let inner = stream.now()?.inner()?;
        let seen = inner.as_ref().map(|inner| (inner.log.incarnation, 0));
        let after = match (from, &inner) {
            (_, None) => StreamId::MIN,
            (ReadFrom::After(id), _) => id,
            (ReadFrom::End, Some(inner)) => inner.log.tail().last_id,
            (ReadFrom::Last, _) => {
                let last = stream.as_stream().last()?;
                last.and_then(|last| last.id().previous()).unwrap_or(StreamId::MIN)
            }
        };
        Ok(Self { stream, after, seen, range: None, pace: Pace::default() })
    }

    /// The stream that is followed.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{ReadFrom, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// # store.stream("orders")?.add([("order", "o1")])?;
    /// let orders = Store::open_read_only(dir.path())?.stream("orders")?;
    /// let mut follow = orders.follow(ReadFrom::Last)?;
    /// follow.next().expect("it never ends")?;
    /// assert_eq!((follow.stream().name(), follow.stream().len()?), (orders.name(), 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stream(&self) -> &ReadOnlyStream {
        &self.stream
    }

    /// The next entry, if it is there already.
    ///
    /// Costs what the next entry of a [`Range`] costs; where that is at its end, some fifteen system calls, and reading what is
    /// new.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] where entries are damaged: the next call gives what is behind. Those of opening the stream, and
    /// [`Error::Io`]: the next call tries again.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{ReadFrom, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// # let orders = store.stream("orders")?;
    /// let mut follow = Store::open_read_only(dir.path())?.stream("orders")?.follow(ReadFrom::End)?;
    /// assert!(follow.ready().is_none());
    /// let ids = [orders.add([("order", "o1")])?, orders.add([("order", "o2")])?];
    /// for id in ids {
    ///     assert_eq!(follow.ready().expect("it is there")?.id(), id);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ready(&mut self) -> Option<Result<Entry>> {
        loop {
            if let Some(item) = self.range.as_mut().and_then(Iterator::next) {
                match &item {
                    Ok(entry) => self.after = entry.id(),
                    // It is told once, also if nothing follows it yet.
                    Err(Error::Corrupt { ids, .. }) => {
                        let through = ids.and_then(|ids| ids.through);
                        self.after = through.map_or(self.after, |through| self.after.max(through));
                    }
                    Err(_) => self.look_again(),
                }
                return Some(item);
            }
            self.range = None;
            match self.look() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// There is something although it was not found.
    fn look_again(&mut self) {
        if let Some((_, next_ordinal)) = &mut self.seen {
            *next_ordinal = 0;
        }
    }

    /// Whether there may be more.
    fn look(&mut self) -> Result<bool> {
        let Some(inner) = self.stream.now()?.inner()? else { return Ok(false) };
        let view = inner.view();
        let now = (inner.log.incarnation, view.tail.next_ordinal);
        let before = self.seen.replace(now);
        if before == Some(now) {
            return Ok(false);
        }
        if before.is_none_or(|(incarnation, _)| incarnation != inner.log.incarnation) {
            self.after = StreamId::MIN;
        }
        self.range = Some(Range::new(Ok(Some(view)), &(Bound::Excluded(self.after), Bound::Unbounded)));
        Ok(true)
    }
}

impl Iterator for Follow {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.ready() {
                self.pace.found();
                return Some(item);
            }
            self.pace.wait(None);
        }
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use crate::read_only::ReadOnlyStore;
    use crate::sim::{Call, Failure, Op};
    use crate::{Durability, Error, Options, ReadFrom, ReadOnlyStream, Store, StreamId};

    #[test]
    fn what_could_not_be_read_is_read_when_it_can_be() {
        let (directory, fails) = (tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(false)));
        let tell = {
            let fails = Arc::clone(&fails);
            move |call: &Call| (call.op == Op::Read && fails.load(Ordering::SeqCst)).then_some(Failure::Os(5))
        };
        let store = Store::open_observed(Options::new().durability(Durability::Os), directory.path(), tell).unwrap();
        let stream = store.stream("a").unwrap();
        let ids: Vec<_> = (0..5).map(|n: u64| stream.add([("n", n.to_string())]).unwrap()).collect();
        // As if another process wrote it.
        let following = ReadOnlyStream::new(ReadOnlyStore { store }, stream);
        let mut follow = following.follow(ReadFrom::After(StreamId::MIN)).unwrap();
        fails.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            assert!(matches!(follow.ready(), Some(Err(Error::Io { .. }))));
        }
        fails.store(false, Ordering::SeqCst);
        let found: Vec<_> = std::iter::from_fn(|| follow.ready()).map(|entry| entry.unwrap().id()).collect();
        assert_eq!(found, ids);
    }
}
