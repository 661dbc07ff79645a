//! What is tested: a store, opened in one of the ways in which a store can be opened.

use std::time::Duration;

use streamlog::command::{Protocol, Session};
use streamlog::{Durability, Options, Store};
use tempfile::TempDir;

use crate::value::Value;

/// How the store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Memory,
    Directory(Durability),
    /// In a directory, closed and opened again before every command.
    Reopened,
}

impl Mode {
    pub const ALL: [Self; 5] = [
        Self::Memory,
        Self::Directory(Durability::Always),
        Self::Directory(Durability::Interval(Duration::from_millis(5))),
        Self::Directory(Durability::Os),
        Self::Reopened,
    ];
}

pub struct Subject {
    store: Option<Store>,
    /// What to reopen between commands, if anything.
    reopen: Option<Options>,
    dir: TempDir,
}

impl Subject {
    /// An empty store.
    pub fn new(mode: Mode) -> Self {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let (store, reopen) = match mode {
            Mode::Memory => (Store::in_memory(), None),
            Mode::Directory(durability) => {
                (Options::new().durability(durability).open(dir.path()).expect("an empty directory opens"), None)
            }
            Mode::Reopened => {
                let options = Options::new().durability(Durability::Os);
                (options.clone().open(dir.path()).expect("an empty directory opens"), Some(options))
            }
        };
        Self { store: Some(store), reopen, dir }
    }

    /// Executes a command in a session of its own, and decodes what a client would be sent.
    pub fn execute<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        if let Some(options) = &self.reopen {
            self.store.take().expect("the store is open").close().expect("the store closes");
            self.store = Some(options.clone().open(self.dir.path()).expect("the store opens again"));
        }
        let mut session = Session::new(self.store.as_ref().expect("the store is open"));
        let mut bytes = Vec::new();
        session.execute(args).encode(Protocol::Resp2, &mut bytes);
        Value::decode(&bytes)
    }
}
