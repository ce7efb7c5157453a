//! The OpenAPI 3.1 document, generated from the routes.

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Ref;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, ResponseBuilder};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::problem::FieldError;
use crate::routes::{
    access, admin, analytics, cart, catalog, checkout, components, customers, events, follow, fulfilment,
    gift_cards, inventory, loyalty, meta, notices, notifications, orders, payments, products, promotions,
    reservations, secrets, socket, tables, warehouses, webhooks, workflows,
};

/// An error (RFC 9457). Further members depend on the code; every code has a page under `/problems/{code}`.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is written member by member")]
struct ProblemOut {
    /// `/problems/<code>`.
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    /// Stable and machine readable.
    code: String,
    /// The request's id, to be told to the operator.
    trace_id: String,
    errors: Option<Vec<FieldError>>,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Till", description = "A checkout engine: carts, checkouts as durable workflows, merchants' components.\n\nAmounts are JSON numbers with exactly the currency's digits; read them as decimals, not as floats."),
    paths(
        catalog::currencies, catalog::list, catalog::read, catalog::complete, catalog::pricing,
        products::list, products::read, products::put, products::delete, products::import, products::export,
        cart::read, cart::clear, cart::add, cart::set, cart::remove, cart::set_currency, cart::validate, cart::merge,
        checkout::initiate, checkout::read, checkout::edit, checkout::submit, checkout::cancel, checkout::returned,
        payments::validate, payments::review,
        orders::list, orders::read, follow::follow, socket::open,
        fulfilment::tracking, fulfilment::put_feedback, fulfilment::feedback, fulfilment::reviews, fulfilment::list,
        fulfilment::read, fulfilment::tell, fulfilment::book, fulfilment::cancel, fulfilment::label, fulfilment::take,
        notifications::list, notifications::read, notifications::read_all,
        customers::wants, customers::put_wants, customers::me, customers::context, customers::addresses,
        customers::add_address, customers::address, customers::set_address, customers::drop_address,
        customers::methods, customers::add_method, customers::drop_method, customers::list, customers::record,
        notices::templates, notices::template, notices::put, notices::drop, notices::preview,
        notices::deliveries, notices::replay,
        analytics::metric, analytics::report, analytics::rebuild,
        events::log, events::add, events::list, events::set, events::drop, events::deliveries, events::replay,
        workflows::list, workflows::start, workflows::read, workflows::journal, workflows::signal,
        workflows::cancel, workflows::operate,
        components::push, components::components, components::uploaded, components::component, components::binary, components::delete,
        components::revoke, components::roll_back, components::retire, components::canary, components::promote, components::withdraw,
        components::history, components::trial, components::differences, components::record, components::recorded, components::binding,
        tables::put, tables::list, tables::read, tables::delete, secrets::put, secrets::list, secrets::delete,
        admin::counters, admin::breakers, admin::settings, admin::put_settings,
        admin::put_customer, admin::put_stock,
        inventory::availability, inventory::list, inventory::adjust, inventory::transfer, inventory::movements,
        inventory::put_threshold,
        warehouses::list, warehouses::read, warehouses::put, warehouses::delete,
        reservations::reserve, reservations::read, reservations::confirm, reservations::release,
        gift_cards::balance, gift_cards::issue, gift_cards::bulk, gift_cards::list, gift_cards::read, gift_cards::void,
        gift_cards::adjust, gift_cards::entries, gift_cards::refund,
        promotions::applicable, promotions::make, promotions::codes, promotions::export,
        promotions::campaigns, promotions::put, promotions::campaign, promotions::delete,
        loyalty::read, loyalty::benefits, loyalty::entries, loyalty::adjust, loyalty::reverse,
        access::make, access::keys, access::revoke, access::roles, access::put_role, access::drop_role, access::audit,
        webhooks::take,
        meta::health, meta::ready, meta::openapi, meta::problem,
    ),
    components(schemas(ProblemOut)),
    modifiers(&Common),
)]
struct Document;

/// What all routes share: the bearer token and problems.
struct Common;

impl Modify for Common {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("bearer", bearer);
        for item in openapi.paths.paths.values_mut() {
            let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
            for operation in all.into_iter().flatten() {
                add_problem(operation);
            }
        }
    }
}

fn add_problem(operation: &mut Operation) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let problem =
        ResponseBuilder::new().description("a problem").content("application/problem+json", content).build();
    operation.responses.responses.insert("default".to_owned(), problem.into());
}

/// The document as JSON text.
pub(crate) fn document() -> String {
    Document::openapi().to_json().unwrap_or_else(|error| {
        tracing::error!(%error, "write the OpenAPI document");
        "{}".to_owned()
    })
}
