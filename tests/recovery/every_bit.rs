//! Promise: no bit, no sector and no file of a store can change without somebody noticing, or nobody needing to (P4, P9).
//!
//! A small store with every kind of record there is, once closed and once killed, is damaged in every way that can be
//! enumerated: each bit flipped; each sector cleared, copied over each other one of its file, and exchanged with it; each
//! file cut at each length, removed, and exchanged with each file that is called the same or lies beside it. What comes of it:
//!
//! | class    | meaning |
//! |----------|---------|
//! | detected | an error names a damaged file; what is returned beside it is right |
//! | harmless | everything is as it was |
//! | reported | of the killed store only: what nothing that is left can testify to is gone, and the report of the recovery says so |
//! | traceless | the same, but cut off just where a change begins, as if the crash had come before it: there is nothing to report |
//!
//! A wrong entry, a loss without error or report, a panic, and damage to another stream are none of these.
//!
//! Damage that leaves no trace is not told from a crash: a killed store's last frame (see `log::recovery`), and files that
//! are removed whole, if nothing that is synced speaks of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use streamlog::sim::{Image, SimDisk};
use streamlog::{
    AddOptions, Corruption, Durability, Error, NewId, Position, Production, References, Release, SetId, Store,
    StreamId, Trim,
};

use crate::bit_flips::kind_of;
use crate::harness::{NEXT_MS, reopen};

/// A stream with every kind of entry, and every change.
const ALL: &[u8] = b"all";
/// IDs above those that are given by the clock.
const LATER_MS: u64 = NEXT_MS + 100;
/// A stream whose journal begins with every part of a checkpoint.
const OTHER: &[u8] = b"other";

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn add(store: &Store, name: &[u8], ms: u64, len: usize) {
    let fields = [("field", vec![b'a' + (ms % 26) as u8; len]), ("n", ms.to_string().into_bytes())];
    store.stream(name).unwrap().add_with(AddOptions::new().id(id(ms)), fields).unwrap();
}

fn produce(store: &Store, name: &[u8], key: &str) {
    let options = AddOptions::new().production(Production::Named { producer: b"p", id: key.as_bytes() });
    store.stream(name).unwrap().add_with(options, [("made", key)]).unwrap();
}

/// Everything that changes a stream, each in its own way.
fn fill(store: &Store) {
    let stream = store.stream(ALL).unwrap();
    add(store, ALL, 1, 900);
    stream.add_batch([(NewId::Exact(id(2)), [("x", "1")]), (NewId::Exact(id(3)), [("x", "2")])]).unwrap();
    let group = stream.group("g");
    group.create(Position::Start).unwrap();
    for ms in 4..=8 {
        add(store, ALL, ms, 900);
    }
    let alice = group.consumer("alice");
    alice.create().unwrap();
    alice.read().count(6).new_entries().unwrap();
    // Nothing is new: that alice was seen is all there is to note.
    group.set_position(Position::After(id(8)), None).unwrap();
    alice.read().new_entries().unwrap();
    group.set_position(Position::After(id(6)), Some(6)).unwrap();
    group.acknowledge([id(1)]).unwrap();
    group.consumer("bob").claim(Duration::ZERO, [id(2)]).run().unwrap();
    group.release([id(3)], Release::Failed).unwrap();
    group.consumer("zoe").create().unwrap();
    group.consumer("zoe").delete().unwrap();
    stream.group("short").create(Position::End).unwrap();
    stream.group("short").destroy().unwrap();
    stream.delete([id(5)]).unwrap();
    stream.delete_with([id(4)], References::Delete).unwrap();
    stream.trim(Trim::to_len(5)).unwrap();
    stream.configure_producers(Some(Duration::from_secs(86_400)), Some(50)).unwrap();
    produce(store, ALL, "one");
    produce(store, ALL, "one");
    stream.remember_production(b"p", b"two", id(8)).unwrap();
    stream.set_id(SetId::new(id(NEXT_MS + 5)).entries_added(100)).unwrap();
    produce(store, ALL, "three");
    // Ends the second segment, with what was produced in the journal.
    for ms in LATER_MS..LATER_MS + 3 {
        add(store, ALL, ms, 900);
    }
    fill_other(store);
}

/// Something of everything that a checkpoint keeps, and then a checkpoint.
fn fill_other(store: &Store) {
    (1..=3).for_each(|ms| add(store, OTHER, ms, 20));
    let stream = store.stream(OTHER).unwrap();
    stream.delete([id(2)]).unwrap();
    produce(store, OTHER, "one");
    let group = stream.group("g");
    group.create(Position::Start).unwrap();
    group.consumer("alice").read().count(1).new_entries().unwrap();
    // So long that the journal begins anew.
    stream.group("z".repeat(1000)).create(Position::End).unwrap();
    stream.group("z".repeat(1000)).destroy().unwrap();
}

/// An entry in a line.
fn line(entry: &streamlog::Entry) -> String {
    let mut line = format!("{} [", entry.id());
    for (name, value) in entry.fields() {
        line += &String::from_utf8_lossy(name);
        line.push('=');
        line += &String::from_utf8_lossy(value);
        line.push(' ');
    }
    line + "]"
}

/// What is in a stream, as text: also what can be seen of groups and producers.
fn text(store: &Store, name: &[u8]) -> Result<String, String> {
    let wrap = |error: Error| error.to_string();
    let stream = store.stream(name).map_err(wrap)?;
    let info = stream.info().map_err(wrap)?;
    let mut text = format!("{} {} {}\n", info.entries_added, info.max_deleted_entry_id, info.last_generated_id);
    let mut ids = Vec::new();
    for entry in stream.range(..) {
        let entry = entry.map_err(wrap)?;
        writeln!(text, "{}", line(&entry)).unwrap();
        ids.push(entry.id());
    }
    for entry in stream.range(..).rev() {
        if ids.pop() != Some(entry.map_err(wrap)?.id()) {
            return Err("reading backwards gives other entries".to_owned());
        }
    }
    if !ids.is_empty() {
        return Err("reading backwards gives fewer entries".to_owned());
    }
    writeln!(text, "{:?}", info.producers).unwrap();
    for detail in stream.group_details(usize::MAX).map_err(wrap)? {
        writeln!(text, "{:?} {:?} {:?}", detail.info, detail.consumers, detail.pending).unwrap();
    }
    Ok(text)
}

/// A store, and what it holds.
struct Subject {
    name: &'static str,
    image: Image,
    contents: BTreeMap<Vec<u8>, String>,
    /// What each stream held before some of the latest changes, and so may hold again if nothing tells of them.
    earlier: BTreeMap<Vec<u8>, BTreeSet<String>>,
    is_killed: bool,
}

impl Subject {
    fn killed() -> Self {
        let disk = SimDisk::new();
        let store = reopen(&disk, Durability::Always).unwrap();
        fill(&store);
        let mut steps = vec![disk.steps()];
        for name in [ALL, OTHER] {
            let group = store.stream(name).unwrap().group("g");
            for ms in LATER_MS + 10..=LATER_MS + 11 {
                add(&store, name, ms, 20);
                steps.push(disk.steps());
                group.consumer("alice").read().count(1).new_entries().unwrap();
                steps.push(disk.steps());
            }
        }
        let image = disk.kill_image(disk.steps());
        drop(store);
        let mut earlier = BTreeMap::<Vec<u8>, BTreeSet<String>>::new();
        for step in steps {
            for (name, text) in contents(&disk.kill_image(step)) {
                earlier.entry(name).or_default().insert(text);
            }
        }
        Self { name: "killed", contents: contents(&image), image, earlier, is_killed: true }
    }

    fn closed() -> Self {
        let image = Self::killed().image;
        let disk = image.mount();
        let store = reopen(&disk, Durability::Always).unwrap();
        for name in store.names().unwrap() {
            store.stream(name).unwrap().len().unwrap();
        }
        store.close().unwrap();
        let image = disk.kill_image(disk.steps());
        Self { name: "closed", contents: contents(&image), image, earlier: BTreeMap::new(), is_killed: false }
    }

    fn both() -> [Self; 2] {
        [Self::closed(), Self::killed()]
    }

    /// All files but the reserve, whatever is in which means nothing.
    fn files(&self) -> Vec<PathBuf> {
        self.image.files().filter(|file| *file != Path::new("reserve")).map(Path::to_path_buf).collect()
    }

    fn len(&self, file: &Path) -> usize {
        self.image.file(file).map_or(0, <[u8]>::len)
    }
}

fn contents(image: &Image) -> BTreeMap<Vec<u8>, String> {
    let store = reopen(&image.mount(), Durability::Always).unwrap();
    store.names().unwrap().into_iter().map(|name| (name.clone(), text(&store, &name).unwrap())).collect()
}

/// The stream a file belongs to, if it does.
fn stream_of(file: &Path) -> Option<&[u8]> {
    Some(file.parent()?.file_name()?.as_encoded_bytes()).filter(|_| file.starts_with("streams"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Detected,
    Harmless,
    Reported,
    Traceless,
}

/// Whether an error is about one of these files, or about one that should be beside them.
fn names_one(error: &Error, files: &[PathBuf]) -> bool {
    let simulated = Path::new("simulated");
    match error {
        Error::Corrupt { path, what: Corruption::Missing, .. } => {
            files.iter().any(|file| path.parent() == simulated.join(file).parent())
        }
        // What the journal has lost is told by the log.
        Error::Corrupt { path, what: Corruption::Malformed(what), .. } if what.contains("the journal has lost") => {
            let of_journal = |file: &&PathBuf| kind_of(file) == "journal";
            files.iter().filter(of_journal).any(|file| path.parent() == simulated.join(file).parent())
        }
        Error::Corrupt { path, .. } | Error::Unsupported { path, .. } => {
            files.iter().any(|file| *path == simulated.join(file))
        }
        Error::NotAStore { .. } => files.iter().any(|file| file == Path::new("LOCK")),
        _ => false,
    }
}

impl Subject {
    /// What comes of damage to `files`, or what is wrong with that.
    fn classify(&self, image: &Image, files: &[PathBuf], with_others: bool) -> Result<Class, String> {
        let disk = image.mount();
        let store = match reopen(&disk, Durability::Always) {
            Ok(store) => store,
            Err(error) if files.iter().any(|file| stream_of(file).is_none()) && names_one(&error, files) => {
                return Ok(Class::Detected);
            }
            Err(error) => return Err(format!("the store does not open: {error}")),
        };
        let names = store.names().map_err(|error| format!("the streams cannot be listed: {error}"))?;
        if !names.iter().eq(self.contents.keys()) {
            return Err(format!("the streams are {names:?}"));
        }
        let mut worst = Class::Harmless;
        for (name, expected) in &self.contents {
            let is_damaged = files.iter().any(|file| stream_of(file) == Some(name));
            if !is_damaged && !with_others {
                continue;
            }
            let class = self.classify_stream(&store, name, expected, files)?;
            if !is_damaged && class != Class::Harmless {
                return Err(format!("{}, another stream, is {class:?}", String::from_utf8_lossy(name)));
            }
            worst = match (worst, class) {
                (Class::Detected, _) | (_, Class::Detected) => Class::Detected,
                (Class::Traceless, _) | (_, Class::Traceless) => Class::Traceless,
                (Class::Reported, _) | (_, Class::Reported) => Class::Reported,
                _ => Class::Harmless,
            };
        }
        Ok(worst)
    }

    fn classify_stream(&self, store: &Store, name: &[u8], expected: &str, files: &[PathBuf]) -> Result<Class, String> {
        let found = match text(store, name) {
            Ok(found) if found == expected => return Ok(Class::Harmless),
            Ok(found) => found,
            Err(_) => return self.classify_lossy(store, name, expected, files),
        };
        let report = store.stream(name).and_then(|stream| stream.recovery()).map_err(|error| error.to_string())?;
        let was_once = || {
            self.earlier.get(name).is_some_and(|earlier| {
                earlier.iter().any(|earlier| but_for_last_id(earlier) == but_for_last_id(&found))
            })
        };
        match self.is_killed && was_once() {
            true if report.has_dropped() => Ok(Class::Reported),
            true => Ok(Class::Traceless),
            false => Err(format!("silently wrong: {found}\ninstead of {expected}\n{report:?}")),
        }
    }

    /// Reads on behind errors: what comes is right, and if something is missing an error tells.
    fn classify_lossy(&self, store: &Store, name: &[u8], expected: &str, files: &[PathBuf]) -> Result<Class, String> {
        let stream = store.stream(name).map_err(|error| error.to_string())?;
        let right: BTreeSet<&str> = expected.lines().collect();
        let mut errors = Vec::new();
        for back in [false, true] {
            let (mut range, mut last, mut found) = (stream.range(..), None, 0);
            let mut failed = false;
            while let Some(item) = if back { range.next_back() } else { range.next() } {
                match item {
                    Ok(entry) => {
                        let line = line(&entry);
                        if !right.contains(line.as_str()) {
                            return Err(format!("silently wrong: {line} is not the entry it was"));
                        }
                        if last.is_some_and(|last| (entry.id() < last) != back) {
                            return Err("the entries are out of order".to_owned());
                        }
                        (last, found) = (Some(entry.id()), found + 1);
                    }
                    Err(error) => {
                        failed = true;
                        errors.push(error);
                        if errors.len() > 1000 {
                            return Err("errors without end".to_owned());
                        }
                    }
                }
            }
            if !failed && found < expected.lines().filter(|line| line.ends_with(" ]")).count() {
                return Err(format!("silently lost: {found} entries are left"));
            }
        }
        errors.extend(stream.info().err());
        match errors.iter().find(|error| !names_one(error, files)) {
            Some(error) => Err(format!("the error does not name the file: {error}")),
            None if errors.is_empty() => Err("there is an error only once".to_owned()),
            None => Ok(Class::Detected),
        }
    }

    /// Tries all damages of a list, on all processors; prints what came of them by kind of file.
    fn campaign<D: Sync>(
        &self,
        what: &str,
        damages: &[D],
        damage: impl Fn(&mut Image, &D) -> Vec<PathBuf> + Sync,
        describe: impl Fn(&D) -> String + Sync,
    ) -> BTreeMap<(String, Class), usize> {
        /// Nothing takes so long, on whatever machine, but a loop without end.
        const HANG: Duration = Duration::from_secs(30);
        let (next, began) = (AtomicUsize::new(0), Instant::now());
        let (counts, failures) = (Mutex::new(BTreeMap::new()), Mutex::new(BTreeMap::<String, (usize, String)>::new()));
        let work = || {
            while let number = next.fetch_add(1, Ordering::Relaxed)
                && let Some(how) = damages.get(number)
            {
                // The other streams are as they were: where there are too many damages, they are looked at now and then.
                let with_others = damages.len() < 10_000 || number % 16 == 0;
                let (mut image, began) = (self.image.clone(), Instant::now());
                let files = damage(&mut image, how);
                let classified = catch_unwind(AssertUnwindSafe(|| self.classify(&image, &files, with_others)))
                    .unwrap_or_else(|panic| Err(format!("panicked: {:?}", panic.downcast_ref::<String>())));
                let classified = if began.elapsed() > HANG { Err("it takes too long".to_owned()) } else { classified };
                match classified {
                    Ok(class) => *counts.lock().unwrap().entry((kind_of(&files[0]), class)).or_insert(0) += 1,
                    Err(why) => {
                        let kind: String = why.chars().filter(|c| c.is_alphabetic() || *c == ' ').take(40).collect();
                        let mut failures = failures.lock().unwrap();
                        let what = format!("{}: {why}", describe(how));
                        failures.entry(format!("{} {kind}", kind_of(&files[0]))).or_insert((0, what)).0 += 1;
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(2, |count| count.get());
            (0..threads).for_each(|_| drop(scope.spawn(work)));
        });
        let counts: BTreeMap<(String, Class), usize> = counts.into_inner().unwrap();
        // A change or two of each stream, at one or two places each.
        let traceless = counts.iter().filter(|((_, class), _)| *class == Class::Traceless).map(|(_, count)| count);
        let traceless: usize = traceless.sum();
        table(&format!("{what}, {} store, {} s", self.name, began.elapsed().as_secs()), &counts);
        let failures = failures.into_inner().unwrap();
        let lines: Vec<_> = failures.values().map(|(count, what)| format!("{count} times, as in {what}")).collect();
        assert!(failures.is_empty(), "{what}, {} store:\n{}", self.name, lines.join("\n"));
        assert!(traceless <= if what == "every length" { 16 } else { 0 }, "{what}: {traceless} without a trace");
        counts
    }
}

/// The last ID is told by the ceiling when what had it is gone.
fn but_for_last_id(text: &str) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    format!("{}\n{rest}", first.rsplit_once(' ').map_or(first, |(counters, _)| counters))
}

fn table(what: &str, counts: &BTreeMap<(String, Class), usize>) {
    let mut lines =
        format!("{what}\n  {:8} {:>9} {:>9} {:>9} {:>9}\n", "file", "detected", "harmless", "reported", "traceless");
    for kind in counts.keys().map(|(kind, _)| kind).collect::<BTreeSet<_>>() {
        let get = |class| counts.get(&(kind.clone(), class)).copied().unwrap_or(0);
        let (detected, harmless) = (get(Class::Detected), get(Class::Harmless));
        let (reported, traceless) = (get(Class::Reported), get(Class::Traceless));
        writeln!(lines, "  {kind:8} {detected:>9} {harmless:>9} {reported:>9} {traceless:>9}").unwrap();
    }
    println!("{lines}  wrong 0, silently lost 0, panics 0, hangs 0; {} in all", counts.values().sum::<usize>());
}

/// The kinds of the frames of a segment or journal, those within others included.
fn kinds(content: &[u8]) -> BTreeSet<u8> {
    const HEADER_LEN: usize = 192;
    const SEVERAL: u8 = 4;
    fn varint(bytes: &mut &[u8]) -> Option<usize> {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
    let is_journal = content.starts_with(b"\x89SLJN");
    let mut kinds = BTreeSet::new();
    let mut rest = content.get(HEADER_LEN..).unwrap_or_default();
    while let Some(&head) = rest.get(4).filter(|&&head| head & 0x1f != 0) {
        kinds.insert(head & 0x1f);
        rest = &rest[5..];
        let len = varint(&mut rest).unwrap();
        let (mut body, after) = rest.split_at(len);
        rest = after;
        if is_journal && head & 0x1f == SEVERAL {
            body = &body[2..];
            for _ in 0..(head >> 5).count_ones() {
                varint(&mut body);
            }
            while let Some((&kind, inner)) = body.split_first() {
                kinds.insert(kind);
                body = inner;
                let len = varint(&mut body).unwrap();
                body = &body[len..];
            }
        }
    }
    kinds
}

#[test]
fn the_store_that_is_damaged_has_every_kind_of_record() {
    for subject in Subject::both() {
        let all = |ending: &str| -> BTreeSet<u8> {
            let files = subject.files().into_iter().filter(|file| kind_of(file) == ending);
            files.flat_map(|file| kinds(subject.image.file(&file).unwrap())).collect()
        };
        assert_eq!(all("log"), BTreeSet::from_iter(1..=5), "see format::entries");
        // Those of format::journal, and of format::groups.
        let expected: BTreeSet<u8> = (1..=19).chain(24..=27).chain(29..=31).collect();
        assert_eq!(all("journal"), expected, "missing {:?}", expected.difference(&all("journal")).collect::<Vec<_>>());
        let count = |ending: &str| subject.files().iter().filter(|file| kind_of(file) == ending).count();
        assert!(count("idx") >= 1 && count("meta") == 2 && count("log") >= 3, "{:?}", subject.files());
    }
}

#[test]
fn every_bit_counts_or_does_not_matter() {
    for subject in Subject::both() {
        let bits = |file: PathBuf| (0..subject.len(&file) * 8).map(move |bit| (file.clone(), bit)).collect::<Vec<_>>();
        let damages: Vec<_> = subject.files().into_iter().flat_map(bits).collect();
        let flip = |image: &mut Image, (file, bit): &(PathBuf, usize)| {
            image.file_mut(file).unwrap()[bit / 8] ^= 1 << (bit % 8);
            vec![file.clone()]
        };
        let describe = |(file, bit): &(PathBuf, usize)| format!("{}, byte {} bit {}", file.display(), bit / 8, bit % 8);
        let counts = subject.campaign("every bit", &damages, flip, describe);
        assert_eq!(counts.values().sum::<usize>(), damages.len());
        let of = |kind: &str, class| counts.get(&(kind.to_owned(), class)).copied().unwrap_or(0);
        assert!(of("log", Class::Detected) > 50_000 && of("journal", Class::Detected) > 5_000, "{counts:?}");
        assert_eq!(subject.is_killed, of("log", Class::Reported) > 0, "{counts:?}");
    }
}

#[test]
fn every_length_is_noticed_or_does_not_matter() {
    for subject in Subject::both() {
        let lengths = |file: PathBuf| (0..subject.len(&file)).map(move |len| (file.clone(), len)).collect::<Vec<_>>();
        let damages: Vec<_> = subject.files().into_iter().flat_map(lengths).collect();
        let cut = |image: &mut Image, (file, len): &(PathBuf, usize)| {
            image.file_mut(file).unwrap().truncate(*len);
            vec![file.clone()]
        };
        subject.campaign("every length", &damages, cut, |(file, len)| format!("{} cut to {len}", file.display()));
    }
}

/// What is done to the sectors of a file.
#[derive(Clone, Debug)]
enum Sectors {
    Cleared(usize),
    Copied(usize, usize),
    Exchanged(usize, usize),
}

#[test]
fn every_sector_that_is_lost_or_out_of_place_is_noticed_or_does_not_matter() {
    const SECTOR: usize = 512;
    for subject in Subject::both() {
        let mut damages = Vec::new();
        for file in subject.files() {
            let count = subject.len(&file).div_ceil(SECTOR);
            damages.extend((0..count).map(|at| (file.clone(), Sectors::Cleared(at))));
            for (a, b) in (0..count).flat_map(|a| (0..count).map(move |b| (a, b))).filter(|(a, b)| a != b) {
                damages.push((file.clone(), Sectors::Copied(a, b)));
                damages.extend((a < b).then(|| (file.clone(), Sectors::Exchanged(a, b))));
            }
        }
        let put = |image: &mut Image, (file, how): &(PathBuf, Sectors)| {
            let content = image.file_mut(file).unwrap();
            let mut sectors: Vec<Vec<u8>> = content.chunks(SECTOR).map(<[u8]>::to_vec).collect();
            match *how {
                Sectors::Cleared(at) => sectors[at].fill(0),
                Sectors::Copied(from, to) => {
                    let len = sectors[from].len().min(sectors[to].len());
                    let source = sectors[from][..len].to_vec();
                    sectors[to][..len].copy_from_slice(&source);
                }
                Sectors::Exchanged(a, b) => sectors.swap(a, b),
            }
            *content = sectors.concat();
            vec![file.clone()]
        };
        subject.campaign("every sector", &damages, put, |(file, how)| format!("{}, {how:?}", file.display()));
    }
}

#[test]
fn every_file_that_is_gone_or_exchanged_is_noticed_or_does_not_matter() {
    for subject in Subject::both() {
        let files = subject.files();
        let mut damages: Vec<(PathBuf, Option<PathBuf>)> = Vec::new();
        // Without LOCK it is no store, which is tested among the bad inputs.
        damages.extend(files.iter().filter(|file| stream_of(file).is_some()).map(|file| (file.clone(), None)));
        for (at, file) in files.iter().enumerate() {
            damages.extend(files[..at].iter().map(|other| (file.clone(), Some(other.clone()))));
        }
        let change = |image: &mut Image, (file, other): &(PathBuf, Option<PathBuf>)| {
            let Some(other) = other else {
                image.remove(file);
                return vec![file.clone()];
            };
            *image.file_mut(file).unwrap() = subject.image.file(other).unwrap().to_vec();
            *image.file_mut(other).unwrap() = subject.image.file(file).unwrap().to_vec();
            vec![file.clone(), other.clone()]
        };
        subject.campaign("every file", &damages, change, |(file, other)| format!("{}, for {other:?}", file.display()));
    }
}

/// A store that is about to rename a stream over another one: besides the intent there are streams in `tmp`.
fn renaming() -> (Image, [BTreeMap<Vec<u8>, String>; 2]) {
    let disk = Subject::closed().image.mount();
    let store = reopen(&disk, Durability::Always).unwrap();
    let before = disk.steps();
    store.rename(ALL, OTHER).unwrap();
    let images: Vec<_> = (before..=disk.steps()).map(|step| disk.kill_image(step)).collect();
    drop(store);
    let image = images.iter().find(|image| image.file("intent").is_some()).expect("it is there for a while").clone();
    (image, [contents(&images[0]), contents(images.last().unwrap())])
}

/// Files that belong to no stream: an intent that is damaged keeps the store from opening, by an error that names it; the
/// reserve means nothing, and neither does what is in `tmp`. An intent that is gone without a trace is not missed: nothing
/// of what it was to do had been done at that point.
#[test]
fn damage_to_what_belongs_to_no_stream_is_noticed_or_does_not_matter() {
    let (image, [before, after]) = renaming();
    let open = |image: &Image| reopen(&image.mount(), Durability::Always);
    assert_eq!(contents(&image), after);
    let intent = image.file("intent").unwrap().to_vec();
    for bit in 0..intent.len() * 8 {
        let mut image = image.clone();
        image.file_mut("intent").unwrap()[bit / 8] ^= 1 << (bit % 8);
        let error = open(&image).map(drop).unwrap_err();
        assert!(names_one(&error, &["intent".into()]), "bit {bit}: {error}");
    }
    for len in 0..intent.len() {
        let mut image = image.clone();
        image.file_mut("intent").unwrap().truncate(len);
        let error = open(&image).map(drop).unwrap_err();
        assert!(names_one(&error, &["intent".into()]), "cut to {len}: {error}");
    }
    let mut lost = image.clone();
    lost.remove("intent");
    assert_eq!(contents(&lost), before);
    for len in [0, 1, 512, 64 << 10] {
        let mut image = image.clone();
        *image.file_mut("reserve").unwrap() = vec![0xa5; len];
        assert_eq!(contents(&image), after, "a reserve of {len} bytes of garbage");
    }
    let mut bare = image.clone();
    bare.remove("reserve");
    assert_eq!(contents(&bare), after, "no reserve");
    bare.remove("tmp");
    assert_eq!(contents(&bare), after, "no tmp");
    let lock = image.file("LOCK").unwrap().to_vec();
    for bit in 0..lock.len() * 8 {
        let mut image = image.clone();
        image.file_mut("LOCK").unwrap()[bit / 8] ^= 1 << (bit % 8);
        let error = open(&image).map(drop).unwrap_err();
        assert!(names_one(&error, &["LOCK".into()]), "bit {bit}: {error}");
    }
}

/// Whatever a file of one stream holds, the others can be read, written to, and opened again.
#[test]
fn a_stream_that_is_damaged_stops_no_other_from_being_used() {
    let subject = Subject::closed();
    let mut tried = 0;
    for file in subject.files() {
        let Some(damaged) = stream_of(&file) else { continue };
        let content = subject.image.file(&file).unwrap();
        let garbage: Vec<u8> = (0..content.len() as u64).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 7) as u8).collect();
        for bytes in [Some(garbage), Some(Vec::new()), Some(vec![0; content.len()]), None] {
            let mut image = subject.image.clone();
            match bytes {
                Some(bytes) => *image.file_mut(&file).unwrap() = bytes,
                None => image.remove(&file),
            }
            let disk = image.mount();
            let others: Vec<&Vec<u8>> = subject.contents.keys().filter(|name| *name != damaged).collect();
            for life in 0..2u64 {
                let store = reopen(&disk, Durability::Always).unwrap();
                // Whether it opens or not.
                let _ = store.stream(damaged).unwrap().add([("field", "value")]);
                for name in &others {
                    let stream = store.stream(name).unwrap();
                    let before = stream.len().unwrap();
                    let added = stream.add([("life", life.to_string())]).unwrap();
                    stream
                        .group("new")
                        .create(Position::End)
                        .or_else(|_| stream.group("new").set_position(Position::End, None))
                        .unwrap();
                    stream.delete([added]).unwrap();
                    stream.add([("life", life.to_string())]).unwrap();
                    assert_eq!(stream.len().unwrap(), before + 1, "{} is damaged", file.display());
                }
                store.create(format!("life {life}")).unwrap();
                // What is damaged can be done away with.
                if life == 1 {
                    assert_eq!(store.delete([damaged]).unwrap(), 1);
                    assert!(!store.exists(damaged).unwrap());
                }
                store.close().unwrap();
            }
            tried += 1;
        }
    }
    assert!(tried >= 40, "{tried}");
}
