//! The words built in, by language, and how amounts and days are written there.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use till_model::money::Money;

use super::Kind;
use super::template::Source;

/// Languages that are built in.
pub(crate) const LANGUAGES: [&str; 3] = ["en", "de", "fr"];

static ALL: LazyLock<[Words; 3]> = LazyLock::new(|| {
    [include_str!("words/en.json"), include_str!("words/de.json"), include_str!("words/fr.json")]
        .map(|text| serde_json::from_str(text).expect("the words built in are sound; a test reads them all"))
});

const TEXT: &str = include_str!("words/layout.txt");
const HTML: &str = include_str!("words/layout.html");
const SMS: &str =
    "{% if shop %}{{ shop }}: {% endif %}@message@{% if trackingUrl %} {{ trackingUrl }}{% endif %}";

/// The words of a language.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    decimal: String,
    group: String,
    /// `{d}`, `{m}` and `{y}` are filled in.
    day: String,
    months: [String; 12],
    /// `@name@` of the layouts.
    labels: BTreeMap<String, String>,
    statuses: BTreeMap<String, String>,
    kinds: BTreeMap<String, Said>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    title: String,
    message: String,
}

/// The words of a language; none: it is not built in.
pub(super) fn of(language: &str) -> Option<&'static Words> {
    LANGUAGES.iter().position(|known| known.eq_ignore_ascii_case(language)).map(|at| &ALL[at])
}

/// The words that are always there.
pub(super) fn english() -> &'static Words {
    &ALL[0]
}

impl Words {
    /// Title and message of a kind.
    pub(super) fn of_kind(&self, kind: &Kind) -> (&str, &str) {
        self.kinds.get(kind.name).map_or(("", ""), |said| (&said.title, &said.message))
    }

    /// What a status is called.
    pub(super) fn of_status(&self, status: &str) -> Option<&str> {
        self.statuses.get(status).map(String::as_str)
    }

    /// The templates of a kind, as a merchant may take them over and change them.
    pub(super) fn source(&self, kind: &Kind) -> Source {
        let (title, message) = self.of_kind(kind);
        let put = |layout: &str| {
            let said = layout.replace("@title@", title).replace("@message@", message);
            let labels = self.labels.iter();
            labels.fold(said, |text, (name, label)| text.replace(&format!("@{name}@"), label))
        };
        Source {
            subject: put("@title@ – {{ order.number }}{% if shop %} – {{ shop }}{% endif %}"),
            text: put(TEXT),
            html: put(HTML),
            sms: put(SMS),
        }
    }
}

/// An amount with all its digits and its currency: `1.234,56 EUR`. Plain in a language that is not built in.
pub(super) fn amount(words: Option<&Words>, money: Money) -> String {
    let plain = money.to_decimal_string();
    let code = money.currency();
    let Some(words) = words else { return format!("{plain} {}", code.code()) };
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.as_str()), |rest| ("-", rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push_str(&words.group);
        }
        grouped.push(digit);
    }
    let decimal = if part.is_empty() { "" } else { &words.decimal };
    format!("{sign}{grouped}{decimal}{part} {}", code.code())
}

/// A day, UTC: `10 August 2024`. As ISO 8601 in a language that is not built in.
pub(super) fn day(words: Option<&Words>, us: i64) -> String {
    let Ok(time) = Timestamp::from_microsecond(us) else { return String::new() };
    let day = time.to_zoned(TimeZone::UTC).date();
    let Some(words) = words else { return day.to_string() };
    let month = usize::try_from(day.month() - 1).ok().and_then(|at| words.months.get(at));
    let text = words.day.replace("{d}", &day.day().to_string()).replace("{y}", &day.year().to_string());
    text.replace("{m}", month.map_or("", String::as_str))
}

#[cfg(test)]
mod tests {
    use till_model::money::Currency;

    use super::*;

    #[test]
    fn amounts_keep_every_digit_in_every_language() {
        let money = |minor, code| Money::from_minor(minor, Currency::from_code(code).unwrap());
        let told = |language, minor, code| amount(of(language), money(minor, code));
        assert_eq!(told("en", 123_456_789, "USD"), "1,234,567.89 USD");
        assert_eq!(told("de", 123_456, "EUR"), "1.234,56 EUR");
        assert_eq!(told("fr", 123_456, "EUR"), "1\u{202f}234,56 EUR");
        assert_eq!(told("en", 5, "USD"), "0.05 USD");
        assert_eq!(told("de", -99_999, "USD"), "-999,99 USD");
        assert_eq!(told("en", 123_456, "JPY"), "123,456 JPY");
        assert_eq!(told("hi", 123_456, "USD"), "1234.56 USD");
        assert_eq!(told("en", i64::MIN, "USD"), "-92,233,720,368,547,758.08 USD");
    }

    #[test]
    fn days_are_written_as_the_language_does() {
        let us = 1_723_284_000_000_000;
        assert_eq!(day(of("en"), us), "August 10, 2024");
        assert_eq!(day(of("de"), us), "10. August 2024");
        assert_eq!(day(of("fr"), us), "10 août 2024");
        assert_eq!(day(None, us), "2024-08-10");
    }
}
