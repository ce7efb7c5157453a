//! A database with the demo shop and its components, made once and copied for each case.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use till_commerce::catalog::{Customer, Product};
use till_commerce::settings::Settings;
use till_registry::{Push, Registry, Vault};
use till_sandbox::{Sandbox, SandboxConfig, Slot};
use till_store::tables::inventory::Because;
use till_store::{Options, Store};

/// 2024-07-01T12:00:00Z in microseconds.
const NOW_US: i64 = 1_719_835_200_000_000;

const PLANTED: Because<'static> =
    Because { reason: "set", reference: "", note: "", who: "tests", at_us: NOW_US };

/// A component to be bound: slot, name, guest, configuration, names of its secrets.
type Bind = (Slot, &'static str, &'static str, Value, &'static [&'static str]);

fn seed() -> Value {
    serde_json::from_str(include_str!("../../host/demo/seed.json")).expect("the seed is JSON")
}

fn demo(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components").join(name).join("demo.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("a demo.json")).expect("JSON")
}

/// Writes `till.db` into `folder`: the shop of `host/demo/seed.json` with the real components.
pub async fn template(folder: &Path, simulator: &str) {
    let path = folder.join("till.db");
    template_on(path.to_str().expect("utf-8"), simulator).await;
}

/// The same into an empty database.
pub async fn template_on(database: &str, simulator: &str) {
    const SECRETS: &[&str] = &["api_key", "webhook"];
    let gateway = json!({ "base_url": simulator, "request_time_max_ms": 1_000 });
    let bound: [Bind; 6] = [
        (Slot::Pricing, "default", "price-list", demo("price-list"), &[]),
        (Slot::Promotion, "10", "promotions", demo("promotions"), &[]),
        (Slot::Tax, "default", "tax-table", demo("tax-table"), &[]),
        (Slot::Shipping, "default", "zone-shipping", demo("zone-shipping"), &[]),
        (Slot::PaymentGateway, "default", "sim-gateway", gateway.clone(), SECRETS),
        (Slot::Carrier, "default", "sim-carrier", gateway, SECRETS),
    ];
    plant(database, simulator, seed(), &bound).await;
}

/// Writes `till.db` into `folder`: a shop in India, paid in rupees through Razorpay by its methods of that kind; of any
/// other kind, through the simulator's other provider.
pub async fn rupee_template(folder: &Path, simulator: &str, capture: &str) {
    const SECRETS: &[&str] = &["api_key", "webhook"];
    const RAZORPAY: &[&str] = &["razorpay_basic", "razorpay_key", "razorpay_webhook"];
    let mut seed = seed();
    seed["settings"] = json!({ "currency": "INR", "locale": "en-IN", "capture": capture });
    for product in seed["products"].as_array_mut().expect("products") {
        product["currency"] = json!("INR");
    }
    seed["products"][0]["price"] = json!(123_456);
    let customer = &mut seed["customers"][0]["customer"];
    customer["tier"] = json!("");
    customer["addresses"][0]["address"] = json!({
        "street": ["12 MG Road"], "city": "Bengaluru", "region": "KA", "postal_code": "560001", "country": "IN"
    });
    let razorpay =
        json!({ "id": "PM-RZP", "kind": "razorpay", "token": "razorpay", "last4": "", "brand": "" });
    customer["payment_methods"].as_array_mut().expect("methods").push(razorpay);
    let shipping = json!({ "zones": [{ "name": "India", "countries": ["IN"], "methods": [{
        "id": "standard", "carrier": "India Post", "service": "surface", "title": "Standard",
        "bands": [{ "price": 4_950 }], "days": [3, 5]
    }] }] });
    let tax = json!({ "rows": [{
        "country": "IN", "jurisdiction": "IN", "name": "GST", "kind": "gst", "rates": { "standard": 180_000 }
    }] });
    let other = json!({ "base_url": simulator, "request_time_max_ms": 1_000 });
    let gateway = json!({ "base_url": simulator, "key_id": "rzp_test_sim", "request_time_max_ms": 1_000 });
    let bound: [Bind; 6] = [
        (Slot::Pricing, "default", "price-list", demo("price-list"), &[]),
        (Slot::Tax, "default", "tax-table", tax, &[]),
        (Slot::Shipping, "default", "zone-shipping", shipping, &[]),
        (Slot::PaymentGateway, "default", "sim-gateway", other.clone(), SECRETS),
        (Slot::PaymentGateway, "razorpay", "razorpay-gateway", gateway, RAZORPAY),
        (Slot::Carrier, "default", "sim-carrier", other, SECRETS),
    ];
    let path = folder.join("till.db");
    plant(path.to_str().expect("utf-8"), simulator, seed, &bound).await;
}

async fn plant(database: &str, simulator: &str, seed: Value, bound: &[Bind]) {
    let store = Arc::new(Store::open(&Options::new(database)).await.expect("open"));
    let merchant = seed["merchant"].as_str().expect("a merchant").to_owned();
    let mut settings: Settings = serde_json::from_value(seed["settings"].clone()).expect("settings");
    settings.rate.requests = 0; // Tests call more often than people do; the one about this sets it.
    let planted = seed.clone();
    let owner = merchant.clone();
    store
        .transact(move |tx| {
            let (seed, owner, settings) = (planted.clone(), owner.clone(), settings.clone());
            Box::pin(async move {
                let settings = serde_json::to_string(&settings).expect("settings are JSON");
                tx.put_setting(&owner, &settings, NOW_US).await?;
                for body in seed["products"].as_array().expect("products") {
                    let product: Product = serde_json::from_value(body.clone()).expect("a product");
                    tx.put_product(&owner, &product.row().expect("a product is JSON"), NOW_US).await?;
                }
                for row in seed["stock"].as_array().expect("stock") {
                    let text = |field: &str| row[field].as_str().expect("text").to_owned();
                    let on_hand = row["on_hand"].as_i64().expect("units");
                    let (sku, warehouse) = (text("sku"), text("warehouse"));
                    let id = format!("planted-{sku}-{warehouse}");
                    tx.put_stock(&owner, &id, (&sku, &warehouse), on_hand, &PLANTED).await?;
                }
                for row in seed["customers"].as_array().expect("customers") {
                    let points = row["points"].as_i64().expect("points");
                    let customer: Customer =
                        serde_json::from_value(row["customer"].clone()).expect("a customer");
                    let text = serde_json::to_string(&customer).expect("a customer is JSON");
                    tx.put_customer(&owner, &customer.id, &text, points, PLANTED.at_us).await?;
                }
                Ok(())
            })
        })
        .await
        .expect("plant the shop");
    let compiler = crate::compiler(&crate::code_cache(), till_sandbox::COMPILE_CPU_S);
    let sandbox = Sandbox::new(SandboxConfig { compiler, ..SandboxConfig::default() });
    let sandbox = sandbox.expect("the sandbox can be set up");
    let registry = Registry::new(store.clone(), sandbox, Vault::new(&crate::SECRETS_KEY));
    for (name, value) in crate::SECRETS.into_iter().chain(crate::RAZORPAY_SECRETS) {
        registry.put_secret(&merchant, name, value.as_bytes(), "tests", NOW_US).await.expect("a secret");
    }
    for (slot, name, guest, config, secrets) in bound {
        let network = !slot.is_pure();
        let push = Push {
            origins: if network { vec![simulator.to_owned()] } else { vec![] },
            allow_private_addresses: network,
            network_ms: network.then_some(1_500),
            secrets: secrets.iter().map(|name| (*name).to_owned()).collect(),
            ..Push::of(*slot, name, crate::guest(guest), config.clone(), "tests")
        };
        registry.push(&merchant, push, NOW_US).await.expect("the component is accepted");
    }
    store.close().await;
}
