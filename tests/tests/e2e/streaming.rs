//! Bodies that flow while they are inspected.

use picket_tests::Upstream;
use picket_tests::client::{RawConnection, get};

use crate::{ATTACK_FORM, BACKENDS, Config};

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_while_the_response_is_open() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        // The puppet looks at every chunk, and changes it.
        let gateway = Config::before(&upstream).waf(backend).puppet(backend, "").start();
        let mut client = RawConnection::open(gateway.address()).await;
        client
            .send("GET /sse HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nX-Puppet: response-body upper\r\n\r\n")
            .await
            .unwrap();
        let (status, headers) = client.head().await.unwrap();
        assert_eq!(status, 200);
        assert!(headers.iter().any(|(_, value)| value == "text/event-stream"), "{headers:?}");
        for event in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
            // The next event is only sent once the last one has come through.
            upstream.send_event(event);
            assert_eq!(client.chunk().await.unwrap().unwrap(), event.to_uppercase().as_bytes(), "{backend}");
        }
        upstream.end_events();
        assert_eq!(client.chunk().await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_the_upstream_while_it_is_being_sent() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        // Nothing is held back: what a conversation in both directions needs.
        let gateway = Config::before(&upstream).waf(backend).chain("body_window = 0").start();
        let mut client = RawConnection::open(gateway.address()).await;
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
        client.send("5\r\nhello\r\n").await.unwrap();
        assert_eq!(client.head().await.unwrap().0, 200);
        assert_eq!(client.chunk().await.unwrap().unwrap(), b"hello", "{backend}");
        client.send("5\r\nworld\r\n").await.unwrap();
        assert_eq!(client.chunk().await.unwrap().unwrap(), b"world", "{backend}");
        client.send("0\r\n\r\n").await.unwrap();
        assert_eq!(client.chunk().await.unwrap(), None);
        upstream.wait_for("the end of the request", |received| received[0].complete).await;
    }
}

/// One chunk of a form: an argument that goes on and on.
const MEBIBYTE: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_are_uploaded_in_bounded_memory() {
    const SIZE: usize = 100_000_000;
    const GROWTH: u64 = 24 << 20;
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).waf(backend).start();
        assert_eq!(get(gateway.address(), "/", &[]).await.status, 200);
        let before = gateway.peak_resident_bytes();

        let mut client = RawConnection::open(gateway.address()).await;
        client
            .send(format!(
                "POST /upload HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {SIZE}\r\n\r\nfile="
            ))
            .await
            .unwrap();
        let block = vec![b'a'; MEBIBYTE];
        let mut rest = SIZE - "file=".len();
        while rest > 0 {
            let now = rest.min(MEBIBYTE);
            client.send(&block[..now]).await.unwrap();
            rest -= now;
        }
        let response = client.response().await.unwrap();
        assert_eq!(response.status, 200, "{backend}: {}", response.text());
        let received = upstream.received();
        assert_eq!(received[1].body_bytes, SIZE as u64, "{backend}");
        assert!(received[1].complete);
        let grown = gateway.peak_resident_bytes() - before;
        assert!(grown < GROWTH, "{backend}: the gateway has grown by {grown} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_are_downloaded_in_bounded_memory() {
    const SIZE: usize = 100_000_000;
    let upstream = Upstream::start().await;
    let gateway = Config::before(&upstream).puppet("wasmtime", "").start();
    assert_eq!(get(gateway.address(), "/", &[]).await.status, 200);
    let before = gateway.peak_resident_bytes();
    let mut client = RawConnection::open(gateway.address()).await;
    client
        .send(format!("GET /bytes/{SIZE} HTTP/1.1\r\nHost: a\r\nX-Puppet: response-body find needle\r\n\r\n"))
        .await
        .unwrap();
    assert_eq!(client.head().await.unwrap().0, 200);
    let mut read = 0;
    while let Some(chunk) = client.chunk().await.unwrap() {
        read += chunk.len();
    }
    assert_eq!(read, SIZE);
    let grown = gateway.peak_resident_bytes() - before;
    assert!(grown < 24 << 20, "the gateway has grown by {grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_late_in_a_big_body_never_reaches_the_upstream_whole() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).waf(backend).start();
        let mut client = RawConnection::open(gateway.address()).await;
        client
            .send("POST /upload HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        client.send(chunk(b"text=")).await.unwrap();
        let block = chunk(&vec![b'a'; MEBIBYTE]);
        for _ in 0..8 {
            client.send(&block).await.unwrap();
        }
        // By now the body is on its way: this attack comes late.
        upstream
            .wait_for("the body flows", |received| received.first().is_some_and(|r| r.body_bytes > 0))
            .await;
        let attack = chunk(format!("&{ATTACK_FORM}&rest=x").as_bytes());
        client.send(&attack).await.unwrap();
        // The gateway may have closed by now, which is an answer too.
        client.send("0\r\n\r\n").await.ok();
        let response = client.response().await.unwrap();
        assert_eq!(response.status, 403, "{backend}: {}", response.text());

        // What the upstream got breaks off before the attack's end.
        assert_eq!(get(gateway.address(), "/next", &[]).await.status, 200, "{backend}");
        let received = upstream.received();
        assert!(!received[0].complete, "{backend}: the body was passed on whole");
        assert!(received[0].body_bytes < (8 * MEBIBYTE + attack.len()) as u64, "{backend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_that_is_split_over_chunks_is_found() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).waf(backend).start();
        for size in [1, 2, 3, 7, 16] {
            let mut request = b"POST / HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for piece in ATTACK_FORM.as_bytes().chunks(size) {
                request.extend(chunk(piece));
            }
            request.extend(b"0\r\n\r\n");
            let response = picket_tests::client::raw(gateway.address(), request).await;
            assert_eq!(response.status, 403, "{backend}, chunks of {size}");
        }
        assert_eq!(upstream.received().len(), 0);
    }
}

fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}
