//! The streams that are open, and which of them to close next.
//!
//! The one that was not used for longest is found without looking at the others: each stands in a queue by a use of its, which
//! is the last one or an older one. Who comes to the front by an older one goes back to where it belongs, so a lookup, of which
//! there are many more, only counts. Those that somebody is using are passed over.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::hash::HashMap;

/// Streams by name.
#[derive(Debug)]
pub struct OpenStreams<T> {
    by_name: HashMap<Arc<[u8]>, Open<T>>,
    /// The names, by a use that no other has.
    queue: BTreeMap<u64, Arc<[u8]>>,
    uses: u64,
}

#[derive(Debug)]
struct Open<T> {
    stream: Arc<T>,
    used: u64,
    /// Where it stands in the queue, which is not behind `used`.
    queued: u64,
}

impl<T> Default for OpenStreams<T> {
    fn default() -> Self {
        Self { by_name: HashMap::default(), queue: BTreeMap::new(), uses: 0 }
    }
}

impl<T> OpenStreams<T> {
    pub fn count(&self) -> usize {
        self.by_name.len()
    }

    pub fn contains(&self, name: &[u8]) -> bool {
        self.by_name.contains_key(name)
    }

    /// The stream of this name, which is used now.
    pub fn find(&mut self, name: &[u8]) -> Option<Arc<T>> {
        self.uses += 1;
        let open = self.by_name.get_mut(name)?;
        open.used = self.uses;
        Some(Arc::clone(&open.stream))
    }

    /// Adds a stream, which is used now; it takes the place of another one of its name.
    pub fn insert(&mut self, name: &[u8], stream: Arc<T>) {
        self.take(name);
        self.uses += 1;
        let name: Arc<[u8]> = name.into();
        self.queue.insert(self.uses, Arc::clone(&name));
        self.by_name.insert(name, Open { stream, used: self.uses, queued: self.uses });
    }

    pub fn take(&mut self, name: &[u8]) -> Option<Arc<T>> {
        let open = self.by_name.remove(name)?;
        self.queue.remove(&open.queued);
        Some(open.stream)
    }

    /// Takes out all streams.
    pub fn take_all(&mut self) -> Vec<Arc<T>> {
        self.queue.clear();
        self.by_name.drain().map(|(_, open)| open.stream).collect()
    }

    /// All streams, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Arc<T>)> {
        self.by_name.iter().map(|(name, open)| (&**name, &open.stream))
    }

    /// Of the streams that nobody is using, the one that was not used for longest.
    pub fn idle(&mut self) -> Option<Arc<T>> {
        let mut from = 0;
        while let Some((&queued, name)) = self.queue.range(from..).next() {
            from = queued + 1;
            let Some(open) = self.by_name.get_mut(name) else { continue };
            if open.used > queued {
                // Looked at again when all that were used before it have been.
                open.queued = open.used;
                let name = Arc::clone(name);
                self.queue.remove(&queued);
                self.queue.insert(open.used, name);
            } else if Arc::strong_count(&open.stream) == 1 {
                return Some(Arc::clone(&open.stream));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(names: &[&str]) -> OpenStreams<String> {
        let mut open = OpenStreams::default();
        names.iter().for_each(|name| open.insert(name.as_bytes(), Arc::new((*name).to_owned())));
        open
    }

    fn idle(open: &mut OpenStreams<String>) -> Option<String> {
        let name = open.idle().map(|stream| (*stream).clone())?;
        open.take(name.as_bytes());
        Some(name)
    }

    #[test]
    fn the_one_that_was_not_used_for_longest_is_next() {
        let mut open = with(&["a", "b", "c", "d"]);
        for name in ["b", "a", "none", "b"] {
            open.find(name.as_bytes());
        }
        let order: Vec<_> = std::iter::from_fn(|| idle(&mut open)).collect();
        assert_eq!(order, ["c", "d", "a", "b"]);
        assert_eq!((open.count(), open.queue.len()), (0, 0));
    }

    #[test]
    fn what_somebody_uses_is_passed_over_until_it_is_let_go() {
        let mut open = with(&["a", "b"]);
        let used = open.find(b"a");
        assert_eq!(idle(&mut open).as_deref(), Some("b"));
        assert_eq!(idle(&mut open), None);
        drop(used);
        assert_eq!(idle(&mut open).as_deref(), Some("a"));
    }

    #[test]
    fn one_that_is_replaced_or_removed_leaves_nothing_behind() {
        let mut open = with(&["a", "b", "a", "c"]);
        assert_eq!((open.count(), open.queue.len()), (3, 3));
        open.find(b"b");
        assert!(open.take(b"c").is_some() && open.take(b"c").is_none());
        assert_eq!(idle(&mut open).as_deref(), Some("a"));
        assert_eq!(open.take_all().len(), 1);
        assert_eq!((open.count(), open.queue.len()), (0, 0));
        assert_eq!(idle(&mut open), None);
    }
}
