//! What the hardware allows: the same bytes without a stream around them.

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::Event;

/// What a frame takes around the values of an event: checksum, lengths, ID.
const FRAME_OVERHEAD: usize = 16;

/// The values of an event with their lengths, and room for what stands around them in a frame.
fn frames(events: &[Event]) -> Vec<Vec<u8>> {
    let frame = |event: &Event| {
        let mut bytes = vec![0; FRAME_OVERHEAD - 3];
        for (_, value) in event.fields() {
            bytes.push(value.len() as u8);
            bytes.extend_from_slice(value.as_bytes());
        }
        bytes
    };
    events.iter().map(frame).collect()
}

/// Checksum and copy of each frame into memory that is there, and a tail that is stored after it.
pub struct Appending {
    frames: Vec<Vec<u8>>,
    memory: Vec<u8>,
    tail: AtomicU64,
}

impl Appending {
    pub fn new(events: &[Event]) -> Self {
        // Written to, so that the pages are there.
        Self { frames: frames(events), memory: vec![1; 32 << 20], tail: AtomicU64::new(0) }
    }

    pub fn run(&mut self, count: usize) {
        let mut at = 0;
        for frame in self.frames.iter().cycle().take(count) {
            if at + frame.len() > self.memory.len() {
                at = 0;
            }
            let room = &mut self.memory[at..at + frame.len()];
            room.copy_from_slice(frame);
            room[..4].copy_from_slice(&crc32fast::hash(frame).to_le_bytes());
            at += frame.len();
            self.tail.store(at as u64, Ordering::Release);
        }
    }
}

/// A buffer of frames of which each is copied out, checked, and its values looked at.
pub struct Scanning {
    bytes: Vec<u8>,
    count: usize,
    chunk: Vec<u8>,
}

impl Scanning {
    /// Of how many frames a chunk consists, which is copied and checked at once.
    const CHUNK: usize = 512;

    pub fn new(events: &[Event], count: usize) -> Self {
        let bytes = frames(events).iter().cycle().take(count).flatten().copied().collect();
        Self { bytes, count, chunk: Vec::new() }
    }

    pub fn run(&mut self, len_of_frame: impl Fn(&[u8]) -> usize) -> usize {
        let (mut rest, mut left, mut sum) = (&self.bytes[..], self.count, 0);
        while left > 0 {
            let frames = left.min(Self::CHUNK);
            let mut len = 0;
            for _ in 0..frames {
                len += len_of_frame(&rest[len..]);
            }
            self.chunk.clear();
            self.chunk.extend_from_slice(&rest[..len]);
            black_box(crc32fast::hash(&self.chunk));
            sum += values(&self.chunk);
            (rest, left) = (&rest[len..], left - frames);
        }
        sum
    }
}

/// The length of the frame that begins here.
pub fn frame_len(bytes: &[u8]) -> usize {
    let mut at = FRAME_OVERHEAD - 3;
    for _ in 0..3 {
        at += 1 + usize::from(bytes[at]);
    }
    at
}

/// The bytes of the values of all frames in a chunk.
fn values(mut chunk: &[u8]) -> usize {
    let mut sum = 0;
    while !chunk.is_empty() {
        chunk = &chunk[FRAME_OVERHEAD - 3..];
        for _ in 0..3 {
            let (value, rest) = chunk[1..].split_at(usize::from(chunk[0]));
            sum += black_box(value).len();
            chunk = rest;
        }
    }
    sum
}

/// A preallocated file, to which a frame is written and synced.
pub struct Syncing {
    file: File,
    at: u64,
}

impl Syncing {
    pub fn new() -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        file.write_all_at(&vec![0; 4 << 20], 0)?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    pub fn run(&mut self) -> io::Result<()> {
        self.file.write_all_at(&[7; 106], self.at)?;
        self.at = (self.at + 106) % (3 << 20);
        self.file.sync_data()
    }
}
