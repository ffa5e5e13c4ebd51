//! The same device on this machine.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};
use picket_host::{Environment, Policy};
use picket_host_wasmi::WasmiBackend;
use picket_link::{Appliance, Client, Device, Line, Options, Profile, Shelf};

/// A device with that module, or with none, in a thread that ends with its client.
pub fn start(module: Option<Vec<u8>>, policy: Policy) -> Result<Client> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("tcp://{}", listener.local_addr()?);
    let profile = Profile {
        max_module: policy.limits.module_bytes as u32,
        metering: policy.limits.metering.name(),
        policy,
        ..Profile::new("here")
    };
    let environment = Arc::new(Environment::closed());
    let mut appliance =
        Appliance::new(profile, Some(Arc::new(WasmiBackend::new())), environment, Shelf::empty());
    if let Some(module) = module {
        appliance.install_parts(module, None, None).context("the module is not taken here")?;
    }
    thread::spawn(move || {
        let (mut input, mut output) = (vec![0; 8 * 1024], vec![0; 4 * 1024]);
        let mut device =
            Device::new(appliance, &mut input, &mut output).expect("the buffers are long enough");
        if let Ok((stream, _)) = listener.accept() {
            let _ = stream.set_nodelay(true);
            // Ends with the client.
            let _ = device.serve(&mut Line(stream));
        }
    });
    Ok(Client::connect(address.parse().context("an address")?, Options::default())?)
}
