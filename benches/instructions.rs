//! How many instructions the common operations take, held against what they took when that was last looked at.
//!
//! Times differ from run to run; the instructions that a program executes hardly do. So this is what a check of every
//! change can go by: `cargo bench --bench instructions` counts them with valgrind's callgrind, each job twice with different
//! numbers of operations, and divides the difference, which leaves out what happens once. It fails if a job takes more
//! than the counts in `instructions.csv` allow, and says so if it takes much less: `-- --update` writes them anew, to
//! be committed with the change that explains it.
//!
//! Without valgrind it says `SKIPPED`. With `--test` each job is run once, small and not counted.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use streamlog::{Consumer, Durability, Entry, NewId, Position, Store, Stream};

mod common;
use common::{Event, Random, STREAM, events, fill, id_of, open};

/// The job that this process is to do, and how often, when it is run to be counted.
const JOB: &str = "STREAMLOG_BENCH_JOB";
/// How much more than last time a job may take: other versions of the compiler make other code, and other processors copy by
/// other instructions.
const TOLERANCE: f64 = 0.1;
const SMALL: u64 = 5_000;
const LARGE: u64 = 25_000;

/// What does something so many times.
type Job = fn(u64);

/// What is counted.
const JOBS: [(&str, Job); 8] = [
    ("append", append),
    ("append in batches of 100", append_batches),
    ("scan forward", |count| scan(count, false)),
    ("scan backward", |count| scan(count, true)),
    ("look up", look_up),
    ("deliver and acknowledge", |count| deliver(count, 1)),
    ("deliver and acknowledge 100 at a time", |count| deliver(count, 100)),
    ("command XADD", command),
];

fn with_stream(job: impl FnOnce(&Store, &Stream, &[Event])) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), Durability::Os);
    let stream = store.stream(STREAM).unwrap();
    job(&store, &stream, &events(0));
    store.close().unwrap();
}

fn append(count: u64) {
    with_stream(|_, stream, events| {
        for n in 0..count as usize {
            stream.add(events[n % events.len()].fields()).unwrap();
        }
    });
}

fn append_batches(count: u64) {
    with_stream(|_, stream, events| {
        for start in (0..count as usize).step_by(100) {
            let batch = (start..start + 100).map(|n| (NewId::Auto, events[n % events.len()].fields()));
            stream.add_batch(batch).unwrap();
        }
    });
}

/// The stream has as many entries however many are read.
fn filled(events: &[Event], stream: &Stream) {
    fill(stream, events, 0..LARGE, 1);
}

fn scan(count: u64, backward: bool) {
    with_stream(|_, stream, events| {
        filled(events, stream);
        let bytes = |entry: streamlog::Result<Entry>| -> usize {
            entry.unwrap().fields().map(|(name, value)| name.len() + value.len()).sum()
        };
        let range = stream.range(..);
        let sum: usize = match backward {
            false => range.take(count as usize).map(bytes).sum(),
            true => range.rev().take(count as usize).map(bytes).sum(),
        };
        assert!(sum > 100 * count as usize);
    });
}

fn look_up(count: u64) {
    with_stream(|_, stream, events| {
        filled(events, stream);
        let mut random = Random(1);
        for _ in 0..count {
            assert!(stream.get(id_of(random.below(LARGE))).unwrap().is_some());
        }
    });
}

fn deliver(count: u64, batch: u64) {
    with_stream(|_, stream, events| {
        filled(events, stream);
        let group = stream.group("workers");
        group.create(Position::Start).unwrap();
        let consumer: Consumer = group.consumer("alice");
        for _ in 0..count / batch {
            let entries = consumer.read().count(batch).new_entries().unwrap();
            assert_eq!(consumer.ack(entries.iter().map(Entry::id)).unwrap(), batch);
        }
    });
}

fn command(count: u64) {
    with_stream(|store, _, events| {
        for n in 0..count as usize {
            let fields = events[n % events.len()].fields();
            let mut arguments = vec!["XADD", STREAM, "*"];
            arguments.extend(fields.iter().flat_map(|&(name, value)| [name, value]));
            streamlog::command::execute(store, &arguments);
        }
    });
}

/// The instructions of a process that does this job so many times.
fn instructions(name: &str, count: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .env(JOB, format!("{name}|{count}"))
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {told}");
    let collected = told.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, count)| count.trim().parse().ok()).unwrap_or_else(|| panic!("{name}: no count in {told}"))
}

fn baseline_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.csv")
}

/// What a job took when that was last written down.
fn baseline(name: &str) -> Option<f64> {
    let counts = std::fs::read_to_string(baseline_path()).unwrap_or_default();
    let line = counts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(','));
    line.and_then(|count| count.parse().ok())
}

fn main() -> ExitCode {
    if let Ok(job) = std::env::var(JOB) {
        let (name, count) = job.split_once('|').unwrap();
        let (_, job) = JOBS.iter().find(|(known, _)| *known == name).unwrap();
        job(count.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    if common::is_test() {
        JOBS.iter().for_each(|(_, job)| job(100));
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("SKIPPED: instructions: there is no valgrind to count them with");
        return ExitCode::SUCCESS;
    }
    let update = std::env::args().any(|argument| argument == "--update");
    let (mut written, mut worse) = (String::new(), false);
    println!("{:40} {:>12} {:>12} {:>7}", "instructions for each", "last time", "now", "ratio");
    for (name, _) in JOBS {
        let each = (instructions(name, LARGE) - instructions(name, SMALL)) as f64 / (LARGE - SMALL) as f64;
        writeln!(written, "{name},{each:.1}").unwrap();
        let Some(last) = baseline(name) else {
            println!("{name:40} {:>12} {each:12.1}", "-");
            worse |= !update;
            continue;
        };
        let ratio = each / last;
        let verdict = match ratio {
            _ if ratio > 1.0 + TOLERANCE => "  MORE THAN ALLOWED",
            _ if ratio < 1.0 - TOLERANCE => "  less: update the counts",
            _ => "",
        };
        println!("{name:40} {last:12.1} {each:12.1} {ratio:7.3}{verdict}");
        worse |= ratio > 1.0 + TOLERANCE;
    }
    if update {
        std::fs::write(baseline_path(), written).unwrap();
        return ExitCode::SUCCESS;
    }
    if worse { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
