//! streamlog beside what one would use instead: the same entry, the same jobs, each peer in the durability class that
//! it really gives.
//!
//! The peers take turns, each time in a process and a directory of its own. After a part that writes, the process is
//! killed, and in the first round another one checks that everything is there.

#![deny(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "../../common/mod.rs"]
mod common;
mod encode;
mod jobs;
mod limit;
mod machine;
mod peer;
mod peers;
mod table;

use common::events;
use jobs::{Contents, Metrics, PARTS, Part, Scale};
use peer::{Class, Job, Result, Spec};
use peers::SPECS;

/// Tells the process that it is one of those that do the work, and which.
const CHILD: &str = "STREAMLOG_PEERS_CHILD";
/// What a row is called that no peer is in.
const LIMIT: &str = "limit";

#[derive(Parser)]
#[command(about = "Measures streamlog and its peers, and prints a table for each job.")]
struct Options {
    /// A few seconds, to see that everything works: the numbers mean nothing.
    #[arg(long)]
    quick: bool,
    /// Only these, of: append, threads, durable, read, deliver, streams.
    #[arg(long, value_delimiter = ',')]
    jobs: Vec<String>,
    /// Only these crates, and streamlog and the limit.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// How often each takes its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Writes the results of all rounds there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What the rounds gave, by part and name.
type Results = BTreeMap<(usize, String), Vec<Metrics>>;

fn main() -> Result {
    if let Ok(step) = std::env::var(CHILD) {
        return child(&step);
    }
    let mut options = Options::parse();
    if options.quick {
        options.rounds = options.rounds.min(2);
    }
    let specs = selected(&options)?;
    let (machine, load) = (machine::describe(), machine::load());
    let mut run = Run { options: &options, specs, results: Results::new(), failures: BTreeMap::new() };
    for (number, part) in PARTS.iter().enumerate() {
        if run.wants(part.job()) {
            run.part(number, *part)?;
        }
    }
    println!("# What streamlog and its peers measured\n");
    println!("{}", machine::caveats(&machine, options.rounds, options.quick, load));
    for (krate, reason) in peers::absent() {
        println!("\nSkipped: {krate}, for {reason}.");
    }
    for (number, part) in PARTS.iter().enumerate() {
        if run.wants(part.job()) {
            table::print(*part, number, &run.specs, &run.results, &run.failures);
        }
    }
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&run.json(&machine))?)?;
    }
    Ok(())
}

/// What selects it.
fn job_name(job: Job) -> &'static str {
    match job {
        Job::Append | Job::AppendBatch => "append",
        Job::Threads => "threads",
        Job::Durable | Job::DurableStreams => "durable",
        Job::Read => "read",
        Job::Deliver => "deliver",
        Job::Streams => "streams",
    }
}

fn selected(options: &Options) -> Result<Vec<&'static Spec>> {
    let jobs: Vec<&str> = PARTS.iter().map(|part| job_name(part.job())).collect();
    if let Some(unknown) = options.jobs.iter().find(|name| !jobs.contains(&name.as_str())) {
        return Err(format!("there is no job {unknown}").into());
    }
    if let Some(unknown) = options.peers.iter().find(|name| SPECS.iter().all(|spec| spec.krate != *name)) {
        return Err(format!("there is no peer {unknown}, or it was not built").into());
    }
    let absent = peers::absent();
    for (krate, reason) in &absent {
        eprintln!("SKIPPED: {krate}: {reason}");
    }
    let wanted = |spec: &&Spec| {
        options.peers.is_empty() || spec.krate == "streamlog" || options.peers.iter().any(|name| name == spec.krate)
    };
    let present = |spec: &&Spec| absent.iter().all(|(krate, _)| spec.krate != *krate);
    Ok(SPECS.iter().filter(wanted).filter(present).collect())
}

struct Run<'a> {
    options: &'a Options,
    specs: Vec<&'static Spec>,
    results: Results,
    /// By part and name.
    failures: BTreeMap<(usize, String), String>,
}

impl Run<'_> {
    fn wants(&self, job: Job) -> bool {
        self.options.jobs.is_empty() || self.options.jobs.iter().any(|name| name == job_name(job))
    }

    fn part(&mut self, number: usize, part: Part) -> Result {
        let specs: Vec<&Spec> = self.specs.iter().copied().filter(|spec| spec.jobs.contains(&part.job())).collect();
        let mut filled: BTreeMap<String, TempDir> = BTreeMap::new();
        for round in 0..self.options.rounds {
            eprintln!("{part:?}, round {} of {}", round + 1, self.options.rounds);
            let mut turns: Vec<Option<&Spec>> = std::iter::once(None).chain(specs.iter().copied().map(Some)).collect();
            let len = turns.len();
            turns.rotate_left(round * len / self.options.rounds);
            for spec in turns {
                let name = spec.map_or(LIMIT.to_owned(), Spec::name);
                let key = (number, name);
                if self.failures.contains_key(&key) {
                    continue;
                }
                match self.turn(part, number, spec, round == 0, &mut filled) {
                    Ok(metrics) => self.results.entry(key).or_default().push(metrics),
                    Err(error) => {
                        eprintln!("FAILED: {}, {part:?}: {error}", key.1);
                        self.failures.insert(key, error.to_string());
                    }
                }
            }
        }
        Ok(())
    }

    fn turn(
        &self,
        part: Part,
        number: usize,
        spec: Option<&Spec>,
        first: bool,
        filled: &mut BTreeMap<String, TempDir>,
    ) -> Result<Metrics> {
        let directory = tempfile::tempdir()?;
        let Some(spec) = spec else {
            return metrics(&self.child("limit", None, number, directory.path(), 0)?);
        };
        if !part.is_reading() {
            let result = self.child("write", Some(spec), number, directory.path(), 0)?;
            if first {
                self.verify(spec, number, directory.path(), &stored(&result)?)?;
            }
            return metrics(&result);
        }
        let name = spec.name();
        let mut filling = Metrics::new();
        if !filled.contains_key(&name) {
            let result = self.child("fill", Some(spec), number, directory.path(), 0)?;
            if part == Part::Streams {
                self.verify(spec, number, directory.path(), &stored(&result)?)?;
            }
            filling = metrics(&result)?;
            if part == Part::Read {
                filling.insert("bytes", self.bytes_beyond_values(directory.path())?);
            }
            filled.insert(name.clone(), directory);
        }
        let path = filled[&name].path();
        let mut metrics = metrics(&self.child("read", Some(spec), number, path, 0)?)?;
        metrics.append(&mut filling);
        Ok(metrics)
    }

    /// What an entry of a filled store takes on the disk.
    fn bytes_beyond_values(&self, path: &Path) -> Result<f64> {
        let events = events(0);
        let values: usize = events.iter().map(common::Event::len).sum();
        let used = machine::bytes_used(path)? as f64 / Scale::new(self.options.quick).read as f64;
        Ok(used - values as f64 / events.len() as f64)
    }

    /// That another process finds what was added.
    fn verify(&self, spec: &Spec, number: usize, path: &Path, expected: &Contents) -> Result {
        if expected.is_empty() {
            return Ok(());
        }
        let result = self.child("verify", Some(spec), number, path, expected.len())?;
        let found = stored(&result)?;
        if &found == expected {
            return Ok(());
        }
        let count = |contents: &Contents| contents.values().map(|(count, _)| count).sum::<u64>();
        Err(format!("{} of {} entries are there after a kill", count(&found), count(expected)).into())
    }

    fn child(&self, step: &str, spec: Option<&Spec>, part: usize, path: &Path, streams: usize) -> Result<Value> {
        if !self.options.quick {
            // Nothing that others have left to be written.
            rustix::fs::syncfs(File::open(path)?)?;
        }
        let spec = spec.and_then(|spec| SPECS.iter().position(|other| std::ptr::eq(spec, other)));
        let step = json!([step, spec, part, path, streams, self.options.quick]);
        let output = Command::new(std::env::current_exe()?)
            .env(CHILD, step.to_string())
            .env("WALRUS_DATA_DIR", path)
            .env("WALRUS_QUIET", "1")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().rev().find_map(|line| line.strip_prefix(RESULT)) {
            Some(result) => Ok(serde_json::from_str(result)?),
            None => {
                let text = String::from_utf8_lossy(&output.stderr);
                Err(format!("{}: {}", output.status, text.lines().last().unwrap_or_default()).into())
            }
        }
    }

    fn json(&self, machine: &str) -> Value {
        let results: Vec<Value> = self
            .results
            .iter()
            .map(|((part, name), rounds)| json!({ "part": format!("{:?}", PARTS[*part]), "peer": name, "rounds": rounds }))
            .collect();
        json!({ "machine": machine, "quick": self.options.quick, "results": results })
    }
}

const RESULT: &str = "RESULT ";

fn metrics(result: &Value) -> Result<Metrics> {
    const NAMES: &[&str] = &["median", "mean", "forward", "backward", "lookup", "open", "create"];
    let metrics = result[0].as_object().ok_or("a result without metrics")?;
    let known = NAMES.iter().filter_map(|name| Some((*name, metrics.get(*name)?.as_f64()?)));
    Ok(known.collect())
}

fn stored(result: &Value) -> Result<Contents> {
    Ok(serde_json::from_value(result[1].clone())?)
}

fn child(step: &str) -> Result {
    type Step = (String, Option<usize>, usize, PathBuf, usize, bool);
    let (step, spec, part, path, streams, quick): Step = serde_json::from_str(step)?;
    let (events, part, scale) = (events(0), PARTS[part], Scale::new(quick));
    let report = |metrics: &Metrics, contents: &Contents| println!("{RESULT}{}", json!([metrics, contents]));
    let Some(spec) = spec.map(|spec| &SPECS[spec]) else {
        report(&limit::measure(part, &path, &events, scale)?, &Contents::new());
        return Ok(());
    };
    match step.as_str() {
        "write" => {
            let peer = (spec.open)(&path)?;
            let (metrics, contents) = jobs::write(peer.as_ref(), part, &events, scale)?;
            report(&metrics, &contents);
            if spec.class != Class::Memory {
                peer.die();
            }
        }
        "fill" => {
            let peer = (spec.open)(&path)?;
            let (metrics, contents) = jobs::fill(peer.as_ref(), spec, part, &events, scale)?;
            drop(peer);
            report(&metrics, &contents);
        }
        "read" => report(&jobs::read(spec, &path, part, &events, scale)?, &Contents::new()),
        "verify" => {
            let peer = (spec.open)(&path)?;
            let contents = jobs::contents(peer.as_ref(), 0..streams as u32)?;
            report(&Metrics::new(), &contents);
            if spec.class != Class::Memory {
                peer.die();
            }
        }
        other => return Err(format!("there is no step {other}").into()),
    }
    Ok(())
}
