//! Holds: units of stock, promotion uses, points and money of gift cards promised to a checkout.
//!
//! One protocol: held, then exactly once committed or released; idempotent by id; conditional atomic
//! updates, never read-then-write. A hold ends by a transition of its workflow, never by comparing clocks
//! in a query.

use till_engine::ports::StoreError;
use uuid::Uuid;

use super::gift_card::CardChange;
use super::inventory::{Because, Movement};
use crate::tx::{P, Tx};

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldKind {
    /// Part of a campaign's budget, minor units, for one order.
    Budget,
    /// A use of a code that works a set number of times.
    Code,
    /// Money of a gift card, minor units.
    GiftCard,
    /// Points of a customer.
    Points,
    /// Uses of a promotion.
    Promotion,
    /// Units of a SKU in a warehouse.
    Stock,
}

impl HoldKind {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            HoldKind::Budget => "budget",
            HoldKind::Code => "code",
            HoldKind::GiftCard => "gift-card",
            HoldKind::Points => "points",
            HoldKind::Promotion => "promotion",
            HoldKind::Stock => "stock",
        }
    }
}

/// A hold to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// Unique per merchant; making it again changes nothing.
    pub id: String,
    /// What is held.
    pub kind: HoldKind,
    /// SKU, promotion, customer, gift card, code or campaign.
    pub what: String,
    /// Warehouse; for a promotion use the customer.
    pub place: String,
    /// Units, uses, points or minor units; above 0.
    pub quantity: i64,
    /// For promotion uses: the most over all customers and for one customer.
    pub limits: (Option<i64>, Option<i64>),
    /// Instance that holds.
    pub uid: Uuid,
    /// Promised until then, epoch microseconds.
    pub expires_us: i64,
}

/// Whether there was enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It is held, by this call or one before.
    Yes,
    /// There is not enough: so much is left.
    Short(i64),
}

/// How a hold ends.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    /// What was promised is given back.
    Release,
    /// What was promised is taken. Of stock the ledger is told why.
    Commit(Because<'a>),
}

impl Tx {
    /// Makes a hold. On `Short` the transaction must be rolled back by the caller: the row is there.
    pub async fn hold(&mut self, merchant: &str, hold: &NewHold) -> Result<Held, StoreError> {
        let sql = "INSERT INTO hold (merchant, id, kind, what, place, quantity, state, uid, expires_us) VALUES ($1,$2,$3,$4,$5,$6,'held',$7,$8) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&hold.id),
            P::T(hold.kind.as_str()),
            P::T(&hold.what),
            P::T(&hold.place),
            P::I(hold.quantity),
            P::B(hold.uid.as_bytes()),
            P::I(hold.expires_us),
        ];
        if self.exec(sql, &params).await? == 0 {
            return Ok(Held::Yes);
        }
        match hold.kind {
            HoldKind::Stock => {
                let sql = "UPDATE stock SET held = held + $1 WHERE merchant = $2 AND sku = $3 AND warehouse = $4 AND on_hand - held >= $1";
                let params = [P::I(hold.quantity), P::T(merchant), P::T(&hold.what), P::T(&hold.place)];
                if self.exec(sql, &params).await? == 1 {
                    return Ok(Held::Yes);
                }
                let sql =
                    "SELECT on_hand - held FROM stock WHERE merchant = $1 AND sku = $2 AND warehouse = $3";
                let left = self.row(sql, &[P::T(merchant), P::T(&hold.what), P::T(&hold.place)]).await?;
                Ok(Held::Short(left.map_or(Ok(0), |r| r.int(0))?))
            }
            HoldKind::Budget => {
                let sql = "UPDATE campaign SET held = held + $1, orders_held = orders_held + 1 WHERE merchant = $2 AND id = $3 AND active = 1 AND (budget IS NULL OR budget - spent - held >= $1) AND (orders_max IS NULL OR orders + orders_held < orders_max)";
                if self.exec(sql, &[P::I(hold.quantity), P::T(merchant), P::T(&hold.what)]).await? == 1 {
                    return Ok(Held::Yes);
                }
                let sql = "SELECT COALESCE(budget - spent - held, 0) FROM campaign WHERE merchant = $1 AND id = $2 AND active = 1";
                let left = self.row(sql, &[P::T(merchant), P::T(&hold.what)]).await?;
                Ok(Held::Short(left.map_or(Ok(0), |r| r.int(0))?))
            }
            HoldKind::Code => {
                let sql = "UPDATE promotion_code SET used = used + $1 WHERE merchant = $2 AND code = $3 AND used + $1 <= uses";
                let params = [P::I(hold.quantity), P::T(merchant), P::T(&hold.what)];
                Ok(if self.exec(sql, &params).await? == 1 { Held::Yes } else { Held::Short(0) })
            }
            HoldKind::GiftCard => {
                let sql = "UPDATE gift_card SET held = held + $1 WHERE merchant = $2 AND id = $3 AND status = 'active' AND balance - held >= $1";
                if self.exec(sql, &[P::I(hold.quantity), P::T(merchant), P::T(&hold.what)]).await? == 1 {
                    return Ok(Held::Yes);
                }
                let sql = "SELECT balance - held FROM gift_card WHERE merchant = $1 AND id = $2 AND status = 'active'";
                let left = self.row(sql, &[P::T(merchant), P::T(&hold.what)]).await?;
                Ok(Held::Short(left.map_or(Ok(0), |r| r.int(0))?))
            }
            HoldKind::Points => {
                let sql = "UPDATE customer SET points_held = points_held + $1 WHERE merchant = $2 AND id = $3 AND points - points_held >= $1";
                if self.exec(sql, &[P::I(hold.quantity), P::T(merchant), P::T(&hold.what)]).await? == 1 {
                    return Ok(Held::Yes);
                }
                let sql = "SELECT points - points_held FROM customer WHERE merchant = $1 AND id = $2";
                let left = self.row(sql, &[P::T(merchant), P::T(&hold.what)]).await?;
                Ok(Held::Short(left.map_or(Ok(0), |r| r.int(0))?))
            }
            HoldKind::Promotion => self.hold_uses(merchant, hold).await,
        }
    }

    async fn hold_uses(&mut self, merchant: &str, hold: &NewHold) -> Result<Held, StoreError> {
        // The row of all customers first: all transactions lock in this order.
        for (customer, limit) in [("", hold.limits.0), (hold.place.as_str(), hold.limits.1)] {
            let row = [P::T(merchant), P::T(&hold.what), P::T(customer)];
            let sql = "INSERT INTO promotion_use (merchant, promotion, customer, used) VALUES ($1,$2,$3,0) ON CONFLICT DO NOTHING";
            self.exec(sql, &row).await?;
            let limit = limit.unwrap_or(i64::MAX);
            let sql = "UPDATE promotion_use SET used = used + $4 WHERE merchant = $1 AND promotion = $2 AND customer = $3 AND used <= $5 - $4";
            let params = [row[0], row[1], row[2], P::I(hold.quantity), P::I(limit)];
            if self.exec(sql, &params).await? == 0 {
                let sql =
                    "SELECT used FROM promotion_use WHERE merchant = $1 AND promotion = $2 AND customer = $3";
                let used = self.row(sql, &row).await?.map_or(Ok(0), |r| r.int(0))?;
                return Ok(Held::Short((limit - used).max(0)));
            }
        }
        Ok(Held::Yes)
    }

    /// Uses of a promotion so far: over all customers, and by one.
    pub async fn uses(
        &mut self,
        merchant: &str,
        promotion: &str,
        customer: &str,
    ) -> Result<(i64, i64), StoreError> {
        let sql = "SELECT customer, used FROM promotion_use WHERE merchant = $1 AND promotion = $2 AND (customer = '' OR customer = $3)";
        let mut uses = (0, 0);
        for row in self.rows(sql, &[P::T(merchant), P::T(promotion), P::T(customer)]).await? {
            if row.text(0)?.is_empty() {
                uses.0 = row.int(1)?;
            } else {
                uses.1 = row.int(1)?;
            }
        }
        Ok(uses)
    }

    /// Ends all holds an instance or a reservation still has, whose id starts with `prefix`. Gives how many were ended,
    /// and the stock that was taken.
    pub async fn settle_holds(
        &mut self,
        merchant: &str,
        uid: Uuid,
        prefix: &str,
        end: End<'_>,
        now_us: i64,
    ) -> Result<(u64, Vec<Movement>), StoreError> {
        let sql = "SELECT id FROM hold WHERE merchant = $1 AND uid = $2 AND state = 'held' ORDER BY kind, place, id";
        let rows = self.rows(sql, &[P::T(merchant), P::B(uid.as_bytes())]).await?;
        let (mut ended, mut taken) = (0, Vec::new());
        for row in rows {
            let id = row.text(0)?;
            if !id.starts_with(prefix) {
                continue;
            }
            if let Some(movement) = self.settle_hold(merchant, &id, end, now_us).await? {
                ended += 1;
                taken.extend(movement);
            }
        }
        Ok((ended, taken))
    }

    /// Ends one hold. None: it had ended before. Stock that is taken comes with its movement.
    pub async fn settle_hold(
        &mut self,
        merchant: &str,
        id: &str,
        end: End<'_>,
        now_us: i64,
    ) -> Result<Option<Option<Movement>>, StoreError> {
        let state = if matches!(end, End::Commit(_)) { "committed" } else { "released" };
        let sql = "UPDATE hold SET state = $1 WHERE merchant = $2 AND id = $3 AND state = 'held' RETURNING kind, what, place, quantity";
        let Some(row) = self.row(sql, &[P::T(state), P::T(merchant), P::T(id)]).await? else {
            return Ok(None);
        };
        let (kind, what, place, quantity) = (row.text(0)?, row.text(1)?, row.text(2)?, row.int(3)?);
        let mut taken = None;
        let touched = match (kind.as_str(), end) {
            ("stock", End::Commit(because)) => {
                let sql = "UPDATE stock SET on_hand = on_hand - $1, held = held - $1 WHERE merchant = $2 AND sku = $3 AND warehouse = $4 RETURNING on_hand, low_at";
                let params = [P::I(quantity), P::T(merchant), P::T(&what), P::T(&place)];
                if let Some(row) = self.row(sql, &params).await? {
                    let left = (row.int(0)?, row.maybe_int(1)?);
                    taken = Some(Movement::new(id, (&what, &place), -quantity, left, &because));
                }
                match &taken {
                    Some(movement) if self.log_movement(merchant, movement).await? => 1,
                    _ => 0,
                }
            }
            ("stock", End::Release) => {
                let sql =
                    "UPDATE stock SET held = held - $1 WHERE merchant = $2 AND sku = $3 AND warehouse = $4";
                self.exec(sql, &[P::I(quantity), P::T(merchant), P::T(&what), P::T(&place)]).await?
            }
            ("budget", End::Commit(_)) => {
                let sql = "UPDATE campaign SET held = held - $1, orders_held = orders_held - 1, spent = spent + $1, orders = orders + 1 WHERE merchant = $2 AND id = $3";
                self.exec(sql, &[P::I(quantity), P::T(merchant), P::T(&what)]).await?
            }
            ("budget", End::Release) => {
                let sql = "UPDATE campaign SET held = held - $1, orders_held = orders_held - 1 WHERE merchant = $2 AND id = $3";
                self.exec(sql, &[P::I(quantity), P::T(merchant), P::T(&what)]).await?
            }
            // A committed use stays counted.
            ("code", End::Commit(_)) => 1,
            ("code", End::Release) => {
                let sql = "UPDATE promotion_code SET used = used - $1 WHERE merchant = $2 AND code = $3";
                self.exec(sql, &[P::I(quantity), P::T(merchant), P::T(&what)]).await?
            }
            ("gift-card", End::Commit(because)) => {
                let change = CardChange {
                    id,
                    card: &what,
                    delta: -quantity,
                    reason: "redeemed",
                    reference: because.reference,
                    note: because.note,
                    who: because.who,
                    at_us: because.at_us,
                };
                u64::from(self.redeem_gift_card(merchant, &change).await?)
            }
            ("gift-card", End::Release) => {
                let sql = "UPDATE gift_card SET held = held - $1 WHERE merchant = $2 AND id = $3";
                self.exec(sql, &[P::I(quantity), P::T(merchant), P::T(&what)]).await?
            }
            ("points", End::Commit(_)) => {
                let sql = "INSERT INTO points_entry (merchant, id, customer, delta, reason, at_us) VALUES ($1,$2,$3,$4,'redeemed',$5) ON CONFLICT DO NOTHING";
                self.exec(sql, &[P::T(merchant), P::T(id), P::T(&what), P::I(-quantity), P::I(now_us)])
                    .await?;
                let sql = "UPDATE customer SET points = points - $1, points_held = points_held - $1 WHERE merchant = $2 AND id = $3";
                self.exec(sql, &[P::I(quantity), P::T(merchant), P::T(&what)]).await?
            }
            ("points", End::Release) => {
                let sql =
                    "UPDATE customer SET points_held = points_held - $1 WHERE merchant = $2 AND id = $3";
                self.exec(sql, &[P::I(quantity), P::T(merchant), P::T(&what)]).await?
            }
            // A committed use stays counted.
            ("promotion", End::Commit(_)) => 1,
            ("promotion", End::Release) => {
                let sql = "UPDATE promotion_use SET used = used - $1 WHERE merchant = $2 AND promotion = $3 AND (customer = '' OR customer = $4)";
                self.exec(sql, &[P::I(quantity), P::T(merchant), P::T(&what), P::T(&place)]).await?
            }
            _ => 0,
        };
        if touched == 0 {
            return Err(StoreError::Corrupt(format!("hold {id} of {kind} {what} has nothing behind it")));
        }
        Ok(Some(taken))
    }

    /// Sums over all holds of a merchant that are still held: `(kind, what, place, quantity)`. For audits.
    pub async fn held_sums(
        &mut self,
        merchant: &str,
    ) -> Result<Vec<(String, String, String, i64)>, StoreError> {
        let sql = "SELECT kind, what, place, CAST(SUM(quantity) AS BIGINT) FROM hold WHERE merchant = $1 AND state = 'held' GROUP BY kind, what, place ORDER BY kind, what, place";
        let rows = self.rows(sql, &[P::T(merchant)]).await?;
        rows.iter().map(|r| Ok((r.text(0)?, r.text(1)?, r.text(2)?, r.int(3)?))).collect()
    }
}
