//! Sizes and counts of a store.

use std::io::Write;

use streamlog::inspect::{Escaped, GroupStat, SegmentStat, StreamStat};
use streamlog::{Error, StreamId};

use crate::global::Global;
use crate::json::{Json, or_null, text};
use crate::look::{self, Look, Wanted, bytes};
use crate::{Failure, Outcome, count, retention};

const HELP: &str = "\
Nothing is written or locked. Sizes are in bytes.

Examples:
  streamlog --store data stat
  streamlog --store data stat --json | jq '.streams[] | {name, entries, bytes_per_entry}'

Exit status: 0 done, 2 a stream cannot be opened for damage, 1 something could not be read.";

/// Tell sizes and counts, without opening the store
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    wanted: Wanted,
}

/// Sums of all streams.
#[derive(Default)]
struct Total {
    streams: u64,
    entries: u64,
    log_bytes: u64,
    allocated_bytes: u64,
}

/// Tells sizes and counts of streams, and their sums.
pub fn run(global: &Global, Args { wanted }: &Args) -> Result<Outcome, Failure> {
    let mut look = Look::at(&global.directory()?, wanted)?;
    let (mut total, mut streams) = (Total::default(), Vec::new());
    for name in look.names()? {
        match look.inspection.stat_stream(&name) {
            Err(error) if look.is_gone(&error) => {}
            stat => {
                if let Ok(stat) = &stat {
                    total.add(stat);
                }
                match wanted.json {
                    true => streams.push(json_of(&name, &stat)),
                    false => write_stream(&mut look, &name, &stat)?,
                }
                look.came_to(stat.as_ref().map_or_else(look::outcome_of, |_| Outcome::Done));
            }
        }
    }
    let reserve = look.inspection.reserve()?;
    let Total { streams: count, entries, log_bytes, allocated_bytes } = total;
    if wanted.json {
        let total = Json::Object(vec![
            ("streams", count.into()),
            ("entries", entries.into()),
            ("log_bytes", log_bytes.into()),
            ("allocated_bytes", allocated_bytes.into()),
            ("reserve_bytes", reserve.into()),
        ]);
        let all = Json::Object(vec![("streams", Json::List(streams)), ("total", total)]);
        writeln!(look.out, "{all}")?;
    } else {
        writeln!(look.out, "total")?;
        let (streams, entries) = (count::streams(count), count::entries(entries));
        writeln!(look.out, "  {streams}, {entries}, {log_bytes} bytes of log")?;
        writeln!(look.out, "  {allocated_bytes} bytes on the disk, and {reserve} in reserve")?;
    }
    look.end()
}

impl Total {
    fn add(&mut self, stat: &StreamStat) {
        self.streams += 1;
        self.entries += stat.entries;
        self.log_bytes += stat.log_bytes();
        self.allocated_bytes += stat.allocated_bytes;
    }
}

fn write_stream(look: &mut Look<'_>, name: &[u8], stat: &Result<StreamStat, Error>) -> Result<(), Failure> {
    let out = &mut look.out;
    writeln!(out, "\"{}\"", Escaped(name))?;
    let stat = match stat {
        Ok(stat) => stat,
        Err(error) => return Ok(writeln!(out, "  {}", look::explain(error))?),
    };
    let StreamStat { entries, entries_added, deleted, last_id, .. } = stat;
    write!(out, "  entries: {entries}, {deleted} deleted that still take room, {entries_added} ever added; ")?;
    match stat.first_id {
        Some(first) => writeln!(out, "from {first}, last ID {last_id}")?,
        None => writeln!(out, "last ID {last_id}")?,
    }
    let segments = count::count(stat.segments.len() as u64, "segment", "segments");
    write!(out, "  log: {} bytes in {segments}", stat.log_bytes())?;
    match stat.bytes_per_entry() {
        Some(bytes) => writeln!(out, ", {bytes:.1} for each entry; {} bytes of index", stat.index_bytes)?,
        None => writeln!(out, "; {} bytes of index", stat.index_bytes)?,
    }
    for SegmentStat { base, len, used, allocated, is_sealed, .. } in &stat.segments {
        let state = if *is_sealed { "sealed" } else { "active" };
        writeln!(out, "    {base:020}.log: {used} of {len} bytes written, {allocated} on the disk, {state}")?;
    }
    match stat.journal_generation {
        0 => writeln!(out, "  journal: none")?,
        generation => {
            let changes = count::count(stat.changes, "change", "changes");
            writeln!(out, "  journal: {} bytes, generation {generation}, {changes}", stat.journal_bytes)?;
        }
    }
    for GroupStat { name, consumers, pending, released, lag, last_delivered_id, .. } in &stat.groups {
        let lag = lag.map_or("unknown".to_owned(), |lag| lag.to_string());
        let consumers = count::count(*consumers, "consumer", "consumers");
        write!(out, "  group \"{}\": {consumers}, {pending} pending, {released} of these ", Escaped(name))?;
        writeln!(out, "released; last delivered {last_delivered_id}, lag {lag}")?;
    }
    if !stat.retention.is_none() {
        writeln!(out, "  retention: {}", stat.retention)?;
    }
    let closed = if stat.is_clean { "closed" } else { "open, or not closed" };
    writeln!(out, "  on the disk: {} bytes; {closed}", stat.allocated_bytes)?;
    Ok(())
}

fn json_of(name: &[u8], stat: &Result<StreamStat, Error>) -> Json {
    let stat = match stat {
        Ok(stat) => stat,
        Err(error) => return Json::Object(vec![("name", bytes(name)), ("error", text(look::explain(error)))]),
    };
    let segments = stat.segments.iter().map(|segment| {
        Json::Object(vec![
            ("base", segment.base.into()),
            ("len", segment.len.into()),
            ("used", segment.used.into()),
            ("allocated", segment.allocated.into()),
            ("sealed", Json::Bool(segment.is_sealed)),
        ])
    });
    let groups = stat.groups.iter().map(|group| {
        Json::Object(vec![
            ("name", bytes(&group.name)),
            ("consumers", group.consumers.into()),
            ("pending", group.pending.into()),
            ("released", group.released.into()),
            ("lag", or_null(group.lag, Json::from)),
            ("last_delivered_id", text(group.last_delivered_id)),
        ])
    });
    Json::Object(vec![
        ("name", bytes(name)),
        ("entries", stat.entries.into()),
        ("deleted", stat.deleted.into()),
        ("entries_added", stat.entries_added.into()),
        ("first_id", or_null(stat.first_id, |id: StreamId| text(id))),
        ("last_id", text(stat.last_id)),
        ("max_deleted_id", text(stat.max_deleted_id)),
        ("log_bytes", stat.log_bytes().into()),
        ("bytes_per_entry", or_null(stat.bytes_per_entry(), Json::Fraction)),
        ("index_bytes", stat.index_bytes.into()),
        ("journal_bytes", stat.journal_bytes.into()),
        ("journal_generation", stat.journal_generation.into()),
        ("changes", stat.changes.into()),
        ("productions", stat.productions.into()),
        ("allocated_bytes", stat.allocated_bytes.into()),
        ("retention", retention::json(stat.retention)),
        ("clean", Json::Bool(stat.is_clean)),
        ("segments", Json::List(segments.collect())),
        ("groups", Json::List(groups.collect())),
    ])
}
