//! Whether a saved means of payment can be used now. Nothing is sent to the gateway.

use till_sandbox::wit::types::CallContext;
use till_sandbox::{Answer, Call, Slot};

use super::{Shop, ShopError};
use crate::{ask, cart, catalog};

/// Why a means of payment cannot be used: a stable code, and words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// `unknown-method`, `expired`, `no-gateway`, `gateway-failed`, `currency`.
    pub code: &'static str,
    /// For people.
    pub text: String,
}

impl Shop {
    /// Looks whether the customer has this means of payment, whether it has expired, and whether a gateway is bound for
    /// it that takes the currency of the cart. None found: it can be used.
    ///
    /// # Errors
    /// The store or the registry failed.
    pub async fn validate_payment(
        &self,
        merchant: &str,
        customer: &str,
        method: &str,
    ) -> Result<Vec<Unusable>, ShopError> {
        let because = |code, text: String| vec![Unusable { code, text }];
        let (customer, ..) = {
            let mut tx = self.store.read().await?;
            catalog::customer(&mut tx, merchant, customer).await?
        };
        let Some(saved) = customer.payment_methods.into_iter().find(|saved| saved.id == method) else {
            return Ok(because("unknown-method", format!("there is no saved payment method `{method}`")));
        };
        let mut reasons = Vec::new();
        let now_us = self.now_us();
        if let Some(expires) = saved.expires.as_deref().filter(|_| saved.has_expired(now_us)) {
            reasons.extend(because("expired", format!("it could be used until {expires}")));
        }
        let slot = Slot::PaymentGateway;
        let own = self.registry.active(merchant, slot, &saved.kind).await?;
        let bound = match own {
            Some(bound) => Some(bound),
            None => self.registry.active(merchant, slot, "default").await?,
        };
        let Some(bound) = bound else {
            reasons.extend(because("no-gateway", format!("the shop takes no `{}`", saved.kind)));
            return Ok(reasons);
        };
        let settings = self.settings(merchant).await?;
        // The means of payment is for what is in the cart.
        let settings = {
            let mut tx = self.store.read().await?;
            let cart = cart::current(&mut tx, merchant, &customer.id, &settings).await?;
            cart::settings_of(&cart, &settings).unwrap_or(settings)
        };
        let call = Call {
            component: bound.component.clone(),
            ctx: CallContext {
                step: "validate".to_owned(),
                config: bound.config.clone(),
                ..ask::context(merchant, "", &settings, u64::try_from(now_us / 1000).unwrap_or(0))
            },
            binding: bound.binding.clone(),
            limits: bound.limits,
            background: false,
            breaker: None,
        };
        let currency = settings.currency.code();
        match self.registry.sandbox().capabilities(call).await {
            Ok(Answer { value: Ok(can), .. }) => {
                if !can.currencies.is_empty() && !can.currencies.iter().any(|one| one == currency) {
                    reasons.extend(because("currency", format!("it cannot be used for {currency}")));
                }
            }
            other => {
                tracing::warn!(merchant, gateway = %bound.name, ?other, "a gateway does not say what it can do");
                let text = "the payment provider's component does not answer".to_owned();
                reasons.extend(because("gateway-failed", text));
            }
        }
        Ok(reasons)
    }
}
