//! An engine that records what it is asked and answers from a script, and a server in front of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use mercury::access::{Access, Principal};
use mercury::config::{CredentialPolicy, Defaults, Limits, load_inventory};
use mercury::device::{PhysicalNetwork, PortRefused, Profiles};
use mercury::intent::{IntentError, Request};
use mercury::plan::PlanError;
use mercury::query::Seen;
use mercury::report::{Call, Change, DeviceChange, Refusal, Target};
use mercury::rpc::{Authenticator, Engine, Listener, Policy, RpcLimits, serve};
use mercury::schema::Schema;
use mercury::transaction::outcome::{Outcome, Phase, Saved, Timings};
use mercury::vlan::VlanId;
use mercury::world::World;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// What the engine does when it is called. Without a script every port is applied or planned.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Script {
    Refuse(Refuse),
    /// One for each target.
    Outcomes(Vec<Ends>),
    Panic(String),
    /// What each device runs and reports, for those who only ask.
    Devices(BTreeMap<String, Reported>),
}

/// XML, as a device sends it.
#[derive(Clone, Deserialize)]
pub struct Reported {
    running: String,
    #[serde(default)]
    state: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refuse {
    UnknownDevice(String),
    ProtectedPort(String),
    VlanNotAllowed(i64),
    EmptyTrunk,
    LagMember(String),
    VlanMissing(String),
    Busy(usize),
    Unreachable(String),
    Stopping,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ends {
    Unchanged,
    Applied,
    RolledBack { phase: Phase, cause: String },
    Unknown { phase: Phase, cause: String },
}

/// Holds a call open until the test lets it go.
pub struct Gate {
    pub entered: Semaphore,
    pub open: Semaphore,
    pub left: Semaphore,
}

/// The devices of the plans' golden cases, two of them in physical networks.
static WORLD: LazyLock<Arc<World>> = LazyLock::new(|| world(Access::Unlimited));

fn world(access: Access) -> Arc<World> {
    let devices = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plan/_base/devices.toml");
    let profiles = Profiles::default();
    let inventory = load_inventory(&devices, &Defaults::default(), &profiles, CredentialPolicy::Skip);
    let mut inventory = inventory.unwrap_or_else(|errors| panic!("{errors}"));
    for (network, flat_vlan, device) in [("datacentre", Some(150), "leaf2"), ("storage", None, "leaf3")] {
        let flat_vlan = flat_vlan.map(|vlan| VlanId::new(vlan).unwrap());
        inventory.physical_networks.insert(network.to_owned(), PhysicalNetwork { flat_vlan });
        let device = Arc::make_mut(inventory.devices.get_mut(device).unwrap());
        device.physical_networks.insert(network.to_owned());
    }
    let limits = Limits::default();
    Arc::new(World {
        access,
        inventory,
        schema: Schema::builtin().unwrap(),
        locks_dir: PathBuf::new(),
        request_timeout: limits.request_timeout,
        lock_wait: limits.lock_wait,
        queue_per_device: limits.queue_per_device,
    })
}

pub struct Fake {
    pub calls: Mutex<Vec<Call>>,
    pub observed: Mutex<Vec<Request>>,
    script: Option<Script>,
    gate: Option<Arc<Gate>>,
    world: Arc<World>,
}

impl Fake {
    pub fn new(script: Option<Script>, gate: Option<Arc<Gate>>) -> Arc<Self> {
        Arc::new(Self {
            calls: Mutex::default(),
            observed: Mutex::default(),
            script,
            gate,
            world: WORLD.clone(),
        })
    }

    /// One that lets callers do what the rules say.
    pub fn with_access(access: Access) -> Arc<Self> {
        Arc::new(Self {
            calls: Mutex::default(),
            observed: Mutex::default(),
            script: None,
            gate: None,
            world: world(access),
        })
    }
}

impl Fake {
    /// Who made the calls so far.
    pub fn callers(&self) -> Vec<Principal> {
        self.calls.lock().unwrap().iter().map(|call| call.caller.principal.as_ref().clone()).collect()
    }
}

impl Gate {
    pub fn new() -> Arc<Self> {
        let closed = || Semaphore::new(0);
        Arc::new(Self { entered: closed(), open: closed(), left: closed() })
    }

    pub async fn entered(&self) {
        self.entered.acquire().await.unwrap().forget();
    }

    pub async fn left(&self) {
        self.left.acquire().await.unwrap().forget();
    }
}

#[async_trait]
impl Engine for Fake {
    fn world(&self) -> Arc<World> {
        self.world.clone()
    }

    async fn change(&self, call: Call, _: Arc<World>) -> Result<Change, Refusal> {
        self.calls.lock().unwrap().push(call.clone());
        if let Some(gate) = &self.gate {
            gate.entered.add_permits(1);
            gate.open.acquire().await.unwrap().forget();
            gate.left.add_permits(1);
        }
        let ends = match self.script.clone() {
            None => vec![Ends::Applied; call.targets.len()],
            Some(Script::Outcomes(ends)) => ends,
            Some(Script::Refuse(refuse)) => return Err(refusal(refuse, &call)),
            Some(Script::Panic(words)) => panic!("{words}"),
            Some(Script::Devices(_)) => panic!("nothing is to be changed here"),
        };
        let devices: Vec<DeviceChange> = call
            .targets
            .iter()
            .zip(ends)
            .map(|(target, end)| device_change(target, end, call.dry_run))
            .collect();
        let words = ["unknown", "rolled_back", "applied", "unchanged"];
        let has = |word: &&str| devices.iter().filter_map(|d| d.outcome.as_ref()).any(|o| o.word() == *word);
        Ok(Change { outcome: words.into_iter().find(has).unwrap_or("planned"), devices })
    }

    async fn observe(
        &self,
        requests: &[Request],
        world: &Arc<World>,
    ) -> Result<BTreeMap<String, Seen>, Refusal> {
        self.observed.lock().unwrap().extend(requests.iter().cloned());
        match self.script.clone() {
            Some(Script::Devices(devices)) => Ok(devices
                .into_iter()
                .map(|(name, reported)| {
                    let running = world.schema.read_xml(&reported.running).unwrap();
                    (
                        name,
                        Seen {
                            is_unsettled: false,
                            running,
                            state: world.schema.read_state(&reported.state).unwrap(),
                            profile: None,
                        },
                    )
                })
                .collect()),
            Some(Script::Refuse(Refuse::Unreachable(why))) => {
                Err(Refusal::Unreachable { device: requests[0].device.name.clone(), why })
            }
            _ => panic!("nobody was to be asked"),
        }
    }
}

fn refusal(refuse: Refuse, call: &Call) -> Refusal {
    let names = call.names;
    let device = "leaf1".to_owned();
    match refuse {
        Refuse::UnknownDevice(id) => Refusal::UnknownDevice { parameter: names.device, id },
        Refuse::ProtectedPort(port) => {
            let why = PortRefused::Protected { device, port };
            Refusal::Intent(IntentError::Port { parameter: names.port, why })
        }
        Refuse::VlanNotAllowed(vlan) => {
            let (vlan, allowed) = (VlanId::new(vlan).unwrap(), "100-199".to_owned());
            Refusal::Intent(IntentError::VlanNotAllowed { parameter: names.vlan, vlan, device, allowed })
        }
        Refuse::EmptyTrunk => Refusal::Intent(IntentError::EmptyTrunk { parameter: names.tagged }),
        Refuse::LagMember(lag) => {
            let source = PlanError::LagMember { parameter: names.port, port: "eth1".to_owned(), lag };
            Refusal::Plan { device, source }
        }
        Refuse::VlanMissing(vlans) => {
            let vlans = vlans.parse().unwrap();
            let source = PlanError::VlanMissing { parameter: names.vlan, vlans, device: device.clone() };
            Refusal::Plan { device, source }
        }
        Refuse::Busy(waiting) => Refusal::Busy { device, waiting },
        Refuse::Unreachable(why) => Refusal::Unreachable { device, why },
        Refuse::Stopping => Refusal::Stopping,
    }
}

fn device_change(target: &Target, end: Ends, dry_run: bool) -> DeviceChange {
    let outcome = match end {
        Ends::Unchanged => Outcome::Unchanged,
        Ends::Applied => Outcome::Applied { saved: Saved::WithCommit, verified: true },
        Ends::RolledBack { phase, cause } => Outcome::as_before(phase, cause),
        Ends::Unknown { phase, cause } => Outcome::Unknown { phase, cause },
    };
    DeviceChange {
        device: target.device.first().to_owned(),
        subject: target.intent.subject(),
        outcome: (!dry_run).then_some(outcome),
        before: "ACCESS 1".to_owned(),
        after: "ACCESS 100".to_owned(),
        diff: "-1\n+100\n".to_owned(),
        edits: Vec::new(),
        payload: "<payload/>".to_owned(),
        inverse: "<inverse/>".to_owned(),
        risks: Vec::new(),
        transport: "netconf".to_owned(),
        timings: Timings(vec![(Phase::Lock, Duration::from_millis(1))]),
        digest: "d1".to_owned(),
    }
}

/// A server on a port of its own.
pub struct Server {
    pub address: SocketAddr,
    pub authenticator: Arc<Authenticator>,
    pub stop: oneshot::Sender<()>,
    pub served: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub async fn start(engine: Arc<Fake>, limits: RpcLimits) -> Self {
        Self::start_with(engine, Policy::open(), limits).await
    }

    /// The same with callers who must say who they are.
    pub async fn start_with(engine: Arc<Fake>, policy: Policy, limits: RpcLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let authenticator = Arc::new(Authenticator::new(policy).unwrap());
        let (stop, served) = start_with(Listener::Tcp(listener), engine, authenticator.clone(), limits);
        Self { address, authenticator, stop, served }
    }

    pub async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Client::over(stream).await
    }
}

pub fn start(
    listener: Listener,
    engine: Arc<Fake>,
    limits: RpcLimits,
) -> (oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    start_with(listener, engine, Arc::new(Authenticator::new(Policy::open()).unwrap()), limits)
}

fn start_with(
    listener: Listener,
    engine: Arc<Fake>,
    authenticator: Arc<Authenticator>,
    limits: RpcLimits,
) -> (oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move { stopped.await.unwrap_or_default() };
    (stop, tokio::spawn(serve(listener, engine, authenticator, limits, shutdown)))
}

/// One kept-alive connection.
pub struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub async fn over(
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move {
            // How a connection ends is seen in the answers.
            connection.await.ok();
        });
        Self(sender)
    }

    pub async fn send(&mut self, method: &str, path: &str, body: impl Into<Bytes>) -> (StatusCode, Value) {
        let request =
            hyper::Request::builder().method(method).uri(path).header("content-type", "application/json");
        self.exchange(request, body).await
    }

    /// What a page in a browser can send without asking the service.
    pub async fn post_from_page(&mut self, body: impl Into<Bytes>) -> (StatusCode, Value) {
        let request = hyper::Request::builder().method("POST").uri("/");
        let request = request.header("content-type", "text/plain").header("origin", "http://example.net");
        self.exchange(request, body).await
    }

    async fn exchange(
        &mut self,
        request: hyper::http::request::Builder,
        body: impl Into<Bytes>,
    ) -> (StatusCode, Value) {
        let request = request.header("host", "mercury").body(Full::new(body.into())).unwrap();
        self.0.ready().await.unwrap();
        let answer = self.0.send_request(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        (status, body)
    }

    pub async fn post(&mut self, body: impl Into<Bytes>) -> (StatusCode, Value) {
        self.send("POST", "/", body).await
    }
}
