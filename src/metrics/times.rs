//! How long something took, each time: counted in steps that grow with the time, so that percentiles follow from few numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The shortest time that is told from shorter ones, as a power of two of nanoseconds: 16 µs.
const LOWEST: u32 = 14;
/// Times above this power of two, 17 s, are not told from one another.
const HIGHEST: u32 = 34;
/// Between two powers of two there are so many steps: a percentile is at most an eighth too high.
const STEPS: usize = 8;
const COUNT: usize = (HIGHEST - LOWEST) as usize * STEPS + 2;

/// Times as they are measured, by any number of threads.
#[derive(Debug)]
pub struct Times {
    counts: [AtomicU64; COUNT],
    total_ns: AtomicU64,
    longest_ns: AtomicU64,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; COUNT],
            total_ns: AtomicU64::new(0),
            longest_ns: AtomicU64::new(0),
        }
    }
}

impl Times {
    pub fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get(step_of(nanos)) {
            count.fetch_add(1, Relaxed);
        }
        self.total_ns.fetch_add(nanos, Relaxed);
        self.longest_ns.fetch_max(nanos, Relaxed);
    }

    pub fn snapshot(&self) -> Latencies {
        Latencies {
            counts: self.counts.iter().map(|count| count.load(Relaxed)).collect(),
            total: Duration::from_nanos(self.total_ns.load(Relaxed)),
            longest: Duration::from_nanos(self.longest_ns.load(Relaxed)),
        }
    }
}

/// Which step a time is in.
fn step_of(nanos: u64) -> usize {
    if nanos < 1 << LOWEST {
        return 0;
    }
    let power = nanos.ilog2();
    if power >= HIGHEST {
        return COUNT - 1;
    }
    // The bits that follow the highest one.
    let part = (nanos >> (power - STEPS.ilog2())) as usize % STEPS;
    (power - LOWEST) as usize * STEPS + part + 1
}

/// The time below which a step ends, in nanoseconds; `None` for the last one.
fn end_of(step: usize) -> Option<u64> {
    let (octave, part) = (step / STEPS, step % STEPS);
    let start = 1u64.checked_shl(LOWEST + u32::try_from(octave).ok()?)?;
    (step < COUNT - 1).then(|| start + start / STEPS as u64 * part as u64)
}

/// How long something took, each time, up to some moment; or between two, by [`since`](Self::since).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// # let dir = tempfile::tempdir()?;
/// let store = streamlog::Store::open(dir.path())?;
/// store.stream("orders")?.add([("order", "o1")])?;
/// let syncs = store.metrics()?.syncs;
/// assert!(syncs.count() > 0 && syncs.percentile(99.0) >= syncs.percentile(50.0));
/// assert!(syncs.longest() > Duration::ZERO);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    counts: Vec<u64>,
    total: Duration,
    longest: Duration,
}

impl Latencies {
    /// How often it was done.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let store = streamlog::Store::open(dir.path())?;
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// let syncs = store.metrics()?.syncs;
    /// assert!(syncs.count() > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let store = streamlog::Store::open(dir.path())?;
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// let syncs = store.metrics()?.syncs;
    /// assert!(syncs.total() >= syncs.longest());
    /// println!("{:?} on average", syncs.total() / syncs.count() as u32);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }

    /// The longest time, since the store was opened.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let store = streamlog::Store::open(dir.path())?;
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// let syncs = store.metrics()?.syncs;
    /// assert!(syncs.longest() <= syncs.total());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The time within which so many of a hundred were done, at most an eighth too high; zero if there were none. Below 16 µs
    /// and above 17 s, times are not told from one another.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let store = streamlog::Store::open(dir.path())?;
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// let syncs = store.metrics()?.syncs;
    /// assert!(syncs.percentile(50.0) <= syncs.percentile(99.0));
    /// assert_eq!(syncs.percentile(100.0), syncs.longest());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        let count = self.count();
        // At least one, and no more than there are.
        let rank = ((count as f64 * percent / 100.0).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let step = self.counts.iter().position(|step| {
            seen += step;
            seen >= rank
        });
        match step {
            Some(step) => end_of(step).map_or(self.longest, Duration::from_nanos).min(self.longest),
            None => Duration::ZERO,
        }
    }

    /// What was done after `earlier`, which was taken from the same store.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let store = streamlog::Store::open(dir.path())?;
    /// let orders = store.stream("orders")?;
    /// orders.add([("order", "o1")])?;
    /// let before = store.metrics()?.syncs;
    /// orders.add([("order", "o2")])?;
    /// assert_eq!(store.metrics()?.syncs.since(&before).count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.counts.iter().chain(std::iter::repeat(&0));
        Self {
            counts: self.counts.iter().zip(before).map(|(now, before)| now.saturating_sub(*before)).collect(),
            total: self.total.saturating_sub(earlier.total),
            longest: self.longest,
        }
    }

    /// How many took less than some times, in ascending order of these, which are in nanoseconds.
    pub(crate) fn below(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut seen = 0;
        self.counts.iter().enumerate().filter_map(move |(step, count)| {
            seen += count;
            if step % STEPS == 0 { end_of(step).map(|end| (end, seen)) } else { None }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_the_step_that_ends_above_it() {
        let mut before = 0;
        for nanos in (0..36).flat_map(|power| [0, 1, 2].map(|part| (1u64 << power) + (part << power) / 3)) {
            let step = step_of(nanos);
            assert!(step >= before, "{nanos}");
            before = step;
            assert!(end_of(step).is_none_or(|end| nanos < end), "{nanos} in {step}");
            assert!(step == 0 || end_of(step - 1).is_some_and(|end| nanos >= end), "{nanos} in {step}");
        }
        assert_eq!((step_of(u64::MAX), end_of(COUNT - 1)), (COUNT - 1, None));
    }

    #[test]
    fn percentiles_are_at_most_an_eighth_too_high() {
        let times = Times::default();
        (1..=1000).for_each(|ms| times.add(Duration::from_millis(ms)));
        let all = times.snapshot();
        assert_eq!((all.count(), all.longest()), (1000, Duration::from_secs(1)));
        for percent in [0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
            let exact = f64::max(percent * 10.0, 1.0) / 1000.0;
            let found = all.percentile(percent).as_secs_f64();
            assert!(found >= exact && found <= exact * 1.126, "{percent}: {found} for {exact}");
        }
        assert_eq!(Times::default().snapshot().percentile(50.0), Duration::ZERO);
    }

    #[test]
    fn what_was_done_between_two_moments_is_their_difference() {
        let times = Times::default();
        times.add(Duration::from_secs(3));
        let before = times.snapshot();
        times.add(Duration::from_micros(100));
        let since = times.snapshot().since(&before);
        assert_eq!((since.count(), since.total()), (1, Duration::from_micros(100)));
        assert!(since.percentile(100.0) < Duration::from_micros(120));
    }

    #[test]
    fn counts_below_ascend_to_all_but_the_highest() {
        let times = Times::default();
        [1, 20_000, 20_000, 1_000_000, u64::MAX / 2]
            .into_iter()
            .for_each(|nanos| times.add(Duration::from_nanos(nanos)));
        let below: Vec<_> = times.snapshot().below().collect();
        assert!(below.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        assert_eq!((below[0], below[1].1), ((1 << LOWEST, 1), 3));
        assert_eq!(below.last(), Some(&(1 << HIGHEST, 4)));
    }
}
