//! What shoppers are told, in whose words, and what becomes of letters that do not arrive.

use serde_json::json;
use till_tests::smtp::Act;

use super::{Outside, text};

const DELIVERIES: &str = "/api/v1/admin/notifications/deliveries";

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_fails_is_told_in_the_merchants_words_and_where_the_customer_wants_it() {
    let out = Outside::open().await;
    let wants =
        json!({ "locale": "fr-CA", "channels": { "order_confirmation": { "sms": false, "inApp": false } } });
    out.send("PUT", "/api/v1/customers/me/preferences", wants).await;
    let words = json!({ "subject": "Désolé, {{ customer.email }}", "text": "Total : {{ order.total }}" });
    out.done("PUT", "/api/v1/admin/notifications/templates/payment_failed/fr-CA", words).await;
    let (status, told) = out.submit(json!({ "paymentMethod": { "id": "PM-002" } })).await;
    assert_eq!((status, &told["code"]), (400, &json!("payment-declined")), "{told}");
    out.when("a letter and a message", |out| out.mail.mails().len() + out.phone.posted().len() == 2).await;
    assert_eq!(out.told().await, ["payment_failed"]);
    let letter = &out.mail.mails()[0];
    assert_eq!(letter.to, ["jane@example.com"]);
    assert!(letter.part("text/plain").starts_with("Total : 47"), "{}", letter.part("text/plain"));
    assert_eq!(out.heard("payment.failed"), 1);

    // Of the order that follows only a letter is wanted; the merchant has no words of its own for it.
    out.send("DELETE", "/api/v1/cart", json!({})).await;
    let order = out.buy(json!({})).await;
    out.when("a letter", |out| out.mail.mails().len() == 2).await;
    let letter = out.mail.mails()[1].part("text/plain");
    assert!(letter.contains("476,59"), "{letter}");
    let told = out.read(&format!("{DELIVERIES}?order={}", text(&order["orderId"]))).await;
    let told: Vec<_> =
        told["deliveries"].as_array().expect("a list").iter().map(|one| &one["channel"]).collect();
    assert_eq!(told, [&json!("email")], "what is off is not written");
    assert_eq!((out.told().await, out.phone.posted().len()), (vec!["payment_failed".to_owned()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_dead_until_somebody_says_to_send_it_again() {
    let out = Outside::open().await;
    out.mail.acts(&[Act::Refuse("RCPT", "550 5.1.1 no such user")]);
    out.phone.answers(&["422 Unprocessable"]);
    let order = out.buy(json!({})).await;
    let of = |channel: &str| format!("{DELIVERIES}?order={}&channel={channel}", text(&order["orderId"]));
    for (channel, why) in [("email", "no such user"), ("sms", "422")] {
        let dead = out.until(&of(channel), |all| all["deliveries"][0]["state"] == "dead").await;
        assert!(text(&dead["deliveries"][0]["answer"]).contains(why), "{dead}");
    }
    assert_eq!((out.mail.mails().len(), out.phone.posted().len()), (0, 1));
    for channel in ["email", "sms"] {
        let replay = json!({ "channel": channel, "orderId": order["orderId"] });
        let told = out.done("POST", "/api/v1/admin/notifications/replay", replay).await;
        assert_eq!(told["replayed"], 1, "{told}");
        out.until(&of(channel), |all| all["deliveries"][0]["state"] == "delivered").await;
    }
    let sent = out.phone.posted();
    assert_eq!((out.mail.mails().len(), sent.len()), (1, 2));
    assert_eq!(sent[0].header("idempotency-key"), sent[1].header("idempotency-key"), "under the same key");
}
