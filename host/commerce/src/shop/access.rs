//! Commands about API keys and roles, and the audit log.
//!
//! A key is `till_<id>_<secret>`: the id finds its row, and of the secret only a hash is kept. Whoever gives scopes must
//! have them: a key never opens more than who made it.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use moka::sync::Cache;
use rand::RngCore as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use till_store::Error as StoreError;
use till_store::tables::access::{ApiKeyRow, AuditFilter, AuditRow, RoleRow};
use uuid::Uuid;

use super::{Shop, ShopError};
use crate::access::{ROLES, opens, scopes};
use crate::catalog::parse;

/// Begins every key, so that scanners for leaked secrets find it.
const PREFIX: &str = "till_";
/// Random bytes of an id and of a secret.
const ID_BYTES: usize = 10;
const SECRET_BYTES: usize = 32;
/// Keys of a merchant that are in use at the same time.
pub const API_KEYS_MAX: i64 = 200;
/// Own roles of a merchant.
pub const ROLES_MAX: usize = 50;
/// Longest name of a key or role, and longest description, characters.
pub const NAME_CHARS_MAX: usize = 100;
/// What another host revoked or changed holds here after this at the latest.
const KEPT: Duration = Duration::from_secs(2);
/// Keys and merchants remembered.
const REMEMBERED_MAX: u64 = 10_000;
/// The last use of a key is noted as seldom as this, microseconds.
const USE_NOTED_EVERY_US: i64 = 600 * 1_000_000;

/// A key as it is wanted.
#[derive(Debug, Clone, Default)]
pub struct KeyWanted {
    /// For people.
    pub name: String,
    /// What it opens.
    pub scopes: Vec<String>,
    /// What it opens, by role.
    pub roles: Vec<String>,
    /// Not valid from then on, epoch microseconds.
    pub expires_us: Option<i64>,
}

/// A key.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Id.
    pub id: String,
    /// As it was wanted.
    pub wanted: KeyWanted,
    /// Who made it.
    pub who: String,
    /// When, epoch microseconds.
    pub created_us: i64,
    /// Not valid since then, epoch microseconds.
    pub revoked_us: Option<i64>,
    /// Last used, within ten minutes, epoch microseconds.
    pub used_us: Option<i64>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Name.
    pub name: String,
    /// For people.
    pub description: String,
    /// What it opens.
    pub scopes: Vec<String>,
    /// Every merchant has it.
    pub built_in: bool,
}

/// Whom a key speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHolder {
    /// Merchant.
    pub merchant: String,
    /// Id of the key.
    pub id: String,
    /// What it opens, roles resolved.
    pub scopes: Vec<String>,
}

/// What this host remembers of keys and roles.
pub(super) struct Known {
    keys: Cache<String, Option<ApiKeyRow>>,
    roles: Cache<String, Vec<Role>>,
}

impl Default for Known {
    fn default() -> Known {
        let keys = Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(KEPT).build();
        Known { keys, roles: Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(KEPT).build() }
    }
}

fn word(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Whether a bearer token is a key, and not a JSON Web Token.
pub fn is_api_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

fn read_key(row: ApiKeyRow) -> Result<ApiKey, StoreError> {
    let wanted = KeyWanted {
        name: row.name,
        scopes: parse(&row.scopes)?,
        roles: parse(&row.roles)?,
        expires_us: row.expires_us,
    };
    Ok(ApiKey {
        id: row.id,
        wanted,
        who: row.who,
        created_us: row.created_us,
        revoked_us: row.revoked_us,
        used_us: row.used_us,
    })
}

fn field(field: &str, why: String) -> ShopError {
    ShopError::Field { field: field.to_owned(), why }
}

/// The scopes exist, and `giver` has what they open.
fn may_give(giver: &[String], given: &[String], at: &str) -> Result<(), ShopError> {
    for scope in given {
        let Some(opened) = opens(scope) else {
            return Err(field(
                at,
                format!("there is no scope `{scope}`; there are `{}`", scopes().join("`, `")),
            ));
        };
        if !opened.iter().all(|wanted| wanted.in_scopes(giver.iter().map(String::as_str))) {
            let why = format!(
                "you do not have the scope `{scope}`, so you cannot give it; ask somebody who has, or leave it out"
            );
            return Err(field(at, why));
        }
    }
    Ok(())
}

fn fits(name: &str, at: &str) -> Result<(), ShopError> {
    let chars = name.chars().count();
    match (1..=NAME_CHARS_MAX).contains(&chars) && !name.chars().any(char::is_control) {
        true => Ok(()),
        false => {
            Err(field(at, format!("1 to {NAME_CHARS_MAX} characters are needed, and no control characters")))
        }
    }
}

impl Shop {
    /// Who a key speaks for. None: it is none, or is no longer one.
    ///
    /// # Errors
    /// The store's.
    pub async fn api_key(&self, key: &str) -> Result<Option<KeyHolder>, ShopError> {
        let Some((id, secret)) = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else {
            return Ok(None);
        };
        let row = match self.known.keys.get(id) {
            Some(row) => row,
            None => {
                let row = self.store.read().await?.api_key(id).await?;
                self.known.keys.insert(id.to_owned(), row.clone());
                row
            }
        };
        let Some(row) = row else { return Ok(None) };
        let same: bool = hash(secret).as_bytes().ct_eq(row.hash.as_bytes()).into();
        let now_us = self.now_us();
        if !same || row.revoked_us.is_some() || row.expires_us.is_some_and(|end| end <= now_us) {
            return Ok(None);
        }
        if row.used_us.is_none_or(|used| now_us.saturating_sub(used) > USE_NOTED_EVERY_US) {
            let used = id.to_owned();
            self.store
                .transact(move |tx| {
                    let used = used.clone();
                    Box::pin(async move { tx.use_api_key(&used, now_us).await })
                })
                .await?;
            self.known.keys.insert(id.to_owned(), Some(ApiKeyRow { used_us: Some(now_us), ..row.clone() }));
        }
        let mut scopes: Vec<String> = parse(&row.scopes)?;
        let roles: Vec<String> = parse(&row.roles)?;
        scopes.extend(self.scopes_of(&row.merchant, &roles).await?);
        Ok(Some(KeyHolder { merchant: row.merchant, id: row.id, scopes }))
    }

    /// What roles open. Names that are no role open nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn scopes_of(&self, merchant: &str, roles: &[String]) -> Result<Vec<String>, ShopError> {
        if roles.is_empty() {
            return Ok(vec![]);
        }
        let known = self.roles(merchant).await?;
        let named = known.into_iter().filter(|role| roles.contains(&role.name));
        Ok(named.flat_map(|role| role.scopes).collect())
    }

    /// All roles of a merchant: those that every merchant has first.
    ///
    /// # Errors
    /// The store's.
    pub async fn roles(&self, merchant: &str) -> Result<Vec<Role>, ShopError> {
        if let Some(roles) = self.known.roles.get(merchant) {
            return Ok(roles);
        }
        let built_in = ROLES.iter().map(|role| Role {
            name: role.name.to_owned(),
            description: role.description.to_owned(),
            scopes: role.scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            built_in: true,
        });
        let mut roles: Vec<Role> = built_in.collect();
        for row in self.store.read().await?.roles(merchant).await? {
            let RoleRow { name, description, scopes } = row;
            roles.push(Role { name, description, scopes: parse(&scopes)?, built_in: false });
        }
        self.known.roles.insert(merchant.to_owned(), roles.clone());
        Ok(roles)
    }

    /// Makes a role or replaces it. `giver`: scopes of who does so.
    ///
    /// # Errors
    /// A field is wrong, a scope is not the giver's, or there are too many roles.
    pub async fn put_role(&self, merchant: &str, role: Role, giver: &[String]) -> Result<Role, ShopError> {
        fits(&role.name, "role")?;
        if role.description.chars().count() > NAME_CHARS_MAX {
            return Err(field("description", format!("at most {NAME_CHARS_MAX} characters are possible")));
        }
        let known = self.fresh_roles(merchant).await?;
        let before = known.iter().find(|known| known.name == role.name);
        if before.is_some_and(|before| before.built_in) {
            return Err(field("role", format!("`{}` is a role that every merchant has", role.name)));
        }
        let own = known.iter().filter(|known| !known.built_in).count();
        if before.is_none() && own >= ROLES_MAX {
            return Err(field("role", format!("there are {ROLES_MAX} roles; take one away first")));
        }
        if role.scopes.is_empty() {
            return Err(field("scopes", "name at least one".to_owned()));
        }
        may_give(giver, &role.scopes, "scopes")?;
        let scopes = json!(role.scopes).to_string();
        let row = RoleRow { name: role.name.clone(), description: role.description.clone(), scopes };
        let owner = merchant.to_owned();
        self.store
            .transact(move |tx| {
                let (owner, row) = (owner.clone(), row.clone());
                Box::pin(async move { tx.put_role(&owner, &row).await })
            })
            .await?;
        self.known.roles.invalidate(merchant);
        Ok(role)
    }

    /// Takes a role away: who has it loses what it opens.
    ///
    /// # Errors
    /// There is none.
    pub async fn drop_role(&self, merchant: &str, name: &str) -> Result<(), ShopError> {
        let (owner, gone) = (merchant.to_owned(), name.to_owned());
        let dropped = self.store.transact(move |tx| {
            let (owner, gone) = (owner.clone(), gone.clone());
            Box::pin(async move { tx.drop_role(&owner, &gone).await })
        });
        let dropped = dropped.await?;
        self.known.roles.invalidate(merchant);
        if dropped { Ok(()) } else { Err(ShopError::NotFound { what: "role", id: name.to_owned() }) }
    }

    /// Makes a key. Gives it with its text, which is nowhere else. `who` makes it and has the scopes `giver`.
    ///
    /// # Errors
    /// A field is wrong, a scope is not the giver's, or there are too many keys.
    pub async fn make_api_key(
        &self,
        merchant: &str,
        wanted: KeyWanted,
        who: &str,
        giver: &[String],
    ) -> Result<(ApiKey, String), ShopError> {
        let now_us = self.now_us();
        fits(&wanted.name, "name")?;
        if wanted.scopes.is_empty() && wanted.roles.is_empty() {
            return Err(field("scopes", "name at least one scope, or a role in `roles`".to_owned()));
        }
        if wanted.expires_us.is_some_and(|end| end <= now_us) {
            return Err(field("expiresAt", "a time that is still to come is needed".to_owned()));
        }
        may_give(giver, &wanted.scopes, "scopes")?;
        let known = self.fresh_roles(merchant).await?;
        for name in &wanted.roles {
            let Some(role) = known.iter().find(|role| role.name == *name) else {
                let names: Vec<&str> = known.iter().map(|role| role.name.as_str()).collect();
                return Err(field(
                    "roles",
                    format!("there is no role `{name}`; there are `{}`", names.join("`, `")),
                ));
            };
            may_give(giver, &role.scopes, "roles")?;
        }
        if self.store.read().await?.api_keys_alive(merchant, now_us).await? >= API_KEYS_MAX {
            return Err(field("name", format!("{API_KEYS_MAX} keys are in use; revoke one first")));
        }
        let mut bytes = [0; ID_BYTES + SECRET_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        let (id, secret) = (word(&bytes[..ID_BYTES]), word(&bytes[ID_BYTES..]));
        let row = ApiKeyRow {
            id: id.clone(),
            merchant: merchant.to_owned(),
            name: wanted.name.clone(),
            hash: hash(&secret),
            scopes: json!(wanted.scopes).to_string(),
            roles: json!(wanted.roles).to_string(),
            who: who.to_owned(),
            created_us: now_us,
            expires_us: wanted.expires_us,
            revoked_us: None,
            used_us: None,
        };
        let text = format!("{PREFIX}{id}_{secret}");
        let kept = row.clone();
        self.store
            .transact(move |tx| {
                let kept = kept.clone();
                Box::pin(async move { tx.put_api_key(&kept).await })
            })
            .await?;
        self.known.keys.invalidate(&id);
        Ok((read_key(row)?, text))
    }

    /// Keys of a merchant before a place in the list, newest first; those of old included.
    ///
    /// # Errors
    /// The store's.
    pub async fn api_keys(
        &self,
        merchant: &str,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<ApiKey>, ShopError> {
        let rows = self.store.read().await?.api_keys(merchant, before, limit).await?;
        Ok(rows.into_iter().map(read_key).collect::<Result<_, _>>()?)
    }

    /// Takes a key out of use, on all hosts within two seconds.
    ///
    /// # Errors
    /// There is none.
    pub async fn revoke_api_key(&self, merchant: &str, id: &str) -> Result<(), ShopError> {
        let (owner, gone, now_us) = (merchant.to_owned(), id.to_owned(), self.now_us());
        let revoked = self.store.transact(move |tx| {
            let (owner, gone) = (owner.clone(), gone.clone());
            Box::pin(async move { tx.revoke_api_key(&owner, &gone, now_us).await })
        });
        let revoked = revoked.await?;
        self.known.keys.invalidate(id);
        if revoked { Ok(()) } else { Err(ShopError::NotFound { what: "API key", id: id.to_owned() }) }
    }

    async fn fresh_roles(&self, merchant: &str) -> Result<Vec<Role>, ShopError> {
        self.known.roles.invalidate(merchant);
        self.roles(merchant).await
    }

    /// Notes a command before it is done, under a fresh id, which it gives.
    ///
    /// # Errors
    /// The store's. Then the command must not be done.
    pub async fn audit_begun(&self, merchant: &str, mut row: AuditRow) -> Result<String, ShopError> {
        (row.id, row.at_us) = (Uuid::now_v7().to_string(), self.now_us());
        let (owner, id) = (merchant.to_owned(), row.id.clone());
        let noted = self.store.transact(move |tx| {
            let (owner, row) = (owner.clone(), row.clone());
            Box::pin(async move { tx.put_audit(&owner, &row).await })
        });
        noted.await?;
        Ok(id)
    }

    /// Notes how a command was answered.
    ///
    /// # Errors
    /// The store's. The command stands in the log without an answer then.
    pub async fn audit_ended(&self, merchant: &str, id: &str, status: u16) -> Result<(), ShopError> {
        let (owner, id) = (merchant.to_owned(), id.to_owned());
        let noted = self.store.transact(move |tx| {
            let (owner, id) = (owner.clone(), id.clone());
            Box::pin(async move { tx.end_audit(&owner, &id, i64::from(status)).await })
        });
        Ok(noted.await?)
    }

    /// Commands of a merchant before a place in the list, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn audit(
        &self,
        merchant: &str,
        filter: AuditFilter<'_>,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<AuditRow>, ShopError> {
        Ok(self.store.read().await?.audit(merchant, filter, before, limit).await?)
    }
}
