//! Components by digest, and what each slot of a merchant uses.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// A component as listed.
#[derive(Debug, Clone)]
pub struct ComponentRow {
    /// SHA-256 of the binary, hex.
    pub digest: String,
    /// Slot it was accepted for.
    pub slot: String,
    /// JSON: what it says of itself.
    pub info: String,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Who uploaded it.
    pub created_by: String,
}

/// A binding of a slot.
#[derive(Debug, Clone)]
pub struct BindingRow {
    /// Slot.
    pub slot: String,
    /// Position in an ordered slot, or the payment method.
    pub name: String,
    /// Grows with each change.
    pub revision: i64,
    /// What was done: `push`, `rollback` or `retire`.
    pub act: String,
    /// Revision that its content was pushed with.
    pub origin: i64,
    /// Of the binding as a whole; pinned by instances. Empty: the slot is not in use from here on.
    pub digest: String,
    /// JSON; empty where the digest is.
    pub body: String,
    /// Reason given by who did it.
    pub why: String,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Who made it.
    pub created_by: String,
}

fn binding(row: &Row) -> Result<BindingRow, StoreError> {
    Ok(BindingRow {
        slot: row.text(0)?,
        name: row.text(1)?,
        revision: row.int(2)?,
        act: row.text(3)?,
        origin: row.int(4)?,
        digest: row.text(5)?,
        body: row.text(6)?,
        why: row.text(7)?,
        created_us: row.int(8)?,
        created_by: row.text(9)?,
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
        let sql = "INSERT INTO component (merchant, digest, slot, info, wasm, created_us, created_by) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&row.digest),
            P::T(&row.slot),
            P::T(&row.info),
            P::B(wasm),
            P::I(row.created_us),
            P::T(&row.created_by),
        ];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// The binary of a component.
    pub async fn component_wasm(
        &mut self,
        merchant: &str,
        digest: &str,
        slot: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT wasm FROM component WHERE merchant = $1 AND digest = $2 AND slot = $3";
        self.row(sql, &[P::T(merchant), P::T(digest), P::T(slot)]).await?.map(|r| r.bytes(0)).transpose()
    }

    /// Components of a merchant, newest first.
    pub async fn components(&mut self, merchant: &str, limit: i64) -> Result<Vec<ComponentRow>, StoreError> {
        let sql = "SELECT digest, slot, info, created_us, created_by FROM component WHERE merchant = $1 ORDER BY created_us DESC, digest LIMIT $2";
        let rows = self.rows(sql, &[P::T(merchant), P::I(limit)]).await?;
        rows.iter()
            .map(|r| {
                Ok(ComponentRow {
                    digest: r.text(0)?,
                    slot: r.text(1)?,
                    info: r.text(2)?,
                    created_us: r.int(3)?,
                    created_by: r.text(4)?,
                })
            })
            .collect()
    }

    /// Writes the next revision of a binding. False: `row.revision` is taken; read again.
    pub async fn put_binding(&mut self, merchant: &str, row: &BindingRow) -> Result<bool, StoreError> {
        let sql = "INSERT INTO binding (merchant, slot, name, revision, act, origin, digest, body, why, created_us, created_by) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&row.slot),
            P::T(&row.name),
            P::I(row.revision),
            P::T(&row.act),
            P::I(row.origin),
            P::T(&row.digest),
            P::T(&row.body),
            P::T(&row.why),
            P::I(row.created_us),
            P::T(&row.created_by),
        ];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// The newest revision of every binding of a merchant.
    pub async fn bindings(&mut self, merchant: &str) -> Result<Vec<BindingRow>, StoreError> {
        let sql = "SELECT slot, name, revision, act, origin, digest, body, why, created_us, created_by FROM binding b WHERE merchant = $1 AND revision = (SELECT MAX(revision) FROM binding n WHERE n.merchant = b.merchant AND n.slot = b.slot AND n.name = b.name) ORDER BY slot, name";
        let rows = self.rows(sql, &[P::T(merchant)]).await?;
        rows.iter().map(binding).collect()
    }

    /// Revisions of one binding before `before`, newest first.
    pub async fn binding_history(
        &mut self,
        merchant: &str,
        slot: &str,
        name: &str,
        before: i64,
        limit: i64,
    ) -> Result<Vec<BindingRow>, StoreError> {
        let sql = "SELECT slot, name, revision, act, origin, digest, body, why, created_us, created_by FROM binding WHERE merchant = $1 AND slot = $2 AND name = $3 AND revision < $4 ORDER BY revision DESC LIMIT $5";
        let params = [P::T(merchant), P::T(slot), P::T(name), P::I(before), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(binding).collect()
    }

    /// A binding by its digest, whatever its revision.
    pub async fn binding_of(
        &mut self,
        merchant: &str,
        digest: &str,
    ) -> Result<Option<BindingRow>, StoreError> {
        let sql = "SELECT slot, name, revision, act, origin, digest, body, why, created_us, created_by FROM binding WHERE merchant = $1 AND digest = $2 ORDER BY revision DESC LIMIT 1";
        let row = self.row(sql, &[P::T(merchant), P::T(digest)]).await?;
        row.as_ref().map(binding).transpose()
    }
}
