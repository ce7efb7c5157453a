//! Who of a merchant may do what: API keys, roles, keys of an issuer that change, and the log of who commanded what.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use till_tests::PATIENCE;
use till_tests::endpoint::Endpoint;
use till_tests::host::{Host, MORE, token, token_for};

use crate::http::{Shop, open, problem};

const KEYS: &str = "/api/v1/admin/api-keys";

async fn made(shop: &Shop, by: &str, body: Value) -> Value {
    let (status, key) = shop.as_other(by, "POST", KEYS, Some(&body)).await;
    assert_eq!(status, 201, "{key}");
    key
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_opens_what_it_was_given_until_it_is_revoked() {
    let shop = open().await;
    let admin = token("ann", "admin");
    let key =
        made(&shop, &admin, json!({ "name": "warehouse", "scopes": ["inventory"], "roles": ["analyst"] }))
            .await;
    let secret = text(&key["key"]);
    assert!(secret.starts_with("till_"), "{key}");
    assert_eq!((&key["createdBy"], &key["lastUsedAt"]), (&json!("ann"), &Value::Null));

    let stock = json!({ "onHand": 7 });
    let path = "/api/v1/admin/stock/SKU-ABC-001/US-WEST-01";
    assert_eq!(shop.as_other(&secret, "PUT", path, Some(&stock)).await.0, 200);
    // The role reads everything, and changes nothing.
    assert_eq!(shop.as_other(&secret, "GET", "/api/v1/admin/settings", None).await.0, 200);
    let refused = shop.as_other(&secret, "PUT", "/api/v1/admin/settings", Some(&json!({}))).await;
    problem(&refused, 403, "`settings`");
    // It speaks for the merchant: it has no cart.
    problem(&shop.as_other(&secret, "GET", "/api/v1/cart", None).await, 403, "shopper");
    assert_eq!(shop.as_other(&secret, "GET", "/api/v1/catalog/products", None).await.0, 200);

    let (_, listed) = shop.as_other(&admin, "GET", KEYS, None).await;
    let listed = &listed["apiKeys"][0];
    assert!(listed.get("key").is_none() && !listed.to_string().contains(&secret), "{listed}");
    assert_ne!(listed["lastUsedAt"], Value::Null, "{listed}");

    // One letter off is another key, and so is one of a merchant who has none.
    let off = format!("{}{}", &secret[..secret.len() - 1], if secret.ends_with('a') { 'b' } else { 'a' });
    for wrong in [off.as_str(), "till_", "till_a_b", "till_aaaaaaaaaaaaaaaa_"] {
        problem(&shop.as_other(wrong, "GET", KEYS, None).await, 401, "API key");
    }
    let one = format!("{KEYS}/{}", text(&key["id"]));
    let foreign = token_for("other-shop", "eve", "admin", 3_600);
    assert_eq!(shop.as_other(&foreign, "DELETE", &one, None).await.0, 404);
    assert_eq!(shop.as_other(&admin, "DELETE", &one, None).await.0, 204);
    let until = Instant::now() + PATIENCE;
    while shop.as_other(&secret, "PUT", path, Some(&stock)).await.0 != 401 {
        assert!(Instant::now() < until, "a revoked key opens nothing");
    }
    let (_, listed) = shop.as_other(&admin, "GET", KEYS, None).await;
    assert_ne!(listed["apiKeys"][0]["revokedAt"], Value::Null, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_what_they_do_not_have() {
    let shop = open().await;
    let clerk = token("bob", "access orders");
    for (body, word) in [
        (json!({ "name": "n", "scopes": ["admin"] }), "`admin`"),
        (json!({ "name": "n", "scopes": ["catalog:read"] }), "`catalog:read`"),
        (json!({ "name": "n", "roles": ["owner"] }), "`admin`"),
        (json!({ "name": "n", "scopes": ["order"] }), "there is no scope `order`"),
        (json!({ "name": "n", "roles": ["boss"] }), "there is no role `boss`"),
        (json!({ "name": "n" }), "at least one"),
        (json!({ "name": "", "scopes": ["orders"] }), "1 to 100"),
        (json!({ "name": "n", "scopes": ["orders"], "expiresAt": "2001-01-01T00:00:00Z" }), "still to come"),
    ] {
        problem(&shop.as_other(&clerk, "POST", KEYS, Some(&body)).await, 422, word);
    }
    // Not even `admin` gives `operator`, which it does not have.
    let (admin, more) = (token("ann", "admin"), json!({ "name": "n", "scopes": ["operator"] }));
    let refused = shop.as_other(&admin, "POST", KEYS, Some(&more)).await;
    problem(&refused, 422, "`operator`");
    let role = "/api/v1/admin/roles/desk";
    let more = json!({ "scopes": ["orders", "settings"] });
    problem(&shop.as_other(&clerk, "PUT", role, Some(&more)).await, 422, "`settings`");
    problem(
        &shop
            .as_other(&clerk, "PUT", "/api/v1/admin/roles/owner", Some(&json!({ "scopes": ["orders"] })))
            .await,
        422,
        "every merchant",
    );

    // A role is what its merchant says, for tokens too, and goes when it goes.
    assert_eq!(shop.as_other(&clerk, "PUT", role, Some(&json!({ "scopes": ["orders:read"] }))).await.0, 200);
    let made = issued("carl", &["desk"]);
    let until = Instant::now() + PATIENCE;
    while shop.as_other(&made, "GET", "/api/v1/admin/shipments", None).await.0 != 200 {
        assert!(Instant::now() < until, "a token's role opens what it says");
    }
    assert_eq!(shop.as_other(&clerk, "DELETE", role, None).await.0, 204);
    while shop.as_other(&made, "GET", "/api/v1/admin/shipments", None).await.0 != 403 {
        assert!(Instant::now() < until, "a role that is gone opens nothing");
    }
}

#[expect(clippy::disallowed_methods, reason = "the host under test goes by the wall clock")]
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn claims(sub: &str, roles: &[&str]) -> Value {
    json!({ "sub": sub, "merchant": "demo", "roles": roles, "exp": now_s() + 3_600,
        "iss": "https://login.example", "aud": "till" })
}

/// A token of the tests' own secret with roles.
fn issued(sub: &str, roles: &[&str]) -> String {
    let key = EncodingKey::from_secret(till_tests::host::JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(sub, roles), &key).expect("a token")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_a_merchant_is_in_the_log_with_who_and_how_it_ended() {
    let mut shop = open().await;
    let admin = token("ann", "admin");
    let key = made(&shop, &admin, json!({ "name": "k", "scopes": ["catalog", "access:read"] })).await;
    let secret = text(&key["key"]);
    let missing = "/api/v1/admin/products/PROD-NONE";
    assert_eq!(shop.as_other(&secret, "DELETE", missing, None).await.0, 404);
    assert_eq!(shop.as_other(&secret, "PUT", "/api/v1/admin/settings", Some(&json!({}))).await.0, 403);
    assert_eq!(shop.as_other(&admin, "GET", "/api/v1/admin/settings", None).await.0, 200);
    // A shopper commands nothing of the merchant's, and fills no log by trying.
    let shopper = token("CUST-1", "openid profile");
    assert_eq!(shop.as_other(&shopper, "PUT", "/api/v1/admin/settings", Some(&json!({}))).await.0, 403);
    let actor = format!("key:{}", text(&key["id"]));

    let log = async |shop: &Shop, query: &str| {
        let (status, log) = shop.as_other(&admin, "GET", &format!("/api/v1/admin/audit{query}"), None).await;
        assert_eq!(status, 200, "{log}");
        log
    };
    let seen = |log: &Value| -> Vec<(String, String, Value)> {
        let rows = log["commands"].as_array().expect("a list").iter();
        rows.map(|row| {
            (
                text(&row["actor"]),
                format!("{} {}", text(&row["method"]), text(&row["path"])),
                row["status"].clone(),
            )
        })
        .collect()
    };
    let expected = vec![
        (actor.clone(), "PUT /api/v1/admin/settings".to_owned(), json!(403)),
        (actor.clone(), format!("DELETE {missing}"), json!(404)),
        ("ann".to_owned(), format!("POST {KEYS}"), json!(201)),
    ];
    let all = log(&shop, "").await;
    assert_eq!(seen(&all), expected, "looking is no command");
    assert_eq!(all["commands"][1]["route"], "/api/v1/admin/products/{id}");
    assert!(!all.to_string().contains(&secret), "what is sent is not in the log");
    assert_eq!(seen(&log(&shop, &format!("?actor={actor}")).await), expected[..2]);
    assert_eq!(seen(&log(&shop, "?path=/api/v1/admin/products/").await), expected[1..2]);
    let page = log(&shop, "?limit=2").await;
    let next = text(&page["nextCursor"]);
    assert_eq!(seen(&log(&shop, &format!("?limit=2&cursor={next}")).await), expected[2..]);
    let early = text(&all["commands"][2]["at"]);
    assert_eq!(seen(&log(&shop, &format!("?to={early}")).await), vec![]);

    // A host that dies between the note and the command leaves the note, and nothing done.
    shop.restart_until("audit.begun");
    let settings = json!({ "currency": "EUR" });
    let lost = shop.host.call_as(&admin, "PUT", "/api/v1/admin/settings", "", Some(&settings)).await;
    assert_eq!(lost, None, "the host died");
    shop.restart();
    let (_, kept) = shop.as_other(&admin, "GET", "/api/v1/admin/settings", None).await;
    assert_eq!(kept["currency"], "USD");
    let all = seen(&log(&shop, "").await);
    assert_eq!(all[0], ("ann".to_owned(), "PUT /api/v1/admin/settings".to_owned(), Value::Null));
    assert_eq!(all[1..], expected);
}

/// Key pairs made for this test with `openssl genpkey -algorithm ed25519`.
const FIRST: (&str, &str) = (
    "MC4CAQAwBQYDK2VwBCIEIGlKoJRprJAxlqWaR77dF9oO0wIncIE1u/wyDAQ583ec",
    "ikeIYzw4diFYcQ57cWaUvOKukSBVM5US2_m59L5E-tU",
);
const SECOND: (&str, &str) = (
    "MC4CAQAwBQYDK2VwBCIEINfR8Bm5wjVohmmoB1TpCsKlgc+vChJa482VQat9Kerd",
    "Z4zoYKSh6ZESOqK-JwEUO6Q_hv4F7bGu0ypNKzLYmaU",
);

fn key_set(keys: &[(&str, &str)]) -> String {
    let all =
        keys.iter().map(|(id, x)| json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": id, "x": x }));
    json!({ "keys": all.collect::<Vec<_>>() }).to_string()
}

fn signed(private: &str, id: &str, claims: &Value) -> String {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{private}\n-----END PRIVATE KEY-----\n");
    let key = EncodingKey::from_ed_pem(pem.as_bytes()).expect("a key");
    let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, claims, &key).expect("a token")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_an_issuer_works_though_a_fixed_key_is_of_its_kind() {
    use data_encoding::{BASE64, BASE64URL_NOPAD};
    let issuer = Endpoint::open().await;
    issuer.says(&key_set(&[("a", FIRST.1)]));
    let folder = tempfile::tempdir().expect("a temporary folder");
    // SubjectPublicKeyInfo of Ed25519 (RFC 8410): twelve bytes, then the key.
    let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    der.extend(BASE64URL_NOPAD.decode(FIRST.1.as_bytes()).expect("base64"));
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(&der));
    let path = folder.path().join("fixed.pem");
    std::fs::write(&path, pem).expect("write the key");
    let more = format!("jwks_url = {:?}\njwt_public_key = {path:?}\n", issuer.url);
    std::fs::write(folder.path().join(MORE), more).expect("write the configuration");
    let host = Host::start(folder.path(), None);
    let call =
        async |token: &str| host.call_as(token, "GET", "/api/v1/orders", "", None).await.expect("an answer");
    let new = signed(SECOND.0, "b", &claims("CUST-1", &[]));
    problem(&call(&new).await, 401, "signature");
    issuer.says(&key_set(&[("a", FIRST.1), ("b", SECOND.1)]));
    let until = Instant::now() + PATIENCE;
    while call(&new).await.0 != 200 {
        assert!(Instant::now() < until, "a new key is fetched when a token names it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuers_keys_change_and_its_tokens_are_taken_all_the_time() {
    let issuer = Endpoint::open().await;
    issuer.says(&key_set(&[("a", FIRST.1)]));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let more = format!(
        "jwks_url = {:?}\njwt_issuer = \"https://login.example\"\njwt_audience = \"till\"\n",
        issuer.url
    );
    std::fs::write(folder.path().join(MORE), more).expect("write the configuration");
    let host = Host::start(folder.path(), None);
    let call =
        async |token: &str| host.call_as(token, "GET", "/api/v1/orders", "", None).await.expect("an answer");

    let good = claims("CUST-1", &[]);
    let old = signed(FIRST.0, "a", &good);
    assert_eq!(call(&old).await.0, 200);
    let mut other = good.clone();
    other["iss"] = json!("https://evil.example");
    problem(&call(&signed(FIRST.0, "a", &other)).await, 401, "issuer");
    other["iss"] = good["iss"].clone();
    other["aud"] = json!("other");
    problem(&call(&signed(FIRST.0, "a", &other)).await, 401, "audience");
    problem(&call(&signed(SECOND.0, "a", &good)).await, 401, "signature");

    // The issuer turns its keys: the new one works without a restart, and soon.
    let new = signed(SECOND.0, "b", &good);
    problem(&call(&new).await, 401, "does not know");
    issuer.says(&key_set(&[("a", FIRST.1), ("b", SECOND.1)]));
    let until = Instant::now() + PATIENCE;
    while call(&new).await.0 != 200 {
        assert!(Instant::now() < until, "a new key is fetched when a token names it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(call(&old).await.0, 200);
    // It goes away for a while: what is known stays.
    issuer.says("<html>down</html>");
    let unknown = signed(SECOND.0, "c", &good);
    let asked = issuer.posted().len();
    while issuer.posted().len() == asked {
        problem(&call(&unknown).await, 401, "does not know");
        assert!(Instant::now() < until, "an unknown key leads to a fetch");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((call(&old).await.0, call(&new).await.0), (200, 200));
}
