//! LMDB, by heed: a B-tree in a mapping. The stream and a number are the key; one writing transaction at a time.

use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, WithoutTls};

use crate::common::Event;
use crate::encode::{Counters, decode, encode_into, key};
use crate::peer::{Each, Peer, Reader, Result, Writer};

const MAP_BYTES: usize = 16 << 30;

pub struct Store {
    env: Env<WithoutTls>,
    entries: Database<'static, Bytes, Bytes>,
    counters: Counters,
}

/// `MDB_NOSYNC`: pages are written to the file, and synced when the kernel likes.
pub fn open_nosync(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, EnvFlags::NO_SYNC)
}

pub fn open_sync(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, EnvFlags::empty())
}

#[expect(unsafe_code, reason = "heed cannot be opened otherwise")]
fn open(path: &Path, flags: EnvFlags) -> Result<Box<dyn Peer>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_BYTES).max_readers(256);
    // SAFETY: without syncs, what a power loss leaves of the file is not to be trusted; it is deleted after the run.
    unsafe { options.flags(flags) };
    // SAFETY: the directory is a temporary one of this run, in which nobody else changes files, and this process opens
    // it once.
    let env = unsafe { options.open(path) }?;
    let transaction = env.write_txn()?;
    let entries = env
        .create_databases_and_commit(transaction, |opener, transaction| {
            opener.create_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
        })?
        .unwrap_commit();
    Ok(Box::new(Store { env, entries, counters: Counters::default() }))
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
        let mut transaction = self.store.env.write_txn()?;
        let first = self.store.counters.take(self.stream, events.len() as u64);
        for (number, event) in (first..).zip(events) {
            encode_into(&mut self.record, event);
            self.store.entries.put(&mut transaction, &key(self.stream, number), &self.record)?;
        }
        Ok(transaction.commit()?)
    }
}

impl Reader for StoreStream<'_> {
    fn scan(&mut self, each: Each) -> Result {
        let transaction = self.store.env.read_txn()?;
        for entry in self.store.entries.prefix_iter(&transaction, &self.stream.to_be_bytes())? {
            each(decode(entry?.1)?);
        }
        Ok(())
    }

    fn scan_backward(&mut self, each: Each) -> Result {
        let transaction = self.store.env.read_txn()?;
        for entry in self.store.entries.rev_prefix_iter(&transaction, &self.stream.to_be_bytes())? {
            each(decode(entry?.1)?);
        }
        Ok(())
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let transaction = self.store.env.read_txn()?;
        let value = self.store.entries.get(&transaction, &key(self.stream, number))?.ok_or("no such key")?;
        each(decode(value)?);
        Ok(())
    }
}
