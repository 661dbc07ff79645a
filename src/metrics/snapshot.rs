//! Taking a snapshot.

use std::sync::Weak;

use crate::format::file_name::File as FileName;
use crate::metrics::{Metrics, StreamMetrics};
use crate::store::catalog::Catalog;
use crate::stream::inner::Inner;
use crate::{Error, Result};

impl Catalog {
    pub fn metrics(&self) -> Result<Metrics> {
        let env = self.env();
        let streams = self.count()?;
        // Held one by one: a stream that is held is not closed when another one needs its descriptors.
        let open = self.all_open();
        let open = open.iter().filter_map(Weak::upgrade).filter(|inner| !inner.is_retired());
        let mut open_streams: Vec<_> = open.map(|inner| inner.metrics()).collect();
        open_streams.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let poisoned = match env.latch.check() {
            Err(Error::Poisoned { cause }) => Some(cause),
            _ => None,
        };
        Ok(Metrics {
            age: env.operations.age(),
            streams,
            open_streams,
            readers_waiting: env.waiters.count() as u64,
            poisoned,
            syncs: env.operations.syncs.snapshot(),
            operations: env.operations.counts(),
        })
    }
}

impl Inner {
    fn metrics(&self) -> StreamMetrics {
        let tail = self.log.tail();
        // What cannot be told is left out, so that one stream does not keep the numbers of all others back.
        let groups = self.group_infos().unwrap_or_default();
        let files = self.place.list().unwrap_or_default();
        let size = |name: &String| self.place.size(name).unwrap_or(0);
        let segments = files.iter().filter(|(name, _)| matches!(FileName::parse(name), Some(FileName::Segment(_))));
        StreamMetrics {
            name: self.name.to_vec(),
            entries: self.log.len(&tail),
            entries_added: tail.entries_added,
            last_id: tail.last_id,
            segments: segments.count() as u64,
            bytes: files.iter().map(|(name, _)| size(name)).sum(),
            groups,
        }
    }
}
