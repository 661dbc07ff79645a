//! RocksDB: a log-structured key-value store. The stream and a number are the key; threads share a sync.

use std::path::Path;

use rocksdb::{DB, Direction, IteratorMode, Options, WriteBatch, WriteOptions};

use crate::common::Event;
use crate::encode::{Counters, decode, encode_into, key};
use crate::peer::{Each, Peer, Reader, Result, Writer};

pub struct Store {
    db: DB,
    counters: Counters,
    sync: bool,
}

/// As it comes: each write goes to the file of its write-ahead log.
pub fn open_unsynced(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, false)
}

pub fn open_synced(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, true)
}

fn open(path: &Path, sync: bool) -> Result<Box<dyn Peer>> {
    let mut options = Options::default();
    options.create_if_missing(true);
    Ok(Box::new(Store { db: DB::open(&options, path)?, counters: Counters::default(), sync }))
}

impl Peer for Store {
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>> {
        let mut options = WriteOptions::default();
        options.set_sync(self.sync);
        Ok(Box::new(StoreWriter { store: self, stream, record: Vec::new(), options }))
    }

    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(StoreReader { db: &self.db, stream }))
    }
}

struct StoreWriter<'a> {
    store: &'a Store,
    stream: u32,
    record: Vec<u8>,
    options: WriteOptions,
}

impl Writer for StoreWriter<'_> {
    fn append(&mut self, event: &Event) -> Result {
        encode_into(&mut self.record, event);
        let number = self.store.counters.take(self.stream, 1);
        Ok(self.store.db.put_opt(key(self.stream, number), &self.record, &self.options)?)
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        let mut batch = WriteBatch::default();
        let first = self.store.counters.take(self.stream, events.len() as u64);
        for (number, event) in (first..).zip(events) {
            encode_into(&mut self.record, event);
            batch.put(key(self.stream, number), &self.record);
        }
        Ok(self.store.db.write_opt(batch, &self.options)?)
    }
}

struct StoreReader<'a> {
    db: &'a DB,
    stream: u32,
}

impl StoreReader<'_> {
    fn show_all(&self, from: u64, direction: Direction, each: Each) -> Result {
        let from = key(self.stream, from);
        for entry in self.db.iterator(IteratorMode::From(&from, direction)) {
            let (key, value) = entry?;
            if !key.starts_with(&self.stream.to_be_bytes()) {
                break;
            }
            each(decode(&value)?);
        }
        Ok(())
    }
}

impl Reader for StoreReader<'_> {
    fn scan(&mut self, each: Each) -> Result {
        self.show_all(0, Direction::Forward, each)
    }

    fn scan_backward(&mut self, each: Each) -> Result {
        self.show_all(u64::MAX, Direction::Reverse, each)
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let value = self.db.get_pinned(key(self.stream, number))?.ok_or("no such key")?;
        each(decode(&value)?);
        Ok(())
    }
}
