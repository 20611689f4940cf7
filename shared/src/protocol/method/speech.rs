//! Talking and being talked to.

use super::methods;
use crate::protocol::params::speech::{
    TalkModeParams, TalkModePayload, TtsConvertParams, TtsConvertReply, TtsProvidersParams,
    TtsProvidersReply, TtsSetProviderParams, TtsSetProviderReply, TtsStatusParams, TtsStatusReply,
    TtsSwitchParams, TtsSwitchReply,
};

methods! {
    "Speech";
    /// Tells every client that people talk, or no longer do.
    TalkMode = "talk.mode", Write, TalkModeParams => TalkModePayload;
    /// How answers are spoken.
    TtsStatus = "tts.status", Read, TtsStatusParams => TtsStatusReply, planned "speech is not built";
    /// Who can speak.
    TtsProviders = "tts.providers", Read, TtsProvidersParams => TtsProvidersReply, planned "speech is not built";
    /// Has answers spoken.
    TtsEnable = "tts.enable", Write, TtsSwitchParams => TtsSwitchReply, planned "speech is not built";
    /// Has answers written only.
    TtsDisable = "tts.disable", Write, TtsSwitchParams => TtsSwitchReply, planned "speech is not built";
    /// Turns a text into speech.
    TtsConvert = "tts.convert", Write, TtsConvertParams => TtsConvertReply, planned "speech is not built";
    /// Chooses who speaks.
    TtsSetProvider = "tts.setProvider", Write, TtsSetProviderParams => TtsSetProviderReply, planned "speech is not built";
}
