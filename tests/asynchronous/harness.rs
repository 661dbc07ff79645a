//! What the tests share: runtimes, a watchdog, a disk whose syncs can be held up.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use streamlog::sim::{Failure, Op};
use streamlog::{Options, Store, StreamId};

pub fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// A second, or more where the machine is slow: for what is to happen soon.
pub const SOON: Duration = Duration::from_secs(20);

/// Runs the same test on each runtime.
pub fn on_each<F: Future<Output = ()> + Send + 'static>(test: fn() -> F) {
    within(60, move || {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        threads.block_on(async move { tokio::spawn(test()).await.unwrap() });
        let one = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        one.block_on(test());
        smol::block_on(async move { smol::spawn(test()).await });
        // And on none.
        pollster::block_on(test());
    });
}

/// Runs a test that might hang: it fails then.
pub fn within<T: Send + 'static>(seconds: u64, test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = channel();
    let thread = std::thread::spawn(move || {
        let _ = done.send(test());
    });
    match finished.recv_timeout(Duration::from_secs(seconds)) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!(),
        },
    }
}

/// Polls once, as for nobody.
pub fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What comes first: the result, or the other future.
pub async fn unless<T>(future: impl Future<Output = T>, other: impl Future<Output = ()>) -> Option<T> {
    let (mut future, mut other) = (pin!(future), pin!(other));
    std::future::poll_fn(|cx| match (future.as_mut().poll(cx), other.as_mut().poll(cx)) {
        (Poll::Ready(result), _) => Poll::Ready(Some(result)),
        (_, Poll::Ready(())) => Poll::Ready(None),
        _ => Poll::Pending,
    })
    .await
}

/// Runs them all at the same time; what they come to, in their order.
pub async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(cx)
            {
                *result = Some(ready);
            }
        }
        if results.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// Comes back after others had so many turns.
pub async fn turns(mut count: u64) {
    std::future::poll_fn(|cx| {
        if count == 0 {
            return Poll::Ready(());
        }
        count -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The next item.
pub async fn next<S: smol::stream::Stream>(stream: &mut Pin<&mut S>) -> Option<S::Item> {
    std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await
}

/// Waits for what other threads do.
pub fn until(what: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !what() {
        assert!(begun.elapsed() < SOON, "it does not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Syncs of files: how many there were, how many are held up, and whether they fail.
#[derive(Clone, Default)]
pub struct Syncs(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    count: u64,
    held: u64,
    is_shut: bool,
    takes: Duration,
    fails: bool,
}

impl Syncs {
    /// A store in a directory, whose syncs these are.
    pub fn store(&self, options: Options) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let syncs = self.clone();
        let tell = move |call: &streamlog::sim::Call| if call.op == Op::Sync { syncs.pass() } else { None };
        let store = Store::open_observed(options, dir.path(), tell).unwrap();
        (dir, store)
    }

    pub fn pass(&self) -> Option<Failure> {
        let mut state = self.0.0.lock().unwrap();
        state.held += 1;
        let takes = state.takes;
        drop(state);
        std::thread::sleep(takes);
        let mut state = self.0.0.lock().unwrap();
        while state.is_shut {
            state = self.0.1.wait(state).unwrap();
        }
        state.held -= 1;
        state.count += 1;
        state.fails.then_some(Failure::Os(5))
    }

    pub fn count(&self) -> u64 {
        self.0.0.lock().unwrap().count
    }

    pub fn held(&self) -> u64 {
        self.0.0.lock().unwrap().held
    }

    pub fn shut(&self) {
        self.0.0.lock().unwrap().is_shut = true;
    }

    pub fn open(&self) {
        self.0.0.lock().unwrap().is_shut = false;
        self.0.1.notify_all();
    }

    /// Each sync that begins from now on takes so long.
    pub fn take(&self, takes: Duration) {
        self.0.0.lock().unwrap().takes = takes;
    }

    pub fn fail(&self) {
        self.0.0.lock().unwrap().fails = true;
    }
}
