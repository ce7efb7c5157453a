//! What merchants and integrators take out of live checkouts: records for backtests, questions for fixtures.

use till_engine::instance::Status;
use till_sandbox::Slot;
use uuid::Uuid;

use super::{CHECKOUT, Shop, ShopError};
use crate::ask::{Asked, Asker, Tap};
use crate::trial::{Recorded, lineup};

impl Shop {
    /// Confirmed checkouts before the uid `before`, newest first, without personal data. Also gives where to read
    /// on; none at the end.
    pub async fn recorded(
        &self,
        merchant: &str,
        before: Uuid,
        limit: i64,
    ) -> Result<(Vec<Recorded>, Option<Uuid>), ShopError> {
        let status = Some(Status::Completed);
        let found = self.store.instances(merchant, CHECKOUT, "", status, before, limit).await?;
        let full = i64::try_from(found.len()).is_ok_and(|n| n >= limit);
        let next = found.last().filter(|_| full).map(|instance| instance.uid);
        let confirmed = found.iter().filter(|instance| instance.state == "confirmed");
        Ok((confirmed.filter_map(Recorded::of).collect(), next))
    }

    /// What the components of a place are asked for a session and answer, now, from the session's own inputs
    /// without personal data. Nothing of the session changes.
    pub async fn questions(
        &self,
        merchant: &str,
        session: &str,
        slot: Slot,
        name: &str,
    ) -> Result<Vec<Asked>, ShopError> {
        let missing = || ShopError::NotFound { what: "checkout session", id: session.to_owned() };
        let found = self.runner.find(merchant, CHECKOUT, session).await?.ok_or_else(missing)?;
        let record = Recorded::of(&found.instance).ok_or_else(|| ShopError::Refused {
            why: "the session has no quote yet; give it what it needs first".to_owned(),
        })?;
        let lineup = lineup(&self.registry, merchant, &record.pins, &record.quote).await?;
        let tap = Tap::default();
        let asker = Asker {
            sandbox: self.registry.sandbox(),
            registry: None,
            context: record.context(),
            background: true,
            tap: Some(&tap),
        };
        if let Err(fault) = asker.quote(&lineup, &record.settings, &record.inputs).await {
            tracing::info!(merchant, session, %fault, "what is recorded ends with a failure");
        }
        Ok(tap.take().into_iter().filter(|asked| asked.slot == slot && asked.name == name).collect())
    }
}
