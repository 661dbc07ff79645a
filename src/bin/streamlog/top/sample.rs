//! One look at streams, and what changed between two.

use std::collections::HashMap;
use std::time::Instant;

use streamlog::{Error, GroupInfo, ReadOnlyStore, StreamId};

use crate::args::Bytes;
use crate::{Failure, Outcome, look};

/// Streams as they are at one time.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: Instant,
    /// By name.
    pub streams: Vec<StreamSample>,
}

#[derive(Clone, Debug)]
pub struct StreamSample {
    pub name: Bytes,
    /// What there is to know, or why nothing is.
    pub state: Result<State, String>,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
pub struct State {
    pub entries: u64,
    pub entries_added: u64,
    pub last_id: StreamId,
    /// Of all files.
    pub bytes: u64,
    pub groups: Vec<GroupInfo>,
}

impl Sample {
    /// Looks at the streams of these names, or at all.
    pub fn take(store: &ReadOnlyStore, names: &[Bytes]) -> Result<Self, Failure> {
        let is_named = !names.is_empty();
        let names = if is_named { names.to_vec() } else { store.names()? };
        let at = Instant::now();
        let streams = names.into_iter().filter_map(|name| {
            let (state, outcome) = match state(store, &name) {
                Ok(state) => (Ok(state), Outcome::Done),
                // Deleted since its name was listed.
                Err(Error::StreamNotFound { .. }) if !is_named => return None,
                Err(Error::StreamNotFound { .. }) => {
                    (Err("there is no stream of this name yet".to_owned()), Outcome::ErrorReply)
                }
                Err(error) => (Err(crate::explain(&error)), look::outcome_of(&error)),
            };
            Some(StreamSample { name, state, outcome })
        });
        Ok(Self { at, streams: streams.collect() })
    }

    /// The worst that came of a stream.
    pub fn outcome(&self) -> Outcome {
        self.streams.iter().map(|stream| stream.outcome).max().unwrap_or(Outcome::Done)
    }
}

fn state(store: &ReadOnlyStore, name: &[u8]) -> Result<State, Error> {
    let stream = store.stream(name)?;
    let info = stream.info()?;
    // Each call catches up with the writer, which is most of what a look costs where there are many streams.
    let groups = if info.groups == 0 { Vec::new() } else { stream.groups()? };
    Ok(State {
        entries: info.len,
        entries_added: info.entries_added,
        last_id: info.last_generated_id,
        bytes: store.inspect().size(name)?,
        groups,
    })
}

impl State {
    pub fn pending(&self) -> u64 {
        self.groups.iter().map(|group| group.pending).sum()
    }

    /// The largest lag of a group; `None` if there is no group, or one of which it cannot be told.
    pub fn lag(&self) -> Option<i64> {
        self.groups.iter().map(|group| group.lag).collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

/// What changed in a second; nothing is known of a stream that was not there before.
#[derive(Debug, Default)]
pub struct Rates {
    streams: HashMap<Bytes, Rate>,
    groups: HashMap<(Bytes, Bytes), f64>,
}

/// Entries in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    pub added: f64,
    pub read: f64,
}

impl Rates {
    pub fn between(before: Option<&Sample>, after: &Sample) -> Self {
        let mut rates = Self::default();
        let Some(before) = before else { return rates };
        let seconds = after.at.duration_since(before.at).as_secs_f64().max(1e-9);
        // A count that was set back is no rate.
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        let known: HashMap<_, _> =
            before.streams.iter().filter_map(|stream| Some((&stream.name, stream.state.as_ref().ok()?))).collect();
        for StreamSample { name, state, .. } in &after.streams {
            let (Ok(state), Some(old)) = (state, known.get(name)) else { continue };
            let mut total = Rate { added: rate(old.entries_added, state.entries_added), read: 0.0 };
            for group in &state.groups {
                let old = old.groups.iter().find(|old| old.name == group.name).and_then(|old| old.entries_read);
                // What was not known before says nothing.
                if let (Some(old), Some(new)) = (old, group.entries_read) {
                    let read = rate(old, new);
                    total.read += read;
                    rates.groups.insert((name.clone(), group.name.clone()), read);
                }
            }
            rates.streams.insert(name.clone(), total);
        }
        rates
    }

    pub fn of(&self, stream: &[u8]) -> Option<Rate> {
        self.streams.get(stream).copied()
    }

    /// How many entries a group was given in a second.
    pub fn of_group(&self, stream: &[u8], group: &[u8]) -> Option<f64> {
        self.groups.get(&(stream.to_vec(), group.to_vec())).copied()
    }

    /// Of all streams together.
    pub fn total(&self) -> Option<Rate> {
        let sum = |sum: Rate, rate: &Rate| Rate { added: sum.added + rate.added, read: sum.read + rate.read };
        (!self.streams.is_empty()).then(|| self.streams.values().fold(Rate::default(), sum))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use streamlog::{GroupOptions, Position, Store};

    use super::*;

    #[test]
    fn rates_are_what_changed_in_a_second() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let orders = store.stream("orders").unwrap();
        let workers = orders.group("workers");
        workers.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        orders.add([("a", "1")]).unwrap();
        // Before the first one, it is not known how many it was given.
        let alice = workers.consumer("alice");
        alice.read().new_entries().unwrap();
        let reader = Store::open_read_only(directory.path()).unwrap();
        let before = Sample::take(&reader, &[]).unwrap();
        assert_eq!(Rates::between(None, &before).total(), None);
        for _ in 0..6 {
            orders.add([("a", "1")]).unwrap();
        }
        alice.read().count(2).new_entries().unwrap();
        store.stream("new").unwrap().add([("a", "1")]).unwrap();
        let mut after = Sample::take(&reader, &[]).unwrap();
        after.at = before.at + Duration::from_secs(2);

        let rates = Rates::between(Some(&before), &after);
        assert_eq!(rates.of(b"orders"), Some(Rate { added: 3.0, read: 1.0 }));
        assert_eq!(rates.of_group(b"orders", b"workers"), Some(1.0));
        assert_eq!(rates.of(b"new"), None);
        let state = after.streams.iter().find(|stream| stream.name == b"orders").unwrap().state.clone().unwrap();
        assert_eq!((state.entries, state.pending(), state.lag()), (7, 3, Some(4)));
        assert!(state.bytes > 0);
    }
}
