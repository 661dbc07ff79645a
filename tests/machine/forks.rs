//! A child of `fork` has everything its parent had open. Whatever it does with it, its parent's store is none the worse.

use std::time::Duration;

use streamlog::{Block, Durability, Error, Options, Position, ReadFrom, Retention, Store, StreamId, Trim};

use crate::children::{self, Role};
use crate::kernel;
use crate::mounts::{scratch, text};
use crate::runner::{Outcome, Test};

pub const TESTS: &[Test] = &[
    ("a_forked_child_is_refused_whatever_it_calls", refused),
    ("a_forked_child_that_ends_leaves_the_store_to_its_parent", ends),
    ("a_forked_child_does_not_keep_a_closed_store_locked", unlocked),
    ("a_forked_child_unmaps_nothing_of_its_own", own_maps),
    ("a_forked_child_can_open_another_store", another),
    #[cfg(feature = "async")]
    ("a_forked_child_is_refused_by_every_future", futures),
];
pub const ROLES: &[Role] = &[("fork", fork)];

const LEVELS: [&str; 3] = ["always", "interval", "os"];

fn options(level: &str) -> Options {
    let options = Options::new().segment_bytes_max(16 << 10).retention_interval(Duration::from_millis(1));
    match level {
        "always" => options,
        "interval" => options.durability(Durability::Interval(Duration::from_millis(1))),
        _ => options.durability(Durability::Os),
    }
}

/// Forks in a process of its own: the kernel's limits and signals concern all of it.
fn in_each_level(what: &str) -> Outcome {
    for level in LEVELS {
        let scratch = scratch();
        children::run("fork", &[what, level, text(scratch.path())]);
    }
    Outcome::Passed(format!("at {} levels of durability", LEVELS.len()))
}

fn refused() -> Outcome {
    in_each_level("refused")
}

fn ends() -> Outcome {
    in_each_level("ends")
}

fn unlocked() -> Outcome {
    in_each_level("unlocked")
}

fn own_maps() -> Outcome {
    in_each_level("own-maps")
}

fn another() -> Outcome {
    in_each_level("another")
}

#[cfg(feature = "async")]
fn futures() -> Outcome {
    in_each_level("futures")
}

fn fork(arguments: &[String]) {
    let [what, level, path] = arguments else { panic!("three arguments") };
    let store = options(level).open(path).unwrap();
    let stream = store.stream("log").unwrap();
    // So that there is a thread for it.
    stream.set_retention(Retention::new().max_age(Duration::from_secs(86_400))).unwrap();
    for number in 0..100 {
        stream.add([("n", number.to_string().repeat(100))]).unwrap();
    }
    stream.group("g").create(Position::Start).unwrap();
    let ids: Vec<StreamId> = stream.range(..).map(|entry| entry.unwrap().id()).collect();
    match what.as_str() {
        "refused" => assert_eq!(kernel::in_fork(|| call_everything(&store, &ids)), 0),
        "ends" => {
            let busy = stream.clone();
            // It holds locks most of the time, also when the others are forked.
            let stop = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        busy.add([("busy", "x")]).unwrap();
                    }
                });
                for round in 0..12 {
                    let copy = store.clone();
                    let status = kernel::in_fork(|| match round % 4 {
                        0 => 0,
                        1 => {
                            drop((copy, stream.clone()));
                            assert!(matches!(stream.add([("a", "b")]), Err(Error::Forked)));
                            0
                        }
                        2 => {
                            std::panic::set_hook(Box::new(|_| {}));
                            panic!("in the child");
                        }
                        _ => i32::from(!matches!(copy.close(), Err(Error::Forked))),
                    });
                    assert_eq!(status, if round % 4 == 2 { 101 } else { 0 });
                }
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            });
        }
        "unlocked" => {
            let (mut reader, writer) = std::io::pipe().unwrap();
            // A child that lives on, with all that it has inherited.
            let sleeper = std::thread::spawn(move || {
                kernel::in_fork(move || {
                    use std::io::Write;
                    let mut writer = &writer;
                    writer.write_all(b".").unwrap();
                    std::thread::sleep(Duration::from_millis(1500));
                    0
                })
            });
            std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
            drop(stream);
            store.close().unwrap();
            let again = options(level).open(path).expect("the lock was given up");
            assert!(!sleeper.is_finished(), "the child is still there");
            assert_eq!(again.stream("log").unwrap().len().unwrap(), 100);
            drop(again);
            assert_eq!(sleeper.join().unwrap(), 0);
            return;
        }
        "own-maps" => {
            let status = kernel::in_fork(move || {
                // What is mapped now must still be there when everything inherited is gone.
                let mut own: Vec<Vec<u8>> = (0..200).map(|n| vec![n as u8; 256 << 10]).collect();
                drop((stream, store));
                own.iter_mut().for_each(|bytes| bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1)));
                i32::from(!own.iter().enumerate().all(|(n, bytes)| bytes.iter().all(|&byte| byte == n as u8 + 1)))
            });
            assert_eq!(status, 0);
            return;
        }
        "another" => {
            let beside = std::path::Path::new(path).join("beside");
            let status = kernel::in_fork(|| {
                assert!(matches!(Store::open(path), Err(Error::Locked { .. })));
                let own = options(level).open(&beside).unwrap();
                own.stream("own").unwrap().add([("a", "b")]).unwrap();
                assert!(matches!(stream.len(), Err(Error::Forked)), "its parent's is still its parent's");
                own.close().unwrap();
                0
            });
            assert_eq!(status, 0);
            let own = options(level).open(&beside).unwrap();
            assert_eq!(own.stream("own").unwrap().len().unwrap(), 1);
        }
        #[cfg(feature = "async")]
        "futures" => fork_with_futures(&store),
        other => panic!("no such thing: {other}"),
    }
    // The parent goes on, has the lock, and loses nothing.
    assert!(matches!(Store::open(path), Err(Error::Locked { .. })));
    stream.add([("after", "fork")]).unwrap();
    let len = stream.len().unwrap();
    assert_eq!(stream.range(..).map(Result::unwrap).count() as u64, len);
    store.sync().unwrap();
    drop(stream);
    store.close().unwrap();
    let store = options(level).open(path).unwrap();
    let stream = store.stream("log").unwrap();
    assert!(stream.recovery().unwrap().is_clean);
    assert_eq!(stream.len().unwrap(), len);
}

/// Before the threads that run futures were started, and when they are there, busy, and have futures waiting.
#[cfg(feature = "async")]
fn fork_with_futures(store: &Store) {
    assert_eq!(kernel::in_fork(|| await_everything(store)), 0);
    let stream = store.stream("log").unwrap();
    pollster::block_on(stream.add_async([("n", "threads are started")])).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                pollster::block_on(stream.add_async([("busy", "x")])).unwrap();
            }
        });
        for _ in 0..8 {
            assert_eq!(kernel::in_fork(|| await_everything(store)), 0);
            let mut reading = stream.read(ReadFrom::After(StreamId::MAX)).block(Block::Forever).run_async();
            assert!(poll(&mut reading).is_none());
            let status = kernel::in_fork(|| {
                let refused = matches!(poll(&mut reading), Some(Err(Error::Forked)));
                drop(std::mem::replace(&mut reading, stream.read(ReadFrom::End).run_async()));
                i32::from(!refused)
            });
            assert_eq!(status, 0);
            assert!(poll(&mut reading).is_none(), "its parent waits on");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[cfg(feature = "async")]
fn poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// In a forked child: each future is refused the first time that it is polled.
#[cfg(feature = "async")]
fn await_everything(store: &Store) -> i32 {
    fn forked<T>(name: &str, mut future: impl Future<Output = streamlog::Result<T>> + Unpin) {
        let result = poll(&mut future);
        assert!(matches!(result, Some(Err(Error::Forked))), "{name}: {:?}", result.map(Result::err));
    }
    fn ends<T>(name: &str, mut items: impl smol::stream::Stream<Item = streamlog::Result<T>> + Unpin) {
        let item = poll(&mut smol::stream::StreamExt::next(&mut items));
        assert!(matches!(item, Some(Some(Err(Error::Forked)))), "{name}");
    }
    let stream = store.stream("log").unwrap();
    let consumer = stream.group("g").consumer("c");
    forked("add", stream.add_async([("a", "b")]));
    forked("add to nothing", store.stream("other").unwrap().add_async([("a", "b")]));
    forked("read", stream.read(ReadFrom::After(StreamId::MIN)).run_async());
    forked("blocked read", stream.read(ReadFrom::End).block(Block::Forever).run_async());
    forked("group read", consumer.read().new_entries_async());
    forked("blocked group read", consumer.read().block(Block::Forever).deliveries_async());
    forked("history", consumer.read().history_async(StreamId::MIN));
    forked("ack", consumer.ack_async([StreamId::MAX]));
    forked("any call", store.run_async(|_| Ok(())));
    forked("sync", store.sync_async());
    ends("follow from the beginning", stream.follow(ReadFrom::After(StreamId::MIN)));
    ends("follow from the end", stream.follow(ReadFrom::End));
    ends("deliveries", consumer.deliveries());
    0
}

/// In a forked child: each call is refused, and none hangs or changes anything.
fn call_everything(store: &Store, ids: &[StreamId]) -> i32 {
    let forked = |name: &str, error: Option<Error>| {
        assert!(matches!(error, Some(Error::Forked)), "{name}: {error:?}");
    };
    let stream = store.stream("log").unwrap();
    let other = store.stream("other").unwrap();
    let group = stream.group("g");
    let consumer = group.consumer("c");
    forked("add", stream.add([("a", "b")]).err());
    forked("create by add", other.add([("a", "b")]).err());
    forked("create", store.create("new").err());
    forked("trim", stream.trim(Trim::to_len(1)).err());
    forked("delete entries", stream.delete(ids.iter().copied()).err());
    forked("set id", stream.set_id(streamlog::SetId::new(StreamId::MAX)).err());
    forked("delete", store.delete(["log"]).err());
    forked("delete all", store.delete_all().err());
    forked("rename", store.rename("log", "gol").err());
    forked("copy", store.copy_over("log", "gol").err());
    forked("sync", store.sync().err());
    forked("names", store.names().err());
    forked("exists", store.exists("log").err());
    forked("stream exists", stream.exists().err());
    forked("len", stream.len().err());
    forked("get", stream.get(ids[0]).err());
    forked("range", stream.range(..).next().and_then(Result::err));
    forked("info", stream.info().err());
    forked("read", stream.read(ReadFrom::After(StreamId::MIN)).run().err());
    forked("blocked read", stream.read(ReadFrom::End).block(Block::Forever).run().err());
    forked("blocked read of nothing", store.read().block(Block::Forever).run().err());
    forked("group create", stream.group("h").create(Position::Start).err());
    forked("group read", consumer.read().new_entries().err());
    forked("blocked group read", consumer.read().block(Block::Forever).new_entries().err());
    forked("ack", consumer.ack(ids.iter().copied()).err());
    forked("claim", consumer.auto_claim(Duration::ZERO).run().err());
    forked("pending", group.pending().err());
    forked("destroy", group.destroy().err());
    forked("recovery", stream.recovery().err());
    forked("close", store.clone().close().err());
    0
}
