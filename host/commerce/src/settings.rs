//! A merchant's settings: named policies and limits, as data.
//!
//! Every field has a default that suits the demo shop. What people write is read as [`Given`]: an unknown
//! field is an error, so that a misspelt policy never falls back in silence. How long a session or a payment
//! may take is no setting: the times are in the workflow file. The policies that shape amounts are copied
//! into each quote ([`crate::quote::Policies`]) and so into the receipt.

use std::collections::BTreeMap;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use till_model::money::{Allocation, Currency, Rounding, TaxRounding};
use till_sandbox::BreakerRule;

use crate::events::notify::{STATUSES, StatusTexts, is_address, is_locale};
use crate::inventory::Policy;
use crate::inventory::near::Point;

/// Settings of one merchant. Names that are settings no more are passed over: stored documents and sessions
/// under way may still have them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Currency of carts that ask for none. Amounts without a currency of their own are in it.
    pub currency: Currency,
    /// Further currencies that carts may be in. A product is sold in those that it has a price in: nothing is converted.
    pub currencies: BTreeMap<Currency, CurrencySettings>,
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
    /// When a cart counts as left.
    pub carts: CartSettings,
    /// How often a customer may call the cart and the checkout.
    pub rate: RateSettings,
    /// What happens with orders.
    pub orders: OrderSettings,
    /// Where goods are taken from, and when stock is low.
    pub inventory: InventorySettings,
    /// What statuses of orders and parcels are called for customers, by language (`de`, `de-AT`), then by status
    /// (`SHIPPED`). What is not here is called as Till calls it.
    pub statuses: StatusTexts,
    /// How customers are told of their orders outside the app.
    pub notifications: NotificationSettings,
    /// Who else is told of events.
    pub events: EventSettings,
    /// When gateways and carriers are left alone.
    pub breaker: BreakerSettings,
}

/// A further currency of a shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CurrencySettings {
    /// What points are worth in it. None: in it they are neither used nor earned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<PointsWorth>,
}

/// What points are worth in a currency, as in [`PointsSettings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsWorth {
    /// Worth of one point in minor units.
    pub minor_per_point: u32,
    /// Points earned for each whole step of the total.
    pub earned_per_major: u32,
    /// Major units of a step.
    #[serde(default = "one")]
    pub earning_step: u32,
}

pub(crate) fn one() -> u32 {
    1
}

/// Most further currencies: every checkout reads the settings once.
const CURRENCIES_MAX: usize = 50;

/// Most languages of words for statuses.
const STATUS_LANGUAGES_MAX: usize = 20;
/// A status is shown on a badge.
const STATUS_CHARS_MAX: usize = 60;

fn is_status_text((status, text): (&String, &String)) -> bool {
    STATUSES.contains(&status.as_str())
        && (1..=STATUS_CHARS_MAX).contains(&text.trim().chars().count())
        && !text.chars().any(char::is_control)
}

/// When an origin of gateways or carriers that fails is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// Failures in a row after which nothing more is sent.
    pub threshold: u32,
    /// After so many seconds one request is sent to see.
    pub cool_down_s: u32,
}

impl Default for BreakerSettings {
    /// Five failures in a row are no accident; half a minute is short for a provider and long for its servers.
    fn default() -> BreakerSettings {
        BreakerSettings { threshold: 5, cool_down_s: 30 }
    }
}

impl BreakerSettings {
    /// As the sandbox takes it.
    pub fn rule(self) -> BreakerRule {
        BreakerRule { threshold: self.threshold, cool_down_ms: u64::from(self.cool_down_s) * 1_000 }
    }
}

/// Who is told of events, endpoints apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventSettings {
    /// The operator's NATS JetStream.
    pub nats: bool,
}

/// How customers are told of their orders outside the app. What is none is off.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotificationSettings {
    /// The shop as customers know it: sender of mails, beginning of text messages.
    pub name: String,
    /// Mail, through the operator's server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<MailSettings>,
    /// Text messages, through a provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms: Option<SmsSettings>,
}

/// Mail of a merchant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSettings {
    /// Address that mails come from.
    pub from: String,
    /// Address that answers go to; none: the same.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Mails are sent.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// A provider of text messages that takes JSON over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsSettings {
    /// Where messages are posted.
    pub url: String,
    /// Headers; `{secret:NAME}` stands for a secret of the merchant's.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What is posted: in its texts `{to}`, `{text}` and `{id}` are filled in.
    pub body: Value,
    /// The address may be http and lead to a private one.
    #[serde(default)]
    pub private_addresses: bool,
    /// Messages are sent.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// Headers of a provider, and bytes of each.
const SMS_HEADERS_MAX: usize = 16;
const SMS_HEADER_BYTES_MAX: usize = 1_024;
/// A provider's document has some hundred bytes.
const SMS_BODY_BYTES_MAX: usize = 8 << 10;
/// Longest address.
const URL_BYTES_MAX: usize = 2_048;

impl NotificationSettings {
    /// Mails are sent.
    pub fn mails(&self) -> bool {
        self.email.as_ref().is_some_and(|mail| mail.enabled)
    }

    /// Text messages are sent.
    pub fn texts(&self) -> bool {
        self.sms.as_ref().is_some_and(|sms| sms.enabled)
    }

    fn rules(&self) -> [(bool, &'static str, &'static str); 5] {
        let sms = |holds: &dyn Fn(&SmsSettings) -> bool| self.sms.as_ref().is_none_or(holds);
        [
            (
                self.name.chars().count() <= 100 && !self.name.chars().any(char::is_control),
                "notifications.name",
                "at most 100 characters, none of them a control character",
            ),
            (
                self.email.as_ref().is_none_or(|mail| {
                    is_address(&mail.from) && mail.reply_to.as_deref().is_none_or(is_address)
                }),
                "notifications.email",
                "`from`, and `reply_to` where it is given, are mail addresses such as `shop@example.com`",
            ),
            (
                sms(&|sms| {
                    let plain = sms.url.starts_with("http://") && sms.private_addresses;
                    sms.url.len() <= URL_BYTES_MAX && (sms.url.starts_with("https://") || plain)
                }),
                "notifications.sms.url",
                "an https address of at most 2048 bytes; http only with `private_addresses`",
            ),
            (
                sms(&|sms| sms.headers.len() <= SMS_HEADERS_MAX && sms.headers.iter().all(is_header)),
                "notifications.sms.headers",
                "at most 16 of 1024 visible ASCII characters; not those that the host writes: `Idempotency-Key`, `Content-Type`, `Content-Length`, `Host`, `User-Agent`, `Connection`, `Transfer-Encoding`",
            ),
            (
                sms(&|sms| {
                    let text = sms.body.to_string();
                    let has = |gap: &str| text.contains(gap);
                    sms.body.is_object() && text.len() <= SMS_BODY_BYTES_MAX && has("{to}") && has("{text}")
                }),
                "notifications.sms.body",
                "an object of at most 8192 bytes with `{to}` and `{text}` in its texts",
            ),
        ]
    }
}

/// Headers that the host writes itself.
const OWN_HEADERS: [&str; 7] = [
    "idempotency-key",
    "content-type",
    "content-length",
    "host",
    "user-agent",
    "connection",
    "transfer-encoding",
];

fn is_header((name, value): (&String, &String)) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty()
        && name.len() + value.len() <= SMS_HEADER_BYTES_MAX
        && name.bytes().all(token)
        && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && !OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name))
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

/// How often a customer may call the cart and the checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateSettings {
    /// Calls of one window; 0: as many as they like.
    pub requests: u32,
    /// Seconds of a window, which begins with the first call.
    pub window_s: u32,
}

/// 100 calls a minute, as seed 002 has them: more than a person makes, less than a script wants.
impl Default for RateSettings {
    fn default() -> RateSettings {
        RateSettings { requests: 100, window_s: 60 }
    }
}

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
    /// Points earned for each whole step of the total: 1 makes 471.17 USD 471 points.
    pub earned_per_major: u32,
    /// Major units of a step: with 100, 12,345 JPY are 123 steps.
    pub earning_step: u32,
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

/// When a cart counts as left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CartSettings {
    /// After so many seconds without a change `cart.abandoned` is told, once; none: never. Whoever writes to people about
    /// what they did not buy needs their consent, so nothing is told unless the merchant asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abandoned_after_s: Option<u32>,
}

/// A shopper who is away for less than a minute has not left; a cart of a year ago is history.
const ABANDONED_AFTER_S: std::ops::RangeInclusive<u32> = 60..=365 * 24 * 3600;

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
            currencies: BTreeMap::new(),
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
            carts: CartSettings::default(),
            rate: RateSettings::default(),
            orders: OrderSettings::default(),
            inventory: InventorySettings::default(),
            statuses: StatusTexts::new(),
            notifications: NotificationSettings::default(),
            events: EventSettings::default(),
            breaker: BreakerSettings::default(),
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
            earning_step: 1,
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
    /// The settings of carts in a currency. None: nothing is sold in it.
    #[must_use]
    pub fn in_currency(&self, currency: Currency) -> Option<Settings> {
        if currency == self.currency {
            return Some(self.clone());
        }
        let own = self.currencies.get(&currency)?;
        let mut points = self.points.clone();
        match own.points {
            Some(PointsWorth { minor_per_point, earned_per_major, earning_step }) => {
                points = PointsSettings { minor_per_point, earned_per_major, earning_step, ..points };
            }
            // Worth nothing, whoever shows it.
            None => points = PointsSettings { enabled: false, minor_per_point: 0, ..points },
        }
        Some(Settings { currency, points, ..self.clone() })
    }

    /// All currencies that carts may be in, the shop's own first.
    pub fn sold_in(&self) -> impl Iterator<Item = Currency> {
        std::iter::once(self.currency).chain(self.currencies.keys().copied())
    }

    /// All currencies for people: "`USD`, `EUR`".
    pub fn sold_in_words(&self) -> String {
        self.sold_in().map(|one| format!("`{}`", one.code())).collect::<Vec<_>>().join(", ")
    }

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
            (self.points.earning_step > 0, "points.earning_step", "at least 1"),
            (
                self.currencies.len() <= CURRENCIES_MAX && !self.currencies.contains_key(&self.currency),
                "currencies",
                "at most 50, and not `currency` itself, whose points are in `points`",
            ),
            (
                (self.currencies.values().filter_map(|own| own.points))
                    .all(|worth| worth.minor_per_point > 0 && worth.earning_step > 0),
                "currencies",
                "`points.minor_per_point` and `points.earning_step` of at least 1; without `points` they have no worth there",
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
            (
                self.carts.abandoned_after_s.is_none_or(|seconds| ABANDONED_AFTER_S.contains(&seconds)),
                "carts.abandoned_after_s",
                "60 to 31536000 seconds",
            ),
            (
                self.statuses.len() <= STATUS_LANGUAGES_MAX
                    && self.statuses.keys().all(|language| is_locale(language))
                    && self.statuses.values().flatten().all(is_status_text),
                "statuses",
                "at most 20 languages such as `de` or `de-AT`, each with words of 1 to 60 characters for `PENDING_PAYMENT`, `CONFIRMED`, `PAYMENT_FAILED`, `PROCESSING`, `NEW`, `PENDING`, `READY`, `SHIPPED`, `OUT_FOR_DELIVERY`, `DELIVERY_FAILED`, `DELIVERED`, `RETURNED` or `CANCELLED`",
            ),
            (self.limits.quantity_max > 0, "limits.quantity_max", "at least 1"),
            ((1..=3_600).contains(&self.rate.window_s), "rate.window_s", "1 to 3600 seconds"),
            ((1..=1_000).contains(&self.breaker.threshold), "breaker.threshold", "1 to 1000 failures"),
            ((1..=3_600).contains(&self.breaker.cool_down_s), "breaker.cool_down_s", "1 to 3600 seconds"),
        ];
        match rules.into_iter().chain(self.notifications.rules()).find(|(holds, ..)| !holds) {
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
    fn a_cart_in_another_currency_has_the_worth_of_points_that_is_told_for_it_or_none() {
        let given = |text: &str| serde_json::from_str::<Given>(text).map(|given| given.0);
        let yen = r#"{"currencies": {"EUR": {}, "JPY": {"points": {"minor_per_point": 1, "earned_per_major": 1, "earning_step": 100}}}}"#;
        let settings = given(yen).unwrap();
        settings.check().unwrap();
        let of = |code: &str| settings.in_currency(Currency::from_code(code).unwrap());
        assert_eq!(of("USD"), Some(settings.clone()));
        assert_eq!(of("GBP"), None);
        assert!(!of("EUR").unwrap().points.enabled, "nobody said what they are worth");
        let japan = of("JPY").unwrap();
        assert_eq!((japan.currency.code(), japan.points.earning_step), ("JPY", 100));
        assert!(japan.points.enabled);
        assert_eq!(settings.sold_in_words(), "`USD`, `EUR`, `JPY`");
        for wrong in [
            r#"{"currencies": {"USD": {}}}"#,
            r#"{"currencies": {"JPY": {"points": {"minor_per_point": 0, "earned_per_major": 1}}}}"#,
            r#"{"currencies": {"JPY": {"points": {"minor_per_point": 1, "earned_per_major": 1, "earning_step": 0}}}}"#,
        ] {
            assert_eq!(given(wrong).unwrap().check().unwrap_err().field, "currencies", "{wrong}");
        }
        assert!(given(r#"{"currencies": {"XXX": {}}}"#).is_err());
        assert!(given(r#"{"currencies": ["EUR"]}"#).is_err());
    }

    #[test]
    fn words_for_statuses_are_short_and_for_statuses_that_there_are() {
        let checked = |text: &str| {
            let text = format!(r#"{{"statuses": {text}}}"#);
            serde_json::from_str::<Given>(&text).unwrap().0.check().map_err(|error| error.field)
        };
        checked(r#"{"en": {"SHIPPED": "On the road"}, "de-AT": {}}"#).unwrap();
        let long = format!(r#"{{"en": {{"SHIPPED": "{}"}}}}"#, "x".repeat(61));
        for wrong in [
            r#"{"en": {"SENT": "On the road"}}"#,
            r#"{"en": {"SHIPPED": " "}}"#,
            r#"{"en": {"SHIPPED": "a\u0000b"}}"#,
            r#"{"english!": {"SHIPPED": "On the road"}}"#,
            &long,
        ] {
            assert_eq!(checked(wrong), Err("statuses"), "{wrong}");
        }
    }

    #[test]
    fn a_sender_and_a_provider_are_looked_at_before_they_are_used() {
        let checked = |text: &str| {
            let text = format!(r#"{{"notifications": {text}}}"#);
            serde_json::from_str::<Given>(&text).unwrap().0.check().map_err(|error| error.field)
        };
        let body = r#""body": {"to": "{to}", "text": "{text}"}"#;
        checked(r#"{"name": "Shop", "email": {"from": "shop@example.com"}}"#).unwrap();
        checked(&format!(r#"{{"sms": {{"url": "https://sms.example", "headers": {{"authorization": "Bearer {{secret:sms}}"}}, {body}}}}}"#)).unwrap();
        for (wrong, field) in [
            (r#"{"email": {"from": "shop"}}"#.to_owned(), "notifications.email"),
            (r#"{"email": {"from": "a@b.example\r\nBcc: x@y.example"}}"#.to_owned(), "notifications.email"),
            (r#"{"name": "Shop\r\nBcc: x@y.example"}"#.to_owned(), "notifications.name"),
            (format!(r#"{{"sms": {{"url": "http://sms.example", {body}}}}}"#), "notifications.sms.url"),
            (
                format!(
                    r#"{{"sms": {{"url": "https://sms.example", "headers": {{"Idempotency-Key": "x"}}, {body}}}}}"#
                ),
                "notifications.sms.headers",
            ),
            (
                format!(
                    r#"{{"sms": {{"url": "https://sms.example", "headers": {{"x": "a\r\nb: c"}}, {body}}}}}"#
                ),
                "notifications.sms.headers",
            ),
            (
                r#"{"sms": {"url": "https://sms.example", "body": {"to": "{to}"}}}"#.to_owned(),
                "notifications.sms.body",
            ),
        ] {
            assert_eq!(checked(&wrong), Err(field), "{wrong}");
        }
    }

    #[test]
    fn documents_stored_with_settings_of_the_past_are_still_read() {
        let stored = r#"{"locale": "de-DE", "session_ttl_s": 60, "hold_extended_max_s": 900, "late_success": "give-back"}"#;
        let settings: Settings = serde_json::from_str(stored).unwrap();
        assert_eq!(settings, Settings { locale: "de-DE".to_owned(), ..Settings::default() });
    }
}
