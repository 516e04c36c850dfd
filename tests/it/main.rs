mod config;
mod conformance;
mod peers;
mod rpc;
