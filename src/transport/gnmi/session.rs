//! Which calls make up which flight (see [`Session`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::call::{Failed, Login, call, name};
use super::heard::Heard;
use super::{channel, data, document, request};
use crate::device::{Credential, Device, GnmiEndpoint, GnmiHabits, Language, Model, Profile};
use crate::gnmi::rpc::g_n_m_i_client::gNMIClient;
use crate::gnmi::{
    self, CapabilityRequest, CapabilityResponse, CommitAction, CommitCancel, CommitConfirm, DataType,
    Encoding, Extension, GetRequest, Notification, SetRequest, SetResponse,
};
use crate::render::{self, Payload};
use crate::slice::Slice;
use crate::transport::aside;
use crate::transport::rows::{Rows, Wanted};
use crate::transport::ssh::Stream;
use crate::transport::{
    Cause, Commit, Committed, DeviceError, Fault, Observed, Offers, Promises, ReadSet, Session, Store, Timed,
    shown,
};

/// The longest answer that is taken, in bytes: a Get of every port of a large chassis, as over NETCONF.
/// What says nothing takes seventy times that in memory.
const LONGEST: usize = 16 << 20;

/// The longest answer that is read where it arrived, in bytes.
const SHORT: usize = 16 << 10;

/// An id that no commit has.
const NO_COMMIT: &str = "mercury-looks-for-the-extension";

/// A gNMI session: one connection, which is not made anew.
pub struct GnmiSession {
    client: gNMIClient<Channel>,
    login: Login,
    profile: Arc<Profile>,
    habits: Arc<GnmiHabits>,
    promises: Promises,
    version: String,
    offers: Offers,
    is_open: bool,
    held: Option<SetRequest>,
}

impl GnmiSession {
    /// Connects, and opens a session over that.
    pub(super) async fn open(
        device: &Device,
        habits: Arc<GnmiHabits>,
        deadline: Instant,
    ) -> Result<Self, Fault> {
        let gnmi = gnmi(device)?;
        let stream = channel::connect(&device.endpoint, gnmi, deadline).await.map_err(Fault::NotSent)?;
        Self::over(stream, device, habits, deadline).await
    }

    /// Asks for the capabilities over a connection to `device`, and finds out whether the target knows
    /// the commit extension. Every fault is [`Fault::NotSent`].
    pub async fn over(
        stream: Box<dyn Stream>,
        device: &Device,
        habits: Arc<GnmiHabits>,
        deadline: Instant,
    ) -> Result<Self, Fault> {
        let (endpoint, gnmi) = (&device.endpoint, gnmi(device)?);
        let login = login(device).map_err(Fault::NotSent)?;
        let keepalive = device.profile.ssh.keepalive;
        let heard = Heard::default();
        let stream = Box::new(heard.on(stream));
        let channel = channel::over(stream, endpoint, gnmi, keepalive, deadline).await;
        let client = gNMIClient::new(channel.map_err(Fault::NotSent)?).max_decoding_message_size(LONGEST);
        let mut session = Self {
            client,
            login,
            profile: device.profile.clone(),
            promises: Promises {
                candidate: false,
                timed: Timed::None,
                atomic: true,
                locks: false,
                startup: false,
                reads_startup: false,
                keeps: habits.keeps,
            },
            version: String::new(),
            offers: Offers::default(),
            is_open: true,
            held: None,
            habits,
        };
        let address = crate::device::host_and_port(&endpoint.address, gnmi.port);
        let in_words = |failed| match failed {
            Failed::No(status) if status.code() == Code::Unauthenticated => Cause::Login {
                address: address.clone(),
                user: endpoint.username.clone(),
                offered: shown(status.message()) + &endpoint.told_credential(),
            },
            Failed::No(status) if status.code() == Code::Unimplemented => {
                Cause::Absent { address: address.clone(), why: refusal(&status) }
            }
            Failed::No(status) => Cause::Connect { address: address.clone(), why: refusal(&status) },
            Failed::Open(cause) => match (heard.instead(), cause) {
                (Some(why), _) | (None, Cause::Closed(why)) => {
                    Cause::Connect { address: address.clone(), why: shown(&why) }
                }
                (None, cause) => cause,
            },
        };
        let capabilities = session.capabilities(deadline).await.map_err(|no| Fault::NotSent(in_words(no)))?;
        session.version = shown(&capabilities.version);
        session.offers = offers(&capabilities);
        if !capabilities.supported_encodings.contains(&(request::encoding(&session.habits) as i32)) {
            let own = session.habits.encoding.as_str();
            return Err(not_sent(&format!("the target does not offer {own}")));
        }
        if session.habits.commit_confirmed {
            let found = session.finds_commits(deadline).await.map_err(|no| Fault::NotSent(in_words(no)))?;
            session.promises.timed = if found { Timed::Persist } else { Timed::None };
        }
        Ok(session)
    }

    async fn capabilities(&mut self, deadline: Instant) -> Result<CapabilityResponse, Failed> {
        let (client, doing) = (&mut self.client, "asking for capabilities");
        let asked = CapabilityRequest::default();
        call(asked, &self.login, deadline, doing, |request| client.capabilities(request)).await
    }

    /// A target that knows the extension refuses to cancel where nothing is pending, or another commit.
    /// That other one is in the way of a plain Set too, which tells it from an extension that is refused
    /// because it is not known. Who does not know it may also ignore it; what else is answered is no proof.
    async fn finds_commits(&mut self, deadline: Instant) -> Result<bool, Failed> {
        let cancel = request::extension(NO_COMMIT, CommitAction::Cancel(CommitCancel {}));
        let nothing = SetRequest { prefix: request::prefix(&self.habits), ..SetRequest::default() };
        let doing = "looking for the commit extension";
        let mut answer = self.extended(cancel, deadline, doing).await;
        if matches!(&answer, Err(Failed::No(status)) if status.code() == Code::InvalidArgument) {
            answer = self.set(nothing, deadline, doing).await;
        }
        match answer {
            Err(Failed::No(status)) if status.code() == Code::Unauthenticated => Err(Failed::No(status)),
            Err(Failed::No(status)) => Ok(status.code() == Code::FailedPrecondition),
            Err(open) => Err(open),
            Ok(_) => Ok(false),
        }
    }

    /// A Set that changes nothing and carries this.
    async fn extended(
        &mut self,
        extension: Extension,
        deadline: Instant,
        doing: &'static str,
    ) -> Result<SetResponse, Failed> {
        let prefix = request::prefix(&self.habits);
        self.set(SetRequest { prefix, extension: vec![extension], ..SetRequest::default() }, deadline, doing)
            .await
    }

    async fn set(
        &mut self,
        request: SetRequest,
        deadline: Instant,
        doing: &'static str,
    ) -> Result<SetResponse, Failed> {
        let answer = call(request, &self.login, deadline, doing, |request| self.client.set(request)).await;
        // What comes after an answer that is missing would be out of step with what we know.
        self.is_open &= !matches!(answer, Err(Failed::Open(_)));
        answer
    }

    /// What the target has of these paths. It may refuse them all because of one that has no data.
    async fn get(
        &mut self,
        paths: &[gnmi::Path],
        data_type: DataType,
        deadline: Instant,
    ) -> Result<Vec<Notification>, Fault> {
        let request = |paths: &[gnmi::Path]| GetRequest {
            prefix: request::prefix(&self.habits),
            path: paths.to_vec(),
            data_type: data_type as i32,
            encoding: request::encoding(&self.habits) as i32,
            ..GetRequest::default()
        };
        let one = async |paths: &[gnmi::Path]| {
            let mut client = self.client.clone();
            let answer =
                call(request(paths), &self.login, deadline, "reading", |request| client.get(request)).await;
            match answer {
                Ok(answer) => Ok(answer.notification),
                Err(Failed::No(status)) if status.code() == Code::NotFound && paths.len() == 1 => {
                    Ok(Vec::new())
                }
                Err(failed) => Err(failed),
            }
        };
        let answer = match one(paths).await {
            Err(Failed::No(status)) if status.code() == Code::NotFound => {
                let each = join_all(paths.iter().map(|path| one(std::slice::from_ref(path)))).await;
                each.into_iter().collect::<Result<Vec<_>, _>>().map(|all| all.concat())
            }
            answer => answer,
        };
        self.is_open &= !matches!(answer, Err(Failed::Open(_)));
        answer.map_err(Fault::from)
    }

    async fn running(&mut self, reads: &ReadSet, deadline: Instant) -> Result<Slice, Fault> {
        let data_type = if self.habits.get_all { DataType::All } else { DataType::Config };
        match self.habits.model.language().cloned() {
            Some(language) => self.by_rules(&language, (false, data_type), reads, deadline).await,
            None => {
                let answer = self.get(&self.paths(reads), data_type, deadline).await?;
                understand(answer, false, reads, deadline).await
            }
        }
    }

    fn paths(&self, reads: &ReadSet) -> Vec<gnmi::Path> {
        reads.paths.iter().map(|path| render::gnmi::path(path, &self.habits)).collect()
    }

    /// Where a command's output, or a node of the vendor's own model, is to be got.
    fn asked(&self, text: &str, is_cli: bool) -> Result<gnmi::Path, Fault> {
        if is_cli {
            return Ok(request::command(text));
        }
        let path: gnmi::Path = text.parse().map_err(|error| not_sent(&format!("{error}")))?;
        Ok(gnmi::Path { origin: self.habits.origin_of_paths().to_owned(), ..path })
    }

    /// What the profile's rules give its meaning: nodes of the vendor's own model, or what commands print;
    /// of ports' state nothing where the profile does not say how they are asked. Each is asked for by
    /// itself, so that it is clear what an answer is about.
    async fn by_rules(
        &mut self,
        language: &Arc<Language>,
        (of_state, data_type): (bool, DataType),
        reads: &ReadSet,
        deadline: Instant,
    ) -> Result<Slice, Fault> {
        let is_cli = matches!(self.habits.model, Model::Lines(_));
        let data_type = if is_cli { DataType::All } else { data_type };
        let wanted = Wanted::of(&reads.paths);
        let texts: BTreeSet<String> = wanted
            .asked(of_state, language)
            .map_err(|why| not_sent(&why))?
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        let mut answers = BTreeMap::new();
        for text in texts {
            let asked = self.asked(&text, is_cli)?;
            let answer = self.get(std::slice::from_ref(&asked), data_type, deadline).await?;
            answers.insert(text, (asked, answer));
        }
        let size = answers.values().map(|(_, answer)| size(answer)).sum();
        let (profile, language, reads) = (self.profile.clone(), language.clone(), reads.clone());
        let read = move || {
            let mut rows = Rows::default();
            let said = |(asked, answer): &(gnmi::Path, Vec<Notification>)| match is_cli {
                true => document::printed(answer).map(serde_json::Value::String),
                false => document::document(answer, asked),
            };
            let told = answers.iter().map(|(text, answer)| Ok((text, said(answer).map_err(about(text))?)));
            let told = told.collect::<Result<BTreeMap<_, _>, String>>()?;
            for (rule, text) in &wanted.asked(of_state, &language)? {
                let read = match told.get(text) {
                    Some(serde_json::Value::String(printed)) if is_cli => rows.read(rule, printed),
                    Some(document) => rows.read_json(rule, document),
                    None => Err("it has no answer".to_owned()),
                };
                read.map_err(about(text))?;
            }
            rows.told(of_state, &wanted, &profile, &language, &reads.paths)
        };
        meaning(size, read, deadline).await
    }
}

fn about(text: &str) -> impl Fn(String) -> String {
    move |why| format!("{text}: {why}")
}

async fn understand(
    answer: Vec<Notification>,
    state: bool,
    reads: &ReadSet,
    deadline: Instant,
) -> Result<Slice, Fault> {
    let (size, reads) = (size(&answer), reads.clone());
    let read = move || data::read(&answer, state, &reads.paths, &reads.schema);
    meaning(size, read, deadline).await
}

/// What an answer of `size` bytes means; one that means nothing is no answer.
async fn meaning<T: Send + 'static>(
    size: usize,
    read: impl FnOnce() -> Result<T, String> + Send + 'static,
    deadline: Instant,
) -> Result<T, Fault> {
    aside::meaning(size, SHORT, read, deadline).await.map_err(Fault::Lost)
}

/// In bytes, as it came.
fn size(answer: &[Notification]) -> usize {
    answer.iter().map(prost::Message::encoded_len).sum()
}

fn refusal(status: &Status) -> String {
    shown(&format!("{}: {}", name(status.code()), status.message()))
}

fn offers(capabilities: &CapabilityResponse) -> Offers {
    let models = capabilities.supported_models.iter();
    let encoding = |number: &i32| match Encoding::try_from(*number) {
        Ok(encoding) => encoding.name().to_owned(),
        Err(_) => number.to_string(),
    };
    Offers {
        has_more: false,
        models: models.map(|model| (shown(&model.name), shown(&model.version))).collect(),
        capabilities: capabilities.supported_encodings.iter().map(encoding).collect(),
    }
}

fn gnmi(device: &Device) -> Result<&GnmiEndpoint, Fault> {
    device.endpoint.gnmi.as_ref().ok_or_else(|| not_sent("the device has no [device.gnmi] in the inventory"))
}

/// What goes with every call.
fn login(device: &Device) -> Result<Login, Cause> {
    let endpoint = &device.endpoint;
    // Another transport is no answer to what is wrong with a credential.
    let refused = |why: &str| Cause::Login {
        address: endpoint.address.clone(),
        user: endpoint.username.clone(),
        offered: why.to_owned(),
    };
    let word = |text: &str| {
        let mut word = AsciiMetadataValue::try_from(text)
            .map_err(|_| refused("a user name or password that is not ASCII is not sent"))?;
        word.set_sensitive(true);
        Ok::<_, Cause>(word)
    };
    match &endpoint.credential {
        Credential::Password(password) => {
            Ok(Some((word(&endpoint.username)?, word(password.expose_secret())?)))
        }
        Credential::Certificate => Ok(None),
        // Its certificate is all that a target needs of us; the key is for SSH.
        Credential::Key(_) if endpoint.gnmi.as_ref().is_some_and(|gnmi| gnmi.shows_certificate) => Ok(None),
        Credential::Key(_) => {
            let why = "gNMI takes a password or a client certificate, and no SSH key";
            Err(Cause::Unsupported(why.to_owned()))
        }
        Credential::NotLoaded => Err(refused("its credential was not loaded")),
    }
}

#[async_trait]
impl Session for GnmiSession {
    fn promises(&self) -> &Promises {
        &self.promises
    }

    fn is_open(&self) -> bool {
        self.is_open
    }

    fn offers(&self) -> Offers {
        self.offers.clone()
    }

    fn describe(&self) -> String {
        let confirm = match self.promises.timed {
            Timed::None => "no commit timer",
            _ => "confirm by commit id",
        };
        let encoding = self.habits.encoding.as_str();
        format!("gnmi {} ({encoding}, {confirm})", self.version)
    }

    async fn read(&mut self, store: Store, reads: &ReadSet, deadline: Instant) -> Result<Slice, Fault> {
        match store {
            Store::Running => self.running(reads, deadline).await,
            Store::Startup => Err(not_sent("gNMI has no startup datastore")),
        }
    }

    async fn observe(
        &mut self,
        running: &ReadSet,
        state: &ReadSet,
        deadline: Instant,
    ) -> Result<Observed, Fault> {
        let config = self.running(running, deadline).await?;
        let state = match self.habits.model.language().cloned() {
            Some(language) => self.by_rules(&language, (true, DataType::All), state, deadline).await,
            None => match self.get(&self.paths(state), DataType::State, deadline).await {
                Ok(answer) => understand(answer, true, state, deadline).await,
                Err(fault) => Err(fault),
            },
        };
        Ok(Observed { running: config, state })
    }

    async fn begin(&mut self, reads: &ReadSet, deadline: Instant) -> Result<Slice, Fault> {
        self.running(reads, deadline).await
    }

    async fn stage(&mut self, payload: &Payload, _: &str, _: Instant) -> Result<(), Fault> {
        let set = match (payload, &self.habits.model) {
            (Payload::Gnmi(text), Model::OpenConfig | Model::Native(_)) => {
                request::set(text, &self.habits).map_err(|error| not_sent(&error.to_string()))?
            }
            (Payload::Cli(lines), Model::Lines(_)) => request::lines(lines, &self.habits),
            _ => return Err(not_sent("the payload is for another transport")),
        };
        self.held = Some(set);
        Ok(())
    }

    async fn commit(&mut self, how: &Commit, reads: &ReadSet, deadline: Instant) -> Committed {
        let Some(mut set) = self.held.take() else {
            let fault = not_sent("nothing is staged");
            return Committed { commit: Err(fault.clone()), running: Err(fault) };
        };
        if let Commit::Timed { timeout, persist_id } = how {
            set.extension.push(request::commit(persist_id, *timeout));
        }
        let commit = self.set(set, deadline, "committing").await;
        let is_lost = matches!(commit, Err(Failed::Open(_)));
        // Whatever it answered: targets say no and have done it, or yes and have not.
        let running = self.running(reads, deadline).await;
        self.is_open &= !is_lost;
        Committed { commit: commit.map(drop).map_err(Fault::from), running }
    }

    async fn confirm(&mut self, persist_id: &str, _: bool, deadline: Instant) -> Result<(), Fault> {
        let confirm = request::extension(persist_id, CommitAction::Confirm(CommitConfirm {}));
        Ok(self.extended(confirm, deadline, "confirming the commit").await.map(drop)?)
    }

    async fn cancel(&mut self, persist_id: &str, deadline: Instant) -> Result<(), Fault> {
        let cancel = request::extension(persist_id, CommitAction::Cancel(CommitCancel {}));
        Ok(self.extended(cancel, deadline, "cancelling the commit").await.map(drop)?)
    }

    async fn prolong(&mut self, id: &str, timeout: Duration, deadline: Instant) -> Result<(), Fault> {
        let longer = request::set_rollback_duration(id, timeout);
        Ok(self.extended(longer, deadline, "lengthening the commit's timer").await.map(drop)?)
    }

    /// What nothing of this id is pending is said with (gnmi-commit-confirmed.md); a device that says it
    /// otherwise has no extension to us.
    fn may_be_pending(&self, refusal: &[DeviceError]) -> bool {
        let none = [Code::FailedPrecondition, Code::InvalidArgument, Code::NotFound].map(name);
        !refusal.iter().any(|error| none.contains(&error.tag.as_str()))
    }

    async fn save(&mut self, _: Instant) -> Result<(), Fault> {
        Err(not_sent("gNMI has no startup datastore"))
    }

    async fn release(&mut self, _: bool, _: Instant) -> Result<(), Fault> {
        self.held = None;
        Ok(())
    }

    async fn close(&mut self) {
        self.is_open = false;
    }
}

fn not_sent(why: &str) -> Fault {
    Fault::NotSent(Cause::Unsupported(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// On the one thread there is, others go on meanwhile.
    #[tokio::test]
    async fn a_long_answer_is_not_read_for_longer_than_there_is_time() {
        let (go_on, wait) = mpsc::channel::<()>();
        let deadline = Instant::now() + Duration::from_millis(50);
        let read = move || wait.recv().map_err(|error| error.to_string());
        let late = meaning(SHORT + 1, read, deadline).await.unwrap_err();
        assert_eq!(late, Fault::Lost(Cause::Deadline("reading what the device sent")));
        go_on.send(()).unwrap();
    }
}
