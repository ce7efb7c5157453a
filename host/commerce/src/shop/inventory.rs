//! Stock as its merchant and other channels change it. Each command is one transaction; under an idempotency key it is
//! done once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use till_engine::runner::request_hash;
use till_engine::step::Event;
use till_store::tables::command::CommandRow;
use till_store::tables::hold::{End, Held, HoldKind, NewHold};
use till_store::tables::inventory::{
    Because, Change, Movement, MovementFilter, StockFilter, StockRow, UNITS_MAX,
};
use till_store::tables::reservation::{ReservationRow, ReservedRow};
use till_store::{Error as StoreError, Tx};
use uuid::Uuid;

use super::{Shop, ShopError};
use crate::catalog::{self, Availability};
use crate::inventory::choose::{Free, Want, choose};
use crate::inventory::place::order;
use crate::inventory::{self, SALE, WAREHOUSES_MAX, Warehouse, crossed};
use crate::settings::InventorySettings;

/// Times a command is tried again after another one changed the same things in between.
const RACES_MAX: u32 = 8;
/// Reservations that are ended in one turn. Each is a transaction of its own.
const EXPIRED_AT_ONCE: i64 = 100;

/// A change of stock that a person of the merchant makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StockChange {
    /// Units come, or go (below zero).
    By {
        /// SKU.
        sku: String,
        /// Warehouse.
        warehouse: String,
        /// Units.
        delta: i64,
    },
    /// So many units are there.
    To {
        /// SKU.
        sku: String,
        /// Warehouse.
        warehouse: String,
        /// Units, those that are promised included.
        on_hand: i64,
    },
    /// Units go from one warehouse to another.
    Transfer {
        /// SKU.
        sku: String,
        /// Where they are.
        from: String,
        /// Where they will be.
        to: String,
        /// Units, at least 1.
        quantity: i64,
    },
}

/// Units that another channel wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemWanted {
    /// SKU.
    pub sku: String,
    /// Units, at least 1.
    pub quantity: u32,
    /// Where from; none: as the policy says.
    pub warehouse: Option<String>,
}

/// An item of which there is not enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortItem {
    /// Its place in the list.
    pub item: usize,
    /// SKU.
    pub sku: String,
    /// Where from; none: nowhere.
    pub warehouse: Option<String>,
    /// Units wanted.
    pub wanted: i64,
    /// Units that could be held.
    pub available: i64,
}

/// A reservation with its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The reservation.
    pub row: ReservationRow,
    /// What it holds or held.
    pub items: Vec<ReservedRow>,
}

/// A command of somebody of the merchant: who, and the key under which it is done once.
pub(super) struct Command<'a> {
    pub(super) merchant: &'a str,
    pub(super) who: &'a str,
    pub(super) operation: &'static str,
    pub(super) key: Option<&'a str>,
    /// What is asked for, as text.
    pub(super) what: String,
}

impl Shop {
    /// Sets the units on hand, as the host plants them.
    pub async fn put_stock(
        &self,
        merchant: &str,
        sku: &str,
        warehouse: &str,
        on_hand: i64,
    ) -> Result<(), ShopError> {
        let change = StockChange::To { sku: sku.to_owned(), warehouse: warehouse.to_owned(), on_hand };
        self.change_stock(merchant, "till", change, ("set", "", ""), None).await.map(|_| ())
    }

    /// Changes stock with a reason, a reference and a note. Gives the movements that were made; repeated under its key,
    /// those that were made then.
    pub async fn change_stock(
        &self,
        merchant: &str,
        who: &str,
        change: StockChange,
        (reason, reference, note): (&str, &str, &str),
        key: Option<&str>,
    ) -> Result<Vec<Movement>, ShopError> {
        check(&change)?;
        let low_at = self.settings(merchant).await?.inventory.low_at;
        let what = format!("{change:?} {reason:?} {reference:?} {note:?}");
        let command = Command { merchant, who, operation: "inventory.change", key, what };
        let texts = [merchant, who, reason, reference, note].map(str::to_owned);
        let now_us = self.now_us();
        self.once(
            command,
            move |tx, id| {
                let (change, [merchant, who, reason, reference, note]) = (change.clone(), texts.clone());
                Box::pin(async move {
                    let reference = if reference.is_empty() && matches!(change, StockChange::Transfer { .. })
                    {
                        &id
                    } else {
                        &reference
                    };
                    let because =
                        Because { reason: &reason, reference, note: &note, who: &who, at_us: now_us };
                    let made = apply(tx, &merchant, &id, &change, &because).await?;
                    tell(tx, &merchant, &made, low_at, now_us).await?;
                    Ok(made)
                })
            },
            |tx, merchant, id| {
                Box::pin(async move {
                    let mut made = Vec::new();
                    for id in [id.clone(), format!("{id}-out"), format!("{id}-in")] {
                        made.extend(tx.movement(&merchant, &id).await?);
                    }
                    Ok(made)
                })
            },
        )
        .await
    }

    /// Stock after a place in the order of SKU and warehouse.
    pub async fn stock(
        &self,
        merchant: &str,
        filter: &StockFilter,
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<StockRow>, ShopError> {
        Ok(self.store.read().await?.list_stock(merchant, filter, after, limit).await?)
    }

    /// Movements before a place in the order of time and id, newest first.
    pub async fn movements(
        &self,
        merchant: &str,
        filter: &MovementFilter,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<Movement>, ShopError> {
        Ok(self.store.read().await?.movements(merchant, filter, before, limit).await?)
    }

    /// Units of a SKU that a shopper can buy, by warehouse; none: they are not counted. Unknown is a SKU that is not sold.
    pub async fn availability(
        &self,
        merchant: &str,
        sku: &str,
    ) -> Result<Option<Vec<Availability>>, ShopError> {
        let missing = || ShopError::NotFound { what: "SKU", id: sku.to_owned() };
        let mut tx = self.store.read().await?;
        let owner = tx.sku_owner(merchant, sku).await?.ok_or_else(missing)?;
        let product = catalog::product(&mut tx, merchant, &owner).await?;
        let product = product.filter(|product| product.active).ok_or_else(missing)?;
        product.article(sku).filter(|article| article.active).ok_or_else(missing)?;
        match product.stocked {
            true => Ok(Some(catalog::availability(&mut tx, merchant, sku).await?)),
            false => Ok(None),
        }
    }

    /// Sets the threshold of a SKU; none: as the settings say. What is below it already is not told.
    pub async fn put_threshold(
        &self,
        merchant: &str,
        sku: &str,
        low_at: Option<i64>,
    ) -> Result<(), ShopError> {
        if !(0..=UNITS_MAX).contains(&low_at.unwrap_or(0)) {
            return Err(field("lowAt", format!("0 to {UNITS_MAX} units")));
        }
        let (owner, sku) = (merchant.to_owned(), sku.to_owned());
        let put = self.store.transact(move |tx| {
            let (owner, sku) = (owner.clone(), sku.clone());
            Box::pin(async move { tx.put_threshold(&owner, &sku, low_at).await })
        });
        Ok(put.await?)
    }

    /// Makes or replaces the description of a warehouse.
    pub async fn put_warehouse(&self, merchant: &str, warehouse: &Warehouse) -> Result<(), ShopError> {
        if warehouse.at.is_some_and(|at| !at.is_on_the_globe()) {
            let why = "latitude from -90 to 90 degrees, longitude from -180 to 180";
            return Err(field("latitude", why.to_owned()));
        }
        let body = serde_json::to_string(warehouse).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        let (id, active, now_us) = (warehouse.id.clone(), warehouse.active, self.now_us());
        self.atomic(merchant, move |tx, merchant| {
            let (id, body) = (id.clone(), body.clone());
            Box::pin(async move {
                let known = tx.warehouse(&merchant, &id).await?.is_some();
                if !known && tx.count_warehouses(&merchant).await? >= WAREHOUSES_MAX {
                    let why = format!("there are {WAREHOUSES_MAX} warehouses; at most so many are described");
                    return Err(ShopError::Refused { why });
                }
                Ok(tx.put_warehouse(&merchant, &id, active, &body, now_us).await?)
            })
        })
        .await
    }

    /// Warehouses that are described, after an id, in the order of ids.
    pub async fn warehouses(
        &self,
        merchant: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Warehouse>, ShopError> {
        let bodies = self.store.read().await?.warehouses(merchant, after, limit).await?;
        Ok(bodies.iter().map(|body| catalog::parse(body)).collect::<Result<_, _>>()?)
    }

    /// A warehouse as it is described.
    pub async fn warehouse(&self, merchant: &str, id: &str) -> Result<Warehouse, ShopError> {
        let body = self.store.read().await?.warehouse(merchant, id).await?;
        let body = body.ok_or_else(|| ShopError::NotFound { what: "warehouse", id: id.to_owned() })?;
        Ok(catalog::parse(&body)?)
    }

    /// Takes the description of a warehouse away.
    pub async fn delete_warehouse(&self, merchant: &str, id: &str) -> Result<(), ShopError> {
        let gone = id.to_owned();
        self.atomic(merchant, move |tx, merchant| {
            let id = gone.clone();
            Box::pin(async move {
                if tx.delete_warehouse(&merchant, &id).await? {
                    return Ok(());
                }
                Err(match tx.warehouse(&merchant, &id).await? {
                    None => ShopError::NotFound { what: "warehouse", id },
                    Some(_) => ShopError::Refused {
                        why: format!("units are in warehouse {id}; transfer them, or set `active` to false"),
                    },
                })
            })
        })
        .await
    }

    /// Holds units for another channel for `ttl_s` seconds, all or none.
    pub async fn reserve(
        &self,
        merchant: &str,
        who: &str,
        items: Vec<ItemWanted>,
        (ttl_s, reference): (i64, &str),
        key: Option<&str>,
    ) -> Result<Reservation, ShopError> {
        let settings = Arc::new(self.settings(merchant).await?);
        let what = format!("{items:?} {ttl_s} {reference:?}");
        let command = Command { merchant, who, operation: "inventory.reserve", key, what };
        let [merchant, who, reference] = [merchant, who, reference].map(str::to_owned);
        let now_us = self.now_us();
        self.once(
            command,
            move |tx, id| {
                let (items, settings, merchant) = (items.clone(), settings.clone(), merchant.clone());
                let (who, reference) = (who.clone(), reference.clone());
                Box::pin(async move {
                    let row = ReservationRow {
                        id,
                        uid: Uuid::now_v7(),
                        reference,
                        state: "held".to_owned(),
                        who,
                        created_us: now_us,
                        expires_us: now_us.saturating_add(ttl_s.saturating_mul(1_000_000)),
                        ended_us: None,
                    };
                    hold_all(tx, &merchant, &row, &items, &settings.inventory).await?;
                    tx.insert_reservation(&merchant, &row).await?;
                    read(tx, &merchant, &row.id).await
                })
            },
            |tx, merchant, id| Box::pin(async move { read(tx, &merchant, &id).await }),
        )
        .await
    }

    /// A reservation.
    pub async fn reservation(&self, merchant: &str, id: &str) -> Result<Reservation, ShopError> {
        read(&mut self.store.read().await?, merchant, id).await
    }

    /// Takes what a reservation holds (`confirmed`) or gives it back (`released`, `expired`). Again is harmless; another
    /// end than the one it came to is refused.
    pub async fn end_reservation(
        &self,
        merchant: &str,
        who: &str,
        id: &str,
        state: &'static str,
    ) -> Result<Reservation, ShopError> {
        let low_at = self.settings(merchant).await?.inventory.low_at;
        let (who, id, now_us) = (who.to_owned(), id.to_owned(), self.now_us());
        self.atomic(merchant, move |tx, merchant| {
            let (who, id) = (who.clone(), id.clone());
            Box::pin(async move {
                if tx.end_reservation(&merchant, &id, state, now_us).await? {
                    let row = read(tx, &merchant, &id).await?.row;
                    let reference = if row.reference.is_empty() { &row.id } else { &row.reference };
                    let because = Because { reason: SALE, reference, note: "", who: &who, at_us: now_us };
                    let end = if state == "confirmed" { End::Commit(because) } else { End::Release };
                    let (_, taken) = tx.settle_holds(&merchant, row.uid, "", end, now_us).await?;
                    tell(tx, &merchant, &taken, low_at, now_us).await?;
                }
                let ended = read(tx, &merchant, &id).await?;
                if ended.row.state == state {
                    return Ok(ended);
                }
                let why =
                    format!("the reservation is {} and cannot be {state}; make a new one", ended.row.state);
                Err(ShopError::Refused { why })
            })
        })
        .await
    }

    /// Ends reservations whose time has run out. Gives how many; with some there may be more.
    pub async fn expire_reservations(&self) -> Result<usize, ShopError> {
        let due = self.store.read().await?.due_reservations(self.now_us(), EXPIRED_AT_ONCE).await?;
        let mut ended = 0;
        for (merchant, id) in due {
            match self.end_reservation(&merchant, "till", &id, "expired").await {
                Ok(_) => ended += 1,
                // Confirmed or released in the last moment.
                Err(ShopError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ended)
    }

    /// Does a command in one transaction, all or nothing, and again when somebody else came in between.
    pub(super) async fn atomic<T, F>(&self, merchant: &str, job: F) -> Result<T, ShopError>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Tx, String) -> BoxFuture<'a, Result<T, ShopError>> + Send + Sync + 'static,
    {
        let job = Arc::new(job);
        for _ in 0..RACES_MAX {
            // A refusal rolls everything back; this is how it is told all the same.
            let refused: Arc<Mutex<Option<ShopError>>> = Arc::default();
            let (owner, job, no) = (merchant.to_owned(), job.clone(), refused.clone());
            let done = self.store.transact(move |tx| {
                let (owner, job, no) = (owner.clone(), job.clone(), no.clone());
                Box::pin(async move {
                    no.lock().expect("no holder panics").take();
                    match job(tx, owner).await {
                        Ok(value) => Ok(value),
                        Err(ShopError::Store(error)) => Err(error),
                        Err(error) => {
                            *no.lock().expect("no holder panics") = Some(error);
                            Err(StoreError::Conflict)
                        }
                    }
                })
            });
            let done = done.await;
            if let Some(error) = refused.lock().expect("no holder panics").take() {
                return Err(error);
            }
            match done {
                Err(StoreError::Conflict) => {}
                done => return Ok(done?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Does a command under a fresh id, once under its key: repeated, `again` tells what it came to. A refused one leaves
    /// its key free.
    pub(super) async fn once<T, F, G>(&self, command: Command<'_>, job: F, again: G) -> Result<T, ShopError>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Tx, String) -> BoxFuture<'a, Result<T, ShopError>> + Send + Sync + 'static,
        G: for<'a> Fn(&'a mut Tx, String, String) -> BoxFuture<'a, Result<T, ShopError>>
            + Send
            + Sync
            + 'static,
    {
        let Command { merchant, who, operation, key, what } = command;
        let start = match operation {
            "inventory.reserve" => "res",
            "gift-card.issue" => "gc",
            _ => "mov",
        };
        let (who, key, now_us) = (who.to_owned(), key.map(str::to_owned), self.now_us());
        let hash = request_hash(&[operation, &what]);
        let (job, again) = (Arc::new(job), Arc::new(again));
        self.atomic(merchant, move |tx, merchant| {
            let (who, key, hash) = (who.clone(), key.clone(), hash.clone());
            let (job, again) = (job.clone(), again.clone());
            Box::pin(async move {
                let id = format!("{start}_{}", Uuid::now_v7().simple());
                let Some(key) = key else { return job(tx, id).await };
                match tx.command(&merchant, &who, operation, &key).await? {
                    Some(known) if known.hash == hash => return again(tx, merchant, known.pointer).await,
                    Some(_) => return Err(ShopError::KeyReused { key }),
                    None => {}
                }
                let done = job(tx, id.clone()).await?;
                let row = CommandRow { hash, pointer: id };
                match tx.remember(&merchant, &who, operation, &key, &row, now_us).await? {
                    None => Ok(done),
                    // The same key at the same time: from the start, and what it did is seen.
                    Some(_) => Err(StoreError::Conflict.into()),
                }
            })
        })
        .await
    }
}

fn field(name: &str, why: String) -> ShopError {
    ShopError::Field { field: name.to_owned(), why }
}

fn check(change: &StockChange) -> Result<(), ShopError> {
    match change {
        StockChange::By { delta, .. } if *delta == 0 || delta.unsigned_abs() > UNITS_MAX.unsigned_abs() => {
            Err(field("delta", format!("-{UNITS_MAX} to {UNITS_MAX} units, and not 0")))
        }
        StockChange::To { on_hand, .. } if *on_hand < 0 => {
            Err(field("onHand", "stock is not negative".to_owned()))
        }
        StockChange::To { on_hand, .. } if *on_hand > UNITS_MAX => {
            Err(field("onHand", format!("at most {UNITS_MAX} units")))
        }
        StockChange::Transfer { quantity, .. } if !(1..=UNITS_MAX).contains(quantity) => {
            Err(field("quantity", format!("1 to {UNITS_MAX} units")))
        }
        StockChange::Transfer { from, to, .. } if from == to => {
            Err(field("to", "another warehouse than `from` is needed".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Makes a change; all of it, or an error that rolls it back.
async fn apply(
    tx: &mut Tx,
    merchant: &str,
    id: &str,
    change: &StockChange,
    because: &Because<'_>,
) -> Result<Vec<Movement>, ShopError> {
    match change {
        StockChange::By { sku, warehouse, delta } => {
            match tx.move_stock(merchant, id, (sku, warehouse), *delta, because).await? {
                Change::Refused { .. } if *delta > 0 => Err(field(
                    "delta",
                    format!("{warehouse} would have more than {UNITS_MAX} units of {sku}"),
                )),
                Change::Refused { free } => Err(field(
                    "delta",
                    format!("{free} units of {sku} in {warehouse} are not promised; no more can go"),
                )),
                change => Ok(made(change)),
            }
        }
        StockChange::To { sku, warehouse, on_hand } => {
            match tx.put_stock(merchant, id, (sku, warehouse), *on_hand, because).await? {
                Change::Refused { .. } => Err(field(
                    "onHand",
                    format!("more units of {sku} in {warehouse} are promised than {on_hand}"),
                )),
                change => Ok(made(change)),
            }
        }
        StockChange::Transfer { sku, from, to, quantity } => {
            let mut moves = [(from, -quantity, format!("{id}-out")), (to, *quantity, format!("{id}-in"))];
            // All transactions lock warehouses in one order.
            moves.sort_by(|one, other| one.0.cmp(other.0));
            let mut all = Vec::new();
            for (warehouse, delta, id) in moves {
                match tx.move_stock(merchant, &id, (sku, warehouse), delta, because).await? {
                    Change::Refused { free } if delta < 0 => {
                        let why = format!("{free} units of {sku} in {from} are not promised; no more can go");
                        return Err(field("quantity", why));
                    }
                    Change::Refused { .. } => {
                        let why = format!("{to} would have more than {UNITS_MAX} units of {sku}");
                        return Err(field("quantity", why));
                    }
                    change => all.extend(made(change)),
                }
            }
            all.sort_by_key(|movement| movement.delta);
            Ok(all)
        }
    }
}

fn made(change: Change) -> Vec<Movement> {
    match change {
        Change::Made(movement) | Change::Known(movement) => vec![movement],
        Change::Nothing | Change::Refused { .. } => vec![],
    }
}

/// Puts what changes of stock are worth telling into the outbox.
async fn tell(
    tx: &mut Tx,
    merchant: &str,
    made: &[Movement],
    low_at: u32,
    now_us: i64,
) -> Result<(), StoreError> {
    for (topic, body) in made.iter().flat_map(|movement| crossed(movement, low_at)) {
        let event = Event { topic: topic.to_owned(), body };
        tx.put_event(merchant, Uuid::now_v7(), &event, now_us).await?;
    }
    Ok(())
}

async fn read(tx: &mut Tx, merchant: &str, id: &str) -> Result<Reservation, ShopError> {
    let row = tx.reservation(merchant, id).await?;
    let row = row.ok_or_else(|| ShopError::NotFound { what: "reservation", id: id.to_owned() })?;
    let items = tx.reserved(merchant, row.uid).await?;
    Ok(Reservation { row, items })
}

/// Holds all items or says which are short. Nobody has said where the goods go, so warehouses are taken by priority where
/// nearness would decide.
async fn hold_all(
    tx: &mut Tx,
    merchant: &str,
    row: &ReservationRow,
    items: &[ItemWanted],
    settings: &InventorySettings,
) -> Result<(), ShopError> {
    let mut stock: BTreeMap<&str, Vec<Availability>> = BTreeMap::new();
    for item in items {
        if !stock.contains_key(item.sku.as_str()) {
            stock.insert(&item.sku, catalog::availability(tx, merchant, &item.sku).await?);
        }
    }
    let mut free = Free::new();
    for (sku, places) in &stock {
        for place in places {
            free.insert(((*sku).to_owned(), place.warehouse.clone()), place.available);
        }
    }
    // What is named is taken there; the rest is chosen from what that leaves.
    for item in items {
        if let Some(named) = &item.warehouse
            && let Some(left) = free.get_mut(&(item.sku.clone(), named.clone()))
        {
            *left -= i64::from(item.quantity);
        }
    }
    let described = inventory::warehouses(tx, merchant).await?;
    let order = order(free.keys().map(|(_, warehouse)| warehouse), &described, None, settings);
    let unnamed: Vec<usize> = (0..items.len()).filter(|at| items[*at].warehouse.is_none()).collect();
    let wants: Vec<Want<'_>> =
        unnamed.iter().map(|at| Want { sku: &items[*at].sku, units: items[*at].quantity }).collect();
    let mut chosen: BTreeMap<usize, Vec<(String, u32)>> = BTreeMap::new();
    let mut short = Vec::new();
    for (at, parts) in unnamed.iter().copied().zip(choose(settings.policy, &wants, &free, &order)) {
        let item = &items[at];
        match parts {
            Some(parts) => {
                chosen.insert(at, parts.into_iter().map(|part| (part.warehouse, part.units)).collect());
            }
            None => short.push(ShortItem {
                item: at,
                sku: item.sku.clone(),
                warehouse: None,
                wanted: i64::from(item.quantity),
                available: settings.policy.sellable(&stock[item.sku.as_str()], None).max(0),
            }),
        }
    }
    let mut holds = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let named = item.warehouse.iter().map(|place| (place.clone(), item.quantity));
        for (n, (place, units)) in named.chain(chosen.remove(&at).unwrap_or_default()).enumerate() {
            let hold = NewHold {
                id: format!("{}:{at:05}:{n:03}", row.id),
                kind: HoldKind::Stock,
                what: item.sku.clone(),
                place,
                quantity: i64::from(units),
                limits: (None, None),
                uid: row.uid,
                expires_us: row.expires_us,
            };
            holds.push((hold, at));
        }
    }
    // One lock order for all transactions, as at a checkout: place, what, id.
    holds.sort_by(|(a, _), (b, _)| (&a.place, &a.what, &a.id).cmp(&(&b.place, &b.what, &b.id)));
    for (hold, at) in holds {
        if let Held::Short(left) = tx.hold(merchant, &hold).await? {
            short.push(ShortItem {
                item: at,
                sku: hold.what,
                warehouse: Some(hold.place),
                wanted: hold.quantity,
                available: left.max(0),
            });
        }
    }
    short.sort_by_key(|short| short.item);
    if short.is_empty() { Ok(()) } else { Err(ShopError::Short(short)) }
}
