//! Public keys of whoever signs tokens, as a JSON Web Key Set (RFC 7517) that changes while the host runs.
//!
//! The set is fetched by the binary; here is what a fetch leaves behind. Keys stay when a later fetch fails. A token
//! that names a key which is not in the set asks for a fetch, so a new key works at once, and at most one fetch in
//! [`ASKED_EVERY`] comes of it whatever is sent.

use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::value::RawValue;
use tokio::sync::{Notify, watch};

/// Largest set that is read: a hundred RSA keys with their certificates.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Keys of a set that are looked at.
const KEYS_MAX: usize = 100;
/// Tokens with unknown keys lead to one fetch in this time.
const ASKED_EVERY: Duration = Duration::from_secs(5);
/// A request waits this long for the fetch it asked for.
const WAITED: Duration = Duration::from_secs(3);

/// A key and what it is good for.
struct Known {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// The keys of a set. Cheap to clone.
#[derive(Clone)]
pub struct KeySet {
    known: Arc<RwLock<Vec<Known>>>,
    asked: Arc<Notify>,
    last: Arc<Mutex<Option<Instant>>>,
    fetches: watch::Sender<u64>,
}

impl Default for KeySet {
    fn default() -> KeySet {
        let (known, asked, last) = (Arc::default(), Arc::default(), Arc::default());
        KeySet { known, asked, last, fetches: watch::Sender::new(0) }
    }
}

#[derive(serde::Deserialize)]
struct Document<'d> {
    #[serde(borrow)]
    keys: Vec<&'d RawValue>,
}

/// What a key signs with. None: it is of no use here; a key that is shared is never taken from a public document.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    if jwk.common.public_key_use.as_ref().is_some_and(|wanted| *wanted != PublicKeyUse::Signature) {
        return None;
    }
    let fits = |named: &[(KeyAlgorithm, Algorithm)]| match jwk.common.key_algorithm {
        None => named.first().map(|(_, algorithm)| *algorithm),
        Some(told) => named.iter().find(|(name, _)| *name == told).map(|(_, algorithm)| *algorithm),
    };
    match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => fits(&[
            (KeyAlgorithm::RS256, Algorithm::RS256),
            (KeyAlgorithm::RS384, Algorithm::RS384),
            (KeyAlgorithm::RS512, Algorithm::RS512),
            (KeyAlgorithm::PS256, Algorithm::PS256),
            (KeyAlgorithm::PS384, Algorithm::PS384),
            (KeyAlgorithm::PS512, Algorithm::PS512),
        ]),
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => fits(&[(KeyAlgorithm::ES256, Algorithm::ES256)]),
            EllipticCurve::P384 => fits(&[(KeyAlgorithm::ES384, Algorithm::ES384)]),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            fits(&[(KeyAlgorithm::EdDSA, Algorithm::EdDSA)])
        }
        _ => None,
    }
}

impl KeySet {
    /// Takes a set over from its document. Gives how many keys are of use; the set is as it was if none is.
    ///
    /// # Errors
    /// What is wrong with the document, for people.
    pub fn replace(&self, document: &[u8]) -> Result<usize, String> {
        let read: Document<'_> = serde_json::from_slice(document)
            .map_err(|error| format!("it is no JSON Web Key Set: {error}"))?;
        // One key that cannot be read does not spoil the others: providers add kinds as they like.
        let keys = read.keys.into_iter().take(KEYS_MAX).filter_map(|raw| {
            let jwk: Jwk = serde_json::from_str(raw.get()).ok()?;
            let (algorithm, key) = (algorithm(&jwk)?, DecodingKey::from_jwk(&jwk).ok()?);
            Some(Known { id: jwk.common.key_id, algorithm, key })
        });
        let keys: Vec<Known> = keys.collect();
        let count = keys.len();
        if count == 0 {
            return Err("it has no public key for signatures of RSA, P-256, P-384 or Ed25519".to_owned());
        }
        *self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner) = keys;
        self.fetched();
        Ok(count)
    }

    /// A fetch has ended, well or not: whoever waits goes on.
    pub fn fetched(&self) {
        *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
        self.fetches.send_modify(|count| *count += 1);
    }

    /// Waits until a token asks for a fetch.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Asks for a fetch and waits for it, unless there was one just now. False: there was none.
    pub(crate) async fn fresh(&self) -> bool {
        let recent = *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if recent.is_some_and(|at| at.elapsed() < ASKED_EVERY) {
            return false;
        }
        let mut fetches = self.fetches.subscribe();
        self.asked.notify_one();
        matches!(tokio::time::timeout(WAITED, fetches.changed()).await, Ok(Ok(())))
    }

    /// A key has this id.
    pub(crate) fn names(&self, id: &str) -> bool {
        let known = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// Keys for an algorithm, of this id where the token names one.
    pub(crate) fn keys(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<DecodingKey> {
        let known = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fits = |key: &&Known| {
            key.algorithm == algorithm && (id.is_none() || key.id.is_none() || key.id.as_deref() == id)
        };
        known.iter().filter(fits).map(|known| known.key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED: &str =
        r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const EC: &str = r#"{"kty":"EC","crv":"P-256","kid":"b","use":"sig","alg":"ES256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;

    #[test]
    fn public_keys_for_signatures_are_taken_and_nothing_else_is() {
        let set = KeySet::default();
        let secret = r#"{"kty":"oct","kid":"c","k":"c2VjcmV0"}"#;
        let sealing = EC.replace("\"sig\"", "\"enc\"");
        let odd = r#"{"kty":"AKP","kid":"d","alg":"ML-DSA-44","pub":"AA"}"#;
        let document = format!(r#"{{"keys":[{ED},{EC},{secret},{sealing},{odd},{{"kty":7}}]}}"#);
        assert_eq!(set.replace(document.as_bytes()), Ok(2));
        assert_eq!(set.keys(Algorithm::EdDSA, Some("a")).len(), 1);
        assert_eq!(set.keys(Algorithm::EdDSA, None).len(), 1);
        assert_eq!(set.keys(Algorithm::EdDSA, Some("b")).len(), 0, "the key is of another algorithm");
        assert_eq!(set.keys(Algorithm::HS256, None).len(), 0, "a shared key in a public place is none");
        let wrong = EC.replace("ES256", "RS256");
        assert!(set.replace(format!(r#"{{"keys":[{wrong}]}}"#).as_bytes()).is_err());
        for broken in ["", "{}", "[]", r#"{"keys":[]}"#, "<html>"] {
            assert!(set.replace(broken.as_bytes()).is_err(), "{broken}");
        }
        assert_eq!(set.keys(Algorithm::ES256, Some("b")).len(), 1, "what was there stays");
    }
}
