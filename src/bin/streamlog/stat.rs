//! Sizes and counts of a store.

use std::io::{self, Write};

use streamlog::inspect::{Escaped, GroupStat, SegmentStat, StreamStat};
use streamlog::{Error, StreamId};

use crate::global::Global;
use crate::json::{Json, or_null, text};
use crate::look::{self, Look, Wanted, bytes};
use crate::style::{BAD, NAME};
use crate::table::{Cell, Table};
use crate::{Failure, Outcome, count, retention};

const HELP: &str = "\
Nothing is written or locked. Without a name there is a line for each stream; with names, all that there is to say of \
each: its segments, index, journal, and groups. Sizes are in bytes. LOG is what the files of entries hold, DISK what all \
files take on the disk, DELETED how many entries are deleted that still take room, PER ENTRY what LOG comes to for each, \
RETENTION what is kept.

Examples:
  streamlog --store data stat
  streamlog --store data stat orders
  streamlog --store data stat --json | jq '.streams[] | {name, entries, bytes_per_entry}'

Exit status: 0 done, 1 something could not be read, 3 a stream cannot be opened for damage.";

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
    let (mut total, mut streams, mut table) = (Total::default(), Vec::new(), table());
    for name in look.names()? {
        let stat = match look.inspection.stat_stream(&name) {
            Err(error) if look.is_gone(&error) => continue,
            stat => stat,
        };
        if let Ok(stat) = &stat {
            total.add(stat);
        }
        match (wanted.json, &*wanted.streams) {
            (true, _) => streams.push(json_of(&name, &stat)),
            (false, []) => put_row(&mut table, &name, &stat),
            (false, _) => write_stream(&mut look.out, &name, &stat)?,
        }
        look.came_to(stat.as_ref().map_or_else(look::outcome_of, |_| Outcome::Done));
    }
    let reserve = look.inspection.reserve()?;
    if wanted.json {
        let all = Json::Object(vec![("streams", Json::List(streams)), ("total", total.json(reserve))]);
        writeln!(look.out, "{all}")?;
    } else {
        if !table.is_empty() {
            table.write(&mut look.out)?;
        }
        total.write(reserve, &mut look.out)?;
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

    fn write(&self, reserve: u64, out: &mut impl Write) -> io::Result<()> {
        let Self { streams, entries, log_bytes, allocated_bytes } = self;
        let (streams, entries) = (count::streams(*streams), count::entries(*entries));
        writeln!(out, "{streams}, {entries}, {log_bytes} bytes of log")?;
        writeln!(out, "{allocated_bytes} bytes on the disk, and {reserve} in reserve")
    }

    fn json(&self, reserve: u64) -> Json {
        Json::Object(vec![
            ("streams", self.streams.into()),
            ("entries", self.entries.into()),
            ("log_bytes", self.log_bytes.into()),
            ("allocated_bytes", self.allocated_bytes.into()),
            ("reserve_bytes", reserve.into()),
        ])
    }
}

/// A row for each stream.
fn table() -> Table {
    let numbers = [">ENTRIES", ">DELETED", ">LOG", ">PER ENTRY", ">DISK", ">SEGMENTS", ">GROUPS", ">PENDING"];
    let titles: Vec<_> = ["STREAM"].into_iter().chain(numbers).chain(["RETENTION"]).collect();
    Table::new(&titles)
}

fn put_row(table: &mut Table, name: &[u8], stat: &Result<StreamStat, Error>) {
    let name = Cell::styled(NAME, Escaped(name));
    let stat = match stat {
        Ok(stat) => stat,
        Err(error) => return table.noted_row(name, Cell::styled(BAD, crate::explain(error))),
    };
    table.row([
        name,
        Cell::new(stat.entries),
        Cell::new(stat.deleted),
        Cell::new(stat.log_bytes()),
        Cell::or_dash(stat.bytes_per_entry().map(|bytes| format!("{bytes:.1}"))),
        Cell::new(stat.allocated_bytes),
        Cell::new(stat.segments.len()),
        Cell::new(stat.groups.len()),
        Cell::new(stat.groups.iter().map(|group| group.pending).sum::<u64>()),
        Cell::new(stat.retention),
    ]);
}

fn write_stream(out: &mut impl Write, name: &[u8], stat: &Result<StreamStat, Error>) -> Result<(), Failure> {
    writeln!(out, "\"{}\"", Escaped(name))?;
    let stat = match stat {
        Ok(stat) => stat,
        Err(error) => return Ok(writeln!(out, "  {}", crate::explain(error))?),
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
        Err(error) => return Json::Object(vec![("name", bytes(name)), ("error", text(crate::explain(error)))]),
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
