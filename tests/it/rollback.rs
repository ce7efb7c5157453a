//! Going back: what a slot used before is used again, and everything done is told.

use base64::Engine as _;
use serde_json::{Value, json};
use till_tests::host::token;

use crate::http::{Shop, open, problem};

const PROMOTIONS: &str = "/api/v1/admin/components";

impl Shop {
    async fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.as_other(&token("ana", "admin"), method, &format!("{PROMOTIONS}{path}"), body).await
    }

    async fn discount(&self, ppm: u32, why: &str) -> Value {
        let wasm = base64::engine::general_purpose::STANDARD.encode(till_tests::guest("percent-off"));
        let config = json!({ "title": format!("Off {ppm}"), "ppm": ppm });
        let body =
            json!({ "slot": "promotion", "name": "30", "config": config, "wasmBase64": wasm, "why": why });
        let (status, made) = self.admin("POST", "", Some(&body)).await;
        assert_eq!(status, 201, "{made}");
        made
    }

    async fn turn(&self, path: &str, more: Value) -> (u16, Value) {
        let mut body = json!({ "slot": "promotion", "name": "30" });
        till_engine::instance::merge(&mut body, &more);
        self.admin("POST", path, Some(&body)).await
    }

    /// A session that starts now, and which discount it has.
    async fn begun(&self) -> (String, Option<u32>) {
        let session = self.session().await;
        let off = self.off(&session).await;
        (session, off)
    }

    async fn off(&self, session: &str) -> Option<u32> {
        let (status, view) = self.call("GET", &format!("/api/v1/checkout/{session}"), None).await;
        assert_eq!(status, 200, "{view}");
        let discounts = view["quote"]["discounts"].to_string();
        let (_, after) = discounts.split_once("Off ")?;
        after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_takes_the_next_checkout_back_and_each_further_one_goes_further() {
    let shop = open().await;
    let (_, none) = shop.begun().await;
    assert_eq!(none, None, "nothing is bound there yet");
    problem(&shop.turn("/rollback", json!({})).await, 409, "nothing was ever bound");
    problem(&shop.turn("/retire", json!({})).await, 409, "not in use");

    let first = shop.discount(50_000, "a good start").await;
    assert_eq!(shop.begun().await.1, Some(50_000));
    shop.discount(100_000, "more").await;
    shop.discount(200_000, "far too much").await;
    let (running, far) = shop.begun().await;
    assert_eq!(far, Some(200_000));

    let (status, back) = shop.turn("/rollback", json!({ "why": "the margin" })).await;
    assert_eq!((status, &back["revision"]), (200, &json!(4)), "{back}");
    assert_eq!(shop.begun().await.1, Some(100_000));
    let (status, back) = shop.turn("/rollback", json!({})).await;
    assert_eq!((status, &back["digest"]), (200, &first["digest"]), "twice back is the first: {back}");
    assert_eq!(shop.begun().await.1, Some(50_000));
    problem(&shop.turn("/rollback", json!({})).await, 409, "no earlier revision");
    assert_eq!(shop.off(&running).await, far, "one under way keeps its own");

    let (status, back) = shop.turn("/rollback", json!({ "revision": 2 })).await;
    assert_eq!(status, 200, "{back}");
    assert_eq!(shop.begun().await.1, Some(100_000));
    problem(&shop.turn("/rollback", json!({ "revision": 99 })).await, 422, "no revision 99");

    let (status, retired) = shop.turn("/retire", json!({ "why": "season's end" })).await;
    assert_eq!((status, &retired["act"]), (200, &json!("retire")), "{retired}");
    assert_eq!(shop.begun().await.1, None);
    let (status, back) = shop.turn("/rollback", json!({})).await;
    assert_eq!(status, 200, "{back}");
    assert_eq!(shop.begun().await.1, Some(100_000), "what was in use before it was retired");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_tells_who_did_what_when_and_why_page_by_page() {
    let shop = open().await;
    shop.discount(50_000, "a good start").await;
    shop.discount(100_000, "more").await;
    assert_eq!(shop.turn("/rollback", json!({ "why": "the margin" })).await.0, 200);
    let (status, page) = shop.admin("GET", "/history?slot=promotion&name=30&limit=2", None).await;
    assert_eq!(status, 200, "{page}");
    let told = |change: &Value| {
        ["revision", "act", "origin", "why", "createdBy"].map(|field| change[field].to_string()).join(" ")
    };
    let changes: Vec<String> = page["changes"].as_array().expect("a list").iter().map(told).collect();
    assert_eq!(changes, [r#"3 "rollback" 1 "the margin" "ana""#, r#"2 "activate" 2 "more" "ana""#]);
    assert!(page["changes"][0]["createdAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{page}");
    let rest = format!("/history?slot=promotion&name=30&limit=2&before={}", page["nextBefore"]);
    let (_, page) = shop.admin("GET", &rest, None).await;
    assert_eq!(told(&page["changes"][0]), r#"1 "activate" 1 "a good start" "ana""#);
    assert_eq!(page.get("nextBefore"), None);

    problem(&shop.admin("GET", "/history?slot=prices", None).await, 422, "slot");
    problem(&shop.turn("/rollback", json!({ "why": "x".repeat(501) })).await, 422, "501 bytes");
    let shopper = shop.call("POST", "/api/v1/admin/components/rollback", Some(&json!({}))).await;
    problem(&shopper, 403, "admin");
}
