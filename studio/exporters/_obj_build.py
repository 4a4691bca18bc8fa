"""An OBJ file of a mesh whose source is another format, in its source's units: objects, groups of one material, v, vt, vn, f."""

from __future__ import annotations

import numpy as np

from studio.exporters._gltf import Document
from studio.exporters._gltf_split import unique_rows
from studio.exporters._source import Origin
from studio.surface.mesh import Mesh


def built(mesh: Mesh, origin: Origin, *, library: str, names: list[str]) -> bytes:
    """The whole file; `names[s]` is the material of texture set s."""
    place, position = unique_rows(origin.corners.reshape(-1, 3))
    normal, direction = unique_rows(mesh.corner_normals.reshape(-1, 3))
    lines = [f"mtllib {library}"]
    lines += [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in place.tolist()]
    columns = [position]
    if mesh.corner_uv is not None:
        uv, texel = unique_rows(mesh.corner_uv.reshape(-1, 2))
        lines += [f"vt {u:.10g} {1 - v:.10g}" for u, v in uv.tolist()]
        columns.append(texel)
    lines += [f"vn {x:.6g} {y:.6g} {z:.6g}" for x, y, z in normal.tolist()]
    columns.append(direction)
    corners = (np.stack(columns, axis=-1) + 1).reshape(len(mesh.faces), 3 * len(columns)).tolist()
    corner = "{}/{}/{}" if mesh.corner_uv is not None else "{}//{}"
    face = f"f {corner} {corner} {corner}"
    parts = mesh.source.face_part
    objects = _objects(mesh, origin)
    for part in np.unique(parts).tolist():
        lines.append(f"o {objects[part]}")
        for s in np.unique(mesh.face_set[parts == part]).tolist():
            lines.append(f"usemtl {names[s]}")
            lines += [face.format(*corners[f]) for f in np.flatnonzero((parts == part) & (mesh.face_set == s)).tolist()]
    return ("\n".join(lines) + "\n").encode()


def _objects(mesh: Mesh, origin: Origin) -> list[str]:
    """The name of each part: its glTF node's or mesh's, else the mesh's."""
    if mesh.source.kind != "gltf":
        return [mesh.name] * len(mesh.source.parts)
    tree = Document.read(origin.data, origin.folder).tree
    return [tree["nodes"][p.node].get("name") or tree["meshes"][p.mesh].get("name") or mesh.name for p in mesh.source.parts]
