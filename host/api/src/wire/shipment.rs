//! Parcels, and what shoppers say of what was in them.

use serde::Serialize;
use serde_json::Value;
use till_commerce::checkout::TimelineEntry;
use till_commerce::events::notify::StatusWords;
use till_commerce::fulfilment::{Partner, Shipment, foremost};
use till_commerce::{Feedback, Review, Tracking};
use utoipa::ToSchema;

use super::time;

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StepOut {
    status: String,
    /// What the shop calls it, in the customer's language. For the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_text: Option<String>,
    timestamp: String,
    note: String,
}

fn steps(timeline: &[TimelineEntry], words: Option<&StatusWords>) -> Vec<StepOut> {
    let step = |entry: &TimelineEntry| StepOut {
        status: entry.status.clone(),
        status_text: words.map(|words| words.of(&entry.status)),
        timestamp: time(entry.at_us),
        note: entry.note.clone(),
    };
    timeline.iter().map(step).collect()
}

/// Who brings it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartnerOut {
    name: String,
    phone: String,
    /// `4.8` of 5, with one digit.
    rating: Option<String>,
}

impl PartnerOut {
    fn new(partner: &Partner) -> PartnerOut {
        PartnerOut {
            name: partner.name.clone(),
            phone: partner.phone.clone(),
            rating: partner.rating_tenths.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10)),
        }
    }
}

/// Some units in a parcel.
#[derive(Debug, Serialize, ToSchema)]
struct ParcelLineOut {
    sku: String,
    quantity: u32,
}

/// A parcel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShipmentOut {
    shipment_id: String,
    order_id: String,
    /// `NEW`, `PENDING`, `READY`, `SHIPPED`, `OUT_FOR_DELIVERY`, `DELIVERY_FAILED`, `DELIVERED`, `RETURNED`, `CANCELLED`.
    status: String,
    /// What the shop calls it, in the customer's language. For the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_text: Option<String>,
    warehouse: Option<String>,
    items: Vec<ParcelLineOut>,
    method: String,
    carrier: Option<String>,
    service: Option<String>,
    tracking_number: Option<String>,
    tracking_url: Option<String>,
    estimated_delivery_time: Option<String>,
    /// `place`, `latitude`, `longitude` (decimal degrees as text) and `at`.
    #[schema(value_type = Option<Object>)]
    current_location: Option<Value>,
    delivery_partner: Option<PartnerOut>,
    timeline: Vec<StepOut>,
    /// Why nobody has booked it. For the merchant.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    created_at: String,
    updated_at: String,
}

impl ShipmentOut {
    /// As the merchant sees it.
    pub(crate) fn new(shipment: &Shipment) -> ShipmentOut {
        let parcel = &shipment.parcel;
        let booking = parcel.booking.as_ref();
        let line = |line: &till_commerce::fulfilment::ParcelLine| ParcelLineOut {
            sku: line.sku.clone(),
            quantity: line.quantity,
        };
        ShipmentOut {
            shipment_id: shipment.id.clone(),
            order_id: shipment.order.clone(),
            status: shipment.status.clone(),
            status_text: None,
            warehouse: parcel.warehouse.clone(),
            items: parcel.lines.iter().map(line).collect(),
            method: parcel.method.clone(),
            carrier: booking.map(|b| b.carrier.clone()),
            service: booking.map(|b| b.service.clone()),
            tracking_number: booking.map(|b| b.tracking_number.clone()),
            tracking_url: booking.and_then(|b| b.tracking_url.clone()),
            estimated_delivery_time: parcel.eta_us.map(time),
            current_location: parcel.location.as_ref().map(till_commerce::fulfilment::Location::told),
            delivery_partner: parcel.partner.as_ref().map(PartnerOut::new),
            timeline: steps(&parcel.timeline, None),
            problem: parcel.trouble.clone(),
            created_at: time(shipment.created_us),
            updated_at: time(shipment.updated_us),
        }
    }

    /// As the shopper sees it.
    fn shown(shipment: &Shipment, words: &StatusWords) -> ShipmentOut {
        ShipmentOut {
            problem: None,
            status_text: Some(words.of(&shipment.status)),
            timeline: steps(&shipment.parcel.timeline, Some(words)),
            ..ShipmentOut::new(shipment)
        }
    }
}

/// A page of parcels.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShipmentsOut {
    /// Newest first.
    pub(crate) shipments: Vec<ShipmentOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// Where an order is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrackingOut {
    order_id: String,
    order_number: String,
    status: String,
    /// What the shop calls it, in the customer's language.
    status_text: String,
    timeline: Vec<StepOut>,
    /// Of the parcel that is next to arrive: `place`, `latitude`, `longitude` (decimal degrees as text) and `at`.
    #[schema(value_type = Option<Object>)]
    current_location: Option<Value>,
    estimated_delivery_time: Option<String>,
    delivery_partner: Option<PartnerOut>,
    shipments: Vec<ShipmentOut>,
}

impl TrackingOut {
    pub(crate) fn new(tracking: &Tracking, words: &StatusWords) -> TrackingOut {
        let Tracking { order, shipments } = tracking;
        let next = foremost(shipments).map(|shipment| &shipment.parcel);
        TrackingOut {
            order_id: order.id.clone(),
            order_number: order.number.clone(),
            status: order.status.clone(),
            status_text: words.of(&order.status),
            timeline: steps(&order.timeline, Some(words)),
            current_location: next
                .and_then(|parcel| parcel.location.as_ref())
                .map(till_commerce::fulfilment::Location::told),
            estimated_delivery_time: next.and_then(|parcel| parcel.eta_us).map(time),
            delivery_partner: next.and_then(|parcel| parcel.partner.as_ref()).map(PartnerOut::new),
            shipments: shipments.iter().map(|one| ShipmentOut::shown(one, words)).collect(),
        }
    }
}

/// What a shopper says of a product.
#[derive(Debug, Serialize, ToSchema)]
struct ProductFeedbackOut {
    sku: String,
    rating: i64,
    comment: String,
}

/// What a shopper said of an order, if anything.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SaidOut {
    pub(crate) feedback: Option<FeedbackOut>,
}

/// What a shopper says of an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeedbackOut {
    rating: i64,
    delivery_rating: Option<i64>,
    comment: String,
    products: Vec<ProductFeedbackOut>,
    updated_at: String,
}

impl FeedbackOut {
    pub(crate) fn new(feedback: Feedback, at_us: i64) -> FeedbackOut {
        let product = |p: till_commerce::ProductFeedback| ProductFeedbackOut {
            sku: p.sku,
            rating: p.rating,
            comment: p.comment,
        };
        FeedbackOut {
            rating: feedback.rating,
            delivery_rating: feedback.delivery_rating,
            comment: feedback.comment,
            products: feedback.products.into_iter().map(product).collect(),
            updated_at: time(at_us),
        }
    }
}

/// A review.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReviewOut {
    rating: i64,
    comment: String,
    at: String,
}

/// A page of reviews.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReviewsOut {
    /// Newest first.
    reviews: Vec<ReviewOut>,
    /// How many there are in all.
    count: i64,
    /// Mean of all ratings with one digit, rounded half up: `4.3`. Nothing without reviews.
    rating: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl ReviewsOut {
    pub(crate) fn new(
        reviews: Vec<Review>,
        (count, sum): (i64, i64),
        next_cursor: Option<String>,
    ) -> ReviewsOut {
        let tenths = (count > 0).then(|| (sum * 20 + count) / (count * 2));
        let review = |r: Review| ReviewOut { rating: r.rating, comment: r.comment, at: time(r.at_us) };
        ReviewsOut {
            reviews: reviews.into_iter().map(review).collect(),
            count,
            rating: tenths.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10)),
            next_cursor,
        }
    }
}
