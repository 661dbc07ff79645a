//! What the fuzz targets do, each with the bytes that the fuzzer makes up.
//!
//! | target | the bytes are |
//! |---|---|
//! | [`frame`] | frames at the end of a log or journal |
//! | [`segment`], [`journal`] | edits of the header and the frames of a file |
//! | [`index`], [`meta`] | edits of the file |
//! | [`directory`] | edits of all files of a store, and of which there are |
//! | [`command`] | commands |
//! | [`resp`] | what a client sends |
//! | [`operations`] | operations on a store, with reopening, kills and power losses |
//!
//! Files are given the checksums that their bytes call for, so that not all of them are refused at the gate: see
//! [`checksums`]. What a store is good for then is asked in [`examine`].
//!
//! Nothing here needs the fuzzer: `tests/corpus` replays all that it has found so far.

mod checksums;
mod damage;
mod examine;
mod frames;
mod subject;

pub mod command;
pub mod directory;
pub mod frame;
pub mod index;
pub mod journal;
pub mod meta;
pub mod operations;
pub mod resp;
pub mod segment;
