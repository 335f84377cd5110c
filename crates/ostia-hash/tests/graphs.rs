//! Three ways to tell whether a graph has a cycle, and two to its entries, against each other.

use ostia_hash::{
    function::classic::{Classic, RngSpec},
    graph::{Edge, Halt, Number, dfs, forest::Forest, peel::Peel},
    simd::{Level, pairs::fill_edges},
};
use proptest::prelude::*;

/// The plainest test there is: colours are repainted.
fn has_cycle(edges: &[(u32, u32)], vertices: usize) -> bool {
    let mut colours: Vec<usize> = (0..vertices).collect();
    edges.iter().any(|&(a, b)| {
        let (from, to) = (colours[a as usize], colours[b as usize]);
        for colour in &mut colours {
            if *colour == from {
                *colour = to;
            }
        }
        from == to
    })
}

/// Tells by every way whether the edges form a cycle, and checks the entries when they do not.
fn check<E: Edge, N: Number>(ends: &[(u32, u32)], vertices: usize, edge_mask: u32) {
    let edges: Vec<E> = ends.iter().map(|&(a, b)| E::new(a, b)).collect();
    let cycle = if has_cycle(ends, vertices) { Err(Halt::Cycle) } else { Ok(()) };
    let mut forest = Forest::<N>::default();
    // Twice, so that leftovers of one use would show in the next.
    assert_eq!(forest.test(&edges, vertices, &|| false), cycle);
    assert_eq!(forest.test(&edges, vertices, &|| false), cycle);
    let mut peel = Peel::<N>::default();
    let peeled = peel.entries(&edges, vertices, edge_mask, &|| false);
    assert_eq!(peel.entries(&edges, vertices, edge_mask, &|| false), peeled);
    assert_eq!(peeled.as_ref().map(|_| ()).map_err(|&halt| halt), cycle);
    let traversal = dfs::traverse(&edges, vertices, edge_mask, &|| false);
    assert_eq!(traversal.as_ref().map(|_| ()).map_err(|&halt| halt), cycle);
    let (Ok(traversal), Ok(peeled)) = (traversal, peeled) else { return };
    for entries in [&peeled, &traversal.entries] {
        assert!(entries.iter().all(|&e| e <= edge_mask));
        for (index, &(a, b)) in ends.iter().enumerate() {
            let sum = entries[a as usize].wrapping_add(entries[b as usize]);
            assert_eq!(sum & edge_mask, index as u32);
        }
    }
    let touched = (0..vertices as u32).filter(|v| ends.iter().any(|&(a, b)| a == *v || b == *v)).count();
    assert_eq!(traversal.counts.visits as usize, touched);
    assert_eq!(traversal.counts.empty as usize, vertices - touched);
}

fn graphs() -> impl Strategy<Value = (usize, Vec<(u32, u32)>)> {
    (1_u32..9).prop_flat_map(|bits| {
        let vertices = 1_u32 << bits;
        let ends = (0..vertices, 1..vertices).prop_map(move |(a, by)| (a, (a + by) % vertices));
        // Few edges are often a forest, many hardly ever.
        (Just(vertices as usize), prop::collection::vec(ends, 0..=vertices as usize / 2))
    })
}

proptest! {
    #[test]
    fn all_ways_agree_on_cycles_and_entries((vertices, ends) in graphs()) {
        let edge_mask = vertices as u32 / 2 - 1;
        check::<u32, u16>(&ends, vertices, edge_mask);
        check::<u64, u16>(&ends, vertices, edge_mask);
        check::<u64, u32>(&ends, vertices, edge_mask);
    }

    #[test]
    fn a_tree_of_any_shape_is_a_forest_and_one_edge_more_is_not(
        parents in prop::collection::vec(any::<prop::sample::Index>(), 1..400),
        more in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let vertices = parents.len() + 1;
        let mut ends: Vec<(u32, u32)> =
            (1_u32..).zip(&parents).map(|(child, p)| (p.index(child as usize) as u32, child)).collect();
        check::<u32, u16>(&ends, vertices, 511);
        let (a, b) = (more.0.index(vertices) as u32, more.1.index(vertices) as u32);
        prop_assume!(a != b);
        ends.push((a, b));
        check::<u32, u16>(&ends, vertices, 511);
    }

    #[test]
    fn every_level_of_vector_code_gives_the_same_edges(
        keys in prop::collection::vec(any::<u32>(), 0..1500), attempt in any::<u64>(), bits in 1_u32..31,
    ) {
        for &function in Classic::ALL {
            let seeds = function.seeds_for(attempt, &RngSpec::default(), 32 - bits, None);
            let mask = if function.is_masked() { (1 << bits) - 1 } else { u32::MAX };
            let pairs: Vec<(u32, u32)> = keys
                .iter()
                .map(|&k| function.pair(&seeds, k))
                .map(|(a, b)| (a & mask, b & mask))
                .collect();
            let met = pairs.iter().any(|(a, b)| a == b);
            for level in Level::available() {
                let mut wide = vec![0_u64; keys.len()];
                prop_assert_eq!(fill_edges(level, function, &seeds, mask, &keys, &mut wide), met);
                if !met {
                    prop_assert!(wide.iter().map(|e| e.ends()).eq(pairs.iter().copied()));
                }
                let mut narrow = vec![0_u32; keys.len()];
                if bits <= 16 && !fill_edges(level, function, &seeds, mask, &keys, &mut narrow) {
                    prop_assert!(narrow.iter().map(|e| e.ends()).eq(pairs.iter().copied()));
                }
            }
        }
    }
}

#[test]
fn a_stop_is_heard_before_the_answer() {
    let edges = [Edge::new(0, 1), Edge::new(2, 3)];
    assert_eq!(Forest::<u16>::default().test::<u32>(&edges, 4, &|| true), Err(Halt::Stopped));
    assert_eq!(Peel::<u16>::default().entries::<u32>(&edges, 4, 1, &|| true), Err(Halt::Stopped));
    assert_eq!(dfs::traverse::<u32>(&edges, 4, 1, &|| true), Err(Halt::Stopped));
}
