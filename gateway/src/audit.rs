//! The audit log: one JSON object a line, written by a thread of its own so that no request waits
//! for a disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::config::AuditSink;

/// Lines that may wait for the sink.
const QUEUE: usize = 8_192;

enum Message {
    Line(String),
    /// Open this from now on.
    Open(AuditSink),
    /// Say when everything before this is written.
    Flush(SyncSender<()>),
}

/// Where audit lines go.
pub(crate) struct Audit {
    queue: SyncSender<Message>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Audit {
    /// Opens the sink and begins to write to it.
    pub(crate) fn open(sink: &AuditSink) -> io::Result<Audit> {
        let first = Sink::open(sink)?;
        let (queue, messages) = sync_channel(QUEUE);
        let writer =
            std::thread::Builder::new().name("audit".into()).spawn(move || write_all(first, &messages))?;
        Ok(Audit { queue, writer: Mutex::new(Some(writer)) })
    }

    /// Hands a line over. `false` if the sink is so slow that the line had to be dropped.
    pub(crate) fn write(&self, line: String) -> bool {
        !matches!(self.queue.try_send(Message::Line(line)), Err(TrySendError::Full(_)))
    }

    /// Opens the sink anew, as after a rotation.
    pub(crate) fn reopen(&self, sink: &AuditSink) {
        // The thread ends only with the queue.
        let _ = self.queue.send(Message::Open(sink.clone()));
    }

    /// Waits until everything that was handed over is written.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.send(Message::Flush(done)).is_ok() {
            let _ = written.recv();
        }
    }
}

impl Drop for Audit {
    /// Waits until everything is written.
    fn drop(&mut self) {
        let (gone, _) = sync_channel(0);
        drop(std::mem::replace(&mut self.queue, gone));
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

enum Sink {
    Stdout,
    File(PathBuf, File),
    Off,
}

impl Sink {
    fn open(sink: &AuditSink) -> io::Result<Sink> {
        Ok(match sink {
            AuditSink::Stdout => Sink::Stdout,
            AuditSink::Off => Sink::Off,
            AuditSink::File(path) => Sink::File(path.clone(), append_to(path)?),
        })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Sink::File(_, file) => file.write_all(lines),
            Sink::Off => Ok(()),
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write_all(mut sink: Sink, messages: &Receiver<Message>) {
    let mut lines = Vec::new();
    while let Ok(message) = messages.recv() {
        // Whatever else waits goes along in one write.
        for message in std::iter::once(message).chain(messages.try_iter()) {
            match message {
                Message::Line(line) => {
                    lines.extend_from_slice(line.as_bytes());
                    lines.push(b'\n');
                }
                Message::Flush(done) => {
                    write(&mut sink, &mut lines);
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                Message::Open(next) => {
                    write(&mut sink, &mut lines);
                    match Sink::open(&next) {
                        Ok(next) => sink = next,
                        Err(error) => {
                            tracing::error!(%error, sink = ?next, "audit: cannot open, writing on to the old sink")
                        }
                    }
                }
            }
        }
        write(&mut sink, &mut lines);
    }
}

fn write(sink: &mut Sink, lines: &mut Vec<u8>) {
    if lines.is_empty() {
        return;
    }
    if let Err(error) = sink.write(lines) {
        let path = if let Sink::File(path, _) = sink { path.display().to_string() } else { "stdout".into() };
        tracing::error!(%error, path, bytes = lines.len(), "audit: lines are lost");
    }
    lines.clear();
}
