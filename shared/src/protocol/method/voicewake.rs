//! The words that wake an assistant that listens.

use super::methods;
use crate::protocol::params::voicewake::{
    VoicewakeGetParams, VoicewakeSetParams, VoicewakeTriggers,
};

methods! {
    "Voice wake";
    /// The words.
    VoicewakeGet = "voicewake.get", Read, VoicewakeGetParams => VoicewakeTriggers;
    /// Sets the words and tells everybody, nodes included.
    VoicewakeSet = "voicewake.set", Write, VoicewakeSetParams => VoicewakeTriggers;
}
