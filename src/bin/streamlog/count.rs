//! Numbers, and what they are of.

/// A number of things: `1 entry`, `2 entries`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", noun(number, one, many))
}

/// What there is such a number of.
pub fn noun<'a>(number: u64, one: &'a str, many: &'a str) -> &'a str {
    if number == 1 { one } else { many }
}

pub fn entries(number: u64) -> String {
    count(number, "entry", "entries")
}

pub fn streams(number: u64) -> String {
    count(number, "stream", "streams")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(entries), ["0 entries", "1 entry", "2 entries"]);
        assert_eq!([1, 11].map(streams), ["1 stream", "11 streams"]);
    }
}
