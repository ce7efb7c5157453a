//! Typed calls of the carrier world.

use super::gateway::network_call;
use super::{Answer, Call, check_slot};
use crate::component::Exports;
use crate::engine::Way;
use crate::host::script::Script;
use crate::wit::carrier::{
    BookResult, CancelResult, Consignment, FindResult, Label, TrackResult, WebhookRequest, WebhookResult,
};
use crate::{Failure, Sandbox, Slot};
use std::sync::Arc;

/// The functions of a carrier that ask it something.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident $function:ident $way:ident -> $answer:ty;)+) => {
        impl Sandbox {
            $($(#[$doc])*
            pub async fn $name(&self, call: Call, consignment: Consignment) -> Result<Answer<$answer>, Failure> {
                network_call!(self, call, consignment, Carrier Carrier $function, Way::$way)
            })+

            /// Checks and reads a webhook of a carrier. No network.
            pub async fn verify_scan(
                &self,
                call: Call,
                request: WebhookRequest,
            ) -> Result<Answer<WebhookResult>, Failure> {
                network_call!(self, call, request, Carrier Carrier call_verify_scan, Way::None)
            }
        }

        impl ScriptedCarrier<'_> {
            $($(#[$doc])*
            pub async fn $name(&self, call: Call, consignment: Consignment) -> Result<Answer<$answer>, Failure> {
                let (sandbox, way) = (self.sandbox, Way::Scripted(self.script.clone()));
                network_call!(sandbox, call, consignment, Carrier Carrier $function, way)
            })+
        }
    };
}

/// A sandbox in which the requests of carriers reach a script and nothing else. For tests of components.
pub struct ScriptedCarrier<'a> {
    sandbox: &'a Sandbox,
    script: Arc<dyn Script>,
}

impl Sandbox {
    /// The functions of a carrier, with answers from a script.
    pub fn scripted_carrier(&self, script: Arc<dyn Script>) -> ScriptedCarrier<'_> {
        ScriptedCarrier { sandbox: self, script }
    }
}

functions! {
    /// Books a parcel.
    book call_book Wire -> BookResult;
    /// Takes a booking back.
    cancel_booking call_cancel Wire -> CancelResult;
    /// Asks what became of a booking.
    find_booking call_find_booking Ask -> FindResult;
    /// Asks where a parcel is.
    track call_track Ask -> TrackResult;
    /// Fetches the label.
    fetch_label call_fetch_label Ask -> Label;
}
