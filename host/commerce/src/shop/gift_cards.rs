//! Gift cards: what a merchant does with them, what a shopper may ask, and money of an order given back to a card.

use std::collections::HashMap;
use std::sync::Mutex;

use till_model::money::{Currency, Money};
use till_store::Tx;
use till_store::tables::gift_card::{CardChange, GiftCardEntry, GiftCardRow};

use super::inventory::Command;
use super::{Shop, ShopError};
use crate::checkout::order_from_row;
use crate::gift_card::{given, new_code};
use crate::quote::Quote;

/// Most cards in one issue: they are made in one transaction.
pub const ISSUED_AT_ONCE_MAX: i64 = 10_000;
/// Largest balance, minor units: with every card full, sums still are exact.
pub const BALANCE_MAX: i64 = 1_000_000_000;
/// Codes nobody has that one customer may try in [`GUESSES_US`].
const GUESSES_MAX: u32 = 20;
/// An hour, microseconds.
const GUESSES_US: i64 = 3600 * 1_000_000;
/// Customers whose wrong codes are counted: memory has an end, the codes' 80 random bits are what really protects.
const GUESSERS_MAX: usize = 10_000;

/// A card that was just issued, with its code where this is the first time it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCard {
    /// The card.
    pub card: GiftCardRow,
    /// Shown now and never again. None: the request was repeated.
    pub code: Option<String>,
}

/// What is to be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardIssue {
    /// How many; 1 to [`ISSUED_AT_ONCE_MAX`].
    pub count: i64,
    /// Balance of each.
    pub amount: Money,
    /// They pay until then, epoch microseconds.
    pub expires_us: Option<i64>,
    /// Why.
    pub note: String,
}

/// Codes that nobody has, by customer. Memory of this host.
#[derive(Default)]
pub(super) struct Guesses(Mutex<HashMap<(String, String), (i64, u32)>>);

impl Guesses {
    fn allow(&self, merchant: &str, customer: &str, now_us: i64) -> Result<(), ShopError> {
        let key = (merchant.to_owned(), customer.to_owned());
        match self.0.lock().expect("no holder panics").get(&key) {
            Some((since, wrong)) if *wrong >= GUESSES_MAX && now_us - since < GUESSES_US => {
                let left = (since + GUESSES_US - now_us) / 1_000_000 + 1;
                Err(ShopError::TooOften {
                    why: format!("{GUESSES_MAX} gift card codes were wrong within an hour"),
                    after_s: u64::try_from(left).unwrap_or(1),
                })
            }
            _ => Ok(()),
        }
    }

    fn wrong(&self, merchant: &str, customer: &str, codes: u32, now_us: i64) {
        let mut all = self.0.lock().expect("no holder panics");
        if all.len() >= GUESSERS_MAX {
            all.retain(|_, (since, _)| now_us - *since < GUESSES_US);
        }
        if all.len() >= GUESSERS_MAX {
            all.clear();
        }
        let one = all.entry((merchant.to_owned(), customer.to_owned())).or_insert((now_us, 0));
        if now_us - one.0 >= GUESSES_US {
            *one = (now_us, 0);
        }
        one.1 = one.1.saturating_add(codes);
    }
}

fn missing(id: &str) -> ShopError {
    ShopError::NotFound { what: "gift card", id: id.to_owned() }
}

fn field(name: &str, why: String) -> ShopError {
    ShopError::Field { field: name.to_owned(), why }
}

impl Shop {
    /// Issues cards, all or none. Repeated under its key, the same cards without their codes.
    pub async fn issue_gift_cards(
        &self,
        merchant: &str,
        who: &str,
        issue: CardIssue,
        key: Option<&str>,
    ) -> Result<Vec<IssuedCard>, ShopError> {
        if !(1..=ISSUED_AT_ONCE_MAX).contains(&issue.count) {
            return Err(field("count", format!("1 to {ISSUED_AT_ONCE_MAX} cards")));
        }
        if !(1..=BALANCE_MAX).contains(&issue.amount.minor()) {
            let max = Money::from_minor(BALANCE_MAX, issue.amount.currency());
            return Err(field("amount", format!("above 0, at most {max}")));
        }
        let now_us = self.now_us();
        if issue.expires_us.is_some_and(|end| end <= now_us) {
            return Err(field("expiresAt", "a time in the future is needed".to_owned()));
        }
        let what = format!("{issue:?}");
        let command = Command { merchant, who, operation: "gift-card.issue", key, what };
        let [merchant, who] = [merchant, who].map(str::to_owned);
        let count = issue.count;
        self.once(
            command,
            move |tx, first| {
                let (issue, merchant, who) = (issue.clone(), merchant.clone(), who.clone());
                Box::pin(async move {
                    let mut cards = Vec::new();
                    for at in 0..count {
                        let code = new_code();
                        let given = given(&code);
                        let card = GiftCardRow {
                            id: numbered(&first, at),
                            code: given.code,
                            last4: given.last4,
                            currency: issue.amount.currency().code().to_owned(),
                            balance: issue.amount.minor(),
                            held: 0,
                            status: "active".to_owned(),
                            expires_us: issue.expires_us,
                            note: issue.note.clone(),
                            who: who.clone(),
                            created_us: now_us,
                        };
                        tx.issue_gift_card(&merchant, &card).await?;
                        cards.push(IssuedCard { card, code: Some(code) });
                    }
                    Ok(cards)
                })
            },
            move |tx, merchant, first| {
                Box::pin(async move {
                    let mut cards = Vec::new();
                    for at in 0..count {
                        let id = numbered(&first, at);
                        let card = tx.gift_card(&merchant, &id).await?.ok_or_else(|| missing(&id))?;
                        cards.push(IssuedCard { card, code: None });
                    }
                    Ok(cards)
                })
            },
        )
        .await
    }

    /// A card.
    pub async fn gift_card(&self, merchant: &str, id: &str) -> Result<GiftCardRow, ShopError> {
        self.store.read().await?.gift_card(merchant, id).await?.ok_or_else(|| missing(id))
    }

    /// Cards after an id, in the order of ids.
    pub async fn gift_cards(
        &self,
        merchant: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<GiftCardRow>, ShopError> {
        Ok(self.store.read().await?.gift_cards(merchant, after, limit).await?)
    }

    /// The ledger of a card before a place, newest first.
    pub async fn gift_card_entries(
        &self,
        merchant: &str,
        id: &str,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<GiftCardEntry>, ShopError> {
        self.gift_card(merchant, id).await?;
        Ok(self.store.read().await?.gift_card_entries(merchant, id, before, limit).await?)
    }

    /// Changes the balance of an active card. What checkouts hold of it stays.
    pub async fn adjust_gift_card(
        &self,
        merchant: &str,
        who: &str,
        (card, delta, note): (&str, i64, &str),
        key: Option<&str>,
    ) -> Result<GiftCardEntry, ShopError> {
        if delta == 0 || delta.unsigned_abs() > BALANCE_MAX.unsigned_abs() {
            return Err(field("delta", format!("not 0, at most {BALANCE_MAX} minor units")));
        }
        let what = format!("{card:?} {delta} {note:?}");
        let command = Command { merchant, who, operation: "gift-card.adjust", key, what };
        let [merchant, who, card, note] = [merchant, who, card, note].map(str::to_owned);
        let now_us = self.now_us();
        self.once(
            command,
            move |tx, id| {
                let [merchant, who, card, note] = [&merchant, &who, &card, &note].map(Clone::clone);
                Box::pin(async move {
                    let change = CardChange {
                        id: &id,
                        card: &card,
                        delta,
                        reason: "adjusted",
                        reference: "",
                        note: &note,
                        who: &who,
                        at_us: now_us,
                    };
                    let row = tx.gift_card(&merchant, &card).await?.ok_or_else(|| missing(&card))?;
                    if row.balance.saturating_add(delta) > BALANCE_MAX {
                        return Err(field("delta", format!("a card has at most {BALANCE_MAX} minor units")));
                    }
                    tx.change_gift_card(&merchant, &change).await?.ok_or_else(|| refused(&row, "delta"))
                })
            },
            entry_of,
        )
        .await
    }

    /// Takes a card out of use: what is left of it is owed to nobody. Refused while a checkout holds some of it.
    pub async fn void_gift_card(
        &self,
        merchant: &str,
        who: &str,
        id: &str,
        note: &str,
    ) -> Result<GiftCardRow, ShopError> {
        let [who, id, note] = [who, id, note].map(str::to_owned);
        let now_us = self.now_us();
        self.atomic(merchant, move |tx, merchant| {
            let [who, id, note] = [&who, &id, &note].map(Clone::clone);
            Box::pin(async move {
                let row = tx.gift_card(&merchant, &id).await?.ok_or_else(|| missing(&id))?;
                if row.status == "void" {
                    return Ok(row);
                }
                if row.held > 0 {
                    let why = "a checkout is paying with the card; try again when it is over";
                    return Err(ShopError::Refused { why: why.to_owned() });
                }
                if row.balance > 0 {
                    let change = CardChange {
                        id: &format!("{id}:voided"),
                        card: &id,
                        delta: -row.balance,
                        reason: "voided",
                        reference: "",
                        note: &note,
                        who: &who,
                        at_us: now_us,
                    };
                    tx.change_gift_card(&merchant, &change).await?.ok_or(till_store::Error::Conflict)?;
                }
                if !tx.void_gift_card(&merchant, &id).await? {
                    return Err(till_store::Error::Conflict.into());
                }
                tx.gift_card(&merchant, &id).await?.ok_or_else(|| missing(&id))
            })
        })
        .await
    }

    /// What a shopper may know of the card with this code. Unknown and void are the same; a customer who tries many such
    /// codes is made to wait.
    pub async fn gift_card_balance(
        &self,
        merchant: &str,
        customer: &str,
        code: &str,
    ) -> Result<GiftCardRow, ShopError> {
        let now_us = self.now_us();
        self.guesses.allow(merchant, customer, now_us)?;
        let row = self.store.read().await?.gift_card_of(merchant, &given(code).code).await?;
        match row.filter(|row| row.status == "active") {
            Some(row) => Ok(row),
            None => {
                self.guesses.wrong(merchant, customer, 1, now_us);
                Err(ShopError::UnknownGiftCard)
            }
        }
    }

    /// Before codes of gift cards are looked up for a checkout.
    pub(super) fn may_guess(&self, merchant: &str, customer: &str) -> Result<(), ShopError> {
        self.guesses.allow(merchant, customer, self.now_us())
    }

    /// Counts the codes in a quote that nobody has.
    pub(super) fn guessed(&self, merchant: &str, customer: &str, quote: Option<&Quote>) {
        let unknown = |quote: &Quote| {
            quote.messages.iter().filter(|message| message.code == crate::gift_card::UNKNOWN).count()
        };
        let wrong = u32::try_from(quote.map_or(0, unknown)).unwrap_or(u32::MAX);
        if wrong > 0 {
            self.guesses.wrong(merchant, customer, wrong, self.now_us());
        }
    }

    /// Currency of an order.
    pub async fn order_currency(&self, merchant: &str, order: &str) -> Result<Currency, ShopError> {
        let row = self.store.read().await?.order(merchant, order).await?;
        let none = || ShopError::NotFound { what: "order", id: order.to_owned() };
        Ok(order_from_row(&row.ok_or_else(none)?)?.currency)
    }

    /// Gives money of an order back to the card that paid it, never more than it paid. Without a card, to those of the
    /// order in their order, until the amount is given. Once under its key.
    pub async fn refund_to_gift_card(
        &self,
        merchant: &str,
        who: &str,
        (order, card, amount): (&str, Option<&str>, Money),
        note: &str,
        key: Option<&str>,
    ) -> Result<Vec<GiftCardEntry>, ShopError> {
        if amount.minor() <= 0 {
            return Err(field("amount", "above 0".to_owned()));
        }
        let what = format!("{order:?} {card:?} {amount} {note:?}");
        let command = Command { merchant, who, operation: "gift-card.refund", key, what };
        let [merchant, who, order, note] = [merchant, who, order, note].map(str::to_owned);
        let (wanted, now_us) = (card.map(str::to_owned), self.now_us());
        self.once(
            command,
            move |tx, id| {
                let [merchant, who, order, note] = [&merchant, &who, &order, &note].map(Clone::clone);
                let wanted = wanted.clone();
                Box::pin(async move {
                    let row = tx.order(&merchant, &order).await?;
                    let none = || ShopError::NotFound { what: "order", id: order.clone() };
                    let paid = order_from_row(&row.ok_or_else(none)?)?;
                    if paid.confirmed_us.is_none() {
                        return Err(ShopError::Refused { why: "the order was never paid".to_owned() });
                    }
                    if amount.currency() != paid.currency {
                        return Err(field("amount", format!("the order is in {}", paid.currency.code())));
                    }
                    // One refund of an order at a time: what was given back before is seen.
                    tx.hold_order(&merchant, &order).await?;
                    let mut left = amount.minor();
                    let mut made = Vec::new();
                    let parts = paid.receipt.gift_cards.iter();
                    for part in parts.filter(|part| wanted.as_ref().is_none_or(|card| *card == part.card)) {
                        let back = tx.gift_card_refunded(&merchant, &part.card, &order).await?;
                        let some = left.min(part.amount - back);
                        if some <= 0 {
                            continue;
                        }
                        let change = CardChange {
                            id: &numbered(&id, i64::try_from(made.len()).unwrap_or(0)),
                            card: &part.card,
                            delta: some,
                            reason: "refunded",
                            reference: &order,
                            note: &note,
                            who: &who,
                            at_us: now_us,
                        };
                        let entry = tx.change_gift_card(&merchant, &change).await?;
                        let void = || ShopError::Refused {
                            why: format!("card {} is void; issue another one", part.card),
                        };
                        made.push(entry.ok_or_else(void)?);
                        left -= some;
                    }
                    if left > 0 {
                        let most = Money::from_minor(amount.minor() - left, paid.currency);
                        return Err(field(
                            "amount",
                            format!("at most {most}: so much was paid by card and not given back"),
                        ));
                    }
                    Ok(made)
                })
            },
            |tx, merchant, id| {
                Box::pin(async move {
                    let mut made = Vec::new();
                    while let Some(entry) = tx
                        .gift_card_entry(&merchant, &numbered(&id, i64::try_from(made.len()).unwrap_or(0)))
                        .await?
                    {
                        made.push(entry);
                    }
                    Ok(made)
                })
            },
        )
        .await
    }
}

/// Ids that belong together: the first is that of the command.
fn numbered(first: &str, at: i64) -> String {
    if at == 0 { first.to_owned() } else { format!("{first}-{at:05}") }
}

fn refused(row: &GiftCardRow, name: &str) -> ShopError {
    if row.status != "active" {
        return ShopError::Refused { why: "the card is void; issue another one".to_owned() };
    }
    let free = row.balance - row.held;
    let amount = Currency::from_code(&row.currency).map(|currency| Money::from_minor(free, currency));
    field(
        name,
        amount.map_or_else(
            |_| "less than that is left".to_owned(),
            |free| format!("{free} of the card is free; no more can be taken"),
        ),
    )
}

fn entry_of(
    tx: &mut Tx,
    merchant: String,
    id: String,
) -> futures::future::BoxFuture<'_, Result<GiftCardEntry, ShopError>> {
    Box::pin(async move { tx.gift_card_entry(&merchant, &id).await?.ok_or_else(|| missing(&id)) })
}
