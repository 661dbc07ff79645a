//! A step out of order is noticed, and the same step in its order is not.

use super::*;
use crate::format::entries::SEAL;
use crate::format::header::Header;
use crate::format::record::{self, Head, Salt};

/// A store with a stream `s` of a sealed segment, an active one, and a journal, all of it durable.
struct Laid {
    disk: Arc<SimDisk>,
}

const SEGMENT: &str = "streams/s/00000000000000000001.log";
const ACTIVE: &str = "streams/s/00000000000000000009.log";
const NEXT: &str = "streams/s/00000000000000000012.log";
const NEXT_NEW: &str = "streams/s/00000000000000000012.log.new";
const JOURNAL: &str = "streams/s/00000000000000000001.journal";
const JOURNAL_NEW: &str = "streams/s/00000000000000000002.journal.new";
const JOURNAL_NEXT: &str = "streams/s/00000000000000000002.journal";

impl Laid {
    fn new() -> Self {
        let disk = SimDisk::new();
        for directory in ["streams", "tmp", "streams/s"] {
            disk.create_dir(path(directory)).unwrap();
        }
        for directory in ["", "streams"] {
            disk.sync_dir(path(directory)).unwrap();
        }
        for (name, len) in [(SEGMENT, 4096), (ACTIVE, 4096), (JOURNAL, 4096), ("streams/s/meta", 8192)] {
            disk.create(path(name), len).unwrap().sync().unwrap();
        }
        disk.sync_dir(path("streams/s")).unwrap();
        Self { disk }
    }

    fn write(&self, name: &str, offset: u64) -> &Self {
        self.disk.open(path(name), Access::Write).unwrap().write_at(offset, b"bytes").unwrap();
        self
    }

    fn sync(&self, name: &str) -> &Self {
        self.disk.open(path(name), Access::Write).unwrap().sync().unwrap();
        self
    }

    fn fail_to_sync(&self, name: &str) -> &Self {
        let file = self.disk.open(path(name), Access::Write).unwrap();
        self.disk.fail_at(self.disk.calls(), ErrorKind::Other, false);
        file.sync().unwrap_err();
        self
    }

    fn create(&self, name: &str) -> &Self {
        self.disk.create(path(name), 4096).unwrap();
        self
    }

    fn rename(&self, from: &str, to: &str) -> &Self {
        self.disk.rename(path(from), path(to)).unwrap();
        self
    }

    fn remove(&self, name: &str) -> &Self {
        self.disk.remove_file(path(name)).unwrap();
        self
    }

    fn create_dir(&self, name: &str) -> &Self {
        self.disk.create_dir(path(name)).unwrap();
        self
    }

    fn sync_dir(&self, name: &str) -> &Self {
        self.disk.sync_dir(path(name)).unwrap();
        self
    }

    fn begin_journal(&self) -> &Self {
        self.create(JOURNAL_NEW).write(JOURNAL_NEW, 0).sync(JOURNAL_NEW)
    }

    fn begin_segment(&self) -> &Self {
        self.create(NEXT_NEW).write(NEXT_NEW, 0).sync(NEXT_NEW)
    }

    fn intend(&self) -> &Self {
        self.create("intent.new").sync("intent.new").rename("intent.new", "intent")
    }

    /// A stream that is yet to be synced.
    fn build(&self) -> &Self {
        self.create_dir("tmp/x").create("tmp/x/meta").write("tmp/x/meta", 0)
    }

    fn identify(&self) -> &Self {
        let lock = self.disk.open(path("LOCK"), Access::Write).unwrap();
        lock.write_at(0, &crate::format::store::encode_lock(&[1; 16])).unwrap();
        self
    }

    fn renew_tmp(&self) -> &Self {
        self.disk.remove_dir(path("tmp")).unwrap();
        self.disk.lock(path("LOCK")).unwrap();
        self.create_dir("tmp")
    }

    /// Seals the active segment, and syncs it.
    fn seal(&self) -> &Self {
        let header = Header { base: 9, ..Header::sample() };
        let mut content = Vec::from(header.encode());
        let at = content.len() as u64;
        let head = Head { kind: SEAL, ..Head::default() };
        let salt = Salt::of(&header.file);
        record::encode(&mut content, salt, at, &head, &[b"seal"]);
        self.disk.open(path(ACTIVE), Access::Write).unwrap().write_at(0, &content).unwrap();
        self.sync(ACTIVE)
    }
}

type Steps = for<'a> fn(&'a Laid) -> &'a Laid;

/// What is said of these steps, if they are out of order.
fn violation(steps: Steps) -> Option<String> {
    let laid = Laid::new();
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        steps(&laid);
    }));
    let said = done.err().map(|panic| panic.downcast_ref::<String>().cloned().expect("a message"));
    // So that the disk does not say it once more.
    std::mem::take(&mut laid.disk.state.lock().order);
    said
}

/// The first steps are out of order by this rule; the second ones, almost the same, are not.
fn rule(name: &str, bad: Steps, good: Steps) {
    let said = violation(bad).unwrap_or_else(|| panic!("{name} is not noticed"));
    assert!(said.contains(&format!(": {name}: ")), "{name}: {said}");
    assert_eq!(violation(good), None, "{name}, in order");
}

#[test]
fn a_journal_that_is_synced_before_the_log_is_out_of_order() {
    rule(
        "O1",
        |laid| laid.write(ACTIVE, 0).write(JOURNAL, 0).sync(JOURNAL),
        |laid| laid.write(ACTIVE, 0).write(JOURNAL, 0).sync(ACTIVE).sync(JOURNAL),
    );
    // A sync that failed is none, and another one does not write what it had lost.
    rule(
        "O1",
        |laid| laid.write(ACTIVE, 0).write(JOURNAL, 0).fail_to_sync(ACTIVE).sync(ACTIVE).sync(JOURNAL),
        |laid| laid.write(ACTIVE, 0).write(JOURNAL, 0).fail_to_sync(ACTIVE).write(ACTIVE, 0).sync(ACTIVE).sync(JOURNAL),
    );
    // What was added since is another matter.
    assert_eq!(violation(|laid| laid.write(JOURNAL, 0).write(ACTIVE, 0).sync(JOURNAL)), None);
}

#[test]
fn an_append_to_a_file_whose_name_may_be_lost_is_out_of_order() {
    rule(
        "O2",
        |laid| laid.begin_journal().rename(JOURNAL_NEW, JOURNAL_NEXT).write(JOURNAL_NEXT, 10),
        |laid| laid.begin_journal().rename(JOURNAL_NEW, JOURNAL_NEXT).sync_dir("streams/s").write(JOURNAL_NEXT, 10),
    );
    rule(
        "O2",
        |laid| laid.rename("streams/s", "streams/t").write("streams/t/meta", 0),
        |laid| laid.rename("streams/s", "streams/t").sync_dir("streams").write("streams/t/meta", 0),
    );
}

#[test]
fn a_stream_that_appears_before_it_is_durable_is_out_of_order() {
    rule(
        "O3",
        |laid| laid.build().sync_dir("tmp/x").rename("tmp/x", "streams/x"),
        |laid| laid.build().sync("tmp/x/meta").sync_dir("tmp/x").rename("tmp/x", "streams/x"),
    );
    rule(
        "O3",
        |laid| laid.build().sync("tmp/x/meta").rename("tmp/x", "streams/x"),
        |laid| laid.build().sync_dir("tmp/x").sync("tmp/x/meta").rename("tmp/x", "streams/x"),
    );
}

#[test]
fn a_file_that_gets_its_name_before_its_content_is_out_of_order() {
    rule(
        "O4",
        |laid| laid.create(JOURNAL_NEW).write(JOURNAL_NEW, 0).rename(JOURNAL_NEW, JOURNAL_NEXT),
        |laid| laid.create(JOURNAL_NEW).write(JOURNAL_NEW, 0).sync(JOURNAL_NEW).rename(JOURNAL_NEW, JOURNAL_NEXT),
    );
    rule(
        "O4",
        |laid| laid.create("intent.new").rename("intent.new", "intent"),
        |laid| laid.create("intent.new").sync("intent.new").rename("intent.new", "intent"),
    );
}

#[test]
fn a_segment_before_its_predecessor_is_complete_is_out_of_order() {
    rule(
        "O5",
        |laid| laid.seal().write(ACTIVE, 1000).begin_segment().rename(NEXT_NEW, NEXT),
        |laid| laid.seal().begin_segment().rename(NEXT_NEW, NEXT),
    );
    // Synced, but not sealed.
    rule(
        "O5",
        |laid| laid.write(ACTIVE, 0).sync(ACTIVE).begin_segment().rename(NEXT_NEW, NEXT),
        |laid| laid.seal().begin_segment().rename(NEXT_NEW, NEXT),
    );
}

#[test]
fn a_segment_that_goes_before_that_is_durable_is_out_of_order() {
    rule(
        "O6",
        |laid| laid.write(JOURNAL, 0).remove(SEGMENT),
        |laid| laid.write(JOURNAL, 0).sync(JOURNAL).remove(SEGMENT),
    );
    rule("O6", |laid| laid.remove(ACTIVE).remove(SEGMENT), |laid| laid.remove(SEGMENT).remove(ACTIVE));
}

#[test]
fn a_journal_that_goes_before_the_next_one_is_there_is_out_of_order() {
    rule(
        "O7",
        |laid| laid.begin_journal().rename(JOURNAL_NEW, JOURNAL_NEXT).remove(JOURNAL),
        |laid| laid.begin_journal().rename(JOURNAL_NEW, JOURNAL_NEXT).sync_dir("streams/s").remove(JOURNAL),
    );
}

#[test]
fn a_slot_that_is_written_before_the_other_is_synced_is_out_of_order() {
    const META: &str = "streams/s/meta";
    rule(
        "O8",
        |laid| laid.write(META, 0).write(META, 4096),
        |laid| laid.write(META, 0).write(META, 0).sync(META).write(META, 4096),
    );
}

#[test]
fn what_is_done_to_streams_before_the_names_are_durable_is_out_of_order() {
    rule(
        "O9",
        |laid| laid.rename("streams/s", "tmp/gone").remove("tmp/gone/meta"),
        |laid| laid.rename("streams/s", "tmp/gone").sync_dir("streams").remove("tmp/gone/meta"),
    );
    rule(
        "O10",
        |laid| laid.intend().rename("streams/s", "streams/t"),
        |laid| laid.intend().sync_dir("").rename("streams/s", "streams/t").sync_dir("streams").remove("intent"),
    );
    rule(
        "O10",
        |laid| laid.intend().sync_dir("").rename("streams/s", "streams/t").remove("intent"),
        |laid| laid.intend().sync_dir("").remove("intent"),
    );
}

#[test]
fn an_identity_without_directories_is_out_of_order() {
    rule("O11", |laid| laid.renew_tmp().identify(), |laid| laid.renew_tmp().sync_dir("").identify());
}

#[test]
#[should_panic(expected = "out of order")]
fn what_a_thread_did_out_of_order_ends_the_test_that_did_not_see_it() {
    let laid = Laid::new();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            laid.write(ACTIVE, 0).write(JOURNAL, 0).sync(JOURNAL);
        });
        assert!(thread.join().is_err());
    });
}
