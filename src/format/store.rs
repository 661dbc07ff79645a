//! The two files of a store that belong to no stream.
//!
//! `LOCK`: magic `89 53 4C 53 54 0D 0A 1A`, version `u16`, two reserved bytes, three `u32` of feature bits, the
//! identity of the store, CRC-32 of all that: 44 bytes. It is written once, after `tmp` and `streams` were created: a store that
//! knows its identity is complete.
//!
//! `intent`: magic `89 53 4C 49 4E 0D 0A 1A`, version `u16`, two reserved bytes, a varint count and as many strings: the
//! directories in `streams` to remove; a varint, 0 for none, 1 for a directory in `streams` to rename, 2 for one in `tmp` to
//! move there, and after 1 or 2 three strings: its name, the new one, and the name of the stream in it; CRC-32 of all that.
//! It gets its name only when it is complete, and goes when all of it has been done; what is found at opening is done again,
//! which changes nothing where it had been done before. A change of several streams is atomic that way.

use std::ffi::{OsStr, OsString};

use crate::format::codec::{Reader, put_string, put_varint};
use crate::format::header::{BadHeader, check_version};
use crate::format::{Identity, VERSION};

pub const LOCK_LEN: usize = 44;

const LOCK_MAGIC: [u8; 8] = *b"\x89SLST\r\n\x1a";
const INTENT_MAGIC: [u8; 8] = *b"\x89SLIN\r\n\x1a";

/// The content of `LOCK`.
pub fn encode_lock(store: &Identity) -> Vec<u8> {
    let mut out = Vec::with_capacity(LOCK_LEN);
    out.extend_from_slice(&LOCK_MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 2 + 12]);
    out.extend_from_slice(store);
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

/// The identity of the store, from the content of `LOCK`.
pub fn decode_lock(bytes: &[u8]) -> Result<Identity, BadHeader> {
    let damaged = BadHeader::Damaged("LOCK does not hold the identity of a store");
    let Some((covered, crc)) = bytes.split_last_chunk::<4>().filter(|_| bytes.len() == LOCK_LEN) else {
        return Err(damaged);
    };
    let mut reader = Reader::new(covered);
    if reader.take(8) != Some(&LOCK_MAGIC[..]) || u32::from_le_bytes(*crc) != crc32fast::hash(covered) {
        return Err(damaged);
    }
    let (Some(version), Some(_), Some(_), Some(read_only_compatible), Some(incompatible), Some(store)) =
        (reader.u16(), reader.u16(), reader.u32(), reader.u32(), reader.u32(), reader.identity())
    else {
        return Err(damaged);
    };
    check_version(version, incompatible, read_only_compatible)?;
    Ok(store)
}

/// The longest intent that is read, in bytes.
pub const INTENT_LEN_MAX: u64 = 1 << 30;

/// A change of several streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// The directories in `streams` to remove.
    pub remove: Vec<OsString>,
    pub rename: Option<Rename>,
}

/// A directory to rename.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// It is in `tmp` yet, not in `streams`.
    pub is_new: bool,
    pub from: OsString,
    /// In `streams`.
    pub to: OsString,
    /// The name of the stream in it.
    pub name: Vec<u8>,
}

impl Intent {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::from(INTENT_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        put_varint(&mut out, self.remove.len() as u64);
        for name in &self.remove {
            put_string(&mut out, name.as_encoded_bytes());
        }
        let kind = self.rename.as_ref().map_or(0, |rename| if rename.is_new { 2 } else { 1 });
        put_varint(&mut out, kind);
        if let Some(Rename { from, to, name, .. }) = &self.rename {
            put_string(&mut out, from.as_encoded_bytes());
            put_string(&mut out, to.as_encoded_bytes());
            put_string(&mut out, name);
        }
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// `None` if the bytes are not an intact intent.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        let mut reader = Reader::new(covered);
        if u32::from_le_bytes(*crc) != crc32fast::hash(covered) || reader.take(8)? != INTENT_MAGIC {
            return None;
        }
        if reader.u16()? != VERSION {
            return None;
        }
        reader.take(2)?;
        let mut intent = Self::default();
        for _ in 0..reader.varint()? {
            intent.remove.push(directory(reader.string()?)?);
        }
        intent.rename = match reader.varint()? {
            0 => None,
            kind @ (1 | 2) => Some(Rename {
                is_new: kind == 2,
                from: directory(reader.string()?)?,
                to: directory(reader.string()?)?,
                name: reader.string()?.to_vec(),
            }),
            _ => return None,
        };
        reader.is_empty().then_some(intent)
    }
}

/// Our directory names are ASCII without separators; anything else could lead out of the store.
fn directory(name: &[u8]) -> Option<OsString> {
    let text = std::str::from_utf8(name).ok()?;
    let plain = text.is_ascii() && !text.is_empty() && !text.contains(['/', '\\', '\0']) && text != "." && text != "..";
    plain.then(|| OsStr::new(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_lock() {
        let bytes = encode_lock(&[7; 16]);
        let mut expected = Vec::from(*b"\x89SLST\r\n\x1a\x01\0");
        expected.extend_from_slice(&[0; 14]);
        expected.extend_from_slice(&[7; 16]);
        assert_eq!(bytes[..40], expected);
        assert_eq!(bytes.len(), LOCK_LEN);
        assert_eq!(decode_lock(&bytes), Ok([7; 16]));
        for bit in (0..bytes.len() * 8).step_by(if cfg!(miri) { 5 } else { 1 }) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_lock(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn golden_bytes_of_an_intent() {
        let rename = Rename { is_new: true, from: "b".into(), to: "c".into(), name: vec![0xff] };
        let intent = Intent { remove: vec!["a".into()], rename: Some(rename) };
        let bytes = intent.encode();
        assert_eq!(bytes[..bytes.len() - 4], *b"\x89SLIN\r\n\x1a\x01\0\0\0\x01\x01a\x02\x01b\x01c\x01\xff");
        assert_eq!(Intent::decode(&bytes), Some(intent));
        for bit in (0..bytes.len() * 8).step_by(if cfg!(miri) { 5 } else { 1 }) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Intent::decode(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn an_intent_cannot_lead_out_of_the_store() {
        for name in ["..", ".", "a/b", ""] {
            let intent = Intent { remove: vec![name.into()], rename: None };
            assert_eq!(Intent::decode(&intent.encode()), None, "{name:?}");
        }
    }
}
