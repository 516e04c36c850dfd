//! Every profile with a language of its own: real output as it understands it, what it writes for the
//! usual changes, and attacks on it.
//!
//! `tests/golden/cli/PROFILE/transcript.txt` holds the output, each part with its source; the rest of
//! the directory is recorded and written by `UPDATE_GOLDEN=1`: `expected.txt` (what the profile makes
//! of the output), `changes.txt` (what each change renders to) and `attacks.txt` (why each is refused).
//! `tests/golden/native` is the same for profiles whose edits another protocol carries; the attacks on
//! those are in `native`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use mercury::device::{Profile, Profiles, Speaks};
use mercury::lint::scenarios::changes;
use mercury::lint::transcript::{Judged, judge};
use mercury::lint::{Directories, Severity, lint, port_like};
use mercury::schema::Schema;

use crate::golden::{self, Differences};

pub static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builtin().unwrap());

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn directory(profile: &Profile) -> PathBuf {
    root().join("tests/golden").join(kind(profile)).join(&profile.name)
}

/// The directory of its kind.
fn kind(profile: &Profile) -> &'static str {
    if matches!(profile.speaks, Speaks::Cli(_)) { "cli" } else { "native" }
}

/// Whether its output is read; where none is, there is none to show.
fn is_read(profile: &Profile) -> bool {
    profile.speaks.not_read().is_none()
}

/// Those that have a language of their own.
fn profiles() -> Vec<Arc<Profile>> {
    let all = Profiles::default();
    let read = all.names().map(|name| all.get(name).unwrap());
    read.filter(|profile| profile.speaks.language().is_some()).collect()
}

fn judged(profile: &Profile) -> Judged {
    let text = fs::read_to_string(directory(profile).join("transcript.txt")).unwrap();
    judge(&text, profile, profile.speaks.language().unwrap())
}

/// Every profile of a kind, `cli` or `native`, and a port that it could have: one that its transcript
/// reads, if it reads one.
pub fn with_ports(of: &str) -> Vec<(Arc<Profile>, String)> {
    let port = |profile: &Profile| {
        let like = port_like(profile.speaks.language().unwrap()).map(str::to_owned);
        let read = is_read(profile).then(|| judged(profile).port).flatten();
        read.or(like).unwrap_or_else(|| panic!("{}: its transcript reads no port", profile.name))
    };
    let of_kind = profiles().into_iter().filter(|profile| kind(profile) == of);
    of_kind.map(|profile| (profile.clone(), port(&profile))).collect()
}

#[test]
fn every_profile_has_its_files() {
    let mut missing = Vec::new();
    let mut needs = |path: PathBuf| {
        if !path.exists() {
            missing.push(path.strip_prefix(root()).unwrap().display().to_string());
        }
    };
    for profile in profiles() {
        let templates = profile.speaks.language().unwrap().templates.texts();
        let has = |name: &str| templates.iter().any(|(known, ..)| known == name);
        let own = root().join("templates").join(&profile.name);
        if !has("port.j2") {
            needs(own.join("port.j2"));
        }
        if profile.openconfig.network_instance.is_some() && !has("vlan.j2") {
            needs(own.join("vlan.j2"));
        }
        let read: &[&str] = if is_read(&profile) { &["transcript.txt", "expected.txt"] } else { &[] };
        for file in read.iter().chain(&["changes.txt"]) {
            needs(directory(&profile).join(file));
        }
        if kind(&profile) == "cli" {
            needs(directory(&profile).join("attacks.txt"));
        }
    }
    assert!(missing.is_empty(), "missing: {}", missing.join(", "));
    let known: Vec<PathBuf> = profiles().iter().map(|profile| directory(profile)).collect();
    for case in ["cli", "native"].into_iter().flat_map(golden::cases) {
        assert!(known.contains(&case), "{}: there is no profile of this name", case.display());
    }
}

#[test]
fn real_output_is_understood_as_recorded() {
    let mut differences = Differences::default();
    let mut mistakes = Vec::new();
    for profile in profiles().into_iter().filter(|profile| is_read(profile)) {
        let judged = judged(&profile);
        let file = directory(&profile).join("transcript.txt");
        let file = file.strip_prefix(root()).unwrap().display().to_string();
        mistakes.extend(judged.mistakes().into_iter().map(|(line, what)| format!("{file}:{line}: {what}")));
        differences.compare(&directory(&profile).join("expected.txt"), &judged.text());
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    differences.none();
}

/// No output of one port shows both its members and its line of the spanning tree.
#[test]
fn an_edge_of_os9_is_one_with_its_guard_and_another_form_of_it_is_not_known() {
    let profile = Profiles::default().get("dell_force10").unwrap();
    let understood = |line: &str| {
        let port = "TenGigabitEthernet 1/6";
        let text = format!(
            "# source: as in the transcript\n\
             > show interfaces switchport {port}\nName: {port}\n802.1QTagged: Hybrid\nU       100\n\
             > show running-config interface {port}\n!\ninterface {port}\n no ip address\n portmode hybrid\n \
             switchport\n{line}\n no shutdown\n"
        );
        judge(&text, &profile, profile.speaks.language().unwrap()).text()
    };
    let edge = [
        " spanning-tree rstp edge-port bpduguard shutdown-on-violation",
        " spanning-tree rstp edge-port bpduguard",
        " spanning-tree rstp edge-port",
    ];
    for line in edge {
        let text = understood(line);
        assert!(text.ends_with("read: TenGigabitEthernet 1/6: ACCESS 100, STP edge on\n"), "{line}: {text}");
    }
    // What other protocols have of the port says nothing of RSTP.
    for line in [" spanning-tree pvst edge-port", " spanning-tree rstp rootguard"] {
        let text = understood(line);
        assert!(text.ends_with("read: TenGigabitEthernet 1/6: ACCESS 100\n"), "{line}: {text}");
    }
    let text = understood(" spanning-tree rstp edge-port of-some-kind");
    assert!(text.contains("stp_edge: `of-some-kind` is neither"), "{text}");
}

#[test]
fn changes_are_written_as_recorded() {
    let mut differences = Differences::default();
    for (profile, port) in ["cli", "native"].into_iter().flat_map(with_ports) {
        let text = changes(&port, &profile, &SCHEMA).unwrap();
        assert!(!text.contains("REFUSED"), "{}:\n{text}", profile.name);
        differences.compare(&directory(&profile).join("changes.txt"), &text);
    }
    differences.none();
}

#[test]
fn no_profile_of_ours_has_a_mistake() {
    let found = lint(&Directories::default(), &SCHEMA).findings;
    let errors: Vec<String> =
        found.iter().filter(|finding| finding.severity == Severity::Error).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn the_examples_have_no_mistake() {
    let examples = root().join("devices/examples");
    let (profiles, templates) = (Some(examples.join("profiles")), Some(examples.join("templates")));
    let found = lint(&Directories { profiles, templates, transcripts: None }, &SCHEMA);
    assert_eq!(
        found.profiles,
        ["site_choice", "site_cli", "site_gnmi", "site_model", "site_os", "site_unread", "site_xml"]
    );
    assert_eq!(found.findings, []);
}
