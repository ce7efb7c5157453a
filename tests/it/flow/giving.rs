//! What lowers a price, and what is paid with other than money: promotions, campaigns, codes, gift cards, points, tiers.

use serde_json::{Value, json};
use till_tests::CUSTOMER;

use super::{DAY_S, Outside, from_now, text};

impl Outside {
    /// The demo promotion, changed, is what the merchant's component gives.
    async fn promotion_is(&self, change: Value) {
        let mut config = till_tests::demo_config("promotions");
        super::put_all(&mut config["promotions"][0], &change);
        self.bind("promotion", "10", "promotions", json!({ "config": config })).await;
    }

    /// What applies to the cart with the demo's code.
    async fn applicable(&self) -> Value {
        self.look("/api/v1/promotions/applicable?codes=SUMMER2024").await["promotions"][0].clone()
    }

    /// What a new session says of the demo's code: what is taken off, and the codes of its messages.
    async fn quoted(&self) -> (String, String) {
        let session = self.shop.session().await;
        let edit = json!({ "promotionCodes": ["SUMMER2024"], "shippingMethod": "standard" });
        let view = self.send("PUT", &format!("/api/v1/checkout/{session}"), edit).await;
        let off = view["quote"]["discounts"].as_array().expect("a list").iter();
        (off.map(|one| one["amount"].to_string()).collect(), view["quote"]["messages"].to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_is_told_what_applies_and_what_is_missing_and_a_code_counts_for_each_customer() {
    let out = Outside::open().await;
    out.promotion_is(json!({ "conditions": { "min_quantity": 3 }, "customer_limit": 1 })).await;
    out.add(2).await;
    let told = out.applicable().await;
    assert_eq!((&told["code"], &told["applicable"]), (&json!("SUMMER2024"), &json!(false)), "{told}");
    assert_eq!(told["missing"][0]["quantity"], 1, "{told}");
    assert!(!text(&told["missing"][0]["text"]).is_empty());
    out.add(1).await;
    let told = out.applicable().await;
    assert_eq!((&told["applicable"], &told["missing"]), (&json!(true), &Value::Null), "{told}");
    assert_eq!(told["discount"].to_string(), "112.5", "15 % of 749.97: {told}");
    // Five are bought with the code, which this customer may use once.
    let order = out.buy(json!({})).await;
    assert_eq!(order["pricing"]["totalDiscounts"].to_string(), "187.49", "15 % of 1249.95: {order}");
    let (off, messages) = out.quoted().await;
    assert!(off.is_empty() && !messages.contains("used-by-customer"), "two are too few: {off} {messages}");
    assert_eq!(out.applicable().await["applicable"], false);
    let (off, messages) = out.quoted().await;
    assert!(off.is_empty() && messages.contains("used-by-customer"), "four are enough: {off} {messages}");
    let (status, told) = out.submit(json!({})).await;
    assert_eq!((status, &told["code"]), (409, &json!("code-used-up")), "{told}");
    assert_eq!(out.shop.simulator.count("capture").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_gives_between_its_dates_and_while_its_budget_lasts() {
    let mut out = Outside::open().await;
    let campaign = "/api/v1/admin/campaigns/summer";
    let (starts, ends) = (from_now(DAY_S), from_now(3 * DAY_S));
    let body = json!({
        "name": "Summer", "promotions": ["summer-2024"], "budget": 100.00, "startsAt": starts, "endsAt": ends,
    });
    out.done("PUT", campaign, body).await;
    let (off, messages) = out.quoted().await;
    assert!(off.is_empty() && messages.contains("campaign-not-started"), "{off} {messages}");

    out.shop.restart_ahead(2 * DAY_S);
    out.send("DELETE", "/api/v1/cart", json!({})).await;
    assert_eq!(out.quoted().await.0, "75.0");
    out.send("DELETE", "/api/v1/cart", json!({})).await;
    out.buy(json!({})).await;
    let told = out.read(campaign).await;
    let sums = ["used", "held", "left", "orders"].map(|name| told[name].to_string());
    assert_eq!(sums, ["75.0", "0.0", "25.0", "1"], "{told}");
    let (off, messages) = out.quoted().await;
    assert!(off.is_empty() && messages.contains("campaign-used-up"), "25.00 are left: {off} {messages}");
    let (status, refused) = out.submit(json!({})).await;
    assert!(status >= 400 && refused["code"] == "code-used-up", "{refused}");
    out.send("DELETE", "/api/v1/cart", json!({})).await;
    let full = out.buy(json!({ "promotionCodes": [] })).await;
    assert_eq!(full["pricing"]["totalDiscounts"].to_string(), "0.0", "{full}");
    assert_eq!(out.read(campaign).await, told, "it gave no more");

    out.done("PUT", campaign, json!({
        "name": "Summer", "promotions": ["summer-2024"], "budget": 1_000, "startsAt": starts, "endsAt": ends,
    })).await;
    assert_eq!(out.quoted().await.0, "75.0", "there is more to give");
    out.shop.restart_ahead(4 * DAY_S);
    let (off, messages) = out.quoted().await;
    assert!(off.is_empty() && messages.contains("campaign-over"), "{off} {messages}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_leads_to_the_next_tier_and_points_that_are_old_expire_once() {
    let mut out = Outside::open().await;
    let tiers = json!([{ "name": "bronze", "from": 0 }, { "name": "silver", "from": 1_500 }, { "name": "platinum", "from": 9_000 }]);
    let mut settings = out.read("/api/v1/admin/settings").await;
    settings["points"]["tiers"] = tiers;
    settings["points"]["expire_after_days"] = json!(30);
    settings["tier_benefits"] =
        json!({ "shown": true, "applied": true, "tiers": { "silver": { "discount_ppm": 100_000 } } });
    out.done("PUT", "/api/v1/admin/settings", settings).await;
    let has = out.look("/api/v1/loyalty").await;
    assert_eq!((&has["tier"], &has["nextTier"]["name"]), (&json!("bronze"), &json!("silver")), "{has}");
    assert_eq!(has["nextTier"]["missing"], 250, "{has}");

    let order = out.buy(json!({ "promotionCodes": [] })).await;
    let earned = order["loyalty"]["pointsEarned"].as_i64().expect("points");
    assert!(earned >= 250, "{order}");
    let has = out.look("/api/v1/loyalty").await;
    assert_eq!((&has["tier"], &has["nextTier"]["name"]), (&json!("silver"), &json!("platinum")), "{has}");
    assert_eq!(has["availablePoints"], 1_250 + earned);
    let benefits = out.look("/api/v1/loyalty/benefits").await;
    assert_eq!(benefits["tier"], "silver", "{benefits}");
    // What the tier gives is taken off the next order: a tenth of 499.98.
    let second = out.buy(json!({ "promotionCodes": [] })).await;
    assert_eq!(second["pricing"]["totalDiscounts"].to_string(), "50.0", "{second}");
    let earned = earned + second["loyalty"]["pointsEarned"].as_i64().expect("points");

    // What is old has expired a month later, what came then another month later, and nothing twice.
    let path = format!("/api/v1/admin/customers/{CUSTOMER}/points");
    let mut old = Vec::new();
    for (days, points) in [(31, 1_250 + earned), (62, 7)] {
        out.shop.restart_ahead(days * DAY_S);
        let has = out.until("/api/v1/loyalty", |has| has["availablePoints"] == 0).await;
        assert_eq!(has["tier"], "silver", "what has expired lowers no tier: {has}");
        let ledger = out.look("/api/v1/loyalty/entries").await;
        let rows = ledger["entries"].as_array().expect("rows").iter();
        let expired: Vec<i64> =
            rows.filter(|row| row["reason"] == "expired").filter_map(|row| row["points"].as_i64()).collect();
        old.insert(0, -points);
        assert_eq!(expired, old, "what the customer was made with too: {ledger}");
        out.done("POST", &path, json!({ "delta": 7, "reason": "a late parcel" })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gift_card_pays_its_part_and_a_bulk_code_works_once() {
    let out = Outside::open().await;
    let card = out.done("POST", "/api/v1/admin/gift-cards", json!({ "amount": 25.00 })).await;
    let code = json!({ "code": card["code"] });
    let balance = async || {
        let (status, told) = out.shop.call("POST", "/api/v1/gift-cards/balance", Some(&code)).await;
        assert_eq!(status, 200, "{told}");
        told["available"].to_string()
    };
    assert_eq!(balance().await, "25.0");
    let codes = "/api/v1/admin/promotions/summer-2024/codes";
    out.done("POST", codes, json!({ "count": 1, "code": "SUMMER2024" })).await;
    let (_, made) = out.admin("GET", codes, None).await;
    let unique = text(&made["codes"][0]["code"]);

    let (status, order) =
        out.submit(json!({ "giftCards": [card["code"]], "promotionCodes": [unique] })).await;
    assert_eq!(status, 201, "{order}");
    assert!(order.to_string().contains("451.59"), "476.59 less the card's 25 are due: {order}");
    assert_eq!(balance().await, "0.0");
    let (_, used) = out.admin("GET", codes, None).await;
    assert_eq!((&used["codes"][0]["used"], &used["codes"][0]["uses"]), (&json!(1), &json!(1)), "{used}");
    assert_eq!(out.shop.simulator.taken().await, 45_159);

    // Some of it goes back to the card, once under its key.
    let path = format!("/api/v1/admin/orders/{}/gift-card-refunds", text(&order["orderId"]));
    let back = json!({ "amount": 10.50 });
    for _ in 0..2 {
        let told = out.shop.host.call_as(&out.admin, "POST", &path, "back-1", Some(&back)).await;
        let (status, told) = told.expect("the host answers");
        assert!(status < 300, "{told}");
    }
    assert_eq!(balance().await, "10.5");
    let (status, told) = out.admin("POST", &path, Some(&json!({ "amount": 14.51 }))).await;
    assert!(status >= 400, "never more than the card paid: {told}");

    let (status, again) = out.submit(json!({ "promotionCodes": [unique] })).await;
    assert!(status >= 400, "a code that is used up is refused: {again}");
    assert_eq!(out.shop.simulator.taken().await, 45_159);
}

#[tokio::test(flavor = "multi_thread")]
async fn points_are_earned_corrected_and_taken_back_once() {
    let out = Outside::open().await;
    let points = async || out.look("/api/v1/loyalty").await["availablePoints"].as_i64().expect("points");
    let before = points().await;
    let (status, order) = out.submit(json!({ "loyaltyPointsToUse": 500 })).await;
    assert_eq!(status, 201, "{order}");
    let after = points().await;
    assert!(after > before - 500, "points are earned: {before} {after}");
    let path = format!("/api/v1/admin/customers/{CUSTOMER}/points");
    out.done("POST", &path, json!({ "delta": 7, "reason": "a late parcel" })).await;
    assert_eq!(points().await, after + 7);
    let path = format!("/api/v1/admin/orders/{}/points-reversal", text(&order["orderId"]));
    for _ in 0..2 {
        let (status, told) = out.admin("POST", &path, None).await;
        assert!(status < 300, "{told}");
        assert_eq!(points().await, before + 7, "earned are gone, used are back, once");
    }
    let ledger = out.look("/api/v1/loyalty/entries").await;
    let sum: i64 =
        ledger["entries"].as_array().expect("rows").iter().filter_map(|row| row["points"].as_i64()).sum();
    assert_eq!(sum, before + 7, "the ledger tells every change: {ledger}");
}
