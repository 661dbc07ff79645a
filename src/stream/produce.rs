//! Idempotent productions: naming them, remembering them, and for how long.

use std::time::Duration;

use crate::format::groups::GroupChange;
use crate::format::journal::Change;
use crate::format::new_entries::{NewEntries, NewProduction};
use crate::group::check_key;
use crate::group::producers::{DURATION_S_MAX, LEN_MAX, content_key};
use crate::stream::add::Added;
use crate::stream::change::Planned;
use crate::stream::group_options::ProducersInfo;
use crate::stream::inner::{Inner, Journaling, Outcome};
use crate::stream::options::{AddOptions, Production};
use crate::{Error, NewId, Result, Stream, StreamId};

impl AddOptions<'_> {
    /// The production that an entry comes of.
    pub(crate) fn new_production(&self, entries: &NewEntries) -> Result<Option<NewProduction>> {
        let invalid = |reason| Err(Error::InvalidProduction { reason });
        let Some(production) = self.production else { return Ok(None) };
        let (producer, key): (&[u8], Box<[u8]>) = match production {
            Production::Named { producer, id } => (producer, Box::from(id)),
            Production::ByContent { producer } => {
                let key = entries.list.first().map(|entry| content_key(entries.fields(entry)));
                (producer, Box::from(key.unwrap_or_default()))
            }
        };
        check_key(producer)?;
        check_key(&key)?;
        match self.id {
            NewId::Auto if producer.is_empty() => invalid("a producer's ID must not be empty"),
            NewId::Auto if key.is_empty() => invalid("an idempotent ID must not be empty"),
            NewId::Auto => Ok(Some(NewProduction { producer: producer.into(), key })),
            _ if self.replayed => Ok(Some(NewProduction { producer: producer.into(), key })),
            _ => invalid("only an entry with an automatic ID can be produced idempotently"),
        }
    }
}

impl AddOptions<'_> {
    /// Whether a server logged this as a production that it had remembered, and so added nothing.
    pub(crate) fn is_logged_repetition(&self) -> bool {
        self.replayed && self.production.is_some() && self.id == NewId::Auto
    }
}

impl Stream {
    /// Sets for how long idempotent productions are remembered, in whole seconds from 1 to a day, and how many of each
    /// producer, from 1 to 10,000; what is not given stays. Without being set, they are 100 seconds and 100.
    ///
    /// If that changes anything, all productions are forgotten.
    ///
    /// Costs one record in the journal.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`]; [`Error::StreamNotFound`]; and as [`trim`](Self::trim).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::Store;
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// orders.configure_producers(Some(Duration::from_secs(86_400)), None)?; // a day; as many as before
    /// assert_eq!(orders.info()?.producers.duration, Duration::from_secs(86_400));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn configure_producers(&self, duration: Option<Duration>, max_len: Option<u64>) -> Result<()> {
        let duration_s = duration.map(|duration| duration.as_secs());
        check("the time productions are remembered, in seconds,", duration_s, DURATION_S_MAX)?;
        check("the number of productions remembered of a producer", max_len, LEN_MAX)?;
        let done = self.on_current(|inner| inner.configure_producers(duration_s, max_len))?;
        done.ok_or_else(|| self.not_found())
    }

    /// Remembers that an entry came of a production, as if it had been added with it. For restoring what was remembered
    /// elsewhere.
    ///
    /// Costs a look-up of the entry, and one record in the journal.
    ///
    /// # Errors
    ///
    /// [`Error::EntryNotFound`]; [`Error::ProductionExists`] if it is remembered as that of another entry;
    /// [`Error::InvalidProduction`] if one of the IDs is empty; [`Error::StreamNotFound`]; and as [`trim`](Self::trim).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{AddOptions, Production, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// // As if it had been added as the shop's production o1.
    /// orders.remember_production(b"shop", b"o1", id)?;
    /// let once = AddOptions::new().production(Production::Named { producer: b"shop", id: b"o1" });
    /// assert_eq!(orders.add_with(once, [("order", "o1")])?, Some(id));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn remember_production(&self, producer: &[u8], id: &[u8], entry: StreamId) -> Result<()> {
        if producer.is_empty() || id.is_empty() {
            return Err(Error::InvalidProduction { reason: "a producer's ID and an idempotent ID must not be empty" });
        }
        let done = self.on_current(|inner| inner.remember(producer, id, entry))?;
        done.ok_or_else(|| self.not_found())
    }
}

fn check(setting: &'static str, value: Option<u64>, max: u64) -> Result<()> {
    match value {
        Some(value) if value < 1 || value > max => Err(Error::OutOfRange { setting, value, min: 1, max }),
        _ => Ok(()),
    }
}

impl Inner {
    fn configure_producers(&self, duration_s: Option<u64>, max_len: Option<u64>) -> Result<Outcome<()>> {
        self.change_aside(|journaling| {
            let producers = &journaling.producers;
            let new = (duration_s.unwrap_or(producers.duration_s), max_len.unwrap_or(producers.max_len));
            if new == (producers.duration_s, producers.max_len) {
                return Ok(Planned::nothing(()));
            }
            let configure = GroupChange::Configure { duration_s: new.0, max_len: new.1 };
            Ok(Planned::several(self.after_productions(journaling, configure), ()))
        })
    }

    /// Counts a repetition of a production, if it is remembered; returns the entry that came of it.
    pub fn repeat(&self, entries: &NewEntries) -> Result<Outcome<Option<StreamId>>> {
        let found = self.with_groups(|journaling| self.find_production(journaling, entries));
        match found {
            None => Ok(Outcome::Done(None)),
            Some(id) => Ok(self.duplicate(entries, id)?.map(|added| match added {
                Added::Duplicate(id) => Some(id),
                Added::New => None,
            })),
        }
    }

    fn remember(&self, producer: &[u8], key: &[u8], id: StreamId) -> Result<Outcome<()>> {
        self.change_aside(|journaling| {
            journaling.producers.sweep(self.env.now_ms());
            if self.view().find(id)?.is_none() {
                return Err(Error::EntryNotFound { id });
            }
            match journaling.producers.find(producer, key) {
                Some(known) if known == id => return Ok(Planned::nothing(())),
                Some(known) => return Err(Error::ProductionExists { id: known }),
                None => {}
            }
            let remember = GroupChange::Remember { producer: producer.into(), key: key.into(), id };
            Ok(Planned::several(self.after_productions(journaling, remember), ()))
        })
    }

    /// A change to what is remembered, after what the journal does not have yet, so that it is replayed in this order.
    fn after_productions(&self, journaling: &Journaling, change: GroupChange) -> Vec<Change> {
        let mut changes = Vec::new();
        if journaling.producers.unjournaled {
            let next_ordinal = self.next_ordinal.load(std::sync::atomic::Ordering::SeqCst);
            changes.push(Change::Group(GroupChange::Producers(journaling.producers.memory(next_ordinal))));
        }
        changes.push(Change::Group(change));
        changes
    }

    pub fn producers_info(&self, journaling: &mut Journaling) -> ProducersInfo {
        let producers = &mut journaling.producers;
        producers.sweep(self.env.now_ms());
        let (count, productions) = producers.tracked();
        ProducersInfo {
            duration: Duration::from_secs(producers.duration_s),
            max_len: producers.max_len,
            producers: count as u64,
            productions: productions as u64,
            added: producers.added,
            duplicates: producers.duplicates,
        }
    }
}
