//! Lengths of time and points in time, as people write them.

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

/// Reads a time of RFC 3339, such as `2013-01-01T10:00:00Z` or `2013-01-01 05:00:00.25-05:00`, as milliseconds since 1970.
///
/// Parts of a millisecond are cut off. A leap second is the second behind it, as for any clock that counts from 1970.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.split_at_checked(10)?;
    let [year, month, day] = digits(date, [4, 2, 2], '-')?;
    let leap_day = i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    let month_lens = [31, 28 + leap_day, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month).ok()?.checked_sub(1)?;
    let is_date = (1..=*month_lens.get(month)?).contains(&day);
    let years = year - 1;
    let days =
        years * 365 + years / 4 - years / 100 + years / 400 + month_lens.iter().take(month).sum::<i64>() + day - 1;

    let (time, rest) = time.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let [hour, minute, second] = digits(time, [2, 2, 2], ':')?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).filter(|len| *len > 0)?),
        None => ("0", rest),
    };
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let (sign, offset) = match zone {
        "Z" | "z" => (1, [0, 0]),
        _ => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            (sign, digits(zone.strip_prefix(['+', '-'])?, [2, 2], ':')?)
        }
    };
    let [offset_hours, offset_minutes] = offset;
    let is_time = hour < 24 && minute < 60 && second <= 60 && offset_hours < 24 && offset_minutes < 60;

    let seconds = (days - DAYS_TO_1970) * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = seconds - sign * (offset_hours * 3600 + offset_minutes * 60);
    u64::try_from(seconds * 1000 + millis).ok().filter(|_| is_date && is_time)
}

/// From the beginning of the year 1.
const DAYS_TO_1970: i64 = 719_162;

/// Numbers of so many digits each, with a character between them, and nothing else.
fn digits<const N: usize>(text: &str, lens: [usize; N], between: char) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, len) in numbers.iter_mut().zip(lens) {
        let part = parts.next().filter(|part| part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
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
    fn times_of_rfc_3339_are_read_to_the_millisecond() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1985-04-12T23:20:50.52Z", 482_196_050_520),
            ("1990-12-31T23:59:60Z", 662_688_000_000),
            ("1996-12-19t16:39:57-08:00", 851_042_397_000),
            ("1937-01-01T12:00:27.87+00:20", u64::MAX),
            ("2000-02-29 00:00:00.0009z", 951_782_400_000),
            ("2013-01-01T10:00:00.123456789Z", 1_357_034_400_123),
            ("2026-11-29T15:30:00+05:30", 1_795_946_400_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(parse_rfc3339(text), (millis < u64::MAX).then_some(millis), "{text}");
        }
        for wrong in [
            "",
            "2013-01-01",
            "2013-01-01T10:00:00",
            "2013-01-01T10:00Z",
            "2013-01-01T10:00:00.Z",
            "2013-01-01T10:00:00.5",
            "2013-01-01T10:00:00Zx",
            "2013-01-01T10:00:00+0500",
            "2013-01-01T10:00:00+24:00",
            "2013-02-29T10:00:00Z",
            "1900-02-29T10:00:00Z",
            "2013-13-01T10:00:00Z",
            "2013-00-01T10:00:00Z",
            "2013-01-00T10:00:00Z",
            "2013-01-01T24:00:00Z",
            "2013-01-01T10:60:00Z",
            "2013-01-01T10:00:61Z",
            "2013-1-01T10:00:00Z",
            "+013-01-01T10:00:00Z",
            "0000-01-01T00:00:00Z",
            "2013-01-01é10:00:00Z",
            "2013-01-0éT10:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong:?}");
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
