//! What the host says of itself, on stderr.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Begins to write the log; `RUST_LOG` says how much of it.
pub fn begin(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
