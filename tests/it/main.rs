mod config;
mod conformance;
mod matrix;
mod peers;
mod rpc;
mod transport;
