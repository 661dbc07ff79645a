//! A reply as a client sees it: decoded from the RESP2 bytes that were sent.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    Nil,
    NilArray,
    Array(Vec<Value>),
}

impl Value {
    /// Decodes one reply; panics unless it is whole and nothing follows it.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let value = decode(&mut rest);
        assert!(rest.is_empty(), "{} bytes follow the reply {value}", rest.len());
        value
    }

    pub fn bulk(text: &str) -> Self {
        Self::Bulk(text.as_bytes().to_vec())
    }
}

fn decode(rest: &mut &[u8]) -> Value {
    let line = take_line(rest);
    let (kind, line) = line.split_first().expect("a reply starts with its kind");
    let number = || str::from_utf8(line).expect("a number is UTF-8").parse::<i64>().expect("a number is decimal");
    match (kind, line) {
        (b'+', _) => Value::Simple(line.to_vec()),
        (b'-', _) => Value::Error(line.to_vec()),
        (b':', _) => Value::Integer(number()),
        (b'$', b"-1") => Value::Nil,
        (b'*', b"-1") => Value::NilArray,
        (b'$', _) => {
            let (bytes, after) = rest.split_at(usize::try_from(number()).expect("a length is not negative"));
            *rest = after.strip_prefix(b"\r\n").expect("a bulk string ends with a line break");
            Value::Bulk(bytes.to_vec())
        }
        (b'*', _) => Value::Array((0..number()).map(|_| decode(rest)).collect()),
        (kind, _) => panic!("no reply of RESP2 starts with {:?}", char::from(*kind)),
    }
}

fn take_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let len = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line ends");
    let line = &rest[..len];
    *rest = &rest[len + 2..];
    line
}

/// The notation of the behavioural reference: `"bulk"`, `simple`, `nil`, `*nil`, `[a, b]`; errors after a `!`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(f, "{}", text.escape_ascii()),
            Self::Error(text) => write!(f, "!{}", text.escape_ascii()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::Nil => f.write_str("nil"),
            Self::NilArray => f.write_str("*nil"),
            Self::Array(items) => {
                f.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{item}")?;
                }
                f.write_str("]")
            }
        }
    }
}
