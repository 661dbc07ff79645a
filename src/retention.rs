//! For how long a stream keeps its entries.

use std::fmt;
use std::time::Duration;

/// How much of a stream is kept: an option of the stream, which is stored with it; see
/// [`Stream::set_retention`](crate::Stream::set_retention).
///
/// Without a limit everything is kept. With several, an entry goes as soon as one of them says so. Always the oldest entries
/// go, as with [`Stream::trim`](crate::Stream::trim): no group is told, and counters stay as a trim leaves them. How far
/// a limit may be exceeded, and for how long, is told by each.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{Retention, Store};
///
/// let store = Store::in_memory();
/// let readings = store.stream("temperature")?;
/// let week = Duration::from_secs(7 * 86_400);
/// readings.set_retention(Retention::new().max_age(week).max_bytes(1 << 30).max_len(1_000_000))?;
/// readings.add([("celsius", "20.5")])?;
/// let kept = readings.retention()?;
/// assert_eq!((kept.age_max(), kept.bytes_max(), kept.len_max()), (Some(week), Some(1 << 30), Some(1_000_000)));
/// assert!(!kept.is_none() && !kept.is_acknowledged_only());
///
/// // A queue that cleans up after itself: what every group has acknowledged goes.
/// let orders = store.stream("orders")?;
/// orders.set_retention(Retention::new().acknowledged_only())?;
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Retention {
    pub(crate) age_ms_max: Option<u64>,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) len_max: Option<u64>,
    pub(crate) acknowledged_only: bool,
}

/// What is used of a store or stream is split into this many segments at least, so that one of them is a small part of it.
const SEGMENTS_MIN: u64 = 8;
/// Segments are allocated in pages.
const PAGE: u64 = 4096;
/// Times are rounded to this part of an age, within these bounds.
const AGE_PART: u64 = 64;
const AGE_STEP_MS_MAX: u64 = 60_000;

impl Retention {
    /// Everything is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Retention;
    ///
    /// assert!(Retention::new().is_none());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries go when they are older than this, by the milliseconds of their IDs and the store's clock; do not use it where
    /// IDs are no times. In whole milliseconds.
    ///
    /// While the stream is open they are seen for a 64th of the age longer at the most, or a minute if that is less, or a
    /// second if that is more; their bytes go with the segment they are in. A stream that nobody uses is looked at once
    /// an hour, by the headers of its segments, and in full when it is used again; not before a stream with a retention has
    /// been used since the store was opened: see [`Options::retention_interval`](crate::Options::retention_interval).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{AddOptions, Options, Retention, StreamId};
    ///
    /// let store = Options::new().retention_interval(Duration::ZERO).in_memory();
    /// let readings = store.stream("temperature")?;
    /// readings.add_with(AddOptions::new().id(StreamId::new(5, 0)), [("celsius", "20.5")])?;
    /// let new = readings.add([("celsius", "21.0")])?;
    /// readings.set_retention(Retention::new().max_age(Duration::from_secs(3_600)))?;
    /// assert_eq!(readings.first()?.map(|reading| reading.id()), Some(new), "the other is from 1970");
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn max_age(mut self, age: Duration) -> Self {
        self.age_ms_max = Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// The oldest segments go when all segments of the stream have more bytes than this, preallocated room included. Segments
    /// are made small enough for an eighth of it to be the most that goes at once, but not smaller than 4 KiB.
    ///
    /// Room is made before a segment is begun: it is exceeded only by a segment that is there when the limit is set, or that
    /// one entry or batch needs. Journal, indexes and superblock are not counted: some 20 KiB, and 1 % of the log.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Retention, Store};
    ///
    /// let readings = Store::in_memory().stream("temperature")?;
    /// readings.set_retention(Retention::new().max_bytes(64 << 10))?;
    /// for n in 0..10_000 {
    ///     readings.add([("celsius", n.to_string())])?;
    /// }
    /// assert!(readings.len()? < 10_000);
    /// assert_eq!(readings.last()?.expect("the newest stay").get("celsius"), Some(&b"9999"[..]));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.bytes_max = Some(bytes);
        self
    }

    /// The oldest entries go when there are more than this, as if each add did [`Trim::to_len`](crate::Trim::to_len): it is
    /// never exceeded. With [`acknowledged_only`](Self::acknowledged_only), by 100 entries and a batch for up to a second.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Retention, Store};
    ///
    /// let readings = Store::in_memory().stream("temperature")?;
    /// readings.set_retention(Retention::new().max_len(2))?;
    /// for celsius in ["20.5", "21.0", "21.5"] {
    ///     readings.add([("celsius", celsius)])?;
    /// }
    /// assert_eq!(readings.len()?, 2);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn max_len(mut self, len: u64) -> Self {
        self.len_max = Some(len);
        self
    }

    /// No entry goes that some group has yet to read or acknowledge, nor any that comes after it, whatever the limits say.
    /// A stream without groups is held back by none.
    ///
    /// Without a limit beside it, what every group has acknowledged goes: within a second or two, if the stream is open. As
    /// long as there is no group then, everything is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Options, Position, Retention};
    ///
    /// let store = Options::new().retention_interval(Duration::ZERO).in_memory();
    /// let orders = store.stream("orders")?;
    /// orders.set_retention(Retention::new().max_len(1).acknowledged_only())?;
    /// orders.group("workers").create(Position::Start)?;
    /// for order in ["o1", "o2", "o3"] {
    ///     orders.add([("order", order)])?;
    /// }
    /// assert_eq!(orders.len()?, 3);
    /// orders.group("workers").consumer("alice").read().count(2).no_ack().new_entries()?;
    /// store.enforce_retention()?;
    /// assert_eq!(orders.len()?, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn acknowledged_only(mut self) -> Self {
        self.acknowledged_only = true;
        self
    }

    /// How old entries may be.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::Retention;
    ///
    /// let hour = Duration::from_secs(3_600);
    /// assert_eq!(Retention::new().max_age(hour).age_max(), Some(hour));
    /// ```
    #[must_use]
    pub fn age_max(&self) -> Option<Duration> {
        self.age_ms_max.map(Duration::from_millis)
    }

    /// How many bytes segments may have.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Retention;
    ///
    /// assert_eq!(Retention::new().max_bytes(1 << 30).bytes_max(), Some(1 << 30));
    /// ```
    #[must_use]
    pub fn bytes_max(&self) -> Option<u64> {
        self.bytes_max
    }

    /// How many entries there may be.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Retention;
    ///
    /// assert_eq!(Retention::new().max_len(1_000).len_max(), Some(1_000));
    /// ```
    #[must_use]
    pub fn len_max(&self) -> Option<u64> {
        self.len_max
    }

    /// Whether entries stay that some group has yet to read or acknowledge.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Retention;
    ///
    /// assert!(Retention::new().acknowledged_only().is_acknowledged_only());
    /// ```
    #[must_use]
    pub fn is_acknowledged_only(&self) -> bool {
        self.acknowledged_only
    }

    /// Whether everything is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Retention;
    ///
    /// assert!(!Retention::new().max_len(1_000).is_none());
    /// ```
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it says how much is kept, apart from groups.
    pub(crate) fn has_limit(&self) -> bool {
        self.age_ms_max.is_some() || self.bytes_max.is_some() || self.len_max.is_some()
    }

    /// The milliseconds below which IDs are too old, if age counts; in steps that are worth a trim, unless `exactly`.
    pub(crate) fn oldest_ms(&self, now_ms: u64, exactly: bool) -> Option<u64> {
        let age = self.age_ms_max?;
        let oldest = now_ms.saturating_sub(age);
        let step = (age / AGE_PART).clamp(1, AGE_STEP_MS_MAX);
        Some(if exactly { oldest } else { oldest - oldest % step })
    }
}

/// The largest that segments should be where so many bytes are kept.
pub(crate) fn segment_bytes_for(bytes: u64) -> u64 {
    (bytes / SEGMENTS_MIN / PAGE * PAGE).max(PAGE)
}

const AGES: [(u64, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
const SIZES: [(u64, &str); 4] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "")];

/// A number in the largest of some units in which it is whole.
fn in_largest<'a>(number: u64, units: &[(u64, &'a str)]) -> (u64, &'a str) {
    let fits = units.iter().find(|(unit, _)| number >= *unit && number.is_multiple_of(*unit));
    fits.or(units.last()).map_or((number, ""), |(unit, name)| (number / unit, name))
}

impl fmt::Display for Retention {
    /// As the options of `streamlog retention`, without their dashes; `keep-all` if everything is kept.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        let mut put = |f: &mut fmt::Formatter<'_>, part: fmt::Arguments<'_>| {
            let put = write!(f, "{gap}{part}");
            gap = " ";
            put
        };
        if let Some(age) = self.age_ms_max {
            let (age, unit) = in_largest(age, &AGES);
            put(f, format_args!("max-age {age}{unit}"))?;
        }
        if let Some(bytes) = self.bytes_max {
            let (bytes, unit) = in_largest(bytes, &SIZES);
            put(f, format_args!("max-bytes {bytes}{unit}"))?;
        }
        if let Some(len) = self.len_max {
            put(f, format_args!("max-len {len}"))?;
        }
        match (self.acknowledged_only, self.is_none()) {
            (true, _) => put(f, format_args!("acknowledged-only")),
            (_, true) => put(f, format_args!("keep-all")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_rounded_to_what_is_worth_a_trim() {
        let oldest = |age, now, exactly| Retention::new().max_age(Duration::from_millis(age)).oldest_ms(now, exactly);
        assert_eq!(Retention::new().oldest_ms(5, true), None);
        assert_eq!(oldest(6400, 10_000, true), Some(3600));
        assert_eq!(oldest(6400, 10_099, false), Some(3600), "in steps of 100");
        assert_eq!(oldest(0, 77, false), Some(77));
        assert_eq!(oldest(1000, 77, true), Some(0), "before there was a time");
        assert_eq!(oldest(86_400_000, 100_000_000, false), Some(13_560_000), "in steps of a minute");
        assert_eq!(Retention::new().max_age(Duration::MAX).age_ms_max, Some(u64::MAX));
    }

    #[test]
    fn it_is_written_as_the_command_line_takes_it() {
        let all = Retention::new().max_age(Duration::from_secs(1)).max_bytes(2).max_len(3).acknowledged_only();
        assert_eq!(all.to_string(), "max-age 1s max-bytes 2 max-len 3 acknowledged-only");
        assert_eq!(all.max_age(Duration::ZERO).to_string(), "max-age 0ms max-bytes 2 max-len 3 acknowledged-only");
        assert_eq!(Retention::new().max_bytes(6 << 30).to_string(), "max-bytes 6GiB");
        assert_eq!(Retention::new().max_len(0).to_string(), "max-len 0");
        assert_eq!(Retention::new().to_string(), "keep-all");
    }
}
