//! What the handles of a store share.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::store::catalog::Catalog;

/// A store, shared by all its handles, and by nobody else: it is closed when the last of them goes, also while a thread of
/// its own is looking at it.
pub struct Shared {
    catalog: Arc<Catalog>,
}

impl Shared {
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }
}

impl Deref for Shared {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        &self.catalog
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.catalog.abandon();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.catalog.fmt(f)
    }
}
