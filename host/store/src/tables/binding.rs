//! What each slot of a merchant uses, revision by revision.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// A revision of a binding: what the slot uses from then on, as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingRow {
    /// Slot.
    pub slot: String,
    /// Position in an ordered slot, or the payment method.
    pub name: String,
    /// Grows with each change.
    pub revision: i64,
    /// What was done.
    pub act: String,
    /// Revision that the active content was first used with.
    pub origin: i64,
    /// Digest of the active binding. Empty: the slot is not in use from here on.
    pub digest: String,
    /// JSON: the shadow or canary beside it; empty for none.
    pub trial: String,
    /// Reason given by who did it.
    pub why: String,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Who made it.
    pub created_by: String,
}

/// The immutable content of a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyRow {
    /// Names it; pinned by instances.
    pub digest: String,
    /// Slot.
    pub slot: String,
    /// Name within the slot.
    pub name: String,
    /// Digest of the component.
    pub component: String,
    /// JSON.
    pub body: String,
}

fn binding(row: &Row) -> Result<BindingRow, StoreError> {
    Ok(BindingRow {
        slot: row.text(0)?,
        name: row.text(1)?,
        revision: row.int(2)?,
        act: row.text(3)?,
        origin: row.int(4)?,
        digest: row.text(5)?,
        trial: row.text(6)?,
        why: row.text(7)?,
        created_us: row.int(8)?,
        created_by: row.text(9)?,
    })
}

fn body(row: &Row) -> Result<BodyRow, StoreError> {
    Ok(BodyRow {
        digest: row.text(0)?,
        slot: row.text(1)?,
        name: row.text(2)?,
        component: row.text(3)?,
        body: row.text(4)?,
    })
}

impl Tx {
    /// Keeps the content of a binding under its digest.
    pub async fn put_body(&mut self, merchant: &str, row: &BodyRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO binding_body (merchant, digest, slot, name, component, body) VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&row.digest),
            P::T(&row.slot),
            P::T(&row.name),
            P::T(&row.component),
            P::T(&row.body),
        ];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// The content of a binding by its digest.
    pub async fn body(&mut self, merchant: &str, digest: &str) -> Result<Option<BodyRow>, StoreError> {
        let sql = "SELECT digest, slot, name, component, body FROM binding_body WHERE merchant = $1 AND digest = $2";
        let row = self.row(sql, &[P::T(merchant), P::T(digest)]).await?;
        row.as_ref().map(body).transpose()
    }

    /// Contents that use a component.
    pub async fn bodies_of(&mut self, merchant: &str, component: &str) -> Result<Vec<BodyRow>, StoreError> {
        let sql = "SELECT digest, slot, name, component, body FROM binding_body WHERE merchant = $1 AND component = $2";
        let rows = self.rows(sql, &[P::T(merchant), P::T(component)]).await?;
        rows.iter().map(body).collect()
    }

    /// Contents that fall back on another one.
    pub async fn bodies_that_fall_back_on(
        &mut self,
        merchant: &str,
        digest: &str,
    ) -> Result<Vec<BodyRow>, StoreError> {
        let sql = "SELECT digest, slot, name, component, body FROM binding_body WHERE merchant = $1 AND body LIKE $2";
        let like = format!("%\"fallback\":\"{digest}\"%");
        self.rows(sql, &[P::T(merchant), P::T(&like)]).await?.iter().map(body).collect()
    }

    /// Contents that use a table.
    pub async fn bodies_with_table(
        &mut self,
        merchant: &str,
        table: &str,
    ) -> Result<Vec<BodyRow>, StoreError> {
        let sql = "SELECT digest, slot, name, component, body FROM binding_body WHERE merchant = $1 AND body LIKE $2";
        let like = format!("%\"{table}\"%");
        self.rows(sql, &[P::T(merchant), P::T(&like)]).await?.iter().map(body).collect()
    }

    /// Writes the next revision of a binding. False: `row.revision` is taken; read again.
    pub async fn put_binding(&mut self, merchant: &str, row: &BindingRow) -> Result<bool, StoreError> {
        let sql = "INSERT INTO binding (merchant, slot, name, revision, act, origin, digest, trial, why, created_us, created_by) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&row.slot),
            P::T(&row.name),
            P::I(row.revision),
            P::T(&row.act),
            P::I(row.origin),
            P::T(&row.digest),
            P::T(&row.trial),
            P::T(&row.why),
            P::I(row.created_us),
            P::T(&row.created_by),
        ];
        let written = self.exec(sql, &params).await? == 1;
        if written {
            self.in_use_changed(merchant).await?;
        }
        Ok(written)
    }

    /// Says that a merchant has something else in use: a binding, a revocation or a secret. Whoever reads the new
    /// version reads the change too, for both are in one commit, and such commits of a merchant come one by one.
    pub(crate) async fn in_use_changed(&mut self, merchant: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO in_use (merchant, version) VALUES ($1, 1) ON CONFLICT (merchant) DO UPDATE SET version = in_use.version + 1";
        self.exec(sql, &[P::T(merchant)]).await.map(|_| ())
    }

    /// Grows with every change of what a merchant has in use.
    pub async fn in_use_version(&mut self, merchant: &str) -> Result<i64, StoreError> {
        let sql = "SELECT version FROM in_use WHERE merchant = $1";
        self.row(sql, &[P::T(merchant)]).await?.map_or(Ok(0), |row| row.int(0))
    }

    /// The newest revision of the bindings in use after a slot and name, in this order.
    pub async fn bindings_after(
        &mut self,
        merchant: &str,
        (slot, name): (&str, &str),
        limit: i64,
    ) -> Result<Vec<BindingRow>, StoreError> {
        let sql = "SELECT slot, name, revision, act, origin, digest, trial, why, created_us, created_by FROM binding b WHERE merchant = $1 AND (slot, name) > ($2, $3) AND revision = (SELECT MAX(revision) FROM binding n WHERE n.merchant = b.merchant AND n.slot = b.slot AND n.name = b.name) AND (digest <> '' OR trial <> '') ORDER BY slot, name LIMIT $4";
        let params = [P::T(merchant), P::T(slot), P::T(name), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(binding).collect()
    }

    /// The newest revision of every binding of a merchant.
    pub async fn bindings(&mut self, merchant: &str) -> Result<Vec<BindingRow>, StoreError> {
        let sql = "SELECT slot, name, revision, act, origin, digest, trial, why, created_us, created_by FROM binding b WHERE merchant = $1 AND revision = (SELECT MAX(revision) FROM binding n WHERE n.merchant = b.merchant AND n.slot = b.slot AND n.name = b.name) ORDER BY slot, name";
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
        let sql = "SELECT slot, name, revision, act, origin, digest, trial, why, created_us, created_by FROM binding WHERE merchant = $1 AND slot = $2 AND name = $3 AND revision < $4 ORDER BY revision DESC LIMIT $5";
        let params = [P::T(merchant), P::T(slot), P::T(name), P::I(before), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(binding).collect()
    }
}
