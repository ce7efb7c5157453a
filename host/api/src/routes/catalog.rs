//! The catalog, for shoppers: what is active, and nothing else.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use till_commerce::Shown;
use till_model::money::{Currency, Money};
use till_store::tables::product::{Filter, Place, Sort, WORDS_MAX};
use utoipa::{IntoParams, ToSchema};

use super::json;
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Query};
use crate::wire::{CompleteOut, PricingOut, ProductOut, ProductsOut};

/// What products are found by.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters in OpenAPI; they are read one by one")]
pub(crate) struct FindParams {
    /// Words that are all in the name, the description or a SKU; upper and lower case are the same.
    q: Option<String>,
    category: Option<String>,
    tag: Option<String>,
    /// Only what is sold in it, at its prices there; without, each product in its own currency.
    currency: Option<String>,
    /// In `currency`, else the shop's, in major units.
    #[param(rename = "minPrice")]
    min_price: Option<String>,
    /// In `currency`, else the shop's, in major units.
    #[param(rename = "maxPrice")]
    max_price: Option<String>,
    /// Units can be sold (`true`), or none can.
    #[param(rename = "inStock")]
    in_stock: Option<bool>,
    /// `id` (default), `name`, `price`, `-price` or `newest`.
    sort: Option<String>,
    /// 1 to 200; 50 by default.
    limit: Option<i64>,
    /// `nextCursor` of the page before, in the same order.
    cursor: Option<String>,
}

/// A page as it is asked for.
pub(super) struct Find {
    pub(super) filter: Filter,
    /// Whose prices are shown.
    currency: Option<Currency>,
    pub(super) sort: Sort,
    pub(super) after: Place,
    pub(super) limit: i64,
}

impl Find {
    pub(super) fn read(query: &mut Query, own: Currency) -> Result<Find, Problem> {
        let asked = query.currency("currency")?;
        let currency = asked.unwrap_or(own);
        let words = query.text("q").unwrap_or_default().to_lowercase();
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        if words.len() > WORDS_MAX {
            return Err(Problem::field("q", format!("{} words; at most {WORDS_MAX}", words.len())));
        }
        let (sort, after) = (query.text("sort").map(str::to_owned), query.text("cursor").map(str::to_owned));
        let sort = match sort.as_deref() {
            None | Some("id") => Sort::Id,
            Some("name") => Sort::Name,
            Some("price") => Sort::Price,
            Some("-price") => Sort::PriceDown,
            Some("newest") => Sort::Newest,
            Some(_) => {
                let why = "`id`, `name`, `price`, `-price` or `newest` is needed";
                return Err(Problem::field("sort", why));
            }
        };
        Ok(Find {
            filter: Filter {
                words,
                category: query.text("category").map(str::to_owned),
                tag: query.text("tag").map(str::to_owned),
                currency: asked.map(|one| one.code().to_owned()),
                price_min: price(query, "minPrice", currency)?,
                price_max: price(query, "maxPrice", currency)?,
                in_stock: flag(query, "inStock")?,
                active: Some(true),
            },
            currency: asked,
            sort,
            after: after.map_or_else(|| Ok(sort.start()), |text| place(&text, sort))?,
            limit: query.limit(50, 200)?,
        })
    }

    /// Where the next page begins.
    pub(super) fn next<T>(&self, page: &[(Place, T)]) -> Option<String> {
        let full = i64::try_from(page.len()).is_ok_and(|n| n >= self.limit);
        let (Place { text, number, id }, _) = page.last().filter(|_| full)?;
        let text = serde_json::json!([order(self.sort), text, number, id]).to_string();
        Some(BASE64URL_NOPAD.encode(text.as_bytes()))
    }
}

fn order(sort: Sort) -> u8 {
    match sort {
        Sort::Id => 0,
        Sort::Name => 1,
        Sort::Price => 2,
        Sort::PriceDown => 3,
        Sort::Newest => 4,
    }
}

fn place(cursor: &str, sort: Sort) -> Result<Place, Problem> {
    let read = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok();
    let read = read.and_then(|text| serde_json::from_slice::<(u8, String, i64, String)>(&text).ok());
    match read {
        Some((of, text, number, id)) if of == order(sort) => Ok(Place { text, number, id }),
        _ => Err(Problem::field("cursor", "`nextCursor` of a page with the same `sort` is needed")),
    }
}

fn price(query: &mut Query, name: &'static str, currency: Currency) -> Result<Option<i64>, Problem> {
    let read = query.text(name).map(|text| Money::parse_decimal(text, currency)).transpose();
    let read = read.map_err(|error| {
        Problem::field(name, format!("{error}; write an amount in {} like 12.50", currency.code()))
    });
    Ok(read?.map(|money| money.minor()))
}

pub(super) fn flag(query: &mut Query, name: &'static str) -> Result<Option<bool>, Problem> {
    match query.text(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Problem::field(name, "`true` or `false` is needed")),
    }
}

/// Lists what is sold.
#[utoipa::path(get, path = "/api/v1/catalog/products", tag = "catalog", security(("bearer" = [])),
    params(FindParams), responses((status = 200, body = ProductsOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let currency = app.shop.settings(&caller.merchant).await?.currency;
    let find = Find::read(&mut query, currency)?;
    query.finish()?;
    let Find { filter, currency, sort, after, limit } = &find;
    let page = app.shop.products(&caller.merchant, filter, *sort, after, *limit).await?;
    let next = find.next(&page);
    let page = match *currency {
        None => page,
        // One that has lost its price there since it was found is not listed.
        Some(to) => page.into_iter().filter_map(|(at, shown)| Some((at, priced_in(&shown, to)?))).collect(),
    };
    json(StatusCode::OK, &ProductsOut::new(&page, next))
}

/// What carts may be in.
#[derive(Serialize, ToSchema)]
pub(crate) struct CurrenciesOut {
    /// Of carts that ask for none.
    currency: String,
    /// All, that one first.
    currencies: Vec<String>,
}

/// Lists the currencies that the shop sells in.
#[utoipa::path(get, path = "/api/v1/catalog/currencies", tag = "catalog", security(("bearer" = [])),
    responses((status = 200, body = CurrenciesOut)))]
pub(crate) async fn currencies(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let settings = app.shop.settings(&caller.merchant).await?;
    let currencies = settings.sold_in().map(|one| one.code().to_owned()).collect();
    json(StatusCode::OK, &CurrenciesOut { currency: settings.currency.code().to_owned(), currencies })
}

/// A product with its prices in the currency that is asked for.
async fn shown(app: &App, caller: &Caller, id: &str, mut query: Query) -> Result<Shown, Problem> {
    let asked = query.currency("currency")?;
    query.finish()?;
    let shown = app.shop.product(&caller.merchant, id).await?;
    let Some(currency) = asked else { return Ok(shown) };
    priced_in(&shown, currency).ok_or_else(|| {
        let own = shown.product.currency;
        Problem::field("currency", format!("product {id} has no price in {currency}; it is priced in {own}"))
    })
}

fn priced_in(shown: &Shown, currency: Currency) -> Option<Shown> {
    let product = Arc::new((*shown.product).clone().priced_in(currency)?);
    Some(Shown { product, stock: shown.stock.clone() })
}

/// Reads a product with its price and stock.
#[utoipa::path(get, path = "/api/v1/catalog/products/{id}", tag = "catalog", security(("bearer" = [])),
    params(("id" = String, Path), ("currency" = Option<String>, Query, description = "ISO 4217; the product's own without")), responses((status = 200, body = ProductOut)))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    query: Query,
) -> Result<Response, Problem> {
    json(StatusCode::OK, &ProductOut::new(&shown(&app, &caller, &id, query).await?))
}

/// Reads a product with prices and stock of each SKU that is sold.
#[utoipa::path(get, path = "/api/v1/catalog/products/{id}/complete", tag = "catalog", security(("bearer" = [])),
    params(("id" = String, Path), ("currency" = Option<String>, Query, description = "ISO 4217; the product's own without")), responses((status = 200, body = CompleteOut)))]
pub(crate) async fn complete(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    query: Query,
) -> Result<Response, Problem> {
    json(StatusCode::OK, &CompleteOut::new(&shown(&app, &caller, &id, query).await?))
}

/// Reads the catalog prices of each SKU of a product. What a cart costs is priced by the merchant's components.
#[utoipa::path(get, path = "/api/v1/catalog/products/{id}/pricing", tag = "catalog", security(("bearer" = [])),
    params(("id" = String, Path), ("currency" = Option<String>, Query, description = "ISO 4217; the product's own without")), responses((status = 200, body = PricingOut)))]
pub(crate) async fn pricing(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    query: Query,
) -> Result<Response, Problem> {
    json(StatusCode::OK, &PricingOut::new(&shown(&app, &caller, &id, query).await?.product))
}
