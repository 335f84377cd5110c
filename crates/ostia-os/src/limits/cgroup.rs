//! How much CPU time the control groups of Linux grant a process.
//!
//! The files come in by a function, so that the layouts of container engines can be tested anywhere.

/// The process's groups.
const GROUPS: &str = "/proc/self/cgroup";

/// Where the hierarchies are mounted.
const MOUNTS: &str = "/proc/self/mountinfo";

/// A chain of groups is not longer than that; systems nest about ten.
const MAX_DEPTH: usize = 64;

/// How many CPUs' worth of time the process gets: the smallest figure of its groups and of those above them, in
/// both versions. Nothing when no group has a limit, or none can be seen.
///
/// `read` gives a file's text by its absolute path, or nothing where there is no such file.
pub fn quota(read: &dyn Fn(&str) -> Option<String>) -> Option<f64> {
    let groups = read(GROUPS)?;
    let mounts = read(MOUNTS)?;
    mounts
        .lines()
        .filter_map(Mount::parse)
        .filter_map(|mount| {
            let group = groups.lines().find_map(|line| mount.group_of(line))?;
            mount.smallest(read, group)
        })
        .reduce(f64::min)
}

#[derive(Clone, Copy, PartialEq)]
enum Version {
    One,
    Two,
}

/// A mounted hierarchy that can limit CPU time.
struct Mount {
    version: Version,
    /// Which group of the hierarchy the mount shows as its top.
    root: String,
    /// Where.
    point: String,
}

impl Mount {
    /// A line of mountinfo: `31 23 0:28 ROOT POINT OPTIONS [FIELDS...] - TYPE SOURCE OPTIONS`.
    fn parse(line: &str) -> Option<Mount> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ');
        let root = unescaped(place.nth(3)?);
        let point = unescaped(place.next()?);
        let mut kind = kind.split(' ');
        let version = match kind.next()? {
            "cgroup2" => Version::Two,
            "cgroup" if kind.nth(1)?.split(',').any(|option| option == "cpu") => Version::One,
            _ => return None,
        };
        Some(Mount { version, root, point })
    }

    /// The process's group in this hierarchy, from a line like `4:cpu,cpuacct:/a/b` or `0::/a/b`.
    fn group_of<'l>(&self, line: &'l str) -> Option<&'l str> {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match self.version {
            Version::One => controllers.split(',').any(|controller| controller == "cpu"),
            Version::Two => id == "0" && controllers.is_empty(),
        };
        ours.then_some(group)
    }

    /// The smallest quota from the group up to the top of what is mounted.
    fn smallest(&self, read: &dyn Fn(&str) -> Option<String>, group: &str) -> Option<f64> {
        // A group that is not below the mount's top (`/../x`, or another container's path) cannot be seen here;
        // what can be seen is the top itself.
        let below = group.strip_prefix(self.root.trim_end_matches('/')).unwrap_or_default();
        let hidden =
            below.split('/').any(|part| part == "..") || !(below.is_empty() || below.starts_with('/'));
        let mut path = if hidden { "" } else { below.trim_end_matches('/') };
        let mut smallest: Option<f64> = None;
        for _ in 0..MAX_DEPTH {
            let folder = format!("{}{path}", self.point.trim_end_matches('/'));
            let found = match self.version {
                Version::One => quota_one(read, &folder),
                Version::Two => read(&format!("{folder}/cpu.max")).as_deref().and_then(quota_two),
            };
            smallest = [smallest, found].into_iter().flatten().reduce(f64::min);
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => break,
            }
        }
        smallest
    }
}

/// Version 1: two files, and -1 for no limit.
fn quota_one(read: &dyn Fn(&str) -> Option<String>, folder: &str) -> Option<f64> {
    let quota: i64 = read(&format!("{folder}/cpu.cfs_quota_us"))?.trim().parse().ok()?;
    let period: i64 = read(&format!("{folder}/cpu.cfs_period_us"))?.trim().parse().ok()?;
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// Version 2: `QUOTA PERIOD`, and `max` for no limit.
fn quota_two(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// mountinfo writes space, tab, line end and backslash as `\040` and so on.
fn unescaped(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                out.push(char::from(code));
                out.push_str(&part[3..]);
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn check(files: &[(&str, &str)], expected: Option<f64>) {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        assert_eq!(quota(&|path| files.get(path).map(|text| (*text).to_owned())), expected, "{files:?}");
    }

    const TWO: (&str, &str) =
        (MOUNTS, "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");

    #[test]
    fn the_smallest_quota_on_the_way_up_counts() {
        let own = (GROUPS, "0::/system.slice/ostia.service\n");
        let service = "/sys/fs/cgroup/system.slice/ostia.service/cpu.max";
        check(&[TWO, own, (service, "max 100000\n")], None);
        check(&[TWO, own, (service, "150000 100000\n")], Some(1.5));
        check(
            &[
                TWO,
                own,
                (service, "150000 100000\n"),
                ("/sys/fs/cgroup/system.slice/cpu.max", "50000 100000\n"),
            ],
            Some(0.5),
        );
        check(&[TWO, own, ("/sys/fs/cgroup/cpu.max", "400000 100000\n")], Some(4.0));
    }

    #[test]
    fn a_container_sees_its_group_as_the_top() {
        check(&[TWO, (GROUPS, "0::/\n"), ("/sys/fs/cgroup/cpu.max", "250000 100000\n")], Some(2.5));
        // The host's path, with the container's group mounted as the top.
        let bound = (MOUNTS, "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
        let top = ("/sys/fs/cgroup/cpu.max", "100000 100000");
        check(&[bound, (GROUPS, "0::/docker/abc\n"), top], Some(1.0));
        check(
            &[bound, (GROUPS, "0::/docker/abc/x\n"), ("/sys/fs/cgroup/x/cpu.max", "20000 100000"), top],
            Some(0.2),
        );
        // Neither a group that only begins like it nor one outside can be seen; the top can.
        check(
            &[bound, (GROUPS, "0::/docker/abcdef\n"), top, ("/sys/fs/cgroupdef/cpu.max", "1 100")],
            Some(1.0),
        );
        check(
            &[TWO, (GROUPS, "0::/../other\n"), top, ("/sys/fs/cgroup/../other/cpu.max", "1 100")],
            Some(1.0),
        );
    }

    #[test]
    fn version_one_and_both_at_once_are_read() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let groups = "3:cpuset:/elsewhere\n1:cpu,cpuacct:/jobs/7\n0::/jobs\n";
        let quota_us = ("/sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_quota_us", "300000\n");
        let period_us = ("/sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_period_us", "100000\n");
        check(&[(MOUNTS, mounts), (GROUPS, groups), quota_us, period_us], Some(3.0));
        let unified = ("/sys/fs/cgroup/unified/jobs/cpu.max", "200000 100000\n");
        check(&[(MOUNTS, mounts), (GROUPS, groups), quota_us, period_us, unified], Some(2.0));
        check(&[(MOUNTS, mounts), (GROUPS, groups), (quota_us.0, "-1\n"), period_us], None);
    }

    #[test]
    fn spaces_in_a_mount_point_are_unescaped() {
        let mounts = "1 2 0:3 / /odd\\040place\\134 rw - cgroup2 none rw\n";
        check(&[(MOUNTS, mounts), (GROUPS, "0::/\n"), ("/odd place\\/cpu.max", "7 1\n")], Some(7.0));
        assert_eq!(unescaped("a\\04\\999\\"), "a\\04\\999\\");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(0::|1:cpu:|[0-9 /:.\\\\a-z,-]){0,40}") {
            let mount = Mount::parse(&text).unwrap_or(Mount {
                version: Version::Two,
                root: text.clone(),
                point: text.clone(),
            });
            let _ = mount.smallest(&|_| Some(text.clone()), &text);
            let _ = quota(&|_| Some(text.clone()));
        }
    }
}
