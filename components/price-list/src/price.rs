//! Which row gives a line its price. Plain functions over the records of the contract.

use crate::bindings::exports::till::checkout::pricing_rules::{LinePrice, PricedLine, UnavailableLine};
use crate::bindings::till::checkout::types::{Cart, ComponentError, Customer, ErrorDetail, Line, Reason};
use crate::config::{Config, Row, RowPrice, WithoutPrice};

/// A row found for a line.
struct Found {
    price: RowPrice,
    list: Option<String>,
    why: Reason,
}

/// Prices every line. `lookup` reads the merchant's table of prices.
pub fn price_cart(
    config: &Config,
    currency: &str,
    cart: &Cart,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Vec<LinePrice>, ComponentError> {
    cart.lines
        .iter()
        .map(|line| {
            let customer = cart.customer.as_ref();
            let found = match from_table(config, currency, line, customer, &lookup)? {
                Some(found) => Some(found),
                None => from_config(config, currency, line, customer),
            };
            price_line(config, line, found)
        })
        .collect()
}

/// All keys under which the table may have a price for the cart.
pub fn table_keys(currency: &str, cart: &Cart) -> Vec<String> {
    let groups = cart.customer.as_ref().map_or(&[][..], |customer| &customer.groups);
    cart.lines.iter().flat_map(|line| line_keys(currency, line, groups).map(|(key, _)| key)).collect()
}

/// Keys of a line, in the order in which they count: those of the customer's groups, then everybody's.
fn line_keys<'a>(
    currency: &'a str,
    line: &'a Line,
    groups: &'a [String],
) -> impl Iterator<Item = (String, Option<&'a String>)> {
    let of_groups = groups.iter().map(move |group| (format!("{currency}/{group}/{}", line.sku), Some(group)));
    of_groups.chain([(format!("{currency}/{}", line.sku), None)])
}

/// The table first: it is where a merchant keeps what changes. A group's row comes before everybody's.
fn from_table(
    config: &Config,
    currency: &str,
    line: &Line,
    customer: Option<&Customer>,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Found>, ComponentError> {
    let groups = customer.map_or(&[][..], |customer| &customer.groups);
    for (key, group) in line_keys(currency, line, groups) {
        let Some(text) = lookup(&key) else { continue };
        let price = parse_value(&text).map_err(|why| bad_row(&config.table, &key, &why))?;
        let why = match group {
            Some(group) => reason("group-price", format!("price for the group {group}")),
            None => reason("list-price", format!("price of {} in the table", line.sku)),
        };
        return Ok(Some(Found { price, list: config.price_list.clone(), why }));
    }
    Ok(None)
}

/// A value of the table: bare minor units, or the amounts of a row.
fn parse_value(text: &str) -> Result<RowPrice, String> {
    if let Ok(unit_price) = text.trim().parse() {
        return Ok(RowPrice { unit_price, ..RowPrice::default() });
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// The most particular row: for a group before for all, for a variant before for a product; then the
/// first of the list.
fn from_config(config: &Config, currency: &str, line: &Line, customer: Option<&Customer>) -> Option<Found> {
    let mut best: Option<(&Row, u8)> = None;
    for row in config.prices.iter().filter(|row| fits(row, currency, line, customer)) {
        let particular =
            u8::from(!row.groups.is_empty() || row.tier.is_some()) * 2 + u8::from(row.sku.is_some());
        if best.is_none_or(|(_, before)| particular > before) {
            best = Some((row, particular));
        }
    }
    let (row, _) = best?;
    let why = if !row.groups.is_empty() || row.tier.is_some() {
        reason("group-price", "price for this customer's group".to_owned())
    } else {
        reason("list-price", "price of the list".to_owned())
    };
    Some(Found {
        price: row.price(),
        list: row.price_list.clone().or_else(|| config.price_list.clone()),
        why,
    })
}

fn fits(row: &Row, currency: &str, line: &Line, customer: Option<&Customer>) -> bool {
    let same = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    (row.sku.is_some() || row.product.is_some())
        && same(&row.sku, &line.sku)
        && same(&row.product, &line.product)
        && same(&row.currency, currency)
        && (row.groups.is_empty()
            || customer.is_some_and(|c| row.groups.iter().any(|group| c.groups.contains(group))))
        && (row.tier.is_none() || customer.is_some_and(|c| c.tier == row.tier))
}

fn price_line(config: &Config, line: &Line, found: Option<Found>) -> Result<LinePrice, ComponentError> {
    let Some(found) = found else {
        return Ok(match config.without_price {
            WithoutPrice::Catalog => LinePrice::Priced(PricedLine {
                line: line.id.clone(),
                unit_price: line.catalog_price,
                line_total: total(line, line.catalog_price)?,
                compare_at: line.compare_at,
                price_list: None,
                tier: None,
                includes_tax: line.price_includes_tax,
                reasons: vec![reason("catalog-price", "price of the catalog".to_owned())],
                attributes: Vec::new(),
            }),
            WithoutPrice::Unavailable => LinePrice::Unavailable(UnavailableLine {
                line: line.id.clone(),
                reason: reason("no-price", format!("{} has no price for this customer", line.sku)),
            }),
        });
    };
    let tier = found
        .price
        .quantity_tiers
        .iter()
        .filter(|tier| tier.from <= line.quantity)
        .max_by_key(|tier| tier.from);
    let unit_price = tier.map_or(found.price.unit_price, |tier| tier.unit_price);
    let mut reasons = vec![found.why];
    if let Some(tier) = tier {
        reasons.push(reason("quantity-tier", format!("{} or more", tier.from)));
    }
    Ok(LinePrice::Priced(PricedLine {
        line: line.id.clone(),
        unit_price,
        line_total: total(line, unit_price)?,
        compare_at: found.price.compare_at.or(line.compare_at),
        price_list: found.list,
        tier: tier.map(|tier| format!("{}+", tier.from)),
        includes_tax: config.includes_tax,
        reasons,
        attributes: Vec::new(),
    }))
}

fn total(line: &Line, unit_price: i64) -> Result<i64, ComponentError> {
    unit_price.checked_mul(i64::from(line.quantity)).ok_or_else(|| {
        ComponentError::InvalidInput(detail(
            "amount-too-large",
            Some(format!("$.cart.lines[?id=='{}']", line.id)),
            format!("{} × {unit_price} does not fit", line.quantity),
        ))
    })
}

fn bad_row(table: &str, key: &str, why: &str) -> ComponentError {
    ComponentError::InvalidConfig(detail(
        "table-row-unreadable",
        None,
        format!("row `{key}` of the table `{table}`: {why}"),
    ))
}

fn detail(code: &str, path: Option<String>, text: String) -> ErrorDetail {
    ErrorDetail { code: code.to_owned(), path, text, retry_after_ms: None, attributes: Vec::new() }
}

fn reason(code: &str, text: String) -> Reason {
    Reason { code: code.to_owned(), text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::till::checkout::types::LineKind;

    fn line(sku: &str, quantity: u32) -> Line {
        Line {
            id: "L1".into(),
            product: "p".into(),
            variant: None,
            sku: sku.into(),
            title: sku.into(),
            quantity,
            kind: LineKind::Physical,
            parent: None,
            catalog_price: 1_000,
            compare_at: None,
            price_includes_tax: false,
            tax_class: "standard".into(),
            weight_g: 0,
            dimensions: None,
            categories: vec![],
            tags: vec![],
            warehouse: None,
            group: None,
            attributes: vec![],
        }
    }

    fn price(
        config: &str,
        line: Line,
        groups: &[&str],
        table: &[(&str, &str)],
    ) -> Result<PricedLine, String> {
        let config: Config = serde_json::from_str(config).unwrap();
        let customer = Customer {
            id: "c".into(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            tier: None,
            tags: vec![],
            orders_count: 0,
            tax_exemptions: vec![],
            attributes: vec![],
        };
        let cart = Cart {
            id: "c".into(),
            lines: vec![line],
            customer: Some(customer),
            codes: vec![],
            attributes: vec![],
        };
        let lookup = |key: &str| table.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned());
        match price_cart(&config, "USD", &cart, lookup) {
            Ok(mut lines) => match lines.remove(0) {
                LinePrice::Priced(priced) => Ok(priced),
                LinePrice::Unavailable(line) => Err(line.reason.code),
            },
            Err(ComponentError::InvalidConfig(d) | ComponentError::InvalidInput(d)) => Err(d.code),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    const TIERS: &str = r#"{"prices":[
        {"sku":"A","unit_price":900,"quantity_tiers":[{"from":10,"unit_price":850},{"from":100,"unit_price":700}]},
        {"product":"p","unit_price":950},
        {"product":"p","groups":["trade"],"unit_price":800}]}"#;

    #[test]
    fn without_a_row_the_catalog_decides() {
        let priced = price("{}", line("A", 2), &[], &[]).unwrap();
        assert_eq!((priced.unit_price, priced.line_total), (1_000, 2_000));
        assert_eq!(
            price(r#"{"without_price":"unavailable"}"#, line("A", 2), &[], &[]).unwrap_err(),
            "no-price"
        );
    }

    #[test]
    fn the_largest_tier_reached_decides() {
        let unit = |quantity| price(TIERS, line("A", quantity), &[], &[]).unwrap();
        assert_eq!(unit(9).unit_price, 900);
        assert_eq!((unit(10).unit_price, unit(10).tier.as_deref()), (850, Some("10+")));
        assert_eq!(unit(100).line_total, 70_000);
    }

    #[test]
    fn a_group_comes_before_a_variant_and_a_variant_before_a_product() {
        assert_eq!(price(TIERS, line("A", 1), &["trade"], &[]).unwrap().unit_price, 800);
        assert_eq!(price(TIERS, line("B", 1), &[], &[]).unwrap().unit_price, 950);
    }

    #[test]
    fn the_table_comes_first_and_bad_rows_are_named() {
        let table =
            [("USD/A", "700"), ("USD/vip/A", r#"{"unit_price":600,"compare_at":1200}"#), ("USD/B", "x")];
        assert_eq!(price(TIERS, line("A", 1), &[], &table).unwrap().unit_price, 700);
        assert_eq!(price(TIERS, line("A", 1), &["vip"], &table).unwrap().compare_at, Some(1_200));
        assert_eq!(price("{}", line("B", 1), &[], &table).unwrap_err(), "table-row-unreadable");
    }

    #[test]
    fn an_amount_that_does_not_fit_is_an_error() {
        let mut huge = line("Z", u32::MAX);
        huge.catalog_price = i64::MAX;
        assert_eq!(price("{}", huge, &[], &[]).unwrap_err(), "amount-too-large");
    }
}
