//! The catalog as CSV: a line for each product, followed by one for each of its variants.
//!
//! A line is read as the JSON object of its cells, so it has the rules and the errors of a body. Lists are written with
//! `|`; a `|`, `=` or `\` of a text has a `\` before it. Prices in other currencies are `EUR=22.99|JPY=3000/3500`, where the
//! second amount is what it is said to have cost before.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use till_commerce::catalog::Product;
use till_model::money::Currency;

use super::products::{IMPORT_ROWS_MAX, id_in, too_many, unchecked, variant_in};
use crate::problem::{Code, FieldError, Problem};
use crate::read::Fields;
use crate::wire::{Amount, KeptPrice, KeptProduct};

/// The columns, in the order in which they are written.
const COLUMNS: [&str; 19] = [
    "id",
    "sku",
    "options",
    "name",
    "description",
    "images",
    "image",
    "price",
    "compareAtPrice",
    "currency",
    "prices",
    "isActive",
    "isDeliverable",
    "kind",
    "taxClass",
    "weightGrams",
    "categories",
    "tags",
    "stocked",
];

/// Products of a sheet; all that is wrong is told with its line.
pub(super) fn read(body: &[u8], own: Currency) -> Result<Vec<Product>, Problem> {
    let mut reader = csv::ReaderBuilder::new().from_reader(body);
    let names = reader.headers().map_err(|error| malformed(&error))?.clone();
    let (mut products, mut errors): (Vec<(u64, Product)>, Vec<FieldError>) = (Vec::new(), Vec::new());
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut rows = 0;
    for record in reader.records() {
        let record = record.map_err(|error| malformed(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        rows += 1;
        let cells: Vec<(String, Box<RawValue>)> = (names.iter().zip(&record))
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(name, cell)| (name.trim().to_owned(), value(name.trim(), cell)))
            .collect();
        let given = cells.iter().map(|(name, raw)| (name.clone(), &**raw)).collect();
        let mut fields = Fields::over(format!("line {line}"), given);
        let id = fields.text("id");
        let id = id_in(&mut fields, id);
        let known = places.get(&id).copied();
        if cells.iter().any(|(name, _)| name == "options") {
            let currency = known.map_or(own, |at| products[at].1.currency);
            let variant = variant_in(&mut fields, currency);
            match known {
                Some(at) => products[at].1.variants.push(variant),
                None => {
                    fields.wrong("id", format!("a line of product {id} without `options` is needed before"))
                }
            }
        } else {
            if let Some(at) = known {
                fields.wrong("id", format!("product {id} was in line {} before", products[at].0));
            }
            let product = unchecked(&mut fields, &id, own);
            places.insert(id, products.len());
            products.push((line, product));
        }
        if let Err(problem) = fields.finish() {
            errors.extend(problem.errors);
        }
    }
    if rows > IMPORT_ROWS_MAX {
        return Err(Problem::field("lines", too_many(rows)));
    }
    for (line, product) in &products {
        for (field, why) in product.faults() {
            errors.push(FieldError { field: format!("line {line}.{field}"), why: why.to_owned() });
        }
    }
    if errors.is_empty() {
        Ok(products.into_iter().map(|(_, p)| p).collect())
    } else {
        Err(Problem::fields(errors))
    }
}

fn malformed(error: &csv::Error) -> Problem {
    Problem::new(Code::BadRequest, format!("the body is no CSV in UTF-8: {error}"))
}

/// A cell as JSON. One that is not what its column needs stays a text, and is told as such.
fn value(column: &str, cell: &str) -> Box<RawValue> {
    let value = match column {
        "images" | "categories" | "tags" => {
            Value::from(split(cell, '|').iter().map(|s| plain(s)).collect::<Vec<_>>())
        }
        "options" => {
            let pairs = split(cell, '|').into_iter().map(|pair| {
                let mut parts = split(&pair, '=').into_iter();
                let name = plain(&parts.next().unwrap_or_default());
                (name, Value::from(parts.map(|s| plain(&s)).collect::<Vec<_>>().join("=")))
            });
            Value::Object(pairs.collect())
        }
        "prices" => return prices_of(cell),
        "price" | "compareAtPrice" | "weightGrams" | "isActive" | "isDeliverable" | "stocked" => {
            return bare(cell);
        }
        _ => Value::from(cell),
    };
    to_raw_value(&value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A number or a flag as it stands; anything else as a text.
fn bare(cell: &str) -> Box<RawValue> {
    let raw = RawValue::from_string(cell.to_owned()).ok();
    match raw.filter(|raw| !raw.get().starts_with(['"', '[', '{', 'n'])) {
        Some(raw) => raw,
        None => to_raw_value(cell).unwrap_or_else(|_| RawValue::NULL.to_owned()),
    }
}

/// `EUR=22.99|JPY=3000/3500` as the list that a body has.
fn prices_of(cell: &str) -> Box<RawValue> {
    let prices = split(cell, '|').into_iter().map(|part| {
        let (code, amounts) = part.split_once('=').unwrap_or((&part, ""));
        let (price, before) = amounts.split_once('/').unwrap_or((amounts, ""));
        let given = [("currency", code), ("price", price), ("compareAtPrice", before)].into_iter();
        let fields = given.filter(|(_, text)| !text.trim().is_empty()).map(|(name, text)| {
            let text = text.trim();
            let raw = if name == "currency" { to_raw_value(text).ok() } else { Some(bare(text)) };
            (name, raw.unwrap_or_else(|| RawValue::NULL.to_owned()))
        });
        fields.collect::<BTreeMap<&str, Box<RawValue>>>()
    });
    to_raw_value(&prices.collect::<Vec<_>>()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn prices(prices: &[KeptPrice]) -> String {
    let one = |own: &KeptPrice| {
        let before = own.compare_at_price.as_ref().map_or_else(String::new, |a| format!("/{}", a.as_str()));
        format!("{}={}{before}", own.currency, own.price.as_str())
    };
    prices.iter().map(one).collect::<Vec<_>>().join("|")
}

/// Parts between marks that have no `\` before them; what is escaped stays so.
fn split(cell: &str, mark: char) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for c in cell.chars() {
        if c == mark && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

fn plain(part: &str) -> String {
    let (mut text, mut escaped) = (String::new(), false);
    for c in part.chars() {
        escaped = c == '\\' && !escaped;
        if !escaped {
            text.push(c);
        }
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('|', r"\|").replace('=', r"\=")
}

fn list(texts: &[String]) -> String {
    texts.iter().map(|text| escape(text)).collect::<Vec<_>>().join("|")
}

fn options(options: &BTreeMap<String, String>) -> String {
    let pairs = options.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("|")
}

/// Products as lines, with the names of the columns before the first ones.
pub(super) fn write(products: &[&Product], first: bool) -> Result<Vec<u8>, std::io::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if first {
        writer.write_record(COLUMNS)?;
    }
    let digits =
        |amount: &Option<Amount>| amount.as_ref().map_or_else(String::new, |a| a.as_str().to_owned());
    for product in products {
        let kept = KeptProduct::new(product);
        let kind = serde_json::to_value(kept.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        let line: BTreeMap<&str, String> = BTreeMap::from([
            ("sku", kept.sku),
            ("name", kept.name),
            ("description", kept.description),
            ("images", list(&kept.images)),
            ("price", kept.price.as_str().to_owned()),
            ("compareAtPrice", digits(&kept.compare_at_price)),
            ("prices", prices(&kept.prices)),
            ("currency", kept.currency),
            ("isActive", kept.is_active.to_string()),
            ("isDeliverable", kept.is_deliverable.to_string()),
            ("kind", kind.unwrap_or_default()),
            ("taxClass", kept.tax_class),
            ("weightGrams", kept.weight_grams.to_string()),
            ("categories", list(&kept.categories)),
            ("tags", list(&kept.tags)),
            ("stocked", kept.stocked.to_string()),
        ]);
        let variants = kept.variants.into_iter().map(|variant| {
            BTreeMap::from([
                ("sku", variant.sku),
                ("options", options(&variant.options)),
                ("image", variant.image.unwrap_or_default()),
                ("price", digits(&variant.price)),
                ("prices", prices(&variant.prices)),
                ("compareAtPrice", digits(&variant.compare_at_price)),
                ("isActive", variant.is_active.to_string()),
                ("weightGrams", variant.weight_grams.map_or_else(String::new, |w| w.to_string())),
            ])
        });
        for mut line in std::iter::once(line).chain(variants) {
            line.insert("id", kept.id.clone());
            writer.write_record(COLUMNS.iter().map(|name| line.get(name).map_or("", String::as_str)))?;
        }
    }
    writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd() -> Currency {
        Currency::from_code("USD").unwrap()
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let product: Product = serde_json::from_str(
            r#"{"id": "P", "sku": "S", "name": "A \"shirt\", red", "price": 1999, "currency": "USD", "kind": "digital",
            "description": "two\nlines", "images": ["https://a/b|c"], "tags": ["x=y", "z\\"], "deliverable": false,
            "variants": [{"sku": "S-M", "options": {"size": "M|L", "co=lour": "red"}, "price": 5, "active": false}]}"#,
        )
        .unwrap();
        let text = write(&[&product], true).unwrap();
        let back = read(&text, usd()).unwrap_or_else(|problem| panic!("{:?}", problem.errors));
        assert_eq!(back, [product]);
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_line() {
        let sheet = "id,sku,options,name,price,colour\nP,S,,Shirt,12.345,\nQ,T,size=M,,,\nP,U,,Shirt,1,red\n";
        let told = read(sheet.as_bytes(), usd()).unwrap_err().errors;
        let fields: Vec<&str> = told.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["line 2.price", "line 3.id", "line 4.id", "line 4.colour"], "{told:?}");
    }
}
