//! Who may call what: every route of the real binary, with every token that must not open it.
//!
//! [`ROUTES`] is the decision about each route. One that is added to the host without a decision here makes
//! the first test fail.

use std::collections::BTreeSet;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use till_api::{Auth, Claims};
use till_tests::host::{JWT_SECRET, submit_body};
use till_tests::{CUSTOMER, MERCHANT, PATIENCE};

use crate::http::{Shop, open};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Everybody, without a token.
    Public,
    /// Whoever has a token.
    Shopper,
    /// A token with one of these scopes.
    Scope(&'static [&'static str]),
}

/// What a route does with an id that exists and is somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Id {
    /// It takes none, or makes what it names under the caller's own merchant.
    None,
    /// Unknown to other merchants.
    Merchants,
    /// Unknown to other customers too.
    Customers,
}

use Id::{Customers, Merchants};
use Who::{Public, Scope, Shopper};

/// Whoever has a scope that opens the reading of an area.
macro_rules! reads {
    ($area:literal) => {
        Scope(&[$area, concat!($area, ":read"), "admin:read", "admin"])
    };
}

/// Whoever has a scope that opens an area.
macro_rules! changes {
    ($area:literal) => {
        Scope(&[$area, "admin"])
    };
}

const OPERATOR: Who = Scope(&["operator"]);
/// What only looks like a scope.
const NO_SCOPES: [&str; 5] = ["administrator", "*", "operator:read", "catalog:write", "Admin"];

const TURN: &str = r#"{"slot":"pricing","sharePpm":50000}"#;
const HOOK: &str = r#"{"url":"https://hooks.example.com/a","topics":["*"]}"#;

const PLACE: &str = r#"{"type":"shipping","street":"1 Main St","city":"Boston","state":"MA","zipCode":"02108","country":"US"}"#;

const WORDS: &str = r#"{"subject":"a","text":"a","html":"a","sms":"a"}"#;

/// Method and path, who may call it, what ids of others are, and a body that is read as far as the id. `{…}` in path
/// and body are replaced by what exists.
const ROUTES: &[(&str, Who, Id, &str)] = &[
    ("GET /healthz", Public, Id::None, ""),
    ("GET /readyz", Public, Id::None, ""),
    ("GET /openapi.json", Public, Id::None, ""),
    ("GET /problems/{code}", Public, Id::None, ""),
    // The gateway's component verifies the signature.
    ("POST /webhooks/{merchant}/{gateway}", Public, Id::None, ""),
    ("GET /api/v1/catalog/currencies", Shopper, Id::None, ""),
    ("GET /api/v1/catalog/products", Shopper, Id::None, ""),
    ("GET /api/v1/catalog/products/{product}", Shopper, Merchants, ""),
    ("GET /api/v1/catalog/products/{product}/complete", Shopper, Merchants, ""),
    ("GET /api/v1/catalog/products/{product}/pricing", Shopper, Merchants, ""),
    ("GET /api/v1/cart", Shopper, Id::None, ""),
    ("DELETE /api/v1/cart", Shopper, Id::None, ""),
    ("PUT /api/v1/cart/currency", Shopper, Id::None, r#"{"currency":"USD"}"#),
    ("POST /api/v1/cart/validate", Shopper, Id::None, ""),
    ("POST /api/v1/cart/merge", Shopper, Id::None, r#"{"guestToken":"none"}"#),
    ("POST /api/v1/cart/items", Shopper, Merchants, r#"{"productId":"{product}","quantity":1}"#),
    ("PUT /api/v1/cart/items/{itemId}", Shopper, Customers, r#"{"quantity":1}"#),
    ("DELETE /api/v1/cart/items/{itemId}", Shopper, Customers, ""),
    ("POST /api/v1/checkout/initiate", Shopper, Id::None, ""),
    ("POST /api/v1/checkout/submit", Shopper, Customers, r#"{"checkoutSessionId":"{sessionId}"}"#),
    ("GET /api/v1/checkout/{sessionId}", Shopper, Customers, ""),
    ("PUT /api/v1/checkout/{sessionId}", Shopper, Customers, r#"{"notes":"mine"}"#),
    ("POST /api/v1/checkout/{sessionId}/cancel", Shopper, Customers, ""),
    ("POST /api/v1/checkout/{sessionId}/returned", Shopper, Customers, ""),
    // A method that is somebody else's is as unknown as one that never was: the answer says so.
    ("POST /api/v1/payments/validate", Shopper, Id::None, r#"{"paymentMethod":{"id":"PM-001"}}"#),
    (
        "POST /api/v1/admin/checkouts/{sessionId}/review",
        OPERATOR,
        Merchants,
        r#"{"decision":"approve","why":"test"}"#,
    ),
    ("GET /api/v1/orders", Shopper, Id::None, ""),
    ("GET /api/v1/orders/{order}", Shopper, Customers, ""),
    ("GET /api/v1/orders/{order}/events", Shopper, Customers, ""),
    // What it then joins is checked order by order: `socket.rs`.
    ("GET /api/v1/tracking/socket", Shopper, Id::None, ""),
    ("GET /api/v1/orders/{order}/tracking", Shopper, Customers, ""),
    ("PUT /api/v1/orders/{order}/feedback", Shopper, Customers, r#"{"rating":5}"#),
    ("GET /api/v1/orders/{order}/feedback", Shopper, Customers, ""),
    // Products that nobody has are products that nobody has reviewed.
    ("GET /api/v1/catalog/products/{product}/reviews", Shopper, Id::None, ""),
    ("GET /api/v1/admin/shipments", reads!("orders"), Id::None, ""),
    ("GET /api/v1/admin/shipments/{shipment}", reads!("orders"), Merchants, ""),
    ("POST /api/v1/admin/shipments/{shipment}/scans", changes!("orders"), Merchants, r#"{"type":"other"}"#),
    ("POST /api/v1/admin/shipments/{shipment}/book", changes!("orders"), Merchants, ""),
    ("POST /api/v1/admin/shipments/{shipment}/cancel", changes!("orders"), Merchants, ""),
    ("GET /api/v1/admin/shipments/{shipment}/label", reads!("orders"), Merchants, ""),
    // The carrier's component verifies the signature.
    ("POST /webhooks/{merchant}/carriers/{carrier}", Public, Id::None, ""),
    ("GET /api/v1/notifications", Shopper, Id::None, ""),
    ("POST /api/v1/notifications/read", Shopper, Id::None, ""),
    ("POST /api/v1/notifications/{notification}/read", Shopper, Customers, ""),
    ("GET /api/v1/customers/me", Shopper, Id::None, ""),
    ("GET /api/v1/customers/me/checkout-context", Shopper, Id::None, ""),
    ("GET /api/v1/customers/me/addresses", Shopper, Id::None, ""),
    ("POST /api/v1/customers/me/addresses", Shopper, Id::None, PLACE),
    ("GET /api/v1/customers/me/addresses/{address}", Shopper, Customers, ""),
    ("PUT /api/v1/customers/me/addresses/{address}", Shopper, Customers, PLACE),
    ("DELETE /api/v1/customers/me/addresses/{address}", Shopper, Customers, ""),
    ("GET /api/v1/customers/me/payment-methods", Shopper, Id::None, ""),
    ("POST /api/v1/customers/me/payment-methods", Shopper, Id::None, r#"{"type":"card","token":"tok_a"}"#),
    ("DELETE /api/v1/customers/me/payment-methods/{method}", Shopper, Customers, ""),
    ("GET /api/v1/customers/me/preferences", Shopper, Id::None, ""),
    ("PUT /api/v1/customers/me/preferences", Shopper, Id::None, "{}"),
    ("GET /api/v1/workflows/instances", Shopper, Id::None, ""),
    ("PUT /api/v1/workflows/{workflow}/instances/{instance}", Shopper, Id::None, ""),
    ("GET /api/v1/workflows/{workflow}/instances/{instance}", Shopper, Customers, ""),
    ("GET /api/v1/workflows/{workflow}/instances/{instance}/journal", Shopper, Customers, ""),
    ("POST /api/v1/workflows/{workflow}/instances/{instance}/signals/{signal}", Shopper, Customers, "{}"),
    ("POST /api/v1/workflows/{workflow}/instances/{instance}/cancel", Shopper, Customers, ""),
    (
        "POST /api/v1/workflows/{workflow}/instances/{instance}/operate",
        OPERATOR,
        Merchants,
        r#"{"act":"retry","why":"test"}"#,
    ),
    ("GET /api/v1/admin/events", reads!("events"), Id::None, ""),
    ("GET /api/v1/admin/notifications/templates", reads!("notifications"), Id::None, ""),
    ("GET /api/v1/admin/notifications/templates/{kind}/{locale}", reads!("notifications"), Merchants, ""),
    ("PUT /api/v1/admin/notifications/templates/{kind}/{locale}", changes!("notifications"), Id::None, WORDS),
    (
        "DELETE /api/v1/admin/notifications/templates/{kind}/{locale}",
        changes!("notifications"),
        Merchants,
        "",
    ),
    (
        "POST /api/v1/admin/notifications/templates/{kind}/{locale}/preview",
        reads!("notifications"),
        Merchants,
        r#"{"orderId":"{order}"}"#,
    ),
    ("GET /api/v1/admin/notifications/deliveries?order={order}", reads!("notifications"), Merchants, ""),
    (
        "POST /api/v1/admin/notifications/replay",
        changes!("notifications"),
        Merchants,
        r#"{"channel":"email","orderId":"{order}"}"#,
    ),
    ("GET /api/v1/admin/analytics/{metric}?from=2024-01-01&to=2024-01-02", reads!("analytics"), Id::None, ""),
    (
        "GET /api/v1/admin/analytics/reports/{report}?from=2024-01-01&to=2024-01-02",
        reads!("analytics"),
        Id::None,
        "",
    ),
    ("POST /api/v1/admin/analytics/rebuild", changes!("analytics"), Id::None, ""),
    ("POST /api/v1/admin/webhooks", changes!("events"), Id::None, HOOK),
    ("GET /api/v1/admin/webhooks", reads!("events"), Id::None, ""),
    ("PUT /api/v1/admin/webhooks/{webhook}", changes!("events"), Merchants, HOOK),
    ("DELETE /api/v1/admin/webhooks/{webhook}", changes!("events"), Merchants, ""),
    ("GET /api/v1/admin/webhooks/{webhook}/deliveries", reads!("events"), Merchants, ""),
    ("POST /api/v1/admin/webhooks/{webhook}/replay", changes!("events"), Merchants, ""),
    (
        "POST /api/v1/admin/components",
        changes!("components"),
        Merchants,
        r#"{"slot":"pricing","component":"{component}","config":{}}"#,
    ),
    ("GET /api/v1/admin/components", reads!("components"), Id::None, ""),
    ("GET /api/v1/admin/components/uploaded", reads!("components"), Id::None, ""),
    ("GET /api/v1/admin/components/{component}", reads!("components"), Merchants, ""),
    ("DELETE /api/v1/admin/components/{component}", changes!("components"), Merchants, ""),
    ("GET /api/v1/admin/components/{component}/binary", reads!("components"), Merchants, ""),
    (
        "POST /api/v1/admin/components/revoke",
        changes!("components"),
        Merchants,
        r#"{"component":"{component}","why":"test"}"#,
    ),
    ("POST /api/v1/admin/components/rollback", changes!("components"), Id::None, TURN),
    ("POST /api/v1/admin/components/retire", changes!("components"), Id::None, TURN),
    ("POST /api/v1/admin/components/canary", changes!("components"), Id::None, TURN),
    ("POST /api/v1/admin/components/promote", changes!("components"), Id::None, TURN),
    ("POST /api/v1/admin/components/withdraw", changes!("components"), Id::None, TURN),
    ("GET /api/v1/admin/components/history", reads!("components"), Id::None, ""),
    ("GET /api/v1/admin/components/trial", reads!("components"), Id::None, ""),
    ("GET /api/v1/admin/components/differences", reads!("components"), Id::None, ""),
    (
        "GET /api/v1/admin/components/record?session={sessionId}&slot=pricing",
        reads!("components"),
        Merchants,
        "",
    ),
    ("GET /api/v1/admin/checkouts/recorded", reads!("components"), Id::None, ""),
    ("GET /api/v1/admin/bindings/{binding}", reads!("components"), Merchants, ""),
    ("POST /api/v1/admin/tables", changes!("components"), Id::None, r#"{"a":"1"}"#),
    ("GET /api/v1/admin/tables", reads!("components"), Id::None, ""),
    ("GET /api/v1/admin/tables/{table}", reads!("components"), Merchants, ""),
    ("DELETE /api/v1/admin/tables/{table}", changes!("components"), Merchants, ""),
    ("GET /api/v1/admin/secrets", reads!("components"), Id::None, ""),
    ("PUT /api/v1/admin/secrets/{secret}", changes!("components"), Id::None, r#"{"value":"another one"}"#),
    ("DELETE /api/v1/admin/secrets/{secret}", changes!("components"), Merchants, ""),
    ("GET /api/v1/admin/breakers", reads!("settings"), Id::None, ""),
    ("GET /api/v1/admin/counters", reads!("settings"), Id::None, ""),
    ("GET /api/v1/admin/settings", reads!("settings"), Id::None, ""),
    ("PUT /api/v1/admin/settings", changes!("settings"), Id::None, r#"{"currency":"EUR"}"#),
    ("GET /api/v1/admin/products", reads!("catalog"), Id::None, ""),
    ("GET /api/v1/admin/products/{product}", reads!("catalog"), Merchants, ""),
    ("DELETE /api/v1/admin/products/{product}", changes!("catalog"), Merchants, ""),
    ("POST /api/v1/admin/catalog/import", changes!("catalog"), Id::None, "[]"),
    ("GET /api/v1/admin/catalog/export", reads!("catalog"), Id::None, ""),
    (
        "PUT /api/v1/admin/products/{product}",
        changes!("catalog"),
        Id::None,
        r#"{"sku":"SKU-ABC-001","name":"Another","price":1}"#,
    ),
    ("GET /api/v1/admin/customers", reads!("customers"), Id::None, ""),
    ("GET /api/v1/admin/customers/{customer}", reads!("customers"), Merchants, ""),
    ("PUT /api/v1/admin/customers/{customer}", changes!("customers"), Id::None, r#"{"points":9}"#),
    ("PUT /api/v1/admin/stock/{sku}/{warehouse}", changes!("inventory"), Id::None, r#"{"onHand":0}"#),
    ("GET /api/v1/inventory/{sku}", Shopper, Merchants, ""),
    ("GET /api/v1/admin/inventory", reads!("inventory"), Id::None, ""),
    (
        "POST /api/v1/admin/inventory/adjustments",
        changes!("inventory"),
        Id::None,
        r#"{"sku":"{sku}","warehouse":"{warehouse}","onHand":0}"#,
    ),
    (
        "POST /api/v1/admin/inventory/transfers",
        changes!("inventory"),
        Id::None,
        r#"{"sku":"{sku}","from":"{warehouse}","to":"other","quantity":1}"#,
    ),
    ("GET /api/v1/admin/inventory/movements", reads!("inventory"), Id::None, ""),
    ("PUT /api/v1/admin/inventory/thresholds/{sku}", changes!("inventory"), Id::None, r#"{"lowAt":1}"#),
    ("GET /api/v1/admin/inventory/warehouses", reads!("inventory"), Id::None, ""),
    ("GET /api/v1/admin/inventory/warehouses/{warehouse}", reads!("inventory"), Merchants, ""),
    (
        "PUT /api/v1/admin/inventory/warehouses/{warehouse}",
        changes!("inventory"),
        Id::None,
        r#"{"active":false}"#,
    ),
    ("DELETE /api/v1/admin/inventory/warehouses/{warehouse}", changes!("inventory"), Merchants, ""),
    ("GET /api/v1/promotions/applicable", Shopper, Id::None, ""),
    ("POST /api/v1/admin/promotions/{promotion}/codes", changes!("promotions"), Id::None, r#"{"count":2}"#),
    ("GET /api/v1/admin/promotions/{promotion}/codes", reads!("promotions"), Id::None, ""),
    ("GET /api/v1/admin/promotions/{promotion}/codes/export", reads!("promotions"), Id::None, ""),
    ("GET /api/v1/admin/campaigns", reads!("promotions"), Id::None, ""),
    (
        "PUT /api/v1/admin/campaigns/{campaign}",
        changes!("promotions"),
        Id::None,
        r#"{"name":"n","promotions":["other"]}"#,
    ),
    ("GET /api/v1/admin/campaigns/{campaign}", reads!("promotions"), Merchants, ""),
    ("DELETE /api/v1/admin/campaigns/{campaign}", changes!("promotions"), Merchants, ""),
    ("GET /api/v1/loyalty", Shopper, Id::None, ""),
    ("GET /api/v1/loyalty/benefits", Shopper, Id::None, ""),
    ("GET /api/v1/loyalty/entries", Shopper, Id::None, ""),
    (
        "POST /api/v1/admin/customers/{customer}/points",
        changes!("customers"),
        Merchants,
        r#"{"delta":1,"reason":"r"}"#,
    ),
    ("POST /api/v1/admin/orders/{order}/points-reversal", changes!("orders"), Merchants, ""),
    ("POST /api/v1/gift-cards/balance", Shopper, Id::None, r#"{"code":"AAAA-AAAA-AAAA-AAAA"}"#),
    ("POST /api/v1/admin/gift-cards", changes!("gift-cards"), Id::None, r#"{"amount":25.00}"#),
    ("POST /api/v1/admin/gift-cards/bulk", changes!("gift-cards"), Id::None, r#"{"count":2,"amount":25.00}"#),
    ("GET /api/v1/admin/gift-cards", reads!("gift-cards"), Id::None, ""),
    ("GET /api/v1/admin/gift-cards/{card}", reads!("gift-cards"), Merchants, ""),
    ("POST /api/v1/admin/gift-cards/{card}/void", changes!("gift-cards"), Merchants, ""),
    (
        "POST /api/v1/admin/gift-cards/{card}/adjustments",
        changes!("gift-cards"),
        Merchants,
        r#"{"delta":1.00,"note":"n"}"#,
    ),
    ("GET /api/v1/admin/gift-cards/{card}/entries", reads!("gift-cards"), Merchants, ""),
    (
        "POST /api/v1/admin/orders/{order}/gift-card-refunds",
        changes!("gift-cards"),
        Merchants,
        r#"{"amount":1.00}"#,
    ),
    ("POST /api/v1/admin/api-keys", changes!("access"), Id::None, r#"{"name":"n","scopes":["access"]}"#),
    ("GET /api/v1/admin/api-keys", reads!("access"), Id::None, ""),
    ("DELETE /api/v1/admin/api-keys/{key}", changes!("access"), Merchants, ""),
    ("GET /api/v1/admin/roles", reads!("access"), Id::None, ""),
    ("PUT /api/v1/admin/roles/{role}", changes!("access"), Id::None, r#"{"scopes":["access"]}"#),
    ("DELETE /api/v1/admin/roles/{role}", changes!("access"), Merchants, ""),
    ("GET /api/v1/admin/audit", reads!("access"), Id::None, ""),
    (
        "POST /api/v1/admin/inventory/reservations",
        changes!("inventory"),
        Id::None,
        r#"{"items":[{"sku":"{sku}","quantity":1}]}"#,
    ),
    ("GET /api/v1/admin/inventory/reservations/{reservation}", reads!("inventory"), Merchants, ""),
    ("POST /api/v1/admin/inventory/reservations/{reservation}/confirm", changes!("inventory"), Merchants, ""),
    ("POST /api/v1/admin/inventory/reservations/{reservation}/release", changes!("inventory"), Merchants, ""),
];

/// Names of parameters do not matter, and queries are not part of a route.
fn bare(route: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in route.split('?').next().unwrap_or_default().chars() {
        inside = (inside || c == '{') && c != '}';
        if !inside || c == '{' {
            out.push(c);
        }
    }
    out
}

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_documented_and_decided() {
    let shop = open().await;
    let (_, document) = shop.call("GET", "/openapi.json", None).await;
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in METHODS.iter().filter(|method| item.get(**method).is_some()) {
            let route = bare(&format!("{} {path}", method.to_uppercase()));
            let open = ROUTES.iter().any(|(known, who, ..)| bare(known) == route && *who == Public);
            let secured = item[*method]["security"].as_array().is_some_and(|s| !s.is_empty());
            assert_ne!(open, secured, "{route}: what the document says of tokens is not what is decided");
            documented.insert(route);
        }
    }
    let decided: BTreeSet<String> = ROUTES.iter().map(|(route, ..)| bare(route)).collect();
    assert_eq!(documented, decided, "a route needs a decision in ROUTES");

    let served = include_str!("../../host/api/src/routes/mod.rs");
    let mut routed = BTreeSet::new();
    for line in served.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
        let (path, handlers) = line.split_once('"').expect("a path ends");
        for method in METHODS {
            let starts = [format!(" {method}("), format!(".{method}(")];
            if starts.iter().any(|start| handlers.contains(start)) {
                routed.insert(bare(&format!("{} {path}", method.to_uppercase())));
            }
        }
    }
    assert_eq!(routed, documented, "a route that is served is documented");
}

#[expect(clippy::disallowed_methods, reason = "the host under test goes by the wall clock")]
fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("before the year 292 billion")
}

fn claims(merchant: &str, sub: &str, scope: &str) -> Claims {
    let (merchant, sub, scope) = (merchant.to_owned(), sub.to_owned(), scope.to_owned());
    Claims { sub, merchant, scope, exp: now_s() + 3_600, ..Claims::default() }
}

fn signed(secret: &str, claims: &Claims) -> String {
    Auth::none().hs256(secret.as_bytes()).expect("a secret").mint(claims).expect("a token")
}

fn token(merchant: &str, sub: &str, scope: &str) -> String {
    signed(JWT_SECRET, &claims(merchant, sub, scope))
}

/// What exists, by the name it has in [`ROUTES`].
struct Things(Vec<(&'static str, String)>);

impl Things {
    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
    }

    /// The same with ids that never existed and look alike.
    fn absent(&self) -> Things {
        // These are no ids of things: they stay.
        const STAY: [&str; 10] = [
            "workflow",
            "signal",
            "code",
            "metric",
            "report",
            "gateway",
            "carrier",
            "merchant",
            "warehouse",
            "kind",
        ];
        let other = |id: &String| {
            let (start, end) = id.split_at(id.len() - 1);
            format!("{start}{}", if end == "0" { "1" } else { "0" })
        };
        let all = self.0.iter().map(|(name, id)| match STAY.contains(name) {
            true => (*name, id.clone()),
            false => (*name, other(id)),
        });
        Things(all.collect())
    }

    /// What was told, without the ids that were asked for.
    fn without_ids(&self, body: &Value) -> String {
        let mut body = body.clone();
        body["trace_id"] = Value::Null;
        self.0
            .iter()
            .fold(body.to_string(), |text, (name, id)| text.replace(id.as_str(), &format!("<{name}>")))
    }
}

/// Makes one of everything that has an id, for [`CUSTOMER`].
async fn furnish(shop: &Shop) -> Things {
    let own = token(MERCHANT, CUSTOMER, "operator admin");
    let call = async |method: &str, path: &str, body: Option<Value>| {
        let (status, answer) = shop.as_other(&own, method, path, body.as_ref()).await;
        assert!((200..300).contains(&status), "{method} {path}: {answer}");
        answer
    };
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned();
    let hook: Value = serde_json::from_str(HOOK).expect("JSON");
    let webhook = call("POST", "/api/v1/admin/webhooks", Some(hook)).await;
    call("PUT", "/api/v1/admin/inventory/warehouses/US-WEST-01", Some(json!({ "name": "West" }))).await;
    let wanted = json!({ "items": [{ "sku": "SKU-ABC-001", "quantity": 1 }] });
    let reserved = call("POST", "/api/v1/admin/inventory/reservations", Some(wanted)).await;
    let words: Value = serde_json::from_str(WORDS).expect("JSON");
    let template = "/api/v1/admin/notifications/templates/order_confirmation/es-MX";
    call("PUT", template, Some(words)).await;
    let ordered = shop.session().await;
    let order = call("POST", "/api/v1/checkout/submit", Some(submit_body(&ordered, "PM-001"))).await;
    let session = shop.session().await;
    let cart = call("GET", "/api/v1/cart", None).await;
    let table = call("POST", "/api/v1/admin/tables", Some(json!({ "a": "1" }))).await;
    let bound = call("GET", "/api/v1/admin/components", None).await;
    let bound = bound["components"].as_array().expect("bindings");
    let bound = bound.iter().find(|one| one["slot"] == "pricing").expect("a price list");
    call("PUT", "/api/v1/workflows/bench-8/instances/mine1", Some(json!({ "inputs": { "cart": "c" } })))
        .await;
    let until = Instant::now() + PATIENCE;
    let notification = loop {
        let told = call("GET", "/api/v1/notifications", None).await;
        if let Some(first) = told["notifications"].as_array().expect("a list").first() {
            break text(&first["id"]);
        }
        assert!(Instant::now() < until, "the order is told to the shopper");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let order = text(&order["orderId"]);
    let path = format!("/api/v1/admin/shipments?orderId={order}");
    let shipment = loop {
        let all = call("GET", &path, None).await;
        match all["shipments"].as_array().expect("a list").first() {
            Some(first) if first["status"] == "READY" => break text(&first["shipmentId"]),
            _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
        assert!(Instant::now() < until, "the parcel is booked: {all}");
    };
    call("PUT", "/api/v1/admin/campaigns/CAMP-1", Some(json!({ "name": "n", "promotions": ["none-yet"] })))
        .await;
    let key = json!({ "name": "n", "scopes": ["orders"] });
    let key = call("POST", "/api/v1/admin/api-keys", Some(key)).await;
    call("PUT", "/api/v1/admin/roles/door", Some(json!({ "scopes": ["orders"] }))).await;
    let card = call("POST", "/api/v1/admin/gift-cards", Some(json!({ "amount": 25 }))).await;
    Things(vec![
        ("card", text(&card["giftCardId"])),
        ("key", text(&key["id"])),
        ("role", "door".to_owned()),
        ("campaign", "CAMP-1".to_owned()),
        ("promotion", "summer-2024".to_owned()),
        ("shipment", shipment),
        ("carrier", "default".to_owned()),
        ("product", "PROD-12345".to_owned()),
        ("sku", "SKU-ABC-001".to_owned()),
        ("warehouse", "US-WEST-01".to_owned()),
        ("customer", CUSTOMER.to_owned()),
        ("address", "ADDR-001".to_owned()),
        ("method", "PM-002".to_owned()),
        ("itemId", text(&cart["cart"]["items"][0]["id"])),
        ("sessionId", session),
        ("order", order),
        ("notification", notification),
        ("reservation", text(&reserved["reservationId"])),
        ("workflow", "bench-8".to_owned()),
        ("instance", "mine1".to_owned()),
        ("signal", "go".to_owned()),
        ("webhook", text(&webhook["id"])),
        ("component", text(&bound["component"])),
        ("binding", text(&bound["digest"])),
        ("table", text(&table["digest"])),
        ("secret", "api_key".to_owned()),
        ("code", "not-found".to_owned()),
        ("metric", "orders".to_owned()),
        ("report", "funnel".to_owned()),
        ("kind", "order_confirmation".to_owned()),
        ("locale", "es-MX".to_owned()),
        ("merchant", MERCHANT.to_owned()),
        ("gateway", "default".to_owned()),
    ])
}

async fn send(shop: &Shop, token: &str, route: &str, body: &str, things: &Things) -> (u16, Value) {
    let (method, path) = route.split_once(' ').expect("a method and a path");
    let path = things.fill(path);
    assert!(!path.contains('{'), "{path}: nothing of that name was made");
    let body = (!body.is_empty()).then(|| serde_json::from_str(&things.fill(body)).expect("JSON"));
    shop.as_other(token, method, &path, body.as_ref()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_opens_to_a_token_that_is_none() {
    let shop = open().await;
    let things = furnish(&shop).await;
    let full = claims(MERCHANT, CUSTOMER, "operator admin");
    let good = signed(JWT_SECRET, &full);
    let parts: Vec<&str> = good.split('.').collect();
    let unsigned = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        br#"{"alg":"none","typ":"JWT"}"#,
    );
    let tokens = [
        ("no token", String::new()),
        ("words", "not a token".to_owned()),
        ("a part of one", format!("{}.{}", parts[0], parts[1])),
        ("signed with another key", signed("another secret of at least 32 bytes", &full)),
        ("not signed", format!("{unsigned}.{}.", parts[1])),
        ("expired", signed(JWT_SECRET, &Claims { exp: now_s() - 3_600, ..full.clone() })),
        ("not yet valid", signed(JWT_SECRET, &Claims { nbf: Some(now_s() + 3_600), ..full.clone() })),
        ("of nobody", signed(JWT_SECRET, &Claims { sub: String::new(), ..full.clone() })),
        ("too long", signed(JWT_SECRET, &Claims { scope: "x".repeat(10_000), ..full.clone() })),
    ];
    for (route, who, _, body) in ROUTES.iter().filter(|(_, who, ..)| *who != Public) {
        for (what, token) in &tokens {
            let answer = send(&shop, token, route, body, &things).await;
            assert_eq!(answer.0, 401, "{route} with a token that is {what}: {}", answer.1);
            assert_eq!(answer.1["code"], "unauthorized", "{route}: {}", answer.1);
        }
        let Scope(open_to) = who else { continue };
        let known = till_commerce::access::scopes();
        let all = known.iter().map(String::as_str).chain(NO_SCOPES).chain([""]);
        for scope in all.filter(|scope| !open_to.contains(scope)) {
            let answer = send(&shop, &token(MERCHANT, CUSTOMER, scope), route, body, &things).await;
            assert_eq!(answer.0, 403, "{route} with the scope `{scope}`: {}", answer.1);
            assert_eq!(answer.1["code"], "forbidden", "{route}: {}", answer.1);
        }
    }
    still_there(&shop, &things).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_is_as_unknown_as_what_never_was() {
    let shop = open().await;
    let things = furnish(&shop).await;
    let absent = things.absent();
    for (route, who, id, body) in ROUTES.iter().filter(|(_, who, ..)| *who != Public) {
        let scope = match who {
            Scope(scopes) => scopes[0],
            _ => "",
        };
        let foreign = token("other-shop", CUSTOMER, scope);
        let neighbour = token(MERCHANT, "CUST-OTHER", scope);
        let strangers: &[&String] = match id {
            Id::None => continue,
            Merchants => &[&foreign],
            Customers => &[&foreign, &neighbour],
        };
        for stranger in strangers {
            let theirs = send(&shop, stranger, route, body, &things).await;
            let never = send(&shop, stranger, route, body, &absent).await;
            assert_eq!(theirs.0, 404, "{route}: {}", theirs.1);
            assert_eq!(things.without_ids(&theirs.1), absent.without_ids(&never.1), "{route}");
        }
    }
    // What is made under an id that another merchant has, too, is another thing.
    for (route, who, _, body) in ROUTES.iter().filter(|(_, _, id, _)| *id == Id::None) {
        let Scope(scopes) = who else { continue };
        if route.starts_with("PUT ") {
            let answer = send(&shop, &token("other-shop", CUSTOMER, scopes[0]), route, body, &things).await;
            assert_eq!(answer.0, 200, "{route}: {}", answer.1);
        }
    }
    still_there(&shop, &things).await;
}

/// Nothing of the above changed anything of the shop.
async fn still_there(shop: &Shop, things: &Things) {
    let own = token(MERCHANT, CUSTOMER, "operator admin");
    for (route, ..) in ROUTES
        .iter()
        .filter(|(route, who, id, _)| route.starts_with("GET ") && *who != Public && *id != Id::None)
    {
        let answer = send(shop, &own, route, "", things).await;
        assert_eq!(answer.0, 200, "{route}: {}", answer.1);
    }
    let (_, cart) = shop.call("GET", "/api/v1/cart", None).await;
    assert_eq!(cart["cart"]["totals"]["subtotal"].to_string(), "499.98", "{cart}");
    let (_, settings) = shop.as_other(&own, "GET", "/api/v1/admin/settings", None).await;
    assert_eq!(settings["currency"], "USD");
    let submit = submit_body(&things.fill("{sessionId}"), "PM-001");
    let (status, order) = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!(status, 201, "prices, stock and secrets are as they were: {order}");
}
