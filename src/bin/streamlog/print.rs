//! Replies as text, the way redis-cli prints them.

use std::borrow::Cow;
use std::io::Write;

use streamlog::command::{Protocol, Reply};

/// How replies are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: types named, strings quoted, elements of lists numbered and indented.
    Numbered,
    /// For programs: strings as they are, elements one per line.
    Raw,
}

impl Format {
    /// `reply` as text that ends with a line feed. The protocol decides whether a map is one or a flat list.
    pub fn print(self, reply: &Reply, protocol: Protocol) -> Vec<u8> {
        let reply = match protocol {
            Protocol::Resp2 => Cow::Owned(without_maps(reply)),
            _ => Cow::Borrowed(reply),
        };
        let mut text = Vec::new();
        match self {
            Self::Numbered => numbered(&reply, "", &mut text),
            Self::Raw => {
                raw(&reply, &mut text);
                text.push(b'\n');
            }
        }
        text
    }
}

/// What a client that speaks RESP2 sees: lists instead of maps.
fn without_maps(reply: &Reply) -> Reply {
    match reply {
        Reply::Array(items) => Reply::Array(items.iter().map(without_maps).collect()),
        Reply::Map(entries) => {
            Reply::Array(entries.iter().flat_map(|(key, value)| [without_maps(key), without_maps(value)]).collect())
        }
        Reply::Pairs(entries) => {
            let pair = |(key, value): &(Reply, Reply)| Reply::Array(vec![without_maps(key), without_maps(value)]);
            Reply::Array(entries.iter().map(pair).collect())
        }
        scalar => scalar.clone(),
    }
}

/// Appends `reply` and a line feed. `indent` goes before every line but the first, which continues what is there.
fn numbered(reply: &Reply, indent: &str, out: &mut Vec<u8>) {
    match reply {
        Reply::Simple(text) => line(out, &[text.as_bytes()]),
        Reply::Error(text) => line(out, &[b"(error) ", text]),
        Reply::Integer(number) => line(out, &[b"(integer) ", number.to_string().as_bytes()]),
        Reply::Bulk(bytes) => line(out, &[&quoted(bytes)]),
        Reply::Nil | Reply::NilArray => line(out, &[b"(nil)"]),
        Reply::Array(items) if items.is_empty() => line(out, &[b"(empty array)"]),
        Reply::Array(items) => {
            let numbers = Numbers { width: decimal_digits(items.len()), separator: ')', indent };
            for (position, item) in items.iter().enumerate() {
                numbers.write(position, out);
                numbered(item, &numbers.inner_indent(), out);
            }
        }
        Reply::Map(entries) | Reply::Pairs(entries) if entries.is_empty() => line(out, &[b"(empty hash)"]),
        Reply::Map(entries) | Reply::Pairs(entries) => {
            let numbers = Numbers { width: decimal_digits(entries.len()), separator: '#', indent };
            for (position, (key, value)) in entries.iter().enumerate() {
                numbers.write(position, out);
                numbered(key, &numbers.inner_indent(), out);
                out.pop();
                out.extend_from_slice(b" => ");
                numbered(value, &numbers.inner_indent(), out);
            }
        }
        other => line(out, &[format!("{other:?}").as_bytes()]),
    }
}

/// The numbers in front of the elements of one list.
struct Numbers<'a> {
    width: usize,
    separator: char,
    indent: &'a str,
}

impl Numbers<'_> {
    fn write(&self, position: usize, out: &mut Vec<u8>) {
        let Self { width, separator, indent } = self;
        let indent = if position == 0 { "" } else { indent };
        write!(out, "{indent}{:>width$}{separator} ", position + 1).expect("a Vec takes everything");
    }

    fn inner_indent(&self) -> String {
        // As wide as a number with its separator and blank.
        format!("{}{:2$}", self.indent, "", self.width + 2)
    }
}

fn decimal_digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.push(b'\n');
}

/// `bytes` in double quotes, everything but printable ASCII escaped.
pub fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => text.extend([b'\\', byte]),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            b'\t' => text.extend(b"\\t"),
            0x07 => text.extend(b"\\a"),
            0x08 => text.extend(b"\\b"),
            b' '..=b'~' => text.push(byte),
            _ => text.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    text.push(b'"');
    text
}

/// Appends `reply` without a line feed at its end.
fn raw(reply: &Reply, out: &mut Vec<u8>) {
    match reply {
        Reply::Simple(text) => out.extend_from_slice(text.as_bytes()),
        Reply::Error(text) | Reply::Bulk(text) => out.extend_from_slice(text),
        Reply::Integer(number) => out.extend(number.to_string().bytes()),
        Reply::Nil | Reply::NilArray => {}
        Reply::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b'\n');
                }
                raw(item, out);
            }
        }
        Reply::Map(entries) | Reply::Pairs(entries) => {
            for (position, (key, value)) in entries.iter().enumerate() {
                if position > 0 {
                    out.push(b'\n');
                }
                raw(key, out);
                out.push(b' ');
                raw(value, out);
            }
        }
        other => out.extend(format!("{other:?}").bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.into())
    }

    fn numbered(reply: &Reply, protocol: Protocol) -> String {
        String::from_utf8(Format::Numbered.print(reply, protocol)).unwrap()
    }

    fn raw(reply: &Reply, protocol: Protocol) -> String {
        String::from_utf8(Format::Raw.print(reply, protocol)).unwrap()
    }

    fn entry(id: &str) -> Reply {
        Reply::Array(vec![bulk(id), Reply::Array(vec![bulk("name"), bulk("value")])])
    }

    #[test]
    fn scalars() {
        for (reply, for_people, for_programs) in [
            (Reply::Simple("OK".into()), "OK\n", "OK\n"),
            (Reply::Error(b"ERR no".to_vec()), "(error) ERR no\n", "ERR no\n"),
            (Reply::Integer(-3), "(integer) -3\n", "-3\n"),
            (Reply::Nil, "(nil)\n", "\n"),
            (Reply::NilArray, "(nil)\n", "\n"),
            (Reply::Array(Vec::new()), "(empty array)\n", "\n"),
            (bulk("a \"b\"\\\n\t\u{1}é"), "\"a \\\"b\\\"\\\\\\n\\t\\x01\\xc3\\xa9\"\n", "a \"b\"\\\n\t\u{1}é\n"),
        ] {
            assert_eq!(numbered(&reply, Protocol::Resp2), for_people);
            assert_eq!(raw(&reply, Protocol::Resp2), for_programs);
        }
    }

    #[test]
    fn nested_lists_line_up_under_their_numbers() {
        let reply = Reply::Array((1..=10).map(|n| entry(&format!("{n}-0"))).collect());
        let text = numbered(&reply, Protocol::Resp2);
        assert!(text.starts_with(
            " 1) 1) \"1-0\"\n    2) 1) \"name\"\n       2) \"value\"\n 2) 1) \"2-0\"\n    2) 1) \"name\"\n"
        ));
        assert!(text.ends_with("\n10) 1) \"10-0\"\n    2) 1) \"name\"\n       2) \"value\"\n"));
    }

    #[test]
    fn raw_lists_are_one_line_per_string() {
        let reply = Reply::Array(vec![entry("1-0"), entry("2-0")]);
        assert_eq!(raw(&reply, Protocol::Resp2), "1-0\nname\nvalue\n2-0\nname\nvalue\n");
    }

    #[test]
    fn maps_are_flat_lists_until_the_protocol_knows_them() {
        let reply = Reply::Map(vec![(bulk("length"), Reply::Integer(1)), (bulk("first"), entry("1-0"))]);
        assert_eq!(
            numbered(&reply, Protocol::Resp2),
            "1) \"length\"\n2) (integer) 1\n3) \"first\"\n4) 1) \"1-0\"\n   2) 1) \"name\"\n      2) \"value\"\n"
        );
        assert_eq!(
            numbered(&reply, Protocol::Resp3),
            "1# \"length\" => (integer) 1\n2# \"first\" => 1) \"1-0\"\n   2) 1) \"name\"\n      2) \"value\"\n"
        );
        assert_eq!(raw(&reply, Protocol::Resp3), "length 1\nfirst 1-0\nname\nvalue\n");
    }

    #[test]
    fn pairs_are_lists_of_two_until_the_protocol_knows_maps() {
        let reply = Reply::Pairs(vec![(bulk("orders"), Reply::Array(vec![entry("1-0")]))]);
        assert_eq!(
            numbered(&reply, Protocol::Resp2),
            "1) 1) \"orders\"\n   2) 1) 1) \"1-0\"\n         2) 1) \"name\"\n            2) \"value\"\n"
        );
        assert!(numbered(&reply, Protocol::Resp3).starts_with("1# \"orders\" => 1) 1) \"1-0\"\n"));
    }
}
