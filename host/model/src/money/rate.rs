//! Rates, exact products, and rounding by name.

use std::cmp::Ordering;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Currency, Money, MoneyError};

/// A share of an amount: a tax rate, a percentage off. Exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(Decimal);

/// Parts per million in one.
const PPM: i64 = 1_000_000;

impl Rate {
    /// A rate in parts per million: `83_810` is 8.381 %.
    #[must_use]
    pub fn from_ppm(ppm: u32) -> Rate {
        Rate(Decimal::new(i64::from(ppm), 6))
    }

    /// A rate in percent: `8.381`.
    ///
    /// # Errors
    /// [`MoneyError::BadRate`] when a hundredth of it cannot be expressed exactly.
    pub fn percent(percent: Decimal) -> Result<Rate, MoneyError> {
        let scale = percent.scale() + 2;
        Decimal::try_from_i128_with_scale(percent.mantissa(), scale)
            .map(Rate)
            .map_err(|_| MoneyError::BadRate)
    }

    /// The share as a decimal number: 8.381 % is `0.08381`.
    #[must_use]
    pub fn as_decimal(&self) -> Decimal {
        self.0
    }

    /// Parts per million, if it is a whole number of them.
    #[must_use]
    pub fn ppm(&self) -> Option<i64> {
        let ppm = self.0.checked_mul(Decimal::from(PPM))?.normalize();
        (ppm.scale() == 0).then(|| i64::try_from(ppm.mantissa()).ok())?
    }
}

/// How an exact product becomes minor units. Part of the merchant's settings and of the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// To the nearest; a half goes away from zero (2.5 → 3, −2.5 → −3).
    #[default]
    HalfUp,
    /// To the nearest; a half goes to the even neighbour (2.5 → 2, 3.5 → 4).
    HalfEven,
}

/// Where tax is rounded. Part of the merchant's settings and of the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxRounding {
    /// Each tax of each line.
    #[default]
    Line,
    /// Each tax of one unit, times the quantity; never more than the taxable amount.
    Unit,
    /// Once for the sum of each rate over the whole checkout, then split over its lines.
    SumPerRate,
}

/// An amount that is not rounded yet: a ratio of whole numbers, so that division is exact too.
#[derive(Debug, Clone, Copy)]
pub struct Exact {
    numerator: i128,
    /// Above zero.
    denominator: i128,
    currency: Currency,
}

impl Exact {
    /// The amount itself.
    #[must_use]
    pub fn of(money: Money) -> Exact {
        Exact { numerator: i128::from(money.minor()), denominator: 1, currency: money.currency() }
    }

    /// Times a rate.
    ///
    /// # Errors
    /// The product leaves 128 bits.
    pub fn checked_mul(self, rate: Rate) -> Result<Exact, MoneyError> {
        let rate = rate.as_decimal().normalize();
        let scale = 10_i128.checked_pow(rate.scale()).ok_or(MoneyError::Overflow)?;
        let numerator = self.numerator.checked_mul(rate.mantissa()).ok_or(MoneyError::Overflow)?;
        let denominator = self.denominator.checked_mul(scale).ok_or(MoneyError::Overflow)?;
        Ok(Exact { numerator, denominator, ..self }.reduced())
    }

    /// Times `numerator / denominator`: a tax contained in a price is
    /// `gross × rate / (1 + sum of the contained rates)`.
    ///
    /// # Errors
    /// The divisor is not above zero, or the product leaves 128 bits.
    pub fn checked_ratio(self, numerator: i64, denominator: i64) -> Result<Exact, MoneyError> {
        if denominator <= 0 {
            return Err(MoneyError::BadRate);
        }
        let numerator = self.numerator.checked_mul(i128::from(numerator)).ok_or(MoneyError::Overflow)?;
        let denominator =
            self.denominator.checked_mul(i128::from(denominator)).ok_or(MoneyError::Overflow)?;
        Ok(Exact { numerator, denominator, ..self }.reduced())
    }

    /// The sum.
    ///
    /// # Errors
    /// Currencies differ, or the sum leaves 128 bits.
    pub fn checked_add(self, other: Exact) -> Result<Exact, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency });
        }
        let sum = || {
            let step = gcd(self.denominator, other.denominator);
            let denominator = (self.denominator / step).checked_mul(other.denominator)?;
            let left = self.numerator.checked_mul(other.denominator / step)?;
            let right = other.numerator.checked_mul(self.denominator / step)?;
            Some(Exact { numerator: left.checked_add(right)?, denominator, currency: self.currency })
        };
        sum().map(Exact::reduced).ok_or(MoneyError::Overflow)
    }

    /// Whole minor units, by the named rule.
    ///
    /// # Errors
    /// The result does not fit 64-bit minor units.
    pub fn round(self, rounding: Rounding) -> Result<Money, MoneyError> {
        let floor = self.numerator.div_euclid(self.denominator);
        let rest = self.numerator.rem_euclid(self.denominator);
        // Compares the rest with a half without doubling it, which could overflow.
        let up = match rest.cmp(&(self.denominator - rest)) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => match rounding {
                Rounding::HalfUp => self.numerator > 0,
                Rounding::HalfEven => floor % 2 != 0,
            },
        };
        let minor = i64::try_from(floor + i128::from(up)).map_err(|_| MoneyError::Overflow)?;
        Ok(Money::from_minor(minor, self.currency))
    }

    fn reduced(self) -> Exact {
        let step = gcd(self.numerator, self.denominator);
        Exact { numerator: self.numerator / step, denominator: self.denominator / step, ..self }
    }
}

/// Greatest common divisor; at least 1 because the denominator `b` is above zero.
fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i128::try_from(a).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usd(minor: i64) -> Money {
        Money::from_minor(minor, Currency::from_code("USD").unwrap())
    }

    #[test]
    fn a_half_goes_where_its_name_says() {
        let half = Rate::from_ppm(500_000);
        for (minor, half_up, half_even) in [(5, 3, 2), (7, 4, 4), (-5, -3, -2), (-7, -4, -4), (4, 2, 2)] {
            let exact = usd(minor).times(half).unwrap();
            assert_eq!(exact.round(Rounding::HalfUp).unwrap().minor(), half_up, "{minor}");
            assert_eq!(exact.round(Rounding::HalfEven).unwrap().minor(), half_even, "{minor}");
        }
    }

    #[test]
    fn the_worked_example_rounds_to_the_cent() {
        let off = usd(49_998).times(Rate::from_ppm(150_000)).unwrap().round(Rounding::HalfUp).unwrap();
        assert_eq!(off.minor(), 7_500);
        let tax = usd(41_998).times(Rate::from_ppm(83_810)).unwrap().round(Rounding::HalfUp).unwrap();
        assert_eq!(tax.minor(), 3_520);
    }

    #[test]
    fn a_contained_tax_is_divided_exactly() {
        // 19 % contained in 119.00 is exactly 19.00.
        let tax = Exact::of(usd(11_900)).checked_ratio(190_000, 1_190_000).unwrap();
        assert_eq!(tax.round(Rounding::HalfEven).unwrap().minor(), 1_900);
        assert!(Exact::of(usd(1)).checked_ratio(1, 0).is_err());
    }

    #[test]
    fn percent_and_ppm_are_the_same_rate() {
        assert_eq!(Rate::percent(Decimal::new(8_381, 3)).unwrap(), Rate::from_ppm(83_810));
        assert_eq!(Rate::from_ppm(83_810).ppm(), Some(83_810));
        assert_eq!(Rate::percent(Decimal::new(1, 5)).unwrap().ppm(), None);
    }

    proptest! {
        #[test]
        fn rounding_is_never_more_than_half_a_unit_away(minor in any::<i32>(), ppm in 0_u32..=1_000_000) {
            for rounding in [Rounding::HalfUp, Rounding::HalfEven] {
                let rounded = usd(minor.into()).times(Rate::from_ppm(ppm)).unwrap().round(rounding).unwrap();
                let off = i128::from(rounded.minor()) * 1_000_000 - i128::from(minor) * i128::from(ppm);
                prop_assert!(off.abs() <= 500_000);
            }
        }

        #[test]
        fn exact_sums_do_not_depend_on_order(parts in prop::collection::vec((0_i64..1_000_000, 1_i64..50), 1..8)) {
            let exact = |&(n, d): &(i64, i64)| Exact::of(usd(n)).checked_ratio(1, d).unwrap();
            let sum = |parts: Vec<Exact>| parts.into_iter().try_fold(Exact::of(usd(0)), Exact::checked_add);
            let there = sum(parts.iter().map(exact).collect()).unwrap().round(Rounding::HalfUp);
            let back = sum(parts.iter().rev().map(exact).collect()).unwrap().round(Rounding::HalfUp);
            prop_assert_eq!(there, back);
        }
    }
}
