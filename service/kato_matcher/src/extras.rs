//! What a pattern has beside its events: emotives, affinity and metadata. Many patterns have none.
//!
//! The twin of `kato_service/engine/fold.py`.

/// One observation's emotives: number of the emotive and its value, in the order in which they came.
pub type Emotives = Box<[(u32, f64)]>;

/// Name -> values, names and values sorted by code point.
pub type Metadata = Vec<(Box<str>, Vec<Box<str>>)>;

/// A pattern's emotive window (oldest first), affinity sums in units of 2^-32, and metadata.
#[derive(Clone, Default)]
pub struct Extras {
    /// The last `persistence` dictionaries.
    pub window: Vec<Emotives>,
    /// Number of the emotive and the sum over the pattern's learnings.
    pub affinity: Vec<(u32, i128)>,
    /// The union over the pattern's learnings.
    pub metadata: Metadata,
}

impl Extras {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.window.is_empty() && self.affinity.is_empty() && self.metadata.is_empty()
    }

    /// Fold one more learning in; the window keeps its newest `persistence` dictionaries.
    pub fn learned(&self, more: &Self, persistence: usize) -> Self {
        let window: Vec<Emotives> = self.window.iter().chain(&more.window).cloned().collect();
        let cut = window.len().saturating_sub(persistence);
        let mut after = Self { window: window[cut..].to_vec(), ..self.clone() };
        for &(emotive, sum) in &more.affinity {
            match after.affinity.iter_mut().find(|known| known.0 == emotive) {
                Some(known) => known.1 += sum,
                None => after.affinity.push((emotive, sum)),
            }
        }
        for (name, values) in &more.metadata {
            let at = after.metadata.binary_search_by(|known| known.0.cmp(name)).unwrap_or_else(|at| {
                after.metadata.insert(at, (name.clone(), Vec::new()));
                at
            });
            unite(&mut after.metadata[at].1, values);
        }
        after
    }

    /// The mean of each emotive over the dictionaries that have it, added from the oldest to the newest.
    pub fn means(&self) -> Vec<(u32, f64)> {
        let mut totals: Vec<(u32, f64, u32)> = Vec::new();
        for &(emotive, value) in self.window.iter().flatten() {
            match totals.iter_mut().find(|known| known.0 == emotive) {
                Some(known) => (known.1, known.2) = (known.1 + value, known.2 + 1),
                None => totals.push((emotive, 0.0 + value, 1)),
            }
        }
        totals.into_iter().map(|(emotive, total, count)| (emotive, total / f64::from(count))).collect()
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        let window: usize = self.window.iter().map(|emotives| size_of_val(&**emotives) + size_of::<Emotives>()).sum();
        let texts: usize = self
            .metadata
            .iter()
            .flat_map(|(name, values)| values.iter().chain([name]))
            .map(|text| text.len() + 16)
            .sum();
        size_of::<Self>() + window + size_of_val(&*self.affinity) + texts
    }
}

fn unite(values: &mut Vec<Box<str>>, more: &[Box<str>]) {
    values.extend_from_slice(more);
    values.sort_unstable();
    values.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(values: &[&str]) -> Vec<Box<str>> {
        values.iter().map(|&value| value.into()).collect()
    }

    #[test]
    fn a_learning_is_folded_in() {
        let one = Extras {
            window: vec![[(0, 1.0)].into(), [(0, 2.0), (1, 5.0)].into()],
            affinity: vec![(0, 10)],
            metadata: vec![("m".into(), text(&["a", "c"]))],
        };
        let two = Extras {
            window: vec![[(0, 4.0)].into()],
            affinity: vec![(1, -3), (0, 5)],
            metadata: vec![("a".into(), text(&["x"])), ("m".into(), text(&["b", "c"]))],
        };
        let both = one.learned(&two, 2);
        assert_eq!(both.means(), [(0, 3.0), (1, 5.0)]);
        assert_eq!(both.affinity, [(0, 15), (1, -3)]);
        assert_eq!(both.metadata, [("a".into(), text(&["x"])), ("m".into(), text(&["a", "b", "c"]))]);
    }
}
