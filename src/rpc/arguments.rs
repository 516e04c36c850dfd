//! Named arguments, read strictly: a value is of the type it should be or the call is refused, and
//! the refusal names it as the caller wrote it.

use serde_json::{Map, Value};

use crate::intent::{Description, IntentError};
use crate::quote::quoted;
use crate::rpc::error::RpcError;
use crate::vlan::VlanId;

/// Which arguments a method takes. `rpc.version` is Ironic's and allowed everywhere.
#[derive(Debug)]
pub struct Signature {
    pub method: &'static str,
    pub required: &'static [&'static str],
    pub optional: &'static [&'static str],
}

/// The arguments of one call: all that are required, none that is unknown.
#[derive(Debug)]
pub struct Arguments<'v>(&'v Map<String, Value>);

/// A value and what the caller calls it: `port.trunk_details.sub_ports[0].segmentation_id`. What is
/// absent is null.
#[derive(Clone, Debug)]
pub struct Field<'v> {
    pub name: String,
    pub value: &'v Value,
}

/// How many unknown names an error tells.
const MAX_TOLD: usize = 8;

impl Signature {
    /// Checks the names, and that a context is an object. Values are checked as they are read.
    pub fn bind<'v>(&self, params: &'v Value) -> Result<Arguments<'v>, RpcError> {
        let fail = |why: String| RpcError::Arguments { method: self.method, why };
        let Value::Object(given) = params else {
            return Err(fail("parameters are passed by name, as an object".to_owned()));
        };
        let is_known = |name: &&String| {
            let name = name.as_str();
            name == "rpc.version" || self.required.contains(&name) || self.optional.contains(&name)
        };
        // A body has room for a hundred thousand, and all that is told is logged.
        let unknown = given.keys().filter(|name| !is_known(name)).map(|name| quoted(name));
        let mut unknown: Vec<String> = unknown.take(MAX_TOLD + 1).collect();
        if unknown.len() > MAX_TOLD {
            unknown[MAX_TOLD] = "...".to_owned();
        }
        let missing: Vec<String> = self
            .required
            .iter()
            .filter(|name| !given.contains_key(**name))
            .map(|name| quoted(name))
            .collect();
        let complaints: Vec<String> = [("missing", missing), ("unknown", unknown)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what} parameters: {}", names.join(", ")))
            .collect();
        if !complaints.is_empty() {
            return Err(fail(complaints.join("; ")));
        }
        match given.get("context") {
            Some(Value::Object(_)) => {}
            None | Some(Value::Null) if !self.required.contains(&"context") => {}
            _ => return Err(fail("`context` must be an object".to_owned())),
        }
        Ok(Arguments(given))
    }
}

impl<'v> Arguments<'v> {
    /// One argument; null when it is absent.
    pub fn field(&self, name: &str) -> Field<'v> {
        Field { name: name.to_owned(), value: self.0.get(name).unwrap_or(&Value::Null) }
    }
}

impl<'v> Field<'v> {
    /// A member of an object; null when it or the object is absent.
    pub fn member(&self, key: &str) -> Result<Field<'v>, RpcError> {
        let value = match self.value {
            Value::Object(members) => members.get(key).unwrap_or(&Value::Null),
            Value::Null => &Value::Null,
            _ => return Err(self.must_be("an object")),
        };
        Ok(Field { name: format!("{}.{key}", self.name), value })
    }

    /// The elements of a list.
    pub fn elements(&self) -> Result<Vec<Field<'v>>, RpcError> {
        let Value::Array(values) = self.value else { return Err(self.must_be("a list")) };
        let element = |(n, value)| Field { name: format!("{}[{n}]", self.name), value };
        Ok(values.iter().enumerate().map(element).collect())
    }

    /// Reads the value unless it is null.
    pub fn optional<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, RpcError>,
    ) -> Result<Option<T>, RpcError> {
        if self.value.is_null() { Ok(None) } else { read(self).map(Some) }
    }

    /// A text that can be logged and sent: 1 to 255 characters, no control characters.
    pub fn text(&self) -> Result<String, RpcError> {
        // The rule for a description is the rule for every text.
        self.parse(Description::new).map(|text| text.as_str().to_owned())
    }

    /// A text that `parse` takes.
    pub fn parse<T>(
        &self,
        parse: impl FnOnce(&str, &'static str) -> Result<T, IntentError>,
    ) -> Result<T, RpcError> {
        let Value::String(text) = self.value else { return Err(self.must_be("a string")) };
        // An intent's error begins with a fixed name; this value's own may hold an index.
        parse(text, "text").map_err(|error| {
            let error = error.to_string();
            self.refuse(error.strip_prefix("text: ").unwrap_or(&error))
        })
    }

    /// A VLAN id: a JSON integer, so no `true`, no `"100"`, no `100.0`.
    pub fn vlan(&self) -> Result<VlanId, RpcError> {
        self.integer(1, 4094).and_then(|id| VlanId::new(id).map_err(|error| self.refuse(&error.to_string())))
    }

    /// A JSON integer within bounds, both included.
    pub fn integer(&self, least: i64, most: i64) -> Result<i64, RpcError> {
        match self.value.as_i64() {
            Some(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(self.must_be(&format!("an integer from {least} to {most}"))),
        }
    }

    /// `true` or `false`.
    pub fn flag(&self) -> Result<bool, RpcError> {
        self.value.as_bool().ok_or_else(|| self.must_be("true or false"))
    }

    /// The error that says what is wrong with this value.
    pub fn refuse(&self, why: &str) -> RpcError {
        RpcError::Value { parameter: self.name.clone(), why: why.to_owned() }
    }

    fn must_be(&self, expected: &str) -> RpcError {
        let found = match self.value {
            Value::Null => return self.refuse(&format!("it is required and must be {expected}")),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(_) => "a string".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        self.refuse(&format!("it must be {expected}, not {found}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vlan(value: Value) -> Result<VlanId, String> {
        Field { name: "native_vlan".to_owned(), value: &value }.vlan().map_err(|error| error.to_string())
    }

    #[test]
    fn vlans_are_json_integers() {
        assert_eq!(vlan(json!(4094)), Ok(VlanId::new(4094).unwrap()));
        let refused = |value, found: &str| {
            let message = format!("native_vlan: it must be an integer from 1 to 4094, not {found}");
            assert_eq!(vlan(value), Err(message));
        };
        refused(json!(0), "0");
        refused(json!(-100), "-100");
        refused(json!(4095), "4095");
        refused(json!(5000), "5000");
        refused(json!(u64::MAX), "18446744073709551615");
        refused(json!(100.0), "100.0");
        refused(json!(true), "true");
        refused(json!("100"), "a string");
        refused(json!([100]), "a list");
        assert!(vlan(Value::Null).unwrap_err().contains("required"));
    }

    #[test]
    fn errors_name_the_value_as_the_caller_wrote_it() {
        let port = json!({"binding:profile": {"local_link_information": [{}, {"port_id": "eth1\n"}]}});
        let port = Field { name: "port".to_owned(), value: &port };
        let links = port.member("binding:profile").unwrap().member("local_link_information").unwrap();
        let error = links.elements().unwrap()[1].member("port_id").unwrap().text().unwrap_err();
        assert_eq!(
            error.to_string(),
            "port.binding:profile.local_link_information[1].port_id: control character U+000A at position 5"
        );
    }

    #[test]
    fn names_are_checked_all_at_once() {
        let signature = Signature { method: "m", required: &["a", "b", "context"], optional: &["c"] };
        let bind = |params: Value| signature.bind(&params).map(drop).map_err(|error| error.to_string());
        assert_eq!(bind(json!({"a": 1, "b": null, "context": {}, "rpc.version": "1.0"})), Ok(()));
        assert_eq!(
            bind(json!({"a": 1, "d\n": 1})).unwrap_err(),
            "m: missing parameters: `b`, `context`; unknown parameters: `d\\n`"
        );
        let many: Value = (0..1000).map(|n| (format!("x{n}"), json!(1))).collect::<Map<_, _>>().into();
        let told = bind(many).unwrap_err();
        assert!(told.ends_with("`x103`, `x104`, ...") && told.len() < 200, "{told}");
        assert!(bind(json!([1, 2])).unwrap_err().contains("by name"));
        assert!(bind(json!({"a": 1, "b": 1, "context": null})).unwrap_err().contains("must be an object"));
    }
}
