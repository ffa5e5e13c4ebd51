//! The request head as variables.

use alloc::vec::Vec;

use picket_abi::{Octets, RequestHead};

use crate::blob::{RuleSet, format};
use crate::body::Sink;
use crate::inspect::Inspector;
use crate::variable::Variable;

/// The headers that some check names: counted as they pass by.
pub(crate) struct HeaderCounts(Vec<(&'static [u8], u32)>);

impl HeaderCounts {
    pub(crate) fn new(rules: &RuleSet<'static>) -> Self {
        let mut counts: Vec<(&'static [u8], u32)> = Vec::new();
        for index in 0..rules.structural_checks() {
            for (_, _, name) in rules.selectors(&rules.check(index)) {
                if !counts.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                    counts.push((name, 0));
                }
            }
        }
        HeaderCounts(counts)
    }

    fn clear(&mut self) {
        for (_, count) in &mut self.0 {
            *count = 0;
        }
    }

    /// Counts a header. Returns whether some check names it.
    fn add(&mut self, name: &[u8]) -> bool {
        for (known, count) in &mut self.0 {
            if known.len() == name.len() && known.eq_ignore_ascii_case(name) {
                *count += 1;
                return true;
            }
        }
        false
    }

    fn of(&self, name: &[u8]) -> u32 {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or(0, |&(_, count)| count)
    }
}

/// Inspects everything of a request before its body. Returns the content type.
pub(crate) fn inspect_head<'a>(
    inspector: &mut Inspector,
    counts: &mut HeaderCounts,
    head: &RequestHead<'a>,
) -> Option<Octets<'a>> {
    inspector.value(Variable::RequestMethod, b"", &head.method);
    inspector.value(Variable::RequestProtocol, b"", head.version.as_str().as_bytes());
    inspector.value(Variable::RequestTarget, b"", &head.target);
    inspector.value(Variable::RequestPath, b"", head.path());
    if let Some(query) = head.query() {
        inspector.value(Variable::QueryString, b"", query);
        inspector.urlencoded(query);
    }
    counts.clear();
    let mut content_type = None;
    for header in head.headers {
        let named = counts.add(&header.name);
        match header.name.len() {
            6 if header.name.eq_ignore_ascii_case(b"cookie") => {
                cookies(inspector, &header.value);
                continue;
            }
            12 if content_type.is_none() && header.name.eq_ignore_ascii_case(b"content-type") => {
                content_type = Some(header.value);
            }
            _ => {}
        }
        inspector.value(Variable::RequestHeadersNames, &header.name, &header.name);
        inspector.header(&header.name, &header.value, named);
    }
    // HTTP/2 has no `Host`: the authority stands for it.
    if !head.authority.is_empty() && counts.of(b"host") == 0 {
        counts.add(b"host");
    }
    structural(inspector, counts);
    content_type
}

/// `name=value; name=value` (RFC 6265, section 5.4).
fn cookies(inspector: &mut Inspector, header: &[u8]) {
    for cookie in header.split(|&byte| byte == b';') {
        let cookie = cookie.trim_ascii();
        let at = cookie.iter().position(|&byte| byte == b'=').unwrap_or(cookie.len());
        let (name, value) = cookie.split_at(at);
        inspector.value(Variable::RequestCookiesNames, name, name);
        inspector.value(Variable::RequestCookies, name, value.get(1..).unwrap_or(&[]));
    }
}

/// The checks that ask for headers which are not there, and for how many there are.
fn structural(inspector: &mut Inspector, counts: &HeaderCounts) {
    let mut decimal = Vec::new();
    for index in 0..inspector.rules().structural_checks() {
        let check = inspector.rules().check(index);
        let absent = check.operator == format::OP_ABSENT;
        let wanted = if absent { Variable::RequestHeaders } else { Variable::HeaderCount };
        for at in 0..check.selectors {
            let Some((variable, false, name)) = inspector.rules().selector(&check, at) else { continue };
            let count = counts.of(name);
            if variable != wanted {
                continue;
            }
            if !absent {
                decimal.clear();
                push_decimal(&mut decimal, count);
                inspector.value(variable, name, &decimal);
            } else if count == 0 {
                inspector.record(&check, 0, variable, name, b"", b"");
            }
        }
    }
}

/// Appends `number` in decimal.
pub(crate) fn push_decimal(text: &mut Vec<u8>, number: u32) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[at..]);
}
