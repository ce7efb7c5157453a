//! The router over an empty shop: what every request passes, whatever it is for.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use till_commerce::Shop;
use till_commerce::checkout::CheckoutSteps;
use till_commerce::checkout::steps::Numbers;
use till_commerce::events::Events;
use till_engine::ports::Clock;
use till_engine::runner::Runner;
use till_registry::{Registry, Vault};
use till_sandbox::{Sandbox, SandboxConfig};
use till_store::{Options, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;
use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::read::Fields;
use crate::routes::{admin, cart, checkout, components, customers, products, workflows};
use crate::{App, Auth, Claims, Metrics, router};

/// 2024-08-10T14:30:00Z.
const NOW_US: i64 = 1_723_300_200_000_000;

struct Still;

impl Clock for Still {
    fn now_us(&self) -> i64 {
        NOW_US
    }
}

struct Bench {
    router: Router,
    auth: Auth,
    metrics: Metrics,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn open() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("till.db").display());
        let store = Arc::new(Store::open(&Options::new(&url)).await.unwrap());
        let config = SandboxConfig { pure_threads: 1, ..SandboxConfig::default() };
        let sandbox = Sandbox::new(config).unwrap();
        let registry = Arc::new(Registry::new(store.clone(), sandbox, Vault::new(&[1; 32])));
        let numbers = Arc::new(Numbers::new(store.clone()));
        let steps = Arc::new(CheckoutSteps::new(store.clone(), registry.clone(), numbers.clone()));
        let runner = Runner::new(store.clone(), steps, Arc::new(Still), "test");
        let nap = "till: workflow/1\nid: nap\nrevision: 1\ninitial: asleep\ninputs: [bed]\nsignals: { wake: { from: shopper } }\nstates:\n  asleep: { on: { wake: awake }, after: { 5m: awake } }\n  awake: { type: final }\n";
        runner.publish("*", nap).await.unwrap_or_else(|e| panic!("{e:?}"));
        let events = Events::new(store.clone(), registry.clone(), Arc::new(Still)).unwrap();
        let shop = Arc::new(Shop::new(store, registry.clone(), runner.clone(), numbers));
        let auth = Auth::none().hs256(b"a secret of 32 bytes, or of more").unwrap();
        let metrics = Metrics::new(runner.store().clone());
        let origins = Arc::from(["https://shop.example".to_owned()]);
        let events = Arc::new(events);
        let app =
            App { shop, runner, events, registry, auth: auth.clone(), metrics: metrics.clone(), origins };
        let router = router(app);
        Bench { router, auth, metrics, _dir: dir }
    }

    fn token(&self, sub: &str, merchant: &str, scope: &str) -> String {
        let exp = NOW_US / 1_000_000 + 3600;
        let (sub, merchant, scope) = (sub.to_owned(), merchant.to_owned(), scope.to_owned());
        let token = self.auth.mint(&Claims { sub, merchant, scope, exp, ..Claims::default() }).unwrap();
        format!("Bearer {token}")
    }

    async fn send(&self, request: Request<Body>) -> (Response<()>, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        (Response::from_parts(parts, ()), value)
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (Response<()>, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::AUTHORIZATION, token);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |b| Body::from(b.to_string()));
        self.send(request.body(body).unwrap()).await
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn every_request_has_an_id_and_every_error_is_a_problem() {
    let bench = Bench::open().await;
    let (response, _) = bench.send(get("/healthz")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers()["x-request-id"].is_empty());
    let (response, _) = bench.send(get("/readyz")).await;
    assert_eq!(response.status(), StatusCode::OK);

    let request = Request::get("/nowhere").header("x-request-id", "mine-1").body(Body::empty()).unwrap();
    let (response, problem) = bench.send(request).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(response.headers()["x-request-id"], "mine-1");
    assert_eq!((&problem["code"], &problem["trace_id"]), (&json!("unknown-route"), &json!("mine-1")));

    let request =
        Request::get("/healthz").header("x-request-id", "no blanks, please").body(Body::empty()).unwrap();
    assert_ne!(bench.send(request).await.0.headers()["x-request-id"], "no blanks, please");

    let request = Request::patch("/api/v1/cart").body(Body::empty()).unwrap();
    let (response, problem) = bench.send(request).await;
    assert_eq!(
        (response.status(), &problem["code"]),
        (StatusCode::METHOD_NOT_ALLOWED, &json!("method-not-allowed"))
    );
    assert!(response.headers().contains_key(header::ALLOW));
}

#[tokio::test]
async fn without_a_token_there_is_no_cart_and_no_checkout() {
    let bench = Bench::open().await;
    let (response, problem) = bench.send(get("/api/v1/cart")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    assert_eq!(problem["code"], "unauthorized");
    let (response, _) = bench.call("GET", "/api/v1/cart", "Bearer a.b.c", None).await;
    assert!(response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().contains("invalid_token"));
    let (response, cart) = bench.call("GET", "/api/v1/cart", &bench.token("c", "m", ""), None).await;
    assert_eq!(
        (response.status(), &response.headers()[header::ETAG]),
        (StatusCode::OK, &"\"0\"".parse().unwrap())
    );
    assert_eq!(cart["cart"]["items"], json!([]));
    let (response, _) =
        bench.call("GET", "/api/v1/admin/components", &bench.token("c", "m", "operator"), None).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn bodies_are_judged_by_type_form_and_size_before_anything_else() {
    let bench = Bench::open().await;
    let token = bench.token("c", "m", "");
    let post = |kind: &str, body: &str| {
        let request = Request::post("/api/v1/cart/items").header(header::AUTHORIZATION, &token);
        request.header(header::CONTENT_TYPE, kind).body(Body::from(body.to_owned())).unwrap()
    };
    let (response, problem) = bench.send(post("text/plain", "{}")).await;
    assert_eq!((response.status().as_u16(), &problem["code"]), (415, &json!("unsupported-media-type")));
    let (response, problem) = bench.send(post("application/json", "{\n  \"productId\": }")).await;
    assert_eq!((response.status().as_u16(), &problem["line"]), (400, &json!(2)));
    let (response, problem) = bench.send(post("application/json", r#"{"quantity": "2", "colour": 1}"#)).await;
    assert_eq!(response.status().as_u16(), 422);
    let fields: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().filter_map(|e| e["field"].as_str()).collect();
    assert_eq!(fields, ["quantity", "productId", "colour"]);
    let (response, problem) =
        bench.send(post("application/json", r#"{"productId": "P", "quantity": 2}"#)).await;
    assert_eq!((response.status().as_u16(), &problem["code"]), (404, &json!("unknown-product")));

    // 50 MB that are never sent: the announced length is enough.
    let endless = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let request = Request::post("/api/v1/cart/items").header(header::AUTHORIZATION, &token);
    let request = request.header(header::CONTENT_LENGTH, 50_000_000).body(endless).unwrap();
    let (response, problem) =
        tokio::time::timeout(Duration::from_secs(5), bench.send(request)).await.unwrap();
    assert_eq!((response.status().as_u16(), &problem["max_bytes"]), (413, &json!(1 << 20)));
    // Nor is a longer one taken that does not tell.
    let chunks =
        futures::stream::repeat_with(|| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 65536])));
    let request = Request::post("/api/v1/cart/items").header(header::AUTHORIZATION, &token);
    let request = request.body(Body::from_stream(chunks)).unwrap();
    assert_eq!(bench.send(request).await.0.status().as_u16(), 413);
}

#[tokio::test]
async fn a_panic_is_a_problem_and_its_words_stay_inside() {
    async fn bang() {
        panic!("the secret of the house");
    }
    let router: Router = Router::new()
        .route("/bang", axum::routing::get(bang))
        .layer(axum::middleware::from_fn_with_state(Bench::open().await.metrics, crate::edge::pass));
    let response = router.oneshot(get("/bang")).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert!(text.contains("\"internal\"") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn every_code_has_a_page() {
    let bench = Bench::open().await;
    for (code, status, title) in crate::problem_codes() {
        let (response, page) = bench.send(get(&format!("/problems/{code}"))).await;
        assert_eq!(response.status(), StatusCode::OK, "{code}");
        let page = page.as_str().unwrap();
        assert!(page.contains(title) && page.contains(&status.to_string()), "{page}");
    }
    assert_eq!(bench.send(get("/problems/none")).await.0.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_documented_route_exists_and_wants_a_token_where_it_says_so() {
    let bench = Bench::open().await;
    let (_, document) = bench.send(get("/openapi.json")).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    for (path, methods) in document["paths"].as_object().unwrap() {
        let sent =
            path.split('/').map(|p| if p.starts_with('{') { "x" } else { p }).collect::<Vec<_>>().join("/");
        for (method, operation) in methods.as_object().unwrap() {
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(&sent);
            let (response, problem) = bench.send(request.body(Body::empty()).unwrap()).await;
            assert_ne!(problem["code"], "unknown-route", "{method} {path}");
            assert_ne!(response.status().as_u16(), 405, "{method} {path}");
            let guarded = operation.get("security").is_some();
            assert_eq!(response.status().as_u16() == 401, guarded, "{method} {path}: {problem}");
        }
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is not described");
    }
}

#[tokio::test]
async fn a_workflow_is_started_once_read_signalled_and_hidden_from_others() {
    let bench = Bench::open().await;
    let (anna, ben) = (bench.token("anna", "m", ""), bench.token("ben", "m", ""));
    let path = "/api/v1/workflows/nap/instances/n-1";
    let body = json!({"inputs": {"bed": "blue"}});
    let (response, made) = bench.call("PUT", path, &anna, Some(body.clone())).await;
    assert_eq!((response.status().as_u16(), &made["state"]), (201, &json!("asleep")), "{made}");
    assert_eq!(made["context"]["inputs"]["bed"], "blue");
    assert_eq!(bench.call("PUT", path, &anna, Some(body)).await.0.status().as_u16(), 200);
    let (response, problem) = bench.call("PUT", path, &anna, Some(json!({"inputs": {"bed": "red"}}))).await;
    assert_eq!((response.status().as_u16(), &problem["code"]), (409, &json!("other-request")));
    let other = "/api/v1/workflows/nap/instances/n-2";
    let (response, problem) = bench.call("PUT", other, &anna, Some(json!({"inputs": {"sofa": 1}}))).await;
    assert_eq!((response.status().as_u16(), &problem["errors"][0]["field"]), (422, &json!("inputs.sofa")));

    for (token, status) in [
        (&ben, 404),
        (&bench.token("anna", "other", "operator"), 404),
        (&bench.token("op", "m", "operator"), 200),
    ] {
        assert_eq!(bench.call("GET", path, token, None).await.0.status().as_u16(), status);
    }
    assert_eq!(
        bench.call("POST", &format!("{path}/signals/wake"), &ben, None).await.0.status().as_u16(),
        404
    );
    let (_, list) = bench.call("GET", "/api/v1/workflows/instances?status=waiting", &ben, None).await;
    assert_eq!(list["instances"], json!([]));
    let (response, _) = bench.call("GET", "/api/v1/workflows/instances?state=waiting", &ben, None).await;
    assert_eq!(response.status().as_u16(), 422);
    let (response, _) = bench.call("GET", "/api/v1/workflows/checkout/instances/x", &anna, None).await;
    assert_eq!(response.status().as_u16(), 403);
    let operate = json!({"act": "retry", "why": "to see"});
    assert_eq!(
        bench.call("POST", &format!("{path}/operate"), &anna, Some(operate)).await.0.status().as_u16(),
        403
    );

    let (response, woken) = bench.call("POST", &format!("{path}/signals/wake"), &anna, Some(json!({}))).await;
    assert_eq!((response.status().as_u16(), &woken["status"]), (200, &json!("completed")), "{woken}");
    let (response, problem) = bench.call("POST", &format!("{path}/signals/wake"), &anna, None).await;
    assert_eq!((response.status().as_u16(), &problem["code"]), (409, &json!("not-expected")));
    let (_, journal) = bench.call("GET", &format!("{path}/journal?limit=1"), &anna, None).await;
    assert_eq!((&journal["entries"][0]["kind"], &journal["nextAfter"]), (&json!("started"), &json!(1)));
}

#[tokio::test]
async fn a_product_goes_in_and_out_with_its_digits() {
    let bench = Bench::open().await;
    let admin = bench.token("boss", "m", "admin");
    let path = "/api/v1/admin/products/P-1";
    let raw = r#"{"sku": "S-1", "name": "Headphones", "price": 249.99}"#;
    let request = Request::put(path)
        .header(header::AUTHORIZATION, &admin)
        .header(header::CONTENT_TYPE, "application/json");
    let (response, said) = bench.send(request.body(Body::from(raw)).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK, "{said}");
    let (response, said) =
        bench.call("PUT", "/api/v1/admin/stock/S-1/W", &admin, Some(json!({"onHand": 2}))).await;
    assert_eq!(response.status(), StatusCode::OK, "{said}");
    let shopper = bench.token("c", "m", "");
    let body = json!({"productId": "P-1", "sku": "S-1", "quantity": 2, "warehouseId": "W"});
    let response = bench.router.clone().oneshot(
        Request::post("/api/v1/cart/items")
            .header(header::AUTHORIZATION, &shopper)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap(),
    );
    let response = response.await.unwrap();
    assert_eq!(response.headers()[header::ETAG], "\"1\"");
    let text = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert!(text.contains("\"unitPrice\":249.99,\"totalPrice\":499.98"), "{text}");
    let (response, problem) = bench.call("POST", "/api/v1/cart/items", &shopper, Some(body)).await;
    assert_eq!((response.status().as_u16(), &problem["code"]), (400, &json!("out-of-stock")));
    assert_eq!(problem["detail"], "Only 2 items available");
}

#[tokio::test]
async fn connections_are_served_and_finished_before_the_host_stops() {
    let bench = Bench::open().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let served = tokio::spawn(crate::serve(listener, bench.router.clone(), shutdown));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut answer = vec![0; 4096];
    for _ in 0..2 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: till\r\n\r\n").await.unwrap();
        // One write: head and body come together.
        let read = stream.read(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("{\"status\":\"ok\"}"), "{text}");
    }
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), served).await.unwrap().unwrap().unwrap();
    assert_eq!(stream.read(&mut answer).await.unwrap(), 0);
}

#[tokio::test]
async fn tables_of_one_microsecond_are_listed_part_by_part_none_lost_and_none_twice() {
    let bench = Bench::open().await;
    let admin = bench.token("boss", "m", "admin");
    let put = async |n: usize| {
        let (response, table) =
            bench.call("POST", "/api/v1/admin/tables", &admin, Some(json!({ "key": n.to_string() }))).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{table}");
        table["digest"].as_str().unwrap().to_owned()
    };
    let mut made = vec![];
    for n in 0..5 {
        made.push(put(n).await);
    }
    let mut listed = vec![];
    let mut path = "/api/v1/admin/tables?limit=2".to_owned();
    loop {
        let (_, part) = bench.call("GET", &path, &admin, None).await;
        let tables = part["tables"].as_array().unwrap();
        assert!(tables.len() <= 2);
        listed.extend(tables.iter().map(|table| table["digest"].as_str().unwrap().to_owned()));
        let Some(next) = part["nextBefore"].as_str() else { break };
        path = format!("/api/v1/admin/tables?limit=2&before={next}");
    }
    listed.sort();
    made.sort();
    assert_eq!(listed, made);
    for before in ["x", "1", "1.a.b", "a.b"] {
        let path = format!("/api/v1/admin/tables?before={before}");
        let (response, problem) = bench.call("GET", &path, &admin, None).await;
        assert_eq!(response.status().as_u16(), 422, "{before}");
        assert_eq!(problem["errors"][0]["why"], "`nextBefore` of the part before is needed");
    }
    let path = format!("/api/v1/admin/tables/{}", made[0]);
    let reader = bench.token("boss", "m", "components:read");
    assert_eq!(bench.call("DELETE", &path, &reader, None).await.0.status(), StatusCode::FORBIDDEN);
    let other = bench.token("boss", "other", "admin");
    assert_eq!(bench.call("DELETE", &path, &other, None).await.0.status(), StatusCode::NOT_FOUND);
    assert_eq!(bench.call("DELETE", &path, &admin, None).await.0.status(), StatusCode::NO_CONTENT);
    assert_eq!(bench.call("DELETE", &path, &admin, None).await.0.status(), StatusCode::NOT_FOUND);
    assert_eq!(bench.call("GET", &path, &admin, None).await.0.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_table_sent_with_a_push_keeps_its_digits() {
    let bench = Bench::open().await;
    let admin = bench.token("boss", "m", "admin");
    let body = r#"{"slot": "tax", "wasmBase64": "AAAA", "tables": {"rates": {"94105": 9.90}}}"#;
    let request = Request::post("/api/v1/admin/components").header(header::AUTHORIZATION, &admin);
    let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
    let (response, problem) = bench.send(request).await;
    assert_eq!((response.status().as_u16(), &problem["code"]), (422, &json!("invalid-component")));
    // The component is none; the table was kept before it was looked at.
    let (_, list) = bench.call("GET", "/api/v1/admin/tables", &admin, None).await;
    let digest = list["tables"][0]["digest"].as_str().unwrap();
    let (_, content) = bench.call("GET", &format!("/api/v1/admin/tables/{digest}"), &admin, None).await;
    assert!(content.as_str().unwrap().ends_with("941059.90"), "{content}");
}

#[tokio::test]
async fn slow_bodies_of_one_merchant_keep_no_other_from_uploading() {
    use futures::StreamExt as _;
    let bench = Bench::open().await;
    let slow = |sub: &str| {
        let (begun, arrived) = tokio::sync::oneshot::channel::<()>();
        let first = futures::stream::once(async move {
            drop(begun);
            Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"key,value\n"))
        });
        let body = Body::from_stream(first.chain(futures::stream::pending()));
        let request = Request::post("/api/v1/admin/tables").header(header::CONTENT_TYPE, "text/csv");
        let request = request.header(header::AUTHORIZATION, bench.token(sub, "slow", "admin"));
        (tokio::spawn(bench.router.clone().oneshot(request.body(body).unwrap())), arrived)
    };
    let (mut waiting, mut arrived) = (vec![], vec![]);
    for sub in ["a", "b"] {
        let (task, begun) = slow(sub);
        waiting.push(task);
        arrived.push(begun);
    }
    for begun in arrived {
        assert!(begun.await.is_err(), "its body is being read");
    }
    let quick = bench.token("c", "quick", "admin");
    let (response, table) =
        bench.call("POST", "/api/v1/admin/tables", &quick, Some(json!({ "key": "value" }))).await;
    assert_eq!(response.status(), StatusCode::CREATED, "{table}");
    assert!(waiting.iter().all(|task| !task.is_finished()), "the others still arrive");
}

/// The fields that are read are those that are described.
#[test]
fn request_bodies_are_described_as_they_are_read() {
    fn check<T: PartialSchema>(read: impl FnOnce(&mut Fields<'_>)) {
        let RefOr::T(Schema::Object(object)) = T::schema() else { panic!("no object") };
        let mut described: Vec<String> = object.properties.keys().cloned().collect();
        let mut fields = Fields::of(b"{}").unwrap_or_else(|_| panic!());
        read(&mut fields);
        let mut known: Vec<String> = fields.known().iter().map(|name| (*name).to_owned()).collect();
        described.sort();
        known.sort();
        assert_eq!(known, described);
    }
    let usd = till_model::money::Currency::from_code("USD").unwrap();
    check::<cart::AddItem>(|f| {
        let _ = cart::AddItem::read(f);
    });
    check::<cart::SetItem>(|f| {
        let _ = cart::SetItem::read(f);
    });
    check::<cart::MergeIn>(|f| {
        let _ = cart::MergeIn::read(f);
    });
    check::<checkout::AddressIn>(|f| {
        let _ = checkout::address(f);
    });
    check::<checkout::EditIn>(|f| {
        let _ = checkout::choices(f);
    });
    check::<checkout::SubmitIn>(|f| {
        let id = checkout::Submit::session(f);
        let _ = checkout::Submit::read(f, id, usd);
    });
    check::<workflows::StartIn>(|f| {
        let _ = workflows::StartIn::read(f);
    });
    check::<workflows::OperateIn>(|f| {
        let _ = workflows::OperateIn::read(f);
    });
    check::<components::PushIn>(|f| {
        let _ = components::push_in(f, "who");
    });
    check::<products::VariantIn>(|f| {
        let _ = products::variant_in(f, usd);
    });
    check::<products::ProductIn>(|f| {
        let _ = products::product_in(f, "id", usd);
    });
    check::<customers::BookAddressIn>(|f| {
        let _ = customers::book_address(f, "");
    });
    check::<customers::WalletMethodIn>(|f| {
        let _ = customers::wallet_method(f, 0);
    });
    check::<admin::CustomerIn>(|f| {
        let _ = admin::customer_in(f, "id");
    });
    check::<admin::StockIn>(|f| {
        let _ = admin::StockIn::read(f);
    });
}
