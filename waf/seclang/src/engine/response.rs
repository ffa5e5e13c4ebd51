//! The response's phases.

use picket_abi::ResponseHead;

use super::report::Interruption;
use super::store::{Digits, decimal};
use super::transaction::Transaction;
use crate::Variable;
use crate::format::*;

impl Transaction<'_> {
    /// Phase 3; phase 4 as well if the response ends with its head.
    pub fn response_head(&mut self, head: &ResponseHead<'_>) -> Option<&Interruption> {
        // A response may come before the request has ended; what was sent is what there is.
        self.finish_request();
        if self.phase >= 3 {
            return self.interruption();
        }
        if self.is_on() && self.interruption.is_none() {
            self.take_response(head);
        }
        self.run(3);
        if head.end {
            self.finish_response();
        }
        self.interruption()
    }

    fn take_response(&mut self, head: &ResponseHead<'_>) {
        self.response_status = head.status;
        let mut digits = Digits::default();
        let status = decimal(i64::from(head.status), &mut digits);
        let protocol = head.version.as_str().as_bytes();
        self.add_text(Variable::ResponseStatus, status);
        self.add_text(Variable::ResponseProtocol, protocol);
        if self.is_used(Variable::StatusLine) {
            let line = [protocol, status].join(&b' ');
            self.add_text(Variable::StatusLine, &line);
        }
        let mut content_type: &[u8] = b"";
        for header in head.headers {
            let (name, value) = (header.name.bytes(), header.value.bytes());
            self.add_pair([Variable::ResponseHeaders, Variable::ResponseHeadersNames], name, value);
            if name.eq_ignore_ascii_case(b"content-type") {
                content_type = value.split(|byte| *byte == b';').next().unwrap_or(value).trim_ascii();
            }
        }
        self.add_text(Variable::ResponseContentType, content_type);
        self.response_inspected = self.is_inspected(content_type);
    }

    /// Whether bodies of that media type are.
    fn is_inspected(&self, content_type: &[u8]) -> bool {
        let types = self.rules.count::<TextRecord>(Section::ResponseTypes);
        types == 0
            || (0..types).any(|at| {
                let known = self.rules.text(self.rules.record(Section::ResponseTypes, at));
                known.eq_ignore_ascii_case(content_type)
            })
    }

    /// Whether anything of the response's body will be looked at.
    pub fn inspects_response_body(&self) -> bool {
        self.is_on() && self.response_body_access && self.response_inspected
    }

    /// Takes a chunk of the response's body; phase 4 runs behind the last one.
    pub fn response_body(&mut self, data: &[u8], end: bool) -> Option<&Interruption> {
        if self.phase != 3 || self.interruption.is_some() {
            return self.interruption();
        }
        self.response_length += data.len() as u64;
        if self.inspects_response_body() {
            let partial = self.meta.switches & switch::RESPONSE_PARTIAL != 0;
            self.outbound_error |= self.take_body(data, self.meta.response_body_limit);
            if self.outbound_error && !partial && self.engine == engine::ON {
                self.refuse(500, 4);
            }
        }
        if end {
            self.finish_response();
        }
        self.interruption()
    }

    fn finish_response(&mut self) {
        if self.phase != 3 {
            return;
        }
        if self.is_on() && self.interruption.is_none() {
            let body = core::mem::take(&mut self.body);
            self.add_text(Variable::ResponseBody, &body);
        }
        self.run(4);
    }
}
