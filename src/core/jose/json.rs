//! Strict JSON: an object, bounded in size and depth, without a member named twice.
//!
//! RFC 7519 section 4 lets a reader take the last of two members of the same name. A reader in
//! front of us may take the first, so a token with two is refused.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use gatelatch_wire::UnixSeconds;

/// How deep objects and arrays may nest; the outermost object counts as one.
pub const MAX_DEPTH: u32 = 16;

/// The last second of the year 9999, the end of what RFC 3339 can write.
pub const MAX_NUMERIC_DATE: UnixSeconds = 253_402_300_799;

/// Why a document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Longer than the caller's bound.
    #[error("the JSON document is too long")]
    TooLarge,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the JSON document is nested too deeply")]
    TooDeep,
    /// An object names a member twice.
    #[error("the JSON document has a duplicate member")]
    DuplicateMember,
    /// The document is JSON, but not an object.
    #[error("the JSON document is not an object")]
    NotAnObject,
    /// Not JSON (RFC 8259), or a number beyond what a double can hold.
    #[error("the JSON document is malformed")]
    Malformed,
}

/// Reads an object of at most `limit` bytes.
pub fn parse_object(text: &[u8], limit: usize) -> Result<Map<String, Value>, JsonError> {
    if text.len() > limit {
        return Err(JsonError::TooLarge);
    }
    let fault = Cell::new(JsonError::Malformed);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict {
        depth_left: MAX_DEPTH,
        fault: &fault,
    }
    .deserialize(&mut reader)
    .map_err(|_| fault.get())?;
    reader.end().map_err(|_| JsonError::Malformed)?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::NotAnObject),
    }
}

/// Reads a NumericDate (RFC 7519 section 2): a JSON number, whole or fractional, from 1970 to the
/// year 9999. A fraction is cut off.
pub fn numeric_date(value: &Value) -> Option<UnixSeconds> {
    let Value::Number(number) = value else {
        return None;
    };
    let seconds = match number.as_u64() {
        Some(whole) => whole,
        None => whole_seconds(number.as_f64()?)?,
    };
    (seconds <= MAX_NUMERIC_DATE).then_some(seconds)
}

fn whole_seconds(seconds: f64) -> Option<u64> {
    // The range is tested before the cast; 253402300800 is a double without loss.
    (0.0..253_402_300_800.0)
        .contains(&seconds)
        .then_some(seconds as u64)
}

/// Builds a [`Value`], remembering in `fault` why it stopped: serde's error type can carry
/// nothing but text.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth_left: u32,
    fault: &'a Cell<JsonError>,
}

impl Strict<'_> {
    fn stop<E: serde::de::Error>(self, fault: JsonError) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }

    fn descend<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.stop(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| self.stop(JsonError::Malformed))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inside = self.descend()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(inside)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.descend()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.stop(JsonError::DuplicateMember));
            }
            let value = members.next_value_seed(inside)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Map<String, Value>, JsonError> {
        parse_object(text.as_bytes(), 4096)
    }

    #[test]
    fn an_object_is_read_as_serde_json_reads_it() {
        let text = r#"{"a":[1,-2,3.5,1e300,true,null,{"b":"\u00e4"}],"c":{}}"#;
        assert_eq!(
            Value::Object(parse(text).unwrap()),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    /// J3
    #[test]
    fn a_duplicate_member_is_refused_at_every_level() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"c":2,"b":2}]}"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert_eq!(parse(text), Err(JsonError::DuplicateMember), "{text}");
        }
    }

    /// J3
    #[test]
    fn only_an_object_is_accepted() {
        for text in ["[]", "1", "null", "\"a\"", "true"] {
            assert_eq!(parse(text), Err(JsonError::NotAnObject), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            "{",
            "{}{}",
            "{} x",
            "{'a':1}",
            "{\"a\":1,}",
            "{\"a\":NaN}",
            "{\"a\":1e400}",
            "\u{feff}{}",
            r#"{"a":"\ud800"}"#,
        ] {
            assert_eq!(parse(text), Err(JsonError::Malformed), "{text}");
        }
        assert_eq!(
            parse_object(b"{\"a\":\"\xff\"}", 64),
            Err(JsonError::Malformed)
        );
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(15)).is_ok());
        assert_eq!(parse(&nested(16)), Err(JsonError::TooDeep));
        assert_eq!(parse(&"{\"a\":".repeat(500)), Err(JsonError::TooDeep));
        assert_eq!(
            parse_object("[".repeat(100_000).as_bytes(), 200_000),
            Err(JsonError::TooDeep)
        );
    }

    #[test]
    fn size_is_bounded() {
        assert_eq!(parse_object(b"{}", 1), Err(JsonError::TooLarge));
        assert!(parse_object(b"{}", 2).is_ok());
    }

    /// J6
    #[test]
    fn a_numeric_date_is_a_finite_number_within_a_sane_range() {
        for (value, seconds) in [
            (json!(0), 0),
            (json!(1_700_000_000), 1_700_000_000),
            (json!(1_700_000_000.0), 1_700_000_000),
            (json!(1_700_000_000.999), 1_700_000_000),
            (json!(1.7e9), 1_700_000_000),
            (json!(-0.0), 0),
            (json!(MAX_NUMERIC_DATE), MAX_NUMERIC_DATE),
        ] {
            assert_eq!(numeric_date(&value), Some(seconds), "{value}");
        }
        for value in [
            json!(-1),
            json!(-0.5),
            json!(1e300),
            json!(-1e300),
            json!(u64::MAX),
            json!(MAX_NUMERIC_DATE + 1),
            json!(253_402_300_800.0),
            json!("1700000000"),
            json!(null),
            json!(true),
            json!([1_700_000_000]),
            json!({}),
        ] {
            assert_eq!(numeric_date(&value), None, "{value}");
        }
    }
}
