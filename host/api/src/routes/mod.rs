//! The routes. Each file says what its answers mean; errors are problems throughout.

pub(crate) mod access;
pub(crate) mod admin;
pub(crate) mod analytics;
pub(crate) mod cart;
pub(crate) mod catalog;
pub(crate) mod checkout;
pub(crate) mod components;
pub(crate) mod customers;
pub(crate) mod events;
pub(crate) mod follow;
pub(crate) mod fulfilment;
pub(crate) mod gift_cards;
pub(crate) mod inventory;
pub(crate) mod loyalty;
pub(crate) mod meta;
pub(crate) mod notices;
pub(crate) mod notifications;
pub(crate) mod orders;
pub(crate) mod payments;
pub(crate) mod products;
pub(crate) mod promotions;
pub(crate) mod reservations;
pub(crate) mod secrets;
mod sheet;
pub(crate) mod socket;
pub(crate) mod tables;
pub(crate) mod warehouses;
pub(crate) mod webhooks;
pub(crate) mod workflows;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use serde::Serialize;

use crate::App;
use crate::problem::{Code, Problem};

/// All routes, without the layers.
pub(crate) fn all() -> Router<App> {
    Router::new()
        .route("/api/v1/catalog/currencies", get(catalog::currencies))
        .route("/api/v1/catalog/products", get(catalog::list))
        .route("/api/v1/catalog/products/{id}", get(catalog::read))
        .route("/api/v1/catalog/products/{id}/complete", get(catalog::complete))
        .route("/api/v1/catalog/products/{id}/pricing", get(catalog::pricing))
        .route("/api/v1/cart", get(cart::read).delete(cart::clear))
        .route("/api/v1/cart/validate", post(cart::validate))
        .route("/api/v1/cart/currency", put(cart::set_currency))
        .route("/api/v1/cart/merge", post(cart::merge))
        .route("/api/v1/cart/items", post(cart::add))
        .route("/api/v1/cart/items/{itemId}", put(cart::set).delete(cart::remove))
        .route("/api/v1/checkout/initiate", post(checkout::initiate))
        .route("/api/v1/checkout/submit", post(checkout::submit))
        .route("/api/v1/checkout/{sessionId}", get(checkout::read).put(checkout::edit))
        .route("/api/v1/checkout/{sessionId}/cancel", post(checkout::cancel))
        .route("/api/v1/checkout/{sessionId}/returned", post(checkout::returned))
        .route("/api/v1/payments/validate", post(payments::validate))
        .route("/api/v1/admin/checkouts/{sessionId}/review", post(payments::review))
        .route("/api/v1/orders", get(orders::list))
        .route("/api/v1/tracking/socket", get(socket::open))
        .route("/api/v1/notifications", get(notifications::list))
        .route("/api/v1/notifications/read", post(notifications::read_all))
        .route("/api/v1/notifications/{id}/read", post(notifications::read))
        .route("/api/v1/customers/me", get(customers::me))
        .route("/api/v1/customers/me/checkout-context", get(customers::context))
        .route("/api/v1/customers/me/addresses", get(customers::addresses).post(customers::add_address))
        .route("/api/v1/customers/me/addresses/{addressId}", get(customers::address))
        .route("/api/v1/customers/me/addresses/{addressId}", put(customers::set_address))
        .route("/api/v1/customers/me/addresses/{addressId}", delete(customers::drop_address))
        .route("/api/v1/customers/me/payment-methods", get(customers::methods).post(customers::add_method))
        .route("/api/v1/customers/me/payment-methods/{methodId}", delete(customers::drop_method))
        .route("/api/v1/customers/me/preferences", get(customers::wants).put(customers::put_wants))
        .route("/api/v1/admin/notifications/templates", get(notices::templates))
        .route("/api/v1/admin/notifications/templates/{kind}/{locale}", get(notices::template))
        .route("/api/v1/admin/notifications/templates/{kind}/{locale}", put(notices::put))
        .route("/api/v1/admin/notifications/templates/{kind}/{locale}", delete(notices::drop))
        .route("/api/v1/admin/notifications/templates/{kind}/{locale}/preview", post(notices::preview))
        .route("/api/v1/admin/notifications/deliveries", get(notices::deliveries))
        .route("/api/v1/admin/notifications/replay", post(notices::replay))
        .route("/api/v1/admin/events", get(events::log))
        .route("/api/v1/admin/analytics/rebuild", post(analytics::rebuild))
        .route("/api/v1/admin/analytics/reports/{report}", get(analytics::report))
        .route("/api/v1/admin/analytics/{metric}", get(analytics::metric))
        .route("/api/v1/admin/webhooks", post(events::add).get(events::list))
        .route("/api/v1/admin/webhooks/{id}", put(events::set).delete(events::drop))
        .route("/api/v1/admin/webhooks/{id}/deliveries", get(events::deliveries))
        .route("/api/v1/admin/webhooks/{id}/replay", post(events::replay))
        .route("/api/v1/orders/{id}", get(orders::read))
        .route("/api/v1/orders/{id}/events", get(follow::follow))
        .route("/api/v1/orders/{id}/tracking", get(fulfilment::tracking))
        .route("/api/v1/orders/{id}/feedback", put(fulfilment::put_feedback).get(fulfilment::feedback))
        .route("/api/v1/catalog/products/{id}/reviews", get(fulfilment::reviews))
        .route("/api/v1/admin/shipments", get(fulfilment::list))
        .route("/api/v1/admin/shipments/{id}", get(fulfilment::read))
        .route("/api/v1/admin/shipments/{id}/scans", post(fulfilment::tell))
        .route("/api/v1/admin/shipments/{id}/book", post(fulfilment::book))
        .route("/api/v1/admin/shipments/{id}/cancel", post(fulfilment::cancel))
        .route("/api/v1/admin/shipments/{id}/label", get(fulfilment::label))
        .route("/webhooks/{merchant}/carriers/{carrier}", post(fulfilment::take))
        .route("/api/v1/workflows/instances", get(workflows::list))
        .route("/api/v1/workflows/{name}/instances/{id}", put(workflows::start).get(workflows::read))
        .route("/api/v1/workflows/{name}/instances/{id}/journal", get(workflows::journal))
        .route("/api/v1/workflows/{name}/instances/{id}/signals/{signal}", post(workflows::signal))
        .route("/api/v1/workflows/{name}/instances/{id}/cancel", post(workflows::cancel))
        .route("/api/v1/workflows/{name}/instances/{id}/operate", post(workflows::operate))
        .route("/api/v1/admin/components", post(components::push).get(components::components))
        .route("/api/v1/admin/components/uploaded", get(components::uploaded))
        .route("/api/v1/admin/components/rollback", post(components::roll_back))
        .route("/api/v1/admin/components/retire", post(components::retire))
        .route("/api/v1/admin/components/canary", post(components::canary))
        .route("/api/v1/admin/components/promote", post(components::promote))
        .route("/api/v1/admin/components/withdraw", post(components::withdraw))
        .route("/api/v1/admin/components/revoke", post(components::revoke))
        .route("/api/v1/admin/components/history", get(components::history))
        .route("/api/v1/admin/components/trial", get(components::trial))
        .route("/api/v1/admin/components/differences", get(components::differences))
        .route("/api/v1/admin/components/record", get(components::record))
        .route("/api/v1/admin/components/{digest}", get(components::component).delete(components::delete))
        .route("/api/v1/admin/components/{digest}/binary", get(components::binary))
        .route("/api/v1/admin/checkouts/recorded", get(components::recorded))
        .route("/api/v1/admin/bindings/{digest}", get(components::binding))
        .route("/api/v1/admin/tables", post(tables::put).get(tables::list))
        .route("/api/v1/admin/tables/{digest}", get(tables::read).delete(tables::delete))
        .route("/api/v1/admin/secrets", get(secrets::list))
        .route("/api/v1/admin/secrets/{name}", put(secrets::put).delete(secrets::delete))
        .route("/api/v1/admin/counters", get(admin::counters))
        .route("/api/v1/admin/breakers", get(admin::breakers))
        .route("/api/v1/admin/settings", put(admin::put_settings).get(admin::settings))
        .route("/api/v1/admin/products", get(products::list))
        .route("/api/v1/admin/products/{id}", put(products::put).get(products::read).delete(products::delete))
        .route("/api/v1/admin/catalog/import", post(products::import))
        .route("/api/v1/admin/catalog/export", get(products::export))
        .route("/api/v1/admin/customers", get(customers::list))
        .route("/api/v1/admin/customers/{id}", put(admin::put_customer).get(customers::record))
        .route("/api/v1/admin/stock/{sku}/{warehouse}", put(admin::put_stock))
        .route("/api/v1/inventory/{sku}", get(inventory::availability))
        .route("/api/v1/admin/inventory", get(inventory::list))
        .route("/api/v1/admin/inventory/adjustments", post(inventory::adjust))
        .route("/api/v1/admin/inventory/transfers", post(inventory::transfer))
        .route("/api/v1/admin/inventory/movements", get(inventory::movements))
        .route("/api/v1/admin/inventory/thresholds/{sku}", put(inventory::put_threshold))
        .route("/api/v1/admin/inventory/warehouses", get(warehouses::list))
        .route("/api/v1/admin/inventory/warehouses/{warehouse}", put(warehouses::put).get(warehouses::read))
        .route("/api/v1/admin/inventory/warehouses/{warehouse}", delete(warehouses::delete))
        .route("/api/v1/admin/inventory/reservations", post(reservations::reserve))
        .route("/api/v1/admin/inventory/reservations/{reservation}", get(reservations::read))
        .route("/api/v1/admin/inventory/reservations/{reservation}/confirm", post(reservations::confirm))
        .route("/api/v1/admin/inventory/reservations/{reservation}/release", post(reservations::release))
        .route("/api/v1/gift-cards/balance", post(gift_cards::balance))
        .route("/api/v1/admin/gift-cards", post(gift_cards::issue).get(gift_cards::list))
        .route("/api/v1/admin/gift-cards/bulk", post(gift_cards::bulk))
        .route("/api/v1/admin/gift-cards/{card}", get(gift_cards::read))
        .route("/api/v1/admin/gift-cards/{card}/void", post(gift_cards::void))
        .route("/api/v1/admin/gift-cards/{card}/adjustments", post(gift_cards::adjust))
        .route("/api/v1/admin/gift-cards/{card}/entries", get(gift_cards::entries))
        .route("/api/v1/admin/orders/{order}/gift-card-refunds", post(gift_cards::refund))
        .route("/api/v1/promotions/applicable", get(promotions::applicable))
        .route("/api/v1/admin/promotions/{promotion}/codes", post(promotions::make).get(promotions::codes))
        .route("/api/v1/admin/promotions/{promotion}/codes/export", get(promotions::export))
        .route("/api/v1/admin/campaigns", get(promotions::campaigns))
        .route("/api/v1/admin/campaigns/{campaign}", put(promotions::put).get(promotions::campaign))
        .route("/api/v1/admin/campaigns/{campaign}", delete(promotions::delete))
        .route("/api/v1/loyalty", get(loyalty::read))
        .route("/api/v1/loyalty/benefits", get(loyalty::benefits))
        .route("/api/v1/loyalty/entries", get(loyalty::entries))
        .route("/api/v1/admin/customers/{customer}/points", post(loyalty::adjust))
        .route("/api/v1/admin/orders/{order}/points-reversal", post(loyalty::reverse))
        .route("/api/v1/admin/api-keys", post(access::make).get(access::keys))
        .route("/api/v1/admin/api-keys/{key}", delete(access::revoke))
        .route("/api/v1/admin/roles", get(access::roles))
        .route("/api/v1/admin/roles/{role}", put(access::put_role).delete(access::drop_role))
        .route("/api/v1/admin/audit", get(access::audit))
        .route("/webhooks/{merchant}/{gateway}", post(webhooks::take))
        .route("/healthz", get(meta::health))
        .route("/readyz", get(meta::ready))
        .route("/openapi.json", get(meta::openapi))
        .route("/problems/{code}", get(meta::problem))
        .fallback(unknown)
}

async fn unknown() -> Problem {
    Problem::new(Code::UnknownRoute, "no route has this path; all are listed in /openapi.json")
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(value).map_err(Problem::internal)?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Carts, sessions and orders are one person's.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Done, with nothing to tell.
pub(crate) fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Where to read on: behind the last of a full part.
pub(crate) fn last_of<T>(part: &[T], limit: i64) -> Option<&T> {
    part.last().filter(|_| i64::try_from(part.len()).is_ok_and(|n| n >= limit))
}

/// With a header; a value that is no header text is left out.
pub(crate) fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// With the version as `ETag`.
pub(crate) fn tagged(response: Response, version: i64) -> Response {
    with(response, header::ETAG, &format!("\"{version}\""))
}
