//! [`Shop`]: what the edge may ask for. Catalog, carts, checkout sessions, orders, webhooks.
//!
//! Here are the records and what is only read; `catalog.rs` has the products, `inventory.rs` their stock, `cart.rs`,
//! `session.rs`, `webhook.rs` and `admin.rs` the commands, by who gives them.

mod abandoned;
mod access;
mod admin;
mod campaigns;
mod cart;
mod catalog;
mod customers;
mod fulfilment;
mod gift_cards;
mod inventory;
mod kept;
mod loyalty;
mod parts;
mod rate;
mod review;
mod session;
mod trial;
mod validate;
mod webhook;

use std::sync::Arc;

use serde_json::{Map, Value};
use till_engine::ports::Clock;
use till_engine::runner::{self, Runner};
use till_registry::Registry;
use till_store::tables::audience::NotificationRow;
use till_store::tables::purchase::OrderFilter;
use till_store::{Error as StoreError, Store};

use crate::cart::CartError;
use crate::catalog::{self as records, Customer};
use crate::checkout::steps::Numbers;
use crate::checkout::{Order, order_from_row};
use crate::events::notify::Preferences;
use crate::quote::{Inputs, Quote, Requirement};
use crate::settings::Settings;

/// The workflow behind checkout sessions.
pub const CHECKOUT: &str = "checkout";
/// A remembered command is kept so long, microseconds.
pub const COMMANDS_KEPT_US: i64 = 24 * 3600 * 1_000_000;

/// Somebody who has a cart and no account.
pub fn is_guest(customer: &str) -> bool {
    customer.starts_with("guest_")
}

/// Why the shop says no, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// There is none, or it belongs to somebody else.
    #[error("find {what} `{id}`")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The session has ended.
    #[error("use session `{id}`: {why}")]
    Gone {
        /// Id of the session.
        id: String,
        /// How it ended and what to do.
        why: String,
    },
    /// The session is being worked on.
    #[error("change session `{id}`: it is being worked on")]
    Busy {
        /// Id of the session.
        id: String,
    },
    /// The session was submitted with another request.
    #[error("submit session `{id}`: it was submitted with another request")]
    OtherSubmit {
        /// Id of the session.
        id: String,
    },
    /// A field is wrong.
    #[error("accept `{field}`: {why}")]
    Field {
        /// Name of the field.
        field: String,
        /// The limit and what to do.
        why: String,
    },
    /// It was changed since the client read it.
    #[error("change it: it has version {found}, not {expected}")]
    Version {
        /// Version the client saw.
        expected: i64,
        /// Version it has.
        found: i64,
    },
    /// SKUs belong to other products.
    #[error("write products: a SKU belongs to another one")]
    Taken(Vec<records::Taken>),
    /// The workflow refuses.
    #[error("{why}")]
    Refused {
        /// The reason.
        why: String,
    },
    /// Somebody outside does not answer.
    #[error("get an answer: {why}")]
    Unavailable {
        /// What was tried.
        why: String,
    },
    /// There is less stock than is wanted: every line of which there is.
    #[error("hold what is wanted: {} lines are short", .0.len())]
    Short(Vec<ShortItem>),
    /// No gift card has this code, or it is void.
    #[error("find a gift card of this code")]
    UnknownGiftCard,
    /// Too many wrong tries.
    #[error("try again: {why}")]
    TooOften {
        /// Of what.
        why: String,
        /// Seconds until it can be tried again.
        after_s: u64,
    },
    /// A webhook whose signature does not match.
    #[error("verify the webhook")]
    Forged,
    /// The idempotency key came before with another request.
    #[error("use key `{key}` again: it was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// The cart says no.
    #[error(transparent)]
    Cart(#[from] CartError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] till_registry::Error),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] runner::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a session stands, as a shopper sees it. A projection of the instance, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The shopper may change it and submit.
    Editable,
    /// A step runs.
    Busy,
    /// The buyer has to do something at the gateway.
    ActionRequired,
    /// A person of the merchant decides whether the payment is tried.
    UnderReview,
    /// It is being found out what became of the payment.
    PaymentUnknown,
    /// The order is confirmed.
    Confirmed,
    /// Cancelled by the shopper.
    Cancelled,
    /// Its time ran out.
    Expired,
    /// Too many payments failed.
    Failed,
    /// A person of the merchant looks at it.
    Parked,
}

/// A checkout session.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Id.
    pub id: String,
    /// Grows with each change; the `ETag`.
    pub version: i64,
    /// State of the workflow.
    pub state: String,
    /// Where it stands.
    pub phase: Phase,
    /// What the quote was computed from.
    pub inputs: Inputs,
    /// The priced cart.
    pub quote: Option<Quote>,
    /// Names it; a submit may carry it.
    pub quote_token: Option<String>,
    /// The buyer.
    pub customer: Customer,
    /// Points the buyer can use.
    pub points_balance: i64,
    /// How the buyer wants to be told.
    pub preferences: Preferences,
    /// Parts that could not be told; what they would say is empty.
    pub warnings: Vec<PartWarning>,
    /// When it was read, epoch microseconds.
    pub now_us: i64,
    /// Why it is editable again.
    pub problem: Option<Value>,
    /// Why a component could not answer.
    pub fault: Option<Value>,
    /// What is missing before it can be submitted.
    pub requirements: Vec<Requirement>,
    /// The order, once there is one.
    pub order: Option<Order>,
    /// What the buyer has to do.
    pub action: Option<Value>,
    /// Why what the buyer brought back from the gateway last was not taken: `code` and `text`.
    pub refused: Option<Value>,
    /// The merchant's settings as pinned.
    pub settings: Settings,
    /// Hash of the submit under way or done.
    pub submitted: Option<String>,
}

/// A submit.
#[derive(Debug, Clone)]
pub struct SubmitRequest {
    /// Client inputs that go with it; each replaces the one before.
    pub inputs: Map<String, Value>,
    /// The total the shopper saw, minor units.
    pub expected_total: Option<i64>,
    /// The quote the shopper saw.
    pub quote: Option<String>,
    /// Hash of the request.
    pub hash: String,
    /// `Idempotency-Key`, if the client sent one.
    pub key: Option<String>,
}

/// The shop of all merchants of this host.
pub struct Shop {
    store: Arc<Store>,
    registry: Arc<Registry>,
    runner: Arc<Runner<Store>>,
    numbers: Arc<Numbers>,
    carts: kept::Kept,
    products: catalog::Products,
    rates: rate::Rates,
    guesses: gift_cards::Guesses,
    known: access::Known,
}

pub use abandoned::CART_ABANDONED;
pub(crate) use abandoned::LeftCart;
pub use access::{ApiKey, KeyHolder, KeyWanted, Role, is_api_key};
pub(crate) use campaigns::CAMPAIGNS_MAX;
pub use campaigns::{CAMPAIGN_PROMOTIONS_MAX, CODES_MAX, CodesWanted};
pub use catalog::Shown;
pub use customers::{CheckoutContext, CustomerRecord};
pub use fulfilment::{FEEDBACK_CHARS_MAX, Feedback, ParcelCommand, ProductFeedback, Review, Tracking};
pub use gift_cards::{CardIssue, ISSUED_AT_ONCE_MAX as CARDS_ISSUED_MAX, IssuedCard};
pub use inventory::{ItemWanted, Reservation, ShortItem, StockChange};
pub use loyalty::Loyalty;
pub use parts::PartWarning;
pub use rate::Allowance;
pub use till_store::tables::access::{AuditFilter, AuditRow};
pub use validate::Unusable;

impl Shop {
    /// The shop over these rooms.
    pub fn new(
        store: Arc<Store>,
        registry: Arc<Registry>,
        runner: Arc<Runner<Store>>,
        numbers: Arc<Numbers>,
    ) -> Shop {
        let (carts, products) = (kept::Kept::default(), catalog::Products::new());
        let rates = rate::Rates::new(&store);
        let (guesses, known) = (gift_cards::Guesses::default(), access::Known::default());
        Shop { store, registry, runner, numbers, carts, products, rates, guesses, known }
    }

    fn now_us(&self) -> i64 {
        let clock: &Arc<dyn Clock> = self.runner.clock();
        clock.now_us()
    }

    /// Settings of a merchant; the defaults for one without.
    pub async fn settings(&self, merchant: &str) -> Result<Settings, ShopError> {
        let body = self.store.read().await?.setting(merchant).await?;
        Ok(body.map_or_else(|| Ok(Settings::default()), |b| records::parse(&b))?)
    }

    /// An order of this customer, by id or number.
    pub async fn order(&self, merchant: &str, customer: &str, id: &str) -> Result<Order, ShopError> {
        let missing = || ShopError::NotFound { what: "order", id: id.to_owned() };
        let mut tx = self.store.read().await?;
        let row = match tx.order(merchant, id).await? {
            Some(row) => Some(row),
            None => tx.order_by_number(merchant, id).await?,
        };
        let row = row.filter(|r| r.customer == customer).ok_or_else(missing)?;
        Ok(order_from_row(&row)?)
    }

    /// What a customer was told in the app before a place in the list, newest first, and how much of all is unread.
    pub async fn notifications(
        &self,
        merchant: &str,
        customer: &str,
        unread_only: bool,
        before: (i64, &str),
        limit: i64,
    ) -> Result<(Vec<NotificationRow>, i64), ShopError> {
        let mut tx = self.store.read().await?;
        let rows = tx.notifications(merchant, customer, unread_only, before, limit).await?;
        Ok((rows, tx.unread(merchant, customer).await?))
    }

    /// A customer has read one notification, or all. Gives how many were unread.
    pub async fn read_notification(
        &self,
        merchant: &str,
        customer: &str,
        id: Option<&str>,
    ) -> Result<u64, ShopError> {
        let (owner, reader, one) = (merchant.to_owned(), customer.to_owned(), id.map(str::to_owned));
        let now_us = self.now_us();
        let read = self.store.transact(move |tx| {
            let (owner, reader, one) = (owner.clone(), reader.clone(), one.clone());
            Box::pin(async move { tx.read_notification(&owner, &reader, one.as_deref(), now_us).await })
        });
        let missing = || ShopError::NotFound { what: "notification", id: id.unwrap_or_default().to_owned() };
        read.await?.ok_or_else(missing)
    }

    /// Orders of a customer, newest first.
    pub async fn orders(&self, merchant: &str, customer: &str, limit: i64) -> Result<Vec<Order>, ShopError> {
        self.orders_before(merchant, customer, &OrderFilter::default(), (i64::MAX, ""), limit).await
    }

    /// Orders of a customer before a place in the list, newest first.
    pub async fn orders_before(
        &self,
        merchant: &str,
        customer: &str,
        filter: &OrderFilter,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<Order>, ShopError> {
        let rows = self.store.read().await?.orders(merchant, customer, filter, before, limit).await?;
        Ok(rows.iter().map(order_from_row).collect::<Result<_, _>>()?)
    }
}
