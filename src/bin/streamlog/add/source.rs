//! Where entries are read from: a file or standard input, compressed or not.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;

use super::batch::Adder;
use crate::{Failure, bar};

const BUFFER_LEN: usize = 64 << 10;
/// How a file in the format of gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What is read, uncompressed.
pub type Source = Box<dyn BufRead>;

/// How far it is, on standard error if that is a terminal.
pub fn bar() -> ProgressBar {
    bar::without_end("{spinner} {bytes} read: {msg}")
}

/// Tells how far it is with a file of so many bytes.
fn set_len(bar: &ProgressBar, len: u64) {
    bar.set_style(bar::style("{bar:20} {percent:>3} %, {eta} left: {msg}"));
    bar.set_length(len);
}

/// Opens a file, or standard input if there is none.
pub fn open(path: Option<&Path>, adder: &Rc<RefCell<Adder>>, bar: &ProgressBar) -> Result<Source, Failure> {
    let input: Box<dyn Read> = match path {
        Some(path) => {
            let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
            let file = File::open(path).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            if metadata.is_dir() {
                return Err(format!("cannot read {}: it is a directory", path.display()).into());
            }
            if metadata.is_file() {
                set_len(bar, metadata.len());
                Box::new(file)
            } else {
                Box::new(Prompt { input: file, adder: Rc::clone(adder) })
            }
        }
        None => Box::new(Prompt { input: io::stdin().lock(), adder: Rc::clone(adder) }),
    };
    let mut input = BufReader::with_capacity(BUFFER_LEN, bar.wrap_read(input));
    Ok(match is_gzip(&mut input)? {
        true => Box::new(BufReader::with_capacity(BUFFER_LEN, MultiGzDecoder::new(input))),
        false => Box::new(input),
    })
}

/// Whether the input is compressed. Its first bytes come together, as writers of gzip write its header at once.
fn is_gzip(input: &mut impl BufRead) -> io::Result<bool> {
    Ok(input.fill_buf()?.starts_with(&GZIP))
}

/// Reads from what may have to be waited for. Before that, what is there already is added.
struct Prompt<R> {
    input: R,
    adder: Rc<RefCell<Adder>>,
}

impl<R: Read> Read for Prompt<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut adder = self.adder.borrow_mut();
        if !adder.try_flush() {
            return Err(io::Error::other("what was read before could not be added"));
        }
        self.input.read(buffer)
    }
}
