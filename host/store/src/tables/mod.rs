//! Typed functions over the shop's tables, one file per family.

pub mod audience;
pub mod binding;
pub mod catalog;
pub mod command;
pub mod component;
pub mod event;
pub mod hold;
pub mod lookup;
pub mod notify;
pub mod product;
pub mod purchase;
pub mod secret;
pub mod trial;
