//! Writing streams as commands.

use std::io::{self, Write};

use indicatif::ProgressBar;
use streamlog::inspect::{Escaped, Inspection};
use streamlog::transfer::{Part, RedisVersion};
use streamlog::{Error, Finding};

use crate::args::{Bytes, bytes};
use crate::global::Global;
use crate::look::{self, Look, Wanted};
use crate::{Failure, Outcome, bar, count};

const HELP: &str = "\
The commands go to standard output, as a client would send them. Nothing is written to the store or locked: it may be in \
use, and what is written of a stream is one moment. Released entries need Redis 8.8, remembered productions 8.6; for an \
older server they are left out with --redis. There is no SELECT: they go to the database of the connection.

Examples:
  streamlog --store data export | redis-cli --pipe
  streamlog --store data export --redis 7.2 orders | redis-cli --pipe
  streamlog --store data export > streams.aof
  streamlog --store copy import streams.aof

Exit status: 0 done, 1 something could not be read, 3 something is damaged and left out.";

/// Write streams as the commands with which Redis rebuilds them, without opening the store
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The version of the server that is to read it, such as 7.2: what it has no command for is left out
    #[arg(long, value_name = "VERSION", default_value = "8.10", value_parser = parse_version)]
    redis: RedisVersion,

    /// The names of streams; all if there is none
    #[arg(value_name = "STREAM", value_parser = bytes())]
    streams: Vec<Bytes>,
}

fn parse_version(text: &str) -> Result<RedisVersion, String> {
    let version = text.parse::<RedisVersion>().ok();
    let known = version.filter(|version| *version >= RedisVersion::OLDEST);
    known.ok_or_else(|| "expected a version such as 7.2, from 7.0 on".to_owned())
}

/// Exports streams, or all of them. On a terminal a bar shows how far it is.
pub fn run(global: &Global, args: &Args) -> Result<Outcome, Failure> {
    let wanted = Wanted { streams: args.streams.clone(), json: false };
    let mut look = Look::at(&global.directory()?, &wanted)?;
    let bar = bar::with_end(0, "{bar:30} {human_pos} of {human_len} entries, {eta} left: {msg}");
    // As it is: what is written for people takes out what would control a terminal, which these bytes may well contain.
    let mut out = io::BufWriter::new(io::stdout().lock());
    for name in look.names()? {
        match export(&look.inspection, &name, args.redis, &bar, &mut out) {
            Ok(outcome) => look.came_to(outcome),
            Err(failure) => {
                let error = *failure.downcast::<Error>()?;
                if look.is_gone(&error) {
                    continue;
                }
                tell(&bar, &name, &crate::explain(&error));
                look.came_to(look::outcome_of(&error));
            }
        }
    }
    out.flush()?;
    bar.finish_and_clear();
    look.end()
}

fn export(
    inspection: &Inspection,
    name: &[u8],
    redis: RedisVersion,
    bar: &ProgressBar,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    let export = inspection.export(name)?.redis_version(redis);
    bar.reset();
    bar.set_length(export.entries());
    bar.set_message(Escaped(name).to_string());
    let mut outcome = Outcome::Done;
    export.run(|part| {
        match part {
            Part::Commands { bytes, entries, .. } => {
                out.write_all(&bytes)?;
                bar.inc(entries);
            }
            Part::Damage(finding) => {
                outcome = Outcome::Damaged;
                tell(bar, name, &damage(&finding));
            }
            Part::LeftOut { released, productions, .. } => {
                let released = count::count(released, "released entry", "released entries");
                let productions = count::count(productions, "remembered production", "remembered productions");
                tell(bar, name, &format!("left out: {released}, {productions}"));
            }
            _ => {}
        }
        Ok::<(), Failure>(())
    })?;
    Ok(outcome)
}

fn damage(finding: &Finding) -> String {
    format!("left out: {finding}")
}

/// On standard error, as what is exported goes to standard output.
fn tell(bar: &ProgressBar, name: &[u8], what: &str) {
    bar.suspend(|| crate::tell(format_args!("\"{}\": {what}", Escaped(name))));
}
