//! Customers: what they keep with the shop, and how their merchant sees them.

use serde::Serialize;
use till_commerce::catalog::{Customer, SavedAddress, SavedMethod};
use till_commerce::events::notify::Preferences;
use till_commerce::settings::Settings;
use till_commerce::{CheckoutContext, CustomerRecord, SessionView};
use till_model::money::Currency;
use till_store::tables::audience::CustomerValueRow;
use utoipa::ToSchema;

use super::{AddressOut, Amount, time};

/// A saved address.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SavedAddressOut {
    id: String,
    /// `shipping` or `billing`.
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    #[schema(inline)]
    address: AddressOut,
    /// Taken where the shopper names none; of each type one is.
    is_default: bool,
}

impl SavedAddressOut {
    pub(crate) fn new(saved: &SavedAddress) -> SavedAddressOut {
        SavedAddressOut {
            id: saved.id.clone(),
            kind: saved.kind.clone(),
            address: AddressOut::new(&saved.address),
            is_default: saved.default,
        }
    }
}

/// A saved means of payment, without its token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MethodOut {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    last4: String,
    brand: String,
    /// Last month in which it can be used, where that is known: `2027-09`.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    /// That month is over: it cannot be used at a checkout.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    expired: bool,
    is_default: bool,
}

impl MethodOut {
    pub(crate) fn new(saved: &SavedMethod, now_us: i64) -> MethodOut {
        MethodOut {
            id: saved.id.clone(),
            kind: saved.kind.clone(),
            last4: saved.last4.clone(),
            brand: saved.brand.clone(),
            expires: saved.expires.clone(),
            expired: saved.has_expired(now_us),
            is_default: saved.default,
        }
    }
}

/// How a customer wants to be told, in short.
#[derive(Debug, Serialize, ToSchema)]
struct WishesOut {
    /// BCP 47; absent: the merchant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    /// May be told of offers.
    marketing: bool,
}

impl WishesOut {
    fn new(wants: &Preferences) -> WishesOut {
        WishesOut { locale: wants.locale.clone(), marketing: wants.marketing }
    }
}

/// The buyer: addresses, means of payment, preferences.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BookOut {
    addresses: Vec<SavedAddressOut>,
    payment_methods: Vec<MethodOut>,
    preferences: WishesOut,
}

impl BookOut {
    fn new(customer: &Customer, wants: &Preferences, now_us: i64) -> BookOut {
        BookOut {
            addresses: customer.addresses.iter().map(SavedAddressOut::new).collect(),
            payment_methods: customer.payment_methods.iter().map(|one| MethodOut::new(one, now_us)).collect(),
            preferences: WishesOut::new(wants),
        }
    }

    pub(crate) fn of_session(view: &SessionView) -> BookOut {
        BookOut::new(&view.customer, &view.preferences, view.now_us)
    }
}

/// Points in short; all of them is under `/api/v1/loyalty`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PointsInShortOut {
    available_points: i64,
    /// What they are worth.
    points_value: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
}

impl PointsInShortOut {
    fn new(points: i64, customer: &Customer, settings: &Settings) -> PointsInShortOut {
        let worth = points.saturating_mul(i64::from(settings.points.minor_per_point));
        PointsInShortOut {
            available_points: points,
            points_value: Amount::of(worth, settings.currency),
            tier: customer.tier.clone(),
        }
    }
}

/// A customer as they see themselves.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProfileOut {
    customer_id: String,
    name: String,
    email: String,
    phone: String,
    loyalty: PointsInShortOut,
}

impl ProfileOut {
    pub(crate) fn new(customer: &Customer, points: i64, settings: &Settings) -> ProfileOut {
        ProfileOut {
            customer_id: customer.id.clone(),
            name: customer.name.clone(),
            email: customer.email.clone(),
            phone: customer.phone.clone(),
            loyalty: PointsInShortOut::new(points, customer, settings),
        }
    }
}

/// All that a checkout asks of its customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContextOut {
    customer_id: String,
    addresses: Vec<SavedAddressOut>,
    payment_methods: Vec<MethodOut>,
    preferences: WishesOut,
    loyalty: PointsInShortOut,
}

impl ContextOut {
    pub(crate) fn new(context: &CheckoutContext, settings: &Settings) -> ContextOut {
        let CheckoutContext { customer, points, preferences, now_us } = context;
        let BookOut { addresses, payment_methods, preferences } =
            BookOut::new(customer, preferences, *now_us);
        let loyalty = PointsInShortOut::new(*points, customer, settings);
        ContextOut { customer_id: customer.id.clone(), addresses, payment_methods, preferences, loyalty }
    }
}

/// What a customer has bought in a currency.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ValueOut {
    currency: String,
    /// Confirmed orders.
    orders: i64,
    /// Their totals.
    total: Amount,
    /// A total by `orders`, rounded to the nearest unit, halves to even.
    average: Amount,
    first_order_at: String,
    last_order_at: String,
}

impl ValueOut {
    /// None: the currency is none that is known.
    fn new(row: &CustomerValueRow) -> Option<ValueOut> {
        let currency = Currency::from_code(&row.currency).ok()?;
        Some(ValueOut {
            currency: row.currency.clone(),
            orders: row.orders,
            total: Amount::of(row.spent, currency),
            average: Amount::of(average(row.spent, row.orders), currency),
            first_order_at: time(row.first_us),
            last_order_at: time(row.last_us),
        })
    }
}

/// Half to even.
fn average(sum: i64, count: i64) -> i64 {
    let count = count.max(1);
    let (whole, rest) = (sum.div_euclid(count), sum.rem_euclid(count));
    let twice = i128::from(rest) * 2;
    let up = twice > i128::from(count) || (twice == i128::from(count) && whole % 2 != 0);
    whole + i64::from(up)
}

/// A customer as their merchant sees them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordOut {
    customer_id: String,
    name: String,
    email: String,
    phone: String,
    groups: Vec<String>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    /// Confirmed orders.
    orders: i64,
    /// Points balance, those promised to checkouts included.
    points: i64,
    /// Of one customer only.
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Vec<SavedAddressOut>>,
    /// Of one customer only; without tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_methods: Option<Vec<MethodOut>>,
    /// What the customer has bought in all, by currency; of one customer only.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_value: Option<Vec<ValueOut>>,
}

impl RecordOut {
    fn short(record: &CustomerRecord) -> RecordOut {
        let CustomerRecord { customer, orders, points } = record;
        RecordOut {
            customer_id: customer.id.clone(),
            name: customer.name.clone(),
            email: customer.email.clone(),
            phone: customer.phone.clone(),
            groups: customer.groups.clone(),
            tags: customer.tags.clone(),
            tier: customer.tier.clone(),
            orders: *orders,
            points: *points,
            addresses: None,
            payment_methods: None,
            lifetime_value: None,
        }
    }

    pub(crate) fn whole(record: &CustomerRecord, value: &[CustomerValueRow], now_us: i64) -> RecordOut {
        let customer = &record.customer;
        RecordOut {
            addresses: Some(customer.addresses.iter().map(SavedAddressOut::new).collect()),
            payment_methods: Some(
                customer.payment_methods.iter().map(|one| MethodOut::new(one, now_us)).collect(),
            ),
            lifetime_value: Some(value.iter().filter_map(ValueOut::new).collect()),
            ..RecordOut::short(record)
        }
    }
}

/// Customers, by id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordsOut {
    customers: Vec<RecordOut>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl RecordsOut {
    pub(crate) fn new(records: &[CustomerRecord], next_cursor: Option<String>) -> RecordsOut {
        RecordsOut { customers: records.iter().map(RecordOut::short).collect(), next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::average;

    #[test]
    fn an_average_is_rounded_half_to_even() {
        for (sum, count, made) in
            [(10, 4, 2), (30, 4, 8), (7, 3, 2), (8, 3, 3), (0, 0, 0), (47_117, 1, 47_117)]
        {
            assert_eq!(average(sum, count), made, "{sum} / {count}");
        }
    }
}
