//! Panics on demand, for the test that a panic takes nothing with it.
//!
//! The tests arm a point by its name; the next pass through it panics once. In service no point is ever armed.

use std::sync::Mutex;

/// The point that panics next, if any.
#[derive(Default)]
pub struct Faults {
    armed: Mutex<Option<String>>,
}

impl Faults {
    /// Let the next pass through `point` panic.
    pub fn arm(&self, point: &str) {
        *self.locked() = Some(point.to_owned());
    }

    /// Panic if `point` is armed.
    pub fn pass(&self, point: &str) {
        let mut armed = self.locked();
        if armed.as_deref() == Some(point) {
            *armed = None;
            drop(armed);
            panic!("injected at {point}");
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.armed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
