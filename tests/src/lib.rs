//! The bench of the whole shop: real components, a payment provider that misbehaves, a clock in hand.
//!
//! Owns [`TestTill`] (a shop of its own for each test), [`SimClock`], [`Simulator`] and [`Faults`]. Read
//! first: [`TestTill::start`] and [`TestTill::heal`]. Nothing sleeps for a fixed time: tests wait for
//! facts, and turn the clock.

mod door;
pub mod endpoint;
mod faults;
pub mod host;
mod mailbox;
pub mod nats;
mod simulator;
pub mod smtp;
mod template;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

pub use door::Door;
pub use faults::{Faults, FaultySteps, How, Ran};
pub use mailbox::{Letter, Mailbox};
use serde_json::{Map, Value, json};
pub use simulator::Simulator;
pub use template::{rupee_template, template, template_on};
use till_commerce::cart::NewItem;
use till_commerce::catalog::{Customer, Product, SavedAddress, SavedMethod};
use till_commerce::checkout::Order;
use till_commerce::checkout::steps::{CheckoutSteps, Numbers};
use till_commerce::events::Events;
use till_commerce::events::notify::{Smtp, SmtpTls};
use till_commerce::fulfilment::Shipment;
use till_commerce::quote::Address;
use till_commerce::settings::Settings;
use till_commerce::{CHECKOUT, Phase, SessionView, Shop, ShopError, SubmitRequest};
use till_engine::instance::{Instance, Status, merge};
use till_engine::ports::Clock;
use till_engine::runner::Runner;
use till_registry::{Activation, FailurePolicy, Push, Pushed, Registry, Vault};
use till_sandbox::{Compiler, Sandbox, SandboxConfig, Slot};
use till_store::{Options, Store};
use uuid::Uuid;

/// The merchant of the tests.
pub const MERCHANT: &str = "demo";
/// The customer of the worked example.
pub const CUSTOMER: &str = "CUST-12345";
/// The product of the worked example.
pub const PRODUCT: &str = "PROD-12345";
/// Its SKU.
pub const SKU: &str = "SKU-ABC-001";
/// Where it lies.
pub const WAREHOUSE: &str = "US-WEST-01";
/// The shipped workflow.
pub const WORKFLOW: &str = include_str!("../../workflows/checkout.yaml");
/// The shipped workflow of parcels.
pub const FULFILMENT: &str = include_str!("../../workflows/fulfilment.yaml");
/// Longest wait for a fact. A test that needs it has failed.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// A provider that answers at all answers within a few milliseconds.
const NETWORK_MS: u64 = 3_000;
/// 2024-07-01T12:00:00Z in microseconds.
const START_US: i64 = 1_719_835_200_000_000;

/// A clock that is turned by hand. It starts on 1 July 2024.
#[derive(Debug)]
pub struct SimClock(AtomicI64);

impl SimClock {
    /// Turns it on.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("less than 292,000 years");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    fn until(&self, us: i64) {
        self.0.fetch_max(us, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// One for all tests of a process, as in a host.
static SANDBOX: LazyLock<Arc<Sandbox>> = LazyLock::new(|| {
    let config = SandboxConfig {
        pure_threads: 2,
        gateway_calls_max: 64,
        gateway_calls_per_merchant_max: 64,
        compiler: compiler(&code_cache(), till_sandbox::COMPILE_CPU_S),
        source_lines: false,
    };
    Sandbox::new(config).expect("the sandbox can be set up")
});

/// Key of the vault in tests.
pub const SECRETS_KEY: [u8; 32] = [7; 32];
/// Secrets of the demo shop: those that the simulator knows.
pub const SECRETS: [(&str, &str); 2] = [("api_key", "sk_sim"), ("webhook", "whsec")];

/// Those of its account at Razorpay: the first is `rzp_test_sim:rzp_secret_sim` in base64.
pub const RAZORPAY_SECRETS: [(&str, &str); 3] = [
    ("razorpay_basic", "cnpwX3Rlc3Rfc2ltOnJ6cF9zZWNyZXRfc2lt"),
    ("razorpay_key", "rzp_secret_sim"),
    ("razorpay_webhook", "rzp_whsec"),
];

/// As a host compiles: with the real binary as the child.
pub fn compiler(cache: &Path, cpu_s: u64) -> Compiler {
    let command = vec![host::binary().into(), "compile-component".into()];
    Compiler::Child { command, cpu_s, cache: cache.to_owned() }
}

/// Machine code, shared by all tests: each component is compiled once.
pub fn code_cache() -> PathBuf {
    target().join("test-code")
}

/// The folder of build results that the tests run from.
pub fn target() -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows where it is");
    exe.ancestors().nth(3).expect("tests are in target/<profile>/deps").to_owned()
}

/// The bytes of a component.
pub fn guest(name: &str) -> Vec<u8> {
    let path = target().join("guests").join(name).with_extension("wasm");
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("no guest at {}: {error}; run `cargo xtask guests`", path.display()))
}

/// The configuration that comes with a component.
pub fn demo_config(name: &str) -> Value {
    let text = match name {
        "price-list" => include_str!("../../components/price-list/demo.json"),
        "promotions" => include_str!("../../components/promotions/demo.json"),
        "tax-table" => include_str!("../../components/tax-table/demo.json"),
        "zone-shipping" => include_str!("../../components/zone-shipping/demo.json"),
        "sim-gateway" => include_str!("../../components/sim-gateway/demo.json"),
        "razorpay-gateway" => include_str!("../../components/razorpay-gateway/demo.json"),
        "basic-risk" => include_str!("../../components/basic-risk/demo.json"),
        "sim-carrier" => include_str!("../../components/sim-carrier/demo.json"),
        other => panic!("there is no demo configuration of `{other}`"),
    };
    serde_json::from_str(text).expect("a demo configuration is JSON")
}

/// A shop of its own: database, components, provider, clock.
pub struct TestTill {
    /// The door.
    pub shop: Arc<Shop>,
    /// What happened, and who is told. Nobody turns it but the test.
    pub events: Arc<Events>,
    /// Components and bindings.
    pub registry: Arc<Registry>,
    /// Runs the checkouts.
    pub runner: Arc<Runner<Store>>,
    /// The database.
    pub store: Arc<Store>,
    /// Time.
    pub clock: Arc<SimClock>,
    /// What "really" happened to the money.
    pub simulator: Simulator,
    /// What goes wrong with steps.
    pub faults: Arc<Faults>,
    _folder: tempfile::TempDir,
}

impl TestTill {
    /// The demo shop: five components, 10 units of one product, one customer with 1250 points.
    pub async fn start() -> TestTill {
        TestTill::with(&Settings::default()).await
    }

    /// The demo shop with other settings.
    pub async fn with(settings: &Settings) -> TestTill {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("till.db");
        let options = Options::new(path.to_str().expect("a path in UTF-8"));
        let store = Arc::new(Store::open(&options).await.expect("open SQLite"));
        let simulator = Simulator::start();
        let registry = Arc::new(Registry::new(store.clone(), SANDBOX.clone(), Vault::new(&SECRETS_KEY)));
        let numbers = Arc::new(Numbers::new(store.clone()));
        let faults = Arc::new(Faults::default());
        let steps = CheckoutSteps::new(store.clone(), registry.clone(), numbers.clone());
        let steps = Arc::new(FaultySteps::new(steps, faults.clone()));
        let clock = Arc::new(SimClock(AtomicI64::new(START_US)));
        let host = format!("host-{}", Uuid::now_v7());
        let runner = Runner::new(store.clone(), steps, clock.clone(), &host);
        for workflow in [WORKFLOW, FULFILMENT] {
            runner.publish("*", workflow).await.expect("the shipped workflow is sound");
        }
        let shop = Arc::new(Shop::new(store.clone(), registry.clone(), runner.clone(), numbers));
        let events = Events::new(store.clone(), registry.clone(), clock.clone()).expect("a client");
        let events = Arc::new(events);
        let till =
            TestTill { shop, events, registry, runner, store, clock, simulator, faults, _folder: folder };
        till.furnish(settings).await;
        till
    }

    async fn furnish(&self, settings: &Settings) {
        self.shop.put_settings(MERCHANT, settings).await.expect("settings");
        for (name, value) in SECRETS {
            let set = self.registry.put_secret(MERCHANT, name, value.as_bytes(), "tests", START_US);
            set.await.expect("a secret");
        }
        for (slot, name, guest) in [
            (Slot::Pricing, "default", "price-list"),
            (Slot::Promotion, "10", "promotions"),
            (Slot::Tax, "default", "tax-table"),
            (Slot::Shipping, "default", "zone-shipping"),
        ] {
            self.push(slot, name, guest, demo_config(guest), FailurePolicy::Refuse).await;
        }
        let mut config = demo_config("sim-gateway");
        config["base_url"] = json!(self.simulator.url);
        self.push(Slot::PaymentGateway, "default", "sim-gateway", config.clone(), FailurePolicy::Refuse)
            .await;
        self.push(Slot::Carrier, "default", "sim-carrier", config, FailurePolicy::Refuse).await;
        self.shop.put_product(MERCHANT, &headphones()).await.expect("a product");
        self.stock_is(10).await;
        self.shop.put_customer(MERCHANT, &customer(CUSTOMER), 1250).await.expect("a customer");
    }

    /// Pushes a component as the merchant would.
    pub async fn push(
        &self,
        slot: Slot,
        name: &str,
        guest_name: &str,
        config: Value,
        policy: FailurePolicy,
    ) -> Activation {
        let push = Push { policy: Some(policy), ..self.pushed(slot, name, guest_name, config) };
        self.take(push).await
    }

    /// A push as the merchant would make it.
    pub fn pushed(&self, slot: Slot, name: &str, guest_name: &str, config: Value) -> Push {
        let gateway = !slot.is_pure();
        Push {
            origins: if gateway { vec![self.simulator.url.clone()] } else { vec![] },
            allow_private_addresses: gateway,
            network_ms: gateway.then_some(NETWORK_MS),
            secrets: if gateway {
                SECRETS.iter().map(|(name, _)| (*name).to_owned()).collect()
            } else {
                vec![]
            },
            ..Push::of(slot, name, guest(guest_name), config, "tests")
        }
    }

    /// Pushes, and expects that it is bound.
    pub async fn take(&self, push: Push) -> Activation {
        match self.registry.push(MERCHANT, push, self.clock.now_us()).await {
            Ok(Pushed::Bound(activation)) => *activation,
            other => panic!("the component is not taken: {other:?}"),
        }
    }

    /// The registry of another host on the same database.
    pub fn another_host(&self) -> Registry {
        Registry::new(self.store.clone(), SANDBOX.clone(), Vault::new(&SECRETS_KEY))
    }

    /// A further host on the same database, with a server that takes mail.
    pub fn mailing(&self, port: u16, timeout: Duration) -> Arc<Events> {
        let events = Events::new(self.store.clone(), self.registry.clone(), self.clock.clone());
        let smtp = Smtp {
            host: "127.0.0.1".to_owned(),
            port: Some(port),
            tls: SmtpTls::None,
            user: Some("till".to_owned()),
            password: Some("let me in".to_owned()),
            timeout,
            domain: "till.example".to_owned(),
        };
        Arc::new(events.expect("a client").with_mail(smtp).expect("a mailer"))
    }

    /// Sets the units on hand.
    pub async fn stock_is(&self, units: i64) {
        self.shop.put_stock(MERCHANT, SKU, WAREHOUSE, units).await.expect("stock");
    }

    /// A session over a cart with so many headphones.
    pub async fn session(&self, customer: &str, units: i64) -> SessionView {
        let item = NewItem {
            product: PRODUCT.to_owned(),
            sku: None,
            quantity: units,
            warehouse: None,
            currency: None,
        };
        self.shop.add_to_cart(MERCHANT, customer, item, None, None).await.expect("it fits into the cart");
        self.shop.initiate(MERCHANT, customer, None).await.expect("a session")
    }

    /// A session of the worked example: two headphones, SUMMER2024, 500 points, standard shipping.
    pub async fn worked_example(&self) -> SessionView {
        let session = self.session(CUSTOMER, 2).await;
        let view = self.edit(&session.id, worked_inputs()).await;
        assert_eq!(view.requirements, [], "nothing is missing: {:?} {:?}", view.problem, view.fault);
        view
    }

    /// Edits a session of the first customer.
    pub async fn edit(&self, id: &str, inputs: Value) -> SessionView {
        self.shop.edit(MERCHANT, CUSTOMER, id, object(inputs), None).await.expect("it can be edited")
    }

    /// Submits a session of the first customer and gives it as soon as it moves; see [`TestTill::heal`].
    pub async fn submit(&self, id: &str, inputs: Value) -> SessionView {
        self.submit_as(CUSTOMER, id, inputs).await.expect("it can be submitted")
    }

    /// Submits a session.
    pub async fn submit_as(&self, customer: &str, id: &str, inputs: Value) -> Result<SessionView, ShopError> {
        let hash = format!("hash of {inputs}");
        let submit =
            SubmitRequest { inputs: object(inputs), expected_total: None, quote: None, hash, key: None };
        self.shop.submit(MERCHANT, customer, id, submit, Duration::ZERO).await?;
        self.still(customer, id).await;
        self.shop.session(MERCHANT, customer, id).await
    }

    /// The instance behind a session.
    pub async fn instance(&self, id: &str) -> Instance {
        let found = self.runner.find(MERCHANT, CHECKOUT, id).await.expect("read");
        found.expect("a session of that id").instance
    }

    /// Waits until nothing more happens to a session at this time of the clock.
    pub async fn still(&self, customer: &str, id: &str) -> Instance {
        let started = Instant::now();
        loop {
            let loaded = self.runner.find(MERCHANT, CHECKOUT, id).await.expect("read").expect("a session");
            let instance = loaded.instance;
            let rests = match instance.status {
                Status::Waiting | Status::Completed | Status::Parked => true,
                Status::Running | Status::Compensating => {
                    instance.control.intent.is_none() && instance.control.due_us > self.clock.now_us()
                }
            };
            if rests && loaded.owner.is_empty() {
                return instance;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{customer}'s {id} stays in {} ({:?})",
                instance.state,
                instance.status
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Turns the clock until a session waits for a person or has ended, and gives it.
    pub async fn heal(&self, id: &str) -> SessionView {
        for _ in 0..200 {
            let instance = self.still(CUSTOMER, id).await;
            if !matches!(instance.status, Status::Running | Status::Compensating) {
                return self.shop.session(MERCHANT, &instance.subject, id).await.expect("a session");
            }
            self.clock.until(instance.control.due_us);
            self.runner.settle().await.expect("settle");
        }
        panic!("{id} does not come to rest: {}", self.history(id).await);
    }

    /// What was told under a topic, oldest first: the data of each event.
    pub async fn told(&self, topic: &str) -> Vec<Value> {
        while self.events.relay().await.expect("a relay") > 0 {}
        let log = self.events.log(MERCHANT, None, 0, 1_000).await.expect("the log");
        let events = log.iter().map(|(_, text)| serde_json::from_str::<Value>(text).expect("JSON"));
        events.filter(|event| event["type"] == topic).map(|mut event| event["data"].take()).collect()
    }

    /// Lets everything happen that follows from what has happened, parcels included, at this time of the clock.
    pub async fn follow(&self) {
        loop {
            let mut moved = 0;
            loop {
                match self.events.relay().await.expect("a relay") {
                    0 => break,
                    told => moved += told,
                }
            }
            moved += self.shop.start_shipments().await.expect("shipments");
            self.runner.settle().await.expect("settle");
            if moved == 0 {
                return;
            }
        }
    }

    /// Parcels of an order.
    pub async fn parcels(&self, order: &str) -> Vec<Shipment> {
        self.shop.shipments_of(MERCHANT, order).await.expect("the order's parcels")
    }

    /// Now, epoch microseconds.
    pub fn clock_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// Turns the clock to a time and lets everything happen that is due then.
    pub async fn clock_to(&self, us: i64) {
        self.clock.until(us);
        self.runner.settle().await.expect("settle");
    }

    /// Gives the first customer the points of the worked example again.
    pub async fn points_again(&self) {
        self.shop.put_customer(MERCHANT, &customer(CUSTOMER), 1250).await.expect("a customer");
    }

    /// Turns the clock and lets everything happen that is due then.
    pub async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.runner.settle().await.expect("settle");
    }

    /// The door of another host over the same database.
    pub fn another_shop(&self) -> Shop {
        let numbers = Arc::new(Numbers::new(self.store.clone()));
        Shop::new(self.store.clone(), self.registry.clone(), self.runner.clone(), numbers)
    }

    /// Units on hand and held.
    pub async fn stock(&self) -> (i64, i64) {
        let rows = self.store.read().await.expect("read").stock(MERCHANT, SKU).await.expect("stock");
        (rows[0].on_hand, rows[0].held)
    }

    /// Points of a customer, and those held.
    pub async fn points(&self, customer: &str) -> (i64, i64) {
        let row =
            self.store.read().await.expect("read").customer(MERCHANT, customer).await.expect("a customer");
        let row = row.expect("a customer of that id");
        (row.points, row.points_held)
    }

    /// Orders of a customer, oldest first.
    pub async fn orders(&self, customer: &str) -> Vec<Order> {
        let mut orders = self.shop.orders(MERCHANT, customer, 100).await.expect("orders");
        orders.reverse();
        orders
    }

    /// What must hold whenever nothing is under way: no hold is left, the ledger sums up to the stock, the money the provider has is that
    /// of the confirmed orders, and each instance's journal rebuilds it.
    pub async fn balanced(&self) {
        let held = self.store.read().await.expect("read").held_sums(MERCHANT).await.expect("holds");
        assert_eq!(held, [], "a hold was left behind");
        let gaps = self.store.read().await.expect("read").ledger_gaps(MERCHANT).await.expect("a ledger");
        assert_eq!(gaps, [], "the ledger does not say how the stock came to be");
        self.cards_match().await;
        self.campaigns_match().await;
        self.money_matches().await;
        for instance in self.instances().await {
            self.sound(&instance).await;
        }
    }

    /// The provider has exactly what the confirmed orders cost; no authorization stands open.
    pub async fn money_matches(&self) {
        let mut owed = 0;
        let mut customers: Vec<String> = self.instances().await.into_iter().map(|i| i.subject).collect();
        customers.sort();
        customers.dedup();
        for customer in customers {
            let orders = self.orders(&customer).await;
            owed += orders.iter().filter(|o| o.status == "CONFIRMED").map(|o| o.receipt.due()).sum::<i64>();
        }
        let taken = self.simulator.taken().await;
        assert_eq!(taken, owed, "the provider has what was ordered: {:?}", self.simulator.charges().await);
    }

    /// The ledger of each gift card sums up to its balance, and cards have paid what confirmed orders say.
    pub async fn cards_match(&self) {
        let mut tx = self.store.read().await.expect("read");
        let gaps = tx.gift_card_gaps(MERCHANT).await.expect("a ledger");
        assert_eq!(
            gaps,
            Vec::<String>::new(),
            "the ledger of a card does not say how its balance came to be"
        );
        for card in tx.gift_cards(MERCHANT, "", 100).await.expect("cards") {
            assert!((0..=card.balance).contains(&card.held), "{card:?}");
            let rows = tx.gift_card_entries(MERCHANT, &card.id, (i64::MAX, ""), 1000).await.expect("entries");
            for entry in rows.iter().filter(|entry| entry.reason == "redeemed") {
                let order = tx.order(MERCHANT, &entry.reference).await.expect("read").expect("its order");
                let order = till_commerce::checkout::order_from_row(&order).expect("an order");
                assert!(order.confirmed_us.is_some(), "a card paid for {order:?}");
                let part = order.receipt.gift_cards.iter().find(|part| part.card == card.id);
                assert_eq!(part.map(|part| -part.amount), Some(entry.delta), "{entry:?}");
            }
        }
    }

    /// What campaigns say they spent is what confirmed orders were given; nothing is held.
    pub async fn campaigns_match(&self) {
        let mut tx = self.store.read().await.expect("read");
        for campaign in tx.campaigns(MERCHANT, "", 100).await.expect("campaigns") {
            assert_eq!((campaign.held, campaign.orders_held), (0, 0), "{campaign:?}");
            assert!(campaign.budget.is_none_or(|budget| campaign.spent <= budget), "{campaign:?}");
            assert!(campaign.orders_max.is_none_or(|max| campaign.orders <= max), "{campaign:?}");
        }
    }

    /// Issues a gift card of so many cents and gives its id and its code.
    pub async fn gift_card(&self, cents: i64) -> (String, String) {
        let usd = till_model::money::Currency::from_code("USD").expect("USD");
        let amount = till_model::money::Money::from_minor(cents, usd);
        let issue = till_commerce::CardIssue { count: 1, amount, expires_us: None, note: String::new() };
        let made = self.shop.issue_gift_cards(MERCHANT, "tests", issue, None).await.expect("a gift card");
        (made[0].card.id.clone(), made[0].code.clone().expect("its code"))
    }

    /// Balance and held part of a gift card, cents.
    pub async fn card(&self, id: &str) -> (i64, i64) {
        let card = self.shop.gift_card(MERCHANT, id).await.expect("a gift card");
        (card.balance, card.held)
    }

    /// All checkouts.
    pub async fn instances(&self) -> Vec<Instance> {
        let all = self.store.instances(MERCHANT, CHECKOUT, "", None, Uuid::max(), 1000).await;
        all.expect("instances")
    }

    /// Sequence numbers have no gaps, and the context is the fold of the journal.
    pub async fn sound(&self, instance: &Instance) {
        let entries = self.store.journal(MERCHANT, instance.uid, 0, 10_000).await.expect("journal");
        assert_eq!(entries.len() as i64, instance.version, "one version for each row of the journal");
        let mut context = json!({});
        for (n, entry) in entries.iter().enumerate() {
            assert_eq!(entry.seq, n as i64 + 1);
            if let Some(patch) = entry.body.get("patch") {
                merge(&mut context, patch);
            }
            if let Some(Value::Object(replace)) = entry.body.get("replace") {
                for (key, value) in replace {
                    context[key] = value.clone();
                }
            }
        }
        assert_eq!(context, *instance.context, "the journal rebuilds the context of {}", instance.id);
    }

    /// Steps, outcomes and faults of a session, as text. For messages.
    pub async fn history(&self, id: &str) -> String {
        let instance = self.instance(id).await;
        let entries = self.store.journal(MERCHANT, instance.uid, 0, 10_000).await.expect("journal");
        let mut text = String::new();
        for e in entries {
            let short: String = e.body.to_string().chars().take(160).collect();
            text += &format!("{} {:?} {} {} {short}\n", e.seq, e.kind, e.state, e.step);
        }
        text + &format!("{:?} {} {:?}", instance.status, instance.state, instance.control.attention)
    }
}

/// The shopper's wishes of the worked example.
pub fn worked_inputs() -> Value {
    json!({ "codes": ["SUMMER2024"], "points": 500, "shipping_method": "standard", "payment_method": "PM-001" })
}

/// The same with another way to pay.
pub fn paying_with(method: &str) -> Value {
    json!({ "payment_method": method })
}

/// The product of the worked example.
pub fn headphones() -> Product {
    serde_json::from_value(json!({
        "id": PRODUCT, "sku": SKU, "name": "Premium Wireless Headphones", "price": 24_999,
        "currency": "USD", "weight_g": 400, "categories": ["electronics"],
    }))
    .expect("a product")
}

/// A customer with an address and a way to pay for each behaviour of the simulator: `PM-001` works.
pub fn customer(id: &str) -> Customer {
    let method = |id: &str, token: &str| SavedMethod {
        id: id.to_owned(),
        kind: "credit_card".to_owned(),
        token: token.to_owned(),
        last4: "4242".to_owned(),
        brand: "visa".to_owned(),
        default: id == "PM-001",
        expires: None,
    };
    let behaviours = [
        "declined",
        "3ds",
        "timeout_before",
        "timeout_after",
        "500_before",
        "500_after",
        "garbage_after",
        "cut_after",
    ];
    let mut methods = vec![method("PM-001", "tok_visa")];
    methods.extend(behaviours.map(|b| method(&format!("PM-{b}"), &format!("tok_{b}"))));
    Customer {
        email: "jane@example.com".to_owned(),
        tier: Some("gold".to_owned()),
        addresses: vec![SavedAddress {
            id: "ADDR-1".to_owned(),
            kind: "shipping".to_owned(),
            address: home(),
            default: true,
        }],
        payment_methods: methods,
        ..Customer::unknown(id)
    }
}

/// 123 Main St, San Francisco.
pub fn home() -> Address {
    Address {
        name: "Jane Doe".to_owned(),
        street: vec!["123 Main St".to_owned()],
        city: "San Francisco".to_owned(),
        region: "CA".to_owned(),
        postal_code: "94105".to_owned(),
        country: "US".to_owned(),
        ..Address::default()
    }
}

/// A JSON object as a map.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// Panics with the history unless the session is in that phase.
pub async fn expect_phase(till: &TestTill, view: &SessionView, phase: Phase) {
    if view.phase != phase {
        panic!("{:?}, not {phase:?}: {:?}\n{}", view.phase, view.problem, till.history(&view.id).await);
    }
}
