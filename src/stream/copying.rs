//! The content of a stream, added to another one.

use crate::format::new_entries::NewEntries;
use crate::log::cursor::Cursor;
use crate::stream::inner::Inner;
use crate::{NewId, Result, SetId, StreamId};

impl Inner {
    /// Adds all entries of this stream, with what else makes it up, to one that has none.
    pub fn copy_into(&self, copy: &Inner) -> Result<()> {
        /// So many bytes go into one frame, about.
        const BATCH_LEN: u64 = 64 << 10;
        let (tail, aside) = self.snapshot()?;
        let mut batch = NewEntries::default();
        let mut len = 0;
        let mut cursor = Cursor::new(self.log.view_to(tail), StreamId::MIN, StreamId::MAX);
        loop {
            let entry = cursor.next_entry().transpose()?;
            if entry.is_none() || len >= BATCH_LEN {
                if !batch.list.is_empty() {
                    copy.add(&mut batch, None)?;
                }
                batch.clear();
                len = 0;
            }
            let Some(entry) = entry else { break };
            entry.fields().for_each(|(name, value)| batch.put_field(name, value));
            len += batch.complete(NewId::Exact(entry.id())).len;
        }
        let set = SetId::new(tail.last_id).entries_added(tail.entries_added);
        copy.set_id(&set.max_deleted_id(aside.state.max_deleted_id))?;
        copy.take_groups(aside)?;
        copy.store_retention(self.retention()).map(|_| ())
    }
}
