//! What the standard library's trees take. They do not tell; this is what their nodes come to.

/// A node holds up to 11 items; one that has split because of a larger item at its end keeps 6.
const NODE_ITEMS_MAX: usize = 11;
const NODE_ITEMS: usize = 6;
/// What a node has besides its items: its parent, its place there, and how many items it has.
const NODE_BYTES: usize = 16;
/// What one has in addition if it is not a leaf.
const CHILDREN_BYTES: usize = 12 * size_of::<usize>();

/// The bytes of a `BTreeMap` that was filled in ascending order, which makes the least of its nodes.
pub fn tree_map_bytes<K, V>(len: usize) -> usize {
    let node = NODE_ITEMS_MAX * (size_of::<K>() + size_of::<V>()) + NODE_BYTES;
    match len {
        0 => 0,
        1..=NODE_ITEMS_MAX => node,
        _ => {
            // Each leaf but the last has one item between it and the next, in a node above.
            let leaves = len.div_ceil(NODE_ITEMS + 1);
            let others = leaves.div_ceil(NODE_ITEMS);
            leaves * node + others * (node + CHILDREN_BYTES)
        }
    }
}

/// The same of a `BTreeSet`.
pub fn tree_set_bytes<T>(len: usize) -> usize {
    tree_map_bytes::<T, ()>(len)
}
