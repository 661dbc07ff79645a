//! Checking everything there is in a store.

use std::io::Write;

use indicatif::ProgressBar;
use streamlog::inspect::{Escaped, StreamReport};
use streamlog::{Error, Finding, Problem};

use crate::global::Global;
use crate::json::{Json, text};
use crate::look::{self, Look, Wanted, bytes};
use crate::{Failure, Outcome, bar, count};

const HELP: &str = "\
Nothing is written or locked: the store may be in use, or on read-only media. Damage is told with file, offset and the \
IDs that may be affected; a line that begins with `note` is of something that costs nothing: opening the stream mends \
it, or leaves alone what is no file of the store. A store in which an import was stopped cannot be told to be sound.

Examples:
  streamlog --store data verify
  streamlog --store data verify --json orders | jq '.streams[].findings'

Exit status: 0 sound, 1 could not tell, 3 damaged.";

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
    let len = names.iter().map(|name| look.inspection.size(name).unwrap_or(0)).sum();
    let bar = bar::with_end(len, "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left: {msg}");
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
    match wanted.json {
        true => {
            let findings = Json::List(findings.iter().map(look::finding).collect());
            let status = text(look::word(look.outcome));
            let all = vec![("status", status), ("findings", findings), ("streams", Json::List(streams))];
            writeln!(look.out, "{}", Json::Object(all))?;
        }
        false => {
            let (streams, entries) = (count::streams(count), count::entries(entries));
            writeln!(look.out, "{}: {streams}, {entries}, {read} bytes read", look::marked(look.outcome))?;
        }
    }
    look.end()
}

fn outcome(findings: &[Finding]) -> Outcome {
    let outcome = |finding: &Finding| match &finding.problem {
        Problem::Damage(_) => Outcome::Damaged,
        // What there is will be put back to where the import can go on.
        Problem::ImportUnfinished => Outcome::ErrorReply,
        _ => Outcome::Done,
    };
    findings.iter().map(outcome).max().unwrap_or(Outcome::Done)
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
            let (status, name) = (look::marked(outcome(findings)), Escaped(name));
            let (entries, segments) = (count::entries(*entries), count::count(*segments, "segment", "segments"));
            (format!("{status}: \"{name}\", {entries} in {segments}, {bytes} bytes"), &**findings)
        }
        Err(error) => {
            let status = look::marked(look::outcome_of(error));
            (format!("{status}: \"{}\": {}", Escaped(name), crate::explain(error)), &[][..])
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
            ("status", text(look::word(outcome(&report.findings)))),
            ("entries", report.entries.into()),
            ("segments", report.segments.into()),
            ("bytes", report.bytes.into()),
            ("findings", Json::List(report.findings.iter().map(look::finding).collect())),
        ],
        Err(error) => vec![
            ("name", bytes(name)),
            ("status", text(look::word(look::outcome_of(error)))),
            ("error", text(crate::explain(error))),
        ],
    };
    Json::Object(members)
}
