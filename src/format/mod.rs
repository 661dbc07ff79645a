//! The bytes on disk: pure functions over slices, without I/O, clock or unsafe code.
//!
//! # What is in a store
//!
//! ```text
//! LOCK                            the store's identity, and the lock of the one writing process
//! intent                          a change of several streams that is being made (only while it is)
//! import/                         where an import goes on that is stopped (only while there is one)
//! BACKUP                          says that the store is a backup (only if it is one)
//! reserve                         room for deleting on a full disk; its content means nothing
//! published                       what other processes may see of streams that are open; nothing depends on it
//! streams/<escaped name>/
//!     meta                        the stream's superblock: two slots
//!     00000000000000000001.log    segments, named after the ordinal of their first entry
//!     00000000000000000001.idx    the sparse index of a sealed segment (derived)
//!     00000000000000000001.journal  what is not an entry, named after its generation
//! tmp/<random name>/              a stream that is being created or removed
//! quarantine/<escaped name>/      copies of damaged files that were replaced (only if there were any)
//! ```
//!
//! A segment and a journal are a [header] followed by [frames](record) to the end; what the frames hold is specified
//! in [`entries`] for segments and in [`journal`] for journals. The other modules specify [`meta`], [`index`], [`board`],
//! [`store`] and [names](file_name). What is in `import` is told in `transfer::resume`. The name of a file that
//! is not complete yet ends in `.new`.
//!
//! # Conventions
//!
//! Integers are little-endian. A *varint* is an unsigned LEB128 number of at most ten bytes. An *ID* is its
//! milliseconds, then its sequence, each a `u64` unless stated otherwise. A *string* is a varint length, then that many
//! bytes. Reserved bytes are written as zeros and ignored when read. All offsets are in bytes from the start of the file.
//!
//! An *ordinal* numbers the entries of a stream from 1 in the order in which they were added; it never changes and is
//! never reused, also when the entry is deleted. A *change* is a record of the journal; changes are counted from 1, too.
//!
//! # Versions
//!
//! Every file starts with a magic number, the format version, and three sets of feature bits: a reader that does not
//! know a *compatible* feature ignores it, one that does not know a *read-only compatible* feature must not write, and
//! one that does not know an *incompatible* feature must not open the file at all. This is version 1, which opens no file with
//! either that it does not know, not even for reading; the one feature there is is a read-only compatible one of [`meta`], for
//! streams with rules of retention.
//!
//! # What is assumed of a disk
//!
//! After a successful sync, bytes and size of a file survive power loss; before it, each 512-byte sector of a write may
//! hold the old bytes, the new bytes, or some of both, in any order among sectors. A sector that is being written may
//! come out damaged; sectors that are not being written do not change. Renames are atomic, and durable once their
//! directory is synced. CRC-32 detects accidents, not an attacker who can write to the store.
//!
//! # Invariants
//!
//! - **F1** Bytes that were synced never change, but for the two slots of `meta`; a slot is only written while the other
//!   one is synced and valid.
//! - **F2** A frame's checksum covers the identity of its file and its own offset: a stale, misplaced or recycled frame
//!   never validates, and neither do zeros.
//! - **F3** A segment's successor gets its final name only when the segment is sealed and synced.
//! - **F4** A change that names an entry becomes durable only after that entry; each change carries the ordinal up to
//!   which it depends on the log, and each entry the change up to which it depends on the journal.
//! - **F5** The trim floor is durable before a segment below it is removed, and segments are removed oldest first.
//! - **F6** A segment whose end was torn is sealed there, after what was kept has been written again and synced, and is
//!   never appended to again.

pub mod board;
pub mod codec;
pub mod entries;
pub mod file_name;
pub mod groups;
pub mod header;
pub mod index;
pub mod journal;
pub mod meta;
pub mod new_entries;
pub mod record;
pub mod search;
pub mod store;

/// The version of the format that this crate writes.
pub const VERSION: u16 = 1;

/// Ordinals, and the numbers of changes and of generations, are below this: no stream gets there, and sums of them do not
/// overflow.
pub const NUMBER_MAX: u64 = 1 << 62;

/// 128 random bits that tell a store, a stream or a file from every other.
pub type Identity = [u8; 16];
