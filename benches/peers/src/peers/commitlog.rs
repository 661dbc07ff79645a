//! commitlog: an append-only log with an index from offsets to positions. One log for each stream.
//!
//! Appending needs the log exclusively, so a lock is around it. There is no class of a power loss for it: its `flush`
//! syncs the index, but of the log it flushes a `File`, which does nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use commitlog::message::{MessageBuf, MessageSet};
use commitlog::{CommitLog, LogOptions, ReadLimit};
use parking_lot::Mutex;

use crate::common::Event;
use crate::encode::{decode, encode_into};
use crate::peer::{Each, Peer, Reader, Result, Writer};

const READ_BYTES: usize = 256 << 10;
/// More than one message has, less than two.
const ONE_MESSAGE_BYTES: usize = 200;

type Log = Arc<Mutex<CommitLog>>;

pub struct Logs {
    path: PathBuf,
    /// Those that are in use.
    open: Mutex<HashMap<u32, Weak<Mutex<CommitLog>>>>,
}

pub fn open(path: &Path) -> Result<Box<dyn Peer>> {
    Ok(Box::new(Logs { path: path.to_owned(), open: Mutex::default() }))
}

impl Logs {
    fn log(&self, stream: u32) -> Result<Log> {
        let mut open = self.open.lock();
        if let Some(log) = open.get(&stream).and_then(Weak::upgrade) {
            return Ok(log);
        }
        let log = CommitLog::new(LogOptions::new(self.path.join(format!("orders-{stream}"))))?;
        let log = Arc::new(Mutex::new(log));
        open.insert(stream, Arc::downgrade(&log));
        Ok(log)
    }
}

impl Peer for Logs {
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(LogWriter { log: self.log(stream)?, record: Vec::new(), messages: MessageBuf::default() }))
    }

    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(LogReader(self.log(stream)?)))
    }
}

struct LogWriter {
    log: Log,
    record: Vec<u8>,
    messages: MessageBuf,
}

impl Writer for LogWriter {
    fn append(&mut self, event: &Event) -> Result {
        self.append_batch(std::slice::from_ref(event))
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        self.messages.clear();
        for event in events {
            encode_into(&mut self.record, event);
            self.messages.push(&self.record).map_err(|error| format!("{error:?}"))?;
        }
        self.log.lock().append(&mut self.messages)?;
        Ok(())
    }
}

struct LogReader(Log);

impl Reader for LogReader {
    fn scan(&mut self, each: Each) -> Result {
        let log = self.0.lock();
        let mut offset = 0;
        loop {
            let messages = log.read(offset, ReadLimit::max_bytes(READ_BYTES))?;
            if messages.is_empty() {
                return Ok(());
            }
            for message in messages.iter() {
                each(decode(message.payload())?);
                offset = message.offset() + 1;
            }
        }
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let messages = self.0.lock().read(number, ReadLimit::max_bytes(ONE_MESSAGE_BYTES))?;
        let message = messages.iter().next().ok_or("no such message")?;
        each(decode(message.payload())?);
        Ok(())
    }
}
