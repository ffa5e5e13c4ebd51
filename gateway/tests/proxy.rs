//! The gateway on loopback, spoken to byte by byte, before an upstream that remembers what it was sent.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use picket::{Config, Server};
use picket_abi::{ActionBuf, FetchRequest, OutcomeBuf, Phase, SeqBuf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Longest wait for anything that must happen; never waited for where it does.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that answers every request with its name and remembers the heads and bodies.
#[derive(Clone)]
struct Upstream {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    async fn start(name: &'static str) -> Upstream {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream { addr: socket.local_addr().unwrap(), seen: Arc::default() };
        let seen = Arc::clone(&upstream.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                tokio::spawn(answer(stream, name, Arc::clone(&seen)));
            }
        });
        upstream
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, name: &'static str, seen: Arc<Mutex<Vec<String>>>) {
    let mut buffer = String::new();
    let mut served = 0;
    loop {
        let Some(head) = read_until(&mut stream, &mut buffer, "\r\n\r\n").await else { return };
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let mut body = String::new();
        if let Some(length) = field("content-length: ") {
            let length: usize = length.parse().unwrap();
            while buffer.len() < length {
                if !read_more(&mut stream, &mut buffer).await {
                    break;
                }
            }
            body = buffer.drain(..length.min(buffer.len())).collect();
        } else if field("transfer-encoding: ").is_some() {
            body = read_until(&mut stream, &mut buffer, "0\r\n\r\n").await.unwrap_or_default();
        }
        seen.lock().unwrap().push(format!("{head}{body}"));
        if field("upgrade: ").as_deref() == Some("websocket") {
            let switching =
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(switching.as_bytes()).await.unwrap();
            let (mut reading, mut writing) = stream.split();
            let _ = tokio::io::copy(&mut reading, &mut writing).await;
            let _ = writing.shutdown().await;
            return;
        }
        // "once" closes a connection that has served before, without a word.
        if head.contains(" /once") && served > 0 {
            return;
        }
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
        served += 1;
    }
}

async fn read_more(stream: &mut TcpStream, buffer: &mut String) -> bool {
    let mut bytes = [0; 4096];
    match stream.read(&mut bytes).await {
        Ok(0) | Err(_) => false,
        Ok(read) => {
            buffer.push_str(&String::from_utf8_lossy(&bytes[..read]));
            true
        }
    }
}

async fn read_until(stream: &mut TcpStream, buffer: &mut String, end: &str) -> Option<String> {
    loop {
        if let Some(at) = buffer.find(end) {
            return Some(buffer.drain(..at + end.len()).collect());
        }
        if !read_more(stream, buffer).await {
            return None;
        }
    }
}

/// A running gateway.
struct Gateway {
    addr: SocketAddr,
    admin: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<tokio::task::JoinHandle<()>>,
}

impl Gateway {
    async fn start(text: &str) -> Gateway {
        Gateway::from_file(text, None).await
    }

    async fn from_file(text: &str, file: Option<PathBuf>) -> Gateway {
        let place = file.clone().unwrap_or_else(|| "picket.toml".into());
        let server = Server::bind(Config::parse(text, place).unwrap(), file).await.unwrap();
        let bound = server.bound().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Gateway { addr: bound.listeners[0].0, admin: bound.admin, stop: Some(stop), running: Some(running) }
    }

    /// Sends bytes and reads until the other side closes.
    async fn raw(&self, request: &str) -> String {
        send(self.addr, request).await
    }

    /// A request of its own connection.
    async fn get(&self, path: &str, host: &str) -> String {
        self.raw(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
    }

    async fn stop(&mut self) {
        drop(self.stop.take());
        tokio::time::timeout(PATIENCE, self.running.take().unwrap()).await.expect("it stops").unwrap();
    }
}

async fn send(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
    let _ = read.await.expect("the gateway closes");
    String::from_utf8_lossy(&answer).into_owned()
}

fn config(upstream: &Upstream, more: &str) -> String {
    format!(
        "[[listener]]\naddr = '127.0.0.1:0'\n[upstream.app]\nurls = ['http://{}']\n[audit]\nfile = 'off'\n{more}",
        upstream.addr
    )
}

const ROUTE: &str = "[[route]]\nupstream = 'app'\n";

/// A module that refuses every request with that status.
fn refusing(status: u16) -> Vec<u8> {
    let mut outcome = Vec::new();
    OutcomeBuf {
        action: ActionBuf::Respond { status, headers: SeqBuf::new(), body: Vec::new() },
        ..OutcomeBuf::default()
    }
    .encode_into(&mut outcome);
    let data: String = outcome.iter().map(|byte| format!("\\{byte:02x}")).collect();
    wat::parse_str(format!(
        r#"(module (memory (export "memory") 2)
            (func (export "picket_abi") (result i32) (i32.const 65536))
            (func (export "picket_input") (param i32) (result i32) (i32.const 65536))
            (func (export "{}") (param i32) (result i64) (i64.const {}))
            (data (i32.const 0) "{data}"))"#,
        Phase::RequestHead.export(),
        outcome.len(),
    ))
    .unwrap()
}

/// A module that asks `uri` about every request and refuses with 402 if it gets an answer.
fn asking(uri: &str) -> Vec<u8> {
    let mut outcome = Vec::new();
    OutcomeBuf {
        action: ActionBuf::Respond { status: 402, headers: SeqBuf::new(), body: Vec::new() },
        ..OutcomeBuf::default()
    }
    .encode_into(&mut outcome);
    let fetch = FetchRequest { method: "GET".into(), uri: uri.into(), ..FetchRequest::default() };
    let mut request = vec![0; 1024];
    let length = picket_abi::encode(&fetch, &mut request).unwrap();
    let data = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
    wat::parse_str(format!(
        r#"(module (import "picket" "http_fetch" (func $fetch (param i32 i32 i32 i32) (result i64)))
            (memory (export "memory") 2)
            (func (export "picket_abi") (result i32) (i32.const 65536))
            (func (export "picket_input") (param i32) (result i32) (i32.const 65536))
            (func (export "{}") (param i32) (result i64)
                (if (result i64) (i64.gt_s
                        (call $fetch (i32.const 1024) (i32.const {length}) (i32.const 4096) (i32.const 4096))
                        (i64.const 0))
                    (then (i64.const {}))
                    (else (i64.const 0))))
            (data (i32.const 0) "{}")
            (data (i32.const 1024) "{}"))"#,
        Phase::RequestHead.export(),
        outcome.len(),
        data(&outcome),
        data(&request[..length]),
    ))
    .unwrap()
}

/// A folder of this test's own.
fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("proxy-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_where_host_and_path_lead() {
    let (app, api) = (Upstream::start("app").await, Upstream::start("api").await);
    let gateway = Gateway::start(&config(
        &app,
        &format!(
            "[upstream.api]\nurls = ['http://{}']\n{ROUTE}[[route]]\nhost = '*.example.org'\npath = '/api'\nupstream = 'api'\n",
            api.addr
        ),
    ))
    .await;
    for (path, host, expected) in [
        ("/", "elsewhere", "app"),
        ("/api/x", "www.example.org", "api"),
        ("/api/x", "WWW.Example.ORG:8080", "api"),
        ("//x/../%61pi", "www.example.org.", "api"),
        ("/apis", "www.example.org", "404 Not Found"),
    ] {
        let answer = gateway.get(path, host).await;
        assert!(answer.contains(expected), "{host}{path}: {answer}");
    }
    // The upstream gets the path as it was written.
    assert!(api.seen().iter().any(|request| request.starts_with("GET //x/../%61pi HTTP/1.1\r\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_is_told_who_the_client_was_and_nothing_of_its_connection() {
    let app = Upstream::start("app").await;
    let gateway = Gateway::start(&config(&app, ROUTE)).await;
    gateway
        .raw(
            "GET /x?y=1 HTTP/1.1\r\nHost: example.org\r\nConnection: close, X-Private\r\nX-Private: 1\r\n\
             Keep-Alive: 5\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nX-Forwarded-For: 6.6.6.6\r\n\
             X-Request-Id: forged\r\nX-Kept: yes\r\n\r\n",
        )
        .await;
    let seen = app.seen().remove(0);
    for line in [
        "GET /x?y=1 HTTP/1.1",
        "host: example.org",
        "x-kept: yes",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: example.org",
        "forwarded: for=127.0.0.1;proto=http;host=\"example.org\"",
        "via: 1.1 picket",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} in\n{seen}");
    }
    for word in ["x-private", "keep-alive", "upgrade", "http2-settings", "6.6.6.6", "forged", "connection"] {
        assert!(!seen.to_lowercase().contains(word), "{word} in\n{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_cannot_hide_another() {
    let app = Upstream::start("app").await;
    let gateway = Gateway::start(&config(&app, ROUTE)).await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: gzip, chunked\r\nConnection: close",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Content-Length: 5\r\nContent-Length: 42",
        "Content-Length: 5, 42",
        "Content-Length: +5",
    ] {
        gateway.raw(&format!("POST /outer HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n{hidden}")).await;
    }
    for request in app.seen() {
        assert!(request.starts_with("POST /outer"), "{request}");
        let is_framed_once =
            request.contains("content-length") != request.to_lowercase().contains("transfer-encoding");
        assert!(is_framed_once, "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_beyond_the_limits_are_refused() {
    let app = Upstream::start("app").await;
    let limits = "max_header_bytes = '8KiB'\nmax_headers = 10\nmax_uri_bytes = 100\n";
    let text = config(&app, ROUTE).replacen("'127.0.0.1:0'\n", &format!("'127.0.0.1:0'\n{limits}"), 1);
    let gateway = Gateway::start(&text).await;
    let many: String = (0..20).map(|n| format!("X{n}: 1\r\n")).collect();
    for (line, fields, status) in [
        ("GET / HTTP/1.1", "Host: a\r\n".to_owned(), "200 OK"),
        (&*format!("GET /{} HTTP/1.1", "x".repeat(100)), "Host: a\r\n".to_owned(), "414 URI Too Long"),
        ("GET / HTTP/1.1", format!("Host: a\r\nX: {}\r\n", "x".repeat(9_000)), "431 "),
        ("GET / HTTP/1.1", format!("Host: a\r\n{many}"), "431 "),
        ("GET / HTTP/1.1", String::new(), "400 Bad Request"),
        ("GET / HTTP/1.1", "Host: a\r\nHost: b\r\n".to_owned(), "400 Bad Request"),
        ("CONNECT a:1 HTTP/1.1", "Host: a\r\n".to_owned(), "405 "),
        ("TRACE / HTTP/1.1", "Host: a\r\n".to_owned(), "405 "),
    ] {
        let answer = gateway.raw(&format!("{line}\r\n{fields}Connection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line} {fields}\n{answer}");
    }
    assert_eq!(app.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_safe_is_sent_again() {
    let app = Upstream::start("app").await;
    let gateway = Gateway::start(&config(&app, ROUTE)).await;
    let seen_of = |path: &str| app.seen().iter().filter(|request| request.contains(path)).count();

    // The pool holds a connection that the upstream closes when it is asked "once" on it.
    gateway.get("/first", "a").await;
    assert!(gateway.get("/once-get", "a").await.ends_with("app"));
    assert_eq!(seen_of("/once-get"), 2);
    let post = "POST /once-post HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
    assert!(gateway.raw(post).await.starts_with("HTTP/1.1 502 "));
    assert_eq!(seen_of("/once-post"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_server_is_tried_when_one_cannot_be_reached() {
    let app = Upstream::start("app").await;
    // A port that was free a moment ago, and refuses.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let text = config(&app, ROUTE).replace("urls = [", &format!("urls = ['http://{gone}', "));
    let gateway = Gateway::start(&text).await;
    for _ in 0..4 {
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
        assert!(gateway.raw(post).await.ends_with("app"));
    }
    assert!(app.seen().iter().all(|request| request.ends_with("abc")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_everything_or_nothing() {
    let app = Upstream::start("app").await;
    let folder = folder();
    let (file, module, audit) =
        (folder.join("picket.toml"), folder.join("filter.wasm"), folder.join("audit.jsonl"));
    let text = config(
        &app,
        &format!(
            "[filter.no]\nmodule = 'filter.wasm'\n[chain.default]\nfilters = ['no']\n{ROUTE}\
             [admin]\nlisten = '127.0.0.1:0'\n[server]\nwatch = false\n"
        ),
    )
    .replace("'off'", "'audit.jsonl'");
    std::fs::write(&file, &text).unwrap();
    std::fs::write(&module, refusing(403)).unwrap();
    let mut gateway = Gateway::from_file(&text, Some(file.clone())).await;
    let admin = gateway.admin.unwrap();
    let reload = || send(admin, "POST /reload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(gateway.get("/a", "a").await.starts_with("HTTP/1.1 403 "));

    // A broken module, then a broken configuration: what runs goes on.
    std::fs::write(&module, b"junk").unwrap();
    assert!(reload().await.starts_with("HTTP/1.1 422 "));
    assert!(gateway.get("/b", "a").await.starts_with("HTTP/1.1 403 "));
    std::fs::write(&module, refusing(451)).unwrap();
    std::fs::write(&file, text.replace("watch", "wach")).unwrap();
    let refused = reload().await;
    assert!(refused.contains("unknown key `wach`"), "{refused}");
    assert!(gateway.get("/c", "a").await.starts_with("HTTP/1.1 403 "));

    std::fs::write(&file, &text).unwrap();
    let done = reload().await;
    assert!(done.starts_with("HTTP/1.1 200 ") && done.contains("\"loaded\": 1"), "{done}");
    assert!(gateway.get("/d", "a").await.starts_with("HTTP/1.1 451 "));
    assert_eq!(app.seen().len(), 0);
    let metrics = send(admin, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    for sample in [
        "picket_reloads_total 1\n",
        "picket_failed_reloads_total 2\n",
        "{route=\"route-0\",status=\"451\"} 1\n",
    ] {
        assert!(metrics.contains(sample), "{sample} in\n{metrics}");
    }

    // The audit log is whole when the gateway has stopped.
    gateway.stop().await;
    let lines: Vec<serde_json::Value> = std::fs::read_to_string(audit)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let targets: Vec<_> = lines.iter().map(|line| line["target"].as_str().unwrap()).collect();
    assert_eq!(targets, ["/a", "/b", "/c", "/d"]);
    assert_eq!(lines[3]["action"], "blocked");
    assert_eq!(lines[3]["status"], 451);
    assert_ne!(lines[0]["module"], lines[3]["module"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_asks_only_the_hosts_it_is_allowed_to() {
    let (app, authority) = (Upstream::start("app").await, Upstream::start("yes").await);
    let folder = folder();
    let uri = format!("http://{}/may-it-pass", authority.addr);
    std::fs::write(folder.join("filter.wasm"), asking(&uri)).unwrap();
    let text = |allowed: &str| {
        config(
            &app,
            &format!(
                "[filter.ask]\nmodule = 'filter.wasm'\nlimits = {{ time = '5s' }}\ncapabilities = ['http_fetch']\n\
                 fetch_hosts = ['{allowed}']\n[chain.default]\nfilters = ['ask']\n{ROUTE}"
            ),
        )
    };
    let file = Some(folder.join("picket.toml"));
    let granted = Gateway::from_file(&text(&authority.addr.to_string()), file.clone()).await;
    assert!(granted.get("/", "a").await.starts_with("HTTP/1.1 402 "));
    assert!(authority.seen()[0].starts_with("GET /may-it-pass HTTP/1.1\r\n"));

    let denied = Gateway::from_file(&text("elsewhere"), file).await;
    assert!(denied.get("/", "a").await.ends_with("app"));
    assert_eq!(authority.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_is_passed_through_both_ways() {
    let app = Upstream::start("app").await;
    let gateway = Gateway::start(&config(&app, ROUTE)).await;
    let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
    let asked = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly,";
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut buffer = String::new();
    let head = read_until(&mut stream, &mut buffer, "\r\n\r\n").await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: websocket"), "{head}");
    stream.write_all(b"late").await.unwrap();
    stream.shutdown().await.unwrap();
    while read_more(&mut stream, &mut buffer).await {}
    assert_eq!(buffer, "early,late");
}
