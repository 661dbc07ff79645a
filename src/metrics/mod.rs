//! What a store is at, in numbers: see [`Store::metrics`](crate::Store::metrics).
//!
//! # Cost
//!
//! Nothing is counted when an entry is added, delivered or acknowledged: what is needed is there already. A sync costs three
//! atomic additions. A snapshot costs reading the store's directory, to count the streams, and for each stream that is open a
//! look at its groups and at the size of each of its files. It holds nobody up but for the moment in which it copies the state
//! of a stream's groups. Streams that are not open are only counted: they take part in nothing, and opening them for their
//! numbers would cost more than they do ([`inspect`](crate::inspect) tells them without opening the store).
//!
//! # For a collector
//!
//! [`Metrics::open_metrics`] writes a snapshot down as [OpenMetrics], as Prometheus and others read it.
//!
//! | metric | type | labels | |
//! |---|---|---|---|
//! | `streamlog_streams` | gauge | | streams there are |
//! | `streamlog_streams_open` | gauge | | those that are open, which the rest is about |
//! | `streamlog_readers_waiting` | gauge | | reads that wait, of threads and futures |
//! | `streamlog_poisoned` | gauge | | 1 if the store refuses to write |
//! | `streamlog_sync_duration_seconds` | histogram | | syncs of logs and journals |
//! | `streamlog_operations_total` | counter | `operation` | see [`Operation`] |
//! | `streamlog_operations_slow_total` | counter | `operation` | those that took as long as [`Options::slow`](crate::Options::slow) |
//! | `streamlog_stream_entries` | gauge | `stream` | entries there are |
//! | `streamlog_stream_entries_added_total` | counter | `stream` | entries ever added |
//! | `streamlog_stream_segments` | gauge | `stream` | files of the log |
//! | `streamlog_stream_size_bytes` | gauge | `stream` | all files, with the room that is allocated ahead |
//! | `streamlog_group_consumers` | gauge | `stream`, `group` | consumers |
//! | `streamlog_group_pending_entries` | gauge | `stream`, `group` | delivered and not acknowledged |
//! | `streamlog_group_released_entries` | gauge | `stream`, `group` | those of them that were given back |
//! | `streamlog_group_lag_entries` | gauge | `stream`, `group` | yet to be delivered; missing where it is not known |
//! | `streamlog_group_entries_read_total` | counter | `stream`, `group` | delivered ever, in the order of the stream; missing where it is not known |
//!
//! Names are any bytes, labels are UTF-8: what is not, and a backslash, is written as `\x` and two digits, so that no two names
//! have the same label. A stream that is closed for want of use has no series until it is opened again.
//! `streamlog_stream_entries_added_total` and `streamlog_group_entries_read_total` go back when a stream is deleted or its
//! counters are set, which collectors take for a restart.
//!
//! # Events
//!
//! With the feature `tracing`, what is rare is told to a collector of the crate [tracing](https://docs.rs/tracing), with the target
//! `streamlog`. Spans enclose what takes long, in the thread that does it:
//!
//! | span | level | fields | encloses |
//! |---|---|---|---|
//! | `open_store` | debug | `path` | opening a store |
//! | `close_store` | debug | `path` | closing it: syncing and letting go of all streams |
//! | `open_stream` | debug | `stream` | opening a stream: recovery, if it was not closed |
//! | `create_stream` | debug | `stream` | making a stream |
//! | `delete_streams` | debug | `stream`, the first of them | deleting streams |
//! | `rename_stream`, `copy_stream`, `repair_stream` | debug | `stream` | the call of that name |
//! | `rotate` | debug | `stream` | going on in a new segment |
//! | `checkpoint` | debug | `stream` | beginning a new generation of the journal |
//! | `sync` | trace | `stream` | a sync of log and journal |
//!
//! | event | level | fields |
//! |---|---|---|
//! | `done` | the span's | `elapsed_us`; it is in the span that ends with it |
//! | `slow` | warn | `operation`, the name of the span; `elapsed_us`, `threshold_us` |
//! | `opened` | debug | `stream`, `last_id`: it had been closed |
//! | `opened after a crash; nothing was lost` | info | `stream`, `last_id` |
//! | `opened after a crash; what it cut short was dropped` | warn | `stream`, `last_id`, `log_bytes_dropped`, `journal_bytes_dropped`, `entries_dropped`, `changes_dropped` |
//! | `a damaged stream goes on` | error | `stream`, `finding` |
//! | `poisoned` | error | `cause`: from now on the store refuses to write |
//!
//! Names of streams are text in events, with bytes that are not UTF-8 replaced. Entries, and the names of groups and consumers,
//! are in none.
//!
//! [OpenMetrics]: https://prometheus.io/docs/specs/om/open_metrics_spec/

mod open_metrics;
mod operations;
mod snapshot;
mod times;

use std::time::Duration;

pub use operations::Operation;
pub(crate) use operations::Operations;
pub use times::Latencies;

use crate::{GroupInfo, StreamId};

/// A store in numbers, at some moment: see [`Store::metrics`](crate::Store::metrics).
///
/// # Examples
///
/// ```
/// let store = streamlog::Store::in_memory();
/// let orders = store.stream("orders")?;
/// orders.add([("order", "o1")])?;
/// let before = store.metrics()?;
/// assert_eq!((before.streams, before.open_streams[0].entries), (1, 1));
///
/// orders.add([("order", "o2")])?;
/// let rates = store.metrics()?.since(&before);
/// assert!(rates.entries_added > 0.0); // a second
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// How long after the store was opened it was taken.
    pub age: Duration,
    /// How many streams there are.
    pub streams: u64,
    /// Those that are open, in ascending order of their names.
    pub open_streams: Vec<StreamMetrics>,
    /// How many reads wait, of threads and futures.
    pub readers_waiting: u64,
    /// Why the store refuses to write, if it does.
    pub poisoned: Option<String>,
    /// How long the syncs of logs and journals took. At [`Durability::Os`](crate::Durability::Os) there are few.
    pub syncs: Latencies,
    /// How often each kind of operation was done, and how many of these were slow.
    pub operations: Vec<OperationMetrics>,
}

/// How often something was done since the store was opened.
///
/// # Examples
///
/// ```
/// use streamlog::{Store, metrics::Operation};
///
/// let store = Store::in_memory();
/// store.create("orders")?;
/// let operations = store.metrics()?.operations;
/// let made = operations.iter().find(|metrics| metrics.operation == Operation::CreateStream).expect("all are there");
/// assert_eq!((made.count, made.slow), (1, 0));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationMetrics {
    /// What.
    pub operation: Operation,
    /// How often.
    pub count: u64,
    /// How often it took as long as [`Options::slow`](crate::Options::slow) or longer.
    pub slow: u64,
}

/// A stream in numbers.
///
/// # Examples
///
/// ```
/// use streamlog::{Position, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
///
/// orders.group("workers").create(Position::Start)?;
/// let metrics = store.metrics()?.open_streams.remove(0);
/// assert_eq!((metrics.name.as_slice(), metrics.last_id), (&b"orders"[..], id));
/// assert_eq!((metrics.entries, metrics.entries_added, metrics.segments), (1, 1, 1));
/// assert_eq!(metrics.groups[0].lag, Some(1));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamMetrics {
    /// Its name.
    pub name: Vec<u8>,
    /// How many entries it has.
    pub entries: u64,
    /// How many were ever added.
    pub entries_added: u64,
    /// The last ID.
    pub last_id: StreamId,
    /// How many files its log has.
    pub segments: u64,
    /// How long its files are together, with the room that is allocated ahead, in bytes.
    pub bytes: u64,
    /// Its groups, in ascending order of their names, with what is pending and how far each lags behind.
    pub groups: Vec<GroupInfo>,
}

/// What happened between two snapshots, a second.
///
/// # Examples
///
/// ```
/// # let store = streamlog::Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # orders.add([("order", "o1")])?;
/// let before = store.metrics()?;
/// for order in ["o2", "o3"] {
///     orders.add([("order", order)])?;
/// }
/// let rates = store.metrics()?.since(&before);
/// let (name, added) = &rates.by_stream[0];
/// assert_eq!(name, b"orders");
/// assert_eq!((added * rates.elapsed.as_secs_f64()).round(), 2.0);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Rates {
    /// How long it was between them.
    pub elapsed: Duration,
    /// Entries that were added a second, to all streams that were open both times.
    pub entries_added: f64,
    /// The same stream by stream, in ascending order of their names.
    pub by_stream: Vec<(Vec<u8>, f64)>,
    /// New entries that were delivered a second, for each group that was there both times and of which it can be told how many
    /// it has read; by stream, in the order of its groups.
    pub by_group: Vec<GroupRate>,
    /// Syncs a second.
    pub syncs: f64,
    /// How long these took.
    pub sync_times: Latencies,
}

/// How many entries a group has read, if that can be told.
fn read_by(stream: &StreamMetrics, group: &GroupInfo) -> Option<u64> {
    let by_lag = || stream.entries_added.checked_sub(u64::try_from(group.lag?).ok()?);
    group.entries_read.or_else(by_lag)
}

/// How fast a group reads.
///
/// # Examples
///
/// ```
/// use streamlog::{GroupOptions, Position};
/// # let store = streamlog::Store::in_memory();
/// # let orders = store.stream("orders")?;
///
/// let workers = orders.group("workers");
/// workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
/// let before = store.metrics()?;
/// orders.add([("order", "o1")])?;
/// workers.consumer("alice").read().new_entries()?;
/// let rates = store.metrics()?.since(&before);
/// let rate = &rates.by_group[0];
/// assert_eq!((&*rate.stream, &*rate.group), (&b"orders"[..], &b"workers"[..]));
/// assert_eq!((rate.delivered * rates.elapsed.as_secs_f64()).round(), 1.0);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GroupRate {
    /// The name of the stream.
    pub stream: Vec<u8>,
    /// The name of the group.
    pub group: Vec<u8>,
    /// New entries that were delivered, a second.
    pub delivered: f64,
}

impl Metrics {
    /// What happened since an earlier snapshot of the same store.
    ///
    /// A stream of which fewer entries were added than before was deleted and created again, or had its counters set: it counts
    /// from zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # let store = streamlog::Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # orders.add([("order", "o1")])?;
    /// let before = store.metrics()?;
    /// assert_eq!(store.metrics()?.since(&before).entries_added, 0.0);
    /// orders.add([("order", "o2")])?;
    /// assert!(store.metrics()?.since(&before).entries_added > 0.0);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Rates {
        let elapsed = self.age.saturating_sub(earlier.age);
        let seconds = elapsed.as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let before = |stream: &StreamMetrics| {
            let at = earlier.open_streams.binary_search_by(|before| before.name.cmp(&stream.name)).ok()?;
            earlier.open_streams.get(at)
        };
        let added = |stream: &StreamMetrics| {
            let before = before(stream)?.entries_added;
            Some(stream.entries_added.checked_sub(before).unwrap_or(stream.entries_added))
        };
        let delivered = |stream: &StreamMetrics, group: &GroupInfo| {
            let earlier = before(stream)?;
            let before = earlier.groups.iter().find(|before| before.name == group.name)?;
            // A position that was set back is no rate.
            let count = read_by(stream, group)?.checked_sub(read_by(earlier, before)?)?;
            Some(GroupRate { stream: stream.name.clone(), group: group.name.clone(), delivered: rate(count) })
        };
        let groups = self.open_streams.iter().flat_map(|stream| stream.groups.iter().map(move |group| (stream, group)));
        let added: Vec<_> =
            self.open_streams.iter().filter_map(|stream| Some((stream.name.clone(), added(stream)?))).collect();
        let sync_times = self.syncs.since(&earlier.syncs);
        Rates {
            elapsed,
            // Not the counts: clients may set them to numbers whose sum is none.
            entries_added: added.iter().map(|(_, count)| rate(*count)).sum(),
            by_stream: added.into_iter().map(|(name, count)| (name, rate(count))).collect(),
            by_group: groups.filter_map(|(stream, group)| delivered(stream, group)).collect(),
            syncs: rate(sync_times.count()),
            sync_times,
        }
    }
}
