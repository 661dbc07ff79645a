//! Promise: damage to anything that was synced is reported, and costs no more than it hit (P4, P9).
//!
//! Every bit of a store that was closed is flipped, every file cut at every length, removed, exchanged for another, and
//! cleared sector by sector. What comes of it is one of these:
//!
//! | class    | meaning |
//! |----------|---------|
//! | detected | an error names the damaged file; what is returned beside it is right |
//! | harmless | everything is as it was |
//!
//! and never a wrong entry, a loss without an error, or a panic. Damage in one stream is none in another.
//!
//! `STREAMLOG_NIGHTLY=1` also flips every bit of the long runs of zeros.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use streamlog::sim::{Image, SimDisk};
use streamlog::{AddOptions, Corruption, Durability, Error, NewId, SetId, Store, StreamId, Trim};

use crate::harness::{Contents, Fields, State, contents, reopen, state};

fn nightly() -> bool {
    std::env::var_os("STREAMLOG_NIGHTLY").is_some()
}

/// A store with everything there is in it, closed, and what it holds.
struct Subject {
    image: Image,
    contents: Contents,
    /// The directory of each stream.
    directories: BTreeMap<PathBuf, Vec<u8>>,
}

/// A stream with sealed segments, entries of all kinds among them, and all changes in its journal.
const SEALED: &[u8] = b"sealed";
/// A stream whose journal is of the second generation.
const SECOND: &[u8] = b"second";

fn fields(name: &str, len: usize, fill: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let value = (0..len as u64).map(|at| (fill.wrapping_mul(31).wrapping_add(at * 7) % 251) as u8).collect();
    vec![(name.as_bytes().to_vec(), value), (b"n".to_vec(), fill.to_string().into_bytes())]
}

fn add(store: &Store, name: &[u8], ms: u64, field: &str, len: usize) {
    let id = AddOptions::new().id(StreamId::new(ms, 0));
    store.stream(name).unwrap().add_with(id, fields(field, len, ms)).unwrap();
}

impl Subject {
    fn new() -> Self {
        let disk = SimDisk::new();
        let store = reopen(&disk, Durability::Always).unwrap();
        let stream = store.stream(SEALED).unwrap();
        for ms in 1..=60 {
            add(&store, SEALED, ms * 10, ["field", "other", "third"][ms as usize % 3], 100 + ms as usize);
            if ms % 7 == 0 {
                let at = |seq| NewId::Exact(StreamId::new(ms * 10, seq));
                let batch = [(at(1), fields("batch", 30, ms)), (at(2), fields("field", 31, ms + 1))];
                stream.add_batch(batch).unwrap();
            }
        }
        stream.delete([StreamId::new(330, 0), StreamId::new(340, 0), StreamId::new(590, 0)]).unwrap();
        stream.trim(Trim::to_len(45)).unwrap();
        stream.set_id(SetId::new(StreamId::new(700, 7)).entries_added(1000)).unwrap();
        add(&store, SEALED, 710, "field", 20);
        for ms in 1..=9 {
            add(&store, SECOND, ms, "f", 10);
        }
        store.stream(SECOND).unwrap().delete([StreamId::new(2, 0), StreamId::new(5, 0)]).unwrap();
        // A torn journal makes a second generation of it.
        let mut image = disk.kill_image(disk.steps());
        drop(store);
        let journal = image.file_mut("streams/second/00000000000000000001.journal").unwrap();
        let tail = journal.iter().rposition(|&byte| byte != 0).unwrap();
        journal[tail + 9] = 1;
        let disk = image.mount();
        let store = reopen(&disk, Durability::Always).unwrap();
        store.stream(SECOND).unwrap().delete([StreamId::new(7, 0)]).unwrap();
        // Another name, and so another meta, and a long one.
        // Opened, so that its clean end is noted.
        assert_eq!(store.stream(SEALED).unwrap().len().unwrap(), 46);
        add(&store, b"first name", 5, "f", 10);
        store.rename("first name", "LONG ".repeat(60)).unwrap();
        add(&store, b"plain", 5, "f", 10);
        store.create("empty").unwrap();
        store.close().unwrap();
        let image = disk.kill_image(disk.steps());
        let contents = contents(&reopen(&image.mount(), Durability::Always).unwrap()).unwrap();
        let directories = directories(&image, &contents);
        Self { image, contents, directories }
    }

    /// The stream that a file belongs to, if it does.
    fn stream_of(&self, path: &Path) -> Option<&[u8]> {
        self.directories.get(path.parent()?).map(Vec::as_slice)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.image.files().map(Path::to_path_buf).collect()
    }
}

/// Each stream alone in a store has only one directory: but the names of directories are told by what is in them, too.
fn directories(image: &Image, contents: &Contents) -> BTreeMap<PathBuf, Vec<u8>> {
    let parents: BTreeSet<_> =
        image.files().filter(|path| path.starts_with("streams")).filter_map(|path| path.parent()).collect();
    let name_of = |directory: &Path| {
        let directory = directory.file_name().unwrap().to_str().unwrap();
        let starts = |name: &&Vec<u8>| name[..3].eq_ignore_ascii_case(&directory.as_bytes()[..3]);
        let long = |name: &&Vec<u8>| name.len() > 200 && directory.contains("%~");
        contents.keys().find(|name| starts(name) || long(name)).unwrap().clone()
    };
    parents.into_iter().map(|directory| (directory.to_path_buf(), name_of(directory))).collect()
}

/// What was found in a stream that may be damaged.
struct Lossy {
    forwards: Vec<(StreamId, Fields)>,
    backwards: Vec<(StreamId, Fields)>,
    errors: [Vec<Error>; 2],
}

/// Reads on behind errors; there are not more of them than of entries.
fn read_lossy(store: &Store, name: &[u8]) -> Lossy {
    let stream = store.stream(name).unwrap();
    let mut errors = [Vec::new(), Vec::new()];
    let mut read = |back: bool| {
        let mut range = stream.range(..);
        let mut entries: Vec<(StreamId, Fields)> = Vec::new();
        while let Some(item) = if back { range.next_back() } else { range.next() } {
            match item {
                Ok(entry) => {
                    let fields = entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
                    entries.push((entry.id(), std::sync::Arc::new(fields)));
                }
                Err(error) => errors[usize::from(back)].push(error),
            }
            assert!(errors[usize::from(back)].len() < 1000, "errors without end");
        }
        entries
    };
    let forwards = read(false);
    let mut backwards = read(true);
    backwards.reverse();
    Lossy { forwards, backwards, errors }
}

/// What became of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Detected,
    Harmless,
}

/// Whether an error is about a file. That one is missing is told by a neighbour, by the name it should have.
fn names_file(error: &Error, file: &Path) -> bool {
    let path = match error {
        Error::Corrupt { path, what: Corruption::Missing, .. } => {
            return path.parent() == Path::new("simulated").join(file).parent();
        }
        Error::Corrupt { path, .. } | Error::Unsupported { path, .. } => path,
        _ => return false,
    };
    path == &Path::new("simulated").join(file)
}

impl Subject {
    /// What comes of damage to `file`, or what is wrong with that.
    fn classify(&self, image: &Image, file: &Path, thorough: bool) -> Result<Class, String> {
        let disk = image.mount();
        let store = match reopen(&disk, Durability::Always) {
            Ok(store) => store,
            Err(error) if self.stream_of(file).is_none() && names_file(&error, file) => return Ok(Class::Detected),
            Err(error) => return Err(format!("the store does not open: {error}")),
        };
        let damaged = self.stream_of(file);
        let mut class = Class::Harmless;
        for (name, expected) in &self.contents {
            if Some(name.as_slice()) == damaged {
                class = self.classify_stream(&store, name, expected, file)?;
            } else if thorough {
                let found = state(&store, name)?;
                if found != *expected {
                    return Err(format!("another stream has changed: {}", found.summary()));
                }
            }
        }
        let names: Result<BTreeSet<_>, _> = store.names().map(BTreeSet::from_iter);
        match names {
            Ok(names) if names.iter().eq(self.contents.keys()) => {}
            Err(error) if class == Class::Detected && names_file(&error, file) => {}
            names => return Err(format!("the streams are {names:?}")),
        }
        if thorough && class == Class::Harmless {
            self.live_on(store, &disk, damaged.unwrap_or(SEALED))?;
        }
        Ok(class)
    }

    fn classify_stream(&self, store: &Store, name: &[u8], expected: &State, file: &Path) -> Result<Class, String> {
        let strict = state(store, name);
        if strict.as_ref() == Ok(expected) {
            return Ok(Class::Harmless);
        }
        if let Ok(found) = strict {
            return Err(format!("silently wrong: {} instead of {}", found.summary(), expected.summary()));
        }
        let lossy = read_lossy(store, name);
        for (entries, errors) in [(&lossy.forwards, &lossy.errors[0]), (&lossy.backwards, &lossy.errors[1])] {
            if let Some(error) = errors.iter().find(|error| !names_file(error, file)) {
                return Err(format!("the error does not name the file: {error}"));
            }
            let right: BTreeMap<_, _> = expected.entries.iter().cloned().collect();
            if let Some((id, _)) = entries.iter().find(|(id, fields)| right.get(id) != Some(fields)) {
                return Err(format!("silently wrong: {id} is not the entry it was"));
            }
            if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
                return Err("the entries are out of order".to_owned());
            }
            if entries.len() < expected.entries.len() && errors.is_empty() {
                return Err(format!("silently lost: {} of {}", entries.len(), expected.entries.len()));
            }
        }
        Ok(Class::Detected)
    }

    /// What does no harm now is to do none later.
    fn live_on(&self, store: Store, disk: &std::sync::Arc<SimDisk>, name: &[u8]) -> Result<(), String> {
        let mut expected = self.contents[name].clone();
        let wrap = |error: Error| format!("second life: {error}");
        let fields = fields("later", 600, 9);
        let id = store.stream(name).and_then(|stream| stream.add(fields.clone())).map_err(wrap)?;
        expected.entries.push((id, std::sync::Arc::new(fields)));
        expected.entries_added += 1;
        expected.last_id = id;
        store.close().map_err(wrap)?;
        let found = state(&reopen(disk, Durability::Always).map_err(wrap)?, name)?;
        if found != expected {
            return Err(format!("second life: {} instead of {}", found.summary(), expected.summary()));
        }
        Ok(())
    }

    /// Tries all kinds of damage from a list, on all processors; prints what came of it by kind of file.
    fn campaign<D: Sync>(
        &self,
        what: &str,
        damages: &[(PathBuf, D)],
        damage: impl Fn(&mut Image, &Path, &D) + Sync,
        describe: impl Fn(&D) -> String + Sync,
    ) -> BTreeMap<(String, Class), usize> {
        let next = AtomicUsize::new(0);
        let (counts, failures) = (Mutex::new(BTreeMap::new()), Mutex::new(BTreeMap::<String, (usize, String)>::new()));
        let work = || {
            while let number = next.fetch_add(1, Ordering::Relaxed)
                && let Some((file, how)) = damages.get(number)
            {
                let mut image = self.image.clone();
                damage(&mut image, file, how);
                let classified = catch_unwind(AssertUnwindSafe(|| {
                    self.classify(&image, file, number % 64 == 0 || damages.len() < 2000)
                }))
                .unwrap_or_else(|panic| Err(format!("panicked: {:?}", panic.downcast_ref::<String>())));
                match classified {
                    Ok(class) => *counts.lock().unwrap().entry((kind_of(file), class)).or_insert(0) += 1,
                    Err(why) => {
                        let kind = why.chars().filter(|c| c.is_alphabetic() || *c == ' ').take(40).collect::<String>();
                        let what = format!("{}, {}: {why}", file.display(), describe(how));
                        let mut failures = failures.lock().unwrap();
                        failures.entry(format!("{} {kind}", kind_of(file))).or_insert((0, what)).0 += 1;
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(2, |count| count.get());
            (0..threads).for_each(|_| drop(scope.spawn(work)));
        });
        let counts = counts.into_inner().unwrap();
        for ((kind, class), count) in &counts {
            println!("{what}: {kind:8} {class:?} {count}");
        }
        let failures = failures.into_inner().unwrap();
        let lines: Vec<_> = failures.values().map(|(count, what)| format!("{count} times, as in {what}")).collect();
        assert!(failures.is_empty(), "{what}:\n{}", lines.join("\n"));
        counts
    }
}

pub fn kind_of(file: &Path) -> String {
    let name = if file.extension().is_some() { file.extension() } else { file.file_name() };
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// The bits of a file that are flipped: all, but of long runs of zeros only a few.
fn bits(content: &[u8]) -> impl Iterator<Item = usize> {
    let near = |at: usize| content[at.saturating_sub(24)..content.len().min(at + 24)].iter().any(|&byte| byte != 0);
    (0..content.len() * 8).filter(move |&bit| nightly() || near(bit / 8) || bit % 509 == 0)
}

fn at_least(counts: &BTreeMap<(String, Class), usize>, kind: &str, class: Class, least: usize) {
    let count = counts.get(&(kind.to_owned(), class)).copied().unwrap_or(0);
    assert!(count >= least, "only {count} of {kind} were {class:?}");
}

#[test]
fn every_flipped_bit_is_noticed_or_does_no_harm() {
    let subject = Subject::new();
    let all = |file: &PathBuf| {
        let content = subject.image.file(file).unwrap();
        bits(content).map(|bit| (file.clone(), bit)).collect::<Vec<_>>()
    };
    // Whatever is in the reserve means nothing.
    let files = subject.files().into_iter().filter(|file| file != Path::new("reserve"));
    let damages: Vec<_> = files.flat_map(|file| all(&file)).collect();
    let flip = |image: &mut Image, file: &Path, bit: &usize| image.file_mut(file).unwrap()[bit / 8] ^= 1 << (bit % 8);
    let counts = subject.campaign("flipped bits", &damages, flip, |bit| format!("byte {} bit {}", bit / 8, bit % 8));
    at_least(&counts, "LOCK", Class::Detected, 44 * 8);
    at_least(&counts, "log", Class::Detected, 50_000);
    at_least(&counts, "journal", Class::Detected, 3_000);
    at_least(&counts, "idx", Class::Harmless, 1_000);
    at_least(&counts, "meta", Class::Harmless, 5_000);
}

#[test]
fn every_truncation_is_noticed_or_does_no_harm() {
    let subject = Subject::new();
    let step = if nightly() { 1 } else { 3 };
    let lengths = |file: PathBuf| {
        let len = subject.image.file(&file).unwrap().len();
        (0..len).step_by(step).map(move |len| (file.clone(), len)).collect::<Vec<_>>()
    };
    let files = subject.files().into_iter().filter(|file| file != Path::new("reserve"));
    let damages: Vec<_> = files.flat_map(lengths).collect();
    let cut = |image: &mut Image, file: &Path, len: &usize| image.file_mut(file).unwrap().truncate(*len);
    let counts = subject.campaign("truncations", &damages, cut, |len| format!("cut to {len} bytes"));
    at_least(&counts, "log", Class::Detected, 1_000);
}

#[test]
fn every_cleared_or_exchanged_sector_is_noticed_or_does_no_harm() {
    let subject = Subject::new();
    let files: Vec<_> = subject.files().into_iter().filter(|file| file != Path::new("reserve")).collect();
    let sectors = |file: &PathBuf| 0..subject.image.file(file).unwrap().len().div_ceil(512);
    let all: Vec<_> = files.iter().flat_map(|file| sectors(file).map(|sector| (file.clone(), sector))).collect();
    let mut damages: Vec<_> = all.iter().map(|(file, sector)| (file.clone(), (*sector, None))).collect();
    for (number, (file, sector)) in all.iter().enumerate() {
        // Every other sector of the same file, and some of others.
        for (other, source) in all.iter().enumerate().filter(|(other, _)| *other != number) {
            if source.0 == *file && sectors(file).len() <= 8 || (number * 31 + other * 17) % 97 == 0 {
                damages.push((file.clone(), (*sector, Some(source.clone()))));
            }
        }
    }
    let put = |image: &mut Image, file: &Path, (sector, source): &(usize, Option<(PathBuf, usize)>)| {
        let mut bytes = vec![0; 512];
        if let Some((from, source)) = source {
            let from = &subject.image.file(from).unwrap()[source * 512..];
            let len = from.len().min(512);
            bytes[..len].copy_from_slice(&from[..len]);
        }
        let place = &mut image.file_mut(file).unwrap()[sector * 512..];
        let len = place.len().min(512);
        place[..len].copy_from_slice(&bytes[..len]);
    };
    let counts = subject.campaign("sectors", &damages, put, |damage| format!("sector {damage:?}"));
    at_least(&counts, "log", Class::Detected, 100);
}

#[test]
fn every_file_that_is_gone_or_another_is_noticed_or_does_no_harm() {
    let subject = Subject::new();
    let files: Vec<_> = subject.files().into_iter().filter(|file| file != Path::new("reserve")).collect();
    let mut damages: Vec<(PathBuf, Option<PathBuf>)> = Vec::new();
    // Without LOCK it is no store, which is tested among the bad inputs.
    let streams = files.iter().filter(|file| subject.stream_of(file).is_some());
    damages.extend(streams.map(|file| (file.clone(), None)));
    for file in &files {
        damages.extend(files.iter().filter(|other| *other != file).map(|other| (file.clone(), Some(other.clone()))));
    }
    let replace = |image: &mut Image, file: &Path, other: &Option<PathBuf>| match other {
        None => image.remove(file),
        Some(other) => *image.file_mut(file).unwrap() = subject.image.file(other).unwrap().to_vec(),
    };
    let counts = subject.campaign("files", &damages, replace, |other| format!("replaced by {other:?}"));
    at_least(&counts, "log", Class::Detected, 5);
}

/// Damage within a sealed segment: how many entries it costs, with the index and without.
#[test]
fn damage_in_a_sealed_segment_costs_only_the_entries_it_hit() {
    const HEADER_LEN: usize = 192;
    let subject = Subject::new();
    let expected = &subject.contents[SEALED].entries;
    let segments: Vec<_> = subject
        .files()
        .into_iter()
        .filter(|file| file.starts_with("streams/sealed") && kind_of(file) == "log")
        .collect();
    let (mut tried, mut lost) = (0, 0);
    for file in &segments[..segments.len() - 1] {
        let len = subject.image.file(file).unwrap().len();
        for (at, keep_index) in (0..len).flat_map(|at| [(at, true), (at, false)]) {
            let mut image = subject.image.clone();
            image.file_mut(file).unwrap()[at] ^= 0x10;
            if !keep_index {
                image.remove(file.with_extension("idx"));
            }
            let store = reopen(&image.mount(), Durability::Always).unwrap();
            let Lossy { forwards, backwards, errors } = read_lossy(&store, SEALED);
            let what = format!("{} at byte {at}, index {keep_index}", file.display());
            assert_eq!(forwards.len(), backwards.len(), "{what}: not the same in both directions");
            assert!(forwards.iter().all(|entry| expected.contains(entry)), "{what}: a wrong entry");
            let missing = expected.len() - forwards.len();
            // The header is needed for all of the segment; a batch is one frame of two.
            let most = if at < HEADER_LEN { 35 } else { 2 };
            assert!(missing <= most, "{what}: {missing} entries are missing");
            for errors in &errors {
                assert!(missing == 0 || !errors.is_empty(), "{what}: silently lost");
                let near = |error: &Error| match error {
                    Error::Corrupt { offset, what: Corruption::Missing, .. } => *offset == 0,
                    Error::Corrupt { path, offset, .. } => {
                        path.ends_with(file) && (at < HEADER_LEN || (*offset <= at as u64 && at as u64 - offset < 300))
                    }
                    _ => false,
                };
                assert!(errors.iter().all(near), "{what}: reported elsewhere: {errors:?}");
            }
            tried += 1;
            lost += usize::from(missing > 0);
        }
    }
    println!("sealed segments: {tried} damaged bytes, {lost} of them cost entries");
    assert!(tried > 10_000 && lost > tried / 2, "{tried} tried, {lost} lost");
}

/// A sealed segment that was cut gives what is left of it, and the next segment all it has.
#[test]
fn a_sealed_segment_that_was_cut_loses_only_what_was_behind_the_cut() {
    const HEADER_LEN: usize = 192;
    let subject = Subject::new();
    let expected = &subject.contents[SEALED].entries;
    for keep_index in [true, false] {
        let file = Path::new("streams/sealed/00000000000000000032.log");
        let len = subject.image.file(file).unwrap().len();
        let mut fewest = 0;
        for cut in (HEADER_LEN..len).step_by(if nightly() { 1 } else { 2 }) {
            let mut image = subject.image.clone();
            image.file_mut(file).unwrap().truncate(cut);
            if !keep_index {
                image.remove(file.with_extension("idx"));
            }
            let store = reopen(&image.mount(), Durability::Always).unwrap();
            let Lossy { forwards, backwards, errors } = read_lossy(&store, SEALED);
            let what = format!("cut to {cut} of {len}, index {keep_index}");
            assert_eq!(forwards.len(), backwards.len(), "{what}: not the same in both directions");
            assert!(forwards.iter().all(|entry| expected.contains(entry)), "{what}: a wrong entry");
            assert!(forwards.len() >= fewest, "{what}: fewer entries than of a shorter file");
            fewest = forwards.len();
            let missing = expected.len() - forwards.len();
            assert!(missing == 0 || errors.iter().all(|errors| !errors.is_empty()), "{what}: silently lost");
        }
        assert!(fewest + 2 >= expected.len(), "{fewest} entries are left when only the seal is cut");
    }
}
