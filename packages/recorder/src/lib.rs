//! Recording ([`record`]) and playing ([`play`]): what of them is worth testing without a graph. The executables `recorder` and
//! `efm-play` wire topics and call what is here and in [`efm_bag`].

pub mod play;
pub mod record;
