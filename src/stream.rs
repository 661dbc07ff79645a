//! One stream: its log and its groups, and the handle users hold.

use std::ops::RangeBounds;
use std::time::Duration;

use crate::{Entry, NewId, Result, SetIdConflict, StreamId};

/// A handle to the stream of a name, whether or not there is such a stream yet.
#[derive(Clone, Debug)]
pub struct Stream {
    _private: (),
}

/// How far to trim.
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

impl Trim {
    /// Remove the oldest entries until at most `len` are left.
    pub fn to_len(len: u64) -> Self {
        Self { to: TrimTo::Len(len), approximate: false, limit: None, references: References::Keep }
    }
    /// Remove the entries below `id`.
    pub fn before(id: StreamId) -> Self {
        Self { to: TrimTo::Before(id), approximate: false, limit: None, references: References::Keep }
    }
    /// Remove only in blocks of 100 entries, as Redis does by default with `~`.
    pub fn approximately(mut self) -> Self {
        self.approximate = true;
        self
    }
    /// With [`approximately`](Self::approximately): remove no more than this; 0 means no limit.
    pub fn limit(mut self, count: u64) -> Self {
        self.limit = Some(count);
        self
    }
    /// What happens to references from groups.
    pub fn references(mut self, references: References) -> Self {
        self.references = references;
        self
    }
}

/// How to add an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct AddOptions {
    pub(crate) id: NewId,
    pub(crate) no_create: bool,
    pub(crate) trim: Option<Trim>,
}

impl AddOptions {
    /// An automatic ID, creating the stream if it is missing, without trimming.
    pub fn new() -> Self {
        Self::default()
    }
    /// How the entry gets its ID.
    pub fn id(mut self, id: impl Into<NewId>) -> Self {
        self.id = id.into();
        self
    }
    /// Add nothing if the stream does not exist.
    pub fn no_create(mut self) -> Self {
        self.no_create = true;
        self
    }
    /// Trim after adding, as one atomic change with it.
    pub fn trim(mut self, trim: Trim) -> Self {
        self.trim = Some(trim);
        self
    }
}

/// What to set with [`Stream::set_id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct SetId {
    pub(crate) last_id: StreamId,
    pub(crate) entries_added: Option<u64>,
    pub(crate) max_deleted_id: Option<StreamId>,
}

impl SetId {
    /// The new last ID of the stream.
    pub fn new(last_id: StreamId) -> Self {
        Self { last_id, entries_added: None, max_deleted_id: None }
    }
    /// Also set the count of entries ever added.
    pub fn entries_added(mut self, count: u64) -> Self {
        self.entries_added = Some(count);
        self
    }
    /// Also set the maximum deleted ID.
    pub fn max_deleted_id(mut self, id: StreamId) -> Self {
        self.max_deleted_id = Some(id);
        self
    }
}

/// The state of a stream, all of one moment.
#[derive(Clone, Debug)]
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
}

/// Where a read begins.
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

/// A read of several streams at once; see [`Store::read`](crate::Store::read).
#[derive(Debug)]
#[must_use]
pub struct Read {
    _private: (),
}

impl Read {
    /// Also read `stream`, from `from`.
    pub fn stream(self, _stream: &Stream, _from: ReadFrom) -> Self {
        todo!()
    }
    /// At most this many entries of each stream; 0 for no limit.
    pub fn count(self, _count: u64) -> Self {
        todo!()
    }
    /// At most this many entries of all streams together.
    pub fn max_count(self, _count: u64) -> Self {
        todo!()
    }
    /// Stop before the names and values of all entries exceed this many bytes; one entry is always returned.
    pub fn max_size(self, _bytes: u64) -> Self {
        todo!()
    }
    /// Wait when there is nothing to return.
    pub fn block(self, _block: Block) -> Self {
        todo!()
    }
    /// For each stream that has something, in the order in which they were named, its position in that order and
    /// its entries. Empty if there is nothing, or nothing came in time.
    pub fn run(self) -> Result<Vec<(usize, Vec<Entry>)>> {
        todo!()
    }
}

/// The entries between two IDs, oldest first, or newest first from the other end.
#[derive(Debug)]
pub struct Range {
    _private: (),
}

impl Iterator for Range {
    type Item = Result<Entry>;
    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}
impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        todo!()
    }
}

impl Stream {
    /// The name of the stream.
    pub fn name(&self) -> &[u8] {
        todo!()
    }
    /// Whether the stream exists (it may be empty).
    pub fn exists(&self) -> Result<bool> {
        todo!()
    }
    /// Adds an entry with an automatic ID, which is returned.
    pub fn add<N: AsRef<[u8]>, V: AsRef<[u8]>>(&self, _fields: impl IntoIterator<Item = (N, V)>) -> Result<StreamId> {
        todo!()
    }
    /// Adds an entry; `None` if the stream does not exist and is not to be created.
    pub fn add_with<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        _options: AddOptions,
        _fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Option<StreamId>> {
        todo!()
    }
    /// Adds all entries or none, each with its own way to get an ID.
    pub fn add_batch<F, N, V>(&self, _entries: impl IntoIterator<Item = (NewId, F)>) -> Result<Vec<StreamId>>
    where
        F: IntoIterator<Item = (N, V)>,
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        todo!()
    }
    /// The number of entries.
    pub fn len(&self) -> Result<u64> {
        todo!()
    }
    /// Whether there are no entries.
    pub fn is_empty(&self) -> Result<bool> {
        todo!()
    }
    /// The entry with this ID.
    pub fn get(&self, _id: StreamId) -> Result<Option<Entry>> {
        todo!()
    }
    /// The entries between two IDs. A missing stream has none.
    pub fn range(&self, _ids: impl RangeBounds<StreamId>) -> Range {
        todo!()
    }
    /// The oldest entry.
    pub fn first(&self) -> Result<Option<Entry>> {
        todo!()
    }
    /// The newest entry.
    pub fn last(&self) -> Result<Option<Entry>> {
        todo!()
    }
    /// Starts a read of this stream.
    pub fn read(&self, _from: ReadFrom) -> Read {
        todo!()
    }
    /// Removes the oldest entries; returns how many went.
    pub fn trim(&self, _trim: Trim) -> Result<u64> {
        todo!()
    }
    /// Deletes the entries with these IDs; returns how many there were.
    pub fn delete(&self, _ids: impl IntoIterator<Item = StreamId>) -> Result<u64> {
        todo!()
    }
    /// Sets the last ID.
    pub fn set_id(&self, _set: SetId) -> Result<()> {
        let _ = SetIdConflict::BelowMaxDeleted;
        todo!()
    }
    /// The state of the stream.
    pub fn info(&self) -> Result<StreamInfo> {
        todo!()
    }
}
