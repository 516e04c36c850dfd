//! What a reviewer should know before a plan is applied.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::device::Profile;
use crate::intent::Subject;
use crate::openconfig::Reported;
use crate::plan::Plan;
use crate::slice::Slice;
use crate::transport::{Promises, Timed};
use crate::vlan::{VlanId, VlanSet};

/// Something about a plan or a device that a person may want to stop at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Risk {
    CreatesInterface {
        port: String,
    },
    CreatesVlans {
        vlans: VlanSet,
    },
    VlanTableNotSeen {
        vlans: VlanSet,
    },
    /// The port is isolated in a VLAN that the switch does not have.
    VlanMissing {
        vlans: VlanSet,
    },
    /// The port was a trunk without a list before.
    WasTrunkOfAll,
    /// An uplink without a list carries the VLAN whatever is done.
    UplinkOfAll {
        port: String,
    },
    /// It is deleted all the same.
    VlanInUse {
        vlan: VlanId,
        users: String,
    },
    LeavesVlans {
        vlans: VlanSet,
    },
    PortGoesDown,
    /// An attach that leaves it so.
    PortStaysDown,
    SetsMtu {
        mtu: String,
    },
    /// The network's, where a port has none of its own.
    NoMtu {
        mtu: u16,
    },
    /// The caller's, where a port cannot be told one.
    NoDescription,
    GuardsBpdus,
    OverwritesDescription {
        old: String,
    },
    /// It will be refused as long as the device is under maintenance.
    Frozen {
        reason: String,
    },
    /// Nobody gave the modules of the vendor's model that the edits are in.
    FormOnly,
    /// The running state was assumed or given, and what the device promises was not asked.
    NotRead,
    /// Its journal is open: an earlier change is under way, or how it ended is not known.
    Unsettled,
    /// A detach that takes the port down and cannot say which VLANs go.
    KeepsVlans,
    /// The switch never tells what it holds.
    NotVerified {
        why: String,
    },
    /// Somebody is there: the link is up while the port loses VLANs.
    LinkIsUp {
        received: Option<String>,
        sent: Option<String>,
    },
    /// The device cannot undo by itself.
    NoTimer,
    /// Edits go straight to running.
    NoCandidate,
    /// One edit may be applied by half.
    NotAtomic,
    /// Nothing says that it survives a reboot.
    NotKept,
    /// Other sessions cannot be kept out.
    NoLock,
    /// The timer lives or dies with our session, or any other session's commit confirms it.
    WeakTimer {
        timed: Timed,
    },
}

/// What the state of the plan's port adds to its risks.
pub fn of_state(plan: &Plan, state: &Slice) -> Option<Risk> {
    let Subject::Port(port) = plan.intent.subject() else { return None };
    let reported = Reported::new(port.as_str());
    let is_cut_off = |risk: &Risk| matches!(risk, Risk::LeavesVlans { .. } | Risk::PortGoesDown);
    let is_up = state.leaf(&reported.oper_status) == Some("UP");
    let octets = |path| state.leaf(path).map(str::to_owned);
    (is_up && plan.risks.iter().any(is_cut_off))
        .then(|| Risk::LinkIsUp { received: octets(&reported.in_octets), sent: octets(&reported.out_octets) })
}

/// What the device cannot promise.
pub fn of_device(promises: &Promises, profile: &Profile) -> Vec<Risk> {
    let mut risks = Vec::new();
    if !promises.candidate {
        risks.push(Risk::NoCandidate);
    }
    match promises.timed {
        // Without a reading there is no inverse that could stand in for it, and the plan says so.
        Timed::None if profile.speaks.not_read().is_some() => {}
        Timed::None => risks.push(Risk::NoTimer),
        Timed::SessionBound | Timed::AnyCommit => risks.push(Risk::WeakTimer { timed: promises.timed }),
        Timed::Persist => {}
    }
    if !promises.atomic {
        risks.push(Risk::NotAtomic);
    }
    if !promises.keeps {
        risks.push(Risk::NotKept);
    }
    if !promises.locks {
        risks.push(Risk::NoLock);
    }
    risks
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Risk::CreatesInterface { port } => {
                write!(f, "interface {port} is not in the running configuration: it will be created")
            }
            Risk::CreatesVlans { vlans } => {
                write!(f, "VLAN {vlans} is created in the switch's table; the inverse leaves it there")
            }
            Risk::VlanTableNotSeen { vlans } => {
                write!(f, "no VLAN table was read: whether VLAN {vlans} exists on the switch is not checked")
            }
            Risk::VlanMissing { vlans } => {
                write!(
                    f,
                    "VLAN {vlans} is not in the switch's table: the port is isolated, and nothing reaches it"
                )
            }
            Risk::WasTrunkOfAll => {
                f.write_str("the port was a trunk of every VLAN, and the inverse makes it one again")
            }
            Risk::UplinkOfAll { port } => {
                write!(f, "uplink {port} is a trunk without a list: it carries every VLAN and is left so")
            }
            Risk::VlanInUse { vlan, users } => write!(f, "VLAN {vlan} is deleted while in use: {users}"),
            Risk::LeavesVlans { vlans } => write!(f, "the port leaves VLAN {vlans}"),
            Risk::PortGoesDown => f.write_str("the port goes administratively down"),
            Risk::PortStaysDown => f.write_str("the port is administratively down and stays so"),
            Risk::SetsMtu { mtu } => write!(
                f,
                "the MTU becomes {mtu}: larger frames are dropped, and whether that counts the Ethernet \
                 header is the switch's own way"
            ),
            Risk::NoMtu { mtu } => write!(
                f,
                "the network's MTU of {mtu} is not set: a port has none of its own here, the switch's counts"
            ),
            Risk::NoDescription => {
                f.write_str("the description is not set: the profile has no line that says one")
            }
            Risk::GuardsBpdus => {
                f.write_str("BPDU guard: from now on a bridge behind the port takes it down")
            }
            Risk::OverwritesDescription { old } => {
                write!(f, "a description that is not ours is overwritten: \"{old}\"")
            }
            Risk::Frozen { reason } => {
                write!(f, "the device is frozen, so this will be refused: {reason}")
            }
            Risk::FormOnly => f.write_str(
                "the edits are in the vendor's own model and checked for their form only: the profile's \
                 [model] names no `yang` to check them with",
            ),
            Risk::NotRead => f.write_str(
                "the device was not read: what it runs is assumed or given, whether it can lock and \
                 undo by itself is not known",
            ),
            Risk::NotVerified { why } => write!(
                f,
                "not verified: what the switch holds cannot be read back, so nothing is compared, every line \
                 is sent each time, and nothing can be taken back ({why})"
            ),
            Risk::KeepsVlans => f.write_str(
                "the port goes down and may keep the VLANs it has, which cannot be read: who brings it up puts the \
                 server back into them; a `default_vlan`, or on_detach = \"quarantine:<vlan>\", says which it gets",
            ),
            Risk::Unsettled => f.write_str(
                "an earlier change of this switch is under way, or not settled: the next change takes back first \
                 what it finds of it, so that what is shown here may be gone by then",
            ),
            Risk::LinkIsUp { received, sent } => {
                f.write_str("the port's link is up: somebody is connected to it")?;
                match (received, sent) {
                    (Some(received), Some(sent)) => {
                        write!(f, ", {received} octets were received and {sent} sent so far")
                    }
                    _ => Ok(()),
                }
            }
            Risk::NoTimer => f.write_str(
                "no confirmed commit: a failure is undone by applying the inverse, not by the device",
            ),
            Risk::NoCandidate => f.write_str("no candidate: the edit takes effect when it is sent"),
            Risk::NotAtomic => f.write_str("no rollback-on-error: an edit that fails may be half applied"),
            Risk::NotKept => {
                f.write_str("not saved: whether what runs survives a reboot is up to the target")
            }
            Risk::NoLock => f.write_str("no lock: another session may change the device at the same time"),
            Risk::WeakTimer { timed: Timed::AnyCommit } => {
                f.write_str("confirmed commit without an id: any later commit of anyone confirms it")
            }
            Risk::WeakTimer { .. } => {
                f.write_str("confirmed commit without an id: the device undoes it when our session drops")
            }
        }
    }
}

impl Serialize for Risk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
