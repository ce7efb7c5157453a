//! Products, and what they are found by. The body is JSON of the room that owns its meaning; the index, the labels and
//! the SKUs beside it are written in the same transaction and can be made from it again.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// Words that a search may have.
pub const WORDS_MAX: usize = 5;

/// A product as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductRow {
    /// Id.
    pub id: String,
    /// JSON.
    pub body: String,
    /// Texts that a search looks at, lower case.
    pub words: String,
    /// Lower case.
    pub name: String,
    /// Currency in which it is listed where none is asked for; one of `prices`.
    pub currency: String,
    /// Lowest price in each currency it is sold in, minor units.
    pub prices: Vec<(String, i64)>,
    /// Shoppers see it.
    pub active: bool,
    /// Stock is counted.
    pub stocked: bool,
    /// Categories.
    pub categories: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// SKUs, and whether units of them are sold.
    pub skus: Vec<(String, bool)>,
}

/// In which order products are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// By id.
    #[default]
    Id,
    /// By name.
    Name,
    /// Cheapest first.
    Price,
    /// Dearest first.
    PriceDown,
    /// Newest first.
    Newest,
}

/// Where a page begins: behind the product with this value and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The value it is sorted by, where that is a text.
    pub text: String,
    /// The value it is sorted by, where that is a number.
    pub number: i64,
    /// Id.
    pub id: String,
}

impl Sort {
    /// Before the first product.
    pub fn start(self) -> Place {
        let number = if matches!(self, Sort::PriceDown | Sort::Newest) { i64::MAX } else { i64::MIN };
        Place { text: String::new(), number, id: String::new() }
    }
}

/// Which products are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Each is in the name, the description or a SKU; lower case, at most [`WORDS_MAX`].
    pub words: Vec<String>,
    /// In this category.
    pub category: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Sold in this currency, at that price; none: at the price in its own.
    pub currency: Option<String>,
    /// Not cheaper, minor units.
    pub price_min: Option<i64>,
    /// Not dearer, minor units.
    pub price_max: Option<i64>,
    /// Units can be sold, or none can.
    pub in_stock: Option<bool>,
    /// Shoppers see it, or do not.
    pub active: Option<bool>,
}

macro_rules! find {
    ($after:literal, $order:literal) => {
        concat!(
            "SELECT p.id, p.name, c.price, p.created_us, b.body FROM product_index p JOIN product_price c ON c.merchant = p.merchant AND c.product = p.id AND c.currency = CASE WHEN $16 = '' THEN p.currency ELSE $16 END JOIN product b ON b.merchant = p.merchant AND b.id = p.id WHERE p.merchant = $1",
            " AND p.words LIKE $2 ESCAPE '!' AND p.words LIKE $3 ESCAPE '!' AND p.words LIKE $4 ESCAPE '!' AND p.words LIKE $5 ESCAPE '!' AND p.words LIKE $6 ESCAPE '!'",
            " AND ($7 = '' OR EXISTS (SELECT 1 FROM product_label l WHERE l.merchant = p.merchant AND l.product = p.id AND l.kind = 'category' AND l.label = $7))",
            " AND ($8 = '' OR EXISTS (SELECT 1 FROM product_label l WHERE l.merchant = p.merchant AND l.product = p.id AND l.kind = 'tag' AND l.label = $8))",
            " AND c.price >= $9 AND c.price <= $10 AND ($11 = -1 OR p.active = $11)",
            " AND ($12 = -1 OR $12 = CASE WHEN p.stocked = 0 OR EXISTS (SELECT 1 FROM product_sku s JOIN stock k ON k.merchant = s.merchant AND k.sku = s.sku WHERE s.merchant = p.merchant AND s.product = p.id AND s.sold = 1 AND k.on_hand > k.held) THEN 1 ELSE 0 END)",
            " AND ", $after, " ORDER BY ", $order, " LIMIT $13"
        )
    };
}

impl Tx {
    /// Makes or replaces a product with all that it is found by. It must own its SKUs: see [`Tx::sku_owner`] and
    /// [`Tx::free_skus`]. A SKU that somebody else took meanwhile is a conflict.
    pub async fn put_product(
        &mut self,
        merchant: &str,
        row: &ProductRow,
        now_us: i64,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO product (merchant, id, body, updated_us) VALUES ($1,$2,$3,$4) ON CONFLICT (merchant, id) DO UPDATE SET body = excluded.body, updated_us = excluded.updated_us";
        self.exec(sql, &[P::T(merchant), P::T(&row.id), P::T(&row.body), P::I(now_us)]).await?;
        let sql = "INSERT INTO product_index (merchant, id, words, name, currency, active, stocked, created_us) VALUES ($1,$2,$3,$4,$5,$6,$7,$8) ON CONFLICT (merchant, id) DO UPDATE SET words = excluded.words, name = excluded.name, currency = excluded.currency, active = excluded.active, stocked = excluded.stocked";
        let params = [
            P::T(merchant),
            P::T(&row.id),
            P::T(&row.words),
            P::T(&row.name),
            P::T(&row.currency),
            P::I(i64::from(row.active)),
            P::I(i64::from(row.stocked)),
            P::I(now_us),
        ];
        self.exec(sql, &params).await?;
        self.exec("DELETE FROM product_price WHERE merchant = $1 AND product = $2", &params[..2]).await?;
        for (currency, price) in &row.prices {
            let sql = "INSERT INTO product_price (merchant, product, currency, price) VALUES ($1,$2,$3,$4)";
            self.exec(sql, &[P::T(merchant), P::T(&row.id), P::T(currency), P::I(*price)]).await?;
        }
        self.exec("DELETE FROM product_label WHERE merchant = $1 AND product = $2", &params[..2]).await?;
        for (kind, labels) in [("category", &row.categories), ("tag", &row.tags)] {
            for label in labels {
                let sql = "INSERT INTO product_label (merchant, product, kind, label) VALUES ($1,$2,$3,$4) ON CONFLICT DO NOTHING";
                self.exec(sql, &[P::T(merchant), P::T(&row.id), P::T(kind), P::T(label)]).await?;
            }
        }
        self.free_skus(merchant, &row.id).await?;
        for (sku, sold) in &row.skus {
            let sql = "INSERT INTO product_sku (merchant, sku, product, sold) VALUES ($1,$2,$3,$4) ON CONFLICT DO NOTHING";
            let params = [P::T(merchant), P::T(sku), P::T(&row.id), P::I(i64::from(*sold))];
            if self.exec(sql, &params).await? == 0 {
                return Err(StoreError::Conflict);
            }
        }
        Ok(())
    }

    /// The product that owns a SKU.
    pub async fn sku_owner(&mut self, merchant: &str, sku: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT product FROM product_sku WHERE merchant = $1 AND sku = $2";
        self.row(sql, &[P::T(merchant), P::T(sku)]).await?.map(|row| row.text(0)).transpose()
    }

    /// A product gives up its SKUs, before it or another one is written.
    pub async fn free_skus(&mut self, merchant: &str, id: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM product_sku WHERE merchant = $1 AND product = $2";
        self.exec(sql, &[P::T(merchant), P::T(id)]).await.map(|_| ())
    }

    /// Takes a product away. False: there is none.
    pub async fn delete_product(&mut self, merchant: &str, id: &str) -> Result<bool, StoreError> {
        let of = [P::T(merchant), P::T(id)];
        self.free_skus(merchant, id).await?;
        self.exec("DELETE FROM product_label WHERE merchant = $1 AND product = $2", &of).await?;
        self.exec("DELETE FROM product_price WHERE merchant = $1 AND product = $2", &of).await?;
        self.exec("DELETE FROM product_index WHERE merchant = $1 AND id = $2", &of).await?;
        Ok(self.exec("DELETE FROM product WHERE merchant = $1 AND id = $2", &of).await? == 1)
    }

    /// A product.
    pub async fn product(&mut self, merchant: &str, id: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT body FROM product WHERE merchant = $1 AND id = $2";
        self.row(sql, &[P::T(merchant), P::T(id)]).await?.map(|r| r.text(0)).transpose()
    }

    /// Products that match, behind a place: `(place, body)`.
    pub async fn find_products(
        &mut self,
        merchant: &str,
        filter: &Filter,
        sort: Sort,
        after: &Place,
        limit: i64,
    ) -> Result<Vec<(Place, String)>, StoreError> {
        let mut like = vec!["%".to_owned(); WORDS_MAX];
        for (slot, word) in like.iter_mut().zip(&filter.words) {
            *slot = format!("%{}%", word.replace('!', "!!").replace('%', "!%").replace('_', "!_"));
        }
        let flag = |given: Option<bool>| P::I(given.map_or(-1, i64::from));
        let (sql, value) = match sort {
            Sort::Id => (find!("$14 = 0 AND p.id > $15", "p.id"), P::I(0)),
            Sort::Name => (find!("(p.name, p.id) > ($14, $15)", "p.name, p.id"), P::T(&after.text)),
            Sort::Price => (find!("(c.price, p.id) > ($14, $15)", "c.price, p.id"), P::I(after.number)),
            Sort::PriceDown => {
                (find!("(c.price, p.id) < ($14, $15)", "c.price DESC, p.id DESC"), P::I(after.number))
            }
            Sort::Newest => (
                find!("(p.created_us, p.id) < ($14, $15)", "p.created_us DESC, p.id DESC"),
                P::I(after.number),
            ),
        };
        let params = [
            P::T(merchant),
            P::T(&like[0]),
            P::T(&like[1]),
            P::T(&like[2]),
            P::T(&like[3]),
            P::T(&like[4]),
            P::T(filter.category.as_deref().unwrap_or_default()),
            P::T(filter.tag.as_deref().unwrap_or_default()),
            P::I(filter.price_min.unwrap_or(i64::MIN)),
            P::I(filter.price_max.unwrap_or(i64::MAX)),
            flag(filter.active),
            flag(filter.in_stock),
            P::I(limit),
            value,
            P::T(&after.id),
            P::T(filter.currency.as_deref().unwrap_or_default()),
        ];
        self.rows(sql, &params).await?.iter().map(|row| found(row, sort)).collect()
    }

    /// Products of all merchants that were written before there was an index: `(merchant, body)`.
    pub async fn products_without_index(&mut self, limit: i64) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT b.merchant, b.body FROM product b WHERE NOT EXISTS (SELECT 1 FROM product_index p WHERE p.merchant = b.merchant AND p.id = b.id) ORDER BY b.merchant, b.id LIMIT $1";
        self.rows(sql, &[P::I(limit)]).await?.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }
}

fn found(row: &Row, sort: Sort) -> Result<(Place, String), StoreError> {
    let mut place = Place { text: String::new(), number: 0, id: row.text(0)? };
    match sort {
        Sort::Id => {}
        Sort::Name => place.text = row.text(1)?,
        Sort::Price | Sort::PriceDown => place.number = row.int(2)?,
        Sort::Newest => place.number = row.int(3)?,
    }
    Ok((place, row.text(4)?))
}
