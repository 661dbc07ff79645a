//! Taking in commands that `export` or a Redis server has written.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use streamlog::transfer::{Import, Imported, Skipped, files_of};
use streamlog::{Durability, Options};

use crate::global::Global;
use crate::{Failure, Outcome, complain};

/// So much of a file is read at a time.
const PIECE: usize = 256 << 10;

const HELP: &str = "\
A FILE is an append-only file of a Redis server (rewritten or not), its directory `appendonlydir` or the manifest in it,
or what `streamlog export` wrote; `-` is standard input. Commands may also be plain lines. What is not of a stream is
passed over and counted; so are all databases but one. Everything is synced before the program ends.

A server logs commands only, without a snapshot before them, if it is told so: CONFIG SET appendonly yes, CONFIG SET
aof-use-rdb-preamble no, BGREWRITEAOF.

Examples:
  streamlog --store data import /var/lib/redis/appendonlydir
  gzip -dc streams.aof.gz | streamlog --store data import -
  streamlog --store data import --db 3 base.aof incr.aof

Exit status: 0 everything was taken in; 1 a command was refused, the input is cut short or cannot be read, or the store
fails.";

/// Take in what `export` wrote, or the append-only file of a Redis server
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The database of the server that is taken in
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    db: u64,

    /// The files to read, one after the other; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Imports files one after the other. On a terminal a bar shows how far it is.
pub fn run(global: &Global, args: &Args) -> Result<Outcome, Failure> {
    let files = files(&args.files)?;
    let store = Options::new().durability(Durability::Os).open(global.directory()?)?;
    let mut import = Import::new(&store)?.database(args.db);
    let bar = bar(&files);
    let (mut outcome, mut done) = (Outcome::Done, 0);
    for file in &files {
        bar.set_message(file.display().to_string());
        let read = open(file).map_err(Failure::from).and_then(|input| {
            import.read(input, |progress| bar.set_position(done + progress.offset)).map_err(Failure::from)
        });
        done = import.imported().bytes;
        if let Some(torn) = import.imported().torn {
            outcome = Outcome::ErrorReply;
            bar.suspend(|| eprintln!("streamlog: {}: {torn}; everything before it was taken in", file.display()));
        }
        if let Err(failure) = read {
            outcome = Outcome::ErrorReply;
            bar.suspend(|| {
                eprint!("streamlog: {}: ", file.display());
                complain(failure.as_ref());
            });
            break;
        }
    }
    bar.finish_and_clear();
    store.sync()?;
    let imported = import.finish();
    store.close()?;
    report(&imported)?;
    Ok(if imported.refused_count > 0 { outcome.max(Outcome::ErrorReply) } else { outcome })
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

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    Ok(match path.to_str() {
        Some("-") => Box::new(BufReader::with_capacity(PIECE, io::stdin().lock())),
        _ => Box::new(BufReader::with_capacity(PIECE, File::open(path)?)),
    })
}

/// With an end, if that is known of all files.
fn bar(files: &[PathBuf]) -> ProgressBar {
    let len = |path: &PathBuf| path.metadata().ok().filter(|found| found.is_file()).map(|found| found.len());
    let total: Option<u64> = files.iter().map(len).sum();
    let (bar, template) = match total {
        Some(total) => {
            (ProgressBar::new(total), "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left: {msg}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}, {bytes_per_sec}: {msg}"),
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn report(imported: &Imported) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Imported { bytes, commands, entries, .. } = imported;
    writeln!(out, "{entries} entries, {commands} commands, {bytes} bytes")?;
    for (Skipped { database, command, .. }, count) in &imported.skipped {
        writeln!(out, "  skipped: {count} {command} in database {database}")?;
    }
    if imported.expiries > 0 {
        writeln!(out, "  skipped: {} times at which a stream expires", imported.expiries)?;
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
