//! The end of a process: asked for by SIGINT (a person, `ros2 launch`) or SIGTERM (whoever waits no longer).

use tokio::sync::watch;

/// A wish to end that everybody can see. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Shutdown {
    /// Asks everybody to end. Asking again changes nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Whether the end was asked for. For loops on threads of their own.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves once the end is asked for.
    pub async fn wait(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|requested| *requested).await;
    }

    /// Takes over SIGINT and SIGTERM: from now on they only ask for the end. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the operating system refuses the handlers.
    pub fn on_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            shutdown.request();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_before_or_after_the_request_is_released() {
        let shutdown = Shutdown::default();
        assert!(!shutdown.is_requested());
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        tokio::task::yield_now().await;
        shutdown.request();
        early.await.unwrap_or_else(|e| panic!("{e}"));
        shutdown.wait().await;
        assert!(shutdown.is_requested());
    }
}
