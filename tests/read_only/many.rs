//! Many streams, of which few change: more than a reader has at hand, and than it searches of the board at a time.

use streamlog::{Durability, Options, ReadOnlyStore, Trim};

/// More than three times what is searched of a board at a time.
const STREAMS: usize = 200;

fn name(stream: usize) -> String {
    format!("s{stream:04}")
}

/// How many entries each stream has, as a reader sees it.
fn seen(reader: &ReadOnlyStore) -> Vec<u64> {
    let names = reader.names().unwrap();
    let lens = names.iter().map(|name| {
        let stream = reader.stream(name).unwrap();
        let len = stream.info().unwrap().len;
        assert_eq!(stream.range(..).count() as u64, len);
        assert!(reader.inspect().size(name).unwrap() > 0);
        len
    });
    lens.collect()
}

#[test]
fn of_many_idle_streams_the_one_that_changed_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let open = |durability, open_streams_max| {
        Options::new().durability(durability).open_streams_max(open_streams_max).open(directory.path()).unwrap()
    };
    // All have a place on the board.
    let store = open(Durability::Always, STREAMS);
    (0..STREAMS).for_each(|n| _ = store.stream(name(n)).unwrap().add([("n", "1")]).unwrap());
    let readers =
        [STREAMS, 5].map(|max| Options::new().open_streams_max(max).open_read_only(directory.path()).unwrap());
    let check = |expected: &[u64], when: &str| {
        for reader in &readers {
            assert_eq!(seen(reader), expected, "{when}");
        }
    };
    let mut expected = vec![1; STREAMS];
    check(&expected, "at first");
    check(&expected, "when nothing has happened");
    // The first place of the board, the last one, and those at the edges of what is searched at a time.
    for n in [0, 63, 64, 127, 128, 199] {
        store.stream(name(n)).unwrap().add([("n", "2")]).unwrap();
        expected[n] += 1;
        check(&expected, &format!("after an add to {n}"));
    }
    store.stream(name(100)).unwrap().trim(Trim::to_len(0)).unwrap();
    expected[100] = 0;
    check(&expected, "after a trim");
    store.close().unwrap();
    check(&expected, "without a writer");

    // The next one has few of them open.
    for level in [Durability::Os, Durability::Always] {
        let store = open(level, 3);
        for n in [150, 0, 150, 199] {
            store.stream(name(n)).unwrap().add([("n", "3")]).unwrap();
            expected[n] += 1;
            check(&expected, &format!("after an add to {n} of a writer that came back"));
        }
        store.delete([name(150)]).unwrap();
        store.stream(name(150)).unwrap().add([("n", "1")]).unwrap();
        expected[150] = 1;
        check(&expected, "when another stream has the name");
        store.close().unwrap();
    }
    let store = open(Durability::Os, 3);
    store.delete([name(199)]).unwrap();
    expected.pop();
    check(&expected, "when one is deleted");
}
