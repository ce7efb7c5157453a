//! Dates as merchants write them: `2024-06-01` or `2024-06-01T08:30:00Z`, always UTC.

use serde::{Deserialize, Deserializer, de::Error};

/// Milliseconds since the Unix epoch, read from a date or a date with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub u64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).map(Moment).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is no date: write 2024-06-01 or 2024-06-01T08:30:00Z"))
        })
    }
}

fn parse(text: &str) -> Option<u64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = three(date, '-')?;
    let [hour, minute, second] = three(time, ':')?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1970..=9999).contains(&year)
        || day == 0
        || day > month_days
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    Some((((days_to(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1_000)
}

fn three(text: &str, between: char) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut number = || {
        let part = parts.next()?;
        let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { part.parse().ok() } else { None }
    };
    let numbers = [number()?, number()?, number()?];
    parts.next().is_none().then_some(numbers)
}

/// Days from 1970-01-01. Years are counted from March, so that the leap day is the last.
fn days_to(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_month = (153 * month + 2) / 5;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + days_before_month + day;
    days - 719_469 // 1970-01-01 by the same count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_impossible_ones_are_not() {
        assert_eq!(parse("1970-01-01"), Some(0));
        assert_eq!(parse("2024-02-29T12:00:00Z"), Some(1_709_208_000_000));
        assert_eq!(parse("2000-03-01"), Some(951_868_800_000));
        for bad in [
            "2023-02-29",
            "2024-13-01",
            "2024-06-01T08:30",
            "2024-06-01T08:30:00",
            "24-6",
            "",
            "2024-06-31",
            "+2024-01-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
