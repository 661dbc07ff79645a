//! Whether an operation takes longer in a larger stream.

use std::error::Error;
use std::fmt::Write;
use std::time::Instant;

use streamlog::{Durability, Entry, Position};

use crate::common::{Random, STREAM, events, fill, id_of, open};

/// An operation, and its nanoseconds at each number of entries.
pub struct Curve {
    pub operation: &'static str,
    pub points: Vec<(u64, f64)>,
}

const SMALLEST: u64 = 10_000;

/// The nanoseconds of each of `count` operations, the fastest of some rounds.
fn fastest(count: u64, mut round: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        let begun = Instant::now();
        round()?;
        best = best.min(begun.elapsed().as_nanos() as f64 / count as f64);
    }
    Ok(best)
}

/// Up to so many entries, ten times as many with each step.
pub fn measure(largest: u64) -> Result<Vec<Curve>, Box<dyn Error>> {
    let operations = ["append", "look up", "deliver", "acknowledge"];
    let mut curves = operations.map(|operation| Curve { operation, points: Vec::new() });
    let mut count = SMALLEST;
    while count <= largest.max(SMALLEST) {
        for (curve, nanos) in curves.iter_mut().zip(at(count)?) {
            curve.points.push((count, nanos));
        }
        count *= 10;
    }
    Ok(curves.into())
}

/// Append, look up, deliver and acknowledge in a stream of so many entries.
fn at(count: u64) -> Result<[f64; 4], Box<dyn Error>> {
    const EACH: u64 = 1_000;
    let events = events(0);
    let directory = tempfile::tempdir()?;
    let store = open(directory.path(), Durability::Os);
    let stream = store.stream(STREAM)?;
    fill(&stream, &events, 0..count, 1);
    let mut random = Random(1);
    let look_up = fastest(EACH, || {
        for _ in 0..EACH {
            assert!(stream.get(id_of(random.below(count)))?.is_some());
        }
        Ok(())
    })?;
    let group = stream.group("workers");
    // Most of the stream is pending, as if it was being worked on.
    group.create(Position::Start)?;
    let consumer = group.consumer("alice");
    let mut pending = 0;
    while pending < count - 8 * EACH {
        pending += consumer.read().count(1_000).new_entries()?.len() as u64;
    }
    let mut ids = Vec::new();
    let deliver = fastest(EACH, || {
        for _ in 0..EACH {
            ids.extend(consumer.read().count(1).new_entries()?.iter().map(Entry::id));
        }
        Ok(())
    })?;
    let mut ids = ids.into_iter();
    let acknowledge = fastest(EACH, || {
        for id in ids.by_ref().take(EACH as usize) {
            assert_eq!(consumer.ack([id])?, 1);
        }
        Ok(())
    })?;
    let append = fastest(EACH, || {
        for n in 0..EACH as usize {
            stream.add(events[n % events.len()].fields())?;
        }
        Ok(())
    })?;
    store.close()?;
    Ok([append, look_up, deliver, acknowledge])
}

pub fn table(curves: &[Curve]) -> String {
    let mut table = String::from("## Growth: nanoseconds for one, by the entries of the stream\n\n| operation |");
    let counts = curves.first().map(|curve| curve.points.as_slice()).unwrap_or_default();
    counts.iter().for_each(|(count, _)| write!(table, " {count:.0e} |", count = *count as f64).expect("a string"));
    table += &format!("\n|---{}|\n", "|---".repeat(counts.len()));
    for Curve { operation, points } in curves {
        write!(table, "| {operation} |").expect("a string");
        points.iter().for_each(|(_, nanos)| write!(table, " {nanos:.0} |").expect("a string"));
        table += "\n";
    }
    table + "\n"
}
