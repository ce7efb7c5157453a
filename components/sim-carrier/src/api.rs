//! The carrier's API as records: what may come back.

use crate::bindings::exports::till::checkout::carrier_api as wit;
use serde::Deserialize;

/// A parcel as the carrier knows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Parcel {
    /// `prc_…`
    pub id: String,
    /// booked, moving, delivered, returned, cancelled
    pub status: String,
    /// For shoppers.
    pub tracking_number: String,
    /// For shoppers.
    pub tracking_url: Option<String>,
    /// The carrier's product.
    pub service: String,
    /// When it should arrive, epoch milliseconds.
    pub eta_ms: Option<u64>,
    /// Who brings it.
    pub partner: Option<Partner>,
}

/// Who brings a parcel.
#[derive(Debug, Clone, Deserialize)]
pub struct Partner {
    /// Name.
    pub name: String,
    /// Phone number.
    pub phone: String,
    /// In tenths.
    pub rating_tenths: Option<u32>,
}

impl From<Partner> for wit::Partner {
    fn from(partner: Partner) -> wit::Partner {
        wit::Partner { name: partner.name, phone: partner.phone, rating_tenths: partner.rating_tenths }
    }
}

/// What happened to a parcel.
#[derive(Debug, Clone, Deserialize)]
pub struct Scan {
    /// The carrier's own id of it.
    pub id: String,
    /// `picked_up`, `in_transit`, …
    pub kind: String,
    /// The reference that was given at the booking.
    pub reference: String,
    /// The parcel's number.
    pub tracking_number: String,
    /// Epoch milliseconds.
    pub at_ms: u64,
    /// For people.
    pub text: String,
    /// For people.
    pub place: Option<String>,
    /// Millionths of a degree: north, east.
    pub position: Option<(i32, i32)>,
    /// Epoch milliseconds.
    pub eta_ms: Option<u64>,
    /// Who brings it, once that is known.
    pub partner: Option<Partner>,
}

/// What a key did.
#[derive(Debug, Clone, Deserialize)]
pub struct ByKey {
    /// The parcel as it is now.
    pub parcel: Parcel,
}

/// A parcel's whole story.
#[derive(Debug, Clone, Deserialize)]
pub struct Story {
    /// What happened.
    pub scans: Vec<Scan>,
}

/// The body of a refusal.
#[derive(Debug, Clone, Deserialize)]
pub struct Refusal {
    /// Why.
    pub error: RefusalReason,
}

/// Why a request was refused.
#[derive(Debug, Clone, Deserialize)]
pub struct RefusalReason {
    /// For machines.
    pub code: String,
    /// For people.
    pub text: String,
}
