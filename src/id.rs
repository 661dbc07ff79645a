//! Entry IDs: order, parsing, display, successor and predecessor.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The ID of an entry: milliseconds since the Unix epoch, and a sequence number within them.
///
/// IDs order as the pair they are. They are written `ms-seq` in decimal, without leading zeros.
///
/// # Examples
///
/// ```
/// use streamlog::StreamId;
///
/// let id: StreamId = "1526919030474-55".parse()?;
/// assert_eq!(id, StreamId::new(1526919030474, 55));
/// assert_eq!(id.next(), Some(StreamId::new(1526919030474, 56)));
/// assert_eq!(id.to_string(), "1526919030474-55");
/// # Ok::<(), streamlog::ParseIdError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    ms: u64,
    seq: u64,
}

impl StreamId {
    /// `0-0`: below every entry, and the ID of none.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{ReadFrom, Store, StreamId};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    ///
    /// let all = orders.read(ReadFrom::After(StreamId::MIN)).run()?;
    /// assert_eq!(all[0].1[0].id(), id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub const MIN: Self = Self::new(0, 0);
    /// The highest ID. A stream whose last ID this is accepts nothing more.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{AddOptions, Error, Store, StreamId};
    /// # let store = Store::in_memory();
    ///
    /// let orders = store.stream("orders")?;
    /// orders.add_with(AddOptions::new().id(StreamId::MAX), [("order", "o1")])?;
    /// assert!(matches!(orders.add([("order", "o2")]), Err(Error::IdsExhausted)));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub const MAX: Self = Self::new(u64::MAX, u64::MAX);

    /// The ID `ms-seq`.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::StreamId;
    ///
    /// assert_eq!(StreamId::new(5, 1).to_string(), "5-1");
    /// ```
    #[must_use]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The first ID of the millisecond that holds `time`; times before 1970 give `0-0`.
    ///
    /// As a lower bound it means "at or after `time`".
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use streamlog::StreamId;
    ///
    /// assert_eq!(StreamId::at(UNIX_EPOCH + Duration::from_secs(1)), StreamId::new(1_000, 0));
    /// ```
    #[must_use]
    pub fn at(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX), 0)
    }

    /// The milliseconds since the Unix epoch.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::StreamId;
    ///
    /// assert_eq!(StreamId::new(5, 1).ms(), 5);
    /// ```
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// The sequence number within the millisecond.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::StreamId;
    ///
    /// assert_eq!(StreamId::new(5, 1).seq(), 1);
    /// ```
    #[must_use]
    pub const fn seq(self) -> u64 {
        self.seq
    }

    /// The next higher ID, which may be the first one of the next millisecond; `None` after [`MAX`](Self::MAX).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::StreamId;
    ///
    /// assert_eq!(StreamId::new(5, u64::MAX).next(), Some(StreamId::new(6, 0)));
    /// assert_eq!(StreamId::MAX.next(), None);
    /// ```
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match (self.seq.checked_add(1), self.ms.checked_add(1)) {
            (Some(seq), _) => Some(Self::new(self.ms, seq)),
            (None, Some(ms)) => Some(Self::new(ms, 0)),
            (None, None) => None,
        }
    }

    /// The next lower ID, which may be the last one of the millisecond before; `None` before [`MIN`](Self::MIN).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::StreamId;
    ///
    /// assert_eq!(StreamId::new(5, 0).previous(), Some(StreamId::new(4, u64::MAX)));
    /// ```
    #[must_use]
    pub const fn previous(self) -> Option<Self> {
        match (self.seq.checked_sub(1), self.ms.checked_sub(1)) {
            (Some(seq), _) => Some(Self::new(self.ms, seq)),
            (None, Some(ms)) => Some(Self::new(ms, u64::MAX)),
            (None, None) => None,
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<(u64, u64)> for StreamId {
    fn from((ms, seq): (u64, u64)) -> Self {
        Self::new(ms, seq)
    }
}

/// Text that is not an ID.
///
/// # Examples
///
/// ```
/// use streamlog::StreamId;
///
/// let error = "yesterday".parse::<StreamId>().expect_err("it is no ID");
/// assert!(error.to_string().ends_with(r#"not "yesterday""#));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry ID is two decimal numbers below 2^64 joined by '-', not {text:?}")]
pub struct ParseIdError {
    text: String,
}

impl FromStr for StreamId {
    type Err = ParseIdError;

    /// Reads `ms-seq`, or `ms` alone for `ms-0`.
    ///
    /// Signs, blanks, empty parts and numbers of 2^64 or more are errors; leading zeros are not.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
        match (parse_decimal(ms), parse_decimal(seq)) {
            (Some(ms), Some(seq)) => Ok(Self::new(ms, seq)),
            _ => Err(ParseIdError { text: text.chars().take(80).collect() }),
        }
    }
}

fn parse_decimal(digits: &str) -> Option<u64> {
    // `u64::from_str` also takes a leading '+', which an ID does not have.
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// How an added entry gets its ID.
///
/// # Examples
///
/// ```
/// use streamlog::{NewId, Store, StreamId};
/// # let store = Store::in_memory();
///
/// let readings = store.stream("temperature")?;
/// let new = [NewId::Exact(StreamId::new(5, 3)), NewId::AutoSequence(5), NewId::AutoSequence(6), NewId::Auto];
/// let ids = readings.add_batch(new.map(|id| (id, [("celsius", "20.5")])))?;
/// assert_eq!(ids[..3], [StreamId::new(5, 3), StreamId::new(5, 4), StreamId::new(6, 0)]);
/// assert!(ids[3].ms() > 1_700_000_000_000, "it is the time");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NewId {
    /// The clock's millisecond, or one past the stream's last ID if the clock is not ahead of it (`*` in Redis).
    #[default]
    Auto,
    /// This millisecond, and the lowest sequence number in it that is still free (`ms-*` in Redis).
    AutoSequence(u64),
    /// Exactly this ID, which must be above the stream's last one.
    Exact(StreamId),
}

impl From<StreamId> for NewId {
    fn from(id: StreamId) -> Self {
        Self::Exact(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_as_they_are_written() {
        for id in [StreamId::MIN, StreamId::new(5, 3), StreamId::MAX, StreamId::new(u64::MAX, 0)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!("7".parse(), Ok(StreamId::new(7, 0)));
        assert_eq!("01-007".parse(), Ok(StreamId::new(1, 7)));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in ["", "-", "5-", "-5", "+1-1", "1-+1", " 1", "1 ", "1--1", "1-1-1", "x", "18446744073709551616"] {
            assert!(text.parse::<StreamId>().is_err(), "{text:?} was read as an ID");
        }
    }

    #[test]
    fn neighbours_carry_over_the_millisecond() {
        assert_eq!(StreamId::new(1, u64::MAX).next(), Some(StreamId::new(2, 0)));
        assert_eq!(StreamId::new(2, 0).previous(), Some(StreamId::new(1, u64::MAX)));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.previous(), None);
    }
}
