//! Python values to the crate's own, each with its bounds: nothing that breaks one gets in, and nothing takes effect.
//!
//! Called by `python`. A value out of bounds raises `kato_spec.errors.Rejected(field, value, allowed)`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::input::{Events, NamedEmotives, Record};
use crate::metric::Metric;
use crate::pattern::Name;
use crate::query::Parameters;

const MOST_SYMBOLS: usize = 1 << 22; // a long pattern's words are counted in 16 bits
const MOST_AFFINITY: i128 = 1 << 100; // sums over all patterns stay far inside 128 bits

/// One learning: the record to fold in, the vectors first seen in it, and its window.
pub struct Learning {
    /// Frequency 1.
    pub record: Record,
    /// Vector symbols with their values.
    pub vectors: Vec<(String, Vec<f64>)>,
    /// Length of the emotive window.
    pub persistence: usize,
}

/// The error of a value out of bounds.
pub fn rejected(field: &str, value: &Bound<'_, PyAny>, allowed: &str) -> PyErr {
    let raise = || value.py().import("kato_spec.errors")?.getattr("Rejected")?.call1((field, value, allowed));
    raise().map_or_else(|error| error, PyErr::from_value)
}

/// A pattern's bare name.
pub fn name_of(name: &str) -> Option<Name> {
    let mut bytes = Name::default();
    let digits = name.as_bytes();
    if digits.len() != 40 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

/// Events: an iterable of iterables of strings.
pub fn events(value: &Bound<'_, PyAny>) -> PyResult<Events> {
    let mut found = Events::default();
    for event in value.try_iter()? {
        found.open();
        for symbol in event?.try_iter()? {
            found.push(symbol?.cast::<PyString>()?.to_str()?);
        }
    }
    Ok(found)
}

/// A `PatternRecord`.
pub fn record(value: &Bound<'_, PyAny>) -> PyResult<Record> {
    let py = value.py();
    let frequency = value.getattr(intern!(py, "frequency"))?;
    let frequency = match frequency.extract::<u32>() {
        Ok(number) if number > 0 => number,
        _ => return Err(rejected("frequency", &frequency, "an integer 1..4294967295")),
    };
    parts(value, frequency)
}

/// A `Learning`.
pub fn learning(value: &Bound<'_, PyAny>) -> PyResult<Learning> {
    let py = value.py();
    let mut found = Vec::new();
    for (symbol, values) in pairs(&value.getattr(intern!(py, "vectors"))?)? {
        found.push((text(&symbol)?, vector(&values)?));
    }
    Ok(Learning {
        record: parts(value, 1)?,
        vectors: found,
        persistence: value.getattr(intern!(py, "persistence"))?.extract()?,
    })
}

fn parts(value: &Bound<'_, PyAny>, frequency: u32) -> PyResult<Record> {
    let py = value.py();
    let mut found = Record { frequency, ..Record::default() };
    let name = value.getattr(intern!(py, "name"))?;
    found.name = name_of(name.cast::<PyString>()?.to_str()?)
        .ok_or_else(|| rejected("name", &name, "40 lower-case hexadecimal digits"))?;
    let sequence = value.getattr(intern!(py, "events"))?;
    found.events = events(&sequence)?;
    if !(1..=MOST_SYMBOLS).contains(&found.events.len()) || found.events.lengths().contains(&0) {
        return Err(rejected("events", &sequence, "events of at least one symbol, 1..4194304 symbols together"));
    }
    for emotives in value.getattr(intern!(py, "emotives"))?.try_iter()? {
        found.emotives.push(named_emotives(&emotives?)?);
    }
    for (emotive, sum) in pairs(&value.getattr(intern!(py, "affinity"))?)? {
        let number = sum.extract::<i128>().ok().filter(|number| number.abs() <= MOST_AFFINITY);
        let number = number.ok_or_else(|| rejected("affinity", &sum, "an integer of at most 2**100 in magnitude"))?;
        found.affinity.push((text(&emotive)?, number));
    }
    for (name, values) in pairs(&value.getattr(intern!(py, "metadata"))?)? {
        found.metadata.push((text(&name)?, values.try_iter()?.map(|value| text(&value?)).collect::<PyResult<_>>()?));
    }
    Ok(found)
}

fn named_emotives(value: &Bound<'_, PyAny>) -> PyResult<NamedEmotives> {
    pairs(value)?.into_iter().map(|(name, value)| Ok((text(&name)?, finite("emotives", &value)?))).collect()
}

/// A vector's values.
pub fn vector(values: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    values.try_iter()?.map(|value| finite("vectors", &value?)).collect()
}

fn finite(field: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    let number: f64 = value.extract()?;
    if number.is_finite() { Ok(number) } else { Err(rejected(field, value, "a finite number")) }
}

fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(value.cast::<PyString>()?.to_str()?.to_owned())
}

/// The items of a mapping.
fn pairs<'py>(value: &Bound<'py, PyAny>) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    match value.cast::<PyDict>() {
        Ok(dict) => Ok(dict.iter().collect()),
        Err(_) => value.call_method0("items")?.try_iter()?.map(|item| item?.extract()).collect(),
    }
}

/// The fields of `kato_spec.parameters.Parameters` that matter to a prediction.
pub fn parameters(value: &Bound<'_, PyAny>) -> PyResult<Parameters> {
    let py = value.py();
    let rank = value.getattr(intern!(py, "rank_sort_algo"))?;
    let metric = Metric::named(rank.cast::<PyString>()?.to_str()?);
    let pipeline: Option<Vec<String>> = value.getattr(intern!(py, "filter_pipeline"))?.extract()?;
    let pipeline = pipeline.unwrap_or_default();
    let has = |filter: &str| pipeline.iter().any(|name| name == filter);
    let length = || -> PyResult<_> {
        let least = value.getattr(intern!(py, "length_min_ratio"))?.extract()?;
        Ok((least, value.getattr(intern!(py, "length_max_ratio"))?.extract()?))
    };
    let jaccard = || -> PyResult<_> {
        let share = value.getattr(intern!(py, "jaccard_threshold"))?.extract()?;
        Ok((share, value.getattr(intern!(py, "jaccard_min_overlap"))?.extract()?))
    };
    Ok(Parameters {
        recall_threshold: value.getattr(intern!(py, "recall_threshold"))?.extract()?,
        max_predictions: value.getattr(intern!(py, "max_predictions"))?.extract()?,
        use_token_matching: value.getattr(intern!(py, "use_token_matching"))?.extract()?,
        fuzzy_token_threshold: value.getattr(intern!(py, "fuzzy_token_threshold"))?.extract()?,
        rank_sort_algo: metric.ok_or_else(|| rejected("rank_sort_algo", &rank, "the name of a metric"))?,
        affinity_emotive: value.getattr(intern!(py, "affinity_emotive"))?.extract()?,
        length_filter: has("length").then(length).transpose()?,
        jaccard_filter: has("jaccard").then(jaccard).transpose()?,
    })
}
