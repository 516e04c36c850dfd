mod config;
mod conformance;
mod netconfd;
mod peers;
mod rpc;
mod service;
