//! Redis commands: arguments in, replies out.

use std::borrow::Cow;

use crate::Store;

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// A simple string, such as `OK`.
    Simple(Cow<'static, str>),
    /// An error, code word first. Bytes, because it may quote arguments.
    Error(Vec<u8>),
    /// A number.
    Integer(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// No string (`$-1`); the null of RESP3.
    Nil,
    /// No array (`*-1`); the null of RESP3.
    NilArray,
    /// A list.
    Array(Vec<Reply>),
    /// Names and values: a flat array in RESP2, a map in RESP3.
    Map(Vec<(Reply, Reply)>),
    /// Names and values: an array of two-element arrays in RESP2, a map in RESP3.
    Pairs(Vec<(Reply, Reply)>),
}

/// Runs one command.
pub fn execute<A: AsRef<[u8]>>(_store: &Store, _args: &[A]) -> Reply {
    todo!()
}
