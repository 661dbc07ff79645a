//! The entries in the order of time: chunks are opened as their bounds come up, and what is in them is merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::chunks::{BoundOf, Chunks};
use super::record::{Record, Turn};
use crate::StreamId;

/// Goes over the records as their turns come. Moves the bounds that it finds too low.
///
/// A chunk is opened only if one of its records comes next, so that each record taken costs one chunk at the most. A
/// bound is too low because of a record that was removed or changed since it was last moved, so that moving bounds
/// costs such a record one chunk at the most.
pub struct ByTime<'a> {
    chunks: &'a mut Chunks,
    /// The records of the opened chunks.
    open: BinaryHeap<Reverse<(Turn, StreamId)>>,
    next: Option<BoundOf>,
}

impl<'a> ByTime<'a> {
    pub fn new(chunks: &'a mut Chunks) -> Self {
        let next = chunks.bound_after(None);
        Self { chunks, open: BinaryHeap::new(), next }
    }
}

impl Iterator for ByTime<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        while let Some(bound) = self.next
            && self.open.peek().is_none_or(|Reverse((turn, _))| bound.0 < *turn)
        {
            let records = self.chunks.open(bound);
            self.open.extend(records.iter().map(|record| Reverse((record.turn(), record.id))));
            self.next = self.chunks.bound_after(Some(bound));
        }
        let Reverse((_, id)) = self.open.pop()?;
        self.chunks.get(id).copied()
    }
}
