//! Real peers for the tests, each private to the test that starts it: its own temporary
//! directory, its own port, and gone when the value is dropped, also when the test panics.
//!
//! * [`Netconfd`]: Debian's netconfd behind an sshd of our own.
//! * [`RawClient`]: a NETCONF session through OpenSSH, to look at a server, or to be in the way.
//! * [`Proxy`]: stops or loses one exact message between sshd and netconfd, or one command.
//! * [`OpenVswitch`]: a switch that forwards, behind an sshd of our own, and the machines
//!   ([`host::Host`]) on its ports.
//! * [`AsyncSsh`]: an SSH server with other logins and algorithms than OpenSSH's.
//! * [`OpenSsh`]: OpenSSH's server, for commands and shells.
//! * [`Lighttpd`]: a web server in front of a service, with its own idea of authentication and TLS.
//! * [`Authority`]: certificates for those who speak TLS.
//! * [`Serve`]: `mercury serve` as a process that can be killed.
//!
//! A test that needs them begins with `if !require(&[Peer::Netconfd]) { return; }`.

mod asyncssh;
mod authority;
pub mod host;
mod lighttpd;
mod netconfd;
mod netns;
mod openssh;
mod openvswitch;
pub mod process;
mod proxy;
mod raw_client;
mod selftest;
mod serve;
mod sshd;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use asyncssh::{AsyncSsh, Login};
pub use authority::Authority;
pub use lighttpd::Lighttpd;
pub use netconfd::{Netconfd, Options, Shape};
pub use openssh::OpenSsh;
pub use openvswitch::{BRIDGE, OpenVswitch, Port, Ran};
pub use process::{command, poll_pause};
pub use proxy::{Action, Event, Proxy, Rule};
pub use raw_client::RawClient;
pub use serve::{Address, Serve};

/// How long a peer may take for anything before the test fails. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a test cannot do without.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    Netconfd,
    OpenSsh,
    /// Open vSwitch, and root, who may make network namespaces.
    OpenVswitch,
    AsyncSsh,
    Ncclient,
    /// Logs in to command lines.
    Netmiko,
    /// pygnmi, and the stubs of gnmi-pb.
    PyGnmi,
    Lighttpd,
    Curl,
    /// Python's requests, and the keystoneauth that Ironic calls through.
    PythonHttp,
    Ironic,
    /// The directory of OpenConfig's own modules.
    OpenConfig,
    /// `systemd-analyze`; systemd need not run.
    Systemd,
}

impl Peer {
    /// What is missing and what to do about it.
    fn missing(self) -> Option<String> {
        let needed = match self {
            Self::Netconfd => {
                let programs = ["/usr/sbin/netconfd", "/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/setpriv"];
                let mut needed: Vec<PathBuf> = programs.iter().map(PathBuf::from).collect();
                needed.extend([openconfig_dir(), python()]);
                needed
            }
            Self::OpenSsh => vec!["/usr/sbin/sshd".into(), "/usr/bin/setpriv".into()],
            Self::OpenVswitch => {
                let programs = ["/usr/sbin/ovs-vswitchd", openvswitch::SCHEMA, "/usr/bin/ovs-vsctl"];
                let others = ["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/setpriv"];
                let mut needed: Vec<PathBuf> = programs.iter().chain(&others).map(PathBuf::from).collect();
                needed.push(python());
                needed
            }
            Self::Lighttpd => vec![lighttpd_dir().join("usr/sbin/lighttpd"), "/usr/bin/setpriv".into()],
            Self::AsyncSsh | Self::Ncclient | Self::PythonHttp => vec![python()],
            Self::Netmiko => vec![checkout().join(".venv/bin/netmiko-show")],
            Self::PyGnmi => vec![checkout().join(".venv/bin/pygnmicli")],
            Self::Curl => vec![PathBuf::from("/usr/bin/curl")],
            Self::Ironic => vec![ironic_programs().join("ironic"), PathBuf::from("/usr/bin/setpriv")],
            Self::OpenConfig => vec![openconfig_dir()],
            Self::Systemd => vec![PathBuf::from("/usr/bin/systemd-analyze")],
        };
        if let Some(path) = needed.into_iter().find(|path| !path.exists()) {
            return Some(format!("{} is missing; run tests/peers/setup.sh", path.display()));
        }
        (matches!(self, Self::OpenVswitch) && !netns::possible())
            .then(|| "no network namespace can be made; run the tests as root".to_owned())
    }
}

/// Whether all `peers` are installed. If not: says on stderr that the test is skipped, past the
/// harness's capture; where `CI=true`, where nothing may be skipped, panics.
pub fn require(peers: &[Peer]) -> bool {
    let Some(why) = peers.iter().find_map(|peer| peer.missing()) else { return true };
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
    let thread = std::thread::current();
    writeln!(std::io::stderr(), "SKIPPED {}: {why}", thread.name().unwrap_or("?"))
        .expect("stderr takes a line");
    false
}

/// The Python of the tests' virtual environment: ncclient, netmiko and asyncssh are in it.
pub fn python() -> PathBuf {
    checkout().join(".venv/bin/python")
}

/// The directory of Ironic's programs, in a virtual environment of their own.
pub fn ironic_programs() -> PathBuf {
    checkout().join(".venv-ironic/bin")
}

/// All of OpenConfig's and the IETF's modules in one flat directory.
pub fn openconfig_dir() -> PathBuf {
    checkout().join(".cache/openconfig")
}

/// Debian's package, unpacked.
fn lighttpd_dir() -> PathBuf {
    checkout().join(".cache/lighttpd")
}

/// The program under test.
pub fn mercury_bin() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mercury"))
}

/// A file in tests/peers.
pub fn script(name: &str) -> PathBuf {
    checkout().join("tests/peers").join(name)
}

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Waits for `future`, but not forever.
pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}
