//! Gift cards as a means of payment: their codes, what a checkout reads of them, what each pays.
//!
//! A card pays after the total is known: prices, taxes and points earned do not depend on it. What is left is asked of
//! the gateway.

use std::collections::HashSet;

use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use till_model::id::Digest;
use till_model::money::Currency;
use till_store::{Error as StoreError, Tx};

use crate::quote::{HOST, Message, MessageKind, Quote, Severity, Stage};

/// Most cards that pay one order: each is a row to lock at the submit.
pub const CARDS_MAX: usize = 10;
/// Message: no card has this code, or it is void. It never tells which.
pub const UNKNOWN: &str = "gift-card-unknown";
/// Characters of codes: those that people do not take for one another.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of a code: 80 random bits, so that its plain hash cannot be turned back.
const CODE_CHARS: usize = 16;

/// A code as a checkout keeps it: never the code itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// SHA-256 of the code.
    pub code: String,
    /// Last characters; empty where it does not look like a code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last4: String,
}

/// A card as the snapshot of a checkout has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiftCardInput {
    /// Id of the card; empty where it is unknown.
    pub id: String,
    /// For showing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last4: String,
    /// What it can pay, minor units.
    pub available: i64,
    /// Why it cannot pay: a message's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What a card pays of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiftCardPart {
    /// Id of the card.
    pub card: String,
    /// For showing.
    #[serde(default)]
    pub last4: String,
    /// Minor units, above 0.
    pub amount: i64,
}

/// A new code: `ABCD-EFGH-JKLM-NPQR`.
#[must_use]
pub fn new_code() -> String {
    let mut bytes = [0; CODE_CHARS];
    rand::rng().fill_bytes(&mut bytes);
    let mut code = String::with_capacity(CODE_CHARS + 3);
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            code.push('-');
        }
        code.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    code
}

/// What is kept of a code, whatever its groups, blanks and case.
#[must_use]
pub fn given(code: &str) -> Given {
    let plain: String =
        code.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()).collect();
    let shaped = plain.len() == CODE_CHARS && plain.bytes().all(|byte| ALPHABET.contains(&byte));
    Given {
        code: Digest::of(format!("gift-card:{plain}").as_bytes()).to_string(),
        last4: if shaped { plain[CODE_CHARS - 4..].to_owned() } else { String::new() },
    }
}

/// Looks up the cards a shopper gave, each once.
pub(crate) async fn read(
    tx: &mut Tx,
    merchant: &str,
    codes: &[Given],
    currency: Currency,
    now_us: i64,
) -> Result<Vec<GiftCardInput>, StoreError> {
    let mut seen = HashSet::new();
    let mut cards = Vec::new();
    for given in codes.iter().filter(|given| seen.insert(given.code.as_str())) {
        let row = tx.gift_card_of(merchant, &given.code).await?.filter(|row| row.status == "active");
        let Some(row) = row else {
            let refused = Some(UNKNOWN.to_owned());
            cards.push(GiftCardInput {
                id: String::new(),
                last4: given.last4.clone(),
                available: 0,
                refused,
            });
            continue;
        };
        let refused = if row.currency != currency.code() {
            Some("gift-card-currency")
        } else if row.expires_us.is_some_and(|end| end <= now_us) {
            Some("gift-card-expired")
        } else if row.balance <= row.held {
            Some("gift-card-empty")
        } else {
            None
        };
        cards.push(GiftCardInput {
            id: row.id,
            last4: row.last4,
            available: if refused.is_some() { 0 } else { row.balance - row.held },
            refused: refused.map(str::to_owned),
        });
    }
    Ok(cards)
}

/// Lets the cards pay, in the order they were given, until nothing is due.
pub(crate) fn pay(cards: &[GiftCardInput], quote: &mut Quote) {
    quote.gift_cards.clear();
    let Some(totals) = quote.totals else { return };
    let mut due = totals.total;
    for (at, card) in cards.iter().enumerate() {
        let said = match card.refused.as_deref() {
            Some(code) => Some((code.to_owned(), words(code))),
            None if due == 0 => {
                Some(("gift-card-not-needed".to_owned(), "Nothing is left to pay for this gift card."))
            }
            None => None,
        };
        if let Some((code, text)) = said {
            let message = Message::new(HOST, MessageKind::Warning, Severity::NeedsBuyerReview, &code, text);
            quote.say(Stage::Total, message.about(format!("$.gift_cards[{at}]")));
            continue;
        }
        let amount = card.available.min(due);
        if amount > 0 {
            due -= amount;
            quote.gift_cards.push(GiftCardPart { card: card.id.clone(), last4: card.last4.clone(), amount });
        }
    }
}

fn words(code: &str) -> &'static str {
    match code {
        "gift-card-currency" => "This gift card is in another currency.",
        "gift-card-expired" => "This gift card has expired.",
        "gift-card-empty" => "Nothing is left on this gift card.",
        _ => "This gift card is not known.",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quote::{Inputs, price, total};
    use crate::settings::Settings;

    #[test]
    fn a_code_is_the_same_whatever_its_groups_and_case() {
        let code = new_code();
        assert_eq!(code.len(), 19);
        assert_eq!(given(&code), given(&code.to_lowercase().replace('-', " ")));
        assert_eq!(given(&code).last4, code[15..]);
        assert_ne!(given(&code).code, given(&new_code()).code);
        assert_eq!(given("héllo").last4, "");
    }

    proptest! {
        #[test]
        fn cards_and_the_rest_add_up_to_the_total(price in 0..100_000_i64, cards in prop::collection::vec(0..60_000_i64, 0..10)) {
            let cards: Vec<GiftCardInput> = cards.iter().enumerate().map(|(at, available)| GiftCardInput {
                id: format!("gc_{at}"), last4: String::new(), available: *available,
                refused: (at % 4 == 3).then(|| UNKNOWN.to_owned()),
            }).collect();
            let mut inputs: Inputs = serde_json::from_value(serde_json::json!({
                "cart": "c", "currency": "USD", "lines": [{ "id": "l", "product": "P", "sku": "S", "title": "T",
                    "quantity": 1, "kind": "digital", "catalog_price": price }],
            })).unwrap();
            let plain = total::apply(&inputs, price::catalog(&inputs, Quote::new(&Settings::default(), &inputs)).unwrap()).unwrap();
            inputs.gift_cards.clone_from(&cards);
            let quote = total::apply(&inputs, plain.clone()).unwrap();
            prop_assert_eq!(quote.totals, plain.totals, "a payment changes no amount");
            let paid: i64 = quote.gift_cards.iter().map(|part| part.amount).sum();
            prop_assert_eq!(paid + quote.due().unwrap().minor(), price);
            prop_assert!(quote.gift_cards.iter().all(|part| part.amount > 0));
            let can: i64 = cards.iter().filter(|card| card.refused.is_none()).map(|card| card.available).sum();
            prop_assert_eq!(paid, can.min(price));
            for part in &quote.gift_cards {
                let card = cards.iter().find(|card| card.id == part.card).unwrap();
                prop_assert!(card.refused.is_none() && part.amount <= card.available);
            }
        }
    }
}
