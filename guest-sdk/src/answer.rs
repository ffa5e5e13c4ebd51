//! Builders of what a phase answers.

use alloc::vec::Vec;

use picket_abi::{ActionBuf, Header, HeaderOp, Match, Octets, OutcomeBuf, SeqBuf, VerdictBuf};

/// Go on, nothing changed.
///
/// ```
/// assert!(picket_guest::proceed().is_silent());
/// ```
#[inline]
pub fn proceed() -> OutcomeBuf {
    OutcomeBuf::default()
}

/// Answers the client with `status` (200 to 599) instead of going on.
///
/// ```
/// # use picket_guest::{OutcomeBuf, respond};
/// let outcome: OutcomeBuf =
///     respond(403).header("Content-Type", "text/plain").body("no").tag("blocked").into();
/// ```
pub fn respond(status: u16) -> Respond {
    Respond { status, headers: SeqBuf::new(), body: Vec::new(), verdict: VerdictBuf::default() }
}

/// Sends the client to `location` with `status`: 301, 302, 303, 307 or 308.
///
/// ```
/// # use picket_guest::{OutcomeBuf, redirect};
/// let outcome: OutcomeBuf = redirect(308, "https://example.org/new").into();
/// ```
pub fn redirect(status: u16, location: impl AsRef<[u8]>) -> Redirect {
    Redirect { status, location: location.as_ref().to_vec(), verdict: VerdictBuf::default() }
}

/// Goes on with changes of the header fields or of the body.
///
/// ```
/// # use picket_guest::{OutcomeBuf, modify};
/// let outcome: OutcomeBuf = modify().set("X-Seen", "1").remove("Cookie").into();
/// ```
pub fn modify() -> Modify {
    Modify { headers: SeqBuf::new(), body: None, verdict: VerdictBuf::default() }
}

/// An answer in the making: see [`respond()`].
#[derive(Clone, Debug)]
#[must_use = "an answer does nothing until it is returned"]
pub struct Respond {
    status: u16,
    headers: SeqBuf<Header<'static>>,
    body: Vec<u8>,
    verdict: VerdictBuf,
}

/// A redirect in the making: see [`redirect()`].
#[derive(Clone, Debug)]
#[must_use = "a redirect does nothing until it is returned"]
pub struct Redirect {
    status: u16,
    location: Vec<u8>,
    verdict: VerdictBuf,
}

/// Changes in the making: see [`modify()`].
#[derive(Clone, Debug)]
#[must_use = "changes do nothing until they are returned"]
pub struct Modify {
    headers: SeqBuf<HeaderOp<'static>>,
    body: Option<Vec<u8>>,
    verdict: VerdictBuf,
}

macro_rules! verdict_methods {
    () => {
        /// Adds a word to the audit log.
        pub fn tag(mut self, tag: impl AsRef<[u8]>) -> Self {
            self.verdict.tags.push(Octets(tag.as_ref()));
            self
        }

        /// Reports a rule that matched and adds its score. A filter that scores over several phases
        /// sets [`VerdictBuf::score`] of the finished outcome itself: the host reads it as the
        /// total of the transaction.
        pub fn matched(mut self, matched: Match<'_>) -> Self {
            self.verdict.score = self.verdict.score.saturating_add(matched.score);
            self.verdict.matches.push(matched);
            self
        }
    };
}

impl Respond {
    /// Appends a header field. The host adds `Content-Length` itself.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(Header { name: Octets(name.as_ref()), value: Octets(value.as_ref()) });
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    verdict_methods!();
}

impl Redirect {
    verdict_methods!();
}

impl Modify {
    /// Removes all header fields called `name`, then appends this one. Only in head phases.
    pub fn set(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push(HeaderOp::Set(Header { name: Octets(name.as_ref()), value: Octets(value.as_ref()) }));
        self
    }

    /// Appends a header field, whatever is there. Only in head phases.
    pub fn append(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push(HeaderOp::Append(Header { name: Octets(name.as_ref()), value: Octets(value.as_ref()) }));
        self
    }

    /// Removes all header fields called `name`. Only in head phases.
    pub fn remove(mut self, name: impl AsRef<[u8]>) -> Self {
        self.headers.push(HeaderOp::Remove(Octets(name.as_ref())));
        self
    }

    /// In a body phase: replaces this chunk. In a head phase: replaces the whole body that would
    /// follow, and no body phase is called.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    verdict_methods!();
}

impl From<Respond> for OutcomeBuf {
    fn from(answer: Respond) -> Self {
        OutcomeBuf {
            action: ActionBuf::Respond { status: answer.status, headers: answer.headers, body: answer.body },
            verdict: answer.verdict,
        }
    }
}

impl From<Redirect> for OutcomeBuf {
    fn from(redirect: Redirect) -> Self {
        OutcomeBuf {
            action: ActionBuf::Redirect { status: redirect.status, location: redirect.location },
            verdict: redirect.verdict,
        }
    }
}

impl From<Modify> for OutcomeBuf {
    /// Without a change it is [`proceed()`], so that a filter may collect changes and find none.
    fn from(changes: Modify) -> Self {
        let action = if changes.headers.is_empty() && changes.body.is_none() {
            ActionBuf::Continue
        } else {
            ActionBuf::Modify { headers: changes.headers, body: changes.body }
        };
        OutcomeBuf { action, verdict: changes.verdict }
    }
}
