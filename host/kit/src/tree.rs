//! JSON whose fields keep the order in which they were written.

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;

/// A JSON value in the order of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// Null, a truth value, a number or a text.
    Leaf(Value),
    /// A list.
    List(Vec<Tree>),
    /// An object.
    Fields(Vec<(String, Tree)>),
}

impl Tree {
    /// The JSON form of a record, its fields in the order of the contract.
    pub fn of(record: &impl Serialize) -> Tree {
        let text = serde_json::to_string(record).expect("records of the contract have a JSON form");
        serde_json::from_str(&text).expect("what was written as JSON reads back")
    }

    /// The field of an object.
    pub fn get(&self, name: &str) -> Option<&Tree> {
        let Tree::Fields(fields) = self else { return None };
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// Without the fields that say nothing: absent options and empty lists. Cases of a variant stay, whose
    /// names begin with a capital.
    pub fn short(self) -> Tree {
        let says_nothing = |name: &str, value: &Tree| {
            let empty = match value {
                Tree::Leaf(value) => value.is_null(),
                Tree::List(items) => items.is_empty(),
                Tree::Fields(_) => false,
            };
            empty && name.starts_with(|first: char| first.is_ascii_lowercase())
        };
        match self {
            Tree::Leaf(_) => self,
            Tree::List(items) => Tree::List(items.into_iter().map(Tree::short).collect()),
            Tree::Fields(fields) => Tree::Fields(
                fields
                    .into_iter()
                    .filter(|(name, value)| !says_nothing(name, value))
                    .map(|(name, value)| (name, value.short()))
                    .collect(),
            ),
        }
    }

    /// Over several lines.
    pub fn pretty(&self) -> String {
        serde_json::to_string_pretty(self).expect("JSON can be written")
    }
}

/// On one line.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Tree::Leaf(value) => value.serialize(serializer),
            Tree::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Tree::Fields(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(Grow)
    }
}

struct Grow;

impl<'de> Visitor<'de> for Grow {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with whole numbers")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(bool.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = entries.next_entry()? {
            fields.push(field);
        }
        Ok(Tree::Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_fields_stays_and_what_says_nothing_goes() {
        let tree: Tree = serde_json::from_str(r#"{"b":1,"a":[],"c":null,"Case":null,"d":{"x":[]}}"#).unwrap();
        assert_eq!(tree.to_string(), r#"{"b":1,"a":[],"c":null,"Case":null,"d":{"x":[]}}"#);
        assert_eq!(tree.short().to_string(), r#"{"b":1,"Case":null,"d":{}}"#);
    }
}
