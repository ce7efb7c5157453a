//! Campaigns, codes in bulk, and which promotions apply to a cart.

use rand::RngCore as _;
use till_engine::runner::request_hash;
use till_registry::Bound;
use till_sandbox::Slot;
use till_store::tables::campaign::{CampaignRow, PromotionCodeRow};
use till_store::tables::command::CommandRow;

use super::{Shop, ShopError};
use crate::ask::{self, Asker};
use crate::cart;
use crate::checkout::context::{ClientInputs, Session};
use crate::checkout::pricing::snapshot_of;
use crate::quote::{Inputs, Quote, Stage};

/// Most campaigns of a merchant: each checkout reads all of them.
pub const CAMPAIGNS_MAX: i64 = 200;
/// Most promotions of a campaign.
pub const CAMPAIGN_PROMOTIONS_MAX: usize = 100;
/// Most codes in one request.
pub const CODES_MAX: i64 = 100_000;
/// Codes made in one transaction: fewer than would keep other writers waiting.
const CODES_AT_ONCE: i64 = 1_000;
/// Characters behind the prefix: 60 random bits, so that no two meet and nobody guesses one.
const CODE_CHARS: usize = 12;
/// Those that people do not take for one another.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Codes to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodesWanted {
    /// Promotion they belong to.
    pub promotion: String,
    /// Code by which the component knows it.
    pub stands_for: String,
    /// Start of each; may be empty.
    pub prefix: String,
    /// How many; 1 to [`CODES_MAX`].
    pub count: i64,
    /// How often each works; at least 1.
    pub uses: i64,
}

fn field(name: &str, why: String) -> ShopError {
    ShopError::Field { field: name.to_owned(), why }
}

fn missing(id: &str) -> ShopError {
    ShopError::NotFound { what: "campaign", id: id.to_owned() }
}

impl Shop {
    /// Makes a campaign or replaces what is said of it; what it spent stays.
    pub async fn put_campaign(&self, merchant: &str, row: CampaignRow) -> Result<CampaignRow, ShopError> {
        if let (Some(starts), Some(ends)) = (row.starts_us, row.ends_us)
            && ends <= starts
        {
            return Err(field("endsAt", "a time after `startsAt` is needed".to_owned()));
        }
        self.atomic(merchant, move |tx, merchant| {
            let row = row.clone();
            Box::pin(async move {
                tx.hold_promotions(&merchant).await?;
                let all = tx.campaigns(&merchant, "", CAMPAIGNS_MAX).await?;
                let known = all.iter().find(|one| one.id == row.id);
                if known.is_none() && all.len() as i64 >= CAMPAIGNS_MAX {
                    let why = format!("there are {CAMPAIGNS_MAX} campaigns; take one away first");
                    return Err(ShopError::Refused { why });
                }
                if known.is_some_and(|one| one.currency != row.currency && one.spent + one.held > 0) {
                    let why = "it has spent in another currency; make another campaign".to_owned();
                    return Err(ShopError::Refused { why });
                }
                let wants: Vec<String> = crate::catalog::parse(&row.promotions)?;
                for other in all.iter().filter(|one| one.id != row.id) {
                    let has: Vec<String> = crate::catalog::parse(&other.promotions)?;
                    if let Some(taken) = wants.iter().find(|id| has.contains(id)) {
                        let why = format!("promotion {taken} belongs to campaign {}", other.id);
                        return Err(field("promotions", why));
                    }
                }
                tx.put_campaign(&merchant, &row).await?;
                tx.campaign(&merchant, &row.id).await?.ok_or_else(|| missing(&row.id))
            })
        })
        .await
    }

    /// A campaign with what it spent.
    pub async fn campaign(&self, merchant: &str, id: &str) -> Result<CampaignRow, ShopError> {
        self.store.read().await?.campaign(merchant, id).await?.ok_or_else(|| missing(id))
    }

    /// Campaigns after an id, in the order of ids.
    pub async fn campaigns(
        &self,
        merchant: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<CampaignRow>, ShopError> {
        Ok(self.store.read().await?.campaigns(merchant, after, limit).await?)
    }

    /// Takes a campaign away; its promotions then have no dates and no budget.
    pub async fn delete_campaign(&self, merchant: &str, id: &str) -> Result<(), ShopError> {
        let id = id.to_owned();
        self.atomic(merchant, move |tx, merchant| {
            let id = id.clone();
            Box::pin(async move {
                if tx.delete_campaign(&merchant, &id).await? {
                    return Ok(());
                }
                Err(match tx.campaign(&merchant, &id).await? {
                    None => missing(&id),
                    Some(_) => ShopError::Refused {
                        why: "checkouts hold of its budget; set `active` to false, and take it away later"
                            .to_owned(),
                    },
                })
            })
        })
        .await
    }

    /// Makes codes and gives the name of their batch. Repeated under its key after an interruption, it makes what is
    /// still missing.
    pub async fn make_codes(
        &self,
        merchant: &str,
        who: &str,
        wanted: CodesWanted,
        key: Option<&str>,
    ) -> Result<String, ShopError> {
        if !(1..=CODES_MAX).contains(&wanted.count) {
            return Err(field("count", format!("1 to {CODES_MAX} codes")));
        }
        if !(1..=1_000_000).contains(&wanted.uses) {
            return Err(field("usesEach", "1 to 1000000".to_owned()));
        }
        let hash = request_hash(&["promotion.codes", &format!("{wanted:?}")]);
        let mut batch = format!("codes_{}", uuid::Uuid::now_v7().simple());
        if let Some(key) = key {
            let row = CommandRow { hash: hash.clone(), pointer: batch.clone() };
            let (who, key, now_us) = (who.to_owned(), key.to_owned(), self.now_us());
            let (named, asked) = (key.clone(), row.clone());
            let known = self.atomic(merchant, move |tx, merchant| {
                let (who, key, row) = (who.clone(), key.clone(), row.clone());
                Box::pin(async move {
                    Ok(tx.remember(&merchant, &who, "promotion.codes", &key, &row, now_us).await?)
                })
            });
            match known.await? {
                Some(known) if known.hash != asked.hash => return Err(ShopError::KeyReused { key: named }),
                Some(known) => batch = known.pointer,
                None => {}
            }
        }
        loop {
            let (wanted, named) = (wanted.clone(), batch.clone());
            let left = self.atomic(merchant, move |tx, merchant| {
                let (wanted, batch) = (wanted.clone(), named.clone());
                Box::pin(async move {
                    // The same request at the same time: what one has made, the other sees.
                    tx.hold_promotions(&merchant).await?;
                    let left = wanted.count - tx.count_promotion_codes(&merchant, &batch).await?;
                    let now = left.min(CODES_AT_ONCE);
                    let mut made = 0;
                    while made < now {
                        let row = PromotionCodeRow {
                            code: format!("{}{}", wanted.prefix, random()),
                            promotion: wanted.promotion.clone(),
                            stands_for: wanted.stands_for.clone(),
                            uses: wanted.uses,
                            used: 0,
                            batch: batch.clone(),
                        };
                        made += i64::from(tx.put_promotion_code(&merchant, &row).await?);
                    }
                    Ok(left - now)
                })
            });
            if left.await? <= 0 {
                return Ok(batch);
            }
        }
    }

    /// Codes of a promotion after one, in their order; of one batch, if it is named.
    pub async fn promotion_codes(
        &self,
        merchant: &str,
        promotion: &str,
        batch: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<PromotionCodeRow>, ShopError> {
        Ok(self.store.read().await?.promotion_codes(merchant, promotion, batch, after, limit).await?)
    }

    /// What promotions do to the customer's cart as it is now, with these codes: a quote as far as promotions on
    /// shipping. None: the cart is empty.
    pub async fn applicable(
        &self,
        merchant: &str,
        customer: &str,
        codes: Vec<String>,
    ) -> Result<Option<(Inputs, Quote)>, ShopError> {
        let settings = self.settings(merchant).await?;
        let client = ClientInputs { codes, ..ClientInputs::default() };
        let now_us = self.now_us();
        let (inputs, settings) = {
            let mut tx = self.store.read().await?;
            let cart = cart::current(&mut tx, merchant, customer, &settings).await?;
            if cart.items.is_empty() {
                return Ok(None);
            }
            let settings = cart::settings_of(&cart, &settings)?;
            let session = Session { cart: cart.id, customer: customer.to_owned() };
            let read = snapshot_of(&mut tx, merchant, &session, &settings, client, now_us).await?;
            let Some((inputs, _)) = read else { return Ok(None) };
            (inputs, settings)
        };
        inputs.check(&settings.limits).map_err(|e| field("codes", e.to_string()))?;
        let name = format!("promotions-{customer}");
        let pins = self.registry.pins(merchant, &name).await?;
        let asker = Asker {
            sandbox: self.registry.sandbox(),
            registry: Some(&self.registry),
            context: ask::context(merchant, &name, &settings, inputs.now_ms),
            background: false,
            tap: None,
        };
        let mut quote = Quote::new(&settings, &inputs);
        for (stage, slot) in [
            (Stage::Price, Slot::Pricing),
            (Stage::Promotions, Slot::Promotion),
            (Stage::Points, Slot::Pricing),
            (Stage::Shipping, Slot::Shipping),
        ] {
            let mut bound: Vec<std::sync::Arc<Bound>> = Vec::new();
            let named = pins.get(slot.as_str()).and_then(serde_json::Value::as_object);
            let mut named: Vec<_> = named.into_iter().flatten().collect();
            named.sort_by_key(|(name, _)| name.to_owned());
            for (_, digest) in named.iter().filter(|_| stage != Stage::Points) {
                bound.push(self.registry.bound(merchant, digest.as_str().unwrap_or_default()).await?);
            }
            let answered = asker.stage(stage, &bound, &inputs, quote).await;
            quote = answered.map_err(|fault| ShopError::Unavailable { why: fault.to_string() })?.0;
        }
        Ok(Some((inputs, quote)))
    }
}

fn random() -> String {
    let mut bytes = [0; CODE_CHARS];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}
