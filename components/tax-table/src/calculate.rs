//! Which rows hold, and the entries that follow. Plain functions over the records of the contract.

use crate::bindings::exports::till::checkout::tax_rules::{AppliesTo, TaxEntry, TaxRequest, TaxResult};
use crate::bindings::till::checkout::types::{
    Address, LineKind, Message, MessageKind, Reason, Severity, TaxExemption,
};
use crate::config::{Config, Row};

/// All taxes of a checkout. `lookup` reads the merchant's table of rows.
pub fn calculate(
    config: &Config,
    request: &TaxRequest,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<TaxResult, serde_json::Error> {
    // Goods that are not sent anywhere are taxed where the buyer is.
    let Some(place) = request.ship_to.as_ref().or(request.bill_to.as_ref()) else {
        return Ok(TaxResult { entries: Vec::new(), messages: Vec::new(), attributes: Vec::new() });
    };
    let rows = rows_for(config, place, lookup)?;
    let mut messages = Vec::new();
    if rows.is_empty() {
        messages.push(unknown_place(config, place));
    }
    let exemptions = request.customer.as_ref().map_or(&[][..], |customer| &customer.tax_exemptions);
    let mut entries = Vec::new();
    for row in &rows {
        if let Some(exemption) = exemptions.iter().find(|exemption| covers(exemption, row)) {
            messages.push(exempt(exemption, row));
            continue;
        }
        // A gift card is money until it is spent.
        for line in request.lines.iter().filter(|line| line.kind != LineKind::GiftCard) {
            if let Some(rate) = rate_of(row, &line.tax_class) {
                let applies_to = AppliesTo::Line(line.line.clone());
                entries.push(entry(row, applies_to, line.net, rate, line.includes_tax));
            }
        }
        for shipping in request.shipping.iter().filter(|_| row.shipping_taxable) {
            if let Some(rate) = rate_of(row, &shipping.tax_class) {
                let applies_to = AppliesTo::Shipping(shipping.group.clone());
                entries.push(entry(row, applies_to, shipping.net, rate, shipping.includes_tax));
            }
        }
    }
    Ok(TaxResult { entries, messages, attributes: Vec::new() })
}

/// All stacked rows of the place, and the most particular of the others.
fn rows_for(
    config: &Config,
    place: &Address,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Row>, serde_json::Error> {
    let mut found: Vec<(usize, Row)> =
        config.rows.iter().filter_map(|row| Some((how_particular(row, place)?, row.clone()))).collect();
    for (particular, key) in keys(place) {
        if let Some(text) = lookup(&key) {
            found.push((particular, serde_json::from_str(&text)?));
        }
    }
    // A stable sort: of equals the first of the configuration wins, and the table comes after it.
    found.sort_by_key(|(particular, _)| std::cmp::Reverse(*particular));
    let best = found.iter().position(|(_, row)| !row.stacked);
    Ok(found
        .into_iter()
        .enumerate()
        .filter(|(index, (_, row))| row.stacked || Some(*index) == best)
        .map(|(_, (_, row))| row)
        .collect())
}

/// None: the row is about another place. A longer postal prefix is more particular than a region.
fn how_particular(row: &Row, place: &Address) -> Option<usize> {
    let postal = plain(&place.postal_code);
    let prefix = row.postal_prefix.as_deref().map(plain).unwrap_or_default();
    let fits = row.country.eq_ignore_ascii_case(&place.country)
        && row.region.as_ref().is_none_or(|region| region.eq_ignore_ascii_case(&place.region))
        && postal.starts_with(&prefix);
    fits.then(|| usize::from(row.region.is_some()) + 2 * prefix.len())
}

/// Keys of the table, from the whole postal code down to the country, and how particular each is.
fn keys(place: &Address) -> Vec<(usize, String)> {
    let country = place.country.to_uppercase();
    let region = place.region.to_uppercase();
    let postal = plain(&place.postal_code);
    let mut keys: Vec<(usize, String)> = (1..=postal.len())
        .rev()
        .map(|length| (1 + 2 * length, format!("{country}/{region}/{}", &postal[..length])))
        .collect();
    keys.push((1, format!("{country}/{region}")));
    keys.push((0, country));
    keys
}

/// A postal code as it is compared: `SW1A 1AA` and `sw1a1aa` are the same.
fn plain(postal: &str) -> String {
    postal.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase()
}

fn rate_of(row: &Row, class: &str) -> Option<u32> {
    row.rates.get(class).or_else(|| row.rates.get("*")).copied()
}

fn covers(exemption: &TaxExemption, row: &Row) -> bool {
    exemption.jurisdiction.as_ref().is_none_or(|place| {
        row.jurisdiction
            .strip_prefix(place.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

fn entry(row: &Row, applies_to: AppliesTo, net: i64, rate: u32, includes_tax: bool) -> TaxEntry {
    TaxEntry {
        applies_to,
        jurisdiction: row.jurisdiction.clone(),
        name: row.name.clone(),
        kind: row.kind.clone(),
        taxable: net,
        rate: Some(rate),
        amount: None,
        included: includes_tax || row.included,
        reasons: vec![Reason {
            code: "tax-row".to_owned(),
            text: format!("{} in {}", row.name, row.jurisdiction),
        }],
    }
}

fn unknown_place(config: &Config, place: &Address) -> Message {
    let kind = if config.refuse_unknown_places { MessageKind::Error } else { MessageKind::Info };
    message(
        kind,
        "no-tax-row",
        format!("there is no tax row for {} {} {}", place.country, place.region, place.postal_code),
    )
}

fn exempt(exemption: &TaxExemption, row: &Row) -> Message {
    message(
        MessageKind::Info,
        "tax-exempt",
        format!("{} is not charged: certificate {}", row.name, exemption.id),
    )
}

fn message(kind: MessageKind, code: &str, text: String) -> Message {
    let severity = if kind == MessageKind::Error { Severity::NeedsBuyerInput } else { Severity::Recoverable };
    Message { kind, severity, code: code.to_owned(), path: None, text, attributes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::exports::till::checkout::tax_rules::{TaxableLine, TaxableShipping};
    use crate::bindings::till::checkout::types::Customer;

    fn address(country: &str, region: &str, postal: &str) -> Option<Address> {
        Some(Address {
            name: String::new(),
            company: String::new(),
            street: vec![],
            city: String::new(),
            region: region.into(),
            postal_code: postal.into(),
            country: country.into(),
            phone: String::new(),
            attributes: vec![],
        })
    }

    fn request(ship_to: Option<Address>) -> TaxRequest {
        let line = |id: &str, class: &str, kind| TaxableLine {
            line: id.into(),
            product: "p".into(),
            sku: id.into(),
            kind,
            tax_class: class.into(),
            quantity: 1,
            net: 1_000,
            includes_tax: false,
            ship_from: None,
        };
        TaxRequest {
            ship_from: None,
            ship_to,
            bill_to: None,
            customer: None,
            lines: vec![
                line("goods", "standard", LineKind::Physical),
                line("food", "zero", LineKind::Physical),
                line("card", "standard", LineKind::GiftCard),
            ],
            shipping: vec![TaxableShipping {
                group: "G".into(),
                option_id: "standard".into(),
                tax_class: "standard".into(),
                net: 500,
                includes_tax: false,
            }],
            attributes: vec![],
        }
    }

    const ROWS: &str = r#"{"rows":[
        {"country":"DE","jurisdiction":"DE","name":"USt","kind":"vat","rates":{"*":190000,"reduced":70000},"shipping_taxable":true,"included":true},
        {"country":"US","region":"CA","jurisdiction":"US-CA","name":"State","kind":"sales","rates":{"standard":72500}},
        {"country":"US","region":"CA","postal_prefix":"941","jurisdiction":"US-CA-SF","name":"City","kind":"sales","rates":{"standard":86250}},
        {"country":"US","region":"CA","postal_prefix":"94","jurisdiction":"US-CA-X","name":"District","kind":"sales","rates":{"standard":5000},"stacked":true}]}"#;

    fn rates(request: &TaxRequest, table: &[(&str, &str)]) -> Vec<(String, u32)> {
        let config = serde_json::from_str(ROWS).unwrap();
        let lookup = |key: &str| table.iter().find(|(k, _)| *k == key).map(|(_, row)| (*row).to_owned());
        let result = calculate(&config, request, lookup).unwrap();
        result.entries.into_iter().map(|entry| (entry.jurisdiction, entry.rate.unwrap())).collect()
    }

    #[test]
    fn the_demo_taxes_goods_in_san_francisco_and_not_their_shipping() {
        let config = serde_json::from_str(include_str!("../demo.json")).unwrap();
        let result = calculate(&config, &request(address("US", "CA", "94105")), |_| None).unwrap();
        let [entry] = &result.entries[..] else { panic!("{result:?}") };
        assert_eq!((entry.rate, entry.amount, entry.taxable), (Some(83_810), None, 1_000));
        assert!(matches!(&entry.applies_to, AppliesTo::Line(line) if line == "goods"));
    }

    #[test]
    fn the_most_particular_row_wins_and_stacked_rows_are_added() {
        assert_eq!(
            rates(&request(address("us", "ca", "94105")), &[]),
            [("US-CA-SF".into(), 86_250), ("US-CA-X".into(), 5_000)]
        );
        assert_eq!(rates(&request(address("US", "CA", "90001")), &[]), [("US-CA".into(), 72_500)]);
    }

    #[test]
    fn the_table_can_be_more_particular() {
        let row = r#"{"jurisdiction":"US-CA-94105","name":"Zip","kind":"sales","rates":{"standard":1}}"#;
        assert_eq!(rates(&request(address("US", "CA", "94105-1234")), &[("US/CA/94105", row)])[0].1, 1);
    }

    #[test]
    fn included_taxes_cover_shipping_and_any_class() {
        let config = serde_json::from_str(ROWS).unwrap();
        let result = calculate(&config, &request(address("DE", "", "10115")), |_| None).unwrap();
        assert_eq!(result.entries.len(), 3); // two lines and the shipping; the gift card is money
        assert!(result.entries.iter().all(|entry| entry.included));
    }

    #[test]
    fn without_an_address_there_is_no_tax_and_without_a_row_a_message() {
        let config = serde_json::from_str(ROWS).unwrap();
        let none = calculate(&config, &request(None), |_| None).unwrap();
        assert!(none.entries.is_empty() && none.messages.is_empty());
        let unknown = calculate(&config, &request(address("FR", "", "")), |_| None).unwrap();
        assert_eq!(unknown.messages[0].code, "no-tax-row");
    }

    #[test]
    fn a_certificate_counts_where_it_holds() {
        let mut request = request(address("US", "CA", "90001"));
        let mut exempt_in = |jurisdiction: Option<&str>| {
            request.customer = Some(Customer {
                id: "c".into(),
                groups: vec![],
                tier: None,
                tags: vec![],
                orders_count: 0,
                tax_exemptions: vec![TaxExemption {
                    id: "X1".into(),
                    jurisdiction: jurisdiction.map(str::to_owned),
                }],
                attributes: vec![],
            });
            rates(&request, &[]).is_empty()
        };
        assert!(exempt_in(None) && exempt_in(Some("US")) && exempt_in(Some("US-CA")));
        assert!(!exempt_in(Some("US-C")) && !exempt_in(Some("US-CA-SF")));
    }
}
