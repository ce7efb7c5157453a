//! Carts: created or reused, the same product adds up, every change under an optimistic version.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use till_model::money::Currency;
use till_store::{Error as StoreError, Tx};
use uuid::Uuid;

use crate::catalog::{self, Article, Availability, Product, parse};
use crate::inventory::Policy;
use crate::settings::Settings;

/// A cart with its lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cart {
    /// Id, `CART-…`.
    pub id: String,
    /// Owner.
    pub customer: String,
    /// Grows with each change; the `ETag`.
    #[serde(skip)]
    pub version: i64,
    /// Currency of all prices.
    pub currency: Currency,
    /// Lines in the order in which they were put in.
    pub items: Vec<CartItem>,
    /// Epoch microseconds.
    #[serde(skip)]
    pub updated_us: i64,
}

/// A line of a cart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CartItem {
    /// Id, `CART_ITEM-…`, stable for the life of the cart.
    pub id: String,
    /// Product.
    pub product: String,
    /// SKU.
    pub sku: String,
    /// Name when it was put in.
    pub name: String,
    /// Units.
    pub quantity: u32,
    /// Price of one unit when it was last looked at, minor units.
    pub unit_price: i64,
    /// Where it will be taken from.
    pub warehouse: Option<String>,
    /// Epoch microseconds.
    pub added_us: i64,
}

/// Why a cart was not changed.
#[derive(Debug, thiserror::Error)]
pub enum CartError {
    /// No such product, or it is not sold.
    #[error("sell product `{product}`: it is not available")]
    NoProduct {
        /// Id of the product.
        product: String,
    },
    /// There is not enough.
    #[error("sell {wanted} of `{product}`: {available} available")]
    OutOfStock {
        /// Id of the product.
        product: String,
        /// Units wanted in the cart in sum.
        wanted: u64,
        /// Units that can be held.
        available: i64,
    },
    /// A field is out of its limits.
    #[error("accept `{field}`: {why}")]
    Field {
        /// Name of the field.
        field: Cow<'static, str>,
        /// The limit and what to do.
        why: String,
    },
    /// No such line in this customer's cart.
    #[error("find line `{item}` in the cart")]
    NoItem {
        /// Id of the line.
        item: String,
    },
    /// Somebody else changed the cart.
    #[error("change the cart: it has version {found}, not {expected}")]
    Version {
        /// Version the client saw.
        expected: i64,
        /// Version it has.
        found: i64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is put into a cart.
#[derive(Debug, Clone)]
pub struct NewItem {
    /// Product.
    pub product: String,
    /// SKU, where the product's own is not meant.
    pub sku: Option<String>,
    /// Units.
    pub quantity: i64,
    /// Preferred warehouse.
    pub warehouse: Option<String>,
    /// Currency of an empty cart from then on; one with lines must have it.
    pub currency: Option<Currency>,
}

/// What is found in a line of a cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line.
    pub item: String,
    /// Its product.
    pub product: String,
    /// What it is.
    pub what: Found,
}

/// What is found, in the words that shoppers read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Found {
    /// The product is not sold, or not in the cart's currency.
    #[error("Product no longer available")]
    Gone,
    /// There is none.
    #[error("Product out of stock")]
    OutOfStock,
    /// There are fewer than in the cart.
    #[error("Only {available} items available")]
    Fewer {
        /// Units that can be held.
        available: i64,
    },
    /// The price is not the one of the last look, minor units.
    #[error("Price has changed")]
    Price {
        /// Of the last look.
        old: i64,
        /// Of now.
        new: i64,
    },
    /// A line has as many units as it may have.
    #[error("Only {max} items of a product fit into the cart")]
    LineFull {
        /// Units a line may have.
        max: u32,
    },
    /// The cart has as many lines as it may have.
    #[error("Only {max} products fit into the cart")]
    CartFull {
        /// Lines a cart may have.
        max: u32,
    },
}

impl Found {
    /// What there is of a product that is short.
    pub fn short(available: i64) -> Found {
        match available {
            ..=0 => Found::OutOfStock,
            available => Found::Fewer { available },
        }
    }
}

/// A cart after it was looked through.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// As it is now.
    pub cart: Cart,
    /// Lines that cannot be bought.
    pub errors: Vec<Finding>,
    /// Lines that are not what the shopper saw.
    pub warnings: Vec<Finding>,
    /// Lines that were brought up to date.
    pub updated: Vec<CartItem>,
}

impl From<Cart> for Checked {
    fn from(cart: Cart) -> Checked {
        Checked { cart, errors: vec![], warnings: vec![], updated: vec![] }
    }
}

/// The customer's cart of now; empty if there is none.
pub async fn current(
    tx: &mut Tx,
    merchant: &str,
    customer: &str,
    settings: &Settings,
) -> Result<Cart, StoreError> {
    match tx.active_cart(merchant, customer).await? {
        Some(row) => {
            let cart = load(&row)?;
            let lost = cart.items.is_empty() && settings.in_currency(cart.currency).is_none();
            Ok(if lost { Cart { currency: settings.currency, ..cart } } else { cart })
        }
        None => Ok(Cart {
            id: String::new(),
            customer: customer.to_owned(),
            version: 0,
            currency: settings.currency,
            items: vec![],
            updated_us: 0,
        }),
    }
}

/// The merchant's settings as they are for this cart, in its currency.
pub(crate) fn settings_of(cart: &Cart, settings: &Settings) -> Result<Settings, CartError> {
    settings.in_currency(cart.currency).ok_or_else(|| {
        let (lost, sold) = (cart.currency.code(), settings.sold_in_words());
        let why = format!("this shop sells in {lost} no more; choose one of {sold} with PUT /api/v1/cart/currency, or empty the cart");
        CartError::Field { field: "cart.currency".into(), why }
    })
}

/// A cart by its id, whatever became of it.
pub async fn by_id(tx: &mut Tx, merchant: &str, id: &str) -> Result<Option<Cart>, StoreError> {
    tx.cart(merchant, id).await?.map(|row| load(&row)).transpose()
}

fn load(row: &till_store::tables::catalog::CartRow) -> Result<Cart, StoreError> {
    let mut cart: Cart = parse(&row.body)?;
    cart.version = row.version;
    cart.updated_us = row.updated_us;
    Ok(cart)
}

/// Puts units of a product in; the same SKU from the same warehouse adds up.
pub async fn add(
    tx: &mut Tx,
    merchant: &str,
    customer: &str,
    settings: &Settings,
    item: &NewItem,
    expected: Option<i64>,
    now_us: i64,
) -> Result<Cart, CartError> {
    let quantity = quantity(item.quantity, settings)?;
    let mut cart = current(tx, merchant, customer, settings).await?;
    expect(&cart, expected)?;
    match item.currency.filter(|wanted| *wanted != cart.currency) {
        None => {}
        Some(wanted) if cart.items.is_empty() => cart.currency = offered(wanted, settings)?.currency,
        Some(_) => {
            let why = format!("the cart is in {}; change it with PUT /api/v1/cart/currency", cart.currency);
            return Err(CartError::Field { field: "currency".into(), why });
        }
    }
    let settings = &settings_of(&cart, settings)?;
    let product = sold(tx, merchant, &item.product, settings).await?;
    let article = article(&product, item.sku.as_deref())?;
    let stock = catalog::availability(tx, merchant, &article.sku).await?;
    let line =
        cart.items.iter().position(|i| i.sku == article.sku && same_place(i, item.warehouse.as_deref()));
    let before = line.map_or(0, |at| cart.items[at].quantity);
    let wanted = before.saturating_add(quantity);
    within("quantity", u64::from(wanted), u64::from(settings.limits.quantity_max))?;
    let others: u32 = cart.items.iter().filter(|i| i.sku == article.sku).map(|i| i.quantity).sum();
    let warehouse = place(
        &product,
        &stock,
        item.warehouse.as_deref(),
        u64::from(others) + u64::from(quantity),
        settings,
    )?;
    match line {
        Some(at) => {
            cart.items[at].quantity = wanted;
            cart.items[at].unit_price = article.price;
        }
        None => {
            within("items", cart.items.len() as u64 + 1, u64::from(settings.limits.lines_max))?;
            cart.items.push(CartItem {
                id: format!("CART_ITEM-{}", short_id()),
                product: product.id,
                sku: article.sku,
                name: article.name,
                quantity,
                unit_price: article.price,
                warehouse,
                added_us: now_us,
            });
        }
    }
    save(tx, merchant, cart, now_us).await
}

/// Sets the units of a line; 0 takes it out.
pub async fn set_quantity(
    tx: &mut Tx,
    merchant: &str,
    customer: &str,
    settings: &Settings,
    item: &str,
    units: i64,
    expected: Option<i64>,
    now_us: i64,
) -> Result<Cart, CartError> {
    let units = quantity(units, settings)?;
    let mut cart = current(tx, merchant, customer, settings).await?;
    expect(&cart, expected)?;
    let at = position(&cart, item)?;
    let settings = &settings_of(&cart, settings)?;
    let product = sold(tx, merchant, &cart.items[at].product, settings).await?;
    let article = article(&product, Some(&cart.items[at].sku))?;
    let stock = catalog::availability(tx, merchant, &article.sku).await?;
    let others: u64 = (cart.items.iter().enumerate())
        .filter(|(n, i)| *n != at && i.sku == article.sku)
        .map(|(_, i)| u64::from(i.quantity))
        .sum();
    let warehouse = cart.items[at].warehouse.clone();
    place(&product, &stock, warehouse.as_deref(), others + u64::from(units), settings)?;
    cart.items[at].quantity = units;
    cart.items[at].unit_price = article.price;
    save(tx, merchant, cart, now_us).await
}

/// Takes a line out.
pub async fn remove(
    tx: &mut Tx,
    merchant: &str,
    customer: &str,
    settings: &Settings,
    item: &str,
    expected: Option<i64>,
    now_us: i64,
) -> Result<Cart, CartError> {
    let mut cart = current(tx, merchant, customer, settings).await?;
    expect(&cart, expected)?;
    let at = position(&cart, item)?;
    cart.items.remove(at);
    save(tx, merchant, cart, now_us).await
}

/// Takes all lines out.
pub async fn clear(
    tx: &mut Tx,
    merchant: &str,
    customer: &str,
    settings: &Settings,
    expected: Option<i64>,
    now_us: i64,
) -> Result<Cart, CartError> {
    let mut cart = current(tx, merchant, customer, settings).await?;
    expect(&cart, expected)?;
    if cart.items.is_empty() {
        return Ok(cart);
    }
    cart.items.clear();
    save(tx, merchant, cart, now_us).await
}

/// Puts the cart into another currency, all lines at their prices there. A line that has none keeps it from changing.
pub async fn set_currency(
    tx: &mut Tx,
    merchant: &str,
    customer: &str,
    settings: &Settings,
    currency: Currency,
    expected: Option<i64>,
    now_us: i64,
) -> Result<Cart, CartError> {
    let mut cart = current(tx, merchant, customer, settings).await?;
    expect(&cart, expected)?;
    let settings = offered(currency, settings)?;
    if cart.currency == currency && !cart.id.is_empty() {
        return Ok(cart);
    }
    cart.currency = currency;
    for (n, item) in cart.items.iter_mut().enumerate() {
        let field = || format!("cart.items[{n}].productId").into();
        item.unit_price = match sold_line(tx, merchant, item, &settings).await {
            Ok((_, article)) => article.price,
            Err(CartError::Field { why, .. }) => {
                let why = format!("{why}; take it out of the cart first");
                return Err(CartError::Field { field: field(), why });
            }
            Err(CartError::NoProduct { product }) => {
                let why = format!("{product} is not sold any more; take it out of the cart first");
                return Err(CartError::Field { field: field(), why });
            }
            Err(other) => return Err(other),
        };
    }
    save(tx, merchant, cart, now_us).await
}

fn offered(currency: Currency, settings: &Settings) -> Result<Settings, CartError> {
    settings.in_currency(currency).ok_or_else(|| {
        let why = format!("this shop does not sell in {currency}, but in {}", settings.sold_in_words());
        CartError::Field { field: "currency".into(), why }
    })
}

/// Looks through all lines. Prices and units that are no longer true are brought up to date; a line that cannot be
/// bought stays as it is, for the shopper to decide.
pub async fn validate(
    tx: &mut Tx,
    merchant: &str,
    customer: &str,
    settings: &Settings,
    expected: Option<i64>,
    now_us: i64,
) -> Result<Checked, CartError> {
    let mut checked = Checked::from(current(tx, merchant, customer, settings).await?);
    expect(&checked.cart, expected)?;
    // In a currency that is sold no more nothing has a price.
    let Some(settings) = &settings.in_currency(checked.cart.currency) else {
        let gone = |item: &CartItem| Finding {
            item: item.id.clone(),
            product: item.product.clone(),
            what: Found::Gone,
        };
        checked.errors = checked.cart.items.iter().map(gone).collect();
        return Ok(checked);
    };
    let mut spoken_for = Places::new();
    for item in &mut checked.cart.items {
        let finding = |what| Finding { item: item.id.clone(), product: item.product.clone(), what };
        let (product, article) = match sold_line(tx, merchant, item, settings).await {
            Ok(sold) => sold,
            Err(CartError::Store(error)) => return Err(error.into()),
            Err(_) => {
                checked.errors.push(finding(Found::Gone));
                continue;
            }
        };
        let before = item.clone();
        let stock = catalog::availability(tx, merchant, &article.sku).await?;
        let left = left(
            &product,
            &article.sku,
            &stock,
            item.warehouse.as_deref(),
            &spoken_for,
            settings.inventory.policy,
        );
        if left.is_some_and(|left| left < i64::from(item.quantity)) {
            let what = Found::short(left.unwrap_or(0));
            match what {
                Found::OutOfStock => checked.errors.push(finding(what)),
                what => checked.warnings.push(finding(what)),
            }
        }
        if item.unit_price != article.price {
            let what = Found::Price { old: item.unit_price, new: article.price };
            checked.warnings.push(finding(what));
        }
        item.unit_price = article.price;
        if let Some(left) = left.and_then(|left| u32::try_from(left).ok()).filter(|left| *left > 0) {
            item.quantity = item.quantity.min(left);
        }
        *spoken_for.entry(at_place(item, settings.inventory.policy)).or_default() += i64::from(item.quantity);
        if *item != before {
            checked.updated.push(item.clone());
        }
    }
    if !checked.updated.is_empty() {
        checked.cart = save(tx, merchant, checked.cart, now_us).await?;
    }
    Ok(checked)
}

/// Moves the lines of a guest's cart into a customer's, once: the guest's cart is archived. What does not fit is told
/// and left behind.
pub async fn merge(
    tx: &mut Tx,
    merchant: &str,
    customer: &str,
    guest: &str,
    settings: &Settings,
    now_us: i64,
) -> Result<Checked, CartError> {
    let mut checked = Checked::from(current(tx, merchant, customer, settings).await?);
    let from = current(tx, merchant, guest, settings).await?;
    if from.id.is_empty() {
        return Ok(checked);
    }
    // An empty cart takes the guest's currency too; another one keeps its own, at its prices.
    let before = checked.cart.currency;
    if checked.cart.items.is_empty() && settings.in_currency(from.currency).is_some() {
        checked.cart.currency = from.currency;
    }
    let settings = &settings_of(&checked.cart, settings)?;
    let limits = settings.limits;
    for mut item in from.items {
        let finding = |what| Finding { item: item.id.clone(), product: item.product.clone(), what };
        let (product, article) = match sold_line(tx, merchant, &item, settings).await {
            Ok(sold) => sold,
            Err(CartError::Store(error)) => return Err(error.into()),
            Err(_) => {
                checked.warnings.push(finding(Found::Gone));
                continue;
            }
        };
        let items = &mut checked.cart.items;
        let mut spoken_for = Places::new();
        for other in items.iter() {
            *spoken_for.entry(at_place(other, settings.inventory.policy)).or_default() +=
                i64::from(other.quantity);
        }
        let stock = catalog::availability(tx, merchant, &article.sku).await?;
        let left = left(
            &product,
            &article.sku,
            &stock,
            item.warehouse.as_deref(),
            &spoken_for,
            settings.inventory.policy,
        );
        let line = items.iter().position(|i| i.sku == item.sku && i.warehouse == item.warehouse);
        let room = limits.quantity_max.saturating_sub(line.map_or(0, |at| items[at].quantity));
        if line.is_none() && items.len() as u64 >= u64::from(limits.lines_max) {
            checked.warnings.push(finding(Found::CartFull { max: limits.lines_max }));
            continue;
        }
        let in_stock = left.map_or(u32::MAX, |left| u32::try_from(left.max(0)).unwrap_or(u32::MAX));
        let fits = item.quantity.min(room).min(in_stock);
        if fits < item.quantity {
            checked.warnings.push(finding(match in_stock <= room {
                true => Found::short(i64::from(in_stock)),
                false => Found::LineFull { max: limits.quantity_max },
            }));
        }
        if fits == 0 {
            continue;
        }
        let line = match line {
            Some(at) => {
                items[at].quantity += fits;
                at
            }
            None => {
                item.quantity = fits;
                items.push(item);
                items.len() - 1
            }
        };
        items[line].unit_price = article.price;
        let moved = items[line].clone();
        checked.updated.push(moved);
    }
    if !tx.archive_cart(merchant, &from.id, from.version, now_us).await? {
        return Err(StoreError::Conflict.into());
    }
    if checked.updated.is_empty() {
        checked.cart.currency = before;
    } else {
        checked.cart = save(tx, merchant, checked.cart, now_us).await?;
    }
    Ok(checked)
}

/// Units of a SKU in a warehouse that lines of this cart take.
type Places = std::collections::HashMap<(String, Option<String>), i64>;

/// Where a line takes its units from, as far as the cart decides that.
fn at_place(item: &CartItem, policy: Policy) -> (String, Option<String>) {
    (item.sku.clone(), item.warehouse.clone().filter(|_| policy == Policy::Chosen))
}

/// Units that a line can have beside what other lines take; none: they are not counted.
fn left(
    product: &Product,
    sku: &str,
    stock: &[Availability],
    warehouse: Option<&str>,
    taken: &Places,
    policy: Policy,
) -> Option<i64> {
    if !product.stocked {
        return None;
    }
    let place = (sku.to_owned(), warehouse.filter(|_| policy == Policy::Chosen).map(str::to_owned));
    let available = policy.sellable(stock, warehouse);
    Some(available.saturating_sub(taken.get(&place).copied().unwrap_or(0)))
}

fn position(cart: &Cart, item: &str) -> Result<usize, CartError> {
    cart.items.iter().position(|i| i.id == item).ok_or_else(|| CartError::NoItem { item: item.to_owned() })
}

fn expect(cart: &Cart, expected: Option<i64>) -> Result<(), CartError> {
    match expected.filter(|version| *version != cart.version) {
        Some(expected) => Err(CartError::Version { expected, found: cart.version }),
        None => Ok(()),
    }
}

fn quantity(units: i64, settings: &Settings) -> Result<u32, CartError> {
    let max = settings.limits.quantity_max;
    u32::try_from(units).ok().filter(|u| (1..=max).contains(u)).ok_or_else(|| CartError::Field {
        field: "quantity".into(),
        why: format!("{units} is not between 1 and {max}"),
    })
}

fn within(field: &'static str, found: u64, max: u64) -> Result<(), CartError> {
    if found <= max {
        Ok(())
    } else {
        Err(CartError::Field { field: field.into(), why: format!("{found} in the cart; at most {max}") })
    }
}

async fn sold(tx: &mut Tx, merchant: &str, id: &str, settings: &Settings) -> Result<Product, CartError> {
    let missing = || CartError::NoProduct { product: id.to_owned() };
    let product = catalog::product(tx, merchant, id).await?.filter(|p| p.active).ok_or_else(missing)?;
    if !product.reaches() {
        let why = format!(
            "product {id} is not delivered (`isDeliverable` is false); only digital goods, gift cards and services are sold without delivery"
        );
        return Err(CartError::Field { field: "productId".into(), why });
    }
    let why = no_price(&product, settings);
    product.priced_in(settings.currency).ok_or_else(|| CartError::Field { field: "productId".into(), why })
}

/// A line that can be sold, and as what.
async fn sold_line(
    tx: &mut Tx,
    merchant: &str,
    item: &CartItem,
    settings: &Settings,
) -> Result<(Product, Article), CartError> {
    let product = sold(tx, merchant, &item.product, settings).await?;
    let article = article(&product, Some(&item.sku))?;
    Ok((product, article))
}

/// What is sold under the SKU; without one, the only thing there is.
fn article(product: &Product, sku: Option<&str>) -> Result<Article, CartError> {
    let all = product.articles();
    let found = match (sku, all.as_slice()) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(sku), all) => all.iter().find(|article| article.sku == sku),
    };
    match found {
        Some(article) if article.active => Ok(article.clone()),
        Some(_) => Err(CartError::NoProduct { product: product.id.clone() }),
        None => {
            let skus: Vec<&str> = all.iter().filter(|a| a.active).map(|a| a.sku.as_str()).collect();
            let skus = skus.join("`, `");
            let why = match sku {
                Some(sku) => format!("`{sku}` is no SKU of product {}; there are `{skus}`", product.id),
                None => format!("product {} comes in variants; choose one of `{skus}`", product.id),
            };
            Err(CartError::Field { field: "sku".into(), why })
        }
    }
}

fn no_price(product: &Product, settings: &Settings) -> String {
    let Product { id, currency: found, .. } = product;
    format!("product {id} has no price in {}; it is priced in {found}", settings.currency)
}

/// The cart's settings, if each line has a price in its currency: prices may have changed since they were put in.
pub(crate) async fn priced(
    tx: &mut Tx,
    merchant: &str,
    cart: &Cart,
    settings: &Settings,
) -> Result<Settings, CartError> {
    let settings = settings_of(cart, settings)?;
    for (n, item) in cart.items.iter().enumerate() {
        let Some(product) = catalog::product(tx, merchant, &item.product).await? else { continue };
        let why = no_price(&product, &settings);
        if product.priced_in(settings.currency).is_none() {
            let field = format!("cart.items[{n}].productId").into();
            return Err(CartError::Field { field, why: format!("{why}; take it out of the cart") });
        }
    }
    Ok(settings)
}

fn same_place(item: &CartItem, warehouse: Option<&str>) -> bool {
    warehouse.is_none() || item.warehouse.as_deref() == warehouse
}

/// The warehouse that `wanted` units are thought to come from: the one asked for, else the one with most. There must be as
/// many as the policy lets one line have.
fn place(
    product: &Product,
    stock: &[Availability],
    asked: Option<&str>,
    wanted: u64,
    settings: &Settings,
) -> Result<Option<String>, CartError> {
    if !product.stocked {
        return Ok(asked.map(str::to_owned));
    }
    let found = match asked {
        Some(asked) => stock.iter().find(|s| s.warehouse == asked),
        None => stock.iter().max_by_key(|s| (s.available, std::cmp::Reverse(s.warehouse.clone()))),
    };
    // Where the cart does not decide, another one than that may have them.
    let available = settings.inventory.policy.sellable(stock, asked);
    if u64::try_from(available).unwrap_or(0) < wanted {
        return Err(CartError::OutOfStock { product: product.id.clone(), wanted, available });
    }
    Ok(found.map(|s| s.warehouse.clone()))
}

async fn save(tx: &mut Tx, merchant: &str, mut cart: Cart, now_us: i64) -> Result<Cart, CartError> {
    let fresh = cart.id.is_empty();
    if fresh {
        cart.id = format!("CART-{}", short_id());
    }
    cart.updated_us = now_us;
    let body = serde_json::to_string(&cart).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    let saved = if fresh {
        tx.insert_cart(merchant, &cart.id, &cart.customer, &body, now_us).await?
    } else {
        tx.update_cart(merchant, &cart.id, cart.version, &body, now_us).await?
    };
    if !saved {
        return Err(StoreError::Conflict.into());
    }
    cart.version += 1;
    Ok(cart)
}

/// 12 letters and digits of a fresh UUIDv7's random part.
pub(crate) fn short_id() -> String {
    let id = Uuid::now_v7().simple().to_string();
    id[id.len() - 12..].to_ascii_uppercase()
}
