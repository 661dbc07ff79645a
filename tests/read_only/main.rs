//! Promise: a second process may look. It sees what the writer has published, of one moment, through everything that the writer
//! does; the writer is not held up, and not one byte is written.
//!
//! | module | |
//! |---|---|
//! | [`equal`] | after each of many operations, a reader sees what the writer sees |
//! | [`published`] | at `Always` nothing is seen before it is synced |
//! | [`changes`] | streams that are deleted, created, renamed, trimmed and damaged while somebody reads |
//! | [`many`] | many idle streams, and the one that changes |
//! | [`waiting`] | reads that wait, and following |
//! | [`untouched`] | nothing is written, locked or held |
//! | [`kills`] | two processes: each entry once, in order, through rotations, trims and kills of the writer |
//!
//! `STREAMLOG_SEED` repeats random operations.
#![cfg(unix)]

mod changes;
mod child;
mod equal;
mod harness;
mod kills;
mod many;
mod published;
mod untouched;
mod waiting;
