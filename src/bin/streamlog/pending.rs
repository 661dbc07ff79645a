//! What is pending in a group.

use std::io::Write;
use std::time::Duration;

use streamlog::inspect::Escaped;
use streamlog::{PendingEntry, PendingSummary, Store, StreamId};

use crate::args::{self, Bytes};
use crate::global::Global;
use crate::json::{Json, or_null, text};
use crate::look::bytes;
use crate::style::{ASIDE, NAME, NOTABLE, paint};
use crate::table::{Cell, Table};
use crate::{Failure, Outcome, time};

const HELP: &str = "\
The store may be in use: nothing is written or locked. Entries are listed by ID, with their consumer (`-` if they were \
released, which are listed whatever --idle is), the time since they were delivered, and how often they were.

Examples:
  streamlog --store data pending orders workers
  streamlog --store data pending orders workers --idle 5m --consumer alice
  streamlog --store data pending orders workers --start 1526919030474-0 --count 20
  streamlog --store data pending orders workers --json --count 0 | jq -r '.entries[].id'

Exit status: 0 done, 1 there is no such group, or it cannot be read, 3 it cannot be opened for damage.";

/// List entries that consumers of a group were given and have not acknowledged; also while another process writes
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Only those of this consumer
    #[arg(short, long, value_name = "NAME", value_parser = args::bytes())]
    consumer: Option<Bytes>,

    /// Only those that were delivered so long ago, such as 90s, 5m or 1h30m
    #[arg(short, long, value_name = "TIME", default_value = "0", hide_default_value = true, value_parser = time::parse)]
    idle: Duration,

    /// Only those from this ID on
    #[arg(long, value_name = "ID")]
    start: Option<StreamId>,

    /// No more than so many; all of them with 0
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "100")]
    count: u64,

    /// Write JSON, for programs; bytes that are not UTF-8 as {"hex":"ff00"}
    #[arg(long)]
    json: bool,

    /// The name of the stream
    #[arg(value_parser = args::bytes())]
    stream: Bytes,

    /// The name of the group
    #[arg(value_parser = args::bytes())]
    group: Bytes,
}

/// Lists what is pending, and sums up.
pub fn run(global: &Global, args: &Args) -> Result<Outcome, Failure> {
    let store = Store::open_read_only(global.directory()?)?;
    let stream = store.stream(&args.stream)?;
    if !stream.exists()? {
        // Fails with the error that there is none.
        stream.info()?;
    }
    let group = stream.group(&args.group);
    let summary = group.pending()?;
    let mut wanted = group.pending_entries()?.min_idle(args.idle).count(match args.count {
        0 => u64::MAX,
        count => count,
    });
    if let Some(start) = args.start {
        wanted = wanted.ids(start..);
    }
    if let Some(consumer) = &args.consumer {
        wanted = wanted.consumer(consumer);
    }
    let entries = wanted.run()?;
    let mut out = anstream::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", json_of(&summary, &entries))?,
        false => {
            table(&entries).write(&mut out)?;
            writeln!(out, "{}", paint(ASIDE, sum(&summary, entries.len())))?;
        }
    }
    Ok(Outcome::Done)
}

/// Entries that were delivered more than once stand out: something goes wrong with them.
fn table(entries: &[PendingEntry]) -> Table {
    let mut table = Table::new(&["ID", "CONSUMER", ">IDLE", ">DELIVERED"]);
    for entry in entries {
        let consumer = entry.consumer.as_deref();
        table.row([
            Cell::styled(NAME, entry.id),
            Cell::or_dash(consumer.map(|name| Escaped(name).to_string())),
            Cell::or_dash(consumer.map(|_| time::show(entry.idle))),
            match entry.delivery_count {
                count @ 0..=1 => Cell::new(count),
                count => Cell::styled(NOTABLE, count),
            },
        ]);
    }
    table
}

fn sum(summary: &PendingSummary, listed: usize) -> String {
    let owned: u64 = summary.consumers.iter().map(|(_, count)| count).sum();
    let of = |(name, count): &(Vec<u8>, u64)| format!("{} {count}", Escaped(name));
    let mut parts: Vec<_> = summary.consumers.iter().map(of).collect();
    if summary.count > owned {
        parts.push(format!("released {}", summary.count - owned));
    }
    let of_whom = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{listed} listed, {} pending{of_whom}", summary.count)
}

fn json_of(summary: &PendingSummary, entries: &[PendingEntry]) -> Json {
    let entry = |entry: &PendingEntry| {
        let millis = i128::try_from(entry.idle.as_millis()).unwrap_or(i128::MAX);
        let owned = entry.consumer.as_ref();
        Json::Object(vec![
            ("id", text(entry.id)),
            ("consumer", or_null(owned, |name| bytes(name))),
            ("idle_ms", or_null(owned, |_| Json::Number(millis))),
            ("delivery_count", entry.delivery_count.into()),
        ])
    };
    let consumer =
        |(name, count): &(Vec<u8>, u64)| Json::Object(vec![("consumer", bytes(name)), ("pending", (*count).into())]);
    Json::Object(vec![
        ("pending", summary.count.into()),
        ("consumers", Json::List(summary.consumers.iter().map(consumer).collect())),
        ("entries", Json::List(entries.iter().map(entry).collect())),
    ])
}
