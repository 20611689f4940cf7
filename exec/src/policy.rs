//! May this be executed? From an argument vector, the owner's file and what an approval says to a verdict.   (pure)
//!
//! Invariant: what is judged is what is executed. [`judge::Judged`] is the command that runs when the allow-list lets it run; in it
//! every program is named by the file that was judged, whatever link led to it, and a shell gets a script of quoted words.
//!
//! Whatever cannot be judged is not refused for good: it needs a person's approval, and then runs as it was approved.

mod allowlist;
mod carriers;
pub mod decide;
mod glob;
mod judge;
pub mod programs;
pub mod resolve;
mod safe_bins;
mod script;
