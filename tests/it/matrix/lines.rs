//! What bad input gets on command lines, from simulated switches that say the wrong thing, nothing,
//! too much or in another language, or hang up. Each row is told what is to become of one change; what
//! the switch holds then is asked of the switch. All rows are played in memory and with paused time;
//! one of each way to go wrong, over SSH too.

use futures_util::future::join_all;
use mercury::device::cli::ShellHabits;
use mercury::sim::cli::{self, CliSpec, CliSwitch};
use mercury::transport::cli::CliConnector;
use secrecy::SecretString;

use super::*;

const PORT: &str = "GigabitEthernet0/1";
const CONFIG: &str = "vlan 100,101,110\nexit\ninterface GigabitEthernet0/1\nswitchport access vlan 100\n\
                      switchport mode access\nexit";
/// The device's enable secret is another than the inventory's.
const OTHER_SECRET: &str = "other";

struct Row {
    name: &'static str,
    banner: Option<&'static str>,
    /// None: the device asks for none.
    enable_secret: Option<&'static str>,
    /// As [`cli::CliFault`] reads them.
    faults: &'static [&'static str],
    /// None: there was no plan.
    end: Option<End>,
    /// What the answer says, in these words.
    says: &'static [&'static str],
    /// Whether the switch holds the change afterwards; none: it is not known.
    holds: Option<bool>,
}

const ROW: Row = Row {
    name: "",
    banner: None,
    enable_secret: None,
    faults: &[],
    end: Some(End::Applied),
    says: &[],
    holds: Some(true),
};

/// Nothing was changed: it failed in this phase, with these words.
const fn untouched(
    name: &'static str,
    faults: &'static [&'static str],
    phase: Phase,
    says: &'static [&'static str],
) -> Row {
    Row { name, faults, end: Some(End::RolledBack(phase)), says, holds: Some(false), ..ROW }
}

/// It stands all the same.
const fn stands(name: &'static str, faults: &'static [&'static str]) -> Row {
    Row { name, faults, ..ROW }
}

/// It failed in this phase, with these words, and was taken back.
const fn undone(
    name: &'static str,
    faults: &'static [&'static str],
    phase: Phase,
    says: &'static [&'static str],
) -> Row {
    Row { name, faults, end: Some(End::RolledBack(phase)), says, holds: Some(false), ..ROW }
}

/// It failed at a line, with these words, and was taken back; that line may still take effect, since
/// nothing puts an end to what a lost session was told.
const fn may_come(name: &'static str, faults: &'static [&'static str], says: &'static [&'static str]) -> Row {
    Row { name, faults, end: Some(End::Unknown), says, holds: Some(false), ..ROW }
}

/// What the switch holds is told as not known.
const fn unknown(
    name: &'static str,
    faults: &'static [&'static str],
    says: &'static [&'static str],
    holds: Option<bool>,
) -> Row {
    Row { name, faults, end: Some(End::Unknown), says, holds, ..ROW }
}

const NO_PROMPT: &str = "deadline passed before the prompt came back";
const CLOSED: &str = "session closed";

// The change makes a trunk of an access port. Most faults come at one of: reading, a line in the middle
// (the mode), the last line (the access VLAN), saving.
const ROWS: &[Row] = &[
    stands("nothing wrong", &[]),
    // What is said before the first prompt.
    Row {
        name: "a banner with prompts",
        banner: Some("\nSwitch# is property of X > Y\n### no # entry ###\nSwitch>\nlogin> \n"),
        ..ROW
    },
    Row {
        banner: Some("Swi"),
        ..untouched("half a prompt, at login", &[], Phase::Connect, &[NO_PROMPT, "`Switch#`"])
    },
    Row {
        banner: Some("Type help for help >"),
        ..untouched(
            "a banner at the prompt",
            &[],
            Phase::Connect,
            &[NO_PROMPT, "`Type help for help >Switch#`"],
        )
    },
    Row {
        name: "a banner in other languages",
        banner: Some("Nur f\u{fc}r Befugte #\n\u{4ec5}\u{9650}\u{6388}\u{6743}\u{7528}\u{6237}>\n"),
        ..ROW
    },
    // Enable.
    Row { enable_secret: Some("secret"), ..stands("a secret that is right", &[]) },
    Row {
        enable_secret: Some(OTHER_SECRET),
        ..untouched(
            "a secret that is wrong",
            &[],
            Phase::Connect,
            &["enable refused", "does not take our secret"],
        )
    },
    Row {
        enable_secret: Some("secret"),
        ..untouched(
            "enable refused",
            &["^enable@every:refuse=% Error in authentication."],
            Phase::Connect,
            &["enable refused", "% Error in authentication."],
        )
    },
    Row {
        enable_secret: Some("secret"),
        ..untouched(
            "enable that never comes back",
            &["^enable@every:hang-before"],
            Phase::Connect,
            &[NO_PROMPT],
        )
    },
    // A wrong prompt, half a prompt.
    untouched(
        "a wrong prompt, reading",
        &["^show run@1:prompt=Router#"],
        Phase::Lock,
        &[NO_PROMPT, "`Router#`"],
    ),
    untouched("half a prompt, reading", &["^show run@1:prompt=Swi"], Phase::Lock, &[NO_PROMPT, "`Swi`"]),
    may_come(
        "a wrong prompt, configuring",
        &["^switchport mode trunk:prompt=Router(config-if)#"],
        &[NO_PROMPT, "`Router(config-if)#`"],
    ),
    may_come(
        "half a prompt, configuring",
        &["^switchport mode trunk:prompt=Switch(conf"],
        &[NO_PROMPT, "`Switch(conf`"],
    ),
    stands("half a prompt, last line", &["^no switchport access:prompt=Switch(conf"]),
    stands("half a prompt, saving", &["^copy run:prompt=Dest"]),
    stands("the prompt of another mode", &["^switchport mode trunk:prompt=Switch#"]),
    // A question that nobody expects.
    untouched(
        "a question, reading",
        &["^show run@1:ask=Continue? [y/n]"],
        Phase::Lock,
        &[NO_PROMPT, "Continue? [y/n]"],
    ),
    may_come(
        "a question, configuring",
        &["^switchport mode trunk:ask=This may drop traffic. Proceed? [confirm]"],
        &[NO_PROMPT, "Proceed? [confirm]"],
    ),
    stands("a question, saving", &["^copy run@1:ask=Overwrite the previous NVRAM configuration?[confirm]"]),
    unknown(
        "a question, every time we save",
        &["^copy run@every:ask=Overwrite?[confirm]"],
        &["phase: Save", "Overwrite?[confirm]"],
        Some(false),
    ),
    // Megabytes.
    stands("a megabyte, reading", &["^show run@1:flood=1000036"]),
    stands("a megabyte, configuring", &["^switchport mode trunk:flood=1000036"]),
    untouched("far too much, reading", &["^show run@1:flood=40000000"], Phase::Lock, &["no answer"]),
    may_come("far too much, configuring", &["^switchport mode trunk:flood=40000000"], &["no answer"]),
    may_come(
        "a little before the prompt, configuring",
        &["^switchport mode trunk:flood=10"],
        &[NO_PROMPT, "`flood flooSwitch(config-if)#`"],
    ),
    // The connection goes.
    untouched("gone before reading", &["^show run@1:drop-before"], Phase::Lock, &[CLOSED]),
    untouched("gone in the middle of a line, reading", &["^show run@1:drop-inside"], Phase::Lock, &[CLOSED]),
    may_come("gone before the line", &["^switchport mode trunk:drop-before"], &[CLOSED]),
    may_come("gone behind the line", &["^switchport mode trunk:drop-after"], &[CLOSED]),
    may_come("gone in the middle of a line, configuring", &["^switchport mode trunk:drop-inside"], &[CLOSED]),
    stands("gone behind the last line", &["^no switchport access:drop-after"]),
    stands("gone in the middle of the last line", &["^no switchport access:drop-inside"]),
    stands("gone before saving", &["^copy run@1:drop-before"]),
    stands("gone in the middle of a line, saving", &["^copy run@1:drop-inside"]),
    unknown("gone whenever we save", &["^copy run@every:drop-before"], &["phase: Save", CLOSED], Some(false)),
    // The way back is cut off too.
    unknown(
        "gone, and gone on the way back",
        &["^switchport mode trunk:drop-before", "^no switchport trunk@every:drop-before"],
        &["phase: Commit", CLOSED],
        None,
    ),
    // Echo.
    stands("an echo that is late", &["^show@every:late-echo=50ms", "^switchport@every:late-echo=50ms"]),
    untouched("an echo that is too late, reading", &["^show run@1:late-echo=5s"], Phase::Lock, &[NO_PROMPT]),
    may_come("an echo that is too late, configuring", &["^switchport mode trunk:late-echo=5s"], &[NO_PROMPT]),
    // Errors.
    undone(
        "an error",
        &[
            "^switchport mode trunk:refuse=Command rejected: An interface whose trunk encapsulation is \"Auto\"",
        ],
        Phase::Commit,
        &["the device refused", "trunk encapsulation is \"Auto\""],
    ),
    undone(
        "an error in another language",
        &["^switchport mode trunk:refuse=% Ung\u{fc}ltiger Befehl"],
        Phase::Verify,
        &["does not hold it", "% Ung\u{fc}ltiger Befehl"],
    ),
    Row {
        end: None,
        ..untouched(
            "an error in another language, reading",
            &["^show run@every:refuse=% \u{65e0}\u{6548}\u{7684}\u{547d}\u{4ee4}"],
            Phase::Plan,
            &["no port GigabitEthernet0/1"],
        )
    },
    undone(
        "a refused save",
        &["^copy run@every:refuse=%Error opening nvram: (Device or resource busy)"],
        Phase::Save,
        &["%Error opening nvram"],
    ),
    // Somebody else's hand.
    untouched(
        "set up in somebody's configuration mode",
        &["^terminal length@every:first=configure terminal"],
        Phase::Connect,
        &["terminal length 0", "% Invalid input"],
    ),
    undone(
        "configuration mode left by someone else",
        &["^switchport mode trunk:first=end"],
        Phase::Commit,
        &["the device refused", "% Invalid input"],
    ),
    undone(
        "privileges taken by someone else",
        &["^switchport mode trunk:first=end", "^show run@2:first=disable"],
        Phase::Commit,
        &["% Invalid input"],
    ),
    // Silence.
    untouched("silence, reading", &["^show run@1:hang-before"], Phase::Lock, &[NO_PROMPT]),
    untouched("silence, every time we read", &["^show run@every:hang-before"], Phase::Lock, &[NO_PROMPT]),
    may_come("silence before the line", &["^switchport mode trunk:hang-before"], &[NO_PROMPT]),
    may_come("silence behind the line", &["^switchport mode trunk:hang-after"], &[NO_PROMPT]),
    stands("silence behind the last line", &["^no switchport access:hang-after"]),
    stands("silence, saving", &["^copy run@1:hang-before"]),
    unknown(
        "silence, whenever we save",
        &["^copy run@every:hang-before"],
        &["phase: Save", NO_PROMPT],
        Some(false),
    ),
];

/// A terminal without SSH.
struct InMemory {
    switch: Arc<CliSwitch>,
    device: Arc<Device>,
}

#[async_trait]
impl Connector for InMemory {
    async fn open(&self, deadline: Instant) -> Result<Box<dyn Session>, Fault> {
        let Speaks::Cli(habits) = &self.device.profile.speaks else { panic!("no command line") };
        let ShellHabits::Terminal(terminal) = &habits.shell else { panic!("no terminal") };
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        self.switch.serve_stream(theirs);
        let connector = CliConnector::new(self.device.clone(), habits.clone());
        connector.over(Box::new(ours), terminal, deadline).await
    }
}

/// An engine over one switch with a command line.
struct Site {
    switch: Arc<CliSwitch>,
    engine: Engine,
    locks: tempfile::TempDir,
}

impl Site {
    /// `command` is the longest that one command may take.
    async fn of(row: &Row, wire: Wire, command: Duration) -> Self {
        let spec = CliSpec {
            password: Some(SecretString::from("secret")),
            enable_secret: row.enable_secret.map(SecretString::from),
            banner: row.banner.map(str::to_owned),
            config: CONFIG.to_owned(),
            faults: row.faults.iter().map(|fault| fault.parse().unwrap()).collect(),
            ..CliSpec::new("cisco_ios")
        };
        let switch = Arc::new(cli::start(spec, ([127, 0, 0, 1], 0).into()).await.unwrap());
        let mut device = device(&super::spec("leaf1", Kind::Running), switch.addr().port());
        let mut profile = Profile::clone(&Profiles::default().get("cisco_ios").unwrap());
        if let Speaks::Cli(habits) = &mut profile.speaks {
            Arc::make_mut(habits).command_timeout = command;
        }
        device.profile = Arc::new(profile);
        device.endpoint.address = switch.addr().ip().to_string();
        device.endpoint.host_key = HostKey::Pinned(switch.host_key().to_owned());
        device.endpoint.credential = Credential::Password(SecretString::from("secret"));
        device.endpoint.enable_secret = Some(SecretString::from("secret"));
        let locks = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let devices = [("leaf1".to_owned(), Arc::new(device))].into();
        let world = Arc::new(World {
            access: Default::default(),
            inventory: Inventory { devices, ..Inventory::default() },
            schema: SCHEMA.clone(),
            locks_dir: locks.path().to_owned(),
            request_timeout: command * 10,
            lock_wait: command * 5,
            queue_per_device: 64,
        });
        let in_memory = switch.clone();
        let connect = move |device: &Arc<Device>| -> Arc<dyn Connector> {
            match wire {
                Wire::Sockets => mercury::transport::connector(device),
                Wire::Memory | Wire::Behind => {
                    Arc::new(InMemory { switch: in_memory.clone(), device: device.clone() })
                }
            }
        };
        let engine = Engine::new(world, Arc::new(connect), 64);
        Self { switch, engine, locks }
    }

    async fn change(&self) -> Result<Change, Refusal> {
        let tagged = "110".parse().unwrap();
        let trunk = PortVlans::Trunk { native: VlanId::new(101).ok(), tagged };
        self.engine.change(call(&[("leaf1", PORT)], &trunk)).await
    }

    fn journal(&self) -> String {
        let files = std::fs::read_dir(self.locks.path()).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    /// What the switch itself says of a port, running and saved.
    fn port(&self, port: &str) -> [Vec<String>; 2] {
        [self.switch.running_config(), self.switch.startup_config()].map(|config| {
            let lines = config.lines().skip_while(|line| *line != format!("interface {port}")).skip(1);
            let mut lines: Vec<_> =
                lines.take_while(|line| line.starts_with(' ')).map(|line| line.trim().to_owned()).collect();
            lines.sort();
            lines
        })
    }
}

/// What is wrong with what became of a row; nothing if it is as it says.
async fn played(row: &Row, wire: Wire, command: Duration) -> String {
    let site = Site::of(row, wire, command).await;
    let (before, other) = (site.port(PORT), site.port("GigabitEthernet0/2"));
    let after = [
        "switchport mode trunk",
        "switchport trunk allowed vlan 101,110",
        "switchport trunk native vlan 101",
    ]
    .map(str::to_owned)
    .to_vec();
    let Ok(change) = tokio::time::timeout(command * 50, site.change()).await else {
        return format!("it hangs; {:#?}", site.switch.commands());
    };
    let mut wrong = Vec::new();
    let (end, told, phases) = match &change {
        Ok(change) => {
            let device = &change.devices[0];
            let phases: Vec<Phase> = device.timings.0.iter().map(|(phase, _)| *phase).collect();
            (end_of(change, 0), format!("{:?}", device.outcome), phases)
        }
        Err(refusal) => (None, refusal.to_string(), Vec::new()),
    };
    if end != row.end {
        wrong.push(format!("not {:?}", row.end));
    }
    // Quotes are told with a backslash before them.
    let is_missing = |words: &&&str| !told.replace('\\', "").contains(**words);
    wrong.extend(row.says.iter().filter(is_missing).map(|words| format!("no word of {words}")));
    let [running, saved] = site.port(PORT);
    let expected = row.holds.map(|holds| if holds { after.clone() } else { before[0].clone() });
    if expected.as_ref().is_some_and(|expected| *expected != running) {
        wrong.push(format!("it holds {running:?}"));
    }
    // An unknown end says nothing of what is saved.
    if row.end != Some(End::Unknown) && expected.as_ref().is_some_and(|expected| *expected != saved) {
        wrong.push(format!("saved is {saved:?}"));
    }
    if site.port("GigabitEthernet0/2") != other {
        wrong.push("another port was changed".to_owned());
    }
    let is_unknown = row.end == Some(End::Unknown);
    let is_changed =
        is_unknown || matches!(row.end, Some(End::RolledBack(phase)) if !phase.is_before_change());
    if is_changed && !phases.contains(&Phase::Undo) {
        wrong.push(format!("nothing was undone: {phases:?}"));
    }
    if site.journal().is_empty() == is_unknown {
        wrong.push(format!("the journal holds {:?}", site.journal()));
    }
    // When the switch is well again, so is the next change.
    site.switch.clear_faults();
    if !row.faults.is_empty() || row.holds == Some(true) {
        let again = site.change().await;
        let is_there = site.port(PORT).iter().all(|lines| *lines == after);
        let is_well = again.as_ref().is_ok_and(|change| matches!(change.outcome, "applied" | "unchanged"));
        if !is_well || !is_there || !site.journal().is_empty() {
            wrong.push(format!("and then {again:?}: {:?}", site.port(PORT)));
        }
    }
    if wrong.is_empty() {
        return String::new();
    }
    let typed: Vec<String> = site.switch.commands().into_iter().map(|command| command.line).collect();
    format!("{}\n    {told} {phases:?}\n    {}", wrong.join("; "), typed.join(" | "))
}

async fn play(rows: impl Iterator<Item = &'static Row>, wire: Wire, command: Duration) {
    let played = rows.map(|row| async move { (row.name, played(row, wire, command).await) });
    let mut wrong = Wrong::default();
    join_all(played).await.iter().for_each(|(name, problem)| wrong.cell(name, problem));
    wrong.none();
}

#[tokio::test(start_paused = true)]
async fn what_bad_input_gets() {
    play(ROWS.iter(), Wire::Memory, Duration::from_secs(2)).await;
}

/// Nothing here waits until a limit has passed, so it may be as long as a busy machine needs for
/// megabytes in SSH.
#[tokio::test]
async fn over_ssh() {
    let groups = ["nothing", "a secret", "a megabyte", "far too much", "gone", "an error"];
    play(once(&groups), Wire::Sockets, Duration::from_secs(120)).await;
}

/// Apart from the megabytes: each of these waits for its limit, and a command that is answered at once
/// needs far less of it on a busy machine.
#[tokio::test]
async fn silence_over_ssh() {
    play(once(&["silence"]), Wire::Sockets, Duration::from_secs(8)).await;
}

/// The rows with such names, but for those that are tried again until the caller's time is up.
fn once(groups: &[&str]) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| {
        let again = row.faults.iter().any(|fault| fault.contains("@every"));
        !again && groups.iter().any(|group| row.name.starts_with(group))
    })
}
