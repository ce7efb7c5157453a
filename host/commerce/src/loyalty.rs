//! Loyalty: tiers by points earned, and points that expire, oldest first.

use till_store::tables::loyalty::PointsSums;

use crate::settings::PointsSettings;

/// A day, microseconds.
pub const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// The tier that so many points, earned in all, reach, and the one after it. `tiers` ascend.
#[must_use]
pub fn tier(settings: &PointsSettings, lifetime: i64) -> (Option<&str>, Option<(&str, i64)>) {
    let reached = settings.tiers.iter().rfind(|tier| tier.from <= lifetime);
    let next = settings.tiers.iter().find(|tier| tier.from > lifetime);
    (reached.map(|tier| tier.name.as_str()), next.map(|tier| (tier.name.as_str(), tier.from)))
}

/// How many points expire of a balance, if those of `sums.old` are too old. Points that went are taken from the oldest;
/// what a customer had before the ledger began is older than all of it and never expires. What a checkout holds is as good
/// as gone: given back, it expires the next time.
#[must_use]
pub fn expired(balance: i64, held: i64, sums: &PointsSums) -> i64 {
    let opening = (balance - sums.all).max(0);
    let gone = (sums.gone - opening).max(0);
    (sums.old - gone - held).clamp(0, (balance - held).max(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::TierLevel;

    #[test]
    fn a_tier_is_the_highest_that_is_reached() {
        let level = |name: &str, from| TierLevel { name: name.to_owned(), from };
        let settings = PointsSettings {
            tiers: vec![level("silver", 100), level("gold", 500)],
            ..PointsSettings::default()
        };
        assert_eq!(tier(&settings, 99), (None, Some(("silver", 100))));
        assert_eq!(tier(&settings, 100), (Some("silver"), Some(("gold", 500))));
        assert_eq!(tier(&settings, 9_000), (Some("gold"), None));
        assert_eq!(tier(&PointsSettings::default(), 9_000), (None, None));
    }

    proptest! {
        /// Beside a ledger that keeps each lot by itself.
        #[test]
        fn what_expires_is_what_a_ledger_of_lots_says(
            opening in 0..500_i64,
            changes in prop::collection::vec(-300..300_i64, 0..30),
            cut in 0..30_usize,
        ) {
            let (mut lots, mut balance, mut sums) = (vec![(opening, false)], opening, PointsSums::default());
            for (at, change) in changes.iter().enumerate() {
                let change = (*change).max(-balance);
                balance += change;
                sums.all += change;
                if change >= 0 {
                    sums.old += if at < cut { change } else { 0 };
                    lots.push((change, at < cut));
                } else {
                    sums.gone -= change;
                    let mut left = -change;
                    for (lot, _) in &mut lots {
                        let some = left.min(*lot);
                        *lot -= some;
                        left -= some;
                    }
                }
            }
            let old: i64 = lots.iter().filter(|(_, old)| *old).map(|(lot, _)| lot).sum();
            prop_assert_eq!(expired(balance, 0, &sums), old);
            let held = balance / 2;
            prop_assert_eq!(expired(balance, held, &sums), (old - held).max(0), "the oldest are held");
        }
    }
}
