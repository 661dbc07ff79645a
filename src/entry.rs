//! Entries as users see them.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

use crate::StreamId;
use crate::format::codec::Reader;
use crate::format::entries::Shapes;

/// Bytes of a segment that were copied out and checked, and the shapes they refer to.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub bytes: Vec<u8>,
    pub shapes: Shapes,
}

/// An entry: an ID and its fields, each a name and a value, in the order in which they were added.
///
/// Names may repeat; names and values are any bytes. Cloning is cheap. An entry shares the memory of those read together
/// with it, up to 64 KiB: whoever keeps a few of many for long should copy what is needed.
///
/// # Examples
///
/// ```
/// let store = streamlog::Store::in_memory();
/// let orders = store.stream("orders")?;
/// let id = orders.add([("type", "order.created"), ("order", "o1")])?;
/// let entry = orders.get(id)?.expect("it was just added");
/// assert_eq!(entry.get("order"), Some(&b"o1"[..]));
/// assert_eq!(entry.fields().len(), 2);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone)]
pub struct Entry {
    id: StreamId,
    chunk: Arc<Chunk>,
    shape: u32,
    start: u32,
    end: u32,
}

impl Entry {
    /// The entry of which names and values, or with a shape the values, are `start..end` of the chunk: as checked by
    /// [`Entries`](crate::format::entries::Entries).
    #[inline]
    pub(crate) fn new(id: StreamId, chunk: Arc<Chunk>, shape: u32, start: u32, end: u32) -> Self {
        Self { id, chunk, shape, start, end }
    }

    /// The ID.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// assert_eq!(orders.last()?.map(|entry| entry.id()), Some(id));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The entry, without a share in its memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let entry = orders.get(id)?.expect("it was added");
    /// assert_eq!(entry.as_ref().id(), entry.id());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn as_ref(&self) -> EntryRef<'_> {
        EntryRef { id: self.id, chunk: &self.chunk, shape: self.shape, start: self.start, end: self.end }
    }

    /// The fields, name and value, in the order in which they were added.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let entry = orders.get(id)?.expect("it was added");
    /// for (name, value) in entry.fields() {
    ///     assert_eq!((name, value), (&b"order"[..], &b"o1"[..]));
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn fields(&self) -> Fields<'_> {
        self.as_ref().fields()
    }

    /// The value of the first field of that name.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let entry = orders.get(id)?.expect("it was added");
    /// assert_eq!(entry.get("order"), Some(&b"o1"[..]));
    /// assert_eq!(entry.get("total"), None);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.as_ref().get(name)
    }

    /// The value of the first field of that name as text; `None` also if it is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    ///
    /// let id = orders.add([("order", &b"o1"[..]), ("digest", &[0xff, 0x00])])?;
    /// let entry = orders.get(id)?.expect("it was added");
    /// assert_eq!(entry.get_str("order"), Some("o1"));
    /// assert_eq!((entry.get_str("digest"), entry.get_str("total")), (None, None));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Option<&str> {
        self.as_ref().get_str(name)
    }
}

/// An entry that is borrowed from what reads it: see [`Range::next_ref`](crate::Range::next_ref).
///
/// As an [`Entry`] otherwise, but that it takes no part in counting who uses the memory of the entry, which takes about a
/// quarter of the time of a scan.
///
/// # Examples
///
/// ```
/// # let store = streamlog::Store::in_memory();
/// let orders = store.stream("orders")?;
/// let id = orders.add([("type", "order.created"), ("order", "o1")])?;
/// let mut range = orders.range(..);
/// let order = range.next_ref().expect("there is one")?;
/// assert_eq!((order.id(), order.fields().len()), (id, 2));
/// assert_eq!(order.get("order"), Some(&b"o1"[..]));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    id: StreamId,
    chunk: &'a Arc<Chunk>,
    shape: u32,
    start: u32,
    end: u32,
}

impl<'a> EntryRef<'a> {
    /// The entry of which names and values, or with a shape the values, are `start..end` of the chunk: as checked by
    /// [`Entries`](crate::format::entries::Entries).
    #[inline(always)]
    pub(crate) fn new(id: StreamId, chunk: &'a Arc<Chunk>, shape: u32, start: u32, end: u32) -> Self {
        Self { id, chunk, shape, start, end }
    }

    /// The ID.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("type", "order.created"), ("order", "o1")])?;
    ///
    /// let mut range = orders.range(..);
    /// let entry = range.next_ref().expect("there is one")?;
    /// assert_eq!(entry.id(), id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    #[inline(always)]
    pub fn id(self) -> StreamId {
        self.id
    }

    /// The fields, name and value, in the order in which they were added.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("type", "order.created"), ("order", "o1")])?;
    ///
    /// let mut range = orders.range(..);
    /// let entry = range.next_ref().expect("there is one")?;
    /// let values: Vec<_> = entry.fields().map(|(_, value)| value).collect();
    /// assert_eq!(values, [&b"order.created"[..], b"o1"]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    #[inline(always)]
    pub fn fields(self) -> Fields<'a> {
        let body = self.chunk.bytes.get(self.start as usize..self.end as usize).unwrap_or_default();
        let mut names = Reader::new(self.chunk.shapes.get(u64::from(self.shape)).map_or(body, |names| names));
        let left = names.varint_usize().unwrap_or(0);
        if self.shape != 0 {
            return Fields { names, values: Reader::new(body), left };
        }
        let mut values = names;
        for _ in 0..left {
            let _ = values.string();
        }
        Fields { names, values, left }
    }

    /// The value of the first field of that name.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("type", "order.created"), ("order", "o1")])?;
    ///
    /// let mut range = orders.range(..);
    /// let entry = range.next_ref().expect("there is one")?;
    /// assert_eq!(entry.get("order"), Some(&b"o1"[..]));
    /// assert_eq!(entry.get("total"), None);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn get(self, name: impl AsRef<[u8]>) -> Option<&'a [u8]> {
        let name = name.as_ref();
        self.fields().find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
    }

    /// The value of the first field of that name as text; `None` also if it is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("type", "order.created"), ("order", "o1")])?;
    ///
    /// let mut range = orders.range(..);
    /// let entry = range.next_ref().expect("there is one")?;
    /// assert_eq!((entry.get_str("order"), entry.get_str("total")), (Some("o1"), None));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn get_str(self, name: impl AsRef<[u8]>) -> Option<&'a str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// The entry to keep: it shares the memory of those read together with it.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let mut range = orders.range(..);
    /// let kept = range.next_ref().expect("there is one")?.to_entry();
    /// assert_eq!(kept.id(), id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn to_entry(self) -> Entry {
        Entry { id: self.id, chunk: Arc::clone(self.chunk), shape: self.shape, start: self.start, end: self.end }
    }
}

impl PartialEq for EntryRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.fields().eq(other.fields())
    }
}

impl Eq for EntryRef<'_> {}

impl fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields().map(|(name, value)| (name.escape_ascii(), value.escape_ascii()));
        write!(f, "{} ", self.id)?;
        f.debug_map().entries(fields.map(|(name, value)| (name.to_string(), value.to_string()))).finish()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Entry {}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// The fields, as [`Entry::fields`] gives them: so an entry can be added to another stream.
///
/// # Examples
///
/// ```
/// use streamlog::Store;
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
///
/// orders.add([("order", "o1"), ("total", "49.99")])?;
/// let order = orders.last()?.expect("it was added");
/// for (name, value) in &order {
///     println!("{}: {}", name.escape_ascii(), value.escape_ascii());
/// }
/// let copies = store.stream("copies")?;
/// let id = copies.add(&order)?;
/// assert!(copies.get(id)?.is_some_and(|copy| copy.fields().eq(&order)));
/// # Ok::<(), streamlog::Error>(())
/// ```
impl<'a> IntoIterator for EntryRef<'a> {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Fields<'a> {
        self.fields()
    }
}

impl<'a> IntoIterator for &'a Entry {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Fields<'a> {
        self.fields()
    }
}

/// The fields of an [`Entry`]; see [`Entry::fields`].
///
/// # Examples
///
/// ```
/// # let store = streamlog::Store::in_memory();
/// let orders = store.stream("orders")?;
/// orders.add([("type", "order.created"), ("tag", "new"), ("tag", "gift")])?;
/// let order = orders.last()?.expect("it was added");
/// let fields = order.fields();
/// assert_eq!(fields.len(), 3);
/// let tags: Vec<_> = fields.filter(|(name, _)| *name == b"tag").map(|(_, value)| value).collect();
/// assert_eq!(tags, [&b"new"[..], b"gift"]);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    names: Reader<'a>,
    values: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some((self.names.string()?, self.values.string()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

impl FusedIterator for Fields<'_> {}
