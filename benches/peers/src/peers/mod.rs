//! The peers, one file each, and the ways of using them that are measured.

mod commitlog;
mod fjall;
mod honker;
mod lmdb;
mod okaywal;
mod raft_engine;
mod redb;
pub mod redis;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sqlite;
mod streamlog;
mod walrus;
mod wedb;
mod yaque;

use std::path::Path;

use crate::peer::{Class, Job, Peer, Result, Spec};

use Class::{Disk, Memory, PageCache};
use Job::{Append, AppendBatch, Deliver, Durable, DurableStreams, Read, Streams, Threads};

type Open = fn(&Path) -> Result<Box<dyn Peer>>;

const fn spec(krate: &'static str, variant: &'static str, class: Class, jobs: &'static [Job], open: Open) -> Spec {
    Spec { krate, variant, class, jobs, singly: false, open }
}

/// In the order in which they take turns.
pub const SPECS: &[Spec] = &[
    Spec { singly: true, ..spec("streamlog", "Os", PageCache, ALL, streamlog::open_os) },
    spec("streamlog", "Os, added in batches of 100", PageCache, &[Read], streamlog::open_os),
    spec("streamlog", "Always", Disk, SYNCED, streamlog::open_always),
    spec("wedb_embed", "as it comes", Memory, &[Append, AppendBatch], wedb::open_default),
    spec("wedb_embed", "journal written", PageCache, ALL, wedb::open_written),
    spec("wedb_embed", "persist", Disk, SYNCED, wedb::open_synced),
    spec("honker", "NORMAL", PageCache, ALL, honker::open_normal),
    spec("honker", "FULL", Disk, SYNCED, honker::open_full),
    // Singly, since each batch is synced.
    Spec {
        singly: true,
        ..spec("walrus-rust", "NoFsync", PageCache, &[Append, Threads, Read, Streams], walrus::open_unsynced)
    },
    spec("walrus-rust", "SyncEach", Disk, SYNCED, walrus::open_synced),
    spec("commitlog", "", PageCache, LOG, commitlog::open),
    spec("okaywal", "", Disk, &[Durable, Read], okaywal::open),
    Spec { singly: true, ..spec("raft-engine", "sync = false", PageCache, LOG, raft_engine::open_unsynced) },
    spec("raft-engine", "sync = true", Disk, SYNCED, raft_engine::open_synced),
    spec("fjall", "Buffer", PageCache, LOG, fjall::open_buffer),
    spec("fjall", "SyncData", Disk, SYNCED, fjall::open_sync),
    spec("redb", "None", Memory, &[Append, AppendBatch], redb::open_none),
    spec("redb", "file not synced", PageCache, LOG, redb::open_unsynced),
    spec("redb", "Immediate", Disk, SYNCED, redb::open_immediate),
    spec("sqlite", "OFF", PageCache, ALL, sqlite::open_off),
    spec("sqlite", "NORMAL", PageCache, &[Append, AppendBatch, Threads, Deliver], sqlite::open_normal),
    spec("sqlite", "FULL", Disk, SYNCED, sqlite::open_full),
    spec("lmdb", "NOSYNC", PageCache, LOG, lmdb::open_nosync),
    spec("lmdb", "synced", Disk, SYNCED, lmdb::open_sync),
    #[cfg(feature = "rocksdb")]
    spec("rocksdb", "sync = false", PageCache, LOG, rocksdb::open_unsynced),
    #[cfg(feature = "rocksdb")]
    spec("rocksdb", "sync = true", Disk, SYNCED, rocksdb::open_synced),
    spec("redis", "appendfsync no", PageCache, ALL, redis::open_no),
    spec("redis", "appendfsync everysec", PageCache, &[Append, AppendBatch, Threads, Deliver], redis::open_everysec),
    spec("redis", "appendfsync always", Disk, SYNCED, redis::open_always),
    spec("yaque", "", PageCache, &[Append, AppendBatch, Deliver], yaque::open),
];

const ALL: &[Job] = &[Append, AppendBatch, Threads, Read, Deliver, Streams];
/// Of what has no groups.
const LOG: &[Job] = &[Append, AppendBatch, Threads, Read, Streams];

const SYNCED: &[Job] = &[Durable, DurableStreams];

/// What peers do not do, and why.
pub const LACKS: &[(&str, Job, &str)] = &[
    ("okaywal", Append, "syncs each entry: there is no class of the page cache"),
    ("okaywal", AppendBatch, "syncs each entry: there is no class of the page cache"),
    ("walrus-rust", AppendBatch, "syncs each batch, whatever it is told: see that class"),
    ("okaywal", Threads, "syncs each entry: there is no class of the page cache"),
    ("commitlog", Durable, "its `flush` syncs the index, but not the log"),
    ("commitlog", DurableStreams, "its `flush` syncs the index, but not the log"),
    ("okaywal", DurableStreams, "one log"),
    ("yaque", Durable, "never syncs"),
    ("yaque", DurableStreams, "never syncs"),
    ("yaque", Threads, "one sender, one queue"),
    ("yaque", Read, "reading takes entries out"),
    ("yaque", Streams, "one queue"),
    ("okaywal", Streams, "one log"),
    ("okaywal", Deliver, "no groups"),
    ("walrus-rust", Deliver, "one position for a topic, no groups and no acknowledgements"),
    ("commitlog", Deliver, "no groups"),
    ("raft-engine", Deliver, "no groups"),
    ("fjall", Deliver, "no groups; they would be ours"),
    ("redb", Deliver, "no groups; they would be ours"),
    ("lmdb", Deliver, "no groups; they would be ours"),
];

/// Peers that are not measured at all in this run, and why.
pub fn absent() -> Vec<(&'static str, &'static str)> {
    let mut absent = Vec::new();
    if redis::version().is_none() {
        absent.push(("redis", "there is no `redis-server` on `PATH`"));
    }
    if cfg!(not(feature = "rocksdb")) {
        absent.push(("rocksdb", "it is built with `--features rocksdb` only"));
    }
    absent
}
