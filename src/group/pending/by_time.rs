//! The entries in the order of time: chunks are opened as their bounds come up, and what is in them is merged.

use std::cmp;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

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
    /// The chunk of the record that was given last, if it has not been opened for more than that. Who asks whether
    /// anything is old enough takes one record, and pays for no sorting.
    begun: Option<(StreamId, Record)>,
    open: BinaryHeap<Run>,
    next: Option<BoundOf>,
}

/// What is left of an opened chunk, the last one in time first; at least one record. The run whose next record comes
/// first is the greatest.
struct Run(Vec<Record>);

impl<'a> ByTime<'a> {
    pub fn new(chunks: &'a mut Chunks) -> Self {
        let next = chunks.bound_after(None);
        Self { chunks, begun: None, open: BinaryHeap::new(), next }
    }

    fn open_begun(&mut self) {
        if let Some((key, given)) = self.begun.take() {
            let records = self.chunks.records_at(key).iter().filter(|record| record.id != given.id);
            let mut run: Vec<_> = records.rev().copied().collect();
            // Likely to be sorted already.
            run.sort_by_key(|record| cmp::Reverse((record.turn(), record.id)));
            if !run.is_empty() {
                self.open.push(Run(run));
            }
        }
    }
}

impl Iterator for ByTime<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.open_begun();
        while let Some(bound) = self.next
            && self.open.peek().is_none_or(|run| run.next().is_none_or(|(turn, _)| bound.0 < turn))
        {
            let first = self.chunks.first_in_time(bound);
            self.next = self.chunks.bound_after(Some(bound));
            if let Some(first) = first {
                self.begun = Some((bound.1, first));
                return Some(first);
            }
        }
        let mut run = self.open.peek_mut()?;
        let record = run.0.pop();
        if run.0.is_empty() {
            PeekMut::pop(run);
        }
        record
    }
}

impl Run {
    fn next(&self) -> Option<(Turn, StreamId)> {
        self.0.last().map(|record| (record.turn(), record.id))
    }
}

impl Ord for Run {
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        other.next().cmp(&self.next())
    }
}

impl PartialOrd for Run {
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Run {}
