//! One call as a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::store::Shared;
use crate::stream::put_off::{putting_off, settle_all};
use crate::tasks::task::Handle;
use crate::{Error, Result};

/// A call that has yet to be made, or is under way; a future, for any runtime.
///
/// Nothing happens before it is first polled. From then on a thread of the store's makes the call, whether or not the future is
/// polled again. What becomes of a call whose future is dropped, says the [module](crate::futures).
///
/// # Examples
///
/// ```
/// let orders = streamlog::Store::in_memory().stream("orders")?;
/// let adding = orders.add_async([("order", "o1")]);
/// assert_eq!(orders.len()?, 0);
/// let id = pollster::block_on(adding)?;
/// assert!(orders.get(id)?.is_some());
/// # Ok::<(), streamlog::Error>(())
/// ```
#[must_use = "nothing happens before it is polled"]
pub struct Operation<T> {
    shared: Arc<Shared>,
    state: State<T>,
}

enum State<T> {
    New(Pin<Box<dyn Future<Output = Result<T>> + Send>>),
    UnderWay(Handle<Result<T>>),
    Over,
}

impl<T: Send + 'static> Operation<T> {
    /// A call that waits in between, without holding up a thread.
    pub(crate) fn new(shared: Arc<Shared>, future: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self { shared, state: State::New(Box::pin(future)) }
    }

    /// A call of which only the result waits until it is durable.
    pub(crate) fn of_call(shared: &Arc<Shared>, call: impl FnOnce() -> Result<T> + Send + 'static) -> Self {
        let tasks = Arc::clone(shared);
        let future = async move {
            let (result, unsettled) = putting_off(call);
            // Also of a call that failed: what it had done before stays done.
            let settled = settle_all(unsettled, tasks.tasks().lanes()).await;
            result.and_then(|result| settled.map(|()| result))
        };
        Self::new(Arc::clone(shared), future)
    }

    /// Gives the call to the threads of the store.
    fn begin(&self, future: Pin<Box<dyn Future<Output = Result<T>> + Send>>) -> Result<Handle<Result<T>>> {
        let started = self.shared.tasks().spawn(future);
        started.map_err(|error| Error::io("start a thread for", &self.shared.path(), error))
    }
}

impl<T: Send + 'static> Future for Operation<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // In a forked child nobody would answer.
        this.shared.env().check_process()?;
        let mut handle = match std::mem::replace(&mut this.state, State::Over) {
            State::New(future) => this.begin(future)?,
            State::UnderWay(handle) => handle,
            State::Over => panic!("polled again after it was ready"),
        };
        let result = match Pin::new(&mut handle).poll(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                this.state = State::UnderWay(handle);
                return Poll::Pending;
            }
        };
        // Without a result only when the store was closed.
        Poll::Ready(result.unwrap_or(Err(Error::Closed)))
    }
}

impl<T> Drop for Operation<T> {
    fn drop(&mut self) {
        if self.shared.env().check_process().is_err() {
            // Its task is a thread's of the parent, and so may be the locks that ending it takes.
            std::mem::forget(std::mem::replace(&mut self.state, State::Over));
        }
    }
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("store", &self.shared.path()).finish_non_exhaustive()
    }
}
