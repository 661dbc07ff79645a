//! What a verification finds.

use crate::damage::Finding;

/// What the verification of one stream came to.
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
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(Finding::is_damage)
    }
}
