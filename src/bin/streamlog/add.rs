//! Adding entries from a file or from standard input.

mod batch;
mod csv;
mod json;
mod lines;
mod source;

use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use indicatif::{HumanCount, ProgressBar};
use streamlog::Stream;

use crate::args::{self, Bytes, wrong_usage};
use crate::global::Global;
use crate::{Failure, Outcome, count};
use batch::{Adder, Batch};
use source::Source;

const HELP: &str = "\
Without --csv or --json each line is an entry with one field, `line`; a file whose name ends in .csv, .json, .jsonl or \
.ndjson, or in one of these and .gz, is read as what it says. Gzip is recognised by its first bytes, from standard input, \
too.

CSV: the first row names the fields, unless --fields does. JSON: each line is an object; strings are added as they are, \
everything else as it is written.

Entries are added in batches, each of them whole or not at all. From a pipe, what has been read is added before more is \
waited for. A line that is wrong ends it: the entries before it are added, those behind it are not, and the message says \
from which line on to continue.

Examples:
  streamlog --store data add flights --file flights.csv.gz
  zcat flights.csv.gz | streamlog --store data add flights --csv
  printf 'started\\nstopped\\n' | streamlog --store data add log --fields message
  printf 'o1,49.99\\no2,5\\n' | streamlog --store data add orders --csv --fields order,total
  printf 'o1;5\\n' | streamlog --store data add orders --csv --delimiter ';' --fields order,total
  streamlog --store data add weather --file weather.jsonl --id-field at
  streamlog --store data add flights --file flights.csv.gz --batch 100 --from-line 3

Exit status: 0 done, 1 not all was added, 3 the stream cannot be opened for damage.";

/// Add entries from lines, CSV or JSON lines: from a file or standard input, also compressed
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The name of the stream, created if missing
    #[arg(value_parser = args::bytes())]
    stream: Bytes,

    /// Read this file instead of standard input
    #[arg(short, long)]
    file: Option<PathBuf>,

    /// Each line is an entry
    #[arg(long, group = "format")]
    lines: bool,

    /// Each row of comma-separated values is an entry
    #[arg(long, group = "format")]
    csv: bool,

    /// Each line is an object of JSON, and an entry
    #[arg(long, group = "format")]
    json: bool,

    /// The names of the fields: of the columns of CSV, which then has no header row, or of the one field of lines
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    fields: Vec<String>,

    /// What separates the values of CSV: a character, or `tab`; a comma if it is not said
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    delimiter: Option<u8>,

    /// Take the ID from this field instead of the clock: a whole ID, or a time: in milliseconds since 1970,
    /// or as RFC 3339 writes it (2013-01-01T10:00:00.123Z), of which what is finer than a millisecond is cut off. The field is not
    /// stored
    #[arg(long, value_name = "NAME")]
    id_field: Option<String>,

    /// How many entries to add in one step, at the most
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    batch: u64,

    /// Begin with this line, which is counted from 1; the header row of CSV is read in any case
    #[arg(long, value_name = "LINE", default_value = "1", hide_default_value = true)]
    from_line: u64,
}

/// How entries are written in what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Lines,
    Csv,
    Json,
}

/// What entries are read from.
trait Records {
    /// Puts the next entry into a batch; `Break` at the end. An error leaves the batch as it was.
    fn next(&mut self, batch: &RefCell<Batch>) -> Result<ControlFlow<()>, Wrong>;
}

/// What is wrong with a line.
#[derive(Debug)]
struct Wrong {
    line: u64,
    what: String,
}

/// Adds everything there is to read, and tells how it went.
pub fn run(global: &Global, args: &Args) -> Result<Outcome, Failure> {
    args.check()?;
    global.with_store(|store| {
        let bar = source::bar();
        let added = add(args, store.stream(&args.stream)?, &bar);
        bar.finish_and_clear();
        added
    })
}

fn add(args: &Args, stream: Stream, bar: &ProgressBar) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let batch = Rc::new(RefCell::new(Batch::new(args.id_field.clone(), args.from_line)));
    let adder = Rc::new(RefCell::new(Adder::new(stream, Rc::clone(&batch), bar)?));
    let source = source::open(args.file.as_deref(), &adder, bar)?;
    let name = args.file.as_deref().map_or("standard input".to_owned(), |path| path.display().to_string());
    let mut records = args.records(source).map_err(|wrong| wrong.in_file(&name, 0))?;
    let ended = loop {
        match records.next(&batch) {
            Ok(ControlFlow::Continue(())) if !batch.borrow().is_full(args.batch) => {}
            Ok(ControlFlow::Continue(())) if adder.borrow_mut().try_flush() => {}
            Ok(_) => break Ok(()),
            Err(wrong) => break Err(wrong),
        }
    };
    let mut adder = adder.borrow_mut();
    // What could not be added stands before what could not be read.
    let ended = adder.failed().and_then(|()| adder.flush()).and(ended);
    // Before anything is printed where it was.
    bar.finish_and_clear();
    match ended {
        Err(wrong) => Err(wrong.in_file(&name, adder.count)),
        Ok(()) => {
            let seconds = began.elapsed().as_secs_f64();
            let rate = HumanCount((adder.count as f64 / seconds.max(1e-9)) as u64);
            let mut out = io::stdout().lock();
            let noun = count::noun(adder.count, "entry", "entries");
            write!(out, "{} {noun} in {seconds:.2} s, {rate} a second", HumanCount(adder.count))?;
            match adder.last() {
                Some(id) => writeln!(out, "; last ID {id}")?,
                None => writeln!(out)?,
            }
            Ok(Outcome::Done)
        }
    }
}

impl Args {
    fn format(&self) -> Format {
        match self {
            Self { lines: true, .. } => Format::Lines,
            Self { csv: true, .. } => Format::Csv,
            Self { json: true, .. } => Format::Json,
            Self { file, .. } => file.as_deref().map_or(Format::Lines, format_of),
        }
    }

    /// Whether the names of fields fit the format.
    fn check(&self) -> Result<(), Failure> {
        match (self.format(), self.fields.len()) {
            (Format::Lines, 2..) => Err(wrong_usage("add", "lines have one field: for more, say --csv")),
            (Format::Json, 1..) => {
                Err(wrong_usage("add", "objects name their fields themselves: --fields is for CSV and lines"))
            }
            (Format::Lines | Format::Json, _) if self.delimiter.is_some() => {
                Err(wrong_usage("add", "only CSV has values that are separated: --delimiter is for --csv"))
            }
            _ => Ok(()),
        }
    }

    fn records(&self, source: Source) -> Result<Box<dyn Records>, Wrong> {
        Ok(match self.format() {
            Format::Lines => Box::new(lines::Lines::new(source, self.fields.first().map_or("line", String::as_str))),
            Format::Csv => Box::new(csv::Rows::new(source, self.delimiter.unwrap_or(b','), &self.fields)?),
            Format::Json => Box::new(json::Objects::new(source)),
        })
    }
}

/// What the name of a file says about its content.
fn format_of(path: &Path) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.') {
        Some((_, "csv")) => Format::Csv,
        Some((_, "json" | "jsonl" | "ndjson")) => Format::Json,
        _ => Format::Lines,
    }
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [character] if character.is_ascii() && !b"\"\r\n".contains(character) => Ok(*character),
        _ => Err("expected one ASCII character, or `tab`".to_owned()),
    }
}

impl Wrong {
    /// What to tell of it, when so many entries have been added.
    fn in_file(self, name: &str, added: u64) -> Failure {
        let Self { line, what } = self;
        if line == 0 {
            return what.into();
        }
        let before = match added {
            0 => "nothing was added".to_owned(),
            1 => "1 entry before it was added".to_owned(),
            count => format!("{} entries before it were added", HumanCount(count)),
        };
        format!("{name}, line {line}: {what}; {before}. To go on there: --from-line {line}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_what_is_in_it() {
        for (name, format) in [
            ("a.csv", Format::Csv),
            ("dir.csv/A.CSV.gz", Format::Csv),
            ("a.jsonl", Format::Json),
            ("a.ndjson.gz", Format::Json),
            ("a.log", Format::Lines),
            ("csv", Format::Lines),
            ("a.gz", Format::Lines),
        ] {
            assert_eq!(format_of(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn delimiters() {
        assert_eq!([",", "tab", "\\t", ";", "\t"].map(|text| parse_delimiter(text).unwrap()), *b",\t\t;\t");
        assert!(["", ",,", "é", "\"", "\n"].iter().all(|text| parse_delimiter(text).is_err()));
    }
}
