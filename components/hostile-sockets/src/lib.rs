//! A guest that opens a socket. It is refused when it is loaded, with every import that it must not have.

#[expect(unsafe_code, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "pricing" });
    export!(Sockets with_types_in self);
    use super::Sockets;
}

use bindings::exports::till::checkout::pricing_rules::{Guest, PriceRequest, PriceResult};
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo};
use std::net::TcpStream;

struct Sockets;

impl Guest for Sockets {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "Sockets".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: "{}".to_owned(),
            capabilities: Vec::new(),
            attributes: Vec::new(),
        }
    }

    fn price(ctx: CallContext, _request: PriceRequest) -> Result<PriceResult, ComponentError> {
        let reached = TcpStream::connect(ctx.config.as_str()).is_ok();
        Ok(PriceResult {
            lines: Vec::new(),
            messages: Vec::new(),
            attributes: vec![("reached".to_owned(), reached.to_string())],
        })
    }
}
