//! `log`: lines for the report of the call.

use crate::bindings::imports::log::{Host, Level};
use crate::state::State;

impl Host for State {
    fn log(&mut self, level: Level, text: String) {
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        self.words().log(level, text);
    }
}
