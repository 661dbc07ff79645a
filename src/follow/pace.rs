//! How often is looked whether there is something new.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long to wait after a look that found nothing: first, and at the most.
const FIRST: Duration = Duration::from_millis(1);
const LAST: Duration = Duration::from_millis(20);

/// Waits between looks, the longer the more of them were in vain.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    next: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Pace {
    /// Waits until it is worth another look; `false` if that would be after the deadline, which has come then.
    pub fn wait(&mut self, deadline: Option<Instant>) -> bool {
        let next = self.next(deadline);
        if let Some(next) = next {
            sleep(next.saturating_duration_since(Instant::now()));
        }
        next.is_some()
    }

    /// When it is worth another look; `None` if the deadline has come.
    pub fn next(&mut self, deadline: Option<Instant>) -> Option<Instant> {
        self.next_after(Instant::now(), deadline)
    }

    fn next_after(&mut self, now: Instant, deadline: Option<Instant>) -> Option<Instant> {
        if deadline.is_some_and(|deadline| deadline <= now) {
            return None;
        }
        let next = now + self.next;
        self.next = (self.next * 2).min(LAST);
        Some(deadline.map_or(next, |deadline| next.min(deadline)))
    }

    /// Something was found: there may be more soon.
    pub fn found(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_end_with_the_deadline() {
        let mut pace = Pace::default();
        let begun = Instant::now();
        let deadline = begun + Duration::from_millis(60);
        let (mut now, mut looks) = (begun, Vec::new());
        // Each look is made when it is due.
        while let Some(next) = pace.next_after(now, Some(deadline)) {
            looks.push((next - begun).as_millis());
            now = next;
        }
        assert_eq!(looks, [1, 3, 7, 15, 31, 51, 60]);
        pace.found();
        assert_eq!(pace.next_after(now, None), Some(now + FIRST));
    }

    #[test]
    fn a_wait_is_as_long_as_it_is_to_be_or_longer() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        assert!(pace.wait(None) && begun.elapsed() >= FIRST);
        assert!(!pace.wait(Some(begun)), "the deadline has come");
    }
}
