//! Work that is done once an interval, by a thread.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread that does something once an interval, until this is dropped or there is nothing more to do.
#[derive(Debug)]
pub struct Background {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts it; `each` returns whether to go on.
    pub fn start(name: &str, interval: Duration, mut each: impl FnMut() -> bool + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let run = move || while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) && each() {};
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
