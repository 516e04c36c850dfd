//! Commands and what comes back.

use super::*;

/// Runs `show x` on a device known to echo, which says this.
async fn answer(says: &[&str]) -> Result<Output, Fault> {
    let (mut terminal, mut peer) = at_prompt().await;
    let device = async {
        peer.answers("show w", "sw#").await;
        peer.takes("show x\n").await;
        for piece in says {
            peer.stutters(piece).await;
        }
        // Open until the command has ended.
        std::future::pending::<()>().await;
    };
    let ours = async {
        terminal.run("show w", soon()).await?;
        terminal.run("show x", soon()).await
    };
    tokio::select! {
        output = ours => output,
        () = device => unreachable!(),
    }
}

async fn text(says: &[&str]) -> String {
    answer(says).await.unwrap().text
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_not_the_last_line_is_output() {
    assert_eq!(text(&["show x\r\none\r\ntwo\r\nsw# "]).await, "one\ntwo\n");
    assert_eq!(text(&["show x\r\nsw2#\r\nother>\r\n> # \r\nsw#"]).await, "sw2#\nother>\n> # \n");
    // In one piece with what follows it.
    let (mut terminal, mut peer) = at_prompt().await;
    let (output, ()) =
        tokio::join!(terminal.run("show x", soon()), peer.answers("show x", "sw#\r\nmore\r\nsw(config)#"));
    assert_eq!((output.unwrap().text.as_str(), terminal.prompt()), ("sw#\nmore\n", "sw(config)#"));
}

#[tokio::test(start_paused = true)]
async fn a_prompt_before_the_echo_is_not_the_answers() {
    // One from before, and a log line after which the device draws prompt and command again.
    assert_eq!(text(&["\r\nsw#", "\r\nsw#show x\r\n% Invalid\r\nsw#"]).await, "% Invalid\n");
    assert_eq!(text(&["\r\n%LINK: up\r\nsw#", "show x\r\n% Invalid\r\nsw#"]).await, "% Invalid\n");
    assert_eq!(text(&["\rsw#", "\rsw# show x\r\nout\r\nsw#"]).await, "out\n");
}

#[tokio::test(start_paused = true)]
async fn echoes_that_are_redrawn_wrapped_or_late() {
    for echo in [
        "sh\x08\x08show x\r\n",
        "\x1b[1mshow\x1b[0m x\x1b[K\r\n",
        "show\r\n x\r\n",
        "show \rx\r\n",
        "\0show x\r\r\n",
    ] {
        assert_eq!(text(&[echo, "out\r\nsw#"]).await, "out\n", "{echo:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_echo_that_is_not_recognised_is_asked_about() {
    let (mut terminal, mut peer) = at_prompt().await;
    let device = async {
        peer.takes("show x\n").await;
        peer.says("s..w x\r\nsw#").await;
        peer.takes("\n").await;
        // It was not the prompt.
        peer.says(" is my name\r\nout\r\nsw#").await;
        tokio::task::yield_now().await;
        peer.says("\r\nsw#").await;
    };
    let (output, ()) = tokio::join!(terminal.run("show x", soon()), device);
    assert_eq!(output.unwrap().text, "s..w x\nsw# is my name\nout\n");
}

#[tokio::test(start_paused = true)]
async fn without_any_echo() {
    let (mut terminal, mut peer) = without_echo().await;
    let device = async {
        for said in ["", "out\r\n", "% Invalid\r\n"] {
            peer.takes("show x\n").await;
            peer.says(format!("{said}sw# ")).await;
            peer.takes("\n").await;
            peer.says("sw# ").await;
        }
    };
    let ours = async {
        for expected in ["", "out\n", "% Invalid\n"] {
            assert_eq!(terminal.run("show x", soon()).await.unwrap().text, expected);
        }
    };
    tokio::join!(ours, device);
}

#[tokio::test(start_paused = true)]
async fn only_the_prompt_is_drawn_in_pieces() {
    let (mut terminal, mut peer) = at_prompt().await;
    let device = async {
        peer.takes("show x\n").await;
        peer.stutters("show x\r\n\x1b[32msw\x1b[0m(config-").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        peer.stutters("if)# ").await;
    };
    let (output, ()) = tokio::join!(terminal.run("show x", soon()), device);
    assert_eq!((output.unwrap().text.as_str(), terminal.prompt()), ("", "sw(config-if)#"));
}

#[tokio::test(start_paused = true)]
async fn megabytes_and_too_many_of_them() {
    for (bytes, fits) in [(8 << 20, true), (17 << 20, false)] {
        let (mut terminal, mut peer) = at_prompt().await;
        let device = async {
            peer.takes("show x\n").await;
            peer.says("show x\r\n").await;
            let lines = "interface Ethernet1/1\r\n".repeat(1000);
            for _ in 0..bytes / lines.len() {
                if peer.io.write_all(lines.as_bytes()).await.is_err() {
                    return;
                }
            }
            peer.io.write_all(b"sw#").await.ok();
        };
        let (output, ()) = tokio::join!(terminal.run("show x", soon()), async {
            device.await;
        });
        if fits {
            let text = output.unwrap().text;
            assert!(text.len() > 7 << 20 && text.lines().all(|line| line == "interface Ethernet1/1"));
        } else {
            assert_eq!(
                lost(output),
                Cause::Malformed("a command printed more than 16777216 bytes".to_owned())
            );
            assert!(!terminal.is_open());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_between() {
    let (mut terminal, mut peer) = at_prompt().await;
    let device = async {
        peer.takes("show x\n").await;
        peer.says(b"\xff\xfb\x01\0show x\r\0\n\xff\xfd\x03a\0b\r\r\n\x07\xe4\n\rsw\0#").await;
    };
    let (output, ()) = tokio::join!(terminal.run("show x", soon()), device);
    let output = output.unwrap();
    assert_eq!((output.text.as_str(), output.garbled), ("ab\n\u{fffd}\n", true));
}

#[tokio::test(start_paused = true)]
async fn a_pager_that_comes_up_all_the_same() {
    let (mut terminal, mut peer) = at_prompt().await;
    let device = async {
        for erased in [
            "\r        \r",
            "\x08\x08\x08\x08\x08\x08\x08\x08        \x08\x08\x08\x08\x08\x08\x08\x08",
            "\x1b[2K\r",
            "\r\n",
        ] {
            peer.takes("show x\n").await;
            peer.says("show x\r\none --More-- two\r\n").await;
            peer.stutters("--More--").await;
            peer.takes(" ").await;
            peer.stutters(erased).await;
            peer.stutters("three\r\n --More-- ").await;
            peer.takes(" ").await;
            peer.stutters("\r          \r\r\nsw#").await;
        }
    };
    let ours = async {
        for _ in 0..4 {
            let output = terminal.run("show x", soon()).await.unwrap();
            assert_eq!(output.text, "one --More-- two\nthree\n\n");
        }
    };
    tokio::join!(ours, device);
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_where_the_profile_says_so_and_once() {
    let copy = "copy running-config startup-config";
    let (mut terminal, mut peer) = at_prompt().await;
    let device = async {
        peer.answers(copy, "").await;
        peer.stutters("Destination filename [startup-config]? ").await;
        peer.takes("\n").await;
        peer.stutters("\r\nOverwrite? [no] ").await;
        peer.takes("yes\n").await;
        peer.stutters("yes\r\n[OK]\r\nsw#").await;
    };
    let (output, ()) = tokio::join!(terminal.run(copy, soon()), device);
    assert_eq!(output.unwrap().text, "Destination filename [startup-config]? \nOverwrite? [no] yes\n[OK]\n");
    // The same question again has no answer any more.
    let device = async {
        peer.answers(copy, "").await;
        peer.stutters("Destination filename? ").await;
        peer.takes("\n").await;
        peer.stutters("\r\nDestination filename? ").await;
        peer.takes_no_more().await;
    };
    let (output, ()) = tokio::join!(terminal.run(copy, soon()), device);
    assert_eq!(lost(output), Cause::NoPrompt("Destination filename? ".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_invented() {
    for said in [
        "show x\r\nProceed with reload? [confirm]",
        "show x\r\nPassword: ",
        "show x\r\nhalf a li",
        "",
        "show x",
    ] {
        let (mut terminal, mut peer) = at_prompt().await;
        let device = async {
            peer.takes("show x\n").await;
            peer.says(said).await;
            peer.takes_no_more().await;
        };
        let (output, ()) = tokio::join!(terminal.run("show x", soon()), device);
        let last = said.rsplit('\n').next().unwrap().to_owned();
        assert_eq!(lost(output), Cause::NoPrompt(last.clone()));
        assert!(!terminal.is_open());
        let after = terminal.run("show y", soon()).await.unwrap_err();
        assert_eq!(after, Fault::NotSent(Cause::NoPrompt(last)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent() {
    let (mut terminal, mut peer) = at_prompt().await;
    for bad in ["show x\nreload", "", "show\u{3}"] {
        let fault = terminal.run(bad, soon()).await.unwrap_err();
        assert!(matches!(fault, Fault::NotSent(Cause::Unsupported(_))), "{fault}");
    }
    let late = terminal.run("show x", Instant::now()).await.unwrap_err();
    assert_eq!(late, Fault::NotSent(Cause::Deadline("running a command")));
    assert!(terminal.is_open());
    // What it says by itself is no answer to what comes next.
    peer.says("\r\n%LINK: up\r\nsw#").await;
    assert!(terminal.is_open());
    let (output, ()) = tokio::join!(terminal.run("show x", soon()), peer.answers("show x", "out\r\nsw#"));
    assert_eq!(output.unwrap().text, "out\n");
    drop(peer);
    assert!(!terminal.is_open());
    assert!(matches!(terminal.run("show x", soon()).await, Err(Fault::NotSent(Cause::Closed(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_goes_away_half_way() {
    let (mut terminal, mut peer) = at_prompt().await;
    let (output, ()) = tokio::join!(terminal.run("show x", soon()), async move {
        peer.answers("show x", "vlan 10\r\n  name a").await;
    });
    assert_eq!(lost(output), Cause::Closed("the device closed it".to_owned()));

    let (mut terminal, _peer) = at_prompt().await;
    let given_up = tokio::time::timeout(Duration::from_secs(1), terminal.run("show x", soon())).await;
    assert!(given_up.is_err() && !terminal.is_open());
    terminal.close().await;
}
