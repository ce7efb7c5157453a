//! Who of a merchant may do what, and who did: API keys, roles, the audit log.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// A key of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Id, in all merchants.
    pub id: String,
    /// Whose it is.
    pub merchant: String,
    /// For people.
    pub name: String,
    /// SHA-256 of the secret part, hexadecimal.
    pub hash: String,
    /// A JSON list.
    pub scopes: String,
    /// A JSON list.
    pub roles: String,
    /// Who made it.
    pub who: String,
    /// When, epoch microseconds.
    pub created_us: i64,
    /// Not valid from then on, epoch microseconds.
    pub expires_us: Option<i64>,
    /// Not valid since then, epoch microseconds.
    pub revoked_us: Option<i64>,
    /// Last used, within some minutes, epoch microseconds.
    pub used_us: Option<i64>,
}

/// A merchant's own role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRow {
    /// Name.
    pub name: String,
    /// For people.
    pub description: String,
    /// A JSON list.
    pub scopes: String,
}

/// A command that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Id.
    pub id: String,
    /// When, epoch microseconds.
    pub at_us: i64,
    /// Person or key.
    pub actor: String,
    /// HTTP method.
    pub method: String,
    /// Path with the names of what varies.
    pub route: String,
    /// Path.
    pub path: String,
    /// Id of the request.
    pub request: String,
    /// Of the answer; none: the host ended before it, or is at it.
    pub status: Option<i64>,
}

/// Which commands are wanted; empty texts want all.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditFilter<'a> {
    /// Person or key.
    pub actor: &'a str,
    /// Beginning of the path.
    pub path: &'a str,
    /// From then on, epoch microseconds.
    pub from_us: i64,
}

macro_rules! keys {
    ($rest:literal) => {
        concat!(
            "SELECT id, merchant, name, hash, scopes, roles, who, created_us, expires_us, revoked_us, used_us FROM api_key ",
            $rest
        )
    };
}

fn key(row: &Row) -> Result<ApiKeyRow, StoreError> {
    Ok(ApiKeyRow {
        id: row.text(0)?,
        merchant: row.text(1)?,
        name: row.text(2)?,
        hash: row.text(3)?,
        scopes: row.text(4)?,
        roles: row.text(5)?,
        who: row.text(6)?,
        created_us: row.int(7)?,
        expires_us: row.maybe_int(8)?,
        revoked_us: row.maybe_int(9)?,
        used_us: row.maybe_int(10)?,
    })
}

macro_rules! audits {
    ($of:literal) => {
        concat!(
            "SELECT id, at_us, actor, method, route, path, request, status FROM audit WHERE merchant = $1 AND (at_us < $2 OR (at_us = $2 AND id < $3)) AND at_us >= $4 AND SUBSTR(path, 1, LENGTH($5)) = $5 ",
            $of,
            "ORDER BY at_us DESC, id DESC LIMIT $6"
        )
    };
}

fn audit(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.text(0)?,
        at_us: row.int(1)?,
        actor: row.text(2)?,
        method: row.text(3)?,
        route: row.text(4)?,
        path: row.text(5)?,
        request: row.text(6)?,
        status: row.maybe_int(7)?,
    })
}

impl Tx {
    /// Keeps a new key.
    pub async fn put_api_key(&mut self, row: &ApiKeyRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO api_key (id, merchant, name, hash, scopes, roles, who, created_us, expires_us, revoked_us, used_us) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,NULL,NULL)";
        let params = [
            P::T(&row.id),
            P::T(&row.merchant),
            P::T(&row.name),
            P::T(&row.hash),
            P::T(&row.scopes),
            P::T(&row.roles),
            P::T(&row.who),
            P::I(row.created_us),
            P::OI(row.expires_us),
        ];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// A key, of whatever merchant.
    pub async fn api_key(&mut self, id: &str) -> Result<Option<ApiKeyRow>, StoreError> {
        let row = self.row(keys!("WHERE id = $1"), &[P::T(id)]).await?;
        row.as_ref().map(key).transpose()
    }

    /// Keys of a merchant before a place in the list, newest first.
    pub async fn api_keys(
        &mut self,
        merchant: &str,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        let sql = keys!(
            "WHERE merchant = $1 AND (created_us < $2 OR (created_us = $2 AND id < $3)) ORDER BY created_us DESC, id DESC LIMIT $4"
        );
        let params = [P::T(merchant), P::I(before.0), P::T(before.1), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(key).collect()
    }

    /// How many keys of a merchant are neither revoked nor past their time.
    pub async fn api_keys_alive(&mut self, merchant: &str, now_us: i64) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) FROM api_key WHERE merchant = $1 AND revoked_us IS NULL AND (expires_us IS NULL OR expires_us > $2)";
        let row = self.row(sql, &[P::T(merchant), P::I(now_us)]).await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// Takes a key out of use. False: the merchant has none of this id. One that was revoked stays as it was.
    pub async fn revoke_api_key(&mut self, merchant: &str, id: &str, at_us: i64) -> Result<bool, StoreError> {
        let sql = "UPDATE api_key SET revoked_us = COALESCE(revoked_us, $1) WHERE merchant = $2 AND id = $3";
        Ok(self.exec(sql, &[P::I(at_us), P::T(merchant), P::T(id)]).await? == 1)
    }

    /// Notes that a key was used.
    pub async fn use_api_key(&mut self, id: &str, at_us: i64) -> Result<(), StoreError> {
        let sql = "UPDATE api_key SET used_us = $1 WHERE id = $2 AND (used_us IS NULL OR used_us < $1)";
        self.exec(sql, &[P::I(at_us), P::T(id)]).await.map(|_| ())
    }

    /// Makes a role or replaces it.
    pub async fn put_role(&mut self, merchant: &str, row: &RoleRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO role (merchant, name, description, scopes) VALUES ($1,$2,$3,$4) ON CONFLICT (merchant, name) DO UPDATE SET description = excluded.description, scopes = excluded.scopes";
        let params = [P::T(merchant), P::T(&row.name), P::T(&row.description), P::T(&row.scopes)];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// Own roles of a merchant, by name.
    pub async fn roles(&mut self, merchant: &str) -> Result<Vec<RoleRow>, StoreError> {
        let sql = "SELECT name, description, scopes FROM role WHERE merchant = $1 ORDER BY name";
        let rows = self.rows(sql, &[P::T(merchant)]).await?;
        let role =
            |row: &Row| Ok(RoleRow { name: row.text(0)?, description: row.text(1)?, scopes: row.text(2)? });
        rows.iter().map(role).collect()
    }

    /// Takes a role away. False: there is none.
    pub async fn drop_role(&mut self, merchant: &str, name: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM role WHERE merchant = $1 AND name = $2";
        Ok(self.exec(sql, &[P::T(merchant), P::T(name)]).await? == 1)
    }

    /// Notes a command before it is done.
    pub async fn put_audit(&mut self, merchant: &str, row: &AuditRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit (merchant, id, at_us, actor, method, route, path, request, status) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)";
        let params = [
            P::T(merchant),
            P::T(&row.id),
            P::I(row.at_us),
            P::T(&row.actor),
            P::T(&row.method),
            P::T(&row.route),
            P::T(&row.path),
            P::T(&row.request),
            P::OI(row.status),
        ];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// Notes how a command was answered.
    pub async fn end_audit(&mut self, merchant: &str, id: &str, status: i64) -> Result<(), StoreError> {
        let sql = "UPDATE audit SET status = $1 WHERE merchant = $2 AND id = $3";
        self.exec(sql, &[P::I(status), P::T(merchant), P::T(id)]).await.map(|_| ())
    }

    /// Commands of a merchant before a place in the list, newest first.
    pub async fn audit(
        &mut self,
        merchant: &str,
        filter: AuditFilter<'_>,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let mut params = vec![
            P::T(merchant),
            P::I(before.0),
            P::T(before.1),
            P::I(filter.from_us),
            P::T(filter.path),
            P::I(limit),
        ];
        let sql = match filter.actor {
            "" => audits!(""),
            actor => {
                params.push(P::T(actor));
                audits!("AND actor = $7 ")
            }
        };
        self.rows(sql, &params).await?.iter().map(audit).collect()
    }
}
