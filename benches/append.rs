//! How fast entries are appended, at each durability level, by how many threads, singly and in batches.
//!
//! - *limit*: what the hardware allows. At `Os`, a CRC-32 of the bytes of the frame and a copy of them into a mapping
//!   whose pages are there, with an atomic store of the tail; at `Always`, a `pwrite` and an `fdatasync`.
//! - *in a segment*: rounds during which a segment was full are repeated. What remains is the cost of appending.
//! - *sustained*: everything counts, the sync of each full segment too. The disk sets the pace.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use streamlog::{Durability, NewId, Stream, Trim};

mod common;
use common::{Event, STREAM, events, is_test, open};

/// How many entries are added between two looks at the clock.
const ROUND: u64 = 20_000;
/// What frame, ID and lengths take around the values of an event.
const FRAME_OVERHEAD: usize = 16;
const SIZES: [(&str, usize); 2] = [("90 B", 0), ("1 KiB", 1000)];

#[derive(Clone, Copy, PartialEq)]
enum Counting {
    InASegment,
    Sustained,
}

/// A store with one stream, whose segments have their full size.
struct Bench {
    stream: Stream,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new(durability: Durability) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let stream = open(directory.path(), durability).stream(STREAM).unwrap();
        let large = vec![b'x'; if is_test() { 16 << 10 } else { 16 << 20 }];
        // The segment after this one is four times as large.
        stream.add([("small", "so that it exists".as_bytes())]).unwrap();
        stream.add([("large", &large)]).unwrap();
        Self { stream, _directory: directory }
    }

    fn segments(&self) -> usize {
        self.stream.info().unwrap().segments
    }

    /// How long it takes to add `count` entries, in rounds.
    fn add(&self, count: u64, round: u64, counting: Counting, add: impl Fn(u64) -> Duration) -> Duration {
        let (mut left, mut total) = (count, Duration::ZERO);
        while left > 0 {
            let before = self.segments();
            let took = add(left.min(round));
            if counting == Counting::Sustained || self.segments() == before {
                total += took;
                left -= left.min(round);
            }
            if self.segments() > 8 {
                self.stream.trim(Trim::to_len(0)).unwrap();
            }
        }
        total
    }
}

/// Adds entries singly, by several threads at once; how long that took.
fn add_singly(stream: &Stream, events: &[Event], threads: u64, count: u64) -> Duration {
    if threads == 1 {
        let begin = Instant::now();
        for event in events.iter().cycle().take(count as usize) {
            stream.add(event.fields()).unwrap();
        }
        return begin.elapsed();
    }
    let barrier = Barrier::new(threads as usize + 1);
    std::thread::scope(|scope| {
        let adders: Vec<_> = (0..threads)
            .map(|thread| {
                let share = count / threads + u64::from(thread < count % threads);
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    for event in events.iter().cycle().take(share as usize) {
                        stream.add(event.fields()).unwrap();
                    }
                })
            })
            .collect();
        barrier.wait();
        let begin = Instant::now();
        adders.into_iter().for_each(|adder| adder.join().unwrap());
        begin.elapsed()
    })
}

fn add_in_batches(stream: &Stream, events: &[Event], count: u64) -> Duration {
    let begin = Instant::now();
    for batch in events.chunks(100).cycle().take(count as usize) {
        stream.add_batch(batch.iter().map(|event| (NewId::Auto, event.fields()))).unwrap();
    }
    begin.elapsed()
}

/// A file mapped into memory, with all pages ready.
struct Mapping {
    map: memmap2::MmapMut,
    offset: usize,
    tail: AtomicU64,
}

impl Mapping {
    fn new() -> Self {
        let len = if is_test() { 1 << 20 } else { 64 << 20 };
        let file = tempfile::tempfile().unwrap();
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len).unwrap();
        // SAFETY: the file has no name, so nobody else changes or shortens it.
        let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
        map.fill(1);
        Self { map, offset: 0, tail: AtomicU64::new(0) }
    }

    fn append(&mut self, frame: &[u8]) {
        if self.offset + 4 + frame.len() > self.map.len() {
            self.offset = 0;
        }
        let crc = crc32fast::hash(frame).to_le_bytes();
        let (first, rest) = self.map[self.offset..self.offset + 4 + frame.len()].split_at_mut(4);
        first.copy_from_slice(&crc);
        rest.copy_from_slice(frame);
        self.offset += 4 + frame.len();
        self.tail.store(self.offset as u64, Ordering::Release);
    }
}

fn configure<M: criterion::measurement::Measurement>(group: &mut criterion::BenchmarkGroup<'_, M>, per_iteration: u64) {
    group
        .throughput(Throughput::Elements(per_iteration))
        .sampling_mode(SamplingMode::Flat)
        .sample_size(15)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
}

/// Frames of as many events, without their checksums.
fn frames(events: &[Event], per_frame: usize) -> Vec<Vec<u8>> {
    let frame = |events: &[Event]| {
        let mut frame = Vec::new();
        for event in events {
            frame.resize(frame.len() + if per_frame == 1 { FRAME_OVERHEAD - 4 } else { 6 }, 1);
            event.fields().iter().for_each(|(_, value)| frame.extend_from_slice(value.as_bytes()));
        }
        frame
    };
    events.chunks(per_frame).map(frame).collect()
}

fn os(criterion: &mut Criterion) {
    for (size, data_len) in SIZES {
        let mut group = criterion.benchmark_group(format!("append, Os, {size}"));
        configure(&mut group, 1);
        let events = events(data_len);
        let (frames, mut mapping) = (frames(&events, 1), Mapping::new());
        let mut frames = frames.iter().cycle();
        group.bench_function("limit", |bencher| bencher.iter(|| mapping.append(black_box(frames.next().unwrap()))));
        let bench = Bench::new(Durability::Os);
        for threads in [1, 4, 8] {
            group.bench_function(BenchmarkId::new("in a segment", threads), |bencher| {
                let add = |count| add_singly(&bench.stream, &events, threads, count);
                bencher.iter_custom(|count| bench.add(count, ROUND, Counting::InASegment, add));
            });
        }
        group.bench_function(BenchmarkId::new("sustained", 1), |bencher| {
            let add = |count| add_singly(&bench.stream, &events, 1, count);
            bencher.iter_custom(|count| bench.add(count, ROUND, Counting::Sustained, add));
        });
    }
}

fn batches(criterion: &mut Criterion) {
    for (size, data_len) in SIZES {
        let mut group = criterion.benchmark_group(format!("append, Os, batches of 100, {size}"));
        configure(&mut group, 100);
        let events = events(data_len);
        let (frames, mut mapping) = (frames(&events, 100), Mapping::new());
        let mut frames = frames.iter().cycle();
        group.bench_function("limit", |bencher| bencher.iter(|| mapping.append(black_box(frames.next().unwrap()))));
        let bench = Bench::new(Durability::Os);
        let add = |count| add_in_batches(&bench.stream, &events, count);
        for (name, counting) in [("in a segment", Counting::InASegment), ("sustained", Counting::Sustained)] {
            group.bench_function(BenchmarkId::new(name, 1), |bencher| {
                bencher.iter_custom(|count| bench.add(count, ROUND / 100, counting, add));
            });
        }
    }
}

fn interval(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append, Interval of 1 s, 90 B");
    configure(&mut group, 1);
    let events = events(0);
    let bench = Bench::new(Durability::Interval(Duration::from_secs(1)));
    for threads in [1, 4, 8] {
        group.bench_function(BenchmarkId::new("in a segment", threads), |bencher| {
            let add = |count| add_singly(&bench.stream, &events, threads, count);
            bencher.iter_custom(|count| bench.add(count, ROUND, Counting::InASegment, add));
        });
    }
}

fn always(criterion: &mut Criterion) {
    for (size, data_len) in SIZES {
        let mut group = criterion.benchmark_group(format!("append, Always, {size}"));
        configure(&mut group, 1);
        let events = events(data_len);
        let frames = frames(&events, 1);
        let mut frames = frames.iter().cycle();
        let file: File = tempfile::tempfile().unwrap();
        let len = 64 << 20;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len).unwrap();
        let mut offset = 0;
        group.bench_function("limit", |bencher| {
            bencher.iter(|| {
                let frame = frames.next().unwrap();
                file.write_all_at(frame, offset).unwrap();
                file.sync_data().unwrap();
                offset = (offset + frame.len() as u64) % (len - 4096);
            });
        });
        let bench = Bench::new(Durability::Always);
        for threads in [1, 8, 64] {
            group.bench_function(BenchmarkId::new("in a segment", threads), |bencher| {
                let add = |count| add_singly(&bench.stream, &events, threads, count);
                bencher.iter_custom(|count| bench.add(count, ROUND, Counting::InASegment, add));
            });
        }
    }
}

criterion_group!(benches, os, batches, interval, always);
criterion_main!(benches);
