//! Commands of other types that do something to a stream all the same: they replace or remove whatever is at a key.

/// What a command of another type does to keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Replaces what is at the argument of this number.
    Replaces(usize),
    /// Replaces what is at every second argument from the first on.
    ReplacesPairs,
    /// As the argument of this number, if there is one; it follows this word.
    ReplacesAfter(&'static str),
    /// Sets a time at which the key at the first argument is removed, or unsets it.
    Expires,
}

/// What a logged command does to keys of whatever type; `None` if it works on keys of one type alone, or on none.
pub fn effect(command: &[u8]) -> Option<Effect> {
    use Effect::{Expires, Replaces, ReplacesAfter, ReplacesPairs};
    let effect = match command.to_ascii_uppercase().as_slice() {
        b"SET" | b"SETEX" | b"PSETEX" | b"GETSET" | b"RESTORE" => Replaces(1),
        b"SINTERSTORE" | b"SUNIONSTORE" | b"SDIFFSTORE" => Replaces(1),
        b"ZINTERSTORE" | b"ZUNIONSTORE" | b"ZDIFFSTORE" | b"ZRANGESTORE" | b"GEOSEARCHSTORE" => Replaces(1),
        b"BITOP" => Replaces(2),
        b"MSET" => ReplacesPairs,
        b"SORT" | b"GEORADIUS" | b"GEORADIUSBYMEMBER" => ReplacesAfter("STORE"),
        b"EXPIRE" | b"PEXPIRE" | b"EXPIREAT" | b"PEXPIREAT" => Expires,
        _ => return None,
    };
    Some(effect)
}

/// The keys at which a command leaves something else than a stream.
pub fn replaced(effect: Effect, args: &[Vec<u8>]) -> Vec<&[u8]> {
    let at = |at: usize| args.get(at).map(Vec::as_slice);
    match effect {
        Effect::Replaces(number) => at(number).into_iter().collect(),
        Effect::ReplacesPairs => args.iter().skip(1).step_by(2).map(Vec::as_slice).collect(),
        Effect::ReplacesAfter(word) => {
            let place = args.iter().position(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
            place.and_then(|place| at(place + 1)).into_iter().collect()
        }
        Effect::Expires => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_are_replaced() {
        let replaced_by = |line: &str| {
            let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let effect = effect(&args[0]).expect("it does something");
            replaced(effect, &args).into_iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(replaced_by("set k v"), ["k"]);
        assert_eq!(replaced_by("MSET a 1 b 2"), ["a", "b"]);
        assert_eq!(replaced_by("BITOP AND dest k"), ["dest"]);
        assert_eq!(replaced_by("SORT l BY x STORE dest"), ["dest"]);
        assert_eq!(replaced_by("SORT l"), [""; 0]);
        assert_eq!(replaced_by("MSET"), [""; 0]);
        assert_eq!(replaced_by("PEXPIREAT k 1"), [""; 0]);
        assert_eq!(effect(b"HSET"), None);
    }
}
