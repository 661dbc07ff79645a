//! A file that another process may be writing to, open for reading: see [`Disk::watch`](crate::io::Disk::watch).

use std::fs;
use std::io::{ErrorKind, Result};
use std::sync::Arc;

use super::system;
use crate::io::{File, read_only};

/// Nothing of it is known but what it says when it is asked.
#[derive(Debug)]
pub(super) struct Watched(pub(super) fs::File);

impl File for Watched {
    fn len(&self) -> Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, mut offset: u64, buf: &mut [u8]) -> Result<()> {
        let mut rest = buf;
        while !rest.is_empty() {
            match system::read_some_at(&self.0, offset, rest) {
                Ok(0) => {
                    rest.fill(0);
                    break;
                }
                Ok(count) => {
                    rest = std::mem::take(&mut rest).get_mut(count..).unwrap_or_default();
                    offset = offset.checked_add(count as u64).ok_or(ErrorKind::InvalidInput)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_at(&self, _: u64, _: &[u8]) -> Result<()> {
        Err(read_only())
    }

    fn sync(&self) -> Result<()> {
        Err(read_only())
    }

    fn truncate(&self, _: u64) -> Result<()> {
        Err(read_only())
    }

    fn grow(&self, _: u64) -> Result<Arc<dyn File>> {
        Err(read_only())
    }
}
