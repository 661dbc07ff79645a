//! Setting and telling how much of a stream is kept.

use std::io::Write;
use std::time::Duration;

use streamlog::inspect::{Escaped, Inspection};
use streamlog::{Error, Retention};

use crate::args::Bytes;
use crate::global::Global;
use crate::json::{Json, or_null};
use crate::look::{self, Look, Wanted, bytes};
use crate::style::{BAD, NAME};
use crate::table::{Cell, Table};
use crate::{Failure, Outcome, time};

const HELP: &str = "\
Without a limit, what is kept is told, without opening the store. With one, it is set for each of the streams, in place of \
what was set before, and what is beyond it goes at once. Limits are stored with the stream and kept to whenever the store \
is open, by every program that uses it. The oldest entries go first; age is told by the milliseconds of their IDs.

Ages are numbers with ms, s, m, h, d or w, such as 36h or 1d12h; sizes are numbers with KiB, MiB, GiB or TiB, or in bytes.

Examples:
  streamlog --store data retention
  streamlog --store data retention log --max-age 7d --max-bytes 1GiB
  streamlog --store data retention orders --acknowledged-only
  streamlog --store data retention orders --keep-all
  streamlog --store data retention --enforce

Exit status: 0 done, 1 something failed, 3 a stream cannot be opened for damage.";

/// Tell or set how much of streams is kept: by age, size, number, and what groups have acknowledged
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Remove entries that are older than this
    #[arg(long, value_name = "AGE", value_parser = parse_age, requires = "streams")]
    max_age: Option<Duration>,

    /// Remove the oldest entries when all files of entries have more bytes than this
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, requires = "streams")]
    max_bytes: Option<u64>,

    /// Remove the oldest entries when there are more than this
    #[arg(long, value_name = "COUNT", requires = "streams")]
    max_len: Option<u64>,

    /// Keep what some group has yet to read or acknowledge; without a limit beside it, only that
    #[arg(long, requires = "streams")]
    acknowledged_only: bool,

    /// Keep everything from now on
    #[arg(long, requires = "streams", conflicts_with_all = ["max_age", "max_bytes", "max_len", "acknowledged_only"])]
    keep_all: bool,

    /// Remove now what is beyond the limits of any stream, also of those that nobody uses
    #[arg(long, conflicts_with_all = ["max_age", "max_bytes", "max_len", "acknowledged_only", "keep_all", "streams"])]
    enforce: bool,

    #[command(flatten)]
    wanted: Wanted,
}

/// Tells or sets how much is kept.
pub fn run(global: &Global, args: &Args) -> Result<Outcome, Failure> {
    let rules = args.rules();
    let sets = args.keep_all || !rules.is_none();
    let directory = if sets || args.enforce { global.directory_to_write()? } else { global.directory()? };
    if sets || args.enforce {
        // Before it is opened, so that what is no store is not told as one.
        Inspection::open(&directory)?;
        let store = global.options().create(false).open(&directory)?;
        let set = match sets {
            true => set(&store, &args.wanted.streams, rules),
            false => store.enforce_retention(),
        };
        store.close().and(set)?;
    }
    tell(&mut Look::at(&directory, &args.wanted)?)
}

/// All of them are there, or none is changed.
fn set(store: &streamlog::Store, streams: &[Bytes], rules: Retention) -> Result<(), Error> {
    for name in streams {
        if !store.exists(name)? {
            // Fails with the error that there is none.
            store.stream(name)?.info()?;
        }
    }
    streams.iter().try_for_each(|name| store.stream(name)?.set_retention(rules))
}

impl Args {
    fn rules(&self) -> Retention {
        let mut rules = Retention::new();
        if let Some(age) = self.max_age {
            rules = rules.max_age(age);
        }
        if let Some(bytes) = self.max_bytes {
            rules = rules.max_bytes(bytes);
        }
        if let Some(len) = self.max_len {
            rules = rules.max_len(len);
        }
        if self.acknowledged_only { rules.acknowledged_only() } else { rules }
    }
}

fn tell(look: &mut Look<'_>) -> Result<Outcome, Failure> {
    let (mut streams, mut table) = (Vec::new(), Table::new(&["STREAM", "RETENTION"]));
    for name in look.names()? {
        let stat = match look.inspection.stat_stream(&name) {
            Err(error) if look.is_gone(&error) => continue,
            stat => stat,
        };
        look.came_to(stat.as_ref().map_or_else(look::outcome_of, |_| Outcome::Done));
        let told = stat.map(|stat| stat.retention);
        match (look.wanted.json, told) {
            (true, told) => streams.push(json_of(&name, told)),
            (false, Ok(rules)) => table.row([Cell::styled(NAME, Escaped(&name)), Cell::new(rules)]),
            (false, Err(error)) => {
                table.row([Cell::styled(NAME, Escaped(&name)), Cell::styled(BAD, crate::explain(&error))]);
            }
        }
    }
    match look.wanted.json {
        true => writeln!(look.out, "{}", Json::Object(vec![("streams", Json::List(streams))]))?,
        false if table.is_empty() => {}
        false => table.write(&mut look.out)?,
    }
    look.out.flush()?;
    Ok(look.outcome)
}

fn json_of(name: &[u8], rules: Result<Retention, Error>) -> Json {
    match rules {
        Ok(rules) => Json::Object(vec![("name", bytes(name)), ("retention", json(rules))]),
        Err(error) => Json::Object(vec![("name", bytes(name)), ("error", crate::json::text(crate::explain(&error)))]),
    }
}

/// What is kept; null if it is everything.
pub fn json(rules: Retention) -> Json {
    if rules.is_none() {
        return Json::Null;
    }
    Json::Object(vec![
        ("max_age_ms", or_null(rules.age_max(), |age| Json::Number(age.as_millis() as i128))),
        ("max_bytes", or_null(rules.bytes_max(), Json::from)),
        ("max_len", or_null(rules.len_max(), Json::from)),
        ("acknowledged_only", Json::Bool(rules.is_acknowledged_only())),
    ])
}

const SIZES: [(&str, u64); 5] = [("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// As any other time, but never without a unit: who means days and is taken to mean seconds loses entries.
fn parse_age(text: &str) -> Result<Duration, String> {
    match text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        true => Err("expected a number with ms, s, m, h, d or w, as 36h".to_owned()),
        false => time::parse(text),
    }
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let bytes = || {
        let at = text.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(at)?;
        let (_, factor) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()))?;
        number.parse::<u64>().ok()?.checked_mul(*factor)
    };
    bytes().ok_or_else(|| "expected bytes, or a number with KiB, MiB, GiB or TiB, as 512MiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes() {
        assert_eq!(parse_age("36h"), Ok(Duration::from_secs(36 * 3600)));
        assert_eq!(parse_age("1d12h"), Ok(Duration::from_secs(36 * 3600)));
        assert_eq!(parse_age("2w"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(parse_age("5ms"), Ok(Duration::from_millis(5)));
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("3mib"), Ok(3 << 20));
        for wrong in ["", "7", "1.5", "h", "-1h", "1y", "99999999999999999999w", "é"] {
            assert!(parse_age(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "KiB", "1kb", "-1", "99999999TiB", "0x10"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong:?}");
        }
    }

    /// What is told can be given.
    #[test]
    fn what_is_told_reads_back() {
        for (age, bytes) in [(1, 1), (1000, 1 << 10), (90_000, 3 << 30), (7 * 86_400_000, 1 << 40), (86_400_001, 1025)]
        {
            let rules = Retention::new().max_age(Duration::from_millis(age)).max_bytes(bytes);
            let told = rules.to_string();
            let words: Vec<_> = told.split(' ').collect();
            assert_eq!(parse_age(words[1]), Ok(Duration::from_millis(age)), "{told}");
            assert_eq!(parse_bytes(words[3]), Ok(bytes), "{told}");
        }
    }
}
