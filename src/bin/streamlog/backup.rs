//! Copying a store, and making a store of a copy.

use std::io::Write;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use streamlog::inspect::Inspection;
use streamlog::transfer::{BackedUp, Sharing};

use crate::global::Global;
use crate::{Failure, Outcome, bar, count};

const HELP: &str = "\
The store may be in use, and is not written to. A backup is a store: verify, dump and stat look at it, and restore makes a \
copy of it that can be written to. If DIR has an earlier backup of the same store, it is brought up to date: until the new \
one is complete and synced, the earlier one is there. Each stream is as it was at one moment, the moments of different \
streams differ.

Files that never change again get another name (a hard link) where DIR is on the same file system, and elsewhere are \
compared with those of the earlier backup, and copied where these differ. With --copy they are copied in any case: a \
link does not help if the disk fails.

Examples:
  streamlog --store data backup /mnt/backup/data
  streamlog --store data backup --copy /mnt/backup/data
  streamlog --store /mnt/backup/data verify
  streamlog --store restored restore /mnt/backup/data

Exit status: 0 done, 1 it failed, 3 the store is damaged; the earlier backup is as it was then.";

/// Copy the store, which may be in use, or bring an earlier copy up to date
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Copy what could be linked, too
    #[arg(long)]
    copy: bool,

    /// The directory of the copy
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

const RESTORE_HELP: &str = "\
The store must be missing or empty; BACKUP stays as it is. Files that never change again get another name (a hard link) \
where that is possible, unless --copy is given.

Examples:
  streamlog --store restored restore /mnt/backup/data
  streamlog --store restored restore --copy /mnt/backup/data
  streamlog --store restored verify

Exit status: 0 done, 1 it failed, 3 the backup is damaged; there is no store then.";

/// Make a store of a backup
#[derive(Debug, clap::Args)]
#[command(after_help = RESTORE_HELP)]
pub struct RestoreArgs {
    /// Copy what could be linked, too
    #[arg(long)]
    copy: bool,

    /// The directory of the backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
}

/// Makes a backup. On a terminal a bar shows how far it is.
pub fn run(global: &Global, args: &Args) -> Result<Outcome, Failure> {
    let (inspection, bar) = look(&global.directory()?)?;
    let backup = inspection.backup().sharing(sharing(args.copy));
    report(&backup.to(&args.directory, |bytes| bar.inc(bytes))?, &bar)
}

/// Makes a store of a backup.
pub fn restore(global: &Global, args: &RestoreArgs) -> Result<Outcome, Failure> {
    let to = global.directory_to_write()?;
    let (inspection, bar) = look(&args.backup)?;
    let backup = inspection.backup().sharing(sharing(args.copy));
    report(&backup.restore_to(to, |bytes| bar.inc(bytes))?, &bar)
}

fn sharing(copy: bool) -> Sharing {
    if copy { Sharing::Copy } else { Sharing::Link }
}

/// A store that is to be copied, and a bar for it, drawn on standard error if that is a terminal.
fn look(path: &Path) -> Result<(Inspection, ProgressBar), Failure> {
    let inspection = Inspection::open(path)?;
    let len = inspection.names()?.iter().map(|name| inspection.size(name).unwrap_or(0)).sum();
    Ok((inspection, bar::with_end(len, "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")))
}

fn report(done: &BackedUp, bar: &ProgressBar) -> Result<Outcome, Failure> {
    bar.finish_and_clear();
    let BackedUp { streams, bytes_shared, bytes_copied, .. } = done;
    let streams = count::streams(*streams);
    writeln!(std::io::stdout(), "{streams}, {bytes_copied} bytes copied, {bytes_shared} bytes shared")?;
    Ok(Outcome::Done)
}
