//! The predecessor's functions as expressions, in whatever syntax a language has.
//!
//! One table for every language that writes its arithmetic out; [`Dialect`] is what differs between them. What
//! comes out is checked against [`Classic::pair`] by the tests that compile and run it.

use ostia_hash::function::classic::{Classic, Seeds};

/// How a language writes 32-bit arithmetic. Operands may be compound: see [`atom`].
pub(crate) trait Dialect {
    /// A constant.
    fn constant(&self, value: u32) -> String {
        format!("0x{value:X}")
    }
    /// The low 32 bits of a product.
    fn mul(&self, x: &str, by: u32) -> String;
    /// A turn to the left by 1 to 31.
    fn rol(&self, x: &str, by: u32) -> String;
    /// A turn to the right by 1 to 31.
    fn ror(&self, x: &str, by: u32) -> String;
    /// A shift to the left by 1 to 31.
    fn shl(&self, x: &str, by: u32) -> String;
    /// A shift to the right by 1 to 31.
    fn shr(&self, x: &str, by: u32) -> String;
    /// A sum.
    fn add(&self, x: &str, y: u32) -> String;
    /// A difference.
    fn sub(&self, x: &str, y: u32) -> String;
    /// All bits turned over.
    fn not(&self, x: &str) -> String;
    /// Exclusive or.
    fn xor(&self, x: &str, y: &str) -> String;
    /// The low 32 bits of `(key * multiplier) >> by` in 64 bits.
    fn wide(&self, multiplier: u64, by: u32) -> String;
    /// A call of one of the [`Written::helpers`].
    fn call(&self, helper: &str, arguments: &[&str]) -> String {
        format!("{helper}({})", arguments.join(", "))
    }
}

/// An expression that may stand beside any operator: in parentheses, where it has an operator of its own.
pub(crate) fn atom(x: &str) -> String {
    let mut depth = 0;
    let compound = x.starts_with(['!', '~'])
        || x.chars().any(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0 && c == ' '
        });
    if compound { format!("({x})") } else { x.into() }
}

/// A function written out.
#[derive(Debug)]
pub(crate) struct Written {
    /// The first end, before it is masked.
    pub(crate) first: String,
    /// The second end, before it is masked.
    pub(crate) second: String,
    /// What the two call: `crc`, `jenkins`, `djb`, `djb_xor`, `fnv`, `halves`, `xor_shifted`, `xor_rotated`.
    pub(crate) helpers: Vec<&'static str>,
}

/// The two ends of the edge of a key named `key`.
pub(crate) fn write(function: Classic, seeds: &Seeds, d: &dyn Dialect) -> Written {
    let s = *seeds;
    let b = |n: u32| (s[2] >> (8 * (n - 1))) & 0x1F;
    let b6 = |n: u32| (s[2] >> (8 * (n - 1))) & 0x3F;
    let c = |n: u32| (s[5] >> (8 * (n - 1))) & 0x1F;
    let k = "key";
    let mul = |x: &str, by| d.mul(x, by);
    let rol = |x: &str, by| if by == 0 { x.into() } else { d.rol(x, by) };
    let ror = |x: &str, by| if by == 0 { x.into() } else { d.ror(x, by) };
    let shl = |x: &str, by| if by == 0 { x.into() } else { d.shl(x, by) };
    let shr = |x: &str, by| if by == 0 { x.into() } else { d.shr(x, by) };
    let seeded = |helper: &str, seed: u32, x: &str| d.call(helper, &[&d.constant(seed), x]);
    let crc = |seed: u32, x: &str| seeded("crc", seed, x);
    let xor_by = |x: &str, by: u32| d.xor(x, &d.constant(by));
    let xor_shifted = |x: &str, by: u32| d.call("xor_shifted", &[x, &by.to_string()]);
    let xor_rotated = |x: &str, by: u32| d.call("xor_rotated", &[x, &by.to_string()]);
    let wide = |low: u32, high: u32, by| d.wide(u64::from(low) | u64::from(high) << 32, by);

    use Classic::*;
    let (first, second): (String, String) = match function {
        Crc32Rotate15 => (crc(s[0], k), crc(s[1], &rol(k, 15))),
        Jenkins | JenkinsMod => (seeded("jenkins", s[0], k), seeded("jenkins", s[1], k)),
        RotateXor => (
            d.xor(&rol(&xor_by(k, s[0]), 15), &ror(&d.sub(k, s[2]), 11)),
            d.xor(&rol(&d.add(k, s[1]), 7), &ror(&xor_by(k, s[3]), 20)),
        ),
        AddSubXor => (d.add(k, s[0]), d.sub(k, s[1])),
        Xor => (d.call("halves", &[&xor_by(k, s[0])]), d.call("halves", &[&xor_by(&rol(k, 15), s[1])])),
        Dummy => (crc(s[0], k), crc(s[1], &rol(k, s[2] & 31))),
        Crc32RotateXor => (crc(s[0], k), d.call("crc", &[&crc(s[1], &rol(k, 15)), &xor_by(k, s[2])])),
        Crc32 => (crc(s[0], k), crc(s[1], k)),
        Djb => (seeded("djb", s[0], k), seeded("djb", s[1], k)),
        DjbXor => (seeded("djb_xor", s[0], k), seeded("djb_xor", s[1], k)),
        Fnv => (seeded("fnv", s[0], k), seeded("fnv", s[1], k)),
        Crc32Not => (crc(s[0], k), crc(s[1], &d.not(k))),
        Crc32RotateX => (crc(s[0], k), crc(s[1], &rol(k, b(1)))),
        Crc32RotateXY => (crc(s[0], &ror(k, b(1))), crc(s[1], &rol(k, b(2)))),
        Crc32RotateWXYZ => (rol(&crc(s[0], &ror(k, b(1))), b(2)), ror(&crc(s[1], &rol(k, b(3))), b(4))),
        RotateMultiplyXorRotate => {
            (xor_rotated(&mul(&ror(k, b(1)), s[0]), b(2)), xor_rotated(&mul(&ror(k, b(3)), s[1]), b(4)))
        }
        ShiftMultiplyXorShift => {
            (xor_shifted(&mul(&shr(k, b(1)), s[0]), b(2)), xor_shifted(&mul(&shr(k, b(3)), s[1]), b(4)))
        }
        ShiftMultiplyXorShift2 => (
            xor_shifted(&mul(&xor_shifted(&mul(&shr(k, b(1)), s[0]), b(2)), s[1]), b(3)),
            xor_shifted(&mul(&xor_shifted(&mul(&shr(k, c(1)), s[3]), c(2)), s[4]), c(3)),
        ),
        RotateMultiplyXorRotate2 => (
            xor_rotated(&mul(&xor_rotated(&mul(&ror(k, b(1)), s[0]), b(2)), s[1]), b(3)),
            xor_rotated(&mul(&xor_rotated(&mul(&ror(k, c(1)), s[3]), c(2)), s[4]), c(3)),
        ),
        MultiplyRotateR => (ror(&mul(k, s[0]), b(1)), ror(&mul(k, s[1]), b(2))),
        MultiplyRotateLR => (rol(&mul(k, s[0]), b(1)), ror(&mul(k, s[1]), b(2))),
        MultiplyShiftR => (shr(&mul(k, s[0]), b(1)), shr(&mul(k, s[1]), b(2))),
        MultiplyShiftLR => (shl(&mul(k, s[0]), b(1)), shr(&mul(k, s[1]), b(2))),
        Multiply => (mul(k, s[0]), mul(k, s[1])),
        MultiplyXor => (xor_by(&mul(k, s[0]), s[1]), xor_by(&mul(k, s[2]), s[3])),
        MultiplyRotateRMultiply => {
            (mul(&ror(&mul(k, s[0]), b(1)), s[1]), mul(&ror(&mul(k, s[3]), b(2)), s[4]))
        }
        MultiplyRotateR2 => (
            ror(&mul(&ror(&mul(k, s[0]), b(1)), s[1]), b(2)),
            ror(&mul(&ror(&mul(k, s[3]), b(3)), s[4]), b(4)),
        ),
        MultiplyShiftRMultiply => {
            (mul(&shr(&mul(k, s[0]), b(1)), s[1]), mul(&shr(&mul(k, s[3]), b(2)), s[4]))
        }
        MultiplyShiftR2 => (
            shr(&mul(&shr(&mul(k, s[0]), b(1)), s[1]), b(2)),
            shr(&mul(&shr(&mul(k, s[3]), b(3)), s[4]), b(4)),
        ),
        RotateRMultiply => (mul(&ror(k, b(1)), s[0]), mul(&ror(k, b(2)), s[1])),
        RotateRMultiplyRotateR => {
            (ror(&mul(&ror(k, b(1)), s[0]), b(2)), ror(&mul(&ror(k, b(3)), s[1]), b(4)))
        }
        Multiply643ShiftR | Multiply644ShiftR => (wide(s[0], s[1], b6(1)), wide(s[3], s[4], b6(2))),
        MultiplyShiftRX => (shr(&mul(k, s[0]), b(1)), shr(&mul(k, s[1]), b(1))),
        Mulshrolate1RX => (shr(&ror(&mul(k, s[0]), b(2)), b(1)), shr(&mul(k, s[1]), b(1))),
        Mulshrolate2RX => (shr(&ror(&mul(k, s[0]), b(2)), b(1)), shr(&ror(&mul(k, s[1]), b(3)), b(1))),
        Mulshrolate3RX => {
            (shr(&mul(&ror(&mul(k, s[0]), b(2)), s[3]), b(1)), shr(&ror(&mul(k, s[1]), b(3)), b(1)))
        }
        Mulshrolate4RX => (
            shr(&mul(&ror(&mul(k, s[0]), b(2)), s[3]), b(1)),
            shr(&mul(&ror(&mul(k, s[1]), b(3)), s[4]), b(1)),
        ),
    };
    const HELPERS: [&str; 8] =
        ["crc", "jenkins", "djb", "djb_xor", "fnv", "halves", "xor_shifted", "xor_rotated"];
    let calls = |helper: &&str| {
        let call = format!("{helper}(");
        first.contains(&call) || second.contains(&call)
    };
    let helpers = HELPERS.into_iter().filter(calls).collect();
    Written { first, second, helpers }
}
