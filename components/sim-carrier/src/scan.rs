//! Scans: the signature of a webhook, and what each scan says.

use crate::api;
use crate::bindings::exports::till::checkout::carrier_api::{
    Position, Scan, ScanKind, WebhookRequest, WebhookResult,
};
use crate::bindings::till::checkout::types::ComponentError;
use crate::config::detail;

/// Checks and reads a webhook. `verify` compares a signature of some bytes in constant time.
pub fn read(
    request: &WebhookRequest,
    verify: impl FnOnce(&[u8], &[u8]) -> Result<bool, ComponentError>,
) -> Result<WebhookResult, ComponentError> {
    let verified = match signature(request) {
        Some((time, signature)) => {
            let mut signed = format!("{time}.").into_bytes();
            signed.extend_from_slice(&request.body);
            verify(&signed, &signature)?
        }
        None => false,
    };
    if !verified {
        return Ok(WebhookResult { verified: false, scans: Vec::new(), messages: Vec::new() });
    }
    let told: api::Scan = serde_json::from_slice(&request.body)
        .map_err(|error| ComponentError::InvalidInput(detail("scan-unreadable", error.to_string(), None)))?;
    Ok(WebhookResult { verified: true, scans: vec![scan(told)], messages: Vec::new() })
}

/// Time and signature of `Sim-Signature: t=<ms>,v1=<hex>`.
fn signature(request: &WebhookRequest) -> Option<(String, Vec<u8>)> {
    let (_, value) = request.headers.iter().find(|(name, _)| name == "sim-signature")?;
    let text = str::from_utf8(value).ok()?;
    let part = |name: &str| text.split(',').find_map(|part| part.trim().strip_prefix(name));
    Some((part("t=")?.to_owned(), hex::decode(part("v1=")?).ok()?))
}

/// A scan in the words of the contract.
pub fn scan(told: api::Scan) -> Scan {
    let kind = match told.kind.as_str() {
        "picked_up" => ScanKind::PickedUp,
        "in_transit" => ScanKind::InTransit,
        "out_for_delivery" => ScanKind::OutForDelivery,
        "delivered" => ScanKind::Delivered,
        "delivery_failed" => ScanKind::DeliveryFailed,
        "returned" => ScanKind::Returned,
        "location" => ScanKind::Location,
        _ => ScanKind::Other,
    };
    Scan {
        dedup_id: told.id,
        kind,
        shipment: Some(told.reference),
        tracking_number: Some(told.tracking_number),
        at_ms: told.at_ms,
        text: told.text,
        place: told.place,
        position: told.position.map(|(lat_udeg, lng_udeg)| Position { lat_udeg, lng_udeg }),
        eta_ms: told.eta_ms,
        partner: told.partner.map(Into::into),
        attributes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(header: &str) -> WebhookRequest {
        let body = r#"{"id":"scn_1","kind":"out_for_delivery","reference":"shp_1","tracking_number":"T1","at_ms":7,
            "text":"On the way","place":"San Francisco","position":[37774900,-122419400],"eta_ms":9,
            "partner":{"name":"Sam","phone":"+1","rating_tenths":48}}"#;
        WebhookRequest { headers: vec![("sim-signature".into(), header.into())], body: body.into() }
    }

    #[test]
    fn a_verified_scan_says_where_the_parcel_is_and_who_brings_it() {
        let result = read(&webhook("t=7,v1=00ff"), |signed, signature| {
            assert!(signed.starts_with(b"7.{") && signature == [0, 0xff]);
            Ok(true)
        });
        let scan = result.unwrap().scans.remove(0);
        assert_eq!((scan.kind, scan.shipment.as_deref()), (ScanKind::OutForDelivery, Some("shp_1")));
        assert_eq!(scan.position.unwrap().lng_udeg, -122_419_400);
        assert_eq!(scan.partner.unwrap().rating_tenths, Some(48));
    }

    #[test]
    fn nothing_is_read_without_a_good_signature() {
        for header in ["", "t=7", "v1=00", "t=7,v1=zz"] {
            let result = read(&webhook(header), |_, _| unreachable!("there is nothing to verify")).unwrap();
            assert!(!result.verified && result.scans.is_empty(), "{header}");
        }
        assert!(!read(&webhook("t=7,v1=00"), |_, _| Ok(false)).unwrap().verified);
    }
}
