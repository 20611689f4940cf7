//! A system without a service manager that we know.

use super::{ServiceManager, ServiceRuntime, ServiceView};

/// Knows no service.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoServiceManager;

const ABSENT: &str = "no service manager that this build knows was found";

impl ServiceManager for NoServiceManager {
    fn view(&self) -> ServiceView {
        ServiceView {
            label: "none",
            unit: None,
            loaded: false,
            loaded_text: "enabled",
            not_loaded_text: "not installed",
            command: None,
            runtime: ServiceRuntime {
                detail: Some(ABSENT.to_owned()),
                ..ServiceRuntime::default()
            },
        }
    }

    fn stop(&self) -> Result<(), String> {
        Err(ABSENT.to_owned())
    }

    fn restart(&self) -> Result<(), String> {
        Err(ABSENT.to_owned())
    }

    fn start_hint(&self) -> Option<String> {
        None
    }
}
