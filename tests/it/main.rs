mod config;
mod conformance;
mod matrix;
mod peers;
mod plan;
mod rpc;
