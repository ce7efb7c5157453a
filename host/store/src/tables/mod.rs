//! Typed functions over the shop's tables, one file per family.

/// SQL for a sum of 64-bit integers that stays at the end of the range instead of failing the statement.
macro_rules! saturating_sum {
    ($column:literal, $more:literal) => {
        concat!(
            "CASE WHEN ",
            $more,
            " > 0 THEN CASE WHEN ",
            $column,
            " > 9223372036854775807 - ",
            $more,
            " THEN 9223372036854775807 ELSE ",
            $column,
            " + ",
            $more,
            " END ELSE CASE WHEN ",
            $column,
            " < -9223372036854775807 - ",
            $more,
            " THEN -9223372036854775807 ELSE ",
            $column,
            " + ",
            $more,
            " END END"
        )
    };
}

pub mod access;
pub mod audience;
pub mod binding;
pub mod campaign;
pub mod catalog;
pub mod command;
pub mod component;
pub mod customer;
pub mod event;
pub mod gift_card;
pub mod hold;
pub mod inventory;
pub mod lookup;
pub mod loyalty;
pub mod notify;
pub mod payment;
pub mod product;
pub mod purchase;
pub mod rate;
pub mod reservation;
pub mod secret;
pub mod shipment;
pub mod trial;
pub mod warehouse;
