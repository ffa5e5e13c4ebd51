//! HTTP/1.1 in its details, HTTP/2, TLS, upgrades.

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::Full;
use picket_tests::Upstream;
use picket_tests::client::{RawConnection, get, h2, raw};

use crate::{ATTACK, BACKENDS, CLEAN, Config};

const HEAD: &str = "Host: a.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_alive_also_behind_a_block() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).waf(backend).start();
        let mut client = RawConnection::open(gateway.address()).await;
        for (target, status) in [(CLEAN, 200), (ATTACK, 403), (CLEAN, 200)] {
            client.send(format!("GET {target} HTTP/1.1\r\n{HEAD}\r\n")).await.unwrap();
            assert_eq!(client.response().await.unwrap().status, status, "{backend}: {target}");
        }
        client.send(format!("GET / HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n")).await.unwrap();
        assert_eq!(client.response().await.unwrap().status, 200);
        assert!(client.ends().await.unwrap(), "the connection is closed when that was asked for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).waf(backend).start();
        let mut client = RawConnection::open(gateway.address()).await;
        let post = format!("POST /second HTTP/1.1\r\n{HEAD}Content-Length: 5\r\n\r\nhello");
        let pipeline = format!(
            "GET /first HTTP/1.1\r\n{HEAD}\r\n{post}GET {ATTACK} HTTP/1.1\r\n{HEAD}\r\nGET /last HTTP/1.1\r\n{HEAD}\r\n"
        );
        client.send(pipeline).await.unwrap();
        for (status, text) in [
            (200, "upstream: GET /first"),
            (200, "upstream: POST /second"),
            (403, ""),
            (200, "upstream: GET /last"),
        ] {
            let response = client.response().await.unwrap();
            assert_eq!(response.status, status, "{backend}: {text}");
            assert!(response.text().contains(text), "{backend}: {}", response.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_arrives_whole() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).waf(backend).start();
        let request = format!(
            "POST /echo HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Trailer: x\r\n\r\n"
        );
        let response = raw(gateway.address(), request).await;
        assert_eq!((response.status, response.text().as_str()), (200, "hello world"), "{backend}");
        let received = upstream.received();
        assert!(received[0].complete);
        assert!(received[0].all("content-length").len() + received[0].all("transfer-encoding").len() == 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_can_be_read_in_two_ways_is_refused() {
    let upstream = Upstream::start().await;
    let gateway = Config::before(&upstream).waf("wasmi").start();
    for (what, request) in [
        ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc"),
        ("no length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3,5\r\n\r\nabc"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        ("an unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ] {
        let mut client = RawConnection::open(gateway.address()).await;
        client.send(request).await.unwrap();
        let status = client.response().await.unwrap().status;
        assert!(matches!(status, 400 | 403 | 501), "{what}: {status}");
    }
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_beside_a_transfer_coding_smuggles_nothing() {
    let upstream = Upstream::start().await;
    let gateway = Config::before(&upstream).waf("wasmi").start();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = RawConnection::open(gateway.address()).await;
    client.send(request).await.unwrap();
    let first = client.response().await.unwrap();
    // Either the request is refused, or its body ends with the chunks and what follows is a request
    // of its own that was inspected; the upstream never sees both framings.
    if first.status == 200 {
        let received = upstream.received();
        assert!(
            received[0].all("content-length").is_empty() || received[0].all("transfer-encoding").is_empty()
        );
        assert_eq!(received[0].body_bytes, 0);
    } else {
        assert!(matches!(first.status, 400 | 403), "{}", first.status);
        assert_eq!(upstream.received().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_without_tls() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).waf(backend).start();
        let request = |target: &str| {
            Request::get(format!("http://a.example{target}"))
                .header("user-agent", "Mozilla/5.0")
                .body(Full::<Bytes>::default())
                .unwrap()
        };
        let response = h2(gateway.address(), request(CLEAN)).await.unwrap();
        assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
        assert_eq!(upstream.received()[0].all("host"), ["a.example"], "the authority is passed on");
        let response = h2(gateway.address(), request(ATTACK)).await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{backend}");
        assert_eq!(upstream.received().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_can_be_spoken_to_in_http_2() {
    let upstream = Upstream::start().await;
    let config = Config::before(&upstream).waf("wasmi");
    let text = config.text().replace("[upstream.app]", "[upstream.app]\nhttp2 = \"always\"");
    let gateway = picket_tests::Gateway::start(text);
    assert_eq!(get(gateway.address(), CLEAN, &[]).await.status, 200);
    assert_eq!(upstream.received()[0].version, Version::HTTP_2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_passed_through_after_its_head_was_inspected() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).waf(backend).start();
        let upgrade = |target: &str| {
            format!(
                "GET {target} HTTP/1.1\r\n{HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
        };
        let mut client = RawConnection::open(gateway.address()).await;
        client.send(upgrade("/upgrade")).await.unwrap();
        let (status, headers) = client.head().await.unwrap();
        assert_eq!(status, 101, "{backend}");
        assert!(
            headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("upgrade") && value == "websocket")
        );
        for word in ["one", "two", "three"] {
            client.send(word).await.unwrap();
            assert_eq!(
                client.exactly(word.len()).await.unwrap(),
                word.to_uppercase().as_bytes(),
                "{backend}"
            );
        }

        let query = ATTACK.split_once('?').unwrap().1;
        let mut client = RawConnection::open(gateway.address()).await;
        client.send(upgrade(&format!("/upgrade?{query}"))).await.unwrap();
        assert_eq!(client.head().await.unwrap().0, 403, "{backend}");
        assert_eq!(upstream.received().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_learns_who_asks_and_hop_by_hop_fields_stay() {
    let upstream = Upstream::start().await;
    let gateway = Config::before(&upstream).waf("wasmi").start();
    let lines = [
        "Connection: keep-alive, X-Hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "TE: gzip",
        "X-Forwarded-For: 203.0.113.9",
        "Forwarded: for=203.0.113.9",
    ];
    assert_eq!(get(gateway.address(), "/", &lines).await.status, 200);
    let received = &upstream.received()[0];
    for name in ["x-hop", "keep-alive", "connection", "te"] {
        assert!(received.all(name).is_empty(), "{name}: {:?}", received.all(name));
    }
    // A client that is no trusted proxy has no word in this.
    assert_eq!(received.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(received.all("x-forwarded-proto"), ["http"]);
    assert!(received.all("forwarded")[0].contains("for=127.0.0.1"), "{:?}", received.all("forwarded"));
    assert_eq!(received.all("host"), ["test.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_fails_is_a_bad_gateway() {
    let upstream = Upstream::start().await;
    let gateway = Config::before(&upstream).waf("wasmi").start();
    let post = format!("POST /broken HTTP/1.1\r\n{HEAD}Content-Length: 2\r\n\r\nhi");
    assert_eq!(raw(gateway.address(), post).await.status, 502);
    assert_eq!(upstream.received().len(), 1, "a request that is not safe is not sent again");
    assert_eq!(get(gateway.address(), CLEAN, &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_on_a_listener() {
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    let upstream = Upstream::start().await;
    let folder = picket_tests::Folder::new();
    let certificate = rcgen::generate_simple_self_signed(["gate.example".to_owned()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), certificate.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
    let config = Config::before(&upstream)
        .waf("wasmtime")
        .listener("tls = { cert = \"cert.pem\", key = \"key.pem\" }");
    let options = picket_tests::GatewayOptions { config: config.text(), ..Default::default() };
    let gateway = picket_tests::Gateway::start_in(folder, options);

    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    for (protocol, version) in [("http/1.1", Version::HTTP_11), ("h2", Version::HTTP_2)] {
        let mut client = ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
        client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
        let stream = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
        let stream = connector
            .connect(ServerName::try_from("gate.example").unwrap(), stream)
            .await
            .expect("a handshake");
        let stream = hyper_util::rt::TokioIo::new(stream);
        let request = Request::get("https://gate.example/secure?q=1")
            .header("host", "gate.example")
            .header("user-agent", "Mozilla/5.0")
            .body(Full::<Bytes>::default())
            .unwrap();
        let response = if version == Version::HTTP_2 {
            let executor = hyper_util::rt::TokioExecutor::new();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            let mut request = request;
            *request.uri_mut() = "/secure?q=1".parse().unwrap();
            sender.send_request(request).await.unwrap()
        };
        assert_eq!((response.status(), response.version()), (StatusCode::OK, version));
    }
    assert!(upstream.received().iter().all(|request| request.all("x-forwarded-proto") == ["https"]));
}
