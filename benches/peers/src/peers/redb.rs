//! redb: a B-tree that copies what it changes. The stream and a number are the key; one writing transaction at a time.

use std::io;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Builder, Database, Durability, ReadableDatabase, StorageBackend, TableDefinition};

use crate::common::Event;
use crate::encode::{Counters, decode, encode_into, key};
use crate::peer::{Each, Peer, Reader, Result, Writer};

const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");

pub struct Store {
    db: Database,
    counters: Counters,
    durability: Durability,
}

pub fn open_immediate(path: &Path) -> Result<Box<dyn Peer>> {
    open(Database::create(path.join("redb"))?, Durability::Immediate)
}

/// `Durability::None`: what is committed is in the cache of the process until a commit that is not.
pub fn open_none(path: &Path) -> Result<Box<dyn Peer>> {
    open(Database::create(path.join("redb"))?, Durability::None)
}

/// There is no level for the page cache. This is `Durability::Immediate` on a file that is never synced.
pub fn open_unsynced(path: &Path) -> Result<Box<dyn Peer>> {
    let file = std::fs::File::options().read(true).write(true).create(true).truncate(false).open(path.join("redb"))?;
    open(Builder::new().create_with_backend(Unsynced(FileBackend::new(file)?))?, Durability::Immediate)
}

fn open(db: Database, durability: Durability) -> Result<Box<dyn Peer>> {
    let transaction = db.begin_write()?;
    transaction.open_table(ENTRIES)?;
    transaction.commit()?;
    Ok(Box::new(Store { db, counters: Counters::default(), durability }))
}

#[derive(Debug)]
struct Unsynced(FileBackend);

impl StorageBackend for Unsynced {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

impl Peer for Store {
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(StoreStream { store: self, stream, record: Vec::new() }))
    }

    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(StoreStream { store: self, stream, record: Vec::new() }))
    }
}

struct StoreStream<'a> {
    store: &'a Store,
    stream: u32,
    record: Vec<u8>,
}

impl Writer for StoreStream<'_> {
    fn append(&mut self, event: &Event) -> Result {
        self.append_batch(std::slice::from_ref(event))
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        let mut transaction = self.store.db.begin_write()?;
        transaction.set_durability(self.store.durability)?;
        let mut entries = transaction.open_table(ENTRIES)?;
        let first = self.store.counters.take(self.stream, events.len() as u64);
        for (number, event) in (first..).zip(events) {
            encode_into(&mut self.record, event);
            entries.insert(key(self.stream, number).as_slice(), self.record.as_slice())?;
        }
        drop(entries);
        Ok(transaction.commit()?)
    }
}

impl StoreStream<'_> {
    fn bounds(&self) -> ([u8; 12], [u8; 12]) {
        (key(self.stream, 0), key(self.stream, u64::MAX))
    }
}

impl Reader for StoreStream<'_> {
    fn scan(&mut self, each: Each) -> Result {
        let (first, last) = self.bounds();
        let entries = self.store.db.begin_read()?.open_table(ENTRIES)?;
        for entry in entries.range(first.as_slice()..=last.as_slice())? {
            each(decode(entry?.1.value())?);
        }
        Ok(())
    }

    fn scan_backward(&mut self, each: Each) -> Result {
        let (first, last) = self.bounds();
        let entries = self.store.db.begin_read()?.open_table(ENTRIES)?;
        for entry in entries.range(first.as_slice()..=last.as_slice())?.rev() {
            each(decode(entry?.1.value())?);
        }
        Ok(())
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let entries = self.store.db.begin_read()?.open_table(ENTRIES)?;
        let value = entries.get(key(self.stream, number).as_slice())?.ok_or("no such key")?;
        each(decode(value.value())?);
        Ok(())
    }
}
