//! Shadows: what a component on trial would have made of live checkouts, off the shopper's path.
//!
//! After a quote is made its inputs go into a queue; whoever waits for the quote does not wait for this. The
//! component's calls run when no shopper's call does. When the queue is full a comparison is left out and counted.

use std::sync::Arc;

use serde_json::Value;
use till_registry::{Difference as DifferenceRow, Registry};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Difference, compare, lineup, seat, stage_of};
use crate::ask::{self, Asker};
use crate::quote::{Inputs, Quote};
use crate::settings::Settings;

/// Comparisons that may wait. Each holds a quote of some 10 kB.
const WAITING_MAX: usize = 512;

/// A quote that was made, to be compared.
pub(crate) struct Made {
    pub(crate) merchant: String,
    pub(crate) uid: String,
    pub(crate) settings: Settings,
    pub(crate) inputs: Inputs,
    pub(crate) quote: Quote,
    pub(crate) pins: Value,
    pub(crate) now_us: i64,
}

/// The queue of comparisons. Its worker ends with the last of its owners.
pub struct Shadows {
    made: mpsc::Sender<Made>,
    registry: Arc<Registry>,
}

impl Shadows {
    /// A queue with its worker on this runtime.
    pub fn start(registry: Arc<Registry>) -> Arc<Shadows> {
        let (made, mut next) = mpsc::channel::<Made>(WAITING_MAX);
        let looking = registry.clone();
        tokio::spawn(async move {
            while let Some(made) = next.recv().await {
                if let Err(error) = look(&looking, &made).await {
                    tracing::warn!(merchant = made.merchant, %error, "compare a shadow");
                }
            }
        });
        Arc::new(Shadows { made, registry })
    }

    /// Hands a quote over. Does not wait.
    pub(crate) fn compare(&self, made: Made) {
        if self.made.try_send(made).is_err() {
            self.registry.leave_out();
        }
    }
}

/// Prices the same inputs with each shadow in its place, and records what differs.
async fn look(registry: &Registry, made: &Made) -> Result<(), till_registry::Error> {
    let merchant = made.merchant.as_str();
    for (key, slot, digest) in registry.shadows(merchant).await? {
        let Some(stage) = stage_of(slot) else { continue };
        let mut lineup = lineup(registry, merchant, &made.pins, &made.quote).await?;
        let bound = match registry.bound(merchant, &digest).await {
            Err(till_registry::Error::Revoked { .. }) => continue,
            bound => bound?,
        };
        seat(&mut lineup, slot, bound);
        let asker = Asker {
            sandbox: registry.sandbox(),
            registry: Some(registry),
            context: ask::context(merchant, &made.uid, &made.settings, made.inputs.now_ms),
            background: true,
            tap: None,
        };
        let difference = match asker.go_on(stage, &lineup, &made.inputs, made.quote.clone()).await {
            Ok(after) => compare(&made.quote, &after),
            Err(fault) => Some(Difference::failed(&made.quote, fault.to_string())),
        };
        let delta = difference.as_ref().map_or(0, Difference::delta);
        let row = difference.map(|difference| DifferenceRow {
            uid: made.uid.parse().unwrap_or(Uuid::nil()),
            at_us: made.now_us,
            body: serde_json::to_value(difference).unwrap_or_default(),
        });
        registry.count_comparison(merchant, &key, delta, row).await?;
    }
    Ok(())
}
