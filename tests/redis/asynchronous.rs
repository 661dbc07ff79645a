//! Promise: `redis::AsyncCommands` work on any executor, and a read that waits keeps nobody else from running.

use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use pollster::block_on;
use redis::AsyncCommands;
use redis::streams::{StreamRangeReply, StreamReadOptions, StreamReadReply};
use streamlog::Store;
use streamlog::redis::Connection;

use crate::connections;

fn waiting_for(ms: usize) -> StreamReadOptions {
    StreamReadOptions::default().block(ms)
}

#[test]
fn futures_answer_as_calls_do() {
    for mut connection in connections() {
        block_on(async {
            let _: String = connection.xadd("s", "1-1", &[("f", "v")]).await.unwrap();
            let range: StreamRangeReply = connection.xrange_all("s").await.unwrap();
            assert_eq!(range.ids.len(), 1);
            let mut pipeline = redis::pipe();
            pipeline.atomic().xadd("s", "1-2", &[("f", "v")]).ignore().xlen("s");
            assert_eq!(pipeline.query_async(&mut connection).await, Ok((2,)));
            assert!(connection.xadd::<_, _, _, _, String>("s", "1-2", &[("f", "v")]).await.is_err());
        });
    }
}

#[test]
fn futures_can_be_sent_to_other_threads() {
    let [mut connection, _] = connections();
    let length = connection.xlen::<_, u64>("s");
    assert_eq!(thread::scope(|scope| scope.spawn(|| block_on(length)).join().unwrap()), Ok(0));
}

#[test]
fn a_waiting_read_is_woken_by_an_entry() {
    for mut connection in connections() {
        let mut writer = connection.clone();
        let (send, answers) = mpsc::channel();
        let reader = thread::spawn(move || {
            let options = waiting_for(0);
            // From the beginning: `$` would depend on who comes first.
            let read = connection.xread_options(&["s"], &["0"], &options);
            let reply: StreamReadReply = block_on(read).unwrap();
            send.send(reply).unwrap();
        });
        assert!(answers.recv_timeout(Duration::from_millis(30)).is_err(), "there is nothing to read yet");
        let _: String = block_on(writer.xadd("s", "1-1", &[("f", "v")])).unwrap();
        let reply = answers.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(reply.keys[0].ids[0].id, "1-1");
        reader.join().unwrap();
    }
}

#[test]
fn waiting_keeps_its_thread_free_and_ends_in_time() {
    let [mut connection, _] = connections();
    let options = waiting_for(300);
    let mut read = pin!(connection.xread_options::<_, _, Option<StreamReadReply>>(&["s"], &["$"], &options));
    let started = Instant::now();
    assert!(matches!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    assert!(started.elapsed() < Duration::from_millis(300));
    let reply = block_on(read).unwrap();
    assert!(reply.is_none_or(|reply| reply.keys.is_empty()));
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn nothing_waits_in_a_transaction() {
    let [mut connection, _] = connections();
    let mut pipeline = redis::pipe();
    pipeline.atomic().cmd("XREAD").arg("BLOCK").arg(0).arg("STREAMS").arg("s").arg("$");
    let mut query = pin!(pipeline.query_async::<(Option<StreamReadReply>,)>(&mut connection));
    assert!(matches!(query.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok((None,)))));
}

#[test]
fn a_future_that_was_never_polled_does_nothing() {
    let [mut connection, _] = connections();
    drop(connection.xadd::<_, _, _, _, String>("s", "1-1", &[("f", "v")]));
    assert_eq!(block_on(connection.exists("s")), Ok(false));
}

#[test]
fn a_dropped_read_loses_no_entry() {
    let [mut connection, _] = connections();
    let options = waiting_for(0);
    {
        let mut read = pin!(connection.xread_options::<_, _, StreamReadReply>(&["s"], &["0"], &options));
        assert!(matches!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    }
    let _: String = block_on(connection.xadd("s", "1-1", &[("f", "v")])).unwrap();
    let reply: StreamReadReply = block_on(connection.xread(&["s"], &["0"])).unwrap();
    assert_eq!(reply.keys[0].ids.len(), 1);
}

#[test]
fn closing_the_store_ends_the_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut connection = Connection::new(&store);
    let reader = thread::spawn(move || {
        let options = waiting_for(0);
        block_on(connection.xread_options::<_, _, StreamReadReply>(&["s"], &["0"], &options)).is_err()
    });
    thread::sleep(Duration::from_millis(20));
    store.close().unwrap();
    assert!(reader.join().unwrap());
}
