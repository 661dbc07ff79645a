//! walrus-rust: a log of topics. Its directory comes from the environment: the parent process sets `WALRUS_DATA_DIR`.
//!
//! Reading is consuming: there is one position for each topic, which only goes forward, so every reader of a topic but
//! the first is an instance of its own, and none saves the position. No entry can be looked up. A batch is synced even
//! when nothing is to be.

use std::collections::HashSet;
use std::path::Path;

use parking_lot::Mutex;
use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus};

use crate::common::Event;
use crate::encode::{decode, encode, encode_into};
use crate::peer::{Each, Peer, Reader, Result, Writer};

const READ_BYTES: usize = 1 << 20;

pub struct Log {
    walrus: Walrus,
    /// Streams that have a reader.
    read: Mutex<HashSet<u32>>,
}

pub fn open_unsynced(_: &Path) -> Result<Box<dyn Peer>> {
    open(FsyncSchedule::NoFsync)
}

/// Files are opened with `O_SYNC`, and synced after each call on top of that.
pub fn open_synced(_: &Path) -> Result<Box<dyn Peer>> {
    open(FsyncSchedule::SyncEach)
}

fn open(schedule: FsyncSchedule) -> Result<Box<dyn Peer>> {
    Ok(Box::new(Log { walrus: instance(schedule)?, read: Mutex::default() }))
}

fn instance(schedule: FsyncSchedule) -> Result<Walrus> {
    let consistency = ReadConsistency::AtLeastOnce { persist_every: u32::MAX };
    Ok(Walrus::with_consistency_and_schedule(consistency, schedule)?)
}

fn topic(stream: u32) -> String {
    format!("orders-{stream}")
}

impl Peer for Log {
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(TopicWriter { log: &self.walrus, topic: topic(stream), buffer: Vec::new() }))
    }

    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>> {
        let own = if self.read.lock().insert(stream) { None } else { Some(instance(FsyncSchedule::NoFsync)?) };
        Ok(Box::new(TopicReader { shared: &self.walrus, own, topic: topic(stream) }))
    }
}

struct TopicWriter<'a> {
    log: &'a Walrus,
    topic: String,
    buffer: Vec<u8>,
}

impl Writer for TopicWriter<'_> {
    fn append(&mut self, event: &Event) -> Result {
        encode_into(&mut self.buffer, event);
        Ok(self.log.append_for_topic(&self.topic, &self.buffer)?)
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        let records: Vec<Vec<u8>> = events.iter().map(encode).collect();
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        Ok(self.log.batch_append_for_topic(&self.topic, &records)?)
    }
}

struct TopicReader<'a> {
    shared: &'a Walrus,
    own: Option<Walrus>,
    topic: String,
}

impl TopicReader<'_> {
    fn log(&self) -> &Walrus {
        self.own.as_ref().unwrap_or(self.shared)
    }
}

impl Reader for TopicReader<'_> {
    fn scan(&mut self, each: Each) -> Result {
        loop {
            let entries = self.log().batch_read_for_topic(&self.topic, READ_BYTES, true)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in &entries {
                each(decode(&entry.data)?);
            }
        }
    }

    fn first(&mut self, each: Each) -> Result {
        let entry = self.log().read_next(&self.topic, false)?.ok_or("an empty topic")?;
        each(decode(&entry.data)?);
        Ok(())
    }
}
