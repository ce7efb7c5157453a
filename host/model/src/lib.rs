//! The shop's words: money, rates, ids.
//!
//! Owns what an amount is and how it is split and rounded, and what an id looks like. Knows no
//! clock, no I/O, no database and no HTTP; everything here is a plain value.
//!
//! Read first: [`money::Money`], [`money::allocate`], [`id::Digest`].
//!
//! ```
//! use till_model::money::{Allocation, Currency, Money, Rate, Rounding, allocate};
//!
//! let usd = Currency::from_code("USD")?;
//! let goods = Money::parse_decimal("499.98", usd)?;
//! let off = goods.times(Rate::from_ppm(150_000))?.round(Rounding::HalfUp)?;
//! assert_eq!(off.to_decimal_string(), "75.00");
//! let parts = allocate(off, &[1, 2], Allocation::LargestRemainder)?;
//! assert_eq!(parts.iter().map(|part| part.minor()).collect::<Vec<_>>(), [2500, 5000]);
//! # Ok::<(), till_model::money::MoneyError>(())
//! ```

pub mod id;
pub mod money;
