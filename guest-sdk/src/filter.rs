//! The trait a filter implements.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use picket_abi::{
    BodyChunk, Configure, FailureReport, OutcomeBuf, RequestHead, ResponseHead, TransactionLog, VerdictBuf,
};

use crate::answer::proceed;

/// An HTTP filter: one method a phase. The host calls those that [`export!`](crate::export!) names,
/// in this order, for one transaction at a time.
///
/// A phase answers with an [`OutcomeBuf`]; the functions [`proceed`](crate::proceed()),
/// [`respond`](crate::respond()), [`redirect`](crate::redirect()) and [`modify`](crate::modify())
/// build one.
pub trait Filter: Sized + 'static {
    /// Builds the filter from its configuration. Called before the first transaction; with an empty
    /// configuration if the host has none.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong, for whoever wrote the configuration. The host refuses to
    /// load the filter.
    fn configure(config: &Configure<'_>) -> Result<Self, ConfigError>;

    /// A request has come in; its body has not. Begins a transaction: an instance that is reused
    /// forgets the last one here.
    fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
        let _ = head;
        proceed()
    }

    /// A piece of the request's body, in order. The last one has its end flag set.
    fn request_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
        let _ = chunk;
        proceed()
    }

    /// The upstream has answered; the body of its answer has not come yet.
    fn response_head(&mut self, head: &ResponseHead<'_>) -> OutcomeBuf {
        let _ = head;
        proceed()
    }

    /// A piece of the response's body, in order. The last one has its end flag set.
    fn response_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
        let _ = chunk;
        proceed()
    }

    /// The transaction failed outside this filter.
    fn error(&mut self, report: &FailureReport<'_>) {
        let _ = report;
    }

    /// The transaction is over.
    fn log(&mut self, log: &TransactionLog) {
        let _ = log;
    }

    /// The same for a filter that has something to report then, in the phase `log`: what it found joins
    /// the report of the transaction, for which it is too late to act. By default nothing is reported.
    fn close(&mut self, log: &TransactionLog) -> VerdictBuf {
        self.log(log);
        VerdictBuf::default()
    }
}

/// A configuration that a filter does not take, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    message: Cow<'static, str>,
}

impl ConfigError {
    /// The error with that text. It is read by whoever wrote the configuration: name the setting,
    /// its value, and what would do.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        ConfigError { message: message.into() }
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<&'static str> for ConfigError {
    fn from(message: &'static str) -> Self {
        ConfigError::new(message)
    }
}

impl From<String> for ConfigError {
    fn from(message: String) -> Self {
        ConfigError::new(message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for ConfigError {}
