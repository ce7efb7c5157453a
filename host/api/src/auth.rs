//! Who calls: JSON Web Tokens, checked against this host's keys and its clock.
//!
//! A token names the merchant, the customer (or person) and scopes. The algorithm is bound to the key, never
//! taken from the token: an HS256 token signed with a public key's bytes finds no key.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::App;
use crate::problem::{Code, Problem};

/// Clocks of two computers differ by less.
const LEEWAY_S: i64 = 60;
/// Longest token looked at: 8 kB is the header limit of most proxies.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Shortest HS256 secret: RFC 7518 asks for as many bits as the hash has.
const SECRET_BYTES_MIN: usize = 32;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Claims {
    /// Customer, or person of the merchant.
    pub sub: String,
    /// Merchant.
    pub merchant: String,
    /// Scopes between blanks: `operator admin`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// Not valid from then on, epoch seconds.
    pub exp: i64,
    /// Not valid before, epoch seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
}

/// Why keys cannot be used, or a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The secret is too short.
    #[error("use the JWT secret: {found} bytes, at least {SECRET_BYTES_MIN} are needed")]
    ShortSecret {
        /// Its bytes.
        found: usize,
    },
    /// The PEM text holds no key of that kind.
    #[error("read the {algorithm} public key: {why}")]
    Key {
        /// `RS256` or `EdDSA`.
        algorithm: &'static str,
        /// What the library says.
        why: String,
    },
    /// Only a host with an HS256 secret can make tokens.
    #[error("make a token: this host has no HS256 secret")]
    NoSecret,
    /// The library failed.
    #[error("make a token: {0}")]
    Sign(String),
}

/// The keys of this host. Cheap to clone.
#[derive(Clone, Default)]
pub struct Auth {
    keys: Arc<Vec<(Algorithm, DecodingKey)>>,
    sign: Option<Arc<EncodingKey>>,
}

impl Auth {
    /// Without any key: nobody gets in.
    pub fn none() -> Auth {
        Auth::default()
    }

    /// With a shared HS256 secret of at least 32 bytes.
    pub fn hs256(self, secret: &[u8]) -> Result<Auth, AuthError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(AuthError::ShortSecret { found: secret.len() });
        }
        let mut auth = self.key(Algorithm::HS256, DecodingKey::from_secret(secret));
        auth.sign = Some(Arc::new(EncodingKey::from_secret(secret)));
        Ok(auth)
    }

    /// With an RSA public key in PEM, for RS256.
    pub fn rs256(self, pem: &str) -> Result<Auth, AuthError> {
        let key = DecodingKey::from_rsa_pem(pem.as_bytes());
        Ok(self.key(
            Algorithm::RS256,
            key.map_err(|e| AuthError::Key { algorithm: "RS256", why: e.to_string() })?,
        ))
    }

    /// With an Ed25519 public key in PEM, for `EdDSA`.
    pub fn eddsa(self, pem: &str) -> Result<Auth, AuthError> {
        let key = DecodingKey::from_ed_pem(pem.as_bytes());
        Ok(self.key(
            Algorithm::EdDSA,
            key.map_err(|e| AuthError::Key { algorithm: "EdDSA", why: e.to_string() })?,
        ))
    }

    fn key(self, algorithm: Algorithm, key: DecodingKey) -> Auth {
        let mut keys = self.keys.as_ref().clone();
        keys.push((algorithm, key));
        Auth { keys: Arc::new(keys), sign: self.sign }
    }

    /// Makes a token. For the command line and tests.
    pub fn mint(&self, claims: &Claims) -> Result<String, AuthError> {
        let key = self.sign.as_ref().ok_or(AuthError::NoSecret)?;
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, key)
            .map_err(|e| AuthError::Sign(e.to_string()))
    }

    /// Checks a token at a time of the host's clock. The error says what is wrong with it.
    pub fn check(&self, token: &str, now_us: i64) -> Result<Claims, &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("the token is too long");
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| "the token cannot be read")?;
        let mut keys = self.keys.iter().filter(|(algorithm, _)| *algorithm == header.alg).peekable();
        if keys.peek().is_none() {
            return Err("the token is signed with an algorithm this host has no key for");
        }
        let mut validation = Validation::new(header.alg);
        // Checked below against the clock that was handed in.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims =
            keys.find_map(|(_, key)| match jsonwebtoken::decode::<Claims>(token, key, &validation) {
                Ok(data) => Some(Ok(data.claims)),
                Err(error) => match error.kind() {
                    jsonwebtoken::errors::ErrorKind::Json(_) => {
                        Some(Err("the token lacks a claim: `sub`, `merchant` and `exp` are needed"))
                    }
                    _ => None,
                },
            });
        let claims = claims.unwrap_or(Err("the token's signature does not match"))?;
        let now_s = now_us / 1_000_000;
        if claims.exp.saturating_add(LEEWAY_S) < now_s {
            return Err("the token has expired");
        }
        if claims.nbf.is_some_and(|nbf| nbf.saturating_sub(LEEWAY_S) > now_s) {
            return Err("the token is not valid yet");
        }
        let plain = |text: &str| (1..=128).contains(&text.len()) && !text.chars().any(char::is_control);
        if !plain(&claims.sub) || !plain(&claims.merchant) {
            return Err("`sub` and `merchant` of the token must have 1 to 128 bytes");
        }
        Ok(claims)
    }
}

/// Who sends a request: only a checked token makes one.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Merchant.
    pub(crate) merchant: String,
    /// Customer, or person of the merchant.
    pub(crate) sub: String,
    scope: String,
}

impl Caller {
    /// Somebody who has a cart and no account.
    pub(crate) fn is_guest(sub: &str) -> bool {
        sub.starts_with("guest_")
    }

    /// The token carries the scope.
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scope.split_ascii_whitespace().any(|s| s == scope)
    }

    /// An error without the scope.
    pub(crate) fn needs(&self, scope: &str) -> Result<(), Problem> {
        if self.has(scope) {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, format!("the token lacks the scope `{scope}`")))
    }

    /// An error without any of the scopes.
    pub(crate) fn needs_one(&self, scopes: &[&str]) -> Result<(), Problem> {
        if scopes.iter().any(|scope| self.has(scope)) {
            return Ok(());
        }
        let scopes: Vec<String> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
        Err(Problem::new(Code::Forbidden, format!("the token lacks the scope {}", scopes.join(" or "))))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Caller, Problem> {
        let refuse = |why: &str| {
            let problem = Problem::new(Code::Unauthorized, why);
            match why {
                NO_TOKEN => problem.header(header::WWW_AUTHENTICATE, "Bearer"),
                why => {
                    let value = format!("Bearer error=\"invalid_token\", error_description=\"{why}\"");
                    problem.header(header::WWW_AUTHENTICATE, &value)
                }
            }
        };
        let value =
            parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let token = match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(refuse(NO_TOKEN)),
        };
        let claims = app.auth.check(token, app.runner.clock().now_us()).map_err(refuse)?;
        Ok(Caller { merchant: claims.merchant, sub: claims.sub, scope: claims.scope })
    }
}

const NO_TOKEN: &str = "send `Authorization: Bearer` with a token";

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret of 32 bytes, or of more";
    /// 2024-08-10T14:30:00Z.
    const NOW_US: i64 = 1_723_300_200_000_000;

    fn claims() -> Claims {
        Claims {
            sub: "CUST-12345".to_owned(),
            merchant: "demo".to_owned(),
            scope: "operator admin".to_owned(),
            exp: NOW_US / 1_000_000 + 10,
            nbf: None,
        }
    }

    fn auth() -> Auth {
        Auth::none().hs256(SECRET).unwrap()
    }

    #[test]
    fn a_token_made_here_is_taken_here() {
        let token = auth().mint(&claims()).unwrap();
        assert_eq!(auth().check(&token, NOW_US), Ok(claims()));
    }

    #[test]
    fn time_is_the_clock_that_was_handed_in_with_a_minute_of_leeway() {
        let token = auth().mint(&claims()).unwrap();
        assert!(auth().check(&token, NOW_US + 69_000_000).is_ok());
        assert_eq!(auth().check(&token, NOW_US + 71_000_000), Err("the token has expired"));
        let early = Claims { nbf: Some(NOW_US / 1_000_000 + 120), exp: i64::MAX, ..claims() };
        let token = auth().mint(&early).unwrap();
        assert_eq!(auth().check(&token, NOW_US), Err("the token is not valid yet"));
        assert!(auth().check(&token, NOW_US + 60_000_000).is_ok());
    }

    #[test]
    fn another_secret_a_changed_payload_and_no_key_are_refused() {
        let token = auth().mint(&claims()).unwrap();
        let other = Auth::none().hs256(b"another secret of at least 32 bytes").unwrap();
        assert_eq!(other.check(&token, NOW_US), Err("the token's signature does not match"));
        assert!(Auth::none().check(&token, NOW_US).is_err());
        let admin =
            data_encoding::BASE64URL_NOPAD.encode(br#"{"sub":"x","merchant":"demo","exp":9999999999}"#);
        let parts: Vec<&str> = token.split('.').collect();
        let forged = format!("{}.{admin}.{}", parts[0], parts[2]);
        assert_eq!(auth().check(&forged, NOW_US), Err("the token's signature does not match"));
        let none = data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
        assert!(auth().check(&format!("{none}.{admin}."), NOW_US).is_err());
        assert!(auth().check("not.a.token", NOW_US).is_err());
        assert!(auth().check("", NOW_US).is_err());
    }

    #[test]
    fn a_token_without_exp_or_merchant_is_refused() {
        for body in [
            r#"{"sub":"a","merchant":"m"}"#,
            r#"{"sub":"a","exp":9999999999}"#,
            r#"{"merchant":"m","exp":9999999999}"#,
        ] {
            let value: serde_json::Value = serde_json::from_str(body).unwrap();
            let key = EncodingKey::from_secret(SECRET);
            let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &value, &key).unwrap();
            assert!(auth().check(&token, NOW_US).unwrap_err().contains("lacks a claim"), "{body}");
        }
        let empty = Claims { merchant: String::new(), ..claims() };
        assert!(auth().check(&auth().mint(&empty).unwrap(), NOW_US).is_err());
    }

    #[test]
    fn a_public_key_checks_what_its_private_key_signed_and_nothing_else() {
        // Made for this test with `openssl genpkey -algorithm ed25519`.
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIM1Am0ifcIwmyu0iIjsTTrQEe/1Y0+Yhf6Px9cKiOkbz\n-----END PRIVATE KEY-----\n";
        let public = ED25519_PUBLIC;
        let auth = Auth::none().eddsa(public).unwrap();
        let key = EncodingKey::from_ed_pem(private.as_bytes()).unwrap();
        let token = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims(), &key).unwrap();
        assert_eq!(auth.check(&token, NOW_US), Ok(claims()));
        // The public key's bytes are no HS256 secret.
        let confused = Auth::none().hs256(public.as_bytes()).unwrap().mint(&claims()).unwrap();
        assert!(auth.check(&confused, NOW_US).is_err());
        assert!(matches!(auth.mint(&claims()), Err(AuthError::NoSecret)));
    }

    const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAPVtVurzTwZ2M7v7G/lGyEYYicpNOvEOkjx1LwHt5I+Y=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn weak_secrets_and_broken_keys_are_refused() {
        assert!(matches!(Auth::none().hs256(b"short"), Err(AuthError::ShortSecret { found: 5 })));
        assert!(Auth::none().rs256("no pem").is_err());
        assert!(Auth::none().eddsa("no pem").is_err());
    }

    #[test]
    fn scopes_are_whole_words() {
        let caller = Caller {
            merchant: "m".to_owned(),
            sub: "s".to_owned(),
            scope: "administrator operator".to_owned(),
        };
        assert!(caller.has("operator") && !caller.has("admin"));
        assert!(caller.needs("admin").is_err());
    }
}
