//! One function, written for redis-rs, on an embedded store and on a Redis server.
//!
//! `cargo run --example redis_compat --features redis` runs it on an embedded store;
//! with `REDIS_URL=redis://127.0.0.1/` before it, on that server as well, where it uses and deletes the key
//! `streamlog:example`.

use redis::streams::{
    StreamAutoClaimOptions, StreamAutoClaimReply, StreamId, StreamInfoStreamReply, StreamMaxlen, StreamRangeReply,
    StreamReadOptions, StreamReadReply,
};
use redis::{Commands, ConnectionLike, RedisResult};
use streamlog::Store;
use streamlog::redis::Connection;

const KEY: &str = "streamlog:example";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("On an embedded store:");
    let store = Store::in_memory();
    tell_orders(&mut Connection::new(&store))?;

    match std::env::var("REDIS_URL") {
        Ok(url) => {
            println!("\nOn the server at {url}:");
            tell_orders(&mut redis::Client::open(url)?.get_connection()?)?;
        }
        Err(_) => println!("\nWith REDIS_URL set, the same would run on a Redis server."),
    }
    Ok(())
}

/// Knows nothing of where its stream is.
fn tell_orders<C: ConnectionLike>(connection: &mut C) -> RedisResult<()> {
    let _: u64 = connection.del(KEY)?;
    add(connection)?;
    read(connection)?;
    share(connection)?;
    trim(connection)?;
    let _: u64 = connection.del(KEY)?;
    Ok(())
}

fn add<C: ConnectionLike>(connection: &mut C) -> RedisResult<()> {
    let first: String = connection.xadd(KEY, "1-1", &[("type", "created"), ("total", "49.99")])?;
    // Two at once, and how many there are then.
    let (second, third, length): (String, String, u64) = redis::pipe()
        .atomic()
        .xadd(KEY, "1-2", &[("type", "paid"), ("order", &first)])
        .xadd(KEY, "1-3", &[("type", "sent"), ("order", &first)])
        .xlen(KEY)
        .query(connection)?;
    println!("  added {first}, {second} and {third}: {length} entries");
    let refused = connection.xadd::<_, _, _, _, String>(KEY, "1-1", &[("type", "created")]);
    println!("  adding {first} again: {}", refused.map_or_else(|error| error.to_string(), |_| "worked".to_owned()));
    Ok(())
}

fn read<C: ConnectionLike>(connection: &mut C) -> RedisResult<()> {
    let newest: StreamRangeReply = connection.xrevrange_count(KEY, "+", "-", 2)?;
    print("newest first", &newest.ids);
    let options = StreamReadOptions::default().count(10).block(100);
    let reply: StreamReadReply = connection.xread_options(&[KEY], &["1-1"], &options)?;
    for stream in &reply.keys {
        print("after 1-1", &stream.ids);
    }
    Ok(())
}

/// Two workers share the entries; one of them forgets to acknowledge.
fn share<C: ConnectionLike>(connection: &mut C) -> RedisResult<()> {
    let _: String = connection.xgroup_create(KEY, "workers", "0")?;
    for worker in ["alice", "bob"] {
        let options = StreamReadOptions::default().group("workers", worker).count(1);
        let reply: StreamReadReply = connection.xread_options(&[KEY], &[">"], &options)?;
        for stream in &reply.keys {
            print(&format!("handed to {worker}"), &stream.ids);
        }
    }
    let acknowledged: u64 = connection.xack(KEY, "workers", &["1-1"])?;
    println!("  acknowledged by alice: {acknowledged}");
    // A real worker would claim what has been pending for a minute, say.
    let options = StreamAutoClaimOptions::default().count(10);
    let reply: StreamAutoClaimReply = connection.xautoclaim_options(KEY, "workers", "alice", 0, "0-0", options)?;
    print("claimed by alice", &reply.claimed);
    Ok(())
}

fn trim<C: ConnectionLike>(connection: &mut C) -> RedisResult<()> {
    let trimmed: u64 = connection.xtrim(KEY, StreamMaxlen::Equals(2))?;
    let deleted: u64 = connection.xdel(KEY, &["1-3"])?;
    let info: StreamInfoStreamReply = connection.xinfo_stream(KEY)?;
    println!(
        "  trimmed {trimmed}, deleted {deleted}, left {}; the last ID stays {}",
        info.length, info.last_generated_id
    );
    Ok(())
}

fn print(title: &str, entries: &[StreamId]) {
    println!("  {title}:");
    for entry in entries {
        println!("    {} {}", entry.id, entry.get::<String>("type").unwrap_or_default());
    }
}
