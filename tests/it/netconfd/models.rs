//! What a server lists of itself, and its models.

use std::collections::BTreeSet;

use tokio::process::Command;

use crate::peers::{Netconfd, Peer, Shape, mercury_bin, openconfig_dir, require};
use crate::service::Site;

/// Exit code, standard output and standard error.
async fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let ended =
        Command::new(mercury_bin()).args(arguments).kill_on_drop(true).output().await.expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

#[tokio::test]
async fn its_models_come_into_a_directory_to_review() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let server = Netconfd::start(Shape::Candidate).await;
    let site = Site::of(&server);
    let config = site.write("info");
    let (config, into) = (config.to_str().expect("text"), site.path("models"));
    let (devices, into_text) = ("leaf1", into.to_str().expect("text"));
    let fetch = async |more: &[&str]| {
        let arguments = ["schema", "fetch", devices, "--config", config, "--into", into_text];
        run(&[&arguments, more].concat()).await
    };
    let files = || -> BTreeSet<String> {
        let entries = std::fs::read_dir(&into).expect("it was made");
        entries.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect()
    };

    // One module with all that it imports is what the server was started with, to the byte.
    let (code, out, err) = fetch(&["--module", "openconfig-vlan"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("libyang reads them"), "{out}");
    let names = files();
    for name in
        ["openconfig-vlan@", "openconfig-interfaces@", "openconfig-if-ethernet@", "openconfig-vlan-types@"]
    {
        let own =
            names.iter().find(|file| file.starts_with(name)).unwrap_or_else(|| panic!("{name}: {names:?}"));
        let module = name.trim_end_matches('@');
        let there = openconfig_dir().join(format!("{module}.yang"));
        let text = |path: &str| std::fs::read_to_string(path).expect("a file").trim().to_owned();
        assert!(
            text(into.join(own).to_str().expect("text")) == text(there.to_str().expect("text")),
            "{module}"
        );
    }
    // What was reviewed is not written over.
    let (code, _, err) = fetch(&["--module", "openconfig-vlan"]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("File exists"), "{err}");

    std::fs::remove_dir_all(&into).expect("it is there");
    let (code, _, err) = fetch(&["--module", "no-such-module", "--module", "../../etc/passwd"]).await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains("no-such-module: the device refused: ") && err.contains("is no name of a module"),
        "{err}"
    );
    assert!(!into.exists(), "nothing was there to be reviewed");

    // All that it lists: as many files as modules, each under its own name.
    let (_, out, err) = fetch(&[]).await;
    assert!(files().len() > names.len() && out.contains(&format!("{} modules", files().len())), "{out}{err}");
    let (code, out, _) = run(&["probe", "--config", config]).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("\n      openconfig-interfaces 20"), "{out}");
}
