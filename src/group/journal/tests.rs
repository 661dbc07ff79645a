//! Promise: a journal of valid frames that say anything at all neither panics nor hangs (P9).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::*;
use crate::format::NUMBER_MAX;
use crate::format::groups::{Counting, Memory, NewConsumer, NewGroup, PendingRun};
use crate::format::header::{HEADER_LEN, Kind};
use crate::format::journal::{IdSet, Run, State};
use crate::group::producers::{DURATION_S_MAX, LEN_MAX};
use crate::sim::{Image, SimDisk};
use crate::{
    AddOptions, Durability, GroupOptions, GroupReadFrom, Options, Position, Production, ReadFrom, References, Release,
    SetId, Store, Stream, StreamId, Trim,
};

/// Numbers at the ends of what fits somewhere.
const EXTREMES: [u64; 16] = [
    0,
    1,
    2,
    3,
    100,
    10_000,
    u32::MAX as u64 - 1,
    u32::MAX as u64,
    1 << 32,
    NUMBER_MAX - 1,
    NUMBER_MAX,
    i64::MAX as u64,
    i64::MAX as u64 + 1,
    u64::MAX - 2,
    u64::MAX - 1,
    u64::MAX,
];

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn number(&mut self) -> u64 {
        EXTREMES[self.below(EXTREMES.len())]
    }

    /// Mostly one that is there.
    fn small(&mut self) -> u64 {
        if self.below(4) == 0 { self.number() } else { self.below(3) as u64 }
    }

    fn consumer(&mut self) -> u32 {
        u32::try_from(self.small()).unwrap_or(u32::MAX)
    }

    fn option(&mut self) -> Option<u64> {
        let number = self.number();
        (self.below(3) > 0).then_some(number)
    }

    fn id(&mut self) -> StreamId {
        match self.below(3) {
            0 => StreamId::new(self.number(), self.number()),
            _ => StreamId::new(self.below(12) as u64, 0),
        }
    }

    fn ids(&mut self) -> Vec<StreamId> {
        let count = self.below(6);
        (0..count).map(|_| self.id()).collect()
    }

    fn string(&mut self) -> Box<[u8]> {
        [&b"g"[..], b"", b"alice", b"p", b"\xff"][self.below(5)].into()
    }

    fn counting(&mut self) -> Counting {
        match self.below(4) {
            0 => Counting::Keep,
            1 => Counting::Increment,
            2 => Counting::Decrement,
            _ => Counting::Set(self.number().min(u64::MAX - 3)),
        }
    }

    fn runs(&mut self) -> Vec<Run> {
        let (mut runs, mut next) = (Vec::new(), 0u64);
        for _ in 0..self.below(4) {
            let Some(first) = next.checked_add(self.small()) else { break };
            let Some(last) = first.checked_add(self.small()).filter(|&last| last < u64::MAX) else { break };
            runs.push(Run { first, last });
            next = last + 1;
        }
        runs
    }

    fn group(&mut self) -> NewGroup {
        NewGroup { group: self.small(), name: self.string(), position: self.id(), entries_read: self.option() }
    }

    fn new_consumer(&mut self) -> NewConsumer {
        NewConsumer { group: self.small(), consumer: self.consumer(), name: self.string(), time: self.number() }
    }

    /// Often such limits as can be.
    fn limits(&mut self) -> (u64, u64) {
        if self.below(4) == 0 { (self.number(), self.number()) } else { (self.below(3) as u64, self.below(4) as u64) }
    }

    fn memory(&mut self) -> Memory {
        let (duration_s, max_len) = self.limits();
        let mut producers = Vec::new();
        for _ in 0..self.below(4) {
            let count = self.below(4);
            producers.push((self.string(), (0..count).map(|_| (self.string(), self.id())).collect()));
        }
        Memory {
            next_ordinal: self.small(),
            duration_s,
            max_len,
            added: self.number(),
            duplicates: self.number(),
            producers,
        }
    }

    fn pending(&mut self) -> PendingRun {
        PendingRun {
            owner: (self.below(3) > 0).then(|| self.consumer()),
            time: self.number(),
            count: self.number(),
            order: self.number(),
            ids: self.ids(),
        }
    }

    fn change(&mut self) -> Change {
        Change::Group(match self.below(20) {
            0 => GroupChange::CreateGroup(self.group()),
            1 => {
                let (group, position, entries_read) = (self.small(), self.id(), self.option());
                GroupChange::SetPosition { group, position, entries_read }
            }
            2 => GroupChange::DestroyGroup { group: self.small() },
            3 => GroupChange::CreateConsumer(self.new_consumer()),
            4 => GroupChange::DeleteConsumer { group: self.small(), consumer: self.consumer() },
            5 => GroupChange::Seen { group: self.small(), consumer: self.consumer(), time: self.number() },
            6 | 7 => GroupChange::Deliver {
                group: self.small(),
                consumer: self.consumer(),
                time: self.number(),
                position: self.id(),
                entries_read: self.option(),
                ids: self.ids(),
            },
            8 => GroupChange::Acknowledge { group: self.small(), ids: self.ids() },
            9 | 10 => GroupChange::Claim {
                group: self.small(),
                consumer: self.consumer(),
                time: self.number(),
                delivery_time: self.number(),
                active: self.below(2) == 0,
                counting: self.counting(),
                ids: self.ids(),
            },
            11 => GroupChange::Release { group: self.small(), counting: self.counting(), ids: self.ids() },
            12 => GroupChange::Unreference { ids: self.ids() },
            13 => GroupChange::Remember { producer: self.string(), key: self.string(), id: self.id() },
            14 => {
                let (duration_s, max_len) = self.limits();
                GroupChange::Configure { duration_s, max_len }
            }
            15 => GroupChange::Producers(self.memory()),
            16 => GroupChange::Duplicates { count: self.number() },
            17 => return Change::Several((0..self.below(4)).map(|_| self.plain()).collect()),
            18 => return Change::Delete { max_deleted_id: self.id(), ordinals: self.runs() },
            _ => {
                let (last_id, entries_added, max_deleted_id) = (self.id(), self.number(), self.id());
                return Change::SetId { last_id, entries_added, max_deleted_id };
            }
        })
    }

    /// Not several.
    fn plain(&mut self) -> Change {
        loop {
            let change = self.change();
            if !matches!(change, Change::Several(_)) {
                return change;
            }
        }
    }

    fn part(&mut self) -> Change {
        Change::Group(match self.below(4) {
            0 => GroupChange::Group(self.group()),
            1 => GroupChange::Consumer { consumer: self.new_consumer(), active_time: self.option() },
            2 => {
                GroupChange::Pending { group: self.small(), runs: (0..self.below(4)).map(|_| self.pending()).collect() }
            }
            _ => GroupChange::Memory(self.memory()),
        })
    }

    fn state(&mut self) -> Change {
        let id_set = (self.below(3) == 0).then(|| IdSet {
            next_ordinal: self.small(),
            last_id: self.id(),
            entries_added: self.number(),
        });
        let floor = if self.below(4) == 0 { self.small() } else { 1 };
        Change::State(State { floor, max_deleted_id: self.id(), highest_id: self.id(), id_set })
    }
}

fn options() -> Options {
    Options::new().durability(Durability::Os).segment_bytes_max(4096).checkpoint_bytes_min(600)
}

/// A store that was not closed, with entries, a group and a production, and the path of its journal.
fn image() -> (Image, PathBuf) {
    let disk = SimDisk::new();
    let store = Store::open_simulated(options(), &disk).unwrap();
    let stream = store.stream("s").unwrap();
    let group = stream.group("g");
    group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    for ms in 1..=8 {
        stream.add_with(AddOptions::new().id(StreamId::new(ms, 0)), [("ms", ms.to_string())]).unwrap();
    }
    group.consumer("alice").read().count(5).new_entries().unwrap();
    let image = disk.kill_image(disk.steps());
    let path = image.files().find(|path| path.to_string_lossy().ends_with(".journal")).unwrap().to_owned();
    (image, path)
}

/// Writes these frames behind the header, or behind what is there.
fn put_frames(bytes: &mut Vec<u8>, changes: &[Change], anew: bool) {
    let header = Header::decode(bytes.first_chunk().unwrap(), Kind::Journal).unwrap();
    let salt = Salt::of(&header.file);
    let (mut at, mut position) = (HEADER_LEN, header.base as u16);
    while let Ok(frame) = record::decode(&bytes[at..], salt, at as u64) {
        if anew {
            break;
        }
        let change = Change::decode(frame.head.kind, frame.payload).unwrap();
        position = position.wrapping_add(u16::from(!change.is_checkpoint_part()));
        at += frame.len;
    }
    bytes.truncate(at);
    for change in changes {
        let mut payload = Vec::new();
        change.put(&mut payload);
        let head = Head { kind: change.kind(), position, ..Head::default() };
        let offset = bytes.len() as u64;
        record::encode(bytes, salt, offset, &head, &[&payload]);
        position = position.wrapping_add(u16::from(!change.is_checkpoint_part()));
    }
    bytes.resize(bytes.len() + 4096, 0);
}

/// Everything that looks at groups; errors are as good as answers.
fn use_all(store: &Store, stream: &Stream) {
    let _ = (stream.info(), stream.groups(), stream.group_details(usize::MAX), stream.group_details(1));
    let all: Vec<Vec<u8>> = stream.groups().unwrap_or_default().into_iter().map(|info| info.name).collect();
    let ids = (0..12).map(|ms| StreamId::new(ms, 0)).chain([StreamId::MAX]);
    for name in all {
        let group = stream.group(&name);
        let consumer = group.consumer("alice");
        let _ = (group.pending(), group.pending_entries().run(), group.consumers(), group.info());
        let _ = group.pending_entries().consumer("alice").min_idle(Duration::from_secs(1)).run();
        let _ = consumer.read().history(StreamId::MIN);
        let _ = consumer.read().count(1).claim(Duration::ZERO).deliveries();
        let _ = consumer.read().claim(Duration::MAX).deliveries();
        let _ = consumer.claim(Duration::ZERO, ids.clone()).idle(Duration::from_secs(9)).force().run();
        let _ = consumer.auto_claim(Duration::ZERO).run();
        let _ = group.release(ids.clone(), Release::Silent);
        let _ = group.consumer("new").auto_claim(Duration::ZERO).ids_only().run();
        let _ = group.acknowledge(ids.clone());
        let _ = group.acknowledge_and_delete([StreamId::new(2, 0)], References::Acknowledged);
        let _ = group.set_position(Position::End, Some(u64::MAX));
    }
    let _ = stream.group("another").create(Position::After(StreamId::MAX));
    let read = store.read_group("g", "bob").stream(stream, GroupReadFrom::New);
    let _ = (read.run(), stream.read(ReadFrom::After(StreamId::MIN)).run());
    let production = AddOptions::new().production(Production::Named { producer: b"p", id: b"g" });
    let _ = (stream.add_with(production, [("n", "v")]), stream.add_with(production, [("n", "v")]));
    let _ = stream.remember_production(b"p", b"\xff", StreamId::new(3, 0));
    let trim = Trim::to_len(3).references(References::Acknowledged);
    let _ = (stream.add_with(AddOptions::new().trim(trim), [("n", "v")]), stream.delete([StreamId::new(1, 0)]));
    let _ = (stream.trim(Trim::to_len(2).references(References::Delete)), stream.set_id(SetId::new(StreamId::MAX)));
    let _ = stream.configure_producers(Some(Duration::from_secs(1)), Some(1));
    let _ = (store.copy_over("s", "t"), store.rename("t", "u"));
    let _ = stream.group("g").destroy();
}

fn look_at(image: &Image, what: &dyn Fn() -> String) -> bool {
    let began = Instant::now();
    let done = catch_unwind(AssertUnwindSafe(|| {
        let disk = image.mount();
        let mut opened = false;
        // What was made of it is opened once more.
        for _ in 0..2 {
            let store = Store::open_simulated(options(), &disk).unwrap();
            let stream = store.stream("s").unwrap();
            opened |= stream.info().is_ok();
            use_all(&store, &stream);
            let _ = store.close();
        }
        opened
    }));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?} for {}", began.elapsed(), what());
    done.unwrap_or_else(|_| panic!("a panic, by {}", what()))
}

#[test]
#[cfg_attr(miri, ignore = "each of thousands of journals takes half a minute")]
fn a_journal_that_says_anything_neither_panics_nor_hangs() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = if std::env::var_os("STREAMLOG_NIGHTLY").is_some() { 0..200_000 } else { 0..5000 };
    let seeds = number("STREAMLOG_SEED").map_or(seeds, |seed| seed..seed + 1);
    let (image, path) = image();
    let (mut opened, mut count) = (0, 0);
    for seed in seeds {
        let mut random = Random(seed);
        // Above the last change there may be such as only damage leaves.
        let anew = random.below(2) == 0;
        let mut changes = Vec::new();
        if anew {
            changes.push(random.state());
            changes.extend((0..random.below(6)).map(|_| random.part()));
            changes.push(Change::Checkpoint);
        }
        changes.extend((0..=random.below(8)).map(|_| random.change()));
        let mut image = image.clone();
        put_frames(image.file_mut(&path).unwrap(), &changes, anew);
        count += 1;
        opened += usize::from(look_at(&image, &|| format!("STREAMLOG_SEED={seed}, {changes:?}")));
    }
    println!("{opened} of {count} streams were opened");
    assert!(count == 1 || opened > count / 20);
}

#[test]
#[cfg_attr(miri, ignore = "each of hundreds of payloads takes seconds")]
fn payloads_of_any_bytes_neither_panic_nor_hang() {
    let (image, path) = image();
    let mut random = Random(7);
    let (mut decoded, mut count) = (0, 0);
    for kind in 1..=31u8 {
        for _ in 0..60 {
            let payload: Vec<u8> = (0..random.below(24))
                .map(|_| match random.below(3) {
                    0 => 0xff,
                    1 => random.below(4) as u8,
                    _ => random.below(256) as u8,
                })
                .collect();
            count += 1;
            let Some(change) = Change::decode(kind, &payload) else { continue };
            decoded += 1;
            let mut image = image.clone();
            put_frames(image.file_mut(&path).unwrap(), std::slice::from_ref(&change), false);
            look_at(&image, &|| format!("{change:?}"));
        }
    }
    println!("{decoded} of {count} payloads were changes");
    assert!(decoded > count / 100);
}

/// Quadratic in what the journal says, this would take hours.
#[test]
#[cfg_attr(miri, ignore = "it is about 10,000 productions")]
fn more_productions_than_are_remembered_are_refused() {
    let name = |number: u32| -> Box<[u8]> { Box::from(&number.to_le_bytes()[..3]) };
    let list = |len: u32| (0..len).map(|number| (name(number), StreamId::new(1, 0))).collect();
    let memory = |max_len: u64, len: u32| {
        let producers = vec![(name(1), list(len))];
        Change::Group(GroupChange::Producers(Memory { max_len, duration_s: 1, producers, ..Memory::default() }))
    };
    for (changes, possible) in [
        (vec![memory(LEN_MAX, 10_000)], true),
        (vec![memory(LEN_MAX, 10_001)], false),
        (vec![memory(LEN_MAX + 1, 0)], false),
        (vec![Change::Group(GroupChange::Configure { duration_s: DURATION_S_MAX + 1, max_len: 1 })], false),
        (vec![Change::Group(GroupChange::Configure { duration_s: 1, max_len: u64::MAX })], false),
    ] {
        let (mut image, path) = image();
        put_frames(image.file_mut(&path).unwrap(), &changes, false);
        let store = Store::open_simulated(options(), &image.mount()).unwrap();
        let duration = store.stream("s").unwrap().info().map(|info| info.producers.duration.as_secs());
        // What cannot be is taken for the end of what was written, or for damage.
        assert_eq!(duration.is_ok_and(|seconds| seconds == 1), possible, "{:?}", changes[0].kind());
    }
}

/// What is longer than can be read is never written, and a generation is replaced before it comes to that.
#[test]
fn no_journal_gets_longer_than_can_be_read() {
    let small = |checkpoint_end| len_for(checkpoint_end, 64 << 10);
    assert_eq!((small(100), small(1 << 20)), (64 << 10, 4 << 20));
    for checkpoint_end in [1 << 29, 1 << 30, 3 << 30, JOURNAL_LEN_MAX - 2] {
        for bytes_min in [0, 64 << 10, u64::MAX] {
            let len = len_for(checkpoint_end, bytes_min);
            assert!(checkpoint_end < len && len < JOURNAL_LEN_MAX, "{checkpoint_end}, {bytes_min}: {len}");
        }
    }
    for len in [0, 5000, JOURNAL_LEN_MAX - RESERVE, JOURNAL_LEN_MAX - 1, JOURNAL_LEN_MAX] {
        assert!((len..=JOURNAL_LEN_MAX).contains(&capacity_for(len, GROWTH_MAX)), "{len}");
    }
    let disk = SimDisk::new();
    let store = Store::open_simulated(Options::new(), &disk).unwrap();
    let group = store.create("s").unwrap().group("g");
    group.create(crate::Position::Start).unwrap();
    let inner = store.shared().find(b"s").unwrap().unwrap();
    {
        let mut journaling = inner.journal.lock();
        let journal = journaling.journal.as_mut().unwrap();
        let before = (journal.offset, journal.capacity);
        (journal.offset, journal.capacity) = (JOURNAL_LEN_MAX - 100, JOURNAL_LEN_MAX);
        assert!(journal.make_room(100).is_ok());
        let refused = journal.make_room(101).unwrap_err();
        assert!(matches!(refused, Error::ChangeTooLarge { max: JOURNAL_LEN_MAX, .. }), "{refused}");
        (journal.offset, journal.capacity) = before;
    }
    assert!(group.consumer("c").create().unwrap());
}

/// Every new segment puts all that is remembered into the journal, which is to be replaced before it gets long.
#[test]
#[cfg_attr(miri, ignore = "it is about thousands of adds")]
fn what_is_remembered_of_productions_does_not_pile_up_in_the_journal() {
    let small = Options::new().segment_bytes_max(4096).checkpoint_bytes_min(16 << 10);
    let disk = SimDisk::new();
    let store = Store::open_simulated(small.durability(Durability::Os), &disk).unwrap();
    let stream = store.stream("s").unwrap();
    for number in 0..10_000u32 {
        let id = number.to_le_bytes();
        let once = AddOptions::new().production(Production::Named { producer: b"p", id: &id });
        stream.add_with(once, [("f", "v")]).unwrap();
    }
    let inner = store.shared().find(b"s").unwrap().unwrap();
    let journaling = inner.journal.lock();
    let journal = journaling.journal.as_ref().unwrap();
    assert!(journaling.generation > 2 && journal.offset < 24 << 10, "{} bytes", journal.offset);
}
