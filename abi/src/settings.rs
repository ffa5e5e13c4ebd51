//! Configuration: flat settings, so that a guest needs no parser for a configuration language.

use serde::{Deserialize, Serialize};

use crate::codec::{DecodeError, decode_prefix};
use crate::octets::Octets;
use crate::seq::{Element, Seq};

/// The value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Value<'a> {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text, UTF-8.
    #[serde(borrow)]
    Text(Octets<'a>),
}

impl<'a> Value<'a> {
    /// The number, if it is a whole one.
    pub const fn as_int(self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub const fn as_bool(self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The text, if it is that.
    pub const fn as_text(self) -> Option<Octets<'a>> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// One setting. Nested tables and lists are flattened with dots: `allow.0.path`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Setting<'a> {
    /// Dotted key.
    #[serde(borrow)]
    pub key: Octets<'a>,
    /// Value.
    #[serde(borrow)]
    pub value: Value<'a>,
}

impl<'a> Element<'a> for Setting<'a> {
    const NAME: &'static str = "setting";
}

/// [`Phase::Configure`](crate::Phase::Configure): what an instance needs before its first transaction.
///
/// A guest answers with [`Action::Continue`](crate::Action::Continue) to accept and with
/// [`Action::Respond`](crate::Action::Respond) to refuse; the body of that says why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Configure<'a> {
    /// Settings, in the order they were written.
    #[serde(borrow)]
    pub settings: Seq<'a, Setting<'a>>,
    /// Bytes that belong to the filter, a compiled ruleset for instance; may be empty.
    #[serde(borrow)]
    pub data: Octets<'a>,
}

impl<'a> Configure<'a> {
    /// Decodes a configuration that the host wrote. The settings are not looked at yet.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no configuration.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode_prefix(bytes, "configuration")
    }
}
