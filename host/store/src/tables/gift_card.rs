//! Gift cards and their ledger: every change of a balance writes a row of it in the same transaction.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// A gift card. Amounts are minor units of `currency`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiftCardRow {
    /// Id.
    pub id: String,
    /// Hash of the code.
    pub code: String,
    /// Last characters of the code, for people.
    pub last4: String,
    /// ISO 4217.
    pub currency: String,
    /// Owed.
    pub balance: i64,
    /// Part of it that is promised to checkouts.
    pub held: i64,
    /// `active` or `void`.
    pub status: String,
    /// It pays until then, epoch microseconds; none: for ever.
    pub expires_us: Option<i64>,
    /// Why it was issued.
    pub note: String,
    /// Who issued it.
    pub who: String,
    /// Epoch microseconds.
    pub created_us: i64,
}

/// A change of a balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiftCardEntry {
    /// Names the change.
    pub id: String,
    /// Card.
    pub card: String,
    /// Minor units; below 0 where the card paid.
    pub delta: i64,
    /// Balance after it.
    pub balance: i64,
    /// `issued`, `redeemed`, `refunded`, `adjusted` or `voided`.
    pub reason: String,
    /// Order; empty for none.
    pub reference: String,
    /// In a person's words.
    pub note: String,
    /// Who.
    pub who: String,
    /// Epoch microseconds.
    pub at_us: i64,
}

/// Why a balance changes.
#[derive(Debug, Clone, Copy)]
pub struct CardChange<'a> {
    /// Names the change: it is made once.
    pub id: &'a str,
    /// Card.
    pub card: &'a str,
    /// Minor units, not 0.
    pub delta: i64,
    /// As in [`GiftCardEntry::reason`].
    pub reason: &'a str,
    /// Order; empty for none.
    pub reference: &'a str,
    /// In a person's words.
    pub note: &'a str,
    /// Who.
    pub who: &'a str,
    /// Epoch microseconds.
    pub at_us: i64,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, code, last4, currency, balance, held, status, expires_us, note, who, created_us FROM gift_card ",
            $rest
        )
    };
}

fn card(row: &Row) -> Result<GiftCardRow, StoreError> {
    Ok(GiftCardRow {
        id: row.text(0)?,
        code: row.text(1)?,
        last4: row.text(2)?,
        currency: row.text(3)?,
        balance: row.int(4)?,
        held: row.int(5)?,
        status: row.text(6)?,
        expires_us: row.maybe_int(7)?,
        note: row.text(8)?,
        who: row.text(9)?,
        created_us: row.int(10)?,
    })
}

fn entry(row: &Row) -> Result<GiftCardEntry, StoreError> {
    Ok(GiftCardEntry {
        id: row.text(0)?,
        card: row.text(1)?,
        delta: row.int(2)?,
        balance: row.int(3)?,
        reason: row.text(4)?,
        reference: row.text(5)?,
        note: row.text(6)?,
        who: row.text(7)?,
        at_us: row.int(8)?,
    })
}

impl Tx {
    /// Issues a card with its balance as the first entry of its ledger. A code that another card has is an error of the
    /// store.
    pub async fn issue_gift_card(&mut self, merchant: &str, row: &GiftCardRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO gift_card (merchant, id, code, last4, currency, balance, held, status, expires_us, note, who, created_us) VALUES ($1,$2,$3,$4,$5,0,0,'active',$6,$7,$8,$9)";
        let params = [
            P::T(merchant),
            P::T(&row.id),
            P::T(&row.code),
            P::T(&row.last4),
            P::T(&row.currency),
            P::OI(row.expires_us),
            P::T(&row.note),
            P::T(&row.who),
            P::I(row.created_us),
        ];
        self.exec(sql, &params).await?;
        let id = format!("{}:issued", row.id);
        let change = CardChange {
            id: &id,
            card: &row.id,
            delta: row.balance,
            reason: "issued",
            reference: "",
            note: &row.note,
            who: &row.who,
            at_us: row.created_us,
        };
        match self.change_gift_card(merchant, &change).await? {
            Some(_) => Ok(()),
            None => Err(StoreError::Corrupt(format!("gift card {} cannot be filled", row.id))),
        }
    }

    /// Changes the balance of an active card and writes the ledger, once under the change's id. None: nothing was done,
    /// because the card is void or unknown, or less than that of it is free. What is held stays.
    pub async fn change_gift_card(
        &mut self,
        merchant: &str,
        change: &CardChange<'_>,
    ) -> Result<Option<GiftCardEntry>, StoreError> {
        if let Some(known) = self.gift_card_entry(merchant, change.id).await? {
            return Ok(Some(known));
        }
        let sql = "UPDATE gift_card SET balance = balance + $1 WHERE merchant = $2 AND id = $3 AND status = 'active' AND balance - held + $1 >= 0 RETURNING balance";
        let params = [P::I(change.delta), P::T(merchant), P::T(change.card)];
        let Some(row) = self.row(sql, &params).await? else { return Ok(None) };
        let balance = row.int(0)?;
        self.log_gift_card(merchant, change, balance).await.map(Some)
    }

    /// Takes what a hold promised.
    pub(super) async fn redeem_gift_card(
        &mut self,
        merchant: &str,
        change: &CardChange<'_>,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE gift_card SET balance = balance + $1, held = held + $1 WHERE merchant = $2 AND id = $3 RETURNING balance";
        let params = [P::I(change.delta), P::T(merchant), P::T(change.card)];
        let Some(row) = self.row(sql, &params).await? else { return Ok(false) };
        let balance = row.int(0)?;
        self.log_gift_card(merchant, change, balance).await.map(|_| true)
    }

    async fn log_gift_card(
        &mut self,
        merchant: &str,
        change: &CardChange<'_>,
        balance: i64,
    ) -> Result<GiftCardEntry, StoreError> {
        let sql = "INSERT INTO gift_card_entry (merchant, id, card, delta, balance, reason, reference, note, who, at_us) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(change.id),
            P::T(change.card),
            P::I(change.delta),
            P::I(balance),
            P::T(change.reason),
            P::T(change.reference),
            P::T(change.note),
            P::T(change.who),
            P::I(change.at_us),
        ];
        if self.exec(sql, &params).await? == 0 {
            // The same change at the same time: from the start, and it is seen.
            return Err(StoreError::Conflict);
        }
        Ok(GiftCardEntry {
            id: change.id.to_owned(),
            card: change.card.to_owned(),
            delta: change.delta,
            balance,
            reason: change.reason.to_owned(),
            reference: change.reference.to_owned(),
            note: change.note.to_owned(),
            who: change.who.to_owned(),
            at_us: change.at_us,
        })
    }

    /// Makes an active card void that has no balance left. False: there is none such.
    pub async fn void_gift_card(&mut self, merchant: &str, id: &str) -> Result<bool, StoreError> {
        let sql = "UPDATE gift_card SET status = 'void' WHERE merchant = $1 AND id = $2 AND status = 'active' AND balance = 0";
        Ok(self.exec(sql, &[P::T(merchant), P::T(id)]).await? == 1)
    }

    /// A card by its id.
    pub async fn gift_card(&mut self, merchant: &str, id: &str) -> Result<Option<GiftCardRow>, StoreError> {
        let sql = select!("WHERE merchant = $1 AND id = $2");
        self.row(sql, &[P::T(merchant), P::T(id)]).await?.as_ref().map(card).transpose()
    }

    /// A card by the hash of its code.
    pub async fn gift_card_of(
        &mut self,
        merchant: &str,
        code: &str,
    ) -> Result<Option<GiftCardRow>, StoreError> {
        let sql = select!("WHERE merchant = $1 AND code = $2");
        self.row(sql, &[P::T(merchant), P::T(code)]).await?.as_ref().map(card).transpose()
    }

    /// Cards after an id, in the order of ids.
    pub async fn gift_cards(
        &mut self,
        merchant: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<GiftCardRow>, StoreError> {
        let sql = select!("WHERE merchant = $1 AND id > $2 ORDER BY id LIMIT $3");
        self.rows(sql, &[P::T(merchant), P::T(after), P::I(limit)]).await?.iter().map(card).collect()
    }

    /// A change by its id.
    pub async fn gift_card_entry(
        &mut self,
        merchant: &str,
        id: &str,
    ) -> Result<Option<GiftCardEntry>, StoreError> {
        let sql = "SELECT id, card, delta, balance, reason, reference, note, who, at_us FROM gift_card_entry WHERE merchant = $1 AND id = $2";
        self.row(sql, &[P::T(merchant), P::T(id)]).await?.as_ref().map(entry).transpose()
    }

    /// The ledger of a card before a place in the order of time and id, newest first.
    pub async fn gift_card_entries(
        &mut self,
        merchant: &str,
        card: &str,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<GiftCardEntry>, StoreError> {
        let sql = "SELECT id, card, delta, balance, reason, reference, note, who, at_us FROM gift_card_entry WHERE merchant = $1 AND card = $2 AND (at_us < $3 OR (at_us = $3 AND id < $4)) ORDER BY at_us DESC, id DESC LIMIT $5";
        let params = [P::T(merchant), P::T(card), P::I(before.0), P::T(before.1), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(entry).collect()
    }

    /// Given back to a card for an order so far.
    pub async fn gift_card_refunded(
        &mut self,
        merchant: &str,
        card: &str,
        order: &str,
    ) -> Result<i64, StoreError> {
        let sql = "SELECT CAST(COALESCE(SUM(delta), 0) AS BIGINT) FROM gift_card_entry WHERE merchant = $1 AND card = $2 AND reference = $3 AND reason = 'refunded'";
        let row = self.row(sql, &[P::T(merchant), P::T(card), P::T(order)]).await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// Cards whose ledger does not sum up to their balance. For audits.
    pub async fn gift_card_gaps(&mut self, merchant: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT c.id FROM gift_card c WHERE c.merchant = $1 AND c.balance <> (SELECT COALESCE(SUM(e.delta), 0) FROM gift_card_entry e WHERE e.merchant = c.merchant AND e.card = c.id) ORDER BY c.id";
        self.rows(sql, &[P::T(merchant)]).await?.iter().map(|row| row.text(0)).collect()
    }
}
