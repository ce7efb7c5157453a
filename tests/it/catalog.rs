//! The catalog from outside: what is found, what variants cost, what goes in and out as a whole.

use serde_json::{Value, json};
use till_tests::host::{binary, submit_body, token_for};

use crate::http::{Shop, open, problem};

fn admin() -> String {
    token_for("demo", "boss", "admin", 3600)
}

async fn put(shop: &Shop, id: &str, product: Value) {
    let path = format!("/api/v1/admin/products/{id}");
    let (status, body) = shop.as_other(&admin(), "PUT", &path, Some(&product)).await;
    assert_eq!(status, 200, "{body}");
}

async fn stock(shop: &Shop, sku: &str, units: i64) {
    let path = format!("/api/v1/admin/stock/{sku}/US-WEST-01");
    let (status, body) = shop.as_other(&admin(), "PUT", &path, Some(&json!({ "onHand": units }))).await;
    assert_eq!(status, 200, "{body}");
}

fn shirt() -> Value {
    json!({
        "sku": "SHIRT", "name": "Linen Shirt", "description": "100% flax_", "price": 40, "compareAtPrice": 50,
        "weightGrams": 200, "categories": ["clothes"], "tags": ["summer", "new"],
        "variants": [
            { "sku": "SHIRT-M", "options": { "size": "M" } },
            { "sku": "SHIRT-L", "options": { "size": "L" }, "price": 45.5, "weightGrams": 250 },
            { "sku": "SHIRT-XS", "options": { "size": "XS" }, "isActive": false },
        ],
    })
}

async fn ids(shop: &Shop, query: &str) -> Vec<String> {
    let (status, body) = shop.call("GET", &format!("/api/v1/catalog/products{query}"), None).await;
    assert_eq!(status, 200, "{query}: {body}");
    let products = body["products"].as_array().expect("products").iter();
    products.map(|product| product["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn products_are_found_by_words_labels_price_and_stock() {
    let shop = open().await;
    put(&shop, "SHIRT", shirt()).await;
    put(&shop, "HIDDEN", json!({ "sku": "H", "name": "Hidden shirt", "price": 1, "isActive": false })).await;
    put(&shop, "AUDIO-9", json!({ "sku": "A9", "name": "audio tape", "price": 2, "categories": ["audio"] }))
        .await;
    for (query, found) in [
        ("?q=LINEN%20flax", vec!["SHIRT"]),
        ("?q=shirt-l", vec!["SHIRT"]),
        ("?q=100%25%20flax_", vec!["SHIRT"]),
        ("?q=f_ax", vec![]),
        ("?category=audio", vec!["AUDIO-9", "PROD-12345"]),
        ("?tag=summer", vec!["SHIRT"]),
        ("?category=audio&tag=summer", vec![]),
        ("?minPrice=12.50&maxPrice=40", vec!["PROD-20001", "SHIRT"]),
        ("?inStock=false", vec!["AUDIO-9", "SHIRT"]),
        ("?inStock=true", vec!["PROD-12345", "PROD-20001"]),
        ("?sort=price", vec!["AUDIO-9", "PROD-20001", "SHIRT", "PROD-12345"]),
        ("?sort=-price", vec!["PROD-12345", "SHIRT", "PROD-20001", "AUDIO-9"]),
        ("?sort=name", vec!["AUDIO-9", "PROD-20001", "SHIRT", "PROD-12345"]),
    ] {
        assert_eq!(ids(&shop, query).await, found, "{query}");
    }
    assert_eq!(ids(&shop, "?sort=newest&limit=2").await, ["AUDIO-9", "SHIRT"]);
    stock(&shop, "SHIRT-L", 1).await;
    assert_eq!(ids(&shop, "?inStock=true&tag=new").await, ["SHIRT"]);
    let (_, hidden) = shop.as_other(&admin(), "GET", "/api/v1/admin/products?active=false", None).await;
    assert_eq!(hidden["products"][0]["id"], "HIDDEN", "{hidden}");
    problem(&shop.call("GET", "/api/v1/catalog/products/HIDDEN", None).await, 404, "HIDDEN");
    for (query, word) in [
        ("?q=a%20b%20c%20d%20e%20f", "at most 5"),
        ("?minPrice=1.234", "minPrice"),
        ("?inStock=yes", "true"),
        ("?sort=colour", "newest"),
        ("?cursor=nothing", "nextCursor"),
        ("?active=false", "active"),
    ] {
        problem(&shop.call("GET", &format!("/api/v1/catalog/products{query}"), None).await, 422, word);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_where_they_ended_while_products_come_and_go() {
    let shop = open().await;
    for n in 0..6 {
        put(
            &shop,
            &format!("P{n}"),
            json!({ "sku": format!("S{n}"), "name": format!("Thing {n}"), "price": 7 }),
        )
        .await;
    }
    for sort in ["id", "name", "price", "-price", "newest"] {
        let mut path = format!("?q=thing&sort={sort}&limit=2");
        let mut seen = Vec::new();
        for turn in 0.. {
            let (status, page) = shop.call("GET", &format!("/api/v1/catalog/products{path}"), None).await;
            assert_eq!(status, 200, "{page}");
            let products = page["products"].as_array().expect("products").iter();
            seen.extend(products.map(|p| p["id"].as_str().expect("an id").to_owned()));
            if turn == 0 {
                // In front of the cursor in each order: it moves nobody.
                let before = if sort == "-price" { json!(9) } else { json!(1) };
                put(&shop, "A", json!({ "sku": "SA", "name": "A thing", "price": before })).await;
            }
            match page["nextCursor"].as_str() {
                Some(cursor) => path = format!("?q=thing&sort={sort}&limit=2&cursor={cursor}"),
                None => break,
            }
        }
        seen.retain(|id| id != "A");
        let mut once = seen.clone();
        once.sort();
        assert_eq!(once, ["P0", "P1", "P2", "P3", "P4", "P5"], "by {sort}: {seen:?}");
        let (status, _) = shop.as_other(&admin(), "DELETE", "/api/v1/admin/products/A", None).await;
        assert_eq!(status, 204);
    }
    let (_, page) = shop.call("GET", "/api/v1/catalog/products?limit=1", None).await;
    let cursor = page["nextCursor"].as_str().expect("a cursor");
    let other = format!("/api/v1/catalog/products?sort=price&cursor={cursor}");
    problem(&shop.call("GET", &other, None).await, 422, "same `sort`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_is_sold_at_its_own_price_weight_and_stock() {
    let shop = open().await;
    put(&shop, "SHIRT", shirt()).await;
    stock(&shop, "SHIRT-L", 3).await;
    let (_, complete) = shop.call("GET", "/api/v1/catalog/products/SHIRT/complete", None).await;
    assert_eq!(complete["product"]["variants"][1]["price"], json!(45.5), "{complete}");
    assert_eq!(
        complete["stock"][1],
        json!({ "sku": "SHIRT-L", "available": 3, "warehouses": [{ "warehouseId": "US-WEST-01", "available": 3 }] })
    );
    let (_, pricing) = shop.call("GET", "/api/v1/catalog/products/SHIRT/pricing", None).await;
    assert_eq!(pricing["prices"].as_array().map(Vec::len), Some(2), "those that are sold: {pricing}");

    let add = |sku: Option<&str>| {
        let mut item = json!({ "productId": "SHIRT", "quantity": 2 });
        if let Some(sku) = sku {
            item["sku"] = json!(sku);
        }
        item
    };
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&add(None))).await, 422, "SHIRT-L");
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&add(Some("SHIRT")))).await, 422, "SHIRT-L");
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&add(Some("SHIRT-XS")))).await, 404, "no longer");
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&add(Some("SHIRT-M")))).await, 400, "out of stock");
    let (status, cart) = shop.call("POST", "/api/v1/cart/items", Some(&add(Some("SHIRT-L")))).await;
    assert_eq!(status, 200, "{cart}");
    let line = &cart["cart"]["items"][0];
    assert_eq!((&line["name"], &line["unitPrice"]), (&json!("Linen Shirt (L)"), &json!(45.5)));
    let item = line["id"].as_str().expect("an id");
    let path = format!("/api/v1/cart/items/{item}");
    problem(&shop.call("PUT", &path, Some(&json!({ "quantity": 4 }))).await, 400, "Only 3");

    let (_, session) = shop.call("POST", "/api/v1/checkout/initiate", None).await;
    assert_eq!(session["cart"]["items"][0]["unitPrice"], json!(45.5), "{session}");
    let id = session["checkoutSessionId"].as_str().expect("an id");
    let mut body = submit_body(id, "PM-001");
    body["promotionCodes"] = json!([]);
    body["loyaltyPointsToUse"] = json!(0);
    let (status, order) = shop.call("POST", "/api/v1/checkout/submit", Some(&body)).await;
    assert_eq!(status, 201, "{order}");
    assert_eq!(
        (&order["items"][0]["sku"], &order["items"][0]["name"]),
        (&json!("SHIRT-L"), &json!("Linen Shirt (L)"))
    );
    let (_, complete) = shop.call("GET", "/api/v1/catalog/products/SHIRT/complete", None).await;
    assert_eq!(complete["stock"][1]["available"], 1, "{complete}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_cannot_be_delivered_or_is_gone_is_not_sold() {
    let shop = open().await;
    let far = json!({ "sku": "FAR", "name": "Piano", "price": 1, "stocked": false, "isDeliverable": false });
    put(&shop, "FAR", far.clone()).await;
    let item = json!({ "productId": "FAR", "quantity": 1 });
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&item)).await, 422, "isDeliverable");
    let mut file = far;
    file["kind"] = json!("digital");
    put(&shop, "FAR", file).await;
    assert_eq!(shop.call("POST", "/api/v1/cart/items", Some(&item)).await.0, 200, "nothing is brought");
    assert_eq!(shop.call("GET", "/api/v1/catalog/products/FAR", None).await.0, 200);
    assert_eq!(shop.as_other(&admin(), "DELETE", "/api/v1/admin/products/FAR", None).await.0, 204);
    problem(&shop.call("GET", "/api/v1/catalog/products/FAR", None).await, 404, "FAR");
    problem(&shop.as_other(&admin(), "DELETE", "/api/v1/admin/products/FAR", None).await, 404, "FAR");
    let (_, session) = shop.call("POST", "/api/v1/checkout/initiate", None).await;
    assert!(session.to_string().contains("unavailable"), "{session}");
    problem(&shop.call("DELETE", "/api/v1/admin/products/PROD-12345", None).await, 403, "admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sku_has_one_product() {
    let shop = open().await;
    put(&shop, "SHIRT", shirt()).await;
    let thief = json!({ "sku": "SHIRT-M", "name": "Thief", "price": 1 });
    let answer = shop.as_other(&admin(), "PUT", "/api/v1/admin/products/THIEF", Some(&thief)).await;
    problem(&answer, 422, "`SHIRT-M` of product THIEF belongs to product SHIRT");
    // Two that change places do so in one import.
    let swapped = json!({ "products": [
        { "id": "PROD-12345", "sku": "SKU-CAB-001", "name": "A", "price": 1 },
        { "id": "PROD-20001", "sku": "SKU-ABC-001", "name": "B", "price": 1 },
    ]});
    let (status, body) =
        shop.as_other(&admin(), "POST", "/api/v1/admin/catalog/import", Some(&swapped)).await;
    assert_eq!(status, 200, "{body}");
    let mut again = swapped;
    again["products"][1]["sku"] = json!("SHIRT");
    let answer = shop.as_other(&admin(), "POST", "/api/v1/admin/catalog/import", Some(&again)).await;
    problem(&answer, 422, "belongs to product SHIRT");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_goes_out_and_in_again_all_or_none() {
    let shop = open().await;
    put(&shop, "SHIRT", shirt()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let till = |args: &[&str]| {
        let done = std::process::Command::new(binary())
            .args(args)
            .env("TILL_URL", &shop.host.url)
            .env("TILL_ADMIN_TOKEN", admin())
            .output()
            .expect("run till");
        (
            done.status.success(),
            String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout),
        )
    };
    for name in ["catalog.csv", "catalog.json"] {
        let path = folder.path().join(name);
        let file = path.to_str().expect("a path");
        let (fine, told) = till(&["catalog", "export", file]);
        assert!(fine, "{told}");
        let text = std::fs::read_to_string(&path).expect("the export");
        for id in ["SHIRT", "PROD-12345"] {
            assert_eq!(
                shop.as_other(&admin(), "DELETE", &format!("/api/v1/admin/products/{id}"), None).await.0,
                204
            );
        }
        let (fine, told) = till(&["catalog", "import", file]);
        assert!(fine && told.contains('3'), "{told}");
        let (fine, told) = till(&["catalog", "export", file]);
        assert!(fine, "{told}");
        assert_eq!(std::fs::read_to_string(&path).expect("the export"), text, "{name}");
    }
    let path = folder.path().join("wrong.csv");
    std::fs::write(&path, "id,sku,name,price\nNEW,N,New,1\nBAD,,Bad,-1\n").expect("a file");
    let (fine, told) = till(&["catalog", "import", path.to_str().expect("a path")]);
    assert!(!fine && told.contains("line 3.sku") && told.contains("line 3.price"), "{told}");
    problem(&shop.call("GET", "/api/v1/catalog/products/NEW", None).await, 404, "NEW");
    let many: Vec<Value> = (0..2_001)
        .map(|n| json!({ "id": format!("M{n}"), "sku": format!("M{n}"), "name": "Many", "price": 1 }))
        .collect();
    let answer = shop
        .as_other(&admin(), "POST", "/api/v1/admin/catalog/import", Some(&json!({ "products": many })))
        .await;
    problem(&answer, 422, "at most 2000");
}
