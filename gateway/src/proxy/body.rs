//! Bodies as the proxy passes them on: with a longest pause, and without trailers that must not be.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

use super::headers;
use crate::layer::BoxError;

/// A body whose pauses are bounded.
pub(crate) struct TimedBody<B> {
    body: B,
    longest_pause: Duration,
    /// Set while the body is waited for.
    pause: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<B> TimedBody<B> {
    pub(crate) fn new(body: B, longest_pause: Duration) -> Self {
        TimedBody { body, longest_pause, pause: None, waiting: false }
    }
}

impl<B> Body for TimedBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waiting = false;
            return Poll::Ready(frame.map(|frame| match frame {
                Ok(mut frame) => {
                    if let Some(trailers) = frame.trailers_mut() {
                        headers::strip_trailers(trailers);
                    }
                    Ok(frame)
                }
                Err(error) => Err(error.into()),
            }));
        }
        let until = || Instant::now() + this.longest_pause;
        let pause = this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until())));
        if !this.waiting {
            pause.as_mut().reset(until());
            this.waiting = true;
        }
        let message = || format!("nothing of the body came for {:?}", this.longest_pause);
        pause.as_mut().poll(cx).map(|()| Some(Err(io::Error::new(io::ErrorKind::TimedOut, message()).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Longest time that a body is read on when nobody wants it, and most bytes of it.
const LINGER_TIME: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 << 20;

/// The body of a request as it comes from the client.
///
/// Dropped before its end (it was refused, or the upstream answered early), it is read on for a
/// while and thrown away: a connection that is closed while the client still sends is reset, and the
/// answer lost with it.
pub(crate) struct Inbound {
    /// Gone when there is nothing more to read.
    body: Option<TimedBody<Incoming>>,
}

impl Inbound {
    pub(crate) fn new(body: Incoming, longest_pause: Duration) -> Self {
        Inbound { body: Some(TimedBody::new(body, longest_pause)) }
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        let (Some(mut body), Ok(runtime)) = (self.body.take(), Handle::try_current()) else { return };
        if body.is_end_stream() {
            return;
        }
        runtime.spawn(tokio::time::timeout(LINGER_TIME, async move {
            let mut left = LINGER_BYTES;
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(length) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        }));
    }
}

/// A request's body that can be sent again as long as nobody has read of it.
pub(super) struct Replay<B> {
    slot: Arc<Mutex<Slot<B>>>,
}

struct Slot<B> {
    body: B,
    started: bool,
    /// When something of it was read last.
    progress: Instant,
}

impl<B> Clone for Replay<B> {
    fn clone(&self) -> Self {
        Replay { slot: Arc::clone(&self.slot) }
    }
}

impl<B: Body> Replay<B> {
    pub(super) fn new(body: B) -> Self {
        Replay { slot: Arc::new(Mutex::new(Slot { body, started: false, progress: Instant::now() })) }
    }

    fn slot(&self) -> MutexGuard<'_, Slot<B>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something of it was read: then it cannot be sent again.
    pub(super) fn started(&self) -> bool {
        self.slot().started
    }

    /// When something of it was read last.
    pub(super) fn progress(&self) -> Instant {
        self.slot().progress
    }
}

impl<B: Body + Unpin> Body for Replay<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut slot = self.slot();
        let frame = Pin::new(&mut slot.body).poll_frame(cx);
        // A body that only waited has lost nothing, but whoever sees a second reader take over
        // would have to wake it: asked once is begun.
        slot.started = true;
        if frame.is_ready() {
            slot.progress = Instant::now();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.slot().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.slot().body.size_hint()
    }
}
