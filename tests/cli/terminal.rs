//! What a person sees who sits at a terminal: a pseudo-terminal here, with somebody typing.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::streamlog;

/// A program at a terminal of 100 columns and 30 lines.
struct Terminal {
    child: Child,
    keyboard: File,
    /// All that was ever written to it.
    screen: Arc<Mutex<Vec<u8>>>,
    /// How much of that has been waited for.
    seen: usize,
}

impl Terminal {
    fn run(store: &Path, arguments: &str, environment: &[(&str, &str)]) -> Self {
        let (ours, theirs) = pair();
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamlog"));
        command.arg("--store").arg(store).args(arguments.split_whitespace());
        command
            .env_remove("NO_COLOR")
            .env_remove("STREAMLOG_STORE")
            .env("TERM", "xterm-256color")
            .env("XDG_STATE_HOME", store);
        command.envs(environment.iter().copied());
        command
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs.try_clone().unwrap());
        // SAFETY: Between fork and exec only these two system calls are made; they allocate nothing and take no lock.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut output, shown) = (ours.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().extend_from_slice(&bytes[..len]);
            }
        });
        Self { child, keyboard: ours, screen, seen: 0 }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until some text is shown that was not waited for before.
    fn expect(&mut self, text: &str) {
        let began = Instant::now();
        loop {
            let new = self.screen.lock().unwrap()[self.seen..].to_vec();
            if let Some(at) = new.windows(text.len()).position(|window| window == text.as_bytes()) {
                self.seen += at + text.len();
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{text:?} is not in {:?}",
                String::from_utf8_lossy(&new)
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn leave(&mut self, keys: &str) -> i32 {
        self.press(keys);
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn all(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two ends of a pseudo-terminal.
fn pair() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    let size = libc::winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: The pointers are to variables of the types that are asked for, or null where that is allowed.
    let opened = unsafe {
        libc::openpty(
            &mut ours,
            &mut theirs,
            std::ptr::null_mut(),
            std::ptr::null(),
            std::ptr::from_ref(&size).cast_mut(),
        )
    };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // Or the program would hold its own keyboard, and never see it go.
    // SAFETY: The descriptor was just opened.
    unsafe { libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: They were just opened, and nobody else has them.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

fn store() -> tempfile::TempDir {
    let store = tempfile::tempdir().unwrap();
    let script = "XADD orders 1-1 a b\nXADD payments 1-1 a b\nXGROUP CREATE orders workers 0\n\
                  XREADGROUP GROUP workers alice STREAMS orders >\n";
    assert_eq!(streamlog().store(&store.path().join("d")).arg("shell").run_with_input(script.as_bytes()).status, 0);
    store
}

#[test]
fn the_shell_completes_hints_and_remembers() {
    let directory = store();
    let store = directory.path().join("d");
    let mut shell = Terminal::run(&store, "shell", &[]);
    shell.expect("streamlog> ");
    shell.press("xrange ord\t");
    shell.expect("orders ");
    shell.expect("-|start +|end [COUNT count]");
    shell.press("- + c");
    shell.expect("ount count");
    shell.press("\x1b[C 1\r");
    shell.expect("1) 1) \"1-1\"");
    shell.expect("streamlog> ");
    shell.press("xack orders \t");
    shell.expect("workers ");
    shell.press("nothing\r");
    shell.expect("(error) ERR Invalid stream ID specified as stream command argument");
    shell.expect("streamlog> ");
    shell.press("help xad\t\r");
    shell.expect("Add an entry at the end of a stream");
    shell.expect("streamlog> ");
    assert_eq!(shell.leave("exit\r"), 0);

    let mut shell = Terminal::run(&store, "shell", &[]);
    shell.expect("streamlog> ");
    shell.press("\x1b[A\x1b[A\x1b[A");
    shell.expect("xack orders workers nothing");
    shell.press("\x03");
    shell.expect("streamlog> ");
    assert_eq!(shell.leave("\x04"), 0);
}

#[test]
fn without_colours_there_are_none_and_no_hints_that_look_like_text() {
    let directory = store();
    for (arguments, environment) in [("shell", &[("NO_COLOR", "1")][..]), ("--color never shell", &[])] {
        let mut shell = Terminal::run(&directory.path().join("d"), arguments, environment);
        shell.expect("streamlog> ");
        shell.press("XLEN");
        shell.expect("XLEN");
        shell.press(" x y\r");
        shell.expect("(error) ERR wrong number of arguments");
        shell.press("help xlen\r");
        shell.expect("Example:");
        assert_eq!(shell.leave("\x04"), 0);
        let all = shell.all();
        assert!(!all.contains("XLEN stream\x1b") && !all.contains("\x1b[1m") && !all.contains("\x1b[3"), "{all:?}");
    }
}

#[test]
fn top_is_a_live_screen_that_keys_change() {
    let directory = store();
    let store = directory.path().join("d");
    let mut top = Terminal::run(&store, "top --interval 50ms", &[]);
    top.expect("\x1b[?1049h");
    top.expect("2 streams, 2 entries");
    top.expect("orders");
    top.expect("payments");
    top.expect("q quit");
    top.press("g");
    top.expect("  workers");
    assert_eq!(streamlog().store(&store).args("XADD orders 2-1 a b").run().status, 0);
    top.expect("2 streams, 3 entries");
    top.expect("\x1b[5;1H\x1b[36morders");
    top.press("n");
    top.expect("\x1b[5;1H\x1b[36mpayments");
    assert_eq!(top.leave("q"), 0);
    top.expect("\x1b[?25h\x1b[?1049l");

    let mut top = Terminal::run(&store, "top -n 1", &[("NO_COLOR", "1")]);
    top.expect("2 streams, 3 entries");
    assert_eq!(top.leave(""), 0);
    assert!(!top.all().contains("\x1b[1m") && !top.all().contains("\x1b[36m"), "{:?}", top.all());
}
