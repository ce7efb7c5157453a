//! The steps that `workflows/fulfilment.yaml` names.
//!
//! | field of the context | written by | holds |
//! |---|---|---|
//! | `shipment` | start | id of the shipment |
//! | `carried` | `shipment.begin` | a carrier's component books it |
//! | `carrier` | `shipment.begin` | digest of that component's binding |
//! | `booking` | `carrier.book`, `carrier.find` | the carrier's word, and the key it was given under |
//! | `trouble` | `carrier.book`, `carrier.cancel` | why it was refused |
//! | `scan`, `scans` | `scan`, `update`; `carrier.track` | what was told and is not written down yet |

use std::sync::Arc;

use serde_json::{Value, json};
use till_engine::step::{Class, StepCall, StepFault, StepInterface, StepResult, TookEffect};
use till_registry::Bound;
use till_sandbox::wit::carrier as wit;
use till_sandbox::wit::types::Money;
use till_sandbox::{Answer, Failure, Report, Slot};
use till_store::tables::shipment::ScanRow;
use till_store::{Error as StoreError, Store, Tx};

use super::{
    Booking, FEEDBACK_REQUESTED, LOCATION_UPDATED, Location, Partner, SHIPMENT_UPDATED, Scan, ScanKind,
    Shipment, moved_by_parcels, order_status, status,
};
use crate::ask::{self, cut};
use crate::catalog;
use crate::checkout::steps::CheckoutSteps;
use crate::checkout::{ORDER_STATUS_UPDATED, Order, database, order, order_from_row, words};
use crate::events::time;
use crate::inventory;
use crate::quote::Address;
use crate::settings::Settings;

/// Interface of a step of this room.
pub(crate) fn interface(step: &str) -> Option<StepInterface> {
    let of = |class, outcomes: &[&str]| Some(StepInterface::new(step, class, outcomes));
    match step {
        "shipment.begin" => of(Class::Transactional, &["begun", "void"]),
        "shipment.booked" | "shipment.trouble" => of(Class::Transactional, &["noted"]),
        "shipment.note" => of(Class::Transactional, &["waiting", "moving", "delivered", "returned"]),
        "shipment.withdraw" => of(Class::Transactional, &["withdrawn"]),
        "carrier.book" => of(Class::External, &["booked", "refused", "unknown"]),
        "carrier.cancel" => of(Class::External, &["cancelled", "too_late", "unknown"]),
        "carrier.find" => of(Class::ExternalRead, &["booked", "cancelled", "never_happened", "unknown"]),
        "carrier.track" => of(Class::ExternalRead, &["told"]),
        _ => None,
    }
}

/// A shipment with its order, and who carries it.
pub(crate) struct Load {
    pub(crate) shipment: Shipment,
    pub(crate) order: Order,
    email: String,
    /// Where it leaves, if the merchant has said where the warehouse is.
    origin: Option<Address>,
    pub(crate) settings: Settings,
}

fn shipment_id(call: &StepCall) -> Result<&str, StepFault> {
    let id = call.context.get("shipment").and_then(Value::as_str);
    id.ok_or_else(|| StepFault::new("no-shipment", "the context names no shipment"))
}

fn part<T: serde::de::DeserializeOwned>(call: &StepCall, field: &str) -> Result<Option<T>, StepFault> {
    match call.context.get(field).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|error| StepFault::new("context", format!("`{field}`: {error}"))),
    }
}

/// Reads a shipment and what a carrier is told with it.
pub(crate) async fn load(store: &Store, merchant: &str, shipment: &str) -> Result<Load, StepFault> {
    let mut tx = store.read().await.map_err(database)?;
    let missing = |what: &str| StepFault::new("no-shipment", format!("{what} of {shipment} is gone"));
    let row = tx.shipment(merchant, shipment).await.map_err(database)?;
    let shipment = Shipment::read(&row.ok_or_else(|| missing("the row"))?).map_err(database)?;
    let row = tx.order(merchant, &shipment.order).await.map_err(database)?;
    let order = order_from_row(&row.ok_or_else(|| missing("the order"))?).map_err(database)?;
    let customer = catalog::customer(&mut tx, merchant, &order.customer).await.map_err(database)?.0;
    let settings = tx.setting(merchant).await.map_err(database)?;
    let settings: Settings = match settings {
        Some(body) => catalog::parse(&body).map_err(database)?,
        None => Settings::default(),
    };
    // Its values are in the order's currency, whatever the shop sells in by now.
    let settings = Settings { currency: order.currency, ..settings };
    let described = inventory::warehouses(&mut tx, merchant).await.map_err(database)?;
    let from = described.into_iter().find(|one| Some(&one.id) == shipment.parcel.warehouse.as_ref());
    let origin = from.map(|one| one.address).filter(|address| address.missing().is_empty());
    Ok(Load { shipment, order, email: customer.email, origin, settings })
}

impl CheckoutSteps {
    /// The carrier that was chosen at the start; where it was revoked, the one bound now that can go on with its
    /// references.
    async fn carrier(&self, call: &StepCall) -> Result<Arc<Bound>, StepFault> {
        let digest: Option<String> = part(call, "carrier")?;
        let digest = digest.ok_or_else(|| StepFault::new("no-carrier", "no carrier books this parcel"))?;
        let wrong = |e: till_registry::Error| StepFault::new("binding", e.to_string());
        match self.registry.bound(&call.merchant, &digest).await {
            Err(till_registry::Error::Revoked { component }) => {
                let stands_in = self.registry.stand_in(&call.merchant, &digest, true).await.map_err(wrong)?;
                stands_in.ok_or_else(|| {
                    StepFault::new(
                        "revoked",
                        format!("component {component} was revoked; bind a carrier that adopts it"),
                    )
                })
            }
            bound => bound.map_err(wrong),
        }
    }

    /// Asks the carrier for a place in its van.
    pub(crate) async fn book(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let load = load(&self.store, &call.merchant, shipment_id(call)?).await?;
        let bound = self.carrier(call).await?;
        let first_sent_us = call.about.as_ref().map(|about| about.first_sent_us);
        let consignment = consignment(&load, &call.key, first_sent_us)?;
        let component = self.gateway_call(call, &bound, &load.settings).await?;
        let answer = self.sandbox().book(component, consignment).await;
        till_engine::crash::point("call.request-sent.before-response");
        self.count_carrier(call, &bound, &answer).await;
        let (result, report) = sound(answer)?;
        let Some(result) = result else { return Ok(unclear("the carrier's answer did not come whole")) };
        match result.status {
            wit::BookStatus::Booked(_) if !report.sent => {
                Ok(unclear("the component reports a booking without having asked the carrier"))
            }
            wit::BookStatus::Booked(booked) => Ok(StepResult::outcome("booked")
                .effect(TookEffect::Yes)
                .patch(json!({ "booking": booked_as(&booked, &call.key), "trouble": null }))),
            wit::BookStatus::Refused(refusal) => {
                let trouble = cut(&format!("the carrier refuses: {} ({})", refusal.text, refusal.code));
                Ok(StepResult::outcome("refused").patch(json!({ "trouble": trouble })))
            }
            wit::BookStatus::Unknown(why) if report.sent => Ok(unclear(&why)),
            wit::BookStatus::Unknown(why) => Err(not_sent(&why)),
        }
    }

    /// Asks what became of a booking.
    pub(crate) async fn find_booking(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let load = load(&self.store, &call.merchant, shipment_id(call)?).await?;
        let bound = self.carrier(call).await?;
        let known: Option<Booking> = part(call, "booking")?;
        let about = call.about.as_ref();
        // While a booking is being taken back the latest effect is the taking back; the booking is what is asked about.
        let key = known.as_ref().map(|b| b.key.clone()).or_else(|| about.map(|a| a.key.clone()));
        let key = key.ok_or_else(|| StepFault::new("no-booking", "there is nothing to ask about"))?;
        let consignment =
            with_references(consignment(&load, &key, about.map(|a| a.first_sent_us))?, known.as_ref());
        let component = self.gateway_call(call, &bound, &load.settings).await?;
        let answer = self.sandbox().find_booking(component, consignment).await;
        self.count_carrier(call, &bound, &answer).await;
        let Ok((Some(result), _)) = sound(answer) else { return Ok(unclear("the carrier did not answer")) };
        match result.state {
            wit::BookingState::Booked(booked) => Ok(StepResult::outcome("booked")
                .effect(TookEffect::Yes)
                .patch(json!({ "booking": booked_as(&booked, &key) }))),
            wit::BookingState::Cancelled => Ok(StepResult::outcome("cancelled")
                .patch(json!({ "trouble": "the carrier has cancelled the booking" }))),
            wit::BookingState::NeverHappened(wit::Absence::Certain) => {
                Ok(StepResult::outcome("never_happened"))
            }
            wit::BookingState::NeverHappened(wit::Absence::NotVisibleYet) => {
                Ok(unclear("not visible at the carrier yet"))
            }
            wit::BookingState::Unknown(why) => Ok(unclear(&why)),
        }
    }

    /// Takes a booking back. One that a person made elsewhere is that person's to take back.
    pub(crate) async fn cancel_booking(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let known: Option<Booking> = part(call, "booking")?;
        let Some(known) = known.filter(|booking| !booking.key.is_empty()) else {
            return Ok(StepResult::outcome("cancelled"));
        };
        let load = load(&self.store, &call.merchant, shipment_id(call)?).await?;
        let bound = self.carrier(call).await?;
        let consignment = with_references(consignment(&load, &known.key, None)?, Some(&known));
        let component = self.gateway_call(call, &bound, &load.settings).await?;
        let answer = self.sandbox().cancel_booking(component, consignment).await;
        self.count_carrier(call, &bound, &answer).await;
        let (result, report) = sound(answer)?;
        let Some(result) = result else { return Ok(unclear("the carrier's answer did not come whole")) };
        match result.status {
            wit::CancelStatus::Cancelled if !report.sent => {
                Ok(unclear("the component reports a cancellation without having asked the carrier"))
            }
            wit::CancelStatus::Cancelled => {
                Ok(StepResult::outcome("cancelled").effect(TookEffect::Yes).patch(json!({ "booking": null })))
            }
            wit::CancelStatus::TooLate(why) => {
                let trouble = cut(&format!("the carrier does not take the booking back: {why}"));
                Ok(StepResult::outcome("too_late").patch(json!({ "trouble": trouble })))
            }
            wit::CancelStatus::Unknown(why) if report.sent => Ok(unclear(&why)),
            wit::CancelStatus::Unknown(why) => Err(not_sent(&why)),
        }
    }

    /// Asks where a parcel is: a webhook may have been lost. What cannot be asked is told by nobody, for now.
    pub(crate) async fn track(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let nothing = |why: &str| {
            StepResult::outcome("told").patch(json!({ "scans": [] })).note(json!({ "why": cut(why) }))
        };
        let known: Option<Booking> = part(call, "booking")?;
        let Some(known) = known.filter(|booking| !booking.key.is_empty()) else {
            return Ok(nothing("no carrier's component has booked it"));
        };
        let load = load(&self.store, &call.merchant, shipment_id(call)?).await?;
        let bound = self.carrier(call).await?;
        let consignment = with_references(consignment(&load, &known.key, None)?, Some(&known));
        let component = self.gateway_call(call, &bound, &load.settings).await?;
        let answer = self.sandbox().track(component, consignment).await;
        self.count_carrier(call, &bound, &answer).await;
        match sound(answer) {
            Ok((Some(result), _)) => {
                let scans: Vec<Scan> = result.scans.iter().take(SCANS_MAX).map(scan_of).collect();
                Ok(StepResult::outcome("told").patch(json!({ "scans": scans })))
            }
            Ok((None, _)) => Ok(nothing("the carrier's answer did not come whole")),
            Err(fault) => Ok(nothing(fault.parts().1)),
        }
    }

    async fn count_carrier<T>(&self, call: &StepCall, bound: &Bound, answer: &Result<Answer<T>, Failure>) {
        let Some(ended) = ask::ended(answer) else { return };
        self.registry.count_call(&call.merchant, Slot::Carrier, &bound.name, &bound.digest, ended).await;
    }
}

/// Scans taken from one answer: a parcel has some dozens.
pub(crate) const SCANS_MAX: usize = 200;

fn unclear(why: &str) -> StepResult {
    StepResult::outcome("unknown").effect(TookEffect::Unknown).note(json!({ "why": cut(why) }))
}

fn not_sent(why: &str) -> StepFault {
    StepFault::NotSent { code: "carrier".to_owned(), text: cut(why) }
}

/// An answer and what was done for it. None: it cannot be believed. Err: nothing left the host.
fn sound<T>(answer: Result<Answer<T>, Failure>) -> Result<(Option<T>, Report), StepFault> {
    match answer {
        Ok(Answer { report, .. }) if report.sent && !report.complete_response => Ok((None, report)),
        Ok(Answer { value: Ok(result), report }) => Ok((Some(result), report)),
        Ok(Answer { value: Err(_), report }) if report.sent => Ok((None, report)),
        Ok(Answer { value: Err(error), .. }) => Err(not_sent(&words(&error))),
        Err(failure) if failure.report.sent => Ok((None, *failure.report)),
        Err(failure) => Err(not_sent(&failure.to_string())),
    }
}

/// Bytes of a name or a number of a carrier's, and of its addresses; numbers are looked up in an index.
const WORD_BYTES_MAX: usize = 200;
const URL_BYTES_MAX: usize = 2_000;
/// Ids that a carrier may want to have back.
const REFERENCES_MAX: usize = 20;

/// A carrier's word without control characters, not longer than its place.
fn word(text: &str, bytes_max: usize) -> String {
    let mut kept = String::new();
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        if kept.len() + letter.len_utf8() > bytes_max {
            break;
        }
        kept.push(letter);
    }
    kept
}

/// A carrier's id of a scan. One that is no plain word is known by its digest.
fn scan_id(id: &str) -> String {
    match word(id, WORD_BYTES_MAX) == id && !id.is_empty() {
        true => id.to_owned(),
        false => till_sandbox::Digest::of(id.as_bytes()).to_string(),
    }
}

fn booked_as(booked: &wit::Booking, key: &str) -> Value {
    let named = booked.references.iter().take(REFERENCES_MAX);
    let booking = Booking {
        carrier: word(&booked.carrier, WORD_BYTES_MAX),
        service: word(&booked.service, WORD_BYTES_MAX),
        tracking_number: word(&booked.tracking_number, WORD_BYTES_MAX),
        tracking_url: booked.tracking_url.as_deref().map(|url| word(url, URL_BYTES_MAX)),
        key: key.to_owned(),
        references: named.map(|r| (word(&r.kind, WORD_BYTES_MAX), word(&r.value, URL_BYTES_MAX))).collect(),
    };
    let mut value = json!(booking);
    value["eta_us"] = json!(booked.eta_ms.and_then(|ms| i64::try_from(ms.saturating_mul(1000)).ok()));
    value["partner"] = json!(booked.partner.as_ref().map(partner_of));
    value
}

fn partner_of(partner: &wit::Partner) -> Partner {
    Partner {
        name: word(&partner.name, WORD_BYTES_MAX),
        phone: word(&partner.phone, WORD_BYTES_MAX),
        rating_tenths: partner.rating_tenths.filter(|tenths| *tenths <= 50),
    }
}

/// A carrier's scan in the shop's words.
pub(crate) fn scan_of(scan: &wit::Scan) -> Scan {
    let us = |ms: u64| i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX);
    Scan {
        id: scan_id(&scan.dedup_id),
        kind: match scan.kind {
            wit::ScanKind::PickedUp => ScanKind::PickedUp,
            wit::ScanKind::InTransit => ScanKind::InTransit,
            wit::ScanKind::OutForDelivery => ScanKind::OutForDelivery,
            wit::ScanKind::DeliveryFailed => ScanKind::DeliveryFailed,
            wit::ScanKind::Delivered => ScanKind::Delivered,
            wit::ScanKind::Returned => ScanKind::Returned,
            wit::ScanKind::Location => ScanKind::Location,
            wit::ScanKind::Other => ScanKind::Other,
        },
        at_us: us(scan.at_ms),
        text: cut(&scan.text),
        place: scan.place.as_deref().map(|place| word(place, WORD_BYTES_MAX)),
        position: scan.position.map(|p| (p.lat_udeg, p.lng_udeg)),
        eta_us: scan.eta_ms.map(us),
        partner: scan.partner.as_ref().map(partner_of),
        booking: None,
    }
}

/// What the carrier is told of a parcel.
pub(crate) fn consignment(
    load: &Load,
    key: &str,
    first_sent_us: Option<i64>,
) -> Result<wit::Consignment, StepFault> {
    let (shipment, order) = (&load.shipment, &load.order);
    let to = order.receipt.shipping_address.as_ref();
    let to = to.ok_or_else(|| StepFault::new("no-address", "the order has no shipping address"))?;
    let currency = order.currency.code();
    let item = |id: &str| order.receipt.items.iter().find(|item| item.id == id);
    let lines: Vec<wit::ParcelLine> = shipment
        .parcel
        .lines
        .iter()
        .filter_map(|line| Some((line, item(&line.item)?)))
        .map(|(line, item)| wit::ParcelLine {
            sku: line.sku.clone(),
            title: item.name.clone(),
            units: line.quantity,
            weight_g: item.weight_g,
            value: Money {
                minor: item.unit_price.saturating_mul(i64::from(line.quantity)),
                currency: currency.to_owned(),
            },
        })
        .collect();
    Ok(wit::Consignment {
        key: key.to_owned(),
        first_sent_ms: first_sent_us.and_then(|us| u64::try_from(us / 1000).ok()),
        shipment: shipment.id.clone(),
        order: order.id.clone(),
        order_number: order.number.clone(),
        method: shipment.parcel.method.clone(),
        carrier: shipment.parcel.carrier.clone(),
        service: shipment.parcel.service.clone(),
        origin: load.origin.as_ref().map(Address::to_wit),
        destination: to.to_wit(),
        email: load.email.clone(),
        weight_g: lines.iter().map(|line| u64::from(line.weight_g) * u64::from(line.units)).sum(),
        value: Money {
            minor: lines.iter().map(|line| line.value.minor).sum(),
            currency: currency.to_owned(),
        },
        lines,
        notes: order.receipt.notes.clone(),
        references: Vec::new(),
        attributes: Vec::new(),
    })
}

pub(crate) fn with_references(consignment: wit::Consignment, booking: Option<&Booking>) -> wit::Consignment {
    let pairs = booking.map(|b| b.references.as_slice()).unwrap_or_default();
    let references = pairs
        .iter()
        .map(|(kind, value)| wit::Reference { kind: kind.clone(), value: value.clone() })
        .collect();
    wit::Consignment { references, ..consignment }
}

/// Writes a shipment, moves its order as far as its parcels are, and gives the facts to tell.
async fn written(
    tx: &mut Tx,
    merchant: &str,
    shipment: &Shipment,
    note: &str,
    told: bool,
    now_us: i64,
) -> Result<Vec<(&'static str, Value)>, StoreError> {
    tx.put_shipment(merchant, &shipment.row()?).await?;
    let booking = shipment.parcel.booking.as_ref();
    let fact = |status: &str| {
        json!({
            "orderId": shipment.order,
            "shipmentId": shipment.id,
            "status": status,
            "note": note,
            "carrier": booking.map(|b| &b.carrier),
            "trackingNumber": booking.map(|b| &b.tracking_number),
            "trackingUrl": booking.and_then(|b| b.tracking_url.as_ref()),
        })
    };
    let mut facts = vec![];
    if told {
        facts.push((SHIPMENT_UPDATED, fact(&shipment.status)));
    }
    let all = tx.shipments_of(merchant, &shipment.order).await?;
    let Some(to) = order_status(all.iter().map(|row| row.status.as_str())) else { return Ok(facts) };
    let Some(row) = tx.order(merchant, &shipment.order).await? else { return Ok(facts) };
    if row.status == to || !moved_by_parcels(&row.status) {
        return Ok(facts);
    }
    let moved = order::move_on(tx, merchant, &row.id, &row.status, to, note, now_us, |_| {}).await?;
    if moved.is_some() {
        facts.push((ORDER_STATUS_UPDATED, fact(to)));
        if to == status::DELIVERED {
            facts.push((FEEDBACK_REQUESTED, fact(to)));
        }
    }
    Ok(facts)
}

/// A shipment with its order held: parcels of one order are written one after the other.
pub(crate) async fn hold(tx: &mut Tx, merchant: &str, id: &str) -> Result<Option<Shipment>, StoreError> {
    let Some(row) = tx.shipment(merchant, id).await? else { return Ok(None) };
    tx.hold_order(merchant, &row.order).await?;
    let row = tx.hold_shipment(merchant, id).await?;
    row.as_ref().map(Shipment::read).transpose()
}

async fn held(tx: &mut Tx, merchant: &str, id: &str) -> Result<Shipment, StepFault> {
    let gone = || StepFault::new("no-shipment", format!("shipment {id} is gone"));
    hold(tx, merchant, id).await.map_err(database)?.ok_or_else(gone)
}

fn with_facts(result: StepResult, facts: Vec<(&'static str, Value)>) -> StepResult {
    facts.into_iter().fold(result, |result, (topic, fact)| result.event(topic, fact))
}

/// Somebody works on it now.
pub(crate) async fn begin(tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
    let mut shipment = held(tx, &call.merchant, shipment_id(call)?).await?;
    if shipment.status == status::CANCELLED {
        return Ok(StepResult::outcome("void"));
    }
    let pins = call.pins.get(Slot::Carrier.as_str());
    let pin = pins.and_then(|pins| pins.get(&shipment.parcel.carrier).or_else(|| pins.get("default")));
    if shipment.status == status::NEW {
        let note =
            if pin.is_some() { "The parcel is being packed" } else { "The parcel waits for the merchant" };
        shipment.becomes(status::PENDING, note, call.now_us);
        written(tx, &call.merchant, &shipment, note, false, call.now_us).await.map_err(database)?;
    }
    Ok(StepResult::outcome("begun").patch(json!({ "carried": pin.is_some(), "carrier": pin })))
}

/// Writes down that the carrier has booked it.
pub(crate) async fn booked(tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
    let mut shipment = held(tx, &call.merchant, shipment_id(call)?).await?;
    let booking: Booking =
        part(call, "booking")?.ok_or_else(|| StepFault::new("no-booking", "the context has no booking"))?;
    let told = |field: &str| call.context.get("booking").and_then(|b| b.get(field)).cloned();
    if let Some(eta) = told("eta_us").and_then(|eta| eta.as_i64()) {
        shipment.parcel.eta_us = Some(eta);
    }
    shipment.parcel.partner = told("partner").and_then(|partner| serde_json::from_value(partner).ok());
    let note = format!("Booked with {}, number {}", booking.carrier, booking.tracking_number);
    shipment.parcel.booking = Some(booking);
    shipment.parcel.trouble = None;
    // A scan may have been quicker than this.
    if shipment.status == status::PENDING {
        shipment.becomes(status::READY, &note, call.now_us);
    }
    let facts = written(tx, &call.merchant, &shipment, &note, true, call.now_us).await.map_err(database)?;
    Ok(with_facts(StepResult::outcome("noted"), facts))
}

/// Writes down why nobody has booked it, for the merchant.
pub(crate) async fn trouble(tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
    let mut shipment = held(tx, &call.merchant, shipment_id(call)?).await?;
    let said: Option<String> = part(call, "trouble")?;
    let fault = call.context.get("fault").and_then(|f| f.get("text")).and_then(Value::as_str);
    let why =
        said.or_else(|| fault.map(str::to_owned)).unwrap_or_else(|| "the carrier has no answer".to_owned());
    shipment.parcel.trouble = Some(why.clone());
    shipment.updated_us = call.now_us;
    let facts = written(tx, &call.merchant, &shipment, &why, true, call.now_us).await.map_err(database)?;
    Ok(with_facts(StepResult::outcome("noted").patch(json!({ "trouble": null, "fault": null })), facts))
}

/// Writes down what was told.
pub(crate) async fn note(tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
    let mut shipment = held(tx, &call.merchant, shipment_id(call)?).await?;
    let mut scans: Vec<Scan> = part(call, "scans")?.unwrap_or_default();
    // An operator may send a signal with any body by hand: one that says nothing changes nothing.
    let told = part::<Scan>(call, "scan");
    let unread = told.as_ref().err().map(|fault| fault.parts().1.to_owned());
    scans.extend(told.ok().flatten());
    scans.sort_by_key(|scan| scan.at_us);
    let mut facts = Vec::new();
    for scan in &scans {
        let taken = take(tx, &call.merchant, &mut shipment, scan, call.now_us).await.map_err(database)?;
        facts.extend(taken);
    }
    let outcome = match shipment.status.as_str() {
        status::DELIVERED => "delivered",
        status::RETURNED => "returned",
        _ if shipment.moves() => "moving",
        _ => "waiting",
    };
    let mut patch = json!({ "scan": null, "scans": null });
    if let Some(booking) = scans.iter().rev().find_map(|scan| scan.booking.as_ref()) {
        patch["booking"] = json!(booking);
    }
    let result = StepResult::outcome(outcome).patch(patch);
    let result = match unread {
        Some(why) => result.note(json!({ "unread": why })),
        None => result,
    };
    Ok(with_facts(result, facts))
}

/// Takes one scan in, once. Gives the facts to tell.
pub(crate) async fn take(
    tx: &mut Tx,
    merchant: &str,
    shipment: &mut Shipment,
    scan: &Scan,
    now_us: i64,
) -> Result<Vec<(&'static str, Value)>, StoreError> {
    let body = serde_json::to_string(scan).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    // A clock that is ahead must not outdo all that comes later.
    let scan = &Scan { at_us: scan.at_us.min(now_us), ..scan.clone() };
    let row = ScanRow { id: scan.id.clone(), at_us: scan.at_us, body };
    if !tx.insert_scan(merchant, &shipment.id, &row).await? {
        return Ok(vec![]);
    }
    let before = shipment.parcel.timeline.clone();
    let changed = shipment.take(scan, now_us);
    let new = shipment.parcel.timeline.iter().find(|entry| !before.contains(entry));
    let note = new.map_or_else(|| scan.text.clone(), |entry| entry.note.clone());
    let mut facts = written(tx, merchant, shipment, &note, changed.status, now_us).await?;
    if changed.location {
        facts.push((LOCATION_UPDATED, located(shipment)));
    }
    Ok(facts)
}

/// The fact that a parcel is somewhere else.
fn located(shipment: &Shipment) -> Value {
    let location = shipment.parcel.location.as_ref();
    json!({
        "orderId": shipment.order,
        "shipmentId": shipment.id,
        "currentLocation": location.map(Location::told),
        "estimatedDeliveryTime": shipment.parcel.eta_us.map(time),
    })
}

/// It is not sent.
pub(crate) async fn withdraw(tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
    let mut shipment = held(tx, &call.merchant, shipment_id(call)?).await?;
    let why = call.context.get("cancel").and_then(|c| c.get("why")).and_then(Value::as_str);
    let note = match why.filter(|why| !why.is_empty()) {
        Some(why) => format!("The parcel is not sent: {why}"),
        None => "The parcel is not sent".to_owned(),
    };
    shipment.parcel.booking = None;
    shipment.becomes(status::CANCELLED, &note, call.now_us);
    let facts = written(tx, &call.merchant, &shipment, &note, true, call.now_us).await.map_err(database)?;
    Ok(with_facts(StepResult::outcome("withdrawn"), facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrival_at_the_end_of_time_is_none() {
        let booking = |eta_ms| wit::Booking {
            carrier: "c".to_owned(),
            service: "s".to_owned(),
            tracking_number: "1".to_owned(),
            tracking_url: None,
            eta_ms,
            partner: None,
            references: vec![],
            attributes: vec![],
        };
        assert_eq!(booked_as(&booking(Some(u64::MAX)), "k")["eta_us"], Value::Null);
        assert_eq!(booked_as(&booking(Some(7)), "k")["eta_us"], json!(7_000));
    }
}
