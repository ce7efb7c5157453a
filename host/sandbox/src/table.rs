//! Tables that a merchant uploads: immutable, sorted, looked up by key.
//!
//! A million rows stay in one piece of memory with an index of 8 bytes a row; a look-up is a binary search.

use crate::Digest;

/// Rows of one table. Price lists and lists of codes have a hundred thousand.
pub const TABLE_ROWS_MAX: usize = 1_000_000;
/// Keys and values of one table together: 128 bytes a row of the largest.
pub const TABLE_BYTES_MAX: usize = 128 << 20;
/// A key: an SKU, a code, a postal code with its country.
pub const TABLE_KEY_BYTES_MAX: usize = 256;
/// A value: a rate, or a small JSON object.
pub const TABLE_VALUE_BYTES_MAX: usize = 16 << 10;

/// An immutable table of texts by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// For each row: length of the key, length of the value (both little endian u32), key, value.
    content: Vec<u8>,
    /// Where each row begins, in the order of the keys' bytes.
    rows: Vec<u32>,
}

/// The rows make no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Too many rows.
    #[error("{rows} rows; at most {TABLE_ROWS_MAX}")]
    TooManyRows {
        /// How many there are.
        rows: usize,
    },
    /// Too large in all.
    #[error("more than {TABLE_BYTES_MAX} bytes of keys and values")]
    TooLarge,
    /// A key or value is too long, or a key is empty.
    #[error("row {row}: its {part} has {bytes} bytes; {expected}")]
    Length {
        /// Counted from 1.
        row: usize,
        /// `key` or `value`.
        part: &'static str,
        /// How many it has.
        bytes: usize,
        /// What is allowed.
        expected: String,
    },
    /// A key is there twice.
    #[error("the key `{key}` is there twice")]
    Twice {
        /// The key.
        key: String,
    },
    /// Stored bytes are damaged.
    #[error("the stored table is damaged")]
    Damaged,
}

impl Table {
    /// A table of these rows, in any order.
    pub fn new(rows: impl IntoIterator<Item = (String, String)>) -> Result<Table, TableError> {
        let mut sorted = Vec::new();
        let mut bytes = 0;
        for (at, (key, value)) in rows.into_iter().enumerate() {
            let length =
                |part, bytes, expected: String| TableError::Length { row: at + 1, part, bytes, expected };
            if key.is_empty() || key.len() > TABLE_KEY_BYTES_MAX {
                return Err(length("key", key.len(), format!("1 to {TABLE_KEY_BYTES_MAX} are allowed")));
            }
            if value.len() > TABLE_VALUE_BYTES_MAX {
                return Err(length(
                    "value",
                    value.len(),
                    format!("at most {TABLE_VALUE_BYTES_MAX} are allowed"),
                ));
            }
            if at >= TABLE_ROWS_MAX {
                return Err(TableError::TooManyRows { rows: at + 1 });
            }
            bytes += key.len() + value.len();
            if bytes > TABLE_BYTES_MAX {
                return Err(TableError::TooLarge);
            }
            sorted.push((key, value));
        }
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(TableError::Twice { key: twice[0].0.clone() });
        }
        let mut content = Vec::with_capacity(bytes + sorted.len() * 8);
        for (key, value) in &sorted {
            // Lengths are below the limits above.
            content.extend_from_slice(&(key.len() as u32).to_le_bytes());
            content.extend_from_slice(&(value.len() as u32).to_le_bytes());
            content.extend_from_slice(key.as_bytes());
            content.extend_from_slice(value.as_bytes());
        }
        Table::from_content(content)
    }

    /// A table as it was stored: the bytes of [`Table::content`].
    pub fn from_content(content: Vec<u8>) -> Result<Table, TableError> {
        let mut rows = Vec::new();
        let mut at = 0;
        while at < content.len() {
            rows.push(u32::try_from(at).map_err(|_| TableError::TooLarge)?);
            let (_, _, end) = row(&content, at).ok_or(TableError::Damaged)?;
            at = end;
        }
        rows.shrink_to_fit();
        Ok(Table { content, rows })
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let find = |at: &u32| row(&self.content, *at as usize).map_or("", |(key, ..)| key).cmp(key);
        let index = self.rows.binary_search_by(find).ok()?;
        row(&self.content, self.rows[index] as usize).map(|(_, value, _)| value)
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// It has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its bytes for storing; the same rows always have the same.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Names the table: SHA-256 of its content.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.content)
    }
}

/// Key and value of the row at `at`, and where the next one begins.
fn row(content: &[u8], at: usize) -> Option<(&str, &str, usize)> {
    let length = |at: usize| {
        let bytes = content.get(at..at + 4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    };
    let (key_len, value_len) = (length(at)?, length(at + 4)?);
    let key = std::str::from_utf8(content.get(at + 8..at + 8 + key_len)?).ok()?;
    let end = at + 8 + key_len + value_len;
    let value = std::str::from_utf8(content.get(at + 8 + key_len..end)?).ok()?;
    Some((key, value, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, &str)]) -> Result<Table, TableError> {
        Table::new(rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn rows_are_found_whatever_their_order_and_have_one_digest() {
        let one = table(&[("b", "2"), ("a", "1"), ("ü", ""), ("ab", "3")]).unwrap();
        let other = table(&[("ü", ""), ("ab", "3"), ("a", "1"), ("b", "2")]).unwrap();
        assert_eq!(one.digest(), other.digest());
        let stored = Table::from_content(one.content().to_vec()).unwrap();
        assert_eq!(stored, one);
        let found = |key| stored.get(key);
        assert_eq!(
            (found("a"), found("ab"), found("b"), found("ü")),
            (Some("1"), Some("3"), Some("2"), Some(""))
        );
        assert_eq!((found("c"), found(""), found("a ")), (None, None, None));
        assert_eq!(Table::new([]).unwrap().get("a"), None);
    }

    #[test]
    fn what_is_too_long_or_twice_there_is_named() {
        assert_eq!(table(&[("a", "1"), ("a", "2")]).unwrap_err().to_string(), "the key `a` is there twice");
        let text = table(&[("a", "1"), ("", "2")]).unwrap_err().to_string();
        assert_eq!(text, "row 2: its key has 0 bytes; 1 to 256 are allowed");
        let long = "k".repeat(TABLE_KEY_BYTES_MAX);
        assert!(table(&[(&long, "1")]).is_ok());
        assert!(table(&[(&(long + "k"), "1")]).is_err());
        let long = "v".repeat(TABLE_VALUE_BYTES_MAX);
        assert!(table(&[("a", &long)]).is_ok());
        assert!(table(&[("a", &(long + "v"))]).is_err());
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let stored = table(&[("a", "1"), ("b", "2")]).unwrap().content().to_vec();
        assert_eq!(Table::from_content(stored[..stored.len() - 1].to_vec()), Err(TableError::Damaged));
        let mut wild = stored;
        wild[0] = 0xff;
        assert_eq!(Table::from_content(wild), Err(TableError::Damaged));
    }
}
