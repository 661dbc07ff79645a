//! Reads that wait, and entries as they come.

use std::pin::pin;
use std::time::{Duration, Instant};

use streamlog::{AddOptions, Block, Durability, Options, ReadFrom, Store, StreamId};

use crate::harness::{id, next, on_each, poll_once, turns, unless, within};

#[test]
fn a_read_is_woken_by_a_thread_and_by_a_task() {
    on_each(|| async {
        let store = Store::in_memory();
        let [s, t] = ["s", "t"].map(|name| store.stream(name).unwrap());
        let mut after = StreamId::MIN;
        for number in 0..50 {
            let read = store.read().stream(&s, ReadFrom::After(after)).stream(&t, ReadFrom::End);
            let mut read = pin!(read.block(Block::Forever).run_async());
            assert!(poll_once(read.as_mut()).is_pending());
            let writer = s.clone();
            let thread = match number % 2 {
                0 => Some(std::thread::spawn(move || writer.add([("f", "v")]).unwrap())),
                _ => {
                    writer.add_async([("f", "v")]).await.unwrap();
                    None
                }
            };
            let found = read.await.unwrap();
            assert_eq!((found[0].0, found[0].1.len()), (0, 1));
            after = found[0].1[0].id();
            thread.map(|thread| thread.join().unwrap());
        }
    });
}

#[test]
fn a_read_ends_when_its_time_is_up() {
    on_each(|| async {
        let stream = Store::in_memory().stream("s").unwrap();
        let begun = Instant::now();
        let limit = Duration::from_millis(30);
        let found = stream.read(ReadFrom::End).block(Block::For(limit)).run_async().await.unwrap();
        assert!(found.is_empty() && begun.elapsed() >= limit);
        assert!(stream.read(ReadFrom::End).run_async().await.unwrap().is_empty(), "at once");
        // Of two timers, the one that is set later goes off first.
        let mut long = pin!(stream.read(ReadFrom::End).block(Block::For(Duration::from_secs(600))).run_async());
        assert!(poll_once(long.as_mut()).is_pending());
        stream.read(ReadFrom::End).block(Block::For(Duration::from_millis(5))).run_async().await.unwrap();
        assert!(poll_once(long.as_mut()).is_pending());
    });
}

#[test]
fn the_end_is_where_it_was_when_the_read_was_made() {
    on_each(|| async {
        let stream = Store::in_memory().stream("s").unwrap();
        let read = stream.read(ReadFrom::End).block(Block::Forever).run_async();
        let id = stream.add([("f", "v")]).unwrap();
        assert_eq!(read.await.unwrap()[0].1[0].id(), id);
    });
}

#[test]
fn a_call_that_would_block_does_not_where_futures_are_run() {
    let store = Store::in_memory();
    let reading = store.run_async(|store| store.stream("s")?.read(ReadFrom::End).block(Block::Forever).run());
    within(30, move || assert!(pollster::block_on(reading).unwrap().is_empty()));
}

/// Ping-pong: each entry is added only when the one before was read, so that a lost wake-up hangs.
#[test]
fn thousands_of_wake_ups_and_none_is_lost() {
    within(60, || {
        for level in [Durability::Always, Durability::Os] {
            let store = Options::new().durability(level).in_memory();
            let follow = |read: &str, write: &str, first: bool| {
                let (read, write) = (store.stream(read).unwrap(), store.stream(write).unwrap());
                async move {
                    let mut entries = pin!(read.follow(ReadFrom::After(StreamId::MIN)));
                    for number in 0..1000 {
                        if first {
                            write.add_async([("n", number.to_string())]).await.unwrap();
                        }
                        next(&mut entries).await.unwrap().unwrap();
                        if !first {
                            write.add_async([("n", number.to_string())]).await.unwrap();
                        }
                    }
                }
            };
            let (ping, pong) = (follow("ping", "pong", false), follow("pong", "ping", true));
            let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
            let ping = threads.spawn(ping);
            threads.block_on(async move {
                pong.await;
                ping.await.unwrap();
            });
        }
    });
}

#[test]
fn who_follows_sees_every_entry_once_in_order() {
    on_each(|| async {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new().durability(Durability::Os).segment_bytes_max(4096);
        let store = options.open(dir.path()).unwrap();
        let stream = store.stream("s").unwrap();
        let writer = stream.clone();
        let count = 3000;
        let thread = std::thread::spawn(move || {
            for ms in 1..=count {
                writer.add_with(AddOptions::new().id(id(ms)), [("f", "v")]).unwrap();
            }
        });
        let mut position = StreamId::MIN;
        let mut expected = 1;
        while expected <= count {
            // Followed again from the last position, as after a restart, having been dropped in the middle.
            let mut entries = pin!(stream.follow(ReadFrom::After(position)));
            for _ in 0..expected % 97 + 1 {
                if expected > count {
                    break;
                }
                assert_eq!(next(&mut entries).await.unwrap().unwrap().id(), id(expected));
                expected += 1;
            }
            position = entries.position();
        }
        assert_eq!(position, id(count));
        thread.join().unwrap();
    });
}

#[test]
fn following_begins_where_it_is_told_to() {
    on_each(|| async {
        let stream = Store::in_memory().stream("s").unwrap();
        let add = |ms| stream.add_with(AddOptions::new().id(id(ms)), [("f", "v")]).unwrap();
        let mut of_nothing = pin!(stream.follow(ReadFrom::Last));
        assert!(poll_once(pin!(next(&mut of_nothing))).is_pending());
        (1..=3).for_each(|ms| _ = add(ms));
        let mut from_last = pin!(stream.follow(ReadFrom::Last));
        let mut from_end = pin!(stream.follow(ReadFrom::End));
        add(4);
        assert_eq!(next(&mut from_last).await.unwrap().unwrap().id(), id(3));
        assert_eq!(next(&mut from_last).await.unwrap().unwrap().id(), id(4));
        assert_eq!(next(&mut from_end).await.unwrap().unwrap().id(), id(4));
        assert_eq!(next(&mut of_nothing).await.unwrap().unwrap().id(), id(1));
    });
}

#[test]
fn who_follows_comes_past_damage() {
    on_each(|| async {
        let disk = streamlog::sim::SimDisk::new();
        let options = || Options::new().segment_bytes_max(4096);
        let store = Store::open_simulated(options(), &disk).unwrap();
        let stream = store.stream("s").unwrap();
        for ms in 1..=40 {
            stream.add_with(AddOptions::new().id(id(ms)), [("f", "x".repeat(300))]).unwrap();
        }
        store.close().unwrap();
        let mut image = disk.kill_image(disk.steps());
        let first = image.files().find(|path| path.ends_with("00000000000000000001.log")).unwrap().to_owned();
        let bytes = image.file_mut(&first).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let store = Store::open_simulated(options(), &image.mount()).unwrap();
        let stream = store.stream("s").unwrap();
        let mut entries = pin!(stream.follow(ReadFrom::After(StreamId::MIN)));
        let (mut found, mut errors) = (Vec::new(), 0);
        while found.last() != Some(&40) {
            match next(&mut entries).await.unwrap() {
                Ok(entry) => found.push(entry.id().ms()),
                Err(error) => {
                    assert!(matches!(error, streamlog::Error::Corrupt { .. }), "{error}");
                    errors += 1;
                }
            }
        }
        assert!(errors >= 1 && found.len() < 40 && found.is_sorted_by(|a, b| a < b));
    });
}

/// Many come and go; all who stay are woken.
#[test]
fn reads_that_are_dropped_leave_nothing_behind() {
    on_each(|| async {
        let stream = Store::in_memory().stream("s").unwrap();
        for round in 0..200 {
            let read = || stream.read(ReadFrom::End).block(Block::Forever).run_async();
            let stays = read();
            for _ in 0..3 {
                assert!(unless(read(), turns(round % 5)).await.is_none());
            }
            stream.add_async([("f", "v")]).await.unwrap();
            assert_eq!(stays.await.unwrap()[0].1.len(), 1);
        }
    });
}
