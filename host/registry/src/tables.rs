//! Uploaded tables: CSV or JSON becomes an immutable table under its digest.

use std::sync::Arc;

use serde_json::Value;
use till_sandbox::{Table, TableError};
use till_store::tables::lookup::LookupRow;

use crate::{Error, Registry};

/// Content written in one transaction, so that no other writer waits long for a large table.
const PART_BYTES: usize = 1 << 20;

/// How a table is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// A line of names, then one line for each row. The first column is the key. With two columns the second is
    /// the value; with more, the value is a JSON object of the others by name.
    Csv,
    /// An object. A value that is no text is kept as JSON.
    Json,
}

/// Reads a table.
pub fn read_table(format: TableFormat, bytes: &[u8]) -> Result<Table, Error> {
    let made = match format {
        TableFormat::Json => {
            let Rows(rows) = serde_json::from_slice(bytes)
                .map_err(|e| Error::field("table", format!("an object of rows is needed: {e}")))?;
            Table::new(rows)
        }
        TableFormat::Csv => Table::new(csv_rows(bytes)?),
    };
    made.map_err(wrong)
}

/// The members of an object as they are written: a key given twice is there twice, and a number keeps its digits.
struct Rows(Vec<(String, String)>);

impl<'de> serde::Deserialize<'de> for Rows {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Rows, D::Error> {
        struct Members;
        impl<'de> serde::de::Visitor<'de> for Members {
            type Value = Rows;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Rows, A::Error> {
                let mut rows = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &serde_json::value::RawValue>()? {
                    let text = serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned());
                    rows.push((key, text));
                }
                Ok(Rows(rows))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

fn wrong(error: TableError) -> Error {
    Error::field("table", error.to_string())
}

fn csv_rows(bytes: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let broken = |error: csv::Error| Error::field("table", error.to_string());
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let names = reader.headers().map_err(broken)?.clone();
    if names.len() < 2 {
        return Err(Error::field("table", "a first line with the names of at least two columns is needed"));
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(Error::field("table", format!("two columns are named `{twice}`")));
    }
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(broken)? {
        let key = record[0].to_owned();
        let value = if names.len() == 2 {
            record[1].to_owned()
        } else {
            let fields = names.iter().zip(&record).skip(1);
            let object: serde_json::Map<String, Value> =
                fields.map(|(name, field)| (name.to_owned(), Value::from(field))).collect();
            Value::Object(object).to_string()
        };
        rows.push((key, value));
    }
    Ok(rows)
}

impl Registry {
    /// Keeps a table. The same rows are the same table. Gives it as it is listed.
    pub async fn put_table(
        &self,
        merchant: &str,
        table: Table,
        who: &str,
        now_us: i64,
    ) -> Result<LookupRow, Error> {
        let digest = table.digest().to_string();
        if let Some(known) = self.store.read().await?.lookup(merchant, &digest).await? {
            return Ok(known);
        }
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let row = LookupRow {
            digest: digest.clone(),
            rows: count(table.len()),
            bytes: count(table.content().len()),
            parts: count(table.content().chunks(PART_BYTES).len()),
            created_us: now_us,
            created_by: who.to_owned(),
        };
        for (part, content) in table.content().chunks(PART_BYTES).enumerate() {
            let (owner, digest, content) = (merchant.to_owned(), digest.clone(), Arc::new(content.to_vec()));
            self.store
                .transact(move |tx| {
                    let (owner, digest, content) = (owner.clone(), digest.clone(), content.clone());
                    Box::pin(async move { tx.put_lookup_part(&owner, &digest, count(part), &content).await })
                })
                .await?;
        }
        let (owner, kept) = (merchant.to_owned(), row.clone());
        self.store
            .transact(move |tx| {
                let (owner, kept) = (owner.clone(), kept.clone());
                Box::pin(async move { tx.put_lookup(&owner, &kept).await })
            })
            .await?;
        Ok(row)
    }

    /// Tables of a merchant, newest first.
    pub async fn tables(&self, merchant: &str, limit: i64) -> Result<Vec<LookupRow>, Error> {
        Ok(self.store.read().await?.lookups(merchant, limit).await?)
    }

    /// A table by its digest; from memory while a binding uses it.
    pub async fn table(&self, merchant: &str, digest: &str) -> Result<Arc<Table>, Error> {
        let key = (merchant.to_owned(), digest.to_owned());
        let held =
            self.loaded_tables.lock().expect("no holder panics").get(&key).and_then(std::sync::Weak::upgrade);
        if let Some(table) = held {
            return Ok(table);
        }
        let missing = || Error::NotFound { what: "table", id: digest.to_owned() };
        let mut content = Vec::new();
        let row = self.store.read().await?.lookup(merchant, digest).await?.ok_or_else(missing)?;
        for part in 0..row.parts {
            let mut tx = self.store.read().await?;
            content.extend(tx.lookup_part(merchant, digest, part).await?.ok_or_else(missing)?);
        }
        let read = tokio::task::spawn_blocking(move || Table::from_content(content)).await;
        let table = Arc::new(read.map_err(Error::corrupt)?.map_err(Error::corrupt)?);
        let mut all = self.loaded_tables.lock().expect("no holder panics");
        all.retain(|_, table| table.strong_count() > 0);
        all.insert(key, Arc::downgrade(&table));
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_and_json_make_the_same_table() {
        let csv = read_table(TableFormat::Csv, b"code,worth\nA1,5\n\"B,2\",\"say \"\"six\"\"\"\n").unwrap();
        let json = read_table(TableFormat::Json, br#"{"B,2": "say \"six\"", "A1": 5}"#).unwrap();
        assert_eq!(csv, json);
        assert_eq!(csv.get("B,2"), Some("say \"six\""));
    }

    #[test]
    fn several_columns_become_an_object() {
        let table = read_table(TableFormat::Csv, b"zip,rate,name\n94105,83810,SF\n").unwrap();
        let row: Value = serde_json::from_str(table.get("94105").unwrap()).unwrap();
        assert_eq!(row, serde_json::json!({ "rate": "83810", "name": "SF" }));
    }

    #[test]
    fn what_is_no_table_is_named() {
        let why = |format, bytes: &[u8]| read_table(format, bytes).unwrap_err().to_string();
        assert!(
            why(TableFormat::Csv, b"a,b\n1,2\n3\n").contains("line: 3"),
            "{}",
            why(TableFormat::Csv, b"a,b\n1,2\n3\n")
        );
        assert!(why(TableFormat::Csv, b"a,b\n1,2\n1,3\n").contains("`1` is there twice"));
        assert!(why(TableFormat::Csv, b"only\nx\n").contains("at least two columns"));
        assert!(why(TableFormat::Json, b"[1]").contains("an object"));
        assert!(why(TableFormat::Json, br#"{"a": 1, "a": 2}"#).contains("`a` is there twice"));
        assert!(why(TableFormat::Csv, b"a,b,b\n1,2,3\n").contains("two columns"));
        let exact = read_table(TableFormat::Json, br#"{"a": 9.90, "b": 12345678901234567890}"#).unwrap();
        assert_eq!((exact.get("a"), exact.get("b")), (Some("9.90"), Some("12345678901234567890")));
        assert!(why(TableFormat::Csv, b"a,b\n\xff,2\n").contains("UTF-8"));
    }
}
