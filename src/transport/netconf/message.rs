//! What a NETCONF server says: its hello and its rpc-replies (RFC 6241 4.2, 4.3, 8.1).

use super::xml::{Cursor, Of, XmlError};
use crate::transport::{DeviceError, Offers, shown};

/// A server's hello (RFC 6241 8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub capabilities: Vec<String>,
    pub session_id: u32,
}

/// One rpc-reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub message_id: Option<String>,
    pub ok: bool,
    /// The content of `<data>`, each top-level element with the namespaces it needs.
    pub data: Option<String>,
    /// What get-schema brought (RFC 6022 3.1).
    pub schema: Option<String>,
    /// Every rpc-error whose severity is not `warning`.
    pub errors: Vec<DeviceError>,
    pub warnings: Vec<DeviceError>,
}

impl Hello {
    /// Reads a hello. Capabilities and a session-id are required of a server.
    pub fn parse(bytes: &[u8]) -> Result<Self, XmlError> {
        let mut xml = Cursor::open(bytes, "hello")?;
        let mut capabilities = Vec::new();
        let mut session_id = None;
        while let Some(name) = xml.child()? {
            match name {
                "capabilities" => {
                    while let Some(name) = xml.child()? {
                        let text = xml.text()?;
                        if name == "capability" {
                            capabilities.push(text);
                        }
                    }
                }
                "session-id" => session_id = Some(xml.text()?),
                _ => xml.skip()?,
            }
        }
        xml.end()?;
        let session_id = session_id.ok_or(XmlError::Missing("session-id"))?;
        match session_id.parse() {
            Ok(session_id @ 1..) => Ok(Self { capabilities, session_id }),
            _ => Err(XmlError::Value { element: "session-id", text: session_id }),
        }
    }

    /// Its capabilities, the modules among them told apart (RFC 6020 5.6.4).
    pub fn lists(&self) -> Offers {
        let has_more = self.offers("capability:yang-library:1.1");
        let mut offers = Offers { has_more, ..Offers::default() };
        for capability in &self.capabilities {
            let parameters = capability.split_once('?').map_or("", |(_, parameters)| parameters);
            let value = |key: &str| {
                let parameters = &mut parameters.split('&');
                parameters.find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).map(shown)
            };
            match value("module") {
                Some(module) => {
                    offers.models.insert(module, value("revision").unwrap_or_default());
                }
                None => offers.capabilities.push(shown(capability)),
            }
        }
        offers
    }

    /// Whether `urn:ietf:params:netconf:<name>` is offered, with or without parameters.
    pub fn offers(&self, name: &str) -> bool {
        self.capabilities.iter().any(|capability| {
            let uri = capability.split_once('?').map_or(capability.as_str(), |(uri, _)| uri);
            uri.strip_prefix("urn:ietf:params:netconf:") == Some(name)
        })
    }
}

impl Reply {
    /// Reads an rpc-reply. Elements it does not know are passed over.
    pub fn parse(bytes: &[u8]) -> Result<Self, XmlError> {
        let mut xml = Cursor::open(bytes, "rpc-reply")?;
        let mut reply = Self { message_id: xml.attribute("message-id"), ..Self::default() };
        while let Some((of, name)) = xml.known_child()? {
            match name {
                "data" if of == Of::Monitoring => reply.schema = Some(xml.text()?),
                _ if of != Of::Base => xml.skip()?,
                "ok" => {
                    reply.ok = true;
                    xml.skip()?;
                }
                "data" if reply.data.is_some() => return Err(XmlError::Repeated("data")),
                "data" => reply.data = Some(xml.content()?),
                "rpc-error" => {
                    let error = device_error(&mut xml)?;
                    if error.severity == "warning" { &mut reply.warnings } else { &mut reply.errors }
                        .push(error);
                }
                _ => xml.skip()?,
            }
        }
        xml.end()?;
        Ok(reply)
    }
}

fn device_error(xml: &mut Cursor) -> Result<DeviceError, XmlError> {
    let mut error = DeviceError::default();
    while let Some(name) = xml.child()? {
        match name {
            "error-type" => error.error_type = xml.text()?,
            "error-tag" => error.tag = xml.text()?,
            "error-severity" => error.severity = xml.text()?,
            "error-app-tag" => error.app_tag = Some(xml.text()?),
            "error-path" => error.path = Some(xml.text()?),
            "error-message" => error.message = Some(xml.text()?),
            "error-info" => error.info = Some(xml.raw()?.trim().to_owned()),
            _ => xml.skip()?,
        }
    }
    Ok(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = super::super::xml::BASE;

    fn reply(inner: &str) -> Result<Reply, XmlError> {
        Reply::parse(format!(r#"<rpc-reply message-id="1" xmlns="{BASE}">{inner}</rpc-reply>"#).as_bytes())
    }

    #[test]
    fn a_hello_with_any_prefix() {
        let hello = Hello::parse(
            format!(
                r#"<?xml version="1.0"?>
                <nc:hello xmlns:nc="{BASE}"
                   xmlns:other='urn:x'><!-- c --><other:session-id>9</other:session-id>
                  <nc:capabilities>
                    <nc:capability>
                      urn:ietf:params:netconf:base:1.1
                    </nc:capability>
                    <nc:capability>urn:ietf:params:netconf:capability:url:1.0?scheme=file&amp;x</nc:capability>
                  </nc:capabilities><nc:session-id> 4 </nc:session-id></nc:hello>
                "#
            )
            .as_bytes(),
        )
        .unwrap();
        assert_eq!(hello.session_id, 4);
        assert!(hello.offers("base:1.1") && hello.offers("capability:url:1.0") && !hello.offers("base:1.0"));
    }

    #[test]
    fn modules_are_told_apart() {
        let hello = |library: &str| {
            let module = "urn:x?module=a&amp;revision=2020-01-02";
            let list =
                [module, "urn:y?module=b", library].map(|uri| format!("<capability>{uri}</capability>"));
            let text = format!(
                r#"<hello xmlns="{BASE}"><capabilities>{}</capabilities><session-id>4</session-id></hello>"#,
                list.concat()
            );
            Hello::parse(text.as_bytes()).unwrap().lists()
        };
        let library = "urn:ietf:params:netconf:capability:yang-library:1.0?revision=2016-06-21";
        let offers = hello(library);
        let dates: Vec<_> = offers.models.iter().map(|(name, date)| (name.as_str(), date.as_str())).collect();
        assert_eq!((dates, offers.has_more), (vec![("a", "2020-01-02"), ("b", "")], false));
        assert_eq!(offers.capabilities, [library]);
        assert!(offers.lacks(&["c"]).is_some() && offers.lacks(&["a", "b"]).is_none());
        // All modules stand in the library then, and those of the hello are no proof.
        let offers = hello("urn:ietf:params:netconf:capability:yang-library:1.1?revision=2019-01-04");
        assert!(offers.has_more && offers.lacks(&["c"]).is_none());
    }

    #[test]
    fn hellos_that_are_none() {
        let of = |namespace: &str, inner: &str| {
            Hello::parse(format!(r#"<hello xmlns="{namespace}">{inner}</hello>"#).as_bytes()).unwrap_err()
        };
        assert!(matches!(of("urn:other", ""), XmlError::Root { .. }));
        assert_eq!(of(BASE, "<capabilities/>"), XmlError::Missing("session-id"));
        for id in ["0", "", "x", "-1", "4294967296"] {
            assert!(matches!(of(BASE, &format!("<session-id>{id}</session-id>")), XmlError::Value { .. }));
        }
        assert!(matches!(Hello::parse(b"<hello/>"), Err(XmlError::Root { .. })));
        assert!(matches!(Hello::parse(b"login:"), Err(XmlError::Syntax(_))));
        assert_eq!(Hello::parse(b"\xff"), Err(XmlError::Encoding));
    }

    #[test]
    fn all_seven_fields_of_several_errors() {
        let reply = reply(
            r#"<rpc-error>
                 <error-type>application</error-type><error-tag>data-exists</error-tag>
                 <error-severity>error</error-severity><error-app-tag>a &lt; b</error-app-tag>
                 <error-path xmlns:t="urn:t">/t:top[t:name='x']</error-path>
                 <error-message xml:lang="en">no <![CDATA[<way>]]></error-message>
                 <error-info><session-id>454</session-id><x:y xmlns:x="urn:x"/></error-info>
               </rpc-error>
               <rpc-error><error-tag>warned</error-tag><error-severity>warning</error-severity></rpc-error>
               <rpc-error><error-tag>data-missing</error-tag></rpc-error>"#,
        )
        .unwrap();
        let expected = DeviceError {
            error_type: "application".into(),
            tag: "data-exists".into(),
            severity: "error".into(),
            app_tag: Some("a < b".into()),
            path: Some("/t:top[t:name='x']".into()),
            message: Some("no <way>".into()),
            info: Some(r#"<session-id>454</session-id><x:y xmlns:x="urn:x"/>"#.into()),
        };
        assert_eq!(reply.errors[0], expected);
        assert_eq!(reply.errors[1].tag, "data-missing");
        assert_eq!(reply.warnings[0].tag, "warned");
        assert!(!reply.ok && reply.data.is_none());
    }

    #[test]
    fn attributes_over_several_lines_and_escaped_ids() {
        let text = format!(
            "<r:rpc-reply\n  user='a\"b'\n\tmessage-id\n=\n'&lt;&#49;&gt;'\r\n xmlns:r='{BASE}'><r:ok/></r:rpc-reply>"
        );
        let reply = Reply::parse(text.as_bytes()).unwrap();
        assert_eq!(reply.message_id.as_deref(), Some("<1>"));
        assert!(reply.ok);
    }

    #[test]
    fn data_stands_on_its_own() {
        let text = format!(
            "<r:rpc-reply xmlns:r=\"{BASE}\" xmlns='urn:d' xmlns:q='a\"&lt;' message-id='1'><r:data xmlns:o=\"urn:o\">\n\
             <top><q:leaf>o:id &amp; &#x31;</q:leaf></top><o:other xmlns:q=\"urn:q\"/> <!-- c -->\n</r:data></r:rpc-reply>"
        );
        let data = Reply::parse(text.as_bytes()).unwrap().data.unwrap();
        let all = format!(r#" xmlns:r="{BASE}" xmlns="urn:d" xmlns:q='a"&lt;' xmlns:o="urn:o""#);
        let without_q = format!(r#" xmlns:r="{BASE}" xmlns="urn:d" xmlns:o="urn:o""#);
        assert_eq!(
            data,
            format!(
                "\n<top{all}><q:leaf>o:id &amp; &#x31;</q:leaf></top><o:other{without_q} xmlns:q=\"urn:q\"/> <!-- c -->\n"
            )
        );
        assert_eq!(reply("<data/>").unwrap().data.as_deref(), Some(""));
    }

    #[test]
    fn what_is_refused() {
        let doctype = format!(r#"<!DOCTYPE r [<!ENTITY e "x">]><rpc-reply xmlns="{BASE}"><ok/></rpc-reply>"#);
        assert_eq!(Reply::parse(doctype.as_bytes()), Err(XmlError::Doctype));
        assert_eq!(reply("<data>&nbsp;</data>"), Err(XmlError::Entity("nbsp".into())));
        assert_eq!(reply(&"<a>".repeat(200)), Err(XmlError::TooDeep));
        assert_eq!(reply("<data/><data/>"), Err(XmlError::Repeated("data")));
        for bad in [
            "<ok>",
            "<ok></o>",
            "</rpc-reply>",
            "<x:ok/>",
            "&#0;",
            "<ok a=>",
            "a & b",
            "<data><a></data></a>",
        ] {
            assert!(matches!(reply(bad), Err(XmlError::Syntax(_))), "{bad}: {:?}", reply(bad));
        }
        for bad in [
            "",
            "not xml",
            "<ok/>",
            "<notification xmlns='urn:ietf:params:xml:ns:netconf:notification:1.0'/>",
        ] {
            assert!(Reply::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let long = format!("<data xmlns:l='{}'>{}</data>", "l".repeat(1 << 20), "<a xmlns=''/>".repeat(20));
        assert_eq!(reply(&long), Err(XmlError::TooLong));
        let twice = format!("<rpc-reply xmlns='{BASE}'><ok/></rpc-reply>").repeat(2);
        assert!(matches!(Reply::parse(twice.as_bytes()), Err(XmlError::Syntax(_))));
        let repeated = format!("<rpc-reply xmlns='{BASE}' message-id='1' message-id='2'><ok/></rpc-reply>");
        assert!(matches!(Reply::parse(repeated.as_bytes()), Err(XmlError::Syntax(_))));
    }

    proptest::proptest! {
        #[test]
        fn noise_never_panics(noise in "[<>&;/!\\[\\]a-c \"'=?:\u{e9}-]{0,80}") {
            let _ = reply(&noise);
            let _ = Reply::parse(noise.as_bytes());
            let _ = Hello::parse(noise.as_bytes());
        }
    }
}
