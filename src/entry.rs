//! Entries as users see them.

use crate::StreamId;

/// An entry: an ID and its fields, each a name and a value, in the order in which they were added.
#[derive(Clone)]
pub struct Entry {
    id: StreamId,
}

impl Entry {
    /// The ID.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }
    /// The fields, name and value, in the order in which they were added.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        std::iter::empty()
    }
    /// The value of the first field of that name.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.fields().find(|(n, _)| *n == name).map(|(_, value)| value)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id.fmt(f)
    }
}
