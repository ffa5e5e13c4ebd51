//! The listener for operators: health, metrics, filters, reload. Not for clients: it has no
//! authentication and belongs on loopback or a network of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::gateway::Gateway;
use crate::proxy::error_chain;
use crate::reload::Reloader;

/// Serves until the process ends: while requests are drained it still tells that they are.
pub(crate) async fn serve(
    socket: TcpListener,
    gateway: Arc<Gateway>,
    reloader: Arc<Reloader>,
    stopped: watch::Receiver<bool>,
) {
    loop {
        let stream = match socket.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "admin: cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (gateway, reloader, stopped) = (Arc::clone(&gateway), Arc::clone(&reloader), stopped.clone());
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let (gateway, reloader) = (&gateway, &reloader);
                let stopping = *stopped.borrow();
                async move { Ok::<_, Infallible>(answer(request, gateway, reloader, stopping).await) }
            });
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = serving.await {
                tracing::debug!("admin: {error}");
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    gateway: &Gateway,
    reloader: &Arc<Reloader>,
    stopping: bool,
) -> Response<Full<Bytes>> {
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/healthz" if reading => text(StatusCode::OK, "ok\n".into()),
        "/readyz" if reading && stopping => text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n".into()),
        "/readyz" if reading => match gateway.state().missing_device() {
            Some(filter) => {
                let why = format!("filter `{filter}` fails closed, and its device is not there\n");
                text(StatusCode::SERVICE_UNAVAILABLE, why)
            }
            None => text(StatusCode::OK, "ready\n".into()),
        },
        "/metrics" if reading => {
            let mut response = text(StatusCode::OK, gateway.metrics.render(&gateway.state()));
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        "/filters" if reading => json_text(StatusCode::OK, &filters(gateway)),
        "/reload" if *request.method() == Method::POST => match reloader.reload("asked by admin").await {
            Ok(done) => json_text(StatusCode::OK, &json!({ "loaded": done.loaded, "kept": done.kept })),
            Err(error) => {
                let reason = json!({ "error": error_chain(&error) });
                json_text(StatusCode::UNPROCESSABLE_ENTITY, &reason)
            }
        },
        "/healthz" | "/readyz" | "/metrics" | "/filters" => not_allowed("GET, HEAD"),
        "/reload" => not_allowed("POST"),
        _ => {
            text(StatusCode::NOT_FOUND, "there is: /healthz /readyz /metrics /filters POST /reload\n".into())
        }
    }
}

/// Who the filters are, and what they have done.
fn filters(gateway: &Gateway) -> serde_json::Value {
    let state = gateway.state();
    let filters = state.filters.iter().map(|loaded| {
        let (metadata, counters) = (loaded.filter.metadata(), loaded.filter.counters());
        let failures: serde_json::Map<_, _> = counters
            .failures()
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| (kind.name().to_owned(), count.into()))
            .collect();
        let device = loaded.device.as_ref().map(|post| {
            let info = post.info();
            json!({
                "address": post.address().to_string(),
                "up": post.is_up(),
                "name": info.as_ref().map(|info| &info.name),
                "target": info.as_ref().map(|info| &info.target),
                "backend": info.as_ref().map(|info| &info.backend),
                "metering": info.as_ref().map(|info| &info.metering),
                "slots": info.as_ref().map(|info| info.slots),
            })
        });
        json!({
            "id": &*metadata.id,
            "name": metadata.name,
            "version": metadata.version,
            "type": metadata.kind,
            "sha256": metadata.sha256.to_string(),
            "cid": metadata.cid,
            "loaded_at_us": metadata.loaded_at_us,
            "module_bytes": metadata.module_bytes,
            "compiled_bytes": loaded.filter.compiled_bytes(),
            "backend": metadata.backend,
            "metering": metadata.metering.name(),
            "phases": metadata.phases.iter().map(|phase| phase.name()).collect::<Vec<_>>(),
            "capabilities": metadata.capabilities.iter().map(|capability| capability.name()).collect::<Vec<_>>(),
            "body_window": metadata.body_window,
            "device": device,
            "live_instances": loaded.filter.live_instances(),
            "counters": {
                "calls": counters.calls,
                "instances": counters.instances,
                "continued": counters.continued,
                "modified": counters.modified,
                "responded": counters.responded,
                "redirected": counters.redirected,
                "failures": failures,
                "fuel": counters.fuel.0,
                "micros": counters.time.0,
                "peak_memory_bytes": counters.peak_memory_bytes,
            },
        })
    });
    filters.collect()
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn json_text(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = text(status, format!("{body:#}\n"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("allowed: {methods}\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}
