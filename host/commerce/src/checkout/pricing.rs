//! Steps that price: a snapshot of everything a quote depends on, then one step for each stage.

use std::sync::Arc;

use serde_json::{Value, json};
use till_engine::instance::diff;
use till_engine::runner::request_hash;
use till_engine::step::{StepCall, StepFault, StepResult};
use till_registry::Bound;
use till_sandbox::wit::types::CallContext;
use till_sandbox::{Call, Slot};
use till_store::{Error as StoreError, Tx};

use super::context::{ClientInputs, Session, Shown, Submit, json as to_json, maybe, part};
use super::steps::CheckoutSteps;
use crate::ask::{self, Asker};
use crate::inventory::{self, Warehouse};
use crate::quote::{
    BrokenPromise, CustomerInput, HOST, Inputs, LineInput, PaymentMethodInput, Quote, Stage, points,
    requirements, total,
};
use crate::settings::Settings;
use crate::trial::shadow::Made;
use crate::{cart, catalog, gift_card, promotions};

pub(crate) fn database(error: StoreError) -> StepFault {
    StepFault::Database(error.to_string())
}

fn broken(error: &BrokenPromise) -> StepFault {
    StepFault::new("broken-promise", error.to_string())
}

/// What a quote of this cart depends on, with the version of the cart. None: the cart is gone.
pub(crate) async fn snapshot_of(
    tx: &mut Tx,
    merchant: &str,
    session: &Session,
    settings: &Settings,
    client: ClientInputs,
    now_us: i64,
) -> Result<Option<(Inputs, i64)>, StoreError> {
    let cart = cart::by_id(tx, merchant, &session.cart).await?;
    let Some(cart) = cart else { return Ok(None) };
    let (customer, orders, balance, lifetime) = catalog::customer(tx, merchant, &session.customer).await?;
    let customer = customer.in_tier(settings, lifetime);
    let mut lines = Vec::with_capacity(cart.items.len());
    let mut stock = Vec::with_capacity(cart.items.len());
    for item in &cart.items {
        let product = catalog::product(tx, merchant, &item.product).await?;
        // Without a price in this currency its digits are another price: it cannot be sold in this session.
        let priced = product.clone().and_then(|p| p.priced_in(settings.currency));
        let unpriced = priced.is_none();
        let product = priced.or(product);
        let article = product.as_ref().and_then(|p| p.article(&item.sku));
        stock.push(catalog::availability(tx, merchant, &item.sku).await?);
        let stocked = product.as_ref().is_none_or(|p| p.stocked);
        lines.push(LineInput {
            id: item.id.clone(),
            product: item.product.clone(),
            variant: article.as_ref().filter(|a| a.variant).map(|a| a.sku.clone()),
            sku: item.sku.clone(),
            title: article.as_ref().map_or_else(|| item.name.clone(), |a| a.name.clone()),
            quantity: item.quantity,
            kind: product.as_ref().map(|p| p.kind).unwrap_or_default(),
            parent: None,
            catalog_price: article.as_ref().map_or(item.unit_price, |a| a.price),
            compare_at: article.as_ref().and_then(|a| a.compare_at),
            includes_tax: settings.prices_include_tax,
            tax_class: product.as_ref().map_or_else(|| "standard".to_owned(), |p| p.tax_class.clone()),
            weight_g: article.as_ref().map_or(0, |a| a.weight_g),
            size_mm: None,
            categories: product.as_ref().map(|p| p.categories.clone()).unwrap_or_default(),
            tags: product.as_ref().map(|p| p.tags.clone()).unwrap_or_default(),
            warehouse: item.warehouse.clone(),
            parts: vec![],
            // Counted below, where it is taken from.
            stock: stocked.then_some(0),
            withdrawn: unpriced
                || product.as_ref().is_none_or(|p| !p.reaches())
                || article.as_ref().is_none_or(|a| !a.active),
            attributes: article.map(|a| a.options).unwrap_or_default(),
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
    let described = inventory::warehouses(tx, merchant).await?;
    inventory::place(&mut lines, &stock, &described, shipping_address.as_ref(), &settings.inventory);
    let leaves = |one: &Warehouse| {
        lines.iter().flat_map(LineInput::places).any(|(from, _)| from == Some(one.id.as_str()))
    };
    let origins = described.iter().filter(|one| leaves(one) && !one.address.missing().contains(&"country"));
    let warehouses = origins.map(|one| (one.id.clone(), one.address.clone())).collect();
    let method = match &client.payment_method {
        Some(id) => customer.payment_methods.iter().find(|m| m.id == *id),
        None => customer.payment_methods.iter().find(|m| m.default),
    };
    let inputs = Inputs {
        cart: cart.id.clone(),
        currency: settings.currency,
        now_ms: u64::try_from(now_us / 1000).unwrap_or(0),
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
        codes: promotions::codes(tx, merchant, &client.codes).await?,
        promotion_uses: promotions::uses(tx, merchant, &session.customer).await?,
        campaigns: promotions::campaigns(tx, merchant, settings, now_us).await?,
        points_to_use: client.points,
        gift_cards: gift_card::read(tx, merchant, &client.gift_cards, settings.currency, now_us).await?,
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
            expires: m.expires.clone(),
        }),
        notes: client.notes,
        warehouses,
    };
    Ok(Some((inputs, cart.version)))
}

impl CheckoutSteps {
    /// Takes all that the quote depends on from our own database: cart, catalog, customer.
    pub(super) async fn snapshot(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let session: Session = part(call, "shop")?;
        let settings: Settings = part(call, "settings")?;
        let client: ClientInputs = maybe(call, "inputs")?.unwrap_or_default();
        let read = {
            let mut tx = self.store.read().await.map_err(database)?;
            snapshot_of(&mut tx, &call.merchant, &session, &settings, client, call.now_us)
                .await
                .map_err(database)?
        };
        let (inputs, cart_version) =
            read.ok_or_else(|| StepFault::new("no-cart", format!("cart {} is gone", session.cart)))?;
        if let Err(error) = inputs.check(&settings.limits) {
            let problem = json!({ "code": "invalid-inputs", "text": error.to_string() });
            return Ok(StepResult::outcome("refused").patch(json!({ "problem": problem, "submit": null })));
        }
        let snapshot = to_json(&inputs)?;
        let before = call.context.get("snapshot").cloned().unwrap_or(Value::Null);
        let mut patch = json!({ "cart_version": cart_version });
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
        self.run_stage(call, Stage::Price, Slot::Pricing, &inputs, quote).await
    }

    pub(super) async fn promote(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        self.run_stage(call, Stage::Promotions, Slot::Promotion, &inputs, part(call, "quote")?).await
    }

    pub(super) fn use_points(call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        done(call, points::apply(&inputs, part(call, "quote")?).map_err(|e| broken(&e))?, vec![])
    }

    pub(super) async fn ship(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        self.run_stage(call, Stage::Shipping, Slot::Shipping, &inputs, part(call, "quote")?).await
    }

    pub(super) async fn tax(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        self.run_stage(call, Stage::Tax, Slot::Tax, &inputs, part(call, "quote")?).await
    }

    async fn run_stage(
        &self,
        call: &StepCall,
        stage: Stage,
        slot: Slot,
        inputs: &Inputs,
        quote: Quote,
    ) -> Result<StepResult, StepFault> {
        let settings: Settings = part(call, "settings")?;
        let (bound, mut notes) = self.pinned(call, slot).await?;
        // Pure steps have the snapshot's time: run again after a crash they are asked the same question.
        let context = ask::context(&call.merchant, &call.uid, &settings, inputs.now_ms);
        let asker = Asker {
            sandbox: self.sandbox(),
            registry: Some(&self.registry),
            context: CallContext { entry: call.entry, attempt: call.attempt, ..context },
            background: false,
            tap: None,
        };
        let (quote, asked) = asker.stage(stage, &bound, inputs, quote).await?;
        notes.extend(asked);
        done(call, quote, notes)
    }

    /// Adds up, audits, and says whether a submit may go on: it does not when the price is not the one the
    /// shopper saw, or when something is missing.
    pub(super) async fn check(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        let quote = total::apply(&inputs, part(call, "quote")?).map_err(|e| broken(&e))?;
        total::audit(&quote).map_err(|e| broken(&e))?;
        let token = quote.token().to_string();
        let totals = quote.totals.ok_or_else(|| StepFault::new("no-totals", "the quote has no totals"))?;
        self.shadow(call, &inputs, &quote).await?;
        let missing: Vec<_> = requirements(&inputs, &quote)
            .into_iter()
            // At submit the hold decides, atomically.
            .filter(|r| r.code != "stock-short")
            .collect();
        let submit: Option<Submit> = maybe(call, "submit")?;
        let by: Vec<&str> = quote.priced_by.iter().map(|by| by.digest.as_str()).collect();
        let due = quote.due().map_or(0, |due| due.minor());
        let cards: Vec<String> = inputs.gift_cards.iter().map(|card| card.id.clone()).collect();
        let now = Shown { total: totals.total, by: request_hash(&by), due: Some((due, cards)) };
        let before: Option<Shown> = maybe(call, "shown")?;
        // Other components than those of the quote that the shopper saw, because one was revoked: the price they
        // make is a conflict even where the shopper sent no price to compare with.
        let swapped = before.as_ref().is_some_and(|shown| shown.by != now.by && shown.total != now.total);
        // The same cards pay less than the shopper saw: the rest would be charged unseen.
        let drained = before.is_some_and(|shown| match (&shown.due, &now.due) {
            (Some((was, cards)), Some((is, now_given))) => {
                cards == now_given && shown.total == now.total && is > was
            }
            _ => false,
        });
        let mut patch = quote_patch(call, &quote)?;
        patch["quote_token"] = json!(token);
        patch["free"] = json!(quote.due().is_some_and(|due| due.is_zero()));
        patch["shown"] = to_json(&now)?;
        if call.pins.get(Slot::Risk.as_str()).is_some() {
            patch["watched"] = json!(true);
        }
        let Some(submit) = submit else { return Ok(StepResult::outcome("ok").patch(patch)) };
        let changed = submit.expected_total.is_some_and(|e| e != totals.total)
            || submit.quote.as_ref().is_some_and(|q| *q != token)
            || swapped
            || drained;
        if !missing.is_empty() {
            patch["problem"] =
                json!({ "code": "incomplete", "missing": to_json(&missing)?, "hash": submit.hash });
            patch["submit"] = Value::Null;
            return Ok(StepResult::outcome("incomplete").patch(patch));
        }
        // A code that was good when it was shown: what it would have taken off must not be charged unseen.
        let used_up = quote
            .messages
            .iter()
            .find(|message| message.by == HOST && promotions::USED_UP.contains(&message.code.as_str()));
        if let Some(message) = used_up {
            patch["problem"] = json!({ "code": "code-used-up", "text": message.text, "hash": submit.hash });
            patch["submit"] = Value::Null;
            return Ok(StepResult::outcome("changed").patch(patch));
        }
        if changed {
            patch["problem"] = json!({ "code": "quote-changed", "quote": token, "total": totals.total, "hash": submit.hash });
            patch["submit"] = Value::Null;
            return Ok(StepResult::outcome("changed").patch(patch));
        }
        Ok(StepResult::outcome("ready").patch(patch))
    }

    /// Hands the quote over to be compared with what components on trial make of it.
    async fn shadow(&self, call: &StepCall, inputs: &Inputs, quote: &Quote) -> Result<(), StepFault> {
        match self.registry.shadows(&call.merchant).await {
            Ok(shadows) if shadows.is_empty() => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(merchant = %call.merchant, %error, "look for shadows");
                return Ok(());
            }
        }
        self.shadows.compare(Made {
            merchant: call.merchant.clone(),
            uid: call.uid.clone(),
            settings: part(call, "settings")?,
            inputs: inputs.clone(),
            quote: quote.clone(),
            pins: call.pins.clone(),
            now_us: call.now_us,
        });
        Ok(())
    }

    /// A call of a gateway or a carrier. It is told the time of now: whether a request may still arrive depends on it.
    pub(crate) async fn gateway_call(
        &self,
        call: &StepCall,
        bound: &Bound,
        settings: &Settings,
    ) -> Result<Call, StepFault> {
        let now_ms = u64::try_from(call.now_us / 1000).unwrap_or(0);
        let context = ask::context(&call.merchant, &call.uid, settings, now_ms);
        let reach = self.registry.reach(&call.merchant, bound).await;
        Ok(Call {
            component: bound.component.clone(),
            ctx: CallContext {
                step: call.step.clone(),
                entry: call.entry,
                attempt: call.attempt,
                config: bound.config.clone(),
                ..context
            },
            binding: reach.map_err(|e| StepFault::new("binding", e.to_string()))?,
            limits: bound.limits,
            background: false,
            breaker: Some(settings.breaker.rule()),
        })
    }

    /// The pinned bindings of a slot, in the order of their names, with notes of those that stand in for a
    /// revoked one.
    pub(super) async fn pinned(
        &self,
        call: &StepCall,
        slot: Slot,
    ) -> Result<(Vec<Arc<Bound>>, Vec<Value>), StepFault> {
        let pins = call.pins.get(slot.as_str()).and_then(Value::as_object);
        let mut pins: Vec<(&String, &str)> = pins
            .into_iter()
            .flatten()
            .map(|(name, digest)| (name, digest.as_str().unwrap_or_default()))
            .collect();
        pins.sort();
        let (mut all, mut notes) = (Vec::with_capacity(pins.len()), Vec::new());
        for (name, digest) in pins {
            match self.registry.bound(&call.merchant, digest).await {
                Ok(bound) => all.push(bound),
                Err(till_registry::Error::Revoked { component }) => {
                    let stands_in = self.registry.stand_in(&call.merchant, digest, false).await;
                    let stands_in = stands_in.map_err(|e| StepFault::new("binding", e.to_string()))?;
                    let by = stands_in.as_ref().map(|bound| bound.digest.clone());
                    notes.push(json!({ "binding": digest, "revoked": component, "rebound": by }));
                    match stands_in {
                        Some(bound) => all.push(bound),
                        // A promotion that was revoked with nothing in its place is no promotion.
                        None if slot == Slot::Promotion => {}
                        None => {
                            let text = format!(
                                "{slot}/{name}: component {component} was revoked, and nothing stands in for it"
                            );
                            return Err(StepFault::new("revoked", text));
                        }
                    }
                }
                Err(error) => return Err(StepFault::new("binding", error.to_string())),
            }
        }
        Ok((all, notes))
    }
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
