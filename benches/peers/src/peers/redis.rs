//! A Redis server of its own, over a socket file, with an append-only file.
//!
//! A batch is a pipeline of as many `XADD`. Each thread has a connection.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Client, Connection, Value, cmd, pipe};

use crate::common::Event;
use crate::peer::{Consumer, Each, Peer, Reader, Result, Values, Writer, kill_this_process};

const PAGE: usize = 1000;
const START: Duration = Duration::from_secs(60);

/// The version of the server that would be measured, if there is one on `PATH`.
pub fn version() -> Option<String> {
    let output = Command::new("redis-server").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.split_whitespace().find_map(|word| word.strip_prefix("v="))?.to_owned())
}

pub struct Server {
    process: Child,
    client: Client,
}

pub fn open_no(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, "no")
}

pub fn open_everysec(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, "everysec")
}

pub fn open_always(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, "always")
}

fn open(path: &Path, appendfsync: &str) -> Result<Box<dyn Peer>> {
    let socket: PathBuf = path.join("redis.sock");
    let process = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", appendfsync])
        .args(["--auto-aof-rewrite-percentage", "0", "--daemonize", "no", "--maxclients", "200"])
        .arg("--unixsocket")
        .arg(&socket)
        .arg("--dir")
        .arg(path)
        .arg("--logfile")
        .arg(path.join("redis.log"))
        .stdout(Stdio::null())
        .spawn()?;
    let url = format!("redis+unix://{}", socket.display());
    let mut server = Server { process, client: Client::open(url)? };
    server.wait_until_loaded()?;
    Ok(Box::new(server))
}

impl Server {
    fn wait_until_loaded(&mut self) -> Result {
        let begin = Instant::now();
        loop {
            let answer = self.client.get_connection().and_then(|mut connection| cmd("PING").exec(&mut connection));
            match answer {
                Ok(()) => return Ok(()),
                Err(error) if begin.elapsed() > START => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("redis-server ended: {status}").into());
            }
        }
    }

    fn kill(&mut self) {
        // It may have ended; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Peer for Server {
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(ServerStream::new(self, stream)?))
    }

    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(ServerStream::new(self, stream)?))
    }

    fn consumer(&self) -> Result<Box<dyn Consumer + '_>> {
        let mut stream = ServerStream::new(self, 0)?;
        cmd("XGROUP").arg("CREATE").arg(&stream.name).arg("workers").arg("0").exec(&mut stream.connection)?;
        Ok(Box::new(stream))
    }

    /// The process whose end counts is the server.
    fn die(mut self: Box<Self>) -> ! {
        self.kill();
        kill_this_process()
    }
}

struct ServerStream {
    connection: Connection,
    name: String,
    ids: Vec<Vec<u8>>,
}

impl ServerStream {
    fn new(server: &Server, stream: u32) -> Result<Self> {
        let connection = server.client.get_connection()?;
        Ok(Self { connection, name: format!("orders-{stream}"), ids: Vec::new() })
    }

    fn add(&self, event: &Event) -> redis::Cmd {
        let mut add = cmd("XADD");
        add.arg(&self.name).arg("*");
        for (name, value) in event.fields() {
            add.arg(name).arg(value);
        }
        add
    }

    fn range(&mut self, command: &str, from: &[u8], to: &[u8], count: usize) -> Result<Value> {
        let mut range = cmd(command);
        range.arg(&self.name).arg(from).arg(to).arg("COUNT").arg(count);
        Ok(range.query(&mut self.connection)?)
    }

    /// All entries, a page at a time.
    fn pages(&mut self, command: &str, end: &str, mut with: impl FnMut(&[u8], Values<'_>)) -> Result {
        let mut from = if end == "+" { b"-".to_vec() } else { b"+".to_vec() };
        loop {
            let reply = self.range(command, &from, end.as_bytes(), PAGE)?;
            let entries = array(&reply)?;
            for entry in entries {
                let (id, values) = parts(entry)?;
                with(id, values);
            }
            let Some(last) = entries.last().filter(|_| entries.len() == PAGE) else { return Ok(()) };
            from = [b"(", parts(last)?.0].concat();
        }
    }
}

fn array(value: &Value) -> Result<&[Value]> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(format!("an array was expected: {other:?}").into()),
    }
}

fn bytes(value: &Value) -> Result<&[u8]> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        other => Err(format!("a string was expected: {other:?}").into()),
    }
}

/// ID and values of an entry.
fn parts(entry: &Value) -> Result<(&[u8], Values<'_>)> {
    let [id, fields] = array(entry)? else { return Err("not an entry".into()) };
    match array(fields)? {
        [_, kind, _, data, _, timestamp] => Ok((bytes(id)?, [bytes(kind)?, bytes(data)?, bytes(timestamp)?])),
        _ => Err("an entry without its fields".into()),
    }
}

impl Writer for ServerStream {
    fn append(&mut self, event: &Event) -> Result {
        Ok(self.add(event).exec(&mut self.connection)?)
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        let mut pipeline = pipe();
        for event in events {
            pipeline.add_command(self.add(event)).ignore();
        }
        Ok(pipeline.exec(&mut self.connection)?)
    }
}

impl Reader for ServerStream {
    fn scan(&mut self, each: Each) -> Result {
        self.pages("XRANGE", "+", |_, values| each(values))
    }

    fn scan_backward(&mut self, each: Each) -> Result {
        self.pages("XREVRANGE", "-", |_, values| each(values))
    }

    fn prepare_lookups(&mut self) -> Result {
        let mut ids = Vec::new();
        self.pages("XRANGE", "+", |id, _| ids.push(id.to_vec()))?;
        self.ids = ids;
        Ok(())
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let id = std::mem::take(&mut self.ids[number as usize]);
        let reply = self.range("XRANGE", &id, &id, 1);
        self.ids[number as usize] = id;
        let reply = reply?;
        each(parts(array(&reply)?.first().ok_or("no such entry")?)?.1);
        Ok(())
    }

    fn first(&mut self, each: Each) -> Result {
        let reply = self.range("XRANGE", b"-", b"+", 1)?;
        each(parts(array(&reply)?.first().ok_or("an empty stream")?)?.1);
        Ok(())
    }
}

impl Consumer for ServerStream {
    fn deliver(&mut self, batch: usize, each: Each) -> Result<usize> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg("workers").arg("alice").arg("COUNT").arg(batch);
        read.arg("STREAMS").arg(&self.name).arg(">");
        let reply: Value = read.query(&mut self.connection)?;
        if reply == Value::Nil {
            return Ok(0);
        }
        let [stream] = array(&reply)? else { return Err("more than one stream".into()) };
        let [_, entries] = array(stream)? else { return Err("not a stream".into()) };
        let mut acknowledge = cmd("XACK");
        acknowledge.arg(&self.name).arg("workers");
        for entry in array(entries)? {
            let (id, values) = parts(entry)?;
            each(values);
            acknowledge.arg(id);
        }
        Ok(acknowledge.query(&mut self.connection)?)
    }
}
