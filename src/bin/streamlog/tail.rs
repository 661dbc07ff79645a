//! The newest entries of streams, and those that come.

use std::cmp::Ordering;
use std::io::{self, StdoutLock, Write};
use std::time::Duration;

use clap::builder::TypedValueParser;
use streamlog::inspect::Escaped;
use streamlog::{Entry, Error, Follow, IdRange, ReadFrom, ReadOnlyStream, Store, StreamId};

use crate::args::{Bytes, bytes as any_bytes};
use crate::global::Global;
use crate::json::{Json, text};
use crate::look::bytes;
use crate::{Failure, Outcome, output};

const HELP: &str = "\
The store may be in use: nothing is written or locked. An entry is a line: its ID, then name=value for each field, with \
quotes where they are needed; with several streams, the stream comes first. Entries of several streams are in the order of \
their IDs, as far as they are there already, and then in the order in which they come. A stream that is deleted and created \
again is followed from its beginning, and so is one that does not exist yet.

Examples:
  streamlog --store data tail orders
  streamlog --store data tail -n 100 orders
  streamlog --store data tail -f --from end orders payments
  streamlog --store data tail -f --json --where type=order.paid orders | jq .fields

Exit status: 0 done, 1 something could not be read, 3 entries are damaged, or a stream cannot be opened for damage. With -f it goes on until it is interrupted, or \
its output is closed.";

/// How many entries are shown if nothing is said.
const COUNT: usize = 10;
/// How long to wait for entries: first, and at the most.
const WAIT_FIRST: Duration = Duration::from_millis(1);
const WAIT_LAST: Duration = Duration::from_millis(20);

/// Show the newest entries of streams, and follow them, also while another process writes
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Go on with the entries that come
    #[arg(short, long)]
    follow: bool,

    /// Begin there: with the first entry at or above an ID, at the `start`, or at the `end`
    #[arg(long, value_name = "ID", value_parser = parse_from)]
    from: Option<From>,

    /// Show no more than the last COUNT of those that are there [default: 10, or all with --from]
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<usize>,

    /// Write each entry as an object of JSON
    #[arg(long)]
    json: bool,

    /// Only entries with this field; of several, all
    #[arg(long = "where", value_name = "FIELD=VALUE", value_parser = any_bytes().try_map(parse_filter))]
    filters: Vec<Filter>,

    /// The names of streams
    #[arg(value_name = "STREAM", required = true, value_parser = any_bytes())]
    streams: Vec<Bytes>,
}

/// The name of a field, and the value it has to have.
type Filter = (Bytes, Bytes);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Id(StreamId),
    End,
}

fn parse_from(text: &str) -> Result<From, String> {
    match text {
        "start" => Ok(From::Id(StreamId::MIN)),
        "end" => Ok(From::End),
        id => id.parse().map(From::Id).map_err(|_| "expected an ID such as 1526919030474-0, start or end".to_owned()),
    }
}

/// Shows what is there; then, if it is to follow, what comes.
pub fn run(global: &Global, args: &Args) -> Result<Outcome, Failure> {
    let store = Store::open_read_only(global.directory()?)?;
    let streams = args.streams.iter().map(|name| store.stream(name)).collect::<Result<Vec<_>, Error>>()?;
    let mut tail = Tail { args, out: io::BufWriter::new(io::stdout().lock()), outcome: Outcome::Done };
    let mut follows = Vec::new();
    let mut there = Vec::new();
    for stream in &streams {
        if !stream.exists()? {
            tail.missing(stream);
        }
        let end = last_id(stream)?;
        there.push(tail.entries(stream, end)?);
        let after = match args.from {
            Some(From::Id(id)) => id.previous().unwrap_or(StreamId::MIN).max(end),
            _ => end,
        };
        follows.push(stream.follow(ReadFrom::After(after))?);
    }
    tail.merge(&streams, there)?;
    if args.follow {
        tail.follow(&streams, follows)?;
    }
    tail.out.flush()?;
    Ok(tail.outcome)
}

/// The last ID there is, also if the entry cannot be read: that is to be told of.
fn last_id(stream: &ReadOnlyStream) -> Result<StreamId, Error> {
    match stream.range(..).next_back().transpose() {
        Ok(last) => Ok(last.map_or(StreamId::MIN, |entry| entry.id())),
        Err(Error::Corrupt { ids: Some(IdRange { after, through }), .. }) => Ok(through.unwrap_or(after)),
        Err(error) => Err(error),
    }
}

fn parse_filter(filter: Bytes) -> Result<Filter, String> {
    let at = filter.iter().position(|&byte| byte == b'=');
    let (name, value) =
        at.and_then(|at| Some((filter.get(..at)?, filter.get(at + 1..)?))).ok_or("expected FIELD=VALUE")?;
    Ok((name.to_vec(), value.to_vec()))
}

struct Tail<'a> {
    args: &'a Args,
    out: io::BufWriter<StdoutLock<'static>>,
    outcome: Outcome,
}

/// Entries of one stream, in order.
type Entries = Box<dyn Iterator<Item = Result<Entry, Error>>>;

impl Tail<'_> {
    /// What there is of a stream up to its end that is to be shown.
    fn entries(&mut self, stream: &ReadOnlyStream, end: StreamId) -> Result<Entries, Failure> {
        let from = match self.args.from {
            Some(From::Id(id)) => id,
            Some(From::End) => return Ok(Box::new(std::iter::empty())),
            None => StreamId::MIN,
        };
        let filters = self.args.filters.clone();
        let is_wanted = move |item: &Result<Entry, Error>| item.as_ref().map_or(true, |entry| matches(entry, &filters));
        match (self.args.count, self.args.from) {
            (None, Some(_)) => Ok(Box::new(stream.range(from..=end).filter(is_wanted))),
            (count, _) => {
                let newest = stream.range(from..=end).rev().filter(is_wanted).take(count.unwrap_or(COUNT));
                let newest: Vec<_> = newest.collect();
                Ok(Box::new(newest.into_iter().rev()))
            }
        }
    }

    /// Writes entries of several streams in the order of their IDs.
    fn merge(&mut self, streams: &[ReadOnlyStream], there: Vec<Entries>) -> Result<(), Failure> {
        let mut sources: Vec<_> = there.into_iter().map(Iterator::peekable).collect();
        loop {
            let mut first: Option<(usize, StreamId)> = None;
            for (at, source) in sources.iter_mut().enumerate() {
                let id = match source.peek() {
                    Some(Ok(entry)) => entry.id(),
                    // Told at once.
                    Some(Err(_)) => StreamId::MIN,
                    None => continue,
                };
                if first.is_none_or(|(_, least)| id.cmp(&least) == Ordering::Less) {
                    first = Some((at, id));
                }
            }
            let Some((at, _)) = first else { return Ok(()) };
            if let (Some(source), Some(stream)) = (sources.get_mut(at), streams.get(at))
                && let Some(item) = source.next()
            {
                self.show(stream, item)?;
            }
        }
    }

    /// Writes entries as they come.
    fn follow(&mut self, streams: &[ReadOnlyStream], mut follows: Vec<Follow>) -> Result<(), Failure> {
        let mut wait = WAIT_FIRST;
        loop {
            // What was shown before is to be seen before it is waited.
            self.out.flush()?;
            let mut is_idle = true;
            for (stream, follow) in streams.iter().zip(&mut follows) {
                // Some of each in turn: one that is written to fast is not to keep the others back.
                for item in std::iter::from_fn(|| follow.ready()).take(1000) {
                    is_idle = false;
                    if item.as_ref().map_or(true, |entry| matches(entry, &self.args.filters)) {
                        self.show(stream, item)?;
                    }
                }
            }
            // Also when there is much to look at, of which nothing is shown.
            output::wait(if is_idle { wait } else { Duration::ZERO })?;
            wait = if is_idle { (wait * 2).min(WAIT_LAST) } else { WAIT_FIRST };
        }
    }

    fn show(&mut self, stream: &ReadOnlyStream, item: Result<Entry, Error>) -> Result<(), Failure> {
        match item {
            Ok(entry) if self.args.json => writeln!(self.out, "{}", json_of(stream.name(), &entry))?,
            Ok(entry) => {
                let name = (self.args.streams.len() > 1).then(|| stream.name());
                write_line(&mut self.out, name, &entry)?;
            }
            Err(error) => self.pass(error)?,
        }
        Ok(())
    }

    /// Tells of damage and goes on; of anything else not.
    fn pass(&mut self, error: Error) -> Result<(), Failure> {
        match error {
            // Otherwise it is the stream that cannot be read.
            Error::Corrupt { ids: Some(_), .. } => {
                self.out.flush()?;
                crate::tell(format_args!("{error}"));
                self.outcome = self.outcome.max(Outcome::Damaged);
                Ok(())
            }
            error => Err(error.into()),
        }
    }

    fn missing(&mut self, stream: &ReadOnlyStream) {
        let name = Escaped(stream.name());
        if self.args.follow {
            crate::tell(format_args!("there is no stream \"{name}\" yet; waiting for it"));
        } else {
            crate::tell(format_args!("there is no stream \"{name}\""));
            self.outcome = self.outcome.max(Outcome::ErrorReply);
        }
    }
}

fn matches(entry: &Entry, filters: &[Filter]) -> bool {
    filters.iter().all(|(name, value)| entry.fields().any(|field| field == (&**name, &**value)))
}

fn write_line(out: &mut impl Write, stream: Option<&[u8]>, entry: &Entry) -> io::Result<()> {
    if let Some(stream) = stream {
        write_word(out, stream)?;
        out.write_all(b" ")?;
    }
    write!(out, "{}", entry.id())?;
    for (name, value) in entry.fields() {
        out.write_all(b" ")?;
        write_word(out, name)?;
        out.write_all(b"=")?;
        write_word(out, value)?;
    }
    out.write_all(b"\n")
}

/// Writes bytes such that it can be told where they end.
fn write_word(out: &mut impl Write, word: &[u8]) -> io::Result<()> {
    let escaped = Escaped(word).to_string();
    let is_plain = !word.is_empty() && escaped.as_bytes() == word && !word.iter().any(|byte| b" =".contains(byte));
    if is_plain { out.write_all(word) } else { write!(out, "\"{escaped}\"") }
}

fn json_of(stream: &[u8], entry: &Entry) -> Json {
    let field = |(name, value)| Json::List(vec![bytes(name), bytes(value)]);
    Json::Object(vec![
        ("stream", bytes(stream)),
        ("id", text(entry.id())),
        ("fields", Json::List(entry.fields().map(field).collect())),
    ])
}
