//! The line to a device: one, shared by all transactions of its filter.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use picket_host::{Error, HostFault, Limit, Micros};
use picket_link::{Address, Client, ClientError, DeviceInfo, Options, Status};

/// How long a line may be silent before the device is asked how it is.
const PING: Duration = Duration::from_secs(5);
/// The longest wait for the answer to that, and for a hello.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause before a device is looked for again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What a device is to have installed. `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub module: Option<Vec<u8>>,
    pub ruleset: Option<Vec<u8>>,
    pub settings: Option<Vec<u8>>,
}

/// The line to a device.
pub(crate) struct Post {
    address: Address,
    parts: Parts,
    state: Mutex<State>,
    /// Wakes those who wait for their turn, or for a slot.
    changed: Condvar,
    /// Wakes the thread that looks after the line.
    alarm: Condvar,
    /// Sessions that have begun.
    pub sessions: AtomicU64,
    /// Attempts to begin one that failed.
    pub failed_sessions: AtomicU64,
    /// Requests that no answer came to.
    pub lost: AtomicU64,
}

struct State {
    line: Line,
    /// The number of the session: a transaction belongs to the one that it began in.
    session: u64,
    /// Which slots are taken in it.
    slots: Vec<bool>,
    info: Option<Arc<DeviceInfo>>,
    status: Option<Status>,
    /// When the device was last heard.
    heard: Instant,
    closed: bool,
}

enum Line {
    /// Nobody speaks.
    Idle(Box<Client>),
    /// Somebody does.
    Busy,
    /// A session is about to begin, or not.
    Connecting,
    /// There is no device.
    Down {
        /// Why.
        error: Arc<str>,
    },
}

/// A transaction's place on the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub slot: u8,
    session: u64,
}

/// What one call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub deadline: Instant,
    pub limit: Micros,
}

impl Patience {
    fn passed(&self) -> Error {
        Limit::Deadline { limit: self.limit }.into()
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Why a question has no answer.
pub(super) enum Unanswered {
    /// The session it was asked in is over.
    SessionOver(Error),
    /// Anything else.
    Failed(Error),
}

impl From<Unanswered> for Error {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::SessionOver(error) | Unanswered::Failed(error) => error,
        }
    }
}

impl Post {
    /// Looks for the device once, and has a thread look after the line from then on.
    ///
    /// # Errors
    /// [`ClientError`] if the device is there and does not take what it is to have.
    pub(super) fn open(
        filter: &str,
        address: Address,
        parts: Parts,
        timeout: Duration,
    ) -> Result<Arc<Post>, ClientError> {
        let post = Arc::new(Post {
            address,
            parts,
            state: Mutex::new(State {
                line: Line::Connecting,
                session: 0,
                slots: Vec::new(),
                info: None,
                status: None,
                heard: Instant::now(),
                closed: false,
            }),
            changed: Condvar::new(),
            alarm: Condvar::new(),
            sessions: AtomicU64::new(0),
            failed_sessions: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        match post.connect(timeout.max(PATIENCE)) {
            Ok(()) => {}
            Err(error) if is_absence(&error) => {
                tracing::warn!(filter, device = %post.address, "{error}; it is looked for again and again");
            }
            Err(error) => return Err(error),
        }
        let tended = Arc::clone(&post);
        let filter: Arc<str> = filter.into();
        std::thread::Builder::new()
            .name("device".into())
            .spawn(move || tended.tend(&filter))
            .map_err(|source| ClientError::Line { source })?;
        Ok(post)
    }

    /// Where the device is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// What it is, if it has ever answered.
    pub(crate) fn info(&self) -> Option<Arc<DeviceInfo>> {
        self.state().info.clone()
    }

    /// How it was when it was asked last.
    pub(crate) fn status(&self) -> Option<Status> {
        self.state().status
    }

    /// Whether there is a session.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state().line, Line::Idle(_) | Line::Busy)
    }

    /// What it was told to have.
    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Nobody needs the line any more.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.alarm.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is called while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>, time: Duration) -> MutexGuard<'s, State> {
        wait_for(&self.changed, state, time)
    }

    /// Takes a free slot of the device.
    pub(super) fn take_seat(&self, patience: Patience) -> Result<Seat, Error> {
        let mut state = self.state();
        loop {
            match &state.line {
                Line::Down { error } => return Err(self.down(error)),
                Line::Connecting => {}
                Line::Idle(_) | Line::Busy => {
                    if let Some(slot) = state.slots.iter().position(|taken| !taken) {
                        state.slots[slot] = true;
                        // There are no more than a device can say in one byte.
                        return Ok(Seat { slot: slot as u8, session: state.session });
                    }
                }
            }
            let left = patience.left();
            if left.is_zero() {
                let instances = u32::try_from(state.slots.len()).unwrap_or(u32::MAX);
                return Err(match state.line {
                    Line::Connecting => patience.passed(),
                    _ => Limit::Instances { instances }.into(),
                });
            }
            state = self.wait(state, left);
        }
    }

    /// Gives it back. What is left of its transaction ends with the next one there.
    pub(super) fn leave_seat(&self, seat: Seat) {
        let mut state = self.state();
        if state.session == seat.session
            && let Some(taken) = state.slots.get_mut(usize::from(seat.slot))
        {
            *taken = false;
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Asks the device something, when it is this one's turn.
    pub(super) fn ask<R>(
        &self,
        seat: Seat,
        patience: Patience,
        question: impl FnOnce(&mut Client) -> Result<R, ClientError>,
    ) -> Result<R, Unanswered> {
        let mut state = self.state();
        let mut client = loop {
            match &state.line {
                Line::Down { error } => return Err(Unanswered::Failed(self.down(error))),
                _ if state.session != seat.session => {
                    let message = format!("the device {} was restarted during the transaction", self.address);
                    return Err(Unanswered::SessionOver(device_fault(message)));
                }
                Line::Idle(_) => {
                    if let Line::Idle(client) = std::mem::replace(&mut state.line, Line::Busy) {
                        break client;
                    }
                }
                Line::Busy | Line::Connecting => {}
            }
            let left = patience.left();
            if left.is_zero() {
                return Err(Unanswered::Failed(patience.passed()));
            }
            state = self.wait(state, left);
        };
        drop(state);
        client.set_timeout(patience.left());
        let answer = question(&mut client);
        self.hang_up(client);
        answer.map_err(|error| {
            self.lost.fetch_add(1, Relaxed);
            let over = matches!(error, ClientError::Line { .. } | ClientError::Closed);
            let error = match error {
                ClientError::Timeout { .. } => patience.passed(),
                error => device_fault(format!("the device {}: {error}", self.address)),
            };
            if over { Unanswered::SessionOver(error) } else { Unanswered::Failed(error) }
        })
    }

    /// Puts the client back; a session that has ended is begun anew by the thread.
    fn hang_up(&self, client: Box<Client>) {
        let mut state = self.state();
        let over = !client.is_connected();
        state.line = if over { Line::Connecting } else { Line::Idle(client) };
        state.heard = Instant::now();
        drop(state);
        self.changed.notify_all();
        if over {
            self.alarm.notify_all();
        }
    }

    fn down(&self, error: &str) -> Error {
        device_fault(format!("the device {} is not there: {error}", self.address))
    }

    /// Begins a session and sees to it that the device has what it is to have.
    fn connect(&self, timeout: Duration) -> Result<(), ClientError> {
        let begun = self.begin(timeout);
        let mut state = self.state();
        let result = match begun {
            Ok(client) => {
                self.sessions.fetch_add(1, Relaxed);
                state.session += 1;
                state.slots = vec![false; usize::from(client.info().slots)];
                state.info = Some(Arc::new(client.info().clone()));
                state.heard = Instant::now();
                state.line = Line::Idle(Box::new(client));
                Ok(())
            }
            Err(error) => {
                self.failed_sessions.fetch_add(1, Relaxed);
                state.line = Line::Down { error: error.to_string().into() };
                Err(error)
            }
        };
        drop(state);
        self.changed.notify_all();
        result
    }

    fn begin(&self, timeout: Duration) -> Result<Client, ClientError> {
        let name = concat!("picket ", env!("CARGO_PKG_VERSION")).into();
        let options = Options { connect_timeout: PATIENCE, timeout, name, ..Options::default() };
        let mut client = Client::connect(self.address.clone(), options)?;
        let Parts { module, ruleset, settings } = &self.parts;
        if client.provide(module.as_deref(), ruleset.as_deref(), settings.as_deref())? {
            tracing::info!(device = %self.address, "the filter was installed on the device");
        }
        client.set_timeout(PATIENCE);
        Ok(client)
    }

    /// Begins sessions when there is none, and asks how the device is when nobody else asks anything.
    fn tend(&self, filter: &str) {
        let mut backoff = BACKOFF.0;
        let mut known_down = matches!(self.state().line, Line::Down { .. });
        loop {
            let state = self.state();
            if state.closed {
                return;
            }
            match &state.line {
                Line::Down { .. } => {
                    if wait_for(&self.alarm, state, backoff).closed {
                        return;
                    }
                    backoff = (backoff * 2).min(BACKOFF.1);
                }
                Line::Connecting => drop(state),
                Line::Idle(_) | Line::Busy => {
                    let silent = state.heard.elapsed();
                    if silent < PING {
                        drop(wait_for(&self.alarm, state, PING - silent));
                    } else if let Line::Idle(_) = state.line {
                        drop(state);
                        self.ping();
                    } else {
                        // Whoever speaks now has a deadline.
                        drop(wait_for(&self.alarm, state, PING));
                    }
                    continue;
                }
            }
            match self.connect(PATIENCE * 6) {
                Ok(()) => {
                    tracing::info!(filter, device = %self.address, "the device is there");
                    (backoff, known_down) = (BACKOFF.0, false);
                }
                Err(error) if !known_down => {
                    tracing::warn!(filter, device = %self.address, "{error}");
                    known_down = true;
                }
                Err(_) => {}
            }
        }
    }

    /// Asks the device how it is, if nobody speaks.
    fn ping(&self) {
        let mut state = self.state();
        let mut client = match std::mem::replace(&mut state.line, Line::Busy) {
            Line::Idle(client) => client,
            line => {
                state.line = line;
                return;
            }
        };
        drop(state);
        client.set_timeout(PATIENCE);
        if let Ok(status) = client.status() {
            self.state().status = Some(status);
        }
        self.hang_up(client);
    }
}

/// Whether the device may still come, as it is.
fn is_absence(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Connect { .. }
            | ClientError::Line { .. }
            | ClientError::Closed
            | ClientError::Timeout { .. }
            | ClientError::NoSession
            | ClientError::AnswerLost
    )
}

fn wait_for<'s>(what: &Condvar, state: MutexGuard<'s, State>, time: Duration) -> MutexGuard<'s, State> {
    what.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
}

fn device_fault(message: String) -> Error {
    HostFault::Device { message: message.into() }.into()
}
