//! This program started once more, to do something that may end it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::{cuts, forks, full, injected, limits};

/// What a child can be asked to do: its name, and the function, which is given its arguments.
pub type Role = (&'static str, fn(&[String]));

/// Does what a parent asked for, and ends; returns if this is not a child.
pub fn run_if_asked_to() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [marker, name, rest @ ..] = &*arguments else { return };
    if marker != "child" {
        return;
    }
    let roles = [cuts::ROLES, forks::ROLES, full::ROLES, injected::ROLES, limits::ROLES].concat();
    let (_, role) = roles.iter().find(|(role, _)| role == name).expect("a role there is");
    role(rest);
    std::process::exit(0);
}

/// The command that starts a child.
pub fn command(role: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args(["child", role]).args(arguments);
    command
}

/// Runs a child to its end. It must end well; returns what it printed.
pub fn run(role: &str, arguments: &[&str]) -> String {
    finish(command(role, arguments), role)
}

/// As [`run`], of a command that is a child in the end.
pub fn finish(mut command: Command, what: &str) -> String {
    let output = command.stdin(Stdio::null()).output().expect("a child starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// A child that goes on by itself, and is killed when this goes out of scope.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

pub fn start(role: &str, arguments: &[&str]) -> Running {
    let mut command = command(role, arguments);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a child starts");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    Running { child, stdout }
}

impl Running {
    /// The next line it prints; empty if it ended.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    /// Kills it; returns what else it had printed.
    pub fn kill(&mut self) -> String {
        let _ = self.child.kill();
        let status = self.child.wait().expect("a child ends");
        assert_ne!(status.code(), Some(101), "the child panicked");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
