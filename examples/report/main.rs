//! Measures a short form of everything that is promised about speed, and writes it down: a table, and plots of throughput,
//! latencies and growth.
//!
//! ```text
//! cargo run --release --example report [-- DIRECTORY]
//! ```
//!
//! The directory is `target/report` unless it is named; `report.md` and the plots go there. Stores are made in the temporary
//! directory: `TMPDIR` says on which disk. Every figure stands beside the limit of the same run: what the hardware
//! allows for that job. Takes a minute and a half. `STREAMLOG_REPORT_ENTRIES` is how far the curves of growth go, a million unless
//! it is set, and `STREAMLOG_REPORT_ROUNDS` how often each job is measured; the benches in `benches/` measure the same things at leisure.

use std::error::Error;
use std::path::PathBuf;

#[path = "../../benches/common/mod.rs"]
mod common;
mod growth;
mod latencies;
mod limits;
mod machine;
mod plots;
mod throughput;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).map_or_else(|| PathBuf::from("target/report"), PathBuf::from);
    std::fs::create_dir_all(&directory)?;
    let largest = std::env::var("STREAMLOG_REPORT_ENTRIES").ok().and_then(|count| count.parse().ok());

    let mut report = format!("# Report\n\n{}\n\n", machine::describe());
    println!("Throughput …");
    let rates = throughput::measure()?;
    report += &throughput::table(&rates);
    plots::throughput(&directory.join("throughput.svg"), &rates)?;
    println!("Latencies …");
    let latencies = latencies::measure()?;
    report += &latencies::table(&latencies);
    plots::latencies(&directory.join("latencies.svg"), &latencies)?;
    println!("Growth …");
    let curves = growth::measure(largest.unwrap_or(1_000_000))?;
    report += &growth::table(&curves);
    plots::growth(&directory.join("growth.svg"), &curves)?;

    println!("\n{report}");
    std::fs::write(directory.join("report.md"), report)?;
    println!("Written to {}", directory.display());
    Ok(())
}
