//! Open vSwitch over SSH.

mod changes;
mod fixture;
