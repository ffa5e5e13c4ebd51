//! The UART as a line of bytes.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

use crate::sys::{self, Uart};

/// A line over a UART. It never ends.
pub struct Line(pub Uart);

impl ErrorType for Line {
    type Error = Infallible;
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let Some((first, more)) = buffer.split_first_mut() else { return Ok(0) };
        while !self.0.is_ready() {
            // The timer comes round, and somebody has to see it.
            sys::ticks();
        }
        *first = self.0.receive();
        let mut count = 1;
        for byte in more {
            if !self.0.is_ready() {
                break;
            }
            *byte = self.0.receive();
            count += 1;
        }
        Ok(count)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        bytes.iter().for_each(|&byte| self.0.send(byte));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
