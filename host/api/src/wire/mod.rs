//! What clients read: the seeds' shapes, made from the shop's records, one file per resource.
//!
//! Amounts are JSON numbers with exactly the currency's digits, written from integers ([`Amount`]); times are
//! RFC 3339. Nothing here decides anything.

mod cart;
mod customer;
mod order;
mod product;
mod quote;
mod session;
mod shipment;

use serde::Serialize;
use serde_json::value::RawValue;
use till_commerce::quote::Address;
use till_model::money::{Currency, Money};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

pub(crate) use cart::{CartAnswer, MergedOut, ValidationOut};
pub(crate) use customer::{
    BookOut, ContextOut, MethodOut, ProfileOut, RecordOut, RecordsOut, SavedAddressOut,
};
pub(crate) use order::{OrderOut, OrdersOut};
pub(crate) use product::{CompleteOut, KeptPrice, KeptProduct, PricingOut, ProductOut, ProductsOut};
pub(crate) use quote::QuoteOut;
pub(crate) use session::{PromotionOut, SessionOut, TierOut, promotions, status};
pub(crate) use shipment::{FeedbackOut, ReviewsOut, SaidOut, ShipmentOut, ShipmentsOut, TrackingOut};
pub(crate) use till_commerce::events::time;

/// An exact decimal amount as a JSON number: `75.00`.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Amount(Box<RawValue>);

impl Amount {
    /// An amount in minor units.
    pub(crate) fn of(minor: i64, currency: Currency) -> Amount {
        Amount(Money::from_minor(minor, currency).to_json_number())
    }

    /// A share in parts per million, as per cent: `5` or `8.381`.
    fn percent(ppm: u32) -> Amount {
        let (whole, rest) = (ppm / 10_000, ppm % 10_000);
        let text = match rest {
            0 => whole.to_string(),
            rest => format!("{whole}.{rest:04}").trim_end_matches('0').to_owned(),
        };
        Amount::text(text)
    }

    /// A part of a whole, rounded half up to four decimals: `0.3125`. None: the whole is nothing.
    pub(crate) fn ratio(part: i64, whole: i64) -> Option<Amount> {
        let (part, whole) = (i128::from(part), i128::from(whole));
        (whole > 0 && part >= 0).then(|| {
            let share = (part * 20_000 + whole) / (whole * 2);
            Amount::text(format!("{}.{:04}", share / 10_000, share % 10_000))
        })
    }

    /// Its digits.
    pub(crate) fn as_str(&self) -> &str {
        self.0.get()
    }

    fn text(text: String) -> Amount {
        Amount(RawValue::from_string(text).expect("digits with a point are a JSON number"))
    }
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        let text =
            "Exact decimal in major units with the currency's digits; read it as a decimal, not as a float.";
        ObjectBuilder::new().schema_type(Type::Number).description(Some(text)).into()
    }
}

impl ToSchema for Amount {}

/// Epoch milliseconds as RFC 3339.
pub(crate) fn time_ms(ms: u64) -> String {
    time(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000))
}

/// The day of a time, in UTC.
fn day(ms: u64) -> String {
    time_ms(ms).split('T').next().unwrap_or_default().to_owned()
}

/// An address.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AddressOut {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    company: String,
    /// Lines between line breaks.
    street: String,
    city: String,
    state: String,
    zip_code: String,
    country: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    phone: String,
}

impl AddressOut {
    pub(crate) fn new(address: &Address) -> AddressOut {
        AddressOut {
            name: address.name.clone(),
            company: address.company.clone(),
            street: address.street.join("\n"),
            city: address.city.clone(),
            state: address.region.clone(),
            zip_code: address.postal_code.clone(),
            country: address.country.clone(),
            phone: address.phone.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(minor: i64, code: &str) -> String {
        serde_json::to_string(&Amount::of(minor, Currency::from_code(code).unwrap())).unwrap()
    }

    #[test]
    fn amounts_are_numbers_with_the_currencys_digits() {
        assert_eq!(text(7500, "USD"), "75.00");
        assert_eq!(text(-7, "USD"), "-0.07");
        assert_eq!(text(500, "JPY"), "500");
        assert_eq!(text(250, "KWD"), "0.250");
        assert_eq!(text(9_007_199_254_740_993, "USD"), "90071992547409.93");
        assert_eq!(text(i64::MIN, "USD"), "-92233720368547758.08");
    }

    #[test]
    fn amounts_come_back_as_they_went_out() {
        let usd = Currency::from_code("USD").unwrap();
        for minor in [0, 1, -1, 47_117, i64::MAX, i64::MIN] {
            let out = serde_json::to_string(&Amount::of(minor, usd)).unwrap();
            assert_eq!(Money::parse_decimal(&out, usd).unwrap().minor(), minor);
        }
    }

    #[test]
    fn shares_are_told_in_per_cent() {
        let text = |ppm| serde_json::to_string(&Amount::percent(ppm)).unwrap();
        assert_eq!(text(50_000), "5");
        assert_eq!(text(83_810), "8.381");
        assert_eq!(text(1), "0.0001");
        assert_eq!(text(1_000_000), "100");
    }

    #[test]
    fn ratios_have_four_decimals_and_no_whole_has_none() {
        let text = |part, whole| Amount::ratio(part, whole).map(|ratio| ratio.as_str().to_owned());
        assert_eq!(text(5, 16).as_deref(), Some("0.3125"));
        assert_eq!(text(2, 3).as_deref(), Some("0.6667"));
        assert_eq!(text(7, 7).as_deref(), Some("1.0000"));
        assert_eq!(text(i64::MAX, 1).as_deref(), Some("9223372036854775807.0000"));
        assert_eq!(text(0, 0), None);
    }

    #[test]
    fn times_are_rfc_3339_to_the_millisecond() {
        assert_eq!(time(1_723_300_200_000_000), "2024-08-10T14:30:00Z");
        assert_eq!(time(1_723_300_200_123_456), "2024-08-10T14:30:00.123Z");
        assert_eq!(day(1_723_680_000_000), "2024-08-15");
    }
}
