//! What the child does. It says so a line at a time, each written at once, before an operation in small letters and after
//! it in capital ones.

use std::backtrace::Backtrace;
use std::collections::VecDeque;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use streamlog::{
    AddOptions, Durability, GroupOptions, NewId, Options, Position, Result, SetId, Store, Stream, StreamId, Trim, sim,
};

use crate::cases::{Deed, fault};
use crate::sites::sites_of;

/// What a child is told in its environment.
pub const ORDER: &str = "STREAMLOG_KILLS_CHILD";

/// The streams: one that everybody works on, and one with a writer of its own that is trimmed to a length.
pub const SHARED: &str = "shared";
pub const SHORT: &str = "short";
pub const SHORT_LEN: u64 = 64;
pub const GROUP: &str = "group";
pub const CONSUMERS: [&str; 2] = ["alice", "bob"];

/// A child ends by itself after this time: its parent has died.
const LIFETIME: Duration = Duration::from_secs(20);

/// What a child is to do.
#[derive(Clone, Debug)]
pub struct Order {
    pub directory: PathBuf,
    pub level: Durability,
    pub seed: u64,
    /// How many children there were before; each counts its entries from another number on.
    pub cycle: u64,
    pub work: Work,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Six threads, until it is killed.
    Random,
    /// The script.
    Script(Call),
    /// What is done in the [case](crate::cases) of this name.
    Case(String, Call),
}

/// What comes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// All of them are made, and it is said which.
    All,
    /// Before this one is made the process dies.
    Die(u64),
}

impl Order {
    pub fn to_text(&self) -> String {
        let level = match self.level {
            Durability::Os => 0,
            Durability::Always => 1,
            _ => 2,
        };
        let (work, case, call) = match &self.work {
            Work::Random => (0, "-", Call::All),
            Work::Script(call) => (1, "-", *call),
            Work::Case(case, call) => (2, &**case, *call),
        };
        let call = match call {
            Call::All => u64::MAX,
            Call::Die(call) => call,
        };
        format!("{level} {} {} {work} {call} {case} {}", self.seed, self.cycle, self.directory.display())
    }

    fn of_text(text: &str) -> Self {
        let mut parts = text.splitn(7, ' ');
        let mut texts = text.splitn(7, ' ').skip(5);
        let (case, directory) = (texts.next().expect("a case"), texts.next().expect("a directory"));
        let directory = PathBuf::from(directory);
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok()).expect("a number");
        let level = [Durability::Os, Durability::Always, Durability::Interval(Duration::from_millis(2))];
        let level = level[number() as usize];
        let (seed, cycle, work, call) = (number(), number(), number(), number());
        let call = if call == u64::MAX { Call::All } else { Call::Die(call) };
        let work = match work {
            0 => Work::Random,
            1 => Work::Script(call),
            _ => Work::Case(case.to_owned(), call),
        };
        Self { directory, level, seed, cycle, work }
    }
}

pub fn options(level: Durability) -> Options {
    Options::new().durability(level).segment_bytes_max(64 << 10).checkpoint_bytes_min(4 << 10).open_streams_max(2)
}

/// The numbers of the entries that a child's thread adds begin here.
pub fn first_number(cycle: u64) -> u64 {
    cycle * 1_000_000
}

/// The value of an entry, which nobody else would write.
pub fn value(seed: u64, thread: u64, number: u64) -> Vec<u8> {
    let mut random = Random::new(seed ^ (thread << 56) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let len = [5, 40, 40, 200, 900][random.below(5) as usize] + random.below(40);
    (0..len).map(|_| random.next() as u8).collect()
}

/// How many entries are added together, when number `number` is the first of them.
pub fn batch_len(seed: u64, number: u64) -> u64 {
    1 + Random::new(seed ^ number.wrapping_mul(31)).below(7)
}

/// Small and repeatable.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed ^ 0x5851_f42d_4c95_7f2d);
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Not a test of its own: what [`super::parent`] starts.
#[test]
#[ignore = "it is started by the other tests"]
fn child() {
    let Some(order) = std::env::var_os(ORDER) else { return };
    let order = Order::of_text(order.to_str().expect("text"));
    let out = Out::new();
    if let Err(error) = work(&order, &out) {
        out.say("!", format_args!("{error}"));
        std::process::exit(3);
    }
    std::process::exit(0);
}

fn work(order: &Order, out: &Out) -> Result<()> {
    out.say("begin", format_args!(""));
    match &order.work {
        Work::Random => {
            let store = options(order.level).open(&order.directory)?;
            at_random(order, &store, out)
        }
        Work::Script(call) => {
            let store = observed(options(order.level), order, *call, |_| None)?;
            script(order, &store, out)?;
            store.close()
        }
        Work::Case(case, call) => {
            let deed = Deed::of(case);
            let options = deed.options(order.level);
            match fault(case) {
                None => {
                    let store = observed(options, order, *call, |_| None)?;
                    deed.run(&store)?;
                    store.close()
                }
                Some(fault) => {
                    // What comes of it is asked by other tests.
                    if let Ok(store) = observed(options, order, *call, fault) {
                        let _ = deed.run(&store);
                        let _ = store.close();
                    }
                    Ok(())
                }
            }
        }
    }
}

/// The pipe. A line is one system call, and whole.
pub struct Out(std::fs::File);

impl Out {
    fn new() -> Self {
        let out = Self(std::io::stdout().as_fd().try_clone_to_owned().expect("standard output").into());
        // The harness has written something, and no line end.
        let _ = (&out.0).write_all(b"\n");
        out
    }

    fn say(&self, what: &str, more: std::fmt::Arguments<'_>) {
        let line = format!("~{what} {more}\n");
        if (&self.0).write_all(line.as_bytes()).is_err() {
            // Nobody listens any more.
            std::process::exit(4);
        }
    }

    fn say_ids(&self, what: &str, ids: &[StreamId]) {
        self.say(what, format_args!("{}", text_of(ids)));
    }
}

fn text_of(ids: &[StreamId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn entry(seed: u64, thread: u64, number: u64) -> [(&'static str, Vec<u8>); 3] {
    let text = |number: u64| number.to_string().into_bytes();
    [("thread", text(thread)), ("number", text(number)), ("value", value(seed, thread, number))]
}

/// One of the threads that add.
struct Writer<'a> {
    out: &'a Out,
    seed: u64,
    thread: u64,
    number: u64,
    shared: Stream,
    /// What it has added, the oldest first.
    ids: VecDeque<StreamId>,
}

impl<'a> Writer<'a> {
    fn new(order: &Order, store: &Store, out: &'a Out, thread: u64) -> Result<Self> {
        let shared = store.stream(SHARED)?;
        let (seed, number) = (order.seed, first_number(order.cycle));
        Ok(Self { out, seed, thread, number, shared, ids: VecDeque::new() })
    }

    fn added(&mut self, ids: &[StreamId]) {
        self.out.say("A", format_args!("{} {} {}", self.thread, self.number, text_of(ids)));
        self.number += ids.len() as u64;
        self.ids.extend(ids);
    }

    fn add(&mut self) -> Result<()> {
        let id = self.shared.add(entry(self.seed, self.thread, self.number))?;
        self.added(&[id]);
        Ok(())
    }

    fn add_batch(&mut self) -> Result<()> {
        let numbers = self.number..self.number + batch_len(self.seed, self.number);
        let entries = numbers.map(|number| (NewId::Auto, entry(self.seed, self.thread, number)));
        let ids = self.shared.add_batch(entries)?;
        self.added(&ids);
        Ok(())
    }

    fn delete(&mut self) -> Result<()> {
        let ids: Vec<StreamId> = self.ids.drain(..self.ids.len().min(3)).collect();
        self.out.say_ids("x", &ids);
        self.shared.delete(ids.iter().copied())?;
        self.out.say_ids("X", &ids);
        Ok(())
    }

    /// Adds and trims at once, or trims only, before the entry that was the newest but so many.
    fn trim(&mut self, keep: usize, adding: bool) -> Result<()> {
        while self.ids.len() > keep {
            self.ids.pop_front();
        }
        let Some(&before) = self.ids.front() else { return self.add() };
        let trim = Trim::before(before);
        self.out.say_ids("t", &[before]);
        if adding {
            let options = AddOptions::new().trim(trim);
            let id = self.shared.add_with(options, entry(self.seed, self.thread, self.number))?;
            self.added(&id.into_iter().collect::<Vec<_>>());
        } else {
            self.shared.trim(trim)?;
        }
        self.out.say_ids("T", &[before]);
        Ok(())
    }

    fn add_short(&mut self, short: &Stream) -> Result<()> {
        let options = AddOptions::new().trim(Trim::to_len(SHORT_LEN));
        let id = short.add_with(options, entry(self.seed, self.thread, self.number))?;
        self.out.say("S", format_args!("{} {}", self.number, text_of(&id.into_iter().collect::<Vec<_>>())));
        self.number += 1;
        Ok(())
    }
}

/// One of the consumers.
struct Reader<'a> {
    out: &'a Out,
    consumer: streamlog::Consumer,
}

impl Reader<'_> {
    fn read(&self, count: u64) -> Result<Vec<StreamId>> {
        let ids = ids_of(&self.consumer.read().count(count).new_entries()?);
        self.out.say_ids("D", &ids);
        Ok(ids)
    }

    fn acknowledge(&self, ids: &[StreamId]) -> Result<()> {
        self.out.say_ids("k", ids);
        self.consumer.ack(ids.iter().copied())?;
        self.out.say_ids("K", ids);
        Ok(())
    }

    fn claim(&self) -> Result<Vec<StreamId>> {
        Ok(ids_of(&self.consumer.auto_claim(Duration::ZERO).count(16).run()?.entries))
    }
}

fn ids_of(entries: &[streamlog::Entry]) -> Vec<StreamId> {
    entries.iter().map(streamlog::Entry::id).collect()
}

fn create_group(store: &Store) -> Result<()> {
    match store.stream(SHARED)?.group(GROUP).create_with(GroupOptions::new(Position::Start).create_stream()) {
        Err(streamlog::Error::GroupExists { .. }) => Ok(()),
        created => created,
    }
}

fn at_random(order: &Order, store: &Store, out: &Out) -> Result<()> {
    create_group(store)?;
    let (began, failed) = (Instant::now(), AtomicBool::new(false));
    let goes_on = || began.elapsed() < LIFETIME && !failed.load(Ordering::Relaxed);
    let run = |thread: u64| -> Result<()> {
        let mut random = Random::new(order.seed ^ (order.cycle << 8) ^ thread);
        if thread >= 4 {
            let consumer = store.stream(SHARED)?.group(GROUP).consumer(CONSUMERS[thread as usize - 4]);
            let reader = Reader { out, consumer };
            while goes_on() {
                let ids = match random.below(6) {
                    0 => reader.claim()?,
                    _ => reader.read(1 + random.below(8))?,
                };
                // Some are left pending.
                let some: Vec<StreamId> = ids.into_iter().filter(|_| random.below(5) > 0).collect();
                if !some.is_empty() {
                    reader.acknowledge(&some)?;
                }
            }
            return Ok(());
        }
        let (mut writer, short) = (Writer::new(order, store, out, thread)?, store.stream(SHORT)?);
        let mut short_writer = Writer::new(order, store, out, 9)?;
        while goes_on() {
            match (thread, random.below(4)) {
                (0, _) => writer.add()?,
                (1, _) => writer.add_batch()?,
                (2, 0) => writer.delete()?,
                (2, _) => writer.add()?,
                (_, 0) => writer.trim(30, random.below(2) == 0)?,
                (_, 1) => writer.add()?,
                _ => short_writer.add_short(&short)?,
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|thread| {
                let (run, failed) = (&run, &failed);
                scope.spawn(move || {
                    let ended = run(thread);
                    failed.store(true, Ordering::Relaxed);
                    ended
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })
}

/// Opens a store that says which calls it makes to the disk, or at which one it dies: the thread that is about to make that
/// call says from where it would, and kills its process instead. Others may fail.
fn observed(
    options: Options,
    order: &Order,
    call: Call,
    fault: impl Fn(&sim::Call) -> Option<sim::Failure> + Send + Sync + 'static,
) -> Result<Store> {
    let out = Out::new();
    let tell = move |made: &sim::Call| {
        let say = |what| {
            let sites = sites_of(&Backtrace::force_capture().to_string());
            let sites: Vec<String> = sites.iter().map(|(file, line)| format!("{file}:{line}")).collect();
            out.say(what, format_args!("{} {:?} {}", made.number, made.op, sites.join(" ")));
        };
        match call {
            Call::All => say("call"),
            Call::Die(number) if made.number == number => {
                say("dies");
                die()
            }
            Call::Die(_) => {}
        }
        fault(made)
    };
    Store::open_observed(options, &order.directory, tell)
}

/// The same every time: everything that makes a call to the disk while nothing is wrong.
fn script(order: &Order, store: &Store, out: &Out) -> Result<()> {
    create_group(store)?;
    let mut writer = Writer::new(order, store, out, 0)?;
    let mut trimmer = Writer::new(order, store, out, 3)?;
    let mut short_writer = Writer::new(order, store, out, 9)?;
    let short = store.stream(SHORT)?;
    let consumers = CONSUMERS.map(|name| store.stream(SHARED).map(|stream| stream.group(GROUP).consumer(name)));
    let [alice, bob] = consumers;
    let (alice, bob) = (Reader { out, consumer: alice? }, Reader { out, consumer: bob? });
    for round in 0..30 {
        writer.add()?;
        trimmer.add_batch_of(&mut writer)?;
        let given = alice.read(6)?;
        alice.acknowledge(&given[..given.len() / 2])?;
        if round % 5 == 0 {
            writer.delete()?;
            let claimed = bob.claim()?;
            bob.acknowledge(&claimed[..claimed.len() / 3])?;
            trimmer.trim(4, round % 2 == 0)?;
        }
        short_writer.add_short(&short)?;
    }
    store.sync()?;
    // Whole streams; that there are such is no secret, and what they hold is looked at only for being readable.
    let long = "LONG ".repeat(60);
    let copied = store.copy_over(SHORT, "copy")?;
    assert!(copied);
    store.rename("copy", &long)?;
    store.copy_over(SHORT, &long)?;
    let copy = store.stream(&long)?;
    copy.set_id(SetId::new(StreamId::new(u64::MAX - 5, 0)))?;
    copy.trim(Trim::to_len(0))?;
    store.names()?;
    store.stream("third")?.add([("thread", "none")])?;
    store.delete([long.as_str(), "third"])?;
    writer.add()?;
    trimmer.trim(1, false)
}

impl Writer<'_> {
    /// In turns with another writer.
    fn add_batch_of(&mut self, other: &mut Self) -> Result<()> {
        other.add_batch()?;
        self.add()
    }
}

fn die() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // It is not long now.
    loop {
        std::thread::park();
    }
}
