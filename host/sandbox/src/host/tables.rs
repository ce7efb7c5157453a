//! `tables`: look-ups in what the merchant uploaded.

use crate::bindings::imports::tables::Host;
use crate::state::State;

impl Host for State {
    fn lookup(&mut self, table: String, key: String) -> Option<String> {
        self.binding.tables.get(&table)?.get(&key).map(str::to_owned)
    }
}
