//! Merchants' secrets: sealed in the store, opened in this host's memory, never shown again.

use std::collections::HashMap;
use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::RngCore as _;
use till_sandbox::Secret;
use till_store::tables::secret::SecretRow;

use crate::body::check_name;
use crate::{Error, Registry};

/// Longest secret: a private key in PEM has 3 kB.
pub const SECRET_BYTES_MAX: usize = 8 << 10;
const NONCE_BYTES: usize = 24;
/// Secrets of one merchant.
const SECRETS_MAX: usize = 256;

/// Seals and opens secrets with this host's key. All hosts on one database need the same.
pub struct Vault(Option<XChaCha20Poly1305>);

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Vault(open)" } else { "Vault(without a key)" })
    }
}

impl Vault {
    /// A vault with a key of 32 random bytes.
    pub fn new(key: &[u8; 32]) -> Vault {
        Vault(Some(XChaCha20Poly1305::new(&Key::from(*key))))
    }

    /// A vault that can neither seal nor open.
    pub fn without_key() -> Vault {
        Vault(None)
    }

    fn cipher(&self) -> Result<&XChaCha20Poly1305, Error> {
        self.0.as_ref().ok_or_else(|| {
            Error::not_now(
                "this host has no key for secrets: set `secrets_key` in till.toml or TILL_SECRETS_KEY",
            )
        })
    }

    fn seal(&self, merchant: &str, name: &str, version: i64, secret: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let aad = place(merchant, name, version);
        let payload = Payload { msg: secret, aad: &aad };
        let text = self.cipher()?.encrypt(&XNonce::from(nonce), payload);
        let mut sealed = nonce.to_vec();
        sealed.extend(text.map_err(|_| Error::not_now("the secret could not be sealed"))?);
        Ok(sealed)
    }

    fn open(&self, merchant: &str, row: &SecretRow) -> Option<Secret> {
        let (nonce, text) = row.sealed.split_first_chunk::<NONCE_BYTES>()?;
        let aad = place(merchant, &row.name, row.version);
        let payload = Payload { msg: text, aad: &aad };
        self.0.as_ref()?.decrypt(&XNonce::from(*nonce), payload).ok().map(Secret::new)
    }

    /// All secrets that can be opened. One sealed with another key is left out and told in the log.
    pub(crate) fn open_all(&self, merchant: &str, rows: &[SecretRow]) -> HashMap<String, Secret> {
        let mut secrets = HashMap::new();
        for row in rows {
            match self.open(merchant, row) {
                Some(secret) => {
                    secrets.insert(row.name.clone(), secret);
                }
                None => tracing::error!(
                    merchant,
                    name = row.name,
                    "a secret cannot be opened with this host's key"
                ),
            }
        }
        secrets
    }
}

impl Registry {
    /// Seals something of the merchant that is no secret of a binding: the key of a webhook.
    ///
    /// # Errors
    /// The host has no key.
    pub fn seal(&self, merchant: &str, name: &str, secret: &[u8]) -> Result<Vec<u8>, Error> {
        self.vault.seal(merchant, name, 1, secret)
    }

    /// Opens it. None: it was sealed with another key, for another merchant or name.
    pub fn open_sealed(&self, merchant: &str, name: &str, sealed: &[u8]) -> Option<Secret> {
        let row = SecretRow {
            name: name.to_owned(),
            version: 1,
            sealed: sealed.to_owned(),
            updated_us: 0,
            updated_by: String::new(),
        };
        self.vault.open(merchant, &row)
    }
}

/// What a sealed secret is bound to: it cannot be moved to another name, merchant or version.
fn place(merchant: &str, name: &str, version: i64) -> Vec<u8> {
    format!("{}:{merchant}:{name}:{version}", merchant.len()).into_bytes()
}

/// A secret as it is listed: never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// Name that bindings use.
    pub name: String,
    /// Grows with each rotation.
    pub version: i64,
    /// Epoch microseconds.
    pub updated_us: i64,
    /// Who set it.
    pub updated_by: String,
}

impl Registry {
    /// Sets a secret or rotates it. Calls from then on use the new value, those of running checkouts too: a
    /// secret is in no digest.
    pub async fn put_secret(
        &self,
        merchant: &str,
        name: &str,
        secret: &[u8],
        who: &str,
        now_us: i64,
    ) -> Result<SecretInfo, Error> {
        check_name("name", name)?;
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            let why = format!("{} bytes; 1 to {SECRET_BYTES_MAX} are allowed", secret.len());
            return Err(Error::field("value", why));
        }
        loop {
            let known = self.store.read().await?.secrets(merchant).await?;
            if known.len() >= SECRETS_MAX && known.iter().all(|row| row.name != name) {
                return Err(Error::field("name", format!("there are {SECRETS_MAX} secrets; drop one first")));
            }
            let version = known.iter().find(|row| row.name == name).map_or(0, |row| row.version) + 1;
            let row = SecretRow {
                name: name.to_owned(),
                version,
                sealed: self.vault.seal(merchant, name, version, secret)?,
                updated_us: now_us,
                updated_by: who.to_owned(),
            };
            let (owner, kept) = (merchant.to_owned(), row.clone());
            let put = self.store.transact(move |tx| {
                let (owner, kept) = (owner.clone(), kept.clone());
                Box::pin(async move { tx.put_secret(&owner, &kept).await })
            });
            if put.await? {
                self.refresh(merchant).await?;
                return Ok(info(row));
            }
        }
    }

    /// Names of a merchant's secrets.
    pub async fn secrets(&self, merchant: &str) -> Result<Vec<SecretInfo>, Error> {
        Ok(self.store.read().await?.secrets(merchant).await?.into_iter().map(info).collect())
    }

    /// The secrets, as they are now, whose names are wanted; for a call of the host's own.
    ///
    /// # Errors
    /// The store's.
    pub async fn secrets_for(
        &self,
        merchant: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<HashMap<String, Secret>, Error> {
        let state = self.in_use(merchant).await?;
        let own = state.secrets.iter().filter(|(name, _)| wanted(name));
        Ok(own.map(|(name, secret)| (name.clone(), secret.clone())).collect())
    }

    /// Takes a secret away. Calls that need it fail from then on.
    pub async fn drop_secret(&self, merchant: &str, name: &str) -> Result<(), Error> {
        let (owner, gone) = (merchant.to_owned(), name.to_owned());
        let dropped = self.store.transact(move |tx| {
            let (owner, gone) = (owner.clone(), gone.clone());
            Box::pin(async move { tx.drop_secret(&owner, &gone).await })
        });
        if !dropped.await? {
            return Err(Error::NotFound { what: "secret", id: name.to_owned() });
        }
        self.refresh(merchant).await?;
        Ok(())
    }
}

fn info(row: SecretRow) -> SecretInfo {
    SecretInfo {
        name: row.name,
        version: row.version,
        updated_us: row.updated_us,
        updated_by: row.updated_by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_in_its_place_only() {
        let vault = Vault::new(&[7; 32]);
        let row = |name: &str, version, sealed: &[u8]| SecretRow {
            name: name.to_owned(),
            version,
            sealed: sealed.to_vec(),
            updated_us: 0,
            updated_by: String::new(),
        };
        let sealed = vault.seal("m1", "api_key", 1, b"sk_live").expect("it has a key");
        assert!(!sealed.windows(7).any(|part| part == b"sk_live"));
        assert_eq!(vault.open("m1", &row("api_key", 1, &sealed)), Some(Secret::new("sk_live")));
        for (merchant, name, version) in [("m2", "api_key", 1), ("m1", "other", 1), ("m1", "api_key", 2)] {
            assert_eq!(vault.open(merchant, &row(name, version, &sealed)), None);
        }
        assert_eq!(Vault::new(&[8; 32]).open("m1", &row("api_key", 1, &sealed)), None);
        assert_eq!(vault.open("m1", &row("api_key", 1, &sealed[..10])), None);
        assert_ne!(sealed, vault.seal("m1", "api_key", 1, b"sk_live").expect("it has a key"));
        assert!(Vault::without_key().seal("m1", "a", 1, b"x").is_err());
    }
}
