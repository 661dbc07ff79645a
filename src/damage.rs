//! What is found damaged, or else not as it should be, in the files of a store.

use std::fmt;
use std::path::PathBuf;

use crate::{Corruption, Error, StreamId};

/// Something in a store that is not as it should be.
///
/// # Examples
///
/// ```
/// use streamlog::{Problem, Store, inspect::Inspection};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// # let store = Store::open(path)?;
/// # for order in ["o1", "o2", "o3"] {
/// #     store.stream("orders")?.add([("order", order)])?;
/// # }
/// # store.close()?;
/// # let segment = path.join("streams/orders/00000000000000000001.log");
/// # let mut bytes = std::fs::read(&segment)?;
/// # let at = bytes.windows(2).position(|bytes| bytes == b"o2").expect("it is in there");
/// # bytes[at] ^= 1;
/// # std::fs::write(&segment, bytes)?;
/// // One of three entries was damaged on the disk.
/// let report = Inspection::open(path)?.verify_stream("orders", |_| {})?;
/// let finding = &report.findings[0];
/// assert!(finding.is_damage() && matches!(finding.problem, Problem::Damage(_)));
/// assert!(finding.path.starts_with(path.join("streams/orders")));
/// println!("{finding}"); // file, offset, what is wrong, and which IDs are lost
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file or directory.
    pub path: PathBuf,
    /// Where in it, in bytes from its start.
    pub offset: u64,
    /// What is the matter.
    pub problem: Problem,
    /// Which entries may be affected, if any.
    pub ids: Option<IdRange>,
    /// How many living entries are lost, where that is known.
    pub entries_lost: Option<u64>,
}

/// What is the matter with a file. Nothing but [`Damage`](Self::Damage) costs anything: opening the stream or store mends it, but
/// for what is [`Unknown`](Self::Unknown), which is left alone, and an [unfinished import](Self::ImportUnfinished), before the end
/// of which the store is not opened.
///
/// # Examples
///
/// ```
/// use streamlog::{Problem, Store, inspect::Inspection};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// Store::open(path)?.create("orders")?;
/// std::fs::write(path.join("streams/orders/notes.txt"), "mind the gap")?;
/// let report = Inspection::open(path)?.verify_stream("orders", |_| {})?;
/// assert_eq!(report.findings[0].problem, Problem::Unknown);
/// assert_eq!(report.findings[0].problem.to_string(), "not a file of the store");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Bytes that had been synced are gone or changed.
    #[error("{0}")]
    Damage(Corruption),
    /// The last record is not complete: a crash cut it short, or it is just being written. Nobody was told that it is done.
    #[error("{bytes} bytes of a record that is not complete")]
    CutShort {
        /// From the end of the last whole record to the last byte that is not zero.
        bytes: u64,
    },
    /// Records that are whole, but of which log or journal lack what they build on: a crash cut that off.
    #[error("{changes} changes that build on entries a crash took")]
    Ahead {
        /// How many of them.
        changes: u64,
    },
    /// One of the two slots of the superblock is damaged; the other one is whole.
    #[error("one of two slots: {0}")]
    Slot(Corruption),
    /// An index, which is made again from its segment when it is needed.
    #[error("an index that does not fit its segment")]
    Index,
    /// Left over from a change that a crash interrupted, or part of one that is being made.
    #[error("a file or directory of an unfinished change")]
    Leftover,
    /// An import goes on, or was stopped, as [`Error::ImportUnfinished`]: what the streams hold is not all of it, and is put back
    /// to its last checkpoint when it goes on.
    #[error("an import was stopped: `streamlog import` goes on with it, `streamlog import --abandon` ends it")]
    ImportUnfinished,
    /// None of the store's; it is left alone.
    #[error("not a file of the store")]
    Unknown,
}

/// A range of IDs: those above `after`, and not above `through` if it is known.
///
/// # Examples
///
/// ```
/// use streamlog::{Error, OnDamage, Options, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// # let store = Store::open(path)?;
/// # let orders = store.stream("orders")?;
/// # let ids = ["o1", "o2", "o3"].map(|order| orders.add([("order", order)]).expect("there is room"));
/// # store.close()?;
/// # let segment = path.join("streams/orders/00000000000000000001.log");
/// # let mut bytes = std::fs::read(&segment)?;
/// # let at = bytes.windows(2).position(|bytes| bytes == b"o2").expect("it is in there");
/// # bytes[at] ^= 1;
/// # std::fs::write(&segment, bytes)?;
/// // The second of three entries was damaged on the disk.
/// let store = Options::new().on_damage(OnDamage::Quarantine).open(path)?;
/// let second = store.stream("orders")?.range(..).nth(1).expect("there are three");
/// let Err(Error::Corrupt { ids: Some(lost), .. }) = second else { panic!("it is damaged") };
/// assert_eq!((lost.after, lost.through), (ids[0], ids[2].previous()), "all that may have been there");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The last ID before the range.
    pub after: StreamId,
    /// The last ID of the range; `None` if only what follows could tell, and nothing does.
    pub through: Option<StreamId>,
}

impl Finding {
    pub(crate) fn new(path: PathBuf, offset: u64, problem: Problem) -> Self {
        Self { path, offset, problem, ids: None, entries_lost: None }
    }

    /// The finding that an error is, if it is damage.
    pub(crate) fn of(error: Error) -> Result<Self, Error> {
        match error {
            Error::Corrupt { path, offset, what, ids } => {
                Ok(Self { ids, ..Self::new(path, offset, Problem::Damage(what)) })
            }
            error => Err(error),
        }
    }

    pub(crate) fn with_ids(mut self, after: StreamId, through: Option<StreamId>) -> Self {
        self.ids = Some(IdRange { after, through });
        self
    }

    /// Whether something that had been synced is lost or changed.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, inspect::Inspection};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// Store::open(path)?.create("orders")?;
    /// std::fs::write(path.join("streams/orders/notes.txt"), "mind the gap")?;
    /// let report = Inspection::open(path)?.verify_stream("orders", |_| {})?;
    /// assert!(!report.findings[0].is_damage(), "it is told, but nothing is lost");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self.problem, Problem::Damage(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_damage() { "damage" } else { "note" };
        write!(f, "{kind}: {} at byte {}: {}", self.path.display(), self.offset, self.problem)?;
        if let Some(ids) = self.ids {
            write!(f, "; {ids}")?;
        }
        match self.entries_lost {
            Some(0) => f.write_str("; no living entry is lost"),
            Some(1) => f.write_str("; 1 entry is lost"),
            Some(lost) => write!(f, "; {lost} entries are lost"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IDs above {}", self.after)?;
        self.through.map_or(Ok(()), |through| write!(f, " up to {through}"))
    }
}
