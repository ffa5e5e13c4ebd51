//! Clients: one that writes bytes as a test gives them, and hyper's.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A response as it came over a [`RawConnection`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawResponse {
    /// Status code.
    pub status: u16,
    /// Header fields in order, duplicates kept.
    pub headers: Vec<(String, String)>,
    /// Body, transfer codings removed.
    pub body: Vec<u8>,
}

impl RawResponse {
    /// The value of the first field called `name`, without regard to letter case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// The values of all fields called `name`, without regard to letter case, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A TCP connection on which a test speaks HTTP/1.1 byte by byte. Everything that waits is bounded
/// by [`crate::WAIT`].
pub struct RawConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl RawConnection {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn open(address: SocketAddr) -> RawConnection {
        let stream = TcpStream::connect(address).await.expect("the gateway accepts");
        stream.set_nodelay(true).expect("a TCP option");
        RawConnection { stream, buffer: Vec::new() }
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// If the other side has closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        bounded("sending", self.stream.write_all(bytes.as_ref())).await
    }

    /// Reads the next response.
    ///
    /// # Errors
    /// If the connection ends within it, or it is no HTTP/1.1.
    pub async fn response(&mut self) -> io::Result<RawResponse> {
        let (status, headers) = self.head().await?;
        let response = RawResponse { status, headers, body: Vec::new() };
        let body = if status < 200 || matches!(status, 204 | 304) {
            Vec::new()
        } else if response.header("transfer-encoding").is_some() {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk().await? {
                body.extend_from_slice(&chunk);
            }
            body
        } else if let Some(length) = response.header("content-length") {
            let length: usize = length.parse().map_err(io::Error::other)?;
            self.exactly(length).await?
        } else {
            while self.fill().await? {}
            std::mem::take(&mut self.buffer)
        };
        Ok(RawResponse { body, ..response })
    }

    /// Reads a response's status and header fields, and leaves its body.
    ///
    /// # Errors
    /// If the connection ends within it, or it is no HTTP/1.1.
    pub async fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let end = loop {
            match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end,
                None if self.fill().await? => {}
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1."))
            .and_then(|line| line.get(2..5)?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("no status line: {head}")))?;
        let headers = lines
            .map(|line| line.split_once(':').unwrap_or((line, "")))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Ok((status, headers))
    }

    /// Reads the next chunk of a chunked body as soon as it is there; `None` at the end.
    ///
    /// # Errors
    /// If the connection ends within it, or it is no chunk.
    pub async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line().await?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(io::Error::other)?;
        if size == 0 {
            while !self.line().await?.is_empty() {}
            return Ok(None);
        }
        let data = self.exactly(size).await?;
        self.line().await?;
        Ok(Some(data))
    }

    /// Reads exactly that many bytes.
    ///
    /// # Errors
    /// If the connection ends before.
    pub async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Whether the other side closes without sending anything more.
    ///
    /// # Errors
    /// If the connection is reset.
    pub async fn ends(&mut self) -> io::Result<bool> {
        Ok(self.buffer.is_empty() && !self.fill().await?)
    }

    async fn line(&mut self) -> io::Result<String> {
        let end = loop {
            match self.buffer.windows(2).position(|window| window == b"\r\n") {
                Some(end) => break end,
                None if self.fill().await? => {}
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        };
        let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 2);
        Ok(line)
    }

    /// Reads what is there; false at the end of the connection.
    async fn fill(&mut self) -> io::Result<bool> {
        let mut block = [0; 16 * 1024];
        let length = bounded("reading", self.stream.read(&mut block)).await?;
        self.buffer.extend_from_slice(&block[..length]);
        Ok(length > 0)
    }
}

async fn bounded<T>(what: &str, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(crate::WAIT, work).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: nothing within {:?}", crate::WAIT),
    }
}

/// Sends one raw request on a connection of its own and reads the response.
///
/// # Panics
/// If there is no response.
pub async fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> RawResponse {
    let mut connection = RawConnection::open(address).await;
    connection.send(request).await.expect("the gateway reads the request");
    connection.response().await.expect("the gateway answers")
}

/// `GET target` by [`raw`], with a `Host` and these further header lines.
///
/// # Panics
/// If there is no response.
pub async fn get(address: SocketAddr, target: &str, header_lines: &[&str]) -> RawResponse {
    let mut request = format!(
        "GET {target} HTTP/1.1\r\nHost: test.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: */*\r\n"
    );
    for line in header_lines {
        request.push_str(line);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    raw(address, request).await
}

/// Sends one request by hyper over a connection of its own, in HTTP/2 without TLS.
///
/// # Errors
/// What hyper says.
///
/// # Panics
/// If nobody listens.
pub async fn h2(address: SocketAddr, request: Request<Full<Bytes>>) -> hyper::Result<Response<Bytes>> {
    let stream = TcpStream::connect(address).await.expect("the gateway accepts");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
}
