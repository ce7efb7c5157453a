//! Orders: made PENDING_PAYMENT with the holds, confirmed with the outcome of the capture.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use till_engine::step::{StepCall, StepFault, StepResult, TookEffect};
use till_model::money::Currency;
use till_store::tables::hold::End;
use till_store::tables::inventory::Because;
use till_store::tables::purchase::OrderRow;
use till_store::{Error as StoreError, Tx};

use super::context::{Payment, maybe, part};
use super::holds::uid;
use super::pricing::database;
use super::steps::CheckoutSteps;
use crate::catalog::parse;
use crate::gift_card::GiftCardPart;
use crate::inventory::choose::{Part, places};
use crate::inventory::{self, crossed};
use crate::quote::{Address, DiscountKind, Inputs, Kind, Quote, Totals, TraceEntry};
use crate::settings::Settings;

/// Status of an order that waits for its payment.
pub const PENDING_PAYMENT: &str = "PENDING_PAYMENT";
/// Status of an order that is paid: a contract.
pub const CONFIRMED: &str = "CONFIRMED";
/// Status of an order whose payment did not come about.
pub const PAYMENT_FAILED: &str = "PAYMENT_FAILED";
/// Status of an order that is being prepared.
pub const PROCESSING: &str = "PROCESSING";

/// What the timeline says of a confirmed order.
const PAID: &str = "Payment received";

/// Topic: an order is confirmed.
pub const ORDER_CREATED: &str = "order.created";
/// Topic: an order is being prepared.
pub const ORDER_PROCESSING: &str = "order.processing";
/// Topic: an order has another status.
pub const ORDER_STATUS_UPDATED: &str = "order.status.updated";
/// Topic: the money of an order is here.
pub const PAYMENT_COMPLETED: &str = "payment.completed";
/// Topic: the money of an order did not come.
pub const PAYMENT_FAILED_EVENT: &str = "payment.failed";

/// An order as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Id, `ord_…`.
    pub id: String,
    /// For people: `ORD-2024-001234`.
    pub number: String,
    /// Buyer.
    pub customer: String,
    /// `PENDING_PAYMENT`, `CONFIRMED`, `PAYMENT_FAILED`, …
    pub status: String,
    /// Currency of all amounts.
    pub currency: Currency,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Epoch microseconds.
    pub confirmed_us: Option<i64>,
    /// What was bought and how it was paid.
    pub receipt: Receipt,
    /// What became of it.
    pub timeline: Vec<TimelineEntry>,
}

/// One fact of an order's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// Status from then on.
    pub status: String,
    /// Epoch microseconds.
    pub at_us: i64,
    /// For people.
    pub note: String,
}

/// What was bought. `Serialize` is the persisted form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Currency of all amounts.
    pub currency: Currency,
    /// Lines.
    pub items: Vec<OrderItem>,
    /// What was taken off.
    pub discounts: Vec<OrderDiscount>,
    /// Sums.
    pub totals: Totals,
    /// What gift cards paid of the total.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gift_cards: Vec<GiftCardPart>,
    /// Payment of the rest.
    pub payment: OrderPayment,
    /// Shipping, one entry for each group.
    pub shipping: Vec<OrderShipping>,
    /// Points balance after the order; known when it is confirmed.
    pub points_balance: Option<i64>,
    /// Where the goods go.
    pub shipping_address: Option<Address>,
    /// Where the bill goes.
    pub billing_address: Option<Address>,
    /// From the shopper.
    pub notes: String,
    /// Token of the quote it was made from.
    pub quote: String,
    /// Why each amount is what it is.
    pub trace: Vec<TraceEntry>,
    /// Cart it was made from.
    pub cart: String,
}

impl Receipt {
    /// What the gateway was asked for, minor units: the total without what gift cards paid.
    #[must_use]
    pub fn due(&self) -> i64 {
        self.totals.total - self.gift_cards.iter().map(|part| part.amount).sum::<i64>()
    }
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderItem {
    /// Id of the line.
    pub id: String,
    /// Product.
    pub product: String,
    /// SKU.
    pub sku: String,
    /// Name.
    pub name: String,
    /// Units.
    pub quantity: u32,
    /// Minor units.
    pub unit_price: i64,
    /// Minor units.
    pub total: i64,
    /// Where it is taken from.
    pub warehouse: Option<String>,
    /// What is sold.
    #[serde(default)]
    pub kind: Kind,
    /// Weight of one unit, in grams.
    #[serde(default)]
    pub weight_g: u32,
    /// Where its units are taken from, where that is more than one warehouse; `warehouse` is the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

impl OrderItem {
    /// Warehouses it is taken from, each with its units. Their sum is the quantity.
    #[must_use]
    pub fn places(&self) -> Vec<(Option<&str>, u32)> {
        places(self.warehouse.as_deref(), &self.parts, self.quantity)
    }
}

/// Something taken off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderDiscount {
    /// `promotion`, `tier_benefit` or `loyalty_points`.
    pub kind: DiscountKind,
    /// Code that brought it, as it was typed.
    pub code: Option<String>,
    /// It is one of many codes of the promotion, each of which works a set number of times.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
    /// For people.
    pub title: String,
    /// Points it uses.
    pub points: u64,
    /// Minor units.
    pub amount: i64,
}

/// How an order was paid.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OrderPayment {
    /// Idempotency key of the attempt that paid it; empty for free orders.
    pub attempt: String,
    /// The gateway's id of it.
    pub reference: String,
    /// For example `credit_card`.
    pub method: String,
    /// `PENDING`, `COMPLETED`, `FAILED`, `NONE`.
    pub status: String,
    /// For showing.
    pub last4: String,
}

/// How a group is shipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderShipping {
    /// Option: `standard`.
    pub method: String,
    /// Carrier of the option.
    #[serde(default)]
    pub carrier: String,
    /// Service of that carrier.
    #[serde(default)]
    pub service: String,
    /// For people.
    pub title: String,
    /// Gross, minor units.
    pub cost: i64,
    /// What promotions took off.
    pub discount: i64,
    /// Earliest arrival, epoch milliseconds.
    pub earliest_ms: Option<u64>,
    /// Latest arrival, epoch milliseconds.
    pub latest_ms: Option<u64>,
    /// Where it leaves.
    pub warehouse: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Body {
    receipt: Receipt,
    timeline: Vec<TimelineEntry>,
    #[serde(default)]
    confirmed_us: Option<i64>,
}

/// Reads an order row.
pub fn from_row(row: &OrderRow) -> Result<Order, till_store::Error> {
    let body: Body = parse(&row.body)?;
    Ok(Order {
        id: row.id.clone(),
        number: row.number.clone(),
        customer: row.customer.clone(),
        status: row.status.clone(),
        currency: body.receipt.currency,
        created_us: row.created_us,
        confirmed_us: body.confirmed_us,
        receipt: body.receipt,
        timeline: body.timeline,
    })
}

impl CheckoutSteps {
    /// Makes the order of this submit, PENDING_PAYMENT.
    pub(super) async fn place(&self, tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        let quote: Quote = part(call, "quote")?;
        let settings: Settings = part(call, "settings")?;
        let totals = quote.totals.ok_or_else(|| StepFault::new("no-totals", "the quote has no totals"))?;
        let method = inputs.payment_method.clone();
        let free = quote.due().is_some_and(|due| due.is_zero());
        let by_card = free && !quote.gift_cards.is_empty();
        let receipt = Receipt {
            currency: quote.currency,
            items: inputs
                .lines
                .iter()
                .zip(&quote.lines)
                .map(|(line, made)| OrderItem {
                    id: line.id.clone(),
                    product: line.product.clone(),
                    sku: line.sku.clone(),
                    name: line.title.clone(),
                    quantity: line.quantity,
                    unit_price: made.unit_price,
                    total: made.total,
                    warehouse: line.warehouse.clone(),
                    kind: line.kind,
                    weight_g: line.weight_g,
                    parts: line.parts.clone(),
                })
                .collect(),
            discounts: quote
                .discounts
                .iter()
                .map(|d| OrderDiscount {
                    kind: d.kind,
                    code: d.code.as_ref().map(|code| inputs.typed(code).to_owned()),
                    unique: d.code.as_ref().is_some_and(|code| inputs.typed(code) != code),
                    title: d.title.clone(),
                    points: d.points,
                    amount: d.amount,
                })
                .collect(),
            totals,
            gift_cards: quote.gift_cards.clone(),
            payment: OrderPayment {
                attempt: String::new(),
                reference: String::new(),
                method: match &method {
                    _ if by_card => "gift_card".to_owned(),
                    method => method.as_ref().map(|m| m.kind.clone()).unwrap_or_default(),
                },
                status: if free && !by_card { "NONE" } else { "PENDING" }.to_owned(),
                last4: method.as_ref().filter(|_| !free).map(|m| m.last4.clone()).unwrap_or_default(),
            },
            shipping: quote
                .shipping
                .iter()
                .filter_map(|group| group.selected_option().map(|option| (group, option)))
                .map(|(group, option)| OrderShipping {
                    method: option.id.clone(),
                    carrier: option.carrier.clone(),
                    service: option.service.clone(),
                    title: option.title.clone(),
                    cost: option.price,
                    discount: option.discount,
                    earliest_ms: option.earliest_ms,
                    latest_ms: option.latest_ms,
                    warehouse: group.warehouse.clone(),
                })
                .collect(),
            points_balance: None,
            shipping_address: inputs.shipping_address.clone(),
            billing_address: inputs.billing_address.clone(),
            notes: inputs.notes.clone(),
            quote: quote.token().to_string(),
            trace: quote.trace.clone(),
            cart: inputs.cart.clone(),
        };
        let number = self.numbers.get(&call.merchant, &settings.order_number_prefix, call.now_us);
        let Some(number) = number else {
            return Err(StepFault::Database("no order number is reserved".to_owned()));
        };
        let id = format!("ord_{}_{}", call.uid.replace('-', ""), call.entry);
        let timeline = vec![TimelineEntry {
            status: PENDING_PAYMENT.to_owned(),
            at_us: call.now_us,
            note: "Order created".to_owned(),
        }];
        let body = serde_json::to_string(&Body { receipt, timeline, confirmed_us: None })
            .map_err(|e| StepFault::new("order", e.to_string()))?;
        let row = OrderRow {
            id: id.clone(),
            number: number.clone(),
            customer: inputs.customer.as_ref().map(|c| c.id.clone()).unwrap_or_default(),
            uid: uid(call)?,
            status: PENDING_PAYMENT.to_owned(),
            version: 1,
            body,
            created_us: call.now_us,
            updated_us: call.now_us,
        };
        let mut number = number;
        if !tx.insert_order(&call.merchant, &row).await.map_err(database)? {
            // Run again: the order has its number.
            let made = tx.order(&call.merchant, &id).await.map_err(database)?;
            number = made.ok_or_else(|| StepFault::new("no-order", format!("order {id} is gone")))?.number;
        }
        Ok(StepResult::outcome("placed")
            .effect(TookEffect::Yes)
            .patch(json!({ "order": { "id": id, "number": number } })))
    }

    /// Undo of [`CheckoutSteps::place`]: the order stays, PAYMENT_FAILED.
    pub(super) async fn fail(tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
        let why = call.context.get("problem").and_then(|p| p.get("code")).and_then(Value::as_str);
        let note = match why {
            Some("payment-declined") => "The payment was declined",
            _ => "The payment did not come about",
        };
        let moved = advance(tx, call, PENDING_PAYMENT, PAYMENT_FAILED, note, |receipt| {
            receipt.payment.status = "FAILED".to_owned();
        })
        .await?;
        if moved.is_none() {
            return Ok(StepResult::outcome("done")); // Run again: it is told.
        }
        let fact = json!({ "orderId": order_id(call)?, "status": PAYMENT_FAILED, "note": note });
        Ok(StepResult::outcome("done")
            .event(PAYMENT_FAILED_EVENT, fact.clone())
            .event(ORDER_STATUS_UPDATED, fact))
    }

    /// The money is here: takes the stock, books the points, archives the cart, confirms the order.
    pub(super) async fn confirm(tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
        let quote: Quote = part(call, "quote")?;
        let inputs: Inputs = part(call, "snapshot")?;
        let payment: Payment = maybe(call, "payment")?.unwrap_or_default();
        let merchant = call.merchant.as_str();
        let totals = quote.totals.ok_or_else(|| StepFault::new("no-totals", "the quote has no totals"))?;
        let order = order_id(call)?;
        let made = tx.order(merchant, &order).await.map_err(database)?;
        if made.is_some_and(|row| row.status != PENDING_PAYMENT && row.status != PAYMENT_FAILED) {
            return Ok(StepResult::outcome("confirmed")); // Run again: everything is booked.
        }
        let settings: Settings = part(call, "settings")?;
        let customer = inputs.customer.as_ref().map_or("", |c| c.id.as_str());
        let (reason, note) = (inventory::SALE, "");
        let because = Because { reason, reference: &order, note, who: customer, at_us: call.now_us };
        let settled = tx.settle_holds(merchant, uid(call)?, "", End::Commit(because), call.now_us).await;
        let (_, taken) = settled.map_err(database)?;
        let earned = i64::try_from(totals.points_earned).unwrap_or(i64::MAX);
        tx.earn_points(merchant, customer, &format!("{order}:earned"), earned, call.now_us)
            .await
            .map_err(database)?;
        let balance = tx.customer(merchant, customer).await.map_err(database)?.map_or(0, |c| c.points);
        if let Some(version) = call.context.get("cart_version").and_then(Value::as_i64) {
            // Changed since: what the shopper put in meanwhile stays in the cart.
            tx.archive_cart(merchant, &inputs.cart, version, call.now_us).await.map_err(database)?;
        }
        let paid = payment.attempts.iter().rev().find(|(_, a)| a.state == "captured");
        let paid = paid.map(|(key, attempt)| (key.clone(), attempt.clone()));
        let moved = advance(tx, call, PENDING_PAYMENT, CONFIRMED, PAID, |receipt| {
            receipt.points_balance = Some(balance);
            if !receipt.gift_cards.is_empty() && receipt.due() == 0 {
                receipt.payment.status = "COMPLETED".to_owned();
            }
            if let Some((key, attempt)) = &paid {
                receipt.payment.attempt.clone_from(key);
                receipt.payment.reference =
                    attempt.references.first().map(|(_, v)| v.clone()).unwrap_or_default();
                receipt.payment.status = "COMPLETED".to_owned();
            }
        })
        .await?;
        if moved.is_none() {
            return Ok(StepResult::outcome("lost").refuse());
        }
        // What they say is read from the order when they are told.
        let fact = json!({ "orderId": order, "status": CONFIRMED, "note": PAID });
        let topics = [ORDER_CREATED, PAYMENT_COMPLETED, ORDER_STATUS_UPDATED];
        let told = topics
            .iter()
            .fold(StepResult::outcome("confirmed"), |told, topic| told.event(topic, fact.clone()));
        let crossed = taken.iter().flat_map(|movement| crossed(movement, settings.inventory.low_at));
        Ok(crossed.fold(told, |told, (topic, body)| told.event(topic, body)))
    }
}

fn order_id(call: &StepCall) -> Result<String, StepFault> {
    let id = call.context.get("order").and_then(|o| o.get("id")).and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| StepFault::new("no-order", "the context names no order"))
}

/// Moves the checkout's order from one status to the next. None: it is not in `from`.
async fn advance(
    tx: &mut Tx,
    call: &StepCall,
    from: &str,
    to: &str,
    note: &str,
    change: impl FnOnce(&mut Receipt),
) -> Result<Option<()>, StepFault> {
    let id = order_id(call)?;
    move_on(tx, &call.merchant, &id, from, to, note, call.now_us, change).await.map_err(database)
}

/// Moves an order from one status to the next, with a line in its timeline. None: it is not in `from`.
pub(crate) async fn move_on(
    tx: &mut Tx,
    merchant: &str,
    id: &str,
    from: &str,
    to: &str,
    note: &str,
    now_us: i64,
    change: impl FnOnce(&mut Receipt),
) -> Result<Option<()>, StoreError> {
    let row = tx.order(merchant, id).await?;
    let Some(row) = row.filter(|r| r.status == from) else { return Ok(None) };
    let mut body: Body = parse(&row.body)?;
    change(&mut body.receipt);
    body.timeline.push(TimelineEntry { status: to.to_owned(), at_us: now_us, note: note.to_owned() });
    if to == CONFIRMED {
        body.confirmed_us = Some(now_us);
    }
    let text = serde_json::to_string(&body).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    let moved = tx.move_order(merchant, id, from, to, &text, now_us).await?;
    Ok(moved.then_some(()))
}
