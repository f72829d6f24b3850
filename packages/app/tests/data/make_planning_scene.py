"""Writes the planning scenes that `packages/app/tests/planning_scene.rs` reads, with somebody else's serialisers.

    pip install rosbags==0.11.9 mcap-ros2-support==0.6.0        # in a venv
    python make_planning_scene.py FOLDER_OF_MOVEIT_MSGS FOLDER_OF_OBJECT_RECOGNITION_MSGS FOLDER_OF_OCTOMAP_MSGS

The folders are checkouts of the branches for ROS 2 (github.com/moveit/moveit_msgs, branch ros2, commit ec3ba4b, and the `ros2` branches of
wg-perception/object_recognition_msgs and OctoMap/octomap_msgs); the definitions are read from them, and those of the common messages from
rosbags' Jazzy. rosbags writes the bytes; mcap_ros2, which shares no code with it, must read the same out of them.
"""

import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
from mcap_ros2._dynamic import generate_dynamic
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

HERE = Path(__file__).parent
STORE = get_typestore(Stores.ROS2_JAZZY)


def learn(folders):
    types = {}
    for package, folder in zip(["moveit_msgs", "object_recognition_msgs", "octomap_msgs"], folders):
        for name in (
            "PlanningScene PlanningSceneWorld RobotState CollisionObject AttachedCollisionObject AllowedCollisionMatrix "
            "AllowedCollisionEntry LinkPadding LinkScale ObjectColor ObjectType Octomap OctomapWithPose"
        ).split():
            path = Path(folder) / "msg" / f"{name}.msg"
            if path.exists():
                types.update(get_types_from_msg(path.read_text(), f"{package}/msg/{name}"))
    STORE.register(types)


def make(name, /, **values):
    """A message: fields that are not given are empty, 0 or, for a quaternion, upright."""
    kind = STORE.types[name]
    filled = {}
    for field, (code, what) in STORE.fielddefs[name][1]:
        if field in values:
            filled[field] = values.pop(field)
            continue
        # 1: one value; 2: message; 3: array; 4: sequence
        if code == 1:
            text = {"string": "", "bool": False, "float32": 0.0, "float64": 0.0}
            filled[field] = text.get(what[0], 0)
        elif code == 2:
            filled[field] = make(what)
        elif code == 3:
            (inner, (base, *_)), length = what
            filled[field] = np.zeros(length, dtype=base)
        else:
            (inner, base), _ = what
            number = inner == 1 and base[0] != "string"
            dtype = {"octet": "uint8", "byte": "uint8"}.get(base[0], base[0]) if number else None
            filled[field] = np.zeros(0, dtype=dtype) if number else []
    if name == "geometry_msgs/msg/Quaternion" and not any(filled.values()):
        filled["w"] = 1.0
    assert not values, f"{name} has no {list(values)}"
    return kind(**filled)


def pose(x=0.0, y=0.0, z=0.0, quaternion=(0.0, 0.0, 0.0, 1.0)):
    a, b, c, d = quaternion
    return make(
        "geometry_msgs/msg/Pose",
        position=make("geometry_msgs/msg/Point", x=x, y=y, z=z),
        orientation=STORE.types["geometry_msgs/msg/Quaternion"](x=a, y=b, z=c, w=d),
    )


def header(frame):
    return make("std_msgs/msg/Header", stamp=make("builtin_interfaces/msg/Time", sec=12, nanosec=345), frame_id=frame)


def solid(kind, *dimensions):
    return make("shape_msgs/msg/SolidPrimitive", type=kind, dimensions=np.array(dimensions, dtype="float64"))


def thing(name, frame, **values):
    return make("moveit_msgs/msg/CollisionObject", header=header(frame), id=name, **values)


def box(name, frame, at, size=(0.1, 0.1, 0.1), **values):
    return thing(name, frame, pose=at, primitives=[solid(1, *size)], primitive_poses=[pose()], **values)


def whole_scene():
    point = lambda x, y, z: make("geometry_msgs/msg/Point", x=x, y=y, z=z)
    tetrahedron = make(
        "shape_msgs/msg/Mesh",
        triangles=[
            make("shape_msgs/msg/MeshTriangle", vertex_indices=np.array(t, dtype="uint32"))
            for t in [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)]
        ],
        vertices=[point(0.0, 0.0, 0.0), point(0.1, 0.0, 0.0), point(0.0, 0.1, 0.0), point(0.0, 0.0, 0.1)],
    )
    half = 0.5**0.5
    objects = [
        thing(
            "shelf",
            "panda_link0",
            pose=pose(0.6, -0.4, 0.2, (0.0, 0.0, half, half)),
            type=make("object_recognition_msgs/msg/ObjectType", key="furniture", db="{}"),
            primitives=[solid(1, 0.4, 0.02, 0.3), solid(2, 0.05), solid(3, 0.3, 0.04), solid(4, 0.2, 0.06)],
            primitive_poses=[pose(), pose(0.1), pose(0.0, 0.1), pose(0.0, 0.0, 0.1)],
            meshes=[tetrahedron],
            mesh_poses=[pose(0.0, 0.0, 0.3)],
            subframe_names=["top"],
            subframe_poses=[pose(0.0, 0.0, 0.15)],
        ),
        thing(
            "floor",
            "world",
            planes=[make("shape_msgs/msg/Plane", coef=np.array([0.0, 0.0, 1.0, 0.7]))],
            plane_poses=[pose()],
        ),
        box("crate", "map", pose(0.0, 0.0, 0.05)),
        # As MoveIt's tutorials do: the place is in the shape's pose.
        thing("can", "panda_link0", primitives=[solid(3, 0.12, 0.03)], primitive_poses=[pose(0.4, 0.3, 0.06)]),
    ]
    held = make(
        "moveit_msgs/msg/AttachedCollisionObject",
        link_name="panda_hand",
        object=box("tool", "panda_hand", pose(0.0, 0.0, 0.15), (0.02, 0.02, 0.1)),
        touch_links=["panda_leftfinger", "panda_rightfinger"],
        detach_posture=make(
            "trajectory_msgs/msg/JointTrajectory",
            joint_names=["panda_finger_joint1"],
            points=[
                make(
                    "trajectory_msgs/msg/JointTrajectoryPoint",
                    positions=np.array([0.04]),
                    time_from_start=make("builtin_interfaces/msg/Duration", sec=1),
                )
            ],
        ),
        weight=0.25,
    )
    joints = [f"panda_joint{i}" for i in range(1, 8)]
    state = make(
        "moveit_msgs/msg/RobotState",
        joint_state=make(
            "sensor_msgs/msg/JointState", header=header("panda_link0"), name=joints, position=np.linspace(-0.3, 0.3, 7)
        ),
        multi_dof_joint_state=make(
            "sensor_msgs/msg/MultiDOFJointState",
            header=header("world"),
            joint_names=["virtual_joint"],
            transforms=[make("geometry_msgs/msg/Transform")],
            twist=[make("geometry_msgs/msg/Twist")],
        ),
        attached_collision_objects=[held],
    )
    matrix = make(
        "moveit_msgs/msg/AllowedCollisionMatrix",
        entry_names=["panda_leftfinger", "can"],
        entry_values=[
            make("moveit_msgs/msg/AllowedCollisionEntry", enabled=np.array([False, True])),
            make("moveit_msgs/msg/AllowedCollisionEntry", enabled=np.array([True, False])),
        ],
        default_entry_names=["floor"],
        default_entry_values=np.array([False]),
    )
    mapped = make(
        "geometry_msgs/msg/TransformStamped",
        header=header("world"),
        child_frame_id="map",
        transform=make(
            "geometry_msgs/msg/Transform", translation=make("geometry_msgs/msg/Vector3", x=-0.5, y=0.25, z=0.0)
        ),
    )
    return make(
        "moveit_msgs/msg/PlanningScene",
        name="(noname)+",
        robot_state=state,
        robot_model_name="panda",
        fixed_frame_transforms=[mapped],
        allowed_collision_matrix=matrix,
        link_padding=[make("moveit_msgs/msg/LinkPadding", link_name="panda_hand", padding=0.0)],
        link_scale=[make("moveit_msgs/msg/LinkScale", link_name="panda_hand", scale=1.0)],
        object_colors=[
            make(
                "moveit_msgs/msg/ObjectColor",
                id="can",
                color=make("std_msgs/msg/ColorRGBA", r=1.0, g=0.5, b=0.25, a=1.0),
            )
        ],
        world=make(
            "moveit_msgs/msg/PlanningSceneWorld",
            collision_objects=objects,
            octomap=make(
                "octomap_msgs/msg/OctomapWithPose",
                header=header("world"),
                octomap=make(
                    "octomap_msgs/msg/Octomap",
                    binary=True,
                    id="OcTree",
                    resolution=0.05,
                    data=np.array([-1, 2, 3], dtype="int8"),
                ),
            ),
        ),
    )


def small_change():
    state = make("moveit_msgs/msg/RobotState", is_diff=True)
    world = make(
        "moveit_msgs/msg/PlanningSceneWorld",
        collision_objects=[
            thing("shelf", "panda_link0", operation=1),
            thing("can", "panda_link0", pose=pose(0.5, 0.3, 0.06), operation=3),
        ],
    )
    return make("moveit_msgs/msg/PlanningScene", robot_state=state, world=world, is_diff=True)


def same(ours, theirs, where):
    if is_dataclass(ours):
        for field in fields(ours):
            if not field.name.startswith("__") and not field.name.isupper():
                same(getattr(ours, field.name), getattr(theirs, field.name), f"{where}.{field.name}")
    elif isinstance(ours, (list, np.ndarray)):
        assert len(ours) == len(theirs), where
        for i, (a, b) in enumerate(zip(ours, theirs)):
            same(a, b, f"{where}[{i}]")
    else:
        b = theirs[0] if isinstance(theirs, bytes) else theirs
        assert ours == b, f"{where}: {ours!r} {theirs!r}"


def main():
    learn(sys.argv[1:4])
    kind = "moveit_msgs/msg/PlanningScene"
    text, _ = STORE.generate_msgdef(kind, ros_version=2)
    decode = generate_dynamic("moveit_msgs/PlanningScene", text)["moveit_msgs/PlanningScene"]
    for name, scene in [("whole_scene", whole_scene()), ("small_change", small_change())]:
        data = bytes(STORE.serialize_cdr(scene, kind))
        same(scene, decode(data), name)
        (HERE / f"{name}.cdr").write_bytes(data)
        print(f"{name}.cdr: {len(data)} bytes")


if __name__ == "__main__":
    main()
