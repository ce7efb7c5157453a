//! Short forms of a request: what an integrator writes, made into the whole record.
//!
//! A cart is lines with a SKU, a price and a quantity. What follows from it (line states, subtotal,
//! taxable lines, shipping groups) is derived where the request does not say it itself.

use crate::Function;
use crate::decode::snake;
use serde_json::{Map, Value, json};
use till_sandbox::Slot;

/// An idempotency key as the host makes them: 32 characters `a-z2-7`.
const KEY: &str = "kitkitkitkitkitkitkitkitkitkitki";

/// What a fixture says of the request.
pub(crate) struct Short<'a> {
    pub(crate) function: Function,
    pub(crate) cart: Option<&'a Value>,
    pub(crate) ship_to: Option<&'a Value>,
    pub(crate) request: Option<&'a Value>,
}

/// The place, from the request on, and what is wrong there.
pub(crate) type Wrong = (String, String);

/// The request, with all that follows from its short forms.
pub(crate) fn whole(short: &Short<'_>) -> Result<Value, Wrong> {
    let mut request = match short.request {
        None => Map::new(),
        Some(Value::Object(fields)) => snaked(fields),
        Some(_) => return Err(("request".to_owned(), "must be an object".to_owned())),
    };
    if short.function.only_of_slot() {
        if let Some(cart) = short.cart.cloned().or_else(|| request.remove("cart")) {
            derive(short, &mut request, cart)?;
        }
        if let Some(ship_to) = short.ship_to {
            match short.function {
                Function::Calculate => or_insert(&mut request, "ship_to", ship_to.clone()),
                Function::Rates => {}
                other => {
                    let what = format!("`{other}` takes no address: use it for tax and shipping");
                    return Err(("shipTo".to_owned(), what));
                }
            }
        }
    } else {
        if short.cart.is_some() {
            let what = format!(
                "a {} sees no cart: write `request`{}",
                short.function.slot(),
                match short.function.slot() {
                    Slot::PaymentGateway => " with an `attempt`",
                    _ => "",
                }
            );
            return Err(("cart".to_owned(), what));
        }
        attempt(short, &mut request);
    }
    Ok(Value::Object(request))
}

impl Function {
    fn only_of_slot(self) -> bool {
        self.slot().is_pure()
    }
}

fn snaked(fields: &Map<String, Value>) -> Map<String, Value> {
    fields.iter().map(|(name, value)| (snake(name), value.clone())).collect()
}

fn or_insert(fields: &mut Map<String, Value>, name: &str, value: Value) {
    fields.entry(name).or_insert(value);
}

/// Completes the cart and puts what follows from it into the request.
fn derive(short: &Short<'_>, request: &mut Map<String, Value>, cart: Value) -> Result<(), Wrong> {
    let Value::Object(cart) = cart else {
        return Err(("cart".to_owned(), "must be an object with `lines`".to_owned()));
    };
    let mut cart = snaked(&cart);
    let written = match cart.remove("lines") {
        None => Vec::new(),
        Some(Value::Array(lines)) => lines,
        Some(_) => return Err(("cart.lines".to_owned(), "must be a list".to_owned())),
    };
    let mut lines = Vec::with_capacity(written.len());
    for (index, line) in written.iter().enumerate() {
        lines.push(complete(line, index).map_err(|what| (format!("cart.lines[{index}]"), what))?);
    }
    let mut totals = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        totals.push(total(line).map_err(|what| (format!("cart.lines[{index}]"), what))?);
    }
    let sum = totals.iter().try_fold(0_i64, |sum, total| sum.checked_add(*total));
    let sum = sum.ok_or_else(|| ("cart".to_owned(), "its total does not fit into 64 bits".to_owned()))?;
    match short.function {
        Function::Evaluate => {
            let states = lines.iter().zip(&totals).map(|(line, total)| {
                json!({"line": line["id"], "unit_price": line["catalog_price"],
                       "original": total, "remaining": total})
            });
            or_insert(request, "lines", states.collect());
            or_insert(request, "subtotal", sum.into());
        }
        Function::Calculate => {
            if let Some(customer) = cart.get("customer") {
                or_insert(request, "customer", customer.clone());
            }
            let taxable = lines.iter().zip(&totals).map(|(line, total)| {
                json!({"line": line["id"], "product": line["product"], "sku": line["sku"],
                       "kind": line["kind"], "tax_class": line["tax_class"], "quantity": line["quantity"],
                       "net": total, "includes_tax": line["price_includes_tax"], "ship_from": null})
            });
            or_insert(request, "lines", taxable.collect());
            return Ok(()); // Tax sees lines and no cart.
        }
        Function::Rates => {
            let sent =
                |line: &Map<String, Value>| line["kind"].as_str().map(snake).as_deref() == Some("physical");
            let goods = lines.iter().zip(&totals).filter(|(line, _)| sent(line));
            let goods = goods.map(|(line, total)| {
                json!({"line": line["id"], "units": line["quantity"], "weight_g": line["weight_g"],
                       "value": total, "tags": line.get("tags").cloned().unwrap_or_else(|| json!([]))})
            });
            let group = json!({"id": "G1", "lines": goods.collect::<Value>(), "destination": short.ship_to});
            or_insert(request, "groups", json!([group]));
            or_insert(request, "goods_total", sum.into());
        }
        Function::Assess => or_insert(request, "total", sum.into()),
        _ => {}
    }
    cart.insert("lines".to_owned(), lines.into_iter().map(Value::Object).collect());
    request.insert("cart".to_owned(), Value::Object(cart));
    Ok(())
}

/// A line of the cart with what nearly all lines have in common.
fn complete(line: &Value, index: usize) -> Result<Map<String, Value>, String> {
    let Value::Object(line) = line else { return Err("must be an object".to_owned()) };
    let mut line = snaked(line);
    if let Some(price) = line.remove("price")
        && line.insert("catalog_price".to_owned(), price).is_some()
    {
        return Err("`price` and `catalog_price` are the same: write one".to_owned());
    }
    or_insert(&mut line, "id", format!("L{}", index + 1).into());
    let named = line.get("sku").or_else(|| line.get("product")).cloned();
    let named = named.unwrap_or_else(|| format!("SKU-{}", index + 1).into());
    for (name, value) in [
        ("sku", named.clone()),
        ("product", named.clone()),
        ("title", named),
        ("quantity", json!(1)),
        ("kind", json!("physical")),
        ("price_includes_tax", json!(false)),
        ("tax_class", json!("standard")),
        ("weight_g", json!(0)),
    ] {
        or_insert(&mut line, name, value);
    }
    Ok(line)
}

fn total(line: &Map<String, Value>) -> Result<i64, String> {
    let number = |name: &str| line.get(name).and_then(Value::as_i64);
    let price = number("catalog_price")
        .ok_or_else(|| "`price` is missing or not whole: write minor units, 1000 for 10.00".to_owned())?;
    let quantity = number("quantity").ok_or_else(|| "`quantity` is not a whole number".to_owned())?;
    price.checked_mul(quantity).ok_or_else(|| "price × quantity does not fit into 64 bits".to_owned())
}

/// What follows from the function and the attempt in a request of a gateway.
fn attempt(short: &Short<'_>, request: &mut Map<String, Value>) {
    let operation = match short.function {
        Function::Capture => "capture",
        Function::Void => "void",
        Function::Refund => "refund",
        _ => "authorize",
    };
    if let Some(Value::Object(attempt)) = request.get_mut("attempt") {
        or_insert(attempt, "operation", operation.into());
        let amount = attempt.get("amount").cloned();
        if let (Function::Capture | Function::Refund, Some(amount)) = (short.function, amount) {
            or_insert(request, "amount", amount);
        }
    }
}

/// What fields are when nothing is written, in requests. The amounts of a case and what it is about are
/// not among them.
pub(crate) fn defaults(currency: &str) -> impl Fn(&str, &str) -> Option<Value> {
    let currency = currency.to_owned();
    move |record, field| {
        Some(match (record, field) {
            ("Money", "currency") => json!(currency),
            ("Cart", "id") => json!("cart_1"),
            ("Customer", "id") => json!("customer_1"),
            ("Customer", "orders_count") => json!(0),
            ("Address", "company" | "region" | "phone" | "name" | "city" | "postal_code") => json!(""),
            ("Group", "id") => json!("G1"),
            ("GroupLine", "units") => json!(1),
            ("GroupLine" | "Parcel", "weight_g") => json!(0),
            ("TaxableLine", "quantity") => json!(1),
            ("TaxableLine", "kind") => json!("physical"),
            ("TaxableLine" | "TaxableShipping", "tax_class") => json!("standard"),
            ("TaxableLine" | "TaxableShipping", "includes_tax") => json!(false),
            ("TaxableLine", "product" | "sku") => json!(""),
            ("Attempt", "key") => json!(KEY),
            ("Attempt", "order") => json!("ord_1"),
            ("Attempt", "order_number") => json!("ORD-1"),
            ("Instrument", "id") => json!("pm_1"),
            ("Instrument", "kind") => json!("credit_card"),
            ("Instrument", "last4") => json!("4242"),
            ("Instrument", "brand") => json!("visa"),
            ("Instrument", "off_session") => json!(false),
            ("Shopper", "id") => json!("customer_1"),
            ("Shopper", "email") => json!("shopper@example.com"),
            ("Shopper", "ip") => json!("203.0.113.1"),
            ("Shopper", "user_agent") => json!("till-kit"),
            ("Shopper", "return_url") => json!("https://shop.example/return"),
            ("PaymentRequest", "capture") => json!(true),
            ("CaptureRequest", "final_capture") => json!(true),
            ("RefundRequest", "refund_id") => json!("refund_1"),
            ("RefundRequest", "reason") => json!(""),
            ("RiskRequest", "email") => json!("shopper@example.com"),
            ("RiskRequest", "ip") => json!("203.0.113.1"),
            ("RiskRequest", "method_kind") => json!("credit_card"),
            ("RiskRequest", "method_brand") => json!("visa"),
            ("RiskRequest", "method_last4") => json!("4242"),
            ("RiskRequest", "history") => json!({}),
            ("History", name) if name != "first_order_ms" => json!(0),
            ("Consignment", "key") => json!(KEY),
            ("Consignment", "shipment") => json!("shp_1"),
            ("Consignment", "order") => json!("ord_1"),
            ("Consignment", "order_number") => json!("ORD-1"),
            ("Consignment", "method") => json!("standard"),
            ("Consignment", "email") => json!("shopper@example.com"),
            ("Consignment", "carrier" | "service" | "notes") => json!(""),
            ("Consignment" | "ParcelLine", "weight_g") => json!(0),
            ("ParcelLine", "units") => json!(1),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;
    use till_sandbox::wit::{gateway, pricing, promotion, shipping, tax};

    fn short(function: Function, cart: Option<Value>, request: Option<Value>) -> Result<Value, Wrong> {
        let ship_to = matches!(function, Function::Calculate | Function::Rates)
            .then(|| json!({"country": "US", "region": "CA"}));
        whole(&Short { function, cart: cart.as_ref(), ship_to: ship_to.as_ref(), request: request.as_ref() })
    }

    fn two_lines() -> Option<Value> {
        Some(json!({
            "lines": [{"sku": "A", "price": 1000, "quantity": 2}, {"catalogPrice": 5, "kind": "digital"}],
            "codes": ["SUMMER"], "customer": {"groups": ["trade"]}
        }))
    }

    #[test]
    fn a_cart_of_prices_and_quantities_is_a_whole_request_for_every_slot() {
        let whole = |function| short(function, two_lines(), None).unwrap();
        let house = defaults("USD");

        let price: pricing::PriceRequest = decode(whole(Function::Price), &house).unwrap();
        assert_eq!((price.cart.lines[0].title.as_str(), price.cart.lines[1].id.as_str()), ("A", "L2"));

        let promotion: promotion::PromotionRequest = decode(whole(Function::Evaluate), &house).unwrap();
        assert_eq!((promotion.subtotal, promotion.lines[0].remaining), (2_005, 2_000));
        assert_eq!(promotion.cart.codes[0].code, "SUMMER");

        let tax: tax::TaxRequest = decode(whole(Function::Calculate), &house).unwrap();
        assert_eq!((tax.lines[0].net, tax.ship_to.unwrap().region.as_str()), (2_000, "CA"));
        assert_eq!(tax.customer.unwrap().groups, ["trade"]);

        let rates: shipping::RateRequest = decode(whole(Function::Rates), &house).unwrap();
        assert_eq!((rates.groups[0].lines.len(), rates.goods_total), (1, 2_005));
        assert_eq!(rates.groups[0].destination.as_ref().unwrap().country, "US");
    }

    #[test]
    fn what_the_request_says_itself_stays() {
        let said = Some(json!({"subtotal": 7, "lines": []}));
        let request = short(Function::Evaluate, two_lines(), said).unwrap();
        assert_eq!((&request["subtotal"], &request["lines"]), (&json!(7), &json!([])));
    }

    #[test]
    fn a_gateway_needs_an_amount_and_what_it_is_asked() {
        let said = Some(json!({"attempt": {"amount": {"minor": 500}}}));
        let house = defaults("EUR");
        let request: gateway::RefundRequest =
            decode(short(Function::Refund, None, said).unwrap(), &house).unwrap();
        assert_eq!(request.attempt.operation, gateway::Operation::Refund);
        assert_eq!((request.amount.minor, request.amount.currency.as_str()), (500, "EUR"));
        assert_eq!(request.attempt.key.len(), 32);
        let none = decode::<gateway::CaptureRequest>(short(Function::Capture, None, None).unwrap(), &house);
        assert!(none.unwrap_err().to_string().starts_with("$.attempt.operation: is missing"));
        let (place, what) = short(Function::Find, two_lines(), None).unwrap_err();
        assert!(place == "cart" && what.contains("attempt"));
    }

    #[test]
    fn a_line_without_a_price_is_told() {
        let (place, what) = short(Function::Price, Some(json!({"lines": [{"sku": "A"}]})), None).unwrap_err();
        assert_eq!(place, "cart.lines[0]");
        assert!(what.contains("minor units"), "{what}");
        let huge = json!({"lines": [{"price": i64::MAX, "quantity": 2}]});
        assert!(short(Function::Price, Some(huge), None).is_err());
    }
}
