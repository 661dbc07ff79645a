//! No writes after a failed write or sync.

use std::fmt;
use std::sync::OnceLock;

use crate::{Error, Result, trace};

/// Set once by the first failure, and never cleared: what came of that write is known only after opening again. Set from the
/// beginning where nothing is to be written at all.
#[derive(Default)]
pub struct Latch {
    cause: OnceLock<Cause>,
}

#[derive(Debug)]
enum Cause {
    Failure(String),
    ReadOnly,
}

impl Latch {
    /// The error of every write after the first failure.
    #[inline]
    pub fn check(&self) -> Result<()> {
        match self.cause.get() {
            None => Ok(()),
            Some(Cause::Failure(cause)) => Err(Error::Poisoned { cause: cause.clone() }),
            Some(Cause::ReadOnly) => Err(Error::ReadOnly),
        }
    }

    /// As [`check`](Self::check), but for one that was set from the beginning.
    pub fn check_failure(&self) -> Result<()> {
        match self.check() {
            Err(Error::ReadOnly) => Ok(()),
            checked => checked,
        }
    }

    /// One that is set already, as nothing is to be written.
    pub fn read_only() -> Self {
        Self { cause: OnceLock::from(Cause::ReadOnly) }
    }

    /// Sets it; a later cause is dropped. Returns whether it was the first.
    pub fn poison(&self, cause: impl fmt::Display) -> bool {
        let is_first = self.cause.set(Cause::Failure(cause.to_string())).is_ok();
        if is_first {
            trace::poisoned(&cause);
        }
        is_first
    }

    /// Sets it unless the error leaves nothing half done on disk. Returns whether it was the first.
    pub fn poison_by(&self, error: &Error) -> bool {
        let is_refused = match error {
            // Where a file is created, or opened to be changed, nothing has been done to it; who has done something else before
            // says that it is unfinished.
            Error::NoDescriptors { action, .. } => matches!(*action, "create" | "open"),
            Error::NameTooLong { .. }
            | Error::EntryTooLarge { .. }
            | Error::ChangeTooLarge { .. }
            | Error::TooManyDeleted { .. } => true,
            _ => false,
        };
        !error.lacks_room() && !is_refused && self.poison(error)
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Latch").field(&self.cause.get()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_stays() {
        let latch = Latch::default();
        assert!(latch.check().is_ok());
        latch.poison("one");
        latch.poison("two");
        assert!(matches!(latch.check(), Err(Error::Poisoned { cause }) if cause == "one"));
    }

    #[test]
    fn a_call_that_was_refused_does_not_poison() {
        let latch = Latch::default();
        for error in [
            Error::NameTooLong { len: 2, max: 1 },
            Error::EntryTooLarge { len: 2, max: 1 },
            Error::ChangeTooLarge { len: 2, max: 1 },
            Error::TooManyDeleted { max: 1 },
            Error::NoSpace { action: "write to", path: "a".into(), limit: None },
            Error::NoDescriptors { action: "open", path: "a".into() },
        ] {
            assert!(!latch.poison_by(&error) && latch.check().is_ok(), "{error}");
        }
        assert!(latch.poison_by(&Error::NoDescriptors { action: "read", path: "a".into() }));
    }
}
