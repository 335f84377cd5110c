//! The predecessor's functions as C and C++ expressions, with their seeds as literals.

use ostia_hash::function::classic::{Classic, Seeds};

use super::c_family::{literal32, literal64};

/// The two ends of a key's edge as expressions in `k`, and the helpers they call.
pub(super) struct Edge {
    /// The expressions, not masked.
    pub(super) ends: [String; 2],
    /// Names of the helpers, each after those it calls itself.
    pub(super) helpers: Vec<&'static str>,
}

/// Builds expressions and notes what they call.
struct Writer<'w> {
    seeds: &'w Seeds,
    private: &'w dyn Fn(&str) -> String,
    helpers: Vec<&'static str>,
}

impl Writer<'_> {
    fn call(&mut self, helper: &'static str, arguments: &str) -> String {
        if !self.helpers.contains(&helper) {
            self.helpers.push(helper);
        }
        format!("{}({arguments})", (self.private)(helper))
    }

    /// Seed `n`, counted from 0.
    fn seed(&self, n: usize) -> String {
        literal32(self.seeds[n])
    }

    /// Byte `n`, counted from 1, of seed 3.
    fn b(&self, n: u32) -> u32 {
        (self.seeds[2] >> (8 * (n - 1))) & 0xff
    }

    /// Byte `n`, counted from 1, of seed 6.
    fn c(&self, n: u32) -> u32 {
        (self.seeds[5] >> (8 * (n - 1))) & 0xff
    }

    fn rotate(&mut self, helper: &'static str, x: &str, by: u32) -> String {
        if by.is_multiple_of(32) { x.to_owned() } else { self.call(helper, &format!("{x}, {}", by % 32)) }
    }

    fn right(&mut self, x: &str, by: u32) -> String {
        self.rotate("rotate_right", x, by)
    }

    fn left(&mut self, x: &str, by: u32) -> String {
        self.rotate("rotate_left", x, by)
    }

    fn times(&self, x: &str, seed: usize) -> String {
        format!("({x} * {})", self.seed(seed))
    }

    fn shr(&self, x: &str, by: u32) -> String {
        if by.is_multiple_of(32) { x.to_owned() } else { format!("({x} >> {})", by % 32) }
    }

    fn shl(&self, x: &str, by: u32) -> String {
        if by.is_multiple_of(32) { x.to_owned() } else { format!("({x} << {})", by % 32) }
    }

    fn crc(&mut self, state: &str, word: &str) -> String {
        self.call("crc32c", &format!("{state}, {word}"))
    }

    fn xor_shifted(&mut self, x: &str, by: u32) -> String {
        self.call("xor_shifted", &format!("{x}, {}", by % 32))
    }

    fn xor_rotated(&mut self, x: &str, by: u32) -> String {
        self.call("xor_rotated", &format!("{x}, {}", by % 32))
    }

    fn wide(&mut self, low: usize, high: usize, by: u32) -> String {
        let seed = u64::from(self.seeds[low]) | u64::from(self.seeds[high]) << 32;
        self.call("wide", &format!("k, {}, {}", literal64(seed), by % 64))
    }
}

/// The edge of a function under its seeds. `private` makes the name of a helper.
pub(super) fn edge(function: Classic, seeds: &Seeds, private: &dyn Fn(&str) -> String) -> Edge {
    use Classic as F;
    let mut w = Writer { seeds, private, helpers: Vec::new() };
    let w = &mut w;
    let s = seeds.map(literal32);
    let ends = match function {
        F::Crc32Rotate15 => {
            let turned = w.left("k", 15);
            [w.crc(&s[0], "k"), w.crc(&s[1], &turned)]
        }
        F::Jenkins | F::JenkinsMod => two(w, "jenkins"),
        F::RotateXor => {
            let (a, b) = (format!("k ^ {}", s[0]), format!("k - {}", s[2]));
            let (c, d) = (format!("k + {}", s[1]), format!("k ^ {}", s[3]));
            [
                format!("{} ^ {}", w.left(&a, 15), w.right(&b, 11)),
                format!("{} ^ {}", w.left(&c, 7), w.right(&d, 20)),
            ]
        }
        F::AddSubXor => [format!("k + {}", s[0]), format!("k - {}", s[1])],
        F::Xor => {
            let turned = w.left("k", 15);
            [w.call("halves", &format!("k ^ {}", s[0])), w.call("halves", &format!("{turned} ^ {}", s[1]))]
        }
        F::Dummy => {
            let turned = w.left("k", seeds[2] & 31);
            [w.crc(&s[0], "k"), w.crc(&s[1], &turned)]
        }
        F::Crc32RotateXor => {
            let turned = w.left("k", 15);
            let inner = w.crc(&s[1], &turned);
            [w.crc(&s[0], "k"), w.crc(&inner, &format!("k ^ {}", s[2]))]
        }
        F::Crc32 => [w.crc(&s[0], "k"), w.crc(&s[1], "k")],
        F::Djb => two(w, "djb"),
        F::DjbXor => two(w, "djb_xor"),
        F::Fnv => two(w, "fnv"),
        F::Crc32Not => [w.crc(&s[0], "k"), w.crc(&s[1], "~k")],
        F::Crc32RotateX => {
            let turned = w.left("k", w.b(1));
            [w.crc(&s[0], "k"), w.crc(&s[1], &turned)]
        }
        F::Crc32RotateXY => {
            let (right, left) = (w.right("k", w.b(1)), w.left("k", w.b(2)));
            [w.crc(&s[0], &right), w.crc(&s[1], &left)]
        }
        F::Crc32RotateWXYZ => {
            let (right, left) = (w.right("k", w.b(1)), w.left("k", w.b(3)));
            let (first, second) = (w.crc(&s[0], &right), w.crc(&s[1], &left));
            [w.left(&first, w.b(2)), w.right(&second, w.b(4))]
        }
        F::RotateMultiplyXorRotate => [(1, 0, 2), (3, 1, 4)].map(|(turn, seed, last)| {
            let turned = w.right("k", w.b(turn));
            let product = w.times(&turned, seed);
            w.xor_rotated(&product, w.b(last))
        }),
        F::ShiftMultiplyXorShift => [(1, 0, 2), (3, 1, 4)].map(|(shift, seed, last)| {
            let product = w.times(&w.shr("k", w.b(shift)), seed);
            w.xor_shifted(&product, w.b(last))
        }),
        F::ShiftMultiplyXorShift2 => [false, true].map(|second| {
            let count = |w: &Writer<'_>, n| if second { w.c(n) } else { w.b(n) };
            let from = if second { 3 } else { 0 };
            let product = w.times(&w.shr("k", count(w, 1)), from);
            let inner = w.xor_shifted(&product, count(w, 2));
            let product = w.times(&inner, from + 1);
            w.xor_shifted(&product, count(w, 3))
        }),
        F::RotateMultiplyXorRotate2 => [false, true].map(|second| {
            let count = |w: &Writer<'_>, n| if second { w.c(n) } else { w.b(n) };
            let from = if second { 3 } else { 0 };
            let turned = w.right("k", count(w, 1));
            let product = w.times(&turned, from);
            let inner = w.xor_rotated(&product, count(w, 2));
            let product = w.times(&inner, from + 1);
            w.xor_rotated(&product, count(w, 3))
        }),
        F::MultiplyRotateR => {
            let (a, b) = (w.times("k", 0), w.times("k", 1));
            [w.right(&a, w.b(1)), w.right(&b, w.b(2))]
        }
        F::MultiplyRotateLR => {
            let (a, b) = (w.times("k", 0), w.times("k", 1));
            [w.left(&a, w.b(1)), w.right(&b, w.b(2))]
        }
        F::MultiplyShiftR => [w.shr(&w.times("k", 0), w.b(1)), w.shr(&w.times("k", 1), w.b(2))],
        F::MultiplyShiftLR => [w.shl(&w.times("k", 0), w.b(1)), w.shr(&w.times("k", 1), w.b(2))],
        F::Multiply => [w.times("k", 0), w.times("k", 1)],
        F::MultiplyXor => {
            [format!("{} ^ {}", w.times("k", 0), s[1]), format!("{} ^ {}", w.times("k", 2), s[3])]
        }
        F::MultiplyRotateRMultiply => [(0, 1, 1), (3, 2, 4)].map(|(seed, turn, last)| {
            let product = w.times("k", seed);
            let turned = w.right(&product, w.b(turn));
            w.times(&turned, last)
        }),
        F::MultiplyRotateR2 => [(0, 1, 1, 2), (3, 3, 4, 4)].map(|(seed, turn, next, last)| {
            let product = w.times("k", seed);
            let turned = w.right(&product, w.b(turn));
            let product = w.times(&turned, next);
            w.right(&product, w.b(last))
        }),
        F::MultiplyShiftRMultiply => [(0, 1, 1), (3, 2, 4)]
            .map(|(seed, shift, last)| w.times(&w.shr(&w.times("k", seed), w.b(shift)), last)),
        F::MultiplyShiftR2 => [(0, 1, 1, 2), (3, 3, 4, 4)].map(|(seed, shift, next, last)| {
            w.shr(&w.times(&w.shr(&w.times("k", seed), w.b(shift)), next), w.b(last))
        }),
        F::RotateRMultiply => [(1, 0), (2, 1)].map(|(turn, seed)| {
            let turned = w.right("k", w.b(turn));
            w.times(&turned, seed)
        }),
        F::RotateRMultiplyRotateR => [(1, 0, 2), (3, 1, 4)].map(|(turn, seed, last)| {
            let turned = w.right("k", w.b(turn));
            let product = w.times(&turned, seed);
            w.right(&product, w.b(last))
        }),
        F::Multiply643ShiftR | F::Multiply644ShiftR => [w.wide(0, 1, w.b(1)), w.wide(3, 4, w.b(2))],
        F::MultiplyShiftRX => [0, 1].map(|seed| w.shr(&w.times("k", seed), w.b(1))),
        F::Mulshrolate1RX => {
            let turned = w.right(&w.times("k", 0), w.b(2));
            [w.shr(&turned, w.b(1)), w.shr(&w.times("k", 1), w.b(1))]
        }
        F::Mulshrolate2RX => [(0, 2), (1, 3)].map(|(seed, turn)| {
            let turned = w.right(&w.times("k", seed), w.b(turn));
            w.shr(&turned, w.b(1))
        }),
        F::Mulshrolate3RX => {
            let first = w.right(&w.times("k", 0), w.b(2));
            let second = w.right(&w.times("k", 1), w.b(3));
            [w.shr(&w.times(&first, 3), w.b(1)), w.shr(&second, w.b(1))]
        }
        F::Mulshrolate4RX => [(0, 2, 3), (1, 3, 4)].map(|(seed, turn, last)| {
            let turned = w.right(&w.times("k", seed), w.b(turn));
            w.shr(&w.times(&turned, last), w.b(1))
        }),
    };
    let mut helpers = std::mem::take(&mut w.helpers);
    if helpers.contains(&"xor_rotated") && !helpers.contains(&"rotate_right") {
        helpers.insert(0, "rotate_right");
    }
    // A helper that is called by another one comes before it.
    helpers.sort_by_key(|&helper| helper == "xor_rotated");
    Edge { ends, helpers }
}

/// A function of one seed and the key, once under each of the first two seeds.
fn two(w: &mut Writer<'_>, helper: &'static str) -> [String; 2] {
    [0, 1].map(|n| {
        let seed = w.seed(n);
        w.call(helper, &format!("{seed}, k"))
    })
}
