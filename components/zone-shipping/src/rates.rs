//! Options for each group. Plain functions over the records of the contract.

use crate::bindings::exports::till::checkout::shipping_rates::{
    Group, RateRequest, RateResult, ShippingOption,
};
use crate::bindings::till::checkout::types::{Address, Message, MessageKind, Reason, Severity};
use crate::config::{Band, Config, Method, Zone};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// All options of all groups; a group without one gets a message that says why.
pub fn rates(config: &Config, request: &RateRequest, currency: &str, now_ms: u64) -> RateResult {
    let mut options = Vec::new();
    let mut messages = Vec::new();
    for group in &request.groups {
        let Some(destination) = &group.destination else {
            messages.push(message(group, "address-missing", "an address is needed to ship this"));
            continue;
        };
        let Some(zone) = config.zones.iter().find(|zone| holds(zone, currency, destination)) else {
            messages.push(message(group, "not-shippable", "nothing is shipped to this address"));
            continue;
        };
        let before = options.len();
        options.extend(
            zone.methods.iter().filter_map(|method| offer(zone, method, group, request.goods_total, now_ms)),
        );
        if options.len() == before {
            messages.push(message(
                group,
                "not-shippable",
                "no way of shipping takes these goods to this address",
            ));
        }
    }
    RateResult { options, messages, attributes: Vec::new() }
}

fn holds(zone: &Zone, currency: &str, place: &Address) -> bool {
    let any = |wanted: &[String], found: &str| {
        wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(found))
    };
    let postal = plain(&place.postal_code);
    zone.currency.as_deref().is_none_or(|wanted| wanted == currency)
        && any(&zone.countries, &place.country)
        && any(&zone.regions, &place.region)
        && (zone.postal_prefixes.is_empty()
            || zone.postal_prefixes.iter().any(|prefix| postal.starts_with(&plain(prefix))))
}

/// A postal code as it is compared: `SW1A 1AA` and `sw1a1aa` are the same.
fn plain(postal: &str) -> String {
    postal.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase()
}

fn offer(
    zone: &Zone,
    method: &Method,
    group: &Group,
    goods_total: i64,
    now_ms: u64,
) -> Option<ShippingOption> {
    if group.lines.iter().any(|line| line.tags.iter().any(|tag| method.not_for_tags.contains(tag))) {
        return None;
    }
    let weight_g: u64 = group.lines.iter().map(|line| u64::from(line.units) * u64::from(line.weight_g)).sum();
    let value: i64 = group.lines.iter().map(|line| line.value).fold(0, i64::saturating_add);
    let band = method.bands.iter().find(|band| fits(band, weight_g, value))?;
    let free = method.free_above.is_some_and(|limit| goods_total >= limit);
    let (price, why) = if free {
        (0, ("free-above", "the goods are worth enough for free shipping".to_owned()))
    } else {
        (band.price, ("zone-rate", format!("{} to {}, {weight_g} g", method.title, zone.name)))
    };
    let arrival = |days: u16| now_ms + u64::from(days) * DAY_MS;
    Some(ShippingOption {
        id: method.id.clone(),
        group: group.id.clone(),
        carrier: method.carrier.clone(),
        service: method.service.clone(),
        title: method.title.clone(),
        price,
        tax_class: method.tax_class.clone(),
        earliest_ms: method.days.map(|[earliest, _]| arrival(earliest)),
        latest_ms: method.days.map(|[_, latest]| arrival(latest)),
        pickup: None,
        constraints: method.constraints.clone(),
        expires_ms: None,
        reasons: vec![Reason { code: why.0.to_owned(), text: why.1 }],
        attributes: Vec::new(),
    })
}

fn fits(band: &Band, weight_g: u64, value: i64) -> bool {
    band.up_to_g.is_none_or(|limit| weight_g <= limit) && band.up_to_value.is_none_or(|limit| value <= limit)
}

fn message(group: &Group, code: &str, text: &str) -> Message {
    Message {
        kind: MessageKind::Error,
        severity: Severity::NeedsBuyerInput,
        code: code.to_owned(),
        path: Some(format!("$.groups[?id=='{}']", group.id)),
        text: text.to_owned(),
        attributes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::exports::till::checkout::shipping_rates::GroupLine;
    use crate::bindings::till::checkout::types::Cart;

    fn request(country: &str, postal: &str, weight_g: u32, value: i64, tags: &[&str]) -> RateRequest {
        let destination = Address {
            name: String::new(),
            company: String::new(),
            street: vec![],
            city: String::new(),
            region: "CA".into(),
            postal_code: postal.into(),
            country: country.into(),
            phone: String::new(),
            attributes: vec![],
        };
        let line = GroupLine {
            line: "L".into(),
            units: 2,
            weight_g,
            value,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        };
        let group = Group {
            id: "G".into(),
            lines: vec![line],
            warehouse: None,
            origin: None,
            destination: Some(destination),
            parcels: vec![],
        };
        RateRequest {
            cart: Cart { id: "c".into(), lines: vec![], customer: None, codes: vec![], attributes: vec![] },
            groups: vec![group],
            goods_total: value,
            attributes: vec![],
        }
    }

    const ZONES: &str = r#"{"zones":[
        {"name":"the islands","countries":["GB"],"postal_prefixes":["JE","GY"],"methods":[
            {"id":"boat","carrier":"c","service":"s","title":"Boat","bands":[{"price":900}]}]},
        {"name":"Britain","countries":["GB"],"methods":[
            {"id":"light","carrier":"c","service":"s","title":"Light","bands":[{"up_to_g":500,"price":100},{"up_to_g":2000,"up_to_value":5000,"price":300}],"free_above":9000},
            {"id":"road","carrier":"c","service":"s","title":"Road","bands":[{"price":700}],"not_for_tags":["fragile"],"days":[1,3]}]}]}"#;

    fn prices(request: &RateRequest) -> Vec<(String, i64)> {
        let config = serde_json::from_str(ZONES).unwrap();
        rates(&config, request, "USD", 0)
            .options
            .into_iter()
            .map(|option| (option.id, option.price))
            .collect()
    }

    #[test]
    fn the_demo_ships_for_15_99_in_five_days() {
        let config = serde_json::from_str(include_str!("../demo.json")).unwrap();
        let result = rates(&config, &request("US", "94105", 400, 42_498, &[]), "USD", 1_000);
        let option = result.options.iter().find(|option| option.id == "standard").unwrap();
        assert_eq!((option.price, option.latest_ms), (1_599, Some(1_000 + 5 * DAY_MS)));
    }

    #[test]
    fn the_first_zone_that_holds_the_place_is_its_zone() {
        assert_eq!(prices(&request("GB", "je2 3ab", 100, 100, &[])), [("boat".into(), 900)]);
        assert_eq!(
            prices(&request("gb", "SW1A 1AA", 100, 100, &[])),
            [("light".into(), 100), ("road".into(), 700)]
        );
    }

    #[test]
    fn bands_end_at_weight_and_value() {
        assert_eq!(prices(&request("GB", "", 1_000, 5_000, &[]))[0], ("light".into(), 300));
        assert_eq!(prices(&request("GB", "", 1_000, 5_001, &[])), [("road".into(), 700)]);
        assert_eq!(prices(&request("GB", "", 1_001, 1, &[])), [("road".into(), 700)]);
    }

    #[test]
    fn enough_goods_ship_free_and_some_goods_do_not_ship() {
        assert_eq!(prices(&request("GB", "", 100, 9_000, &[]))[0], ("light".into(), 0));
        let config = serde_json::from_str(ZONES).unwrap();
        let stuck = rates(&config, &request("GB", "", 5_000, 1, &["fragile"]), "USD", 0);
        assert_eq!((stuck.options.len(), stuck.messages[0].code.as_str()), (0, "not-shippable"));
        let nowhere = rates(&config, &request("FR", "", 1, 1, &[]), "USD", 0);
        assert_eq!(nowhere.messages[0].code, "not-shippable");
    }

    #[test]
    fn a_zone_of_another_currency_is_none() {
        let config = serde_json::from_str(include_str!("../demo.json")).unwrap();
        let here = request("US", "94105", 400, 42_498, &[]);
        assert_eq!(rates(&config, &here, "JPY", 0).messages[0].code, "not-shippable");
    }

    #[test]
    fn without_an_address_it_asks_for_one() {
        let config = serde_json::from_str(ZONES).unwrap();
        let mut request = request("GB", "", 1, 1, &[]);
        request.groups[0].destination = None;
        assert_eq!(rates(&config, &request, "USD", 0).messages[0].code, "address-missing");
    }
}
