//! The functions of the contract, over HTTP of the host.

use crate::bindings::exports::till::checkout::carrier_api::{
    BookResult, CancelResult, Consignment, FindResult, Guest, Label, TrackResult, WebhookRequest,
    WebhookResult,
};
use crate::bindings::till::checkout::signing::{self, Algorithm};
use crate::bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo};
use crate::config::{Config, detail};
use crate::{carrier, http, scan};

/// The component.
pub struct SimCarrier;

impl Guest for SimCarrier {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "Carrier simulator".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: include_str!("../config.schema.json").to_owned(),
            capabilities: Vec::new(),
            attributes: Vec::new(),
        }
    }

    fn book(ctx: CallContext, consignment: Consignment) -> Result<BookResult, ComponentError> {
        let config = Config::read(&ctx)?;
        Ok(carrier::book(&consignment, &|sent| http::send(&config, sent)))
    }

    fn cancel(ctx: CallContext, consignment: Consignment) -> Result<CancelResult, ComponentError> {
        let config = Config::read(&ctx)?;
        carrier::cancel(&consignment, &|sent| http::send(&config, sent))
    }

    fn find_booking(ctx: CallContext, consignment: Consignment) -> Result<FindResult, ComponentError> {
        let config = Config::read(&ctx)?;
        let longest = config.request_time_max_ms;
        Ok(carrier::find(&consignment, ctx.now_ms, longest, &|sent| http::send(&config, sent)))
    }

    fn track(ctx: CallContext, consignment: Consignment) -> Result<TrackResult, ComponentError> {
        let config = Config::read(&ctx)?;
        carrier::track(&consignment, &|sent| http::send(&config, sent))
    }

    fn fetch_label(ctx: CallContext, consignment: Consignment) -> Result<Label, ComponentError> {
        let config = Config::read(&ctx)?;
        carrier::label(&consignment, &|sent| http::send(&config, sent))
    }

    fn verify_scan(ctx: CallContext, request: WebhookRequest) -> Result<WebhookResult, ComponentError> {
        let config = Config::read(&ctx)?;
        scan::read(&request, |signed, signature| {
            signing::verify(&config.webhook_secret, Algorithm::HmacSha256, signed, signature).map_err(
                |error| ComponentError::InvalidConfig(detail("secret-missing", format!("{error:?}"), None)),
            )
        })
    }
}
