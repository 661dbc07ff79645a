//! Starts children, kills them, and looks at what they leave: at random.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, mpsc};
use std::time::{Duration, Instant};

use streamlog::Durability;

use crate::child::{ORDER, Order, Random, Work, options};
use crate::ledger::Ledger;

const SIGKILL: i32 = 9;

pub const LEVELS: [Durability; 3] =
    [Durability::Os, Durability::Always, Durability::Interval(Duration::from_millis(2))];

/// When a child is killed.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// So long after it began to open the store.
    Opening(Duration),
    /// So long after it had acknowledged something.
    Working(Duration),
    /// It kills itself.
    Itself,
}

/// No child is begun while this process has a store open: until it is another program, the child would share its lock.
pub static STORES: RwLock<()> = RwLock::new(());

fn start(order: &Order) -> Child {
    let _none_open = STORES.write().unwrap_or_else(PoisonError::into_inner);
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ORDER, order.to_text())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What a child said, and whether it was killed.
pub struct Life {
    pub lines: Vec<String>,
    pub killed: bool,
}

/// Runs a child until it is killed.
pub fn live(order: &Order, moment: Moment) -> Result<Life, String> {
    let mut child = start(order);
    let (said, heard) = mpsc::channel();
    let (out, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut lines = Vec::new();
        // A line that was not finished was not said.
        let mut out = BufReader::new(out);
        loop {
            let mut line = String::new();
            match out.read_line(&mut line) {
                Ok(len) if len > 0 && line.ends_with('\n') => {}
                _ => return lines,
            }
            if line.starts_with("~begin") || line.starts_with("~A") {
                let _ = said.send(line.starts_with("~A"));
            }
            lines.push(line);
        }
    });
    let wait_for = |working: bool| while heard.recv().is_ok_and(|is_working| is_working != working) {};
    match moment {
        Moment::Opening(after) => {
            wait_for(false);
            std::thread::sleep(after);
            let _ = child.kill();
        }
        Moment::Working(after) => {
            wait_for(true);
            std::thread::sleep(after);
            let _ = child.kill();
        }
        Moment::Itself => {}
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let lines = reader.join().unwrap();
    let mut text = String::new();
    let _ = errors.read_to_string(&mut text);
    match (status.signal(), status.code()) {
        (Some(SIGKILL), _) => Ok(Life { lines, killed: true }),
        (_, Some(0)) if matches!(moment, Moment::Itself) => Ok(Life { lines, killed: false }),
        _ => {
            let said = lines.iter().rfind(|line| line.starts_with("~!")).cloned().unwrap_or_default();
            Err(format!("the child ended by itself: {status}, {said}{text}"))
        }
    }
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

/// Opens what a child has left, in place or a copy of it, and holds it against the ledger.
fn look(directory: &Path, level: Durability, ledger: &mut Ledger, in_place: bool) -> Result<(), String> {
    if in_place {
        let _open = STORES.read().unwrap_or_else(PoisonError::into_inner);
        let store = options(level).open(directory).map_err(|error| format!("opening it: {error}"))?;
        ledger.check(&store)?;
        return store.close().map_err(|error| format!("closing it: {error}"));
    }
    let elsewhere = tempfile::tempdir().unwrap();
    copy(directory, elsewhere.path());
    look(elsewhere.path(), level, ledger, true)
}

/// Kills a child, and checks. The next one goes on where this one was stopped, recovering the store, or where the
/// parent has closed it.
pub fn cycle(order: &Order, moment: Moment, ledger: &mut Ledger, in_place: bool) -> Result<Life, String> {
    ledger.begin(order.cycle);
    let life = live(order, moment)?;
    life.lines.iter().try_for_each(|line| ledger.hear(line.trim_end()))?;
    look(&order.directory, order.level, ledger, in_place)?;
    Ok(life)
}

pub fn seed() -> u64 {
    let given = std::env::var("STREAMLOG_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        since.as_nanos() as u64 >> 10
    })
}

fn kills() -> u64 {
    std::env::var("STREAMLOG_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(1000)
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_at_any_time() {
    let (began, seed, wanted) = (Instant::now(), seed(), kills());
    println!("STREAMLOG_SEED={seed}");
    let (chains, killed, opening, checked) =
        (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let violations = Mutex::new(Vec::new());
    let work = || {
        while killed.load(Ordering::Relaxed) < wanted && violations.lock().unwrap().len() < 5 {
            let chain = chains.fetch_add(1, Ordering::Relaxed);
            let mut random = Random::new(seed ^ chain.wrapping_mul(0x1234_5677));
            let directory = tempfile::tempdir().unwrap();
            let level = LEVELS[(chain % 3) as usize];
            let chain_seed = random.next() >> 8;
            let mut ledger = Ledger::new(chain_seed);
            for number in 0..4 + random.below(8) {
                let in_opening = random.below(10) == 0;
                let moment = match in_opening {
                    true => Moment::Opening(Duration::from_micros(random.below(3000))),
                    false => Moment::Working(Duration::from_micros(1000 + random.below(39_000))),
                };
                let path = directory.path().to_owned();
                let order = Order { directory: path, level, seed: chain_seed, cycle: number, work: Work::Random };
                if let Err(why) = cycle(&order, moment, &mut ledger, random.below(2) == 0) {
                    let what = format!("chain {chain} at {level:?}, child {number}, {moment:?}: {why}");
                    violations.lock().unwrap().push(what);
                    break;
                }
                opening.fetch_add(u64::from(in_opening), Ordering::Relaxed);
                if killed.fetch_add(1, Ordering::Relaxed) + 1 >= wanted {
                    break;
                }
            }
            checked.fetch_add(ledger.checked, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, |count| count.get());
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let violations = violations.into_inner().unwrap();
    println!(
        "kills at random: {} in {} chains ({} while opening), {} acknowledgements checked, {} violations, {:.1} s, seed {seed}",
        get(&killed),
        get(&chains),
        get(&opening),
        get(&checked),
        violations.len(),
        began.elapsed().as_secs_f64(),
    );
    assert!(violations.is_empty(), "STREAMLOG_SEED={seed}\n{}", violations.join("\n"));
    assert!(get(&killed) >= wanted && get(&checked) > 10 * wanted, "too little was looked at");
}
