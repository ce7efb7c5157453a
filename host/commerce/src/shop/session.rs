//! Checkout sessions: a session is an instance of the workflow `checkout` under the session's id.
//!
//! A shopper's commands become starts and signals, and an instance becomes a [`SessionView`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use till_engine::definition::Sender;
use till_engine::instance::{Instance, Status};
use till_engine::ports::Loaded;
use till_engine::runner::{SignalAnswer, SignalRequest, StartRequest, request_hash};
use till_model::money::Currency;
use till_store::Error as StoreError;
use uuid::Uuid;

use super::parts::{Surroundings, omitted};
use super::review::REVIEW;
use super::{CHECKOUT, Phase, SessionView, Shop, ShopError, SubmitRequest};
use crate::cart;
use crate::checkout::context::{ClientInputs, INPUTS, Session};
use crate::checkout::order_from_row;
use crate::events::notify::StatusTexts;
use crate::quote::{Inputs, Quote, requirements, unpriced};
use crate::settings::{NotificationSettings, Settings};

/// Times a submit is tried again after another command came in between.
const RACES_MAX: u32 = 8;
/// States of the workflow in which it is found out what became of a payment.
const FINDING_OUT: [&str; 2] = ["find-out", "find-capture"];
/// States of the workflow in which the price is made.
const PRICING: [&str; 7] = ["snapshot", "price", "promotions", "points", "shipping", "tax", "check"];
/// Longest wait for a session to come to rest after an edit.
const EDIT_WAIT: Duration = Duration::from_secs(10);

impl Shop {
    /// Starts a checkout session over the customer's cart. The same `key` gives the same session.
    pub async fn initiate(
        &self,
        merchant: &str,
        customer: &str,
        key: Option<&str>,
    ) -> Result<SessionView, ShopError> {
        let settings = self.settings(merchant).await?;
        let (cart, settings) = {
            let mut tx = self.store.read().await?;
            let cart = cart::current(&mut tx, merchant, customer, &settings).await?;
            let settings = cart::priced(&mut tx, merchant, &cart, &settings).await?;
            (cart, settings)
        };
        let id = match key {
            Some(key) => format!("chk_{}", &request_hash(&["initiate", customer, key])[..32]),
            None => format!("chk_{}", Uuid::now_v7().simple()),
        };
        if cart.items.is_empty() {
            // A retry after the order was made must still find its session.
            if let Some(found) = self.runner.find(merchant, CHECKOUT, &id).await? {
                return self.view(merchant, &found.instance).await;
            }
            return Err(ShopError::Field {
                field: "cart".to_owned(),
                why: "the cart is empty; put an item in first".to_owned(),
            });
        }
        let session = Session { cart: cart.id.clone(), customer: customer.to_owned() };
        // How customers are told is not a checkout's matter, nor what else the shop sells in.
        let settings = Settings {
            notifications: NotificationSettings::default(),
            statuses: StatusTexts::new(),
            currencies: BTreeMap::new(),
            ..settings
        };
        let context = json!({
            "shop": serde_json::to_value(&session).map_err(|e| StoreError::Corrupt(e.to_string()))?,
            "settings": serde_json::to_value(&settings).map_err(|e| StoreError::Corrupt(e.to_string()))?,
        });
        let priced = async {
            let started = self
                .runner
                .start(StartRequest {
                    merchant: merchant.to_owned(),
                    workflow: CHECKOUT.to_owned(),
                    id: id.clone(),
                    subject: customer.to_owned(),
                    inputs: json!({}),
                    context,
                    pins: self.registry.pins(merchant, &id).await?,
                    hash: request_hash(&["initiate", customer]),
                })
                .await?;
            started.watch.rested(EDIT_WAIT).await;
            self.own(merchant, customer, &id).await
        };
        // While components price the cart, the rest is read.
        let (loaded, around) = tokio::join!(priced, self.surroundings(merchant, customer, &settings));
        self.view_with(merchant, &loaded?.instance, Some(around)).await
    }

    /// Currency of a customer's session; the shop's own where there is none.
    pub async fn session_currency(
        &self,
        merchant: &str,
        customer: &str,
        id: &str,
    ) -> Result<Currency, ShopError> {
        let found = self.runner.find(merchant, CHECKOUT, id).await?;
        let found = found.filter(|l| l.instance.subject == customer);
        let told = found.as_ref().and_then(|l| l.instance.context.get("settings")?.get("currency"));
        match told.and_then(|code| Currency::deserialize(code).ok()) {
            Some(currency) => Ok(currency),
            None => Ok(self.settings(merchant).await?.currency),
        }
    }

    /// A session of this customer.
    pub async fn session(&self, merchant: &str, customer: &str, id: &str) -> Result<SessionView, ShopError> {
        let loaded = self.own(merchant, customer, id).await?;
        self.view(merchant, &loaded.instance).await
    }

    /// Replaces inputs of an editable session and gives the new quote.
    pub async fn edit(
        &self,
        merchant: &str,
        customer: &str,
        id: &str,
        inputs: Map<String, Value>,
        expected: Option<i64>,
    ) -> Result<SessionView, ShopError> {
        check_inputs(&inputs)?;
        let loaded = self.own(merchant, customer, id).await?;
        if let Some(expected) = expected.filter(|v| *v != loaded.instance.version) {
            return Err(ShopError::Version { expected, found: loaded.instance.version });
        }
        self.still_open(id, &loaded.instance)?;
        let guesses = inputs.contains_key("gift_cards");
        if guesses {
            self.may_guess(merchant, customer)?;
        }
        let uid = loaded.instance.uid;
        let answer = self
            .command(
                merchant,
                uid,
                "edit",
                format!("edit:{}", Uuid::now_v7()),
                "",
                json!({ "inputs": inputs }),
            )
            .await?;
        self.taken(id, merchant, uid, answer, EDIT_WAIT).await?;
        let view = self.session(merchant, customer, id).await?;
        if guesses {
            self.guessed(merchant, customer, view.quote.as_ref());
        }
        Ok(view)
    }

    /// Submits a session and waits for the outcome, at most `wait`.
    pub async fn submit(
        &self,
        merchant: &str,
        customer: &str,
        id: &str,
        submit: SubmitRequest,
        wait: Duration,
    ) -> Result<SessionView, ShopError> {
        check_inputs(&submit.inputs)?;
        let guesses = submit.inputs.contains_key("gift_cards");
        if guesses {
            self.may_guess(merchant, customer)?;
        }
        self.numbers.reserve(merchant, self.now_us()).await?;
        for _ in 0..RACES_MAX {
            let loaded = self.own(merchant, customer, id).await?;
            let instance = &loaded.instance;
            let uid = instance.uid;
            let before = instance.context.get("submit").and_then(|s| s.get("hash")).and_then(Value::as_str);
            let dedup = match &submit.key {
                Some(key) => format!("submit:{key}"),
                // Without a key the session is the key, for as long as it has not come back to the shopper.
                None => format!("submit:{}:{}", instance.entry("editable"), submit.hash),
            };
            if instance.state != "editable" || instance.status != Status::Waiting {
                let known = self.store_has(merchant, uid, &dedup, &submit.hash).await?;
                match before {
                    Some(hash) if hash == submit.hash || known => {}
                    Some(_) => return Err(ShopError::OtherSubmit { id: id.to_owned() }),
                    None => self.still_open(id, instance)?,
                }
                self.outcome(merchant, uid, wait).await?;
                if before.is_some() {
                    return self.session(merchant, customer, id).await;
                }
                continue;
            }
            let mut body = json!({ "inputs": submit.inputs, "hash": submit.hash });
            if let Some(total) = submit.expected_total {
                body["expected_total"] = json!(total);
            }
            if let Some(quote) = &submit.quote {
                body["quote"] = json!(quote);
            }
            match self.command(merchant, uid, "submit", dedup, &submit.hash, body).await? {
                // Somebody was faster: what they sent decides whether this attaches or conflicts.
                SignalAnswer::Busy(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                answer => {
                    self.taken(id, merchant, uid, answer, wait).await?;
                    let view = self.session(merchant, customer, id).await?;
                    if guesses {
                        self.guessed(merchant, customer, view.quote.as_ref());
                    }
                    return Ok(view);
                }
            }
        }
        Err(ShopError::Busy { id: id.to_owned() })
    }

    /// Cancels a session. One that is paid is not cancelled: ask for a refund.
    pub async fn cancel(&self, merchant: &str, customer: &str, id: &str) -> Result<SessionView, ShopError> {
        let loaded = self.own(merchant, customer, id).await?;
        let uid = loaded.instance.uid;
        if loaded.instance.state == "cancelled" {
            return self.view(merchant, &loaded.instance).await;
        }
        self.still_open(id, &loaded.instance)?;
        if loaded.instance.state == "confirmed" {
            return Err(ShopError::Refused { why: "the order is paid; ask for a refund".to_owned() });
        }
        let answer = self
            .command(merchant, uid, "cancel", format!("cancel:{}", Uuid::now_v7()), "", json!({}))
            .await?;
        self.taken(id, merchant, uid, answer, EDIT_WAIT).await?;
        self.session(merchant, customer, id).await
    }

    async fn own(&self, merchant: &str, customer: &str, id: &str) -> Result<Loaded, ShopError> {
        let found = self.runner.find(merchant, CHECKOUT, id).await?;
        found
            .filter(|l| l.instance.subject == customer)
            .ok_or_else(|| ShopError::NotFound { what: "checkout session", id: id.to_owned() })
    }

    fn still_open(&self, id: &str, instance: &Instance) -> Result<(), ShopError> {
        let why = match instance.state.as_str() {
            "expired" => "it has expired; start a new one with POST /api/v1/checkout/initiate",
            "cancelled" => "it was cancelled; start a new one with POST /api/v1/checkout/initiate",
            "failed" => "too many payments failed; start a new one with POST /api/v1/checkout/initiate",
            _ => return Ok(()),
        };
        Err(ShopError::Gone { id: id.to_owned(), why: why.to_owned() })
    }

    async fn store_has(&self, merchant: &str, uid: Uuid, dedup: &str, hash: &str) -> Result<bool, ShopError> {
        use till_engine::ports::Store as _;
        let row = self.store.inbound(merchant, "api", &format!("{uid}:{dedup}")).await?;
        Ok(row.is_some_and(|r| r.hash == hash))
    }

    async fn command(
        &self,
        merchant: &str,
        uid: Uuid,
        name: &str,
        dedup: String,
        hash: &str,
        body: Value,
    ) -> Result<SignalAnswer, ShopError> {
        let request = SignalRequest {
            merchant: merchant.to_owned(),
            uid,
            name: name.to_owned(),
            sender: Sender::Shopper,
            source: "api".to_owned(),
            dedup: format!("{uid}:{dedup}"),
            hash: hash.to_owned(),
            body,
            keep: false,
        };
        Ok(self.runner.signal(request).await?)
    }

    async fn taken(
        &self,
        id: &str,
        merchant: &str,
        uid: Uuid,
        answer: SignalAnswer,
        wait: Duration,
    ) -> Result<(), ShopError> {
        match answer {
            SignalAnswer::Taken(_) | SignalAnswer::Repeated(_) | SignalAnswer::Queued(_) => {
                self.outcome(merchant, uid, wait).await
            }
            SignalAnswer::Busy(_) => Err(ShopError::Busy { id: id.to_owned() }),
            SignalAnswer::OtherRequest => Err(ShopError::OtherSubmit { id: id.to_owned() }),
            SignalAnswer::NotExpected(why) | SignalAnswer::Refused(why) | SignalAnswer::Forbidden(why) => {
                Err(ShopError::Refused { why })
            }
        }
    }

    /// Waits until the session is with the shopper again, at its end, or parked.
    async fn outcome(&self, merchant: &str, uid: Uuid, wait: Duration) -> Result<(), ShopError> {
        // While it is being found out what became of a payment, "unknown" is the answer.
        let rests = |i: &Instance| {
            matches!(i.status, Status::Waiting | Status::Completed | Status::Parked)
                || (FINDING_OUT.contains(&i.state.as_str()) && i.rests())
        };
        self.runner.wait(merchant, uid, wait, rests).await?;
        Ok(())
    }

    async fn view(&self, merchant: &str, instance: &Instance) -> Result<SessionView, ShopError> {
        self.view_with(merchant, instance, None).await
    }

    /// A session; what is told around its price is read where it was not read meanwhile.
    async fn view_with(
        &self,
        merchant: &str,
        instance: &Instance,
        around: Option<Surroundings>,
    ) -> Result<SessionView, ShopError> {
        let part = |name: &str| instance.context.get(name).filter(|v| !v.is_null());
        let broken = |e: serde_json::Error| StoreError::Corrupt(e.to_string());
        let settings: Settings = part("settings")
            .map_or_else(|| Ok(Settings::default()), Settings::deserialize)
            .map_err(broken)?;
        let inputs: Inputs = match part("snapshot") {
            Some(snapshot) => Inputs::deserialize(snapshot).map_err(broken)?,
            None => serde_json::from_value(json!({ "cart": "", "currency": settings.currency }))
                .map_err(broken)?,
        };
        let fault = part("fault").cloned();
        let failed = fault.as_ref().and_then(|f| f.get("state")).and_then(Value::as_str);
        let unpriced_now = failed.is_some_and(|state| PRICING.contains(&state));
        // The price from before a component failed is not that of these inputs.
        let priced = part("quote").filter(|_| !unpriced_now);
        let quote = priced.map(Quote::deserialize).transpose().map_err(broken)?;
        let phase = match (instance.status, instance.state.as_str()) {
            (Status::Parked, _) => Phase::Parked,
            (_, "editable") => Phase::Editable,
            (_, REVIEW) => Phase::UnderReview,
            (_, "await-buyer") => Phase::ActionRequired,
            (_, state) if FINDING_OUT.contains(&state) => Phase::PaymentUnknown,
            (_, "confirmed") => Phase::Confirmed,
            (_, "cancelled") => Phase::Cancelled,
            (_, "expired") => Phase::Expired,
            (_, "failed") => Phase::Failed,
            _ => Phase::Busy,
        };
        let around = match around {
            Some(around) => around,
            None => self.surroundings(merchant, &instance.subject, &settings).await,
        };
        let Surroundings { customer, points, preferences, mut warnings } = around;
        warnings.extend(quote.as_ref().map(omitted).unwrap_or_default());
        let order = match part("order").and_then(|o| o.get("id")).and_then(Value::as_str) {
            Some(id) => {
                let row = self.store.read().await?.order(merchant, id).await?;
                row.map(|row| order_from_row(&row)).transpose()?
            }
            None => None,
        };
        Ok(SessionView {
            id: instance.id.clone(),
            version: instance.version,
            state: instance.state.clone(),
            phase,
            requirements: match &quote {
                Some(quote) => requirements(&inputs, quote),
                None if unpriced_now => vec![unpriced()],
                None => Vec::new(),
            },
            inputs,
            quote,
            quote_token: part("quote_token").and_then(Value::as_str).map(str::to_owned),
            customer,
            points_balance: points,
            preferences,
            warnings,
            now_us: self.now_us(),
            problem: part("problem").cloned(),
            fault,
            order,
            action: part("payment").and_then(|p| p.get("action")).filter(|a| !a.is_null()).cloned(),
            refused: part("payment").and_then(|p| p.get("refused")).filter(|r| !r.is_null()).cloned(),
            settings,
            submitted: part("submit").and_then(|s| s.get("hash")).and_then(Value::as_str).map(str::to_owned),
        })
    }
}

/// Inputs must be among the client's, each of its type.
fn check_inputs(inputs: &Map<String, Value>) -> Result<(), ShopError> {
    if let Some(field) = inputs.keys().find(|k| !INPUTS.contains(&k.as_str())) {
        return Err(ShopError::Field {
            field: field.clone(),
            why: format!("no such input; there are {}", INPUTS.join(", ")),
        });
    }
    for (field, value) in inputs {
        let mut one = Map::new();
        one.insert(field.clone(), value.clone());
        serde_json::from_value::<ClientInputs>(Value::Object(one))
            .map_err(|e| ShopError::Field { field: field.clone(), why: e.to_string() })?;
    }
    Ok(())
}
