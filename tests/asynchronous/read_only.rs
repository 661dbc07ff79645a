//! Reads of a store that another process writes.

use std::pin::pin;
use std::time::Duration;

use streamlog::{Block, Durability, Options, ReadFrom, ReadOnlyStore, Store, StreamId, Trim};

use crate::harness::{on_each, poll_once};

/// A store whose segments are small, and what another process would see of it.
fn pair(durability: Durability) -> (tempfile::TempDir, Store, ReadOnlyStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = Options::new().durability(durability).segment_bytes_max(4096).open(dir.path()).unwrap();
    let reader = Store::open_read_only(dir.path()).unwrap();
    (dir, store, reader)
}

#[test]
fn a_read_sees_what_is_published_across_rotations_and_trims() {
    on_each(|| async {
        for durability in [Durability::Always, Durability::Os] {
            let (_dir, store, reader) = pair(durability);
            let (stream, reading) = (store.stream("s").unwrap(), reader.stream("s").unwrap());
            let mut after = StreamId::MIN;
            for round in 0..20 {
                let read = |after| reading.read(ReadFrom::After(after)).block(Block::Forever).run_async();
                let mut waiting = pin!(read(after));
                assert!(poll_once(waiting.as_mut()).is_pending());
                let ids: Vec<_> = (0..5).map(|_| stream.add([("f", "x".repeat(500))]).unwrap()).collect();
                if round % 4 == 3 {
                    assert!(stream.trim(Trim::to_len(2)).unwrap() > 0);
                }
                let mut found = waiting.await.unwrap();
                // What is trimmed may be seen or not, and the rest is.
                let mut seen = Vec::new();
                loop {
                    seen.extend(found[0].1.iter().map(|entry| entry.id()));
                    after = *seen.last().unwrap();
                    if after == ids[4] {
                        break;
                    }
                    found = read(after).await.unwrap();
                }
                assert!(seen.is_sorted_by(|a, b| a < b) && seen.iter().all(|id| ids.contains(id)));
                assert!(seen.len() == 5 || round % 4 == 3, "{} in round {round}", seen.len());
            }
            assert!(stream.info().unwrap().segments < 10, "there were more");
        }
    });
}

#[test]
fn a_read_waits_through_the_deletion_of_its_stream_and_the_return_of_its_writer() {
    on_each(|| async {
        let (dir, store, reader) = pair(Durability::Always);
        let (stream, reading) = (store.stream("s").unwrap(), reader.stream("s").unwrap());
        let last = stream.add([("f", "v")]).unwrap();
        let wait = || reading.read(ReadFrom::After(last)).block(Block::Forever).run_async();
        let pause = || reading.read(ReadFrom::After(last)).block(Block::For(Duration::from_millis(30))).run_async();
        let mut waiting = pin!(wait());
        assert!(poll_once(waiting.as_mut()).is_pending());
        assert!(pause().await.unwrap().is_empty());
        store.delete(["s"]).unwrap();
        assert!(pause().await.unwrap().is_empty());
        store.close().unwrap();
        assert!(pause().await.unwrap().is_empty());
        assert!(poll_once(waiting.as_mut()).is_pending());
        let store = Store::open(dir.path()).unwrap();
        let id = store.stream("s").unwrap().add([("f", "of another stream")]).unwrap();
        assert_eq!(waiting.await.unwrap()[0].1[0].id(), id);
        // What is under way keeps the store that is read, and is over when it is dropped.
        let mut waiting = Box::pin(reading.read(ReadFrom::End).block(Block::Forever).run_async());
        drop((reading, reader));
        assert!(poll_once(waiting.as_mut()).is_pending());
        drop(waiting);
    });
}

#[test]
fn the_end_is_where_the_writer_is_when_the_read_is_made() {
    on_each(|| async {
        let (_dir, store, reader) = pair(Durability::Always);
        let (stream, reading) = (store.stream("s").unwrap(), reader.stream("s").unwrap());
        stream.add([("f", "seen")]).unwrap();
        assert_eq!(reading.len().unwrap(), 1);
        stream.add([("f", "there, and not looked at yet")]).unwrap();
        let brief = reading.read(ReadFrom::End).block(Block::For(Duration::from_millis(5))).run_async();
        assert!(brief.await.unwrap().is_empty());
        let read = reading.read(ReadFrom::End).block(Block::Forever).run_async();
        let id = stream.add([("f", "new")]).unwrap();
        assert_eq!(read.await.unwrap()[0].1[0].id(), id);
    });
}
