//! The service by which tools ask a node what the types of its topics look like (REP 2016), as rclcpp and rclpy offer it: rcl knows the answers.

use crate::entities::Native;
use futures::StreamExt;
use r2r::WrappedTypesupport;
use r2r::type_description_interfaces::srv::GetTypeDescription;
use r2r_rcl as rcl;

type Asked = GetTypeDescription::Request;
type Answer = GetTypeDescription::Response;

/// Offers `~/get_type_description` where the parameter `start_type_description_service` does not forbid it, answered in a task of the current tokio
/// runtime.
///
/// # Errors
/// When ROS refuses the service.
pub fn serve(node: &mut crate::Node) -> Result<(), crate::NodeError> {
    if !node.params().bool(efm_config::START_TYPE_DESCRIPTION_SERVICE) {
        return Ok(());
    }
    let name = "~/get_type_description";
    let mut requests = node.service::<GetTypeDescription::Service>(name)?;
    let (native, answer) = (Native::<Asked>::new(name)?, Native::<Answer>::new(name)?);
    let graph = node.graph().clone();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let found = graph.with_node(|node| {
                // SAFETY: messages of the service's types that nobody else has; the node lives meanwhile.
                unsafe {
                    request.message.copy_to_native(&mut *native.get());
                    rcl::rcl_node_type_description_service_handle_request(
                        node,
                        &raw const request.id,
                        native.get().cast(),
                        answer.get().cast(),
                    );
                    Answer::from_native(&*answer.get())
                }
            });
            let Some(found) = found else { return };
            if let Err(error) = request.respond(found) {
                log::debug!("{name}: {error}");
            }
        }
    });
    Ok(())
}
