//! What is shown of a look, and in which order.

use std::cmp::{Ordering, Reverse};

use indicatif::{HumanBytes, HumanCount};
use streamlog::inspect::Escaped;

use super::sample::{Rate, Rates, Sample, State, StreamSample};
use crate::count;
use crate::groups::{lag, members_of};
use crate::json::{Json, or_null, text};
use crate::look::bytes;
use crate::style::{BAD, GOOD, NAME};
use crate::table::{Cell, Table};

/// By what streams are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sorting {
    Name,
    Entries,
    Added,
    Bytes,
    Read,
    Pending,
    Lag,
}

/// Columns in the order in which they are left out where there is no room. What is added in a second stays.
const LEFT_OUT: [&str; 7] = ["LAST ID", "GROUPS", "BYTES", "ENTRIES", "PENDING", "READ/S", "LAG"];

impl Sorting {
    /// Of the column.
    fn title(self) -> &'static str {
        match self {
            Self::Name => "STREAM",
            Self::Entries => "ENTRIES",
            Self::Added => "ADDED/S",
            Self::Bytes => "BYTES",
            Self::Read => "READ/S",
            Self::Pending => "PENDING",
            Self::Lag => "LAG",
        }
    }
}

/// What somebody wants to see.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub sorting: Sorting,
    /// Names from the beginning, numbers from the largest; unless this is set.
    pub turned: bool,
    pub groups: bool,
}

impl View {
    pub fn new(sorting: Sorting, groups: bool) -> Self {
        Self { sorting, turned: false, groups }
    }

    /// Sorts by something, or by the same the other way round.
    pub fn sort_by(&mut self, sorting: Sorting) {
        self.turned = self.sorting == sorting && !self.turned;
        self.sorting = sorting;
    }

    /// The [`table`](Self::table) for a terminal of so many columns. What it is sorted by is left out last.
    pub fn lines(&self, sample: &Sample, rates: &Rates, width: usize) -> Vec<String> {
        let sorted = self.sorting.title();
        let mut left_out = LEFT_OUT.to_vec();
        left_out.sort_by_key(|title| *title == sorted);
        self.table(sample, rates).lines_within(width, &left_out)
    }

    /// Streams, and groups if they are wanted, in order.
    pub fn table(&self, sample: &Sample, rates: &Rates) -> Table {
        let titles = ["STREAM", ">ENTRIES", ">ADDED/S", ">BYTES", ">GROUPS", ">READ/S", ">PENDING", ">LAG", "LAST ID"];
        let mut table = Table::new(&titles);
        let mut streams: Vec<_> = sample.streams.iter().collect();
        streams.sort_by(|a, b| self.compare(a, b, rates));
        for stream in streams {
            let name = Cell::styled(NAME, Escaped(&stream.name));
            let state = match &stream.state {
                Ok(state) => state,
                Err(error) => {
                    table.noted_row(name, Cell::styled(BAD, error));
                    continue;
                }
            };
            let rate = rates.of(&stream.name);
            table.row([
                name,
                Cell::new(HumanCount(state.entries)),
                per_second(rate.map(|rate| rate.added)),
                Cell::new(HumanBytes(state.bytes)),
                Cell::new(state.groups.len()),
                per_second(rate.map(|rate| rate.read)),
                Cell::new(HumanCount(state.pending())),
                lag(state.lag(), |lag| HumanCount(lag).to_string()),
                Cell::new(state.last_id),
            ]);
            if self.groups {
                groups(&mut table, stream, state, rates);
            }
        }
        table
    }

    fn compare(&self, a: &StreamSample, b: &StreamSample, rates: &Rates) -> Ordering {
        let number = |of: fn(&State) -> i128| {
            let of = |stream: &StreamSample| stream.state.as_ref().map_or(-1, of);
            Reverse(of(a)).cmp(&Reverse(of(b)))
        };
        let rate = |of: fn(Rate) -> f64| {
            let of = |stream: &StreamSample| rates.of(&stream.name).map_or(-1.0, of);
            of(b).total_cmp(&of(a))
        };
        let order = match self.sorting {
            Sorting::Name => Ordering::Equal,
            Sorting::Entries => number(|state| state.entries.into()),
            Sorting::Added => rate(|rate| rate.added),
            Sorting::Bytes => number(|state| state.bytes.into()),
            Sorting::Read => rate(|rate| rate.read),
            Sorting::Pending => number(|state| state.pending().into()),
            Sorting::Lag => number(|state| state.lag().map_or(-1, i128::from)),
        };
        let order = order.then_with(|| a.name.cmp(&b.name));
        if self.turned { order.reverse() } else { order }
    }
}

/// A line for each group below that of its stream.
fn groups(table: &mut Table, stream: &StreamSample, state: &State, rates: &Rates) {
    for group in &state.groups {
        table.row([
            Cell::new(format!("  {}", Escaped(&group.name))),
            Cell::new(""),
            Cell::new(""),
            Cell::new(""),
            Cell::new(""),
            per_second(rates.of_group(&stream.name, &group.name)),
            Cell::new(HumanCount(group.pending)),
            lag(group.lag, |lag| HumanCount(lag).to_string()),
            Cell::new(group.last_delivered_id),
        ]);
    }
}

fn per_second(rate: Option<f64>) -> Cell {
    match rate {
        None => Cell::new("-"),
        Some(0.0) => Cell::new(0),
        Some(rate) if rate < 10.0 => Cell::styled(GOOD, format!("{rate:.1}")),
        Some(rate) => Cell::styled(GOOD, HumanCount(rate.round() as u64)),
    }
}

/// A line about all streams.
pub fn total(sample: &Sample, rates: &Rates) -> String {
    let states = || sample.streams.iter().filter_map(|stream| stream.state.as_ref().ok());
    let sum = |of: fn(&State) -> u64| states().map(of).sum::<u64>();
    let (entries, size) = (sum(|state| state.entries), HumanBytes(sum(|state| state.bytes)));
    let entries = format!("{} {}", HumanCount(entries), count::noun(entries, "entry", "entries"));
    let (streams, pending) = (count::streams(states().count() as u64), HumanCount(sum(State::pending)));
    let mut line = format!("{streams}, {entries}, {size}, {pending} pending");
    if let Some(Rate { added, read }) = rates.total() {
        line += &format!(
            "; {} added and {} read a second",
            HumanCount(added.round() as u64),
            HumanCount(read.round() as u64)
        );
    }
    line
}

/// A look for programs.
pub fn json(sample: &Sample, rates: &Rates) -> Json {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let streams = sample.streams.iter().map(|stream| stream_json(stream, rates)).collect();
    let at_ms = i128::try_from(at.as_millis()).unwrap_or(i128::MAX);
    Json::Object(vec![("at_ms", Json::Number(at_ms)), ("streams", Json::List(streams))])
}

fn stream_json(stream: &StreamSample, rates: &Rates) -> Json {
    let state = match &stream.state {
        Ok(state) => state,
        Err(error) => return Json::Object(vec![("name", bytes(&stream.name)), ("error", text(error))]),
    };
    let rate = rates.of(&stream.name);
    let group = |group| {
        let mut members = members_of(group);
        members.push(("read_per_second", or_null(rates.of_group(&stream.name, &group.name), Json::Fraction)));
        Json::Object(members)
    };
    Json::Object(vec![
        ("name", bytes(&stream.name)),
        ("entries", state.entries.into()),
        ("entries_added", state.entries_added.into()),
        ("added_per_second", or_null(rate.map(|rate| rate.added), Json::Fraction)),
        ("bytes", state.bytes.into()),
        ("read_per_second", or_null(rate.map(|rate| rate.read), Json::Fraction)),
        ("pending", state.pending().into()),
        ("lag", or_null(state.lag(), Json::from)),
        ("last_id", text(state.last_id)),
        ("groups", Json::List(state.groups.iter().map(group).collect())),
    ])
}

#[cfg(test)]
mod tests {
    use streamlog::{GroupOptions, Position, Store};

    use super::*;

    fn sample() -> Sample {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        for name in ["orders", "a-stream-with-a-name-that-is-longer-than-most"] {
            let stream = store.stream(name).unwrap();
            stream.group("workers").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
            stream.add([("a", "1")]).unwrap();
        }
        let mut sample = Sample::take(&Store::open_read_only(directory.path()).unwrap(), &[]).unwrap();
        let mut damaged = sample.streams.first().unwrap().clone();
        (damaged.name, damaged.state) = (b"z".to_vec(), Err("is damaged".to_owned()));
        sample.streams.push(damaged);
        sample
    }

    fn titles(lines: &[String]) -> Vec<String> {
        let titles = anstream::adapter::strip_str(&lines[0]).to_string();
        titles.split("  ").map(str::trim).filter(|title| !title.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn columns_fall_away_on_narrow_terminals_but_not_the_name_the_rate_and_the_sorting() {
        let sample = sample();
        for (width, sorting, expected) in [
            (
                200,
                Sorting::Name,
                &["STREAM", "ENTRIES", "ADDED/S", "BYTES", "GROUPS", "READ/S", "PENDING", "LAG", "LAST ID"][..],
            ),
            (80, Sorting::Name, &["STREAM", "ENTRIES", "ADDED/S", "READ/S", "PENDING", "LAG"]),
            (60, Sorting::Name, &["STREAM", "ADDED/S", "READ/S", "LAG"]),
            (60, Sorting::Bytes, &["STREAM", "ADDED/S", "BYTES", "LAG"]),
            (40, Sorting::Name, &["STREAM", "ADDED/S", "LAG"]),
            (40, Sorting::Pending, &["STREAM", "ADDED/S", "PENDING"]),
        ] {
            let lines = View::new(sorting, true).lines(&sample, &Rates::default(), width);
            let plain: Vec<_> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
            assert!(plain.iter().all(|line| line.chars().count() <= width), "{plain:#?}");
            assert_eq!(titles(&lines), expected, "{width}: {plain:#?}");
            assert!(plain.iter().any(|line| line.starts_with("z ") && line.ends_with("is damaged")), "{plain:#?}");
        }
    }
}
