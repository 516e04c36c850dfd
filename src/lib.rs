//! Mercury sets up the network around bare-metal servers.

pub mod path;
pub mod schema;
pub mod slice;
pub mod vlan;
