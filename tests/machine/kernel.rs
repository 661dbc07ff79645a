//! What only the kernel's own calls can do. The only unsafe code of the tests, but for that in `cli/terminal.rs`.

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::AsRawFd;
use std::path::Path;

fn check(result: i64) -> Result<i64> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

/// Cuts the power: what the file system has not written to its device by now, its log included, never will be.
pub fn shut_down(mounted: &Path) -> Result<()> {
    const FS_IOC_SHUTDOWN: u64 = 0x8004_587d;
    let no_log_flush: u32 = 2;
    let root = File::open(mounted)?;
    // SAFETY: the call reads four bytes from the address, which are there for as long as it lasts.
    check(unsafe { libc::ioctl(root.as_raw_fd(), FS_IOC_SHUTDOWN as _, &raw const no_log_flush) }.into()).map(|_| ())
}

/// Has some pages of a file written to the device, and nothing else.
pub fn write_back(file: &File, offset: u64, len: u64) -> Result<()> {
    let flags = libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the call is given no memory.
    check(unsafe { libc::sync_file_range(file.as_raw_fd(), offset as i64, len as i64, flags) }.into()).map(|_| ())
}

/// Sets a limit of this process, for good.
pub fn limit(resource: u32, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the call reads a structure that is there for as long as it lasts.
    check(unsafe { libc::setrlimit(resource as _, &raw const limit) }.into()).expect("a lower limit is always allowed");
}

/// Runs `child` in a forked child; returns its status as the shell would say it: 128 and more for a signal. The caller has
/// one thread, or `child` takes no lock that another may have.
pub fn in_fork(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child has a copy of everything this thread has. What other threads hold, and their being gone, is what
    // the tests are about; the child leaves by `_exit`, without running anything that is registered for the end.
    match unsafe { libc::fork() } {
        0 => {
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101);
            // SAFETY: it ends the process.
            unsafe { libc::_exit(status) }
        }
        pid => wait_for(pid),
    }
}

fn wait_for(pid: i32) -> i32 {
    assert!(pid > 0, "the process can fork");
    let started = std::time::Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: the call writes to an integer that is there for as long as it lasts.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if waited == pid {
            return if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
        }
        if started.elapsed().as_secs() > 60 {
            // SAFETY: it is our child, for which nobody has waited.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Takes up all mappings that a process may have. The heap, which cannot grow then, has some free memory.
pub fn use_up_maps() -> usize {
    let mut heap: Vec<Box<[u8; 1024]>> = (0..32 << 10).map(|_| Box::new([1; 1024])).collect();
    // The last one keeps what is below it from being given back.
    std::mem::forget(heap.pop());
    drop(heap);
    let mut count = 0;
    loop {
        // Every other one differs, so that the kernel does not make one of two.
        let protection = if count % 2 == 0 { libc::PROT_READ } else { libc::PROT_NONE };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: it makes a new mapping at an address of the kernel's choice, which nobody ever uses.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return count;
        }
        count += 1;
        assert!(count < 1 << 20, "the number of maps is not limited here");
    }
}

/// Makes a pipe or a device; `false` if this process may not.
pub fn make_node(path: &std::ffi::CStr, mode: u32, major: u32, minor: u32) -> bool {
    // SAFETY: the call reads a string that ends with zero and is there for as long as it lasts.
    unsafe { libc::mknod(path.as_ptr(), mode, libc::makedev(major, minor)) == 0 }
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    // SAFETY: the call is given nothing.
    unsafe { libc::geteuid() == 0 }
}
