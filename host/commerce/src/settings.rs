//! A merchant's settings: named policies and limits, as data.
//!
//! Every field has a default that suits the demo shop. What people write is read as [`Given`]: an unknown
//! field is an error, so that a misspelt policy never falls back in silence. How long a session or a payment
//! may take is no setting: the times are in the workflow file. The policies that shape amounts are copied
//! into each quote ([`crate::quote::Policies`]) and so into the receipt.

use std::collections::BTreeMap;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use till_model::money::{Allocation, Currency, Rounding, TaxRounding};

use crate::inventory::Policy;
use crate::inventory::near::Point;

/// Settings of one merchant. Names that are settings no more are passed over: stored documents and sessions
/// under way may still have them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Currency of carts.
    pub currency: Currency,
    /// BCP 47; components answer texts in it where they can.
    pub locale: String,
    /// Sales channel told to components.
    pub channel: String,
    /// How exact products become minor units.
    pub rounding: Rounding,
    /// How an amount is split over lines.
    pub allocation: Allocation,
    /// Where tax is rounded.
    pub tax_rounding: TaxRounding,
    /// Shipping is taxed.
    pub tax_on_shipping: bool,
    /// Catalog and shipping prices include tax.
    pub prices_include_tax: bool,
    /// Loyalty points.
    pub points: PointsSettings,
    /// Benefits of loyalty tiers.
    pub tier_benefits: TierSettings,
    /// Whether money is reserved and taken, or taken at once.
    pub capture: CaptureMode,
    /// Noted on each hold, seconds from submit, for whoever reads the table. It ends nothing: a hold lasts
    /// until its workflow commits or releases it.
    pub hold_ttl_s: u32,
    /// Leads order numbers: `ORD` gives `ORD-2024-001234`.
    pub order_number_prefix: String,
    /// Sizes that a cart may have.
    pub limits: CartLimits,
    /// What happens with orders.
    pub orders: OrderSettings,
    /// Where goods are taken from, and when stock is low.
    pub inventory: InventorySettings,
}

/// Where goods are taken from, and when stock is low.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InventorySettings {
    /// Which warehouse a line is taken from.
    pub policy: Policy,
    /// A SKU without a threshold of its own is low in a warehouse at so many units; 0 tells of the last unit alone.
    pub low_at: u32,
    /// The middle of countries (`US`), regions (`US-CA`) and postal areas (`US:941`), for [`Policy::Nearest`] and
    /// [`Policy::Split`].
    pub centroids: BTreeMap<String, Point>,
}

/// Most centroids: every checkout keeps the settings it began with.
const CENTROIDS_MAX: usize = 100;
/// Five units are time to order more, for a small shop.
const LOW_AT: u32 = 5;

/// What happens with orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrderSettings {
    /// A confirmed order is PROCESSING as soon as its consumers have done their part; without, when the merchant says.
    pub process_at_once: bool,
}

/// Loyalty points: what they are worth, and what is earned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PointsSettings {
    /// Points can be used and are earned.
    pub enabled: bool,
    /// Worth of one point in minor units: 1 makes 500 points 5.00 USD.
    pub minor_per_point: u32,
    /// Points earned for each whole major unit of the total: 1 makes 471.17 USD 471 points.
    pub earned_per_major: u32,
    /// Points lower the amount that is taxed, like any discount.
    pub reduce_tax: bool,
    /// Tiers by points earned in all, ascending. A customer who reaches none has the tier that their merchant says.
    pub tiers: Vec<TierLevel>,
    /// Points expire so many days after they came, oldest first; none: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_after_days: Option<u32>,
}

/// A tier of customers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierLevel {
    /// `gold`; `tier_benefits` names what it gives.
    pub name: String,
    /// Points earned in all from which it is reached.
    pub from: i64,
}

/// Most tiers: every checkout keeps the settings it began with.
const TIERS_MAX: usize = 20;

/// Benefits of loyalty tiers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TierSettings {
    /// Tell shoppers what their tier gives.
    pub shown: bool,
    /// Take it off.
    pub applied: bool,
    /// Benefits by tier: `gold`.
    pub tiers: BTreeMap<String, TierBenefit>,
}

/// What a tier gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TierBenefit {
    /// Shipping costs nothing.
    pub free_shipping: bool,
    /// Share off the goods, in parts per million (at most 1,000,000).
    pub discount_ppm: u32,
}

/// How money is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureMode {
    /// Authorize, then capture.
    #[default]
    Separate,
    /// One call takes the money.
    OneStep,
}

/// Sizes that a cart may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CartLimits {
    /// Lines of a cart.
    pub lines_max: u32,
    /// Units of a line.
    pub quantity_max: u32,
    /// Codes of a cart.
    pub codes_max: u32,
    /// Characters of the notes.
    pub notes_chars_max: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            currency: Currency::from_code("USD").expect("USD is in the table of currencies"),
            locale: "en-US".to_owned(),
            channel: "web".to_owned(),
            rounding: Rounding::default(),
            allocation: Allocation::default(),
            tax_rounding: TaxRounding::default(),
            tax_on_shipping: false,
            prices_include_tax: false,
            points: PointsSettings::default(),
            tier_benefits: TierSettings::default(),
            capture: CaptureMode::default(),
            hold_ttl_s: 15 * 60,
            order_number_prefix: "ORD".to_owned(),
            limits: CartLimits::default(),
            orders: OrderSettings::default(),
            inventory: InventorySettings::default(),
        }
    }
}

impl Default for InventorySettings {
    fn default() -> InventorySettings {
        InventorySettings { policy: Policy::default(), low_at: LOW_AT, centroids: BTreeMap::new() }
    }
}

impl Default for OrderSettings {
    fn default() -> OrderSettings {
        OrderSettings { process_at_once: true }
    }
}

impl Default for PointsSettings {
    fn default() -> PointsSettings {
        PointsSettings {
            enabled: true,
            minor_per_point: 1,
            earned_per_major: 1,
            reduce_tax: true,
            tiers: vec![],
            expire_after_days: None,
        }
    }
}

/// 500 lines are a large business order and still one quick step; 9,999 units and 50 codes are more
/// than any shopper types; 2,000 characters are a page of notes.
impl Default for CartLimits {
    fn default() -> CartLimits {
        CartLimits { lines_max: 500, quantity_max: 9_999, codes_max: 50, notes_chars_max: 2_000 }
    }
}

/// Settings as people write them: a name that is no setting is an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Given(pub Settings);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(document: D) -> Result<Given, D::Error> {
        let text = Box::<RawValue>::deserialize(document)?;
        let known = serde_json::to_value(Settings::default()).map_err(D::Error::custom)?;
        let given: BTreeMap<String, &RawValue> =
            serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        for (name, value) in given {
            if known.get(&name).is_none() {
                let known: Vec<&str> =
                    known.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
                let known = known.join("`, `");
                return Err(D::Error::custom(format!("there is no setting `{name}`; there are `{known}`")));
            }
            let alone = format!("{{\"{name}\":{value}}}");
            serde_json::from_str::<Settings>(&alone).map_err(|error| {
                let text = error.to_string();
                D::Error::custom(format!("`{name}`: {}", text.split(" at line ").next().unwrap_or_default()))
            })?;
        }
        // Once more as a whole: a field given twice is told.
        serde_json::from_str(text.get()).map(Given).map_err(D::Error::custom)
    }
}

/// Why settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("accept the setting `{field}`: {detail}")]
pub struct SettingsError {
    /// Path of the field.
    pub field: &'static str,
    /// What is expected.
    pub detail: &'static str,
}

impl Settings {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let rules = [
            (!self.locale.is_empty() && self.locale.len() <= 35, "locale", "a BCP 47 tag such as `en-US`"),
            (!self.channel.is_empty() && self.channel.len() <= 64, "channel", "1 to 64 bytes"),
            (
                (1..=16).contains(&self.order_number_prefix.len())
                    && self.order_number_prefix.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "order_number_prefix",
                "1 to 16 letters and digits",
            ),
            ((60..=86_400).contains(&self.hold_ttl_s), "hold_ttl_s", "60 to 86400 seconds"),
            (
                !self.points.enabled || self.points.minor_per_point > 0,
                "points.minor_per_point",
                "at least 1 while points are enabled",
            ),
            (
                self.tier_benefits.tiers.values().all(|tier| tier.discount_ppm <= 1_000_000),
                "tier_benefits.tiers",
                "discount_ppm of at most 1000000",
            ),
            (
                self.points.tiers.len() <= TIERS_MAX
                    && self
                        .points
                        .tiers
                        .iter()
                        .all(|tier| (1..=64).contains(&tier.name.len()) && tier.from >= 0)
                    && self.points.tiers.windows(2).all(|two| two[0].from < two[1].from),
                "points.tiers",
                "at most 20, with names of 1 to 64 bytes and `from` ascending from 0",
            ),
            (
                self.points.expire_after_days.is_none_or(|days| (1..=36_500).contains(&days)),
                "points.expire_after_days",
                "1 to 36500 days",
            ),
            ((1..=10_000).contains(&self.limits.lines_max), "limits.lines_max", "1 to 10000"),
            (
                self.inventory.centroids.len() <= CENTROIDS_MAX
                    && self
                        .inventory
                        .centroids
                        .iter()
                        .all(|(name, at)| name.len() <= 32 && at.is_on_the_globe()),
                "inventory.centroids",
                "at most 100, with names of at most 32 bytes, `lat_e6` within 90000000 and `lon_e6` within 180000000",
            ),
            (self.limits.quantity_max > 0, "limits.quantity_max", "at least 1"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, detail)) => Err(SettingsError { field, detail }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_is_the_demo_shop() {
        let settings: Settings = serde_json::from_str("{}").unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.hold_ttl_s, 900);
        settings.check().unwrap();
        let back: Settings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
        assert_eq!(back, settings);
    }

    #[test]
    fn policies_have_names_and_misspelt_ones_are_refused() {
        let text = r#"{"currency": "JPY", "rounding": "half_even", "allocation": "leading_units",
            "tax_rounding": "sum_per_rate", "capture": "one-step", "points": {"enabled": false}}"#;
        let settings: Settings = serde_json::from_str(text).unwrap();
        assert_eq!(settings.capture, CaptureMode::OneStep);
        assert_eq!(serde_json::from_str::<Given>(text).unwrap(), Given(settings));
        for (wrong, named) in [
            (r#"{"roundng": "half_up"}"#, "`roundng`"),
            (r#"{"session_ttl_s": 60}"#, "`session_ttl_s`"),
            (r#"{"rounding": "up"}"#, "`rounding`"),
            (r#"{"currency": 840}"#, "`currency`"),
            (r#"{"points": {"worth": 1}}"#, "`worth`"),
            (r#"{"inventory": {"policy": "farthest"}}"#, "`farthest`"),
            (r#"{"locale": "en", "locale": "de"}"#, "`locale`"),
        ] {
            let told = serde_json::from_str::<Given>(wrong).unwrap_err().to_string();
            assert!(told.contains(named), "{wrong}: {told}");
        }
        let long = Settings { order_number_prefix: "O-R-D".to_owned(), ..Settings::default() };
        assert_eq!(long.check().unwrap_err().field, "order_number_prefix");
    }

    #[test]
    fn documents_stored_with_settings_of_the_past_are_still_read() {
        let stored = r#"{"locale": "de-DE", "session_ttl_s": 60, "hold_extended_max_s": 900, "late_success": "give-back"}"#;
        let settings: Settings = serde_json::from_str(stored).unwrap();
        assert_eq!(settings, Settings { locale: "de-DE".to_owned(), ..Settings::default() });
    }
}
