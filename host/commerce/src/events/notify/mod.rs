//! Notifications: what a customer is told of an order, in the app, by mail and by text message.
//!
//! [`KINDS`] says which fact is which kind. [`tell`] runs in the relay's transaction: it writes what is read in the app,
//! and a delivery for each channel that the customer has not switched off. Deliveries are made by `deliver.rs`, in the
//! words of `template.rs`, through `mail.rs` and `text.rs`.

mod door;
mod mail;
mod preferences;
mod statuses;
mod template;
mod text;
mod words;

use serde_json::{Value, json};
use till_model::money::{Currency, Money};
use till_store::tables::audience::NotificationRow;
use till_store::tables::event::{EventRow, OutboxRow};
use till_store::{Error as StoreError, Tx};

use super::deliver::Came;
use super::{About, Audience, Events};
use crate::checkout::{self, CONFIRMED, Order};
use crate::settings::{NotificationSettings, Settings};

pub use door::{DeliverySought, Draft, NotifyError, OwnTemplate, Shown};
pub(super) use mail::Mailer;
pub(crate) use mail::is_address;
pub use mail::{Smtp, SmtpTls};
pub use preferences::{Channels, Preferences, is_locale, is_phone};
pub use statuses::{STATUSES, StatusTexts, StatusWords};
pub use template::{Rendered, Source};

/// Target of deliveries by mail.
pub const EMAIL: &str = "email";
/// Target of deliveries by text message.
pub const SMS: &str = "sms";
/// All targets that are no endpoints.
pub const CHANNELS: [&str; 3] = [EMAIL, SMS, super::nats::NATS];

/// A kind of notification and the fact that causes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// `order_confirmation`
    pub name: &'static str,
    topic: &'static str,
    /// Of the fact; empty: any.
    status: &'static str,
}

const FEEDBACK_REQUESTED: &str = "feedback.requested";

/// All kinds.
pub static KINDS: [Kind; 8] = [
    Kind { name: "order_confirmation", topic: checkout::ORDER_CREATED, status: "" },
    Kind { name: "payment_failed", topic: checkout::PAYMENT_FAILED_EVENT, status: "" },
    Kind { name: "order_shipped", topic: checkout::ORDER_STATUS_UPDATED, status: "SHIPPED" },
    Kind { name: "out_for_delivery", topic: checkout::ORDER_STATUS_UPDATED, status: "OUT_FOR_DELIVERY" },
    Kind { name: "order_delivered", topic: checkout::ORDER_STATUS_UPDATED, status: "DELIVERED" },
    Kind { name: "delivery_failed", topic: checkout::ORDER_STATUS_UPDATED, status: "DELIVERY_FAILED" },
    Kind { name: "order_cancelled", topic: checkout::ORDER_STATUS_UPDATED, status: "CANCELLED" },
    Kind { name: "feedback_request", topic: FEEDBACK_REQUESTED, status: "" },
];

impl Kind {
    /// The kind of this name.
    pub fn named(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// What a fact is told as.
    fn of(topic: &str, fact: &Value) -> Option<&'static Kind> {
        let status = fact.get("status").and_then(Value::as_str).unwrap_or_default();
        KINDS.iter().find(|kind| kind.topic == topic && (kind.status.is_empty() || kind.status == status))
    }
}

/// Tells the buyer: in the app now, outside by deliveries. Runs once for each event.
pub(super) async fn tell(
    tx: &mut Tx,
    fact: &OutboxRow,
    about: &About,
    settings: &Settings,
    position: i64,
    now_us: i64,
) -> Result<(), StoreError> {
    let Some(kind) = Kind::of(&fact.topic, &about.fact) else { return Ok(()) };
    if about.order.customer.is_empty() {
        return Ok(());
    }
    let merchant = fact.merchant.as_str();
    let wants = Preferences::read(tx, merchant, &about.order.customer).await?;
    let channels = wants.of(kind);
    if channels.in_app {
        let spoken = Spoken::of(&wants, settings);
        let context = context(about, settings, &spoken, fact.at_us);
        let (title, message) = template::in_app(kind, &spoken, &context).unwrap_or_else(|error| {
            // Whatever it is: one odd order must not stop the log for all.
            tracing::error!(merchant, kind = kind.name, %error, "word a notification");
            (kind.name.to_owned(), about.order.number.clone())
        });
        let mut data = json!({ "orderId": about.order.id, "orderNumber": about.order.number });
        for (name, value) in shipment(&about.fact) {
            data[name] = json!(value);
        }
        let row = NotificationRow {
            id: fact.id(),
            customer: about.order.customer.clone(),
            kind: kind.name.to_owned(),
            body: json!({ "title": title, "message": message, "data": data }).to_string(),
            at_us: fact.at_us,
            read_us: None,
        };
        tx.put_notification(merchant, &row).await?;
    }
    let sent = &settings.notifications;
    if channels.email && sent.mails() && !about.customer.email.is_empty() {
        tx.put_delivery(merchant, EMAIL, position, now_us).await?;
    }
    if channels.sms && sent.texts() && !about.customer.phone.is_empty() {
        tx.put_delivery(merchant, SMS, position, now_us).await?;
    }
    Ok(())
}

/// What a fact says of a parcel, where it says it.
const SHIPMENT: [&str; 3] = ["trackingNumber", "carrier", "trackingUrl"];

/// A tracking number or a carrier's name has some ten characters.
const PARCEL_BYTES_MAX: usize = 200;
/// It must fit into a text message beside the words.
const TRACKING_URL_BYTES_MAX: usize = 1_000;

/// The parcel's words of a fact: short texts, and only addresses that a browser opens.
pub(super) fn shipment(fact: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    SHIPMENT.into_iter().filter_map(|name| {
        let text = fact.get(name)?.as_str().filter(|text| !text.is_empty())?;
        let opens = text.starts_with("https://") || text.starts_with("http://");
        let fits = match name {
            "trackingUrl" => opens && text.len() <= TRACKING_URL_BYTES_MAX,
            _ => text.len() <= PARCEL_BYTES_MAX,
        };
        fits.then_some((name, text))
    })
}

/// Languages that a notification may be in, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spoken(Vec<String>);

impl Spoken {
    /// The customer's, the merchant's, English; each with its region and without.
    fn of(wants: &Preferences, settings: &Settings) -> Spoken {
        Spoken::these([wants.locale.as_deref().unwrap_or_default(), &settings.locale])
    }

    fn these<'a>(wanted: impl IntoIterator<Item = &'a str>) -> Spoken {
        let mut all: Vec<String> = Vec::new();
        for locale in wanted.into_iter().chain(["en"]).filter(|locale| !locale.is_empty()) {
            let language = locale.split('-').next().unwrap_or_default();
            for tag in [locale, language] {
                if !all.iter().any(|known| known.eq_ignore_ascii_case(tag)) {
                    all.push(tag.to_owned());
                }
            }
        }
        Spoken(all)
    }

    /// The language of amounts and days: that of the words.
    fn language(&self) -> &str {
        self.0.iter().map(String::as_str).find(|tag| words::of(tag).is_some()).unwrap_or("en")
    }
}

/// What the words may speak of.
fn context(about: &About, settings: &Settings, spoken: &Spoken, at_us: i64) -> Value {
    let Order { id, number, currency, receipt, created_us, .. } = &about.order;
    let words = words::of(spoken.language());
    let money = |minor: i64| words::amount(words, Money::from_minor(minor, *currency));
    let totals = &receipt.totals;
    let items = receipt.items.iter().map(|item| {
        json!({ "name": item.name, "sku": item.sku, "quantity": item.quantity,
            "unitPrice": money(item.unit_price), "total": money(item.total) })
    });
    // Lines that cost nothing are not told.
    let unless_zero = |minor: i64| if minor == 0 { Value::Null } else { json!(money(minor)) };
    let status = about.fact.get("status").and_then(Value::as_str).unwrap_or(&about.order.status);
    let called = StatusWords::new(spoken.clone(), settings);
    let address = receipt.shipping_address.as_ref();
    let mut all = json!({
        "shop": settings.notifications.name,
        "locale": spoken.0[0],
        "customer": { "id": about.customer.id, "email": about.customer.email,
            "name": address.map(|address| address.name.as_str()).unwrap_or_default() },
        "order": {
            "id": id, "number": number, "status": status, "statusText": called.of(status), "date": words::day(words, *created_us),
            "items": items.collect::<Vec<_>>(), "currency": currency.code(),
            "subtotal": money(totals.subtotal), "discounts": unless_zero(totals.discounts),
            "shipping": money(totals.shipping), "tax": unless_zero(totals.tax), "total": money(totals.total),
            "paymentMethod": receipt.payment.method, "last4": receipt.payment.last4,
            "shippingMethod": receipt.shipping.iter().map(|one| one.title.as_str()).collect::<Vec<_>>().join(", "),
        },
        "shippingAddress": address.map(|address| json!({
            "name": address.name, "street": address.street, "city": address.city, "region": address.region,
            "postalCode": address.postal_code, "country": address.country,
        })),
        "note": about.fact.get("note").and_then(Value::as_str).unwrap_or_default(),
        "date": words::day(words, at_us),
    });
    for (name, value) in shipment(&about.fact) {
        all[name] = json!(value);
    }
    all
}

/// A letter to nobody, to look at words before there is an order: the worked example of the shop.
fn sample(settings: &Settings, spoken: &Spoken) -> Value {
    let words = words::of(spoken.language());
    let currency: Currency = settings.currency;
    let money = |minor: i64| words::amount(words, Money::from_minor(minor, currency));
    let day = words::day(words, 1_723_284_000_000_000);
    json!({
        "shop": settings.notifications.name,
        "locale": spoken.0[0],
        "customer": { "id": "CUST-12345", "email": "jane@example.com", "name": "Jane Doe" },
        "order": {
            "id": "ord_sample", "number": "ORD-2024-001234", "status": CONFIRMED,
            "statusText": StatusWords::new(spoken.clone(), settings).of(CONFIRMED), "date": day,
            "items": [{ "name": "Wireless Headphones", "sku": "SKU-ABC-001", "quantity": 2,
                "unitPrice": money(24_999), "total": money(49_998) }],
            "currency": currency.code(), "subtotal": money(49_998), "discounts": money(8_000),
            "shipping": money(1_599), "tax": money(3_520), "total": money(47_117),
            "paymentMethod": "credit_card", "last4": "4242", "shippingMethod": "Standard Shipping",
        },
        "shippingAddress": { "name": "Jane Doe", "street": ["123 Main St"], "city": "San Francisco",
            "region": "CA", "postalCode": "94105", "country": "US" },
        "note": "", "date": day,
        "trackingNumber": "1Z999AA10123456784", "carrier": "UPS",
        "trackingUrl": "https://carrier.example/1Z999AA10123456784",
    })
}

/// A notification that is to leave the house now: all that it is made of, read at once.
struct Due {
    about: About,
    settings: Settings,
    context: Value,
    source: Source,
}

impl Due {
    /// Reads it. What came of it instead where it is not to leave any more.
    async fn of(
        events: &Events,
        merchant: &str,
        event: &EventRow,
        wanted: fn(&NotificationSettings, Channels) -> bool,
    ) -> Result<Result<Due, Came>, StoreError> {
        let mut tx = events.store.read().await?;
        let settings = Audience::settings_of(&mut tx, merchant).await?;
        let fact = serde_json::from_str(&event.body).unwrap_or(Value::Null);
        let Some(about) = About::of(&mut tx, merchant, &event.subject, fact).await? else {
            return Ok(Err(Came::Never("its order is gone".to_owned())));
        };
        let Some(kind) = Kind::of(&event.topic, &about.fact) else {
            return Ok(Err(Came::Never("it is no notification".to_owned())));
        };
        let wants = Preferences::read(&mut tx, merchant, &about.order.customer).await?;
        if !wanted(&settings.notifications, wants.of(kind)) {
            return Ok(Err(switched_off()));
        }
        let own = tx.templates(merchant, kind.name).await?;
        let spoken = Spoken::of(&wants, &settings);
        let context = context(&about, &settings, &spoken, event.at_us);
        let source = template::best(&own, kind, &spoken)?;
        Ok(Ok(Due { about, settings, context, source }))
    }
}

/// The merchant or the customer did so between the event and the try.
fn switched_off() -> Came {
    Came::Never("it was switched off since".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_name_and_a_fact_of_its_own() {
        for (nth, kind) in KINDS.iter().enumerate() {
            assert_eq!(Kind::named(kind.name), Some(kind));
            assert_eq!(Kind::of(kind.topic, &json!({ "status": kind.status })), Some(kind));
            assert!(KINDS[nth + 1..].iter().all(|other| other.name != kind.name));
        }
        assert_eq!(Kind::of("order.status.updated", &json!({ "status": "PROCESSING" })), None);
        assert_eq!(Kind::of("order.status.updated", &json!({})), None);
    }

    #[test]
    fn a_language_falls_back_on_the_merchants_and_on_english() {
        let spoken = |all: &[&str]| Spoken::these(all.iter().copied());
        assert_eq!(spoken(&["de-AT", "fr-FR"]).0, ["de-AT", "de", "fr-FR", "fr", "en"]);
        assert_eq!(spoken(&["", "en-US"]).0, ["en-US", "en"]);
        assert_eq!(spoken(&["hi-IN", "fr"]).language(), "fr");
        assert_eq!(spoken(&["hi-IN"]).language(), "en");
    }

    #[test]
    fn of_a_parcel_only_short_texts_and_addresses_that_open_are_told() {
        let fact = json!({ "trackingNumber": "1Z", "carrier": 7, "trackingUrl": "javascript:alert(1)" });
        assert_eq!(shipment(&fact).collect::<Vec<_>>(), [("trackingNumber", "1Z")]);
        let long = format!("https://carrier.example/{}", "x".repeat(1_000));
        let fact = json!({ "trackingNumber": "", "carrier": "x".repeat(201), "trackingUrl": long });
        assert_eq!(shipment(&fact).count(), 0);
    }
}
