//! Something that blocks, for a future: it runs on a thread of its own and wakes the future when it is done.

use std::future::Future;
use std::io;

use futures_channel::oneshot;

/// Starts `job`. It runs to its end, whether or not what is returned is dropped.
///
/// # Errors
///
/// No thread can be started.
pub(super) fn run<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> io::Result<impl Future<Output = io::Result<T>> + Send> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new().name("streamlog-read".to_owned()).spawn(move || {
        // It may be that nobody waits for it any more.
        let _ = sender.send(job());
    })?;
    Ok(async { receiver.await.map_err(|oneshot::Canceled| io::Error::other("the thread of a blocking read died")) })
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
