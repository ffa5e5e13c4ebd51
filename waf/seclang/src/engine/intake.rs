//! The request's phases: from a message to values.

use core::fmt::Write as _;

use picket_abi::{PeerAddr, RequestHead, Scheme};

use super::report::{Interruption, Verb};
use super::store::{Digits, Span, decimal, number};
use super::transaction::{MAX_BODY, Transaction};
use crate::Variable;
use crate::body::{self, Limits, Processor, Sink};
use crate::format::*;
use crate::request::{self, RequestParts};

/// `SecArgumentsLimit` where none is set.
const DEFAULT_ARGUMENTS: usize = 1000;

impl<'r> Transaction<'r> {
    /// Phase 1; phase 2 as well if the request ends with its head.
    pub fn request_head(&mut self, head: &RequestHead<'_>) -> Option<&Interruption> {
        if self.phase != 0 {
            return self.interruption();
        }
        if self.is_on() {
            self.take_head(head);
        }
        self.run(1);
        if head.end {
            self.finish_request();
        }
        self.interruption()
    }

    fn take_head(&mut self, head: &RequestHead<'_>) {
        let headers = head.headers.encoded().len();
        self.store.reserve(2 * headers + 6 * head.target.len() + 256, 32);
        if self.is_used(Variable::Duration) {
            self.started = self.services.now_us();
        }
        self.take_connection(head);
        self.take_target(head);
        let mut has_host = false;
        for header in head.headers {
            has_host |= header.name.eq_ignore_ascii_case(b"host");
            self.take_header(&header.name, &header.value);
        }
        if !has_host && !head.authority.is_empty() {
            // HTTP/2 has no `Host`: the authority stands for it.
            self.take_header(b"Host", &head.authority);
        }
    }

    fn take_connection(&mut self, head: &RequestHead<'_>) {
        if self.is_used(Variable::RemoteAddr) || self.is_used(Variable::RemoteHost) {
            let addr = self.keep_address(head.client.addr);
            self.add(Variable::RemoteAddr, Span::default(), addr);
            self.add(Variable::RemoteHost, Span::default(), addr);
        }
        self.client_port = head.client.port;
        let port = head.authority.bytes().rsplit(|byte| *byte == b':').next();
        self.server_port = match port.filter(|port| port.len() < head.authority.len()).map(number) {
            Some(port @ 1..=65_535) => port as u16,
            _ if head.scheme == Scheme::Https => 443,
            _ => 80,
        };
        if self.is_used(Variable::UniqueId) {
            self.unique_id =
                if head.request_id.is_empty() { self.random_id() } else { self.store.keep(&head.request_id) };
            self.add(Variable::UniqueId, Span::default(), self.unique_id);
        }
    }

    fn random_id(&mut self) -> Span {
        let mut random = [0; 12];
        self.services.random(&mut random);
        let mut text = [0; 24];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(random) {
            *pair = [byte >> 4, byte & 15]
                .map(|digit| b"0123456789abcdef".get(usize::from(digit)).copied().unwrap_or(b'0'));
        }
        self.store.keep(&text)
    }

    fn keep_address(&mut self, addr: PeerAddr) -> Span {
        struct Text([u8; 48], usize);
        impl core::fmt::Write for Text {
            fn write_str(&mut self, text: &str) -> core::fmt::Result {
                let end = self.1 + text.len();
                self.0.get_mut(self.1..end).ok_or(core::fmt::Error)?.copy_from_slice(text.as_bytes());
                self.1 = end;
                Ok(())
            }
        }
        let mut text = Text([0; 48], 0);
        match addr {
            PeerAddr::V4(bytes) => {
                for (at, byte) in bytes.into_iter().enumerate() {
                    let mut digits = Digits::default();
                    let digits = decimal(i64::from(byte), &mut digits);
                    if at != 0 {
                        text.0[text.1] = b'.';
                        text.1 += 1;
                    }
                    text.0[text.1..text.1 + digits.len()].copy_from_slice(digits);
                    text.1 += digits.len();
                }
            }
            // 39 characters at most: it fits.
            PeerAddr::V6(bytes) => drop(write!(text, "{}", core::net::Ipv6Addr::from(bytes))),
            PeerAddr::Unknown => {}
        }
        let Text(bytes, len) = text;
        self.store.keep(bytes.get(..len).unwrap_or(&[]))
    }

    fn take_target(&mut self, head: &RequestHead<'_>) {
        let parts = RequestParts::of(&head.method, &head.target, head.protocol());
        let mut buffer = core::mem::take(&mut self.argument);
        self.screen.share(true);
        self.add_text(Variable::RequestMethod, parts.method);
        self.add_text(Variable::RequestProtocol, parts.protocol);
        self.add_text(Variable::RequestUriRaw, parts.target);
        self.add_text(Variable::QueryString, parts.query);
        self.head_length += (parts.method.len() + parts.target.len() + parts.protocol.len() + 4) as u64;
        if self.is_used(Variable::RequestLine) {
            buffer.clear();
            parts.write_line(&mut buffer);
            self.add_text(Variable::RequestLine, &buffer);
        }
        if self.is_used(Variable::RequestUri) {
            buffer.clear();
            parts.write_uri(&mut buffer);
            self.add_text(Variable::RequestUri, &buffer);
        }
        buffer.clear();
        parts.write_filename(&mut buffer);
        self.add_text(Variable::RequestFilename, &buffer);
        self.add_text(Variable::PathInfo, &buffer);
        self.add_text(Variable::RequestBasename, request::basename(&buffer).unwrap_or(&[]));
        self.argument = buffer;
        self.screen.share(false);
        if !parts.query.is_empty() {
            let mut scratch = core::mem::take(&mut self.scratch);
            let separator = self.separator();
            self.urlencoded_error |=
                request::arguments(parts.query, separator, &mut scratch, &mut |name, value| {
                    self.add_argument([Variable::ArgsGet, Variable::ArgsGetNames], name, value);
                });
            self.scratch = scratch;
        }
    }

    fn separator(&self) -> u8 {
        if self.meta.separator == 0 { b'&' } else { self.meta.separator }
    }

    fn most_arguments(&self) -> usize {
        match self.meta.arguments {
            0 => DEFAULT_ARGUMENTS,
            most => most as usize,
        }
    }

    fn add_argument(&mut self, [values, names]: [Variable; 2], name: &[u8], value: &[u8]) {
        if self.arguments >= self.most_arguments() {
            return;
        }
        self.arguments += 1;
        self.args_size += (name.len() + value.len()) as u64;
        self.add_pair([values, names], name, value);
    }

    /// Stores a name and its value, the name but once.
    pub(super) fn add_pair(&mut self, [values, names]: [Variable; 2], name: &[u8], value: &[u8]) {
        let (uses_value, uses_name) = (self.is_used(values), self.is_used(names));
        if !uses_value && !uses_name {
            return;
        }
        let key = self.store.keep(name);
        if uses_name {
            self.add(names, key, key);
        }
        if uses_value {
            let value = self.store.keep(value);
            self.add(values, key, value);
        }
    }

    fn take_header(&mut self, name: &[u8], value: &[u8]) {
        self.head_length += (name.len() + value.len() + 4) as u64;
        self.add_pair([Variable::RequestHeaders, Variable::RequestHeadersNames], name, value);
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.add_text(Variable::ServerName, request::server_name(value));
            }
            6 if name.eq_ignore_ascii_case(b"cookie") => {
                let variables = [Variable::RequestCookies, Variable::RequestCookiesNames];
                request::cookies(value, &mut |name, value| self.add_pair(variables, name, value));
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                if self.content_type == Span::default() {
                    self.content_type = self.store.keep(value);
                }
                self.processor = Processor::of_content_type(value).or(self.processor);
            }
            13 if name.eq_ignore_ascii_case(b"authorization") => {
                self.add_text(Variable::AuthType, request::auth_type(value));
                let mut user = core::mem::take(&mut self.argument);
                user.clear();
                if request::remote_user(value, &mut user) {
                    self.add_text(Variable::RemoteUser, &user);
                }
                self.argument = user;
            }
            _ => {}
        }
    }

    /// Takes a chunk of the request's body; phase 2 runs behind the last one.
    pub fn request_body(&mut self, data: &[u8], end: bool) -> Option<&Interruption> {
        if self.phase >= 2 || self.interruption.is_some() {
            return self.interruption();
        }
        self.body_length += data.len() as u64;
        if self.is_on() && self.request_body_access {
            let mut limit = self.meta.request_body_limit;
            if self.processor != Some(Processor::Multipart) {
                limit = match self.meta.request_body_no_files_limit {
                    0 => limit,
                    other if limit == 0 => other,
                    other => limit.min(other),
                };
            }
            let partial = self.meta.switches & switch::REQUEST_PARTIAL != 0;
            self.inbound_error |= self.take_body(data, limit);
            if self.inbound_error && !partial && self.engine == engine::ON {
                self.refuse(413, 2);
            }
        }
        if end {
            self.finish_request();
        }
        self.interruption()
    }

    /// Keeps a chunk of a body as far as its limit allows; true if that is exceeded.
    pub(super) fn take_body(&mut self, data: &[u8], limit: u32) -> bool {
        let limit = match limit as usize {
            0 => MAX_BODY,
            limit => limit.min(MAX_BODY),
        };
        let room = limit.saturating_sub(self.body.len());
        let taken = data.get(..room);
        self.body.extend_from_slice(taken.unwrap_or(data));
        taken.is_some_and(|taken| taken.len() < data.len())
    }

    /// Ends the transaction because a limit is exceeded.
    pub(super) fn refuse(&mut self, status: u16, phase: u8) {
        if self.interruption.is_none() {
            let location = alloc::vec::Vec::new();
            self.interruption = Some(Interruption { verb: Verb::Deny, status, location, rule_id: 0, phase });
        }
    }

    /// Reads the body and runs phase 2.
    pub(super) fn finish_request(&mut self) {
        if self.phase >= 2 {
            return;
        }
        if self.is_on() && self.interruption.is_none() {
            let body = core::mem::take(&mut self.body);
            if !body.is_empty() {
                self.parse(&body);
            }
            let kept =
                self.force_body || !matches!(self.processor, Some(Processor::Multipart | Processor::Xml));
            self.add_text(Variable::RequestBody, if kept { &body } else { &[] });
            if self.is_used(Variable::FullRequest) {
                self.add_full_request(&body);
            }
            if self.body_error.is_none() && self.dropped() != 0 {
                self.body_error = Some(self.store.keep(b"Inspection limits exceeded"));
            }
        }
        self.run(2);
    }

    fn add_full_request(&mut self, body: &[u8]) {
        let mut text = alloc::vec::Vec::new();
        let mut at = self.store.first(Variable::RequestHeaders);
        while let Some((next, entry)) = self.store.step(at) {
            at = next;
            for part in [self.store.bytes(entry.key), b": ", self.store.bytes(entry.value), b"\n"] {
                text.extend_from_slice(part);
            }
        }
        text.extend_from_slice(b"\n\n");
        text.extend_from_slice(body);
        self.add_text(Variable::FullRequest, &text);
    }

    #[inline(never)]
    fn parse(&mut self, body: &[u8]) {
        let Some(processor) = self.processor else { return };
        let mut limits = Limits::default();
        limits.arguments = self.most_arguments().saturating_sub(self.arguments);
        limits.reported = limits.reported.max(body.len());
        if self.meta.json_depth != 0 {
            limits.depth = self.meta.json_depth as usize;
        }
        let mut scratch = core::mem::take(&mut self.scratch);
        let result = match processor {
            Processor::UrlEncoded => {
                let separator = self.separator();
                body::urlencoded(body, separator, &limits, &mut scratch, self)
                    .map(|invalid| self.urlencoded_error |= invalid)
            }
            Processor::Json => body::json(body, &limits, &mut scratch, self),
            Processor::Xml => body::xml(body, &limits, &mut scratch, self),
            Processor::Multipart => {
                let content_type = self.store.bytes(self.content_type).to_vec();
                let mut flags = self.multipart;
                let result = body::multipart(&content_type, body, &limits, &mut scratch, &mut flags, self);
                self.multipart = flags;
                result
            }
        };
        self.scratch = scratch;
        if let Err(fault) = result {
            let mut text = alloc::vec::Vec::new();
            fault.write_to(&mut text);
            self.body_error = Some(self.store.keep(&text));
        }
    }
}

impl Sink for Transaction<'_> {
    fn arg(&mut self, name: &[u8], value: &[u8]) {
        self.add_argument([Variable::ArgsPost, Variable::ArgsPostNames], name, value);
    }

    fn file(&mut self, field: &[u8], filename: &[u8], content: &[u8]) {
        self.files_size += content.len() as u64;
        self.add_pair([Variable::Files, Variable::FilesNames], field, filename);
        if self.is_used(Variable::FilesSizes) {
            let mut digits = Digits::default();
            let size = decimal(content.len() as i64, &mut digits);
            let (key, size) = (self.store.keep(field), self.store.keep(size));
            self.add(Variable::FilesSizes, key, size);
        }
        if self.is_used(Variable::FilesTmpContent) {
            let (key, content) = (self.store.keep(field), self.store.keep(content));
            self.add(Variable::FilesTmpContent, key, content);
        }
    }

    fn part(&mut self, name: &[u8], filename: &[u8]) {
        if self.is_used(Variable::MultipartName) {
            let key = self.store.keep(name);
            self.add(Variable::MultipartName, key, key);
        }
        if !filename.is_empty() && self.is_used(Variable::MultipartFilename) {
            let (key, filename) = (self.store.keep(name), self.store.keep(filename));
            self.add(Variable::MultipartFilename, key, filename);
        }
    }

    fn part_header(&mut self, part: &[u8], line: &[u8]) {
        if self.is_used(Variable::MultipartPartHeaders) {
            let (key, line) = (self.store.keep(part), self.store.keep(line));
            self.add(Variable::MultipartPartHeaders, key, line);
        }
    }

    fn xml_text(&mut self, text: &[u8]) {
        self.add_text(Variable::Xml, text);
    }

    fn xml_attribute(&mut self, value: &[u8]) {
        self.add_text(Variable::XmlAttributes, value);
    }
}
