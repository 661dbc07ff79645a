//! Commands as bytes: arrays of bulk strings.

use crate::StreamId;

/// So many bytes are collected before they are handed on.
const COLLECTED: usize = 64 << 10;

/// Commands that are collected, and handed on in large pieces.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    /// The entries among what is collected.
    pub entries: u64,
}

impl Encoder {
    /// Adds one command.
    pub fn put(&mut self, args: &[&[u8]]) {
        self.line(b'*', args.len());
        for arg in args {
            self.line(b'$', arg.len());
            self.bytes.extend_from_slice(arg);
            self.bytes.extend_from_slice(b"\r\n");
        }
    }

    /// What was collected, if it is enough to be handed on.
    pub fn take_if_full(&mut self) -> Option<(Vec<u8>, u64)> {
        if self.bytes.len() >= COLLECTED { self.take() } else { None }
    }

    /// What was collected, if there is anything.
    pub fn take(&mut self) -> Option<(Vec<u8>, u64)> {
        let taken = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.entries));
        (!taken.0.is_empty()).then_some(taken)
    }

    fn line(&mut self, kind: u8, number: usize) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(number.to_string().as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// The arguments of a command that are yet to be written.
#[derive(Debug)]
pub struct Words(Vec<Vec<u8>>);

impl Words {
    pub fn new(command: &str) -> Self {
        Self(command.split(' ').map(|word| word.as_bytes().to_vec()).collect())
    }

    pub fn bytes(mut self, word: &[u8]) -> Self {
        self.0.push(word.to_vec());
        self
    }

    pub fn text(self, word: impl ToString) -> Self {
        let text = word.to_string();
        self.bytes(text.as_bytes())
    }

    pub fn ids(mut self, ids: &[StreamId]) -> Self {
        self.0.extend(ids.iter().map(|id| id.to_string().into_bytes()));
        self
    }

    pub fn put(&self, encoder: &mut Encoder) {
        let words: Vec<&[u8]> = self.0.iter().map(Vec::as_slice).collect();
        encoder.put(&words);
    }
}
