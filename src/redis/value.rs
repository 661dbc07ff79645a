//! Replies as the values of redis-rs: what its parser makes of the bytes a server sends.

use ::redis::{RedisError, RedisResult, ServerError, Value, parse_redis_value};

use crate::command::{Protocol, Reply};

pub(super) fn from_reply(reply: Reply, protocol: Protocol) -> RedisResult<Value> {
    let value = |reply| from_reply(reply, protocol);
    Ok(match (reply, protocol) {
        (Reply::Simple(text), _) if text == "OK" => Value::Okay,
        (Reply::Simple(text), _) => Value::SimpleString(text.into_owned()),
        (Reply::Error(text), _) => error(&String::from_utf8_lossy(&text))?,
        (Reply::Integer(number), _) => Value::Int(number),
        (Reply::Bulk(bytes), _) => Value::BulkString(bytes),
        (Reply::Nil | Reply::NilArray, _) => Value::Nil,
        (Reply::Array(items), _) => Value::Array(items.into_iter().map(value).collect::<RedisResult<_>>()?),
        (Reply::Map(pairs), Protocol::Resp2) => {
            let items = pairs.into_iter().flat_map(|(name, item)| [name, item]);
            Value::Array(items.map(value).collect::<RedisResult<_>>()?)
        }
        (Reply::Pairs(pairs), Protocol::Resp2) => {
            let items = pairs.into_iter().map(|(name, item)| Ok(Value::Array(vec![value(name)?, value(item)?])));
            Value::Array(items.collect::<RedisResult<_>>()?)
        }
        (Reply::Map(pairs) | Reply::Pairs(pairs), Protocol::Resp3) => {
            let pairs = pairs.into_iter().map(|(name, item)| Ok((value(name)?, value(item)?)));
            Value::Map(pairs.collect::<RedisResult<_>>()?)
        }
    })
}

/// Errors of servers can be made by the parser only, which fails on what is no UTF-8.
fn error(text: &str) -> RedisResult<Value> {
    parse_redis_value(format!("-{text}\r\n").as_bytes())
}

/// The error for a transaction of which these commands were refused, by position.
pub(super) fn aborted(refused: &[(usize, ServerError)]) -> RedisError {
    let refused = refused.iter().map(|(position, error)| {
        let detail = error.details().unwrap_or_default();
        format!(" Command {position}: {} {detail}.", error.code())
    });
    let text = format!("EXECABORT Transaction discarded because of previous errors.{}", refused.collect::<String>());
    match error(&text).map(Value::extract_error) {
        Ok(Err(error)) | Err(error) => error,
        Ok(Ok(_)) => (::redis::ErrorKind::Client, "transaction discarded").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(reply: &Reply, protocol: Protocol) -> Value {
        let mut bytes = Vec::new();
        reply.encode(protocol, &mut bytes);
        parse_redis_value(&bytes).expect("redis-rs understands a reply")
    }

    #[test]
    fn values_are_those_of_the_parser() {
        let bulk = |text: &str| Reply::Bulk(text.into());
        let pairs = || vec![(bulk("k"), Reply::Array(vec![Reply::Integer(-1), Reply::Nil]))];
        for reply in [
            Reply::Simple("OK".into()),
            Reply::Simple("QUEUED".into()),
            Reply::Error(b"ERR no such key".to_vec()),
            Reply::Error(b"BUSYGROUP Consumer Group name already exists".to_vec()),
            Reply::Error(b"NOGROUP".to_vec()),
            Reply::Integer(i64::MIN),
            bulk(""),
            Reply::Bulk(vec![0, 0xff, b'\r', b'\n']),
            Reply::Nil,
            Reply::NilArray,
            Reply::Array(vec![]),
            Reply::Array(vec![Reply::NilArray, Reply::Error(b"ERR in EXEC".to_vec()), bulk("x")]),
            Reply::Map(pairs()),
            Reply::Pairs(pairs()),
            Reply::Pairs(vec![(bulk("outer"), Reply::Map(pairs()))]),
        ] {
            for protocol in [Protocol::Resp2, Protocol::Resp3] {
                assert_eq!(from_reply(reply.clone(), protocol), Ok(parsed(&reply, protocol)), "{reply:?}");
            }
        }
    }

    #[test]
    fn errors_that_are_no_text_are_readable() {
        let reply = Reply::Error(b"ERR unknown command '\xff', with args beginning with: ".to_vec());
        let value = from_reply(reply, Protocol::Resp2).expect("an error is a value");
        assert!(
            matches!(value, Value::ServerError(error) if error.details().is_some_and(|text| text.contains('\u{fffd}')))
        );
    }
}
