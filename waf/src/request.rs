//! The request head as variables.

use alloc::vec::Vec;

use picket_abi::RequestHead;

use crate::blob::format;
use crate::body::Sink;
use crate::inspect::Inspector;
use crate::variable::Variable;

/// Inspects everything of a request before its body.
pub(crate) fn inspect_head(inspector: &mut Inspector, head: &RequestHead<'_>) {
    inspector.value(Variable::RequestMethod, b"", &head.method);
    inspector.value(Variable::RequestProtocol, b"", head.version.as_str().as_bytes());
    inspector.value(Variable::RequestTarget, b"", &head.target);
    inspector.value(Variable::RequestPath, b"", head.path());
    if let Some(query) = head.query() {
        inspector.value(Variable::QueryString, b"", query);
        inspector.urlencoded(query);
    }
    for header in head.headers {
        if header.name.eq_ignore_ascii_case(b"cookie") {
            cookies(inspector, &header.value);
        } else {
            inspector.value(Variable::RequestHeadersNames, &header.name, &header.name);
            inspector.value(Variable::RequestHeaders, &header.name, &header.value);
        }
    }
    counts(inspector, head);
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
fn counts(inspector: &mut Inspector, head: &RequestHead<'_>) {
    let rules = *inspector.rules();
    for index in 0..rules.structural_checks() {
        let check = rules.check(index);
        if check.operator == format::OP_ABSENT {
            for (variable, _, name) in rules.selectors(&check) {
                if variable == Variable::RequestHeaders && count(head, name) == 0 {
                    inspector.record(&check, 0, variable, name, b"", b"");
                }
            }
        } else {
            for (variable, exclude, name) in rules.selectors(&check) {
                if variable == Variable::HeaderCount && !exclude {
                    let mut decimal = Vec::new();
                    push_decimal(&mut decimal, count(head, name));
                    inspector.value(variable, name, &decimal);
                }
            }
        }
    }
}

/// HTTP/2 has no `Host`: the authority stands for it.
fn count(head: &RequestHead<'_>, name: &[u8]) -> u32 {
    let found = head.headers.all(name).count() as u32;
    if found == 0 && name.eq_ignore_ascii_case(b"host") && !head.authority.is_empty() { 1 } else { found }
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
