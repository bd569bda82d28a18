//! The learned vectors of a KB, searched by cosine: the twin of `LearnedVectors` in `kato_service/engine/vectors.py`.

use std::cmp::Ordering;
use std::collections::HashMap;

/// Vectors at length 1, by symbol.
#[derive(Default)]
pub struct Vectors {
    units: HashMap<Box<str>, Box<[f64]>>,
}

impl Vectors {
    /// Keep a vector; one that is known changes nothing.
    pub fn learn(&mut self, symbol: &str, values: &[f64]) {
        if !self.units.contains_key(symbol) {
            self.units.insert(symbol.into(), unit(values));
        }
    }

    /// The symbols of the `count` vectors of the same dimension with the greatest cosine, ties by symbol.
    pub fn nearest(&self, values: &[f64], count: usize) -> Vec<&str> {
        let wanted = unit(values);
        let comparable = self.units.iter().filter(|(_, unit)| unit.len() == wanted.len());
        let mut ranked: Vec<(f64, &str)> =
            comparable.map(|(symbol, unit)| (cosine(&wanted, unit), &**symbol)).collect();
        let order = |a: &(f64, &str), b: &(f64, &str)| {
            b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(b.1))
        };
        if count < ranked.len() {
            ranked.select_nth_unstable_by(count, order);
            ranked.truncate(count);
        }
        ranked.sort_unstable_by(order);
        ranked.into_iter().map(|(_, symbol)| symbol).collect()
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        let bytes: usize = self.units.iter().map(|(symbol, unit)| symbol.len() + size_of_val(&**unit)).sum();
        bytes + self.units.capacity() * (size_of::<(Box<str>, Box<[f64]>)>() + 1)
    }
}

/// The vector at length 1: divided by its greatest magnitude, then by the root of the squares, added from the left.
fn unit(values: &[f64]) -> Box<[f64]> {
    let greatest = values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    if greatest == 0.0 {
        return values.into();
    }
    let scaled: Vec<f64> = values.iter().map(|value| value / greatest).collect();
    let length = cosine(&scaled, &scaled).sqrt();
    scaled.iter().map(|value| value / length).collect()
}

/// The sum of the products, added to 0.0 from the left.
fn cosine(first: &[f64], second: &[f64]) -> f64 {
    first.iter().zip(second).fold(0.0, |sum, (a, b)| sum + a * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_first_and_ties_by_symbol() {
        let mut vectors = Vectors::default();
        for (symbol, values) in [("b", [2.0, 0.0]), ("a", [1.0, 0.0]), ("c", [0.0, 1.0]), ("a", [0.0, 9.0])] {
            vectors.learn(symbol, &values);
        }
        vectors.learn("other", &[1.0]);
        assert_eq!(vectors.nearest(&[5.0, 1.0], 3), ["a", "b", "c"]);
        assert_eq!(vectors.nearest(&[5.0, 1.0], 1), ["a"]);
        assert_eq!(vectors.nearest(&[0.0, 0.0], 2), ["a", "b"]);
    }
}
