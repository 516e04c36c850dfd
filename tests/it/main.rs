mod config;
mod conformance;
mod demo;
mod matrix;
mod peers;
mod rpc;
mod sim;
