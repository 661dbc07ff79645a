//! Redis Streams, embedded: an append-only log of entries inside your process and on your disk, without a server.
//!
//! A [`Store`] is a directory of named [`Stream`]s. A stream is a log of [`Entry`]s in the order of their [`StreamId`]s,
//! each a list of fields with names and values. What Redis' commands do, the typed API does without parsing text;
//! the [`command`] module does it with the arguments and replies of Redis.
//!
//! # Quick start
//!
//! ```
//! use streamlog::{ReadFrom, Store, Trim};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path();
//! let store = Store::open(path)?; // a directory, created if it is missing
//! let orders = store.stream("orders")?; // a cheap handle; the first add creates the stream
//!
//! // On disk when this returns.
//! let id = orders.add([("type", "order.created"), ("total", "49.99")])?;
//! orders.add([("type", "order.paid"), ("order", "o1")])?;
//!
//! // Ranges have two ends.
//! for entry in orders.range(..).rev().take(10) {
//!     let entry = entry?;
//!     println!("{} {}", entry.id(), entry.get_str("type").unwrap_or("?"));
//! }
//!
//! // What came after an ID.
//! let news = orders.read(ReadFrom::After(id)).count(100).run()?; // of each stream that has any
//! assert_eq!(news[0].1[0].get_str("type"), Some("order.paid"));
//!
//! orders.trim(Trim::to_len(1_000_000))?;
//! store.close()?; // reports what dropping the store cannot
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In tests, [`Store::in_memory`] gives the same without a directory. The [`guide`] goes through all of it: durability, groups,
//! retention, recipes, and each Redis command beside the call that does the same.
//!
//! # Consumer groups
//!
//! A [`Group`] shares the entries of a stream among its consumers. Each entry is delivered to one of them, and is *pending*
//! until it is acknowledged; what a consumer does not finish is taken over by another.
//!
//! ```
//! use std::time::Duration;
//! use streamlog::{GroupOptions, Position, Store};
//!
//! let store = Store::in_memory();
//! let orders = store.stream("orders")?;
//! let processors = orders.group("order-processors");
//! processors.create_with(GroupOptions::new(Position::Start).create_stream())?; // and the stream, if it is missing
//! orders.add([("type", "order.created"), ("order", "o1")])?;
//!
//! // A worker. Its read may wait: whoever waits longest is served first.
//! let alice = processors.consumer("alice");
//! for order in alice.read().count(10).block(Duration::from_secs(5)).new_entries()? {
//!     println!("processing {}", order.get_str("order").unwrap_or("?"));
//!     alice.ack([order.id()])?;
//! }
//!
//! // A reclaimer finishes what others have left lying for a minute.
//! let taken = processors.consumer("reclaimer").auto_claim(Duration::from_secs(60)).count(10).run()?;
//! assert_eq!((taken.entries.len(), processors.pending()?.count), (0, 0));
//! # Ok::<(), streamlog::Error>(())
//! ```
//!
//! | to | there is |
//! |---|---|
//! | read what is new, what is left lying, or one's own unfinished entries | [`Consumer::read`]; of several streams [`Store::read_group`] |
//! | say that entries are finished; and delete them | [`Group::acknowledge`]; [`Group::acknowledge_and_delete`] |
//! | give entries back: not looked at, failed, hopeless | [`Group::release`] |
//! | take entries over, by their IDs or by how long they lie | [`Consumer::claim`], [`Consumer::auto_claim`] |
//! | look | [`Group::pending`], [`Group::pending_entries`], [`Group::info`], [`Stream::group_details`] |
//! | delete and trim without losing what is pending | [`References`] with [`Stream::delete_with`] and [`Trim::references`] |
//!
//! A delivery is as durable as an entry, and never ahead of it: after a crash an entry is new to a group, or pending, or
//! acknowledged, and nothing that was acknowledged durably comes back. Delivery times and counts, also those of entries read
//! again or deleted meanwhile, survive. Only when a consumer was last seen without being given anything is not waited for: of
//! these notes a power loss may take the last ones. A pending entry takes about 42 bytes of memory, and a delivery 2 to 3
//! bytes of disk in batches, about 33 alone.
//!
//! An entry can also be added so that repeating it does no harm: see [`AddOptions::production`].
//!
//! # Retention
//!
//! A stream is trimmed when [`Stream::trim`] or [`AddOptions::trim`] says so, and by itself where it has a [`Retention`], which
//! is stored with it. Always the oldest entries go, as if trimmed: groups keep their positions, and counters stay.
//!
//! | what is kept | what there may be beyond it | and for how long, while the stream is open |
//! |---|---|---|
//! | [`max_len`](Retention::max_len) entries | nothing | |
//! | entries younger than [`max_age`](Retention::max_age) | older ones | a 64th of the age, from a second to a minute |
//! | | their bytes: those of a segment | until the last entry of the segment is too old |
//! | segments of [`max_bytes`](Retention::max_bytes) | a segment of one entry or batch that needs more, or from before the limit | until it is not the newest |
//! | what groups need, [`acknowledged_only`](Retention::acknowledged_only) | all that comes after the first such entry; with `max_len`, 100 entries and a batch | until it is acknowledged, and a second |
//! | all files of a store, [`Options::bytes_budget`] | a segment, where journals and new streams take its room | a second |
//!
//! Segments grow up to [`Options::segment_bytes_max`], and no further than an eighth of a limit in bytes. A stream that nobody
//! uses is looked at once an hour, from when any stream with a retention has been used: then segments go in which all entries are
//! too old. [`Store::enforce_retention`] does all of it at once. What a group needs is kept from the other limits too, and on a
//! disk or in a store that is full, adding is [`Error::NoSpace`] then.
//!
//! ```
//! use std::time::Duration;
//! use streamlog::{GroupOptions, Options, Position, Retention};
//!
//! # let dir = tempfile::tempdir()?;
//! // A disk buffer: what is sent goes when there is more than 256 MiB, or after three days. What is not stays, and at 512 MiB
//! // adding is an error.
//! let store = Options::new().bytes_budget(256 << 20).bytes_max(512 << 20).open(dir.path())?;
//! let buffer = store.stream("telemetry")?;
//! buffer.group("uplink").create_with(GroupOptions::new(Position::Start).create_stream())?;
//! buffer.set_retention(Retention::new().max_age(Duration::from_secs(3 * 86_400)).acknowledged_only())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A second process
//!
//! One process writes a store; others may read it meanwhile. [`Store::open_read_only`] takes no lock and writes nothing: see
//! [`ReadOnlyStore`] for what is seen when.
//!
//! ```no_run
//! use streamlog::{ReadFrom, Store};
//!
//! let orders = Store::open_read_only("data")?.stream("orders")?;
//! println!("{} entries, {} groups", orders.len()?, orders.groups()?.len());
//! for entry in orders.follow(ReadFrom::End)? {
//!     println!("{}", entry?.get_str("type").unwrap_or("?"));
//! }
//! # Ok::<(), streamlog::Error>(())
//! ```
//!
//! # Futures
//!
//! With the feature `async`, calls that wait are futures as well, for any runtime: `add_async`, `run_async`, `ack_async` and so
//! on. They hold up no thread, neither for the disk nor for entries that are yet to come, and one that is dropped loses nothing.
//! `Stream::follow` and `Consumer::deliveries` give entries as they come, as the trait `Stream` of the crate `futures`. The module
//! `futures` says where the work is done, and what becomes of what.
//!
//! # Watching a store
//!
//! [`Store::metrics`] is a snapshot of a store in numbers, and [`metrics`] says how to give it to a collector, what it costs, and
//! which spans and events there are with the feature `tracing`. [`Options::slow`] says what counts as slow.
//!
//! # What survives what
//!
//! | [`Durability`] | the process dies | the machine loses power | an operation costs |
//! |---|---|---|---|
//! | [`Always`](Durability::Always) (default) | everything acknowledged is there | everything acknowledged is there | a share of a sync |
//! | [`Interval(d)`](Durability::Interval) | everything acknowledged is there | all but the last `d` and the time of a sync | a copy in memory |
//! | [`Os`](Durability::Os) | everything acknowledged is there | a prefix of what was done | a copy in memory |
//!
//! After any crash a stream holds a prefix of what was done to it, entries, deletions and groups cut at the same point. At
//! `Always` concurrent operations share one sync, and readers see an entry only when it is durable. [`Store::sync`] makes
//! a point in time durable at any level.
//!
//! An automatic ID is never handed out twice, also when its entry was lost. For that, below `Always` an upper bound of the
//! IDs in use is kept on disk, up to five seconds ahead: after a crash the last ID of the stream may lie so far ahead of
//! the clock.
//!
//! # Failures
//!
//! What calls do after a failure; the tests in `tests/recovery/failures.rs` try every kind of call in every row. *Changes* are
//! all that write: adding, trimming and deleting, reading as a consumer, claiming and acknowledging, creating, renaming and
//! deleting streams.
//!
//! | after | changes | reading | [`Store::sync`] | [`Store::close`] | opened again |
//! |---|---|---|---|---|---|
//! | a full disk, or [`Options::bytes_max`] | what needs room is [`Error::NoSpace`] and had no effect; acknowledging, claiming, trimming and deleting work; adding does when there is room | works | works | works | all of it |
//! | another write that failed | that call is [`Error::Io`], and may or may not have been done; all later ones are [`Error::Poisoned`] | works | `Poisoned` | `Poisoned`; gives up the lock | at least all that was acknowledged |
//! | a sync that failed, also for want of room | the same, for all calls that waited for it | works | `Io`, then `Poisoned` | `Poisoned`; gives up the lock | at least all that an earlier sync had covered |
//! | a panic in the middle of a change, as of a [`Clock`] | `Poisoned` | works | `Poisoned` | `Poisoned`; gives up the lock | at least all that was acknowledged |
//! | a read that failed (through a mapping: a signal, see [`guide::limits`]) | the call that needed it is `Io` and had no effect; others work | that call is `Io` | works | works | all of it |
//! | damage found by reading | what needs what is lost is [`Error::Corrupt`] and had no effect; others work | an error in the place of what is lost, which names the IDs; goes on behind it | works | works | the same |
//! | damage found by opening a stream | `Corrupt` for that stream, unless [`OnDamage::Quarantine`]; it can be deleted; others work | the same | works | works | the same |
//! | [`Store::close`] | [`Error::Closed`]; waiting reads end | `Closed` | `Closed` | `Closed` | all of it |
//! | a fork, in the child | [`Error::Forked`] | `Forked` | `Forked` | `Forked`; the parent's store stays as it is | |
//!
//! A call that returned `Io` or `Poisoned` while others waited for the same sync says so to all of them: none of them knows.
//! Nothing retries a sync: after a failed one the operating system may take for written what is not.
//!
//! Bytes that were synced once and are not there any more, or not as they were, are damage: [`Error::Corrupt`], with the file,
//! the offset and, where it can be told, the IDs. A record that a crash cut short is not: it is dropped when the stream is
//! opened, which [`Stream::recovery`] tells. Damage costs the entries it hit. Where it is in the segment that a stream was being
//! written to, in its journal or its superblock, [`Options::on_damage`] says whether that stream is refused, as by default, or
//! goes on with what can be read; [`Store::repair`] and `streamlog repair` end it for good. There is one blind spot: damage to
//! the very last record of a file that was not closed looks like a record that was cut short.
//!
//! # Limits
//!
//! | of | limit | beyond it |
//! |---|---|---|
//! | the name of a stream | [`NAME_LEN_MAX`], 3 KiB | [`Error::NameTooLong`] |
//! | the name of a group or consumer, the ID of a producer or production | [`KEY_LEN_MAX`], 1 MiB | [`Error::NameTooLong`] |
//! | the names and values of an entry or batch | [`ENTRY_LEN_MAX`], 1 GiB; a little less of many thousands, each of which takes a few bytes more; some ten million entries | [`Error::EntryTooLarge`] |
//! | what one call changes in groups, however many IDs it names | a record of 1 GiB | [`Error::ChangeTooLarge`] |
//! | what a stream keeps of its groups and of what was deleted | a journal of 4 GiB | [`Error::ChangeTooLarge`] |
//! | entries deleted behind one that lives | 2³⁶ | [`Error::TooManyDeleted`] |
//! | descriptors (`RLIMIT_NOFILE`) | streams are closed and opened as needed | [`Error::NoDescriptors`] |
//! | mappings, address space (`RLIMIT_AS`) | a quarter of the address space is mapped | files are read and written with calls |
//! | the size of files (`RLIMIT_FSIZE`) | segments are smaller | [`Error::Io`], and no signal |
//! | all files of a store together | [`Options::bytes_max`], if it is set | [`Error::NoSpace`] |
//! | threads | `streamlog-sync` for each store at [`Durability::Interval`]; `streamlog-keep` for each with a [`Retention`] in use, or [`Options::bytes_budget`]; `streamlog-pages` and `streamlog-write` for the process, once a stream has written a few megabytes; with `futures`, `streamlog-tasks` and up to four `streamlog-commit` for each store | opening such a store, or setting a retention, is [`Error::Io`], and so is a future; without the others, others do their work |
//! | processes that write | the one that opened the store | [`Error::Locked`], [`Error::Forked`] in its children; [`Store::open_read_only`] |
//!
//! # Differences from Redis
//!
//! - Trimming approximately (`~`) removes whole blocks of 100 entries, whatever their size in bytes, and has no default
//!   limit in the typed API.
//! - Trimming and deleting free disk space a segment at a time: when nothing in it is alive.
//! - A stream's name has at most [`NAME_LEN_MAX`] bytes.
//! - A read of a group in several streams is one change in each of them, not one in all.
//!
//! # The house
//!
//! From the bottom up: `io` is the operating system or a simulated one; `format` the bytes on disk, specified there;
//! `log` the entries, `group` what is not an entry; `stream` joins the two, `store` names the streams; [`command`] speaks
//! Redis, [`inspect`] looks at stores without opening them, `follow` and `read_only` read what another process writes,
//! [`transfer`] carries streams in and out; `futures`, behind the feature `async`, has the calls that are futures, which run on
//! `tasks`; [`metrics`] counts; and `redis`, behind the feature of that name, is a connection for redis-rs.
//! `cargo doc --document-private-items` shows all of it.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod command;
mod damage;
mod entry;
mod env;
mod error;
mod follow;
mod format;
#[cfg(feature = "async")]
pub mod futures;
mod group;
pub mod guide;
mod hash;
mod id;
pub mod inspect;
mod io;
mod log;
pub mod metrics;
#[cfg(all(test, shuttle))]
mod models;
mod options;
mod read_only;
#[cfg(feature = "redis")]
pub mod redis;
mod retention;
mod store;
mod stream;
mod sync;
#[cfg(feature = "async")]
mod tasks;
mod trace;
pub mod transfer;
mod waiters;

pub use damage::{Finding, IdRange, Problem};
pub use entry::{Entry, EntryRef, Fields};
pub use error::{Corruption, Error, Result, SetIdConflict};
pub use group::KEY_LEN_MAX;
pub use id::{NewId, ParseIdError, StreamId};
#[doc(hidden)]
pub use io::sim;
pub use options::{Clock, Durability, OnDamage, Options, WriteMode};
pub use read_only::{Follow, ReadOnlyGroup, ReadOnlyStore, ReadOnlyStream};
pub use retention::Retention;
pub use store::{NAME_LEN_MAX, Store};
pub use stream::{
    AddOptions, AutoClaim, AutoClaimed, Block, Claim, Consumer, ConsumerInfo, Deletion, ENTRY_LEN_MAX, Group,
    GroupDetail, GroupEntry, GroupInfo, GroupOptions, GroupRead, GroupReadFrom, Pending, PendingEntry, PendingSummary,
    Position, ProducersInfo, Production, Range, Read, ReadFrom, RecoveryReport, References, Release, ReleaseOptions,
    Repaired, SetId, Stream, StreamInfo, Trim,
};

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
