//! The catalog: what is listed and shown, and how a merchant changes it.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use till_store::tables::product::{Filter, Place, ProductRow, Sort};

use super::{Shop, ShopError};
use crate::catalog::{self, Availability, Product};

/// A product is shown from memory for so long: other hosts see a change by then, this one at once.
const SHOWN_FOR: Duration = Duration::from_secs(5);
/// Products in memory. At 2 kB each they take 20 MB.
const PRODUCTS_MAX: u64 = 10_000;
/// Products without an index that are given one at a time.
const INDEXED_AT_ONCE: i64 = 200;

/// Products that were shown lately. Carts and checkouts read the store.
pub(super) struct Products(Cache<(String, String), Arc<Product>>);

impl Products {
    pub(super) fn new() -> Products {
        Products(Cache::builder().max_capacity(PRODUCTS_MAX).time_to_live(SHOWN_FOR).build())
    }

    fn forget(&self, merchant: &str, id: &str) {
        self.0.invalidate(&(merchant.to_owned(), id.to_owned()));
    }
}

/// A product with what can be held, by SKU in the order of its articles.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The product.
    pub product: Arc<Product>,
    /// Units of each article.
    pub stock: Vec<(String, Vec<Availability>)>,
}

impl Shop {
    /// Products that match, behind a place, with what can be held; and each one's place.
    pub async fn products(
        &self,
        merchant: &str,
        filter: &Filter,
        sort: Sort,
        after: &Place,
        limit: i64,
    ) -> Result<Vec<(Place, Shown)>, ShopError> {
        let mut tx = self.store.read().await?;
        let mut all = Vec::new();
        for (place, body) in tx.find_products(merchant, filter, sort, after, limit).await? {
            let product: Product = catalog::parse(&body)?;
            all.push((place, shown(&mut tx, merchant, Arc::new(product)).await?));
        }
        Ok(all)
    }

    /// A product as shoppers see it, with what can be held: its details may be some seconds old, its stock is not.
    pub async fn product(&self, merchant: &str, id: &str) -> Result<Shown, ShopError> {
        let mut tx = self.store.read().await?;
        let key = (merchant.to_owned(), id.to_owned());
        let product = match self.products.0.get(&key) {
            Some(product) => product,
            None => {
                let product = Arc::new(found(catalog::product(&mut tx, merchant, id).await?, id)?);
                self.products.0.insert(key, product.clone());
                product
            }
        };
        let product = Some(product).filter(|product| product.active);
        shown(&mut tx, merchant, found(product, id)?).await
    }

    /// A product as it is kept, sold or not.
    pub async fn kept_product(&self, merchant: &str, id: &str) -> Result<Shown, ShopError> {
        let mut tx = self.store.read().await?;
        let product = found(catalog::product(&mut tx, merchant, id).await?, id)?;
        shown(&mut tx, merchant, Arc::new(product)).await
    }

    /// Makes or replaces a product.
    pub async fn put_product(&self, merchant: &str, product: &Product) -> Result<(), ShopError> {
        self.put_products(merchant, std::slice::from_ref(product)).await
    }

    /// Makes or replaces products, all or none.
    pub async fn put_products(&self, merchant: &str, products: &[Product]) -> Result<(), ShopError> {
        if let Some((field, why)) = products.iter().flat_map(Product::faults).next() {
            return Err(ShopError::Field { field, why: why.to_owned() });
        }
        let rows = products.iter().map(Product::row).collect::<Result<Vec<ProductRow>, _>>()?;
        let (owner, now_us) = (merchant.to_owned(), self.now_us());
        let taken = self.store.transact(move |tx| {
            let (owner, rows) = (owner.clone(), rows.clone());
            Box::pin(async move { catalog::write(tx, &owner, &rows, now_us).await })
        });
        let taken = taken.await?;
        if !taken.is_empty() {
            return Err(ShopError::Taken(taken));
        }
        for product in products {
            self.products.forget(merchant, &product.id);
        }
        self.carts.prices_changed();
        Ok(())
    }

    /// Takes a product out of the catalog. Lines of carts that have it are not for sale any more.
    pub async fn delete_product(&self, merchant: &str, id: &str) -> Result<(), ShopError> {
        let (owner, gone) = (merchant.to_owned(), id.to_owned());
        let there = self.store.transact(move |tx| {
            let (owner, gone) = (owner.clone(), gone.clone());
            Box::pin(async move { tx.delete_product(&owner, &gone).await })
        });
        let there = there.await?;
        self.products.forget(merchant, id);
        self.carts.prices_changed();
        found(Some(()).filter(|()| there), id)
    }

    /// Gives products that were written before there was an index one. Gives how many.
    pub async fn index_products(&self) -> Result<usize, ShopError> {
        let mut indexed = 0;
        loop {
            let old = self.store.read().await?.products_without_index(INDEXED_AT_ONCE).await?;
            if old.is_empty() {
                return Ok(indexed);
            }
            for (merchant, body) in old {
                let product: Product = catalog::parse(&body)?;
                // Two of them with the same SKU: the second one is for a person to sort out.
                if let Err(ShopError::Taken(taken)) = self.put_product(&merchant, &product).await {
                    tracing::error!(merchant, ?taken, "start with products that share a SKU");
                    return Err(ShopError::Taken(taken));
                }
                indexed += 1;
            }
        }
    }
}

fn found<T>(product: Option<T>, id: &str) -> Result<T, ShopError> {
    product.ok_or_else(|| ShopError::NotFound { what: "product", id: id.to_owned() })
}

async fn shown(tx: &mut till_store::Tx, merchant: &str, product: Arc<Product>) -> Result<Shown, ShopError> {
    let mut stock = Vec::new();
    for article in product.articles() {
        let units = catalog::availability(tx, merchant, &article.sku).await?;
        stock.push((article.sku, units));
    }
    Ok(Shown { product, stock })
}
