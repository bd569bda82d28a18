//! The Python module `kato_service.engine._matcher`: the index as a class, values in and out, panics and locks.
//!
//! Every piece of work is done with the GIL released, under a lock that many readers or one writer hold; whoever holds
//! it never waits for the GIL. A panic becomes a `RuntimeError`; after one in a write the index repairs itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::convert::{Learning, events, learning, name_of, parameters, record, vector};
use crate::extras::Extras;
use crate::index::Index;
use crate::input::Record;
use crate::listing::{self, Page};
use crate::pattern::Name;
use crate::predict;
use crate::room::Room;
use crate::snapshot;

const BATCH: usize = 4096;

/// A knowledge base.
#[pyclass(frozen, name = "Index", module = "kato_service.engine._matcher")]
#[derive(Default)]
struct PyIndex {
    index: RwLock<Index>,
    rooms: Mutex<Vec<Room>>,
}

fn caught<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        PyRuntimeError::new_err(format!("the matcher panicked: {}", said.unwrap_or("no message")))
    })
}

impl PyIndex {
    fn read<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&Index) -> T + Send) -> PyResult<T> {
        py.detach(|| {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            caught(|| work(&index))
        })
    }

    fn write(&self, py: Python<'_>, work: impl FnOnce(&mut Index) + Send) -> PyResult<()> {
        py.detach(|| {
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            let done = caught(|| work(&mut index));
            if done.is_err() {
                index.repair();
            }
            done
        })
    }

    /// Read with room to work in; the room is lost when the work panics.
    fn work<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&Index, &mut Room) -> T + Send) -> PyResult<T> {
        self.read(py, |index| {
            let mut room = self.rooms().pop().unwrap_or_default();
            let done = work(index, &mut room);
            self.rooms().push(room);
            done
        })
    }

    fn rooms(&self) -> MutexGuard<'_, Vec<Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyIndex {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Put `PatternRecord`s as they stand; one that is out of bounds leaves the KB empty.
    fn load(&self, py: Python<'_>, records: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut records = records.try_iter()?;
        loop {
            let batch: PyResult<Vec<Record>> = records.by_ref().take(BATCH).map(|found| record(&found?)).collect();
            let done = batch.and_then(|batch| {
                self.write(py, |index| batch.iter().for_each(|record| index.put(record)))?;
                Ok(batch.is_empty())
            });
            match done {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(error) => return self.clear(py).and(Err(error)),
            }
        }
    }

    /// Put `PatternRecord`s in the place of what is known of them, all at once for a reader; one that is out of bounds
    /// changes nothing.
    fn put(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let records: Vec<Record> = values.try_iter()?.map(|value| record(&value?)).collect::<PyResult<_>>()?;
        self.write(py, move |index| records.iter().for_each(|record| index.put(record)))
    }

    /// Fold a `Learning` in.
    fn learn(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Learning { record, vectors, persistence } = learning(value)?;
        self.write(py, move |index| {
            index.learn(&record, persistence);
            vectors.iter().for_each(|(symbol, values)| index.vectors.learn(symbol, values));
        })
    }

    /// Keep a vector.
    fn learn_vector(&self, py: Python<'_>, symbol: String, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let values = vector(values)?;
        self.write(py, move |index| index.vectors.learn(&symbol, &values))
    }

    /// Forget a pattern; an unknown name changes nothing.
    fn delete(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        name_of(name).map_or(Ok(()), |name| self.write(py, |index| index.delete(&name)))
    }

    /// Forget everything.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.write(py, Index::clear)
    }

    /// The JSON bytes of a prediction.
    fn predict<'py>(
        &self,
        py: Python<'py>,
        stm: &Bound<'py, PyAny>,
        session: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (stm, session) = (events(stm)?, parameters(session)?);
        let answer = self.work(py, |index, room| predict::predict(index, &stm, &session, room))?;
        Ok(PyBytes::new(py, &answer))
    }

    /// The ensemble alone, for measurements: the place (4 bytes) and the LCS (2 bytes) of every recalled pattern.
    fn recall<'py>(
        &self,
        py: Python<'py>,
        stm: &Bound<'py, PyAny>,
        session: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let (stm, session) = (events(stm)?, parameters(session)?);
        let (places, lcs) = self.work(py, |index, room| predict::recalled(index, &stm, &session, room))?;
        let places = bytes_of(py, &places, |place| place.to_ne_bytes())?;
        Ok((places, bytes_of(py, &lcs, |lcs| lcs.to_ne_bytes())?))
    }

    /// (events, frequency, emotives, affinity, metadata) of a pattern, or None.
    fn record<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(name) = name_of(name) else { return Ok(None) };
        let found = self.read(py, |index| pattern_of(index, &name))?;
        found.map(|found| found.into_python(py)).transpose()
    }

    /// The names, sorted: those behind `after` that begin with `start`, of patterns with `symbol`, `count` at most.
    #[pyo3(signature = (after="", start="", symbol=None, count=None))]
    fn names(
        &self,
        py: Python<'_>,
        after: &str,
        start: &str,
        symbol: Option<&str>,
        count: Option<usize>,
    ) -> PyResult<Vec<String>> {
        let page = Page { after, start, symbol, count: count.unwrap_or(usize::MAX) };
        self.read(py, |index| listing::names(index, &page))
    }

    /// (patterns, learnings, symbol occurrences, distinct symbols).
    fn totals(&self, py: Python<'_>) -> PyResult<(usize, u64, u64, usize)> {
        self.read(py, |index| {
            let counts = index.counts();
            (counts.patterns, counts.frequencies, counts.symbol_frequencies, index.symbols.distinct())
        })
    }

    /// (frequency, patterns with it, affinity) of a symbol, or None.
    fn symbol(&self, py: Python<'_>, symbol: &str) -> PyResult<Option<Statistics>> {
        self.read(py, |index| {
            let number = index.symbols.find(symbol)?;
            let affinity = index.symbols.affinity(number);
            let mut affinity: Vec<(String, f64)> =
                affinity.map(|(emotive, sum)| (index.emotives.name(emotive).to_owned(), sum)).collect();
            affinity.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            Some((index.symbols.frequency(number), index.symbols.patterns(number), affinity))
        })
    }

    /// The JSON bytes of all symbols' statistics.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.read(py, listing::statistics)?))
    }

    /// The JSON bytes of the affinities of all symbols that have any.
    fn affinities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.read(py, listing::affinities)?))
    }

    /// The symbols of the nearest learned vectors.
    fn nearest(&self, py: Python<'_>, values: Vec<f64>, count: usize) -> PyResult<Vec<String>> {
        self.read(py, |index| index.vectors.nearest(&values, count).into_iter().map(str::to_owned).collect())
    }

    /// All patterns as bytes that `restore` reads faster than `load` reads records.
    fn dump<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.read(py, snapshot::write)?))
    }

    /// Put the patterns of a dump in place of everything; False, and nothing changes, when it cannot be read.
    fn restore(&self, py: Python<'_>, dump: &[u8]) -> PyResult<bool> {
        let Some(restored) = py.detach(|| caught(|| snapshot::read(dump)))? else { return Ok(false) };
        self.write(py, move |index| *index = restored)?;
        Ok(true)
    }

    /// Bytes in use: patterns, symbols, extras, vectors.
    fn memory(&self, py: Python<'_>) -> PyResult<Vec<(&'static str, usize)>> {
        self.read(py, |index| index.memory().to_vec())
    }

    /// For tests: let the next pass through `point` panic ("insert", "relearn", "delete", "predict").
    fn _panic_at(&self, py: Python<'_>, point: &str) -> PyResult<()> {
        self.read(py, |index| index.faults.arm(point))
    }
}

/// Frequency, patterns with it, affinity by emotive.
type Statistics = (u64, u32, Vec<(String, f64)>);

/// A pattern, owned.
struct Pattern {
    events: Vec<Vec<String>>,
    frequency: u32,
    extras: Extras,
    emotives: Vec<String>,
}

fn pattern_of(index: &Index, name: &Name) -> Option<Pattern> {
    let found = index.find(name)?;
    let text = |&symbol: &u32| index.symbols.text(symbol).to_owned();
    let extras = found.extras.cloned().unwrap_or_default();
    let used = extras.window.iter().flatten().map(|known| known.0).chain(extras.affinity.iter().map(|known| known.0));
    let most = used.max().map_or(0, |most| most + 1);
    Some(Pattern {
        events: found.row.events(0, found.row.len()).map(|event| event.iter().map(text).collect()).collect(),
        frequency: found.frequency,
        emotives: (0..most).map(|number| index.emotives.name(number).to_owned()).collect(),
        extras,
    })
}

impl Pattern {
    fn into_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        let events = self.events.iter().map(|event| PyTuple::new(py, event)).collect::<PyResult<Vec<_>>>()?;
        let name = |number: u32| &self.emotives[number as usize];
        let mut window = Vec::new();
        for emotives in &self.extras.window {
            let dict = PyDict::new(py);
            emotives.iter().try_for_each(|&(emotive, value)| dict.set_item(name(emotive), value))?;
            window.push(dict);
        }
        let affinity = PyDict::new(py);
        let mut sums: Vec<(&String, i128)> =
            self.extras.affinity.iter().map(|&(emotive, sum)| (name(emotive), sum)).collect();
        sums.sort_unstable();
        sums.into_iter().try_for_each(|(emotive, sum)| affinity.set_item(emotive, sum))?;
        let metadata = PyDict::new(py);
        for (name, values) in &self.extras.metadata {
            metadata.set_item(&**name, PyTuple::new(py, values.iter().map(|value| &**value))?)?;
        }
        (PyTuple::new(py, events)?, self.frequency, PyTuple::new(py, window)?, affinity, metadata).into_pyobject(py)
    }
}

fn bytes_of<'py, T: Copy, const N: usize>(
    py: Python<'py>,
    numbers: &[T],
    bytes_of: impl Fn(T) -> [u8; N],
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, N * numbers.len(), |bytes| {
        bytes.chunks_exact_mut(N).zip(numbers).for_each(|(bytes, &number)| bytes.copy_from_slice(&bytes_of(number)));
        Ok(())
    })
}

#[pymodule]
fn _matcher(module: &Bound<'_, PyModule>) -> PyResult<()> {
    #[cfg(feature = "mutants")]
    module.add_function(wrap_pyfunction!(choose_mutant, module)?)?;
    module.add_class::<PyIndex>()
}

#[cfg(feature = "mutants")]
#[pyfunction]
fn choose_mutant(name: &str) -> Vec<String> {
    crate::mutants::choose(name)
}
