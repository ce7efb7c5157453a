//! What customers keep with the shop, over HTTP; what their merchant sees of it.

use std::time::Duration;

use serde_json::{Value, json};
use till_commerce::Phase;
use till_tests::host::{submit_body, token};
use till_tests::{CUSTOMER, Door, TestTill, expect_phase};

use crate::http::{open, problem};

const BOOK: &str = "/api/v1/customers/me/addresses";
const WALLET: &str = "/api/v1/customers/me/payment-methods";

fn toronto(default: bool) -> Value {
    json!({
        "type": "shipping", "isDefault": default, "name": " Jane  Doe ", "street": ["  1 Front St W "],
        "city": "Toronto", "state": "ontario", "zipCode": "m5j2x5", "country": "ca",
    })
}

fn wrong_fields(body: &Value) -> Vec<&str> {
    let errors = body["errors"].as_array().unwrap_or_else(|| panic!("errors: {body}"));
    errors.iter().map(|error| error["field"].as_str().expect("a field")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_put_into_its_usual_form_kept_changed_and_taken_out() {
    let shop = open().await;
    let (status, made) = shop.call("POST", BOOK, Some(&toronto(false))).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(
        (&made["zipCode"], &made["state"], &made["country"]),
        (&json!("M5J 2X5"), &json!("ON"), &json!("CA"))
    );
    assert_eq!((&made["name"], &made["street"]), (&json!("Jane Doe"), &json!("1 Front St W")));
    assert_eq!(made["isDefault"], false, "the customer has a default already");
    let (status, again) = shop.call("POST", BOOK, Some(&toronto(true))).await;
    assert_eq!((status, &again["id"]), (200, &made["id"]), "it is not saved twice");
    let (_, all) = shop.call("GET", BOOK, None).await;
    let all = all["addresses"].as_array().expect("a list").clone();
    let defaults: Vec<&Value> =
        all.iter().filter(|one| one["isDefault"] == true).map(|one| &one["id"]).collect();
    assert_eq!((all.len(), defaults), (2, vec![&made["id"]]), "one default");

    // A new checkout takes the default of now.
    let session = shop.session().await;
    let (_, view) = shop.call("GET", &format!("/api/v1/checkout/{session}"), None).await;
    assert_eq!(view["selection"]["shippingAddress"]["zipCode"], "M5J 2X5", "{view}");

    let path = format!("{BOOK}/{}", made["id"].as_str().expect("an id"));
    let mut moved = toronto(false);
    moved["zipCode"] = json!("K1A 0B1");
    let (status, changed) = shop.call("PUT", &path, Some(&moved)).await;
    assert_eq!((status, &changed["zipCode"], &changed["isDefault"]), (200, &json!("K1A 0B1"), &json!(true)));
    assert_eq!(shop.call("GET", &path, None).await, (200, changed));
    assert_eq!(shop.call("DELETE", &path, None).await.0, 204);
    problem(&shop.call("DELETE", &path, None).await, 404, "address");
    problem(&shop.call("PUT", &path, Some(&moved)).await, 404, "address");
    let (_, left) = shop.call("GET", BOOK, None).await;
    assert_eq!(left["addresses"][0]["isDefault"], true, "the one that is left is the default: {left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_the_post_cannot_read_is_refused_with_all_that_is_wrong() {
    let shop = open().await;
    let nothing = json!({ "type": "home", "street": [], "country": "us", "zipCode": "K1A 0B1" });
    let answer = shop.call("POST", BOOK, Some(&nothing)).await;
    problem(&answer, 422, "95014");
    assert_eq!(wrong_fields(&answer.1), ["type", "zipCode", "street", "city", "state"], "{}", answer.1);
    for (change, field) in [
        (json!({ "country": "XX" }), "country"),
        (json!({ "state": "Bavaria" }), "state"),
        (json!({ "zipCode": "12" }), "zipCode"),
        (json!({ "city": "" }), "city"),
        (json!({ "planet": "Mars" }), "planet"),
    ] {
        let mut body = toronto(false);
        for (name, value) in change.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let answer = shop.call("POST", BOOK, Some(&body)).await;
        assert_eq!(wrong_fields(&answer.1), [field], "{}", answer.1);
    }
    // The same where a checkout takes an address; what is missing there is a requirement.
    let session = shop.session().await;
    let path = format!("/api/v1/checkout/{session}");
    let edit = json!({ "shippingAddress": { "street": "1 Main St", "city": "Boston", "state": "ZZ", "zipCode": "x", "country": "US" } });
    let answer = shop.call("PUT", &path, Some(&edit)).await;
    problem(&answer, 422, "shippingAddress.zipCode");
    assert_eq!(wrong_fields(&answer.1), ["shippingAddress.state", "shippingAddress.zipCode"], "{}", answer.1);
    let mut submit = submit_body(&session, "PM-001");
    submit["billingAddress"] =
        json!({ "street": "1 Main St", "city": "Berlin", "zipCode": "1011", "country": "DE" });
    problem(
        &shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await,
        422,
        "billingAddress.zipCode",
    );
    let edit = json!({ "shippingAddress": { "street": "1 Main St", "city": "Boston", "country": "US" } });
    let (status, view) = shop.call("PUT", &path, Some(&edit)).await;
    assert_eq!(status, 200, "{view}");
    let needs = view["requirements"].to_string();
    assert!(
        needs.contains("$.shipping_address.region") && needs.contains("$.shipping_address.postal_code"),
        "{needs}"
    );
    assert!(shop.simulator.charges().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_is_its_customers_alone_and_guests_have_none() {
    let shop = open().await;
    let (_, mine) = shop.call("POST", BOOK, Some(&toronto(false))).await;
    let path = format!("{BOOK}/{}", mine["id"].as_str().expect("an id"));
    let other = token("CUST-OTHER", "");
    for (method, body) in [("GET", None), ("PUT", Some(toronto(false))), ("DELETE", None)] {
        problem(&shop.as_other(&other, method, &path, body.as_ref()).await, 404, "address");
    }
    let (_, theirs) = shop.as_other(&other, "GET", BOOK, None).await;
    assert_eq!(theirs["addresses"], json!([]), "somebody the shop has never seen has an empty book");
    let guest = token("guest_1", "");
    for (method, path, body) in [
        ("GET", "/api/v1/customers/me", None),
        ("GET", "/api/v1/customers/me/checkout-context", None),
        ("POST", BOOK, Some(toronto(false))),
        ("GET", WALLET, None),
    ] {
        let answer = shop.as_other(&guest, method, path, body.as_ref()).await;
        problem(&answer, 403, "guest");
        assert_eq!(answer.1["code"], "no-account");
    }
    // Many at one time: none is lost, and the book has its end.
    let add = |n: usize| {
        let (shop, other) = (&shop, &other);
        async move {
            let mut body = toronto(false);
            body["street"] = json!(format!("{n} Front St W"));
            shop.as_other(other, "POST", BOOK, Some(&body)).await
        }
    };
    let answers = futures::future::join_all((0..55).map(add)).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 50);
    let refused = answers.iter().find(|(status, _)| *status != 201).expect("the book is full");
    problem(refused, 422, "at most so many");
    let (_, theirs) = shop.as_other(&other, "GET", BOOK, None).await;
    let all = theirs["addresses"].as_array().expect("a list");
    assert_eq!(all.iter().filter(|one| one["isDefault"] == true).count(), 1);
    assert_eq!(all.len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_kept_and_a_card_number_never_is() {
    let shop = open().await;
    let card = json!({ "type": "credit_card", "token": "tok_visa_2", "last4": "1881", "brand": "visa", "expires": "2031-04", "isDefault": true });
    let (status, made) = shop.call("POST", WALLET, Some(&card)).await;
    assert_eq!(status, 201, "{made}");
    assert!(made.get("token").is_none(), "a token goes in and never out: {made}");
    let (status, again) = shop.call("POST", WALLET, Some(&card)).await;
    assert_eq!((status, &again["id"]), (200, &made["id"]), "the token names it");
    for (field, number) in [
        ("token", "4242424242424242"),
        ("token", "4242 4242 4242 4242"),
        ("token", "card 3782-822463-10005"),
        ("brand", "visa 5555555555554444"),
        ("type", "4242424242424242"),
        ("last4", "4242424242424242"),
    ] {
        let mut body = card.clone();
        body[field] = json!(number);
        let answer = shop.call("POST", WALLET, Some(&body)).await;
        assert_eq!((answer.0, wrong_fields(&answer.1)), (422, vec![field]), "{}", answer.1);
        assert!(!answer.1.to_string().contains(number), "it is not repeated: {}", answer.1);
    }
    let late = json!({ "type": "credit_card", "token": "tok_old", "expires": "2020-01" });
    problem(&shop.call("POST", WALLET, Some(&late)).await, 422, "expires");
    let (_, all) = shop.call("GET", WALLET, None).await;
    let defaults =
        all["paymentMethods"].as_array().expect("a list").iter().filter(|one| one["isDefault"] == true);
    assert_eq!(defaults.map(|one| &one["id"]).collect::<Vec<_>>(), [&made["id"]]);

    // Nor is it taken where a checkout takes the id of a method.
    let session = shop.session().await;
    let typed = submit_body(&session, "4242424242424242");
    let answer = shop.call("POST", "/api/v1/checkout/submit", Some(&typed)).await;
    assert_eq!((answer.0, wrong_fields(&answer.1)), (422, vec!["paymentMethod.id"]), "{}", answer.1);
    // It pays.
    let submit = submit_body(&session, made["id"].as_str().expect("an id"));
    let (status, order) = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!(status, 201, "{order}");
    let path = format!("{WALLET}/{}", made["id"].as_str().expect("an id"));
    assert_eq!(shop.call("DELETE", &path, None).await.0, 204);
    problem(&shop.call("DELETE", &path, None).await, 404, "payment method");
    // Nothing of a card number is in the database, whatever was sent.
    let file = std::fs::read(shop.folder.path().join("till.db")).expect("the database");
    let log = std::fs::read(shop.folder.path().join("till.db-wal")).unwrap_or_default();
    for number in [&b"4242424242424242"[..], b"5555555555554444", b"3782-822463-10005"] {
        let holds = |bytes: &[u8]| bytes.windows(number.len()).any(|part| part == number);
        assert!(!holds(&file) && !holds(&log));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_has_expired_is_shown_so_and_pays_no_more() {
    let till = TestTill::start().await; // It is July 2024.
    let door = Door::open(&till).await;
    let card =
        json!({ "type": "credit_card", "token": "tok_visa_3", "expires": "2024-07", "isDefault": true });
    let (status, made) = door.call(CUSTOMER, "POST", WALLET, Some(&card)).await;
    assert_eq!((status, made.get("expired")), (201, None), "{made}");
    till.advance(Duration::from_secs(40 * 24 * 3600)).await;
    let (_, context) = door.call(CUSTOMER, "GET", "/api/v1/customers/me/checkout-context", None).await;
    let shown =
        context["paymentMethods"].as_array().expect("a list").iter().find(|one| one["id"] == made["id"]);
    assert_eq!(shown.expect("it is kept")["expired"], true, "{context}");

    let session = till.session(CUSTOMER, 1).await;
    let codes: Vec<&str> = session.requirements.iter().map(|need| need.code.as_str()).collect();
    assert!(codes.contains(&"payment-method-expired"), "{codes:?}");
    let mut submit = submit_body(&session.id, made["id"].as_str().expect("an id"));
    let answer = door.call(CUSTOMER, "POST", "/api/v1/checkout/submit", Some(&submit)).await;
    problem(&answer, 422, "payment-method-expired");
    assert_eq!(till.simulator.taken().await, 0);
    submit["paymentMethod"] = json!({ "id": "PM-001" });
    let (status, order) = door.call(CUSTOMER, "POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!(status, 201, "another one pays: {order}");
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_finds_customers_and_what_they_have_bought_in_all() {
    let till = TestTill::start().await;
    let door = Door::open(&till).await;
    for (id, email) in [("CUST-2", "John@Example.com"), ("CUST-3", "ann@example.com"), ("B2B-1", "")] {
        let body = json!({ "name": "Somebody", "email": email });
        let (status, done) =
            door.call_as("admin", "PUT", &format!("/api/v1/admin/customers/{id}"), Some(&body)).await;
        assert_eq!(status, 200, "{done}");
    }
    let ids = async |query: &str| -> (Vec<String>, Option<String>) {
        let (status, page) =
            door.call_as("admin", "GET", &format!("/api/v1/admin/customers{query}"), None).await;
        assert_eq!(status, 200, "{page}");
        let found = page["customers"].as_array().expect("a list").iter();
        let ids = found.map(|one| one["customerId"].as_str().expect("an id").to_owned()).collect();
        (ids, page["nextCursor"].as_str().map(str::to_owned))
    };
    assert_eq!(ids("?q=CUST").await.0, ["CUST-12345", "CUST-2", "CUST-3"]);
    assert_eq!(ids("?q=john@EXAMPLE").await.0, ["CUST-2"]);
    let (mut all, mut cursor) = ids("?limit=1").await;
    while let Some(next) = cursor {
        let (more, then) = ids(&format!("?limit=1&cursor={next}")).await;
        all.extend(more);
        cursor = then;
    }
    assert_eq!(all, ["B2B-1", "CUST-12345", "CUST-2", "CUST-3"]);

    let session = till.worked_example().await;
    let done = till.submit(&session.id, json!({})).await;
    expect_phase(&till, &done, Phase::Confirmed).await;
    till.follow().await;
    let path = format!("/api/v1/admin/customers/{CUSTOMER}");
    let (_, record) = door.call_as("admin", "GET", &path, None).await;
    let value = &record["lifetimeValue"][0];
    assert_eq!((&value["currency"], &value["orders"]), (&json!("USD"), &json!(1)), "{record}");
    assert_eq!(
        (value["total"].to_string(), value["average"].to_string()),
        ("471.17".to_owned(), "471.17".to_owned())
    );
    assert_eq!((&value["firstOrderAt"], &record["orders"]), (&value["lastOrderAt"], &json!(1)));
    assert!(!record.to_string().contains("tok_visa"), "no token is told: {record}");
    problem(&door.call_as("admin", "GET", "/api/v1/admin/customers/NOBODY", None).await, 404, "customer");

    // What the merchant writes leaves the customer's own things alone, unless it names them.
    let body = json!({ "email": "new@example.com" });
    assert_eq!(door.call_as("admin", "PUT", &path, Some(&body)).await.0, 200);
    let (_, after) = door.call_as("admin", "GET", &path, None).await;
    assert_eq!(after["email"], "new@example.com");
    assert_eq!(
        (&after["addresses"], &after["paymentMethods"]),
        (&record["addresses"], &record["paymentMethods"])
    );
    let body = json!({ "addresses": [], "paymentMethods": [] });
    assert_eq!(door.call_as("admin", "PUT", &path, Some(&body)).await.0, 200);
    let (_, after) = door.call_as("admin", "GET", &path, None).await;
    assert_eq!((&after["addresses"], &after["paymentMethods"]), (&json!([]), &json!([])));
    let (_, me) = door.call(CUSTOMER, "GET", "/api/v1/customers/me", None).await;
    assert_eq!(
        (&me["customerId"], &me["loyalty"]["availablePoints"]),
        (&json!(CUSTOMER), &json!(1_221)),
        "{me}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_told_page_by_page_newest_first_by_status_and_day() {
    let till = TestTill::start().await;
    let door = Door::open(&till).await;
    let mut made = Vec::new();
    for method in ["PM-001", "PM-declined", "PM-001"] {
        let session = till.session(CUSTOMER, 1).await;
        let inputs = json!({ "shipping_method": "standard", "payment_method": method });
        till.submit(&session.id, inputs).await;
        let orders = till.orders(CUSTOMER).await;
        made.push(orders.last().expect("an order").id.clone());
        till.advance(Duration::from_secs(24 * 3600)).await; // One each day from 1 July 2024.
    }
    made.reverse();
    let page = async |query: &str| -> (Vec<String>, Option<String>) {
        let (status, page) = door.call(CUSTOMER, "GET", &format!("/api/v1/orders{query}"), None).await;
        assert_eq!(status, 200, "{page}");
        let found = page["orders"].as_array().expect("a list").iter();
        let ids = found.map(|one| one["orderId"].as_str().expect("an id").to_owned()).collect();
        (ids, page["nextCursor"].as_str().map(str::to_owned))
    };
    assert_eq!(page("").await, (made.clone(), None));
    let (first, cursor) = page("?limit=2").await;
    assert_eq!(first, made[..2]);
    let (rest, end) = page(&format!("?limit=2&cursor={}", cursor.expect("there are more"))).await;
    assert_eq!((rest.as_slice(), end), (&made[2..], None));
    assert_eq!(page("?status=PAYMENT_FAILED").await.0, made[1..2]);
    assert_eq!(page("?from=2024-07-02&to=2024-07-02").await.0, made[1..2]);
    assert_eq!(page("?to=2024-07-02").await.0, made[1..]);
    for wrong in ["?status=confirmed", "?from=yesterday", "?to=2024-02-30", "?cursor=x", "?state=CONFIRMED"] {
        let answer = door.call(CUSTOMER, "GET", &format!("/api/v1/orders{wrong}"), None).await;
        assert_eq!(answer.0, 422, "{wrong}: {}", answer.1);
    }
    let (_, theirs) = door.call("CUST-OTHER", "GET", "/api/v1/orders", None).await;
    assert_eq!(theirs["orders"], json!([]));
}
