//! Setting the last ID.

use crate::format::journal::Change;
use crate::format::new_entries::NewEntries;
use crate::log::cursor::Cursor;
use crate::stream::change::Planned;
use crate::stream::inner::{Inner, Outcome};
use crate::stream::options::SetId;
use crate::{Error, Result, SetIdConflict, StreamId};

impl Inner {
    /// Sets the last ID.
    pub fn set_id(&self, set: &SetId) -> Result<Outcome<()>> {
        let done = self.change(|append, journaling| {
            let appender = &append.appender;
            let conflict = |reason| Err(Error::SetId { id: set.last_id, reason });
            if set.max_deleted_id.is_some_and(|id| id > set.last_id) {
                return conflict(SetIdConflict::BelowGivenMaxDeleted);
            }
            if set.last_id < journaling.state.max_deleted_id {
                return conflict(SetIdConflict::BelowMaxDeleted);
            }
            let view = self.log.view_to(appender.tail());
            let newest = Cursor::new(view, StreamId::MIN, StreamId::MAX).next_position_back();
            if let Some(newest) = newest.transpose()? {
                if set.last_id < newest.id {
                    return conflict(SetIdConflict::BelowNewestEntry);
                }
                if set.entries_added.is_some_and(|added| added < self.log.len(&appender.tail())) {
                    return conflict(SetIdConflict::AddedBelowLength);
                }
            }
            let given = set.max_deleted_id.filter(|&id| id != StreamId::MIN);
            let change = Change::SetId {
                last_id: set.last_id,
                entries_added: set.entries_added.unwrap_or(appender.entries_added),
                max_deleted_id: given.unwrap_or(journaling.state.max_deleted_id),
            };
            Ok(Planned::change(change, ()))
        })?;
        if matches!(done, Outcome::Gone) {
            return Ok(Outcome::Gone);
        }
        if !self.env.is_durable_first() {
            self.post();
        }
        self.lower_ceiling()?;
        // After it was set back, what is above it has to go before anything is added.
        if self.set_back() {
            self.rotate(&NewEntries::default())?;
        }
        Ok(Outcome::Done(()))
    }

    fn set_back(&self) -> bool {
        let append = self.append.lock();
        append.appender.last_id < append.appender.written_id
    }
}
