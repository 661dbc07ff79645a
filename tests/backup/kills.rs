//! Promise: a backup that is killed leaves the one that was there before, or the new one.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{add, assert_sound, dump, fill, options};

fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let given = std::env::var("STREAMLOG_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| std::collections::hash_map::RandomState::new().build_hasher().finish());
    println!("STREAMLOG_SEED={seed}");
    seed
}

#[test]
fn a_killed_backup_leaves_the_old_one_or_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let [path, copy] = ["data", "copy"].map(|name| dir.path().join(name));
    let store = options().open(&path).unwrap();
    fill(&store);
    for stream in 0..20 {
        add(&store, &format!("stream {stream}"), 1..50);
    }
    store.backup(&copy).unwrap();
    let mut number = seed();
    let (mut old, mut new) = (0, 0);
    for round in 0..25 {
        let before = dump(&copy);
        add(&store, "orders", 300 + round * 10..310 + round * 10);
        let after = dump(&path);
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamlog"));
        command.arg("--store").arg(&path).arg("backup").arg(&copy).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros((number >> 33) % 60_000));
        let _ = child.kill();
        child.wait().unwrap();
        let found = dump(&copy);
        assert!(found == before || found == after, "round {round}: neither the old backup nor the new one");
        if found == before {
            old += 1
        } else {
            new += 1
        }
        assert_sound(&copy);
    }
    println!("{old} times the old backup, {new} times the new one");
    assert!(old > 0, "none was killed in the middle");
    // What the last one has left is in nobody's way.
    store.backup(&copy).unwrap();
    assert_eq!(dump(&copy), dump(&path));
    assert_eq!(dir.path().read_dir().unwrap().count(), 2);
}
