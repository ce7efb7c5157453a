//! Components by digest, and how each came to its state.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// A component as listed.
#[derive(Debug, Clone)]
pub struct ComponentRow {
    /// SHA-256 of the binary, hex.
    pub digest: String,
    /// Slot it was uploaded for.
    pub slot: String,
    /// `uploaded`, `validated`, `compiled`, `ready`, `refused`, `revoked` or `collected`.
    pub state: String,
    /// JSON: what it says of itself; `null` before it was asked.
    pub info: String,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Who uploaded it.
    pub created_by: String,
}

/// A step of a component's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentChangeRow {
    /// Grows with each change.
    pub seq: i64,
    /// The state from then on.
    pub state: String,
    /// Reason or findings.
    pub why: String,
    /// Epoch microseconds.
    pub at_us: i64,
    /// Who did it.
    pub who: String,
}

fn component(row: &Row) -> Result<ComponentRow, StoreError> {
    Ok(ComponentRow {
        digest: row.text(0)?,
        slot: row.text(1)?,
        state: row.text(2)?,
        info: row.text(3)?,
        created_us: row.int(4)?,
        created_by: row.text(5)?,
    })
}

impl Tx {
    /// Keeps a component. False: it is there already.
    pub async fn put_component(
        &mut self,
        merchant: &str,
        row: &ComponentRow,
        wasm: &[u8],
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO component (merchant, digest, slot, state, info, created_us, created_by) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&row.digest),
            P::T(&row.slot),
            P::T(&row.state),
            P::T(&row.info),
            P::I(row.created_us),
            P::T(&row.created_by),
        ];
        let new = self.exec(sql, &params).await? == 1;
        if new {
            self.put_component_wasm(merchant, (&row.digest, &row.slot), wasm).await?;
        }
        Ok(new)
    }

    /// Moves a component on, if it is in the state `from`. False: it is not.
    pub async fn move_component(
        &mut self,
        merchant: &str,
        (digest, slot): (&str, &str),
        from: &str,
        to: &ComponentChangeRow,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE component SET state = $1 WHERE merchant = $2 AND digest = $3 AND slot = $4 AND state = $5";
        let params = [P::T(&to.state), P::T(merchant), P::T(digest), P::T(slot), P::T(from)];
        if self.exec(sql, &params).await? == 0 {
            return Ok(false);
        }
        self.note_component(merchant, (digest, slot), to).await?;
        if to.state == "revoked" {
            self.in_use_changed(merchant).await?;
        }
        Ok(true)
    }

    /// Writes the next step of a component's life down; `to.seq` is not looked at.
    pub async fn note_component(
        &mut self,
        merchant: &str,
        (digest, slot): (&str, &str),
        to: &ComponentChangeRow,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO component_change (merchant, digest, slot, seq, state, why, at_us, who) SELECT $1,$2,$3, COALESCE(MAX(seq), 0) + 1, $4,$5,$6,$7 FROM component_change WHERE merchant = $1 AND digest = $2 AND slot = $3";
        let params = [
            P::T(merchant),
            P::T(digest),
            P::T(slot),
            P::T(&to.state),
            P::T(&to.why),
            P::I(to.at_us),
            P::T(&to.who),
        ];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// What a component says of itself, written when it was asked.
    pub async fn put_component_info(
        &mut self,
        merchant: &str,
        (digest, slot): (&str, &str),
        info: &str,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE component SET info = $1 WHERE merchant = $2 AND digest = $3 AND slot = $4";
        self.exec(sql, &[P::T(info), P::T(merchant), P::T(digest), P::T(slot)]).await.map(|_| ())
    }

    /// Puts the bytes of a component that was refused or collected back, or takes them away (empty).
    pub async fn put_component_wasm(
        &mut self,
        merchant: &str,
        (digest, slot): (&str, &str),
        wasm: &[u8],
    ) -> Result<(), StoreError> {
        if wasm.is_empty() {
            let sql = "DELETE FROM component_wasm WHERE merchant = $1 AND digest = $2 AND slot = $3";
            return self.exec(sql, &[P::T(merchant), P::T(digest), P::T(slot)]).await.map(|_| ());
        }
        let sql = "INSERT INTO component_wasm (merchant, digest, slot, wasm) VALUES ($1,$2,$3,$4) ON CONFLICT DO NOTHING";
        self.exec(sql, &[P::T(merchant), P::T(digest), P::T(slot), P::B(wasm)]).await.map(|_| ())
    }

    /// The binary of a component; none when it is not there or its bytes are gone.
    pub async fn component_wasm(
        &mut self,
        merchant: &str,
        digest: &str,
        slot: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT wasm FROM component_wasm WHERE merchant = $1 AND digest = $2 AND slot = $3";
        let row = self.row(sql, &[P::T(merchant), P::T(digest), P::T(slot)]).await?;
        row.map(|r| r.bytes(0)).transpose()
    }

    /// One component.
    pub async fn component(
        &mut self,
        merchant: &str,
        digest: &str,
        slot: &str,
    ) -> Result<Option<ComponentRow>, StoreError> {
        let sql = "SELECT digest, slot, state, info, created_us, created_by FROM component WHERE merchant = $1 AND digest = $2 AND slot = $3";
        let row = self.row(sql, &[P::T(merchant), P::T(digest), P::T(slot)]).await?;
        row.as_ref().map(component).transpose()
    }

    /// A component under all slots it was uploaded for.
    pub async fn component_slots(
        &mut self,
        merchant: &str,
        digest: &str,
    ) -> Result<Vec<ComponentRow>, StoreError> {
        let sql = "SELECT digest, slot, state, info, created_us, created_by FROM component WHERE merchant = $1 AND digest = $2 ORDER BY slot";
        self.rows(sql, &[P::T(merchant), P::T(digest)]).await?.iter().map(component).collect()
    }

    /// Components of a merchant before a time, digest and slot, newest first.
    pub async fn components(
        &mut self,
        merchant: &str,
        (at_us, digest, slot): (i64, &str, &str),
        limit: i64,
    ) -> Result<Vec<ComponentRow>, StoreError> {
        let sql = "SELECT digest, slot, state, info, created_us, created_by FROM component WHERE merchant = $1 AND (created_us, digest, slot) < ($2, $3, $4) ORDER BY created_us DESC, digest DESC, slot DESC LIMIT $5";
        let params = [P::T(merchant), P::I(at_us), P::T(digest), P::T(slot), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(component).collect()
    }

    /// The life of a component after a step, oldest first.
    pub async fn component_changes(
        &mut self,
        merchant: &str,
        digest: &str,
        slot: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<ComponentChangeRow>, StoreError> {
        let sql = "SELECT seq, state, why, at_us, who FROM component_change WHERE merchant = $1 AND digest = $2 AND slot = $3 AND seq > $4 ORDER BY seq LIMIT $5";
        let params = [P::T(merchant), P::T(digest), P::T(slot), P::I(after), P::I(limit)];
        let rows = self.rows(sql, &params).await?;
        rows.iter()
            .map(|row| {
                Ok(ComponentChangeRow {
                    seq: row.int(0)?,
                    state: row.text(1)?,
                    why: row.text(2)?,
                    at_us: row.int(3)?,
                    who: row.text(4)?,
                })
            })
            .collect()
    }

    /// Digests of a merchant's revoked components.
    pub async fn revoked(&mut self, merchant: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT digest FROM component WHERE merchant = $1 AND state = 'revoked'";
        self.rows(sql, &[P::T(merchant)]).await?.iter().map(|row| row.text(0)).collect()
    }

    /// Components that keep bytes and were made before a time, as `(merchant, digest, slot)` in that order, after
    /// the one given.
    pub async fn old_components(
        &mut self,
        before_us: i64,
        (merchant, digest, slot): &(String, String, String),
        limit: i64,
    ) -> Result<Vec<(String, String, String)>, StoreError> {
        let sql = "SELECT merchant, digest, slot FROM component WHERE created_us < $1 AND state IN ('uploaded', 'validated', 'compiled', 'ready') AND (merchant, digest, slot) > ($2, $3, $4) ORDER BY merchant, digest, slot LIMIT $5";
        let params = [P::I(before_us), P::T(merchant), P::T(digest), P::T(slot), P::I(limit)];
        let rows = self.rows(sql, &params).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?, row.text(2)?))).collect()
    }

    /// State of a component; until this transaction ends no other one changes it. None: it is not there.
    pub async fn hold_component(
        &mut self,
        merchant: &str,
        digest: &str,
        slot: &str,
    ) -> Result<Option<String>, StoreError> {
        // Written as it is: on PostgreSQL a row that was only read may be another one at the commit.
        let sql = "UPDATE component SET state = state WHERE merchant = $1 AND digest = $2 AND slot = $3 RETURNING state";
        let row = self.row(sql, &[P::T(merchant), P::T(digest), P::T(slot)]).await?;
        row.map(|row| row.text(0)).transpose()
    }

    /// How many instances that have not ended pin one of these bindings.
    pub async fn pinned_by(&mut self, merchant: &str, bindings: &[String]) -> Result<i64, StoreError> {
        // Instances that have ended have no claim row.
        let sql = "SELECT COUNT(*) FROM wf_ready r JOIN wf_instance i ON i.merchant = r.merchant AND i.uid = r.uid WHERE r.merchant = $1 AND i.pins LIKE $2";
        let mut count = 0;
        for digest in bindings {
            let like = format!("%{digest}%");
            let params = [P::T(merchant), P::T(&like)];
            count += self.row(sql, &params).await?.map_or(Ok(0), |row| row.int(0))?;
        }
        Ok(count)
    }
}
