//! Requests to a device, and what it makes of them.

use std::collections::BTreeSet;

use anyhow::Result;
use picket_abi::{
    BodyChunk, Header, HttpVersion, Octets, Peer, PeerAddr, RequestHead, SeqBuf, TransactionLog,
};
use picket_conformance::Request;
use picket_link::{Artifact, Client, ClientError, Decision, Finding, Judged, PhaseMessage, Spent};

use crate::policy::CHUNK;

/// Instructions of a tick: the board's clock has 25 MHz, and QEMU takes a nanosecond for each.
const INSTRUCTIONS_PER_TICK: u64 = 40;

/// A request, ready to be sent.
pub struct Traffic {
    method: String,
    target: Vec<u8>,
    headers: SeqBuf<Header<'static>>,
    body: Vec<u8>,
}

impl Traffic {
    /// The request of a case.
    pub fn of(request: &Request) -> Self {
        let mut headers = SeqBuf::new();
        for (name, value) in &request.headers {
            headers.push(Header { name: name.as_str().into(), value: value.as_slice().into() });
        }
        Traffic {
            method: request.method.clone(),
            target: request.target.clone(),
            headers,
            body: request.body.clone(),
        }
    }

    fn plain(target: &str, headers: &[(&str, &str)], bytes: usize) -> Self {
        let lines: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let length = "GET  HTTP/1.1\r\n".len() + target.len() + lines + 2;
        assert_eq!(length, bytes, "the request is as long as it is called");
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let request = Request { method: "GET".into(), target: target.into(), headers, body: Vec::new() };
        Traffic::of(&request)
    }

    /// What a script asks for: 106 bytes.
    pub fn get() -> Self {
        let headers = [("Host", "www.example.com"), ("User-Agent", "curl/8.14.1"), ("Accept", "*/*")];
        Traffic::plain("/index.html?id=42&name=alice", &headers, 106)
    }

    /// What a browser asks for: 1,024 bytes.
    pub fn kibibyte() -> Self {
        let headers = [
            ("Host", "shop.example.com"),
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
            (
                "Accept",
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            ),
            ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
            ("Accept-Encoding", "gzip, deflate, br"),
            ("Referer", "https://shop.example.com/catalogue/kitchen/knives?page=2&sort=price_asc&view=grid"),
            ("Connection", "keep-alive"),
            (
                "Cookie",
                "session=8f14e45fceea167a5a36dedd4bea2543f1c9a7d2; theme=light; currency=EUR; basket=3f2a9c; \
                 consent=necessary.statistics; first_visit=1718033988; language=en; region=europe; \
                 recently_viewed=1042.2217.3391.4410.5523; newsletter=no; layout=compact; token=Zm9vYmFyYmF6cXV4",
            ),
            ("Upgrade-Insecure-Requests", "1"),
            ("Cache-Control", "max-age=0"),
            ("Priority", "u=0, i"),
        ];
        let target = "/catalogue/kitchen/knives/chef-knife-20cm?colour=black&size=20&quantity=1&delivery=standard\
                      &gift_wrap=no&message=Best+wishes+from+all+of+us";
        let lines: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let rest = 1024 - ("GET  HTTP/1.1\r\n".len() + target.len() + lines + 2) - "X-Trace: \r\n".len();
        let trace = "0123456789abcdef".repeat(8);
        let mut headers = headers.to_vec();
        headers.push(("X-Trace", &trace[..rest]));
        Traffic::plain(target, &headers, 1024)
    }

    fn head(&self) -> RequestHead<'_> {
        RequestHead {
            request_id: "00000000-0000-7000-8000-000000000000".into(),
            route: "default".into(),
            client: Peer { addr: PeerAddr::V4([192, 0, 2, 7]), port: 50_000 },
            version: HttpVersion::Http11,
            method: self.method.as_str().into(),
            authority: self.headers.as_seq().first(b"host").unwrap_or_default(),
            target: self.target.as_slice().into(),
            headers: self.headers.as_seq(),
            end: self.body.is_empty(),
            ..RequestHead::default()
        }
    }
}

/// What a device made of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// A line for each phase: everything of the answer but what depends on the machine.
    lines: Vec<String>,
    spent: Vec<Spent>,
    /// Rules that matched.
    pub rules: BTreeSet<u32>,
    /// Whether the request was answered.
    pub blocked: bool,
    /// Bytes of the largest linear memory.
    pub memory_peak: u64,
    failures: usize,
}

impl Played {
    fn note(&mut self, judged: &Judged<'_>) {
        self.blocked |= !matches!(judged.decision, Decision::Continue);
        self.failures += judged.failures.iter().count();
        self.memory_peak = judged.memory_peak;
        for finding in judged.findings.iter() {
            self.rules.extend(finding.matches.iter().map(|found| found.rule_id));
        }
        let spent = Spent { fuel: judged.spent.fuel, calls: judged.spent.calls, micros: 0, cycles: None };
        self.spent.push(judged.spent);
        // The words of a failure are left out: not every device has them.
        let failures: Vec<_> = judged
            .failures
            .iter()
            .map(|failure| {
                (failure.phase.to_string(), failure.kind.to_string(), failure.limit, failure.value)
            })
            .collect();
        // Each device calls its filter what it likes.
        let findings: Vec<_> =
            judged.findings.iter().map(|finding| Finding { filter: Octets::default(), ..finding }).collect();
        let Judged { decision, answered_by, score, memory_peak, .. } = judged;
        self.lines.push(format!(
            "{decision:?} by {:?}, score {score}, {findings:?}, failures {failures:?}, {spent:?}, memory {memory_peak}",
            answered_by.map(|by| by.cause)
        ));
    }

    /// Fuel of all phases.
    pub fn fuel(&self) -> u64 {
        self.spent.iter().map(|spent| spent.fuel).sum()
    }

    /// Instructions of all phases.
    pub fn instructions(&self) -> u64 {
        self.spent.iter().map(|spent| spent.cycles.unwrap_or(0) * INSTRUCTIONS_PER_TICK).sum()
    }

    /// Whether a filter failed.
    pub fn failed(&self) -> bool {
        self.failures > 0
    }

    /// The first phase that was told differently.
    pub fn difference(&self, there: &Played) -> Option<String> {
        let phases = self.lines.len().max(there.lines.len());
        (0..phases).find(|&phase| self.lines.get(phase) != there.lines.get(phase)).map(|phase| {
            let line = |played: &Played| played.lines.get(phase).cloned().unwrap_or_default();
            format!("phase {phase}\n  here:  {}\n  board: {}", line(self), line(there))
        })
    }
}

/// Shows a device a request, up to its answer or its end.
pub fn play(client: &mut Client, traffic: &Traffic) -> Result<Played, ClientError> {
    let mut played = Played::default();
    played.note(&client.judge(0, PhaseMessage::RequestHead(traffic.head()))?);
    let mut offset = 0;
    while offset < traffic.body.len() && !played.blocked {
        let data = &traffic.body[offset..traffic.body.len().min(offset + CHUNK)];
        let end = offset + data.len() == traffic.body.len();
        let chunk = BodyChunk { offset: offset as u64, end, data: Octets(data) };
        played.note(&client.judge(0, PhaseMessage::RequestBody(chunk))?);
        offset += data.len();
    }
    let finished = client.finish(0, TransactionLog::default())?;
    played.note(&finished.last);
    Ok(played)
}

/// A module that a device is to install, and the requests that set it off.
pub struct Install(Vec<u8>);

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Installed {
    /// Who has to act, if the device refused it.
    pub refused: Option<String>,
    /// The requests, otherwise.
    pub played: Vec<Played>,
}

impl Install {
    /// Those bytes.
    pub fn of(wasm: &[u8]) -> Self {
        Install(wasm.to_vec())
    }

    /// Has a device install it and judge a calm request and two that set such modules off.
    pub fn run(&self, client: &mut Client) -> Result<Installed> {
        client.transfer(Artifact::Module, &self.0)?;
        match client.install() {
            Ok(()) => {}
            Err(ClientError::Refused { culprit, .. }) => {
                return Ok(Installed { refused: Some(culprit), played: Vec::new() });
            }
            Err(error) => return Err(error.into()),
        }
        let mut played = Vec::new();
        for id in ["", "x", "u", ""] {
            let head = RequestHead {
                request_id: id.into(),
                method: "GET".into(),
                target: "/".into(),
                end: true,
                ..RequestHead::default()
            };
            let mut one = Played::default();
            one.note(&client.judge(0, PhaseMessage::RequestHead(head))?);
            one.note(&client.finish(0, TransactionLog::default())?.last);
            played.push(one);
        }
        Ok(Installed { refused: None, played })
    }
}

impl Installed {
    /// Whether the same requests failed, however that was told.
    pub fn ends_like(&self, there: &Installed) -> bool {
        let failed = |installed: &Installed| installed.played.iter().map(Played::failed).collect::<Vec<_>>();
        self.refused == there.refused && failed(self) == failed(there)
    }

    /// What was told differently.
    pub fn difference(&self, there: &Installed) -> Option<String> {
        if self.refused != there.refused {
            return Some(format!("refused here: {:?}, on the board: {:?}", self.refused, there.refused));
        }
        self.played.iter().zip(&there.played).find_map(|(here, there)| here.difference(there))
    }
}
