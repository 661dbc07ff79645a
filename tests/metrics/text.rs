//! What collectors read.

use streamlog::{Position, Store};

use crate::exposition::{Samples, parse};

fn value(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    *samples.get(&(name.to_owned(), labels)).unwrap_or_else(|| panic!("there is no {name}"))
}

#[test]
fn a_snapshot_is_open_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let orders = store.stream("orders").unwrap();
    (0..3).for_each(|_| _ = orders.add([("f", "v")]).unwrap());
    let workers = orders.group("workers");
    workers.create(Position::Start).unwrap();
    workers.consumer("alice").read().count(1).new_entries().unwrap();
    let metrics = store.metrics().unwrap();
    let samples = parse(&metrics.open_metrics());
    let of_stream = [("stream", "orders")];
    assert_eq!(value(&samples, "streamlog_streams", &[]), 1.0);
    assert_eq!(value(&samples, "streamlog_stream_entries", &of_stream), 3.0);
    assert_eq!(value(&samples, "streamlog_stream_entries_added_total", &of_stream), 3.0);
    assert!(value(&samples, "streamlog_stream_size_bytes", &of_stream) > 4096.0);
    let of_group = [("stream", "orders"), ("group", "workers")];
    assert_eq!(value(&samples, "streamlog_group_pending_entries", &of_group), 1.0);
    assert_eq!(value(&samples, "streamlog_group_lag_entries", &of_group), 2.0);
    assert_eq!(value(&samples, "streamlog_group_entries_read_total", &of_group), 1.0);
    assert_eq!(value(&samples, "streamlog_operations_total", &[("operation", "open_store")]), 1.0);
    let syncs = metrics.syncs.count() as f64;
    assert_eq!(value(&samples, "streamlog_sync_duration_seconds_count", &[]), syncs);
    assert!(
        (value(&samples, "streamlog_sync_duration_seconds_sum", &[]) - metrics.syncs.total().as_secs_f64()).abs()
            < 1e-9
    );
}

/// Every name the documentation lists is there, and no other.
#[test]
fn the_metrics_are_those_that_are_documented() {
    let store = Store::in_memory();
    let stream = store.stream("s").unwrap();
    stream.add([("f", "v")]).unwrap();
    stream.group("g").create(Position::Start).unwrap();
    let text = store.metrics().unwrap().open_metrics();
    let written: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let source = include_str!("../../src/metrics/mod.rs");
    let documented: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `streamlog_")?.split('`').next())
        .map(|name| name.trim_end_matches("_total"))
        .collect();
    assert_eq!(written, documented.iter().map(|name| format!("streamlog_{name}")).collect::<Vec<_>>());
}

#[test]
fn any_names_make_labels_that_can_be_read() {
    let store = Store::in_memory();
    let names: [&[u8]; 9] = [
        b"",
        b"\"",
        b"\\",
        b"\\\"\\n",
        b"a\nb",
        b"\xff\xfe",
        b"\\xff",
        "B\u{fc}cher {x=\"y\"} 1".as_bytes(),
        b"\0\x7f",
    ];
    for name in names {
        let stream = store.stream(name).unwrap();
        stream.add([("f", "v")]).unwrap();
        names.iter().for_each(|group| stream.group(group).create(Position::End).unwrap());
    }
    let samples = parse(&store.metrics().unwrap().open_metrics());
    let of = |name: &str| samples.keys().filter(|(found, _)| found == name).count();
    assert_eq!(of("streamlog_stream_entries"), names.len());
    assert_eq!(of("streamlog_group_pending_entries"), names.len() * names.len());
}
