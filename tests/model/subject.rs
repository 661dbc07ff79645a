//! The store under test, on one of three media.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use streamlog::sim::{CrashLimits, Image, SimDisk};
use streamlog::{Durability, Options, Store, Stream};
use tempfile::TempDir;

use crate::group_ops::given;
use crate::groups::{Given, Seen};
use crate::model::{Entry, Info};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Medium {
    Memory,
    Simulated,
    Files,
}

enum Disk {
    Memory,
    Simulated(Arc<SimDisk>),
    Files(TempDir),
}

pub struct Subject {
    disk: Disk,
    durability: Durability,
    clock: Arc<AtomicU64>,
    store: Option<Store>,
}

/// A whole store.
pub type Dump = BTreeMap<Vec<u8>, Found>;

/// A whole stream.
#[derive(Clone, Debug)]
pub struct Found {
    pub info: Info,
    pub entries: Vec<Entry>,
    pub groups: Vec<Seen>,
    pub producers: [u64; 6],
    /// What each group gives to a consumer that claims everything, of a copy.
    pub claims: BTreeMap<Vec<u8>, Vec<Given>>,
}

/// The name of the copy from which everything is claimed, and that of the consumer who does.
const SCRATCH: &[u8] = b"scratch";
pub const CLAIMER: &[u8] = b"claimer";

impl Subject {
    pub fn new(medium: Medium, durability: Durability) -> Self {
        let disk = match medium {
            Medium::Memory => Disk::Memory,
            Medium::Simulated => Disk::Simulated(SimDisk::new()),
            Medium::Files => Disk::Files(tempfile::tempdir().unwrap()),
        };
        let clock = Arc::default();
        let store = open(&disk, durability, &clock).unwrap();
        Self { disk, durability, clock, store: Some(store) }
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub fn stream(&self, name: &[u8]) -> Stream {
        self.store().stream(name).unwrap()
    }

    pub fn set_clock(&self, ms: u64) {
        self.clock.store(ms, Ordering::Relaxed);
    }

    pub fn reopen(&mut self) -> Result<(), String> {
        if matches!(self.disk, Disk::Memory) {
            return Ok(());
        }
        self.store.take().unwrap().close().map_err(|error| format!("close: {error:?}"))?;
        self.open()
    }

    fn open(&mut self) -> Result<(), String> {
        let store = open(&self.disk, self.durability, &self.clock).map_err(|error| format!("open: {error:?}"))?;
        self.store = Some(store);
        Ok(())
    }

    /// Goes on with what a killed process leaves.
    pub fn kill(&mut self) -> Result<(), String> {
        let left = match &self.disk {
            Disk::Memory => return Ok(()),
            Disk::Simulated(disk) => Disk::Simulated(disk.kill_image(disk.steps()).mount()),
            Disk::Files(directory) => {
                let copy = tempfile::tempdir().unwrap();
                copy_tree(directory.path(), copy.path());
                Disk::Files(copy)
            }
        };
        self.store = None;
        self.disk = left;
        self.open()
    }

    /// Goes on with what a power loss may leave; returns which image that was.
    pub fn lose_power(&mut self, choice: u64) -> Result<Option<String>, String> {
        let Disk::Simulated(disk) = &self.disk else {
            return self.kill().map(|()| None);
        };
        let image = power_loss_image(disk, disk.steps(), choice);
        let description = image.description().to_owned();
        self.store = None;
        self.disk = Disk::Simulated(image.mount());
        self.open().map_err(|error| format!("{error} after a power loss that left {description}"))?;
        Ok(Some(description))
    }

    pub fn steps(&self) -> usize {
        match &self.disk {
            Disk::Simulated(disk) => disk.steps(),
            _ => 0,
        }
    }

    /// What is found after a crash at an earlier step, without changing anything here.
    pub fn crash_at(&self, step: usize, choice: u64) -> Option<Result<Dump, String>> {
        let Disk::Simulated(disk) = &self.disk else { return None };
        let image = match self.durability {
            Durability::Always if choice.is_multiple_of(2) => power_loss_image(disk, step, choice),
            _ => disk.kill_image(step),
        };
        let description = image.description().to_owned();
        let disk = Disk::Simulated(image.mount());
        let found = open(&disk, self.durability, &self.clock)
            .map_err(|error| format!("open: {error:?}"))
            .and_then(|store| dump(&store))
            .map_err(|error| format!("{error} after a crash at step {step} that left {description}"));
        Some(found)
    }

    pub fn transcript(&self) -> String {
        match &self.disk {
            Disk::Simulated(disk) if std::env::var_os("STREAMLOG_TRANSCRIPT").is_some() => disk.transcript(),
            _ => String::new(),
        }
    }
}

fn power_loss_image(disk: &SimDisk, step: usize, choice: u64) -> Image {
    let limits =
        CrashLimits { exhaustive_max: 4, samples: 4, reorder_dirs: choice.is_multiple_of(3), ..CrashLimits::default() };
    let images: Vec<Image> = disk.crash_images(step, limits, choice).collect();
    images[choice as usize % images.len()].clone()
}

fn open(disk: &Disk, durability: Durability, clock: &Arc<AtomicU64>) -> streamlog::Result<Store> {
    let clock = Arc::clone(clock);
    let options = Options::new()
        .durability(durability)
        .segment_bytes_max(4096)
        .checkpoint_bytes_min(600)
        .clock(move || UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::Relaxed)));
    match disk {
        Disk::Memory => Ok(options.in_memory()),
        Disk::Simulated(disk) => Store::open_simulated(options, disk),
        Disk::Files(directory) => options.open(directory.path()),
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub fn owned(entry: &streamlog::Entry) -> Entry {
    (entry.id(), entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

pub fn info(stream: &Stream) -> streamlog::Result<Info> {
    let info = stream.info()?;
    Ok(Info {
        len: info.len,
        last_id: info.last_generated_id,
        max_deleted_id: info.max_deleted_entry_id,
        entries_added: info.entries_added,
        first: info.first_entry.as_ref().map(owned),
        last: info.last_entry.as_ref().map(owned),
    })
}

/// What can be seen of the groups of a stream; an error if it contradicts itself.
pub fn groups(stream: &Stream) -> Result<Vec<Seen>, String> {
    let wrap = |error| format!("{error:?}");
    let mut all = Vec::new();
    for detail in stream.group_details(usize::MAX).map_err(wrap)? {
        let (info, pending) = (detail.info, detail.pending);
        let mut consumers = Vec::new();
        for (consumer, entries) in detail.consumers {
            let owned = pending.iter().filter(|entry| entry.consumer.as_ref() == Some(&consumer.name));
            if !entries.iter().eq(owned) || consumer.pending != entries.len() as u64 {
                return Err(format!("{entries:?} are pending for {consumer:?}, among {pending:?}"));
            }
            let ids = entries.iter().map(|entry| entry.id).collect();
            consumers.push((consumer.name, consumer.seen_time_ms, consumer.active_time_ms, ids));
        }
        let counts = (info.consumers, info.pending);
        if counts != (consumers.len() as u64, pending.len() as u64) {
            return Err(format!("the info says {info:?} with {} pending of {}", pending.len(), consumers.len()));
        }
        all.push(Seen {
            name: info.name,
            position: info.last_delivered_id,
            entries_read: info.entries_read,
            lag: info.lag,
            released: info.released,
            pending: pending
                .into_iter()
                .map(|entry| (entry.id, entry.consumer, entry.delivery_time_ms, entry.delivery_count))
                .collect(),
            consumers,
        });
    }
    Ok(all)
}

/// See `groups::Producers::seen`.
pub fn producers(stream: &Stream) -> streamlog::Result<[u64; 6]> {
    let info = stream.info()?.producers;
    let duration_s = info.duration.as_secs();
    Ok([duration_s, info.max_len, info.producers, info.productions, info.added, info.duplicates])
}

/// What each group gives to a consumer that claims everything, of a copy.
fn claims(store: &Store, name: &[u8], groups: &[Seen]) -> streamlog::Result<BTreeMap<Vec<u8>, Vec<Given>>> {
    let mut all = BTreeMap::new();
    if groups.iter().all(|group| group.pending.is_empty()) {
        return Ok(all);
    }
    store.copy_over(name, SCRATCH)?;
    let scratch = store.stream(SCRATCH)?;
    for group in groups {
        let read = scratch.group(&group.name).consumer(CLAIMER).read().claim(Duration::ZERO);
        all.insert(group.name.clone(), read.deliveries()?.iter().map(given).collect());
    }
    store.delete([SCRATCH])?;
    Ok(all)
}

/// All that a store says of itself; an error if it contradicts itself.
pub fn dump(store: &Store) -> Result<Dump, String> {
    let wrap = |error| format!("{error:?}");
    let mut all = Dump::new();
    for name in store.names().map_err(wrap)? {
        let stream = store.stream(&name).map_err(wrap)?;
        let info = info(&stream).map_err(wrap)?;
        let collect = |found: Vec<streamlog::Result<Entry>>| found.into_iter().collect::<streamlog::Result<Vec<_>>>();
        let forward =
            collect(stream.range(..).map(|entry| entry.map(|entry| owned(&entry))).collect()).map_err(wrap)?;
        let mut backward =
            collect(stream.range(..).rev().map(|entry| entry.map(|entry| owned(&entry))).collect()).map_err(wrap)?;
        backward.reverse();
        let name_text = String::from_utf8_lossy(&name);
        if forward != backward {
            return Err(format!("{name_text}: forward {:?}, backward {:?}", ids(&forward), ids(&backward)));
        }
        if info.len != forward.len() as u64 || stream.len().map_err(wrap)? != info.len {
            return Err(format!("{name_text}: {} entries, but the length is {}", forward.len(), info.len));
        }
        if !stream.exists().map_err(wrap)? {
            return Err(format!("{name_text} is listed but does not exist"));
        }
        let groups = groups(&stream).map_err(|why| format!("{name_text}: {why}"))?;
        let producers = producers(&stream).map_err(wrap)?;
        let claims = claims(store, &name, &groups).map_err(wrap)?;
        all.insert(name, Found { info, entries: forward, groups, producers, claims });
    }
    Ok(all)
}

pub fn ids(entries: &[Entry]) -> Vec<streamlog::StreamId> {
    entries.iter().map(|(id, _)| *id).collect()
}
