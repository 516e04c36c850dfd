mod config;
mod peers;
mod rpc;
