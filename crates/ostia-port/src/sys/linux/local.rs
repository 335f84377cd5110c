//! Names of Unix sockets in the file system: who may connect, what to do about a name that a dead process left, and
//! when to remove our own.
//!
//! - Who may connect, or send, is who may write the socket's file. It is made with mode 0600, whatever the umask.
//! - A name that is taken may be that of a process that died. It is removed only if it is a socket, ours, and nobody
//!   answers; a lock beside it keeps two of us from doing so at the same time.
//! - A name is removed when its handle is closed, if it still is the file that was made.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use socket2::{SockAddr, Socket, Type};

/// The name that a socket of ours has in the file system.
#[derive(Debug)]
pub(crate) struct Name {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Name {
    /// The name that `socket` was bound to, if it has one.
    pub(super) fn of(socket: &Socket) -> Option<Name> {
        let path = socket.local_addr().ok()?.as_pathname()?.to_path_buf();
        let found = fs::symlink_metadata(&path).ok()?;
        found.file_type().is_socket().then(|| Name { path, device: found.dev(), inode: found.ino() })
    }

    /// Removes the name, unless it has come to mean another file.
    pub(super) fn remove(&self) {
        let same = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode);
        if same {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds `socket` to `path`, for its owner alone.
pub(super) fn bind(socket: &Socket, path: &Path) -> io::Result<()> {
    let address = SockAddr::unix(path)?;
    keep_private(socket)?;
    match socket.bind(&address) {
        Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => {
            take_over(socket, path, &address)
                .map_err(|why| if why.kind() == io::ErrorKind::AddrInUse { error } else { why })?;
        }
        other => other?,
    }
    // For systems that do not take the mode over.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// Linux makes the file of a socket with the socket's own mode. A datagram may be sent to it from the first moment on:
/// a mode that is set afterwards would come too late.
fn keep_private(socket: &Socket) -> io::Result<()> {
    Ok(rustix::fs::fchmod(socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?)
}

/// Binds to a name that somebody left; `AddrInUse` if it is somebody's.
fn take_over(socket: &Socket, path: &Path, address: &SockAddr) -> io::Result<()> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(&lock_path)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| io::ErrorKind::AddrInUse)?;
    let bound = take_over_locked(socket, path, address);
    // The lock's file goes while it is still locked: whoever waits for it locks a file that is gone, and fails.
    let _ = fs::remove_file(&lock_path);
    bound
}

fn take_over_locked(socket: &Socket, path: &Path, address: &SockAddr) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if !found.file_type().is_socket() || !ours || is_alive(socket, address)? {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    fs::remove_file(path)?;
    socket.bind(address)
}

/// Whether a socket of some process is bound there, listening or not. It is asked by one of the other type, which the
/// kernel turns away: a listener must not be told of a connection that nobody wants.
fn is_alive(socket: &Socket, address: &SockAddr) -> io::Result<bool> {
    let other = if socket.r#type()? == Type::STREAM { Type::DGRAM } else { Type::STREAM };
    let probe = Socket::new(socket.domain()?, other, None)?;
    probe.set_nonblocking(true)?;
    let refused = probe.connect(address).is_err_and(|error| error.raw_os_error() == Some(libc::ECONNREFUSED));
    Ok(!refused)
}

/// The folder for names that are given without one: this user's alone.
///
/// # Errors
///
/// If it cannot be made, or belongs to somebody else, or others may enter it.
pub(crate) fn folder() -> io::Result<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let folder =
        match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute()) {
            Some(runtime) => runtime.join("ostia"),
            None => std::env::temp_dir().join(format!("ostia-{user}")),
        };
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io::Error::new(error.kind(), format!("{}: {error}", folder.display())));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(&folder)?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        let why = format!("{} is not a folder that this user alone may enter: remove it", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use socket2::Domain;

    use super::*;

    fn socket() -> Socket {
        Socket::new(Domain::UNIX, Type::STREAM, None).unwrap()
    }

    #[test]
    fn a_socket_is_made_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("name");
        bind(&socket(), &path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_socket_is_its_owners_from_the_first_moment_on() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [Type::STREAM, Type::DGRAM] {
            let socket = Socket::new(Domain::UNIX, kind, None).unwrap();
            let path = folder.path().join(format!("{kind:?}"));
            keep_private(&socket).unwrap();
            socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_name_that_a_dead_process_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("name");
        let dead = socket();
        bind(&dead, &path).unwrap();
        dead.listen(1).unwrap();
        drop(dead);
        let heir = socket();
        bind(&heir, &path).unwrap();
        heir.listen(1).unwrap();
        socket().connect(&SockAddr::unix(&path).unwrap()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the lock's file is gone");
    }

    #[test]
    fn of_many_who_take_over_one_name_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..100 {
            let path = folder.path().join(format!("name{round}"));
            let dead = socket();
            bind(&dead, &path).unwrap();
            drop(dead);
            let together = std::sync::Barrier::new(6);
            let bound: Vec<Socket> = std::thread::scope(|scope| {
                let take = || {
                    let heir = socket();
                    together.wait();
                    match bind(&heir, &path) {
                        Ok(()) => Some(heir),
                        Err(error) => {
                            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "round {round}: {error}");
                            None
                        }
                    }
                };
                let heirs: Vec<_> = (0..6).map(|_| scope.spawn(take)).collect();
                heirs.into_iter().filter_map(|heir| heir.join().unwrap()).collect()
            });
            assert_eq!(bound.len(), 1, "round {round}");
            // And it is the one whom others find.
            bound[0].listen(1).unwrap();
            socket().connect(&SockAddr::unix(&path).unwrap()).unwrap();
        }
        let left = fs::read_dir(folder.path()).unwrap().flatten();
        assert_eq!(
            left.filter(|entry| entry.path().extension().is_some()).count(),
            0,
            "a lock's file is left"
        );
    }

    #[test]
    fn a_name_that_is_in_use_or_no_socket_or_a_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("name");
        let alive = socket();
        bind(&alive, &path).unwrap();
        assert_eq!(bind(&socket(), &path).unwrap_err().kind(), io::ErrorKind::AddrInUse, "it will listen");
        alive.listen(1).unwrap();
        assert_eq!(bind(&socket(), &path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        alive.set_nonblocking(true).unwrap();
        assert_eq!(alive.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "asking is no connection");
        assert!(!folder.path().join("name.lock").exists());
        socket().connect(&SockAddr::unix(&path).unwrap()).unwrap();

        let datagram = || Socket::new(Domain::UNIX, Type::DGRAM, None).unwrap();
        let path = folder.path().join("datagram");
        let alive = datagram();
        bind(&alive, &path).unwrap();
        assert_eq!(bind(&datagram(), &path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(alive);
        bind(&datagram(), &path).unwrap();

        let file = folder.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert_eq!(bind(&socket(), &file).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read(&file).unwrap(), b"precious");

        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(bind(&socket(), &link).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_name_is_removed_only_while_it_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("name");
        let first = socket();
        bind(&first, &path).unwrap();
        let name = Name::of(&first).expect("it was bound");
        fs::remove_file(&path).unwrap();
        let second = socket();
        bind(&second, &path).unwrap();
        name.remove();
        assert!(path.exists(), "it is another file by now");
        Name::of(&second).expect("it was bound").remove();
        assert!(!path.exists());
        assert!(Name::of(&socket()).is_none(), "no name, nothing to remove");
    }
}
