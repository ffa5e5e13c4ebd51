//! A device's line of any stream of `std`.

use std::io;

use embedded_io::{ErrorType, Read, Write};

/// Makes a device's line of a stream, such as a [`TcpStream`](std::net::TcpStream).
#[derive(Debug)]
pub struct Line<S>(
    /// The stream.
    pub S,
);

impl<S> ErrorType for Line<S> {
    type Error = io::Error;
}

impl<S: io::Read> Read for Line<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl<S: io::Write> Write for Line<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.0.write(buf) {
            // What takes nothing of something never will.
            Ok(0) if !buf.is_empty() => Err(io::ErrorKind::WriteZero.into()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
