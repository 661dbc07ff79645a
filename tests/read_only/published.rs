//! At `Always` others see an entry or change only when it is synced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use streamlog::{AddOptions, Durability, GroupOptions, Position, Store, sim};

use crate::harness::{id, of_reader, of_writer, options};

/// Syncs that wait until they may go on.
#[derive(Default)]
struct Gate {
    /// Whether syncs have to wait, and how many do.
    state: Mutex<(bool, u64)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        self.changed.notify_all();
        while state.0 {
            state = self.changed.wait(state).unwrap();
        }
        state.1 -= 1;
    }

    fn set(&self, is_closed: bool) {
        self.state.lock().unwrap().0 = is_closed;
        self.changed.notify_all();
    }

    fn wait_until_somebody_waits(&self) {
        let mut state = self.state.lock().unwrap();
        while state.1 == 0 {
            state = self.changed.wait(state).unwrap();
        }
    }
}

#[test]
fn nothing_is_seen_before_it_is_synced() {
    let directory = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let tell = {
        let gate = Arc::clone(&gate);
        move |call: &sim::Call| {
            if call.op == sim::Op::Sync {
                gate.pass();
            }
            None
        }
    };
    let store = Store::open_observed(options(Durability::Always), directory.path(), tell).unwrap();
    let stream = store.stream("a").unwrap();
    stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    let ids: Vec<_> = (0..5).map(|n| stream.add([("n", n.to_string())]).unwrap()).collect();
    let alice = stream.group("g").consumer("alice");
    alice.read().count(3).new_entries().unwrap();
    let following = Store::open_read_only(directory.path()).unwrap().stream("a").unwrap();
    type Operation<'a> = &'a (dyn Fn() + Sync);
    let operations: [(&str, Operation<'_>); 6] = [
        ("add", &|| assert!(stream.add([("n", "new")]).is_ok())),
        ("delete", &|| assert_eq!(stream.delete([ids[4]]).unwrap(), 1)),
        ("acknowledge", &|| assert_eq!(stream.group("g").acknowledge([ids[0]]).unwrap(), 1)),
        ("deliver", &|| assert_eq!(alice.read().count(1).new_entries().unwrap().len(), 1)),
        ("trim", &|| assert_eq!(stream.trim(streamlog::Trim::to_len(2)).unwrap(), 3)),
        ("set_id", &|| {
            stream.set_id(streamlog::SetId::new(streamlog::StreamId::new(u64::MAX, 5))).unwrap();
        }),
    ];
    for (name, operation) in operations {
        let before = of_reader(&following).unwrap();
        gate.set(true);
        std::thread::scope(|scope| {
            let writer = scope.spawn(operation);
            gate.wait_until_somebody_waits();
            let new = Store::open_read_only(directory.path()).unwrap().stream("a").unwrap();
            let seen = [of_reader(&following).unwrap(), of_reader(&new).unwrap()];
            gate.set(false);
            writer.join().unwrap();
            for seen in seen {
                assert_eq!(seen, before, "{name} before it is synced");
            }
        });
        let after = of_reader(&following).unwrap();
        assert_ne!(after, before, "{name} when it is synced");
        assert_eq!(Some(after), of_writer(&stream), "{name} when it is synced");
    }
}

/// What was written after the last sync, and is in the files, is not seen when the process has died either.
#[test]
fn what_was_not_synced_is_not_seen_when_the_writer_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let tell = {
        let gate = Arc::clone(&gate);
        move |call: &sim::Call| {
            if call.op == sim::Op::Sync {
                gate.pass();
            }
            None
        }
    };
    let store = Store::open_observed(options(Durability::Always), directory.path(), tell).unwrap();
    let stream = store.stream("a").unwrap();
    stream.add([("n", "1")]).unwrap();
    gate.set(true);
    let copy = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| stream.add([("n", "2")]).unwrap());
        gate.wait_until_somebody_waits();
        // As the files are if the process dies now.
        let copied =
            std::process::Command::new("cp").arg("-r").arg(directory.path()).arg(copy.path().join("s")).status();
        gate.set(false);
        writer.join().unwrap();
        assert!(copied.unwrap().success());
    });
    let reader = Store::open_read_only(copy.path().join("s")).unwrap().stream("a").unwrap();
    assert_eq!(reader.len().unwrap(), 1);
    let store = options(Durability::Always).open(copy.path().join("s")).unwrap();
    assert_eq!(reader.len().unwrap(), 1, "nobody has opened the stream yet");
    assert_eq!(store.stream("a").unwrap().len().unwrap(), 2, "recovery keeps it");
    assert_eq!(reader.len().unwrap(), 2);
}

/// One thread is syncing, a second one has appended and waits, and a third one goes on in a new segment, for which it syncs what
/// the second one waits for.
#[test]
fn an_entry_that_a_rotation_has_synced_is_seen_once_its_add_returns() {
    let directory = tempfile::tempdir().unwrap();
    let (gate, waits) = (Arc::new(Gate::default()), Arc::new(AtomicBool::new(false)));
    let tell = {
        let (gate, waits) = (Arc::clone(&gate), Arc::clone(&waits));
        move |call: &sim::Call| {
            let thread = std::thread::current();
            let path = call.path.to_string_lossy();
            match (thread.name(), call.op) {
                (Some("syncing"), sim::Op::Sync) if path.contains(".log") => gate.pass(),
                (Some("waiting"), sim::Op::Write) if path.contains(".log") => waits.store(true, Ordering::SeqCst),
                // The last that a rotation does.
                (_, sim::Op::Create) if path.contains(".idx") => {
                    std::thread::sleep(Duration::from_millis(100));
                    gate.set(false);
                }
                _ => {}
            }
            None
        }
    };
    let store = Store::open_observed(options(Durability::Always), directory.path(), tell).unwrap();
    let stream = store.stream("a").unwrap();
    let add = |ms: u64, len: usize| stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(len))]).unwrap();
    add(1, 1);
    let following = Store::open_read_only(directory.path()).unwrap().stream("a").unwrap();
    assert_eq!(following.len().unwrap(), 1);
    gate.set(true);
    std::thread::scope(|scope| {
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        named("syncing").spawn_scoped(scope, || add(2, 1)).unwrap();
        gate.wait_until_somebody_waits();
        let waiting = named("waiting").spawn_scoped(scope, || {
            add(3, 1);
            following.get(id(3)).unwrap().is_some()
        });
        while !waits.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        add(4, 10_000);
        assert!(waiting.unwrap().join().unwrap());
    });
    assert_eq!(of_reader(&following), of_writer(&stream));
}
