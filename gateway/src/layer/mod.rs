//! Filters before any HTTP service: a [`tower`](https://docs.rs/tower) layer.
//!
//! ```text
//! request  ─▶ head ─▶ body, held back up to the window ─▶ inner service ─▶ rest of the body, chunk by chunk
//! response ◀─ head ◀─ body, chunk by chunk             ◀─┘
//! ```
//!
//! - A request is shown to the chain head first. Its body is held back up to the chain's window, so
//!   that a small body that is refused never reaches the inner service. What is longer flows on
//!   chunk by chunk, each after it was inspected; refused midway, it breaks off with an error, so
//!   that it never arrives whole, and the client gets the chain's answer.
//! - A response without `Content-Length` (server-sent events, for instance) flows while it is
//!   inspected: no chunk waits for the next one. One with a length is held back up to the window, so
//!   that it can still be replaced by an answer.
//! - `Content-Length` follows what the filters do to a body, or is removed.
//! - Bodies are inspected as they are transferred: a compressed one (`Content-Encoding`) is shown
//!   to the filters compressed. Trailers pass uninspected.
//! - Filters run on the task that polls. A chain that may wait (`http_fetch`, a device) runs in
//!   [`tokio::task::block_in_place`] where the runtime has more than one thread.
//!
//! The layer needs no gateway. What it is to know of the client it finds in the request's
//! extensions, if it is there: [`ClientInfo`], [`RequestId`].
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use picket::layer::FilterLayer;
//! use picket_host::Chain;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! // A chain without filters; `Filter::load` brings the modules.
//! let guarded = ServiceBuilder::new().layer(FilterLayer::new(Chain::new(Vec::new()))).service_fn(
//!     async |request: Request<picket::layer::RequestBody<Full<Bytes>>>| {
//!         let body = request.into_body().collect().await?.to_bytes();
//!         Ok::<_, picket::layer::BoxError>(Response::new(Full::new(body)))
//!     },
//! );
//! let response = guarded.oneshot(Request::new(Full::from("hello"))).await.unwrap();
//! assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
//! # });
//! ```

mod body;
mod exchange;
mod head;
mod service;
#[cfg(test)]
mod tests;

pub use body::{BodyError, RequestBody, ResponseBody};
pub use exchange::{ClientInfo, Failed, Observer, RequestId, Summary};
pub(crate) use head::{X_REQUEST_ID, page};
pub use service::{FilterLayer, FilterService, Options, ResponseWindow};

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
