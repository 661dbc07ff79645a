//! Descriptors set aside for when there are no others.

use std::fs;
use std::io::Result;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::system;

/// Descriptors that are held in order to be given up when there are no others, so that what needs one for a moment, in the
/// middle of a change, has it. What keeps one depends on others being closed: see
/// [`Disk::lacks_descriptors`](crate::io::Disk::lacks_descriptors).
#[derive(Debug, Default)]
pub(super) struct Spare {
    held: Mutex<Vec<fs::File>>,
    is_short: AtomicBool,
}

impl Spare {
    const COUNT: usize = 4;

    /// Takes as many as there should be, if it can.
    pub(super) fn refill(&self) {
        let mut held = self.held.lock();
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags(system::PLACE.bits() as i32);
        while held.len() < Self::COUNT {
            match options.open("/") {
                Ok(file) => held.push(file),
                Err(_) => return self.is_short.store(true, Relaxed),
            }
        }
        self.is_short.store(false, Relaxed);
    }

    pub(super) fn is_short(&self) -> bool {
        self.is_short.load(Relaxed)
    }

    /// Opens something, with a descriptor that was set aside if there is no other.
    pub(super) fn opening<T>(&self, open: impl Fn() -> Result<T>) -> Result<T> {
        if self.is_short() {
            // What needed them may be done.
            self.refill();
        }
        loop {
            match open() {
                Err(error) if super::lacks_descriptors(&error) => {
                    self.is_short.store(true, Relaxed);
                    if self.held.lock().pop().is_none() {
                        return Err(error);
                    }
                }
                opened => return opened,
            }
        }
    }
}
