//! A store that commands are run on: one that is ours, or one that is read while another process may be writing it.

use streamlog::command::Session;
use streamlog::{ConsumerInfo, GroupInfo, ReadOnlyStore, Result, Store};

#[derive(Clone)]
pub enum Opened {
    Writable(Store),
    ReadOnly(ReadOnlyStore),
}

impl Opened {
    pub fn session(&self) -> Session {
        match self {
            Self::Writable(store) => Session::new(store),
            Self::ReadOnly(store) => Session::read_only(store),
        }
    }

    /// The names of all streams.
    pub fn names(&self) -> Result<Vec<Vec<u8>>> {
        match self {
            Self::Writable(store) => store.names(),
            Self::ReadOnly(store) => store.names(),
        }
    }

    pub fn groups(&self, stream: &[u8]) -> Result<Vec<GroupInfo>> {
        match self {
            Self::Writable(store) => store.stream(stream)?.groups(),
            Self::ReadOnly(store) => store.stream(stream)?.groups(),
        }
    }

    pub fn consumers(&self, stream: &[u8], group: &[u8]) -> Result<Vec<ConsumerInfo>> {
        match self {
            Self::Writable(store) => store.stream(stream)?.group(group).consumers(),
            Self::ReadOnly(store) => store.stream(stream)?.group(group).consumers(),
        }
    }
}
