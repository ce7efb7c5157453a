//! `tables`: look-ups in what the merchant uploaded.

use crate::bindings::imports::tables::{Host, TablesError};
use crate::state::State;

/// Keys of one look-up. A cart has at most 500 lines.
const KEYS_MAX: usize = 10_000;

impl Host for State {
    fn lookup(&mut self, table: String, key: String) -> Option<String> {
        self.binding.tables.get(&table)?.get(&key).map(str::to_owned)
    }

    fn lookup_many(&mut self, table: String, keys: Vec<String>) -> Result<Vec<Option<String>>, TablesError> {
        if keys.len() > KEYS_MAX {
            return Err(TablesError::TooManyKeys);
        }
        let table = self.binding.tables.get(&table);
        let found: Vec<Option<&str>> = keys.iter().map(|key| table?.get(key)).collect();
        // Counted before anything is copied: one key may be asked for again and again.
        let bytes: usize = found.iter().flatten().map(|value| value.len()).sum();
        if bytes as u64 > self.answer_bytes_max {
            return Err(TablesError::AnswerTooLarge);
        }
        Ok(found.into_iter().map(|value| value.map(str::to_owned)).collect())
    }
}
