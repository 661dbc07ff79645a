//! How long single calls take: not on average, but up to the slowest in ten thousand.

use std::error::Error;
use std::fmt::Write;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use streamlog::{Block, Durability, ReadFrom};

use crate::common::{Random, STREAM, events, fill, id_of, open};

/// A kind of call, and how long it took, in nanoseconds.
pub struct Latency {
    pub call: &'static str,
    pub nanos: Histogram<u64>,
}

pub const QUANTILES: [f64; 6] = [0.5, 0.9, 0.99, 0.999, 0.9999, 1.0];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn histogram() -> Outcome<Histogram<u64>> {
    // Up to a minute, with three digits.
    Ok(Histogram::new_with_max(60_000_000_000, 3)?)
}

fn record(nanos: &mut Histogram<u64>, took: Duration) {
    nanos.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
}

/// Makes the call so often, timing each.
fn time(call: &'static str, count: usize, mut make: impl FnMut(usize) -> Outcome<()>) -> Outcome<Latency> {
    let mut nanos = histogram()?;
    for n in 0..count {
        let begun = Instant::now();
        make(n)?;
        record(&mut nanos, begun.elapsed());
    }
    Ok(Latency { call, nanos })
}

pub fn measure() -> Outcome<Vec<Latency>> {
    let events = events(0);
    let fields = |n: usize| events[n % events.len()].fields();
    let directory = tempfile::tempdir()?;
    let store = open(&directory.path().join("os"), Durability::Os);
    let stream = store.stream(STREAM)?;
    fill(&stream, &events, 0..1_000_000, 1);
    let mut random = Random(1);
    let mut latencies = vec![
        time("add, Os", 500_000, |n| Ok(stream.add(fields(n)).map(drop)?))?,
        time("get among a million", 200_000, |_| {
            assert!(stream.get(id_of(random.below(1_000_000)))?.is_some());
            Ok(())
        })?,
        waking(&store.stream("woken")?)?,
    ];
    store.close()?;
    let store = open(&directory.path().join("always"), Durability::Always);
    let stream = store.stream(STREAM)?;
    latencies.push(time("add, Always", 3_000, |n| Ok(stream.add(fields(n)).map(drop)?))?);
    store.close()?;
    Ok(latencies)
}

/// From the call that adds an entry to the return of the read that waits for it, in another thread.
fn waking(stream: &streamlog::Stream) -> Outcome<Latency> {
    const COUNT: usize = 5_000;
    let mut last = stream.add([("n", "0")])?;
    let (woken, times) = channel();
    let reader = std::thread::spawn({
        let stream = stream.clone();
        move || -> streamlog::Result<()> {
            for _ in 0..COUNT {
                let found = stream.read(ReadFrom::After(last)).block(Block::Forever).run()?;
                let now = Instant::now();
                last = found[0].1[0].id();
                if woken.send(now).is_err() {
                    break;
                }
            }
            Ok(())
        }
    });
    let mut nanos = histogram()?;
    for _ in 0..COUNT {
        // Until it sleeps: nothing tells that from outside.
        std::thread::sleep(Duration::from_micros(200));
        let begun = Instant::now();
        stream.add([("n", "1")])?;
        record(&mut nanos, times.recv()? - begun);
    }
    reader.join().expect("no read panics")?;
    Ok(Latency { call: "wake a read that waits", nanos })
}

pub fn table(latencies: &[Latency]) -> String {
    let mut table = String::from("## Latencies, in microseconds\n\n| call | calls |");
    QUANTILES.iter().for_each(|quantile| write!(table, " {} % |", quantile * 100.0).expect("a string"));
    table += "\n|---|---|---|---|---|---|---|---|\n";
    for Latency { call, nanos } in latencies {
        write!(table, "| {call} | {} |", nanos.len()).expect("a string");
        for quantile in QUANTILES {
            let micros = nanos.value_at_quantile(quantile) as f64 / 1e3;
            write!(table, " {micros:.2} |").expect("a string");
        }
        table += "\n";
    }
    table + "\n"
}
