//! Where a request goes: `http://HOST:PORT/PATH`, `https://...` or `unix:/PATH`.

use std::fmt;
use std::path::PathBuf;

use hyper::Uri;
use hyper::http::uri::Scheme;

/// What a connection is made to, and what credentials are for (RFC 6454 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Unix(PathBuf),
    Http { host: String, port: u16 },
    Https { host: String, port: u16 },
}

/// An origin, and the path and query there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub origin: Origin,
    pub target: String,
}

impl Place {
    pub fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err("a unix socket is named by an absolute path: unix:/run/mercury.sock".to_owned());
            }
            return Ok(Self { origin: Origin::Unix(path.into()), target: "/".to_owned() });
        }
        let form = || "it must be http://HOST:PORT, https://HOST:PORT or unix:/PATH".to_owned();
        let uri: Uri = url.parse().map_err(|_| form())?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(form()) };
        if authority.as_str().contains('@') {
            return Err("an address holds no user name or password: others can read it".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        // A port that is no port reads as none: the default would be another service.
        let names_port = authority.as_str().len() > authority.host().len();
        if host.is_empty() || (names_port && authority.port_u16().is_none()) {
            return Err(form());
        }
        let port = |default| authority.port_u16().unwrap_or(default);
        let origin = match scheme {
            scheme if *scheme == Scheme::HTTP => Origin::Http { host, port: port(80) },
            scheme if *scheme == Scheme::HTTPS => Origin::Https { host, port: port(443) },
            _ => return Err(form()),
        };
        Ok(Self { origin, target: uri.path_and_query().map_or("/", |target| target.as_str()).to_owned() })
    }

    /// Where a `Location` leads from here: another path, or a whole address. A path relative to this
    /// one is not understood; no JSON-RPC service has reason to send it.
    pub fn join(&self, location: &str) -> Result<Self, String> {
        match location.starts_with('/') && !location.starts_with("//") {
            true => Ok(Self { origin: self.origin.clone(), target: location.to_owned() }),
            false => Self::parse(location),
        }
    }
}

impl Origin {
    /// The `Host` header (RFC 9112 3.2).
    pub fn host_header(&self) -> String {
        let (host, port, default) = match self {
            Self::Unix(_) => return "localhost".to_owned(),
            Self::Http { host, port } => (host, *port, 80),
            Self::Https { host, port } => (host, *port, 443),
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if port == default { host } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = if self.target == "/" { "" } else { &self.target };
        match &self.origin {
            Origin::Unix(path) => write!(f, "unix:{}", path.display()),
            origin @ Origin::Http { .. } => write!(f, "http://{}{target}", origin.host_header()),
            origin @ Origin::Https { .. } => write!(f, "https://{}{target}", origin.host_header()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let host = |host: &str| host.to_owned();
        for (url, origin, target) in [
            ("http://127.0.0.1:8089", Origin::Http { host: host("127.0.0.1"), port: 8089 }, "/"),
            ("http://leaf/", Origin::Http { host: host("leaf"), port: 80 }, "/"),
            ("https://[::1]/v1?a=b", Origin::Https { host: host("::1"), port: 443 }, "/v1?a=b"),
            ("unix:/run/m.sock", Origin::Unix("/run/m.sock".into()), "/"),
        ] {
            let place = Place::parse(url).unwrap();
            assert_eq!(place, Place { origin, target: target.to_owned() });
            assert_eq!(Place::parse(&place.to_string()).unwrap(), place);
        }
        for bad in [
            "",
            "127.0.0.1:8089",
            "/",
            "ftp://h",
            "unix:m.sock",
            "http://",
            "http://h:99999",
            "http://h:x",
            "http://u:p@h",
            "http://a b",
        ] {
            let why = Place::parse(bad).unwrap_err();
            assert!(!why.contains("u:p"), "{why}");
        }
    }

    #[test]
    fn locations_are_paths_or_addresses() {
        let here = Place::parse("https://h:1/").unwrap();
        assert_eq!(here.join("/v1/").unwrap(), Place::parse("https://h:1/v1/").unwrap());
        assert_eq!(here.join("http://other/x").unwrap(), Place::parse("http://other/x").unwrap());
        assert!(here.join("//other/x").is_err());
        assert!(here.join("v1").is_err());
    }
}
