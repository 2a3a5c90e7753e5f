//! Reads a tree as one of the API's types, to find out where it is none.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::required::required;
use crate::config::quantity;
use crate::config::tree::{Key, Node, Value};
use crate::diag::{Span, did_you_mean};

/// What the API server would refuse, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) span: Span,
    pub(super) message: String,
    /// A name or notation that is probably meant.
    pub(super) help: Option<String>,
}

/// A place in a tree under a type; what is wrong is noted in `found`.
#[derive(Clone, Copy)]
pub(super) struct Reader<'tree> {
    node: &'tree Node,
    /// What the value belongs to.
    name: &'tree str,
    found: &'tree RefCell<Found>,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) refusals: Vec<Refusal>,
    /// Values that were refused: left out when the tree is read once more for what is behind them.
    refused: Vec<*const Node>,
    /// Mappings whose keys were looked at: the tree is read more than once.
    looked_at: BTreeSet<*const Node>,
}

impl<'tree> Reader<'tree> {
    pub(super) const fn new(node: &'tree Node, found: &'tree RefCell<Found>) -> Self {
        Self {
            node,
            name: "it",
            found,
        }
    }

    /// Whether the value is passed over: it was refused before, or it is nothing, which the API server takes for absent.
    fn is_passed_over(self, node: &Node) -> bool {
        node.value == Value::Null || self.is_refused(node)
    }

    fn is_refused(self, node: &Node) -> bool {
        self.found.borrow().refused.contains(&std::ptr::from_ref(node))
    }

    fn below(self, name: &'tree str, node: &'tree Node) -> Self {
        Self { node, name, ..self }
    }

    /// Notes that another kind of value belongs here.
    fn refuse(self, wanted: &str) -> Mismatch {
        let message = format!("`{}` is {}, {wanted} belongs here", self.name, self.node.kind());
        let help = match &self.node.value {
            Value::Number(number) if wanted == TEXT => Some(format!("put it into quotes: \"{number}\"")),
            Value::Bool(value) if wanted == TEXT => Some(format!("put it into quotes: \"{value}\"")),
            Value::Text(text) if is_unquoted(text, wanted) => Some(format!("write {text} without quotes")),
            _ => None,
        };
        self.note(message, help)
    }

    fn note(self, message: String, help: Option<String>) -> Mismatch {
        let mut found = self.found.borrow_mut();
        found.refusals.push(Refusal {
            span: self.node.span,
            message,
            help,
        });
        found.refused.push(std::ptr::from_ref(self.node));
        Mismatch
    }

    /// Notes keys that the type `name` does not have, and those it needs; a slip of one that it needs only once.
    fn check_keys(self, name: &str, known: &[&str], entries: &[(Key, Node)]) {
        let mut found = self.found.borrow_mut();
        if !found.looked_at.insert(std::ptr::from_ref(self.node)) {
            return;
        }
        let mut meant = Vec::new();
        for (key, _) in entries
            .iter()
            .filter(|(key, _)| !known.contains(&key.name.as_str()))
        {
            let near = did_you_mean(&key.name, known.iter().copied());
            meant.extend(near);
            found.refusals.push(Refusal {
                span: key.span,
                message: format!("Kubernetes knows no `{}` here, in {name}", key.name),
                help: near.map_or_else(
                    || (known.len() <= LISTED_LIMIT).then(|| format!("there are: {}", known.join(", "))),
                    |near| Some(format!("did you mean `{near}`?")),
                ),
            });
        }
        for wanted in required(name) {
            let is_there = |(key, value): &(Key, Node)| key.name == *wanted && value.value != Value::Null;
            if !meant.contains(wanted) && !entries.iter().any(is_there) {
                found.refusals.push(Refusal {
                    span: self.node.span,
                    message: format!("`{wanted}` is missing, which Kubernetes needs in {name}"),
                    help: None,
                });
            }
        }
    }
}

/// So many names of keys are still of use in a line of help.
const LISTED_LIMIT: usize = 12;

const TEXT: &str = "a text";

/// Whether a text is a number or a boolean in quotes, where that is wanted.
fn is_unquoted(text: &str, wanted: &str) -> bool {
    match wanted {
        "a whole number" | "a number" => text.parse::<i64>().is_ok(),
        "a boolean" => matches!(text, "true" | "false"),
        _ => false,
    }
}

/// A value of another type; what was wrong is noted already.
#[derive(Debug)]
pub(super) struct Mismatch;

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value of another type")
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self
    }
}

impl<'tree> Reader<'tree> {
    /// Notes what only the type itself finds faulty.
    fn visit<T>(self, result: Result<T, Mismatch>, wanted: &str) -> Result<T, Mismatch> {
        result.map_err(|mismatch| {
            if self.is_refused(self.node) {
                return mismatch;
            }
            self.note(format!("`{}` is not {wanted}", self.name), None)
        })
    }

    fn whole_number<V: Visitor<'tree>>(self, bits: u32, visitor: V) -> Result<V::Value, Mismatch> {
        let Value::Number(number) = &self.node.value else {
            return Err(self.refuse("a whole number"));
        };
        let limit = 1_i64.checked_shl(bits - 1).unwrap_or(i64::MAX);
        match number.as_i64() {
            Some(value) if bits == i64::BITS || (-limit..limit).contains(&value) => visitor.visit_i64(value),
            _ => Err(self.note(
                format!("`{}` is not a whole number of {bits} bits", self.name),
                None,
            )),
        }
    }
}

impl<'tree> Deserializer<'tree> for Reader<'tree> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'tree>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => self.visit(visitor.visit_i64(whole), "a number that is possible here"),
                (None, Some(number)) => visitor.visit_f64(number),
                (None, None) => Err(self.refuse("a number")),
            },
            Value::Text(text) => self.visit(visitor.visit_str(text), "a text that is possible here"),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'tree>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.node.value {
            Value::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.refuse("a boolean")),
        }
    }

    fn deserialize_f64<V: Visitor<'tree>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Number(number) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            _ => Err(self.refuse("a number")),
        }
    }

    fn deserialize_str<V: Visitor<'tree>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Text(text) => self.visit(visitor.visit_str(text), "of the form that belongs here"),
            _ => Err(self.refuse(TEXT)),
        }
    }

    fn deserialize_string<V: Visitor<'tree>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_i32<V: Visitor<'tree>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.whole_number(i32::BITS, visitor)
    }

    fn deserialize_i64<V: Visitor<'tree>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.whole_number(i64::BITS, visitor)
    }

    fn deserialize_option<V: Visitor<'tree>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// Quantities may be written as numbers; the other wrapped values are as what they wrap.
    fn deserialize_newtype_struct<V: Visitor<'tree>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if name != "Quantity" {
            return visitor.visit_newtype_struct(self);
        }
        let written = match &self.node.value {
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            _ => return Err(self.refuse("a quantity")),
        };
        if let Err(fault) = quantity::check(&written) {
            let message = format!("`{}` is `{written}`, which is no quantity", self.name);
            return Err(self.note(message, Some(fault.help())));
        }
        visitor.visit_newtype_struct(StringDeserializer::new(written))
    }

    fn deserialize_seq<V: Visitor<'tree>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items {
                reader: self,
                rest: items.iter(),
            }),
            _ => Err(self.refuse("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'tree>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Map(entries) => visitor.visit_map(Entries {
                reader: self,
                rest: entries.iter(),
                value: None,
            }),
            _ => Err(self.refuse("a mapping")),
        }
    }

    fn deserialize_struct<V: Visitor<'tree>>(
        self,
        name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if let Value::Map(entries) = &self.node.value {
            self.check_keys(name, known, entries);
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'tree>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <V: Visitor<'tree>>
        i8 i16 i128 u8 u16 u32 u64 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
    }
}

struct Items<'tree> {
    reader: Reader<'tree>,
    rest: std::slice::Iter<'tree, Node>,
}

impl<'tree> SeqAccess<'tree> for Items<'tree> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'tree>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mismatch> {
        let reader = self.reader;
        let next = self.rest.find(|item| !reader.is_passed_over(item));
        next.map(|item| seed.deserialize(reader.below(reader.name, item)))
            .transpose()
    }
}

struct Entries<'tree> {
    reader: Reader<'tree>,
    rest: std::slice::Iter<'tree, (Key, Node)>,
    value: Option<&'tree (Key, Node)>,
}

impl<'tree> MapAccess<'tree> for Entries<'tree> {
    type Error = Mismatch;

    fn next_key_seed<T: DeserializeSeed<'tree>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let reader = self.reader;
        self.value = self.rest.find(|(_, value)| !reader.is_passed_over(value));
        let key = self.value.map(|(key, _)| key.name.as_str());
        key.map(|key| seed.deserialize(key.into_deserializer()))
            .transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'tree>>(&mut self, seed: T) -> Result<T::Value, Mismatch> {
        let (key, value) = self.value.take().ok_or(Mismatch)?;
        seed.deserialize(self.reader.below(&key.name, value))
    }
}
