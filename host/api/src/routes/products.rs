//! The catalog as its merchant keeps it: one by one, or as a whole in CSV or JSON.

use std::collections::BTreeMap;

use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use till_commerce::catalog::{Price, Product, Variant};
use till_commerce::quote::Kind;
use till_model::money::Currency;
use till_store::tables::product::{Filter, Place, Sort};
use utoipa::ToSchema;

use super::admin::{DoneOut, check_id, done, fits_path};
use super::catalog::{Find, FindParams, flag};
use super::{json, sheet};
use crate::App;
use crate::auth::Caller;
use crate::problem::{Code, Problem};
use crate::read::{At, Fields, Json, Query, arrive};
use crate::upload::UPLOADS;
use crate::wire::{Amount, KeptProduct};

/// Products and variants of one import. They are written in one transaction, which others wait for.
pub(super) const IMPORT_ROWS_MAX: usize = 2_000;
/// Largest import: 2,000 rows of 4 kB.
const IMPORT_BYTES_MAX: usize = 8 << 20;
/// Products of an export that are read at a time.
const EXPORT_PAGE: i64 = 200;

/// A product.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct ProductIn {
    /// No other product has it. With variants it names them all, and theirs are sold.
    sku: String,
    name: String,
    description: Option<String>,
    images: Option<Vec<String>>,
    price: Amount,
    compare_at_price: Option<Amount>,
    /// ISO 4217; the merchant's without.
    currency: Option<String>,
    /// Prices in other currencies, one of each. Without one it is not sold there: nothing is converted.
    prices: Option<Vec<PriceIn>>,
    /// It is sold; `true` without.
    is_active: Option<bool>,
    /// It can be brought to the shopper; `true` without. A physical product that cannot is not sold.
    is_deliverable: Option<bool>,
    /// `physical` (default), `digital`, `gift-card` or `service`.
    kind: Option<String>,
    tax_class: Option<String>,
    weight_grams: Option<u32>,
    categories: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    /// Stock is counted; `true` without.
    stocked: Option<bool>,
    /// What it comes as; without, it is one thing.
    variants: Option<Vec<VariantIn>>,
}

/// A price in another currency.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct PriceIn {
    /// ISO 4217.
    currency: String,
    price: Amount,
    compare_at_price: Option<Amount>,
}

/// One of the things a product comes as. What is left out is as the product says.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct VariantIn {
    /// No other product or variant has it.
    sku: String,
    /// For example `{"size": "M", "colour": "red"}`; those of each variant are others.
    options: BTreeMap<String, String>,
    price: Option<Amount>,
    compare_at_price: Option<Amount>,
    /// Beside a `price` of its own, one in each currency of the product's `prices`.
    prices: Option<Vec<PriceIn>>,
    image: Option<String>,
    weight_grams: Option<u32>,
    /// It is sold; `true` without.
    is_active: Option<bool>,
}

pub(crate) fn product_in(fields: &mut Fields<'_>, id: &str, own: Currency) -> Product {
    let product = unchecked(fields, id, own);
    for (field, why) in product.faults() {
        fields.wrong(&field, why);
    }
    product
}

/// A product whose variants may come later.
pub(super) fn unchecked(fields: &mut Fields<'_>, id: &str, own: Currency) -> Product {
    let (sku, name) = (fields.text("sku"), fields.text("name"));
    let currency = fields.currency("currency").unwrap_or(own);
    let price = fields.amount("price", currency).map(|money| money.minor());
    Product {
        id: id.to_owned(),
        sku: sku_in(fields, sku),
        name: fields.need("name", name),
        description: fields.text("description").unwrap_or_default(),
        images: fields.texts("images").value().unwrap_or_default(),
        price: fields.need("price", price),
        compare_at: fields.amount("compareAtPrice", currency).map(|money| money.minor()),
        currency,
        prices: prices_in(fields, currency),
        active: fields.flag("isActive").unwrap_or(true),
        kind: fields.typed::<Kind>("kind").unwrap_or_default(),
        tax_class: fields.text("taxClass").unwrap_or_else(|| "standard".to_owned()),
        weight_g: weight_in(fields).unwrap_or(0),
        categories: fields.texts("categories").value().unwrap_or_default(),
        tags: fields.texts("tags").value().unwrap_or_default(),
        stocked: fields.flag("stocked").unwrap_or(true),
        deliverable: fields.flag("isDeliverable").unwrap_or(true),
        variants: fields.list("variants", |variant| variant_in(variant, currency)),
    }
}

pub(crate) fn variant_in(fields: &mut Fields<'_>, currency: Currency) -> Variant {
    let (sku, options) = (fields.text("sku"), fields.typed("options"));
    Variant {
        sku: sku_in(fields, sku),
        options: fields.need("options", options),
        price: fields.amount("price", currency).map(|money| money.minor()),
        compare_at: fields.amount("compareAtPrice", currency).map(|money| money.minor()),
        prices: prices_in(fields, currency),
        image: fields.text("image"),
        weight_g: weight_in(fields),
        active: fields.flag("isActive").unwrap_or(true),
    }
}

fn prices_in(fields: &mut Fields<'_>, own: Currency) -> BTreeMap<Currency, Price> {
    let mut all = BTreeMap::new();
    fields.list("prices", |one| {
        let currency = one.needed_currency("currency").unwrap_or(own);
        let price = one.amount("price", currency).map(|money| money.minor());
        let price = one.need("price", price);
        let compare_at = one.amount("compareAtPrice", currency).map(|money| money.minor());
        if all.insert(currency, Price { price, compare_at }).is_some() {
            one.wrong("currency", "one price in each currency is needed");
        }
    });
    all
}

/// SKUs come back in paths, like ids.
fn sku_in(fields: &mut Fields<'_>, sku: Option<String>) -> String {
    let given = sku.is_some();
    let sku = fields.need("sku", sku);
    if given && !fits_path(&sku) {
        fields.wrong("sku", "1 to 128 visible bytes are needed");
    }
    sku
}

fn weight_in(fields: &mut Fields<'_>) -> Option<u32> {
    let weight = fields.integer("weightGrams").map(u32::try_from);
    if let Some(Err(_)) = weight {
        fields.wrong("weightGrams", "a whole number from 0 on is needed");
    }
    weight.and_then(Result::ok)
}

/// A page of the catalog.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptProductsOut {
    products: Vec<KeptProduct>,
    /// Give it as `cursor` to read on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists products, sold or not.
#[utoipa::path(get, path = "/api/v1/admin/products", tag = "admin", security(("bearer" = [])),
    params(FindParams, ("active" = Option<bool>, Query, description = "sold (`true`), or not; both without")),
    responses((status = 200, body = KeptProductsOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Catalog))?;
    let currency = app.shop.settings(&caller.merchant).await?.currency;
    let mut find = Find::read(&mut query, currency)?;
    find.filter.active = flag(&mut query, "active")?;
    query.finish()?;
    let Find { filter, sort, after, limit, .. } = &find;
    let page = app.shop.products(&caller.merchant, filter, *sort, after, *limit).await?;
    let products = page.iter().map(|(_, shown)| KeptProduct::new(&shown.product)).collect();
    json(StatusCode::OK, &KeptProductsOut { products, next_cursor: find.next(&page) })
}

/// Reads a product as it is kept, sold or not.
#[utoipa::path(get, path = "/api/v1/admin/products/{id}", tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path)), responses((status = 200, body = KeptProduct)))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Catalog))?;
    json(StatusCode::OK, &KeptProduct::new(&app.shop.kept_product(&caller.merchant, &id).await?.product))
}

/// Makes or replaces a product.
#[utoipa::path(put, path = "/api/v1/admin/products/{id}", tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = ProductIn, responses((status = 200, body = DoneOut)))]
pub(crate) async fn put(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Catalog))?;
    check_id(&id)?;
    let own = app.shop.settings(&caller.merchant).await?.currency;
    let mut fields = body.fields()?;
    let product = product_in(&mut fields, &id, own);
    fields.finish()?;
    app.shop.put_product(&caller.merchant, &product).await?;
    done(&id)
}

/// Takes a product out of the catalog. In open carts it is not for sale any more.
#[utoipa::path(delete, path = "/api/v1/admin/products/{id}", tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<StatusCode, Problem> {
    caller.needs(Change(Area::Catalog))?;
    app.shop.delete_product(&caller.merchant, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The catalog as JSON.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct CatalogIn {
    /// Each as in `PUT /admin/products/{id}`, with its `id`; at most 2,000 with their variants.
    products: Vec<ProductIn>,
}

/// What was imported.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportedOut {
    products: usize,
}

/// Makes or replaces products from CSV or JSON, all or none. Products that are not in it stay as they are. Wrong
/// fields are told at once, each with its line or place.
#[utoipa::path(post, path = "/api/v1/admin/catalog/import", tag = "admin", security(("bearer" = [])),
    request_body(content((CatalogIn = "application/json"), (String = "text/csv")),
        description = "CSV: a line of names, then a line for each product, followed by a line for each variant. A variant has `id` of its product, `sku` and `options` (`colour=red|size=M`), and may have `price`, `compareAtPrice`, `prices`, `image`, `weightGrams`, `isActive`. Lists are written with `|`; `prices` in other currencies as `EUR=22.99|JPY=3000/3500`, the second amount being what it is said to have cost before."),
    responses((status = 200, body = ImportedOut)))]
pub(crate) async fn import(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Catalog))?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let read = match kind.split(';').next().unwrap_or_default().trim() {
        "text/csv" => sheet::read,
        "application/json" => read_json,
        _ => return Err(Problem::new(Code::UnsupportedMediaType, "send `text/csv` or `application/json`")),
    };
    let own = app.shop.settings(&caller.merchant).await?.currency;
    let mut place = UPLOADS.enter(&caller.merchant).await?;
    let bytes = arrive(request, IMPORT_BYTES_MAX, Some(&mut place)).await?;
    let at_work = place.work(bytes.len()).await?;
    let products = tokio::task::spawn_blocking(move || read(&bytes, own)).await;
    let products = products.map_err(Problem::internal)??;
    app.shop.put_products(&caller.merchant, &products).await?;
    drop(at_work);
    json(StatusCode::OK, &ImportedOut { products: products.len() })
}

fn read_json(body: &[u8], own: Currency) -> Result<Vec<Product>, Problem> {
    let mut fields = Fields::of(body)?;
    let mut seen = std::collections::HashSet::new();
    let products = fields.list("products", |item| {
        let id = item.text("id");
        let id = id_in(item, id);
        if !seen.insert(id.clone()) {
            item.wrong("id", format!("product {id} was there before"));
        }
        product_in(item, &id, own)
    });
    let rows: usize = products.iter().map(|product| 1 + product.variants.len()).sum();
    if rows > IMPORT_ROWS_MAX {
        fields.wrong("products", too_many(rows));
    }
    fields.finish()?;
    Ok(products)
}

pub(super) fn too_many(rows: usize) -> String {
    format!("{rows} products and variants; at most {IMPORT_ROWS_MAX} in one call")
}

pub(super) fn id_in(fields: &mut Fields<'_>, id: Option<String>) -> String {
    let given = id.is_some();
    let id = fields.need("id", id);
    if given && !fits_path(&id) {
        fields.wrong("id", "1 to 128 visible bytes are needed");
    }
    id
}

/// Gives the whole catalog, in the order of ids, in a form that can be imported. What changes meanwhile may be told as it
/// was or as it is.
#[utoipa::path(get, path = "/api/v1/admin/catalog/export", tag = "admin", security(("bearer" = [])),
    params(("format" = Option<String>, Query, description = "`json` (default) or `csv`")),
    responses((status = 200, content((KeptProductsOut = "application/json"), (String = "text/csv")))))]
pub(crate) async fn export(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Catalog))?;
    let csv = match query.text("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(Problem::field("format", "`json` or `csv` is needed")),
    };
    query.finish()?;
    // One page at a time, as fast as the client takes them.
    let pages = futures::stream::try_unfold(Some(Sort::Id.start()), move |after| {
        let (app, merchant) = (app.clone(), caller.merchant.clone());
        async move {
            let Some(after) = after else { return Ok::<_, std::io::Error>(None) };
            let first = after.id.is_empty();
            let page = app.shop.products(&merchant, &Filter::default(), Sort::Id, &after, EXPORT_PAGE).await;
            let page = page.map_err(std::io::Error::other)?;
            let next: Option<Place> = (page.len() == EXPORT_PAGE as usize)
                .then(|| page.last().map(|(place, _)| place.clone()))
                .flatten();
            let products: Vec<&Product> = page.iter().map(|(_, shown)| &*shown.product).collect();
            let text = match csv {
                true => sheet::write(&products, first)?,
                false => part(&products, first, next.is_none())?,
            };
            Ok(Some((text, next)))
        }
    });
    let mut response = Response::new(Body::from_stream(pages));
    let kind = if csv { "text/csv; charset=utf-8" } else { "application/json" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A part of the document `{"products": […]}`.
fn part(products: &[&Product], first: bool, last: bool) -> Result<Vec<u8>, std::io::Error> {
    let mut text = if first { b"{\"products\":[".to_vec() } else { vec![] };
    for (n, product) in products.iter().enumerate() {
        if n > 0 || !first {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, &KeptProduct::new(product))?;
    }
    if last {
        text.extend_from_slice(b"]}\n");
    }
    Ok(text)
}
