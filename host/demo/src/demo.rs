//! `cargo xtask demo`: the main job on embedded SQLite, seen from outside through HTTP.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::host::{Process, Shop};

const CUSTOMER: &str = "CUST-12345";
const DATABASE: &str = "till.db";

struct Demo {
    shop: Shop,
}

/// Runs the demo. With `keep` the host goes on serving until Ctrl-C.
pub fn run(root: &Path, target: &Path, keep: bool) -> Result<()> {
    let started = Instant::now();
    let folder = target.join("demo");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let demo = Demo { shop: Shop::new(root, target, &folder, "debug") };
    demo.play(keep, started)
}

impl Demo {
    fn play(&self, keep: bool, started: Instant) -> Result<()> {
        step("Starting the gateway simulator and the host on a fresh SQLite file");
        let simulator = self.shop.simulator()?;
        let host = self.shop.host(DATABASE)?;
        let port: u16 = host.url.rsplit(':').next().unwrap_or_default().parse().context("the port")?;
        println!("   host      {}\n   simulator {}", host.url, simulator.url);
        let shopper = self.shop.token(&["--customer", CUSTOMER])?;
        let admin = self.shop.token(&["--customer", "admin", "--scope", "admin operator"])?;

        step("Pushing five components through the admin API");
        for line in self.shop.push_all(&host.url, &simulator.url)? {
            println!("   {line}");
        }

        step("A shopper buys two headphones with SUMMER2024 and 500 points");
        let order = self.worked_example(&host.url, &shopper)?;
        let path = format!("/api/v1/orders/{}", order["orderId"].as_str().context("an order id")?);
        receipt(&self.call("GET", &host.url, &path, &shopper, None)?.1);
        let total = order["pricing"]["total"].as_number().map(ToString::to_string);
        ensure!(total.as_deref() == Some("471.17"), "the total is {total:?}, not 471.17");

        step("A merchant adds a promotion component while a session is open: no rebuild, no restart");
        self.add_to_cart(&host.url, &shopper)?;
        let open = self.call("POST", &host.url, "/api/v1/checkout/initiate", &shopper, None)?.1;
        let autumn = self.shop.folder.join("autumn.json");
        std::fs::write(&autumn, json!({ "title": "Autumn days", "ppm": 100_000 }).to_string())?;
        println!("   {}", self.shop.push(&host.url, "promotion", "20", "percent-off", &autumn, &[])?);
        let id = open["checkoutSessionId"].as_str().context("a session")?;
        let path = format!("/api/v1/checkout/{id}");
        let kept = self.call("PUT", &host.url, &path, &shopper, Some(&json!({ "promotionCodes": [] })))?.1;
        let next = self.call("POST", &host.url, "/api/v1/checkout/initiate", &shopper, None)?.1;
        let discounts = |session: &Value| amount(&session["quote"]["totals"]["discounts"]);
        println!("   the open session keeps what it started with: discounts {}", discounts(&kept));
        println!("   the next session has the new promotion:      discounts {}", discounts(&next));
        ensure!(discounts(&kept) != discounts(&next), "the swap is not seen");

        step("The host is killed (SIGKILL) after the gateway has charged, before the outcome is recorded");
        let charges = self.charges(&simulator)?;
        self.simulate(&simulator, "capture", "timeout_after")?;
        let id = next["checkoutSessionId"].as_str().context("a session")?.to_owned();
        let body = json!({
            "checkoutSessionId": id,
            "shippingMethod": "standard",
            "paymentMethod": { "id": "PM-001", "type": "credit_card" },
        });
        let (client, bearer) = (self.shop.client().clone(), shopper.clone());
        let url = format!("{}/api/v1/checkout/submit", host.url);
        let submit = std::thread::spawn(move || {
            client
                .post(url)
                .bearer_auth(bearer)
                .header("content-type", "application/json")
                .body(body.to_string())
                .send()
        });
        wait(Duration::from_secs(20), "the charge", || Ok(self.charges(&simulator)? > charges))?;
        host.kill()?;
        let lost = submit.join().is_ok_and(|answer| answer.is_err());
        let how = if lost { "broke without an answer" } else { "was answered" };
        println!("   the gateway has charged; the shopper's connection {how}");
        let host = self.shop.host_on(port, DATABASE)?;
        println!("   the host is back; it asks the gateway before it sends anything");
        let path = format!("/api/v1/checkout/{id}");
        wait(Duration::from_secs(60), "the order", || {
            Ok(self.call("GET", &host.url, &path, &shopper, None)?.1["status"] == "confirmed")
        })?;
        let made = self.charges(&simulator)? - charges;
        let orders = self.call("GET", &host.url, "/api/v1/orders", &shopper, None)?.1;
        let orders = orders["orders"].as_array().or_else(|| orders["items"].as_array()).map_or(0, Vec::len);
        println!("   charges for it: {made}   orders of the shopper: {orders} (one before, one now)");
        ensure!(made == 1 && orders == 2, "money was lost or doubled");

        println!("\nDone in {} s.", started.elapsed().as_secs());
        if keep { self.serve(host, &simulator, &shopper, &admin) } else { Ok(()) }
    }

    fn worked_example(&self, url: &str, token: &str) -> Result<Value> {
        self.add_to_cart(url, token)?;
        let session = self.call("POST", url, "/api/v1/checkout/initiate", token, None)?.1;
        let address = json!({ "street": "123 Main St", "city": "San Francisco", "state": "CA", "zipCode": "94105", "country": "US" });
        let body = json!({
            "checkoutSessionId": session["checkoutSessionId"],
            "shippingAddress": address,
            "billingAddress": address,
            "paymentMethod": { "id": "PM-001", "type": "credit_card" },
            "shippingMethod": "standard",
            "promotionCodes": ["SUMMER2024"],
            "loyaltyPointsToUse": 500,
            "notes": "Please deliver after 5 PM"
        });
        let (status, order) = self.call("POST", url, "/api/v1/checkout/submit", token, Some(&body))?;
        ensure!(status == 201, "submit answered {status}: {order}");
        Ok(order)
    }

    fn add_to_cart(&self, url: &str, token: &str) -> Result<()> {
        let item = json!({ "productId": "PROD-12345", "sku": "SKU-ABC-001", "quantity": 2, "warehouseId": "US-WEST-01" });
        let (status, body) = self.call("POST", url, "/api/v1/cart/items", token, Some(&item))?;
        ensure!(status == 200, "the cart answered {status}: {body}");
        Ok(())
    }

    fn call(
        &self,
        method: &str,
        url: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        self.shop.call(method, url, path, token, body)
    }

    fn charges(&self, simulator: &Process) -> Result<usize> {
        let text = self.shop.client().get(format!("{}/admin/charges", simulator.url)).send()?.text()?;
        let all: Value = serde_json::from_str(&text)?;
        let rows = all["charges"].as_array().cloned().unwrap_or_default();
        Ok(rows.iter().filter(|c| c["operation"] == "capture" || c["kind"] == "capture").count())
    }

    fn simulate(&self, simulator: &Process, operation: &str, behaviour: &str) -> Result<()> {
        let body = json!({ "operation": operation, "behaviour": behaviour, "times": 1 });
        let url = format!("{}/admin/behaviour", simulator.url);
        let request =
            self.shop.client().post(url).header("content-type", "application/json").body(body.to_string());
        request.send()?.error_for_status()?;
        Ok(())
    }

    fn serve(&self, host: Process, simulator: &Process, shopper: &str, admin: &str) -> Result<()> {
        let env = self.shop.folder.join("env");
        std::fs::write(
            &env,
            format!(
                "export TILL_URL={}\nexport TILL_TOKEN={shopper}\nexport TILL_ADMIN_TOKEN={admin}\nexport TILL_SIMULATOR_URL={}\n",
                host.url, simulator.url
            ),
        )?;
        println!("\nServing until Ctrl-C. In another shell:\n\n  source target/demo/env");
        for line in [
            r#"curl -s $TILL_URL/healthz"#,
            r#"curl -s $TILL_URL/api/v1/catalog/products -H "Authorization: Bearer $TILL_TOKEN""#,
            r#"curl -s $TILL_URL/api/v1/cart/items -H "Authorization: Bearer $TILL_TOKEN" -H 'Content-Type: application/json' -d '{"productId":"PROD-12345","quantity":1}'"#,
            r#"curl -s -X POST $TILL_URL/api/v1/checkout/initiate -H "Authorization: Bearer $TILL_TOKEN""#,
            r#"curl -s $TILL_URL/api/v1/orders -H "Authorization: Bearer $TILL_TOKEN""#,
            r#"curl -s "$TILL_URL/api/v1/workflows/instances?workflow=checkout" -H "Authorization: Bearer $TILL_ADMIN_TOKEN""#,
            r#"curl -s $TILL_SIMULATOR_URL/admin/charges"#,
        ] {
            println!("  {line}");
        }
        std::io::stdout().flush()?;
        // Ctrl-C reaches the whole group: the host drains and ends, then so does this.
        host.wait()
    }
}

fn step(text: &str) {
    println!("\n== {text}");
    let _ = std::io::stdout().flush();
}

fn wait(limit: Duration, what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + limit;
    while !done()? {
        ensure!(Instant::now() < until, "{what} did not come within {} s", limit.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The order as a receipt, with the reason for each amount.
fn receipt(order: &Value) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line = |left: &str, right: &str| println!("   {left:<58}{right:>10}");
    let pricing = &order["pricing"];
    println!("   order {}   {}", text(&order["orderNumber"]), text(&order["status"]));
    for item in order["items"].as_array().into_iter().flatten() {
        let what =
            format!("{} x {} at {}", item["quantity"], text(&item["name"]), amount(&item["unitPrice"]));
        line(&what, &amount(&item["totalPrice"]));
    }
    for discount in pricing["discounts"].as_array().into_iter().flatten() {
        let what = discount["code"]
            .as_str()
            .map_or_else(|| format!("{} points", discount["pointsUsed"]), str::to_owned);
        line(&format!("{} ({what})", text(&discount["type"])), &format!("-{}", amount(&discount["amount"])));
    }
    line(&format!("shipping, {}", text(&order["shipping"]["method"])), &amount(&pricing["shipping"]));
    line("tax", &amount(&pricing["tax"]));
    line(&format!("total {}", text(&pricing["currency"])), &amount(&pricing["total"]));
    let points = &order["loyalty"];
    println!(
        "   points: earned {}, used {}, balance {}",
        points["pointsEarned"], points["pointsUsed"], points["newBalance"]
    );
    println!("   why:");
    for entry in order["trace"].as_array().into_iter().flatten() {
        let reasons: Vec<String> =
            entry["reasons"].as_array().into_iter().flatten().map(|r| text(&r["text"])).collect();
        let what = format!("{} {}", text(&entry["what"]), entry["subject"].as_str().unwrap_or_default());
        let sum = entry.get("amount").map(amount).unwrap_or_default();
        println!(
            "     {:<11}{:<15}{what:<34}{sum:>9}  {}",
            text(&entry["stage"]),
            text(&entry["by"]),
            reasons.join("; ")
        );
    }
}

/// An amount of US dollars with both its cents; on its way through JSON a last zero may have gone.
fn amount(value: &Value) -> String {
    let text = value.to_string();
    match text.split_once('.') {
        Some((whole, cents)) => format!("{whole}.{cents:0<2}"),
        None => format!("{text}.00"),
    }
}
