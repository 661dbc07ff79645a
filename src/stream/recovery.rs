//! What opening a stream found, and what it made of it.

use crate::damage::Finding;
use crate::group::journal::Replay;
use crate::io::File;
use crate::io::frozen::extent;
use crate::log::scan::{self, Ending};
use crate::stream::open::{Active, Files};
use crate::{Error, Result, StreamId};

/// What opening a stream found, and what was dropped to begin from one point again: see
/// [`Stream::recovery`](crate::Stream::recovery).
///
/// Nothing of it was ever acknowledged as durable, but for `damage`: that had been, and is not there any more. Unless
/// [`Options::on_damage`](crate::Options::on_damage) says otherwise, damage is an error instead.
///
/// # Examples
///
/// ```
/// use streamlog::{Durability, Options, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// let store = Options::new().durability(Durability::Os).open(path)?;
/// let id = store.stream("orders")?.add([("order", "o1")])?;
/// store.close()?;
/// let recovery = Store::open(path)?.stream("orders")?.recovery()?;
/// assert!(recovery.is_clean && !recovery.has_dropped());
/// assert_eq!((recovery.last_id, recovery.last_id_raised_from), (id, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The stream was closed, or is new: log and journal ended where the end was noted. Otherwise its process was killed or the
    /// machine lost power; nothing need have been lost even so.
    pub is_clean: bool,
    /// Bytes behind the last whole record of the log, of appends that a crash cut short.
    pub log_bytes_dropped: u64,
    /// Bytes behind the last whole record of the journal.
    pub journal_bytes_dropped: u64,
    /// Whole entries that were dropped because a change they build on is lost.
    pub entries_dropped: u64,
    /// Whole changes of groups, deletions and settings that were dropped because an entry they build on is lost.
    pub changes_dropped: u64,
    /// The last ID that entries and changes give, if the stream goes on above a higher one: an upper bound of the IDs that may
    /// have been handed out before.
    pub last_id_raised_from: Option<StreamId>,
    /// The last ID that the stream goes on with.
    pub last_id: StreamId,
    /// The names of files of unfinished changes, which were removed.
    pub leftovers: Vec<String>,
    /// What had been synced and is lost or changed: see [`OnDamage::Quarantine`](crate::OnDamage::Quarantine). Empty at the
    /// next opening. Damage in segments before the last one is not looked for: reading comes to it, or a verification.
    pub damage: Vec<Finding>,
}

/// What a journal held before it was cut to fit the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uncut {
    changes: u64,
    bytes_dropped: u64,
}

impl Uncut {
    pub fn of(replay: Option<&Replay>) -> Result<Self> {
        let Some(replay) = replay else { return Ok(Self::default()) };
        let bytes_dropped = match replay.flaw {
            Some(_) => bytes_behind(&*replay.file, &replay.path, replay.end)?,
            None => 0,
        };
        Ok(Self { changes: replay.count(), bytes_dropped })
    }
}

impl RecoveryReport {
    /// Of a stream that was just created.
    pub(crate) fn new_stream() -> Self {
        Self { is_clean: true, ..Self::default() }
    }

    /// Of what was found; `last_ids` are what entries and changes give, and what it has become.
    pub(crate) fn of(
        files: &Files,
        uncut: Uncut,
        active: &Active,
        replay: Option<&Replay>,
        is_clean: bool,
        last_ids: (StreamId, StreamId),
    ) -> Result<Self> {
        let (file, path, found) = (&*active.file, &active.path, &active.found);
        let (mut whole_end, mut entries_dropped) = (found.tail, 0);
        if found.ending == Ending::AheadOfJournal {
            let whole = scan::scan(&active.header, file, path, u64::MAX)?;
            whole_end = whole.tail;
            entries_dropped = whole.next_ordinal - found.next_ordinal;
        }
        let log_bytes_dropped = if active.torn { bytes_behind(file, path, whole_end)? } else { 0 };
        let mut leftovers = files.leftovers.clone();
        let old = files.journals.split_last().map_or(&[][..], |(_, old)| old);
        let name = |&generation: &u64| crate::format::file_name::File::Journal(generation).name();
        leftovers.extend(old.iter().map(|generation| name(generation).to_string_lossy().into_owned()));
        leftovers.sort_unstable();
        let (given, last_id) = last_ids;
        Ok(Self {
            is_clean,
            log_bytes_dropped,
            journal_bytes_dropped: uncut.bytes_dropped,
            entries_dropped,
            changes_dropped: uncut.changes - replay.map_or(0, Replay::count),
            last_id_raised_from: (given < last_id).then_some(given),
            last_id,
            leftovers,
            damage: Vec::new(),
        })
    }

    /// Whether anything was dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// let store = streamlog::Store::open(path)?;
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// store.close()?;
    /// assert!(!streamlog::Store::open(path)?.stream("orders")?.recovery()?.has_dropped());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn has_dropped(&self) -> bool {
        let dropped = [self.log_bytes_dropped, self.journal_bytes_dropped, self.entries_dropped, self.changes_dropped];
        dropped.iter().any(|&count| count > 0)
    }
}

/// How many bytes there are from `end` to the last one that is not zero.
fn bytes_behind(file: &dyn File, path: &std::path::Path, end: u64) -> Result<u64> {
    Ok(extent(file).map_err(|error| Error::io("read", path, error))?.saturating_sub(end))
}
