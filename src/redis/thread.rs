//! Something that blocks, for a future: it runs on a thread of its own and wakes the future when it is done.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Starts `job`. It runs to its end, whether or not what is returned is dropped.
///
/// # Errors
///
/// No thread can be started.
pub(super) fn run<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> io::Result<Pending<T>> {
    let outcome = Outcome(Arc::new(Mutex::new(State::Running(None))));
    let pending = Pending(Arc::clone(&outcome.0));
    std::thread::Builder::new().name("streamlog-read".to_owned()).spawn(move || outcome.set(State::Done(job())))?;
    Ok(pending)
}

enum State<T> {
    /// With whom to wake.
    Running(Option<Waker>),
    Done(T),
    /// The result was never set, or has been taken.
    Gone,
}

/// The side of the thread. Dropped without a result, that is by a panic, it tells the other side so.
struct Outcome<T>(Arc<Mutex<State<T>>>);

impl<T> Outcome<T> {
    fn set(&self, state: State<T>) {
        let before = mem::replace(&mut *self.0.lock(), state);
        if let State::Running(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        if matches!(&*self.0.lock(), State::Running(_)) {
            self.set(State::Gone);
        }
    }
}

/// The side of the future.
pub(super) struct Pending<T>(Arc<Mutex<State<T>>>);

impl<T> Future for Pending<T> {
    type Output = io::Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        if let State::Running(waker) = &mut *state {
            *waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        match mem::replace(&mut *state, State::Gone) {
            State::Done(value) => Poll::Ready(Ok(value)),
            State::Running(_) | State::Gone => Poll::Ready(Err(io::Error::other("the thread of a blocking read died"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_arrives_however_long_it_takes() {
        assert_eq!(pollster::block_on(run(|| 5).expect("a thread starts")).ok(), Some(5));
        let slow = run(|| std::thread::sleep(std::time::Duration::from_millis(20))).expect("a thread starts");
        assert!(pollster::block_on(slow).is_ok());
    }

    #[test]
    fn a_panic_is_an_error() {
        let pending = run(|| panic!("on purpose")).expect("a thread starts");
        assert!(pollster::block_on(pending).is_err());
    }
}
