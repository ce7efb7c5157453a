//! An amount: minor units and a currency.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Currency, Exact, MoneyError, Rate};

/// An amount in integer minor units (cents of USD, whole yen of JPY, thousandths of KWD).
///
/// Negative only in adjustments and refunds. `Serialize` is the persisted format: the pair
/// `{"minor": 24999, "currency": "USD"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// An amount of `minor` units of `currency`.
    #[must_use]
    pub fn from_minor(minor: i64, currency: Currency) -> Money {
        Money { minor, currency }
    }

    /// Nothing, in `currency`.
    #[must_use]
    pub fn zero(currency: Currency) -> Money {
        Money { minor: 0, currency }
    }

    /// The minor units.
    #[must_use]
    pub fn minor(&self) -> i64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Exactly zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.minor == 0
    }

    /// Below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.minor < 0
    }

    fn same(&self, other: Money) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
        }
    }

    fn checked(&self, minor: Option<i64>) -> Result<Money, MoneyError> {
        minor.map(|minor| Money { minor, currency: self.currency }).ok_or(MoneyError::Overflow)
    }

    /// The sum.
    ///
    /// # Errors
    /// Currencies differ, or the sum overflows.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.same(other)?;
        self.checked(self.minor.checked_add(other.minor))
    }

    /// The difference.
    ///
    /// # Errors
    /// Currencies differ, or the difference overflows.
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.same(other)?;
        self.checked(self.minor.checked_sub(other.minor))
    }

    /// The amount with the other sign.
    ///
    /// # Errors
    /// The smallest 64-bit number has no opposite.
    pub fn checked_neg(self) -> Result<Money, MoneyError> {
        self.checked(self.minor.checked_neg())
    }

    /// The price of `quantity` units.
    ///
    /// # Errors
    /// The product overflows.
    pub fn checked_mul_qty(self, quantity: u32) -> Result<Money, MoneyError> {
        self.checked(self.minor.checked_mul(i64::from(quantity)))
    }

    /// The smaller of two amounts.
    ///
    /// # Errors
    /// Currencies differ.
    pub fn checked_min(self, other: Money) -> Result<Money, MoneyError> {
        self.same(other)?;
        Ok(if other.minor < self.minor { other } else { self })
    }

    /// A share of the amount, exact until it is rounded by name.
    ///
    /// # Errors
    /// The product leaves 128 bits.
    pub fn times(self, rate: Rate) -> Result<Exact, MoneyError> {
        Exact::of(self).checked_mul(rate)
    }

    /// The sum of amounts of one currency; zero when there is none.
    ///
    /// # Errors
    /// Currencies differ, or the sum overflows.
    pub fn checked_sum(
        currency: Currency,
        parts: impl IntoIterator<Item = Money>,
    ) -> Result<Money, MoneyError> {
        parts.into_iter().try_fold(Money::zero(currency), Money::checked_add)
    }

    /// Decimal text with exactly the currency's digits: `249.99` USD, `500` JPY, `0.250` KWD.
    #[must_use]
    pub fn to_decimal_string(&self) -> String {
        let digits = usize::from(self.currency.exponent());
        let sign = if self.minor < 0 { "-" } else { "" };
        let all = format!("{:0width$}", self.minor.unsigned_abs(), width = digits + 1);
        let (major, minor) = all.split_at(all.len() - digits);
        if digits == 0 { format!("{sign}{major}") } else { format!("{sign}{major}.{minor}") }
    }

    /// The same as a JSON number with exactly these digits.
    #[must_use]
    pub fn to_json_number(&self) -> Box<RawValue> {
        RawValue::from_string(self.to_decimal_string()).expect("digits with a point are a JSON number")
    }

    /// Reads decimal text exactly, never through a float. The text is a JSON number without an
    /// exponent: `249.99`, `249.9`, `249`, `-3`. Fewer digits than the currency has are filled up.
    ///
    /// # Errors
    /// [`MoneyError::NotDecimal`] for any other form, [`MoneyError::TooManyDigits`] for more digits
    /// after the point than the currency has, [`MoneyError::Overflow`] beyond 64-bit minor units.
    pub fn parse_decimal(text: &str, currency: Currency) -> Result<Money, MoneyError> {
        let shown = || text.chars().take(40).collect::<String>();
        let not_decimal = || MoneyError::NotDecimal { text: shown() };
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (major, fraction) = match unsigned.split_once('.') {
            Some((_, "")) => return Err(not_decimal()),
            Some((major, fraction)) => (major, fraction),
            None => (unsigned, ""),
        };
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = major.len() > 1 && major.starts_with('0');
        if major.is_empty() || leading_zero || !digits_only(major) || !digits_only(fraction) {
            return Err(not_decimal());
        }
        let digits_max = currency.exponent();
        if fraction.len() > usize::from(digits_max) {
            return Err(MoneyError::TooManyDigits { text: shown(), currency, digits_max });
        }
        let fill = std::iter::repeat_n(b'0', usize::from(digits_max) - fraction.len());
        let minor = major
            .bytes()
            .chain(fraction.bytes())
            .chain(fill)
            .try_fold(0_i64, |sum, byte| {
                let digit = i64::from(byte - b'0');
                let sum = sum.checked_mul(10)?;
                if negative { sum.checked_sub(digit) } else { sum.checked_add(digit) }
            })
            .ok_or(MoneyError::Overflow)?;
        Ok(Money { minor, currency })
    }
}

/// For logs and messages: `249.99 USD`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal_string(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        Currency::from_code(code).unwrap()
    }

    #[test]
    fn decimal_text_has_exactly_the_currencys_digits() {
        for (minor, code, text) in [
            (24999, "USD", "249.99"),
            (7500, "USD", "75.00"),
            (5, "USD", "0.05"),
            (-5, "USD", "-0.05"),
            (500, "JPY", "500"),
            (0, "JPY", "0"),
            (250, "KWD", "0.250"),
            (1, "CLF", "0.0001"),
            (i64::MIN, "USD", "-92233720368547758.08"),
        ] {
            let money = Money::from_minor(minor, currency(code));
            assert_eq!(money.to_decimal_string(), text);
            assert_eq!(Money::parse_decimal(text, currency(code)), Ok(money));
        }
        assert_eq!(Money::parse_decimal("249.9", currency("USD")).unwrap().minor(), 24990);
        assert_eq!(Money::parse_decimal("75", currency("USD")).unwrap().minor(), 7500);
    }

    #[test]
    fn other_forms_are_refused_with_the_reason() {
        let usd = currency("USD");
        for text in
            ["", "-", "+1", "1e2", "1E2", ".5", "1.", "01", "1,5", " 1", "1 ", "NaN", "0x1", "1.5.5", "１"]
        {
            assert!(matches!(Money::parse_decimal(text, usd), Err(MoneyError::NotDecimal { .. })), "{text}");
        }
        assert!(matches!(
            Money::parse_decimal("1.999", usd),
            Err(MoneyError::TooManyDigits { digits_max: 2, .. })
        ));
        assert!(matches!(
            Money::parse_decimal("1.0", currency("JPY")),
            Err(MoneyError::TooManyDigits { .. })
        ));
        assert_eq!(Money::parse_decimal("92233720368547758.08", usd), Err(MoneyError::Overflow));
    }

    #[test]
    fn currencies_do_not_mix_and_sums_do_not_wrap() {
        let one = Money::from_minor(1, currency("USD"));
        let yen = Money::from_minor(1, currency("JPY"));
        assert!(matches!(one.checked_add(yen), Err(MoneyError::CurrencyMismatch { .. })));
        let most = Money::from_minor(i64::MAX, currency("USD"));
        assert_eq!(most.checked_add(one), Err(MoneyError::Overflow));
        assert_eq!(most.checked_mul_qty(2), Err(MoneyError::Overflow));
    }

    proptest! {
        #[test]
        fn decimal_text_comes_back_as_the_same_amount(
            minor in any::<i64>(),
            code in prop_oneof![Just("USD"), Just("JPY"), Just("KWD"), Just("CLF")],
        ) {
            let money = Money::from_minor(minor, currency(code));
            prop_assert_eq!(Money::parse_decimal(&money.to_decimal_string(), currency(code)), Ok(money));
        }
    }
}
