//! One NETCONF session over any byte stream: hello, then rpc after rpc (RFC 6241 4, RFC 6242 4).

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::error::RpcError;
use super::fault::What;
use super::frame::{Decoder, encode};
use super::rpc::Answer;
use super::store::SessionId;
use super::xml::{BASE, Element, escape};
use super::{Device, Shared};

const BASE_1_1: &str = "urn:ietf:params:netconf:base:1.1";

/// Opens a session at once; the future serves the stream until either side ends the session, or it
/// is killed.
pub(super) fn serve<S>(shared: &Arc<Shared>, stream: S) -> impl Future<Output = ()> + use<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (id, end) = shared.device().store.open();
    let registered = Registered { shared: Arc::clone(shared), id };
    let mut session =
        Session { shared: Arc::clone(shared), id, stream, decoder: Decoder::default(), can_chunk: false };
    async move {
        tokio::select! {
            biased;
            () = end.notified() => {}
            ended = session.run() => if let Err(error) = ended {
                tracing::debug!(session = id, %error, "simulated session ended");
            }
        }
        // The switch forgets the session before the peer can see that it is over.
        drop(registered);
        if let Err(error) = session.stream.shutdown().await {
            tracing::debug!(session = id, %error, "closing the stream");
        }
    }
}

/// Takes the session off the switch however it ends, also when its task is cancelled.
struct Registered {
    shared: Arc<Shared>,
    id: SessionId,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.device().store.close(self.id);
    }
}

struct Session<S> {
    shared: Arc<Shared>,
    id: SessionId,
    stream: S,
    decoder: Decoder,
    /// Whether our hello offered base:1.1.
    can_chunk: bool,
}

/// Whether the session goes on after a message.
#[derive(PartialEq, Eq)]
enum Then {
    Continue,
    Close,
    /// Stays open and says nothing more.
    Hang,
}

impl<S> Session<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    async fn run(&mut self) -> std::io::Result<()> {
        let mut then = self.hello().await?;
        while then == Then::Continue {
            then = match self.receive().await? {
                None => Then::Close,
                Some(Ok(message)) => self.message(&message).await?,
                Some(Err(error)) => self.malformed(&error).await?,
            };
        }
        if then == Then::Hang {
            let mut ignored = [0; 4096];
            while self.stream.read(&mut ignored).await? > 0 {}
        }
        Ok(())
    }

    /// Both hellos (RFC 6241 8.1). Ours does not wait for theirs.
    async fn hello(&mut self) -> std::io::Result<Then> {
        let fault = self.shared.device().arrive(self.id, "hello");
        let capabilities = &self.shared.capabilities;
        match &fault {
            Some(What::Delay(delay)) => tokio::time::sleep(*delay).await,
            // There is no rpc-error for a hello.
            Some(What::Reject(_) | What::RejectAfter(_)) => return Ok(Then::Close),
            _ => {}
        }
        self.can_chunk = capabilities.iter().any(|capability| capability == BASE_1_1);
        let list: String =
            capabilities.iter().map(|uri| format!("<capability>{}</capability>", escape(uri))).collect();
        let hello = format!(
            "<hello xmlns=\"{BASE}\"><capabilities>{list}</capabilities><session-id>{}</session-id></hello>",
            self.id
        );
        match self.answer(&hello, fault).await? {
            Then::Continue => {}
            then => return Ok(then),
        }
        let Some(Ok(theirs)) = self.receive().await? else { return Ok(Then::Close) };
        let Ok(theirs) = Element::parse(&theirs) else { return Ok(Then::Close) };
        let Some(capabilities) = theirs.base_child("capabilities") else { return Ok(Then::Close) };
        let offers = |uri: &str| capabilities.children.iter().any(|capability| capability.text.trim() == uri);
        if theirs.ns != BASE || theirs.name != "hello" || theirs.base_child("session-id").is_some() {
            return Ok(Then::Close);
        }
        self.decoder.chunked = self.can_chunk && offers(BASE_1_1);
        match self.decoder.chunked || offers("urn:ietf:params:netconf:base:1.0") {
            true => Ok(Then::Continue),
            false => Ok(Then::Close),
        }
    }

    async fn message(&mut self, text: &str) -> std::io::Result<Then> {
        let rpc = match Element::parse(text) {
            Ok(rpc) if rpc.ns == BASE && rpc.name == "rpc" => rpc,
            Ok(rpc) => return self.malformed(&format!("{} is no rpc", rpc.name)).await,
            Err(error) => return self.malformed(&error).await,
        };
        let operation = match &rpc.children[..] {
            [operation] if rpc.attributes.iter().any(|a| a.ns.is_empty() && a.name == "message-id") => {
                operation
            }
            [_] => {
                let error = RpcError::rpc("missing-attribute", "an rpc needs a message-id");
                let error = error.info("bad-attribute", "message-id").info("bad-element", "rpc");
                return self.answer(&reply(&rpc, &error.to_xml()), None).await;
            }
            _ => {
                let error = RpcError::rpc("missing-element", "an rpc has one operation");
                return self.answer(&reply(&rpc, &error.to_xml()), None).await;
            }
        };
        let fault = {
            let mut device = self.shared.device();
            let kind = device.store.kind(operation);
            device.arrive(self.id, &kind)
        };
        let mut wait = self.shared.latency;
        if let Some(What::Delay(delay)) = fault {
            wait += delay;
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let mut then = Then::Continue;
        let mut content = match &fault {
            Some(What::DropBefore) => return Ok(Then::Close),
            Some(What::HangBefore) => return Ok(Then::Hang),
            Some(What::Reject(tag)) => RpcError::protocol(tag, "refused on purpose").to_xml(),
            _ => match self.execute(operation) {
                Ok(Answer::Ok) => "<ok/>".to_owned(),
                Ok(Answer::Data(data)) => format!("<data>{data}</data>"),
                Ok(Answer::Goodbye) => {
                    then = Then::Close;
                    "<ok/>".to_owned()
                }
                Err(error) => error.to_xml(),
            },
        };
        if let Some(What::RejectAfter(tag)) = &fault {
            content = RpcError::protocol(tag, "refused on purpose").to_xml();
        }
        let sent = self.answer(&reply(&rpc, &content), fault).await?;
        Ok(if then == Then::Close { then } else { sent })
    }

    /// No tree and no lock outlives this function, so none is held while anyone waits.
    fn execute(&self, operation: &Element) -> Result<Answer, RpcError> {
        let Device { store, .. } = &mut *self.shared.device();
        store.execute(self.id, operation, tokio::time::Instant::now())
    }

    /// Sends a message as the fault lets it.
    async fn answer(&mut self, message: &str, fault: Option<What>) -> std::io::Result<Then> {
        let chunked = self.decoder.chunked;
        let (bytes, then) = match fault {
            None | Some(What::Delay(_) | What::Reject(_) | What::RejectAfter(_)) => {
                (encode(message, chunked), Then::Continue)
            }
            Some(What::Close) => (encode(message, chunked), Then::Close),
            Some(What::BreakOff) => {
                let mut half = encode(message, chunked);
                half.truncate(half.floor_char_boundary(half.len() / 2));
                (half, Then::Close)
            }
            Some(What::DropBefore | What::DropAfter) => return Ok(Then::Close),
            Some(What::HangBefore | What::HangAfter) => return Ok(Then::Hang),
            Some(What::Malformed) if chunked => (format!("\n#12x\n{message}\n##\n"), Then::Continue),
            Some(What::Malformed) => (encode("<rpc-reply><ok></rpc-reply>", false), Then::Continue),
            Some(What::Doctype) => {
                let declared = format!("<!DOCTYPE x [<!ENTITY y \"z\">]>{message}");
                (encode(&declared, chunked), Then::Continue)
            }
            Some(What::NotXml) => (encode("% busy, try again later", chunked), Then::Continue),
        };
        self.stream.write_all(bytes.as_bytes()).await?;
        self.stream.flush().await?;
        Ok(then)
    }

    /// RFC 6241 appendix A: malformed-message; what follows cannot be trusted, so we close.
    async fn malformed(&mut self, why: &impl ToString) -> std::io::Result<Then> {
        let error = RpcError::rpc("malformed-message", why.to_string()).to_xml();
        self.answer(&format!("<rpc-reply xmlns=\"{BASE}\">{error}</rpc-reply>"), None).await?;
        Ok(Then::Close)
    }

    /// The next message, `None` at the stream's end.
    async fn receive(&mut self) -> std::io::Result<Option<Result<String, super::frame::FrameError>>> {
        loop {
            if let Some(message) = self.decoder.next().transpose() {
                return Ok(Some(message));
            }
            if self.stream.read_buf(self.decoder.space()).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// An answer carries every attribute of its rpc (RFC 6241 4.2).
fn reply(rpc: &Element, content: &str) -> String {
    let mut attributes = String::new();
    for (number, attribute) in rpc.attributes.iter().enumerate() {
        let value = escape(&attribute.value);
        attributes += &match attribute.ns.as_str() {
            "" => format!(" {}=\"{value}\"", attribute.name),
            ns => format!(" xmlns:a{number}=\"{}\" a{number}:{}=\"{value}\"", escape(ns), attribute.name),
        };
    }
    format!("<rpc-reply xmlns=\"{BASE}\"{attributes}>{content}</rpc-reply>")
}
