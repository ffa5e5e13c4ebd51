//! # Puppet
//!
//! A filter that does what the request tells it to: a command in each `X-Puppet` header. For Picket's
//! own suites, which so make a guest say anything without a module of its own for each case.
//!
//! ```text
//! PHASE VERB [WORD] [REST]
//!
//! request | response    set NAME VALUE      append NAME VALUE     remove NAME      body TEXT
//! (heads)               respond STATUS TEXT redirect STATUS URL   tag TEXT         match ID TEXT
//!                       panic TEXT          trap                  loop             flood
//!                       reply-with NAME VALUE     (a header of the next `respond`)
//! request-body          upper               replace TEXT          respond STATUS TEXT
//! response-body         find TEXT (answers 403 once TEXT has gone by, across chunks too)
//!                       panic TEXT          trap                  loop             set NAME VALUE
//! ```
//!
//! `%XX` in a word or text is that byte. A command the puppet does not know makes it panic: a test
//! with a typing error fails.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

use picket_guest::{
    BodyChunk, ConfigError, Configure, Filter, Header, HeaderOp, LogLevel, Match, Octets, OutcomeBuf,
    RequestHead, ResponseHead, SeqBuf, Severity, abi::ActionBuf, export, log,
};

export! {
    Puppet {
        name: "puppet",
        version: env!("CARGO_PKG_VERSION"),
        kind: "test",
        phases: [request_head, request_body, response_head, response_body],
        capabilities: [log],
        body_window: 0,
    }
}

struct Puppet {
    commands: Vec<Command>,
    /// The end of the body so far, for `find`.
    tail: Vec<u8>,
}

struct Command {
    phase: Vec<u8>,
    verb: Vec<u8>,
    word: Vec<u8>,
    rest: Vec<u8>,
}

impl Filter for Puppet {
    fn configure(_: &Configure<'_>) -> Result<Self, ConfigError> {
        Ok(Puppet { commands: Vec::new(), tail: Vec::new() })
    }

    fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
        self.tail.clear();
        self.commands = head.headers.all(b"x-puppet").map(|line| Command::parse(&line)).collect();
        self.head(b"request")
    }

    fn request_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
        self.body(b"request-body", chunk)
    }

    fn response_head(&mut self, _: &ResponseHead<'_>) -> OutcomeBuf {
        self.tail.clear();
        self.head(b"response")
    }

    fn response_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
        self.body(b"response-body", chunk)
    }
}

impl Command {
    fn parse(line: &[u8]) -> Command {
        let mut words = line.splitn(3, |&byte| byte == b' ');
        let phase = words.next().unwrap_or_default().to_vec();
        let verb = words.next().unwrap_or_default().to_vec();
        let arguments = words.next().unwrap_or_default();
        let space = arguments.iter().position(|&byte| byte == b' ').unwrap_or(arguments.len());
        let rest = arguments.get(space + 1..).unwrap_or_default();
        Command { phase, verb, word: unescape(&arguments[..space]), rest: unescape(rest) }
    }

    /// Everything behind the verb.
    fn text(&self) -> Vec<u8> {
        let mut text = self.word.clone();
        if !self.rest.is_empty() {
            text.push(b' ');
            text.extend_from_slice(&self.rest);
        }
        text
    }

    fn number(&self) -> u32 {
        let digits = core::str::from_utf8(&self.word).ok();
        digits.and_then(|digits| digits.parse().ok()).expect("a number in the command")
    }

    fn field(&self) -> Header<'_> {
        Header { name: Octets(&self.word), value: Octets(&self.rest) }
    }

    /// What ends the call, if it is that.
    fn fail(&self) {
        match self.verb.as_slice() {
            b"panic" => panic!("{}", Octets(&self.text())),
            b"trap" => trap(),
            b"loop" => {
                let mut turns = 0_u64;
                loop {
                    turns = core::hint::black_box(turns.wrapping_add(1));
                }
            }
            b"flood" => loop {
                log(LogLevel::Info, "flood");
            },
            _ => {}
        }
    }
}

impl Puppet {
    fn head(&self, phase: &[u8]) -> OutcomeBuf {
        let mut outcome = OutcomeBuf::default();
        let mut operations = SeqBuf::<HeaderOp<'static>>::new();
        let mut new_body = None;
        let mut reply_headers = SeqBuf::<Header<'static>>::new();
        for command in self.commands.iter().filter(|command| command.phase == phase) {
            command.fail();
            match command.verb.as_slice() {
                b"set" => operations.push(HeaderOp::Set(command.field())),
                b"append" => operations.push(HeaderOp::Append(command.field())),
                b"remove" => operations.push(HeaderOp::Remove(Octets(&command.word))),
                b"body" => new_body = Some(command.text()),
                b"reply-with" => reply_headers.push(command.field()),
                b"respond" => {
                    outcome.action = ActionBuf::Respond {
                        status: command.number() as u16,
                        headers: core::mem::take(&mut reply_headers),
                        body: command.rest.clone(),
                    };
                }
                b"redirect" => {
                    outcome.action = ActionBuf::Redirect {
                        status: command.number() as u16,
                        location: command.rest.clone(),
                    };
                }
                b"tag" => outcome.verdict.tags.push(Octets(&command.text())),
                b"match" => {
                    outcome.verdict.score += Severity::Notice.score();
                    outcome.verdict.matches.push(Match {
                        rule_id: command.number(),
                        severity: Severity::Notice,
                        score: Severity::Notice.score(),
                        category: "test".into(),
                        message: "told to".into(),
                        location: "REQUEST_HEADERS:X-Puppet".into(),
                        matched: Octets(&command.rest),
                        ..Match::default()
                    });
                }
                other => panic!("no command of a head: {}", Octets(other)),
            }
        }
        if outcome.action == ActionBuf::Continue && !(operations.is_empty() && new_body.is_none()) {
            outcome.action = ActionBuf::Modify { headers: operations, body: new_body };
        }
        outcome
    }

    fn body(&mut self, phase: &[u8], chunk: &BodyChunk<'_>) -> OutcomeBuf {
        let mut outcome = OutcomeBuf::default();
        for command in self.commands.iter().filter(|command| command.phase == phase) {
            command.fail();
            outcome.action = match command.verb.as_slice() {
                b"upper" => modified(chunk.data.to_ascii_uppercase()),
                b"replace" => modified(command.text()),
                b"respond" => respond(command.number() as u16, &command.rest),
                b"find" => {
                    let wanted = command.text();
                    self.tail.extend_from_slice(&chunk.data);
                    if self.tail.windows(wanted.len().max(1)).any(|window| window == wanted) {
                        respond(403, b"found")
                    } else {
                        let surplus = self.tail.len().saturating_sub(wanted.len());
                        self.tail.drain(..surplus);
                        ActionBuf::Continue
                    }
                }
                b"set" => {
                    let mut headers = SeqBuf::new();
                    headers.push(HeaderOp::Set(command.field()));
                    ActionBuf::Modify { headers, body: None }
                }
                other => panic!("no command of a body: {}", Octets(other)),
            };
        }
        outcome
    }
}

fn modified(body: Vec<u8>) -> ActionBuf {
    ActionBuf::Modify { headers: SeqBuf::new(), body: Some(body) }
}

fn respond(status: u16, body: &[u8]) -> ActionBuf {
    ActionBuf::Respond { status, headers: SeqBuf::new(), body: body.to_vec() }
}

/// A trap that is no panic.
fn trap() {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|digits| {
            let digits = core::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        match escaped {
            Some(escaped) if byte == b'%' => {
                bytes.push(escaped);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    bytes
}
