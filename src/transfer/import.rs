//! Reading commands that a server has logged.

use std::io::{self, BufRead};

use super::apply::Applier;
use super::beginning;
use super::report::{Imported, Progress, Torn};
use crate::command::{DecodeError, Decoder};
use crate::{Error, Result, Store};

/// Takes in commands as [`Export`](super::Export) writes them or as a server logs them, as RESP or as plain lines.
///
/// Each of them is carried out as if a client had sent it, at the durability of the store: where the input can be read again,
/// [`Durability::Os`](crate::Durability::Os) and a [`sync`](Store::sync) at the end are far faster.
///
/// | of the log | here |
/// |---|---|
/// | commands of streams, `DEL`, `RENAME`, `COPY`, `FLUSHDB` and the like | carried out; one that is refused is told of, and the import goes on, as when a server loads the log |
/// | `SELECT` | one database is taken in, 0 unless told otherwise; commands for others are counted |
/// | `MULTI`, `EXEC` | what is between is carried out when `EXEC` is there, and otherwise not at all |
/// | commands of other types, scripts, functions | counted; where one puts something else at the key of a stream, that stream is deleted, as it was there |
/// | expiry times of streams | counted: streams here have none. That a key has expired is in the log as its deletion |
/// | a beginning that is something else: a text, a table | [`ImportError::NotCommands`]; a command that is not known is counted, as those of other types are |
/// | lines that begin with `#` | counted: they annotate the log with times |
/// | a snapshot (RDB) at the beginning | [`ImportError::Snapshot`], which says what to do |
/// | a key that comes from another database (`COPY`, `MOVE`), databases that are exchanged (`SWAPDB`) | [`ImportError::Moved`], [`ImportError::Swapped`]: what comes was not read |
/// | a key as a server has serialized it (`RESTORE`), if it is a stream, or of a type that is not known here | [`ImportError::Restored`]: only a server can read it |
/// | an end in the middle of a command | [`Imported::torn`]; everything before it is taken in, and no other log after it |
///
/// What a server logs has times and IDs in full. Commands that depend on when they are carried out may be in a file that was
/// written by hand: they mean the time of the import. Nothing blocks.
///
/// # Examples
///
/// ```
/// use streamlog::Store;
/// use streamlog::transfer::Import;
///
/// let store = Store::in_memory();
/// let log = b"SELECT 0\r\nXADD orders 1-1 total 49.99\r\nSET greeting hello\r\nXADD orders 2";
/// let mut import = Import::new(&store)?;
/// import.read(&log[..], |_| {})?;
/// let imported = import.finish();
/// assert_eq!((imported.entries, imported.skipped_count()), (1, 1));
/// assert_eq!(imported.torn.map(|torn| torn.offset), Some(59));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Import {
    pub(super) applier: Applier,
}

/// Why an import stops. What comes before is done, and stays so.
///
/// # Examples
///
/// ```
/// use streamlog::Store;
/// use streamlog::transfer::{Import, ImportError};
///
/// let store = Store::in_memory();
/// let read = Import::new(&store)?.read(&b"XADD orders 1-1 total 49.99\r\n*x\r\n"[..], |_| {});
/// assert!(matches!(read, Err(ImportError::Malformed { offset: 29, .. })));
/// assert_eq!(store.stream("orders")?.len()?, 1, "what comes before is done");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] Error),
    /// The input cannot be read.
    #[error("cannot read the input at byte {offset}")]
    #[non_exhaustive]
    Read {
        /// How many bytes were read before.
        offset: u64,
        /// What the operating system says.
        source: io::Error,
    },
    /// The input begins with a snapshot, of which nothing was read.
    #[error(
        "it begins with a snapshot (RDB), which only a Redis server can read. Have the server write commands: \
         CONFIG SET appendonly yes, CONFIG SET aof-use-rdb-preamble no, BGREWRITEAOF; \
         when INFO persistence says aof_rewrite_in_progress:0, import its append-only file again"
    )]
    Snapshot,
    /// The input is compressed with gzip, and nothing of it was read.
    #[error("it is compressed: `gzip -dc FILE | streamlog import -`")]
    Compressed,
    /// The input is the list of the files of an append-only file, and nothing was done.
    #[error("it is a list of files (a manifest): import the directory it is in, or the file under its name")]
    Manifest,
    /// The input is text, but not of commands, and nothing was done: the word that its first command would be called by is none.
    /// A line that begins with `#` is passed over, here as anywhere, and so is one that is empty.
    #[error(
        "line {line} begins with `{word}`, which is no command: what is taken in are the files that `streamlog export` or a \
         Redis server has written, and plain lines that begin with the name of a command, such as XADD or JSON.SET"
    )]
    #[non_exhaustive]
    NotCommands {
        /// The number of the line, from 1 on.
        line: u64,
        /// What it begins with, escaped and shortened.
        word: String,
    },
    /// Bytes that are no command. Nobody can say where the next one begins.
    #[error("there is no command at byte {offset}")]
    #[non_exhaustive]
    Malformed {
        /// Where they begin.
        offset: u64,
        /// What is wrong with them.
        source: DecodeError,
    },
    /// A command that deletes everything, and the store was not empty to begin with: it would delete what is not of the log.
    #[error("the log deletes everything at byte {offset}, and the store was not empty: import it into a new one")]
    #[non_exhaustive]
    Flushed {
        /// Where the command begins.
        offset: u64,
    },
    /// An import that was stopped cannot go on like this. Nothing was changed.
    #[error("the import that was stopped cannot go on: {reason}")]
    #[non_exhaustive]
    Resumption {
        /// Why.
        reason: &'static str,
    },
    /// A log that was read before this one is cut short, and nothing of this one was done: it goes on where that one would have
    /// ended.
    #[error("the log before this one is cut short at byte {} of {}, and this one goes on from its end", torn.offset, torn.len)]
    #[non_exhaustive]
    Torn {
        /// The end of the log before.
        torn: Torn,
    },
    /// A command that brings a key from another database, which may be a stream.
    #[error(
        "a key comes from another database at byte {offset} (COPY, MOVE), and only one is read: have the server rewrite its log"
    )]
    #[non_exhaustive]
    Moved {
        /// Where the command begins.
        offset: u64,
    },
    /// A command that gives the database the content of another one.
    #[error("databases are exchanged at byte {offset} (SWAPDB), and only one is read: have the server rewrite its log")]
    #[non_exhaustive]
    Swapped {
        /// Where the command begins.
        offset: u64,
    },
    /// A command that brings a key as a server has serialized it, which is a stream, or may be one: its type is not known here.
    #[error(
        "a key comes in serialized form at byte {offset} (RESTORE), and may be a stream, which only a Redis server can read: \
         have the server rewrite its log"
    )]
    #[non_exhaustive]
    Restored {
        /// Where the command begins.
        offset: u64,
    },
}

impl Import {
    /// An import into a store, which may have other streams.
    ///
    /// Costs reading one directory.
    ///
    /// # Errors
    ///
    /// As [`Store::names`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// use streamlog::transfer::Import;
    ///
    /// let store = Store::in_memory();
    /// store.create("payments")?;
    /// let mut import = Import::new(&store)?;
    /// import.read(&b"XADD orders 1-1 order o1\r\n"[..], |_| {})?;
    /// assert_eq!(store.names()?, [&b"orders"[..], b"payments"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(store: &Store) -> Result<Self> {
        Ok(Self { applier: Applier::new(store, store.names()?.is_empty()) })
    }

    /// Which database of the server is taken in; 0 unless set.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// use streamlog::transfer::Import;
    ///
    /// let store = Store::in_memory();
    /// let mut import = Import::new(&store)?.database(3);
    /// import.read(&b"XADD a 1-1 f v\r\nSELECT 3\r\nXADD b 1-1 f v\r\n"[..], |_| {})?;
    /// assert_eq!(store.names()?, [b"b"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn database(mut self, number: u64) -> Self {
        self.applier.wanted = number;
        self
    }

    /// Reads one log to its end. Several are read one after the other: of a server that keeps its log in parts, the base and then
    /// the increments, as [`files_of`](super::files_of) gives them.
    ///
    /// Takes the memory of the largest command, or of the largest transaction. `progress` is told from time to time.
    ///
    /// # Errors
    ///
    /// [`ImportError`]. What comes before is done. After a log that is [cut short](Imported::torn) no other is read:
    /// [`ImportError::Torn`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// use streamlog::transfer::Import;
    ///
    /// let store = Store::in_memory();
    /// let mut import = Import::new(&store)?;
    /// let parts = [&b"XADD orders 1-1 order o1\r\n"[..], b"XADD orders 2-1 order o2\r\nXDEL orders 1-1\r\n"];
    /// for part in parts {
    ///     let mut read = 0;
    ///     import.read(part, |progress| read = progress.offset)?;
    ///     assert_eq!(read, part.len() as u64);
    /// }
    /// assert_eq!((import.imported().commands, store.stream("orders")?.len()?), (3, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(&mut self, input: impl BufRead, progress: impl FnMut(Progress)) -> Result<(), ImportError> {
        self.applier.begin_log()?;
        Reader::new(input).run(&mut self.applier, progress, |_, _| Ok(()))
    }

    /// What it has come to so far.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// use streamlog::transfer::Import;
    ///
    /// let mut import = Import::new(&Store::in_memory())?;
    /// for entries in 1..=2 {
    ///     import.read(format!("XADD orders {entries}-1 order o1\r\n").as_bytes(), |_| {})?;
    ///     assert_eq!(import.imported().entries, entries);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn imported(&self) -> &Imported {
        &self.applier.imported
    }

    /// What it has come to.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// use streamlog::transfer::Import;
    ///
    /// let mut import = Import::new(&Store::in_memory())?;
    /// import.read(&b"XADD orders 1-1 order o1\r\nXADD orders 1-1 order o2\r\n"[..], |_| {})?;
    /// let imported = import.finish();
    /// for refused in &imported.refused {
    ///     eprintln!("{refused}");
    /// }
    /// assert_eq!((imported.entries, imported.refused_count), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn finish(self) -> Imported {
        self.applier.imported
    }
}

/// One log that is being read.
pub(super) struct Reader<R> {
    input: R,
    decoder: Decoder,
    /// How many bytes the decoder was given.
    read: u64,
}

impl<R: BufRead> Reader<R> {
    pub fn new(input: R) -> Self {
        Self::at(input, 0)
    }

    /// Goes on with what is behind the first `offset` bytes, which are gone from `input`.
    pub fn at(input: R, offset: u64) -> Self {
        Self { input, decoder: Decoder::of_log(), read: offset }
    }

    /// Where the next command begins, or goes on.
    fn offset(&self) -> u64 {
        self.read - self.decoder.unread() as u64
    }

    /// Reads to the end. `between` is called where no transaction is open, with the offset.
    pub fn run(
        mut self,
        applier: &mut Applier,
        mut progress: impl FnMut(Progress),
        mut between: impl FnMut(&mut Applier, u64) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let before = applier.imported.bytes;
        if self.read == 0 {
            self.look_at_beginning()?;
        }
        let mut start = self.offset();
        loop {
            loop {
                let decoded = self.decoder.next_command();
                let decoded = decoded.map_err(|source| ImportError::Malformed { offset: start, source })?;
                let Some(args) = decoded else { break };
                let end = self.offset();
                applier.take(start, args)?;
                start = end;
                if applier.transaction().is_none() {
                    applier.imported.bytes = before + start;
                    between(applier, start)?;
                }
            }
            let Imported { commands, entries, .. } = applier.imported;
            progress(Progress { offset: start, commands, entries });
            if self.fill()? == 0 {
                break;
            }
        }
        let begun = if self.decoder.is_partial() { Some(start) } else { None };
        let transaction = applier.transaction();
        applier.imported.torn =
            transaction.or(begun).map(|offset| Torn { offset, len: self.read, is_transaction: transaction.is_some() });
        Ok(())
    }

    /// Reads on; returns how many bytes there were.
    fn fill(&mut self) -> Result<usize, ImportError> {
        loop {
            match self.input.fill_buf() {
                Ok(bytes) => {
                    let len = bytes.len();
                    self.decoder.feed(bytes);
                    self.input.consume(len);
                    self.read += len as u64;
                    return Ok(len);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ImportError::Read { offset: self.read, source }),
            }
        }
    }

    fn look_at_beginning(&mut self) -> Result<(), ImportError> {
        while !beginning::is_enough(self.decoder.peek()) && self.fill()? > 0 {}
        beginning::check(self.decoder.peek())
    }
}

/// Whether an input begins with a command: a look before there is a store that it could be taken into. What is wrong further on
/// only an import finds.
///
/// Looks at what is in the buffer of `input`, which is filled if it is empty, and takes nothing out of it. Costs a copy of that.
///
/// # Errors
///
/// [`ImportError::Snapshot`], [`ImportError::Compressed`], [`ImportError::Manifest`], [`ImportError::NotCommands`],
/// [`ImportError::Malformed`]: as the import would come to; [`ImportError::Read`] if it cannot be read.
///
/// # Examples
///
/// ```
/// use streamlog::transfer::{ImportError, look_at_beginning};
///
/// assert!(look_at_beginning(&b"XADD orders 1-1 total 49.99\r\n"[..]).is_ok());
/// assert!(matches!(look_at_beginning(&b"REDIS0011\xfa"[..]), Err(ImportError::Snapshot)));
/// assert!(matches!(look_at_beginning(&b"root:x:0:0\n"[..]), Err(ImportError::NotCommands { line: 1, .. })));
/// assert!(matches!(look_at_beginning(&b"*1\r\nPING\r\n"[..]), Err(ImportError::Malformed { offset: 0, .. })));
/// ```
pub fn look_at_beginning(mut input: impl BufRead) -> Result<(), ImportError> {
    let beginning = loop {
        match input.fill_buf() {
            Ok(_) => break input.fill_buf(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    let beginning = beginning.map_err(|source| ImportError::Read { offset: 0, source })?;
    beginning::check(beginning)?;
    let mut decoder = Decoder::of_log();
    decoder.feed(beginning);
    decoder.next_command().map(drop).map_err(|source| ImportError::Malformed { offset: 0, source })
}
