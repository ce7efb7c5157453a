//! Typed functions over the shop's tables, one file per family.

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
