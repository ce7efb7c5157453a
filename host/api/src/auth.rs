//! Who calls: JSON Web Tokens, checked against this host's keys and its clock.
//!
//! A token names the merchant, the customer (or person), scopes and roles. The algorithm is bound to the key, never
//! taken from the token: an HS256 token signed with a public key's bytes finds no key. Programs of a merchant have API
//! keys in place of tokens; [`Caller`] is made of either.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use till_commerce::access::{Wanted, scopes};
use till_commerce::is_api_key;

use crate::App;
use crate::keys::KeySet;
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
    /// Roles of the merchant's, which stand for scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
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
    set: Option<KeySet>,
    issuer: Option<Arc<str>>,
    audience: Option<Arc<str>>,
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
        Auth { keys: Arc::new(keys), ..self }
    }

    /// Somebody can get in with a token.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty() || self.set.is_some()
    }

    /// With keys that change while the host runs.
    pub fn key_set(self, set: KeySet) -> Auth {
        Auth { set: Some(set), ..self }
    }

    /// Takes tokens of this issuer (`iss`) only, and those for this audience (`aud`) only, where one is given.
    pub fn only(self, issuer: Option<&str>, audience: Option<&str>) -> Auth {
        Auth { issuer: issuer.map(Arc::from), audience: audience.map(Arc::from), ..self }
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
        let fixed = self.keys.iter().filter(|(algorithm, _)| *algorithm == header.alg);
        let mut keys: Vec<DecodingKey> = fixed.map(|(_, key)| key.clone()).collect();
        if let Some(set) = &self.set {
            keys.extend(set.keys(header.alg, header.kid.as_deref()));
        }
        if keys.is_empty() {
            return Err(NO_KEY);
        }
        let validation = self.validation(header.alg);
        let mut why = NO_MATCH;
        let claims =
            keys.iter().find_map(|key| match jsonwebtoken::decode::<Claims>(token, key, &validation) {
                Ok(data) => Some(data.claims),
                Err(error) => {
                    use jsonwebtoken::errors::ErrorKind;
                    match error.kind() {
                        ErrorKind::Json(_) => {
                            why = "the token lacks a claim: `sub`, `merchant` and `exp` are needed";
                        }
                        ErrorKind::InvalidIssuer => {
                            why = "the token is of an issuer that this host does not take"
                        }
                        ErrorKind::InvalidAudience => why = "the token is for another audience",
                        ErrorKind::MissingRequiredClaim(_) => why = "the token lacks `iss` or `aud`",
                        _ => {}
                    }
                    None
                }
            });
        let claims = claims.ok_or(why)?;
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
        if claims.sub.starts_with(KEY_SUBJECT) {
            return Err("`sub` of a token does not begin with `key:`: API keys do");
        }
        Ok(claims)
    }

    /// Whether a token that was refused so might be good with keys that were fetched now; they are fetched then.
    async fn refetched(&self, why: &str, token: &str) -> bool {
        let Some(set) = &self.set else { return false };
        let named = || jsonwebtoken::decode_header(token).ok()?.kid;
        let unknown = why == NO_KEY || why == NO_MATCH && named().is_some_and(|kid| !set.names(&kid));
        unknown && set.fresh().await
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        // Checked by the caller against the clock that was handed in.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        validation.validate_aud = self.audience.is_some();
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        validation
    }
}

const NO_MATCH: &str = "the token's signature does not match";
const NO_KEY: &str = "the token is signed with an algorithm or key that this host does not know";
/// Begins the subject of whoever comes with an API key.
const KEY_SUBJECT: &str = "key:";
/// Where API keys lead: they speak for a merchant and buy nothing.
const KEYS_OPEN: [&str; 4] =
    ["/api/v1/admin/", "/api/v1/workflows/", "/api/v1/catalog/", "/api/v1/inventory/"];

/// Who sends a request: only a checked token or key makes one.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Merchant.
    pub(crate) merchant: String,
    /// Customer, person or key of the merchant.
    pub(crate) sub: String,
    /// What the token or key opens, roles resolved.
    pub(crate) scopes: Vec<String>,
}

impl Caller {
    /// A scope opens it.
    pub(crate) fn has(&self, wanted: Wanted) -> bool {
        wanted.in_scopes(self.scopes.iter().map(String::as_str))
    }

    /// Something of the merchant's is open to them.
    pub(crate) fn is_staff(&self) -> bool {
        let all = scopes();
        self.scopes.iter().any(|scope| all.contains(scope))
    }

    /// An error where no scope opens it.
    pub(crate) fn needs(&self, wanted: Wanted) -> Result<(), Problem> {
        if self.has(wanted) {
            return Ok(());
        }
        let or = if wanted == Wanted::Operate { "" } else { " or `admin`" };
        let told = format!("this needs the scope `{wanted}`{or}, which your token or key does not have");
        Err(Problem::new(Code::Forbidden, told).with("scope", &wanted.to_string()))
    }

    async fn of(app: &App, token: &str, path: &str) -> Result<Caller, Problem> {
        if is_api_key(token) {
            let held = app.shop.api_key(token).await?;
            let held = held.ok_or_else(|| refuse("the API key is none, was revoked or has expired"))?;
            if !KEYS_OPEN.iter().any(|start| path.starts_with(start)) {
                let told =
                    "an API key speaks for the merchant; this route is a shopper's: send the shopper's token";
                return Err(Problem::new(Code::Forbidden, told));
            }
            let sub = format!("{KEY_SUBJECT}{}", held.id);
            return Ok(Caller { merchant: held.merchant, sub, scopes: held.scopes });
        }
        let now_us = app.runner.clock().now_us();
        let claims = match app.auth.check(token, now_us) {
            Err(why) if app.auth.refetched(why, token).await => app.auth.check(token, now_us),
            checked => checked,
        };
        let claims = claims.map_err(refuse)?;
        let mut scopes: Vec<String> = claims.scope.split_ascii_whitespace().map(str::to_owned).collect();
        scopes.extend(app.shop.scopes_of(&claims.merchant, &claims.roles).await?);
        Ok(Caller { merchant: claims.merchant, sub: claims.sub, scopes })
    }
}

/// The token that headers carry. A browser cannot send `Authorization` with a WebSocket, and offers the token as a
/// subprotocol: `bearer.<token>`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(value) = text(header::AUTHORIZATION) {
        let (scheme, token) = value.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    text(header::UPGRADE)?;
    let offered = text(header::SEC_WEBSOCKET_PROTOCOL)?;
    offered.split(',').find_map(|one| one.trim().strip_prefix("bearer."))
}

fn refuse(why: &str) -> Problem {
    let value = match why {
        NO_TOKEN => "Bearer".to_owned(),
        why => format!("Bearer error=\"invalid_token\", error_description=\"{why}\""),
    };
    Problem::new(Code::Unauthorized, why).header(header::WWW_AUTHENTICATE, &value)
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Caller, Problem> {
        // Found out once for each request, whoever asks first.
        if let Some(known) = parts.extensions.get::<Caller>() {
            return Ok(known.clone());
        }
        let token = bearer(&parts.headers).ok_or_else(|| refuse(NO_TOKEN))?;
        let caller = Caller::of(app, token, parts.uri.path()).await?;
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

const NO_TOKEN: &str = "send `Authorization: Bearer` with a token";

#[cfg(test)]
mod tests {
    use super::*;
    use till_commerce::access::Area;

    const SECRET: &[u8] = b"a secret of 32 bytes, or of more";
    /// 2024-08-10T14:30:00Z.
    const NOW_US: i64 = 1_723_300_200_000_000;

    fn claims() -> Claims {
        Claims {
            sub: "CUST-12345".to_owned(),
            merchant: "demo".to_owned(),
            scope: "operator admin".to_owned(),
            exp: NOW_US / 1_000_000 + 10,
            ..Claims::default()
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

    #[test]
    fn issuer_and_audience_are_looked_at_where_the_host_says_so() {
        let sign = |more: serde_json::Value| {
            let mut body = serde_json::to_value(claims()).unwrap();
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &body, &EncodingKey::from_secret(SECRET))
                .unwrap()
        };
        let strict = auth().only(Some("https://login.example"), Some("till"));
        let good = sign(serde_json::json!({ "iss": "https://login.example", "aud": ["shop", "till"] }));
        assert!(strict.check(&good, NOW_US).is_ok());
        assert!(auth().check(&good, NOW_US).is_ok(), "a host that does not say so takes it too");
        for wrong in [
            serde_json::json!({}),
            serde_json::json!({ "iss": "https://login.example" }),
            serde_json::json!({ "iss": "https://other.example", "aud": "till" }),
            serde_json::json!({ "iss": "https://login.example", "aud": "shop" }),
        ] {
            assert!(strict.check(&sign(wrong.clone()), NOW_US).is_err(), "{wrong}");
        }
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
        let scopes = vec!["administrator".to_owned(), "operator".to_owned()];
        let caller = Caller { merchant: "m".to_owned(), sub: "s".to_owned(), scopes };
        assert!(caller.has(Wanted::Operate));
        let refused = caller.needs(Wanted::Read(Area::GiftCards)).unwrap_err();
        assert!(refused.detail.contains("`gift-cards:read`"), "{}", refused.detail);
    }
}
