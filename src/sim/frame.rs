//! Message framing (RFC 6242 4), the server's side of it.

/// Larger messages are refused: no test and no demo sends one.
const MAX_MESSAGE: usize = 16 << 20;
const END_OF_MESSAGE: &[u8] = b"]]>]]>";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum FrameError {
    #[error("malformed chunk header")]
    Header,
    #[error("message is larger than {MAX_MESSAGE} bytes")]
    TooLarge,
    #[error("message is not UTF-8")]
    Encoding,
}

/// Collects bytes and gives whole messages.
#[derive(Default)]
pub(super) struct Decoder {
    buffer: Vec<u8>,
    /// Chunked framing, in force once both sides have said base:1.1.
    pub chunked: bool,
}

impl Decoder {
    /// Where to append what arrives.
    pub fn space(&mut self) -> &mut Vec<u8> {
        self.buffer.reserve(8 * 1024);
        &mut self.buffer
    }

    /// The next whole message, if there is one.
    pub fn next(&mut self) -> Result<Option<String>, FrameError> {
        let found = if self.chunked { self.chunks()? } else { self.delimited() };
        let Some((message, used)) = found else {
            return if self.buffer.len() > MAX_MESSAGE { Err(FrameError::TooLarge) } else { Ok(None) };
        };
        self.buffer.drain(..used);
        String::from_utf8(message).map(Some).map_err(|_| FrameError::Encoding)
    }

    fn delimited(&self) -> Option<(Vec<u8>, usize)> {
        let end = self.buffer.windows(END_OF_MESSAGE.len()).position(|w| w == END_OF_MESSAGE)?;
        Some((self.buffer[..end].to_vec(), end + END_OF_MESSAGE.len()))
    }

    /// `LF # size LF data` one or more times, then `LF # # LF`.
    fn chunks(&self) -> Result<Option<(Vec<u8>, usize)>, FrameError> {
        let mut message = Vec::new();
        let mut at = 0;
        loop {
            let rest = &self.buffer[at..];
            if !rest.starts_with(&b"\n#"[..rest.len().min(2)]) {
                return Err(FrameError::Header);
            }
            // The longest header is LF # 4294967295 LF.
            let Some(end) = rest.iter().skip(2).take(12).position(|byte| *byte == b'\n') else {
                return if rest.len() > 13 { Err(FrameError::Header) } else { Ok(None) };
            };
            let size = &rest[2..2 + end];
            at += end + 3;
            if size == b"#" {
                return if message.is_empty() { Err(FrameError::Header) } else { Ok(Some((message, at))) };
            }
            if size.first().is_none_or(|first| !(b'1'..=b'9').contains(first)) {
                return Err(FrameError::Header);
            }
            let size = std::str::from_utf8(size).ok().and_then(|size| size.parse::<u32>().ok());
            let size = size.ok_or(FrameError::Header)? as usize;
            if message.len() + size > MAX_MESSAGE {
                return Err(FrameError::TooLarge);
            }
            match self.buffer.get(at..at + size) {
                Some(data) => message.extend_from_slice(data),
                None => return Ok(None),
            }
            at += size;
        }
    }
}

/// One message, framed.
pub(super) fn encode(message: &str, chunked: bool) -> String {
    if chunked { format!("\n#{}\n{message}\n##\n", message.len()) } else { format!("{message}]]>]]>") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_from_any_split() {
        for chunked in [false, true] {
            let wire =
                ["<a/>", "<b>\n#x</b>", "é"].map(|message| encode(message, chunked)).concat().into_bytes();
            for split in 0..wire.len() {
                let mut decoder = Decoder { chunked, ..Decoder::default() };
                let mut got = Vec::new();
                for part in [&wire[..split], &wire[split..]] {
                    decoder.space().extend_from_slice(part);
                    while let Some(message) = decoder.next().unwrap() {
                        got.push(message);
                    }
                }
                assert_eq!(got, ["<a/>", "<b>\n#x</b>", "é"], "split at {split}");
            }
        }
    }

    #[test]
    fn several_chunks_are_one_message() {
        let mut decoder = Decoder { chunked: true, ..Decoder::default() };
        decoder.space().extend_from_slice(b"\n#2\n<a\n#2\n/>\n##\n");
        assert_eq!(decoder.next().unwrap().unwrap(), "<a/>");
    }

    #[test]
    fn bad_headers() {
        for bad in ["x", "\n\n", "\n#0\n", "\n#a\n", "\n##\n", "\n#01\nx", "\n#99999999999999", "\n#-1\n"] {
            let mut decoder = Decoder { chunked: true, ..Decoder::default() };
            decoder.space().extend_from_slice(bad.as_bytes());
            assert_eq!(decoder.next(), Err(FrameError::Header), "{bad:?}");
        }
        let mut decoder = Decoder { chunked: true, ..Decoder::default() };
        decoder.space().extend_from_slice(b"\n#4294967295\n");
        assert_eq!(decoder.next(), Err(FrameError::TooLarge));
    }
}
