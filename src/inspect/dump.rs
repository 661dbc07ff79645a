//! The whole state of a stream as items, and each of these as a line of text.

use std::fmt;

use crate::damage::Finding;
use crate::follow::moment;
use crate::follow::picture::Picture;
use crate::inspect::Inspection;
use crate::{Corruption, Entry, Error, Result, Retention, StreamId};

/// A part of the state of a stream. Written with `{}` it is a line of text without its end.
///
/// The text is canonical: the same state gives the same text, however it came about and wherever it is on the disk. Names and
/// values are in double quotes, as [`Escaped`] writes them; times are Unix milliseconds.
///
/// ```text
/// stream "orders" entries 2 added 3 last 7-1 max-deleted 5-0
///   retention max-age 7d max-len 1000 acknowledged-only
///   entry 6-0 "type" "order.created"
///   entry 7-1 "type" "order.paid" "order" "\x00\xff"
///   group "workers" last-delivered 6-0 entries-read 2 pending 1 consumers 1
///     consumer "alice" seen 1700000000000 active 1700000000000
///     pending 6-0 consumer "alice" delivered 1700000000000 count 1
///   producers duration 100 max 100 added 1 duplicates 0
///     production "producer" "key" 7-1
/// ```
///
/// # Examples
///
/// ```
/// use streamlog::Store;
/// use streamlog::inspect::{Inspection, Item};
///
/// let store = Store::in_memory();
/// let id = store.stream("orders")?.add([("order", "o1")])?;
/// let mut ids = Vec::new();
/// Inspection::of(&store)?.dump_stream("orders", |item| {
///     match item {
///         Item::Entry(entry) => ids.push(entry.id()),
///         Item::Damage(finding) => eprintln!("{finding}"),
///         other => println!("{other}"),
///     }
///     Ok::<(), streamlog::Error>(())
/// })?;
/// assert_eq!(ids, [id]);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Item {
    /// The stream; the first item.
    #[non_exhaustive]
    Stream {
        /// Its name.
        name: Vec<u8>,
        /// How many entries there are.
        entries: u64,
        /// How many were ever added.
        entries_added: u64,
        /// The last ID, as opening would find it: after a crash, or while somebody writes at a level below
        /// [`Always`](crate::Durability::Always), up to five seconds above the last that was handed out.
        last_id: StreamId,
        /// The highest ID that was deleted.
        max_deleted_id: StreamId,
    },
    /// How much of the stream is kept, unless it is everything.
    Retention(Retention),
    /// An entry; in the order of IDs.
    Entry(Entry),
    /// Entries that cannot be read.
    Damage(Finding),
    /// A group; in the order of names, each followed by its consumers and then its pending entries.
    #[non_exhaustive]
    Group {
        /// Its name.
        name: Vec<u8>,
        /// The last ID that was delivered.
        last_delivered_id: StreamId,
        /// How many entries were read, if that is known.
        entries_read: Option<u64>,
        /// How many entries are pending.
        pending: u64,
        /// How many consumers there are.
        consumers: u64,
    },
    /// A consumer; in the order of names.
    #[non_exhaustive]
    Consumer {
        /// Its name.
        name: Vec<u8>,
        /// When it last called, in Unix milliseconds.
        seen_time_ms: u64,
        /// When it was last given an entry, if ever.
        active_time_ms: Option<u64>,
    },
    /// A pending entry; in the order of IDs.
    #[non_exhaustive]
    Pending {
        /// The ID of the entry, which may have been deleted.
        id: StreamId,
        /// The name of its consumer; `None` if it was released.
        consumer: Option<Vec<u8>>,
        /// When it was last delivered, in Unix milliseconds.
        delivery_time_ms: u64,
        /// How often it was delivered.
        delivery_count: u64,
    },
    /// What is remembered of idempotent productions, unless nothing ever was.
    #[non_exhaustive]
    Producers {
        /// How long productions are remembered, in seconds.
        duration_s: u64,
        /// How many of each producer.
        max_len: u64,
        /// How many were ever remembered.
        added: u64,
        /// How many duplicates were recognised.
        duplicates: u64,
    },
    /// A remembered production; by producers' IDs, then in the order in which they were remembered. Also one that is due to
    /// be forgotten, as only the clock tells that.
    #[non_exhaustive]
    Production {
        /// The producer's ID.
        producer: Vec<u8>,
        /// The idempotent ID.
        key: Vec<u8>,
        /// The entry that came of it.
        id: StreamId,
    },
}

impl Inspection {
    /// Gives the whole state of a stream to `each`, item by item.
    ///
    /// Reads all segments once. Takes the memory of what is pending and of a few blocks, not of the entries.
    ///
    /// # Errors
    ///
    /// What `each` returns. [`Error::StreamNotFound`]; [`Error::Corrupt`] if the stream cannot be opened for damage; damage that
    /// costs some entries is given as [`Item::Damage`] in their place. [`Error::Io`] if something cannot be read, also because
    /// somebody trimmed the stream meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// # use streamlog::{Store, inspect::Inspection};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// # let store = Store::open(path)?;
    /// # store.stream("orders")?.add_with(streamlog::AddOptions::new().id(streamlog::StreamId::new(5, 0)), [("total", "49.99")])?;
    /// let mut text = String::new();
    /// Inspection::open(path)?.dump_stream("orders", |item| {
    ///     text += &format!("{item}\n");
    ///     Ok::<(), streamlog::Error>(())
    /// })?;
    /// # drop(store);
    /// assert_eq!(text.lines().nth(1), Some(r#"  entry 5-0 "total" "49.99""#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dump_stream<E: From<Error>>(
        &self,
        name: impl AsRef<[u8]>,
        mut each: impl FnMut(Item) -> Result<(), E>,
    ) -> Result<(), E> {
        let name = name.as_ref();
        let (frozen, picture) = self.picture(name)?;
        each(Item::Stream {
            name: name.to_vec(),
            entries: picture.len(),
            entries_added: picture.tail.entries_added,
            last_id: picture.tail.last_id,
            max_deleted_id: picture.aside.state.max_deleted_id,
        })?;
        if !picture.retention.is_none() {
            each(Item::Retention(picture.retention))?;
        }
        let mut entries = picture.entries();
        while let Some(entry) = entries.next_entry() {
            each(match entry {
                Ok(entry) => Item::Entry(entry),
                Err(Error::Corrupt { path, what: Corruption::Missing, .. })
                    if !moment::is_unchanged(&self.root, &frozen) =>
                {
                    let error = std::io::Error::other("it was trimmed while being read");
                    return Err(Error::io("read", &path, error).into());
                }
                Err(error) => Item::Damage(Finding::of(error)?),
            })?;
        }
        each_of_groups(&picture, &mut each)?;
        each_of_producers(&picture, &mut each)
    }
}

fn each_of_groups<E>(picture: &Picture, each: &mut impl FnMut(Item) -> Result<(), E>) -> Result<(), E> {
    for group in picture.aside.groups.iter() {
        each(Item::Group {
            name: group.name.to_vec(),
            last_delivered_id: group.position,
            entries_read: group.entries_read,
            pending: group.pending.len() as u64,
            consumers: group.consumer_count() as u64,
        })?;
        for consumer in group.consumers() {
            each(Item::Consumer {
                name: consumer.name.to_vec(),
                seen_time_ms: consumer.seen_time,
                active_time_ms: consumer.active_time,
            })?;
        }
        for entry in group.pending.iter_from(StreamId::MIN) {
            each(Item::Pending {
                id: entry.id,
                consumer: group.owner_name(&entry).map(<[u8]>::to_vec),
                delivery_time_ms: entry.delivery_time,
                delivery_count: entry.delivery_count,
            })?;
        }
    }
    Ok(())
}

fn each_of_producers<E>(picture: &Picture, each: &mut impl FnMut(Item) -> Result<(), E>) -> Result<(), E> {
    let producers = &picture.aside.producers;
    if producers.is_default() {
        return Ok(());
    }
    let memory = producers.memory(0);
    let (duration_s, max_len) = (memory.duration_s, memory.max_len);
    each(Item::Producers { duration_s, max_len, added: memory.added, duplicates: memory.duplicates })?;
    for (producer, productions) in &memory.producers {
        for (key, id) in productions {
            each(Item::Production { producer: producer.to_vec(), key: key.to_vec(), id: *id })?;
        }
    }
    Ok(())
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream { name, entries, entries_added, last_id, max_deleted_id } => {
                let name = Escaped(name);
                write!(f, "stream \"{name}\" entries {entries} added {entries_added} last {last_id}")?;
                write!(f, " max-deleted {max_deleted_id}")
            }
            Self::Retention(retention) => write!(f, "  retention {retention}"),
            Self::Entry(entry) => {
                write!(f, "  entry {}", entry.id())?;
                entry.fields().try_for_each(|(name, value)| write!(f, " \"{}\" \"{}\"", Escaped(name), Escaped(value)))
            }
            Self::Damage(finding) => write!(f, "  {finding}"),
            Self::Group { name, last_delivered_id, entries_read, pending, consumers } => {
                write!(f, "  group \"{}\" last-delivered {last_delivered_id} entries-read ", Escaped(name))?;
                match entries_read {
                    Some(read) => write!(f, "{read}")?,
                    None => f.write_str("unknown")?,
                }
                write!(f, " pending {pending} consumers {consumers}")
            }
            Self::Consumer { name, seen_time_ms, active_time_ms } => {
                write!(f, "    consumer \"{}\" seen {seen_time_ms} active ", Escaped(name))?;
                match active_time_ms {
                    Some(time) => write!(f, "{time}"),
                    None => f.write_str("never"),
                }
            }
            Self::Pending { id, consumer, delivery_time_ms, delivery_count } => {
                write!(f, "    pending {id} ")?;
                match consumer {
                    Some(name) => write!(f, "consumer \"{}\"", Escaped(name))?,
                    None => f.write_str("released")?,
                }
                write!(f, " delivered {delivery_time_ms} count {delivery_count}")
            }
            Self::Producers { duration_s, max_len, added, duplicates } => {
                write!(f, "  producers duration {duration_s} max {max_len} added {added} duplicates {duplicates}")
            }
            Self::Production { producer, key, id } => {
                write!(f, "    production \"{}\" \"{}\" {id}", Escaped(producer), Escaped(key))
            }
        }
    }
}

/// Bytes as text that is easy to read and stands for these bytes alone.
///
/// Printable ASCII characters, and letters and digits of all scripts in UTF-8, stand for themselves; `"` and `\` have a `\`
/// before them; every other byte is `\x` and two lower-case hexadecimal digits.
///
/// # Examples
///
/// ```
/// use streamlog::inspect::Escaped;
///
/// assert_eq!(Escaped("grüße \"\n".as_bytes()).to_string(), r#"grüße \"\x0a"#);
/// assert_eq!(Escaped(&[0xff, b'\\']).to_string(), r"\xff\\");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let text = chunk.valid();
            // Runs of what stands for itself are written at once: most text is nothing else.
            let mut run = 0;
            for (at, character) in text.char_indices().filter(|&(_, character)| !is_plain(character)) {
                f.write_str(text.get(run..at).unwrap_or_default())?;
                run = at + character.len_utf8();
                match character {
                    '"' | '\\' => write!(f, "\\{character}")?,
                    _ => escape(f, character.encode_utf8(&mut [0; 4]).as_bytes())?,
                }
            }
            f.write_str(text.get(run..).unwrap_or_default())?;
            escape(f, chunk.invalid())?;
        }
        Ok(())
    }
}

/// Whether a character stands for itself.
fn is_plain(character: char) -> bool {
    match character {
        '"' | '\\' => false,
        ' '..='~' => true,
        _ => !character.is_ascii() && character.is_alphanumeric(),
    }
}

fn escape(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}
