//! Named streams in a directory.

use std::path::Path;

use crate::{Options, Read, Result, Stream};

/// The longest name a stream can have, in bytes.
pub const NAME_LEN_MAX: usize = 3072;

/// A directory of streams. Cheap to clone; all clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    _private: (),
}

impl Store {
    /// Opens the store in `path`, creating it if it is missing.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Options::new().open(path)
    }
    pub(crate) fn open_with(_options: Options, _path: &Path) -> Result<Self> {
        todo!()
    }
    /// An empty store in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Options::new().in_memory()
    }
    pub(crate) fn in_memory_with(_options: Options) -> Self {
        todo!()
    }
    /// A handle to the stream `name`, which need not exist yet. The first add creates it.
    pub fn stream(&self, _name: impl AsRef<[u8]>) -> Result<Stream> {
        todo!()
    }
    /// Creates an empty stream; [`Error::StreamExists`](crate::Error::StreamExists) if there is one.
    pub fn create(&self, _name: impl AsRef<[u8]>) -> Result<Stream> {
        todo!()
    }
    /// The names of all streams, in ascending order of their bytes.
    pub fn names(&self) -> Result<Vec<Vec<u8>>> {
        todo!()
    }
    /// Whether there is a stream of that name.
    pub fn exists(&self, _name: impl AsRef<[u8]>) -> Result<bool> {
        todo!()
    }
    /// Deletes streams, all at once; returns how many there were.
    pub fn delete<N: AsRef<[u8]>>(&self, _names: impl IntoIterator<Item = N>) -> Result<u64> {
        todo!()
    }
    /// Deletes all streams.
    pub fn delete_all(&self) -> Result<()> {
        todo!()
    }
    /// Renames a stream, replacing one that has the new name.
    pub fn rename(&self, _from: impl AsRef<[u8]>, _to: impl AsRef<[u8]>) -> Result<()> {
        todo!()
    }
    /// Renames a stream unless the new name is taken; returns whether it did.
    pub fn rename_new(&self, _from: impl AsRef<[u8]>, _to: impl AsRef<[u8]>) -> Result<bool> {
        todo!()
    }
    /// Copies a stream; `false` if the target exists and is not to be replaced, or if there is no source.
    pub fn copy(&self, _from: impl AsRef<[u8]>, _to: impl AsRef<[u8]>, _replace: bool) -> Result<bool> {
        todo!()
    }
    /// Starts a read of several streams.
    pub fn read(&self) -> Read {
        todo!()
    }
    /// The time, in milliseconds since the Unix epoch, by the store's clock.
    pub fn now_ms(&self) -> u64 {
        todo!()
    }
    /// Makes everything that was acknowledged so far survive power loss.
    pub fn sync(&self) -> Result<()> {
        todo!()
    }
    /// Ends all blocked reads, syncs everything and closes the store. Later calls on any clone fail.
    pub fn close(self) -> Result<()> {
        todo!()
    }
}
