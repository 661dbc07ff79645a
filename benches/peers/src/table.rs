//! Tables in Markdown.

use std::collections::BTreeMap;

use crate::jobs::{Metrics, Part};
use crate::peer::{Class, Spec};
use crate::peers::LACKS;
use crate::{LIMIT, Results};

/// A column of numbers: what was measured, its unit, and how many of what was measured are in one of these.
struct Measure {
    metric: &'static str,
    title: String,
    unit: &'static str,
    scale: f64,
}

fn measure(metric: &'static str, title: impl Into<String>, unit: &'static str, scale: f64) -> Measure {
    Measure { metric, title: title.into(), unit, scale }
}

fn measures(part: Part) -> Vec<Measure> {
    let threads = |threads, streams| match (threads, streams) {
        (1, _) => "one thread".to_owned(),
        (threads, 1) => format!("{threads} threads, one stream"),
        (threads, streams) => format!("{threads} threads, {streams} streams"),
    };
    match part {
        Part::Append { batch } => {
            let what = if batch == 1 { "Append one entry a call".to_owned() } else { format!("Append {batch} a call") };
            vec![
                measure("median", format!("{what}: the median of a hundred entries"), "ns", 1.0),
                measure("mean", format!("{what}: all in all"), "ns", 1.0),
            ]
        }
        Part::Threads { threads: count, streams } => {
            vec![measure("mean", format!("Append one entry a call, {}", threads(count, streams)), "ns", 1.0)]
        }
        Part::Durable { threads: count, streams, batch } => {
            let metric = if count == 1 { "median" } else { "mean" };
            let what = if batch == 1 { "one entry".to_owned() } else { format!("{batch} entries") };
            vec![measure(metric, format!("Append {what} a call, synced, {}", threads(count, streams)), "µs", 1e-3)]
        }
        Part::Read => vec![
            measure("forward", "Scan a million entries forward", "ns", 1.0),
            measure("backward", "Scan a million entries backward", "ns", 1.0),
            measure("lookup", "Look up one ID among a million", "µs", 1e-3),
            measure("bytes", "Bytes on disk beyond the values", "bytes", 1.0),
        ],
        Part::Deliver { batch: 1 } => vec![measure("median", "Deliver and acknowledge singly", "µs", 1e-3)],
        Part::Deliver { batch } => {
            vec![measure("median", format!("Deliver and acknowledge in batches of {batch}"), "µs", 1e-3)]
        }
        Part::Streams => vec![
            measure("open", "Open a store of 10,000 streams and read an entry of each", "µs a stream", 1e-3),
            measure("create", "Create 10,000 streams with an entry each, once", "µs a stream", 1e-3),
        ],
    }
}

/// A table for each measure, and for each class that it is measured in.
pub fn print(
    part: Part,
    number: usize,
    specs_of_all: &[&Spec],
    results: &Results,
    failures: &BTreeMap<(usize, String), String>,
) {
    for measure in measures(part) {
        for class in [Class::PageCache, Class::Disk, Class::Memory] {
            let specs: Vec<&Spec> = specs_of_all
                .iter()
                .copied()
                .filter(|spec| spec.jobs.contains(&part.job()))
                // What is read does not depend on how it was written.
                .filter(|spec| if part.is_reading() { class == Class::PageCache } else { spec.class == class })
                .collect();
            if !specs.is_empty() {
                print_class(part, number, &measure, class, (&specs, specs_of_all), results, failures);
            }
        }
    }
}

struct Row {
    name: String,
    rounds: Vec<f64>,
}

impl Row {
    fn median(&self) -> f64 {
        crate::jobs::median(self.rounds.clone())
    }
}

fn print_class(
    part: Part,
    number: usize,
    measure: &Measure,
    class: Class,
    (specs, specs_of_all): (&[&Spec], &[&Spec]),
    results: &Results,
    failures: &BTreeMap<(usize, String), String>,
) {
    let row = |name: String| {
        let rounds: &[Metrics] = results.get(&(number, name.clone())).map_or(&[], Vec::as_slice);
        let rounds: Vec<f64> =
            rounds.iter().filter_map(|metrics| Some(metrics.get(measure.metric)? * measure.scale)).collect();
        Row { name, rounds }
    };
    let limit = row(LIMIT.to_owned());
    let mut rows: Vec<Row> = specs.iter().map(|spec| row(spec.name())).collect();
    let ours = rows.iter().find(|row| row.name.starts_with("streamlog")).map_or(f64::NAN, Row::median);
    let (limit_median, any) = (limit.median(), !limit.rounds.is_empty());
    rows.push(limit);
    rows.retain(|row| !row.rounds.is_empty());
    rows.sort_by(|a, b| a.median().total_cmp(&b.median()));

    if part.is_reading() {
        println!("\n### {}\n", measure.title);
    } else {
        println!("\n### {} ({})\n", measure.title, class.text());
    }
    println!("| | {} | least … most | to streamlog | to the limit |\n|---|---:|---:|---:|---:|", measure.unit);
    for row in &rows {
        let (median, least) = (row.median(), row.rounds.iter().copied().fold(f64::INFINITY, f64::min));
        let most = row.rounds.iter().copied().fold(0.0, f64::max);
        let to_limit = if any { ratio(median / limit_median) } else { "".to_owned() };
        let (median, spread) = (round(median), format!("{} … {}", round(least), round(most)));
        println!("| {} | {median} | {spread} | {} | {to_limit} |", row.name, ratio(row.median() / ours));
    }
    for ((failed_part, name), reason) in failures {
        if *failed_part == number && specs.iter().any(|spec| spec.name() == *name) {
            println!("| {name} | FAILED: {reason} | | | |");
        }
    }
    for (krate, job, reason) in LACKS {
        let selected = specs_of_all.iter().any(|spec| spec.krate == *krate);
        if selected && *job == part.job() && class != Class::Memory {
            println!("| {krate} | {reason} | | | |");
        }
    }
}

/// Three digits that matter.
fn round(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn ratio(value: f64) -> String {
    if value.is_finite() { format!("{} ×", round(value)) } else { String::new() }
}
