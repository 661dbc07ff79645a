use super::*;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(5))
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn after(ms: u64) -> Interest<'static> {
    Interest::Entries { after: id(ms) }
}

const G: Interest<'static> = Interest::Group { group: b"g", claims: false };
const H: Interest<'static> = Interest::Group { group: b"h", claims: false };
const CLAIM: Interest<'static> = Interest::Group { group: b"g", claims: true };

const S: &[u8] = b"s";
const T: &[u8] = b"t";

impl Waiters {
    fn register_in_s(&self, interest: Interest<'static>) -> Registration<'_> {
        self.register([(S, interest)])
    }

    /// Readers that have looked in vain, in this order.
    fn asleep<const N: usize>(&self, interests: [Interest<'static>; N]) -> [Registration<'_>; N] {
        interests.map(|interest| {
            let reader = self.register_in_s(interest);
            assert!(reader.try_turn(0) && !reader.is_woken());
            reader
        })
    }
}

impl Registration<'_> {
    /// Sleeps for no time.
    fn is_woken(&self) -> bool {
        self.wait(Some(Instant::now()))
    }
}

#[test]
fn only_what_a_reader_waits_for_wakes_it() {
    let waiters = Waiters::default();
    let reader = waiters.register([(S, Interest::Entries { after: StreamId::new(5, 0) })]);
    waiters.published(S, StreamId::new(5, 0));
    waiters.published(T, id(9));
    assert!(!reader.wait(soon()));
    waiters.published(S, StreamId::new(5, 1));
    assert!(reader.wait(soon()));
    assert!(!reader.wait(soon()), "a wake-up counts once");
}

#[test]
fn a_reader_that_left_leaves_nothing_behind() {
    let waiters = Waiters::default();
    assert!(waiters.is_empty());
    let all = [(S, after(0)), (S, G), (T, after(0)), (S, after(3)), (T, CLAIM), (S, H), (S, G)];
    let (first, second) = (waiters.register(all), waiters.register(all));
    assert!(!waiters.is_empty());
    waiters.published(S, id(9));
    drop(first);
    assert_eq!(waiters.queues.lock().by_name.len(), 2);
    drop(second);
    assert!(waiters.queues.lock().by_name.is_empty() && waiters.is_empty());
}

#[test]
fn a_wake_up_before_the_wait_is_not_lost() {
    let waiters = Waiters::default();
    let reader = waiters.register_in_s(after(0));
    waiters.wake_all();
    assert!(reader.wait(None));
}

#[test]
fn a_stream_that_is_named_twice_counts_from_the_lower_id() {
    let waiters = Waiters::default();
    let reader = waiters.register([(S, after(7)), (S, after(3)), (S, after(5))]);
    waiters.published(S, id(4));
    assert!(reader.is_woken());
}

#[test]
fn an_entry_wakes_all_plain_readers_and_the_first_of_each_group() {
    let waiters = Waiters::default();
    let readers = waiters.asleep([G, after(0), H, G, after(0), H]);
    waiters.published(S, id(1));
    assert_eq!(readers.each_ref().map(Registration::is_woken), [true, true, true, false, true, false]);
}

#[test]
fn who_leaves_passes_its_turn_on() {
    let waiters = Waiters::default();
    let [first, second, third] = waiters.asleep([G; 3]);
    waiters.published(S, id(1));
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    assert!(second.is_woken() && !third.is_woken());
    drop(second);
    assert!(third.is_woken());
}

#[test]
fn who_leaves_before_it_knew_of_its_turn_passes_it_on() {
    let waiters = Waiters::default();
    let [first, second] = waiters.asleep([G; 2]);
    // As when time is up in the moment in which the entry comes.
    waiters.published(S, id(1));
    drop(first);
    assert!(second.is_woken());
}

#[test]
fn who_had_no_turn_passes_nothing_on() {
    let waiters = Waiters::default();
    let [first, second, third] = waiters.asleep([G; 3]);
    drop(second);
    assert!(!first.is_woken() && !third.is_woken());
    drop(first);
    assert!(!third.is_woken());
}

#[test]
fn who_took_everything_wakes_nobody() {
    let waiters = Waiters::default();
    let [first, second] = waiters.asleep([G; 2]);
    waiters.published(S, id(1));
    assert!(first.is_woken());
    first.exhausted(0);
    drop(first);
    assert!(!second.is_woken());
}

#[test]
fn what_comes_after_everything_was_taken_is_passed_on() {
    let waiters = Waiters::default();
    for told_before in [true, false] {
        let [first, second] = waiters.asleep([G; 2]);
        waiters.published(S, id(1));
        assert!(first.is_woken() && first.try_turn(0));
        if told_before {
            first.exhausted(0);
        }
        waiters.published(S, id(2));
        if !told_before {
            first.exhausted(0);
        }
        drop(first);
        assert!(second.is_woken(), "told before: {told_before}");
    }
}

#[test]
fn who_found_nothing_keeps_its_place() {
    let waiters = Waiters::default();
    let [first, second] = waiters.asleep([G; 2]);
    for ms in 1..4 {
        waiters.published(S, id(ms));
        assert!(first.is_woken() && first.try_turn(0));
        assert!(!first.is_woken() && !second.is_woken());
    }
    drop(first);
    assert!(!second.is_woken(), "its turn was over");
}

#[test]
fn what_comes_during_a_look_makes_the_reader_look_again() {
    let waiters = Waiters::default();
    let [first, second] = waiters.asleep([G; 2]);
    waiters.published(S, id(1));
    assert!(first.is_woken() && first.try_turn(0));
    waiters.published(S, id(2));
    assert!(first.is_woken() && !first.is_woken() && !second.is_woken());
}

#[test]
fn who_comes_while_another_is_served_is_due() {
    let waiters = Waiters::default();
    let [first] = waiters.asleep([G]);
    waiters.published(S, id(1));
    let (second, third) = (waiters.register_in_s(G), waiters.register_in_s(G));
    assert!(!second.try_turn(0) && !third.try_turn(0));
    assert!(first.is_woken() && first.try_turn(0) && !second.try_turn(0));
    first.exhausted(0);
    // It looks although there is nothing more, but not before.
    assert!(second.is_woken() && !third.try_turn(0));
    assert!(second.try_turn(0) && !second.is_woken());
    assert!(third.is_woken() && third.try_turn(0) && !third.is_woken());
}

#[test]
fn who_looks_for_the_first_time_has_the_turn() {
    let waiters = Waiters::default();
    let (first, second) = (waiters.register_in_s(G), waiters.register_in_s(G));
    assert!(first.try_turn(0) && !second.try_turn(0));
    drop(first);
    assert!(second.is_woken() && second.try_turn(0));
}

#[test]
fn who_is_due_and_leaves_is_forgotten() {
    let waiters = Waiters::default();
    let (first, second, third) = (waiters.register_in_s(G), waiters.register_in_s(G), waiters.register_in_s(G));
    drop(second);
    assert!(!third.is_woken());
    assert!(!first.is_woken());
    assert!(third.is_woken());
}

#[test]
fn a_reader_whose_timer_ran_out_waits_for_who_is_served() {
    let waiters = Waiters::default();
    let [first, second, third] = waiters.asleep([CLAIM; 3]);
    waiters.published(S, id(1));
    assert!(!second.is_woken() && !second.try_turn(0), "its own timer");
    assert!(first.is_woken());
    first.exhausted(0);
    drop(first);
    assert!(second.is_woken() && second.try_turn(0) && !third.is_woken());
    drop(second);
    assert!(third.is_woken());
}

#[test]
fn what_a_timer_tells_of_is_for_the_first_that_claims() {
    let waiters = Waiters::default();
    let [plain, first, second, third, last] = waiters.asleep([G, CLAIM, CLAIM, CLAIM, CLAIM]);
    third.stand_back(0);
    assert!(first.is_woken() && first.try_turn(0) && !third.try_turn(0));
    assert!(!plain.is_woken() && !second.is_woken() && !last.is_woken());
    first.exhausted(0);
    assert!(second.is_woken() && second.try_turn(0));
    second.exhausted(0);
    assert!(third.is_woken() && third.try_turn(0));
    // Nobody before it claims: it may look at once.
    drop((first, second));
    third.exhausted(0);
    third.stand_back(0);
    assert!(third.try_turn(0) && !plain.is_woken() && !last.is_woken());
}

#[test]
fn released_entries_are_for_the_first_that_claims() {
    let waiters = Waiters::default();
    let [plain, first, second, third] = waiters.asleep([G, CLAIM, CLAIM, G]);
    waiters.released(S, b"h");
    waiters.released(T, b"g");
    assert!(!first.is_woken());
    waiters.released(S, b"g");
    assert!(first.is_woken() && !plain.is_woken() && !second.is_woken());
    // It may leave new entries as well as released ones.
    waiters.released(S, b"g");
    drop(first);
    assert!(plain.is_woken() && second.is_woken() && !third.is_woken());
    drop(plain);
    assert!(second.is_woken() && !third.is_woken());
}

#[test]
fn a_reader_that_claims_is_woken_in_its_place_for_new_entries() {
    let waiters = Waiters::default();
    let [first, second] = waiters.asleep([CLAIM, G]);
    waiters.published(S, id(1));
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    assert!(second.is_woken());
}

#[test]
fn what_nobody_was_told_of_is_looked_for_by_all_with_the_next_event() {
    let waiters = Waiters::default();
    let [first, second] = waiters.asleep([G, G]);
    let [other] = waiters.asleep([H]);
    waiters.keep_quiet();
    assert!(!first.is_woken() && !second.is_woken() && !other.is_woken());
    waiters.published(S, id(1));
    assert!(first.is_woken() && !second.is_woken() && other.is_woken());
    assert!(!first.is_woken(), "it takes nothing, and sleeps again");
    assert!(second.is_woken());
    assert!(!second.is_woken());
    waiters.published(S, id(2));
    assert!(first.is_woken());
    assert!(!first.is_woken() && !second.is_woken(), "they were told");

    waiters.keep_quiet();
    waiters.group_gone(S, b"h");
    assert!(first.is_woken() && other.is_woken());
}

#[test]
fn a_reader_of_several_streams_passes_on_each_turn_it_has() {
    let waiters = Waiters::default();
    let both = waiters.register([(S, G), (T, G)]);
    assert!(!both.is_woken());
    let [of_s] = waiters.asleep([G]);
    let of_t = waiters.register([(T, G)]);
    assert!(!of_t.is_woken());
    waiters.published(S, id(1));
    assert!(both.is_woken() && both.try_turn(0));
    // It is the first in `t` as well, whether or not it gets to look there again.
    waiters.published(T, id(1));
    both.exhausted(0);
    drop(both);
    assert!(of_t.is_woken() && !of_s.is_woken());
}

#[test]
fn a_reader_of_several_streams_is_due_in_each_by_itself() {
    let waiters = Waiters::default();
    let [of_s] = waiters.asleep([G]);
    waiters.published(S, id(1));
    let both = waiters.register([(S, G), (T, G), (T, after(0))]);
    assert_eq!([0, 1, 2].map(|position| both.try_turn(position)), [false, true, true]);
    let of_t = waiters.register([(T, G)]);
    assert!(!of_t.try_turn(0));
    assert!(!both.is_woken());
    assert!(of_t.is_woken());
    drop(of_s);
    assert!(both.is_woken() && both.try_turn(0));
}

#[test]
fn a_group_that_is_named_twice_is_one_place() {
    let waiters = Waiters::default();
    let twice = waiters.register([(S, G), (S, CLAIM)]);
    assert!(twice.try_turn(0) && twice.try_turn(1), "it is not behind itself");
    let [next] = [waiters.register_in_s(G)];
    assert!(!next.try_turn(0));
    assert!(!twice.is_woken() && next.is_woken() && !next.is_woken());
    waiters.released(S, b"g");
    assert!(twice.is_woken());
    twice.exhausted(1);
    drop(twice);
    assert!(!next.is_woken());
}

#[test]
fn who_claims_in_one_place_and_not_in_another_leaves_no_released_entries_behind() {
    let waiters = Waiters::default();
    for (interests, claiming, other) in [([(S, CLAIM), (S, G)], 0, 1), ([(S, G), (S, CLAIM)], 1, 0)] {
        for comes_late in [false, true] {
            let both = waiters.register(interests);
            assert!(!both.is_woken());
            let [next] = waiters.asleep([CLAIM]);
            waiters.released(S, b"g");
            assert!(both.is_woken() && both.try_turn(claiming));
            if comes_late {
                waiters.released(S, b"g");
            }
            assert!(both.try_turn(other));
            both.exhausted(other);
            drop(both);
            assert!(next.is_woken());
        }
    }
}

#[test]
fn a_look_that_does_not_claim_is_none_at_released_entries() {
    let waiters = Waiters::default();
    let both = waiters.register([(S, CLAIM), (S, G)]);
    assert!(!both.is_woken());
    let [next] = waiters.asleep([CLAIM]);
    waiters.released(S, b"g");
    assert!(both.try_turn(1) && both.is_woken());
    drop(both);
    assert!(next.is_woken());
}

#[test]
fn readers_of_a_group_that_is_gone_are_all_told() {
    let waiters = Waiters::default();
    let readers = waiters.asleep([G, after(0), G, H]);
    waiters.group_gone(S, b"g");
    assert_eq!(readers.each_ref().map(Registration::is_woken), [true, false, true, false]);
    drop(readers);
    let readers = waiters.asleep([G, after(0), G, H]);
    waiters.gone(S);
    assert_eq!(readers.each_ref().map(Registration::is_woken), [true, false, true, true]);
}

#[test]
fn readers_of_a_stream_that_appears_are_served_one_after_the_other() {
    let waiters = Waiters::default();
    let [first, second, plain, other] = waiters.asleep([G, G, after(9), H]);
    waiters.appeared(S);
    assert!(first.is_woken() && plain.is_woken() && other.is_woken() && !second.is_woken());
    first.exhausted(0);
    assert!(second.is_woken());
}

#[test]
fn a_reader_that_panics_passes_its_turn_on() {
    let waiters = Waiters::default();
    let [first, second] = waiters.asleep([G; 2]);
    waiters.published(S, id(1));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        assert!(first.is_woken());
        let _first = first;
        panic!("in the middle of a look");
    }));
    assert!(panicked.is_err() && second.is_woken());
}

/// What a group has to give: a number of items, each of which one reader takes.
#[derive(Default)]
struct Items {
    untaken: Mutex<u64>,
    taken: AtomicUsize,
    closed: AtomicBool,
}

impl Items {
    fn add(&self) {
        *self.untaken.lock() += 1;
    }

    /// Takes one, and says whether it was the last; `None` if there was none.
    fn take(&self) -> Option<bool> {
        let mut untaken = self.untaken.lock();
        *untaken = untaken.checked_sub(1)?;
        self.taken.fetch_add(1, Ordering::SeqCst);
        Some(*untaken == 0)
    }
}

/// Reads one item after the other from several groups until these are closed; counts how often it is woken.
fn consume(waiters: &Waiters, groups: &[(&[u8], &Items)], timeout: Option<Duration>, wake_ups: &AtomicUsize) {
    loop {
        let reader = waiters.register(groups.iter().map(|&(name, _)| (name, G)));
        loop {
            if groups.iter().all(|(_, items)| items.closed.load(Ordering::SeqCst)) {
                return;
            }
            let turns = groups.iter().enumerate().filter(|&(position, _)| reader.try_turn(position));
            let taken = turns.filter_map(|(position, (_, items))| Some((position, items.take()?)));
            let taken: Vec<_> = taken.collect();
            taken.iter().filter(|&(_, was_last)| *was_last).for_each(|&(position, _)| reader.exhausted(position));
            if !taken.is_empty() {
                break;
            }
            match reader.wait(timeout.map(|timeout| Instant::now() + timeout)) {
                true => _ = wake_ups.fetch_add(1, Ordering::SeqCst),
                false => break,
            }
        }
    }
}

fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(cfg!(miri) || start.elapsed() < Duration::from_secs(20), "somebody sleeps while there is something");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn every_item_is_taken_and_few_readers_are_woken_for_it() {
    let cases = [(8, None), (64, None), (8, Some(Duration::from_micros(300)))];
    let (cases, each) = if cfg!(miri) { (&cases[..1], 20) } else { (&cases[..], 1500) };
    for &(consumers, timeout) in cases {
        let (waiters, wake_ups) = (Waiters::default(), AtomicUsize::new(0));
        let (s, t) = (Items::default(), Items::default());
        let publishers = 4;
        std::thread::scope(|scope| {
            for number in 0..consumers {
                let (waiters, wake_ups, s, t) = (&waiters, &wake_ups, (S, &s), (T, &t));
                scope.spawn(move || match number % 4 {
                    0 => consume(waiters, &[s, t], timeout, wake_ups),
                    1 => consume(waiters, &[t], timeout, wake_ups),
                    _ => consume(waiters, &[s], timeout, wake_ups),
                });
            }
            let publishers: Vec<_> = (0..publishers)
                .map(|number| {
                    let (waiters, (name, items)) = (&waiters, if number == 0 { (T, &t) } else { (S, &s) });
                    scope.spawn(move || {
                        for at in 0..each {
                            items.add();
                            waiters.published(name, id(1));
                            if at % 16 == 0 {
                                std::thread::sleep(Duration::from_micros(50));
                            }
                        }
                    })
                })
                .collect();
            publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
            until(|| *s.untaken.lock() == 0 && *t.untaken.lock() == 0);
            [&s, &t].iter().for_each(|items| items.closed.store(true, Ordering::SeqCst));
            waiters.wake_all();
        });
        let items = publishers * each;
        assert_eq!(s.taken.load(Ordering::SeqCst) + t.taken.load(Ordering::SeqCst), items);
        let woken = wake_ups.load(Ordering::SeqCst);
        println!("{consumers} readers, {timeout:?}: {woken} wake-ups for {items} items");
        assert!(woken <= 2 * items + consumers, "{woken} wake-ups for {items} items");
        assert!(waiters.is_empty());
    }
}
