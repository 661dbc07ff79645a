//! Writing down everything there is in a store.

use std::io::Write;

use streamlog::inspect::{Escaped, Item};
use streamlog::{Error, StreamId};

use crate::global::Global;
use crate::json::{Json, or_null, text};
use crate::look::{self, Look, Wanted, bytes};
use crate::{Failure, Outcome, retention};

const HELP: &str = "\
Nothing is written or locked. The same state gives the same text: dumps can be compared with diff. With --json, each \
line is an object. In the text, bytes that are not printable are written as \\xHH, and a backslash as \\\\. In JSON what is \
not UTF-8 is an object with the digits of its bytes: {\"hex\":\"ff00\"}.

Examples:
  streamlog --store data dump > before.txt
  streamlog --store copy dump | diff - before.txt
  streamlog --store data dump --json | jq -r 'select(.type == \"pending\") | .id'

Exit status: 0 done, 1 something could not be read, 3 something is damaged and told in its place.";

/// Write the whole state as text, without opening the store
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    wanted: Wanted,
}

/// Dumps streams one after the other: as lines of text, or each line as an object of JSON.
pub fn run(global: &Global, Args { wanted }: &Args) -> Result<Outcome, Failure> {
    let mut look = Look::at(&global.directory()?, wanted)?;
    for name in look.names()? {
        let mut outcome = Outcome::Done;
        let out = &mut look.out;
        let dumped = look.inspection.dump_stream(&name, |item| {
            if let Item::Damage(_) = item {
                outcome = Outcome::Damaged;
            }
            match wanted.json {
                true => writeln!(out, "{}", json_of(&item))?,
                false => writeln!(out, "{item}")?,
            }
            Ok::<(), Failure>(())
        });
        if let Err(failure) = dumped {
            let error = *failure.downcast::<Error>()?;
            if look.is_gone(&error) {
                continue;
            }
            outcome = outcome.max(look::outcome_of(&error));
            // Whoever compares dumps is to see it in its place, too.
            let error = crate::explain(&error);
            match wanted.json {
                true => {
                    writeln!(look.out, "{}", typed("error", vec![("stream", bytes(&name)), ("error", text(&error))]))?
                }
                false => writeln!(look.out, "  error: {error}")?,
            }
            crate::tell(format_args!("\"{}\": {error}", Escaped(&name)));
        }
        look.came_to(outcome);
    }
    look.end()
}

fn typed(kind: &'static str, mut members: Vec<(&'static str, Json)>) -> Json {
    members.insert(0, ("type", text(kind)));
    Json::Object(members)
}

fn json_of(item: &Item) -> Json {
    let id = |id: &StreamId| text(id);
    match item {
        Item::Stream { name, entries, entries_added, last_id, max_deleted_id, .. } => typed(
            "stream",
            vec![
                ("name", bytes(name)),
                ("entries", (*entries).into()),
                ("entries_added", (*entries_added).into()),
                ("last_id", id(last_id)),
                ("max_deleted_id", id(max_deleted_id)),
            ],
        ),
        Item::Entry(entry) => {
            let fields = entry.fields().map(|(name, value)| Json::List(vec![bytes(name), bytes(value)])).collect();
            typed("entry", vec![("id", id(&entry.id())), ("fields", Json::List(fields))])
        }
        Item::Retention(rules) => typed("retention", vec![("rules", retention::json(*rules))]),
        Item::Damage(finding) => typed("damage", vec![("finding", look::finding(finding))]),
        Item::Group { name, last_delivered_id, entries_read, pending, consumers, .. } => typed(
            "group",
            vec![
                ("name", bytes(name)),
                ("last_delivered_id", id(last_delivered_id)),
                ("entries_read", or_null(*entries_read, Json::from)),
                ("pending", (*pending).into()),
                ("consumers", (*consumers).into()),
            ],
        ),
        Item::Consumer { name, seen_time_ms, active_time_ms, .. } => typed(
            "consumer",
            vec![
                ("name", bytes(name)),
                ("seen_time_ms", (*seen_time_ms).into()),
                ("active_time_ms", or_null(*active_time_ms, Json::from)),
            ],
        ),
        Item::Pending { id: entry, consumer, delivery_time_ms, delivery_count, .. } => typed(
            "pending",
            vec![
                ("id", id(entry)),
                ("consumer", or_null(consumer.as_ref(), |name| bytes(name))),
                ("delivery_time_ms", (*delivery_time_ms).into()),
                ("delivery_count", (*delivery_count).into()),
            ],
        ),
        Item::Producers { duration_s, max_len, added, duplicates, .. } => typed(
            "producers",
            vec![
                ("duration_s", (*duration_s).into()),
                ("max_len", (*max_len).into()),
                ("added", (*added).into()),
                ("duplicates", (*duplicates).into()),
            ],
        ),
        Item::Production { producer, key, id: entry, .. } => {
            typed("production", vec![("producer", bytes(producer)), ("key", bytes(key)), ("id", id(entry))])
        }
        other => typed("other", vec![("text", text(other))]),
    }
}
