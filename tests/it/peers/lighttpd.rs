//! lighttpd as a reverse proxy in front of a service.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::process::{Process, command, poll_pause};
use super::{Address, lighttpd_dir, patiently};

/// A running server. Dropping it kills it.
pub struct Lighttpd {
    pub port: u16,
    dir: TempDir,
    _process: Process,
}

impl Lighttpd {
    /// Passes everything on to `backend`, whatever the path, as `/`. `lines` are added to its
    /// configuration; `{dir}` in them is its private directory, into which `files` are put first.
    pub async fn start(backend: &Address, lines: &str, files: &[(&str, String)]) -> Self {
        let dir = TempDir::with_prefix("lighttpd-").expect("a temporary directory");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("the directory is ours");
        }
        let backend = match backend {
            Address::Http(address) => {
                let (host, port) = address.rsplit_once(':').expect("HOST:PORT");
                format!("\"host\" => \"{host}\", \"port\" => {port}")
            }
            Address::Https(_) => panic!("lighttpd speaks no TLS to what is behind it"),
            Address::Unix(path) => format!("\"host\" => \"{}\"", path.display()),
        };
        let lines = lines.replace("{dir}", &dir.path().display().to_string());
        let common = format!(
            "server.modules = (\"mod_auth\", \"mod_authn_file\", \"mod_proxy\", \"mod_openssl\")\n\
             server.bind = \"127.0.0.1\"\nserver.document-root = \"/nonexistent\"\n\
             proxy.server = (\"\" => (({backend})))\n\
             proxy.header = (\"map-urlpath\" => (\"/sha256/\" => \"/\", \"/md5/\" => \"/\", \"/both/\" => \"/\", \"/basic/\" => \"/\"))\n{lines}\n"
        );
        loop {
            let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = probe.local_addr().expect("bound").port();
            drop(probe);
            let config = dir.path().join("lighttpd.conf");
            fs::write(&config, format!("{common}server.port = {port}\n")).expect("the directory is ours");
            let log = dir.path().join("log");
            let mut server = command(lighttpd_dir().join("usr/sbin/lighttpd"));
            server.arg("-D").arg("-f").arg(config).arg("-m").arg(lighttpd_dir().join("usr/lib/lighttpd"));
            server.stderr(File::create(&log).expect("the directory is ours"));
            let mut process = Process::spawn(&mut server);
            if patiently("lighttpd to listen", is_ready(&mut process, port, log)).await {
                return Self { port, dir, _process: process };
            }
        }
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// False if the port was taken. Nobody tells when it listens, so it is asked again and again.
async fn is_ready(process: &mut Process, port: u16, log: PathBuf) -> bool {
    loop {
        let said = fs::read_to_string(&log).unwrap_or_default();
        if process.ended().is_some() {
            assert!(said.contains("in use"), "lighttpd ended: {said}");
            return false;
        }
        // Somebody else's port would answer as well; ours says so.
        if said.contains("server started") && TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return true;
        }
        poll_pause().await;
    }
}
