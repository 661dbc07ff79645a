//! Promise: what holds on a simulated disk holds on a real machine, up to its limits: power cuts in a real kernel, full
//! disks, used-up descriptors, forked children, hostile directories, media that cannot be written to.
//!
//! Everything that may end badly is done by a child process, of which the status is looked at: no signal is ever right.
//! What needs root or a tool that is missing is skipped, says so, and is counted as ignored; with `STREAMLOG_NO_SKIPS` in the
//! environment it fails.
//!
//! `STREAMLOG_CUTS=20000` makes it more power cuts; `STREAMLOG_SEED` repeats a run. It runs one test at a time, on Linux.

#[cfg(target_os = "linux")]
mod children;
#[cfg(target_os = "linux")]
mod cuts;
#[cfg(target_os = "linux")]
mod forks;
#[cfg(target_os = "linux")]
mod full;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod injected;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod media;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod runner;

#[cfg(target_os = "linux")]
fn main() {
    children::run_if_asked_to();
    let tests = [cuts::TESTS, forks::TESTS, full::TESTS, hostile::TESTS, injected::TESTS, limits::TESTS, media::TESTS];
    runner::run(&tests.concat());
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("SKIPPED: machine: it is about Linux");
    assert!(std::env::var_os("STREAMLOG_NO_SKIPS").is_none(), "skipped: it is about Linux");
    println!("test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
}
