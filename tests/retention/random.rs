//! Any sequence of operations keeps to any rules: a model says what has to stay, what may go, and what has to go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use streamlog::sim::SimDisk;
use streamlog::{Entry, Position, Retention, Store, Stream, StreamId, Trim};

use crate::harness::{Clock, HOUR_MS, Random, log_bytes, mount, seed};

/// A store with one stream, and what is known of it.
struct Run {
    random: Random,
    clock: Clock,
    disk: Arc<SimDisk>,
    store: Store,
    rules: Retention,
    /// What was there when it was last looked at.
    ids: Vec<StreamId>,
    /// What the group has yet to acknowledge of what it was given, and up to where it was given all; if there is a group.
    group: Option<(BTreeSet<StreamId>, StreamId)>,
    what: String,
}

impl Run {
    fn new(seed: u64) -> Self {
        let (clock, disk) = (Clock::new(), SimDisk::new());
        let store = open(&clock, &disk);
        store.create("s").unwrap();
        let what = format!("seed {seed:#x}");
        let (random, rules) = (Random::new(seed), Retention::new());
        Self { random, clock, disk, store, rules, ids: Vec::new(), group: None, what }
    }

    fn stream(&self) -> Stream {
        self.store.stream("s").unwrap()
    }

    fn any_rules(&mut self) -> Retention {
        let mut rules = Retention::new();
        if self.random.below(3) == 0 {
            rules = rules.max_age(Duration::from_millis(self.random.below(3 * HOUR_MS)));
        }
        if self.random.below(3) == 0 {
            rules = rules.max_bytes(20_000 + self.random.below(40_000));
        }
        if self.random.below(3) == 0 {
            rules = rules.max_len(self.random.below(40));
        }
        if self.random.below(2) == 0 { rules.acknowledged_only() } else { rules }
    }

    fn add(&mut self) {
        let value = "x".repeat(self.random.below(1500) as usize);
        let entries = (0..1 + self.random.below(4)).map(|_| (streamlog::NewId::Auto, [("value", &value)]));
        let added = self.stream().add_batch(entries).unwrap();
        self.ids.extend(added);
        self.look(false);
        let held = self.rules.is_acknowledged_only();
        if let Some(len) = self.rules.len_max().filter(|_| !held) {
            assert!(self.ids.len() as u64 <= len, "{} of {len} entries: {}", self.ids.len(), self.what);
        }
        if let Some(bytes) = self.rules.bytes_max().filter(|_| !held) {
            // A segment may have been there when the rule was set.
            let there = log_bytes(&self.disk, "s");
            assert!(there <= bytes + (16 << 10), "{there} of {bytes} bytes: {}", self.what);
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=8 => self.add(),
            9 | 10 => self.clock.advance(self.random.below(HOUR_MS)),
            11 => {
                self.store.enforce_retention().unwrap();
                self.look(true);
            }
            12 => {
                self.rules = self.any_rules();
                self.what += &format!(", {}", self.rules);
                self.stream().set_retention(self.rules).unwrap();
                self.look(true);
            }
            13 | 14 => self.read(),
            15 => self.acknowledge(),
            16 => self.reopen(),
            17 => {
                let ids: Vec<_> = self.ids.iter().copied().filter(|_| self.random.below(8) == 0).collect();
                assert_eq!(self.stream().delete(ids.iter().copied()).unwrap(), ids.len() as u64, "{}", self.what);
                self.ids.retain(|id| !ids.contains(id));
                self.look(false);
            }
            18 => {
                let len = self.ids.len() - self.ids.len() / 8;
                self.stream().trim(Trim::to_len(len as u64)).unwrap();
                self.ids.drain(..self.ids.len() - len);
                self.look(false);
            }
            _ => self.begin_or_end_group(),
        }
    }

    fn begin_or_end_group(&mut self) {
        let group = self.stream().group("g");
        self.group = match self.group.take() {
            Some(_) if self.random.below(3) == 0 => {
                assert!(group.destroy().unwrap());
                None
            }
            None => {
                group.create(Position::Start).unwrap();
                Some(Default::default())
            }
            there => there,
        };
    }

    fn read(&mut self) {
        let count = 1 + self.random.below(20);
        let stream = self.stream();
        let Some((pending, position)) = &mut self.group else { return };
        let read = stream.group("g").consumer("c").read().count(count).new_entries().unwrap();
        let ids: Vec<_> = read.iter().map(Entry::id).collect();
        let unread = self.ids.iter().copied().filter(|id| id > position);
        assert_eq!(ids, unread.take(count as usize).collect::<Vec<_>>(), "{}", self.what);
        *position = ids.last().copied().unwrap_or(*position);
        pending.extend(ids);
    }

    fn acknowledge(&mut self) {
        let stream = self.stream();
        let Some((pending, _)) = &mut self.group else { return };
        let ids: Vec<_> = pending.iter().copied().filter(|_| self.random.below(4) > 0).collect();
        assert_eq!(stream.group("g").acknowledge(ids.iter().copied()).unwrap(), ids.len() as u64, "{}", self.what);
        pending.retain(|id| !ids.contains(id));
    }

    fn reopen(&mut self) {
        if self.random.below(2) == 0 {
            self.store.clone().close().unwrap();
        } else {
            self.disk = self.disk.kill_image(self.disk.steps()).mount();
        }
        self.store = open(&self.clock, &self.disk);
        assert_eq!(self.stream().retention().unwrap(), self.rules, "{}", self.what);
        self.look(true);
    }

    /// How many of the oldest entries the rules tell to go, if they say so exactly, and how many may go at the most.
    fn gone(&self) -> (Option<usize>, usize) {
        let mut gone = 0;
        if let Some(age) = self.rules.age_max() {
            let oldest = self.clock.ms() - age.as_millis() as u64;
            gone = gone.max(self.ids.partition_point(|id| id.ms() < oldest));
        }
        if let Some(len) = self.rules.len_max() {
            gone = gone.max(self.ids.len().saturating_sub(len as usize));
        }
        let no_limit = self.rules.age_max().is_none() && self.rules.len_max().is_none();
        let mut exactly = Some(gone);
        if self.rules.bytes_max().is_some() {
            (gone, exactly) = (self.ids.len(), None);
        } else if no_limit && self.rules.is_acknowledged_only() && self.group.is_some() {
            (gone, exactly) = (self.ids.len(), Some(self.ids.len()));
        }
        let needed = |id: &&StreamId| match &self.group {
            Some((pending, position)) => *id > position || pending.contains(id),
            None => false,
        };
        let held = match self.rules.is_acknowledged_only() {
            true => self.ids.iter().position(|id| needed(&id)).unwrap_or(self.ids.len()),
            false => self.ids.len(),
        };
        (exactly.map(|gone| gone.min(held)), gone.min(held))
    }

    /// Looks at what is there, and whether it is what the rules say; `now` if they have just been kept to.
    fn look(&mut self, now: bool) {
        let there: Vec<_> = self.stream().range(..).map(|entry| entry.unwrap().id()).collect();
        assert!(self.ids.ends_with(&there), "{there:?} is no end of {:?}: {}", self.ids, self.what);
        let gone = self.ids.len() - there.len();
        let (exactly, most) = self.gone();
        assert!(gone <= most, "{gone} went of {}, and only {most} may: {}", self.ids.len(), self.what);
        if let Some(exactly) = exactly.filter(|_| now) {
            assert_eq!(gone, exactly, "of {}: {}", self.ids.len(), self.what);
        }
        self.ids = there;
    }
}

fn open(clock: &Clock, disk: &Arc<SimDisk>) -> Store {
    mount(clock.options().checkpoint_bytes_min(500), disk)
}

#[test]
fn what_is_there_is_what_the_rules_keep() {
    let runs = if std::env::var_os("STREAMLOG_NIGHTLY").is_some() { 2000 } else { 60 };
    for number in 0..runs {
        let mut run = Run::new(seed().wrapping_add(number));
        for _ in 0..150 {
            run.step();
        }
    }
}
