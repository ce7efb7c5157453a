//! The functions of the contract, over HTTP of the host.

use crate::bindings::exports::till::checkout::payment_gateway_api::{
    Capabilities, CaptureRequest, FindRequest, FindResult, Guest, PaymentRequest, PaymentResult,
    PrepareResult, ProceedRequest, RefundRequest, VoidRequest, WebhookRequest, WebhookResult,
};
use crate::bindings::till::checkout::signing::{self, Algorithm};
use crate::bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo};
use crate::config::{Config, detail};
use crate::{event, gateway, http};

/// The component.
pub struct SimGateway;

impl Guest for SimGateway {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "Gateway simulator".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: include_str!("../config.schema.json").to_owned(),
            capabilities: Vec::new(),
            attributes: Vec::new(),
        }
    }

    fn get_capabilities(ctx: CallContext) -> Result<Capabilities, ComponentError> {
        let config = Config::read(&ctx)?;
        Ok(gateway::capabilities(config.request_time_max_ms))
    }

    fn prepare(ctx: CallContext, request: PaymentRequest) -> Result<PrepareResult, ComponentError> {
        let config = Config::read(&ctx)?;
        gateway::prepare(&request, &|sent| http::send(&config, sent))
    }

    fn authorize(ctx: CallContext, request: PaymentRequest) -> Result<PaymentResult, ComponentError> {
        let config = Config::read(&ctx)?;
        gateway::authorize(&request, &|sent| http::send(&config, sent))
    }

    fn proceed(ctx: CallContext, request: ProceedRequest) -> Result<PaymentResult, ComponentError> {
        let config = Config::read(&ctx)?;
        gateway::proceed(&request, &|sent| http::send(&config, sent))
    }

    fn capture(ctx: CallContext, request: CaptureRequest) -> Result<PaymentResult, ComponentError> {
        let config = Config::read(&ctx)?;
        gateway::capture(&request, &|sent| http::send(&config, sent))
    }

    fn void(ctx: CallContext, request: VoidRequest) -> Result<PaymentResult, ComponentError> {
        let config = Config::read(&ctx)?;
        gateway::void(&request, &|sent| http::send(&config, sent))
    }

    fn refund(ctx: CallContext, request: RefundRequest) -> Result<PaymentResult, ComponentError> {
        let config = Config::read(&ctx)?;
        gateway::refund(&request, &|sent| http::send(&config, sent))
    }

    fn find(ctx: CallContext, request: FindRequest) -> Result<FindResult, ComponentError> {
        let config = Config::read(&ctx)?;
        Ok(gateway::find(&request, ctx.now_ms, config.request_time_max_ms, &|sent| http::send(&config, sent)))
    }

    fn verify_event(ctx: CallContext, request: WebhookRequest) -> Result<WebhookResult, ComponentError> {
        let config = Config::read(&ctx)?;
        event::read(&request, |signed, signature| {
            signing::verify(&config.webhook_secret, Algorithm::HmacSha256, signed, signature).map_err(
                |error| ComponentError::InvalidConfig(detail("secret-missing", format!("{error:?}"), None)),
            )
        })
    }
}
