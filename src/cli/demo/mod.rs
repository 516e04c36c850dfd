//! `mercury demo`: the whole flow on simulated switches, shown and checked step by step.
//!
//! The service is a process of its own and is asked over HTTP, as users do. What the switches hold
//! is read from the simulator itself, never through the code that is shown.

mod lab;
mod show;
mod steps;

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use lab::{LEAVES, Lab};
use show::Page;
use steps::{Answer, Ask, Step, steps};

/// Shows every step; an error names the one that did not hold.
pub async fn run() -> Result<()> {
    let started = Instant::now();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let mut stop = std::pin::pin!(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    });
    let lab = tokio::select! {
        lab = Lab::start() => lab?,
        () = &mut stop => bail!("interrupted"),
    };
    let shown = tokio::select! {
        shown = show(&lab) => shown,
        () = &mut stop => Err(anyhow!("interrupted")),
    };
    let log = lab.log_tail();
    let stopped = lab.stop().await;
    if shown.is_err() {
        eprintln!("\nThe service's log ends with:\n{log}\n");
    }
    let count = shown?;
    stopped?;
    print(&format!(
        "\nAll {count} steps held, in {:.1} s. Everything started was stopped and removed.\n",
        started.elapsed().as_secs_f64()
    ))
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}

async fn show(lab: &Lab) -> Result<usize> {
    let mut page = Page::default();
    page.line("Four simulated switches (NETCONF over SSH), and what they promise:\n");
    LEAVES.iter().for_each(|leaf| page.line(&format!("   {}  {}  {}", leaf.name, leaf.mac, leaf.promises)));
    page.line(&format!("\n`mercury serve` answers at {} (files in {}).", lab.address(), lab.dir().display()));
    page.line("Allowed are VLANs 100-199 on eth1, eth2, ...; eth48 is protected; a detached port goes down.");
    print(&page.0)?;
    let mut demo = Demo { lab, last_answer: Value::Null, last_before: String::new() };
    let all = steps();
    for (number, step) in (1..).zip(&all) {
        let mut page = Page::default();
        page.line(&format!("\n{number}. {}", step.title));
        let held = demo.step(step, &mut page).await;
        print(&page.0)?;
        held.with_context(|| format!("step {number} did not hold"))?;
    }
    Ok(all.len())
}

struct Demo<'a> {
    lab: &'a Lab,
    last_answer: Value,
    /// Running of the last step's switch before that step.
    last_before: String,
}

/// Everything about the switches that a step may change, or must not.
struct Seen {
    running: BTreeMap<&'static str, String>,
    commits: u64,
    heard: BTreeMap<&'static str, usize>,
}

impl Demo<'_> {
    async fn step(&mut self, step: &Step, page: &mut Page) -> Result<()> {
        let switch = &self.lab.switches[step.switch];
        if let Some((words, fault)) = step.fault {
            switch.inject(fault.parse()?);
            page.text("fault", &format!("{words} ({fault})"));
        }
        let before = self.seen(step);
        let answer = match &step.ask {
            Ask::Rpc { words, method, params } => {
                page.text("ask", words);
                let request = json!({ "jsonrpc": "2.0", "id": "req-1", "method": method, "params": params });
                if step.shows.contains(&"request") {
                    page.block("request", [&format!("POST {}", self.lab.address())]);
                    page.block("", serde_json::to_string_pretty(&request)?.lines());
                }
                let answer = self.lab.call(&request).await?;
                page.answer(&answer, step.shows);
                answer
            }
            Ask::InverseByHand => {
                page.text(
                    "ask",
                    &format!("edit-config on running of {}, with the inverse above", step.switch),
                );
                let inverse = self.last_answer["result"]["devices"][0]["inverse"].as_str();
                lab::edit_by_hand(switch, inverse.context("the last answer has no inverse")?).await?;
                page.text("answer", "ok");
                Value::Null
            }
        };
        let after = self.seen(step);
        let changes = show::changes(
            &show::leaves(&before.running[step.switch])?,
            &show::leaves(&after.running[step.switch])?,
        );
        if before.running[step.switch] == after.running[step.switch] {
            page.text("switch", &format!("running of {} is as before, byte for byte", step.switch));
        } else {
            page.block("switch", [format!("running of {}, read from the switch itself:", step.switch)]);
            page.block("", &changes);
        }
        self.check(step, &answer, &before, &after, &changes)?;
        self.last_before = before.running[step.switch].clone();
        self.last_answer = answer;
        Ok(())
    }

    fn seen(&self, step: &Step) -> Seen {
        let switches = || self.lab.switches.iter();
        Seen {
            running: switches().map(|(name, switch)| (*name, switch.running_xml())).collect(),
            commits: self.lab.switches[step.switch].commits(),
            heard: switches().map(|(name, switch)| (*name, switch.log().len())).collect(),
        }
    }

    fn check(
        &self,
        step: &Step,
        answer: &Value,
        before: &Seen,
        after: &Seen,
        changes: &[String],
    ) -> Result<()> {
        let name = step.switch;
        let (error, device) = (&answer["error"], &answer["result"]["devices"][0]);
        let commits = after.commits - before.commits;
        let outcome = answer["result"]["outcome"].as_str();
        match &step.answer {
            Answer::Planned => {
                ensure!(outcome == Some("planned"), "the outcome is not `planned`");
                let log = self.lab.switches[name].log();
                let mut heard = log[before.heard[name]..].iter().map(|message| message.rpc.as_str());
                ensure!(
                    heard.all(|rpc| matches!(rpc, "hello" | "get-config" | "get")),
                    "more was sent than a read"
                );
            }
            Answer::Applied(phases) => {
                ensure!(outcome == Some("applied"), "the outcome is not `applied`");
                let timings = device["timings"].as_array().map(Vec::as_slice).unwrap_or_default();
                let missing = phases.iter().find(|name| !timings.iter().any(|took| took["phase"] == **name));
                ensure!(missing.is_none(), "phase {missing:?} is missing");
                ensure!(commits == 1, "running was changed {commits} times");
            }
            Answer::Unchanged => {
                ensure!(outcome == Some("unchanged"), "the outcome is not `unchanged`");
                ensure!(commits == 0, "running was changed");
            }
            Answer::Ironic(status) => {
                ensure!(answer["result"]["status"] == *status, "the status is not `{status}`");
                ensure!(commits == 1, "running was changed {commits} times");
            }
            Answer::RolledBack { phase, commits: expected, says } => {
                ensure!(error["code"] == 500, "the code is not 500");
                ensure!(error["data"]["outcome"] == "rolled_back", "the outcome is not `rolled_back`");
                ensure!(error["data"]["phase"] == *phase, "it failed in another phase than {phase}");
                ensure!(commits == *expected, "running was changed {commits} times");
                says_so(error, says)?;
            }
            Answer::Refused { code, says } => {
                ensure!(error["code"] == *code, "the code is not {code}");
                says_so(error, says)?;
                ensure!(after.heard == before.heard, "a switch was contacted");
            }
            Answer::Undone => {
                ensure!(
                    after.running[name] == self.last_before,
                    "running is not what it was before the attach"
                );
            }
        }
        ensure!(changes == step.changes, "running was to change by {:#?}", step.changes);
        for (other, switch) in &self.lab.switches {
            let same = before.running[other] == after.running[other];
            ensure!(same || (*other == name && !changes.is_empty()), "running of {other} changed");
            ensure!(switch.locks().is_empty(), "a lock is left on {other}");
            ensure!(!switch.pending_commit(), "a commit waits for its confirmation on {other}");
            ensure!(!switch.candidate_is_dirty(), "an edit is left in the candidate of {other}");
        }
        ensure!(self.lab.journals_are_empty()?, "a journal is not empty");
        Ok(())
    }
}

fn says_so(error: &Value, says: &str) -> Result<()> {
    let message = error["message"].as_str().unwrap_or_default();
    ensure!(message.contains(says), "the message does not say `{says}`");
    Ok(())
}
