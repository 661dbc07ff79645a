//! Standard output, as somebody reads it.

use std::io;
use std::time::Duration;

/// Waits, but not longer than there is a reader.
///
/// # Errors
///
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe) as soon as nobody can read any more what would be written: it is noticed while there
/// is nothing to write. On Windows it is noticed by the next write only.
#[cfg(unix)]
pub fn wait(time: Duration) -> io::Result<()> {
    use std::time::Instant;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;

    let began = Instant::now();
    let out = io::stdout();
    loop {
        let left = time.saturating_sub(began.elapsed());
        // Errors are told whether they are asked for or not, and whether there is room is not of interest.
        let mut fds = [PollFd::new(&out, PollFlags::empty())];
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            // Something that cannot be polled, such as a device on macOS.
            Ok(_) => {
                std::thread::sleep(left);
                return Ok(());
            }
        }
    }
}

#[cfg(not(unix))]
pub fn wait(time: Duration) -> io::Result<()> {
    std::thread::sleep(time);
    Ok(())
}
