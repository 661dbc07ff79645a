//! Promise: a crash cuts log and groups at one point, and a full disk keeps nobody from acknowledging (P2, P3, P5).

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use streamlog::sim::{CrashLimits, Op, SimDisk};
use streamlog::{
    AddOptions, Durability, Error, GroupOptions, Options, Position, Production, References, Release, Store, StreamId,
    Trim,
};

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn options(level: Durability) -> Options {
    Options::new().durability(level).segment_bytes_max(4096).checkpoint_bytes_min(600)
}

fn mount(disk: &Arc<SimDisk>, level: Durability) -> Store {
    Store::open_simulated(options(level), disk).unwrap()
}

/// Adds entries with these IDs to the stream `s`.
fn fill(store: &Store, ids: std::ops::RangeInclusive<u64>) {
    let stream = store.stream("s").unwrap();
    for ms in ids {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", ms.to_string())]).unwrap();
    }
}

fn ids(store: &Store) -> Vec<u64> {
    store.stream("s").unwrap().range(..).map(|entry| entry.unwrap().id().ms()).collect()
}

/// Looks at what a power loss and a kill may leave, after each step since `from`.
fn crash_since(disk: &SimDisk, from: usize, check: impl Fn(&Store, bool, &str)) {
    for step in from..=disk.steps() {
        let images = disk.crash_images(step, CrashLimits::default(), 1).chain([disk.kill_image(step)]);
        for image in images {
            let what = format!("after step {step} of {}, {}", disk.steps(), image.description());
            check(&mount(&image.mount(), Durability::Always), step == disk.steps(), &what);
        }
    }
}

/// Found by the model: the entry was there, and nothing was trimmed.
#[test]
fn an_add_that_trims_with_regard_to_references_is_done_or_not() {
    for references in [References::Delete, References::Acknowledged] {
        let disk = SimDisk::new();
        let store = mount(&disk, Durability::Always);
        store
            .stream("s")
            .unwrap()
            .group("g")
            .create_with(GroupOptions::new(Position::After(id(99))).create_stream())
            .unwrap();
        fill(&store, 1..=3);
        let from = disk.steps();
        let options = AddOptions::new().id(id(4)).trim(Trim::to_len(1).references(references));
        store.stream("s").unwrap().add_with(options, [("n", "4")]).unwrap();
        crash_since(&disk, from, |store, done, what| {
            let found = ids(store);
            assert!(found == [4] || (found == [1, 2, 3] && !done), "{found:?} {what}");
        });
    }
}

/// Found by the model: the stream was there without the group.
#[test]
fn a_group_that_creates_its_stream_appears_with_it() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    let from = disk.steps();
    store.stream("s").unwrap().group("g").create_with(GroupOptions::new(Position::End).create_stream()).unwrap();
    crash_since(&disk, from, |store, done, what| {
        let stream = store.stream("s").unwrap();
        let exists = stream.exists().unwrap();
        assert_eq!(stream.group("g").exists().unwrap(), exists, "{what}");
        assert!(exists || !done, "{what}");
    });
}

/// Found by the model: the read returned before that was durable.
#[test]
fn a_consumer_that_came_by_a_read_without_result_stays() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    let group = store.stream("s").unwrap().group("g");
    group.create_with(GroupOptions::new(Position::End).create_stream()).unwrap();
    assert!(group.consumer("alice").read().new_entries().unwrap().is_empty());
    crash_since(&disk, disk.steps(), |store, _, what| {
        assert_eq!(store.stream("s").unwrap().group("g").consumers().unwrap().len(), 1, "{what}");
    });
}

/// Adds an entry idempotently; gives its ID.
fn produce(store: &Store, key: &str) -> streamlog::Result<StreamId> {
    let production = Production::Named { producer: b"p", id: key.as_bytes() };
    let options = AddOptions::new().production(production);
    let added = store.stream("s")?.add_with(options, [("n", key)])?;
    Ok(added.expect("it is created"))
}

/// Lets nothing more fit on the disk.
fn fill_up(disk: &SimDisk) {
    disk.set_space(Some(disk.used()));
}

#[test]
fn everything_can_be_acknowledged_one_by_one_on_a_full_disk() {
    for level in [Durability::Always, Durability::Os] {
        let disk = SimDisk::new();
        let store = Store::open_simulated(Options::new().durability(level), &disk).unwrap();
        let group = store.stream("s").unwrap().group("g");
        group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        fill(&store, 1..=2000);
        assert_eq!(group.consumer("alice").read().new_entries().unwrap().len(), 2000);
        fill_up(&disk);
        for ms in 1..=2000 {
            let done = group.acknowledge([id(ms)]);
            assert_eq!(done.unwrap_or_else(|error| panic!("{level:?}, {ms}: {error}")), 1);
        }
        store.close().unwrap();
        let store = mount(&disk, level);
        assert_eq!(store.stream("s").unwrap().group("g").pending().unwrap().count, 0);
    }
}

#[test]
fn a_duplicate_needs_no_room() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    let first = produce(&store, "a").unwrap();
    disk.set_space(Some(0));
    assert_eq!(produce(&store, "a").unwrap(), first);
    assert_eq!(store.stream("s").unwrap().info().unwrap().producers.duplicates, 1);
}

#[test]
fn a_stream_with_productions_opens_on_a_full_disk_also_after_a_torn_append() {
    let disk = SimDisk::new();
    let store = Store::open_simulated(Options::new().durability(Durability::Os), &disk).unwrap();
    let stream = store.stream("s").unwrap();
    stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    let keys: Vec<String> = (0..90).map(|n| format!("{n}{}", "k".repeat(100))).collect();
    let made: Vec<StreamId> = keys.iter().map(|key| produce(&store, key).unwrap()).collect();
    let mut image = disk.kill_image(disk.steps());
    let path = image.files().filter(|path| path.to_string_lossy().ends_with(".log")).max().unwrap().to_owned();
    let bytes = image.file_mut(&path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[end] ^= 1;
    let disk = image.mount();
    fill_up(&disk);
    let store = mount(&disk, Durability::Os);
    assert_eq!(store.stream("s").unwrap().len().unwrap(), 89);
    for (key, id) in keys.iter().zip(&made).take(89) {
        assert_eq!(produce(&store, key).unwrap(), *id);
    }
}

/// The new generation had its name by then, but the changes went on in the old one.
#[test]
fn a_journal_that_was_replaced_but_for_the_mark_is_the_journal() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    let group = store.stream("s").unwrap().group("g");
    group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    fill(&store, 1..=200);
    // On a file system that copies what it overwrites there may be no room for that.
    disk.fail_when(|call| {
        let meta = call.path.ends_with("meta") && call.op == Op::Write;
        meta.then_some(ErrorKind::StorageFull.into())
    });
    let mut delivered = Vec::new();
    for _ in 0..100 {
        if let Ok(entries) = group.consumer("alice").read().count(1).new_entries() {
            delivered.extend(entries.iter().map(streamlog::Entry::id));
        }
    }
    assert!(!delivered.is_empty());
    let store = mount(&disk.kill_image(disk.steps()).mount(), Durability::Always);
    let pending = store.stream("s").unwrap().group("g").pending_entries().run().unwrap();
    assert_eq!(pending.iter().map(|entry| entry.id).collect::<Vec<_>>(), delivered);
}

/// A directory that cannot be synced is no lack of room: whether the new name is there is open.
#[test]
fn a_journal_whose_name_could_not_be_synced_ends_it() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    let group = store.stream("s").unwrap().group("g");
    group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    fill(&store, 1..=20);
    disk.fail_when(|call| (call.op == Op::SyncDir).then_some(ErrorKind::StorageFull.into()));
    let mut delivered = Vec::new();
    let ended = (0..100).find_map(|_| {
        let read = group.consumer("alice").read().count(1).new_entries();
        read.map(|entries| delivered.extend(entries.iter().map(streamlog::Entry::id)))
            .err()
            .or_else(|| group.acknowledge(delivered.drain(..)).err())
    });
    assert!(matches!(ended, Some(streamlog::Error::Io { .. })), "{ended:?}");
    assert!(matches!(group.acknowledge([id(1)]), Err(streamlog::Error::Poisoned { .. })));
}

/// What clients know: nothing of how it is kept.
#[derive(Clone, Default)]
struct Told {
    produced: BTreeMap<String, StreamId>,
    /// Whose an entry is that was given out, and not acknowledged.
    owners: BTreeMap<StreamId, &'static str>,
    acknowledged: BTreeSet<StreamId>,
}

const CONSUMERS: [&str; 3] = ["alice", "bob", "carol"];

/// A generator of random numbers, as good as it has to be.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// One operation of a client, and what it is told.
fn work(store: &Store, random: &mut Random, told: &mut Told) -> streamlog::Result<()> {
    let group = store.stream("s")?.group("g");
    let consumer = CONSUMERS[random.below(3)];
    let some = |told: &Told, random: &mut Random| -> Vec<StreamId> {
        told.owners.keys().copied().filter(|_| random.below(3) == 0).take(4).collect()
    };
    match random.below(10) {
        0..4 => {
            let key = format!("{:>1$}", random.below(40), 1 + 200 * random.below(2));
            let key = key.trim_start().to_owned() + &"-".repeat(key.len());
            let id = produce(store, &key)?;
            let known = *told.produced.entry(key).or_insert(id);
            assert_eq!(known, id, "produced twice");
        }
        4..7 => {
            for entry in group.consumer(consumer).read().count(1 + random.below(3) as u64).new_entries()? {
                let before = told.owners.insert(entry.id(), consumer);
                assert_eq!(before, None, "{} is given to two consumers without a claim", entry.id());
                assert!(!told.acknowledged.contains(&entry.id()), "{} was acknowledged", entry.id());
            }
        }
        7..9 => {
            let ids = some(told, random);
            assert_eq!(group.acknowledge(ids.iter().copied())?, ids.len() as u64, "of {ids:?}");
            for id in ids {
                told.owners.remove(&id);
                told.acknowledged.insert(id);
            }
        }
        _ => {
            let ids = some(told, random);
            let claimed = group.consumer(consumer).claim(Duration::ZERO, ids.iter().copied()).run()?;
            assert_eq!(claimed.iter().map(streamlog::Entry::id).collect::<Vec<_>>(), ids);
            told.owners.extend(ids.into_iter().map(|id| (id, consumer)));
        }
    }
    Ok(())
}

/// Compares what is there with what clients were told, `before` the last operation or after it.
fn keeps(store: &Store, before: &Told, after: &Told) {
    let stream = store.stream("s").unwrap();
    let group = stream.group("g");
    let all: BTreeSet<StreamId> = stream.range(..).map(|entry| entry.unwrap().id()).collect();
    let pending: BTreeMap<StreamId, String> = group
        .pending_entries()
        .run()
        .unwrap()
        .into_iter()
        .map(|entry| (entry.id, String::from_utf8(entry.consumer.unwrap()).unwrap()))
        .collect();
    for id in &before.acknowledged {
        assert!(!pending.contains_key(id), "{id} was acknowledged, and is pending");
    }
    for (id, owner) in &before.owners {
        match pending.get(id) {
            Some(found) => assert!(found == owner || after.owners.get(id).is_some_and(|owner| found == owner), "{id}"),
            None => assert!(after.acknowledged.contains(id), "{id} is not pending for {owner}"),
        }
    }
    // A copy is asked, so as not to disturb what goes on.
    store.copy_over("s", "copy").unwrap();
    let copy = store.stream("copy").unwrap().group("g");
    let claimed = copy.consumer("zoe").auto_claim(Duration::ZERO).count(10_000).run().unwrap();
    assert_eq!(claimed.ids, pending.keys().copied().collect::<Vec<_>>(), "what can be claimed");
    let new: BTreeSet<StreamId> =
        copy.consumer("zoe").read().new_entries().unwrap().iter().map(streamlog::Entry::id).collect();
    let given: BTreeSet<StreamId> = all.difference(&new).copied().collect();
    for id in &given {
        let known = |told: &Told| told.acknowledged.contains(id) || told.owners.contains_key(id);
        assert!(pending.contains_key(id) || known(before) || known(after), "the group skips {id}");
    }
    assert!(pending.keys().all(|id| given.contains(id) && all.contains(id)));
    for (key, id) in &before.produced {
        assert!(all.contains(id), "{id} is gone");
        let option = Production::Named { producer: b"p", id: key.as_bytes() };
        let found = store.stream("copy").unwrap().add_with(AddOptions::new().production(option), [("n", "again")]);
        assert_eq!(found.unwrap(), Some(*id), "{key} is produced twice");
    }
    store.delete(["copy"]).unwrap();
}

impl Told {
    /// Takes in what the last operation did although nobody was told.
    fn learn(&mut self, store: &Store, after: &Told) {
        let group = store.stream("s").unwrap().group("g");
        let pending = group.pending_entries().run().unwrap();
        let name = |name: &[u8]| *CONSUMERS.iter().find(|consumer| consumer.as_bytes() == name).unwrap();
        self.owners = pending.iter().map(|entry| (entry.id, name(entry.consumer.as_ref().unwrap()))).collect();
        let gone = after.acknowledged.iter().filter(|id| !self.owners.contains_key(id));
        self.acknowledged.extend(gone.copied());
    }
}

/// What consumers rely on, whatever is crashed when: nothing is given to two consumers of a group without a claim, what
/// was acknowledged does not come back, everything else can be claimed, no entry is skipped, and what was produced is not
/// produced again, across new segments and new journals, and crashes while they are begun.
#[test]
fn what_consumers_and_producers_were_told_holds_through_crash_after_crash() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let nightly = std::env::var_os("STREAMLOG_NIGHTLY").is_some();
    let seeds = match number("STREAMLOG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..if nightly { 5000 } else { 60 },
    };
    let (mut lives, mut segments, mut journals) = (0, 0, 0);
    for seed in seeds {
        println!("STREAMLOG_SEED={seed}");
        let mut random = Random(seed);
        let mut disk = SimDisk::new();
        let mut told = Told::default();
        let store = mount(&disk, Durability::Always);
        store.stream("s").unwrap().group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        drop(store);
        for _ in 0..6 {
            let store = mount(&disk, Durability::Always);
            let (mut after, mut steps) = (told.clone(), disk.steps());
            for _ in 0..=random.below(60) {
                (told, steps) = (after.clone(), disk.steps());
                work(&store, &mut random, &mut after).unwrap();
                let begun = disk.history().into_iter().skip(steps).filter_map(|step| step.to);
                let begun: Vec<_> = begun.map(|path| path.to_string_lossy().into_owned()).collect();
                let is_begun = |ending| usize::from(begun.iter().any(|path| path.ends_with(ending)));
                if !begun.is_empty() && random.below(2) == 0 {
                    segments += is_begun(".log");
                    journals += is_begun(".journal");
                    break;
                }
            }
            let step = steps + random.below(disk.steps() - steps + 1);
            let done = step == disk.steps();
            let images: Vec<_> = disk.crash_images(step, CrashLimits::default(), seed).collect();
            let image = &images[random.below(images.len())];
            let next = image.mount();
            let found = mount(&next, Durability::Always);
            keeps(&found, if done { &after } else { &told }, &after);
            if done {
                told = after;
            } else {
                told.learn(&found, &after);
            }
            drop((found, store));
            disk = next;
            lives += 1;
        }
    }
    println!("{lives} crashes, {segments} of them while a segment, {journals} while a journal was begun");
}

/// All that can be seen of the stream `s`.
fn all_of(store: &Store) -> String {
    let stream = store.stream("s").unwrap();
    let info = stream.info().unwrap();
    let mut text = format!("{:?} {} {}", ids(store), info.entries_added, info.max_deleted_entry_id);
    text += &format!(" {:?}", info.producers);
    for detail in stream.group_details(usize::MAX).unwrap() {
        let group = detail.info;
        text += &format!("\n{:?} {} {:?} {:?}", group.name, group.last_delivered_id, group.entries_read, group.lag);
        text += &format!(" {:?} {:?}", detail.pending, detail.consumers);
    }
    text
}

type Operation = fn(&Store) -> streamlog::Result<()>;

/// What is done to a stream, each as one change.
const OPERATIONS: [(&str, Operation); 11] = [
    ("deliver", |store| group_of(store)?.consumer("alice").read().count(2).new_entries().map(|_| ())),
    ("deliver to a new consumer", |store| group_of(store)?.consumer("dan").read().count(2).new_entries().map(|_| ())),
    ("acknowledge", |store| group_of(store)?.acknowledge([id(1), id(3)]).map(|_| ())),
    ("claim", |store| group_of(store)?.consumer("bob").auto_claim(Duration::ZERO).run().map(|_| ())),
    ("release", |store| group_of(store)?.release([id(2)], Release::Failed).map(|_| ())),
    ("create", |store| store.stream("s")?.group("h").create(Position::Start)),
    ("destroy", |store| group_of(store)?.destroy().map(|_| ())),
    ("delete", |store| store.stream("s")?.delete_with([id(2), id(5)], References::Delete).map(|_| ())),
    ("produce", |store| produce(store, "new").map(|_| ())),
    ("configure", |store| store.stream("s")?.configure_producers(None, Some(7))),
    ("add and trim", |store| {
        let trim = Trim::to_len(2).references(References::Delete);
        store.stream("s")?.add_with(AddOptions::new().trim(trim), [("n", "new")]).map(|_| ())
    }),
];

fn group_of(store: &Store) -> streamlog::Result<streamlog::Group> {
    Ok(store.stream("s")?.group("g"))
}

/// A disk that is full at one call, or from it on, at which an operation may fail; what fails has no effect, and what
/// does not is kept.
#[test]
fn an_operation_that_finds_no_room_at_any_call_has_no_effect_and_can_be_repeated() {
    let at_noon = |disk: &Arc<SimDisk>| {
        let clock = || std::time::UNIX_EPOCH + Duration::from_secs(43_200);
        Store::open_simulated(options(Durability::Always).clock(clock), disk).unwrap()
    };
    let (mut cases, mut refused) = (0, 0);
    // The journal is each time a bit longer, until a new generation is due, and beyond.
    for rounds in (0..26).step_by(if std::env::var_os("STREAMLOG_NIGHTLY").is_some() { 1 } else { 3 }) {
        let disk = SimDisk::new();
        let store = at_noon(&disk);
        group_of(&store).unwrap().create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        fill(&store, 1..=10);
        produce(&store, "old").unwrap();
        group_of(&store).unwrap().consumer("alice").read().count(5).new_entries().unwrap();
        for _ in 0..rounds {
            group_of(&store).unwrap().release([id(4)], Release::Silent).unwrap();
        }
        let prepared = disk.kill_image(disk.steps());
        drop(store);
        for (name, operation) in OPERATIONS {
            let done = {
                let store = at_noon(&prepared.mount());
                operation(&store).unwrap();
                all_of(&store)
            };
            for (call, sticky) in (0..).flat_map(|call| [(call, false), (call, true)]) {
                let disk = prepared.mount();
                let store = at_noon(&disk);
                let before = all_of(&store);
                let first = disk.calls() + call;
                disk.fail_when(move |at| {
                    let hit = at.number == first || (sticky && at.number > first);
                    let takes_room = matches!(at.op, Op::Create | Op::Write | Op::Grow | Op::Rename);
                    (hit && takes_room).then_some(ErrorKind::StorageFull.into())
                });
                let what = format!("{name} after {rounds} rounds, full at call {call}, sticky: {sticky}");
                let result = operation(&store);
                let calls = disk.calls();
                disk.heal();
                let left = at_noon(&disk.kill_image(disk.steps()).mount());
                cases += 1;
                match result {
                    Ok(()) => {
                        assert_eq!(all_of(&store), done, "{what}");
                        assert_eq!(all_of(&left), done, "{what}, reopened");
                    }
                    Err(Error::NoSpace { .. }) => {
                        refused += 1;
                        assert_eq!(all_of(&store), before, "{what}, refused");
                        assert_eq!(all_of(&left), before, "{what}, refused and reopened");
                        operation(&store).unwrap_or_else(|error| panic!("{what}, again: {error}"));
                        assert_eq!(all_of(&store), done, "{what}, again");
                        let left = at_noon(&disk.kill_image(disk.steps()).mount());
                        assert_eq!(all_of(&left), done, "{what}, again and reopened");
                    }
                    Err(error) => {
                        let left = all_of(&left);
                        assert!(left == before || left == done, "{what}: {error}: {left}");
                    }
                }
                if calls <= first {
                    break;
                }
            }
        }
    }
    println!("{cases} cases, {refused} refused");
    assert!(cases > 500 && refused > 10, "{cases} cases, {refused} refused");
}
