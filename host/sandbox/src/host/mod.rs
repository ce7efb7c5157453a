//! What a guest may call: one file for each interface.

pub(crate) mod clock;
pub(crate) mod courier;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod output;
pub(crate) mod random;
pub(crate) mod script;
pub(crate) mod signing;
pub(crate) mod tables;

use crate::bindings::imports;
use crate::state::State;
use wasmtime::Engine;
use wasmtime::component::{HasData, Linker};

/// Gives the interfaces of the contract the call's state.
pub(crate) struct Till;

impl HasData for Till {
    type Data<'a> = &'a mut State;
}

/// The linker of the pure worlds: no network, no files, a frozen clock, seeded random.
pub(crate) fn pure_linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    linker.allow_shadowing(true);
    clock::add_to_linker(&mut linker)?;
    random::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    imports::log::add_to_linker::<_, Till>(&mut linker, |state| state)?;
    imports::tables::add_to_linker::<_, Till>(&mut linker, |state| state)?;
    Ok(linker)
}

/// The linker of the gateway world: HTTP through the host, signatures made by the host.
pub(crate) fn gateway_linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    imports::log::add_to_linker::<_, Till>(&mut linker, |state| state)?;
    imports::tables::add_to_linker::<_, Till>(&mut linker, |state| state)?;
    imports::signing::add_to_linker::<_, Till>(&mut linker, |state| state)?;
    Ok(linker)
}
