//! The service: who may use it, what goes wrong on purpose, and what is asked for.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};

use super::answer::InPlace;
use super::server::Peer;
use super::spec::{GnmiSpec, code};
use super::{get, native, set};
use crate::gnmi::rpc::g_n_m_i_server::gNMI;
use crate::gnmi::{
    CapabilityRequest, CapabilityResponse, GetRequest, GetResponse, ModelData, SetRequest, SetResponse,
    SubscribeRequest, SubscribeResponse,
};
use crate::sim::store::GNMI;
use crate::sim::{Device, Login, Shared, What};

/// The version of the specification that Capabilities names.
const VERSION: &str = "0.10.0";

/// What serves all connections of one target.
pub(in crate::sim) struct Service {
    pub shared: Arc<Shared>,
    pub spec: GnmiSpec,
    pub login: Login,
}

#[tonic::async_trait]
impl gNMI for Service {
    type SubscribeStream = futures_util::stream::Empty<Result<SubscribeResponse, Status>>;

    async fn capabilities(
        &self,
        request: Request<CapabilityRequest>,
    ) -> Result<Response<CapabilityResponse>, Status> {
        self.serve("gnmi-capabilities", &request, |device| Ok(self.models(device))).await
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let serve = |device: &mut Device| match native::asks_cli(request.get_ref()) {
            true => get::printed(&mut device.store, &self.spec, request.get_ref()),
            false => get::get(&device.store, &self.spec, request.get_ref()),
        };
        self.serve("gnmi-get", &request, serve).await
    }

    async fn set(&self, request: Request<SetRequest>) -> Result<Response<SetResponse>, Status> {
        let serve = |device: &mut Device| {
            set::set(&mut device.store, &self.spec, request.get_ref(), tokio::time::Instant::now())
        };
        self.serve(set::kind(request.get_ref()), &request, serve).await
    }

    async fn subscribe(
        &self,
        _request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(Status::unimplemented("telemetry is not simulated"))
    }
}

impl Service {
    /// One rpc with its fault. No tree and no lock outlives `work`, so none is held while anyone
    /// waits.
    async fn serve<Q: Sync, A: Default>(
        &self,
        name: &str,
        request: &Request<Q>,
        work: impl FnOnce(&mut Device) -> Result<A, Status>,
    ) -> Result<Response<A>, Status> {
        self.may(request.metadata())?;
        let fault = self.shared.device().arrive(GNMI, name);
        let mut wait = self.shared.latency;
        if let Some(What::Delay(delay)) = fault {
            wait += delay;
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let peer = request.extensions().get::<Peer>();
        match &fault {
            Some(What::Reject(word)) => return Err(refused(word)),
            Some(What::DropBefore) => return hang_up(peer).await,
            Some(What::HangBefore) => return std::future::pending().await,
            _ => {}
        }
        let answer = work(&mut self.shared.device());
        match fault {
            Some(What::RejectAfter(word)) => Err(refused(&word)),
            Some(What::DropAfter) => hang_up(peer).await,
            Some(What::HangAfter) => std::future::pending().await,
            Some(What::Malformed) => Ok(instead(InPlace::Malformed)),
            Some(What::BreakOff) => Ok(instead(InPlace::Half)),
            Some(What::NotXml) => Ok(instead(InPlace::Page)),
            _ => answer.map(Response::new),
        }
    }

    /// Username and password in the metadata (gnmi-authentication.md).
    fn may(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let text = |name| metadata.get(name).and_then(|value| value.to_str().ok());
        let is_known = match &self.login.password {
            Some(password) => {
                text("username") == Some(self.login.username.as_str())
                    && text("password") == Some(password.expose_secret())
            }
            None => self.spec.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()),
        };
        if is_known { Ok(()) } else { Err(Status::unauthenticated("who are you?")) }
    }

    fn models(&self, device: &Device) -> CapabilityResponse {
        let context = device.store.running.schema().context();
        let is_hidden = |name: &str| self.spec.quirks.unlisted.iter().any(|hidden| hidden == name);
        let models =
            context.modules(true).filter(|module| module.is_implemented() && !is_hidden(module.name()));
        let models = models.map(|module| ModelData {
            name: module.name().to_owned(),
            organization: module.organization().unwrap_or_default().to_owned(),
            version: module.revision().unwrap_or_default().to_owned(),
        });
        CapabilityResponse {
            supported_models: models.collect(),
            supported_encodings: self.spec.encodings.iter().map(|encoding| (*encoding).into()).collect(),
            version: VERSION.to_owned(),
            ..CapabilityResponse::default()
        }
    }
}

fn refused(word: &str) -> Status {
    Status::new(code(word).unwrap_or(Code::Aborted), "refused on purpose")
}

fn instead<A: Default>(what: InPlace) -> Response<A> {
    let mut response = Response::new(A::default());
    response.extensions_mut().insert(what);
    response
}

/// Ends the connection; whoever waits for an answer sees that.
async fn hang_up<A>(peer: Option<&Peer>) -> Result<A, Status> {
    match peer {
        Some(peer) => {
            peer.hang_up();
            std::future::pending().await
        }
        None => Err(Status::internal("a connection that cannot be ended")),
    }
}
