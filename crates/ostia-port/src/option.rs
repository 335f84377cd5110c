//! What a socket can be set to. The system's own names and ranges hold; here is what all systems have.

use std::{io, time::Duration};

use socket2::{Socket, TcpKeepalive};

use crate::handle::{Datagram, Handle, Kind, Listener, Stream};

/// How the system finds out that the other end of a silent connection is gone. What is not said is as the system is
/// set: hours, mostly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeepAlive {
    idle: Option<Duration>,
    interval: Option<Duration>,
    count: Option<u32>,
}

impl KeepAlive {
    /// As the system is set.
    pub fn new() -> KeepAlive {
        KeepAlive::default()
    }

    /// After how much silence it asks; systems count in whole seconds.
    pub fn idle(mut self, idle: Duration) -> KeepAlive {
        self.idle = Some(idle);
        self
    }

    /// How long it waits for an answer before it asks again.
    pub fn interval(mut self, interval: Duration) -> KeepAlive {
        self.interval = Some(interval);
        self
    }

    /// How often it asks before the connection counts as lost.
    ///
    /// # Platforms
    ///
    /// Windows can be told so from Windows 10, version 1703, on; before, setting it is an error.
    pub fn count(mut self, count: u32) -> KeepAlive {
        self.count = Some(count);
        self
    }

    /// A part of a second is a whole one, and no time at all is no wish of anybody.
    fn to_system(self) -> TcpKeepalive {
        let seconds =
            |time: Duration| Duration::from_secs(time.as_nanos().div_ceil(1_000_000_000).max(1) as u64);
        let mut system = TcpKeepalive::new();
        if let Some(idle) = self.idle {
            system = system.with_time(seconds(idle));
        }
        if let Some(interval) = self.interval {
            system = system.with_interval(seconds(interval));
        }
        if let Some(count) = self.count {
            system = system.with_retries(count);
        }
        system
    }
}

fn of<T>(handle: &Handle, kinds: &[Kind], call: impl FnOnce(&Socket) -> io::Result<T>) -> io::Result<T> {
    let inner = handle.inner();
    if !kinds.contains(&inner.kind) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "a handle of this kind has no such option"));
    }
    inner.port.system.with_socket(inner.raw, call)
}

/// Of every kind that is a socket.
const SOCKETS: &[Kind] = &[Kind::Tcp, Kind::Udp, Kind::LocalStream, Kind::LocalDatagram];
const IP: &[Kind] = &[Kind::Tcp, Kind::Udp];

fn hop_limit(socket: &Socket) -> io::Result<u32> {
    socket.unicast_hops_v6().or_else(|_| socket.ttl_v4())
}

fn set_hop_limit(socket: &Socket, hops: u32) -> io::Result<()> {
    if socket.unicast_hops_v6().is_err() {
        return socket.set_ttl_v4(hops);
    }
    socket.set_unicast_hops_v6(hops)?;
    // An IPv6 socket may carry IPv4, too; one that cannot needs no such limit.
    let _ = socket.set_ttl_v4(hops);
    Ok(())
}

/// What all three kinds of handles have.
macro_rules! common_options {
    ($name:ident) => {
        impl $name {
            /// How many bytes the system keeps of what is sent and not on its way yet. It may make more of it, or
            /// less.
            ///
            /// # Errors
            ///
            /// Those of the system; what is no socket, and the simulation, have no such option: `Unsupported`.
            pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
                of(&self.0, SOCKETS, |socket| socket.set_send_buffer_size(bytes))
            }

            /// How many bytes it is now.
            ///
            /// # Errors
            ///
            /// As those of [`Self::set_send_buffer_size`].
            pub fn send_buffer_size(&self) -> io::Result<usize> {
                of(&self.0, SOCKETS, Socket::send_buffer_size)
            }

            /// How many bytes the system keeps of what has come and was not received yet. It may make more of it, or
            /// less. A listener's streams are accepted with it.
            ///
            /// # Errors
            ///
            /// Those of the system; what is no socket, and the simulation, have no such option: `Unsupported`.
            pub fn set_receive_buffer_size(&self, bytes: usize) -> io::Result<()> {
                of(&self.0, SOCKETS, |socket| socket.set_recv_buffer_size(bytes))
            }

            /// How many bytes it is now.
            ///
            /// # Errors
            ///
            /// As those of [`Self::set_receive_buffer_size`].
            pub fn receive_buffer_size(&self) -> io::Result<usize> {
                of(&self.0, SOCKETS, Socket::recv_buffer_size)
            }

            /// Over how many routers what is sent may go: the hop limit of IPv6, the time to live of IPv4.
            ///
            /// # Errors
            ///
            /// Those of the system; only IP has it, and not in the simulation: `Unsupported`.
            pub fn set_hop_limit(&self, hops: u32) -> io::Result<()> {
                of(&self.0, IP, |socket| set_hop_limit(socket, hops))
            }

            /// See [`Self::set_hop_limit`].
            ///
            /// # Errors
            ///
            /// As those of [`Self::set_hop_limit`].
            pub fn hop_limit(&self) -> io::Result<u32> {
                of(&self.0, IP, hop_limit)
            }

            /// The error that the system has noted and told nobody, which is told by this.
            ///
            /// # Errors
            ///
            /// Those of the system; what is no socket, and the simulation, have no such note: `Unsupported`.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                of(&self.0, SOCKETS, Socket::take_error)
            }
        }
    };
}

common_options!(Stream);
common_options!(Listener);
common_options!(Datagram);

impl Stream {
    /// Whether the system asks now and then if the other end of a silent connection is still there, and how often.
    ///
    /// # Errors
    ///
    /// Those of the system; only TCP has it, and not in the simulation: `Unsupported`.
    pub fn set_keep_alive(&self, keep_alive: Option<KeepAlive>) -> io::Result<()> {
        of(&self.0, &[Kind::Tcp], |socket| match keep_alive {
            None => socket.set_keepalive(false),
            Some(how) if how == KeepAlive::new() => socket.set_keepalive(true),
            Some(how) => socket.set_tcp_keepalive(&how.to_system()),
        })
    }

    /// Whether it does.
    ///
    /// # Errors
    ///
    /// As those of [`Stream::set_keep_alive`].
    pub fn keep_alive(&self) -> io::Result<bool> {
        of(&self.0, &[Kind::Tcp], Socket::keepalive)
    }

    /// What becomes of unsent bytes when the stream is closed. As the system is set, they are sent, and nobody waits.
    /// With a time of zero they are dropped, and the other end is told of a reset. With any other time **closing waits**
    /// so long, on the thread that drops the last clone: seldom what is wanted.
    ///
    /// # Errors
    ///
    /// Those of the system; only TCP has it, and not in the simulation: `Unsupported`.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        of(&self.0, &[Kind::Tcp], |socket| socket.set_linger(linger))
    }

    /// See [`Stream::set_linger`].
    ///
    /// # Errors
    ///
    /// As those of [`Stream::set_linger`].
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        of(&self.0, &[Kind::Tcp], Socket::linger)
    }
}

impl Datagram {
    /// Whether datagrams may go to all machines of a network at once.
    ///
    /// # Errors
    ///
    /// Those of the system; only IP has it, and not in the simulation: `Unsupported`.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        of(&self.0, &[Kind::Udp], |socket| socket.set_broadcast(broadcast))
    }

    /// See [`Datagram::set_broadcast`].
    ///
    /// # Errors
    ///
    /// As those of [`Datagram::set_broadcast`].
    pub fn broadcast(&self) -> io::Result<bool> {
        of(&self.0, &[Kind::Udp], Socket::broadcast)
    }
}

/// The CPU whose connections a listener prefers, of those that share a port: see `os::linux`.
#[cfg(target_os = "linux")]
pub(crate) fn set_incoming_cpu(listener: &Listener, cpu: usize) -> io::Result<()> {
    of(&listener.0, &[Kind::Tcp], |socket| socket.set_cpu_affinity(cpu))
}

/// See [`set_incoming_cpu`].
#[cfg(target_os = "linux")]
pub(crate) fn incoming_cpu(listener: &Listener) -> io::Result<usize> {
    of(&listener.0, &[Kind::Tcp], Socket::cpu_affinity)
}
