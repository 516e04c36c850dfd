//! One binary for all integration tests: each more would link everything again.

mod attacks;
mod cli_profiles;
mod client;
mod command_lines;
mod config;
mod conformance;
mod demo;
mod golden;
mod guide;
mod inventory;
mod ironic;
mod lint;
mod matrix;
mod netconfd;
mod operations;
mod ovs;
mod peers;
mod plan;
mod queries;
mod render;
mod rpc;
mod service;
mod shells;
mod sim;
mod simulated;
mod transport;
