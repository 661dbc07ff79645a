//! Taking in commands that `export` or a Redis server has written.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;
use streamlog::transfer::{self, ImportError, Imported, Progress, ResumableImport, Skipped, files_of};
use streamlog::{Durability, Options};

use crate::global::Global;
use crate::{Failure, Outcome, bar, count, time};

const HELP: &str = "\
A FILE is an append-only file of a Redis server (rewritten or not), its directory `appendonlydir` or the manifest in it, \
or what `streamlog export` wrote; `-` is standard input. Commands may also be plain lines. What is not of a stream is \
passed over and counted; so are all databases but one. Everything is synced before the program ends.

A server logs commands only, without a snapshot before them, if it is told so: CONFIG SET appendonly yes, CONFIG SET \
aof-use-rdb-preamble no, BGREWRITEAOF.

An import that is stopped, also by a kill or a power loss, is resumed by the same command: it goes on at its last \
checkpoint, and comes to the same. Until then the store cannot be opened otherwise. Of a log that is cut short or \
damaged, what comes before that is taken in, and no file after it is read. A file that does not begin with a command is \
refused before anything is done, and so is one that cannot be read.

Examples:
  streamlog --store data import /var/lib/redis/appendonlydir
  gzip -dc streams.aof.gz | streamlog --store data import -
  streamlog --store data import --db 3 --checkpoint 1m base.aof incr.aof
  streamlog --store data import --abandon

Exit status: 0 everything was taken in; 1 a command was refused, the input is cut short or cannot be read, or the store \
fails.";

/// Take in what `export` wrote, or the append-only file of a Redis server
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The database of the server that is taken in
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    db: u64,

    /// How often a place is made that a stopped import can be resumed from
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time::parse)]
    checkpoint: Duration,

    /// End an import that was stopped; the store has what was taken in up to its last checkpoint
    #[arg(long, conflicts_with = "files")]
    abandon: bool,

    /// The files to read, one after the other; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "abandon")]
    files: Vec<PathBuf>,
}

/// Imports files one after the other. On a terminal a bar shows how far it is.
pub fn run(global: &Global, args: &Args) -> Result<Outcome, Failure> {
    let path = global.directory_to_write()?;
    if args.abandon {
        return abandon(&path);
    }
    let files = files(&args.files)?;
    files.iter().try_for_each(|file| look_at_beginning(file))?;
    let options = Options::new().durability(Durability::Os);
    let mut import = ResumableImport::open(&path, options, args.db, args.checkpoint)?;
    let bar = bar(&files);
    if let Some((number, offset)) = import.resumed_at() {
        let file = usize::try_from(number).ok().and_then(|number| files.get(number));
        let file = file.map_or_else(|| "another file".into(), |file| file.display().to_string());
        bar.suspend(|| crate::tell(format_args!("going on at byte {offset} of {file}")));
    }
    let mut outcome = Outcome::Done;
    for (number, file) in (0..).zip(&files) {
        bar.set_message(file.display().to_string());
        let done = files.iter().take(usize::try_from(number).unwrap_or(0)).filter_map(|path| len(path)).sum::<u64>();
        let progress = |progress: Progress| bar.set_position(done + progress.offset);
        let read = match file.to_str() {
            Some("-") => import.read(number, io::stdin().lock(), progress),
            _ => import.read_file(number, file, progress),
        };
        if let Some(torn) = import.imported().torn {
            outcome = Outcome::ErrorReply;
            bar.suspend(|| crate::tell(format_args!("{}: {torn}; everything before it was taken in", file.display())));
        }
        match read {
            // The next file would go on where this one would have ended.
            Ok(()) if import.imported().torn.is_some() => {
                for left in files.iter().skip(usize::try_from(number).unwrap_or(usize::MAX).saturating_add(1)) {
                    bar.suspend(|| {
                        crate::tell(format_args!("{}: not read, as what comes before it is missing", left.display()))
                    });
                }
                break;
            }
            Ok(()) => {}
            Err(error @ (ImportError::Store(_) | ImportError::Read { .. } | ImportError::Resumption { .. })) => {
                bar.finish_and_clear();
                crate::tell(format_args!(
                    "the import can be resumed by the same command, or ended by `import --abandon`"
                ));
                return Err(error.into());
            }
            // What is wrong is the input, and the next attempt would come to the same.
            Err(error) => {
                outcome = Outcome::ErrorReply;
                bar.suspend(|| crate::tell(format_args!("{}", explain(file, &error))));
                break;
            }
        }
    }
    bar.finish_and_clear();
    let imported = import.finish()?;
    report(&imported)?;
    Ok(if imported.refused_count > 0 { outcome.max(Outcome::ErrorReply) } else { outcome })
}

fn abandon(path: &Path) -> Result<Outcome, Failure> {
    match transfer::abandon(path)? {
        true => writeln!(io::stdout(), "ended: the store has what was taken in up to the last checkpoint")?,
        false => writeln!(io::stdout(), "no import was stopped here")?,
    }
    Ok(Outcome::Done)
}

/// The files that are meant by these.
fn files(given: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        match path.to_str() {
            Some("-") => files.push(path.clone()),
            _ => files.extend(files_of(path)?),
        }
    }
    Ok(files)
}

/// Refuses what is no log, while there is nothing yet that could be left behind. What is no regular file, such as the other end
/// of a pipe that has a name, can be read once only.
fn look_at_beginning(file: &Path) -> Result<(), Failure> {
    let failed = |error| format!("cannot read {}: {error}", file.display());
    let looked = match file.to_str() {
        // What is looked at stays in the buffer of standard input.
        Some("-") => transfer::look_at_beginning(io::stdin().lock()),
        _ if file.metadata().map_err(failed)?.is_file() => {
            transfer::look_at_beginning(BufReader::new(File::open(file).map_err(failed)?))
        }
        _ => Ok(()),
    };
    Ok(looked.map_err(|error| explain(file, &error))?)
}

/// What is wrong with a file.
fn explain(file: &Path, error: &ImportError) -> String {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    format!("{}: {error}{cause}", file.display())
}

/// With an end, if that is known of all files.
fn bar(files: &[PathBuf]) -> ProgressBar {
    let total: Option<u64> = files.iter().map(|path| len(path)).sum();
    match total {
        Some(total) => bar::with_end(total, "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left: {msg}"),
        None => bar::without_end("{spinner} {bytes}, {bytes_per_sec}: {msg}"),
    }
}

fn len(path: &Path) -> Option<u64> {
    path.metadata().ok().filter(fs::Metadata::is_file).map(|found| found.len())
}

fn report(imported: &Imported) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Imported { bytes, commands, entries, .. } = imported;
    let (entries, commands) = (count::entries(*entries), count::count(*commands, "command", "commands"));
    writeln!(out, "{entries}, {commands}, {bytes} bytes")?;
    for (Skipped { database, command, .. }, count) in &imported.skipped {
        writeln!(out, "  skipped: {count} {command} in database {database}")?;
    }
    if imported.expiries > 0 {
        let times =
            count::count(imported.expiries, "time at which a stream expires", "times at which a stream expires");
        writeln!(out, "  skipped: {times}")?;
    }
    for refused in &imported.refused {
        writeln!(out, "  refused: {refused}")?;
    }
    let more = imported.refused_count - imported.refused.len() as u64;
    if more > 0 {
        writeln!(out, "  refused: {more} more")?;
    }
    out.flush()
}
