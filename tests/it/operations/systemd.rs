//! What a service manager is told, and the unit that we ship.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use rustix::process::Signal;
use tokio::net::UnixDatagram;

use super::*;
use crate::peers::{Peer, mercury_bin, require};

async fn told(socket: &UnixDatagram) -> String {
    let mut message = [0; 4096];
    let length = patiently("a notification", socket.recv(&mut message)).await.expect("a datagram");
    String::from_utf8(message[..length].to_vec()).expect("text")
}

/// The next message that is no sign of life.
async fn told_besides(socket: &UnixDatagram) -> String {
    loop {
        match told(socket).await {
            message if message == "WATCHDOG=1\n" => {}
            message => return message,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_of_every_turn() {
    let site = site(&[]);
    let path = site.path("notify");
    let socket = UnixDatagram::bind(&path).expect("the directory is ours");
    let environment = [("NOTIFY_SOCKET", path.to_str().expect("a path")), ("WATCHDOG_USEC", "200000")];
    let mut service = site.serve_with("info", &environment).await;
    assert_eq!(told_besides(&socket).await, "READY=1\n");
    let mut alive = 0;
    while alive < 3 {
        assert_eq!(told(&socket).await, "WATCHDOG=1\n");
        alive += 1;
    }
    service.process.signal(Signal::HUP);
    let reloading = told_besides(&socket).await;
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told_besides(&socket).await, "READY=1\n");
    service.process.signal(Signal::TERM);
    assert_eq!(told_besides(&socket).await, "STOPPING=1\n");
    assert!(service.process.wait().await.success());
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    if !require(&[Peer::Systemd]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let unit = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/devices/examples/mercury.service"));
    // It looks for the program where the unit says it is.
    let program = dir.path().join("mercury");
    symlink(mercury_bin(), &program).expect("the directory is ours");
    let unit = unit.expect("it is in the checkout").replace("/usr/bin/mercury", &program.to_string_lossy());
    let file = dir.path().join("mercury.service");
    fs::write(&file, unit).expect("the directory is ours");
    let verified = Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&file).output();
    let verified = verified.expect("it runs");
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !said.contains("mercury.service"), "{said}");
}
