//! How fast entries are read: all of them from either end, and one by its ID.
//!
//! - *limit*: a CRC-32 over the same bytes in a buffer, 64 KiB at a time, and the least code that decodes their frames.
//! - *scan*: every entry with its fields, checksums verified, copied out of the file; as entries that may be kept, or
//!   borrowed for as long as they are looked at.
//!
//! Prints the bytes on disk for each entry, and the anonymous memory that a store takes.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use streamlog::{Durability, Stream};

mod common;
use common::{Event, Random, STREAM, bytes_on_disk, events, files, fill, id_of, open, scaled};

const HEADER_LEN: usize = 192;

/// Reads a varint.
#[inline]
fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

/// Decodes the frames of a segment of single entries and batches with three fields; returns a sum that depends on all
/// of them, and how many entries there were.
fn decode(bytes: &[u8]) -> (u64, u64) {
    let (mut sum, mut count, mut at, mut checked) = (0u64, 0, HEADER_LEN, 0);
    while at + 5 < bytes.len() {
        while checked <= at {
            let end = (checked + (64 << 10)).min(bytes.len());
            sum ^= u64::from(crc32fast::hash(&bytes[checked..end]));
            checked = end;
        }
        let head = bytes[at + 4];
        at += 5;
        let len = varint(bytes, &mut at) as usize;
        let end = at + len;
        at += 2;
        for _ in 0..(head >> 5).count_ones() {
            varint(bytes, &mut at);
        }
        let entries = match head & 0x1f {
            1 => 1,
            2 => varint(bytes, &mut at),
            3 => 0,
            _ => return (sum, count),
        };
        for _ in 0..entries {
            let (ms, seq, _shape) = (varint(bytes, &mut at), varint(bytes, &mut at), varint(bytes, &mut at));
            sum = sum.wrapping_add(ms ^ seq);
            for _ in 0..3 {
                let len = varint(bytes, &mut at) as usize;
                sum = sum.wrapping_add(len as u64 ^ u64::from(bytes[at]));
                at += len;
            }
        }
        count += entries;
        at = end;
    }
    (sum, count)
}

fn limit(segments: &[Vec<u8>]) -> u64 {
    segments.iter().map(|segment| decode(segment).1).sum()
}

/// Looks at every field of every entry, forward or backward; returns how many entries there are.
fn scan(stream: &Stream, forward: bool) -> u64 {
    let (mut sum, mut count) = (0u64, 0);
    let mut range = stream.range(..);
    while let Some(entry) = if forward { range.next() } else { range.next_back() } {
        let entry = entry.unwrap();
        sum = sum.wrapping_add(entry.id().ms() ^ entry.id().seq());
        for (_, value) in entry.fields() {
            sum = sum.wrapping_add(value.len() as u64 ^ u64::from(value[0]));
        }
        count += 1;
    }
    black_box(sum);
    count
}

/// As [`scan`], with entries that are borrowed.
fn scan_ref(stream: &Stream, forward: bool) -> u64 {
    let (mut sum, mut count) = (0u64, 0);
    let mut range = stream.range(..);
    while let Some(entry) = if forward { range.next_ref() } else { range.next_back_ref() } {
        let entry = entry.unwrap();
        sum = sum.wrapping_add(entry.id().ms() ^ entry.id().seq());
        for (_, value) in entry.fields() {
            sum = sum.wrapping_add(value.len() as u64 ^ u64::from(value[0]));
        }
        count += 1;
    }
    black_box(sum);
    count
}

/// A stream of `count` entries, in its own store.
fn filled(path: &Path, events: &[Event], count: u64, batch: u64) -> Stream {
    let before = common::anonymous_kib();
    let stream = open(path, Durability::Os).stream(STREAM).unwrap();
    fill(&stream, events, 0..count, batch);
    let memory = common::anonymous_kib().saturating_sub(before);
    let values: usize = events.iter().map(Event::len).sum();
    let beyond = bytes_on_disk(path) as f64 / count as f64 - values as f64 / events.len() as f64;
    println!(
        "{count} entries, {batch} a call: {beyond:.1} bytes on disk beyond the values for each, {memory} KiB of memory"
    );
    stream
}

fn scans(criterion: &mut Criterion) {
    for (size, data_len, count, batch) in
        [("90 B", 0, 1_000_000, 1), ("90 B, batches of 100", 0, 1_000_000, 100), ("1 KiB", 1000, 100_000, 1)]
    {
        let count = scaled(count);
        let directory = tempfile::tempdir().unwrap();
        let stream = filled(directory.path(), &events(data_len), count, batch);
        let segments: Vec<_> = files(directory.path(), "log").iter().map(|path| std::fs::read(path).unwrap()).collect();
        assert_eq!((limit(&segments), scan(&stream, true), scan(&stream, false)), (count, count, count));
        let mut group = criterion.benchmark_group(format!("scan, {size}"));
        group.throughput(Throughput::Elements(count)).sample_size(10).measurement_time(Duration::from_secs(3));
        group.bench_function("limit", |bencher| bencher.iter(|| limit(black_box(&segments))));
        group.bench_function("forward", |bencher| bencher.iter(|| scan(&stream, true)));
        group.bench_function("backward", |bencher| bencher.iter(|| scan(&stream, false)));
        group.bench_function("forward, borrowed", |bencher| bencher.iter(|| scan_ref(&stream, true)));
        group.bench_function("backward, borrowed", |bencher| bencher.iter(|| scan_ref(&stream, false)));
    }
}

fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookup");
    group.measurement_time(Duration::from_secs(3));
    for (count, batch) in [(1_000_000, 1), (1_000_000, 20), (10_000_000, 1), (10_000_000, 20)] {
        let directory = tempfile::tempdir().unwrap();
        let stream = filled(directory.path(), &events(0), scaled(count), batch);
        let mut random = Random(1);
        // Everything in memory, as after a while of use.
        scan(&stream, true);
        group.bench_function(format!("of one among {count}, {batch} a call"), |bencher| {
            bencher.iter(|| {
                let id = id_of(random.below(scaled(count)));
                assert_eq!(stream.get(id).unwrap().unwrap().id(), id);
            });
        });
    }
}

criterion_group!(benches, scans, lookups);
criterion_main!(benches);
