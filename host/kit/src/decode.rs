//! JSON written by hand to a record of the contract.
//!
//! Owns: which spelling is understood and what may be left out. Names may be written as in `wit/`
//! (`unit-price`, `invalid-config`), as in Rust or in camel case. What is optional may be absent, a list
//! that is absent is empty, `attributes` may be an object, bytes may be text. Everything else that is
//! missing, unknown or of another type is an error with its path. Numbers are whole.

use serde::de::value::StringDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Something is not as the record wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// From the inside out.
    steps: Vec<Step>,
    what: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(usize),
}

impl DecodeError {
    fn new(what: impl Into<String>) -> Self {
        DecodeError { steps: Vec::new(), what: what.into() }
    }

    fn within(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Where, as in `.cart.lines[0].quantity`.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            match step {
                Step::Field(name) => path.push_str(&format!(".{name}")),
                Step::Item(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    /// What is wrong there.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}: {}", self.path(), self.what)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(what: T) -> Self {
        DecodeError::new(what.to_string())
    }
}

/// What a field is when it is not written, by record and field. None: it must be written.
pub type Defaults<'a> = &'a dyn Fn(&str, &str) -> Option<Value>;

/// Nothing is assumed but absent options and empty lists.
pub fn nothing(_record: &str, _field: &str) -> Option<Value> {
    None
}

/// Reads a record.
pub fn decode<T: DeserializeOwned>(value: Value, defaults: Defaults<'_>) -> Result<T, DecodeError> {
    T::deserialize(Node { value: Some(value), defaults })
}

/// `unit-price`, `unitPrice` and `UnitPrice` are `unit_price`.
pub fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        out.push(if letter == '-' { '_' } else { letter.to_ascii_lowercase() });
    }
    out
}

/// A value, or the place where one should be.
struct Node<'a> {
    value: Option<Value>,
    defaults: Defaults<'a>,
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn wanted<T>(what: &str, found: &Value) -> Result<T, DecodeError> {
    Err(DecodeError::new(format!("expected {what}, found {}", kind(found))))
}

fn missing() -> DecodeError {
    DecodeError::new("is missing, and has no default: write it")
}

impl<'de> de::Deserializer<'de> for Node<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value.ok_or_else(missing)? {
            Value::Null => visitor.visit_unit(),
            Value::Bool(bool) => visitor.visit_bool(bool),
            Value::String(text) => visitor.visit_string(text),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => Err(DecodeError::new(format!(
                    "{number} is not whole: amounts are minor units, rates parts per million"
                ))),
            },
            Value::Array(items) => visitor.visit_seq(Items::new(items, self.defaults)),
            other @ Value::Object(_) => wanted("a value", &other),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value {
            None | Some(Value::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let items = match self.value {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            // Attributes and headers: names and values.
            Some(Value::Object(fields)) => fields
                .into_iter()
                .map(|(name, value)| Value::Array(vec![Value::String(name), value]))
                .collect(),
            // Bytes.
            Some(Value::String(text)) => text.bytes().map(Value::from).collect(),
            Some(other) => return wanted("a list", &other),
        };
        visitor.visit_seq(Items::new(items, self.defaults))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value.ok_or_else(missing)? {
            Value::Array(items) if items.len() == len => visitor.visit_seq(Items::new(items, self.defaults)),
            other => wanted(&format!("a list of {len}"), &other),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let written = match self.value {
            None => Map::new(),
            Some(Value::Object(fields)) => fields,
            // A code is what the shopper typed.
            Some(Value::String(text)) if name == "Code" => {
                Map::from_iter([("code".to_owned(), Value::String(text))])
            }
            Some(other) => return wanted("an object", &other),
        };
        let mut known = Map::new();
        for (key, value) in written {
            let field = snake(&key);
            if !fields.contains(&field.as_str()) {
                return Err(DecodeError::new(format!(
                    "unknown field `{key}`, expected one of {}",
                    fields.join(", ")
                )));
            }
            if known.insert(field, value).is_some() {
                return Err(DecodeError::new(format!("the field `{key}` is written twice")));
            }
        }
        visitor.visit_map(Fields {
            record: name,
            fields: fields.iter(),
            known,
            at: "",
            defaults: self.defaults,
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let (name, content) = match self.value.ok_or_else(missing)? {
            Value::String(name) => (name, None),
            Value::Object(fields) if fields.len() == 1 => match fields.into_iter().next() {
                Some((name, value)) => (name, Some(value)),
                None => return Err(missing()),
            },
            other => return wanted(&format!("one of {}", variants.join(", ")), &other),
        };
        let same = |variant: &&&str| snake(variant) == snake(&name);
        let variant = variants.iter().find(same).ok_or_else(|| {
            DecodeError::new(format!("unknown case `{name}`, expected one of {}", variants.join(", ")))
        })?;
        visitor.visit_enum(Case { variant, content, defaults: self.defaults })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct tuple_struct map identifier ignored_any
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::vec::IntoIter<Value>>,
    defaults: Defaults<'a>,
}

impl<'a> Items<'a> {
    fn new(items: Vec<Value>, defaults: Defaults<'a>) -> Self {
        Items { items: items.into_iter().enumerate(), defaults }
    }
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some((index, value)) = self.items.next() else { return Ok(None) };
        let node = Node { value: Some(value), defaults: self.defaults };
        seed.deserialize(node).map(Some).map_err(|error| error.within(Step::Item(index)))
    }
}

/// All fields of a record, written or not.
struct Fields<'a> {
    record: &'static str,
    fields: std::slice::Iter<'static, &'static str>,
    known: Map<String, Value>,
    at: &'static str,
    defaults: Defaults<'a>,
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some(field) = self.fields.next() else { return Ok(None) };
        self.at = field;
        seed.deserialize(StringDeserializer::<DecodeError>::new((*field).to_owned())).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let written = self.known.remove(self.at);
        let value = written.or_else(|| (self.defaults)(self.record, self.at));
        seed.deserialize(Node { value, defaults: self.defaults })
            .map_err(|error| error.within(Step::Field(self.at.to_owned())))
    }
}

struct Case<'a> {
    variant: &'static str,
    content: Option<Value>,
    defaults: Defaults<'a>,
}

impl<'de, 'a> de::EnumAccess<'de> for Case<'a> {
    type Error = DecodeError;
    type Variant = Case<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Case<'a>), DecodeError> {
        let name: de::value::StrDeserializer<'_, DecodeError> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Case<'_> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.content {
            None | Some(Value::Null) => Ok(()),
            Some(other) => wanted(&format!("`{}` alone", self.variant), &other),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        seed.deserialize(Node { value: self.content, defaults: self.defaults })
            .map_err(|error| error.within(Step::Field(self.variant.to_owned())))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::new("a case of the contract has one value at most"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, DecodeError> {
        Err(DecodeError::new("a case of the contract has one value at most"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use till_sandbox::wit::gateway::WebhookRequest;
    use till_sandbox::wit::promotion::{Candidate, Target};
    use till_sandbox::wit::types::{Code, ComponentError, Line, Money, Reason};

    #[test]
    fn names_may_be_written_as_in_the_contract() {
        let error: ComponentError =
            decode(json!({"invalid-config": {"code": "a", "text": "b", "attributes": {"k": "v"}}}), &nothing)
                .unwrap();
        let ComponentError::InvalidConfig(detail) = error else { panic!("{error:?}") };
        assert_eq!((detail.code.as_str(), detail.path), ("a", None));
        assert_eq!(detail.attributes, [("k".to_owned(), "v".to_owned())]);
        assert_eq!(decode::<Target>(json!("order"), &nothing).unwrap(), Target::Order);
        assert_eq!(decode::<Target>(json!({"Shipping": null}), &nothing).unwrap(), Target::Shipping(None));
        assert_eq!(decode::<Code>(json!("X"), &nothing).unwrap().code, "X");
    }

    #[test]
    fn a_record_reads_back_from_the_form_the_sandbox_writes() {
        let request = WebhookRequest { headers: vec![("a".into(), vec![1, 2])], body: vec![0, 255] };
        let written = serde_json::to_value(&request).unwrap();
        assert_eq!(decode::<WebhookRequest>(written, &nothing).unwrap(), request);
        let short = decode::<WebhookRequest>(json!({"headers": {"a": "é"}, "body": "{}"}), &nothing).unwrap();
        assert_eq!(short.headers, [("a".to_owned(), "é".as_bytes().to_vec())]);
        assert_eq!(short.body, b"{}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let told = |value| decode::<Vec<Reason>>(value, &nothing).unwrap_err().to_string();
        assert_eq!(
            told(json!([{"code": "a", "text": 3}])),
            "$[0].text: invalid type: integer `3`, expected a string"
        );
        assert_eq!(told(json!([{"code": "a"}])), "$[0].text: is missing, and has no default: write it");
        assert_eq!(
            told(json!([{"code": "a", "text": "b", "txt": "c"}])),
            "$[0]: unknown field `txt`, expected one of code, text"
        );
        let money = |value| decode::<Money>(value, &nothing).unwrap_err().to_string();
        assert!(money(json!({"minor": 1.5, "currency": "USD"})).contains("$.minor: 1.5 is not whole"));
        assert!(money(json!("1.50 USD")).contains("expected an object, found a text"));
        let kind = decode::<Candidate>(json!({"promotion": "p", "base": "none"}), &nothing).unwrap_err();
        assert!(kind.to_string().starts_with("$.automatic: is missing"), "{kind}");
    }

    #[test]
    fn defaults_fill_in_what_is_not_written() {
        let house = |record: &str, field: &str| match (record, field) {
            ("Line", "quantity") => Some(json!(1)),
            ("Line", "kind") => Some(json!("physical")),
            ("Line", "catalog_price" | "weight_g") => Some(json!(0)),
            ("Line", "price_includes_tax") => Some(json!(false)),
            ("Line", _) => Some(json!("x")),
            _ => None,
        };
        // An option, a list: absent and empty, whatever the defaults say of others.
        let only = |record: &str, field: &str| match field {
            "variant" | "parent" | "compare_at" | "dimensions" | "warehouse" | "group" => None,
            "categories" | "tags" | "attributes" => None,
            _ => house(record, field),
        };
        let line: Line = decode(json!({"sku": "A", "quantity": 2}), &only).unwrap();
        assert_eq!((line.sku.as_str(), line.quantity, line.parent), ("A", 2, None));
    }
}
