//! Replays every flight that left New York City in 2013 into a stream, then asks it a few questions.
//!
//! ```text
//! cargo run --release --example flights [DIRECTORY [FLIGHTS.CSV.GZ]]
//! ```
//!
//! A row becomes an entry: its columns are the fields, its scheduled departure (taken as UTC) is the time in its ID.
//! The store goes into `DIRECTORY`, or into a temporary one that is removed at the end. A directory that already
//! holds flights is loaded from where it left off, so a second run only asks.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::BufReader;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use csv::ByteRecord;
use flate2::bufread::GzDecoder;
use streamlog::{Entry, NewId, Store, Stream, StreamId};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Rows per batch: one frame on disk, and one sync.
const BATCH_LEN: usize = 1000;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flights: {error}");
            error.source().inspect(|cause| eprintln!("  {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (directory, _removed_at_end) = match arguments.next() {
        Some(directory) => (directory, None),
        None => {
            let temporary = tempfile::tempdir()?;
            (temporary.path().join("store"), Some(temporary))
        }
    };
    let csv =
        arguments.next().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flights.csv.gz"));

    let store = Store::open(&directory)?;
    let flights = store.stream("flights")?;
    load(&flights, &csv)?;
    println!();
    scan(&flights)?;
    ask(&flights)?;
    let answer = last_of_the_year(&flights)?;
    store.close()?;

    println!("\nClosed: {} in {}", megabytes(bytes_below(&directory)?), directory.display());
    reopen(&directory, &answer)
}

/// Adds the rows that are not there yet.
fn load(flights: &Stream, csv: &Path) -> Result<()> {
    let start = Instant::now();
    let table = Table::read(csv)?;
    println!("Read {} flights from {} in {}", grouped(table.rows.len()), csv.display(), seconds(start.elapsed()));

    let present = if flights.exists()? { usize::try_from(flights.info()?.entries_added)? } else { 0 };
    let missing = table.rows.get(present..).ok_or("the store holds more flights than the file")?;
    if missing.is_empty() {
        println!("All of them are in the store already");
        return Ok(());
    }
    let start = Instant::now();
    for batch in missing.chunks(BATCH_LEN) {
        // Flights of one minute share the time in their ID; the sequence number tells them apart.
        flights.add_batch(batch.iter().map(|row| (NewId::AutoSequence(row.departure_ms), table.fields(row))))?;
    }
    let elapsed = start.elapsed();
    let bytes = missing.iter().map(|row| table.bytes(row)).sum::<usize>();
    println!(
        "Added {} entries of {} fields in batches of {BATCH_LEN}, each synced",
        grouped(missing.len()),
        table.names.len()
    );
    println!(
        "  {} of names and values in {}: {}",
        megabytes(bytes as u64),
        seconds(elapsed),
        rate(missing.len(), elapsed)
    );
    Ok(())
}

/// The rows of the file, ordered by scheduled departure.
struct Table {
    names: ByteRecord,
    rows: Vec<Row>,
}

struct Row {
    departure_ms: u64,
    values: ByteRecord,
}

impl Table {
    fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        let mut reader = csv::Reader::from_reader(GzDecoder::new(BufReader::new(file)));
        let names = reader.byte_headers()?.clone();
        let column = |name: &str| names.iter().position(|n| n == name.as_bytes()).ok_or(format!("no column {name}"));
        let columns = [column("year")?, column("month")?, column("day")?, column("sched_dep_time")?];
        let mut rows = Vec::new();
        for values in reader.byte_records() {
            let values = values?;
            let [year, month, day, hhmm] = columns.map(|column| number(values.get(column)));
            let (year, month, day, hhmm) = (year?, month?, day?, hhmm?);
            rows.push(Row { departure_ms: minute(year, month, day, hhmm), values });
        }
        // The file is ordered by actual departure. The sort is stable, so it keeps that order within a minute.
        rows.sort_by_key(|row| row.departure_ms);
        Ok(Self { names, rows })
    }

    fn fields<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.names.iter().zip(&row.values)
    }

    fn bytes(&self, row: &Row) -> usize {
        self.names.as_slice().len() + row.values.as_slice().len()
    }
}

/// Reads everything in both directions.
fn scan(flights: &Stream) -> Result<()> {
    scan_one("forward", flights.range(..))?;
    scan_one("backward", flights.range(..).rev())
}

fn scan_one(direction: &str, entries: impl Iterator<Item = streamlog::Result<Entry>>) -> Result<()> {
    let start = Instant::now();
    let (mut count, mut bytes) = (0, 0);
    for entry in entries {
        bytes += entry?.fields().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        count += 1;
    }
    let elapsed = start.elapsed();
    println!("Read {} entries, {} {direction}: {}", grouped(count), megabytes(bytes as u64), rate(count, elapsed));
    Ok(())
}

fn ask(flights: &Stream) -> Result<()> {
    question("How many flights left on the Fourth of July between 6 and 9?", || {
        let day = minute(2013, 7, 4, 0);
        let mut per_airport = BTreeMap::<_, usize>::new();
        for entry in flights.range(ids(day + 6 * HOUR_MS, 3 * HOUR_MS)) {
            *per_airport.entry(text(&entry?, "origin")).or_default() += 1;
        }
        let per_airport = per_airport.iter().map(|(airport, count)| format!("{airport} {count}"));
        Ok(per_airport.collect::<Vec<_>>().join(", "))
    })?;

    question("Which three flights were the first on Valentine's Day?", || {
        let first = flights.range(StreamId::new(minute(2013, 2, 14, 0), 0)..).take(3);
        lines(first.map(|entry| Ok(departure(&entry?))))
    })?;

    question("Which five were the last of the year?", || last_of_the_year(flights))?;

    question("Which was the busiest hour of 27 November, the day before Thanksgiving?", || {
        let day = minute(2013, 11, 27, 0);
        let mut per_hour = [0; 24];
        for entry in flights.range(ids(day, DAY_MS)) {
            per_hour[usize::try_from((entry?.id().ms() - day) / HOUR_MS)?] += 1;
        }
        let (hour, count) = per_hour.iter().enumerate().max_by_key(|(_, count)| **count).ok_or("a day has hours")?;
        Ok(format!("from {hour}:00: {count} of the day's {} departures", per_hour.iter().sum::<usize>()))
    })?;

    question("Which flight had the longest delay in July?", || {
        let july = minute(2013, 7, 1, 0);
        let mut longest: Option<(u64, Entry)> = None;
        for entry in flights.range(ids(july, 31 * DAY_MS)) {
            let entry = entry?;
            // Early departures are negative, cancelled flights have none ("NA").
            let Ok(delay) = number(entry.get("dep_delay")) else { continue };
            if longest.as_ref().is_none_or(|(longest, _)| delay > *longest) {
                longest = Some((delay, entry));
            }
        }
        let (delay, entry) = longest.ok_or("no flight was late in July")?;
        Ok(format!("{}, {delay} minutes late", departure(&entry)))
    })?;

    question("What is entry 1357017300000-0?", || {
        let entry = flights.get("1357017300000-0".parse()?)?.ok_or("not there")?;
        let fields = entry.fields().map(|(name, value)| format!("{}={}", text_of(name), text_of(value)));
        Ok(fields.collect::<Vec<_>>().join(" "))
    })
}

fn last_of_the_year(flights: &Stream) -> Result<String> {
    lines(flights.range(..).rev().take(5).map(|entry| Ok(departure(&entry?))))
}

/// Opens the store once more and compares an answer with the one from before.
fn reopen(directory: &Path, answer: &str) -> Result<()> {
    let start = Instant::now();
    let store = Store::open(directory)?;
    let flights = store.stream("flights")?;
    let again = last_of_the_year(&flights)?;
    let elapsed = start.elapsed();
    if again != answer {
        return Err(format!("after reopening, the last flights are\n{again}\nand not\n{answer}").into());
    }
    println!(
        "Reopened, and read the same last five of {} flights in {}",
        grouped(usize::try_from(flights.len()?)?),
        seconds(elapsed)
    );
    Ok(store.close()?)
}

fn question(text: &str, answer: impl FnOnce() -> Result<String>) -> Result<()> {
    let start = Instant::now();
    let answer = answer()?;
    println!("\n{text} ({})", seconds(start.elapsed()));
    answer.lines().for_each(|line| println!("  {line}"));
    Ok(())
}

/// One entry in a line.
fn departure(entry: &Entry) -> String {
    let [month, day, time, carrier, flight, origin, destination] =
        ["month", "day", "sched_dep_time", "carrier", "flight", "origin", "dest"].map(|name| text(entry, name));
    format!("{}  {month:>2}/{day:<2} {time:>4}  {carrier} {flight:<4}  {origin} to {destination}", entry.id())
}

/// The IDs of a stretch of time.
fn ids(start_ms: u64, len_ms: u64) -> RangeInclusive<StreamId> {
    StreamId::new(start_ms, 0)..=StreamId::new(start_ms + len_ms - 1, u64::MAX)
}

/// Milliseconds from the Unix epoch to a minute, given as in the file: 1:05 pm is 1305.
fn minute(year: u64, month: u64, day: u64, hhmm: u64) -> u64 {
    days_since_epoch(year, month, day) * DAY_MS + hhmm / 100 * HOUR_MS + hhmm % 100 * MINUTE_MS
}

/// Counts years from March, so that a leap day is the last day of its year.
fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days_before_month = (153 * month + 2) / 5;
    year * 365 + leap_days + days_before_month + day - 1 - 719_468
}

fn number(text: Option<&[u8]>) -> Result<u64> {
    Ok(str::from_utf8(text.ok_or("a value is missing")?)?.parse()?)
}

fn text(entry: &Entry, name: &str) -> String {
    text_of(entry.get(name).unwrap_or(b"?"))
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(lines: impl Iterator<Item = Result<String>>) -> Result<String> {
    Ok(lines.collect::<Result<Vec<_>>>()?.join("\n"))
}

fn bytes_below(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for item in fs::read_dir(directory)? {
        let item = item?;
        bytes += if item.file_type()?.is_dir() { bytes_below(&item.path())? } else { item.metadata()?.len() };
    }
    Ok(bytes)
}

fn rate(count: usize, elapsed: Duration) -> String {
    let per_second = count as f64 / elapsed.as_secs_f64();
    format!("{} entries per second", grouped(per_second as usize))
}

fn seconds(elapsed: Duration) -> String {
    match elapsed.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.1} s"),
        seconds if seconds >= 0.001 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{:.0} µs", seconds * 1e6),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A number with its digits in groups of three.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(text_of).collect();
    groups.join(",")
}
