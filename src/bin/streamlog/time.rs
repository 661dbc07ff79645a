//! Lengths of time, as people write them.

use std::time::Duration;

const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads `90s`, `1.5h`, `1h30m`; a number alone is in seconds.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time such as 90s, 5m, 1h30m or 250ms, not {text:?}");
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(number_len);
        let unit_len = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_len);
        let unit = if unit.is_empty() && number_len == text.len() { "s" } else { unit };
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * *millis as f64 / 1000.0).map_err(|_| wrong())?;
        sum = sum.checked_add(part).ok_or_else(wrong)?;
        rest = behind;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(sum) }
}

/// Writes a time in its two largest units.
pub fn show(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match millis {
        0..1000 => format!("{millis}ms"),
        1000..60_000 => format!("{}.{}s", millis / 1000, millis % 1000 / 100),
        60_000..3_600_000 => format!("{}m{:02}s", millis / 60_000, millis % 60_000 / 1000),
        3_600_000..86_400_000 => format!("{}h{:02}m", millis / 3_600_000, millis % 3_600_000 / 60_000),
        _ => format!("{}d{:02}h", millis / 86_400_000, millis % 86_400_000 / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_units_and_seconds() {
        for (text, millis) in [
            ("90", 90_000),
            ("0.5", 500),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
            ("1w", 604_800_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", "-1", "1x", "h", "1h30", "1.2.3s", "1e9", "999999999999999999999999999999d", "1 h"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_are_shown_in_two_units() {
        for (millis, text) in
            [(0, "0ms"), (999, "999ms"), (1250, "1.2s"), (61_000, "1m01s"), (3_660_000, "1h01m"), (90_000_000, "1d01h")]
        {
            assert_eq!(show(Duration::from_millis(millis)), text);
        }
    }
}
