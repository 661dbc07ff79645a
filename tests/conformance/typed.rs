//! Promise: what is wrong with a call of the typed interface of groups is said by the variant of the error, by name, and
//! nothing is changed by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use streamlog::command::execute;
use streamlog::{
    AddOptions, Block, Error, Group, GroupOptions, GroupReadFrom, KEY_LEN_MAX, NewId, Position, Production, References,
    Release, ReleaseOptions, Result, Store, Stream, StreamId,
};

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// A stream `s` with the entries 1-0 to 3-0, and the group `g`, of which `a` has the first two.
fn store_with_group() -> Store {
    let store = Store::in_memory();
    let stream = store.stream("s").unwrap();
    for ms in 1..=3 {
        stream.add_with(AddOptions::new().id(id(ms)), [("f", "v")]).unwrap();
    }
    stream.group("g").create(Position::Start).unwrap();
    assert_eq!(stream.group("g").consumer("a").read().count(2).new_entries().unwrap().len(), 2);
    store
}

fn state(store: &Store) -> String {
    let names = store.names().unwrap();
    let full = execute(store, &["XINFO", "STREAM", "s", "FULL", "COUNT", "0"]);
    format!("{names:?} {full:?}")
}

/// A call, and what it is called.
type Call<'a> = (&'a str, &'a dyn Fn(&Group) -> Result<()>);

/// Every call that needs the group.
const CALLS: &[Call<'static>] = &[
    ("set_position", &|group| group.set_position(Position::End, None)),
    ("acknowledge", &|group| group.acknowledge([id(1)]).map(drop)),
    ("acknowledge nothing", &|group| group.acknowledge([]).map(drop)),
    ("acknowledge_and_delete", &|group| group.acknowledge_and_delete([id(1)], References::Delete).map(drop)),
    ("release", &|group| group.release([id(1)], Release::Failed).map(drop)),
    ("release_with", &|group| {
        let options = ReleaseOptions::new(Release::Fatal).delivery_count(1).force();
        group.release_with([id(1)], options).map(drop)
    }),
    ("pending", &|group| group.pending().map(drop)),
    ("pending_bytes", &|group| group.pending_bytes().map(drop)),
    ("pending_entries", &|group| group.pending_entries().run().map(drop)),
    ("pending_entries of nothing", &|group| group.pending_entries().ids(id(2)..id(1)).count(0).run().map(drop)),
    ("info", &|group| group.info().map(drop)),
    ("consumers", &|group| group.consumers().map(drop)),
    ("create a consumer", &|group| group.consumer("b").create().map(drop)),
    ("delete a consumer", &|group| group.consumer("b").delete().map(drop)),
    ("new_entries", &|group| group.consumer("b").read().new_entries().map(drop)),
    ("new_entries, waiting", &|group| group.consumer("b").read().block(Block::Forever).new_entries().map(drop)),
    ("deliveries", &|group| group.consumer("b").read().claim(Duration::ZERO).deliveries().map(drop)),
    ("history", &|group| group.consumer("b").read().history(StreamId::MIN).map(drop)),
    ("history after all", &|group| group.consumer("b").read().history(StreamId::MAX).map(drop)),
    ("claim", &|group| group.consumer("b").claim(Duration::ZERO, [id(1)]).force().run().map(drop)),
    ("claim nothing", &|group| group.consumer("b").claim(Duration::ZERO, []).last_id(id(9)).run().map(drop)),
    ("auto_claim", &|group| group.consumer("b").auto_claim(Duration::ZERO).run().map(drop)),
    ("ack", &|group| group.consumer("b").ack([id(1)]).map(drop)),
];

#[test]
fn what_needs_a_group_names_the_one_that_is_missing() {
    let store = store_with_group();
    let before = state(&store);
    for (stream, group) in [("s", "nog"), ("nos", "g"), ("s", ""), ("s", "G")] {
        let missing = store.stream(stream).unwrap().group(group);
        for (what, call) in CALLS {
            match call(&missing) {
                Err(Error::GroupNotFound { stream: of, group: named, .. }) => {
                    assert_eq!((of.as_str(), named.as_str()), (stream, group), "{what}");
                }
                other => panic!("{what} of {group:?} of {stream:?}: {other:?}"),
            }
        }
        assert!(!missing.exists().unwrap() && !missing.destroy().unwrap());
    }
    assert_eq!(state(&store), before);
    let binary = store.stream(b"\xff").unwrap().group(b"\xfe");
    let error = binary.pending().unwrap_err();
    assert_eq!(error.to_string(), "the stream \"\u{fffd}\" has no consumer group \"\u{fffd}\"");
}

#[test]
fn every_call_ends_with_the_error_that_the_store_is_closed() {
    let store = store_with_group();
    let (stream, group) = (store.stream("s").unwrap(), store.stream("s").unwrap().group("g"));
    let read = store.read_group("g", "b").stream(&stream, GroupReadFrom::New).block(Block::Forever);
    store.close().unwrap();
    for (what, call) in CALLS {
        assert!(matches!(call(&group), Err(Error::Closed)), "{what}");
    }
    assert!(matches!(group.create(Position::Start), Err(Error::Closed)));
    assert!(matches!(group.destroy(), Err(Error::Closed)));
    assert!(matches!(group.exists(), Err(Error::Closed)));
    assert!(matches!(stream.groups(), Err(Error::Closed)));
    assert!(matches!(read.run(), Err(Error::Closed)));
}

#[test]
fn a_group_is_created_once_and_of_a_stream_that_is_there() {
    let store = store_with_group();
    let before = state(&store);
    let (group, missing) = (store.stream("s").unwrap().group("g"), store.stream("nos").unwrap().group("g"));
    let options = GroupOptions::new(Position::End).entries_read(7);
    for options in [options, options.create_stream()] {
        match group.create_with(options) {
            Err(Error::GroupExists { stream, group, .. }) => assert_eq!((&*stream, &*group), ("s", "g")),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(missing.create(Position::Start), Err(Error::StreamNotFound { name, .. }) if name == "nos"));
    assert!(matches!(store.stream("nos").unwrap().groups(), Err(Error::StreamNotFound { name, .. }) if name == "nos"));
    assert_eq!(state(&store), before);
    missing.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    assert_eq!(store.stream("nos").unwrap().len().unwrap(), 0);
}

/// XRG-1: nothing is read, and no consumer created, unless all streams have the group.
#[test]
fn a_read_of_several_streams_reads_all_or_none() {
    let store = store_with_group();
    let before = state(&store);
    let (stream, missing) = (store.stream("s").unwrap(), store.stream("nos").unwrap());
    for block in [Block::No, Block::Forever] {
        for from in
            [GroupReadFrom::New, GroupReadFrom::NewOrIdle(Duration::ZERO), GroupReadFrom::History(StreamId::MIN)]
        {
            let read = store.read_group("g", "b").block(block).stream(&stream, from).stream(&missing, from);
            let error = read.run().unwrap_err();
            assert!(matches!(error, Error::GroupNotFound { stream, .. } if stream == "nos"));
        }
    }
    assert_eq!(state(&store), before);
    // Also while somebody else waits, so that it may have to stand back.
    let quiet = store.stream("quiet").unwrap();
    quiet.group("g").create_with(GroupOptions::new(Position::End).create_stream()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| quiet.group("g").consumer("w").read().block(Block::Forever).new_entries().unwrap());
        while quiet.group("g").consumers().unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(30));
        let errors = [GroupReadFrom::New, GroupReadFrom::History(StreamId::MIN)].map(|from| {
            let read = store.read_group("g", "b").block(Block::Forever).stream(&stream, from).stream(&missing, from);
            read.run()
        });
        let consumers = stream.group("g").consumers().unwrap();
        // Nobody is left waiting if this fails.
        quiet.add([("f", "v")]).unwrap();
        for error in errors {
            assert!(matches!(error, Err(Error::GroupNotFound { stream, .. }) if stream == "nos"));
        }
        assert_eq!(consumers.len(), 1, "no consumer is created: {consumers:?}");
    });
    // Of nothing, nothing comes.
    assert!(store.read_group("g", "b").run().unwrap().is_empty());
    assert!(store.read_group("g", "b").block(Duration::from_millis(2)).run().unwrap().is_empty());
}

#[test]
fn productions_that_cannot_be_say_why() {
    let store = store_with_group();
    let stream = store.stream("s").unwrap();
    stream.remember_production(b"p", b"i", id(1)).unwrap();
    let before = state(&store);
    let add = |production, new: NewId| {
        stream.add_with(AddOptions::new().production(production).id(new), [("f", "v")]).unwrap_err()
    };
    let named = |producer: &'static str, id: &'static str| Production::Named {
        producer: producer.as_bytes(),
        id: id.as_bytes(),
    };
    for (production, new, reason) in [
        (named("", "i"), NewId::Auto, "a producer's ID must not be empty"),
        (named("p", ""), NewId::Auto, "an idempotent ID must not be empty"),
        (Production::ByContent { producer: b"" }, NewId::Auto, "a producer's ID must not be empty"),
        (named("p", "x"), NewId::Exact(id(9)), "only an entry with an automatic ID can be produced idempotently"),
        (named("p", "x"), NewId::AutoSequence(9), "only an entry with an automatic ID can be produced idempotently"),
    ] {
        let error = add(production, new);
        assert!(matches!(error, Error::InvalidProduction { .. }), "{error:?}");
        assert_eq!(error.to_string(), reason);
    }
    let missing = store.stream("nos").unwrap();
    assert!(matches!(stream.remember_production(b"", b"i", id(1)), Err(Error::InvalidProduction { .. })));
    assert!(matches!(stream.remember_production(b"p", b"", id(1)), Err(Error::InvalidProduction { .. })));
    assert!(
        matches!(stream.remember_production(b"p", b"x", id(9)), Err(Error::EntryNotFound { id: missing, .. }) if missing == id(9))
    );
    assert!(
        matches!(stream.remember_production(b"p", b"i", id(2)), Err(Error::ProductionExists { id: known, .. }) if known == id(1))
    );
    assert!(matches!(missing.remember_production(b"p", b"i", id(1)), Err(Error::StreamNotFound { .. })));
    stream.remember_production(b"p", b"i", id(1)).unwrap();
    assert_eq!(state(&store), before);
}

#[test]
fn settings_out_of_range_are_named_with_their_limits() {
    let store = store_with_group();
    let (stream, missing) = (store.stream("s").unwrap(), store.stream("nos").unwrap());
    let before = state(&store);
    let seconds = |s| Some(Duration::from_secs(s));
    for (duration, max_len, wrong) in [
        (seconds(0), None, (0, 86_400)),
        (Some(Duration::from_millis(999)), Some(5), (0, 86_400)),
        (seconds(86_401), None, (86_401, 86_400)),
        (Some(Duration::MAX), None, (u64::MAX, 86_400)),
        (None, Some(0), (0, 10_000)),
        (seconds(5), Some(10_001), (10_001, 10_000)),
        (None, Some(u64::MAX), (u64::MAX, 10_000)),
    ] {
        for stream in [&stream, &missing] {
            match stream.configure_producers(duration, max_len) {
                Err(Error::OutOfRange { setting, value, min, max, .. }) => {
                    assert_eq!((value, min, max), (wrong.0, 1, wrong.1), "{setting}");
                    assert_eq!(setting.contains("time"), wrong.1 == 86_400, "{setting}");
                }
                other => panic!("{duration:?}, {max_len:?}: {other:?}"),
            }
        }
    }
    assert!(matches!(missing.configure_producers(seconds(1), None), Err(Error::StreamNotFound { .. })));
    assert_eq!(state(&store), before);
    stream.configure_producers(seconds(86_400), Some(10_000)).unwrap();
    stream.configure_producers(Some(Duration::from_millis(1999)), Some(1)).unwrap();
    let producers = stream.info().unwrap().producers;
    assert_eq!((producers.duration, producers.max_len), (Duration::from_secs(1), 1));
}

fn counts(stream: &Stream) -> Vec<(u64, Option<Vec<u8>>, u64)> {
    let pending = stream.group("g").pending_entries().run().unwrap();
    pending.into_iter().map(|entry| (entry.id.ms(), entry.consumer, entry.delivery_count)).collect()
}

/// Extremes are not mistakes: they are taken for the most there is.
#[test]
fn extremes_do_what_they_say() {
    let store = store_with_group();
    let stream = store.stream("s").unwrap();
    let group = stream.group("g");
    let (a, b) = (group.consumer("a"), group.consumer("b"));
    let most = i64::MAX as u64;
    // Nothing has been idle for that long.
    assert!(b.claim(Duration::MAX, [id(1), id(2)]).run().unwrap().is_empty());
    assert!(b.auto_claim(Duration::MAX).count(u64::MAX).run().unwrap().entries.is_empty());
    assert!(b.read().claim(Duration::MAX).count(u64::MAX).deliveries().unwrap().len() == 1, "it is new");
    b.ack([id(3)]).unwrap();
    // Counts saturate.
    b.claim(Duration::ZERO, [id(1)]).delivery_count(u64::MAX).run().unwrap();
    b.claim(Duration::ZERO, [id(1), id(1)]).run().unwrap();
    group.release_with([id(2)], ReleaseOptions::new(Release::Silent).delivery_count(u64::MAX)).unwrap();
    assert_eq!(counts(&stream), [(1, Some(b"b".to_vec()), most), (2, None, most)]);
    // Times that cannot be are now.
    let far = UNIX_EPOCH + Duration::from_secs(1 << 40);
    for time in [SystemTime::UNIX_EPOCH - Duration::from_secs(1), far] {
        a.claim(Duration::ZERO, [id(1)]).delivered_at(time).run().unwrap();
        let pending = group.pending_entries().consumer("a").run().unwrap();
        assert!(pending[0].idle < Duration::from_secs(60));
    }
    a.claim(Duration::ZERO, [id(1)]).idle(Duration::MAX).run().unwrap();
    assert!(group.pending_entries().consumer("a").run().unwrap()[0].idle < Duration::from_secs(60));
    // Ranges of nothing, and to the ends.
    let listed = |ids: std::ops::RangeInclusive<StreamId>| group.pending_entries().ids(ids).run().unwrap().len();
    assert_eq!((listed(id(2)..=id(1)), listed(StreamId::MIN..=StreamId::MAX)), (0, 2));
    assert!(group.pending_entries().ids(StreamId::MAX..StreamId::MAX).run().unwrap().is_empty());
    assert!(a.read().history(StreamId::MAX).unwrap().is_empty());
    assert_eq!(b.auto_claim(Duration::ZERO).start(StreamId::MAX).run().unwrap().next, None);
    assert_eq!(b.auto_claim(Duration::ZERO).count(0).run().unwrap().ids.len(), 1, "at least one");
    // Positions beyond the end, and more read than ever added.
    group.set_position(Position::After(StreamId::MAX), Some(u64::MAX)).unwrap();
    assert_eq!(group.info().unwrap().entries_read, Some(3));
    stream.add_with(AddOptions::new().id(StreamId::MAX), [("f", "v")]).unwrap();
    assert!(a.read().new_entries().unwrap().is_empty());
    group.set_position(Position::Start, None).unwrap();
    assert_eq!(a.read().block(Duration::MAX).max_count(u64::MAX).max_size(u64::MAX).new_entries().unwrap().len(), 4);
    assert_eq!(group.info().unwrap().lag, Some(0));
}

#[test]
fn a_name_that_is_too_long_is_refused_and_changes_nothing() {
    let store = Store::in_memory();
    let stream = store.stream("orders").unwrap();
    stream.add([("order", "o1")]).unwrap();
    let (longest, longer) = (vec![b'k'; KEY_LEN_MAX], vec![b'k'; KEY_LEN_MAX + 1]);
    let refused = |error: Option<Error>| {
        let Some(Error::NameTooLong { len, max, .. }) = error else { panic!("{error:?}") };
        assert_eq!((len, max), (KEY_LEN_MAX + 1, KEY_LEN_MAX));
    };
    let produced = |producer, id| {
        let once = AddOptions::new().production(Production::Named { producer, id });
        stream.add_with(once, [("order", "o2")])
    };
    let group = stream.group(&longest);
    refused(stream.group(&longer).create(Position::Start).err());
    group.create(Position::Start).unwrap();
    refused(group.consumer(&longer).create().err());
    refused(group.consumer(&longer).read().new_entries().err());
    refused(produced(&longer, b"id").err());
    refused(produced(b"producer", &longer).err());
    let first = stream.first().unwrap().unwrap().id();
    refused(stream.remember_production(b"producer", &longer, first).err());
    refused(
        store
            .stream("new")
            .unwrap()
            .group(&longer)
            .create_with(GroupOptions::new(Position::Start).create_stream())
            .err(),
    );
    assert!(!store.exists("new").unwrap());

    // What is as long as it may be works, and so does everything after a refusal.
    assert_eq!(group.consumer(&longest).read().new_entries().unwrap().len(), 1);
    let made = produced(&longest, &longest).unwrap();
    assert_eq!(produced(&longest, &longest).unwrap(), made);
    assert_eq!((stream.len().unwrap(), stream.groups().unwrap().len(), group.info().unwrap().pending), (2, 1, 1));
}

/// Whatever was delivered is handed over: it is pending now, and nobody else gets it.
#[test]
fn a_read_that_begins_with_a_consumer_hands_over_what_other_streams_have() {
    let store = store_with_group();
    let (stream, other) = (store.stream("s").unwrap(), store.stream("t").unwrap());
    for ms in 4..=5 {
        other.add_with(AddOptions::new().id(id(ms)), [("f", "v")]).unwrap();
    }
    other.group("g").create(Position::Start).unwrap();
    let b = stream.group("g").consumer("b");
    let read = || b.read().count(1).stream(&other, GroupReadFrom::New);
    let ids: Vec<_> = read().new_entries().unwrap().iter().map(|entry| entry.id()).collect();
    assert_eq!(ids, [id(3), id(4)]);
    let found = read().run().unwrap();
    assert_eq!(found.len(), 1, "its own stream is read, too, and comes first");
    assert_eq!((found[0].0, found[0].1[0].id), (1, id(5)));
    let history = b.read().stream(&other, GroupReadFrom::History(StreamId::MIN)).history(StreamId::MIN).unwrap();
    assert_eq!(history.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id(3), id(4), id(5)]);
    let own = b.read().block(Duration::from_millis(1)).run().unwrap();
    assert!(own.is_empty());
    stream.add_with(AddOptions::new().id(id(9)), [("f", "v")]).unwrap();
    let own = b.read().block(Block::Forever).run().unwrap();
    assert_eq!((own[0].0, own[0].1[0].id), (0, id(9)));
}
