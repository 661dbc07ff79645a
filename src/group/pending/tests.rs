//! Promise: a list of pending entries is told from a plain vector of them by nothing but its speed and its size.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The entries in the order of time.
#[derive(Clone, Debug, Default)]
struct Model(Vec<Pending>);

impl Model {
    fn remove(&mut self, id: StreamId) -> Option<Pending> {
        let at = self.0.iter().position(|entry| entry.id == id)?;
        Some(self.0.remove(at))
    }

    fn assign(&mut self, entry: Pending) {
        let turn = |entry: &Pending| entry.owner.map(|_| entry.delivery_time);
        self.remove(entry.id);
        let at = self.0.partition_point(|other| turn(other) <= turn(&entry));
        self.0.insert(at, entry);
    }

    fn by_id(&self) -> Vec<Pending> {
        let mut entries = self.0.clone();
        entries.sort_by_key(|entry| entry.id);
        entries
    }

    fn count(&self, owner: Option<ConsumerNumber>) -> usize {
        self.0.iter().filter(|entry| entry.owner == owner).count()
    }
}

#[derive(Clone, Debug)]
enum Op {
    Assign(Pending),
    Deliver(ConsumerNumber, u64, Vec<StreamId>),
    /// Ascending IDs above all others.
    Append(ConsumerNumber, u64, usize),
    Remove(StreamId),
    RemoveAll(Vec<StreamId>),
    RemoveRun(StreamId, usize),
    RemoveOldest(usize),
    RemoveOwner(ConsumerNumber),
    /// The first by time go to a consumer, or are released.
    Claim(usize, Option<ConsumerNumber>, u64),
    Reload,
}

/// How many there are of each: few make for ties and replacements, many for chunks that are split and merged.
#[derive(Clone, Copy, Debug)]
struct Kinds {
    ids: u64,
    times: u64,
    owners: u32,
}

impl Kinds {
    fn id(self) -> impl Strategy<Value = StreamId> + Clone {
        (0..self.ids).prop_map(|n| StreamId::new(n / 4, n % 4))
    }

    fn time(self) -> impl Strategy<Value = u64> + Clone {
        0..self.times
    }

    fn owner(self) -> impl Strategy<Value = Option<ConsumerNumber>> + Clone {
        prop_oneof![1 => Just(None), 4 => (0..self.owners).prop_map(Some)]
    }

    fn op(self) -> impl Strategy<Value = Op> {
        let count = prop_oneof![8 => 0..5u64, 1 => Just(u64::from(u32::MAX) / 2), 1 => Just(i64::MAX as u64)];
        let entry =
            (self.id(), self.owner(), self.time(), count).prop_map(|(id, owner, delivery_time, delivery_count)| {
                Pending { id, owner, delivery_time, delivery_count }
            });
        prop_oneof![
            4 => entry.prop_map(Op::Assign),
            2 => (0..self.owners, self.time(), vec(self.id(), 0..300)).prop_map(|(o, t, ids)| Op::Deliver(o, t, ids)),
            3 => (0..self.owners, self.time(), 0..300usize).prop_map(|(o, t, n)| Op::Append(o, t, n)),
            2 => self.id().prop_map(Op::Remove),
            2 => vec(self.id(), 0..100).prop_map(Op::RemoveAll),
            3 => (self.id(), 0..300usize).prop_map(|(id, n)| Op::RemoveRun(id, n)),
            2 => (0..200usize).prop_map(Op::RemoveOldest),
            1 => (0..self.owners).prop_map(Op::RemoveOwner),
            3 => (0..50usize, self.owner(), self.time()).prop_map(|(n, o, t)| Op::Claim(n, o, t)),
            1 => Just(Op::Reload),
        ]
    }
}

fn remove(list: &mut PendingList, id: StreamId) -> Option<Pending> {
    let found = list.get(id);
    assert_eq!(list.remove_all(&[id]), usize::from(found.is_some()));
    found
}

fn scenario() -> impl Strategy<Value = (Kinds, Vec<Op>)> {
    let kinds = (prop::sample::select(vec![20, 3000]), prop::sample::select(vec![1, 4, 1 << 40]), 1..40u32);
    let kinds = kinds.prop_map(|(ids, times, owners)| Kinds { ids, times, owners });
    kinds.prop_flat_map(|kinds| (Just(kinds), vec(kinds.op(), 1..60)))
}

#[derive(Default)]
struct Pair {
    list: PendingList,
    model: Model,
}

impl Pair {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Assign(entry) => self.assign(*entry),
            Op::Deliver(owner, time, ids) => self.deliver(*owner, *time, ids),
            Op::Append(owner, time, count) => {
                let above = self.list.last().map_or(0, |last| last.id.ms() + 1);
                let ids: Vec<_> = (above..).take(*count).map(|ms| StreamId::new(ms, 0)).collect();
                self.deliver(*owner, *time, &ids);
            }
            Op::Remove(id) => assert_eq!(remove(&mut self.list, *id), self.model.remove(*id)),
            Op::RemoveAll(ids) => self.remove_all(ids),
            Op::RemoveRun(from, count) => {
                let ids: Vec<_> = self.list.iter_from(*from).take(*count).map(|entry| entry.id).collect();
                self.remove_all(&ids);
            }
            Op::RemoveOldest(count) => {
                let ids: Vec<_> = self.list.by_time().take(*count).map(|entry| entry.id).collect();
                self.remove_all(&ids);
            }
            Op::RemoveOwner(owner) => {
                let before = self.model.0.len();
                self.model.0.retain(|entry| entry.owner != Some(*owner));
                assert_eq!(self.list.remove_owner(*owner), before - self.model.0.len());
            }
            Op::Claim(count, owner, time) => {
                let claimed: Vec<_> = self.list.by_time().take(*count).collect();
                assert_eq!(claimed, self.model.0.iter().copied().take(*count).collect::<Vec<_>>());
                for entry in claimed {
                    self.assign(Pending { owner: *owner, delivery_time: *time, ..entry });
                }
            }
            Op::Reload => {
                let mut loaded = PendingList::default();
                self.list.iter_ordered().for_each(|(entry, order)| loaded.load(entry, order));
                assert!(loaded == self.list);
                self.list = loaded;
            }
        }
    }

    fn assign(&mut self, entry: Pending) {
        self.list.assign(entry);
        self.model.assign(entry);
    }

    fn deliver(&mut self, owner: ConsumerNumber, time: u64, ids: &[StreamId]) {
        self.list.deliver(owner, time, ids.iter().copied());
        for &id in ids {
            self.model.assign(Pending { id, owner: Some(owner), delivery_time: time, delivery_count: 1 });
        }
    }

    fn remove_all(&mut self, ids: &[StreamId]) {
        let there = ids.iter().filter(|id| self.model.remove(**id).is_some()).count();
        assert_eq!(self.list.remove_all(ids), there);
    }

    /// Everything the list tells is what the model tells, from `from` on.
    fn check(&mut self, kinds: Kinds, from: StreamId) {
        self.list.check();
        let by_id = self.model.by_id();
        assert_eq!(self.list.len(), by_id.len());
        assert_eq!(self.list.is_empty(), by_id.is_empty());
        assert_eq!(self.list.released(), self.model.count(None));
        assert_eq!(self.list.first(), by_id.first().copied());
        assert_eq!(self.list.last(), by_id.last().copied());
        assert!(self.list.iter_from(StreamId::MIN).eq(by_id.iter().copied()));
        let after: Vec<_> = by_id.into_iter().filter(|entry| from <= entry.id).collect();
        assert!(self.list.iter_from(from).eq(after.iter().copied()));
        assert_eq!(self.list.get(from), after.first().copied().filter(|entry| entry.id == from));
        for owner in 0..=kinds.owners {
            assert_eq!(self.list.count_of(owner), self.model.count(Some(owner)));
            let theirs = after.iter().copied().filter(|entry| entry.owner == Some(owner));
            assert!(self.list.iter_owner_from(owner, from).eq(theirs), "entries of {owner}");
        }
    }
}

impl PendingList {
    /// Panics unless the invariants hold.
    fn check(&self) {
        self.chunks.check();
        self.owners.check(&self.chunks);
        let large = self.chunks.iter_from(StreamId::MIN).filter(|record| record.count().is_none());
        assert!(large.map(|record| record.id).eq(self.large_counts.keys().copied()));
    }
}

proptest! {
    #[test]
    #[cfg_attr(miri, ignore = "it is about hundreds of entries, hundreds of times")]
    fn a_list_behaves_like_a_vector((kinds, ops) in scenario(), from in (0..3000u64)) {
        let mut pair = Pair::default();
        for op in &ops {
            pair.apply(op);
            pair.check(kinds, StreamId::new(from / 4, from % 4));
        }
        prop_assert!(pair.list.by_time().eq(pair.model.0.iter().copied()));
        // Bounds have moved.
        pair.list.check();
        prop_assert!(pair.list.by_time().eq(pair.model.0.iter().copied()));
    }
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn owned(ms: u64, owner: ConsumerNumber, delivery_time: u64) -> Pending {
    Pending { id: id(ms), owner: Some(owner), delivery_time, delivery_count: 1 }
}

fn released(ms: u64) -> Pending {
    Pending { id: id(ms), owner: None, delivery_time: 0, delivery_count: 0 }
}

fn list(entries: impl IntoIterator<Item = Pending>) -> PendingList {
    let mut list = PendingList::default();
    entries.into_iter().for_each(|entry| list.assign(entry));
    list
}

fn ids(entries: impl Iterator<Item = Pending>) -> Vec<u64> {
    entries.map(|entry| entry.id.ms()).collect()
}

/// The same numbers on every run, without an order to speak of.
fn scattered(count: u64) -> impl Iterator<Item = u64> {
    (1..=count).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 20)
}

#[test]
fn released_entries_come_first_then_the_longest_delivered() {
    let mut list = list([owned(1, 0, 50), owned(2, 0, 40), released(4), owned(5, 1, 0), released(3)]);
    assert_eq!(ids(list.by_time()), [4, 3, 5, 2, 1]);
    assert_eq!(list.released(), 2);
}

#[test]
fn whoever_is_assigned_again_comes_last_among_equals() {
    let mut list = list([owned(1, 0, 5), owned(2, 0, 5), owned(3, 0, 5), released(7), released(8)]);
    list.assign(owned(1, 1, 5));
    list.assign(released(7));
    assert_eq!(ids(list.by_time()), [8, 7, 2, 3, 1]);
    list.deliver(2, 5, [id(8), id(2)]);
    assert_eq!(ids(list.by_time()), [7, 3, 1, 8, 2]);
}

#[test]
fn what_a_replaced_entry_had_is_forgotten() {
    let mut list = list([Pending { delivery_count: i64::MAX as u64, ..owned(1, 0, 5) }]);
    assert_eq!(list.get(id(1)).unwrap().delivery_count, i64::MAX as u64);
    list.deliver(3, 6, [id(1)]);
    assert_eq!(list.get(id(1)), Some(owned(1, 3, 6)));
    assert_eq!((list.len(), list.count_of(0), list.count_of(3)), (1, 0, 1));
    assert!(list.large_counts.is_empty());
}

#[test]
fn large_delivery_counts_go_with_their_entries() {
    let large = |ms, owner| Pending { delivery_count: u64::MAX, ..owned(ms, owner, 5) };
    let mut list = list([large(1, 0), large(2, 0), large(3, 1), large(4, 0)]);
    assert_eq!(remove(&mut list, id(1)), Some(large(1, 0)));
    assert_eq!(list.remove_all(&[id(2)]), 1);
    assert_eq!(list.remove_owner(1), 1);
    assert_eq!(list.large_counts.len(), 1);
    assert_eq!(list.by_time().next(), Some(large(4, 0)));
}

#[test]
fn a_loaded_list_is_equal_ties_included_and_goes_on_after_them() {
    let count = if cfg!(miri) { 30 } else { 5000 };
    let list = list(scattered(count).map(|n| if n % 7 == 0 { released(n) } else { owned(n, (n % 5) as u32, n % 3) }));
    let mut loaded = PendingList::default();
    list.iter_ordered().for_each(|(entry, order)| loaded.load(entry, order));
    loaded.check();
    assert!(loaded == list);
    let mut expected = list.clone();
    for list in [&mut loaded, &mut expected] {
        list.assign(owned(1, 9, 1));
    }
    assert!(loaded == expected);
}

#[test]
fn lists_differ_by_an_entry_or_by_the_order_of_ties() {
    let one = list([owned(1, 0, 5), owned(2, 0, 5)]);
    assert!(one == list([owned(1, 0, 5), owned(2, 0, 5)]));
    assert!(one != list([owned(2, 0, 5), owned(1, 0, 5)]));
    assert!(one != list([owned(1, 0, 5), owned(2, 1, 5)]));
    assert!(one != list([owned(1, 0, 5)]));
}

#[test]
fn order_numbers_at_their_end_do_no_harm() {
    let mut list = PendingList::default();
    list.load(owned(1, 0, 5), u64::MAX);
    list.assign(owned(2, 0, 5));
    list.deliver(0, 5, [id(3), id(4), id(1)]);
    assert_eq!(ids(list.by_time()), [1, 2, 3, 4]);
}

#[test]
fn the_lowest_and_the_highest_id_are_ids_like_others() {
    let ends = [StreamId::MAX, StreamId::MIN, id(5)];
    let mut list = PendingList::default();
    for pending in ends {
        list.assign(Pending { id: pending, ..owned(0, 0, 5) });
        list.check();
    }
    assert_eq!(list.iter_from(id(6)).count(), 1);
    assert_eq!(list.iter_owner_from(0, StreamId::MAX).count(), 1);
    assert_eq!(list.remove_all(&ends), 3);
    assert!(list.is_empty());
}

#[test]
#[cfg_attr(miri, ignore = "it is about 1,000 entries")]
fn ids_in_any_order_and_repeated_are_removed_once() {
    let mut list = list((0..1000).map(|ms| owned(ms, 0, ms)));
    let named: Vec<_> = [999, 3, 3, 2, 500, 501, 501, 400, 7000, 0].map(id).to_vec();
    assert_eq!(list.remove_all(&named), 7);
    assert_eq!(list.remove_all(&named), 0);
    list.check();
    assert_eq!(list.len(), 993);
}

#[test]
fn an_emptied_list_holds_next_to_no_memory() {
    let count = if cfg!(miri) { 30 } else { 20_000 };
    let mut list = list(scattered(count).map(|n| owned(n, (n % 9) as u32, n % 100)));
    list.check();
    for n in scattered(count) {
        assert!(remove(&mut list, id(n)).is_some());
    }
    list.check();
    // A number for each of the nine consumers, and perhaps the room of a chunk.
    assert!(list.memory() <= 2048, "{} bytes", list.memory());
    (0..9).for_each(|owner| _ = list.remove_owner(owner));
    assert_eq!(list.owners.consumers(), 0);
}

#[test]
fn an_entry_that_comes_and_goes_alone_finds_the_room_of_the_one_before() {
    let mut list = PendingList::default();
    list.deliver(3, 5, [id(7)]);
    let there = list.memory();
    for (ms, owner) in [(8, 3), (3, 3), (9, 3), (1, 3)] {
        list.check();
        list.remove_all(&list.iter_from(StreamId::MIN).map(|entry| entry.id).collect::<Vec<_>>());
        list.check();
        assert_eq!((list.len(), list.memory()), (0, there));
        assert_eq!(list.by_time().next(), None);
        list.deliver(owner, 5, [id(ms)]);
        assert_eq!(ids(list.by_time()), [ms]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "it is about 200,000 entries")]
fn chunks_and_sections_are_few_when_few_entries_are_left() {
    let mut list = PendingList::default();
    list.deliver(0, 5, (0..200_000).map(id));
    for ms in (0..200_000).filter(|ms| ms % 500 != 7) {
        remove(&mut list, id(ms));
    }
    list.check();
    assert_eq!(list.len(), 400);
    assert!(list.chunks.count() <= 16, "{} chunks", list.chunks.count());
    assert!(list.owners.sections() <= 4, "{} sections", list.owners.sections());
}

#[test]
#[cfg_attr(miri, ignore = "it is about many chunks")]
fn opening_chunks_in_vain_moves_their_bounds() {
    let mut list = PendingList::default();
    (0..1000).for_each(|ms| list.deliver(0, ms, [id(ms)]));
    // The oldest of each chunk is gone.
    for ms in (0..1000).step_by(RECORDS_MAX) {
        remove(&mut list, id(ms));
    }
    let before: Vec<_> = bounds(&list);
    assert_eq!(list.by_time().count(), 992);
    let after: Vec<_> = bounds(&list);
    assert!(before.iter().zip(&after).all(|(before, after)| before < after));
    list.check();
}

fn bounds(list: &PendingList) -> Vec<Turn> {
    let next = |bound: &chunks::BoundOf| list.chunks.bound_after(Some(*bound));
    std::iter::successors(list.chunks.bound_after(None), next).map(|(turn, _)| turn).collect()
}

/// Bytes for each entry that is left, of a million delivered to `consumers` in turn of which one in `left` is left.
fn bytes_per_entry(consumers: u32, left: u64) -> f64 {
    let mut list = PendingList::default();
    let mut turns = (0..consumers).cycle();
    (0..1_000_000).for_each(|ms| list.deliver(turns.next().unwrap(), ms / 10, [id(ms)]));
    let gone: Vec<_> = scattered(1_000_000).zip(0..).filter(|(n, _)| n % left != 0).map(|(_, ms)| id(ms)).collect();
    for owner in 0..u64::from(consumers) {
        let theirs: Vec<_> = gone.iter().copied().filter(|id| id.ms() % u64::from(consumers) == owner).collect();
        for ids in theirs.chunks(100) {
            list.remove_all(ids);
        }
    }
    list.memory() as f64 / list.len() as f64
}

#[test]
#[cfg_attr(miri, ignore = "it is about a million entries")]
fn entries_take_little_more_than_their_records() {
    for (consumers, left, at_most) in
        [(1, 1, 44.0), (10, 1, 44.0), (100, 1, 48.0), (1, 2, 56.0), (10, 2, 56.0), (100, 2, 64.0), (100, 10, 64.0)]
    {
        let bytes = bytes_per_entry(consumers, left);
        println!("{consumers} consumers, one in {left} left: {bytes:.1}");
        assert!(bytes <= at_most, "{consumers} consumers, one in {left} left: {bytes:.1} bytes an entry");
    }
}
