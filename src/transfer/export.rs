//! Writing a stream as commands.
//!
//! # The order of commands
//!
//! As in a file that a server has rewritten: the entries; the last ID and the counters; the groups, whose counters depend on
//! those of the stream; what is pending, which only an entry that is there can become; productions, likewise.
//!
//! What is pending or remembered although its entry is gone needs an entry for a moment. Such a *stand-in* is added in its place
//! among the others and removed when all the rest is done: by a trim in front of the first living entry, which leaves no trace,
//! and behind it by a deletion, of which the last command takes back what it did to the counters.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::encode::{Encoder, Words};
use crate::damage::Finding;
use crate::follow::moment;
use crate::group::aside::Aside;
use crate::group::pending::Pending;
use crate::group::{Group, producers};
use crate::inspect::Inspection;
use crate::io::place::Place;
use crate::log::cursor::Cursor;
use crate::log::{Log, Tail};
use crate::{Corruption, Entry, Error, Result, Stream, StreamId};

/// The most IDs in one command.
const IDS_MAX: usize = 64;
/// The highest number that Redis reads.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// A version of Redis, which tells what commands it knows.
///
/// # Examples
///
/// ```
/// use streamlog::transfer::RedisVersion;
///
/// let server: RedisVersion = "7.2.4".parse()?;
/// assert_eq!(server, RedisVersion::new(7, 2));
/// assert!(server < RedisVersion::LATEST);
/// assert_eq!(server.to_string(), "7.2");
/// # Ok::<(), streamlog::transfer::ParseRedisVersionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RedisVersion {
    major: u16,
    minor: u16,
}

impl RedisVersion {
    /// The oldest that keeps the counters of a stream: 7.0.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::transfer::RedisVersion;
    ///
    /// assert_eq!(RedisVersion::OLDEST, RedisVersion::new(7, 0));
    /// ```
    pub const OLDEST: Self = Self::new(7, 0);
    /// The one whose stream commands these are: 8.10.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::transfer::RedisVersion;
    ///
    /// assert_eq!(RedisVersion::LATEST, RedisVersion::new(8, 10));
    /// ```
    pub const LATEST: Self = Self::new(8, 10);

    /// A version.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::transfer::RedisVersion;
    ///
    /// assert!(RedisVersion::new(8, 6) < RedisVersion::new(8, 10));
    /// ```
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    fn has_productions(self) -> bool {
        self >= Self::new(8, 6)
    }

    fn has_releases(self) -> bool {
        self >= Self::new(8, 8)
    }
}

impl fmt::Display for RedisVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Text that is not a version of Redis; the first 80 characters of it are told.
///
/// # Examples
///
/// ```
/// use streamlog::transfer::RedisVersion;
///
/// let error = "seven".parse::<RedisVersion>().expect_err("it is no version");
/// assert!(error.to_string().ends_with(r#"not "seven""#));
/// for wrong in ["7", "7.", ".2", "+7.2", "7. 2", "65536.0"] {
///     assert!(wrong.parse::<RedisVersion>().is_err());
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version of Redis is two decimal numbers joined by '.', such as 7.2, not {text:?}")]
pub struct ParseRedisVersionError {
    text: String,
}

impl FromStr for RedisVersion {
    type Err = ParseRedisVersionError;

    /// Reads `major.minor`; what follows behind another dot is passed over, as the 4 of `7.2.4`.
    ///
    /// Signs, blanks, empty parts and numbers of 2^16 or more are errors; leading zeros are not.
    fn from_str(text: &str) -> Result<Self, ParseRedisVersionError> {
        let mut numbers = text.split('.').map(parse_decimal);
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => Ok(Self::new(major, minor)),
            _ => Err(ParseRedisVersionError { text: text.chars().take(80).collect() }),
        }
    }
}

fn parse_decimal(digits: &str) -> Option<u16> {
    // `u16::from_str` also takes a leading '+', which a version does not have.
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// What [`Export::run`] gives, piece by piece.
///
/// # Examples
///
/// ```
/// use streamlog::transfer::Part;
/// # let orders = streamlog::Store::in_memory().stream("orders")?;
/// # orders.add_batch(["o1", "o2"].map(|order| (Default::default(), [("order", order)])))?;
///
/// let mut exported = 0;
/// orders.export()?.run(|part| {
///     match part {
///         Part::Commands { bytes, entries, .. } => {
///             assert!(bytes.starts_with(b"*5\r\n$4\r\nXADD\r\n"));
///             exported += entries;
///         }
///         Part::Damage(finding) => eprintln!("{finding}"),
///         other => eprintln!("left out: {other:?}"),
///     }
///     Ok::<(), streamlog::Error>(())
/// })?;
/// assert_eq!(exported, 2);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Part {
    /// Whole commands.
    #[non_exhaustive]
    Commands {
        /// The commands, as a client would send them.
        bytes: Vec<u8>,
        /// How many entries are among them.
        entries: u64,
    },
    /// Entries that cannot be read, and are left out.
    Damage(Finding),
    /// What the version of Redis has no command for, and is left out: pending entries that were released, and productions.
    #[non_exhaustive]
    LeftOut {
        /// How many released entries.
        released: u64,
        /// How many remembered productions.
        productions: u64,
    },
}

/// A stream at one moment, to be written as commands.
///
/// # Examples
///
/// ```
/// use streamlog::Store;
/// use streamlog::transfer::{Import, Part};
/// # let orders = Store::in_memory().stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
///
/// let export = orders.export()?;
/// assert_eq!(export.entries(), 1);
/// let copy = Store::in_memory();
/// let mut import = Import::new(&copy)?;
/// export.run(|part| match part {
///     Part::Commands { bytes, .. } => import.read(&bytes[..], |_| {}),
///     _ => Ok(()),
/// })?;
/// assert!(copy.stream("orders")?.get(id)?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Export {
    name: Vec<u8>,
    log: Arc<Log>,
    tail: Tail,
    aside: Aside,
    version: RedisVersion,
    /// The store, and the stream's directory as it was, if somebody else may be writing to it.
    frozen: Option<(Place, Place)>,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("name", &String::from_utf8_lossy(&self.name)).finish_non_exhaustive()
    }
}

impl Inspection {
    /// A stream as it is now, to be written as commands. The store need not be opened for it, and may be in use.
    ///
    /// Costs reading what opening the stream reads.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`]; [`Error::Corrupt`] if the stream cannot be opened for damage; [`Error::Io`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::inspect::Inspection;
    /// use streamlog::transfer::Part;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// # streamlog::Store::open(path)?.stream("orders")?.add([("total", "49.99")])?;
    /// let inspection = Inspection::open(path)?;
    /// let mut file = Vec::new();
    /// for name in inspection.names()? {
    ///     inspection.export(&name)?.run(|part| {
    ///         if let Part::Commands { bytes, .. } = part {
    ///             file.extend_from_slice(&bytes);
    ///         }
    ///         Ok::<(), streamlog::Error>(())
    ///     })?;
    /// }
    /// assert!(file.starts_with(b"*5\r\n$4\r\nXADD\r\n$6\r\norders\r\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn export(&self, name: impl AsRef<[u8]>) -> Result<Export> {
        let name = name.as_ref();
        let (frozen, picture) = self.picture(name)?;
        let root = Place::new(Arc::clone(self.root.disk()), self.root.root(), PathBuf::new());
        Ok(Export {
            name: name.to_vec(),
            log: picture.log,
            tail: picture.tail,
            aside: picture.aside,
            version: RedisVersion::LATEST,
            frozen: Some((root, frozen)),
        })
    }
}

impl Stream {
    /// The stream as it is now, to be written as commands: see [`transfer`](crate::transfer).
    ///
    /// Costs a copy of what is pending and remembered. The entries are read by [`Export::run`]; those that are trimmed or deleted
    /// until then may be missing.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`]; those of opening the stream; at [`Durability::Always`](crate::Durability::Always), those of a
    /// sync.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::transfer::Part;
    /// # let orders = streamlog::Store::in_memory().stream("orders")?;
    /// # orders.add([("order", "o1")])?;
    ///
    /// let mut file = Vec::new();
    /// orders.export()?.run(|part| {
    ///     if let Part::Commands { bytes, .. } = part {
    ///         file.extend_from_slice(&bytes);
    ///     }
    ///     Ok::<(), streamlog::Error>(())
    /// })?;
    /// assert!(file.starts_with(b"*5\r\n$4\r\nXADD\r\n$6\r\norders\r\n"));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn export(&self) -> Result<Export> {
        let inner = self.existing()?;
        let (tail, aside) = inner.snapshot()?;
        let (name, log) = (self.name().to_vec(), Arc::clone(&inner.log));
        Ok(Export { name, log, tail, aside, version: RedisVersion::LATEST, frozen: None })
    }
}

impl Export {
    /// Leaves out what a server of this version has no command for: released entries before 8.8, productions before 8.6.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::transfer::{Part, RedisVersion};
    /// use streamlog::{AddOptions, Production, Store};
    ///
    /// let orders = Store::in_memory().stream("orders")?;
    /// let once = AddOptions::new().production(Production::Named { producer: b"shop", id: b"o1" });
    /// orders.add_with(once, [("order", "o1")])?;
    /// let mut left_out = 0;
    /// orders.export()?.redis_version(RedisVersion::new(7, 4)).run(|part| {
    ///     if let Part::LeftOut { productions, .. } = part {
    ///         left_out = productions;
    ///     }
    ///     Ok::<(), streamlog::Error>(())
    /// })?;
    /// assert_eq!(left_out, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn redis_version(mut self, version: RedisVersion) -> Self {
        self.version = version;
        self
    }

    /// How many entries there are.
    ///
    /// # Examples
    ///
    /// ```
    /// # let orders = streamlog::Store::in_memory().stream("orders")?;
    /// # orders.add([("order", "o1")])?;
    /// let export = orders.export()?;
    /// orders.add([("order", "o2")])?;
    /// assert_eq!(export.entries(), 1, "as it was");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.log.len(&self.tail)
    }

    /// Gives all commands to `each`, in pieces of about 64 KiB or one command.
    ///
    /// Reads the stream once. Takes the memory of what is pending and of a few blocks.
    ///
    /// # Errors
    ///
    /// What `each` returns. [`Error::Io`] if something cannot be read, also because somebody else trimmed the stream meanwhile:
    /// what was given so far is of no use then. Damage is no error, but given in its place.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use streamlog::transfer::Part;
    /// # let orders = streamlog::Store::in_memory().stream("orders")?;
    /// # orders.add([("order", "o1")])?;
    ///
    /// # let mut file = Vec::new();
    /// orders.export()?.run(|part| -> Result<(), Box<dyn std::error::Error>> {
    ///     match part {
    ///         Part::Commands { bytes, .. } => Ok(file.write_all(&bytes)?),
    ///         Part::Damage(finding) => Err(finding.to_string().into()),
    ///         _ => Ok(()),
    ///     }
    /// })?;
    /// assert!(file.starts_with(b"*5\r\n$4\r\nXADD\r\n$6\r\norders\r\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run<E: From<Error>>(self, mut each: impl FnMut(Part) -> Result<(), E>) -> Result<(), E> {
        let (released, productions) = self.left_out();
        if released + productions > 0 {
            each(Part::LeftOut { released, productions })?;
        }
        let mut encoder = Encoder::default();
        let needed = self.needed();
        if self.entries() > 0 && needed.last().is_some_and(|id| *id > self.tail.last_id) {
            // Above the last ID, which was set back, nothing can be added and removed again while there are entries: the rest
            // goes first, then, on what stands in for all of them.
            let mut stand_ins = StandIns { are_ahead: true, ..StandIns::default() };
            needed.into_iter().for_each(|id| self.put_stand_in(id, &mut stand_ins, &mut encoder));
            self.put_rest(&stand_ins, |words| hand_on_if_full(words, &mut encoder, &mut each))?;
            self.put_entries(Vec::new(), &mut encoder, &mut each)?;
            self.set_id().put(&mut encoder);
        } else {
            let stand_ins = self.put_entries(needed, &mut encoder, &mut each)?;
            self.put_rest(&stand_ins, |words| hand_on_if_full(words, &mut encoder, &mut each))?;
        }
        encoder.take().map_or(Ok(()), |taken| hand_on(taken, &mut each))
    }

    fn left_out(&self) -> (u64, u64) {
        let released = match self.version.has_releases() {
            true => 0,
            false => self.aside.groups.iter().map(|group| group.pending.released() as u64).sum(),
        };
        let productions = if self.version.has_productions() { 0 } else { self.aside.producers.tracked().1 as u64 };
        (released, productions)
    }

    /// The entries, and those that stand in for others.
    fn put_entries<E: From<Error>>(
        &self,
        needed: Vec<StreamId>,
        encoder: &mut Encoder,
        each: &mut impl FnMut(Part) -> Result<(), E>,
    ) -> Result<StandIns, E> {
        let mut needed = needed.into_iter().peekable();
        let mut stand_ins = StandIns::default();
        let mut entries = Cursor::new(self.log.view_to(self.tail), StreamId::MIN, StreamId::MAX);
        while let Some(entry) = entries.next_entry() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    each(Part::Damage(self.damage(error)?))?;
                    continue;
                }
            };
            while let Some(id) = needed.next_if(|&id| id < entry.id()) {
                self.put_stand_in(id, &mut stand_ins, encoder);
            }
            needed.next_if_eq(&entry.id());
            stand_ins.first_living.get_or_insert(entry.id());
            stand_ins.living += 1;
            encoder.entries += 1;
            self.put_entry(&entry, encoder);
            if let Some(taken) = encoder.take_if_full() {
                hand_on(taken, each)?;
            }
        }
        needed.for_each(|id| self.put_stand_in(id, &mut stand_ins, encoder));
        Ok(stand_ins)
    }

    fn put_entry(&self, entry: &Entry, encoder: &mut Encoder) {
        let id = entry.id().to_string();
        let mut args: Vec<&[u8]> = vec![b"XADD", &self.name, id.as_bytes()];
        args.extend(entry.fields().flat_map(|(name, value)| [name, value]));
        encoder.put(&args);
    }

    fn put_stand_in(&self, id: StreamId, stand_ins: &mut StandIns, encoder: &mut Encoder) {
        Words::new("XADD").bytes(&self.name).text(id).text("x").text("y").put(encoder);
        stand_ins.last = Some(id);
        match stand_ins.first_living {
            None => stand_ins.before += 1,
            Some(_) => stand_ins.behind.push(id),
        }
    }

    /// What must be there for a while: the IDs that are pending or remembered, in order.
    fn needed(&self) -> Vec<StreamId> {
        let pending = self.aside.groups.iter().flat_map(|group| group.pending.iter_from(StreamId::MIN));
        let mut needed: Vec<StreamId> = pending.map(|entry| entry.id).collect();
        if self.version.has_productions() {
            let memory = self.aside.producers.memory(0);
            needed.extend(memory.producers.iter().flat_map(|(_, productions)| productions).map(|(_, id)| *id));
        }
        needed.retain(|&id| id != StreamId::MIN);
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// An error in the place of entries as what it says; one that says nothing of damage stays one.
    fn damage(&self, error: Error) -> Result<Finding> {
        match (&error, &self.frozen) {
            (Error::Corrupt { path, what: Corruption::Missing, .. }, Some((root, frozen)))
                if !moment::is_unchanged(root, frozen) =>
            {
                let trimmed = std::io::Error::other("it was trimmed while being read");
                Err(Error::io("read", path, trimmed))
            }
            _ => Finding::of(error),
        }
    }

    /// All that is not an entry.
    fn put_rest<E>(&self, stand_ins: &StandIns, mut put: impl FnMut(Words) -> Result<(), E>) -> Result<(), E> {
        let name = &self.name;
        let added = self.tail.entries_added;
        if stand_ins.living == 0 && stand_ins.last.is_none() {
            // Redis creates no stream without adding something to it.
            put(Words::new("XADD").bytes(name).text("MAXLEN").text("0").text("0-1").text("x").text("y"))?;
        }
        // A group's count is cut to that of the stream, which may have been set lower since.
        let reads_more = self.aside.groups.iter().any(|group| group.entries_read.is_some_and(|read| read > added));
        let is_preliminary = stand_ins.last.is_some() || reads_more;
        if is_preliminary {
            let last_id = self.tail.last_id.max(stand_ins.last.unwrap_or_default());
            let least = if reads_more { NUMBER_MAX } else { added.max(stand_ins.count() + stand_ins.living) };
            put(Words::new("XSETID").bytes(name).text(last_id).text("ENTRIESADDED").text(least.min(NUMBER_MAX)))?;
        } else {
            put(self.set_id())?;
        }
        for group in self.aside.groups.iter() {
            self.put_group(group, &mut put)?;
        }
        if self.version.has_productions() {
            self.put_producers(&mut put)?;
        }
        if is_preliminary {
            match stand_ins.first_living {
                _ if stand_ins.before == 0 => {}
                Some(first) => put(Words::new("XTRIM").bytes(name).text("MINID").text(first))?,
                None => put(Words::new("XTRIM").bytes(name).text("MAXLEN").text("0"))?,
            }
            for ids in stand_ins.behind.chunks(IDS_MAX) {
                put(Words::new("XDEL").bytes(name).ids(ids))?;
            }
            put(match stand_ins.are_ahead {
                true => Words::new("XSETID").bytes(name).text(StreamId::MIN),
                false => self.set_id(),
            })?;
        }
        Ok(())
    }

    fn set_id(&self) -> Words {
        let set = Words::new("XSETID").bytes(&self.name).text(self.tail.last_id);
        let set = set.text("ENTRIESADDED").text(self.tail.entries_added.min(NUMBER_MAX));
        set.text("MAXDELETEDID").text(self.aside.state.max_deleted_id)
    }

    fn put_group<E>(&self, group: &Group, put: &mut impl FnMut(Words) -> Result<(), E>) -> Result<(), E> {
        let of_group = |command| Words::new(command).bytes(&self.name).bytes(&group.name);
        let create = of_group("XGROUP CREATE").text(group.position).text("ENTRIESREAD");
        put(match group.entries_read {
            Some(read) => create.text(read.min(NUMBER_MAX)),
            None => create.text("-1"),
        })?;
        for consumer in group.consumers().filter(|consumer| group.pending.count_of(consumer.number) == 0) {
            put(of_group("XGROUP CREATECONSUMER").bytes(&consumer.name))?;
        }
        let ids = group.pending.ids_by_time();
        let entries: Vec<Pending> = ids.into_iter().filter_map(|id| group.pending.get(id)).collect();
        let same = |entry: &Pending| (entry.owner, entry.delivery_time, entry.delivery_count);
        let runs = entries.chunk_by(|a, b| same(a) == same(b)).flat_map(|run| run.chunks(IDS_MAX));
        for run in runs {
            let ids: Vec<StreamId> = run.iter().map(|entry| entry.id).collect();
            let Some(first) = run.first() else { continue };
            let count = first.delivery_count.min(NUMBER_MAX);
            match group.owner_name(first) {
                Some(owner) => {
                    let claim = of_group("XCLAIM").bytes(owner).text("0").ids(&ids);
                    let claim = claim.text("TIME").text(first.delivery_time.min(NUMBER_MAX));
                    put(claim.text("RETRYCOUNT").text(count).text("JUSTID").text("FORCE"))?;
                }
                None if self.version.has_releases() => {
                    let release = of_group("XNACK").text("FAIL").text("IDS").text(ids.len()).ids(&ids);
                    put(release.text("RETRYCOUNT").text(count).text("FORCE"))?;
                }
                None => {}
            }
        }
        Ok(())
    }

    fn put_producers<E>(&self, put: &mut impl FnMut(Words) -> Result<(), E>) -> Result<(), E> {
        let name = &self.name;
        let memory = self.aside.producers.memory(0);
        if (memory.duration_s, memory.max_len) != (producers::DURATION_S, producers::MAX_LEN) {
            let set = Words::new("XCFGSET").bytes(name).text("IDMP-DURATION").text(memory.duration_s);
            put(set.text("IDMP-MAXSIZE").text(memory.max_len))?;
        }
        for (producer, productions) in &memory.producers {
            for (key, id) in productions {
                put(Words::new("XIDMPRECORD").bytes(name).bytes(producer).bytes(key).text(id))?;
            }
        }
        Ok(())
    }
}

fn hand_on_if_full<E>(
    words: Words,
    encoder: &mut Encoder,
    each: &mut impl FnMut(Part) -> Result<(), E>,
) -> Result<(), E> {
    words.put(encoder);
    encoder.take_if_full().map_or(Ok(()), |taken| hand_on(taken, each))
}

fn hand_on<E>((bytes, entries): (Vec<u8>, u64), each: &mut impl FnMut(Part) -> Result<(), E>) -> Result<(), E> {
    each(Part::Commands { bytes, entries })
}

/// Entries that stand in for others for a while, and what they are among.
#[derive(Debug, Default)]
struct StandIns {
    first_living: Option<StreamId>,
    living: u64,
    /// How many are before the first living entry.
    before: u64,
    /// Those behind it.
    behind: Vec<StreamId>,
    last: Option<StreamId>,
    /// The living entries come when those that stand in for others are gone.
    are_ahead: bool,
}

impl StandIns {
    fn count(&self) -> u64 {
        self.before + self.behind.len() as u64
    }
}
