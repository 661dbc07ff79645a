//! Promise: any bytes from a client are commands or an error, however they arrive (P9).

use streamlog::command::{DecodeError, Decoder, split_line};

type Decoded = (Vec<Vec<Vec<u8>>>, Option<DecodeError>);

/// The first byte says in which pieces the rest arrives.
pub fn run(bytes: &[u8]) {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(decode(bytes, 1), whole, "byte by byte");
    assert_eq!(decode(bytes, usize::from(step).max(1)), whole, "in pieces of {step}");
    // What was understood is understood again.
    let again: Vec<u8> = whole.0.iter().flat_map(|args| encode(args)).collect();
    assert_eq!(decode(&again, again.len().max(1)), (whole.0, None));
    let _ = split_line(bytes);
}

fn decode(bytes: &[u8], step: usize) -> Decoded {
    let (mut decoder, mut commands) = (Decoder::new(), Vec::new());
    for piece in bytes.chunks(step) {
        decoder.feed(piece);
        loop {
            match decoder.next_command() {
                Ok(Some(args)) => commands.push(args),
                Ok(None) => break,
                Err(error) => return (commands, Some(error)),
            }
        }
    }
    (commands, None)
}

fn encode(args: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}
