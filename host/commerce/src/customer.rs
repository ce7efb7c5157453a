//! What a customer keeps with the shop: a book of addresses and tokenised means of payment. Plain rules; who writes them
//! where is in `shop/customers.rs`.

use crate::catalog::{Customer, SavedAddress, SavedMethod};

/// Addresses of a book: home, work and many friends.
pub const ADDRESSES_MAX: usize = 50;
/// Means of payment of a customer.
pub const METHODS_MAX: usize = 20;
/// Digits of card numbers (ISO/IEC 7812).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 12..=19;

/// What became of something that was put into a book.
#[derive(Debug, Clone, PartialEq)]
pub enum Put<T> {
    /// It is new.
    New(T),
    /// It was there, and is as it was told now.
    Known(T),
    /// There are as many as there may be.
    Full,
    /// None has this id.
    Unknown,
}

/// Puts an address in: under its id, or without one as a new one. One that is in the book already, of the same kind, is
/// not added twice. Of each kind one is the default: the first, until another takes its place.
pub fn put_address(customer: &mut Customer, wanted: SavedAddress, new_id: &str) -> Put<SavedAddress> {
    let book = &mut customer.addresses;
    let at = match wanted.id.as_str() {
        "" => book.iter().position(|known| known.kind == wanted.kind && known.address == wanted.address),
        id => match book.iter().position(|known| known.id == id) {
            None => return Put::Unknown,
            at => at,
        },
    };
    let (kind, default) = (wanted.kind.clone(), wanted.default);
    let place = match at {
        Some(at) => {
            let known = &mut book[at];
            *known =
                SavedAddress { id: known.id.clone(), default: known.default && known.kind == kind, ..wanted };
            at
        }
        None if book.len() >= ADDRESSES_MAX => return Put::Full,
        None => {
            book.push(SavedAddress { id: new_id.to_owned(), default: false, ..wanted });
            book.len() - 1
        }
    };
    for kind in ["shipping", "billing"] {
        let chosen = (default && book[place].kind == kind).then_some(place);
        one_default(book, |saved| saved.kind == kind, |saved| &mut saved.default, chosen);
    }
    let saved = book[place].clone();
    if at.is_some() { Put::Known(saved) } else { Put::New(saved) }
}

/// Takes an address out. Another one of its kind becomes the default. False: none has this id.
pub fn drop_address(customer: &mut Customer, id: &str) -> bool {
    let book = &mut customer.addresses;
    let before = book.len();
    book.retain(|saved| saved.id != id);
    for kind in ["shipping", "billing"] {
        one_default(book, |saved| saved.kind == kind, |saved| &mut saved.default, None);
    }
    book.len() < before
}

/// Keeps a means of payment. The gateway's token names it: one that is kept already is told anew and keeps its id. One is
/// the default: the first, until another takes its place.
pub fn put_method(customer: &mut Customer, wanted: SavedMethod, new_id: &str) -> Put<SavedMethod> {
    let wallet = &mut customer.payment_methods;
    let (at, default) = (wallet.iter().position(|known| known.token == wanted.token), wanted.default);
    let place = match at {
        Some(at) => {
            let known = &mut wallet[at];
            *known = SavedMethod { id: known.id.clone(), default: known.default, ..wanted };
            at
        }
        None if wallet.len() >= METHODS_MAX => return Put::Full,
        None => {
            wallet.push(SavedMethod { id: new_id.to_owned(), default: false, ..wanted });
            wallet.len() - 1
        }
    };
    one_default(wallet, |_| true, |saved| &mut saved.default, default.then_some(place));
    let saved = wallet[place].clone();
    if at.is_some() { Put::Known(saved) } else { Put::New(saved) }
}

/// Takes a means of payment out. Another one becomes the default. False: none has this id.
pub fn drop_method(customer: &mut Customer, id: &str) -> bool {
    let wallet = &mut customer.payment_methods;
    let before = wallet.len();
    wallet.retain(|saved| saved.id != id);
    one_default(wallet, |_| true, |saved| &mut saved.default, None);
    wallet.len() < before
}

/// Of those that match, the chosen one is the default; without a choice the one that is, or else the first.
fn one_default<T>(
    all: &mut [T],
    matches: impl Fn(&T) -> bool,
    default: impl Fn(&mut T) -> &mut bool,
    chosen: Option<usize>,
) {
    let among: Vec<usize> = (0..all.len()).filter(|at| matches(&all[*at])).collect();
    let is = among.iter().copied().find(|at| *default(&mut all[*at]));
    let one = chosen.or(is).or(among.first().copied());
    for at in among {
        *default(&mut all[at]) = Some(at) == one;
    }
}

/// Whether a text has what looks like the number of a payment card in it: a word of 12 to 19 digits, with or without gaps,
/// that begins as card numbers do and whose check digit is right; or nothing but so many digits. Such a text is never
/// kept. Digits within a longer word, as ids have them, are no number.
#[must_use]
pub fn looks_like_card(text: &str) -> bool {
    let mut digits: Vec<u32> = Vec::new();
    let (mut others, mut found) = (false, false);
    // What stands right before the first digit and right behind the last one; the character before this one.
    let (mut left, mut right, mut before) = (' ', ' ', ' ');
    for c in text.chars().chain(['\n']) {
        if let Some(digit) = digit(c) {
            if digits.is_empty() {
                left = before;
            }
            digits.push(digit);
        } else {
            if digit(before).is_some() {
                right = c;
            }
            if !is_gap(c) {
                found |= !is_inside(left) && !is_inside(right) && is_card(&digits);
                if c != '\n' {
                    others = true;
                    digits.clear();
                }
            }
        }
        before = c;
    }
    found || (!others && CARD_DIGITS.contains(&digits.len()))
}

/// What people put between groups of digits.
fn is_gap(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '\u{a0}' | '\u{2010}'..='\u{2015}')
}

/// A neighbour of digits that makes them a part of something longer.
fn is_inside(neighbour: char) -> bool {
    neighbour.is_alphanumeric() || neighbour == '-'
}

/// A digit of Latin text, also in the full width of East Asian text.
fn digit(c: char) -> Option<u32> {
    c.to_digit(10).or_else(|| (c as u32).checked_sub(0xff10).filter(|digit| *digit < 10))
}

fn is_card(digits: &[u32]) -> bool {
    // Numbers that begin with 0, 1, 7, 8 or 9 are of airlines, telephones and nobody.
    CARD_DIGITS.contains(&digits.len())
        && digits.first().is_some_and(|first| (2..=6).contains(first))
        && luhn(digits)
}

fn luhn(digits: &[u32]) -> bool {
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let weighed = digits.iter().rev().enumerate();
    weighed.map(|(at, digit)| if at % 2 == 1 { doubled(*digit) } else { *digit }).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quote::Address;

    fn address(kind: &str, city: &str, default: bool) -> SavedAddress {
        let place = Address { city: city.to_owned(), ..Address::default() };
        SavedAddress { id: String::new(), kind: kind.to_owned(), address: place, default }
    }

    fn method(token: &str, default: bool) -> SavedMethod {
        SavedMethod {
            id: String::new(),
            kind: "credit_card".to_owned(),
            token: token.to_owned(),
            last4: "4242".to_owned(),
            brand: "visa".to_owned(),
            default,
            expires: None,
        }
    }

    fn defaults(customer: &Customer) -> Vec<&str> {
        customer.addresses.iter().filter(|saved| saved.default).map(|saved| saved.id.as_str()).collect()
    }

    #[test]
    fn each_kind_has_one_default_whatever_is_put_in_changed_and_taken_out() {
        let mut jane = Customer::unknown("jane");
        put_address(&mut jane, address("shipping", "A", false), "1");
        put_address(&mut jane, address("shipping", "B", false), "2");
        put_address(&mut jane, address("billing", "C", false), "3");
        assert_eq!(defaults(&jane), ["1", "3"], "the first of each kind");
        put_address(&mut jane, address("shipping", "D", true), "4");
        assert_eq!(defaults(&jane), ["3", "4"]);
        let moved = SavedAddress { id: "4".to_owned(), ..address("billing", "D", false) };
        assert!(matches!(put_address(&mut jane, moved, "5"), Put::Known(_)));
        assert_eq!(defaults(&jane), ["1", "3"], "an address of another kind is another default's rival");
        assert!(drop_address(&mut jane, "1") && !drop_address(&mut jane, "1"));
        assert_eq!(defaults(&jane), ["2", "3"]);
        let again = put_address(&mut jane, address("shipping", "B", true), "6");
        assert!(matches!(again, Put::Known(saved) if saved.id == "2"), "not added twice");
        let nobody = SavedAddress { id: "9".to_owned(), ..address("shipping", "B", false) };
        assert_eq!(put_address(&mut jane, nobody, "7"), Put::Unknown);
    }

    #[test]
    fn a_book_has_an_end_and_what_is_in_it_can_still_be_changed() {
        let mut jane = Customer::unknown("jane");
        for n in 0..ADDRESSES_MAX {
            let made = put_address(&mut jane, address("shipping", &n.to_string(), false), &n.to_string());
            assert!(matches!(made, Put::New(_)));
        }
        assert_eq!(put_address(&mut jane, address("shipping", "one more", false), "x"), Put::Full);
        let known = SavedAddress { id: "0".to_owned(), ..address("shipping", "moved", true) };
        assert!(matches!(put_address(&mut jane, known, "x"), Put::Known(_)));
        for n in 0..METHODS_MAX {
            put_method(&mut jane, method(&format!("tok_{n}"), false), &n.to_string());
        }
        assert_eq!(put_method(&mut jane, method("tok_more", false), "x"), Put::Full);
        assert!(
            matches!(put_method(&mut jane, method("tok_3", true), "x"), Put::Known(saved) if saved.id == "3")
        );
        let one: Vec<&SavedMethod> = jane.payment_methods.iter().filter(|saved| saved.default).collect();
        assert_eq!((one.len(), one[0].id.as_str()), (1, "3"));
    }

    #[test]
    fn ids_are_no_card_numbers() {
        for _ in 0..20_000 {
            let id = uuid::Uuid::now_v7();
            assert!(!looks_like_card(&format!("pm_{}", id.simple())), "{id}");
            assert!(!looks_like_card(&id.to_string()), "{id}");
        }
    }

    #[test]
    fn a_card_number_is_seen_in_every_disguise_and_tokens_are_left_alone() {
        for card in [
            "4242424242424242",
            "4242 4242 4242 4242",
            "4242-4242-4242-4242",
            "3782 822463 10005",
            "my card: 5555555555554444.",
            "card 3782-822463-10005, thanks",
            "tok_4242424242424242",
            "４２４２４２４２４２４２４２４２",
            "4242424242424241", // Wrong check digit, and yet nothing but a number.
            "6304000000000000000",
        ] {
            assert!(looks_like_card(card), "{card}");
        }
        for token in [
            "tok_visa",
            "pm_1NqLzK2eZvKYlo2C0kR5wX9t",
            "tok_4242424242424241",
            "8ac7a4a1-7b1f-4f3e-9d2c-1234567890ab",
            "8ac7a4a1-7b1f-4f3e-9d2c-424242424242",
            "pm_01a4242424242424242c70b8f1e2d3c4b5",
            "x4242424242424242",
            "4242",
            "2027-09",
            "",
            "12345678901",
        ] {
            assert!(!looks_like_card(token), "{token}");
        }
    }
}
