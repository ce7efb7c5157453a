//! Ids and digests.
//!
//! Ids are thin text newtypes, so that a cart id never stands where an order id belongs. They are
//! checked once, where text becomes an id. [`Digest`] names content by its SHA-256;
//! [`canonical_json`] is the text that is digested for JSON values.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Longest id, in bytes. Room for a UUID with a prefix and for the ids of identity providers; short
/// enough to lead every database key.
pub const ID_BYTES_MAX: usize = 64;

/// Why text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Empty or longer than [`ID_BYTES_MAX`].
    #[error("use text of {bytes} bytes as a {kind} id: expected 1 to {ID_BYTES_MAX}")]
    Length {
        /// What it was to be.
        kind: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A character outside the allowed set.
    #[error("use {found:?} in a {kind} id: expected letters, digits and `-_.:`{more}")]
    Character {
        /// What it was to be.
        kind: &'static str,
        /// The character.
        found: char,
        /// Further characters this kind of id may have.
        more: &'static str,
    },
    /// Not 64 hexadecimal digits.
    #[error("read a digest: expected 64 hexadecimal digits in lowercase")]
    Digest,
}

fn check(kind: &'static str, more: &'static str, text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > ID_BYTES_MAX {
        return Err(IdError::Length { kind, bytes: text.len() });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c) || more.contains(c);
    match text.chars().find(|c| !allowed(*c)) {
        Some(found) => Err(IdError::Character { kind, found, more }),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $more:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and keeps the text.
            ///
            /// # Errors
            /// Empty, longer than [`ID_BYTES_MAX`], or a character that ids do not have.
            pub fn new(text: impl Into<String>) -> Result<$name, IdError> {
                let text = text.into();
                check($kind, $more, &text)?;
                Ok($name(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<$name, IdError> {
                $name::new(text)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<$name, IdError> {
                $name::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

id!(
    /// A tenant. Leads every key.
    MerchantId, "merchant", "");
id!(
    /// A shopper, as the identity provider names them (`sub` of the token).
    CustomerId, "customer", "@|+");
id!(
    /// A cart.
    CartId, "cart", "");
id!(
    /// A product of the catalog.
    ProductId, "product", "");
id!(
    /// An order.
    OrderId, "order", "");
id!(
    /// A checkout session.
    SessionId, "session", "");

/// SHA-256 of some content; as text 64 hexadecimal digits in lowercase.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digest of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// Digest of a JSON value in its canonical text: key order and blanks do not matter.
    #[must_use]
    pub fn of_json(value: &Value) -> Digest {
        Digest::of(canonical_json(value).as_bytes())
    }

    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest from its raw bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Digest, IdError> {
        let mut bytes = [0; 32];
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(IdError::Digest);
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| IdError::Digest)?;
        Ok(Digest(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = IdError;
    fn try_from(text: String) -> Result<Digest, IdError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// JSON without blanks, object keys sorted by their bytes, whatever order `serde_json` keeps.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields = fields.iter().collect::<Vec<_>>();
            fields.sort_by_key(|(name, _)| name.as_bytes());
            out.push('{');
            for (index, (name, field)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(&Value::String(name.clone()), out);
                out.push(':');
                write_canonical(field, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_are_short_and_plain() {
        assert!(MerchantId::new("demo").is_ok());
        assert!(CustomerId::new("auth0|6512@shop").is_ok());
        assert!(matches!(MerchantId::new("a|b"), Err(IdError::Character { found: '|', .. })));
        assert!(matches!(CartId::new(""), Err(IdError::Length { bytes: 0, .. })));
        assert!(OrderId::new("x".repeat(65)).is_err());
        assert!(serde_json::from_value::<SessionId>(json!("a b")).is_err());
    }

    #[test]
    fn canonical_json_does_not_depend_on_key_order() {
        let one: Value = serde_json::from_str(r#"{"b": [1, {"z": null, "a": "\"é"}], "a": true}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"a":true,"b":[1,{"a":"\"é","z":null}]}"#).unwrap();
        assert_eq!(canonical_json(&one), r#"{"a":true,"b":[1,{"a":"\"é","z":null}]}"#);
        assert_eq!(Digest::of_json(&one), Digest::of_json(&two));
    }

    #[test]
    fn a_digest_is_hex_text() {
        let digest = Digest::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest.to_string(), text);
        assert_eq!(serde_json::to_value(digest).unwrap(), json!(text));
        assert_eq!(text.parse(), Ok(digest));
        assert!("E3".parse::<Digest>().is_err());
    }
}
