//! What ends futures that wait.

use std::pin::{Pin, pin};
use std::time::Duration;

use streamlog::{Block, Error, GroupOptions, Options, Position, ReadFrom, Store, StreamId};

use crate::harness::{Syncs, next, on_each, poll_once, until, within};

#[test]
fn a_store_that_is_closed_ends_all_that_waits() {
    on_each(|| async {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let stream = store.stream("s").unwrap();
        let group = stream.group("g");
        group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        let mut plain = pin!(stream.read(ReadFrom::End).block(Block::Forever).run_async());
        let mut timed = pin!(stream.read(ReadFrom::End).block(Block::For(Duration::from_secs(600))).run_async());
        let mut of_group = pin!(group.consumer("c").read().block(Block::Forever).new_entries_async());
        let mut followed = pin!(stream.follow(ReadFrom::End));
        assert!(poll_once(plain.as_mut()).is_pending() && poll_once(timed.as_mut()).is_pending());
        assert!(poll_once(of_group.as_mut()).is_pending() && poll_once(pin!(next(&mut followed))).is_pending());
        store.close().unwrap();
        assert!(matches!(plain.await, Err(Error::Closed)));
        assert!(matches!(timed.await, Err(Error::Closed)));
        assert!(matches!(of_group.await, Err(Error::Closed)));
        assert!(matches!(next(&mut followed).await, Some(Err(Error::Closed))));
        assert!(next(&mut followed).await.is_none());
        assert!(matches!(stream.add_async([("f", "v")]).await, Err(Error::Closed)));
        // The lock is given up, whoever still holds futures.
        Store::open(dir.path()).unwrap().close().unwrap();
    });
}

#[test]
fn adds_that_are_under_way_when_the_store_is_closed_come_to_an_end() {
    on_each(|| async {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let stream = store.stream("s").unwrap();
            let mut adds: Vec<_> = (0..30).map(|n: u64| stream.add_async([("n", n.to_string())])).collect();
            adds.iter_mut().for_each(|add| _ = poll_once(Pin::new(add)));
            store.close().unwrap();
            let mut added = Vec::new();
            for add in adds {
                match add.await {
                    Ok(id) => added.push(id),
                    Err(error) => assert!(matches!(error, Error::Closed), "{error}"),
                }
            }
            let stream = Store::open(dir.path()).unwrap().stream("s").unwrap();
            assert!(added.iter().all(|id| stream.get(*id).unwrap().is_some()));
        }
    });
}

/// A future that waits keeps the store open; dropped, it lets go of it at once.
#[test]
fn a_store_is_closed_with_its_last_future() {
    on_each(|| async {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let store = Store::open(dir.path()).unwrap();
            let stream = store.stream("s").unwrap();
            let mut read = Box::pin(stream.read(ReadFrom::After(StreamId::MAX)).block(Block::Forever).run_async());
            assert!(poll_once(read.as_mut()).is_pending());
            drop((store, stream));
            assert!(matches!(Store::open(dir.path()), Err(Error::Locked { .. })));
            drop(read);
            // At once, unless the task was just running.
            until(|| Store::open(dir.path()).is_ok());
        }
    });
}

#[test]
fn a_sync_that_fails_is_told_to_all_that_wait_for_it() {
    within(60, || {
        let syncs = Syncs::default();
        let (_dir, store) = syncs.store(Options::new());
        let stream = store.stream("s").unwrap();
        stream.add([("f", "v")]).unwrap();
        syncs.shut();
        let mut adds: Vec<_> = (0..20).map(|n: u64| stream.add_async([("n", n.to_string())])).collect();
        adds.iter_mut().for_each(|add| assert!(poll_once(Pin::new(add)).is_pending()));
        until(|| syncs.held() == 1);
        syncs.fail();
        syncs.open();
        let mut causes = 0;
        for add in adds {
            match pollster::block_on(add) {
                Err(Error::Io { .. }) => causes += 1,
                Err(Error::Poisoned { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(causes >= 1);
        assert!(matches!(pollster::block_on(stream.add_async([("f", "v")])), Err(Error::Poisoned { .. })));
        // Reading goes on.
        assert_eq!(pollster::block_on(stream.read(ReadFrom::After(StreamId::MIN)).run_async()).unwrap()[0].1.len(), 1);
    });
}

#[test]
fn a_failure_ends_all_that_waits() {
    within(60, || {
        let syncs = Syncs::default();
        let (_dir, store) = syncs.store(Options::new());
        let stream = store.stream("s").unwrap();
        let group = stream.group("g");
        group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        let mut plain = pin!(stream.read(ReadFrom::End).block(Block::Forever).run_async());
        let mut of_group = pin!(group.consumer("c").read().block(Block::Forever).new_entries_async());
        let mut followed = pin!(stream.follow(ReadFrom::End));
        assert!(poll_once(plain.as_mut()).is_pending() && poll_once(of_group.as_mut()).is_pending());
        assert!(poll_once(pin!(next(&mut followed))).is_pending());
        let (reader, member) = (stream.clone(), group.consumer("d"));
        let threads = [
            std::thread::spawn(move || reader.read(ReadFrom::End).block(Block::Forever).run().unwrap_err()),
            std::thread::spawn(move || member.read().block(Block::Forever).new_entries().unwrap_err()),
        ];
        until(|| store.metrics().unwrap().readers_waiting == 5);
        syncs.fail();
        let added = stream.add([("f", "v")]);
        assert!(matches!(added, Err(Error::Io { action: "sync", .. })), "{added:?}");
        assert!(matches!(pollster::block_on(plain), Err(Error::Poisoned { .. })));
        assert!(matches!(pollster::block_on(of_group), Err(Error::Poisoned { .. })));
        assert!(matches!(pollster::block_on(next(&mut followed)), Some(Err(Error::Poisoned { .. }))));
        for thread in threads {
            assert!(matches!(thread.join().unwrap(), Error::Poisoned { .. }));
        }
    });
}
