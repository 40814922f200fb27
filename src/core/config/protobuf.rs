//! `google.protobuf.Struct` as JSON: Envoy passes a plugin configuration of that type on in its
//! binary form.

use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Struct, Value as ProtoValue};
use serde_json::{Map, Number, Value};

/// The JSON object that a Struct stands for. None: not a Struct, or nothing in it.
pub(super) fn json(bytes: &[u8]) -> Option<Value> {
    let decoded = Struct::decode(bytes).ok()?;
    (!decoded.fields.is_empty()).then(|| object(decoded))
}

fn object(decoded: Struct) -> Value {
    let members = decoded
        .fields
        .into_iter()
        .map(|(name, member)| (name, value(member)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn value(decoded: ProtoValue) -> Value {
    match decoded.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::NumberValue(number)) => {
            Number::from_f64(number).map_or(Value::Null, Value::Number)
        }
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(value).collect()),
        Some(Kind::StructValue(inner)) => object(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_reads_as_the_json_it_was_written_as() {
        let text = |text: &str| ProtoValue {
            kind: Some(Kind::StringValue(text.into())),
        };
        let list = prost_types::ListValue {
            values: vec![text("a")],
        };
        let inner = Struct {
            fields: [("ttl".into(), text("15m"))].into(),
        };
        let outer = Struct {
            fields: [
                ("issuer".into(), text("https://idp.example")),
                (
                    "scopes".into(),
                    ProtoValue {
                        kind: Some(Kind::ListValue(list)),
                    },
                ),
                (
                    "session".into(),
                    ProtoValue {
                        kind: Some(Kind::StructValue(inner)),
                    },
                ),
            ]
            .into(),
        };
        assert_eq!(
            json(&outer.encode_to_vec()),
            Some(
                serde_json::json!({"issuer": "https://idp.example", "scopes": ["a"], "session": {"ttl": "15m"}})
            )
        );
        assert_eq!(json(b""), None);
        assert_eq!(json(b"nonsense"), None);
    }
}
