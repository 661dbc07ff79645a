//! Reads that wait for what another process adds.

use std::time::{Duration, Instant};

use streamlog::{AddOptions, Block, Durability, Error, ReadFrom, StreamId};

use crate::harness::{id, pair};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_read_waits_for_the_first_of_several_streams() {
    let (_directory, store, reader) = pair(Durability::Always);
    store.stream("a").unwrap().add([("n", "old")]).unwrap();
    let (a, b) = (reader.stream("a").unwrap(), reader.stream("b").unwrap());
    std::thread::scope(|scope| {
        let read = reader.read([(&a, ReadFrom::End), (&b, ReadFrom::End)]).block(Block::For(LONG));
        let waiting = scope.spawn(|| read.run().unwrap());
        std::thread::sleep(Duration::from_millis(60));
        assert!(!waiting.is_finished());
        let added = store.stream("b").unwrap().add([("n", "new")]).unwrap();
        let begun = Instant::now();
        let found = waiting.join().unwrap();
        assert!(begun.elapsed() < LONG / 4);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, found[0].1[0].id()), (1, added));
    });
    let begun = Instant::now();
    let none = a.read(ReadFrom::End).block(Block::For(Duration::from_millis(50))).run().unwrap();
    assert!(none.is_empty() && begun.elapsed() >= Duration::from_millis(50));
    assert_eq!(a.read(ReadFrom::Last).run().unwrap()[0].1.len(), 1);
}

#[test]
fn following_begins_where_it_is_told() {
    let (_directory, store, reader) = pair(Durability::Os);
    let (stream, reading) = (store.stream("a").unwrap(), reader.stream("a").unwrap());
    for ms in 1..=5 {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", "x")]).unwrap();
    }
    let mut all = reading.follow(ReadFrom::After(StreamId::MIN)).unwrap();
    let mut last = reading.follow(ReadFrom::Last).unwrap();
    let mut new = reading.follow(ReadFrom::End).unwrap();
    let mut later = reading.follow(ReadFrom::After(id(3))).unwrap();
    let mut none = reader.stream("b").unwrap().follow(ReadFrom::End).unwrap();
    stream.add_with(AddOptions::new().id(id(6)), [("n", "x")]).unwrap();
    let ready = |follow: &mut streamlog::Follow| {
        std::iter::from_fn(|| follow.ready()).map(|entry| entry.unwrap().id().ms()).collect::<Vec<_>>()
    };
    assert_eq!(ready(&mut all), [1, 2, 3, 4, 5, 6]);
    assert_eq!(ready(&mut last), [5, 6]);
    assert_eq!(ready(&mut new), [6]);
    assert_eq!(ready(&mut later), [4, 5, 6]);
    assert_eq!(ready(&mut none), []);
    store.stream("b").unwrap().add_with(AddOptions::new().id(id(1)), [("n", "x")]).unwrap();
    assert_eq!(ready(&mut none), [1], "a stream that is new is followed from its beginning");
    store.delete(["a"]).unwrap();
    assert_eq!(ready(&mut all), []);
    stream.add_with(AddOptions::new().id(id(2)), [("n", "x")]).unwrap();
    assert_eq!(ready(&mut all), [2], "and so is one that is another one now");
    assert_eq!(ready(&mut all), []);
}

#[test]
fn following_tells_of_damage_once_also_where_it_is_the_newest() {
    let (directory, store, reader) = pair(Durability::Os);
    let stream = store.stream("a").unwrap();
    let add = |ms: u64, len: usize| {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(len))]).unwrap();
    };
    // The last one begins a segment, and is deleted.
    (1..=5).for_each(|ms| add(ms, 100));
    add(6, 8000);
    stream.delete([id(6)]).unwrap();
    let reading = reader.stream("a").unwrap();
    assert_eq!(reading.len().unwrap(), 5);
    let mut follow = reading.follow(ReadFrom::After(StreamId::MIN)).unwrap();
    let segments = std::fs::read_dir(directory.path().join("streams/a")).unwrap().map(|item| item.unwrap().path());
    let first = segments.filter(|path| path.extension().is_some_and(|found| found == "log")).min().unwrap();
    let mut bytes = std::fs::read(&first).unwrap();
    let last = bytes.windows(100).rposition(|window| window == [b'x'; 100]).unwrap();
    bytes[last] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    (1..=4).for_each(|ms| assert_eq!(follow.ready().unwrap().unwrap().id(), id(ms)));
    assert!(matches!(follow.ready(), Some(Err(Error::Corrupt { .. }))));
    assert!(follow.ready().is_none());
    for ms in 7..10 {
        add(ms, 1);
        assert_eq!(follow.ready().unwrap().unwrap().id(), id(ms));
        assert!(follow.ready().is_none());
    }
}
