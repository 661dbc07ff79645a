//! What a peer is asked to do. Each implements it as its documentation tells a user to.

use std::error::Error;
use std::path::Path;

use crate::common::Event;

pub type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The values of an entry: `type`, `data`, `timestamp`.
pub type Values<'a> = [&'a [u8]; 3];

/// What is shown each entry that is read.
pub type Each<'a> = &'a mut dyn FnMut(Values<'_>);

/// A peer cannot do this.
#[derive(Debug)]
pub struct Unsupported;

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no such operation")
    }
}

impl Error for Unsupported {}

/// What an entry has survived when the call that added it has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing: it is in a buffer of the process.
    Memory,
    /// The end of the process: it is in the page cache.
    PageCache,
    /// A power loss: it has been synced.
    Disk,
}

impl Class {
    pub fn text(self) -> &'static str {
        match self {
            Self::Memory => "process memory: lost when the process is killed",
            Self::PageCache => "page cache: survives the process, not a power loss",
            Self::Disk => "synced: survives a power loss",
        }
    }
}

/// A store of one of the peers, open.
pub trait Peer: Sync {
    /// What one thread appends with.
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>>;

    /// What reads a stream from its start.
    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>>;

    /// What takes the entries of stream 0, one consumer of one group.
    fn consumer(&self) -> Result<Box<dyn Consumer + '_>> {
        Err(Unsupported.into())
    }

    /// Ends the process as a kill does: nothing is flushed, nothing closed.
    fn die(self: Box<Self>) -> ! {
        kill_this_process()
    }
}

pub trait Writer {
    fn append(&mut self, event: &Event) -> Result;

    /// As one call, where there is one.
    fn append_batch(&mut self, events: &[Event]) -> Result {
        events.iter().try_for_each(|event| self.append(event))
    }
}

pub trait Reader {
    /// All entries, oldest first.
    fn scan(&mut self, each: Each) -> Result;

    /// All entries, newest first.
    fn scan_backward(&mut self, _each: Each) -> Result {
        Err(Unsupported.into())
    }

    /// Learns the IDs that `get` is to be asked for, where they are not the numbers of the entries.
    fn prepare_lookups(&mut self) -> Result {
        Ok(())
    }

    /// The entry with this number, by its ID.
    fn get(&mut self, _number: u64, _each: Each) -> Result {
        Err(Unsupported.into())
    }

    fn first(&mut self, each: Each) -> Result {
        self.get(0, each)
    }
}

pub trait Consumer {
    /// Takes up to `batch` entries and acknowledges them; how many these were.
    fn deliver(&mut self, batch: usize, each: Each) -> Result<usize>;
}

/// The jobs that a peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    Append,
    AppendBatch,
    Threads,
    Durable,
    DurableStreams,
    Read,
    Deliver,
    Streams,
}

/// A way of using a peer that is measured.
pub struct Spec {
    /// The crate; `--peers` selects by it.
    pub krate: &'static str,
    /// How it is used. With the crate, the name of a row.
    pub variant: &'static str,
    pub class: Class,
    pub jobs: &'static [Job],
    /// Reading: whether entries are added singly before, because the layout depends on it.
    pub singly: bool,
    pub open: fn(&Path) -> Result<Box<dyn Peer>>,
}

impl Spec {
    pub fn name(&self) -> String {
        if self.variant.is_empty() { self.krate.to_owned() } else { format!("{}, {}", self.krate, self.variant) }
    }
}

pub fn kill_this_process() -> ! {
    let killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    unreachable!("a process cannot survive this: {killed:?}")
}
