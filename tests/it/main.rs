//! Tests of the whole shop, in one binary. Each test is a sentence and has a shop of its own.

mod authorization;
mod cart;
mod catalog;
mod checkout;
mod compile;
mod components;
mod contract;
mod crash;
mod definition;
mod events;
mod expiry;
mod fulfilment;
mod gift_cards;
mod hostile;
mod http;
mod inventory;
mod kit;
mod limits;
mod merchants;
mod payments;
mod project;
mod promotions;
mod property;
mod rollback;
mod sweep;
mod trials;
