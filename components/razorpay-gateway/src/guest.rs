//! The functions of the contract, over HTTP of the host.

use crate::bindings::exports::till::checkout::payment_gateway_api::{
    Capabilities, CaptureRequest, FindRequest, FindResult, Guest, PaymentRequest, PaymentResult,
    PrepareResult, ProceedRequest, RefundRequest, VoidRequest, WebhookRequest, WebhookResult,
};
use crate::bindings::till::checkout::signing::{self, Algorithm};
use crate::bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo};
use crate::config::{Config, detail};
use crate::{event, find, gateway, http, proceed};

/// The component.
pub struct RazorpayGateway;

/// Compares a signature with that of some bytes by a secret of the binding, which stays with the host.
fn verify(secret: &str, signed: &[u8], signature: &[u8]) -> Result<bool, ComponentError> {
    signing::verify(secret, Algorithm::HmacSha256, signed, signature)
        .map_err(|error| ComponentError::InvalidConfig(detail("secret-missing", format!("{error:?}"), None)))
}

impl Guest for RazorpayGateway {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "Razorpay".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: include_str!("../config.schema.json").to_owned(),
            capabilities: Vec::new(),
            attributes: Vec::new(),
        }
    }

    fn get_capabilities(ctx: CallContext) -> Result<Capabilities, ComponentError> {
        Ok(gateway::capabilities(&Config::read(&ctx)?))
    }

    fn prepare(ctx: CallContext, request: PaymentRequest) -> Result<PrepareResult, ComponentError> {
        Config::read(&ctx)?;
        Ok(gateway::prepare(&request))
    }

    fn authorize(ctx: CallContext, request: PaymentRequest) -> Result<PaymentResult, ComponentError> {
        let config = Config::read(&ctx)?;
        gateway::authorize(&request, &config, &|sent| http::send(&config, sent))
    }

    fn proceed(ctx: CallContext, request: ProceedRequest) -> Result<PaymentResult, ComponentError> {
        let config = Config::read(&ctx)?;
        proceed::proceed(&request, &config, &|sent| http::send(&config, sent), |signed, signature| {
            verify(&config.key_secret, signed, signature)
        })
    }

    fn capture(ctx: CallContext, request: CaptureRequest) -> Result<PaymentResult, ComponentError> {
        let config = Config::read(&ctx)?;
        gateway::capture(&request, &config, ctx.now_ms, &|sent| http::send(&config, sent))
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
        Ok(find::find(&request, &config, ctx.now_ms, &|sent| http::send(&config, sent)))
    }

    fn verify_event(ctx: CallContext, request: WebhookRequest) -> Result<WebhookResult, ComponentError> {
        let config = Config::read(&ctx)?;
        event::read(&request, |signed, signature| verify(&config.webhook_secret, signed, signature))
    }
}
