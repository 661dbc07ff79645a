//! Carrying out logged commands, one after the other.
//!
//! What a server logs are effects that did take place: a `RENAME` in a log has renamed something. So what is not in the store
//! is known to be no stream, and a command that replaces whatever is at a key ends a stream that is there.

use super::foreign::{self, Effect};
use super::import::ImportError;
use super::report::Imported;
use crate::command::{Reply, Session};
use crate::{NAME_LEN_MAX, Store};

/// What changes streams and what is in them; of keys, what has no other sense if there is no stream.
const CARRIED_OUT: [&str; 16] = [
    "XADD",
    "XTRIM",
    "XDEL",
    "XDELEX",
    "XACK",
    "XACKDEL",
    "XNACK",
    "XCLAIM",
    "XAUTOCLAIM",
    "XREADGROUP",
    "XGROUP",
    "XSETID",
    "XCFGSET",
    "XIDMPRECORD",
    "DEL",
    "UNLINK",
];

/// A command and where it begins.
type Logged = (u64, Vec<Vec<u8>>);

/// Carries out commands.
#[derive(Debug)]
pub struct Applier {
    store: Store,
    session: Session,
    /// The database that is taken in.
    pub wanted: u64,
    /// The one that commands are for.
    pub database: u64,
    /// A transaction that is open: where it begins, and what is in it.
    transaction: Option<(u64, Vec<Logged>)>,
    /// There was nothing in the store that is not of the log.
    pub may_flush: bool,
    pub imported: Imported,
}

impl Applier {
    pub fn new(store: &Store, may_flush: bool) -> Self {
        Self {
            store: store.clone(),
            session: Session::replaying(store),
            wanted: 0,
            database: 0,
            transaction: None,
            may_flush,
            imported: Imported::default(),
        }
    }

    /// Where the transaction begins that is open.
    pub fn transaction(&self) -> Option<u64> {
        self.transaction.as_ref().map(|(offset, _)| *offset)
    }

    /// A log begins, which goes on where the one before has ended, if that has an end.
    pub fn begin_log(&mut self) -> Result<(), ImportError> {
        if let Some(torn) = self.imported.torn {
            return Err(ImportError::Torn { torn });
        }
        // What a log that could not be read has left open.
        self.transaction = None;
        self.database = 0;
        Ok(())
    }

    /// Carries out a command, or keeps it until its transaction ends.
    pub fn take(&mut self, offset: u64, args: Vec<Vec<u8>>) -> Result<(), ImportError> {
        let Some(name) = args.first() else { return Ok(()) };
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        match &mut self.transaction {
            _ if name.first() == Some(&b'#') => self.imported.annotations += 1,
            None if is("MULTI") => self.transaction = Some((offset, Vec::new())),
            Some(_) if is("EXEC") => {
                let (_, commands) = self.transaction.take().unwrap_or_default();
                for (offset, args) in commands {
                    self.run(offset, &args)?;
                }
            }
            Some(_) if is("DISCARD") => self.transaction = None,
            Some((_, commands)) => commands.push((offset, args)),
            None => self.run(offset, &args)?,
        }
        Ok(())
    }

    fn run(&mut self, offset: u64, args: &[Vec<u8>]) -> Result<(), ImportError> {
        let Some(name) = args.first() else { return Ok(()) };
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        let is_one_of = |words: &[&str]| words.iter().any(|word| is(word));
        match args {
            [_, database] if is("SELECT") => match number(database) {
                Some(database) => self.database = database,
                None => self.imported.refuse(offset, args, b"ERR invalid DB index"),
            },
            [_, from, to] if is("SWAPDB") => {
                let concerned = [from, to].iter().any(|database| number(database) == Some(self.wanted));
                if concerned {
                    return Err(ImportError::Swapped { offset });
                }
                self.skip(args);
            }
            _ if is("FLUSHALL") => self.flush(offset)?,
            _ if self.database != self.wanted && destination(args) == Some(self.wanted) => {
                return Err(ImportError::Moved { offset });
            }
            _ if self.database != self.wanted => self.skip(args),
            _ if is("FLUSHDB") => self.flush(offset)?,
            _ if is_one_of(&CARRIED_OUT) => self.execute(offset, args)?,
            [_, from, to] if is_one_of(&["RENAME", "RENAMENX"]) => match self.exists(from)? {
                true => self.execute(offset, args)?,
                false => self.replace(&[to], args)?,
            },
            [_, from, to, ..] if is("COPY") => {
                let is_here = destination(args).is_none_or(|database| database == self.wanted);
                match (is_here, self.exists(from)?) {
                    (true, true) => self.execute(offset, &without_database(args))?,
                    (true, false) => self.replace(&[to], args)?,
                    (false, _) => self.skip(args),
                }
            }
            [_, key, _] if is("MOVE") => self.replace(&[key], args)?,
            _ => match foreign::effect(name) {
                Some(Effect::Expires) if self.exists(args.get(1).map_or(&[], Vec::as_slice))? => {
                    self.imported.expiries += 1;
                }
                Some(Effect::Restores) if args.get(3).is_some_and(|value| foreign::may_be_stream(value)) => {
                    return Err(ImportError::Restored { offset });
                }
                Some(effect) => self.replace(&foreign::replaced(effect, args), args)?,
                None => self.skip(args),
            },
        }
        Ok(())
    }

    fn skip(&mut self, args: &[Vec<u8>]) {
        let name = args.first().map_or(&b""[..], Vec::as_slice);
        self.imported.skip(name, self.database);
    }

    /// Something that is no stream comes to these keys, or nothing.
    fn replace<K: AsRef<[u8]>>(&mut self, keys: &[K], args: &[Vec<u8>]) -> Result<(), ImportError> {
        for key in keys.iter().map(AsRef::as_ref) {
            if self.exists(key)? {
                self.store.delete([key])?;
            }
        }
        self.skip(args);
        Ok(())
    }

    fn exists(&self, key: &[u8]) -> Result<bool, ImportError> {
        Ok(key.len() <= NAME_LEN_MAX && self.store.exists(key)?)
    }

    fn flush(&mut self, offset: u64) -> Result<(), ImportError> {
        if !self.may_flush {
            return Err(ImportError::Flushed { offset });
        }
        self.store.delete_all()?;
        self.imported.commands += 1;
        Ok(())
    }

    fn execute(&mut self, offset: u64, args: &[Vec<u8>]) -> Result<(), ImportError> {
        let words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        match self.session.replay(&words)? {
            Reply::Error(text) => self.imported.refuse(offset, args, &text),
            // Of keys that are no streams.
            Reply::Integer(0) if words.first().is_some_and(|name| is_deletion(name)) => self.skip(args),
            reply => {
                self.imported.commands += 1;
                self.imported.entries += u64::from(is_new_entry(args, &reply));
            }
        }
        Ok(())
    }
}

/// Whether a command of this name does something here, or to what is here.
pub fn is_known(name: &[u8]) -> bool {
    const OTHERS: [&str; 11] =
        ["SELECT", "MULTI", "EXEC", "DISCARD", "FLUSHALL", "FLUSHDB", "SWAPDB", "RENAME", "RENAMENX", "COPY", "MOVE"];
    let mut known = CARRIED_OUT.iter().chain(&OTHERS);
    known.any(|word| name.eq_ignore_ascii_case(word.as_bytes())) || foreign::effect(name).is_some()
}

/// The database that a command names besides its own, as that which a key comes to.
fn destination(args: &[Vec<u8>]) -> Option<u64> {
    match args {
        [name, _, database] if name.eq_ignore_ascii_case(b"MOVE") => number(database),
        [name, _, _, options @ ..] if name.eq_ignore_ascii_case(b"COPY") => {
            options.windows(2).find_map(|pair| match pair {
                [option, database] if option.eq_ignore_ascii_case(b"DB") => number(database),
                _ => None,
            })
        }
        _ => None,
    }
}

/// A `COPY` without the database it names, which is this one.
fn without_database(args: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut args = args.to_vec();
    while let Some(at) = args.iter().skip(3).position(|option| option.eq_ignore_ascii_case(b"DB")) {
        args.drain(3 + at..(5 + at).min(args.len()));
    }
    args
}

fn is_deletion(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"DEL") || name.eq_ignore_ascii_case(b"UNLINK")
}

/// Whether an entry was added, and not one that had been added before.
fn is_new_entry(args: &[Vec<u8>], reply: &Reply) -> bool {
    let Reply::Bulk(id) = reply else { return false };
    let is_production = |arg: &Vec<u8>| arg.eq_ignore_ascii_case(b"IDMP") || arg.eq_ignore_ascii_case(b"IDMPAUTO");
    let is_add = args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"XADD"));
    is_add && (args.contains(id) || !args.iter().any(is_production))
}

fn number(text: &[u8]) -> Option<u64> {
    str::from_utf8(text).ok()?.parse().ok()
}
