//! Looks at this process, on Linux.

/// Wine runs what is built for Windows.
pub(crate) fn is_wine() -> bool {
    false
}

/// How many descriptors this process has open.
pub(crate) fn open_handles() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("this process may look at itself").count()
}

/// Whether a child would have the descriptor, too.
pub(crate) fn is_inheritable(raw: i32) -> bool {
    let told = std::fs::read_to_string(format!("/proc/self/fdinfo/{raw}")).expect("the descriptor is open");
    let flags = told.lines().find_map(|line| line.strip_prefix("flags:")).expect("Linux tells the flags");
    let flags = u32::from_str_radix(flags.trim(), 8).expect("in octal");
    flags & libc::O_CLOEXEC as u32 == 0
}
