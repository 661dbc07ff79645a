//! What is shown of a look, and in which order.

use std::cmp::{Ordering, Reverse};

use indicatif::{HumanBytes, HumanCount};
use streamlog::inspect::Escaped;

use super::sample::{Rate, Rates, Sample, State, StreamSample};
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
                    table
                        .row([name].into_iter().chain((0..7).map(|_| Cell::new(""))).chain([Cell::styled(BAD, error)]));
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
    let (entries, size) = (HumanCount(sum(|state| state.entries)), HumanBytes(sum(|state| state.bytes)));
    let pending = HumanCount(sum(State::pending));
    let mut line = format!("{} streams, {entries} entries, {size}, {pending} pending", sample.streams.len());
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
