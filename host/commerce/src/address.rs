//! Addresses as the post of each country wants them: what is needed, what a postal code looks like, which regions there
//! are. An address is brought into its usual form first ([`tidy`]), and what is wrong is told part by part ([`faults`]).
//!
//! Countries and subdivisions are those of ISO 3166; formats are data (`address/formats.json`, which names its source).
//! Whether a street exists nobody here knows.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, OnceLock};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::quote::Address;

/// Examples of postal codes that a message names.
const EXAMPLES_TOLD: usize = 2;

/// What is wrong with a part of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Part of [`Address`]: `street`, `city`, `region`, `postal_code`, `country`.
    pub part: &'static str,
    /// It is not there; else it is there and cannot be right.
    pub missing: bool,
    /// What is needed, for people.
    pub why: String,
}

/// How a country writes addresses.
#[derive(Debug, Deserialize)]
struct Format {
    /// `A` street, `C` city, `S` region, `Z` postal code.
    needs: String,
    /// Regular expression of a whole postal code.
    #[serde(default)]
    postal: Option<String>,
    /// Postal codes in the form in which they are written.
    #[serde(default)]
    examples: Vec<String>,
    /// Regions, where one is needed and the post knows them: code, then names.
    #[serde(default)]
    regions: Vec<Vec<String>>,
    #[serde(skip)]
    pattern: OnceLock<Option<Regex>>,
    #[serde(skip)]
    names: OnceLock<HashMap<String, usize>>,
}

#[derive(Deserialize)]
struct Formats {
    countries: BTreeMap<String, Format>,
}

static FORMATS: LazyLock<Formats> = LazyLock::new(|| {
    serde_json::from_str(include_str!("address/formats.json")).expect("a test reads the same file")
});

impl Format {
    fn pattern(&self) -> Option<&Regex> {
        let made = self.pattern.get_or_init(|| {
            let whole = format!("^(?:{})$", self.postal.as_deref()?);
            RegexBuilder::new(&whole).unicode(false).build().ok()
        });
        made.as_ref()
    }

    /// The code of a region that is named by its code or one of its names.
    fn region(&self, text: &str) -> Option<&str> {
        let names = self.names.get_or_init(|| {
            let all = self.regions.iter().enumerate();
            let named = all.flat_map(|(at, names)| names.iter().map(move |name| (name.to_lowercase(), at)));
            // Of two regions with one name the first one stays.
            let mut known = HashMap::new();
            for (name, at) in named {
                known.entry(name).or_insert(at);
            }
            known
        });
        let at = names.get(&text.to_lowercase())?;
        self.regions[*at].first().map(String::as_str)
    }

    /// A postal code as it is written here; none where it cannot be one.
    fn postal_code(&self, text: &str) -> Option<String> {
        let Some(pattern) = self.pattern() else { return Some(text.to_owned()) };
        let bare: String = text.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        // As the examples have it: first those of the same length, then by what stands behind the gap.
        let same = self.examples.iter().filter_map(|example| gapped(&bare, example, true));
        let alike = self.examples.iter().filter_map(|example| gapped(&bare, example, false));
        let tried = same.chain(alike).chain([text.to_owned(), bare.clone()]);
        tried.into_iter().find(|code| pattern.is_match(code))
    }
}

/// A bare code with the gap that an example has.
fn gapped(bare: &str, example: &str, same_length: bool) -> Option<String> {
    let gap = example.find(|c: char| !c.is_ascii_alphanumeric());
    let length = example.chars().filter(char::is_ascii_alphanumeric).count();
    let Some(gap) = gap else { return (length == bare.len()).then(|| bare.to_owned()) };
    let behind = length - gap;
    let at =
        if same_length { (length == bare.len()).then_some(gap)? } else { bare.len().checked_sub(behind)? };
    let sign = example[gap..].chars().next()?;
    Some(format!("{}{sign}{}", bare.get(..at)?, bare.get(at..)?))
}

/// One line, without blanks around it and with one between words; control characters count as blanks.
fn line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Whether ISO 3166-1 or the post knows a country by these two letters.
fn is_country(code: &str) -> bool {
    FORMATS.countries.contains_key(code) || rust_iso3166::from_alpha2(code).is_some()
}

fn region(country: &str, text: &str) -> String {
    let local = text.get(..3).filter(|start| start.eq_ignore_ascii_case(&format!("{country}-")));
    let bare = if local.is_some() { &text[3..] } else { text };
    if let Some(code) = FORMATS.countries.get(country).and_then(|format| format.region(bare)) {
        return code.to_owned();
    }
    let upper = bare.to_uppercase();
    match rust_iso3166::iso3166_2::from_code(&format!("{country}-{upper}")) {
        Some(_) => upper,
        None => text.to_owned(),
    }
}

/// An address in its usual form: no needless blanks, country and postal code in capitals, the postal code with its gap
/// (`k1a0b1` in Canada is `K1A 0B1`), a region by its code. What it does not understand it leaves as it is.
#[must_use]
pub fn tidy(address: Address) -> Address {
    let country = line(&address.country).to_ascii_uppercase();
    let format = FORMATS.countries.get(&country);
    let code = line(&address.postal_code).to_uppercase();
    let postal_code = match format.filter(|_| !code.is_empty()) {
        Some(format) => format.postal_code(&code).unwrap_or(code),
        None => code,
    };
    Address {
        name: line(&address.name),
        company: line(&address.company),
        street: address.street.iter().map(|text| line(text)).filter(|text| !text.is_empty()).collect(),
        city: line(&address.city),
        region: region(&country, &line(&address.region)),
        postal_code,
        phone: line(&address.phone),
        country,
    }
}

/// All that is wrong with an address that is [`tidy`], in the order of its parts. None: the post can read it.
#[must_use]
pub fn faults(address: &Address) -> Vec<Fault> {
    let mut all = Vec::new();
    let mut tell = |part, missing, why: String| all.push(Fault { part, missing, why });
    let country = address.country.as_str();
    let known = is_country(country);
    let format = FORMATS.countries.get(country).filter(|_| known);
    let needs = format.map_or("AC", |format| format.needs.as_str());
    if needs.contains('A') && address.street.iter().all(|text| text.trim().is_empty()) {
        tell("street", true, "missing".to_owned());
    }
    if needs.contains('C') && address.city.trim().is_empty() {
        tell("city", true, "missing".to_owned());
    }
    if let Some(format) = format {
        region_faults(address, format, &mut tell);
        postal_faults(address, format, &mut tell);
    }
    if country.is_empty() {
        tell("country", true, "missing".to_owned());
    } else if !known {
        let why = "two letters of ISO 3166-1 that stand for a country are needed, for example `US`";
        tell("country", false, why.to_owned());
    }
    all
}

fn region_faults(address: &Address, format: &Format, tell: &mut impl FnMut(&'static str, bool, String)) {
    let (country, region) = (&address.country, &address.region);
    let example = format.regions.first().and_then(|names| names.first());
    let example = example.map(|code| format!(", for example `{code}`")).unwrap_or_default();
    if !format.needs.contains('S') {
        return;
    }
    if region.is_empty() {
        tell(
            "region",
            true,
            format!("missing: an address in {country} needs its state or province{example}"),
        );
    } else if !format.regions.is_empty() && format.region(region).is_none() {
        tell("region", false, format!("a state or province of {country} is needed{example}"));
    }
}

fn postal_faults(address: &Address, format: &Format, tell: &mut impl FnMut(&'static str, bool, String)) {
    let (country, code) = (&address.country, &address.postal_code);
    let examples: Vec<String> =
        format.examples.iter().take(EXAMPLES_TOLD).map(|example| format!("`{example}`")).collect();
    let like = match examples.is_empty() {
        true => String::new(),
        false => format!(", for example {}", examples.join(" or ")),
    };
    if code.is_empty() {
        if format.needs.contains('Z') {
            tell(
                "postal_code",
                true,
                format!("missing: an address in {country} needs its postal code{like}"),
            );
        }
    } else if format.postal_code(code).is_none() {
        tell("postal_code", false, format!("this is no postal code of {country}; one is needed{like}"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(country: &str, region: &str, postal_code: &str) -> Address {
        tidy(Address {
            street: vec!["  1  Main\tSt ".to_owned(), " ".to_owned()],
            city: " San\u{a0} Francisco ".to_owned(),
            region: region.to_owned(),
            postal_code: postal_code.to_owned(),
            country: country.to_owned(),
            ..Address::default()
        })
    }

    #[test]
    fn the_file_is_whole_and_every_example_is_a_code_of_its_country() {
        for (country, format) in &FORMATS.countries {
            assert_eq!(format.pattern().is_some(), format.postal.is_some(), "{country}");
            for example in &format.examples {
                assert_eq!(format.postal_code(example).as_ref(), Some(example), "{country}");
            }
            for names in &format.regions {
                assert_eq!(format.region(&names[0]), Some(names[0].as_str()), "{country}");
            }
        }
        assert!(FORMATS.countries.len() > 240);
    }

    #[test]
    fn an_address_is_brought_into_its_usual_form() {
        for (country, typed, written) in [
            ("ca", "k1a0b1", "K1A 0B1"),
            ("GB", "ec1a1bb", "EC1A 1BB"),
            ("gb", "m25bq", "M2 5BQ"),
            ("US", " 941051234", "94105-1234"),
            ("us", "94105", "94105"),
            ("jp", "1540023", "154-0023"),
            ("br", "40301110", "40301-110"),
            ("pl", "00950", "00-950"),
            ("nl", "1234ab", "1234 AB"),
            ("de", " 26133 ", "26133"),
            ("se", "114 55", "11455"),
        ] {
            let made = address(country, "", typed);
            assert_eq!(made.postal_code, written, "{country} {typed}");
            assert_eq!(made.country, country.to_uppercase());
        }
        let made = address("us", "california", "94105");
        assert_eq!(
            (made.street.as_slice(), made.city.as_str()),
            (&["1 Main St".to_owned()][..], "San Francisco")
        );
        for (country, typed, code) in [
            ("us", "us-ca", "CA"),
            ("US", "ny", "NY"),
            ("jp", "Tokyo", "13"),
            ("jp", "東京都", "13"),
            ("DE", "by", "BY"),
            ("DE", "Bayern", "Bayern"),
            ("ie", "Co. Cork", "Co. Cork"),
        ] {
            assert_eq!(address(country, typed, "").region, code, "{country} {typed}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_part_by_part() {
        let told = |country: &str, region: &str, code: &str| -> Vec<(&'static str, bool)> {
            faults(&address(country, region, code)).iter().map(|fault| (fault.part, fault.missing)).collect()
        };
        assert_eq!(told("US", "CA", "94105"), []);
        assert_eq!(told("DE", "", "26133"), []);
        assert_eq!(told("HK", "Kowloon", ""), []);
        assert_eq!(told("AO", "", ""), [], "a country whose post has no codes");
        assert_eq!(told("US", "", ""), [("region", true), ("postal_code", true)]);
        assert_eq!(told("US", "XX", "9410"), [("region", false), ("postal_code", false)]);
        assert_eq!(told("GB", "", "12345"), [("postal_code", false)]);
        assert_eq!(told("XX", "CA", "1"), [("country", false)]);
        assert_eq!(told("", "", ""), [("country", true)]);
        let why = &faults(&address("US", "CA", "K1A 0B1"))[0].why;
        assert!(why.contains("US") && why.contains("95014"), "{why}");
        let nothing = faults(&Address { country: "US".to_owned(), ..Address::default() });
        let parts: Vec<&str> = nothing.iter().map(|fault| fault.part).collect();
        assert_eq!(parts, ["street", "city", "region", "postal_code"]);
    }

    proptest! {
        /// Whatever is typed, an address in its usual form stays as it is, and nothing breaks.
        #[test]
        fn an_address_in_its_usual_form_stays_so(
            country in prop_oneof!["[A-Za-z]{2}", "[A-Z]{2}", ".{0,4}"],
            region in prop_oneof!["[A-Za-z-]{0,6}", ".{0,12}"],
            code in prop_oneof!["[0-9A-Za-z -]{0,12}", ".{0,12}"],
        ) {
            let once = address(&country, &region, &code);
            prop_assert_eq!(&tidy(once.clone()), &once);
            prop_assert_eq!(faults(&once), faults(&once.clone()));
        }
    }
}
