//! Mercury and networking-generic-switch on one simulated Cisco IOS, in turns.

use std::sync::atomic::{AtomicUsize, Ordering};

use mercury::sim::cli::{self, CliSpec, CliSwitch};
use tokio::runtime::Runtime;

use crate::attach::{PORTS, Target, VLANS};
use crate::machine;
use crate::ngs::Ngs;
use crate::ovs::verdict;
use crate::peers::Netconfd;
use crate::service::{Service, Site};
use crate::table::{Samples, Table};

const WARM: usize = 50;
const ONE_BY_NGS: usize = 5;
const ROUNDS: usize = 3;

fn name(n: u16) -> String {
    format!("GigabitEthernet0/{n}")
}

async fn start(keys: &Netconfd) -> CliSwitch {
    let authorized_key = std::fs::read_to_string(keys.key.with_extension("pub")).expect("made by ssh-keygen");
    let vlans: String = VLANS.iter().map(|vlan| format!("vlan {vlan}\nexit\n")).collect();
    let spec = CliSpec {
        ports: (1..=PORTS).map(name).collect(),
        config: vlans,
        authorized_key: Some(authorized_key),
        ..CliSpec::new("cisco_ios")
    };
    cli::start(spec, "127.0.0.1:0".parse().expect("an address")).await.expect("a free port")
}

/// Prints what one port takes, and many at once. Whoever has the `keys` may log in.
pub fn measure(runtime: &Runtime, keys: &Netconfd) {
    let switch = runtime.block_on(start(keys));
    let target = Target::cisco_ios(keys, &switch);
    let Some(mut ngs) = Ngs::start("netmiko_cisco_ios", &target) else { return };
    let site = Site::new(&target, &machine::disk());
    let ports: Vec<String> = (1..=PORTS).map(name).collect();
    let turn = AtomicUsize::new(0);
    let next = || VLANS[turn.fetch_add(1, Ordering::Relaxed) % VLANS.len()];
    let holds =
        |vlan: u16| switch.running_config().matches(&format!("switchport access vlan {vlan}\n")).count();
    let mut service = Service::start(runtime, &site);
    service.attach("eth1", next());
    let [mut warm, mut by_ngs, mut all, mut all_by_ngs] = [(); 4].map(|()| Samples::default());
    for n in 0..WARM {
        warm.time(|| service.attach("eth1", next()));
        if n % (WARM / ONE_BY_NGS) == 0 {
            by_ngs.push(ngs.plug(&ports[..1], next()).1);
        }
    }
    let [theirs, ours] = VLANS;
    ngs.plug(&ports, theirs);
    for _ in 0..ROUNDS {
        all.push(service.attach_all(PORTS, ours).0);
        assert_eq!(holds(ours), usize::from(PORTS));
        all_by_ngs.push(ngs.plug(&ports, theirs).1);
        assert_eq!(holds(theirs), usize::from(PORTS));
    }
    let mut table = Table::default();
    table.row("attach on a simulated Cisco IOS, warm, saved", &warm);
    table.row("  networking-generic-switch", &by_ngs);
    table.row(format!("{PORTS} attaches at once, until the last answer"), &all);
    table.row("  networking-generic-switch", &all_by_ngs);
    println!("{table}");
    verdict(target.name, (&by_ngs, &warm), (&all_by_ngs, &all));
}
