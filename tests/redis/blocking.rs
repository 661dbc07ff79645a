//! Promise: `redis::Commands` and pipelines work as on a connection to a server.

use std::collections::BTreeMap;

use redis::streams::{
    StreamId, StreamInfoStreamReply, StreamMaxlen, StreamRangeReply, StreamReadOptions, StreamReadReply,
};
use redis::{Commands, ConnectionLike, ErrorKind, RedisResult, ServerErrorKind, Value};
use streamlog::Store;
use streamlog::command::Protocol;
use streamlog::redis::Connection;

use crate::connections;

fn ids(entries: &[StreamId]) -> Vec<&str> {
    entries.iter().map(|entry| entry.id.as_str()).collect()
}

#[test]
fn entries_come_back_with_their_types() {
    for mut connection in connections() {
        let id: String = connection.xadd("s", "1-1", &[("name", "a"), ("number", "7")]).unwrap();
        assert_eq!(id, "1-1");
        let _: String = connection.xadd_map("s", "1-2", BTreeMap::from([("name", "b")])).unwrap();
        let _: String = connection.xadd_maxlen("s", StreamMaxlen::Equals(2), "1-3", &[("name", b"\x00\xff")]).unwrap();
        assert_eq!(connection.xlen("s"), Ok(2));

        let range: StreamRangeReply = connection.xrange("s", "-", "+").unwrap();
        assert_eq!(ids(&range.ids), ["1-2", "1-3"]);
        assert_eq!(range.ids[0].get::<String>("name").as_deref(), Some("b"));
        assert_eq!(range.ids[1].get::<Vec<u8>>("name").as_deref(), Some(&b"\x00\xff"[..]));
        let range: StreamRangeReply = connection.xrevrange_count("s", "+", "-", 1).unwrap();
        assert_eq!(ids(&range.ids), ["1-3"]);

        assert_eq!(connection.xdel("s", &["1-2", "9-9"]), Ok(1));
        assert_eq!(connection.xtrim("s", StreamMaxlen::Equals(0)), Ok(1));
        let info: StreamInfoStreamReply = connection.xinfo_stream("s").unwrap();
        assert_eq!((info.length, info.last_generated_id.as_str(), info.groups), (0, "1-3", 0));
    }
}

#[test]
fn reads_find_several_streams_or_nothing() {
    for mut connection in connections() {
        let _: String = connection.xadd("s", "1-1", &[("f", "v")]).unwrap();
        let _: String = connection.xadd("t", "2-1", &[("f", "v")]).unwrap();
        let reply: StreamReadReply = connection.xread(&["t", "s", "u"], &["0", "0", "0"]).unwrap();
        let found: Vec<_> = reply.keys.iter().map(|stream| (stream.key.as_str(), ids(&stream.ids))).collect();
        assert_eq!(found, [("t", vec!["2-1"]), ("s", vec!["1-1"])]);

        let options = StreamReadOptions::default().block(1).count(1);
        let reply: Option<StreamReadReply> = connection.xread_options(&["s"], &["$"], &options).unwrap();
        assert!(reply.is_none_or(|reply| reply.keys.is_empty()));
    }
}

#[test]
fn a_pipeline_is_answered_command_by_command() {
    for mut connection in connections() {
        let mut pipeline = redis::pipe();
        pipeline.cmd("XADD").arg("s").arg("1-1").arg("f").arg("v").ignore();
        pipeline.xlen("s").xadd("s", "1-2", &[("f", "v")]).xlen("s");
        let answers: (u64, String, u64) = pipeline.query(&mut connection).unwrap();
        assert_eq!(answers, (1, "1-2".to_owned(), 2));
        assert_eq!(redis::pipe().query::<Vec<Value>>(&mut connection), Ok(vec![]));
    }
}

#[test]
fn errors_in_a_pipeline_name_their_commands() {
    for mut connection in connections() {
        let mut pipeline = redis::pipe();
        pipeline.xlen("s").cmd("NOSUCH").xadd("s", "1-1", &[("f", "v")]);
        let error = pipeline.exec(&mut connection).unwrap_err();
        let errors = error.into_server_errors().unwrap();
        assert_eq!((errors.len(), errors[0].0), (1, 1));
        assert_eq!(connection.xlen("s"), Ok(1), "the others were run");

        let results: Vec<RedisResult<u64>> = pipeline.ignore_errors().query(&mut connection).unwrap();
        assert_eq!(results[0], Ok(1));
        let refused = |result: &RedisResult<u64>| {
            let error = result.as_ref().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError), "{error}");
            error.detail().unwrap_or_default().to_owned()
        };
        assert!(refused(&results[1]).starts_with("unknown command 'NOSUCH'"), "{results:?}");
        assert!(refused(&results[2]).starts_with("The ID specified in XADD is equal or smaller"), "{results:?}");
    }
}

#[test]
fn an_atomic_pipeline_is_one_transaction() {
    for mut connection in connections() {
        let mut pipeline = redis::pipe();
        pipeline.atomic().xadd("s", "1-1", &[("f", "v")]).ignore().xlen("s");
        assert_eq!(pipeline.query(&mut connection), Ok((1,)));
        let again = pipeline.query::<Value>(&mut connection).unwrap_err();
        assert_eq!(again.into_server_errors().map(|errors| errors[0].0), Some(0), "1-1 exists");
    }
}

#[test]
fn a_refused_command_aborts_an_atomic_pipeline() {
    for mut connection in connections() {
        let mut pipeline = redis::pipe();
        pipeline.atomic().xadd("s", "1-1", &[("f", "v")]).cmd("NOSUCH");
        let error = pipeline.exec(&mut connection).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ExecAbort));
        assert!(error.to_string().contains("Command 1: ERR unknown command 'NOSUCH'"), "{error}");
        assert_eq!(connection.exists("s"), Ok(false));
    }
}

#[test]
fn errors_are_those_of_a_server() {
    for mut connection in connections() {
        let error = connection.xadd::<_, _, _, _, String>("s", "0-0", &[("f", "v")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError));
        assert_eq!(error.detail(), Some("The ID specified in XADD must be greater than 0-0"));
        let error = redis::cmd("HELLO").arg(9).exec(&mut connection).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Extension, Some("NOPROTO")));
        let watching = redis::transaction(&mut connection, &["s"], |connection, pipeline| {
            pipeline.xlen("s").query::<Option<(u64,)>>(connection)
        });
        assert!(watching.unwrap_err().to_string().contains("not isolated"));
    }
}

#[test]
fn bytes_that_are_no_command_are_refused() {
    let [mut connection, _] = connections();
    for bytes in [&b""[..], b"*1\r\n", b"*1\r\n:1\r\n"] {
        let error = connection.req_packed_command(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Client, "{error}");
    }
}

#[test]
fn maps_depend_on_the_protocol() {
    let kinds = connections().map(|mut connection| {
        let hello: Value = redis::cmd("HELLO").query(&mut connection).unwrap();
        matches!(hello, Value::Map(_))
    });
    assert_eq!(kinds, [false, true]);
    let mut connection = Connection::new(&Store::in_memory());
    let hello: Value = redis::cmd("HELLO").arg(3).query(&mut connection).unwrap();
    assert!(matches!(hello, Value::Map(_)), "a new protocol counts at once");
}

#[test]
fn a_connection_is_open_as_long_as_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut connection = Connection::with_protocol(&store, Protocol::Resp3);
    assert!(connection.is_open() && connection.check_connection());
    let _: () = redis::cmd("MULTI").query(&mut connection).unwrap();
    assert!(connection.check_connection());
    assert_eq!(redis::cmd("EXEC").query(&mut connection), Ok(Value::Array(vec![])), "the check is not a part of it");
    store.close().unwrap();
    assert!(!connection.is_open() && !connection.check_connection());
    let error = connection.xlen::<_, u64>("s").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError), "{error}");
    assert_eq!(error.detail(), Some("the store is closed"));
}
