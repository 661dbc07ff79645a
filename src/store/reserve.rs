//! Room that is set aside for the day the disk is full.
//!
//! Trimming and deleting are what frees a full disk, but a stream's first deletion needs a journal, and replacing a
//! segment in which nothing is alive needs a new one. So a store keeps an allocated file that can be given up for these.

use parking_lot::Mutex;

use crate::format::file_name::RESERVE;
use crate::io::FileKind;
use crate::io::place::Place;

/// How much is set aside, in bytes.
const RESERVE_LEN: u64 = 64 << 10;

/// The reserve of a store.
#[derive(Debug)]
pub struct Reserve {
    root: Place,
    held: Mutex<bool>,
}

impl Reserve {
    pub fn new(root: Place) -> Self {
        let held = matches!(root.kind(RESERVE), Ok(Some(FileKind::File)));
        let reserve = Self { root, held: Mutex::new(held) };
        reserve.refill();
        reserve
    }

    /// None, of a store that is only read.
    pub fn none(root: Place) -> Self {
        // As good as set aside already: it is never asked for.
        Self { root, held: Mutex::new(true) }
    }

    /// Sets the room aside again, if there is any.
    pub fn refill(&self) {
        let mut held = self.held.lock();
        if !*held {
            *held = self.root.create(RESERVE, RESERVE_LEN).is_ok();
        }
    }

    /// Gives the room up; returns whether there was any.
    pub fn release(&self) -> bool {
        let mut held = self.held.lock();
        let had = std::mem::take(&mut *held);
        had && self.root.remove(RESERVE).is_ok()
    }
}
