mod config;
mod conformance;
mod matrix;
mod netconfd;
mod peers;
mod rpc;
mod service;
mod transport;
