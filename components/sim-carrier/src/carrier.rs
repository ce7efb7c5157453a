//! What each function asks the carrier, and what its answer means. Plain functions over records.

use crate::api::{ByKey, Parcel, Refusal, Story};
use crate::bindings::exports::till::checkout::carrier_api::{
    Absence, BookResult, BookStatus, Booking, BookingState, CancelResult, CancelStatus, Consignment,
    FindResult, Label, Reference, Refusal as Refused, TrackResult,
};
use crate::bindings::till::checkout::types::ComponentError;
use crate::config::detail;
use crate::exchange::{Lost, Request, Response, Send};
use crate::scan::scan;
use serde_json::json;

/// Kind of the reference to the carrier's parcel.
pub const PARCEL: &str = "parcel";
/// What is stuck on parcels: ZPL II, the language of label printers.
const LABEL_TYPE: &str = "application/zpl";
/// A moment for a carrier that could not be reached.
const RETRY_AFTER_MS: u64 = 1_000;

type Answer<T> = Result<T, ComponentError>;

/// Books a parcel.
pub fn book(consignment: &Consignment, send: Send<'_>) -> BookResult {
    let to = &consignment.destination;
    let body = json!({
        "reference": consignment.shipment,
        "order": consignment.order_number,
        "service": if consignment.service.is_empty() { &consignment.method } else { &consignment.service },
        "weight_g": consignment.weight_g,
        "to": {
            "name": to.name, "street": to.street, "city": to.city, "region": to.region,
            "postal_code": to.postal_code, "country": to.country, "phone": to.phone, "email": consignment.email,
        },
        "contents": consignment.lines.iter().map(|line| json!({ "sku": line.sku, "units": line.units })).collect::<Vec<_>>(),
    });
    let status = match send(Request::post("/carrier/v1/parcels".to_owned(), &consignment.key, body)) {
        Ok(Response { status: 200 | 201, body }) => match serde_json::from_slice::<Parcel>(&body) {
            Ok(parcel) => BookStatus::Booked(booking(parcel)),
            Err(error) => BookStatus::Unknown(format!("the answer cannot be read: {error}")),
        },
        Ok(Response { status: 400..=499, body }) => match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => {
                BookStatus::Refused(Refused { code: refusal.error.code, text: refusal.error.text })
            }
            // Somebody before the carrier, who may have let it through.
            Err(_) => BookStatus::Unknown("a refusal that cannot be read".to_owned()),
        },
        Ok(response) => BookStatus::Unknown(format!("the carrier answered {}", response.status)),
        Err(Lost::NotSent(why) | Lost::Unknown(why)) => BookStatus::Unknown(why),
    };
    BookResult { status, messages: Vec::new(), attributes: Vec::new() }
}

/// Takes a booking back.
pub fn cancel(consignment: &Consignment, send: Send<'_>) -> Answer<CancelResult> {
    let id = parcel_of(consignment)?;
    let path = format!("/carrier/v1/parcels/{id}/cancel");
    // A request of its own under the same booking: it gets a key that follows from the booking's.
    let key = format!("{}.cancel", consignment.key);
    let status = match send(Request::post(path, &key, json!({}))) {
        Ok(Response { status: 200, body }) => match serde_json::from_slice::<Parcel>(&body) {
            Ok(parcel) if parcel.status == "cancelled" => CancelStatus::Cancelled,
            Ok(parcel) => CancelStatus::Unknown(format!("the parcel is {}", parcel.status)),
            Err(error) => CancelStatus::Unknown(format!("the answer cannot be read: {error}")),
        },
        Ok(Response { status: 409, body }) => match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => CancelStatus::TooLate(refusal.error.text),
            Err(_) => CancelStatus::Unknown("a refusal that cannot be read".to_owned()),
        },
        Ok(response) => CancelStatus::Unknown(format!("the carrier answered {}", response.status)),
        Err(Lost::NotSent(why) | Lost::Unknown(why)) => CancelStatus::Unknown(why),
    };
    Ok(CancelResult { status, messages: Vec::new(), attributes: Vec::new() })
}

/// Asks what became of a booking.
pub fn find(consignment: &Consignment, now_ms: u64, request_time_max_ms: u64, send: Send<'_>) -> FindResult {
    let state = match send(Request::get(format!("/carrier/v1/keys/{}", consignment.key))) {
        Ok(Response { status: 200, body }) => match serde_json::from_slice::<ByKey>(&body) {
            Ok(found) if found.parcel.status == "cancelled" => BookingState::Cancelled,
            Ok(found) => BookingState::Booked(booking(found.parcel)),
            Err(error) => BookingState::Unknown(format!("the answer cannot be read: {error}")),
        },
        // A 404 counts only if it is the carrier who says it, and not a proxy before it.
        Ok(Response { status: 404, body })
            if serde_json::from_slice::<Refusal>(&body).is_ok_and(|r| r.error.code == "no_such_key") =>
        {
            // A request may still be on its way until the longest time has passed.
            let settled = consignment.first_sent_ms.is_none_or(|sent| now_ms > sent + request_time_max_ms);
            BookingState::NeverHappened(if settled { Absence::Certain } else { Absence::NotVisibleYet })
        }
        Ok(response) => BookingState::Unknown(format!("the carrier answered {}", response.status)),
        Err(Lost::NotSent(why) | Lost::Unknown(why)) => BookingState::Unknown(why),
    };
    FindResult { state, messages: Vec::new(), attributes: Vec::new() }
}

/// Asks where a parcel is.
pub fn track(consignment: &Consignment, send: Send<'_>) -> Answer<TrackResult> {
    let id = parcel_of(consignment)?;
    let response = whole(send(Request::get(format!("/carrier/v1/parcels/{id}"))))?;
    let story: Story = serde_json::from_slice(&response)
        .map_err(|error| unavailable(format!("the answer cannot be read: {error}")))?;
    let scans = story.scans.into_iter().map(scan).collect();
    Ok(TrackResult { scans, messages: Vec::new(), attributes: Vec::new() })
}

/// Fetches the label.
pub fn label(consignment: &Consignment, send: Send<'_>) -> Answer<Label> {
    let id = parcel_of(consignment)?;
    let content = whole(send(Request::get(format!("/carrier/v1/parcels/{id}/label"))))?;
    if !content.starts_with(b"^XA") {
        return Err(unavailable("the answer is no label".to_owned()));
    }
    Ok(Label { media_type: LABEL_TYPE.to_owned(), content })
}

/// The body of a whole answer 200.
fn whole(answer: Result<Response, Lost>) -> Answer<Vec<u8>> {
    match answer {
        Ok(Response { status: 200, body }) => Ok(body),
        Ok(response) => Err(unavailable(format!("the carrier answered {}", response.status))),
        Err(Lost::NotSent(why) | Lost::Unknown(why)) => Err(unavailable(why)),
    }
}

fn unavailable(text: String) -> ComponentError {
    ComponentError::Unavailable(detail("carrier-unavailable", text, Some(RETRY_AFTER_MS)))
}

fn parcel_of(consignment: &Consignment) -> Answer<&str> {
    let found = consignment.references.iter().find(|reference| reference.kind == PARCEL);
    found.map(|reference| reference.value.as_str()).ok_or_else(|| {
        let text = "the consignment has no reference to a parcel: it was not booked";
        ComponentError::InvalidInput(detail("not-booked", text.to_owned(), None))
    })
}

fn booking(parcel: Parcel) -> Booking {
    Booking {
        tracking_number: parcel.tracking_number,
        tracking_url: parcel.tracking_url,
        carrier: "Simulated Parcels".to_owned(),
        service: parcel.service,
        eta_ms: parcel.eta_ms,
        partner: parcel.partner.map(Into::into),
        references: vec![Reference { kind: PARCEL.to_owned(), value: parcel.id }],
        attributes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str) -> impl Fn(Request) -> Result<Response, Lost> {
        let body = body.as_bytes().to_vec();
        move |_| Ok(Response { status, body: body.clone() })
    }

    fn consignment() -> Consignment {
        Consignment {
            key: "k".into(),
            first_sent_ms: Some(1_000),
            shipment: "shp_1".into(),
            order: "ord_1".into(),
            order_number: "ORD-1".into(),
            method: "standard".into(),
            carrier: String::new(),
            service: String::new(),
            origin: None,
            destination: crate::bindings::till::checkout::types::Address {
                name: String::new(),
                company: String::new(),
                street: vec![],
                city: String::new(),
                region: String::new(),
                postal_code: String::new(),
                country: "US".into(),
                phone: String::new(),
                attributes: vec![],
            },
            email: String::new(),
            lines: vec![],
            weight_g: 0,
            value: crate::bindings::till::checkout::types::Money { minor: 0, currency: "USD".into() },
            notes: String::new(),
            references: vec![],
            attributes: vec![],
        }
    }

    #[test]
    fn only_the_carriers_own_word_is_a_booking_or_a_refusal() {
        let parcel = r#"{"id":"prc_1","status":"booked","tracking_number":"T1","tracking_url":null,
            "service":"standard","eta_ms":7,"partner":null}"#;
        let status = |code, body| book(&consignment(), &told(code, body)).status;
        let BookStatus::Booked(made) = status(201, parcel) else { panic!("not booked") };
        assert_eq!((made.tracking_number.as_str(), made.references[0].value.as_str()), ("T1", "prc_1"));
        let refusal = r#"{"error":{"code":"bad_address","text":"no such street"}}"#;
        assert!(matches!(status(400, refusal), BookStatus::Refused(r) if r.code == "bad_address"));
        for (code, body) in [(200, "{}"), (404, "<html>"), (500, refusal)] {
            assert!(matches!(status(code, body), BookStatus::Unknown(_)), "{code} {body}");
        }
    }

    #[test]
    fn never_happened_is_certain_only_when_nothing_can_be_under_way() {
        let absent = told(404, r#"{"error":{"code":"no_such_key","text":""}}"#);
        let state = |now| find(&consignment(), now, 500, &absent).state;
        assert!(matches!(state(1_400), BookingState::NeverHappened(Absence::NotVisibleYet)));
        assert!(matches!(state(1_600), BookingState::NeverHappened(Absence::Certain)));
        let proxy = find(&consignment(), 9_999, 500, &told(404, "<html>")).state;
        assert!(matches!(proxy, BookingState::Unknown(_)));
    }

    #[test]
    fn what_was_not_booked_is_neither_cancelled_nor_tracked() {
        let nobody = |_| panic!("nothing is asked");
        assert!(cancel(&consignment(), &nobody).is_err());
        assert!(track(&consignment(), &nobody).is_err() && label(&consignment(), &nobody).is_err());
    }
}
