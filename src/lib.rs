//! Redis Streams, embedded.
#![deny(unsafe_code)]

pub mod command;
mod entry;
mod error;
mod format;
mod id;
mod io;
mod options;
mod store;
mod stream;

pub use entry::Entry;
pub use error::{Corruption, Error, Result, SetIdConflict};
pub use id::{NewId, ParseIdError, StreamId};
pub use options::{Clock, Durability, Options, WriteMode};
pub use store::{NAME_LEN_MAX, Store};
pub use stream::{AddOptions, Block, Range, Read, ReadFrom, References, SetId, Stream, StreamInfo, Trim};
