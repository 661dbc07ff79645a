//! The groups of streams, and their consumers.

use std::io::Write;

use streamlog::inspect::Escaped;
use streamlog::{ConsumerInfo, Error, GroupInfo, ReadOnlyStore, Store};

use crate::args::{self, Bytes};
use crate::global::Global;
use crate::json::{Json, or_null, text};
use crate::look::bytes;
use crate::style::{BAD, NAME, NOTABLE};
use crate::table::{Cell, Table};
use crate::{Failure, Outcome, time};

const HELP: &str = "\
The store may be in use: nothing is written or locked. Pending are entries that were given to a consumer and not yet \
acknowledged, released those of them that nobody has. Lag is how many entries the group is yet to be given; `-` if that \
cannot be told. A consumer is idle since it was last heard of, and inactive since it was last given an entry.

Examples:
  streamlog --store data groups
  streamlog --store data groups orders --consumers
  streamlog --store data groups --json | jq '.[] | select(.lag > 1000)'

Exit status: 0 done, 1 something could not be read, 3 a stream cannot be opened for damage.";

/// List groups: consumers, what is pending, how far behind they are; also while another process writes
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// List the consumers of each group
    #[arg(short, long)]
    consumers: bool,

    /// Write JSON, for programs; bytes that are not UTF-8 as {"hex":"ff00"}
    #[arg(long)]
    json: bool,

    /// The names of streams; all if there is none
    #[arg(value_name = "STREAM", value_parser = args::bytes())]
    streams: Vec<Bytes>,
}

/// A group, and its consumers if they are asked for.
struct Found {
    stream: Bytes,
    group: GroupInfo,
    consumers: Vec<ConsumerInfo>,
}

/// Lists the groups. A stream that cannot be read is told of, and does not hide the others.
pub fn run(global: &Global, args: &Args) -> Result<Outcome, Failure> {
    let store = Store::open_read_only(global.directory()?)?;
    let names = if args.streams.is_empty() { store.names()? } else { args.streams.clone() };
    let (mut all, mut outcome) = (Vec::new(), Outcome::Done);
    for name in names {
        match find(&store, &name, args) {
            Ok(found) => all.extend(found),
            // Deleted since its name was listed.
            Err(Error::StreamNotFound { .. }) if args.streams.is_empty() => {}
            Err(error) => {
                crate::tell(format_args!("\"{}\": {}", Escaped(&name), crate::explain(&error)));
                outcome = outcome.max(crate::look::outcome_of(&error));
            }
        }
    }
    let mut out = anstream::stdout().lock();
    match (args.json, args.consumers) {
        (true, _) => writeln!(out, "{}", Json::List(all.iter().map(|found| json_of(found, args)).collect()))?,
        (false, true) => consumers(&all).write(&mut out)?,
        (false, false) => groups(&all).write(&mut out)?,
    }
    Ok(outcome)
}

fn find(store: &ReadOnlyStore, name: &[u8], args: &Args) -> Result<Vec<Found>, Error> {
    let stream = store.stream(name)?;
    let mut all = Vec::new();
    for group in stream.groups()? {
        let consumers = if args.consumers { stream.group(&group.name).consumers() } else { Ok(Vec::new()) };
        match consumers {
            Ok(consumers) => all.push(Found { stream: name.to_vec(), group, consumers }),
            // Destroyed since its name was listed.
            Err(Error::GroupNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn groups(all: &[Found]) -> Table {
    let titles = ["STREAM", "GROUP", ">CONSUMERS", ">PENDING", ">RELEASED", ">LAG", "LAST DELIVERED"];
    let mut table = Table::new(&titles);
    for Found { stream, group, .. } in all {
        table.row([
            Cell::styled(NAME, Escaped(stream)),
            Cell::new(Escaped(&group.name)),
            Cell::new(group.consumers),
            Cell::new(group.pending),
            Cell::new(group.released),
            lag(group.lag, |lag| lag.to_string()),
            Cell::new(group.last_delivered_id),
        ]);
    }
    table
}

/// How far behind a group is, if that is known. Below nothing it cannot be: somebody set the counts wrong.
pub fn lag(lag: Option<i64>, show: impl Fn(u64) -> String) -> Cell {
    match lag.map(u64::try_from) {
        None => Cell::new("-"),
        Some(Ok(0)) => Cell::new(0),
        Some(Ok(behind)) => Cell::styled(NOTABLE, show(behind)),
        Some(Err(_)) => Cell::styled(BAD, lag.unwrap_or_default()),
    }
}

fn consumers(all: &[Found]) -> Table {
    let mut table = Table::new(&["STREAM", "GROUP", "CONSUMER", ">PENDING", ">IDLE", ">INACTIVE"]);
    for Found { stream, group, consumers } in all {
        for consumer in consumers {
            table.row([
                Cell::styled(NAME, Escaped(stream)),
                Cell::new(Escaped(&group.name)),
                Cell::new(Escaped(&consumer.name)),
                Cell::new(consumer.pending),
                Cell::new(time::show(consumer.idle)),
                Cell::or_dash(consumer.inactive.map(time::show)),
            ]);
        }
    }
    table
}

fn json_of(found: &Found, args: &Args) -> Json {
    let Found { stream, group, consumers } = found;
    let mut members = vec![("stream", bytes(stream))];
    members.extend(members_of(group));
    if args.consumers {
        members.push(("members", Json::List(consumers.iter().map(consumer_json).collect())));
    }
    Json::Object(members)
}

/// What there is to say of a group.
pub fn members_of(group: &GroupInfo) -> Vec<(&'static str, Json)> {
    vec![
        ("group", bytes(&group.name)),
        ("consumers", group.consumers.into()),
        ("pending", group.pending.into()),
        ("released", group.released.into()),
        ("lag", or_null(group.lag, Json::from)),
        ("entries_read", or_null(group.entries_read, Json::from)),
        ("last_delivered_id", text(group.last_delivered_id)),
    ]
}

fn consumer_json(consumer: &ConsumerInfo) -> Json {
    let millis = |time: std::time::Duration| Json::Number(i128::try_from(time.as_millis()).unwrap_or(i128::MAX));
    Json::Object(vec![
        ("consumer", bytes(&consumer.name)),
        ("pending", consumer.pending.into()),
        ("idle_ms", millis(consumer.idle)),
        ("inactive_ms", or_null(consumer.inactive, millis)),
    ])
}
