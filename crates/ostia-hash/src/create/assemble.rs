//! The table of a solution, put together part by part.

use alloc::{sync::Arc, vec::Vec};

use super::{
    Engine, Options,
    engine::{Breaths, parts},
    solve::Solution,
};
use crate::{
    keys::{KeySet, Texts},
    kind::retrieval::Peeled,
    lane::{Lane, Words},
    plan::What,
    squeeze::Squeeze,
    table::{
        Foreign, Head, Lanes, Mismatch, Provenance, Shape, Table, Values, displace_fields, fingerprint,
        index_range, verify::Verify,
    },
};

/// The arrays that only the search knows.
struct Arrays {
    cells: Lane<'static>,
    /// For a displace table, the slot of each key.
    slots: Option<Vec<u32>>,
    marks: Option<Lane<'static>>,
}

/// Puts tables together. Whatever gives `None` was abandoned.
pub(super) struct Assembly<'a, E> {
    pub(super) set: &'a KeySet,
    pub(super) values: Option<&'a Values>,
    pub(super) options: &'a Options,
    pub(super) squeeze: Squeeze,
    pub(super) words: &'a Arc<[u64]>,
    pub(super) breaths: Breaths<'a, E>,
}

impl<E: Engine> Assembly<'_, E> {
    /// The table of a solution of a step, which an attempt has found.
    pub(super) async fn table(
        &self,
        what: &What,
        solution: Solution,
        attempt: u64,
    ) -> Option<Table<'static>> {
        let (shape, arrays) = self.lay_down(what, solution).await?;
        let set = self.set;
        let count = set.len();
        let options = self.options;
        let ordered = options.ordered || arrays.slots.is_none();
        let in_place = matches!(shape, Shape::Retrieval { in_place: true, .. });

        // Which key stands at each index; `count` where none does.
        let nobody = count as u32;
        let (at, ranks) = match &arrays.slots {
            Some(slots) => {
                let Shape::Displace { slots: bits, .. } = shape else {
                    unreachable!("only displace tables have slots")
                };
                let mut at = alloc::vec![nobody; 1 << bits];
                for part in parts(count) {
                    self.breaths.take().await?;
                    for key in part {
                        at[slots[key] as usize] = key as u32;
                    }
                }
                let width = Lane::width_below(u64::from(index_range(nobody)));
                let rank = |slot: usize| if at[slot] == nobody { 0 } else { u64::from(at[slot]) };
                let ranks = if ordered { Some(self.lane(at.len(), width, rank).await?) } else { None };
                (at, ranks)
            }
            None => (Vec::new(), None),
        };
        let at = if ordered {
            let range = match shape {
                Shape::Chm { index_bits, .. } | Shape::Halves { index_bits, .. } => 1 << index_bits,
                Shape::Displace { .. } | Shape::Retrieval { .. } => index_range(nobody),
            };
            (0..range).map(|i: u32| i.min(nobody)).collect()
        } else {
            at
        };
        self.breaths.take().await?;
        // Where nobody stands a member is repeated: it equals no foreign key, and does not look there itself.
        let exact = options.foreign == Foreign::Exact;
        let keys = if exact && !set.key_type().is_text() {
            let key = |index: usize| set.words()[if at[index] == nobody { 0 } else { at[index] as usize }];
            Some(self.lane(at.len(), set.key_type().bits() / 8, key).await?)
        } else {
            None
        };
        let texts = match set.as_texts().filter(|_| exact) {
            Some(texts) => Some(self.texts(texts, &at).await?),
            None => None,
        };
        let marks = match options.foreign {
            Foreign::Fingerprint { bits } if !in_place => Some(self.marks(bits, &at).await?),
            _ => arrays.marks,
        };
        let values = match self.values.filter(|_| !in_place) {
            Some(values) => Some(self.values(values, &at).await?),
            None => None,
        };
        self.breaths.take().await?;
        let head = Head {
            key_type: set.key_type(),
            count: nobody,
            order: set.order(),
            squeeze: self.squeeze,
            text_seed: set.text_seed(),
            shape,
            foreign: options.foreign,
            values: self.values.map(Values::value_type),
            provenance: Provenance { rng: options.rng, attempt },
        };
        let lanes = Lanes {
            cells: arrays.cells,
            ranks,
            marks,
            keys,
            text_ends: texts.as_ref().map(|t| Lane::from_words(t.ends().iter().copied(), 8)),
            text_bytes: texts.as_ref().and_then(|t| Lane::new(t.bytes().to_vec(), 1)),
            values,
        };
        Some(Table::from_parts(head, lanes).expect("what is put together here holds together"))
    }

    /// Looks up every key.
    pub(super) async fn verify(&self, table: &Table<'_>) -> Option<Result<(), Mismatch>> {
        let mut verify = match Verify::new(table, self.set, self.values) {
            Ok(verify) => verify,
            Err(mismatch) => return Some(Err(mismatch)),
        };
        for part in parts(self.set.len()) {
            self.breaths.take().await?;
            if let Err(mismatch) = verify.check(part) {
                return Some(Err(mismatch));
            }
        }
        Some(Ok(()))
    }

    async fn lay_down(&self, what: &What, solution: Solution) -> Option<(Shape, Arrays)> {
        let words = self.words;
        let (shape, cells, slots) = match (what, solution) {
            (&What::Chm { function, vertices, index_bits }, Solution::Chm(found)) => {
                let shape = Shape::Chm { function, seeds: found.seeds, vertices, index_bits };
                (shape, self.cells(&found.entries, index_bits).await?, None)
            }
            (&What::Halves { family, first, second, index_bits }, Solution::Halves(found)) => {
                let multipliers = found.multipliers;
                let shape = Shape::Halves { family, multipliers, first, second, index_bits };
                (shape, self.cells(&found.entries, index_bits).await?, None)
            }
            (&What::Displace { mixed, buckets, slots }, Solution::Displace(found)) => {
                let multipliers = found.multipliers;
                let mut of = Vec::with_capacity(words.len());
                for part in parts(words.len()) {
                    self.breaths.take().await?;
                    of.extend(words[part].iter().map(|&word| {
                        let (bucket, field) = displace_fields(mixed, multipliers, buckets, slots, word);
                        field ^ found.displacements[bucket as usize]
                    }));
                }
                let shape = Shape::Displace { mixed, multipliers, buckets, slots };
                (shape, self.cells(&found.displacements, slots).await?, Some(of))
            }
            (&What::Retrieval { part }, Solution::Retrieval(peeled)) => {
                return self.retrieval(part, &peeled).await;
            }
            _ => unreachable!("a step's solution is of its kind"),
        };
        Some((shape, Arrays { cells, slots, marks: None }))
    }

    async fn retrieval(&self, part: u32, peeled: &Peeled) -> Option<(Shape, Arrays)> {
        let in_place = self.options.in_place;
        let cells = match (in_place, self.values) {
            (true, Some(values)) => self.lay(peeled, values.lane()).await?,
            _ => {
                let width = Lane::width_below(u64::from(index_range(self.words.len() as u32)));
                let indexes = self.lane(self.words.len(), width, |key| key as u64).await?;
                self.lay(peeled, &indexes).await?
            }
        };
        // Fingerprints of an in-place table lie as its values do; else they are addressed by index.
        let marks = match self.options.foreign {
            Foreign::Fingerprint { bits } if in_place => {
                let words = self.set.words();
                let width = Lane::width_below(1 << bits);
                let marks = self.lane(words.len(), width, |key| fingerprint(words[key], bits)).await?;
                Some(self.lay(peeled, &marks).await?)
            }
            _ => None,
        };
        let shape = Shape::Retrieval { multipliers: peeled.multipliers, part, in_place };
        Some((shape, Arrays { cells, slots: None, marks }))
    }

    /// Cells whose sums are the payloads of the keys.
    async fn lay(&self, peeled: &Peeled, payloads: &Lane<'static>) -> Option<Lane<'static>> {
        let width = payloads.width();
        let mut cells = peeled.cells(width as usize);
        for part in parts(self.words.len()) {
            self.breaths.take().await?;
            let payload = |key| payloads.record(key as usize);
            peeled.lay(part, self.words, width as usize, payload, &mut cells);
        }
        Some(Lane::new(cells, width).expect("there are whole cells, at least one a key"))
    }

    /// Entries below `2^bits`.
    async fn cells(&self, entries: &[u32], bits: u32) -> Option<Lane<'static>> {
        let width = Lane::width_below(1 << bits);
        self.lane(entries.len(), width, |place| u64::from(entries[place])).await
    }

    /// The fingerprint of the key at each index.
    async fn marks(&self, bits: u32, at: &[u32]) -> Option<Lane<'static>> {
        let words = self.set.words();
        // Where no key has an index, 0 does as well as anything: it passes once in 2^bits.
        let mark = |index: usize| words.get(at[index] as usize).map_or(0, |&word| fingerprint(word, bits));
        self.lane(at.len(), Lane::width_below(1 << bits), mark).await
    }

    /// The string at each index; the shortest where there is none.
    async fn texts(&self, texts: &Texts, at: &[u32]) -> Option<Texts> {
        let shortest = (0..texts.len()).min_by_key(|&i| texts.get(i).len()).expect("a set is never empty");
        let mut all = Texts::default();
        for part in parts(at.len()) {
            self.breaths.take().await?;
            for &key in &at[part] {
                all.push(texts.get(if key as usize == texts.len() { shortest } else { key as usize }));
            }
        }
        Some(all)
    }

    /// The value at each index; 0 where there is none.
    async fn values(&self, values: &Values, at: &[u32]) -> Option<Lane<'static>> {
        let width = values.lane().width() as usize;
        let none = alloc::vec![0; width];
        let mut bytes = Vec::with_capacity(at.len() * width);
        for part in parts(at.len()) {
            self.breaths.take().await?;
            for &key in &at[part] {
                let is_somebody = (key as usize) < values.len();
                bytes.extend_from_slice(if is_somebody { values.lane().record(key as usize) } else { &none });
            }
        }
        Some(Lane::new(bytes, width as u32).expect("a value for each index"))
    }

    /// `count` integers in `width` bytes each.
    async fn lane(
        &self,
        count: usize,
        width: u32,
        word: impl Fn(usize) -> u64 + Send,
    ) -> Option<Lane<'static>> {
        let mut words = Words::new(count, width);
        for part in parts(count) {
            self.breaths.take().await?;
            words.extend(part.map(&word));
        }
        Some(words.finish())
    }
}
