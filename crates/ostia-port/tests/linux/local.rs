//! Local sockets: where their names are, and what comes with their messages.

use std::{
    io::{ErrorKind, IoSlice},
    mem::MaybeUninit,
    os::{
        fd::AsFd,
        unix::{
            fs::{MetadataExt, PermissionsExt},
            net::UnixStream,
        },
    },
    time::Duration,
};

use ostia_port::{Address, ListenOptions, op};
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};

use crate::{finish, is_alone, local_name, on_each_backend, run};

#[test]
fn a_name_without_a_folder_is_in_one_that_its_owner_alone_may_enter() {
    let folder = tempfile::tempdir().unwrap();
    let name = "local::a_name_without_a_folder_is_in_one_that_its_owner_alone_may_enter";
    if !is_alone(name, &[("XDG_RUNTIME_DIR", folder.path())]) {
        return;
    }
    let folder = std::path::PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").unwrap());
    on_each_backend("names", |builder| {
        let port = builder.open().unwrap();
        let address = Address::local("a-name").unwrap();
        let path = address.as_path().unwrap();
        assert!(path.starts_with(&folder), "{}", path.display());
        let parent = path.parent().unwrap();
        assert_eq!(std::fs::metadata(parent).unwrap().mode() & 0o777, 0o700);
        let listener = port.listen(&address, &ListenOptions::new()).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o777, 0o600);
        drop(listener);
        assert!(!path.exists(), "the name goes with its listener");
        // A folder that others may enter is not used.
        std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Address::local("a-name").unwrap_err().kind(), ErrorKind::PermissionDenied);
        std::fs::remove_dir(parent).unwrap();
        std::os::unix::fs::symlink("/tmp", parent).unwrap();
        assert_eq!(Address::local("a-name").unwrap_err().kind(), ErrorKind::PermissionDenied);
        std::fs::remove_file(parent).unwrap();
    });
}

#[test]
fn a_path_that_is_too_long_is_refused_and_makes_nothing() {
    on_each_backend("long paths", |builder| {
        let port = builder.open().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let long = |len: usize| {
            let rest = len - folder.path().as_os_str().len() - 1;
            Address::Local(folder.path().join("x".repeat(rest)))
        };
        // The longest that there is, with its zero.
        drop(port.listen(&long(107), &ListenOptions::new()).unwrap());
        for len in [108, 109, 200] {
            let address = long(len);
            port.listen(&address, &ListenOptions::new()).unwrap_err();
            port.datagram(&address).unwrap_err();
            op::Connect::new(port.stream(&address).unwrap(), &address).unwrap_err();
        }
        // Nor a name that no folder shows.
        let hidden = Address::Local("\0hidden".into());
        port.listen(&hidden, &ListenOptions::new()).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a part of the name was made");
    });
}

#[test]
fn descriptors_that_come_with_a_message_are_not_kept() {
    on_each_backend("descriptors in messages", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let name = local_name();
        let listener = port.listen(&name, &ListenOptions::new()).unwrap();
        let accept = berth.submit(op::Accept::new(&listener)).unwrap();
        let client = UnixStream::connect(name.as_path().unwrap()).unwrap();
        let server = finish(&mut berth, accept).0.unwrap();
        for round in 0..3 {
            let (reader, writer) = std::io::pipe().unwrap();
            let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut room);
            let descriptors = [writer.as_fd()];
            assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
            sendmsg(&client, &[IoSlice::new(b"with it")], &mut control, SendFlags::empty()).unwrap();
            drop(writer);
            let bytes = match round {
                0 => run(&mut berth, op::Receive::new(&server, Vec::with_capacity(100))).1,
                1 => run(&mut berth, op::ReceiveVectored::new(&server, vec![Vec::with_capacity(100)]))
                    .1
                    .concat(),
                _ => run(&mut berth, op::ReceiveManaged::new(&server)).0.unwrap().to_vec(),
            };
            assert_eq!(bytes, b"with it");
            // The pipe has no writer left: nobody has the descriptor.
            let mut polled = [PollFd::new(&reader, PollFlags::IN)];
            let patience = rustix::event::Timespec::try_from(Duration::from_secs(20)).unwrap();
            assert_eq!(poll(&mut polled, Some(&patience)).unwrap(), 1, "somebody keeps the descriptor");
            assert!(polled[0].revents().contains(PollFlags::HUP));
        }
    });
}
