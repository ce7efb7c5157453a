//! What a shop does: prices a cart, asks what is missing, and says what a checkout costs.
//!
//! Owns a merchant's [`settings`] and the [`quote`] pipeline. Knows no HTTP and no SQL text, and never
//! calls the workflow runner: it hands in steps.
//!
//! Read first: [`settings::Settings`], [`quote::Inputs`], [`quote::Quote`].
//!
//! ```
//! use till_commerce::quote::{Inputs, Quote, price, requirements, total};
//! use till_commerce::settings::Settings;
//!
//! let inputs: Inputs = serde_json::from_str(r#"{"cart": "CART-1", "currency": "USD"}"#)?;
//! let quote = price::catalog(&inputs, Quote::new(&Settings::default(), &inputs))?;
//! let quote = total::apply(&inputs, quote)?;
//! assert_eq!(requirements(&inputs, &quote)[0].code, "cart-empty");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod access;
pub mod address;
pub mod ask;
pub mod cart;
pub mod catalog;
pub mod checkout;
pub mod customer;
pub mod events;
pub mod fulfilment;
pub mod gift_card;
pub mod inventory;
pub mod loyalty;
pub mod promotions;
pub mod quote;
pub mod settings;
mod shop;
pub mod trial;

pub use shop::{
    Allowance, ApiKey, AuditFilter, AuditRow, CAMPAIGN_PROMOTIONS_MAX, CARDS_ISSUED_MAX, CART_ABANDONED,
    CHECKOUT, CODES_MAX, COMMANDS_KEPT_US, CardIssue, CheckoutContext, CodesWanted, CustomerRecord,
    FEEDBACK_CHARS_MAX, Feedback, IssuedCard, ItemWanted, KeyHolder, KeyWanted, Loyalty, ParcelCommand,
    PartWarning, Phase, ProductFeedback, Reservation, Review, Role, SessionView, Shop, ShopError, ShortItem,
    Shown, StockChange, SubmitRequest, Tracking, Unusable, is_api_key, is_guest,
};
