//! Room for files, allocated before it is written to.

use std::fs;
use std::io::{ErrorKind, Result};

use super::system;

/// How many bytes of zeros one call writes where a file system cannot allocate.
pub(super) const ZEROS: usize = 64 << 10;

/// Fails if this process may not have files of `len` bytes. The kernel would send `SIGXFSZ`.
pub(super) fn allowed(len: u64) -> Result<()> {
    match system::file_size_max() {
        Some(limit) if limit < len => Err(ErrorKind::FileTooLarge.into()),
        _ => Ok(()),
    }
}

/// Allocates the bytes up to `capacity` in a file of `len` bytes, so that writing to them cannot fail for want of room.
pub(super) fn allocate(file: &fs::File, len: u64, capacity: u64) -> Result<()> {
    if capacity == 0 || system::preallocate(file, capacity)? {
        return Ok(());
    }
    write_zeros(file, len, capacity)
}

/// Allocates by writing. Piece by piece: pages that were brought in by one large write are written back together for
/// ever after, however little of them a mapped store changes.
pub(super) fn write_zeros(file: &fs::File, mut from: u64, to: u64) -> Result<()> {
    let zeros = [0; ZEROS];
    while from < to {
        let len = (to - from).min(ZEROS as u64);
        system::write_all_at(file, from, &zeros[..len as usize])?;
        from += len;
    }
    Ok(())
}
