//! Mercury sets up the network around bare-metal servers.
//!
//! Read in the order the data flows:
//!
//! * [`rpc`]: JSON-RPC 2.0 over HTTP, two vocabularies, one [`intent::Intent`]; errors become codes here, once.
//! * [`engine`]: the whole flow on one page.
//! * [`intent`]: what the caller wants, in OpenConfig's words.
//! * [`plan`]: intent + what the device runs -> edits, diff, inverse, risks. Pure. Works on a [`slice::Slice`].
//! * [`render`], then [`guard`]: edits -> the exact payload, then proof that it stays inside the request. Pure.
//! * [`transaction`]: lock, read, stage, timed commit, read back, confirm, save; or the one undo.
//! * [`transport`]: sessions to devices. One method is one flight.
//!
//! Beside the flow: [`access`] (who may do what), [`address`] (which devices and ports a call names),
//! [`query`] (questions, which change nothing), [`config`] and [`device`] (what the operator wrote),
//! [`import`] (what he wrote for others: their inventories), [`openconfig`] (where things are in its
//! model), [`schema`] (libyang), [`xml`] (how a node is written), [`gnmi`] (its messages), [`world`] (one
//! immutable configuration per request), [`pem`] (certificates and keys), `tls` (its
//! errors, in words), [`report`] (what people and callers read), [`audit`] and
//! [`metrics`], [`service`] (the process: start, reload, end), [`sim`] (the embedded simulator; it shares
//! no planning code), [`lint`] (mistakes in profiles and templates, found without a switch), [`client`]
//! (for those who call), [`cli`].

pub mod access;
pub mod address;
mod algorithms;
pub mod audit;
pub mod cli;
pub mod client;
pub mod config;
pub mod device;
pub mod engine;
pub mod gnmi;
pub mod guard;
pub mod import;
pub mod intent;
pub mod lint;
pub mod metrics;
pub mod openconfig;
pub mod path;
pub mod pem;
pub mod plan;
pub mod query;
mod quote;
pub mod render;
pub mod report;
pub mod rpc;
pub mod schema;
pub mod service;
pub mod sim;
pub mod slice;
mod tls;
pub mod transaction;
pub mod transport;
pub mod vlan;
pub mod world;
pub mod xml;
