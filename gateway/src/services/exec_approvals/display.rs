//! When a command text and an argument vector are the same thing: the same here as on the nodes.

pub(crate) use openclaw_shared::exec_text::{describes, is_exactly};
