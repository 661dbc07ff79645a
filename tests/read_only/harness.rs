//! What tests have in common: a writer and a reader of the same directory, and what each of them sees.

use std::time::Duration;

use streamlog::{
    Durability, Entry, GroupDetail, Options, ReadOnlyStore, ReadOnlyStream, Result, Store, Stream, StreamId, StreamInfo,
};

pub fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// Segments and journals that are replaced often.
pub fn options(level: Durability) -> Options {
    Options::new().durability(level).segment_bytes_max(8 << 10).checkpoint_bytes_min(4 << 10)
}

/// A directory with a store that is open, and the same store as another process would see it.
pub fn pair(level: Durability) -> (tempfile::TempDir, Store, ReadOnlyStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = options(level).open(directory.path()).unwrap();
    let reader = Store::open_read_only(directory.path()).unwrap();
    (directory, store, reader)
}

/// All that can be seen of a stream.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub entries: Vec<Entry>,
    /// As text: it cannot be compared.
    pub info: String,
    pub groups: Vec<GroupDetail>,
}

/// `None` if there is no such stream.
pub fn of_writer(stream: &Stream) -> Option<Seen> {
    let exists = stream.exists().unwrap();
    exists.then(|| seen(stream.range(..).collect(), stream.info(), stream.group_details(1000)))
}

pub fn of_reader(stream: &ReadOnlyStream) -> Option<Seen> {
    let exists = stream.exists().unwrap();
    exists.then(|| seen(stream.range(..).collect(), stream.info(), stream.group_details(1000)))
}

/// Without what depends on when it is asked, and on how many files there are.
fn seen(entries: Result<Vec<Entry>>, info: Result<StreamInfo>, groups: Result<Vec<GroupDetail>>) -> Seen {
    let (mut info, mut groups) = (info.unwrap(), groups.unwrap());
    info.segments = 0;
    for group in &mut groups {
        group.pending.iter_mut().for_each(|entry| entry.idle = Duration::ZERO);
        for (consumer, entries) in &mut group.consumers {
            (consumer.idle, consumer.inactive) = (Duration::ZERO, None);
            entries.iter_mut().for_each(|entry| entry.idle = Duration::ZERO);
        }
    }
    Seen { entries: entries.unwrap(), info: format!("{info:?}"), groups }
}

/// Small and repeatable.
pub struct Random(u64);

impl Random {
    /// From the environment, or another one each time; says which.
    pub fn new() -> Self {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = std::env::var("STREAMLOG_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(clock);
        println!("STREAMLOG_SEED={seed}");
        Self(seed)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % end
    }
}
