//! The `.ostia` file: a table as it lies in memory, to be mapped and used without copying.
//!
//! All numbers are little-endian. The file is a header, a list of sections, and the sections, each at a
//! multiple of 64 bytes; `docs/file-format.md` has every field. A file that was cut, changed or made up is
//! refused with a reason: reading checks the lengths, the checksum and whatever a lookup relies on.

use std::{borrow::Cow, fmt};

use ostia_hash::{
    bytes::hash_bytes,
    function::{
        classic::{Classic, RngSpec},
        family::Family,
    },
    keys::{KeyType, Order},
    lane::Lane,
    squeeze::Squeeze,
    table::{Foreign, Head, Lanes, Malformed, Provenance, Shape, Table, ValueType},
};

/// The version this crate writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// No text file and no other version of it begins so; a transfer that changes line ends breaks it.
const MAGIC: [u8; 8] = *b"\x89OSTIA\r\n";
const HEADER: usize = 192;
const SECTION: usize = 24;
const ALIGN: usize = 64;
/// Where the checksum stands. It covers every byte of the file, itself as 0.
const CHECKSUM: usize = 24;
const CHECKSUM_SEED: u64 = 0x6F73_7469_6101;

/// Why bytes are no table.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FileError {
    /// They do not begin as an `.ostia` file does.
    Magic,
    /// Another version wrote them.
    Version(u32),
    /// There are fewer or more than the header says.
    Length {
        /// What the header says.
        stated: u64,
        /// What is there.
        actual: u64,
    },
    /// A byte was changed.
    Checksum,
    /// A field has a value that means nothing.
    Field(&'static str),
    /// The parts do not fit together.
    Malformed(Malformed),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Magic => write!(f, "this is not an .ostia file"),
            FileError::Version(version) => {
                write!(f, "the file has format version {version}; this program reads version {VERSION}")
            }
            FileError::Length { stated, actual } => {
                write!(
                    f,
                    "the file has {actual} bytes where its header says {stated}: it was cut or added to"
                )
            }
            FileError::Checksum => write!(f, "the checksum is wrong: the file was changed"),
            FileError::Field(what) => write!(f, "the file is damaged: {what}"),
            FileError::Malformed(malformed) => malformed.fmt(f),
        }
    }
}

impl std::error::Error for FileError {}

impl From<Malformed> for FileError {
    fn from(malformed: Malformed) -> Self {
        FileError::Malformed(malformed)
    }
}

/// The file's bytes for a table.
pub fn write(table: &Table<'_>) -> Vec<u8> {
    let head = table.head();
    let mut out = vec![0; HEADER];
    let sections = sections(table.lanes());
    let mut offset = (HEADER + SECTION * sections.len()).next_multiple_of(ALIGN);
    for (tag, lane) in &sections {
        out.extend_from_slice(&(*tag as u32).to_le_bytes());
        out.extend_from_slice(&lane.width().to_le_bytes());
        out.extend_from_slice(&(offset as u64).to_le_bytes());
        out.extend_from_slice(&(lane.bytes().len() as u64).to_le_bytes());
        offset = (offset + lane.bytes().len()).next_multiple_of(ALIGN);
    }
    for (_, lane) in &sections {
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        out.extend_from_slice(lane.bytes());
    }
    header(head, sections.len() as u32, &mut out);
    sealed(out)
}

/// The same bytes with the beginning, the length and the checksum of a file. What is in between is as it was:
/// for tests that must reach behind the checksum.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let total = bytes.len().max(HEADER);
    bytes.resize(total, 0);
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&(total as u64).to_le_bytes());
    bytes[CHECKSUM..CHECKSUM + 8].fill(0);
    let sum = hash_bytes(CHECKSUM_SEED, &bytes);
    bytes[CHECKSUM..CHECKSUM + 8].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The table in a file's bytes, which it borrows.
///
/// # Errors
/// When the bytes are not what [`write()`] makes of some table.
pub fn read(bytes: &[u8]) -> Result<Table<'_>, FileError> {
    if !bytes.starts_with(&MAGIC) || bytes.len() < 12 {
        return Err(FileError::Magic);
    }
    let fields = Fields(bytes);
    match fields.u32(8) {
        VERSION => {}
        other => return Err(FileError::Version(other)),
    }
    let actual = bytes.len() as u64;
    let stated = if bytes.len() < HEADER { HEADER as u64 } else { fields.u64(16) };
    if stated != actual || bytes.len() < HEADER {
        return Err(FileError::Length { stated, actual });
    }
    if fields.u64(CHECKSUM) != checksum(bytes) {
        return Err(FileError::Checksum);
    }
    let head = fields.head()?;
    let lanes = fields.lanes()?;
    Ok(Table::from_parts(head, lanes)?)
}

/// The checksum of a whole file, its own field taken as 0.
fn checksum(bytes: &[u8]) -> u64 {
    // The field is inside the first block: only that is copied.
    let mut first: [u8; HEADER] = bytes[..HEADER].try_into().expect("a file has a header");
    first[CHECKSUM..CHECKSUM + 8].fill(0);
    ostia_hash::bytes::hash_parts(CHECKSUM_SEED, &first, &bytes[HEADER..])
}

/// What a section holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
enum Tag {
    Cells = 1,
    Ranks = 2,
    Marks = 3,
    Keys = 4,
    TextEnds = 5,
    TextBytes = 6,
    Values = 7,
}

fn sections<'l>(lanes: &'l Lanes<'_>) -> Vec<(Tag, &'l Lane<'l>)> {
    let optional = [
        (Tag::Ranks, &lanes.ranks),
        (Tag::Marks, &lanes.marks),
        (Tag::Keys, &lanes.keys),
        (Tag::TextEnds, &lanes.text_ends),
        (Tag::TextBytes, &lanes.text_bytes),
        (Tag::Values, &lanes.values),
    ];
    let present = optional.into_iter().filter_map(|(tag, lane)| Some((tag, lane.as_ref()?)));
    std::iter::once((Tag::Cells, &lanes.cells)).chain(present).collect()
}

/// Shape tags in the file.
const CHM: u8 = 0;
const HALVES: u8 = 1;
const DISPLACE: u8 = 2;
const RETRIEVAL: u8 = 3;

fn header(head: &Head, sections: u32, out: &mut [u8]) {
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(12, &sections.to_le_bytes());
    let key_type = KeyType::ALL.iter().position(|&t| t == head.key_type).expect("ALL has every type");
    let (foreign, foreign_bits) = match head.foreign {
        Foreign::Unchecked => (0, 0),
        Foreign::Fingerprint { bits } => (1, bits as u8),
        Foreign::Exact => (2, 0),
    };
    let (value, value_width) = match head.values {
        None => (0, 0),
        Some(ValueType::Integer { width }) => (1, width),
        Some(ValueType::Record { size }) => (2, size),
    };
    let bitmap = if head.squeeze == Squeeze::None { 0 } else { head.squeeze.bitmap() };
    put(32, &[key_type as u8, u8::from(head.order == Order::Input), foreign, foreign_bits, value]);
    put(40, &head.count.to_le_bytes());
    put(44, &value_width.to_le_bytes());
    put(48, &bitmap.to_le_bytes());
    put(56, &head.text_seed.to_le_bytes());
    let rng = head.provenance.rng;
    for (i, word) in [rng.seed, rng.subsequence, rng.offset, head.provenance.attempt].into_iter().enumerate()
    {
        put(64 + 8 * i, &word.to_le_bytes());
    }
    // Shape: tag, function, and three sizes as powers of two; the part; then seeds or multipliers.
    let mut seeds = |words: &[u64]| {
        for (i, word) in words.iter().enumerate() {
            put(112 + 8 * i, &word.to_le_bytes());
        }
    };
    let (small, part) = match head.shape {
        Shape::Chm { function, seeds: own, vertices, index_bits } => {
            seeds(&own.map(u64::from));
            ([CHM, function.id(), vertices as u8, 0, index_bits as u8], 0)
        }
        Shape::Halves { family, multipliers, first, second, index_bits } => {
            seeds(&multipliers);
            let family = Family::ALL.iter().position(|&f| f == family).expect("ALL has every family");
            ([HALVES, family as u8, first as u8, second as u8, index_bits as u8], 0)
        }
        Shape::Displace { mixed, multipliers, buckets, slots } => {
            seeds(&multipliers);
            ([DISPLACE, u8::from(mixed), buckets as u8, slots as u8, 0], 0)
        }
        Shape::Retrieval { multipliers, part, in_place } => {
            seeds(&multipliers);
            ([RETRIEVAL, u8::from(in_place), 0, 0, 0], part)
        }
    };
    put(96, &small);
    put(104, &part.to_le_bytes());
}

/// Reads numbers at places that the caller has checked to be inside.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().expect("four bytes"))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().expect("eight bytes"))
    }

    fn head(&self) -> Result<Head, FileError> {
        let byte = |at: usize| self.0[at];
        let unknown = |what| Err(FileError::Field(what));
        let squeeze = match self.u64(48) {
            0 => Squeeze::None,
            bitmap if bitmap.count_ones() <= 32 => Squeeze::from_bitmap(bitmap),
            _ => return unknown("a key keeps more than 32 bits"),
        };
        Ok(Head {
            key_type: match KeyType::ALL.get(usize::from(byte(32))) {
                Some(key_type) => *key_type,
                None => return unknown("unknown key type"),
            },
            order: match byte(33) {
                0 => Order::Sorted,
                1 => Order::Input,
                _ => return unknown("unknown order"),
            },
            foreign: match byte(34) {
                0 => Foreign::Unchecked,
                1 => Foreign::Fingerprint { bits: byte(35).into() },
                2 => Foreign::Exact,
                _ => return unknown("unknown policy for foreign keys"),
            },
            values: match byte(36) {
                0 => None,
                1 => Some(ValueType::Integer { width: self.u32(44) }),
                2 => Some(ValueType::Record { size: self.u32(44) }),
                _ => return unknown("unknown value type"),
            },
            count: self.u32(40),
            squeeze,
            text_seed: self.u64(56),
            provenance: Provenance {
                rng: RngSpec { seed: self.u64(64), subsequence: self.u64(72), offset: self.u64(80) },
                attempt: self.u64(88),
            },
            shape: self.shape()?,
        })
    }

    fn shape(&self) -> Result<Shape, FileError> {
        let [tag, function, first, second, index_bits] = self.0[96..101].try_into().expect("five bytes");
        let [first, second, index_bits] = [first, second, index_bits].map(u32::from);
        let multipliers = [self.u64(112), self.u64(120)];
        let flag = match function {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(FileError::Field("unknown variant of the hash function")),
        };
        Ok(match tag {
            CHM => Shape::Chm {
                function: Classic::from_id(function).ok_or(FileError::Field("unknown hash function"))?,
                seeds: std::array::from_fn(|i| self.u64(112 + 8 * i) as u32),
                vertices: first,
                index_bits,
            },
            HALVES => Shape::Halves {
                family: *Family::ALL.get(usize::from(function)).ok_or(FileError::Field("unknown family"))?,
                multipliers,
                first,
                second,
                index_bits,
            },
            DISPLACE => Shape::Displace { mixed: flag?, multipliers, buckets: first, slots: second },
            RETRIEVAL => Shape::Retrieval { multipliers, part: self.u32(104), in_place: flag? },
            _ => return Err(FileError::Field("unknown kind of table")),
        })
    }

    fn lanes(&self) -> Result<Lanes<'a>, FileError> {
        const TAGS: [Tag; 7] =
            [Tag::Cells, Tag::Ranks, Tag::Marks, Tag::Keys, Tag::TextEnds, Tag::TextBytes, Tag::Values];
        let count = self.u32(12) as usize;
        if count > TAGS.len() || self.0.len() < HEADER + count * SECTION {
            return Err(FileError::Field("there are too many sections"));
        }
        let mut found: [Option<Lane<'a>>; TAGS.len()] = Default::default();
        for section in 0..count {
            let at = HEADER + section * SECTION;
            let tag = TAGS.iter().position(|&t| t as u32 == self.u32(at));
            let tag = tag.ok_or(FileError::Field("unknown section"))?;
            let (offset, len) = (self.u64(at + 8), self.u64(at + 16));
            let bytes = usize::try_from(offset)
                .ok()
                .zip(usize::try_from(len).ok())
                .and_then(|(offset, len)| self.0.get(offset..offset.checked_add(len)?))
                .ok_or(FileError::Field("a section reaches past the end"))?;
            let lane = Lane::new(Cow::Borrowed(bytes), self.u32(at + 4))
                .ok_or(FileError::Field("a section is not a whole number of elements"))?;
            if found[tag].replace(lane).is_some() {
                return Err(FileError::Field("a section stands twice"));
            }
        }
        let [cells, ranks, marks, keys, text_ends, text_bytes, values] = found;
        let cells = cells.ok_or(FileError::Field("there are no cells"))?;
        Ok(Lanes { cells, ranks, marks, keys, text_ends, text_bytes, values })
    }
}
