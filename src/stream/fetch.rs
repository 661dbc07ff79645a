//! Looking up entries whose IDs ascend, as those of a pending entries list do.

use crate::log::View;
use crate::log::cursor::Cursor;
use crate::{Entry, Error, Result, StreamId};

/// So many entries are passed over before the next one is searched for anew.
const STEPS_MAX: usize = 32;

/// Finds entries by their IDs; cheap where one is soon after the one before, right in any order.
#[derive(Debug)]
pub struct Fetcher {
    view: View,
    /// What is damaged counts as gone.
    passes_damage: bool,
    cursor: Option<Cursor>,
    /// What the cursor gave last.
    ahead: Option<Entry>,
    /// Where the cursor came to its end, if it did: there is nothing from here on.
    end: Option<StreamId>,
}

impl Fetcher {
    pub fn new(view: View, passes_damage: bool) -> Self {
        Self { view, passes_damage, cursor: None, ahead: None, end: None }
    }

    /// The living entry with this ID.
    pub fn get(&mut self, id: StreamId) -> Result<Option<Entry>> {
        Ok(self.find(id)?.cloned())
    }

    pub fn exists(&mut self, id: StreamId) -> Result<bool> {
        Ok(self.find(id)?.is_some())
    }

    fn find(&mut self, id: StreamId) -> Result<Option<&Entry>> {
        match self.seek(id) {
            Err(Error::Corrupt { .. }) if self.passes_damage => return Ok(None),
            sought => sought?,
        }
        Ok(self.ahead.as_ref().filter(|entry| entry.id() == id))
    }

    /// Goes on to the first entry at or above `id`.
    fn seek(&mut self, id: StreamId) -> Result<()> {
        if self.end.is_some_and(|end| id >= end) {
            self.ahead = None;
            return Ok(());
        }
        match &self.ahead {
            Some(ahead) if ahead.id() == id => return Ok(()),
            Some(ahead) if ahead.id() < id => {
                for _ in 0..STEPS_MAX {
                    // What is damaged on the way there is of no concern.
                    if self.step(id).is_err() {
                        break;
                    }
                    if self.ahead.as_ref().is_none_or(|ahead| ahead.id() >= id) {
                        return Ok(());
                    }
                }
            }
            _ => {}
        }
        self.cursor = Some(Cursor::new(self.view.clone(), id, StreamId::MAX));
        self.step(id)
    }

    fn step(&mut self, id: StreamId) -> Result<()> {
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        let next = cursor.next_entry().transpose();
        if next.is_err() {
            // What is damaged is asked for again the next time.
            (self.cursor, self.ahead) = (None, None);
        }
        self.ahead = next?;
        if self.ahead.is_none() {
            self.end = Some(self.end.map_or(id, |end| end.min(id)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddOptions, Store};

    #[test]
    fn entries_are_found_in_any_order() {
        let store = Store::in_memory();
        let stream = store.stream("s").unwrap();
        let id = |ms| StreamId::new(ms, 0);
        let step = if cfg!(miri) { 20 } else { 2 };
        let there = |ms: &u64| (2..=400).contains(ms) && ms % step == 2 % step;
        for ms in (0..=400).filter(there) {
            stream.add_with(AddOptions::new().id(id(ms)), [("ms", ms.to_string())]).unwrap();
        }
        stream.delete([id(102)]).unwrap();
        let mut fetcher = Fetcher::new(stream.inner().unwrap().unwrap().view(), false);
        let up = (1..=410).step_by(if cfg!(miri) { 7 } else { 1 });
        let hops = [7, 6, 6, 400, 401, 399, 398, 2, 1, 300, 100, 98, 102, 409, 2];
        for ms in up.chain(hops) {
            let found = fetcher.get(id(ms)).unwrap().map(|entry| entry.id());
            let expected = (there(&ms) && ms != 102).then_some(id(ms));
            assert_eq!(found, expected, "{ms}");
            assert_eq!(fetcher.exists(id(ms)).unwrap(), expected.is_some());
        }
    }
}
