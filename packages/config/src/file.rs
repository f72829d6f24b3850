//! Parameter files (`NODE: {ros__parameters: {NAME: VALUE}}`), read without ROS.
