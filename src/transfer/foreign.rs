//! Commands of other types that do something to a stream all the same: they replace or remove whatever is at a key.

/// What a command of another type does to keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Replaces what is at the argument of this number.
    Replaces(usize),
    /// Replaces what is at the first argument by what the third one is, as a server has serialized it.
    Restores,
    /// Replaces what is at every second argument from the first on.
    ReplacesPairs,
    /// As many of these as the first argument says, from the second on.
    ReplacesCountedPairs,
    /// Replaces what is at the key that an option names; the options begin at the argument of this number.
    Stores(usize),
    /// Sets a time at which the key at the first argument is removed, or unsets it.
    Expires,
}

/// What a logged command does to keys of whatever type; `None` if it works on keys of one type alone, or on none.
pub fn effect(command: &[u8]) -> Option<Effect> {
    use Effect::{Expires, Replaces, ReplacesCountedPairs, ReplacesPairs, Restores, Stores};
    let effect = match command.to_ascii_uppercase().as_slice() {
        b"SET" | b"SETEX" | b"PSETEX" | b"GETSET" => Replaces(1),
        b"RESTORE" | b"RESTORE-ASKING" => Restores,
        b"SINTERSTORE" | b"SUNIONSTORE" | b"SDIFFSTORE" => Replaces(1),
        b"ZINTERSTORE" | b"ZUNIONSTORE" | b"ZDIFFSTORE" | b"ZRANGESTORE" | b"GEOSEARCHSTORE" => Replaces(1),
        b"BITOP" => Replaces(2),
        b"MSET" => ReplacesPairs,
        b"MSETEX" => ReplacesCountedPairs,
        b"SORT" => Stores(2),
        b"GEORADIUSBYMEMBER" => Stores(5),
        b"GEORADIUS" => Stores(6),
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
        Effect::Restores => at(1).into_iter().collect(),
        Effect::ReplacesPairs => args.iter().skip(1).step_by(2).map(Vec::as_slice).collect(),
        Effect::ReplacesCountedPairs => {
            let count = at(1).and_then(|count| str::from_utf8(count).ok()?.parse().ok()).unwrap_or(0);
            args.iter().skip(2).step_by(2).take(count).map(Vec::as_slice).collect()
        }
        Effect::Stores(first) => destination(args.get(first..).unwrap_or_default()).into_iter().collect(),
        Effect::Expires => Vec::new(),
    }
}

/// Whether what a server has serialized may be a stream. Its first byte is its type, as in a snapshot: 15, 19, 21, 26 and 27
/// are streams, and a type that is not known here may be one.
pub fn may_be_stream(serialized: &[u8]) -> bool {
    !matches!(serialized.first(), None | Some(0..=14 | 16..=18 | 20 | 22..=25))
}

/// The key that the options of `SORT` and `GEORADIUS` name for the result. What other options take may be called like one.
fn destination(mut options: &[Vec<u8>]) -> Option<&[u8]> {
    let mut found = None;
    while let Some((option, rest)) = options.split_first() {
        let is_one_of = |names: &[&str]| names.iter().any(|name| option.eq_ignore_ascii_case(name.as_bytes()));
        let taken = match () {
            () if is_one_of(&["STORE", "STOREDIST"]) => {
                found = rest.first().map(Vec::as_slice).or(found);
                1
            }
            () if is_one_of(&["BY", "GET", "COUNT"]) => 1,
            () if is_one_of(&["LIMIT"]) => 2,
            () => 0,
        };
        options = rest.get(taken..).unwrap_or_default();
    }
    found
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
        assert_eq!(replaced_by("SORT store LIMIT 0 store GET store STORE store ASC"), ["store"]);
        assert_eq!(replaced_by("georadius store 1 2 store km count 3 any storedist dest"), ["dest"]);
        assert_eq!(replaced_by("GEORADIUSBYMEMBER g store 200 km STORE a STOREDIST b"), ["b"]);
        assert_eq!(replaced_by("MSETEX 2 a 1 b 2 EX 5"), ["a", "b"]);
        assert_eq!(replaced_by("RESTORE k 0 x REPLACE"), ["k"]);
        for nothing in ["SORT l", "SORT l STORE", "SORT", "GEORADIUS g 1 2", "MSETEX", "MSETEX -1 a 1"] {
            assert_eq!(replaced_by(nothing), [""; 0], "{nothing}");
        }
        assert_eq!(replaced_by("MSET"), [""; 0]);
        assert_eq!(replaced_by("PEXPIREAT k 1"), [""; 0]);
        assert_eq!(effect(b"HSET"), None);
    }
}
