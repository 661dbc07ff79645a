//! The faults, and what they hit.

use std::backtrace::Backtrace;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use streamlog::sim::{Failure, SimDisk};

use crate::sites::Hits;

/// An error, and how long it lasts.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub name: &'static str,
    pub failure: Failure,
    /// A write writes the first half of its bytes.
    pub tear: bool,
    /// All calls after the first one fail, too.
    pub sticky: bool,
    /// Whether it is written down which calls fail. The ways on from an error depend only on whether the disk is full.
    pub attributed: bool,
}

/// Every error, once and from then on.
pub fn all() -> impl Iterator<Item = Fault> {
    const EIO: i32 = 5;
    const EINTR: i32 = 4;
    const ENOMEM: i32 = 12;
    const EACCES: i32 = 13;
    const EMFILE: i32 = 24;
    const ENOSPC: i32 = 28;
    let errors = [
        ("EIO", EIO, false),
        ("ENOSPC", ENOSPC, false),
        ("EINTR", EINTR, false),
        ("a short write", ENOSPC, true),
        ("EMFILE", EMFILE, false),
        ("ENOMEM", ENOMEM, false),
        ("EACCES", EACCES, false),
    ];
    errors.into_iter().flat_map(|(name, errno, tear)| {
        [false, true].map(|sticky| Fault {
            name,
            failure: Failure::Os(errno),
            tear,
            sticky,
            attributed: !tear && matches!(errno, EIO | ENOSPC),
        })
    })
}

/// An operation that makes so many calls does not end.
const CALLS_MAX: u64 = 100_000;

/// So many calls are attributed when all of them fail: the ways on from an error are short.
const ATTRIBUTED_MAX: u64 = 4;

/// Lets the call `first` fail, counted from the next one on, if it comes to that. Says whether it did.
pub fn inject(disk: &SimDisk, first: u64, fault: Fault, hits: &Arc<Mutex<Hits>>) -> Injected {
    let (first, count) = (disk.calls() + first, Arc::new(AtomicU64::new(0)));
    let (hits, counted) = (Arc::clone(hits), Arc::clone(&count));
    if fault.tear {
        disk.tear_failed_writes();
    }
    disk.fail_when(move |call| {
        assert!(call.number < first + CALLS_MAX, "this does not end");
        if call.number < first || (call.number > first && !fault.sticky) {
            return None;
        }
        let before = counted.fetch_add(1, Ordering::Relaxed);
        if fault.attributed && before < ATTRIBUTED_MAX {
            hits.lock().unwrap().note(&Backtrace::force_capture());
        }
        Some(fault.failure)
    });
    Injected(count)
}

/// How many calls failed.
pub struct Injected(Arc<AtomicU64>);

impl Injected {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether this is how a disk that is full fails.
pub fn is_full(fault: &Fault) -> bool {
    std::io::Error::from(fault.failure).kind() == ErrorKind::StorageFull
}
