//! Looks ports up in a table that the build script has made.

/// Ports in a perfect hash table.
pub mod ports {
    include!(concat!(env!("OUT_DIR"), "/ports.rs"));
}

#[cfg(test)]
mod tests {
    use super::ports;

    /// The table is there when the program is compiled, too.
    const HTTPS: Option<u32> = ports::index(443);

    #[test]
    fn ports_are_found_where_they_stand_in_the_sorted_set() {
        assert_eq!(HTTPS, Some(6));
        let all = [22, 25, 53, 80, 110, 143, 443, 993, 3306, 5432, 8080];
        assert_eq!(ports::COUNT as usize, all.len());
        for (position, port) in (0..).zip(all) {
            assert_eq!(ports::index(port), Some(position));
        }
        assert!((0..100_000).filter(|&port| ports::contains(port)).eq(all));
    }
}
