//! Values on the wire, and leaves as text (gNMI specification 2.3, RFC 7951).

use serde_json::Value as Json;
use tonic::Status;
use yang5::schema::{DataValueType, SchemaNode};

use super::spec::GnmiSpec;
use crate::gnmi::{Encoding, TypedValue, Value};

/// What an update carries.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Json { value: Json, ietf: bool },
    Scalar(String),
    Scalars(Vec<String>),
}

impl Body {
    pub fn new(spec: &GnmiSpec, value: Option<&TypedValue>) -> Result<Self, Status> {
        let value = value.and_then(|value| value.value.as_ref());
        match value.ok_or_else(|| Status::invalid_argument("an update without a value"))? {
            Value::Json(text) => Self::parse(spec, text, Encoding::Json),
            Value::JsonIetf(text) => Self::parse(spec, text, Encoding::JsonIetf),
            Value::LeafList(list) => {
                let elements = list.element.iter().map(|element| match &element.value {
                    Some(value) => scalar(value),
                    None => Err(Status::invalid_argument("a list of values has one that is none")),
                });
                elements.collect::<Result<_, _>>().map(Self::Scalars)
            }
            value => scalar(value).map(Self::Scalar),
        }
    }

    fn parse(spec: &GnmiSpec, text: &[u8], encoding: Encoding) -> Result<Self, Status> {
        takes(spec, encoding)?;
        let value = serde_json::from_slice(text);
        let value = value.map_err(|error| Status::invalid_argument(format!("no JSON: {error}")))?;
        Ok(Self::Json { value, ietf: encoding == Encoding::JsonIetf })
    }

    pub fn is_ietf(&self) -> bool {
        matches!(self, Self::Json { ietf: true, .. })
    }

    /// The JSON, for what is no leaf.
    pub fn json(&self, path: &str) -> Result<&Json, Status> {
        match self {
            Self::Json { value, .. } => Ok(value),
            _ => Err(Status::invalid_argument(format!("{path} is no leaf and takes JSON"))),
        }
    }

    /// The value of a leaf.
    pub fn scalar(&self, leaf: &SchemaNode<'_>) -> Result<String, Status> {
        match self {
            Self::Json { value, ietf } => text(value, leaf, *ietf),
            Self::Scalar(value) => Ok(value.clone()),
            Self::Scalars(_) => Err(Status::invalid_argument(format!("{} has one value", leaf.name()))),
        }
    }

    /// The values of a leaf-list.
    pub fn scalars(&self, list: &SchemaNode<'_>) -> Result<Vec<String>, Status> {
        match self {
            Self::Json { value: Json::Array(values), ietf } => {
                values.iter().map(|value| text(value, list, *ietf)).collect()
            }
            Self::Scalars(values) => Ok(values.clone()),
            _ => Err(Status::invalid_argument(format!("{} takes a list of values", list.name()))),
        }
    }
}

/// Whether the target carries an encoding out.
pub(super) fn takes(spec: &GnmiSpec, encoding: Encoding) -> Result<(), Status> {
    let known = matches!(encoding, Encoding::Json | Encoding::JsonIetf);
    match known && spec.encodings.contains(&encoding) && !spec.quirks.refused_encodings.contains(&encoding) {
        true => Ok(()),
        false => Err(Status::unimplemented(format!("encoding {encoding:?} is not supported"))),
    }
}

fn scalar(value: &Value) -> Result<String, Status> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Int(number) => Ok(number.to_string()),
        Value::Uint(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Double(number) => Ok(number.to_string()),
        Value::Decimal(number) => {
            let divisor = 10_f64.powi(i32::try_from(number.precision.min(18)).unwrap_or_default());
            #[expect(clippy::cast_precision_loss, reason = "the field is deprecated for that")]
            Ok((number.digits as f64 / divisor).to_string())
        }
        _ => Err(Status::unimplemented("a value of this kind is not supported")),
    }
}

/// A leaf's JSON as libyang's text. With `ietf` it must have the type that RFC 7951 6 gives it.
pub(super) fn text(value: &Json, leaf: &SchemaNode<'_>, ietf: bool) -> Result<String, Status> {
    let base = leaf.leaf_type().map_or(DataValueType::Unknown, |leaf_type| {
        let real = leaf_type.leafref_real_type().map(|real| real.base_type());
        real.unwrap_or_else(|| leaf_type.base_type())
    });
    let fits = match base {
        DataValueType::Union | DataValueType::Unknown => true,
        DataValueType::Bool => value.is_boolean(),
        DataValueType::Empty => is_empty_value(value),
        DataValueType::Uint8
        | DataValueType::Uint16
        | DataValueType::Uint32
        | DataValueType::Int8
        | DataValueType::Int16
        | DataValueType::Int32 => value.is_number(),
        DataValueType::Uint64 | DataValueType::Int64 | DataValueType::Dec64 => {
            value.is_string() || (!ietf && value.is_number())
        }
        _ => value.is_string(),
    };
    match value {
        Json::String(text) if fits => Ok(text.clone()),
        Json::Number(number) if fits => Ok(number.to_string()),
        Json::Bool(value) if fits => Ok(value.to_string()),
        _ if fits && is_empty_value(value) => Ok(String::new()),
        _ => Err(Status::invalid_argument(format!("{}: {value} is not of its type", leaf.name()))),
    }
}

/// RFC 7951 6.9.
fn is_empty_value(value: &Json) -> bool {
    value.as_array().is_some_and(|array| array.len() == 1 && array[0].is_null())
}
