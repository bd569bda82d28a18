//! Vectors that grow by an eighth and not to the double: the index is mostly vectors, and memory is one of its goals.

/// `Vec::push` with little slack.
pub fn push<T>(items: &mut Vec<T>, item: T) {
    room(items, 1);
    items.push(item);
}

/// `Vec::extend_from_slice` with little slack.
pub fn extend<T: Copy>(items: &mut Vec<T>, more: &[T]) {
    room(items, more.len());
    items.extend_from_slice(more);
}

/// `Vec::insert` with little slack.
pub fn insert<T>(items: &mut Vec<T>, at: usize, item: T) {
    room(items, 1);
    items.insert(at, item);
}

/// `Vec::resize` with little slack.
pub fn resize<T: Copy>(items: &mut Vec<T>, length: usize, value: T) {
    room(items, length.saturating_sub(items.len()));
    items.resize(length, value);
}

fn room<T>(items: &mut Vec<T>, more: usize) {
    if items.capacity() - items.len() < more {
        items.reserve_exact(more.max(items.len() / 8 + 2));
    }
}
