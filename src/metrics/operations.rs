//! What is rare enough to be watched each time: how often, how long, and whether that was slow.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::metrics::OperationMetrics;
use crate::metrics::times::Times;
use crate::trace;

/// What is counted, and has a span of its own with the feature `tracing`.
///
/// # Examples
///
/// ```
/// use streamlog::{Store, metrics::Operation};
///
/// let store = Store::in_memory();
/// store.create("orders")?;
/// store.rename("orders", "orders-2025")?;
/// for metrics in store.metrics()?.operations {
///     match metrics.operation {
///         Operation::RenameStream => assert_eq!(metrics.count, 1),
///         other => println!("{other}: {}", metrics.count),
///     }
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Opening the store.
    OpenStore,
    /// Closing it.
    CloseStore,
    /// Opening a stream, with its recovery.
    OpenStream,
    /// Making a stream.
    CreateStream,
    /// Deleting streams.
    DeleteStreams,
    /// Renaming one.
    RenameStream,
    /// Copying one.
    CopyStream,
    /// Repairing one.
    RepairStream,
    /// Going on in a new segment.
    Rotate,
    /// Beginning a new generation of a journal.
    Checkpoint,
    /// A sync of log and journal.
    Sync,
}

impl Operation {
    /// All of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, metrics::Operation};
    ///
    /// let operations = Store::in_memory().metrics()?.operations;
    /// let all = operations.iter().map(|metrics| &metrics.operation);
    /// assert!(all.eq(Operation::ALL), "also those that were never done");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub const ALL: &'static [Self] = &[
        Self::OpenStore,
        Self::CloseStore,
        Self::OpenStream,
        Self::CreateStream,
        Self::DeleteStreams,
        Self::RenameStream,
        Self::CopyStream,
        Self::RepairStream,
        Self::Rotate,
        Self::Checkpoint,
        Self::Sync,
    ];

    /// Its name, as spans have it.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::metrics::Operation;
    ///
    /// assert_eq!(Operation::CreateStream.name(), "create_stream");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenStore => "open_store",
            Self::CloseStore => "close_store",
            Self::OpenStream => "open_stream",
            Self::CreateStream => "create_stream",
            Self::DeleteStreams => "delete_streams",
            Self::RenameStream => "rename_stream",
            Self::CopyStream => "copy_stream",
            Self::RepairStream => "repair_stream",
            Self::Rotate => "rotate",
            Self::Checkpoint => "checkpoint",
            Self::Sync => "sync",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The operations of a store.
#[derive(Debug)]
pub struct Operations {
    slow: Duration,
    counts: [Count; Operation::ALL.len()],
    pub syncs: Times,
    opened: Instant,
}

#[derive(Debug, Default)]
struct Count {
    all: AtomicU64,
    slow: AtomicU64,
}

impl Operations {
    /// Operations that take as long as `slow` are.
    pub fn new(slow: Duration) -> Self {
        Self { slow, counts: Default::default(), syncs: Times::default(), opened: Instant::now() }
    }

    /// How long ago the store was opened.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Watches an operation until what is returned is dropped. It is about the stream of a name, or about a path.
    pub fn watch<'a>(&'a self, operation: Operation, about: &[u8]) -> Watch<'a> {
        Watch { operations: self, operation, begun: Instant::now(), _span: trace::enter(operation, about) }
    }

    pub fn counts(&self) -> Vec<OperationMetrics> {
        let counts = Operation::ALL.iter().zip(&self.counts);
        let counts = counts.map(|(&operation, count)| OperationMetrics {
            operation,
            count: count.all.load(Relaxed),
            slow: count.slow.load(Relaxed),
        });
        counts.collect()
    }

    /// Counts an operation, whose span has been entered.
    pub fn note(&self, operation: Operation, took: Duration) {
        if operation == Operation::Sync {
            self.syncs.add(took);
        }
        let at = Operation::ALL.iter().position(|other| *other == operation);
        let Some(count) = at.and_then(|at| self.counts.get(at)) else { return };
        count.all.fetch_add(1, Relaxed);
        trace::done(operation, took);
        if took >= self.slow {
            count.slow.fetch_add(1, Relaxed);
            trace::slow(operation, took, self.slow);
        }
    }
}

/// See [`Operations::watch`].
#[must_use = "it ends when it is dropped"]
pub struct Watch<'a> {
    operations: &'a Operations,
    operation: Operation,
    begun: Instant,
    /// Ends after the rest.
    _span: trace::Span,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.operations.note(self.operation, self.begun.elapsed());
    }
}
