//! Redis Streams, embedded.
#![deny(unsafe_code)]

pub mod command;
mod entry;
mod env;
mod error;
mod format;
mod group;
mod id;
mod io;
mod log;
mod options;
mod store;
mod stream;
mod waiters;

pub use entry::{Entry, Fields};
pub use error::{Corruption, Error, Result, SetIdConflict};
pub use id::{NewId, ParseIdError, StreamId};
#[doc(hidden)]
pub use io::sim;
pub use options::{Clock, Durability, Options, WriteMode};
pub use store::{NAME_LEN_MAX, Store};
pub use stream::{
    AddOptions, Block, ENTRY_LEN_MAX, Range, Read, ReadFrom, References, SetId, Stream, StreamInfo, Trim,
};
