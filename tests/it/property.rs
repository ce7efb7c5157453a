//! Requests that nobody thought of: made from the OpenAPI document, right and wrong, sent to the real binary.
//!
//! Whatever is sent, the host answers, and what it refuses it refuses with a problem of RFC 9457. The requests of a
//! seed are always the same: `TILL_TEST_SEED=7 cargo nextest run …` makes others.

use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use till_tests::host::{submit_body, token};

use crate::http::{Shop, open};

const SEED: u64 = 20_240_810;
/// Requests to each route: with 70 routes some thousand.
const EACH: usize = 60;
/// Deepest value that is made: the reader's own limit is 128.
const DEEP: usize = 200;

/// Numbers at the edges of what fields hold, as they are written.
const NUMBERS: [&str; 18] = [
    "0",
    "-1",
    "1",
    "2",
    "1.5",
    "-0",
    "0.001",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "1e400",
    "-1e-400",
    "99999999999999999999999999999999.99",
];
/// Texts that end up in places where they should not.
const TEXTS: [&str; 16] = [
    "",
    " ",
    "\0",
    "a\0b",
    "\u{feff}x",
    "é漢字🛒",
    "\u{202e}abc",
    "'; DROP TABLE cart; --",
    "%00",
    "../../etc/passwd",
    "{}",
    "null",
    "\r\nx-injected: 1",
    "9223372036854775807",
    "-1",
    "default",
];
/// Segments and values of addresses, as they are written there.
const SEGMENTS: [&str; 14] = [
    "%00",
    "a%00b",
    "%FF%FE",
    "%2e%2e",
    "a%2Fb",
    "%C3%A9%E6%BC%A2",
    "%0d%0ax:%201",
    "-1",
    "9223372036854775808",
    "%27%3B--",
    "null",
    "%20",
    "x",
    "%F0%9F%9B%92",
];

/// Written into JSON text as it stands: numbers that no value of serde_json holds.
const RAW: &str = "@raw:";

struct Gen {
    random: StdRng,
    document: Value,
    /// Ids that exist, by the name of their field or parameter.
    real: Vec<(&'static str, String)>,
}

impl Gen {
    fn one_in(&mut self, n: u32) -> bool {
        self.random.random_ratio(1, n)
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all.choose(&mut self.random).expect("not empty")
    }

    fn known(&mut self, name: &str) -> Option<String> {
        let all: Vec<String> =
            self.real.iter().filter(|(known, _)| *known == name).map(|(_, id)| id.clone()).collect();
        all.choose(&mut self.random).cloned()
    }

    fn text(&mut self) -> String {
        match self.random.random_range(0..12) {
            0 => "x".repeat(self.random.random_range(100..70_000)),
            1 => self.known("sessionId").unwrap_or_default(),
            _ => self.pick(&TEXTS).to_owned(),
        }
    }

    fn number(&mut self) -> Value {
        json!(format!("{RAW}{}", self.pick(&NUMBERS)))
    }

    /// A value that fits the schema; one that exists where the name tells which.
    fn fitting(&mut self, name: &str, schema: &Value, depth: usize) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let at = reference.trim_start_matches('#').to_owned();
            let inner = self.document.pointer(&at).cloned().unwrap_or_default();
            return self.fitting(name, &inner, depth);
        }
        for choice in ["oneOf", "anyOf", "allOf"] {
            if let Some(first) = schema[choice].as_array().and_then(|all| all.last()) {
                return self.fitting(name, &first.clone(), depth);
            }
        }
        let kind = match &schema["type"] {
            Value::Array(all) => all.iter().find(|kind| *kind != "null").cloned().unwrap_or_default(),
            kind => kind.clone(),
        };
        match kind.as_str() {
            _ if depth > 6 => Value::Null,
            Some("integer") => json!(self.random.random_range(0..20)),
            Some("number") => json!(format!("{RAW}{}", self.pick(&["1", "249.99", "471.17", "0.01"]))),
            Some("boolean") => json!(self.one_in(2)),
            Some("array") => {
                let items = schema["items"].clone();
                let some = self.random.random_range(0..3);
                (0..some).map(|_| self.fitting(name, &items, depth + 1)).collect()
            }
            Some("object") => {
                let needed = schema["required"].as_array().cloned().unwrap_or_default();
                let fields = schema["properties"].as_object().cloned().unwrap_or_default();
                let mut object = Map::new();
                for (field, inner) in fields {
                    if needed.contains(&json!(field)) || self.one_in(3) {
                        let value = self.fitting(&field, &inner, depth + 1);
                        object.insert(field, value);
                    }
                }
                Value::Object(object)
            }
            _ => match self.known(name) {
                Some(id) => json!(id),
                None => json!(self.pick(&["a", "standard", "US", "94105", "order.*"])),
            },
        }
    }

    /// Changes one place of a value into something else.
    fn spoil(&mut self, value: &mut Value) {
        let down = !self.one_in(4);
        match value {
            Value::Object(fields) if down && !fields.is_empty() => {
                let names: Vec<String> = fields.keys().cloned().collect();
                let name = names.choose(&mut self.random).expect("not empty").clone();
                match self.random.random_range(0..6) {
                    0 => drop(fields.remove(&name)),
                    1 => drop(fields.insert(self.text(), json!(1))),
                    _ => self.spoil(&mut fields[&name]),
                }
            }
            Value::Array(items) if down && !items.is_empty() => {
                let at = self.random.random_range(0..items.len());
                self.spoil(&mut items[at]);
            }
            _ => {
                *value = match self.random.random_range(0..8) {
                    0 => Value::Null,
                    1 => json!([]),
                    2 => json!({}),
                    3 => json!(true),
                    4 => (0..DEEP).fold(json!(1), |inner, _| json!([inner])),
                    5 => json!(self.text()),
                    _ => self.number(),
                };
            }
        }
    }

    /// A body as bytes, mostly JSON.
    fn body(&mut self, schema: &Value) -> Vec<u8> {
        let mut value = self.fitting("", schema, 0);
        for _ in 0..self.random.random_range(0..3) {
            self.spoil(&mut value);
        }
        let mut text = value.to_string();
        while let Some(at) = text.find(&format!("\"{RAW}")) {
            let from = at + 1 + RAW.len();
            let end = from + text[from..].find('"').expect("a text ends");
            text = format!("{}{}{}", &text[..at], &text[from..end], &text[end + 1..]);
        }
        let mut bytes = text.into_bytes();
        match self.random.random_range(0..30) {
            0 => bytes.truncate(bytes.len() / 2),
            1 => bytes.extend_from_slice(b"\xff\xfe"),
            2 => bytes.clear(),
            3 => bytes.extend_from_slice(b" {}"),
            _ => {}
        }
        bytes
    }

    /// The value of a parameter, as it is written in an address.
    fn segment(&mut self, name: &str) -> String {
        match self.random.random_range(0..5) {
            0 => self.pick(&SEGMENTS).to_owned(),
            1 => "9".repeat(self.random.random_range(1..3_000)),
            _ => self.known(name).unwrap_or_else(|| "default".to_owned()),
        }
    }

    /// Method, address, headers and body of a request to a route.
    fn request(&mut self, method: &str, path: &str, operation: &Value) -> Sent {
        let mut url = path.to_owned();
        let mut query = String::new();
        let mut headers = Vec::new();
        for parameter in operation["parameters"].as_array().cloned().unwrap_or_default() {
            let name = parameter["name"].as_str().expect("a name").to_owned();
            match parameter["in"].as_str() {
                Some("path") => url = url.replace(&format!("{{{name}}}"), &self.segment(&name)),
                Some("query") if parameter["required"] == true || self.one_in(3) => {
                    let value = match self.one_in(2) {
                        true => self.segment(&name),
                        false => self
                            .pick(&["1", "0", "200", "201", "1.a", "1.", ".", "true", "pricing"])
                            .to_owned(),
                    };
                    let _ = write!(query, "&{name}={value}");
                }
                _ => {}
            }
        }
        if self.one_in(20) {
            query.push_str("&%00=1&a");
        }
        if !query.is_empty() {
            url = format!("{url}?{}", &query[1..]);
        }
        for (name, values) in [
            ("if-match", &["\"1\"", "*", "W/\"2\"", "\"9223372036854775808\"", "x", "\"\"", "\u{e9}"]),
            ("idempotency-key", &["k1", "k2", "\"k3\"", "", " ", "a b", "\u{e9}"]),
            ("prefer", &["wait=0", "wait=1", "wait=-1", "wait", "=", "respond-async, wait=0", "\u{e9}"]),
            ("x-request-id", &["r-1", "", "a b", "<script>", "\u{e9}", "x/y", "00-1-2-01"]),
            ("accept", &["*/*", "application/json", "text/html", "", "x", ";q=2", "\u{e9}"]),
        ] {
            if self.one_in(8) {
                headers.push((name, self.pick(values).to_owned()));
            }
        }
        let schema = operation["requestBody"]["content"].as_object().and_then(|all| all.values().next());
        let body = match schema {
            Some(content) => Some(self.body(&content["schema"].clone())),
            None if method != "get" && self.one_in(6) => Some(self.body(&json!({ "type": "object" }))),
            None => None,
        };
        if body.is_some() && !self.one_in(25) {
            let others = [
                "text/plain",
                "application/json;charset=latin1",
                "",
                "text/csv",
                "\u{e9}",
                "application/x+json",
            ];
            let kind = if self.one_in(12) { self.pick(&others) } else { "application/json" };
            headers.push(("content-type", kind.to_owned()));
        }
        Sent { method: method.to_uppercase(), url, headers, body }
    }
}

#[derive(Debug)]
struct Sent {
    method: String,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

impl Sent {
    fn told(&self) -> String {
        let body = self.body.as_deref().map(|body| String::from_utf8_lossy(body).into_owned());
        let body: String = body.unwrap_or_default().chars().take(2_000).collect();
        format!("{} {}\n{:?}\n{body}", self.method, self.url, self.headers)
    }
}

/// What is wrong with an answer, if anything is.
async fn judge(shop: &Shop, client: &reqwest::Client, token: &str, sent: &Sent) -> Result<u16, String> {
    let method = sent.method.parse().expect("a method");
    let mut request = client.request(method, format!("{}{}", shop.host.url, sent.url)).bearer_auth(token);
    for (name, value) in &sent.headers {
        request = request.header(*name, value.as_bytes());
    }
    if let Some(body) = &sent.body {
        request = request.body(body.clone());
    }
    let answer = request.send().await.map_err(|error| format!("no answer: {error:?}"))?;
    let status = answer.status().as_u16();
    let header = |name: &str| {
        answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (kind, id) = (header("content-type"), header("x-request-id"));
    if kind == "text/event-stream" {
        return Ok(status); // It has no end.
    }
    let bytes = answer.bytes().await.map_err(|error| format!("{status}, and no whole answer: {error:?}"))?;
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let told = format!("{status} {kind} {}", String::from_utf8_lossy(&bytes[..bytes.len().min(1_000)]));
    if id.is_empty() {
        return Err(format!("no request id: {told}"));
    }
    if status < 400 {
        return match kind.starts_with("application/json") && body.is_null() {
            true => Err(format!("no JSON: {told}")),
            false => Ok(status),
        };
    }
    let code = body["code"].as_str().unwrap_or_default();
    let text = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty());
    if kind != "application/problem+json"
        || !["type", "title", "detail", "code"].iter().all(|name| text(name))
    {
        return Err(format!("no problem: {told}"));
    }
    if body["status"] != status
        || body["trace_id"] != json!(id)
        || body["type"] != format!("/problems/{code}")
    {
        return Err(format!("not of one piece: {told}"));
    }
    match (status, code) {
        (502, "component-failed") | (503, _) | (..500, _) => Ok(status),
        _ => Err(told),
    }
}

/// What exists, by the names that fields and parameters have.
async fn real(shop: &Shop, admin: &str) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned();
    let ordered = shop.session().await;
    let (_, order) =
        shop.call("POST", "/api/v1/checkout/submit", Some(&submit_body(&ordered, "PM-001"))).await;
    let session = shop.session().await;
    let (_, cart) = shop.call("GET", "/api/v1/cart", None).await;
    let hook = json!({ "url": "https://hooks.example.com/a", "topics": ["*"] });
    let (_, hook) = shop.as_other(admin, "POST", "/api/v1/admin/webhooks", Some(&hook)).await;
    let (_, table) = shop.as_other(admin, "POST", "/api/v1/admin/tables", Some(&json!({ "a": "1" }))).await;
    let (_, bound) = shop.as_other(admin, "GET", "/api/v1/admin/components", None).await;
    let (path, wanted) = ("/api/v1/admin/inventory", json!([{ "sku": "SKU-ABC-001", "quantity": 1 }]));
    let wanted = json!({ "items": wanted, "ttl": 80_000 });
    let (_, reserved) = shop.as_other(admin, "POST", &format!("{path}/reservations"), Some(&wanted)).await;
    shop.as_other(admin, "PUT", &format!("{path}/warehouses/US-WEST-01"), Some(&json!({}))).await;
    let start = json!({ "inputs": { "cart": "c" } });
    shop.call("PUT", "/api/v1/workflows/bench-8/instances/mine", Some(&start)).await;
    let mut real = vec![
        ("productId", "PROD-12345".to_owned()),
        ("sku", "SKU-ABC-001".to_owned()),
        ("warehouse", "US-WEST-01".to_owned()),
        ("warehouseId", "US-WEST-01".to_owned()),
        ("reservation", text(&reserved["reservationId"])),
        ("from", "US-WEST-01".to_owned()),
        ("reason", "count".to_owned()),
        ("itemId", text(&cart["cart"]["items"][0]["id"])),
        ("id", text(&order["orderId"])),
        ("id", text(&hook["id"])),
        ("id", "PROD-12345".to_owned()),
        ("id", "mine".to_owned()),
        ("id", "PM-001".to_owned()),
        ("name", "bench-8".to_owned()),
        ("name", "checkout".to_owned()),
        ("name", "default".to_owned()),
        ("signal", "edit".to_owned()),
        ("digest", text(&table["digest"])),
        ("code", "not-found".to_owned()),
        ("merchant", "demo".to_owned()),
        ("gateway", "default".to_owned()),
        ("carrier", "default".to_owned()),
        ("latitude", "37.7749".to_owned()),
        ("longitude", "-122.4194".to_owned()),
        ("at", "2024-08-10T14:30:00Z".to_owned()),
        ("estimatedDeliveryTime", "2024-08-12T14:30:00Z".to_owned()),
        ("type", "in_transit".to_owned()),
        ("type", "credit_card".to_owned()),
        ("type", "shipping".to_owned()),
        ("addressId", "ADDR-001".to_owned()),
        ("methodId", "PM-001".to_owned()),
        ("shippingMethod", "standard".to_owned()),
        ("promotionCodes", "SUMMER2024".to_owned()),
        ("currency", "USD".to_owned()),
        ("act", "retry".to_owned()),
        ("kind", "order_confirmation".to_owned()),
        ("locale", "de".to_owned()),
        ("channel", "email".to_owned()),
        ("url", "https://hooks.example.com/b".to_owned()),
    ];
    for name in ["sessionId", "checkoutSessionId", "session"] {
        real.push((name, session.clone()));
    }
    for slot in ["pricing", "promotion", "tax", "shipping", "payment-gateway", "risk", "carrier"] {
        real.push(("slot", slot.to_owned()));
    }
    for one in bound["components"].as_array().expect("bindings") {
        real.push(("component", text(&one["component"])));
        real.push(("fallback", text(&one["digest"])));
        real.push(("digest", text(&one["component"])));
        real.push(("digest", text(&one["digest"])));
    }
    real
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_answered_and_refused_with_a_problem() {
    let seed = std::env::var("TILL_TEST_SEED").map_or(SEED, |text| text.parse().expect("a seed is a number"));
    let shop = open().await;
    let (_, document) = shop.call("GET", "/openapi.json", None).await;
    let admin = token("CUST-12345", "operator admin");
    let real = real(&shop, &admin).await;
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            routes.push((path.clone(), method.clone(), operation.clone()));
        }
    }
    let mut generator = Gen { random: StdRng::seed_from_u64(seed), document, real };
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut wrong: Vec<String> = Vec::new();
    let mut taken = 0;
    // Shoppers first: the merchant's routes take prices and stock away sooner or later.
    routes.sort_by_key(|(path, ..)| path.starts_with("/api/v1/admin/"));
    for (path, method, operation) in &routes {
        for _ in 0..EACH {
            let sent = generator.request(method, path, operation);
            match judge(&shop, &client, &admin, &sent).await {
                Ok(status) => taken += usize::from(status < 400),
                Err(why) => wrong.push(format!("{}\n=> {why}", sent.told())),
            }
        }
    }
    shop.alive().await;
    let all = routes.len() * EACH;
    assert!(wrong.is_empty(), "seed {seed}, {} of {all}:\n{}", wrong.len(), wrong.join("\n\n"));
    // Requests that are all refused at the door would find nothing behind it.
    assert!(taken * 5 > all, "seed {seed}: {taken} of {all} were taken");
}
