//! Streams as users hold them.

mod add;
mod adding;
mod change;
mod claim;
pub(crate) mod commit;
mod consumer;
mod copying;
mod deliver;
mod fetch;
mod group;
mod group_info;
mod group_options;
mod group_read;
mod groups;
pub(crate) mod inner;
pub(crate) mod open;
pub(crate) mod options;
mod pending;
mod produce;
#[cfg(feature = "async")]
pub(crate) mod put_off;
pub(crate) mod quarantine;
mod range;
mod read;
mod recovery;
mod remove;
mod repair;
mod retain;
mod rotate;
mod set_id;
pub(crate) mod superblock;
mod trim;

use std::fmt;
use std::ops::RangeBounds;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use crate::log::cursor::Cursor;
use crate::store::Shared;
use crate::stream::inner::{Inner, Outcome};
use crate::{Entry, Error, OnDamage, Result, StreamId};

#[cfg(feature = "async")]
pub(crate) use adding::{put_all, put_one};
pub use claim::{AutoClaim, Claim};
pub use consumer::Consumer;
pub use group::Group;
pub use group_options::{
    AutoClaimed, ConsumerInfo, GroupDetail, GroupEntry, GroupInfo, GroupOptions, GroupReadFrom, PendingEntry,
    PendingSummary, Position, ProducersInfo, Release, ReleaseOptions,
};
pub use group_read::GroupRead;
pub use options::{AddOptions, Block, Deletion, Production, ReadFrom, References, SetId, StreamInfo, Trim};
pub use pending::Pending;
pub use range::Range;
pub use read::Read;
pub use recovery::RecoveryReport;
pub use repair::Repaired;

/// The most bytes that the names and values of one entry, or of all entries of a batch, may have: 1 GiB, as in Redis.
///
/// # Examples
///
/// ```
/// // An upload whose length is known is refused before it is read.
/// let announced_len: u64 = 5 << 30;
/// assert!(announced_len > streamlog::ENTRY_LEN_MAX);
/// ```
pub const ENTRY_LEN_MAX: u64 = 1 << 30;

/// A handle to the stream of a name, whether or not there is such a stream yet.
///
/// Handles are cheap to clone, and any number of threads may use one. A handle keeps its store open, but not its stream:
/// it always means the stream that has the name at the time, also after that was deleted and created again.
///
/// # Examples
///
/// ```
/// let store = streamlog::Store::in_memory();
/// let readings = store.stream("temperature")?;
/// for celsius in ["20.5", "21.0", "21.5"] {
///     readings.add([("celsius", celsius)])?;
/// }
/// let newest = readings.range(..).rev().next().expect("there are three")?;
/// assert_eq!(newest.get("celsius"), Some(&b"21.5"[..]));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone)]
pub struct Stream {
    handle: Arc<Handle>,
}

/// What all clones of a handle share.
struct Handle {
    shared: Arc<Shared>,
    name: Box<[u8]>,
    current: Current,
}

/// What a handle remembers, so as not to look its name up each time.
#[derive(Default)]
struct Current {
    /// The stream that had the name when it was first used: nearly always the one that has it now.
    first: OnceLock<Weak<Inner>>,
    /// The one that had it when it was last looked up after that.
    later: Mutex<Weak<Inner>>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({:?})", String::from_utf8_lossy(&self.handle.name))
    }
}

impl Stream {
    pub(crate) fn new(shared: Arc<Shared>, name: &[u8]) -> Self {
        Self { handle: Arc::new(Handle { shared, name: name.into(), current: Current::default() }) }
    }

    /// The stream that has the name now; `None` if there is none.
    #[inline]
    pub(crate) fn inner(&self) -> Result<Option<Arc<Inner>>> {
        self.handle.shared.env().check_process()?;
        match self.handle.current.first.get().and_then(Weak::upgrade) {
            Some(inner) if !inner.is_retired() => Ok(Some(inner)),
            _ => self.look_up(),
        }
    }

    #[cold]
    fn look_up(&self) -> Result<Option<Arc<Inner>>> {
        if let Some(inner) = self.handle.current.later.lock().upgrade()
            && !inner.is_retired()
        {
            return Ok(Some(inner));
        }
        let found = self.handle.shared.find(&self.handle.name)?;
        if let Some(inner) = &found
            && let Err(later) = self.handle.current.first.set(Arc::downgrade(inner))
        {
            *self.handle.current.later.lock() = later;
        }
        Ok(found)
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.handle.shared)
    }

    /// Creates the stream with a group; `false` if there is one already.
    pub(crate) fn create_with_group(
        &self,
        group: &[u8],
        position: Position,
        entries_read: Option<u64>,
    ) -> Result<bool> {
        let now_ms = self.handle.shared.env().now_ms();
        self.handle
            .shared
            .create_filled(&self.handle.name, now_ms, |inner| inner.create_group(group, position, entries_read))
    }

    /// A handle to one of the stream's consumer groups, which need not exist yet; see [`Group`].
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
    /// assert!(!workers.exists()?, "a handle creates nothing");
    /// workers.create(Position::Start)?;
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn group(&self, name: impl AsRef<[u8]>) -> Group {
        Group::new(self.clone(), name.as_ref())
    }

    /// The consumer groups, in ascending order of their names.
    ///
    /// Costs a step for each group, and reading where the stream begins if that has changed since it was last asked for.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`]; those of opening the stream; [`Error::Io`] if it cannot be read where it begins. That its first
    /// entry is damaged is no error: groups count by what is before and behind it.
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
    /// let groups = orders.groups()?;
    /// assert_eq!((groups.len(), groups[0].lag), (1, Some(1)));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn groups(&self) -> Result<Vec<GroupInfo>> {
        self.existing()?.group_infos()
    }

    /// The consumer groups with their consumers and, in each list, at most `count` pending entries.
    ///
    /// Costs as [`groups`](Self::groups), and a step for each consumer and pending entry that is returned.
    ///
    /// # Errors
    ///
    /// As [`groups`](Self::groups).
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
    /// let details = orders.group_details(10)?;
    /// assert_eq!(details[0].pending[0].id, id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn group_details(&self, count: usize) -> Result<Vec<GroupDetail>> {
        self.existing()?.group_details(count)
    }

    pub(crate) fn existing(&self) -> Result<Arc<Inner>> {
        self.inner()?.ok_or_else(|| self.not_found())
    }

    pub(crate) fn not_found(&self) -> Error {
        Error::stream_not_found(&self.handle.name)
    }

    /// Does it to the stream that has the name, as often as that changes meanwhile; `None` if there is none.
    pub(crate) fn on_current<T>(&self, operation: impl Fn(&Inner) -> Result<Outcome<T>>) -> Result<Option<T>> {
        let mut relief = Relief::default();
        while let Some(inner) = self.inner()? {
            match operation(&inner) {
                Ok(Outcome::Done(result)) => return Ok(Some(result)),
                Ok(Outcome::Gone) => {}
                Err(error) => relief.after(error, &self.handle.shared)?,
            }
        }
        Ok(None)
    }

    /// What opening the stream found and made of it: whether it had been closed, and what was dropped of what a crash cut
    /// short. Opens the stream, if it is not open.
    ///
    /// A stream that was closed meanwhile because too many were open has been opened again, and cleanly: to know what a crash
    /// has left, ask before anything else is done.
    ///
    /// Costs no reading if the stream is open: the report is kept, and copied.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`]; [`Error::Corrupt`] if it cannot be opened for damage, and [`Error::Io`].
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let store = streamlog::Store::open(dir.path())?;
    /// # store.create("orders")?;
    /// let recovery = store.stream("orders")?.recovery()?;
    /// if recovery.has_dropped() {
    ///     eprintln!("{} bytes of the last append were not complete", recovery.log_bytes_dropped);
    /// }
    /// # assert!(recovery.is_clean);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recovery(&self) -> Result<RecoveryReport> {
        Ok(self.existing()?.recovery.clone())
    }

    /// The last ID; the lowest if there is no such stream.
    pub(crate) fn last_id(&self) -> Result<StreamId> {
        Ok(self.inner()?.map_or(StreamId::MIN, |inner| inner.log.tail().last_id))
    }

    /// The name of the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// assert_eq!(orders.name(), b"orders");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.handle.name
    }

    /// Whether the stream exists; it may be empty. Costs a look at the directory if the stream is not open.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory cannot be looked at.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    ///
    /// let orders = store.stream("orders")?;
    /// assert!(!orders.exists()?);
    /// orders.add([("order", "o1")])?;
    /// assert!(orders.exists()?);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn exists(&self) -> Result<bool> {
        self.handle.shared.exists(&self.handle.name)
    }

    /// The number of entries; 0 if the stream does not exist.
    ///
    /// Costs no reading if the stream is open.
    ///
    /// # Errors
    ///
    /// Those of opening the stream, if it is not open: [`Error::Io`], [`Error::Corrupt`], [`Error::Unsupported`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// assert_eq!(orders.len()?, 1);
    /// assert_eq!(store.stream("payments")?.len()?, 0);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn len(&self) -> Result<u64> {
        Ok(self.inner()?.map_or(0, |inner| inner.log.len(&inner.log.tail())))
    }

    /// Whether there are no entries, or no such stream.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// orders.delete([id])?;
    /// assert!(orders.is_empty()? && orders.exists()?);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn is_empty(&self) -> Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// The entry with this ID.
    ///
    /// Costs half a KiB of the file for an entry that was added alone, found where its ID lets it be expected: less than a
    /// microsecond if that is in memory. Of a batch, up to 4 KiB before it and the whole batch; to tell that there is no such
    /// entry, one block of 4 KiB.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len); [`Error::Corrupt`] also if the entry, or one that may be it, is damaged.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let entry = orders.get(id)?.expect("it was added");
    /// assert_eq!(entry.get("order"), Some(&b"o1"[..]));
    /// assert!(orders.get(StreamId::new(1, 1))?.is_none());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn get(&self, id: StreamId) -> Result<Option<Entry>> {
        self.inner()?.map_or(Ok(None), |inner| inner.log.get(id))
    }

    /// The entries between two IDs, as they are at the time of the call; from either end.
    ///
    /// A stream that does not exist has none. Nothing is read before the first entry is asked for; from then on chunks
    /// of up to 64 KiB are read at a time. What is added later is not seen; what is deleted later may or may not be, and
    /// so may the entries of a stream that is deleted, replaced or renamed later. Writers do not wait for it, nor it for them.
    ///
    /// # Errors
    ///
    /// Items are errors if the stream cannot be opened ([`Error::Io`], [`Error::Corrupt`], [`Error::Unsupported`]), or
    /// where entries are damaged: then the next item is behind the damage.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{AddOptions, Store, StreamId};
    ///
    /// let store = Store::in_memory();
    /// let readings = store.stream("temperature")?;
    /// for ms in 1..=9 {
    ///     readings.add_with(AddOptions::new().id(StreamId::new(ms, 0)), [("celsius", "20.5")])?;
    /// }
    /// let (from, to) = (StreamId::new(3, 0), StreamId::new(6, 0));
    /// assert_eq!(readings.range(from..to).count(), 3);
    /// let latest: Vec<_> = readings.range(..=to).rev().take(2).map(|e| Ok(e?.id().ms())).collect::<streamlog::Result<_>>()?;
    /// assert_eq!(latest, [6, 5]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn range(&self, ids: impl RangeBounds<StreamId>) -> Range {
        Range::new(self.inner().map(|inner| inner.map(|inner| inner.view())), &ids)
    }

    /// The oldest entry.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// assert_eq!(orders.first()?.map(|entry| entry.id()), Some(id));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn first(&self) -> Result<Option<Entry>> {
        self.range(..).next().transpose()
    }

    /// The newest entry.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let last = orders.add([("order", "o2")])?;
    /// assert_eq!(orders.last()?.map(|entry| entry.id()), Some(last));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn last(&self) -> Result<Option<Entry>> {
        self.range(..).next_back().transpose()
    }

    /// Starts a read of this stream; see [`Read`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{ReadFrom, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let next = orders.add([("order", "o2")])?;
    /// let news = orders.read(ReadFrom::After(id)).count(10).run()?;
    /// assert_eq!(news[0].1[0].id(), next);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn read(&self, from: ReadFrom) -> Read {
        Read::new(Arc::clone(&self.handle.shared)).stream(self, from)
    }

    /// Removes the oldest entries; returns how many went. 0 if the stream does not exist.
    ///
    /// Costs one record in the journal, and one removed file for each segment that holds nothing any more.
    ///
    /// # Errors
    ///
    /// Those of opening the stream. [`Error::Corrupt`] if it cannot be told for damage what is to go, unless the stream goes on
    /// with its damage ([`OnDamage::Quarantine`]): nothing was changed. [`Error::NoSpace`] if the journal has no room left, and
    /// [`Error::Io`]; what is left is valid, but after [`Error::Io`] it is not known whether the trim was done, and the store is
    /// poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, Trim};
    ///
    /// let store = Store::in_memory();
    /// let readings = store.stream("temperature")?;
    /// for celsius in ["20.5", "21.0", "21.5"] {
    ///     readings.add([("celsius", celsius)])?;
    /// }
    /// assert_eq!(readings.trim(Trim::to_len(2))?, 1);
    /// assert_eq!(readings.len()?, 2);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn trim(&self, trim: Trim) -> Result<u64> {
        Ok(self.on_current(|inner| inner.trim(&trim))?.unwrap_or(0))
    }

    /// Deletes the entries with these IDs, all at once; returns how many there were.
    ///
    /// Costs a look-up for each, and one record in the journal. The bytes go when nothing in their segment is alive.
    /// Where the stream goes on with its damage, an entry that is lost is not found.
    ///
    /// # Errors
    ///
    /// As [`trim`](Self::trim); [`Error::TooManyDeleted`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// assert_eq!(orders.delete([id])?, 1);
    /// assert_eq!(orders.delete([id])?, 0);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn delete(&self, ids: impl IntoIterator<Item = StreamId>) -> Result<u64> {
        let ids: Vec<StreamId> = ids.into_iter().collect();
        Ok(self.on_current(|inner| inner.delete(&ids))?.unwrap_or(0))
    }

    /// Deletes the entries with these IDs with regard to the groups, all at once; returns for each what became of it
    /// (`XDELEX`). If the stream does not exist, none of them was found.
    ///
    /// Costs as [`delete`](Self::delete), and a look into the pending entries of each group.
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Deletion, Position, References, Store};
    ///
    /// let store = Store::in_memory();
    /// let orders = store.stream("orders")?;
    /// let id = orders.add([("order", "o1")])?;
    /// orders.group("workers").create(Position::Start)?;
    /// assert_eq!(orders.delete_with([id], References::Acknowledged)?, [Deletion::Referenced]);
    /// assert_eq!(orders.delete_with([id], References::Delete)?, [Deletion::Deleted]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn delete_with(
        &self,
        ids: impl IntoIterator<Item = StreamId>,
        references: References,
    ) -> Result<Vec<Deletion>> {
        let ids: Vec<StreamId> = ids.into_iter().collect();
        let deleted = self.on_current(|inner| inner.delete_with(&ids, references))?;
        Ok(deleted.unwrap_or_else(|| vec![Deletion::NotFound; ids.len()]))
    }

    /// Sets the last ID, and what else is asked for.
    ///
    /// Where a crash interrupts setting it back, the rest may have been set while the last ID is where it was.
    ///
    /// Costs one record in the journal; setting it back also begins a new segment.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`]; [`Error::SetId`] if it contradicts what the stream holds; and as [`trim`](Self::trim).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{SetId, Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// orders.set_id(SetId::new(StreamId::new(2_000_000_000_000, 0)))?;
    /// let next = orders.add([("order", "o2")])?;
    /// assert_eq!(next, StreamId::new(2_000_000_000_000, 1));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn set_id(&self, set: SetId) -> Result<()> {
        self.on_current(|inner| inner.set_id(&set))?.ok_or_else(|| self.not_found())
    }

    /// The state of the stream, all of one moment.
    ///
    /// Costs reading the first and the last entry.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`], and as [`get`](Self::get) for the first and last entry; where a stream goes on with its
    /// damage ([`OnDamage::Quarantine`]), those that can be read count.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let info = orders.info()?;
    /// assert_eq!((info.len, info.entries_added, info.last_generated_id), (1, 1, id));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn info(&self) -> Result<StreamInfo> {
        let inner = self.existing()?;
        let (tail, max_deleted_entry_id, groups, producers) = inner.at_once(|tail, journaling| {
            let max_deleted_id = journaling.state.max_deleted_id;
            (tail, max_deleted_id, journaling.groups.len(), inner.producers_info(journaling))
        });
        let view = inner.log.view_to(tail);
        let segments = view.segments();
        let end = |back: bool| {
            let mut cursor = Cursor::new(view.clone(), StreamId::MIN, StreamId::MAX);
            loop {
                match if back { cursor.next_entry_back() } else { cursor.next_entry() } {
                    Some(Err(Error::Corrupt { .. })) if inner.env.on_damage == OnDamage::Quarantine => {}
                    found => return found.transpose(),
                }
            }
        };
        let (first_entry, last_entry) = (end(false)?, end(true)?);
        Ok(StreamInfo {
            len: inner.log.len(&tail),
            last_generated_id: tail.last_id,
            max_deleted_entry_id,
            entries_added: tail.entries_added,
            recorded_first_entry_id: first_entry.as_ref().map_or(StreamId::MIN, Entry::id),
            first_entry,
            last_entry,
            segments,
            groups,
            producers,
        })
    }
}

/// Whether streams that nobody is using have been closed for an operation that found no descriptor left.
#[derive(Default)]
struct Relief {
    was_given: bool,
}

impl Relief {
    /// To be called without a lock. The operation is worth another try unless this returns the error.
    #[cold]
    fn after(&mut self, error: Error, shared: &Shared) -> Result<()> {
        let is_new = !std::mem::replace(&mut self.was_given, true);
        let helps = is_new && matches!(error, Error::NoDescriptors { .. }) && shared.env().check_writable().is_ok();
        if helps && shared.close_all_idle() { Ok(()) } else { Err(error) }
    }
}
