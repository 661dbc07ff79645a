//! A future that a thread of the store runs, and the handle through which another one waits for its result.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures_channel::oneshot;

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::tasks::queue::Queue;

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A future that runs in a [`Queue`].
pub struct Task {
    queue: Arc<Queue>,
    /// Locked while it runs; `None` when it is over.
    future: Mutex<Option<BoxFuture>>,
    /// It is in the queue.
    is_queued: AtomicBool,
    /// Nobody waits for the result any more.
    is_dropped: AtomicBool,
}

/// Puts a future into the queue.
pub fn spawn<T: Send + 'static>(queue: &Arc<Queue>, future: impl Future<Output = T> + Send + 'static) -> Handle<T> {
    let (sender, result) = oneshot::channel();
    let mut future = Box::pin(future);
    let run = async move {
        let outcome = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        });
        let outcome = outcome.await;
        // What it held is let go of before anybody is told.
        drop(future);
        let _ = sender.send(outcome);
    };
    let task = Arc::new(Task {
        queue: Arc::clone(queue),
        future: Mutex::new(Some(Box::pin(run))),
        is_queued: AtomicBool::new(false),
        is_dropped: AtomicBool::new(false),
    });
    match queue.begin() {
        true => task.wake_by_ref(),
        // It is over before it has begun.
        false => _ = task.future.lock().take(),
    }
    Handle { task, result }
}

impl Task {
    /// Runs it until it waits for something.
    pub fn run(self: &Arc<Self>) {
        // Before it looks: who wakes it from now on makes it look again.
        self.is_queued.store(false, Ordering::SeqCst);
        let mut slot = self.future.lock();
        let Some(future) = slot.as_mut() else { return };
        let is_over = self.is_dropped.load(Ordering::SeqCst) || {
            let waker = Waker::from(Arc::clone(self));
            // What the future does is caught inside of it; this is for what happens when it lets go of something.
            let poll = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
            !matches!(poll, Ok(Poll::Pending))
        };
        let future = if is_over { slot.take() } else { None };
        drop(slot);
        self.end(future);
    }

    /// Counts it as over, and lets go of all that it held.
    fn end(&self, future: Option<BoxFuture>) {
        if let Some(future) = future {
            // First: it may hold the last handle of a store, which waits for all tasks when it is dropped.
            self.queue.end();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
        }
    }

    /// Ends it, unless it is running: then the queue does when it next waits.
    fn cancel(self: &Arc<Self>) {
        self.is_dropped.store(true, Ordering::SeqCst);
        match self.future.try_lock() {
            Some(mut slot) => {
                let future = slot.take();
                drop(slot);
                self.end(future);
            }
            // It may have been too late for it to notice.
            None => self.wake_by_ref(),
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            self.queue.push(Arc::clone(self));
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("is_queued", &self.is_queued).finish_non_exhaustive()
    }
}

/// Waits for the result of a task; ends the task when it is dropped.
#[derive(Debug)]
pub struct Handle<T> {
    task: Arc<Task>,
    result: oneshot::Receiver<thread::Result<T>>,
}

/// The task was ended before it had a result, as its queue had been stopped.
#[derive(Clone, Copy, Debug)]
pub struct Stopped;

impl<T> Future for Handle<T> {
    type Output = Result<T, Stopped>;

    /// Panics as the task did, if it did.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(cx).map(|outcome| match outcome {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(oneshot::Canceled) => Err(Stopped),
        })
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        self.task.cancel();
    }
}
