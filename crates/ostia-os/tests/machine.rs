//! What the machine itself answers, on every system that is supported.

use std::{
    error::Error,
    fs::{self, File},
    io::{ErrorKind, Write},
    thread,
};

use ostia_os::{
    CpuSet, affinity, limits,
    map::Map,
    memory::{Place, Region, page_size},
    topology::{Source, Topology},
};

fn skipped(name: &str, reason: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {reason}");
}

#[test]
fn the_topology_has_every_allowed_cpu_once() {
    let topology = Topology::detect().unwrap();
    assert_eq!(topology.source(), Source::Detected);
    assert_eq!(topology.cpus(), affinity::allowed().unwrap());
    let in_cores: usize = topology.nodes().iter().flat_map(|node| node.cores()).map(CpuSet::len).sum();
    assert_eq!(in_cores, topology.cpus().len());
    for node in topology.nodes() {
        assert!(node.memory_bytes().is_none_or(|bytes| bytes < 1 << 50), "{node}");
        assert_eq!(topology.node_of(node.cpus().first().unwrap()), Some(node));
    }
}

#[test]
fn the_standard_library_counts_as_many_cpus() {
    let cpus = limits::cpus().unwrap();
    assert_eq!(cpus.allowed.get(), Topology::detect().unwrap().cpus().len());
    assert!(cpus.parallelism() <= cpus.allowed);
    let theirs = thread::available_parallelism().unwrap();
    match cpus.quota {
        // It rounds a quota down and we round up; and on Windows it knows of no quota.
        Some(_) => assert!(cpus.parallelism() >= theirs || cfg!(windows), "{cpus:?}, {theirs}"),
        None => assert_eq!(cpus.parallelism(), theirs),
    }
}

#[test]
fn a_thread_is_bound_to_each_cpu_and_back() {
    thread::spawn(|| {
        let before = affinity::current().unwrap();
        for cpu in before.iter() {
            let one: CpuSet = [cpu].into_iter().collect();
            let pinned = affinity::pin(&one).unwrap();
            assert_eq!(*pinned.cpus(), one);
            assert_eq!(affinity::current().unwrap(), one);
            pinned.undo().unwrap();
            assert_eq!(affinity::current().unwrap(), before);
        }
        // Dropping undoes it as well, and keeping does not.
        let one: CpuSet = before.first().into_iter().collect();
        drop(affinity::pin(&one).unwrap());
        assert_eq!(affinity::current().unwrap(), before);
        affinity::pin(&one).unwrap().keep();
        assert_eq!(affinity::current().unwrap(), one);
    })
    .join()
    .unwrap();
}

#[test]
fn cpus_that_may_not_be_used_are_left_out_or_refused() {
    thread::spawn(|| {
        let before = affinity::current().unwrap();
        let one: CpuSet = before.first().into_iter().collect();
        // Above the 1,024 of the C library's type, and in a group that is not there.
        let with_strange = one.union(&"5000".parse().unwrap());
        let pinned = affinity::pin(&with_strange).unwrap();
        assert_eq!(*pinned.cpus(), one);
        drop(pinned);

        for strange in ["5000", "16000", ""] {
            let why = affinity::pin(&strange.parse().unwrap()).unwrap_err();
            assert_eq!(why.kind(), ErrorKind::InvalidInput, "{why}");
            assert!(why.to_string().contains("CPU"), "{why}");
        }
        assert_eq!(affinity::current().unwrap(), before);
    })
    .join()
    .unwrap();
}

#[test]
fn parts_cover_a_set_and_each_can_be_bound_to() {
    let allowed = affinity::allowed().unwrap();
    let parts = affinity::parts(&allowed);
    assert_eq!(parts.iter().fold(CpuSet::new(), |all, part| all.union(part)), allowed);
    assert_eq!(parts.iter().map(CpuSet::len).sum::<usize>(), allowed.len());
    assert!(affinity::parts(&CpuSet::new()).is_empty());
    thread::spawn(move || {
        for part in &parts {
            assert_eq!(affinity::pin(part).unwrap().cpus(), part);
        }
    })
    .join()
    .unwrap();
    let two_groups = affinity::parts(&"0-1,64".parse().unwrap());
    assert_eq!(two_groups.len(), if cfg!(windows) { 2 } else { 1 });
}

#[test]
fn memory_is_whole_zeroed_pages_wherever_it_should_lie() {
    let node = Topology::detect().unwrap().nodes()[0].id();
    for place in [Place::Anywhere, Place::Preferred(node), Place::Bound(node)] {
        let mut region = Region::new(3 * page_size() + 1, place).unwrap();
        assert_eq!(region.len(), 4 * page_size());
        assert_eq!(region.as_ptr() as usize % page_size(), 0);
        assert!(region.iter().all(|&byte| byte == 0));
        region.fill(7);
        let region = thread::spawn(move || region).join().unwrap();
        assert!(region.iter().all(|&byte| byte == 7));
        match region.refused() {
            Some(why) if cfg!(windows) && place == Place::Bound(node) => {
                assert_eq!(why.kind(), ErrorKind::Unsupported, "{why}");
            }
            Some(why) if why.kind() == ErrorKind::PermissionDenied => {
                skipped("memory_is_whole_zeroed_pages_wherever_it_should_lie", format!("{place:?}: {why}"));
            }
            refused => assert!(refused.is_none(), "{place:?}: {refused:?}"),
        }
    }
}

#[test]
fn memory_of_a_node_that_is_not_there_is_ordinary_and_says_so() {
    for place in [Place::Preferred(900), Place::Bound(900), Place::Preferred(u32::MAX)] {
        let mut region = Region::new(1, place).unwrap();
        assert!(region.refused().is_some(), "{place:?}");
        region.fill(1);
    }
    assert_eq!(Region::new(0, Place::Anywhere).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(Region::new(usize::MAX, Place::Anywhere).is_err());
    assert!(Region::new(usize::MAX / 2, Place::Preferred(0)).is_err());
}

#[test]
fn a_page_is_on_its_node_once_it_is_there() {
    let node = Topology::detect().unwrap().nodes()[0].id();
    let mut region = Region::new(64 * page_size(), Place::Preferred(node)).unwrap();
    let last = region.len() - 1;
    match region.node_of(last) {
        Ok(found) => assert_eq!(found, None, "nothing was touched"),
        Err(why) => {
            skipped("a_page_is_on_its_node_once_it_is_there", why);
            return;
        }
    }
    region[last] = 1;
    match region.node_of(last).unwrap() {
        // Wine says of no page that it is there.
        None if cfg!(windows) => skipped("a_page_is_on_its_node_once_it_is_there", "pages are not told"),
        found => assert_eq!(found, Some(node)),
    }
    if cfg!(target_os = "linux") {
        assert_eq!(region.node_of(0).unwrap(), None);
        region.prefault().unwrap();
        assert!((0..64).all(|page| region.node_of(page * page_size()).unwrap() == Some(node)));
    }
}

#[test]
fn prefaulting_keeps_what_is_there() {
    let mut region = Region::new(16 * page_size(), Place::Anywhere).unwrap();
    region.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
    region.prefault().unwrap();
    assert!(region.iter().enumerate().all(|(at, &byte)| byte == at as u8));
}

#[test]
#[should_panic(expected = "outside of a region")]
fn a_page_outside_of_a_region_has_no_node() {
    let _ = Region::new(1, Place::Anywhere).unwrap().node_of(page_size());
}

#[test]
fn a_mapped_file_has_the_files_bytes_when_its_name_is_gone_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.bytes");
    let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&path, &bytes).unwrap();
    let map = Map::open(&path).unwrap();
    let other = folder.path().join("other.bytes");
    fs::write(&other, "other").unwrap();
    // Windows may refuse to replace what is mapped; either way the map stays what it is.
    match fs::rename(&other, &path) {
        Err(why) if !cfg!(windows) => panic!("{why}"),
        _ => {}
    }
    assert!(map.as_ref() == bytes);
    let moved = thread::spawn(move || map.len()).join().unwrap();
    assert_eq!(moved, bytes.len());
}

#[test]
fn an_empty_file_is_mapped_as_no_bytes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(Map::open(file.path()).unwrap().is_empty());
    assert!(Map::of(file.as_file()).unwrap().is_empty());
}

#[test]
fn what_cannot_be_mapped_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.ostia");
    let why = Map::open(&absent).unwrap_err();
    assert_eq!((why.path(), why.kind()), (&*absent, ErrorKind::NotFound));
    assert!(why.to_string().ends_with("absent.ostia cannot be mapped"), "{why}");
    assert!(why.source().is_some());
    let told = std::io::Error::from(why).to_string();
    assert!(told.contains("absent.ostia cannot be mapped: "), "{told}");

    let why = Map::open(folder.path()).unwrap_err();
    assert_eq!(why.kind(), ErrorKind::InvalidInput, "{why:?}");
    let write_only = File::create(folder.path().join("write.only")).unwrap();
    // Wine maps it all the same.
    assert!(Map::of(&write_only).is_err() || cfg!(windows));
}

#[test]
fn descriptors_may_be_raised_as_far_as_the_system_says() {
    let before = limits::descriptors().unwrap();
    let after = limits::raise_descriptors().unwrap();
    assert_eq!(after.current, before.maximum);
    assert_eq!(limits::descriptors().unwrap(), after);
    // A second time there is nothing to do.
    assert_eq!(limits::raise_descriptors().unwrap(), after);
}

#[test]
fn locked_memory_has_a_limit_that_can_be_told() {
    let limit = limits::locked_memory().unwrap();
    if let (Some(current), Some(maximum)) = (limit.current, limit.maximum) {
        assert!(current <= maximum);
    }
    assert!(!limit.to_string().is_empty());
}
