//! `picket device`, started for a test.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::gateway::{Folder, WAIT, binary};

/// A running `picket device`. It is killed when dropped.
pub struct DeviceProcess {
    child: Child,
    address: String,
    _folder: Folder,
}

impl DeviceProcess {
    /// Starts a device on a free port of loopback.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start(args: &[&str]) -> DeviceProcess {
        Self::start_at("tcp://127.0.0.1:0", args)
    }

    /// The same at an address, that of a device that is gone for instance.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_at(address: &str, args: &[&str]) -> DeviceProcess {
        let folder = Folder::new();
        let ready = folder.path().join("ready.json");
        let limit = Instant::now() + WAIT;
        loop {
            let mut command = Command::new(binary());
            command.args(["device", "--listen", address, "--ready-file"]).arg(&ready).args(args);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
            let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            loop {
                if let Ok(text) = std::fs::read_to_string(&ready) {
                    let said: serde_json::Value = serde_json::from_str(&text).expect("it writes JSON");
                    let address = said["device"].as_str().expect("it says where it is").to_owned();
                    return DeviceProcess { child, address, _folder: folder };
                }
                assert!(Instant::now() < limit, "the device does not come up");
                // The port of one that was killed a moment ago may still be taken.
                if child.try_wait().expect("the child can be waited for").is_some() {
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Its address: `tcp://127.0.0.1:…`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Stops it without a word, as a board that loses its power.
    pub fn kill(mut self) -> String {
        self.stop();
        self.address.clone()
    }

    fn stop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for DeviceProcess {
    fn drop(&mut self) {
        self.stop();
    }
}
