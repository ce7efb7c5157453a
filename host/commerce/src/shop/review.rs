//! Payments that a person of the merchant looks at before money moves.

use serde_json::json;
use till_engine::definition::Sender;
use till_engine::runner::{SignalAnswer, SignalRequest};

use super::{CHECKOUT, SessionView, Shop, ShopError};

/// State of the workflow in which a payment waits for a person.
pub(super) const REVIEW: &str = "review";

impl Shop {
    /// Lets a payment go on that waits for a person, or turns it down. Who and why are journalled.
    ///
    /// # Errors
    /// No such session, or none that waits for this.
    pub async fn review(
        &self,
        merchant: &str,
        id: &str,
        approve: bool,
        who: &str,
        why: &str,
    ) -> Result<SessionView, ShopError> {
        // An order is made in the same commit as what follows.
        self.numbers.reserve(merchant, self.now_us()).await?;
        let found = self.runner.find(merchant, CHECKOUT, id).await?;
        let missing = || ShopError::NotFound { what: "checkout session", id: id.to_owned() };
        let instance = found.ok_or_else(missing)?.instance;
        let verdict = if approve { "approve" } else { "deny" };
        let request = SignalRequest {
            merchant: merchant.to_owned(),
            uid: instance.uid,
            name: verdict.to_owned(),
            sender: Sender::Operator,
            source: "api".to_owned(),
            dedup: format!("{}:{verdict}:{}", instance.uid, instance.entry(REVIEW)),
            hash: String::new(),
            body: json!({ "decision": verdict, "who": who, "why": why }),
            keep: false,
        };
        match self.runner.signal(request).await? {
            SignalAnswer::Taken(_) | SignalAnswer::Repeated(_) | SignalAnswer::Queued(_) => {}
            SignalAnswer::Busy(_) => return Err(ShopError::Busy { id: id.to_owned() }),
            SignalAnswer::OtherRequest => return Err(ShopError::OtherSubmit { id: id.to_owned() }),
            SignalAnswer::NotExpected(why) | SignalAnswer::Refused(why) | SignalAnswer::Forbidden(why) => {
                return Err(ShopError::Refused { why });
            }
        }
        self.session(merchant, &instance.subject, id).await
    }
}
