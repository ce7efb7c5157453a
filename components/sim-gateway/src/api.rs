//! The provider's API as records: what may come back.

use serde::Deserialize;

/// The provider's payment.
#[derive(Debug, Clone, Deserialize)]
pub struct Intent {
    /// `pi_…`
    pub id: String,
    /// created, action_required, authorized, captured, voided, refunded, declined
    pub status: String,
    /// ISO 4217.
    pub currency: String,
    /// Reserved.
    pub authorized: i64,
    /// Taken.
    pub captured: i64,
    /// Given back.
    pub refunded: i64,
    /// Why it was declined.
    pub decline_code: Option<String>,
    /// Where the shopper has to go.
    pub redirect_url: Option<String>,
}

/// What a key did.
#[derive(Debug, Clone, Deserialize)]
pub struct ByKey {
    /// The payment as it is now.
    pub intent: Intent,
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
