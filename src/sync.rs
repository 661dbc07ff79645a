//! Locks and atomics of what threads wait on: parking_lot's and the standard library's.
//!
//! With `--cfg shuttle` they are those of [shuttle](https://docs.rs/shuttle), which decides at each of them which thread goes
//! on, so that `models` sees schedules that a machine hardly ever comes up with. The interface is the same.

#[cfg(not(shuttle))]
pub use parking_lot::{Condvar, Mutex};
#[cfg(not(shuttle))]
pub use std::sync::atomic;
#[cfg(not(shuttle))]
pub use std::thread::yield_now;

#[cfg(shuttle)]
pub use self::scheduled::{Condvar, Mutex};
#[cfg(shuttle)]
pub use shuttle::sync::atomic;
#[cfg(shuttle)]
pub use shuttle::thread::yield_now;

#[cfg(shuttle)]
mod scheduled {
    use std::ops::{Deref, DerefMut};
    use std::sync::{PoisonError, TryLockError};
    use std::time::Instant;

    use shuttle::rand::{Rng, thread_rng};
    use shuttle::sync;

    /// As parking_lot's: a panic does not poison it.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(sync::Mutex<T>);

    /// Holds the lock, but while its thread is in [`Condvar::wait`].
    pub struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>, &'a sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(lock(&self.0)), &self.0)
        }

        #[cfg_attr(not(feature = "async"), expect(dead_code, reason = "for tasks alone"))]
        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(held) => Some(MutexGuard(Some(held), &self.0)),
                Err(TryLockError::Poisoned(held)) => Some(MutexGuard(Some(held.into_inner()), &self.0)),
                Err(TryLockError::WouldBlock) => None,
            }
        }
    }

    fn lock<T>(mutex: &sync::Mutex<T>) -> sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().unwrap_or_else(|| unreachable!("the lock is held"))
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap_or_else(|| unreachable!("the lock is held"))
        }
    }

    #[derive(Debug, Default)]
    pub struct Condvar(sync::Condvar);

    /// Why a wait with a deadline ended.
    pub struct WaitTimeoutResult(bool);

    impl WaitTimeoutResult {
        pub fn timed_out(&self) -> bool {
            self.0
        }
    }

    impl Condvar {
        pub fn new() -> Self {
            Self::default()
        }

        pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            guard.0 = guard.0.take().map(|held| self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
        }

        /// There is no time in a model: a deadline passes after a few steps of other threads, or never.
        pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _deadline: Instant) -> WaitTimeoutResult {
            let times_out = thread_rng().gen_bool(0.5);
            if times_out {
                guard.0 = None;
                (0..thread_rng().gen_range(0..8)).for_each(|_| shuttle::thread::yield_now());
                guard.0 = Some(lock(guard.1));
            } else {
                self.wait(guard);
            }
            WaitTimeoutResult(times_out)
        }

        pub fn notify_one(&self) {
            self.0.notify_one();
        }

        pub fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}
