//! From the first byte to a prompt that takes commands.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_banner_that_looks_like_prompts() {
    let (terminal, mut peer) = login("", None, async |peer| {
        // Each piece is read before the next comes.
        for piece in [
            "#########\r\nWelcome to\r\nnot-me>",
            " or rather\r\nnot-me#",
            "\r\n",
            &"x".repeat(300_000),
            "\r\n",
        ] {
            peer.stutters(&piece[..piece.len().min(50)]).await;
            peer.says(&piece[piece.len().min(50)..]).await;
        }
        peer.takes("\n").await;
        // The Enter for the banner is read by the shell only now.
        peer.stutters("sw#").await;
        peer.stutters("\r\nsw#").await;
        peer.takes("\n").await;
        peer.stutters("\r\nsw#").await;
    })
    .await;
    let mut terminal = terminal.unwrap();
    assert_eq!(terminal.prompt(), "sw#");
    let (output, ()) =
        tokio::join!(terminal.run("show banner", soon()), peer.answers("show banner", "not-me#\r\nsw#"));
    assert_eq!(output.unwrap().text, "not-me#\n");
}

#[tokio::test(start_paused = true)]
async fn the_first_of_two_prompts_is_no_answer() {
    // What is typed early shows up twice: by the terminal, and by the prompt that follows.
    let (terminal, mut peer) = login("", None, async |peer| {
        peer.says("motd>").await;
        peer.takes("\n").await;
        peer.says("\r\n\r\nsw#").await;
        tokio::task::yield_now().await;
        peer.prompts("sw#").await;
    })
    .await;
    let mut terminal = terminal.unwrap();
    let (output, ()) = tokio::join!(terminal.run("show x", soon()), peer.answers("show x", "x\r\nsw#"));
    assert_eq!(output.unwrap().text, "x\n");
}

#[tokio::test(start_paused = true)]
async fn a_key_to_go_on_and_a_paged_banner() {
    let (terminal, _peer) = login("", None, async |peer| {
        peer.says("Press any key to continue").await;
        peer.takes("\n").await;
        peer.says("\r\nline 1\r\n--More--").await;
        peer.takes(" ").await;
        peer.says("\r        \rline 2\r\nsw#").await;
        peer.takes("\n").await;
        peer.says("\r\nsw#").await;
    })
    .await;
    assert_eq!(terminal.unwrap().prompt(), "sw#");
}

#[tokio::test(start_paused = true)]
async fn no_prompt_at_all() {
    let (opened, mut peer) =
        login("", None, async |peer| peer.says("Change your password now:\x07 ").await).await;
    assert_eq!(opened.err().unwrap(), Cause::NoPrompt("Change your password now: ".to_owned()));
    peer.takes_no_more().await;
    let (opened, _) = login("", None, async |peer| {
        peer.says("sw#").await;
        peer.takes("\n").await;
        drop(std::mem::replace(peer, Peer { io: duplex(1).0 }));
    })
    .await;
    assert_eq!(opened.err().unwrap(), Cause::Closed("the device closed it".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_mode_that_someone_left_is_left_first_and_setup_is_said() {
    let setup = r#"setup = ["terminal length 0", "?terminal width 511"]"#;
    let (terminal, mut peer) = login(setup, None, async |peer| {
        peer.prompts("sw(config-if)#").await;
        peer.answers("end", "sw#").await;
        peer.answers("terminal length 0", "sw#").await;
        peer.answers("terminal width 511", "% Invalid input\r\nsw#").await;
    })
    .await;
    let mut terminal = terminal.unwrap();
    assert!(!terminal.is_configuring());
    let device = async {
        peer.answers("configure terminal", "Enter commands.\r\nsw(config)#").await;
        peer.answers("interface eth1", "sw(config-if)# ").await;
        peer.answers("end", "sw#").await;
        peer.answers("configure terminal", "% locked by admin\r\nsw#").await;
    };
    let ours = async {
        terminal.enter_configuration(soon()).await.unwrap();
        terminal.enter_configuration(soon()).await.unwrap();
        assert_eq!(terminal.run("interface eth1", soon()).await.unwrap().text, "");
        assert_eq!(terminal.prompt(), "sw(config-if)#");
        terminal.leave_configuration(soon()).await.unwrap();
        terminal.leave_configuration(soon()).await.unwrap();
        let fault = terminal.enter_configuration(soon()).await.unwrap_err();
        assert!(fault.to_string().contains("it stands at sw#: % locked by admin"), "{fault}");
        assert!(terminal.is_open());
    };
    tokio::join!(ours, device);

    let (opened, _) = login(setup, None, async |peer| {
        peer.prompts("sw#").await;
        peer.answers("terminal length 0", "% Invalid input\r\nsw#").await;
    })
    .await;
    let cause = opened.err().unwrap().to_string();
    assert!(cause.contains("setup command `terminal length 0` was refused: % Invalid input"), "{cause}");
}

async fn enabling(
    secret: Option<&str>,
    device: impl AsyncFnOnce(&mut Peer),
) -> (Result<Terminal, Cause>, Peer) {
    login("", secret, async |peer| {
        peer.prompts("sw>").await;
        peer.answers("enable", "").await;
        device(peer).await;
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn enable_with_a_secret_and_without() {
    let (terminal, _) = enabling(Some("hunter2"), async |peer| {
        peer.stutters("Password: ").await;
        peer.takes("hunter2\n").await;
        peer.says("\r\nsw#").await;
    })
    .await;
    assert!(terminal.unwrap().is_privileged());
    let (terminal, mut peer) = enabling(Some("hunter2"), async |peer| peer.says("sw#").await).await;
    drop(terminal.unwrap());
    peer.takes_no_more().await;
}

#[tokio::test(start_paused = true)]
async fn enable_refused() {
    let cause = |opened: Result<Terminal, Cause>| match opened.err().unwrap() {
        Cause::Enable(why) => why,
        other => panic!("{other}"),
    };
    // It asks again: the same would not help.
    let (opened, mut peer) = enabling(Some("hunter2"), async |peer| {
        peer.says("Password: ").await;
        peer.takes("hunter2\n").await;
        peer.says("\r\nPassword: ").await;
    })
    .await;
    assert_eq!(cause(opened), "it does not take our secret");
    peer.takes_no_more().await;
    // It gives up, and shows what it was told.
    let (opened, _) = enabling(Some("hunter2"), async |peer| {
        peer.says("Password: ").await;
        peer.takes("hunter2\n").await;
        peer.says("\r\n% Bad secret hunter2\r\nsw>").await;
    })
    .await;
    let why = cause(opened);
    assert!(why.contains("% Bad secret ***") && !why.contains("hunter2"), "{why}");
    let (opened, _) = enabling(None, async |peer| peer.says("Password: ").await).await;
    assert_eq!(cause(opened), "it asks for a secret, and the device has none in the inventory");
    // A hidden question that is not this one's is told nothing.
    let (opened, mut peer) = enabling(Some("hunter2"), async |peer| peer.says("New password: ").await).await;
    assert_eq!(opened.err().unwrap(), Cause::NoPrompt("New password: ".to_owned()));
    peer.takes_no_more().await;
    let (opened, _) = login("", Some("a\nreload"), async |peer| {
        peer.prompts("sw>").await;
    })
    .await;
    assert_eq!(cause(opened), "the secret is empty or holds a control character");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_of_two_lines_tells_its_mode_in_the_upper() {
    const TWO_LINES: &str = r#"
        above = '^--\{.*\}--\[.*\]--\s*$'
        prompt = '^[A-Z]:[\w.\-]+#\s*$'
        configuring = '^--\{[^}]* candidate '
        configure = "enter candidate"
        leave = "enter running"
    "#;
    let running = "\r\n--{ + running }--[  ]--\r\nA:leaf1# ";
    let candidate = "\r\n--{ * candidate private x }--[  ]--\r\nA:leaf1# ";
    let (terminal, mut peer) =
        login_as(habits_of(TWO_LINES), &endpoint(Credential::NotLoaded), async |peer| {
            // The lower line by itself is no prompt.
            peer.stutters("Welcome\r\nA:leaf1# \r\n").await;
            peer.stutters(candidate).await;
            peer.takes("\n").await;
            peer.stutters(&format!("\r\n{candidate}")).await;
            // It was left in a candidate by somebody.
            peer.answers("enter running", running).await;
        })
        .await;
    let mut terminal = terminal.unwrap();
    assert_eq!((terminal.prompt(), terminal.is_configuring()), ("A:leaf1#", false));
    let answer = format!("set / interface lag1 vlan-tagging true\r\nA:leaf1# \r\n{running}");
    let (output, ()) = tokio::join!(terminal.run("info", soon()), peer.answers("info", &answer));
    assert_eq!(output.unwrap().text, "set / interface lag1 vlan-tagging true\nA:leaf1# \n\n");
    let entering = terminal.enter_configuration(soon());
    let (entered, ()) = tokio::join!(entering, peer.answers("enter candidate", candidate));
    assert!(entered.is_ok() && terminal.is_configuring());
    // The command is taken, and the mode is as it was.
    let leaving = terminal.leave_configuration(soon());
    let (left, ()) = tokio::join!(leaving, peer.answers("enter running", candidate));
    assert!(left.is_err());
}

const LOGIN: &str = r"login = { user = '^User Name:\s*$', password = '^Password:\s*$' }";

/// Logs in with the password `hunter2` to a terminal that asks for it.
async fn asked(device: impl AsyncFnOnce(&mut Peer)) -> (Result<Terminal, Cause>, Peer) {
    login_as(habits(LOGIN), &endpoint(Credential::Password("hunter2".into())), device).await
}

fn refusal(opened: Result<Terminal, Cause>) -> String {
    match opened.err().unwrap() {
        Cause::Login { address, user, offered } if address == "192.0.2.1 port 22" && user == "operator" => {
            assert!(!offered.contains("hunter2"), "{offered}");
            offered
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_asks_who_logs_in() {
    // With a banner before, the user echoed and stars for the password.
    let (terminal, mut peer) = asked(async |peer| {
        peer.stutters("\r\nAuthorised use only: you shall give your User Name:\r\n\r\nUser Name:").await;
        peer.takes("operator\n").await;
        peer.stutters("operator\r\nPassword:").await;
        peer.takes("hunter2\n").await;
        peer.stutters("*******\r\n\r\nsw#").await;
        peer.takes("\n").await;
        peer.says("\r\nsw#").await;
    })
    .await;
    let mut terminal = terminal.unwrap();
    let (output, ()) = tokio::join!(terminal.run("show x", soon()), peer.answers("show x", "x\r\nsw#"));
    assert_eq!(output.unwrap().text, "x\n");
    // Without any echo, and drawing its question again.
    let (terminal, _) = asked(async |peer| {
        peer.says("User Name:").await;
        peer.takes("operator\n").await;
        peer.says("\rUser Name:").await;
        tokio::task::yield_now().await;
        peer.says("\r\nPassword:").await;
        peer.takes("hunter2\n").await;
        peer.says("\r\nsw#").await;
        peer.takes("\n").await;
        peer.says("\r\nsw#").await;
    })
    .await;
    assert_eq!(terminal.unwrap().prompt(), "sw#");
    // A password that is shown, and looks like a prompt.
    let like_a_prompt = endpoint(Credential::Password("hunter2#".into()));
    let (terminal, _) = login_as(habits(LOGIN), &like_a_prompt, async |peer| {
        peer.stutters("Password:").await;
        peer.takes("hunter2#\n").await;
        peer.stutters("hunter2#\r\nsw#").await;
        peer.takes("\n").await;
        peer.says("\r\nsw#").await;
    })
    .await;
    assert_eq!(terminal.unwrap().prompt(), "sw#");
    // One that SSH has asked already.
    let (terminal, _) = asked(async |peer| {
        peer.prompts("sw#").await;
    })
    .await;
    assert_eq!(terminal.unwrap().prompt(), "sw#");
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_does_not_let_us_in() {
    let wrong = async |said: &str| {
        let (opened, mut peer) = asked(async |peer| {
            peer.says("User Name:").await;
            peer.takes("operator\n").await;
            peer.says("operator\r\nPassword:").await;
            peer.takes("hunter2\n").await;
            peer.says(said).await;
        })
        .await;
        // A question that comes again is answered no more.
        peer.takes_no_more().await;
        refusal(opened)
    };
    let why = wrong("*******\r\n\r\nauthentication failed\r\n\r\nUser Name:").await;
    assert_eq!(why, "its terminal asks `User Name:` again, and said: authentication failed");
    let why = wrong("\r\nno hunter2 here\r\nPassword:").await;
    assert_eq!(why, "its terminal asks `Password:` again, and said: no *** here");
    // How long the password is tells nobody anything.
    assert_eq!(wrong("*******\r\n\r\nUser Name:").await, "its terminal asks `User Name:` again");
    assert_eq!(wrong("\r\n\r\nUser Name: ").await, "its terminal asks `User Name:` again");

    let (opened, mut peer) = asked(async |peer| {
        peer.says("User Name:").await;
        peer.takes("operator\n").await;
        peer.says("operator\r\nno such user\r\nUser Name:").await;
    })
    .await;
    peer.takes_no_more().await;
    assert!(refusal(opened).contains("no such user"));

    let (opened, _) = asked(async |peer| {
        peer.says("Password:").await;
        peer.takes("hunter2\n").await;
        peer.says("hunter2\r\nGood bye\r\n").await;
        drop(std::mem::replace(peer, Peer { io: duplex(1).0 }));
    })
    .await;
    assert_eq!(refusal(opened), "it closed after our password, and said: Good bye");

    // It hangs while our answer is echoed, or behind it.
    for (said, last) in [("hunter2", "Password:"), ("*******", "Password:"), ("\r\nhunter2?", "***?")] {
        let (opened, _) = asked(async |peer| {
            peer.says("Password:").await;
            peer.takes("hunter2\n").await;
            peer.says(said).await;
        })
        .await;
        assert_eq!(opened.err().unwrap(), Cause::NoPrompt(last.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_is_told_nothing_that_it_should_not_know() {
    // Its profile does not say that it asks.
    let (opened, mut peer) =
        login_as(habits(""), &endpoint(Credential::Password("hunter2".into())), async |peer| {
            peer.says("User Name:").await;
        })
        .await;
    assert_eq!(opened.err().unwrap(), Cause::NoPrompt("User Name:".to_owned()));
    peer.takes_no_more().await;
    let (opened, mut peer) = asked(async |peer| peer.says("New Password:").await).await;
    assert_eq!(opened.err().unwrap(), Cause::NoPrompt("New Password:".to_owned()));
    peer.takes_no_more().await;
    let (opened, mut peer) =
        login_as(habits(LOGIN), &endpoint(Credential::Key("key".into())), async |peer| {
            peer.says("Password:").await
        })
        .await;
    assert_eq!(refusal(opened), "its terminal asks for a password, and the inventory has none");
    peer.takes_no_more().await;
    for bad in ["", "a\nreload"] {
        let (opened, mut peer) =
            login_as(habits(LOGIN), &endpoint(Credential::Password(bad.into())), async |peer| {
                peer.says("Password:").await;
            })
            .await;
        assert!(refusal(opened).contains("empty or holds a control character"));
        peer.takes_no_more().await;
    }
}
