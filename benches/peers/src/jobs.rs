//! The jobs, as they are done in a process of their own, and their verification.
//!
//! What is read is looked at twice: once before any clock runs, by a checksum of every value, and once while it does,
//! by a sum that costs next to nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::common::{Event, Random};
use crate::peer::{Consumer, Job, Peer, Result, Spec, Unsupported, Values};

/// A job with its particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One thread, so many entries a call.
    Append {
        batch: usize,
    },
    /// So many threads, one entry a call, on so many streams.
    Threads {
        threads: usize,
        streams: usize,
    },
    /// The same, where each call syncs.
    Durable {
        threads: usize,
        streams: usize,
        batch: usize,
    },
    Read,
    /// So many entries a call.
    Deliver {
        batch: usize,
    },
    Streams,
}

pub const PARTS: &[Part] = &[
    Part::Append { batch: 1 },
    Part::Append { batch: 100 },
    Part::Threads { threads: 4, streams: 1 },
    Part::Threads { threads: 4, streams: 4 },
    Part::Durable { threads: 1, streams: 1, batch: 1 },
    Part::Durable { threads: 1, streams: 1, batch: 100 },
    Part::Durable { threads: 8, streams: 1, batch: 1 },
    Part::Durable { threads: 64, streams: 1, batch: 1 },
    Part::Durable { threads: 8, streams: 8, batch: 1 },
    Part::Read,
    Part::Deliver { batch: 100 },
    Part::Deliver { batch: 1 },
    Part::Streams,
];

impl Part {
    pub fn job(self) -> Job {
        match self {
            Self::Append { batch: 1 } => Job::Append,
            Self::Append { .. } => Job::AppendBatch,
            Self::Threads { .. } => Job::Threads,
            Self::Durable { streams: 1, .. } => Job::Durable,
            Self::Durable { .. } => Job::DurableStreams,
            Self::Read => Job::Read,
            Self::Deliver { .. } => Job::Deliver,
            Self::Streams => Job::Streams,
        }
    }

    /// Whether the store is filled once, and only read in each round.
    pub fn is_reading(self) -> bool {
        matches!(self, Self::Read | Self::Streams)
    }
}

/// How much is done.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Appending ends after so long, or so many entries.
    pub time: Duration,
    pub appended_max: u64,
    pub read: u64,
    pub lookups: u64,
    pub delivered: u64,
    pub streams: u32,
}

impl Scale {
    pub fn new(quick: bool) -> Self {
        if quick {
            let time = Duration::from_millis(20);
            return Self { time, appended_max: 2_000, read: 2_000, lookups: 200, delivered: 1_000, streams: 20 };
        }
        Self {
            time: Duration::from_secs(1),
            appended_max: 1_000_000,
            read: 1_000_000,
            lookups: 20_000,
            delivered: 100_000,
            streams: 10_000,
        }
    }
}

/// How many entries a stream has, and a sum over all values of them.
pub type Contents = BTreeMap<u32, (u64, u64)>;

pub type Metrics = BTreeMap<&'static str, f64>;

pub fn checksum(values: Values<'_>) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    for value in values {
        hasher.update(&(value.len() as u32).to_le_bytes());
        hasher.update(value);
    }
    u64::from(hasher.finalize())
}

/// What looks at an entry while the clock runs: another number for each event, and something of every value.
pub fn glance(values: Values<'_>) -> u64 {
    let [kind, data, timestamp] = values;
    let end = timestamp.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
    end.wrapping_add(data.len() as u64).wrapping_add(u64::from(kind[0]))
}

pub fn values(event: &Event) -> Values<'_> {
    event.fields().map(|(_, value)| value.as_bytes())
}

/// The sum over so many entries, the events in turns.
pub fn sum(events: &[Event], count: u64, of: fn(Values<'_>) -> u64) -> u64 {
    let each: Vec<u64> = events.iter().map(|event| of(values(event))).collect();
    let add = |sum: u64, value: &u64| sum.wrapping_add(*value);
    let whole = each.iter().fold(0, add).wrapping_mul(count / each.len() as u64);
    each[..(count % each.len() as u64) as usize].iter().fold(whole, add)
}

pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

/// Does a part that writes; what was measured, and what must be in the store now.
pub fn write(peer: &dyn Peer, part: Part, events: &[Event], scale: Scale) -> Result<(Metrics, Contents)> {
    match part {
        Part::Append { batch } | Part::Durable { threads: 1, batch, .. } => append(peer, batch, part, events, scale),
        Part::Threads { threads, streams } | Part::Durable { threads, streams, .. } => {
            append_together(peer, threads, streams, events, scale)
        }
        Part::Deliver { batch } => Ok((deliver(peer, batch, events, scale)?, Contents::new())),
        Part::Read | Part::Streams => Err("these only read".into()),
    }
}

/// What is appended first is not timed: it creates the stream.
fn append(peer: &dyn Peer, batch: usize, part: Part, events: &[Event], scale: Scale) -> Result<(Metrics, Contents)> {
    // As many entries as are timed together.
    let together = if part.job() == Job::Durable { batch } else { 100 };
    let mut writer = peer.writer(0)?;
    let mut append = |events: &[Event]| match batch {
        1 => events.iter().try_for_each(|event| writer.append(event)),
        _ => writer.append_batch(events),
    };
    append(&events[..together])?;
    let (mut times, mut count) = (Vec::new(), 0);
    let begin = Instant::now();
    for events in events.chunks(together).cycle().skip(1) {
        let before = Instant::now();
        append(events)?;
        times.push(nanoseconds(before.elapsed()) / together as f64);
        count += together as u64;
        if begin.elapsed() >= scale.time || count >= scale.appended_max {
            break;
        }
    }
    let mean = nanoseconds(begin.elapsed()) / count as f64;
    let metrics = Metrics::from([("median", median(times)), ("mean", mean)]);
    let count = count + together as u64;
    Ok((metrics, Contents::from([(0, (count, sum(events, count, checksum)))])))
}

/// What one of several threads did, and when.
struct Share {
    stream: u32,
    count: u64,
    begin: Instant,
    end: Instant,
}

/// The first entry of each thread is not counted: it creates the stream.
fn append_together(
    peer: &dyn Peer,
    threads: usize,
    streams: usize,
    events: &[Event],
    scale: Scale,
) -> Result<(Metrics, Contents)> {
    let barrier = Barrier::new(threads);
    let count_max = scale.appended_max / threads as u64;
    let append = |stream: u32| -> Result<Share> {
        let created = peer.writer(stream).and_then(|mut writer| writer.append(&events[0]).map(|()| writer));
        barrier.wait();
        let (mut writer, mut count, begin) = (created?, 0, Instant::now());
        for event in events.iter().cycle().skip(1) {
            writer.append(event)?;
            count += 1;
            // The clock costs as much as the fastest appends.
            if count == count_max || count % 16 == 0 && begin.elapsed() >= scale.time {
                break;
            }
        }
        Ok(Share { stream, count, begin, end: Instant::now() })
    };
    let shares: Vec<Share> = std::thread::scope(|scope| {
        let append = &append;
        let threads: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || append((thread % streams) as u32))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?).collect::<Result<_>>()
    })?;
    let mut contents = Contents::new();
    for share in &shares {
        let (entries, checksums) = contents.entry(share.stream).or_default();
        *entries += share.count + 1;
        *checksums = u64::wrapping_add(*checksums, sum(events, share.count + 1, checksum));
    }
    let begin = shares.iter().map(|share| share.begin).min().ok_or("no threads")?;
    let end = shares.iter().map(|share| share.end).max().ok_or("no threads")?;
    let total: u64 = shares.iter().map(|share| share.count).sum();
    Ok((Metrics::from([("mean", nanoseconds(end - begin) / total as f64)]), contents))
}

/// What is delivered is checked here: a queue has nothing to be read any more.
fn deliver(peer: &dyn Peer, batch: usize, events: &[Event], scale: Scale) -> Result<Metrics> {
    fill_stream(peer, scale.delivered, false, events)?;
    let mut consumer = peer.consumer()?;
    let (mut times, mut count, mut sums) = (Vec::new(), 0, 0u64);
    let begin = Instant::now();
    while count < scale.delivered && begin.elapsed() < scale.time {
        let before = Instant::now();
        let delivered = consumer.deliver(batch, &mut |values| sums = sums.wrapping_add(glance(values)))?;
        times.push(nanoseconds(before.elapsed()) / batch as f64);
        if delivered != batch {
            return Err(format!("{delivered} entries instead of {batch}").into());
        }
        count += delivered as u64;
    }
    let mean = nanoseconds(begin.elapsed()) / count as f64;
    if sums != sum(events, count, glance) {
        return Err("other entries were delivered than were added".into());
    }
    ends_empty(consumer.as_mut(), count, scale)?;
    Ok(Metrics::from([("median", median(times)), ("mean", mean)]))
}

fn ends_empty(consumer: &mut dyn Consumer, count: u64, scale: Scale) -> Result {
    if count == scale.delivered && consumer.deliver(1, &mut |_| {})? > 0 {
        return Err("an entry was delivered twice".into());
    }
    Ok(())
}

fn fill_stream(peer: &dyn Peer, count: u64, singly: bool, events: &[Event]) -> Result {
    let mut writer = peer.writer(0)?;
    let mut left = count as usize;
    for events in events.chunks(100).cycle() {
        let events = &events[..events.len().min(left)];
        if singly {
            events.iter().try_for_each(|event| writer.append(event))?;
        } else {
            writer.append_batch(events)?;
        }
        left -= events.len();
        if left == 0 {
            break;
        }
    }
    Ok(())
}

/// Fills the store for a part that reads; what must be in there then.
pub fn fill(peer: &dyn Peer, spec: &Spec, part: Part, events: &[Event], scale: Scale) -> Result<(Metrics, Contents)> {
    if part == Part::Read {
        fill_stream(peer, scale.read, spec.singly, events)?;
        return Ok((Metrics::new(), Contents::from([(0, (scale.read, sum(events, scale.read, checksum)))])));
    }
    let mut contents = Contents::new();
    let begin = Instant::now();
    for (stream, event) in (0..scale.streams).zip(events.iter().cycle()) {
        peer.writer(stream)?.append(event)?;
        contents.insert(stream, (1, checksum(values(event))));
    }
    let took = nanoseconds(begin.elapsed()) / f64::from(scale.streams);
    Ok((Metrics::from([("create", took)]), contents))
}

/// What the store holds of these streams.
pub fn contents(peer: &dyn Peer, streams: impl Iterator<Item = u32>) -> Result<Contents> {
    streams
        .map(|stream| {
            let (mut count, mut sums) = (0, 0u64);
            peer.reader(stream)?.scan(&mut |values| {
                count += 1;
                sums = sums.wrapping_add(checksum(values));
            })?;
            Ok((stream, (count, sums)))
        })
        .collect()
}

/// Does a part that reads, in a store that was filled before.
pub fn read(spec: &Spec, path: &Path, part: Part, events: &[Event], scale: Scale) -> Result<Metrics> {
    if part == Part::Streams {
        return open_streams(spec, path, events, scale);
    }
    let peer = (spec.open)(path)?;
    let expected = Contents::from([(0, (scale.read, sum(events, scale.read, checksum)))]);
    let found = contents(peer.as_ref(), 0..1)?;
    if found != expected {
        return Err(format!("{expected:?} should be there, but {found:?} is").into());
    }
    let mut metrics = Metrics::new();
    let expected = sum(events, scale.read, glance);
    for (name, forward) in [("forward", true), ("backward", false)] {
        let mut reader = peer.reader(0)?;
        let mut sums = 0u64;
        let mut each = |values: Values<'_>| sums = sums.wrapping_add(glance(values));
        let begin = Instant::now();
        let result = if forward { reader.scan(&mut each) } else { reader.scan_backward(&mut each) };
        let took = nanoseconds(begin.elapsed());
        match result {
            Ok(()) if sums == expected => metrics.insert(name, took / scale.read as f64),
            Ok(()) => return Err("a scan showed other entries".into()),
            Err(error) if error.is::<Unsupported>() => None,
            Err(error) => return Err(error),
        };
    }
    let glances: Vec<u64> = events.iter().map(|event| glance(values(event))).collect();
    let mut random = Random(1);
    let mut reader = peer.reader(0)?;
    reader.prepare_lookups()?;
    let (mut times, mut wrong) = (Vec::new(), 0);
    for _ in 0..scale.lookups / 10 {
        let begin = Instant::now();
        for _ in 0..10 {
            let number = random.below(scale.read);
            let expected = glances[number as usize % glances.len()];
            match reader.get(number, &mut |values| wrong += u64::from(glance(values) != expected)) {
                Ok(()) => {}
                Err(error) if error.is::<Unsupported>() => return Ok(metrics),
                Err(error) => return Err(error),
            }
        }
        times.push(nanoseconds(begin.elapsed()) / 10.0);
    }
    if wrong > 0 {
        return Err(format!("{wrong} lookups showed another entry").into());
    }
    metrics.insert("lookup", median(times));
    Ok(metrics)
}

fn open_streams(spec: &Spec, path: &Path, events: &[Event], scale: Scale) -> Result<Metrics> {
    let mut sums = 0u64;
    let begin = Instant::now();
    let peer = (spec.open)(path)?;
    for stream in 0..scale.streams {
        peer.reader(stream)?.first(&mut |values| sums = sums.wrapping_add(glance(values)))?;
    }
    let took = nanoseconds(begin.elapsed());
    if sums != sum(events, u64::from(scale.streams), glance) {
        return Err("other entries were read than were added".into());
    }
    Ok(Metrics::from([("open", took / f64::from(scale.streams))]))
}
