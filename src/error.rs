//! Everything that can go wrong, as one enum.

use std::io;
use std::path::{Path, PathBuf};

use crate::StreamId;
use crate::damage::IdRange;
use crate::io::budget::OverBudget;

/// The result of a call into this crate.
///
/// # Examples
///
/// ```
/// use streamlog::{Store, StreamId, Stream};
///
/// fn place(orders: &Stream, order: &str) -> streamlog::Result<StreamId> {
///     orders.add([("type", "order.created"), ("order", order)])
/// }
///
/// let orders = Store::in_memory().stream("orders")?;
/// let id = place(&orders, "o1")?;
/// assert_eq!(orders.last()?.map(|order| order.id()), Some(id));
/// # Ok::<(), streamlog::Error>(())
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Each variant says what state it leaves.
///
/// # Examples
///
/// ```
/// use streamlog::{AddOptions, Error, Store, StreamId};
/// # let store = Store::in_memory();
///
/// let orders = store.stream("orders")?;
/// let add = |ms| orders.add_with(AddOptions::new().id(StreamId::new(ms, 0)), [("order", "o1")]);
/// add(5)?;
/// match add(4) {
///     Err(error @ Error::IdTooSmall { last, .. }) => {
///         assert_eq!(last, StreamId::new(5, 0));
///         assert_eq!(error.to_string(), "the ID 4-0 is not above the last ID of the stream, 5-0");
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused `action` on `path`.
    ///
    /// Where something could not be opened, read or created, nothing was changed. Where a write, a rename or a sync failed, the
    /// change may have been made or not, which is known when the store is opened again: that poisons the store, see
    /// [`Error::Poisoned`]. A write beyond `RLIMIT_FSIZE` is not begun, and changes nothing.
    #[error("cannot {action} {}", path.display())]
    #[non_exhaustive]
    Io {
        /// What was tried, as a verb: "open", "write to", "sync".
        action: &'static str,
        /// The file or directory it was tried on.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },

    /// There is no room left on the disk for `path`. Nothing was added; the same call succeeds once there is room.
    #[error("no space left to {action} {}{}", path.display(), limited(*limit))]
    #[non_exhaustive]
    NoSpace {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file that needed room.
        path: PathBuf,
        /// [`Options::bytes_max`](crate::Options::bytes_max), if that is what left no room.
        limit: Option<u64>,
    },

    /// Neither this process nor the system has a file descriptor left to `action` `path`. Nothing was changed; the same call
    /// succeeds once there are some.
    ///
    /// Streams that nobody is using have been closed by then.
    #[error("no file descriptor left to {action} {}", path.display())]
    #[non_exhaustive]
    NoDescriptors {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory it was tried on.
        path: PathBuf,
    },

    /// `path` holds bytes this crate never wrote there; the first of them is `offset` bytes in.
    ///
    /// Nothing has been changed on disk. Reading goes on behind it: see [`Stream::range`](crate::Stream::range).
    #[error("{} at byte {offset}: {what}{}", path.display(), affected(*ids))]
    #[non_exhaustive]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where the damage begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        what: Corruption,
        /// Which entries may be lost by it; `None` if it is found where it is not known, as when a stream is opened.
        ids: Option<IdRange>,
    },

    /// `path` was written by a later version of this crate, or with a feature this one does not know.
    ///
    /// Nothing has been changed on disk.
    #[error("{} needs a newer version of streamlog: {what}", path.display())]
    #[non_exhaustive]
    Unsupported {
        /// The file that says so.
        path: PathBuf,
        /// The version or feature that is not known.
        what: String,
    },

    /// `path` is not a directory of this crate's, and not an empty one either. Nothing has been changed on disk.
    #[error("{} is not a store: {reason}", path.display())]
    #[non_exhaustive]
    NotAStore {
        /// The directory that was to be opened.
        path: PathBuf,
        /// What was found, or missed, in it.
        reason: String,
    },

    /// Another process, or another handle in this one, has the store open. Nothing was changed.
    #[error("{} is locked: another process or handle has the store open", path.display())]
    #[non_exhaustive]
    Locked {
        /// The directory of the store.
        path: PathBuf,
    },

    /// An import into the store was stopped before its end. It can be resumed or abandoned:
    /// [`ResumableImport`](crate::transfer::ResumableImport), `streamlog import`. Nothing has been changed on disk.
    #[error("{}: an import was stopped: `streamlog import` goes on with it, `streamlog import --abandon` ends it", path.display())]
    #[non_exhaustive]
    ImportUnfinished {
        /// The directory of the store.
        path: PathBuf,
    },

    /// An earlier write or sync failed, or a panic interrupted a change, so nothing more is written until the store
    /// is opened again. What was acknowledged before is safe. Reads go on in streams that are open or were closed; one that
    /// is yet to be recovered, or was being renamed, cannot be opened. Of the change that failed they may show a part.
    #[error("the store refuses to write after an earlier failure: {cause}")]
    #[non_exhaustive]
    Poisoned {
        /// The failure that came first.
        cause: String,
    },

    /// The store was opened for reading only. Nothing was changed.
    #[error("the store is open for reading only")]
    ReadOnly,

    /// The store was closed. Nothing was changed, but that a consumer whose read waited is there.
    #[error("the store is closed")]
    Closed,

    /// This process was forked from the one that opened the store, and may not use it. Nothing was done, and the store is
    /// as its own process has it.
    #[error("the store was opened by the process that this one was forked from")]
    Forked,

    /// The name of a stream is longer than [`NAME_LEN_MAX`](crate::NAME_LEN_MAX) bytes; or that of a group or a consumer, the
    /// ID of a producer or an idempotent ID than [`KEY_LEN_MAX`](crate::KEY_LEN_MAX). Nothing was changed.
    #[error("a name of {len} bytes is over the limit of {max}")]
    #[non_exhaustive]
    NameTooLong {
        /// The length of the name, in bytes.
        len: usize,
        /// The longest one allowed.
        max: usize,
    },

    /// What one call changes takes more bytes in the journal than a record can have: about 1 GiB, which is some 100 million
    /// entries to acknowledge. Or the journal would be longer than one can be, 4 GiB, because there is so much to keep in it.
    /// Nothing was changed.
    #[error("a change of {len} bytes is over the limit of {max}")]
    #[non_exhaustive]
    ChangeTooLarge {
        /// The bytes it would take, or the journal with it.
        len: u64,
        /// The most that is allowed, in bytes.
        max: u64,
    },

    /// More entries would be deleted behind one that lives than a stream keeps in mind: 64 Gi of them. A trim up to there lets
    /// it forget them. Nothing was changed.
    #[error("more than {max} entries would be deleted behind one that lives")]
    #[non_exhaustive]
    TooManyDeleted {
        /// The most that are kept in mind.
        max: u64,
    },

    /// An entry needs at least one field. Nothing was added.
    #[error("an entry needs at least one field")]
    NoFields,

    /// One entry, or all entries of a batch, are over the limit: with their names and values, or with what is stored around
    /// these. Nothing was added.
    #[error("an entry or batch of {len} bytes is over the limit of {max}")]
    #[non_exhaustive]
    EntryTooLarge {
        /// The bytes of its names and values, or the most that it takes in a file.
        len: u64,
        /// The most that is allowed, in bytes.
        max: u64,
    },

    /// The ID for a new entry is not above the stream's last one. Nothing was added.
    #[error("the ID {id} is not above the last ID of the stream, {last}")]
    #[non_exhaustive]
    IdTooSmall {
        /// The ID that was asked for.
        id: StreamId,
        /// The last ID of the stream.
        last: StreamId,
    },

    /// No entry can have the ID `0-0`. Nothing was added.
    #[error("no entry can have the ID 0-0")]
    IdZero,

    /// The stream's last ID is the highest there is. Nothing was added.
    #[error("the stream has used up its last possible ID")]
    IdsExhausted,

    /// There is no such stream. Nothing was changed.
    #[error("there is no stream {name:?}")]
    #[non_exhaustive]
    StreamNotFound {
        /// Its name, with bytes that are not UTF-8 replaced.
        name: String,
    },

    /// There is already a stream of that name. Nothing was changed.
    #[error("there is already a stream {name:?}")]
    #[non_exhaustive]
    StreamExists {
        /// Its name, with bytes that are not UTF-8 replaced.
        name: String,
    },

    /// The stream has no such consumer group, or there is no such stream. Nothing was changed.
    #[error("the stream {stream:?} has no consumer group {group:?}")]
    #[non_exhaustive]
    GroupNotFound {
        /// The name of the stream, with bytes that are not UTF-8 replaced.
        stream: String,
        /// The name of the group, likewise.
        group: String,
    },

    /// The stream has a consumer group of that name already. Nothing was changed.
    #[error("the stream {stream:?} already has a consumer group {group:?}")]
    #[non_exhaustive]
    GroupExists {
        /// The name of the stream, with bytes that are not UTF-8 replaced.
        stream: String,
        /// The name of the group, likewise.
        group: String,
    },

    /// There is no entry with this ID. Nothing was changed.
    #[error("there is no entry {id}")]
    #[non_exhaustive]
    EntryNotFound {
        /// The ID that was asked for.
        id: StreamId,
    },

    /// The production is remembered as that of another entry. Nothing was changed.
    #[error("the production is remembered as that of the entry {id}")]
    #[non_exhaustive]
    ProductionExists {
        /// The entry that came of it.
        id: StreamId,
    },

    /// A producer's ID or an idempotent ID is empty, or goes with an ID that is not automatic. Nothing was changed.
    #[error("{reason}")]
    #[non_exhaustive]
    InvalidProduction {
        /// What is wrong.
        reason: &'static str,
    },

    /// A setting is outside of its limits. Nothing was changed.
    #[error("{setting} must be from {min} to {max}, not {value}")]
    #[non_exhaustive]
    OutOfRange {
        /// What was set.
        setting: &'static str,
        /// The value it was to have.
        value: u64,
        /// The lowest it can have.
        min: u64,
        /// The highest it can have.
        max: u64,
    },

    /// [`Stream::set_id`](crate::Stream::set_id) would contradict what the stream holds. Nothing was changed.
    #[error("the stream cannot take the last ID {id}: {reason}")]
    #[non_exhaustive]
    SetId {
        /// The ID that was to become the last one.
        id: StreamId,
        /// What it contradicts.
        reason: SetIdConflict,
    },
}

/// What [`Stream::set_id`](crate::Stream::set_id) would have contradicted.
///
/// # Examples
///
/// ```
/// use streamlog::{Error, SetId, SetIdConflict, Store, StreamId};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
///
/// let conflict = |set| match orders.set_id(set) {
///     Err(Error::SetId { reason, .. }) => Some(reason),
///     _ => None,
/// };
/// assert_eq!(conflict(SetId::new(StreamId::new(5, 0))), Some(SetIdConflict::BelowNewestEntry));
/// assert_eq!(conflict(SetId::new(id).entries_added(0)), Some(SetIdConflict::AddedBelowLength));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetIdConflict {
    /// The ID is below the maximum deleted ID given with it.
    #[error("it is below the given maximum deleted ID")]
    BelowGivenMaxDeleted,
    /// The ID is below an ID that was deleted from the stream.
    #[error("it is below the maximum deleted ID of the stream")]
    BelowMaxDeleted,
    /// The ID is below the newest entry.
    #[error("it is below the newest entry")]
    BelowNewestEntry,
    /// The count of entries ever added is below the number of entries there are.
    #[error("the given count of added entries is below the length of the stream")]
    AddedBelowLength,
}

/// What is wrong with damaged bytes.
///
/// # Examples
///
/// ```
/// use streamlog::{Corruption, Error, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// Store::open(path)?.stream("orders")?.add([("order", "o1")])?;
/// std::fs::remove_file(path.join("streams/orders/00000000000000000001.log"))?;
/// let added = Store::open(path)?.stream("orders")?.add([("order", "o2")]);
/// assert!(matches!(added, Err(Error::Corrupt { what: Corruption::Missing, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// A checksum does not fit the bytes it covers.
    #[error("checksum is {stored:08x}, the bytes give {computed:08x}")]
    #[non_exhaustive]
    Checksum {
        /// The checksum found.
        stored: u32,
        /// The checksum of the bytes found.
        computed: u32,
    },
    /// Bytes that cannot be decoded although they should be valid.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// The file ends, or a record is missing, before bytes that were known to be synced.
    #[error("ends here although bytes up to {expected} had been synced")]
    #[non_exhaustive]
    Truncated {
        /// The offset up to which the file was known to be synced.
        expected: u64,
    },
    /// The file belongs to another store, stream or position.
    #[error("foreign: {0}")]
    Foreign(&'static str),
    /// A file that must be there is not.
    #[error("missing")]
    Missing,
    /// Something that is not a regular file stands where one is expected.
    #[error("not a regular file")]
    NotAFile,
    /// Something that is not a directory stands where one is expected.
    #[error("not a directory")]
    NotADirectory,
}

fn limited(limit: Option<u64>) -> String {
    limit.map_or_else(String::new, |limit| format!(": the store may have {limit} bytes"))
}

fn affected(ids: Option<IdRange>) -> String {
    ids.map_or_else(String::new, |ids| format!("; {ids}"))
}

impl Error {
    /// An `Io` or, when the disk is full, a `NoSpace`, or a `NoDescriptors`.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            _ if crate::io::lacks_descriptors(&source) => Self::NoDescriptors { action, path: path.to_owned() },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let over = source.get_ref().and_then(|inner| inner.downcast_ref::<OverBudget>());
                Self::NoSpace { action, path: path.to_owned(), limit: over.map(|over| over.limit) }
            }
            _ => Self::Io { action, path: path.to_owned(), source },
        }
    }

    /// Whether there is no room for a file, on the disk or within what this process may have (`RLIMIT_FSIZE`); a smaller
    /// one may do.
    pub(crate) fn lacks_room(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::FileTooLarge,
            _ => false,
        }
    }

    /// Whether it is a call that is wrong, and not the store: another call may do.
    pub(crate) fn is_of_arguments(&self) -> bool {
        use Error::*;
        matches!(
            self,
            NameTooLong { .. }
                | ChangeTooLarge { .. }
                | TooManyDeleted { .. }
                | NoFields
                | EntryTooLarge { .. }
                | IdTooSmall { .. }
                | IdZero
                | IdsExhausted
                | StreamNotFound { .. }
                | StreamExists { .. }
                | GroupNotFound { .. }
                | GroupExists { .. }
                | EntryNotFound { .. }
                | ProductionExists { .. }
                | InvalidProduction { .. }
                | OutOfRange { .. }
                | SetId { .. }
        )
    }

    /// A failed sync of a file that is in use. Never a `NoSpace`: what was written may be lost, and no later sync would
    /// say so again.
    pub(crate) fn unsynced(path: &Path, source: io::Error) -> Self {
        Self::Io { action: "sync", path: path.to_owned(), source }
    }

    /// The failure of a part of something that is not undone. Never a `NoSpace` or `NoDescriptors`, of which nothing is left.
    pub(crate) fn unfinished(self) -> Self {
        match self {
            Self::NoSpace { action, path, .. } => Self::Io { action, path, source: io::ErrorKind::StorageFull.into() },
            Self::NoDescriptors { action, path } => Self::Io { action, path, source: crate::io::no_descriptors() },
            other => other,
        }
    }

    pub(crate) fn stream_not_found(name: &[u8]) -> Self {
        Self::StreamNotFound { name: String::from_utf8_lossy(name).into_owned() }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, what: Corruption) -> Self {
        Self::Corrupt { path: path.to_owned(), offset, what, ids: None }
    }

    /// The same, with the entries that damage may have taken.
    pub(crate) fn affecting(self, range: IdRange) -> Self {
        match self {
            Self::Corrupt { path, offset, what, ids: None } => Self::Corrupt { path, offset, what, ids: Some(range) },
            error => error,
        }
    }
}
