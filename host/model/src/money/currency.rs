//! Currencies of ISO 4217 with their exponents.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::MoneyError;

/// A currency of ISO 4217. Persisted as its code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency {
    code: [u8; 3],
    exponent: u8,
}

/// Codes in use whose minor unit is a hundredth (ISO 4217, list one).
const EXPONENT_2: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN \
BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP \
GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK \
MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD \
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES \
WST XCD XCG YER ZAR ZMW ZWG";
/// Codes without a minor unit.
const EXPONENT_0: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
/// Codes whose minor unit is a thousandth.
const EXPONENT_3: &str = "BHD IQD JOD KWD LYD OMR TND";
/// Codes with four digits after the point.
const EXPONENT_4: &str = "CLF UYW";

impl Currency {
    /// The currency of an ISO 4217 code in capitals.
    ///
    /// # Errors
    /// [`MoneyError::UnknownCurrency`] for anything else.
    pub fn from_code(code: &str) -> Result<Currency, MoneyError> {
        let unknown = || MoneyError::UnknownCurrency { code: code.chars().take(16).collect() };
        let &[a, b, c] = code.as_bytes() else { return Err(unknown()) };
        let tables = [(EXPONENT_2, 2), (EXPONENT_0, 0), (EXPONENT_3, 3), (EXPONENT_4, 4)];
        let (_, exponent) = tables
            .into_iter()
            .find(|(codes, _)| codes.split(' ').any(|known| known == code))
            .ok_or_else(unknown)?;
        Ok(Currency { code: [a, b, c], exponent })
    }

    /// The three capitals of ISO 4217.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).expect("a code is three capitals by construction")
    }

    /// Digits after the point: JPY 0, USD 2, KWD 3, CLF 4.
    #[must_use]
    pub fn exponent(&self) -> u8 {
        self.exponent
    }

    /// Minor units in one major unit: JPY 1, USD 100, KWD 1000.
    #[must_use]
    pub fn minor_per_major(&self) -> i64 {
        10_i64.pow(u32::from(self.exponent))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(code: &str) -> Result<Currency, MoneyError> {
        Currency::from_code(code)
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(code: String) -> Result<Currency, MoneyError> {
        Currency::from_code(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_follow_iso_4217() {
        for (code, exponent) in [("JPY", 0), ("USD", 2), ("INR", 2), ("KWD", 3), ("CLF", 4)] {
            assert_eq!(Currency::from_code(code).unwrap().exponent(), exponent, "{code}");
        }
        for (list, len) in [(EXPONENT_2, 3), (EXPONENT_0, 3), (EXPONENT_3, 3), (EXPONENT_4, 3)] {
            assert!(list.split(' ').all(|code| code.len() == len), "a code is three letters");
        }
    }

    #[test]
    fn other_codes_are_refused() {
        for code in ["usd", "XXX", "", "US", "USDT", "€", "D A"] {
            assert!(Currency::from_code(code).is_err(), "{code}");
        }
    }
}
