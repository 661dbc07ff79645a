//! The calls of the typed API that are futures, but for those that wait.

use std::sync::Arc;

use crate::format::new_entries::NewEntries;
use crate::futures::Operation;
use crate::stream::{put_all, put_one};
use crate::{AddOptions, Consumer, Group, NewId, Result, Store, Stream, StreamId};

impl Store {
    /// Makes calls to the store on a thread of its own; the future has the result when what they changed is durable.
    ///
    /// For all that has no future of its own. In it nothing blocks: the time of a read that waits is up at once. It must not
    /// wait for other futures of the store, and holds them up as long as it takes. At
    /// [`Durability::Always`](crate::Durability::Always) it does not see the entries that it adds, as they are not durable yet.
    ///
    /// # Errors
    ///
    /// Those of `call`; [`Error::Io`](crate::Error::Io) also if its changes cannot be made durable, or no thread can be started;
    /// [`Error::Closed`](crate::Error::Closed).
    ///
    /// # Panics
    ///
    /// Polling it panics if `call` does. Others do not notice, unless it was in the middle of a change.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, Trim};
    ///
    /// let store = Store::in_memory();
    /// let orders = store.stream("orders")?;
    /// orders.add([("order", "o1")])?;
    /// let trimming = store.run_async(move |_| orders.trim(Trim::to_len(0)));
    /// assert_eq!(pollster::block_on(trimming)?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn run_async<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Operation<T> {
        let store = self.clone();
        Operation::of_call(&self.handle(), move || call(&store))
    }

    /// As [`sync`](Self::sync), without holding up a thread.
    ///
    /// # Errors
    ///
    /// As [`sync`](Self::sync).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Durability, Options};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Options::new().durability(Durability::Os).open(dir.path())?;
    /// store.create("orders")?.add([("order", "o1")])?;
    /// let before = store.metrics()?;
    /// pollster::block_on(store.sync_async())?; // now it survives a power cut
    /// assert!(store.metrics()?.since(&before).syncs > 0.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sync_async(&self) -> Operation<()> {
        let shared = self.handle();
        let syncing = Arc::clone(&shared);
        Operation::new(shared, async move { syncing.sync_async().await })
    }
}

impl Stream {
    /// As [`add`](Self::add), without holding up a thread: the future has the ID when the entry is as durable as the store's
    /// [`Durability`](crate::Durability) says.
    ///
    /// The fields are copied when this is called. Futures that wait at the same time share a sync.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    ///
    /// # Examples
    ///
    /// ```
    /// let orders = streamlog::Store::in_memory().stream("orders")?;
    /// let id = pollster::block_on(orders.add_async([("type", "order.created")]))?;
    /// assert_eq!(orders.last()?.expect("it is there").id(), id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn add_async<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Operation<StreamId> {
        let mut entries = Box::<NewEntries>::default();
        let put = put_one(&mut entries, &AddOptions::new(), fields);
        let stream = self.clone();
        Operation::of_call(&self.shared(), move || {
            put?;
            stream.add_one(&mut entries, None, true, false)?.ok_or_else(|| stream.not_found())
        })
    }

    /// As [`add_with`](Self::add_with), without holding up a thread; see [`add_async`](Self::add_async).
    ///
    /// # Errors
    ///
    /// As [`add_with`](Self::add_with).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{AddOptions, Store, Trim};
    ///
    /// let orders = Store::in_memory().stream("orders")?;
    /// let newest = AddOptions::new().trim(Trim::to_len(1));
    /// for order in ["o1", "o2"] {
    ///     assert!(pollster::block_on(orders.add_with_async(newest, [("order", order)]))?.is_some());
    /// }
    /// assert_eq!(orders.len()?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn add_with_async<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        options: AddOptions<'_>,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Operation<Option<StreamId>> {
        let mut entries = Box::<NewEntries>::default();
        let put = put_one(&mut entries, &options, fields);
        let (stream, repeats) = (self.clone(), options.is_logged_repetition());
        let (trim, create) = (options.trim, !options.no_create);
        Operation::of_call(&self.shared(), move || {
            put?;
            stream.add_one(&mut entries, trim.as_ref(), create, repeats)
        })
    }

    /// As [`add_batch`](Self::add_batch), without holding up a thread; see [`add_async`](Self::add_async).
    ///
    /// # Errors
    ///
    /// As [`add_batch`](Self::add_batch).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{NewId, Store, StreamId};
    ///
    /// let orders = Store::in_memory().stream("orders")?;
    /// let batch = ["o1", "o2"].map(|order| (NewId::AutoSequence(7), [("order", order)]));
    /// let ids = pollster::block_on(orders.add_batch_async(batch))?;
    /// assert_eq!(ids, [StreamId::new(7, 0), StreamId::new(7, 1)]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn add_batch_async<F, N, V>(&self, entries: impl IntoIterator<Item = (NewId, F)>) -> Operation<Vec<StreamId>>
    where
        F: IntoIterator<Item = (N, V)>,
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut batch = Box::<NewEntries>::default();
        let put = put_all(&mut batch, entries);
        let stream = self.clone();
        Operation::of_call(&self.shared(), move || {
            put?;
            stream.add_all(&mut batch)
        })
    }
}

impl Group {
    /// As [`acknowledge`](Self::acknowledge), without holding up a thread.
    ///
    /// # Errors
    ///
    /// As [`acknowledge`](Self::acknowledge).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # workers.consumer("alice").read().new_entries()?;
    ///
    /// assert_eq!(pollster::block_on(workers.acknowledge_async([id]))?, 1);
    /// assert_eq!(workers.pending()?.count, 0);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn acknowledge_async(&self, ids: impl IntoIterator<Item = StreamId>) -> Operation<u64> {
        let (group, ids) = (self.clone(), ids.into_iter().collect::<Vec<_>>());
        Operation::of_call(&self.stream().shared(), move || group.acknowledge(ids))
    }
}

impl Consumer {
    /// As [`ack`](Self::ack), without holding up a thread.
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{GroupOptions, Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let workers = orders.group("workers");
    /// # workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
    /// # for order in ["o1", "o2"] {
    /// #     orders.add([("order", order)])?;
    /// # }
    ///
    /// let alice = workers.consumer("alice");
    /// let orders = alice.read().new_entries()?;
    /// let done = pollster::block_on(alice.ack_async(orders.iter().map(|order| order.id())))?;
    /// assert_eq!(done, 2);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn ack_async(&self, ids: impl IntoIterator<Item = StreamId>) -> Operation<u64> {
        self.group().acknowledge_async(ids)
    }
}
