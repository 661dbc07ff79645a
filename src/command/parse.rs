//! Reading arguments: keywords, numbers and IDs, as leniently and as strictly as Redis does.
//!
//! [`StreamId`]'s own parser is stricter; here every quirk counts that a client may have come to rely on (`ID-5`).

use super::reply::Failure;
use crate::{NewId, StreamId};

/// What Redis sees of an argument that is a keyword or an ID: it is a C string there, and ends before a zero byte.
pub(super) fn text(argument: &[u8]) -> &[u8] {
    argument.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Whether `argument` is the keyword, in any case.
pub(super) fn is(argument: &[u8], keyword: &str) -> bool {
    // Without a look at all of it: it may be a large value.
    let Some((front, rest)) = argument.split_at_checked(keyword.len()) else { return false };
    front.eq_ignore_ascii_case(keyword.as_bytes()) && rest.first().is_none_or(|byte| *byte == 0)
}

/// A signed number: decimal, without blanks, plus sign or leading zeros (ARG-2).
pub(super) fn integer(argument: &[u8]) -> Result<i64, Failure> {
    strict_integer(argument).ok_or(Failure::NotAnInteger)
}

/// [`integer`] for arguments that have an error of their own.
pub(super) fn strict_integer(argument: &[u8]) -> Option<i64> {
    let digits = argument.strip_prefix(b"-").unwrap_or(argument);
    let canonical = match digits {
        [b'0'] => argument == b"0",
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if canonical { str::from_utf8(argument).ok()?.parse().ok() } else { None }
}

/// An unsigned number the way Redis reads cursors and the parts of IDs: strictly first, else like C's `strtoull`,
/// which skips blanks, takes a sign, ignores leading zeros and wraps negative numbers around.
pub(super) fn lenient_unsigned(argument: &[u8]) -> Option<u64> {
    if let Some(number) = strict_integer(argument) {
        return u64::try_from(number).ok();
    }
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let text = argument.get(argument.iter().take_while(blank).count()..)?;
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// An ID, where `ms` alone means `ms-0` and `-` and `+` are not allowed.
pub(super) fn id(argument: &[u8]) -> Result<StreamId, Failure> {
    match parts(argument)? {
        Parts::Ms(ms) => Ok(StreamId::new(ms, 0)),
        Parts::Full(id) => Ok(id),
        Parts::Lowest | Parts::Highest | Parts::AnySequence(_) => Err(Failure::InvalidId),
    }
}

/// The ID of a new entry: `*`, `ms-*`, or an ID.
pub(super) fn new_id(argument: &[u8]) -> Result<NewId, Failure> {
    if text(argument) == b"*" {
        return Ok(NewId::Auto);
    }
    match parts(argument)? {
        Parts::AnySequence(ms) => Ok(NewId::AutoSequence(ms)),
        _ => id(argument).map(NewId::Exact),
    }
}

/// The lower bound of a range, as the lowest ID that is in it: `-`, `ms` for `ms-0`, or `(id`.
pub(super) fn range_start(argument: &[u8]) -> Result<StreamId, Failure> {
    match exclusive(argument) {
        Some(argument) => bound(argument, 0, Edges::Refused)?.next().ok_or(Failure::IntervalStart),
        None => bound(argument, 0, Edges::Allowed),
    }
}

/// The upper bound of a range, as the highest ID that is in it: `+`, `ms` for `ms-max`, or `(id`.
pub(super) fn range_end(argument: &[u8]) -> Result<StreamId, Failure> {
    match exclusive(argument) {
        Some(argument) => bound(argument, u64::MAX, Edges::Refused)?.previous().ok_or(Failure::IntervalEnd),
        None => bound(argument, u64::MAX, Edges::Allowed),
    }
}

/// What follows the `(`; a `(` alone is not one.
fn exclusive(argument: &[u8]) -> Option<&[u8]> {
    argument.strip_prefix(b"(").filter(|id| !id.is_empty())
}

/// Whether `-` and `+` stand for the lowest and the highest ID.
enum Edges {
    Allowed,
    Refused,
}

fn bound(argument: &[u8], missing_seq: u64, edges: Edges) -> Result<StreamId, Failure> {
    match (parts(argument)?, edges) {
        (Parts::Ms(ms), _) => Ok(StreamId::new(ms, missing_seq)),
        (Parts::Full(id), _) => Ok(id),
        (Parts::Lowest, Edges::Allowed) => Ok(StreamId::MIN),
        (Parts::Highest, Edges::Allowed) => Ok(StreamId::MAX),
        _ => Err(Failure::InvalidId),
    }
}

/// What an ID argument consists of, before a command says what it means.
enum Parts {
    /// `-`
    Lowest,
    /// `+`
    Highest,
    /// `ms`
    Ms(u64),
    /// `ms-*`
    AnySequence(u64),
    /// `ms-seq`
    Full(StreamId),
}

/// Longer arguments are no IDs, whatever they hold (ID-4).
const ID_LEN_MAX: usize = 127;

fn parts(argument: &[u8]) -> Result<Parts, Failure> {
    if argument.len() > ID_LEN_MAX {
        return Err(Failure::InvalidId);
    }
    let text = text(argument);
    let number = |digits| lenient_unsigned(digits).ok_or(Failure::InvalidId);
    match text {
        b"-" => return Ok(Parts::Lowest),
        b"+" => return Ok(Parts::Highest),
        _ => {}
    }
    let mut halves = text.splitn(2, |byte| *byte == b'-');
    let ms = number(halves.next().unwrap_or_default())?;
    match halves.next() {
        None => Ok(Parts::Ms(ms)),
        Some(b"*") => Ok(Parts::AnySequence(ms)),
        Some(seq) => Ok(Parts::Full(StreamId::new(ms, number(seq)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = u64::MAX;

    #[test]
    fn integers_are_strict() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-7", Some(-7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("00", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
            ("0x1", None),
            ("--1", None),
            ("abc", None),
        ] {
            assert_eq!(strict_integer(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(strict_integer(b"1\0"), None);
        assert_eq!(strict_integer(b"\xff"), None);
    }

    #[test]
    fn ids_are_lenient_as_in_redis() {
        for (text, expected) in [
            ("1-2", Some((1, 2))),
            ("1", Some((1, 0))),
            ("01-007", Some((1, 7))),
            ("0-0", Some((0, 0))),
            ("18446744073709551615-18446744073709551615", Some((MAX, MAX))),
            ("18446744073709551616-0", None),
            ("1-18446744073709551616", None),
            ("1-", None),
            ("-1", None),
            ("-1-1", None),
            ("1-1-1", None),
            ("", None),
            ("-", None),
            ("+", None),
            ("$", None),
            ("*", None),
            ("1-*", None),
            ("(1-1", None),
            ("1.5", None),
            ("1-1 ", None),
            ("abc", None),
            // ID-5
            (" 1-1", Some((1, 1))),
            ("\t1-+1", Some((1, 1))),
            ("+1-1", Some((1, 1))),
            ("1- 1", Some((1, 1))),
            ("1--1", None),
            ("1--01", Some((1, MAX))),
            ("1- -5", Some((1, MAX - 4))),
            ("1--0", Some((1, 0))),
            ("1- ", None),
            ("1-+", None),
            ("1-+-1", None),
            ("1-\0", None),
            ("1-1\0junk", Some((1, 1))),
        ] {
            assert_eq!(id(text.as_bytes()).ok(), expected.map(StreamId::from), "{text:?}");
        }
        let zeros = |len: usize| format!("{}1", "0".repeat(len - 1));
        assert_eq!(id(zeros(127).as_bytes()).ok(), Some(StreamId::new(1, 0)));
        assert!(id(zeros(128).as_bytes()).is_err());
    }

    #[test]
    fn new_ids_take_stars() {
        for (text, expected) in [
            ("*", Some(NewId::Auto)),
            ("5-*", Some(NewId::AutoSequence(5))),
            ("5-5", Some(NewId::Exact(StreamId::new(5, 5)))),
            ("5", Some(NewId::Exact(StreamId::new(5, 0)))),
            ("*-5", None),
            ("5-**", None),
            ("**", None),
            ("-", None),
        ] {
            assert_eq!(new_id(text.as_bytes()).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn bounds_are_completed_then_made_exclusive() {
        let start = |text: &str| range_start(text.as_bytes()).map(|id| (id.ms(), id.seq())).ok();
        let end = |text: &str| range_end(text.as_bytes()).map(|id| (id.ms(), id.seq())).ok();
        assert_eq!((start("-"), end("-")), (Some((0, 0)), Some((0, 0))));
        assert_eq!((start("+"), end("+")), (Some((MAX, MAX)), Some((MAX, MAX))));
        assert_eq!((start("5"), end("5")), (Some((5, 0)), Some((5, MAX))));
        assert_eq!((start("(5"), end("(5")), (Some((5, 1)), Some((5, MAX - 1))));
        assert_eq!((start("(5-7"), end("(5-0")), (Some((5, 8)), Some((4, MAX))));
        for text in ["(-", "(+", "(", "((1", "5-*", "(5-*", "$", ""] {
            assert!(matches!(range_start(text.as_bytes()), Err(Failure::InvalidId)), "{text:?}");
            assert!(matches!(range_end(text.as_bytes()), Err(Failure::InvalidId)), "{text:?}");
        }
        let max = format!("({MAX}-{MAX}");
        assert!(matches!(range_start(max.as_bytes()), Err(Failure::IntervalStart)));
        assert!(matches!(range_end(b"(0-0"), Err(Failure::IntervalEnd)));
    }

    #[test]
    fn keywords_ignore_case() {
        assert!(is(b"MaxLen", "MAXLEN") && !is(b"MAXLE", "MAXLEN") && !is(b"", "MAXLEN"));
        assert!(is(b"MAXLEN\0", "MAXLEN") && is(b"MAXLEN\0IMUM", "MAXLEN") && !is(b"\0MAXLEN", "MAXLEN"));
    }
}
