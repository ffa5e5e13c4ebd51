//! Bodies that are inspected on their way.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use picket_host::{BodyDecision, Reply};

use super::BoxError;
use super::exchange::Exchange;

/// Why a body broke off.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// The body beneath failed.
    Source(BoxError),
    /// A filter refused it midway.
    Refused,
    /// The exchange was over before the request's body was: the rest was not inspected.
    Over,
    /// A filter changed the length when that had been announced. Chains that do so want
    /// [`Options::rewrites_bodies`](super::Options::rewrites_bodies).
    LengthChanged,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::Source(_) => "the body broke off",
            BodyError::Refused => "a filter refused the body",
            BodyError::Over => "the exchange was over before the request's body",
            BodyError::LengthChanged => {
                "a filter changed the length of a body when that had been announced: its chain must say that it rewrites bodies"
            }
        })
    }
}

impl BodyError {
    /// Whether the body beneath says that it took too long: an [`io::Error`] of that kind.
    pub(super) fn is_timeout(&self) -> bool {
        let BodyError::Source(source) = self else { return false };
        let mut error: Option<&(dyn std::error::Error + 'static)> = Some(&**source);
        while let Some(current) = error {
            if current
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
            {
                return true;
            }
            error = current.source();
        }
        false
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BodyError::Source(source) => Some(&**source),
            _ => None,
        }
    }
}

/// A body on its way through the filters, in either direction.
pub(super) struct Stream<B> {
    /// Gone when it has ended, failed, or is not wanted any more.
    source: Option<Pin<Box<B>>>,
    /// What was inspected and waits to be read.
    ready: VecDeque<Frame<Bytes>>,
    /// Whether a filter looks at it.
    inspected: bool,
    /// Whether the filters know that nothing follows.
    end_shown: bool,
    /// Whether a filter has changed it.
    pub(super) replaced: bool,
    /// The length that was announced, of what has not been read yet.
    announced: Option<u64>,
    /// Bytes taken from the source.
    pub(super) received: u64,
}

/// What a step came to.
pub(super) enum Step {
    /// Something was read; it may be ready now.
    More,
    /// Nothing follows.
    End,
    /// A filter refused. The body must not be read on.
    Refused(Reply),
}

impl<B> Stream<B>
where
    B: Body<Error: Into<BoxError>>,
{
    pub(super) fn new(source: B, inspected: bool) -> Self {
        let ended = at_end(&source);
        Stream {
            // An ended body may still have nothing but itself to drop.
            source: (!ended).then(|| Box::pin(source)),
            ready: VecDeque::new(),
            inspected,
            end_shown: ended,
            replaced: false,
            announced: None,
            received: 0,
        }
    }

    /// A body that is all there.
    pub(super) fn full(bytes: Vec<u8>) -> Self {
        let mut ready = VecDeque::new();
        if !bytes.is_empty() {
            ready.push_back(Frame::data(bytes.into()));
        }
        Stream {
            source: None,
            ready,
            inspected: false,
            end_shown: true,
            replaced: true,
            announced: None,
            received: 0,
        }
    }

    /// Whether everything was read from the source.
    pub(super) fn is_whole(&self) -> bool {
        self.source.is_none()
    }

    /// Bytes that are known to follow, if the length is known.
    pub(super) fn exact(&self) -> Option<u64> {
        let ready = self.ready_bytes();
        match &self.source {
            None => Some(ready),
            Some(source) => source.size_hint().exact().map(|rest| rest + ready),
        }
    }

    /// From now on the length is `length`, whatever a filter says.
    pub(super) fn announce(&mut self, length: Option<u64>) {
        self.announced = length;
    }

    fn ready_bytes(&self) -> u64 {
        self.ready.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum()
    }

    /// Reads one frame and shows it to the filters. `inspect` answers `None` when it is too late.
    pub(super) fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        mut inspect: impl FnMut(&[u8], bool) -> Option<BodyDecision>,
    ) -> Poll<Result<Step, BodyError>> {
        let Some(source) = &mut self.source else { return Poll::Ready(Ok(Step::End)) };
        let frame = match ready!(source.as_mut().poll_frame(cx)) {
            None => None,
            Some(Ok(frame)) => Some(frame),
            Some(Err(error)) => {
                self.source = None;
                return Poll::Ready(Err(BodyError::Source(error.into())));
            }
        };
        let ended = frame.is_none() || at_end(&**source);
        let frame = frame.map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
        let data = frame.as_ref().and_then(|frame| frame.data_ref()).cloned();
        if let Some(data) = &data {
            self.received += data.len() as u64;
        }

        // Trailers end the body as far as filters are concerned.
        let end = ended || frame.as_ref().is_some_and(Frame::is_trailers);
        let mut changed = None;
        if self.inspected && !self.end_shown && (end || data.as_ref().is_some_and(|data| !data.is_empty())) {
            self.end_shown = end;
            match inspect(data.as_deref().unwrap_or_default(), end) {
                Some(BodyDecision::Continue) => {}
                Some(BodyDecision::Replace(bytes)) => changed = Some(bytes),
                Some(BodyDecision::Respond(reply)) => return Poll::Ready(Ok(Step::Refused(reply))),
                None => {
                    self.stop();
                    return Poll::Ready(Err(BodyError::Over));
                }
            }
        }
        if ended {
            self.source = None;
        }

        let length = data.as_ref().map_or(0, Bytes::len);
        if let Some(bytes) = changed {
            self.replaced = true;
            if self.announced.is_some() && bytes.len() != length {
                self.stop();
                return Poll::Ready(Err(BodyError::LengthChanged));
            }
            if !bytes.is_empty() {
                self.ready.push_back(Frame::data(bytes.into()));
            }
        } else if let Some(data) = data
            && !data.is_empty()
        {
            self.ready.push_back(Frame::data(data));
        }
        if let Some(frame) = frame
            && frame.is_trailers()
        {
            self.ready.push_back(frame.map_data(|_| Bytes::new()));
        }
        Poll::Ready(Ok(if ended { Step::End } else { Step::More }))
    }

    /// Reads until `window` bytes were received or the body has ended.
    pub(super) async fn hold(
        &mut self,
        window: u64,
        mut inspect: impl FnMut(&[u8], bool) -> Option<BodyDecision>,
    ) -> Result<Option<Reply>, BodyError> {
        while self.received < window {
            match std::future::poll_fn(|cx| self.poll_step(cx, &mut inspect)).await? {
                Step::More => {}
                Step::End => break,
                Step::Refused(reply) => return Ok(Some(reply)),
            }
        }
        Ok(None)
    }

    fn stop(&mut self) {
        self.source = None;
        self.ready.clear();
    }

    /// The next frame to hand on.
    fn next_ready(&mut self) -> Option<Frame<Bytes>> {
        let frame = self.ready.pop_front()?;
        if let (Some(announced), Some(data)) = (&mut self.announced, frame.data_ref()) {
            *announced = announced.saturating_sub(data.len() as u64);
        }
        Some(frame)
    }

    fn size_hint(&self) -> SizeHint {
        let ready = self.ready_bytes();
        let mut hint = SizeHint::with_exact(ready);
        if let Some(source) = &self.source {
            let rest = source.size_hint();
            match (self.announced, self.inspected) {
                (Some(announced), _) => hint = SizeHint::with_exact(announced),
                // What a filter makes of the rest cannot be foretold.
                (None, true) => {
                    hint = SizeHint::new();
                    hint.set_lower(ready);
                }
                (None, false) => {
                    hint = SizeHint::new();
                    hint.set_lower(ready + rest.lower());
                    if let Some(upper) = rest.upper() {
                        hint.set_upper(ready + upper);
                    }
                }
            }
        }
        hint
    }

    fn is_end(&self) -> bool {
        self.source.is_none() && self.ready.is_empty()
    }
}

fn at_end<B: Body>(body: &B) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

/// The body of a request, inspected while the inner service reads it.
pub struct RequestBody<B> {
    pub(super) stream: Stream<B>,
    pub(super) exchange: Arc<Exchange>,
}

impl<B> Body for RequestBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let RequestBody { stream, exchange } = &mut *self;
        loop {
            if let Some(frame) = stream.next_ready() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if stream.source.is_none() {
                return Poll::Ready(None);
            }
            let before = stream.received;
            let step = ready!(stream.poll_step(cx, |data, end| exchange.request_body(data, end)));
            exchange.count_request(stream.received - before);
            match step {
                Ok(Step::More | Step::End) => {}
                Ok(Step::Refused(reply)) => {
                    stream.stop();
                    exchange.refuse(reply);
                    return Poll::Ready(Some(Err(BodyError::Refused)));
                }
                Err(error) => {
                    if let BodyError::LengthChanged = error {
                        tracing::error!(request_id = %exchange.subject().request_id, "request: {error}");
                    }
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.stream.size_hint()
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

/// The body of a response, inspected while the client reads it; or the body of an answer that a
/// filter gave. The exchange is over when it has ended or is dropped.
pub struct ResponseBody<B> {
    pub(super) stream: Stream<B>,
    pub(super) exchange: Arc<Exchange>,
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let ResponseBody { stream, exchange } = &mut *self;
        loop {
            if exchange.is_cut() && stream.source.is_some() {
                stream.stop();
                return Poll::Ready(Some(Err(BodyError::Refused)));
            }
            if let Some(frame) = stream.next_ready() {
                exchange.count_response(frame.data_ref().map_or(0, Bytes::len));
                return Poll::Ready(Some(Ok(frame)));
            }
            if stream.source.is_none() {
                exchange.finish();
                return Poll::Ready(None);
            }
            match ready!(stream.poll_step(cx, |data, end| exchange.response_body(data, end))) {
                Ok(Step::More | Step::End) => {}
                // The head has been sent: all that is left is to break off.
                Ok(Step::Refused(_)) => {
                    stream.stop();
                    return Poll::Ready(Some(Err(BodyError::Refused)));
                }
                Err(error) => {
                    if let BodyError::LengthChanged = error {
                        tracing::error!(request_id = %exchange.subject().request_id, "response: {error}");
                    }
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.stream.size_hint()
    }
}

impl<B> Drop for ResponseBody<B> {
    fn drop(&mut self) {
        self.exchange.finish();
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
