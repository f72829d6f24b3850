//! What sampling says of a robot whose links are known to touch always, never or sometimes.
#![allow(clippy::unwrap_used)]

use efm_collision::{CollisionOptions, Meeting, SampledPair, Sampling, sampled_pairs};
use efm_robot::{RobotModel, Srdf};

/// A mast with a collar that always touches the boom's sleeve; a boom; a tool that sweeps through a post in a part of its turn and never reaches the base.
const ROBOT: &str = "<robot name='r'>\
    <link name='base'><collision><geometry><box size='0.2 0.2 0.1'/></geometry></collision></link>\
    <link name='post'><collision><geometry><box size='0.1 0.1 0.4'/></geometry></collision></link>\
    <link name='mast'><collision><origin xyz='0 0 0.5'/><geometry><cylinder radius='0.05' length='0.2'/></geometry></collision></link>\
    <link name='boom'/>\
    <link name='sleeve'><collision><geometry><cylinder radius='0.06' length='0.1'/></geometry></collision></link>\
    <link name='tool'><collision><origin xyz='0.6 0 0'/><geometry><sphere radius='0.1'/></geometry></collision></link>\
    <joint name='to_post' type='fixed'><parent link='base'/><child link='post'/><origin xyz='-0.6 0 0.5'/></joint>\
    <joint name='turn' type='revolute'><parent link='base'/><child link='mast'/><axis xyz='0 0 1'/><limit lower='-3' upper='3' velocity='1' effort='1'/></joint>\
    <joint name='lift' type='revolute'><parent link='mast'/><child link='boom'/><origin xyz='0 0 0.5'/><axis xyz='0 0 1'/><limit lower='-3.1' upper='3.1' velocity='1' effort='1'/></joint>\
    <joint name='twist' type='revolute'><parent link='boom'/><child link='sleeve'/><axis xyz='0 0 1'/><limit lower='-3.1' upper='3.1' velocity='1' effort='1'/></joint>\
    <joint name='to_tool' type='fixed'><parent link='sleeve'/><child link='tool'/></joint></robot>";

fn of<'a>(pairs: &'a [SampledPair], a: &str, b: &str) -> &'a SampledPair {
    pairs.iter().find(|pair| pair.link1 == a && pair.link2 == b).unwrap_or_else(|| panic!("{a} and {b} in {pairs:?}"))
}

#[test]
fn pairs_are_told_apart_as_the_setup_assistant_does() {
    let robot = RobotModel::from_urdf(ROBOT).unwrap();
    let sampling = Sampling { samples: 2000, ..Sampling::default() };
    let pairs = sampled_pairs(&robot, None, &CollisionOptions::default(), &sampling).unwrap();
    assert_eq!(of(&pairs, "base", "mast").meeting, Meeting::Adjacent);
    // A link without bodies between them: two joints, so they are looked at, and touch at zero.
    assert_eq!(of(&pairs, "mast", "sleeve").meeting, Meeting::Default);
    assert_eq!(
        (of(&pairs, "base", "sleeve").meeting, of(&pairs, "base", "tool").meeting),
        (Meeting::Never, Meeting::Never)
    );
    // It passes the post over an angle of 2 asin((0.1 + 0.05) / 0.6) or so, of the whole turn that three joints make: near 8 % of the samples.
    let post = of(&pairs, "post", "tool");
    assert!(post.meeting == Meeting::Sometimes && (60..300).contains(&post.touched), "{post:?}");
    // Bodies of one welded part are no pair.
    assert!(!pairs.iter().any(|pair| pair.link1 == "base" && pair.link2 == "post"));
    assert!(!pairs.iter().any(|pair| pair.link1 == "sleeve" && pair.link2 == "tool"));
    // The same seed, the same counts; another one, others.
    assert_eq!(sampled_pairs(&robot, None, &CollisionOptions::default(), &sampling).unwrap(), pairs);
    let other = sampled_pairs(&robot, None, &CollisionOptions::default(), &Sampling { seed: 2, ..sampling }).unwrap();
    assert_ne!(of(&other, "post", "tool").touched, post.touched);
    let srdf = "<robot name='r'><disable_collisions link1='post' link2='tool' reason='I know'/></robot>";
    let srdf = Srdf::parse(srdf, &robot).unwrap();
    let less = sampled_pairs(&robot, Some(&srdf), &CollisionOptions::default(), &sampling).unwrap();
    assert!(!less.iter().any(|pair| pair.link1 == "post" && pair.link2 == "tool"), "it is declared already");
}
