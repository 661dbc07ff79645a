//! An entry as the bytes of a record, for peers that know of no fields: the values, each after its length.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::Event;
use crate::peer::{Result, Values};

const STREAMS_MAX: usize = 10_000;

/// Empties the buffer, and puts the entry there.
pub fn encode_into(buffer: &mut Vec<u8>, event: &Event) {
    buffer.clear();
    for (_, value) in event.fields() {
        put_len(buffer, value.len());
        buffer.extend_from_slice(value.as_bytes());
    }
}

pub fn encode(event: &Event) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(event.len() + 6);
    encode_into(&mut buffer, event);
    buffer
}

fn put_len(buffer: &mut Vec<u8>, mut len: usize) {
    while len >= 0x80 {
        buffer.push(len as u8 | 0x80);
        len >>= 7;
    }
    buffer.push(len as u8);
}

pub fn decode(bytes: &[u8]) -> Result<Values<'_>> {
    let mut at = bytes;
    let values = [take(&mut at), take(&mut at), take(&mut at)];
    match values {
        [Some(kind), Some(data), Some(timestamp)] if at.is_empty() => Ok([kind, data, timestamp]),
        _ => Err("not an entry".into()),
    }
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (mut len, mut shift) = (0, 0);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        len |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    let (value, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(value)
}

/// The key of an entry in a key-value store: these have no IDs, so the stream and the number of the entry.
pub fn key(stream: u32, number: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&stream.to_be_bytes());
    key[4..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The numbers that the next entries of streams get, in stores that give none.
pub struct Counters(Vec<AtomicU64>);

impl Default for Counters {
    fn default() -> Self {
        Self((0..STREAMS_MAX).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Counters {
    /// The first of `count` numbers.
    pub fn take(&self, stream: u32, count: u64) -> u64 {
        self.0[stream as usize].fetch_add(count, Ordering::Relaxed)
    }
}
