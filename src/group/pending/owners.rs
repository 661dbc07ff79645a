//! Who owns how many entries, and roughly where they are.
//!
//! The IDs are divided into sections of some 2000 pending entries. Each owner has a count for each section in which
//! it has entries: whoever looks for its entries passes over the other sections, and looks at all entries of these. A
//! pointer to each of its entries would cost half as much again as the entries themselves; this costs next to nothing
//! for a consumer that reads in batches, and a few bytes an entry for a hundred consumers that take turns.
//!
//! The last section, where nearly all entries come and go, is counted beside the trees: an entry that is delivered and
//! acknowledged alone changes numbers, and allocates nothing.
//!
//! # Invariants
//!
//! - **O1** A section holds the entries from its start on and below the next section's start, and counts them. There is one
//!   for every entry, and none without but for the last.
//! - **O2** An owner has a count for just the sections in which it has entries, and one for the last.

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

/// How many entries there are in sections, by the sections' starts.
type Counts = BTreeMap<StreamId, usize>;

/// The entries' owners. Entries without owner are those of one more owner, `None`.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// All sections but the last.
    sections: Counts,
    last: Last,
    nobody: Share,
    consumers: BTreeMap<ConsumerNumber, Share>,
}

/// The section at the end: where it starts, and how many entries there are.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    start: StreamId,
    count: usize,
}

/// What one owner has: how many entries in all, in each section, and in the last one.
#[derive(Clone, Debug, Default)]
struct Share {
    count: usize,
    sections: Counts,
    last: usize,
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

    fn is_last(self) -> bool {
        self.end.is_none()
    }

    fn records(self, chunks: &Chunks) -> impl Iterator<Item = &Record> {
        chunks.iter_from(self.start).take_while(move |record| self.ends_above(record.id))
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
        let start = self.section_of(from).map_or(from, |section| section.start);
        let share = self.consumers.get(&owner);
        let counts = share.into_iter().flat_map(move |share| share.sections.range(start..));
        let last = share.filter(|share| share.last > 0).map(|share| (self.last_section(), share.last));
        counts.map(|(&start, &count)| (self.section_at(start), count)).chain(last)
    }

    /// Counts `count` new entries of one owner above all others, of which `first` is the first.
    pub fn append(&mut self, owner: Option<ConsumerNumber>, first: StreamId, count: usize) {
        if self.last.count >= ENTRIES {
            self.begin_last(Last { start: first, count: 0 });
        }
        self.last.count += count;
        let share = self.share_mut(owner);
        share.count += count;
        share.last += count;
    }

    /// Counts an entry that has been added to `chunks` just now, anywhere.
    pub fn add(&mut self, owner: Option<ConsumerNumber>, id: StreamId, chunks: &Chunks) {
        // Below all sections another begins.
        let section = self.section_of(id).unwrap_or_else(|| self.section_at(StreamId::MIN));
        let count = self.count_mut(section);
        *count += 1;
        let count = *count;
        self.share_mut(owner).add(section, 1);
        if count > ENTRIES_MAX {
            self.divide(section, count, chunks);
        }
    }

    /// An entry goes from one owner to another.
    pub fn pass(&mut self, from: Option<ConsumerNumber>, to: Option<ConsumerNumber>, id: StreamId) {
        if from != to
            && let Some(section) = self.section_of(id)
        {
            self.share_mut(from).take(section, 1);
            self.share_mut(to).add(section, 1);
        }
    }

    /// Forgets entries, of ascending IDs, that have been removed from `chunks` just now.
    pub fn remove(&mut self, removed: &[Record], chunks: &Chunks) {
        let mut small = Vec::new();
        let mut rest = removed;
        while let Some(first) = rest.first() {
            let Some(section) = self.section_of(first.id) else { return };
            let (here, after) = rest.split_at(rest.partition_point(|record| section.ends_above(record.id)));
            // One that is alone has no neighbour to become one with.
            if self.remove_from(section, here) <= ENTRIES_FEW && !self.sections.is_empty() {
                small.push(section.start);
            }
            rest = after;
        }
        // Not before all are counted, so that the counts agree with the chunks again.
        for start in small {
            self.tidy(start, chunks);
        }
    }

    /// Forgets a consumer that has no entries.
    pub fn leave(&mut self, owner: ConsumerNumber) {
        if self.count_of(Some(owner)) == 0 {
            self.consumers.remove(&owner);
        }
    }

    pub fn memory(&self) -> usize {
        let shares = self.consumers.values().chain([&self.nobody]).map(|share| &share.sections);
        let counts: usize =
            shares.chain([&self.sections]).map(|counts| tree_map_bytes::<StreamId, usize>(counts.len())).sum();
        counts + tree_map_bytes::<ConsumerNumber, Share>(self.consumers.len())
    }

    /// The section that an ID belongs to; `None` below all sections.
    fn section_of(&self, id: StreamId) -> Option<Section> {
        if id >= self.last.start {
            return Some(self.last_section());
        }
        self.sections.range(..=id).next_back().map(|(&start, _)| self.section_at(start))
    }

    fn last_section(&self) -> Section {
        Section { start: self.last.start, end: None }
    }

    /// The section that starts, or would start, there.
    fn section_at(&self, start: StreamId) -> Section {
        if start >= self.last.start {
            return self.last_section();
        }
        let next = self.sections.range((Excluded(start), Unbounded)).next();
        Section { start, end: Some(next.map_or(self.last.start, |(&next, _)| next)) }
    }

    fn count_mut(&mut self, section: Section) -> &mut usize {
        if section.is_last() { &mut self.last.count } else { self.sections.entry(section.start).or_default() }
    }

    fn shares_mut(&mut self) -> impl Iterator<Item = &mut Share> {
        self.consumers.values_mut().chain([&mut self.nobody])
    }

    fn share_mut(&mut self, owner: Option<ConsumerNumber>) -> &mut Share {
        match owner {
            Some(number) => self.consumers.entry(number).or_default(),
            None => &mut self.nobody,
        }
    }

    /// Lets another section be the last, with entries that are yet to be given to their owners. Costs a step for each
    /// consumer, once in some 2000 entries.
    fn begin_last(&mut self, last: Last) {
        let before = std::mem::replace(&mut self.last, last);
        if before.count > 0 {
            self.sections.insert(before.start, before.count);
        }
        for share in self.shares_mut().filter(|share| share.last > 0) {
            let count = std::mem::take(&mut share.last);
            share.sections.insert(before.start, count);
        }
    }

    /// Forgets these entries, all of one section; returns how many are left there.
    fn remove_from(&mut self, section: Section, removed: &[Record]) -> usize {
        for run in removed.chunk_by(|a, b| a.owner() == b.owner()) {
            self.share_mut(run.first().and_then(Record::owner)).take(section, run.len());
        }
        if section.is_last() {
            self.last.count = self.last.count.saturating_sub(removed.len());
            return self.last.count;
        }
        subtract(&mut self.sections, section.start, removed.len())
    }

    /// Lets the upper half of a section be one of its own.
    fn divide(&mut self, section: Section, count: usize, chunks: &Chunks) {
        let mut upper = section.records(chunks).skip(count / 2).peekable();
        let Some(middle) = upper.peek().map(|record| record.id) else { return };
        if section.is_last() {
            self.begin_last(Last { start: middle, count: 0 });
        }
        let new = self.section_at(middle);
        let mut moved = 0;
        for record in upper {
            let share = self.share_mut(record.owner());
            subtract(&mut share.sections, section.start, 1);
            *share.count_mut(new) += 1;
            moved += 1;
        }
        subtract(&mut self.sections, section.start, moved);
        *self.count_mut(new) += moved;
    }

    /// Makes a section that has become small one with a neighbour, if they fit.
    fn tidy(&mut self, start: StreamId, chunks: &Chunks) {
        let section = self.section_at(start);
        let count = if section.is_last() { Some(self.last.count) } else { self.sections.get(&start).copied() };
        let Some(count) = count else { return };
        let fits = |other: &StreamId| count + self.sections.get(other).copied().unwrap_or(self.last.count) <= ENTRIES;
        let previous = self.sections.range(..section.start).next_back().map(|(&previous, _)| previous);
        if let Some(next) = section.end.filter(fits) {
            self.merge(section, next, chunks);
        } else if let Some(previous) = previous.filter(fits) {
            self.merge(self.section_at(previous), section.start, chunks);
        }
    }

    /// Makes a section and the one that follows it, at `right`, one.
    fn merge(&mut self, left: Section, right: StreamId, chunks: &Chunks) {
        let right = self.section_at(right);
        // Those of one side take on the start of the other: the left one's, as that is where both start. Where the right
        // one is the last, it is the entries on the left that are counted elsewhere from now on.
        let moved = if right.is_last() { left } else { right };
        for record in moved.records(chunks) {
            let share = self.share_mut(record.owner());
            // At an owner's first entry all its entries there are moved.
            if let Some(count) = share.sections.remove(&moved.start) {
                *(if right.is_last() { &mut share.last } else { share.sections.entry(left.start).or_default() }) +=
                    count;
            }
        }
        let Some(count) = self.sections.remove(&moved.start) else { return };
        if right.is_last() {
            self.last = Last { start: left.start, count: self.last.count + count };
        } else {
            *self.sections.entry(left.start).or_default() += count;
        }
    }
}

impl Share {
    fn count_mut(&mut self, section: Section) -> &mut usize {
        if section.is_last() { &mut self.last } else { self.sections.entry(section.start).or_default() }
    }

    fn add(&mut self, section: Section, count: usize) {
        self.count += count;
        *self.count_mut(section) += count;
    }

    fn take(&mut self, section: Section, count: usize) {
        self.count = self.count.saturating_sub(count);
        if section.is_last() {
            self.last = self.last.saturating_sub(count);
        } else {
            subtract(&mut self.sections, section.start, count);
        }
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
            let start = self.section_of(record.id).expect("O1").start;
            *sections.entry(start).or_default() += 1;
            *owners.entry(record.owner()).or_default().entry(start).or_default() += 1;
        }
        let with_last = |counts: &Counts, last: usize| {
            let mut counts = counts.clone();
            if last > 0 {
                assert_eq!(counts.insert(self.last.start, last), None, "the last section is counted once");
            }
            counts
        };
        assert_eq!(with_last(&self.sections, self.last.count), sections, "O1");
        assert!(sections.values().all(|&count| count < ENTRIES_MAX + 128));
        let shares = self.consumers.iter().map(|(&number, share)| (Some(number), share));
        let shares = shares.chain([(None, &self.nobody)]);
        for (owner, share) in shares.clone() {
            let counts = with_last(&share.sections, share.last);
            assert_eq!(share.count, counts.values().sum::<usize>());
            assert_eq!(counts, owners.remove(&owner).unwrap_or_default(), "O2 of {owner:?}");
        }
        assert!(owners.is_empty(), "O2: {owners:?} are not counted");
    }

    /// How many sections there are.
    pub fn sections(&self) -> usize {
        self.sections.len() + usize::from(self.last.count > 0)
    }

    /// How many consumers it knows of.
    pub fn consumers(&self) -> usize {
        self.consumers.len()
    }
}
