//! A real Ironic, unmodified, that uses Mercury in the place of its own networking service: its API
//! and conductor from PyPI, network interface `ironic-networking`, fake hardware whose ramdisk is
//! played by the tests, and switches behind Mercury. After every transition, and while Ironic waits
//! for the ramdisk in the middle of one, the whole running configuration of the switch is compared
//! with what the node's state calls for. It is never read through Mercury.
//!
//! * [`lab`]: what is started, once.
//! * [`forwarding`]: what a machine on a switch that forwards hears meanwhile.
//! * [`mercury`]: the service, over TLS and with a password.
//! * [`switch`]: the switches and what they hold.
//! * [`node`], [`agent`], [`api`]: a node, its ramdisk, and Ironic's API.

mod agent;
mod api;
mod failures;
mod forwarding;
mod lab;
mod life;
mod mercury;
mod node;
mod switch;

use crate::peers::{Peer, require};

/// Whether all that the lab starts is installed.
fn installed() -> bool {
    require(&[Peer::Ironic, Peer::Netconfd])
}
