//! okaywal: a write-ahead log, which is synced with each entry, by one thread for all that wait.
//!
//! It has one stream, and is made to be emptied by checkpoints: here it is told to never make one. It is read when it
//! is opened. A chunk is looked up by its position, which its writer was told.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use okaywal::{Configuration, Entry, EntryId, LogManager, LogPosition, ReadChunkResult, SegmentReader, WriteAheadLog};
use parking_lot::Mutex;

use crate::common::Event;
use crate::encode::{decode, encode_into};
use crate::peer::{Each, Peer, Reader, Result, Writer};

pub struct Wal {
    path: PathBuf,
    log: WriteAheadLog,
}

pub fn open(path: &Path) -> Result<Box<dyn Peer>> {
    let log = configuration(path).open(Collect(Arc::default()))?;
    Ok(Box::new(Wal { path: path.to_owned(), log }))
}

fn configuration(path: &Path) -> Configuration {
    Configuration::default_for(path).preallocate_bytes(256 << 20).checkpoint_after_bytes(u64::MAX)
}

impl Peer for Wal {
    fn writer(&self, _: u32) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(WalWriter { log: &self.log, record: Vec::new() }))
    }

    fn reader(&self, _: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(WalReader { wal: self, positions: Vec::new() }))
    }
}

struct WalWriter<'a> {
    log: &'a WriteAheadLog,
    record: Vec<u8>,
}

impl Writer for WalWriter<'_> {
    fn append(&mut self, event: &Event) -> Result {
        self.append_batch(std::slice::from_ref(event))
    }

    /// One entry with a chunk for each event.
    fn append_batch(&mut self, events: &[Event]) -> Result {
        let mut entry = self.log.begin_entry()?;
        for event in events {
            encode_into(&mut self.record, event);
            entry.write_chunk(&self.record)?;
        }
        entry.commit()?;
        Ok(())
    }
}

/// What a recovery reads: chunks one after the other in a buffer, where each ends there, and where it is in the log.
///
/// All are read, even if nobody asks for them: to skip one goes four bytes too far in version 0.3, and the rest of the
/// log is taken for its end and overwritten.
#[derive(Debug, Default)]
struct Chunks {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    positions: Vec<LogPosition>,
}

#[derive(Debug)]
struct Collect(Arc<Mutex<Chunks>>);

impl LogManager for Collect {
    fn recover(&mut self, entry: &mut Entry<'_>) -> std::io::Result<()> {
        let mut chunks = self.0.lock();
        while let ReadChunkResult::Chunk(mut chunk) = entry.read_chunk()? {
            let start = chunks.bytes.len();
            let end = start + chunk.bytes_remaining() as usize;
            chunks.bytes.resize(end, 0);
            chunk.read_exact(&mut chunks.bytes[start..])?;
            if !chunk.check_crc()? {
                return Err(std::io::Error::other("a checksum is wrong"));
            }
            chunks.ends.push(end);
            chunks.positions.push(chunk.log_position());
        }
        Ok(())
    }

    fn checkpoint_to(&mut self, _: EntryId, _: &mut SegmentReader, _: &WriteAheadLog) -> std::io::Result<()> {
        Ok(())
    }
}

struct WalReader<'a> {
    wal: &'a Wal,
    positions: Vec<LogPosition>,
}

impl WalReader<'_> {
    fn recover(&self) -> Result<Chunks> {
        let chunks = Arc::<Mutex<Chunks>>::default();
        drop(configuration(&self.wal.path).open(Collect(chunks.clone()))?);
        let found = std::mem::take(&mut *chunks.lock());
        Ok(found)
    }
}

impl Reader for WalReader<'_> {
    fn scan(&mut self, each: Each) -> Result {
        let chunks = self.recover()?;
        let mut start = 0;
        for &end in &chunks.ends {
            each(decode(&chunks.bytes[start..end])?);
            start = end;
        }
        Ok(())
    }

    fn prepare_lookups(&mut self) -> Result {
        self.positions = self.recover()?.positions;
        Ok(())
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let mut chunk = self.wal.log.read_at(self.positions[number as usize])?;
        let mut record = Vec::with_capacity(128);
        chunk.read_to_end(&mut record)?;
        if !chunk.crc_is_valid()? {
            return Err("a checksum is wrong".into());
        }
        each(decode(&record)?);
        Ok(())
    }
}
