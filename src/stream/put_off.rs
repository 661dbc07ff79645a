//! Changes whose syncs are put off, so that a thread which runs the calls of many tasks waits for none of them.
//!
//! A call that changes something returns when that is durable. Within [`putting_off`] it returns before, and what it would
//! have waited for is given to the caller, who waits for it without holding a thread, and tells nobody before. Only the last
//! step of a call is put off: what depends on a sync within it, such as the removal of files, still waits.

use std::cell::RefCell;
use std::sync::Arc;

use futures_channel::oneshot;

use crate::Result;
use crate::stream::commit::Progress;
use crate::stream::inner::Inner;
use crate::tasks::lanes::Lanes;

thread_local! {
    /// What the calls of this thread are yet to wait for, if they are put off.
    static PUT_OFF: RefCell<Option<Vec<Unsettled>>> = const { RefCell::new(None) };
}

/// A change that was made, and has to be durable before anybody is told.
#[derive(Debug)]
pub struct Unsettled {
    inner: Arc<Inner>,
    target: Progress,
}

/// Makes a call that waits for no sync; returns what has to be durable before its result is given to anybody.
pub fn putting_off<T>(call: impl FnOnce() -> T) -> (T, Vec<Unsettled>) {
    let _reset = Reset(PUT_OFF.replace(Some(Vec::new())));
    let result = call();
    (result, PUT_OFF.take().unwrap_or_default())
}

/// Restores what was there before, also after a panic.
struct Reset(Option<Vec<Unsettled>>);

impl Drop for Reset {
    fn drop(&mut self) {
        PUT_OFF.set(self.0.take());
    }
}

/// Whether calls on this thread are not to wait.
pub fn is_putting_off() -> bool {
    PUT_OFF.with_borrow(Option::is_some)
}

/// Notes what the caller would have to wait for; `false` if it is to wait now.
pub fn put_off(inner: &Inner, target: Progress) -> bool {
    PUT_OFF.with_borrow_mut(|list| {
        // It is alive as long as anybody has a reference to it.
        let Some((list, inner)) = list.as_mut().zip(inner.me.upgrade()) else { return false };
        list.push(Unsettled { inner, target });
        true
    })
}

impl Unsettled {
    pub fn new(inner: Arc<Inner>, target: Progress) -> Self {
        Self { inner, target }
    }

    /// Leaves it to a thread of the store's to make it durable: the first of those who wait for a stream has it synced for all.
    fn begin(self, lanes: &Arc<Lanes>) -> Settling {
        let Self { inner, target } = self;
        // Counted before a thread gets to it, so that the one that leads now knows who is there.
        if !inner.committer.come(target) {
            return Settling::Settled;
        }
        let (sender, settled) = oneshot::channel();
        let lane = Arc::as_ptr(&inner).addr();
        let committing = Arc::clone(&inner);
        let job = Box::new(move || {
            let result = committing.wait_for(target);
            // The stream may be closed from now on.
            drop(committing);
            let _ = sender.send(result);
        });
        match lanes.push(lane, job) {
            Ok(()) => Settling::UnderWay { settled, inner, target },
            // Better late than never.
            Err(_) => Settling::Here { inner, target },
        }
    }
}

/// A change that is being made durable, whether or not anybody waits for that.
enum Settling {
    Settled,
    UnderWay {
        settled: oneshot::Receiver<Result<()>>,
        inner: Arc<Inner>,
        target: Progress,
    },
    /// There is no thread for it.
    Here {
        inner: Arc<Inner>,
        target: Progress,
    },
}

impl Settling {
    /// Comes back when it is durable.
    async fn settled(self) -> Result<()> {
        match self {
            Self::Settled => Ok(()),
            Self::UnderWay { settled, inner, target } => match settled.await {
                Ok(result) => result,
                // It panicked: nothing is known of it.
                Err(oneshot::Canceled) => inner.wait_for(target),
            },
            Self::Here { inner, target } => inner.wait_for(target),
        }
    }
}

/// Comes back when all of it is durable, which it becomes also if nobody waits until then.
pub async fn settle_all(unsettled: Vec<Unsettled>, lanes: &Arc<Lanes>) -> Result<()> {
    // All of them are begun before the first is waited for.
    let settling: Vec<_> = unsettled.into_iter().map(|one| one.begin(lanes)).collect();
    for one in settling {
        one.settled().await?;
    }
    Ok(())
}
