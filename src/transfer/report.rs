//! What an import came to.

use std::collections::BTreeMap;
use std::fmt;

use crate::inspect::Escaped;

/// How many different commands are told apart among those that are skipped; what is beyond counts as one in each database, and in
/// as many databases.
const NAMES_MAX: usize = 256;
/// So much of a name is kept: all of it is in each checkpoint of an import.
const NAME_LEN_MAX: usize = 64;
/// How many commands that were refused are described.
const REFUSED_MAX: usize = 10;

/// How far an import is.
///
/// # Examples
///
/// ```
/// use streamlog::Store;
/// use streamlog::transfer::Import;
///
/// let (log, mut told) = (b"XADD orders 1-1 order o1\r\nXDEL orders 1-1\r\n", None);
/// Import::new(&Store::in_memory())?.read(&log[..], |progress| told = Some(progress))?;
/// let told = told.expect("it is told at least once");
/// assert_eq!((told.offset, told.commands, told.entries), (log.len() as u64, 2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of the input that are done with.
    pub offset: u64,
    /// Commands that were carried out.
    pub commands: u64,
    /// Entries that were added.
    pub entries: u64,
}

/// What an import came to.
///
/// # Examples
///
/// ```
/// use streamlog::Store;
/// use streamlog::transfer::Import;
///
/// let mut import = Import::new(&Store::in_memory())?;
/// let log = b"#TS:1700000000\r\nXADD orders 1-1 order o1\r\nSET a 1\r\nINCR a\r\nXADD orders 1-1 order o2\r\n";
/// import.read(&log[..], |_| {})?;
/// let imported = import.finish();
/// assert_eq!((imported.entries, imported.annotations, imported.refused_count), (1, 1, 1));
/// assert_eq!((imported.skipped_count(), imported.skipped.len()), (2, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Bytes of the input that were taken in.
    pub bytes: u64,
    /// Commands that were carried out.
    pub commands: u64,
    /// Entries that were added.
    pub entries: u64,
    /// Lines that begin with `#`, which annotate the log.
    pub annotations: u64,
    /// Times of expiry that were not set, as streams here have none.
    pub expiries: u64,
    /// Commands that were passed over: by name, in capitals, and database.
    pub skipped: BTreeMap<Skipped, u64>,
    /// How many commands were answered with an error.
    pub refused_count: u64,
    /// The first of these.
    pub refused: Vec<Refused>,
    /// The last command, if it is cut short. No other log is read then.
    pub torn: Option<Torn>,
}

/// What was passed over.
///
/// # Examples
///
/// ```
/// use streamlog::Store;
/// use streamlog::transfer::Import;
///
/// let mut import = Import::new(&Store::in_memory())?;
/// import.read(&b"set a 1\r\nset b 2\r\nSELECT 1\r\nXADD orders 1-1 order o1\r\n"[..], |_| {})?;
/// let imported = import.finish();
/// let skipped: Vec<_> = imported.skipped.iter().map(|(of, n)| (of.database, of.command.as_str(), *n)).collect();
/// assert_eq!(skipped, [(0, "SET", 2), (1, "XADD", 1)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Skipped {
    /// The database; with others that are too many, 0.
    pub database: u64,
    /// The name of the command, in capitals, or the first 64 bytes of it; with others that are too many, `(others)`.
    pub command: String,
}

/// A command that was answered with an error.
///
/// # Examples
///
/// ```
/// use streamlog::Store;
/// use streamlog::transfer::Import;
///
/// let mut import = Import::new(&Store::in_memory())?;
/// import.read(&b"XADD orders 5-1 order o1\r\nXADD orders 4-1 order o2\r\n"[..], |_| {})?;
/// let refused = &import.imported().refused[0];
/// assert_eq!((refused.offset, refused.command.as_str()), (26, "XADD orders 4-1 order"));
/// assert!(refused.reply.contains("equal or smaller than the target stream top item"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Where it begins, in bytes from the start of the input.
    pub offset: u64,
    /// What it was: the first words of it.
    pub command: String,
    /// The error that a server would have answered.
    pub reply: String,
}

/// The end of an input that stops in the middle of a command or transaction.
///
/// # Examples
///
/// ```
/// use streamlog::Store;
/// use streamlog::transfer::Import;
///
/// let mut import = Import::new(&Store::in_memory())?;
/// import.read(&b"XADD orders 1-1 order o1\r\nMULTI\r\nXADD orders 2-1 order o2\r\n"[..], |_| {})?;
/// let imported = import.finish();
/// let torn = imported.torn.expect("the transaction has no end");
/// assert_eq!((torn.offset, torn.is_transaction, imported.entries), (26, true, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Torn {
    /// Where the command or transaction begins, in bytes from the start of the input. Everything before it was taken in.
    pub offset: u64,
    /// The length of the input.
    pub len: u64,
    /// It is a transaction of which the end is missing.
    pub is_transaction: bool,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_transaction { "transaction" } else { "command" };
        write!(f, "the last {what} is cut short: it begins at byte {} of {}", self.offset, self.len)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}: {}", self.offset, self.command, self.reply)
    }
}

impl Imported {
    /// How many commands were passed over.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// use streamlog::transfer::Import;
    ///
    /// let mut import = Import::new(&Store::in_memory())?;
    /// import.read(&b"SET a 1\r\nSET b 2\r\nEVAL 'return 1' 0\r\n"[..], |_| {})?;
    /// assert_eq!(import.imported().skipped_count(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn skipped_count(&self) -> u64 {
        self.skipped.values().sum()
    }

    pub(super) fn skip(&mut self, command: &[u8], database: u64) {
        let command = command.get(..NAME_LEN_MAX).unwrap_or(command);
        let command = Escaped(&command.to_ascii_uppercase()).to_string();
        let mut key = Skipped { database, command };
        if !self.skipped.contains_key(&key) && self.skipped.len() >= NAMES_MAX {
            "(others)".clone_into(&mut key.command);
        }
        if !self.skipped.contains_key(&key) && self.skipped.len() >= 2 * NAMES_MAX - 1 {
            key.database = 0;
        }
        *self.skipped.entry(key).or_default() += 1;
    }

    pub(super) fn refuse(&mut self, offset: u64, args: &[Vec<u8>], reply: &[u8]) {
        self.refused_count += 1;
        if self.refused.len() < REFUSED_MAX {
            let words = args.iter().take(4).map(|word| Escaped(word.get(..40).unwrap_or(word)).to_string());
            let command = words.collect::<Vec<_>>().join(" ");
            let reply = Escaped(reply).to_string();
            self.refused.push(Refused { offset, command, reply });
        }
    }
}
