//! Uploaded tables: CSV or JSON becomes an immutable table under its digest.

use std::sync::Arc;

use serde_json::{Value, json};
use till_engine::step::Event;
use till_sandbox::{TABLE_ROWS_MAX, Table, TableError};
use till_store::tables::lookup::LookupRow;
use uuid::Uuid;

use crate::component::{Hand, PAGE, UNUSED_KEPT_US, used};
use crate::{Error, Registry};

/// Content written in one transaction, so that no other writer waits long for a large table.
const PART_BYTES: usize = 1 << 20;

/// Parts taken away in one transaction, for the same reason.
const PARTS_DROPPED_MAX: i64 = 8;
/// Uploads of one table, each spoilt by a deletion, before the caller is told.
const TRIES_MAX: u32 = 4;
/// How long an upload may rest before its parts are taken away: one day. The longest takes minutes.
pub const UPLOAD_KEPT_US: i64 = 24 * 3_600 * 1_000_000;
/// Time of the last upload of a table that was deleted.
const DELETED_US: i64 = 0;

/// What became of a table that was to be taken away.
enum Taken {
    Gone,
    Nothing,
    /// It is in use there.
    Used(String),
}

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
                    // Before they fill the memory.
                    if rows.len() == TABLE_ROWS_MAX {
                        let error = TableError::TooManyRows { rows: TABLE_ROWS_MAX + 1 };
                        return Err(serde::de::Error::custom(error));
                    }
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
        // Before they fill the memory.
        if rows.len() == TABLE_ROWS_MAX {
            return Err(wrong(TableError::TooManyRows { rows: TABLE_ROWS_MAX + 1 }));
        }
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
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let row = LookupRow {
            digest: table.digest().to_string(),
            rows: count(table.len()),
            bytes: count(table.content().len()),
            parts: count(table.content().chunks(PART_BYTES).len()),
            created_us: now_us,
            created_by: who.to_owned(),
        };
        for _ in 0..TRIES_MAX {
            let (owner, digest) = (merchant.to_owned(), row.digest.clone());
            let begin = self.store.transact(move |tx| {
                let (owner, digest) = (owner.clone(), digest.clone());
                Box::pin(async move { tx.begin_lookup(&owner, &digest, now_us).await })
            });
            if let Some(known) = begin.await? {
                return Ok(known);
            }
            if self.put_parts(merchant, &table, &row).await? {
                return Ok(row);
            }
        }
        Err(till_store::Error::Conflict.into())
    }

    /// Writes a table part by part. False: parts were taken away meanwhile.
    async fn put_parts(&self, merchant: &str, table: &Table, row: &LookupRow) -> Result<bool, Error> {
        for (part, content) in (0..).zip(table.content().chunks(PART_BYTES)) {
            let (owner, digest, at_us) = (merchant.to_owned(), row.digest.clone(), row.created_us);
            let content = Arc::new(content.to_vec());
            let put = self.store.transact(move |tx| {
                let (owner, digest, content) = (owner.clone(), digest.clone(), content.clone());
                Box::pin(async move { tx.put_lookup_part(&owner, &digest, (part, &content), at_us).await })
            });
            put.await?;
        }
        let (owner, kept) = (merchant.to_owned(), row.clone());
        let put = self.store.transact(move |tx| {
            let (owner, kept) = (owner.clone(), kept.clone());
            Box::pin(async move { tx.put_lookup(&owner, &kept).await })
        });
        Ok(put.await?)
    }

    /// Tables of a merchant before a time (epoch microseconds) and digest, newest first.
    pub async fn tables(
        &self,
        merchant: &str,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<LookupRow>, Error> {
        Ok(self.store.read().await?.lookups(merchant, before, limit).await?)
    }

    /// Takes a table away that nothing uses.
    pub async fn delete_table(
        &self,
        merchant: &str,
        digest: &str,
        who: &str,
        now_us: i64,
    ) -> Result<(), Error> {
        let hand = Hand { merchant, who, why: "deleted", now_us };
        match self.take_table(digest, hand).await? {
            Taken::Gone => Ok(()),
            Taken::Nothing => Err(Error::NotFound { what: "table", id: digest.to_owned() }),
            Taken::Used(place) => Err(Error::not_now(format!("the table is in use: {place}"))),
        }
    }

    /// Takes tables away that no slot used, and nobody uploaded, for [`UNUSED_KEPT_US`]. Gives how many.
    pub(crate) async fn collect_tables(&self, now_us: i64) -> Result<usize, Error> {
        let mut collected = 0;
        let mut after = (String::new(), String::new());
        loop {
            let before_us = now_us - UNUSED_KEPT_US;
            let old = self.store.read().await?.old_lookups(before_us, &after, PAGE).await?;
            let Some(last) = old.last() else { return Ok(collected) };
            after = last.clone();
            for (merchant, digest) in old {
                let why = "no slot used it for 30 days";
                let hand = Hand { merchant: &merchant, who: "till", why, now_us };
                if matches!(self.take_table(&digest, hand).await?, Taken::Gone) {
                    collected += 1;
                }
            }
        }
    }

    /// Takes parts of uploads away that came to no table within [`UPLOAD_KEPT_US`]. Gives of how many uploads.
    pub(crate) async fn collect_uploads(&self, now_us: i64) -> Result<usize, Error> {
        let before_us = now_us - UPLOAD_KEPT_US;
        let mut collected = 0;
        let mut after = (String::new(), String::new());
        loop {
            let old = self.store.read().await?.old_uploads(before_us, &after, PAGE).await?;
            let Some(last) = old.last() else { return Ok(collected) };
            after = last.clone();
            for (merchant, digest) in old {
                self.drop_parts(&merchant, &digest, before_us).await?;
                collected += 1;
            }
        }
    }

    async fn take_table(&self, digest: &str, hand: Hand<'_>) -> Result<Taken, Error> {
        // Looked at first without holding anything: most tables are in use, and looking takes a while.
        {
            let mut tx = self.store.read().await?;
            if tx.lookup(hand.merchant, digest).await?.is_none() {
                return Ok(Taken::Nothing);
            }
            let bodies = tx.bodies_with_table(hand.merchant, digest).await?;
            if let Some(place) = used(&mut tx, hand.merchant, bodies).await? {
                return Ok(Taken::Used(place));
            }
        }
        let body = json!({ "table": digest, "who": hand.who, "why": hand.why });
        let event = Event { topic: "table.collected".to_owned(), body };
        let (owner, id, event_id, at_us) =
            (hand.merchant.to_owned(), digest.to_owned(), Uuid::now_v7(), hand.now_us);
        let taken = self.store.transact(move |tx| {
            let (owner, id, event) = (owner.clone(), id.clone(), event.clone());
            Box::pin(async move {
                // Whoever binds the table holds it too: one of us waits for the other and sees what it did.
                if !tx.hold_lookup(&owner, &id).await? {
                    return Ok(Taken::Nothing);
                }
                let bodies = tx.bodies_with_table(&owner, &id).await?;
                if let Some(place) = used(tx, &owner, bodies).await? {
                    return Ok(Taken::Used(place));
                }
                tx.drop_lookup(&owner, &id).await?;
                tx.put_event(&owner, event_id, &event, at_us).await?;
                Ok(Taken::Gone)
            })
        });
        let taken = taken.await?;
        if matches!(taken, Taken::Gone) {
            let key = (hand.merchant.to_owned(), digest.to_owned());
            self.loaded_tables.lock().expect("no holder panics").remove(&key);
            self.drop_parts(hand.merchant, digest, DELETED_US + 1).await?;
        }
        Ok(taken)
    }

    /// Takes the parts of no table away, some at a time. A new upload of the same rows stops it.
    async fn drop_parts(&self, merchant: &str, digest: &str, before_us: i64) -> Result<(), Error> {
        loop {
            let (owner, id) = (merchant.to_owned(), digest.to_owned());
            let drop = self.store.transact(move |tx| {
                let (owner, id) = (owner.clone(), id.clone());
                Box::pin(async move { tx.drop_lookup_parts(&owner, &id, before_us, PARTS_DROPPED_MAX).await })
            });
            if !drop.await? {
                return Ok(());
            }
        }
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
