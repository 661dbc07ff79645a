//! Objects of JSON, one on each line.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::batch::Batch;
use super::lines::Numbered;
use super::source::Source;
use super::{Records, Wrong};

/// Blank lines are passed over.
pub struct Objects {
    lines: Numbered,
}

impl Objects {
    pub fn new(source: Source) -> Self {
        Self { lines: Numbered::new(source) }
    }
}

impl Records for Objects {
    fn next(&mut self, batch: &RefCell<Batch>) -> Result<ControlFlow<()>, Wrong> {
        let Some((number, line)) = self.lines.next()? else { return Ok(ControlFlow::Break(())) };
        // A mark at the beginning of a file that says it is UTF-8, which it is anyway.
        let line = line.strip_prefix("\u{feff}".as_bytes()).filter(|_| number == 1).unwrap_or(line);
        if line.trim_ascii().is_empty() || !batch.borrow_mut().wants(number) {
            return Ok(ControlFlow::Continue(()));
        }
        let taken = fields(line).and_then(|fields| {
            let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            batch.borrow_mut().take(fields)
        });
        taken.map(ControlFlow::Continue).map_err(|what| Wrong { line: number, what })
    }
}

type Field<'a> = (String, Cow<'a, str>);

/// The fields of an object: strings as they are, everything else as it is written.
fn fields<'a>(line: &'a [u8]) -> Result<Vec<Field<'a>>, String> {
    let Members(members) = serde_json::from_slice(line).map_err(explain)?;
    let field = |(name, value): (String, &'a RawValue)| match value.get() {
        text if text.starts_with('"') => Ok((name, Cow::Owned(serde_json::from_str(text).map_err(explain)?))),
        other => Ok((name, Cow::Borrowed(other))),
    };
    members.into_iter().map(field).collect()
}

/// The parser sees one line at a time, and calls each of them the first.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn explain(error: serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column 0", "").replace(" at line 1 column ", " at column ")
}

/// The members of an object in the order they are in, with those that are there twice, and numbers as they are written: all of
/// which a map of values would not keep.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collect)
    }
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_kept_as_they_are_written() {
        let read = fields(br#"{"b": "x\ny", "a": 1.50, "n": {"k" : [1, null]}, "a": 18446744073709551616, "t": true}"#)
            .unwrap();
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
        assert_eq!(
            read,
            [("b", "x\ny"), ("a", "1.50"), ("n", r#"{"k" : [1, null]}"#), ("a", "18446744073709551616"), ("t", "true")]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_column() {
        assert_eq!(fields(b"[1]").unwrap_err(), "invalid type: sequence, expected an object");
        assert_eq!(fields(b"{\"a\":}").unwrap_err(), "expected value at column 6");
        assert!(fields(b"{\"a\":1} x").unwrap_err().starts_with("trailing characters"));
        assert!(fields(b"\xff").is_err());
    }
}
