//! One binary for all integration tests: each more would link everything again.

mod config;
mod conformance;
mod demo;
mod matrix;
mod peers;
mod plan;
mod rpc;
mod sim;
mod transport;
