//! `update_port` beside upstream's own service, in turns: Ironic's `ironic-networking` with its driver
//! that does nothing.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::attach::{PORTS, Target, VLANS};
use crate::load::{self, Connection, Load, request};
use crate::machine::{self, memory};
use crate::peers::process::Process;
use crate::peers::{command, ironic_programs, mercury_bin};
use crate::table::{Samples, millis};

/// Switches in both inventories.
const DEVICES: u16 = 1000;
/// The one that is asked for, by its MAC address: by name it is the last of them.
const DEVICE: u16 = 999;
const CLIENTS: [usize; 3] = [1, 8, 64];
const STARTS: usize = 5;
const TURNS: usize = 6;
const TURN: Duration = Duration::from_millis(500);
const USER: &str = "ironic";
const PASSWORD: &str = "not-a-secret";

/// A process that listens, or will.
struct Server {
    _process: Process,
    pid: u32,
    address: String,
    authorization: Option<String>,
}

/// The files of one server.
struct Site {
    dir: TempDir,
    with_basic: bool,
}

/// One server asked in one way.
struct Lane<'a> {
    name: &'static str,
    server: &'a Server,
    /// The VLANs that a client asks for in turn.
    vlans: &'a [u16],
    clients: &'a [usize],
    loads: Vec<Load>,
}

impl Site {
    fn new(with_basic: bool) -> Self {
        let dir = TempDir::with_prefix("mercury-bench-").expect("a temporary directory");
        // The cost that `htpasswd -B` takes by itself.
        let hash = bcrypt::hash(PASSWORD, 5).expect("a hash");
        let mut users = OpenOptions::new();
        let users = users.write(true).create_new(true).mode(0o600).open(dir.path().join("htpasswd"));
        let written = users.and_then(|mut file| writeln!(file, "{USER}:{hash}"));
        written.expect("the directory is ours");
        Self { dir, with_basic }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).expect("the directory is ours");
    }

    /// Starts a program and waits until it answers `first` with `expected`; gives how long that took.
    fn start(&self, mut program: Command, port: u16, first: &Value, expected: &str) -> (Server, Duration) {
        let log = File::create(self.path("log")).expect("the directory is ours");
        program.stdout(log.try_clone().expect("a second handle")).stderr(log);
        let token = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let authorization = self.with_basic.then(|| format!("Basic {token}"));
        let first = request(first, authorization.as_deref());
        let address = format!("127.0.0.1:{port}");
        let started = Instant::now();
        let mut process = Process::spawn(&mut program);
        while !Connection::try_open(&address)
            .is_ok_and(|mut connection| connection.ask(&first).contains(expected))
        {
            assert!(
                process.ended().is_none(),
                "{}",
                fs::read_to_string(self.path("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        let took = started.elapsed();
        (Server { pid: process.child().id(), _process: process, address, authorization }, took)
    }
}

/// Upstream's service with [`DEVICES`] switches of the driver that does nothing.
fn upstream(site: &Site) -> (Server, Duration) {
    let port = free_port();
    let dir = site.dir.path().display();
    let auth = if site.with_basic { "http_basic" } else { "noauth" };
    let switch = |n: u16| {
        format!(
            "[switch:leaf{n}]\ndriver_type = does-nothing\ndevice_type = netmiko_arista_eos\n\
             address = 10.0.{}.{}\nusername = admin\npassword = x\nmac_address = {}\nallowed_vlans = 100-199\n",
            n / 250,
            n % 250 + 1,
            mac(n)
        )
    };
    site.write("switches.conf", (1..=DEVICES).map(switch).collect::<String>());
    site.write(
        "ironic.conf",
        format!(
            "[DEFAULT]\nauth_strategy = noauth\nrpc_transport = json-rpc\nhost = bench\nstate_path = {dir}\n\
             [ironic_networking]\nrpc_transport = json-rpc\nenabled_switch_drivers = does-nothing\n\
             switch_config_file = {dir}/switches.conf\ndriver_config_dir = {dir}\n\
             [ironic_networking_json_rpc]\nhost_ip = 127.0.0.1\nport = {port}\nauth_strategy = {auth}\n\
             http_basic_auth_user_file = {dir}/htpasswd\n"
        ),
    );
    // 39.0.0 names its driver `noop` by a module in which it is not: a name of our own leads to it.
    let package = site.path("python/bench_driver-1.dist-info");
    fs::create_dir_all(&package).expect("the directory is ours");
    let driver = "ironic.drivers.modules.switch.base:NoOpSwitchDriver";
    let entry = format!("[ironic.networking.switch_drivers]\ndoes-nothing = {driver}\n");
    let described = "Metadata-Version: 2.1\nName: bench-driver\nVersion: 1\n";
    fs::write(package.join("entry_points.txt"), entry).expect("the directory is ours");
    fs::write(package.join("METADATA"), described).expect("the directory is ours");
    let mut program = command(ironic_programs().join("ironic-networking"));
    program.arg("--config-file").arg(site.path("ironic.conf"));
    program.env("PYTHONPATH", site.path("python")).env("XDG_CACHE_HOME", site.path("cache"));
    // It listens, and refuses, before it is ready.
    site.start(program, port, &update_port(1, VLANS[0]), "configured")
}

/// Mercury with [`DEVICES`] devices, one of which is `target`.
fn mercury(site: &Site, target: &Target, mut program: Command) -> (Server, Duration) {
    let port = free_port();
    let auth =
        if site.with_basic { "auth = \"basic\"\nhtpasswd = \"htpasswd\"\n" } else { "auth = \"none\"\n" };
    let (key, known_hosts) = (target.key.display(), target.known_hosts.display());
    let device = |n: u16| {
        let (address, port) = match n {
            DEVICE => ("127.0.0.1".to_owned(), target.port),
            _ => (format!("10.0.{}.{}", n / 250, n % 250 + 1), 830),
        };
        format!(
            "[[device]]\nname = \"leaf{n}\"\nmac_address = \"{}\"\naddress = \"{address}\"\nport = {port}\n\
             username = \"{}\"\nkey_file = \"{key}\"\nprofile = \"{}\"\nallowed_vlans = \"100-199\"\n",
            mac(n),
            target.username,
            target.profile
        )
    };
    site.write("devices.toml", (1..=DEVICES).map(device).collect::<String>());
    site.write(
        "mercury.toml",
        format!(
            "[rpc]\nlisten = \"127.0.0.1:{port}\"\n{auth}[inventory]\ndevices = \"devices.toml\"\n\
             known_hosts = \"{known_hosts}\"\n[locks]\ndir = \"locks\"\n[limits]\nqueue_per_device = 1024\n"
        ),
    );
    program.arg(site.path("mercury.toml"));
    site.start(program, port, &call("get_switches", json!({})), "\"leaf1000\"")
}

/// As the unit file starts it.
fn released() -> Command {
    let mut program = command(mercury_bin());
    program.args(["serve", "--config"]).env("MIMALLOC_PURGE_DELAY", "0");
    program
}

/// This program again: see [`crate::at_once`].
fn at_once() -> Command {
    let mut program = command(std::env::current_exe().expect("it runs"));
    program.arg("serve");
    program
}

impl<'a> Lane<'a> {
    fn new(name: &'static str, server: &'a Server, vlans: &'a [u16], clients: &'a [usize]) -> Self {
        Self { name, server, vlans, clients, loads: vec![Load::default(); clients.len()] }
    }

    /// Each client sets its own port of the one switch.
    fn requests(&self, clients: usize) -> Vec<Vec<Vec<u8>>> {
        let authorization = self.server.authorization.as_deref();
        let of =
            |client| self.vlans.iter().map(move |vlan| request(&update_port(client, *vlan), authorization));
        (1..=clients).map(|client| of(client).collect()).collect()
    }

    fn run(&mut self, time: Duration) {
        let runs = self
            .clients
            .iter()
            .map(|clients| load::run(&self.server.address, &self.requests(*clients), time, "configured"));
        let runs: Vec<Load> = runs.collect();
        self.loads.iter_mut().zip(runs).for_each(|(load, run)| load.extend(run));
    }
}

/// Measures, and prints a table of its own: what is compared is side by side in it. `target` is a
/// simulated switch.
pub fn measure(target: &Target) {
    let sites = [false, false, false, true, true].map(Site::new);
    let [of_upstream, of_released, of_at_once, upstream_basic, at_once_basic] = &sites;
    let [mut theirs, mut ours] = [(); 2].map(|()| Samples::default());
    // The first start fills Python's caches.
    drop(upstream(of_upstream));
    for _ in 0..STARTS {
        theirs.push(upstream(of_upstream).1);
        ours.push(mercury(of_released, target, released()).1);
    }
    eprintln!("  starts");

    let (upstream_server, _) = upstream(of_upstream);
    let (released_server, _) = mercury(of_released, target, released());
    let (at_once_server, _) = mercury(of_at_once, target, at_once());
    let (upstream_with_basic, _) = upstream(upstream_basic);
    let (at_once_with_basic, _) = mercury(at_once_basic, target, at_once());
    let (unchanged, changed, few) = (&VLANS[..1], &VLANS[..], &CLIENTS[..2]);
    let mut lanes = [
        Lane::new("upstream, driver does nothing", &upstream_server, unchanged, &CLIENTS),
        Lane::new("Mercury, session answers at once, unchanged", &at_once_server, unchanged, &CLIENTS),
        Lane::new("Mercury, session answers at once, applied", &at_once_server, changed, &CLIENTS),
        Lane::new("Mercury, simulator over SSH, unchanged", &released_server, unchanged, &CLIENTS),
        Lane::new("Mercury, simulator over SSH, applied", &released_server, changed, &CLIENTS),
        Lane::new("upstream, http_basic", &upstream_with_basic, unchanged, few),
        Lane::new("Mercury, session answers at once, unchanged, basic", &at_once_with_basic, unchanged, few),
    ];
    in_turns(&mut lanes);
    let mut awake = [
        Lane::new("upstream, driver does nothing", &upstream_server, unchanged, &CLIENTS[..1]),
        Lane::new("Mercury, session answers at once, unchanged", &at_once_server, unchanged, &CLIENTS[..1]),
    ];
    {
        let _awake = machine::keep_awake();
        in_turns(&mut awake);
    }

    println!(
        "\nupdate_port, {DEVICES} switches in the inventory, one of them asked, each client its own port"
    );
    table(&lanes);
    println!("the same with processors that never sleep: waking one takes longer than a short call");
    table(&awake);
    println!(
        "in brackets: times upstream's, first row. The aims: a tenth of its p50 with one client, 20 times its calls/s."
    );
    println!(
        "start until the first answer, middle / longest: upstream {} / {}, mercury serve {} / {}; aim: 50 ms",
        millis(theirs.p50()),
        millis(theirs.percentile(99)),
        millis(ours.p50()),
        millis(ours.percentile(99))
    );
    println!("memory afterwards, aim: a tenth");
    for (name, server) in [
        ("upstream", &upstream_server),
        ("mercury serve", &released_server),
        ("Mercury, session answers at once", &at_once_server),
    ] {
        println!("    {name}: {}", memory(server.pid));
    }
}

/// Runs each in turn, and that several times.
fn in_turns(lanes: &mut [Lane]) {
    for turn in 0..=TURNS {
        for lane in &mut *lanes {
            lane.run(TURN);
            // The first turn warms up.
            if turn == 0 {
                lane.loads.fill(Load::default());
            }
        }
        eprintln!("  turn {turn}");
    }
}

/// Prints what they did, beside the first of them.
fn table(lanes: &[Lane]) {
    let upstreams = &lanes[0].loads;
    for lane in lanes {
        for (n, (clients, load)) in lane.clients.iter().zip(&lane.loads).enumerate() {
            let (p50, p99) = (millis(load.samples.p50()), millis(load.samples.percentile(99)));
            let latency = load.samples.p50().as_secs_f64() / upstreams[n].samples.p50().as_secs_f64();
            let rate = load.rate() / upstreams[n].rate();
            let hung_up =
                if load.reopened > 0 { format!("  hung up {} times", load.reopened) } else { String::new() };
            println!(
                "{:50} {clients:>2} clients  p50 {p50:>9} ({latency:5.3})  p99 {p99:>9}  {:>6.0}/s ({rate:5.1}){hung_up}",
                lane.name,
                load.rate(),
            );
        }
    }
}

/// The ports of clients that [`crate::attach`] has none of.
pub fn more_ports() -> impl Iterator<Item = String> {
    (usize::from(PORTS) + 1..=CLIENTS[2]).map(|client| format!("eth{client}"))
}

/// One of Ironic's calls, as its conductor sends it.
fn update_port(client: usize, vlan: u16) -> Value {
    call(
        "update_port",
        json!({
            "switch_id": mac(DEVICE), "port_name": format!("eth{client}"),
            "description": "Ironic Port 0d2b1f6e-3a53-4f3b-9b44-8f4f4d1d2c11", "mode": "access",
            "native_vlan": vlan, "allowed_vlans": null, "default_vlan": null, "lag_name": null,
        }),
    )
}

fn call(method: &str, mut params: Value) -> Value {
    let id = "req-6f0c8bb0-4f0e-4ef0-9f4e-3a5d0a9d3c11";
    params["context"] = json!({
        "user": null, "project_id": null, "system_scope": null, "project": null, "domain": null,
        "user_domain": null, "project_domain": null, "is_admin": false, "read_only": false,
        "show_deleted": false, "auth_token": null, "request_id": id, "global_request_id": null,
        "resource_uuid": null, "roles": [], "user_identity": "- - - - -", "is_admin_project": true,
        "auth_token_info": null,
    });
    if method == "update_port" {
        params["rpc.version"] = "1.0".into();
    }
    json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": id })
}

fn mac(n: u16) -> String {
    let [high, low] = n.to_be_bytes();
    format!("00:1c:73:00:{high:02x}:{low:02x}")
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    bound.local_addr().expect("it is bound").port()
}
