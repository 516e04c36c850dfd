//! rpc-error (RFC 6241 4.3 and appendix A).

use yang5::context::Context;

use super::xml::escape;

/// One error, all of its fields.
#[derive(Clone, Debug)]
pub(super) struct RpcError {
    layer: &'static str,
    pub tag: String,
    app_tag: Option<String>,
    path: Option<Box<XPath>>,
    message: String,
    /// Elements of error-info, name and text.
    info: Vec<(&'static str, String)>,
}

/// A data path whose every step carries a prefix, and what the prefixes mean.
#[derive(Clone, Debug, PartialEq, Eq)]
struct XPath {
    text: String,
    namespaces: Vec<(String, String)>,
}

impl RpcError {
    /// An error of the operation itself (error-type protocol).
    pub fn protocol(tag: &str, message: impl Into<String>) -> Self {
        Self {
            layer: "protocol",
            tag: tag.to_owned(),
            app_tag: None,
            path: None,
            message: message.into(),
            info: Vec::new(),
        }
    }

    /// An error of the message around the operation (error-type rpc).
    pub fn rpc(tag: &str, message: impl Into<String>) -> Self {
        Self { layer: "rpc", ..Self::protocol(tag, message) }
    }

    /// An error of the configuration (error-type application).
    pub fn data(tag: &str, message: impl Into<String>) -> Self {
        Self { layer: "application", ..Self::protocol(tag, message) }
    }

    pub fn info(mut self, name: &'static str, text: impl ToString) -> Self {
        self.info.push((name, text.to_string()));
        self
    }

    /// Names the node, by libyang's data path.
    pub fn at(mut self, context: &Context, path: &str) -> Self {
        self.path = (!path.is_empty()).then(|| Box::new(XPath::from_data_path(context, path)));
        self
    }

    /// What libyang says of a tree that is not valid, in the tags of RFC 7950 8.3 and 15.
    pub fn invalid(context: &Context, error: &yang5::Error) -> Self {
        let message = error.to_string();
        let tag = match error.apptag.as_deref() {
            Some("instance-required" | "missing-choice") => "data-missing",
            Some(_) => "operation-failed",
            None if is_false_when(error) => "unknown-element",
            None if message.starts_with("Mandatory") => "data-missing",
            None => "operation-failed",
        };
        let mut new = Self::data(tag, message).at(context, error.path.as_deref().unwrap_or_default());
        new.app_tag.clone_from(&error.apptag);
        new
    }

    /// What it says to people, and where.
    pub fn message(&self) -> String {
        match &self.path {
            Some(path) => format!("{} ({})", self.message, path.text),
            None => self.message.clone(),
        }
    }

    pub fn to_xml(&self) -> String {
        let mut out = format!(
            "<rpc-error><error-type>{}</error-type><error-tag>{}</error-tag><error-severity>error</error-severity>",
            self.layer,
            escape(&self.tag)
        );
        if let Some(app_tag) = &self.app_tag {
            out += &format!("<error-app-tag>{}</error-app-tag>", escape(app_tag));
        }
        if let Some(path) = &self.path {
            out += "<error-path";
            for (prefix, ns) in &path.namespaces {
                out += &format!(" xmlns:{prefix}=\"{}\"", escape(ns));
            }
            out += &format!(">{}</error-path>", escape(&path.text));
        }
        out += &format!("<error-message xml:lang=\"en\">{}</error-message>", escape(&self.message));
        if !self.info.is_empty() {
            out += "<error-info>";
            for (name, text) in &self.info {
                out += &format!("<{name}>{}</{name}>", escape(text));
            }
            out += "</error-info>";
        }
        out + "</rpc-error>"
    }
}

/// What libyang cannot do for reasons other than the data.
impl From<yang5::Error> for RpcError {
    fn from(error: yang5::Error) -> Self {
        Self::data("operation-failed", error.to_string())
    }
}

/// Whether libyang refused a node because its `when` is false.
pub(super) fn is_false_when(error: &yang5::Error) -> bool {
    error.msg.as_deref().is_some_and(|message| message.starts_with("When condition"))
}

impl XPath {
    /// libyang names a module only where it changes: `/a:x/y[k='v']/b:z`.
    fn from_data_path(context: &Context, path: &str) -> Self {
        let mut new = Self { text: String::new(), namespaces: Vec::new() };
        let mut prefix = String::new();
        let mut rest = path;
        while let Some(first) = rest.chars().next() {
            let (copied, after) = match first {
                // A quoted value goes over as it is.
                '\'' | '"' => rest.split_at(rest[1..].find(first).map_or(rest.len(), |end| end + 2)),
                _ => rest.split_at(first.len_utf8()),
            };
            new.text += copied;
            rest = after;
            if first == '/' || first == '[' {
                let (mut name, after) = rest.split_at(rest.find(['/', '[', '=', ']']).unwrap_or(rest.len()));
                if let Some((module, local)) = name.split_once(':') {
                    prefix = new.declare(context, module);
                    name = local;
                }
                // `[.='100']` and `[1]` carry no name.
                if name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                    new.text = new.text + &prefix + ":";
                }
                new.text += name;
                rest = after;
            }
        }
        new
    }

    fn declare(&mut self, context: &Context, module: &str) -> String {
        let found = context.get_module_implemented(module);
        let (prefix, ns) = match &found {
            Some(found) => (found.prefix(), found.namespace()),
            None => (module, ""),
        };
        if !self.namespaces.iter().any(|(known, _)| known == prefix) {
            self.namespaces.push((prefix.to_owned(), ns.to_owned()));
        }
        prefix.to_owned()
    }
}
