//! What a verification finds.

use crate::damage::Finding;

/// What the verification of one stream came to.
///
/// # Examples
///
/// ```
/// use streamlog::{Store, inspect::Inspection};
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
/// assert!(report.is_damaged());
/// assert_eq!((report.segments, report.findings.len()), (1, 1));
/// assert_eq!(report.entries, 0, "it is not opened like that");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport {
    /// The name; of a long one that cannot be read, the directory's.
    pub name: Vec<u8>,
    /// What was found, in the order of files and offsets.
    pub findings: Vec<Finding>,
    /// How many segments there are.
    pub segments: u64,
    /// Living entries; 0 if the stream cannot be opened.
    pub entries: u64,
    /// How many bytes of files were checked.
    pub bytes: u64,
}

impl StreamReport {
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
    /// assert!(!Inspection::open(path)?.verify_stream("orders", |_| {})?.is_damaged());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(Finding::is_damage)
    }
}
