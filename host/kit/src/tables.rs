//! Tables of a fixture: inline, or in a file beside it.

use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use till_sandbox::Binding;

/// Longest table file, bytes. A hundred thousand prices fit.
const BYTES_MAX: u64 = 16 << 20;

/// A table as a fixture gives it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a table is an object of texts, or the name of a .json or .csv file")]
pub enum Table {
    /// Keys and values.
    Rows(BTreeMap<String, String>),
    /// A file, relative to the fixture: an object of texts in JSON, or CSV with the columns key and value.
    File(PathBuf),
}

/// A table cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("table `{table}`: {}: {why}", path.display())]
pub struct TableError {
    /// Its name.
    pub table: String,
    /// Its file.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub why: String,
}

/// Reads the tables and puts them into a binding. The only place that knows how a binding holds them.
pub fn put(tables: &BTreeMap<String, Table>, folder: &Path, binding: &mut Binding) -> Result<(), TableError> {
    for (name, table) in tables {
        let rows = match table {
            Table::Rows(rows) => rows.clone(),
            Table::File(file) => {
                let path = folder.join(file);
                read(&path).map_err(|why| TableError { table: name.clone(), path, why })?
            }
        };
        binding.tables.insert(name.clone(), Arc::new(rows.into_iter().collect::<HashMap<_, _>>()));
    }
    Ok(())
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > BYTES_MAX {
        return Err(format!(
            "it has {size} bytes, at most {BYTES_MAX} are read: keep the rows the case needs"
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => serde_json::from_str(&text)
            .map_err(|error| format!("{error}; write an object whose values are texts")),
        Some("csv") => comma_separated(&text),
        _ => Err("the name must end in .json or .csv".to_owned()),
    }
}

/// Two columns; a first row `key,value` is a heading.
fn comma_separated(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut rows = BTreeMap::new();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    for (number, row) in reader.records().enumerate() {
        let row = row.map_err(|error| error.to_string())?;
        let (Some(key), Some(value), 2) = (row.get(0), row.get(1), row.len()) else {
            let columns = row.len();
            return Err(format!("row {} has {columns} columns: write a key and a value", number + 1));
        };
        if number == 0 && (key, value) == ("key", "value") {
            continue;
        }
        if rows.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("row {} has the key `{key}` again: a key has one value", number + 1));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_table_has_keys_and_values() {
        let rows = comma_separated("key,value\nUSD/A,700\n\"USD/B\",\"{\"\"unit_price\"\":600}\"\n").unwrap();
        assert_eq!(rows["USD/A"], "700");
        assert_eq!(rows["USD/B"], r#"{"unit_price":600}"#);
        assert!(comma_separated("a,1\na,2\n").unwrap_err().contains("row 2 has the key `a` again"));
        assert!(comma_separated("a,1,2\n").unwrap_err().contains("row 1 has 3 columns"));
    }

    #[test]
    fn a_table_may_be_inline_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t.json"), r#"{"k": "v"}"#).unwrap();
        let tables: BTreeMap<String, Table> =
            serde_json::from_str(r#"{"a": {"x": "1"}, "b": "t.json"}"#).unwrap();
        let mut binding = Binding::default();
        put(&tables, folder.path(), &mut binding).unwrap();
        assert_eq!(binding.tables.len(), 2);
        let tables = serde_json::from_str(r#"{"b": "none.csv"}"#).unwrap();
        let told = put(&tables, folder.path(), &mut binding).unwrap_err().to_string();
        assert!(told.starts_with("table `b`") && told.contains("none.csv"), "{told}");
    }
}
