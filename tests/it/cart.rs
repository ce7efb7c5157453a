//! Carts: looked through, emptied, shown from memory, and taken over from guests.

use std::time::Duration;

use serde_json::{Value, json};
use till_commerce::cart::{CartError, NewItem};
use till_commerce::catalog::Product;
use till_commerce::settings::{CartLimits, Settings};
use till_commerce::{Shop, ShopError};
use till_tests::{CUSTOMER, Door, MERCHANT, PRODUCT, SKU, TestTill, WAREHOUSE, headphones};

async fn put(till: &TestTill, product: Product) {
    till.shop.put_product(MERCHANT, &product).await.expect("a product");
}

/// Another product, of which there are some.
async fn stocked(till: &TestTill, name: &str, units: i64) -> Product {
    let product = Product { id: format!("PROD-{name}"), sku: format!("SKU-{name}"), ..headphones() };
    put(till, product.clone()).await;
    till.shop.put_stock(MERCHANT, &product.sku, WAREHOUSE, units).await.expect("stock");
    product
}

async fn add(shop: &Shop, customer: &str, product: &str, quantity: i64) {
    let item = NewItem { product: product.to_owned(), sku: None, quantity, warehouse: None, currency: None };
    shop.add_to_cart(MERCHANT, customer, item, None, None).await.expect("it is put in");
}

async fn price_shown(shop: &Shop) -> i64 {
    shop.cart(MERCHANT, CUSTOMER).await.expect("a cart").items[0].unit_price
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_is_looked_through_in_the_words_of_the_shop_and_brought_up_to_date() {
    let till = TestTill::start().await;
    let door = Door::open(&till).await;
    let validate = async || {
        let (status, told) = door.call(CUSTOMER, "POST", "/api/v1/cart/validate", None).await;
        assert_eq!(status, 200, "{told}");
        told
    };
    let nothing = json!({ "isValid": true, "errors": [], "warnings": [], "updatedItems": [] });
    assert_eq!(validate().await, nothing, "an empty cart");
    let (gone, sold_out) = (stocked(&till, "GONE", 5).await, stocked(&till, "OUT", 5).await);
    for (product, units) in [(PRODUCT, 4), (gone.id.as_str(), 1), (sold_out.id.as_str(), 1)] {
        add(&till.shop, CUSTOMER, product, units).await;
    }
    let before = till.shop.cart(MERCHANT, CUSTOMER).await.expect("a cart").version;
    assert_eq!(validate().await, nothing);
    assert_eq!(
        till.shop.cart(MERCHANT, CUSTOMER).await.expect("a cart").version,
        before,
        "nothing was written"
    );

    put(&till, Product { price: 25_999, ..headphones() }).await;
    till.stock_is(3).await;
    put(&till, Product { active: false, ..gone.clone() }).await;
    till.shop.put_stock(MERCHANT, &sold_out.sku, WAREHOUSE, 0).await.expect("stock");
    let told = validate().await;
    assert_eq!(told["isValid"], false);
    let brief = |list: &Value| -> Vec<Value> {
        let all = list.as_array().expect("a list").iter();
        all.map(|one| json!([one["productId"], one["message"]])).collect()
    };
    let errors =
        [json!([gone.id, "Product no longer available"]), json!([sold_out.id, "Product out of stock"])];
    assert_eq!(brief(&told["errors"]), errors);
    let warnings = [json!([PRODUCT, "Only 3 items available"]), json!([PRODUCT, "Price has changed"])];
    assert_eq!(brief(&told["warnings"]), warnings);
    assert_eq!(told["warnings"][0]["availableQuantity"], 3);
    let prices = (told["warnings"][1]["oldPrice"].to_string(), told["warnings"][1]["newPrice"].to_string());
    assert_eq!(prices, ("249.99".to_owned(), "259.99".to_owned()));
    let updated = told["updatedItems"].as_array().expect("a list");
    assert_eq!(updated.len(), 1, "{told}");
    assert_eq!(
        (&updated[0]["quantity"], updated[0]["unitPrice"].to_string()),
        (&json!(3), "259.99".to_owned())
    );

    let again = validate().await;
    assert_eq!(brief(&again["errors"]), errors, "what cannot be bought stays until it is taken out");
    assert_eq!((&again["warnings"], &again["updatedItems"]), (&json!([]), &json!([])), "told once");
    let (status, empty) = door.call(CUSTOMER, "DELETE", "/api/v1/cart", None).await;
    assert_eq!((status, &empty["cart"]["items"]), (200, &json!([])));
    assert_eq!(validate().await, nothing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_that_was_changed_since_is_neither_looked_through_nor_emptied() {
    let till = TestTill::start().await;
    add(&till.shop, CUSTOMER, PRODUCT, 1).await;
    let stale = till.shop.validate_cart(MERCHANT, CUSTOMER, Some(77)).await;
    assert!(matches!(stale, Err(ShopError::Cart(CartError::Version { expected: 77, .. }))), "{stale:?}");
    let stale = till.shop.clear_cart(MERCHANT, CUSTOMER, Some(77)).await;
    assert!(matches!(stale, Err(ShopError::Cart(CartError::Version { expected: 77, .. }))), "{stale:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_is_shown_from_memory_for_five_minutes_and_never_an_old_one() {
    let till = TestTill::start().await;
    add(&till.shop, CUSTOMER, PRODUCT, 1).await;
    assert_eq!(price_shown(&till.shop).await, 24_999);

    // Another host changes the price: it is written, and this host is told nothing.
    let dearer = Product { price: 30_000, ..headphones() }.row().expect("a row");
    let written = till.store.transact(move |tx| {
        let dearer = dearer.clone();
        Box::pin(async move { tx.put_product(MERCHANT, &dearer, 0).await })
    });
    written.await.expect("it is written");
    till.advance(Duration::from_secs(299)).await;
    assert_eq!(price_shown(&till.shop).await, 24_999, "shown from memory");
    till.advance(Duration::from_secs(1)).await;
    assert_eq!(price_shown(&till.shop).await, 30_000, "after five minutes it is read again");

    put(&till, Product { price: 40_000, ..headphones() }).await;
    assert_eq!(price_shown(&till.shop).await, 40_000, "a change by this host is seen at once");

    let other = till.another_shop();
    add(&other, CUSTOMER, PRODUCT, 1).await;
    let cart = till.shop.cart(MERCHANT, CUSTOMER).await.expect("a cart");
    assert_eq!(cart.items[0].quantity, 2, "so is a change of the cart by another one");
    other.clear_cart(MERCHANT, CUSTOMER, None).await.expect("it is emptied");
    assert!(till.shop.cart(MERCHANT, CUSTOMER).await.expect("a cart").items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_cart_becomes_the_customers_once_and_what_does_not_fit_is_told() {
    let limits = CartLimits { lines_max: 3, quantity_max: 5, ..CartLimits::default() };
    let till = TestTill::with(&Settings { limits, ..Settings::default() }).await;
    let door = Door::open(&till).await;
    let guest = "guest_0190";
    let (scarce, gone) = (stocked(&till, "SCARCE", 4).await, stocked(&till, "GONE", 4).await);
    let (third, fourth) = (stocked(&till, "THIRD", 9).await, stocked(&till, "FOURTH", 9).await);
    add(&till.shop, CUSTOMER, PRODUCT, 4).await;
    add(&till.shop, CUSTOMER, &scarce.id, 3).await;
    for (who, product) in [(guest, PRODUCT), (guest, &scarce.id), (guest, &third.id)] {
        add(&till.shop, who, product, 2).await;
    }
    let merge = async |who: &str, token: &str| {
        door.call(who, "POST", "/api/v1/cart/merge", Some(&json!({ "guestToken": token }))).await
    };
    let token = door.token(guest);
    for (who, token, status) in [
        (guest, token.as_str(), 403),
        (CUSTOMER, &door.token("CUST-OTHER"), 422),
        (CUSTOMER, &door.token(CUSTOMER), 422),
        (CUSTOMER, "forged", 422),
    ] {
        assert_eq!(merge(who, token).await.0, status, "{who}");
    }
    let units = |answer: &Value| -> Vec<(String, u64)> {
        let items = answer["cart"]["items"].as_array().expect("items").iter();
        items
            .map(|i| (i["sku"].as_str().unwrap_or_default().to_owned(), i["quantity"].as_u64().unwrap_or(0)))
            .collect()
    };
    let words = |answer: &Value| -> Vec<String> {
        let all = answer["warnings"].as_array().expect("warnings").iter();
        all.map(|w| format!("{}: {}", w["productId"].as_str().unwrap_or_default(), w["message"])).collect()
    };
    let (status, merged) = merge(CUSTOMER, &token).await;
    assert_eq!(status, 200, "{merged}");
    let sum = [(SKU.to_owned(), 5), (scarce.sku.clone(), 4), (third.sku.clone(), 2)];
    assert_eq!(units(&merged), sum);
    let told = [
        format!("{PRODUCT}: \"Only 5 items of a product fit into the cart\""),
        format!("{}: \"Only 1 items available\"", scarce.id),
    ];
    assert_eq!(words(&merged), told);
    let (_, left) = door.call(guest, "GET", "/api/v1/cart", None).await;
    assert_eq!(left["cart"]["items"], json!([]), "the guest's cart is no more");
    let (status, again) = merge(CUSTOMER, &token).await;
    assert_eq!((status, units(&again)), (200, sum.to_vec()), "once");

    add(&till.shop, guest, &fourth.id, 1).await;
    add(&till.shop, guest, &gone.id, 1).await;
    put(&till, Product { active: false, ..gone.clone() }).await;
    let (_, full) = merge(CUSTOMER, &token).await;
    assert_eq!(units(&full), sum);
    let told = [
        format!("{}: \"Only 3 products fit into the cart\"", fourth.id),
        format!("{}: \"Product no longer available\"", gone.id),
    ];
    assert_eq!(words(&full), told);
}
