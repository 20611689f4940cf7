//! `talk.mode` and `tts.*`: talking and being talked to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::literals;
use crate::protocol::strict::{NonEmpty, strict_options};

/// Parameters of `talk.mode`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TalkModeParams {
    /// Whether people talk.
    pub enabled: bool,
    /// What the talk is at.
    pub phase: Option<String>,
}

/// Reply of `talk.mode`, and payload of the event of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TalkModePayload {
    /// Whether people talk.
    pub enabled: bool,
    /// What the talk is at; null when not said.
    pub phase: Option<String>,
    /// When, in milliseconds since the epoch.
    pub ts: u64,
}

literals! {
    /// Who turns text into speech.
    pub enum TtsProvider {
        /// OpenAI.
        Openai = "openai",
        /// ElevenLabs.
        Elevenlabs = "elevenlabs",
        /// Microsoft Edge; needs no key.
        Edge = "edge",
    }
}

/// Parameters of `tts.status`; unknown ones are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TtsStatusParams {}

/// Reply of `tts.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TtsStatusReply {
    /// Whether answers are spoken.
    pub enabled: bool,
    /// When they are.
    pub auto: String,
    /// Who speaks.
    pub provider: TtsProvider,
    /// Who speaks when that fails.
    pub fallback_provider: Option<TtsProvider>,
    /// All who may, in order.
    pub fallback_providers: Vec<TtsProvider>,
    /// Where this is kept.
    pub prefs_path: String,
    /// Whether there is a key for OpenAI.
    #[serde(rename = "hasOpenAIKey")]
    pub has_openai_key: bool,
    /// Whether there is one for ElevenLabs.
    pub has_eleven_labs_key: bool,
    /// Whether Edge may be used.
    pub edge_enabled: bool,
}

/// Parameters of `tts.providers`; unknown ones are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TtsProvidersParams {}

/// One who turns text into speech.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TtsProviderRow {
    /// Its id.
    pub id: TtsProvider,
    /// Its name for people.
    pub name: String,
    /// Whether it can be used.
    pub configured: bool,
    /// Its models.
    pub models: Vec<String>,
    /// Its voices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voices: Option<Vec<String>>,
}

/// Reply of `tts.providers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TtsProvidersReply {
    /// All of them.
    pub providers: Vec<TtsProviderRow>,
    /// Who speaks.
    pub active: TtsProvider,
}

/// Parameters of `tts.enable` and `tts.disable`; unknown ones are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TtsSwitchParams {}

/// Reply of `tts.enable` and `tts.disable`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TtsSwitchReply {
    /// Whether answers are spoken.
    pub enabled: bool,
}

/// Parameters of `tts.setProvider`; unknown ones are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TtsSetProviderParams {
    /// Who is to speak.
    pub provider: TtsProvider,
}

/// Reply of `tts.setProvider`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TtsSetProviderReply {
    /// Who speaks.
    pub provider: TtsProvider,
}

/// Parameters of `tts.convert`; unknown ones are ignored.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TtsConvertParams {
    /// What to say.
    pub text: NonEmpty,
    /// The channel whose format is wanted.
    pub channel: Option<String>,
}

/// Reply of `tts.convert`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TtsConvertReply {
    /// The sound, as a file of the gateway.
    pub audio_path: String,
    /// Who spoke.
    pub provider: TtsProvider,
    /// Its format.
    pub output_format: String,
    /// Whether channels can send it as a voice message.
    pub voice_compatible: bool,
}
