//! Streams into a store and out of it: as the commands with which a Redis server rebuilds them.
//!
//! | to | there is |
//! |---|---|
//! | write a stream as commands, for a server or another store | [`Stream::export`], and [`Inspection::export`] without opening the store |
//! | take in such commands, or what a server has logged (its append-only file) | [`Import`]; [`ResumableImport`] goes on where it was stopped; [`look_at_beginning`] tells before whether it is such a file |
//! | copy a store that is in use, and make a store of a copy | [`Store::backup`], [`Backup`] |
//!
//! What is written is read by `redis-cli --pipe`, by a server that loads it as its append-only file, and by [`Import`]; what a
//! server writes is read by [`Import`]. Neither needs more memory than what is pending and a few blocks take, however long the
//! stream is.
//!
//! # What is kept
//!
//! Entries with their IDs, the last ID, both counters, groups with their positions and counters, consumers, pending entries
//! with owner, time and delivery count, in the order of their delivery; what is remembered of idempotent productions, and for
//! how long. Other than in a file that a server has rewritten, entries that are pending although they were deleted stay so.
//!
//! Redis has no commands for the rest, and it is not exported: how much of a stream is kept ([`Retention`](crate::Retention)), which
//! is to be set anew; when consumers were last seen and active: they were seen when the commands are carried out, and active then
//! if they have pending entries; how many productions were ever remembered, and how many duplicates recognised: those count that
//! are remembered. A [`Backup`] has all of it.
//!
//! [`Store::backup`]: crate::Store::backup
//! [`Stream::export`]: crate::Stream::export
//! [`Inspection::export`]: crate::inspect::Inspection::export

mod apply;
mod backup;
mod beginning;
mod copy;
mod encode;
mod export;
mod foreign;
mod import;
mod manifest;
mod position;
mod report;
mod resume;

pub use backup::{BackedUp, Backup, Sharing};
pub use export::{Export, ParseRedisVersionError, Part, RedisVersion};
pub use import::{Import, ImportError, look_at_beginning};
pub use manifest::files_of;
pub use report::{Imported, Progress, Refused, Skipped, Torn};
pub use resume::{ResumableImport, abandon};
