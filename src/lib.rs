//! Mercury sets up the network around bare-metal servers.

pub mod config;
pub mod device;
pub mod path;
pub mod render;
pub mod schema;
pub mod slice;
pub mod transport;
pub mod vlan;
