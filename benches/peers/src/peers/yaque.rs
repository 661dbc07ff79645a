//! yaque: a queue in files, with one reader. There are no streams, no IDs and no groups: what its reader commits is
//! gone.
//!
//! Its reader saves where it stands every 250 entries or 350 milliseconds: a kill brings acknowledged entries back.

use std::path::Path;

use parking_lot::Mutex;
use yaque::{Receiver, Sender};

use crate::common::Event;
use crate::encode::{decode, encode, encode_into};
use crate::peer::{Consumer, Each, Peer, Reader, Result, Writer};

pub struct Queue {
    sender: Mutex<Sender>,
    receiver: Mutex<Receiver>,
}

pub fn open(path: &Path) -> Result<Box<dyn Peer>> {
    let path = path.join("queue");
    // What the locks of a killed process leave.
    for lock in ["send.lock", "recv.lock"] {
        match std::fs::remove_file(path.join(lock)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let (sender, receiver) = yaque::channel(&path)?;
    Ok(Box::new(Queue { sender: Mutex::new(sender), receiver: Mutex::new(receiver) }))
}

impl Peer for Queue {
    fn writer(&self, _: u32) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(QueueWriter { queue: self, record: Vec::new() }))
    }

    fn reader(&self, _: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(QueueReader(self)))
    }

    fn consumer(&self) -> Result<Box<dyn Consumer + '_>> {
        Ok(Box::new(QueueReader(self)))
    }
}

struct QueueWriter<'a> {
    queue: &'a Queue,
    record: Vec<u8>,
}

impl Writer for QueueWriter<'_> {
    fn append(&mut self, event: &Event) -> Result {
        encode_into(&mut self.record, event);
        self.queue.sender.lock().try_send(&self.record).map_err(|error| error.to_string().into())
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        let records: Vec<Vec<u8>> = events.iter().map(encode).collect();
        self.queue.sender.lock().try_send_batch(&records).map_err(|error| error.to_string().into())
    }
}

struct QueueReader<'a>(&'a Queue);

impl Reader for QueueReader<'_> {
    /// Empties the queue.
    fn scan(&mut self, each: Each) -> Result {
        while self.deliver(1000, each)? > 0 {}
        Ok(())
    }
}

impl Consumer for QueueReader<'_> {
    fn deliver(&mut self, batch: usize, each: Each) -> Result<usize> {
        let mut receiver = self.0.receiver.lock();
        let records = match receiver.try_recv_batch_up_to(batch) {
            Ok(records) => records,
            Err(yaque::TryRecvError::QueueEmpty) => return Ok(0),
            Err(yaque::TryRecvError::Io(error)) => return Err(error.into()),
        };
        for record in records.iter() {
            each(decode(record)?);
        }
        let count = records.len();
        records.commit()?;
        Ok(count)
    }
}
