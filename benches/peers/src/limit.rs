//! What the hardware allows for a job: the least code that could do it, with a checksum.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use memmap2::MmapMut;

use crate::common::{Event, Random};
use crate::encode::{decode, encode};
use crate::jobs::{Metrics, Part, Scale, glance, median, sum};
use crate::peer::Result;

/// What an ID and lengths take, beside the checksum.
const HEAD: usize = 12;

fn frame(events: &[Event]) -> Vec<u8> {
    let mut frame = Vec::new();
    for event in events {
        frame.extend_from_slice(&[1; HEAD]);
        frame.extend_from_slice(&encode(event));
    }
    frame
}

pub fn measure(part: Part, path: &Path, events: &[Event], scale: Scale) -> Result<Metrics> {
    match part {
        Part::Append { batch } => append(batch, events, scale),
        // Of one stream, the entries come one after the other; of four, at once.
        Part::Threads { streams: 1, .. } => append(1, events, scale),
        Part::Threads { threads, .. } => append_together(threads, events, scale),
        Part::Durable { threads, streams: 1, batch } => sync(threads * batch, &path.join("limit"), events, scale),
        Part::Durable { streams, .. } => sync_apart(streams, path, events, scale),
        Part::Read => read(events, scale),
        Part::Deliver { .. } => Ok(Metrics::new()),
        Part::Streams => open_files(path, scale),
    }
}

/// Memory whose pages are all there, written round and round.
struct Mapping {
    map: MmapMut,
    at: usize,
}

impl Mapping {
    fn new() -> Result<Self> {
        let mut map = MmapMut::map_anon(64 << 20)?;
        map.fill(1);
        Ok(Self { map, at: 0 })
    }

    fn append(&mut self, frame: &[u8]) {
        if self.at + 4 + frame.len() > self.map.len() {
            self.at = 0;
        }
        let (checksum, rest) = self.map[self.at..][..4 + frame.len()].split_at_mut(4);
        checksum.copy_from_slice(&crc32fast::hash(frame).to_le_bytes());
        rest.copy_from_slice(frame);
        self.at += 4 + frame.len();
    }
}

fn append(batch: usize, events: &[Event], scale: Scale) -> Result<Metrics> {
    let frames: Vec<_> = events.chunks(batch).map(frame).collect();
    let mut mapping = Mapping::new()?;
    let (mut times, mut count) = (Vec::new(), 0);
    let begin = Instant::now();
    for frames in frames.chunks(100 / batch).cycle() {
        let before = Instant::now();
        frames.iter().for_each(|frame| mapping.append(black_box(frame)));
        times.push(before.elapsed().as_nanos() as f64 / 100.0);
        count += 100;
        if count >= scale.appended_max {
            break;
        }
    }
    let mean = begin.elapsed().as_nanos() as f64 / count as f64;
    Ok(Metrics::from([("median", median(times)), ("mean", mean)]))
}

fn append_together(threads: usize, events: &[Event], scale: Scale) -> Result<Metrics> {
    let frames: Vec<_> = events.chunks(1).map(frame).collect();
    let mut mappings = (0..threads).map(|_| Mapping::new()).collect::<Result<Vec<_>>>()?;
    let each = scale.appended_max as usize / threads;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for mapping in &mut mappings {
            let frames = &frames;
            scope.spawn(move || frames.iter().cycle().take(each).for_each(|frame| mapping.append(black_box(frame))));
        }
    });
    Ok(Metrics::from([("mean", begin.elapsed().as_nanos() as f64 / (each * threads) as f64)]))
}

/// One `pwrite` and one `fdatasync` for so many entries, into a file all of whose bytes were written before.
fn sync(entries: usize, path: &Path, events: &[Event], scale: Scale) -> Result<Metrics> {
    const LEN: u64 = 16 << 20;
    let file = File::create(path)?;
    file.write_all_at(&vec![1; LEN as usize], 0)?;
    file.sync_all()?;
    let frame = frame(&events[..entries]);
    let (mut times, mut at, begin) = (Vec::new(), 0, Instant::now());
    while begin.elapsed() < scale.time {
        let before = Instant::now();
        file.write_all_at(&frame, at)?;
        file.sync_data()?;
        times.push(before.elapsed().as_nanos() as f64 / entries as f64);
        at = (at + frame.len() as u64) % (LEN - frame.len() as u64);
    }
    let mean = begin.elapsed().as_nanos() as f64 / (times.len() * entries) as f64;
    Ok(Metrics::from([("median", median(times)), ("mean", mean)]))
}

/// The same by several threads at once, an entry each time and a file each.
fn sync_apart(files: usize, path: &Path, events: &[Event], scale: Scale) -> Result<Metrics> {
    let sync = |file: usize| sync(1, &path.join(format!("limit-{file}")), events, scale);
    let each = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..files).map(|file| scope.spawn(move || sync(file))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?).collect::<Result<Vec<_>>>()
    })?;
    let rate: f64 = each.iter().filter_map(|metrics| Some(1.0 / metrics.get("mean")?)).sum();
    Ok(Metrics::from([("mean", 1.0 / rate)]))
}

/// Frames in a buffer, checked and decoded; looked up where a table says that they are.
fn read(events: &[Event], scale: Scale) -> Result<Metrics> {
    let mut buffer = Vec::new();
    let mut table = Vec::new();
    for event in events.iter().cycle().take(scale.read as usize) {
        table.push(buffer.len());
        let frame = frame(std::slice::from_ref(event));
        buffer.extend_from_slice(&crc32fast::hash(&frame).to_le_bytes());
        buffer.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        buffer.extend_from_slice(&frame);
    }
    let (mut sums, mut at) = (0u64, 0);
    let begin = Instant::now();
    while at < buffer.len() {
        let (look, next) = check(&buffer, at)?;
        sums = sums.wrapping_add(look);
        at = next;
    }
    let scan = begin.elapsed().as_nanos() as f64 / scale.read as f64;
    if sums != sum(events, scale.read, glance) {
        return Err("the limit reads something else".into());
    }
    let mut random = Random(1);
    let mut times = Vec::new();
    for _ in 0..scale.lookups / 10 {
        let begin = Instant::now();
        for _ in 0..10 {
            black_box(check(&buffer, table[random.below(scale.read) as usize])?);
        }
        times.push(begin.elapsed().as_nanos() as f64 / 10.0);
    }
    Ok(Metrics::from([("forward", scan), ("backward", scan), ("lookup", median(times))]))
}

fn check(buffer: &[u8], at: usize) -> Result<(u64, usize)> {
    let word = |at: usize| buffer[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes)).ok_or("the end");
    let end = at + 8 + word(at + 4)? as usize;
    let frame = &buffer[at + 8..end];
    if crc32fast::hash(frame) != word(at)? {
        return Err("a checksum is wrong".into());
    }
    Ok((glance(decode(&frame[HEAD..])?), end))
}

/// One file for each stream, in one directory: opened, read and closed.
fn open_files(path: &Path, scale: Scale) -> Result<Metrics> {
    let name = |stream: u32| path.join(format!("{stream}"));
    for stream in 0..scale.streams {
        std::fs::write(name(stream), [1; 100])?;
    }
    let begin = Instant::now();
    for stream in 0..scale.streams {
        let mut bytes = [0; 100];
        File::open(name(stream))?.read_exact_at(&mut bytes, 0)?;
        black_box(bytes);
    }
    Ok(Metrics::from([("open", begin.elapsed().as_nanos() as f64 / f64::from(scale.streams))]))
}
