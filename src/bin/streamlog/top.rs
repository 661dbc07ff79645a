//! A live screen of streams: what is added and delivered, what is pending, who is behind.

mod sample;
mod screen;
mod view;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use streamlog::Options;

use crate::args::{self, Bytes};
use crate::global::Global;
use crate::{Failure, Outcome, output, time};
use sample::{Rates, Sample};
use view::{Sorting, View};

const HELP: &str = "\
The store may be in use: nothing is written or locked. Rates are since the last look. Lag is how many entries the group \
that is furthest behind is yet to be given; `-` if that cannot be told.

Where a terminal is narrow, columns are left out, but not the name, what is added in a second, and what is sorted by.

Keys: q leaves. n, e, a, b, r, p, l sort by name, entries, entries added, bytes, entries read, pending, lag; the same \
again turns the order round. g shows the groups of each stream. The arrows and page keys scroll.

Where standard output is no terminal, and with --json, each look is printed instead, until there is nobody to read it.

Examples:
  streamlog --store data top
  streamlog --store data top --sort lag --groups orders payments
  streamlog --store data top --count 2 | cat
  streamlog --store data top --json --interval 10s | jq -c '.streams[] | [.name, .lag]'

Exit status: 0 done, 1 something could not be read, 3 a stream cannot be opened for damage; at the last look.";

/// Watch streams: sizes, rates, what is pending, lag; also while another process writes
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// How long to wait between looks
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = parse_interval)]
    interval: Duration,

    /// Leave after so many looks
    #[arg(short = 'n', long)]
    count: Option<u64>,

    /// What to sort by
    #[arg(short, long, value_name = "COLUMN", default_value = "name")]
    sort: Sorting,

    /// Show the groups of each stream
    #[arg(short, long)]
    groups: bool,

    /// Print each look as a line of JSON
    #[arg(long)]
    json: bool,

    /// The names of streams; all if there is none
    #[arg(value_name = "STREAM", value_parser = args::bytes())]
    streams: Vec<Bytes>,
}

/// So that a slip does not keep a processor busy.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

fn parse_interval(text: &str) -> Result<Duration, String> {
    time::parse(text).map(|interval| interval.max(INTERVAL_MIN))
}

/// Watches until there is nothing more to do.
pub fn run(global: &Global, args: &Args) -> Result<Outcome, Failure> {
    let directory = global.directory()?;
    // What is not at hand any more is read anew at each look.
    allow_descriptors();
    let store = Options::new().open_streams_max(usize::MAX).open_read_only(&directory)?;
    let look = move |names: &[Bytes]| Sample::take(&store, names);
    let view = View::new(args.sort, args.groups);
    if args.json || !io::stdout().is_terminal() {
        return print(args, &look, &view);
    }
    let title = directory.display().to_string();
    screen::run(args.interval, args.count, view, &title, {
        let names = args.streams.clone();
        move || look(&names)
    })
}

/// As many as the system lets this process have: they limit how many streams are kept at hand. With fewer it is slower only.
#[cfg(unix)]
fn allow_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(not(unix))]
fn allow_descriptors() {}

/// How long to wait for the next look after one that took so long: looks that take longer than the interval are not to keep a
/// processor busy all the time.
fn pause(interval: Duration, took: Duration) -> Duration {
    interval.saturating_sub(took).max(took)
}

/// Prints each look.
fn print(args: &Args, look: &impl Fn(&[Bytes]) -> Result<Sample, Failure>, view: &View) -> Result<Outcome, Failure> {
    let mut before: Option<Sample> = None;
    let mut outcome = Outcome::Done;
    let mut left = args.count;
    while left != Some(0) {
        if let Some(sample) = &before {
            output::wait(pause(args.interval, sample.at.elapsed()))?;
        }
        let sample = look(&args.streams)?;
        let rates = Rates::between(before.as_ref(), &sample);
        let mut out = anstream::stdout().lock();
        if args.json {
            writeln!(out, "{}", view::json(&sample, &rates))?;
        } else {
            let gap = if before.is_some() { "\n" } else { "" };
            writeln!(out, "{gap}{}", view::total(&sample, &rates))?;
            view.table(&sample, &rates).write(&mut out)?;
        }
        out.flush()?;
        outcome = sample.outcome();
        before = Some(sample);
        left = left.map(|left| left - 1);
    }
    Ok(outcome)
}
