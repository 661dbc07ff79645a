//! The thread that runs tasks, those that are ready, and those that wait for a time.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::sync::{Condvar, Mutex};
use crate::tasks::task::Task;

/// Tasks that are ready, in the order in which they became so.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    bell: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Arc<Task>>,
    timers: BTreeMap<Timer, Waker>,
    next_timer: u64,
    /// Tasks that were begun and are not over.
    living: usize,
    is_started: bool,
    is_stopping: bool,
}

/// When it goes off, and a number that no other one has.
type Timer = (Instant, u64);

impl Queue {
    /// Starts the thread, unless it is there already, or was stopped.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        if self.state.lock().is_started {
            return Ok(());
        }
        let mut thread = self.thread.lock();
        if thread.is_none() && !self.state.lock().is_stopping {
            let queue = Arc::clone(self);
            let run = move || {
                while let Some(task) = queue.next() {
                    task.run();
                }
            };
            *thread = Some(thread::Builder::new().name("streamlog-tasks".to_owned()).spawn(run)?);
            self.state.lock().is_started = true;
        }
        Ok(())
    }

    /// Counts a task; `false` if none is to begin any more.
    pub fn begin(&self) -> bool {
        let mut state = self.state.lock();
        if state.is_stopping {
            return false;
        }
        state.living += 1;
        true
    }

    /// Counts a task as over.
    pub fn end(&self) {
        let mut state = self.state.lock();
        state.living -= 1;
        if state.is_stopping {
            self.bell.notify_one();
        }
    }

    pub fn push(&self, task: Arc<Task>) {
        self.state.lock().ready.push_back(task);
        self.bell.notify_one();
    }

    /// The next task to run, as soon as there is one; `None` when there are to be no more.
    pub fn next(&self) -> Option<Arc<Task>> {
        let mut state = self.state.lock();
        loop {
            // First: time goes on however much there is to do.
            let due = state.take_due();
            if !due.is_empty() {
                drop(state);
                due.into_iter().for_each(Waker::wake);
                state = self.state.lock();
                continue;
            }
            if let Some(task) = state.ready.pop_front() {
                return Some(task);
            }
            if state.is_stopping && state.living == 0 {
                return None;
            }
            match state.timers.first_key_value().map(|(&(at, _), _)| at) {
                None => self.bell.wait(&mut state),
                Some(at) => _ = self.bell.wait_until(&mut state, at),
            }
        }
    }

    /// Goes off at that time, or never; or when the queue is stopped.
    pub fn sleep_until(&self, at: Option<Instant>) -> Sleep<'_> {
        Sleep { queue: self, at, timer: None }
    }

    /// Lets the thread end when all tasks are over, and waits for it, unless it is the calling one.
    pub fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.bell.notify_one();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl State {
    /// Those whose time has come.
    fn take_due(&mut self) -> Vec<Waker> {
        if self.is_stopping {
            return std::mem::take(&mut self.timers).into_values().collect();
        }
        if self.timers.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        let later = self.timers.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.timers, later).into_values().collect()
    }
}

/// See [`Queue::sleep_until`]; for a task of that queue.
#[derive(Debug)]
pub struct Sleep<'a> {
    queue: &'a Queue,
    at: Option<Instant>,
    timer: Option<Timer>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        if Instant::now() >= at {
            return Poll::Ready(());
        }
        let mut state = self.queue.state.lock();
        if state.is_stopping {
            return Poll::Ready(());
        }
        let timer = self.timer.unwrap_or_else(|| {
            state.next_timer += 1;
            (at, state.next_timer)
        });
        // The thread of the queue does not wait now: it is this one.
        state.timers.insert(timer, cx.waker().clone());
        drop(state);
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.queue.state.lock().timers.remove(&timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Wake;
    use std::time::Duration;

    use super::*;
    use crate::sync::atomic::{AtomicBool, Ordering};
    use crate::tasks::task;

    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn timers_go_off_while_there_are_tasks_to_run() {
        let queue = Arc::new(Queue::default());
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut sleep = pin!(queue.sleep_until(Some(Instant::now() + Duration::from_millis(20))));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let tasks = [task::spawn(&queue, async {}), task::spawn(&queue, async {})];
        thread::sleep(Duration::from_millis(25));
        assert!(queue.next().is_some());
        assert!(flag.0.load(Ordering::SeqCst), "a task is left, all the same");
        drop(tasks);
    }
}
