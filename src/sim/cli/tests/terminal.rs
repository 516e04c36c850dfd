use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, timeout};

use crate::sim::cli::{CliSpec, CliWhat, Device, Shared, terminal};

/// Someone at a terminal.
struct Person {
    shared: Arc<Shared>,
    stream: DuplexStream,
}

impl Person {
    fn at(spec: &CliSpec) -> Self {
        let device = Mutex::new(Device::new(spec).unwrap());
        let shared = Arc::new(Shared { latency: spec.latency, device });
        let (ours, theirs) = duplex(1 << 20);
        tokio::spawn(terminal::serve(Arc::clone(&shared), theirs));
        Self { shared, stream: ours }
    }

    async fn types(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// All that is shown until nothing more comes, and whether that is because it is over.
    async fn sees(&mut self) -> (String, bool) {
        let mut seen = Vec::new();
        let mut over = false;
        // The clock is paused: it goes on only when nobody has anything to do.
        while let Ok(read) = timeout(Duration::from_millis(1), self.stream.read_buf(&mut seen)).await {
            over = read.unwrap() == 0;
            if over {
                break;
            }
        }
        (String::from_utf8(seen).unwrap(), over)
    }

    async fn fault(&mut self, text: &str) {
        self.shared.device().faults.clear();
        self.shared.device().faults.add(text.parse().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn echo_and_keys() {
    let mut person = Person::at(&CliSpec::new("cisco_ios"));
    assert_eq!(person.sees().await.0, "Switch#");
    person.types("terminal len").await;
    assert_eq!(person.sees().await.0, "terminal len", "each key");
    person.types("x\x08gth 0\r\n").await;
    assert_eq!(person.sees().await.0, "x\x08 \x08gth 0\r\nSwitch#", "CR LF is one key");
    person.types("\n\r").await;
    assert_eq!(person.sees().await.0, "\r\nSwitch#\r\nSwitch#");
    person.types("conf t\nint gi0/1\ndescription a?b\x16?\x1a").await;
    let seen = person.sees().await.0;
    assert!(
        seen.contains("description a?\r\n% Unrecognized command\r\nSwitch(config-if)#description ab?"),
        "{seen}"
    );
    assert!(seen.ends_with("^Z\r\nSwitch#"), "{seen}");
    assert!(!person.shared.device().os.running().contains("description"), "Ctrl-Z takes the line along");
    person.types("exit\n").await;
    assert_eq!(person.sees().await, ("exit\r\n".to_owned(), true));
}

#[tokio::test(start_paused = true)]
async fn pages() {
    let spec = CliSpec {
        ports: (1..=30).map(|n| format!("GigabitEthernet0/{n}")).collect(),
        ..CliSpec::new("cisco_ios")
    };
    let mut person = Person::at(&spec);
    person.sees().await;
    person.types("show run\n").await;
    let seen = person.sees().await.0;
    assert!(seen.ends_with("\r\n --More-- ") && seen.lines().count() == 25, "{seen}");
    person.types("\n").await;
    let seen = person.sees().await.0;
    assert!(
        seen.starts_with("\x08\x08") && seen.ends_with("\r\n --More-- ") && seen.lines().count() == 2,
        "{seen}"
    );
    person.types(" ").await;
    assert!(person.sees().await.0.lines().count() == 24);
    person.types("q").await;
    assert!(person.sees().await.0.ends_with("Switch#"));
    person.types("terminal length 0\nshow run\n").await;
    let seen = person.sees().await.0;
    assert!(!seen.contains("More") && seen.contains("GigabitEthernet0/30") && seen.ends_with("Switch#"));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_wide() {
    let mut person = Person::at(&CliSpec::new("cisco_ios"));
    person.types("conf t\nint gi0/1\n").await;
    person.sees().await;
    let line = format!("description {}", "word ".repeat(20));
    person.types(&format!("{line}\n")).await;
    let seen = person.sees().await.0;
    assert!(seen.contains("\x08$") && !seen.contains(&line), "{seen}");
    assert!(person.shared.device().os.running().contains(line.trim()));
}

#[tokio::test(start_paused = true)]
async fn secrets_are_not_shown() {
    let spec = CliSpec { enable_secret: Some("s3cret".into()), ..CliSpec::new("cisco_ios") };
    let mut person = Person::at(&spec);
    person.types("enable\ns3cret\n").await;
    assert_eq!(person.sees().await.0, "Switch>enable\r\nPassword: \r\nSwitch#");
    let log = person.shared.device().log.clone();
    assert_eq!(log.iter().map(|command| command.line.as_str()).collect::<Vec<_>>(), ["enable"]);
}

#[tokio::test(start_paused = true)]
async fn each_fault() {
    let save = "write mem\r\n";
    let ok = "Building configuration...\r\n[OK]\r\nSwitch#";
    // What is seen, whether it is over then, whether the command had an effect.
    for (what, seen, over, effect) in [
        ("refuse=% Nein", format!("{save}% Nein\r\nSwitch#"), false, false),
        ("say=% Nein", format!("{save}Building configuration...\r\n[OK]\r\n% Nein\r\nSwitch#"), false, true),
        ("noise=*LINK-3", format!("{save}*LINK-3\r\n{ok}"), false, true),
        ("drop-before", save.to_owned(), true, false),
        ("drop-after", save.to_owned(), true, true),
        ("drop-inside", format!("{save}Building configurat"), true, true),
        ("hang-before", save.to_owned(), false, false),
        ("hang-after", save.to_owned(), false, true),
        ("prompt=Router#", format!("{save}Building configuration...\r\n[OK]\r\nRouter#"), false, true),
        (
            "first=disable",
            format!("{save}{}^\r\n% Invalid input detected at '^' marker.\r\n\r\nSwitch>", " ".repeat(7)),
            false,
            false,
        ),
        ("flood=8", format!("{save}flood fl{ok}"), false, true),
    ] {
        let mut person = Person::at(&CliSpec::new("cisco_ios"));
        person.types("conf t\nint gi0/1\nshutdown\nend\n").await;
        person.sees().await;
        person.fault(&format!("^write:{what}")).await;
        person.types("write mem\n").await;
        assert_eq!(person.sees().await, (seen, over), "{what}");
        assert_eq!(person.shared.device().os.startup().contains("shutdown"), effect, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_that_take_time_or_an_answer() {
    let mut person = Person::at(&CliSpec::new("cisco_ios"));
    person.sees().await;
    person.fault("^show:late-echo=300ms").await;
    person.types("show version\n").await;
    assert_eq!(person.sees().await.0, "");
    let begin = Instant::now();
    while !person.sees().await.0.contains("show version\r\nCisco IOS") {}
    assert!((250..400).contains(&begin.elapsed().as_millis()));
    person.fault("^write:delay=300ms").await;
    person.types("write\n").await;
    assert_eq!(person.sees().await.0, "write\r\n");
    while !person.sees().await.0.ends_with("Switch#") {}
    for (answer, effect) in [("n\n", false), ("\n", true)] {
        person.fault("^hostname:ask=Really? [confirm]").await;
        person.types("conf t\nhostname other\n").await;
        assert!(person.sees().await.0.ends_with("Really? [confirm]"));
        person.types(answer).await;
        assert_eq!(person.sees().await.0.ends_with("other(config)#"), effect);
    }
    assert_eq!(person.shared.device().faults.due("x"), None::<CliWhat>);
}
