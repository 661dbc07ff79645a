//! A real Redis server, on a socket in a scratch directory, for as long as a test runs.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::value::Value;

/// The version that [`differences`](crate::differences) is written for.
const VERSION: &str = "7.0.";

/// Says what a test that passes did not do. Not by a macro, whose output is shown for tests that fail. With
/// `STREAMLOG_NO_SKIPS` in the environment it fails.
pub fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
    assert!(std::env::var_os("STREAMLOG_NO_SKIPS").is_none(), "skipped: {what}");
}

pub struct Server {
    process: Child,
    connection: BufReader<UnixStream>,
    dir: TempDir,
}

impl Server {
    /// Starts a server; `None`, loudly, if there is none, or one of another version.
    pub fn start() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let socket = dir.path().join("socket");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
        let process = match command.current_dir(dir.path()).stdout(Stdio::null()).spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skipped("nothing was compared with Redis, for there is no redis-server on PATH");
                return None;
            }
            process => process.expect("redis-server starts"),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        let connection = loop {
            match UnixStream::connect(&socket) {
                Ok(connection) => break BufReader::new(connection),
                Err(error) => assert!(Instant::now() < deadline, "redis-server does not answer: {error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // No command waits for so long, so that one that does is named in a failure.
        connection.get_ref().set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out can be set");
        let server = Self { process, connection, dir };
        server.of_the_right_version()
    }

    fn of_the_right_version(mut self) -> Option<Self> {
        let info = self.execute(&["INFO", "server"]).to_string();
        let version = info.split("redis_version:").nth(1).and_then(|rest| rest.split('\\').next()).unwrap_or_default();
        if version.starts_with(VERSION) {
            return Some(self);
        }
        skipped(&format!("nothing was compared with Redis, for redis-server is {version} and not {VERSION}x"));
        None
    }

    /// Where its files are; its socket has the name `socket`.
    #[allow(dead_code, reason = "not every test looks at files")]
    pub fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// Executes a command.
    pub fn execute<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args.iter().map(AsRef::as_ref) {
            request.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            request.extend_from_slice(arg);
            request.extend_from_slice(b"\r\n");
        }
        self.connection.get_mut().write_all(&request).expect("redis-server takes a command");
        let mut reply = Vec::new();
        self.read_reply(&mut reply);
        Value::decode(&reply)
    }

    /// Appends the bytes of one reply.
    fn read_reply(&mut self, reply: &mut Vec<u8>) {
        let start = reply.len();
        let len = self.connection.read_until(b'\n', reply).expect("redis-server replies");
        assert!(len > 0, "redis-server closed the connection");
        let line = reply[start..].trim_ascii_end();
        let number = || str::from_utf8(&line[1..]).ok().and_then(|text| text.parse::<i64>().ok());
        match line.first() {
            Some(b'$') => {
                if let Some(len) = number().and_then(|len| u64::try_from(len).ok()) {
                    let body = self.connection.by_ref().take(len + 2).read_to_end(reply);
                    body.expect("redis-server finishes its reply");
                }
            }
            Some(b'*') => (0..number().expect("a count is a number")).for_each(|_| self.read_reply(reply)),
            _ => {}
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have gone already, and there is nothing to keep.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
