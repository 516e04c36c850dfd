mod config;
mod peers;
