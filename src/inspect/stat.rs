//! Sizes and counts of a stream.

use std::path::Path;

use crate::format::file_name::File as FileName;
use crate::inspect::Inspection;
use crate::io::Access;
use crate::io::place::Place;
use crate::{Error, Result, Retention, StreamId};

/// Sizes and counts of a stream. Sizes are in bytes.
///
/// # Examples
///
/// ```
/// use streamlog::{Store, inspect::Inspection};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
///
/// let store = Store::open(path)?;
/// let orders = store.stream("orders")?;
/// let id = orders.add([("order", "o1")])?;
/// orders.add([("order", "o2")])?;
/// orders.delete([id])?;
/// let stat = Inspection::open(path)?.stat_stream("orders")?;
/// assert_eq!((stat.entries, stat.deleted, stat.max_deleted_id, stat.is_clean), (1, 1, id, false));
/// assert_eq!(stat.bytes_per_entry(), Some(stat.log_bytes() as f64));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct StreamStat {
    /// The name.
    pub name: Vec<u8>,
    /// How many entries there are.
    pub entries: u64,
    /// How many deleted entries still take room, because others in their segments are alive. Trimmed ones are not counted.
    pub deleted: u64,
    /// How many were ever added.
    pub entries_added: u64,
    /// The ID of the oldest entry; `None` if there is none.
    pub first_id: Option<StreamId>,
    /// The last ID, as opening would find it.
    pub last_id: StreamId,
    /// The highest ID that was deleted.
    pub max_deleted_id: StreamId,
    /// The files of the log, the oldest first.
    pub segments: Vec<SegmentStat>,
    /// All indexes.
    pub index_bytes: u64,
    /// What is written in the journal; 0 if there is none.
    pub journal_bytes: u64,
    /// Which journal it is, counting from 1; 0 if there is none.
    pub journal_generation: u64,
    /// How many changes were ever made.
    pub changes: u64,
    /// What all files of the stream take on the disk.
    pub allocated_bytes: u64,
    /// The groups, by name.
    pub groups: Vec<GroupStat>,
    /// How many productions are remembered.
    pub productions: u64,
    /// How much of the stream is kept.
    pub retention: Retention,
    /// The stream was closed, and nothing was written to it since.
    pub is_clean: bool,
}

/// A file of a log. Sizes are in bytes.
///
/// # Examples
///
/// ```
/// use streamlog::{Store, inspect::Inspection};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
///
/// let store = Store::open(path)?;
/// for value in ["small", &"large".repeat(2_000)] {
///     store.stream("orders")?.add([("order", value)])?;
/// }
/// let stat = Inspection::open(path)?.stat_stream("orders")?;
/// let segments: Vec<_> = stat.segments.iter().map(|segment| (segment.base, segment.is_sealed)).collect();
/// assert_eq!(segments, [(1, true), (2, false)]);
/// assert!(stat.segments.iter().all(|segment| segment.used <= segment.len));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentStat {
    /// The ordinal of its first entry, after which it is named.
    pub base: u64,
    /// Its length.
    pub len: u64,
    /// How much of that is written.
    pub used: u64,
    /// What it takes on the disk.
    pub allocated: u64,
    /// It is complete.
    pub is_sealed: bool,
}

/// Counts of a group.
///
/// # Examples
///
/// ```
/// use streamlog::{Position, Store, inspect::Inspection};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// # let store = Store::open(path)?;
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
///
/// let workers = orders.group("workers");
/// workers.create(Position::Start)?;
/// workers.consumer("alice").read().new_entries()?;
/// let stat = Inspection::open(path)?.stat_stream("orders")?.groups.remove(0);
/// assert_eq!((stat.name.as_slice(), stat.consumers, stat.pending), (&b"workers"[..], 1, 1));
/// assert_eq!((stat.last_delivered_id, stat.lag), (id, Some(0)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStat {
    /// The name.
    pub name: Vec<u8>,
    /// How many consumers there are.
    pub consumers: u64,
    /// How many entries are pending.
    pub pending: u64,
    /// How many of these nobody owns.
    pub released: u64,
    /// How many entries are yet to be read, if that can be told.
    pub lag: Option<i64>,
    /// The last ID that was delivered.
    pub last_delivered_id: StreamId,
}

impl StreamStat {
    /// What all segments take that is written.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, inspect::Inspection};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    ///
    /// let store = Store::open(path)?;
    /// store.stream("orders")?.add([("order", "x".repeat(1_000))])?;
    /// let stat = Inspection::open(path)?.stat_stream("orders")?;
    /// assert!((1_000..2_000).contains(&stat.log_bytes()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.used).sum()
    }

    /// How many bytes of the log there are for each entry; `None` if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, Trim, inspect::Inspection};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// # let store = Store::open(path)?;
    ///
    /// let readings = store.stream("temperature")?;
    /// readings.add_batch((0..1_000).map(|_| (Default::default(), [("celsius", "20.5")])))?;
    /// let per_entry = || Ok::<_, streamlog::Error>(Inspection::open(path)?.stat_stream("temperature")?.bytes_per_entry());
    /// assert!(per_entry()?.is_some_and(|bytes| bytes < 20.0));
    /// readings.trim(Trim::to_len(0))?;
    /// assert_eq!(per_entry()?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn bytes_per_entry(&self) -> Option<f64> {
        (self.entries > 0).then(|| self.log_bytes() as f64 / self.entries as f64)
    }
}

impl Inspection {
    /// Sizes and counts of a stream. Costs what opening it does: reading its last segment and its journal; and a look at each
    /// other file.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`]; [`Error::Corrupt`] if the stream cannot be opened for damage; [`Error::Io`] and
    /// [`Error::Unsupported`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use streamlog::{Store, inspect::Inspection};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// # let store = Store::open(path)?;
    /// # store.stream("orders")?.add([("total", "49.99")])?;
    /// let stat = Inspection::open(path)?.stat_stream("orders")?;
    /// assert_eq!((stat.entries, stat.segments.len(), stat.groups.len()), (1, 1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stat_stream(&self, name: impl AsRef<[u8]>) -> Result<StreamStat> {
        let name = name.as_ref();
        let (frozen, picture) = self.picture(name)?;
        let mut entries = picture.entries();
        let first = loop {
            match entries.next_position().transpose() {
                // What is damaged has no ID.
                Err(Error::Corrupt { .. }) => {}
                first => break first?,
            }
        };
        let facts = picture.facts(first.map_or(StreamId::MIN, |first| first.id));
        let mut stat = StreamStat {
            name: name.to_vec(),
            entries: picture.len(),
            deleted: picture.log.tombstones.read().count(picture.tail.floor..picture.tail.next_ordinal),
            entries_added: picture.tail.entries_added,
            first_id: first.map(|first| first.id),
            last_id: picture.tail.last_id,
            max_deleted_id: picture.aside.state.max_deleted_id,
            journal_bytes: picture.journal.map_or(0, |journal| journal.end),
            journal_generation: picture.journal.map_or(0, |journal| journal.generation),
            changes: picture.journal.map_or(0, |journal| journal.changes),
            productions: picture.aside.producers.tracked().1 as u64,
            retention: picture.retention,
            is_clean: picture.clean,
            ..StreamStat::default()
        };
        for (name, _) in frozen.list()? {
            let Ok(allocated) = self.allocated(&frozen.at(&name)) else { continue };
            stat.allocated_bytes += allocated;
            match FileName::parse(&name) {
                Some(FileName::Segment(base)) => {
                    let is_last = base == picture.tail.segment;
                    let len = len_of(&frozen, &name)?;
                    let is_sealed = !is_last || picture.sealed;
                    let used = if is_sealed { len } else { picture.tail.offset };
                    stat.segments.push(SegmentStat { base, len, used, allocated, is_sealed });
                }
                Some(FileName::Index(_)) => stat.index_bytes += len_of(&frozen, &name)?,
                _ => {}
            }
        }
        stat.segments.sort_unstable_by_key(|segment| segment.base);
        for group in picture.aside.groups.iter() {
            stat.groups.push(GroupStat {
                name: group.name.to_vec(),
                consumers: group.consumer_count() as u64,
                pending: group.pending.len() as u64,
                released: group.pending.released() as u64,
                lag: facts.lag(group.position, group.entries_read),
                last_delivered_id: group.position,
            });
        }
        Ok(stat)
    }
}

/// The length of a file; 0 if it went meanwhile.
fn len_of(place: &Place, name: &str) -> Result<u64> {
    match place.open(Path::new(name), Access::Read) {
        Ok(file) => file.len().map_err(|error| Error::io("look at", &place.full(name), error)),
        Err(Error::Corrupt { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}
