//! Open vSwitch over SSH.

mod fixture;
