//! A connection after it changed its protocol: bytes in both directions, uninspected.

use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::Instant;

use crate::layer::RequestId;

/// Copies both ways until both sides have closed, one breaks off, or both are silent for too long.
pub(super) async fn run(client: OnUpgrade, upstream: OnUpgrade, longest_silence: Duration, id: RequestId) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(sides) => sides,
        Err(error) => return tracing::debug!(request_id = %id, "tunnel: {error}"),
    };
    let last = Mutex::new(Instant::now());
    let mut client = Heard { io: TokioIo::new(client), last: &last };
    let mut upstream = Heard { io: TokioIo::new(upstream), last: &last };
    let silence = async {
        loop {
            let until = *last.lock().unwrap_or_else(PoisonError::into_inner) + longest_silence;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    };
    tokio::select! {
        copied = copy_bidirectional(&mut client, &mut upstream) => match copied {
            Ok((up, down)) => tracing::debug!(request_id = %id, up, down, "tunnel closed"),
            Err(error) => tracing::debug!(request_id = %id, "tunnel: {error}"),
        },
        () = silence => tracing::debug!(request_id = %id, "tunnel: silent for {longest_silence:?}"),
    }
}

/// A side of the tunnel that notes when it was heard last.
struct Heard<'t, T> {
    io: T,
    last: &'t Mutex<Instant>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Heard<'_, T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if read.is_ready() {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heard<'_, T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
