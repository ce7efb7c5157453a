//! Gateways' webhooks: verified by the gateway's component, then signals of the checkouts they are about.

use serde_json::json;
use till_engine::definition::Sender;
use till_engine::runner::SignalRequest;
use till_sandbox::wit::gateway as wit;
use till_sandbox::wit::types::CallContext;
use till_sandbox::{Answer, Call, Slot};
use uuid::Uuid;

use super::{Shop, ShopError};
use crate::ask;

impl Shop {
    /// Takes a gateway's webhook: verified over its raw bytes by the component, each event kept once.
    /// Gives how many events were meant for checkouts of this merchant.
    pub async fn webhook(
        &self,
        merchant: &str,
        gateway: &str,
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    ) -> Result<usize, ShopError> {
        let missing = || ShopError::NotFound { what: "gateway", id: gateway.to_owned() };
        let bound =
            self.registry.active(merchant, Slot::PaymentGateway, gateway).await?.ok_or_else(missing)?;
        let settings = self.settings(merchant).await?;
        let call = Call {
            component: bound.component.clone(),
            ctx: CallContext {
                step: "webhook".to_owned(),
                config: bound.config.clone(),
                ..ask::context(merchant, "", &settings, u64::try_from(self.now_us() / 1000).unwrap_or(0))
            },
            binding: self.registry.reach(merchant, &bound).await?,
            limits: bound.limits,
            background: false,
            breaker: None,
        };
        let answer = self.registry.sandbox().verify_event(call, wit::WebhookRequest { headers, body }).await;
        let result = match answer {
            Ok(Answer { value: Ok(result), .. }) if result.verified => result,
            Ok(Answer { value: Err(error), .. }) => {
                tracing::warn!(merchant, gateway, ?error, "a webhook could not be read");
                return Err(ShopError::Forged);
            }
            Ok(_) => return Err(ShopError::Forged),
            Err(failure) => {
                tracing::warn!(merchant, gateway, %failure, "a webhook could not be read");
                return Err(ShopError::Forged);
            }
        };
        let mut taken = 0;
        for event in result.events {
            let name = match event.kind {
                wit::EventKind::Authorized => "payment.authorized",
                wit::EventKind::Captured => "payment.captured",
                wit::EventKind::Declined => "payment.declined",
                _ => continue,
            };
            let Some(uid) = self.about(merchant, &event).await? else { continue };
            let money = event.money.as_ref().map(|m| json!({ "minor": m.minor, "currency": m.currency }));
            let request = SignalRequest {
                merchant: merchant.to_owned(),
                uid,
                name: name.to_owned(),
                sender: Sender::Gateway,
                source: format!("gateway:{gateway}"),
                dedup: event.dedup_id.clone(),
                hash: String::new(),
                body: json!({ "key": event.attempt_key, "money": money, "at_ms": event.provider_time_ms }),
                keep: true,
            };
            self.runner.signal(request).await?;
            taken += 1;
        }
        Ok(taken)
    }

    /// The checkout that an event is about: by the attempt's key, else by the provider's id of the payment.
    async fn about(&self, merchant: &str, event: &wit::Event) -> Result<Option<Uuid>, ShopError> {
        if let Some(key) = &event.attempt_key
            && let Some(uid) = self.store.instance_of_key(merchant, key).await?
        {
            return Ok(Some(uid));
        }
        let Some(reference) = &event.reference else { return Ok(None) };
        let mut tx = self.store.read().await?;
        Ok(tx.checkout_of_reference(merchant, &reference.kind, &reference.value).await?)
    }
}
