//! What `verify`, `repair`, `dump`, `stat`, `retention` and `export` have in common: they look at a store without opening it.

use std::io::{self, Write};
use std::path::Path;

use streamlog::inspect::Inspection;
use streamlog::{Error, Finding, IdRange, StreamId};

use crate::args::{self, Bytes};
use crate::json::{Json, or_null, text};
use crate::style::{BAD, GOOD, NOTABLE, paint};
use crate::{Failure, Outcome};

/// What to look at, and how to tell it.
#[derive(Debug, clap::Args)]
pub struct Wanted {
    /// Write JSON, for programs; bytes that are not UTF-8 as {"hex":"ff00"}
    #[arg(long)]
    pub json: bool,

    /// The names of streams; all if there is none
    #[arg(value_name = "STREAM", value_parser = args::bytes())]
    pub streams: Vec<Bytes>,
}

/// A look at a store, written to standard output.
pub struct Look<'a> {
    pub inspection: Inspection,
    pub wanted: &'a Wanted,
    pub out: io::BufWriter<anstream::AutoStream<io::StdoutLock<'static>>>,
    pub outcome: Outcome,
}

impl<'a> Look<'a> {
    pub fn at(path: &Path, wanted: &'a Wanted) -> Result<Self, Failure> {
        let inspection = Inspection::open(path)?;
        let out = io::BufWriter::new(anstream::stdout().lock());
        Ok(Self { inspection, wanted, out, outcome: Outcome::Done })
    }

    /// The streams to look at.
    pub fn names(&self) -> Result<Vec<Vec<u8>>, Failure> {
        match &*self.wanted.streams {
            [] => Ok(self.inspection.names()?),
            names => Ok(names.to_vec()),
        }
    }

    /// Whether a stream went since its name was listed, which is nothing to tell of.
    pub fn is_gone(&self, error: &Error) -> bool {
        self.wanted.streams.is_empty() && matches!(error, Error::StreamNotFound { .. })
    }

    /// Takes in what came of one stream. Damage outweighs that something could not be told.
    pub fn came_to(&mut self, outcome: Outcome) {
        self.outcome = self.outcome.max(outcome);
    }

    /// Ends the output; what it all came to.
    pub fn end(mut self) -> Result<Outcome, Failure> {
        self.out.flush()?;
        Ok(self.outcome)
    }
}

/// What a stream or a store is that this came of.
pub fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "sound",
        Outcome::ErrorReply => "unknown",
        Outcome::Damaged => "damaged",
    }
}

/// The [`word`], which is to catch the eye.
pub fn marked(outcome: Outcome) -> String {
    let style = match outcome {
        Outcome::Done => GOOD,
        Outcome::ErrorReply => NOTABLE,
        Outcome::Damaged => BAD,
    };
    paint(style, word(outcome))
}

/// What an error says about a stream.
pub fn outcome_of(error: &Error) -> Outcome {
    match error {
        Error::Corrupt { .. } => Outcome::Damaged,
        _ => Outcome::ErrorReply,
    }
}

/// Any bytes as JSON, from which they can be had back: text as it is, what is no UTF-8 as an object with its digits.
pub fn bytes(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) => Json::Text(text.to_owned()),
        Err(_) => {
            let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Json::Object(vec![("hex", Json::Text(hex))])
        }
    }
}

pub fn finding(finding: &Finding) -> Json {
    let ids = |ids: IdRange| {
        Json::Object(vec![("after", text(ids.after)), ("through", or_null(ids.through, |id: StreamId| text(id)))])
    };
    Json::Object(vec![
        ("damage", Json::Bool(finding.is_damage())),
        ("path", text(finding.path.display())),
        ("offset", finding.offset.into()),
        ("what", text(&finding.problem)),
        ("ids", or_null(finding.ids, ids)),
        ("entries_lost", or_null(finding.entries_lost, Json::from)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_where_they_are() {
        assert_eq!(bytes("a\\\"x€".as_bytes()).to_string(), r#""a\\\"x€""#);
        assert_eq!(bytes(b"\xff\0").to_string(), r#"{"hex":"ff00"}"#);
    }
}
