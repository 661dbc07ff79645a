//! Adding entries through a handle.

use crate::format::new_entries::NewEntries;
use crate::stream::add::Added;
use crate::stream::inner::Outcome;
use crate::stream::options::{AddOptions, Trim};
use crate::stream::{ENTRY_LEN_MAX, Relief, Stream};
use crate::{Error, NewId, Result, StreamId};

impl Stream {
    /// Adds an entry with an automatic ID, which is returned. A stream that does not exist is created with it.
    ///
    /// Costs well below a microsecond at [`Durability::Os`](crate::Durability::Os), and a share of a sync at
    /// [`Durability::Always`](crate::Durability::Always).
    ///
    /// # Errors
    ///
    /// [`Error::NoFields`], [`Error::EntryTooLarge`], [`Error::IdsExhausted`] and [`Error::NoSpace`]: nothing was
    /// added. [`Error::Io`]: it is not known whether the entry was added, and the store is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    ///
    /// let orders = store.stream("orders")?;
    /// let first = orders.add([("order", "o1"), ("total", "49.99")])?;
    /// let second = orders.add([(&b"any"[..], &[0xff, 0x00][..])])?;
    /// assert!(second > first);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn add<N: AsRef<[u8]>, V: AsRef<[u8]>>(&self, fields: impl IntoIterator<Item = (N, V)>) -> Result<StreamId> {
        let added = self.add_with(AddOptions::new(), fields)?;
        // Only `no_create` adds nothing.
        added.ok_or_else(|| self.not_found())
    }

    /// Adds an entry; returns its ID, or `None` if the stream does not exist and is not to be created.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add); [`Error::IdTooSmall`] and [`Error::IdZero`] for an ID that cannot follow;
    /// [`Error::InvalidProduction`] and [`Error::NameTooLong`] for a production; with a trim, as [`trim`](Self::trim).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{AddOptions, Store, StreamId, Trim};
    ///
    /// let store = Store::in_memory();
    /// let orders = store.stream("orders")?;
    /// let newest_100 = AddOptions::new().id(StreamId::new(5, 0)).trim(Trim::to_len(100));
    /// assert_eq!(orders.add_with(newest_100, [("order", "o1")])?, Some(StreamId::new(5, 0)));
    /// let other = store.stream("other")?;
    /// assert_eq!(other.add_with(AddOptions::new().no_create(), [("order", "o2")])?, None);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn add_with<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        options: AddOptions,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Option<StreamId>> {
        with_scratch(|scratch| {
            put_one(scratch, &options, fields)?;
            self.add_one(scratch, options.trim.as_ref(), !options.no_create, options.is_logged_repetition())
        })
    }

    /// Adds the entry that was put there, or repeats one of a log of commands.
    #[inline]
    pub(crate) fn add_one(
        &self,
        entries: &mut NewEntries,
        trim: Option<&Trim>,
        create: bool,
        repeats: bool,
    ) -> Result<Option<StreamId>> {
        if repeats {
            return Ok(self.on_current(|inner| inner.repeat(entries))?.flatten());
        }
        Ok(match self.add_entries(entries, trim, create)? {
            Some(Added::New) => entries.list.first().map(|entry| entry.id),
            Some(Added::Duplicate(id)) => Some(id),
            None => None,
        })
    }

    /// Adds all entries or none, as one change; returns their IDs.
    ///
    /// One call is far cheaper than many: at [`Durability::Always`](crate::Durability::Always) it takes one sync.
    ///
    /// # Errors
    ///
    /// As [`add_with`](Self::add_with).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{NewId, Store, StreamId};
    ///
    /// let store = Store::in_memory();
    /// let orders = store.stream("orders")?;
    /// let entry = |order| (NewId::AutoSequence(7), [("order", order)]);
    /// let ids = orders.add_batch([entry("o1"), entry("o2")])?;
    /// assert_eq!(ids, [StreamId::new(7, 0), StreamId::new(7, 1)]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn add_batch<F, N, V>(&self, entries: impl IntoIterator<Item = (NewId, F)>) -> Result<Vec<StreamId>>
    where
        F: IntoIterator<Item = (N, V)>,
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        with_scratch(|scratch| {
            put_all(scratch, entries)?;
            self.add_all(scratch)
        })
    }

    /// Adds the entries that were put there.
    pub(crate) fn add_all(&self, entries: &mut NewEntries) -> Result<Vec<StreamId>> {
        if !entries.list.is_empty() {
            self.add_entries(entries, None, true)?;
        }
        Ok(entries.list.iter().map(|entry| entry.id).collect())
    }

    /// `None` if the stream does not exist and is not to be created.
    fn add_entries(&self, entries: &mut NewEntries, trim: Option<&Trim>, create: bool) -> Result<Option<Added>> {
        if entries.list.iter().any(|entry| entry.wanted == NewId::Exact(StreamId::MIN)) {
            return Err(Error::IdZero);
        }
        let mut relief = Relief::default();
        loop {
            match self.inner()? {
                Some(inner) => match inner.add(entries, trim) {
                    Ok(Outcome::Done(added)) => return Ok(Some(added)),
                    Ok(Outcome::Gone) => {}
                    Err(error) => relief.after(error, &self.handle.shared)?,
                },
                None if !create => return Ok(None),
                None => {
                    if self.handle.shared.create_with(&self.handle.name, entries, trim)? {
                        return Ok(Some(Added::New));
                    }
                }
            }
        }
    }
}

/// Puts an entry behind those that are there; returns the bytes of its names and values.
#[inline]
fn put<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    entries: &mut NewEntries,
    wanted: NewId,
    fields: impl IntoIterator<Item = (N, V)>,
) -> Result<u64> {
    for (name, value) in fields {
        entries.put_field(name.as_ref(), value.as_ref());
    }
    let entry = entries.complete(wanted);
    match entry.len {
        _ if entry.count == 0 => Err(Error::NoFields),
        len if len > ENTRY_LEN_MAX => Err(Error::EntryTooLarge { len, max: ENTRY_LEN_MAX }),
        len => Ok(len),
    }
}

/// Puts the one entry there that is to be added with these options.
#[inline]
pub(crate) fn put_one<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    entries: &mut NewEntries,
    options: &AddOptions<'_>,
    fields: impl IntoIterator<Item = (N, V)>,
) -> Result<()> {
    put(entries, options.id, fields)?;
    if options.production.is_some() {
        entries.production = options.new_production(entries)?;
    }
    Ok(())
}

/// Puts the entries of a batch there.
pub(crate) fn put_all<F, N, V>(entries: &mut NewEntries, batch: impl IntoIterator<Item = (NewId, F)>) -> Result<()>
where
    F: IntoIterator<Item = (N, V)>,
    N: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    let mut len = 0u64;
    for (id, fields) in batch {
        len = len.saturating_add(put(entries, id, fields)?);
    }
    if len > ENTRY_LEN_MAX { Err(Error::EntryTooLarge { len, max: ENTRY_LEN_MAX }) } else { Ok(()) }
}

/// Buffers above this are not kept for the next entry, in bytes.
const SCRATCH_MAX: usize = 128 << 10;

/// Gives a list of entries to fill, whose buffers are kept for the next one on this thread.
#[inline]
fn with_scratch<T>(fill: impl FnOnce(&mut NewEntries) -> Result<T>) -> Result<T> {
    thread_local! {
        static SCRATCH: std::cell::Cell<Option<Box<NewEntries>>> = const { std::cell::Cell::new(None) };
    }
    // Taken out meanwhile: the iterator over the fields is the user's, and may add entries itself.
    let mut scratch = SCRATCH.take().unwrap_or_default();
    scratch.clear();
    let result = fill(&mut scratch);
    if scratch.capacity() <= SCRATCH_MAX {
        SCRATCH.set(Some(scratch));
    }
    result
}
