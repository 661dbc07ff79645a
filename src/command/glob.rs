//! Patterns of names, as KEYS and SCAN match them.

/// Whether `pattern` matches all of `name`: `*` any bytes, `?` one, `[a-c]` and `[^a-c]` one of a set, `\` the next
/// byte itself. A pattern that ends early is read as Redis reads it: an open set ends with the pattern.
///
/// Costs at most the product of the two lengths.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // What to go back to when something after the last star does not match: the star takes one byte more then. Only
    // the last star matters, because whatever an earlier one could take, this one can take as well.
    let mut last_star = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            pattern = rest;
            last_star = Some((rest, name));
            continue;
        }
        let step = match (pattern, name) {
            ([], []) => return true,
            ([], _) | (_, []) => None,
            (_, [byte, name_rest @ ..]) => match_one(pattern, *byte).map(|pattern_rest| (pattern_rest, name_rest)),
        };
        (pattern, name) = match (step, last_star) {
            (Some(rests), _) => rests,
            (None, Some((after_star, [_, name @ ..]))) => {
                last_star = Some((after_star, name));
                (after_star, name)
            }
            (None, _) => return false,
        };
    }
}

/// What is left of the pattern if its first element, which is not a star, matches `byte`.
fn match_one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', set @ ..] => match_set(set, byte),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (*literal == byte).then_some(rest),
    }
}

fn match_set(set: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut set) = match set {
        [b'^', set @ ..] => (true, set),
        set => (false, set),
    };
    let mut found = false;
    loop {
        set = match set {
            [] => break,
            [b']', rest @ ..] => {
                set = rest;
                break;
            }
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
            [low, b'-', high, rest @ ..] => {
                let (low, high) = (low.min(high), low.max(high));
                found |= (*low..=*high).contains(&byte);
                rest
            }
            [literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
        };
    }
    (found != negated).then_some(set)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*a*b*c", "xaxbxbxc", true),
            ("*ab", "aab", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hallo", true),
            ("[a-c]x", "bx", true),
            ("[c-a]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[a\\]]", "]", true),
            ("[a-", "-", true),
            ("[a", "a", true),
            ("[", "a", false),
            ("[^", "a", true),
            ("[]a]", "a", false),
            ("[]", "a", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("\\", "\\", true),
            ("user:*:[0-9]?", "user:x:42", true),
            ("a*", "b", false),
            ("abc", "ab", false),
            ("ab*", "ab", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern:?} on {name:?}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!matches("*a".repeat(500).as_bytes(), "a".repeat(400).as_bytes()));
        assert!(!matches(format!("{}b", "a*".repeat(500)).as_bytes(), "a".repeat(2000).as_bytes()));
    }
}
