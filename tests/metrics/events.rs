//! What is told to a collector of the crate `tracing`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use streamlog::sim::{Op, SimDisk};
use streamlog::{Durability, Error, Options, Position, Store};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    /// Spans that are entered, by their names, and what was told, with the span it was told in.
    static SPANS: RefCell<Vec<(u64, &'static str)>> = const { RefCell::new(Vec::new()) };
    static NEW: RefCell<Vec<(u64, &'static str)>> = const { RefCell::new(Vec::new()) };
    static LINES: RefCell<Vec<(Level, &'static str, String)>> = const { RefCell::new(Vec::new()) };
}

/// Takes spans and events down, in the thread that they are of.
struct Lines(AtomicU64);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "streamlog"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        NEW.with_borrow_mut(|new| new.push((id, attributes.metadata().name())));
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let span = SPANS.with_borrow(|spans| spans.last().map_or("", |(_, name)| name));
        LINES.with_borrow_mut(|lines| lines.push((*event.metadata().level(), span, line.0)));
    }

    fn enter(&self, id: &Id) {
        let span = NEW.with_borrow(|new| new.iter().find(|(new, _)| *new == id.into_u64()).copied());
        SPANS.with_borrow_mut(|spans| spans.extend(span));
    }

    fn exit(&self, id: &Id) {
        SPANS.with_borrow_mut(|spans| spans.retain(|(entered, _)| *entered != id.into_u64()));
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

fn told(what: impl FnOnce()) -> Vec<(Level, &'static str, String)> {
    static COLLECTING: Once = Once::new();
    COLLECTING.call_once(|| tracing::subscriber::set_global_default(Lines(AtomicU64::new(0))).unwrap());
    LINES.take();
    what();
    assert!(SPANS.with_borrow(Vec::is_empty), "every span ends");
    LINES.take()
}

#[test]
fn what_is_rare_is_told_within_its_span() {
    let lines = told(|| {
        let options = Options::new().durability(Durability::Os).segment_bytes_max(4096);
        let store = Store::open_simulated(options, &SimDisk::new()).unwrap();
        let stream = store.stream("s").unwrap();
        (0..100).for_each(|_| _ = stream.add([("f", "x".repeat(100))]).unwrap());
        stream.group("g").create(Position::Start).unwrap();
        store.rename("s", "t").unwrap();
        assert_eq!(store.stream("t").unwrap().len().unwrap(), 100);
        store.copy("t", "u").unwrap();
        store.repair("u").unwrap();
        store.delete(["u"]).unwrap();
        store.close().unwrap();
    });
    let done: BTreeSet<_> = lines
        .iter()
        .filter(|(_, _, line)| line.contains("message=done"))
        .map(|(level, span, _)| (*span, *level))
        .collect();
    let expected = streamlog::metrics::Operation::ALL.iter().map(|operation| {
        let is_sync = *operation == streamlog::metrics::Operation::Sync;
        (operation.name(), if is_sync { Level::TRACE } else { Level::DEBUG })
    });
    assert_eq!(done, expected.collect());
    assert!(lines.iter().all(|(level, _, _)| *level >= Level::DEBUG), "nothing that anybody need see");
}

#[test]
fn what_is_slow_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let slow = |call: &streamlog::sim::Call| {
        if call.op == Op::Sync {
            std::thread::sleep(Duration::from_millis(30));
        }
        None
    };
    let lines = told(|| {
        let options = Options::new().slow(Duration::from_millis(30));
        let store = Store::open_observed(options, dir.path(), slow).unwrap();
        store.stream("s").unwrap().add([("f", "v")]).unwrap();
        store.close().unwrap();
    });
    let is_it = |(level, _, line): &(Level, &str, String)| {
        *level == Level::WARN && line.contains("message=slow") && line.contains("operation=\"sync\"")
    };
    let line = &lines.iter().find(|line| is_it(line)).expect("a slow sync").2;
    assert!(line.contains("threshold_us=30000") && line.contains("elapsed_us="), "{line}");
}

#[test]
fn a_store_that_refuses_to_write_says_why_once() {
    let lines = told(|| {
        let disk = SimDisk::new();
        let store = Store::open_simulated(Options::new(), &disk).unwrap();
        let stream = store.stream("s").unwrap();
        stream.add([("f", "v")]).unwrap();
        disk.fail_when(|call| (call.op == Op::Sync).then_some(5.into()));
        let added = [(); 3].map(|()| stream.add([("f", "v")]));
        assert!(
            matches!(added, [Err(Error::Io { .. }), Err(Error::Poisoned { .. }), Err(Error::Poisoned { .. })]),
            "{added:?}"
        );
    });
    let errors: Vec<_> = lines.iter().filter(|(level, _, _)| *level == Level::ERROR).collect();
    let [(_, _, line)] = &errors[..] else { panic!("{errors:?}") };
    assert!(line.contains("message=poisoned") && line.contains("cause="), "{line}");
}
