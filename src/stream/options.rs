//! What calls take and return, apart from entries.

use std::time::Duration;

use crate::{Entry, NewId, StreamId};

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
    /// Stop early where only a part of a block of 100 entries would go (Redis' `~`, with its default block).
    ///
    /// Exact trimming costs no more here; this is for programs that count on what Redis does.
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

/// What to set with [`Stream::set_id`](crate::Stream::set_id).
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
