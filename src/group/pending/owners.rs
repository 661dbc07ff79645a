//! Who owns how many entries, and roughly where they are.
//!
//! The IDs are divided into sections of some 2000 pending entries. Each owner has a count for each section in which
//! it has entries: whoever looks for its entries passes over the other sections, and looks at all entries of these. A
//! pointer to each of its entries would cost half as much again as the entries themselves; this costs next to nothing
//! for a consumer that reads in batches, and a few bytes an entry for a hundred consumers that take turns.
//!
//! # Invariants
//!
//! - **O1** A section holds the entries from its key on and below the next section's key, and counts them. There is one
//!   for every entry, and none without.
//! - **O2** An owner has a count for just the sections in which it has entries. A consumer without any has no [`Share`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound::{Excluded, Unbounded};

use super::ConsumerNumber;
use super::chunks::Chunks;
use super::memory::tree_map_bytes;
use super::record::Record;
use crate::StreamId;

/// A section at the end is followed by another when it has this many entries, and two neighbours that have no more
/// together are made one.
const ENTRIES: usize = 2048;
/// A section that grows beyond this is divided.
const ENTRIES_MAX: usize = 2 * ENTRIES;
/// A section that shrinks to this is made one with a neighbour if they fit.
const ENTRIES_FEW: usize = ENTRIES / 2;

/// How many entries there are in sections, by the sections' keys.
type Counts = BTreeMap<StreamId, usize>;

/// The entries' owners. Entries without owner are those of one more owner, `None`.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    sections: Counts,
    nobody: Share,
    consumers: BTreeMap<ConsumerNumber, Share>,
}

/// What one owner has: how many entries in all, and in each section.
#[derive(Clone, Debug, Default)]
struct Share {
    count: usize,
    sections: Counts,
}

/// The IDs from `start` on and below `end`, if it has an end.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    pub start: StreamId,
    end: Option<StreamId>,
}

impl Section {
    pub fn ends_above(self, id: StreamId) -> bool {
        self.end.is_none_or(|end| id < end)
    }
}

impl Owners {
    pub fn count_of(&self, owner: Option<ConsumerNumber>) -> usize {
        match owner {
            Some(number) => self.consumers.get(&number).map_or(0, |share| share.count),
            None => self.nobody.count,
        }
    }

    /// The sections in which a consumer has entries, beginning with the one that `from` belongs to, and how many.
    pub fn sections_from(&self, owner: ConsumerNumber, from: StreamId) -> impl Iterator<Item = (Section, usize)> {
        let start = self.start_of(from).unwrap_or(from);
        let share = self.consumers.get(&owner);
        let counts = share.into_iter().flat_map(move |share| share.sections.range(start..));
        counts.map(|(&start, &count)| (self.section_at(start), count))
    }

    /// Counts `count` new entries of one owner above all others, of which `first` is the first.
    pub fn append(&mut self, owner: Option<ConsumerNumber>, first: StreamId, count: usize) {
        let start = match self.sections.last_entry() {
            Some(mut last) if *last.get() < ENTRIES => {
                *last.get_mut() += count;
                *last.key()
            }
            _ => {
                self.sections.insert(first, count);
                first
            }
        };
        self.share_mut(owner).add(start, count);
    }

    /// Counts an entry that has been added to `chunks` just now, anywhere.
    pub fn add(&mut self, owner: Option<ConsumerNumber>, id: StreamId, chunks: &Chunks) {
        let start = self.start_of(id).unwrap_or_default();
        let count = self.sections.entry(start).or_default();
        *count += 1;
        let count = *count;
        self.share_mut(owner).add(start, 1);
        if count > ENTRIES_MAX {
            self.divide(start, count, chunks);
        }
    }

    /// An entry goes from one owner to another.
    pub fn pass(&mut self, from: Option<ConsumerNumber>, to: Option<ConsumerNumber>, id: StreamId) {
        if from != to
            && let Some(start) = self.start_of(id)
        {
            self.take(from, start, 1);
            self.share_mut(to).add(start, 1);
        }
    }

    /// Forgets entries, of ascending IDs, that have been removed from `chunks` just now.
    pub fn remove(&mut self, removed: &[Record], chunks: &Chunks) {
        let mut small = Vec::new();
        let mut rest = removed;
        while let Some(first) = rest.first() {
            let section = self.section_at(self.start_of(first.id).unwrap_or_default());
            let (here, after) = rest.split_at(rest.partition_point(|record| section.ends_above(record.id)));
            if self.remove_from(section.start, here) <= ENTRIES_FEW {
                small.push(section.start);
            }
            rest = after;
        }
        // Not before all are counted, so that the counts agree with the chunks again.
        for start in small {
            self.tidy(start, chunks);
        }
    }

    pub fn memory(&self) -> usize {
        let shares = self.consumers.values().chain([&self.nobody]).map(|share| &share.sections);
        let counts: usize =
            shares.chain([&self.sections]).map(|counts| tree_map_bytes::<StreamId, usize>(counts.len())).sum();
        counts + tree_map_bytes::<ConsumerNumber, Share>(self.consumers.len())
    }

    /// Where the section begins that an ID belongs to; `None` below all sections.
    fn start_of(&self, id: StreamId) -> Option<StreamId> {
        self.sections.range(..=id).next_back().map(|(&start, _)| start)
    }

    fn section_at(&self, start: StreamId) -> Section {
        let end = self.sections.range((Excluded(start), Unbounded)).next().map(|(&end, _)| end);
        Section { start, end }
    }

    fn share_mut(&mut self, owner: Option<ConsumerNumber>) -> &mut Share {
        match owner {
            Some(number) => self.consumers.entry(number).or_default(),
            None => &mut self.nobody,
        }
    }

    /// Takes entries from an owner that has them.
    fn take(&mut self, owner: Option<ConsumerNumber>, start: StreamId, count: usize) {
        let share = self.share_mut(owner);
        share.take(start, count);
        if share.count == 0
            && let Some(number) = owner
        {
            self.consumers.remove(&number);
        }
    }

    /// Forgets these entries, all of one section; returns how many are left there.
    fn remove_from(&mut self, start: StreamId, removed: &[Record]) -> usize {
        for run in removed.chunk_by(|a, b| a.owner() == b.owner()) {
            self.take(run.first().and_then(Record::owner), start, run.len());
        }
        subtract(&mut self.sections, start, removed.len())
    }

    /// Lets the upper half of a section be one of its own.
    fn divide(&mut self, start: StreamId, count: usize, chunks: &Chunks) {
        let section = self.section_at(start);
        let mut upper = section.records(chunks).skip(count / 2).peekable();
        let Some(middle) = upper.peek().map(|record| record.id) else { return };
        let mut moved = 0;
        for record in upper {
            let share = self.share_mut(record.owner());
            subtract(&mut share.sections, start, 1);
            *share.sections.entry(middle).or_default() += 1;
            moved += 1;
        }
        subtract(&mut self.sections, start, moved);
        self.sections.insert(middle, moved);
    }

    /// Makes a section that has become small one with a neighbour, if they fit.
    fn tidy(&mut self, start: StreamId, chunks: &Chunks) {
        let Some(&count) = self.sections.get(&start) else { return };
        let fits = |(&other, &size): (&StreamId, &usize)| (count + size <= ENTRIES).then_some(other);
        if let Some(next) = self.sections.range((Excluded(start), Unbounded)).next().and_then(fits) {
            self.merge(start, next, chunks);
        } else if let Some(previous) = self.sections.range(..start).next_back().and_then(fits) {
            self.merge(previous, start, chunks);
        }
    }

    /// Makes a section and the one that follows it one.
    fn merge(&mut self, left: StreamId, right: StreamId, chunks: &Chunks) {
        for record in self.section_at(right).records(chunks) {
            let share = self.share_mut(record.owner());
            // At an owner's first entry all its entries there are moved.
            if let Some(count) = share.sections.remove(&right) {
                *share.sections.entry(left).or_default() += count;
            }
        }
        if let Some(count) = self.sections.remove(&right) {
            *self.sections.entry(left).or_default() += count;
        }
    }
}

impl Share {
    fn add(&mut self, start: StreamId, count: usize) {
        self.count += count;
        *self.sections.entry(start).or_default() += count;
    }

    fn take(&mut self, start: StreamId, count: usize) {
        self.count = self.count.saturating_sub(count);
        subtract(&mut self.sections, start, count);
    }
}

impl Section {
    pub fn records(self, chunks: &Chunks) -> impl Iterator<Item = &Record> {
        chunks.iter_from(self.start).take_while(move |record| self.ends_above(record.id))
    }
}

/// Subtracts from the count of a section; returns what is left. There is no count of 0.
fn subtract(counts: &mut Counts, start: StreamId, count: usize) -> usize {
    let Entry::Occupied(mut entry) = counts.entry(start) else { return 0 };
    let left = entry.get().saturating_sub(count);
    if left == 0 {
        entry.remove();
    } else {
        *entry.get_mut() = left;
    }
    left
}

#[cfg(test)]
impl Owners {
    /// Panics unless the invariants hold.
    pub fn check(&self, chunks: &Chunks) {
        let mut sections = Counts::new();
        let mut owners = BTreeMap::<_, Counts>::new();
        for record in chunks.iter_from(StreamId::MIN) {
            let start = self.start_of(record.id).expect("O1");
            *sections.entry(start).or_default() += 1;
            *owners.entry(record.owner()).or_default().entry(start).or_default() += 1;
        }
        assert_eq!(self.sections, sections, "O1");
        assert!(sections.values().all(|&count| count < ENTRIES_MAX + 128));
        let shares = self.consumers.iter().map(|(&number, share)| (Some(number), share));
        let shares = shares.chain((self.nobody.count > 0).then_some((None, &self.nobody)));
        for (owner, share) in shares.clone() {
            assert_eq!(Some(&share.sections), owners.get(&owner), "O2 of {owner:?}");
            assert_eq!(share.count, share.sections.values().sum::<usize>());
        }
        assert_eq!(shares.count(), owners.len(), "O2");
    }

    /// How many sections there are.
    pub fn sections(&self) -> usize {
        self.sections.len()
    }
}
