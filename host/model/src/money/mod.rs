//! Money: integer minor units with a currency, exact until rounded by name.
//!
//! [`Money`] is what is charged, [`Exact`] is a product that still has to be rounded, [`Rate`] is a
//! share of an amount. There is no `Add`, no `Sum` and no `Default`: every operation is checked, and
//! two currencies never mix. Start reading at [`Money`].

mod allocate;
mod amount;
mod currency;
mod rate;

pub use allocate::{Allocation, allocate};
pub use amount::Money;
pub use currency::Currency;
pub use rate::{Exact, Rate, Rounding, TaxRounding};

/// Why an amount could not be computed or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two amounts of different currencies met.
    #[error("combine {left} with {right}: currencies do not mix")]
    CurrencyMismatch {
        /// Currency of the left operand.
        left: Currency,
        /// Currency of the right operand.
        right: Currency,
    },
    /// The result does not fit 64-bit minor units.
    #[error("keep the result within 64-bit minor units")]
    Overflow,
    /// Not a code of ISO 4217 that is in use.
    #[error("know the currency `{code}`: expected an ISO 4217 code in capitals, such as `USD`")]
    UnknownCurrency {
        /// What was given.
        code: String,
    },
    /// The text is not a plain decimal number.
    #[error("read `{text}` as an amount: expected digits with an optional point, such as `249.99`")]
    NotDecimal {
        /// What was given, cut to 40 characters.
        text: String,
    },
    /// More digits after the point than the currency has.
    #[error("read `{text}` as {currency}: at most {digits_max} digits after the point")]
    TooManyDigits {
        /// What was given, cut to 40 characters.
        text: String,
        /// The currency it was read in.
        currency: Currency,
        /// Digits that the currency has.
        digits_max: u8,
    },
    /// An amount was to be split, and no part may take any of it.
    #[error("split {minor} minor units: all weights are zero")]
    NoWeight {
        /// The amount in minor units.
        minor: i64,
    },
    /// A weight below zero.
    #[error("split by the weight {weight}: weights are not negative")]
    NegativeWeight {
        /// The weight.
        weight: i64,
    },
    /// Division by zero or a rate that cannot be expressed.
    #[error("use this rate or divisor: it is zero or out of range")]
    BadRate,
}
