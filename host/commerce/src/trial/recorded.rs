//! A checkout as it was, without what tells who bought: for backtests and fixtures.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use till_engine::instance::Instance;
use till_sandbox::wit::types::CallContext;

use crate::ask;
use crate::quote::{Address, Inputs, PaymentMethodInput, Quote};
use crate::settings::Settings;

/// State of the shipped workflow in which a checkout is priced.
const PRICED_IN: &str = "price";

/// A finished checkout: what its quote was computed from, by whom, and what came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Whose shop it was in: told to components.
    pub merchant: String,
    /// Id of the session.
    pub session: String,
    /// Uid of the instance: told to components.
    pub instance: String,
    /// How often it was priced: told to components.
    pub entry: u32,
    /// The merchant's settings as they were.
    pub settings: Settings,
    /// What the quote was computed from.
    pub inputs: Inputs,
    /// What came out.
    pub quote: Quote,
    /// Bindings it started with: `{slot: {name: digest}}`. The quote tells who answered.
    pub pins: Value,
}

impl Recorded {
    /// From an instance of the workflow `checkout`. None: it was not priced.
    pub(crate) fn of(instance: &Instance) -> Option<Recorded> {
        let part = |name: &str| instance.context.get(name).filter(|part| !part.is_null());
        let quote = Quote::deserialize(part("quote")?).ok().filter(|quote| quote.totals.is_some())?;
        Some(Recorded {
            merchant: instance.merchant.clone(),
            session: instance.id.clone(),
            instance: instance.uid.to_string(),
            entry: instance.entry(PRICED_IN).max(1),
            settings: Settings::deserialize(part("settings")?).ok()?,
            inputs: blank(Inputs::deserialize(part("snapshot")?).ok()?),
            quote: without_places(quote),
            pins: instance.pins.clone(),
        })
    }

    /// What its components were told, but for step and configuration.
    pub(crate) fn context(&self) -> CallContext {
        let context = ask::context(&self.merchant, &self.instance, &self.settings, self.inputs.now_ms);
        CallContext { entry: self.entry, ..context }
    }
}

/// The same quote without what is near the shopper or told to them.
fn without_places(mut quote: Quote) -> Quote {
    quote.messages.clear();
    for group in &mut quote.shipping {
        group.options.iter_mut().for_each(|option| option.pickup = None);
    }
    quote
}

/// The same inputs without personal data. Kept is what prices depend on: country, region, city and postal code,
/// groups, tags and tier.
pub fn blank(mut inputs: Inputs) -> Inputs {
    if let Some(customer) = &mut inputs.customer {
        customer.id = "blanked".to_owned();
        for (number, _) in &mut customer.tax_exemptions {
            *number = "blanked".to_owned();
        }
    }
    let place = |address: Address| Address {
        street: vec!["blanked".to_owned()],
        city: address.city,
        region: address.region,
        postal_code: address.postal_code,
        country: address.country,
        ..Address::default()
    };
    inputs.shipping_address = inputs.shipping_address.map(place);
    inputs.billing_address = inputs.billing_address.map(place);
    inputs.payment_method = inputs.payment_method.map(|method| PaymentMethodInput {
        id: "blanked".to_owned(),
        kind: method.kind,
        last4: String::new(),
        brand: String::new(),
        expires: None,
    });
    inputs.notes = String::new();
    inputs
}
