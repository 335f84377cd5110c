//! Names to addresses, and which of them to connect to first.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
};

use super::tcp::port as port_of_node;
use crate::sync::oneshot;

/// The addresses of a host, as the system finds them, in its order.
///
/// An address that is written in numbers is nobody's to look up. A name is looked up on a thread that the node keeps for
/// what has no asynchronous form, never on a worker.
///
/// # Errors
///
/// Those of the system: there is no such name, or nobody who could be asked. `NotFound` if the name has no address,
/// `WouldBlock` if as many lookups wait as may.
///
/// # Panics
///
/// On a thread of no runtime.
///
/// # Cancel safety
///
/// Dropped before its end, it gives up what would have been found; the lookup itself cannot be stopped, and has its thread
/// until it ends.
pub async fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = oneshot::channel();
    let name = host.to_owned();
    let job = move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Nobody may wait for it any more.
        let _ = sender.send(found);
    };
    port_of_node().offload(Box::new(job)).map_err(|refused| refused.error)?;
    let ended = |_| io::Error::new(io::ErrorKind::NotConnected, "the runtime has ended");
    let found = receiver.await.map_err(ended)??;
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
    }
    Ok(found)
}

/// The order in which to try them: both families take turns, the first one's first.
pub(super) fn in_turns(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else { return Vec::new() };
    let (mut ones, mut others): (Vec<SocketAddr>, Vec<SocketAddr>) = addresses
        .iter()
        .rev()
        .copied()
        .partition(|address: &SocketAddr| address.is_ipv6() == first.is_ipv6());
    let mut ordered = Vec::with_capacity(addresses.len());
    while !ones.is_empty() || !others.is_empty() {
        ordered.extend(ones.pop());
        ordered.extend(others.pop());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let addresses = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|one| one.parse().expect("an address")).collect()
        };
        let given = addresses(&["[::1]:1", "[::1]:2", "[::1]:3", "1.1.1.1:4", "1.1.1.1:5"]);
        let expected = addresses(&["[::1]:1", "1.1.1.1:4", "[::1]:2", "1.1.1.1:5", "[::1]:3"]);
        assert_eq!(in_turns(&given), expected);
        assert_eq!(in_turns(&given[3..]), given[3..]);
        assert!(in_turns(&[]).is_empty());
    }
}
