//! What calls take and return, apart from entries.

use std::time::{Duration, Instant};

use crate::{Entry, NewId, ProducersInfo, StreamId};

/// How far to trim.
///
/// # Examples
///
/// ```
/// use streamlog::{Position, References, Store, Trim};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
/// # let workers = orders.group("workers");
/// # workers.create(Position::Start)?;
///
/// for _ in 0..299 {
///     orders.add([("order", "o2")])?;
/// }
/// let unless_needed = Trim::to_len(50).references(References::Acknowledged);
/// assert_eq!(orders.trim(unless_needed)?, 0, "the group has yet to read");
/// assert_eq!(orders.trim(Trim::to_len(50).approximately().limit(1000))?, 200, "in blocks of 100");
/// assert_eq!(orders.trim(Trim::to_len(50))?, 50);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Trim {
    pub(crate) to: TrimTo,
    pub(crate) approximate: bool,
    pub(crate) limit: Option<u64>,
    pub(crate) references: References,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrimTo {
    Len(u64),
    Before(StreamId),
}

/// What happens to the pending entries of groups that name a removed entry (`KEEPREF`, `DELREF`, `ACKED`).
///
/// # Examples
///
/// ```
/// use streamlog::{GroupOptions, Position, References, Store, Trim};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let workers = orders.group("workers");
/// # workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
///
/// for (references, trimmed, pending) in
///     [(References::Acknowledged, 0, 1), (References::Delete, 1, 0), (References::Keep, 1, 1)]
/// {
///     if orders.is_empty()? {
///         orders.add([("order", "o1")])?;
///     }
///     workers.consumer("alice").read().new_entries()?;
///     assert_eq!(orders.trim(Trim::to_len(0).references(references))?, trimmed);
///     assert_eq!(workers.pending()?.count, pending);
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum References {
    /// They stay and name an entry that is gone.
    #[default]
    Keep,
    /// They are removed as well.
    Delete,
    /// An entry that some group has not yet read and acknowledged is not removed.
    Acknowledged,
}

/// What became of an entry that was to be deleted.
///
/// # Examples
///
/// ```
/// use streamlog::{Deletion, Position, References, Store, StreamId};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
/// # let workers = orders.group("workers");
/// # workers.create(Position::Start)?;
///
/// assert_eq!(orders.delete_with([id], References::Acknowledged)?, [Deletion::Referenced]);
/// workers.consumer("alice").read().no_ack().new_entries()?;
/// let became = orders.delete_with([id, StreamId::new(1, 1)], References::Acknowledged)?;
/// assert_eq!(became, [Deletion::Deleted, Deletion::NotFound]);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deletion {
    /// It was deleted; or it was acknowledged, and had been deleted before.
    Deleted,
    /// There was no such entry; or it was not pending where it was to be acknowledged.
    NotFound,
    /// It stays, as some group has yet to read or acknowledge it ([`References::Acknowledged`]).
    Referenced,
}

impl Trim {
    /// Remove the oldest entries until at most `len` are left.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, Trim};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// orders.add([("order", "o2")])?;
    /// assert_eq!(orders.trim(Trim::to_len(1))?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn to_len(len: u64) -> Self {
        Self { to: TrimTo::Len(len), approximate: false, limit: None, references: References::Keep }
    }
    /// Remove the entries below `id`.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, Trim};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let kept = orders.add([("order", "o2")])?;
    /// assert_eq!(orders.trim(Trim::before(kept))?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn before(id: StreamId) -> Self {
        Self { to: TrimTo::Before(id), approximate: false, limit: None, references: References::Keep }
    }
    /// Stop early where only a part of a block of 100 entries would go (Redis' `~`, with its default block).
    ///
    /// Exact trimming costs no more here; this is for programs that count on what Redis does.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, Trim};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// orders.add([("order", "o2")])?;
    /// assert_eq!(orders.trim(Trim::to_len(1).approximately())?, 0, "less than a whole block");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn approximately(mut self) -> Self {
        self.approximate = true;
        self
    }
    /// With [`approximately`](Self::approximately): remove no more than this; 0 means no limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, Trim};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// for _ in 0..300 {
    ///     orders.add([("order", "o2")])?;
    /// }
    /// assert_eq!(orders.trim(Trim::to_len(0).approximately().limit(100))?, 100);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn limit(mut self, count: u64) -> Self {
        self.limit = Some(count);
        self
    }
    /// What happens to references from groups.
    ///
    /// With [`References::Acknowledged`], and with [`References::Delete`] where anything is pending, a trim reads the IDs of
    /// what it removes or passes over.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, References, Store, Trim};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// assert_eq!(orders.trim(Trim::to_len(0).references(References::Acknowledged))?, 0, "it is pending");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn references(mut self, references: References) -> Self {
        self.references = references;
        self
    }
}

/// What tells a production from every other, so that it can be repeated without adding a second entry.
///
/// # Examples
///
/// ```
/// use streamlog::{AddOptions, Production, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
///
/// let named = AddOptions::new().production(Production::Named { producer: b"shop", id: b"o1" });
/// let by_content = AddOptions::new().production(Production::ByContent { producer: b"shop" });
/// for options in [named, by_content] {
///     let id = orders.add_with(options, [("order", "o1"), ("total", "49.99")])?;
///     assert_eq!(orders.add_with(options, [("total", "49.99"), ("order", "o1")])?, id);
/// }
/// assert_eq!(orders.len()?, 2);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Production<'a> {
    /// By a producer's ID and an ID that the producer gives it, neither of them empty (`IDMP`).
    Named {
        /// Who produces.
        producer: &'a [u8],
        /// What: the same when the same is produced again.
        id: &'a [u8],
    },
    /// By a producer's ID and the fields, whose order does not count (`IDMPAUTO`).
    ByContent {
        /// Who produces.
        producer: &'a [u8],
    },
}

/// How to add an entry.
///
/// # Examples
///
/// ```
/// use streamlog::{AddOptions, NewId, Store, StreamId, Trim};
/// # let store = Store::in_memory();
///
/// let orders = store.stream("orders")?;
/// assert_eq!(orders.add_with(AddOptions::new().no_create(), [("order", "o1")])?, None);
/// let newest_two = AddOptions::new().id(NewId::AutoSequence(5)).trim(Trim::to_len(2));
/// for order in ["o1", "o2", "o3"] {
///     orders.add_with(newest_two, [("order", order)])?;
/// }
/// assert_eq!(orders.range(..).next().expect("there are two")?.id(), StreamId::new(5, 1));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct AddOptions<'a> {
    pub(crate) id: NewId,
    pub(crate) no_create: bool,
    pub(crate) trim: Option<Trim>,
    pub(crate) production: Option<Production<'a>>,
    /// As logged by a server: a production with an ID is that of an entry that was added, one without a repetition.
    pub(crate) replayed: bool,
}

impl<'a> AddOptions<'a> {
    /// An automatic ID, creating the stream if it is missing, without trimming.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{AddOptions, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// assert!(orders.add_with(AddOptions::new(), [("order", "o2")])?.is_some());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }
    /// How the entry gets its ID.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{AddOptions, Store, StreamId};
    /// # let store = Store::in_memory();
    ///
    /// let orders = store.stream("orders")?;
    /// let added = orders.add_with(AddOptions::new().id(StreamId::new(5, 1)), [("order", "o1")])?;
    /// assert_eq!(added, Some(StreamId::new(5, 1)));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn id(mut self, id: impl Into<NewId>) -> Self {
        self.id = id.into();
        self
    }
    /// Add nothing if the stream does not exist.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{AddOptions, Store};
    /// # let store = Store::in_memory();
    ///
    /// let orders = store.stream("orders")?;
    /// assert_eq!(orders.add_with(AddOptions::new().no_create(), [("order", "o1")])?, None);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn no_create(mut self) -> Self {
        self.no_create = true;
        self
    }
    /// Trim after adding, as one atomic change with it.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{AddOptions, Store, Trim};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// orders.add_with(AddOptions::new().trim(Trim::to_len(1)), [("order", "o2")])?;
    /// assert_eq!(orders.len()?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn trim(mut self, trim: Trim) -> Self {
        self.trim = Some(trim);
        self
    }
    /// Add nothing if the same production has been added before, and return the ID of the entry that came of it, whether or
    /// not that still exists. The payload is not compared, and nothing is trimmed then.
    ///
    /// Productions are remembered for a time, and a number of each producer: see
    /// [`Stream::configure_producers`](crate::Stream::configure_producers). The producer's ID and the production's are
    /// stored with the entry. The ID has to be automatic.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{AddOptions, Production, Store};
    ///
    /// let store = Store::in_memory();
    /// let orders = store.stream("orders")?;
    /// let once = AddOptions::new().production(Production::Named { producer: b"shop", id: b"o1" });
    /// let id = orders.add_with(once, [("order", "o1")])?;
    /// assert_eq!(orders.add_with(once, [("order", "o1")])?, id);
    /// assert_eq!(orders.len()?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn production(mut self, production: Production<'a>) -> Self {
        self.production = Some(production);
        self
    }
}

/// What to set with [`Stream::set_id`](crate::Stream::set_id).
///
/// # Examples
///
/// ```
/// use streamlog::{SetId, Store, StreamId};
/// # let store = Store::in_memory();
///
/// // As a stream was elsewhere, whose entries are not to be carried over.
/// let orders = store.create("orders")?;
/// let last = StreamId::new(1_700_000_000_000, 5);
/// orders.set_id(SetId::new(last).entries_added(1_000).max_deleted_id(StreamId::new(1_600_000_000_000, 0)))?;
/// let info = orders.info()?;
/// assert_eq!((info.len, info.entries_added, info.last_generated_id), (0, 1_000, last));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct SetId {
    pub(crate) last_id: StreamId,
    pub(crate) entries_added: Option<u64>,
    pub(crate) max_deleted_id: Option<StreamId>,
}

impl SetId {
    /// The new last ID of the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{SetId, Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// orders.set_id(SetId::new(StreamId::MAX))?;
    /// assert!(orders.add([("order", "o2")]).is_err(), "there are no IDs left");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn new(last_id: StreamId) -> Self {
        Self { last_id, entries_added: None, max_deleted_id: None }
    }
    /// Also set the count of entries ever added.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{SetId, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// orders.set_id(SetId::new(id).entries_added(1_000))?;
    /// assert_eq!(orders.info()?.entries_added, 1_000);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn entries_added(mut self, count: u64) -> Self {
        self.entries_added = Some(count);
        self
    }
    /// Also set the maximum deleted ID.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{SetId, Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// orders.set_id(SetId::new(id).max_deleted_id(StreamId::new(1, 0)))?;
    /// assert_eq!(orders.info()?.max_deleted_entry_id, StreamId::new(1, 0));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn max_deleted_id(mut self, id: StreamId) -> Self {
        self.max_deleted_id = Some(id);
        self
    }
}

/// The state of a stream, all of one moment.
///
/// # Examples
///
/// ```
/// use streamlog::{Position, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
///
/// let last = orders.add([("order", "o2")])?;
/// orders.delete([id])?;
/// orders.group("workers").create(Position::Start)?;
/// let info = orders.info()?;
/// assert_eq!((info.len, info.entries_added, info.groups), (1, 2, 1));
/// assert_eq!((info.max_deleted_entry_id, info.recorded_first_entry_id), (id, last));
/// assert_eq!(info.first_entry, info.last_entry);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// The number of entries.
    pub len: u64,
    /// The last ID that was generated, deleted entries included.
    pub last_generated_id: StreamId,
    /// The highest ID that was deleted (not trimmed); 0-0 if none.
    pub max_deleted_entry_id: StreamId,
    /// How many entries were ever added.
    pub entries_added: u64,
    /// The ID of the oldest entry; 0-0 if the stream is empty.
    pub recorded_first_entry_id: StreamId,
    /// The oldest entry.
    pub first_entry: Option<Entry>,
    /// The newest entry.
    pub last_entry: Option<Entry>,
    /// The number of files that hold the entries.
    pub segments: usize,
    /// The number of consumer groups.
    pub groups: usize,
    /// What is remembered of idempotent productions.
    pub producers: ProducersInfo,
}

/// Where a read begins.
///
/// # Examples
///
/// ```
/// use streamlog::{ReadFrom, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
///
/// let last = orders.add([("order", "o2")])?;
/// for from in [ReadFrom::After(id), ReadFrom::Last] {
///     let found = orders.read(from).run()?;
///     assert_eq!((found[0].1.len(), found[0].1[0].id()), (1, last));
/// }
/// assert!(orders.read(ReadFrom::End).run()?.is_empty(), "nothing was added since");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadFrom {
    /// With the first entry above this ID.
    After(StreamId),
    /// With the first entry that is added from now on (`$`).
    End,
    /// With the newest entry there is, and only that one; if there is none, with the first that is added (`+`).
    Last,
}

/// How long a read waits when there is nothing to return.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{Block, ReadFrom, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
///
/// for block in [Block::No, Block::from(Duration::from_millis(1))] {
///     assert!(orders.read(ReadFrom::After(id)).block(block).run()?.is_empty());
/// }
/// orders.add([("order", "o2")])?;
/// let found = orders.read(ReadFrom::After(id)).block(Block::Forever).run()?;
/// assert_eq!(found[0].1.len(), 1, "there is no need to wait");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Block {
    /// Not at all.
    #[default]
    No,
    /// At most this long.
    For(Duration),
    /// Until there is something, or the store is closed.
    Forever,
}

impl From<Duration> for Block {
    /// At most this long.
    fn from(timeout: Duration) -> Self {
        Self::For(timeout)
    }
}

impl Block {
    /// How long a read may hold up this thread.
    pub(crate) fn here(self) -> Self {
        #[cfg(feature = "async")]
        if super::put_off::is_putting_off() {
            return Self::No;
        }
        self
    }

    /// Until when a read that begins now waits; `None` if that is for ever, as good as which is a time that cannot be
    /// represented.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Self::No => Some(Instant::now()),
            Self::For(timeout) => Instant::now().checked_add(timeout),
            Self::Forever => None,
        }
    }
}
