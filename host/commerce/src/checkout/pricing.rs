//! Steps that price: a snapshot of everything a quote depends on, then one step for each stage.

use std::sync::Arc;

use serde_json::{Value, json};
use till_engine::instance::diff;
use till_engine::step::{StepCall, StepFault, StepResult};
use till_registry::{Bound, FailurePolicy};
use till_sandbox::wit::types::{CallContext, ComponentError};
use till_sandbox::{Answer, Call, Failure, Limits, Report};
use till_store::Error as StoreError;

use super::context::{ClientInputs, Session, Submit, json as to_json, maybe, part};
use super::steps::CheckoutSteps;
use crate::quote::{
    self, BrokenPromise, CodeInput, CustomerInput, Inputs, LineInput, PaymentMethodInput, Quote, Stage,
    points, price, promotions, requirements, shipping, tax, total,
};
use crate::settings::Settings;
use crate::{cart, catalog};

/// Characters of the notes of the journal that a guest's words may fill.
const WORDS_MAX: usize = 2_000;

pub(super) fn database(error: StoreError) -> StepFault {
    StepFault::Database(error.to_string())
}

fn broken(error: &BrokenPromise) -> StepFault {
    StepFault::new("broken-promise", error.to_string())
}

impl CheckoutSteps {
    /// Takes all that the quote depends on from our own database: cart, catalog, customer.
    pub(super) async fn snapshot(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let session: Session = part(call, "shop")?;
        let settings: Settings = part(call, "settings")?;
        let client: ClientInputs = maybe(call, "inputs")?.unwrap_or_default();
        let mut tx = self.store.read().await.map_err(database)?;
        let merchant = call.merchant.as_str();
        let cart = cart::by_id(&mut tx, merchant, &session.cart).await.map_err(database)?;
        let cart = cart.ok_or_else(|| StepFault::new("no-cart", format!("cart {} is gone", session.cart)))?;
        let (customer, orders, balance) =
            catalog::customer(&mut tx, merchant, &session.customer).await.map_err(database)?;
        let mut lines = Vec::with_capacity(cart.items.len());
        for item in &cart.items {
            let product = catalog::product(&mut tx, merchant, &item.product).await.map_err(database)?;
            let stock = catalog::availability(&mut tx, merchant, &item.sku).await.map_err(database)?;
            let warehouse = item.warehouse.clone();
            let available =
                stock.iter().find(|s| Some(&s.warehouse) == warehouse.as_ref()).map_or(0, |s| s.available);
            let stocked = product.as_ref().is_none_or(|p| p.stocked);
            lines.push(LineInput {
                id: item.id.clone(),
                product: item.product.clone(),
                variant: None,
                sku: item.sku.clone(),
                title: item.name.clone(),
                quantity: item.quantity,
                kind: product.as_ref().map(|p| p.kind).unwrap_or_default(),
                parent: None,
                catalog_price: product.as_ref().map_or(item.unit_price, |p| p.price),
                compare_at: product.as_ref().and_then(|p| p.compare_at),
                includes_tax: settings.prices_include_tax,
                tax_class: product.as_ref().map_or_else(|| "standard".to_owned(), |p| p.tax_class.clone()),
                weight_g: product.as_ref().map_or(0, |p| p.weight_g),
                size_mm: None,
                categories: product.as_ref().map(|p| p.categories.clone()).unwrap_or_default(),
                tags: product.as_ref().map(|p| p.tags.clone()).unwrap_or_default(),
                warehouse,
                stock: stocked.then(|| u32::try_from(available.max(0)).unwrap_or(u32::MAX)),
                // In another currency its digits are another price: it cannot be sold in this session.
                withdrawn: product.as_ref().is_none_or(|p| !p.active || p.currency != settings.currency),
                attributes: std::collections::BTreeMap::new(),
            });
        }
        let saved = |kind: &str| {
            customer
                .addresses
                .iter()
                .filter(|a| a.kind == kind)
                .max_by_key(|a| a.default)
                .map(|a| a.address.clone())
        };
        let shipping_address = client.shipping_address.or_else(|| saved("shipping"));
        let method = match &client.payment_method {
            Some(id) => customer.payment_methods.iter().find(|m| m.id == *id),
            None => customer.payment_methods.iter().find(|m| m.default),
        };
        let inputs = Inputs {
            cart: cart.id.clone(),
            currency: settings.currency,
            now_ms: u64::try_from(call.now_us / 1000).unwrap_or(0),
            lines,
            customer: Some(CustomerInput {
                id: customer.id.clone(),
                groups: customer.groups.clone(),
                tier: customer.tier.clone(),
                tags: customer.tags.clone(),
                orders_count: u32::try_from(orders).unwrap_or(u32::MAX),
                points_balance: u64::try_from(balance).unwrap_or(0),
                tax_exemptions: vec![],
            }),
            codes: client
                .codes
                .iter()
                .map(|code| CodeInput { code: code.clone(), uses_left: None, customer_uses_left: None })
                .collect(),
            promotion_uses: std::collections::BTreeMap::new(),
            points_to_use: client.points,
            billing_address: client
                .billing_address
                .or_else(|| saved("billing"))
                .or_else(|| shipping_address.clone()),
            shipping_address,
            shipping_option: client.shipping_method,
            shipping_options: std::collections::BTreeMap::new(),
            payment_method: method.map(|m| PaymentMethodInput {
                id: m.id.clone(),
                kind: m.kind.clone(),
                last4: m.last4.clone(),
                brand: m.brand.clone(),
            }),
            notes: client.notes,
            warehouses: std::collections::BTreeMap::new(),
        };
        if let Err(error) = inputs.check(&settings.limits) {
            let problem = json!({ "code": "invalid-inputs", "text": error.to_string() });
            return Ok(StepResult::outcome("refused").patch(json!({ "problem": problem, "submit": null })));
        }
        let snapshot = to_json(&inputs)?;
        let before = call.context.get("snapshot").cloned().unwrap_or(Value::Null);
        let mut patch = json!({ "cart_version": cart.version });
        let change = if before.is_null() { snapshot } else { diff(&before, &snapshot) };
        // Null would take the snapshot out.
        if !change.is_null() {
            patch["snapshot"] = change;
        }
        patch["problem"] = Value::Null;
        patch["fault"] = Value::Null;
        Ok(StepResult::outcome("ok").patch(patch))
    }

    pub(super) async fn price(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        let settings: Settings = part(call, "settings")?;
        let quote = Quote::new(&settings, &inputs);
        let bound = self.pinned(call, "pricing").await?;
        let Some((_, bound)) = bound.first() else {
            return done(call, price::catalog(&inputs, quote).map_err(|e| broken(&e))?, vec![]);
        };
        let request = price::build_request(&inputs, &quote);
        let answer = self.sandbox().price(self.component_call(call, bound, &settings), request).await;
        let (result, note) = answered(bound, answer)?;
        let quote = price::apply_result(&inputs, quote, &by(bound), &result).map_err(|e| broken(&e))?;
        done(call, quote, vec![note])
    }

    pub(super) async fn promote(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        let settings: Settings = part(call, "settings")?;
        let mut quote = promotions::begin(&inputs, part(call, "quote")?).map_err(|e| broken(&e))?;
        let mut notes = Vec::new();
        for (_, bound) in self.pinned(call, "promotion").await? {
            let request = promotions::build_request(&inputs, &quote).map_err(|e| broken(&e))?;
            let answer = self.sandbox().promote(self.component_call(call, &bound, &settings), request).await;
            let applied = answered(&bound, answer).and_then(|(result, note)| {
                let quote = promotions::apply_result(&inputs, quote.clone(), &by(&bound), &result);
                Ok((quote.map_err(|e| broken(&e))?, note))
            });
            match applied {
                Ok((next, note)) => {
                    quote = next;
                    notes.push(note);
                }
                Err(fault) if bound.policy == FailurePolicy::Omit => {
                    tracing::warn!(merchant = %call.merchant, binding = %bound.digest, %fault, "omit a promotion component");
                    quote.note_omitted(Stage::Promotions, &by(&bound), &fault.to_string());
                    notes.push(json!({ "binding": bound.digest, "omitted": fault.to_string() }));
                }
                Err(fault) => return Err(fault),
            }
        }
        done(call, quote, notes)
    }

    pub(super) fn use_points(call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        done(call, points::apply(&inputs, part(call, "quote")?).map_err(|e| broken(&e))?, vec![])
    }

    pub(super) async fn ship(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        let settings: Settings = part(call, "settings")?;
        let quote: Quote = part(call, "quote")?;
        let bound = self.pinned(call, "shipping").await?;
        let (Some((_, bound)), true) = (bound.first(), shipping::needed(&inputs, &quote)) else {
            return done(call, shipping::skip(&inputs, quote), vec![]);
        };
        let request = shipping::build_request(&inputs, &quote).map_err(|e| broken(&e))?;
        let answer = self.sandbox().rates(self.component_call(call, bound, &settings), request).await;
        let (result, note) = answered(bound, answer)?;
        let quote = shipping::apply_result(&inputs, quote, &by(bound), &result).map_err(|e| broken(&e))?;
        done(call, quote, vec![note])
    }

    pub(super) async fn tax(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        let settings: Settings = part(call, "settings")?;
        let quote: Quote = part(call, "quote")?;
        let bound = self.pinned(call, "tax").await?;
        let Some((_, bound)) = bound.first() else { return done(call, tax::skip(quote), vec![]) };
        let request = tax::build_request(&inputs, &quote);
        let answer = self.sandbox().tax(self.component_call(call, bound, &settings), request).await;
        let (result, note) = answered(bound, answer)?;
        let quote = tax::apply_result(&inputs, quote, &by(bound), &result).map_err(|e| broken(&e))?;
        done(call, quote, vec![note])
    }

    /// Adds up, audits, and says whether a submit may go on: it does not when the price is not the one the
    /// shopper saw, or when something is missing.
    pub(super) fn check(call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        let quote = total::apply(&inputs, part(call, "quote")?).map_err(|e| broken(&e))?;
        total::audit(&quote).map_err(|e| broken(&e))?;
        let token = quote.token().to_string();
        let totals = quote.totals.ok_or_else(|| StepFault::new("no-totals", "the quote has no totals"))?;
        let missing: Vec<_> = requirements(&inputs, &quote)
            .into_iter()
            // At submit the hold decides, atomically.
            .filter(|r| r.code != "stock-short")
            .collect();
        let submit: Option<Submit> = maybe(call, "submit")?;
        let mut patch = quote_patch(call, &quote)?;
        patch["quote_token"] = json!(token);
        patch["free"] = json!(totals.total == 0);
        let Some(submit) = submit else { return Ok(StepResult::outcome("ok").patch(patch)) };
        let changed = submit.expected_total.is_some_and(|e| e != totals.total)
            || submit.quote.as_ref().is_some_and(|q| *q != token);
        if !missing.is_empty() {
            patch["problem"] =
                json!({ "code": "incomplete", "missing": to_json(&missing)?, "hash": submit.hash });
            patch["submit"] = Value::Null;
            return Ok(StepResult::outcome("incomplete").patch(patch));
        }
        if changed {
            patch["problem"] = json!({ "code": "quote-changed", "quote": token, "total": totals.total, "hash": submit.hash });
            patch["submit"] = Value::Null;
            return Ok(StepResult::outcome("changed").patch(patch));
        }
        Ok(StepResult::outcome("ready").patch(patch))
    }

    pub(super) fn component_call(&self, call: &StepCall, bound: &Bound, settings: &Settings) -> Call {
        Call {
            component: bound.component.clone(),
            ctx: CallContext {
                merchant: call.merchant.clone(),
                channel: settings.channel.clone(),
                locale: settings.locale.clone(),
                currency: settings.currency.code().to_owned(),
                exponent: settings.currency.exponent(),
                // Pure steps have the snapshot's time: run again after a crash they are asked the same question.
                // A gateway needs the time of now: whether a request may still arrive depends on it.
                now_ms: call
                    .context
                    .get("snapshot")
                    .and_then(|s| s.get("now_ms"))
                    .and_then(Value::as_u64)
                    .filter(|_| bound.component.slot.is_pure())
                    .unwrap_or_else(|| u64::try_from(call.now_us / 1000).unwrap_or(0)),
                instance: call.uid.clone(),
                step: call.step.clone(),
                entry: call.entry,
                attempt: call.attempt,
                test_mode: false,
                config: bound.config.clone(),
                attributes: vec![],
            },
            binding: bound.binding.clone(),
            limits: Limits { network_ms: bound.network_ms, ..Limits::default() },
        }
    }

    /// The pinned bindings of a slot, in the order of their names.
    pub(super) async fn pinned(
        &self,
        call: &StepCall,
        slot: &str,
    ) -> Result<Vec<(String, Arc<Bound>)>, StepFault> {
        let mut all = Vec::new();
        if let Some(pins) = call.pins.get(slot).and_then(Value::as_object) {
            for (name, digest) in pins {
                let digest = digest.as_str().unwrap_or_default();
                let bound = self.registry.bound(&call.merchant, digest).await;
                all.push((name.clone(), bound.map_err(|e| StepFault::new("binding", e.to_string()))?));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }
}

pub(super) fn by(bound: &Bound) -> quote::Component {
    quote::Component { name: bound.component.info.name.clone(), digest: bound.digest.clone() }
}

/// The change of the quote; an empty object where there is none, because null would take it out.
fn quote_patch(call: &StepCall, quote: &Quote) -> Result<Value, StepFault> {
    let new = to_json(quote)?;
    let change = match call.context.get("quote") {
        None | Some(Value::Null) => new,
        Some(old) => diff(old, &new),
    };
    Ok(if change.is_null() { json!({}) } else { json!({ "quote": change }) })
}

fn done(call: &StepCall, quote: Quote, notes: Vec<Value>) -> Result<StepResult, StepFault> {
    let mut patch = quote_patch(call, &quote)?;
    if patch.get("quote").is_none() {
        patch = Value::Null;
    }
    let note = if notes.is_empty() { Value::Null } else { json!({ "calls": notes }) };
    Ok(StepResult::outcome("ok").patch(patch).note(note))
}

/// The result and a note for the journal, or the fault that names the component, the limit and the words
/// of the guest.
fn answered<T>(bound: &Bound, answer: Result<Answer<T>, Failure>) -> Result<(T, Value), StepFault> {
    let name = &bound.component.info.name;
    match answer {
        Ok(Answer { value: Ok(value), report }) => Ok((value, note(bound, &report))),
        Ok(Answer { value: Err(error), .. }) => {
            let (code, detail) = match error {
                ComponentError::InvalidConfig(d) => ("invalid-config", d),
                ComponentError::InvalidInput(d) => ("invalid-input", d),
                ComponentError::Unavailable(d) => ("unavailable", d),
                ComponentError::Internal(d) => ("internal", d),
            };
            Err(StepFault::new(code, cut(&format!("{name}: {}: {}", detail.code, detail.text))))
        }
        Err(failure) => Err(StepFault::new("component-failed", cut(&format!("{name}: {failure}")))),
    }
}

fn note(bound: &Bound, report: &Report) -> Value {
    json!({
        "binding": bound.digest,
        "component": bound.component.digest.to_string(),
        "fuel": report.fuel_used,
        "memory": report.memory_peak_bytes,
    })
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(WORDS_MAX).collect()
}
