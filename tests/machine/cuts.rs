//! The power goes while a child writes, in a real kernel: its page cache, its journal, its order of writing back.
//!
//! The file system is shut down without flushing its log, while pages of the store's files, chosen at random, are written
//! back; it is mounted again, and the store must be at a point in the child's history that is not before the last one
//! that was acknowledged as durable, with log and group cut at the same point. The next child goes on there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use streamlog::{Durability, GroupOptions, Options, Position, Store, StreamId, Trim};

use crate::children::{self, Role};
use crate::kernel;
use crate::mounts::{Mount, text};
use crate::runner::{self, Outcome, Random, Test};

pub const TESTS: &[Test] = &[
    ("a_power_cut_on_ext4_takes_nothing_that_was_durable", on_ext4),
    ("a_power_cut_on_xfs_takes_nothing_that_was_durable", on_xfs),
];
pub const ROLES: &[Role] = &[("write", write)];

/// Cuts of each file system.
const CUTS: u64 = 150;
/// A store is as old as this many cuts at the most.
const LIVES: u64 = 15;

fn on_ext4() -> Outcome {
    cut("ext4", 64)
}

fn on_xfs() -> Outcome {
    cut("xfs", 320)
}

/// The state of the store: each number only grows, and each operation of the child moves one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// Entries that were added, delivered, acknowledged, trimmed.
    added: u64,
    delivered: u64,
    acked: u64,
    trimmed: u64,
}

fn options(level: &str) -> Options {
    let durability = if level == "always" { Durability::Always } else { Durability::Os };
    Options::new().durability(durability).segment_bytes_max(32 << 10).checkpoint_bytes_min(4 << 10)
}

/// What entry number `n` holds.
fn payload(n: u64) -> Vec<u8> {
    let mut random = Random(n);
    let len = match random.below(10) {
        0 => 3000 + random.below(9000),
        1..4 => 400 + random.below(1000),
        _ => random.below(200),
    };
    let mut payload = format!("{n}:").into_bytes();
    payload.extend((0..len).map(|_| random.next() as u8));
    payload
}

/// A child: does one thing after the other, and says before and after each of them.
fn write(arguments: &[String]) {
    let [path, level, seed] = arguments else { panic!("three arguments") };
    let mut random = Random(seed.parse().unwrap());
    let mut out = std::io::stdout();
    let mut say = |line: String| out.write_all(line.as_bytes()).unwrap();
    let store = options(level).open(path).unwrap();
    let stream = store.stream("log").unwrap();
    let group = stream.group("g");
    if !stream.exists().unwrap() {
        group.create_with(GroupOptions::new(Position::Start).entries_read(0).create_stream()).unwrap();
    }
    store.sync().unwrap();
    let mut state = look(&store).0;
    say(format!("begin {state}\n"));
    let consumer = group.consumer("c");
    // After the power went, everything fails; that is the end.
    loop {
        let next = match random.below(12) {
            0..6 => State { added: state.added + 1, ..state },
            6 => State { added: state.added + 1 + random.below(5), ..state },
            7..9 => State { delivered: state.added.min(state.delivered + 1 + random.below(4)), ..state },
            9 | 10 => State { acked: state.delivered.min(state.acked + 1 + random.below(4)), ..state },
            _ => State { trimmed: state.acked.min(state.trimmed + random.below(40)), ..state },
        };
        say(format!("try {next}\n"));
        let done = (|| {
            if next.added > state.added {
                let entries = (state.added..next.added).map(|n| (streamlog::NewId::Auto, [("n", payload(n))]));
                let ids = stream.add_batch(entries)?;
                ids.iter().zip(state.added..).for_each(|(id, n)| say(format!("id {n} {id}\n")));
            } else if next.delivered > state.delivered {
                let count = next.delivered - state.delivered;
                let delivered = consumer.read().count(count).new_entries()?.len() as u64;
                if delivered < count {
                    // What could be read is delivered; the rest cannot be read any more once the power went.
                    let beside = Path::new(path).with_extension("alive");
                    assert!(fs::File::create(beside).is_err(), "{delivered} of {count} entries were delivered");
                    return Err(streamlog::Error::Closed);
                }
            } else if next.acked > state.acked {
                let count = next.acked - state.acked;
                let oldest = group.pending_entries().count(count).run()?;
                assert_eq!(consumer.ack(oldest.iter().map(|pending| pending.id))?, count);
            } else if next.trimmed > state.trimmed {
                stream.trim(Trim::to_len(next.added - next.trimmed))?;
            }
            if level == "os" && random.below(8) == 0 {
                say(format!("done {next}\n"));
                store.sync()?;
                say(format!("durable {next}\n"));
            }
            Ok::<(), streamlog::Error>(())
        })();
        match done {
            Ok(()) => say(format!("{} {next}\n", if level == "os" { "done" } else { "durable" })),
            Err(_) => return,
        }
        state = next;
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.added, self.delivered, self.acked, self.trimmed)
    }
}

impl State {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self { added: next()?, delivered: next()?, acked: next()?, trimmed: next()? })
    }
}

/// The state of the store, having checked that it is whole, and the IDs of its entries.
fn look(store: &Store) -> (State, BTreeMap<u64, StreamId>) {
    let stream = store.stream("log").unwrap();
    let info = stream.info().unwrap();
    let mut ids = BTreeMap::new();
    let mut last = StreamId::MIN;
    for (entry, n) in stream.range(..).zip(info.entries_added - info.len..) {
        let entry = entry.unwrap();
        assert!(entry.id() > last, "IDs increase");
        last = entry.id();
        assert!(entry.get("n") == Some(&payload(n)[..]), "entry {n} is as it was added");
        ids.insert(n, entry.id());
    }
    assert_eq!(ids.len() as u64, info.len);
    assert!(last <= info.last_generated_id);
    let groups = stream.groups().unwrap();
    let group = &groups[0];
    assert!(group.last_delivered_id <= info.last_generated_id, "the group is not ahead of the log");
    let delivered = group.entries_read.unwrap();
    let state = State {
        added: info.entries_added,
        delivered,
        acked: delivered - group.pending,
        trimmed: info.entries_added - info.len,
    };
    let pending = stream.group("g").pending_entries().count(u64::MAX).run().unwrap();
    let pending: Vec<StreamId> = pending.iter().map(|pending| pending.id).collect();
    let expected: Vec<StreamId> = ids.range(state.acked..state.delivered).map(|(_, id)| *id).collect();
    assert_eq!(pending, expected, "what is pending was delivered and not acknowledged");
    (state, ids)
}

fn cut(kind: &str, mib: u64) -> Outcome {
    let mut mount = match Mount::new(kind, mib, &[]) {
        Ok(mount) => mount,
        Err(why) => return Outcome::Skipped(why),
    };
    let cuts = runner::number("STREAMLOG_CUTS").map_or(CUTS, |cuts| cuts / 2);
    let mut random = Random(runner::seed());
    let (mut acknowledged, mut lost, mut pages) = (0, 0, 0);
    let mut life = Life::default();
    for number in 0..cuts {
        let store = mount.at.join(format!("store-{}", number / LIVES));
        if number % LIVES == 0 {
            life = Life::default();
            let _ = fs::remove_dir_all(mount.at.join(format!("store-{}", (number / LIVES).wrapping_sub(1))));
        }
        let level = if (number / LIVES).is_multiple_of(2) { "always" } else { "os" };
        let (said, written) = run_and_cut(&mount, &store, level, &mut random);
        pages += written;
        mount.unmount().expect("what was shut down can be unmounted");
        mount.mount("rw").expect("what was shut down can be mounted");
        let context = format!("cut {number} on {kind} at {level}");
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| life.judge(&store, level, &said)));
        let (durable, dropped) = judged.unwrap_or_else(|_| {
            let tail: Vec<&str> = said.lines().rev().take(12).collect();
            panic!("{context}; it said, newest first: {tail:#?}")
        });
        acknowledged += durable;
        lost += dropped;
    }
    assert!(pages > 0 && acknowledged > 0, "there was nothing to lose");
    Outcome::Passed(format!(
        "{cuts} cuts, {acknowledged} durable operations checked, {lost} that were not durable lost, {pages} pages written \
         back out of order"
    ))
}

/// Lets a child write until the power goes; returns what it said, and how many pages were written back by themselves.
fn run_and_cut(mount: &Mount, store: &Path, level: &str, random: &mut Random) -> (String, u64) {
    let mut child = children::start("write", &[text(store), level, &random.next().to_string()]);
    let mut said = child.line() + "\n";
    assert!(said.starts_with("begin"), "the child began: {said}");
    let (stop, pages) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut writer = Random(random.next());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                let _ = write_some_back(&store.join("streams/log"), &mut writer, &pages);
            }
        });
        std::thread::sleep(Duration::from_micros(2_000 + random.below(15_000)));
        kernel::shut_down(&mount.at).expect("the file system can be shut down");
        stop.store(true, Relaxed);
    });
    said += &child.kill();
    (said, pages.into_inner())
}

/// Writes back a random part of a random file.
fn write_some_back(stream: &Path, random: &mut Random, pages: &AtomicU64) -> std::io::Result<()> {
    let files = fs::read_dir(stream)?.collect::<Result<Vec<_>, _>>()?;
    let file = fs::File::open(files[random.below(files.len() as u64) as usize].path())?;
    let count = file.metadata()?.len().div_ceil(4096);
    kernel::write_back(&file, random.below(count) * 4096, 4096)?;
    pages.fetch_add(1, Relaxed);
    Ok(())
}

/// What is known of a store across the cuts it went through.
#[derive(Default)]
struct Life {
    /// All IDs that were ever handed out, also to entries that were lost.
    handed_out: BTreeSet<StreamId>,
}

impl Life {
    /// Checks what a cut left of a store; returns how many operations were durable, and how many others are gone.
    fn judge(&mut self, path: &Path, level: &str, said: &str) -> (u64, u64) {
        let mut states = Vec::new();
        let mut durable = 0;
        let mut ids = BTreeMap::new();
        // The last line may be cut.
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        for line in whole.lines() {
            let (what, rest) = line.split_once(' ').expect("two words");
            if what == "id" {
                let (n, id) = rest.split_once(' ').expect("two words");
                let id: StreamId = id.parse().unwrap();
                assert!(self.handed_out.insert(id), "the ID {id} was handed out twice");
                assert!(self.handed_out.last() == Some(&id), "the ID {id} is not above all that were handed out");
                ids.insert(n.parse::<u64>().unwrap(), id);
                continue;
            }
            let state = State::parse(rest).expect("a state");
            if states.last() != Some(&state) {
                states.push(state);
            }
            if matches!(what, "begin" | "durable") {
                durable = states.len() - 1;
            }
        }
        let store = options(level).open(path).unwrap();
        let (found, found_ids) = look(&store);
        let at = states.iter().rposition(|state| *state == found);
        let at = at.unwrap_or_else(|| panic!("{found:?} is no state it was in: {states:?}"));
        assert!(at >= durable, "{found:?} is before {:?}, which was durable", states[durable]);
        for (n, id) in &found_ids {
            assert!(ids.get(n).is_none_or(|said| said == id), "entry {n} has its ID");
        }
        self.handed_out.extend(found_ids.values());
        store.close().unwrap();
        // Opening changed nothing of what is there.
        let store = options(level).open(path).unwrap();
        assert_eq!(look(&store).0, found, "after opening once more");
        store.close().unwrap();
        (durable as u64, (states.len() - 1 - at) as u64)
    }
}
