//! Checking everything there is in a store.

use std::io::Write;

use indicatif::{ProgressBar, ProgressStyle};
use streamlog::inspect::{Escaped, StreamReport};
use streamlog::{Error, Finding};

use crate::global::Global;
use crate::json::{Json, text};
use crate::look::{self, Look, Wanted, bytes};
use crate::{Failure, Outcome};

const HELP: &str = "\
Nothing is written or locked: the store may be in use, or on read-only media. Damage is told with file, offset and the \
IDs that may be affected; a line that begins with `note` is of something that opening the stream mends at no loss.

Examples:
  streamlog --store data verify
  streamlog --store data verify --json orders | jq '.streams[].findings'

Exit status: 0 sound, 2 damaged, 1 could not tell.";

/// Check everything in the store, or in some streams, without opening it
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    wanted: Wanted,
}

/// Verifies streams, or the whole store. On a terminal a bar shows how far it is.
pub fn run(global: &Global, Args { wanted }: &Args) -> Result<Outcome, Failure> {
    let mut look = Look::at(&global.directory()?, wanted)?;
    let names = look.names()?;
    let findings = if wanted.streams.is_empty() { look.inspection.verify_store()? } else { Vec::new() };
    let bar = bar(names.iter().map(|name| look.inspection.size(name).unwrap_or(0)).sum());
    look.came_to(outcome(&findings));
    if !wanted.json {
        write_findings(&mut look, &bar, &findings)?;
    }
    let mut streams = Vec::new();
    let (mut count, mut entries, mut read) = (0u64, 0u64, 0u64);
    for name in &names {
        bar.set_message(Escaped(name).to_string());
        let verified = look.inspection.verify_stream(name, |bytes| bar.inc(bytes));
        match verified {
            Err(error) if look.is_gone(&error) => continue,
            verified => {
                count += 1;
                if let Ok(report) = &verified {
                    (entries, read) = (entries + report.entries, read + report.bytes);
                }
                look.came_to(match &verified {
                    Ok(report) => outcome(&report.findings),
                    Err(error) => look::outcome_of(error),
                });
                match wanted.json {
                    true => streams.push(json_of(name, &verified)),
                    false => write_stream(&mut look, &bar, name, &verified)?,
                }
            }
        }
    }
    bar.finish_and_clear();
    let status = word(look.outcome);
    let marked = look::marked(status, look.outcome);
    match wanted.json {
        true => {
            let findings = Json::List(findings.iter().map(look::finding).collect());
            let all = vec![("status", text(status)), ("findings", findings), ("streams", Json::List(streams))];
            writeln!(look.out, "{}", Json::Object(all))?;
        }
        false => writeln!(look.out, "{marked}: {count} streams, {entries} entries, {read} bytes read")?,
    }
    look.end()
}

/// Drawn on standard error, and only if that is a terminal.
fn bar(len: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left: {msg}");
    ProgressBar::new(len).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn outcome(findings: &[Finding]) -> Outcome {
    if findings.iter().any(Finding::is_damage) { Outcome::Damaged } else { Outcome::Done }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "sound",
        Outcome::ErrorReply => "unknown",
        Outcome::Damaged => "damaged",
    }
}

fn write_findings(look: &mut Look<'_>, bar: &ProgressBar, findings: &[Finding]) -> Result<(), Failure> {
    let out = &mut look.out;
    bar.suspend(|| findings.iter().try_for_each(|finding| writeln!(out, "  {finding}")).and_then(|()| out.flush()))?;
    Ok(())
}

fn write_stream(
    look: &mut Look<'_>,
    bar: &ProgressBar,
    name: &[u8],
    verified: &Result<StreamReport, Error>,
) -> Result<(), Failure> {
    let (line, findings) = match verified {
        Ok(report) => {
            let StreamReport { entries, segments, bytes, findings, .. } = report;
            let status = look::marked(word(outcome(findings)), outcome(findings));
            let line =
                format!("{status}: \"{}\", {entries} entries in {segments} segments, {bytes} bytes", Escaped(name));
            (line, &**findings)
        }
        Err(error) => {
            let outcome = look::outcome_of(error);
            let status = look::marked(word(outcome), outcome);
            (format!("{status}: \"{}\": {}", Escaped(name), look::explain(error)), &[][..])
        }
    };
    let out = &mut look.out;
    bar.suspend(|| writeln!(out, "{line}").and_then(|()| out.flush()))?;
    write_findings(look, bar, findings)
}

fn json_of(name: &[u8], verified: &Result<StreamReport, Error>) -> Json {
    let members = match verified {
        Ok(report) => vec![
            ("name", bytes(name)),
            ("status", text(word(outcome(&report.findings)))),
            ("entries", report.entries.into()),
            ("segments", report.segments.into()),
            ("bytes", report.bytes.into()),
            ("findings", Json::List(report.findings.iter().map(look::finding).collect())),
        ],
        Err(error) => vec![
            ("name", bytes(name)),
            ("status", text(word(look::outcome_of(error)))),
            ("error", text(look::explain(error))),
        ],
    };
    Json::Object(members)
}
