//! The listening sockets.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::exit::Failure;

/// How many connections may wait to be accepted: a burst of thousands must not be turned away.
const BACKLOG: u32 = 4096;

/// Listens at an address; `plane` names it in the failure.
///
/// # Errors
/// The port is taken, or the address is not this machine's.
pub fn at(plane: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart need not wait for the connections of the run before to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().map_err(|e| Failure::dependency(format_args!("listen.{plane}: {address}"), e))
}

/// The address that a listener got, which port 0 leaves to the system.
///
/// # Errors
/// The system does not say.
pub fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|e| Failure::dependency("the address of a listener", e))
}
