//! Runs the program and says what came of it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A run of the program that is being prepared. It sees no store but the one it is given.
pub struct Streamlog(Command);

/// What a run left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn streamlog() -> Streamlog {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamlog"));
    command.env_remove("STREAMLOG_STORE").env("XDG_STATE_HOME", "/nonexistent");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Streamlog(command)
}

impl Streamlog {
    pub fn store(self, directory: &Path) -> Self {
        self.arg("--store").arg(directory)
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.0.stdout(to);
        self
    }

    /// Adds the words of `line`, which has no quotes, as arguments.
    pub fn args(mut self, line: &str) -> Self {
        self.0.args(line.split_whitespace());
        self
    }

    pub fn run(self) -> Ended {
        self.run_with_input(b"")
    }

    /// Runs to the end with `input` on standard input.
    pub fn run_with_input(mut self, input: &[u8]) -> Ended {
        let mut child = self.0.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // Written beside reading, so that neither side fills its pipe and waits for the other for ever.
        let output = std::thread::scope(|scope| {
            // The program may end without reading everything.
            scope.spawn(move || stdin.write_all(input).ok());
            child.wait_with_output().expect("the program ends")
        });
        Ended {
            status: output.status.code().expect("an exit status, not a signal"),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts the program and leaves it running.
    pub fn start(mut self) -> Running {
        Running(self.0.spawn().expect("the program starts"))
    }
}

/// A program that is killed when this goes out of scope.
pub struct Running(pub std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says what a test that passes did not do. Not by a macro, whose output is shown for tests that fail. With
/// `STREAMLOG_NO_SKIPS` in the environment it fails.
pub fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
    assert!(std::env::var_os("STREAMLOG_NO_SKIPS").is_none(), "skipped: {what}");
}

/// What a run comes to that prints `stdout` and nothing else.
pub fn prints(stdout: impl Into<String>) -> Ended {
    Ended { status: 0, stdout: stdout.into(), stderr: String::new() }
}

/// What a run comes to that fails with `stderr`.
pub fn fails(stderr: impl Into<String>) -> Ended {
    Ended { status: 1, stdout: String::new(), stderr: stderr.into() }
}
