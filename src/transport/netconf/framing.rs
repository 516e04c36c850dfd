//! Where one NETCONF message ends and the next begins (RFC 6242). No I/O: bytes in, messages out.

/// Most that one message may hold: 16 MiB, whole configurations of large devices included. Read as a
/// tree it takes a hundred times that.
pub const MAX_MESSAGE: usize = 16 << 20;

const END_OF_MESSAGE: &[u8] = b"]]>]]>";
const END_OF_CHUNKS: &[u8] = b"\n##\n";
/// `\n#`, ten digits (4294967295 is the largest size the RFC allows) and `\n`.
const MAX_HEADER: usize = 13;

/// How messages are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `]]>]]>` after each message (RFC 6242 4.3); every hello uses it.
    EndOfMessage,
    /// RFC 6242 4.2, once both sides have said base:1.1.
    Chunked,
}

/// Why bytes are not a framed message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("a message is longer than {MAX_MESSAGE} bytes")]
    TooLong,
    #[error("a chunk header is malformed")]
    Header,
    #[error("a chunked message has no chunk")]
    NoChunk,
    #[error("a message to send holds the end-of-message mark")]
    MarkInside,
}

impl Framing {
    /// Appends `message` and its frame to `out`. It fails where `message` holds the mark that
    /// would end it early.
    pub fn encode(self, message: &str, out: &mut Vec<u8>) -> Result<(), FramingError> {
        match self {
            Self::EndOfMessage => {
                if find(END_OF_MESSAGE, message.as_bytes()).is_some() {
                    return Err(FramingError::MarkInside);
                }
                out.extend_from_slice(message.as_bytes());
                out.extend_from_slice(END_OF_MESSAGE);
            }
            Self::Chunked => {
                out.extend_from_slice(format!("\n#{}\n", message.len()).as_bytes());
                out.extend_from_slice(message.as_bytes());
                out.extend_from_slice(END_OF_CHUNKS);
            }
        }
        Ok(())
    }
}

/// Takes received bytes in pieces of any size and gives whole messages back.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    /// Received and not yet given out.
    buffer: Vec<u8>,
    /// How much of `buffer` is known to hold no end of the message.
    scanned: usize,
    /// Chunks of the message that is still arriving.
    message: Vec<u8>,
    /// What the chunk that is arriving still lacks.
    missing: usize,
}

impl Decoder {
    pub fn new(framing: Framing) -> Self {
        Self { framing, buffer: Vec::new(), scanned: 0, message: Vec::new(), missing: 0 }
    }

    /// Changes the framing between two messages. Line ends some devices put behind the hello go.
    pub fn switch(&mut self, framing: Framing) {
        let blank = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let header = self.buffer[blank..].first() == Some(&b'#');
        self.buffer.drain(..blank - usize::from(header && blank > 0));
        self.scanned = 0;
        self.framing = framing;
    }

    /// Where received bytes go.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Whether nothing of a next message has arrived. Blanks between messages are nothing where
    /// the mark only says where one ends.
    pub fn is_idle(&self) -> bool {
        match self.framing {
            Framing::EndOfMessage => self.buffer.iter().all(u8::is_ascii_whitespace),
            Framing::Chunked => self.buffer.is_empty() && self.message.is_empty() && self.missing == 0,
        }
    }

    /// The next whole message; none: more bytes are needed. After an error nothing that follows
    /// can be trusted.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, FramingError> {
        match self.framing {
            Framing::EndOfMessage => self.next_marked(),
            Framing::Chunked => self.next_chunked(),
        }
    }

    fn next_marked(&mut self) -> Result<Option<Vec<u8>>, FramingError> {
        match find(END_OF_MESSAGE, &self.buffer[self.scanned..]) {
            Some(at) if self.scanned + at <= MAX_MESSAGE => {
                let message = self.buffer.drain(..self.scanned + at).collect();
                self.buffer.drain(..END_OF_MESSAGE.len());
                self.scanned = 0;
                Ok(Some(message))
            }
            None if self.buffer.len() < MAX_MESSAGE + END_OF_MESSAGE.len() => {
                // The mark may have begun in the last bytes.
                self.scanned = self.buffer.len().saturating_sub(END_OF_MESSAGE.len() - 1);
                Ok(None)
            }
            _ => Err(FramingError::TooLong),
        }
    }

    fn next_chunked(&mut self) -> Result<Option<Vec<u8>>, FramingError> {
        let mut at = 0;
        let message = loop {
            let ready = self.missing.min(self.buffer.len() - at);
            self.message.extend_from_slice(&self.buffer[at..at + ready]);
            self.missing -= ready;
            at += ready;
            if self.missing > 0 {
                break None;
            }
            match header(&self.buffer[at..])? {
                None => break None,
                Some(Header::Chunk { size, length }) => {
                    if size > MAX_MESSAGE - self.message.len() {
                        return Err(FramingError::TooLong);
                    }
                    self.missing = size;
                    at += length;
                }
                Some(Header::End) => {
                    if self.message.is_empty() {
                        return Err(FramingError::NoChunk);
                    }
                    at += END_OF_CHUNKS.len();
                    break Some(std::mem::take(&mut self.message));
                }
            }
        };
        self.buffer.drain(..at);
        Ok(message)
    }
}

enum Header {
    Chunk { size: usize, length: usize },
    End,
}

/// Reads `\n#<size>\n` or `\n##\n`; none: it is not whole yet, and all of it is right so far.
fn header(bytes: &[u8]) -> Result<Option<Header>, FramingError> {
    let bytes = &bytes[..bytes.len().min(MAX_HEADER)];
    let opening = bytes.len().min(END_OF_CHUNKS.len());
    if bytes[..opening] == END_OF_CHUNKS[..opening] {
        return Ok((opening == END_OF_CHUNKS.len()).then_some(Header::End));
    }
    let digits = bytes.strip_prefix(b"\n#").ok_or(FramingError::Header)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, after) = digits.split_at(end.unwrap_or(digits.len()));
    match (digits.first(), after.first()) {
        (Some(b'1'..=b'9'), Some(b'\n')) => {}
        (Some(b'1'..=b'9'), None) if bytes.len() < MAX_HEADER => return Ok(None),
        _ => return Err(FramingError::Header),
    }
    let size = digits.iter().fold(0_u64, |size, digit| size * 10 + u64::from(digit - b'0'));
    if size > u64::from(u32::MAX) {
        return Err(FramingError::Header);
    }
    let size = usize::try_from(size).map_err(|_| FramingError::TooLong)?;
    Ok(Some(Header::Chunk { size, length: digits.len() + 3 }))
}

fn find(mark: &[u8], bytes: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `pieces` one by one and collects what comes out.
    fn decode<'a>(
        framing: Framing,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<String>, FramingError> {
        let mut decoder = Decoder::new(framing);
        let mut messages = Vec::new();
        for piece in pieces {
            decoder.buffer().extend_from_slice(piece);
            while let Some(message) = decoder.next()? {
                messages.push(String::from_utf8(message).unwrap());
            }
        }
        assert!(decoder.is_idle());
        Ok(messages)
    }

    #[test]
    fn a_split_at_any_byte_changes_nothing() {
        for framing in [Framing::EndOfMessage, Framing::Chunked] {
            let sent = ["<a>]]>]] ##\n#1</a>", "<b/>", "]]>]]"];
            let mut bytes = Vec::new();
            for message in sent {
                framing.encode(message, &mut bytes).unwrap();
            }
            for at in 0..=bytes.len() {
                let (one, other) = bytes.split_at(at);
                assert_eq!(decode(framing, [one, other]).unwrap(), sent, "{framing:?} at {at}");
            }
            assert_eq!(decode(framing, bytes.chunks(1)).unwrap(), sent);
        }
    }

    #[test]
    fn several_chunks_are_one_message() {
        // The example of RFC 6242 4.2.
        let bytes = b"\n#4\n<rpc\n#18\n message-id=\"102\"\n\n#79\n     xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\">\n  <close-session/>\n</rpc>\n##\n";
        for size in 1..=bytes.len() {
            let messages = decode(Framing::Chunked, bytes.chunks(size)).unwrap();
            assert!(messages[0].starts_with("<rpc message-id=\"102\"\n     xmlns"), "{messages:?}");
            assert!(messages.len() == 1 && messages[0].ends_with("</rpc>"));
        }
    }

    #[test]
    fn malformed_headers_are_refused_at_once() {
        for bad in [
            "x",
            "\nx",
            "#1\nx",
            "\n#0\n",
            "\n#01\nx",
            "\n#+1\nx",
            "\n#-1",
            "\n# 1\n",
            "\n#1 \n",
            "\n#a",
            "\n#1x",
            "\n#1\r",
            "\n\n#1\nx",
            "\n#4294967296\n",
            "\n#99999999999",
            "\n##x",
            "\n#1\nx\n#\n",
            "\n#1\nxy",
        ] {
            assert_eq!(decode(Framing::Chunked, [bad.as_bytes()]), Err(FramingError::Header), "{bad:?}");
        }
        assert_eq!(decode(Framing::Chunked, [&b"\n##\n"[..]]), Err(FramingError::NoChunk));
        assert_eq!(decode(Framing::Chunked, [&b"\n#4294967295\n"[..]]), Err(FramingError::TooLong));
        assert_eq!(
            decode(Framing::Chunked, [&b"\n#67108864\n"[..], &[b' '; 64 << 20], b"\n#1\n"]),
            Err(FramingError::TooLong)
        );
    }

    #[test]
    fn an_endless_message_is_refused() {
        let piece = vec![b' '; MAX_MESSAGE + END_OF_MESSAGE.len()];
        assert_eq!(decode(Framing::EndOfMessage, [&piece[..]]), Err(FramingError::TooLong));
        assert_eq!(decode(Framing::EndOfMessage, [&piece[6..], b"]]>]]>"]).unwrap().len(), 1);
        assert_eq!(Framing::EndOfMessage.encode("a]]>]]>b", &mut Vec::new()), Err(FramingError::MarkInside));
    }

    #[test]
    fn the_framing_changes_behind_the_hello() {
        for behind in ["", "\n", "\r\n"] {
            for early in ["", "\n#4\n<a/>\n##\n"] {
                let mut decoder = Decoder::new(Framing::EndOfMessage);
                decoder.buffer().extend_from_slice(format!("<hello/>]]>]]>{behind}{early}").as_bytes());
                assert_eq!(decoder.next().unwrap().unwrap(), b"<hello/>");
                decoder.switch(Framing::Chunked);
                assert_eq!(decoder.next().unwrap().is_some(), !early.is_empty(), "{behind:?} {early:?}");
                assert!(decoder.is_idle());
            }
        }
    }

    proptest! {
        #[test]
        fn any_messages_in_any_pieces(
            messages in prop::collection::vec("[ -~\\n]{1,60}", 1..5),
            sizes in prop::collection::vec(1_usize..40, 1..40),
            chunked: bool,
        ) {
            let framing = if chunked { Framing::Chunked } else { Framing::EndOfMessage };
            prop_assume!(chunked || messages.iter().all(|m| !format!("{m}]]>]]>")[..m.len() + 5].contains("]]>]]>")));
            let mut bytes = Vec::new();
            for message in &messages {
                framing.encode(message, &mut bytes).unwrap();
            }
            let mut rest = &bytes[..];
            let pieces = sizes.iter().cycle().map_while(|size| {
                let (piece, after) = rest.split_at(rest.len().min(*size));
                rest = after;
                (!piece.is_empty()).then_some(piece)
            });
            prop_assert_eq!(decode(framing, pieces).unwrap(), messages);
        }

        #[test]
        fn noise_never_panics(noise: Vec<u8>, chunked: bool) {
            let mut decoder = Decoder::new(if chunked { Framing::Chunked } else { Framing::EndOfMessage });
            decoder.buffer().extend_from_slice(&noise);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
