//! Fulfilment: the parcels of an order, from the packing table to the shopper's door.
//!
//! Owns shipments and what follows from what is told of them. A shipment is made when its order is being prepared, one
//! for each warehouse, and is then run by `workflows/fulfilment.yaml`; [`steps`] are that workflow's. Start reading at
//! [`Shipment`] and [`Shipment::take`], which are plain.

pub mod steps;

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use till_engine::step::Event;
use till_store::tables::shipment::ShipmentRow;
use till_store::{Error as StoreError, Tx};
use uuid::Uuid;

use crate::catalog::parse;
use crate::checkout::order::move_on;
use crate::checkout::{CONFIRMED, ORDER_STATUS_UPDATED, Order, PROCESSING, TimelineEntry};
use crate::events::time;

/// Lines of a timeline: a parcel has some dozens. The end is always told.
const TIMELINE_MAX: usize = 200;

/// Name of the workflow; a shipment's instance has the shipment's id.
pub const FULFILMENT: &str = "fulfilment";

/// Topic: a shipment has another status, or trouble.
pub const SHIPMENT_UPDATED: &str = "shipment.updated";
/// Topic: somebody told where a parcel is.
pub const LOCATION_UPDATED: &str = "delivery.location.updated";
/// Topic: the shopper may be asked what they think.
pub const FEEDBACK_REQUESTED: &str = "feedback.requested";
/// Topic: the shopper has said what they think.
pub const FEEDBACK_RECEIVED: &str = "feedback.received";

/// Statuses of shipments; those from SHIPPED on are statuses of orders too.
pub mod status {
    /// Nobody works on it yet.
    pub const NEW: &str = "NEW";
    /// It is being packed; no carrier has it in its books.
    pub const PENDING: &str = "PENDING";
    /// A carrier will fetch it.
    pub const READY: &str = "READY";
    /// The carrier has it.
    pub const SHIPPED: &str = "SHIPPED";
    /// It arrives today.
    pub const OUT_FOR_DELIVERY: &str = "OUT_FOR_DELIVERY";
    /// Nobody was there.
    pub const DELIVERY_FAILED: &str = "DELIVERY_FAILED";
    /// The shopper has it.
    pub const DELIVERED: &str = "DELIVERED";
    /// It is back, or lost.
    pub const RETURNED: &str = "RETURNED";
    /// It was not sent.
    pub const CANCELLED: &str = "CANCELLED";
    /// All of them.
    pub const ALL: [&str; 9] =
        [NEW, PENDING, READY, SHIPPED, OUT_FOR_DELIVERY, DELIVERY_FAILED, DELIVERED, RETURNED, CANCELLED];
}

/// A parcel of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Shipment {
    /// Id, `shp_…`.
    pub id: String,
    /// Id of the order.
    pub order: String,
    /// One of [`status`].
    pub status: String,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Epoch microseconds.
    pub updated_us: i64,
    /// What is known of it.
    pub parcel: Parcel,
}

/// What is known of a shipment. `Serialize` is the persisted form.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Parcel {
    /// Where it leaves.
    pub warehouse: Option<String>,
    /// Shipping option of the order: `standard`.
    pub method: String,
    /// Carrier of that option; names the binding that books it.
    pub carrier: String,
    /// Service of that carrier.
    pub service: String,
    /// What is in it.
    pub lines: Vec<ParcelLine>,
    /// The carrier's own word.
    pub booking: Option<Booking>,
    /// Who brings it.
    pub partner: Option<Partner>,
    /// Where it was last.
    pub location: Option<Location>,
    /// When it should arrive, epoch microseconds.
    pub eta_us: Option<i64>,
    /// Why nobody has booked it.
    pub trouble: Option<String>,
    /// What became of it.
    pub timeline: Vec<TimelineEntry>,
    /// When that happened which gave it its status, epoch microseconds.
    pub told_us: i64,
}

/// Some units of a line of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelLine {
    /// Id of the order's line.
    pub item: String,
    /// SKU.
    pub sku: String,
    /// Units.
    pub quantity: u32,
}

/// What the carrier, or the merchant by hand, said of the booking.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Booking {
    /// For people.
    pub carrier: String,
    /// Of that carrier.
    #[serde(default)]
    pub service: String,
    /// Number of the parcel.
    pub tracking_number: String,
    /// Where it can be followed.
    #[serde(default)]
    pub tracking_url: Option<String>,
    /// Idempotency key of the booking; empty for one by hand.
    #[serde(default)]
    pub key: String,
    /// Ids of the carrier.
    #[serde(default)]
    pub references: Vec<(String, String)>,
}

/// Who brings a parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partner {
    /// Name.
    pub name: String,
    /// Phone number.
    #[serde(default)]
    pub phone: String,
    /// In tenths: 48 is 4.8 of 5.
    #[serde(default)]
    pub rating_tenths: Option<u32>,
}

/// Where a parcel was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// For people.
    pub place: Option<String>,
    /// Millionths of a degree: north, east (WGS 84).
    pub position: Option<(i32, i32)>,
    /// Epoch microseconds.
    pub at_us: i64,
}

impl Location {
    /// As it is told outside: degrees with all their digits.
    pub fn told(&self) -> Value {
        json!({
            "place": self.place,
            "latitude": self.position.map(|(north, _)| degrees(north)),
            "longitude": self.position.map(|(_, east)| degrees(east)),
            "at": time(self.at_us),
        })
    }
}

/// Millionths of a degree as decimal degrees: `-122.419400`.
fn degrees(millionths: i32) -> String {
    let (whole, part) = (millionths.unsigned_abs() / 1_000_000, millionths.unsigned_abs() % 1_000_000);
    format!("{}{whole}.{part:06}", if millionths < 0 { "-" } else { "" })
}

/// Decimal degrees within a limit as millionths: `-122.4194`. None: no such place.
pub fn millionths(degrees: &str, limit: u32) -> Option<i32> {
    let (negative, text) = degrees.strip_prefix('-').map_or((false, degrees), |rest| (true, rest));
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 6 || whole.len() > 3 {
        return None;
    }
    let whole: i32 = whole.parse().ok()?;
    let part: i32 = format!("{part:0<6}").parse().ok()?;
    let all = whole * 1_000_000 + part;
    (all.unsigned_abs() <= limit * 1_000_000).then_some(if negative { -all } else { all })
}

/// What a scan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanKind {
    /// The carrier has the parcel.
    PickedUp,
    /// It goes on.
    InTransit,
    /// It arrives today.
    OutForDelivery,
    /// Nobody was there.
    DeliveryFailed,
    /// The shopper has it.
    Delivered,
    /// It is back, or lost.
    Returned,
    /// Only where it is.
    Location,
    /// Anything else.
    Other,
}

impl ScanKind {
    /// The status that follows. None: it stays.
    pub fn status(self) -> Option<&'static str> {
        match self {
            ScanKind::PickedUp | ScanKind::InTransit => Some(status::SHIPPED),
            ScanKind::OutForDelivery => Some(status::OUT_FOR_DELIVERY),
            ScanKind::DeliveryFailed => Some(status::DELIVERY_FAILED),
            ScanKind::Delivered => Some(status::DELIVERED),
            ScanKind::Returned => Some(status::RETURNED),
            ScanKind::Location | ScanKind::Other => None,
        }
    }

    /// What people read where the teller said nothing.
    fn words(self) -> &'static str {
        match self {
            ScanKind::PickedUp => "The carrier has the parcel",
            ScanKind::InTransit => "The parcel is on its way",
            ScanKind::OutForDelivery => "The parcel is out for delivery",
            ScanKind::DeliveryFailed => "The parcel could not be delivered",
            ScanKind::Delivered => "The parcel was delivered",
            ScanKind::Returned => "The parcel is back",
            ScanKind::Location | ScanKind::Other => "",
        }
    }
}

/// One fact about a parcel, told by the carrier or by the merchant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// The teller's own id: the same scan is taken once.
    pub id: String,
    /// What it says.
    pub kind: ScanKind,
    /// When it happened, epoch microseconds.
    pub at_us: i64,
    /// For the shopper.
    #[serde(default)]
    pub text: String,
    /// Where, for people.
    #[serde(default)]
    pub place: Option<String>,
    /// Where, in millionths of a degree: north, east.
    #[serde(default)]
    pub position: Option<(i32, i32)>,
    /// When the parcel should arrive, epoch microseconds.
    #[serde(default)]
    pub eta_us: Option<i64>,
    /// Who brings it.
    #[serde(default)]
    pub partner: Option<Partner>,
    /// Who has it and under which number, where the merchant says so.
    #[serde(default)]
    pub booking: Option<Booking>,
}

/// What a scan changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// The status.
    pub status: bool,
    /// Where it is.
    pub location: bool,
}

impl Shipment {
    pub(crate) fn read(row: &ShipmentRow) -> Result<Shipment, StoreError> {
        Ok(Shipment {
            id: row.id.clone(),
            order: row.order.clone(),
            status: row.status.clone(),
            created_us: row.created_us,
            updated_us: row.updated_us,
            parcel: parse(&row.body)?,
        })
    }

    pub(crate) fn row(&self) -> Result<ShipmentRow, StoreError> {
        let number = |booking: &Booking| booking.tracking_number.clone();
        Ok(ShipmentRow {
            id: self.id.clone(),
            order: self.order.clone(),
            status: self.status.clone(),
            tracking: self.parcel.booking.as_ref().map(number).unwrap_or_default(),
            body: serde_json::to_string(&self.parcel).map_err(|e| StoreError::Corrupt(e.to_string()))?,
            created_us: self.created_us,
            updated_us: self.updated_us,
        })
    }

    /// It is with the shopper, back, or not sent at all: no scan changes that.
    pub fn ended(&self) -> bool {
        [status::DELIVERED, status::RETURNED, status::CANCELLED].contains(&self.status.as_str())
    }

    /// The carrier has it.
    pub fn moves(&self) -> bool {
        [status::SHIPPED, status::OUT_FOR_DELIVERY, status::DELIVERY_FAILED].contains(&self.status.as_str())
    }

    /// Takes a scan in. Scans come late, twice and in any order: the status is that of the scan which happened last,
    /// and the end is the end.
    pub fn take(&mut self, scan: &Scan, now_us: i64) -> Changed {
        let mut changed = Changed::default();
        if self.ended() {
            return changed;
        }
        self.updated_us = now_us;
        let parcel = &mut self.parcel;
        if let Some(booking) = &scan.booking {
            parcel.booking = Some(booking.clone());
            parcel.trouble = None;
        }
        if scan.partner.is_some() {
            parcel.partner.clone_from(&scan.partner);
        }
        if scan.eta_us.is_some() {
            parcel.eta_us = scan.eta_us;
        }
        let newer = parcel.location.as_ref().is_none_or(|location| scan.at_us >= location.at_us);
        if newer && (scan.place.is_some() || scan.position.is_some()) {
            let (place, position) = (scan.place.clone(), scan.position);
            parcel.location = Some(Location { place, position, at_us: scan.at_us });
            changed.location = true;
        }
        let Some(next) = scan.kind.status() else { return changed };
        let note = if scan.text.is_empty() { scan.kind.words() } else { &scan.text };
        let ends = [status::DELIVERED, status::RETURNED].contains(&next);
        if ends || parcel.timeline.len() < TIMELINE_MAX {
            let entry = TimelineEntry { status: next.to_owned(), at_us: scan.at_us, note: note.to_owned() };
            parcel.timeline.push(entry);
            parcel.timeline.sort_by_key(|entry| entry.at_us);
        }
        if ends || (scan.at_us, rank(next)) >= (parcel.told_us, rank(&self.status)) {
            changed.status = self.status != next;
            parcel.told_us = scan.at_us;
            next.clone_into(&mut self.status);
        }
        changed
    }

    /// Says what became of it, now.
    pub(crate) fn becomes(&mut self, next: &str, note: &str, now_us: i64) {
        next.clone_into(&mut self.status);
        self.updated_us = now_us;
        let entry = TimelineEntry { status: next.to_owned(), at_us: now_us, note: note.to_owned() };
        self.parcel.timeline.push(entry);
    }
}

/// How far along a status is.
fn rank(status: &str) -> u8 {
    match status {
        status::SHIPPED => 1,
        status::DELIVERY_FAILED => 2,
        status::OUT_FOR_DELIVERY => 3,
        status::DELIVERED => 4,
        _ => 0,
    }
}

/// How far an order is: as far as its slowest parcel. Parcels that were not sent or came back do not count; None: no
/// other is there, and the order stays as it is.
pub fn order_status<'a>(parcels: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    let slowest = parcels
        .filter(|status| ![status::CANCELLED, status::RETURNED].contains(status))
        .min_by_key(|status| rank(status))?;
    Some(match rank(slowest) {
        0 => PROCESSING,
        1 => status::SHIPPED,
        2 => status::DELIVERY_FAILED,
        3 => status::OUT_FOR_DELIVERY,
        _ => status::DELIVERED,
    })
}

/// Whether parcels may move an order of this status.
pub(crate) fn moved_by_parcels(order: &str) -> bool {
    order == CONFIRMED || order == PROCESSING || rank(order) > 0
}

/// The parcels of an order: one for each warehouse that things leave, in the order of its lines.
pub(crate) fn plan(order: &Order, now_us: i64) -> Vec<Shipment> {
    let mut parcels: Vec<(Option<String>, Vec<ParcelLine>)> = Vec::new();
    for item in order.receipt.items.iter().filter(|item| item.kind == crate::quote::Kind::Physical) {
        for (warehouse, quantity) in item.places() {
            let warehouse = warehouse.map(str::to_owned);
            let line = ParcelLine { item: item.id.clone(), sku: item.sku.clone(), quantity };
            match parcels.iter_mut().find(|(from, _)| *from == warehouse) {
                Some((_, lines)) => lines.push(line),
                None => parcels.push((warehouse, vec![line])),
            }
        }
    }
    let shipped = |warehouse: &Option<String>| {
        let same = order.receipt.shipping.iter().find(|option| option.warehouse == *warehouse);
        same.or(order.receipt.shipping.first())
    };
    let name = order.id.strip_prefix("ord_").unwrap_or(&order.id);
    let made = parcels.into_iter().enumerate().map(|(n, (warehouse, lines))| {
        let option = shipped(&warehouse);
        Shipment {
            id: format!("shp_{name}_{}", n + 1),
            order: order.id.clone(),
            status: status::NEW.to_owned(),
            created_us: now_us,
            updated_us: now_us,
            parcel: Parcel {
                method: option.map(|o| o.method.clone()).unwrap_or_default(),
                carrier: option.map(|o| o.carrier.clone()).unwrap_or_default(),
                service: option.map(|o| o.service.clone()).unwrap_or_default(),
                eta_us: option.and_then(|o| o.latest_ms).and_then(|ms| i64::try_from(ms * 1000).ok()),
                warehouse,
                lines,
                ..Parcel::default()
            },
        }
    });
    made.collect()
}

/// Makes the shipments of an order that is being prepared. Runs once for each order. One of which nothing has to be
/// sent is there at once.
pub(crate) async fn begin(tx: &mut Tx, merchant: &str, order: &Order, now_us: i64) -> Result<(), StoreError> {
    let parcels = plan(order, now_us);
    for shipment in &parcels {
        tx.insert_shipment(merchant, &shipment.row()?).await?;
    }
    if !parcels.is_empty() {
        return Ok(());
    }
    let (to, note) = (status::DELIVERED, "Nothing of it has to be sent");
    if move_on(tx, merchant, &order.id, PROCESSING, to, note, now_us, |_| {}).await?.is_some() {
        let body = json!({ "orderId": order.id, "status": to, "note": note });
        let event = Event { topic: ORDER_STATUS_UPDATED.to_owned(), body };
        tx.put_event(merchant, Uuid::now_v7(), &event, now_us).await?;
    }
    Ok(())
}

/// The parcel that a shopper who asks for one wants to see: the one that is furthest along and not yet there.
pub fn foremost(shipments: &[Shipment]) -> Option<&Shipment> {
    shipments.iter().min_by_key(|s| (s.ended(), Reverse(rank(&s.status))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shipment() -> Shipment {
        Shipment {
            id: "shp_1".into(),
            order: "ord_1".into(),
            status: status::READY.into(),
            created_us: 0,
            updated_us: 0,
            parcel: Parcel::default(),
        }
    }

    fn scan(id: usize, kind: ScanKind, at_us: i64) -> Scan {
        Scan {
            id: id.to_string(),
            kind,
            at_us,
            text: String::new(),
            place: None,
            position: Some((i32::try_from(at_us).unwrap_or(0), 0)),
            eta_us: None,
            partner: None,
            booking: None,
        }
    }

    fn kinds() -> impl Strategy<Value = ScanKind> {
        prop::sample::select(vec![
            ScanKind::PickedUp,
            ScanKind::InTransit,
            ScanKind::OutForDelivery,
            ScanKind::DeliveryFailed,
            ScanKind::Location,
            ScanKind::Other,
        ])
    }

    proptest! {
        #[test]
        fn in_whatever_order_scans_come_the_parcel_is_where_the_last_one_saw_it(
            kinds in prop::collection::vec(kinds(), 1..12), seed in any::<u64>()
        ) {
            let scans: Vec<Scan> =
                kinds.iter().enumerate().map(|(n, kind)| scan(n, *kind, 10 * (n as i64 + 1))).collect();
            let mut shuffled = scans.clone();
            shuffled.sort_by_key(|s| s.at_us.unsigned_abs().wrapping_mul(seed | 1).rotate_left(17));
            let (mut first, mut second) = (shipment(), shipment());
            for scan in &scans { first.take(scan, 1_000); }
            for scan in &shuffled { second.take(scan, 1_000); }
            prop_assert_eq!(&first, &second);
            // And twice is once, but for the timeline, which keeps what it is told: the caller takes each id once.
            let last = kinds.iter().rev().find_map(|kind| kind.status());
            prop_assert_eq!(first.status.as_str(), last.unwrap_or(status::READY));
        }

        #[test]
        fn an_order_is_as_far_as_its_slowest_parcel(
            all in prop::collection::vec(prop::sample::select(status::ALL.to_vec()), 0..6)
        ) {
            let counted: Vec<&str> = all.iter().copied()
                .filter(|s| ![status::CANCELLED, status::RETURNED].contains(s)).collect();
            match order_status(all.iter().copied()) {
                None => prop_assert!(counted.is_empty()),
                Some(order) => prop_assert!(counted.iter().all(|s| rank(s) >= rank(order))),
            }
        }
    }

    #[test]
    fn degrees_keep_their_digits() {
        let told = |n| degrees(n);
        assert_eq!((told(37_774_900).as_str(), told(-122_419_400).as_str()), ("37.774900", "-122.419400"));
        for text in ["37.774900", "-122.419400", "-0.000005", "90"] {
            let back = degrees(millionths(text, 180).unwrap());
            assert_eq!(back.trim_end_matches(".000000"), text);
        }
        for wrong in ["", "-", "1.", ".5", "1e3", "181", "1.0000001", "+1", "1.2.3"] {
            assert_eq!(millionths(wrong, 180), None, "{wrong}");
        }
        assert_eq!((told(-5).as_str(), told(0).as_str()), ("-0.000005", "0.000000"));
    }

    #[test]
    fn what_is_delivered_stays_delivered() {
        let mut parcel = shipment();
        assert!(parcel.take(&scan(1, ScanKind::Delivered, 50), 60).status);
        for late in [ScanKind::OutForDelivery, ScanKind::Returned, ScanKind::Location] {
            assert_eq!(parcel.take(&scan(2, late, 90), 100), Changed::default());
        }
        assert_eq!((parcel.status.as_str(), parcel.updated_us), (status::DELIVERED, 60));
        // A delivery is believed though a later scan came before it.
        let mut parcel = shipment();
        parcel.take(&scan(1, ScanKind::OutForDelivery, 90), 100);
        assert!(parcel.take(&scan(2, ScanKind::Delivered, 80), 110).status);
    }
}
