//! Orders, the workers that process them, and one of them that stops: a job queue that survives being killed.
//!
//! ```text
//! cargo run --release --example orders [DIRECTORY]
//! ```
//!
//! A producer adds orders. The group `order-processors` has three consumers, each in a thread; carol stops acknowledging
//! halfway, as a worker does that hangs. A reclaimer takes over what has been pending for too long and finishes it. Then the
//! process is killed in the middle of its work, is started again, and goes on where it was.
//!
//! The store goes into `DIRECTORY`, or into a temporary one that is removed at the end.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use streamlog::{Entry, Group, GroupOptions, Position, Store, Stream, StreamId, Trim};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Tells the second process, which is to be killed, from the first.
const SECOND: &str = "--until-killed";

const ORDERS: usize = 60;
/// Carol processes so many orders before she stops acknowledging.
const CAROLS_LAST: usize = 5;
/// What has been pending for so long is taken over.
const TOO_LONG: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orders: {error}");
            error.source().inspect(|cause| eprintln!("  {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let is_second = arguments.pop_if(|last| last.as_os_str() == SECOND).is_some();
    let (directory, _removed_at_end) = match arguments.pop() {
        Some(directory) => (directory, None),
        None => {
            let temporary = tempfile::tempdir()?;
            (temporary.path().join("store"), Some(temporary))
        }
    };
    if is_second {
        return work_until_killed(&directory);
    }
    println!("== A day at work");
    work(&directory)?;
    println!("\n== Killed in the middle of it");
    let killed = Command::new(std::env::current_exe()?).arg(&directory).arg(SECOND).status()?;
    println!("the process ended: {killed}");
    println!("\n== Started again");
    go_on(&directory)
}

fn open(directory: &Path) -> Result<(Store, Stream, Group)> {
    let store = Store::open(directory)?;
    let orders = store.stream("orders")?;
    let processors = orders.group("order-processors");
    if !processors.exists()? {
        processors.create_with(GroupOptions::new(Position::Start).create_stream())?;
    }
    Ok((store, orders, processors))
}

/// A producer, three consumers of whom one stops acknowledging, and a reclaimer who finishes what she left.
fn work(directory: &Path) -> Result<()> {
    let (store, orders, processors) = open(directory)?;
    let before = orders.info()?.entries_added;
    std::thread::scope(|scope| -> Result<()> {
        let consumers = ["alice", "bob", "carol"].map(|name| {
            let processors = &processors;
            scope.spawn(move || consume(processors, name))
        });
        produce(&orders, before)?;
        for consumer in consumers {
            consumer.join().map_err(|_| "a consumer panicked")??;
        }
        Ok(())
    })?;
    println!("added {} orders", orders.info()?.entries_added - before);

    print_pending(&processors)?;
    std::thread::sleep(TOO_LONG);
    reclaim(&processors)?;
    print_pending(&processors)?;

    let trimmed = orders.trim(Trim::to_len(20))?;
    println!("trimmed {trimmed} old orders");
    print_info(&orders, &processors)?;
    store.close()?;
    Ok(())
}

fn produce(orders: &Stream, from: u64) -> Result<()> {
    for n in 0..ORDERS as u64 {
        let order = format!("o{}", from + n);
        orders.add([("type", "order.created"), ("order", &order), ("total", "49.99")])?;
    }
    Ok(())
}

/// Reads and processes orders until none has come for a while.
fn consume(processors: &Group, name: &str) -> Result<()> {
    let consumer = processors.consumer(name);
    let mut processed = 0;
    loop {
        let orders = consumer.read().count(3).block(Duration::from_millis(300)).new_entries()?;
        if orders.is_empty() {
            println!("{name} processed {processed} orders");
            return Ok(());
        }
        for (at, order) in orders.iter().enumerate() {
            if name == "carol" && processed == CAROLS_LAST {
                println!("{name} stops after {processed} orders, with {} more in hand", orders.len() - at);
                return Ok(());
            }
            process(order)?;
            consumer.ack([order.id()])?;
            processed += 1;
        }
    }
}

/// What the work would be.
fn process(order: &Entry) -> Result<()> {
    order.get("order").ok_or("an order without its number")?;
    std::thread::sleep(Duration::from_millis(2));
    Ok(())
}

/// Takes over what has been pending for too long, and finishes it.
fn reclaim(processors: &Group) -> Result<()> {
    let reclaimer = processors.consumer("reclaimer");
    let mut next = Some(StreamId::MIN);
    while let Some(start) = next {
        let taken = reclaimer.auto_claim(TOO_LONG).start(start).count(10).run()?;
        for order in &taken.entries {
            process(order)?;
            println!("reclaimer finished {}", text(order.get("order")));
        }
        reclaimer.ack(taken.ids)?;
        next = taken.next;
    }
    Ok(())
}

/// Adds orders and processes them; is killed when it has some in hand.
fn work_until_killed(directory: &Path) -> Result<()> {
    let (_store, orders, processors) = open(directory)?;
    let before = orders.info()?.entries_added;
    produce(&orders, before)?;
    let dave = processors.consumer("dave");
    for order in dave.read().count(10).new_entries()? {
        process(&order)?;
        dave.ack([order.id()])?;
    }
    let in_hand = dave.read().count(4).new_entries()?;
    println!("dave processed 10 orders and has {} in hand", in_hand.len());
    // No destructor is run, nothing is closed: as by a signal, or a power cut.
    std::process::abort()
}

/// After the kill: dave finishes what he had in hand, then goes on.
fn go_on(directory: &Path) -> Result<()> {
    let (store, orders, processors) = open(directory)?;
    print_info(&orders, &processors)?;
    let dave = processors.consumer("dave");
    let mut seen = BTreeSet::new();
    for unfinished in dave.read().history(StreamId::MIN)? {
        let order = unfinished.entry.ok_or("an order was deleted while it was pending")?;
        process(&order)?;
        println!("dave finished {}, which he had in hand", text(order.get("order")));
        dave.ack([order.id()])?;
        seen.insert(order.id());
    }
    loop {
        let new = dave.read().count(25).new_entries()?;
        if new.is_empty() {
            break;
        }
        for order in new {
            process(&order)?;
            dave.ack([order.id()])?;
            if !seen.insert(order.id()) {
                return Err(format!("order {} came twice", order.id()).into());
            }
        }
    }
    println!("dave processed {} orders, each of them once", seen.len());
    let info = processors.info()?;
    if (info.pending, info.lag) != (0, Some(0)) {
        return Err("something is left".into());
    }
    print_info(&orders, &processors)?;
    store.close()?;
    Ok(())
}

fn print_pending(processors: &Group) -> Result<()> {
    let summary = processors.pending()?;
    println!("\npending: {}", summary.count);
    for (consumer, count) in &summary.consumers {
        println!("  {count} with {}", text(Some(consumer)));
    }
    for entry in processors.pending_entries().count(5).run()? {
        let consumer = entry.consumer.as_deref();
        let (idle, count) = (entry.idle.as_millis(), entry.delivery_count);
        println!("  {} with {} for {idle} ms, delivered {count} time(s)", entry.id, text(consumer));
    }
    Ok(())
}

fn print_info(orders: &Stream, processors: &Group) -> Result<()> {
    let (stream, group) = (orders.info()?, processors.info()?);
    let lag = group.lag.map_or("unknown".to_owned(), |lag| lag.to_string());
    println!(
        "stream: {} orders of {} ever added, the last {}",
        stream.len, stream.entries_added, stream.last_generated_id
    );
    println!("group: {} consumers, {} pending, {lag} yet to be delivered", group.consumers, group.pending);
    Ok(())
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}
