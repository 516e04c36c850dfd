use std::time::Duration;

use tokio::time::Instant;

use super::Talk;
use crate::sim::cli::CliSpec;

const PORT: &str = "set interfaces ge-0/0/1 unit 0 family ethernet-switching";

fn junos() -> Talk {
    Talk::new(&CliSpec::new("juniper_junos"))
}

/// In configuration mode.
fn configuring() -> Talk {
    let mut junos = junos();
    assert_eq!(junos.enter("configure").0, "Entering configuration mode\n");
    junos
}

/// The same device, someone else.
fn other(talk: &mut Talk) -> u32 {
    let other = talk.device.os.open();
    std::mem::replace(&mut talk.session, other)
}

#[test]
fn modes_and_refusals() {
    let mut junos = junos();
    assert_eq!(junos.enter("").1, "\nadmin@switch> ");
    assert_eq!(junos.enter("show frob").0, format!("{}^\nunknown command.\n", " ".repeat(14)));
    assert_eq!(junos.enter("set cli screen-length 0").0, "Screen length set to 0\n");
    assert_eq!(junos.enter("configure").1, "\n[edit]\nadmin@switch# ");
    let syntax = format!("{}^\nsyntax error.\n", " ".repeat(14 + 10));
    assert_eq!(junos.enter("set vlans blue great 1").0, format!("{}^\nsyntax error.\n", " ".repeat(14 + 15)));
    assert_eq!(junos.enter("set vlans;great").0.trim_start(), syntax.trim_start());
    assert_eq!(
        junos.enter("set vlans blue vlan-id 5000").0,
        "error: Value 5000 is not within range (1..4094)\n"
    );
    assert!(junos.enter("set vlans blue vlan-id").0.ends_with("^\nmissing argument.\n"));
    assert_eq!(junos.enter("delete vlans blue").0, "warning: statement not found\n");
    assert_eq!(
        junos.enter("exit"),
        ("Exiting configuration mode\n".to_owned(), "\nadmin@switch> ".to_owned())
    );
}

#[test]
fn set_compare_commit_rollback() {
    let mut junos = configuring();
    junos.quietly(&["set vlans blue vlan-id 100", "set vlans blue vlan-id 101"]);
    junos.quietly(&[
        "set interfaces ge-0/0/1 description \"to a server\"",
        &format!("{PORT} vlan members blue"),
    ]);
    junos.quietly(&[&format!("{PORT} vlan members 200"), "set interfaces ge-0/0/1 disable"]);
    let compared = "[edit]\n\
        +   interfaces {\n\
        +       ge-0/0/1 {\n\
        +           description \"to a server\";\n\
        +           disable;\n\
        +           unit 0 {\n\
        +               family ethernet-switching {\n\
        +                   vlan {\n\
        +                       members 200;\n\
        +                       members blue;\n\
        +                   }\n\
        +               }\n\
        +           }\n\
        +       }\n\
        +   }\n\
        [edit vlans]\n\
        +   blue {\n\
        +       vlan-id 101;\n\
        +   }\n";
    assert_eq!(junos.enter("show | compare").0, compared);
    assert!(!junos.running().contains("blue"));
    assert_eq!(junos.enter("commit").0, "commit complete\n");
    assert_eq!(junos.enter("run show configuration vlans blue").0, "vlan-id 101;\n");
    let port = "set interfaces ge-0/0/1 description \"to a server\"\nset interfaces ge-0/0/1 disable\n";
    let shown = junos.enter("show interfaces ge-0/0/1 | display set").0;
    assert_eq!(shown, format!("{port}{PORT} vlan members 200\n{PORT} vlan members blue\n"));

    junos.quietly(&["delete vlans blue"]);
    let failed = junos.enter("commit check").0;
    assert!(
        failed.contains("'members blue'") && failed.ends_with("error: configuration check-out failed\n"),
        "{failed}"
    );
    assert_eq!(junos.enter("commit").0, failed);
    assert_eq!(junos.enter("rollback 0").0, "load complete\n");
    assert_eq!(junos.enter("show | compare").0, "");
    junos.quietly(&["delete interfaces ge-0/0/1"]);
    assert_eq!(junos.enter("show interfaces").0, "");
    junos.enter("commit and-quit");
    assert_eq!(junos.enter("show configuration interfaces").0, "");
    junos.enter("configure");
    junos.enter("rollback 1");
    junos.enter("commit");
    assert!(junos.running().contains("members blue"));
}

#[test]
fn candidates_of_one_and_of_all() {
    let mut junos = configuring();
    junos.quietly(&["set vlans blue vlan-id 100"]);
    let (asked, prompt) = junos.enter("exit");
    assert_eq!(asked, "The configuration has been changed but not committed\n");
    assert_eq!(prompt, "Exit with uncommitted changes? [yes,no] (yes) ");
    assert_eq!(junos.enter("no").1, "\n[edit]\nadmin@switch# ");
    junos.enter("exit");
    assert_eq!(junos.enter("").0, "Exiting configuration mode\n");
    for mode in ["private", "exclusive"] {
        assert_eq!(junos.enter(&format!("configure {mode}")).0, "error: configuration database modified\n");
    }
    let someone = other(&mut junos);
    assert!(junos.enter("configure").0.ends_with("changed but not committed\n"));
    junos.enter("commit");
    assert!(junos.running().contains("blue"), "what another session left comes along");

    // Exclusive: nobody else changes anything.
    junos.enter("exit");
    assert!(
        junos.enter("configure exclusive").0.starts_with("warning: uncommitted changes will be discarded")
    );
    junos.quietly(&["set vlans red vlan-id 200"]);
    let holder = std::mem::replace(&mut junos.session, someone);
    for command in ["configure", "configure exclusive", "configure private"] {
        assert!(junos.enter(command).0.starts_with("error: configuration database locked by:\n"));
    }
    junos.device.os.close(holder);
    junos.enter("configure");
    assert_eq!(junos.enter("show | compare").0, "", "gone with the session");

    // Private: only one's own changes.
    junos.enter("exit");
    junos.enter("configure private");
    junos.quietly(&["set vlans red vlan-id 200"]);
    let someone = other(&mut junos);
    junos.enter("configure private");
    junos.quietly(&["delete vlans blue"]);
    junos.enter("commit");
    junos.session = someone;
    junos.enter("commit");
    assert!(junos.running().contains("red") && !junos.running().contains("blue"), "{}", junos.running());
    junos.quietly(&["set vlans green vlan-id 300"]);
    junos.enter("exit");
    assert!(junos.enter("yes").0.starts_with("warning: discarding uncommitted changes\n"));
    assert!(!junos.enter("show configuration").0.contains("green"));
}

#[test]
fn a_confirmed_commit_is_undone_unless_confirmed() {
    let (before, after) = (Duration::from_secs(299), Duration::from_secs(301));
    let begin = || {
        let mut junos = configuring();
        junos.quietly(&["set vlans blue vlan-id 100"]);
        let (said, prompt) = junos.enter("commit confirmed 5");
        assert!(said.starts_with("commit confirmed will be automatically rolled back in 5 minutes unless"));
        assert!(said.ends_with("\ncommit complete\n"), "{said}");
        assert!(
            prompt.starts_with("\n# commit confirmed will be rolled back in 5 minutes\n[edit]\n"),
            "{prompt}"
        );
        junos
    };
    let mut junos = begin();
    let now = Instant::now();
    junos.device.os.expire(now + before);
    assert!(junos.running().contains("blue"));
    junos.device.os.expire(now + after);
    assert!(!junos.running().contains("blue"));
    assert_eq!(junos.enter("show | compare").0, "");
    for confirm in ["commit", "commit check"] {
        let mut junos = begin();
        junos.enter(confirm);
        junos.device.os.expire(Instant::now() + after);
        assert!(junos.running().contains("blue"), "{confirm}");
    }
    // A second one goes back to what was before the first.
    let mut junos = begin();
    junos.quietly(&["set vlans red vlan-id 200"]);
    junos.enter("commit confirmed 1");
    junos.device.os.expire(Instant::now() + after);
    assert!(!junos.running().contains("blue") && !junos.running().contains("red"));
}
