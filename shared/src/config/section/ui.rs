//! `ui`: how apps look.

use crate::config::setting::section;

section! {
    /// The look of apps.
    pub struct Ui {
        /// The accent colour, as hex digits with or without `#`.
        "seamColor" => seam_color: Option<String> = None;
        /// Who answers, as apps show it.
        "assistant" => assistant: Assistant = Assistant::default();
    }
}

section! {
    /// Who answers, as apps show it.
    pub struct Assistant {
        /// The name.
        "name" => name: Option<String> = None;
        /// The picture.
        "avatar" => avatar: Option<String> = None;
    }
}
