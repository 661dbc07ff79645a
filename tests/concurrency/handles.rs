//! Handles, closing, and the lock of the directory.

use streamlog::{Durability, Entry, Error, Range, Read, Store, Stream};

use crate::harness::{LEVELS, fields, options, within};

#[test]
fn handles_can_be_shared_sent_and_cloned() {
    fn shared<T: Send + Sync>() {}
    fn cloned<T: Clone>() {}
    shared::<Store>();
    shared::<Stream>();
    shared::<Entry>();
    shared::<Range>();
    shared::<Read>();
    shared::<Error>();
    cloned::<Store>();
    cloned::<Stream>();
    cloned::<Entry>();
}

#[test]
fn a_directory_is_locked_while_it_is_open_and_free_after_close_whatever_handles_are_left() {
    within(30, || {
        let directory = tempfile::tempdir().unwrap();
        let mut handles = Vec::new();
        for round in 0..20 {
            let store = options(Durability::Os).open(directory.path()).unwrap();
            let stream = store.stream("s").unwrap();
            stream.add(fields(0, round)).unwrap();
            let range = stream.range(..);
            let locked = options(Durability::Os).open(directory.path());
            assert!(matches!(locked, Err(Error::Locked { .. })), "{locked:?}");
            handles.push((store.clone(), stream, range));
            store.close().unwrap();
        }
        assert_eq!(Store::open(directory.path()).unwrap().stream("s").unwrap().len().unwrap(), 20);
        for (store, stream, range) in handles {
            assert!(matches!(stream.add(fields(0, 0)), Err(Error::Closed)));
            assert!(matches!(stream.len(), Err(Error::Closed)));
            assert!(matches!(store.names(), Err(Error::Closed)));
            assert!(matches!(store.close(), Err(Error::Closed)));
            // What was begun may be finished.
            assert!(range.count() <= 20);
        }
    });
}

#[test]
fn a_store_without_handles_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let stream = store.stream("s").unwrap();
    drop(store);
    stream.add(fields(0, 0)).unwrap();
    drop(stream);
    assert_eq!(Store::open(directory.path()).unwrap().stream("s").unwrap().len().unwrap(), 1);
}

#[test]
fn what_was_acknowledged_before_a_close_in_the_middle_of_writing_is_there() {
    within(60, || {
        for durability in LEVELS {
            let directory = tempfile::tempdir().unwrap();
            for round in 0..8u64 {
                let store = options(durability).open(directory.path()).unwrap();
                let name = format!("s{round}");
                let streams: Vec<_> = (0..4).map(|_| store.stream(&name).unwrap()).collect();
                let acknowledged: u64 = std::thread::scope(|scope| {
                    let write = |stream: Stream| {
                        let mut count = 0;
                        loop {
                            match stream.add(fields(0, count)) {
                                Ok(_) => count += 1,
                                Err(Error::Closed) => return count,
                                Err(error) => panic!("{error:?}"),
                            }
                        }
                    };
                    let threads: Vec<_> =
                        streams.into_iter().map(|stream| scope.spawn(move || write(stream))).collect();
                    std::thread::sleep(std::time::Duration::from_millis(round));
                    store.close().unwrap();
                    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
                });
                let store = options(durability).open(directory.path()).unwrap();
                assert_eq!(store.stream(&name).unwrap().len().unwrap(), acknowledged, "{durability:?}");
                store.close().unwrap();
            }
        }
    });
}
