//! How many entries a second, and what the limit is.

use std::error::Error;
use std::fmt::Write;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use streamlog::{Durability, Entry, NewId, Position, Stream};

use crate::common::{Event, Random, STREAM, events, fill, id_of, open};
use crate::limits::{Appending, Scanning, Syncing, frame_len};

/// A job, in entries a second.
pub struct Rate {
    pub job: String,
    /// The median of the rounds, and the slowest and fastest of them.
    pub median: f64,
    pub slowest: f64,
    pub fastest: f64,
    /// What the hardware does, measured in turns with it.
    pub limit: Option<f64>,
}

/// Entries of the stream that is read.
const STORED: u64 = 1_000_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How often each job is measured: `STREAMLOG_REPORT_ROUNDS`, or 9 times.
fn rounds_of_each() -> usize {
    let asked = std::env::var("STREAMLOG_REPORT_ROUNDS").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(9).max(1)
}

/// Runs a job and its limit in turns; each says how many entries it was.
fn rounds(
    job: &str,
    mut run: impl FnMut() -> Outcome<u64>,
    mut limit: Option<&mut dyn FnMut() -> Outcome<u64>>,
) -> Outcome<Rate> {
    let (mut rates, mut limits) = (Vec::new(), Vec::new());
    let rate = |run: &mut dyn FnMut() -> Outcome<u64>| -> Outcome<f64> {
        let begun = Instant::now();
        let count = run()?;
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    };
    run()?;
    for _ in 0..rounds_of_each() {
        rates.push(rate(&mut run)?);
        if let Some(limit) = &mut limit {
            limits.push(rate(limit)?);
        }
    }
    rates.sort_by(f64::total_cmp);
    limits.sort_by(f64::total_cmp);
    Ok(Rate {
        job: job.into(),
        median: rates[rates.len() / 2],
        slowest: rates[0],
        fastest: rates[rates.len() - 1],
        limit: limits.get(limits.len() / 2).copied(),
    })
}

pub fn measure() -> Outcome<Vec<Rate>> {
    let events = events(0);
    let mut rates = Vec::new();
    appending(&events, &mut rates)?;
    durably(&events, &mut rates)?;
    reading(&events, &mut rates)?;
    Ok(rates)
}

/// Adds `count` entries by each of so many threads, to one of the streams each.
fn add(streams: &[Stream], events: &[Event], count: usize) -> Outcome<u64> {
    let barrier = Barrier::new(streams.len());
    let add = |stream: &Stream| -> streamlog::Result<()> {
        barrier.wait();
        (0..count).try_for_each(|n| stream.add(events[n % events.len()].fields()).map(drop))
    };
    match streams {
        [one] => add(one)?,
        several => std::thread::scope(|scope| {
            let threads: Vec<_> = several.iter().map(|stream| scope.spawn(|| add(stream))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("no add panics"))
        })?,
    }
    Ok((count * streams.len()) as u64)
}

fn appending(events: &[Event], rates: &mut Vec<Rate>) -> Outcome<()> {
    const COUNT: usize = 50_000;
    let directory = tempfile::tempdir()?;
    let store = open(directory.path(), Durability::Os);
    let streams = ["a", "b", "c", "d"].map(|name| store.stream(name));
    let streams = streams.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (one, four) = (&streams[..1], &streams[..]);
    let mut limit = Appending::new(events);
    let mut limit = || {
        limit.run(COUNT);
        Ok(COUNT as u64)
    };
    // Its segments have their full size then.
    add(four, events, 10 * COUNT)?;
    rates.push(rounds("append, one entry a call, Os", || add(one, events, COUNT), Some(&mut limit))?);
    let batches = || {
        for start in (0..COUNT).step_by(100) {
            let entry = |n: usize| (NewId::Auto, events[n % events.len()].fields());
            one[0].add_batch((start..start + 100).map(entry))?;
        }
        Ok(COUNT as u64)
    };
    rates.push(rounds("append, batches of 100, Os", batches, Some(&mut limit))?);
    let same: Vec<_> = (0..4).map(|_| one[0].clone()).collect();
    rates.push(rounds("append, 4 threads on one stream, Os", || add(&same, events, COUNT), None)?);
    rates.push(rounds("append, 4 threads on four streams, Os", || add(four, events, COUNT), None)?);
    Ok(store.close()?)
}

fn durably(events: &[Event], rates: &mut Vec<Rate>) -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let store = open(directory.path(), Durability::Always);
    let stream = store.stream(STREAM)?;
    let mut syncing = Syncing::new()?;
    let mut limit = || {
        (0..300).try_for_each(|_| syncing.run())?;
        Ok(300)
    };
    let streams = |threads: usize| -> Vec<Stream> { (0..threads).map(|_| stream.clone()).collect() };
    for (threads, count) in [(1, 300), (8, 200), (64, 100)] {
        let several = if threads == 1 { "" } else { "s" };
        let (job, streams) = (format!("append, {threads} thread{several}, Always"), streams(threads));
        rates.push(rounds(&job, || add(&streams, events, count), Some(&mut limit))?);
    }
    Ok(store.close()?)
}

fn reading(events: &[Event], rates: &mut Vec<Rate>) -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let store = open(directory.path(), Durability::Os);
    let stream = store.stream(STREAM)?;
    fill(&stream, events, 0..STORED, 1);
    let mut scanning = Scanning::new(events, STORED as usize);
    let mut limit = || {
        assert!(scanning.run(frame_len) > 0);
        Ok(STORED)
    };
    let scan = |entries: &mut dyn Iterator<Item = streamlog::Result<Entry>>| -> Outcome<u64> {
        let mut bytes = 0;
        for entry in entries {
            bytes += entry?.fields().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        }
        assert!(bytes as u64 > STORED);
        Ok(STORED)
    };
    let lent = || {
        let (mut range, mut bytes) = (stream.range(..), 0);
        while let Some(entry) = range.next_ref() {
            bytes += entry?.fields().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        }
        assert!(bytes as u64 > STORED);
        Ok(STORED)
    };
    rates.push(rounds("scan forward, entries lent", lent, Some(&mut limit))?);
    rates.push(rounds("scan forward", || scan(&mut stream.range(..)), Some(&mut limit))?);
    rates.push(rounds("scan backward", || scan(&mut stream.range(..).rev()), Some(&mut limit))?);
    let mut random = Random(1);
    let look_up = || {
        for _ in 0..20_000 {
            let id = id_of(random.below(STORED));
            assert!(stream.get(id)?.is_some_and(|entry| entry.id() == id));
        }
        Ok(20_000)
    };
    rates.push(rounds("look up one ID among a million", look_up, None)?);
    for batch in [1, 100] {
        let group = stream.group(format!("by {batch}"));
        group.create(Position::Start)?;
        let consumer = group.consumer("alice");
        let deliver = || {
            for _ in 0..20_000 / batch {
                let entries = consumer.read().count(batch).new_entries()?;
                assert_eq!(consumer.ack(entries.iter().map(Entry::id))?, batch);
            }
            Ok(20_000)
        };
        rates.push(rounds(&format!("deliver and acknowledge, {batch} a call, Os"), deliver, None)?);
    }
    Ok(store.close()?)
}

/// A time for one of so many a second.
fn each(rate: f64) -> String {
    let nanos = 1e9 / rate;
    match nanos {
        _ if nanos < 1e3 => format!("{nanos:.0} ns"),
        _ if nanos < 1e6 => format!("{:.2} µs", nanos / 1e3),
        _ => format!("{:.2?}", Duration::from_secs_f64(1.0 / rate)),
    }
}

pub fn table(rates: &[Rate]) -> String {
    let mut table = String::from(
        "## Throughput\n\n| job | entries a second | slowest to fastest round | an entry | limit | of the limit |\n|---|---|---|---|---|---|\n",
    );
    for Rate { job, median, slowest, fastest, limit } in rates {
        let (limit, ratio) = match limit {
            Some(limit) => (each(*limit), format!("{:.2}", median / limit)),
            None => Default::default(),
        };
        let (median, spread) = (*median, format!("{slowest:.3e} to {fastest:.3e}"));
        writeln!(table, "| {job} | {median:.3e} | {spread} | {} | {limit} | {ratio} |", each(median))
            .expect("a string");
    }
    table + "\n"
}
