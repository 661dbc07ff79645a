//! fjall: a log-structured key-value store. The stream and a number are the key.
//!
//! A commit that syncs does so under the lock of its journal: threads do not share a sync.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::common::Event;
use crate::encode::{Counters, decode, encode, key};
use crate::peer::{Each, Peer, Reader, Result, Writer};

pub struct Store {
    db: Database,
    entries: Keyspace,
    counters: Counters,
    persist: Option<PersistMode>,
}

/// As it comes: each write goes to the file of the journal.
pub fn open_buffer(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, None)
}

pub fn open_sync(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, Some(PersistMode::SyncData))
}

fn open(path: &Path, persist: Option<PersistMode>) -> Result<Box<dyn Peer>> {
    let db = Database::builder(path).open()?;
    let entries = db.keyspace("entries", KeyspaceCreateOptions::default)?;
    Ok(Box::new(Store { db, entries, counters: Counters::default(), persist }))
}

impl Peer for Store {
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(StoreStream { store: self, stream }))
    }

    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(StoreStream { store: self, stream }))
    }
}

struct StoreStream<'a> {
    store: &'a Store,
    stream: u32,
}

impl Writer for StoreStream<'_> {
    fn append(&mut self, event: &Event) -> Result {
        let number = self.store.counters.take(self.stream, 1);
        if self.store.persist.is_none() {
            return Ok(self.store.entries.insert(key(self.stream, number), encode(event))?);
        }
        let mut batch = self.store.db.batch().durability(self.store.persist);
        batch.insert(&self.store.entries, key(self.stream, number), encode(event));
        Ok(batch.commit()?)
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        let first = self.store.counters.take(self.stream, events.len() as u64);
        let mut batch = self.store.db.batch();
        if self.store.persist.is_some() {
            batch = batch.durability(self.store.persist);
        }
        for (number, event) in (first..).zip(events) {
            batch.insert(&self.store.entries, key(self.stream, number), encode(event));
        }
        Ok(batch.commit()?)
    }
}

impl Reader for StoreStream<'_> {
    fn scan(&mut self, each: Each) -> Result {
        for guard in self.store.entries.prefix(self.stream.to_be_bytes()) {
            each(decode(&guard.value()?)?);
        }
        Ok(())
    }

    fn scan_backward(&mut self, each: Each) -> Result {
        for guard in self.store.entries.prefix(self.stream.to_be_bytes()).rev() {
            each(decode(&guard.value()?)?);
        }
        Ok(())
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let value = self.store.entries.get(key(self.stream, number))?.ok_or("no such key")?;
        each(decode(&value)?);
        Ok(())
    }

    fn first(&mut self, each: Each) -> Result {
        let guard = self.store.entries.prefix(self.stream.to_be_bytes()).next().ok_or("an empty stream")?;
        each(decode(&guard.value()?)?);
        Ok(())
    }
}
