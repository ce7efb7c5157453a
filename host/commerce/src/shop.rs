//! [`Shop`]: what the edge may ask for. Catalog, carts, checkout sessions, orders, webhooks.
//!
//! A checkout session is an instance of the workflow `checkout` under the session's id; this file turns
//! a shopper's commands into starts and signals, and an instance into a [`SessionView`].

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use till_engine::definition::Sender;
use till_engine::instance::{Instance, Status};
use till_engine::ports::{Clock, Loaded};
use till_engine::runner::{self, Runner, SignalAnswer, SignalRequest, StartRequest, request_hash};
use till_registry::Registry;
use till_sandbox::wit::gateway as wit;
use till_sandbox::wit::types::CallContext;
use till_sandbox::{Answer, Call, Limits};
use till_store::tables::command::CommandRow;
use till_store::{Error as StoreError, Store, Tx};
use uuid::Uuid;

use crate::cart::{self, Cart, CartError, NewItem};
use crate::catalog::{self, Availability, Customer, Product};
use crate::checkout::context::{ClientInputs, INPUTS, Session};
use crate::checkout::steps::Numbers;
use crate::checkout::{Order, order_from_row};
use crate::quote::{Inputs, Quote, Requirement, requirements};
use crate::settings::Settings;

/// The workflow behind checkout sessions.
pub const CHECKOUT: &str = "checkout";
/// Times a cart command is tried again after another one changed the cart in between.
const RACES_MAX: u32 = 8;
/// Longest wait for a session to come to rest after an edit.
const EDIT_WAIT: Duration = Duration::from_secs(10);
/// Names the command that puts an item into a cart, where it is remembered.
const ADD: &str = "cart.add";
/// A remembered command is kept so long, microseconds.
pub const COMMANDS_KEPT_US: i64 = 24 * 3600 * 1_000_000;

/// Why the shop says no, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// There is none, or it belongs to somebody else.
    #[error("find {what} `{id}`")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The session has ended.
    #[error("use session `{id}`: {why}")]
    Gone {
        /// Id of the session.
        id: String,
        /// How it ended and what to do.
        why: String,
    },
    /// The session is being worked on.
    #[error("change session `{id}`: it is being worked on")]
    Busy {
        /// Id of the session.
        id: String,
    },
    /// The session was submitted with another request.
    #[error("submit session `{id}`: it was submitted with another request")]
    OtherSubmit {
        /// Id of the session.
        id: String,
    },
    /// A field is wrong.
    #[error("accept `{field}`: {why}")]
    Field {
        /// Name of the field.
        field: String,
        /// The limit and what to do.
        why: String,
    },
    /// It was changed since the client read it.
    #[error("change it: it has version {found}, not {expected}")]
    Version {
        /// Version the client saw.
        expected: i64,
        /// Version it has.
        found: i64,
    },
    /// The workflow refuses.
    #[error("{why}")]
    Refused {
        /// The reason.
        why: String,
    },
    /// A webhook whose signature does not match.
    #[error("verify the webhook")]
    Forged,
    /// The idempotency key came before with another request.
    #[error("use key `{key}` again: it was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// The cart says no.
    #[error(transparent)]
    Cart(#[from] CartError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] till_registry::Error),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] runner::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a session stands, as a shopper sees it. A projection of the instance, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The shopper may change it and submit.
    Editable,
    /// A step runs.
    Busy,
    /// The buyer has to do something at the gateway.
    ActionRequired,
    /// It is being found out what became of the payment.
    PaymentUnknown,
    /// The order is confirmed.
    Confirmed,
    /// Cancelled by the shopper.
    Cancelled,
    /// Its time ran out.
    Expired,
    /// Too many payments failed.
    Failed,
    /// A person of the merchant looks at it.
    Parked,
}

/// A checkout session.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Id.
    pub id: String,
    /// Grows with each change; the `ETag`.
    pub version: i64,
    /// State of the workflow.
    pub state: String,
    /// Where it stands.
    pub phase: Phase,
    /// What the quote was computed from.
    pub inputs: Inputs,
    /// The priced cart.
    pub quote: Option<Quote>,
    /// Names it; a submit may carry it.
    pub quote_token: Option<String>,
    /// The buyer.
    pub customer: Customer,
    /// Points the buyer can use.
    pub points_balance: i64,
    /// Why it is editable again.
    pub problem: Option<Value>,
    /// Why a component could not answer.
    pub fault: Option<Value>,
    /// What is missing before it can be submitted.
    pub requirements: Vec<Requirement>,
    /// The order, once there is one.
    pub order: Option<Order>,
    /// What the buyer has to do.
    pub action: Option<Value>,
    /// The merchant's settings as pinned.
    pub settings: Settings,
    /// Hash of the submit under way or done.
    pub submitted: Option<String>,
}

/// A submit.
#[derive(Debug, Clone)]
pub struct SubmitRequest {
    /// Client inputs that go with it; each replaces the one before.
    pub inputs: Map<String, Value>,
    /// The total the shopper saw, minor units.
    pub expected_total: Option<i64>,
    /// The quote the shopper saw.
    pub quote: Option<String>,
    /// Hash of the request.
    pub hash: String,
    /// `Idempotency-Key`, if the client sent one.
    pub key: Option<String>,
}

/// The shop of all merchants of this host.
pub struct Shop {
    store: Arc<Store>,
    registry: Arc<Registry>,
    runner: Arc<Runner<Store>>,
    numbers: Arc<Numbers>,
}

impl Shop {
    /// The shop over these rooms.
    pub fn new(
        store: Arc<Store>,
        registry: Arc<Registry>,
        runner: Arc<Runner<Store>>,
        numbers: Arc<Numbers>,
    ) -> Shop {
        Shop { store, registry, runner, numbers }
    }

    fn now_us(&self) -> i64 {
        let clock: &Arc<dyn Clock> = self.runner.clock();
        clock.now_us()
    }

    /// Settings of a merchant; the defaults for one without.
    pub async fn settings(&self, merchant: &str) -> Result<Settings, ShopError> {
        let body = self.store.read().await?.setting(merchant).await?;
        Ok(body.map_or_else(|| Ok(Settings::default()), |b| catalog::parse(&b))?)
    }

    /// Products after the id `after`, with what can be held.
    pub async fn products(
        &self,
        merchant: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<(Product, Vec<Availability>)>, ShopError> {
        let mut tx = self.store.read().await?;
        let mut all = Vec::new();
        for product in catalog::products(&mut tx, merchant, after, limit).await? {
            let stock = catalog::availability(&mut tx, merchant, &product.sku).await?;
            all.push((product, stock));
        }
        Ok(all)
    }

    /// A product that is known, with what can be held.
    pub async fn product(&self, merchant: &str, id: &str) -> Result<(Product, Vec<Availability>), ShopError> {
        let mut tx = self.store.read().await?;
        let product = catalog::product(&mut tx, merchant, id).await?;
        let product = product.ok_or_else(|| ShopError::NotFound { what: "product", id: id.to_owned() })?;
        let stock = catalog::availability(&mut tx, merchant, &product.sku).await?;
        Ok((product, stock))
    }

    /// The customer's cart, with the prices of now.
    pub async fn cart(&self, merchant: &str, customer: &str) -> Result<Cart, ShopError> {
        let settings = self.settings(merchant).await?;
        let mut tx = self.store.read().await?;
        let mut cart = cart::current(&mut tx, merchant, customer, &settings).await?;
        for item in &mut cart.items {
            if let Some(product) = catalog::product(&mut tx, merchant, &item.product).await? {
                item.unit_price = product.price;
            }
        }
        Ok(cart)
    }

    /// Puts units of a product into the customer's cart. Under a `key` they are put in once: repeated
    /// within [`COMMANDS_KEPT_US`], it gives the cart as it is then.
    pub async fn add_to_cart(
        &self,
        merchant: &str,
        customer: &str,
        item: NewItem,
        expected: Option<i64>,
        key: Option<&str>,
    ) -> Result<Cart, ShopError> {
        let key = key.map(str::to_owned);
        self.change_cart(merchant, customer, CartCommand::Add(item, key), expected).await
    }

    /// Sets the units of a line.
    pub async fn set_quantity(
        &self,
        merchant: &str,
        customer: &str,
        item: &str,
        units: i64,
        expected: Option<i64>,
    ) -> Result<Cart, ShopError> {
        self.change_cart(merchant, customer, CartCommand::Set(item.to_owned(), units), expected).await
    }

    /// Takes a line out.
    pub async fn remove_item(
        &self,
        merchant: &str,
        customer: &str,
        item: &str,
        expected: Option<i64>,
    ) -> Result<Cart, ShopError> {
        self.change_cart(merchant, customer, CartCommand::Remove(item.to_owned()), expected).await
    }

    async fn change_cart(
        &self,
        merchant: &str,
        customer: &str,
        command: CartCommand,
        expected: Option<i64>,
    ) -> Result<Cart, ShopError> {
        let settings = Arc::new(self.settings(merchant).await?);
        let now_us = self.now_us();
        let command = Arc::new(command);
        for _ in 0..RACES_MAX {
            let (owner, buyer) = (merchant.to_owned(), customer.to_owned());
            let (settings, command) = (settings.clone(), command.clone());
            let done = self
                .store
                .transact(move |tx| {
                    let (owner, buyer) = (owner.clone(), buyer.clone());
                    let (settings, command) = (settings.clone(), command.clone());
                    Box::pin(async move {
                        match command.run(tx, &owner, &buyer, &settings, expected, now_us).await {
                            Err(ShopError::Store(error) | ShopError::Cart(CartError::Store(error))) => {
                                Err(error)
                            }
                            other => Ok(other),
                        }
                    })
                })
                .await;
            match done {
                Ok(made) => return made,
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Starts a checkout session over the customer's cart. The same `key` gives the same session.
    pub async fn initiate(
        &self,
        merchant: &str,
        customer: &str,
        key: Option<&str>,
    ) -> Result<SessionView, ShopError> {
        let settings = self.settings(merchant).await?;
        let cart = {
            let mut tx = self.store.read().await?;
            let cart = cart::current(&mut tx, merchant, customer, &settings).await?;
            cart::in_currency(&mut tx, merchant, &cart, &settings).await?;
            cart
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
        let context = json!({
            "shop": serde_json::to_value(&session).map_err(|e| StoreError::Corrupt(e.to_string()))?,
            "settings": serde_json::to_value(&settings).map_err(|e| StoreError::Corrupt(e.to_string()))?,
        });
        let started = self
            .runner
            .start(StartRequest {
                merchant: merchant.to_owned(),
                workflow: CHECKOUT.to_owned(),
                id: id.clone(),
                subject: customer.to_owned(),
                inputs: json!({}),
                context,
                pins: self.registry.pins(merchant).await?,
                hash: request_hash(&["initiate", customer]),
            })
            .await?;
        started.watch.rested(EDIT_WAIT).await;
        self.session(merchant, customer, &id).await
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
        self.session(merchant, customer, id).await
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
                    return self.session(merchant, customer, id).await;
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

    /// An order of this customer, by id or number.
    pub async fn order(&self, merchant: &str, customer: &str, id: &str) -> Result<Order, ShopError> {
        let missing = || ShopError::NotFound { what: "order", id: id.to_owned() };
        let mut tx = self.store.read().await?;
        let row = match tx.order(merchant, id).await? {
            Some(row) => Some(row),
            None => tx.order_by_number(merchant, id).await?,
        };
        let row = row.filter(|r| r.customer == customer).ok_or_else(missing)?;
        Ok(order_from_row(&row)?)
    }

    /// Orders of a customer, newest first.
    pub async fn orders(&self, merchant: &str, customer: &str, limit: i64) -> Result<Vec<Order>, ShopError> {
        let rows = self.store.read().await?.orders(merchant, customer, limit).await?;
        Ok(rows.iter().map(order_from_row).collect::<Result<_, _>>()?)
    }

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
        let bound = self.registry.gateway(merchant, gateway).await?.ok_or_else(missing)?;
        let settings = self.settings(merchant).await?;
        let call = Call {
            component: bound.component.clone(),
            ctx: CallContext {
                merchant: merchant.to_owned(),
                channel: settings.channel.clone(),
                locale: settings.locale.clone(),
                currency: settings.currency.code().to_owned(),
                exponent: settings.currency.exponent(),
                now_ms: u64::try_from(self.now_us() / 1000).unwrap_or(0),
                instance: String::new(),
                step: "webhook".to_owned(),
                entry: 1,
                attempt: 1,
                test_mode: false,
                config: bound.config.clone(),
                attributes: vec![],
            },
            binding: bound.binding.clone(),
            limits: Limits::default(),
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
            let Some(key) = &event.attempt_key else { continue };
            let Some(uid) = self.store.instance_of_key(merchant, key).await? else { continue };
            let money = event.money.as_ref().map(|m| json!({ "minor": m.minor, "currency": m.currency }));
            let request = SignalRequest {
                merchant: merchant.to_owned(),
                uid,
                name: name.to_owned(),
                sender: Sender::Gateway,
                source: format!("gateway:{gateway}"),
                dedup: event.dedup_id.clone(),
                hash: String::new(),
                body: json!({ "key": key, "money": money, "at_ms": event.provider_time_ms }),
                keep: true,
            };
            self.runner.signal(request).await?;
            taken += 1;
        }
        Ok(taken)
    }

    /// Replaces the settings of a merchant; sessions under way keep theirs.
    pub async fn put_settings(&self, merchant: &str, settings: &Settings) -> Result<(), ShopError> {
        settings
            .check()
            .map_err(|e| ShopError::Field { field: e.field.to_owned(), why: e.detail.to_owned() })?;
        let now_us = self.now_us();
        let text = serde_json::to_string(settings).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        self.write(merchant, move |tx, owner| {
            let text = text.clone();
            Box::pin(async move { tx.put_setting(&owner, &text, now_us).await })
        })
        .await
    }

    /// Makes or replaces a product.
    pub async fn put_product(&self, merchant: &str, product: &Product) -> Result<(), ShopError> {
        if product.price < 0 {
            return Err(ShopError::Field {
                field: "price".to_owned(),
                why: "a price is not negative".to_owned(),
            });
        }
        let now_us = self.now_us();
        let id = product.id.clone();
        let text = serde_json::to_string(product).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        self.write(merchant, move |tx, owner| {
            let (id, text) = (id.clone(), text.clone());
            Box::pin(async move { tx.put_product(&owner, &id, &text, now_us).await })
        })
        .await
    }

    /// Makes a customer with a points balance, or replaces what is known of one; points then stay.
    pub async fn put_customer(
        &self,
        merchant: &str,
        customer: &Customer,
        points: i64,
    ) -> Result<(), ShopError> {
        let id = customer.id.clone();
        let text = serde_json::to_string(customer).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        self.write(merchant, move |tx, owner| {
            let (id, text) = (id.clone(), text.clone());
            Box::pin(async move { tx.put_customer(&owner, &id, &text, points).await })
        })
        .await
    }

    /// Sets the units on hand.
    pub async fn put_stock(
        &self,
        merchant: &str,
        sku: &str,
        warehouse: &str,
        on_hand: i64,
    ) -> Result<(), ShopError> {
        if on_hand < 0 {
            return Err(ShopError::Field {
                field: "onHand".to_owned(),
                why: "stock is not negative".to_owned(),
            });
        }
        let (sku, warehouse) = (sku.to_owned(), warehouse.to_owned());
        let (kind, place) = (sku.clone(), warehouse.clone());
        let owner = merchant.to_owned();
        let fits = self
            .store
            .transact(move |tx| {
                let (owner, kind, place) = (owner.clone(), kind.clone(), place.clone());
                Box::pin(async move { tx.put_stock(&owner, &kind, &place, on_hand).await })
            })
            .await?;
        if fits {
            return Ok(());
        }
        let why = format!("more units of {sku} in {warehouse} are promised than {on_hand}");
        Err(ShopError::Field { field: "onHand".to_owned(), why })
    }

    /// Forgets commands that are older than they are kept.
    pub async fn forget_commands(&self) -> Result<u64, ShopError> {
        let before_us = self.now_us().saturating_sub(COMMANDS_KEPT_US);
        Ok(self
            .store
            .transact(move |tx| Box::pin(async move { tx.forget_commands(before_us).await }))
            .await?)
    }

    async fn write<F>(&self, merchant: &str, job: F) -> Result<(), ShopError>
    where
        F: for<'a> Fn(&'a mut Tx, String) -> futures::future::BoxFuture<'a, Result<(), StoreError>>
            + Send
            + Sync
            + 'static,
    {
        let owner = merchant.to_owned();
        Ok(self.store.transact(move |tx| job(tx, owner.clone())).await?)
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
        let rests = |i: &Instance| matches!(i.status, Status::Waiting | Status::Completed | Status::Parked);
        self.runner.wait(merchant, uid, wait, rests).await?;
        Ok(())
    }

    async fn view(&self, merchant: &str, instance: &Instance) -> Result<SessionView, ShopError> {
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
        let quote = part("quote").map(Quote::deserialize).transpose().map_err(broken)?;
        let phase = match (instance.status, instance.state.as_str()) {
            (Status::Parked, _) => Phase::Parked,
            (_, "editable") => Phase::Editable,
            (_, "await-buyer") => Phase::ActionRequired,
            (_, "find-out" | "find-capture") => Phase::PaymentUnknown,
            (_, "confirmed") => Phase::Confirmed,
            (_, "cancelled") => Phase::Cancelled,
            (_, "expired") => Phase::Expired,
            (_, "failed") => Phase::Failed,
            _ => Phase::Busy,
        };
        let mut tx = self.store.read().await?;
        let (customer, _, points_balance) = catalog::customer(&mut tx, merchant, &instance.subject).await?;
        let order = match part("order").and_then(|o| o.get("id")).and_then(Value::as_str) {
            Some(id) => tx.order(merchant, id).await?.map(|row| order_from_row(&row)).transpose()?,
            None => None,
        };
        Ok(SessionView {
            id: instance.id.clone(),
            version: instance.version,
            state: instance.state.clone(),
            phase,
            requirements: quote.as_ref().map(|q| requirements(&inputs, q)).unwrap_or_default(),
            inputs,
            quote,
            quote_token: part("quote_token").and_then(Value::as_str).map(str::to_owned),
            customer,
            points_balance,
            problem: part("problem").cloned(),
            fault: part("fault").cloned(),
            order,
            action: part("payment").and_then(|p| p.get("action")).filter(|a| !a.is_null()).cloned(),
            settings,
            submitted: part("submit").and_then(|s| s.get("hash")).and_then(Value::as_str).map(str::to_owned),
        })
    }
}

enum CartCommand {
    /// With its idempotency key.
    Add(NewItem, Option<String>),
    Set(String, i64),
    Remove(String),
}

impl CartCommand {
    async fn run(
        &self,
        tx: &mut Tx,
        merchant: &str,
        customer: &str,
        settings: &Settings,
        expected: Option<i64>,
        now_us: i64,
    ) -> Result<Cart, ShopError> {
        let made = match self {
            CartCommand::Add(item, None) => {
                cart::add(tx, merchant, customer, settings, item, expected, now_us).await
            }
            CartCommand::Add(item, Some(key)) => {
                return add_once(tx, merchant, customer, settings, item, expected, key, now_us).await;
            }
            CartCommand::Set(item, units) => {
                cart::set_quantity(tx, merchant, customer, settings, item, *units, expected, now_us).await
            }
            CartCommand::Remove(item) => {
                cart::remove(tx, merchant, customer, settings, item, expected, now_us).await
            }
        };
        Ok(made?)
    }
}

/// Puts an item in unless the key is remembered. A refused one leaves its key free.
async fn add_once(
    tx: &mut Tx,
    merchant: &str,
    customer: &str,
    settings: &Settings,
    item: &NewItem,
    expected: Option<i64>,
    key: &str,
    now_us: i64,
) -> Result<Cart, ShopError> {
    let NewItem { product, sku, quantity, warehouse } = item;
    let what = json!([product, sku, quantity, warehouse]).to_string();
    let hash = request_hash(&[ADD, &what]);
    // Before the version: the first request has moved it on.
    match tx.command(merchant, customer, ADD, key).await? {
        Some(known) if known.hash == hash => {
            return Ok(cart::current(tx, merchant, customer, settings).await?);
        }
        Some(_) => return Err(ShopError::KeyReused { key: key.to_owned() }),
        None => {}
    }
    let cart = cart::add(tx, merchant, customer, settings, item, expected, now_us).await?;
    let row = CommandRow { hash, pointer: cart.id.clone() };
    match tx.remember(merchant, customer, ADD, key, &row, now_us).await? {
        None => Ok(cart),
        // The same key at the same time: from the start, and what it did is seen.
        Some(_) => Err(StoreError::Conflict.into()),
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
