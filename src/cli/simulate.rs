//! `mercury simulate`: switches to try things on.

mod cli_switch;
mod gnmi;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};

use crate::schema::Schema;
use crate::sim::cli::{CliFault, CliSpec};
use crate::sim::{self, FaultSpec, Personality, SwitchSpec};
use cli_switch::SystemArg;

/// Run simulated switches, NETCONF, gNMI or command lines, until SIGINT or SIGTERM.
///
/// Prints one line a switch when all are ready: name, address, host key, and where it is a gNMI
/// target too gnmi=ADDRESS.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// name=leaf1,personality=candidate-persist,port=0,ports=eth1..eth48,vlans=100-110+300
    ///
    /// Personalities: candidate-persist, candidate-session, candidate-plain, any-commit, running,
    /// running-startup. More keys: refuse=VLAN refuses edits with it; partial keeps what an edit
    /// did before its error; prune-when drops a node whose `when` is false; undo-needs-unlock
    /// keeps a timed commit while running is locked; base-1.0 offers no chunked framing;
    /// no-link=eth1..eth4 reports these ports down; octets=N is what the others count; unlisted=openconfig-vlan leaves a module out of its
    /// hello; config=FILE adds XML to the first configuration.
    ///
    /// gnmi=PORT makes it a gNMI target too. Habits of such: gnmi-refuses=json or json_ietf, though
    /// advertised; gnmi-commit=ignored or unimplemented; gnmi-keeps-failed-commit lets one that is
    /// not valid wait for its cancel; gnmi-fails-after-applying=CODE; gnmi-applies-nothing;
    /// gnmi-no-results; gnmi-no-result-paths; gnmi-seconds in timestamps; gnmi-body-keys=required or
    /// refused; gnmi-all-only in Get; gnmi-no-leaf-list-arrays; gnmi-per-leaf; gnmi-prefixes=required
    /// or absent; gnmi-origin-required; gnmi-unlisted=MODULE.
    #[arg(long = "switch", value_name = "SPEC", value_parser = parse_switch, required_unless_present = "systems")]
    switches: Vec<SwitchArg>,
    /// cisco_ios or name=leaf2,os=cisco_ios,port=0,ports=GigabitEthernet0/1..GigabitEthernet0/48
    ///
    /// A command line: arista_eos, cisco_ios, juniper_junos or sonic; without a name it has the system's.
    /// More keys: hostname=NAME; variant=NAME for what only some devices of the system do;
    /// timers=N lets its timers run N times as fast; no-link=GigabitEthernet0/1 reports these ports down;
    /// config=FILE has lines of its first configuration, as they would be entered.
    #[arg(long = "system", value_name = "SPEC", value_parser = cli_switch::parse)]
    systems: Vec<SystemArg>,
    /// leaf2:^commit:drop-after
    ///
    /// After the name a regular expression for the command, with @N or @every as above; then
    /// refuse=TEXT, say=TEXT, noise=TEXT, prompt=TEXT, ask=TEXT, first=LINE, flood=BYTES, drop-before,
    /// drop-after, drop-inside, hang-before, hang-after, delay=TIME or late-echo=TIME.
    #[arg(long = "cli-fault", value_name = "NAME:COMMAND[@N]:WHAT", value_parser = cli_switch::parse_fault)]
    cli_faults: Vec<(String, CliFault)>,
    /// File with the enable secret of the command lines, on its first line
    #[arg(long, value_name = "FILE")]
    enable_file: Option<PathBuf>,
    /// leaf1:commit:drop-after
    ///
    /// After the name an rpc, `hello`, `any`, `confirmed-commit` or `confirm`, with @N for its Nth
    /// occurrence or @every; then reject[=TAG], reject-after[=TAG], drop-before, drop-after,
    /// hang-before, hang-after, close, break-off, malformed, doctype, not-xml or delay=TIME. By gNMI:
    /// gnmi-capabilities, gnmi-get, gnmi-set, gnmi-commit, gnmi-confirm, gnmi-cancel, and reject=CODE.
    #[arg(long = "fault", value_name = "NAME:RPC[@N]:WHAT", value_parser = parse_fault)]
    faults: Vec<(String, FaultSpec)>,
    /// leaf1=5ms: added to every rpc; less than a millisecond becomes one
    #[arg(long = "latency", value_name = "NAME=TIME", value_parser = parse_latency)]
    latencies: Vec<(String, Duration)>,
    /// Who may log in
    #[arg(long, default_value = "admin")]
    user: String,
    /// File with the password, on its first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// OpenSSH public key file
    #[arg(long, value_name = "FILE")]
    authorized_key: Option<PathBuf>,
    #[command(flatten)]
    gnmi_tls: Box<gnmi::TlsArgs>,
    /// Directory of YANG modules in place of the built-in ones
    #[arg(long, value_name = "DIR")]
    yang: Option<PathBuf>,
    /// Keeps the host keys here, so that they stay the same
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
}

#[derive(Clone, Debug)]
struct SwitchArg {
    spec: SwitchSpec,
    port: u16,
    config: Option<PathBuf>,
}

/// Starts the switches, says so, and waits for a signal.
///
/// # Errors
/// An unreadable file, a switch named twice or not at all, no way to log in, an address in use.
pub async fn run(args: SimulateArgs) -> anyhow::Result<()> {
    // Before anyone can know that we run, so that no signal is lost.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let schema = match &args.yang {
        Some(dir) => Schema::from_dir(dir)?,
        None => Schema::builtin()?,
    };
    let mut running = Vec::new();
    let mut running_systems = Vec::new();
    let mut lines = String::new();
    for (spec, address) in specs(&args)? {
        let name = spec.name.clone();
        let switch = sim::start(spec, Arc::clone(&schema), address).await?;
        let gnmi = switch.gnmi_addr().map(|address| format!(" gnmi={address}")).unwrap_or_default();
        lines += &format!("{name} {} {}{gnmi}\n", switch.addr(), switch.host_key());
        running.push(switch);
    }
    for (spec, address) in system_specs(&args)? {
        let name = spec.name.clone();
        let switch = sim::cli::start(spec, address).await?;
        lines += &format!("{name} {} {}\n", switch.addr(), switch.host_key());
        running_systems.push(switch);
    }
    let mut out = std::io::stdout().lock();
    out.write_all(lines.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")?;
    drop(out);

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    running.into_iter().for_each(sim::Switch::shutdown);
    running_systems.into_iter().for_each(sim::cli::CliSwitch::shutdown);
    Ok(())
}

/// Who may log in, everywhere.
fn login(args: &SimulateArgs) -> anyhow::Result<(Option<SecretString>, Option<String>)> {
    let password = args.password_file.as_deref().map(first_line).transpose()?;
    let authorized_key = args.authorized_key.as_deref().map(read).transpose()?;
    if password.is_none() && authorized_key.is_none() {
        bail!("nobody could log in: give --password-file or --authorized-key");
    }
    Ok((password, authorized_key))
}

/// What to start and where, from all of the arguments together.
fn specs(args: &SimulateArgs) -> anyhow::Result<Vec<(SwitchSpec, SocketAddr)>> {
    let (password, authorized_key) = login(args)?;
    let gnmi_tls = args.gnmi_tls.read(read)?;
    let netconf: Vec<&String> = args.switches.iter().map(|switch| &switch.spec.name).collect();
    let systems: Vec<&String> = args.systems.iter().map(|system| &system.spec.name).collect();
    let names: Vec<&String> = netconf.iter().chain(&systems).copied().collect();
    if let Some(twice) = (1..names.len()).find(|&n| names[..n].contains(&names[n])) {
        bail!("two switches are named `{}`", names[twice]);
    }
    let faults = args.faults.iter().map(|(name, _)| ("--switch", &netconf, name));
    let latencies = args.latencies.iter().map(|(name, _)| ("--switch or --system", &names, name));
    let cli_faults = args.cli_faults.iter().map(|(name, _)| ("--system", &systems, name));
    for (option, names, name) in faults.chain(latencies).chain(cli_faults) {
        if !names.contains(&name) {
            bail!("no {option} is named `{name}`");
        }
    }
    let complete = |switch: &SwitchArg| {
        let mut spec = switch.spec.clone();
        spec.username.clone_from(&args.user);
        spec.password.clone_from(&password);
        spec.authorized_key.clone_from(&authorized_key);
        spec.startup_xml = switch.config.as_deref().map(read).transpose()?;
        spec.host_key = args.state_dir.as_deref().map(|dir| host_key(dir, &spec.name)).transpose()?;
        let ours = |(name, _): &&(String, FaultSpec)| *name == spec.name;
        spec.faults = args.faults.iter().filter(ours).map(|(_, fault)| fault.clone()).collect();
        spec.latency = latency(args, &spec.name);
        if let Some(gnmi) = &mut spec.gnmi {
            gnmi.tls.clone_from(&gnmi_tls);
            if password.is_none() && gnmi_tls.as_ref().is_none_or(|tls| tls.client_ca.is_none()) {
                bail!("nobody could use gNMI on {}: give --password-file or --gnmi-client-ca", spec.name);
            }
        }
        Ok((spec, SocketAddr::new(args.bind, switch.port)))
    };
    args.switches.iter().map(complete).collect()
}

/// The command lines among them.
fn system_specs(args: &SimulateArgs) -> anyhow::Result<Vec<(CliSpec, SocketAddr)>> {
    let (password, authorized_key) = login(args)?;
    let enable_secret = args.enable_file.as_deref().map(first_line).transpose()?;
    let complete = |system: &SystemArg| {
        let mut spec = system.spec.clone();
        spec.username.clone_from(&args.user);
        spec.password.clone_from(&password);
        spec.authorized_key.clone_from(&authorized_key);
        spec.enable_secret.clone_from(&enable_secret);
        spec.config = system.config.as_deref().map(read).transpose()?.unwrap_or_default();
        spec.host_key = args.state_dir.as_deref().map(|dir| host_key(dir, &spec.name)).transpose()?;
        let ours = |(name, _): &&(String, CliFault)| *name == spec.name;
        spec.faults = args.cli_faults.iter().filter(ours).map(|(_, fault)| fault.clone()).collect();
        spec.latency = latency(args, &spec.name);
        Ok((spec, SocketAddr::new(args.bind, system.port)))
    };
    args.systems.iter().map(complete).collect()
}

fn latency(args: &SimulateArgs, switch: &str) -> Duration {
    let latency = args.latencies.iter().rev().find(|(name, _)| name == switch);
    latency.map_or(Duration::ZERO, |(_, time)| *time)
}

/// The switch's private key from the directory; made at the first start.
fn host_key(dir: &Path, name: &str) -> anyhow::Result<SecretString> {
    let file = dir.join(format!("{name}_host_key"));
    if file.exists() {
        return Ok(SecretString::from(read(&file)?));
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    sim::write_host_key(&file).with_context(|| format!("cannot write {}", file.display()))
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn first_line(file: &Path) -> anyhow::Result<SecretString> {
    Ok(SecretString::from(read(file)?.lines().next().unwrap_or_default()))
}

fn parse_switch(text: &str) -> Result<SwitchArg, String> {
    let mut spec = SwitchSpec { name: String::new(), ..SwitchSpec::default() };
    let (mut port, mut config) = (0, None);
    for item in text.split(',') {
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        let wrong = || format!("`{item}` is not understood; `mercury simulate --help` lists all keys");
        match key {
            "name" => value.clone_into(&mut spec.name),
            "personality" => spec.personality = value.parse::<Personality>()?,
            "port" => port = value.parse().map_err(|_| wrong())?,
            "ports" => spec.ports = names(value).ok_or_else(wrong)?,
            "vlans" => spec.vlans = vlans(value).ok_or_else(wrong)?,
            "refuse" => spec.quirks.refuse = Some(value.parse().map_err(|_| wrong())?),
            "no-link" => spec.quirks.no_link = names(value).ok_or_else(wrong)?,
            "octets" => spec.quirks.octets = value.parse().map_err(|_| wrong())?,
            "unlisted" => spec.quirks.unlisted = names(value).ok_or_else(wrong)?,
            "config" => config = Some(PathBuf::from(value)),
            "partial" if value.is_empty() => spec.quirks.partial = true,
            "prune-when" if value.is_empty() => spec.quirks.prune_when = true,
            "undo-needs-unlock" if value.is_empty() => spec.quirks.undo_needs_unlock = true,
            "base-1.0" if value.is_empty() => spec.quirks.base_1_0 = true,
            _ => gnmi::word(&mut spec.gnmi, key, value).ok_or_else(wrong)?,
        }
    }
    check_name(&spec.name)?;
    Ok(SwitchArg { spec, port, config })
}

fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err("a switch needs a name of letters, digits, `-`, `_` and `.`".to_owned());
    }
    Ok(())
}

/// `eth1..eth48+mgmt0`
fn names(text: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for part in text.split('+') {
        let Some((first, last)) = part.split_once("..") else {
            all.push(part.to_owned());
            continue;
        };
        let stem = first.trim_end_matches(|c: char| c.is_ascii_digit());
        let from: u16 = first[stem.len()..].parse().ok()?;
        let to: u16 = last.strip_prefix(stem)?.parse().ok()?;
        if from > to {
            return None;
        }
        all.extend((from..=to).map(|number| format!("{stem}{number}")));
    }
    all.iter().all(|name| !name.is_empty() && !name.contains(['\'', '"'])).then_some(all)
}

/// `100-110+300`
fn vlans(text: &str) -> Option<Vec<u16>> {
    let mut all = Vec::new();
    for part in text.split('+') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        if from > to {
            return None;
        }
        all.extend(from..=to);
    }
    all.iter().all(|id| (1..=4094).contains(id)).then_some(all)
}

fn parse_fault(text: &str) -> Result<(String, FaultSpec), String> {
    let (name, fault) = text.split_once(':').ok_or("write `switch:rpc:what`")?;
    Ok((name.to_owned(), fault.parse().map_err(|error: sim::FaultSpecError| error.to_string())?))
}

fn parse_latency(text: &str) -> Result<(String, Duration), String> {
    let parts = text.split_once('=').and_then(|(name, time)| Some((name.to_owned(), sim::duration(time)?)));
    parts.ok_or_else(|| "write `switch=5ms`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches() {
        let arg = parse_switch(
            "name=leaf1,personality=running-startup,port=830,ports=eth9..eth11+mgmt0,vlans=100-102+300,refuse=666,partial",
        )
        .unwrap();
        assert_eq!((arg.spec.name.as_str(), arg.port), ("leaf1", 830));
        assert_eq!(arg.spec.personality, Personality::RunningStartup);
        assert_eq!(arg.spec.ports, ["eth9", "eth10", "eth11", "mgmt0"]);
        assert_eq!(arg.spec.vlans, [100, 101, 102, 300]);
        assert!(arg.spec.quirks.partial && arg.spec.quirks.refuse == Some(666));
        for bad in [
            "",
            "ports=eth1",
            "name=../x",
            "name=a,personality=great",
            "name=a,port=x",
            "name=a,ports=eth1..mgmt2",
            "name=a,vlans=0",
            "name=a,vlans=110-100",
            "name=a,ports=eth4..eth1",
            "name=a,vlans=100-5000",
            "name=a,colour=red",
            "name=a,partial=yes",
        ] {
            assert!(parse_switch(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn faults_and_latencies() {
        let (name, fault) = parse_fault("leaf1:commit@2:drop-after").unwrap();
        assert_eq!((name.as_str(), fault), ("leaf1", "commit@2:drop-after".parse().unwrap()));
        assert!(parse_fault("leaf1").is_err() && parse_fault("leaf1:commit").is_err());
        assert_eq!(parse_latency("a=5ms").unwrap(), ("a".to_owned(), Duration::from_millis(5)));
        assert!(parse_latency("a=5").is_err() && parse_latency("5ms").is_err());
    }
}
