//! Splitting an amount so that the parts add up.

use serde::{Deserialize, Serialize};

use super::{Money, MoneyError};

/// How an amount is split over lines. Part of the merchant's settings and of the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allocation {
    /// Shares are cut to whole units; units left over go to the largest cut-off parts, ties to the
    /// first line (Hamilton's method).
    #[default]
    LargestRemainder,
    /// Shares are rounded half up; the last line takes what is left, and what would be above its
    /// weight goes to the lines before it.
    ProportionalLastTakesRest,
    /// Shares are cut to whole units; units left over go one by one to the leading lines.
    LeadingUnits,
}

/// Splits `total` by `weights`.
///
/// The parts add up to `total` exactly, none has the other sign, a weight of zero gets nothing, and
/// while `|total|` is not above the sum of the weights no part is above its own weight.
///
/// # Errors
/// [`MoneyError::NegativeWeight`], or [`MoneyError::NoWeight`] when `total` is not zero and no weight
/// is above zero.
pub fn allocate(total: Money, weights: &[i64], by: Allocation) -> Result<Vec<Money>, MoneyError> {
    if let Some(&weight) = weights.iter().find(|weight| **weight < 0) {
        return Err(MoneyError::NegativeWeight { weight });
    }
    let sum = weights.iter().map(|weight| i128::from(*weight)).sum::<i128>();
    if total.is_zero() {
        return Ok(vec![total; weights.len()]);
    }
    if sum == 0 {
        return Err(MoneyError::NoWeight { minor: total.minor() });
    }
    let amount = i128::from(total.minor().unsigned_abs());
    let parts = match by {
        Allocation::LargestRemainder => largest_remainder(amount, weights, sum),
        Allocation::ProportionalLastTakesRest => last_takes_rest(amount, weights, sum),
        Allocation::LeadingUnits => leading_units(amount, weights, sum),
    };
    let sign = i128::from(total.minor().signum());
    let money = |part: i128| {
        let minor = i64::try_from(part * sign).map_err(|_| MoneyError::Overflow)?;
        Ok(Money::from_minor(minor, total.currency()))
    };
    parts.into_iter().map(money).collect()
}

/// Shares cut to whole units, and what was cut off each, in units of `1 / sum`.
fn cut(amount: i128, weights: &[i64], sum: i128) -> (Vec<i128>, Vec<i128>) {
    weights
        .iter()
        .map(|weight| {
            let share = amount * i128::from(*weight);
            (share / sum, share % sum)
        })
        .unzip()
}

fn largest_remainder(amount: i128, weights: &[i64], sum: i128) -> Vec<i128> {
    let (mut parts, rests) = cut(amount, weights, sum);
    let mut left = amount - parts.iter().sum::<i128>();
    let mut order = (0..parts.len()).collect::<Vec<_>>();
    order.sort_by_key(|index| std::cmp::Reverse(rests[*index])); // Stable: ties stay in line order.
    for index in order {
        if left == 0 {
            break;
        }
        parts[index] += 1;
        left -= 1;
    }
    parts
}

fn leading_units(amount: i128, weights: &[i64], sum: i128) -> Vec<i128> {
    let (mut parts, _) = cut(amount, weights, sum);
    let mut left = amount - parts.iter().sum::<i128>();
    for (part, _) in parts.iter_mut().zip(weights).filter(|(_, weight)| **weight > 0) {
        if left == 0 {
            break;
        }
        *part += 1;
        left -= 1;
    }
    parts
}

fn last_takes_rest(amount: i128, weights: &[i64], sum: i128) -> Vec<i128> {
    let mut left = amount;
    let mut parts = weights
        .iter()
        .map(|weight| {
            let share = amount * i128::from(*weight);
            let rounded = share / sum + i128::from(share % sum >= sum - share % sum);
            let part = rounded.min(left);
            left -= part;
            part
        })
        .collect::<Vec<_>>();
    // What rounding left over goes to the last line, then backwards while a weight would be passed.
    for (part, weight) in parts.iter_mut().zip(weights).rev().filter(|(_, weight)| **weight > 0) {
        let room = if amount > sum { left } else { (i128::from(*weight) - *part).min(left) };
        *part += room;
        left -= room;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::Currency;
    use super::*;
    use proptest::prelude::*;

    const ALL: [Allocation; 3] =
        [Allocation::LargestRemainder, Allocation::ProportionalLastTakesRest, Allocation::LeadingUnits];

    fn split(total: i64, weights: &[i64], by: Allocation) -> Vec<i64> {
        let total = Money::from_minor(total, Currency::from_code("USD").unwrap());
        allocate(total, weights, by).unwrap().iter().map(Money::minor).collect()
    }

    #[test]
    fn each_policy_puts_the_odd_cent_where_its_name_says() {
        let weights = [1_000, 1_000, 1_000];
        assert_eq!(split(1_000, &weights, Allocation::LargestRemainder), [334, 333, 333]);
        assert_eq!(split(1_000, &weights, Allocation::ProportionalLastTakesRest), [333, 333, 334]);
        assert_eq!(split(1_000, &weights, Allocation::LeadingUnits), [334, 333, 333]);
        let uneven = [100, 290, 610];
        assert_eq!(split(99, &uneven, Allocation::LargestRemainder), [10, 29, 60]);
        assert_eq!(split(99, &uneven, Allocation::LeadingUnits), [10, 29, 60]);
        assert_eq!(split(7, &[5, 3, 2], Allocation::LargestRemainder), [4, 2, 1]);
        assert_eq!(split(3, &[6, 0, 4], Allocation::LeadingUnits), [2, 0, 1]);
        assert_eq!(split(-1_000, &weights, Allocation::LargestRemainder), [-334, -333, -333]);
    }

    #[test]
    fn the_last_line_never_takes_more_than_its_weight() {
        assert_eq!(
            split(2, &[5, 5, 5, 5, 0, 1], Allocation::ProportionalLastTakesRest).iter().sum::<i64>(),
            2
        );
        assert_eq!(
            split(4, &[1, 1, 1, 1, 1, 1, 1, 1, 1], Allocation::ProportionalLastTakesRest),
            [0, 0, 0, 0, 0, 1, 1, 1, 1]
        );
    }

    #[test]
    fn nothing_to_weigh_by_is_an_error() {
        let usd = Currency::from_code("USD").unwrap();
        let one = Money::from_minor(1, usd);
        assert!(matches!(allocate(one, &[0, 0], Allocation::default()), Err(MoneyError::NoWeight { .. })));
        assert!(matches!(
            allocate(one, &[1, -1], Allocation::default()),
            Err(MoneyError::NegativeWeight { .. })
        ));
        assert_eq!(allocate(Money::zero(usd), &[0], Allocation::default()).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn parts_add_up_keep_their_sign_and_stay_below_their_weights(
            weights in prop::collection::vec(prop_oneof![Just(0_i64), 1_i64..20, 1_i64..1_000_000_000_000], 1..30),
            share in 0_u32..=1_000_000,
            negative in any::<bool>(),
            code in prop_oneof![Just("USD"), Just("JPY"), Just("KWD")],
        ) {
            let sum = weights.iter().map(|weight| i128::from(*weight)).sum::<i128>();
            let amount = i64::try_from(sum * i128::from(share) / 1_000_000).unwrap();
            let total = Money::from_minor(if negative { -amount } else { amount }, Currency::from_code(code).unwrap());
            for by in ALL {
                let parts = allocate(total, &weights, by).unwrap();
                prop_assert_eq!(Money::checked_sum(total.currency(), parts.iter().copied()).unwrap(), total);
                for (part, weight) in parts.iter().zip(&weights) {
                    prop_assert!(part.is_zero() || part.is_negative() == negative);
                    prop_assert!(part.minor().abs() <= *weight, "{by:?} gives {part} of {weight}");
                }
            }
        }

        #[test]
        fn amounts_above_the_weights_add_up_too(
            weights in prop::collection::vec(0_i64..5, 1..10),
            total in 0_i64..1_000_000_000_000,
        ) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let total = Money::from_minor(total, Currency::from_code("USD").unwrap());
            for by in ALL {
                let parts = allocate(total, &weights, by).unwrap();
                prop_assert_eq!(Money::checked_sum(total.currency(), parts.iter().copied()).unwrap(), total);
                prop_assert!(parts.iter().all(|part| !part.is_negative()));
            }
        }
    }
}
