//! How a store is opened, and what its acknowledgements mean.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{Result, Store};

/// What has to happen before an operation returns.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{Durability, Options, Store};
///
/// # let dir = tempfile::tempdir()?;
/// for (n, durability) in
///     [Durability::Always, Durability::Interval(Duration::from_secs(1)), Durability::Os].into_iter().enumerate()
/// {
///     let store = Options::new().durability(durability).open(dir.path())?;
///     store.stream("orders")?.add([("order", "o1")])?;
///     drop(store);
///     assert_eq!(Store::open(dir.path())?.stream("orders")?.len()?, n as u64 + 1);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// It is on the disk: an operation that returned survives power loss. Concurrent operations share one sync, and
    /// readers see only entries that are durable.
    #[default]
    Always,
    /// It is with the operating system, which is told to write it out this often in the background (Redis'
    /// `everysec`). It survives the death of the process; a power loss takes at most the last interval, and what came during
    /// the sync that follows it. The shortest interval is a millisecond.
    Interval(Duration),
    /// It is with the operating system, which writes it out when it likes. It survives the death of the process, not
    /// that of the machine.
    Os,
}

/// How bytes get into the files.
///
/// # Examples
///
/// ```
/// use streamlog::{Options, WriteMode};
///
/// # let dir = tempfile::tempdir()?;
/// // What one of them writes, the other reads.
/// for mode in [WriteMode::Mapped, WriteMode::Pwrite] {
///     Options::new().write_mode(mode).open(dir.path())?.stream("orders")?.add([("order", "o1")])?;
/// }
/// assert_eq!(Options::new().open(dir.path())?.stream("orders")?.len()?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteMode {
    /// [`Mapped`](Self::Mapped) on file systems where that cannot fail (ext4, xfs, tmpfs), else
    /// [`Pwrite`](Self::Pwrite).
    #[default]
    Auto,
    /// Copies into a memory mapping whose pages are made ready ahead. The fastest way. On file systems that move blocks on every
    /// write (btrfs, zfs) the process gets the signal `SIGBUS` when the disk is full.
    Mapped,
    /// One system call per write. Reading goes through mappings all the same.
    Pwrite,
}

/// What becomes of a stream in which something that was synced is lost or changed, where opening it comes to that: in its
/// last segment, its journal, or its superblock.
///
/// Damage in other segments keeps no stream from opening: reading gives an error in its place, and goes on behind it.
///
/// # Examples
///
/// ```
/// use streamlog::{Error, OnDamage, Options, Store};
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
/// // The second of three entries was damaged on the disk.
/// let refused = Store::open(path)?.stream("orders")?.len();
/// assert!(matches!(refused, Err(Error::Corrupt { .. })));
///
/// let store = Options::new().on_damage(OnDamage::Quarantine).open(path)?;
/// let orders = store.stream("orders")?;
/// assert_eq!(orders.range(..).filter(|order| order.is_ok()).count(), 2);
/// assert!(orders.add([("order", "o4")]).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDamage {
    /// It is not opened: every call fails with [`Error::Corrupt`](crate::Error::Corrupt), and nothing on disk is changed. Other
    /// streams are.
    #[default]
    Refuse,
    /// It goes on, with the damage kept out of the way. What can be read, is; reading across what cannot gives an
    /// [`Error::Corrupt`](crate::Error::Corrupt) that names the IDs, each time. A group gets that error once, and goes on behind
    /// the lost entries then; a pending entry that is lost is as one that was deleted. Deleting a lost entry by its ID does not
    /// find it. Trims and retention go on: lost entries count as others do, and go with those around them. They stay for as long
    /// as they may be above the ID that a trim names, and where groups are heeded, until each of them has come there and was told.
    ///
    /// No byte of damaged entries is changed. A damaged journal or superblock is copied to the store's folder `quarantine`
    /// before it is replaced: of the journal, what precedes the damage is kept, so that entries may be delivered again, or
    /// deleted ones come back; if it does not tell what was pending, groups begin at the oldest entry again. What was found is
    /// told by [`Stream::recovery`](crate::Stream::recovery) once. `streamlog repair` ends it for good.
    ///
    /// It may be that a stream cannot be opened even so: if nothing of it tells which stream it is. The file `LOCK`, which says
    /// which store it is, is made again from the streams, if they agree; an unfinished change of several streams that cannot be
    /// read is given up.
    Quarantine,
}

/// Where a store gets the time from.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::{Duration, SystemTime, UNIX_EPOCH};
/// use streamlog::{Clock, Options};
///
/// /// Stands still unless it is put forward.
/// #[derive(Clone, Default)]
/// struct ByHand(Arc<AtomicU64>);
///
/// impl Clock for ByHand {
///     fn now(&self) -> SystemTime {
///         UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::Relaxed))
///     }
/// }
///
/// let clock = ByHand::default();
/// let orders = Options::new().clock(clock.clone()).in_memory().stream("orders")?;
/// clock.0.store(5_000, Ordering::Relaxed);
/// assert_eq!(orders.add([("order", "o1")])?.ms(), 5_000);
/// # Ok::<(), streamlog::Error>(())
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The time now. It may stand still or go backwards; IDs increase nevertheless.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use streamlog::Clock;
    ///
    /// let stopped = || UNIX_EPOCH + Duration::from_secs(5);
    /// assert_eq!(stopped.now(), UNIX_EPOCH + Duration::from_secs(5));
    /// ```
    fn now(&self) -> SystemTime;
}

impl<F: Fn() -> SystemTime + Send + Sync + 'static> Clock for F {
    fn now(&self) -> SystemTime {
        self()
    }
}

/// Where the identities of stores, streams and files come from.
pub type Identities = dyn Fn() -> [u8; 16] + Send + Sync;

/// How to open a [`Store`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{Durability, Options};
///
/// # let dir = tempfile::tempdir()?;
/// let store = Options::new()
///     .durability(Durability::Interval(Duration::from_secs(1)))
///     .segment_bytes_max(16 << 20)
///     .open(dir.path())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) write_mode: WriteMode,
    pub(crate) segment_bytes_first: u64,
    pub(crate) segment_bytes_max: u64,
    pub(crate) checkpoint_bytes_min: u64,
    pub(crate) open_streams_max: usize,
    pub(crate) on_damage: OnDamage,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) bytes_budget: Option<u64>,
    pub(crate) retention_interval: Duration,
    pub(crate) slow: Duration,
    pub(crate) create: bool,
    pub(crate) imports: bool,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) identities: Option<Arc<Identities>>,
}

impl Options {
    /// The defaults: [`Durability::Always`], segments of up to 64 MiB, created if missing, the system's clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Options;
    ///
    /// let store = Options::new().in_memory();
    /// assert!(store.names()?.is_empty());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn new() -> Self {
        Self {
            durability: Durability::Always,
            write_mode: WriteMode::Auto,
            segment_bytes_first: 4096,
            segment_bytes_max: 64 << 20,
            checkpoint_bytes_min: 1 << 20,
            open_streams_max: 100,
            on_damage: OnDamage::Refuse,
            bytes_max: None,
            bytes_budget: None,
            retention_interval: Duration::from_secs(1),
            slow: Duration::from_secs(1),
            create: true,
            imports: false,
            clock: None,
            identities: None,
        }
    }

    /// What has to happen before an operation returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Durability, Options};
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    ///
    /// let store = Options::new().durability(Durability::Os).open(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = match durability {
            // The thread that syncs is not to spin.
            Durability::Interval(interval) => Durability::Interval(interval.max(Duration::from_millis(1))),
            other => other,
        };
        self
    }

    /// How bytes get into the files.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Options, WriteMode};
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    ///
    /// let store = Options::new().write_mode(WriteMode::Pwrite).open(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_mode(mut self, mode: WriteMode) -> Self {
        self.write_mode = mode;
        self
    }

    /// The size up to which the segments of a stream grow, in bytes; between 4 KiB and 1 GiB.
    ///
    /// Trimming frees whole segments, and opening a stream reads one, so smaller is tighter and faster to open;
    /// larger means fewer files. A segment is larger than this when one entry or batch needs it.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Options;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    ///
    /// let store = Options::new().segment_bytes_max(1 << 20).open(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn segment_bytes_max(mut self, bytes: u64) -> Self {
        self.segment_bytes_max = bytes.clamp(4 << 10, 1 << 30);
        self.segment_bytes_first = self.segment_bytes_first.min(self.segment_bytes_max);
        self
    }

    /// The length, in bytes, up to which a journal is not worth a new generation. For tests, which cannot write as much
    /// as it takes otherwise.
    #[doc(hidden)]
    pub fn checkpoint_bytes_min(mut self, bytes: u64) -> Self {
        self.checkpoint_bytes_min = bytes;
        self
    }

    /// How many streams are kept open at the most, at least 1; 100 unless told otherwise. An open stream holds a file descriptor,
    /// and a second one if it has a journal, which a group, a deletion or a trim begins. Where files cannot be mapped, older
    /// segments that were read hold one each. Streams that are being used stay open beyond this.
    ///
    /// Never more than a quarter of the descriptors that the process may have when the store is opened (`RLIMIT_NOFILE`).
    /// Where they are used up nevertheless, streams that nobody is using are closed, and what cannot be opened then is
    /// [`Error::NoDescriptors`](crate::Error::NoDescriptors).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Options;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    ///
    /// let store = Options::new().open_streams_max(10).open(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_streams_max(mut self, count: usize) -> Self {
        self.open_streams_max = count.max(1);
        self
    }

    /// What becomes of a stream that is damaged.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{OnDamage, Options};
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    ///
    /// let store = Options::new().on_damage(OnDamage::Quarantine).open(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_damage(mut self, policy: OnDamage) -> Self {
        self.on_damage = policy;
        self
    }

    /// How many bytes the files of the store may have together; no limit unless told otherwise. What would go beyond is
    /// [`Error::NoSpace`](crate::Error::NoSpace), as on a full disk: reading, acknowledging, trimming and deleting go on, and
    /// adding does when there is room again. An active segment and its preallocated room count in full, so room for new entries
    /// may be left in one when the limit is reached.
    ///
    /// Opening the store then costs a look at each of its files. A stream takes 12 KiB at least, and 64 KiB are set aside for
    /// the store.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Error, Options};
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    ///
    /// let store = Options::new().bytes_max(1 << 20).open(path)?;
    /// let large = vec![0; 2 << 20];
    /// let added = store.stream("orders")?.add([("order", &large)]);
    /// assert!(matches!(added, Err(Error::NoSpace { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = Some(bytes);
        self
    }

    /// To how many bytes the files of the store are trimmed together: before a segment would make them more, the oldest
    /// segments of all streams go, by the milliseconds of their last IDs, whatever [`Retention`](crate::Retention) says that
    /// the stream keeps at least. No limit unless told otherwise; not stored.
    ///
    /// What groups need stays where the retention of the stream is
    /// [`acknowledged_only`](crate::Retention::acknowledged_only); the next oldest goes then. If nothing is left that may go,
    /// the store grows beyond, up to [`bytes_max`](Self::bytes_max), where adding is [`Error::NoSpace`](crate::Error::NoSpace).
    /// So set that higher, or not at all: at a limit that is lower, nothing would be trimmed.
    ///
    /// It is exceeded by one segment at the most, for as long as [`retention_interval`](Self::retention_interval), where
    /// journals and new streams take the room. Segments are made small enough for an eighth of it to be the most that goes
    /// at once, but not smaller than 4 KiB. Each stream takes 12 to 24 KiB that nothing frees, and the store 64 KiB.
    ///
    /// Opening the store costs a look at each of its files then. From when it is full, the names of all streams are kept in
    /// memory, and whoever begins a segment trims others, with their syncs.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Options;
    ///
    /// // A buffer of 1 MiB on a small disk.
    /// let store = Options::new().bytes_budget(1 << 20).bytes_max(2 << 20).in_memory();
    /// let buffer = store.stream("telemetry")?;
    /// for number in 0..100_000 {
    ///     buffer.add([("reading", number.to_string())])?;
    /// }
    /// assert!(buffer.len()? < 100_000);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn bytes_budget(mut self, bytes: u64) -> Self {
        self.bytes_budget = Some(bytes);
        self
    }

    /// How often the store sees to the [`Retention`](crate::Retention) of its open streams in the background; a second
    /// unless told otherwise. Every 3600th time it looks at the other streams, too: that is once an hour, and less often with
    /// a longer interval. The thread for it, `streamlog-keep`, is started when the first stream that has any is used, or at
    /// once with [`bytes_budget`](Self::bytes_budget). As long as it is not, streams that nobody uses stay as they are.
    ///
    /// With zero there is no thread. Then age and acknowledgements count when a segment is full, when a stream is opened, and
    /// when [`Store::enforce_retention`](crate::Store::enforce_retention) is called.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Options, Position, Retention};
    ///
    /// // Only when the program says so.
    /// let store = Options::new().retention_interval(Duration::ZERO).in_memory();
    /// let orders = store.stream("orders")?;
    /// orders.set_retention(Retention::new().acknowledged_only())?;
    /// orders.group("workers").create(Position::Start)?;
    /// orders.add([("order", "o1")])?;
    /// orders.group("workers").consumer("alice").read().no_ack().new_entries()?;
    /// assert_eq!(orders.len()?, 1);
    /// store.enforce_retention()?;
    /// assert_eq!(orders.len()?, 0);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn retention_interval(mut self, interval: Duration) -> Self {
        self.retention_interval = interval;
        self
    }

    /// For an import, which alone may open a store that an import was stopped in.
    pub(crate) fn importing(mut self) -> Self {
        self.imports = true;
        self
    }

    /// How long an operation takes to count as slow, of those that are watched: syncs, going on in a new segment, opening a stream
    /// and so on; a second unless told otherwise. [`metrics`](crate::metrics) count them, and with the feature `tracing` each is
    /// a warning.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::Options;
    ///
    /// let store = Options::new().slow(Duration::ZERO).in_memory();
    /// store.create("orders")?;
    /// let operations = store.metrics()?.operations;
    /// assert!(operations.iter().all(|operation| operation.slow == operation.count), "everything counts as slow");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn slow(mut self, threshold: Duration) -> Self {
        self.slow = threshold;
        self
    }

    /// Whether a store that is not there is created; `true` unless told otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Options;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    ///
    /// assert!(Options::new().create(false).open(path.join("missing")).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Where the time comes from, instead of the system's clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use streamlog::Options;
    ///
    /// let store = Options::new().clock(|| UNIX_EPOCH + Duration::from_secs(5)).in_memory();
    /// assert_eq!(store.stream("orders")?.add([("order", "o1")])?.ms(), 5_000);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Where the identities of stores, streams and files come from, instead of the operating system's random numbers. For
    /// tests that are to do the same again; no two of them may be alike.
    #[doc(hidden)]
    pub fn identities(mut self, source: impl Fn() -> [u8; 16] + Send + Sync + 'static) -> Self {
        self.identities = Some(Arc::new(source));
        self
    }

    /// Opens the store in the directory `path`.
    ///
    /// Costs reading one directory, and a sync of the one that it is in; streams are opened when they are first used.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`](crate::Error::Locked) if it is open elsewhere, [`Error::NotAStore`](crate::Error::NotAStore)
    /// for a directory that holds something else, [`Error::Unsupported`](crate::Error::Unsupported) for one that a
    /// newer version wrote, [`Error::ImportUnfinished`](crate::Error::ImportUnfinished) for one in which an import was stopped,
    /// [`Error::Corrupt`](crate::Error::Corrupt) if its own files are damaged. Nothing on disk has been changed then.
    ///
    /// [`Error::Io`](crate::Error::Io) if the operating system refuses something: a directory, a lock, a thread. What is there of
    /// the store is as it was, and opening it again goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Options;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    ///
    /// let store = Options::new().open(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        Store::open_with(self, path.as_ref())
    }

    /// A store in memory, which is gone when its last handle is.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Options;
    ///
    /// let store = Options::new().open_streams_max(10).in_memory();
    /// assert!(store.names()?.is_empty());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn in_memory(self) -> Store {
        Store::in_memory_with(self)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("durability", &self.durability)
            .field("write_mode", &self.write_mode)
            .field("segment_bytes_max", &self.segment_bytes_max)
            .field("open_streams_max", &self.open_streams_max)
            .field("bytes_max", &self.bytes_max)
            .field("bytes_budget", &self.bytes_budget)
            .field("retention_interval", &self.retention_interval)
            .field("on_damage", &self.on_damage)
            .field("slow", &self.slow)
            .field("create", &self.create)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_of_nothing_is_a_millisecond() {
        let durability = |interval| Options::new().durability(Durability::Interval(interval)).durability;
        assert_eq!(durability(Duration::ZERO), Durability::Interval(Duration::from_millis(1)));
        assert_eq!(durability(Duration::from_secs(1)), Durability::Interval(Duration::from_secs(1)));
    }
}
