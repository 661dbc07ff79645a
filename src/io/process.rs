//! Which process this is. A forked child is another one, although it has everything that its parent had open.
//!
//! A child shares its parent's descriptors and, through them, the lock of the store; but it has one thread only, and what
//! other threads were at in the moment of the fork is never finished in it. So a store works in the process that opened it
//! and in no other.
//!
//! The process is told by a word of memory that the kernel wipes in a child (`MADV_WIPEONFORK`), which costs a load to look
//! at. Where there is no such memory (Linux before 4.14, other systems) it is told by its number, which costs a system call.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::map;

/// The process that something belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    mark: &'static AtomicU64,
    /// What the word held then; 0 if it is never wiped.
    born: u64,
    /// The number of the process; only where the word is never wiped.
    number: u32,
}

/// The marks that were given out so far. It is not wiped: no child gets a mark again that its parent had.
static MARKS: AtomicU64 = AtomicU64::new(0);
static NEVER_WIPED: AtomicU64 = AtomicU64::new(0);

impl Process {
    /// The one that is running.
    pub fn current() -> Self {
        static WIPED: OnceLock<Option<&'static AtomicU64>> = OnceLock::new();
        let Some(mark) = *WIPED.get_or_init(map::wiped_on_fork) else {
            return Self { mark: &NEVER_WIPED, born: 0, number: std::process::id() };
        };
        if mark.load(Relaxed) == 0 {
            // Of two threads that come here at once, the first one's mark counts.
            let _ = mark.compare_exchange(0, MARKS.fetch_add(1, Relaxed) + 1, Relaxed, Relaxed);
        }
        Self { mark, born: mark.load(Relaxed), number: 0 }
    }

    /// Whether it is the one that is running, and not a parent of it.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.mark.load(Relaxed) == self.born && (self.born != 0 || self.number == std::process::id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself() {
        let (first, second) = (Process::current(), Process::current());
        assert!(first.is_current() && second.is_current());
        assert_eq!(first.born, second.born);
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn a_wiped_word_is_another_process() {
        let first = Process::current();
        assert_ne!(first.born, 0, "the kernel wipes memory of children");
        // What the kernel does in a child, and what the child does when it opens a store of its own.
        let child = Process { mark: &*Box::leak(Box::new(AtomicU64::new(0))), ..first };
        assert!(!child.is_current());
        child.mark.store(first.born + 1, Relaxed);
        assert!(!child.is_current());
    }
}
